/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_frag.c - reassembly in every order; overlaps, floods, timeouts, lies; what it may hold
 */
#include <errno.h>

#include "ip_kit.h"
#include "stack/stack_priv.h"

#define FRAG_MF 0x2000

/* A UDP datagram to port 1000 as bytes, to be cut into fragments. */
struct datagram {
	uint8_t bytes[65536];
	uint32_t len;
};

static struct datagram *datagram_new(struct ip_kit *k, uint32_t payload)
{
	static struct datagram d;
	struct rte_mbuf *m =
		ip_kit_build(k, SEG(.proto = IPPROTO_UDP, .sport = 9, .dport = 1000, .len = payload));
	const void *p;

	d.len = payload + 8;
	p = rte_pktmbuf_read(m, 34, d.len, d.bytes);
	if (p != d.bytes)
		memcpy(d.bytes, p, d.len);
	rte_pktmbuf_free(m);
	return &d;
}

/* One fragment as a frame; `more` as the flag should say. */
static void rx_piece(struct ip_kit *k, const uint8_t *bytes, uint32_t off, uint32_t len, bool more,
		     uint16_t id)
{
	static uint8_t frame[70000];
	uint8_t *ip = frame + 14;
	struct rte_mbuf *m = NULL;
	uint32_t total = 34 + len;

	memcpy(frame, k->link.dst_mac, 6);
	memcpy(frame + 6, k->link.src_mac, 6);
	frame[12] = 8, frame[13] = 0;
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[2] = (uint8_t)((20 + len) >> 8), ip[3] = (uint8_t)(20 + len);
	ip[4] = (uint8_t)(id >> 8), ip[5] = (uint8_t)id;
	ip[6] = (uint8_t)((off / 8) >> 8 | (more ? FRAG_MF >> 8 : 0)), ip[7] = (uint8_t)(off / 8);
	ip[8] = 64, ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &(be32){ip_kit_addr(KIT_PEER)}, 4);
	memcpy(ip + 16, &(be32){ip_kit_addr(KIT_STACK)}, 4);
	uint16_t sum = kit_checksum(ip, 20, 0);
	ip[10] = (uint8_t)(sum >> 8), ip[11] = (uint8_t)sum;
	memcpy(ip + 20, bytes, len);
	for (uint32_t at = 0; at < total;) {
		struct rte_mbuf *part = rte_pktmbuf_alloc(k->pool);
		uint16_t n = (uint16_t)RTE_MIN(total - at, (uint32_t)rte_pktmbuf_tailroom(part));

		memcpy(rte_pktmbuf_append(part, n), frame + at, n);
		at += n;
		if (m)
			rte_pktmbuf_chain(m, part);
		else
			m = part;
	}
	ip_kit_rx_mbuf(k, m);
}

static void rx_part(struct ip_kit *k, const struct datagram *d, uint32_t off, uint32_t len, uint16_t id)
{
	len = RTE_MIN(len, d->len - off);
	rx_piece(k, d->bytes + off, off, len, off + len < d->len, id);
}

static void expect_datagram(struct sock *so, uint32_t payload)
{
	static uint8_t buf[65536];

	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), payload);
	for (uint32_t i = 0; i < payload; i++)
		cr_assert_eq(buf[i], kit_byte(i), "byte %u", i);
}

Test(frag, three_pieces_in_every_order)
{
	static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct datagram *d = datagram_new(&k, 2000);

	for (uint16_t i = 0; i < 6; i++) {
		for (unsigned j = 0; j < 3; j++)
			rx_part(&k, d, orders[i][j] * 800u, 800, i);
		expect_datagram(so, 2000);
	}
	ip_kit_counter_is(&k, ip_reassembled, 6);
	ip_kit_counter_is(&k, ip_frags_rx, 18);
	cr_assert_eq(k.st->held_mbufs, 0);
}

Test(frag, largest_datagram)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct datagram *d = datagram_new(&k, 65507);

	for (uint32_t off = 0; off < d->len; off += 1480)
		rx_part(&k, d, off, 1480, 7);
	expect_datagram(so, 65507);
}

Test(frag, bad_transport_checksum_is_noticed_after_reassembly)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct datagram *d = datagram_new(&k, 2000);
	char c;

	d->bytes[1000] ^= 1;
	rx_part(&k, d, 0, 1480, 7);
	rx_part(&k, d, 1480, 1480, 7);
	ip_kit_counter_is(&k, udp_rx_bad_csum, 1);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), -EAGAIN);
}

Test(frag, duplicates_are_ignored)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct datagram *d = datagram_new(&k, 2000);

	rx_part(&k, d, 0, 800, 7);
	rx_part(&k, d, 0, 800, 7);
	rx_part(&k, d, 8, 400, 7); /* wholly inside */
	rx_part(&k, d, 1600, 800, 7);
	rx_part(&k, d, 1600, 800, 7);
	rx_part(&k, d, 800, 800, 7);
	expect_datagram(so, 2000);
	ip_kit_counter_is(&k, ip_frags_bad, 0);
}

/* Every start and length of a third piece that overlaps two others kills the datagram. */
Test(frag, overlaps_kill_the_datagram)
{
	static const struct {
		uint32_t off, len;
		bool more;
	} bad[] = {
		{392, 16, true}, {392, 400, true}, {0, 408, true},    {792, 16, true},
		{0, 2000, true}, {400, 408, true}, {800, 800, false},
	};
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct datagram *d = datagram_new(&k, 3000);
	char c;

	for (uint16_t i = 0; i < RTE_DIM(bad); i++) {
		rx_piece(&k, d->bytes, 0, 400, true, i);
		rx_piece(&k, d->bytes + 800, 800, 400, true, i);
		rx_piece(&k, d->bytes + bad[i].off, bad[i].off, bad[i].len, bad[i].more, i);
		cr_assert_eq(k.st->held_mbufs, 0, "case %u: all of it is gone", i);
	}
	ip_kit_counter_is(&k, ip_frags_bad, RTE_DIM(bad));
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), -EAGAIN);
}

