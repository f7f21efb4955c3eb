/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_rtt.c - RFC 6298 with Linux's bounds
 */
#include <criterion/criterion.h>

#include "stack/tcp_rtt.h"

static struct tcp_rtt fresh(void)
{
	struct tcp_rtt r;
	tcp_rtt_init(&r);
	return r;
}

Test(tcp_rtt, one_second_before_the_first_sample_then_doubles_to_120_s)
{
	struct tcp_rtt r = fresh();
	for (unsigned i = 0; i < 7; i++) {
		cr_assert_eq(tcp_rtt_timeout(&r), NS_PER_SEC << i);
		tcp_rtt_backoff(&r);
	}
	for (unsigned i = 0; i < 1000; i++) {
		cr_assert_eq(tcp_rtt_timeout(&r), 120 * NS_PER_SEC);
		tcp_rtt_backoff(&r);
	}
}

Test(tcp_rtt, no_delay_gives_the_floor_itself)
{
	struct tcp_rtt r = fresh();
	for (unsigned i = 0; i < 100; i++) {
		tcp_rtt_sample(&r, 0, i);
		cr_assert_gt(r.srtt_ns, 0);
		cr_assert_eq(tcp_rtt_timeout(&r), 200 * NS_PER_MS);
	}
}

Test(tcp_rtt, first_sample_sets_both_averages)
{
	struct tcp_rtt r = fresh();
	tcp_rtt_sample(&r, 300 * NS_PER_MS, 0);
	cr_assert_eq(r.srtt_ns, 300 * NS_PER_MS);
	cr_assert_eq(r.rttvar_ns, 150 * NS_PER_MS);
	cr_assert_eq(tcp_rtt_timeout(&r), 900 * NS_PER_MS);
}

Test(tcp_rtt, later_samples_move_by_an_eighth_and_a_quarter)
{
	struct tcp_rtt r = fresh();
	tcp_rtt_sample(&r, 80 * NS_PER_MS, 0);
	tcp_rtt_sample(&r, 160 * NS_PER_MS, 0);
	cr_assert_eq(r.srtt_ns, 90 * NS_PER_MS);
	cr_assert_eq(r.rttvar_ns, 50 * NS_PER_MS); /* 3/4 * 40 + 1/4 * 80 */
	cr_assert_eq(tcp_rtt_timeout(&r), 290 * NS_PER_MS);
}

Test(tcp_rtt, steady_long_path_keeps_200_ms_above_its_rtt)
{
	struct tcp_rtt r = fresh();
	for (unsigned i = 0; i < 200; i++)
		tcp_rtt_sample(&r, 500 * NS_PER_MS, 0);
	cr_assert_eq(tcp_rtt_timeout(&r), 700 * NS_PER_MS);
}

Test(tcp_rtt, sample_clears_backoff)
{
	struct tcp_rtt r = fresh();
	tcp_rtt_sample(&r, NS_PER_MS, 0);
	tcp_rtt_backoff(&r);
	tcp_rtt_backoff(&r);
	cr_assert_eq(tcp_rtt_timeout(&r), 4 * r.rto_ns);
	tcp_rtt_sample(&r, NS_PER_MS, 0);
	cr_assert_eq(tcp_rtt_timeout(&r), r.rto_ns);
}

Test(tcp_rtt, minimum_is_forgotten_after_five_minutes)
{
	struct tcp_rtt r = fresh();
	tcp_rtt_sample(&r, 5 * NS_PER_MS, 0);
	tcp_rtt_sample(&r, 9 * NS_PER_MS, 300 * NS_PER_SEC);
	cr_assert_eq(r.min_ns, 5 * NS_PER_MS);
	tcp_rtt_sample(&r, 9 * NS_PER_MS, 300 * NS_PER_SEC + 1);
	cr_assert_eq(r.min_ns, 9 * NS_PER_MS);
	tcp_rtt_sample(&r, 4 * NS_PER_MS, 301 * NS_PER_SEC);
	cr_assert_eq(r.min_ns, 4 * NS_PER_MS);
}

Test(tcp_rtt, absurd_sample_is_bounded)
{
	struct tcp_rtt r = fresh();
	tcp_rtt_sample(&r, UINT64_MAX, 0);
	cr_assert_eq(r.srtt_ns, TCP_RTO_MAX_NS);
	cr_assert_eq(tcp_rtt_timeout(&r), TCP_RTO_MAX_NS);
	tcp_rtt_sample(&r, UINT64_MAX, 0);
	cr_assert_eq(tcp_rtt_timeout(&r), TCP_RTO_MAX_NS);
}
