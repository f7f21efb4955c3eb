/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udp_sock.c - the socket calls of UDP: bind, connect, send, recv and the rest
 *
 * A datagram goes straight into the transmit queue; when that has no room the sender gets -EAGAIN, loses
 * EPOLLOUT and is woken by udp_tx_room(). Connected sockets keep their path; others keep the one of their
 * last destination.
 *
 * Ephemeral ports are random within the range and, where several instances share the address, within this
 * instance's share (RFC 6056, 3.3.1).
 */
#include <errno.h>
#include <linux/sockios.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "route.h"
#include "udp_priv.h"

#ifndef UDP_CORK
#define UDP_CORK 1
#endif

#define UDP_HDR ((uint32_t)sizeof(struct rte_udp_hdr))

/* Frames left for others (ARP, TCP's ACKs) when datagrams fill the transmit queue. */
#define UDP_TX_RESERVE 64

static int take_error(struct sock *so)
{
	int err = so->error;

	so->error = 0;
	sock_events_clear(so, EPOLLERR);
	return -err;
}

int udp_sock_new(struct stack *st, int family, struct sock **out)
{
	struct udp_sock *us = udp_table_new(st);

	if (us == NULL)
		return -ENOBUFS;
	sock_base_init(&us->base, st, SOCK_KIND_UDP, family);
	sock_events_set(&us->base, EPOLLOUT);
	*out = &us->base;
	return 0;
}

void udp_sock_close(struct sock *so)
{
	udp_table_free(udp_of(so));
}

/* ---- local endpoint ---- */

static bool may_be_local(const struct sock *so, const struct ip_addr *a)
{
	be32 v4 = ip_addr_to_v4(a);

	if (ip_addr_is_any(a))
		return true;
	if (!ip_addr_is_v4(a) || so->v6only)
		return false;
	return so->opts.freebind || route_is_own(so->stack, v4) || route_is_broadcast(so->stack, v4) ||
	       IN_MULTICAST(ntohl(v4));
}

/* A free port for this local address; 0 when there is none. */
static be16 ephemeral_port(const struct udp_sock *us, const struct ip_addr *addr)
{
	struct stack *st = us->base.stack;
	uint32_t low = st->cfg.ip_local_port_range[0], count = st->cfg.ip_local_port_range[1] - low + 1u;
	uint32_t start = (uint32_t)((uint64_t)stack_random(st) * count >> 32);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t port = low + (start + i < count ? start + i : start + i - count);
		struct endpoint local = {.addr = *addr, .port = htons((uint16_t)port)};

		if (port % st->cfg.queues != st->cfg.queue || !udp_table_may_bind(st, &us->base, &local))
			continue;
		if (!st->handover || !handover_port_elsewhere(st, HANDOVER_UDP, local.port))
			return local.port;
	}
	return 0;
}

static int bind_any_port(struct udp_sock *us, const struct ip_addr *addr)
{
	be16 port = ephemeral_port(us, addr);

	if (port == 0)
		return -EADDRINUSE;
	us->base.local = (struct endpoint){.addr = *addr, .port = port};
	udp_table_bind(us);
	udp_table_show(us);
	return 0;
}

int udp_sock_bind(struct sock *so, const struct endpoint *local)
{
	struct udp_sock *us = udp_of(so);
	int err = 0;

	if (so->local.port != 0)
		return -EINVAL;
	if (!may_be_local(so, &local->addr))
		return -EADDRNOTAVAIL;
	if (local->port != 0) {
		if (!udp_table_may_bind(so->stack, so, local))
			return -EADDRINUSE;
		so->local = *local;
		udp_table_bind(us);
		us->port_locked = true;
	} else if (so->opts.bind_no_port) {
		so->local.addr = local->addr;
	} else {
		err = bind_any_port(us, &local->addr);
	}
	if (err == 0) {
		us->addr_locked = !ip_addr_is_any(&local->addr);
		us->path_valid = false;
		udp_table_show(us);
	}
	return err;
}

/* connect(2) and sendto(2) on an unbound socket: Linux answers EAGAIN when the ports are used up. */
static int bind_if_unbound(struct udp_sock *us)
{
	struct ip_addr addr = us->base.local.addr;

	if (us->base.local.port != 0)
		return 0;
	return bind_any_port(us, &addr) < 0 ? -EAGAIN : 0;
}

/* ---- peer ---- */

/* The source address that packets of this socket carry; 0: by route. */
static be32 source_of(const struct sock *so)
{
	be32 v4 = ip_addr_to_v4(&so->local.addr);

	return ip_addr_is_v4(&so->local.addr) && route_is_own(so->stack, v4) ? v4 : 0;
}

