/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_epoll.c - epoll: level and edge triggered, oneshot, exclusive, nested, mixed, closed, duplicated,
 * forked
 */
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "epoll_case.h"

CASE(epoll, refusals)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};

	R(epoll_create(0));
	R(epoll_create(-1));
	R(epoll_create1(77));
	R(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(ep, 77, fd, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, 12345, &ev));
	R(epoll_ctl(12345, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(fd, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	R(epoll_wait(ep, &ev, 0, 0));
	R(epoll_wait(ep, &ev, -1, 0));
	R(epoll_wait(fd, &ev, 1, 0));
	R(epoll_wait(12345, &ev, 1, 0));
	R(epoll_wait(ep, (void *)8, 1, 0));
}

CASE(epoll, level_triggered)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN, 1));
	show_wait(ep, 0);
	peer_send(p, "ab", 2);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	until_queued(fd, 2);
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(ep, 0);
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLOUT, 2));
	show_wait(ep, 0);
	peer_close(p);
	until_rdhup(fd);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLRDHUP, 3));
	show_wait(ep, 0);
	R(shutdown(fd, SHUT_WR));
	until_events(fd, POLLHUP);
	R(mod(ep, fd, 0, 4));
	show_wait(ep, 0);
}

CASE(epoll, edge_triggered_once)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	show_wait(ep, 0);
	peer_send(p, "ab", 2);
	until_queued(fd, 2);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(ep, 0);
	/* New data is a new edge although the old was not read. */
	peer_send(p, "c", 1);
	until_queued(fd, 2);
	show_wait(ep, 5000);
	show_wait(ep, 0);
}

CASE(epoll, edge_triggered_out)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
	show_wait(ep, 5000);
	show_wait(ep, 0);
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(ep, 0);
}

CASE(epoll, edge_triggered_mod_rearms)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLET, 2));
	show_wait(ep, 0);
	show_wait(ep, 0);
}

CASE(epoll, edge_triggered_close_of_peer)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, 1));
	peer_close(p);
	until_rdhup(fd);
	show_wait(ep, 5000);
	show_wait(ep, 0);
}

CASE(epoll, edge_triggered_reset)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1));
	show_wait(ep, 0);
	peer_rst(p);
	until_events(fd, POLLHUP);
	show_wait(ep, 5000);
	show_wait(ep, 0);
}

CASE(epoll, edge_triggered_room_again)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	static char buf[65536];
	struct epoll_event ev;

	set_nonblock(fd);
	do
		while (send(fd, buf, sizeof(buf), 0) > 0)
			;
	while (poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 300) > 0);
	R(add(ep, fd, EPOLLOUT | EPOLLET, 1));
	show_wait(ep, 0);
	peer_begin_recv_pattern(p, 16 << 20, 0);
	R(epoll_wait(ep, &ev, 1, 5000));
	say("%s", events_text(ev.events));
	shutdown(fd, SHUT_WR);
}

CASE(epoll, edge_triggered_listener)
{
	int l = tcp_listener(PORT(0), 8), ep = epoll_create1(0);

	R(add(ep, l, EPOLLIN | EPOLLET, 1));
	show_wait(ep, 0);
	peer_connect(PORT(0));
	until_readable(l);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	peer_connect(PORT(0));
	show_wait(ep, 5000);
	show_wait(ep, 0);
	RFD(accept(l, NULL, NULL));
	RFD(accept(l, NULL, NULL));
}

CASE(epoll, oneshot)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLONESHOT, 1));
	peer_send(p, "x", 1);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	peer_send(p, "y", 1);
	until_queued(fd, 2);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN | EPOLLONESHOT, 2));
	show_wait(ep, 0);
	show_wait(ep, 0);
	peer_rst(p);
	until_events(fd, POLLHUP);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLONESHOT, 3));
	show_wait(ep, 0);
	show_wait(ep, 0);
}

CASE(epoll, exclusive)
{
	int l = tcp_listener(PORT(0), 8), ep = epoll_create1(0);

	R(add(ep, l, EPOLLIN | EPOLLEXCLUSIVE, 1));
	R(mod(ep, l, EPOLLIN, 1));
	R(add(ep, epoll_create1(0), EPOLLIN | EPOLLEXCLUSIVE, 2));
	R(add(ep, tcp_listener(PORT(1), 1), EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 3));
	peer_connect(PORT(0));
	show_wait(ep, 5000);
}

CASE(epoll, fresh_and_bound_sockets)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 1));
	show_wait(ep, 0);
	R(bind_to(fd, OWN_ADDR, PORT(0)));
	show_wait(ep, 0);
	R(listen(fd, 4));
	show_wait(ep, 0);
	peer_begin_connect(PORT(0));
	show_wait(ep, 5000);
	peer_end_connect();
}

