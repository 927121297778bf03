/* SPDX-License-Identifier: MIT */
/* Opening and closing: at once, whatever the state; what a wrong configuration says. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "case.h"
#include "descriptors.h"

static void open_without_server_is_instant(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	case_open(c, 0); /* loads the module, which takes its time */
	snd_pcm_close(c->pcm);
	begin_ns = case_now_ns();
	case_open(c, 0);
	case_timing(case_now_ns() - begin_ns < 50 * NS_PER_MS);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_OPEN);
	assert_int_equal(snd_pcm_poll_descriptors_count(c->pcm), 1);
	if (!case_is_other())
		assert_int_equal(snd_pcm_type(c->pcm), SND_PCM_TYPE_IOPLUG);
}

static void open_does_not_connect(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	case_open(c, 0);
	case_pass(50);
	assert_int_equal(fake_streams(c->backend), 0);
	case_shape(c, (struct shape){0});
	assert_int_equal(fake_streams(c->backend), 1);
}

/* Brings the PCM into each state and closes it there. */
static void close_in_each_state(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 1024);
	for (int s = 0; s < 8; s++) {
		snd_pcm_t *pcm = case_open(c, s == 6 ? SND_PCM_NONBLOCK : 0);

		c->written = 0;
		if (s >= 1)
			case_shape(c, (struct shape){.start = s == 1 ? FOREVER : 1, .stop = 4096});
		if (s == 2)
			snd_pcm_drop(pcm);
		if (s >= 3)
			case_write(c, 3000, 3000);
		if (s == 4 && case_can_pause(c))
			assert_int_equal(snd_pcm_pause(pcm, 1), 0);
		if (s == 5)
			assert_int_equal(snd_pcm_drain(pcm), 0);
		if (s == 6)
			assert_int_equal(snd_pcm_drain(pcm), -EAGAIN);
		if (s == 7)
			case_wait_until(snd_pcm_avail(pcm) == -EPIPE);
		assert_int_equal(snd_pcm_close(pcm), 0);
		c->pcm = NULL;
	}
	if (c->backend)
		case_wait_until(fake_streams_alive(c->backend) == 0);
}

/* What a program may ask for when it opens: it gets it, or it is something that this is not about. */
static void every_mode_opens(void **state)
{
	static const int modes[] = {0,
				    SND_PCM_NONBLOCK,
				    SND_PCM_NO_AUTO_RESAMPLE,
				    SND_PCM_NO_AUTO_CHANNELS,
				    SND_PCM_NO_AUTO_FORMAT,
				    SND_PCM_NO_SOFTVOL,
				    0x80, /* SND_PCM_EINTR, which old headers lack */
				    SND_PCM_NONBLOCK | SND_PCM_NO_AUTO_FORMAT | 0x80};
	struct test_case *c = *state;

	case_serve(c, 256);
	for (size_t i = 0; i < 2 * sizeof(modes) / sizeof(modes[0]); i++) {
		snd_pcm_stream_t stream = i % 2 ? SND_PCM_STREAM_CAPTURE : SND_PCM_STREAM_PLAYBACK;
		int mode = modes[i / 2];
		char frames[4 * 4096] = {0};

		assert_int_equal(case_try_open(c, stream, mode, NULL, &c->pcm), 0);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_OPEN);
		assert_int_equal(snd_pcm_stream(c->pcm), stream);
		case_shape(c, (struct shape){.start = 1});
		if (stream == SND_PCM_STREAM_PLAYBACK)
			assert_int_equal(snd_pcm_writei(c->pcm, frames, 2000), 2000);
		else if (mode & SND_PCM_NONBLOCK)
			assert_true(snd_pcm_readi(c->pcm, frames, 2000) < 2000);
		else
			assert_int_equal(snd_pcm_readi(c->pcm, frames, 2000), 2000);
		case_close(c);
	}
}

