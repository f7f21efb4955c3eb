/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_rtt.h - round-trip time and the retransmission timeout (RFC 6298; Linux's 200 ms floor and 120 s
 * ceiling)
 */
#ifndef STACK_TCP_RTT_H
#define STACK_TCP_RTT_H

#include <stdint.h>

#include "clock.h"

#define TCP_RTO_INITIAL_NS (1 * NS_PER_SEC)
#define TCP_RTO_MIN_NS     (200 * NS_PER_MS)
#define TCP_RTO_MAX_NS     (120 * NS_PER_SEC)

struct tcp_rtt {
	time_ns srtt_ns; /* 0: no sample yet */
	time_ns rttvar_ns;
	time_ns min_ns; /* smallest sample of the last 5 minutes' window (Linux's tcp_min_rtt) */
	time_ns min_at;
	time_ns rto_ns;  /* without backoff */
	uint8_t backoff; /* doublings since the last new ACK */
};

void tcp_rtt_init(struct tcp_rtt *r);

/*
 * Linux's form of the timeout, srtt + max(4 * rttvar, 200 ms): on a long path whose RTT hardly varies RFC
 * 6298's max(srtt + 4 * rttvar, floor) would leave no room for a delayed ACK. Whole microseconds.
 */

/* One sample from a segment sent once (Karn) or from a timestamp echo. Clears the backoff. */
void tcp_rtt_sample(struct tcp_rtt *r, time_ns rtt_ns, time_ns now);

/* Timeout to arm now: rto << backoff, within the bounds. */
time_ns tcp_rtt_timeout(const struct tcp_rtt *r);
void tcp_rtt_backoff(struct tcp_rtt *r);

#endif
