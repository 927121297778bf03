/* SPDX-License-Identifier: MIT */
/*
 * An ALSA application that plays frames which say who they are (frame-code.h), and keeps a log of
 * what it wrote when. SIGTERM ends it with a drain. It repairs nothing in silence: every error
 * that ALSA returns is counted and logged.
 *
 *   coded-player [-D DEVICE] [-f FORMAT] [-r RATE] [-p PERIOD] [-b BUFFER] [-m rw|mmap|nonblock]
 *                [-i FIRST] [-n FRAMES] [-l LOG] VM
 *   coded-player -R FILE [THE SAME OPTIONS]    records into FILE (raw samples) instead of playing
 *
 * LOG has a line "w NS INDEX DELAY" after each write or read, where INDEX is that of the next frame,
 * and "e NS CALL CODE" for each error. The last line on standard output is a JSON object.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include <alsa/asoundlib.h>

#include "frame-code.h"
#include "samples.h"

struct player {
	snd_pcm_t *pcm;
	const char *device, *mode;
	enum samples_format format;
	unsigned int rate;
	snd_pcm_uframes_t period, buffer;
	uint32_t vm, first, next;
	uint64_t left; /* frames still to write */
	FILE *log, *record;
	uint8_t *block;
	uint32_t errors, xruns;
	uint64_t last_ns, longest_ns, longest_at_ns, drain_ns;
	snd_pcm_sframes_t delay_min, delay_max;
};

static volatile sig_atomic_t stopped;

