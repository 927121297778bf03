/* SPDX-License-Identifier: MIT */
/* What a fuzz target is: one function, called by libFuzzer or by the replay. */
#ifndef XARING_TESTS_FUZZ_H
#define XARING_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
