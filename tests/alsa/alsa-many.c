/* SPDX-License-Identifier: MIT */
/*
 * Many handles, threads and processes, and many times the same: nothing disturbs another, and nothing is
 * left behind.
 */
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "descriptors.h"
#include "level.h"

#define HANDLES 6

extern char **environ;

static void handles_of_one_process_do_not_mix(void **state)
{
	struct test_case *c = *state, each[HANDLES];

	case_serve(c, 512);
	for (int i = 0; i < HANDLES; i++) {
		each[i] = *c;
		case_open(&each[i], i % 2 ? SND_PCM_NONBLOCK : 0);
		case_shape(&each[i],
			   (struct shape){.channels = 1 + (unsigned int)i % 2, .mmap = i % 3 == 0});
		/* Sound of its own. */
		each[i].written = (uint32_t)i * 100000;
	}
	for (uint32_t round = 0; round < 20; round++)
		for (uint32_t i = 0; i < HANDLES; i++)
			case_write(&each[i], 300 + i, 300);
	for (uint32_t i = 0; i < HANDLES; i++) {
		assert_int_equal(snd_pcm_nonblock(each[i].pcm, 0), 0);
		assert_int_equal(snd_pcm_drain(each[i].pcm), 0);
		case_expect(&each[i], i, i * 100000, 20 * (300 + i));
		case_close(&each[i]);
	}
}

struct player {
	struct test_case own;
	pthread_t thread;
	uint32_t rounds;
	bool is_done;
};

/* No assertion in a thread of its own: cmocka would leave it for the test's. */
static bool play_once(struct test_case *c)
{
	char frames[500 * 4];
	bool ok = true;

	if (case_try_open(c, SND_PCM_STREAM_PLAYBACK, 0, NULL, &c->pcm) != 0)
		return false;
	ok = snd_pcm_set_params(c->pcm, SND_PCM_FORMAT_S16_LE, SND_PCM_ACCESS_RW_INTERLEAVED, 2,
				48000, 1, 20000) == 0;
	memset(frames, 1, sizeof(frames));
	for (int i = 0; ok && i < 4; i++)
		ok = snd_pcm_writei(c->pcm, frames, 500) == 500;
	ok = ok && snd_pcm_drain(c->pcm) == 0;
	return snd_pcm_close(c->pcm) == 0 && ok;
}

static void *play_in_thread(void *data)
{
	struct player *p = data;

	for (p->is_done = true; p->rounds > 0; p->rounds--)
		p->is_done &= play_once(&p->own);
	return NULL;
}

static void threads_open_play_and_close(void **state)
{
	struct player players[4];
	struct test_case *c = *state;

	case_serve(c, 512);
	for (int i = 0; i < 4; i++) {
		players[i] = (struct player){.own = *c, .rounds = 4};
		assert_int_equal(pthread_create(&players[i].thread, NULL, play_in_thread,
						&players[i]),
				 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(players[i].thread, NULL);
	for (int i = 0; i < 4; i++)
		assert_true(players[i].is_done);
	if (c->backend)
		case_wait_until(fake_streams_alive(c->backend) == 0);
}

static volatile bool is_over;

static void *ask_in_thread(void *pcm)
{
	snd_pcm_sframes_t avail, delay;
	snd_pcm_status_t *status;

	snd_pcm_status_alloca(&status);
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
		snd_pcm_avail_delay(pcm, &avail, &delay);
		snd_pcm_status(pcm, status);
		snd_pcm_state(pcm);
		snd_pcm_rewindable(pcm);
		case_pass(1);
	}
	return NULL;
}

static void one_handle_is_asked_by_many_threads(void **state)
{
	struct test_case *c = *state;
	pthread_t threads[3];

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	is_over = false;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_in_thread, c->pcm), 0);
	case_write(c, 20000, 300);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	case_expect(c, 0, 0, 20000);
}

/* Other programs are started while it plays: they get nothing of it, and do not disturb it. */
static void programs_that_are_executed_disturb_nothing(void **state)
{
	char script[] = "for f in /proc/self/fd/*; do readlink $f; done |"
			" grep -qE 'memfd|socket:|timerfd|eventpoll|/snd/' && exit 1; exit 0";
	char sh[] = "sh", with[] = "-c";
	char *command[] = {sh, with, script, NULL};
	struct test_case *c = *state;
	int status;
	pid_t pid;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	for (int i = 0; i < 5; i++) {
		case_write(c, 4000, 500);
		assert_int_equal(posix_spawnp(&pid, "sh", NULL, NULL, command, environ), 0);
		case_write(c, 4000, 500);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 40000);
}

