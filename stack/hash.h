/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hash.h - keyed mixing for hash tables whose keys a peer chooses
 *
 * 64x64->128 bit multiplication folded to 64 bits, keyed by the instance's secret seed, so that nobody
 * outside can aim at one bucket. Not for sequence numbers: those need a cryptographic hash (RFC 6528).
 */
#ifndef STACK_HASH_H
#define STACK_HASH_H

#include <stdint.h>

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Two words under a key; the constants keep a zero word from erasing the other one. */
static inline uint64_t hash_words(const uint64_t key[2], uint64_t a, uint64_t b)
{
	return hash_mix(hash_mix(a ^ key[0] ^ 0x9e3779b97f4a7c15ULL, b ^ key[1] ^ 0xd1b54a32d192ed03ULL),
			key[0] ^ 0x8bb84b93962eacc9ULL);
}

#endif
