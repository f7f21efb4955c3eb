/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip4.c - IPv4 in and out
 *
 *     eth_input ──► ip4_input ──► (frag) ──► tcp_input │ udp_input │ icmp_input
 *     ip4_output ──► checksums ──► IP header ──► neighbour known: transmit queue
 *                        │                        ├─ not yet: waits in arp.c
 *                        └─ fragments             └─ our own address: loop queue, delivered by stack_output()
 *
 * A packet of a connection costs no lookup: its struct ip_path points at the neighbour, whose generation
 * number says whether it is still the same one. Everything else is in emit_slow().
 *
 * RFC 791, 1122 (3.2.1), 6864: packets that may not be fragmented carry ID 0, so nothing is told about our
 * traffic.
 */
#include "ip4.h"

#include <errno.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "arp.h"
#include "checksum.h"
#include "frag.h"
#include "handover.h"
#include "icmp.h"
#include "ip4_priv.h"
#include "route.h"
#include "stack_priv.h"
#include "tcp.h"
#include "udp.h"

#define IP4_HDR 20u

/* Flags that say how a mbuf's memory is held; everything else in ol_flags is set anew for each transmission.
 */
#define OL_KEEP (RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT)

/* A checksum field: transport headers may start at any address. */
typedef be16 unaligned_be16 __attribute__((aligned(1)));

_Static_assert(IP4_OUTPUT_HEADROOM == IP4_HDR + sizeof(struct rte_ether_hdr),
	       "headers in front of the transport");

bool ip4_pullup(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *next;

	if (likely(m->data_len >= len))
		return true;
	if (m->pkt_len < len || len - m->data_len > rte_pktmbuf_tailroom(m))
		return false;
	while (m->data_len < len) {
		uint16_t part;

		next = m->next;
		part = (uint16_t)RTE_MIN(len - m->data_len, (uint32_t)next->data_len);
		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len), rte_pktmbuf_mtod(next, uint8_t *),
		       part);
		m->data_len += part;
		next->data_len -= part;
		next->data_off += part;
		if (next->data_len == 0) {
			m->next = next->next;
			m->nb_segs--;
			rte_pktmbuf_free_seg(next);
		}
	}
	return true;
}

void ip4_trim(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *s = m;
	uint32_t left = len;
	uint16_t segs = 1;

	if (likely(m->pkt_len == len))
		return;
	while (left > s->data_len) {
		left -= s->data_len;
		s = s->next;
		segs++;
	}
	s->data_len = (uint16_t)left;
	rte_pktmbuf_free(s->next);
	s->next = NULL;
	m->nb_segs = segs;
	m->pkt_len = len;
}

/* ---- input ---- */

