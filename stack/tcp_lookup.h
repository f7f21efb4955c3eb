/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_lookup.h - which connection a segment belongs to: one cache line of a table, and the connection itself
 *
 *     bucket = 64 bytes:  7 hashes of 32 bits │ passed │ 7 places in the arena
 *
 * An entry stands in the bucket of its hash, or when that is full in the next one that has room; `passed`
 * counts, in each full bucket it went by, how many did so, and a search goes on only where it is not zero. So
 * there are no chains to walk and no tombstones, and nothing of a connection is read that is not the one
 * looked for, because 32 bits of a keyed hash tell them apart. With at least max_tcp / 4 buckets no lookup
 * in fifty reads a second one.
 *
 * The hash is keyed with the stack's secret, so that nobody outside can aim many connections at one bucket.
 */
#ifndef STACK_TCP_LOOKUP_H
#define STACK_TCP_LOOKUP_H

#include <stddef.h>
#include <stdint.h>
#include <rte_prefetch.h>

#include "ip_addr.h"

#define TCP_BUCKET_ENTRIES 7

struct stack;
struct tcp_conn;
struct tcp_table;

struct tcp_bucket {
	uint32_t hash[TCP_BUCKET_ENTRIES];
	uint32_t passed;                    /* entries that stand further on because this one was full */
	uint32_t place[TCP_BUCKET_ENTRIES]; /* 1 + index in the arena, 0: free */
	uint32_t spare;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct tcp_bucket) == 64, "one cache line");

/* Buckets for so many connections: a power of two. */
uint32_t tcp_buckets_for(uint32_t max_tcp);

/* Keyed hash of a pair of endpoints. */
uint32_t tcp_hash(const struct tcp_table *t, const struct endpoint *local, const struct endpoint *peer);

struct tcp_conn *tcp_table_find(const struct tcp_table *t, uint32_t hash, const struct endpoint *local,
				const struct endpoint *peer);
void tcp_table_add(struct tcp_conn *c, uint32_t hash);
void tcp_table_remove(struct tcp_conn *c);

/*
 * Two steps for a burst of segments, each done for all of them before the next one: the bucket is on its way
 * into the cache, then the connection that stands there (tcp_ahead.c). Nothing is changed and nothing
 * decided.
 */
void tcp_prefetch_bucket(const struct tcp_table *t, uint32_t hash);
void tcp_prefetch_conn(const struct tcp_table *t, uint32_t hash);

#endif
