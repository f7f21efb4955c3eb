/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll_select.h - poll(2) and select(2) over kernel descriptors and ours
 */
#ifndef PRELOAD_POLL_SELECT_H
#define PRELOAD_POLL_SELECT_H

#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <time.h>

/* Both return 0 or more, or -errno, and go to libc when no descriptor is ours. timeout NULL: for ever. */
int poll_any(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);

/* The time that was left is written to *timeout. n may exceed FD_SETSIZE, as the sets may. */
int select_any(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timespec *timeout, const sigset_t *mask);

#endif
