/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_in.c - a received segment: to whom it belongs, and what it does to him
 *
 *   tcp_input ─► parse ─► lookup ─┬─► predicted: established, in order, nothing unusual
 *                                 ├─► connection: RFC 9293, 3.10.7.4, in its order
 *                                 ├─► SYN_SENT: 3.10.7.3
 *                                 └─► TIME-WAIT entry, listener, or nobody (RST)
 *
 * Runs under the instance's lock, once per segment; what must be sent waits for tcp_flush(), so that one ACK
 * answers a burst. Nothing a peer sends is trusted.
 *
 * RFC 9293, 5681 (what a duplicate ACK is), 7323 (PAWS), 5961 (challenge ACKs), 6093 (urgent, as Linux reads
 * it).
 */
#include "tcp_in.h"

#include <errno.h>
#include <string.h>
#include <rte_tcp.h>

#include "handover.h"
#include "route.h"
#include "tcp.h"
#include "tcp_conn.h"
#include "tcp_listen.h"
#include "tcp_out.h"
#include "tcp_rcvq.h"
#include "tcp_reasm.h"
#include "tcp_recover.h"
#include "tcp_seg.h"
#include "tcp_sndq.h"
#include "tcp_state.h"
#include "tcp_table.h"
#include "tcp_timer.h"
#include "tcp_timewait.h"

#define PAWS_IDLE_NS (24ULL * 24 * 3600 * NS_PER_SEC) /* RFC 7323, 5.5 */

/*
 * An ACK for something that should not have come: RFC 5961's challenge, and the answer to segments outside
 * the window. Limited, so that two confused ends cannot keep each other busy.
 */
static void challenge(struct tcp_conn *c, const struct tcp_seg *s)
{
	time_ns now = c->so.stack->now;

	/* Data is never part of such a loop (Linux: tcp_oow_rate_limited) */
	if (s->len == 0 || (s->flags & SEG_SYN)) {
		if (now - c->oow_ack_at < TCP_OOW_ACK_GAP_NS) {
			COUNT(c->so.stack, tcp_challenge_limited);
			return;
		}
		c->oow_ack_at = now;
	}
	COUNT(c->so.stack, tcp_challenge_acks);
	tcp_in_ack_now(c);
}

/* --- ACK processing --- */

static void take_rtt(struct tcp_conn *c, const struct tcp_seg *s, const struct tcp_acked *a)
{
	struct stack *st = c->so.stack;

	if (a->has_rtt && !a->retrans_acked) {
		tcp_rtt_sample(&c->rtt, a->rtt_ns, st->now);
	} else if (a->cumulative && !a->dsack && (c->flags & CONN_F_TS) && s->opt.has_ts && s->opt.ts_ecr) {
		/*
		 * The echo tells which transmission it was, to the millisecond (RFC 7323, 4.1). Of a
		 * duplicate it tells the original's, whose ACK was lost: that is how long we waited
		 */
		uint32_t ms = tcp_ts_now(st, c->ts_offset) - s->opt.ts_ecr;

		if (ms < TCP_RTO_MAX_NS / NS_PER_MS)
			tcp_rtt_sample(&c->rtt, (ms ? ms : 1) * NS_PER_MS, st->now);
	}
}

static void grow_window(struct tcp_conn *c, const struct tcp_acked *a)
{
	bool slow_start = c->cc.cwnd < c->cc.ssthresh;
	struct tcp_cc_ack ack = {
		.now = c->so.stack->now,
		.rtt_ns = a->has_rtt && !a->retrans_acked ? a->rtt_ns : 0,
		.srtt_ns = c->rtt.srtt_ns,
		.min_rtt_ns = c->rtt.min_ns,
		.acked_bytes = a->delivered,
		.in_flight_bytes = a->prior_in_flight,
		.cwnd_limited = (c->flags & CONN_F_CWND_LIMITED) ||
				(slow_start && 2 * a->prior_in_flight > c->cc.cwnd),
		.snd_una = c->snd_una,
		.snd_nxt = c->snd_nxt,
	};

	tcp_cc_ops(&c->cc)->on_ack(&c->cc, &ack);
	c->flags &= ~CONN_F_CWND_LIMITED;
}

