/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd_guard.h - descriptors of this process that are ours, not the program's: its close() must not hit them
 *
 * Programs close every number in sight when they start or daemonize. A guarded descriptor answers EBADF to
 * close(2), is left out by closefrom(3) and close_range(2), and is no target for dup2(2). Any thread, no
 * lock.
 */
#ifndef PRELOAD_FD_GUARD_H
#define PRELOAD_FD_GUARD_H

#include <stdbool.h>

void fd_guard(int fd);
void fd_unguard(int fd);
bool fd_guarded(int fd);

/*
 * Moves a descriptor out of the way of the program's small numbers, sets CLOEXEC and guards it. Returns the
 * new number; the old one when it cannot be moved; `fd` itself when it is negative.
 */
int fd_guard_high(int fd);

/* First guarded descriptor >= from, or -1. */
int fd_guard_next(int from);

#endif
