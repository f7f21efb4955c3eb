/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * async.c - signals that tell of input, output and urgent data (async.h)
 *
 * As the kernel sends them (fs/fcntl.c, send_sigio()): without F_SETSIG a plain SIGIO, with it a signal that
 * carries descriptor and events. Only the kernel may say POLL_IN and its like in si_code, and SI_KERNEL: here
 * it is SI_SIGIO, which is what the kernel says for signals whose si_code means something else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "async.h"
#include "epoll_set.h"
#include "file.h"
#include "libc.h"
#include "member.h"
#include "stack/sock.h"

#define NOTES_MAX 16

struct note {
	int type, pid, sig, fd, band;
};

__thread unsigned async_noted;
static __thread struct note notes[NOTES_MAX];

static const struct reason {
	uint32_t bits;
	int band;
} reasons[] = {
	{EPOLLIN, POLLIN | POLLRDNORM},
	{EPOLLOUT, POLLOUT | POLLWRNORM | POLLWRBAND},
	{EPOLLERR, POLLERR},
	{EPOLLHUP, POLLHUP | POLLERR},
};

void async_mirror(struct file *f, int fd)
{
	struct f_owner_ex owner = {.type = F_OWNER_PID};
	int saved = errno, sig = 0;

	real_fcntl(fd, F_GETOWN_EX, (unsigned long)&owner);
	if (owner.pid) /* without an owner nobody asks for the signal */
		sig = real_fcntl(fd, F_GETSIG, 0);
	f->owner_sig = sig < 0 ? 0 : sig;
	f->async_fd = fd;
	f->owner_type = owner.type;
	f->owner_pid = owner.pid;
	errno = saved;
}

static void note(const struct file *f, int sig, int band)
{
	if (async_noted < NOTES_MAX)
		notes[async_noted++] = (struct note){f->owner_type, f->owner_pid, sig, f->async_fd, band};
}

void async_woken(const struct file *f, uint32_t bits)
{
	bits &= file_events(f);
	if (bits & EPOLLPRI)
		note(f, SIGURG, 0);
	if (!(atomic_load_explicit(&f->flags, memory_order_relaxed) & O_ASYNC))
		return;
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (!(bits & reasons[i].bits))
			continue;
		if (!f->owner_sig) {
			note(f, SIGIO, 0);
			return; /* more of them are one */
		}
		note(f, f->owner_sig, reasons[i].band);
	}
}

static void queue(const struct note *n)
{
	siginfo_t info = {.si_signo = n->sig, .si_code = SI_SIGIO};

	info.si_fd = n->fd;
	info.si_band = n->band;
	if (n->type == F_OWNER_PGRP)
		real_syscall(SYS_kill, -n->pid, n->sig, 0, 0, 0, 0);
	else if (n->type == F_OWNER_TID)
		real_syscall(SYS_rt_tgsigqueueinfo, member_pid(), n->pid, n->sig, (long)&info, 0, 0);
	else
		real_syscall(SYS_rt_sigqueueinfo, n->pid, n->sig, (long)&info, 0, 0, 0);
}

void async_send(void)
{
	int saved = errno;

	for (unsigned i = 0; i < async_noted; i++)
		queue(&notes[i]);
	async_noted = 0;
	errno = saved;
}