/* Linux's tcp_sndbuf_expand(): room for twice the window, bookkeeping included. */
static void grow_sndbuf(struct tcp_conn *c)
{
	uint64_t want = 2ULL * c->cc.cwnd + c->cc.cwnd / 2, most = c->so.stack->cfg.tcp_wmem[2];

	if (unlikely(c->mss + TCP_MBUF_CHARGE < TCP_MBUF_LEAST))
		want = want * TCP_MBUF_LEAST / (c->mss + TCP_MBUF_CHARGE);
	if (want > most)
		want = most;
	if (want > c->so.sndbuf_bytes && !c->so.sndbuf_locked)
		c->so.sndbuf_bytes = (uint32_t)want;
}

/* The peer's window, if this segment is the newest word on it (RFC 9293, 3.10.7.4, fifth). True: it changed.
 */
static bool take_window(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t wnd = (uint32_t)s->wnd << c->snd_wscale;

	if (!seq_gt(s->ack, c->snd_una) && !seq_gt(s->seq, c->snd_wl1) &&
	    !(s->seq == c->snd_wl1 && (wnd > c->snd_wnd || wnd == 0)))
		return false;
	c->snd_wl1 = s->seq;
	if (wnd == c->snd_wnd)
		return false;
	c->snd_wnd = wnd;
	c->max_wnd = RTE_MAX(c->max_wnd, wnd);
	return true;
}

static void cumulative_ack(struct tcp_conn *c, const struct tcp_seg *s, struct tcp_acked *a)
{
	a->cumulative = s->ack - c->snd_una;
	c->bytes_acked += a->cumulative;
	c->snd_una = s->ack;
	tcp_sndq_ack(c, s->ack, a);
	if (unlikely(c->flags & CONN_F_SND_URG) && seq_geq(s->ack, c->snd_up))
		c->flags &= ~CONN_F_SND_URG;
}

static void after_ack(struct tcp_conn *c, const struct tcp_seg *s, struct tcp_acked *a)
{
	take_rtt(c, s, a);
	if (unlikely(c->recover.undo_open) && a->cumulative && (c->flags & CONN_F_TS) && s->opt.has_ts &&
	    s->opt.ts_ecr)
		tcp_recover_echo(c, s->opt.ts_ecr, a);
	if (a->cumulative) {
		c->recover.retries = 0;
		c->last_err_soft = 0;
		if (c->snd_una != c->snd_nxt)
			tcp_timer_rexmit(c);
		else
			tcp_timer_off(c, TCP_T_REXMIT);
	}
	tcp_recover_on_ack(c, a);
	if (a->cumulative) {
		if (c->snd_una == c->snd_nxt)
			tcp_timer_settle(c);
		if (c->recovery != TCP_RECOVERY_FAST)
			grow_window(c, a);
		grow_sndbuf(c);
		tcp_write_space(c);
	}
	if (c->sndq.unsent || c->recover.lost || (c->flags & CONN_F_FIN_PENDING))
		tcp_mark_dirty(c);
}

/* False: the segment is unacceptable and goes no further. */
static bool take_ack(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp_acked a = {.prior_una = c->snd_una, .prior_in_flight = tcp_in_flight(c)};
	bool window_moved;

	if (unlikely(seq_gt(s->ack, c->snd_nxt))) {
		/* RFC 9293 would answer; Linux does so in the closing states only */
		if (c->state != TCPS_ESTABLISHED)
			challenge(c, s);
		return false;
	}
	if (unlikely(seq_lt(s->ack, c->snd_una))) {
		/* RFC 5961, 5.2: older than any window we offered room for */
		if (seq_lt(s->ack, c->snd_una - c->max_wnd)) {
			challenge(c, s);
			return false;
		}
		return true;
	}
	c->recover.probes = 0;
	c->rx_at = c->so.stack->now;
	window_moved = take_window(c, s);
	a.duplicate = s->ack == c->snd_una && s->len == 0 && !window_moved && c->snd_una != c->snd_nxt &&
		      (uint32_t)s->wnd << c->snd_wscale == c->snd_wnd && !(s->flags & (SEG_SYN | SEG_FIN));
	if (s->ack != c->snd_una)
		cumulative_ack(c, s, &a);
	if (s->opt.n_sack && (c->flags & CONN_F_SACK))
		tcp_recover_sacks(c, s->ack, &s->opt, &a);
	if (a.cumulative || a.sacked_new || a.duplicate || c->recovery != TCP_RECOVERY_OPEN) {
		after_ack(c, s, &a);
	} else if (window_moved && c->sndq.unsent) {
		/* The window opened: no more probing */
		if (c->snd_una == c->snd_nxt && c->snd_wnd) {
			c->rtt.backoff = 0;
			tcp_timer_off(c, TCP_T_REXMIT);
		}
		tcp_mark_dirty(c);
	}
	return true;
}

