/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_splice.c - splice, tee and copy_file_range(2) with sockets: to and from pipes, full, empty, ended,
 * refused
 */
#include <sys/mman.h>
#include <sys/time.h>

#include "diff.h"

static int pattern_file(size_t len, uint32_t seed)
{
	char *bytes = malloc(len);
	int fd = memfd_create("pattern", 0);

	NEED(fd >= 0);
	pattern(bytes, len, seed, 0);
	NEED(write(fd, bytes, len) == (ssize_t)len);
	NEED(lseek(fd, 0, SEEK_SET) == 0);
	free(bytes);
	return fd;
}

static void fill_pipe(int fd)
{
	static char buf[65536];

	NEED(write(fd, buf, sizeof(buf)) == sizeof(buf));
}

static volatile int sigpipes;

static void on_sigpipe(int sig)
{
	(void)sig;
	sigpipes++;
}

CASE(splice, file_to_pipe_to_socket)
{
	int p, fd = tcp_pair(&p), file = pattern_file(3000, 61), pipes[2];

	NEED(pipe(pipes) == 0);
	peer_begin_recv_pattern(p, 3000, 61);
	R(splice(file, NULL, pipes[1], NULL, 3000, 0));
	R(splice(pipes[0], NULL, fd, NULL, 3000, 0));
	peer_end_recv_pattern();
}

CASE(splice, socket_to_pipe)
{
	int p, fd = tcp_pair(&p), pipes[2];
	char buf[100] = "";

	NEED(pipe(pipes) == 0);
	peer_send(p, "spliced", 7);
	until_queued(fd, 7);
	R(splice(fd, NULL, pipes[1], NULL, 3, 0));
	R(splice(fd, NULL, pipes[1], NULL, 100, 0));
	R(read(pipes[0], buf, 100));
	say("%s", buf);
	set_nonblock(fd);
	R(splice(fd, NULL, pipes[1], NULL, 100, 0));
	peer_close(p);
	until_rdhup(fd);
	R(splice(fd, NULL, pipes[1], NULL, 100, 0));
	R(splice(fd, NULL, pipes[1], NULL, 100, 0));
}

CASE(splice, socket_to_pipe_waits_for_data)
{
	int p, fd = tcp_pair(&p), pipes[2];
	char buf[100] = "";

	NEED(pipe(pipes) == 0);
	peer_begin_send(p, "late", 4);
	/* About the pipe, not the socket. */
	R(splice(fd, NULL, pipes[1], NULL, 100, SPLICE_F_NONBLOCK));
	peer_end();
	R(read(pipes[0], buf, 100));
	say("%s", buf);
}

