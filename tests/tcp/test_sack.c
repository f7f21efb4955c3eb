/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_sack.c - selective acknowledgement both ways (RFC 2018, 2883, 6675, 8985)
 */
#include <criterion/criterion.h>

#include "tests/kit/tcp_kit.h"

/* --- we receive --------------------------------------------------------------------------------------------
 */

Test(tcp_sack, out_of_order_data_is_reported_at_once_newest_block_first)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true);
	tcp_kit_rx(&k, SEG(.seq = 1000, .flags = "A", .len = 100));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:1100"));
	tcp_kit_rx(&k, SEG(.seq = 3000, .flags = "A", .len = 100));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 3000:3100 1000:1100"));
	tcp_kit_rx(&k, SEG(.seq = 5000, .flags = "A", .len = 100));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 5000:5100 3000:3100 1000:1100"));
	tcp_kit_rx(&k, SEG(.seq = 7000, .flags = "A", .len = 100));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 7000:7100 5000:5100 3000:3100 1000:1100"));
	tcp_kit_rx(&k, SEG(.seq = 9000, .flags = "A", .len = 100));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 9000:9100 7000:7100 5000:5100 3000:3100"));
	/* a block that grows moves to the front, and two that touch are one */
	tcp_kit_rx(&k, SEG(.seq = 7100, .flags = "A", .len = 1900));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 7000:9100 5000:5100 3000:3100"));
	tcp_kit_rx(&k, SEG(.flags = "A", .len = 1000));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_eq(f->seg.ack, 1100);
	cr_assert_str_eq(f->seg.opts, "nop,nop,sack 7000:9100 5000:5100 3000:3100");
	tcp_kit_app_reads(&k, 1100);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
}

Test(tcp_sack, three_blocks_beside_timestamps)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .ts = true);
	for (uint32_t i = 1; i <= 4; i++)
		tcp_kit_rx(&k, SEG(.seq = 1000 * i, .flags = "A", .len = 100));
	for (uint32_t i = 1; i < 4; i++)
		tcp_kit_next_tx(&k);
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,TS,nop,nop,sack 4000:4100 3000:3100 2000:2100"));
}

Test(tcp_sack, duplicate_data_is_told_by_dsack)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true);
	tcp_kit_rx(&k, SEG(.flags = "A", .len = 500));
	expect_tx(&k, SEG(.ack = 500, .flags = "A", .opts = ""));
	tcp_kit_rx(&k, SEG(.flags = "A", .len = 500));
	expect_tx(&k, SEG(.ack = 500, .flags = "A", .opts = "nop,nop,sack 0:500"));
	tcp_kit_rx(&k, SEG(.seq = 1000, .flags = "A", .len = 100));
	expect_tx(&k, SEG(.ack = 500, .flags = "A", .opts = "nop,nop,sack 1000:1100"));
	tcp_kit_rx(&k, SEG(.seq = 1000, .flags = "A",
			   .len = 100)); /* duplicate above the hole: the block follows */
	expect_tx(&k, SEG(.ack = 500, .flags = "A", .opts = "nop,nop,sack 1000:1100 1000:1100"));
	tcp_kit_rx(&k, SEG(.seq = 400, .flags = "A", .len = 700)); /* overlaps both ends */
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_eq(f->seg.ack, 1100);
	tcp_kit_app_reads(&k, 1100);
}

Test(tcp_sack, without_permission_no_block_is_sent)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.seq = 1000, .flags = "A", .len = 100));
	expect_tx(&k, SEG(.flags = "A", .opts = ""));
	tcp_kit_rx(&k, SEG(.flags = "A", .len = 1000));
	expect_tx(&k, SEG(.ack = 1100, .flags = "A", .opts = ""));
	tcp_kit_app_reads(&k, 1100);
}

