/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_opt_sock.c - socket options of level IPPROTO_TCP and the queue-length ioctls, with Linux's ranges and
 * errnos
 *
 * Values are checked as net/ipv4/tcp.c documents them in tcp(7); an option that is not honoured answers with
 * the errno a Linux without it would give. Called by sock.c for SOCK_KIND_TCP and SOCK_KIND_TCP_LISTEN.
 */
#include "tcp_conn.h"

#include <errno.h>
#include <string.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>

#include "tcp.h"
#include "tcp_listen.h"
#include "tcp_state.h"
#include "tcp_table.h"
#include "tcp_timer.h"

#define MAXSEG_MIN         88    /* Linux's TCP_MIN_MSS */
#define MAXSEG_MAX         32767 /* MAX_TCP_WINDOW */
#define KEEP_MAX_S         32767
#define KEEPCNT_MAX        127
#define SYNCNT_MAX         127
#define LINGER2_MAX_S      120
#define WINDOW_CLAMP_MIN   1152 /* half of SOCK_MIN_RCVBUF */
#define FASTOPEN_QUEUE_MAX 4096 /* net.core.somaxconn */
#define CC_NAME_MAX        16   /* TCP_CA_NAME_MAX, the NUL included */

/* TCP_DEFER_ACCEPT counts seconds, the SYN queue counts retransmissions at 1, 2, 4 … 120 seconds. */
static uint8_t seconds_to_retrans(int seconds)
{
	int period = 1, timeout = 1;
	uint8_t n = 1;

	if (seconds <= 0)
		return 0;
	while (seconds > period && n < UINT8_MAX) {
		n++;
		timeout = RTE_MIN(timeout * 2, 120);
		period += timeout;
	}
	return n;
}

static int retrans_to_seconds(uint8_t n)
{
	int period = n ? 1 : 0, timeout = 1;

	while (n > 1) {
		n--;
		timeout = RTE_MIN(timeout * 2, 120);
		period += timeout;
	}
	return period;
}

static void flag_set(struct tcp_conn *c, uint32_t flag, bool on)
{
	c->flags = on ? c->flags | flag : c->flags & ~flag;
}

/* What Nagle or the cork held back may leave now. */
static void push(struct tcp_conn *c)
{
	if (c->state == TCPS_LISTEN || !c->sndq.unsent)
		return;
	c->flags |= CONN_F_PUSH_ALL;
	tcp_mark_dirty(c);
}

static int set_congestion(struct tcp_conn *c, const char *val, socklen_t len)
{
	char name[CC_NAME_MAX] = "";
	int algorithm;

	if (len < 1)
		return -EINVAL;
	memcpy(name, val, RTE_MIN(len, (socklen_t)sizeof(name) - 1));
	algorithm = tcp_cc_find(name, strnlen(name, sizeof(name)));
	if (algorithm < 0)
		return -ENOENT;
	if (c->state == TCPS_LISTEN)
		c->listen.cc_algorithm = (uint8_t)algorithm;
	else
		tcp_cc_switch(&c->cc, (unsigned)algorithm);
	return 0;
}

static int set_window_clamp(struct tcp_conn *c, int v)
{
	if (v == 0) {
		if (c->state != TCPS_CLOSE)
			return -EINVAL;
		c->window_clamp = 0;
		return 0;
	}
	c->window_clamp = (uint32_t)RTE_MAX(v, WINDOW_CLAMP_MIN);
	return 0;
}

static void set_quickack(struct tcp_conn *c, int v)
{
	if (c->state == TCPS_LISTEN)
		return;
	if (!(v & 1)) {
		c->flags |= CONN_F_PINGPONG;
		c->flags &= ~CONN_F_QUICK_FORCED;
		c->quick = 0;
		return;
	}
	c->flags &= ~CONN_F_PINGPONG;
	c->flags |= CONN_F_QUICK_FORCED;
	c->quick = TCP_QUICKACKS;
	if (c->flags & CONN_F_ACK_SCHED) {
		c->flags |= CONN_F_ACK_NOW;
		tcp_mark_dirty(c);
	}
}

/* From when on keep-alive has to count: silence so far is part of it. */
static void rearm_keepalive(struct tcp_conn *c)
{
	if (c->so.keepalive && tcp_in_states(c, TCPS_SENDS | TCPS_RECEIVES) && !c->so.orphan)
		tcp_timer_at(c, TCP_T_KEEP,
			     RTE_MAX(c->so.stack->now, tcp_heard_at(c) + c->keepidle_s * NS_PER_SEC));
}

