/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * icmp.c - ICMP for IPv4: answers echo requests, hands errors to the sockets they are about, sends errors
 *
 * Errors are believed only as far as the transport believes the quoted packet: TCP checks the sequence number
 * (RFC 5927), UDP the pair of endpoints. Errors of ours are limited to Linux's rate (icmp_msgs_per_sec,
 * _burst) and are never sent for errors, for what was not addressed to us alone, or to impossible sources
 * (RFC 1122, 3.2.2). Redirects, source quench and everything informational but echo is ignored.
 */
#include "icmp.h"

#include <errno.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "checksum.h"
#include "handover.h"
#include "ip4.h"
#include "route.h"
#include "stack_priv.h"
#include "tcp.h"
#include "udp.h"

/* RFC 1812, 4.3.2.3: as much of the packet as fits in 576 bytes. */
#define ICMP_ERROR_QUOTE_MAX (576 - 20 - 8)

enum { ICMP_DEST_UNREACH = 3, ICMP_TIME_EXCEEDED = 11, ICMP_PARAM_PROBLEM = 12 };

enum { ICMP_CODE_HOST_UNREACH = 1, ICMP_CODE_FRAG_NEEDED = 4 };

/* What Linux's sockets are told about "destination unreachable" codes (icmp_err_convert); hard: also without
 * asking. */
static const struct {
	int err;
	bool hard;
} unreach_errno[] = {
	{ENETUNREACH, false},  {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
	{EMSGSIZE, false},     {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
	{ENONET, true},        {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
	{EHOSTUNREACH, false}, {EHOSTUNREACH, true},  {EHOSTUNREACH, true}, {EHOSTUNREACH, true},
};

/* The errors we quote from, or get quoted: source, destination, ports and the sequence number of a packet. */
struct quote {
	const struct rte_ipv4_hdr *ip;
	const uint8_t *l4; /* at least 8 bytes */
};

static bool quote_parse(struct quote *q, const uint8_t *p, uint32_t len)
{
	uint32_t hdr_len;

	if (len < sizeof(struct rte_ipv4_hdr))
		return false;
	q->ip = (const struct rte_ipv4_hdr *)p;
	hdr_len = (q->ip->version_ihl & 0xfu) * 4;
	if (q->ip->version_ihl >> 4 != 4 || hdr_len < sizeof(struct rte_ipv4_hdr) || len < hdr_len + 8)
		return false;
	/* Only the first fragment has the ports. */
	if (q->ip->fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK))
		return false;
	q->l4 = p + hdr_len;
	return true;
}

/* Our end and the other one, as the quoted packet has them. */
static void quote_endpoints(const struct quote *q, struct endpoint *local, struct endpoint *peer)
{
	local->addr = ip_addr_v4(q->ip->src_addr);
	peer->addr = ip_addr_v4(q->ip->dst_addr);
	memcpy(&local->port, q->l4, 2);
	memcpy(&peer->port, q->l4 + 2, 2);
}

/* Does another stack know the socket (better)? Then the message is there now, or on its way. */
static bool quote_elsewhere(struct stack *st, const struct quote *q, struct rte_mbuf *m,
			    const struct ip_rx *rx)
{
	struct endpoint local, peer;
	enum handover_level have;
	uint32_t hash;

	quote_endpoints(q, &local, &peer);
	if (q->ip->next_proto_id == IPPROTO_TCP) {
		have = tcp_knows(st, &local, &peer, &hash) ? HANDOVER_CONNECTED : HANDOVER_NONE;
		return handover_elsewhere(st, m, rx, HANDOVER_TCP, hash, have);
	}
	if (q->ip->next_proto_id == IPPROTO_UDP)
		return handover_elsewhere(st, m, rx, HANDOVER_UDP, local.port, udp_match(st, &local, &peer));
	return false;
}

/* Tells the socket that sent the quoted packet. */
static void quote_deliver(struct stack *st, const struct quote *q, int err, bool hard, uint16_t mtu)
{
	struct endpoint local, peer;
	be32 seq;

	if (!route_is_own(st, q->ip->src_addr))
		return;
	quote_endpoints(q, &local, &peer);
	memcpy(&seq, q->l4 + 4, 4);
	if (q->ip->next_proto_id == IPPROTO_TCP)
		tcp_icmp_error(st, &local, &peer, ntohl(seq), err, mtu);
	else if (q->ip->next_proto_id == IPPROTO_UDP)
		udp_icmp_error(st, &local, &peer, err, hard, mtu);
}

/* RFC 1191, 7: old routers say nothing about the MTU; the next plateau below what was sent is taken. */
static uint16_t plateau_below(uint16_t ip_len)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, ROUTE_MIN_PMTU};

	for (unsigned i = 0; i < RTE_DIM(plateaus); i++)
		if (plateaus[i] < ip_len)
			return plateaus[i];
	return ROUTE_MIN_PMTU;
}