CASE(splice, socket_to_pipe_timeout)
{
	int p, fd = tcp_pair(&p), pipes[2];
	struct timeval tv = {0, 20000};

	NEED(pipe(pipes) == 0);
	R(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	R(splice(fd, NULL, pipes[1], NULL, 100, 0));
}

CASE(splice, through_and_back)
{
	int p, fd = tcp_pair(&p), pipes[2];
	size_t total = 0;

	NEED(pipe(pipes) == 0);
	/* 200 KB fit into the buffers of both ends, so that the peer need not read while it sends. */
	peer_send_pattern(p, 200000, 7);
	while (total < 200000) {
		ssize_t in = splice(fd, NULL, pipes[1], NULL, 1 << 20, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		NEED(in > 0);
		while (in > 0) {
			ssize_t out = splice(pipes[0], NULL, fd, NULL, in, SPLICE_F_MOVE | SPLICE_F_MORE);

			NEED(out > 0);
			in -= out;
			total += out;
		}
	}
	R(shutdown(fd, SHUT_WR));
	peer_recv_pattern(p, SIZE_MAX, 7);
	say("%zu", total);
}

CASE(splice, many_pieces_one_call)
{
	int p, fd = tcp_pair(&p), pipes[2];
	char *buf = malloc(65536);

	NEED(pipe(pipes) == 0);
	peer_send_pattern(p, 65536, 8);
	until_queued(fd, 65536);
	/* How much of it depends on the segments, but all of it comes by and by. */
	for (size_t got = 0; got < 65536;) {
		ssize_t n = splice(fd, NULL, pipes[1], NULL, 65536 - got, 0);

		NEED(n > 0);
		NEED(read(pipes[0], buf + got, n) == n);
		got += n;
	}
	say("intact %d", pattern_ok(buf, 65536, 8, 0));
	R(recv(fd, buf, 1, MSG_DONTWAIT));
}

CASE(splice, full_pipe)
{
	int p, fd = tcp_pair(&p), pipes[2];
	char buf[65536];

	NEED(pipe(pipes) == 0);
	fill_pipe(pipes[1]);
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	R(splice(fd, NULL, pipes[1], NULL, 10, SPLICE_F_NONBLOCK));
	NEED(fcntl(pipes[1], F_SETFL, O_NONBLOCK) == 0);
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
	R(read(pipes[0], buf, 4096));
	R(splice(fd, NULL, pipes[1], NULL, 10, SPLICE_F_NONBLOCK));
	R(splice(fd, NULL, pipes[1], NULL, 10, SPLICE_F_NONBLOCK));
	R(read(pipes[0], buf, sizeof(buf)));
	R(recv(fd, buf, 10, MSG_DONTWAIT));
}

CASE(splice, full_pipe_is_waited_for)
{
	int p, fd = tcp_pair(&p), pipes[2];
	char buf[4096];
	pid_t pid;

	NEED(pipe(pipes) == 0);
	fill_pipe(pipes[1]);
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	pid = fork();
	if (pid == 0) {
		usleep(20000);
		_exit(read(pipes[0], buf, 4096) != 4096);
	}
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
	waitpid(pid, NULL, 0);
}

CASE(splice, pipe_without_reader)
{
	int p, fd = tcp_pair(&p), pipes[2];
	char b[8];

	signal(SIGPIPE, on_sigpipe);
	NEED(pipe(pipes) == 0);
	close(pipes[0]);
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	R(splice(fd, NULL, pipes[1], NULL, 10, SPLICE_F_NONBLOCK));
	say("signals %d", sigpipes);
	R(recv(fd, b, 8, 0));
}

CASE(splice, empty_pipe)
{
	int p, fd = tcp_pair(&p), pipes[2];

	NEED(pipe(pipes) == 0);
	R(splice(pipes[0], NULL, fd, NULL, 10, SPLICE_F_NONBLOCK));
	NEED(fcntl(pipes[0], F_SETFL, O_NONBLOCK) == 0);
	R(splice(pipes[0], NULL, fd, NULL, 10, 0));
	NEED(write(pipes[1], "xy", 2) == 2);
	R(splice(pipes[0], NULL, fd, NULL, 10, 0));
	R(close(pipes[1]));
	R(splice(pipes[0], NULL, fd, NULL, 10, 0));
	say("%s", peer_recv(p, 2));
}

CASE(splice, empty_pipe_is_waited_for)
{
	int p, fd = tcp_pair(&p), pipes[2];
	pid_t pid;

	NEED(pipe(pipes) == 0);
	pid = fork();
	if (pid == 0) {
		usleep(20000);
		_exit(write(pipes[1], "hello", 5) != 5);
	}
	R(splice(pipes[0], NULL, fd, NULL, 100, 0));
	waitpid(pid, NULL, 0);
	say("%s", peer_recv(p, 5));
}

CASE(splice, to_closed_connection)
{
	int p, fd = tcp_pair(&p), pipes[2], left = 0;

	signal(SIGPIPE, on_sigpipe);
	NEED(pipe(pipes) == 0);
	peer_rst(p);
	until_events(fd, POLLHUP);
	R(splice(pipes[0], NULL, fd, NULL, 10, SPLICE_F_NONBLOCK));
	NEED(write(pipes[1], "abc", 3) == 3);
	R(splice(pipes[0], NULL, fd, NULL, 10, 0));
	R(splice(pipes[0], NULL, fd, NULL, 10, 0));
	R(ioctl(pipes[0], FIONREAD, &left));
	say("signals %d, left in the pipe %d", sigpipes, left);
}

CASE(splice, from_reset_connection)
{
	int p, fd = tcp_pair(&p), pipes[2];

	NEED(pipe(pipes) == 0);
	peer_rst(p);
	until_events(fd, POLLHUP);
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
}

CASE(splice, after_shutdown)
{
	int p, fd = tcp_pair(&p), pipes[2];

	signal(SIGPIPE, on_sigpipe);
	NEED(pipe(pipes) == 0);
	NEED(write(pipes[1], "abc", 3) == 3);
	R(shutdown(fd, SHUT_WR));
	R(splice(pipes[0], NULL, fd, NULL, 10, 0));
	R(shutdown(fd, SHUT_RD));
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
	say("signals %d", sigpipes);
	(void)p;
}

CASE(splice, full_socket)
{
	int p, fd = tcp_pair(&p), pipes[2];
	bool some = false;

	NEED(pipe(pipes) == 0);
	set_nonblock(fd);
	/* Nobody reads: pipe after pipe goes out until there is no room. */
	for (;;) {
		ssize_t n;

		NEED(write(pipes[1], (char[4096]){0}, 4096) == 4096);
		n = splice(pipes[0], NULL, fd, NULL, 4096, 0);
		if (n < 0)
			break;
		some = true;
		if (n < 4096)
			NEED(read(pipes[0], (char[4096]){0}, 4096 - n) == 4096 - n);
	}
	say("some %d, then %s", some, errno_name(errno));
	/* What was not sent is still in the pipe. */
	R(read(pipes[0], (char[8192]){0}, 8192));
	peer_rst(p);
}

CASE(splice, unconnected_and_listening)
{
	int l = tcp_listener(PORT(0), 4), s = socket(AF_INET, SOCK_STREAM, 0), pipes[2];

	signal(SIGPIPE, on_sigpipe);
	NEED(pipe(pipes) == 0);
	NEED(write(pipes[1], "abc", 3) == 3);
	R(bind_to(s, OWN_ADDR, PORT(1)));
	R(splice(s, NULL, pipes[1], NULL, 10, 0));
	R(splice(l, NULL, pipes[1], NULL, 10, 0));
	R(splice(pipes[0], NULL, s, NULL, 10, 0));
	R(splice(pipes[0], NULL, l, NULL, 10, 0));
	say("signals %d", sigpipes);
}

CASE(splice, udp)
{
	int fd = udp_bound(PORT(0)), u = peer_udp(PORT(1)), pipes[2];
	char buf[100] = "";

	NEED(pipe(pipes) == 0);
	peer_sendto(u, PORT(0), "datagram", 8);
	until_readable(fd);
	R(splice(fd, NULL, pipes[1], NULL, 5, 0));
	R(read(pipes[0], buf, sizeof(buf)));
	say("%s", buf);
	set_nonblock(fd);
	R(splice(fd, NULL, pipes[1], NULL, 5, 0));
	NEED(write(pipes[1], "answer", 6) == 6);
	R(splice(pipes[0], NULL, fd, NULL, 4, 0));
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(read(pipes[0], buf, sizeof(buf)));
	NEED(write(pipes[1], "answer", 6) == 6);
	R(splice(pipes[0], NULL, fd, NULL, 4, 0));
	R(splice(pipes[0], NULL, fd, NULL, 4, 0));
	peer_recvfrom(u);
	peer_recvfrom(u);
}

CASE(splice, refusals)
{
	int p, fd = tcp_pair(&p), file = pattern_file(100, 62), pipes[2];
	off_t off = 0;

	NEED(pipe(pipes) == 0);
	R(splice(file, NULL, fd, NULL, 10, 0));
	R(splice(fd, &off, file, NULL, 10, 0));
	R(splice(fd, NULL, fd, NULL, 10, 0));
	R(splice(fd, NULL, pipes[1], NULL, 0, 77777));
	R(splice(fd, NULL, pipes[1], NULL, 10, 77777));
	R(splice(fd, NULL, pipes[0], NULL, 10, 0));
	R(splice(pipes[1], NULL, fd, NULL, 10, 0));
	R(splice(fd, &off, pipes[1], NULL, 10, 0));
	R(splice(fd, NULL, pipes[1], &off, 10, 0));
	R(splice(pipes[0], &off, fd, NULL, 10, 0));
	R(splice(pipes[0], NULL, fd, &off, 10, 0));
	R(splice(fd, NULL, 12345, NULL, 10, 0));
	R(splice(12345, NULL, fd, NULL, 10, 0));
	R(copy_file_range(file, NULL, fd, NULL, 10, 0));
	R(copy_file_range(fd, NULL, file, NULL, 10, 0));
	R(tee(fd, file, 10, 0));
	R(tee(fd, pipes[1], 10, 0));
	R(tee(pipes[0], fd, 10, 0));
	R(vmsplice(fd, &(struct iovec){&off, 1}, 1, 0));
}

/* What proxies do with what is to go to two places. */
CASE(splice, tee_and_splice)
{
	int p, q, fd = tcp_pair(&p), other, a[2], b[2], l = tcp_listener(PORT(1), 4);

	q = peer_connect(PORT(1));
	other = accept(l, NULL, NULL);
	NEED(pipe(a) == 0 && pipe(b) == 0);
	peer_send(p, "both", 4);
	until_queued(fd, 4);
	R(splice(fd, NULL, a[1], NULL, 100, 0));
	R(tee(a[0], b[1], 100, 0));
	R(splice(a[0], NULL, fd, NULL, 100, 0));
	R(splice(b[0], NULL, other, NULL, 100, 0));
	say("%s", peer_recv(p, 4));
	say("%s", peer_recv(q, 4));
}

CASE(splice, interrupted)
{
	int p, fd = tcp_pair(&p), pipes[2];
	struct sigaction sa = {.sa_handler = on_sigpipe};
	struct timeval tv = {0, 20000};

	NEED(pipe(pipes) == 0);
	NEED(sigaction(SIGALRM, &sa, NULL) == 0);
	NEED(setitimer(0, &(struct itimerval){tv, tv}, NULL) == 0);
	R(splice(pipes[0], NULL, fd, NULL, 10, 0));
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
	fill_pipe(pipes[1]);
	R(splice(fd, NULL, pipes[1], NULL, 10, 0));
	(void)p;
}
