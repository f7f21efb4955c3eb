/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_options.c - timestamps and PAWS (RFC 7323), urgent data (6093), and options a program sets
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "tests/kit/tcp_kit.h"

static const char *ts(uint32_t val, uint32_t ecr)
{
	static char text[4][64];
	static unsigned i;
	i = (i + 1) % 4;
	snprintf(text[i], sizeof text[i], "nop,nop,TS val %u ecr %u", val, ecr);
	return text[i];
}

Test(tcp_ts, every_segment_carries_them_and_echoes_the_newest)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .opts = ts(5000, k.flows[0].last_ts_val)));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert(f->has_ts);
	cr_assert_eq(f->ts_ecr, 5000);
	tcp_kit_app_reads(&k, 10);
	uint32_t before = k.flows[0].last_ts_val;
	advance_ms(&k, 77);
	tcp_kit_app_writes(&k, 10);
	f = tcp_kit_next_tx(&k);
	cr_assert_eq(f->ts_ecr, 5000);
	cr_assert_eq(f->ts_val, before + 77, "one tick per millisecond");
	cr_assert_eq(f->seg.len, 10);
	tcp_kit_rx(&k, SEG(.seq = 10, .ack = 10, .flags = "A", .opts = ts(5077, k.flows[0].last_ts_val)));
}

Test(tcp_ts, segment_size_leaves_room_for_them)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_app_writes(&k, 2000);
	cr_assert_eq(tcp_kit_next_tx(&k)->seg.len, 988);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A"));
}

/* RFC 7323, 4.3: with a delayed ACK the echo is the one of the first segment it covers. */
Test(tcp_ts, echo_is_of_the_segment_at_the_left_edge)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_rx(&k, SEG(.seq = 500, .flags = "A", .len = 100, .opts = ts(7000, 0)));
	cr_assert_neq(tcp_kit_next_tx(&k)->ts_ecr, 7000, "a segment above a hole is not echoed");
	tcp_kit_rx(&k, SEG(.seq = 0, .flags = "A", .len = 500, .opts = ts(6000, 0)));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_eq(f->seg.ack, 600);
	cr_assert_eq(f->ts_ecr, 6000);
	tcp_kit_app_reads(&k, 600);
}

Test(tcp_paws, old_segment_is_dropped_and_acked)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .opts = ts(50000, 0)));
	expect_tx(&k, SEG(.ack = 10, .flags = "A"));
	tcp_kit_rx(&k, SEG(.seq = 10, .flags = "PA", .len = 10, .opts = ts(40000, 0)));
	expect_tx(&k, SEG(.ack = 10, .flags = "A"));
	tcp_kit_app_reads(&k, 10);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
	tcp_kit_rx(&k, SEG(.seq = 10, .flags = "PA", .len = 10, .opts = ts(50000, 0)));
	expect_tx(&k, SEG(.ack = 20, .flags = "A"));
	tcp_kit_app_reads(&k, 10);
}

Test(tcp_paws, reset_is_not_checked)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .opts = ts(50000, 0)));
	tcp_kit_app_reads(&k, 10);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.seq = 10, .flags = "R", .opts = ts(1, 0)));
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

Test(tcp_paws, clock_that_wraps_is_not_old)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .opts = ts(0x7fffff00, 0)));
	tcp_kit_rx(&k, SEG(.seq = 10, .flags = "PA", .len = 10, .opts = ts(0xfffffe00, 0)));
	tcp_kit_rx(&k, SEG(.seq = 20, .flags = "PA", .len = 10, .opts = ts(5, 0)));
	tcp_kit_app_reads(&k, 30);
	tcp_kit_drop_tx(&k);
}

Test(tcp_paws, after_24_idle_days_any_timestamp_is_good)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .opts = ts(0x70000000, 0)));
	tcp_kit_drop_tx(&k);
	advance_to_ms(&k, 25ULL * 24 * 3600 * 1000);
	tcp_kit_rx(&k, SEG(.seq = 10, .flags = "PA", .len = 10, .opts = ts(0x60000000, 0)));
	expect_tx(&k, SEG(.ack = 20, .flags = "A"));
	tcp_kit_app_reads(&k, 20);
}

Test(tcp_ts, rtt_is_measured_from_echoes_of_resent_segments_too)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.flags = "PA", .len = 100));
	expect_tx_at_ms(&k, 200, SEG(.flags = "PA", .len = 100));
	advance_to_ms(&k, 210);
	tcp_kit_rx(&k, SEG(.ack = 100, .flags = "A")); /* echoes the second */
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.seq = 100, .flags = "PA", .len = 100));
	advance_to_ms(&k, 210 + 300);
	expect_tx(&k, SEG(.seq = 100, .flags = "PA", .len = 100)); /* the timeout is not doubled any more */
	tcp_kit_rx(&k, SEG(.ack = 200, .flags = "A"));
}

