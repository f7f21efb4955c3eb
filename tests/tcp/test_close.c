/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_close.c - the end of a connection: both orders, half close, TIME-WAIT, resets (RFC 9293 3.6, 2525,
 * 1337)
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/kit/tcp_kit.h"

/* After the connection is gone, an ACK is answered with RST. */
static void expect_gone(struct tcp_kit *k, uint32_t seq, uint32_t ack)
{
	tcp_kit_rx(k, SEG(.seq = seq, .ack = ack, .flags = "A"));
	expect_tx(k, SEG(.seq = ack, .flags = "R"));
}

static void to_time_wait(struct tcp_kit *k)
{
	tcp_kit_close(k);
	expect_tx(k, SEG(.flags = "FA"));
	tcp_kit_rx(k, SEG(.ack = 1, .flags = "A"));
	tcp_kit_rx(k, SEG(.ack = 1, .flags = "FA"));
	expect_tx(k, SEG(.seq = 1, .ack = 1, .flags = "A"));
}

Test(tcp_close, active_close_waits_60_s)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	to_time_wait(&k);
	expect_silence_until_ms(&k, 59999);
	tcp_kit_rx(&k, SEG(.seq = 1, .ack = 1, .flags = "A")); /* in TIME-WAIT: silence, and 60 s more */
	expect_silence_until_ms(&k, 119000);
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "FA"));
	expect_tx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	expect_silence_until_ms(&k, 180000);
	expect_gone(&k, 1, 1);
}

Test(tcp_close, passive_close)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "FA"));
	expect_tx_at_ms(&k, 40,
			SEG(.ack = 1, .flags = "A")); /* as on Linux, a FIN's ACK may ride on our own FIN */
	cr_assert_eq(tcp_kit_events(k.so), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	cr_assert_eq(tcp_kit_state(&k), TCP_CLOSE_WAIT);
	tcp_kit_app_reads_eof(&k);
	tcp_kit_app_reads_eof(&k);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.ack = 1, .flags = "FA"));
	tcp_kit_rx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	expect_gone(&k, 1, 1);
}

Test(tcp_close, prompt_passive_close_acks_with_its_own_fin)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "FA"));
	tcp_kit_app_reads_eof(&k);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.ack = 1, .flags = "FA"));
	tcp_kit_rx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	expect_gone(&k, 1, 1);
}

Test(tcp_close, simultaneous_close)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.flags = "FA"));
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "FA"));
	expect_tx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	tcp_kit_rx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	expect_silence_until_ms(&k, 59000);
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "FA")); /* TIME-WAIT answers */
	expect_tx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	expect_silence_until_ms(&k, 119001);
	expect_gone(&k, 1, 1);
}

Test(tcp_close, fin_acked_by_the_peers_fin)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.flags = "FA"));
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "FA"));
	expect_tx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	expect_silence_until_ms(&k, 60001);
	expect_gone(&k, 1, 1);
}

Test(tcp_close, written_data_goes_out_before_the_fin)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .win = 1500);
	tcp_kit_app_writes(&k, 4000);
	expect_tx(&k, SEG(.flags = "A", .len = 1000));
	tcp_kit_close(&k);
	expect_silence(&k);
	for (uint32_t at = 1000; at < 3000; at += 1000) {
		tcp_kit_rx(&k, SEG(.ack = at, .flags = "A"));
		expect_tx(&k, SEG(.seq = at, .flags = "A", .len = 1000));
	}
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 3000, .flags = "FPA", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 4001, .flags = "FA"));
	expect_tx(&k, SEG(.seq = 4001, .ack = 1, .flags = "A"));
}

Test(tcp_close, half_close_still_receives)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_shutdown(&k, SHUT_WR);
	expect_tx(&k, SEG(.flags = "FA"));
	cr_assert_eq(tcp_kit_app_send(&k, 1, 0), -EPIPE);
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "A"));
	cr_assert_eq(tcp_kit_state(&k), TCP_FIN_WAIT2);
	advance_to_ms(&k, 3600 * 1000); /* not an orphan: no FIN-WAIT-2 timeout */
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "PA", .len = 500));
	expect_tx(&k, SEG(.seq = 1, .ack = 500, .flags = "A"));
	tcp_kit_app_reads(&k, 500);
	tcp_kit_rx(&k, SEG(.seq = 500, .ack = 1, .flags = "FA"));
	expect_tx(&k, SEG(.seq = 1, .ack = 501, .flags = "A"));
	tcp_kit_app_reads_eof(&k);
}

