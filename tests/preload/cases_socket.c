/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_socket.c - socket, bind, listen, accept, connect, names: what they answer, above all when they refuse
 */
#include "diff.h"

CASE(socket, refusals)
{
	RFD(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	RFD(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	RFD(socket(AF_INET, SOCK_STREAM, 255));
	RFD(socket(AF_INET, 77, 0));
	RFD(socket(250, SOCK_STREAM, 0));
	RFD(socket(AF_INET, SOCK_SEQPACKET, 0));
	RFD(socket(AF_INET, SOCK_STREAM | 0x40000000, 0));
	RFD(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	RFD(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
}

CASE(socket, flags)
{
	int fd = RFD(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

	say("flags %#x %#x", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	OPT(fd, SOL_SOCKET, SO_TYPE);
	OPT(fd, SOL_SOCKET, SO_DOMAIN);
	OPT(fd, SOL_SOCKET, SO_PROTOCOL);
	OPT(fd, SOL_SOCKET, SO_ACCEPTCONN);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	show_names("fresh", fd);
	R(close(fd));
	R(close(fd));
}

CASE(socket, flags_after_bind)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	R(bind_to(fd, OWN_ADDR, PORT(0)));
	R(listen(fd, 1));
	say("flags %#x %#x", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	OPT(fd, SOL_SOCKET, SO_TYPE);
	OPT(fd, SOL_SOCKET, SO_DOMAIN);
	OPT(fd, SOL_SOCKET, SO_PROTOCOL);
	OPT(fd, SOL_SOCKET, SO_ACCEPTCONN);
	OPT(fd, SOL_SOCKET, SO_ERROR);
}

CASE(socket, calls_on_fresh)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char c;

	R(recv(fd, &c, 1, 0));
	R(send(fd, &c, 1, MSG_NOSIGNAL));
	R(shutdown(fd, SHUT_RDWR));
	R(shutdown(fd, 9));
	R(accept(fd, NULL, NULL));
	R(read(fd, &c, 1));
}

CASE(bind, twice)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	R(bind_to(fd, OWN_ADDR, PORT(0)));
	R(bind_to(fd, OWN_ADDR, PORT(1)));
	show_names("bound", fd);
}

CASE(bind, in_use)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);

	R(bind_to(a, OWN_ADDR, PORT(0)));
	R(bind_to(b, OWN_ADDR, PORT(0)));
	R(bind_to(b, "0.0.0.0", PORT(0)));
	R(close(a));
	R(bind_to(b, OWN_ADDR, PORT(0)));
}

CASE(bind, in_use_listening)
{
	int a = tcp_listener(PORT(0), 4), b = socket(AF_INET, SOCK_STREAM, 0);

	set_int(b, SOL_SOCKET, SO_REUSEADDR, 1);
	R(bind_to(b, OWN_ADDR, PORT(0)));
	R(bind_to(b, "0.0.0.0", PORT(0)));
	close(a);
	R(bind_to(b, OWN_ADDR, PORT(0)));
	R(listen(b, 1));
}

CASE(bind, reuseaddr_both_then_listen)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);

	set_int(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(b, SOL_SOCKET, SO_REUSEADDR, 1);
	R(bind_to(a, OWN_ADDR, PORT(0)));
	R(bind_to(b, OWN_ADDR, PORT(0)));
	R(listen(a, 4));
	R(listen(b, 4));
}

CASE(bind, reuseport)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);

	set_int(a, SOL_SOCKET, SO_REUSEPORT, 1);
	R(bind_to(a, OWN_ADDR, PORT(0)));
	R(listen(a, 4));
	R(bind_to(b, OWN_ADDR, PORT(0)));
	set_int(b, SOL_SOCKET, SO_REUSEPORT, 1);
	R(bind_to(b, OWN_ADDR, PORT(0)));
	R(listen(b, 4));
}

CASE(bind, not_local)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	R(bind_to(fd, "198.18.0.77", PORT(0)));
	R(bind_to(fd, OWN_ADDR, PORT(0)));
}

