/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ip4.c - validation of what arrives, headers and checksums of what leaves, fragments, our own address
 */
#include <errno.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "ip_kit.h"
#include "stack/checksum.h"
#include "stack/stack_priv.h"
#include "tcp_none.h"

#define UDP_TO(port, n) SEG(.proto = IPPROTO_UDP, .sport = 5, .dport = port, .len = n)

static void offloads(struct stack_config *cfg)
{
	cfg->caps.tx_tcp_csum = cfg->caps.tx_udp_csum = cfg->caps.tx_ip_csum = true;
	cfg->caps.tso = true;
}

static void partial(struct stack_config *cfg)
{
	cfg->caps.rx_csum_partial = true;
}

static void unneeded(struct stack_config *cfg)
{
	cfg->caps.csum_unneeded = true;
}

static void linear_only(struct stack_config *cfg)
{
	cfg->caps.tx_multi_seg = false;
}

Test(ip4, every_truncation_of_a_good_packet_is_dropped)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);

	for (unsigned cut = 1; cut <= 20 + 8 + 30; cut++)
		ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 30, .cut_bytes = cut));
	cr_assert_eq(ip_kit_counter(&k, "ip_rx_truncated"), 58);
	cr_assert_eq(sock_events(so) & 1, 0);
	ip_kit_silence(&k);
}

Test(ip4, headers_that_lie)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	char buf[64];

	for (uint8_t version = 1; version < 16; version++)
		if (version != 4)
			ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .ip_version = version));
	ip_kit_counter_is(&k, ip_rx_bad_header, 14);
	for (uint8_t ihl = 1; ihl < 5; ihl++)
		ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .ihl = ihl));
	ip_kit_counter_is(&k, ip_rx_bad_header, 18);
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 4, .ip_len_add = 1));
	ip_kit_counter_is(&k, ip_rx_truncated, 1);
	for (int less = 13; less <= 32; less++) /* total length from 19 down to 0 */
		ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 4, .ip_len_add = -less));
	ip_kit_counter_is(&k, ip_rx_bad_header, 38);
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 4, .ip_csum_xor = 1));
	ip_kit_counter_is(&k, ip_rx_bad_csum, 1);
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), -EAGAIN);
}

Test(ip4, link_padding_is_cut_off)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	char buf[64];

	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 4, .pad_bytes = 14));
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), 4);
}

Test(ip4, options_are_tolerated_when_their_lengths_are_true)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	char buf[64];

	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 4,
			  .ip_opts = {1, 1, 148, 4, 0, 0, 0, 0}, .ip_opts_len = 8));
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), 4);
	ip_kit_rx(&k,
		  SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 4, .ip_opts = {7, 40}, .ip_opts_len = 40));
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), 4);
}

/* Each option length from 0 to 255 in each place of a 12-byte option area. */
Test(ip4, every_option_length_lie_is_dropped)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	unsigned good = 0, sent = 0;
	char buf[64];

	for (unsigned at = 0; at < 12; at++) {
		for (unsigned len = 0; len < 256; len += len < 16 ? 1 : 7) {
			struct seg s = {.proto = IPPROTO_UDP, .dport = 1000, .len = 1, .ip_opts_len = 12};

			memset(s.ip_opts, 1, 12);
			s.ip_opts[at] = 148;
			if (at + 1 < 12)
				s.ip_opts[at + 1] = (uint8_t)len;
			ip_kit_rx(&k, &s);
			sent++;
			good += at + 1 < 12 && len >= 2 && at + len <= 12;
		}
	}
	for (unsigned i = 0; i < good; i++)
		cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), 1);
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), -EAGAIN);
	ip_kit_counter_is(&k, ip_rx_bad_header, sent - good);
}

Test(ip4, source_routes_are_refused)
{
	IP_KIT(k);

	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .ip_opts = {131, 7, 4, 192, 0, 2, 1, 0},
			  .ip_opts_len = 8));
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .ip_opts = {137, 7, 4, 192, 0, 2, 1, 0},
			  .ip_opts_len = 8));
	ip_kit_counter_is(&k, ip_rx_bad_header, 2);
}

