/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gso.c - cuts the stack's super segments into frames, where the device does not (key gso)
 *
 * Called by rxtx.c in place of the PMD. rte_gso does the cutting: each segment is a buffer with a copy of the
 * headers and another that refers to a piece of the super segment's payload, so the device must take chains.
 * What it leaves undone is done here: the checksums, which it never touches.
 *
 * When the device takes only some segments, the super segment stays with the caller, and port_queue.tx_cut
 * says how many of its segments are out already: it is the first frame of the next burst. So nothing waits
 * here that would be lost with a process or need a timer.
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "driver/driver_priv.h"
#include "stack/checksum.h"

static void finish_headers(const struct netdev_caps *caps, struct rte_mbuf *m, const struct rte_mbuf *super)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, super->l2_len);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)((uint8_t *)ip + super->l3_len);
	uint32_t l4_off = (uint32_t)(super->l2_len + super->l3_len);
	uint64_t pseudo = csum_pseudo_ip4(ip->src_addr, ip->dst_addr, IPPROTO_TCP, m->pkt_len - l4_off);

	m->ol_flags = RTE_MBUF_F_TX_IPV4;
	m->tx_offload = rte_mbuf_tx_offload(super->l2_len, super->l3_len, super->l4_len, 0, 0, 0, 0);
	ip->hdr_checksum = 0;
	tcp->cksum = 0;
	if (caps->tx_ip_csum)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	else if (!caps->csum_unneeded)
		ip->hdr_checksum = (uint16_t)~csum_fold(csum_bytes(ip, super->l3_len));
	if (caps->tx_tcp_csum) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		tcp->cksum = csum_fold(pseudo);
	} else if (!caps->csum_unneeded) {
		tcp->cksum = (uint16_t)~csum_fold(pseudo + csum_chain(m, l4_off, m->pkt_len - l4_off));
	}
}

int gso_cut(struct driver_port *port, struct rte_mbuf *super, struct rte_mbuf **segs, uint16_t max)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(super, const struct rte_ipv4_hdr *, super->l2_len);
	const struct rte_gso_ctx ctx = {
		.direct_pool = port->pool,
		.indirect_pool = port->pool,
		.gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO,
		.flag = ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG) ? RTE_GSO_FLAG_IPID_FIXED : 0,
		.gso_size = (uint16_t)(super->l2_len + super->l3_len + super->l4_len + super->tso_segsz),
	};
	uint64_t flags = super->ol_flags;
	int n;

	super->ol_flags |= RTE_MBUF_F_TX_IPV4;
	n = rte_gso_segment(super, &ctx, segs, max);
	super->ol_flags = flags; /* it may have to be cut again */
	if (n == 0)
		return -EINVAL; /* not larger than one segment: the stack makes no such thing */
	for (int i = 0; i < n; i++)
		finish_headers(&port->dev.caps, segs[i], super);
	return n;
}

/* Returns false when the device or the pool is full; the frame is then still the caller's. */
static bool send_super(struct driver_port *port, uint16_t q, struct rte_mbuf *super, gso_sender *send)
{
	struct port_queue *counts = &port->shared->q[q];
	struct rte_mbuf *segs[GSO_SEGS_MAX];
	int n = gso_cut(port, super, segs, GSO_SEGS_MAX);
	uint16_t done = counts->tx_cut;

	if (n == -ENOMEM) {
		counts->tx_nombuf++;
		return false;
	}
	if (n < 0) {
		counts->tx_prepare_bad++;
		n = 0;
	}
	if (done > 0 && n > 0)
		rte_pktmbuf_free_bulk(segs, done); /* they left the last time */
	while (done < n) {
		uint16_t sent = send(port, q, segs + done, (uint16_t)(n - done));

		if (sent == 0) {
			rte_pktmbuf_free_bulk(segs + done, (unsigned)(n - done));
			counts->tx_cut = done;
			return false;
		}
		done += sent;
	}
	counts->tx_segments += (unsigned)n;
	counts->tx_cut = 0;
	rte_pktmbuf_free(super);
	return true;
}

uint16_t gso_burst(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n, gso_sender *send)
{
	uint16_t done = 0;

	while (done < n) {
		uint16_t plain = 0, sent;

		while (done + plain < n && (pkts[done + plain]->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)
			plain++;
		sent = plain > 0 ? send(port, q, pkts + done, plain) : 0;
		done += sent;
		if (sent < plain)
			break;
		if (done < n && !send_super(port, q, pkts[done], send))
			break;
		done += done < n;
	}
	return done;
}
