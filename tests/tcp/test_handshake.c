/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_handshake.c - opening a connection from either side (RFC 9293 3.5, Linux's timing and queue rules)
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/kit/tcp_kit.h"

#define LINUX_SYN "mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 9"

static void listening(struct tcp_kit *k, int backlog)
{
	tcp_kit_start(k, .mss = 1000);
	tcp_kit_listen(k, backlog);
}

Test(tcp_handshake, passive_open_answers_what_was_offered)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = LINUX_SYN));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_str_eq(f->flags, "SA");
	cr_assert_eq(f->ts_ecr, 5);
	cr_assert_eq(f->seg.ttl, 64);
	cr_assert(f->seg.frag_off & 0x4000, "DF is set, as Linux does for path MTU discovery");
	uint32_t ts = f->ts_val;
	char want[80];
	snprintf(want, sizeof want, "mss 1460,sackOK,TS val %u ecr 5,nop,wscale 7", ts);
	cr_assert_str_eq(f->opts, want);
	char reply[64];
	snprintf(reply, sizeof reply, "nop,nop,TS val 6 ecr %u", ts);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = reply));
	expect_silence(&k);
	tcp_kit_accept(&k);
	cr_assert_eq(tcp_kit_state(&k), TCP_ESTABLISHED);
	cr_assert_eq(tcp_kit_events(k.so), EPOLLOUT);
	cr_assert_eq(ntohs(k.so->peer.port), KIT_PEER_PORT);
	cr_assert_eq(ip_addr_to_v4(&k.so->local.addr), inet_addr(KIT_STACK_ADDR));
	cr_assert_eq(ntohs(k.so->local.port), KIT_PORT);
}

Test(tcp_handshake, nothing_offered_nothing_answered)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S"));
	expect_tx(&k, SEG(.seq = -1, .flags = "SA", .opts = "mss 1460"));
}

Test(tcp_handshake, each_option_alone)
{
	static const struct {
		const char *offer, *answer;
	} cases[] = {
		{"mss 500,sackOK,nop,nop", "mss 1460,sackOK,nop,nop"},
		{"mss 500,nop,nop,TS val 1 ecr 0", "mss 1460,nop,nop,TS"},
		{"mss 500,nop,wscale 0", "mss 1460,nop,wscale 7"},
		{"nop,wscale 14", "mss 1460,nop,wscale 7"},
		{"hex fd 04 00 00,mss 500", "mss 1460"},
	};
	KIT(k);
	listening(&k, 8);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		tcp_kit_rx(&k, SEG(.flow = i, .seq = -1, .flags = "S", .opts = cases[i].offer));
		expect_tx(&k, SEG(.flow = i, .seq = -1, .flags = "SA", .opts = cases[i].answer));
		tcp_kit_rx(&k, SEG(.flow = i, .flags = "R"));
	}
}

Test(tcp_handshake, active_open_offers_what_linux_offers)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1460,sackOK,TS,nop,wscale 7"));
	cr_assert_eq(sock_connect(k.so, &k.so->peer), -EALREADY);
	cr_assert_eq(tcp_kit_events(k.so) & (EPOLLOUT | EPOLLIN), 0);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "SA", .opts = "mss 1000"));
	expect_tx(&k, SEG(.flags = "A", .opts = ""));
	cr_assert_eq(tcp_kit_events(k.so), EPOLLOUT);
	struct endpoint peer = k.so->peer;
	cr_assert_eq(sock_connect(k.so, &peer), 0, "the result of the first call, once");
	cr_assert_eq(sock_connect(k.so, &peer), -EISCONN);
	uint16_t port = ntohs(k.so->local.port);
	cr_assert(port >= 32768 && port <= 60999, "port %u", port);
}

Test(tcp_handshake, refused_connect)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	tcp_kit_rx(&k, SEG(.flags = "RA", .seq = -1));
	expect_silence_until_ms(&k, 10000);
	cr_assert(tcp_kit_events(k.so) & EPOLLERR);
	cr_assert(tcp_kit_events(k.so) & EPOLLHUP);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), 0);
}

Test(tcp_handshake, syn_is_sent_again_after_1_3_7_15_31_63_s_and_fails_at_127_s)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	for (unsigned s = 1; s <= 63; s = 2 * s + 1)
		expect_tx_at_ms(&k, s * 1000,
				SEG(.seq = -1, .flags = "S", .opts = "mss 1460,sackOK,TS,nop,wscale 7"));
	expect_silence_until_ms(&k, 126999);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLERR, 0);
	expect_silence_until_ms(&k, 127000);
	cr_assert(tcp_kit_events(k.so) & EPOLLERR);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
	expect_silence_until_ms(&k, 3600 * 1000);
}

