/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pass.c - which connections a foreign image gets, and the socketpairs in their place (pass.h)
 *
 * Connected TCP sockets are passed. Listeners and UDP sockets are not: of one that is bound to every address
 * the image has the kernel's half, as ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "domain.h"
#include "fd_guard.h"
#include "libc.h"
#include "pass.h"
#include "pass_name.h"
#include "signal_hold.h"
#include "socket.h"
#include "stack/sock.h"

#define VFORK_DUPS 32

/* The calling thread's vfork child: what it made of its own descriptors. The memory is its parent's. */
static __thread struct {
	int pid, n;
	struct {
		int fd;
		struct file *f; /* no reference: the parent has one, and does not run */
	} at[VFORK_DUPS];
} vforked;

static bool in_vfork_child(void)
{
	return member_self && !member_is_me();
}

/* Where the child made `fd` something else; -1: nowhere. */
static int vfork_find(int fd)
{
	if (vforked.pid != getpid())
		vforked.n = 0;
	for (int i = 0; i < vforked.n; i++)
		if (vforked.at[i].fd == fd)
			return i;
	return -1;
}

/* The file that `fd` is in this process, without a reference. */
static struct file *file_of(int fd)
{
	struct file *f;
	int i = in_vfork_child() ? vfork_find(fd) : -1;

	if (i >= 0)
		return vforked.at[i].f;
	f = file_get(fd);
	if (f)
		file_put(f);
	return f;
}

void pass_vfork_dup(int fd, int newfd)
{
	struct file *f;
	int i;

	if (!in_vfork_child())
		return;
	f = fd < 0 ? NULL : file_of(fd);
	i = vfork_find(newfd);
	if (i < 0) {
		if (vforked.n == VFORK_DUPS)
			return;
		vforked.pid = getpid();
		i = vforked.n++;
	}
	vforked.at[i].fd = newfd;
	vforked.at[i].f = f;
}

static bool is_connection(const struct file *f)
{
	return f && file_mode(f) == FILE_STACK && f->so->kind == SOCK_KIND_TCP && f->so->peer.port;
}

/* An end to which the program adds nothing: out of its numbers' way, and not in its images. */
static int high(int fd)
{
	fd = fd_guard_high(fd);
	fd_unguard(fd);
	return fd;
}

/* The socketpair of a connection, made at its first number. False: it cannot be had. */
static bool add_end(struct pass *p, struct file *f, int number, bool reads, unsigned *end)
{
	int pair[2], type = SOCK_STREAM | SOCK_CLOEXEC;

	for (*end = 0; *end < p->n_ends; (*end)++)
		if (p->ends[*end].f == f) {
			p->ends[*end].reads |= reads;
			return true;
		}
	if (p->n_ends == PASS_MAX || socketpair(AF_UNIX, type, 0, pair) < 0)
		return false;
	pass_name_set(pair[1], f->so);
	if (file_nonblocking(f))
		real_fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK);
	p->image_fds[p->n_ends] = high(pair[0]);
	p->ends[p->n_ends++] = (struct pump_end){f, number, high(pair[1]), reads};
	return true;
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		real_close(fds[i]);
}

/* Starts the pump, and lets go of its ends. False: there is none. */
static bool start(struct pass *p)
{
	p->say_fd = p->n_ends ? pump_start(p->ends, p->n_ends) : -1;
	for (unsigned i = 0; i < p->n_ends; i++)
		real_close(p->ends[i].fd);
	if (p->say_fd >= 0)
		return true;
	atomic_fetch_add(&domain->pump.failed, p->n_ends);
	close_all(p->image_fds, p->n_ends);
	p->n_ends = 0;
	return false;
}

/* Does the image get `number`, and is it a connection? */
static void look_at(struct pass *p, int number, enum pass_which which)
{
	struct file *f = file_of(number);
	int flags;
	unsigned end;

	if (!is_connection(f))
		return;
	flags = real_fcntl(number, F_GETFD, 0);
	if (flags < 0 || (flags & FD_CLOEXEC && which == PASS_INHERITED))
		return;
	if (p->n == PASS_MAX || !add_end(p, f, number, number == 0, &end)) {
		atomic_fetch_add(&domain->pump.failed, 1);
		return;
	}
	p->at[p->n++] = (struct pass_number){number, -1, end, flags & FD_CLOEXEC};
}

