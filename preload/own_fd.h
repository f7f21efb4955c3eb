/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * own_fd.h - keeps the descriptors that we need for ourselves out of the program's way
 *
 * They move above the soft limit of RLIMIT_NOFILE where it is small and the hard limit allows it, so that the
 * program neither sees gaps in its numbers nor loses any of them; else to where few programs get.
 */
#ifndef PRELOAD_OWN_FD_H
#define PRELOAD_OWN_FD_H

/*
 * Takes a descriptor just made (or -1 with errno set) and returns its high, close-on-exec twin, the original
 * being closed, guarded from the program's close(2) (fd_guard.h); or -errno. If there is no room up there, it
 * stays where it was.
 */
int own_fd(int fd);

#endif
