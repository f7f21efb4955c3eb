/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_adopt.c - a candidate descriptor becomes a file with a socket of the stack
 *
 *     adopt_begin ──► stack's socket, options copied ──► caller binds, connects ──► adopt_commit
 *                                                             └── it failed ──► adopt_abort: candidate as
 * before
 *
 * The kernel's socket stays open under the number throughout. Two threads that decide about one descriptor at
 * the same time are a bug of the program; the second commit then replaces the first, nothing leaks.
 */
#include <fcntl.h>

#include "async.h"
#include "domain.h"
#include "epoll_set.h"
#include "runtime.h"
#include "socket_priv.h"

void socket_made(int fd, int domain_, int type, int protocol)
{
	int base = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (domain_ != AF_INET && domain_ != AF_INET6)
		return;
	if (base == SOCK_STREAM ? protocol && protocol != IPPROTO_TCP
				: base != SOCK_DGRAM || (protocol && protocol != IPPROTO_UDP))
		return;
	if (runtime_wanted())
		file_mark_candidate(fd);
}

bool socket_concerns(int fd)
{
	struct file *f;

	if (file_is_candidate(fd))
		return true;
	f = file_get(fd);
	if (f)
		file_put(f);
	return f;
}

int adopt_begin(struct adoption *a, int fd, int family, int type)
{
	struct inst *in = inst_home();
	int err;

	*a = (struct adoption){.fd = fd, .family = family, .type = type};
	a->f = file_get(fd);
	a->was_undecided = a->f;
	if (!a->f)
		a->f = file_new(FILE_UNDECIDED);
	if (!a->f)
		return -ENOBUFS;
	inst_lock(in);
	err = sock_new(in->stack, family, type, &a->so);
	inst_unlock(in);
	if (err) {
		file_put(a->f);
		return err;
	}
	a->in = in;
	if (a->was_undecided || file_candidate_options(fd))
		socket_inherit(fd, in, a->so, type);
	return 0;
}

int adopt_commit(struct adoption *a, enum file_mode mode)
{
	struct file *f = a->f;
	int err, fl = real_fcntl(a->fd, F_GETFL, 0);

	atomic_store(&f->flags, fl & (O_NONBLOCK | O_ASYNC | O_APPEND));
	async_mirror(f, a->fd);
	inst_lock(a->in);
	f->inst = a->in;
	f->so = a->so;
	atomic_store_explicit(&f->mode, mode, memory_order_release);
	a->so->user = f;
	inst_unlock(a->in);
	if (a->was_undecided) {
		epoll_file_decided(f);
		file_put(f);
		return 0;
	}
	err = file_install(a->fd, f);
	if (err)
		file_put(f);
	return err;
}

void adopt_abort(struct adoption *a)
{
	inst_lock(a->in);
	sock_close(a->so);
	inst_unlock(a->in);
	file_put(a->f);
}
