/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket.h - the socket calls on descriptors of ours, and the decision which descriptors become ours
 *
 *     socket(2) ──► the kernel's, marked candidate
 *        │ bind(wildcard), listen, sendto(routed)   ──► DUAL:  stack and kernel under one number
 *        │ bind(127.x) with loopback=stack          ──► DUAL
 *        │ bind(own address), connect(routed)       ──► STACK: the kernel socket is a placeholder
 *        └ anything else                            ──► the kernel's for good
 *
 * Every function returns 0 or more, or -errno; blocking, timeouts, SIGPIPE and restarting after signals are
 * done here, on top of stack/sock.h, which never blocks. Called by wrap_*.c with a reference on the file and
 * no lock; each takes inst->lock around the stack's part only, never around a system call.
 *
 *   socket_adopt.c   candidate to file: the stack's socket, its options, its place in the table
 *   socket_name.c    bind listen connect, getsockname getpeername
 *   socket_accept.c  accept, placeholders
 *   socket_io.c      send and receive; socket_cmsg.c ancillary data
 *   socket_opt.c     options, shutdown, ioctl, fcntl; socket_inherit.c kernel's options to the stack's socket
 *   sendfile.c       file to socket; splice.c pipe to socket and back
 */
#ifndef PRELOAD_SOCKET_H
#define PRELOAD_SOCKET_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "file.h"

/* The file behind a socket of ours, with a reference; NULL for everything that libc must do. */
static inline struct file *socket_get(int fd)
{
	struct file *f = file_get(fd);

	if (f && !f->so) {
		file_put(f);
		return NULL;
	}
	return f;
}

/*
 * These decide, so they take any descriptor that is a file of ours or a candidate (socket_concerns()), and
 * reach libc themselves.
 */
bool socket_concerns(int fd);
int socket_bind(int fd, const struct sockaddr *addr, socklen_t len);
int socket_listen(int fd, int backlog);
int socket_connect(int fd, const struct sockaddr *addr, socklen_t len);

/*
 * A datagram is about to go to `addr` from a candidate: makes it DUAL when the destination is ours. Returns
 * the file with a reference or NULL (libc's), and 0 or -errno in *err.
 */
struct file *socket_decide_send(int fd, const struct sockaddr *addr, socklen_t len, int *err);

/*
 * A send with MSG_FASTOPEN from any descriptor: what comes before the data. 0: connected, now send it to
 * nobody by name; 1: the call goes on as any other; else -errno.
 */
int socket_fastopen(int fd, const struct msghdr *msg, int flags);

/* socket(2) gave `fd`: marks what may become ours. */
void socket_made(int fd, int domain, int type, int protocol);

int socket_accept(int fd, struct file *f, struct sockaddr *addr, socklen_t *len, int flags);
int socket_getsockname(struct file *f, struct sockaddr *addr, socklen_t *len);
int socket_getpeername(struct file *f, struct sockaddr *addr, socklen_t *len);

ssize_t socket_recvmsg(int fd, struct file *f, struct msghdr *msg, int flags);
ssize_t socket_sendmsg(int fd, struct file *f, const struct msghdr *msg, int flags);
int socket_recvmmsg(int fd, struct file *f, struct mmsghdr *msgs, unsigned n, int flags,
		    struct timespec *timeout);
int socket_sendmmsg(int fd, struct file *f, struct mmsghdr *msgs, unsigned n, int flags);
ssize_t socket_sendfile(int fd, struct file *f, int in_fd, off_t *offset, size_t count);

/* splice(2) with a socket at one end: the other one must be a pipe. *_off: as given, only looked at. */
ssize_t socket_splice_in(int pipe_fd, off64_t *pipe_off, int fd, struct file *f, off64_t *off, size_t n,
			 unsigned flags);
ssize_t socket_splice_out(int fd, struct file *f, off64_t *off, int pipe_fd, off64_t *pipe_off, size_t n,
			  unsigned flags);

int socket_shutdown(int fd, struct file *f, int how);
int socket_getsockopt(int fd, struct file *f, int level, int name, void *val, socklen_t *len);
int socket_setsockopt(int fd, struct file *f, int level, int name, const void *val, socklen_t len);
int socket_ioctl(int fd, struct file *f, unsigned long request, unsigned long arg);
int socket_fcntl(int fd, struct file *f, int cmd, unsigned long arg);

#endif
