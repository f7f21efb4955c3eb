/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pkt.h - the packet buffer: rte_mbuf plus the few bytes the stack keeps beside each one
 *
 * Every pool whose mbufs reach the stack is made with PKT_PRIV_SIZE bytes of private area; struct pkt_meta
 * lives there. A mbuf belongs to exactly one of: the device, one queue of the stack, or a function's local
 * variable. The single exception is a transmitted data segment, which the device and the send queue share by
 * reference count: while rte_mbuf_refcnt_read() > 1 nobody may write its bytes or its header fields.
 */
#ifndef STACK_PKT_H
#define STACK_PKT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

#include "clock.h"

#define PKT_PRIV_SIZE 48

/* Data room of a pool's mbufs: headroom + MTU-sized frame. 1500-byte MTU gives DPDK's usual 2176. */
#define PKT_HEADROOM RTE_PKTMBUF_HEADROOM

/* A packet on its way from one stack to another (handover.h). */
struct pkt_handover {
	uint16_t ask;  /* stacks still to be asked, by bit */
	uint8_t home;  /* the one where it arrived */
	uint8_t level; /* enum handover_level that is asked for */
	bool to_us_only;
	bool arp; /* an Ethernet frame with ARP; else the data starts at an IP header that was checked */
};

struct pkt_meta {
	struct rte_mbuf *next; /* link of whatever queue of the stack holds the mbuf (never m->next, which is
				  the chain) */
	time_ns sent_at;       /* TCP: last transmission */
	union {
		struct {
			uint32_t seq; /* TCP: sequence number of the first payload byte, host order */
			uint16_t off; /* payload offset from buf_addr (data_off moves when headers are
					 written) */
			uint16_t len; /* payload bytes in this mbuf */
		};
		struct pkt_handover handover;
	};
	uint8_t flags;    /* owner's own */
	uint8_t tx_count; /* TCP: transmissions, saturating */
	uint16_t spare;
	struct rte_mbuf *resent_prev, *resent_next; /* TCP: list of tcp_recover.c */
};

_Static_assert(sizeof(struct pkt_meta) <= PKT_PRIV_SIZE, "pkt_meta outgrew the private area");

static inline struct pkt_meta *pkt_meta(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

/* Grows the data at the front, in headroom that is known to be there; returns the new start. */
static inline void *pkt_push(struct rte_mbuf *m, uint16_t len)
{
	assert(rte_pktmbuf_headroom(m) >= len);
	m->data_off -= len;
	m->data_len += len;
	m->pkt_len += len;
	return rte_pktmbuf_mtod(m, void *);
}

/* Grows a single buffer's data at the end, in tailroom that is known to be there; returns where. */
static inline void *pkt_put(struct rte_mbuf *m, uint16_t len)
{
	void *end = rte_pktmbuf_mtod_offset(m, void *, m->data_len);

	assert(rte_pktmbuf_tailroom(m) >= len);
	m->data_len += len;
	m->pkt_len += len;
	return end;
}

#endif
