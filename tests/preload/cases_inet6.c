/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_inet6.c - AF_INET6 sockets whose peers are IPv4: mapped addresses in every call
 */
#include <sys/eventfd.h>

#include "diff.h"

static struct sockaddr_in6 mapped(const char *ip, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	char text[64];

	snprintf(text, sizeof(text), "::ffff:%s", ip);
	inet_pton(AF_INET6, text, &a.sin6_addr);
	return a;
}

/* A name as text; the port only when it is one of the case's. */
static void say_name(const char *what, const struct sockaddr_in6 *a, socklen_t len)
{
	char text[64] = "?";
	int port = ntohs(a->sin6_port);

	inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text));
	say("%s family %d len %u %s port %d flow %u scope %u", what, a->sin6_family, len, text,
	    port >= PORT(0) && port <= PORT(15) ? port - PORT(0)
	    : port                              ? -1
						: -2,
	    a->sin6_flowinfo, a->sin6_scope_id);
}

static void names(int fd)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	if (R(getsockname(fd, (void *)&a, &len)) == 0)
		say_name("own", &a, len);
	len = sizeof(a);
	memset(&a, 0, sizeof(a));
	if (R(getpeername(fd, (void *)&a, &len)) == 0)
		say_name("peer", &a, len);
}

CASE(inet6, connect_mapped)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET6, SOCK_STREAM, 0), p;
	struct sockaddr_in6 to = mapped(PEER_ADDR, PORT(0));

	R(connect(fd, (void *)&to, sizeof(to)));
	p = peer_accept(l);
	names(fd);
	R(send(fd, "six", 3, 0));
	say("peer got %s", peer_recv(p, 3));
	peer_send(p, "four", 4);
	R(recv(fd, &(char[8]){0}, 4, MSG_WAITALL));
	OPT(fd, SOL_SOCKET, SO_DOMAIN);
	OPT(fd, SOL_SOCKET, SO_PROTOCOL);
	OPT(fd, IPPROTO_IPV6, IPV6_V6ONLY);
}

CASE(inet6, connect_inet_address_on_inet6_socket)
{
	struct sockaddr_in to = addr4(PEER_ADDR, PORT(0));
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	peer_listen(PORT(0));
	R(connect(fd, (void *)&to, sizeof(to)));
}

CASE(inet6, connect_inet6_address_on_inet_socket)
{
	struct sockaddr_in6 to = mapped(PEER_ADDR, PORT(0));
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	peer_listen(PORT(0));
	R(connect(fd, (void *)&to, sizeof(to)));
}

CASE(inet6, connect_v6only)
{
	struct sockaddr_in6 to = mapped(PEER_ADDR, PORT(0));
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	peer_listen(PORT(0));
	R(set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	R(connect(fd, (void *)&to, sizeof(to)));
}

CASE(inet6, bind_mapped_then_connect)
{
	struct sockaddr_in6 own = mapped(OWN_ADDR, PORT(1)), to = mapped(PEER_ADDR, PORT(0));
	int l = peer_listen(PORT(0)), fd = socket(AF_INET6, SOCK_STREAM, 0);

	R(bind(fd, (void *)&own, sizeof(own)));
	R(connect(fd, (void *)&to, sizeof(to)));
	peer_accept(l);
	names(fd);
}

CASE(inet6, bind_short_address)
{
	struct sockaddr_in6 own = mapped(OWN_ADDR, PORT(1));
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	R(bind(fd, (void *)&own, 24));
	R(bind(fd, (void *)&own, 23));
	names(fd);
}

static void accept_one(int l)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);
	int p = peer_connect(PORT(0)), fd = RFD(accept(l, (void *)&a, &len));

	say_name("accepted", &a, len);
	names(fd);
	peer_send(p, "x", 1);
	R(recv(fd, &(char){0}, 1, 0));
	OPT(fd, SOL_SOCKET, SO_DOMAIN);
}

CASE(inet6, listen_wildcard)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)PORT(0))};
	int l = socket(AF_INET6, SOCK_STREAM, 0);

	set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
	R(bind(l, (void *)&any, sizeof(any)));
	R(listen(l, 8));
	names(l);
	accept_one(l);
	accept_one(l);
}