/* --- urgent data
 * -------------------------------------------------------------------------------------------- */

Test(tcp_urgent, sent_byte_sets_the_pointer_one_behind_it)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	cr_assert_eq(tcp_kit_app_send(&k, 3, MSG_OOB), 3);
	expect_tx(&k, SEG(.flags = "PAU", .len = 3, .urg = 3));
	tcp_kit_rx(&k, SEG(.ack = 3, .flags = "A"));
	tcp_kit_app_writes(&k, 5);
	expect_tx(&k, SEG(.seq = 3, .flags = "PA", .len = 5));
	tcp_kit_rx(&k, SEG(.ack = 8, .flags = "A"));
}

Test(tcp_urgent, received_byte_is_out_of_band)
{
	KIT(k);
	char c[8];
	int at_mark = -1;
	tcp_kit_established(&k, .mss = 1000);
	cr_assert_eq(tcp_kit_app_recv(&k, c, 1, MSG_OOB), -EINVAL);
	tcp_kit_rx(&k, SEG(.flags = "PAU", .data = "abc", .len = 3, .urg = 3));
	tcp_kit_drop_tx(&k);
	cr_assert(tcp_kit_events(k.so) & EPOLLPRI);
	cr_assert_eq(sock_ioctl(k.so, SIOCATMARK, &at_mark), 0);
	cr_assert_eq(at_mark, 0);
	cr_assert_eq(tcp_kit_app_recv(&k, c, 8, 0), 2);
	cr_assert_arr_eq(c, "ab", 2);
	cr_assert_eq(sock_ioctl(k.so, SIOCATMARK, &at_mark), 0);
	cr_assert_eq(at_mark, 1);
	cr_assert_eq(tcp_kit_app_recv(&k, c, 1, MSG_OOB), 1);
	cr_assert_eq(c[0], 'c');
	cr_assert_eq(tcp_kit_app_recv(&k, c, 1, MSG_OOB), -EINVAL);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLPRI, 0);
	cr_assert_eq(tcp_kit_app_recv(&k, c, 1, 0), -EAGAIN);
	tcp_kit_rx(&k, SEG(.seq = 3, .flags = "PA", .data = "d", .len = 1));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_app_recv(&k, c, 8, 0), 1);
	cr_assert_eq(c[0], 'd');
}

Test(tcp_urgent, inline_byte_stays_in_the_stream)
{
	KIT(k);
	char c[8];
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, SOL_SOCKET, SO_OOBINLINE, 1);
	tcp_kit_rx(&k, SEG(.flags = "PAU", .data = "abc", .len = 3, .urg = 3));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_app_recv(&k, c, 1, MSG_OOB), -EINVAL);
	cr_assert_eq(tcp_kit_app_recv(&k, c, 8, 0), 2); /* a read stops at the mark */
	cr_assert_eq(tcp_kit_app_recv(&k, c, 8, 0), 1);
	cr_assert_eq(c[0], 'c');
}

/* --- what programs ask
 * ---------------------------------------------------------------------------------------- */

Test(tcp_sockopt, counts_of_bytes_in_both_queues)
{
	KIT(k);
	int n = -1;
	tcp_kit_established(&k, .mss = 1000, .win = 1000);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 123));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(sock_ioctl(k.so, FIONREAD, &n), 0);
	cr_assert_eq(n, 123);
	tcp_kit_app_reads(&k, 123);
	cr_assert_eq(sock_ioctl(k.so, FIONREAD, &n), 0);
	cr_assert_eq(n, 0);
	tcp_kit_app_writes(&k, 2500);
	cr_assert_eq(sock_ioctl(k.so, SIOCOUTQ, &n), 0);
	cr_assert_eq(n, 2500);
	cr_assert_eq(sock_ioctl(k.so, SIOCOUTQNSD, &n), 0);
	cr_assert_eq(n, 1500);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.seq = 123, .ack = 1000, .flags = "A", .win = 5000));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(sock_ioctl(k.so, SIOCOUTQ, &n), 0);
	cr_assert_eq(n, 1500);
	tcp_kit_rx(&k, SEG(.seq = 123, .ack = 2500, .flags = "A"));
}

Test(tcp_sockopt, peek_leaves_and_trunc_discards)
{
	KIT(k);
	uint8_t buf[8];
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 100));
	tcp_kit_drop_tx(&k);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(tcp_kit_app_recv(&k, buf, 8, MSG_PEEK), 8);
		cr_assert_eq(buf[7], kit_byte(7));
	}
	cr_assert_eq(tcp_kit_app_recv(&k, buf, 8, MSG_TRUNC), 8);
	k.read = 8;
	tcp_kit_app_reads(&k, 92);
}

Test(tcp_sockopt, rcvlowat_decides_when_it_is_readable)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, SOL_SOCKET, SO_RCVLOWAT, 100);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 99));
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
	tcp_kit_rx(&k, SEG(.seq = 99, .flags = "PA", .len = 1));
	cr_assert(tcp_kit_events(k.so) & EPOLLIN);
	tcp_kit_app_reads(&k, 100);
	tcp_kit_drop_tx(&k);
}

