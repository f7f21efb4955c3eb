/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sock_opt.c - setsockopt(2) and getsockopt(2) for the levels that are not a transport's own
 *
 * Names, layouts, limits and errnos are Linux's (net/core/sock.c, ip_sockglue.c, ipv6_sockglue.c as seen from
 * user space). An option that the stack cannot honour says so with an errno; one that only describes what a
 * NIC or the kernel might do is stored and given back. The transport hears of changes by
 * *_sock_opt_changed().
 */
#include <errno.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

#include "route.h"
#include "stack_priv.h"
#include "tcp.h"
#include "udp.h"

/* Linux's SOCK_MIN_RCVBUF and SOCK_MIN_SNDBUF on 64-bit machines. */
#define RCVBUF_MIN 2304u
#define SNDBUF_MIN 4608u

/* Names newer than the C library's headers. */
#define OPT_SO_TIMESTAMP_NEW     63
#define OPT_SO_TIMESTAMPNS_NEW   64
#define OPT_SO_TIMESTAMPING_NEW  65
#define OPT_SO_RCVTIMEO_NEW      66
#define OPT_SO_SNDTIMEO_NEW      67
#define OPT_SO_PREFER_BUSY_POLL  69
#define OPT_IP_RECVERR_RFC4884   26
#define OPT_IPV6_RECVERR_RFC4884 31

static bool is_tcp(const struct sock *so)
{
	return so->kind != SOCK_KIND_UDP;
}

static void changed(struct sock *so, int level, int name)
{
	if (is_tcp(so))
		tcp_sock_opt_changed(so, level, name);
	else
		udp_sock_opt_changed(so, level, name);
}

/* ---- values ---- */

static int get_bytes(void *val, socklen_t *len, const void *from, size_t size)
{
	if (*len > size)
		*len = (socklen_t)size;
	memcpy(val, from, *len);
	return 0;
}

static int get_int(void *val, socklen_t *len, int v)
{
	return get_bytes(val, len, &v, sizeof(v));
}

/* Levels IPPROTO_IP and IPPROTO_IPV6 answer with a byte where there is no room for an int and the value fits.
 */
static int get_int_or_byte(void *val, socklen_t *len, int v)
{
	if (*len > 0 && *len < sizeof(int) && v >= 0 && v <= 255) {
		*(uint8_t *)val = (uint8_t)v;
		*len = 1;
		return 0;
	}
	return get_int(val, len, v);
}

static int32_t timeval_get(const struct timeval *tv, time_ns *out)
{
	if (tv->tv_usec < 0 || tv->tv_usec >= 1000000)
		return -EDOM;
	if (tv->tv_sec < 0)
		*out = 1; /* Linux: do not wait at all */
	else if (tv->tv_sec > (time_t)(INT64_MAX / NS_PER_SEC) - 1)
		*out = 0;
	else
		*out = (time_ns)tv->tv_sec * NS_PER_SEC + (time_ns)tv->tv_usec * NS_PER_US;
	return 0;
}

static int set_timeout(time_ns *out, const void *val, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	return timeval_get(&tv, out);
}

static int get_timeout(void *val, socklen_t *len, time_ns t)
{
	struct timeval tv = {.tv_sec = (time_t)(t / NS_PER_SEC),
			     .tv_usec = (suseconds_t)(t % NS_PER_SEC / NS_PER_US)};

	return get_bytes(val, len, &tv, sizeof(tv));
}

static void flag_bit(uint32_t *word, uint32_t bit, bool on)
{
	if (on)
		*word |= bit;
	else
		*word &= ~bit;
}

/* ---- SOL_SOCKET ---- */

static void set_bufsize(struct sock *so, int name, int v)
{
	const struct stack_config *cfg = &so->stack->cfg;
	bool rcv = name == SO_RCVBUF || name == SO_RCVBUFFORCE;
	uint32_t bytes = v < 0 ? (rcv ? cfg->rmem_max : cfg->wmem_max) : (uint32_t)v;

	/* Linux compares as unsigned, doubles, and never refuses. */
	if (name == SO_RCVBUF)
		bytes = RTE_MIN(bytes, cfg->rmem_max);
	if (name == SO_SNDBUF)
		bytes = RTE_MIN(bytes, cfg->wmem_max);
	bytes = RTE_MIN(bytes, (uint32_t)INT32_MAX / 2) * 2;
	if (rcv) {
		so->rcvbuf_bytes = RTE_MAX(bytes, RCVBUF_MIN);
		so->rcvbuf_locked = true;
	} else {
		so->sndbuf_bytes = RTE_MAX(bytes, SNDBUF_MIN);
		so->sndbuf_locked = true;
	}
}

