/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_window.c - flow control: zero window and persist timer, silly windows, scaling, shrinking (RFC
 * 9293 3.8.6, 1122 4.2.3.3-4, 7323 2)
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/ioctl.h>

#include "tests/kit/tcp_kit.h"

static void full_window(struct tcp_kit *k)
{
	tcp_kit_established(k, .mss = 1000, .win = 2000);
	tcp_kit_app_writes(k, 5000);
	expect_tx(k, SEG(.seq = 0, .flags = "A", .len = 1000));
	const struct seg_frame *f = tcp_kit_next_tx(k);
	cr_assert_eq(f->seg.seq, 1000);
	cr_assert_eq(f->seg.len, 1000);
	expect_silence(k);
}

Test(tcp_window, sender_stops_at_the_window)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = 1000));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_eq(f->seg.seq, 2000);
	cr_assert_eq(f->seg.len, 1000);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 3000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 4000, .flags = "PA", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A"));
}

Test(tcp_window, zero_window_is_probed_with_doubling_for_as_long_as_it_is_answered)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = SEG_WIN_ZERO));
	uint64_t at = 0, interval = 200;
	for (unsigned i = 0; i < 30; i++) {
		at += interval;
		expect_tx_at_ms(&k, at, SEG(.seq = 1999, .flags = "A", .len = 0));
		tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = SEG_WIN_ZERO));
		interval = interval * 2 < 120000 ? interval * 2 : 120000;
	}
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLERR, 0);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = 60000));
	expect_tx(&k, SEG(.seq = 2000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 3000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 4000, .flags = "PA", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A", .win = 60000));
	expect_silence_until_ms(&k, at + 3600 * 1000);
}

Test(tcp_window, unanswered_probes_end_the_connection)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = SEG_WIN_ZERO));
	advance_to_ms(&k, 800 * 1000);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLERR, 0);
	advance_to_ms(&k, 1200 * 1000);
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* RFC 1122, 4.2.3.4: a window smaller than a segment is not used at once, but not for ever refused either. */
Test(tcp_window, small_window_waits_for_the_persist_timer)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = 300));
	expect_silence_until_ms(&k, 199);
	advance_to_ms(&k, 200);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.seq, 2000);
	cr_assert_eq(f->seg.len, 300);
	tcp_kit_rx(&k, SEG(.ack = 2300, .flags = "A"));
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

Test(tcp_window, shrunk_window_is_lived_with)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .win = 8000);
	tcp_kit_app_writes(&k, 10000);
	for (uint32_t seq = 0; seq < 8000; seq += 1000)
		cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, seq);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = 1000)); /* right edge from 8000 back to 3000 */
	expect_silence(&k);
	advance_ms(&k, 260);
	const struct seg_frame *f = tcp_kit_next_tx(&k); /* what was sent may still be resent */
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.seq, 2000);
	tcp_kit_rx(&k, SEG(.ack = 8000, .flags = "A", .win = 8000));
	advance_ms(&k, 1);
	bool seen = false;
	while ((f = tcp_kit_next_tx(&k)) != NULL)
		seen |= f->seg.seq == 8000;
	cr_assert(seen);
	tcp_kit_rx(&k, SEG(.ack = 10000, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

Test(tcp_window, peers_window_scale_is_used_but_not_in_its_syn)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .wscale = 2, .win = 1000); /* 4000 bytes */
	tcp_kit_app_writes(&k, 9000);
	for (uint32_t seq = 0; seq < 4000; seq += 1000)
		cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, seq);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 4000, .flags = "A", .win = 2000));
	unsigned n = tcp_kit_tx_count(&k);
	cr_assert_eq(n, 5);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 9000, .flags = "A"));
}

static void small_rcvbuf(struct stack_config *cfg)
{
	cfg->tcp_rmem[0] = cfg->tcp_rmem[1] = cfg->tcp_rmem[2] = 16384;
}

