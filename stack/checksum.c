/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checksum.c - the Internet checksum over memory and over chains
 *
 * The loop adds 32-bit words into four 64-bit sums, which compilers turn into vector code and which cannot
 * overflow below 16 GB. RFC 1071 allows any word size: carries are folded at the end.
 */
#include "checksum.h"

#include <rte_mbuf.h>

uint64_t csum_bytes(const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
	uint32_t w[4];
	uint16_t half;

	for (; len >= 16; len -= 16, p += 16) {
		memcpy(w, p, 16);
		s0 += w[0];
		s1 += w[1];
		s2 += w[2];
		s3 += w[3];
	}
	for (; len >= 4; len -= 4, p += 4) {
		memcpy(w, p, 4);
		s0 += w[0];
	}
	if (len >= 2) {
		memcpy(&half, p, 2);
		s1 += half;
		p += 2;
		len -= 2;
	}
	if (len)
		s2 += htons((uint16_t)(*p << 8));
	return s0 + s1 + s2 + s3;
}

uint64_t csum_chain(const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	uint64_t sum = 0;
	bool odd = false;

	while (off >= m->data_len && m->next != NULL) {
		off -= m->data_len;
		m = m->next;
	}
	for (; m != NULL && len; m = m->next, off = 0) {
		uint32_t part = RTE_MIN(len, m->data_len - off);
		uint64_t s = csum_bytes(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), part);

		/* Bytes at odd offsets belong to the other half of their word. */
		sum += odd ? __builtin_bswap16(csum_fold(s)) : s;
		odd ^= part & 1;
		len -= part;
	}
	return sum;
}
