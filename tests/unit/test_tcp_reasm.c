/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_reasm.c - see stack/tcp_reasm.h: the invariants written there, each with a test
 */
#include "tcp_unit.h"

#include "stack/tcp_rcvq.h"
#include "stack/tcp_reasm.h"

/* Bytes [from, to) of the stream arrive ahead of their time. */
static void arrive(struct unit *u, struct tcp_conn *c, uint32_t from, uint32_t to, bool fin)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(u->pool), *last;
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(to - from));

	for (uint32_t i = from; i < to; i++)
		p[i - from] = (uint8_t)(i * 3);
	tcp_reasm_insert(c, tcp_rx_flatten(c, m, 0, to - from, c->irs + 1 + from, &last), fin);
}

/* Sorted, without overlap, and counted right. */
static void check(const struct tcp_conn *c)
{
	uint32_t bytes = 0, count = 0, end = c->rcv_nxt;

	for (struct rte_mbuf *m = c->reasm.head; m; m = pkt_meta(m)->next) {
		cr_assert(seq_geq(pkt_meta(m)->seq, end));
		end = tcp_mbuf_end(m);
		bytes += pkt_meta(m)->len;
		count++;
		cr_assert(pkt_meta(m)->next || m == c->reasm.tail);
	}
	cr_assert_eq(bytes, c->reasm.bytes);
	cr_assert_eq(count, c->reasm.count);
}

/* The hole up to `to` is filled: everything must be there. */
static void fill(struct tcp_conn *c, uint32_t to, uint32_t total, bool fin)
{
	uint32_t from = c->rcv_nxt - c->irs - 1;
	uint8_t *buf = malloc(total);
	struct iovec iov = {buf, total};
	size_t n;

	c->rcv_nxt += to - from;
	cr_assert_eq(tcp_reasm_deliver(c), fin);
	check(c);
	n = tcp_rcvq_read(c, &iov, 1, 0, total);
	cr_assert_eq(n, total - to);
	for (uint32_t i = 0; i < n; i++)
		cr_assert_eq(buf[i], (uint8_t)((to + i) * 3), "byte %u", to + i);
	free(buf);
}

static void sack_is(const struct tcp_conn *c, unsigned i, uint32_t from, uint32_t to)
{
	cr_assert_lt(i, c->reasm.n_sacks);
	cr_assert_eq(c->reasm.sacks[i].start - c->irs - 1, from);
	cr_assert_eq(c->reasm.sacks[i].end - c->irs - 1, to);
}

Test(tcp_reasm, any_order_with_overlaps_gives_the_stream)
{
	struct unit u;
	struct tcp_conn *c;
	uint32_t random = 1;

	unit_start(&u, 16);
	for (int round = 0; round < 50; round++) {
		c = unit_conn(&u);
		for (int i = 0; i < 300; i++) {
			uint32_t from, to;

			random = random * 1103515245 + 12345;
			from = 100 + (random >> 16) % 9000;
			random = random * 1103515245 + 12345;
			to = RTE_MIN(from + 1 + (random >> 16) % 900, 10000u);
			arrive(&u, c, from, to, false);
			check(c);
		}
		for (uint32_t at = 100; at < 10000; at += 700)
			arrive(&u, c, at, RTE_MIN(at + 700, 10000u), at + 700 >= 10000);
		check(c);
		fill(c, 100, 10000, true);
		cr_assert_eq(c->reasm.head, NULL);
		cr_assert_eq(c->reasm.n_sacks, 0);
		tcp_conn_free(c);
		cr_assert_eq(u.st->held_mbufs, 0);
	}
	unit_stop(&u);
}

Test(tcp_reasm, newest_block_comes_first_and_neighbours_merge)
{
	struct unit u;
	struct tcp_conn *c;

	unit_start(&u, 16);
	c = unit_conn(&u);
	arrive(&u, c, 1000, 1100, false);
	arrive(&u, c, 3000, 3100, false);
	sack_is(c, 0, 3000, 3100);
	sack_is(c, 1, 1000, 1100);
	arrive(&u, c, 1100, 1200, false);
	sack_is(c, 0, 1000, 1200);
	sack_is(c, 1, 3000, 3100);
	for (uint32_t at = 4000; at < 9000; at += 1000)
		arrive(&u, c, at, at + 10, false);
	cr_assert_eq(c->reasm.n_sacks, 4);
	sack_is(c, 0, 8000, 8010);
	sack_is(c, 3, 5000, 5010);
	arrive(&u, c, 8000, 8010, false);
	cr_assert(c->flags & CONN_F_DSACK);
	cr_assert_eq(c->reasm.dsack.start - c->irs - 1, 8000);
	unit_stop(&u);
}

Test(tcp_reasm, tiny_segments_are_bounded)
{
	struct unit u;
	struct tcp_conn *c;

	unit_start(&u, 16);
	c = unit_conn(&u);
	for (uint32_t i = 0; i < 20000; i++)
		arrive(&u, c, 10 + 2 * i, 11 + 2 * i, false);
	check(c);
	cr_assert_leq(u.st->held_mbufs, UNIT_MBUFS - UNIT_MBUFS / 4);
	cr_assert_gt(u.st->counters[COUNTER_tcp_ofo_dropped], 0);
	tcp_reasm_drop(c);
	cr_assert_eq(u.st->held_mbufs, 0);
	cr_assert_eq(c->reasm.n_sacks, 0);
	unit_stop(&u);
}
