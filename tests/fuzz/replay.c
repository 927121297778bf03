/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzer: over a corpus that is generated here (right messages and
 * shapes and texts, with bits, bytes, lengths and pieces changed at random, always the same), or
 * over the files that are named.
 *
 * Usage: replay [FILE]...
 *        replay --write FOLDER    writes the seeds there, for the fuzzer to begin with
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "level.h"

#define SEEDS_MAX  64
#define INPUT_MAX  2048
#define LONG_CASES 20000000u

struct seed {
	uint8_t bytes[INPUT_MAX];
	size_t size;
};

static struct seed seeds[SEEDS_MAX];
static size_t seed_count;

static void add_seed(const void *bytes, size_t size)
{
	struct seed *seed = &seeds[seed_count++];

	if (seed_count > SEEDS_MAX || size > fuzz_input_max || fuzz_input_max > INPUT_MAX)
		abort();
	memcpy(seed->bytes, bytes, size);
	seed->size = size;
}

static uint32_t next_random(void)
{
	static uint64_t random = 88172645463325252;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return (uint32_t)(random >> 32);
}

/* A piece of another seed in the place of a piece of this one. */
static void splice(struct seed *seed, size_t at)
{
	const struct seed *other = &seeds[next_random() % seed_count];
	size_t from = next_random() % (other->size + 1);
	size_t bytes = next_random() % (other->size - from + 1);
	size_t gone = next_random() % (seed->size - at + 1);

	if (seed->size - gone + bytes > fuzz_input_max)
		return;
	memmove(seed->bytes + at + bytes, seed->bytes + at + gone, seed->size - at - gone);
	memcpy(seed->bytes + at, other->bytes + from, bytes);
	seed->size += bytes;
	seed->size -= gone;
}

static void change(struct seed *seed)
{
	size_t at = seed->size ? next_random() % seed->size : 0;

	switch (next_random() % 7) {
	case 0:
		seed->bytes[at] ^= (uint8_t)(1u << next_random() % 8);
		break;
	case 1:
		seed->bytes[at] = (uint8_t)next_random();
		break;
	case 2:
		seed->bytes[at & ~(size_t)3] = next_random() % 2 ? 0xff : 0;
		break;
	case 3:
		seed->size = next_random() % fuzz_input_max;
		break;
	case 4:
		splice(seed, at);
		break;
	default:
		seed->bytes[at & ~(size_t)3] += (uint8_t)(next_random() % 3);
		break;
	}
}

static void replay_generated(void)
{
	for (uint64_t i = 0; i < level_count(LONG_CASES); i++) {
		struct seed seed = seeds[next_random() % seed_count];
		uint8_t *copy;

		for (uint32_t changes = next_random() % 5; changes > 0; changes--)
			change(&seed);
		/* Memory of just this size, so that a sanitizer sees what is read behind it. */
		copy = malloc(seed.size ? seed.size : 1);
		if (!copy)
			abort();
		memcpy(copy, seed.bytes, seed.size);
		LLVMFuzzerTestOneInput(copy, seed.size);
		free(copy);
	}
}

static int replay_file(const char *path)
{
	static uint8_t bytes[1 << 16];
	FILE *file = fopen(path, "re");
	size_t size;

	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, size);
	return 0;
}

static int write_seeds(const char *folder)
{
	for (size_t i = 0; i < seed_count; i++) {
		char path[4096];
		FILE *file;

		(void)snprintf(path, sizeof(path), "%s/seed-%zu", folder, i);
		file = fopen(path, "we");
		if (!file || fwrite(seeds[i].bytes, 1, seeds[i].size, file) != seeds[i].size ||
		    fclose(file) != 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	int res = 0;

	fuzz_add_seeds(add_seed);
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_seeds(argv[2]);
	for (int i = 1; i < argc; i++)
		res |= replay_file(argv[i]);
	if (argc == 1)
		replay_generated();
	return res;
}
