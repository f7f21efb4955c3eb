/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_poll.c - poll, ppoll, select, pselect: event sets, mixed descriptors, waking
 */
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <sys/mman.h>

#include "diff.h"

#define ALL_POLL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM)

static void show_poll(const char *what, int fd)
{
	struct pollfd p = {.fd = fd, .events = ALL_POLL};
	int n = poll(&p, 1, 0);

	say("%s: %d %s", what, n, events_text(p.revents));
}

CASE(poll, life_of_a_connection)
{
	int l, p, fd = socket(AF_INET, SOCK_STREAM, 0);

	show_poll("fresh", fd);
	bind_to(fd, OWN_ADDR, PORT(1));
	show_poll("bound", fd);
	close(fd);
	l = tcp_listener(PORT(0), 4);
	show_poll("listening", l);
	p = peer_connect(PORT(0));
	until_readable(l);
	show_poll("connection waits", l);
	fd = accept(l, NULL, NULL);
	show_poll("accepted listener", l);
	show_poll("established", fd);
	peer_send(p, "abc", 3);
	until_readable(fd);
	show_poll("data", fd);
	recv(fd, &(char[3]){0}, 3, 0);
	show_poll("read", fd);
	peer_shutdown(p, SHUT_WR);
	until_rdhup(fd);
	show_poll("peer finished", fd);
	shutdown(fd, SHUT_WR);
	until_events(fd, POLLHUP);
	show_poll("both finished", fd);
}

CASE(poll, requested_events_only)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = 0};

	peer_send(p, "x", 1);
	until_readable(fd);
	R(poll(&pf, 1, 0));
	pf.events = POLLOUT;
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	peer_rst(p);
	until_events(fd, POLLHUP);
	pf.events = 0;
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
}

CASE(poll, negative_and_closed_descriptors)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf[3] = {{.fd = -1, .events = POLLIN, .revents = 77},
			       {.fd = 12345, .events = POLLIN},
			       {.fd = fd, .events = POLLOUT}};

	R(poll(pf, 3, 1000));
	say("%d %s %s", pf[0].revents, events_text(pf[1].revents), events_text(pf[2].revents));
	close(fd);
	R(poll(pf, 3, 1000));
	say("%s", events_text(pf[2].revents));
	R(poll(NULL, 0, 1));
}

CASE(poll, same_descriptor_twice)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf[2] = {{.fd = fd, .events = POLLIN}, {.fd = fd, .events = POLLOUT}};

	R(poll(pf, 2, 1000));
	say("%s %s", events_text(pf[0].revents), events_text(pf[1].revents));
	peer_send(p, "x", 1);
	until_readable(fd);
	R(poll(pf, 2, 1000));
	say("%s %s", events_text(pf[0].revents), events_text(pf[1].revents));
}

CASE(poll, mixed_with_kernel_descriptors)
{
	int p, fd = tcp_pair(&p), ev = eventfd(0, 0), pipes[2];
	struct pollfd pf[3];
	uint64_t one = 1;

	NEED(pipe(pipes) == 0);
	pf[0] = (struct pollfd){fd, POLLIN, 0};
	pf[1] = (struct pollfd){ev, POLLIN, 0};
	pf[2] = (struct pollfd){pipes[0], POLLIN, 0};
	R(poll(pf, 3, 0));
	R(write(ev, &one, 8));
	R(poll(pf, 3, 5000));
	say("%s %s %s", events_text(pf[0].revents), events_text(pf[1].revents), events_text(pf[2].revents));
	peer_send(p, "x", 1);
	until_readable(fd);
	R(write(pipes[1], "y", 1));
	R(poll(pf, 3, 5000));
	say("%s %s %s", events_text(pf[0].revents), events_text(pf[1].revents), events_text(pf[2].revents));
	close(pipes[1]);
	R(recv(fd, &(char){0}, 1, 0));
	R(poll(pf, 3, 5000));
	say("%s %s %s", events_text(pf[0].revents), events_text(pf[1].revents), events_text(pf[2].revents));
}

CASE(poll, sleeping_poll_woken_by_network)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLRDHUP};
	struct peer_request shut = {.op = PEER_SHUTDOWN, .slot = p, .a = SHUT_WR};

	for (int i = 0; i < 3; i++) {
		peer_begin_send(p, "x", 1);
		R(poll(&pf, 1, -1));
		say("%s", events_text(pf.revents));
		R(recv(fd, &(char){0}, 1, 0));
		peer_end();
	}
	peer_begin(&shut, 0);
	R(poll(&pf, 1, -1));
	say("%s", events_text(pf.revents));
	peer_end();
}

CASE(poll, sleeping_poll_woken_by_kernel_descriptor)
{
	int p, fd = tcp_pair(&p), t = timerfd_create(CLOCK_MONOTONIC, 0);
	struct pollfd pf[2] = {{fd, POLLIN, 0}, {t, POLLIN, 0}};
	struct itimerspec soon = {.it_value = {0, 20000000}};

	timerfd_settime(t, 0, &soon, NULL);
	R(poll(pf, 2, -1));
	say("%s %s", events_text(pf[0].revents), events_text(pf[1].revents));
}

