/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_close.c - every way a connection ends, as both sides see it
 */
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

#include "diff.h"

CASE(close, peer_sees_eof)
{
	int p, fd = tcp_pair(&p);

	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(close, data_then_eof)
{
	int p, fd = tcp_pair(&p);

	R(send(fd, "last words", 10, 0));
	R(close(fd));
	peer_recv_pattern(p, 0, 0);
	peer_say_recv(p, 100);
}

CASE(close, with_unread_data_resets)
{
	int p, fd = tcp_pair(&p);

	peer_send(p, "never read", 10);
	until_readable(fd);
	R(close(fd));
	peer_until_events(p, POLLIN | POLLRDHUP);
	peer_say_recv(p, 1);
}

CASE(close, partly_read_resets)
{
	int p, fd = tcp_pair(&p);

	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	R(recv(fd, &(char){0}, 1, 0));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(close, linger_zero_resets)
{
	int p, fd = tcp_pair(&p);
	struct linger l = {1, 0};

	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(close, linger_zero_throws_unsent_away)
{
	int p, fd = tcp_pair(&p);
	struct linger l = {1, 0};

	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	R(send(fd, "x", 1, 0));
	until_unsent(fd, 0);
	R(close(fd));
	peer_until_events(p, POLLRDHUP | POLLHUP);
	peer_say_recv(p, 1);
}

CASE(close, linger_waits_for_delivery)
{
	int p, fd = tcp_pair(&p);
	struct linger l = {1, 5}, got = {9, 9};
	socklen_t len = sizeof(got);

	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	R(getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len));
	say("linger %d %d", got.l_onoff, got.l_linger);
	R(send(fd, "delivered", 9, 0));
	R(close(fd));
	peer_say_recv(p, 20);
}

CASE(close, write_after_peer_closed)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	signal(SIGPIPE, SIG_IGN);
	peer_close(p);
	until_rdhup(fd);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, &(char){0}, 1, 0));
	/* The first write is answered by a reset, which the second one meets. */
	R(write(fd, "a", 1));
	until_events(fd, POLLERR);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(write(fd, "b", 1));
	R(recv(fd, &(char){0}, 1, 0));
	OPT(fd, SOL_SOCKET, SO_ERROR);
}

CASE(close, so_error_after_reset_by_write)
{
	int p, fd = tcp_pair(&p);

	signal(SIGPIPE, SIG_IGN);
	peer_close(p);
	until_rdhup(fd);
	R(write(fd, "a", 1));
	until_events(fd, POLLERR);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	R(recv(fd, &(char){0}, 1, 0));
	R(write(fd, "b", 1));
}

CASE(close, reset_by_peer)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	peer_rst(p);
	until_events(fd, POLLHUP);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, &(char){0}, 1, 0));
	R(recv(fd, &(char){0}, 1, 0));
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	show_names("reset", fd);
	R(shutdown(fd, SHUT_RDWR));
}

CASE(close, reset_by_peer_with_data_queued)
{
	int p, fd = tcp_pair(&p);
	char buf[8];

	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	peer_rst(p);
	until_events(fd, POLLHUP);
	R(recv(fd, buf, 8, 0));
	R(recv(fd, buf, 8, 0));
}

CASE(close, reset_wakes_blocked_recv)
{
	int p, fd = tcp_pair(&p);
	struct peer_request rq = {.op = PEER_RST, .slot = p};

	peer_begin(&rq, 0);
	R(recv(fd, &(char){0}, 1, 0));
	peer_end();
}

CASE(close, eof_wakes_blocked_recv)
{
	int p, fd = tcp_pair(&p);
	struct peer_request rq = {.op = PEER_CLOSE, .slot = p};

	peer_begin(&rq, 0);
	R(recv(fd, &(char){0}, 1, 0));
	peer_end();
}

CASE(shutdown, wr)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	R(shutdown(fd, SHUT_WR));
	peer_say_recv(p, 1);
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	peer_send(p, "still", 5);
	until_queued(fd, 5);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(shutdown(fd, SHUT_WR));
	peer_close(p);
	until_events(fd, POLLHUP);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, &(char[8]){0}, 8, 0));
}

