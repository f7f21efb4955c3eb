/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_loss.c - retransmission without SACK: RTO, Karn, fast retransmit, NewReno, limited transmit
 *
 * RFC 6298, 5681, 6582, 3042. The peer here offers neither SACK nor timestamps.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/kit/tcp_kit.h"

static void expect_flight(struct tcp_kit *k, uint32_t from, uint32_t to)
{
	for (uint32_t seq = from; seq < to; seq += 1000)
		expect_tx(k, SEG(.seq = seq, .flags = seq + 1000 == k->written ? "PA" : "A", .len = 1000));
}

static void dup_acks(struct tcp_kit *k, uint32_t ack, unsigned n)
{
	while (n-- > 0)
		tcp_kit_rx(k, SEG(.ack = ack, .flags = "A"));
}

/* A whole flight is lost and no ACK follows: only the RTO can notice. */
Test(tcp_loss, rto_resends_first_unacked_segment_then_doubles)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 2000);
	expect_tx(&k, SEG(.seq = 0, .len = 1000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 1000, .len = 1000, .flags = "AP"));
	expect_silence_until_ms(&k, 199);
	expect_tx_at_ms(&k, 200, SEG(.seq = 0, .len = 1000, .flags = "A")); /* one segment, not the flight */
	expect_tx_at_ms(&k, 600, SEG(.seq = 0, .len = 1000, .flags = "A"));
	expect_tx_at_ms(&k, 1400, SEG(.seq = 0, .len = 1000, .flags = "A"));
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A"));
	expect_silence_until_ms(&k, 3600 * 1000);
}

/* Linux's tcp_retries2 = 15 means a time, 924.6 s: what fifteen doublings from 200 ms up to 120 s take. */
Test(tcp_loss, gives_up_when_fifteen_retries_have_had_their_time)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.len = 100, .flags = "PA"));
	uint64_t at = 0, rto = 200;
	for (unsigned i = 0; i < 15; i++) {
		at += rto;
		expect_tx_at_ms(&k, at, SEG(.len = 100, .flags = "PA"));
		rto = rto * 2 < 120000 ? rto * 2 : 120000;
	}
	cr_assert_eq(at, 804600);
	expect_silence_until_ms(&k, 924599);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLERR, 0);
	advance_to_ms(&k, 924600 + 120000); /* at once or with the timeout after that */
	tcp_kit_drop_tx(&k);
	cr_assert(tcp_kit_events(k.so) & EPOLLERR);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
	expect_silence_until_ms(&k, 10000 * 1000);
}

Test(tcp_loss, user_timeout_gives_up_earlier)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_set(&k, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.len = 100, .flags = "PA"));
	expect_tx_at_ms(&k, 200, SEG(.len = 100, .flags = "PA"));
	expect_tx_at_ms(&k, 600, SEG(.len = 100, .flags = "PA"));
	expect_silence_until_ms(&k, 999); /* not at 1400: to the millisecond, as on Linux */
	cr_assert_eq(tcp_kit_state(&k), TCP_ESTABLISHED);
	expect_silence_until_ms(&k, 1000);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* The ACK of a segment sent twice is no sample: the backed-off timeout stays until there is one. */
Test(tcp_loss, karn)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.len = 100, .flags = "PA"));
	expect_tx_at_ms(&k, 200, SEG(.len = 100, .flags = "PA"));
	advance_to_ms(&k, 250);
	tcp_kit_rx(&k, SEG(.ack = 100, .flags = "A"));
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.seq = 100, .len = 100, .flags = "PA"));
	expect_tx_at_ms(&k, 250 + 400, SEG(.seq = 100, .len = 100, .flags = "PA"));
	tcp_kit_rx(&k, SEG(.ack = 200, .flags = "A"));
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.seq = 200, .len = 100, .flags = "PA"));
	tcp_kit_rx(&k, SEG(.ack = 300, .flags = "A")); /* a good sample */
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.seq = 300, .len = 100, .flags = "PA"));
	expect_tx_at_ms(&k, 650 + 200, SEG(.seq = 300, .len = 100, .flags = "PA"));
	tcp_kit_rx(&k, SEG(.ack = 400, .flags = "A"));
}