/* True: the mbuf was handed to another stack. */
static bool error_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx)
{
	const struct rte_icmp_hdr *icmp = rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, rx->l4_off);
	uint32_t len = (uint32_t)m->data_len - rx->l4_off - (uint32_t)sizeof(*icmp);
	struct quote q;
	uint16_t mtu = 0;
	int err = EHOSTUNREACH;
	bool hard = false;

	if (!quote_parse(&q, (const uint8_t *)(icmp + 1), len)) {
		COUNT(st, icmp_rx_bad);
		return false;
	}
	if (unlikely(st->handover) && quote_elsewhere(st, &q, m, rx))
		return true;
	COUNT(st, icmp_errors_rx);
	switch (icmp->icmp_type) {
	case ICMP_DEST_UNREACH:
		if (icmp->icmp_code >= RTE_DIM(unreach_errno))
			return false;
		err = unreach_errno[icmp->icmp_code].err;
		hard = unreach_errno[icmp->icmp_code].hard;
		if (icmp->icmp_code == ICMP_CODE_FRAG_NEEDED) {
			mtu = ntohs(icmp->icmp_seq_nb);
			if (mtu == 0)
				mtu = plateau_below(ntohs(q.ip->total_length));
		}
		break;
	case ICMP_PARAM_PROBLEM:
		err = EPROTO;
		hard = true;
		break;
	default: /* time exceeded */
		break;
	}
	quote_deliver(st, &q, err, hard, mtu);
	return false;
}

/* Turns the request into its reply, in place; a new path each time, because anybody may ask. Takes the mbuf.
 */
static void echo_reply(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx)
{
	struct rte_icmp_hdr *icmp;
	struct ip_path path;

	if (ip4_path_init(st, &path, ip_addr_to_v4(&rx->dst), ip_addr_to_v4(&rx->src)) < 0) {
		COUNT(st, ip_tx_no_route);
		rte_pktmbuf_free(m);
		return;
	}
	path.tos = rx->tos;
	rte_pktmbuf_adj(m, rx->l4_off);
	icmp = rte_pktmbuf_mtod(m, struct rte_icmp_hdr *);
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
	icmp->icmp_cksum = 0;
	icmp->icmp_cksum = (be16)~csum_fold(csum_chain(m, 0, m->pkt_len));
	COUNT(st, icmp_echo_replied);
	ip4_output(st, &path, m, IPPROTO_ICMP, sizeof(*icmp));
}

void icmp_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx)
{
	const struct rte_icmp_hdr *icmp;

	if (rx->l4_len < sizeof(*icmp) || csum_fold(csum_chain(m, rx->l4_off, rx->l4_len)) != 0xffff) {
		COUNT(st, icmp_rx_bad);
		rte_pktmbuf_free(m);
		return;
	}
	icmp = rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, rx->l4_off);
	switch (icmp->icmp_type) {
	case RTE_IP_ICMP_ECHO_REQUEST:
		if (icmp->icmp_code == 0 && rx->to_us_only) {
			echo_reply(st, m, rx);
			return;
		}
		break;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAM_PROBLEM:
		if (rx->to_us_only && error_input(st, m, rx))
			return;
		break;
	default:
		break;
	}
	rte_pktmbuf_free(m);
}

/* Token bucket: ICMP_BURST at once, ICMP_PER_SEC in the long run. */
static bool may_send(struct stack *st)
{
	time_ns per_token = NS_PER_SEC / ICMP_PER_SEC;
	uint64_t fresh = (st->now - st->icmp_refilled_at) / per_token;

	if (fresh) {
		st->icmp_tokens = (uint32_t)RTE_MIN(st->icmp_tokens + fresh, (uint64_t)ICMP_BURST);
		st->icmp_refilled_at += fresh * per_token;
	}
	if (st->icmp_tokens == 0) {
		COUNT(st, icmp_errors_limited);
		return false;
	}
	st->icmp_tokens--;
	return true;
}

/* An error about an ICMP message is only sent when that is a request (RFC 1122, 3.2.2). */
static bool may_be_answered(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint32_t hdr_len = (ip->version_ihl & 0xfu) * 4;

	if (ip->fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK))
		return false;
	if (ip->next_proto_id != IPPROTO_ICMP)
		return true;
	return m->data_len > hdr_len && ((const uint8_t *)ip)[hdr_len] == RTE_IP_ICMP_ECHO_REQUEST;
}

void icmp_error_output(struct stack *st, struct rte_mbuf *m, uint8_t type, uint8_t code)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint32_t quote_len = RTE_MIN(m->pkt_len, (uint32_t)ICMP_ERROR_QUOTE_MAX);
	struct rte_icmp_hdr *icmp;
	struct ip_path path;
	struct rte_mbuf *out;
	const void *quote;

	if (!may_be_answered(m, ip) || ip4_path_init(st, &path, ip->dst_addr, ip->src_addr) < 0 ||
	    !may_send(st))
		return;
	out = stack_mbuf_alloc(st);
	if (out == NULL)
		return;
	path.tos = (ip->type_of_service & 0x1e) | 0xc0; /* RFC 1812, 4.3.2.5: internetwork control */
	icmp = pkt_put(out, (uint16_t)(sizeof(*icmp) + quote_len));
	memset(icmp, 0, sizeof(*icmp));
	icmp->icmp_type = type;
	icmp->icmp_code = code;
	quote = rte_pktmbuf_read(m, 0, quote_len, icmp + 1);
	if (quote != icmp + 1)
		memcpy(icmp + 1, quote, quote_len);
	icmp->icmp_cksum = (be16)~csum_fold(csum_bytes(icmp, out->data_len));
	COUNT(st, icmp_errors_tx);
	ip4_output(st, &path, out, IPPROTO_ICMP, sizeof(*icmp));
}

void icmp_local_unreachable(struct stack *st, const struct rte_mbuf *m, unsigned off)
{
	struct quote q;

	if (m->data_len > off &&
	    quote_parse(&q, rte_pktmbuf_mtod_offset(m, const uint8_t *, off), (uint32_t)m->data_len - off))
		quote_deliver(st, &q, unreach_errno[ICMP_CODE_HOST_UNREACH].err, false, 0);
}
