/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * own_fd.c - moves descriptors of our own to high numbers (own_fd.h)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "libc.h"
#include "own_fd.h"

/* Below a limit that cannot be raised: this much at its top, for the wake slots and a few more. */
#define OWN_FDS 512

/* The kernel's table of a process grows with the highest number and is copied by fork(2): do not go higher.
 */
#define OWN_FD_CEILING 65536

static int dup_above(int fd, const struct rlimit *now)
{
	struct rlimit raised = *now;
	rlim_t top = now->rlim_cur < OWN_FD_CEILING ? now->rlim_cur : OWN_FD_CEILING;
	int high;

	if (now->rlim_cur >= OWN_FD_CEILING || now->rlim_max < now->rlim_cur + OWN_FDS)
		return real_fcntl(fd, F_DUPFD_CLOEXEC, top - (top > 2 * OWN_FDS ? OWN_FDS : top / 2));
	raised.rlim_cur = now->rlim_cur + OWN_FDS;
	if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
		return -1;
	high = real_fcntl(fd, F_DUPFD_CLOEXEC, now->rlim_cur);
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
		return fd;
	high = dup_above(fd, &now);
	if (high < 0)
		return fd;
	real_close(fd);
	return high;
}