static int set_int(struct tcp_conn *c, int name, int v)
{
	switch (name) {
	case TCP_NODELAY:
		flag_set(c, CONN_F_NODELAY, v);
		if (v)
			push(c);
		return 0;
	case TCP_CORK:
		flag_set(c, CONN_F_CORK, v);
		if (!v)
			push(c);
		return 0;
	case TCP_MAXSEG:
		if (v && (v < MAXSEG_MIN || v > MAXSEG_MAX))
			return -EINVAL;
		c->user_mss = (uint16_t)v;
		return 0;
	case TCP_KEEPIDLE:
		if (v < 1 || v > KEEP_MAX_S)
			return -EINVAL;
		c->keepidle_s = (uint16_t)v;
		rearm_keepalive(c);
		return 0;
	case TCP_KEEPINTVL:
		if (v < 1 || v > KEEP_MAX_S)
			return -EINVAL;
		c->keepintvl_s = (uint16_t)v;
		return 0;
	case TCP_KEEPCNT:
		if (v < 1 || v > KEEPCNT_MAX)
			return -EINVAL;
		c->keepcnt = (uint8_t)v;
		return 0;
	case TCP_SYNCNT:
		if (v < 1 || v > SYNCNT_MAX)
			return -EINVAL;
		c->syncnt = (uint8_t)v;
		return 0;
	case TCP_LINGER2:
		c->linger2_s = v < 0 ? -1 : RTE_MIN(v, LINGER2_MAX_S);
		return 0;
	case TCP_DEFER_ACCEPT:
		c->defer_accept = seconds_to_retrans(v);
		return 0;
	case TCP_WINDOW_CLAMP:
		return set_window_clamp(c, v);
	case TCP_QUICKACK:
		set_quickack(c, v);
		return 0;
	case TCP_USER_TIMEOUT:
		if (v < 0)
			return -EINVAL;
		c->user_timeout_ms = (uint32_t)v;
		return 0;
	case TCP_NOTSENT_LOWAT:
		c->notsent_lowat = (uint32_t)v;
		tcp_write_space(c);
		return 0;
	case TCP_INQ:
		if (v < 0 || v > 1)
			return -EINVAL;
		if (v)
			c->so.opts.recv_opts |= SOCK_RECV_INQ;
		else
			c->so.opts.recv_opts &= ~(uint32_t)SOCK_RECV_INQ;
		return 0;
	case TCP_REPAIR:
	case TCP_TIMESTAMP:
		return -EPERM;
	case TCP_FASTOPEN:
		if (v < 0 || !tcp_in_states(c, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_LISTEN)))
			return -EINVAL;
		c->so.opts.fastopen_queue = (uint16_t)RTE_MIN(v, FASTOPEN_QUEUE_MAX);
		return 0;
	case TCP_FASTOPEN_CONNECT:
		if (v < 0 || v > 1 || c->state != TCPS_CLOSE)
			return -EINVAL;
		c->so.opts.fastopen_connect = v;
		return 0;
	case TCP_FASTOPEN_NO_COOKIE:
		if (v < 0 || v > 1 || !tcp_in_states(c, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_LISTEN)))
			return -EINVAL;
		c->so.opts.fastopen_no_cookie = v;
		return 0;
	default: /* TCP_ULP among them: TLS stays in user space */
		return -ENOPROTOOPT;
	}
}

int tcp_sock_setopt(struct sock *so, int level, int name, const void *val, socklen_t len)
{
	int v;

	if (level != IPPROTO_TCP)
		return -ENOPROTOOPT;
	if (name == TCP_CONGESTION)
		return set_congestion(tcp_conn_of(so), val, len);
	if (name == TCP_ULP)
		return -ENOPROTOOPT;
	if (len < sizeof(int))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	return set_int(tcp_conn_of(so), name, v);
}

static uint32_t to_us(time_ns t)
{
	return (uint32_t)RTE_MIN(t / NS_PER_US, (time_ns)UINT32_MAX);
}

static uint32_t ms_since(const struct tcp_conn *c, time_ns t)
{
	return (uint32_t)RTE_MIN((c->so.stack->now - t) / NS_PER_MS, (time_ns)UINT32_MAX);
}

static uint8_t info_ca_state(const struct tcp_conn *c)
{
	switch (c->recovery) {
	case TCP_RECOVERY_FAST:
		return TCP_CA_Recovery;
	case TCP_RECOVERY_LOSS:
		return TCP_CA_Loss;
	default:
		return c->recover.sacked ? TCP_CA_Disorder : TCP_CA_Open;
	}
}

