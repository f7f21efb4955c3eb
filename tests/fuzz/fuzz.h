/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz.h - one fuzz target: a function that eats bytes; run by libFuzzer (clang) or by fuzz_main.c (any
 * compiler)
 *
 * A target takes its decisions from the input by the readers below, so that each byte means something and
 * every input of the same bytes does the same. Whatever a target allocates, it gives back and checks: a
 * packet buffer that is missing afterwards is a finding, as a crash is.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_in {
	const uint8_t *p, *end;
};

static inline bool fuzz_left(const struct fuzz_in *in)
{
	return in->p < in->end;
}

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	return fuzz_left(in) ? *in->p++ : 0;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t hi = fuzz_u8(in);
	return (uint16_t)(hi << 8 | fuzz_u8(in));
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t hi = fuzz_u16(in);
	return hi << 16 | fuzz_u16(in);
}

#define FUZZ_CHECK(cond, ...)                                                                                \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			fprintf(stderr, "fuzz: %s:%d: ", __FILE__, __LINE__);                                \
			fprintf(stderr, __VA_ARGS__);                                                        \
			fputc('\n', stderr);                                                                 \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#endif
