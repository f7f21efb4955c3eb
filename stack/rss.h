/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rss.h - which queue of the device a packet will come in on, where the device's RSS hash is known
 *
 * Toeplitz hash over addresses and ports, its low bits index a table of queues (Microsoft, "Receive Side
 * Scaling"). Used to choose local ports whose answers come to the stack's own queue: only speed depends on
 * it.
 */
#ifndef STACK_RSS_H
#define STACK_RSS_H

#include <rte_thash.h>

#include "ip_addr.h"
#include "netdev.h"

static inline bool rss_known(const struct netdev_rss *rss)
{
	return rss->table_len != 0;
}

/* Of a TCP packet from `peer` to `local`. */
static inline uint32_t rss_hash(const struct netdev_rss *rss, const struct endpoint *local,
				const struct endpoint *peer)
{
	uint32_t tuple[3] = {ntohl(ip_addr_to_v4(&peer->addr)), ntohl(ip_addr_to_v4(&local->addr)),
			     (uint32_t)ntohs(peer->port) << 16 | ntohs(local->port)};

	return rte_softrss(tuple, 3, rss->key);
}

static inline uint16_t rss_queue(const struct netdev_rss *rss, const struct endpoint *local,
				 const struct endpoint *peer)
{
	return rss->table[rss_hash(rss, local, peer) % rss->table_len];
}

#endif