Test(tcp_handshake, syncnt_limits_the_retries)
{
	KIT(k);
	struct endpoint peer = {.addr = ip_addr_v4(inet_addr(KIT_PEER_ADDR)), .port = htons(KIT_PEER_PORT)};
	tcp_kit_start(&k, .mss = 1000);
	k.flows[0].local_port = 0;
	cr_assert_eq(sock_new(k.st, AF_INET, SOCK_STREAM, &k.so), 0);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_SYNCNT, 1);
	cr_assert_eq(sock_connect(k.so, &peer), -EINPROGRESS);
	tcp_kit_poll(&k);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	expect_tx_at_ms(&k, 1000, SEG(.seq = -1, .flags = "S"));
	expect_silence_until_ms(&k, 3000);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

Test(tcp_handshake, syn_ack_is_sent_again_5_times_then_forgotten)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = LINUX_SYN));
	expect_tx(&k, SEG(.seq = -1, .flags = "SA"));
	for (unsigned s = 1; s <= 31; s = 2 * s + 1)
		expect_tx_at_ms(&k, s * 1000,
				SEG(.seq = -1, .flags = "SA", .opts = "mss 1460,sackOK,TS,nop,wscale 7"));
	expect_silence_until_ms(&k, 64000);
	tcp_kit_rx(&k, SEG(.flags = "A"));
	expect_tx(&k, SEG(.flags = "R"));
}

Test(tcp_handshake, duplicate_syn_gets_the_same_answer)
{
	KIT(k);
	listening(&k, 8);
	for (unsigned i = 0; i < 3; i++) {
		tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
		uint32_t isn = k.flows[0].stack_isn;
		expect_tx(&k, SEG(.seq = -1, .flags = "SA"));
		cr_assert_eq(k.flows[0].stack_isn, isn);
		advance_ms(&k, 600); /* Linux limits answers to duplicates to one per 500 ms */
	}
	tcp_kit_rx(&k, SEG(.flags = "A"));
	tcp_kit_accept(&k);
	tcp_kit_drop_tx(&k);
}

Test(tcp_handshake, simultaneous_open)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA"));
	cr_assert_eq(tcp_kit_state(&k), TCP_SYN_RECV);
	tcp_kit_rx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA", .opts = "mss 1000"));
	cr_assert_eq(tcp_kit_state(&k), TCP_ESTABLISHED);
	cr_assert(tcp_kit_events(k.so) & EPOLLOUT);
	tcp_kit_drop_tx(&k); /* an ACK may or may not be sent for the peer's second SYN */
	tcp_kit_app_writes(&k, 10);
	expect_tx(&k, SEG(.flags = "PA", .len = 10));
}

/* RFC 7323, 2.2: the window of a segment with SYN is never scaled, in a SYN-ACK that crosses ours neither. */
Test(tcp_handshake, simultaneous_open_does_not_scale_the_syn_acks_window)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000, .wscale = 7);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .win = 2560, .opts = "mss 1000,nop,wscale 7"));
	expect_tx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA"));
	tcp_kit_rx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA", .win = 2560, .opts = "mss 1000,nop,wscale 7"));
	cr_assert_eq(tcp_kit_state(&k), TCP_ESTABLISHED);
	tcp_kit_drop_tx(&k);
	tcp_kit_app_writes(&k, 9000);
	cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, 0);
	cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, 1000);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = 100)); /* 12800 */
	cr_assert_eq(tcp_kit_tx_count(&k), 7);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 9000, .flags = "A", .win = 100));
}

/* As Linux since 6.10: the FIN waits for the end of the handshake. */
Test(tcp_handshake, shutdown_in_a_simultaneous_open_sends_its_fin_afterwards)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA"));
	tcp_kit_shutdown(&k, SHUT_WR);
	expect_silence(&k);
	expect_tx_at_ms(&k, 1000, SEG(.seq = -1, .ack = 0, .flags = "SA"));
	tcp_kit_rx(&k, SEG(.seq = 0, .ack = 0, .flags = "A"));
	expect_tx(&k, SEG(.flags = "FA"));
	cr_assert_eq(tcp_kit_state(&k), TCP_FIN_WAIT1);
	tcp_kit_rx(&k, SEG(.ack = 1, .flags = "PA", .len = 5));
	tcp_kit_drop_tx(&k);
	tcp_kit_app_reads(&k, 5);
	cr_assert_eq(tcp_kit_state(&k), TCP_FIN_WAIT2);
}

