/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_icmp.c - echo, errors to sockets, errors of ours and when there must be none
 */
#include <errno.h>

#include "ip_kit.h"
#include "stack/icmp.h"
#include "stack/stack_priv.h"
#include "tcp_none.h"

/* An ICMP error that quotes a packet from `src` to `dst` of protocol `proto`: header, then 8 bytes. */
struct quote {
	uint8_t ip[20];
	uint8_t l4[8];
};

static struct quote quote_of(const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport,
			     uint32_t seq)
{
	struct quote q = {
		.ip = {0x45, 0, 5, 0xdc, 0, 0, 0, 0, 64, proto},
		.l4 = {(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8), (uint8_t)dport}};

	memcpy(q.ip + 12, &(be32){ip_kit_addr(src)}, 4);
	memcpy(q.ip + 16, &(be32){ip_kit_addr(dst)}, 4);
	memcpy(q.l4 + 4, &(be32){htonl(seq)}, 4);
	return q;
}

static void rx_error(struct ip_kit *k, uint8_t type, uint8_t code, uint32_t arg, const struct quote *q)
{
	ip_kit_rx(k, SEG(.proto = IPPROTO_ICMP, .icmp_type = type, .icmp_code = code, .icmp_arg = arg,
			 .len = sizeof(*q), .data = q));
}

Test(icmp, echo_is_answered_with_the_same_bytes)
{
	IP_KIT(k);

	ip_kit_rx(&k,
		  SEG(.proto = IPPROTO_ICMP, .icmp_type = 8, .icmp_arg = 0x12340001, .len = 56, .tos = 0x20));
	ip_kit_expect(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 0, .icmp_arg = 0x12340001, .len = 56,
			      .tos = 0x20, .src = ip_kit_addr(KIT_STACK), .dst = ip_kit_addr(KIT_PEER)));
	for (uint32_t i = 0; i < 56; i++)
		cr_assert_eq(k.data[i], kit_byte(i));
	ip_kit_counter_is(&k, icmp_echo_replied, 1);
}

Test(icmp, echo_of_every_small_length)
{
	IP_KIT(k);

	for (uint32_t len = 0; len < 70; len++) {
		ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 8, .len = len));
		ip_kit_expect(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 0, .len = len));
	}
}

/* What `ping -s 65507` does: the request comes in 45 fragments, the answer leaves in as many. */
Test(icmp, largest_echo)
{
	static uint8_t whole[65535], back[65535];
	IP_KIT(k);
	struct seg_frame f;
	struct rte_mbuf *m;
	uint32_t total = 65515, got = 0;
	uint16_t sum;

	whole[0] = 8;
	for (uint32_t i = 8; i < total; i++)
		whole[i] = kit_byte(i);
	sum = kit_checksum(whole, total, 0);
	whole[2] = (uint8_t)(sum >> 8), whole[3] = (uint8_t)sum;
	for (uint32_t off = 0; off < total; off += 1480) {
		uint8_t frame[1514] = {0}, *ip = frame + 14;
		uint32_t len = RTE_MIN(1480u, total - off);
		bool more = off + len < total;

		memcpy(frame, k.link.dst_mac, 6);
		memcpy(frame + 6, k.link.src_mac, 6);
		frame[12] = 8;
		ip[0] = 0x45;
		ip[2] = (uint8_t)((20 + len) >> 8), ip[3] = (uint8_t)(20 + len);
		ip[6] = (uint8_t)((off / 8) >> 8 | (more ? 0x20 : 0)), ip[7] = (uint8_t)(off / 8);
		ip[8] = 64, ip[9] = IPPROTO_ICMP;
		memcpy(ip + 12, &(be32){ip_kit_addr(KIT_PEER)}, 4);
		memcpy(ip + 16, &(be32){ip_kit_addr(KIT_STACK)}, 4);
		sum = kit_checksum(ip, 20, 0);
		ip[10] = (uint8_t)(sum >> 8), ip[11] = (uint8_t)sum;
		memcpy(ip + 20, whole + off, len);
		ip_kit_rx_bytes(&k, frame, 34 + len);
	}
	while ((m = ip_kit_take_mbuf(&k)) != NULL) {
		cr_assert(seg_parse(&f, m, 0));
		cr_assert(f.csum_ok);
		rte_pktmbuf_free(m);
		cr_assert_eq((f.seg.frag_off & 0x1fff) * 8u, got);
		memcpy(back + got, f.data, f.seg.len);
		got += f.seg.len;
		seg_frame_fini(&f);
	}
	cr_assert_eq(got, total);
	cr_assert_eq(back[0], 0);
	cr_assert_eq(kit_checksum(back, total, 0), 0);
	cr_assert_arr_eq(back + 8, whole + 8, total - 8);
}

Test(icmp, echo_to_a_broadcast_or_with_a_bad_checksum_is_not_answered)
{
	IP_KIT(k);

	ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 8, .dst = ip_kit_addr("198.18.0.255")));
	ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 8, .len = 8, .l4_csum_xor = 1));
	ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 13, .len = 12)); /* timestamp request */
	ip_kit_silence(&k);
	ip_kit_counter_is(&k, icmp_rx_bad, 1);
}

Test(icmp, short_messages_are_dropped)
{
	IP_KIT(k);

	for (int less = 1; less <= 8; less++)
		ip_kit_rx(&k,
			  SEG(.proto = IPPROTO_ICMP, .icmp_type = 8, .ip_len_add = -less, .ip_csum_xor = 0));
	ip_kit_counter_is(&k, icmp_rx_bad, 8);
	ip_kit_silence(&k);
}