Test(ip4, impossible_sources_and_foreign_destinations)
{
	IP_KIT(k);
	static const char *const bad[] = {"127.0.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.255",
					  "0.0.0.0",   "0.1.2.3",   KIT_STACK};

	for (unsigned i = 0; i < RTE_DIM(bad); i++) {
		struct seg s = {.proto = IPPROTO_UDP, .src = ip_kit_addr(bad[i]), .dport = 9};

		if (s.src == 0)
			s.src = htonl(1); /* 0.0.0.1: seg's zero means "default" */
		ip_kit_rx(&k, &s);
	}
	ip_kit_counter_is(&k, ip_rx_bad_source, RTE_DIM(bad));
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dst = ip_kit_addr("198.18.0.3")));
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dst = ip_kit_addr("224.0.0.1")));
	ip_kit_counter_is(&k, ip_rx_not_for_us, 2);
	ip_kit_silence(&k);
}

static void with_loopback(struct stack_config *cfg)
{
	cfg->loopback = true;
}

Test(ip4, loopback_serves_ourselves_and_nobody_on_the_link)
{
	IP_KIT_WITH(k, .configure = with_loopback);
	struct sock *server = ip_kit_udp(&k, "127.0.0.1", 1000), *client = ip_kit_udp(&k, "0.0.0.0", 0);
	struct endpoint to = ip_kit_endpoint("127.0.0.1", 1000);
	char buf[8];

	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dst = ip_kit_addr("127.0.0.1"), .dport = 1000, .len = 3));
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .src = ip_kit_addr("127.0.0.2"), .dport = 1000, .len = 3));
	ip_kit_counter_is(&k, ip_rx_not_for_us, 1);
	ip_kit_counter_is(&k, ip_rx_bad_source, 1);
	cr_assert_eq(ip_kit_recv(server, buf, sizeof(buf), 0), -EAGAIN);
	cr_assert_eq(ip_kit_send(client, "hello", 5, &to), 5);
	ip_kit_silence(&k);
	cr_assert_eq(ip_kit_recv(server, buf, sizeof(buf), 0), 5);
}

Test(ip4, a_packet_in_one_byte_buffers_is_put_together)
{
	IP_KIT(k);
	struct rte_mbuf *whole = ip_kit_build(&k, SEG(.flags = "S", .dport = 80, .len = 8)), *head = NULL;
	uint32_t len = whole->pkt_len;

	for (uint32_t i = 0; i < len; i += i < 14 ? 14 : 1) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(k.pool);
		uint16_t part = i < 14 ? 14 : 1;

		memcpy(rte_pktmbuf_append(m, part), rte_pktmbuf_mtod_offset(whole, char *, i), part);
		if (head)
			rte_pktmbuf_chain(head, m);
		else
			head = m;
	}
	rte_pktmbuf_free(whole);
	ip_kit_rx_mbuf(&k, head);
	cr_assert_eq(tcp_none_seen.segments, 1);
	cr_assert_eq(tcp_none_seen.rx.l4_off, 20);
	cr_assert_eq(tcp_none_seen.rx.l4_len, 28);
	cr_assert(tcp_none_seen.csum_ok);
}

Test(ip4, what_tcp_is_told)
{
	IP_KIT(k);

	ip_kit_rx(&k, SEG(.flags = "S", .dport = 80, .tos = 0x10, .ttl = 7, .len = 3));
	cr_assert_eq(tcp_none_seen.rx.tos, 0x10);
	cr_assert_eq(tcp_none_seen.rx.ttl, 7);
	cr_assert_eq(ip_addr_to_v4(&tcp_none_seen.rx.src), ip_kit_addr(KIT_PEER));
	cr_assert(tcp_none_seen.rx.to_us_only);
	cr_assert_not(tcp_none_seen.rx.csum_ok, "the device said nothing");
	cr_assert(tcp_none_seen.csum_ok);
	ip_kit_rx(&k, SEG(.flags = "S", .dport = 80, .len = 3, .l4_csum_xor = 0x100));
	cr_assert_not(tcp_none_seen.csum_ok);
	ip_kit_rx(&k, SEG(.flags = "S", .dst = ip_kit_addr("198.18.0.255")));
	cr_assert_not(tcp_none_seen.rx.to_us_only);
	ip_kit_rx(&k, SEG(.flags = "S", .eth_dst = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
	cr_assert_not(tcp_none_seen.rx.to_us_only);
}

Test(ip4, device_verdicts_on_checksums)
{
	IP_KIT(k);
	static const struct {
		uint64_t flag;
		bool known_good;
	} cases[] = {
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, true},
		{RTE_MBUF_F_RX_L4_CKSUM_NONE, true},
		{RTE_MBUF_F_RX_L4_CKSUM_BAD, false},
		{RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, false},
	};

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *m = ip_kit_build(&k, SEG(.flags = "S", .l4_csum_xor = 0x100));

		m->ol_flags |= cases[i].flag | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
		ip_kit_rx_mbuf(&k, m);
		cr_assert_eq(tcp_none_seen.rx.csum_ok, cases[i].known_good, "%u", i);
		cr_assert_eq(tcp_none_seen.csum_ok, cases[i].known_good, "%u", i);
	}
}