/* Where a destination address leads: 0.0.0.0 is this host, as on Linux. */
static int destination(const struct sock *so, const struct ip_addr *a, be32 *dst)
{
	if (ip_addr_is_any(a) && so->stack->cfg.n_addrs > 0) {
		*dst = so->stack->cfg.addrs[0].addr;
		return 0;
	}
	if (!ip_addr_is_v4(a) || so->v6only)
		return -ENETUNREACH;
	*dst = ip_addr_to_v4(a);
	if (route_is_broadcast(so->stack, *dst) && !so->broadcast)
		return -EACCES;
	return 0;
}

static int set_path(struct udp_sock *us, be32 dst)
{
	int err;

	if (us->path_valid && us->path.dst == dst)
		return 0;
	err = ip4_path_init(us->base.stack, &us->path, source_of(&us->base), dst);
	us->path_valid = err == 0;
	return err;
}

int udp_sock_connect(struct sock *so, const struct endpoint *peer)
{
	struct udp_sock *us = udp_of(so);
	be32 dst;
	int err;

	err = destination(so, &peer->addr, &dst);
	if (err < 0)
		return err;
	if (us->connected)
		udp_sock_disconnect(so);
	us->path_valid = false;
	err = set_path(us, dst);
	if (err == 0)
		err = bind_if_unbound(us);
	if (err < 0)
		return err;
	if (ip_addr_is_any(&so->local.addr))
		so->local.addr = ip_addr_v4(us->path.src);
	so->peer = (struct endpoint){.addr = ip_addr_v4(dst), .port = peer->port};
	udp_table_connect(us);
	udp_table_show(us);
	return 0;
}

int udp_sock_disconnect(struct sock *so)
{
	struct udp_sock *us = udp_of(so);

	if (us->connected)
		udp_table_disconnect(us);
	memset(&so->peer, 0, sizeof(so->peer));
	us->path_valid = false;
	if (!us->port_locked && so->local.port != 0)
		udp_table_unbind(us);
	if (!us->addr_locked)
		so->local.addr = ip_addr_any();
	udp_table_show(us);
	return 0;
}

/* ---- send ---- */

static size_t iov_bytes(const struct iovec *iov, int iovcnt)
{
	size_t n = 0;

	for (int i = 0; i < iovcnt; i++)
		if (__builtin_add_overflow(n, iov[i].iov_len, &n))
			return SIZE_MAX;
	return n;
}

/* Appends the bytes to the chain `head`, with more buffers as needed; false when there are none. */
static bool append_iov(struct stack *st, struct rte_mbuf *head, const struct iovec *iov, int iovcnt)
{
	struct rte_mbuf *tail = rte_pktmbuf_lastseg(head);

	for (int i = 0; i < iovcnt; i++) {
		const uint8_t *from = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		while (left) {
			uint16_t part = (uint16_t)RTE_MIN(left, (size_t)rte_pktmbuf_tailroom(tail));

			if (part == 0) {
				struct rte_mbuf *m = stack_mbuf_alloc(st);

				if (m == NULL)
					return false;
				tail->next = m;
				tail = m;
				head->nb_segs++;
				continue;
			}
			memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), from, part);
			tail->data_len += part;
			head->pkt_len += part;
			from += part;
			left -= part;
		}
	}
	return true;
}

/* Refuses until udp_tx_room(): the transmit queue could not take all fragments of a datagram of this size. */
static bool has_tx_room(struct udp_sock *us, size_t bytes)
{
	struct stack *st = us->base.stack;
	uint32_t frames = 1;

	if (us->path.local ? st->loop_tail - st->loop_head < STACK_LOOP_LEN : 0)
		return true;
	if (unlikely(bytes + UDP_HDR + 20 > us->path.mtu))
		frames += (uint32_t)(bytes / (us->path.mtu - 28u)) + 1;
	if (likely(!us->path.local && stack_tx_room(st) >= frames + UDP_TX_RESERVE))
		return true;
	sock_events_clear(&us->base, EPOLLOUT);
	if (!us->tx_waiting) {
		us->tx_waiting = true;
		us->tx_wait_next = st->udp->tx_wait_head;
		st->udp->tx_wait_head = us;
	}
	st->woken_by_txq = true;
	return false;
}

/* May a datagram of this size leave whole or in fragments, and with DF set? Linux's IP_MTU_DISCOVER. */
static int set_df(struct udp_sock *us, size_t bytes)
{
	uint8_t disc = us->base.opts.pmtudisc;
	size_t ip_len = bytes + UDP_HDR + sizeof(struct rte_ipv4_hdr);

	if (unlikely(ip_len > us->path.mtu))
		us->path.mtu =
			route_mtu(us->base.stack, us->path.dst); /* what was learned may have expired */
	if (disc == IP_PMTUDISC_PROBE || disc == IP_PMTUDISC_INTERFACE)
		us->path.mtu = us->base.stack->cfg.caps.mtu;
	if (ip_len > us->path.mtu &&
	    (disc == IP_PMTUDISC_DO || disc == IP_PMTUDISC_PROBE || disc == IP_PMTUDISC_INTERFACE))
		return -EMSGSIZE;
	us->path.dont_fragment =
		ip_len <= us->path.mtu && disc != IP_PMTUDISC_DONT && disc < IP_PMTUDISC_INTERFACE;
	return 0;
}

