/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_fastopen.c - TCP Fast Open (RFC 7413, tcp(7)) towards a server that gives no cookies: MSG_FASTOPEN
 * connects and sends, the options are kept
 */
#include "diff.h"

static ssize_t send_to(int fd, const char *text, int flags, int port)
{
	struct sockaddr_in to = addr4(PEER_ADDR, port);

	return sendto(fd, text, strlen(text), flags, (struct sockaddr *)&to, sizeof(to));
}

CASE(fastopen, sendto_connects)
{
	int l = peer_listen(PORT(0)), p, fd = socket(AF_INET, SOCK_STREAM, 0);
	char buf[8];

	R(send_to(fd, "hello", MSG_FASTOPEN, PORT(0)));
	p = peer_accept(l);
	say("%s", peer_recv(p, 5));
	show_names("after", fd);
	R(send_to(fd, "again", MSG_FASTOPEN, PORT(0)));
	R(send_to(fd, "more", 0, PORT(0)));
	say("%s", peer_recv(p, 4));
	peer_send(p, "answer", 6);
	until_queued(fd, 6);
	R(recv(fd, buf, sizeof(buf), 0));
}

CASE(fastopen, sendmsg_connects)
{
	int l = peer_listen(PORT(0)), p, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = addr4(PEER_ADDR, PORT(0));
	struct iovec v[2] = {{(char *)"he", 2}, {(char *)"llo", 3}};
	struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = v, .msg_iovlen = 2};

	R(sendmsg(fd, &m, MSG_FASTOPEN));
	p = peer_accept(l);
	say("%s", peer_recv(p, 5));
	R(sendmsg(fd, &m, MSG_FASTOPEN));
	m.msg_name = NULL;
	m.msg_namelen = 0;
	R(sendmsg(fd, &m, MSG_FASTOPEN));
}

CASE(fastopen, nonblocking)
{
	int l = peer_listen(PORT(0)), p, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	R(send_to(fd, "hello", MSG_FASTOPEN, PORT(0)));
	until_events(fd, POLLOUT);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	R(send_to(fd, "hello", 0, PORT(0)));
	p = peer_accept(l);
	say("%s", peer_recv(p, 5));
	R(send_to(fd, "hello", MSG_FASTOPEN, PORT(0)));
}

CASE(fastopen, dontwait_then_connect)
{
	int l = peer_listen(PORT(0)), p, fd = socket(AF_INET, SOCK_STREAM, 0);

	R(send_to(fd, "hello", MSG_FASTOPEN | MSG_DONTWAIT, PORT(0)));
	until_events(fd, POLLOUT);
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	p = peer_accept(l);
	R(send(fd, "x", 1, 0));
	say("%s", peer_recv(p, 1));
}

CASE(fastopen, refused)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	R(send_to(fd, "hello", MSG_FASTOPEN, PORT(0)));
	OPT(fd, SOL_SOCKET, SO_ERROR);
	peer_listen(PORT(1));
	R(send_to(fd, "hello", MSG_FASTOPEN, PORT(1)));
}

CASE(fastopen, refused_nonblocking)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	R(send_to(fd, "hello", MSG_FASTOPEN, PORT(0)));
	until_events(fd, POLLOUT);
	OPT(fd, SOL_SOCKET, SO_ERROR);
}

CASE(fastopen, bad_destinations)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), l = tcp_listener(PORT(2), 1);
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	R(send(fd, "x", 1, MSG_FASTOPEN));
	R(sendto(fd, "x", 1, MSG_FASTOPEN, &none, sizeof(none)));
	R(send_to(l, "x", MSG_FASTOPEN, PORT(0)));
	R(sendto(-1, "x", 1, MSG_FASTOPEN, &none, sizeof(none)));
}

CASE(fastopen, several_messages)
{
	int l = peer_listen(PORT(0)), p, fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = addr4(PEER_ADDR, PORT(0));
	struct iovec v = {(char *)"hello", 5};
	struct mmsghdr m[2] = {
		{.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &v, .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}};

	R(sendmmsg(fd, m, 2, MSG_FASTOPEN));
	say("%u %u", m[0].msg_len, m[1].msg_len);
	p = peer_accept(l);
	say("%s", peer_recv(p, 5));
}

CASE(fastopen, after_bind_to_own_address)
{
	int l = peer_listen(PORT(0)), p, fd = socket(AF_INET, SOCK_STREAM, 0);

	R(bind_to(fd, OWN_ADDR, 0));
	R(send_to(fd, "hello", MSG_FASTOPEN, PORT(0)));
	p = peer_accept(l);
	say("%s", peer_recv(p, 5));
}

CASE(fastopen, udp_takes_no_notice)
{
	int u = peer_udp(PORT(0)), fd = udp_bound(PORT(1)), fresh = socket(AF_INET, SOCK_DGRAM, 0);

	R(send_to(fd, "one", MSG_FASTOPEN, PORT(0)));
	peer_recvfrom(u);
	R(send_to(fresh, "two", MSG_FASTOPEN, PORT(0)));
	peer_recvfrom(u);
}

static void set_and_get(int fd, int name, int value, const char *text)
{
	int r = set_int(fd, IPPROTO_TCP, name, value);

	say("%s=%d: %s", text, value, r ? errno_name(errno) : "ok");
	show_int_opt(fd, IPPROTO_TCP, name, text);
}

static void options(int fd)
{
	set_and_get(fd, TCP_FASTOPEN, 5, "queue");
	set_and_get(fd, TCP_FASTOPEN, 100000, "queue");
	set_and_get(fd, TCP_FASTOPEN, -1, "queue");
	set_and_get(fd, TCP_FASTOPEN_CONNECT, 2, "connect");
	set_and_get(fd, TCP_FASTOPEN_CONNECT, 1, "connect");
	set_and_get(fd, TCP_FASTOPEN_NO_COOKIE, 2, "no cookie");
	set_and_get(fd, TCP_FASTOPEN_NO_COOKIE, 0, "no cookie");
}

CASE(fastopen, options_fresh)
{
	options(socket(AF_INET, SOCK_STREAM, 0));
}

CASE(fastopen, options_bound)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	R(bind_to(fd, OWN_ADDR, PORT(0)));
	options(fd);
}

CASE(fastopen, options_listener)
{
	int l = tcp_listener(PORT(0), 3), c;

	options(l);
	peer_connect(PORT(0));
	c = RFD(accept(l, NULL, NULL));
	show_int_opt(c, IPPROTO_TCP, TCP_FASTOPEN, "queue");
	show_int_opt(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, "connect");
}

CASE(fastopen, options_connected)
{
	int p;

	options(tcp_pair(&p));
}

CASE(fastopen, connect_option)
{
	int l = peer_listen(PORT(0)), p, fd = socket(AF_INET, SOCK_STREAM, 0);

	R(set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	p = peer_accept(l);
	R(write(fd, "hello", 5));
	say("%s", peer_recv(p, 5));
	show_int_opt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, "connect");
}
