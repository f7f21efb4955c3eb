/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_table.c - see stack/tcp_table.h: the invariants written there, each with a test
 */
#include "tcp_unit.h"

#include <errno.h>

#include "stack/sock.h"

static struct sock *bound(struct unit *u, const char *ip, uint16_t port, int expect)
{
	struct endpoint ep = unit_at(ip, port);
	struct sock *so;
	int err;

	cr_assert_eq(sock_new(u->st, AF_INET, SOCK_STREAM, &so), 0);
	err = sock_bind(so, &ep);
	cr_assert_eq(err, expect, "bind %s:%u: %d", ip ? ip : "*", port, err);
	return so;
}

Test(tcp_table, full_arena_refuses_and_recovers)
{
	struct unit u;
	struct sock *so[16], *more;

	unit_start(&u, 16);
	for (int i = 0; i < 16; i++)
		cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &so[i]), 0);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &more), -ENOBUFS);
	sock_close(so[3]);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &more), 0);
	cr_assert_eq(more, so[3], "freed memory is warm: it comes first");
	unit_stop(&u);
}

static unsigned entries(const struct tcp_table *t)
{
	unsigned n = 0;

	for (uint32_t b = 0; b <= t->bucket_mask; b++)
		for (unsigned i = 0; i < TCP_BUCKET_ENTRIES; i++)
			n += t->buckets[b].place[i] != 0;
	return n;
}

/* How often an entry went by a full bucket. */
static unsigned passed(const struct tcp_table *t)
{
	unsigned n = 0;

	for (uint32_t b = 0; b <= t->bucket_mask; b++)
		n += t->buckets[b].passed;
	return n;
}

Test(tcp_table, finds_each_of_many_and_only_them)
{
	struct unit u;
	struct tcp_table *t;
	struct endpoint local = unit_at("198.18.0.2", 80);

	unit_start(&u, 4096);
	t = u.st->tcp;
	for (unsigned i = 0; i < 4000; i++) {
		struct tcp_conn *c = tcp_conn_new(u.st, AF_INET);

		c->so.local = local;
		c->so.peer = unit_at("198.18.0.1", (uint16_t)(1000 + i));
		tcp_table_add(c, tcp_hash(t, &c->so.local, &c->so.peer));
	}
	for (unsigned i = 0; i < 5000; i++) {
		struct endpoint peer = unit_at("198.18.0.1", (uint16_t)(1000 + i));
		struct tcp_conn *c = tcp_table_find(t, tcp_hash(t, &local, &peer), &local, &peer);

		cr_assert_eq(c != NULL, i < 4000);
		cr_assert(!c || c->so.peer.port == peer.port);
		if (c && i % 2)
			tcp_table_remove(c);
	}
	cr_assert_eq(entries(t), 2000);
	for (unsigned i = 0; i < 4000; i += 2) {
		struct endpoint peer = unit_at("198.18.0.1", (uint16_t)(1000 + i));

		tcp_table_remove(tcp_table_find(t, tcp_hash(t, &local, &peer), &local, &peer));
	}
	cr_assert_eq(entries(t), 0);
	cr_assert_eq(passed(t), 0, "a search goes on although nothing is there");
	unit_stop(&u);
}

/* Equal hashes fill bucket after bucket, also around the end of the table. */
Test(tcp_table, finds_what_its_full_bucket_passed_on)
{
	struct unit u;
	struct tcp_table *t;
	struct tcp_conn *c[60];
	struct endpoint local = unit_at("198.18.0.2", 80), none = unit_at("198.18.0.1", 9);

	unit_start(&u, 64);
	t = u.st->tcp;
	for (unsigned i = 0; i < 60; i++) {
		c[i] = tcp_conn_new(u.st, AF_INET);
		c[i]->so.local = local;
		c[i]->so.peer = unit_at("198.18.0.1", (uint16_t)(1000 + i));
		tcp_table_add(c[i], t->bucket_mask);
	}
	cr_assert_gt(passed(t), 0);
	for (unsigned i = 0; i < 60; i++)
		cr_assert_eq(tcp_table_find(t, t->bucket_mask, &local, &c[i]->so.peer), c[i]);
	cr_assert_null(tcp_table_find(t, t->bucket_mask, &local, &none));
	cr_assert_null(tcp_table_find(t, 0, &local, &c[59]->so.peer));
	/* What is gone leaves no hole that hides the others */
	for (unsigned i = 0; i < 60; i += 3)
		tcp_table_remove(c[i]);
	for (unsigned i = 0; i < 60; i++)
		cr_assert_eq(tcp_table_find(t, t->bucket_mask, &local, &c[i]->so.peer), i % 3 ? c[i] : NULL);
	for (unsigned i = 0; i < 60; i++)
		tcp_table_remove(c[i]);
	cr_assert_eq(entries(t), 0);
	cr_assert_eq(passed(t), 0);
	unit_stop(&u);
}

