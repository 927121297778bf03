/* SPDX-License-Identifier: MIT */
/*
 * The worker's life: load, shut the sandbox, do what the broker says until it is gone.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <spa/support/loop.h>
#include <spa/utils/names.h>
#include <spa/utils/result.h>

#include <xaring/log.h>

#include "glue.h"
#include "journal.h"
#include "sandbox.h"

#define SWEEP_MS 1000u

uint64_t worker_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SPA_NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static struct timespec from_ms(uint32_t ms)
{
	/* Zero would disarm the timer. */
	return (struct timespec){ms / 1000, ms ? (long)(ms % 1000) * 1000000 : 1};
}

void worker_arm(struct worker *w, struct spa_source *timer, uint32_t ms)
{
	struct timespec value = from_ms(ms);

	pw_loop_update_timer(w->loop, timer, &value, NULL, false);
}

static void set_sweep(struct worker *w, bool on)
{
	struct timespec value = on ? from_ms(SWEEP_MS) : (struct timespec){0};

	pw_loop_update_timer(w->loop, w->sweep, &value, &value, false);
}

void worker_count_stream(struct worker *w, int change)
{
	bool before = w->streams > 0;

	w->streams += (uint32_t)change;
	if (before != (w->streams > 0))
		set_sweep(w, w->streams > 0);
}

static void quit(struct worker *w, int result)
{
	w->result = result;
	pw_main_loop_quit(w->main_loop);
}

static void take_result(struct worker *w, int res)
{
	if (res == -ENODEV)
		quit(w, 0);
	else if (res < 0 && res != -EAGAIN)
		xaring_log(XARING_LOG_ERROR, "a message to the broker is lost: %s",
			   spa_strerror(res));
}

int worker_send(struct worker *w, struct ipc_message *message)
{
	int res = outbox_send(&w->outbox, message);

	take_result(w, res);
	return res;
}

/* It is watched whether the broker reads while something waits for that. */
static void watch_broker(struct worker *w)
{
	uint32_t mask = SPA_IO_IN | SPA_IO_HUP | SPA_IO_ERR;

	if (outbox_waits(&w->outbox))
		mask |= SPA_IO_OUT;
	pw_loop_update_io(w->loop, w->broker, mask);
}

void worker_post(struct worker *w, const struct ipc_message *message)
{
	bool waited = outbox_waits(&w->outbox);

	take_result(w, outbox_post(&w->outbox, message));
	if (!waited && outbox_waits(&w->outbox))
		watch_broker(w);
}

static void flush_outbox(struct worker *w)
{
	take_result(w, outbox_flush(&w->outbox));
	if (!outbox_waits(&w->outbox))
		watch_broker(w);
}

static struct guest *find_guest(struct worker *w, uint32_t id)
{
	struct guest *g;

	spa_list_for_each(g, &w->guests, link)
	{
		if (g->vm.vm == id)
			return g;
	}
	return NULL;
}

static void take_vm(struct worker *w, const struct ipc_message *message)
{
	struct guest *g;

	if (guest_create(w, message, &g) < 0)
		xaring_log(XARING_LOG_ERROR, "vm %s: out of memory", message->u.vm.name);
}

static void take_for_stream(struct guest *g, const struct ipc_message *message)
{
	struct stream *s = guest_find_stream(g, message->stream);

	if (!s)
		return;
	if (message->type == IPC_KICK)
		stream_kick(s);
	else
		stream_end(s);
}

static void take_for_guest(struct guest *g, struct ipc_message *message)
{
	switch (message->type) {
	case IPC_VM_END:
		guest_destroy(g);
		break;
	case IPC_STREAM:
		stream_open(g, message);
		break;
	case IPC_SOCKET:
		guest_take_socket(g, message->error, message->fds[0]);
		message->fds[0] = -1;
		break;
	case IPC_MICROPHONE:
		guest_set_microphone(g, message->u.microphone.allowed != 0);
		break;
	case IPC_KICK:
	case IPC_END:
		take_for_stream(g, message);
		break;
	default:
		break;
	}
}

static void take_message(struct worker *w, struct ipc_message *message)
{
	struct guest *g = find_guest(w, message->vm);

	if (g)
		take_for_guest(g, message);
	else if (message->type == IPC_VM)
		take_vm(w, message);
	ipc_message_finish(message);
}

static void on_broker(void *data, int fd, uint32_t mask)
{
	struct worker *w = data;
	struct ipc_message message;
	int res;

	if (mask & SPA_IO_OUT)
		flush_outbox(w);
	while ((res = ipc_receive(fd, &message)) == 0)
		take_message(w, &message);
	if (res == -ENODEV)
		quit(w, 0);
	else if (res != -EAGAIN) {
		xaring_log(XARING_LOG_ERROR, "the broker cannot be understood: %s",
			   spa_strerror(res));
		quit(w, 1);
	}
}

