/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_in_data.c - a segment's payload, FIN and urgent pointer, and how soon they are acknowledged
 *
 * Called by tcp_in.c once the segment is known to be acceptable and its ACK is taken. In order goes to the
 * receive queue, ahead of its time to the out-of-order queue; both give way when packet buffers are short.
 * The receive buffer's growth is measured here and decided by tcp_sock.c, when the program reads.
 *
 * RFC 9293 3.10.7.4 (sixth to eighth), 1122 4.2.3.2 (delayed ACK), 5681 4.2, 2883, 6093.
 */
#include "tcp_in.h"

#include "tcp_conn.h"
#include "tcp_out.h"
#include "tcp_rcvq.h"
#include "tcp_reasm.h"
#include "tcp_seg.h"
#include "tcp_state.h"
#include "tcp_table.h"
#include "tcp_timer.h"

/* --- acknowledging --- */

void tcp_in_ack_now(struct tcp_conn *c)
{
	c->flags |= CONN_F_ACK_NOW;
	tcp_mark_dirty(c);
}

void tcp_in_schedule_ack(struct tcp_conn *c)
{
	bool quick = c->flags & CONN_F_QUICK_FORCED || (c->quick && !(c->flags & CONN_F_PINGPONG));

	/* More than one full segment since the last ACK (RFC 1122, 4.2.3.2) */
	if (c->rcv_nxt - c->rcv_wup > c->rcv_mss || quick) {
		tcp_in_ack_now(c);
		return;
	}
	if (c->flags & CONN_F_ACK_SCHED)
		return;
	c->flags |= CONN_F_ACK_SCHED;
	tcp_timer_at(c, TCP_T_DELACK, c->so.stack->now + TCP_DELACK_NS);
}

/* --- receive autotuning (Linux: dynamic right-sizing) --- */

/* A round trip as the receiver sees it: from the echo of our timestamp, else the time a window takes. */
static void measure_rcv_rtt(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct stack *st = c->so.stack;

	if ((c->flags & CONN_F_TS) && s->opt.has_ts && s->opt.ts_ecr) {
		uint32_t ms = tcp_ts_now(st, c->ts_offset) - s->opt.ts_ecr;
		time_ns sample = (ms ? ms : 1) * NS_PER_MS;

		if (s->len >= c->rcv_mss && ms < 60000)
			c->rcv_rtt_ns = c->rcv_rtt_ns ? (7 * c->rcv_rtt_ns + sample) / 8 : sample;
		return;
	}
	if (seq_lt(c->rcv_nxt, c->rcv_rtt_seq))
		return;
	if (c->rcv_rtt_seq)
		c->rcv_rtt_ns = st->now - c->rcv_rtt_at;
	c->rcv_rtt_seq = c->rcv_nxt + tcp_rcv_wnd(c);
	c->rcv_rtt_at = st->now;
}

/* --- data --- */

/* Bytes the segment repeats are cut off its front. */
static void trim_front(struct tcp_seg *s, uint32_t cut)
{
	s->seq += cut;
	s->off += cut;
	s->len -= cut;
}

static void peer_fin(struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->so.shut |= 1;
	c->flags |= CONN_F_PEER_DONE;
	tcp_reasm_clear(c);
	switch (c->state) {
	case TCPS_ESTABLISHED:
		tcp_state_set(c, TCPS_CLOSE_WAIT);
		/* Our FIN will probably follow at once: one segment for both */
		c->flags |= CONN_F_PINGPONG;
		tcp_in_schedule_ack(c);
		break;
	case TCPS_FIN_WAIT1:
		tcp_state_set(c, TCPS_CLOSING);
		tcp_in_ack_now(c);
		break;
	case TCPS_FIN_WAIT2:
		tcp_out_ack(c);
		tcp_time_wait(c);
		return;
	}
	tcp_events(c);
	sock_wake(&c->so, TCP_WAKE_ALL);
}

/* Is there memory for a segment? Out of order data gives way first. */
static bool may_queue(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct stack *st = c->so.stack;

	if (likely(stack_may_hold(st, s->m->nb_segs)))
		return true;
	if (c->reasm.count)
		tcp_reasm_drop(c);
	if (stack_may_hold(st, s->m->nb_segs) || (!c->rcvq.count && stack_may_hold_first(st, s->m->nb_segs)))
		return true;
	COUNT(st, tcp_rx_no_memory);
	return false;
}

static bool queue_in_order(struct tcp_conn *c, struct tcp_seg *s)
{
	struct rte_mbuf *list, *last;

	if (!may_queue(c, s))
		return false;
	list = tcp_rx_flatten(c, s->m, s->off, s->len, s->seq, &last);
	s->m = NULL;
	if (!list)
		return false;
	tcp_rcvq_append(c, list);
	c->rcv_nxt += s->len;
	c->bytes_received += s->len;
	return true;
}