Test(ip4, partial_checksums_of_a_local_kernel)
{
	IP_KIT_WITH(k, .configure = partial);
	struct rte_mbuf *m = ip_kit_build(&k, SEG(.flags = "PA", .len = 100));
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 34);

	tcp->cksum =
		csum_fold(csum_pseudo_ip4(ip_kit_addr(KIT_PEER), ip_kit_addr(KIT_STACK), IPPROTO_TCP, 120));
	ip_kit_rx_mbuf(&k, m);
	cr_assert(tcp_none_seen.csum_ok);
	ip_kit_rx(&k, SEG(.flags = "PA", .len = 100));
	cr_assert(tcp_none_seen.csum_ok, "a full one is right too");
	ip_kit_rx(&k, SEG(.flags = "PA", .len = 100, .l4_csum_xor = 0x1234));
	cr_assert_not(tcp_none_seen.csum_ok);
}

Test(ip4, partial_checksums_are_wrong_on_other_links)
{
	IP_KIT(k);
	struct rte_mbuf *m = ip_kit_build(&k, SEG(.flags = "PA", .len = 100));
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 34);

	tcp->cksum =
		csum_fold(csum_pseudo_ip4(ip_kit_addr(KIT_PEER), ip_kit_addr(KIT_STACK), IPPROTO_TCP, 120));
	ip_kit_rx_mbuf(&k, m);
	cr_assert_not(tcp_none_seen.csum_ok);
}

Test(ip4, unknown_protocols_get_an_answer)
{
	IP_KIT(k);

	ip_kit_rx(&k, SEG(.proto = 132, .len = 8));
	ip_kit_counter_is(&k, ip_rx_unknown_proto, 1);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 2, .len = 20 + 28));
}

/* A TCP-like packet of `len` payload bytes, from a chain with `per` bytes in each buffer. */
static struct rte_mbuf *tcp_packet(struct ip_kit *k, uint32_t len, uint32_t per)
{
	struct rte_mbuf *m = stack_mbuf_alloc(k->st), *tail = m;
	uint8_t *tcp = pkt_put(m, 20);

	memset(tcp, 0, 20);
	tcp[12] = 5 << 4;
	tcp[13] = 0x10;
	for (uint32_t i = 0; i < len; i += per) {
		uint16_t part = (uint16_t)RTE_MIN(per, len - i);

		if (i) {
			tail->next = stack_mbuf_alloc(k->st);
			tail = tail->next;
			m->nb_segs++;
		}
		for (uint16_t j = 0; j < part; j++)
			*rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len + j) = kit_byte(i + j);
		tail->data_len += part;
		m->pkt_len += part;
	}
	return m;
}

static struct ip_path path_to_peer(struct ip_kit *k)
{
	struct ip_path path;

	cr_assert_eq(ip4_path_init(k->st, &path, 0, ip_kit_addr(KIT_PEER)), 0);
	return path;
}

Test(ip4, path_is_checked)
{
	IP_KIT(k);
	struct ip_path path;

	cr_assert_eq(ip4_path_init(k.st, &path, ip_kit_addr("198.18.0.9"), ip_kit_addr(KIT_PEER)),
		     -EADDRNOTAVAIL);
	cr_assert_eq(ip4_path_init(k.st, &path, 0, 0), -ENETUNREACH);
	path = path_to_peer(&k);
	cr_assert_eq(path.src, ip_kit_addr(KIT_STACK));
	cr_assert_eq(path.mtu, 1500);
	cr_assert_eq(path.ttl, 64);
	cr_assert_not(path.local);
}

Test(ip4, headers_and_software_checksums_of_a_chain)
{
	IP_KIT(k);
	struct ip_path path = path_to_peer(&k);

	path.tos = 0xb8;
	path.ttl = 3;
	path.dont_fragment = true;
	ip4_output(k.st, &path, tcp_packet(&k, 999, 101), IPPROTO_TCP, 20);
	ip_kit_expect(&k, SEG(.tos = 0xb8, .ttl = 3, .frag_off = 0x4000, .len = 999,
			      .src = ip_kit_addr(KIT_STACK), .dst = ip_kit_addr(KIT_PEER)));
	cr_assert_eq(k.last.ip_id, 0, "RFC 6864: an atomic datagram needs no ID");
}

