/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_sock.c - the socket calls on a TCP socket, behind sock.h
 *
 * Called by sock.c under the instance's lock, at the time the stack was last told. Return values and errnos
 * are Linux's for a non-blocking socket. Nothing is sent here: a connection with something to say goes on the
 * dirty list.
 */
#include "tcp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "tcp_conn.h"
#include "tcp_in.h"
#include "tcp_listen.h"
#include "tcp_out.h"
#include "tcp_rcvq.h"
#include "tcp_reasm.h"
#include "tcp_recover.h"
#include "tcp_sndq.h"
#include "tcp_state.h"
#include "tcp_table.h"
#include "tcp_timer.h"

int tcp_sock_new(struct stack *st, int family, struct sock **out)
{
	struct tcp_conn *c = tcp_conn_new(st, family);

	if (!c)
		return -ENOBUFS;
	*out = &c->so;
	return 0;
}

/* --- naming and connecting --- */

int tcp_sock_bind(struct sock *so, const struct endpoint *local)
{
	struct tcp_conn *c = tcp_conn_of(so);
	int err = 0;

	if (c->state != TCPS_CLOSE || so->local.port || (c->flags & CONN_F_PORT))
		return -EINVAL;
	if (!ip_addr_is_any(&local->addr) && !stack_owns_addr(so->stack, &local->addr) && !so->opts.freebind)
		return -EADDRNOTAVAIL;
	so->local = *local;
	if (local->port || !so->opts.bind_no_port)
		err = tcp_port_bind(c);
	if (err) {
		memset(&so->local, 0, sizeof(so->local));
		return err;
	}
	if (!ip_addr_is_any(&local->addr))
		c->flags |= CONN_F_ADDR_BOUND;
	return 0;
}

int tcp_sock_listen(struct sock *so, int backlog)
{
	return tcp_listen_start(tcp_conn_of(so), backlog);
}

bool tcp_listens_at(const struct stack *st, const struct endpoint *to)
{
	return tcp_table_find_listener(st->tcp, to, 0) != NULL;
}

bool tcp_may_bind(const struct stack *st, const struct sock *so, const struct endpoint *local)
{
	struct sock wanted = *so;

	wanted.local = *local;
	return !tcp_port_conflict_in(st, &wanted, local->port);
}

int tcp_sock_listen_twin(struct sock *leader, struct stack *st, struct sock **twin)
{
	struct tcp_conn *c;
	int err = tcp_listen_twin(tcp_conn_of(leader), st, &c);

	if (!err)
		*twin = &c->so;
	return err;
}

int tcp_sock_accept(struct sock *so, struct sock **child)
{
	struct tcp_conn *l = tcp_conn_of(so), *c;

	if (l->state != TCPS_LISTEN)
		return -EINVAL;
	c = tcp_listen_accept(l);
	if (!c)
		return -EAGAIN;
	*child = &c->so;
	return 0;
}

void tcp_sock_listen_near(struct sock *listener, uint16_t queue)
{
	tcp_conn_of(listener)->listen.near = (uint8_t)(queue + 1);
}

time_ns tcp_sock_accept_since(const struct sock *so)
{
	const struct tcp_conn *l = (const struct tcp_conn *)so;

	if (l->state != TCPS_LISTEN || !l->listen.accept_head)
		return TIME_NEVER;
	return l->listen.accept_head->drs_at; /* set when it was established, and when it is read from */
}

/* A socket that was connected once starts afresh: everything of the old connection goes, options stay. */
static void restart(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;

	tcp_rcvq_clear(c);
	tcp_reasm_clear(c);
	tcp_recover_reset(c);
	tcp_rtt_init(&c->rtt);
	c->flags &= CONN_F_NODELAY | CONN_F_CORK | CONN_F_BOUND | CONN_F_PORT | CONN_F_ADDR_BOUND |
		    CONN_F_NOREUSE;
	c->so.shut = 0;
	c->urg_data = 0;
	c->last_err_soft = 0;
	c->syn_sent_count = 0;
	c->data_rx_at = 0;
	c->rcv_rtt_seq = 0;
	c->rcv_rtt_ns = 0;
	c->oow_ack_at = st->now - TCP_OOW_ACK_GAP_NS; /* long enough ago */
	c->rx_at = st->now;
	if (!(c->flags & CONN_F_BOUND))
		c->so.local.port = 0;
	if (!(c->flags & CONN_F_ADDR_BOUND))
		c->so.local.addr = ip_addr_any();
	memset(&c->so.peer, 0, sizeof(c->so.peer));
}