/* Puts the UDP header in front and sends. Takes the mbuf. */
static void transmit(struct udp_sock *us, struct rte_mbuf *m, be16 port)
{
	struct rte_udp_hdr *udp = pkt_push(m, UDP_HDR);

	udp->src_port = us->base.local.port;
	udp->dst_port = port;
	udp->dgram_len = htons((uint16_t)m->pkt_len);
	udp->dgram_cksum = 0;
	us->path.tos = us->base.tos;
	us->path.ttl = unlikely(IN_MULTICAST(ntohl(us->path.dst))) ? us->base.opts.mcast_ttl : us->base.ttl;
	COUNT(us->base.stack, udp_tx);
	ip4_output(us->base.stack, &us->path, m, IPPROTO_UDP, UDP_HDR);
}

static int check_send(const struct udp_sock *us, size_t bytes, int flags, const struct endpoint *to)
{
	if (bytes > UDP_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (to == NULL && !us->connected)
		return -EDESTADDRREQ;
	if ((to ? to : &us->base.peer)->port == 0)
		return -EINVAL;
	if (us->base.shut & 2)
		return -EPIPE;
	return 0;
}

/* Starts or goes on with the corked datagram. */
static ssize_t cork_append(struct udp_sock *us, const struct iovec *iov, int iovcnt, size_t bytes)
{
	struct stack *st = us->base.stack;

	if (us->cork == NULL) {
		us->cork = stack_mbuf_alloc(st);
		if (us->cork == NULL)
			return -ENOBUFS;
	}
	if (us->cork->pkt_len + bytes > UDP_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!stack_may_hold(st, 1) || !append_iov(st, us->cork, iov, iovcnt)) {
		COUNT(st, mbuf_reserve_refused);
		rte_pktmbuf_free(us->cork);
		us->cork = NULL;
		return -ENOBUFS;
	}
	return (ssize_t)bytes;
}

/* Sends what was collected. */
static int cork_flush(struct udp_sock *us)
{
	struct rte_mbuf *m = us->cork;
	be32 dst;
	int err = destination(&us->base, &us->cork_to.addr, &dst);

	us->cork = NULL;
	if (err == 0)
		err = set_path(us, dst);
	if (err == 0)
		err = set_df(us, m->pkt_len);
	if (err == 0)
		transmit(us, m, us->cork_to.port);
	else
		rte_pktmbuf_free(m);
	return err;
}

static ssize_t send_one(struct udp_sock *us, const struct iovec *iov, int iovcnt, size_t bytes, be16 port)
{
	struct stack *st = us->base.stack;
	struct rte_mbuf *m = stack_mbuf_alloc(st);

	if (m == NULL)
		return -ENOBUFS;
	if (!append_iov(st, m, iov, iovcnt)) {
		rte_pktmbuf_free(m);
		return -ENOBUFS;
	}
	transmit(us, m, port);
	return (ssize_t)bytes;
}

ssize_t udp_sock_send(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		      const struct endpoint *to)
{
	struct udp_sock *us = udp_of(so);
	size_t bytes = iov_bytes(iov, iovcnt);
	const struct endpoint *peer = to ? to : &so->peer;
	ssize_t ret;
	be32 dst;
	int err;

	err = check_send(us, bytes, flags, to);
	if (err == 0 && so->error)
		err = take_error(so);
	if (err == 0)
		err = destination(so, &peer->addr, &dst);
	if (err == 0)
		err = set_path(us, dst);
	if (err == 0)
		err = bind_if_unbound(us);
	if (err == 0)
		err = set_df(us, bytes);
	if (err < 0)
		return err;
	if (!has_tx_room(us, bytes))
		return -EAGAIN;
	if (likely(!(flags & MSG_MORE) && !us->corked && us->cork == NULL))
		return send_one(us, iov, iovcnt, bytes, peer->port);
	if (us->cork == NULL)
		us->cork_to = *peer;
	ret = cork_append(us, iov, iovcnt, bytes);
	if (ret >= 0 && !(flags & MSG_MORE) && !us->corked)
		err = cork_flush(us);
	return err < 0 ? err : ret;
}

/* ---- receive ---- */

static size_t copy_to_iov(const struct rte_mbuf *m, uint32_t off, uint32_t len, const struct iovec *iov,
			  int iovcnt)
{
	size_t done = 0;

	while (m != NULL && off >= m->data_len) {
		off -= m->data_len;
		m = m->next;
	}
	for (int i = 0; i < iovcnt && done < len; i++) {
		uint8_t *to = iov[i].iov_base;
		size_t room = RTE_MIN(iov[i].iov_len, len - done);

		while (room) {
			size_t part = RTE_MIN(room, (size_t)m->data_len - off);

			memcpy(to, rte_pktmbuf_mtod_offset(m, const uint8_t *, off), part);
			to += part;
			room -= part;
			done += part;
			off += (uint32_t)part;
			while (m != NULL && off >= m->data_len) {
				off -= m->data_len;
				m = m->next;
			}
		}
	}
	return done;
}

static void fill_info(const struct udp_sock *us, struct rte_mbuf *m, const struct rte_udp_hdr *udp,
		      uint32_t len, struct sock_recv_info *info)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	*info = (struct sock_recv_info){
		.from = {.addr = ip_addr_v4(ip->src_addr), .port = udp->src_port},
		.to = ip_addr_v4(ip->dst_addr),
		.full_len = len,
		.at = pkt_meta(m)->sent_at,
		.dropped = us->dropped,
		.tos = ip->type_of_service,
		.ttl = ip->time_to_live,
	};
}

