/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile.c - frames that lie: dropped and counted, and the connection beside them goes on
 */
#include <criterion/criterion.h>
#include <rte_mempool.h>

#include "tests/kit/tcp_kit.h"

/* The connection still carries data both ways. */
static void still_works(struct tcp_kit *k)
{
	uint32_t r = k->read, w = k->written;

	tcp_kit_drop_tx(k);
	advance_ms(k, 1000);
	tcp_kit_rx(k, SEG(.seq = r, .ack = w, .flags = "PA", .len = 100));
	tcp_kit_app_reads(k, 100);
	advance_ms(k, 50);
	uint32_t acked = 0;
	for (const struct seg_frame *f; (f = tcp_kit_next_tx(k)) != NULL;)
		acked = f->seg.ack;
	cr_assert_eq(acked, r + 100);
	tcp_kit_app_writes(k, 50);
	expect_tx(k, SEG(.seq = w, .ack = r + 100, .flags = "PA", .len = 50));
	tcp_kit_rx(k, SEG(.seq = r + 100, .ack = w + 50, .flags = "A"));
	expect_silence(k);
}

Test(tcp_hostile, bad_checksums)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	uint64_t before = tcp_kit_counter(&k, tcp_rx_bad_csum);
	for (unsigned bit = 0; bit < 16; bit++)
		tcp_kit_rx(&k, SEG(.flags = "PA", .len = 100, .l4_csum_xor = (uint16_t)(1 << bit)));
	expect_silence(&k);
	cr_assert_eq(tcp_kit_counter(&k, tcp_rx_bad_csum), before + 16);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 100, .ip_csum_xor = 0x8000));
	expect_silence(&k);
	cr_assert_eq(tcp_kit_counter(&k, ip_rx_bad_csum), 1);
	still_works(&k);
}

Test(tcp_hostile, truncated_at_every_length)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	for (unsigned cut = 1; cut < 166; cut++)
		tcp_kit_rx(&k, SEG(.flags = "PA", .len = 100, .cut_bytes = cut));
	expect_silence(&k);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
	still_works(&k);
}

Test(tcp_hostile, padding_is_not_data)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 2, .pad_bytes = 100));
	expect_tx(&k, SEG(.ack = 2, .flags = "A"));
	tcp_kit_app_reads(&k, 2);
	still_works(&k);
}

Test(tcp_hostile, header_length_lies)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	for (uint8_t doff = 1; doff < 16; doff++) {
		if (doff == 5)
			continue;
		/* beyond the segment or below 20 bytes: dropped. No payload to take for options here. */
		tcp_kit_rx(&k, SEG(.flags = "PA", .doff = doff));
	}
	for (uint8_t ihl = 1; ihl < 16; ihl++)
		if (ihl != 5)
			tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .ihl = ihl));
	for (uint8_t version = 1; version < 16; version++)
		if (version != 4)
			tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .ip_version = version));
	for (int add = -140; add < 2000; add += 7)
		if (add != 0)
			tcp_kit_rx(&k, SEG(.flags = "PA", .len = 100, .ip_len_add = add));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
	still_works(&k);
}

/* Every kind with every length, in a SYN and in an established connection. */
Test(tcp_hostile, option_length_lies)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true, .sack = true, .wscale = 3);
	uint32_t got = 0;
	for (unsigned kind = 2; kind < 40; kind++) {
		for (unsigned len = 0; len < 64; len++) {
			char opts[64];
			snprintf(opts, sizeof opts, "hex %02x %02x 01 02 03 04 05 06 07 08 09 0a", kind, len);
			tcp_kit_rx(&k, SEG(.flow = 1, .seq = -1, .flags = "S", .opts = opts));
			tcp_kit_rx(&k, SEG(.flow = 1, .seq = 0, .flags = "R"));
			tcp_kit_rx(&k, SEG(.seq = 60000 + got, .flags = "A", .opts = opts));
			tcp_kit_drop_tx(&k);
		}
	}
	still_works(&k);
}

Test(tcp_hostile, every_flag_combination_at_every_place)
{
	static const char letters[] = "FSRPAUEW";
	for (int at = -2; at <= 2; at++) {
		KIT(k);
		tcp_kit_established(&k, .mss = 1000);
		for (unsigned mask = 0; mask < 256; mask++) {
			char flags[9], *f = flags;
			for (unsigned i = 0; i < 8; i++)
				if (mask & (1U << i))
					*f++ = letters[i];
			*f = '\0';
			if (mask == 0)
				strcpy(flags, "N");
			bool ends = (mask & 4) ||
				    ((mask & 1) && (mask & 16)); /* RST, FIN+ACK: may end it rightly */
			if (ends && at >= -1 && at <= 0)
				continue;
			tcp_kit_rx(&k, SEG(.seq = (uint32_t)at * 100000, .flags = flags,
					   .len = mask & 8 ? 10 : 0));
			tcp_kit_drop_tx(&k);
		}
		if (at != 0)
			still_works(&k);
		tcp_kit_drop_tx(&k);
	}
}

