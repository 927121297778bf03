/* SPDX-License-Identifier: MIT */
/*
 * Files of sound as the tests' judges read them. What cannot be read ends the program.
 */
#ifndef XARING_TESTS_SOUND_FILE_H
#define XARING_TESTS_SOUND_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sound_file {
	uint8_t *bytes; /* a private copy; never NULL */
	size_t size;
};

/* Maps all of it, until the program ends. */
static inline struct sound_file sound_file_map(const char *path)
{
	static uint8_t nothing[1];
	struct sound_file file = {.bytes = nothing};
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	file.size = (size_t)st.st_size;
	if (file.size)
		file.bytes = mmap(NULL, file.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	if (file.bytes == MAP_FAILED)
		exit(2);
	return file;
}

/* Tells whether all samples of a frame are zeros. */
static inline bool sound_is_silent(const float *frame, size_t channels)
{
	for (size_t c = 0; c < channels; c++)
		if (frame[c] != 0.0f)
			return false;
	return true;
}

#endif
