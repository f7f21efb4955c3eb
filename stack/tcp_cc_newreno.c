/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_cc_newreno.c - "reno": slow start, one segment per window in congestion avoidance, half on loss
 *
 * RFC 5681 with bytes counted (3465); like Linux it halves cwnd rather than the flight, which is the same as
 * long as cwnd does not grow while the program, not the window, limits sending.
 */
#include "tcp_cc.h"

static void newreno_init(struct tcp_cc *cc)
{
	cc->private[0] = 0; /* bytes acknowledged since cwnd last grew */
}

static void newreno_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	if (!ack->cwnd_limited)
		return;
	uint32_t left = tcp_cc_slow_start(cc, ack->acked_bytes);
	if (left > 0)
		tcp_cc_avoid(cc, &cc->private[0], left);
}

static uint32_t newreno_ssthresh(struct tcp_cc *cc, uint32_t in_flight, time_ns now)
{
	(void)in_flight, (void)now;
	uint32_t half = cc->cwnd / 2, floor = 2U * cc->mss;
	cc->private[0] = 0;
	return half > floor ? half : floor;
}

const struct tcp_cc_ops tcp_cc_newreno = {
	.name = "reno",
	.init = newreno_init,
	.on_ack = newreno_on_ack,
	.ssthresh = newreno_ssthresh,
};