/* Fills the receive buffer; returns the bytes accepted. */
static uint32_t fill(struct tcp_kit *k)
{
	uint32_t sent = 0, acked = 0;
	for (unsigned i = 0; i < 100; i++) {
		tcp_kit_rx(k, SEG(.seq = sent, .flags = "A", .len = 1000));
		sent += 1000;
		advance_ms(k, 50);
		int win = 0;
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(k)) != NULL;) {
			acked = f->seg.ack;
			win = f->seg.win;
		}
		if (win == SEG_WIN_ZERO)
			return acked;
		if (acked < sent)
			sent = acked;
	}
	tcp_kit_fail(k, __FILE__, __LINE__, "the window never closed");
}

Test(tcp_window, receiver_closes_its_window_and_reopens_it_in_large_steps)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .configure = small_rcvbuf);
	uint32_t got = fill(&k);
	cr_assert_geq(got, 4000);
	tcp_kit_rx(&k, SEG(.seq = got, .flags = "A", .len = 1)); /* window probe with data */
	expect_tx(&k, SEG(.ack = got, .flags = "A", .win = SEG_WIN_ZERO));
	tcp_kit_rx(&k, SEG(.seq = got - 1, .flags = "A")); /* and without */
	expect_tx(&k, SEG(.ack = got, .flags = "A", .win = SEG_WIN_ZERO));
	tcp_kit_app_reads(&k, 10);
	expect_silence(&k); /* 10 bytes are no window worth telling */
	tcp_kit_app_reads(&k, got - 10);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f, "no window update after everything was read");
	cr_assert_geq(f->seg.win, 1000);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.seq = got, .flags = "PA", .len = 1000));
	tcp_kit_app_reads(&k, 1000);
	advance_ms(&k, 50);
	tcp_kit_drop_tx(&k);
}

Test(tcp_window, data_beyond_the_window_is_not_taken)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .configure = small_rcvbuf);
	tcp_kit_rx(&k, SEG(.seq = 200000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.ack = 0, .flags = "A"));
	tcp_kit_rx(&k, SEG(.seq = -1000, .flags = "A", .len = 1000)); /* wholly old */
	expect_tx(&k, SEG(.ack = 0, .flags = "A"));
	tcp_kit_rx(&k, SEG(.seq = 0, .flags = "A", .len = 10));
	expect_tx(&k, SEG(.ack = 10, .flags = "A"));
	tcp_kit_app_reads(&k, 10);
}

Test(tcp_window, advertised_edge_never_moves_back)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .configure = small_rcvbuf);
	uint32_t edge = 0;
	for (uint32_t sent = 0; sent < 12000; sent += 100) {
		tcp_kit_rx(&k, SEG(.seq = sent, .flags = "PA", .len = 100));
		advance_ms(&k, 45);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;) {
			uint32_t now = f->seg.ack + (f->seg.win == SEG_WIN_ZERO ? 0 : (uint32_t)f->seg.win);
			cr_assert_geq(now, edge, "edge went from %u to %u", edge, now);
			edge = now;
		}
		if (edge < sent + 200)
			break;
	}
	int unread = 0;
	cr_assert_eq(sock_ioctl(k.so, FIONREAD, &unread), 0);
	tcp_kit_app_reads(&k, (uint32_t)unread);
	tcp_kit_drop_tx(&k);
}

Test(tcp_window, send_buffer_full_is_eagain_then_writable_again)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .win = 1000);
	tcp_kit_set(&k, SOL_SOCKET, SO_SNDBUF, 8192);
	ssize_t rc, total = 0;
	while ((rc = tcp_kit_app_send(&k, 1000, 0)) > 0)
		total += rc;
	cr_assert_eq(rc, -EAGAIN);
	cr_assert_leq(total, 64 * 1024);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLOUT, 0);
	tcp_kit_drop_tx(&k);
	for (uint32_t ack = 1000; ack <= (uint32_t)total; ack += 1000) {
		tcp_kit_rx(&k, SEG(.ack = ack, .flags = "A"));
		tcp_kit_drop_tx(&k);
	}
	cr_assert(tcp_kit_events(k.so) & EPOLLOUT);
	tcp_kit_rx(&k, SEG(.ack = (uint32_t)total, .flags = "A"));
}

