/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_lookup.c - see tcp_lookup.h
 */
#include "tcp_lookup.h"

#include "handover.h"
#include "hash.h"
#include "tcp_conn.h"
#include "tcp_table.h"

uint32_t tcp_buckets_for(uint32_t max_tcp)
{
	uint32_t buckets = 16;

	while (buckets < max_tcp / 4)
		buckets <<= 1;
	return buckets;
}

uint32_t tcp_hash(const struct tcp_table *t, const struct endpoint *local, const struct endpoint *peer)
{
	uint64_t ports = (uint64_t)local->port << 16 | peer->port;
	uint64_t x = hash_mix(local->addr.d[1] ^ t->key[0], peer->addr.d[1] ^ t->key[1]);
	uint64_t y = hash_mix(local->addr.d[0] ^ t->key[2], peer->addr.d[0] ^ t->key[3]);
	uint64_t z = hash_mix(x ^ ports ^ t->key[3], y ^ t->key[0]);

	return (uint32_t)(z ^ z >> 32);
}

/* The entries with this hash, by bit. Without branches: at which of them it stands cannot be predicted. */
static inline unsigned matches(const struct tcp_bucket *b, uint32_t hash)
{
	unsigned found = 0;

	for (unsigned i = 0; i < TCP_BUCKET_ENTRIES; i++)
		found |= (unsigned)(b->hash[i] == hash) << i;
	return found;
}

static inline struct tcp_conn *conn_at(const struct tcp_table *t, uint32_t place)
{
	return &t->arena[place - 1];
}

static inline bool is_of(const struct tcp_conn *c, const struct endpoint *local, const struct endpoint *peer)
{
	return c->so.peer.port == peer->port && c->so.local.port == local->port &&
	       ip_addr_eq(&c->so.peer.addr, &peer->addr) && ip_addr_eq(&c->so.local.addr, &local->addr);
}

struct tcp_conn *tcp_table_find(const struct tcp_table *t, uint32_t hash, const struct endpoint *local,
				const struct endpoint *peer)
{
	for (uint32_t n = 0; n <= t->bucket_mask; n++) {
		const struct tcp_bucket *b = &t->buckets[(hash + n) & t->bucket_mask];

		for (unsigned found = matches(b, hash); found; found &= found - 1) {
			uint32_t place = b->place[__builtin_ctz(found)];

			if (likely(place != 0) && likely(is_of(conn_at(t, place), local, peer)))
				return conn_at(t, place);
		}
		if (likely(b->passed == 0))
			break;
	}
	return NULL;
}

/* Index of the entry with this place, -1 when it is not in the bucket; place 0 finds a free one. */
static int entry_of(const struct tcp_bucket *b, uint32_t place)
{
	for (int i = 0; i < TCP_BUCKET_ENTRIES; i++)
		if (b->place[i] == place)
			return i;
	return -1;
}

void tcp_table_add(struct tcp_conn *c, uint32_t hash)
{
	struct tcp_table *t = c->so.stack->tcp;
	struct tcp_bucket *b;
	int i;

	/* Ends: there are more entries than connections in the arena */
	for (uint32_t n = 0;; n++) {
		b = &t->buckets[(hash + n) & t->bucket_mask];
		i = entry_of(b, 0);
		if (i >= 0)
			break;
		b->passed++;
	}
	b->hash[i] = hash;
	b->place[i] = (uint32_t)(c - t->arena) + 1;
	c->hash = hash;
	c->flags |= CONN_F_HASHED;
	if (unlikely(c->so.stack->handover))
		handover_show_flow(c->so.stack, hash, 1);
}

void tcp_table_remove(struct tcp_conn *c)
{
	struct tcp_table *t = c->so.stack->tcp;
	uint32_t place = (uint32_t)(c - t->arena) + 1;
	struct tcp_bucket *b;
	int i;

	if (!(c->flags & CONN_F_HASHED))
		return;
	for (uint32_t n = 0;; n++) {
		b = &t->buckets[(c->hash + n) & t->bucket_mask];
		i = entry_of(b, place);
		if (i >= 0)
			break;
		b->passed--;
	}
	b->hash[i] = 0;
	b->place[i] = 0;
	c->flags &= ~CONN_F_HASHED;
	if (unlikely(c->so.stack->handover))
		handover_show_flow(c->so.stack, c->hash, -1);
}

void tcp_prefetch_bucket(const struct tcp_table *t, uint32_t hash)
{
	rte_prefetch0(&t->buckets[hash & t->bucket_mask]);
}

void tcp_prefetch_conn(const struct tcp_table *t, uint32_t hash)
{
	const struct tcp_bucket *b = &t->buckets[hash & t->bucket_mask];
	unsigned found = matches(b, hash);

	if (found && b->place[__builtin_ctz(found)]) {
		const char *c = (const char *)conn_at(t, b->place[__builtin_ctz(found)]);

		for (unsigned at = 0; at < sizeof(struct tcp_conn); at += 64)
			rte_prefetch0(c + at);
	}
}
