/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_arp.c - asking, waiting, ageing, answering, defending; floods and full tables
 */
#include <errno.h>
#include <rte_arp.h>
#include <stdio.h>

#include "ip_kit.h"
#include "stack/arp.h"
#include "stack/stack_priv.h"
#include "tcp_none.h"

enum { REQUEST = RTE_ARP_OP_REQUEST, REPLY = RTE_ARP_OP_REPLY };

static const uint8_t mac_a[6] = {0x02, 0, 0, 0, 0xaa, 1}, mac_b[6] = {0x02, 0, 0, 0, 0xbb, 1};
static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

#define HOST "198.18.0.50"

/* A datagram to HOST, and where its frame went; false when nothing was sent. */
static bool send_to_host(struct ip_kit *k, struct sock *so, uint8_t mac[6])
{
	struct endpoint to = ip_kit_endpoint(HOST, 7);
	uint8_t frame[2048];
	size_t len;

	cr_assert_eq(ip_kit_send(so, "x", 1, &to), 1);
	len = ip_kit_take(k, frame, sizeof(frame));
	if (len == 0)
		return false;
	cr_assert_eq(frame[12] << 8 | frame[13], 0x0800);
	memcpy(mac, frame, 6);
	return true;
}

Test(arp, packets_wait_for_the_answer_and_leave_in_order)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(HOST, 7);
	uint8_t dst[6];

	for (int i = 0; i < 3; i++)
		ip_kit_send(so, &"abc"[i], 1, &to);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, dst);
	cr_assert_arr_eq(dst, broadcast, 6);
	ip_kit_silence(&k);
	ip_kit_rx_arp(&k, REPLY, mac_a, HOST, KIT_STACK, false);
	for (int i = 0; i < 3; i++) {
		ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .dport = 7, .len = 1));
		cr_assert_eq(k.data[0], "abc"[i]);
	}
	ip_kit_silence(&k);
}

static void with_loopback(struct stack_config *cfg)
{
	cfg->loopback = true;
}

Test(arp, nobody_on_the_link_is_told_where_loopback_is)
{
	IP_KIT_WITH(k, .configure = with_loopback);

	ip_kit_rx_arp(&k, REQUEST, mac_a, HOST, "127.0.0.1", true);
	ip_kit_silence(&k);
}

Test(arp, three_questions_a_second_apart_then_host_unreachable)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(HOST, 7);
	int on = 1;

	sock_setopt(so, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	cr_assert_eq(sock_connect(so, &to), 0);
	ip_kit_send(so, "a", 1, NULL);
	for (int i = 0; i < 3; i++) {
		ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
		ip_kit_advance(&k, NS_PER_SEC - 1);
		ip_kit_silence(&k);
		ip_kit_advance(&k, 1);
	}
	ip_kit_silence(&k);
	ip_kit_counter_is(&k, arp_unresolved, 1);
	cr_assert_eq(so->error, EHOSTUNREACH);
}

Test(arp, queue_of_one_neighbour_is_bounded_and_drops_the_oldest)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(HOST, 7);

	for (uint8_t i = 0; i < 100; i++)
		ip_kit_send(so, &i, 1, &to);
	ip_kit_counter_is(&k, arp_unresolved, 36);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
	ip_kit_rx_arp(&k, REPLY, mac_a, HOST, KIT_STACK, false);
	for (uint8_t i = 36; i < 100; i++) {
		ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
		cr_assert_eq(k.data[0], i);
	}
}

/* Eight silent neighbours have all places; what is for a ninth takes one of theirs, and leaves when it
 * answers. */
Test(arp, silent_neighbours_leave_room_for_the_others)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(HOST, 7);

	for (int i = 0; i < 8 * 64; i++) {
		char addr[32];
		struct endpoint silent;

		snprintf(addr, sizeof(addr), "198.18.0.%d", 200 + i / 64);
		silent = ip_kit_endpoint(addr, 7);
		ip_kit_send(so, "x", 1, &silent);
		if (i % 64 == 0)
			ip_kit_expect_arp(&k, REQUEST, KIT_STACK, addr, NULL);
	}
	ip_kit_counter_is(&k, arp_unresolved, 0);
	for (uint8_t i = 0; i < 20; i++)
		ip_kit_send(so, &i, 1, &to);
	ip_kit_counter_is(&k, arp_unresolved, 20);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
	ip_kit_rx_arp(&k, REPLY, mac_a, HOST, KIT_STACK, false);
	for (uint8_t i = 0; i < 20; i++) {
		ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
		cr_assert_eq(k.data[0], i);
	}
}

