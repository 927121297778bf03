/* SPDX-License-Identifier: MIT */
/*
 * Guests for the load and latency figures: n players of S16 stereo at 48 kHz, a thread each, that
 * write one period whenever there is room for it. The same application for every transport.
 *
 * bench-player PCM STREAMS PERIOD BUFFER [idle|impulse|probe]
 *   PCM      an ALSA device, %d in it becomes the number of the stream (1 ...); or tcp:PORT, where
 *            eight streams share a port and the clock makes the pace, a full buffer ahead
 *   idle     prepares, and plays nothing
 *   impulse  the first stream writes one loud frame at the beginning of a period, twice a second
 *   probe    the first stream looks at its position every half millisecond
 *
 * Says "ready" when all are playing, plays until SIGTERM, then prints its findings, one per line:
 *   impulse NS DELAY   when the frame was written, and its delay as the device told it right then
 *   probe LOOKS BACK STEP   looks at the position, how many went back, the largest step in frames
 *                           between two looks less than 1 ms apart
 *   total FRAMES XRUNS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <alsa/asoundlib.h>

#define RATE_HZ     48000u
#define FRAME_BYTES 4u
#define STREAMS_MAX 256u
#define PERIOD_MAX  8192u
#define PER_PORT    8u
#define IMPULSE_HZ  2u
#define LOG_MAX     4096u
#define PROBE_NS    500000
#define CLOSE_NS    1000000

enum mode { MODE_PLAY, MODE_IDLE, MODE_IMPULSE, MODE_PROBE };

struct impulse {
	uint64_t ns;
	long delay;
};

struct probe {
	uint64_t before_ns; /* before the last look */
	uint64_t looks, back;
	int64_t pos, step;
};

struct stream {
	unsigned int number;
	snd_pcm_t *pcm; /* NULL: tcp */
	int fd;
	uint64_t next_ns; /* tcp: when there will be room for a period */
	uint64_t frames, periods, xruns;
	struct probe probe;
};

static const char *device;
static snd_pcm_uframes_t period, buffer;
static enum mode mode;
static struct stream streams[STREAMS_MAX];
static struct impulse impulses[LOG_MAX];
static unsigned int n_impulses;
static atomic_uint n_ready;
static atomic_bool stop;
static unsigned int n_streams;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what, int error)
{
	fprintf(stderr, "bench-player: %s: %s\n", what, snd_strerror(error));
	exit(2);
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static void open_tcp(struct stream *s)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr = {htonl(INADDR_LOOPBACK)},
				 .sin_port = htons((uint16_t)(atoi(device + 4) +
							      (int)((s->number - 1) / PER_PORT)))};

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die(device, -errno);
}

static void set_hardware(struct stream *s)
{
	snd_pcm_hw_params_t *hw;
	unsigned int rate = RATE_HZ;
	snd_pcm_uframes_t got_period = period, got_buffer = buffer;
	int res;

	snd_pcm_hw_params_alloca(&hw);
	if ((res = snd_pcm_hw_params_any(s->pcm, hw)) < 0 ||
	    (res = snd_pcm_hw_params_set_access(s->pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED)) < 0 ||
	    (res = snd_pcm_hw_params_set_format(s->pcm, hw, SND_PCM_FORMAT_S16_LE)) < 0 ||
	    (res = snd_pcm_hw_params_set_channels(s->pcm, hw, 2)) < 0 ||
	    (res = snd_pcm_hw_params_set_rate_near(s->pcm, hw, &rate, NULL)) < 0 ||
	    (res = snd_pcm_hw_params_set_period_size_near(s->pcm, hw, &got_period, NULL)) < 0 ||
	    (res = snd_pcm_hw_params_set_buffer_size_near(s->pcm, hw, &got_buffer)) < 0 ||
	    (res = snd_pcm_hw_params(s->pcm, hw)) < 0)
		die("hw_params", res);
	if (rate != RATE_HZ || got_period != period || got_buffer != buffer)
		fprintf(stderr, "bench-player: %s: rate %u period %lu buffer %lu\n", device, rate,
			got_period, got_buffer);
}

static void set_software(struct stream *s)
{
	snd_pcm_sw_params_t *sw;
	int res;

	snd_pcm_sw_params_alloca(&sw);
	if ((res = snd_pcm_sw_params_current(s->pcm, sw)) < 0 ||
	    (res = snd_pcm_sw_params_set_avail_min(s->pcm, sw, period)) < 0 ||
	    (res = snd_pcm_sw_params_set_start_threshold(s->pcm, sw, buffer)) < 0 ||
	    (res = snd_pcm_sw_params(s->pcm, sw)) < 0)
		die("sw_params", res);
}