/* Nothing here blocks: neither what waits for room, nor for frames, nor for the end. */
static void nothing_blocks_that_must_not(void **state)
{
	struct test_case *c = *state;
	char frames[4 * 4096] = {0};
	uint64_t begin_ns;

	case_serve(c, 512);
	case_open(c, SND_PCM_NONBLOCK);
	begin_ns = case_now_ns();
	case_shape(c, (struct shape){.start = 4096});
	assert_int_equal(snd_pcm_writei(c->pcm, frames, 4096), 4096);
	assert_true(snd_pcm_writei(c->pcm, frames, 4096) < 4096);
	assert_int_equal(snd_pcm_drain(c->pcm), -EAGAIN);
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	case_close(c);
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK, NULL, &c->pcm),
			 0);
	case_shape(c, (struct shape){.start = 1});
	assert_true(snd_pcm_readi(c->pcm, frames, 4096) < 4096);
	assert_true(snd_pcm_drain(c->pcm) == 0 || case_is_other());
	case_timing(case_now_ns() - begin_ns < 60 * NS_PER_MS);
}

/* It may be changed at any time, and holds for the next call; a card's writes keep the mode of the open. */
static void blocking_can_be_switched(void **state)
{
	struct test_case *c = *state;
	char frames[4 * 4096] = {0};

	case_serve(c, 256);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	for (int i = 0; i < 3; i++) {
		assert_int_equal(snd_pcm_nonblock(c->pcm, 1), 0);
		assert_true(snd_pcm_writei(c->pcm, frames, 4096) > 0);
		if (case_is_ioplug(c, "a write follows the mode"))
			assert_int_equal(snd_pcm_writei(c->pcm, frames, 4096), -EAGAIN);
		else
			assert_int_equal(snd_pcm_writei(c->pcm, frames, 4096), 4096);
		assert_int_equal(snd_pcm_nonblock(c->pcm, 0), 0);
		assert_int_equal(snd_pcm_writei(c->pcm, frames, 2048), 2048);
		assert_int_equal(snd_pcm_wait(c->pcm, 1000), 1);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
}

/* A signal for each period is what kernel devices have. */
static void asynchronous_mode_is_had_or_refused(void **state)
{
	snd_async_handler_t *handler;
	struct test_case *c = *state;

	case_open(c, 0);
	case_shape(c, (struct shape){0});
	if (case_is_ioplug(c, "there are no signals for periods"))
		assert_int_equal(snd_async_add_pcm_handler(&handler, c->pcm, NULL, NULL), -ENOSYS);
	case_write(c, 2000, 2000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
}

static void play_a_little(struct test_case *c)
{
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	case_write(c, 500, 500);
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	assert_int_equal(snd_pcm_hw_free(c->pcm), 0);
	case_shape(c, (struct shape){.period = 512});
	assert_int_equal(snd_pcm_close(c->pcm), 0);
	c->pcm = NULL;
}

static void no_descriptor_leaks(void **state)
{
	struct test_case *c = *state;
	uint32_t before;

	play_a_little(c);
	before = open_descriptors();
	for (int i = 0; i < 5; i++)
		play_a_little(c);
	assert_int_equal(open_descriptors(), before);
	case_serve(c, 1024);
	before = open_descriptors();
	for (int i = 0; i < 5; i++)
		play_a_little(c);
	if (c->backend)
		case_wait_until(fake_streams_alive(c->backend) == 0);
	assert_int_equal(open_descriptors(), before);
}

static void assert_refused(struct test_case *c, const char *config, const char *key,
			   const char *value)
{
	snd_pcm_t *pcm = NULL;

	c->errors[0] = '\0';
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_PLAYBACK, 0, config, &pcm), -EINVAL);
	assert_non_null(strstr(c->errors, key));
	assert_non_null(strstr(c->errors, value));
	assert_non_null(strstr(c->errors, "accepted"));
	c->errors[0] = '\0';
}

