/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * own_fd.c - moves descriptors of our own to high numbers (own_fd.h)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "fd_guard.h"
#include "libc.h"
#include "own_fd.h"

/* Room for the wake slots and a few more. */
#define OWN_FDS 512

/* fork(2) copies the kernel's table up to the highest number in use: not higher than need be. */
#define OWN_FD_BASE 1024

static int dup_above(int fd, const struct rlimit *now)
{
	struct rlimit raised = *now;
	rlim_t top = now->rlim_cur;
	int high;

	if (top >= 2 * OWN_FD_BASE)
		return real_fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD_BASE);
	if (now->rlim_max < top + OWN_FDS)
		return real_fcntl(fd, F_DUPFD_CLOEXEC, top - (top > 2 * OWN_FDS ? OWN_FDS : top / 2));
	raised.rlim_cur = top + OWN_FDS;
	if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
		return -1;
	high = real_fcntl(fd, F_DUPFD_CLOEXEC, top);
	setrlimit(RLIMIT_NOFILE, now);
	return high;
}

int own_fd(int fd)
{
	struct rlimit now;
	int high;

	if (fd < 0)
		return -errno;
	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		now.rlim_cur = now.rlim_max = OWN_FD_BASE;
	high = dup_above(fd, &now);
	if (high >= 0)
		real_close(fd);
	else
		high = fd;
	fd_guard(high);
	return high;
}
