/* SPDX-License-Identifier: MIT */
/*
 * Looks into the pages that programs share with the backend, as whoever has them mapped could: into the memfds of
 * the local transport and the grants of a guest, through /proc/PID/mem, whether the programs run or are stopped.
 *
 *   page-scan words FILE PID...
 *       Prints how many words of eight bytes, of all pages, are in FILE as well: a frame of two floats, or two frames
 *       of S16. Noise of that length is no coincidence. Words of zero do not count.
 *   page-scan sound PID...
 *       Prints how many words of four bytes are not zero in pages of frames: of the local transport.
 *   page-scan silent PID FROM_NS MS
 *       Looks until no page of frames has anything but zero. Prints in how many ms after FROM_NS (CLOCK_MONOTONIC) it
 *       had seen that; exit 1 when it has not after MS.
 *
 * Exit 77: this user may not read the memory of the programs.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORD_STEP 4u /* the smallest frame of two channels */

/* What FILE has, sorted. */
struct words {
	uint64_t *list;
	size_t n;
};

struct area {
	uint8_t *bytes;
	size_t size;
};

typedef uint64_t (*count_fn)(const struct area *area, const struct words *words);

static void die(const char *what)
{
	int code = errno == EACCES || errno == EPERM ? 77 : 2;

	fprintf(stderr, "page-scan: %s: %s\n", what, strerror(errno));
	exit(code);
}

static void *allocate(size_t bytes)
{
	void *at = malloc(bytes ? bytes : 1);

	if (!at)
		die("memory");
	return at;
}

static int open_of(const char *pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

/* ---- words ---- */

static uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static struct area read_file(const char *path)
{
	struct area file = {0};
	FILE *in = fopen(path, "re");
	long size = in && fseek(in, 0, SEEK_END) == 0 ? ftell(in) : -1;

	if (size < 0)
		die(path);
	rewind(in);
	file.size = (size_t)size;
	file.bytes = allocate(file.size);
	if (fread(file.bytes, 1, file.size, in) != file.size)
		die(path);
	fclose(in);
	return file;
}

static struct words words_of(const char *path)
{
	struct area file = read_file(path);
	struct words words = {.list = allocate(file.size / WORD_STEP * sizeof(uint64_t))};

	for (size_t at = 0; at + sizeof(uint64_t) <= file.size; at += WORD_STEP)
		words.list[words.n++] = word_at(file.bytes + at);
	qsort(words.list, words.n, sizeof(*words.list), by_value);
	free(file.bytes);
	return words;
}

static uint64_t count_words(const struct area *area, const struct words *words)
{
	uint64_t count = 0;

	for (size_t at = 0; at + sizeof(uint64_t) <= area->size; at += WORD_STEP) {
		uint64_t word = word_at(area->bytes + at);

		count += word && bsearch(&word, words->list, words->n, sizeof(word), by_value);
	}
	return count;
}

static uint64_t count_sound(const struct area *area, const struct words *words)
{
	uint64_t count = 0;
	uint32_t word;

	(void)words;
	for (size_t at = 0; at < area->size; at += sizeof(word)) {
		memcpy(&word, area->bytes + at, sizeof(word));
		count += word != 0;
	}
	return count;
}

/* ---- pages ---- */

/* One that is not mapped any more, a moment after its line was read, holds nothing. */
static uint64_t count_in(int memory, uint64_t from, uint64_t to, count_fn count,
			 const struct words *words)
{
	struct area area = {.bytes = allocate(to - from)};
	ssize_t n = pread(memory, area.bytes, to - from, (off_t)from);
	uint64_t found;

	if (n < 0 && errno != EIO)
		die("memory of the program");
	area.size = n > 0 ? (size_t)n : 0;
	found = count(&area, words);
	free(area.bytes);
	return found;
}

/* Whether the line of a mapping has one of the names that end with NULL. */
static bool has_name(const char *line, const char *const *names)
{
	while (*names && !strstr(line, *names))
		names++;
	return *names != NULL;
}

static uint64_t count_of(const char *pid, const char *const *names, count_fn count,
			 const struct words *words)
{
	int memory = open_of(pid, "mem");
	FILE *maps = fdopen(open_of(pid, "maps"), "r");
	uint64_t from, to, found = 0;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (has_name(line, names) && sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2)
			found += count_in(memory, from, to, count, words);
	}
	if (maps)
		fclose(maps);
	close(memory);
	return found;
}

static uint64_t sound_of(const char *pid)
{
	static const char *const frames[] = {"/memfd:xaring-data", NULL};

	return count_of(pid, frames, count_sound, NULL);
}

static int print_words(const char *path, char **pids)
{
	static const char *const all[] = {"/memfd:xaring-", "/dev/xen/gntalloc", NULL};
	struct words words = words_of(path);
	uint64_t found = 0;

	for (; *pids; pids++)
		found += count_of(*pids, all, count_words, &words);
	free(words.list);
	printf("%" PRIu64 "\n", found);
	return 0;
}

static int print_sound(char **pids)
{
	uint64_t found = 0;

	for (; *pids; pids++)
		found += sound_of(*pids);
	printf("%" PRIu64 "\n", found);
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int wait_until_silent(const char *pid, uint64_t from_ns, uint64_t most_ms)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t ms;

	while (sound_of(pid) > 0) {
		if (now_ns() > from_ns + most_ms * 1000000)
			return 1;
		nanosleep(&pause, NULL);
	}
	ms = (now_ns() - from_ns) / 1000000;
	printf("%" PRIu64 "\n", ms);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "words") == 0)
		return print_words(argv[2], argv + 3);
	if (argc >= 3 && strcmp(argv[1], "sound") == 0)
		return print_sound(argv + 2);
	if (argc == 5 && strcmp(argv[1], "silent") == 0)
		return wait_until_silent(argv[2], strtoull(argv[3], NULL, 10),
					 strtoull(argv[4], NULL, 10));
	fprintf(stderr, "usage: page-scan words FILE PID... | page-scan sound PID... |\n"
			"       page-scan silent PID FROM_NS MS\n");
	return 2;
}
