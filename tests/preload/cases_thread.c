/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_thread.c - several threads on sockets: accept here, read there, waits side by side, close in between
 */
#include <pthread.h>
#include <sys/eventfd.h>

#include "diff.h"

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	NEED(pthread_create(&t, NULL, fn, arg) == 0);
	return t;
}

static void *echo_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4];

	if (recv(fd, buf, 4, MSG_WAITALL) == 4)
		send(fd, buf, 4, 0);
	close(fd);
	return NULL;
}

CASE(thread, accept_in_one_recv_in_others)
{
	int l = tcp_listener(PORT(0), 16), slots[8];
	pthread_t threads[8];

	for (int i = 0; i < 8; i++) {
		slots[i] = peer_connect(PORT(0));
		threads[i] = start(echo_one, (void *)(intptr_t)accept(l, NULL, NULL));
	}
	for (int i = 7; i >= 0; i--) {
		peer_send(slots[i], "ping", 4);
		say("%d: %s", i, peer_recv(slots[i], 4));
		peer_say_recv(slots[i], 1);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

static int shared_listener;

static void *accept_and_echo(void *arg)
{
	int fd = accept(shared_listener, NULL, NULL);

	(void)arg;
	echo_one((void *)(intptr_t)fd);
	return NULL;
}

CASE(thread, several_accept)
{
	pthread_t threads[4];

	shared_listener = tcp_listener(PORT(0), 16);
	for (int i = 0; i < 4; i++)
		threads[i] = start(accept_and_echo, NULL);
	for (int i = 0; i < 4; i++) {
		int p = peer_connect(PORT(0));

		peer_send(p, "ping", 4);
		say("%s", peer_recv(p, 4));
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

struct stream {
	int fd;
	uint32_t seed;
	size_t len;
};

static void *send_stream(void *arg)
{
	struct stream *s = arg;
	char buf[5000];

	for (size_t done = 0; done < s->len;) {
		size_t n = s->len - done < sizeof(buf) ? s->len - done : sizeof(buf);
		ssize_t r;

		pattern(buf, n, s->seed, done);
		r = send(s->fd, buf, n, 0);
		if (r <= 0)
			break;
		done += r;
	}
	return NULL;
}

CASE(thread, send_in_one_recv_in_other)
{
	int p, fd = tcp_pair(&p);
	struct stream s = {fd, 41, 2 << 20};
	pthread_t t;

	peer_begin_recv_pattern(p, s.len, 41);
	peer_begin_send_pattern(p, 1 << 20, 42);
	t = start(send_stream, &s);
	recv_pattern(fd, 1 << 20, 42);
	pthread_join(t, NULL);
	peer_end_recv_pattern();
	peer_end();
}

struct waiter {
	int ep;
	int woken;
};

static void *wait_once(void *arg)
{
	struct waiter *w = arg;
	struct epoll_event ev;

	w->woken = epoll_wait(w->ep, &ev, 1, 10000) == 1 ? (int)ev.data.u32 : -1;
	return NULL;
}

CASE(thread, own_epoll_set_each)
{
	int l = tcp_listener(PORT(0), 16), slots[4], fds[4];
	struct waiter w[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i + 1};

		slots[i] = peer_connect(PORT(0));
		fds[i] = accept(l, NULL, NULL);
		w[i].ep = epoll_create1(0);
		epoll_ctl(w[i].ep, EPOLL_CTL_ADD, fds[i], &ev);
		threads[i] = start(wait_once, &w[i]);
	}
	for (int i = 3; i >= 0; i--) {
		peer_send(slots[i], "x", 1);
		pthread_join(threads[i], NULL);
		say("%d woken %d", i, w[i].woken);
	}
}

CASE(thread, one_epoll_set_edge_wakes_one)
{
	int p, fd = tcp_pair(&p), stop = eventfd(0, 0), ep = epoll_create1(0), for_data = 0, for_stop = 0;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = 1};
	struct waiter w[4];
	pthread_t threads[4];
	uint64_t one = 1;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	for (int i = 0; i < 4; i++) {
		w[i] = (struct waiter){ep, 0};
		threads[i] = start(wait_once, &w[i]);
	}
	peer_send(p, "x", 1);
	until_readable(fd);
	ev = (struct epoll_event){.events = EPOLLIN, .data.u32 = 2};
	NEED(write(stop, &one, 8) == 8);
	epoll_ctl(ep, EPOLL_CTL_ADD, stop, &ev);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		for_data += w[i].woken == 1;
		for_stop += w[i].woken == 2;
	}
	say("data %d stop %d", for_data, for_stop);
}

static void *add_to_set(void *arg)
{
	int *fds = arg;
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 9};

	epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &ev);
	return NULL;
}

