/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_epoll_waits.c - epoll: timeouts, signal masks, several threads and processes at one set
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "epoll_case.h"

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};

	NEED(sigaction(sig, &sa, NULL) == 0);
}

static sigset_t only(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	if (sig)
		sigaddset(&set, sig);
	return set;
}

static long ms_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began->tv_sec) * 1000 + (now.tv_nsec - began->tv_nsec) / 1000000;
}

CASE(epoll, timeouts)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev;
	struct timespec began, ts = {0, 30000000}, bad = {0, 1000000000}, negative = {-1, 0};

	R(add(ep, fd, EPOLLIN, 1));
	clock_gettime(CLOCK_MONOTONIC, &began);
	R(epoll_wait(ep, &ev, 1, 30));
	say("waited %d", ms_since(&began) >= 29);
	clock_gettime(CLOCK_MONOTONIC, &began);
	R(epoll_pwait2(ep, &ev, 1, &ts, NULL));
	say("waited %d", ms_since(&began) >= 29);
	R(epoll_pwait2(ep, &ev, 1, &bad, NULL));
	R(epoll_pwait2(ep, &ev, 1, &negative, NULL));
	R(epoll_pwait2(ep, &ev, 1, &(struct timespec){0, 0}, NULL));
	/* Any negative number is for ever. */
	peer_begin_send(p, "x", 1);
	R(epoll_wait(ep, &ev, 1, -7));
	peer_end();
	R(epoll_wait(ep, NULL, 1, 0));
	R(epoll_wait(ep, &ev, 1 << 30, 0));
}

CASE(epoll, pwait_lets_a_signal_in)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	sigset_t blocked = only(SIGUSR1), none = only(0);
	struct epoll_event ev;

	handle(SIGUSR1, SA_RESTART);
	NEED(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
	R(add(ep, fd, EPOLLIN, 1));
	kill(getpid(), SIGUSR1);
	R(epoll_wait(ep, &ev, 1, 20));
	say("handled %d", (int)handled);
	R(epoll_pwait(ep, &ev, 1, 5000, &none));
	say("handled %d", (int)handled);
	kill(getpid(), SIGUSR1);
	R(epoll_pwait2(ep, &ev, 1, NULL, &none));
	say("handled %d", (int)handled);
	R(epoll_pwait(ep, &ev, 1, 10, &none));
	(void)p;
}

CASE(epoll, pwait_keeps_a_signal_out)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	sigset_t blocked = only(SIGUSR1), now;
	struct epoll_event ev;

	handle(SIGUSR1, 0);
	R(add(ep, fd, EPOLLIN, 1));
	if (fork() == 0) {
		usleep(10000);
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	R(epoll_pwait(ep, &ev, 1, 100, &blocked));
	say("handled %d", (int)handled);
	sigprocmask(SIG_BLOCK, NULL, &now);
	say("blocked afterwards %d", sigismember(&now, SIGUSR1));
	wait(NULL);
	(void)p;
}

CASE(epoll, interrupted_whatever_sa_restart)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct itimerval soon = {.it_value = {0, 20000}};
	struct epoll_event ev;

	R(add(ep, fd, EPOLLIN, 1));
	handle(SIGALRM, SA_RESTART);
	setitimer(ITIMER_REAL, &soon, NULL);
	R(epoll_wait(ep, &ev, 1, 5000));
	handle(SIGALRM, 0);
	setitimer(ITIMER_REAL, &soon, NULL);
	R(epoll_wait(ep, &ev, 1, -1));
	signal(SIGALRM, SIG_IGN);
	setitimer(ITIMER_REAL, &soon, NULL);
	R(epoll_wait(ep, &ev, 1, 60));
	(void)p;
}

struct waiter {
	pthread_t thread;
	int ep, timeout_ms, n;
	uint32_t events;
	_Atomic pid_t tid;
};

