/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_recover.h - decides which sent bytes are lost, what is sent again, and how many bytes may leave now
 *
 *     tcp_in ──ACK──► recover ──next buffer──► tcp_out
 *     timer ──RTO, probe, reorder──► │
 *                                    └──reduce──► tcp_cc
 *
 * With SACK: scoreboard in the send queue's buffers (TCP_M_SACKED, _LOST, _RETRANS), loss by RACK's time
 * order with RFC 6675's three-duplicates rule as its reordering window of zero, window by PRR, tail loss
 * probes. Without: NewReno. How large the window is otherwise is tcp_cc's question, how segments look is
 * tcp_out's.
 *
 * RFC 2018, 2883, 5681, 6298, 6582, 6675, 8985, 9937, 3042 (falls out of counting what was SACKed or
 * duplicated as having left the network).
 */
#ifndef STACK_TCP_RECOVER_H
#define STACK_TCP_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "tcp_opt.h"

struct rte_mbuf;
struct tcp_conn;

/* What one ACK told; filled in by the functions below in this order. */
struct tcp_acked {
	uint32_t prior_una;
	uint32_t prior_in_flight;
	uint32_t cumulative; /* sequence space between the old and the new snd_una */
	uint32_t delivered;  /* newly acknowledged, cumulatively or by SACK */
	time_ns rtt_ns;      /* of the latest buffer that was sent only once; 0: none */
	bool has_rtt;
	bool sacked_new;
	bool retrans_acked; /* a buffer that was sent again is acknowledged */
	bool duplicate;     /* counts as a duplicate ACK by RFC 5681's definition */
	bool dsack;
	bool spurious; /* the echo says that the original of what was sent again arrived */
};

/* tcp_sndq_ack() frees a buffer, or cuts `cut` bytes off its front. */
void tcp_recover_on_acked(struct tcp_conn *c, struct rte_mbuf *m, struct tcp_acked *a);
void tcp_recover_on_cut(struct tcp_conn *c, struct rte_mbuf *m, uint32_t cut, struct tcp_acked *a);

/* tcp_sndq_split() made `rest` out of m's end. */
void tcp_recover_on_split(struct tcp_conn *c, struct rte_mbuf *m, struct rte_mbuf *rest);

/* SACK blocks of the segment that acknowledged `ack`. */
void tcp_recover_sacks(struct tcp_conn *c, uint32_t ack, const struct tcp_options *opt, struct tcp_acked *a);

/* Did the timestamp echoed show that nothing had been lost (RFC 3522)? After snd_una moved. */
void tcp_recover_echo(struct tcp_conn *c, uint32_t ts_ecr, struct tcp_acked *a);

/* Marks losses, enters or leaves recovery, sets the window. After snd_una moved. */
void tcp_recover_on_ack(struct tcp_conn *c, struct tcp_acked *a);

/* TCP_T_REXMIT fired as RTO: everything not SACKed is lost. As reordering timer: look again. */
void tcp_recover_on_rto(struct tcp_conn *c);
void tcp_recover_on_reo_timer(struct tcp_conn *c);

/* Segments exceed a path MTU that was just learnt: they go again (RFC 1191, 6.4), without reduction. After
 * tcp_sync_mss(). */
void tcp_recover_on_mtu(struct tcp_conn *c);

/* First buffer to send again, in sequence order; NULL when there is none. */
struct rte_mbuf *tcp_recover_next(struct tcp_conn *c);

/* tcp_out sent a buffer, again or for the first time. */
void tcp_recover_on_resent(struct tcp_conn *c, struct rte_mbuf *m);
void tcp_recover_on_sent(struct tcp_conn *c, uint32_t bytes);

/* New connection, or one whose send queue was thrown away. */
void tcp_recover_reset(struct tcp_conn *c);

#endif