CASE(bind, bad_arguments)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = addr4(OWN_ADDR, PORT(0));

	R(bind(fd, (struct sockaddr *)&a, 4));
	a.sin_family = AF_UNIX;
	R(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_family = AF_INET;
	R(bind(fd, (struct sockaddr *)8, sizeof(a)));
	R(bind(-1, (struct sockaddr *)&a, sizeof(a)));
	R(bind(STDOUT_FILENO, (struct sockaddr *)&a, sizeof(a)));
	R(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

CASE(bind, port_zero)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);

	R(bind_to(fd, OWN_ADDR, 0));
	show_names("tcp", fd);
	R(bind_to(udp, OWN_ADDR, 0));
	show_names("udp", udp);
}

CASE(listen, without_bind)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	R(listen(fd, 1));
	show_names("listening", fd);
	OPT(fd, SOL_SOCKET, SO_ACCEPTCONN);
}

CASE(listen, refusals)
{
	int udp = udp_bound(PORT(1)), peer, c = tcp_pair(&peer);

	R(listen(udp, 1));
	R(listen(c, 1));
	R(listen(STDOUT_FILENO, 1));
	R(listen(-1, 1));
}

CASE(listen, twice_and_calls_on_listener)
{
	int fd = tcp_listener(PORT(0), 1);
	char c = 'x';

	R(listen(fd, 5));
	R(listen(fd, -1));
	R(listen(fd, 0));
	R(recv(fd, &c, 1, 0));
	R(send(fd, &c, 1, MSG_NOSIGNAL));
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	show_names("listener", fd);
	OPT(fd, SOL_SOCKET, SO_ACCEPTCONN);
}

CASE(listen, shutdown_ends_listening)
{
	int fd = tcp_listener(PORT(0), 1);

	set_nonblock(fd);
	R(shutdown(fd, SHUT_RD));
	R(accept(fd, NULL, NULL));
	OPT(fd, SOL_SOCKET, SO_ACCEPTCONN);
	say("peer connect: %s", errno_name(-peer_connect(PORT(0))));
	R(listen(fd, 1));
	say("peer connect: %s", peer_connect(PORT(0)) >= 0 ? "ok" : "refused");
}

CASE(listen, closed_refuses)
{
	int fd = tcp_listener(PORT(0), 1);

	R(close(fd));
	say("peer connect: %s", errno_name(-peer_connect(PORT(0))));
}

