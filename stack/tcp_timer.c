/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_timer.c - what each of a connection's timers means
 *
 *   REXMIT  one of: retransmission (RFC 6298), tail loss probe and reordering (RFC 8985), persist (RFC 9293,
 *           3.8.6.1), SYN and SYN-ACK again
 *   DELACK  an ACK was put off (RFC 1122, 4.2.3.2)
 *   KEEP    keep-alive (RFC 1122, 4.2.3.6); in FIN_WAIT2 without an owner, the end of patience
 *
 * Called by stack_run_timers(). What is sent leaves with the next flush, except probes, which are built here.
 */
#include "tcp_timer.h"

#include <errno.h>
#include <stddef.h>

#include "tcp.h"
#include "tcp_out.h"
#include "tcp_recover.h"
#include "tcp_sndq.h"
#include "tcp_state.h"
#include "tcp_table.h"
#include "tcp_timewait.h"

#define PTO_SLACK_NS (2 * NS_PER_MS) /* Linux adds two ticks */

static void rexmit_at(struct tcp_conn *c, enum tcp_rexmit_timer what, time_ns delay)
{
	c->recover.timer = (uint8_t)what;
	tcp_timer_at(c, TCP_T_REXMIT, c->so.stack->now + delay);
}

/* Not beyond the instant at which TCP_USER_TIMEOUT is over (as Linux). */
static time_ns until_user_timeout(const struct tcp_conn *c, time_ns delay)
{
	time_ns waited = c->so.stack->now - c->probe_since, most = c->user_timeout_ms * NS_PER_MS;

	if (!c->user_timeout_ms)
		return delay;
	return waited < most ? RTE_MIN(delay, most - waited) : NS_PER_MS;
}

void tcp_timer_rto(struct tcp_conn *c)
{
	time_ns rto = tcp_rtt_timeout(&c->rtt);

	if (c->recover.retries && tcp_in_states(c, TCPS_SENDS))
		rto = until_user_timeout(c, rto);
	rexmit_at(c, TCP_REXMIT_RTO, rto);
}

void tcp_timer_rexmit(struct tcp_conn *c)
{
	time_ns rto = tcp_rtt_timeout(&c->rtt), pto;

	if ((c->flags & CONN_F_SACK) && c->recovery == TCP_RECOVERY_OPEN && c->recover.sacked == 0 &&
	    !c->recover.tlp_out && c->rtt.srtt_ns && c->rtt.backoff == 0 && tcp_in_states(c, TCPS_SENDS)) {
		/* One segment may wait for the peer's delayed ACK */
		pto = 2 * c->rtt.srtt_ns +
		      (c->snd_nxt - c->snd_una <= c->mss ? TCP_RTO_MIN_NS : PTO_SLACK_NS);
		if (pto < rto) {
			rexmit_at(c, TCP_REXMIT_TLP, pto);
			return;
		}
	}
	rexmit_at(c, TCP_REXMIT_RTO, rto);
}

void tcp_timer_reneged(struct tcp_conn *c)
{
	rexmit_at(c, TCP_REXMIT_RTO, RTE_MAX(c->rtt.srtt_ns / 2, 10 * NS_PER_MS)); /* as Linux */
}

void tcp_timer_persist(struct tcp_conn *c)
{
	c->probe_since = c->so.stack->now;
	rexmit_at(c, TCP_REXMIT_PERSIST, until_user_timeout(c, tcp_rtt_timeout(&c->rtt)));
}

void tcp_timer_reo(struct tcp_conn *c, time_ns when)
{
	c->recover.timer = TCP_REXMIT_REO;
	tcp_timer_at(c, TCP_T_REXMIT, when);
}

/* Linux's measure for "r2 retransmissions": the time they take when they begin at 200 ms and double. */
static time_ns retries_time(unsigned retries)
{
	const unsigned doublings = 9; /* 200 ms << 9 is the last one below 120 s */

	if (retries <= doublings)
		return ((2ULL << retries) - 1) * TCP_RTO_MIN_NS;
	return ((2ULL << doublings) - 1) * TCP_RTO_MIN_NS + (retries - doublings) * TCP_RTO_MAX_NS;
}

static unsigned patience(const struct tcp_conn *c)
{
	const struct stack_config *cfg = &c->so.stack->cfg;

	if (c->so.orphan)
		return cfg->tcp_orphan_retries ? cfg->tcp_orphan_retries : 8;
	return cfg->tcp_retries2;
}

