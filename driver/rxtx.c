/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rxtx.c - the netdev's two bursts and its link state, straight onto ethdev
 */
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "driver/driver_priv.h"

static struct driver_port *port_of(struct netdev *dev)
{
	return (struct driver_port *)dev; /* its first member */
}

_Static_assert(offsetof(struct driver_port, dev) == 0, "port_of() needs the netdev first");

void driver_enter_queue(uint16_t q)
{
	RTE_PER_LCORE(_lcore_id) = q;
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
	if (port->link.kind == LINK_AF_PACKET)
		n = packet_rx_burst(port, q, pkts, n);
	else if (port->guarded)
		n = rx_burst_guarded(port, q, pkts, n);
	else
		n = rte_eth_rx_burst(port->id, q, pkts, n);
	if (unlikely(port->capture_fd >= 0) && n > 0)
		capture_frames(port, pkts, n, false);
	return port->gro && n > 1 ? gro_join(port, q, pkts, n) : n;
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

static uint16_t send_frames(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
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

static uint16_t tx_burst(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	struct driver_port *port = port_of(dev);

	return port->gso ? gso_burst(port, q, pkts, n, send_frames) : send_frames(port, q, pkts, n);
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