CASE(listen, close_resets_queued)
{
	int fd = tcp_listener(PORT(0), 4), p;

	p = peer_connect(PORT(0));
	until_readable(fd);
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(accept, nonblock_empty)
{
	int fd = tcp_listener(PORT(0), 4);

	set_nonblock(fd);
	R(accept(fd, NULL, NULL));
	R(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
	R(accept4(fd, NULL, NULL, 0x1234567));
}

CASE(accept, names_and_flags)
{
	int fd = tcp_listener(PORT(0), 4);
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int a, b;

	peer_connect(PORT(0));
	peer_connect(PORT(0));
	set_nonblock(fd);
	until_readable(fd);
	a = RFD(accept(fd, (struct sockaddr *)&sa, &len));
	say("from %s", addr_text(&sa, len));
	say("flags %#x %#x", fcntl(a, F_GETFL), fcntl(a, F_GETFD));
	show_names("accepted", a);
	until_readable(fd);
	b = RFD(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	say("flags %#x %#x", fcntl(b, F_GETFL), fcntl(b, F_GETFD));
	OPT(b, SOL_SOCKET, SO_TYPE);
	OPT(b, SOL_SOCKET, SO_DOMAIN);
	OPT(b, SOL_SOCKET, SO_PROTOCOL);
	OPT(b, SOL_SOCKET, SO_ACCEPTCONN);
}

CASE(accept, short_address_buffer)
{
	int fd = tcp_listener(PORT(0), 4);
	struct sockaddr_storage sa;
	socklen_t len = 4, zero = 0, negative = -1;

	memset(&sa, 0x55, sizeof(sa));
	for (int i = 0; i < 3; i++)
		peer_connect(PORT(0));
	RFD(accept(fd, (struct sockaddr *)&sa, &len));
	say("length %u family %d byte4 %#x", len, sa.ss_family, ((uint8_t *)&sa)[4]);
	RFD(accept(fd, (struct sockaddr *)&sa, &zero));
	say("length %u", zero);
	RFD(accept(fd, (struct sockaddr *)&sa, &negative));
}

CASE(accept, bad_descriptors)
{
	int udp = udp_bound(PORT(1)), peer, c = tcp_pair(&peer);

	R(accept(-1, NULL, NULL));
	R(accept(STDOUT_FILENO, NULL, NULL));
	R(accept(udp, NULL, NULL));
	R(accept(c, NULL, NULL));
}

CASE(accept, blocks_until_connection)
{
	int fd = tcp_listener(PORT(0), 4);

	peer_begin_connect(PORT(0));
	RFD(accept(fd, NULL, NULL));
	say("peer %s", peer_end_connect() >= 0 ? "ok" : "failed");
}

CASE(accept, order)
{
	int fd = tcp_listener(PORT(0), 8);
	char text[2] = "a";

	for (int i = 0; i < 4; i++, text[0]++) {
		int p = peer_connect(PORT(0));

		peer_send(p, text, 1);
		until_readable(fd);
	}
	for (int i = 0; i < 4; i++) {
		int c = accept(fd, NULL, NULL);
		char got = '?';

		recv(c, &got, 1, 0);
		say("connection %d: %c", i, got);
	}
}

CASE(accept, inherits_options)
{
	int fd = tcp_listener(PORT(0), 8), c;

	R(set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
	R(set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	R(set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77));
	R(set_int(fd, IPPROTO_IP, IP_TOS, 0x10));
	R(set_int(fd, IPPROTO_IP, IP_TTL, 33));
	R(set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 3));
	peer_connect(PORT(0));
	c = RFD(accept(fd, NULL, NULL));
	OPT(c, SOL_SOCKET, SO_KEEPALIVE);
	OPT(c, SOL_SOCKET, SO_REUSEADDR);
	OPT(c, IPPROTO_TCP, TCP_NODELAY);
	OPT(c, IPPROTO_TCP, TCP_KEEPIDLE);
	OPT(c, IPPROTO_IP, IP_TOS);
	OPT(c, IPPROTO_IP, IP_TTL);
	OPT(c, SOL_SOCKET, SO_RCVLOWAT);
}

CASE(accept, connection_already_reset)
{
	int fd = tcp_listener(PORT(0), 8), c, p = peer_connect(PORT(0));
	char x;

	until_readable(fd);
	peer_rst(p);
	p = peer_connect(PORT(0));
	peer_send(p, "2", 1);
	c = RFD(accept(fd, NULL, NULL));
	until_events(c, POLLHUP);
	R(recv(c, &x, 1, 0));
	R(recv(c, &x, 1, 0));
	c = RFD(accept(fd, NULL, NULL));
	R(recv(c, &x, 1, 0));
}

CASE(accept, connection_already_closed_with_data)
{
	int fd = tcp_listener(PORT(0), 8), c, p = peer_connect(PORT(0));
	char x[8];

	peer_send(p, "bye", 3);
	peer_close(p);
	until_readable(fd);
	c = RFD(accept(fd, NULL, NULL));
	until_rdhup(c);
	R(recv(c, x, 8, 0));
	R(recv(c, x, 8, 0));
	R(send(c, x, 1, MSG_NOSIGNAL));
}

CASE(connect, simple)
{
	int peer, fd = tcp_pair_active(&peer);
	char buf[8];

	show_names("connected", fd);
	R(send(fd, "ping", 4, 0));
	say("peer got %s", peer_recv(peer, 4));
	peer_send(peer, "pong", 4);
	R(recv(fd, buf, 4, MSG_WAITALL));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
}

CASE(connect, refused)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	R(connect_to(fd, PEER_ADDR, PORT(0)));
	OPT(fd, SOL_SOCKET, SO_ERROR);
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	peer_listen(PORT(0));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	show_names("after", fd);
}

CASE(connect, nonblock)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	R(connect_to(fd, PEER_ADDR, PORT(0)));
	until_events(fd, POLLOUT);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	peer_accept(l);
	R(send(fd, "x", 1, 0));
}

CASE(connect, nonblock_refused)
{
	struct pollfd p = {.events = POLLIN | POLLOUT | POLLRDHUP};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	R(connect_to(fd, PEER_ADDR, PORT(0)));
	p.fd = fd;
	R(poll(&p, 1, 5000));
	say("%s", events_text(p.revents));
	OPT(fd, SOL_SOCKET, SO_ERROR);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	R(poll(&p, 1, 0));
	say("%s", events_text(p.revents));
}

CASE(connect, nonblock_refused_by_recv)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char c;

	R(connect_to(fd, PEER_ADDR, PORT(0)));
	until_events(fd, POLLOUT);
	R(recv(fd, &c, 1, 0));
	R(recv(fd, &c, 1, 0));
	R(send(fd, &c, 1, MSG_NOSIGNAL));
}