CASE(epoll, added_before_connect)
{
	int l = peer_listen(PORT(0)), ep = epoll_create1(0),
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	R(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
	show_wait(ep, 0);
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	show_wait(ep, 5000);
	show_wait(ep, 0);
	peer_send(peer_accept(l), "x", 1);
	until_queued(fd, 1);
	show_wait(ep, 5000);
}

CASE(epoll, added_before_refused_connect)
{
	int ep = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	R(connect_to(fd, PEER_ADDR, PORT(0)));
	R(add(ep, fd, EPOLLIN | EPOLLOUT, 1));
	show_wait(ep, 5000);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	show_wait(ep, 0);
}

CASE(epoll, close_removes)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLOUT, 1));
	show_wait(ep, 0);
	R(close(fd));
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLIN, 1));
}

CASE(epoll, close_of_one_duplicate_keeps)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), copy = dup(fd);

	R(add(ep, fd, EPOLLIN, 1));
	R(add(ep, copy, EPOLLIN, 2));
	R(close(fd));
	peer_send(p, "x", 1);
	until_readable(copy);
	/* The description is still open, so the first registration goes on reporting, as epoll(7) warns. */
	show_wait(ep, 0);
	R(close(copy));
	show_wait(ep, 0);
}

CASE(epoll, number_reused)
{
	int p, q, fd = tcp_pair(&p), ep = epoll_create1(0), l, other;

	R(add(ep, fd, EPOLLIN, 1));
	l = tcp_listener(PORT(1), 4);
	R(close(fd));
	q = peer_connect(PORT(1));
	other = accept(l, NULL, NULL);
	say("number used again: %d", other == fd);
	R(add(ep, other, EPOLLIN, 2));
	peer_send(q, "x", 1);
	show_wait(ep, 5000);
}

CASE(epoll, in_two_sets)
{
	int p, fd = tcp_pair(&p), a = epoll_create1(0), b = epoll_create1(0);

	R(add(a, fd, EPOLLIN | EPOLLET, 1));
	R(add(b, fd, EPOLLIN, 2));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(a, 5000);
	show_wait(b, 0);
	show_wait(a, 0);
	show_wait(b, 0);
	R(epoll_ctl(a, EPOLL_CTL_DEL, fd, NULL));
	peer_send(p, "y", 1);
	until_queued(fd, 2);
	show_wait(a, 0);
	show_wait(b, 0);
}

CASE(epoll, nested)
{
	int p, fd = tcp_pair(&p), inner = epoll_create1(0), outer = epoll_create1(0);
	struct pollfd pf = {.fd = inner, .events = POLLIN};

	R(add(inner, fd, EPOLLIN, 1));
	R(add(outer, inner, EPOLLIN, 2));
	R(poll(&pf, 1, 0));
	show_wait(outer, 0);
	peer_begin_send(p, "x", 1);
	show_wait(outer, 5000);
	peer_end();
	show_wait(inner, 0);
	R(poll(&pf, 1, 0));
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(outer, 0);
	R(poll(&pf, 1, 0));
}

CASE(epoll, set_polled_while_asleep)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct pollfd pf = {.fd = ep, .events = POLLIN};

	R(add(ep, fd, EPOLLIN, 1));
	peer_begin_send(p, "x", 1);
	R(poll(&pf, 1, 5000));
	say("%s", events_text(pf.revents));
	peer_end();
	show_wait(ep, 0);
}

CASE(epoll, mixed_with_kernel_descriptors)
{
	int ep = epoll_create1(0), ev = eventfd(0, 0), t = timerfd_create(CLOCK_MONOTONIC, 0), pipes[2], p,
	    fd;
	struct itimerspec soon = {.it_value = {0, 10000000}};
	uint64_t value = 1;

	/* The set is older than the first socket and than Shunt's start. */
	NEED(pipe(pipes) == 0);
	R(add(ep, ev, EPOLLIN, 1));
	R(add(ep, t, EPOLLIN, 2));
	R(add(ep, pipes[0], EPOLLIN, 3));
	fd = tcp_pair(&p);
	R(add(ep, fd, EPOLLIN, 4));
	show_wait(ep, 0);
	R(write(ev, &value, 8));
	show_wait(ep, 5000);
	R(read(ev, &value, 8));
	timerfd_settime(t, 0, &soon, NULL);
	show_wait(ep, 5000);
	peer_send(p, "x", 1);
	until_readable(fd);
	show_wait(ep, 5000);
	R(read(t, &value, 8));
	R(recv(fd, &(char){0}, 1, 0));
	close(pipes[1]);
	show_wait(ep, 5000);
}

CASE(epoll, kernel_descriptors_wake_a_sleeper)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), t = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec soon = {.it_value = {0, 20000000}};

	R(add(ep, fd, EPOLLIN, 1));
	R(add(ep, t, EPOLLIN | EPOLLET, 2));
	timerfd_settime(t, 0, &soon, NULL);
	show_wait(ep, -1);
	show_wait(ep, 0);
}

