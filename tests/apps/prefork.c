/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefork.c - a server of N worker processes on one listener, for tests that kill and stop workers
 *
 *     prefork ADDRESS PORT WORKERS
 *
 * Each worker tells a new connection its process id, in eight characters, and echoes what it receives from
 * then on. The parent replaces workers that ended, until SIGTERM ends all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX 64

struct conn {
	int fd; /* -1: the listener */
	size_t begin, end;
	char buf[65536];
};

static pid_t workers[WORKERS_MAX];
static volatile sig_atomic_t ending;

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static void watch(int ep, int op, int fd, struct conn *c, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	if (epoll_ctl(ep, op, fd, &ev) < 0)
		die("epoll_ctl");
}

static void accept_all(int ep, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));
		char pid[16];

		snprintf(pid, sizeof(pid), "%08d", (int)getpid());
		if (!c || write(fd, pid, 8) != 8) {
			free(c);
			close(fd);
			continue;
		}
		c->fd = fd;
		watch(ep, EPOLL_CTL_ADD, fd, c, EPOLLIN);
	}
}

/* Returns false when the connection is over. */
static bool echo(int ep, struct conn *c)
{
	ssize_t n;

	if (c->begin == c->end) {
		n = read(c->fd, c->buf, sizeof(c->buf));
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		c->begin = 0;
		c->end = (size_t)n;
	}
	n = write(c->fd, c->buf + c->begin, c->end - c->begin);
	if (n < 0 && errno != EAGAIN)
		return false;
	c->begin += n > 0 ? (size_t)n : 0;
	watch(ep, EPOLL_CTL_MOD, c->fd, c, c->begin == c->end ? EPOLLIN : EPOLLOUT);
	return true;
}

static void work(int listener)
{
	static struct conn for_listener = {.fd = -1};
	struct epoll_event ev[64];
	int ep = epoll_create1(EPOLL_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	watch(ep, EPOLL_CTL_ADD, listener, &for_listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(ep, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (c->fd < 0) {
				accept_all(ep, listener);
			} else if (!echo(ep, c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}

static void start_worker(unsigned i, int listener)
{
	workers[i] = fork();
	if (workers[i] < 0)
		die("fork");
	if (workers[i] == 0)
		work(listener);
}

static void on_term(int sig)
{
	(void)sig;
	ending = 1;
}

int main(int argc, char **argv)
{
	struct sigaction term = {.sa_handler = on_term};
	struct sockaddr_in at = {.sin_family = AF_INET};
	unsigned n;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1)
		return 2;
	at.sin_port = htons((uint16_t)atoi(argv[2]));
	n = (unsigned)atoi(argv[3]) % (WORKERS_MAX + 1);
	sigaction(SIGTERM, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 128) < 0)
		die("listen");
	for (unsigned i = 0; i < n; i++)
		start_worker(i, listener);
	while (!ending) {
		pid_t ended = waitpid(-1, NULL, 0);

		for (unsigned i = 0; i < n && ended > 0; i++)
			if (workers[i] == ended && !ending)
				start_worker(i, listener);
	}
	for (unsigned i = 0; i < n; i++) {
		kill(workers[i], SIGKILL);
		waitpid(workers[i], NULL, 0);
	}
	return 0;
}
