/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_unit.h - a stack with nothing in it, and connections made by hand, for the tests of single tcp_*.c
 * files
 */
#ifndef TESTS_UNIT_TCP_UNIT_H
#define TESTS_UNIT_TCP_UNIT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "stack/tcp_conn.h"
#include "stack/tcp_state.h"
#include "stack/tcp_table.h"
#include "tests/kit/kit_eal.h"

#define UNIT_MBUFS 2048

struct unit {
	struct rte_mempool *pool;
	struct stack *st;
	void *mem;
};

static inline void unit_start_keyed(struct unit *u, uint32_t max_tcp, uint64_t seed, uint64_t isn_secret)
{
	struct stack_config cfg;
	int err;

	kit_eal_start();
	u->pool = kit_pool_new(UNIT_MBUFS);
	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){inet_addr("198.18.0.2"), 24};
	cfg.n_addrs = 1;
	cfg.max_tcp = max_tcp;
	cfg.pool = u->pool;
	cfg.pool_mbufs = UNIT_MBUFS;
	cfg.caps.mtu = 1500;
	cfg.seed[0] = seed;
	cfg.isn_secret[0] = isn_secret;
	u->mem = aligned_alloc(64, stack_mem_size(&cfg));
	memset(u->mem, 0, stack_mem_size(&cfg));
	u->st = stack_init(u->mem, &cfg, 0, &err);
	cr_assert(u->st);
}

static inline void unit_start(struct unit *u, uint32_t max_tcp)
{
	unit_start_keyed(u, max_tcp, 7, 0);
}

/* All buffers must be back. */
static inline void unit_stop(struct unit *u)
{
	stack_fini(u->st);
	cr_assert_eq(rte_mempool_avail_count(u->pool), UNIT_MBUFS);
	free(u->mem);
}

static inline struct endpoint unit_at(const char *ip, uint16_t port)
{
	return (struct endpoint){.addr = ip ? ip_addr_v4(inet_addr(ip)) : ip_addr_any(), .port = htons(port)};
}

/* A connection as it is after a handshake: sequence numbers start just below the wrap. */
static inline struct tcp_conn *unit_conn(struct unit *u)
{
	struct tcp_conn *c = tcp_conn_new(u->st, AF_INET);

	cr_assert(c);
	c->path.mtu = 1500;
	c->advmss = 1460;
	c->flags |= CONN_F_SACK;
	c->iss = c->irs = 0xffffff00;
	c->snd_una = c->snd_nxt = c->write_seq = c->iss + 1;
	c->rcv_nxt = c->copied_seq = c->rcv_wup = c->irs + 1;
	c->rcv_adv = c->rcv_nxt + 65535;
	c->snd_wnd = 65535;
	tcp_established(c, NS_PER_MS);
	return c;
}

#endif