static void info_common(struct tcp_info *i, const struct tcp_conn *c)
{
	i->tcpi_state = c->state;
	i->tcpi_options = (uint8_t)((c->flags & CONN_F_TS ? TCPI_OPT_TIMESTAMPS : 0) |
				    (c->flags & CONN_F_SACK ? TCPI_OPT_SACK : 0) |
				    (c->flags & CONN_F_WSCALE ? TCPI_OPT_WSCALE : 0));
	if (c->flags & CONN_F_WSCALE) {
		i->tcpi_snd_wscale = c->snd_wscale & 15;
		i->tcpi_rcv_wscale = c->rcv_wscale & 15;
	}
	i->tcpi_snd_mss = c->mss;
	i->tcpi_rcv_mss = c->rcv_mss;
	i->tcpi_advmss = c->advmss;
	i->tcpi_pmtu = c->path.mtu;
	i->tcpi_last_data_sent = ms_since(c, c->data_tx_at);
	i->tcpi_last_data_recv = ms_since(c, c->data_rx_at);
	i->tcpi_last_ack_recv = ms_since(c, c->rx_at);
	i->tcpi_total_retrans = c->total_retrans;
	i->tcpi_bytes_acked = c->bytes_acked;
	i->tcpi_bytes_received = c->bytes_received;
	i->tcpi_bytes_sent = c->bytes_sent;
	i->tcpi_bytes_retrans = c->bytes_retrans;
	i->tcpi_segs_in = c->segs_in;
	i->tcpi_segs_out = c->segs_out;
	i->tcpi_data_segs_in = c->data_segs_in;
	i->tcpi_data_segs_out = c->data_segs_out;
	i->tcpi_dsack_dups = c->dsack_dups;
	i->tcpi_reord_seen = c->reord_seen;
	i->tcpi_snd_wnd = c->snd_wnd;
	i->tcpi_notsent_bytes = c->write_seq - c->snd_nxt;
	i->tcpi_rcv_space = c->drs_copied;
	i->tcpi_rcv_rtt = to_us(c->rcv_rtt_ns);
}

static void info_sender(struct tcp_info *i, const struct tcp_conn *c)
{
	uint32_t mss = RTE_MAX(c->mss, (uint16_t)1);

	i->tcpi_ca_state = info_ca_state(c);
	i->tcpi_retransmits = c->recover.retries;
	i->tcpi_probes = c->recover.probes;
	i->tcpi_backoff = c->rtt.backoff;
	i->tcpi_rto = to_us(tcp_rtt_timeout(&c->rtt));
	i->tcpi_ato = to_us(TCP_DELACK_NS);
	i->tcpi_rtt = to_us(c->rtt.srtt_ns);
	i->tcpi_rttvar = to_us(c->rtt.rttvar_ns);
	i->tcpi_min_rtt = to_us(c->rtt.min_ns);
	i->tcpi_snd_cwnd = c->cc.cwnd / mss;
	i->tcpi_snd_ssthresh = c->cc.ssthresh == UINT32_MAX ? INT32_MAX : c->cc.ssthresh / mss;
	i->tcpi_unacked = (c->snd_nxt - c->snd_una + mss - 1) / mss;
	i->tcpi_sacked = (c->recover.sacked + mss - 1) / mss;
	i->tcpi_lost = (c->recover.lost + mss - 1) / mss;
	i->tcpi_retrans = (c->recover.retrans + mss - 1) / mss;
	i->tcpi_reordering = 3;
}

static int get_info(const struct tcp_conn *c, void *val, socklen_t *len)
{
	struct tcp_info info = {0};

	if (c->state == TCPS_LISTEN) {
		/* As Linux: the accept queue and its limit */
		info.tcpi_state = c->state;
		info.tcpi_unacked = tcp_listen_waiting(c);
		info.tcpi_sacked = c->listen.backlog;
	} else {
		info_common(&info, c);
		info_sender(&info, c);
	}
	*len = RTE_MIN(*len, (socklen_t)sizeof(info));
	memcpy(val, &info, *len);
	return 0;
}

static int get_congestion(const struct tcp_conn *c, void *val, socklen_t *len)
{
	unsigned algorithm = c->state == TCPS_LISTEN ? c->listen.cc_algorithm : c->cc.algorithm;
	char name[CC_NAME_MAX] = "";

	strncpy(name, tcp_cc_algorithms[algorithm]->name, sizeof(name) - 1);
	*len = RTE_MIN(*len, (socklen_t)sizeof(name));
	memcpy(val, name, *len);
	return 0;
}

