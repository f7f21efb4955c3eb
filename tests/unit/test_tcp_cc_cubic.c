/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_cc_cubic.c - RFC 9438 against its own formula in floating point, and HyStart++ (RFC 9406)
 */
#include <criterion/criterion.h>
#include <math.h>

#include "stack/tcp_cc.h"

#define MSS 1448

static struct tcp_cc fresh(void)
{
	struct tcp_cc cc;
	tcp_cc_init(&cc, (unsigned)tcp_cc_find("cubic", 5), MSS);
	return cc;
}

static uint32_t snd_una;

/* A round of a path with `rtt`: the whole window is acknowledged, segment by segment. Returns the time after
 * it. */
static time_ns round_trip(struct tcp_cc *cc, time_ns now, time_ns rtt)
{
	uint32_t window = cc->cwnd, end = snd_una + window;
	for (uint32_t n = window / MSS, i = 1; i <= n; i++) {
		snd_una += i < n ? MSS : end - snd_una;
		struct tcp_cc_ack a = {.now = now + rtt * i / n,
				       .rtt_ns = rtt,
				       .srtt_ns = rtt,
				       .min_rtt_ns = rtt,
				       .acked_bytes = MSS,
				       .in_flight_bytes = window,
				       .cwnd_limited = true,
				       .snd_una = snd_una,
				       .snd_nxt = end + i * MSS};
		tcp_cc_ops(cc)->on_ack(cc, &a);
	}
	return now + rtt;
}

Test(tcp_cc_cubic, loss_keeps_seven_tenths)
{
	struct tcp_cc cc = fresh();
	cc.cwnd = 100 * MSS;
	tcp_cc_reduce(&cc, cc.cwnd, 0);
	cr_assert_eq(cc.ssthresh, 70 * MSS);
}

Test(tcp_cc_cubic, grows_along_the_curve)
{
	struct tcp_cc cc = fresh();
	const double w_max = 1000, rtt = 0.1;
	cc.cwnd = (uint32_t)w_max * MSS;
	tcp_cc_reduce(&cc, cc.cwnd, 0);
	cc.cwnd = cc.ssthresh;

	const double k = cbrt((w_max - 0.7 * w_max) / 0.4); /* 9.09 s */
	time_ns now = 0;
	while (now < 20 * NS_PER_SEC) {
		now = round_trip(&cc, now, 100 * NS_PER_MS);
		double t = (double)now / NS_PER_SEC, want = 0.4 * pow(t + rtt - k, 3) + w_max;
		double est = 0.7 * w_max + 9.0 / 17 * t / rtt; /* Reno's window where that is larger */
		if (want < est)
			want = est;
		double got = (double)cc.cwnd / MSS;
		cr_assert_float_eq(got, want, 0.02 * want, "at %.1f s: %.1f segments, RFC 9438 says %.1f", t,
				   got, want);
	}
}

Test(tcp_cc_cubic, is_no_slower_than_reno_on_a_short_path)
{
	struct tcp_cc cc = fresh();
	cc.cwnd = 20 * MSS;
	tcp_cc_reduce(&cc, cc.cwnd, 0);
	cc.cwnd = cc.ssthresh;
	time_ns now = 0;
	for (unsigned i = 0; i < 100; i++)
		now = round_trip(&cc, now, NS_PER_MS);
	/* 14 + 9/17 per round until 20, then one per round: 20 + (100 - 6 * 17/9) */
	cr_assert_float_eq((double)cc.cwnd / MSS, 108.7, 2.0, "%.1f", (double)cc.cwnd / MSS);
}

Test(tcp_cc_cubic, second_loss_below_the_first_gives_up_some_window)
{
	struct tcp_cc a = fresh(), b = fresh();
	a.cwnd = b.cwnd = 1000 * MSS;
	tcp_cc_reduce(&a, a.cwnd, 0);
	a.cwnd = b.cwnd = 700 * MSS;
	tcp_cc_reduce(&a, a.cwnd, 0); /* fast convergence: aims at 0.85 * 700 */
	tcp_cc_reduce(&b, b.cwnd, 0); /* aims at 700 */
	a.cwnd = a.ssthresh;
	b.cwnd = b.ssthresh;
	time_ns now_a = 0, now_b = 0;
	while (now_a < 7 * NS_PER_SEC) {
		now_a = round_trip(&a, now_a, 100 * NS_PER_MS);
		now_b = round_trip(&b, now_b, 100 * NS_PER_MS);
	}
	cr_assert_lt(a.cwnd, 605 * MSS);
	cr_assert_gt(b.cwnd, 680 * MSS);
}

