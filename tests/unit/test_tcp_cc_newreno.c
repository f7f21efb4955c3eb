/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_cc_newreno.c - RFC 5681's window
 */
#include <criterion/criterion.h>

#include "stack/tcp_cc.h"

static struct tcp_cc fresh(void)
{
	struct tcp_cc cc;
	tcp_cc_init(&cc, (unsigned)tcp_cc_find("reno", 4), 1000);
	return cc;
}

static void ack(struct tcp_cc *cc, uint32_t bytes, bool cwnd_limited)
{
	struct tcp_cc_ack a = {
		.acked_bytes = bytes, .in_flight_bytes = cc->cwnd, .cwnd_limited = cwnd_limited};
	tcp_cc_ops(cc)->on_ack(cc, &a);
}

Test(tcp_cc_newreno, slow_start_doubles_each_round)
{
	struct tcp_cc cc = fresh();
	for (unsigned i = 0; i < 10; i++)
		ack(&cc, 1000, true);
	cr_assert_eq(cc.cwnd, 20000);
}

Test(tcp_cc_newreno, avoidance_adds_one_segment_each_round)
{
	struct tcp_cc cc = fresh();
	cc.ssthresh = cc.cwnd;
	for (unsigned round = 0; round < 5; round++) {
		uint32_t window = cc.cwnd;
		for (uint32_t sent = 0; sent < window; sent += 500)
			ack(&cc, 500, true);
		cr_assert_eq(cc.cwnd, window + 1000);
	}
}

Test(tcp_cc_newreno, window_that_is_not_used_does_not_grow)
{
	struct tcp_cc cc = fresh();
	ack(&cc, 5000, false);
	cr_assert_eq(cc.cwnd, 10000);
}

Test(tcp_cc_newreno, loss_halves)
{
	struct tcp_cc cc = fresh();
	cc.cwnd = 40000;
	tcp_cc_reduce(&cc, 38000, 0);
	cr_assert_eq(cc.ssthresh, 20000);
	cr_assert_eq(cc.prior_cwnd, 40000);
}

Test(tcp_cc_newreno, one_ack_may_cross_from_slow_start_to_avoidance)
{
	struct tcp_cc cc = fresh();
	cc.ssthresh = 12000;
	ack(&cc, 14000, true); /* 2000 to reach ssthresh, 12000 are one window */
	cr_assert_eq(cc.cwnd, 13000);
}
