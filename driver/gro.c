/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gro.c - joins received TCP segments that follow each other, where the device does not (key gro)
 *
 * Called by rxtx.c for each burst, after the PMD and before the stack. rte_gro does the joining, within the
 * burst and without memory of earlier ones; what it is given is chosen here, since it looks at few things:
 *
 * - It puts what it does not join (a PSH or FIN, a bare ACK) behind everything it did. So a burst is cut
 * where such a frame stands, and no frame of a connection overtakes another. Other connections may.
 * - It verifies no checksum, and a joined packet has none: each is verified here and the packet marked.
 * - It ignores the window, and would lose an update of it: frames of a run have the same one.
 * - It believes the lengths it is told: only frames whose lengths agree with each other are told of.
 *
 * It compares addresses, ports, ACK number and all bytes of the options itself (so timestamps must be equal,
 * which those of a burst mostly are), and joins up to 64 KB.
 */
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_gro.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#include "driver/driver_priv.h"
#include "stack/checksum.h"

#define RUN_LEAST 4 /* frames; rte_gro clears 25 KB of tables for each run */
#define AHEAD     3

_Static_assert(RTE_GRO_MAX_BURST_ITEM_NUM >= 64, "a burst of preload/inst.c must fit");

struct frame {
	const struct rte_ipv4_hdr *ip;
	const struct rte_tcp_hdr *tcp;
	uint16_t tcp_len; /* header and payload */
	uint8_t hdr_len;  /* of TCP */
};

/* TCP over IPv4 in one buffer, nothing but payload and an ACK, and no byte more or less than it says. */
static bool is_plain_data(const struct rte_mbuf *m, struct frame *f)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const uint16_t least = sizeof(*eth) + sizeof(*f->ip) + sizeof(*f->tcp);
	uint16_t ip_len;

	if (m->nb_segs != 1 || m->data_len <= least || eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return false;
	f->ip = (const struct rte_ipv4_hdr *)(eth + 1);
	ip_len = rte_be_to_cpu_16(f->ip->total_length);
	if (f->ip->version_ihl != RTE_IPV4_VHL_DEF || f->ip->next_proto_id != IPPROTO_TCP ||
	    ip_len != m->data_len - sizeof(*eth) ||
	    (f->ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG)) != 0)
		return false;
	f->tcp = (const struct rte_tcp_hdr *)(f->ip + 1);
	f->tcp_len = ip_len - sizeof(*f->ip);
	f->hdr_len = (uint8_t)((f->tcp->data_off >> 4) * 4);
	return f->tcp->tcp_flags == RTE_TCP_ACK_FLAG && f->hdr_len >= sizeof(*f->tcp) &&
	       f->hdr_len < f->tcp_len;
}

/* As the stack would verify them (stack/ip4.c); false: it shall look itself, and count. */
static bool sums_ok(const struct netdev_caps *caps, const struct rte_mbuf *m, const struct frame *f)
{
	uint64_t ip_flags = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK,
		 l4_flags = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, pseudo;

	if (caps->csum_unneeded)
		return true;
	if (ip_flags != RTE_MBUF_F_RX_IP_CKSUM_GOOD && ip_flags != RTE_MBUF_F_RX_IP_CKSUM_NONE &&
	    csum_fold(csum_bytes(f->ip, sizeof(*f->ip))) != 0xffff)
		return false;
	if (l4_flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4_flags == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return true;
	pseudo = csum_pseudo_ip4(f->ip->src_addr, f->ip->dst_addr, IPPROTO_TCP, f->tcp_len);
	if (caps->rx_csum_partial && f->tcp->cksum == csum_fold(pseudo))
		return true;
	return csum_fold(pseudo + csum_bytes(f->tcp, f->tcp_len)) == 0xffff;
}

static void describe(struct rte_mbuf *m, const struct frame *f)
{
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = sizeof(*f->ip);
	m->l4_len = f->hdr_len;
	m->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

static uint16_t join(struct rte_mbuf **run, uint16_t n)
{
	const struct rte_gro_param param = {
		.gro_types = RTE_GRO_TCP_IPV4, .max_flow_num = n, .max_item_per_flow = n};

	return n < RUN_LEAST ? n : rte_gro_reassemble_burst(run, n, &param);
}

uint16_t gro_join(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t out = 0, run = 0, wnd = 0; /* done; frames of the run behind them; their window */

	for (uint16_t i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct frame f;
		bool joinable;

		if (i + AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + AHEAD], void *));
		joinable = is_plain_data(m, &f) && sums_ok(&port->dev.caps, m, &f);
		if (run > 0 && (!joinable || f.tcp->rx_win != wnd)) {
			out += join(pkts + out, run);
			run = 0;
		}
		pkts[out + run] = m;
		if (joinable) {
			describe(m, &f);
			wnd = f.tcp->rx_win;
			run++;
		} else {
			out++;
		}
	}
	if (run > 0)
		out += join(pkts + out, run);
	port->shared->q[q].rx_joined += n - out;
	return out;
}
