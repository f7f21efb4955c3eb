/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_recover.c - decides which sent bytes are lost, what is sent again, and how many bytes may leave now
 *
 * See tcp_recover.h. Owns conn->recover, conn->recovery and the flags of the buffers in the send queue; never
 * allocates. cwnd is written here while recovery lasts (PRR) and by tcp_cc otherwise.
 *
 * Invariant: recover.sacked, .lost and .retrans are the sums over the buffers that carry the flag (without
 * SACK, .sacked counts one segment per duplicate ACK instead). SACKED excludes the other two.
 */
#include "tcp_recover.h"

#include <string.h>

#include "tcp_conn.h"
#include "tcp_timer.h"

#define DUP_THRESH 3

static uint32_t *flag_sum(struct tcp_recover *r, uint8_t flag)
{
	return flag == TCP_M_SACKED ? &r->sacked : flag == TCP_M_LOST ? &r->lost : &r->retrans;
}

/* The buffers with TCP_M_RETRANS: the first one's resent_prev is the last one, whose resent_next is NULL. */
static void resent_link(struct tcp_recover *r, struct rte_mbuf *m, struct rte_mbuf *after)
{
	struct pkt_meta *meta = pkt_meta(m);

	if (!after) {
		r->resent = meta->resent_prev = m;
		meta->resent_next = NULL;
		return;
	}
	meta->resent_prev = after;
	meta->resent_next = pkt_meta(after)->resent_next;
	pkt_meta(after)->resent_next = m;
	pkt_meta(meta->resent_next ? meta->resent_next : r->resent)->resent_prev = m;
}

static void resent_append(struct tcp_recover *r, struct rte_mbuf *m)
{
	resent_link(r, m, r->resent ? pkt_meta(r->resent)->resent_prev : NULL);
}

static void resent_unlink(struct tcp_recover *r, struct rte_mbuf *m)
{
	struct rte_mbuf *prev = pkt_meta(m)->resent_prev, *next = pkt_meta(m)->resent_next;

	if (r->resent == m)
		r->resent = next;
	else
		pkt_meta(prev)->resent_next = next;
	if (r->resent)
		pkt_meta(next ? next : r->resent)->resent_prev = prev;
}

static void flag_set(struct tcp_conn *c, struct rte_mbuf *m, uint8_t flag)
{
	if (pkt_meta(m)->flags & flag)
		return;
	pkt_meta(m)->flags |= flag;
	if (flag == TCP_M_RETRANS)
		resent_append(&c->recover, m);
	*flag_sum(&c->recover, flag) += tcp_mbuf_seqlen(m);
}

static void flag_clear(struct tcp_conn *c, struct rte_mbuf *m, uint8_t flag)
{
	if (!(pkt_meta(m)->flags & flag))
		return;
	pkt_meta(m)->flags &= ~flag;
	if (flag == TCP_M_RETRANS)
		resent_unlink(&c->recover, m);
	*flag_sum(&c->recover, flag) -= tcp_mbuf_seqlen(m);
}

void tcp_recover_reset(struct tcp_conn *c)
{
	c->recover = (struct tcp_recover){.timer = TCP_REXMIT_NONE};
	c->recover.rto_end = c->snd_una - 1;
	c->recovery = TCP_RECOVERY_OPEN;
}

/* RFC 8985, 6.2 step 2: the most recently sent segment that is known to have arrived. */
static void rack_advance(struct tcp_conn *c, const struct pkt_meta *meta, uint32_t end)
{
	struct tcp_recover *r = &c->recover;
	time_ns rtt = c->so.stack->now - meta->sent_at;

	/* An ACK sooner than any round trip is for the original, not for what we just sent again */
	if ((meta->flags & TCP_M_EVER_RETRANS) && rtt < c->rtt.min_ns)
		return;
	r->rack_rtt_ns = rtt;
	if (meta->sent_at > r->rack_sent_at ||
	    (meta->sent_at == r->rack_sent_at && seq_gt(end, r->rack_end))) {
		r->rack_sent_at = meta->sent_at;
		r->rack_end = end;
	}
}

