/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_udp.c - datagrams: connected and not, truncation, errors by ICMP, sizes up to fragments, ancillary
 * data
 */
#include <net/if.h>

#include "diff.h"

static struct sockaddr_in peer_at(int port)
{
	return addr4(PEER_ADDR, port);
}

static void show_recvfrom(int fd, size_t size, int flags)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char buf[70000];
	ssize_t n = recvfrom(fd, buf, size, flags, (struct sockaddr *)&from, &len);

	if (n < 0)
		say("recvfrom: %s", errno_name(errno));
	else
		say("recvfrom: %zd \"%.*s\" from %s", n,
		    (int)(n > 40              ? 40
			  : n > (ssize_t)size ? (ssize_t)size
					      : n),
		    buf, addr_text(&from, len));
}

CASE(udp, unconnected)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	struct sockaddr_in to = peer_at(PORT(1));

	show_names("bound", fd);
	R(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)));
	peer_recvfrom(u);
	peer_sendto(u, PORT(0), "answer", 6);
	show_recvfrom(fd, 100, 0);
	R(send(fd, "x", 1, 0));
	set_nonblock(fd);
	show_recvfrom(fd, 100, 0);
}

CASE(udp, connected)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1)), other = peer_udp(PORT(2));
	struct sockaddr_in to = peer_at(PORT(2));

	R(connect_to(fd, PEER_ADDR, PORT(1)));
	show_names("connected", fd);
	R(send(fd, "abc", 3, 0));
	peer_recvfrom(u);
	/* Only the peer's datagrams come through; a datagram can still be sent elsewhere. */
	peer_sendto(other, PORT(0), "foreign", 7);
	peer_sendto(u, PORT(0), "mine", 4);
	show_recvfrom(fd, 100, 0);
	R(sendto(fd, "else", 4, 0, (struct sockaddr *)&to, sizeof(to)));
	peer_recvfrom(other);
	set_nonblock(fd);
	show_recvfrom(fd, 100, 0);
}

CASE(udp, unbound_gets_ephemeral_port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), u = peer_udp(PORT(1));
	struct sockaddr_in to = peer_at(PORT(1));
	int port;

	R(sendto(fd, "q", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	port = peer_recvfrom(u);
	say("ephemeral %d", port >= 32768 && port <= 60999);
	peer_sendto(u, port, "a", 1);
	show_recvfrom(fd, 100, 0);
}

CASE(udp, connect_only_like_a_resolver)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), u = peer_udp(PORT(1));
	int port;

	R(connect_to(fd, PEER_ADDR, PORT(1)));
	show_names("connected", fd);
	R(send(fd, "query", 5, MSG_NOSIGNAL));
	port = peer_recvfrom(u);
	peer_sendto(u, port, "reply", 5);
	until_readable(fd);
	show_recvfrom(fd, 100, 0);
	show_recvfrom(fd, 100, 0);
}

CASE(udp, truncation)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	char a[3];
	struct iovec v = {a, 3};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	for (int i = 0; i < 5; i++)
		peer_sendto(u, PORT(0), "abcdefgh", 8);
	show_recvfrom(fd, 3, 0);
	show_recvfrom(fd, 3, MSG_TRUNC);
	R(recvmsg(fd, &m, 0));
	say("flags %#x", m.msg_flags);
	show_recvfrom(fd, 3, MSG_PEEK);
	show_recvfrom(fd, 100, 0);
	show_recvfrom(fd, 100, 0);
}

CASE(udp, empty_datagram)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	struct sockaddr_in to = peer_at(PORT(1));

	peer_sendto(u, PORT(0), "", 0);
	until_readable(fd);
	show_recvfrom(fd, 10, 0);
	R(sendto(fd, "", 0, 0, (struct sockaddr *)&to, sizeof(to)));
	peer_recvfrom(u);
}

CASE(udp, refused)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(send(fd, "x", 1, 0));
	until_events(fd, POLLERR);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	R(send(fd, "x", 1, 0));
	until_events(fd, POLLERR);
	R(recv(fd, &(char){0}, 1, 0));
	R(send(fd, "x", 1, 0));
	until_events(fd, POLLERR);
	R(send(fd, "x", 1, 0));
}

