/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arp.c - neighbour table and the ARP packets in and out
 *
 * The table is an array with a keyed hash over it, a list of free entries and a list of STALE ones in the
 * order in which they became so. Packets that wait for an answer sit in nodes of one small pool: at most
 * ARP_WAIT_ENTRY for one neighbour (then the oldest is dropped, as Linux does) and ARP_WAIT_ALL in all; then
 * the neighbour for which most wait loses its oldest, so that silent ones leave room for the others. The
 * nodes hold pointers and are not linked through the packet: TCP's send queue may be linked there.
 *
 * RFC 826, 5227 (2.4: defence, at most one announcement in 10 s).
 */
#include "arp.h"

#include <rte_arp.h>
#include <rte_ether.h>

#include "eth.h"
#include "handover.h"
#include "hash.h"
#include "icmp.h"
#include "route.h"
#include "stack_priv.h"

#define ARP_WAIT_ENTRY 64
#define ARP_WAIT_ALL   512

#define ARP_TRIES        3
#define ARP_RETRY_NS     NS_PER_SEC
#define ARP_REACHABLE_NS (30 * NS_PER_SEC) /* spread over 0.5 to 1.5 of it, as Linux does */
#define ARP_DELAY_NS     (5 * NS_PER_SEC)
#define ARP_DEFEND_NS    (10 * NS_PER_SEC) /* RFC 5227 DEFEND_INTERVAL */

struct arp_wait {
	struct rte_mbuf *m;
	struct arp_wait *next;
};

struct arp_table {
	struct arp_entry *free, *stale_head, *stale_tail;
	struct arp_entry *asked; /* list of INCOMPLETE ones */
	struct arp_wait *wait_free;
	uint32_t hash_mask;
	bool probing; /* the addresses are not claimed yet: nothing to defend */
	bool conflict, defended;
	be32 conflict_addr;
	uint8_t conflict_mac[6];
	time_ns defended_at;
	struct arp_wait waits[ARP_WAIT_ALL];
	struct arp_entry **buckets;
	struct arp_entry *entries;
};

static const uint8_t mac_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t mac_zero[6];

static uint32_t bucket_count(const struct stack_config *cfg)
{
	return rte_align32pow2(cfg->max_arp);
}

size_t arp_mem_size(const struct stack_config *cfg)
{
	return sizeof(struct arp_table) + bucket_count(cfg) * sizeof(struct arp_entry *) +
	       cfg->max_arp * sizeof(struct arp_entry);
}

void arp_init(struct stack *st, void *mem)
{
	struct arp_table *t = mem;

	st->arp = t;
	t->hash_mask = bucket_count(&st->cfg) - 1;
	t->entries = (struct arp_entry *)(t + 1);
	t->buckets = (struct arp_entry **)(t->entries + st->cfg.max_arp);
	for (uint32_t i = st->cfg.max_arp; i-- > 0;) {
		t->entries[i].timer.kind = TIMER_ARP;
		t->entries[i].next = t->free;
		t->free = &t->entries[i];
	}
	for (unsigned i = 0; i < ARP_WAIT_ALL; i++) {
		t->waits[i].next = t->wait_free;
		t->wait_free = &t->waits[i];
	}
}

static struct arp_entry **bucket_of(const struct stack *st, be32 addr)
{
	return &st->arp->buckets[hash_words(st->cfg.seed, addr, 1) & st->arp->hash_mask];
}

static struct arp_entry *find(const struct stack *st, be32 addr)
{
	struct arp_entry *e = *bucket_of(st, addr);

	while (e != NULL && e->addr != addr)
		e = e->hash_next;
	return e;
}

static void stale_link(struct arp_table *t, struct arp_entry *e)
{
	e->next = NULL;
	e->prev = t->stale_tail;
	if (t->stale_tail)
		t->stale_tail->next = e;
	else
		t->stale_head = e;
	t->stale_tail = e;
}

static void stale_unlink(struct arp_table *t, struct arp_entry *e)
{
	if (e->prev)
		e->prev->next = e->next;
	else
		t->stale_head = e->next;
	if (e->next)
		e->next->prev = e->prev;
	else
		t->stale_tail = e->prev;
}

static void asked_link(struct arp_table *t, struct arp_entry *e)
{
	e->prev = NULL;
	e->next = t->asked;
	if (e->next)
		e->next->prev = e;
	t->asked = e;
}