CASE(epoll, created_before_first_socket)
{
	int ep = epoll_create(1), l, p, fd;

	show_wait(ep, 0);
	l = tcp_listener(PORT(0), 4);
	R(add(ep, l, EPOLLIN, 1));
	peer_begin_connect(PORT(0));
	show_wait(ep, 5000);
	p = peer_end_connect();
	fd = RFD(accept(l, NULL, NULL));
	R(add(ep, fd, EPOLLIN, 2));
	peer_begin_send(p, "x", 1);
	show_wait(ep, 5000);
	peer_end();
}

CASE(epoll, plain_files_refused)
{
	int ep = epoll_create1(0), file = open("/proc/self/exe", O_RDONLY), p, fd = tcp_pair(&p);

	R(add(ep, fd, EPOLLIN, 1));
	R(add(ep, file, EPOLLIN, 2));
}

/*
 * Until the set itself tells of n descriptors: what poll(2) sees already may be a moment away from the set,
 * since another thread may be just handing it over.
 */
static void until_ready(int ep, struct epoll_event *ev, int n)
{
	while (epoll_wait(ep, ev, n, 1000) != n)
		;
}

CASE(epoll, maxevents_rotates)
{
	int l = tcp_listener(PORT(0), 8), ep = epoll_create1(0), seen[4] = {0}, fds[4];
	struct epoll_event ev[4];

	for (int i = 0; i < 4; i++) {
		int p = peer_connect(PORT(0));

		fds[i] = accept(l, NULL, NULL);
		add(ep, fds[i], EPOLLIN, i);
		peer_send(p, "x", 1);
	}
	until_ready(ep, ev, 4);
	/* One at a time, every ready descriptor gets its turn. */
	for (int i = 0; i < 4; i++) {
		NEED(epoll_wait(ep, ev, 1, 1000) == 1);
		seen[ev[0].data.u64]++;
	}
	say("%d %d %d %d", seen[0], seen[1], seen[2], seen[3]);
}

CASE(epoll, order_of_arrival)
{
	int l = tcp_listener(PORT(0), 8), ep = epoll_create1(0), fds[3], slots[3], order[3] = {2, 0, 1};
	struct epoll_event ev[3];

	for (int i = 0; i < 3; i++) {
		slots[i] = peer_connect(PORT(0));
		fds[i] = accept(l, NULL, NULL);
		add(ep, fds[i], EPOLLIN, i);
	}
	for (int i = 0; i < 3; i++) {
		peer_send(slots[order[i]], "x", 1);
		until_readable(fds[order[i]]);
	}
	until_ready(ep, ev, 3);
	say("%d %d %d", (int)ev[0].data.u64, (int)ev[1].data.u64, (int)ev[2].data.u64);
}

CASE(epoll, after_fork)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), status;
	pid_t pid;

	R(add(ep, fd, EPOLLIN, 1));
	peer_send(p, "x", 1);
	until_readable(fd);
	pid = fork();
	if (pid == 0) {
		show_wait(ep, 5000);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	show_wait(ep, 0);
}

CASE(epoll, child_waits_parent_goes_on)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	pid_t pid;

	R(add(ep, fd, EPOLLIN, 1));
	pid = fork();
	if (pid == 0) {
		show_wait(ep, 5000);
		R(recv(fd, &(char){0}, 1, 0));
		_exit(0);
	}
	peer_send(p, "x", 1);
	waitpid(pid, NULL, 0);
	show_wait(ep, 0);
}

CASE(epoll, pwait2)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct timespec ts = {0, 2000000};
	struct epoll_event ev;

	R(add(ep, fd, EPOLLIN, 1));
	R(epoll_pwait2(ep, &ev, 1, &ts, NULL));
	peer_send(p, "x", 1);
	R(epoll_pwait2(ep, &ev, 1, NULL, NULL));
	say("%s", events_text(ev.events));
}

CASE(epoll, set_duplicated)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(EPOLL_CLOEXEC), copy = dup(ep);

	say("cloexec %d %d", fcntl(ep, F_GETFD), fcntl(copy, F_GETFD));
	R(add(ep, fd, EPOLLIN, 1));
	R(close(ep));
	peer_send(p, "x", 1);
	show_wait(copy, 5000);
	R(epoll_ctl(copy, EPOLL_CTL_DEL, fd, NULL));
	show_wait(copy, 0);
}

CASE(epoll, udp)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1)), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
	show_wait(ep, 0);
	peer_sendto(u, PORT(0), "a", 1);
	until_readable(fd);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	peer_sendto(u, PORT(0), "bc", 2);
	show_wait(ep, 5000);
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(recv(fd, &(char[8]){0}, 8, MSG_DONTWAIT));
	show_wait(ep, 0);
}