/* TCP_USER_TIMEOUT: nothing went forward for as long as the program wants to wait, whatever the peer says. */
static bool user_timed_out(const struct tcp_conn *c)
{
	return c->user_timeout_ms && c->so.stack->now - c->probe_since >= c->user_timeout_ms * NS_PER_MS;
}

/*
 * Is the connection given up, data being in flight? A peer that took its window back answers what is sent
 * again, but does not take it: it is there as long as it answers (RFC 9293, 3.8.6.1). How long it may be
 * silent then is Linux's rule (tcp_rtx_probe0_timed_out()).
 */
static bool rto_timed_out(const struct tcp_conn *c)
{
	time_ns now = c->so.stack->now;

	if (c->user_timeout_ms)
		return user_timed_out(c);
	if (c->snd_wnd == 0 && !c->so.orphan)
		return now - RTE_MAX(c->rx_at, c->probe_since) > 2 * TCP_RTO_MAX_NS;
	return now - c->probe_since >= retries_time(patience(c));
}

/* The same while the window is probed: has nothing come for so long? */
static bool persist_timed_out(const struct tcp_conn *c)
{
	time_ns silent = c->so.stack->now - RTE_MAX(c->rx_at, c->probe_since);

	if (c->user_timeout_ms)
		return user_timed_out(c);
	return silent >= retries_time(patience(c)) &&
	       (c->so.orphan || c->recover.probes > c->so.stack->cfg.tcp_retries2);
}

static void give_up(struct tcp_conn *c)
{
	COUNT(c->so.stack, tcp_timeouts);
	tcp_done(c, c->last_err_soft ? c->last_err_soft : ETIMEDOUT);
}

static void handshake_timeout(struct tcp_conn *c)
{
	const struct stack_config *cfg = &c->so.stack->cfg;
	unsigned limit = c->state == TCPS_SYN_RECV && c->parent ? cfg->tcp_synack_retries
			 : c->syncnt                            ? c->syncnt
								: cfg->tcp_syn_retries;

	/* A deferred accept is over when its retransmissions are */
	if (c->recover.retries >= limit ||
	    (c->user_timeout_ms && c->so.stack->now - c->data_tx_at >= c->user_timeout_ms * NS_PER_MS)) {
		give_up(c);
		return;
	}
	c->recover.retries++;
	c->total_retrans++;
	tcp_rtt_backoff(&c->rtt);
	tcp_out_syn(c);
	tcp_timer_rto(c);
}

static void rto_fired(struct tcp_conn *c)
{
	if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECV) {
		handshake_timeout(c);
		return;
	}
	if (!c->sndq.head) {
		/* Only a FIN that found no buffer can be the reason */
		tcp_mark_dirty(c);
		return;
	}
	if (c->recover.retries == 0)
		c->probe_since = pkt_meta(c->sndq.head)->sent_at;
	else if (rto_timed_out(c)) {
		give_up(c);
		return;
	}
	COUNT(c->so.stack, tcp_rto);
	tcp_recover_on_rto(c);
	if (c->recover.retries < UINT8_MAX)
		c->recover.retries++;
	tcp_rtt_backoff(&c->rtt);
	tcp_timer_rto(c);
	tcp_mark_dirty(c);
}

static void tlp_fired(struct tcp_conn *c)
{
	if (c->snd_una == c->snd_nxt)
		return;
	c->recover.tlp_out = true;
	COUNT(c->so.stack, tcp_loss_probes);
	tcp_out_loss_probe(c);
	c->recover.tlp_high = c->snd_nxt;
	tcp_timer_rto(c);
}

static void persist_fired(struct tcp_conn *c)
{
	if (c->snd_una != c->snd_nxt || !c->sndq.unsent)
		return;
	/* A peer that answers probes resets their count; silence does not last for ever */
	if (persist_timed_out(c)) {
		give_up(c);
		return;
	}
	/* RFC 6429: nor does a peer that answers, but never opens its window, keep what nobody owns any more
	 */
	if (c->so.orphan && tcp_rtt_timeout(&c->rtt) == TCP_RTO_MAX_NS) {
		COUNT(c->so.stack, tcp_timeouts);
		tcp_abort(c, ETIMEDOUT);
		return;
	}
	if (c->recover.probes < UINT8_MAX)
		c->recover.probes++;
	if (tcp_out_window_probe(c)) {
		tcp_timer_rexmit(c);
		return;
	}
	tcp_rtt_backoff(&c->rtt);
	rexmit_at(c, TCP_REXMIT_PERSIST, until_user_timeout(c, tcp_rtt_timeout(&c->rtt)));
}