CASE(thread, add_wakes_waiter)
{
	int p, fd = tcp_pair(&p), fds[2] = {epoll_create1(0), fd};
	struct epoll_event ev;
	pthread_t t;

	peer_send(p, "x", 1);
	until_readable(fd);
	t = start(add_to_set, fds);
	R(epoll_wait(fds[0], &ev, 1, 10000));
	say("%u", ev.data.u32);
	pthread_join(t, NULL);
}

static void *shut_it(void *arg)
{
	int fd = (int)(intptr_t)arg;

	shutdown(fd, SHUT_RDWR);
	return NULL;
}

CASE(thread, shutdown_wakes_recv)
{
	int p, fd = tcp_pair(&p);
	pthread_t t = start(shut_it, (void *)(intptr_t)fd);

	R(recv(fd, &(char){0}, 1, 0));
	pthread_join(t, NULL);
}

CASE(thread, shutdown_wakes_accept)
{
	int l = tcp_listener(PORT(0), 1);
	pthread_t t = start(shut_it, (void *)(intptr_t)l);

	R(accept(l, NULL, NULL));
	pthread_join(t, NULL);
}

static void *blocked_recv(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char c;

	recv(fd, &c, 1, 0);
	return NULL;
}

CASE(thread, cancel_in_recv)
{
	int p, fd = tcp_pair(&p);
	pthread_t t = start(blocked_recv, (void *)(intptr_t)fd);
	void *result;

	R(pthread_cancel(t));
	R(pthread_join(t, &result));
	say("cancelled %d", result == PTHREAD_CANCELED);
	peer_send(p, "x", 1);
	R(recv(fd, &(char){0}, 1, 0));
	R(send(fd, "y", 1, 0));
	say("peer got %s", peer_recv(p, 1));
}

static void *connect_many(void *arg)
{
	intptr_t ok = 0;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		ok += connect_to(fd, PEER_ADDR, PORT(0)) == 0;
		close(fd);
	}
	return (void *)ok;
}

CASE(thread, many_connect_and_close)
{
	pthread_t threads[4];
	intptr_t all = 0;

	peer_listen_backlog(PORT(0), 128);
	for (int i = 0; i < 4; i++)
		threads[i] = start(connect_many, NULL);
	for (int i = 0; i < 4; i++) {
		void *ok;

		pthread_join(threads[i], &ok);
		all += (intptr_t)ok;
	}
	say("connected %ld", (long)all);
}

static void *bind_and_listen(void *arg)
{
	intptr_t k = (intptr_t)arg;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return (void *)(intptr_t)(bind_to(fd, OWN_ADDR, PORT((int)k)) == 0 && listen(fd, 4) == 0);
}

CASE(thread, first_sockets_at_once)
{
	pthread_t threads[8];
	intptr_t all = 0;

	/* Eight threads race for the start of the stack. */
	for (intptr_t i = 0; i < 8; i++)
		threads[i] = start(bind_and_listen, (void *)i);
	for (int i = 0; i < 8; i++) {
		void *ok;

		pthread_join(threads[i], &ok);
		all += (intptr_t)ok;
	}
	say("listening %ld", (long)all);
	for (int i = 0; i < 8; i++)
		say("%d", peer_connect(PORT(i)) >= 0);
}

static int cancel_ep = -1;

