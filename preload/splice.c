/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * splice.c - splice(2) between a pipe and a socket of ours, by copying
 *
 *     pipe ──► readv(2) straight into segment buffers ──► send queue          (transfer.h)
 *     receive queue ──► peeked at, written to the pipe, and then only what the pipe took is thrown away
 *
 * So no byte is ever in neither place, and none need be put back. What the kernel does in one go while it
 * holds the pipe's lock takes two steps here: a pipe that another thread or process fills or empties in
 * between can make one of them block, but loses nothing.
 *
 * As in Linux, SPLICE_F_NONBLOCK (or O_NONBLOCK of the pipe) is about the pipe, O_NONBLOCK of the socket
 * about the socket, and a call that has moved something does not wait for more.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "socket_priv.h"
#include "transfer.h"

#define SPLICE_F_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)
#define PIECE_BYTES  (16 * 1024) /* on the stack of the caller, which may be small */
#define PAGE_BYTES   4096
#define DATAGRAM_MAX 65507
#define MAX_PIECES_IN                                                                                        \
	16 /* of 16 KB: as much as a pipe can be made to hold without privileges, and no more                \
	    */

/* The kernel's checks, in its order (__do_splice() and do_splice() in fs/splice.c). */
static int check(int pipe_fd, off64_t *pipe_off, int pipe_access, off64_t *off, unsigned flags)
{
	int mode;

	if (flags & ~SPLICE_F_ALL)
		return -EINVAL;
	mode = real_fcntl(pipe_fd, F_GETFL, 0);
	if (mode < 0 || mode & O_PATH)
		return -EBADF;
	if (real_fcntl(pipe_fd, F_GETPIPE_SZ, 0) < 0)
		return (mode & O_ACCMODE) == (pipe_access == O_RDONLY ? O_WRONLY : O_RDONLY) ? -EBADF
											     : -EINVAL;
	if (pipe_off)
		return -ESPIPE;
	if (off && bad_pointer(off))
		return -EFAULT;
	if ((mode & O_ACCMODE) != pipe_access && (mode & O_ACCMODE) != O_RDWR)
		return -EBADF;
	return off ? -EINVAL : 0;
}