/* What connect(2) says when it is called again. */
static int connect_again(struct tcp_conn *c)
{
	int err;

	if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECV)
		return -EALREADY;
	if (c->state != TCPS_CLOSE) {
		/* The first call after the handshake reports success, later ones that it is connected */
		if (!(c->flags & CONN_F_CONNECTING))
			return -EISCONN;
		c->flags &= ~CONN_F_CONNECTING;
		return 0;
	}
	c->flags &= ~CONN_F_CONNECTING;
	err = c->so.error ? -c->so.error : -ECONNABORTED;
	restart(c); /* Linux disconnects here: nothing of the failed connection stays */
	c->so.error = 0;
	tcp_events(c);
	return err;
}

static int choose_local(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	struct sock *so = &c->so;
	be32 src = ip_addr_is_v4(&so->local.addr) ? ip_addr_to_v4(&so->local.addr) : 0;
	int err = ip4_path_init(st, &c->path, src, ip_addr_to_v4(&so->peer.addr));

	if (err)
		return err;
	tcp_path_options(c);
	so->local.addr = ip_addr_v4(c->path.src);
	if (!(c->flags & CONN_F_PORT))
		return tcp_port_pick(c);
	if (tcp_table_find(st->tcp, tcp_hash(st->tcp, &so->local, &so->peer), &so->local, &so->peer))
		return -EADDRNOTAVAIL;
	return 0;
}

int tcp_sock_connect(struct sock *so, const struct endpoint *peer)
{
	struct tcp_conn *c = tcp_conn_of(so);
	struct stack *st = so->stack;
	int err;

	if (c->state != TCPS_CLOSE || (c->flags & CONN_F_CONNECTING))
		return connect_again(c);
	if (!ip_addr_is_v4(&peer->addr))
		return -ENETUNREACH;
	restart(c);
	so->peer = *peer;
	err = choose_local(c);
	if (err) {
		restart(c);
		return err;
	}
	so->error = 0;
	c->iss = tcp_isn(st, &so->local, &so->peer, &c->ts_offset);
	c->snd_una = c->iss;
	c->snd_nxt = c->write_seq = c->iss + 1;
	c->rcv_nxt = c->copied_seq = c->rcv_wup = c->rcv_adv = 0;
	c->snd_wnd = 0;
	c->advmss = (uint16_t)RTE_MAX(c->path.mtu - 40, TCP_MSS_MIN);
	if (c->user_mss)
		c->advmss = RTE_MIN(c->advmss, c->user_mss);
	c->mtu_seen = c->path.mtu;
	c->rcv_wscale = st->cfg.tcp_window_scaling ? tcp_choose_wscale(c) : 0;
	c->flags |= CONN_F_CONNECTING;
	tcp_state_set(c, TCPS_SYN_SENT);
	tcp_table_add(c, tcp_hash(st->tcp, &so->local, &so->peer));
	tcp_events(c);
	COUNT(st, tcp_active_opens);
	c->data_tx_at = st->now;
	tcp_out_syn(c);
	tcp_timer_rto(c);
	return -EINPROGRESS;
}

int tcp_sock_disconnect(struct sock *so)
{
	struct tcp_conn *c = tcp_conn_of(so);

	if (c->state == TCPS_LISTEN) {
		uint8_t algorithm = c->listen.cc_algorithm;

		tcp_listen_stop(c);
		tcp_state_set(c, TCPS_CLOSE);
		so->kind = SOCK_KIND_TCP;
		memset(&c->listen, 0, sizeof(c->listen));
		c->cc.algorithm = algorithm;
	} else {
		tcp_abort(c, 0);
	}
	restart(c);
	so->error = 0;
	tcp_events(c);
	sock_wake(so, TCP_WAKE_ALL);
	return 0;
}

/* --- sending --- */

