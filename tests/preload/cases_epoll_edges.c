/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_epoll_edges.c - epoll: what is a new edge and what is not, urgent data, interest changed, nesting,
 * numbers
 */
#include <sys/eventfd.h>

#include "epoll_case.h"

CASE(epoll, edge_data_before_add)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	peer_send(p, "ab", 2);
	until_queued(fd, 2);
	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	show_wait(ep, 1000);
	show_wait(ep, 0);
	R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	R(add(ep, fd, EPOLLIN | EPOLLET, 2));
	show_wait(ep, 1000);
	show_wait(ep, 0);
}

CASE(epoll, edge_level_edge)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	peer_send(p, "a", 1);
	until_queued(fd, 1);
	R(add(ep, fd, EPOLLIN, 1));
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLET, 2));
	show_wait(ep, 0);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN, 3));
	show_wait(ep, 0);
	show_wait(ep, 0);
}

CASE(epoll, edge_several_segments_one_event)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	for (int i = 1; i <= 5; i++) {
		peer_send(p, "x", 1);
		until_queued(fd, i);
	}
	show_wait(ep, 1000);
	show_wait(ep, 0);
}

CASE(epoll, edge_data_then_end)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, 1));
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	show_wait(ep, 1000);
	R(recv(fd, &(char[2]){0}, 2, 0));
	peer_shutdown(p, SHUT_WR);
	until_rdhup(fd);
	show_wait(ep, 1000);
	R(recv(fd, &(char[2]){0}, 2, 0));
	R(recv(fd, &(char[2]){0}, 2, 0));
	show_wait(ep, 0);
}

CASE(epoll, edge_oneshot)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 1));
	peer_send(p, "a", 1);
	until_queued(fd, 1);
	show_wait(ep, 1000);
	peer_send(p, "b", 1);
	until_queued(fd, 2);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 2));
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLOUT | EPOLLET | EPOLLONESHOT, 3));
	show_wait(ep, 0);
	show_wait(ep, 0);
}

CASE(epoll, edge_accept_one_of_two)
{
	int l = tcp_listener(PORT(0), 8), ep = epoll_create1(0);

	set_nonblock(l);
	R(add(ep, l, EPOLLIN | EPOLLET, 1));
	peer_connect(PORT(0));
	until_readable(l);
	show_wait(ep, 1000);
	RFD(accept(l, NULL, NULL));
	R(accept(l, NULL, NULL));
	show_wait(ep, 0);
	peer_connect(PORT(0));
	until_readable(l);
	show_wait(ep, 1000);
	show_wait(ep, 0);
}

CASE(epoll, edge_peek_is_no_edge)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);

	R(add(level, fd, EPOLLIN, 1));
	R(add(edge, fd, EPOLLIN | EPOLLET, 2));
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	show_wait(edge, 1000);
	R(recv(fd, &(char[8]){0}, 8, MSG_PEEK));
	show_wait(level, 0);
	show_wait(edge, 0);
}

CASE(epoll, edge_room_after_partial_write)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	static char buf[65536];
	size_t sent = 0;
	struct epoll_event ev;

	set_nonblock(fd);
	R(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
	show_wait(ep, 1000);
	/* A writer that goes by edges alone gets everything through. */
	peer_begin_recv_pattern(p, 4 << 20, 0);
	while (sent < 4 << 20) {
		ssize_t n;

		pattern(buf, sizeof(buf), 0, sent);
		n = send(fd, buf, (4 << 20) - sent < sizeof(buf) ? (4 << 20) - sent : sizeof(buf), 0);
		if (n > 0) {
			sent += n;
			continue;
		}
		NEED(errno == EAGAIN);
		NEED(epoll_wait(ep, &ev, 1, 5000) == 1);
		NEED(ev.events & EPOLLOUT);
	}
	peer_end_recv_pattern();
}

CASE(epoll, edge_echo_by_edges)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	size_t got = 0;
	char buf[3000];
	bool intact = true;
	struct epoll_event ev;

	set_nonblock(fd);
	R(add(ep, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, 1));
	peer_begin_send_pattern(p, 1 << 20, 9);
	while (got < 1 << 20) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n > 0) {
			intact &= pattern_ok(buf, n, 9, got);
			got += n;
			continue;
		}
		NEED(n < 0 && errno == EAGAIN);
		NEED(epoll_wait(ep, &ev, 1, 5000) == 1);
	}
	peer_end();
	say("intact %d", intact);
}

CASE(epoll, edge_lowat)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);

	R(set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 3));
	R(add(level, fd, EPOLLIN, 1));
	R(add(edge, fd, EPOLLIN | EPOLLET, 2));
	peer_send(p, "ab", 2);
	until_queued(fd, 2);
	show_wait(level, 0);
	show_wait(edge, 0);
	peer_send(p, "c", 1);
	until_queued(fd, 3);
	show_wait(level, 1000);
	show_wait(edge, 1000);
}