static int set_linger(struct sock *so, const void *val, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	so->linger_s = l.l_onoff ? (l.l_linger < 0 ? INT32_MAX : l.l_linger) : -1;
	return 0;
}

/* Options whose value is a struct; 1 when `name` is none of them. */
static int set_socket_struct(struct sock *so, int name, const void *val, socklen_t len)
{
	uint32_t rate;

	switch (name) {
	case SO_LINGER:
		return set_linger(so, val, len);
	case SO_RCVTIMEO:
	case OPT_SO_RCVTIMEO_NEW:
		return set_timeout(&so->rcvtimeo_ns, val, len);
	case SO_SNDTIMEO:
	case OPT_SO_SNDTIMEO_NEW:
		return set_timeout(&so->sndtimeo_ns, val, len);
	case SO_MAX_PACING_RATE:
		if (len >= sizeof(so->opts.max_pacing_rate)) {
			memcpy(&so->opts.max_pacing_rate, val, sizeof(so->opts.max_pacing_rate));
		} else if (len >= sizeof(rate)) {
			memcpy(&rate, val, sizeof(rate));
			so->opts.max_pacing_rate = rate == UINT32_MAX ? UINT64_MAX : rate;
		} else {
			return -EINVAL;
		}
		return 0;
	case SO_BINDTODEVICE:
		/* No kernel interface leads to this stack; an empty name means "any" and is what we do. */
		return len == 0 || *(const char *)val == '\0' ? 0 : -ENODEV;
	default:
		return 1;
	}
}