/* 0: may write; else what send(2) returns. */
static int may_send(struct tcp_conn *c)
{
	int err;

	if (likely(tcp_in_states(c, TCPS_WRITABLE) && !c->so.error && !(c->so.shut & 2)))
		return 0;
	if (c->so.error) {
		err = -c->so.error;
		c->so.error = 0;
		tcp_events(c);
		return err;
	}
	if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECV)
		return -EAGAIN;
	return -EPIPE;
}

/* What every write ends with: urgent mark, push, readiness, and its turn in the next flush. */
static void written(struct tcp_conn *c, int flags)
{
	struct rte_mbuf *tail = c->sndq.unsent ? c->sndq.tail : NULL;

	if (unlikely(flags & MSG_OOB)) {
		c->snd_up = c->write_seq;
		c->flags |= CONN_F_SND_URG;
	}
	if (flags & MSG_MORE) {
		c->flags |= CONN_F_MORE;
	} else {
		c->flags &= ~CONN_F_MORE;
		if (tail)
			pkt_meta(tail)->flags |= TCP_M_PSH;
	}
	if (!tcp_snd_writeable(c) || (c->flags & CONN_F_STARVED))
		sock_events_clear(&c->so, EPOLLOUT);
	tcp_mark_dirty(c);
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

ssize_t tcp_sock_send(struct sock *so, const struct iovec *iov, int iovcnt, int flags)
{
	struct tcp_conn *c = tcp_conn_of(so);
	struct tcp_iov_cursor cur = {iov, iovcnt, 0};
	size_t bytes = iov_bytes(iov, iovcnt), done;
	int err = may_send(c);

	if (unlikely(err))
		return err;
	if (bytes == 0)
		return 0;
	done = tcp_sndq_write(c, &cur, bytes);
	if (done == 0) {
		sock_events_clear(so, EPOLLOUT);
		return -EAGAIN;
	}
	/* The urgent byte is the last one of the whole write */
	written(c, done < bytes ? flags & ~MSG_OOB : flags);
	return (ssize_t)done;
}

ssize_t tcp_sock_tx_alloc(struct sock *so, size_t bytes, struct rte_mbuf **list)
{
	struct tcp_conn *c = tcp_conn_of(so);
	struct stack *st = so->stack;
	uint32_t room = tcp_sndq_room(c), used = tcp_sndq_mem(c);
	struct rte_mbuf **link = list;
	size_t total = 0, n;
	int err = may_send(c);

	*list = NULL;
	if (err)
		return err;
	n = (bytes + room - 1) / room;
	if (tcp_snd_has_room(c))
		n = RTE_MIN(n, (size_t)((so->sndbuf_bytes - used) / tcp_mbuf_charge(room) + 1));
	else
		n = 0;
	if (n == 0) {
		COUNT(so->stack, tcp_sndbuf_full);
		c->flags |= CONN_F_NOSPACE;
		sock_events_clear(so, EPOLLOUT);
		return -EAGAIN;
	}
	for (; n && total < bytes && tcp_sndq_may_take(tcp_conn_of(so), (uint32_t)n); n--) {
		struct rte_mbuf *m = stack_mbuf_alloc(st);
		struct pkt_meta *meta;

		if (!m)
			break;
		meta = pkt_meta(m);
		meta->off = PKT_HEADROOM;
		meta->len = (uint16_t)RTE_MIN(bytes - total, (size_t)room);
		total += meta->len;
		*link = m;
		link = &meta->next;
	}
	if (total == 0) {
		tcp_sndq_starve(c);
		sock_events_clear(so, EPOLLOUT);
		return -EAGAIN;
	}
	return (ssize_t)total;
}

static void free_list(struct rte_mbuf *list)
{
	while (list) {
		struct rte_mbuf *next = pkt_meta(list)->next;

		rte_pktmbuf_free(list);
		list = next;
	}
}

int tcp_sock_tx_append(struct sock *so, struct rte_mbuf *list, size_t bytes, int flags)
{
	struct tcp_conn *c = tcp_conn_of(so);
	int err = bytes ? may_send(c) : 0;

	if (err) {
		free_list(list);
		return err;
	}
	while (list && bytes) {
		struct pkt_meta *meta = pkt_meta(list);
		struct rte_mbuf *next = meta->next;

		if (meta->len > bytes)
			meta->len = (uint16_t)bytes;
		bytes -= meta->len;
		tcp_sndq_append_or_merge(c, list);
		list = next;
	}
	free_list(list);
	written(c, flags);
	return 0;
}

/* --- receiving --- */

/* Receive buffer autotuning (Linux's tcp_rcv_space_adjust): twice what the program read in a round trip. */
static void adjust_rcvbuf(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	uint32_t copied = c->copied_seq - c->drs_seq;
	uint64_t window, most = st->cfg.tcp_rmem[2];

	if (c->rcv_rtt_ns == 0 || st->now - c->drs_at < c->rcv_rtt_ns)
		return;
	if (copied > c->drs_copied) {
		if (st->cfg.tcp_moderate_rcvbuf && !c->so.rcvbuf_locked) {
			uint64_t grown = copied - c->drs_copied;

			window = 2ULL * copied + 16ULL * c->advmss;
			/* A sender in slow start doubles: leave it room to */
			window += 2 * window * grown / RTE_MAX(c->drs_copied, 1u);
			window = RTE_MIN(2 * window, most);
			if (window > c->so.rcvbuf_bytes)
				c->so.rcvbuf_bytes = (uint32_t)window;
		}
		c->drs_copied = copied;
	}
	c->drs_seq = c->copied_seq;
	c->drs_at = st->now;
}

/* After the program took bytes: is an ACK due because of it (Linux's tcp_cleanup_rbuf)? */
static void ack_after_read(struct tcp_conn *c)
{
	uint32_t now, next;

	if (!tcp_in_states(c, TCPS_RECEIVES))
		return;
	if ((c->flags & CONN_F_ACK_SCHED) && c->rcv_nxt - c->rcv_wup > c->rcv_mss)
		goto ack;
	if (c->so.shut & 1)
		return;
	now = tcp_rcv_wnd(c);
	if (2 * now > c->so.rcvbuf_bytes / 2)
		return;
	next = tcp_select_window(c);
	if (next == 0 || next < 2 * now)
		return;
ack:
	c->flags |= CONN_F_ACK_NOW;
	tcp_mark_dirty(c);
}

static ssize_t recv_urgent(struct tcp_conn *c, const struct iovec *iov, int iovcnt, int flags,
			   struct sock_recv_info *info)
{
	uint8_t byte = (uint8_t)c->urg_data;

	if (c->so.opts.oobinline || c->urg_data == 0 || c->urg_data == TCP_URG_READ)
		return -EINVAL;
	if (c->state == TCPS_CLOSE && !(c->so.shut & 1))
		return -ENOTCONN;
	if (!(c->urg_data & TCP_URG_VALID))
		return (c->state == TCPS_CLOSE || (c->so.shut & 1)) ? 0 : -EAGAIN;
	if (info)
		info->msg_flags |= MSG_OOB;
	if (!(flags & MSG_PEEK)) {
		c->urg_data = TCP_URG_READ;
		tcp_events(c);
	}
	for (int i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len == 0)
			continue;
		if (!(flags & MSG_TRUNC))
			*(uint8_t *)iov[i].iov_base = byte;
		return 1;
	}
	if (info)
		info->msg_flags |= MSG_TRUNC;
	return 0;
}