/* Lengths of all options must fit, and source routes are refused (RFC 1122 allows it, everybody does). */
static bool options_ok(const uint8_t *p, unsigned len)
{
	for (unsigned i = 0; i < len;) {
		unsigned opt_len;

		if (p[i] == 0)
			return true;
		if (p[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= len)
			return false;
		opt_len = p[i + 1];
		if (opt_len < 2 || i + opt_len > len)
			return false;
		if (p[i] == 131 || p[i] == 137) /* LSRR, SSRR */
			return false;
		i += opt_len;
	}
	return true;
}

/* Checks everything about the header but its addresses, and trims link padding. Counts what is wrong. */
static bool header_ok(struct stack *st, struct rte_mbuf *m, unsigned *hdr_len)
{
	const struct rte_ipv4_hdr *ip;
	uint32_t ip_len;

	if (unlikely(!ip4_pullup(m, IP4_HDR))) {
		COUNT(st, ip_rx_truncated);
		return false;
	}
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	*hdr_len = (ip->version_ihl & 0xfu) * 4;
	ip_len = ntohs(ip->total_length);
	if (unlikely(ip->version_ihl >> 4 != 4 || *hdr_len < IP4_HDR || ip_len < *hdr_len)) {
		COUNT(st, ip_rx_bad_header);
		return false;
	}
	if (unlikely(ip_len > m->pkt_len || !ip4_pullup(m, *hdr_len))) {
		COUNT(st, ip_rx_truncated);
		return false;
	}
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	switch (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
	case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
	case RTE_MBUF_F_RX_IP_CKSUM_NONE:
		break;
	default:
		if (!st->cfg.caps.csum_unneeded && csum_fold(csum_bytes(ip, *hdr_len)) != 0xffff) {
			COUNT(st, ip_rx_bad_csum);
			return false;
		}
	}
	if (unlikely(*hdr_len > IP4_HDR && !options_ok((const uint8_t *)(ip + 1), *hdr_len - IP4_HDR))) {
		COUNT(st, ip_rx_bad_header);
		return false;
	}
	ip4_trim(m, ip_len);
	return true;
}

/* RFC 1122, 3.2.1.3: addresses that no host may send from; and our own, which nobody else may. */
static bool source_ok(const struct stack *st, be32 src)
{
	uint32_t s = ntohl(src);

	return s >> 24 != 0 && s >> 24 != IN_LOOPBACKNET && !IN_MULTICAST(s) && !route_is_own(st, src) &&
	       !route_is_broadcast(st, src);
}

/* GOOD, and NONE: the bytes are intact although the field does not say so (DPDK: virtio from a local guest).
 */
static bool l4_csum_known_good(const struct stack *st, const struct rte_mbuf *m)
{
	uint64_t flags = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	return flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD || flags == RTE_MBUF_F_RX_L4_CKSUM_NONE ||
	       st->cfg.caps.csum_unneeded;
}

static struct pkt_handover arrived_here(bool to_us_only)
{
	return (struct pkt_handover){.level = HANDOVER_FRESH, .to_us_only = to_us_only};
}

/* A datagram whose header is in order and whose addresses were checked: to its protocol. */
static void deliver(struct stack *st, struct rte_mbuf *m, unsigned hdr_len, struct pkt_handover at)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct ip_rx rx;

	if (unlikely(ip->fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG))) {
		if (st->handover && handover_fragment(st, m, at.to_us_only))
			return;
		m = frag_input(st, m, hdr_len);
		if (m == NULL)
			return;
		ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
		hdr_len = (ip->version_ihl & 0xfu) * 4;
	}
	rx.l4_off = (uint16_t)hdr_len;
	rx.l4_len = m->pkt_len - hdr_len;
	if (unlikely(!ip4_pullup(m, hdr_len + RTE_MIN(rx.l4_len, (uint32_t)IP_RX_CONTIGUOUS)))) {
		COUNT(st, ip_rx_truncated);
		rte_pktmbuf_free(m);
		return;
	}
	rx.src = ip_addr_v4(ip->src_addr);
	rx.dst = ip_addr_v4(ip->dst_addr);
	rx.tos = ip->type_of_service;
	rx.ttl = ip->time_to_live;
	rx.proto = ip->next_proto_id;
	rx.csum_ok = l4_csum_known_good(st, m);
	rx.to_us_only = at.to_us_only;
	rx.at = at;
	switch (rx.proto) {
	case IPPROTO_TCP:
		tcp_input(st, m, &rx);
		break;
	case IPPROTO_UDP:
		udp_input(st, m, &rx);
		break;
	case IPPROTO_ICMP:
		icmp_input(st, m, &rx);
		break;
	default:
		COUNT(st, ip_rx_unknown_proto);
		if (at.to_us_only)
			icmp_error_output(st, m, 3, 2); /* protocol unreachable */
		rte_pktmbuf_free(m);
	}
}

void ip4_input(struct stack *st, struct rte_mbuf *m, bool unicast)
{
	const struct rte_ipv4_hdr *ip;
	unsigned hdr_len;
	bool own;

	if (unlikely(!header_ok(st, m, &hdr_len))) {
		rte_pktmbuf_free(m);
		return;
	}
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	own = route_is_own_on_link(st, ip->dst_addr);
	if (unlikely(!own && !route_is_broadcast(st, ip->dst_addr))) {
		COUNT(st, ip_rx_not_for_us);
		rte_pktmbuf_free(m);
		return;
	}
	if (unlikely(!source_ok(st, ip->src_addr))) {
		COUNT(st, ip_rx_bad_source);
		rte_pktmbuf_free(m);
		return;
	}
	deliver(st, m, hdr_len, arrived_here(own && unicast));
}

