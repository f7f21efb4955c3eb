/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_sndq.c - what the program wrote and the peer has not acknowledged: also the retransmission queue
 *
 * See tcp_sndq.h for the invariants. Called by the socket calls (write), tcp_in.c (ack) and tcp_out.c
 * (split); what is sent, and when, is decided there.
 */
#include "tcp_sndq.h"

#include <string.h>

#include "tcp_conn.h"
#include "tcp_recover.h"
#include "tcp_table.h"

#define ALLOC_BURST 32
#define FREE_BURST  32

/* IP + Ethernet in front, and the longest TCP header: within the headroom, kept explicit for odd pools. */
_Static_assert(PKT_HEADROOM >= IP4_OUTPUT_HEADROOM + 60, "headers must fit into the headroom");

uint32_t tcp_sndq_room(const struct tcp_conn *c)
{
	uint32_t data_room = rte_pktmbuf_data_room_size(c->so.stack->cfg.pool) - PKT_HEADROOM;

	return c->mss < data_room ? c->mss : data_room;
}

static void copy_in(struct tcp_iov_cursor *cur, uint8_t *dst, size_t n)
{
	while (n) {
		size_t here = cur->iov->iov_len - cur->off;

		if (here > n)
			here = n;
		memcpy(dst, (const uint8_t *)cur->iov->iov_base + cur->off, here);
		dst += here;
		n -= here;
		cur->off += here;
		if (cur->off == cur->iov->iov_len && cur->left > 1) {
			cur->iov++;
			cur->left--;
			cur->off = 0;
		}
	}
}

static void hold(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct tcp_sndq *q = &c->sndq;

	pkt_meta(m)->next = NULL;
	if (q->tail)
		pkt_meta(q->tail)->next = m;
	else
		q->head = m;
	if (q->count == 0)
		c->so.stack->tcp->undelivered++;
	q->tail = m;
	if (!q->unsent)
		q->unsent = m;
	q->count++;
	c->so.stack->held_mbufs++;
}

void tcp_sndq_append(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct pkt_meta *meta = pkt_meta(m);

	meta->seq = c->write_seq;
	meta->tx_count = 0;
	hold(c, m);
	c->sndq.bytes += meta->len;
	c->write_seq += tcp_mbuf_seqlen(m);
}

/* Room at the end of the last buffer, if it was not sent yet. */
static uint32_t tail_room(const struct tcp_conn *c, uint32_t room)
{
	struct rte_mbuf *m = c->sndq.tail;
	const struct pkt_meta *meta;

	if (!c->sndq.unsent)
		return 0;
	meta = pkt_meta(m);
	/* Buffers given by sendfile may start elsewhere: both the segment and the memory limit */
	if (meta->len >= room || meta->off + meta->len >= m->buf_len)
		return 0;
	return RTE_MIN(room - meta->len, (uint32_t)m->buf_len - meta->off - meta->len);
}

static void starved_link(struct tcp_conn *c, struct tcp_conn **list)
{
	c->qnext = *list;
	c->qpprev = list;
	if (*list)
		(*list)->qpprev = &c->qnext;
	*list = c;
}

void tcp_sndq_starved_unlink(struct tcp_conn *c)
{
	*c->qpprev = c->qnext;
	if (c->qnext)
		c->qnext->qpprev = c->qpprev;
	c->flags &= ~CONN_F_STARVED;
}

void tcp_sndq_starve(struct tcp_conn *c)
{
	struct tcp_table *t = c->so.stack->tcp;

	COUNT(c->so.stack, mbuf_reserve_refused);
	c->flags |= CONN_F_NOSPACE;
	if (c->flags & CONN_F_STARVED)
		return;
	c->flags |= CONN_F_STARVED;
	starved_link(c, c->sndq.count ? &t->starved : &t->starved_idle);
}

bool tcp_sndq_may_take(const struct tcp_conn *c, uint32_t n)
{
	return c->sndq.count ? stack_may_write(c->so.stack, n) : stack_may_hold_first(c->so.stack, n);
}

size_t tcp_sndq_write(struct tcp_conn *c, struct tcp_iov_cursor *cur, size_t bytes)
{
	struct stack *st = c->so.stack;
	uint32_t room = tcp_sndq_room(c);
	uint32_t tail = tail_room(c, room);
	size_t done = 0;

	if (tail) {
		struct pkt_meta *meta = pkt_meta(c->sndq.tail);

		done = RTE_MIN((size_t)tail, bytes);
		copy_in(cur, tcp_mbuf_payload(c->sndq.tail) + meta->len, done);
		meta->len += done;
		c->sndq.bytes += done;
		c->write_seq += done;
	}
	while (done < bytes) {
		struct rte_mbuf *ms[ALLOC_BURST];
		size_t want = (bytes - done + room - 1) / room;
		unsigned n = want < ALLOC_BURST ? (unsigned)want : ALLOC_BURST;

		if (!tcp_snd_has_room(c)) {
			COUNT(st, tcp_sndbuf_full);
			c->flags |= CONN_F_NOSPACE;
			break;
		}
		n = RTE_MIN(n, (c->so.sndbuf_bytes - tcp_sndq_mem(c)) / tcp_mbuf_charge(room) + 1);
		if (!tcp_sndq_may_take(c, n) || rte_pktmbuf_alloc_bulk(st->cfg.pool, ms, n) != 0) {
			tcp_sndq_starve(c);
			break;
		}
		for (unsigned i = 0; i < n; i++) {
			struct pkt_meta *meta = pkt_meta(ms[i]);
			size_t len = RTE_MIN(bytes - done, (size_t)room);

			meta->off = PKT_HEADROOM;
			meta->len = (uint16_t)len;
			meta->flags = 0;
			copy_in(cur, tcp_mbuf_payload(ms[i]), len);
			tcp_sndq_append(c, ms[i]);
			done += len;
		}
	}
	return done;
}

