/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_table.h - all connections of a stack: arena, listeners, ports in use (by address: tcp_lookup.h)
 *
 * struct tcp_table stands at the start of the memory that tcp_mem_size() asked for; the arrays follow it.
 * Arenas are never initialised in advance, so what is not used costs no page: entries come from a LIFO list
 * of freed ones (warm in the cache), else from the untouched rest.
 */
#ifndef STACK_TCP_TABLE_H
#define STACK_TCP_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ip_addr.h"
#include "tcp_conn.h"
#include "tcp_lookup.h"

#define TCP_LISTEN_BUCKETS 256
#define TCP_PORT_PERTURB   256
#define TCP_TW_MAX         262144u /* Linux's tcp_max_tw_buckets; smaller tables have max_tcp of them */

/* From so many connections on they are out of the caches when they are needed: other things pay then */
#define TCP_MANY 4096

/* Who holds a local port. */
struct tcp_port {
	struct tcp_conn *bound; /* sockets that bind(2) or listen(2) put here, by port_next */
	uint32_t users;         /* all others: accepted, connected without bind, TIME-WAIT */
	uint32_t noreuse;       /* of users: those with neither SO_REUSEADDR nor SO_REUSEPORT */
};

/* TIME-WAIT: what must be remembered of a finished connection for a minute (tcp_timewait.c). */
struct tcp_tw {
	struct tcp_tw *hash_next, **hash_pprev;
	struct tcp_tw *next, **pprev; /* in order of expiry */
	time_ns expires, ts_recent_at;
	struct ip_addr laddr, paddr;
	be16 lport, pport;
	uint32_t hash;
	uint32_t snd_nxt, rcv_nxt, rcv_wnd;
	uint32_t ts_recent, ts_offset;
	bool has_ts, noreuse;
	uint8_t rcv_wscale, tos;
};

struct tcp_table {
	struct tcp_bucket *buckets; /* tcp_lookup.h */
	uint32_t bucket_mask;
	uint32_t arena_used, arena_max;
	struct tcp_conn *arena, *free; /* free: by qnext */

	struct tcp_conn *dirty_head, **dirty_tail; /* connections tcp_flush() must look at */
	/*
	 * Writers that met an empty pool, by qnext; the second list has those with nothing left in their
	 * queue, whose peers read: they are served first, from a reserve.
	 */
	struct tcp_conn *starved, *starved_idle;

	struct tcp_tw **tw_buckets;
	struct tcp_tw *tw_arena, *tw_free; /* by hash_next */
	struct tcp_tw *tw_head, **tw_tail; /* soonest to expire first */
	uint32_t tw_mask, tw_used, tw_max, tw_count;
	struct timer tw_timer;

	uint32_t conns;       /* in use, listeners and embryos included */
	uint32_t orphans;     /* closed by the program and not finished */
	uint32_t undelivered; /* with something in their send queue */
	uint64_t key[4];      /* secret: hash, ports */
	uint64_t isn_key[4];  /* secret: ISN, timestamp offset */
	uint32_t challenge_count;
	struct tcp_conn *listeners[TCP_LISTEN_BUCKETS]; /* by port, linked by listen.next */
	uint16_t port_perturb[TCP_PORT_PERTURB];
	struct tcp_port ports[65536];
};

/* Zeroed, counted; NULL (tcp_table_full) when there is none left. */
struct tcp_conn *tcp_conn_alloc(struct stack *st);

/* Undoes everything: timers, lists, hash, port, queues. The memory may be reused at once. */
void tcp_conn_free(struct tcp_conn *c);

uint64_t tcp_siphash(const uint64_t key[2], const uint64_t *words, unsigned n);

/* RFC 6528: initial sequence number, and the offset of the timestamp clock (RFC 7323, 5.4). */
uint32_t tcp_isn(const struct stack *st, const struct endpoint *local, const struct endpoint *peer,
		 uint32_t *ts_offset);

/* The listener that a SYN to `local` belongs to; `hash` picks one of a SO_REUSEPORT group. */
struct tcp_conn *tcp_table_find_listener(const struct tcp_table *t, const struct endpoint *local,
					 uint32_t hash);
void tcp_table_add_listener(struct tcp_conn *c);
void tcp_table_remove_listener(struct tcp_conn *c);

/* bind(2): takes so.local.port, or picks one when it is 0. -EADDRINUSE. */
int tcp_port_bind(struct tcp_conn *c);

/* Would bind(2) to the port it already has conflict? (listen(2) asks again, as on Linux) */
bool tcp_port_conflict(const struct tcp_conn *c, be16 port);

/* The same for a socket of another stack. */
bool tcp_port_conflict_in(const struct stack *st, const struct sock *so, be16 port);

/* Holds so.local.port without asking: a listener's twin (tcp_listen.h). */
void tcp_port_share(struct tcp_conn *c);

/* connect(2) without bind(2): picks so.local.port so that the connection is unique. -EADDRNOTAVAIL. */
int tcp_port_pick(struct tcp_conn *c);

/* The connection uses so.local.port beside others (accepted). */
void tcp_port_use(struct tcp_conn *c);
void tcp_port_release(struct tcp_conn *c);

/* Puts the connection on the list of those that tcp_flush() looks at. */
static inline void tcp_mark_dirty(struct tcp_conn *c)
{
	struct tcp_table *t = c->so.stack->tcp;

	if (c->dirty_pprev)
		return;
	c->dirty_next = NULL;
	c->dirty_pprev = t->dirty_tail;
	*t->dirty_tail = c;
	t->dirty_tail = &c->dirty_next;
}

static inline void tcp_unmark_dirty(struct tcp_conn *c)
{
	struct tcp_table *t = c->so.stack->tcp;

	if (!c->dirty_pprev)
		return;
	*c->dirty_pprev = c->dirty_next;
	if (c->dirty_next)
		c->dirty_next->dirty_pprev = c->dirty_pprev;
	else
		t->dirty_tail = c->dirty_pprev;
	c->dirty_pprev = NULL;
}

#endif
