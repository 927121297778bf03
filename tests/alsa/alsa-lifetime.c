/* SPDX-License-Identifier: MIT */
/* Processes and servers that come and go while a stream is open. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define DESCRIPTORS 256

static void wait_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a child: its own copy of the case ends here, whatever happened. */
static _Noreturn void end_child(struct test_case *c, bool ok)
{
	_exit(snd_pcm_close(c->pcm) < 0 || !ok);
}

static void child_plays_and_parent_closes(void **state)
{
	struct test_case *c = *state;
	pid_t pid;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){0});
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		case_write(c, 24000, 512);
		end_child(c, snd_pcm_drain(c->pcm) == 0);
	}
	case_wait_consumed(c, 0, 5000);
	assert_int_equal(snd_pcm_close(c->pcm), 0);
	c->pcm = NULL;
	wait_child(pid);
	case_expect(c, 0, 0, 24000);
	case_wait_until(fake_streams_alive(c->backend) == 0);
}

/* A child that polls, rather than blocks, with the descriptor that both know. */
static void child_plays_by_polling(void **state)
{
	struct test_case *c = *state;
	pid_t pid;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = FOREVER});
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		case_write(c, 1000, 1000);
		while (c->written < 24000) {
			if (case_poll(c->pcm, 2000) == POLLOUT)
				case_write_some(c, 1024);
			if (c->written > 3000 && snd_pcm_state(c->pcm) == SND_PCM_STATE_PREPARED)
				snd_pcm_start(c->pcm);
		}
		snd_pcm_nonblock(c->pcm, 0);
		end_child(c, snd_pcm_drain(c->pcm) == 0);
	}
	/* Closing what the child has not begun to use would end the stream. */
	case_wait_consumed(c, 0, 1);
	assert_int_equal(snd_pcm_close(c->pcm), 0);
	c->pcm = NULL;
	wait_child(pid);
	case_wait_consumed(c, 0, 24000);
}

static void parent_plays_and_child_closes(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	for (uint32_t i = 0; i < 5; i++) {
		pid_t pid;

		case_write(c, 5000, 512);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			end_child(c, true);
		case_write(c, 5000, 512);
		wait_child(pid);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 50000);
	case_timing(fake_xruns(c->backend, 0) == 0);
}

/* Descriptors do not reach a program that is executed. */
static void descriptors_are_close_on_exec(void **state)
{
	struct test_case *c = *state;
	bool before[DESCRIPTORS];
	uint32_t count = 0;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	case_open(c, 0);
	case_shape(c, (struct shape){0});
	for (int fd = 0; fd < DESCRIPTORS; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (before[fd] || flags < 0)
			continue;
		assert_int_equal(flags & FD_CLOEXEC, FD_CLOEXEC);
		count++;
	}
	assert_in_range(count, 3, 8);
}

/* No error, no pause of the position, and the sound is back, from the present on. */
static void server_vanishes_and_returns(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t avail;
	uint64_t begin_ns, back_ns, took_ms;
	char *sound, *expected;
	uint32_t frames;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){0});
	begin_ns = case_now_ns();
	case_write(c, 24000, 1024);
	fake_stop(c->backend);
	c->backend = NULL;
	case_write(c, 24000, 1024);
	case_serve(c, 512);
	back_ns = case_now_ns();
	while (fake_streams(c->backend) == 0 || fake_consumed(c->backend, 0) < 20000) {
		case_write(c, 1024, 1024);
		avail = snd_pcm_avail(c->pcm);
		assert_in_range(avail, 0, 4096);
		if (fake_consumed(c->backend, 0) == 0)
			case_timing(case_now_ns() - back_ns < 1000 * NS_PER_MS);
	}
	/* In real time all along. */
	took_ms = (case_now_ns() - begin_ns) / NS_PER_MS;
	assert_true(c->written / 48 < took_ms + 300);
	case_timing(c->written / 48 > took_ms - 300);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	/* The new server heard an unbroken part up to the last frame. */
	sound = fake_sound(c->backend, 0, &frames);
	assert_true(frames < c->written - 24000);
	expected = malloc((size_t)frames * 4);
	case_fill(c, expected, c->written - frames, frames);
	assert_memory_equal(sound, expected, (size_t)frames * 4);
	free(expected);
	free(sound);
}

static void server_that_comes_later_is_found(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	if (case_lacks_backend())
		return;
	case_open(c, 0);
	case_shape(c, (struct shape){0});
	case_write(c, 30000, 1024);
	case_serve(c, 1024);
	begin_ns = case_now_ns();
	while (fake_consumed(c->backend, 0) < 5000) {
		case_write(c, 1024, 1024);
		case_timing(case_now_ns() - begin_ns < 1200 * NS_PER_MS);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
}

/* A server that goes away while nothing plays is no reason to wake the application for ever. */
static void vanishing_server_does_not_spin_a_poller(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;
	uint32_t wakes = 0;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = FOREVER});
	case_write(c, 4096, 4096);
	fake_stop(c->backend);
	c->backend = NULL;
	begin_ns = case_now_ns();
	while (case_now_ns() - begin_ns < 300 * NS_PER_MS) {
		assert_int_equal(case_poll(c->pcm, 100), 0);
		wakes++;
	}
	assert_true(wakes < 40);
}

static void late_refusal_is_one_message(void **state)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_POLICY};
	struct test_case *c = *state;
	char *first;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){0});
	case_write(c, 10000, 1024);
	assert_string_equal(c->errors, "");
	fake_refuse(c->backend, &refusal, true);
	case_write(c, 24000, 1024);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	first = strstr(c->errors, "xen: ");
	assert_non_null(first);
	assert_null(strstr(first + 1, "xen: "));
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	c->errors[0] = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(child_plays_and_parent_closes),
		case_test(child_plays_by_polling),
		case_test(parent_plays_and_child_closes),
		case_test(descriptors_are_close_on_exec),
		case_test(server_vanishes_and_returns),
		case_test(server_that_comes_later_is_found),
		case_test(vanishing_server_does_not_spin_a_poller),
		case_test(late_refusal_is_one_message),
	};

	return case_run(tests);
}