void ip4_input_handed(struct stack *st, struct rte_mbuf *m, const struct pkt_handover *at)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	deliver(st, m, (ip->version_ihl & 0xfu) * 4, *at);
}

void ip4_input_local(struct stack *st, struct rte_mbuf *m)
{
	m->ol_flags &= OL_KEEP;
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	deliver(st, m, IP4_HDR, arrived_here(true));
}

bool ip4_l4_csum_ok(const struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx)
{
	unsigned field_off = rx->proto == IPPROTO_UDP ? offsetof(struct rte_udp_hdr, dgram_cksum)
						      : offsetof(struct rte_tcp_hdr, cksum);
	uint64_t pseudo =
		csum_pseudo_ip4(ip_addr_to_v4(&rx->src), ip_addr_to_v4(&rx->dst), rx->proto, rx->l4_len);

	if (rx->csum_ok)
		return true;
	if (st->cfg.caps.rx_csum_partial) {
		be16 field;

		memcpy(&field, rte_pktmbuf_mtod_offset(m, const uint8_t *, rx->l4_off + field_off),
		       sizeof(field));
		if (field == csum_fold(pseudo))
			return true;
	}
	return csum_fold(pseudo + csum_chain(m, rx->l4_off, rx->l4_len)) == 0xffff;
}

/* ---- output ---- */

int ip4_path_init(struct stack *st, struct ip_path *path, be32 src, be32 dst)
{
	struct route r = route_lookup(st, dst);

	if (r.kind == ROUTE_NONE)
		return -ENETUNREACH;
	if (src != 0 && !route_is_own(st, src))
		return -EADDRNOTAVAIL;
	if (src != 0 && r.kind != ROUTE_LOCAL && !route_is_own_on_link(st, src))
		return -EINVAL; /* from loopback to the link, as Linux says it */
	*path = (struct ip_path){
		.src = src ? src : r.src,
		.dst = dst,
		.mtu = route_mtu(st, dst),
		.ttl = st->cfg.ip_default_ttl,
		.local = r.kind == ROUTE_LOCAL,
	};
	return 0;
}

/* Nobody else can see or change the bytes: the chain may be handed over as it is. */
static bool sole_owner(const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		if (rte_mbuf_refcnt_read(m) > 1 || !RTE_MBUF_DIRECT(m))
			return false;
	return true;
}

/* To ourselves. The receiver will take the buffer apart, so one that TCP's send queue shares is copied. */
static void loop_back(struct stack *st, struct rte_mbuf *m)
{
	struct rte_mbuf *own = m;

	if (st->loop_tail - st->loop_head == STACK_LOOP_LEN) {
		COUNT(st, tx_queue_full);
		rte_pktmbuf_free(m);
		return;
	}
	rte_pktmbuf_adj(m, sizeof(struct rte_ether_hdr));
	if (!sole_owner(m)) {
		own = rte_pktmbuf_copy(m, st->cfg.pool, 0, UINT32_MAX);
		rte_pktmbuf_free(m);
		if (own == NULL) {
			COUNT(st, mbuf_alloc_failed);
			return;
		}
	}
	st->loopq[st->loop_tail++ & (STACK_LOOP_LEN - 1)] = own;
}

static void set_dst_mac(struct rte_mbuf *m, const uint8_t mac[6])
{
	memcpy(rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr.addr_bytes, mac, 6);
}

/* The neighbour of the path is not known, not resolved or not fresh, or there is none because of the kind of
 * dst. */
static void emit_slow(struct stack *st, struct ip_path *path, struct rte_mbuf *m)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t multicast[6] = {0x01, 0x00, 0x5e};
	struct route r = route_lookup(st, path->dst);
	uint32_t dst = ntohl(path->dst);
	struct arp_entry *e;

	switch (r.kind) {
	case ROUTE_NONE:
		COUNT(st, ip_tx_no_route);
		rte_pktmbuf_free(m);
		return;
	case ROUTE_LOCAL:
		loop_back(st, m);
		return;
	case ROUTE_BROADCAST:
		set_dst_mac(m, broadcast);
		stack_tx(st, m);
		return;
	case ROUTE_MULTICAST: /* RFC 1112, 6.4 */
		multicast[3] = (dst >> 16) & 0x7f;
		multicast[4] = (uint8_t)(dst >> 8);
		multicast[5] = (uint8_t)dst;
		set_dst_mac(m, multicast);
		stack_tx(st, m);
		return;
	case ROUTE_LINK:
		break;
	}
	e = arp_lookup(st, r.next_hop);
	path->neigh = e;
	if (e == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	path->neigh_gen = e->gen;
	if (arp_use(st, e)) {
		e->used = true;
		set_dst_mac(m, e->mac);
		stack_tx(st, m);
	} else {
		arp_queue(st, e, m);
	}
}

