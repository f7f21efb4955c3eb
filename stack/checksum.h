/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * checksum.h - the Internet checksum (RFC 1071) over headers and over chains of packet buffers
 *
 * Sums are kept unfolded in 64 bits, in the byte order of the packet: ones' complement addition does not
 * care. Who decides whether a sum is needed at all (offloads, links without need) is ip4.c.
 */
#ifndef STACK_CHECKSUM_H
#define STACK_CHECKSUM_H

#include <stdint.h>

#include "ip_addr.h"

struct rte_mbuf;

/* Sum of the 16-bit words of `len` bytes; an odd last byte counts as the first byte of a word. */
uint64_t csum_bytes(const void *data, uint32_t len);

/* The same over `len` bytes of a chain, from `off` on. The chain holds that many. */
uint64_t csum_chain(const struct rte_mbuf *m, uint32_t off, uint32_t len);

/* The pseudo-header of TCP and UDP over IPv4; l4_len 0 for TSO (DPDK's rule). */
static inline uint64_t csum_pseudo_ip4(be32 src, be32 dst, uint8_t proto, uint32_t l4_len)
{
	return (uint64_t)src + dst + htons(proto) + (uint64_t)htons((uint16_t)l4_len);
}

/* 16 bits with all carries added in; not complemented. */
static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* An IPv4 header without options. */
static inline uint16_t csum_ip4_header20(const void *hdr)
{
	uint32_t w[5];

	__builtin_memcpy(w, hdr, sizeof(w));
	return csum_fold((uint64_t)w[0] + w[1] + w[2] + w[3] + w[4]);
}

#endif