CASE(udp, unconnected_ignores_unreachable)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(2));
	struct sockaddr_in to = peer_at(PORT(1));

	R(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	peer_sendto(u, PORT(0), "y", 1);
	until_readable(fd);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	show_recvfrom(fd, 10, 0);
}

CASE(udp, own_port_unreachable)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));

	/* Nobody has PORT(3) here: the peer's kernel hears of it and shows POLLERR only when connected, so
	 * just go on. */
	peer_sendto(u, PORT(3), "x", 1);
	peer_sendto(u, PORT(0), "y", 1);
	show_recvfrom(fd, 10, 0);
}

CASE(udp, sizes)
{
	static const size_t sizes[] = {1, 1471, 1472, 1473, 2000, 2048};
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	struct sockaddr_in to = peer_at(PORT(1));
	static char buf[2048];

	memset(buf, 'z', sizeof(buf));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		R(sendto(fd, buf, sizes[i], 0, (struct sockaddr *)&to, sizeof(to)));
		peer_recvfrom(u);
		peer_sendto(u, PORT(0), buf, sizes[i]);
		show_recvfrom(fd, 4096, 0);
	}
}

CASE(udp, largest)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	struct sockaddr_in to = peer_at(PORT(1));
	static char buf[70000];

	memset(buf, 'L', sizeof(buf));
	R(sendto(fd, buf, 65507, 0, (struct sockaddr *)&to, sizeof(to)));
	peer_recvfrom(u);
	R(sendto(fd, buf, 65508, 0, (struct sockaddr *)&to, sizeof(to)));
	R(sendto(fd, buf, 70000, 0, (struct sockaddr *)&to, sizeof(to)));
}

CASE(udp, bad_arguments)
{
	int fd = udp_bound(PORT(0));
	struct sockaddr_in to = peer_at(PORT(1));

	R(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, 4));
	to.sin_port = 0;
	R(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	R(send(fd, "x", 1, 0));
	R(accept(fd, NULL, NULL));
	R(shutdown(fd, SHUT_RDWR));
	R(bind_to(fd, OWN_ADDR, PORT(1)));
}

CASE(udp, in_use)
{
	int a = udp_bound(PORT(0)), b = socket(AF_INET, SOCK_DGRAM, 0);

	R(bind_to(b, OWN_ADDR, PORT(0)));
	R(bind_to(b, "0.0.0.0", PORT(0)));
	R(set_int(b, SOL_SOCKET, SO_REUSEADDR, 1));
	R(bind_to(b, OWN_ADDR, PORT(0)));
	R(close(a));
	R(bind_to(b, OWN_ADDR, PORT(0)));
}

CASE(udp, wildcard_serves_both_sides)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), u = peer_udp(PORT(1)),
	    local = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = addr4("127.0.0.1", PORT(0));

	R(bind_to(fd, "0.0.0.0", PORT(0)));
	show_names("wildcard", fd);
	peer_sendto(u, PORT(0), "net", 3);
	show_recvfrom(fd, 100, 0);
	R(bind_to(local, "127.0.0.1", PORT(2)));
	R(sendto(local, "loop", 4, 0, (struct sockaddr *)&to, sizeof(to)));
	show_recvfrom(fd, 100, 0);
	to = addr4("127.0.0.1", PORT(2));
	R(sendto(fd, "back", 4, 0, (struct sockaddr *)&to, sizeof(to)));
	show_recvfrom(local, 100, 0);
	to = peer_at(PORT(1));
	R(sendto(fd, "out", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	peer_recvfrom(u);
}

CASE(udp, disconnect)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(connect(fd, &none, sizeof(none)));
	show_names("disconnected", fd);
	R(send(fd, "x", 1, 0));
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(send(fd, "y", 1, 0));
	peer_recvfrom(u);
}

