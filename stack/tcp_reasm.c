/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_reasm.c - data received ahead of rcv_nxt, and the SACK blocks that tell the sender of it
 *
 * See tcp_reasm.h. Called by tcp_in.c. Insertion starts at the place of the last one, so that the usual
 * pattern (one hole, everything behind it arriving in order) costs one step whatever the queue's length.
 */
#include "tcp_reasm.h"

#include <string.h>

#include "tcp_conn.h"
#include "tcp_rcvq.h"

/* Payloads up to this are copied into the buffer before them when they continue it. */
#define COPY_BELOW 512

static void unlink_after(struct tcp_conn *c, struct rte_mbuf *prev, struct rte_mbuf *m)
{
	struct tcp_reasm *q = &c->reasm;

	if (prev)
		pkt_meta(prev)->next = pkt_meta(m)->next;
	else
		q->head = pkt_meta(m)->next;
	if (q->tail == m)
		q->tail = prev;
	if (q->hint == m)
		q->hint = prev;
	q->count--;
	q->bytes -= pkt_meta(m)->len;
}

static void drop_after(struct tcp_conn *c, struct rte_mbuf *prev, struct rte_mbuf *m)
{
	unlink_after(c, prev, m);
	c->so.stack->held_mbufs--;
	rte_pktmbuf_free_seg(m);
}

/* Last buffer that starts at or before `seq`; NULL: none. */
static struct rte_mbuf *place(const struct tcp_reasm *q, uint32_t seq)
{
	struct rte_mbuf *m = q->head, *prev = NULL;

	if (q->tail && seq_leq(pkt_meta(q->tail)->seq, seq))
		return q->tail;
	if (q->hint && seq_leq(pkt_meta(q->hint)->seq, seq))
		m = q->hint;
	for (; m && seq_leq(pkt_meta(m)->seq, seq); m = pkt_meta(m)->next)
		prev = m;
	return prev;
}

static bool merge_small(struct rte_mbuf *prev, struct rte_mbuf *m)
{
	struct pkt_meta *p, *meta = pkt_meta(m);

	if (!prev || meta->len > COPY_BELOW)
		return false;
	p = pkt_meta(prev);
	if ((p->flags & TCP_M_FIN) || p->seq + p->len != meta->seq ||
	    (uint32_t)p->off + p->len + meta->len > prev->buf_len)
		return false;
	memcpy(tcp_mbuf_payload(prev) + p->len, tcp_mbuf_payload(m), meta->len);
	p->len += meta->len;
	p->flags |= meta->flags & TCP_M_FIN;
	return true;
}

/* Queues one buffer; what is there already wins over what it repeats. */
static void insert_one(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct tcp_reasm *q = &c->reasm;
	struct pkt_meta *meta = pkt_meta(m);
	struct rte_mbuf *prev = place(q, meta->seq), *next;

	if (prev) {
		uint32_t prev_end = tcp_mbuf_end(prev);

		if (seq_leq(tcp_mbuf_end(m), prev_end)) {
			tcp_reasm_duplicate(c, meta->seq, tcp_mbuf_end(m));
			rte_pktmbuf_free_seg(m);
			return;
		}
		if (seq_lt(meta->seq, prev_end)) {
			uint32_t cut = prev_end - meta->seq;

			meta->seq += cut;
			meta->off += (uint16_t)cut;
			meta->len -= (uint16_t)cut;
		}
	}
	/* What m covers wholly goes; what sticks out behind it makes m shorter */
	while ((next = prev ? pkt_meta(prev)->next : q->head) != NULL &&
	       seq_leq(tcp_mbuf_end(next), tcp_mbuf_end(m)))
		drop_after(c, prev, next);
	if (next && seq_gt(tcp_mbuf_end(m), pkt_meta(next)->seq)) {
		meta->len = (uint16_t)(pkt_meta(next)->seq - meta->seq);
		meta->flags &= ~TCP_M_FIN;
	}
	if (meta->len == 0 && !(meta->flags & TCP_M_FIN)) {
		rte_pktmbuf_free_seg(m);
		return;
	}
	q->bytes += meta->len;
	if (merge_small(prev, m)) {
		if (next)
			q->hint = prev;
		rte_pktmbuf_free_seg(m);
		return;
	}
	meta->next = next;
	if (prev)
		pkt_meta(prev)->next = m;
	else
		q->head = m;
	/* What goes to the end needs no hint: it stays where holes are being filled */
	if (!next)
		q->tail = m;
	else
		q->hint = m;
	q->count++;
	c->so.stack->held_mbufs++;
}

