/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_opt.h - TCP options read and written (RFC 9293 3.1, 7323, 2018, 6691)
 *
 * The parser trusts nothing: any length lie ends parsing and says so, what was read before stays valid. The
 * writer uses Linux's order: mss, sackOK, TS, nop, wscale.
 */
#ifndef STACK_TCP_OPT_H
#define STACK_TCP_OPT_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_OPT_SACK_BLOCKS_MAX 4
#define TCP_OPT_BYTES_MAX       40

struct tcp_sack_block {
	uint32_t start, end; /* host order; [start, end) */
};

struct tcp_options {
	uint16_t mss;   /* 0: absent */
	uint8_t wscale; /* 0..14; larger ones are read as 14 (RFC 7323, 2.3) */
	bool has_wscale, sack_permitted, has_ts;
	uint32_t ts_val, ts_ecr; /* host order */
	uint8_t n_sack;
	struct tcp_sack_block sack[TCP_OPT_SACK_BLOCKS_MAX];
};

/* Returns 0, or -EINVAL when the options are malformed (*out then holds those before the bad one). */
int tcp_options_parse(struct tcp_options *out, const uint8_t *p, unsigned len);

/*
 * Writes the options that are set, padded with NOPs to a multiple of 4; SACK blocks that do not fit are left
 * out, the last ones first. Returns the bytes written (<= 40).
 */
unsigned tcp_options_write(uint8_t *p, const struct tcp_options *opt);

/* Fast path: exactly NOP NOP TS in 12 bytes, as every segment of an established connection carries. */
bool tcp_options_parse_ts_only(const uint8_t *p, unsigned len, uint32_t *ts_val, uint32_t *ts_ecr);
unsigned tcp_options_write_ts_only(uint8_t *p, uint32_t ts_val, uint32_t ts_ecr);

#endif
