/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_seg.c - the segment builder of the kit reads back what it wrote
 */
#include <criterion/criterion.h>
#include <rte_mbuf.h>

#include "tests/kit/kit_eal.h"
#include "tests/kit/seg.h"

static const struct seg_link link_addrs = {.src_mac = {2, 0, 0, 0, 0, 1}, .dst_mac = {2, 0, 0, 0, 0, 2}};

static struct seg_frame round_trip(const struct seg *s)
{
	static struct rte_mempool *pool;
	struct seg_frame f;

	if (!pool)
		pool = kit_pool_new(256);
	struct rte_mbuf *m = seg_build(pool, &link_addrs, s, 1000);
	cr_assert_not_null(m);
	cr_assert(seg_parse(&f, m, 1000));
	rte_pktmbuf_free(m);
	cr_assert_eq(rte_mempool_avail_count(pool), 256);
	return f;
}

Test(seg, tcp_reads_back)
{
	const struct seg *s =
		SEG(.src = inet_addr("198.18.0.1"), .dst = inet_addr("198.18.0.2"), .sport = 5, .dport = 6,
		    .seq = 0xffffff00, .ack = 77, .flags = "PA", .win = 1234, .len = 3001,
		    .opts = "nop,nop,TS val 1 ecr 4294967295,nop,nop,sack 10:20 30:40");
	struct seg_frame f = round_trip(s);
	char why[64] = "";

	cr_assert(f.csum_ok);
	cr_assert(f.has_ts);
	cr_assert_eq(f.ts_ecr, 4294967295U);
	cr_assert_str_eq(f.seg.opts, s->opts);
	f.seg.flags = f.flags; /* the struct was copied */
	f.seg.opts = f.opts;
	cr_assert(seg_matches(s, &f.seg, why, sizeof why), "%s", why);
	cr_assert(seg_matches(SEG(.seq = 0xffffff00, .ack = 77, .flags = "AP", .len = 3001,
				  .opts = "nop,nop,TS,nop,nop,sack 10:20 30:40"),
			      &f.seg, why, sizeof why));
	cr_assert_not(seg_matches(SEG(.seq = 0xffffff00, .ack = 77, .flags = "A", .len = 3001), &f.seg, why,
				  sizeof why));
	cr_assert_str_eq(why, "flags");
	seg_frame_fini(&f);
}

Test(seg, syn_options_are_padded)
{
	struct seg_frame f =
		round_trip(SEG(.flags = "S", .opts = "mss 1460,sackOK,TS val 9 ecr 0,nop,wscale 7"));
	cr_assert_eq(f.raw_opts_len, 20);
	cr_assert_str_eq(f.seg.opts, "mss 1460,sackOK,TS val 9 ecr 0,nop,wscale 7");
	seg_frame_fini(&f);
	f = round_trip(SEG(.flags = "S", .opts = "wscale 7"));
	cr_assert_str_eq(f.seg.opts, "wscale 7,eol");
	seg_frame_fini(&f);
	f = round_trip(SEG(.flags = "S", .opts = "hex 02 09"));
	cr_assert_str_eq(f.seg.opts, "malformed");
	seg_frame_fini(&f);
}

Test(seg, lies_are_told)
{
	struct seg_frame f = round_trip(SEG(.len = 10, .l4_csum_xor = 1));
	cr_assert_not(f.csum_ok);
	seg_frame_fini(&f);
	f = round_trip(SEG(.len = 10, .ip_csum_xor = 0x100));
	cr_assert_not(f.csum_ok);
	seg_frame_fini(&f);
	f = round_trip(SEG(.len = 10, .win = SEG_WIN_ZERO));
	cr_assert(f.csum_ok);
	cr_assert_eq(f.seg.win, SEG_WIN_ZERO);
	seg_frame_fini(&f);
}

Test(seg, udp_and_icmp_read_back)
{
	struct seg_frame f =
		round_trip(SEG(.proto = IPPROTO_UDP, .sport = 53, .dport = 4000, .data = "hello", .len = 5));
	cr_assert(f.csum_ok);
	cr_assert_eq(f.seg.dport, 4000);
	cr_assert_arr_eq(f.seg.data, "hello", 5);
	seg_frame_fini(&f);
	f = round_trip(
		SEG(.proto = IPPROTO_ICMP, .icmp_type = 8, .icmp_arg = 0x00010002, .data = "ping", .len = 4));
	cr_assert(f.csum_ok);
	cr_assert_eq(f.seg.icmp_arg, 0x00010002);
	seg_frame_fini(&f);
}
