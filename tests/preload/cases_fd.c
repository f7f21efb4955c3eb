/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_fd.c - descriptors: dup and kin, fcntl, ioctl, fstat, closing in all ways, limits, passing on
 */
#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "diff.h"

CASE(fd, dup_shares_connection)
{
	int p, fd = tcp_pair(&p), copy = RFD(dup(fd));
	char buf[8];

	R(send(copy, "a", 1, 0));
	R(close(fd));
	R(send(copy, "b", 1, 0));
	say("peer got %s", peer_recv(p, 2));
	peer_send(p, "cd", 2);
	until_queued(copy, 2);
	R(recv(copy, buf, 8, 0));
	R(recv(fd, buf, 8, 0));
	show_names("copy", copy);
	R(close(copy));
	peer_say_recv(p, 1);
}

CASE(fd, dup_shares_flags_not_cloexec)
{
	int p, fd = tcp_pair(&p), copy;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	copy = dup(fd);
	say("%d %d", fcntl(fd, F_GETFD), fcntl(copy, F_GETFD));
	R(fcntl(copy, F_SETFL, O_NONBLOCK));
	say("%#x", fcntl(fd, F_GETFL));
	R(recv(fd, &(char){0}, 1, 0));
	R(fcntl(fd, F_SETFL, 0));
	say("%#x", fcntl(copy, F_GETFL));
}

CASE(fd, dup2_over_connection)
{
	int p, q, fd = tcp_pair(&p), l = tcp_listener(PORT(1), 1), other;

	q = peer_connect(PORT(1));
	other = accept(l, NULL, NULL);
	R(dup2(other, fd) == fd);
	peer_say_recv(p, 1);
	R(send(fd, "x", 1, 0));
	say("peer got %s", peer_recv(q, 1));
}

CASE(fd, dup2_file_over_connection)
{
	int p, fd = tcp_pair(&p), null = open("/dev/null", O_RDWR);
	char c;

	R(dup2(null, fd) == fd);
	peer_say_recv(p, 1);
	R(write(fd, "abc", 3));
	R(read(fd, &c, 1));
	R(recv(fd, &c, 1, 0));
}

CASE(fd, dup2_connection_over_file)
{
	int p, fd = tcp_pair(&p), null = open("/dev/null", O_RDWR);

	R(dup2(fd, null) == null);
	R(close(fd));
	R(write(null, "abc", 3));
	say("peer got %s", peer_recv(p, 3));
	R(close(null));
	peer_say_recv(p, 1);
}

CASE(fd, dup2_onto_itself_and_refusals)
{
	int p, fd = tcp_pair(&p);

	R(dup2(fd, fd) == fd);
	R(dup3(fd, fd, 0));
	R(dup2(fd, -1));
	R(dup2(12345, fd));
	R(dup(12345));
	R(dup3(fd, fd + 1, 0x7777));
	R(dup3(fd, 100, O_CLOEXEC));
	say("%d", fcntl(100, F_GETFD));
	R(send(100, "ok", 2, 0));
	say("peer got %s", peer_recv(p, 2));
}

CASE(fd, f_dupfd)
{
	int p, fd = tcp_pair(&p);

	R(fcntl(fd, F_DUPFD, 200));
	R(fcntl(fd, F_DUPFD_CLOEXEC, 200));
	say("%d %d", fcntl(200, F_GETFD), fcntl(201, F_GETFD));
	R(fcntl(fd, F_DUPFD, -1));
	R(send(201, "x", 1, 0));
	say("peer got %s", peer_recv(p, 1));
}

