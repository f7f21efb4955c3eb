/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_table.c - all connections of a stack: arena, listeners, ports in use (by address: tcp_lookup.c)
 *
 * Ports: RFC 6056 algorithm 4 for the choice; bind(2) conflicts as Linux decides them. The instances that
 * share an address split the ephemeral ports by remainder, so that two of them never pick the same; where it
 * is known to which queue answers will come, ports with answers to the own one go first.
 */
#include "tcp_table.h"

#include <errno.h>
#include <string.h>

#include "handover.h"
#include "rss.h"
#include "tcp.h"
#include "tcp_listen.h"
#include "tcp_rcvq.h"
#include "tcp_reasm.h"
#include "tcp_sndq.h"
#include "tcp_timewait.h"

static uint32_t pow2_at_least(uint32_t n)
{
	uint32_t p = 64;

	while (p < n)
		p <<= 1;
	return p;
}

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static uint32_t tw_max_of(const struct stack_config *cfg)
{
	return cfg->max_tcp < TCP_TW_MAX ? cfg->max_tcp : TCP_TW_MAX;
}

size_t tcp_mem_size(const struct stack_config *cfg)
{
	return round64(sizeof(struct tcp_table)) + tcp_buckets_for(cfg->max_tcp) * sizeof(struct tcp_bucket) +
	       round64(pow2_at_least(tw_max_of(cfg)) * sizeof(void *)) +
	       round64((size_t)tw_max_of(cfg) * sizeof(struct tcp_tw)) +
	       (size_t)cfg->max_tcp * sizeof(struct tcp_conn);
}

void tcp_init(struct stack *st, void *mem)
{
	struct tcp_table *t = mem;
	uint8_t *p = (uint8_t *)mem + round64(sizeof(*t));
	uint32_t buckets = tcp_buckets_for(st->cfg.max_tcp);
	const uint64_t *isn_secret =
		st->cfg.isn_secret[0] | st->cfg.isn_secret[1] ? st->cfg.isn_secret : st->cfg.seed;

	st->tcp = t;
	t->bucket_mask = buckets - 1;
	t->buckets = (struct tcp_bucket *)p;
	p += buckets * sizeof(struct tcp_bucket);
	t->tw_max = tw_max_of(&st->cfg);
	t->tw_mask = pow2_at_least(t->tw_max) - 1;
	t->tw_buckets = (struct tcp_tw **)p;
	p += round64((t->tw_mask + 1) * sizeof(void *));
	t->tw_arena = (struct tcp_tw *)p;
	p += round64((size_t)t->tw_max * sizeof(struct tcp_tw));
	t->arena = (struct tcp_conn *)p;
	t->arena_max = st->cfg.max_tcp;
	t->dirty_tail = &t->dirty_head;
	t->tw_tail = &t->tw_head;
	t->tw_timer.kind = TIMER_TCP_TIMEWAIT;

	for (uint64_t i = 0; i < 4; i++) {
		t->key[i] = tcp_siphash(st->cfg.seed, &i, 1);
		t->isn_key[i] = tcp_siphash(isn_secret, &i, 1);
	}
}

void tcp_fini(struct stack *st)
{
	struct tcp_table *t = st->tcp;

	for (uint32_t i = 0; i < t->arena_used; i++) {
		struct tcp_conn *c = &t->arena[i];

		if (c->so.kind == SOCK_KIND_FREE)
			continue;
		tcp_sndq_clear(c);
		tcp_rcvq_clear(c);
		tcp_reasm_clear(c);
	}
}

struct tcp_conn *tcp_conn_alloc(struct stack *st)
{
	struct tcp_table *t = st->tcp;
	struct tcp_conn *c = t->free;

