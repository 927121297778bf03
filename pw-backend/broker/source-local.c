/* SPDX-License-Identifier: MIT */
/*
 * Answers what programs on a VM's socket ask for, with pages or a refusal, and forwards kicks. The
 * connections are serve.c's; it decides nothing (policy.c) and does not know the worker (lease.c).
 */
#include "source-local.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <xaring/pages.h>

#include "broker-private.h"
#include "lease.h"
#include "random.h"
#include "serve.h"
#include "vm.h"
#include "volume.h"

struct local {
	struct vm *vm;
	struct serve *serve;
	struct volume *volume;
};

static void refuse(struct local *l, struct serve_client *c, const char *who,
		   const struct xaring_refusal *refusal)
{
	vm_log_refusal(l->vm, who, refusal);
	serve_client_refuse(c, refusal);
}

static const char *who_opens(const struct xaring_open *open)
{
	return open->params.direction == XARING_CAPTURE ? "capture" : "playback";
}

static void refuse_open(struct local *l, struct serve_client *c, const struct xaring_open *open,
			enum xaring_reason reason)
{
	struct xaring_refusal refusal = {.reason = reason};

	refuse(l, c, who_opens(open), &refusal);
}

static void on_lease_refused(struct lease *lease, const struct xaring_refusal *refusal)
{
	struct local *l = lease->vm->source;
	char who[40];

	lease_describe(lease, who, sizeof(who));
	refuse(l, lease->source, who, refusal);
}

/* Gives the pages to the client; the descriptors stay ours. */
static int send_accept(struct local *l, struct serve_client *c, const struct policy_grant *grant,
		       int control, int data)
{
	struct xaring_accept accept = {
		.version = grant->version,
		.features = grant->features,
		.capacity = grant->shape.capacity,
		.data_pages = grant->shape.data_pages,
	};
	int res = random_number(&accept.epoch);

	if (res < 0)
		return res;
	return serve_client_give(c, &accept, control, data, l->vm->status.fd);
}

/* The worker writes into the pages of a stream that records, and only into those. */
static void keep_writable(struct lease_pages *pages, int data_write, bool records)
{
	close(records ? pages->data : data_write);
	if (records)
		pages->data = data_write;
}

static int make_stream(struct local *l, struct serve_client *c, const struct xaring_open *open,
		       const struct policy_grant *grant)
{
	struct lease_setup setup = {.open = open,
				    .grant = grant,
				    .on_refused = on_lease_refused,
				    .source = c};
	struct lease *lease;
	int data_write;
	int res = 0;

	/* A guest that does not share our clock is not to learn it. */
	if (!(grant->features & XARING_FEATURE_SAME_CLOCK))
		res = random_number(&setup.time_secret_ns);
	if (res < 0)
		return res;
	res = xaring_memfd_stream(&grant->shape, &setup.pages.control, &data_write,
				  &setup.pages.data);
	if (res < 0)
		return res;
	res = send_accept(l, c, grant, setup.pages.control, data_write);
	keep_writable(&setup.pages, data_write, open->params.direction == XARING_CAPTURE);
	if (res < 0) {
		close(setup.pages.control);
		close(setup.pages.data);
		return res;
	}
	res = lease_create(l->vm, &setup, &lease);
	if (res == 0)
		serve_client_set_owner(c, lease);
	return res;
}

static void start_stream(struct local *l, struct serve_client *c, const struct xaring_open *open,
			 const struct policy_grant *grant)
{
	int res = make_stream(l, c, open, grant);

	if (res == -ENODEV || res == -EAGAIN)
		serve_client_drop(c);
	else if (res < 0)
		refuse_open(l, c, open, XARING_REASON_INTERNAL);
}

/* Answers now or, when room is about to come, later. */
static void answer_open(void *data, struct serve_client *c, const struct xaring_open *open)
{
	struct local *l = data;
	struct vm *vm = l->vm;
	struct xaring_refusal refusal = {0};
	struct policy_grant grant;
	int res = policy_check(&vm->policy, &vm->use, open, &grant, &refusal);

	if (res == -EDQUOT && vm_has_ending(vm))
		return;
	if (res < 0)
		refuse(l, c, who_opens(open), &refusal);
	else
		start_stream(l, c, open, &grant);
}

static void on_open(void *data, struct serve_client *c, const struct xaring_open *open)
{
	struct local *l = data;

	if (vm_may_open(l->vm, open->params.direction))
		answer_open(l, c, open);
	else
		refuse_open(l, c, open, XARING_REASON_BUSY);
}

static void on_kick(void *data, struct serve_client *c, enum xaring_kick kick)
{
	(void)data;
	lease_kick(serve_client_owner(c), kick);
}

/* Who may play as the VM may turn it down. */
static int on_set_volume(void *data, struct serve_client *c, const struct xaring_set_volume *set,
			 struct xaring_refusal *refusal)
{
	struct local *l = data;

	(void)c;
	(void)refusal;
	return volume_set(l->volume, set);
}

static void on_gone(void *data, struct serve_client *c)
{
	(void)data;
	lease_end(serve_client_owner(c));
}

static void on_limit(void *data, const char *text)
{
	struct local *l = data;

	vm_log(l->vm, "%s", text);
}

static const struct serve_events serve_events = {
	.on_open = on_open,
	.on_retry = answer_open,
	.on_kick = on_kick,
	.on_set_volume = on_set_volume,
	.on_gone = on_gone,
	.on_limit = on_limit,
};

static void local_close(void *source)
{
	struct local *l = source;

	serve_close(l->serve);
	volume_close(l->volume);
	free(l);
}

static void local_retry(void *source)
{
	struct local *l = source;

	serve_retry(l->serve);
}

static void local_reload(void *source)
{
	struct local *l = source;
	struct policy policy;

	broker_policy(l->vm->broker, &l->vm->identity, &policy);
	broker_set_policy(l->vm, &policy);
}

static const struct source_ops source_ops = {
	.retry = local_retry,
	.reload = local_reload,
	.close = local_close,
};

static int open_parts(struct local *l, const struct broker_vm *setup)
{
	struct loop *loop = l->vm->broker->setup.loop;
	struct status_page *status = &l->vm->status;
	struct serve_setup serve = {.open_ms = l->vm->policy.reconnect_ms,
				    .events = &serve_events,
				    .data = l};
	int res = status_page_init(status);

	if (res == 0)
		res = volume_open(loop, status, setup->volume_file, &l->volume);
	if (res == 0)
		res = xaring_listener_open(setup->socket, setup->mode, &serve.listener);
	serve.status = status->fd;
	return res == 0 ? serve_open(loop, &serve, &l->serve) : res;
}

int local_open(struct vm *vm, const struct broker_vm *setup)
{
	struct local *l = calloc(1, sizeof(*l));
	int res;

	if (!l)
		return -ENOMEM;
	l->vm = vm;
	res = open_parts(l, setup);
	if (res < 0) {
		volume_close(l->volume);
		free(l);
		return res;
	}
	vm->source_ops = &source_ops;
	vm->source = l;
	return 0;
}