Test(tcp_handshake, full_accept_queue_drops_syns_until_there_is_room)
{
	KIT(k);
	listening(&k, 1);
	tcp_kit_peer_connects(&k, 0);
	tcp_kit_peer_connects(&k, 1); /* Linux: full when there are more than `backlog` */
	tcp_kit_rx(&k, SEG(.flow = 2, .seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_silence(&k);
	struct sock *first;
	cr_assert_eq(sock_accept(k.listener, &first), 0);
	cr_assert_eq(ntohs(first->peer.port), KIT_PEER_PORT, "oldest first");
	tcp_kit_peer_connects(&k, 2);
	sock_close(first);
	tcp_kit_poll(&k);
	expect_tx(&k, SEG(.flags = "FA"));
}

Test(tcp_handshake, last_ack_to_a_full_queue_is_kept_waiting)
{
	KIT(k);
	listening(&k, 3);
	tcp_kit_peer_connects(&k, 0);
	tcp_kit_peer_connects(&k, 1);
	for (unsigned i = 2; i < 6; i++) {
		tcp_kit_rx(&k, SEG(.flow = i, .seq = -1, .flags = "S", .opts = "mss 1000"));
		expect_tx(&k, SEG(.flow = i, .seq = -1, .flags = "SA"));
	}
	for (unsigned i = 2; i < 6; i++) /* the accept queue takes four */
		tcp_kit_rx(&k, SEG(.flow = i, .flags = "A"));
	tcp_kit_drop_tx(&k);
	unsigned accepted = 0;
	struct sock *so[6];
	for (unsigned round = 0; round < 40 && accepted < 6; round++) {
		while (accepted < 6 && sock_accept(k.listener, &so[accepted]) == 0)
			accepted++;
		advance_ms(&k, 500);
		/* The peer believes it is connected: it answers each repeated SYN-ACK with an ACK. */
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
			if (strchr(f->flags, 'S'))
				tcp_kit_rx(&k, SEG(.flow = f->seg.flow, .flags = "A"));
	}
	cr_assert_eq(accepted, 6, "%u of 6 connections were accepted in the end", accepted);
	for (unsigned i = 0; i < 6; i++)
		sock_close(so[i]);
	tcp_kit_poll(&k);
	tcp_kit_drop_tx(&k);
}

Test(tcp_handshake, closed_port)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = LINUX_SYN));
	expect_tx(&k, SEG(.seq = 0, .ack = 0, .flags = "RA", .opts = ""));
	tcp_kit_rx(&k, SEG(.seq = 7, .flags = "PA", .len = 3, .ack = 5000));
	expect_tx(&k, SEG(.seq = 5000, .flags = "R", .opts = ""));
	tcp_kit_rx(&k, SEG(.seq = 7, .flags = "F"));
	expect_tx(&k, SEG(.seq = 0, .ack = 8, .flags = "RA"));
	tcp_kit_rx(&k, SEG(.flags = "R"));
	tcp_kit_rx(&k, SEG(.flags = "RA"));
	expect_silence_until_ms(&k, 5000);
}

Test(tcp_handshake, wrong_ack_in_syn_sent_is_reset_and_changes_nothing)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	k.so = tcp_kit_connect(&k, 0);
	expect_tx(&k, SEG(.seq = -1, .flags = "S"));
	tcp_kit_rx(&k, SEG(.seq = -1, .ack = 5, .flags = "SA"));
	expect_tx(&k, SEG(.seq = 5, .flags = "R"));
	tcp_kit_rx(&k, SEG(.seq = -1, .ack = -1, .flags = "A"));
	expect_tx(&k, SEG(.seq = -1, .flags = "R"));
	tcp_kit_rx(&k, SEG(.seq = -1, .ack = 5, .flags = "RA"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "R"));
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "SA", .opts = "mss 1000"));
	expect_tx(&k, SEG(.flags = "A"));
}

Test(tcp_handshake, data_with_the_last_ack_is_delivered)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.seq = -1, .flags = "SA"));
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 300));
	expect_tx(&k, SEG(.ack = 300, .flags = "A"));
	tcp_kit_accept(&k);
	cr_assert(tcp_kit_events(k.so) & EPOLLIN);
	tcp_kit_app_reads(&k, 300);
}

Test(tcp_handshake, data_in_a_syn_is_left_for_later)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000", .len = 10));
	expect_tx(&k, SEG(.seq = -1, .ack = 0, .flags = "SA"));
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10));
	expect_tx(&k, SEG(.ack = 10, .flags = "A"));
	tcp_kit_accept(&k);
	tcp_kit_app_reads(&k, 10);
}

Test(tcp_handshake, listener_ignores_or_resets_what_is_no_syn)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "SF", .opts = "mss 1000"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "SR", .opts = "mss 1000"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "R"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "N"));
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.seq = -1, .ack = 77, .flags = "SA"));
	expect_tx(&k, SEG(.seq = 77, .flags = "R"));
	tcp_kit_rx(&k, SEG(.ack = 78, .flags = "A"));
	expect_tx(&k, SEG(.seq = 78, .flags = "R"));
	expect_silence_until_ms(&k, 10000);
}