CASE(epoll, urgent_data)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);
	char c = 0;

	R(add(level, fd, EPOLLPRI | EPOLLIN, 1));
	R(add(edge, fd, EPOLLPRI | EPOLLET, 2));
	peer_send(p, "a", 1);
	peer_send_oob(p, "!", 1);
	until_events(fd, POLLPRI);
	show_wait(level, 1000);
	show_wait(edge, 1000);
	show_wait(edge, 0);
	R(recv(fd, &c, 1, MSG_OOB));
	show_wait(level, 0);
	R(recv(fd, &c, 1, 0));
	show_wait(level, 0);
	peer_send_oob(p, "?", 1);
	until_events(fd, POLLPRI);
	show_wait(edge, 1000);
}

CASE(epoll, urgent_data_inline)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	char c = 0;

	R(set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1));
	R(add(ep, fd, EPOLLPRI | EPOLLIN, 1));
	peer_send_oob(p, "!", 1);
	until_events(fd, POLLPRI);
	show_wait(ep, 1000);
	R(recv(fd, &c, 1, MSG_OOB));
	R(recv(fd, &c, 1, 0));
	show_wait(ep, 0);
}

CASE(epoll, interest_changed)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLOUT, 1));
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN, 2));
	show_wait(ep, 0);
	R(mod(ep, fd, 0, 3));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLOUT, 4));
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLRDNORM | EPOLLWRNORM | EPOLLRDBAND | EPOLLWRBAND | EPOLLMSG, 5));
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLWAKEUP, 0xfedcba9876543210));
	show_wait(ep, 0);
}

CASE(epoll, duplicates_fire_together)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), copy = fcntl(fd, F_DUPFD, 50);

	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	R(add(ep, copy, EPOLLIN | EPOLLONESHOT, 2));
	R(add(ep, copy, EPOLLIN, 3));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(ep, 1000);
	show_wait(ep, 0);
	R(mod(ep, copy, EPOLLIN | EPOLLONESHOT, 4));
	show_wait(ep, 0);
	R(close(fd));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	peer_send(p, "y", 1);
	until_queued(copy, 2);
	show_wait(ep, 0);
}

CASE(epoll, dup2_over_a_member)
{
	int p, q, fd = tcp_pair(&p), ep = epoll_create1(0), l = tcp_listener(PORT(1), 4), other;

	q = peer_connect(PORT(1));
	other = accept(l, NULL, NULL);
	R(add(ep, fd, EPOLLIN, 1));
	NEED(dup2(other, fd) == fd);
	peer_send(q, "x", 1);
	until_readable(fd);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN, 2));
	R(add(ep, fd, EPOLLIN, 3));
	show_wait(ep, 0);
	(void)p;
}

CASE(epoll, dup2_over_the_set)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), other = epoll_create1(0);
	struct epoll_event ev;

	R(add(ep, fd, EPOLLIN, 1));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	NEED(dup2(other, ep) == ep);
	show_wait(ep, 0);
	R(add(ep, fd, EPOLLIN, 2));
	show_wait(other, 0);
	NEED(dup2(fd, other) == other);
	R(epoll_wait(other, &ev, 1, 0));
	show_wait(ep, 0);
}

CASE(epoll, nested_edges)
{
	int p, fd = tcp_pair(&p), inner = epoll_create1(0), outer = epoll_create1(0);

	R(add(inner, fd, EPOLLIN, 1));
	R(add(outer, inner, EPOLLIN | EPOLLET, 2));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(outer, 1000);
	show_wait(outer, 0);
	show_wait(inner, 0);
	peer_send(p, "y", 1);
	until_queued(fd, 2);
	show_wait(outer, 1000);
	R(recv(fd, &(char[4]){0}, 4, 0));
	show_wait(inner, 0);
	show_wait(outer, 0);
}

CASE(epoll, nested_deep_and_loops)
{
	int p, fd = tcp_pair(&p), ep[8];
	struct epoll_event ev = {.events = EPOLLIN};

	for (int i = 0; i < 8; i++)
		ep[i] = epoll_create1(0);
	R(add(ep[0], fd, EPOLLIN, 0));
	for (int i = 1; i < 8; i++) {
		int r = add(ep[i], ep[i - 1], EPOLLIN, i);

		say("depth %d: %s", i, r ? errno_name(errno) : "ok");
	}
	R(epoll_ctl(ep[0], EPOLL_CTL_ADD, ep[1], &ev));
	R(epoll_ctl(ep[0], EPOLL_CTL_ADD, ep[0], &ev));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(ep[3], 1000);
	show_wait(ep[1], 0);
}

CASE(epoll, nested_set_closed)
{
	int p, fd = tcp_pair(&p), inner = epoll_create1(0), outer = epoll_create1(0);

	R(add(inner, fd, EPOLLIN, 1));
	R(add(outer, inner, EPOLLIN, 2));
	R(add(outer, fd, EPOLLIN, 3));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(outer, 1000);
	R(close(inner));
	show_wait(outer, 0);
	R(close(fd));
	show_wait(outer, 0);
}

