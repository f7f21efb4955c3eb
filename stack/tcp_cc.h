/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_cc.h - congestion control: a name and a few hooks
 *
 * Answers one question, how large may the window be. What is lost and what is sent again is tcp_recover.c's
 * question. An algorithm is chosen by its index in tcp_cc_algorithms[], never by pointer: connections live in
 * shared memory. All sizes in bytes; segments are cc->mss bytes.
 *
 * On a loss tcp_recover.c calls tcp_cc_reduce(), then lets the window shrink to ssthresh in its own way (or
 * to one segment after a timeout, with on_rto()); when the loss turns out never to have happened,
 * tcp_cc_undo().
 */
#ifndef STACK_TCP_CC_H
#define STACK_TCP_CC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

struct tcp_cc {
	uint8_t algorithm; /* index in tcp_cc_algorithms */
	uint16_t mss;
	uint32_t cwnd, ssthresh;             /* bytes; ssthresh UINT32_MAX at the start */
	uint32_t prior_cwnd, prior_ssthresh; /* before the last reduction, for undo */
	uint64_t private[8];                 /* the algorithm's own */
};

/* What an ACK of new data tells. */
struct tcp_cc_ack {
	time_ns now, rtt_ns; /* rtt 0: no sample */
	time_ns srtt_ns, min_rtt_ns;
	uint32_t acked_bytes;     /* newly acknowledged, cumulative and SACK */
	uint32_t in_flight_bytes; /* before this ACK */
	bool cwnd_limited;        /* the window, not the program, held data back */
	uint32_t snd_una, snd_nxt;
};

struct tcp_cc_ops {
	const char *name;
	void (*init)(struct tcp_cc *cc);
	void (*on_ack)(struct tcp_cc *cc, const struct tcp_cc_ack *ack); /* not in recovery */
	uint32_t (*ssthresh)(struct tcp_cc *cc, uint32_t in_flight,
			     time_ns now);                                /* loss was seen: new ssthresh */
	void (*on_rto)(struct tcp_cc *cc, time_ns now);                   /* may be NULL */
	void (*on_idle)(struct tcp_cc *cc, time_ns idle_ns, time_ns now); /* after an idle RTO; may be NULL */
	void (*undo)(struct tcp_cc *cc); /* after tcp_cc_undo() put the window back; may be NULL */
};

extern const struct tcp_cc_ops *const tcp_cc_algorithms[];
extern const unsigned tcp_cc_algorithm_count;

/* Index of a name as TCP_CONGESTION takes it, or -ENOENT. */
int tcp_cc_find(const char *name, size_t len);

/* Fresh connection: IW10 (RFC 6928), no ssthresh. */
void tcp_cc_init(struct tcp_cc *cc, unsigned algorithm, uint16_t mss);

/* TCP_CONGESTION on a live connection: keeps cwnd and ssthresh. */
void tcp_cc_switch(struct tcp_cc *cc, unsigned algorithm);

static inline const struct tcp_cc_ops *tcp_cc_ops(const struct tcp_cc *cc)
{
	return tcp_cc_algorithms[cc->algorithm];
}

/* A loss: remembers cwnd and ssthresh for undo and sets the new ssthresh; cwnd is left to the caller. */
void tcp_cc_reduce(struct tcp_cc *cc, uint32_t in_flight, time_ns now);

/* Back to what it was before the last tcp_cc_reduce(), never to less than it is. */
void tcp_cc_undo(struct tcp_cc *cc);

/* What congestion avoidance grows by: one segment per window acknowledged; *acc keeps the rest. */
void tcp_cc_avoid(struct tcp_cc *cc, uint64_t *acc, uint32_t acked_bytes);

/* Slow start's part, shared: grows cwnd by the bytes acked up to ssthresh, returns the bytes left over. */
uint32_t tcp_cc_slow_start(struct tcp_cc *cc, uint32_t acked_bytes);

/* Grows cwnd, within a bound that keeps sums of two windows in 32 bits. */
void tcp_cc_grow(struct tcp_cc *cc, uint64_t bytes);

#define TCP_CC_CWND_MAX (1U << 30)

extern const struct tcp_cc_ops tcp_cc_newreno, tcp_cc_cubic;

#endif