Test(tcp_sack, any_order_of_arrival_gives_the_same_stream)
{
	uint32_t x = 12345;
	for (unsigned round = 0; round < 20; round++) {
		KIT(k);
		uint8_t order[40];
		tcp_kit_established(&k, .mss = 1000, .sack = round & 1, .ts = round & 2);
		for (unsigned i = 0; i < 40; i++)
			order[i] = (uint8_t)i;
		for (unsigned i = 39; i > 0; i--) {
			x = x * 1664525 + 1013904223;
			unsigned j = (x >> 8) % (i + 1);
			uint8_t t = order[i];
			order[i] = order[j], order[j] = t;
		}
		for (unsigned i = 0; i < 40; i++) /* 150 bytes every 100: they overlap */
			tcp_kit_rx(&k, SEG(.seq = order[i] * 100U, .flags = "A",
					   .len = order[i] == 39 ? 100 : 150));
		tcp_kit_app_reads(&k, 4000);
		advance_ms(&k, 50);
		uint32_t ack = 0;
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
			ack = f->seg.ack;
		cr_assert_eq(ack, 4000);
	}
}

/* --- we send
 * ------------------------------------------------------------------------------------------------ */

static void flight(struct tcp_kit *k, uint32_t bytes)
{
	tcp_kit_app_writes(k, bytes);
	for (uint32_t seq = k->written - bytes; seq < k->written; seq += 1000)
		expect_tx(k, SEG(.seq = seq, .flags = seq + 1000 == k->written ? "PA" : "A", .len = 1000));
}

Test(tcp_sack, hole_below_three_sacked_segments_is_resent_and_nothing_else)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 6000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .opts = "nop,nop,sack 1000:2000"));
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .opts = "nop,nop,sack 1000:3000"));
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .opts = "nop,nop,sack 1000:4000"));
	expect_tx(&k, SEG(.flags = "A", .len = 1000));
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .opts = "nop,nop,sack 1000:5000"));
	tcp_kit_rx(&k, SEG(.ack = 0, .flags = "A", .opts = "nop,nop,sack 1000:6000"));
	expect_silence(&k);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_sack, several_holes_are_filled_in_order_and_no_sacked_block_is_resent)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 10000);
	advance_ms(&k, 40);
	/* 0, 3000 and 5000 are lost */
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:3000"));
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 4000:5000 1000:3000"));
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 6000:10000 4000:5000 1000:3000"));
	static const uint32_t holes[] = {0, 3000, 5000};
	unsigned filled = 0;
	for (unsigned step = 0; filled < 3 && step < 10; step++) {
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;) {
			cr_assert_lt(filled, 3, "resent seq %u", f->seg.seq);
			cr_assert_eq(f->seg.seq, holes[filled], "resent seq %u, expected %u", f->seg.seq,
				     holes[filled]);
			cr_assert_eq(f->seg.len, 1000);
			filled++;
		}
		advance_ms(&k, 10);
		if (filled == 1)
			tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A",
					   .opts = "nop,nop,sack 6000:10000 4000:5000"));
		if (filled == 2)
			tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A", .opts = "nop,nop,sack 6000:10000"));
	}
	cr_assert_eq(filled, 3);
	tcp_kit_rx(&k, SEG(.ack = 10000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

/* RFC 8985: 3.5 times rtt says nothing, a quarter of it does not matter. */
Test(tcp_sack, mild_reordering_causes_no_retransmission)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 6000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:2000"));
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:3000"));
	advance_ms(&k, 5);
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_sack, lost_tail_is_probed_before_the_rto)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 5000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A"));
	time_ns acked_at = k.now;
	while (tcp_kit_tx_count(&k) == 0 && k.now < acked_at + NS_PER_SEC)
		advance_ms(&k, 1);
	cr_assert_leq(k.now - acked_at, 150 * NS_PER_MS, "probe after %lu ms",
		      (unsigned long)((k.now - acked_at) / NS_PER_MS));
	expect_tx(&k, SEG(.seq = 4000, .flags = "PA", .len = 1000));
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 2000, .flags = "A", .opts = "nop,nop,sack 4000:5000"));
	advance_ms(&k, 50);
	unsigned resent = 0;
	for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL; resent++)
		cr_assert(f->seg.seq == 2000 || f->seg.seq == 3000, "seq %u", f->seg.seq);
	cr_assert_geq(resent, 1);
	tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	expect_silence_until_ms(&k, 60000);
}

