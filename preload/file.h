/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file.h - an open file description of ours, and the way from a descriptor number to it
 *
 * A descriptor of ours is a real kernel descriptor (its number, CLOEXEC and lifetime are the kernel's) for
 * which the member's descriptor table (shared memory, so that a survivor can clean up after a killed process)
 * names a struct file. dup(2) and fork(2) make more references to the same file, as in the kernel.
 *
 *   mode UNDECIDED  an AF_INET/AF_INET6 socket that is still wholly the kernel's; exists only when something
 * must be remembered before the decision (an epoll registration). so == NULL: every call goes to libc. mode
 * STACK      the stack serves it; the kernel descriptor is a placeholder. mode DUAL       wildcard listener
 * or UDP socket: the stack and the kernel socket under the same number both serve. mode EPOLL      an epoll
 * descriptor that has, or had, a file of ours in its set.
 *
 * A table entry may also be FILE_CANDIDATE: a socket made by socket(2) that may become ours; file_get() gives
 * NULL.
 */
#ifndef PRELOAD_FILE_H
#define PRELOAD_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lock.h"

struct sock;
struct inst;
struct epoll_set;
struct epoll_watch;

enum file_mode { FILE_FREE, FILE_UNDECIDED, FILE_STACK, FILE_DUAL, FILE_EPOLL };

struct file {
	_Atomic uint32_t refs; /* descriptors of all members + calls under way */
	_Atomic uint8_t mode;  /* enum file_mode */
	_Atomic uint32_t
		flags; /* O_NONBLOCK, O_ASYNC, O_APPEND as F_SETFL set them; the access mode is O_RDWR */
	_Atomic uint32_t pollers;    /* threads asleep in poll/select/recv/send on this file */
	struct sock *so;             /* STACK, DUAL */
	struct inst *inst;           /* STACK, DUAL: so's instance */
	struct epoll_set *set;       /* EPOLL */
	struct epoll_watch *watches; /* epoll sets this file is in; under watch_lock */
	struct shm_lock watch_lock;  /* after inst->lock, before epoll_set->lock */
	int owner_pid, owner_sig;    /* F_SETOWN, F_SETSIG */
	struct file *free_next;
};

/* Descriptor -> file with a reference taken; NULL when the descriptor is not ours (pass the call to libc). No
 * lock. */
struct file *file_get(int fd);
void file_put(struct file *f);

/* New file with one reference for a descriptor to be installed; NULL when the table is full. */
struct file *file_new(enum file_mode mode);

/* Enters a file under a number in this member's table; the reference passes to the table. -EMFILE beyond the
 * table. */
int file_install(int fd, struct file *f);

/* Takes the entry out of the table and drops its reference; false when there was none. close(2) of fd comes
 * after. */
bool file_uninstall(int fd);

/* dup(2) and kin made `newfd` from `oldfd`: copies the entry (candidate marks too) and takes a reference. */
void file_dup(int oldfd, int newfd);

void file_mark_candidate(int fd);
bool file_is_candidate(int fd);

/* Highest descriptor ever installed in this member, for loops over the table. */
int file_max_fd(void);

static inline bool file_nonblocking(const struct file *f)
{
	return atomic_load_explicit(&f->flags, memory_order_relaxed) & 04000 /* O_NONBLOCK */;
}

#endif