/* How far a read may go: up to the urgent byte, which stands between what is before and after it. */
static size_t urgent_limit(struct tcp_conn *c, size_t want, int flags, size_t *skip)
{
	uint32_t ahead = c->urg_seq - c->copied_seq;

	*skip = 0;
	if (!c->urg_data || ahead >= c->rcvq.bytes)
		return want;
	if (ahead > 0)
		return RTE_MIN(want, (size_t)ahead);
	if (c->so.opts.oobinline)
		return want;
	*skip = 1;
	if (!(flags & MSG_PEEK)) {
		tcp_rcvq_read(c, NULL, 0, 0, 1);
		c->copied_seq++;
		*skip = 0;
		c->urg_data = 0;
		tcp_events(c);
	}
	return want;
}

static ssize_t nothing_to_read(struct tcp_conn *c)
{
	int err;

	if (c->so.error) {
		err = -c->so.error;
		c->so.error = 0;
		tcp_events(c);
		return err;
	}
	if (c->so.shut & 1)
		return 0;
	return c->state == TCPS_CLOSE ? -ENOTCONN : -EAGAIN;
}

static void after_read(struct tcp_conn *c, size_t got)
{
	c->copied_seq += (uint32_t)got;
	if (unlikely(c->urg_data)) {
		if (seq_gt(c->copied_seq, c->urg_seq))
			c->urg_data = 0;
		tcp_events(c);
	}
	adjust_rcvbuf(c);
	if (c->rcvq.bytes < c->so.rcvlowat_bytes && !(c->so.shut & 1))
		sock_events_clear(&c->so, EPOLLIN);
	ack_after_read(c);
}

