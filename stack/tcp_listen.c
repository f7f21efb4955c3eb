/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_listen.c - listening sockets: SYNs in, established connections out
 *
 * See tcp_listen.h. Called by tcp_in.c and tcp_sock.c. Owns conn->listen of listeners and qnext, qpprev and
 * parent of what waits there.
 */
#include "tcp_listen.h"

#include <errno.h>
#include <string.h>

#include "tcp_conn.h"
#include "tcp_in.h"
#include "tcp_out.h"
#include "tcp_rcvq.h"
#include "tcp_reasm.h"
#include "tcp_seg.h"
#include "tcp_state.h"
#include "tcp_table.h"
#include "tcp_timer.h"

static uint32_t limit_backlog(const struct stack *st, int backlog)
{
	/* As listen(2): negative means a lot, and the system's limit caps it */
	return (uint32_t)backlog > st->cfg.somaxconn ? st->cfg.somaxconn : (uint32_t)backlog;
}

static void listen_begin(struct tcp_conn *c, uint8_t cc_algorithm, uint32_t backlog)
{
	memset(&c->listen, 0, sizeof(c->listen));
	c->listen.cc_algorithm = cc_algorithm;
	c->listen.embryo_tail = &c->listen.embryos;
	c->listen.backlog = backlog;
	c->so.kind = SOCK_KIND_TCP_LISTEN;
	c->so.shut = 0;
	c->so.error = 0;
	tcp_state_set(c, TCPS_LISTEN);
	tcp_table_add_listener(c);
	tcp_events(c);
}

int tcp_listen_start(struct tcp_conn *c, int backlog)
{
	struct stack *st = c->so.stack;
	int err;

	if (c->state == TCPS_LISTEN) {
		c->listen.backlog = limit_backlog(st, backlog);
		return 0;
	}
	if (c->state != TCPS_CLOSE || (c->flags & CONN_F_CONNECTING))
		return -EINVAL;
	if (!(c->flags & CONN_F_PORT)) {
		err = tcp_port_bind(c);
		if (err)
			return err;
	} else if (tcp_port_conflict(c, c->so.local.port)) {
		return -EADDRINUSE;
	}
	/* What a connection that was reset left unread */
	tcp_rcvq_clear(c);
	tcp_reasm_clear(c);
	listen_begin(c, c->cc.algorithm, limit_backlog(st, backlog));
	return 0;
}

/* --- the two lists --- */

static void embryo_add(struct tcp_conn *l, struct tcp_conn *c)
{
	c->qnext = NULL;
	c->qpprev = l->listen.embryo_tail;
	*l->listen.embryo_tail = c;
	l->listen.embryo_tail = &c->qnext;
	l->listen.embryo_count++;
	c->parent = l;
}

static void embryo_remove(struct tcp_conn *c)
{
	*c->qpprev = c->qnext;
	if (c->qnext)
		c->qnext->qpprev = c->qpprev;
	else
		c->parent->listen.embryo_tail = c->qpprev;
	c->qpprev = NULL;
	c->qnext = NULL;
	c->parent->listen.embryo_count--;
}

static void acceptq_add(struct tcp_conn *l, struct tcp_conn *c)
{
	c->qnext = NULL;
	if (l->listen.accept_tail)
		l->listen.accept_tail->qnext = c;
	else
		l->listen.accept_head = c;
	l->listen.accept_tail = c;
	l->listen.accept_count++;
	if (unlikely(l->listen.leader))
		atomic_fetch_add_explicit(&l->listen.leader->listen.waiting, 1, memory_order_relaxed);
	c->flags |= CONN_F_IN_ACCEPTQ;
}

static struct tcp_conn *acceptq_take(struct tcp_conn *l)
{
	struct tcp_conn *c = l->listen.accept_head;

	if (!c)
		return NULL;
	l->listen.accept_head = c->qnext;
	if (!c->qnext)
		l->listen.accept_tail = NULL;
	l->listen.accept_count--;
	if (unlikely(l->listen.leader))
		atomic_fetch_sub_explicit(&l->listen.leader->listen.waiting, 1, memory_order_relaxed);
	c->qnext = NULL;
	c->parent = NULL;
	c->flags &= ~CONN_F_IN_ACCEPTQ;
	return c;
}

static bool acceptq_full(const struct tcp_conn *l)
{
	return tcp_listen_waiting(l) > l->listen.backlog;
}

uint32_t tcp_listen_waiting(const struct tcp_conn *l)
{
	return unlikely(l->listen.leader)
		       ? atomic_load_explicit(&l->listen.leader->listen.waiting, memory_order_relaxed)
		       : l->listen.accept_count;
}

void tcp_listen_forget(struct tcp_conn *c)
{
	if (c->parent && c->qpprev && !(c->flags & CONN_F_IN_ACCEPTQ))
		embryo_remove(c);
	c->parent = NULL;
}

void tcp_listen_stop(struct tcp_conn *l)
{
	struct tcp_conn *c;

	tcp_table_remove_listener(l);
	/* Embryos vanish in silence: whoever completes the handshake hears a RST because nobody is there */
	while ((c = l->listen.embryos) != NULL) {
		tcp_done(c, 0);
		tcp_conn_free(c);
	}
	while ((c = acceptq_take(l)) != NULL) {
		tcp_abort(c, ECONNRESET);
		tcp_conn_reap(c);
	}
}

