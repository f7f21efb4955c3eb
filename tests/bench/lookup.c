/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lookup.c - what finding a segment's connection costs, among a thousand and among a million
 *
 *     bench_lookup [CONNECTIONS]        default 1000000
 *
 * Random endpoints, looked up in random order: ns per lookup and the lengths of the hash chains. Beyond the
 * processor's caches a lookup costs two misses, the bucket and the connection, however many there are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "stack/tcp_conn.h"
#include "stack/tcp_state.h"
#include "stack/tcp_table.h"
#include "tests/kit/kit_eal.h"

#define LOOKUPS 2000000u
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
	cfg.max_tcp = max_tcp;
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

static struct endpoint random_peer(void)
{
	uint64_t r = next_random();

	return (struct endpoint){.addr = ip_addr_v4(htonl(0xc6120000u | (uint32_t)(r & 0x1ffff))),
				 .port = htons((uint16_t)(1024 + (r >> 20) % 64000))};
}

static void measure(uint32_t n, struct rte_mempool *pool)
{
	struct endpoint local = {.addr = ip_addr_v4(inet_addr("198.18.0.2")), .port = htons(80)};
	struct endpoint *peers = malloc(n * sizeof(*peers));
	size_t bytes;
	struct stack *st = stack_of(n, pool, &bytes);
	struct tcp_table *t = st->tcp;
	unsigned longest = 0, used = 0, missing = 0;
	double began, ns;

	for (uint32_t i = 0; i < n; i++) {
		struct tcp_conn *c = tcp_conn_new(st, AF_INET);

		peers[i] = c->so.peer = random_peer();
		c->so.local = local;
		tcp_table_add(c, tcp_hash(t, &local, &peers[i]));
	}
	for (uint32_t b = 0; b <= t->bucket_mask; b++) {
		unsigned len = 0;

		for (struct tcp_conn *c = t->buckets[b]; c; c = c->hash_next)
			len++;
		used += len != 0;
		longest = len > longest ? len : longest;
	}
	began = clock_ns();
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		struct endpoint *peer = &peers[next_random() % n];

		missing += !tcp_table_find(t, tcp_hash(t, &local, peer), &local, peer);
	}
	ns = (clock_ns() - began) / LOOKUPS;
	printf("%8u connections: %6.1f ns per lookup, chains %.2f on average, %u at most; %zu MB of "
	       "sockets%s\n",
	       n, ns, (double)n / used, longest, bytes >> 20, missing ? ", SOME NOT FOUND" : "");
	free(peers);
	munmap(st, bytes);
}

int main(int argc, char **argv)
{
	uint32_t most = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1000000;
	struct rte_mempool *pool;

	kit_eal_start();
	pool = kit_pool_new(MBUFS);
	for (uint32_t n = 1000; n <= most; n *= 10)
		measure(n, pool);
	return 0;
}