CASE(udp, mmsg)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	char buf[4][16];
	struct iovec v[4];
	struct mmsghdr m[4] = {0};

	R(connect_to(fd, PEER_ADDR, PORT(1)));
	for (int i = 0; i < 4; i++) {
		v[i] = (struct iovec){buf[i], snprintf(buf[i], 16, "datagram%d", i)};
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	R(sendmmsg(fd, m, 4, 0));
	for (int i = 0; i < 4; i++)
		peer_recvfrom(u);
	for (int i = 0; i < 3; i++)
		peer_sendto(u, PORT(0), "in", 2);
	for (int i = 0; i < 4; i++)
		v[i].iov_len = 16;
	for (int got = 0; got < 3; got++)
		until_readable(fd), NEED(recvmmsg(fd, m, 1, 0, NULL) == 1);
	say("%u", m[0].msg_len);
	R(recvmmsg(fd, m, 4, MSG_DONTWAIT, NULL));
}

CASE(udp, pktinfo)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), u = peer_udp(PORT(1));
	char data[8], control[128], ip[32];
	struct iovec v = {data, 8};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

	R(bind_to(fd, "0.0.0.0", PORT(0)));
	R(set_int(fd, IPPROTO_IP, IP_PKTINFO, 1));
	peer_sendto(u, PORT(0), "x", 1);
	R(recvmsg(fd, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct in_pktinfo *i = (struct in_pktinfo *)CMSG_DATA(c);

		say("level %d type %d length %zu to %s", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len,
		    inet_ntop(AF_INET, &i->ipi_addr, ip, sizeof(ip)));
	}
}

/* dnsmasq and others look up the interface that a datagram came by. */
CASE(udp, pktinfo_names_an_interface)
{
	int fd = udp_bound(PORT(0)), p = peer_udp(PORT(1));
	char data[16], control[64], name[IF_NAMESIZE];
	struct iovec v = {data, sizeof(data)};
	struct msghdr m = {NULL, 0, &v, 1, control, sizeof(control), 0};
	struct cmsghdr *h;
	struct in_pktinfo pi;

	R(set_int(fd, IPPROTO_IP, IP_PKTINFO, 1));
	peer_sendto(p, PORT(0), "x", 1);
	R(recvmsg(fd, &m, 0));
	h = CMSG_FIRSTHDR(&m);
	NEED(h && h->cmsg_type == IP_PKTINFO);
	memcpy(&pi, CMSG_DATA(h), sizeof(pi));
	say("has a name %d", if_indextoname((unsigned)pi.ipi_ifindex, name) != NULL);
}

CASE(udp, fionread_is_first_datagram)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1)), n = -1;

	R(ioctl(fd, FIONREAD, &n));
	say("%d", n);
	peer_sendto(u, PORT(0), "12345", 5);
	peer_sendto(u, PORT(0), "123", 3);
	until_readable(fd);
	R(ioctl(fd, FIONREAD, &n));
	say("%d", n);
}

CASE(udp, poll_events)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};

	R(poll(&p, 1, 0));
	say("%s", events_text(p.revents));
	peer_sendto(u, PORT(0), "x", 1);
	until_readable(fd);
	R(poll(&p, 1, 0));
	say("%s", events_text(p.revents));
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(shutdown(fd, SHUT_RD));
	R(poll(&p, 1, 0));
	say("%s", events_text(p.revents));
	R(recv(fd, &(char[4]){0}, 4, 0));
	R(recv(fd, &(char[4]){0}, 4, 0));
}

CASE(udp, broadcast_needs_permission)
{
	int fd = udp_bound(PORT(0));
	struct sockaddr_in to = addr4("198.18.0.255", PORT(1));

	R(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	R(set_int(fd, SOL_SOCKET, SO_BROADCAST, 1));
	R(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
}

CASE(udp, shutdown_of_reading_ends_waits)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1));
	char b[8];

	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(shutdown(fd, SHUT_RD));
	R(recv(fd, b, 8, 0));
	R(recv(fd, b, 8, MSG_DONTWAIT));
	peer_sendto(u, PORT(0), "late", 4);
	until_queued(fd, 4);
	R(recv(fd, b, 8, 0));
	R(recv(fd, b, 8, 0));
}
