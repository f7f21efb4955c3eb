/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * offload.c - which offloads are asked of the port, and the truth about them for the stack
 *
 * Called once, before the port is configured. What a PMD does in software itself (net_tap's checksums) is not
 * asked for: the stack does it better while it copies.
 */
#include <linux/virtio_net.h>
#include <string.h>
#include <rte_eth_vhost.h>
#include <rte_vhost.h>

#include "driver/driver_priv.h"

#define TX_CSUM_L4 (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define RX_CSUM    (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)
#define RX_CSUM_L4 (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)

#define TSO_BYTES_MAX                                                                                        \
	65000u /* payload: the IP length field has 16 bits, headers and options need their part */
#define LRO_BYTES_MAX 65535u

/* What vmxnet3 refuses beyond, whatever it says of itself. */
#define VMXNET3_TSO_SEGS 24u

static bool driven_by(const struct driver_port *port, const char *pmd)
{
	return port->info.driver_name != NULL && strcmp(port->info.driver_name, pmd) == 0;
}

static bool software_only(enum link_kind kind)
{
	return kind == LINK_TAP || kind == LINK_AF_PACKET || kind == LINK_AF_XDP || kind == LINK_MEMIF;
}

/* What the kernel does for us behind a packet socket; the PMD is asked for nothing. */
static uint64_t choose_packet_tx(struct driver_port *port)
{
	struct netdev_caps *c = &port->dev.caps;

	c->tx_multi_seg = true;
	c->tx_tcp_csum = c->tx_udp_csum = port->cfg.offload_csum;
	c->tso = port->cfg.offload_csum && port->cfg.offload_tso;
	c->tso_max_bytes = c->tso ? TSO_BYTES_MAX : 0;
	c->tso_max_segs = c->tso ? 64 : 0;
	return 0;
}

static bool memif_zero_copy(const struct driver_port *port)
{
	return port->link.kind == LINK_MEMIF && strstr(port->link.vdev_args, "zero-copy=yes") != NULL;
}

static uint64_t choose_tx(struct driver_port *port)
{
	struct netdev_caps *c = &port->dev.caps;
	uint64_t have = port->info.tx_offload_capa, use = have & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

	if (!software_only(port->link.kind) && port->cfg.offload_csum) {
		use |= have & (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | TX_CSUM_L4);
		if (port->cfg.offload_tso && (use & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0 && use != 0)
			use |= have & RTE_ETH_TX_OFFLOAD_TCP_TSO;
	}
	/* DPDK 22.11: sends two buffers of a chain at most, and a full ring costs it a reference */
	if (memif_zero_copy(port))
		use &= ~RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	c->tx_multi_seg = (use & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	c->tx_ip_csum = (use & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
	c->tx_tcp_csum = (use & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
	c->tx_udp_csum = (use & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
	c->tso = (use & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0 && c->tx_multi_seg;
	if (!c->tso && c->tx_multi_seg && port->cfg.soft_gso)
		port->gso = c->tso = true;
	if (port->gso) {
		c->tso_max_bytes = TSO_BYTES_MAX;
		c->tso_max_segs = 64;
	} else if (c->tso) {
		uint16_t segs = port->info.tx_desc_lim.nb_seg_max;
		c->tso_max_bytes = TSO_BYTES_MAX;
		c->tso_max_segs = segs == 0 || segs > 64 ? 64 : segs;
		if (driven_by(port, "net_vmxnet3"))
			c->tso_max_segs = RTE_MIN(c->tso_max_segs, VMXNET3_TSO_SEGS);
	}
	port->tx_prepare = c->tx_tcp_csum;
	return use;
}

/*
 * virtio hands over what the other side did not cut, in chains of mergeable buffers. vmxnet3 lost one frame
 * in ten of those when it was tried; other NICs, which join segments at the price of delay, never were.
 */
static bool joins_segments(const struct driver_port *port)
{
	return port->link.kind == LINK_VIRTIO_USER ||
	       (port->link.kind == LINK_PCI && driven_by(port, "net_virtio"));
}

static uint64_t choose_rx(struct driver_port *port)
{
	struct netdev_caps *c = &port->dev.caps;
	uint64_t have = port->info.rx_offload_capa, use = 0;

	if (!software_only(port->link.kind) && port->cfg.offload_csum)
		use |= have & RX_CSUM;
	if (port->cfg.offload_lro && joins_segments(port))
		use |= have & RTE_ETH_RX_OFFLOAD_TCP_LRO;
	if ((use & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0)
		use |= have & RTE_ETH_RX_OFFLOAD_SCATTER;
	c->rx_csum = (use & RX_CSUM_L4) == RX_CSUM_L4;
	/* net_vhost does not name it, and hands over whatever the other end sends. */
	c->lro = (use & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0 || port->jumbo_frames != 0 ||
		 (port->link.kind == LINK_VHOST && port->cfg.offload_lro);
	return use;
}

static bool tx_is_sync(const struct driver_port *port)
{
	switch (port->link.kind) {
	case LINK_TAP:
	case LINK_AF_PACKET:
	case LINK_VHOST:
		return true;
	case LINK_MEMIF:
		return !memif_zero_copy(port);
	default:
		return false;
	}
}

void offload_choose(struct driver_port *port, struct rte_eth_conf *conf)
{
	struct netdev_caps *c = &port->dev.caps;

	conf->txmode.offloads = port->link.kind == LINK_AF_PACKET ? choose_packet_tx(port) : choose_tx(port);
	conf->rxmode.offloads = choose_rx(port);
	/* A PMD that names no limit wants the field left alone. */
	if (c->lro && port->info.max_lro_pkt_size != 0)
		conf->rxmode.max_lro_pkt_size = RTE_MIN(LRO_BYTES_MAX, port->info.max_lro_pkt_size);
	c->rx_csum_partial = port->link.kind == LINK_AF_PACKET || port->link.kind == LINK_AF_XDP;
	c->csum_unneeded = port->link.kind == LINK_MEMIF && port->cfg.offload_csum;
	/* net_af_packet's ring takes what the kernel joined or never cut; what came in parts is joined here
	 */
	port->gro = port->cfg.soft_gro && (!c->lro || port->link.kind == LINK_AF_PACKET);
	c->lro |= port->gro;
	c->tx_sync = tx_is_sync(port);
	c->peer_is_kernel = port->link.kind <= LINK_AF_XDP;
}

int offload_vhost_id(const struct driver_port *port)
{
#ifdef DRIVER_HAS_VHOST
	return rte_eth_vhost_get_vid_from_port_id(port->id);
#else
	(void)port;
	return -1;
#endif
}

/*
 * vhost learns from the other end what it may be sent; net_vhost knows TSO frames although it does not say
 * so. Returns true once there is nothing more to learn: virtio_user shakes hands twice, first without
 * offloads.
 */
bool offload_peer_known(struct driver_port *port)
{
	struct netdev_caps *c = &port->dev.caps;
	uint64_t features;

	if (port->link.kind != LINK_VHOST || !port->cfg.offload_tso || !c->tx_tcp_csum || !c->tx_multi_seg)
		return true;
	int vid = offload_vhost_id(port);
	if (vid < 0 || rte_vhost_get_negotiated_features(vid, &features) != 0)
		return false;
	bool device = (features >> VIRTIO_NET_F_GUEST_TSO4 & 1) != 0;
	port->gso = !device && port->cfg.soft_gso;
	c->tso = device || port->gso;
	c->tso_max_bytes = c->tso ? TSO_BYTES_MAX : 0;
	c->tso_max_segs = c->tso ? 64 : 0;
	return device;
}
