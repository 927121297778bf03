/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target is: one function, called by libFuzzer or by the replay. What the replay begins
 * with is in seeds-*.c.
 */
#ifndef XARING_TESTS_FUZZ_H
#define XARING_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* No input is longer; at most 2048. */
extern const size_t fuzz_input_max;

/* Adds inputs, at most 64; bytes are copied. */
typedef void (*fuzz_add_fn)(const void *bytes, size_t size);
void fuzz_add_seeds(fuzz_add_fn add);

#endif
