/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_inherit.c - what was set on a kernel socket before it became ours is set on the stack's too
 *
 * socket(2) gives a kernel socket, and programs set options before bind or connect decides. A value is copied
 * when it differs from what a fresh kernel socket says, so the stack's own defaults (and autotuning) stay in
 * force for everything the program never touched. Descriptors on which setsockopt(2) was never called are not
 * asked at all.
 */
#include <netinet/tcp.h>
#include <string.h>

#include "socket_priv.h"

#define OPTION_BYTES_MAX 32

enum { ON_TCP = 1, ON_UDP = 2, ON_BOTH = 3 };

static const struct option {
	int level, name;
	uint8_t size, on;
	bool doubled; /* the kernel reports twice what was set */
} options[] = {
	{SOL_SOCKET, SO_REUSEADDR, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_REUSEPORT, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_KEEPALIVE, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_BROADCAST, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_OOBINLINE, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_DONTROUTE, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_PRIORITY, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_MARK, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_RCVLOWAT, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_RCVBUF, sizeof(int), ON_BOTH, true},
	{SOL_SOCKET, SO_SNDBUF, sizeof(int), ON_BOTH, true},
	{SOL_SOCKET, SO_LINGER, sizeof(struct linger), ON_BOTH, false},
	{SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval), ON_BOTH, false},
	{SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval), ON_BOTH, false},
	{SOL_SOCKET, SO_TIMESTAMP, sizeof(int), ON_UDP, false},
	{SOL_SOCKET, SO_TIMESTAMPNS, sizeof(int), ON_UDP, false},
	{SOL_SOCKET, SO_RXQ_OVFL, sizeof(int), ON_UDP, false},
	{SOL_SOCKET, SO_BUSY_POLL, sizeof(int), ON_BOTH, false},
	{SOL_SOCKET, SO_INCOMING_CPU, sizeof(int), ON_BOTH, false},
	{IPPROTO_IP, IP_TOS, sizeof(int), ON_BOTH, false},
	{IPPROTO_IP, IP_TTL, sizeof(int), ON_BOTH, false},
	{IPPROTO_IP, IP_MTU_DISCOVER, sizeof(int), ON_BOTH, false},
	{IPPROTO_IP, IP_RECVERR, sizeof(int), ON_UDP, false},
	{IPPROTO_IP, IP_PKTINFO, sizeof(int), ON_UDP, false},
	{IPPROTO_IP, IP_RECVTTL, sizeof(int), ON_UDP, false},
	{IPPROTO_IP, IP_RECVTOS, sizeof(int), ON_UDP, false},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, sizeof(int), ON_BOTH, false},
	{IPPROTO_IP, IP_FREEBIND, sizeof(int), ON_BOTH, false},
	{IPPROTO_IPV6, IPV6_V6ONLY, sizeof(int), ON_BOTH, false},
	{IPPROTO_IPV6, IPV6_TCLASS, sizeof(int), ON_BOTH, false},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, sizeof(int), ON_BOTH, false},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO, sizeof(int), ON_UDP, false},
	{IPPROTO_TCP, TCP_NODELAY, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_CORK, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_MAXSEG, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_KEEPIDLE, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_KEEPINTVL, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_KEEPCNT, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_SYNCNT, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_LINGER2, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_QUICKACK, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_FASTOPEN, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_INQ, sizeof(int), ON_TCP, false},
	{IPPROTO_TCP, TCP_CONGESTION, 16, ON_TCP, false},
};

/* The value on `fd`; false when the kernel has no such option. */
static bool kernel_value(int fd, const struct option *o, unsigned char *value, socklen_t *len)
{
	memset(value, 0, OPTION_BYTES_MAX);
	*len = o->size;
	return !real_getsockopt(fd, o->level, o->name, value, len);
}

static bool fresh_value(int fresh, const struct option *o, unsigned char *value, socklen_t *len)
{
	if (fresh >= 0)
		return kernel_value(fresh, o, value, len);
	memset(value, 0, OPTION_BYTES_MAX);
	*len = o->size;
	return !o->doubled;
}

void socket_inherit(int fd, struct inst *in, struct sock *so, int type)
{
	int fresh = real_socket(so->family, type | SOCK_CLOEXEC, 0);
	unsigned char value[OPTION_BYTES_MAX], pristine[OPTION_BYTES_MAX];
	socklen_t len, fresh_len;

	/*
	 * Out of numbers there is nothing to compare with: then whatever is not zero is copied, which repeats
	 * defaults that both have, and leaves out the buffer sizes, which setting would fix for good.
	 */
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const struct option *o = &options[i];

		if (!(o->on & (type == SOCK_STREAM ? ON_TCP : ON_UDP)) ||
		    (o->level == IPPROTO_IPV6 && so->family != AF_INET6) ||
		    !kernel_value(fd, o, value, &len) || !fresh_value(fresh, o, pristine, &fresh_len) ||
		    (len == fresh_len && !memcmp(value, pristine, len)))
			continue;
		if (o->doubled)
			*(int *)value /= 2;
		inst_lock(in);
		sock_setopt(so, o->level, o->name, value, len);
		inst_unlock(in);
	}
	if (fresh >= 0)
		real_close(fresh);
}