static void rexmit_fired(struct tcp_conn *c)
{
	switch (c->recover.timer) {
	case TCP_REXMIT_RTO:
		rto_fired(c);
		break;
	case TCP_REXMIT_TLP:
		tlp_fired(c);
		break;
	case TCP_REXMIT_REO:
		if (c->snd_una != c->snd_nxt) {
			tcp_timer_rto(c);
			tcp_recover_on_reo_timer(c);
			tcp_mark_dirty(c);
		}
		break;
	case TCP_REXMIT_PERSIST:
		persist_fired(c);
		break;
	}
}

static void keepalive_fired(struct tcp_conn *c)
{
	time_ns now = c->so.stack->now, idle = c->keepidle_s * NS_PER_SEC, silent = now - tcp_heard_at(c);

	if (!c->so.keepalive || !tcp_in_states(c, TCPS_SENDS | TCPS_RECEIVES))
		return;
	/* Data in flight: its retransmission tells as much */
	if (c->sndq.head) {
		tcp_timer_at(c, TCP_T_KEEP, now + idle);
		return;
	}
	if (silent < idle) {
		tcp_timer_at(c, TCP_T_KEEP, tcp_heard_at(c) + idle);
		return;
	}
	if (c->user_timeout_ms ? c->recover.probes && silent >= c->user_timeout_ms * NS_PER_MS
			       : c->recover.probes >= c->keepcnt) {
		COUNT(c->so.stack, tcp_timeouts);
		tcp_abort(c, ETIMEDOUT);
		return;
	}
	c->recover.probes++;
	tcp_out_probe(c);
	tcp_timer_at(c, TCP_T_KEEP, now + c->keepintvl_s * NS_PER_SEC);
}

static void keep_fired(struct tcp_conn *c)
{
	if (c->state == TCPS_FIN_WAIT2 && c->so.orphan)
		tcp_done(c, 0);
	else
		keepalive_fired(c);
}

static bool take_due(struct tcp_conn *c, enum tcp_timer_slot slot)
{
	if (c->deadline[slot] > c->so.stack->now)
		return false;
	c->deadline[slot] = TIME_NEVER;
	return true;
}

time_ns tcp_timer_due(const struct timer *t)
{
	const struct tcp_conn *c =
		(const struct tcp_conn *)((const char *)t - offsetof(struct tcp_conn, timer));
	time_ns due = TIME_NEVER;

	for (int i = 0; i < TCP_T_COUNT; i++)
		due = RTE_MIN(due, c->deadline[i]);
	return due;
}

void tcp_timer_settle(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	time_ns due;

	if (st->tcp->conns < TCP_MANY || !timer_pending(&c->timer))
		return;
	due = tcp_timer_due(&c->timer);
	if (due == c->timer.due)
		return;
	timer_cancel(&st->wheel, &c->timer);
	if (due != TIME_NEVER)
		timer_set(&st->wheel, &c->timer, due);
}

void tcp_timer(struct stack *st, struct timer *t)
{
	struct tcp_conn *c = (struct tcp_conn *)((char *)t - offsetof(struct tcp_conn, timer));
	time_ns next;

	if (t->kind == TIMER_TCP_TIMEWAIT) {
		tcp_tw_expire(st);
		return;
	}
	if (take_due(c, TCP_T_DELACK) && (c->flags & CONN_F_ACK_SCHED)) {
		c->flags |= CONN_F_ACK_NOW;
		/* The program did not answer in time: not a dialogue after all */
		c->flags &= ~CONN_F_PINGPONG;
		COUNT(c->so.stack, tcp_delayed_acks);
		tcp_mark_dirty(c);
	}
	if (take_due(c, TCP_T_REXMIT))
		rexmit_fired(c);
	if (c->state != TCPS_CLOSE && take_due(c, TCP_T_KEEP))
		keep_fired(c);
	if (tcp_conn_reap(c) || c->state == TCPS_CLOSE)
		return;
	next = tcp_timer_due(t);
	if (next != TIME_NEVER && (!timer_pending(t) || next < t->due))
		timer_set(&st->wheel, t, next);
}
