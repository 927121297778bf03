/* SPDX-License-Identifier: MIT */
/*
 * What the ALSA tests share.
 */
#include "case.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <xaring/format.h>

#define PROGRAM_SECONDS 110
#define BUSY_NS         (2 * NS_PER_MS)
#define DEAD_NS         (70 * NS_PER_MS)
#define WATCHERS        2
#define TESTS_MAX       64
#define SOUND_NICE      (-11) /* what sound servers run at */

static struct test_case *present; /* for alsa-lib's error handler, which has no argument */

uint64_t case_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void case_pass(uint32_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

/* The longest that a thread of those below overslept in this test. */
static uint64_t late_ns;

static void *watch_machine(void *unused)
{
	sigset_t all;

	(void)unused;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (;;) {
		uint64_t begin_ns = case_now_ns(), took_ns;

		case_pass(1);
		took_ns = case_now_ns() - begin_ns;
		if (took_ns > __atomic_load_n(&late_ns, __ATOMIC_RELAXED))
			__atomic_store_n(&late_ns, took_ns, __ATOMIC_RELAXED);
	}
	return NULL;
}

bool case_is_busy(void)
{
	if (present && present->backend && fake_late_ns(present->backend) > BUSY_NS)
		return true;
	return __atomic_load_n(&late_ns, __ATOMIC_RELAXED) > BUSY_NS;
}

bool case_is_other(void)
{
	return getenv("XARING_TEST_PCM") != NULL;
}

bool case_lacks(const char *what)
{
	print_message("not offered: %s\n", what);
	return true;
}

bool case_lacks_backend(void)
{
	return case_is_other() && case_lacks("it is about the backend");
}

bool case_can_pause(const struct test_case *c)
{
	snd_pcm_hw_params_t *hw;

	snd_pcm_hw_params_alloca(&hw);
	assert_int_equal(snd_pcm_hw_params_current(c->pcm, hw), 0);
	return snd_pcm_hw_params_can_pause(hw);
}

bool case_lacks_pause(const struct test_case *c)
{
	return !case_can_pause(c) && case_lacks("it cannot pause");
}

bool case_is_ioplug(const struct test_case *c, const char *what)
{
	if (snd_pcm_type(c->pcm) != SND_PCM_TYPE_IOPLUG)
		return false;
	print_message("differs: %s\n", what);
	return true;
}

bool case_has_alsa_lib(unsigned int patch)
{
	const char *version = snd_asoundlib_version();
	unsigned long numbers[3] = {0};
	char *end = (char *)(uintptr_t)version;

	for (int i = 0; i < 3; i++)
		numbers[i] = strtoul(i ? end + 1 : end, &end, 10);
	if (numbers[0] != 1 || numbers[1] != 2)
		return numbers[0] > 1 || (numbers[0] == 1 && numbers[1] > 2);
	return numbers[2] >= patch;
}

static void keep_error(const char *file, int line, const char *function, int error,
		       const char *format, ...)
{
	size_t length = strlen(present->errors);
	va_list list;

	(void)file;
	(void)line;
	(void)function;
	(void)error;
	va_start(list, format);
	vsnprintf(present->errors + length, sizeof(present->errors) - length, format, list);
	va_end(list);
	length = strlen(present->errors);
	snprintf(present->errors + length, sizeof(present->errors) - length, "\n");
}

int case_setup(void **state)
{
	struct test_case *c = calloc(1, sizeof(*c));

	if (!c)
		return -1;
	strcpy(c->dir, "/tmp/xaring-alsa-XXXXXX");
	if (!mkdtemp(c->dir)) {
		free(c);
		return -1;
	}
	snprintf(c->socket, sizeof(c->socket), "%s/socket", c->dir);
	c->pid = getpid();
	__atomic_store_n(&late_ns, 0, __ATOMIC_RELAXED);
	present = c;
	snd_lib_error_set_handler(keep_error);
	*state = c;
	return 0;
}

int case_teardown(void **state)
{
	struct test_case *c = *state;

	/* A child in which something failed: the rest of the group is its parent's. */
	if (c->pid != getpid())
		_exit(1);
	if (c->pcm)
		snd_pcm_close(c->pcm);
	fake_stop(c->backend);
	if (c->errors[0])
		print_message("alsa-lib said: %s", c->errors);
	unlink(c->socket);
	rmdir(c->dir);
	snd_lib_error_set_handler(NULL);
	present = NULL;
	free(c);
	return 0;
}

static struct case_place *places; /* that this try came to */
static uint32_t judged, unjudged; /* conditions of the program, each of its test's last try */

void case_judge(struct case_place *place, bool is_judged)
{
	if (!place->is_listed) {
		place->is_listed = true;
		place->next = places;
		places = place;
	}
	place->is_unjudged |= !is_judged;
}

/* Forgets the places. Adds to the counts what became of each, when the try was the last one. */
static void end_try(bool is_last)
{
	for (; places; places = places->next) {
		if (places->is_unjudged)
			print_message("the machine was late, not judged: %s\n", places->text);
		judged += is_last && !places->is_unjudged;
		unjudged += is_last && places->is_unjudged;
		places->is_listed = places->is_unjudged = false;
	}
}

static bool is_any_unjudged(void)
{
	for (const struct case_place *place = places; place; place = place->next)
		if (place->is_unjudged)
			return true;
	return false;
}

static const struct CMUnitTest *present_test;

/* cmocka gives the test to the setup only, which puts the case in its place. */
static int setup_tries(void **state)
{
	present_test = *state;
	return present_test->setup_func(state);
}

static void run_tries(void **state)
{
	present_test->test_func(state);
	for (int i = 1; i < CASE_TRIES && is_any_unjudged(); i++) {
		end_try(false);
		present_test->teardown_func(state);
		if (present_test->setup_func(state) != 0)
			exit(1); /* no case is left that the teardown could end */
		present_test->test_func(state);
	}
}

static int teardown_tries(void **state)
{
	end_try(true);
	return present_test->teardown_func(state);
}

static const char *wanted_name(void)
{
	return getenv("XARING_TEST_CHECK");
}

static bool is_list_wanted(void)
{
	return wanted_name() && strcmp(wanted_name(), "list") == 0;
}

/* Every test in the place of which its tries run. Returns how many failed. */
static int run_all(const char *name, const struct CMUnitTest *tests, size_t count)
{
	struct CMUnitTest all[TESTS_MAX];
	size_t wanted = 0;

	if (count > TESTS_MAX)
		return 1;
	for (size_t i = 0; i < count; i++) {
		if (wanted_name() && strcmp(wanted_name(), tests[i].name) != 0)
			continue;
		all[wanted++] = (struct CMUnitTest){
			.name = tests[i].name,
			.test_func = run_tries,
			.setup_func = setup_tries,
			.teardown_func = teardown_tries,
			.initial_state = (void *)(uintptr_t)&tests[i],
		};
	}
	return wanted ? _cmocka_run_group_tests(name, all, wanted, NULL, NULL) : 1;
}

static int list_all(const struct CMUnitTest *tests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		print_message("%s\n", tests[i].name);
	return 0;
}

int case_run_group(const char *name, const struct CMUnitTest *tests, size_t count)
{
	pthread_t thread;
	int failed;

	if (is_list_wanted())
		return list_all(tests, count);
	alarm(PROGRAM_SECONDS);
	(void)setpriority(PRIO_PROCESS, 0, SOUND_NICE);
	for (int i = 0; i < WATCHERS; i++)
		if (pthread_create(&thread, NULL, watch_machine, NULL) != 0)
			return 1;
	failed = run_all(name, tests, count);
	print_message("timing: %u judged, %u not judged%s\n", judged, unjudged,
		      unjudged ? ", the machine was late" : "");
	if (failed == 0 && unjudged > 0 && judged == 0) {
		print_message(
			"skipped: the machine was late in each of %d tries, no timing could be "
			"judged\n",
			CASE_TRIES);
		return 77;
	}
	return failed;
}

int case_run_ours(const char *name, const struct CMUnitTest *tests, size_t count)
{
	if (!is_list_wanted() && case_lacks_backend())
		return 77;
	return case_run_group(name, tests, count);
}

static void serve(struct test_case *c, const struct fake_options *options)
{
	if (!case_is_other())
		assert_int_equal(fake_start(c->socket, options, &c->backend), 0);
}

void case_serve(struct test_case *c, uint32_t quantum)
{
	serve(c, &(struct fake_options){.quantum = quantum});
}

void case_serve_far(struct test_case *c, uint32_t quantum)
{
	serve(c, &(struct fake_options){.quantum = quantum, .is_far = true});
}

void case_serve_anew(struct test_case *c, uint32_t quantum)
{
	fake_stop(c->backend);
	c->backend = NULL;
	c->written = 0;
	case_serve(c, quantum);
}

int case_try_open(struct test_case *c, snd_pcm_stream_t stream, int mode, const char *config,
		  snd_pcm_t **out)
{
	char text[600];
	snd_config_t *top;
	int res;

	if (case_is_other())
		return snd_pcm_open(out, getenv("XARING_TEST_PCM"), stream, mode);
	snprintf(text, sizeof(text),
		 "pcm_type.xen { lib \"%s\" } pcm.xen { type xen socket \"%s\" %s }", PLUGIN,
		 c->socket, config ? config : "");
	assert_int_equal(snd_config_load_string(&top, text, 0), 0);
	res = snd_pcm_open_lconf(out, "xen", stream, mode, top);
	snd_config_delete(top);
	return res;
}

snd_pcm_t *case_open(struct test_case *c, int mode)
{
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_PLAYBACK, mode, NULL, &c->pcm), 0);
	return c->pcm;
}

