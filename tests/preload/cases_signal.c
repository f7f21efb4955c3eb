/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_signal.c - signals and time-outs: SIGPIPE, EINTR with and without SA_RESTART, SO_RCVTIMEO/SO_SNDTIMEO
 *
 * A signal that must find the call already blocked comes from an interval timer that fires until it does.
 */
#include <setjmp.h>
#include <sys/syscall.h>
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

/* ---- handlers that call into sockets while the thread is in one, or never come back ---- */

static int echo_fd;
static volatile sig_atomic_t rounds;

static void handler_uses_sockets(int sig)
{
	struct pollfd pf = {.fd = echo_fd, .events = POLLOUT};
	int copy;

	(void)sig;
	rounds++;
	send(echo_fd, "", 0, MSG_DONTWAIT);
	poll(&pf, 1, 0);
	copy = dup(echo_fd);
	close(copy);
	copy = socket(AF_INET, SOCK_STREAM, 0);
	bind_to(copy, OWN_ADDR, PORT(1));
	close(copy);
}

static bool one_time; /* the handler asks for the next alarm */

static void alarm_in_200_us(bool again)
{
	struct itimerval t = {{0, again ? 200 : 0}, {0, 200}};

	setitimer(ITIMER_REAL, &t, NULL);
}

/* Every call of the program is interrupted somewhere, most of them inside. */
static void handlers_run_anywhere(void)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	char buf[100];

	echo_fd = fd;
	alarm_in_200_us(!one_time);
	while (rounds < 1000) {
		struct pollfd pf = {.fd = fd, .events = POLLOUT};

		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		send(fd, "", 0, 0);
		poll(&pf, 1, 0);
		epoll_wait(ep, &ev, 1, 0);
		epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
		close(dup(fd));
	}
	signal(SIGALRM, SIG_IGN);
	ticks(false);
	R(send(fd, "done", 4, 0));
	say("peer got %s", peer_recv(p, 4));
}

CASE(signal, handler_anywhere)
{
	struct sigaction sa = {.sa_handler = handler_uses_sockets, .sa_flags = SA_RESTART};

	sigaction(SIGALRM, &sa, NULL);
	handlers_run_anywhere();
}

/* A handler for one time (System V's signal) sets itself again. An alarm before that could kill, on Linux
 * too. */
static void handler_of_one_time(int sig)
{
	struct sigaction sa, now;

	sigaction(sig, NULL, &now);
	if (now.sa_handler != SIG_DFL)
		abort();
	handler_uses_sockets(sig);
	sa = (struct sigaction){.sa_handler = handler_of_one_time,
				.sa_flags = (int)SA_RESETHAND | SA_RESTART};
	sigaction(sig, &sa, NULL);
	alarm_in_200_us(false);
}

CASE(signal, handler_of_one_time_anywhere)
{
	struct sigaction sa = {.sa_handler = handler_of_one_time, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

	one_time = true;
	sigaction(SIGALRM, &sa, NULL);
	handlers_run_anywhere();
}

/* As programs with a runtime of their own set them: what libc's call has registered, registered by hand. */
CASE(signal, handler_set_by_system_call_anywhere)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} k = {0}, old = {0};
	struct sigaction sa = {.sa_handler = count_hit, .sa_flags = SA_RESTART};

	R(sigaction(SIGALRM, &sa, NULL));
	R(syscall(SYS_rt_sigaction, SIGALRM, NULL, &k, 8));
	say("was ours %d restarts %d mask %lx", k.handler == count_hit, (k.flags & SA_RESTART) != 0,
	    (unsigned long)k.mask);
	k.handler = handler_uses_sockets;
	k.mask = 1 << (SIGUSR1 - 1);
	R(syscall(SYS_rt_sigaction, SIGALRM, &k, &old, 8));
	say("was ours %d", old.handler == count_hit);
	R(sigaction(SIGALRM, NULL, &sa));
	say("is ours %d masks %d", sa.sa_handler == handler_uses_sockets, sigismember(&sa.sa_mask, SIGUSR1));
	R(syscall(SYS_rt_sigaction, SIGALRM, NULL, &old, 4));
	R(syscall(SYS_rt_sigaction, 0, NULL, &old, 8));
	R(syscall(SYS_rt_sigaction, 65, NULL, &old, 8));
	handlers_run_anywhere();
}

static sigjmp_buf out;

static void jump_out(int sig)
{
	siglongjmp(out, sig);
}

