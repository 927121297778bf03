/* SPDX-License-Identifier: MIT */
/*
 * Which process uses the stream after fork(2). Both have the descriptors and the shared pages; the
 * one that last wrote, published or started is the user, and only it may stop the stream, talk
 * to the server or change the poll set.
 *
 * Costs no system call while nothing changes: a process knows its own number from a page that the
 * kernel zeroes in a child, and the user's number from a page that all of them share.
 */
#include "client-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define FORK_PAGE_BYTES 4096

static int page_create(int kind, uint32_t **out)
{
	void *at = mmap(NULL, FORK_PAGE_BYTES, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

int client_fork_init(struct client_fork *f)
{
	int res = page_create(MAP_SHARED, &f->shared);

	if (res < 0)
		return res;
	res = page_create(MAP_PRIVATE, &f->self);
	if (res < 0)
		goto err_shared;
	if (madvise(f->self, FORK_PAGE_BYTES, MADV_WIPEONFORK) < 0) {
		res = -errno;
		goto err_self;
	}
	return 0;
err_self:
	munmap(f->self, FORK_PAGE_BYTES);
err_shared:
	munmap(f->shared, FORK_PAGE_BYTES);
	return res;
}

void client_fork_finish(struct client_fork *f)
{
	munmap(f->self, FORK_PAGE_BYTES);
	munmap(f->shared, FORK_PAGE_BYTES);
}

/* The number of this process: the next free one when it is asked for the first time. */
static uint32_t self_number(const struct client_fork *f)
{
	if (*f->self == 0)
		*f->self = __atomic_add_fetch(&f->shared[1], 1, __ATOMIC_RELAXED);
	return *f->self;
}

bool client_is_user(const struct xaring_client *c)
{
	return __atomic_load_n(&c->fork.shared[0], __ATOMIC_RELAXED) == self_number(&c->fork);
}

static int watch(const struct xaring_client *c, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int client_descriptors_create(struct xaring_client *c)
{
	int res;

	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll_fd < 0)
		return -errno;
	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->timer_fd < 0) {
		res = -errno;
		goto err_epoll;
	}
	c->armed_ns = NEVER;
	res = watch(c, c->timer_fd);
	if (res < 0)
		goto err_timer;
	return 0;
err_timer:
	close(c->timer_fd);
err_epoll:
	close(c->epoll_fd);
	return res;
}

/*
 * Puts descriptors of this process's own in the place of those that it shares with its relative,
 * whose timer and poll set would change with ours. The numbers stay, as the frontend knows them.
 */
static void replace_descriptors(struct xaring_client *c)
{
	struct xaring_client made = {.epoll_fd = -1};

	if (client_descriptors_create(&made) < 0)
		return; /* shared ones work, with a wake-up too many here and there */
	if (dup3(made.epoll_fd, c->epoll_fd, O_CLOEXEC) >= 0 &&
	    dup3(made.timer_fd, c->timer_fd, O_CLOEXEC) >= 0) {
		(void)watch(c, c->timer_fd);
		if (c->socket_fd >= 0)
			(void)watch(c, c->socket_fd);
		c->armed_ns = NEVER;
	}
	close(made.timer_fd);
	close(made.epoll_fd);
}

void client_claim(struct xaring_client *c)
{
	uint32_t self = self_number(&c->fork);

	if (__atomic_load_n(&c->fork.shared[0], __ATOMIC_RELAXED) == self)
		return;
	__atomic_store_n(&c->fork.shared[0], self, __ATOMIC_RELAXED);
	if (c->fork.descriptors != 0 && c->fork.descriptors != self)
		replace_descriptors(c);
	c->fork.descriptors = self;
}