/*
 * With a scaled window the edge cannot be told to the byte. Rounding it up with each segment would open the
 * window as fast as segments a little shorter than the unit fill it.
 */
Test(tcp_window, segments_below_the_unit_of_the_scale_do_not_keep_the_window_open)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .wscale = 7);
	uint32_t sent = 0, acked = 0;
	for (int win = 1; win != SEG_WIN_ZERO;) {
		cr_assert_lt(sent, 3 * 131072, "%u bytes unread and the window is still open", sent);
		tcp_kit_rx(&k, SEG(.seq = sent, .flags = "PA", .len = 127));
		sent += 127;
		advance_ms(&k, 50);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL; acked = f->seg.ack)
			win = f->seg.win;
	}
	tcp_kit_app_reads(&k, acked);
	tcp_kit_drop_tx(&k);
	if (acked < sent) {
		tcp_kit_rx(&k, SEG(.seq = acked, .flags = "PA", .len = sent - acked));
		tcp_kit_app_reads(&k, sent - acked);
	}
	advance_ms(&k, 50);
	tcp_kit_drop_tx(&k);
}

/* Each of them goes out in a buffer of its own, and is held until it is acknowledged: the buffers count. */
Test(tcp_window, single_bytes_do_not_hold_more_memory_than_so_sndbuf_lets_others)
{
	KIT(k);
	unsigned n = 0;
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_NODELAY, 1);
	tcp_kit_set(&k, SOL_SOCKET, SO_SNDBUF, 16384);
	int sndbuf = tcp_kit_get(&k, SOL_SOCKET, SO_SNDBUF);
	cr_assert_eq(sndbuf, 32768);
	while (n < 2000 && tcp_kit_app_send(&k, 1, 0) == 1) {
		tcp_kit_poll(&k);
		n++;
	}
	cr_assert_leq(n * 2304, 2 * (unsigned)sndbuf + 2304, "%u buffers", n);
	cr_assert_geq(n, 20, "Linux takes some 25");
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLOUT, 0);
	cr_assert_eq(tcp_kit_tx_count(&k), n);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = n, .flags = "A"));
	cr_assert(tcp_kit_events(k.so) & EPOLLOUT);
}

/* RFC 9293, 3.8.6.2.1 (3): half of the largest window seen is worth a segment at once. */
Test(tcp_window, peer_whose_window_is_smaller_than_a_segment_is_fed_without_waiting)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .win = 600);
	tcp_kit_app_writes(&k, 3000);
	for (uint32_t seq = 0; seq < 3000;) {
		const struct seg_frame *f = tcp_kit_next_tx(&k);
		cr_assert_not_null(f, "nothing sent at seq %u", seq);
		cr_assert_eq(f->seg.seq, seq);
		cr_assert_geq(f->seg.len, 300);
		seq += f->seg.len;
		if (tcp_kit_tx_count(&k) == 0)
			tcp_kit_rx(&k, SEG(.ack = seq, .flags = "A", .win = 600));
	}
	expect_silence(&k);
}

/* Linux: a connection that no program owns any more waits for a window only until the probes are 120 s apart.
 */
Test(tcp_window, closed_socket_does_not_wait_for_a_window_for_ever)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = SEG_WIN_ZERO));
	tcp_kit_close(&k);
	while (k.now < 3600 * NS_PER_SEC && stack_undelivered(k.st)) {
		advance_ms(&k, 1000);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
			if (!strchr(f->flags, 'R'))
				tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = SEG_WIN_ZERO));
	}
	cr_assert_lt(k.now, 600 * NS_PER_SEC, "still there after %lu s", (unsigned long)(k.now / NS_PER_SEC));
	cr_assert_gt(k.now, 150 * NS_PER_SEC);
	tcp_kit_drop_tx(&k);
}