static void on_delivered(struct tcp_conn *c, struct rte_mbuf *m, struct tcp_acked *a)
{
	const struct pkt_meta *meta = pkt_meta(m);

	a->delivered += tcp_mbuf_seqlen(m);
	if (meta->flags & TCP_M_EVER_RETRANS) {
		a->retrans_acked = true;
	} else {
		a->rtt_ns = c->so.stack->now - meta->sent_at;
		a->has_rtt = true;
		/* Below what was SACKed before, never sent again, yet here: the network reorders */
		if (c->recover.sack_high && seq_lt(meta->seq, pkt_meta(c->recover.sack_high)->seq)) {
			c->recover.reordering_seen = true;
			c->reord_seen++;
		}
	}
	rack_advance(c, meta, tcp_mbuf_end(m));
}

void tcp_recover_on_acked(struct tcp_conn *c, struct rte_mbuf *m, struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;
	uint8_t flags = pkt_meta(m)->flags;

	if (likely(!(flags & (TCP_M_SACKED | TCP_M_LOST | TCP_M_RETRANS | TCP_M_EVER_RETRANS)) &&
		   !r->sack_high && m != r->hint && m != r->rack_next)) {
		a->delivered += tcp_mbuf_seqlen(m);
		a->rtt_ns = c->so.stack->now - pkt_meta(m)->sent_at;
		a->has_rtt = true;
		rack_advance(c, pkt_meta(m), tcp_mbuf_end(m));
		return;
	}
	if (r->hint == m)
		r->hint = NULL;
	if (r->rack_next == m)
		r->rack_next = NULL;
	if (r->sack_high == m)
		r->sack_high = NULL;
	if (!(flags & TCP_M_SACKED))
		on_delivered(c, m, a);
	flag_clear(c, m, TCP_M_SACKED);
	flag_clear(c, m, TCP_M_LOST);
	flag_clear(c, m, TCP_M_RETRANS);
}

void tcp_recover_on_cut(struct tcp_conn *c, struct rte_mbuf *m, uint32_t cut, struct tcp_acked *a)
{
	static const uint8_t counted[] = {TCP_M_SACKED, TCP_M_LOST, TCP_M_RETRANS};
	uint8_t flags = pkt_meta(m)->flags;

	for (unsigned i = 0; i < sizeof(counted); i++)
		if (flags & counted[i])
			*flag_sum(&c->recover, counted[i]) -= cut;
	if (!(flags & TCP_M_SACKED))
		a->delivered += cut;
	if (flags & TCP_M_EVER_RETRANS)
		a->retrans_acked = true;
}

void tcp_recover_on_split(struct tcp_conn *c, struct rte_mbuf *m, struct rte_mbuf *rest)
{
	if (pkt_meta(m)->flags & TCP_M_RETRANS)
		resent_link(&c->recover, rest, m);
}

/* Marks the sent buffers inside `block` that have bytes in [from, to). */
static void sack_range(struct tcp_conn *c, uint32_t from, uint32_t to, const struct tcp_sack_block *block,
		       struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;
	struct rte_mbuf *m = c->sndq.head;

	if (r->sack_high && seq_geq(from, pkt_meta(r->sack_high)->seq))
		m = r->sack_high;
	for (; m && m != c->sndq.unsent && seq_lt(pkt_meta(m)->seq, to); m = pkt_meta(m)->next) {
		struct pkt_meta *meta = pkt_meta(m);

		if (seq_lt(meta->seq, block->start) || seq_gt(tcp_mbuf_end(m), block->end) ||
		    (meta->flags & TCP_M_SACKED))
			continue;
		flag_clear(c, m, TCP_M_LOST);
		flag_clear(c, m, TCP_M_RETRANS);
		on_delivered(c, m, a);
		flag_set(c, m, TCP_M_SACKED);
		a->sacked_new = true;
		if (!r->sack_high || seq_gt(meta->seq, pkt_meta(r->sack_high)->seq))
			r->sack_high = m;
	}
}

/* The part [from, to) of a block, less what the last ACK said already; known[i] is the next to compare with.
 */
static void sack_news(struct tcp_conn *c, uint32_t from, uint32_t to, unsigned i,
		      const struct tcp_sack_block *block, struct tcp_acked *a)
{
	for (; i < c->recover.n_known; i++) {
		const struct tcp_sack_block *known = &c->recover.known[i];

		if (seq_leq(known->end, from) || seq_geq(known->start, to))
			continue;
		if (seq_lt(from, known->start))
			sack_news(c, from, known->start, i + 1, block, a);
		from = known->end;
		if (seq_geq(from, to))
			return;
	}
	sack_range(c, from, to, block, a);
}