CASE(connect, bound_port)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0);

	R(set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	R(bind_to(fd, OWN_ADDR, PORT(5)));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	show_names("bound", fd);
	peer_accept(l);
}

CASE(connect, bound_wildcard)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0);

	R(bind_to(fd, "0.0.0.0", 0));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	show_names("bound", fd);
	peer_accept(l);
}

CASE(connect, bad_arguments)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = addr4(PEER_ADDR, PORT(0));

	R(connect(fd, (struct sockaddr *)&a, 3));
	R(connect(fd, (struct sockaddr *)&a, 8));
	a.sin_family = 99;
	R(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	R(connect(-1, (struct sockaddr *)&a, sizeof(a)));
	R(connect(STDOUT_FILENO, (struct sockaddr *)&a, sizeof(a)));
}

CASE(connect, send_while_connecting)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), l = peer_listen(PORT(0));
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	R(poll(&p, 1, 0));
	say("%s", events_text(p.revents));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	until_events(fd, POLLOUT);
	R(poll(&p, 1, 0));
	say("%s", events_text(p.revents));
	peer_accept(l);
}

CASE(connect, disconnect_by_af_unspec)
{
	int peer, fd = tcp_pair_active(&peer);
	struct sockaddr a = {.sa_family = AF_UNSPEC};

	R(connect(fd, &a, sizeof(a)));
	show_names("disconnected", fd);
	peer_say_recv(peer, 1);
}

CASE(connect, to_loopback_stays_with_kernel)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), c;
	char buf[4];

	R(bind_to(l, "127.0.0.1", PORT(0)));
	R(listen(l, 4));
	R(connect_to(fd, "127.0.0.1", PORT(0)));
	c = RFD(accept(l, NULL, NULL));
	show_names("client", fd);
	R(send(fd, "abc", 3, 0));
	R(recv(c, buf, 4, 0));
}

CASE(wildcard, serves_both_sides)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_INET, SOCK_STREAM, 0), p, c[2];
	char got;

	R(bind_to(l, "0.0.0.0", PORT(0)));
	R(listen(l, 8));
	show_names("listener", l);
	p = peer_connect(PORT(0));
	peer_send(p, "p", 1);
	until_readable(l);
	c[0] = RFD(accept(l, NULL, NULL));
	show_names("from the network", c[0]);
	R(recv(c[0], &got, 1, 0));
	R(connect_to(local, "127.0.0.1", PORT(0)));
	until_readable(l);
	c[1] = RFD(accept(l, NULL, NULL));
	show_names("from loopback", c[1]);
	R(send(local, "l", 1, 0));
	R(recv(c[1], &got, 1, 0));
	say("%c", got);
	set_nonblock(l);
	R(accept(l, NULL, NULL));
}

CASE(wildcard, epoll_sees_both_sides)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_INET, SOCK_STREAM, 0),
	    ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7}, out[4];

	R(bind_to(l, "0.0.0.0", PORT(0)));
	R(listen(l, 8));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
	R(connect_to(local, "127.0.0.1", PORT(0)));
	R(epoll_wait(ep, out, 4, 5000));
	say("%s %u", events_text(out[0].events), out[0].data.u32);
	RFD(accept(l, NULL, NULL));
	R(epoll_wait(ep, out, 4, 0));
	peer_begin_connect(PORT(0));
	R(epoll_wait(ep, out, 4, 5000));
	say("%s %u", events_text(out[0].events), out[0].data.u32);
	RFD(accept(l, NULL, NULL));
	peer_end_connect();
	R(epoll_wait(ep, out, 4, 0));
}

CASE(wildcard, blocking_accept_of_either)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), c;
	pid_t pid;

	R(bind_to(l, "0.0.0.0", PORT(0)));
	R(listen(l, 8));
	peer_begin_connect(PORT(0));
	c = RFD(accept(l, NULL, NULL));
	peer_end_connect();
	show_names("first", c);
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		_exit(connect_to(fd, "127.0.0.1", PORT(0)) ? 1 : 0);
	}
	c = RFD(accept(l, NULL, NULL));
	show_names("second", c);
	waitpid(pid, NULL, 0);
}
