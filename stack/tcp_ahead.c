/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_ahead.c - a look at a burst of frames before they are processed, so that memory need not be waited for
 *
 * Called by stack_input(). With many connections each segment's is one that has not been touched for long:
 * its bucket and each of its cache lines come from memory, most of them in pages that the TLB has forgotten
 * too. Taken one after the other that is several times what the rest of the segment costs; here the processor
 * is told of all of them at once, first the headers, then the buckets, then the connections.
 *
 * What does not look like plain TCP over IPv4 is left alone, and nothing found here is relied upon: the
 * frames are parsed and checked afterwards, by those whose job it is.
 */
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#include "stack_priv.h"
#include "tcp.h"
#include "tcp_table.h"

#define AHEAD_MOST 64 /* frames looked at together: their connections must fit into the first caches */

static bool tcp_hash_of(const struct stack *st, const struct rte_mbuf *m, uint32_t *hash)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
	struct endpoint local, peer;

	if (m->data_len < sizeof(*eth) + sizeof(*ip) + sizeof(*tcp) ||
	    eth->ether_type != htons(RTE_ETHER_TYPE_IPV4) || ip->version_ihl != RTE_IPV4_VHL_DEF ||
	    ip->next_proto_id != IPPROTO_TCP)
		return false;
	local.addr = ip_addr_v4(ip->dst_addr);
	local.port = tcp->dst_port;
	peer.addr = ip_addr_v4(ip->src_addr);
	peer.port = tcp->src_port;
	*hash = tcp_hash(st->tcp, &local, &peer);
	return true;
}

static void look_at(const struct stack *st, struct rte_mbuf *const *frames, unsigned n)
{
	uint32_t hash[AHEAD_MOST];
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(frames[i], const void *));
	for (unsigned i = 0; i < n; i++)
		if (tcp_hash_of(st, frames[i], &hash[found]))
			tcp_prefetch_bucket(st->tcp, hash[found++]);
	for (unsigned i = 0; i < found; i++)
		tcp_prefetch_conn(st->tcp, hash[i]);
}

void tcp_look_ahead(const struct stack *st, struct rte_mbuf *const *frames, unsigned n)
{
	if (st->tcp->conns < TCP_MANY) /* all are in the cache, and looking ahead would only cost */
		return;
	for (unsigned at = 0; at < n; at += AHEAD_MOST)
		look_at(st, frames + at, RTE_MIN(n - at, (unsigned)AHEAD_MOST));
}
