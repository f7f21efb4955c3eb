/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_signal.c - signals and time-outs: SIGPIPE, EINTR with and without SA_RESTART, SO_RCVTIMEO/SO_SNDTIMEO
 *
 * A signal that must find the call already blocked comes from an interval timer that fires until it does.
 */
#include <sys/time.h>

#include "diff.h"

static volatile sig_atomic_t hits;
static int answer_slot = -1;

static void count_hit(int sig)
{
	(void)sig;
	hits++;
	/* With SA_RESTART the call goes on; a few interrupts later the peer ends it with data. */
	if (answer_slot >= 0 && hits == 5)
		peer_begin_send(answer_slot, "x", 1);
}

static void ticks(bool on)
{
	struct itimerval t = {{0, on ? 10000 : 0}, {0, on ? 10000 : 0}};

	setitimer(ITIMER_REAL, &t, NULL);
}

static void ticking(int flags)
{
	struct sigaction sa = {.sa_handler = count_hit, .sa_flags = flags};

	sigaction(SIGALRM, &sa, NULL);
	ticks(true);
}

CASE(signal, sigpipe_kills)
{
	int p, fd = tcp_pair(&p), status;
	pid_t pid = fork();

	if (pid == 0) {
		shutdown(fd, SHUT_WR);
		write(fd, "x", 1);
		_exit(7);
	}
	waitpid(pid, &status, 0);
	say("signaled %d by SIGPIPE %d", WIFSIGNALED(status), WTERMSIG(status) == SIGPIPE);
}

CASE(signal, sigpipe_each_call)
{
	struct sigaction sa = {.sa_handler = count_hit};
	int p, fd = tcp_pair(&p);
	struct iovec v = {(char *)"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	sigaction(SIGPIPE, &sa, NULL);
	shutdown(fd, SHUT_WR);
	R(write(fd, "x", 1));
	say("hits %d", hits);
	R(send(fd, "x", 1, 0));
	say("hits %d", hits);
	R(writev(fd, &v, 1));
	say("hits %d", hits);
	R(sendmsg(fd, &m, 0));
	say("hits %d", hits);
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	say("hits %d", hits);
	R(send(fd, "", 0, 0));
	say("hits %d", hits);
}

CASE(signal, recv_eintr)
{
	int p, fd = tcp_pair(&p);
	char c;

	ticking(0);
	R(recv(fd, &c, 1, 0));
	R(read(fd, &c, 1));
}

CASE(signal, recv_restarts)
{
	int p, fd = tcp_pair(&p);
	char c;

	answer_slot = p;
	ticking(SA_RESTART);
	R(recv(fd, &c, 1, 0));
	ticks(false);
	say("interrupted %d", hits >= 5);
}

CASE(signal, recv_with_timeout_does_not_restart)
{
	int p, fd = tcp_pair(&p);
	struct timeval tv = {5, 0};
	char c;

	R(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	ticking(SA_RESTART);
	R(recv(fd, &c, 1, 0));
}

CASE(signal, accept_eintr)
{
	int l = tcp_listener(PORT(0), 1);

	ticking(0);
	R(accept(l, NULL, NULL));
}

CASE(signal, send_eintr)
{
	int p, fd = tcp_pair(&p);
	static char buf[1 << 16];
	ssize_t n;

	set_nonblock(fd);
	while (send(fd, buf, sizeof(buf), 0) > 0 ||
	       (errno == EAGAIN && poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 300)))
		;
	fcntl(fd, F_SETFL, 0);
	ticking(0);
	n = send(fd, buf, sizeof(buf), 0);
	/* How much fits is the buffers' affair: some bytes, or none and EINTR, but never for ever. */
	say("ended %d", n > 0 || errno == EINTR);
	ticks(false);
	(void)p;
}

CASE(signal, poll_eintr_despite_restart)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN};

	ticking(SA_RESTART);
	R(poll(&pf, 1, 5000));
}

CASE(signal, epoll_eintr_despite_restart)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	ticking(SA_RESTART);
	R(epoll_wait(ep, &ev, 1, 5000));
}

CASE(signal, select_eintr)
{
	int p, fd = tcp_pair(&p);
	struct timeval tv = {5, 0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	ticking(SA_RESTART);
	R(select(fd + 1, &in, NULL, NULL, &tv));
}

CASE(signal, ppoll_mask_lets_pending_signal_in)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	struct sigaction sa = {.sa_handler = count_hit};
	struct timespec ts = {5, 0};
	sigset_t blocked, none;

	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	say("hits %d", hits);
	R(ppoll(&pf, 1, &ts, &none));
	say("hits %d", hits);
	raise(SIGUSR1);
	peer_send(p, "x", 1);
	until_readable(fd);
	R(ppoll(&pf, 1, &ts, NULL));
	say("hits %d", hits);
}

CASE(signal, epoll_pwait_mask)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	struct sigaction sa = {.sa_handler = count_hit};
	sigset_t blocked, none;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	R(epoll_wait(ep, &ev, 1, 0));
	say("hits %d", hits);
	R(epoll_pwait(ep, &ev, 1, 5000, &none));
	say("hits %d", hits);
}

CASE(signal, handler_sends)
{
	int p, fd = tcp_pair(&p);
	char c;

	/* A handler that uses the control socket while recv() sleeps, see count_hit(). */
	answer_slot = p;
	ticking(SA_RESTART);
	R(recv(fd, &c, 1, MSG_WAITALL));
	ticks(false);
	R(send(fd, "y", 1, 0));
	peer_end();
	say("peer got %s", peer_recv(p, 1));
}

static int handler_fd;

static void send_in_handler(int sig)
{
	(void)sig;
	send(handler_fd, "h", 1, MSG_DONTWAIT);
}

CASE(signal, handler_sends_on_the_socket)
{
	struct sigaction sa = {.sa_handler = send_in_handler, .sa_flags = SA_RESTART};
	int p, fd = tcp_pair(&p);
	char buf[4];

	handler_fd = fd;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	say("peer got %s", peer_recv(p, 1));
	peer_begin_send(p, "z", 1);
	R(recv(fd, buf, 1, 0));
	peer_end();
}

CASE(timeout, recv)
{
	int p, fd = tcp_pair(&p);
	struct timeval tv = {0, 30000};
	char buf[4];

	R(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	R(recv(fd, buf, 4, 0));
	peer_send(p, "ab", 2);
	until_queued(fd, 2);
	R(recv(fd, buf, 4, MSG_WAITALL));
	R(recv(fd, buf, 4, MSG_WAITALL));
}

CASE(timeout, accept)
{
	int l = tcp_listener(PORT(0), 1);
	struct timeval tv = {0, 30000};

	R(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	R(accept(l, NULL, NULL));
}

CASE(timeout, send)
{
	int p, fd = tcp_pair(&p);
	struct timeval tv = {0, 30000};
	static char buf[16 << 20];
	ssize_t n;

	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	n = send(fd, buf, sizeof(buf), 0);
	say("partial %d", n > 0 && n < (ssize_t)sizeof(buf));
	while ((n = send(fd, buf, sizeof(buf), 0)) > 0)
		;
	R(n);
	(void)p;
}

CASE(timeout, poll_select_epoll)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	struct timeval tv = {0, 20000};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	R(poll(&pf, 1, 20));
	say("%s", events_text(pf.revents));
	R(select(fd + 1, &in, NULL, NULL, &tv));
	say("set %d, left %ld.%06ld", FD_ISSET(fd, &in) != 0, tv.tv_sec, tv.tv_usec);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	R(epoll_wait(ep, &ev, 1, 20));
	R(epoll_wait(ep, &ev, 1, 0));
}