/* --- the states --- */

void tcp_in_take_syn(struct tcp_conn *c, const struct tcp_seg *s)
{
	const struct stack_config *cfg = &c->so.stack->cfg;
	bool syn_sent = c->state == TCPS_SYN_SENT;

	c->irs = s->seq;
	c->rcv_nxt = c->copied_seq = s->seq + 1;
	c->snd_wl1 = s->seq;
	c->snd_wnd = c->max_wnd = s->wnd;
	c->peer_mss = s->opt.mss ? RTE_MAX(s->opt.mss, (uint16_t)TCP_MSS_MIN) : TCP_MSS_DEFAULT;
	c->flags &= ~(CONN_F_TS | CONN_F_SACK | CONN_F_WSCALE);
	if (s->opt.has_ts && cfg->tcp_timestamps) {
		c->flags |= CONN_F_TS;
		c->ts_recent = s->opt.ts_val;
		c->ts_recent_at = c->so.stack->now;
	}
	if (s->opt.sack_permitted && cfg->tcp_sack)
		c->flags |= CONN_F_SACK;
	if (s->opt.has_wscale && cfg->tcp_window_scaling) {
		c->flags |= CONN_F_WSCALE;
		c->snd_wscale = s->opt.wscale;
		if (!syn_sent)
			c->rcv_wscale = tcp_choose_wscale(c);
	} else {
		c->snd_wscale = c->rcv_wscale = 0;
	}
	if (!syn_sent)
		c->advmss = (uint16_t)RTE_MAX(c->path.mtu - 40, TCP_MSS_MIN);
	if (!syn_sent && c->user_mss)
		c->advmss = RTE_MIN(c->advmss, c->user_mss);
	/* What our SYN advertised counts from here (set again when a SYN-ACK leaves) */
	c->rcv_wup = c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + tcp_initial_window(c);
}

/* From the SYN to its answer; 0 when it is not known which SYN was answered (Karn). */
static time_ns handshake_rtt(const struct tcp_conn *c)
{
	time_ns rtt = c->so.stack->now - c->data_tx_at;

	if (c->recover.retries)
		return 0;
	return rtt ? rtt : 1;
}

/* RFC 9293, 3.10.7.3. Returns true when the segment may also carry data. */
static bool in_syn_sent(struct tcp_conn *c, struct tcp_seg *s)
{
	if ((s->flags & SEG_ACK) && (seq_leq(s->ack, c->iss) || seq_gt(s->ack, c->snd_nxt))) {
		tcp_out_reset_for(c->so.stack, s);
		return false;
	}
	if (s->flags & SEG_RST) {
		if (s->flags & SEG_ACK)
			tcp_done(c, ECONNREFUSED);
		return false;
	}
	if (!(s->flags & SEG_SYN))
		return false;
	if (s->flags & SEG_ACK) {
		time_ns rtt = handshake_rtt(c);

		tcp_in_take_syn(c, s);
		c->snd_una = s->ack;
		tcp_established(c, rtt);
		tcp_in_ack_now(c);
		sock_wake(&c->so, TCP_WAKE_ALL);
		s->seq++;
		s->flags &= ~SEG_SYN;
		return s->len || (s->flags & SEG_FIN);
	}
	/* Simultaneous open: both SYNs crossed (RFC 9293, 3.5) */
	tcp_in_take_syn(c, s);
	tcp_state_set(c, TCPS_SYN_RECV);
	tcp_out_syn(c);
	tcp_timer_rto(c);
	return false;
}

/* The ACK that completes a handshake. False: the segment goes no further. */
static bool in_syn_recv(struct tcp_conn *c, struct tcp_seg *s)
{
	struct tcp_conn *l = c->parent;

	if (s->ack != c->snd_nxt) {
		tcp_out_reset_for(c->so.stack, s);
		return false;
	}
	/* TCP_DEFER_ACCEPT: a bare ACK does not count while there is patience left */
	if (l && l->defer_accept && s->len == 0 && !(s->flags & SEG_FIN) &&
	    c->recover.retries < l->defer_accept)
		return false;
	if (l && !tcp_listen_promote(c))
		return false;
	/* A SYN's window is never scaled (RFC 7323, 2.2); Linux scales that of a simultaneous open */
	if (s->flags & SEG_SYN)
		s->wnd >>= c->snd_wscale;
	c->snd_una = s->ack;
	c->snd_wnd = (uint32_t)s->wnd << c->snd_wscale;
	c->snd_wl1 = s->seq;
	tcp_established(c, handshake_rtt(c));
	if (!l)
		sock_wake(&c->so, TCP_WAKE_ALL);
	/* shutdown(2) had to wait for the handshake (as Linux since 6.10) */
	if (unlikely(c->so.shut & 2))
		tcp_close_write(c);
	return true;
}