Test(ip4, device_without_chains_gets_one_buffer)
{
	IP_KIT_WITH(k, .configure = linear_only);
	struct ip_path path = path_to_peer(&k);
	struct rte_mbuf *m;

	ip4_output(k.st, &path, tcp_packet(&k, 999, 101), IPPROTO_TCP, 20);
	ip4_output(k.st, &path, tcp_packet(&k, 999, 101), IPPROTO_TCP, 20);
	m = ip_kit_take_mbuf(&k);
	cr_assert_eq(m->nb_segs, 1);
	cr_assert_eq(m->pkt_len, 14 + 20 + 20 + 999);
	rte_pktmbuf_free(m);
	ip_kit_expect(&k, SEG(.len = 999));
}

Test(ip4, offload_requests_follow_dpdk)
{
	IP_KIT_WITH(k, .configure = offloads);
	struct ip_path path = path_to_peer(&k);
	const struct rte_ipv4_hdr *ip;
	const struct rte_tcp_hdr *tcp;
	struct rte_mbuf *m;

	ip4_output(k.st, &path, tcp_packet(&k, 100, 100), IPPROTO_TCP, 20);
	m = ip_kit_take_mbuf(&k);
	cr_assert_eq(m->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM);
	cr_assert_eq(m->l2_len, 14);
	cr_assert_eq(m->l3_len, 20);
	cr_assert_eq(m->l4_len, 20);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);
	tcp = (const struct rte_tcp_hdr *)(ip + 1);
	cr_assert_eq(tcp->cksum, rte_ipv4_phdr_cksum(ip, m->ol_flags));
	cr_assert_eq(rte_ipv4_cksum(ip), 0, "the IP header's own sum is complete");
	rte_pktmbuf_free(m);

	m = tcp_packet(&k, 5000, 1448);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	m->tso_segsz = 1460;
	ip4_output(k.st, &path, m, IPPROTO_TCP, 20);
	m = ip_kit_take_mbuf(&k);
	cr_assert_eq(m->pkt_len, 14 + 20 + 20 + 5000, "one frame, left to the device to cut");
	cr_assert(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG && m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM &&
		  m->ol_flags & RTE_MBUF_F_TX_IPV4);
	cr_assert_eq(m->tso_segsz, 1460);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);
	tcp = (const struct rte_tcp_hdr *)(ip + 1);
	cr_assert_eq(tcp->cksum, rte_ipv4_phdr_cksum(ip, m->ol_flags), "without the length");
	cr_assert_eq(ip->hdr_checksum, 0);
	uint16_t id = rte_be_to_cpu_16(ip->packet_id);
	rte_pktmbuf_free(m);

	ip4_output(k.st, &path, tcp_packet(&k, 100, 100), IPPROTO_TCP, 20);
	m = ip_kit_take_mbuf(&k);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);
	cr_assert_geq((uint16_t)(rte_be_to_cpu_16(ip->packet_id) - id), 4, "the four segments have one each");
	rte_pktmbuf_free(m);
}

Test(ip4, nothing_is_computed_where_nothing_is_needed)
{
	IP_KIT_WITH(k, .configure = unneeded);
	struct ip_path path = path_to_peer(&k);
	const struct rte_ipv4_hdr *ip;
	struct rte_mbuf *m;

	ip4_output(k.st, &path, tcp_packet(&k, 100, 100), IPPROTO_TCP, 20);
	m = ip_kit_take_mbuf(&k);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, 14);
	cr_assert_eq(ip->hdr_checksum, 0);
	cr_assert_eq(((const struct rte_tcp_hdr *)(ip + 1))->cksum, 0);
	cr_assert_eq(m->ol_flags, 0);
	rte_pktmbuf_free(m);
	ip_kit_rx(&k, SEG(.flags = "S", .l4_csum_xor = 1, .ip_csum_xor = 1));
	cr_assert(tcp_none_seen.csum_ok);
}