CASE(fd, fcntl_flags)
{
	int p, fd = tcp_pair(&p), on = 1, off = 0;

	say("%#x", fcntl(fd, F_GETFL));
	R(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
	say("%#x", fcntl(fd, F_GETFL));
	R(fcntl(fd, F_SETFL, 0));
	R(ioctl(fd, FIONBIO, &on));
	say("%#x", fcntl(fd, F_GETFL));
	R(recv(fd, &(char){0}, 1, 0));
	R(ioctl(fd, FIONBIO, &off));
	say("%#x", fcntl(fd, F_GETFL));
	R(fcntl(fd, F_GETFD));
	R(fcntl(fd, F_SETFD, FD_CLOEXEC));
	R(fcntl(fd, F_GETFD));
	R(ioctl(fd, FIOCLEX));
	R(fcntl(fd, F_GETFD));
	R(ioctl(fd, FIONCLEX));
	R(fcntl(fd, F_GETFD));
	R(fcntl(fd, 7777));
}

CASE(fd, listener_fionbio)
{
	int l = tcp_listener(PORT(0), 1), on = 1;

	R(ioctl(l, FIONBIO, &on));
	R(accept(l, NULL, NULL));
}

CASE(fd, nonblock_set_before_connect)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	R(ioctl(fd, FIONBIO, &on));
	peer_listen(PORT(0));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	until_events(fd, POLLOUT);
	R(recv(fd, &(char){0}, 1, 0));
}

CASE(fd, stat_and_terminal)
{
	int p, fd = tcp_pair(&p);
	struct stat st;

	R(fstat(fd, &st));
	say("socket %d mode %o size %ld", S_ISSOCK(st.st_mode), st.st_mode & 07777, (long)st.st_size);
	R(isatty(fd));
}