/* --- was the reduction needed? --- */

/* A new episode: from here on it is watched whether what is sent again was lost. */
static void undo_begin(struct tcp_conn *c)
{
	struct tcp_recover *r = &c->recover;

	r->undo_una = c->snd_una;
	r->undo_bytes = 0;
	r->undo_open = true;
	r->undo_resent = false;
}

/* RFC 3708: a DSACK of what was sent again says that it was not lost. */
static void undo_dsack(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	struct tcp_recover *r = &c->recover;

	if (r->undo_open && seq_geq(start, r->undo_una) && seq_leq(end, r->high_seq))
		r->undo_bytes -= RTE_MIN(r->undo_bytes, end - start);
}

/* RFC 3522, 3.2: only the first ACK after the retransmission tells; later ones may echo other segments. */
void tcp_recover_echo(struct tcp_conn *c, uint32_t ts_ecr, struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;

	a->spurious = r->undo_open && r->undo_resent && c->recovery != TCP_RECOVERY_OPEN &&
		      a->prior_una == r->undo_una && seq_lt(ts_ecr, r->undo_ts);
}

/* Linux's tcp_undo_cwnd_reduction(): the window comes back, and nothing more is sent again. */
static void undo(struct tcp_conn *c)
{
	struct tcp_recover *r = &c->recover;

	for (struct rte_mbuf *m = c->sndq.head; r->lost && m && m != c->sndq.unsent; m = pkt_meta(m)->next)
		flag_clear(c, m, TCP_M_LOST);
	r->rack_next = NULL;
	tcp_cc_undo(&c->cc);
	c->recovery = TCP_RECOVERY_OPEN;
	r->dup_acks = 0;
	if (!(c->flags & CONN_F_SACK))
		r->sacked = 0;
	r->undo_open = false;
	r->reordering_seen = true;
	COUNT(c->so.stack, tcp_undone);
}

static void try_undo(struct tcp_conn *c, const struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;

	if (!r->undo_open)
		return;
	if (a->spurious || (a->dsack && r->undo_resent && r->undo_bytes == 0))
		undo(c);
	else if (c->recovery == TCP_RECOVERY_OPEN && seq_geq(c->snd_una, r->high_seq))
		r->undo_open = false; /* a round trip after its end no DSACK of it can come any more */
}

void tcp_recover_sacks(struct tcp_conn *c, uint32_t ack, const struct tcp_options *opt, struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;
	struct tcp_sack_block told[TCP_SACK_KNOWN];
	unsigned n = 0;

	if (r->sacked == 0)
		r->n_known = 0;
	for (unsigned i = 0; i < opt->n_sack; i++) {
		uint32_t start = opt->sack[i].start, end = opt->sack[i].end;

		if (!seq_lt(start, end))
			continue;
		/* RFC 2883: a first block below the ACK, or inside the second block, reports a duplicate */
		if (i == 0 && (seq_leq(end, ack) || (opt->n_sack > 1 && seq_geq(start, opt->sack[1].start) &&
						     seq_leq(end, opt->sack[1].end)))) {
			a->dsack = true;
			undo_dsack(c, start, end);
			c->dsack_dups++;
			continue;
		}
		if (seq_leq(end, c->snd_una) || seq_gt(end, c->snd_nxt))
			continue;
		sack_news(c, start, end, 0, &opt->sack[i], a);
		if (n < TCP_SACK_KNOWN)
			told[n++] = opt->sack[i];
	}
	memcpy(r->known, told, n * sizeof(told[0]));
	r->n_known = (uint8_t)n;
}

/* RFC 8985, 6.2 step 4; zero while reordering was never seen and three segments are SACKed, as RFC 6675
 * would. */
static time_ns reordering_window(const struct tcp_conn *c)
{
	const struct tcp_recover *r = &c->recover;
	time_ns quarter = c->rtt.min_ns / 4;

	if (!r->reordering_seen && (c->recovery != TCP_RECOVERY_OPEN ||
				    r->sacked >= DUP_THRESH * (uint32_t)c->mss || r->dup_acks >= DUP_THRESH))
		return 0;
	return quarter < c->rtt.srtt_ns ? quarter : c->rtt.srtt_ns;
}

