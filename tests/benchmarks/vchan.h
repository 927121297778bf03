/* SPDX-License-Identifier: MIT */
/*
 * A byte ring with the costs of libxenvchan's, to compare with: written from its documented
 * behaviour. One cache line holds the indices of both directions, the live bytes and the bytes that
 * ask for notifications; every look at the peer's index is followed by a full barrier, every
 * transfer ends with one and with a locked AND on the notification byte, and a look that finds too
 * little asks for a notification with a locked OR and looks again.
 *
 * It trusts nothing either: an impossible index stops the ring. The notification itself (a
 * hypercall) is left out, in favour of this ring.
 */
#ifndef XARING_BENCH_VCHAN_H
#define XARING_BENCH_VCHAN_H

#include <stdint.h>
#include <string.h>

#define VCHAN_NOTIFY_WRITE 0x1u
#define VCHAN_NOTIFY_READ  0x2u

struct vchan_direction {
	uint32_t cons;
	uint32_t prod;
	uint16_t order;
	uint16_t reserved;
};

/* The shared line. The writer owns left.prod, the reader left.cons. */
struct vchan_line {
	struct vchan_direction left;
	struct vchan_direction right;
	uint8_t client_live;
	uint8_t server_live;
	uint8_t client_notify;
	uint8_t server_notify;
} __attribute__((aligned(64)));

struct vchan {
	struct vchan_line *line;
	char *data;
	uint32_t bytes; /* a power of two */
};

static inline void vchan_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline uint32_t vchan_ready_now(const struct vchan *v)
{
	uint32_t ready = *(volatile uint32_t *)&v->line->left.prod -
			 *(volatile uint32_t *)&v->line->left.cons;

	vchan_fence();
	return ready <= v->bytes ? ready : 0;
}

static inline uint32_t vchan_space_now(const struct vchan *v)
{
	uint32_t ready = *(volatile uint32_t *)&v->line->left.prod -
			 *(volatile uint32_t *)&v->line->left.cons;

	vchan_fence();
	return ready <= v->bytes ? v->bytes - ready : 0;
}

static inline void vchan_ask(uint8_t *notify, uint8_t bit)
{
	__atomic_fetch_or(notify, bit, __ATOMIC_SEQ_CST);
	vchan_fence();
}

/* Returns whether the peer had asked: a notification would be sent. */
static inline int vchan_tell(uint8_t *notify, uint8_t bit)
{
	vchan_fence();
	return __atomic_fetch_and(notify, (uint8_t)~bit, __ATOMIC_SEQ_CST) & bit;
}

/* Returns 1 when all bytes were written, 0 when there is no space for them. */
static inline int vchan_write(struct vchan *v, const void *from, uint32_t bytes)
{
	uint32_t index, at, first;

	if (vchan_space_now(v) < bytes) {
		vchan_ask(&v->line->client_notify, VCHAN_NOTIFY_READ);
		if (vchan_space_now(v) < bytes)
			return 0;
	}
	index = *(volatile uint32_t *)&v->line->left.prod;
	at = index & (v->bytes - 1);
	first = bytes < v->bytes - at ? bytes : v->bytes - at;
	memcpy(v->data + at, from, first);
	if (first < bytes)
		memcpy(v->data, (const char *)from + first, bytes - first);
	__atomic_store_n(&v->line->left.prod, index + bytes, __ATOMIC_RELEASE);
	vchan_tell(&v->line->server_notify, VCHAN_NOTIFY_WRITE);
	return 1;
}

/* Returns 1 when all bytes were read, 0 when there are not so many. */
static inline int vchan_read(struct vchan *v, void *to, uint32_t bytes)
{
	uint32_t index, at, first;

	if (vchan_ready_now(v) < bytes) {
		vchan_ask(&v->line->server_notify, VCHAN_NOTIFY_WRITE);
		if (vchan_ready_now(v) < bytes)
			return 0;
	}
	index = *(volatile uint32_t *)&v->line->left.cons;
	at = index & (v->bytes - 1);
	first = bytes < v->bytes - at ? bytes : v->bytes - at;
	memcpy(to, v->data + at, first);
	if (first < bytes)
		memcpy((char *)to + first, v->data, bytes - first);
	vchan_fence();
	__atomic_store_n(&v->line->left.cons, index + bytes, __ATOMIC_RELEASE);
	vchan_tell(&v->line->client_notify, VCHAN_NOTIFY_READ);
	return 1;
}

#endif