void tcp_sndq_append_or_merge(struct tcp_conn *c, struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta(m);
	struct pkt_meta *tail;

	if (tail_room(c, tcp_sndq_room(c)) < meta->len) {
		tcp_sndq_append(c, m);
		return;
	}
	tail = pkt_meta(c->sndq.tail);
	memcpy(tcp_mbuf_payload(c->sndq.tail) + tail->len, tcp_mbuf_payload(m), meta->len);
	tail->len += meta->len;
	c->sndq.bytes += meta->len;
	c->write_seq += meta->len;
	rte_pktmbuf_free_seg(m);
}

bool tcp_sndq_append_fin(struct tcp_conn *c)
{
	struct rte_mbuf *m;

	if (c->sndq.unsent) {
		pkt_meta(c->sndq.tail)->flags |= TCP_M_FIN;
		c->write_seq++;
		return true;
	}
	m = stack_mbuf_alloc(c->so.stack);
	if (!m)
		return false;
	pkt_meta(m)->off = PKT_HEADROOM;
	pkt_meta(m)->flags = TCP_M_FIN;
	tcp_sndq_append(c, m);
	return true;
}

bool tcp_sndq_split(struct tcp_conn *c, struct rte_mbuf *m, uint32_t keep)
{
	struct pkt_meta *meta = pkt_meta(m), *rest_meta;
	struct rte_mbuf *rest = stack_mbuf_alloc(c->so.stack);

	if (!rest)
		return false;
	rest_meta = pkt_meta(rest);
	*rest_meta = *meta;
	rest_meta->off = PKT_HEADROOM;
	rest_meta->len = meta->len - (uint16_t)keep;
	rest_meta->seq = meta->seq + keep;
	memcpy(tcp_mbuf_payload(rest), tcp_mbuf_payload(m) + keep, rest_meta->len);
	meta->len = (uint16_t)keep;
	meta->flags &= ~(TCP_M_FIN | TCP_M_PSH);
	meta->next = rest;
	if (c->sndq.tail == m)
		c->sndq.tail = rest;
	c->sndq.count++;
	c->so.stack->held_mbufs++;
	tcp_recover_on_split(c, m, rest);
	return true;
}

void tcp_sndq_ack(struct tcp_conn *c, uint32_t ack, struct tcp_acked *acked)
{
	struct tcp_sndq *q = &c->sndq;
	struct rte_mbuf *done[FREE_BURST], *m;
	unsigned n = 0;

	while ((m = q->head) != NULL && m != q->unsent) {
		struct pkt_meta *meta = pkt_meta(m);
		uint32_t seqlen = tcp_mbuf_seqlen(m);

		if (seq_gt(meta->seq + seqlen, ack)) {
			uint32_t cut = ack - meta->seq;

			if (cut == 0 || seq_leq(ack, meta->seq))
				break;
			tcp_recover_on_cut(c, m, cut, acked);
			meta->seq += cut;
			meta->off += (uint16_t)cut;
			meta->len -= (uint16_t)cut;
			q->bytes -= cut;
			break;
		}
		tcp_recover_on_acked(c, m, acked);
		q->head = meta->next;
		q->bytes -= meta->len;
		q->count--;
		done[n++] = m;
		if (n == FREE_BURST) {
			for (unsigned i = 0; i < n; i++)
				rte_pktmbuf_free_seg(done[i]);
			c->so.stack->held_mbufs -= n;
			n = 0;
		}
	}
	for (unsigned i = 0; i < n; i++)
		rte_pktmbuf_free_seg(done[i]);
	c->so.stack->held_mbufs -= n;
	if (!q->head && q->tail) {
		q->tail = NULL;
		c->so.stack->tcp->undelivered--;
		/* Its peer reads: it need not wait for those whose peers do not */
		if (unlikely(c->flags & CONN_F_STARVED)) {
			tcp_sndq_starved_unlink(c);
			c->flags |= CONN_F_STARVED;
			starved_link(c, &c->so.stack->tcp->starved_idle);
		}
	}
}

void tcp_sndq_clear(struct tcp_conn *c)
{
	struct tcp_sndq *q = &c->sndq;

	if (c->so.kind != SOCK_KIND_TCP)
		return;
	if (q->head)
		c->so.stack->tcp->undelivered--;
	while (q->head) {
		struct rte_mbuf *m = q->head;

		q->head = pkt_meta(m)->next;
		rte_pktmbuf_free_seg(m);
	}
	c->so.stack->held_mbufs -= q->count;
	memset(q, 0, sizeof(*q));
}

/* Somebody of the starved who may be given buffers now; NULL: nobody. */
static struct tcp_conn *next_to_feed(const struct stack *st)
{
	const struct tcp_table *t = st->tcp;

	if (t->starved_idle && stack_may_hold_first(st, ALLOC_BURST))
		return t->starved_idle;
	return stack_may_write(st, ALLOC_BURST) ? t->starved : NULL;
}

bool tcp_sndq_may_feed(const struct stack *st)
{
	return next_to_feed(st) != NULL;
}

void tcp_sndq_feed_starved(struct stack *st)
{
	struct tcp_conn *c;

	while ((c = next_to_feed(st)) != NULL) {
		tcp_sndq_starved_unlink(c);
		c->flags &= ~CONN_F_NOSPACE;
		sock_events_set(&c->so, EPOLLOUT);
		sock_wake(&c->so, EPOLLOUT);
	}
}
