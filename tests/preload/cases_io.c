/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_io.c - bytes in and out of a stream: every call, every flag, large and odd sizes, byte-exact
 */
#include "diff.h"

#define MB (1 << 20)

CASE(io, read_write)
{
	int p, fd = tcp_pair(&p);
	char buf[16];

	R(write(fd, "hello", 5));
	say("peer got %s", peer_recv(p, 5));
	peer_send(p, "world", 5);
	until_queued(fd, 5);
	R(read(fd, buf, 3));
	R(read(fd, buf, sizeof(buf)));
	R(write(fd, "", 0));
	R(send(fd, "", 0, 0));
	peer_shutdown(p, SHUT_WR);
	R(read(fd, buf, sizeof(buf)));
	R(read(fd, buf, sizeof(buf)));
	R(read(fd, buf, 0));
}

CASE(io, recv_zero_length)
{
	int p, fd = tcp_pair(&p);
	char c;

	set_nonblock(fd);
	R(recv(fd, &c, 0, 0));
	R(read(fd, &c, 0));
	peer_send(p, "x", 1);
	until_readable(fd);
	R(recv(fd, &c, 0, 0));
	R(recv(fd, &c, 1, 0));
}

CASE(io, nonblock_empty)
{
	int p, fd = tcp_pair(&p);
	struct iovec v = {.iov_base = (char[4]){0}, .iov_len = 4};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	char buf[4];

	R(recv(fd, buf, 4, MSG_DONTWAIT));
	set_nonblock(fd);
	R(recv(fd, buf, 4, 0));
	R(read(fd, buf, 4));
	R(readv(fd, &v, 1));
	R(recvmsg(fd, &m, 0));
	R(recvfrom(fd, buf, 4, 0, NULL, NULL));
	R(recv(fd, buf, 4, MSG_PEEK));
	R(recv(fd, buf, 4, MSG_WAITALL));
}

CASE(io, peek)
{
	int p, fd = tcp_pair(&p);
	char buf[16] = "";

	peer_send(p, "abcdef", 6);
	until_queued(fd, 6);
	R(recv(fd, buf, 3, MSG_PEEK));
	say("%.3s", buf);
	R(recv(fd, buf, 16, MSG_PEEK));
	say("%.6s", buf);
	R(recv(fd, buf, 2, 0));
	R(recv(fd, buf, 16, MSG_PEEK));
	say("%.4s", buf);
	R(recv(fd, buf, 16, 0));
	R(recv(fd, buf, 16, MSG_PEEK | MSG_DONTWAIT));
	peer_close(p);
	R(recv(fd, buf, 16, MSG_PEEK));
}

CASE(io, peek_across_segments)
{
	int p, fd = tcp_pair(&p);
	static char buf[8000], again_[8000];

	peer_send_pattern(p, 6000, 3);
	until_queued(fd, 6000);
	R(recv(fd, buf, sizeof(buf), MSG_PEEK));
	R(recv(fd, again_, sizeof(again_), 0));
	say("%s %s", pattern_ok(buf, 6000, 3, 0) ? "intact" : "CORRUPT",
	    pattern_ok(again_, 6000, 3, 0) ? "intact" : "CORRUPT");
}

CASE(io, waitall)
{
	int p, fd = tcp_pair(&p);
	char buf[16] = "";

	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	peer_begin_send(p, "defgh", 5);
	R(recv(fd, buf, 8, MSG_WAITALL));
	say("%.8s", buf);
	peer_end();
	peer_send(p, "xyz", 3);
	peer_close(p);
	R(recv(fd, buf, 8, MSG_WAITALL));
	R(recv(fd, buf, 8, MSG_WAITALL));
}

CASE(io, waitall_dontwait)
{
	int p, fd = tcp_pair(&p);
	char buf[16];

	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	R(recv(fd, buf, 8, MSG_WAITALL | MSG_DONTWAIT));
	R(recv(fd, buf, 8, MSG_WAITALL | MSG_DONTWAIT));
}

