/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_sndq.c - see stack/tcp_sndq.h: the invariants written there, each with a test
 */
#include "tcp_unit.h"

#include "stack/tcp_recover.h"
#include "stack/tcp_sndq.h"

static size_t put(struct tcp_conn *c, const void *data, size_t len)
{
	struct iovec iov = {(void *)data, len};
	struct tcp_iov_cursor cur = {&iov, 1, 0};

	return tcp_sndq_write(c, &cur, len);
}

/* The invariants of tcp_sndq.h. */
static void check(const struct tcp_conn *c)
{
	uint32_t seq = c->snd_una, bytes = 0, count = 0;
	bool seen_unsent = c->sndq.unsent == NULL;

	for (struct rte_mbuf *m = c->sndq.head; m; m = pkt_meta(m)->next) {
		cr_assert_eq(pkt_meta(m)->seq, seq);
		seen_unsent |= m == c->sndq.unsent;
		seq = tcp_mbuf_end(m);
		bytes += pkt_meta(m)->len;
		count++;
		cr_assert(pkt_meta(m)->next || m == c->sndq.tail);
	}
	cr_assert_eq(seq, c->write_seq);
	cr_assert_eq(bytes, c->sndq.bytes);
	cr_assert_eq(count, c->sndq.count);
	cr_assert_eq(count, c->so.stack->held_mbufs);
	cr_assert(seen_unsent);
}

/* As if everything queued had been transmitted. */
static void sent(struct tcp_conn *c)
{
	c->sndq.unsent = NULL;
	c->snd_nxt = c->write_seq;
}

static void ack(struct tcp_conn *c, uint32_t bytes)
{
	struct tcp_acked a = {0};

	c->snd_una += bytes;
	tcp_sndq_ack(c, c->snd_una, &a);
	check(c);
}

Test(tcp_sndq, small_writes_share_a_buffer_until_it_is_sent)
{
	struct unit u;
	struct tcp_conn *c;

	unit_start(&u, 16);
	c = unit_conn(&u);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(put(c, "0123456789", 10), 10);
	check(c);
	cr_assert_eq(c->sndq.count, 1);
	sent(c);
	cr_assert_eq(put(c, "x", 1), 1);
	cr_assert_eq(c->sndq.count, 2, "a sent buffer is not touched");
	check(c);
	ack(c, 1000);
	cr_assert_eq(c->sndq.bytes, 1);
	unit_stop(&u);
}

Test(tcp_sndq, no_buffer_exceeds_a_segment_and_bytes_keep_their_order)
{
	struct unit u;
	struct tcp_conn *c;
	uint8_t data[10000];
	size_t at = 0;

	unit_start(&u, 16);
	c = unit_conn(&u);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	struct iovec iov[3] = {{data, 1}, {data + 1, 4000}, {data + 4001, 5999}};
	struct tcp_iov_cursor cur = {iov, 3, 0};
	cr_assert_eq(tcp_sndq_write(c, &cur, sizeof(data)), sizeof(data));
	check(c);
	for (struct rte_mbuf *m = c->sndq.head; m; m = pkt_meta(m)->next) {
		cr_assert_leq(pkt_meta(m)->len, c->mss);
		cr_assert_arr_eq(tcp_mbuf_payload(m), data + at, pkt_meta(m)->len);
		at += pkt_meta(m)->len;
	}
	sent(c);
	ack(c, 100); /* in the middle of the first */
	ack(c, c->mss);
	ack(c, 10000 - 100 - c->mss);
	cr_assert_eq(c->sndq.head, NULL);
	cr_assert_eq(u.st->tcp->undelivered, 0);
	unit_stop(&u);
}

Test(tcp_sndq, split_keeps_every_byte)
{
	struct unit u;
	struct tcp_conn *c;

	unit_start(&u, 16);
	c = unit_conn(&u);
	put(c, "abcdefgh", 8);
	cr_assert(tcp_sndq_append_fin(c));
	cr_assert(tcp_sndq_split(c, c->sndq.head, 3));
	check(c);
	cr_assert_eq(memcmp(tcp_mbuf_payload(c->sndq.head), "abc", 3), 0);
	cr_assert_eq(memcmp(tcp_mbuf_payload(c->sndq.tail), "defgh", 5), 0);
	cr_assert(pkt_meta(c->sndq.tail)->flags & TCP_M_FIN);
	cr_assert(!(pkt_meta(c->sndq.head)->flags & TCP_M_FIN));
	unit_stop(&u);
}

Test(tcp_sndq, fin_rides_on_unsent_data_or_stands_alone)
{
	struct unit u;
	struct tcp_conn *c;

	unit_start(&u, 16);
	c = unit_conn(&u);
	put(c, "a", 1);
	cr_assert(tcp_sndq_append_fin(c));
	cr_assert_eq(c->sndq.count, 1);
	check(c);
	tcp_conn_free(c);
	c = unit_conn(&u);
	put(c, "a", 1);
	sent(c);
	cr_assert(tcp_sndq_append_fin(c));
	cr_assert_eq(c->sndq.count, 2);
	unit_stop(&u);
}

Test(tcp_sndq, buffer_and_pool_limits_stop_a_writer)
{
	struct unit u;
	struct tcp_conn *c;
	static uint8_t data[1 << 20];
	size_t n;

	unit_start(&u, 16);
	c = unit_conn(&u);
	n = put(c, data, sizeof(data));
	cr_assert_lt(n, sizeof(data));
	cr_assert_gt(n, c->so.sndbuf_bytes / 2);
	cr_assert(c->flags & CONN_F_NOSPACE);
	cr_assert_eq(put(c, data, 1), 0);
	check(c);

	c->so.sndbuf_bytes = 1 << 30;
	for (int i = 0; i < 20; i++)
		put(c, data, sizeof(data));
	cr_assert(c->flags & CONN_F_STARVED);
	cr_assert_leq(u.st->held_mbufs, UNIT_MBUFS - UNIT_MBUFS / 4, "a reserve stays for receiving");
	check(c);
	sent(c);
	ack(c, c->write_seq - c->snd_una);
	tcp_sndq_feed_starved(u.st);
	cr_assert(!(c->flags & CONN_F_STARVED));
	unit_stop(&u);
}
