/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_syscall.c - the same socket calls through syscall(2) and through the fortified names of libc
 *
 * Some programs make their calls by number (libuv, nginx, Go's cgo); with _FORTIFY_SOURCE the compiler calls
 * __read_chk and kin, which end the program when the count exceeds the buffer.
 */
#include <sys/sendfile.h>
#include <sys/syscall.h>

#include "diff.h"

static const struct sockaddr *at(const struct sockaddr_in *sa)
{
	return (const struct sockaddr *)sa;
}

CASE(syscall, listen_and_accept)
{
	struct sockaddr_in sa = addr4(OWN_ADDR, PORT(0));
	struct sockaddr_storage got;
	socklen_t len = sizeof(got);
	int fd = RFD(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0)), c, on = 1, type = -1;

	R(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	R(syscall(SYS_bind, fd, at(&sa), sizeof(sa)));
	R(syscall(SYS_listen, fd, 5));
	R(syscall(SYS_getsockname, fd, &got, &len));
	say("%s", addr_text(&got, len));
	peer_connect(PORT(0));
	len = sizeof(got);
	c = RFD(syscall(SYS_accept4, fd, &got, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
	say("%s", addr_text(&got, len));
	say("flags %d %d", !!(syscall(SYS_fcntl, c, F_GETFL) & O_NONBLOCK), fcntl(c, F_GETFD));
	len = sizeof(type);
	R(syscall(SYS_getsockopt, c, SOL_SOCKET, SO_TYPE, &type, &len));
	say("type %d", type == SOCK_STREAM);
	len = sizeof(got);
	R(syscall(SYS_getpeername, c, &got, &len));
	say("%s", addr_text(&got, len));
	peer_connect(PORT(0));
	RFD(syscall(SYS_accept, fd, NULL, NULL));
	R(syscall(SYS_shutdown, c, SHUT_WR));
	R(syscall(SYS_close, c));
	R(syscall(SYS_close, c));
}

CASE(syscall, connect_and_bytes)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0), p;
	struct sockaddr_in sa = addr4(PEER_ADDR, PORT(0));
	char buf[16] = "", more[16] = "";
	struct iovec out[] = {{"de", 2}, {"fg", 2}}, in[] = {{buf, 2}, {more, 16}};
	struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};
	struct mmsghdr mm[2] = {{.msg_hdr = m}, {.msg_hdr = m}};

	R(syscall(SYS_connect, fd, at(&sa), sizeof(sa)));
	p = peer_accept(l);
	R(syscall(SYS_sendto, fd, "abc", 3, MSG_NOSIGNAL, NULL, 0));
	R(syscall(SYS_writev, fd, out, 2));
	R(syscall(SYS_sendmsg, fd, &m, 0));
	R(syscall(SYS_sendmmsg, fd, mm, 2, 0));
	R(syscall(SYS_pwritev2, fd, out, 2, -1L, -1L, 0));
	say("peer got %s", peer_recv(p, 23));
	peer_send(p, "0123456789", 10);
	until_queued(fd, 10);
	R(syscall(SYS_recvfrom, fd, buf, 1, MSG_PEEK, NULL, NULL));
	R(syscall(SYS_readv, fd, in, 1));
	R(syscall(SYS_preadv2, fd, in, 1, -1L, -1L, 0));
	m = (struct msghdr){.msg_iov = in, .msg_iovlen = 2};
	R(syscall(SYS_recvmsg, fd, &m, 0));
	say("%.2s %s", buf, more);
	mm[0].msg_hdr = mm[1].msg_hdr = m;
	R(syscall(SYS_recvmmsg, fd, mm, 2, MSG_DONTWAIT, NULL));
	R(syscall(SYS_pread64, fd, buf, 1, 0));
	R(syscall(SYS_pwrite64, fd, buf, 1, 0));
	R(syscall(SYS_lseek, fd, 0, SEEK_SET));
}

CASE(syscall, waiting)
{
	int p, fd = tcp_pair(&p), ep = RFD(syscall(SYS_epoll_create1, 0)), got = -1;
	struct epoll_event e = {.events = EPOLLIN, .data.fd = 77}, out = {0};
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT};
	struct timespec zero = {0, 0}, second = {5, 0};
	sigset_t mask;
	struct {
		const sigset_t *set;
		size_t len;
	} sig = {&mask, 8};
	fd_set rd;

	sigemptyset(&mask);
	R(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &e));
	R(syscall(SYS_epoll_pwait, ep, &out, 1, 0, NULL, 8L));
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	R(syscall(SYS_pselect6, fd + 1, &rd, NULL, NULL, &zero, &sig));
	peer_send(p, "x", 1);
	R(syscall(SYS_epoll_pwait, ep, &out, 1, 5000, &mask, 8L));
	say("%s %d", events_text(out.events), out.data.fd);
	R(syscall(SYS_epoll_pwait2, ep, &out, 1, &second, NULL, 8L));
	R(syscall(SYS_ppoll, &pf, 1, &second, &mask, 8L));
	say("%s", events_text(pf.revents));
	FD_SET(fd, &rd);
	R(syscall(SYS_pselect6, fd + 1, &rd, NULL, NULL, &second, &sig));
	say("%d", FD_ISSET(fd, &rd));
