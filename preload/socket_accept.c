/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_accept.c - accept(2): connections of the stack and of the kernel from one listener
 *
 * A connection of the stack needs a descriptor number of its own. A dup(2) of one socket that is never bound
 * (the placeholder) costs a tenth of a socket(2), and fstat(2) still says socket. Every process makes its own
 * before its first accept, one per address family.
 *
 * The number is taken before the connection, as in Linux: EMFILE leaves the connection in the queue.
 */
#include <stdatomic.h>

#include "fd_guard.h"
#include "socket_priv.h"

/* Of so many accepts that find the stack's queue full of work, one looks into the kernel's first. */
#define KERNEL_TURN 16

static _Atomic int placeholders[2]; /* 1 + descriptor; by family */

static int placeholder(int family)
{
	_Atomic int *slot = &placeholders[family == AF_INET6];
	int fd = atomic_load(slot) - 1, none = 0;

	if (fd >= 0)
		return fd;
	fd = real_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	fd = fd_guard_high(fd);
	if (atomic_compare_exchange_strong(slot, &none, fd + 1))
		return fd;
	fd_unguard(fd);
	real_close(fd);
	return none - 1;
}

static int new_number(int family, bool cloexec)
{
	int base = placeholder(family);

	if (base < 0)
		return base;
	return result_of(real_fcntl(base, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0));
}

/* Takes one connection from the stack's queue. */
static int accept_stack(struct file *f, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct file *child_file;
	struct sock *child;
	struct endpoint peer;
	int err, fd = new_number(f->so->family, flags & SOCK_CLOEXEC);

	if (fd < 0)
		return fd;
	child_file = file_new(FILE_UNDECIDED);
	if (!child_file) {
		real_close(fd);
		return -ENFILE;
	}
	inst_lock(f->inst);
	err = sock_accept(f->so, &child);
	if (!err) {
		child_file->so = child;
		child_file->inst = f->inst;
		atomic_store(&child_file->flags, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
		atomic_store_explicit(&child_file->mode, FILE_STACK, memory_order_release);
		child->user = child_file;
		peer = child->peer;
	}
	inst_unlock(f->inst);
	if (!err)
		err = file_install(fd, child_file);
	if (err) {
		file_put(child_file);
		real_close(fd);
		return err;
	}
	if (addr && len)
		endpoint_to_sockaddr(&peer, f->so->family, addr, len);
	return fd;
}

static int accept_either(int fd, struct file *f, struct sockaddr *addr, socklen_t *len, int flags)
{
	static __thread unsigned turn;
	bool dual = file_mode(f) == FILE_DUAL;
	int got = -EAGAIN;

	if (!(sock_events(f->so) & EPOLLIN))
		inst_poll(f->inst);
	if (sock_events(f->so) & EPOLLIN) {
		if (dual && ++turn % KERNEL_TURN == 0)
			got = result_of(real_accept4(fd, addr, len, flags));
		if (got < 0)
			got = accept_stack(f, addr, len, flags);
	}
	if (got == -EAGAIN && dual)
		got = result_of(real_accept4(fd, addr, len, flags));
	return got;
}

int socket_accept(int fd, struct file *f, struct sockaddr *addr, socklen_t *len, int flags)
{
	time_ns deadline = 0;
	int got, err;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (f->so->kind == SOCK_KIND_UDP)
		return -EOPNOTSUPP;
	if (f->so->kind != SOCK_KIND_TCP_LISTEN)
		return -EINVAL;
	if (addr && (bad_pointer(addr) || bad_pointer(len)))
		return -EFAULT;
	if (addr && (int)*len < 0)
		return -EINVAL;
	for (;;) {
		got = accept_either(fd, f, addr, len, flags);
		if (got != -EAGAIN)
			return got;
		if (f->so->kind != SOCK_KIND_TCP_LISTEN) /* shutdown(2) by another thread */
			return -EINVAL;
		err = socket_block(f, fd, EPOLLIN, f->so->rcvtimeo_ns, 0, &deadline);
		if (err)
			return err;
	}
}