Test(tcp_sockopt, tcp_info_tells_the_truth)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true, .sack = true, .wscale = 5, .rtt_ms = 30);
	tcp_kit_app_writes(&k, 988 * 3);
	tcp_kit_drop_tx(&k);
	struct tcp_info i = tcp_kit_info(&k);
	cr_assert_eq(i.tcpi_state, TCP_ESTABLISHED);
	cr_assert_eq(i.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE),
		     TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	cr_assert_eq(i.tcpi_snd_wscale, 5);
	cr_assert_eq(i.tcpi_rcv_wscale, 7);
	cr_assert_eq(i.tcpi_snd_mss, 988);
	cr_assert_eq(i.tcpi_unacked, 3);
	cr_assert_eq(i.tcpi_snd_cwnd, 10);
	cr_assert_eq(i.tcpi_rtt, 30000);
	cr_assert_eq(i.tcpi_rto, 230000);
	tcp_kit_rx(&k, SEG(.ack = 988 * 3, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

Test(tcp_sockopt, maxseg_before_connect_is_announced)
{
	KIT(k);
	struct endpoint peer = {.addr = ip_addr_v4(inet_addr(KIT_PEER_ADDR)), .port = htons(KIT_PEER_PORT)};
	tcp_kit_start(&k, .mss = 1460);
	k.flows[0].local_port = 0;
	cr_assert_eq(sock_new(k.st, AF_INET, SOCK_STREAM, &k.so), 0);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_MAXSEG, 700);
	cr_assert_eq(sock_connect(k.so, &peer), -EINPROGRESS);
	tcp_kit_poll(&k);
	expect_tx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 700,sackOK,TS,nop,wscale 7"));
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "SA", .opts = "mss 1460"));
	expect_tx(&k, SEG(.flags = "A"));
	tcp_kit_app_writes(&k, 1000);
	cr_assert_eq(tcp_kit_next_tx(&k)->seg.len, 700);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A"));
}

/* A router on the way refused the segment at `seq`. */
static void frag_needed(struct tcp_kit *k, uint32_t seq, uint16_t mtu)
{
	/* Quote: our IP header and the first 8 bytes of our TCP header */
	uint8_t quote[28] = {0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 18, 0, 2, 198, 18, 0, 1};

	seq = htonl(k->flows[0].stack_isn + 1 + seq);
	quote[21] = KIT_PORT, quote[22] = KIT_PEER_PORT >> 8, quote[23] = KIT_PEER_PORT & 255;
	memcpy(quote + 24, &seq, 4);
	tcp_kit_rx(k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 4, .icmp_arg = mtu,
			  .data = quote, .len = sizeof quote));
}

Test(tcp_sockopt, frag_needed_lowers_the_segment_size_and_resends)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1460);
	tcp_kit_app_writes(&k, 2920);
	tcp_kit_drop_tx(&k);
	frag_needed(&k, 0, 1000);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.seq, 0);
	cr_assert_eq(f->seg.len, 960);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 2920, .flags = "A"));
	tcp_kit_drop_tx(&k);
	/* A quote of what was never sent is somebody else's */
	frag_needed(&k, 500000, 600);
	tcp_kit_app_writes(&k, 960);
	cr_assert_eq(tcp_kit_next_tx(&k)->seg.len, 960);
	tcp_kit_rx(&k, SEG(.ack = 3880, .flags = "A"));
}

/* RFC 1191, 6.4: what was too big goes again; that is no congestion, and what fitted is not sent twice. */
Test(tcp_sockopt, frag_needed_neither_shrinks_the_window_nor_resends_what_fitted)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1460, .sack = true);
	tcp_kit_app_writes(&k, 2 * 1460 + 500);
	tcp_kit_drop_tx(&k);
	struct tcp_info before = tcp_kit_info(&k);
	frag_needed(&k, 0, 1000);
	uint32_t sent = 0;
	for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL; sent += f->seg.len)
		cr_assert_lt(f->seg.seq, 2920);
	cr_assert_eq(sent, 2920);
	tcp_kit_rx(&k, SEG(.ack = 960, .flags = "A", .opts = "nop,nop,sack 2920:3420"));
	tcp_kit_rx(&k, SEG(.ack = 1460, .flags = "A", .opts = "nop,nop,sack 2920:3420"));
	cr_assert_eq(tcp_kit_info(&k).tcpi_snd_ssthresh, before.tcpi_snd_ssthresh);
	cr_assert_geq(tcp_kit_info(&k).tcpi_snd_cwnd, before.tcpi_snd_cwnd);
	cr_assert_eq(tcp_kit_counter(&k, tcp_fast_recovery), 0);
	tcp_kit_rx(&k, SEG(.ack = 3420, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}