/* RFC 9293, 3.8.6.1: also when it took its window back with data in flight, which it acknowledges without
 * taking. */
Test(tcp_window, window_taken_back_with_data_in_flight_is_waited_for_as_long_as_the_peer_answers)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .win = SEG_WIN_ZERO));
	while (k.now < 7200 * NS_PER_SEC) {
		advance_ms(&k, 200);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;) {
			cr_assert_eq(f->seg.seq, 0);
			tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .win = SEG_WIN_ZERO));
		}
		cr_assert_eq(tcp_kit_state(&k), TCP_ESTABLISHED, "gone after %lu s",
			     (unsigned long)(k.now / NS_PER_SEC));
	}
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .win = 60000));
	for (uint32_t seq = 2000; seq < 5000; seq += 1000)
		cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, seq);
	tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A"));
	expect_silence(&k);
}

/* As Linux: when it no longer answers either, four minutes. */
Test(tcp_window, window_taken_back_and_silence_end_the_connection)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .win = SEG_WIN_ZERO));
	advance_to_ms(&k, 240 * 1000);
	cr_assert_eq(tcp_kit_state(&k), TCP_ESTABLISHED);
	advance_to_ms(&k, 2 * 240 * 1000);
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* And when nobody owns the connection any more, answers do not help. */
Test(tcp_window, window_taken_back_does_not_keep_an_orphan)
{
	KIT(k);
	full_window(&k);
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .win = SEG_WIN_ZERO));
	tcp_kit_close(&k);
	while (k.now < 3600 * NS_PER_SEC && stack_undelivered(k.st)) {
		advance_ms(&k, 200);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
			tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .win = SEG_WIN_ZERO));
	}
	cr_assert_lt(k.now, 600 * NS_PER_SEC, "still there after %lu s", (unsigned long)(k.now / NS_PER_SEC));
	tcp_kit_drop_tx(&k);
}

/* tcp(7): also "buffered data may remain untransmitted (due to zero window size)" for so long, and no longer.
 */
Test(tcp_window, user_timeout_counts_while_the_window_is_closed)
{
	for (unsigned in_flight = 0; in_flight < 2; in_flight++) {
		KIT(k);
		full_window(&k);
		tcp_kit_set(&k, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
		tcp_kit_rx(&k, SEG(.ack = in_flight ? 0 : 2000, .flags = "A", .win = SEG_WIN_ZERO));
		while (k.now < 60 * NS_PER_SEC && tcp_kit_state(&k) == TCP_ESTABLISHED) {
			advance_ms(&k, 100);
			for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
				tcp_kit_rx(&k, SEG(.ack = in_flight ? 0 : 2000, .flags = "A",
						   .win = SEG_WIN_ZERO));
		}
		cr_assert_eq(k.now, 30 * NS_PER_SEC, "ended after %lu ms",
			     (unsigned long)(k.now / NS_PER_MS));
		cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
		tcp_kit_drop_tx(&k);
	}
}

/* As Linux: what will not come because there is no window for it is not waited for. */
Test(tcp_window, full_buffer_is_readable_whatever_so_rcvlowat_asks_for)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .configure = small_rcvbuf);
	tcp_kit_set(&k, SOL_SOCKET, SO_RCVLOWAT, 1000000);
	tcp_kit_rx(&k, SEG(.flags = "A", .len = 1000));
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
	uint32_t sent = 1000, acked = 0;
	for (int win = 1; win > 0 && win != SEG_WIN_ZERO; sent += 1000) {
		tcp_kit_rx(&k, SEG(.seq = sent, .flags = "A", .len = 1000));
		advance_ms(&k, 50);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL; acked = f->seg.ack)
			win = f->seg.win;
	}
	cr_assert(tcp_kit_events(k.so) & EPOLLIN);
	tcp_kit_app_reads(&k, acked);
	tcp_kit_drop_tx(&k);
}