Test(arp, reachable_ages_and_is_asked_again_by_unicast_while_used)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	uint8_t mac[6], dst[6];

	ip_kit_send(so, "x", 1, &(struct endpoint){ip_addr_v4(ip_kit_addr(HOST)), htons(7)});
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
	ip_kit_rx_arp(&k, REPLY, mac_a, HOST, KIT_STACK, false);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
	ip_kit_advance(&k, 15 * NS_PER_SEC - 1);
	for (int i = 0; i < 31 && !stack_output_pending(k.st); i++)
		ip_kit_advance(&k, NS_PER_SEC); /* Linux spreads the time over 15 to 45 s */
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, dst);
	cr_assert_arr_eq(dst, mac_a, 6, "by unicast");
	cr_assert(send_to_host(&k, so, mac), "packets go on meanwhile");
	cr_assert_arr_eq(mac, mac_a, 6);
	ip_kit_rx_arp(&k, REPLY, mac_a, HOST, KIT_STACK, false);
	ip_kit_advance(&k, 14 * NS_PER_SEC);
	ip_kit_silence(&k);
}

Test(arp, unused_goes_stale_and_is_verified_five_seconds_after_the_next_use)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	uint8_t mac[6];

	ip_kit_rx_arp(&k, REQUEST, mac_a, HOST, KIT_STACK, true); /* learned as STALE */
	ip_kit_expect_arp(&k, REPLY, KIT_STACK, HOST, NULL);
	ip_kit_advance(&k, 3600 * NS_PER_SEC);
	ip_kit_silence(&k);
	cr_assert(send_to_host(&k, so, mac), "a stale entry is used at once");
	cr_assert_arr_eq(mac, mac_a, 6);
	ip_kit_advance(&k, 5 * NS_PER_SEC - 1);
	ip_kit_silence(&k);
	ip_kit_advance(&k, 1);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
	ip_kit_advance(&k, 3 * NS_PER_SEC);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
	ip_kit_silence(&k);
	/* Gone: the next packet asks everybody. */
	cr_assert_eq(ip_kit_send(so, "x", 1, &(struct endpoint){ip_addr_v4(ip_kit_addr(HOST)), htons(7)}), 1);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, mac);
	cr_assert_arr_eq(mac, broadcast, 6);
}

Test(arp, a_moved_neighbour_is_followed_by_a_cached_path)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(HOST, 7);
	uint8_t mac[6];

	cr_assert_eq(sock_connect(so, &to), 0);
	ip_kit_rx_arp(&k, REQUEST, mac_a, HOST, KIT_STACK, true);
	ip_kit_expect_arp(&k, REPLY, KIT_STACK, HOST, NULL);
	cr_assert(send_to_host(&k, so, mac));
	cr_assert_arr_eq(mac, mac_a, 6);
	ip_kit_rx_arp(&k, REQUEST, mac_b, HOST, HOST, true); /* gratuitous */
	cr_assert(send_to_host(&k, so, mac));
	cr_assert_arr_eq(mac, mac_b, 6);
}

Test(arp, answers_for_our_address_only_and_learns_only_from_the_link)
{
	IP_KIT(k);
	uint8_t dst[6];

	ip_kit_rx_arp(&k, REQUEST, mac_a, HOST, "198.18.0.3", true);
	ip_kit_silence(&k);
	ip_kit_rx_arp(&k, REQUEST, mac_a, "0.0.0.0", KIT_STACK, true); /* somebody's probe: defend */
	ip_kit_expect_arp(&k, REPLY, KIT_STACK, "0.0.0.0", dst);
	ip_kit_rx_arp(&k, REQUEST, mac_a, "192.0.2.99", KIT_STACK, true);
	ip_kit_expect_arp(&k, REPLY, KIT_STACK, "192.0.2.99", dst);
	cr_assert_arr_eq(dst, mac_a, 6);
	ip_kit_counter_is(&k, arp_conflicts, 0);
}

Test(arp, unsolicited_replies_make_no_entry)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(HOST, 7);

	ip_kit_rx_arp(&k, REPLY, mac_a, HOST, KIT_STACK, false);
	ip_kit_rx_arp(&k, REPLY, mac_a, HOST, HOST, true);
	ip_kit_send(so, "x", 1, &to);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
}

Test(arp, conflict_is_reported_and_defended_at_most_every_ten_seconds)
{
	IP_KIT(k);
	uint8_t mac[6];
	be32 addr;

	cr_assert_not(stack_addr_conflict(k.st, &addr, mac));
	for (int i = 0; i < 5; i++)
		ip_kit_rx_arp(&k, REQUEST, mac_b, KIT_STACK, HOST, true);
	cr_assert(stack_addr_conflict(k.st, &addr, mac));
	cr_assert_eq(addr, ip_kit_addr(KIT_STACK));
	cr_assert_arr_eq(mac, mac_b, 6);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, KIT_STACK, NULL);
	ip_kit_silence(&k);
	ip_kit_advance(&k, 10 * NS_PER_SEC);
	ip_kit_rx_arp(&k, REPLY, mac_b, KIT_STACK, KIT_PEER, true);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, KIT_STACK, NULL);
	ip_kit_counter_is(&k, arp_conflicts, 6);
}