/*
 * The pump finds a connection in its table under the number that it has in its family's, which in a vfork
 * child may be another one, or none any more.
 */
static void find_table_numbers(struct pass *p)
{
	for (unsigned i = 0; i < p->n_ends; i++)
		for (int fd = 0, max = file_max_fd(); fd <= max; fd++) {
			struct file *f = file_get(fd);

			if (f)
				file_put(f);
			if (f == p->ends[i].f) {
				p->ends[i].number = fd;
				break;
			}
		}
}

static int highest(void)
{
	int max = file_max_fd();

	if (!in_vfork_child() || vforked.pid != getpid())
		return max;
	for (int i = 0; i < vforked.n; i++)
		if (vforked.at[i].fd > max)
			max = vforked.at[i].fd;
	return max;
}

void pass_begin(struct pass *p, enum pass_which which)
{
	bool held SIGNALS_HELD = signals_hold();
	int saved = errno;

	p->n = p->n_ends = 0;
	p->say_fd = -1;
	if (!domain_running() || !member_self)
		return;
	for (int fd = 0, max = highest(); fd <= max; fd++)
		look_at(p, fd, which);
	if (in_vfork_child())
		find_table_numbers(p);
	if (!start(p))
		p->n = 0;
	for (unsigned i = 0; i < p->n; i++) {
		struct pass_number *at = &p->at[i];

		at->old = real_fcntl(at->number, F_DUPFD_CLOEXEC, 0);
		if (at->old >= 0)
			at->old = high(at->old);
		real_dup3(p->image_fds[at->end], at->number, at->cloexec ? O_CLOEXEC : 0);
	}
	close_all(p->image_fds, p->n_ends);
	errno = saved;
}

void pass_go(struct pass *p)
{
	int saved = errno;

	if (p->say_fd >= 0)
		pump_say(p->say_fd, true);
	p->say_fd = -1;
	errno = saved;
}

void pass_end(struct pass *p, bool went)
{
	int saved = errno;

	for (unsigned i = 0; i < p->n; i++) {
		struct pass_number *at = &p->at[i];

		if (at->old < 0)
			continue;
		if (is_connection(file_of(at->number))) /* not closed by another thread meanwhile */
			real_dup3(at->old, at->number, at->cloexec ? O_CLOEXEC : 0);
		real_close(at->old);
	}
	if (p->say_fd >= 0)
		pump_say(p->say_fd, went);
	p->n = 0;
	p->say_fd = -1;
	errno = saved;
}

/* Replaces connections among `n` descriptors. */
static void replace_rights(struct pass *p, int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct file *f = file_of(fds[i]);
		unsigned end;

		if (!is_connection(f))
			continue;
		if (p->n == PASS_MAX || !add_end(p, f, fds[i], true, &end)) {
			atomic_fetch_add(&domain->pump.failed, 1);
			continue;
		}
		p->at[p->n++].end = end;
		fds[i] = p->image_fds[end];
	}
}

bool pass_rights(struct pass *p, const struct msghdr *msg, struct msghdr *copy, void *control)
{
	bool held SIGNALS_HELD = signals_hold();
	int saved = errno;

	p->n = p->n_ends = 0;
	p->say_fd = -1;
	if (!domain_running() || !member_is_me() || msg->msg_controllen > PASS_CONTROL_MAX)
		return false;
	*copy = *msg;
	copy->msg_control = memcpy(control, msg->msg_control, msg->msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(copy); c; c = CMSG_NXTHDR(copy, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len > CMSG_LEN(0) &&
		    c->cmsg_len <= (size_t)((char *)control + msg->msg_controllen - (char *)c))
			replace_rights(p, (int *)CMSG_DATA(c), (c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	p->n = 0; /* no number of this process changes */
	errno = saved;
	return p->n_ends && start(p);
}

void pass_rights_end(struct pass *p, bool sent)
{
	int saved = errno;

	close_all(p->image_fds, p->n_ends);
	pump_say(p->say_fd, sent);
	errno = saved;
}
