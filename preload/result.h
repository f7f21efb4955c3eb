/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * result.h - the single place where -errno becomes errno and -1
 *
 * Inside, functions return 0 or more, or -errno. A call that succeeds leaves the caller's errno as it was, as
 * a system call does, whatever happened on the way.
 */
#ifndef PRELOAD_RESULT_H
#define PRELOAD_RESULT_H

#include <errno.h>
#include <sys/types.h>

/* `saved` is errno as it was when the program called us. */
static inline ssize_t result(ssize_t value, int saved)
{
	errno = value < 0 ? (int)-value : saved;
	return value < 0 ? -1 : value;
}

/* The way back: what a libc function returned, as 0 or more, or -errno. */
static inline ssize_t result_of(ssize_t libc_value)
{
	return libc_value < 0 ? -errno : libc_value;
}

#endif
