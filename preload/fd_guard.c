/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd_guard.c - a bitmap of guarded descriptors, private to the process and inherited by fork like they are
 *
 * Numbers are kept below 1024: fork(2) copies the kernel's table up to the highest number in use.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>

#include "fd_guard.h"
#include "libc.h"

#define GUARD_FDS   65536
#define WORD_BITS   64
#define HIGH_LIMIT  1024
#define HIGH_MARGIN 64

static _Atomic uint64_t bits[GUARD_FDS / WORD_BITS];

static bool in_range(int fd)
{
	return (unsigned)fd < GUARD_FDS;
}

void fd_guard(int fd)
{
	if (in_range(fd))
		atomic_fetch_or(&bits[fd / WORD_BITS], 1ULL << fd % WORD_BITS);
}

void fd_unguard(int fd)
{
	if (in_range(fd))
		atomic_fetch_and(&bits[fd / WORD_BITS], ~(1ULL << fd % WORD_BITS));
}

bool fd_guarded(int fd)
{
	return in_range(fd) &&
	       (atomic_load_explicit(&bits[fd / WORD_BITS], memory_order_relaxed) >> fd % WORD_BITS & 1);
}

int fd_guard_high(int fd)
{
	struct rlimit limit;
	int base = HIGH_LIMIT - HIGH_MARGIN, high;

	if (fd < 0)
		return fd;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < HIGH_LIMIT)
		base = (int)limit.rlim_cur > HIGH_MARGIN ? (int)limit.rlim_cur - HIGH_MARGIN : 0;
	high = real_fcntl(fd, F_DUPFD_CLOEXEC, base);
	if (high < 0) {
		real_fcntl(fd, F_SETFD, FD_CLOEXEC);
		high = fd;
	} else {
		real_close(fd);
	}
	fd_guard(high);
	return high;
}

int fd_guard_next(int from)
{
	for (unsigned w = from < 0 ? 0 : from / WORD_BITS; w < GUARD_FDS / WORD_BITS; w++) {
		uint64_t word = atomic_load_explicit(&bits[w], memory_order_relaxed);

		if (from > 0 && w == (unsigned)from / WORD_BITS)
			word &= ~0ULL << from % WORD_BITS;
		if (word)
			return w * WORD_BITS + __builtin_ctzll(word);
	}
	return -1;
}