CASE(fd, proc_self_fd_says_socket)
{
	int p, fd = tcp_pair(&p);
	char path[64], link[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	R(readlink(path, link, sizeof(link) - 1) > 0);
	say("%.8s", link);
}

CASE(fd, close_twice_and_after)
{
	int p, fd = tcp_pair(&p);

	R(close(fd));
	R(close(fd));
	R(recv(fd, &(char){0}, 1, 0));
	R(send(fd, "x", 1, 0));
	R(shutdown(fd, SHUT_RDWR));
	R(fcntl(fd, F_GETFL));
	show_names("closed", fd);
	OPT(fd, SOL_SOCKET, SO_TYPE);
}

CASE(fd, close_range)
{
	int p, fd = tcp_pair(&p);

	R(close_range(fd, fd, 0));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(fd, close_range_cloexec)
{
	int p, fd = tcp_pair(&p);

	R(close_range(fd, fd, 4));
	R(fcntl(fd, F_GETFD));
	R(send(fd, "x", 1, 0));
	say("peer got %s", peer_recv(p, 1));
}

CASE(fd, closefrom)
{
	int p, fd = tcp_pair(&p), low = dup2(fd, 30);

	/* Everything from 31 on goes, and what Shunt itself needs must not. */
	R(close(fd) == 0 || errno == EBADF);
	closefrom(31);
	R(send(low, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
	peer_send(p, "too", 3);
	until_queued(low, 3);
	R(recv(low, &(char[8]){0}, 8, 0));
}

CASE(fd, close_every_number)
{
	int p, fd = tcp_pair(&p), l;

	for (int i = 31; i < 1024; i++)
		if (i != fd)
			close(i);
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
	l = tcp_listener(PORT(1), 4);
	peer_connect(PORT(1));
	RFD(accept(l, NULL, NULL));
}

CASE(fd, raw_system_calls)
{
	int p, fd = tcp_pair(&p);

	R(syscall(SYS_close, fd));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(fd, raw_read_write)
{
	int p, fd = tcp_pair(&p);
	char buf[8] = "";

	R(syscall(SYS_write, fd, "abc", 3));
	say("peer got %s", peer_recv(p, 3));
	peer_send(p, "def", 3);
	until_queued(fd, 3);
	R(syscall(SYS_read, fd, buf, 8));
	say("%s", buf);
	R(syscall(SYS_getpid) == getpid());
}

CASE(fd, rlimit)
{
	struct rlimit lim = {24, 24};
	int l = tcp_listener(PORT(0), 64), got = 0, fd;

	R(setrlimit(RLIMIT_NOFILE, &lim));
	set_nonblock(l);
	for (int i = 0; i < 30; i++)
		peer_connect(PORT(0));
	for (;;) {
		until_readable(l);
		fd = accept(l, NULL, NULL);
		if (fd < 0)
			break;
		got++;
	}
	R(fd);
	say("some accepted: %d, all small: %d", got > 0, got < 24);
	R(socket(AF_INET, SOCK_STREAM, 0));
	R(dup(l));
	close(l);
	RFD(dup(0));
}

CASE(fd, plain_files_stay_plain)
{
	int p, fd = tcp_pair(&p), files[64], bad = 0;
	char c;

	for (int i = 0; i < 64; i++)
		files[i] = open("/proc/self/status", O_RDONLY);
	for (int i = 0; i < 64; i++)
		bad += files[i] < 0 || read(files[i], &c, 1) != 1 || c != 'N';
	say("bad %d", bad);
	R(send(files[40], &c, 1, 0));
	R(send(fd, "x", 1, 0));
}

CASE(fd, many_sockets_opened_and_closed)
{
	int l = tcp_listener(PORT(0), 64), first = -1, last = -1;

	for (int i = 0; i < 300; i++) {
		int p = peer_connect(PORT(0)), c = accept(l, NULL, NULL);

		NEED(p >= 0 && c >= 0);
		if (i == 0)
			first = c;
		last = c;
		close(c);
		peer_close(p);
	}
	say("same number: %d", first == last);
}

CASE(fd, sockets_never_connected)
{
	int highest = 0;

	for (int i = 0; i < 1000; i++) {
		int fd = socket(AF_INET, i & 1 ? SOCK_STREAM : SOCK_DGRAM, 0);

		NEED(fd >= 0);
		highest = fd > highest ? fd : highest;
		close(fd);
	}
	say("below 64: %d", highest < 64);
}

CASE(fd, passed_over_unix_socket_of_own)
{
	int pair[2], p, fd = tcp_pair(&p), got = -1;
	char control[CMSG_SPACE(sizeof(int))], byte = 'x';
	struct iovec v = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int file = open("/dev/zero", O_RDONLY);

	/* A plain file through SCM_RIGHTS, while a connection is open. */
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &file, sizeof(int));
	R(sendmsg(pair[0], &m, 0));
	R(recvmsg(pair[1], &m, 0));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	R(read(got, &byte, 1));
	say("%d", byte);
	R(send(fd, "y", 1, 0));
	say("peer got %s", peer_recv(p, 1));
}

/* What libuv and nginx do when they have run out: give up a descriptor kept for that, accept, close. */
CASE(fd, accept_with_the_last_number)
{
	int l = tcp_listener(PORT(0), 4), spare = -1, fd, status;
	struct rlimit limit = {64, 64};
	pid_t pid = fork(); /* the limit is for the child only */

	if (pid == 0) {
		NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		while ((fd = dup(STDIN_FILENO)) >= 0)
			spare = fd;
		R(accept(l, NULL, NULL));
		close(spare);
		RFD(fd = accept(l, NULL, NULL));
		say("the spare one %d", fd == spare);
		R(close(fd));
		_exit(0);
	}
	NEED(peer_connect(PORT(0)) >= 0);
	waitpid(pid, &status, 0);
	say("exit %d", WEXITSTATUS(status));
}

CASE(fd, options_kept_with_the_last_number)
{
	struct rlimit limit = {64, 64};
	int first = socket(AF_INET, SOCK_DGRAM, 0), spare = -1, fd, status;
	pid_t pid;

	R(set_int(first, SOL_SOCKET, SO_REUSEADDR, 1));
	R(bind_to(first, OWN_ADDR, PORT(0)));
	pid = fork();
	if (pid == 0) {
		NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		while ((fd = dup(STDIN_FILENO)) >= 0)
			spare = fd;
		close(spare);
		RFD(fd = socket(AF_INET, SOCK_DGRAM, 0));
		R(set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1));
		R(bind_to(fd, OWN_ADDR, PORT(0)));
		OPT(fd, SOL_SOCKET, SO_REUSEADDR);
		OPT(fd, SOL_SOCKET, SO_BROADCAST);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	say("exit %d", WEXITSTATUS(status));
}
