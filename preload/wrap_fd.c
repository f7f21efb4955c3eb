/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_fd.c - exported: close, dup, fcntl, ioctl and their kin
 *
 * The kernel's descriptor is always there too, so every call is made on it, and the table follows. In a
 * vfork(2) child, which shares our memory but not the parent's descriptors, the table is left alone.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>

#include "fd_guard.h"
#include "inside.h"
#include "member.h"
#include "pass.h"
#include "socket.h"
#include "wrap.h"
#include "wrap_file.h"

/* Does the table say anything about the number? */
static bool known(int fd)
{
	struct file *f;

	if (file_is_candidate(fd))
		return true;
	f = file_get(fd);
	if (f)
		file_put(f);
	return f;
}

static void forget(int fd)
{
	if (!known(fd))
		return;
	if (member_is_me())
		file_uninstall(fd);
	else
		pass_vfork_dup(-1, fd);
}

int wrap_close(int fd)
{
	if (fd_guarded(fd)) {
		if (!inside)
			return result(-EBADF, 0);
		fd_unguard(fd);
	}
	forget(fd);
	return real_close(fd);
}
WRAP_ALIAS(__close, close)

/* close_range(2) around the guarded descriptors. */
static int close_unguarded(unsigned first, unsigned last, int flags)
{
	while (first <= last) {
		int guarded = first > INT_MAX ? -1 : fd_guard_next((int)first);
		bool beyond = guarded < 0 || (unsigned)guarded > last;

		if (beyond)
			return real_close_range(first, last, flags);
		if ((unsigned)guarded > first && real_close_range(first, guarded - 1, flags))
			return -1;
		first = guarded + 1u;
	}
	return 0;
}

int wrap_close_range(unsigned first, unsigned last, int flags)
{
	int max = file_max_fd();

	if (first > last || flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return real_close_range(first, last, flags);
	if (!(flags & CLOSE_RANGE_CLOEXEC))
		for (unsigned fd = first; fd <= last && (int)fd <= max; fd++)
			forget(fd);
	return close_unguarded(first, last, flags);
}

void wrap_closefrom(int first)
{
	if (wrap_close_range(first < 0 ? 0 : first, UINT_MAX, 0))
		real_closefrom(fd_guard_next(0) < 0 ? first : INT_MAX);
}

/* After a dup(2) of any kind: the new number means what the old one means. */
static int duplicated(int fd, int newfd)
{
	int saved = errno;

	if (newfd >= 0 && newfd != fd && !member_is_me())
		pass_vfork_dup(fd, newfd);
	else if (newfd >= 0 && newfd != fd && (known(fd) || known(newfd)))
		file_dup(fd, newfd);
	errno = saved;
	return newfd;
}

int wrap_dup(int fd)
{
	return duplicated(fd, real_dup(fd));
}

/* A number of ours cannot be had; Linux has EBUSY for a race with open(2). */
int wrap_dup2(int fd, int newfd)
{
	if (fd_guarded(newfd) && !inside)
		return result(real_fcntl(fd, F_GETFD, 0) < 0 ? -EBADF : -EBUSY, 0);
	return duplicated(fd, real_dup2(fd, newfd));
}
WRAP_ALIAS(__dup2, dup2)

int wrap_dup3(int fd, int newfd, int flags)
{
	if (fd_guarded(newfd) && !inside)
		return result(flags & ~O_CLOEXEC || fd == newfd ? -EINVAL : -EBUSY, 0);
	return duplicated(fd, real_dup3(fd, newfd, flags));
}

int wrap_fcntl(int fd, int cmd, unsigned long arg)
{
	struct file *f;

	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return duplicated(fd, real_fcntl(fd, cmd, arg));
	if (cmd == F_GETOWN) /* the kernel's socket keeps it; a group is a negative answer */
		return real_fcntl(fd, cmd, arg);
	f = socket_get(fd);
	return f ? ON_FILE(f, socket_fcntl(fd, f, cmd, arg)) : real_fcntl(fd, cmd, arg);
}
WRAP_ALIAS(__fcntl, fcntl)
WRAP_ALIAS(fcntl64, fcntl)

int wrap_ioctl(int fd, unsigned long request, unsigned long arg)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_ioctl(fd, f, request, arg)) : real_ioctl(fd, request, arg);
}