CASE(io, waitall_peek)
{
	int p, fd = tcp_pair(&p);
	char buf[16];

	peer_send(p, "abcdefgh", 8);
	R(recv(fd, buf, 8, MSG_WAITALL | MSG_PEEK));
	R(recv(fd, buf, 8, MSG_WAITALL));
}

CASE(io, trunc_discards_stream)
{
	int p, fd = tcp_pair(&p);
	char buf[8] = "-------";

	peer_send(p, "abcdefgh", 8);
	until_queued(fd, 8);
	R(recv(fd, buf, 3, MSG_TRUNC));
	say("%.3s", buf);
	R(recv(fd, NULL, 2, MSG_TRUNC));
	R(recv(fd, buf, 8, 0));
	say("%.3s", buf);
}

CASE(io, msg_flags_unknown)
{
	int p, fd = tcp_pair(&p);
	char c = 'x';

	R(send(fd, &c, 1, MSG_NOSIGNAL | MSG_CONFIRM));
	R(send(fd, &c, 1, MSG_NOSIGNAL | MSG_DONTROUTE));
	R(send(fd, &c, 1, MSG_NOSIGNAL | MSG_EOR));
	R(recv(fd, &c, 1, MSG_ERRQUEUE));
	R(recv(fd, &c, 1, MSG_OOB));
	say("peer got %s", peer_recv(p, 3));
}

CASE(io, recvfrom_address_on_stream)
{
	int p, fd = tcp_pair(&p);
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char c;

	memset(&sa, 0x55, sizeof(sa));
	peer_send(p, "x", 1);
	R(recvfrom(fd, &c, 1, 0, (struct sockaddr *)&sa, &len));
	say("length %u first byte %#x", len, ((uint8_t *)&sa)[0]);
}

CASE(io, sendto_address_on_stream)
{
	int p, fd = tcp_pair(&p);
	struct sockaddr_in a = addr4("198.18.0.99", 9);

	R(sendto(fd, "abc", 3, 0, (struct sockaddr *)&a, sizeof(a)));
	say("peer got %s", peer_recv(p, 3));
}

CASE(io, recvmsg_stream)
{
	int p, fd = tcp_pair(&p);
	char a[3], b[100], control[64], name[64];
	struct iovec v[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
	struct msghdr m = {.msg_iov = v,
			   .msg_iovlen = 2,
			   .msg_control = control,
			   .msg_controllen = sizeof(control),
			   .msg_name = name,
			   .msg_namelen = sizeof(name),
			   .msg_flags = 0x7777};

	peer_send(p, "abcdefg", 7);
	until_queued(fd, 7);
	R(recvmsg(fd, &m, 0));
	say("flags %#x name %u control %zu: %.3s %.4s", m.msg_flags, m.msg_namelen, m.msg_controllen, a, b);
	m.msg_iovlen = 0;
	R(recvmsg(fd, &m, MSG_DONTWAIT));
	m.msg_iov = v;
	m.msg_iovlen = 5000;
	R(recvmsg(fd, &m, MSG_DONTWAIT));
}

CASE(io, sendmsg_stream)
{
	int p, fd = tcp_pair(&p);
	struct iovec v[3] = {{(char *)"ab", 2}, {NULL, 0}, {(char *)"cde", 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};

	R(sendmsg(fd, &m, 0));
	say("peer got %s", peer_recv(p, 5));
	m.msg_iovlen = 5000;
	R(sendmsg(fd, &m, 0));
	m.msg_iovlen = 0;
	R(sendmsg(fd, &m, 0));
}

CASE(io, readv_writev)
{
	int p, fd = tcp_pair(&p);
	char a[2], b[1], c[10];
	struct iovec out[4] = {{(char *)"abc", 3}, {(char *)"", 0}, {(char *)"d", 1}, {(char *)"efgh", 4}};
	struct iovec in[3] = {{a, 2}, {b, 1}, {c, 10}};

	R(writev(fd, out, 4));
	say("peer got %s", peer_recv(p, 8));
	peer_send(p, "12345678", 8);
	until_queued(fd, 8);
	R(readv(fd, in, 3));
	say("%.2s %.1s %.5s", a, b, c);
	R(writev(fd, out, 0));
	R(writev(fd, out, -1));
	R(writev(fd, out, 1025));
	R(readv(fd, in, 0));
}

CASE(io, positioned_calls_refuse)
{
	int p, fd = tcp_pair(&p);
	char c = 'x';
	struct iovec v = {&c, 1};

	R(pread(fd, &c, 1, 0));
	R(pwrite(fd, &c, 1, 0));
	R(preadv(fd, &v, 1, 0));
	R(pwritev(fd, &v, 1, 0));
	R(lseek(fd, 0, SEEK_CUR));
	R(ftruncate(fd, 0));
	R(fsync(fd));
	R(preadv2(fd, &v, 1, 0, 0));
	R(pwritev2(fd, &v, 1, -1, 0));
	peer_send(p, "y", 1);
	R(preadv2(fd, &v, 1, -1, 0));
	say("%c, peer got %s", c, peer_recv(p, 1));
}

CASE(io, mmsg_stream)
{
	int p, fd = tcp_pair(&p);
	struct iovec v[3] = {{(char *)"a", 1}, {(char *)"bc", 2}, {(char *)"def", 3}};
	struct mmsghdr m[3] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &v[2], .msg_iovlen = 1}}};

	R(sendmmsg(fd, m, 3, 0));
	say("%u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	say("peer got %s", peer_recv(p, 6));
}

