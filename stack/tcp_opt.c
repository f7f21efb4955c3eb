/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_opt.c - TCP options read and written: see tcp_opt.h
 *
 * The parser reads what hostile peers send: every length is checked against what is left and, for the known
 * kinds, against the one length the RFC gives. Unknown kinds are skipped by their length.
 */
#include "tcp_opt.h"

#include <errno.h>
#include <string.h>

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_PERMITTED = 4,
	OPT_SACK = 5,
	OPT_TS = 8,
};

enum { LEN_MSS = 4, LEN_WSCALE = 3, LEN_SACK_PERMITTED = 2, LEN_TS = 10, LEN_SACK_BLOCK = 8 };

#define WSCALE_MAX 14

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	return p + 4;
}

/* One option of a known kind and a length that fits in the header. False: the length is a lie. */
static bool parse_one(struct tcp_options *out, const uint8_t *p, unsigned len)
{
	switch (p[0]) {
	case OPT_MSS:
		if (len != LEN_MSS)
			return false;
		out->mss = (uint16_t)(p[2] << 8 | p[3]);
		return true;
	case OPT_WSCALE:
		if (len != LEN_WSCALE)
			return false;
		out->has_wscale = true;
		out->wscale = p[2] > WSCALE_MAX ? WSCALE_MAX : p[2];
		return true;
	case OPT_SACK_PERMITTED:
		if (len != LEN_SACK_PERMITTED)
			return false;
		out->sack_permitted = true;
		return true;
	case OPT_TS:
		if (len != LEN_TS)
			return false;
		out->has_ts = true;
		out->ts_val = get32(p + 2);
		out->ts_ecr = get32(p + 6);
		return true;
	case OPT_SACK:
		if (len < 2 + LEN_SACK_BLOCK || (len - 2) % LEN_SACK_BLOCK)
			return false;
		out->n_sack = (uint8_t)((len - 2) / LEN_SACK_BLOCK);
		for (unsigned i = 0; i < out->n_sack; i++) {
			out->sack[i].start = get32(p + 2 + i * LEN_SACK_BLOCK);
			out->sack[i].end = get32(p + 6 + i * LEN_SACK_BLOCK);
		}
		return true;
	default:
		return true;
	}
}

int tcp_options_parse(struct tcp_options *out, const uint8_t *p, unsigned len)
{
	memset(out, 0, sizeof *out);
	if (len > TCP_OPT_BYTES_MAX) /* no header can hold more, and sack[] is sized for that */
		return -EINVAL;
	while (len > 0) {
		if (p[0] == OPT_END)
			return 0;
		if (p[0] == OPT_NOP) {
			p++;
			len--;
			continue;
		}
		if (len < 2 || p[1] < 2 || p[1] > len || !parse_one(out, p, p[1]))
			return -EINVAL;
		len -= p[1];
		p += p[1];
	}
	return 0;
}

unsigned tcp_options_write(uint8_t *p, const struct tcp_options *opt)
{
	uint8_t *start = p;

	if (opt->mss) {
		*p++ = OPT_MSS;
		*p++ = LEN_MSS;
		*p++ = (uint8_t)(opt->mss >> 8);
		*p++ = (uint8_t)opt->mss;
	}
	/* Two bytes: either the pair NOP NOP or sackOK aligns the timestamps behind it. */
	if (opt->sack_permitted || opt->has_ts) {
		*p++ = opt->sack_permitted ? OPT_SACK_PERMITTED : OPT_NOP;
		*p++ = opt->sack_permitted ? LEN_SACK_PERMITTED : OPT_NOP;
	}
	if (opt->has_ts) {
		*p++ = OPT_TS;
		*p++ = LEN_TS;
		p = put32(p, opt->ts_val);
		p = put32(p, opt->ts_ecr);
	} else if (opt->sack_permitted) {
		*p++ = OPT_NOP;
		*p++ = OPT_NOP;
	}
	if (opt->has_wscale) {
		*p++ = OPT_NOP;
		*p++ = OPT_WSCALE;
		*p++ = LEN_WSCALE;
		*p++ = opt->wscale;
	}

	unsigned room = (unsigned)(TCP_OPT_BYTES_MAX - (p - start));
	unsigned n = opt->n_sack;
	if (n > 0 && room >= 4 + LEN_SACK_BLOCK) {
		if (n > (room - 4) / LEN_SACK_BLOCK)
			n = (room - 4) / LEN_SACK_BLOCK;
		*p++ = OPT_NOP;
		*p++ = OPT_NOP;
		*p++ = OPT_SACK;
		*p++ = (uint8_t)(2 + n * LEN_SACK_BLOCK);
		for (unsigned i = 0; i < n; i++) {
			p = put32(p, opt->sack[i].start);
			p = put32(p, opt->sack[i].end);
		}
	}
	return (unsigned)(p - start);
}

static const uint8_t ts_only_lead[4] = {OPT_NOP, OPT_NOP, OPT_TS, LEN_TS};

bool tcp_options_parse_ts_only(const uint8_t *p, unsigned len, uint32_t *ts_val, uint32_t *ts_ecr)
{
	if (len != 2 + LEN_TS || memcmp(p, ts_only_lead, sizeof ts_only_lead) != 0)
		return false;
	*ts_val = get32(p + 4);
	*ts_ecr = get32(p + 8);
	return true;
}

unsigned tcp_options_write_ts_only(uint8_t *p, uint32_t ts_val, uint32_t ts_ecr)
{
	memcpy(p, ts_only_lead, sizeof ts_only_lead);
	put32(put32(p + 4, ts_val), ts_ecr);
	return 2 + LEN_TS;
}