Test(tcp_loss, ack_of_part_restarts_the_timer)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 3000);
	expect_flight(&k, 0, 3000);
	advance_to_ms(&k, 150);
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A"));
	/* sample 150 ms after samples of 0: srtt 18.75, 4 * rttvar 150 < 200 */
	expect_silence_until_ms(&k, 150 + 200);
	advance_to_ms(&k, 150 + 260);
	expect_tx(&k, SEG(.seq = 1000, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

Test(tcp_loss, initial_window_is_ten_segments)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 30000);
	expect_flight(&k, 0, 10000);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A")); /* slow start: two out, four in */
	expect_flight(&k, 10000, 14000);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 14000, .flags = "A"));
	expect_flight(&k, 14000, 30000);
	tcp_kit_rx(&k, SEG(.ack = 30000, .flags = "A"));
}

Test(tcp_loss, third_duplicate_ack_resends_the_hole)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 6000);
	expect_flight(&k, 0, 6000);
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A"));
	dup_acks(&k, 1000, 2);
	expect_silence(&k);
	dup_acks(&k, 1000, 1);
	expect_tx(&k, SEG(.seq = 1000, .flags = "A", .len = 1000));
	expect_silence(&k);
	dup_acks(&k, 1000, 1);
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_loss, limited_transmit_sends_new_data_for_the_first_two)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 20000);
	expect_flight(&k, 0, 10000);
	dup_acks(&k, 0, 1);
	expect_tx(&k, SEG(.seq = 10000, .flags = "A", .len = 1000));
	dup_acks(&k, 0, 1);
	expect_tx(&k, SEG(.seq = 11000, .flags = "A", .len = 1000));
	expect_silence(&k);
	dup_acks(&k, 0, 1);
	expect_tx(&k, SEG(.seq = 0, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 12000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 20000, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

Test(tcp_loss, partial_ack_resends_the_next_hole_at_once)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 8000);
	expect_flight(&k, 0, 8000);
	dup_acks(&k, 0, 3);
	expect_tx(&k, SEG(.seq = 0, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 3000, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 5000, .flags = "A", .len = 1000));
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 8000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_loss, what_is_no_duplicate_ack_does_not_count)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .win = 30000);
	tcp_kit_app_writes(&k, 6000);
	expect_flight(&k, 0, 6000);
	for (unsigned i = 0; i < 6; i++) /* window updates */
		tcp_kit_rx(&k, SEG(.flags = "A", .win = 40000 + (int)i));
	for (unsigned i = 0; i < 6; i++) /* data */
		tcp_kit_rx(&k, SEG(.seq = i * 10, .flags = "PA", .len = 10, .win = 40005));
	const struct seg_frame *f;
	while ((f = tcp_kit_next_tx(&k)) != NULL)
		cr_assert_eq(f->seg.len, 0, "resent without need");
	tcp_kit_rx(&k, SEG(.seq = 60, .ack = 6000, .flags = "A"));
	tcp_kit_app_reads(&k, 60);
	advance_ms(&k, 40); /* the last bytes' ACK may be delayed */
	tcp_kit_drop_tx(&k);
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_loss, after_rto_the_rest_is_resent_in_slow_start)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 6000);
	expect_flight(&k, 0, 6000);
	expect_tx_at_ms(&k, 200, SEG(.seq = 0, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 1000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 2000, .flags = "A", .len = 1000));
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 3000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 4000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 5000, .flags = "PA", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_loss, recovery_halves_reno_and_keeps_seven_tenths_of_cubic)
{
	for (unsigned i = 0; i < 2; i++) {
		KIT(k);
		const char *cc = i ? "cubic" : "reno";
		tcp_kit_established(&k, .mss = 1000);
		cr_assert_eq(sock_setopt(k.so, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc)), 0);
		tcp_kit_app_writes(&k, 35000);
		expect_flight(&k, 0, 10000);
		tcp_kit_rx(&k, SEG(.ack = 10000, .flags = "A"));
		expect_flight(&k, 10000, 30000);
		dup_acks(&k, 10000, 3);
		cr_assert_eq(tcp_kit_info(&k).tcpi_snd_ssthresh, i ? 14 : 10);
		cr_assert_eq(tcp_kit_info(&k).tcpi_snd_mss, 1000);
		tcp_kit_drop_tx(&k);
		tcp_kit_rx(&k, SEG(.ack = 35000, .flags = "A"));
		tcp_kit_drop_tx(&k);
		for (unsigned n = 0; n < 20 && tcp_kit_info(&k).tcpi_unacked; n++) {
			tcp_kit_rx(&k, SEG(.ack = 35000, .flags = "A"));
			tcp_kit_drop_tx(&k);
		}
	}
}