struct tcp_conn *tcp_listen_accept(struct tcp_conn *l)
{
	struct tcp_conn *c = acceptq_take(l);

	if (!c)
		return NULL;
	if (!l->listen.accept_head)
		sock_events_clear(&l->so, EPOLLIN);
	c->so.orphan = false;
	tcp_events(c);
	return c;
}

bool tcp_listen_promote(struct tcp_conn *c)
{
	struct tcp_conn *l = c->parent;

	if (acceptq_full(l)) {
		COUNT(c->so.stack, tcp_listen_overflows);
		return false;
	}
	embryo_remove(c);
	acceptq_add(l, c);
	sock_events_set(&l->so, EPOLLIN);
	sock_wake(&l->so, EPOLLIN);
	return true;
}

/* --- SYN --- */

/* What a child or a twin takes from a listener; the rest of struct tcp_conn is zero. */
static void copy_options(struct tcp_conn *c, const struct tcp_conn *l)
{
	struct sock *so = &c->so;
	struct stack *st = so->stack;

	*so = l->so;
	so->stack = st;
	so->wake = 0;
	so->wake_next = NULL;
	so->wake_queued = false;
	c->flags = l->flags & (CONN_F_NODELAY | CONN_F_CORK);
	so->opts.fastopen_queue = 0; /* the listener's only */
	c->window_clamp = l->window_clamp;
	c->notsent_lowat = l->notsent_lowat;
	c->user_timeout_ms = l->user_timeout_ms;
	c->linger2_s = l->linger2_s;
	c->keepidle_s = l->keepidle_s;
	c->keepintvl_s = l->keepintvl_s;
	c->keepcnt = l->keepcnt;
	c->syncnt = l->syncnt;
	c->user_mss = l->user_mss;
}

static void inherit(struct tcp_conn *c, const struct tcp_conn *l, const struct tcp_seg *seg)
{
	struct sock *so = &c->so;

	so->stack = l->so.stack;
	copy_options(c, l);
	so->kind = SOCK_KIND_TCP;
	so->orphan = true; /* until somebody accepts it */
	so->error = 0;
	so->user = NULL;
	so->shut = 0;
	atomic_store_explicit(&so->events, 0, memory_order_relaxed);
	so->local = seg->local;
	so->peer = seg->peer;
}

int tcp_listen_twin(struct tcp_conn *leader, struct stack *st, struct tcp_conn **twin)
{
	struct tcp_conn *c = tcp_conn_alloc(st);

	if (!c)
		return -ENOBUFS;
	c->so.stack = st;
	copy_options(c, leader);
	c->timer.kind = TIMER_TCP;
	for (int i = 0; i < TCP_T_COUNT; i++)
		c->deadline[i] = TIME_NEVER;
	tcp_port_share(c);
	listen_begin(c, leader->listen.cc_algorithm, leader->listen.backlog);
	if (!leader->listen.leader) {
		leader->listen.leader = leader;
		atomic_store_explicit(&leader->listen.waiting, leader->listen.accept_count,
				      memory_order_relaxed);
	}
	c->listen.leader = leader;
	*twin = c;
	return 0;
}

/*
 * Linux answers with cookies when its SYN queue is full. Giving up the oldest half-open connection has the
 * same effect: a flood that never finishes handshakes pushes out itself, a true client is done within a round
 * trip.
 */
static void drop_oldest_embryo(struct tcp_conn *l)
{
	struct tcp_conn *c = l->listen.embryos;

	if (!c)
		return;
	tcp_done(c, 0);
	tcp_conn_free(c);
}

void tcp_listen_syn(struct tcp_conn *l, const struct tcp_seg *seg, uint32_t isn)
{
	struct stack *st = l->so.stack;
	const struct stack_config *cfg = &st->cfg;
	struct tcp_conn *c;

	if (acceptq_full(l)) {
		COUNT(st, tcp_listen_overflows);
		return;
	}
	if (l->listen.embryo_count >= cfg->tcp_max_syn_backlog) {
		COUNT(st, tcp_syn_queue_full);
		drop_oldest_embryo(l);
	}
	c = tcp_conn_alloc(st);
	if (!c)
		return;
	inherit(c, l, seg);
	c->timer.kind = TIMER_TCP;
	for (int i = 0; i < TCP_T_COUNT; i++)
		c->deadline[i] = TIME_NEVER;
	c->state = TCPS_CLOSE;
	if (ip4_path_init(st, &c->path, ip_addr_to_v4(&seg->local.addr), ip_addr_to_v4(&seg->peer.addr)) !=
	    0) {
		tcp_conn_free(c);
		return;
	}
	tcp_path_options(c);
	tcp_rtt_init(&c->rtt);
	c->cc.algorithm = l->listen.cc_algorithm;
	c->iss = tcp_isn(st, &seg->local, &seg->peer, &c->ts_offset);
	if (isn && seq_lt(c->iss, isn))
		c->iss = isn;
	tcp_in_take_syn(c, seg);
	c->snd_una = c->iss;
	c->snd_nxt = c->write_seq = c->iss + 1;
	tcp_state_set(c, TCPS_SYN_RECV);
	tcp_table_add(c, seg->hash);
	tcp_port_use(c);
	embryo_add(l, c);
	c->data_tx_at = st->now;
	COUNT(st, tcp_passive_opens);
	tcp_out_syn(c);
	tcp_timer_rto(c);
}