/* Our FIN is acknowledged (everything written is). */
static bool fin_acked(const struct tcp_conn *c)
{
	return c->snd_una == c->write_seq && !(c->flags & CONN_F_FIN_PENDING);
}

/* False: the connection is over. */
static bool closing_states(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;

	if (!fin_acked(c))
		return true;
	switch (c->state) {
	case TCPS_FIN_WAIT1:
		tcp_state_set(c, TCPS_FIN_WAIT2);
		tcp_events(c);
		sock_wake(&c->so, TCP_WAKE_ALL);
		if (!c->so.orphan)
			return true;
		if (c->linger2_s < 0) {
			tcp_done(c, 0);
			return false;
		}
		tcp_timer_at(c, TCP_T_KEEP,
			     st->now + (c->linger2_s ? (uint32_t)c->linger2_s : st->cfg.tcp_fin_timeout_s) *
					       NS_PER_SEC);
		return true;
	case TCPS_CLOSING:
		tcp_time_wait(c);
		return false;
	case TCPS_LAST_ACK:
		tcp_done(c, 0);
		return false;
	}
	return true;
}

static void peer_reset(struct tcp_conn *c)
{
	COUNT(c->so.stack, tcp_resets_received);
	if (c->state == TCPS_SYN_RECV && c->parent)
		tcp_done(c, 0);
	else
		tcp_done(c, c->state == TCPS_CLOSE_WAIT ? EPIPE : ECONNRESET);
}

/* RFC 7323, 5.3 R1. False: an old duplicate. */
static bool paws_ok(const struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!(c->flags & CONN_F_TS) || !s->opt.has_ts || !seq_lt(s->opt.ts_val, c->ts_recent))
		return true;
	return c->so.stack->now - c->ts_recent_at > PAWS_IDLE_NS;
}

static void take_timestamp(struct tcp_conn *c, const struct tcp_seg *s)
{
	/* RFC 7323, 4.3: only from segments that cover what was acknowledged last */
	if (!(c->flags & CONN_F_TS) || !s->opt.has_ts || seq_gt(s->seq, c->rcv_wup))
		return;
	if (!seq_lt(s->opt.ts_val, c->ts_recent) || c->so.stack->now - c->ts_recent_at > PAWS_IDLE_NS) {
		c->ts_recent = s->opt.ts_val;
		c->ts_recent_at = c->so.stack->now;
	}
}

/* First to fourth check of RFC 9293, 3.10.7.4, with RFC 5961. False: dropped. */
static bool acceptable(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!paws_ok(c, s) && !(s->flags & SEG_RST)) {
		COUNT(c->so.stack, tcp_paws_dropped);
		challenge(c, s);
		return false;
	}
	if (seq_lt(tcp_seg_end(s), c->rcv_wup) || seq_gt(s->seq, seq_max(c->rcv_adv, c->rcv_nxt))) {
		if (s->flags & SEG_RST)
			return false;
		COUNT(c->so.stack, tcp_out_of_window);
		/* The peer may have lost our ACK of exactly this */
		if (s->len && seq_lt(s->seq, c->rcv_nxt))
			tcp_reasm_duplicate(c, s->seq, s->seq + s->len);
		if (c->state == TCPS_SYN_RECV && (s->flags & (SEG_SYN | SEG_ACK)) == SEG_SYN &&
		    s->seq == c->irs)
			tcp_out_syn(c);
		else
			challenge(c, s);
		return false;
	}
	if (s->flags & SEG_RST) {
		if (s->seq == c->rcv_nxt)
			peer_reset(c);
		else
			challenge(c, s);
		return false;
	}
	if (s->flags & SEG_SYN) {
		/* Ours of a simultaneous open, or a SYN-ACK's retransmission, are just old news */
		if (c->state == TCPS_SYN_RECV && s->seq == c->irs && !(s->flags & SEG_ACK))
			tcp_out_syn(c);
		else if (c->state == TCPS_SYN_RECV && s->seq == c->irs)
			return true;
		else
			challenge(c, s);
		return false;
	}
	return s->flags & SEG_ACK;
}

