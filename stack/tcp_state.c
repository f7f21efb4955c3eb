/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_state.c - life of a connection: every write to conn->state, and the readiness that follows from it
 *
 * See tcp_state.h for the diagram. Which event leads to which state is decided where the event is (tcp_in.c,
 * tcp_sock.c, tcp_timer.c, tcp_listen.c).
 */
#include "tcp_conn.h"

#include <errno.h>

#include "tcp_state.h"
#include "tcp_listen.h"
#include "tcp_out.h"
#include "tcp_rcvq.h"
#include "tcp_reasm.h"
#include "tcp_recover.h"
#include "tcp_sndq.h"
#include "tcp_table.h"
#include "tcp_timer.h"
#include "tcp_timewait.h"

void tcp_state_set(struct tcp_conn *c, uint8_t state)
{
	c->state = state;
}

struct tcp_conn *tcp_conn_new(struct stack *st, int family)
{
	struct tcp_conn *c = tcp_conn_alloc(st);
	int algorithm;

	if (!c)
		return NULL;
	sock_base_init(&c->so, st, SOCK_KIND_TCP, family);
	c->so.rcvbuf_bytes = st->cfg.tcp_rmem[1];
	c->so.sndbuf_bytes = st->cfg.tcp_wmem[1];
	c->state = TCPS_CLOSE;
	c->timer.kind = TIMER_TCP;
	for (int i = 0; i < TCP_T_COUNT; i++)
		c->deadline[i] = TIME_NEVER;
	c->keepidle_s = (uint16_t)st->cfg.tcp_keepalive_time_s;
	c->keepintvl_s = (uint16_t)st->cfg.tcp_keepalive_intvl_s;
	c->keepcnt = (uint8_t)st->cfg.tcp_keepalive_probes;
	c->mss = TCP_MSS_DEFAULT;
	tcp_rtt_init(&c->rtt);
	algorithm = tcp_cc_find(st->cfg.tcp_congestion_control, sizeof(st->cfg.tcp_congestion_control));
	tcp_cc_init(&c->cc, algorithm < 0 ? 0 : (unsigned)algorithm, TCP_MSS_DEFAULT);
	tcp_events(c);
	return c;
}

void tcp_sync_mss(struct tcp_conn *c)
{
	uint32_t mss = c->path.mtu > 40 + TCP_MSS_MIN ? c->path.mtu - 40u : TCP_MSS_MIN;

	if (c->peer_mss)
		mss = RTE_MIN(mss, (uint32_t)c->peer_mss);
	if (c->user_mss)
		mss = RTE_MIN(mss, (uint32_t)c->user_mss);
	if (c->flags & CONN_F_TS)
		mss -= 12;
	c->mtu_seen = c->path.mtu;
	c->mss = (uint16_t)RTE_MAX(mss, (uint32_t)TCP_MSS_MIN);
	c->cc.mss = c->mss;
}

void tcp_path_options(struct tcp_conn *c)
{
	c->path.tos = c->so.tos;
	c->path.ttl = c->so.ttl;
	c->path.dont_fragment = c->so.opts.pmtudisc != IP_PMTUDISC_DONT;
}

void tcp_established(struct tcp_conn *c, uint64_t rtt_ns)
{
	struct stack *st = c->so.stack;
	uint32_t sndbuf;

	tcp_state_set(c, TCPS_ESTABLISHED);
	tcp_recover_reset(c);
	c->deadline[TCP_T_REXMIT] = TIME_NEVER;
	tcp_sync_mss(c);
	tcp_cc_init(&c->cc, c->cc.algorithm, c->mss);
	/* RFC 6298, 5.7: a SYN that went out twice tells no round trip, and its backoff ends here */
	tcp_rtt_init(&c->rtt);
	if (rtt_ns)
		tcp_rtt_sample(&c->rtt, rtt_ns, st->now);
	c->rcv_mss = RTE_MIN(c->mss, (uint16_t)TCP_MSS_DEFAULT);
	c->quick = TCP_QUICKACKS;
	c->snd_sml = c->snd_una;
	c->max_wnd = c->snd_wnd;
	c->rx_at = st->now;
	/* Linux starts a send buffer at twice the initial window of segments with their overhead */
	sndbuf = 20 * (rte_align32pow2(c->mss + 640u) + 256);
	sndbuf = RTE_MIN(sndbuf, st->cfg.tcp_wmem[2]);
	if (!c->so.sndbuf_locked && c->so.sndbuf_bytes < sndbuf)
		c->so.sndbuf_bytes = sndbuf;
	c->drs_at = c->rcv_rtt_at = st->now;
	c->drs_seq = c->copied_seq;
	c->drs_copied = RTE_MIN(tcp_rcv_wnd(c), 10u * c->advmss);
	if (c->so.keepalive)
		tcp_timer_at(c, TCP_T_KEEP, st->now + c->keepidle_s * NS_PER_SEC);
	tcp_timer_settle(c);
	COUNT(st, tcp_established);
	tcp_events(c);
}