Test(ip4, fragments_are_whole_and_carry_one_id)
{
	IP_KIT(k);
	struct ip_path path = path_to_peer(&k);
	uint32_t at = 0;
	int id = -1;
	static uint8_t all[6000];

	path.mtu = 576;
	ip4_output(k.st, &path, tcp_packet(&k, 3000, 700), IPPROTO_TCP, 20);
	for (;;) {
		struct seg_frame f;
		struct rte_mbuf *m = ip_kit_take_mbuf(&k);

		if (m == NULL)
			break;
		cr_assert_leq(m->pkt_len, 576 + 14);
		cr_assert(seg_parse(&f, m, 0));
		rte_pktmbuf_free(m);
		cr_assert(f.csum_ok);
		cr_assert_eq(f.seg.frag_off & 0x4000, 0);
		cr_assert_eq((f.seg.frag_off & 0x1fff) * 8u, at);
		cr_assert(id < 0 || f.seg.ip_id == id);
		id = f.seg.ip_id;
		memcpy(all + at, f.data, f.seg.len);
		at += f.seg.len;
		cr_assert_eq(!(f.seg.frag_off & 0x2000), at == 3020, "the last one says so");
		seg_frame_fini(&f);
	}
	cr_assert_eq(at, 3020);
	for (uint32_t i = 0; i < 3000; i++)
		cr_assert_eq(all[20 + i], kit_byte(i));
	cr_assert_eq(csum_fold(csum_pseudo_ip4(path.src, path.dst, IPPROTO_TCP, at) + csum_bytes(all, at)),
		     0xffff);
	ip_kit_counter_is(&k, ip_fragmented, 1);
}

Test(ip4, our_own_address_comes_back_without_touching_the_device)
{
	IP_KIT(k);
	struct ip_path path;
	struct rte_mbuf *m = tcp_packet(&k, 300, 100);

	cr_assert_eq(ip4_path_init(k.st, &path, 0, ip_kit_addr(KIT_STACK)), 0);
	cr_assert(path.local);
	rte_pktmbuf_refcnt_update(m, 1); /* as a segment that TCP keeps for retransmission */
	ip4_output(k.st, &path, m, IPPROTO_TCP, 20);
	cr_assert_eq(tcp_none_seen.segments, 0, "not from within the call");
	cr_assert_gt(stack_output_pending(k.st), 0);
	ip_kit_silence(&k);
	cr_assert_eq(tcp_none_seen.segments, 1);
	cr_assert_eq(tcp_none_seen.rx.l4_len, 320);
	cr_assert(tcp_none_seen.csum_ok);
	cr_assert_eq(rte_mbuf_refcnt_read(m), 1, "the receiver got a copy");
	for (struct rte_mbuf *s = m->next; s != NULL; s = s->next)
		cr_assert_eq(rte_mbuf_refcnt_read(s), 1);
	rte_pktmbuf_free(m);
}

Test(ip4, loop_queue_is_bounded)
{
	IP_KIT(k);
	struct ip_path path;

	cr_assert_eq(ip4_path_init(k.st, &path, 0, ip_kit_addr(KIT_STACK)), 0);
	for (int i = 0; i < STACK_LOOP_LEN + 10; i++)
		ip4_output(k.st, &path, tcp_packet(&k, 1, 1), IPPROTO_TCP, 20);
	ip_kit_counter_is(&k, tx_queue_full, 10);
	ip_kit_silence(&k);
	cr_assert_eq(tcp_none_seen.segments, STACK_LOOP_LEN);
}

Test(ip4, larger_than_any_datagram_is_dropped)
{
	IP_KIT(k);
	struct ip_path path = path_to_peer(&k);

	ip4_output(k.st, &path, tcp_packet(&k, 65516, 2000), IPPROTO_TCP, 20);
	ip_kit_counter_is(&k, ip_tx_too_big, 1);
	ip_kit_silence(&k);
}

Test(ip4, broadcast_and_multicast_mac_addresses)
{
	IP_KIT(k);
	struct ip_path path;
	uint8_t frame[128];

	cr_assert_eq(ip4_path_init(k.st, &path, 0, ip_kit_addr("198.18.0.255")), 0);
	ip4_output(k.st, &path, tcp_packet(&k, 1, 1), IPPROTO_TCP, 20);
	cr_assert_gt(ip_kit_take(&k, frame, sizeof(frame)), 0);
	cr_assert_arr_eq(frame, ((uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), 6);
	cr_assert_eq(ip4_path_init(k.st, &path, 0, ip_kit_addr("239.255.1.2")), 0);
	ip4_output(k.st, &path, tcp_packet(&k, 1, 1), IPPROTO_TCP, 20);
	cr_assert_gt(ip_kit_take(&k, frame, sizeof(frame)), 0);
	cr_assert_arr_eq(frame, ((uint8_t[]){0x01, 0x00, 0x5e, 0x7f, 1, 2}), 6);
}