Test(icmp, unreachable_codes_reach_tcp_as_linux_maps_them)
{
	static const int want[] = {ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED,
				   EMSGSIZE,     EOPNOTSUPP,   ENETUNREACH,  EHOSTDOWN,
				   ENONET,       ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
				   EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};
	IP_KIT(k);
	struct quote q = quote_of(KIT_STACK, "192.0.2.5", IPPROTO_TCP, 4000, 80, 77);

	for (uint8_t code = 0; code < RTE_DIM(want); code++) {
		rx_error(&k, 3, code, 1400, &q);
		cr_assert_eq(tcp_none_seen.errors, code + 1u);
		cr_assert_eq(tcp_none_seen.err, want[code], "code %u", code);
		cr_assert_eq(tcp_none_seen.mtu, code == 4 ? 1400 : 0);
	}
	cr_assert_eq(tcp_none_seen.seq, 77);
	cr_assert_eq(tcp_none_seen.local.port, htons(4000));
	cr_assert_eq(tcp_none_seen.peer.port, htons(80));
	cr_assert_eq(ip_addr_to_v4(&tcp_none_seen.peer.addr), ip_kit_addr("192.0.2.5"));
	rx_error(&k, 3, 16, 0, &q);
	cr_assert_eq(tcp_none_seen.errors, RTE_DIM(want), "no such code");
	rx_error(&k, 11, 0, 0, &q);
	cr_assert_eq(tcp_none_seen.err, EHOSTUNREACH);
	rx_error(&k, 12, 0, 0, &q);
	cr_assert_eq(tcp_none_seen.err, EPROTO);
	rx_error(&k, 4, 0, 0, &q); /* source quench (RFC 6633) */
	rx_error(&k, 5, 1, 0, &q); /* redirect */
	cr_assert_eq(tcp_none_seen.errors, RTE_DIM(want) + 2);
}

Test(icmp, fragmentation_needed_without_an_mtu_takes_the_next_plateau)
{
	IP_KIT(k);
	struct quote q = quote_of(KIT_STACK, "192.0.2.5", IPPROTO_TCP, 4000, 80, 77);

	rx_error(&k, 3, 4, 0, &q); /* the quoted packet had 1500 bytes */
	cr_assert_eq(tcp_none_seen.mtu, 1492);
}

Test(icmp, quotes_that_are_not_ours_or_not_whole_are_ignored)
{
	IP_KIT(k);
	struct quote q = quote_of("198.18.0.9", "192.0.2.5", IPPROTO_TCP, 4000, 80, 77);

	rx_error(&k, 3, 1, 0, &q);
	q = quote_of(KIT_STACK, "192.0.2.5", IPPROTO_TCP, 4000, 80, 77);
	for (uint32_t len = 0; len < sizeof(q); len++)
		ip_kit_rx(&k,
			  SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 1, .len = len, .data = &q));
	ip_kit_counter_is(&k, icmp_rx_bad, 28);
	for (unsigned ihl = 0; ihl < 16; ihl++) {
		q.ip[0] = (uint8_t)(0x40 | ihl);
		if (ihl != 5)
			rx_error(&k, 3, 1, 0, &q);
	}
	q.ip[0] = 0x65;
	rx_error(&k, 3, 1, 0, &q);
	q.ip[0] = 0x45;
	q.ip[7] = 1; /* not the first fragment: no ports in it */
	rx_error(&k, 3, 1, 0, &q);
	cr_assert_eq(tcp_none_seen.errors, 0);
}

Test(icmp, port_unreachable_quotes_what_came)
{
	IP_KIT(k);

	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .sport = 5, .dport = 9, .len = 100));
	ip_kit_expect(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3, .len = 128));
	cr_assert_eq(k.data[0], 0x45);
	cr_assert_eq(k.data[20 + 3], 9);
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .sport = 5, .dport = 9, .len = 1400));
	ip_kit_expect(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3, .len = 548));
}

Test(icmp, no_error_about_errors_broadcasts_or_later_fragments)
{
	IP_KIT(k);
	struct quote q = quote_of(KIT_STACK, "192.0.2.5", IPPROTO_UDP, 4000, 80, 0);
	struct rte_mbuf *m;

	m = ip_kit_build(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .len = sizeof(q), .data = &q));
	rte_pktmbuf_adj(m, 14);
	icmp_error_output(k.st, m, 3, 3);
	rte_pktmbuf_free(m);
	m = ip_kit_build(&k, SEG(.proto = IPPROTO_UDP, .frag_off = 10));
	rte_pktmbuf_adj(m, 14);
	icmp_error_output(k.st, m, 3, 3);
	rte_pktmbuf_free(m);
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 9, .dst = ip_kit_addr("198.18.0.255")));
	ip_kit_silence(&k);
	ip_kit_counter_is(&k, icmp_errors_tx, 0);
}

Test(icmp, errors_are_limited_to_a_burst_and_a_rate)
{
	IP_KIT(k);

	for (int i = 0; i < 200; i++)
		ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 9));
	ip_kit_counter_is(&k, icmp_errors_tx, 50);
	ip_kit_counter_is(&k, icmp_errors_limited, 150);
	ip_kit_advance(&k, 10 * NS_PER_MS);
	for (int i = 0; i < 200; i++)
		ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 9));
	ip_kit_counter_is(&k, icmp_errors_tx, 60);
	while (stack_output_pending(k.st))
		rte_pktmbuf_free(ip_kit_take_mbuf(&k));
}