Test(tcp_hostile, impossible_addresses)
{
	KIT(k);
	tcp_kit_start(&k, .mss = 1000);
	tcp_kit_listen(&k, 8);
	be32 own = inet_addr(KIT_STACK_ADDR);
	const be32 bad[] = {own,
			    inet_addr("255.255.255.255"),
			    inet_addr("198.18.0.255"),
			    inet_addr("127.0.0.1"),
			    inet_addr("224.0.0.1"),
			    inet_addr("0.0.0.0"),
			    inet_addr("240.0.0.1")};
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (bad[i])
			tcp_kit_rx(&k, SEG(.src = bad[i], .seq = -1, .flags = "S", .opts = "mss 1000"));
		tcp_kit_rx(&k,
			   SEG(.src = own, .sport = KIT_PORT, .seq = -1, .flags = "S", .opts = "mss 1000"));
	}
	/* nor may TCP answer to broadcast and multicast destinations */
	tcp_kit_rx(&k, SEG(.dst = inet_addr("198.18.0.255"), .seq = -1, .flags = "S", .opts = "mss 1000"));
	tcp_kit_rx(&k, SEG(.dst = inet_addr("255.255.255.255"), .seq = -1, .flags = "S", .opts = "mss 1000"));
	tcp_kit_rx(&k, SEG(.dst = inet_addr("224.0.0.1"), .seq = -1, .flags = "S", .opts = "mss 1000"));
	tcp_kit_rx(&k, SEG(.dst = inet_addr("198.18.0.77"), .seq = -1, .flags = "S", .opts = "mss 1000"));
	/* unicast frame, group MAC: a host in the network sends it to everybody */
	tcp_kit_rx(&k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000",
			   .eth_dst = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
	expect_silence_until_ms(&k, 5000);
}

Test(tcp_hostile, conflicting_overlap_leaves_a_whole_stream)
{
	KIT(k);
	uint8_t lies[2000], buf[2000];
	memset(lies, 'X', sizeof lies);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.seq = 500, .flags = "A", .len = 500));
	tcp_kit_rx(&k, SEG(.seq = 400, .flags = "A", .len = 700, .data = lies));
	tcp_kit_rx(&k, SEG(.seq = 0, .flags = "A", .len = 1000, .data = lies));
	tcp_kit_rx(&k, SEG(.seq = 0, .flags = "A", .len = 400));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_app_recv(&k, buf, sizeof buf, 0), 1100);
	for (unsigned i = 0; i < 1100; i++) /* either copy, as on Linux, but never a third */
		cr_assert(buf[i] == 'X' || buf[i] == kit_byte(i), "byte %u is %02x", i, buf[i]);
	k.read = 1100;
	still_works(&k);
}

Test(tcp_hostile, many_tiny_holes_are_bounded)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true);
	for (unsigned i = 1; i < 20000; i++) {
		tcp_kit_rx(&k, SEG(.seq = i * 2, .flags = "A", .len = 1));
		tcp_kit_drop_tx(&k);
	}
	/* The pool has 2048 buffers: some must be left, and another connection works. */
	tcp_kit_peer_connects(&k, 1);
	struct sock *so;
	cr_assert_eq(sock_accept(k.listener, &so), 0);
	tcp_kit_rx(&k, SEG(.flow = 1, .flags = "PA", .len = 10));
	expect_tx(&k, SEG(.flow = 1, .ack = 10, .flags = "A"));
	sock_close(so);
	tcp_kit_poll(&k);
	tcp_kit_drop_tx(&k);
}

Test(tcp_hostile, optimistic_acks_do_not_confuse_the_sender)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_app_writes(&k, 3000);
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.ack = 100000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	for (uint32_t ack = 1; ack < 3000; ack += 37) { /* ACK splitting */
		tcp_kit_rx(&k, SEG(.ack = ack, .flags = "A"));
		tcp_kit_drop_tx(&k);
	}
	cr_assert_leq(tcp_kit_info(&k).tcpi_snd_cwnd, 14);
	tcp_kit_rx(&k, SEG(.ack = 3000, .flags = "A"));
	tcp_kit_drop_tx(&k);
	still_works(&k);
}

Test(tcp_hostile, ip_options_are_read_over_and_lies_in_them_dropped)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10, .ip_opts = {1, 1, 1, 0}, .ip_opts_len = 4));
	expect_tx(&k, SEG(.ack = 10, .flags = "A"));
	tcp_kit_app_reads(&k, 10);
	for (unsigned len = 0; len < 256; len++) {
		tcp_kit_rx(&k, SEG(.seq = 60000, .flags = "R", .ip_opts = {7, (uint8_t)len, 4, 0},
				   .ip_opts_len = 4));
		tcp_kit_rx(&k, SEG(.seq = 60000, .flags = "R",
				   .ip_opts = {131, (uint8_t)len, 4, 0, 0, 0, 0, 0}, .ip_opts_len = 8));
	}
	tcp_kit_drop_tx(&k);
	still_works(&k);
}

/* A forged segment whose sequence number is right by chance, but whose ACK number is not (RFC 5961, 5). */
Test(tcp_hostile, timestamp_of_a_segment_with_a_wrong_ack_is_not_taken)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .ts = true);
	tcp_kit_rx(&k, SEG(.ack = 100000, .flags = "A", .opts = "nop,nop,TS val 2000000000 ecr 0"));
	tcp_kit_rx(&k, SEG(.seq = -1, .ack = 100000, .flags = "A", .len = 1,
			   .opts = "nop,nop,TS val 2000000000 ecr 0"));
	tcp_kit_rx(&k, SEG(.ack = -200000, .flags = "PA", .opts = "nop,nop,TS val 2000000000 ecr 0"));
	tcp_kit_drop_tx(&k);
	still_works(&k);
}

/* Each hole costs a whole packet buffer: a connection may take about what its receive buffer is worth. */
Test(tcp_hostile, tiny_holes_cost_no_more_than_the_receive_buffer)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .sack = true, .mbufs = 8192);
	for (unsigned i = 1; i < 20000; i++) {
		tcp_kit_rx(&k, SEG(.seq = i * 2, .flags = "A", .len = 1));
		tcp_kit_drop_tx(&k);
	}
	cr_assert_lt(rte_mempool_in_use_count(k.pool), 400, "%u buffers", rte_mempool_in_use_count(k.pool));
	cr_assert_gt(tcp_kit_counter(&k, tcp_ofo_dropped), 0);
}