static void left_by_a_jump(int flags)
{
	struct sigaction sa = {.sa_handler = jump_out, .sa_flags = flags};
	int p, fd = tcp_pair(&p);

	sigaction(SIGALRM, &sa, NULL);
	if (sigsetjmp(out, 1) == 0) {
		ualarm(20000, 0);
		recv(fd, &(char){0}, 1, 0);
	}
	say("back");
	peer_send(p, "x", 1);
	R(recv(fd, &(char){0}, 1, 0));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(signal, jump_out_of_recv)
{
	left_by_a_jump(0);
}

CASE(signal, jump_out_of_restarting_recv)
{
	left_by_a_jump(SA_RESTART);
}

CASE(signal, jump_out_of_poll_and_epoll)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd pf = {.fd = fd, .events = POLLIN};

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	signal(SIGALRM, jump_out);
	if (sigsetjmp(out, 1) == 0) {
		ualarm(20000, 0);
		poll(&pf, 1, -1);
	}
	say("back from poll");
	if (sigsetjmp(out, 1) == 0) {
		ualarm(20000, 0);
		epoll_wait(ep, &ev, 1, -1);
	}
	say("back from epoll_wait");
	R(close(fd));
	peer_say_recv(p, 1);
}

static void jump_busy(int sig)
{
	(void)sig;
	rounds++;
	siglongjmp(out, 1);
}

/* Jumps from wherever the call is; what it held must not stay held. */
CASE(signal, jump_from_anywhere)
{
	struct sigaction sa = {.sa_handler = jump_busy};
	struct itimerval t = {{0, 200}, {0, 200}};
	int p, fd = tcp_pair(&p);
	char buf[100];

	sigaction(SIGALRM, &sa, NULL);
	if (sigsetjmp(out, 1) == 0)
		setitimer(ITIMER_REAL, &t, NULL); /* not earlier: there would be nowhere to jump to */
	while (rounds < 1000) {
		recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		send(fd, "", 0, 0);
	}
	ticks(false);
	R(send(fd, "done", 4, 0));
	say("peer got %s", peer_recv(p, 4));
}

static void no_restart(int sig)
{
	(void)sig;
}

/* What counts is the flag of the signal that came, not those of others. */
CASE(signal, restart_is_per_signal)
{
	struct sigaction other = {.sa_handler = no_restart};
	int p, fd = tcp_pair(&p);
	char c;

	sigaction(SIGUSR1, &other, NULL);
	answer_slot = p;
	ticking(SA_RESTART);
	R(recv(fd, &c, 1, 0));
	ticks(false);
	peer_end();
	other.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &other, NULL);
	answer_slot = -1;
	ticking(0);
	R(recv(fd, &c, 1, 0));
}

static void close_in_handler(int sig)
{
	(void)sig;
	close(handler_fd);
}

CASE(signal, closed_by_the_handler_then_restarted)
{
	struct sigaction sa = {.sa_handler = close_in_handler, .sa_flags = SA_RESTART};
	int p, fd = tcp_pair(&p);

	handler_fd = fd;
	sigaction(SIGALRM, &sa, NULL);
	ticks(true);
	R(recv(fd, &(char){0}, 1, 0));
	ticks(false);
	peer_say_recv(p, 1);
}

static int info_code, info_value;

static void with_info(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	info_code = info->si_code;
	info_value = info->si_value.sival_int;
}

CASE(signal, what_was_set_is_given_back)
{
	struct sigaction sa = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
	sighandler_t before;

	sigaddset(&sa.sa_mask, SIGHUP);
	R(sigaction(SIGUSR1, &sa, NULL));
	R(sigaction(SIGUSR1, NULL, &old));
	say("same %d flags %x mask %d %d", old.sa_sigaction == with_info, old.sa_flags & ~0x04000000,
	    sigismember(&old.sa_mask, SIGHUP), sigismember(&old.sa_mask, SIGINT));
	R(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 42}));
	say("code is queue %d value %d", info_code == SI_QUEUE, info_value);
	before = signal(SIGUSR2, count_hit);
	say("was default %d", before == SIG_DFL);
	before = signal(SIGUSR2, SIG_IGN);
	say("was ours %d", before == count_hit);
	before = signal(SIGUSR2, SIG_DFL);
	say("was ignored %d", before == SIG_IGN);
	sa = (struct sigaction){.sa_handler = count_hit, .sa_flags = (int)SA_RESETHAND};
	R(sigaction(SIGUSR2, &sa, NULL));
	raise(SIGUSR2);
	R(sigaction(SIGUSR2, NULL, &old));
	say("hits %d, default again %d", hits, old.sa_handler == SIG_DFL);
	R(sigaction(SIGUSR2, &sa, NULL));
	R(sigaction(SIGUSR2, NULL, &old));
	say("ours %d flags %x", old.sa_handler == count_hit, old.sa_flags & ~0x04000000);
	R(sigaction(SIGKILL, &sa, NULL));
	R(sigaction(0, &sa, NULL));
	R(sigaction(65, NULL, &old));
	say("%d", signal(SIGKILL, count_hit) == SIG_ERR);
	before = signal(SIGALRM, count_hit);
	R(sigaction(SIGALRM, NULL, &old));
	say("restarts %d", (old.sa_flags & SA_RESTART) != 0);
}
