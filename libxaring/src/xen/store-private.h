/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of the store share: store.c, on the loop, and store-thread.c, which waits for
 * xenstore. Private to them.
 */
#ifndef XARING_XEN_STORE_PRIVATE_H
#define XARING_XEN_STORE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "store-link.h"
#include "store.h"

struct store_watch {
	struct store_watch *next;       /* store::watches */
	struct store_watch *next_fired; /* store::fired, while is_fired */
	struct store *store;
	char *path;
	char token[24];
	const char *suffix;
	void (*fired)(void *data);
	void *data;

	/* Under the lock. */
	bool is_fired;
	bool removed;

	/* The thread's. */
	bool set;        /* xenstored has it */
	bool flooding;   /* to be taken away */
	uint64_t due_ms; /* when it is to be set, unless it is */
	uint64_t window_ms;
	uint32_t events;  /* in the window */
	uint64_t said_ms; /* when it was last complained about; 0 = never */
};

struct job_queue {
	struct store_job *head, **tail;
};

struct watch_queue {
	struct store_watch *head, **tail;
	uint32_t count;
};

/* What the thread has to say. */
struct news {
	bool connected;
	int lost; /* errno, or 0 */
	char watch[192];
};

struct store {
	store_connected_fn connected;
	void *data;
	struct loop_source *io, *timer;
	bool absent;            /* a loss was logged, the return was not */
	bool timing;            /* the timer is armed */
	uint64_t slow_since_ms; /* what was logged as slow began then */
	uint64_t watch_ids;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t exit;
	int wake_fd; /* wakes the thread */
	int told_fd; /* wakes the loop */

	/* Under the lock. */
	bool quit, exited, abandoned;
	bool told;
	struct job_queue waiting, finished;
	struct store_watch *watches; /* taken out by the thread only */
	struct watch_queue fired;
	struct news news;
	uint64_t busy_since_ms; /* an operation is under way; 0 = none */

	/* The thread's. */
	char *path; /* instead of xenstored's usual one; NULL = none */
	struct store_link link;
	uint64_t linked_ms;
	uint64_t retry_ms;
	uint32_t retry_delay_ms;
	bool loss_told;
};

static inline void queue_init(struct job_queue *queue)
{
	queue->head = NULL;
	queue->tail = &queue->head;
}

static inline void queue_put(struct job_queue *queue, struct store_job *job)
{
	job->next = NULL;
	*queue->tail = job;
	queue->tail = &job->next;
}

static inline struct store_job *queue_take(struct job_queue *queue)
{
	struct store_job *job = queue->head;

	if (!job)
		return NULL;
	queue->head = job->next;
	if (!queue->head)
		queue->tail = &queue->head;
	return job;
}

static inline void event_raise(int fd)
{
	uint64_t one = 1;
	ssize_t res = write(fd, &one, sizeof(one));

	(void)res; /* full means raised */
}

static inline void event_clear(int fd)
{
	uint64_t count;
	ssize_t res = read(fd, &count, sizeof(count));

	(void)res;
}

static inline void watch_free(struct store_watch *watch)
{
	free(watch->path);
	free(watch);
}

/* Frees what both sides had, when neither of them needs it any more. */
void store_free(struct store *s);

/* Prepares what is the thread's. Returns 0 or -ENOMEM. */
int store_thread_init(struct store *s);

/* The thread: takes the store, and ends when told to. */
void *store_thread_run(void *store);

#endif