CASE(poll, sleeping_poll_for_room)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLOUT};
	static char buf[65536];

	set_nonblock(fd);
	/* Until not only the send buffer is full but nothing moves any more. */
	do
		while (send(fd, buf, sizeof(buf), 0) > 0)
			;
	while (poll(&pf, 1, 300) > 0);
	R(poll(&pf, 1, 0));
	peer_begin_recv_pattern(p, 16 << 20, 0);
	R(poll(&pf, 1, -1));
	say("%s", events_text(pf.revents));
	shutdown(fd, SHUT_WR);
}

CASE(poll, many_descriptors)
{
	struct pollfd pf[64];
	int l = tcp_listener(PORT(0), 64), slots[64];

	for (int i = 0; i < 64; i++) {
		slots[i] = peer_connect(PORT(0));
		pf[i] = (struct pollfd){accept(l, NULL, NULL), POLLIN, 0};
		NEED(pf[i].fd >= 0);
	}
	for (int i = 0; i < 64; i += 9) {
		peer_send(slots[i], "x", 1);
		until_readable(pf[i].fd);
	}
	R(poll(pf, 64, 1000));
	for (int i = 0; i < 64; i++)
		if (pf[i].revents)
			say("%d: %s", i, events_text(pf[i].revents));
}

CASE(poll, ppoll_and_pselect)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	struct timespec ts = {0, 1000000}, bad = {0, 2000000000};
	fd_set in;

	R(ppoll(&pf, 1, &ts, NULL));
	R(ppoll(&pf, 1, &bad, NULL));
	FD_ZERO(&in);
	FD_SET(fd, &in);
	R(pselect(fd + 1, &in, NULL, NULL, &ts, NULL));
	FD_SET(fd, &in);
	R(pselect(fd + 1, &in, NULL, NULL, &bad, NULL));
	peer_send(p, "x", 1);
	FD_SET(fd, &in);
	R(pselect(fd + 1, &in, NULL, NULL, NULL, NULL));
	R(ppoll(&pf, 1, NULL, NULL));
	say("%s", events_text(pf.revents));
}

static void show_select(int fd, int ev)
{
	struct timeval zero = {0, 0};
	fd_set in, out, ex;
	int n;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = ex = in;
	FD_SET(ev, &in);
	n = select((fd > ev ? fd : ev) + 1, &in, &out, &ex, &zero);
	say("select: %d, socket %d%d%d, eventfd %d", n, !!FD_ISSET(fd, &in), !!FD_ISSET(fd, &out),
	    !!FD_ISSET(fd, &ex), !!FD_ISSET(ev, &in));
}

CASE(select, sets)
{
	int p, fd = tcp_pair(&p), ev = eventfd(1, 0);

	show_select(fd, ev);
	peer_send(p, "x", 1);
	until_readable(fd);
	show_select(fd, ev);
	peer_send_oob(p, "!", 1);
	until_events(fd, POLLPRI);
	show_select(fd, ev);
	peer_rst(p);
	until_events(fd, POLLHUP);
	show_select(fd, ev);
}

CASE(select, refusals)
{
	int p, fd = tcp_pair(&p);
	struct timeval zero = {0, 0}, negative = {-1, 0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	R(select(-1, &in, NULL, NULL, &zero));
	R(select(fd + 1, &in, NULL, NULL, &negative));
	FD_SET(1000, &in);
	R(select(1001, &in, NULL, NULL, &zero));
	FD_ZERO(&in);
	R(select(0, NULL, NULL, NULL, &zero));
}

CASE(select, listener_and_connection)
{
	int l = tcp_listener(PORT(0), 4);
	fd_set in;

	peer_begin_connect(PORT(0));
	FD_ZERO(&in);
	FD_SET(l, &in);
	R(select(l + 1, &in, NULL, NULL, NULL));
	say("%d", !!FD_ISSET(l, &in));
	peer_end_connect();
}

CASE(select, descriptors_are_small)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), l, c;

	say("below 64: %d", a < 64);
	l = tcp_listener(PORT(0), 4);
	peer_connect(PORT(0));
	c = accept(l, NULL, NULL);
	say("below 64: %d %d", l < 64, c < 64);
}

/* select(getdtablesize(), …) with sets of FD_SETSIZE bits, which end where memory ends. */
CASE(select, n_beyond_the_set)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *mem = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd_set *set = (fd_set *)(mem + page - sizeof(fd_set));
	struct timeval none = {0};
	int p, fd = tcp_pair(&p);

	NEED(mem != MAP_FAILED && !mprotect(mem + page, page, PROT_NONE));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	FD_ZERO(set);
	FD_SET(fd, set);
	R(select(100000, set, NULL, NULL, &none));
	say("%d", FD_ISSET(fd, set));
	FD_ZERO(set);
	FD_SET(0, set);
	R(select(100000, NULL, NULL, set, &none));
}

/* Sets of the program's own, for a descriptor beyond FD_SETSIZE. */
CASE(select, descriptor_beyond_fd_setsize)
{
	unsigned long set[3000 / (8 * sizeof(unsigned long)) + 1] = {0};
	int p, fd = tcp_pair(&p), high = dup2(fd, 1500), bits = 8 * (int)sizeof(set[0]);

	say("%d", high);
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	set[high / bits] |= 1UL << high % bits;
	R(select(3000, (fd_set *)set, NULL, NULL, NULL));
	say("%d", !!(set[high / bits] & 1UL << high % bits));
	set[0] = 1UL << fd;
	R(select(high + 1, (fd_set *)set, NULL, NULL, NULL));
}