static long kept_bytes(void)
{
	return (long)mallinfo2().uordblks;
}

static uint32_t mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	uint32_t count = 0;
	int c;

	assert_non_null(file);
	while ((c = fgetc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

struct kept {
	uint32_t descriptors, mappings;
	long bytes;
};

static struct kept what_is_kept(void)
{
	struct kept kept = {.mappings = mappings(), .descriptors = open_descriptors()};

	kept.bytes = kept_bytes();
	return kept;
}

/* Some kilobytes are caches of the C library's, some mappings its arenas. */
static void assert_nothing_kept(const struct kept *before)
{
	struct kept now = what_is_kept();

	assert_int_equal(now.descriptors, before->descriptors);
	assert_in_range(now.mappings, 0, before->mappings + 4);
	if (now.bytes - before->bytes > 8192)
		print_error("%ld bytes are kept\n", now.bytes - before->bytes);
	assert_true(now.bytes - before->bytes <= 8192);
}

static void opening_many_times_keeps_nothing(void **state)
{
	uint64_t count = level_count(100000);
	struct test_case *c = *state;
	struct kept before;

	case_serve(c, 1024);
	for (uint64_t i = 0; i < count; i++) {
		if (i == count / 10)
			before = what_is_kept();
		assert_int_equal(case_try_open(c,
					       i % 3 ? SND_PCM_STREAM_PLAYBACK
						     : SND_PCM_STREAM_CAPTURE,
					       i % 2 ? SND_PCM_NONBLOCK : 0, NULL, &c->pcm),
				 0);
		case_close(c);
	}
	assert_nothing_kept(&before);
}

/* A stream of the backend's each time, dropped, drained, or just left. */
static void streams_many_times_keep_nothing(void **state)
{
	uint64_t count = level_count(5000);
	struct test_case *c = *state;
	struct kept before;

	case_serve(c, 64);
	for (uint64_t i = 0; i < count; i++) {
		if (i == count / 10) {
			case_serve_anew(c, 64);
			before = what_is_kept();
		}
		c->written = 0;
		case_open(c, 0);
		case_shape(c, (struct shape){.start = 1, .mmap = i % 4 == 1});
		case_write(c, 100, 100);
		if (i % 4 == 0)
			assert_int_equal(snd_pcm_drop(c->pcm), 0);
		if (i % 32 == 1)
			assert_int_equal(snd_pcm_drain(c->pcm), 0);
		case_close(c);
	}
	/* The backend keeps what it has heard. */
	case_serve_anew(c, 64);
	assert_nothing_kept(&before);
}

/* With a stream of this handle, and none of those before it. */
static struct kept what_a_stream_keeps(struct test_case *c)
{
	case_shape(c, (struct shape){0});
	if (c->backend)
		case_wait_until(fake_streams_alive(c->backend) == 1);
	return what_is_kept();
}

/* The same handle, with other parameters each time. */
static void setting_up_many_times_keeps_nothing(void **state)
{
	uint64_t count = level_count(5000);
	struct test_case *c = *state;
	struct kept before;

	case_serve(c, 64);
	case_open(c, 0);
	for (uint64_t i = 0; i < count; i++) {
		if (i == count / 10)
			before = what_a_stream_keeps(c);
		if (case_try_shape(c, c->pcm, (struct shape){.period = 256u << i % 3}) != 0) {
			assert_true(case_is_other());
			case_lacks("it remembers what was installed once");
			return;
		}
		if (i % 2)
			assert_int_equal(snd_pcm_hw_free(c->pcm), 0);
	}
	what_a_stream_keeps(c);
	assert_nothing_kept(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(handles_of_one_process_do_not_mix),
		case_test(threads_open_play_and_close),
		case_test(one_handle_is_asked_by_many_threads),
		case_test(programs_that_are_executed_disturb_nothing),
		case_test(opening_many_times_keeps_nothing),
		case_test(streams_many_times_keep_nothing),
		case_test(setting_up_many_times_keeps_nothing),
	};

	return case_run(tests);
}
