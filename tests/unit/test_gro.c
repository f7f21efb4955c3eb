/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_gro.c - which frames of a burst gro.c joins, what the result says, and what it leaves alone
 */
#include <criterion/criterion.h>
#include <rte_mbuf.h>

#include "driver/driver_priv.h"
#include "tests/kit/kit_eal.h"
#include "tests/kit/seg.h"

#define MSS 1448
#define DF  0x4000
#define TS  "nop,nop,TS val 7 ecr 9"
static struct driver_port port;
static struct port_shared shared;
static struct rte_mempool *pool;
static struct rte_mbuf *burst[64];
static uint16_t n;
static struct seg_frame got;

static void start(void)
{
	pool = kit_pool_new(255);
	port.shared = &shared;
	n = 0;
}

TestSuite(gro, .init = start);

static void add_exactly(const struct seg *s)
{
	static const struct seg_link link = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

	burst[n] = seg_build(pool, &link, s, 0);
	cr_assert_not_null(burst[n]);
	n++;
}

/* A full segment of one connection, but for what `s` says. */
static void add(const struct seg *s)
{
	struct seg full = *s;

	full.src = RTE_BE32(0xc6120001);
	full.dst = s->dst != 0 ? s->dst : RTE_BE32(0xc6120002);
	full.sport = s->sport != 0 ? s->sport : 5000;
	full.dport = 80;
	full.ack = s->ack != 0 ? s->ack : 77;
	full.frag_off = s->frag_off != 0 ? s->frag_off : DF;
	full.opts = s->opts != NULL ? s->opts : TS;
	full.len = s->len != 0 ? s->len : MSS;
	add_exactly(&full);
}

/* `frames` full ones from sequence number `seq` on. */
static void add_run(unsigned frames, uint32_t seq)
{
	for (unsigned i = 0; i < frames; i++)
		add(SEG(.seq = seq + i * MSS));
}

static void join_all(void)
{
	n = gro_join(&port, 0, burst, n);
}

/* The i-th packet now; checksums of a joined one are vouched for by its flags. */
static struct seg *packet(unsigned i)
{
	cr_assert_lt(i, n);
	cr_assert(seg_parse(&got, burst[i], 0), "packet %u cannot be read", i);
	return &got.seg;
}

static void expect_run(unsigned i, uint32_t seq, uint32_t len)
{
	struct seg *s = packet(i);

	cr_assert_eq(s->seq, seq, "packet %u: seq %u", i, s->seq);
	cr_assert_eq(s->len, len, "packet %u: %u bytes", i, s->len);
	for (uint32_t k = 0; k < len; k++)
		cr_assert_eq(((const uint8_t *)s->data)[k], kit_byte(seq + k), "byte %u", k);
	seg_frame_fini(&got);
}

