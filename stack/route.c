/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * route.c - destination to next hop, and the path MTU cache
 *
 * Called when a path is made or renewed, never per packet of a connection; a handful of networks is searched
 * in line. The path MTU cache is direct-mapped: a collision forgets the older entry, which only costs another
 * ICMP.
 */
#include "route.h"

#include "hash.h"
#include "stack_priv.h"

#define PMTU_ENTRIES    256 /* a power of two */
#define PMTU_EXPIRES_NS (600 * NS_PER_SEC)

struct pmtu_entry {
	time_ns expires;
	be32 dst;
	uint16_t mtu;
};

struct route_table {
	be32 mask[STACK_ADDRS_MAX];
	struct pmtu_entry pmtu[PMTU_ENTRIES];
};

size_t route_mem_size(const struct stack_config *cfg)
{
	(void)cfg;
	return sizeof(struct route_table);
}

void route_init(struct stack *st, void *mem)
{
	st->route = mem;
	for (unsigned i = 0; i < st->cfg.n_addrs; i++) {
		unsigned len = st->cfg.addrs[i].prefix_len;

		st->route->mask[i] = len ? htonl(UINT32_MAX << (32 - len)) : 0;
	}
}

static bool is_loopback(be32 addr)
{
	return ntohl(addr) >> 24 == IN_LOOPBACKNET;
}

bool route_is_own_on_link(const struct stack *st, be32 addr)
{
	for (unsigned i = 0; i < st->cfg.n_addrs; i++)
		if (st->cfg.addrs[i].addr == addr)
			return true;
	return false;
}

bool route_is_own(const struct stack *st, be32 addr)
{
	return route_is_own_on_link(st, addr) || unlikely(st->cfg.loopback && is_loopback(addr));
}

/* Index of the own address in whose network `addr` lies, the longest prefix first; -1 for none. */
static int network_of(const struct stack *st, be32 addr)
{
	int best = -1;

	for (unsigned i = 0; i < st->cfg.n_addrs; i++) {
		if ((addr ^ st->cfg.addrs[i].addr) & st->route->mask[i])
			continue;
		if (best < 0 || st->cfg.addrs[i].prefix_len > st->cfg.addrs[best].prefix_len)
			best = (int)i;
	}
	return best;
}

/* RFC 3021: a /31 has no broadcast address, nor has a /32. */
static bool network_has_broadcast(const struct stack *st, unsigned i)
{
	return st->cfg.addrs[i].prefix_len <= 30;
}

bool route_is_broadcast(const struct stack *st, be32 addr)
{
	if (addr == INADDR_BROADCAST)
		return true;
	for (unsigned i = 0; i < st->cfg.n_addrs; i++)
		if (network_has_broadcast(st, i) && addr == (st->cfg.addrs[i].addr | ~st->route->mask[i]))
			return true;
	return false;
}

bool route_is_on_link(const struct stack *st, be32 addr)
{
	int i = network_of(st, addr);

	if (i < 0 || addr == 0 || IN_MULTICAST(ntohl(addr)) || route_is_broadcast(st, addr))
		return false;
	return !network_has_broadcast(st, (unsigned)i) || (addr & ~st->route->mask[i]) != 0;
}

struct route route_lookup(const struct stack *st, be32 dst)
{
	struct route r = {.kind = ROUTE_NONE, .next_hop = dst};
	int i;

	if (route_is_own(st, dst)) {
		r.kind = ROUTE_LOCAL;
		r.src = is_loopback(dst) ? htonl(INADDR_LOOPBACK) : dst;
		return r;
	}
	if (dst == 0 || is_loopback(dst) || st->cfg.n_addrs == 0)
		return r;
	i = network_of(st, dst);
	r.src = st->cfg.addrs[i < 0 ? 0 : i].addr;
	if (route_is_broadcast(st, dst)) {
		r.kind = ROUTE_BROADCAST;
	} else if (IN_MULTICAST(ntohl(dst))) {
		r.kind = ROUTE_MULTICAST;
	} else if (i >= 0) {
		r.kind = ROUTE_LINK;
	} else if (st->cfg.gateway) {
		i = network_of(st, st->cfg.gateway);
		r.src = st->cfg.addrs[i < 0 ? 0 : i].addr;
		r.next_hop = st->cfg.gateway;
		r.kind = ROUTE_LINK;
	}
	return r;
}

static struct pmtu_entry *pmtu_slot(const struct stack *st, be32 dst)
{
	return &st->route->pmtu[hash_words(st->cfg.seed, dst, 0) & (PMTU_ENTRIES - 1)];
}

uint16_t route_mtu(const struct stack *st, be32 dst)
{
	const struct pmtu_entry *e = pmtu_slot(st, dst);

	if (e->dst == dst && e->mtu && st->now < e->expires)
		return e->mtu;
	return st->cfg.caps.mtu;
}

void route_mtu_learn(struct stack *st, be32 dst, uint16_t mtu)
{
	struct pmtu_entry *e = pmtu_slot(st, dst);

	if (mtu < ROUTE_MIN_PMTU)
		mtu = ROUTE_MIN_PMTU;
	if (mtu >= route_mtu(st, dst))
		return;
	*e = (struct pmtu_entry){.dst = dst, .mtu = mtu, .expires = st->now + PMTU_EXPIRES_NS};
}