static bool pipe_nonblocking(int pipe_fd, unsigned flags)
{
	return flags & SPLICE_F_NONBLOCK || real_fcntl(pipe_fd, F_GETFL, 0) & O_NONBLOCK;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

/* What poll(2) shows of the pipe, waiting for one of `events`; -EAGAIN, -EINTR or -RESTART_CALL. */
static int pipe_wait(int pipe_fd, short events, bool nonblock)
{
	struct pollfd fds[1 + WAIT_SPARE_FDS] = {{.fd = pipe_fd, .events = events}};
	struct wait_source src = {.ready = never, .kernel_fds = fds, .n_kernel = 1};
	int r;

	for (;;) {
		fds[0] = (struct pollfd){.fd = pipe_fd, .events = events};
		if (result_of(real_poll(fds, 1, 0)) > 0)
			return fds[0].revents;
		if (nonblock)
			return -EAGAIN;
		r = wait_for(&src, TIME_NEVER);
		if (r < 0)
			return r == -EINTR && signal_restarts() ? -RESTART_CALL : r;
	}
}

static size_t pipe_bytes(int pipe_fd)
{
	int n = 0;

	return real_ioctl(pipe_fd, FIONREAD, (unsigned long)&n) == 0 && n > 0 ? (size_t)n : 0;
}

/* ---- pipe to socket ---- */

/* One call, one datagram. */
static ssize_t datagram_from_pipe(int pipe_fd, int fd, struct file *f, size_t n, unsigned flags)
{
	char buf[DATAGRAM_MAX];
	struct iovec iov = {.iov_base = buf};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t there = pipe_bytes(pipe_fd);
	ssize_t got;

	if (there < n)
		n = there;
	if (n > DATAGRAM_MAX)
		return -EMSGSIZE;
	if (!f->so->peer.port) /* looked at before the pipe loses what cannot be sent */
		return -EDESTADDRREQ;
	got = n ? result_of(real_syscall(SYS_read, pipe_fd, (long)buf, (long)n, 0, 0, 0)) : 0;
	if (got <= 0)
		return got;
	iov.iov_len = (size_t)got;
	return socket_sendmsg(fd, f, &msg, flags & SPLICE_F_MORE ? MSG_MORE : 0);
}

/* What the pipe holds now, at most `n` bytes: 0 when it is empty and nobody writes to it. */
static ssize_t stream_from_pipe(struct transfer *t, int pipe_fd, size_t n, unsigned flags, time_ns *deadline)
{
	size_t there = pipe_bytes(pipe_fd), count = there < n ? there : n;
	ssize_t sent;

	if (!count)
		return 0;
	t->more = flags & SPLICE_F_MORE || (there > count && n > count);
	for (;;) {
		sent = transfer_piece(t, count);
		if (sent == -EAGAIN)
			sent = socket_block(t->f, t->fd, EPOLLOUT, t->f->so->sndtimeo_ns, 0, deadline);
		if (sent)
			return sent;
	}
}

ssize_t socket_splice_in(int pipe_fd, off64_t *pipe_off, int fd, struct file *f, off64_t *off, size_t n,
			 unsigned flags)
{
	struct transfer t = {.fd = fd, .in_fd = pipe_fd, .f = f, .offset = -1};
	time_ns deadline = 0;
	size_t done = 0;
	ssize_t got = 0;

	if (!n)
		return 0;
	got = check(pipe_fd, pipe_off, O_RDONLY, off, flags);
	if (got)
		return got;
	if (n > MAX_RW_BYTES)
		n = MAX_RW_BYTES;
	while (done < n) {
		got = pipe_wait(pipe_fd, POLLIN, done || pipe_nonblocking(pipe_fd, flags));
		if (got < 0)
			break;
		if (f->so->kind == SOCK_KIND_UDP)
			return datagram_from_pipe(pipe_fd, fd, f, n, flags);
		got = stream_from_pipe(&t, pipe_fd, n - done, flags, &deadline);
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	if (t.corked && !(flags & SPLICE_F_MORE))
		transfer_uncork(&t);
	if (got == -EPIPE)
		pthread_kill(pthread_self(), SIGPIPE);
	return done ? (ssize_t)done : got;
}

/* ---- socket to pipe ---- */

/* Room that is known to be there after poll(2) said that there is some: all of an empty pipe, else a page. */
static size_t pipe_room(int pipe_fd, size_t size)
{
	return pipe_bytes(pipe_fd) ? PAGE_BYTES : size;
}

/* Waits for room as the kernel does, which looks for readers first. */
static int wait_for_room(int pipe_fd, bool nonblock)
{
	int events = pipe_wait(pipe_fd, POLLOUT, nonblock);

	if (events < 0)
		return events;
	if (events & POLLERR) {
		pthread_kill(pthread_self(), SIGPIPE);
		return -EPIPE;
	}
	return 0;
}

static ssize_t receive(int fd, struct file *f, void *buf, size_t n, int flags)
{
	struct iovec iov = {buf, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return socket_recvmsg(fd, f, &msg, flags);
}

static ssize_t write_pipe(int pipe_fd, const void *buf, size_t n)
{
	return result_of(real_syscall(SYS_write, pipe_fd, (long)buf, (long)n, 0, 0, 0));
}

static ssize_t datagram_to_pipe(int fd, struct file *f, int pipe_fd, size_t n)
{
	char buf[DATAGRAM_MAX];
	ssize_t got;

	got = receive(fd, f, buf, n < sizeof(buf) ? n : sizeof(buf), 0);
	return got > 0 ? write_pipe(pipe_fd, buf, (size_t)got) : got;
}

/* One piece; `flags` MSG_DONTWAIT when something was moved before. */
static ssize_t stream_to_pipe(int fd, struct file *f, int pipe_fd, size_t n, int flags)
{
	char buf[PIECE_BYTES];
	ssize_t got;

	got = receive(fd, f, buf, n < sizeof(buf) ? n : sizeof(buf), flags | MSG_PEEK);
	if (got > 0)
		got = write_pipe(pipe_fd, buf, (size_t)got);
	if (got > 0)
		got = receive(fd, f, NULL, (size_t)got, MSG_TRUNC | MSG_DONTWAIT);
	return got;
}

ssize_t socket_splice_out(int fd, struct file *f, off64_t *off, int pipe_fd, off64_t *pipe_off, size_t n,
			  unsigned flags)
{
	size_t done = 0, room, size;
	ssize_t got;

	if (!n)
		return 0;
	got = check(pipe_fd, pipe_off, O_WRONLY, off, flags);
	if (!got)
		got = wait_for_room(pipe_fd, pipe_nonblocking(pipe_fd, flags));
	if (got)
		return got;
	size = (size_t)real_fcntl(pipe_fd, F_GETPIPE_SZ, 0);
	room = pipe_room(pipe_fd, size);
	n = n < size ? n : size;
	if (f->so->kind == SOCK_KIND_UDP)
		return datagram_to_pipe(fd, f, pipe_fd, n < room ? n : room);
	while (done < n) {
		size_t part = n - done < room ? n - done : room;

		got = stream_to_pipe(fd, f, pipe_fd, part, done ? MSG_DONTWAIT : 0);
		if (got <= 0)
			break;
		done += (size_t)got;
		room -= (size_t)got;
		/* A page that is not full takes a place all the same. */
		if (room < PAGE_BYTES || (size_t)got % PAGE_BYTES) {
			if (pipe_wait(pipe_fd, POLLOUT, true) < 0)
				break;
			room = PAGE_BYTES;
		}
	}
	return done ? (ssize_t)done : got;
}