static char big[4 * MB];

static void big_writev(size_t total, int iovcnt)
{
	static struct iovec v[1024];
	struct iovec *at = v;
	int p, fd = tcp_pair(&p), left = iovcnt;
	size_t done = 0;

	pattern(big, total, 11, 0);
	for (int i = 0; i < iovcnt; i++) {
		/* Sizes from empty to many segments, so that boundaries fall everywhere. */
		size_t want = i == iovcnt - 1 ? total - done : (size_t)(i * 7919) % (2 * total / iovcnt);

		v[i].iov_base = big + done;
		v[i].iov_len = want < total - done ? want : total - done;
		done += v[i].iov_len;
	}
	peer_begin_recv_pattern(p, total, 11);
	for (done = 0; done < total;) {
		ssize_t n = writev(fd, at, left);

		NEED(n > 0);
		done += n;
		while (left && (size_t)n >= at->iov_len) {
			n -= at->iov_len;
			at++, left--;
		}
		if (left) {
			at->iov_base = (char *)at->iov_base + n;
			at->iov_len -= n;
		}
	}
	peer_end_recv_pattern();
}

CASE(io, writev_30kb)
{
	big_writev(30 * 1024 + 17, 9);
}

CASE(io, writev_1mb)
{
	big_writev(MB + 1, 1024);
}

CASE(io, writev_4mb)
{
	big_writev(4 * MB, 100);
}

CASE(io, blocking_send_takes_all)
{
	int p, fd = tcp_pair(&p);

	pattern(big, sizeof(big), 5, 0);
	peer_begin_recv_pattern(p, sizeof(big), 5);
	R(send(fd, big, sizeof(big), 0));
	peer_end_recv_pattern();
}

CASE(io, blocking_write_then_close)
{
	int p, fd = tcp_pair(&p);

	pattern(big, 2 * MB, 6, 0);
	peer_begin_recv_pattern(p, SIZE_MAX, 6);
	R(write(fd, big, 2 * MB));
	R(close(fd));
	peer_end_recv_pattern();
}