static void note_data(struct tcp_conn *c, const struct tcp_seg *s)
{
	c->data_segs_in++;
	c->data_rx_at = c->so.stack->now;
	if (s->len > c->rcv_mss)
		c->rcv_mss = (uint16_t)RTE_MIN(s->len, (uint32_t)c->advmss);
	measure_rcv_rtt(c, s);
}

/* EPOLLIN if enough is there; a wake-up for every arrival, as Linux. */
static void data_ready(struct tcp_conn *c)
{
	if (likely(tcp_readable(c, 0))) {
		sock_events_set(&c->so, EPOLLIN);
		sock_wake(&c->so, EPOLLIN);
	}
}

static void out_of_order(struct tcp_conn *c, struct tcp_seg *s, bool fin)
{
	struct rte_mbuf *list, *last;

	if (s->len && may_queue(c, s)) {
		list = tcp_rx_flatten(c, s->m, s->off, s->len, s->seq, &last);
		s->m = NULL;
		tcp_reasm_insert(c, list, fin);
	} else if (s->len == 0 && may_queue(c, s)) {
		list = stack_mbuf_alloc(c->so.stack); /* a FIN alone: an empty buffer carries it */
		if (list) {
			pkt_meta(list)->off = PKT_HEADROOM;
			pkt_meta(list)->seq = s->seq;
			tcp_reasm_insert(c, list, fin);
		}
	}
	/* A sender without SACK counts ACKs, so each segment gets its own; SACK blocks say it all at once */
	if (c->flags & CONN_F_SACK)
		tcp_in_ack_now(c);
	else
		tcp_out_ack(c);
}

/* Payload and FIN, already known to touch the window. */
void tcp_in_data(struct tcp_conn *c, struct tcp_seg *s)
{
	bool fin = s->flags & SEG_FIN;
	uint32_t room;

	if (s->len == 0 && !fin)
		return;
	if (seq_lt(s->seq, c->rcv_nxt)) {
		uint32_t cut = c->rcv_nxt - s->seq;

		if (seq_leq(tcp_seg_end(s), c->rcv_nxt)) {
			/* All of it is here already: our ACK was lost, or it is a probe */
			tcp_reasm_duplicate(c, s->seq, s->seq + s->len);
			c->quick = TCP_QUICKACKS;
			tcp_in_ack_now(c);
			return;
		}
		tcp_reasm_duplicate(c, s->seq, c->rcv_nxt);
		trim_front(s, cut);
	}
	room = c->rcv_adv - s->seq;
	if (seq_geq(s->seq, c->rcv_adv))
		room = 0;
	if (s->len > room) {
		s->len = room;
		fin = false;
		if (room == 0) {
			tcp_in_ack_now(c); /* a zero window probe */
			return;
		}
	}
	note_data(c, s);
	if (s->seq != c->rcv_nxt) {
		out_of_order(c, s, fin);
		return;
	}
	if (s->len) {
		if (!queue_in_order(c, s)) {
			tcp_in_ack_now(c);
			return;
		}
		/* RFC 5681, 4.2: what fills a hole is acknowledged at once */
		if (c->reasm.head) {
			fin |= tcp_reasm_deliver(c);
			tcp_in_ack_now(c);
		}
		data_ready(c);
		tcp_in_schedule_ack(c);
	}
	if (fin)
		peer_fin(c);
}

/* RFC 9293, 3.10.7.4, sixth; the pointer as BSD and Linux read it, one past the byte. */
void tcp_in_urgent(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t at = s->seq + s->urg_ptr - 1, into;

	if (s->urg_ptr == 0)
		return;
	if (seq_lt(at, c->copied_seq) || seq_lt(at, c->rcv_nxt))
		goto byte;
	if (!(c->urg_data && !seq_gt(at, c->urg_seq))) {
		c->urg_seq = at;
		c->urg_data = TCP_URG_NOTYET;
	}
byte:
	if (c->urg_data != TCP_URG_NOTYET)
		return;
	into = c->urg_seq - s->seq;
	if (into < s->len) {
		uint8_t b;
		const uint8_t *p = rte_pktmbuf_read(s->m, s->off + into, 1, &b);

		if (!p)
			return;
		c->urg_data = TCP_URG_VALID | *p;
		sock_events_set(&c->so, EPOLLPRI);
		sock_wake(&c->so, EPOLLPRI);
	}
}

void tcp_in_predicted_data(struct tcp_conn *c, struct tcp_seg *s)
{
	note_data(c, s);
	if (queue_in_order(c, s)) {
		data_ready(c);
		tcp_in_schedule_ack(c);
	} else {
		tcp_in_ack_now(c);
	}
}