static int set_socket_int(struct sock *so, int name, int v)
{
	struct sock_opts *o = &so->opts;

	switch (name) {
	case SO_DEBUG:
		o->debug = v != 0;
		return 0;
	case SO_REUSEADDR:
		so->reuseaddr = v != 0;
		return 0;
	case SO_REUSEPORT:
		so->reuseport = v != 0;
		return 0;
	case SO_DONTROUTE:
		o->dontroute = v != 0;
		return 0;
	case SO_BROADCAST:
		so->broadcast = v != 0;
		return 0;
	case SO_SNDBUF:
	case SO_RCVBUF:
	case SO_SNDBUFFORCE:
	case SO_RCVBUFFORCE:
		set_bufsize(so, name, v);
		return 0;
	case SO_KEEPALIVE:
		so->keepalive = v != 0;
		return 0;
	case SO_OOBINLINE:
		o->oobinline = v != 0;
		return 0;
	case SO_NO_CHECK:
		o->no_check = v != 0;
		return 0;
	case SO_PRIORITY:
		o->priority = (uint32_t)v;
		return 0;
	case SO_BSDCOMPAT:
		return 0;
	case SO_RCVLOWAT:
		so->rcvlowat_bytes = v < 0 ? INT32_MAX : (v ? (uint32_t)v : 1);
		return 0;
	case SO_TIMESTAMP:
	case OPT_SO_TIMESTAMP_NEW:
		flag_bit(&o->recv_opts, SOCK_RECV_TIMESTAMP, v != 0);
		flag_bit(&o->recv_opts, SOCK_RECV_TIMESTAMPNS, false);
		return 0;
	case SO_TIMESTAMPNS:
	case OPT_SO_TIMESTAMPNS_NEW:
		flag_bit(&o->recv_opts, SOCK_RECV_TIMESTAMPNS, v != 0);
		flag_bit(&o->recv_opts, SOCK_RECV_TIMESTAMP, false);
		return 0;
	case SO_RXQ_OVFL:
		flag_bit(&o->recv_opts, SOCK_RECV_RXQ_OVFL, v != 0);
		return 0;
	case SO_MARK:
		o->mark = (uint32_t)v;
		return 0;
	case SO_BUSY_POLL:
		if (v < 0)
			return -EINVAL;
		o->busy_poll_us = v;
		return 0;
	case OPT_SO_PREFER_BUSY_POLL:
		o->prefer_busy_poll = v != 0;
		return 0;
	case SO_INCOMING_CPU:
		o->incoming_cpu = v;
		return 0;
	case SO_SELECT_ERR_QUEUE:
		o->select_err_queue = v != 0;
		return 0;
	case SO_TIMESTAMPING: /* transmit time stamps come by an error queue, which there is none of */
	case OPT_SO_TIMESTAMPING_NEW:
	case SO_ZEROCOPY:
		return v ? -EOPNOTSUPP : 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_socket(struct sock *so, int name, const void *val, socklen_t len)
{
	int v, ret = set_socket_struct(so, name, val, len);

	if (ret == 1) {
		if (len < sizeof(v))
			return -EINVAL;
		memcpy(&v, val, sizeof(v));
		ret = set_socket_int(so, name, v);
	}
	if (ret == -ENOPROTOOPT && is_tcp(so))
		return tcp_sock_setopt(so, SOL_SOCKET, name, val, len);
	if (ret == 0)
		changed(so, SOL_SOCKET, name);
	return ret;
}

static int take_error(struct sock *so)
{
	int err = so->error;

	so->error = 0;
	if (err)
		sock_events_clear(so, EPOLLERR);
	return err;
}

static int get_socket(struct sock *so, int name, void *val, socklen_t *len)
{
	const struct sock_opts *o = &so->opts;
	struct linger l = {.l_onoff = so->linger_s >= 0, .l_linger = RTE_MAX(so->linger_s, 0)};
	struct ucred nobody = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
	uint32_t rate32;

	switch (name) {
	case SO_DEBUG:
		return get_int(val, len, o->debug);
	case SO_REUSEADDR:
		return get_int(val, len, so->reuseaddr);
	case SO_REUSEPORT:
		return get_int(val, len, so->reuseport);
	case SO_TYPE:
		return get_int(val, len, is_tcp(so) ? SOCK_STREAM : SOCK_DGRAM);
	case SO_DOMAIN:
		return get_int(val, len, so->family);
	case SO_PROTOCOL:
		return get_int(val, len, is_tcp(so) ? IPPROTO_TCP : IPPROTO_UDP);
	case SO_ACCEPTCONN:
		return get_int(val, len, so->kind == SOCK_KIND_TCP_LISTEN);
	case SO_ERROR:
		return get_int(val, len, take_error(so));
	case SO_DONTROUTE:
		return get_int(val, len, o->dontroute);
	case SO_BROADCAST:
		return get_int(val, len, so->broadcast);
	case SO_SNDBUF:
		return get_int(val, len, (int)so->sndbuf_bytes);
	case SO_RCVBUF:
		return get_int(val, len, (int)so->rcvbuf_bytes);
	case SO_KEEPALIVE:
		return get_int(val, len, so->keepalive);
	case SO_OOBINLINE:
		return get_int(val, len, o->oobinline);
	case SO_NO_CHECK:
		return get_int(val, len, o->no_check);
	case SO_PRIORITY:
		return get_int(val, len, (int)o->priority);
	case SO_BSDCOMPAT:
	case SO_TIMESTAMPING:
	case OPT_SO_TIMESTAMPING_NEW:
	case SO_ZEROCOPY:
	case SO_PASSCRED:
		return get_int(val, len, 0);
	case SO_LINGER:
		return get_bytes(val, len, &l, sizeof(l));
	case SO_PEERCRED:
		return get_bytes(val, len, &nobody, sizeof(nobody));
	case SO_RCVLOWAT:
		return get_int(val, len, (int)so->rcvlowat_bytes);
	case SO_SNDLOWAT:
		return get_int(val, len, 1);
	case SO_RCVTIMEO:
	case OPT_SO_RCVTIMEO_NEW:
		return get_timeout(val, len, so->rcvtimeo_ns);
	case SO_SNDTIMEO:
	case OPT_SO_SNDTIMEO_NEW:
		return get_timeout(val, len, so->sndtimeo_ns);
	case SO_TIMESTAMP:
	case OPT_SO_TIMESTAMP_NEW:
		return get_int(val, len, !!(o->recv_opts & SOCK_RECV_TIMESTAMP));
	case SO_TIMESTAMPNS:
	case OPT_SO_TIMESTAMPNS_NEW:
		return get_int(val, len, !!(o->recv_opts & SOCK_RECV_TIMESTAMPNS));
	case SO_RXQ_OVFL:
		return get_int(val, len, !!(o->recv_opts & SOCK_RECV_RXQ_OVFL));
	case SO_MARK:
		return get_int(val, len, (int)o->mark);
	case SO_BUSY_POLL:
		return get_int(val, len, o->busy_poll_us);
	case OPT_SO_PREFER_BUSY_POLL:
		return get_int(val, len, o->prefer_busy_poll);
	case SO_INCOMING_CPU:
		return get_int(val, len, o->incoming_cpu);
	case SO_SELECT_ERR_QUEUE:
		return get_int(val, len, o->select_err_queue);
	case SO_MAX_PACING_RATE:
		if (*len >= sizeof(o->max_pacing_rate))
			return get_bytes(val, len, &o->max_pacing_rate, sizeof(o->max_pacing_rate));
		rate32 = (uint32_t)RTE_MIN(o->max_pacing_rate, (uint64_t)UINT32_MAX);
		return get_bytes(val, len, &rate32, sizeof(rate32));
	case SO_BINDTODEVICE:
		*len = 0;
		return 0;
	default:
		return is_tcp(so) ? tcp_sock_getopt(so, SOL_SOCKET, name, val, len) : -ENOPROTOOPT;
	}
}

/* ---- IPPROTO_IP ---- */

static int set_tos(struct sock *so, int v)
{
	/* The congestion bits of a stream are TCP's own. */
	so->tos = is_tcp(so) ? (uint8_t)((v & ~3) | (so->tos & 3)) : (uint8_t)v;
	return 0;
}

static int set_ttl(struct sock *so, int v)
{
	if (v != -1 && (v < 1 || v > 255))
		return -EINVAL;
	so->opts.user_ttl = v;
	so->ttl = v == -1 ? so->stack->cfg.ip_default_ttl : (uint8_t)v;
	return 0;
}

/* struct in_addr, ip_mreq or ip_mreqn: the interface multicasts leave by. There is one. */
static int set_multicast_if(const struct sock *so, const void *val, socklen_t len)
{
	be32 addr;

	if (len < sizeof(addr))
		return -EINVAL;
	memcpy(&addr, (const uint8_t *)val + (len >= sizeof(struct ip_mreq) ? sizeof(struct in_addr) : 0),
	       sizeof(addr));
	return addr == 0 || route_is_own(so->stack, addr) ? 0 : -EADDRNOTAVAIL;
}

static int set_ip_int(struct sock *so, int name, int v)
{
	struct sock_opts *o = &so->opts;

	switch (name) {
	case IP_TOS:
		return set_tos(so, v);
	case IP_TTL:
		return set_ttl(so, v);
	case IP_PKTINFO:
		flag_bit(&o->recv_opts, SOCK_RECV_PKTINFO, v != 0);
		return 0;
	case IP_RECVTTL:
		flag_bit(&o->recv_opts, SOCK_RECV_TTL, v != 0);
		return 0;
	case IP_RECVTOS:
		flag_bit(&o->recv_opts, SOCK_RECV_TOS, v != 0);
		return 0;
	case IP_RECVERR:
		flag_bit(&o->recv_opts, SOCK_RECV_ERR, v != 0);
		return 0;
	case IP_RECVORIGDSTADDR:
		flag_bit(&o->recv_opts, SOCK_RECV_ORIGDST, v != 0);
		return 0;
	case IP_MTU_DISCOVER:
		if (v < IP_PMTUDISC_DONT || v > IP_PMTUDISC_OMIT)
			return -EINVAL;
		o->pmtudisc = (uint8_t)v;
		return 0;
	case IP_FREEBIND:
		o->freebind = v != 0;
		return 0;
	case IP_BIND_ADDRESS_NO_PORT:
		o->bind_no_port = v != 0;
		return 0;
	case IP_MINTTL:
		if (v < 0 || v > 255)
			return -EINVAL;
		o->min_ttl = (uint8_t)v;
		return 0;
	case IP_MULTICAST_TTL:
		if (is_tcp(so) || v < -1 || v > 255)
			return -EINVAL;
		o->mcast_ttl = v == -1 ? 1 : (uint8_t)v;
		return 0;
	case IP_MULTICAST_LOOP:
		o->mcast_loop = v != 0;
		return 0;
	case IP_MULTICAST_ALL:
		o->mcast_all = v != 0;
		return 0;
	case OPT_IP_RECVERR_RFC4884:
	case IP_RECVOPTS:
	case IP_RETOPTS:
		return v ? -ENOPROTOOPT : 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_ip(struct sock *so, int name, const void *val, socklen_t len)
{
	int v = 0, ret;

	switch (name) {
	case IP_OPTIONS:
		return len == 0 ? 0 : -ENOPROTOOPT;
	case IP_MULTICAST_IF:
		return set_multicast_if(so, val, len);
	case IP_ADD_MEMBERSHIP:
	case IP_ADD_SOURCE_MEMBERSHIP:
	case MCAST_JOIN_GROUP:
	case MCAST_JOIN_SOURCE_GROUP:
		return -ENODEV; /* nothing here receives multicasts */
	default:
		break;
	}
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	else if (len >= 1)
		v = *(const uint8_t *)val;
	ret = set_ip_int(so, name, v);
	if (ret == 0)
		changed(so, IPPROTO_IP, name);
	return ret;
}

static int get_mtu(const struct sock *so)
{
	if (!ip_addr_is_v4(&so->peer.addr))
		return -ENOTCONN;
	return route_mtu(so->stack, ip_addr_to_v4(&so->peer.addr));
}

static int get_ip(struct sock *so, int name, void *val, socklen_t *len)
{
	const struct sock_opts *o = &so->opts;
	uint32_t zero = 0;
	int v;

	switch (name) {
	case IP_OPTIONS:
		*len = 0;
		return 0;
	case IP_MULTICAST_IF:
		return get_bytes(val, len, &zero, sizeof(zero));
	case IP_TOS:
		v = so->tos;
		break;
	case IP_TTL:
		v = so->ttl;
		break;
	case IP_PKTINFO:
		v = !!(o->recv_opts & SOCK_RECV_PKTINFO);
		break;
	case IP_RECVTTL:
		v = !!(o->recv_opts & SOCK_RECV_TTL);
		break;
	case IP_RECVTOS:
		v = !!(o->recv_opts & SOCK_RECV_TOS);
		break;
	case IP_RECVERR:
		v = !!(o->recv_opts & SOCK_RECV_ERR);
		break;
	case IP_RECVORIGDSTADDR:
		v = !!(o->recv_opts & SOCK_RECV_ORIGDST);
		break;
	case IP_MTU_DISCOVER:
		v = o->pmtudisc;
		break;
	case IP_MTU:
		v = get_mtu(so);
		if (v < 0)
			return v;
		break;
	case IP_FREEBIND:
		v = o->freebind;
		break;
	case IP_BIND_ADDRESS_NO_PORT:
		v = o->bind_no_port;
		break;
	case IP_MINTTL:
		v = o->min_ttl;
		break;
	case IP_MULTICAST_TTL:
		v = o->mcast_ttl;
		break;
	case IP_MULTICAST_LOOP:
		v = o->mcast_loop;
		break;
	case IP_MULTICAST_ALL:
		v = o->mcast_all;
		break;
	case OPT_IP_RECVERR_RFC4884:
	case IP_RECVOPTS:
	case IP_RETOPTS:
	case IP_TRANSPARENT:
		v = 0;
		break;
	default:
		return -ENOPROTOOPT;
	}
	return get_int_or_byte(val, len, v);
}

/* ---- IPPROTO_IPV6: on AF_INET6 sockets, which here carry IPv4 behind mapped addresses ---- */

static int set_ip6_int(struct sock *so, int name, int v)
{
	struct sock_opts *o = &so->opts;

	switch (name) {
	case IPV6_V6ONLY:
		if (so->local.port != 0)
			return -EINVAL;
		so->v6only = v != 0;
		return 0;
	case IPV6_TCLASS:
		if (v < -1 || v > 255)
			return -EINVAL;
		o->tclass = v == -1 ? 0 : v;
		return 0;
	case IPV6_UNICAST_HOPS:
		if (v < -1 || v > 255)
			return -EINVAL;
		o->hops = v;
		return 0;
	case IPV6_MULTICAST_HOPS:
		if (is_tcp(so) || v < -1 || v > 255)
			return is_tcp(so) ? -ENOPROTOOPT : -EINVAL;
		o->mcast_ttl = v == -1 ? 1 : (uint8_t)v;
		return 0;
	case IPV6_MULTICAST_LOOP:
		o->mcast_loop = v != 0;
		return 0;
	case IPV6_RECVPKTINFO:
		flag_bit(&o->recv_opts, SOCK_RECV_PKTINFO, v != 0);
		return 0;
	case IPV6_RECVHOPLIMIT:
		flag_bit(&o->recv_opts, SOCK_RECV_TTL, v != 0);
		return 0;
	case IPV6_RECVTCLASS:
		flag_bit(&o->recv_opts, SOCK_RECV_TOS, v != 0);
		return 0;
	case IPV6_RECVERR:
		flag_bit(&o->recv_opts, SOCK_RECV_ERR, v != 0);
		return 0;
	case IPV6_MTU_DISCOVER:
		if (v < IPV6_PMTUDISC_DONT || v > IPV6_PMTUDISC_OMIT)
			return -EINVAL;
		o->pmtudisc = (uint8_t)v;
		return 0;
	case IPV6_DONTFRAG:
	case OPT_IPV6_RECVERR_RFC4884:
		return v ? -ENOPROTOOPT : 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_ip6(struct sock *so, int name, const void *val, socklen_t len)
{
	int v, ret;

	if (so->family != AF_INET6)
		return -ENOPROTOOPT;
	if (name == IPV6_JOIN_GROUP || name == MCAST_JOIN_GROUP)
		return -ENODEV;
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	ret = set_ip6_int(so, name, v);
	if (ret == 0)
		changed(so, IPPROTO_IPV6, name);
	return ret;
}

static int get_ip6(struct sock *so, int name, void *val, socklen_t *len)
{
	const struct sock_opts *o = &so->opts;
	int v;

	switch (name) {
	case IPV6_V6ONLY:
		return get_int(val, len, so->v6only);
	case IPV6_TCLASS:
		return get_int(val, len, o->tclass);
	case IPV6_UNICAST_HOPS:
		return get_int(val, len, o->hops == -1 ? so->stack->cfg.ip_default_ttl : o->hops);
	case IPV6_MULTICAST_HOPS:
		return get_int(val, len, o->mcast_ttl);
	case IPV6_MULTICAST_LOOP:
		return get_int(val, len, o->mcast_loop);
	case IPV6_RECVPKTINFO:
		return get_int(val, len, !!(o->recv_opts & SOCK_RECV_PKTINFO));
	case IPV6_RECVHOPLIMIT:
		return get_int(val, len, !!(o->recv_opts & SOCK_RECV_TTL));
	case IPV6_RECVTCLASS:
		return get_int(val, len, !!(o->recv_opts & SOCK_RECV_TOS));
	case IPV6_RECVERR:
		return get_int(val, len, !!(o->recv_opts & SOCK_RECV_ERR));
	case IPV6_MTU_DISCOVER:
		return get_int(val, len, o->pmtudisc);
	case IPV6_MTU:
		v = get_mtu(so);
		return v < 0 ? v : get_int(val, len, v);
	case IPV6_DONTFRAG:
	case OPT_IPV6_RECVERR_RFC4884:
		return get_int(val, len, 0);
	default:
		return -ENOPROTOOPT;
	}
}

/* ---- by level ---- */

int sock_setopt(struct sock *so, int level, int name, const void *val, socklen_t len)
{
	if ((int)len < 0)
		return -EINVAL;
	switch (level) {
	case SOL_SOCKET:
		return set_socket(so, name, val, len);
	case IPPROTO_IP:
		return set_ip(so, name, val, len);
	case IPPROTO_IPV6:
		return set_ip6(so, name, val, len);
	case IPPROTO_TCP:
		return is_tcp(so) ? tcp_sock_setopt(so, level, name, val, len) : -ENOPROTOOPT;
	case IPPROTO_UDP:
		return is_tcp(so) ? -ENOPROTOOPT : udp_sock_setopt(so, name, val, len);
	default:
		return -ENOPROTOOPT;
	}
}

/* getsockopt(2) only; setsockopt(2) says ENOPROTOOPT for both families. */
static int unknown_level(const struct sock *so)
{
	return so->family == AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
}

int sock_getopt(struct sock *so, int level, int name, void *val, socklen_t *len)
{
	if ((int)*len < 0)
		return -EINVAL;
	switch (level) {
	case SOL_SOCKET:
		return get_socket(so, name, val, len);
	case IPPROTO_IP:
		return get_ip(so, name, val, len);
	case IPPROTO_IPV6:
		return so->family == AF_INET6 ? get_ip6(so, name, val, len) : unknown_level(so);
	case IPPROTO_TCP:
		return is_tcp(so) ? tcp_sock_getopt(so, level, name, val, len) : unknown_level(so);
	case IPPROTO_UDP:
		return is_tcp(so) ? unknown_level(so) : udp_sock_getopt(so, name, val, len);
	default:
		return unknown_level(so);
	}
}