static void wrong_configuration_is_refused(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	assert_refused(c, "sokcet \"/x\"", "sokcet", "/x");
	assert_refused(c, "rate 48000", "rate", "48000");
	assert_refused(c, "name 5", "name", "5");
	assert_refused(c, "name { a b }", "name", "{...}");
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

/* The file that is installed, with the module of the build. */
static void installed_definition_is_listed_and_opens(void **state)
{
	struct test_case *c = *state;
	char path[120], text[600], *name, *description;
	void **hints, **hint;
	bool found = false;

	if (case_lacks_backend())
		return;
	snprintf(path, sizeof(path), "%s/conf", c->dir);
	snprintf(text, sizeof(text), "pcm_type.xen { lib \"%s\" }\n<%s/60-xen.conf>\n", PLUGIN,
		 CONF_DIR);
	write_text(path, text);
	setenv("ALSA_CONFIG_PATH", path, 1);
	setenv("XARING_SOCKET", c->socket, 1);
	snd_config_update_free_global();
	assert_int_equal(snd_device_name_hint(-1, "pcm", &hints), 0);
	for (hint = hints; *hint; hint++) {
		name = snd_device_name_get_hint(*hint, "NAME");
		description = snd_device_name_get_hint(*hint, "DESC");
		if (name && strcmp(name, "xen") == 0 && description)
			found = strstr(description, "xaring") != NULL;
		free(name);
		free(description);
	}
	snd_device_name_free_hint(hints);
	assert_true(found);

	case_serve(c, 1024);
	assert_int_equal(snd_pcm_open(&c->pcm, "xen", SND_PCM_STREAM_PLAYBACK, 0), 0);
	case_shape(c, (struct shape){0});
	assert_int_equal(fake_streams(c->backend), 1);
	snd_pcm_close(c->pcm);
	unsetenv("XARING_SOCKET");
	snprintf(text, sizeof(text), "xen:SOCKET=%s,NAME=Radio", c->socket);
	assert_int_equal(snd_pcm_open(&c->pcm, text, SND_PCM_STREAM_PLAYBACK, 0), 0);
	case_shape(c, (struct shape){0});
	assert_int_equal(fake_streams(c->backend), 2);
	snd_pcm_close(c->pcm);
	c->pcm = NULL;
	unsetenv("ALSA_CONFIG_PATH");
	snd_config_update_free_global();
	unlink(path);
}

/* What people see who look for devices. */
static void aplay_lists_it(void **state)
{
	struct test_case *c = *state;
	char path[120], text[600], line[200];
	bool is_listed = false, is_described = false;
	FILE *list;

	if (case_lacks_backend())
		return;
	if (system("command -v aplay >/dev/null") != 0) {
		case_lacks("aplay is not installed");
		return;
	}
	snprintf(path, sizeof(path), "%s/conf", c->dir);
	snprintf(text, sizeof(text), "pcm_type.xen { lib \"%s\" }\n<%s/60-xen.conf>\n", PLUGIN,
		 CONF_DIR);
	write_text(path, text);
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "ALSA_CONFIG_PATH=%s %s -L", path,
			 i ? "arecord" : "aplay");
		list = popen(text, "r");
		assert_non_null(list);
		is_listed = is_described = false;
		while (fgets(line, sizeof(line), list)) {
			is_described |= is_listed && strstr(line, "xaring");
			is_listed |= strcmp(line, "xen\n") == 0;
		}
		assert_int_equal(pclose(list), 0);
		assert_true(is_listed && is_described);
	}
	unlink(path);
}

static void dump_describes_the_link(void **state)
{
	struct test_case *c = *state;
	snd_output_t *out;
	char *text;

	if (case_lacks_backend())
		return;
	case_open(c, 0);
	assert_int_equal(snd_output_buffer_open(&out), 0);
	snd_pcm_dump(c->pcm, out);
	case_shape(c, (struct shape){0});
	snd_pcm_dump(c->pcm, out);
	snd_output_putc(out, 0);
	snd_output_buffer_string(out, &text);
	assert_non_null(strstr(text, c->socket));
	assert_non_null(strstr(text, "S16_LE"));
	snd_output_close(out);
}

/* What the plugin says meanwhile, with XARING_DEBUG. It stays on for this process, so these tests are the last. */
struct diversion {
	char path[120];
	int before; /* standard error as it was */
};