static void mark_lost(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct tcp_recover *r = &c->recover;

	flag_clear(c, m, TCP_M_RETRANS);
	if (r->lost == 0 || (r->hint && seq_lt(pkt_meta(m)->seq, pkt_meta(r->hint)->seq)))
		r->hint = m;
	flag_set(c, m, TCP_M_LOST);
}

/* RFC 8985, 6.2 step 5: was it sent before what is known to have arrived? */
static bool overtaken(const struct tcp_recover *r, struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta(m);

	return meta->sent_at < r->rack_sent_at ||
	       (meta->sent_at == r->rack_sent_at && seq_lt(tcp_mbuf_end(m), r->rack_end));
}

/* Marks m, which was overtaken, if it is time; else notes in `look_at` when that will be. */
static bool lose_if_due(struct tcp_conn *c, struct rte_mbuf *m, time_ns window, time_ns *look_at)
{
	time_ns due = pkt_meta(m)->sent_at + c->recover.rack_rtt_ns + window;

	if (due > c->so.stack->now) {
		*look_at = RTE_MIN(*look_at, due);
		return false;
	}
	mark_lost(c, m);
	return true;
}

/*
 * What was sent once, in which the order of sequence is that of time: the first that is not lost ends the
 * walk. Those sent again have a list of their own, unless an undo put them back among the others.
 */
static void lose_originals(struct tcp_conn *c, time_ns window, time_ns *look_at)
{
	struct tcp_recover *r = &c->recover;
	struct rte_mbuf *m = r->rack_next ? r->rack_next : c->sndq.head, *open = NULL, *last = NULL;

	for (; m && m != c->sndq.unsent; m = pkt_meta(m)->next) {
		uint8_t flags = pkt_meta(m)->flags;

		last = m;
		if (flags & (TCP_M_SACKED | TCP_M_LOST | TCP_M_RETRANS))
			continue;
		if (overtaken(r, m) && lose_if_due(c, m, window, look_at))
			continue;
		if (!open)
			open = m;
		if (!(flags & TCP_M_EVER_RETRANS))
			break;
	}
	r->rack_next = open ? open : last;
}

/* Arms the reordering timer for what may soon be lost. */
static void detect_by_rack(struct tcp_conn *c)
{
	struct tcp_recover *r = &c->recover;
	time_ns window = reordering_window(c), look_at = TIME_NEVER;
	struct rte_mbuf *m;

	if (r->rack_sent_at == 0)
		return;
	lose_originals(c, window, &look_at);
	while ((m = r->resent) != NULL && overtaken(r, m) && lose_if_due(c, m, window, &look_at))
		;
	if (look_at != TIME_NEVER)
		tcp_timer_reo(c, look_at);
}

/* RFC 6582: three duplicates lose the head; in recovery every partial ACK loses the next one. */
static void detect_by_duplicates(struct tcp_conn *c, const struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;
	uint32_t flight = c->snd_nxt - c->snd_una;

	if (a->cumulative) {
		/* Of what was acknowledged, one segment is the hole; the others are the duplicates' segments
		 */
		uint32_t others = a->cumulative > c->mss ? a->cumulative - c->mss : 0;

		/* Outside recovery there was no hole: nothing stays counted, or the flight would never fit */
		r->sacked -= c->recovery == TCP_RECOVERY_OPEN ? r->sacked : RTE_MIN(r->sacked, others);
		r->dup_acks = 0;
	}
	/* RFC 6582, 3.2 step 1: what a timeout sent again without need returns as duplicates, too */
	if (a->duplicate && flight > c->mss && c->snd_una != r->rto_end) {
		r->dup_acks++;
		/* One segment left the network; at least the lost one is still out */
		if (r->sacked + 2 * c->mss <= flight)
			r->sacked += c->mss;
	}
	if (r->sacked + r->lost > flight)
		r->sacked = flight - r->lost;
	if (c->sndq.head && c->sndq.head != c->sndq.unsent &&
	    ((c->recovery == TCP_RECOVERY_OPEN && r->dup_acks >= DUP_THRESH) ||
	     (c->recovery == TCP_RECOVERY_FAST && a->cumulative && seq_lt(c->snd_una, r->high_seq)))) {
		if (!(pkt_meta(c->sndq.head)->flags & TCP_M_LOST))
			mark_lost(c, c->sndq.head);
		if (r->sacked + r->lost > flight)
			r->sacked = flight - r->lost;
	}
}

