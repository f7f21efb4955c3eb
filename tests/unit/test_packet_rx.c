/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_packet_rx.c - packet_rx.c on a ring whose kernel is played by the test
 */
#include <criterion/criterion.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "driver/driver_priv.h"
#include "tests/kit/kit_eal.h"

#define FRAMES 8u
#define MAC    80u /* where a frame starts in its slot */

int driver_packet_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
void *driver_packet_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

static struct driver_port port;
static struct port_shared shared;
static uint8_t *map;
static unsigned filled;

static void start(void)
{
	struct tpacket_req req = {.tp_frame_nr = FRAMES, .tp_frame_size = JUMBO_FRAME};
	size_t bytes = (size_t)FRAMES * JUMBO_FRAME;

	port.pool = kit_pool_new(511);
	port.room = RTE_MBUF_DEFAULT_BUF_SIZE;
	port.shared = &shared;
	port.dev.caps.mtu = 1500;
	port.link.kind = LINK_AF_PACKET;
	packet_ring_begin(&port);
	driver_packet_setsockopt(-1, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req));
	map = driver_packet_mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	packet_ring_end();
	cr_assert_neq(map, MAP_FAILED);
}

TestSuite(packet_rx, .init = start);

/* The kernel fills the next slot; returns the frame's place. */
static uint8_t *put(uint32_t len, uint8_t fill, uint32_t status)
{
	struct tpacket2_hdr *h = (void *)(map + (size_t)(filled++ % FRAMES) * JUMBO_FRAME);

	cr_assert_eq(h->tp_status, TP_STATUS_KERNEL, "the slot was not given back");
	h->tp_mac = MAC;
	h->tp_len = h->tp_snaplen = len;
	memset((uint8_t *)h + MAC, fill, RTE_MIN(len, JUMBO_FRAME - MAC));
	h->tp_status = TP_STATUS_USER | status;
	return (uint8_t *)h + MAC;
}

static unsigned burst(struct rte_mbuf **pkts, unsigned n)
{
	return packet_rx_burst(&port, 0, pkts, (uint16_t)n);
}

Test(packet_rx, in_order_round_and_round)
{
	struct rte_mbuf *pkts[FRAMES];

	cr_assert_eq(burst(pkts, FRAMES), 0);
	for (unsigned i = 0; i < 30; i += 3) {
		for (unsigned k = 0; k < 3; k++)
			put(60 + i + k, (uint8_t)(i + k), 0);
		cr_assert_eq(burst(pkts, 2), 2, "no more than asked for");
		cr_assert_eq(burst(pkts + 2, FRAMES - 2), 1);
		for (unsigned k = 0; k < 3; k++) {
			cr_assert_eq(pkts[k]->pkt_len, 60 + i + k);
			cr_assert_eq(*rte_pktmbuf_mtod(pkts[k], uint8_t *), i + k);
		}
		rte_pktmbuf_free_bulk(pkts, 3);
	}
	cr_assert_eq(shared.q[0].rx_packets, 30);
	cr_assert_eq(rte_mempool_in_use_count(port.pool), 0);
}

Test(packet_rx, large_frames_become_chains)
{
	struct rte_mbuf *m, *s;
	uint8_t *p = put(65226, 0, 0);
	uint32_t at = 0;

	for (uint32_t i = 0; i < 65226; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
	cr_assert_eq(burst(&m, 1), 1);
	cr_assert_eq(m->pkt_len, 65226);
	for (s = m; s != NULL; s = s->next)
		for (uint32_t i = 0; i < s->data_len; i++, at++)
			cr_assert_eq(*rte_pktmbuf_mtod_offset(s, uint8_t *, i),
				     (uint8_t)(at * 7 + (at >> 8)));
	cr_assert_eq(at, 65226);
	rte_pktmbuf_free(m);
	cr_assert_eq(rte_mempool_in_use_count(port.pool), 0);
}

/* A ring full of them: the stack gets some at a time, that fit the CPU's cache. */
Test(packet_rx, not_too_much_at_once)
{
	struct rte_mbuf *pkts[FRAMES];

	for (unsigned i = 0; i < FRAMES; i++)
		put(65000, (uint8_t)i, 0);
	for (unsigned i = 0, n; i < FRAMES; i += n) {
		n = burst(pkts, FRAMES);
		cr_assert(n > 0 && n < FRAMES);
		cr_assert_eq(*rte_pktmbuf_mtod(pkts[0], uint8_t *), i);
		rte_pktmbuf_free_bulk(pkts, n);
	}
}

Test(packet_rx, another_vlan_is_not_ours)
{
	struct rte_mbuf *pkts[3];

	put(60, 1, TP_STATUS_VLAN_VALID);
	((struct tpacket2_hdr *)map)->tp_vlan_tci = 7;
	put(60, 2, TP_STATUS_VLAN_VALID); /* only a priority */
	((struct tpacket2_hdr *)(map + JUMBO_FRAME))->tp_vlan_tci = 3 << 13;
	put(60, 3, 0);
	cr_assert_eq(burst(pkts, 3), 2);
	cr_assert_eq(*rte_pktmbuf_mtod(pkts[0], uint8_t *), 2);
	cr_assert_eq(shared.q[0].rx_other_vlan, 1);
}

Test(packet_rx, joined_datagrams_are_dropped)
{
	struct rte_ether_hdr eth = {.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)};
	struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
				  .next_proto_id = IPPROTO_UDP,
				  .total_length = RTE_BE16(3020 - 14)};
	struct rte_udp_hdr udp = {.dgram_cksum = rte_ipv4_phdr_cksum(&ip, 0)};
	struct rte_mbuf *m;

	for (unsigned whole = 0; whole < 2; whole++) {
		uint8_t *p = put(3020, 0, 0);

		udp.dgram_cksum ^= (uint16_t)whole; /* a sum that is not the pseudo-header's: reassembled */
		memcpy(p, &eth, sizeof(eth));
		memcpy(p + sizeof(eth), &ip, sizeof(ip));
		memcpy(p + sizeof(eth) + sizeof(ip), &udp, sizeof(udp));
		cr_assert_eq(burst(&m, 1), whole);
	}
	cr_assert_eq(shared.q[0].rx_udp_gso, 1);
}

/* Lost and counted, and the slots are the kernel's again. */
Test(packet_rx, an_empty_pool)
{
	struct rte_mbuf *pkts[FRAMES], *hog[511];
	unsigned n = 0;

	while (n < 511 && (hog[n] = rte_pktmbuf_alloc(port.pool)) != NULL)
		n++;
	put(60, 1, 0);
	put(60, 2, 0);
	cr_assert_eq(burst(pkts, FRAMES), 0);
	cr_assert_eq(shared.q[0].rx_nombuf, 2);
	rte_pktmbuf_free_bulk(hog, n);
	put(60, 3, 0);
	cr_assert_eq(burst(pkts, FRAMES), 1);
	cr_assert_eq(*rte_pktmbuf_mtod(pkts[0], uint8_t *), 3);
}

/* The kernel does not lie; if it did, we would stay in the slot. */
Test(packet_rx, no_more_than_the_slot_has)
{
	struct rte_mbuf *m;

	put(JUMBO_FRAME * 2, 1, 0);
	cr_assert_eq(burst(&m, 1), 1);
	cr_assert_eq(m->pkt_len, JUMBO_FRAME - MAC);
}