static int get_int(const struct tcp_conn *c, int name, int *v)
{
	switch (name) {
	case TCP_NODELAY:
		*v = !!(c->flags & CONN_F_NODELAY);
		return 0;
	case TCP_CORK:
		*v = !!(c->flags & CONN_F_CORK);
		return 0;
	case TCP_MAXSEG:
		*v = c->user_mss && tcp_in_states(c, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_LISTEN))
			     ? c->user_mss
			     : c->mss;
		return 0;
	case TCP_KEEPIDLE:
		*v = c->keepidle_s;
		return 0;
	case TCP_KEEPINTVL:
		*v = c->keepintvl_s;
		return 0;
	case TCP_KEEPCNT:
		*v = c->keepcnt;
		return 0;
	case TCP_SYNCNT:
		*v = c->syncnt ? c->syncnt : (int)c->so.stack->cfg.tcp_syn_retries;
		return 0;
	case TCP_LINGER2:
		*v = c->linger2_s ? c->linger2_s : (int)c->so.stack->cfg.tcp_fin_timeout_s;
		return 0;
	case TCP_DEFER_ACCEPT:
		*v = retrans_to_seconds(c->defer_accept);
		return 0;
	case TCP_WINDOW_CLAMP:
		*v = (int)c->window_clamp;
		return 0;
	case TCP_QUICKACK:
		*v = !(c->flags & CONN_F_PINGPONG);
		return 0;
	case TCP_USER_TIMEOUT:
		*v = (int)c->user_timeout_ms;
		return 0;
	case TCP_NOTSENT_LOWAT:
		*v = (int)c->notsent_lowat;
		return 0;
	case TCP_INQ:
		*v = !!(c->so.opts.recv_opts & SOCK_RECV_INQ);
		return 0;
	case TCP_TIMESTAMP:
		*v = (int)tcp_ts_now(c->so.stack, c->ts_offset);
		return 0;
	case TCP_FASTOPEN:
		*v = c->so.opts.fastopen_queue;
		return 0;
	case TCP_FASTOPEN_CONNECT:
		*v = c->so.opts.fastopen_connect;
		return 0;
	case TCP_FASTOPEN_NO_COOKIE:
		*v = c->so.opts.fastopen_no_cookie;
		return 0;
	case TCP_REPAIR:
		*v = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int tcp_sock_getopt(struct sock *so, int level, int name, void *val, socklen_t *len)
{
	const struct tcp_conn *c = tcp_conn_of(so);
	int v, err;

	if (level != IPPROTO_TCP)
		return -ENOPROTOOPT;
	if (name == TCP_INFO)
		return get_info(c, val, len);
	if (name == TCP_CONGESTION)
		return get_congestion(c, val, len);
	err = get_int(c, name, &v);
	if (err)
		return err;
	*len = RTE_MIN(*len, (socklen_t)sizeof(v));
	memcpy(val, &v, *len);
	return 0;
}

void tcp_sock_opt_changed(struct sock *so, int level, int name)
{
	struct tcp_conn *c = tcp_conn_of(so);

	if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
		if (so->keepalive)
			rearm_keepalive(c);
		else if (c->state != TCPS_FIN_WAIT2 || !so->orphan)
			tcp_timer_off(c, TCP_T_KEEP);
	} else if (level == SOL_SOCKET && name == SO_SNDBUF) {
		tcp_write_space(c);
	} else if (level == SOL_SOCKET && (name == SO_RCVLOWAT || name == SO_OOBINLINE)) {
		uint32_t before = sock_events(so);

		tcp_events(c);
		if (sock_events(so) & ~before & EPOLLIN)
			sock_wake(so, EPOLLIN);
	}
	tcp_path_options(c);
}

int tcp_sock_inq(const struct sock *so)
{
	const struct tcp_conn *c = (const struct tcp_conn *)so;

	return so->kind == SOCK_KIND_TCP ? (int)c->rcvq.bytes + !!(c->flags & CONN_F_PEER_DONE) : 0;
}

int tcp_sock_ioctl(struct sock *so, unsigned long request, int *value)
{
	const struct tcp_conn *c = tcp_conn_of(so);
	bool synchronised =
		!tcp_in_states(c, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_SYN_SENT) | TCPS_BIT(TCPS_SYN_RECV));

	if (c->state == TCPS_LISTEN)
		return -EINVAL;
	switch (request) {
	case SIOCINQ:
		*value = (int)c->rcvq.bytes;
		return 0;
	case SIOCATMARK:
		*value = (c->urg_data & (TCP_URG_VALID | TCP_URG_NOTYET)) && c->urg_seq == c->copied_seq;
		return 0;
	case SIOCOUTQ:
		*value = synchronised ? (int)(c->write_seq - c->snd_una) : 0;
		return 0;
	case SIOCOUTQNSD:
		*value = synchronised ? (int)(c->write_seq - c->snd_nxt) : 0;
		return 0;
	default:
		return -ENOTTY;
	}
}
