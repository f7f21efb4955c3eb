/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_cmsg.c - ancillary data: cmsg(3), ip(7), ipv6(7), SO_TIMESTAMP in socket(7); TCP_INQ
 *
 * Order as Linux writes them: timestamp, drop counter, then the IP level.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "domain.h"
#include "socket_priv.h"

struct control {
	struct msghdr *msg;
	size_t used;
};

/* Appends one control message, cut as put_cmsg() of Linux cuts it. */
static void put(struct control *c, int level, int type, const void *data, size_t len)
{
	size_t room = c->msg->msg_controllen - c->used;
	struct cmsghdr *h = (struct cmsghdr *)((char *)c->msg->msg_control + c->used);
	size_t want = CMSG_LEN(len);

	if (!c->msg->msg_control || room < sizeof(*h)) {
		c->msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < want) {
		c->msg->msg_flags |= MSG_CTRUNC;
		want = room;
	}
	h->cmsg_level = level;
	h->cmsg_type = type;
	h->cmsg_len = want;
	memcpy(CMSG_DATA(h), data, want - sizeof(*h));
	c->used += CMSG_SPACE(len) < room ? CMSG_SPACE(len) : room;
}

/* The stack's instant as wall-clock time. */
static struct timespec realtime_of(time_ns at)
{
	struct timespec ts;
	time_ns now = inst_clock(), age = now > at ? now - at : 0;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec -= age / NS_PER_SEC;
	ts.tv_nsec -= age % NS_PER_SEC;
	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += NS_PER_SEC;
	}
	return ts;
}

static void put_timestamp(struct control *c, uint32_t want, const struct sock_recv_info *info)
{
	struct timespec ts = realtime_of(info->at);
	struct timeval tv = {ts.tv_sec, ts.tv_nsec / 1000};

	if (want & SOCK_RECV_TIMESTAMPNS)
		put(c, SOL_SOCKET, SCM_TIMESTAMPNS, &ts, sizeof(ts));
	else
		put(c, SOL_SOCKET, SCM_TIMESTAMP, &tv, sizeof(tv));
}

/* Programs look up the name, and drop what came from nowhere. */
static unsigned ifindex(void)
{
	return domain ? domain->ifindex : 0;
}

static void put_ip4(struct control *c, uint32_t want, const struct sock *so,
		    const struct sock_recv_info *info)
{
	struct in_pktinfo pi = {.ipi_ifindex = (int)ifindex(),
				.ipi_spec_dst.s_addr = ip_addr_to_v4(&info->to),
				.ipi_addr.s_addr = ip_addr_to_v4(&info->to)};
	struct sockaddr_in orig = {.sin_family = AF_INET,
				   .sin_port = so->local.port,
				   .sin_addr.s_addr = ip_addr_to_v4(&info->to)};
	int ttl = info->ttl;

	if (want & SOCK_RECV_PKTINFO)
		put(c, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi));
	if (want & SOCK_RECV_TTL)
		put(c, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (want & SOCK_RECV_TOS)
		put(c, IPPROTO_IP, IP_TOS, &info->tos, sizeof(info->tos));
	if (want & SOCK_RECV_ORIGDST)
		put(c, IPPROTO_IP, IP_ORIGDSTADDR, &orig, sizeof(orig));
}

static void put_ip6(struct control *c, uint32_t want, const struct sock_recv_info *info)
{
	struct in6_pktinfo pi = {.ipi6_ifindex = ifindex()};
	int hops = info->ttl, class = info->tos;

	memcpy(&pi.ipi6_addr, &info->to, sizeof(pi.ipi6_addr));
	if (want & SOCK_RECV_PKTINFO)
		put(c, IPPROTO_IPV6, IPV6_PKTINFO, &pi, sizeof(pi));
	if (want & SOCK_RECV_TTL)
		put(c, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	if (want & SOCK_RECV_TOS)
		put(c, IPPROTO_IPV6, IPV6_TCLASS, &class, sizeof(class));
}

void cmsg_fill(struct msghdr *msg, const struct sock *so, const struct sock_recv_info *info)
{
	struct control c = {.msg = msg};
	uint32_t want = so->opts.recv_opts;

	if (want & (SOCK_RECV_TIMESTAMP | SOCK_RECV_TIMESTAMPNS))
		put_timestamp(&c, want, info);
	if (want & SOCK_RECV_RXQ_OVFL)
		put(&c, SOL_SOCKET, SO_RXQ_OVFL, &info->dropped, sizeof(info->dropped));
	if (so->family == AF_INET)
		put_ip4(&c, want, so, info);
	else
		put_ip6(&c, want, info);
	msg->msg_controllen = c.used;
}

void cmsg_fill_stream(struct msghdr *msg, const struct sock *so, int inq)
{
	struct control c = {.msg = msg};

	if (so->opts.recv_opts & SOCK_RECV_INQ)
		put(&c, IPPROTO_TCP, TCP_CM_INQ, &inq, sizeof(inq));
	msg->msg_controllen = c.used;
}

int cmsg_pktoptions(const struct sock *so, void *val, socklen_t *len)
{
	struct msghdr msg = {.msg_control = val, .msg_controllen = *len};
	struct control c = {.msg = &msg};
	struct sock_recv_info info = {.to = so->local.addr};

	/* TTL and TOS are not kept; no program was seen that asks for them here. */
	if (so->family == AF_INET)
		put_ip4(&c, so->opts.recv_opts & SOCK_RECV_PKTINFO, so, &info);
	*len = (socklen_t)c.used;
	return 0;
}

int cmsg_check_send(const struct msghdr *msg)
{
	struct cmsghdr *h;

	if (!msg->msg_controllen || !msg->msg_control)
		return 0;
	for (h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR((struct msghdr *)msg, h)) {
		bool ip = h->cmsg_level == IPPROTO_IP &&
			  (h->cmsg_type == IP_PKTINFO || h->cmsg_type == IP_TOS || h->cmsg_type == IP_TTL);
		bool ip6 = h->cmsg_level == IPPROTO_IPV6 &&
			   (h->cmsg_type == IPV6_PKTINFO || h->cmsg_type == IPV6_TCLASS ||
			    h->cmsg_type == IPV6_HOPLIMIT);

		if (!ip && !ip6)
			return -EINVAL;
	}
	return 0;
}
