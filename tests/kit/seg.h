/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seg.h - a packet as a value: built from a struct with defaults, parsed back, compared and printed
 *
 *     SEG(.seq = 1000, .ack = 1, .flags = "PA", .len = 500, .opts = "nop,nop,TS val 7 ecr 9")
 *
 * Numbers are in host order. Sequence numbers are what the caller makes of them: tcp_kit counts from the
 * first data byte of each direction (so a SYN has seq -1). A field left zero takes its default when building
 * and is not compared when expecting, except seq, ack, len and flags, which always are.
 *
 * Payload without `data` is kit_byte(seq + i): each byte says where in the stream it belongs.
 *
 * Options are written as tcpdump does: "mss 1460,sackOK,TS val 1 ecr 2,nop,wscale 7,sack 10:20 30:40,eol",
 * and "hex 02 0a" for bytes that are none. "" means no options at all, NULL the default. When expecting, "TS"
 * alone stands for any values.
 */
#ifndef TESTS_KIT_SEG_H
#define TESTS_KIT_SEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

#include "stack/clock.h"
#include "stack/ip_addr.h"

struct rte_mbuf;
struct rte_mempool;

#define SEG_WIN_ZERO (-1) /* .win: a window of 0 (0 itself is "default") */

struct seg {
	/* IP */
	be32 src, dst;
	uint8_t proto; /* default TCP */
	uint8_t tos, ttl;
	uint16_t ip_id, frag_off; /* frag_off with its flag bits, host order */
	/* ports, TCP and UDP */
	uint16_t sport, dport;
	/* TCP */
	uint32_t seq, ack;
	const char *flags; /* letters of "SFRPAUEWN", any order; NULL: "A" */
	int win;           /* the field itself, not scaled */
	uint16_t urg;
	const char *opts;
	/* ICMP: type, code and the four bytes behind the checksum */
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_arg;
	/* payload */
	uint32_t len;
	const void *data; /* len bytes; NULL: kit_byte(seq + i) */
	unsigned flow;    /* tcp_kit: which of its connections */

	/* lies, for hostile packets */
	uint16_t ip_csum_xor, l4_csum_xor;
	int ip_len_add;      /* IP total length says so many bytes more */
	uint8_t ihl, doff;   /* header lengths in words; 0: true ones */
	uint8_t ip_version;  /* 0: 4 */
	uint8_t ip_opts[40]; /* raw IP options, ip_opts_len a multiple of 4 */
	uint8_t ip_opts_len;
	unsigned cut_bytes; /* taken off the end of the frame */
	unsigned pad_bytes; /* appended behind the IP packet */
	uint8_t eth_dst[6]; /* all zero: the stack's */
};

#define SEG(...) (&(const struct seg){__VA_ARGS__})

/* A frame as it was on the wire. */
struct seg_frame {
	time_ns at;
	struct seg seg; /* flags, opts and data point into this struct */
	char flags[12];
	char opts[256];
	uint8_t raw_opts[40];
	uint8_t raw_opts_len;
	bool has_ts;
	uint32_t ts_val, ts_ecr;
	bool csum_ok;   /* of IP and, if it is no fragment, of the layer above */
	uint32_t bytes; /* of the frame */
	uint8_t *data;  /* malloc'ed; seg_frame_fini() */
};

struct seg_link {
	uint8_t src_mac[6], dst_mac[6];
};

/* The stream's byte at position `pos`. */
static inline uint8_t kit_byte(uint32_t pos)
{
	return (uint8_t)(pos * 167 + (pos >> 8) * 13 + 1);
}

/* A frame from absolute values; NULL when the pool is empty. `sack_base` is added to the edges of SACK
 * blocks. */
struct rte_mbuf *seg_build(struct rte_mempool *pool, const struct seg_link *link, const struct seg *s,
			   uint32_t sack_base);

/*
 * Reads a frame, chained or not, offload requests completed (checksums asked of the device count as right).
 * `sack_base` is taken off the edges of SACK blocks. False: no IPv4 packet, or one that cannot be read.
 */
bool seg_parse(struct seg_frame *out, struct rte_mbuf *m, uint32_t sack_base);
void seg_frame_fini(struct seg_frame *f);

/* Is `got` what `want` asks for? Otherwise says in `why` what differs. */
bool seg_matches(const struct seg *want, const struct seg *got, char *why, size_t why_len);

/* One line, as tcpdump would put it. */
void seg_print(const struct seg *s, char *buf, size_t len);

/* Compiles option text to bytes; returns their number, padded with eol to a multiple of 4 unless `exact`. */
unsigned seg_opts_build(const char *text, uint8_t out[64], uint32_t sack_base, bool exact);
void seg_opts_print(const uint8_t *p, unsigned len, uint32_t sack_base, char *buf, size_t buf_len);

uint16_t kit_checksum(const void *data, size_t len, uint32_t sum);

#endif
