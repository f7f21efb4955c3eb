/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ack.c - when an ACK leaves, and when small data does: delayed and quick ACKs, Nagle, cork, keep-alive
 *
 * RFC 1122 4.2.3.2-6, 5681 4.2, 896; times and counts are Linux's.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/kit/tcp_kit.h"

/* Uses up the quick ACKs of a new connection; returns the next sequence number. */
static uint32_t spend_quick_acks(struct tcp_kit *k)
{
	uint32_t seq = 0;
	for (unsigned i = 0; i < 64; i++) {
		tcp_kit_rx(k, SEG(.seq = seq, .flags = "A", .len = 1000));
		seq += 1000;
		bool quick = tcp_kit_tx_count(k) > 0;
		advance_ms(k, 40);
		tcp_kit_drop_tx(k);
		tcp_kit_app_reads(k, 1000);
		tcp_kit_drop_tx(k);
		if (!quick)
			return seq;
	}
	tcp_kit_fail(k, __FILE__, __LINE__, "64 segments were all acknowledged at once");
}

Test(tcp_ack, first_segments_are_acked_at_once)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	for (uint32_t seq = 0; seq < 8000; seq += 1000) {
		tcp_kit_rx(&k, SEG(.seq = seq, .flags = "A", .len = 1000));
		expect_tx(&k, SEG(.ack = seq + 1000, .flags = "A"));
	}
	tcp_kit_app_reads(&k, 8000);
	tcp_kit_drop_tx(&k);
}

Test(tcp_ack, single_segment_is_acked_after_exactly_40_ms)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	uint32_t seq = spend_quick_acks(&k);
	for (unsigned i = 0; i < 5; i++) {
		time_ns start = k.now;
		tcp_kit_rx(&k, SEG(.seq = seq, .flags = "PA", .len = 100));
		expect_tx_at_ns(&k, start + 40 * NS_PER_MS, SEG(.ack = seq + 100, .flags = "A"));
		tcp_kit_app_reads(&k, 100);
		seq += 100;
		expect_silence_from(&k, k.now + 500 * NS_PER_MS, __FILE__, __LINE__);
		tcp_kit_drop_tx(&k);
	}
}

Test(tcp_ack, every_second_full_segment_is_acked_at_once)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	uint32_t seq = spend_quick_acks(&k);
	for (unsigned i = 0; i < 10; i++) {
		tcp_kit_rx(&k, SEG(.seq = seq, .flags = "A", .len = 1000));
		expect_silence(&k);
		tcp_kit_rx(&k, SEG(.seq = seq + 1000, .flags = "A", .len = 1000));
		expect_tx(&k, SEG(.ack = seq + 2000, .flags = "A"));
		tcp_kit_app_reads(&k, 2000);
		tcp_kit_drop_tx(&k);
		seq += 2000;
	}
}

Test(tcp_ack, burst_gets_one_ack)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx_burst(&k,
			 (const struct seg *[]){SEG(.seq = 0, .flags = "A", .len = 1000),
						SEG(.seq = 1000, .flags = "A", .len = 1000),
						SEG(.seq = 2000, .flags = "A", .len = 1000),
						SEG(.seq = 3000, .flags = "PA", .len = 1000)},
			 4);
	expect_tx(&k, SEG(.ack = 4000, .flags = "A"));
	expect_silence(&k);
	tcp_kit_app_reads(&k, 4000);
}

/* The delayed ACK and the retransmission that did not come to pass wake nobody who sleeps meanwhile. */
Test(tcp_ack, answered_request_leaves_no_timer_to_wake_for)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	uint32_t seq = spend_quick_acks(&k);
	tcp_kit_rx(&k, SEG(.seq = seq, .flags = "PA", .len = 100));
	tcp_kit_app_reads(&k, 100);
	cr_assert_leq(stack_sleep_until(k.st), k.now + 40 * NS_PER_MS);
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.seq = 0, .ack = seq + 100, .flags = "PA", .len = 100));
	advance_ms(&k, 1);
	tcp_kit_rx(&k, SEG(.seq = seq + 100, .ack = 100, .flags = "A"));
	cr_assert_gt(stack_sleep_until(k.st), k.now + 20 * NS_PER_MS);
	advance_ms(&k, 35);
	cr_assert_gt(stack_sleep_until(k.st), k.now + NS_PER_SEC);
	expect_silence(&k);
}

Test(tcp_ack, reply_carries_the_ack)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	uint32_t seq = spend_quick_acks(&k);
	tcp_kit_rx(&k, SEG(.seq = seq, .flags = "PA", .len = 100));
	tcp_kit_app_reads(&k, 100);
	expect_silence(&k);
	tcp_kit_app_writes(&k, 50);
	expect_tx(&k, SEG(.ack = seq + 100, .flags = "PA", .len = 50));
	tcp_kit_rx(&k, SEG(.seq = seq + 100, .ack = 50, .flags = "A"));
	expect_silence_from(&k, k.now + NS_PER_SEC, __FILE__, __LINE__);
}