static void on_sweep(void *data, uint64_t expirations)
{
	struct worker *w = data;
	struct guest *g;

	(void)expirations;
	spa_list_for_each(g, &w->guests, link) guest_sweep(g);
}

/*
 * Makes the context, its real-time thread, and loads what nodes will need: files cannot be opened
 * later.
 */
static int load(struct worker *w)
{
	w->context =
		pw_context_new(w->loop,
			       pw_properties_new(PW_KEY_CONFIG_NAME, "xaring-pw.conf", NULL), 0);
	if (!w->context) {
		xaring_log(XARING_LOG_ERROR, "PipeWire's library cannot be set up: %m");
		return -errno;
	}
	w->pin = pw_context_load_spa_handle(w->context, SPA_NAME_AUDIO_CONVERT, NULL);
	if (!w->pin) {
		xaring_log(XARING_LOG_ERROR, "PipeWire's audio converter cannot be loaded (%m): is "
					     "context.spa-libs in xaring-pw.conf right?");
		return -ENOENT;
	}
	return 0;
}

static int watch(struct worker *w)
{
	w->sweep = pw_loop_add_timer(w->loop, on_sweep, w);
	w->broker = pw_loop_add_io(w->loop, WORKER_BROKER_FD, SPA_IO_IN | SPA_IO_HUP | SPA_IO_ERR,
				   false, on_broker, w);
	if (!w->sweep || !w->broker)
		return -errno;
	return watch_create(w);
}

static int on_data_thread(struct spa_loop *loop, bool async, uint32_t seq, const void *data,
			  size_t bytes, void *user_data)
{
	(void)loop, (void)async, (void)seq, (void)data, (void)bytes, (void)user_data;
	return sandbox_drop_capabilities();
}

/* The real-time thread has its priority since the context was made, and is sure to run by now. */
static int drop_capabilities(struct worker *w)
{
	/* Newer versions start the thread at the first question for it. */
	struct pw_data_loop *loop = pw_context_get_data_loop(w->context);
	int res;

	if (!loop)
		return -EIO;
	res = pw_data_loop_invoke(loop, on_data_thread, 0, NULL, 0, true, NULL);
	return res < 0 ? res : sandbox_drop_capabilities();
}

static int shut_sandbox(struct worker *w)
{
	struct ipc_message ready;
	int res = drop_capabilities(w);

#ifdef XARING_COVERAGE
	xaring_log(XARING_LOG_WARN, "built to measure coverage: without a sandbox");
#else
	if (res == 0)
		res = sandbox_close();
#endif
	if (res < 0) {
		xaring_log(XARING_LOG_ERROR, "the sandbox cannot be shut: %s", spa_strerror(res));
		return res;
	}
	ipc_message_init(&ready, IPC_READY, 0, 0);
	return worker_send(w, &ready);
}

static int run(struct worker *w)
{
	int res;

	w->main_loop = pw_main_loop_new(NULL);
	if (!w->main_loop)
		return -errno;
	w->loop = pw_main_loop_get_loop(w->main_loop);
	res = load(w);
	if (res == 0)
		res = watch(w);
	if (res == 0)
		res = shut_sandbox(w);
	if (res == 0)
		res = pw_main_loop_run(w->main_loop);
	return res;
}

static void finish(struct worker *w)
{
	struct guest *g;

	spa_list_consume(g, &w->guests, link) guest_destroy(g);
	watch_destroy(w);
	if (w->sweep)
		pw_loop_destroy_source(w->loop, w->sweep);
	if (w->broker)
		pw_loop_destroy_source(w->loop, w->broker);
	if (w->pin)
		pw_unload_spa_handle(w->pin);
	if (w->context)
		pw_context_destroy(w->context);
	if (w->main_loop)
		pw_main_loop_destroy(w->main_loop);
	outbox_finish(&w->outbox);
}

int worker_main(int argc, char **argv)
{
	struct worker w = {0};
	bool verbose = argc > 2 && strcmp(argv[2], "--verbose") == 0;
	int res;

	journal_start(verbose);
	spa_list_init(&w.guests);
	outbox_init(&w.outbox, WORKER_BROKER_FD);
	prctl(PR_SET_NAME, "xaring-worker", 0, 0, 0);
	/* What is sent to the whole group is the broker's affair; it ends us by hanging up. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	sandbox_end_after(WORKER_ALONE_SIGNAL);
	fcntl(WORKER_BROKER_FD, F_SETFD, FD_CLOEXEC);
	res = sandbox_prepare();
	if (res < 0) {
		xaring_log(XARING_LOG_ERROR, "privileges cannot be given up: %s",
			   spa_strerror(res));
		return EXIT_FAILURE;
	}
	pw_init(&argc, &argv);
	res = run(&w);
	finish(&w);
	pw_deinit();
	return res < 0 ? EXIT_FAILURE : w.result;
}