/* Found by simulation: the probe resent a SACKed tail, whose bytes then counted as in flight for ever. */
Test(tcp_sack, probe_that_was_due_before_a_sack_does_not_resend_what_it_covers)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 4000);
	advance_ms(&k, 75); /* the probe is due 80 ms and a bit after the flight */
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 3000:4000"));
	for (unsigned ms = 0; ms < 5000; ms += 10) { /* everything sent from now on is lost, too */
		advance_ms(&k, 10);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
			cr_assert_lt(f->seg.seq, 3000, "seq %u was resent although SACKed", f->seg.seq);
	}
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A", .opts = "nop,nop,sack 3000:4000"));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.seq, 1000);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 4000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_sack, rto_forgets_nothing_that_was_sacked_unless_the_peer_reneges)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 3000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 2000:3000"));
	advance_ms(&k, 60000);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A", .opts = "nop,nop,sack 2000:3000"));
	advance_ms(&k, 10);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_not_null(f);
	cr_assert_eq(f->seg.seq, 1000);
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

Test(tcp_sack, nonsense_blocks_are_ignored)
{
	static const char *const lies[] = {
		"nop,nop,sack 50000:60000",           /* never sent */
		"nop,nop,sack 3000:2000",             /* ends before it starts */
		"nop,nop,sack 2000:2000",             /* empty */
		"nop,nop,sack 1000:9000",             /* beyond snd_nxt */
		"nop,nop,sack 4294966296:4294967000", /* long acknowledged */
	};
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 5000);
	advance_ms(&k, 10);
	for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++)
		for (unsigned n = 0; n < 2; n++)
			tcp_kit_rx(&k, SEG(.flags = "A", .win = 60000 + (int)(i * 2 + n), .opts = lies[i]));
	expect_silence(&k);
	tcp_kit_rx(&k, SEG(.ack = 5000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

/* RFC 2018, 8: what was SACKed may be thrown away again, and then has to be sent again. */
Test(tcp_sack, peer_that_reneges_gets_what_it_threw_away)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 4000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:4000"));
	expect_tx(&k, SEG(.flags = "A", .len = 1000));
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 1000, .flags = "A")); /* short of memory, it dropped the rest */
	for (uint32_t acked = 1000; acked < 4000;) {
		const struct seg_frame *f;
		advance_ms(&k, 1);
		cr_assert_lt(k.now, 5 * NS_PER_SEC, "seq %u is not sent again", acked);
		while ((f = tcp_kit_next_tx(&k)) != NULL)
			if (f->seg.seq == acked)
				acked += f->seg.len;
		tcp_kit_rx(&k, SEG(.ack = acked, .flags = "A"));
	}
	tcp_kit_drop_tx(&k);
	expect_silence_until_ms(&k, 60000);
}

/* Both ends send: the peer learns of the hole although our data carries the ACK. */
Test(tcp_sack, holes_are_reported_while_our_own_data_flows)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 10000);
	tcp_kit_app_writes(&k, 10000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.seq = 1000, .ack = 2000, .flags = "A", .len = 1000));
	bool told = false;
	unsigned data = 0;
	for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL; data += f->seg.len != 0)
		told |= strcmp(f->opts, "nop,nop,sack 1000:2000") == 0;
	cr_assert_geq(data, 2);
	cr_assert(told, "no segment had the SACK block");
	tcp_kit_rx(&k, SEG(.seq = 0, .ack = 12000, .flags = "A", .len = 1000));
	tcp_kit_app_reads(&k, 2000);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.seq = 2000, .ack = 20000, .flags = "A"));
	tcp_kit_drop_tx(&k);
}

/* The retransmission gets a whole timeout, as Linux gives it; else a path of 300 ms would always see a second
 * one. */