Test(tcp_ack, tcp_quickack_turns_delay_off_and_on)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	uint32_t seq = spend_quick_acks(&k);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_QUICKACK, 1);
	tcp_kit_rx(&k, SEG(.seq = seq, .flags = "PA", .len = 10));
	expect_tx(&k, SEG(.ack = seq + 10, .flags = "A"));
	tcp_kit_set(&k, IPPROTO_TCP, TCP_QUICKACK, 0);
	tcp_kit_rx(&k, SEG(.seq = seq + 10, .flags = "PA", .len = 10));
	expect_silence_from(&k, k.now + 39 * NS_PER_MS, __FILE__, __LINE__);
	advance_ms(&k, 1);
	expect_tx(&k, SEG(.ack = seq + 20, .flags = "A"));
	tcp_kit_app_reads(&k, 20);
}

/* --- Nagle and cork ---------------------------------------------------------------------------------------
 */

Test(tcp_nagle, second_small_write_waits_for_the_ack)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 10);
	expect_tx(&k, SEG(.flags = "PA", .len = 10));
	tcp_kit_app_writes(&k, 10);
	tcp_kit_app_writes(&k, 10);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 10, .flags = "A"));
	expect_tx(&k, SEG(.seq = 10, .flags = "PA", .len = 20));
	tcp_kit_rx(&k, SEG(.ack = 30, .flags = "A"));
}

Test(tcp_nagle, full_segment_never_waits)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 10);
	expect_tx(&k, SEG(.flags = "PA", .len = 10));
	tcp_kit_app_writes(&k, 500);
	expect_silence(&k);
	tcp_kit_app_writes(&k, 600);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.seq, 10);
	cr_assert_eq(f->seg.len, 1000);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 1010, .flags = "A"));
	expect_tx(&k, SEG(.seq = 1010, .flags = "PA", .len = 100));
	tcp_kit_rx(&k, SEG(.ack = 1110, .flags = "A"));
}

/* Minshall's variant, as Linux: only an unacknowledged *small* segment holds the next small one back. */
Test(tcp_nagle, tail_of_a_large_write_does_not_wait)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 2500);
	expect_tx(&k, SEG(.flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 1000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 2000, .flags = "PA", .len = 500));
	tcp_kit_rx(&k, SEG(.ack = 2500, .flags = "A"));
}

Test(tcp_nagle, nodelay_sends_at_once_and_what_waits_too)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 10);
	expect_tx(&k, SEG(.flags = "PA", .len = 10));
	tcp_kit_app_writes(&k, 10);
	expect_silence(&k);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_NODELAY, 1);
	expect_tx(&k, SEG(.seq = 10, .flags = "PA", .len = 10));
	tcp_kit_app_writes(&k, 10);
	expect_tx(&k, SEG(.seq = 20, .flags = "PA", .len = 10));
	tcp_kit_rx(&k, SEG(.ack = 30, .flags = "A"));
}

Test(tcp_nagle, cork_sends_full_segments_only_until_uncorked)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_CORK, 1);
	tcp_kit_app_writes(&k, 300);
	expect_silence(&k);
	tcp_kit_app_writes(&k, 900);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.len, 1000);
	expect_silence(&k);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_CORK, 0);
	expect_tx(&k, SEG(.seq = 1000, .flags = "PA", .len = 200));
	tcp_kit_rx(&k, SEG(.ack = 1200, .flags = "A"));
}

Test(tcp_nagle, corked_data_leaves_after_200_ms_all_the_same)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_CORK, 1);
	tcp_kit_app_writes(&k, 300);
	expect_silence_until_ms(&k, 199);
	advance_to_ms(&k, 200);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.len, 300);
	tcp_kit_rx(&k, SEG(.ack = 300, .flags = "A"));
}

Test(tcp_nagle, msg_more_waits_for_the_rest)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	cr_assert_eq(tcp_kit_app_send(&k, 100, MSG_MORE), 100);
	cr_assert_eq(tcp_kit_app_send(&k, 100, MSG_MORE), 100);
	expect_silence(&k);
	tcp_kit_app_writes(&k, 50);
	expect_tx(&k, SEG(.flags = "PA", .len = 250));
	tcp_kit_rx(&k, SEG(.ack = 250, .flags = "A"));
}

Test(tcp_nagle, close_and_shutdown_flush_what_is_corked)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_CORK, 1);
	tcp_kit_app_writes(&k, 300);
	expect_silence(&k);
	tcp_kit_shutdown(&k, SHUT_WR);
	expect_tx(&k, SEG(.flags = "FPA", .len = 300));
	tcp_kit_rx(&k, SEG(.ack = 301, .flags = "A"));
}

/* --- keep-alive --------------------------------------------------------------------------------------------
 */