Test(tcp_loss, unknown_congestion_control)
{
	KIT(k);
	char name[16];
	socklen_t len = sizeof name;
	tcp_kit_established(&k, .mss = 1000);
	cr_assert_eq(sock_setopt(k.so, IPPROTO_TCP, TCP_CONGESTION, "vegas", 5), -ENOENT);
	cr_assert_eq(sock_getopt(k.so, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	cr_assert_str_eq(name, "cubic");
}

/* Duplicates without a loss (the network doubled segments) must not leave anything counted as out of the
 * network. */
Test(tcp_loss, stray_duplicate_acks_do_not_slow_what_follows)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 5000);
	expect_flight(&k, 0, 5000);
	advance_ms(&k, 10);
	dup_acks(&k, 0, 2);
	for (uint32_t ack = 1000; ack <= 5000; ack += 1000)
		tcp_kit_rx(&k, SEG(.ack = ack, .flags = "A"));
	tcp_kit_app_writes(&k, 3000);
	expect_flight(&k, 5000, 8000);
	tcp_kit_rx(&k, SEG(.ack = 8000, .flags = "A"));
	expect_silence(&k);
}

/* The same when they come during recovery from a timeout. */
Test(tcp_loss, duplicate_acks_after_a_timeout_do_not_slow_what_follows)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 5000);
	expect_flight(&k, 0, 5000);
	advance_ms(&k, 200);
	expect_tx(&k, SEG(.seq = 0, .len = 1000, .flags = "A"));
	dup_acks(&k, 0, 2);
	for (uint32_t ack = 1000; ack <= 5000; ack += 1000)
		tcp_kit_rx(&k, SEG(.ack = ack, .flags = "A"));
	tcp_kit_drop_tx(&k);
	tcp_kit_app_writes(&k, 3000);
	expect_flight(&k, 5000, 8000);
	tcp_kit_rx(&k, SEG(.ack = 8000, .flags = "A"));
	expect_silence(&k);
}

/*
 * RFC 6582, 3.2 step 1 and 4.1: what was resent after a timeout without need comes back as duplicate ACKs for
 * the highest byte sent before it. They are no sign of a new loss.
 */
Test(tcp_loss, duplicate_acks_for_what_a_timeout_resent_start_no_second_recovery)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 6000);
	expect_flight(&k, 0, 6000);
	expect_tx_at_ms(&k, 200, SEG(.seq = 0, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A"));
	expect_tx(&k, SEG(.seq = 1000, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.seq = 2000, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	for (uint32_t seq = 3000; seq < 6000; seq += 1000)
		cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, seq);
	tcp_kit_app_writes(&k, 4000);
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A"));
	expect_flight(&k, 6000, 10000);
	dup_acks(&k, 6000, 5); /* of 1000 to 6000, which had arrived the first time */
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 7000, .flags = "A"));
	dup_acks(&k, 7000, 3); /* beyond it they count again */
	expect_tx(&k, SEG(.seq = 7000, .flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 10000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}