static void in_synchronized(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!acceptable(c, s))
		return;
	if (c->state == TCPS_SYN_RECV) {
		if (!in_syn_recv(c, s))
			return;
		if (s->flags & SEG_SYN) { /* simultaneous open: the SYN itself is already counted */
			s->seq++;
			s->flags &= ~SEG_SYN;
		}
	}
	if (!take_ack(c, s))
		return;
	take_timestamp(c, s);
	if (unlikely(!tcp_in_states(c, TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_CLOSE_WAIT))) &&
	    !closing_states(c))
		return;
	if (unlikely(s->flags & SEG_URG))
		tcp_in_urgent(c, s);
	if (!tcp_in_states(c, TCPS_RECEIVES)) {
		/* The peer's FIN again: our ACK of it was lost */
		if (tcp_seg_end(s) != s->seq)
			tcp_in_ack_now(c);
		return;
	}
	/* Nobody will read it any more: say so (RFC 9293, 3.10.7.4; RFC 2525, 2.17) */
	if (unlikely(c->so.orphan && c->state != TCPS_ESTABLISHED && s->len &&
		     seq_gt(s->seq + s->len, c->rcv_nxt))) {
		tcp_abort(c, ECONNRESET);
		return;
	}
	tcp_in_data(c, s);
}

/*
 * Header prediction (Van Jacobson): established, next in order, no flag but ACK and PSH, timestamps not
 * older, nothing waiting out of order, and it fits. Skips every check whose outcome is known then.
 */
static bool predicted(struct tcp_conn *c, struct tcp_seg *s)
{
	if (c->state != TCPS_ESTABLISHED || (s->flags & ~SEG_PSH) != SEG_ACK || s->seq != c->rcv_nxt)
		return false;
	if (s->opt.n_sack || c->reasm.head || c->urg_data || s->len > tcp_rcv_wnd(c))
		return false;
	if ((c->flags & CONN_F_TS) && (!s->opt.has_ts || seq_lt(s->opt.ts_val, c->ts_recent)))
		return false;
	if (!take_ack(c, s))
		return true;
	if (c->flags & CONN_F_TS) {
		c->ts_recent = s->opt.ts_val;
		c->ts_recent_at = c->so.stack->now;
	}
	if (s->len == 0)
		return true;
	tcp_in_predicted_data(c, s);
	return true;
}

/* --- from the wire --- */

/* Fills in the segment; false (counted) when the header lies. */
static bool parse(struct stack *st, struct tcp_seg *s, struct rte_mbuf *m, const struct ip_rx *rx)
{
	const struct rte_tcp_hdr *h = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, rx->l4_off);
	unsigned hdr_len, opt_len;
	const uint8_t *opts = (const uint8_t *)(h + 1);

	if (rx->l4_len < sizeof(*h) || (uint32_t)m->data_len < rx->l4_off + sizeof(*h))
		goto bad;
	hdr_len = (h->data_off >> 4) * 4u;
	if (hdr_len < sizeof(*h) || hdr_len > rx->l4_len || (uint32_t)m->data_len < rx->l4_off + hdr_len)
		goto bad;
	s->m = m;
	s->seq = ntohl(h->sent_seq);
	s->ack = ntohl(h->recv_ack);
	s->flags = h->tcp_flags & 0x3f;
	s->wnd = ntohs(h->rx_win);
	s->urg_ptr = ntohs(h->tcp_urp);
	s->off = rx->l4_off + hdr_len;
	s->len = rx->l4_len - hdr_len;
	s->tos = rx->tos;
	s->local.addr = rx->dst;
	s->local.port = h->dst_port;
	s->peer.addr = rx->src;
	s->peer.port = h->src_port;
	opt_len = hdr_len - (unsigned)sizeof(*h);
	memset(&s->opt, 0, sizeof(s->opt));
	if (opt_len == 0)
		return true;
	if (tcp_options_parse_ts_only(opts, opt_len, &s->opt.ts_val, &s->opt.ts_ecr))
		s->opt.has_ts = true;
	else if (tcp_options_parse(&s->opt, opts, opt_len) != 0)
		COUNT(st, tcp_rx_bad_options); /* what came before the bad one counts, as on Linux */
	return true;
bad:
	COUNT(st, tcp_rx_bad);
	return false;
}