CASE(io, nonblock_send_fills_and_resumes)
{
	int p, fd = tcp_pair(&p), refused = 0;
	size_t sent = 0;

	set_nonblock(fd);
	pattern(big, sizeof(big), 7, 0);
	/* The peer does not read: at some point the buffers are full. */
	while (sent < sizeof(big) - 1 && !refused) {
		ssize_t n = send(fd, big + sent, sizeof(big) - 1 - sent, 0);

		if (n > 0)
			sent += n;
		else if (errno == EAGAIN)
			refused++;
		else
			NEED(false);
	}
	say("refused %d, sent some %d", refused, sent > 0);
	peer_begin_recv_pattern(p, sizeof(big), 7);
	while (sent < sizeof(big)) {
		ssize_t n = send(fd, big + sent, sizeof(big) - sent, 0);

		if (n > 0)
			sent += n;
		else
			until_events(fd, POLLOUT);
	}
	peer_end_recv_pattern();
}

CASE(io, receive_8mb)
{
	int p, fd = tcp_pair(&p);

	peer_begin_send_pattern(p, 8 * MB, 8);
	recv_pattern(fd, 8 * MB, 8);
	say("peer sent %ld", peer_end().ret);
}

CASE(io, receive_slowly_small_reads)
{
	int p, fd = tcp_pair(&p);
	size_t got = 0;
	bool intact = true;
	char buf[777];

	peer_begin_send_pattern(p, MB, 9);
	while (got < MB) {
		ssize_t n = read(fd, buf, sizeof(buf));

		NEED(n > 0);
		intact &= pattern_ok(buf, n, 9, got);
		got += n;
	}
	say("%zu %s, peer sent %ld", got, intact ? "intact" : "CORRUPT", peer_end().ret);
}

CASE(io, receive_after_window_closed)
{
	int p, fd = tcp_pair(&p);

	R(set_int(fd, SOL_SOCKET, SO_RCVBUF, 16384));
	peer_begin_send_pattern(p, MB, 10);
	until_queued(fd, 4000);
	recv_pattern(fd, MB, 10);
	say("peer sent %ld", peer_end().ret);
}

CASE(io, both_directions_at_once)
{
	int p, fd = tcp_pair(&p);
	pid_t pid;

	/* The peer answers only after it has received all, so a child of ours sends meanwhile. */
	peer_begin_recv_pattern(p, 2 * MB, 12);
	peer_begin_send_pattern(p, 2 * MB, 13);
	pid = fork();
	if (pid == 0) {
		send_pattern(fd, 2 * MB, 12);
		_exit(0);
	}
	recv_pattern(fd, 2 * MB, 13);
	waitpid(pid, NULL, 0);
	peer_end_recv_pattern();
	say("peer sent %ld", peer_end().ret);
}

CASE(io, active_side_sends_1mb)
{
	int p, fd = tcp_pair_active(&p);

	peer_begin_recv_pattern(p, SIZE_MAX, 14);
	send_pattern(fd, MB, 14);
	R(shutdown(fd, SHUT_WR));
	peer_end_recv_pattern();
}

CASE(io, more_then_flush)
{
	int p, fd = tcp_pair(&p);

	R(send(fd, "abc", 3, MSG_MORE));
	R(send(fd, "def", 3, MSG_MORE));
	R(send(fd, "g", 1, 0));
	say("peer got %s", peer_recv(p, 7));
}

CASE(io, cork)
{
	int p, fd = tcp_pair(&p);

	R(set_int(fd, IPPROTO_TCP, TCP_CORK, 1));
	OPT(fd, IPPROTO_TCP, TCP_CORK);
	R(send(fd, "abc", 3, 0));
	R(send(fd, "def", 3, 0));
	R(set_int(fd, IPPROTO_TCP, TCP_CORK, 0));
	OPT(fd, IPPROTO_TCP, TCP_CORK);
	say("peer got %s", peer_recv(p, 6));
}

