/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_opt.c - options, shutdown, ioctl(2) and fcntl(2) of files of ours
 *
 * The stack knows the options; a DUAL socket has a second half in the kernel, which gets every change too and
 * answers for what only it knows. The placeholder of a STACK socket is never asked, but for what concerns the
 * descriptor (F_SETFD) or the machine (SIOCGIF*).
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "async.h"
#include "listen_group.h"
#include "socket_priv.h"

/* What F_SETFL can change (fcntl(2)). */
#define SETFL_MASK (O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK)

static bool is_dual(struct file *f)
{
	return file_mode(f) == FILE_DUAL;
}

int socket_shutdown(int fd, struct file *f, int how)
{
	int err;

	if (is_dual(f))
		real_shutdown(fd, how);
	if (f->group && (how == SHUT_RD || how == SHUT_RDWR))
		listen_group_stop(f);
	inst_lock(f->inst);
	err = sock_shutdown(f->so, how);
	if (!err)
		inst_sent(f->inst, 0);
	inst_unlock(f->inst);
	return err;
}

int socket_getsockopt(int fd, struct file *f, int level, int name, void *val, socklen_t *len)
{
	int err;

	if (bad_pointer(len) || (*len && bad_pointer(val)))
		return -EFAULT;
	if (level == IPPROTO_IP && name == IP_PKTOPTIONS && f->so->kind == SOCK_KIND_TCP && (int)*len >= 0)
		return cmsg_pktoptions(f->so, val, len);
	inst_lock(f->inst);
	err = sock_getopt(f->so, level, name, val, len);
	inst_unlock(f->inst);
	if (err == -ENOPROTOOPT && is_dual(f))
		err = result_of(real_getsockopt(fd, level, name, val, len));
	return err;
}

/* A listener's twins hand the option on to their children too. */
static void set_twins(struct file *f, int level, int name, const void *val, socklen_t len)
{
	for (unsigned i = 0; i < inst_count(); i++) {
		struct sock *twin;

		inst_lock(inst_get(i));
		twin = listen_group_at(f, i);
		if (twin && twin != f->so)
			sock_setopt(twin, level, name, val, len);
		inst_unlock(inst_get(i));
	}
}

int socket_setsockopt(int fd, struct file *f, int level, int name, const void *val, socklen_t len)
{
	int err;

	if (len && bad_pointer(val))
		return -EFAULT;
	if (is_dual(f)) {
		err = result_of(real_setsockopt(fd, level, name, val, len));
		if (err)
			return err;
	}
	inst_lock(f->inst);
	err = sock_setopt(f->so, level, name, val, len);
	if (!err)
		inst_sent(f->inst, 0); /* uncorked, or Nagle switched off */
	inst_unlock(f->inst);
	if (!err && f->group)
		set_twins(f, level, name, val, len);
	return err;
}

static void set_flag(struct file *f, uint32_t flag, bool on)
{
	if (on)
		atomic_fetch_or(&f->flags, flag);
	else
		atomic_fetch_and(&f->flags, ~flag);
}

/* FIONREAD, SIOCOUTQ and kin: a number the stack knows. */
static int queue_length(int fd, struct file *f, unsigned long request, int *value)
{
	int err;

	inst_lock(f->inst);
	err = sock_ioctl(f->so, request, value);
	inst_unlock(f->inst);
	if (!err && !*value && request == FIONREAD && is_dual(f) && f->so->kind == SOCK_KIND_UDP)
		err = result_of(real_ioctl(fd, request, (unsigned long)value));
	return err;
}

/* The kernel's socket keeps the owner, and knows who may name whom; `err` is its answer. */
static int owner_set(struct file *f, int fd, int err)
{
	if (!err)
		async_mirror(f, fd);
	return err;
}

/* F_SETFL: the kernel's half of a DUAL socket signals too. */
static void async_changed(struct file *f, int fd, bool on)
{
	int value = on;

	if (is_dual(f))
		real_ioctl(fd, FIOASYNC, (unsigned long)&value);
	async_mirror(f, fd);
}

int socket_ioctl(int fd, struct file *f, unsigned long request, unsigned long arg)
{
	int *value = (int *)arg;

	switch (request) {
	case FIONBIO:
	case FIOASYNC:
	case FIOSETOWN:
	case SIOCSPGRP:
	case FIOGETOWN:
	case SIOCGPGRP:
	case FIONREAD:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
	case SIOCATMARK:
		if (bad_pointer(value))
			return -EFAULT;
	}
	switch (request) {
	case FIONBIO:
		set_flag(f, O_NONBLOCK, *value);
		return 0;
	case FIOASYNC:
		if (is_dual(f)) /* the kernel's half signals too */
			real_ioctl(fd, request, arg);
		set_flag(f, O_ASYNC, *value);
		async_mirror(f, fd);
		return 0;
	case FIOSETOWN:
	case SIOCSPGRP:
		return owner_set(f, fd, result_of(real_ioctl(fd, request, arg)));
	case FIONREAD:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
	case SIOCATMARK:
		return queue_length(fd, f, request, value);
	default: /* interfaces, routes: any socket of the kernel answers */
		return result_of(real_ioctl(fd, request, arg));
	}
}

int socket_fcntl(int fd, struct file *f, int cmd, unsigned long arg)
{
	uint32_t old;

	switch (cmd) {
	case F_GETFL:
		return O_RDWR | (int)atomic_load(&f->flags);
	case F_SETFL:
		old = atomic_load(&f->flags);
		while (!atomic_compare_exchange_weak(&f->flags, &old,
						     (old & ~SETFL_MASK) | (arg & SETFL_MASK)))
			;
		if ((old ^ arg) & O_ASYNC)
			async_changed(f, fd, arg & O_ASYNC);
		return 0;
	case F_SETOWN:
	case F_SETOWN_EX:
	case F_SETSIG:
		return owner_set(f, fd, result_of(real_fcntl(fd, cmd, arg)));
	default: /* the descriptor's own: F_GETFD, F_SETFD; locks and pipes: the kernel's errno */
		return result_of(real_fcntl(fd, cmd, arg));
	}
}
