/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_cc.c - what the congestion control algorithms share
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "stack/tcp_cc.h"

Test(tcp_cc, names_are_found_with_and_without_nul)
{
	cr_assert_geq(tcp_cc_find("cubic", 5), 0);
	cr_assert_geq(tcp_cc_find("cubic", 16), 0);
	cr_assert_str_eq(tcp_cc_algorithms[tcp_cc_find("reno", 4)]->name, "reno");
	cr_assert_eq(tcp_cc_find("cubi", 4), -ENOENT);
	cr_assert_eq(tcp_cc_find("cubicx", 6), -ENOENT);
	cr_assert_eq(tcp_cc_find("", 0), -ENOENT);
}

Test(tcp_cc, starts_with_ten_segments)
{
	for (unsigned i = 0; i < tcp_cc_algorithm_count; i++) {
		struct tcp_cc cc;
		tcp_cc_init(&cc, i, 1448);
		cr_assert_eq(cc.cwnd, 14480);
		cr_assert_eq(cc.ssthresh, UINT32_MAX);
	}
}

Test(tcp_cc, switching_keeps_the_window)
{
	struct tcp_cc cc;
	tcp_cc_init(&cc, 0, 1000);
	cc.cwnd = 77000;
	cc.ssthresh = 50000;
	tcp_cc_switch(&cc, 1);
	cr_assert_eq(cc.cwnd, 77000);
	cr_assert_eq(cc.ssthresh, 50000);
	cr_assert_eq(tcp_cc_ops(&cc), tcp_cc_algorithms[1]);
}

Test(tcp_cc, slow_start_stops_at_ssthresh_and_gives_back_the_rest)
{
	struct tcp_cc cc;
	tcp_cc_init(&cc, 0, 1000);
	cc.ssthresh = 12000;
	cr_assert_eq(tcp_cc_slow_start(&cc, 1500), 0);
	cr_assert_eq(cc.cwnd, 11500);
	cr_assert_eq(tcp_cc_slow_start(&cc, 1500), 1000);
	cr_assert_eq(cc.cwnd, 12000);
	cr_assert_eq(tcp_cc_slow_start(&cc, 10), 10);
}

Test(tcp_cc, window_is_bounded)
{
	struct tcp_cc cc;
	tcp_cc_init(&cc, 0, 1000);
	tcp_cc_grow(&cc, UINT32_MAX);
	cr_assert_eq(cc.cwnd, TCP_CC_CWND_MAX);
}

Test(tcp_cc, undo_puts_the_window_back_but_never_shrinks_it)
{
	for (unsigned i = 0; i < tcp_cc_algorithm_count; i++) {
		struct tcp_cc cc;
		tcp_cc_init(&cc, i, 1000);
		cc.cwnd = 100000;
		tcp_cc_reduce(&cc, 100000, 0);
		cr_assert_lt(cc.ssthresh, 100000);
		cc.cwnd = 1000;
		tcp_cc_undo(&cc);
		cr_assert_eq(cc.cwnd, 100000);
		cr_assert_eq(cc.ssthresh, UINT32_MAX);

		tcp_cc_reduce(&cc, 100000, 0);
		cc.cwnd = 200000;
		tcp_cc_undo(&cc);
		cr_assert_eq(cc.cwnd, 200000);
	}
}

Test(tcp_cc, loss_never_asks_for_less_than_two_segments)
{
	for (unsigned i = 0; i < tcp_cc_algorithm_count; i++) {
		struct tcp_cc cc;
		tcp_cc_init(&cc, i, 1000);
		for (unsigned k = 0; k < 50; k++) {
			tcp_cc_reduce(&cc, cc.cwnd, k);
			cc.cwnd = cc.ssthresh;
		}
		cr_assert_eq(cc.ssthresh, 2000);
	}
}
