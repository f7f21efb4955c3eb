/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_rcvq.c - bytes received in order that the program has not read
 *
 * See tcp_rcvq.h. Called by tcp_in.c (append) and by the socket calls (read). How much may be received is
 * decided by tcp_out.c (window) and tcp_in.c (memory).
 */
#include "tcp_rcvq.h"

#include <string.h>

#include "tcp_conn.h"

/* Payloads up to this are copied into the last buffer when it has room for them. */
#define COPY_BELOW 512
#define FREE_BURST 32

/* A buffer that its sender still holds (local delivery) must not be queued twice: copies the payload out. */
static struct rte_mbuf *own(struct tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	struct rte_mbuf *copy;

	if (len + PKT_HEADROOM > rte_pktmbuf_data_room_size(c->so.stack->cfg.pool))
		return NULL;
	copy = stack_mbuf_alloc(c->so.stack);
	if (copy)
		memcpy((uint8_t *)copy->buf_addr + PKT_HEADROOM, rte_pktmbuf_mtod_offset(m, uint8_t *, off),
		       len);
	return copy;
}

static void free_list(struct rte_mbuf *list)
{
	while (list) {
		struct rte_mbuf *next = pkt_meta(list)->next;

		rte_pktmbuf_free_seg(list);
		list = next;
	}
}

struct rte_mbuf *tcp_rx_flatten(struct tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t len,
				uint32_t seq, struct rte_mbuf **last)
{
	struct rte_mbuf *list = NULL, **link = &list;

	*last = NULL;
	while (m) {
		struct rte_mbuf *next = m->next, *keep = m;
		uint32_t here = m->data_len > off ? m->data_len - off : 0;
		struct pkt_meta *meta;

		if (here > len)
			here = len;
		if (here == 0) {
			off -= RTE_MIN(off, (uint32_t)m->data_len);
			rte_pktmbuf_free_seg(m);
			m = next;
			continue;
		}
		if (unlikely(rte_mbuf_refcnt_read(m) > 1 || RTE_MBUF_CLONED(m))) {
			keep = own(c, m, off, here);
			rte_pktmbuf_free_seg(m);
			if (!keep) {
				rte_pktmbuf_free(next);
				free_list(list);
				return NULL;
			}
			pkt_meta(keep)->off = PKT_HEADROOM;
		} else {
			pkt_meta(keep)->off = (uint16_t)(m->data_off + off);
			keep->next = NULL;
			keep->nb_segs = 1;
		}
		meta = pkt_meta(keep);
		meta->len = (uint16_t)here;
		meta->seq = seq;
		meta->flags = 0;
		meta->next = NULL;
		*link = *last = keep;
		link = &meta->next;
		off = 0;
		seq += here;
		len -= here;
		m = next;
	}
	return list;
}

/* True when the payload found room in the last buffer. */
static bool merge_tail(struct tcp_rcvq *q, struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta(m);
	struct pkt_meta *tail;

	if (meta->len > COPY_BELOW || !q->tail)
		return false;
	tail = pkt_meta(q->tail);
	if ((uint32_t)tail->off + tail->len + meta->len > q->tail->buf_len)
		return false;
	memcpy(tcp_mbuf_payload(q->tail) + tail->len, tcp_mbuf_payload(m), meta->len);
	tail->len += meta->len;
	return true;
}

void tcp_rcvq_append_held(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct tcp_rcvq *q = &c->rcvq;
	struct pkt_meta *meta = pkt_meta(m);

	q->bytes += meta->len;
	if (merge_tail(q, m)) {
		c->so.stack->held_mbufs--;
		rte_pktmbuf_free_seg(m);
		return;
	}
	meta->next = NULL;
	if (q->tail)
		pkt_meta(q->tail)->next = m;
	else
		q->head = m;
	q->tail = m;
	q->count++;
}

void tcp_rcvq_append(struct tcp_conn *c, struct rte_mbuf *list)
{
	while (list) {
		struct rte_mbuf *next = pkt_meta(list)->next;

		c->so.stack->held_mbufs++;
		tcp_rcvq_append_held(c, list);
		list = next;
	}
}

/* A program's iovec as it is filled. */
struct out_cursor {
	const struct iovec *iov;
	int left;
	size_t off;
};

static size_t copy_out(struct out_cursor *cur, const uint8_t *src, size_t n)
{
	size_t done = 0;

	while (done < n && cur->left > 0) {
		size_t here = cur->iov->iov_len - cur->off;

		if (here > n - done)
			here = n - done;
		memcpy((uint8_t *)cur->iov->iov_base + cur->off, src + done, here);
		done += here;
		cur->off += here;
		if (cur->off == cur->iov->iov_len) {
			cur->iov++;
			cur->left--;
			cur->off = 0;
		}
	}
	return done;
}

static struct out_cursor cursor_at(const struct iovec *iov, int iovcnt, size_t off)
{
	struct out_cursor cur = {iov, iovcnt, off};

	while (cur.left > 0 && cur.off >= cur.iov->iov_len) {
		cur.off -= cur.iov->iov_len;
		cur.iov++;
		cur.left--;
	}
	return cur;
}

size_t tcp_rcvq_peek(const struct tcp_conn *c, size_t skip, const struct iovec *iov, int iovcnt,
		     size_t iov_off, size_t max)
{
	struct out_cursor cur = cursor_at(iov, iovcnt, iov_off);
	size_t done = 0;

	for (struct rte_mbuf *m = c->rcvq.head; m && done < max; m = pkt_meta(m)->next) {
		size_t len = pkt_meta(m)->len, n;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		n = RTE_MIN(len - skip, max - done);
		n = copy_out(&cur, tcp_mbuf_payload(m) + skip, n);
		if (n == 0)
			break;
		skip = 0;
		done += n;
	}
	return done;
}

size_t tcp_rcvq_read(struct tcp_conn *c, const struct iovec *iov, int iovcnt, size_t iov_off, size_t max)
{
	struct tcp_rcvq *q = &c->rcvq;
	struct out_cursor cur = iov ? cursor_at(iov, iovcnt, iov_off) : (struct out_cursor){0};
	struct rte_mbuf *done[FREE_BURST], *m;
	size_t total = 0;
	unsigned n = 0;

	while (total < max && (m = q->head) != NULL) {
		struct pkt_meta *meta = pkt_meta(m);
		size_t want = RTE_MIN((size_t)meta->len, max - total);
		size_t got = iov ? copy_out(&cur, tcp_mbuf_payload(m), want) : want;

		total += got;
		if (got < meta->len) {
			meta->off += (uint16_t)got;
			meta->len -= (uint16_t)got;
			break;
		}
		q->head = meta->next;
		if (q->head)
			rte_prefetch0(tcp_mbuf_payload(q->head));
		else
			q->tail = NULL;
		done[n++] = m;
		if (n == FREE_BURST) {
			rte_pktmbuf_free_bulk(done, n);
			q->count -= n;
			c->so.stack->held_mbufs -= n;
			n = 0;
		}
	}
	if (n)
		rte_pktmbuf_free_bulk(done, n);
	q->count -= n;
	c->so.stack->held_mbufs -= n;
	q->bytes -= (uint32_t)total;
	return total;
}

void tcp_rcvq_clear(struct tcp_conn *c)
{
	struct tcp_rcvq *q = &c->rcvq;

	if (c->so.kind != SOCK_KIND_TCP)
		return;
	free_list(q->head);
	c->so.stack->held_mbufs -= q->count;
	memset(q, 0, sizeof(*q));
}
