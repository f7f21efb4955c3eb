/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sock.c - what all sockets have in common, and the way from sock.h to the protocol
 *
 * One switch on the kind per call: no pointers to code, because sockets live in memory shared by processes
 * that may have this library at different addresses. Options are in sock_opt.c.
 */
#include "sock.h"

#include <errno.h>
#include <sys/epoll.h>

#include "stack_priv.h"
#include "tcp.h"
#include "udp.h"

/* net.core.rmem_default and wmem_default, which UDP starts with. */
#define SOCK_UDP_BUF_DEFAULT 212992

void sock_base_init(struct sock *so, struct stack *st, enum sock_kind kind, int family)
{
	bool udp = kind == SOCK_KIND_UDP;

	*so = (struct sock){
		.stack = st,
		.kind = (uint8_t)kind,
		.family = (uint8_t)family,
		.linger_s = -1,
		.rcvbuf_bytes = udp ? SOCK_UDP_BUF_DEFAULT : st->cfg.tcp_rmem[1],
		.sndbuf_bytes = udp ? SOCK_UDP_BUF_DEFAULT : st->cfg.tcp_wmem[1],
		.rcvlowat_bytes = 1,
		.ttl = st->cfg.ip_default_ttl,
		.opts =
			{
				.max_pacing_rate = UINT64_MAX,
				.incoming_cpu = -1,
				.peek_off = -1,
				.user_ttl = -1,
				.hops = -1,
				.pmtudisc = IP_PMTUDISC_WANT,
				.mcast_ttl = 1,
				.mcast_loop = true,
				.mcast_all = true,
			},
	};
}

void sock_forget(struct sock *so)
{
	struct stack *st = so->stack;
	struct sock **p = &st->woken_head;

	if (!so->wake_queued)
		return;
	while (*p != so)
		p = &(*p)->wake_next;
	*p = so->wake_next;
	if (*p == NULL)
		st->woken_tail = p;
	so->wake_queued = false;
	so->wake = 0;
}

int sock_new(struct stack *st, int family, int type, struct sock **out)
{
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	switch (type) {
	case SOCK_STREAM:
		return tcp_sock_new(st, family, out);
	case SOCK_DGRAM:
		return udp_sock_new(st, family, out);
	default:
		return -ESOCKTNOSUPPORT;
	}
}

void sock_close(struct sock *so)
{
	if (so->kind == SOCK_KIND_UDP)
		udp_sock_close(so);
	else
		tcp_sock_close(so);
}

bool sock_listens_at(const struct stack *st, int type, const struct endpoint *to)
{
	return type == SOCK_DGRAM ? udp_listens_at(st, to) : tcp_listens_at(st, to);
}

int sock_bind(struct sock *so, const struct endpoint *local)
{
	return so->kind == SOCK_KIND_UDP ? udp_sock_bind(so, local) : tcp_sock_bind(so, local);
}

int sock_listen(struct sock *so, int backlog)
{
	return so->kind == SOCK_KIND_UDP ? -EOPNOTSUPP : tcp_sock_listen(so, backlog);
}

int sock_may_bind(const struct stack *st, const struct sock *so, const struct endpoint *local)
{
	bool may =
		so->kind == SOCK_KIND_UDP ? udp_table_may_bind(st, so, local) : tcp_may_bind(st, so, local);

	return may ? 0 : -EADDRINUSE;
}

int sock_listen_twin(struct sock *leader, struct stack *st, struct sock **twin)
{
	return tcp_sock_listen_twin(leader, st, twin);
}

void sock_listen_near(struct sock *listener, uint16_t queue)
{
	if (listener->kind == SOCK_KIND_TCP_LISTEN)
		tcp_sock_listen_near(listener, queue);
}

int sock_accept(struct sock *so, struct sock **child)
{
	return so->kind == SOCK_KIND_UDP ? -EOPNOTSUPP : tcp_sock_accept(so, child);
}

time_ns sock_accept_since(const struct sock *so)
{
	return tcp_sock_accept_since(so);
}

int sock_connect(struct sock *so, const struct endpoint *peer)
{
	return so->kind == SOCK_KIND_UDP ? udp_sock_connect(so, peer) : tcp_sock_connect(so, peer);
}

int sock_disconnect(struct sock *so)
{
	return so->kind == SOCK_KIND_UDP ? udp_sock_disconnect(so) : tcp_sock_disconnect(so);
}

ssize_t sock_send(struct sock *so, const struct iovec *iov, int iovcnt, int flags, const struct endpoint *to)
{
	if (so->kind == SOCK_KIND_UDP)
		return udp_sock_send(so, iov, iovcnt, flags, to);
	return tcp_sock_send(so, iov, iovcnt, flags);
}

ssize_t sock_recv(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		  struct sock_recv_info *info)
{
	if (so->kind == SOCK_KIND_UDP)
		return udp_sock_recv(so, iov, iovcnt, flags, info);
	return tcp_sock_recv(so, iov, iovcnt, flags, info);
}

ssize_t sock_tx_alloc(struct sock *so, size_t bytes, struct rte_mbuf **list)
{
	return so->kind == SOCK_KIND_UDP ? -EOPNOTSUPP : tcp_sock_tx_alloc(so, bytes, list);
}

int sock_tx_append(struct sock *so, struct rte_mbuf *list, size_t bytes, int flags)
{
	return so->kind == SOCK_KIND_UDP ? -EOPNOTSUPP : tcp_sock_tx_append(so, list, bytes, flags);
}

int sock_shutdown(struct sock *so, int how)
{
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	return so->kind == SOCK_KIND_UDP ? udp_sock_shutdown(so, how) : tcp_sock_shutdown(so, how);
}

int sock_ioctl(struct sock *so, unsigned long request, int *value)
{
	return so->kind == SOCK_KIND_UDP ? udp_sock_ioctl(so, request, value)
					 : tcp_sock_ioctl(so, request, value);
}

int sock_inq(const struct sock *so)
{
	return tcp_sock_inq(so);
}
