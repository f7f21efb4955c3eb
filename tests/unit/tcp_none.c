/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_none.c - a stack without TCP, for the tests of the layers below it; notes what TCP is told
 */
#include "tcp_none.h"

#include <errno.h>

#include "stack/stack_priv.h"
#include "stack/tcp.h"

struct tcp_none_seen tcp_none_seen;

size_t tcp_mem_size(const struct stack_config *cfg)
{
	(void)cfg;
	return 64;
}

void tcp_init(struct stack *st, void *mem)
{
	st->tcp = mem;
}

void tcp_fini(struct stack *st)
{
	(void)st;
}

void tcp_look_ahead(const struct stack *st, struct rte_mbuf *const *frames, unsigned n)
{
	(void)st, (void)frames, (void)n;
}

void tcp_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx)
{
	(void)st;
	tcp_none_seen.segments++;
	tcp_none_seen.rx = *rx;
	if (rx->l4_len >= 20)
		tcp_none_seen.csum_ok = ip4_l4_csum_ok(st, m, rx);
	rte_pktmbuf_free(m);
}

bool tcp_knows(const struct stack *st, const struct endpoint *local, const struct endpoint *peer,
	       uint32_t *hash)
{
	(void)st, (void)local, (void)peer;
	*hash = 0;
	return true;
}

void tcp_icmp_error(struct stack *st, const struct endpoint *local, const struct endpoint *peer, uint32_t seq,
		    int err, uint16_t mtu)
{
	(void)st;
	tcp_none_seen.errors++;
	tcp_none_seen.local = *local;
	tcp_none_seen.peer = *peer;
	tcp_none_seen.seq = seq;
	tcp_none_seen.err = err;
	tcp_none_seen.mtu = mtu;
}

void tcp_timer(struct stack *st, struct timer *t)
{
	(void)st, (void)t;
}

time_ns tcp_timer_due(const struct timer *t)
{
	return t->due;
}

void tcp_flush(struct stack *st)
{
	(void)st;
}

bool tcp_flush_needed(const struct stack *st)
{
	(void)st;
	return false;
}

unsigned tcp_undelivered(const struct stack *st)
{
	(void)st;
	return 0;
}

size_t tcp_dump(const struct stack *st, char *buf, size_t len)
{
	(void)st, (void)buf, (void)len;
	return 0;
}

bool tcp_sock_at(const struct stack *st, uint32_t n, const struct sock **so)
{
	(void)st, (void)n, (void)so;
	return false;
}

void tcp_sock_row(const struct sock *so, struct stack_sock_row *row)
{
	(void)so, (void)row;
}

size_t tcp_sock_dump(const struct sock *so, char *buf, size_t len)
{
	(void)so, (void)buf, (void)len;
	return 0;
}

void tcp_usage(const struct stack *st, struct stack_usage *u)
{
	(void)st, (void)u;
}

int tcp_sock_new(struct stack *st, int family, struct sock **out)
{
	static struct sock so;

	sock_base_init(&so, st, SOCK_KIND_TCP, family);
	*out = &so;
	return 0;
}

void tcp_sock_close(struct sock *so)
{
	sock_forget(so);
}

int tcp_sock_bind(struct sock *so, const struct endpoint *local)
{
	so->local = *local;
	return 0;
}

int tcp_sock_listen(struct sock *so, int backlog)
{
	(void)so, (void)backlog;
	return 0;
}

bool tcp_listens_at(const struct stack *st, const struct endpoint *to)
{
	(void)st, (void)to;
	return false;
}

bool tcp_may_bind(const struct stack *st, const struct sock *so, const struct endpoint *local)
{
	(void)st, (void)so, (void)local;
	return true;
}

int tcp_sock_listen_twin(struct sock *leader, struct stack *st, struct sock **twin)
{
	(void)leader, (void)st, (void)twin;
	return -EOPNOTSUPP;
}

int tcp_sock_accept(struct sock *so, struct sock **child)
{
	(void)so, (void)child;
	return -EAGAIN;
}

void tcp_sock_listen_near(struct sock *listener, uint16_t queue)
{
	(void)listener, (void)queue;
}

time_ns tcp_sock_accept_since(const struct sock *so)
{
	(void)so;
	return TIME_NEVER;
}

int tcp_sock_connect(struct sock *so, const struct endpoint *peer)
{
	(void)so, (void)peer;
	return -EINPROGRESS;
}

int tcp_sock_disconnect(struct sock *so)
{
	(void)so;
	return 0;
}

ssize_t tcp_sock_send(struct sock *so, const struct iovec *iov, int iovcnt, int flags)
{
	(void)so, (void)iov, (void)iovcnt, (void)flags;
	return -EPIPE;
}

ssize_t tcp_sock_recv(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		      struct sock_recv_info *info)
{
	(void)so, (void)iov, (void)iovcnt, (void)flags, (void)info;
	return -EAGAIN;
}

ssize_t tcp_sock_tx_alloc(struct sock *so, size_t bytes, struct rte_mbuf **list)
{
	(void)so, (void)bytes, (void)list;
	return -EPIPE;
}

int tcp_sock_tx_append(struct sock *so, struct rte_mbuf *list, size_t bytes, int flags)
{
	(void)so, (void)list, (void)bytes, (void)flags;
	return -EPIPE;
}

int tcp_sock_shutdown(struct sock *so, int how)
{
	(void)so, (void)how;
	return 0;
}

int tcp_sock_setopt(struct sock *so, int level, int name, const void *val, socklen_t len)
{
	(void)so, (void)level, (void)name, (void)val, (void)len;
	return -ENOPROTOOPT;
}

int tcp_sock_getopt(struct sock *so, int level, int name, void *val, socklen_t *len)
{
	(void)so, (void)level, (void)name, (void)val, (void)len;
	return -ENOPROTOOPT;
}

void tcp_sock_opt_changed(struct sock *so, int level, int name)
{
	(void)so;
	tcp_none_seen.opt_level = level;
	tcp_none_seen.opt_name = name;
}

int tcp_sock_ioctl(struct sock *so, unsigned long request, int *value)
{
	(void)so, (void)request, (void)value;
	return -ENOTTY;
}

int tcp_sock_inq(const struct sock *so)
{
	(void)so;
	return 0;
}