CASE(shutdown, rd)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	R(shutdown(fd, SHUT_RD));
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(send(fd, "out", 3, 0));
	say("peer got %s", peer_recv(p, 3));
	peer_send(p, "in", 2);
	until_queued(fd, 2);
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(recv(fd, &(char[8]){0}, 8, 0));
}

CASE(shutdown, rdwr)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	R(shutdown(fd, SHUT_RDWR));
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	peer_say_recv(p, 1);
	peer_close(p);
	R(poll(&pf, 1, 5000));
	say("%s", events_text(pf.revents));
}

CASE(shutdown, after_peer_closed)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	peer_close(p);
	until_rdhup(fd);
	R(shutdown(fd, SHUT_WR));
	until_events(fd, POLLHUP);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(shutdown(fd, SHUT_WR));
}

CASE(shutdown, bad_how)
{
	int p, fd = tcp_pair(&p);

	R(shutdown(fd, 3));
	R(shutdown(fd, -1));
	R(shutdown(-1, SHUT_RD));
	R(shutdown(STDOUT_FILENO, SHUT_RD));
}

CASE(shutdown, pending_data_is_delivered)
{
	int p, fd = tcp_pair(&p);

	peer_begin_recv_pattern(p, SIZE_MAX, 21);
	send_pattern(fd, 1 << 20, 21);
	R(shutdown(fd, SHUT_WR));
	peer_end_recv_pattern();
	peer_send(p, "ok", 2);
	R(recv(fd, &(char[8]){0}, 2, MSG_WAITALL));
}

CASE(exit, unsent_data_is_delivered)
{
	int p, fd = tcp_pair(&p);

	R(set_int(fd, SOL_SOCKET, SO_SNDBUF, 1 << 20));
	peer_drain_after_exit(p, 22);
	send_pattern(fd, 3 << 20, 22);
	/* The descriptor is not closed: exit() has to do it, and nothing that was taken may get lost. */
}

/* More than the peer's window: most of it is still here when the program ends. */
CASE(exit, much_unsent_data_is_delivered)
{
	int p, fd = tcp_pair(&p);
	static char buf[180000];

	NEED(set_int(fd, SOL_SOCKET, SO_SNDBUF, 4 << 20) == 0);
	set_nonblock(fd);
	pattern(buf, sizeof(buf), 27, 0);
	R(send(fd, buf, sizeof(buf), 0));
	peer_drain_after_exit(p, 27);
}

/* Who looked after the device for everybody is dead, and nobody had the time to notice. */
CASE(exit, driver_was_killed_just_now)
{
	int p, fd = tcp_pair(&p);
	static char buf[180000];
	pid_t pid;

	NEED(set_int(fd, SOL_SOCKET, SO_SNDBUF, 4 << 20) == 0);
	set_nonblock(fd);
	pattern(buf, sizeof(buf), 28, 0);
	pid = fork();
	if (pid == 0) {
		struct pollfd pf = {.fd = fd, .events = POLLIN};

		poll(&pf, 1, -1);
		_exit(0);
	}
	usleep(200000); /* long enough for our helper to rely on the child */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	R(send(fd, buf, sizeof(buf), 0));
	peer_drain_after_exit(p, 28);
}

static void *blocks_in_recv(void *arg)
{
	recv(*(int *)arg, &(char){0}, 1, 0);
	return NULL;
}

CASE(exit, while_a_thread_is_in_recv)
{
	int p, fd = tcp_pair(&p);
	pthread_t t;

	NEED(pthread_create(&t, NULL, blocks_in_recv, &fd) == 0);
	usleep(100000);
	peer_drain_after_exit(p, 0);
}

CASE(exit, quick_exit_delivers_too)
{
	int p, fd = tcp_pair(&p);

	peer_drain_after_exit(p, 23);
	send_pattern(fd, 3 << 20, 23);
	say("end");
	_exit(0);
}

CASE(exit, close_then_exit)
{
	int p, fd = tcp_pair(&p);

	peer_drain_after_exit(p, 24);
	send_pattern(fd, 1 << 20, 24);
	close(fd);
	say("end");
	_exit(0);
}

CASE(exit, unread_data_resets)
{
	int p, fd = tcp_pair(&p);

	peer_send(p, "x", 1);
	until_readable(fd);
	peer_drain_after_exit(p, 0);
}