#ifdef SYS_poll
	R(syscall(SYS_poll, &pf, 1, 5000));
	R(syscall(SYS_epoll_wait, ep, &out, 1, 5000));
#endif
	R(syscall(SYS_ioctl, fd, FIONREAD, &got));
	say("%d", got);
}

CASE(syscall, descriptors)
{
	int p, fd = tcp_pair(&p), d = RFD(syscall(SYS_dup, fd)),
	       d3 = RFD(syscall(SYS_dup3, fd, 100, O_CLOEXEC));
	int file = open("/proc/self/exe", O_RDONLY);
	off_t off = 4;
	char head[4];

	NEED(pread(file, head, 4, 0) == 4);
	R(syscall(SYS_close, fd));
	R(syscall(SYS_write, d, "d", 1));
	R(syscall(SYS_write, d3, "3", 1));
	say("peer got %s", peer_recv(p, 2));
	off = 1;
	R(syscall(SYS_sendfile, d, file, &off, 3));
	say("peer got %s, offset %ld", peer_recv(p, 3), (long)off);
	R(syscall(SYS_close_range, d3, d3, 0));
	R(syscall(SYS_write, d3, "3", 1));
	R(syscall(SYS_close, d));
	peer_say_recv(p, 1);
}

CASE(syscall, exit_group_delivers)
{
	int p, fd = tcp_pair(&p);

	peer_drain_after_exit(p, 70);
	send_pattern(fd, 100000, 70);
	say("end");
	fflush(stdout);
	syscall(SYS_exit_group, 0);
}

/* ---- fortified ---- */

ssize_t __read_chk(int fd, void *buf, size_t n, size_t buflen);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t buflen, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t buflen, int flags, struct sockaddr *addr,
		       socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t fdslen);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t fdslen);
int __dprintf_chk(int fd, int flag, const char *format, ...);
long __fdelt_chk(long fd);

CASE(fortified, bytes_and_waiting)
{
	int p, fd = tcp_pair(&p);
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	struct timespec second = {5, 0};
	char buf[8] = "";

	R(__poll_chk(&pf, 1, 0, sizeof(pf)));
	peer_send(p, "abcdef", 6);
	until_queued(fd, 6);
	R(__poll_chk(&pf, 1, 5000, sizeof(pf)));
	R(__ppoll_chk(&pf, 1, &second, NULL, sizeof(pf)));
	say("%s", events_text(pf.revents));
	R(__read_chk(fd, buf, 2, sizeof(buf)));
	R(__recv_chk(fd, buf + 2, 2, sizeof(buf) - 2, 0));
	R(__recvfrom_chk(fd, buf + 4, 4, 4, MSG_DONTWAIT, (struct sockaddr *)&from, &len));
	say("%s", buf);
	R(__dprintf_chk(fd, 1, "%d-%s", 42, "chk"));
	say("peer got %s", peer_recv(p, 6));
	R(__fdelt_chk(fd) == fd / (8 * (long)sizeof(long)));
}

/* What a child that calls `which` with a count beyond its buffer ends with. */
static void overflow(int fd, int which)
{
	char buf[4];
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	int status, null = open("/dev/null", O_WRONLY);
	pid_t pid = fork();

	if (pid == 0) {
		dup2(null, STDERR_FILENO);
		switch (which) {
		case 0:
			__read_chk(fd, buf, 5, sizeof(buf));
			break;
		case 1:
			__recv_chk(fd, buf, 5, sizeof(buf), 0);
			break;
		case 2:
			__recvfrom_chk(fd, buf, 5, sizeof(buf), 0, NULL, NULL);
			break;
		case 3:
			__poll_chk(&pf, 2, 0, sizeof(pf));
			break;
		default:
			__fdelt_chk(FD_SETSIZE);
		}
		_exit(0);
	}
	close(null);
	waitpid(pid, &status, 0);
	say("%d: aborted %d", which, WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

CASE(fortified, overflow_aborts)
{
	int p, fd = tcp_pair(&p);

	peer_send(p, "abcdef", 6);
	until_queued(fd, 6);
	for (int which = 0; which < 5; which++)
		overflow(fd, which);
	R(recv(fd, &(char[8]){0}, 8, 0));
}

CASE(syscall, io_uring_is_not_there)
{
	char params[120] = {0};

	R(syscall(SYS_io_uring_setup, 4, params) >= 0);
}
