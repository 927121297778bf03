/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzer: over a corpus that is generated here (right messages and
 * shapes, with bits, bytes and lengths changed at random, always the same), or over the files
 * that are named.
 *
 * Usage: replay [FILE]...
 *        replay --write FOLDER    writes the seeds there, for the fuzzer to begin with
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/wire.h>

#include "fuzz.h"
#include "level.h"

#define SEEDS_MAX  64
#define INPUT_MAX  512
#define LONG_CASES 20000000u

struct seed {
	uint8_t bytes[INPUT_MAX];
	size_t size;
};

static struct seed seeds[SEEDS_MAX];
static size_t seed_count;

static void add_message(const struct xaring_message *message)
{
	struct seed *seed = &seeds[seed_count++];

	seed->size = xaring_wire_encode(message, seed->bytes);
}

static void add_params(const struct xaring_params *p)
{
	struct xaring_message message = {.type = XARING_MESSAGE_OPEN};
	struct seed *seed = &seeds[seed_count++];
	uint32_t words[6] = {p->direction, p->format, p->rate_hz,
			     p->channels,  p->buffer, p->period};

	memcpy(seed->bytes, words, sizeof(words));
	memcpy(seed->bytes + sizeof(words), p->map, sizeof(p->map));
	seed->size = sizeof(words) + sizeof(p->map);
	message.u.open =
		(struct xaring_open){.version_min = 1, .version = 1, .params = *p, .name = "seed"};
	add_message(&message);
}

static void add_seeds(void)
{
	static const uint32_t rates[] = {8000, 44100, 48000, 96000, 192000};
	struct xaring_message message = {.type = XARING_MESSAGE_ACCEPT};

	message.u.accept = (struct xaring_accept){.version = 1, .capacity = 8192, .data_pages = 8};
	add_message(&message);
	message.type = XARING_MESSAGE_RELINK;
	add_message(&message);
	message.type = XARING_MESSAGE_REFUSE;
	message.u.refusal = (struct xaring_refusal){.reason = XARING_REASON_RATE, .max = 5};
	add_message(&message);
	message.type = XARING_MESSAGE_KICK;
	message.u.kick = XARING_KICK_START;
	add_message(&message);
	message.type = XARING_MESSAGE_KEEP;
	message.u.keep_epoch = 77;
	add_message(&message);
	for (uint32_t i = 0; i < 20; i++) {
		struct xaring_params p = {.direction = i % 2,
					  .format = XARING_FORMAT_U8 + i % 6,
					  .rate_hz = rates[i % 5],
					  .channels = 1 + i % 8,
					  .buffer = 256u << i % 4,
					  .period = 64};

		add_params(&p);
	}
}

static uint32_t next_random(void)
{
	static uint64_t random = 88172645463325252;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return (uint32_t)(random >> 32);
}

static void change(struct seed *seed)
{
	size_t at = seed->size ? next_random() % seed->size : 0;

	switch (next_random() % 6) {
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
		seed->size = next_random() % INPUT_MAX;
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

	add_seeds();
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_seeds(argv[2]);
	for (int i = 1; i < argc; i++)
		res |= replay_file(argv[i]);
	if (argc == 1)
		replay_generated();
	return res;
}