/* RFC 2018, 4: the block that holds the newest segment goes first, others keep their order. */
static void sack_add(struct tcp_reasm *q, uint32_t start, uint32_t end)
{
	struct tcp_sack_block merged = {start, end};
	unsigned kept = 0;
	struct tcp_sack_block old[TCP_OPT_SACK_BLOCKS_MAX];

	for (unsigned i = 0; i < q->n_sacks; i++) {
		const struct tcp_sack_block *b = &q->sacks[i];

		if (seq_leq(b->start, merged.end) && seq_geq(b->end, merged.start)) {
			merged.start = seq_min(merged.start, b->start);
			merged.end = seq_max(merged.end, b->end);
		} else {
			old[kept++] = *b;
		}
	}
	if (kept == TCP_OPT_SACK_BLOCKS_MAX)
		kept--;
	q->sacks[0] = merged;
	memcpy(&q->sacks[1], old, kept * sizeof(old[0]));
	q->n_sacks = (uint8_t)(kept + 1);
}

static void sack_trim(struct tcp_conn *c)
{
	struct tcp_reasm *q = &c->reasm;
	unsigned kept = 0;

	for (unsigned i = 0; i < q->n_sacks; i++)
		if (seq_gt(q->sacks[i].end, c->rcv_nxt))
			q->sacks[kept++] = q->sacks[i];
	q->n_sacks = (uint8_t)kept;
}

void tcp_reasm_duplicate(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	if (!(c->flags & CONN_F_SACK) || !seq_lt(start, end))
		return;
	c->reasm.dsack = (struct tcp_sack_block){start, end};
	c->flags |= CONN_F_DSACK;
}

/*
 * Is there room for one more? What is queued counts with its whole buffer here, as Linux's truesize does, or
 * tiny segments with holes between them would take thousands. Full windows of segments above COPY_BELOW stay
 * below the limit. Data in order has the last part of the pool for itself.
 */
static bool has_room(const struct tcp_conn *c)
{
	const struct tcp_reasm *q = &c->reasm;
	uint64_t mem = (uint64_t)q->count * rte_pktmbuf_data_room_size(c->so.stack->cfg.pool);

	return q->count < TCP_REASM_MAX && mem < 4ULL * c->so.rcvbuf_bytes && stack_may_write(c->so.stack, 1);
}

void tcp_reasm_insert(struct tcp_conn *c, struct rte_mbuf *list, bool fin)
{
	struct tcp_reasm *q = &c->reasm;
	uint32_t start = list ? pkt_meta(list)->seq : 0, end = start;

	while (list) {
		struct rte_mbuf *next = pkt_meta(list)->next;

		if (!next && fin)
			pkt_meta(list)->flags |= TCP_M_FIN;
		if (!has_room(c)) {
			COUNT(c->so.stack, tcp_ofo_dropped);
			rte_pktmbuf_free_seg(list);
		} else {
			end = tcp_mbuf_end(list); /* a FIN has its number too */
			insert_one(c, list);
		}
		list = next;
	}
	if (seq_lt(start, end) && (c->flags & CONN_F_SACK))
		sack_add(q, start, end);
}

bool tcp_reasm_deliver(struct tcp_conn *c)
{
	struct tcp_reasm *q = &c->reasm;
	bool fin = false;

	while (q->head && !fin) {
		struct rte_mbuf *m = q->head;
		struct pkt_meta *meta = pkt_meta(m);
		uint32_t cut;

		if (seq_gt(meta->seq, c->rcv_nxt))
			break;
		if (seq_lt(tcp_mbuf_end(m), c->rcv_nxt) || (tcp_mbuf_end(m) == c->rcv_nxt)) {
			drop_after(c, NULL, m);
			continue;
		}
		unlink_after(c, NULL, m);
		cut = c->rcv_nxt - meta->seq;
		meta->seq += cut;
		meta->off += (uint16_t)cut;
		meta->len -= (uint16_t)cut;
		c->rcv_nxt += meta->len;
		fin = meta->flags & TCP_M_FIN;
		meta->flags = 0;
		if (meta->len) {
			tcp_rcvq_append_held(c, m);
		} else {
			c->so.stack->held_mbufs--;
			rte_pktmbuf_free_seg(m);
		}
	}
	if (fin)
		q->n_sacks = 0; /* rcv_nxt does not count it yet */
	else
		sack_trim(c);
	return fin;
}

void tcp_reasm_clear(struct tcp_conn *c)
{
	struct tcp_reasm *q = &c->reasm;

	while (q->head) {
		struct rte_mbuf *m = q->head;

		q->head = pkt_meta(m)->next;
		rte_pktmbuf_free_seg(m);
	}
	c->so.stack->held_mbufs -= q->count;
	memset(q, 0, sizeof(*q));
}

void tcp_reasm_drop(struct tcp_conn *c)
{
	/* RFC 2018, 8: reneging is allowed; the SACK blocks go with the data */
	COUNT_ADD(c->so.stack, tcp_ofo_dropped, c->reasm.count);
	tcp_reasm_clear(c);
}