Test(tcp_cc_cubic, after_a_timeout_the_curve_is_flat_where_slow_start_ended)
{
	struct tcp_cc cc = fresh();
	cc.cwnd = 1000 * MSS;
	tcp_cc_reduce(&cc, cc.cwnd, 0);
	tcp_cc_ops(&cc)->on_rto(&cc, 0);
	cc.cwnd = cc.ssthresh;
	time_ns now = 0;
	for (unsigned i = 0; i < 10; i++)
		now = round_trip(&cc, now, 100 * NS_PER_MS);
	/* one second later: 0.4 * 1.1^3 segments by the curve, 10 by Reno's */
	cr_assert_float_eq((double)cc.cwnd / MSS, 710, 1.5);
}

Test(tcp_cc_cubic, idle_time_does_not_count)
{
	struct tcp_cc cc = fresh();
	cc.cwnd = 1000 * MSS;
	tcp_cc_reduce(&cc, cc.cwnd, 0);
	cc.cwnd = cc.ssthresh;
	time_ns now = round_trip(&cc, 0, 100 * NS_PER_MS);
	struct tcp_cc busy = cc;
	uint32_t una = snd_una;
	tcp_cc_ops(&cc)->on_idle(&cc, 3600 * NS_PER_SEC, now + 3600 * NS_PER_SEC);
	round_trip(&busy, now, 100 * NS_PER_MS);
	snd_una = una;
	round_trip(&cc, now + 3600 * NS_PER_SEC, 100 * NS_PER_MS);
	cr_assert_eq(cc.cwnd, busy.cwnd);
}

Test(tcp_cc_cubic, never_grows_by_more_than_half_a_window_per_round)
{
	struct tcp_cc cc = fresh();
	cc.ssthresh = cc.cwnd;
	time_ns now = 0;
	for (unsigned i = 0; i < 60; i++) {
		uint32_t before = cc.cwnd;
		now = round_trip(&cc, now, 2 * NS_PER_SEC);
		cr_assert_leq(cc.cwnd, before + (uint64_t)before * 2 / 3);
	}
	cr_assert_leq(cc.cwnd, TCP_CC_CWND_MAX);
}

Test(tcp_cc_cubic, random_use_stays_in_bounds)
{
	uint64_t x = 88172645463325252ULL;
	struct tcp_cc cc = fresh();
	time_ns now = 0;
	for (unsigned i = 0; i < 300000; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		if (x % 4096 == 0) {
			tcp_cc_reduce(&cc, cc.cwnd, now);
			cc.cwnd = cc.ssthresh;
		} else if (x % 65537 == 1) {
			tcp_cc_ops(&cc)->on_rto(&cc, now);
			cc.cwnd = MSS;
		} else if (x % 10007 == 2) {
			tcp_cc_undo(&cc);
		} else {
			now += x >> (34 + x % 20);
			struct tcp_cc_ack a = {.now = now,
					       .rtt_ns = x >> 40,
					       .srtt_ns = x >> 36,
					       .acked_bytes = (uint32_t)(x >> (44 + x % 20)),
					       .cwnd_limited = x & 16,
					       .snd_una = (uint32_t)i * 1000,
					       .snd_nxt = (uint32_t)i * 1000 + cc.cwnd};
			tcp_cc_ops(&cc)->on_ack(&cc, &a);
		}
		cr_assert_leq(cc.cwnd, TCP_CC_CWND_MAX);
		cr_assert_geq(cc.cwnd, MSS);
		cr_assert_geq(cc.ssthresh, 2 * MSS);
	}
}

Test(tcp_cc_cubic, hystart_leaves_slow_start_when_the_rtt_rises_for_five_rounds)
{
	struct tcp_cc cc = fresh();
	time_ns now = 0;
	now = round_trip(&cc, now, 20 * NS_PER_MS);
	cr_assert_eq(cc.cwnd, 20 * MSS);
	now = round_trip(&cc, now, 20 * NS_PER_MS);
	cr_assert_eq(cc.cwnd, 40 * MSS);
	now = round_trip(&cc, now, 30 * NS_PER_MS); /* +10 ms > 4 ms: growth slows down to a quarter */
	cr_assert_lt(cc.cwnd, 60 * MSS);
	cr_assert_eq(cc.ssthresh, UINT32_MAX);
	for (unsigned i = 0; i < 5; i++)
		now = round_trip(&cc, now, 30 * NS_PER_MS);
	cr_assert_lt(cc.ssthresh, 200 * MSS);
}

Test(tcp_cc_cubic, hystart_resumes_when_the_rise_was_noise)
{
	struct tcp_cc cc = fresh();
	time_ns now = 0;
	now = round_trip(&cc, now, 20 * NS_PER_MS);
	now = round_trip(&cc, now, 20 * NS_PER_MS);
	now = round_trip(&cc, now, 30 * NS_PER_MS);
	for (unsigned i = 0; i < 3; i++)
		now = round_trip(&cc, now, 20 * NS_PER_MS);
	uint32_t before = cc.cwnd;
	now = round_trip(&cc, now, 20 * NS_PER_MS);
	cr_assert_eq(cc.cwnd, 2 * before - before % MSS);
	cr_assert_eq(cc.ssthresh, UINT32_MAX);
}