	if (c) {
		t->free = c->qnext;
	} else if (t->arena_used < t->arena_max) {
		c = &t->arena[t->arena_used++];
	} else {
		COUNT(st, tcp_table_full);
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->rcv_mss = TCP_MSS_DEFAULT;                 /* until the peer shows; windows are divided by it */
	c->oow_ack_at = st->now - TCP_OOW_ACK_GAP_NS; /* long enough ago */
	t->conns++;
	return c;
}

void tcp_conn_free(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	struct tcp_table *t = st->tcp;

	timer_cancel(&st->wheel, &c->timer);
	tcp_unmark_dirty(c);
	tcp_listen_forget(c);
	tcp_table_remove(c);
	tcp_port_release(c);
	tcp_sndq_clear(c);
	tcp_rcvq_clear(c);
	tcp_reasm_clear(c);
	sock_forget(&c->so);
	if (c->flags & CONN_F_ORPHANED)
		t->orphans--;
	t->conns--;
	c->so.kind = SOCK_KIND_FREE;
	c->qnext = t->free;
	t->free = c;
}

/* --- keyed hashes that nobody may undo --- */

#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = ROTL(v[1], 13) ^ v[0], v[0] = ROTL(v[0], 32);
	v[2] += v[3], v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = ROTL(v[1], 17) ^ v[2], v[2] = ROTL(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein) over whole words. */
uint64_t tcp_siphash(const uint64_t key[2], const uint64_t *words, unsigned n)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			 key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};

	for (unsigned i = 0; i <= n; i++) {
		uint64_t w = i < n ? words[i] : (uint64_t)(n * 8) << 56;

		v[3] ^= w;
		sip_round(v);
		sip_round(v);
		v[0] ^= w;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint32_t tcp_isn(const struct stack *st, const struct endpoint *local, const struct endpoint *peer,
		 uint32_t *ts_offset)
{
	const uint64_t words[5] = {local->addr.d[0], local->addr.d[1], peer->addr.d[0], peer->addr.d[1],
				   (uint64_t)local->port << 16 | peer->port};
	uint64_t h = tcp_siphash(st->tcp->isn_key, words, 5);

	/* One clock per pair of hosts: a new connection's timestamps must not go back (RFC 7323, 5.4) */
	*ts_offset = (uint32_t)tcp_siphash(&st->tcp->isn_key[2], words, 4);
	/* A 64 ns clock, as Linux: wraps in 274 s, longer than a segment lives */
	return (uint32_t)h + (uint32_t)(st->now >> 6);
}

/* --- listeners --- */

static unsigned listener_bucket(be16 port)
{
	return (ntohs(port) ^ ntohs(port) >> 8) % TCP_LISTEN_BUCKETS;
}

/* 0: does not take it; the more exact the address, the higher. */
static int listener_score(const struct tcp_conn *c, const struct endpoint *local)
{
	bool v4 = ip_addr_is_v4(&local->addr);

	if (c->so.local.port != local->port)
		return 0;
	if (ip_addr_eq(&c->so.local.addr, &local->addr))
		return 3;
	if (!ip_addr_is_any(&c->so.local.addr))
		return 0;
	if (v4)
		return c->so.family == AF_INET ? 2 : c->so.v6only ? 0 : 1;
	return c->so.family == AF_INET6 ? 2 : 0;
}

struct tcp_conn *tcp_table_find_listener(const struct tcp_table *t, const struct endpoint *local,
					 uint32_t hash)
{
	struct tcp_conn *best = NULL;
	uint32_t same = 0;
	int best_score = 0;

	for (struct tcp_conn *c = t->listeners[listener_bucket(local->port)]; c; c = c->listen.next) {
		/* Of a SO_REUSEPORT group those count first whose thread drives this queue */
		int score = 2 * listener_score(c, local);

		if (score && unlikely(c->listen.near))
			score += c->so.reuseport && c->listen.near == c->so.stack->cfg.queue + 1;
		if (score > best_score) {
			best_score = score;
			best = c;
			same = 1;
		} else if (score && score == best_score && c->so.reuseport) {
			/* k-th of a group replaces the choice with probability 1/k, the same for equal hashes
			 */
			same++;
			hash = hash * 0x9E3779B1u + same;
			if ((uint64_t)hash * same >> 32 == 0)
				best = c;
		}
	}
	return best;
}

void tcp_table_add_listener(struct tcp_conn *c)
{
	struct tcp_conn **head = &c->so.stack->tcp->listeners[listener_bucket(c->so.local.port)];

	c->listen.next = *head;
	c->listen.pprev = head;
	if (*head)
		(*head)->listen.pprev = &c->listen.next;
	*head = c;
}

void tcp_table_remove_listener(struct tcp_conn *c)
{
	if (!c->listen.pprev)
		return;
	*c->listen.pprev = c->listen.next;
	if (c->listen.next)
		c->listen.next->listen.pprev = c->listen.pprev;
	c->listen.pprev = NULL;
}

/* --- ports --- */

static struct tcp_port *port_of(const struct tcp_conn *c, be16 port)
{
	return &c->so.stack->tcp->ports[ntohs(port)];
}

/* Could one packet be meant for both? */
static bool addrs_overlap(const struct sock *a, const struct sock *b)
{
	bool a_any = ip_addr_is_any(&a->local.addr), b_any = ip_addr_is_any(&b->local.addr);

	if (!a_any && !b_any)
		return ip_addr_eq(&a->local.addr, &b->local.addr);
	/* A wildcard covers its family, and IPv4 too when it is a dual-stack AF_INET6 socket */
	if (a_any && b_any)
		return a->family == b->family || !(a->family == AF_INET6 ? a->v6only : b->v6only);
	if (!a_any) {
		const struct sock *swap = a;

		a = b;
		b = swap;
	}
	if (ip_addr_is_v4(&b->local.addr))
		return a->family == AF_INET || !a->v6only;
	return a->family == AF_INET6;
}

bool tcp_port_conflict_in(const struct stack *st, const struct sock *so, be16 port)
{
	const struct tcp_port *p = &st->tcp->ports[ntohs(port)];

	if (p->users && (p->noreuse || !(so->reuseaddr || so->reuseport)))
		return true;
	for (const struct tcp_conn *o = p->bound; o; o = o->port_next) {
		if (&o->so == so || !addrs_overlap(so, &o->so))
			continue;
		if (so->reuseaddr && o->so.reuseaddr && o->state != TCPS_LISTEN)
			continue;
		if (so->reuseport && o->so.reuseport)
			continue;
		return true;
	}
	return false;
}

bool tcp_port_conflict(const struct tcp_conn *c, be16 port)
{
	return tcp_port_conflict_in(c->so.stack, &c->so, port);
}

static void port_hold(struct tcp_conn *c)
{
	struct tcp_port *p = port_of(c, c->so.local.port);

	c->port_next = p->bound;
	c->port_pprev = &p->bound;
	if (p->bound)
		p->bound->port_pprev = &c->port_next;
	p->bound = c;
	c->flags |= CONN_F_PORT | CONN_F_BOUND;
	if (unlikely(c->so.stack->handover))
		handover_show_port(c->so.stack, HANDOVER_TCP, c->so.local.port, HANDOVER_WILDCARD, 1);
}

void tcp_port_share(struct tcp_conn *c)
{
	port_hold(c);
}

/* The n-th candidate of this instance's share of the ephemeral range, from `first` on; 0 when n is too big.
 */
static uint16_t ephemeral_port(const struct stack *st, uint32_t first, uint32_t n)
{
	uint32_t lo = st->cfg.ip_local_port_range[0], hi = st->cfg.ip_local_port_range[1];
	uint32_t queues = st->cfg.queues ? st->cfg.queues : 1;
	uint32_t share;

	while (lo % queues != st->cfg.queue % queues)
		lo++;
	if (hi < lo)
		return 0;
	share = (hi - lo) / queues + 1;
	if (n >= share)
		return 0;
	return (uint16_t)(lo + (first % share + n) % share * queues);
}

static bool bound_elsewhere(const struct stack *st, uint16_t port)
{
	return unlikely(st->handover) && handover_port_elsewhere(st, HANDOVER_TCP, htons(port));
}

int tcp_port_bind(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	uint32_t first;
	uint16_t port;

	if (c->so.local.port) {
		if (tcp_port_conflict(c, c->so.local.port))
			return -EADDRINUSE;
		port_hold(c);
		return 0;
	}
	first = stack_random(st);
	for (uint32_t n = 0; (port = ephemeral_port(st, first, n)) != 0; n++) {
		const struct tcp_port *p = port_of(c, htons(port));

		/* Linux shares a port it chose itself only when nothing else is left: we never do */
		if (p->bound || p->users || bound_elsewhere(st, port))
			continue;
		c->so.local.port = htons(port);
		port_hold(c);
		return 0;
	}
	return -EADDRINUSE;
}

/* Is the pair of endpoints free for a new connection? */
static bool pair_is_free(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	uint32_t hash;

	if (port_of(c, c->so.local.port)->bound || bound_elsewhere(st, ntohs(c->so.local.port)))
		return false;
	hash = tcp_hash(st->tcp, &c->so.local, &c->so.peer);
	return !tcp_table_find(st->tcp, hash, &c->so.local, &c->so.peer) &&
	       tcp_tw_may_reuse(st, hash, &c->so.local, &c->so.peer);
}

/* `here`: only ports whose answers come to this stack's queue. Returns how many were tried, 0: none is free.
 */
static uint32_t pick_from(struct tcp_conn *c, uint32_t first, bool here)
{
	const struct stack *st = c->so.stack;
	uint16_t port;

	for (uint32_t n = 0; (port = ephemeral_port(st, first, n)) != 0; n++) {
		c->so.local.port = htons(port);
		if (here && rss_queue(&st->cfg.caps.rss, &c->so.local, &c->so.peer) != st->cfg.queue)
			continue;
		if (pair_is_free(c))
			return n + 1;
	}
	return 0;
}

int tcp_port_pick(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	struct tcp_table *t = st->tcp;
	const uint64_t words[5] = {c->so.local.addr.d[0], c->so.local.addr.d[1], c->so.peer.addr.d[0],
				   c->so.peer.addr.d[1], c->so.peer.port};
	uint64_t h = tcp_siphash(&t->key[1], words, 5);
	uint16_t *perturb = &t->port_perturb[(h >> 32) % TCP_PORT_PERTURB];
	uint32_t first = (uint32_t)h + *perturb, tried = 0;

	if (st->cfg.queues > 1 && rss_known(&st->cfg.caps.rss))
		tried = pick_from(c, first, true);
	if (!tried)
		tried = pick_from(c, first, false);
	if (!tried) {
		c->so.local.port = 0;
		return -EADDRNOTAVAIL;
	}
	*perturb = (uint16_t)(*perturb + tried + (stack_random(st) & 7));
	tcp_port_use(c);
	return 0;
}

void tcp_port_use(struct tcp_conn *c)
{
	struct tcp_port *p = port_of(c, c->so.local.port);

	p->users++;
	c->flags |= CONN_F_PORT;
	if (!c->so.reuseaddr && !c->so.reuseport) {
		p->noreuse++;
		c->flags |= CONN_F_NOREUSE;
	}
}

void tcp_port_release(struct tcp_conn *c)
{
	struct tcp_port *p;

	if (!(c->flags & CONN_F_PORT))
		return;
	p = port_of(c, c->so.local.port);
	if (c->flags & CONN_F_BOUND) {
		*c->port_pprev = c->port_next;
		if (c->port_next)
			c->port_next->port_pprev = c->port_pprev;
		if (unlikely(c->so.stack->handover))
			handover_show_port(c->so.stack, HANDOVER_TCP, c->so.local.port, HANDOVER_WILDCARD,
					   -1);
	} else {
		p->users--;
		p->noreuse -= !!(c->flags & CONN_F_NOREUSE);
	}
	c->flags &= ~(CONN_F_PORT | CONN_F_BOUND | CONN_F_NOREUSE);
}
