/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rxtx.c - the netdev's two bursts and its link state, straight onto ethdev
 */
#include <rte_ethdev.h>
#include <rte_lcore.h>

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

static uint16_t rx_burst(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_rx_burst(port_of(dev)->id, q, pkts, n);
}

static uint16_t tx_burst(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	struct driver_port *port = port_of(dev);
	if (port->tx_prepare)
		n = rte_eth_tx_prepare(port->id, q, pkts, n);
	return rte_eth_tx_burst(port->id, q, pkts, n);
}

static bool link_up(struct netdev *dev)
{
	struct driver_port *port = port_of(dev);
	struct rte_eth_link link = {.link_status = RTE_ETH_LINK_DOWN};

	if (rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP)
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