Test(tcp_close, peers_half_close_still_sends)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "FA"));
	expect_tx_at_ms(&k, 40,
			SEG(.ack = 1, .flags = "A")); /* as on Linux, a FIN's ACK may ride on our own FIN */
	tcp_kit_app_writes(&k, 700);
	expect_tx(&k, SEG(.ack = 1, .flags = "PA", .len = 700));
	tcp_kit_rx(&k, SEG(.seq = 1, .ack = 700, .flags = "A"));
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.seq = 700, .ack = 1, .flags = "FA"));
	tcp_kit_rx(&k, SEG(.seq = 1, .ack = 701, .flags = "A"));
	expect_gone(&k, 1, 701);
}

Test(tcp_close, data_with_fin_then_end_of_stream)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "FPA", .len = 100));
	expect_tx(&k, SEG(.ack = 101, .flags = "A"));
	tcp_kit_app_reads(&k, 100);
	tcp_kit_app_reads_eof(&k);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.ack = 101, .flags = "FA"));
	tcp_kit_rx(&k, SEG(.seq = 101, .ack = 1, .flags = "A"));
}

Test(tcp_close, fin_ahead_of_a_hole_counts_when_the_hole_is_filled)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.seq = 100, .flags = "FPA", .len = 50));
	expect_tx(&k, SEG(.ack = 0, .flags = "A"));
	cr_assert_eq(tcp_kit_events(k.so) & (EPOLLIN | EPOLLRDHUP), 0);
	tcp_kit_rx(&k, SEG(.flags = "A", .len = 100));
	expect_tx(&k, SEG(.ack = 151, .flags = "A"));
	tcp_kit_app_reads(&k, 150);
	tcp_kit_app_reads_eof(&k);
}

Test(tcp_close, close_with_unread_data_resets)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10));
	expect_tx(&k, SEG(.ack = 10, .flags = "A"));
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.ack = 10, .flags = "RA"));
	expect_gone(&k, 10, 0);
}

Test(tcp_close, linger_zero_resets_and_throws_written_data_away)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .win = 1000);
	struct linger l = {.l_onoff = 1, .l_linger = 0};
	cr_assert_eq(sock_setopt(k.so, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
	tcp_kit_app_writes(&k, 3000);
	expect_tx(&k, SEG(.flags = "A", .len = 1000));
	tcp_kit_close(&k);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_str_eq(f->flags, "RA");
	cr_assert_eq(f->seg.seq, 1000);
	expect_gone(&k, 0, 1000);
}

Test(tcp_close, data_for_a_closed_socket_resets)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.flags = "FA"));
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "A"));
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "PA", .len = 5));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert(strchr(f->flags, 'R') != NULL, "[%s]", f->flags);
	cr_assert_eq(f->seg.seq, 1);
	expect_gone(&k, 5, 1);
}

Test(tcp_close, fin_wait_2_of_an_orphan_ends_after_60_s)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.flags = "FA"));
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "A"));
	expect_silence_until_ms(&k, 60001);
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "FA"));
	expect_tx(&k, SEG(.seq = 1, .flags = "R"));
}

Test(tcp_close, linger2_shortens_fin_wait_2)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_LINGER2, 5);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.flags = "FA"));
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "A"));
	expect_silence_until_ms(&k, 5001);
	expect_gone(&k, 0, 1);
}

Test(tcp_close, fin_is_sent_again_with_doubling_until_the_peer_is_given_up)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_close(&k);
	expect_tx(&k, SEG(.flags = "FA"));
	for (unsigned ms = 200; ms < 7000; ms = 2 * ms + 200)
		expect_tx_at_ms(&k, ms, SEG(.flags = "FA"));
	advance_to_ms(&k, 1000 * 1000);
	tcp_kit_drop_tx(&k);
	cr_assert_eq(stack_undelivered(k.st), 0);
	expect_gone(&k, 0, 1);
}