ssize_t tcp_sock_recv(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		      struct sock_recv_info *info)
{
	struct tcp_conn *c = tcp_conn_of(so);
	size_t want = iov_bytes(iov, iovcnt), skip = 0, got;

	if (unlikely(so->kind != SOCK_KIND_TCP))
		return -ENOTCONN;
	if (unlikely(flags & MSG_OOB))
		return recv_urgent(c, iov, iovcnt, flags, info);
	if (unlikely(c->urg_data))
		want = urgent_limit(c, want, flags, &skip);
	if (c->rcvq.bytes <= skip)
		return want ? nothing_to_read(c) : 0;
	if (want == 0)
		return 0;
	if (unlikely(flags & MSG_PEEK))
		return flags & MSG_TRUNC ? (ssize_t)RTE_MIN(want, (size_t)c->rcvq.bytes - skip)
					 : (ssize_t)tcp_rcvq_peek(c, skip, iov, iovcnt, 0, want);
	got = tcp_rcvq_read(c, flags & MSG_TRUNC ? NULL : iov, iovcnt, 0, want);
	after_read(c, got);
	return (ssize_t)got;
}

/* --- ending --- */

int tcp_sock_shutdown(struct sock *so, int how)
{
	struct tcp_conn *c = tcp_conn_of(so);
	int err = 0;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	how++;
	if (c->state == TCPS_LISTEN && !(how & 1))
		return 0;
	if (c->state == TCPS_LISTEN || c->state == TCPS_SYN_SENT)
		return tcp_sock_disconnect(so);
	if (c->state == TCPS_CLOSE)
		err = -ENOTCONN;
	so->shut |= (uint8_t)how;
	if (how & 2)
		tcp_close_write(c);
	tcp_events(c);
	sock_wake(so, TCP_WAKE_ALL);
	return err;
}

/* Closed by the program, but the peer has not heard everything yet. */
static void orphan(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;

	c->so.orphan = true;
	c->flags |= CONN_F_ORPHANED;
	st->tcp->orphans++;
	tcp_rcvq_clear(c);
	c->deadline[TCP_T_KEEP] = TIME_NEVER;
	if (c->state == TCPS_FIN_WAIT2)
		tcp_timer_at(c, TCP_T_KEEP,
			     st->now +
				     (c->linger2_s > 0 ? (uint32_t)c->linger2_s : st->cfg.tcp_fin_timeout_s) *
					     NS_PER_SEC);
	tcp_close_write(c);
	c->so.shut = 3;
}

void tcp_sock_close(struct sock *so)
{
	struct tcp_conn *c = tcp_conn_of(so);
	struct stack *st = so->stack;

	sock_forget(so);
	if (c->state == TCPS_LISTEN) {
		tcp_listen_stop(c);
		tcp_state_set(c, TCPS_CLOSE);
	} else if (c->rcvq.bytes || so->linger_s == 0) {
		/* RFC 2525, 2.17: the peer must learn that its data was thrown away */
		tcp_abort(c, 0);
	} else if (st->tcp->orphans >= st->cfg.max_tcp / 2 && c->state != TCPS_CLOSE) {
		COUNT(st, tcp_orphans_dropped);
		tcp_abort(c, 0);
	} else if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECV) {
		tcp_abort(c, 0);
	} else if (c->state != TCPS_CLOSE) {
		orphan(c);
		return;
	}
	sock_forget(so);
	tcp_conn_free(c);
}