static void open_stream(struct stream *s)
{
	char name[256];
	int res;

	if (strncmp(device, "tcp:", 4) == 0) {
		open_tcp(s);
		return;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(name, sizeof(name), device, s->number);
#pragma GCC diagnostic pop
	res = snd_pcm_open(&s->pcm, name, SND_PCM_STREAM_PLAYBACK, 0);
	if (res < 0)
		die(name, res);
	set_hardware(s);
	set_software(s);
}

static int64_t look(struct stream *s)
{
	snd_pcm_sframes_t avail = snd_pcm_avail(s->pcm);

	return avail < 0 ? avail : (int64_t)s->frames + avail - (int64_t)buffer;
}

/* Waits for a period of room by looking, as a program with a timer of its own does. */
static void probe(struct stream *s)
{
	struct probe *p = &s->probe;
	uint64_t before_ns = now_ns();
	int64_t pos;

	while ((pos = look(s)) >= 0) {
		int64_t step = pos - p->pos;

		if (p->looks++ > 0 && step < 0)
			p->back++;
		/* From before one look to after the next: whoever is preempted does not count. */
		if (now_ns() - p->before_ns < CLOSE_NS && step > p->step)
			p->step = step;
		p->pos = pos;
		p->before_ns = before_ns;
		if (pos + (int64_t)buffer - (int64_t)s->frames >= (int64_t)period)
			return;
		sleep_until(before_ns + PROBE_NS);
		before_ns = now_ns();
	}
}

/* Waits until there is room for a period. */
static void wait_room(struct stream *s)
{
	if (!s->pcm) {
		if (s->frames < buffer)
			s->next_ns = now_ns();
		else
			s->next_ns += period * UINT64_C(1000000000) / RATE_HZ;
		sleep_until(s->next_ns);
	} else if (s->frames >= buffer) {
		if (mode == MODE_PROBE && s->number == 1)
			probe(s);
		else
			snd_pcm_wait(s->pcm, -1);
	}
}

static int write_period(struct stream *s, const int16_t *samples)
{
	snd_pcm_sframes_t done;

	if (!s->pcm) {
		if (send(s->fd, samples, period * FRAME_BYTES, MSG_NOSIGNAL) < 0)
			die(device, -errno);
		return 0;
	}
	done = snd_pcm_writei(s->pcm, samples, period);
	if (done >= 0)
		return 0;
	s->xruns += done == -EPIPE;
	return snd_pcm_recover(s->pcm, (int)done, 1);
}

/* One period with a loud frame at its beginning, and what the device says about it. */
static int write_impulse(struct stream *s, int16_t *samples)
{
	struct impulse *i = &impulses[n_impulses];
	snd_pcm_sframes_t delay = 0;
	uint64_t told_ns;
	int res;

	samples[0] = samples[1] = 30000;
	i->ns = now_ns();
	res = write_period(s, samples);
	told_ns = now_ns();
	if (s->pcm && (res < 0 || snd_pcm_delay(s->pcm, &delay) < 0))
		return res;
	/* Of the frame that was first in this period, at the moment it was written. */
	i->delay = delay - (snd_pcm_sframes_t)period +
		   (snd_pcm_sframes_t)((told_ns - i->ns) * RATE_HZ / 1000000000u);
	n_impulses++;
	return res;
}

static void play_period(struct stream *s)
{
	int16_t samples[PERIOD_MAX * 2];
	int res;

	memset(samples, 0, period * FRAME_BYTES);
	wait_room(s);
	if (mode == MODE_IMPULSE && s->number == 1 &&
	    ++s->periods % (RATE_HZ / IMPULSE_HZ / period) == 0 && s->frames >= buffer &&
	    n_impulses < LOG_MAX)
		res = write_impulse(s, samples);
	else
		res = write_period(s, samples);
	if (res < 0)
		die("write", res);
	s->frames += period;
}

static void *run(void *arg)
{
	struct stream *s = arg;

	open_stream(s);
	while (mode != MODE_IDLE && s->frames < 2 * buffer)
		play_period(s);
	atomic_fetch_add(&n_ready, 1);
	while (mode != MODE_IDLE && !atomic_load(&stop))
		play_period(s);
	while (!atomic_load(&stop))
		pause();
	return NULL;
}

static void report(void)
{
	uint64_t frames = 0, xruns = 0;
	const struct probe *p = &streams[0].probe;

	for (unsigned int i = 0; i < n_impulses; i++)
		printf("impulse %" PRIu64 " %ld\n", impulses[i].ns, impulses[i].delay);
	if (mode == MODE_PROBE)
		printf("probe %" PRIu64 " %" PRIu64 " %" PRId64 "\n", p->looks, p->back, p->step);
	for (unsigned int i = 0; i < n_streams; i++) {
		frames += streams[i].frames;
		xruns += streams[i].xruns;
	}
	printf("total %" PRIu64 " %" PRIu64 "\n", frames, xruns);
	fflush(stdout);
}

static void start(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (unsigned int i = 0; i < n_streams; i++) {
		streams[i].number = i + 1;
		if (pthread_create(&thread, &attr, run, &streams[i]) != 0)
			die("thread", -EAGAIN);
	}
	while (atomic_load(&n_ready) < n_streams)
		sleep_until(now_ns() + 10000000);
	puts("ready");
	fflush(stdout);
}

static enum mode mode_of(const char *name)
{
	if (!name)
		return MODE_PLAY;
	if (strcmp(name, "idle") == 0)
		return MODE_IDLE;
	return strcmp(name, "probe") == 0 ? MODE_PROBE : MODE_IMPULSE;
}

int main(int argc, char **argv)
{
	sigset_t set;
	int number;

	if (argc < 5 || (n_streams = (unsigned int)atoi(argv[2])) < 1 || n_streams > STREAMS_MAX ||
	    (period = (snd_pcm_uframes_t)atol(argv[3])) < 1 || period > PERIOD_MAX) {
		fprintf(stderr, "usage: bench-player PCM STREAMS PERIOD BUFFER "
				"[idle|impulse|probe]\n");
		return 2;
	}
	device = argv[1];
	buffer = (snd_pcm_uframes_t)atol(argv[4]);
	mode = mode_of(argv[5]);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	start();
	sigwait(&set, &number);
	report();
	_exit(0);
}