Test(tcp_close, new_syn_takes_over_time_wait)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	to_time_wait(&k);
	uint32_t old_isn = k.flows[0].stack_isn;
	tcp_kit_flow_again(&k, 0);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA"));
	cr_assert_gt((int32_t)(k.flows[0].stack_isn - old_isn), 1,
		     "RFC 9293, 3.6.1: beyond the old sequence numbers");
	tcp_kit_rx(&k, SEG(.flags = "A"));
	tcp_kit_accept(&k);
	tcp_kit_app_writes(&k, 5);
	expect_tx(&k, SEG(.flags = "PA", .len = 5));
	tcp_kit_rx(&k, SEG(.ack = 5, .flags = "A"));
}

Test(tcp_close, old_syn_in_time_wait_is_only_acked)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	to_time_wait(&k);
	tcp_kit_rx(&k, SEG(.seq = -500, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	expect_silence(&k);
}

Test(tcp_close, newer_timestamp_takes_over_time_wait_whatever_the_sequence_number)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	to_time_wait(&k);
	tcp_kit_flow_again(&k, 0);
	k.flows[0].peer_isn -= 1000000 + 100000; /* below the old one */
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000,nop,nop,TS val 99999 ecr 0"));
	expect_tx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA"));
}

Test(tcp_close, reset_ends_time_wait)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	to_time_wait(&k);
	tcp_kit_rx(&k, SEG(.seq = 1, .flags = "R"));
	expect_gone(&k, 1, 1);
}

Test(tcp_close, close_of_a_connecting_socket_is_silent)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	tcp_kit_close(&k);
	expect_silence_until_ms(&k, 10000);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "SA", .opts = "mss 1000"));
	expect_tx(&k, SEG(.flags = "R"));
}

Test(tcp_close, closing_a_listener_resets_what_was_not_accepted)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	tcp_kit_listen(&k, 8);
	tcp_kit_peer_connects(&k, 0);
	tcp_kit_rx(&k, SEG(.flow = 1, .seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.flow = 1, .seq = -1, .flags = "SA"));
	sock_close(k.listener);
	k.listener = NULL;
	tcp_kit_poll(&k);
	expect_tx(&k, SEG(.flags = "RA"));
	expect_silence_until_ms(&k, 100000);
	tcp_kit_rx(&k, SEG(.flow = 1, .flags = "A"));
	expect_tx(&k, SEG(.flow = 1, .flags = "R"));
}

Test(tcp_close, reset_by_the_peer_is_econnreset_once)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10));
	expect_tx(&k, SEG(.ack = 10, .flags = "A"));
	tcp_kit_rx(&k, SEG(.seq = 10, .flags = "R"));
	expect_silence(&k);
	uint32_t all = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	cr_assert_eq(tcp_kit_events(k.so), all, "%x", tcp_kit_events(k.so));
	char c;
	tcp_kit_app_reads(&k, 10); /* Linux: what was received is still there */
	cr_assert_eq(tcp_kit_app_recv(&k, &c, 1, 0), -ECONNRESET);
	cr_assert_eq(tcp_kit_app_recv(&k, &c, 1, 0), 0);
	cr_assert_eq(tcp_kit_app_send(&k, 1, 0), -EPIPE);
}

Test(tcp_close, reset_after_the_peers_fin_is_epipe)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "FA"));
	expect_tx_at_ms(&k, 40,
			SEG(.ack = 1, .flags = "A")); /* as on Linux, a FIN's ACK may ride on our own FIN */
	tcp_kit_rx(&k, SEG(.seq = 1, .flags = "R"));
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), EPIPE);
}

Test(tcp_close, shutdown_of_both_sides)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_shutdown(&k, SHUT_RDWR);
	expect_tx(&k, SEG(.flags = "FA"));
	tcp_kit_app_reads_eof(&k);
	cr_assert_eq(tcp_kit_events(k.so), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "FA"));
	expect_tx(&k, SEG(.seq = 1, .ack = 1, .flags = "A"));
	cr_assert_eq(sock_shutdown(k.so, SHUT_RD), -ENOTCONN);
}

Test(tcp_close, shutdown_without_connection)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	cr_assert_eq(sock_new(k.st, AF_INET, SOCK_STREAM, &k.so), 0);
	cr_assert_eq(sock_shutdown(k.so, SHUT_WR), -ENOTCONN);
	char c;
	cr_assert_eq(tcp_kit_app_recv(&k, &c, 1, 0), -ENOTCONN);
	cr_assert_eq(tcp_kit_app_send(&k, 1, 0), -EPIPE);
	cr_assert_eq(tcp_kit_events(k.so), EPOLLOUT | EPOLLHUP);
}