static void asked_unlink(struct arp_table *t, struct arp_entry *e)
{
	if (e->prev)
		e->prev->next = e->next;
	else
		t->asked = e->next;
	if (e->next)
		e->next->prev = e->prev;
}

static void set_state(struct stack *st, struct arp_entry *e, enum arp_state state)
{
	if (e->state == ARP_STALE)
		stale_unlink(st->arp, e);
	else if (e->state == ARP_INCOMPLETE)
		asked_unlink(st->arp, e);
	if (state == ARP_STALE)
		stale_link(st->arp, e);
	else if (state == ARP_INCOMPLETE)
		asked_link(st->arp, e);
	e->state = (uint8_t)state;
	e->tries = 0;
}

/* Takes the oldest waiting packet; NULL when there is none. */
static struct rte_mbuf *wait_pop(struct stack *st, struct arp_entry *e)
{
	struct arp_wait *w = e->wait_head;
	struct rte_mbuf *m;

	if (w == NULL)
		return NULL;
	m = w->m;
	e->wait_head = w->next;
	e->n_wait--;
	w->next = st->arp->wait_free;
	st->arp->wait_free = w;
	return m;
}

static void entry_free(struct stack *st, struct arp_entry *e)
{
	struct arp_entry **p = bucket_of(st, e->addr);
	struct rte_mbuf *m;

	timer_cancel(&st->wheel, &e->timer);
	while ((m = wait_pop(st, e)) != NULL) {
		COUNT(st, arp_unresolved);
		rte_pktmbuf_free(m);
	}
	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	set_state(st, e, ARP_FREE);
	e->gen++;
	e->next = st->arp->free;
	st->arp->free = e;
}

static struct arp_entry *entry_new(struct stack *st, be32 addr)
{
	struct arp_table *t = st->arp;
	struct arp_entry *e, **bucket;

	if (t->free == NULL && t->stale_head != NULL)
		entry_free(st, t->stale_head);
	e = t->free;
	if (e == NULL) {
		COUNT(st, arp_table_full);
		return NULL;
	}
	t->free = e->next;
	bucket = bucket_of(st, addr);
	e->addr = addr;
	e->hash_next = *bucket;
	*bucket = e;
	e->used = false;
	return e;
}

void arp_fini(struct stack *st)
{
	for (uint32_t i = 0; i < st->cfg.max_arp; i++)
		if (st->arp->entries[i].state != ARP_FREE)
			entry_free(st, &st->arp->entries[i]);
}