/* No connection: TIME-WAIT, listener, or nobody's. */
static void unconnected(struct stack *st, struct tcp_seg *s)
{
	struct tcp_tw *tw = tcp_tw_find(st, s->hash, &s->local, &s->peer);
	struct tcp_conn *l;
	uint32_t isn = 0;

	if (tw && !tcp_tw_input(st, tw, s, &isn))
		return;
	l = tcp_table_find_listener(st->tcp, &s->local, s->hash);
	if (l && (s->flags & (SEG_SYN | SEG_ACK | SEG_RST | SEG_FIN)) == SEG_SYN) {
		tcp_listen_syn(l, s, isn);
		return;
	}
	if (l && !(s->flags & (SEG_ACK | SEG_RST)))
		return; /* 3.10.7.2: nothing a listener knows */
	COUNT(st, tcp_no_socket);
	tcp_out_reset_for(st, s);
}

/*
 * Two copies of one SYN that reached two stacks at the same moment made an embryo in each, and the peer has
 * taken the other one's answer. This one must not reset what is becoming a connection elsewhere: it goes.
 */
static bool is_double(const struct tcp_conn *c, const struct tcp_seg *s)
{
	return c->state == TCPS_SYN_RECV && c->parent && (s->flags & SEG_ACK) && s->ack != c->snd_nxt &&
	       handover_flow_elsewhere(c->so.stack, s->hash);
}

/* Has another stack the connection? Then the segment is there now, or on its way. */
static bool elsewhere(struct stack *st, struct tcp_seg *s, const struct ip_rx *rx)
{
	if (tcp_tw_find(st, s->hash, &s->local, &s->peer) ||
	    !handover_elsewhere(st, s->m, rx, HANDOVER_TCP, s->hash, HANDOVER_NONE))
		return false;
	s->m = NULL;
	return true;
}

void tcp_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx)
{
	struct tcp_seg s;
	struct tcp_conn *c;

	COUNT(st, tcp_rx);
	s.m = m;
	if (!rx->to_us_only || !parse(st, &s, m, rx))
		goto out;
	if (!rx->csum_ok && !ip4_l4_csum_ok(st, m, rx)) {
		COUNT(st, tcp_rx_bad_csum);
		goto out;
	}
	s.hash = tcp_hash(st->tcp, &s.local, &s.peer);
	c = tcp_table_find(st->tcp, s.hash, &s.local, &s.peer);
	if (unlikely(st->handover && c && is_double(c, &s))) {
		tcp_done(c, 0);
		tcp_conn_free(c);
		c = NULL;
	}
	if (!c) {
		if (likely(!st->handover) || !elsewhere(st, &s, rx))
			unconnected(st, &s);
		goto out;
	}
	c->segs_in++;
	if (!predicted(c, &s)) {
		if (c->state != TCPS_SYN_SENT)
			in_synchronized(c, &s);
		else if (in_syn_sent(c, &s))
			tcp_in_data(c, &s);
		tcp_conn_reap(c);
	}
out:
	if (s.m)
		rte_pktmbuf_free(s.m);
}

bool tcp_knows(const struct stack *st, const struct endpoint *local, const struct endpoint *peer,
	       uint32_t *hash)
{
	*hash = tcp_hash(st->tcp, local, peer);
	return tcp_table_find(st->tcp, *hash, local, peer);
}

void tcp_icmp_error(struct stack *st, const struct endpoint *local, const struct endpoint *peer, uint32_t seq,
		    int err, uint16_t mtu)
{
	struct tcp_conn *c = tcp_table_find(st->tcp, tcp_hash(st->tcp, local, peer), local, peer);

	/* RFC 5927: a quote of something we have in flight, or it is forged or stale */
	if (!c || !seq_leq(c->snd_una, seq) || !seq_lt(seq, c->snd_nxt + (c->snd_una == c->snd_nxt)))
		return;
	if (mtu) {
		if (mtu >= c->path.mtu || mtu < 40 + TCP_MSS_MIN || !tcp_in_states(c, TCPS_SENDS))
			return;
		c->path.mtu = mtu;
		route_mtu_learn(st, c->path.dst, mtu); /* for connections to come */
		tcp_sync_mss(c);
		tcp_recover_on_mtu(c);
		tcp_mark_dirty(c);
		return;
	}
	if (c->state == TCPS_SYN_SENT) {
		tcp_done(c, err);
		tcp_conn_reap(c);
		return;
	}
	c->last_err_soft = (uint8_t)err;
}
