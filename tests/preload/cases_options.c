/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_options.c - getsockopt/setsockopt: defaults, round trips, refusals, short buffers
 */
#include <net/if.h>

#include "diff.h"

/* Sets, prints the answer and what is read back. */
static void round_trip(int fd, int level, int name, int value, const char *text)
{
	int r = set_int(fd, level, name, value);

	if (r)
		say("%s=%d: %s", text, value, errno_name(errno));
	show_int_opt(fd, level, name, text);
}
#define TRIP(fd, level, name, value) round_trip(fd, level, name, value, #name)

static void socket_level(int fd)
{
	TRIP(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	TRIP(fd, SOL_SOCKET, SO_REUSEADDR, 5);
	TRIP(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	TRIP(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	TRIP(fd, SOL_SOCKET, SO_REUSEPORT, 0);
	TRIP(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	TRIP(fd, SOL_SOCKET, SO_BROADCAST, 1);
	TRIP(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	TRIP(fd, SOL_SOCKET, SO_PRIORITY, 3);
	TRIP(fd, SOL_SOCKET, SO_RCVLOWAT, 10);
	TRIP(fd, SOL_SOCKET, SO_RCVLOWAT, 0);
	TRIP(fd, SOL_SOCKET, SO_SNDLOWAT, 2);
	TRIP(fd, SOL_SOCKET, SO_DONTROUTE, 1);
	TRIP(fd, SOL_SOCKET, SO_TYPE, 1);
	TRIP(fd, SOL_SOCKET, SO_ERROR, 1);
	TRIP(fd, SOL_SOCKET, SO_ACCEPTCONN, 1);
	TRIP(fd, SOL_SOCKET, 9999, 1);
}

CASE(options, socket_level_fresh)
{
	socket_level(socket(AF_INET, SOCK_STREAM, 0));
}

CASE(options, socket_level_connected)
{
	int p;

	socket_level(tcp_pair(&p));
}

CASE(options, socket_level_udp)
{
	socket_level(udp_bound(PORT(0)));
}

CASE(options, buffers)
{
	int p, fd = tcp_pair(&p);

	TRIP(fd, SOL_SOCKET, SO_SNDBUF, 65536);
	TRIP(fd, SOL_SOCKET, SO_RCVBUF, 65536);
	TRIP(fd, SOL_SOCKET, SO_SNDBUF, 1);
	TRIP(fd, SOL_SOCKET, SO_RCVBUF, 1);
	TRIP(fd, SOL_SOCKET, SO_SNDBUF, 100000);
}

CASE(options, timeouts)
{
	int p, fd = tcp_pair(&p);
	struct timeval tv = {3, 250000}, got;
	socklen_t len = sizeof(got);

	R(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	R(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	say("%ld.%06ld/%u", got.tv_sec, got.tv_usec, len);
	R(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &got, &len));
	say("%ld.%06ld/%u", got.tv_sec, got.tv_usec, len);
	tv.tv_usec = 1000000;
	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	tv = (struct timeval){-1, 0};
	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, 4));
}

CASE(options, linger)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct linger l = {5, 7};
	socklen_t len = sizeof(l);

	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	R(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	say("%d %d/%u", l.l_onoff, l.l_linger, len);
	l.l_onoff = 0;
	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	R(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	say("%d", l.l_onoff);
}

static void tcp_level(int fd)
{
	TRIP(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	TRIP(fd, IPPROTO_TCP, TCP_NODELAY, 0);
	TRIP(fd, IPPROTO_TCP, TCP_NODELAY, 7);
	TRIP(fd, IPPROTO_TCP, TCP_CORK, 1);
	TRIP(fd, IPPROTO_TCP, TCP_CORK, 0);
	TRIP(fd, IPPROTO_TCP, TCP_KEEPIDLE, 55);
	TRIP(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0);
	TRIP(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	TRIP(fd, IPPROTO_TCP, TCP_KEEPINTVL, 40000);
	TRIP(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	TRIP(fd, IPPROTO_TCP, TCP_KEEPCNT, 200);
	TRIP(fd, IPPROTO_TCP, TCP_SYNCNT, 3);
	TRIP(fd, IPPROTO_TCP, TCP_SYNCNT, 0);
	TRIP(fd, IPPROTO_TCP, TCP_LINGER2, 20);
	TRIP(fd, IPPROTO_TCP, TCP_LINGER2, -1);
	TRIP(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
	TRIP(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	TRIP(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
	TRIP(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
	TRIP(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
	TRIP(fd, IPPROTO_TCP, 9999, 1);
}

CASE(options, tcp_level_fresh)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	OPT(fd, IPPROTO_TCP, TCP_MAXSEG);
	tcp_level(fd);
}

CASE(options, tcp_level_listener)
{
	tcp_level(tcp_listener(PORT(0), 1));
}

CASE(options, tcp_level_connected)
{
	int p, fd = tcp_pair(&p);

	OPT(fd, IPPROTO_TCP, TCP_MAXSEG);
	tcp_level(fd);
}

CASE(options, maxseg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	TRIP(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
	TRIP(fd, IPPROTO_TCP, TCP_MAXSEG, 10);
	TRIP(fd, IPPROTO_TCP, TCP_MAXSEG, 100000);
}

static void ip_level(int fd)
{
	TRIP(fd, IPPROTO_IP, IP_TOS, 0x28);
	TRIP(fd, IPPROTO_IP, IP_TTL, 10);
	TRIP(fd, IPPROTO_IP, IP_TTL, 0);
	TRIP(fd, IPPROTO_IP, IP_TTL, 256);
	TRIP(fd, IPPROTO_IP, IP_TTL, -1);
	TRIP(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	TRIP(fd, IPPROTO_IP, IP_MTU_DISCOVER, 77);
	TRIP(fd, IPPROTO_IP, IP_RECVERR, 1);
	TRIP(fd, IPPROTO_IP, IP_PKTINFO, 1);
	TRIP(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	TRIP(fd, IPPROTO_IP, 9999, 1);
}

CASE(options, ip_level_tcp)
{
	int p, fd = tcp_pair(&p);

	OPT(fd, IPPROTO_IP, IP_MTU);
	ip_level(fd);
}

CASE(options, ip_level_udp)
{
	int fd = udp_bound(PORT(0));

	OPT(fd, IPPROTO_IP, IP_MTU);
	ip_level(fd);
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	OPT(fd, IPPROTO_IP, IP_MTU);
}

CASE(options, short_and_long_buffers)
{
	int p, fd = tcp_pair(&p);
	char buf[64];
	socklen_t len;

	for (len = 0; len <= 5; len++) {
		socklen_t l = len;
		int r;

		memset(buf, 0x11, sizeof(buf));
		r = getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, buf, &l);
		say("NODELAY get %u: %d %u %02x%02x", len, r, l, buf[0], buf[3]);
		r = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, buf, len);
		say("NODELAY set %u: %d", len, r);
		l = len;
		r = getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, &l);
		say("TYPE get %u: %d %u", len, r, l);
		l = len;
		r = getsockopt(fd, IPPROTO_IP, IP_TTL, buf, &l);
		say("TTL get %u: %d %u", len, r, l);
	}
	len = -1;
	R(getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, &len));
	R(getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, NULL));
	R(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
	R(setsockopt(fd, 12345, 1, buf, 4));
	R(setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, buf, 4));
}

CASE(options, congestion)
{
	int p, fd = tcp_pair(&p);
	char name[16] = "";
	socklen_t len = sizeof(name);

	R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	R(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	say("%.16s/%u", name, len);
	R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	R(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	say("%.16s/%u", name, len);
	R(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
}

CASE(options, tcp_info)
{
	int p, fd = tcp_pair(&p);
	struct tcp_info i;
	socklen_t len = sizeof(i), small = 8;

	memset(&i, 0xff, sizeof(i));
	R(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	say("length %u state %u ca %u retransmits %u mss %u/%u options %#x wscale ok %d", len, i.tcpi_state,
	    i.tcpi_ca_state, i.tcpi_retransmits, i.tcpi_snd_mss, i.tcpi_rcv_mss, i.tcpi_options & 7,
	    i.tcpi_snd_wscale <= 14);
	say("unacked %u sacked %u lost %u pmtu %u", i.tcpi_unacked, i.tcpi_sacked, i.tcpi_lost, i.tcpi_pmtu);
	R(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &small));
	say("length %u", small);
	peer_close(p);
	until_rdhup(fd);
	len = sizeof(i);
	R(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	say("state %u", i.tcpi_state);
}

CASE(options, tcp_info_states)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct tcp_info i;
	socklen_t len = sizeof(i);

	R(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	say("state %u", i.tcpi_state);
	bind_to(fd, OWN_ADDR, PORT(0));
	listen(fd, 5);
	R(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	say("state %u backlog %u queue %u", i.tcpi_state, i.tcpi_sacked, i.tcpi_unacked);
	peer_connect(PORT(0));
	until_readable(fd);
	R(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	say("state %u backlog %u queue %u", i.tcpi_state, i.tcpi_sacked, i.tcpi_unacked);
}

CASE(options, transparent_and_ulp_refused)
{
	int p, fd = tcp_pair(&p);

	R(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "nonsense", 8));
	R(set_int(fd, SOL_SOCKET, SO_ZEROCOPY, 2));
}

/* What recvmsg(2) says of the rest, with room of `room` bytes for control messages. */
static void show_inq(int fd, size_t len, size_t room, int flags)
{
	char buf[64], control[CMSG_SPACE(sizeof(int))];
	struct iovec v = {buf, len};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = room ? control : NULL,
			   .msg_controllen = room,
			   .msg_flags = 0x55};
	struct cmsghdr *h;
	int inq = -1;

	memset(control, 0, sizeof(control));
	R(recvmsg(fd, &m, flags));
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&inq, CMSG_DATA(h), sizeof(inq));
	say("flags %#x control %zu: len %zu level %d type %d inq %d", m.msg_flags, (size_t)m.msg_controllen,
	    h ? (size_t)h->cmsg_len : 0, h ? h->cmsg_level : 0, h ? h->cmsg_type : 0, inq);
}

CASE(options, inq_tells_the_rest)
{
	int p, fd = tcp_pair(&p);

	R(set_int(fd, IPPROTO_TCP, TCP_INQ, 2));
	TRIP(fd, IPPROTO_TCP, TCP_INQ, 1);
	peer_send(p, "0123456789", 10);
	until_queued(fd, 10);
	show_inq(fd, 3, CMSG_SPACE(sizeof(int)), 0);
	show_inq(fd, 2, CMSG_SPACE(sizeof(int)), MSG_PEEK);
	show_inq(fd, 0, CMSG_SPACE(sizeof(int)), 0);
	show_inq(fd, 1, CMSG_LEN(sizeof(int)) - 2, 0);
	show_inq(fd, 1, 4, 0);
	show_inq(fd, 1, 0, 0);
	show_inq(fd, 4, CMSG_SPACE(sizeof(int)), 0);
	show_inq(fd, 4, CMSG_SPACE(sizeof(int)), MSG_DONTWAIT);
	peer_send(p, "abc", 3);
	peer_close(p);
	until_rdhup(fd);
	show_inq(fd, 2, CMSG_SPACE(sizeof(int)), 0);
	show_inq(fd, 1, CMSG_SPACE(sizeof(int)), 0);
	show_inq(fd, 1, CMSG_SPACE(sizeof(int)), 0);
	TRIP(fd, IPPROTO_TCP, TCP_INQ, 0);
	show_inq(fd, 1, CMSG_SPACE(sizeof(int)), 0);
}

/* Set before the socket becomes ours, and handed on by a listener. */
CASE(options, inq_is_inherited)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), p, fd;

	R(set_int(l, IPPROTO_TCP, TCP_INQ, 1));
	NEED(!bind_to(l, OWN_ADDR, PORT(0)) && !listen(l, 4));
	p = peer_connect(PORT(0));
	fd = RFD(accept(l, NULL, NULL));
	OPT(fd, IPPROTO_TCP, TCP_INQ);
	peer_send(p, "0123456789", 10);
	until_queued(fd, 10);
	show_inq(fd, 3, CMSG_SPACE(sizeof(int)), 0);
}

CASE(options, tcp_options_on_udp)
{
	int fd = udp_bound(PORT(0));

	R(set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	OPT(fd, IPPROTO_TCP, TCP_NODELAY);
}

CASE(options, defer_accept)
{
	int l = tcp_listener(PORT(0), 4), p, c;
	char buf[8];

	R(set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
	set_nonblock(l);
	p = peer_connect(PORT(0));
	R(accept(l, NULL, NULL));
	peer_send(p, "now", 3);
	until_readable(l);
	c = RFD(accept(l, NULL, NULL));
	R(recv(c, buf, 8, 0));
}

/* How dnsmasq learns by which interface a connection came. */
CASE(options, pktoptions_of_a_connection)
{
	int p, fd = tcp_pair(&p);
	char control[128], name[IF_NAMESIZE], text[32];
	socklen_t len = sizeof(control);
	struct cmsghdr h = {0};
	struct in_pktinfo pi = {0};

	R(getsockopt(fd, IPPROTO_IP, IP_PKTOPTIONS, control, &len));
	say("len %u", len);
	R(set_int(fd, IPPROTO_IP, IP_PKTINFO, 1));
	len = sizeof(control);
	R(getsockopt(fd, IPPROTO_IP, IP_PKTOPTIONS, control, &len));
	say("len %u", len);
	memcpy(&h, control, sizeof(h));
	memcpy(&pi, control + sizeof(h), sizeof(pi));
	say("len %zu type %d has a name %d %s", (size_t)h.cmsg_len, h.cmsg_type,
	    if_indextoname((unsigned)pi.ipi_ifindex, name) != NULL,
	    inet_ntop(AF_INET, &pi.ipi_addr, text, sizeof(text)));
}