Test(tcp_sack, retransmission_of_the_head_restarts_the_timeout)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 300);
	for (unsigned i = 0; i < 16; i++) { /* the timeout comes down to 300 + 200 ms */
		flight(&k, 1000);
		advance_ms(&k, 300);
		tcp_kit_rx(&k, SEG(.ack = k.written, .flags = "A"));
	}
	uint32_t base = k.written;
	flight(&k, 4000);
	advance_ms(&k, 300);
	tcp_kit_rx(&k, SEG(.ack = base + 3000, .flags = "A")); /* the fourth was lost */
	flight(&k, 4000);
	advance_ms(&k, 300);
	char opts[64];
	snprintf(opts, sizeof opts, "nop,nop,sack %u:%u", base + 4000, base + 8000);
	tcp_kit_rx(&k, SEG(.ack = base + 3000, .flags = "A", .opts = opts));
	expect_tx(&k, SEG(.seq = base + 3000, .flags = "PA", .len = 1000));
	expect_silence_until_ms(&k, k.now / NS_PER_MS + 299);
	advance_ms(&k, 1);
	tcp_kit_rx(&k, SEG(.ack = base + 8000, .flags = "A"));
	expect_silence_until_ms(&k, k.now / NS_PER_MS + 60000);
	cr_assert_eq(tcp_kit_counter(&k, tcp_rto), 0);
}

/* RFC 5681, 3.1: the window grows by what this ACK says arrived, not by what earlier SACKs said. */
Test(tcp_sack, ack_over_sacked_data_after_a_timeout_opens_the_window_slowly)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 10000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:10000"));
	expect_tx(&k, SEG(.flags = "A", .len = 1000)); /* lost again */
	tcp_kit_app_writes(&k, 30000);
	tcp_kit_drop_tx(&k);
	while (tcp_kit_counter(&k, tcp_rto) == 0)
		advance_ms(&k, 10);
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_info(&k).tcpi_snd_cwnd, 1);
	tcp_kit_rx(&k, SEG(.ack = 10000, .flags = "A"));
	cr_assert_leq(tcp_kit_info(&k).tcpi_snd_cwnd, 2, "cwnd went to %u", tcp_kit_info(&k).tcpi_snd_cwnd);
	tcp_kit_drop_tx(&k);
	for (unsigned i = 0; i < 40; i++) {
		tcp_kit_rx(&k,
			   SEG(.ack = 11000 + i * 1000 <= 40000 ? 11000 + i * 1000 : 40000, .flags = "A"));
		tcp_kit_drop_tx(&k);
	}
}

/*
 * The peer had the data and its ACK was lost. The echo in the ACK of the retransmission is still the
 * original's: that is how long we waited, not a round trip. Taken for one, it makes the next wait longer
 * still.
 */
Test(tcp_sack, ack_of_a_needless_retransmission_is_no_round_trip)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .ts = true);
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.flags = "PA", .len = 100));
	uint32_t original = k.flows[0].last_ts_val;
	advance_to_ms(&k, 3000); /* the fourth retransmission */
	cr_assert_eq(tcp_kit_tx_count(&k), 4);
	tcp_kit_drop_tx(&k);
	char opts[80];
	snprintf(opts, sizeof opts, "nop,nop,TS val 4000 ecr %u,nop,nop,sack 0:100", original);
	tcp_kit_rx(&k, SEG(.ack = 100, .flags = "A", .opts = opts));
	tcp_kit_app_writes(&k, 100);
	expect_tx(&k, SEG(.seq = 100, .flags = "PA", .len = 100));
	tcp_kit_rx(&k, SEG(.ack = 200, .flags = "A"));
	cr_assert_leq(tcp_kit_info(&k).tcpi_rto, 250000, "RTO of %u us", tcp_kit_info(&k).tcpi_rto);
	expect_silence(&k);
}

/* The usual end of a short answer: data and FIN, and the end of it lost. */
Test(tcp_sack, tail_lost_with_the_fin_is_probed_too)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	tcp_kit_app_writes(&k, 3000);
	tcp_kit_close(&k);
	tcp_kit_drop_tx(&k);
	expect_silence_until_ms(&k, k.now / NS_PER_MS + 81);
	advance_ms(&k, 2);
	expect_tx(&k, SEG(.seq = 3000, .flags = "FA"));
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 3000:3001")); /* as Linux tells of a FIN */
	advance_ms(&k, 15);
	expect_tx(&k, SEG(.flags = "A", .len = 1000));
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 3001, .flags = "A"));
}

