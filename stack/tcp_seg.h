/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_seg.h - a received segment as the input functions pass it around
 */
#ifndef STACK_TCP_SEG_H
#define STACK_TCP_SEG_H

#include <stdbool.h>
#include <stdint.h>

#include "ip4.h"
#include "tcp_opt.h"

struct rte_mbuf;

#define SEG_FIN 0x01
#define SEG_SYN 0x02
#define SEG_RST 0x04
#define SEG_PSH 0x08
#define SEG_ACK 0x10
#define SEG_URG 0x20

struct tcp_seg {
	struct rte_mbuf *m; /* NULL once somebody took it */
	uint32_t seq, ack;
	uint32_t len; /* payload bytes */
	uint32_t off; /* payload's place in m's data */
	uint16_t wnd; /* as in the header, not scaled */
	uint16_t urg_ptr;
	uint8_t flags; /* SEG_* */
	uint8_t tos;
	uint32_t hash;
	struct endpoint local, peer;
	struct tcp_options opt;
};

/* End in sequence space: payload, SYN and FIN. */
static inline uint32_t tcp_seg_end(const struct tcp_seg *s)
{
	return s->seq + s->len + ((s->flags & SEG_SYN) ? 1 : 0) + ((s->flags & SEG_FIN) ? 1 : 0);
}

#endif
