/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handover.c - inboxes, and what each stack shows the others (handover.h)
 *
 * An inbox is a list with one atomic head: pushed to by compare-and-swap, taken as a whole by exchange and
 * turned round, which keeps the order. There is no state in which a killed pusher could block the others. Its
 * length is counted beside it and only roughly right.
 */
#include "handover.h"

#include <rte_ip.h>

#include "arp.h"
#include "hash.h"
#include "ip4_priv.h"
#include "stack_priv.h"

#define INBOX_MAX 1024 /* packets; fewer when the pool is small */
#define PORTS     65536
#define LEVELS    3 /* WILDCARD, SPECIFIC, CONNECTED */

/* Slots for each connection: with so many, few flows share a slot with one of another stack. */
#define SLOTS_PER_FLOW 4

typedef _Atomic uint16_t shown_count;

struct handover_table {
	_Alignas(64) _Atomic(struct rte_mbuf *) inbox; /* newest first, by pkt_meta()->next */
	_Atomic uint32_t inbox_len;
	_Alignas(64) struct stack *stacks[STACK_QUEUES_MAX];
	unsigned n;      /* 0 until stack_join() */
	uint32_t handed; /* stacks that were given something, by bit, for stack_handed() */
	uint32_t inbox_max;
	uint32_t flow_mask;
	shown_count tcp_ports[PORTS]; /* sockets that bind(2) or listen(2) put there */
	shown_count udp_ports[LEVELS][PORTS];
	shown_count flows[]; /* connections and TIME-WAIT entries by hash */
};

static uint32_t slot_count(const struct stack_config *cfg)
{
	return rte_align32pow2(cfg->max_tcp) * SLOTS_PER_FLOW;
}

size_t handover_mem_size(const struct stack_config *cfg)
{
	if (cfg->queues < 2)
		return 0;
	return sizeof(struct handover_table) + slot_count(cfg) * sizeof(shown_count);
}

void handover_init(struct stack *st, void *mem)
{
	struct handover_table *t = mem;

	if (st->cfg.queues < 2)
		return;
	st->handover = t;
	t->inbox_max = RTE_MIN((uint32_t)INBOX_MAX, st->cfg.pool_mbufs / 8);
	t->flow_mask = slot_count(&st->cfg) - 1;
}

static struct rte_mbuf *inbox_take(struct handover_table *t)
{
	struct rte_mbuf *m = atomic_exchange_explicit(&t->inbox, NULL, memory_order_acquire), *oldest = NULL;

	atomic_store_explicit(&t->inbox_len, 0, memory_order_relaxed);
	while (m != NULL) {
		struct rte_mbuf *older = pkt_meta(m)->next;

		pkt_meta(m)->next = oldest;
		oldest = m;
		m = older;
	}
	return oldest;
}

void handover_fini(struct stack *st)
{
	struct rte_mbuf *m, *next;

	if (st->handover == NULL)
		return;
	for (m = inbox_take(st->handover); m != NULL; m = next) {
		next = pkt_meta(m)->next;
		rte_pktmbuf_free(m);
	}
}

void stack_join(struct stack **stacks, unsigned n)
{
	for (unsigned i = 0; i < n && n > 1; i++) {
		struct handover_table *t = stacks[i]->handover;

		for (unsigned k = 0; k < n; k++)
			t->stacks[k] = stacks[k];
		t->n = n;
	}
}

uint32_t stack_handed(struct stack *st)
{
	uint32_t handed;

	if (likely(st->handover == NULL))
		return 0;
	handed = st->handover->handed;
	st->handover->handed = 0;
	return handed;
}

unsigned stack_input_handed(struct stack *st, time_ns now)
{
	struct handover_table *t = st->handover;
	struct rte_mbuf *m, *next;
	unsigned n = 0;

	if (likely(t == NULL) || atomic_load_explicit(&t->inbox, memory_order_relaxed) == NULL)
		return 0;
	stack_set_now(st, now);
	for (m = inbox_take(t); m != NULL; m = next) {
		next = pkt_meta(m)->next;
		COUNT(st, handover_in);
		n++;
		if (pkt_meta(m)->handover.arp)
			arp_learn(st, m);
		else
			ip4_input_handed(st, m, &pkt_meta(m)->handover);
	}
	return n;
}

/* Into the inbox of another stack; counts and frees the packet when that is full. */
static void push(struct stack *st, unsigned to, struct rte_mbuf *m, struct pkt_handover ho)
{
	struct handover_table *t = st->handover->stacks[to]->handover;
	struct rte_mbuf *head;

	if (atomic_fetch_add_explicit(&t->inbox_len, 1, memory_order_relaxed) >= t->inbox_max) {
		COUNT(st, handover_full);
		rte_pktmbuf_free(m);
		return;
	}
	COUNT(st, handover_out);
	st->handover->handed |= 1u << to;
	pkt_meta(m)->handover = ho;
	head = atomic_load_explicit(&t->inbox, memory_order_relaxed);
	do
		pkt_meta(m)->next = head;
	while (!atomic_compare_exchange_weak_explicit(&t->inbox, &head, m, memory_order_release,
						      memory_order_relaxed));
}

/* ---- who may have it ---- */

static shown_count *flow_slot(struct handover_table *t, uint32_t hash)
{
	return &t->flows[hash & t->flow_mask];
}