/* A device that takes no chains gets the frame in one buffer. */
static struct rte_mbuf *linear(struct stack *st, struct rte_mbuf *m)
{
	struct rte_mbuf *copy = stack_mbuf_alloc(st);

	if (copy != NULL && m->pkt_len <= rte_pktmbuf_tailroom(copy)) {
		char *to = pkt_put(copy, (uint16_t)m->pkt_len);

		for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
			memcpy(to, rte_pktmbuf_mtod(s, const char *), s->data_len);
			to += s->data_len;
		}
		copy->ol_flags |= m->ol_flags & ~OL_KEEP;
		copy->tx_offload = m->tx_offload;
	} else {
		COUNT(st, ip_tx_too_big);
		rte_pktmbuf_free(copy);
		copy = NULL;
	}
	rte_pktmbuf_free(m);
	return copy;
}

/* Puts the IP and Ethernet headers in front of what follows them and sends it on its way. */
static void emit(struct stack *st, struct ip_path *path, struct rte_mbuf *m, uint8_t proto,
		 uint16_t frag_field, be16 id)
{
	uint16_t ip_len = (uint16_t)(m->pkt_len + IP4_HDR);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;

	if (unlikely(rte_pktmbuf_headroom(m) < IP4_OUTPUT_HEADROOM)) { /* a device's own idea of headroom */
		COUNT(st, ip_tx_too_big);
		rte_pktmbuf_free(m);
		return;
	}
	eth = pkt_push(m, IP4_OUTPUT_HEADROOM);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	ip->version_ihl = 0x45;
	ip->type_of_service = path->tos;
	ip->total_length = htons(ip_len);
	ip->packet_id = id;
	ip->fragment_offset = htons(frag_field);
	ip->time_to_live = path->ttl;
	ip->next_proto_id = proto;
	ip->hdr_checksum = 0;
	ip->src_addr = path->src;
	ip->dst_addr = path->dst;
	if (!(m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) && !st->cfg.caps.csum_unneeded)
		ip->hdr_checksum = (uint16_t)~csum_ip4_header20(ip);
	memcpy(&eth->src_addr, st->cfg.caps.mac, 6);
	eth->ether_type = htons(RTE_ETHER_TYPE_IPV4);

	if (unlikely(m->nb_segs > 1 && !st->cfg.caps.tx_multi_seg && !path->local)) {
		m = linear(st, m);
		if (m == NULL)
			return;
		eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	}
	if (likely(arp_usable(path->neigh, path->neigh_gen))) {
		path->neigh->used = true;
		memcpy(&eth->dst_addr, path->neigh->mac, 6);
		stack_tx(st, m);
	} else {
		emit_slow(st, path, m);
	}
}

/* The whole transport checksum in software; the field is zero. */
static be16 l4_csum(const struct ip_path *path, const struct rte_mbuf *m, uint8_t proto)
{
	be16 sum = (be16)~csum_fold(csum_pseudo_ip4(path->src, path->dst, proto, m->pkt_len) +
				    csum_chain(m, 0, m->pkt_len));

	return sum == 0 && proto == IPPROTO_UDP ? 0xffff : sum; /* RFC 768: 0 would mean "none" */
}

/*
 * Fills in the transport checksum, or asks the device for it with the field set to what DPDK wants there: the
 * pseudo-header's sum, for TSO without the length.
 */