static void on_stop(int number)
{
	(void)number;
	stopped = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void note_error(struct player *p, const char *call, long code)
{
	p->errors++;
	if (p->log)
		fprintf(p->log, "e %" PRIu64 " %s %ld\n", now_ns(), call, code);
	fprintf(stderr, "coded-player: %s: %s\n", call, snd_strerror((int)code));
}

static snd_pcm_format_t alsa_format(enum samples_format format)
{
	switch (format) {
	case SAMPLES_S24:
		return SND_PCM_FORMAT_S24_LE;
	case SAMPLES_S24_3:
		return SND_PCM_FORMAT_S24_3LE;
	case SAMPLES_S32:
		return SND_PCM_FORMAT_S32_LE;
	case SAMPLES_FLOAT:
		return SND_PCM_FORMAT_FLOAT_LE;
	default:
		fprintf(stderr, "coded-player: the code of a frame takes 24 bits: S24, S24_3, S32 "
				"and FLOAT are accepted\n");
		exit(2);
	}
}

static int set_params(struct player *p)
{
	bool mmap = strcmp(p->mode, "mmap") == 0;
	snd_pcm_hw_params_t *hw;
	snd_pcm_sw_params_t *sw;
	int res;

	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_sw_params_alloca(&sw);
	if ((res = snd_pcm_hw_params_any(p->pcm, hw)) < 0 ||
	    (res = snd_pcm_hw_params_set_access(p->pcm, hw,
						mmap ? SND_PCM_ACCESS_MMAP_INTERLEAVED
						     : SND_PCM_ACCESS_RW_INTERLEAVED)) < 0 ||
	    (res = snd_pcm_hw_params_set_format(p->pcm, hw, alsa_format(p->format))) < 0 ||
	    (res = snd_pcm_hw_params_set_channels(p->pcm, hw, 2)) < 0 ||
	    (res = snd_pcm_hw_params_set_rate(p->pcm, hw, p->rate, 0)) < 0 ||
	    (res = snd_pcm_hw_params_set_period_size_near(p->pcm, hw, &p->period, NULL)) < 0 ||
	    (res = snd_pcm_hw_params_set_buffer_size_near(p->pcm, hw, &p->buffer)) < 0 ||
	    (res = snd_pcm_hw_params(p->pcm, hw)) < 0)
		return res;
	if ((res = snd_pcm_sw_params_current(p->pcm, sw)) < 0 ||
	    (res = snd_pcm_sw_params_set_start_threshold(p->pcm, sw, p->record ? 1 : p->buffer)) <
		    0 ||
	    (res = snd_pcm_sw_params_set_avail_min(p->pcm, sw, p->period)) < 0)
		return res;
	return snd_pcm_sw_params(p->pcm, sw);
}

static void fill_block(struct player *p, uint32_t frames)
{
	uint32_t bytes = samples_formats[p->format].bytes;
	int32_t samples[2];

	for (uint32_t i = 0; i < frames; i++) {
		frame_code_make(p->vm, p->next + i, samples);
		samples_put(p->format, samples[0], p->block + (size_t)i * 2 * bytes);
		samples_put(p->format, samples[1], p->block + ((size_t)i * 2 + 1) * bytes);
	}
}

static int wait_until_ready(struct player *p)
{
	struct pollfd fds[8];
	int n = snd_pcm_poll_descriptors(p->pcm, fds, 8);
	unsigned short revents;

	if (n < 0)
		return n;
	if (poll(fds, (nfds_t)n, 2000) == 0)
		return -ETIMEDOUT;
	return snd_pcm_poll_descriptors_revents(p->pcm, fds, (unsigned int)n, &revents);
}

static void note_move(struct player *p)
{
	snd_pcm_sframes_t delay = 0;
	uint64_t now = now_ns();
	int res = snd_pcm_delay(p->pcm, &delay);

	if (res < 0 && snd_pcm_state(p->pcm) == SND_PCM_STATE_RUNNING)
		note_error(p, "delay", res);
	if (p->last_ns && now - p->last_ns > p->longest_ns) {
		p->longest_ns = now - p->last_ns;
		p->longest_at_ns = now;
	}
	p->last_ns = now;
	p->delay_min = delay < p->delay_min ? delay : p->delay_min;
	p->delay_max = delay > p->delay_max ? delay : p->delay_max;
	if (p->log)
		fprintf(p->log, "w %" PRIu64 " %u %ld\n", now, p->next, (long)delay);
}

static snd_pcm_sframes_t write_block(struct player *p, uint32_t frames)
{
	fill_block(p, frames);
	if (strcmp(p->mode, "mmap") == 0)
		return snd_pcm_mmap_writei(p->pcm, p->block, frames);
	return snd_pcm_writei(p->pcm, p->block, frames);
}

static snd_pcm_sframes_t read_block(struct player *p, uint32_t frames)
{
	snd_pcm_sframes_t n = strcmp(p->mode, "mmap") == 0
				      ? snd_pcm_mmap_readi(p->pcm, p->block, frames)
				      : snd_pcm_readi(p->pcm, p->block, frames);
	size_t bytes = n > 0 ? (size_t)snd_pcm_frames_to_bytes(p->pcm, n) : 0;

	if (bytes > 0 && fwrite(p->block, 1, bytes, p->record) != bytes) {
		perror("coded-player: the recording");
		exit(2);
	}
	return n;
}

static int move_some(struct player *p)
{
	uint32_t frames = (uint32_t)(p->left < p->period ? p->left : p->period);
	snd_pcm_sframes_t n;
	int res;

	n = p->record ? read_block(p, frames) : write_block(p, frames);
	if (n == -EAGAIN) {
		res = wait_until_ready(p);
		if (res < 0)
			note_error(p, "poll", res);
		return res == -ETIMEDOUT ? res : 0;
	}
	if (n == -EINTR)
		return 0;
	if (n == -EPIPE) {
		p->xruns++;
		if (p->log)
			fprintf(p->log, "x %" PRIu64 "\n", now_ns());
		return snd_pcm_prepare(p->pcm);
	}
	if (n < 0) {
		note_error(p, p->record ? "read" : "write", (long)n);
		return (int)n;
	}
	p->next += (uint32_t)n;
	p->left -= (uint64_t)n;
	note_move(p);
	return 0;
}

/* A short file may end before the buffer was full once: drain starts it. */
static int drain(struct player *p)
{
	uint64_t began = now_ns();
	int res;

	snd_pcm_nonblock(p->pcm, 0);
	res = snd_pcm_drain(p->pcm);
	p->drain_ns = now_ns() - began;
	if (res < 0)
		note_error(p, "drain", res);
	return res;
}

static int play(struct player *p)
{
	int mode = strcmp(p->mode, "nonblock") == 0 ? SND_PCM_NONBLOCK : 0;
	int res = snd_pcm_open(&p->pcm, p->device,
			       p->record ? SND_PCM_STREAM_CAPTURE : SND_PCM_STREAM_PLAYBACK, mode);

	if (res < 0) {
		note_error(p, "open", res);
		return res;
	}
	res = set_params(p);
	if (res < 0)
		note_error(p, "hw_params", res);
	p->block = malloc(p->period * 8);
	p->next = p->first;
	p->delay_min = LONG_MAX;
	while (res >= 0 && p->block && !stopped && p->left)
		res = move_some(p);
	if (res >= 0 && !p->record)
		res = drain(p);
	free(p->block);
	snd_pcm_close(p->pcm);
	return res;
}

static void print_summary(const struct player *p)
{
	printf("{\"written\": %u, \"errors\": %u, \"xruns\": %u, \"period\": %lu, "
	       "\"buffer\": %lu, \"longest_ms\": %.3f, \"longest_at_ns\": %" PRIu64
	       ", \"delay_min\": %ld, \"delay_max\": %ld, \"drain_ms\": %.3f}\n",
	       p->next - p->first, p->errors, p->xruns, p->period, p->buffer,
	       (double)p->longest_ns / 1e6, p->longest_at_ns, (long)p->delay_min,
	       (long)p->delay_max, (double)p->drain_ns / 1e6);
}

static int take_option(struct player *p, int option)
{
	switch (option) {
	case 'D':
		p->device = optarg;
		return 0;
	case 'f':
		p->format = samples_by_name(optarg);
		return 0;
	case 'r':
		p->rate = (unsigned int)strtoul(optarg, NULL, 10);
		return 0;
	case 'p':
		p->period = strtoul(optarg, NULL, 10);
		return 0;
	case 'b':
		p->buffer = strtoul(optarg, NULL, 10);
		return 0;
	case 'm':
		p->mode = optarg;
		return 0;
	case 'i':
		p->first = (uint32_t)strtoul(optarg, NULL, 10);
		return 0;
	case 'n':
		p->left = strtoull(optarg, NULL, 10);
		return 0;
	case 'R':
		p->record = fopen(optarg, "we");
		return p->record ? 0 : -errno;
	case 'l':
		p->log = fopen(optarg, "we");
		return p->log ? setvbuf(p->log, NULL, _IOLBF, 4096) : -errno;
	default:
		return -EINVAL;
	}
}

int main(int argc, char **argv)
{
	struct player p = {
		.device = "xen",
		.mode = "rw",
		.format = SAMPLES_S32,
		.rate = 48000,
		.period = 1024,
		.buffer = 4096,
		.left = UINT64_MAX,
	};
	struct sigaction action = {.sa_handler = on_stop};
	int option, res;

	while ((option = getopt(argc, argv, "D:f:r:p:b:m:i:n:l:R:")) != -1) {
		if (take_option(&p, option) < 0)
			return 2;
	}
	p.vm = optind < argc ? (uint32_t)strtoul(argv[optind], NULL, 10) : 0;
	if (!p.record && (p.vm < 1 || p.vm > FRAME_CODE_VM_MAX)) {
		fprintf(stderr, "coded-player: the VM is a number from 1 to %u\n",
			FRAME_CODE_VM_MAX);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	res = play(&p);
	print_summary(&p);
	if (p.log)
		fclose(p.log);
	if (p.record && fclose(p.record) != 0)
		res = -errno;
	return res < 0 || p.errors ? 1 : 0;
}
