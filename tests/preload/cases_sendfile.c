/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_sendfile.c - sendfile and kin: counts, offsets, ends of files, full buffers, truncated files
 */
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "diff.h"

static int pattern_file(size_t len, uint32_t seed)
{
	int file = memfd_create("pattern", 0);
	char buf[65536];

	NEED(file >= 0);
	for (size_t done = 0; done < len;) {
		size_t n = len - done < sizeof(buf) ? len - done : sizeof(buf);

		pattern(buf, n, seed, done);
		NEED(write(file, buf, n) == (ssize_t)n);
		done += n;
	}
	lseek(file, 0, SEEK_SET);
	return file;
}

static void where(int file, const off_t *off)
{
	if (off)
		say("offset %ld, position %ld", (long)*off, (long)lseek(file, 0, SEEK_CUR));
	else
		say("position %ld", (long)lseek(file, 0, SEEK_CUR));
}

CASE(sendfile, with_offset)
{
	int p, fd = tcp_pair(&p), file = pattern_file(10000, 51);
	off_t off = 0;

	peer_begin_recv_pattern(p, 10000, 51);
	R(sendfile(fd, file, &off, 4000));
	where(file, &off);
	R(sendfile(fd, file, &off, 6000));
	where(file, &off);
	R(sendfile(fd, file, &off, 10));
	where(file, &off);
	peer_end_recv_pattern();
}

CASE(sendfile, by_position)
{
	int p, fd = tcp_pair(&p), file = pattern_file(10000, 52);

	peer_begin_recv_pattern(p, 10000, 52);
	R(sendfile(fd, file, NULL, 1));
	where(file, NULL);
	R(sendfile(fd, file, NULL, 5000));
	where(file, NULL);
	R(sendfile(fd, file, NULL, 100000));
	where(file, NULL);
	R(sendfile(fd, file, NULL, 100000));
	where(file, NULL);
	peer_end_recv_pattern();
}

CASE(sendfile, count_beyond_end)
{
	int p, fd = tcp_pair(&p), file = pattern_file(5000, 53);
	off_t off = 0;

	peer_begin_recv_pattern(p, 5000, 53);
	R(sendfile(fd, file, &off, 1 << 30));
	where(file, &off);
	off = 9000;
	R(sendfile(fd, file, &off, 10));
	where(file, &off);
	peer_end_recv_pattern();
}

CASE(sendfile, zero_and_bad)
{
	int p, fd = tcp_pair(&p), file = pattern_file(5000, 54), dir = open("/", O_RDONLY),
	       wr = open("/dev/null", O_WRONLY);
	off_t off = 0, negative = -1;

	R(sendfile(fd, file, &off, 0));
	R(sendfile(fd, file, &negative, 10));
	R(sendfile(fd, -1, &off, 10));
	R(sendfile(-1, file, &off, 10));
	R(sendfile(fd, dir, &off, 10));
	R(sendfile(fd, wr, &off, 10));
	R(sendfile(fd, fd, NULL, 10));
	R(sendfile(fd, fd, &off, 10));
	R(sendfile(file, fd, NULL, 10));
	where(file, &off);
	shutdown(fd, SHUT_WR);
	signal(SIGPIPE, SIG_IGN);
	R(sendfile(fd, file, &off, 10));
	where(file, &off);
	(void)p;
}