static void l4_checksum(struct stack *st, const struct ip_path *path, struct rte_mbuf *m, uint8_t proto,
			uint8_t l4_hdr_len, bool may_offload)
{
	const struct netdev_caps *caps = &st->cfg.caps;
	unaligned_be16 *field;
	uint64_t flags;

	if (proto == IPPROTO_TCP) {
		field = rte_pktmbuf_mtod_offset(m, unaligned_be16 *, offsetof(struct rte_tcp_hdr, cksum));
		flags = caps->tx_tcp_csum ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM : 0;
	} else if (proto == IPPROTO_UDP) {
		field = rte_pktmbuf_mtod_offset(m, unaligned_be16 *,
						offsetof(struct rte_udp_hdr, dgram_cksum));
		flags = caps->tx_udp_csum ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM : 0;
	} else {
		m->ol_flags &= OL_KEEP;
		return;
	}
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		flags |= RTE_MBUF_F_TX_TCP_SEG | (caps->tx_ip_csum ? RTE_MBUF_F_TX_IP_CKSUM : 0);
		*field = csum_fold(csum_pseudo_ip4(path->src, path->dst, proto, 0));
	} else if (caps->csum_unneeded || path->local) {
		flags = 0;
		*field = 0;
	} else if (flags && may_offload) {
		*field = csum_fold(csum_pseudo_ip4(path->src, path->dst, proto, m->pkt_len));
	} else {
		flags = 0;
		*field = 0;
		*field = l4_csum(path, m, proto);
	}
	m->ol_flags = (m->ol_flags & OL_KEEP) | flags;
	if (flags)
		m->tx_offload =
			rte_mbuf_tx_offload(sizeof(struct rte_ether_hdr), IP4_HDR, l4_hdr_len,
					    flags & RTE_MBUF_F_TX_TCP_SEG ? m->tso_segsz : 0, 0, 0, 0);
}

/* Copies `len` bytes of a chain from `off` on into fresh buffers' tail. */
static void copy_out(const struct rte_mbuf *m, uint32_t off, void *to, uint32_t len)
{
	const void *p = rte_pktmbuf_read(m, off, len, to);

	if (p != to)
		memcpy(to, p, len);
}

/* Larger than the path: in pieces of a multiple of 8 bytes, each in a buffer of its own (RFC 791, 3.2). */
static void fragment(struct stack *st, struct ip_path *path, struct rte_mbuf *m, uint8_t proto)
{
	uint32_t room = (uint32_t)rte_pktmbuf_data_room_size(st->cfg.pool) - PKT_HEADROOM;
	uint32_t piece_max = RTE_MIN((uint32_t)path->mtu - IP4_HDR, room) & ~7u;
	uint32_t total = m->pkt_len, off, len;
	be16 id = htons(st->ip_id++);

	COUNT(st, ip_fragmented);
	for (off = 0; off < total; off += len) {
		struct rte_mbuf *f = stack_mbuf_alloc(st);

		if (f == NULL)
			break;
		len = RTE_MIN(piece_max, total - off);
		copy_out(m, off, pkt_put(f, (uint16_t)len), len);
		emit(st, path, f, proto, (uint16_t)(off / 8 | (off + len < total ? RTE_IPV4_HDR_MF_FLAG : 0)),
		     id);
	}
	rte_pktmbuf_free(m);
}

/* The first of as many identifications as there will be packets: a super segment is cut behind us. */
static uint16_t take_ids(struct stack *st, const struct rte_mbuf *m)
{
	uint16_t first = st->ip_id;

	st->ip_id += m->ol_flags & RTE_MBUF_F_TX_TCP_SEG ? (uint16_t)(m->pkt_len / m->tso_segsz + 1) : 1;
	return first;
}

void ip4_output(struct stack *st, struct ip_path *path, struct rte_mbuf *m, uint8_t proto, uint8_t l4_hdr_len)
{
	bool fits = m->pkt_len + IP4_HDR <= path->mtu || m->ol_flags & RTE_MBUF_F_TX_TCP_SEG || path->local;

	if (unlikely(m->pkt_len + IP4_HDR > UINT16_MAX)) {
		COUNT(st, ip_tx_too_big);
		rte_pktmbuf_free(m);
		return;
	}
	l4_checksum(st, path, m, proto, l4_hdr_len, fits);
	if (unlikely(!fits))
		fragment(st, path, m, proto);
	else if (path->dont_fragment)
		emit(st, path, m, proto, RTE_IPV4_HDR_DF_FLAG, 0);
	else
		emit(st, path, m, proto, 0, htons(take_ids(st, m)));
}