Test(frag, impossible_pieces)
{
	IP_KIT(k);
	struct datagram *d = datagram_new(&k, 3000);

	rx_piece(&k, d->bytes, 0, 801, true, 1);     /* not a multiple of 8 */
	rx_piece(&k, d->bytes, 0, 0, true, 2);       /* empty */
	rx_piece(&k, d->bytes, 65528, 40, false, 3); /* ends beyond 65535 */
	rx_piece(&k, d->bytes, 65512, 8, false, 4);  /* with its header: 65540 */
	ip_kit_counter_is(&k, ip_frags_bad, 4);
	rx_piece(&k, d->bytes, 800, 8, false, 5); /* says: 808 in all */
	rx_piece(&k, d->bytes, 1600, 8, true, 5); /* beyond the end */
	rx_piece(&k, d->bytes, 800, 8, false, 6);
	rx_piece(&k, d->bytes, 808, 8, false, 6); /* another end */
	rx_piece(&k, d->bytes, 1600, 8, true, 7);
	rx_piece(&k, d->bytes, 800, 8, false, 7); /* an end before what came */
	ip_kit_counter_is(&k, ip_frags_bad, 7);
	cr_assert_eq(k.st->held_mbufs, 0);
}

Test(frag, timeout_frees_and_tells_the_sender_once)
{
	IP_KIT(k);
	struct datagram *d = datagram_new(&k, 3000);

	rx_part(&k, d, 0, 800, 1);
	rx_part(&k, d, 800, 800, 2); /* without the first piece: nobody is told */
	ip_kit_advance(&k, 30 * NS_PER_SEC - 1);
	ip_kit_silence(&k);
	ip_kit_advance(&k, 1);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 11, .icmp_code = 1, .len = 548));
	ip_kit_silence(&k);
	ip_kit_counter_is(&k, ip_frags_timeout, 2);
	cr_assert_eq(k.st->held_mbufs, 0);
}

Test(frag, flood_of_first_pieces_does_not_keep_a_genuine_datagram_out)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct datagram *d = datagram_new(&k, 2000);

	for (uint16_t i = 0; i < 5000; i++)
		rx_part(&k, d, 0, 800, i);
	cr_assert_leq(k.st->held_mbufs, 8, "max_fragments");
	rx_part(&k, d, 0, 1480, 6000);
	rx_part(&k, d, 1480, 1480, 6000);
	expect_datagram(so, 2000);
	cr_assert_gt(ip_kit_counter(&k, "ip_frags_full"), 4000);
}

Test(frag, flood_of_tiny_pieces_is_bounded)
{
	IP_KIT(k);
	struct datagram *d = datagram_new(&k, 65507);

	for (uint32_t off = 0; off < 8000; off += 16)
		rx_part(&k, d, off, 8, 1);
	cr_assert_leq(k.st->held_mbufs, 128);
	cr_assert_gt(ip_kit_counter(&k, "ip_frags_full"), 0);
}

/* Seeded: many datagrams cut and shuffled, some pieces lost or doubled; what arrives is byte-exact. */
Test(frag, random_cuts_and_orders)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	unsigned seed = 1, whole = 0;

	for (uint16_t id = 0; id < 300; id++) {
		struct datagram *d = datagram_new(&k, 100 + (unsigned)rand_r(&seed) % 9000);
		uint32_t at[128], n = 0, off = 0;
		bool lost = false;

		while (off < d->len && n < 127) {
			at[n++] = off;
			off += 8 + 8 * ((unsigned)rand_r(&seed) % 150);
		}
		at[n] = d->len;
		for (uint32_t i = 0; i < n; i++) { /* each piece in a random place, one in 60 lost */
			uint32_t j = i + (unsigned)rand_r(&seed) % (n - i), keep = at[j], end = d->len;

			at[j] = at[i];
			at[i] = keep;
			for (uint32_t l = 0; l < n; l++)
				if (at[l] > keep && at[l] < end)
					end = at[l];
			if (rand_r(&seed) % 60 == 0)
				lost = true;
			else
				rx_part(&k, d, keep, end - keep, id);
			if (!lost && i + 1 < n && rand_r(&seed) % 10 == 0)
				rx_part(&k, d, keep, end - keep, id);
		}
		if (!lost) {
			expect_datagram(so, d->len - 8);
			whole++;
		}
	}
	cr_assert_eq(ip_kit_counter(&k, "udp_rx"), whole);
	cr_assert_gt(whole, 100);
}

/* Datagrams that are never completed take a small part of the buffers, and a true one still gets through. */
Test(frag, flood_leaves_the_buffers_to_others)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct datagram *d = datagram_new(&k, 60000);

	for (uint16_t id = 0; id < 200; id++)
		for (uint32_t off = 0; off < 800; off += 8)
			rx_part(&k, d, off, 8, id);
	cr_assert_leq(k.st->held_mbufs, k.st->hold_max / 8);
	cr_assert_gt(ip_kit_counter(&k, "ip_frags_full"), 0);
	for (uint32_t off = 0; off < d->len; off += 1480)
		rx_part(&k, d, off, 1480, 5000);
	static uint8_t buf[65536];
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), 60000);
}