static void *blocked_epoll(void *arg)
{
	struct epoll_event ev;

	(void)arg;
	epoll_wait(cancel_ep, &ev, 1, -1);
	return NULL;
}

/* A thread that is cancelled in a wait leaves nothing behind: the connection ends with its last descriptor.
 */
static void cancel_then_close(void *(*fn)(void *))
{
	int p, fd = tcp_pair(&p);
	struct epoll_event ev = {.events = EPOLLIN};
	void *result;
	pthread_t t;

	cancel_ep = epoll_create1(0);
	epoll_ctl(cancel_ep, EPOLL_CTL_ADD, fd, &ev);
	t = start(fn, (void *)(intptr_t)fd);
	R(pthread_cancel(t));
	R(pthread_join(t, &result));
	say("cancelled %d", result == PTHREAD_CANCELED);
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(thread, cancel_in_epoll_wait)
{
	cancel_then_close(blocked_epoll);
}

CASE(thread, cancel_in_recv_then_close)
{
	cancel_then_close(blocked_recv);
}

static void *recv_here(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char b[4] = "";

	say("blocked recv = %zd %c", recv(fd, b, 1, 0), b[0]);
	return NULL;
}

/* close(2) does not end a call on the same description that is under way; the number is another one's by
 * then. */
CASE(thread, close_and_reuse_while_recv_blocks)
{
	int p, q, fd = tcp_pair(&p), other, old = fd;
	struct tcp_info info;
	pthread_t t = start(recv_here, (void *)(intptr_t)fd);
	socklen_t len = sizeof(info);

	/* Until the thread is in there nothing shows from outside: it blocks or has not begun. */
	usleep(50000);
	R(close(fd));
	other = tcp_pair_active(&q);
	say("same number %d", other == old);
	peer_send(p, "a", 1);
	pthread_join(t, NULL);
	peer_say_recv(p, 1);
	R(send(other, "b", 1, 0));
	say("other peer got %s", peer_recv(q, 1));
	R(getsockopt(other, IPPROTO_TCP, TCP_INFO, &info, &len));
}

CASE(thread, dup2_over_while_recv_blocks)
{
	int p, fd = tcp_pair(&p), null = open("/dev/null", O_RDWR);
	pthread_t t = start(recv_here, (void *)(intptr_t)fd);

	usleep(50000);
	R(dup2(null, fd) == fd);
	R(write(fd, "to null", 7));
	peer_send(p, "a", 1);
	pthread_join(t, NULL);
	peer_say_recv(p, 1);
}

static pthread_mutex_t program_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile bool stop_sending;

static void before_fork(void)
{
	pthread_mutex_lock(&program_lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&program_lock);
}

static void *send_under_lock(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (!stop_sending) {
		pthread_mutex_lock(&program_lock);
		send(fd, "x", 1, MSG_DONTWAIT);
		pthread_mutex_unlock(&program_lock);
	}
	return NULL;
}

/* The program's fork handlers take a lock that its other threads hold while they use sockets. */
CASE(thread, fork_handlers_take_the_programs_lock)
{
	int p, fd, ok = 0;
	pthread_t t;

	pthread_atfork(before_fork, after_fork, after_fork);
	fd = tcp_pair(&p);
	t = start(send_under_lock, (void *)(intptr_t)fd);
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		ok += pid > 0 && waitpid(pid, NULL, 0) == pid;
	}
	stop_sending = true;
	pthread_join(t, NULL);
	say("forked %d", ok);
}

static void *blocked_poll(void *arg)
{
	struct pollfd pf = {.fd = (int)(intptr_t)arg, .events = POLLIN};

	poll(&pf, 1, -1);
	return NULL;
}

static void *blocked_select(void *arg)
{
	int fd = (int)(intptr_t)arg;
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	select(fd + 1, &in, NULL, NULL, NULL);
	return NULL;
}

CASE(thread, cancel_in_poll)
{
	cancel_then_close(blocked_poll);
}

CASE(thread, cancel_in_select)
{
	cancel_then_close(blocked_select);
}
