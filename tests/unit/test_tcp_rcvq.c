/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_rcvq.c - see stack/tcp_rcvq.h: the invariants written there, each with a test
 */
#include "tcp_unit.h"

#include "stack/tcp_rcvq.h"

/* A received packet: `skip` bytes of header, then payload that counts up from `first`. */
static struct rte_mbuf *packet(struct unit *u, unsigned skip, unsigned len, unsigned first)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(u->pool);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(skip + len));

	for (unsigned i = 0; i < len; i++)
		p[skip + i] = (uint8_t)(first + i);
	return m;
}

static void receive(struct unit *u, struct tcp_conn *c, unsigned len)
{
	struct rte_mbuf *last;

	tcp_rcvq_append(c, tcp_rx_flatten(c, packet(u, 40, len, c->rcv_nxt - c->irs - 1), 40, len, c->rcv_nxt,
					  &last));
	c->rcv_nxt += len;
}

static size_t take(struct tcp_conn *c, void *buf, size_t len)
{
	struct iovec iov = {buf, len};

	return tcp_rcvq_read(c, &iov, 1, 0, len);
}

Test(tcp_rcvq, single_bytes_do_not_each_hold_a_buffer)
{
	struct unit u;
	struct tcp_conn *c;
	uint8_t buf[4000];

	unit_start(&u, 16);
	c = unit_conn(&u);
	for (int i = 0; i < 4000; i++)
		receive(&u, c, 1);
	cr_assert_leq(c->rcvq.count, 4);
	cr_assert_eq(u.st->held_mbufs, c->rcvq.count);
	cr_assert_eq(take(c, buf, sizeof(buf)), 4000);
	for (int i = 0; i < 4000; i++)
		cr_assert_eq(buf[i], (uint8_t)i);
	cr_assert_eq(u.st->held_mbufs, 0);
	unit_stop(&u);
}

Test(tcp_rcvq, reads_cut_where_the_program_likes)
{
	struct unit u;
	struct tcp_conn *c;
	uint8_t buf[9], at = 0;

	unit_start(&u, 16);
	c = unit_conn(&u);
	for (int i = 0; i < 5; i++)
		receive(&u, c, 1000);
	for (unsigned left = 5000; left; left -= RTE_MIN(left, 9u)) {
		unsigned n = RTE_MIN(left, 9u);

		cr_assert_eq(take(c, buf, 9), n);
		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(buf[i], at++);
		cr_assert_eq(c->rcvq.bytes, left - n);
	}
	cr_assert_eq(take(c, buf, 9), 0);
	unit_stop(&u);
}

Test(tcp_rcvq, peek_leaves_everything)
{
	struct unit u;
	struct tcp_conn *c;
	uint8_t a[700], b[800];
	struct iovec iov[2] = {{a, sizeof(a)}, {b, sizeof(b)}};

	unit_start(&u, 16);
	c = unit_conn(&u);
	receive(&u, c, 1000);
	receive(&u, c, 1000);
	cr_assert_eq(tcp_rcvq_peek(c, 10, iov, 2, 0, 1500), 1500);
	cr_assert_eq(a[0], 10);
	cr_assert_eq(b[799], (uint8_t)1509);
	cr_assert_eq(c->rcvq.bytes, 2000);
	cr_assert_eq(tcp_rcvq_read(c, NULL, 0, 0, 1999), 1999, "MSG_TRUNC: thrown away");
	cr_assert_eq(take(c, a, 5), 1);
	cr_assert_eq(a[0], (uint8_t)1999);
	unit_stop(&u);
}

Test(tcp_rcvq, chains_are_flattened_and_shared_buffers_copied)
{
	struct unit u;
	struct tcp_conn *c;
	struct rte_mbuf *head, *shared, *last;
	uint8_t buf[2000];

	unit_start(&u, 16);
	c = unit_conn(&u);
	head = packet(&u, 40, 600, 0);
	cr_assert_eq(rte_pktmbuf_chain(head, packet(&u, 0, 600, 600)), 0);
	cr_assert_eq(rte_pktmbuf_chain(head, packet(&u, 0, 100, 1200)), 0);
	tcp_rcvq_append(c, tcp_rx_flatten(c, head, 40, 1250, c->rcv_nxt, &last)); /* 50 bytes of padding */
	cr_assert_eq(c->rcvq.bytes, 1250);
	shared = packet(&u, 40, 700, 1250);
	rte_mbuf_refcnt_update(shared, 1);
	tcp_rcvq_append(c, tcp_rx_flatten(c, shared, 40, 700, c->rcv_nxt, &last));
	memset(rte_pktmbuf_mtod(shared, void *), 0, 740); /* its owner reuses it */
	rte_pktmbuf_free(shared);
	cr_assert_eq(take(c, buf, sizeof(buf)), 1950);
	for (int i = 0; i < 1950; i++)
		cr_assert_eq(buf[i], (uint8_t)i, "byte %d", i);
	unit_stop(&u);
}