static shown_count *port_slot(struct handover_table *t, enum handover_proto proto, be16 port,
			      enum handover_level level)
{
	return proto == HANDOVER_TCP ? &t->tcp_ports[port] : &t->udp_ports[level - HANDOVER_WILDCARD][port];
}

static void change_slot(shown_count *slot, int change)
{
	uint16_t was = atomic_load_explicit(slot, memory_order_relaxed);

	atomic_store_explicit(slot, (uint16_t)(was + change), memory_order_release);
}

void handover_show_flow(struct stack *st, uint32_t hash, int change)
{
	change_slot(flow_slot(st->handover, hash), change);
}

void handover_show_port(struct stack *st, enum handover_proto proto, be16 port, enum handover_level level,
			int change)
{
	change_slot(port_slot(st->handover, proto, port, level), change);
}

/* The other stacks that may have a socket for the key at this level, by bit. */
static uint32_t owners(const struct stack *st, enum handover_proto proto, uint32_t key,
		       enum handover_level level)
{
	uint32_t mask = 0;

	if (proto == HANDOVER_TCP && level != HANDOVER_CONNECTED)
		return 0; /* every stack has all listeners */
	for (unsigned i = 0; i < st->handover->n; i++) {
		struct handover_table *t = st->handover->stacks[i]->handover;
		shown_count *slot = proto == HANDOVER_TCP ? flow_slot(t, key)
							  : port_slot(t, HANDOVER_UDP, (be16)key, level);

		if (i != st->cfg.queue && atomic_load_explicit(slot, memory_order_acquire) != 0)
			mask |= 1u << i;
	}
	return mask;
}

bool handover_flow_elsewhere(const struct stack *st, uint32_t hash)
{
	return owners(st, HANDOVER_TCP, hash, HANDOVER_CONNECTED) != 0;
}

bool handover_port_elsewhere(const struct stack *st, enum handover_proto proto, be16 port)
{
	for (unsigned i = 0; i < st->handover->n; i++) {
		struct handover_table *t = st->handover->stacks[i]->handover;

		for (int l = HANDOVER_WILDCARD; l <= HANDOVER_CONNECTED && i != st->cfg.queue; l++)
			if (atomic_load_explicit(port_slot(t, proto, port, l), memory_order_acquire) != 0)
				return true;
	}
	return false;
}

/* ---- sending on ---- */

/* To the first of `ask`, which sends it on to the next if it must. */
static void ask_first(struct stack *st, struct rte_mbuf *m, uint32_t ask, struct pkt_handover ho)
{
	unsigned to = (unsigned)__builtin_ctz(ask);

	ho.ask = (uint16_t)(ask & (ask - 1));
	push(st, to, m, ho);
}

bool handover_elsewhere(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx,
			enum handover_proto proto, uint32_t key, enum handover_level have)
{
	struct pkt_handover ho = rx->at;
	bool fresh = ho.level == HANDOVER_FRESH;

	if (ho.level == HANDOVER_ALL)
		return false;
	if (!fresh && ho.home != st->cfg.queue) {
		if ((int)have >= ho.level)
			return false;
		ask_first(st, m, ho.ask ? ho.ask : 1u << ho.home, ho);
		return true;
	}
	/* It arrived here, or has come back from those who were asked for a socket of ho.level */
	for (int level = ho.level - 1; level > (int)have; level--) {
		uint32_t ask = owners(st, proto, key, level);

		if (ask == 0)
			continue;
		ho = (struct pkt_handover){.home = (uint8_t)st->cfg.queue,
					   .level = (uint8_t)level,
					   .to_us_only = rx->to_us_only};
		ask_first(st, m, ask, ho);
		return true;
	}
	return false;
}

bool handover_fragment(struct stack *st, struct rte_mbuf *m, bool to_us_only)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint64_t hash = hash_words(st->cfg.seed, (uint64_t)ip->src_addr << 32 | ip->dst_addr,
				   (uint32_t)ip->packet_id << 8 | ip->next_proto_id);
	unsigned to = (unsigned)((hash >> 32) * st->handover->n >> 32);

	if (to == st->cfg.queue || st->handover->n == 0)
		return false;
	push(st, to, m, (struct pkt_handover){.level = HANDOVER_FRESH, .to_us_only = to_us_only});
	return true;
}

static void push_copy(struct stack *st, unsigned to, const struct rte_mbuf *m, struct pkt_handover ho)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, st->cfg.pool, 0, UINT32_MAX);

	if (copy == NULL)
		COUNT(st, mbuf_alloc_failed);
	else
		push(st, to, copy, ho);
}

void handover_arp(struct stack *st, const struct rte_mbuf *frame)
{
	for (unsigned i = 0; i < st->handover->n; i++)
		if (i != st->cfg.queue)
			push_copy(st, i, frame, (struct pkt_handover){.arp = true});
}

void handover_broadcast(struct stack *st, const struct rte_mbuf *m, const struct ip_rx *rx, be16 port)
{
	uint32_t to = 0;

	if (rx->at.level == HANDOVER_ALL)
		return;
	for (int level = HANDOVER_WILDCARD; level <= HANDOVER_CONNECTED; level++)
		to |= owners(st, HANDOVER_UDP, port, level);
	for (; to != 0; to &= to - 1)
		push_copy(st, (unsigned)__builtin_ctz(to), m,
			  (struct pkt_handover){.level = HANDOVER_ALL, .to_us_only = rx->to_us_only});
}