static void enter_fast(struct tcp_conn *c, uint32_t in_flight)
{
	struct tcp_recover *r = &c->recover;

	r->high_seq = c->snd_nxt;
	r->prr_delivered = r->prr_out = 0;
	r->tlp_out = false;
	c->recovery = TCP_RECOVERY_FAST;
	undo_begin(c);
	tcp_cc_reduce(&c->cc, in_flight, c->so.stack->now);
	COUNT(c->so.stack, tcp_fast_recovery);
}

/* RFC 9937 (PRR): sends in proportion to what arrives until the flight has shrunk to ssthresh. */
static void prr(struct tcp_conn *c, const struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;
	uint32_t flight = tcp_in_flight(c), may = 0;

	r->prr_delivered += a->delivered;
	if (flight > c->cc.ssthresh) {
		uint64_t share = ((uint64_t)r->prr_delivered * c->cc.ssthresh + c->cc.prior_cwnd - 1) /
				 (c->cc.prior_cwnd ? c->cc.prior_cwnd : 1);

		if (share > r->prr_out)
			may = (uint32_t)share - r->prr_out;
	} else {
		uint32_t owed = r->prr_delivered > r->prr_out ? r->prr_delivered - r->prr_out : 0;

		may = RTE_MAX(owed, a->delivered);
		if (a->cumulative)
			may += c->mss;
		may = RTE_MIN(may, c->cc.ssthresh - flight);
	}
	/* The first retransmission leaves at once (RFC 6675, 5, step 4.3) */
	if (r->prr_out == 0 && may < c->mss)
		may = c->mss;
	c->cc.cwnd = flight + may;
}

static void leave_fast(struct tcp_conn *c)
{
	c->recovery = TCP_RECOVERY_OPEN;
	c->cc.cwnd = RTE_MAX(c->cc.ssthresh, 2 * (uint32_t)c->mss);
}

/* RFC 8985, 7.4: the probe's own ACK shows that it repaired a loss, unless a DSACK says that nothing was
 * lost. */
static void tlp_acked(struct tcp_conn *c, const struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;

	if (!r->tlp_out || seq_lt(c->snd_una, r->tlp_high))
		return;
	r->tlp_out = false;
	if (a->dsack || !a->retrans_acked || c->recovery != TCP_RECOVERY_OPEN)
		return;
	tcp_cc_reduce(&c->cc, a->prior_in_flight, c->so.stack->now);
	c->cc.cwnd = c->cc.ssthresh;
}

/* The head is SACKED yet not acknowledged: the receiver threw away what it had (RFC 2018, 8). */
static bool reneged(const struct tcp_conn *c)
{
	return c->sndq.head && c->sndq.head != c->sndq.unsent &&
	       (pkt_meta(c->sndq.head)->flags & TCP_M_SACKED);
}

void tcp_recover_on_ack(struct tcp_conn *c, struct tcp_acked *a)
{
	struct tcp_recover *r = &c->recover;
	bool sack = c->flags & CONN_F_SACK;

	tlp_acked(c, a);
	try_undo(c, a);
	if (c->recovery != TCP_RECOVERY_OPEN && seq_geq(c->snd_una, r->high_seq)) {
		if (c->recovery == TCP_RECOVERY_FAST)
			leave_fast(c);
		else if (!sack)
			r->rto_end = r->high_seq;
		c->recovery = TCP_RECOVERY_OPEN;
		r->dup_acks = 0;
		r->high_seq = c->snd_nxt;
		if (!sack)
			r->sacked = 0;
	}
	if (sack) {
		if (r->sacked || c->recovery != TCP_RECOVERY_OPEN)
			detect_by_rack(c);
	} else if (a->duplicate || c->recovery != TCP_RECOVERY_OPEN || r->dup_acks) {
		detect_by_duplicates(c, a);
	}
	if (c->recovery == TCP_RECOVERY_OPEN && r->lost)
		enter_fast(c, a->prior_in_flight);
	if (c->recovery == TCP_RECOVERY_FAST)
		prr(c, a);
	if (unlikely(sack && a->cumulative && reneged(c)))
		tcp_timer_reneged(c);
}

