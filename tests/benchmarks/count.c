/* SPDX-License-Identifier: MIT */
/*
 * To be preloaded: counts the copies, allocations and locks of the calling thread between two calls
 * of bench_count(), by label, and prints them at the end:
 *
 *   count LABEL BYTES ALLOCATIONS LOCKS
 *
 * BYTES are those of copies of at least 64 bytes: samples, not fields.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT     __attribute__((visibility("default")))
#define LABELS_MAX 8
#define COPY_MIN   64

struct counts {
	const char *label;
	unsigned long bytes, allocations, locks;
};

static struct counts counts[LABELS_MAX];
static __thread struct counts *current __attribute__((tls_model("initial-exec")));

EXPORT void bench_count(const char *label);

void bench_count(const char *label)
{
	struct counts *c = counts;

	current = NULL;
	if (!label)
		return;
	while (c->label && strcmp(c->label, label) != 0)
		c++;
	c->label = label;
	current = c;
}

__attribute__((destructor)) static void print_counts(void)
{
	current = NULL;
	for (const struct counts *c = counts; c->label; c++)
		printf("count %s %lu %lu %lu\n", c->label, c->bytes, c->allocations, c->locks);
}

static void count_copy(size_t bytes)
{
	if (current && bytes >= COPY_MIN)
		current->bytes += bytes;
}

/* Not counted, and does the same. Volatile, lest the compiler makes memcpy() of it again. */
static void *(*volatile copy)(void *to, const void *from, size_t bytes) = memmove;

EXPORT void *memcpy(void *to, const void *from, size_t bytes)
{
	count_copy(bytes);
	return copy(to, from, bytes);
}

EXPORT void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room);

void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room)
{
	(void)room;
	count_copy(bytes);
	return copy(to, from, bytes);
}

/* glibc's own names of its allocator: no recursion through dlsym(). */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

static void count_allocation(void)
{
	if (current)
		current->allocations++;
}

EXPORT void *malloc(size_t bytes)
{
	count_allocation();
	return __libc_malloc(bytes);
}

EXPORT void *calloc(size_t n, size_t bytes)
{
	count_allocation();
	return __libc_calloc(n, bytes);
}

EXPORT void *realloc(void *old, size_t bytes)
{
	count_allocation();
	return __libc_realloc(old, bytes);
}

EXPORT int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	static int (*real)(pthread_mutex_t *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
	if (current)
		current->locks++;
	return real(mutex);
}