ssize_t udp_sock_recv(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		      struct sock_recv_info *info)
{
	struct udp_sock *us = udp_of(so);
	struct rte_mbuf *m = us->rx_head;
	const struct rte_udp_hdr *udp;
	uint32_t off, len;
	size_t done;

	if (unlikely(flags & (MSG_ERRQUEUE | MSG_OOB)))
		return flags & MSG_OOB ? -EOPNOTSUPP : -EAGAIN;
	if (unlikely(so->error))
		return take_error(so);
	if (m == NULL)
		return -EAGAIN; /* also after SHUT_RD, which ends waits only: socket_io.c */
	off = pkt_meta(m)->off;
	udp = rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, off);
	len = ntohs(udp->dgram_len) - UDP_HDR;
	done = copy_to_iov(m, off + UDP_HDR, len, iov, iovcnt);
	if (info != NULL) {
		fill_info(us, m, udp, len, info);
		if (done < len)
			info->msg_flags |= MSG_TRUNC;
	}
	if (!(flags & MSG_PEEK)) {
		udp_rx_pop(us);
		rte_pktmbuf_free(m);
	}
	return flags & MSG_TRUNC ? (ssize_t)len : (ssize_t)done;
}

/* ---- the rest ---- */

int udp_sock_shutdown(struct sock *so, int how)
{
	uint32_t bits = 0;

	so->shut |= (uint8_t)(how + 1); /* SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2: as bits 1, 2, 3 */
	if (so->shut & 1)
		bits |= EPOLLIN | EPOLLRDHUP;
	if (so->shut == 3)
		bits |= EPOLLHUP;
	sock_events_set(so, bits);
	sock_wake(so, bits);
	/* Linux marks an unconnected socket too, wakes its waiters, and then complains. */
	return udp_of(so)->connected ? 0 : -ENOTCONN;
}

int udp_sock_ioctl(struct sock *so, unsigned long request, int *value)
{
	struct udp_sock *us = udp_of(so);
	const struct rte_udp_hdr *udp;

	switch (request) {
	case SIOCINQ:
		*value = 0;
		if (us->rx_head != NULL) {
			udp = rte_pktmbuf_mtod_offset(us->rx_head, const struct rte_udp_hdr *,
						      pkt_meta(us->rx_head)->off);
			*value = (int)(ntohs(udp->dgram_len) - UDP_HDR);
		}
		return 0;
	case SIOCOUTQ:
		*value = 0;
		return 0;
	default:
		return -ENOTTY;
	}
}

int udp_sock_setopt(struct sock *so, int name, const void *val, socklen_t len)
{
	struct udp_sock *us = udp_of(so);
	int v;

	if (name != UDP_CORK)
		return -ENOPROTOOPT;
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	us->corked = v != 0;
	if (!us->corked && us->cork != NULL)
		cork_flush(us);
	return 0;
}

int udp_sock_getopt(struct sock *so, int name, void *val, socklen_t *len)
{
	int v = udp_of(so)->corked;

	if (name != UDP_CORK)
		return -ENOPROTOOPT;
	if (*len > sizeof(v))
		*len = sizeof(v);
	memcpy(val, &v, *len);
	return 0;
}

void udp_sock_opt_changed(struct sock *so, int level, int name)
{
	/* Path MTU discovery may start from the device's MTU again. */
	if (level != SOL_SOCKET && (name == IP_MTU_DISCOVER || name == IPV6_MTU_DISCOVER))
		udp_of(so)->path_valid = false;
}