CASE(io, bad_descriptors_and_pointers)
{
	int p, fd = tcp_pair(&p);
	char c = 0;

	R(send(-1, &c, 1, 0));
	R(recv(-1, &c, 1, 0));
	R(send(STDOUT_FILENO, &c, 1, 0));
	R(recv(STDOUT_FILENO, &c, 1, 0));
	R(read(12345, &c, 1));
	R(write(12345, &c, 1));
	R(send(fd, (void *)8, 10, MSG_NOSIGNAL));
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	R(recv(fd, (void *)8, 10, 0));
	R(recv(fd, &c, 1, 0));
}

CASE(io, fionread_and_outq)
{
	int p, fd = tcp_pair(&p), l = tcp_listener(PORT(1), 1), n = -7;

	R(ioctl(fd, FIONREAD, &n));
	say("%d", n);
	peer_send(p, "abcdef", 6);
	until_queued(fd, 6);
	R(ioctl(fd, FIONREAD, &n));
	say("%d", n);
	R(recv(fd, &(char[2]){0}, 2, 0));
	R(ioctl(fd, FIONREAD, &n));
	say("%d", n);
	R(ioctl(l, FIONREAD, &n));
	send(fd, "x", 1, 0);
	until_unsent(fd, 0);
	say("sent");
}

CASE(io, fionread_at_eof)
{
	int p, fd = tcp_pair(&p), n = -7;

	peer_send(p, "ab", 2);
	peer_close(p);
	until_rdhup(fd);
	until_queued(fd, 2);
	R(ioctl(fd, FIONREAD, &n));
	say("%d", n);
	R(recv(fd, &(char[2]){0}, 2, 0));
	R(ioctl(fd, FIONREAD, &n));
	say("%d", n);
}

CASE(io, stdio_on_socket)
{
	int p, fd = tcp_pair(&p);
	FILE *f = fdopen(fd, "r+");
	char line[64];

	peer_send(p, "first line\nsecond line\n", 23);
	fgets(line, sizeof(line), f);
	say("%s", line);
	fgets(line, sizeof(line), f);
	say("%s", line);
	fprintf(f, "answer %d\n", 42);
	R(fflush(f));
	say("peer got %s", peer_recv(p, 10));
	dprintf(fd, "by dprintf %d", 7);
	say("peer got %s", peer_recv(p, 12));
	R(fclose(f));
	R(close(fd));
}

CASE(io, urgent_byte)
{
	int p, fd = tcp_pair(&p), mark = -1;
	char buf[8] = "";
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLPRI};

	peer_send(p, "ab", 2);
	peer_send_oob(p, "!", 1);
	peer_send(p, "cd", 2);
	until_queued(fd, 2);
	until_events(fd, POLLPRI);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, buf, 8, 0));
	say("%.2s", buf);
	R(ioctl(fd, SIOCATMARK, &mark));
	say("at mark %d", mark);
	R(recv(fd, buf, 1, MSG_OOB));
	say("%c", buf[0]);
	R(recv(fd, buf, 2, MSG_WAITALL));
	say("%.2s", buf);
}

CASE(io, urgent_inline)
{
	int p, fd = tcp_pair(&p);
	char buf[8] = "";

	R(set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1));
	peer_send_oob(p, "x!", 2);
	until_queued(fd, 2);
	R(recv(fd, buf, 8, 0));
	say("%.2s", buf);
	R(recv(fd, buf, 1, MSG_OOB));
}

CASE(io, urgent_sent)
{
	int p, fd = tcp_pair(&p);

	peer_setopt(p, SOL_SOCKET, SO_OOBINLINE, 1);
	R(send(fd, "ab!", 3, MSG_OOB));
	R(send(fd, "c", 1, 0));
	say("peer got %s", peer_recv(p, 4));
}

CASE(io, rcvlowat)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	char buf[16];

	R(set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 5));
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	R(poll(&pf, 1, 0));
	R(recv(fd, buf, 2, MSG_DONTWAIT));
	peer_begin_send(p, "defgh", 5);
	R(recv(fd, buf, 16, 0));
	peer_end();
}