/* Builds and queues one ARP packet; `to` is the Ethernet destination. */
static void send_packet(struct stack *st, uint16_t op, const uint8_t to[6], be32 sip, const uint8_t tha[6],
			be32 tip)
{
	struct rte_mbuf *m = stack_mbuf_alloc(st);
	struct rte_arp_hdr *arp;

	if (m == NULL)
		return;
	arp = pkt_put(m, sizeof(*arp));
	arp->arp_hardware = htons(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = htons(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(be32);
	arp->arp_opcode = htons(op);
	memcpy(&arp->arp_data.arp_sha, st->cfg.caps.mac, 6);
	arp->arp_data.arp_sip = sip;
	memcpy(&arp->arp_data.arp_tha, tha, 6);
	arp->arp_data.arp_tip = tip;
	eth_output(st, m, to, RTE_ETHER_TYPE_ARP);
	if (op == RTE_ARP_OP_REPLY)
		COUNT(st, arp_replies_sent);
	else
		COUNT(st, arp_requests_sent);
}

/* Asks for e's MAC address: everybody while it is unknown, else only the one who should still have it. */
static void send_request(struct stack *st, struct arp_entry *e)
{
	struct route r = route_lookup(st, e->addr);

	e->tries++;
	send_packet(st, RTE_ARP_OP_REQUEST, e->state == ARP_INCOMPLETE ? mac_broadcast : e->mac, r.src,
		    mac_zero, e->addr);
	timer_set(&st->wheel, &e->timer, st->now + ARP_RETRY_NS);
}

struct arp_entry *arp_lookup(struct stack *st, be32 addr)
{
	struct arp_entry *e = find(st, addr);

	if (e != NULL)
		return e;
	e = entry_new(st, addr);
	if (e == NULL)
		return NULL;
	set_state(st, e, ARP_INCOMPLETE);
	send_request(st, e);
	return e;
}

bool arp_use(struct stack *st, struct arp_entry *e)
{
	if (e->state == ARP_STALE) {
		set_state(st, e, ARP_DELAY);
		timer_set(&st->wheel, &e->timer, st->now + ARP_DELAY_NS);
	}
	return e->state >= ARP_REACHABLE;
}

/* The neighbour for which most packets wait. Only asked when all nodes are taken. */
static struct arp_entry *longest_wait(const struct arp_table *t)
{
	struct arp_entry *most = t->asked;

	for (struct arp_entry *e = most; e != NULL; e = e->next)
		if (e->n_wait > most->n_wait)
			most = e;
	return most;
}

void arp_queue(struct stack *st, struct arp_entry *e, struct rte_mbuf *frame)
{
	struct arp_wait *w;

	if (e->n_wait >= ARP_WAIT_ENTRY || st->arp->wait_free == NULL) {
		COUNT(st, arp_unresolved);
		rte_pktmbuf_free(wait_pop(st, e->n_wait >= ARP_WAIT_ENTRY ? e : longest_wait(st->arp)));
	}
	w = st->arp->wait_free;
	st->arp->wait_free = w->next;
	w->m = frame;
	w->next = NULL;
	if (e->wait_head == NULL)
		e->wait_head = w;
	else
		e->wait_tail->next = w;
	e->wait_tail = w;
	e->n_wait++;
}

/* A reply to our question: the neighbour is there. Whatever waited for it goes out. */
static void confirm(struct stack *st, struct arp_entry *e, const uint8_t mac[6])
{
	time_ns spread = (uint64_t)stack_random(st) * ARP_REACHABLE_NS >> 32;
	struct rte_mbuf *m;

	memcpy(e->mac, mac, 6);
	set_state(st, e, ARP_REACHABLE);
	e->used = e->wait_head != NULL;
	timer_set(&st->wheel, &e->timer, st->now + ARP_REACHABLE_NS / 2 + spread);
	while ((m = wait_pop(st, e)) != NULL) {
		memcpy(rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr.addr_bytes, mac, 6);
		stack_tx(st, m);
	}
}

/* Somebody said something about himself unasked: believed for known neighbours, but to be verified when used.
 */
static void update(struct stack *st, struct arp_entry *e, const uint8_t mac[6])
{
	if (e->state == ARP_INCOMPLETE) {
		confirm(st, e, mac);
	} else if (memcmp(e->mac, mac, 6) != 0) {
		memcpy(e->mac, mac, 6);
		timer_cancel(&st->wheel, &e->timer);
		set_state(st, e, ARP_STALE);
	}
}

/* Somebody else uses our address: tell the host, and say again that it is ours. */
static void conflict(struct stack *st, be32 addr, const uint8_t mac[6])
{
	struct arp_table *t = st->arp;

	COUNT(st, arp_conflicts);
	t->conflict = true;
	t->conflict_addr = addr;
	memcpy(t->conflict_mac, mac, 6);
	if (t->probing || (t->defended && st->now - t->defended_at < ARP_DEFEND_NS))
		return;
	t->defended = true;
	t->defended_at = st->now;
	send_packet(st, RTE_ARP_OP_REQUEST, mac_broadcast, addr, mac_zero, addr);
}

static bool well_formed(const struct rte_mbuf *frame, const struct rte_arp_hdr *arp)
{
	return frame->data_len >= sizeof(struct rte_ether_hdr) + sizeof(*arp) &&
	       arp->arp_hardware == htons(RTE_ARP_HRD_ETHER) &&
	       arp->arp_protocol == htons(RTE_ETHER_TYPE_IPV4) && arp->arp_hlen == RTE_ETHER_ADDR_LEN &&
	       arp->arp_plen == sizeof(be32) &&
	       (arp->arp_opcode == htons(RTE_ARP_OP_REQUEST) || arp->arp_opcode == htons(RTE_ARP_OP_REPLY)) &&
	       rte_is_valid_assigned_ether_addr(&arp->arp_data.arp_sha);
}

/* What the sender tells about himself. */
static void learn(struct stack *st, const struct rte_arp_hdr *arp, bool unicast)
{
	const uint8_t *sha = arp->arp_data.arp_sha.addr_bytes;
	be32 sip = arp->arp_data.arp_sip;
	bool for_us = route_is_own_on_link(st, arp->arp_data.arp_tip);
	struct arp_entry *e = find(st, sip);

	if (e != NULL) {
		if (arp->arp_opcode == htons(RTE_ARP_OP_REPLY) && for_us && unicast)
			confirm(st, e, sha);
		else
			update(st, e, sha);
	} else if (arp->arp_opcode == htons(RTE_ARP_OP_REQUEST) && for_us && route_is_on_link(st, sip)) {
		e = entry_new(st, sip);
		if (e == NULL)
			return;
		memcpy(e->mac, sha, 6);
		set_state(st, e, ARP_STALE);
	}
}

/* False: the packet tells the other stacks nothing. */
static bool receive(struct stack *st, const struct rte_arp_hdr *arp, bool unicast)
{
	const uint8_t *sha = arp->arp_data.arp_sha.addr_bytes;
	be32 sip = arp->arp_data.arp_sip, tip = arp->arp_data.arp_tip;

	if (memcmp(sha, st->cfg.caps.mac, 6) == 0)
		return false; /* our own, reflected by a switch */
	if (route_is_own_on_link(st, sip)) {
		conflict(st, sip, sha);
		return false;
	}
	if (arp->arp_opcode == htons(RTE_ARP_OP_REQUEST) && route_is_own_on_link(st, tip))
		send_packet(st, RTE_ARP_OP_REPLY, sha, tip, sha, sip);
	learn(st, arp, unicast);
	return true;
}

static const struct rte_arp_hdr *arp_of(const struct rte_mbuf *frame, bool *unicast)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(frame, const struct rte_ether_hdr *);

	*unicast = rte_is_unicast_ether_addr(&eth->dst_addr);
	return (const struct rte_arp_hdr *)(eth + 1);
}

void arp_input(struct stack *st, struct rte_mbuf *frame)
{
	bool unicast;
	const struct rte_arp_hdr *arp = arp_of(frame, &unicast);

	if (!well_formed(frame, arp))
		COUNT(st, arp_rx_bad);
	else if (receive(st, arp, unicast) && st->handover)
		handover_arp(st, frame);
	rte_pktmbuf_free(frame);
}

void arp_learn(struct stack *st, struct rte_mbuf *frame)
{
	bool unicast;
	const struct rte_arp_hdr *arp = arp_of(frame, &unicast);

	learn(st, arp, unicast);
	rte_pktmbuf_free(frame);
}

/* The neighbour did not answer: connections learn it as from a router's "host unreachable". */
static void give_up(struct stack *st, struct arp_entry *e)
{
	struct rte_mbuf *m;

	while ((m = wait_pop(st, e)) != NULL) {
		COUNT(st, arp_unresolved);
		icmp_local_unreachable(st, m, sizeof(struct rte_ether_hdr));
		rte_pktmbuf_free(m);
	}
	entry_free(st, e);
}

void arp_timer(struct stack *st, struct timer *t)
{
	struct arp_entry *e = RTE_PTR_SUB(t, offsetof(struct arp_entry, timer));

	switch ((enum arp_state)e->state) {
	case ARP_REACHABLE:
		if (!e->used) {
			set_state(st, e, ARP_STALE);
			break;
		}
		/* fall through */
	case ARP_DELAY:
		set_state(st, e, ARP_PROBE);
		send_request(st, e);
		break;
	case ARP_INCOMPLETE:
	case ARP_PROBE:
		if (e->tries < ARP_TRIES)
			send_request(st, e);
		else
			give_up(st, e);
		break;
	case ARP_STALE:
	case ARP_FREE:
		break;
	}
}

void stack_arp_probe(struct stack *st)
{
	st->arp->conflict = false;
	st->arp->probing = true;
	for (unsigned i = 0; i < st->cfg.n_addrs && st->cfg.queue == 0; i++)
		send_packet(st, RTE_ARP_OP_REQUEST, mac_broadcast, 0, mac_zero, st->cfg.addrs[i].addr);
}

bool stack_addr_conflict(const struct stack *st, be32 *addr, uint8_t mac[6])
{
	if (!st->arp->conflict)
		return false;
	*addr = st->arp->conflict_addr;
	memcpy(mac, st->arp->conflict_mac, 6);
	return true;
}

void stack_arp_announce(struct stack *st)
{
	st->arp->probing = false;
	for (unsigned i = 0; i < st->cfg.n_addrs && st->cfg.queue == 0; i++)
		send_packet(st, RTE_ARP_OP_REQUEST, mac_broadcast, st->cfg.addrs[i].addr, mac_zero,
			    st->cfg.addrs[i].addr);
}

uint32_t arp_count(const struct stack *st)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < st->cfg.max_arp; i++)
		n += st->arp->entries[i].state != ARP_FREE;
	return n;
}
