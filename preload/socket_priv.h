/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_priv.h - what the socket_*.c files and sendfile.c share
 */
#ifndef PRELOAD_SOCKET_PRIV_H
#define PRELOAD_SOCKET_PRIV_H

#include <errno.h>

#include "bad_pointer.h"
#include "inst.h"
#include "libc.h"
#include "result.h"
#include "socket.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "wait.h"

#define MAX_RW_BYTES 0x7ffff000 /* Linux's MAX_RW_COUNT: no call moves more */

/*
 * The stack had nothing to give or no room: waits for one of `mask`, unless the call may not block. `timeo`
 * is SO_RCVTIMEO or SO_SNDTIMEO; *deadline is 0 at the first wait of a call and kept by it. Returns 0 (try
 * again), -EAGAIN, -EINTR or -RESTART_CALL.
 */
int socket_block(struct file *f, int fd, uint32_t mask, time_ns timeo, int flags, time_ns *deadline);

/*
 * What accept(2) needs besides the connection's own number: taken when a socket begins to listen, because a
 * program that has run out of numbers gives accept(2) exactly one. Without it accept(2) tries again.
 */
void accept_prepare(int family);

/* A stack socket for candidate `fd`, under construction; socket_adopt.c. */
struct adoption {
	int fd, family, type;
	struct file *f;
	struct inst *in;
	struct sock *so;
	bool was_undecided; /* f existed, with epoll registrations */
};

/* Makes the stack's socket with the kernel socket's options. DPDK must run. Returns 0 or -errno. */
int adopt_begin(struct adoption *a, int fd, int family, int type);
/* Puts the file under the number. */
int adopt_commit(struct adoption *a, enum file_mode mode);
void adopt_abort(struct adoption *a);

/* Copies to `so` the options that were set on the kernel's socket `fd` before it became ours. Lock not held.
 */
void socket_inherit(int fd, struct inst *in, struct sock *so, int type);

/*
 * Writes the ancillary data that the program asked for (so->opts.recv_opts) into msg's control buffer;
 * MSG_CTRUNC when it is too small. Without lock.
 */
void cmsg_fill(struct msghdr *msg, const struct sock *so, const struct sock_recv_info *info);

/* The same for a read from a connection, where only TCP_INQ can be asked for; `inq` of sock_inq(). */
void cmsg_fill_stream(struct msghdr *msg, const struct sock *so, int inq);

/* getsockopt(2)'s IP_PKTOPTIONS of a connection: what ancillary data would say of its first packet. */
int cmsg_pktoptions(const struct sock *so, void *val, socklen_t *len);

/* Ancillary data of a send: 0, or -EINVAL for what we cannot do. */
int cmsg_check_send(const struct msghdr *msg);

#endif
