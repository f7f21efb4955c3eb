/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_dump.c - one line for each TCP connection and listener, in ss(8)'s words
 *
 * For humans and failed tests; walks the whole arena, never on a packet's way.
 */
#include "tcp_conn.h"

#include "dump.h"
#include "tcp.h"
#include "tcp_table.h"

static const char *const state_names[] = {
	[TCPS_ESTABLISHED] = "ESTAB",    [TCPS_SYN_SENT] = "SYN-SENT",     [TCPS_SYN_RECV] = "SYN-RECV",
	[TCPS_FIN_WAIT1] = "FIN-WAIT-1", [TCPS_FIN_WAIT2] = "FIN-WAIT-2",  [TCPS_TIME_WAIT] = "TIME-WAIT",
	[TCPS_CLOSE] = "UNCONN",         [TCPS_CLOSE_WAIT] = "CLOSE-WAIT", [TCPS_LAST_ACK] = "LAST-ACK",
	[TCPS_LISTEN] = "LISTEN",        [TCPS_CLOSING] = "CLOSING",
};

static const char *const recovery_names[] = {
	[TCP_RECOVERY_OPEN] = "open", [TCP_RECOVERY_FAST] = "recovery", [TCP_RECOVERY_LOSS] = "loss"};

static const char *const rexmit_names[] = {[TCP_REXMIT_NONE] = "off",
					   [TCP_REXMIT_RTO] = "rto",
					   [TCP_REXMIT_TLP] = "tlp",
					   [TCP_REXMIT_REO] = "reo",
					   [TCP_REXMIT_PERSIST] = "persist"};

static size_t dump_listener(const struct tcp_conn *c, char *buf, size_t len, size_t at)
{
	char local[DUMP_ENDPOINT_LEN];

	return dump_printf(buf, len, at, "tcp LISTEN %s accept-queue %u of %u, half-open %u%s\n",
			   dump_endpoint(&c->so.local, local), c->listen.accept_count, c->listen.backlog,
			   c->listen.embryo_count, c->listen.leader && c->listen.leader != c ? ", twin" : "");
}

static size_t dump_conn(const struct tcp_conn *c, char *buf, size_t len, size_t at)
{
	char local[DUMP_ENDPOINT_LEN], peer[DUMP_ENDPOINT_LEN];
	const char *timer = c->deadline[TCP_T_REXMIT] == TIME_NEVER ? "off" : rexmit_names[c->recover.timer];

	at = dump_printf(buf, len, at, "tcp %s %s %s%s rcvq %u sndq %u", state_names[c->state],
			 dump_endpoint(&c->so.local, local), dump_endpoint(&c->so.peer, peer),
			 c->so.orphan ? " orphan" : "", c->rcvq.bytes, c->sndq.bytes);
	at = dump_printf(buf, len, at, " una +%u nxt +%u write +%u wnd %u rcv +%u", c->snd_una - c->iss,
			 c->snd_nxt - c->iss, c->write_seq - c->iss, c->snd_wnd, c->rcv_nxt - c->irs);
	at = dump_printf(buf, len, at, " cc %s cwnd %u ssthresh %u %s sacked %u lost %u retrans %u",
			 tcp_cc_ops(&c->cc)->name, c->cc.cwnd, c->cc.ssthresh, recovery_names[c->recovery],
			 c->recover.sacked, c->recover.lost, c->recover.retrans);
	return dump_printf(buf, len, at,
			   " rtt %lluus rto %llums timer %s ooo %u events %#x flags %#x error %d\n",
			   c->rtt.srtt_ns / NS_PER_US, tcp_rtt_timeout(&c->rtt) / NS_PER_MS, timer,
			   c->reasm.bytes, sock_events(&c->so), c->flags, c->so.error);
}

static size_t dump_one(const struct tcp_conn *c, char *buf, size_t len, size_t at)
{
	return c->state == TCPS_LISTEN ? dump_listener(c, buf, len, at) : dump_conn(c, buf, len, at);
}

size_t tcp_sock_dump(const struct sock *so, char *buf, size_t len)
{
	return dump_one((const struct tcp_conn *)so, buf, len, 0);
}

bool tcp_sock_at(const struct stack *st, uint32_t n, const struct sock **so)
{
	const struct tcp_table *t = st->tcp;

	if (n >= t->arena_used)
		return false;
	*so = t->arena[n].so.kind != SOCK_KIND_FREE ? &t->arena[n].so : NULL;
	return true;
}

void tcp_sock_row(const struct sock *so, struct stack_sock_row *row)
{
	const struct tcp_conn *c = (const struct tcp_conn *)so;
	bool listens = c->state == TCPS_LISTEN;

	row->proto = "tcp";
	row->state = state_names[c->state];
	row->recv_q = listens ? c->listen.accept_count : c->rcvq.bytes;
	row->send_q = listens ? c->listen.backlog : c->sndq.bytes;
}

size_t tcp_dump(const struct stack *st, char *buf, size_t len)
{
	const struct tcp_table *t = st->tcp;
	size_t at = 0;

	for (uint32_t i = 0; i < t->arena_used; i++) {
		const struct tcp_conn *c = &t->arena[i];

		if (c->so.kind != SOCK_KIND_FREE)
			at = dump_one(c, buf, len, at);
	}
	return dump_printf(buf, len, at, "tcp %u connections, %u orphans, %u in TIME-WAIT\n", t->conns,
			   t->orphans, t->tw_count);
}

static uint32_t count_listeners(const struct tcp_table *t)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < TCP_LISTEN_BUCKETS; i++)
		for (const struct tcp_conn *c = t->listeners[i]; c; c = c->listen.next)
			n++;
	return n;
}

void tcp_usage(const struct stack *st, struct stack_usage *u)
{
	const struct tcp_table *t = st->tcp;
	uint32_t listeners = count_listeners(t);

	u->tcp_listeners += listeners;
	u->tcp_connections += t->conns - listeners;
	u->tcp_orphans += t->orphans;
	u->tcp_time_wait += t->tw_count;
	u->tcp_max += t->arena_max;
	u->tcp_time_wait_max += t->tw_max;
}
