/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lookup.c - what finding a segment's connection costs, among a thousand and among a million
 *
 *     bench_lookup [CONNECTIONS]        default 1000000
 *
 * Random endpoints, looked up in random order, which is written down beforehand so that reading it costs no
 * miss: ns per lookup, each depending on the one before, and in bursts of 32 with the two steps of
 * stack/tcp_ahead.c first. Beyond the processor's caches a lookup costs two misses, the bucket and the
 * connection, however many there are. Beside it DPDK's rte_hash (one by one, and rte_hash_lookup_bulk_data)
 * with the same keys; it gives a pointer, and what it costs to read the connection behind that is included.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <rte_errno.h>
#include <rte_hash.h>

#include "stack/tcp_conn.h"
#include "stack/tcp_state.h"
#include "stack/tcp_table.h"
#include "tests/kit/kit_eal.h"

#define LOOKUPS 1000000u
#define BURST   32
#define MBUFS   1024

static uint64_t rng = 88172645463325252ull;

static uint64_t next_random(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static double clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static struct stack *stack_of(uint32_t max_tcp, struct rte_mempool *pool, size_t *bytes)
{
	struct stack_config cfg;
	void *mem;
	int err;

	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){inet_addr("198.18.0.2"), 24};
	cfg.n_addrs = 1;
	cfg.max_tcp = RTE_MAX(max_tcp, 16u);
	cfg.pool = pool;
	cfg.pool_mbufs = MBUFS;
	cfg.caps.mtu = 1500;
	cfg.seed[0] = 7;
	*bytes = stack_mem_size(&cfg);
	mem = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		perror("bench_lookup");
		exit(1);
	}
	return stack_init(mem, &cfg, 0, &err);
}

static void random_peer(struct endpoint *peer)
{
	uint64_t r = next_random();

	peer->addr = ip_addr_v4(htonl(0xc6120000u | (uint32_t)(r & 0x1ffff)));
	peer->port = htons((uint16_t)(1024 + (r >> 20) % 64000));
}

/* The keys in the order in which they are looked up. */
static struct key *order;

struct key {
	struct endpoint local, peer;
};

/* Something that is 0, but that the processor knows only when it has read the connection. */
static uint32_t zero_of(const struct tcp_conn *c)
{
	if (!c) {
		fprintf(stderr, "bench_lookup: not found\n");
		exit(1);
	}
	return c->so.local.port ^ htons(80);
}

static double one_by_one(const struct tcp_table *t)
{
	double began = clock_ns();
	uint32_t zero = 0;

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		const struct key *k = &order[i + zero];

		zero = zero_of(tcp_table_find(t, tcp_hash(t, &k->local, &k->peer), &k->local, &k->peer));
	}
	return (clock_ns() - began) / LOOKUPS;
}

static double in_bursts(const struct tcp_table *t)
{
	double began = clock_ns();
	uint32_t zero = 0, hash[BURST];

	for (uint32_t at = 0; at < LOOKUPS; at += BURST) {
		const struct key *k = &order[at + zero];

		for (unsigned i = 0; i < BURST; i++)
			tcp_prefetch_bucket(t, hash[i] = tcp_hash(t, &k[i].local, &k[i].peer));
		for (unsigned i = 0; i < BURST; i++)
			tcp_prefetch_conn(t, hash[i]);
		for (unsigned i = 0; i < BURST; i++)
			zero |= zero_of(tcp_table_find(t, hash[i], &k[i].local, &k[i].peer));
	}
	return (clock_ns() - began) / LOOKUPS;
}

static double library_one_by_one(const struct tcp_table *t, const struct rte_hash *h)
{
	double began = clock_ns();
	uint32_t zero = 0;

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		const struct key *k = &order[i + zero];
		void *c = NULL;

		rte_hash_lookup_with_hash_data(h, k, tcp_hash(t, &k->local, &k->peer), &c);
		zero = zero_of(c);
	}
	return (clock_ns() - began) / LOOKUPS;
}

static double library_in_bursts(const struct tcp_table *t, const struct rte_hash *h)
{
	double began = clock_ns();
	uint32_t zero = 0, hash[BURST];
	const void *keys[BURST];
	void *c[BURST];

	for (uint32_t at = 0; at < LOOKUPS; at += BURST) {
		const struct key *k = &order[at + zero];
		uint64_t hits;

		for (unsigned i = 0; i < BURST; i++) {
			hash[i] = tcp_hash(t, &k[i].local, &k[i].peer);
			keys[i] = &k[i];
		}
		rte_hash_lookup_with_hash_bulk_data(h, keys, hash, BURST, &hits, c);
		for (unsigned i = 0; i < BURST; i++)
			rte_prefetch0(c[i]);
		for (unsigned i = 0; i < BURST; i++)
			zero |= zero_of(c[i]);
	}
	return (clock_ns() - began) / LOOKUPS;
}

static struct rte_hash *library_table(uint32_t n)
{
	const struct rte_hash_parameters p = {.name = "lookup",
					      .entries = n + n / 4 + 64, /* it fills to 95 % or so */
					      .key_len = sizeof(struct key)};
	struct rte_hash *h = rte_hash_create(&p);

	if (!h) {
		fprintf(stderr, "bench_lookup: no rte_hash: %s\n", rte_strerror(rte_errno));
		exit(1);
	}
	return h;
}

static void measure(uint32_t n, struct rte_mempool *pool)
{
	struct key *keys = calloc(n, sizeof(*keys)), k = {0};
	size_t bytes;
	struct stack *st = stack_of(n, pool, &bytes);
	struct tcp_table *t = st->tcp;
	struct rte_hash *h = library_table(n);
	double ns[4];

	k.local = (struct endpoint){.addr = ip_addr_v4(inet_addr("198.18.0.2")), .port = htons(80)};
	for (uint32_t i = 0; i < n; i++) {
		struct tcp_conn *c = tcp_conn_new(st, AF_INET);
		uint32_t hash;

		random_peer(&k.peer);
		keys[i] = k;
		c->so.local = k.local;
		c->so.peer = k.peer;
		hash = tcp_hash(t, &k.local, &k.peer);
		tcp_table_add(c, hash);
		if (rte_hash_add_key_with_hash_data(h, &k, hash, c) != 0)
			zero_of(NULL);
	}
	for (uint32_t i = 0; i < LOOKUPS; i++)
		order[i] = keys[next_random() % n];
	ns[0] = one_by_one(t);
	ns[1] = in_bursts(t);
	ns[2] = library_one_by_one(t, h);
	ns[3] = library_in_bursts(t, h);
	printf("%8u %10.1f %10.1f %10.1f %10.1f\n", n, ns[0], ns[1], ns[2], ns[3]);
	fflush(stdout);
	rte_hash_free(h);
	free(keys);
	munmap(st, bytes);
}

int main(int argc, char **argv)
{
	uint32_t most = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1000000;
	struct rte_mempool *pool;

	kit_eal_start();
	pool = kit_pool_new(MBUFS);
	order = calloc(LOOKUPS, sizeof(*order));
	printf("            one by one   burst of 32      rte_hash   bulk of 32\n");
	for (uint32_t n = 1; n <= most; n *= n == 1 ? 1000 : 10)
		measure(n, pool);
	free(order);
	return 0;
}