static void *wait_in_thread(void *arg)
{
	struct waiter *w = arg;
	struct epoll_event ev = {0};

	w->tid = (pid_t)syscall(SYS_gettid);
	w->n = epoll_wait(w->ep, &ev, 1, w->timeout_ms);
	w->events = ev.events;
	return NULL;
}

/* Until the thread sleeps in the kernel, which is where waits end that find nothing to do. */
static bool asleep(pid_t tid)
{
	char path[64], line[512] = "", *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (!f)
		return false;
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	return at && at[2] == 'S';
}

static void begin_wait(struct waiter *w, int ep, int timeout_ms)
{
	*w = (struct waiter){.ep = ep, .timeout_ms = timeout_ms};
	NEED(pthread_create(&w->thread, NULL, wait_in_thread, w) == 0);
	while (!w->tid && again())
		;
	for (int seen = 0; seen < 5; seen += asleep(w->tid))
		again();
}

static void end_wait(struct waiter *w, int *total)
{
	pthread_join(w->thread, NULL);
	*total += w->n;
}

CASE(epoll, threads_edge_wakes_one)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), total = 0;
	struct waiter w[3];

	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	for (int i = 0; i < 3; i++)
		begin_wait(&w[i], ep, 300);
	peer_send(p, "x", 1);
	for (int i = 0; i < 3; i++)
		end_wait(&w[i], &total);
	say("%d", total);
}

CASE(epoll, threads_oneshot_wakes_one)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), total = 0;
	struct waiter w[3];

	R(add(ep, fd, EPOLLIN | EPOLLONESHOT, 1));
	for (int i = 0; i < 3; i++)
		begin_wait(&w[i], ep, 300);
	peer_send(p, "x", 1);
	peer_send(p, "y", 1);
	for (int i = 0; i < 3; i++)
		end_wait(&w[i], &total);
	say("%d", total);
}

CASE(epoll, threads_two_events_two_threads)
{
	int p, q, fd = tcp_pair(&p), ep = epoll_create1(0), l = tcp_listener(PORT(1), 4), other, total = 0;
	struct waiter w[2];

	q = peer_connect(PORT(1));
	other = accept(l, NULL, NULL);
	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	R(add(ep, other, EPOLLIN | EPOLLET, 2));
	for (int i = 0; i < 2; i++)
		begin_wait(&w[i], ep, 5000);
	peer_send(p, "x", 1);
	peer_send(q, "y", 1);
	for (int i = 0; i < 2; i++)
		end_wait(&w[i], &total);
	say("%d", total);
}

CASE(epoll, threads_exclusive_sets)
{
	int l = tcp_listener(PORT(0), 8), ep[3], total = 0;
	struct waiter w[3];

	set_nonblock(l);
	for (int i = 0; i < 3; i++) {
		ep[i] = epoll_create1(0);
		R(add(ep[i], l, EPOLLIN | EPOLLEXCLUSIVE, i));
		begin_wait(&w[i], ep[i], 300);
	}
	peer_connect(PORT(0));
	for (int i = 0; i < 3; i++)
		end_wait(&w[i], &total);
	say("%d", total);
}

CASE(epoll, threads_shared_set_not_exclusive)
{
	int l = tcp_listener(PORT(0), 8), ep[3], total = 0;
	struct waiter w[3];

	for (int i = 0; i < 3; i++) {
		ep[i] = epoll_create1(0);
		R(add(ep[i], l, EPOLLIN | EPOLLET, i));
		begin_wait(&w[i], ep[i], 5000);
	}
	peer_connect(PORT(0));
	for (int i = 0; i < 3; i++)
		end_wait(&w[i], &total);
	say("%d", total);
}

CASE(epoll, threads_added_while_waiting)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), total = 0;
	struct waiter w;

	peer_send(p, "x", 1);
	until_readable(fd);
	begin_wait(&w, ep, 5000);
	R(add(ep, fd, EPOLLIN, 1));
	end_wait(&w, &total);
	say("%d %s", total, events_text(w.events));
}