Test(arp, probe_finds_the_owner_and_announce_claims)
{
	IP_KIT(k);
	uint8_t mac[6];
	be32 addr;

	stack_arp_probe(k.st);
	ip_kit_expect_arp(&k, REQUEST, "0.0.0.0", KIT_STACK, mac);
	cr_assert_arr_eq(mac, broadcast, 6);
	cr_assert_not(stack_addr_conflict(k.st, &addr, mac));
	ip_kit_rx_arp(&k, REPLY, mac_b, KIT_STACK, "0.0.0.0", false);
	cr_assert(stack_addr_conflict(k.st, &addr, mac));
	ip_kit_silence(&k); /* nothing claimed yet, nothing defended */
	stack_arp_announce(k.st);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, KIT_STACK, NULL);
}

Test(arp, malformed_packets_at_every_length_and_field)
{
	IP_KIT(k);
	uint8_t good[42] = {0x02, 0,  0,    0,  0, 2, 0x02, 0, 0,    0, 0xaa, 1,  0x08, 0x06,
			    0,    1,  0x08, 0,  6, 4, 0,    1, 0x02, 0, 0,    0,  0xaa, 1,
			    198,  18, 0,    50, 0, 0, 0,    0, 0,    0, 198,  18, 0,    2};
	static const uint8_t fields[] = {14, 15, 16, 17, 18, 19, 20, 21, 22};
	uint8_t bad[42];

	for (size_t len = 14; len < sizeof(good); len++)
		ip_kit_rx_bytes(&k, good, len);
	ip_kit_counter_is(&k, arp_rx_bad, 28);
	for (unsigned i = 0; i < sizeof(fields); i++) {
		memcpy(bad, good, sizeof(bad));
		bad[fields[i]] ^= 0xff;
		ip_kit_rx_bytes(&k, bad, sizeof(bad));
	}
	ip_kit_counter_is(&k, arp_rx_bad, 28 + sizeof(fields));
	memset(bad + 22, 0, 6); /* a sender without a MAC address */
	ip_kit_silence(&k);
	ip_kit_rx_bytes(&k, good, sizeof(good));
	ip_kit_expect_arp(&k, REPLY, KIT_STACK, HOST, NULL);
}

Test(arp, flood_of_requests_recycles_stale_entries_and_leaves_the_used_one)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(KIT_PEER, 7);
	uint8_t frame[128];

	cr_assert_eq(ip_kit_send(so, "x", 1, &to), 1); /* the peer's entry is in use now */
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
	for (int i = 0; i < 2000; i++) {
		char from[16];

		snprintf(from, sizeof(from), "198.18.0.%d", 10 + i % 200);
		ip_kit_rx_arp(&k, REQUEST, mac_a, from, KIT_STACK, true);
		cr_assert_gt(ip_kit_take(&k, frame, sizeof(frame)), 0);
	}
	cr_assert_eq(ip_kit_send(so, "x", 1, &to), 1);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
	ip_kit_counter_is(&k, arp_table_full, 0);
}

Test(arp, table_full_of_unanswered_questions_refuses_and_recovers)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 7);

	ip_kit_send(so, "x", 1, &peer); /* used: not to be evicted */
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
	for (int i = 0; i < 40; i++) {
		struct endpoint to;
		char addr[32];

		snprintf(addr, sizeof(addr), "198.18.0.%d", 100 + i);
		to = ip_kit_endpoint(addr, 7);
		cr_assert_eq(ip_kit_send(so, "x", 1, &to), 1, "to the sender it is like any lost datagram");
	}
	ip_kit_counter_is(&k, arp_table_full, 40 - 15);
	for (int i = 0; i < 15; i++)
		rte_pktmbuf_free(ip_kit_take_mbuf(&k));
	cr_assert_eq(ip_kit_send(so, "x", 1, &peer), 1);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
	ip_kit_advance(&k, 4 * NS_PER_SEC);
	while (stack_output_pending(k.st))
		rte_pktmbuf_free(ip_kit_take_mbuf(&k));
	ip_kit_send(so, "x", 1, &(struct endpoint){ip_addr_v4(ip_kit_addr(HOST)), htons(7)});
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
}

Test(arp, unresolved_tcp_packets_are_reported_to_tcp)
{
	IP_KIT(k);
	struct ip_path path;
	struct rte_mbuf *m = stack_mbuf_alloc(k.st);
	uint8_t *tcp = pkt_put(m, 20);

	memset(tcp, 0, 20);
	tcp[1] = 80;
	tcp[7] = 9;
	tcp[12] = 5 << 4;
	cr_assert_eq(ip4_path_init(k.st, &path, 0, ip_kit_addr(HOST)), 0);
	ip4_output(k.st, &path, m, IPPROTO_TCP, 20);
	ip_kit_expect_arp(&k, REQUEST, KIT_STACK, HOST, NULL);
	ip_kit_advance(&k, 3 * NS_PER_SEC);
	cr_assert_eq(tcp_none_seen.errors, 1);
	cr_assert_eq(tcp_none_seen.err, EHOSTUNREACH);
	cr_assert_eq(tcp_none_seen.local.port, htons(80));
	cr_assert_eq(tcp_none_seen.seq, 9);
	while (stack_output_pending(k.st))
		rte_pktmbuf_free(ip_kit_take_mbuf(&k));
}