static void begin_diversion(const struct test_case *c, struct diversion *d)
{
	int fd;

	snprintf(d->path, sizeof(d->path), "%s/errors", c->dir);
	d->before = dup(STDERR_FILENO);
	fd = open(d->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(d->before >= 0 && fd >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	setenv("XARING_DEBUG", "1", 1);
}

static void read_diversion(const struct diversion *d, char text[4000])
{
	FILE *file = fopen(d->path, "r");

	assert_non_null(file);
	text[fread(text, 1, 3999, file)] = '\0';
	fclose(file);
}

static void end_diversion(const struct diversion *d)
{
	unsetenv("XARING_DEBUG");
	dup2(d->before, STDERR_FILENO);
	close(d->before);
	unlink(d->path);
}

static void debugging_tells_of_the_link(void **state)
{
	struct test_case *c = *state;
	struct diversion d;
	char text[4000];

	if (case_lacks_backend())
		return;
	begin_diversion(c, &d);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	case_serve(c, 512);
	while (c->written < 48000 && fake_streams(c->backend) == 0)
		case_write(c, 1024, 1024);
	case_write(c, 9600, 1024);
	read_diversion(&d, text);
	end_diversion(&d);
	assert_non_null(strstr(text, "not connected"));
	assert_non_null(strstr(text, "linked, attached"));
	assert_null(strstr(text, "microphone"));
}

static unsigned count_texts(const char *in, const char *text)
{
	unsigned count = 0;

	for (in = strstr(in, text); in; in = strstr(in + 1, text))
		count++;
	return count;
}

/* Records until the plugin has said it so often; it has no other reason to look. */
static void record_until_told(struct test_case *c, const struct diversion *d, const char *what,
			      unsigned times)
{
	char text[4000], frames[480 * 4];

	case_wait_until((assert_int_equal(snd_pcm_readi(c->pcm, frames, 480), 480),
			 read_diversion(d, text), count_texts(text, what) >= times));
	assert_int_equal(count_texts(text, what), times);
}

static void debugging_tells_whether_the_microphone_is_allowed(void **state)
{
	struct test_case *c = *state;
	struct diversion d;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	begin_diversion(c, &d);
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, 0, NULL, &c->pcm), 0);
	case_shape(c, (struct shape){0});
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	record_until_told(c, &d, "microphone: denied by the backend", 1);
	fake_hear(c->backend, true);
	record_until_told(c, &d, "microphone: allowed by the backend", 1);
	fake_hear(c->backend, false);
	record_until_told(c, &d, "microphone: denied by the backend", 2);
	record_until_told(c, &d, "microphone: allowed by the backend", 1);
	end_diversion(&d);
}

static void debugging_tells_what_is_asked_for(void **state)
{
	struct test_case *c = *state;
	struct diversion d;
	char text[4000];
	const char *asked, *again;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	begin_diversion(c, &d);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	case_write(c, 4000, 4000);
	assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	assert_int_equal(snd_pcm_pause(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	read_diversion(&d, text);
	asked = strstr(text, "paused, ");
	assert_non_null(asked);
	assert_in_range(strtol(asked + strlen("paused, "), NULL, 10), 1, 4000);
	again = strstr(asked, "resumed, ");
	assert_non_null(again);
	assert_memory_equal(again + strlen("resumed"), asked + strlen("paused"), 5);
	assert_non_null(strstr(again, "drains, "));
	assert_non_null(strstr(again, "]: stopped, 0 of 4000 frames are not played"));
	assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	case_write(c, 4000, 4000);
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	read_diversion(&d, text);
	end_diversion(&d);
	assert_int_equal(count_texts(text, "]: stopped, "), 2);
	assert_int_equal(count_texts(text, "]: stopped, 0 "), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(open_without_server_is_instant),
		case_test(open_does_not_connect),
		case_test(close_in_each_state),
		case_test(every_mode_opens),
		case_test(nothing_blocks_that_must_not),
		case_test(blocking_can_be_switched),
		case_test(asynchronous_mode_is_had_or_refused),
		case_test(no_descriptor_leaks),
		case_test(wrong_configuration_is_refused),
		case_test(installed_definition_is_listed_and_opens),
		case_test(aplay_lists_it),
		case_test(dump_describes_the_link),
		case_test(debugging_tells_of_the_link),
		case_test(debugging_tells_whether_the_microphone_is_allowed),
		case_test(debugging_tells_what_is_asked_for),
	};

	return case_run(tests);
}
