/* SPDX-License-Identifier: MIT */
/*
 * Every access to memory that the peer can write goes through these functions, and through nothing
 * else. A word is loaded once into a private variable, that variable is checked, and only it is
 * used; samples are copied first and looked at afterwards.
 *
 * Thread: any. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_SHARED_H
#define XARING_SHARED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define XARING_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define XARING_TSAN 1
#endif
#endif

/* Loads a word; what the peer stored before it with xaring_store() is visible afterwards. */
static inline uint32_t xaring_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Stores a word; whoever sees it with xaring_load() sees all that was stored before it. */
static inline void xaring_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

#ifdef XARING_TSAN
/* Byte-wise atomics, so that ThreadSanitizer judges the counters and not a hostile peer's samples. */
static inline void xaring_copy_in(void *to, const void *shared, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((unsigned char *)to)[i] =
			__atomic_load_n((const unsigned char *)shared + i, __ATOMIC_RELAXED);
}

static inline void xaring_copy_out(void *shared, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		__atomic_store_n((unsigned char *)shared + i, ((const unsigned char *)from)[i],
				 __ATOMIC_RELAXED);
}
#else
/*
 * Copies samples out of shared pages into private memory. Does not overlap. A word that is loaded
 * afterwards is not older than the samples.
 */
static inline void xaring_copy_in(void *to, const void *shared, size_t bytes)
{
	memcpy(to, shared, bytes);
	/* The compiler may not look at the shared copy again. */
	__asm__ volatile("" ::: "memory");
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/*
 * Copies samples from private memory into shared pages. Does not overlap. Whoever sees the samples
 * sees the words that were stored before them.
 */
static inline void xaring_copy_out(void *shared, const void *from, size_t bytes)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(shared, from, bytes);
	__asm__ volatile("" ::: "memory");
}
#endif

#endif