static void keepalive(struct tcp_kit *k)
{
	tcp_kit_established(k, .mss = 1000);
	tcp_kit_set(k, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	tcp_kit_set(k, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	tcp_kit_set(k, IPPROTO_TCP, TCP_KEEPCNT, 3);
	tcp_kit_set(k, SOL_SOCKET, SO_KEEPALIVE, 1);
}

Test(tcp_keepalive, dead_peer_is_noticed)
{
	KIT(k);
	keepalive(&k);
	expect_tx_at_ms(&k, 10000, SEG(.seq = -1, .flags = "A"));
	expect_tx_at_ms(&k, 15000, SEG(.seq = -1, .flags = "A"));
	expect_tx_at_ms(&k, 20000, SEG(.seq = -1, .flags = "A"));
	expect_tx_at_ms(&k, 25000, SEG(.seq = 0, .flags = "RA"));
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
	expect_silence_until_ms(&k, 3600 * 1000);
}

Test(tcp_keepalive, answer_starts_it_anew)
{
	KIT(k);
	keepalive(&k);
	for (uint64_t s = 10; s <= 200; s += 10) {
		expect_tx_at_ms(&k, s * 1000, SEG(.seq = -1, .flags = "A"));
		tcp_kit_rx(&k, SEG(.flags = "A"));
	}
	tcp_kit_set(&k, SOL_SOCKET, SO_KEEPALIVE, 0);
	expect_silence_until_ms(&k, 3600 * 1000);
}

Test(tcp_keepalive, traffic_puts_it_off)
{
	KIT(k);
	keepalive(&k);
	advance_to_ms(&k, 6000);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 1));
	expect_tx(&k, SEG(.ack = 1, .flags = "A"));
	expect_silence_until_ms(&k, 15999);
	expect_tx_at_ms(&k, 16000, SEG(.seq = -1, .ack = 1, .flags = "A"));
	tcp_kit_rx(&k, SEG(.seq = 1, .flags = "A"));
	tcp_kit_app_reads(&k, 1);
	tcp_kit_set(&k, SOL_SOCKET, SO_KEEPALIVE, 0);
}

Test(tcp_keepalive, default_is_two_hours)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, SOL_SOCKET, SO_KEEPALIVE, 1);
	expect_tx_at_ms(&k, 7200 * 1000, SEG(.seq = -1, .flags = "A"));
	tcp_kit_rx(&k, SEG(.flags = "A"));
	tcp_kit_set(&k, SOL_SOCKET, SO_KEEPALIVE, 0);
}

Test(tcp_keepalive, probe_of_the_peer_is_answered)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "A"));
	expect_tx(&k, SEG(.flags = "A"));
	advance_ms(&k, 1000);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "A", .len = 1)); /* with a byte of garbage, as old stacks do */
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.ack, 0);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
}

/* Segments that are not acceptable are no sign of life, or anybody could keep a dead connection alive. */
Test(tcp_keepalive, stray_segments_do_not_count)
{
	KIT(k);
	keepalive(&k);
	for (unsigned s = 1; s < 10; s++) {
		advance_to_ms(&k, s * 1000);
		tcp_kit_rx(&k, SEG(.seq = -5000, .flags = "A"));
		tcp_kit_rx(&k, SEG(.seq = 0, .ack = 100000, .flags = "A"));
		tcp_kit_drop_tx(&k); /* challenge ACKs */
	}
	expect_tx_at_ms(&k, 10000, SEG(.seq = -1, .flags = "A"));
	advance_to_ms(&k, 12000);
	tcp_kit_rx(&k, SEG(.seq = -5000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	expect_tx_at_ms(&k, 15000, SEG(.seq = -1, .flags = "A"));
	expect_tx_at_ms(&k, 20000, SEG(.seq = -1, .flags = "A"));
	expect_tx_at_ms(&k, 25000, SEG(.seq = 0, .flags = "RA"));
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* tcp(7): TCP_USER_TIMEOUT overrides keep-alive's count of probes. */
Test(tcp_keepalive, user_timeout_decides_when_it_gives_up)
{
	KIT(k);
	keepalive(&k);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_USER_TIMEOUT, 37000);
	for (uint64_t s = 10; s < 37; s += 5)
		expect_tx_at_ms(&k, s * 1000, SEG(.seq = -1, .flags = "A"));
	expect_tx_at_ms(&k, 40000, SEG(.seq = 0, .flags = "RA"));
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* In half-closed states, too: here the peer is gone after it acknowledged our FIN. */
Test(tcp_keepalive, works_in_fin_wait_2_of_an_owned_socket)
{
	KIT(k);
	keepalive(&k);
	tcp_kit_shutdown(&k, SHUT_WR);
	expect_tx(&k, SEG(.flags = "FA"));
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "A"));
	cr_assert_eq(tcp_kit_state(&k), TCP_FIN_WAIT2);
	for (uint64_t s = 10; s <= 20; s += 5)
		expect_tx_at_ms(&k, s * 1000, SEG(.seq = 0, .flags = "A"));
	expect_tx_at_ms(&k, 25000, SEG(.seq = 1, .flags = "RA"));
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}