void tcp_events(struct tcp_conn *c)
{
	const struct sock *so = &c->so;
	uint32_t was = atomic_load_explicit(&c->so.events, memory_order_relaxed), mask = 0;

	if (c->state == TCPS_LISTEN) {
		if (c->listen.accept_count)
			mask = EPOLLIN;
	} else {
		if (so->shut == 3 || c->state == TCPS_CLOSE)
			mask |= EPOLLHUP;
		if (so->shut & 1)
			mask |= EPOLLIN | EPOLLRDHUP;
		if (c->state != TCPS_SYN_SENT && c->state != TCPS_SYN_RECV) {
			/* An urgent byte kept out of line is not readable by recv(), taken by MSG_OOB or not
			 */
			bool urg = c->urg_data & TCP_URG_VALID;
			bool kept = c->urg_data && c->urg_seq == c->copied_seq && !so->opts.oobinline;

			if (tcp_readable(c, kept))
				mask |= EPOLLIN;
			if ((so->shut & 2) || (tcp_snd_writeable(c) && !(c->flags & CONN_F_STARVED)))
				mask |= EPOLLOUT;
			if (urg)
				mask |= EPOLLPRI;
		}
		if (so->error)
			mask |= EPOLLERR;
	}
	if (mask != was)
		atomic_store_explicit(&c->so.events, mask, memory_order_release);
}

void tcp_write_space(struct tcp_conn *c)
{
	if (!tcp_snd_writeable(c) || (c->flags & CONN_F_STARVED))
		return;
	if (c->flags & CONN_F_NOSPACE) {
		c->flags &= ~CONN_F_NOSPACE;
		tcp_events(c);
		sock_wake(&c->so, EPOLLOUT);
	} else if (!(sock_events(&c->so) & EPOLLOUT)) {
		tcp_events(c);
		sock_wake(&c->so, EPOLLOUT);
	}
}

void tcp_done(struct tcp_conn *c, int err)
{
	struct tcp_table *t = c->so.stack->tcp;

	if (c->state == TCPS_CLOSE)
		return;
	if (c->state != TCPS_SYN_SENT)
		c->so.shut = 3;
	tcp_state_set(c, TCPS_CLOSE);
	for (int i = 0; i < TCP_T_COUNT; i++)
		c->deadline[i] = TIME_NEVER;
	timer_cancel(&c->so.stack->wheel, &c->timer);
	tcp_unmark_dirty(c);
	tcp_table_remove(c);
	if (!(c->flags & CONN_F_BOUND))
		tcp_port_release(c);
	tcp_sndq_clear(c);
	tcp_reasm_clear(c);
	if (c->flags & CONN_F_STARVED)
		tcp_sndq_starved_unlink(c);
	c->flags &= ~(CONN_F_ACK_NOW | CONN_F_ACK_SCHED | CONN_F_FIN_PENDING);
	if (t->starved || t->starved_idle)
		tcp_sndq_feed_starved(c->so.stack);
	if (err)
		c->so.error = err;
	if (c->so.shut != 3)
		c->so.shut = 3;
	tcp_events(c);
	sock_wake(&c->so, TCP_WAKE_ALL);
}

void tcp_abort(struct tcp_conn *c, int err)
{
	if (c->state == TCPS_CLOSE)
		return;
	if (tcp_in_states(c, TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_CLOSE_WAIT) |
				     TCPS_BIT(TCPS_FIN_WAIT1) | TCPS_BIT(TCPS_FIN_WAIT2) |
				     TCPS_BIT(TCPS_SYN_RECV)))
		tcp_out_reset(c);
	tcp_done(c, err);
}

void tcp_close_write(struct tcp_conn *c)
{
	if (c->state == TCPS_ESTABLISHED)
		tcp_state_set(c, TCPS_FIN_WAIT1);
	else if (c->state == TCPS_CLOSE_WAIT)
		tcp_state_set(c, TCPS_LAST_ACK);
	else
		return;
	if (!tcp_sndq_append_fin(c))
		c->flags |= CONN_F_FIN_PENDING;
	c->flags &= ~CONN_F_MORE;
	tcp_mark_dirty(c);
}

void tcp_time_wait(struct tcp_conn *c)
{
	tcp_tw_add(c);
	tcp_done(c, 0);
}

bool tcp_conn_reap(struct tcp_conn *c)
{
	if (likely(c->state != TCPS_CLOSE))
		return false;
	if (!c->so.orphan || (c->flags & CONN_F_IN_ACCEPTQ))
		return false;
	tcp_conn_free(c);
	return true;
}
