/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eth.c - Ethernet II
 *
 * Frames for other stations are dropped here (a device may be promiscuous, a switch may flood). VLAN tags,
 * 802.3 lengths and every other type are counted and dropped.
 */
#include "eth.h"

#include <rte_ether.h>

#include "arp.h"
#include "ip4.h"
#include "stack_priv.h"

void eth_input(struct stack *st, struct rte_mbuf *frame)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(frame, const struct rte_ether_hdr *);
	uint16_t dst[3], own[3];
	bool unicast;

	COUNT(st, rx_frames);
	COUNT_ADD(st, rx_bytes, frame->pkt_len);
	if (unlikely(frame->data_len < sizeof(*eth))) {
		COUNT(st, eth_rx_short);
		rte_pktmbuf_free(frame);
		return;
	}
	memcpy(dst, &eth->dst_addr, 6);
	memcpy(own, st->cfg.caps.mac, 6);
	unicast = ((dst[0] ^ own[0]) | (dst[1] ^ own[1]) | (dst[2] ^ own[2])) == 0;
	if (unlikely(!unicast && !rte_is_multicast_ether_addr(&eth->dst_addr))) {
		COUNT(st, eth_rx_not_for_us);
		rte_pktmbuf_free(frame);
		return;
	}
	if (likely(eth->ether_type == htons(RTE_ETHER_TYPE_IPV4))) {
		rte_pktmbuf_adj(frame, sizeof(*eth));
		ip4_input(st, frame, unicast);
	} else if (eth->ether_type == htons(RTE_ETHER_TYPE_ARP)) {
		arp_input(st, frame);
	} else {
		COUNT(st, eth_rx_unknown_type);
		rte_pktmbuf_free(frame);
	}
}

void eth_output(struct stack *st, struct rte_mbuf *m, const uint8_t dst[6], uint16_t type)
{
	struct rte_ether_hdr *eth = pkt_push(m, sizeof(*eth));

	memcpy(&eth->dst_addr, dst, 6);
	memcpy(&eth->src_addr, st->cfg.caps.mac, 6);
	eth->ether_type = htons(type);
	stack_tx(st, m);
}