/* A FIN ahead of a hole counts in the block, as on Linux: else the sender cannot tell that it arrived. */
Test(tcp_sack, block_with_the_fin_covers_its_sequence_number)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true);
	tcp_kit_rx(&k, SEG(.seq = 1000, .flags = "FA", .len = 500));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:1501"));
	tcp_kit_rx(&k, SEG(.seq = 0, .flags = "A", .len = 1000));
	expect_tx(&k, SEG(.ack = 1501, .flags = "A", .opts = ""));
	tcp_kit_app_reads(&k, 1500);
	tcp_kit_app_reads_eof(&k);
}

Test(tcp_sack, fin_alone_ahead_of_a_hole_is_kept_and_told)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true);
	tcp_kit_rx(&k, SEG(.seq = 1000, .flags = "FA"));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:1001"));
	tcp_kit_rx(&k, SEG(.seq = 1000, .flags = "FA"));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:1001 1000:1001"));
	tcp_kit_rx(&k, SEG(.seq = 500, .flags = "A", .len = 500));
	expect_tx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 500:1001"));
	tcp_kit_rx(&k, SEG(.seq = 0, .flags = "A", .len = 500));
	expect_tx(&k, SEG(.ack = 1001, .flags = "A", .opts = ""));
	tcp_kit_app_reads(&k, 1000);
	tcp_kit_app_reads_eof(&k);
}

/* --- a reduction that was not needed is taken back (RFC 3522, 3708; Linux's undo) --- */

/* Six segments of which the first comes late, after the fourth: more than three SACKed, so it was resent. */
static void late_segment(struct tcp_kit *k)
{
	flight(k, 6000);
	advance_ms(k, 40);
	tcp_kit_rx(k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:4000"));
	tcp_kit_rx(k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:5000"));
	expect_tx(k, SEG(.flags = "A", .len = 1000));
	cr_assert_lt(tcp_kit_info(k).tcpi_snd_ssthresh, 10);
}

Test(tcp_sack, dsack_of_all_retransmissions_undoes_the_reduction)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	late_segment(&k);
	advance_ms(&k, 1);
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A"));
	tcp_kit_app_writes(&k, 1000);
	expect_tx(&k, SEG(.seq = 6000, .flags = "PA", .len = 1000));
	advance_ms(&k, 39);
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A", .opts = "nop,nop,sack 0:1000"));
	cr_assert_geq(tcp_kit_info(&k).tcpi_snd_cwnd, 10);
	cr_assert_eq(tcp_kit_info(&k).tcpi_snd_ssthresh, INT32_MAX);
	cr_assert_eq(tcp_kit_counter(&k, tcp_undone), 1);
	tcp_kit_rx(&k, SEG(.ack = 7000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_sack, dsack_of_something_else_undoes_nothing)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	late_segment(&k);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:1500 1000:6000"));
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 6000, .flags = "A"));
	cr_assert_lt(tcp_kit_info(&k).tcpi_snd_ssthresh, 10);
	cr_assert_eq(tcp_kit_counter(&k, tcp_undone), 0);
	tcp_kit_drop_tx(&k);
	/* long after: another round trip has been acknowledged */
	flight(&k, 1000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 7000, .flags = "A"));
	tcp_kit_rx(&k, SEG(.ack = 7000, .flags = "A", .opts = "nop,nop,sack 0:1000"));
	cr_assert_eq(tcp_kit_counter(&k, tcp_undone), 0);
	expect_silence_until_ms(&k, 60000);
}

Test(tcp_sack, echo_of_the_original_undoes_the_reduction_at_once)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .ts = true, .rtt_ms = 40);
	tcp_kit_app_writes(&k, 5 * 988); /* full segments beside timestamps */
	uint32_t original = 0;
	for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
		original = f->ts_val;
	char opts[96];
	advance_ms(&k, 40);
	snprintf(opts, sizeof opts, "nop,nop,TS val 1050 ecr %u,nop,nop,sack 988:4940", original);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = opts));
	expect_tx(&k, SEG(.flags = "A", .len = 988));
	cr_assert_lt(tcp_kit_info(&k).tcpi_snd_ssthresh, 10);
	advance_ms(&k, 1);
	snprintf(opts, sizeof opts, "nop,nop,TS val 1051 ecr %u", original);
	tcp_kit_rx(&k, SEG(.ack = 4940, .flags = "A", .opts = opts));
	cr_assert_eq(tcp_kit_info(&k).tcpi_snd_ssthresh, INT32_MAX);
	cr_assert_geq(tcp_kit_info(&k).tcpi_snd_cwnd, 10);
	cr_assert_eq(tcp_kit_counter(&k, tcp_undone), 1);
	expect_silence_until_ms(&k, 60000);
}