CASE(inet6, listen_mapped)
{
	struct sockaddr_in6 own = mapped(OWN_ADDR, PORT(0));
	int l = socket(AF_INET6, SOCK_STREAM, 0);

	set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
	R(bind(l, (void *)&own, sizeof(own)));
	R(listen(l, 8));
	names(l);
	accept_one(l);
}

/* What nginx, apache and many others do on "listen [::]:80 ipv6only=on; listen 80". */
CASE(inet6, listen_v6only_beside_inet)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)PORT(0))};
	int l6 = socket(AF_INET6, SOCK_STREAM, 0), l4 = socket(AF_INET, SOCK_STREAM, 0), p, fd;

	R(set_int(l6, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	R(bind(l6, (void *)&any, sizeof(any)));
	R(listen(l6, 8));
	R(bind_to(l4, "0.0.0.0", PORT(0)));
	R(listen(l4, 8));
	set_nonblock(l6);
	p = peer_connect(PORT(0));
	fd = RFD(accept(l4, NULL, NULL));
	R(accept(l6, NULL, NULL));
	R(send(fd, "v4", 2, 0));
	say("peer got %s", peer_recv(p, 2));
}

CASE(inet6, wildcards_in_use)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)PORT(0))};
	int l6 = socket(AF_INET6, SOCK_STREAM, 0), l4 = socket(AF_INET, SOCK_STREAM, 0);

	R(bind(l6, (void *)&any, sizeof(any)));
	R(listen(l6, 8));
	R(bind_to(l4, "0.0.0.0", PORT(0)));
	R(bind_to(l4, OWN_ADDR, PORT(0)));
	R(bind_to(l4, OWN_ADDR, PORT(1)));
}

CASE(inet6, udp)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)PORT(0))}, a = {0};
	struct sockaddr_in6 to = mapped(PEER_ADDR, PORT(1));
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), p = peer_udp(PORT(1));
	socklen_t len = sizeof(a);

	R(bind(fd, (void *)&any, sizeof(any)));
	R(sendto(fd, "hello", 5, 0, (void *)&to, sizeof(to)));
	peer_recvfrom(p);
	peer_sendto(p, PORT(0), "back", 4);
	R(recvfrom(fd, &(char[8]){0}, 8, 0, (void *)&a, &len));
	say_name("from", &a, len);
	R(connect(fd, (void *)&to, sizeof(to)));
	names(fd);
	R(send(fd, "again", 5, 0));
	peer_recvfrom(p);
}

CASE(inet6, udp_pktinfo)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)PORT(0))},
			    from = {0};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), p = peer_udp(PORT(1));
	char data[16], control[256], text[64];
	struct iovec v = {data, sizeof(data)};
	struct msghdr m = {&from, sizeof(from), &v, 1, control, sizeof(control), 0};

	R(set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
	R(bind(fd, (void *)&any, sizeof(any)));
	peer_sendto(p, PORT(0), "info", 4);
	R(recvmsg(fd, &m, 0));
	say_name("from", &from, m.msg_namelen);
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		struct in6_pktinfo {
			struct in6_addr addr;
			unsigned ifindex;
		} pi;

		memcpy(&pi, CMSG_DATA(h), sizeof(pi));
		say("level %d type %d len %zu %s", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len,
		    inet_ntop(AF_INET6, &pi.addr, text, sizeof(text)));
	}
	/* and answers with what it got, as servers do */
	v.iov_len = 4;
	R(sendmsg(fd, &m, 0));
	peer_recvfrom(p);
}

CASE(inet6, udp_unbound_sends)
{
	struct sockaddr_in6 to = mapped(PEER_ADDR, PORT(1));
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), p = peer_udp(PORT(1)), port;

	R(sendto(fd, "hello", 5, 0, (void *)&to, sizeof(to)));
	port = peer_recvfrom(p);
	peer_sendto(p, port, "back", 4);
	R(recv(fd, &(char[8]){0}, 8, 0));
}