CASE(epoll, threads_changed_while_waiting)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), total = 0;
	struct waiter w;

	R(add(ep, fd, EPOLLIN, 1));
	begin_wait(&w, ep, 5000);
	R(mod(ep, fd, EPOLLOUT, 2));
	end_wait(&w, &total);
	say("%d %s", total, events_text(w.events));
	(void)p;
}

CASE(epoll, threads_closed_while_waiting)
{
	int p, q, fd = tcp_pair(&p), ep = epoll_create1(0), l = tcp_listener(PORT(1), 4), other, total = 0;
	struct waiter w;

	q = peer_connect(PORT(1));
	other = accept(l, NULL, NULL);
	R(add(ep, fd, EPOLLIN | EPOLLRDHUP, 1));
	R(add(ep, other, EPOLLIN, 2));
	begin_wait(&w, ep, 5000);
	R(close(fd));
	peer_send(q, "x", 1);
	end_wait(&w, &total);
	say("%d %s", total, events_text(w.events));
	show_wait(ep, 0);
	(void)p;
}

CASE(epoll, threads_shut_while_waiting)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), total = 0;
	struct waiter w;

	R(add(ep, fd, EPOLLIN | EPOLLRDHUP, 1));
	begin_wait(&w, ep, 5000);
	R(shutdown(fd, SHUT_RDWR));
	end_wait(&w, &total);
	say("%d", total);
	show_wait(ep, 0);
	(void)p;
}

CASE(epoll, forked_child_adds)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), status;
	pid_t pid = fork();

	if (pid == 0) {
		R(add(ep, fd, EPOLLIN, 7));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	peer_send(p, "x", 1);
	show_wait(ep, 5000);
	R(add(ep, fd, EPOLLIN, 8));
	R(mod(ep, fd, EPOLLIN | EPOLLET, 9));
	show_wait(ep, 1000);
	show_wait(ep, 0);
}

CASE(epoll, forked_parent_closes_child_has_it)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0), stop[2];
	pid_t pid;

	NEED(pipe(stop) == 0);
	R(add(ep, fd, EPOLLIN, 1));
	pid = fork();
	if (pid == 0) {
		close(stop[1]);
		_exit(read(stop[0], &(char){0}, 1) != 0);
	}
	/* The description lives in the child, so the registration does too. */
	R(close(fd));
	peer_send(p, "x", 1);
	show_wait(ep, 5000);
	show_wait(ep, 0);
	close(stop[1]);
	waitpid(pid, NULL, 0);
	show_wait(ep, 0);
}

CASE(epoll, forked_child_closes)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	pid_t pid;

	R(add(ep, fd, EPOLLIN, 1));
	pid = fork();
	if (pid == 0) {
		R(close(fd));
		R(close(ep));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	peer_send(p, "x", 1);
	show_wait(ep, 5000);
	R(mod(ep, fd, EPOLLIN, 2));
	show_wait(ep, 0);
}

CASE(epoll, forked_edge_once_for_all)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	pid_t pid;

	R(add(ep, fd, EPOLLIN | EPOLLET, 1));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	pid = fork();
	if (pid == 0) {
		show_wait(ep, 1000);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	show_wait(ep, 0);
}

CASE(epoll, forked_prefork_exclusive)
{
	int l = tcp_listener(PORT(0), 8), served = 0, status;

	set_nonblock(l);
	/* Each connection is taken by exactly one of the workers. */
	for (int i = 0; i < 3; i++) {
		if (fork() == 0) {
			int ep = epoll_create1(0), n = 0;
			struct epoll_event ev;

			add(ep, l, EPOLLIN | EPOLLEXCLUSIVE, 1);
			while (epoll_wait(ep, &ev, 1, 500) > 0)
				while (accept(l, NULL, NULL) >= 0)
					n++;
			_exit(n);
		}
	}
	for (int i = 0; i < 6; i++)
		NEED(peer_connect(PORT(0)) >= 0);
	for (int i = 0; i < 3; i++) {
		wait(&status);
		served += WEXITSTATUS(status);
	}
	say("%d", served);
}