/* A timeout because of a path that got slow (RFC 5682): what was not lost is not all sent again. */
Test(tcp_sack, echo_of_the_original_undoes_a_timeout)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true, .rtt_ms = 40);
	tcp_kit_app_writes(&k, 8 * 988);
	uint32_t original = 0;
	for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL;)
		original = f->ts_val;
	while (tcp_kit_tx_count(&k) == 0)
		advance_ms(&k, 1);
	expect_tx(&k, SEG(.flags = "A", .len = 988));
	cr_assert_eq(tcp_kit_info(&k).tcpi_snd_cwnd, 1);
	char opts[64];
	advance_ms(&k, 5);
	snprintf(opts, sizeof opts, "nop,nop,TS val 1300 ecr %u", original);
	tcp_kit_rx(&k, SEG(.ack = 988, .flags = "A", .opts = opts));
	expect_silence(&k); /* nothing is sent again */
	cr_assert_geq(tcp_kit_info(&k).tcpi_snd_cwnd, 10);
	tcp_kit_rx(&k, SEG(.ack = 8 * 988, .flags = "A", .opts = opts));
	expect_silence_until_ms(&k, 60000);
}

/* RFC 8985: what was sent again and is lost again is noticed by what was sent after it, without a timeout. */
Test(tcp_sack, lost_retransmission_is_resent_when_later_data_arrives)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 10000);
	tcp_kit_app_writes(&k, 10000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:4000"));
	cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, 0);
	tcp_kit_drop_tx(&k);
	advance_ms(&k, 2);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:10000"));
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	cr_assert_geq(f->seg.seq, 10000);
	tcp_kit_drop_tx(&k);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 1000:11000"));
	cr_assert_eq(tcp_kit_next_tx(&k)->seg.seq, 0, "resent again, 42 ms after the first time");
	cr_assert_eq(tcp_kit_counter(&k, tcp_rto), 0);
	tcp_kit_drop_tx(&k);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 17000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 20000, .flags = "A"));
	expect_silence_until_ms(&k, 60000);
}

/*
 * A peer that repeats, extends and joins its blocks, in any order, with holes filled from both ends: each is
 * taken for what it is, although most of it was said before.
 */
Test(tcp_sack, blocks_that_grow_and_join_are_taken_in_whatever_they_repeat)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .rtt_ms = 40);
	flight(&k, 10000);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 7000:8000"));
	cr_assert_eq(tcp_kit_info(&k).tcpi_sacked, 1);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 3000:4000 7000:8000"));
	cr_assert_eq(tcp_kit_info(&k).tcpi_sacked, 2);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 2000:4000 7000:8000"));
	cr_assert_eq(tcp_kit_info(&k).tcpi_sacked, 3);
	/* ends within a segment: that one is not there yet; then it is */
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 2000:4500 7000:8000"));
	cr_assert_eq(tcp_kit_info(&k).tcpi_sacked, 3);
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 2000:5000 7000:8000"));
	cr_assert_eq(tcp_kit_info(&k).tcpi_sacked, 4);
	/* the hole between two known blocks */
	tcp_kit_rx(&k, SEG(.flags = "A", .opts = "nop,nop,sack 2000:9000"));
	cr_assert_eq(tcp_kit_info(&k).tcpi_sacked, 7);
	tcp_kit_drop_tx(&k);
	advance_ms(&k, 40);
	tcp_kit_rx(&k, SEG(.ack = 9000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_info(&k).tcpi_sacked, 0);
	tcp_kit_rx(&k, SEG(.ack = 10000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	expect_silence_until_ms(&k, 60000);
}
