/* SPDX-License-Identifier: MIT */
/*
 * Writes test signals as raw samples to standard output.
 *
 *   sound-make noise FORMAT CHANNELS FRAMES SEED     pseudo-random, no frame of it is silent
 *   sound-make coded FORMAT VM FIRST FRAMES          stereo frames that say who they are
 *   sound-make floats FORMAT <RAW                    the same samples as floats, as PipeWire's graph has them
 *   sound-make now                                   prints CLOCK_MONOTONIC in ns
 */
#include <inttypes.h>
#include <time.h>

#include "frame-code.h"
#include "samples.h"

static uint32_t number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end != '\0' || end == text || value > UINT32_MAX) {
		fprintf(stderr, "sound-make: %s is no number\n", text);
		exit(2);
	}
	return (uint32_t)value;
}

static void write_frame(enum samples_format format, const int32_t *samples, uint32_t channels)
{
	uint8_t frame[8 * 4];
	uint32_t bytes = samples_formats[format].bytes;

	for (uint32_t c = 0; c < channels; c++)
		samples_put(format, samples[c], frame + (size_t)c * bytes);
	if (fwrite(frame, bytes, channels, stdout) != channels) {
		perror("sound-make");
		exit(1);
	}
}

/* A 24-bit sample whose upper eight bits are never all zero, so that no format makes silence. */
static int32_t noise(uint64_t *state)
{
	int32_t value;

	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	value = (int32_t)(uint32_t)(*state >> 32) >> 8;
	return value >= 0 && value < 65536 ? value + 65536 : value;
}

static int make_noise(char **argv)
{
	enum samples_format format = samples_by_name(argv[0]);
	uint32_t channels = number(argv[1]), frames = number(argv[2]);
	uint64_t state = number(argv[3]);
	int32_t samples[8];

	if (channels < 1 || channels > 8)
		return 2;
	for (uint32_t i = 0; i < frames; i++) {
		for (uint32_t c = 0; c < channels; c++)
			samples[c] = noise(&state);
		write_frame(format, samples, channels);
	}
	return 0;
}

static int make_coded(char **argv)
{
	enum samples_format format = samples_by_name(argv[0]);
	uint32_t vm = number(argv[1]), first = number(argv[2]), frames = number(argv[3]);
	int32_t samples[2];

	if (vm < 1 || vm > FRAME_CODE_VM_MAX || format == SAMPLES_U8 || format == SAMPLES_S16) {
		fprintf(stderr, "sound-make: coded needs 24 bits and a VM from 1 to %u\n",
			FRAME_CODE_VM_MAX);
		return 2;
	}
	for (uint32_t i = 0; i < frames; i++) {
		frame_code_make(vm, first + i, samples);
		write_frame(format, samples, 2);
	}
	return 0;
}

static int make_floats(const char *name)
{
	enum samples_format format = samples_by_name(name);
	uint8_t sample[4];

	while (fread(sample, samples_formats[format].bytes, 1, stdin) == 1) {
		float value = samples_get(format, sample);

		if (fwrite(&value, sizeof(value), 1, stdout) != 1) {
			perror("sound-make");
			return 1;
		}
	}
	return 0;
}

static int print_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%" PRIu64 "\n", (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "noise") == 0)
		return make_noise(argv + 2);
	if (argc == 6 && strcmp(argv[1], "coded") == 0)
		return make_coded(argv + 2);
	if (argc == 3 && strcmp(argv[1], "floats") == 0)
		return make_floats(argv[2]);
	if (argc == 2 && strcmp(argv[1], "now") == 0)
		return print_now();
	fprintf(stderr,
		"usage: sound-make noise FORMAT CHANNELS FRAMES SEED |\n"
		"       sound-make coded FORMAT VM FIRST FRAMES | sound-make floats FORMAT |\n"
		"       sound-make now\n");
	return 2;
}