Test(tcp_handshake, reset_removes_a_half_open_connection)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.seq = -1, .flags = "SA"));
	tcp_kit_rx(&k, SEG(.flags = "R"));
	expect_silence_until_ms(&k, 5000);
	tcp_kit_rx(&k, SEG(.flags = "A"));
	expect_tx(&k, SEG(.flags = "R"));
	struct sock *so;
	cr_assert_eq(sock_accept(k.listener, &so), -EAGAIN);
}

Test(tcp_handshake, wrong_ack_does_not_complete_a_connection)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.seq = -1, .flags = "SA"));
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 1000, .flags = "R"));
	struct sock *so;
	cr_assert_eq(sock_accept(k.listener, &so), -EAGAIN);
	tcp_kit_rx(&k, SEG(.flags = "A"));
	tcp_kit_accept(&k);
	tcp_kit_drop_tx(&k);
}

Test(tcp_handshake, peer_mss_sets_the_segment_size)
{
	static const struct {
		const char *opts;
		uint32_t mss;
	} cases[] = {{"", 536}, {"mss 300", 300}, {"mss 1460", 1460}, {"mss 9000", 1460}};
	for (unsigned i = 0; i < 4; i++) {
		KIT(k);
		listening(&k, 8);
		tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = cases[i].opts));
		expect_tx(&k, SEG(.seq = -1, .flags = "SA"));
		tcp_kit_rx(&k, SEG(.flags = "A"));
		tcp_kit_accept(&k);
		tcp_kit_app_writes(&k, 2000);
		const struct seg_frame *f = tcp_kit_next_tx(&k);
		cr_assert_eq(f->seg.len, cases[i].mss, "<%s>: %u", cases[i].opts, f->seg.len);
		tcp_kit_drop_tx(&k);
		tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A"));
	}
}

Test(tcp_handshake, absurdly_small_mss_is_not_believed)
{
	KIT(k);
	listening(&k, 8);
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1"));
	expect_tx(&k, SEG(.seq = -1, .flags = "SA"));
	tcp_kit_rx(&k, SEG(.flags = "A"));
	tcp_kit_accept(&k);
	tcp_kit_app_writes(&k, 1000);
	cr_assert_geq(tcp_kit_next_tx(&k)->seg.len, 48);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

Test(tcp_handshake, handshake_gives_the_first_rtt_sample)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .rtt_ms = 100);
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.flags = "PA", .len = 100));
	expect_tx_at_ms(&k, 100 + 300, SEG(.flags = "PA", .len = 100)); /* srtt 100 + 4 * 50 */
	tcp_kit_rx(&k, SEG(.ack = 100, .flags = "A"));
}

Test(tcp_handshake, listener_becomes_readable_and_stays_so_until_drained)
{
	KIT(k);
	listening(&k, 8);
	struct sock *so;
	cr_assert_eq(tcp_kit_events(k.listener), 0);
	cr_assert_eq(sock_accept(k.listener, &so), -EAGAIN);
	tcp_kit_peer_connects(&k, 0);
	tcp_kit_peer_connects(&k, 1);
	cr_assert_eq(tcp_kit_events(k.listener), EPOLLIN);
	tcp_kit_accept(&k);
	cr_assert_eq(tcp_kit_events(k.listener), EPOLLIN);
	struct sock *one = k.so;
	tcp_kit_accept(&k);
	cr_assert_eq(tcp_kit_events(k.listener), 0);
	sock_close(one);
	tcp_kit_poll(&k);
	tcp_kit_drop_tx(&k);
}

Test(tcp_handshake, isns_of_the_same_flow_differ_over_time_and_between_flows)
{
	KIT(k);
	listening(&k, 8);
	uint32_t isn[3];
	tcp_kit_rx(&k, SEG(.flow = 0, .seq = -1, .flags = "S"));
	isn[0] = k.flows[0].stack_isn;
	tcp_kit_rx(&k, SEG(.flow = 1, .seq = -1, .flags = "S"));
	isn[1] = k.flows[1].stack_isn;
	tcp_kit_rx(&k, SEG(.flow = 0, .flags = "R"));
	advance_ms(&k, 100);
	tcp_kit_rx(&k, SEG(.flow = 0, .seq = -1, .flags = "S"));
	isn[2] = k.flows[0].stack_isn;
	tcp_kit_drop_tx(&k);
	cr_assert(isn[0] != isn[1] && isn[1] != isn[2]);
	cr_assert_gt((int32_t)(isn[2] - isn[0]), 0, "RFC 6528: it grows with time");
	cr_assert_lt(isn[2] - isn[0], 10000000);
}
