/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rxtx.c - the netdev's two bursts and its link state, straight onto ethdev
 */
#include <netinet/in.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_udp.h>

#include "driver/driver_priv.h"

#define RX_JUMBO_BURST 32u

static struct driver_port *port_of(struct netdev *dev)
{
	return (struct driver_port *)dev; /* its first member */
}

_Static_assert(offsetof(struct driver_port, dev) == 0, "port_of() needs the netdev first");

void driver_enter_queue(uint16_t q)
{
	RTE_PER_LCORE(_lcore_id) = q;
}

/*
 * A frame above the MTU is TCP that the kernel left whole, or a fragmented datagram that AF_PACKET's fanout
 * put together (PACKET_FANOUT_FLAG_DEFRAG): the stack takes both. Or it is UDP that the kernel joined
 * (UDP_SEGMENT, GRO): there the borders between the datagrams are lost. Only the last kind leaves its
 * checksum to a device that will never see it, so that the field holds the pseudo-header's sum alone; a
 * datagram that was fragmented has a whole one.
 */
static bool is_udp_gso(const struct rte_mbuf *m, uint16_t mtu)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	const struct rte_udp_hdr *udp;

	if (likely(m->data_len <= mtu + sizeof(*eth)) || m->data_len < sizeof(*eth) + sizeof(*ip))
		return false;
	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) || ip->next_proto_id != IPPROTO_UDP)
		return false;
	udp = (const struct rte_udp_hdr *)((const uint8_t *)ip + rte_ipv4_hdr_len(ip));
	/* Longer than the MTU, so the header is there */
	return udp->dgram_cksum == rte_ipv4_phdr_cksum(ip, 0);
}

/* From one large buffer into as many ordinary ones as it takes; NULL when the pool is empty. */
static struct rte_mbuf *copy_frame(const struct driver_port *port, const struct rte_mbuf *big)
{
	struct rte_mbuf *head = NULL, **link = &head, *m;
	uint16_t room = port->room - RTE_PKTMBUF_HEADROOM;

	for (uint32_t off = 0; off < big->data_len || head == NULL; off += m->data_len) {
		m = rte_pktmbuf_alloc(port->pool);
		if (unlikely(m == NULL)) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		m->data_len = (uint16_t)RTE_MIN(big->data_len - off, room);
		rte_memcpy(rte_pktmbuf_mtod(m, void *), rte_pktmbuf_mtod_offset(big, void *, off),
			   m->data_len);
		*link = m;
		link = &m->next;
		if (head != m)
			head->nb_segs++;
	}
	head->pkt_len = big->data_len;
	head->port = big->port;
	return head;
}

static uint16_t rx_burst_jumbo(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *big[RX_JUMBO_BURST];
	struct port_queue *counts = &port->shared->q[q];
	uint16_t got = rte_eth_rx_burst(port->id, q, big, RTE_MIN(n, RX_JUMBO_BURST)), out = 0;

	for (uint16_t i = 0; i < got; i++) {
		if (unlikely(is_udp_gso(big[i], port->dev.caps.mtu))) {
			counts->rx_udp_gso++;
			continue;
		}
		pkts[out] = copy_frame(port, big[i]);
		if (likely(pkts[out] != NULL))
			out++;
		else
			counts->rx_nombuf++;
	}
	if (got > 0)
		rte_pktmbuf_free_bulk(big, got);
	return out;
}

static uint16_t rx_burst_guarded(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	if (!guard_enter(port, q))
		return 0;
	n = rte_eth_rx_burst(port->id, q, pkts, n);
	guard_leave(port, q);
	return n;
}

static uint16_t rx_burst(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	struct driver_port *port = port_of(dev);
	if (port->jumbo_pool != NULL)
		n = rx_burst_jumbo(port, q, pkts, n);
	else if (port->guarded)
		n = rx_burst_guarded(port, q, pkts, n);
	else
		n = rte_eth_rx_burst(port->id, q, pkts, n);
	if (unlikely(port->capture_fd >= 0) && n > 0)
		capture_frames(port, pkts, n, false);
	return n;
}

/*
 * tx_prepare stops at a frame that the PMD cannot send as asked. That would be our bug, and the same frame
 * would stop the queue for ever: it is counted and dropped.
 */
static uint16_t prepare(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t good = rte_eth_tx_prepare(port->id, q, pkts, n);
	if (likely(good > 0))
		return good;
	port->shared->q[q].tx_prepare_bad++;
	return 0;
}

static uint16_t tx_burst(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	struct driver_port *port = port_of(dev);
	if (port->tx_prepare && n > 0) {
		n = prepare(port, q, pkts, n);
		if (unlikely(n == 0)) {
			rte_pktmbuf_free(pkts[0]);
			return 1;
		}
	}
	if (unlikely(port->capture_fd >= 0))
		capture_frames(port, pkts, n, true);
	if (port->link.kind == LINK_AF_PACKET)
		return packet_tx_burst(port, q, pkts, n);
	if (!port->guarded)
		return rte_eth_tx_burst(port->id, q, pkts, n);
	if (!guard_enter(port, q))
		return 0;
	n = rte_eth_tx_burst(port->id, q, pkts, n);
	guard_leave(port, q);
	return n;
}

static bool link_up(struct netdev *dev)
{
	struct driver_port *port = port_of(dev);
	struct rte_eth_link link = {.link_status = RTE_ETH_LINK_DOWN};

	if (guard_reachable(port) && rte_eth_link_get_nowait(port->id, &link) == 0 &&
	    link.link_status == RTE_ETH_LINK_UP)
		return true;
	if (port->link.kind == LINK_MEMIF && !port->link.server)
		port_connect_again(port);
	return false;
}

const struct netdev_ops driver_netdev_ops = {
	.rx_burst = rx_burst,
	.tx_burst = tx_burst,
	.rx_sleep_fd = sleep_fd,
	.rx_arm = sleep_arm,
	.rx_disarm = sleep_disarm,
	.link_up = link_up,
};