void case_close(struct test_case *c)
{
	assert_int_equal(snd_pcm_close(c->pcm), 0);
	c->pcm = NULL;
}

static void set_defaults(struct shape *s)
{
	if (!s->format)
		s->format = SND_PCM_FORMAT_S16_LE;
	if (!s->channels)
		s->channels = 2;
	if (!s->rate)
		s->rate = 48000;
	if (!s->period)
		s->period = 1024;
	if (!s->buffer)
		s->buffer = 4096;
	if (!s->start)
		s->start = s->buffer;
	if (!s->stop)
		s->stop = FOREVER;
	if (!s->avail_min)
		s->avail_min = s->period;
}

static int set_software(snd_pcm_t *pcm, const struct shape *s)
{
	snd_pcm_uframes_t boundary;
	snd_pcm_sw_params_t *sw;

	snd_pcm_sw_params_alloca(&sw);
	assert_int_equal(snd_pcm_sw_params_current(pcm, sw), 0);
	snd_pcm_sw_params_get_boundary(sw, &boundary);
	snd_pcm_sw_params_set_start_threshold(pcm, sw, s->start == FOREVER ? boundary : s->start);
	snd_pcm_sw_params_set_stop_threshold(pcm, sw, s->stop == FOREVER ? boundary : s->stop);
	snd_pcm_sw_params_set_avail_min(pcm, sw, s->avail_min);
	snd_pcm_sw_params_set_period_event(pcm, sw, s->period_event);
	snd_pcm_sw_params_set_silence_threshold(pcm, sw, s->silence_threshold);
	snd_pcm_sw_params_set_silence_size(pcm, sw,
					   s->silence_size == FOREVER ? boundary : s->silence_size);
	return snd_pcm_sw_params(pcm, sw);
}