static bool vouched(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD &&
	       (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

Test(gro, segments_in_order_become_one)
{
	add_run(20, 1000);
	join_all();
	cr_assert_eq(n, 1);
	cr_assert(vouched(burst[0]));
	cr_assert_eq(burst[0]->nb_segs, 20);
	packet(0);
	cr_assert_eq(got.seg.ack, 77);
	cr_assert_str_eq(got.flags, "A");
	cr_assert(got.has_ts && got.ts_val == 7 && got.ts_ecr == 9, "timestamps are kept");
	expect_run(0, 1000, 20 * MSS);
	cr_assert_eq(shared.q[0].rx_joined, 19);
	rte_pktmbuf_free_bulk(burst, n);
	cr_assert_eq(rte_mempool_in_use_count(pool), 0);
}

Test(gro, at_most_64_kilobytes)
{
	add_run(64, 0);
	join_all();
	cr_assert_eq(n, 2);
	cr_assert_leq(burst[0]->pkt_len, 65535 + RTE_ETHER_HDR_LEN);
	uint32_t first = packet(0)->len;
	seg_frame_fini(&got);
	expect_run(0, 0, first);
	expect_run(1, first, 64 * MSS - first);
}

/* PSH, FIN and bare ACKs stay what they are, where they are. */
Test(gro, nothing_of_a_connection_overtakes)
{
	add_run(4, 0);
	add(SEG(.seq = 4 * MSS, .flags = "PA", .len = 100));
	add_run(4, 4 * MSS + 100);
	add_exactly(SEG(.src = RTE_BE32(0xc6120001), .dst = RTE_BE32(0xc6120002), .sport = 5000, .dport = 80,
			.seq = 8 * MSS + 100, .ack = 78, .frag_off = DF, .opts = TS));
	add_run(5, 8 * MSS + 100);
	add(SEG(.seq = 13 * MSS + 100, .flags = "FA", .len = 10));
	join_all();
	cr_assert_eq(n, 6);
	expect_run(0, 0, 4 * MSS);
	expect_run(1, 4 * MSS, 100);
	cr_assert_str_eq((packet(1), got.flags), "PA");
	expect_run(2, 4 * MSS + 100, 4 * MSS);
	cr_assert_eq(packet(3)->ack, 78);
	expect_run(4, 8 * MSS + 100, 5 * MSS);
	cr_assert_str_eq((packet(5), got.flags), "FA");
}

Test(gro, a_hole_stays_a_hole)
{
	add_run(4, 0);
	add_run(4, 5 * MSS);
	join_all();
	cr_assert_eq(n, 2);
	expect_run(0, 0, 4 * MSS);
	expect_run(1, 5 * MSS, 4 * MSS);
}

/* Each of these differs in one thing from its predecessors. */
Test(gro, only_what_is_alike_is_joined)
{
	const struct seg *others[] = {
		SEG(.seq = 4 * MSS, .ack = 78),
		SEG(.seq = 4 * MSS, .win = 99),
		SEG(.seq = 4 * MSS, .sport = 5001),
		SEG(.seq = 4 * MSS, .dst = RTE_BE32(0xc6120003)),
		SEG(.seq = 4 * MSS, .opts = "nop,nop,TS val 8 ecr 9"),
		SEG(.seq = 4 * MSS, .opts = "TS val 7 ecr 9,nop,nop"),
		SEG(.seq = 4 * MSS, .opts = ""),
		SEG(.seq = 4 * MSS, .flags = "UA", .urg = 5),
		SEG(.seq = 4 * MSS, .flags = "EA"),
		SEG(.seq = 4 * MSS, .frag_off = 0x2000),
		SEG(.seq = 4 * MSS, .ip_opts = {1, 1, 1, 0}, .ip_opts_len = 4),
	};

	for (unsigned i = 0; i < RTE_DIM(others); i++) {
		n = 0;
		add_run(4, 0);
		add(others[i]);
		join_all();
		cr_assert_eq(n, 2, "case %u", i);
		expect_run(0, 0, 4 * MSS);
		cr_assert_eq(burst[1]->nb_segs, 1);
		rte_pktmbuf_free_bulk(burst, n);
	}
}

Test(gro, two_connections_side_by_side)
{
	for (unsigned i = 0; i < 6; i++) {
		add(SEG(.seq = i * MSS));
		add(SEG(.seq = 500 + i * MSS, .sport = 5001));
	}
	join_all();
	cr_assert_eq(n, 2);
	expect_run(0, 0, 6 * MSS);
	expect_run(1, 500, 6 * MSS);
}

/* Whoever lies is left for the stack to judge, with nothing vouched for. */
Test(gro, bad_sums_and_lengths_are_left_alone)
{
	const struct seg *bad[] = {
		SEG(.seq = 4 * MSS, .l4_csum_xor = 0x100),
		SEG(.seq = 4 * MSS, .ip_csum_xor = 0x100),
		SEG(.seq = 4 * MSS, .ip_len_add = 1),
		SEG(.seq = 4 * MSS, .ip_len_add = -1),
		SEG(.seq = 4 * MSS, .ip_len_add = -MSS),
		SEG(.seq = 4 * MSS, .ip_len_add = 60000),
		SEG(.seq = 4 * MSS, .ihl = 4),
		SEG(.seq = 4 * MSS, .ihl = 15),
		SEG(.seq = 4 * MSS, .doff = 4),
		SEG(.seq = 4 * MSS, .len = 4, .doff = 15),
		SEG(.seq = 4 * MSS, .ip_version = 6),
		SEG(.seq = 4 * MSS, .pad_bytes = 6),
		SEG(.seq = 4 * MSS, .cut_bytes = 1),
		SEG(.seq = 4 * MSS, .cut_bytes = MSS + 40),
		SEG(.seq = 4 * MSS, .cut_bytes = MSS + 20 + 20 + 12 + 10),
		SEG(.seq = 4 * MSS, .proto = 17),
	};

	for (unsigned i = 0; i < RTE_DIM(bad); i++) {
		n = 0;
		add_run(4, 0);
		add(bad[i]);
		add_run(4, 5 * MSS);
		struct rte_mbuf *it = burst[4];
		uint32_t len = it->pkt_len;
		join_all();
		cr_assert_eq(n, 3, "case %u: %u packets", i, n);
		cr_assert_eq(burst[1], it, "case %u", i);
		cr_assert_eq(it->pkt_len, len, "case %u", i);
		cr_assert(!vouched(it), "case %u", i);
		expect_run(0, 0, 4 * MSS);
		expect_run(2, 5 * MSS, 4 * MSS);
		rte_pktmbuf_free_bulk(burst, n);
	}
}

/* A local kernel leaves the sum to a device that is none; memif carries none at all. */
Test(gro, sums_that_need_not_be)
{
	for (unsigned i = 0; i < 2; i++) {
		n = 0;
		for (unsigned k = 0; k < 4; k++)
			add(SEG(.seq = k * MSS, .l4_csum_xor = 0x5555));
		port.dev.caps.csum_unneeded = i == 1;
		join_all();
		cr_assert_eq(n, i == 0 ? 4 : 1);
		rte_pktmbuf_free_bulk(burst, n);
	}
	port.dev.caps.csum_unneeded = false;
	n = 0;
	for (unsigned k = 0; k < 4; k++) {
		add(SEG(.seq = k * MSS, .l4_csum_xor = 0x5555));
		burst[k]->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	join_all();
	cr_assert_eq(n, 1, "the device has looked");
}