/* A lookup is one cache line of the table: few buckets overflow even when there are as many as allowed. */
Test(tcp_table, few_buckets_overflow)
{
	struct unit u;
	struct tcp_table *t;

	unit_start(&u, 16384);
	t = u.st->tcp;
	for (unsigned i = 0; i < 16384; i++) {
		struct tcp_conn *c = tcp_conn_new(u.st, AF_INET);

		c->so.local = unit_at("198.18.0.2", 80);
		c->so.peer = unit_at("198.18.0.1", (uint16_t)(1000 + i));
		tcp_table_add(c, tcp_hash(t, &c->so.local, &c->so.peer));
	}
	cr_assert_eq(entries(t), 16384);
	cr_assert_lt(passed(t), 16384 / 25);
	unit_stop(&u);
}

Test(tcp_table, siphash_is_siphash)
{
	/* The reference vector for key 00..0f and the bytes 00..07 */
	const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908}, word = 0x0706050403020100;

	cr_assert_eq(tcp_siphash(key, &word, 1), 0x93f5f5799a932462);
	cr_assert_eq(tcp_siphash(key, NULL, 0), 0x726fdb47dd0e0e31);
}

Test(tcp_table, bind_conflicts_as_linux_decides)
{
	struct unit u;
	struct sock *a, *b;

	unit_start(&u, 64);
	a = bound(&u, NULL, 80, 0);
	bound(&u, NULL, 80, -EADDRINUSE);
	bound(&u, "198.18.0.2", 80, -EADDRINUSE);
	bound(&u, "198.18.0.9", 81, -EADDRNOTAVAIL);
	sock_close(a);
	bound(&u, "198.18.0.2", 80, 0);

	/* SO_REUSEADDR on both sides, and nobody listens yet */
	struct endpoint ep = unit_at(NULL, 90);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &a), 0);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &b), 0);
	a->reuseaddr = b->reuseaddr = true;
	cr_assert_eq(sock_bind(a, &ep), 0);
	cr_assert_eq(sock_bind(b, &ep), 0);
	cr_assert_eq(sock_listen(a, 5), 0);
	cr_assert_eq(sock_listen(b, 5), -EADDRINUSE);

	/* SO_REUSEPORT on both sides: both may listen */
	ep = unit_at(NULL, 91);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &a), 0);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &b), 0);
	a->reuseport = b->reuseport = true;
	cr_assert_eq(sock_bind(a, &ep), 0);
	cr_assert_eq(sock_listen(a, 5), 0);
	cr_assert_eq(sock_bind(b, &ep), 0);
	cr_assert_eq(sock_listen(b, 5), 0);
	unit_stop(&u);
}

Test(tcp_table, ports_chosen_are_free_and_in_range)
{
	struct unit u;
	struct sock *so;
	uint8_t seen[65536] = {0};

	unit_start(&u, 1024);
	for (unsigned i = 0; i < 500; i++) {
		so = bound(&u, NULL, 0, 0);
		cr_assert_geq(ntohs(so->local.port), 32768);
		cr_assert_leq(ntohs(so->local.port), 60999);
		cr_assert_eq(seen[ntohs(so->local.port)]++, 0);
	}
	unit_stop(&u);
}

Test(tcp_table, exact_listener_before_wildcard)
{
	struct unit u;
	struct endpoint any = unit_at(NULL, 80), mine = unit_at("198.18.0.2", 80),
			other = unit_at("198.18.0.3", 80);
	struct sock *a, *b;

	unit_start(&u, 64);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &a), 0);
	cr_assert_eq(sock_new(u.st, AF_INET, SOCK_STREAM, &b), 0);
	a->reuseport = b->reuseport = true;
	cr_assert_eq(sock_bind(a, &any), 0);
	cr_assert_eq(sock_bind(b, &mine), 0);
	cr_assert_eq(sock_listen(a, 1), 0);
	cr_assert_eq(sock_listen(b, 1), 0);
	cr_assert_eq(&tcp_table_find_listener(u.st->tcp, &mine, 1)->so, b);
	cr_assert_eq(&tcp_table_find_listener(u.st->tcp, &other, 1)->so, a);
	unit_stop(&u);
}

/* RFC 6528 and 7323, 5.4, over a restart: the peer's TIME-WAIT must see numbers that go on. */
Test(tcp_table, a_restarted_program_goes_on_with_the_hosts_isn)
{
	struct endpoint local = unit_at("198.18.0.2", 40000), peer = unit_at("198.18.0.1", 80);
	uint32_t isn[3], offset[3];

	for (unsigned i = 0; i < 3; i++) {
		struct unit u;

		unit_start_keyed(&u, 16, 100 + i, i < 2 ? 42 : 0);
		isn[i] = tcp_isn(u.st, &local, &peer, &offset[i]);
		unit_stop(&u);
		rte_mempool_free(u.pool);
	}
	cr_assert_eq(isn[0], isn[1]);
	cr_assert_eq(offset[0], offset[1]);
	cr_assert_neq(isn[0], isn[2], "without a host's secret the seed keys them");
	cr_assert_neq(offset[0], offset[2]);
}