int case_try_software(snd_pcm_t *pcm, struct shape shape)
{
	set_defaults(&shape);
	return set_software(pcm, &shape);
}

int case_try_shape(struct test_case *c, snd_pcm_t *pcm, struct shape s)
{
	snd_pcm_hw_params_t *hw;
	int res;

	set_defaults(&s);
	snd_pcm_hw_params_alloca(&hw);
	assert_true(snd_pcm_hw_params_any(pcm, hw) >= 0);
	res = snd_pcm_hw_params_set_access(pcm, hw,
					   s.mmap ? SND_PCM_ACCESS_MMAP_INTERLEAVED
						  : SND_PCM_ACCESS_RW_INTERLEAVED);
	if (res == 0)
		res = snd_pcm_hw_params_set_format(pcm, hw, s.format);
	if (res == 0)
		res = snd_pcm_hw_params_set_channels(pcm, hw, s.channels);
	if (res == 0)
		res = snd_pcm_hw_params_set_rate(pcm, hw, s.rate, 0);
	if (res == 0)
		res = snd_pcm_hw_params_set_period_size(pcm, hw, s.period, 0);
	if (res == 0)
		res = snd_pcm_hw_params_set_buffer_size(pcm, hw, s.buffer);
	if (res == 0)
		res = snd_pcm_hw_params(pcm, hw);
	if (res < 0)
		return res;
	assert_int_equal(set_software(pcm, &s), 0);
	c->format = s.format;
	c->frame_bytes = s.channels * (uint32_t)snd_pcm_format_physical_width(s.format) / 8;
	return 0;
}

void case_shape(struct test_case *c, struct shape shape)
{
	assert_int_equal(case_try_shape(c, c->pcm, shape), 0);
}

/* A number that looks random, of a number. */
static uint32_t mix(uint32_t n)
{
	n = (n ^ 61) ^ (n >> 16);
	n *= 9;
	n ^= n >> 4;
	n *= 0x27d4eb2d;
	return n ^ n >> 15;
}

static void fill_sample(const struct test_case *c, uint8_t *to, uint32_t bytes, uint32_t n)
{
	uint32_t value = mix(n);
	float f = (float)(int32_t)value / 2147483648.0f;

	if (c->format == SND_PCM_FORMAT_FLOAT_LE)
		memcpy(to, &f, sizeof(f));
	else
		memcpy(to, &value, bytes);
}

void case_fill(const struct test_case *c, void *to, uint32_t first, uint32_t frames)
{
	uint32_t bytes = (uint32_t)snd_pcm_format_physical_width(c->format) / 8;
	uint32_t channels = c->frame_bytes / bytes;
	uint8_t *at = to;

	for (uint32_t n = first * channels; n < (first + frames) * channels; n++, at += bytes)
		fill_sample(c, at, bytes, n);
}