void tcp_recover_on_reo_timer(struct tcp_conn *c)
{
	struct tcp_acked none = {.prior_una = c->snd_una, .prior_in_flight = tcp_in_flight(c)};

	detect_by_rack(c);
	if (c->recovery == TCP_RECOVERY_OPEN && c->recover.lost)
		enter_fast(c, none.prior_in_flight);
	if (c->recovery == TCP_RECOVERY_FAST)
		prr(c, &none);
}

static void forget_sacks(struct tcp_conn *c)
{
	for (struct rte_mbuf *m = c->sndq.head; m && m != c->sndq.unsent; m = pkt_meta(m)->next)
		flag_clear(c, m, TCP_M_SACKED);
	c->recover.sack_high = c->recover.rack_next = NULL;
	c->recover.n_known = 0;
	COUNT(c->so.stack, tcp_sack_reneged);
}

static void lose_all(struct tcp_conn *c)
{
	if (!(c->flags & CONN_F_SACK))
		c->recover.sacked = 0;
	else if (unlikely(reneged(c)))
		forget_sacks(c);
	for (struct rte_mbuf *m = c->sndq.head; m && m != c->sndq.unsent; m = pkt_meta(m)->next)
		if (!(pkt_meta(m)->flags & TCP_M_SACKED))
			mark_lost(c, m);
}

void tcp_recover_on_rto(struct tcp_conn *c)
{
	struct tcp_recover *r = &c->recover;
	uint32_t in_flight = tcp_in_flight(c);

	/* RFC 5681, 3.1 (4): ssthresh falls once per flight, not with every backed-off timeout */
	if (c->recovery == TCP_RECOVERY_OPEN || seq_geq(c->snd_una, r->high_seq) ||
	    (c->recovery == TCP_RECOVERY_LOSS && r->retries == 0)) {
		undo_begin(c);
		tcp_cc_reduce(&c->cc, in_flight, c->so.stack->now);
	}
	c->recovery = TCP_RECOVERY_LOSS;
	r->high_seq = c->snd_nxt;
	r->dup_acks = 0;
	r->tlp_out = false;
	lose_all(c);
	c->cc.cwnd = c->mss;
	if (tcp_cc_ops(&c->cc)->on_rto)
		tcp_cc_ops(&c->cc)->on_rto(&c->cc, c->so.stack->now);
}

void tcp_recover_on_mtu(struct tcp_conn *c)
{
	for (struct rte_mbuf *m = c->sndq.head; m && m != c->sndq.unsent; m = pkt_meta(m)->next)
		if (pkt_meta(m)->len > c->mss && !(pkt_meta(m)->flags & TCP_M_SACKED))
			mark_lost(c, m);
	/* As Linux (tcp_simple_retransmit): no congestion, so the window stays, and the next ACK sees no new
	 * loss */
	if (c->recover.lost && c->recovery != TCP_RECOVERY_LOSS) {
		c->recovery = TCP_RECOVERY_LOSS;
		c->recover.high_seq = c->snd_nxt;
	}
}

struct rte_mbuf *tcp_recover_next(struct tcp_conn *c)
{
	struct tcp_recover *r = &c->recover;
	struct rte_mbuf *m;

	if (r->lost == 0)
		return NULL;
	for (m = r->hint ? r->hint : c->sndq.head; m && m != c->sndq.unsent; m = pkt_meta(m)->next) {
		r->hint = m;
		if ((pkt_meta(m)->flags & (TCP_M_LOST | TCP_M_RETRANS)) == TCP_M_LOST)
			return m;
	}
	return NULL;
}

void tcp_recover_on_resent(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct pkt_meta *meta = pkt_meta(m);

	flag_clear(c, m, TCP_M_RETRANS); /* a probe repeats what was resent: it is the last in time now */
	flag_set(c, m, TCP_M_RETRANS);
	meta->flags |= TCP_M_EVER_RETRANS;
	if (c->recover.undo_open && c->recovery != TCP_RECOVERY_OPEN) {
		c->recover.undo_bytes += meta->len;
		if (!c->recover.undo_resent)
			c->recover.undo_ts = tcp_ts_now(c->so.stack, c->ts_offset);
		c->recover.undo_resent = true;
	}
	if (c->recovery == TCP_RECOVERY_FAST)
		c->recover.prr_out += tcp_mbuf_seqlen(m);
}

void tcp_recover_on_sent(struct tcp_conn *c, uint32_t bytes)
{
	if (c->recovery == TCP_RECOVERY_FAST)
		c->recover.prr_out += bytes;
}