CASE(epoll, nested_before_first_socket)
{
	int inner = epoll_create1(0), outer = epoll_create1(0), ev = eventfd(0, 0), p, fd;

	R(add(inner, ev, EPOLLIN, 1));
	R(add(outer, inner, EPOLLIN, 2));
	show_wait(outer, 0);
	fd = tcp_pair(&p);
	R(add(inner, fd, EPOLLIN, 3));
	peer_begin_send(p, "x", 1);
	show_wait(outer, 5000);
	peer_end();
	show_wait(inner, 0);
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(outer, 0);
	R(write(ev, &(uint64_t){1}, 8));
	show_wait(outer, 1000);
	show_wait(inner, 0);
}

CASE(epoll, readiness_of_the_set_itself)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct pollfd pf = {.fd = ep, .events = POLLIN | POLLOUT};
	fd_set rd;

	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	R(poll(&pf, 1, 1000));
	say("%s", events_text(pf.revents));
	FD_ZERO(&rd);
	FD_SET(ep, &rd);
	R(select(ep + 1, &rd, NULL, NULL, &(struct timeval){1, 0}));
	show_wait(ep, 0);
	R(poll(&pf, 1, 0));
	FD_ZERO(&rd);
	FD_SET(ep, &rd);
	R(select(ep + 1, &rd, NULL, NULL, &(struct timeval){0, 0}));
}

CASE(epoll, many_members_few_places)
{
	int fds[40], ep = epoll_create1(0), u = peer_udp(PORT(1)), seen[40] = {0}, total = 0, twice = 0;
	struct epoll_event ev[7];

	for (int i = 0; i < 40; i++) {
		fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
		NEED(bind_to(fds[i], OWN_ADDR, 20000 + PORT(0) % 1000 * 40 + i) == 0);
		NEED(add(ep, fds[i], EPOLLIN | EPOLLET, i) == 0);
		peer_sendto(u, 20000 + PORT(0) % 1000 * 40 + i, "x", 1);
		until_readable(fds[i]);
	}
	for (int n; (n = epoll_wait(ep, ev, 7, 50)) > 0; total += n)
		for (int i = 0; i < n; i++)
			twice += seen[ev[i].data.u64]++;
	say("%d events, %d twice", total, twice);
}

CASE(epoll, kernel_and_stack_in_turn)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), ev = eventfd(1, 0), seen[2] = {0};
	struct epoll_event e;

	R(add(ep, fd, EPOLLIN, 0));
	R(add(ep, ev, EPOLLIN, 1));
	peer_send(p, "x", 1);
	until_readable(fd);
	/* One place, two that are always ready: neither starves. */
	for (int i = 0; i < 1000; i++) {
		NEED(epoll_wait(ep, &e, 1, 1000) == 1);
		seen[e.data.u64]++;
	}
	say("%d %d", seen[0] > 0, seen[1] > 0);
}

CASE(epoll, wildcard_listener_both_sides)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0), own, a, b;

	R(add(ep, l, EPOLLIN, 1));
	R(bind_to(l, "0.0.0.0", PORT(0)));
	R(listen(l, 8));
	show_wait(ep, 0);
	peer_connect(PORT(0));
	until_readable(l);
	show_wait(ep, 1000);
	a = RFD(accept(l, NULL, NULL));
	show_wait(ep, 0);
	own = socket(AF_INET, SOCK_STREAM, 0);
	R(connect_to(own, OWN_ADDR, PORT(0)));
	show_wait(ep, 1000);
	b = RFD(accept(l, NULL, NULL));
	R(add(ep, a, EPOLLOUT | EPOLLET, 2));
	R(add(ep, b, EPOLLOUT | EPOLLET, 3));
	show_wait(ep, 1000);
	show_wait(ep, 0);
}

CASE(epoll, connecting_socket)
{
	int ep = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
	    l = peer_listen(PORT(0)), p;

	R(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLONESHOT, 1));
	show_wait(ep, 0);
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	R(mod(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 2));
	until_events(fd, POLLOUT);
	show_wait(ep, 1000);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	p = peer_accept(l);
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(ep, 1000);
}

CASE(epoll, bad_calls_on_members)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), copy = dup(fd);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP};

	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, NULL));
	R(add(ep, fd, EPOLLIN, 1));
	R(epoll_ctl(ep, EPOLL_CTL_MOD, fd, NULL));
	R(mod(ep, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	R(mod(ep, copy, EPOLLIN, 1));
	R(add(ep, copy, EPOLLIN, 2));
	R(epoll_ctl(copy, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(-1, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, -1, &ev));
	R(epoll_ctl(ep, 0, fd, &ev));
	R(close(ep));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	R(epoll_wait(ep, &ev, 1, 0));
}