CASE(sendfile, sigpipe)
{
	int p, fd = tcp_pair(&p), file = pattern_file(5000, 54), status;
	pid_t pid = fork();

	if (pid == 0) {
		off_t off = 0;

		shutdown(fd, SHUT_WR);
		sendfile(fd, file, &off, 10);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	say("SIGPIPE %d", WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

CASE(sendfile, large_blocking)
{
	int p, fd = tcp_pair(&p), file = pattern_file(8 << 20, 55);
	off_t off = 0;
	ssize_t n = 1;

	peer_begin_recv_pattern(p, SIZE_MAX, 55);
	while (off < 8 << 20 && n > 0)
		n = sendfile(fd, file, &off, (8 << 20) - off);
	R(n > 0);
	where(file, &off);
	R(shutdown(fd, SHUT_WR));
	peer_end_recv_pattern();
}

CASE(sendfile, large_nonblocking)
{
	int p, fd = tcp_pair(&p), file = pattern_file(8 << 20, 56), refused = 0;
	off_t off = 0;

	set_nonblock(fd);
	for (;;) {
		off_t before = off;
		ssize_t n = sendfile(fd, file, &off, (8 << 20) - off);

		if (n < 0 && errno == EAGAIN) {
			NEED(off == before);
			refused = 1;
			break;
		}
		NEED(n > 0 && off == before + n);
		if (off == 8 << 20)
			break;
	}
	say("refused %d", refused);
	peer_begin_recv_pattern(p, 8 << 20, 56);
	while (off < 8 << 20) {
		ssize_t n = sendfile(fd, file, &off, (8 << 20) - off);

		if (n < 0 && errno == EAGAIN)
			until_events(fd, POLLOUT);
		else
			NEED(n > 0);
	}
	peer_end_recv_pattern();
}

CASE(sendfile, odd_offsets_and_headers)
{
	int p, fd = tcp_pair(&p), file = pattern_file(100001, 57);
	off_t off = 0;
	static const size_t steps[] = {1, 4095, 4097, 1460, 1448, 65536, 3, 100000};

	R(set_int(fd, IPPROTO_TCP, TCP_CORK, 1));
	peer_begin_recv_pattern(p, 100001, 57);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		while (off < 100001) {
			size_t before = off;
			ssize_t n = sendfile(fd, file, &off, steps[i]);

			NEED(n > 0 && (size_t)off == before + n);
			break;
		}
	while (off < 100001)
		NEED(sendfile(fd, file, &off, 100001) > 0);
	R(set_int(fd, IPPROTO_TCP, TCP_CORK, 0));
	peer_end_recv_pattern();
	where(file, &off);
}

CASE(sendfile, header_then_file_then_data)
{
	int p, fd = tcp_pair(&p), file = pattern_file(10, 58);
	off_t off = 2;
	const char *got;
	char want[8];

	R(send(fd, "HEAD", 4, MSG_MORE));
	R(sendfile(fd, file, &off, 5));
	R(send(fd, "TAIL", 4, 0));
	got = peer_recv(p, 13);
	pattern(want, 5, 58, 2);
	say("%.4s %d %.4s", got, !memcmp(got + 4, want, 5), got + 9);
}

CASE(sendfile, truncated_meanwhile)
{
	int p, fd = tcp_pair(&p), file = pattern_file(1 << 20, 59);
	off_t off = 0;

	peer_begin_recv_pattern(p, SIZE_MAX, 59);
	while (off < 300000)
		NEED(sendfile(fd, file, &off, 300000 - off) > 0);
	R(ftruncate(file, 400000));
	while (off < 400000)
		NEED(sendfile(fd, file, &off, 1 << 20) > 0);
	R(sendfile(fd, file, &off, 1 << 20));
	where(file, &off);
	R(shutdown(fd, SHUT_WR));
	peer_end_recv_pattern();
}

CASE(sendfile, from_pipe_and_char_device)
{
	int p, fd = tcp_pair(&p), pipes[2], zero = open("/dev/zero", O_RDONLY);

	NEED(pipe(pipes) == 0);
	NEED(write(pipes[1], "piped", 5) == 5);
	R(sendfile(fd, pipes[0], NULL, 5));
	R(sendfile(fd, zero, NULL, 3));
	(void)p;
}

CASE(sendfile, after_unlink)
{
	char path[] = "/tmp/diff-sendfile-XXXXXX";
	int p, fd = tcp_pair(&p), file = mkstemp(path);
	char buf[3000];

	pattern(buf, sizeof(buf), 60, 0);
	NEED(write(file, buf, sizeof(buf)) == sizeof(buf));
	R(unlink(path));
	lseek(file, 0, SEEK_SET);
	peer_begin_recv_pattern(p, sizeof(buf), 60);
	R(sendfile(fd, file, NULL, sizeof(buf)));
	R(close(file));
	peer_end_recv_pattern();
}

/* What is not a socket of ours goes to libc, whatever else is open. */
CASE(sendfile, to_what_is_not_a_connection)
{
	int p, fd = tcp_pair(&p), file = pattern_file(10000, 62), copy = memfd_create("copy", 0), pipes[2],
	       pair[2];
	int u = udp_bound(PORT(1)), fresh = socket(AF_INET, SOCK_STREAM, 0), l = tcp_listener(PORT(2), 1);
	char buf[10000];
	off_t off = 5;

	signal(SIGPIPE, SIG_IGN);
	NEED(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	R(sendfile(copy, file, &off, 4000));
	where(file, &off);
	R(pread(copy, buf, sizeof(buf), 0));
	say("%d", pattern_ok(buf, 4000, 62, 5));
	R(sendfile(pipes[1], file, NULL, 3000));
	where(file, NULL);
	R(read(pipes[0], buf, sizeof(buf)));
	say("%d", pattern_ok(buf, 3000, 62, 0));
	R(sendfile(pair[0], file, NULL, 100000));
	where(file, NULL);
	R(recv(pair[1], buf, 7000, MSG_WAITALL));
	say("%d", pattern_ok(buf, 7000, 62, 3000));
	off = 0;
	R(sendfile(fresh, file, &off, 10));
	R(sendfile(l, file, &off, 10));
	R(connect_to(u, PEER_ADDR, PORT(3)));
	R(sendfile(copy, u, NULL, 10));
	R(sendfile(copy, fd, NULL, 10));
	where(file, &off);
	R(send(fd, "still there", 11, 0));
	say("peer got %s", peer_recv(p, 11));
}

CASE(sendfile, timeout_and_reset)
{
	int p, fd = tcp_pair(&p), file = pattern_file(1 << 20, 63), got;
	struct timeval tv = {0, 100000};
	off_t off = 0, total = 0;
	ssize_t n;

	signal(SIGPIPE, SIG_IGN);
	R(set_int(fd, SOL_SOCKET, SO_SNDBUF, 65536));
	R(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	/* Nobody reads: some short count, then nothing more. */
	for (;;) {
		off = 0;
		n = sendfile(fd, file, &off, 1 << 20);
		if (n < 0)
			break;
		NEED(off == n);
		total += n;
	}
	got = errno;
	say("some %d, then %s, offset %ld", total > 0, errno_name(got), (long)off);
	peer_rst(p);
	until_events(fd, POLLHUP);
	R(sendfile(fd, file, &off, 10));
	R(sendfile(fd, file, &off, 10));
	where(file, &off);
}