static snd_pcm_sframes_t write_mmap(struct test_case *c, uint32_t frames)
{
	const snd_pcm_channel_area_t *areas;
	snd_pcm_uframes_t offset, size = frames;
	snd_pcm_sframes_t avail = snd_pcm_avail_update(c->pcm);
	int res;

	if (avail <= 0)
		return avail < 0 ? avail : -EAGAIN;
	res = snd_pcm_mmap_begin(c->pcm, &areas, &offset, &size);
	if (res < 0)
		return res;
	case_fill(c, (char *)areas->addr + areas->first / 8 + offset * c->frame_bytes, c->written,
		  (uint32_t)size);
	return snd_pcm_mmap_commit(c->pcm, offset, size);
}

static bool is_mmap(snd_pcm_t *pcm)
{
	snd_pcm_access_t access;
	snd_pcm_hw_params_t *hw;

	snd_pcm_hw_params_alloca(&hw);
	assert_int_equal(snd_pcm_hw_params_current(pcm, hw), 0);
	assert_int_equal(snd_pcm_hw_params_get_access(hw, &access), 0);
	return access == SND_PCM_ACCESS_MMAP_INTERLEAVED;
}

snd_pcm_sframes_t case_write_some(struct test_case *c, uint32_t frames)
{
	snd_pcm_sframes_t res;
	void *buffer;

	if (is_mmap(c->pcm)) {
		res = write_mmap(c, frames);
	} else {
		buffer = malloc((size_t)frames * c->frame_bytes);
		assert_non_null(buffer);
		case_fill(c, buffer, c->written, frames);
		res = snd_pcm_writei(c->pcm, buffer, frames);
		free(buffer);
	}
	if (res > 0)
		c->written += (uint32_t)res;
	return res;
}

/* Of an access that does not start the stream by itself, when the buffer is full. */
static void start_if_prepared(struct test_case *c)
{
	if (snd_pcm_state(c->pcm) == SND_PCM_STATE_PREPARED)
		assert_int_equal(snd_pcm_start(c->pcm), 0);
}

void case_write(struct test_case *c, uint32_t frames, uint32_t piece)
{
	while (frames > 0) {
		snd_pcm_sframes_t res = case_write_some(c, frames < piece ? frames : piece);

		/* 0: full and not started, which a kernel device calls -EAGAIN. */
		if (res == -EAGAIN || res == 0) {
			start_if_prepared(c);
			assert_int_equal(snd_pcm_wait(c->pcm, 5000), 1);
			continue;
		}
		assert_true(res > 0);
		frames -= (uint32_t)res;
	}
}

void case_wait_consumed(struct test_case *c, uint32_t i, uint32_t frames)
{
	if (c->backend)
		case_wait_until(fake_consumed(c->backend, i) >= frames);
}

/* A backend that itself rested for as long as a dead one does was taken for dead, and rightly. */
static bool was_taken_for_dead(struct test_case *c)
{
	return fake_late_ns(c->backend) > DEAD_NS;
}

bool case_has_consumed(struct test_case *c, uint32_t i, uint32_t frames)
{
	static struct case_place content = {.text = "what the backend consumed"};
	uint64_t end_ns = case_now_ns() + 5 * NS_PER_S;

	if (!c->backend)
		return false;
	/* It may rest still, and what it would have had to take is gone. */
	while (!was_taken_for_dead(c) && fake_consumed(c->backend, i) < frames) {
		if (case_now_ns() > end_ns)
			fail_msg("%u of %u frames consumed, the latest cycle was %u us late",
				 fake_consumed(c->backend, i), frames,
				 (unsigned int)(fake_late_ns(c->backend) / 1000));
		poll(NULL, 0, 1);
	}
	if (was_taken_for_dead(c)) {
		case_judge(&content, false);
		return false;
	}
	return true;
}

void case_expect(struct test_case *c, uint32_t i, uint32_t first, uint32_t frames)
{
	uint32_t count;
	char *sound, *expected;

	if (!case_has_consumed(c, i, frames))
		return;
	sound = fake_sound(c->backend, i, &count);
	expected = malloc((size_t)frames * c->frame_bytes + 1);
	assert_non_null(expected);
	case_fill(c, expected, first, frames);
	assert_int_equal(count, frames);
	if (frames)
		assert_memory_equal(sound, expected, (size_t)frames * c->frame_bytes);
	free(expected);
	free(sound);
}

unsigned short case_poll(snd_pcm_t *pcm, int timeout_ms)
{
	struct pollfd pfds[8];
	unsigned short revents = 0;
	int count = snd_pcm_poll_descriptors(pcm, pfds, 8);

	assert_in_range(count, 1, 8);
	if (poll(pfds, (nfds_t)count, timeout_ms) > 0)
		assert_int_equal(snd_pcm_poll_descriptors_revents(pcm, pfds, (unsigned int)count,
								  &revents),
				 0);
	return revents;
}
