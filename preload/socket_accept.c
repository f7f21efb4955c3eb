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

#include "epoll_set.h"
#include "fd_guard.h"
#include "listen_group.h"
#include "socket_priv.h"

/* Of so many accepts that find the stack's queue full of work, one looks into the kernel's first. */
#define KERNEL_TURN 16
#define UNDRIVEN_NS (20 * NS_PER_US)

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

void accept_prepare(int family)
{
	int saved = errno;

	placeholder(family);
	errno = saved;
}

static int new_number(int family, bool cloexec)
{
	int base = placeholder(family);

	if (base < 0)
		return base;
	return result_of(real_fcntl(base, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0));
}

/* Takes the oldest connection that waits in one instance, as the socket of `child_file`. */
static int take_from(struct file *f, struct inst *in, struct file *child_file, struct endpoint *peer,
		     int flags)
{
	struct sock *listener, *child;
	int err;

	inst_lock(in);
	listener = listen_group_at(f, in->index);
	err = listener ? sock_accept(listener, &child) : -EAGAIN;
	if (!err) {
		child_file->so = child;
		child_file->inst = in;
		atomic_store(&child_file->flags, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
		atomic_store_explicit(&child_file->mode, FILE_STACK, memory_order_release);
		child->user = child_file;
		*peer = child->peer;
	}
	inst_unlock(in);
	return err;
}

static time_ns waiting_since(const struct file *f, struct inst *in)
{
	const struct sock *listener;
	time_ns since = TIME_NEVER;

	inst_lock(in);
	listener = listen_group_at(f, in->index);
	if (listener)
		since = sock_accept_since(listener);
	inst_unlock(in);
	return since;
}

static bool has_some(const struct file *f, const struct inst *in)
{
	const struct sock *listener = listen_group_at(f, in->index);

	return listener && sock_events(listener) & EPOLLIN;
}

/*
 * Where to take the next connection: the oldest of the instances that this thread drives, whose connections
 * need no other thread; else any. NULL: none waits.
 */
static struct inst *choose(const struct file *f)
{
	struct inst *best = NULL, *any = NULL;
	time_ns best_since = 0;

	for (unsigned i = 0; i < inst_count(); i++) {
		struct inst *in = inst_get(i);
		time_ns since;

		if (!has_some(f, in))
			continue;
		any = in;
		if (!inst_is_mine(in))
			continue;
		since = waiting_since(f, in);
		if (!best || since < best_since) {
			best = in;
			best_since = since;
		}
	}
	return best ? best : any;
}

static int take_any(struct file *f, struct file *child_file, struct endpoint *peer, int flags)
{
	struct inst *in;
	int err = -EAGAIN;

	if (!f->group)
		return take_from(f, f->inst, child_file, peer, flags);
	while (err == -EAGAIN && (in = choose(f)) != NULL) /* another thread may have been faster */
		err = take_from(f, in, child_file, peer, flags);
	return err;
}

/* Takes one connection from the stack's queue. */
static int accept_stack(struct file *f, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct file *child_file;
	struct endpoint peer;
	int err, fd = new_number(f->so->family, flags & SOCK_CLOEXEC);

	if (fd < 0)
		return fd;
	child_file = file_new(FILE_UNDECIDED);
	if (!child_file) {
		real_close(fd);
		return -ENFILE;
	}
	err = take_any(f, child_file, &peer, flags);
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

/* At the devices' queues: this thread's own, and those that nobody looks at. */
static void look(struct file *f)
{
	struct inst *home = f->group ? inst_home() : f->inst;
	time_ns now = inst_clock();

	inst_poll(home);
	for (unsigned i = 0; f->group && i < inst_count(); i++)
		if (inst_get(i) != home && now - atomic_load(&inst_get(i)->driven_at) > UNDRIVEN_NS)
			inst_try_poll(inst_get(i));
}

static int accept_either(int fd, struct file *f, struct sockaddr *addr, socklen_t *len, int flags)
{
	static __thread unsigned turn;
	bool dual = file_mode(f) == FILE_DUAL;
	int got = -EAGAIN;

	if (!(file_events(f) & EPOLLIN))
		look(f);
	if (file_events(f) & EPOLLIN) {
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
	if (f->group)
		listen_group_wanted(f);
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
