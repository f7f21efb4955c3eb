/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file.h - an open file description of ours, and the way from a descriptor number to it
 *
 * A descriptor of ours is a real kernel descriptor (its number, CLOEXEC and lifetime are the kernel's) for
 * which the member's descriptor table (shared memory, so that a survivor can clean up after a killed process)
 * names a struct file. dup(2) and fork(2) make more references to the same file, as in the kernel.
 *
 *   UNDECIDED  an AF_INET/AF_INET6 socket that is still wholly the kernel's; exists only when something must
 *              be remembered before the decision (an epoll registration). so == NULL: every call goes to
 * libc. STACK      the stack serves it; the kernel descriptor is a placeholder. DUAL       wildcard listener
 * or UDP socket: the stack and the kernel socket under the same number both serve. EPOLL      an epoll
 * descriptor; kernel descriptors in it are the kernel's, ours are in `set`.
 *
 * A table entry may also be a candidate mark: a socket made by socket(2) that may become ours; file_get()
 * gives NULL for it.
 */
#ifndef PRELOAD_FILE_H
#define PRELOAD_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lock.h"
#include "slot.h"

struct sock;
struct inst;
struct epoll_set;
struct epoll_watch;
struct listen_group;

enum file_mode { FILE_FREE, FILE_UNDECIDED, FILE_STACK, FILE_DUAL, FILE_EPOLL };

struct file {
	_Atomic uint32_t refs;    /* descriptors of all members + calls under way */
	_Atomic uint8_t mode;     /* enum file_mode; written after so and inst */
	_Atomic bool options_set; /* UNDECIDED: as file_mark_candidate_options() */
	_Atomic uint16_t pumps;   /* pumps that have a reference: pump.h */
	_Atomic uint16_t cmsgs;   /* control messages that recvmsg(2) must make */
	_Atomic uint32_t flags; /* O_NONBLOCK, O_ASYNC, O_APPEND as F_SETFL set them; access mode is O_RDWR */
	struct shm_lock watch_lock;
	struct sock *so;             /* STACK, DUAL */
	struct inst *inst;           /* STACK, DUAL: so's instance */
	struct listen_group *group;  /* a listener's sockets in the other instances; NULL: none */
	struct epoll_set *set;       /* EPOLL */
	struct epoll_watch *watches; /* epoll sets this file is in; under watch_lock */
	struct slot_set sleepers;    /* threads asleep in poll/select/recv/send/accept/connect on this file */
	int owner_type, owner_pid;   /* F_SETOWN_EX; owner_pid 0: nobody (async.h) */
	int owner_sig, async_fd;     /* F_SETSIG; the number that O_ASYNC was set through */
	struct file *free_next;
};

/* This process's table: file.c's own, here for file_get(). */
extern _Atomic(struct file *) *file_entries;
extern unsigned file_entries_count; /* 0 until this process is a member */

/*
 * Descriptor -> file with a reference taken; NULL when the descriptor is not ours (pass the call to libc). No
 * lock.
 */
struct file *file_get_entry(int fd);

static inline struct file *file_get(int fd)
{
	if ((unsigned)fd >= file_entries_count ||
	    !atomic_load_explicit(&file_entries[fd], memory_order_relaxed))
		return 0;
	return file_get_entry(fd);
}

/* Drops a reference. The last one closes the socket (sock_close) and leaves all epoll sets. No lock held. */
void file_put(struct file *f);

/* New file with one reference for a descriptor to be installed; NULL when the table is full. */
struct file *file_new(enum file_mode mode);

/*
 * Enters a file under a number in this member's table; the reference passes to the table. -EMFILE beyond the
 * table, and then the caller still has the reference. What stood there before (a candidate mark, or the file
 * of a descriptor that was closed behind our back) is dropped.
 */
int file_install(int fd, struct file *f);

/*
 * Takes the entry out of the table and drops its reference; false when there was none (a candidate mark does
 * not count, but is cleared). close(2) of fd comes after.
 */
bool file_uninstall(int fd);

/*
 * dup(2) and kin made `newfd` from `oldfd`: copies the entry and takes a reference; a candidate becomes an
 * UNDECIDED file of both.
 * What newfd named before is dropped, so after dup2 over a file of ours nothing else is needed.
 */
void file_dup(int oldfd, int newfd);

/*
 * A candidate is a marked descriptor or one with an UNDECIDED file. `options`: setsockopt was called on it,
 * so that whoever makes it ours must copy options.
 */
void file_mark_candidate(int fd);
void file_mark_candidate_options(int fd);
bool file_is_candidate(int fd);
bool file_candidate_options(int fd);

/* Highest descriptor ever installed in this member, -1 for none: for loops over the table. */
int file_max_fd(void);

/* A reference to a file that may be on its way out; false when it is. For lists that hold no reference. */
bool file_ref(struct file *f);

/* For member.c: the table of a member, made this process's own, copied, and dropped entry by entry. */
void file_table_use(unsigned member);
void file_table_none(void);
int file_table_copy(unsigned to);                      /* highest number copied, -1: nothing */
struct file *file_table_peek(unsigned member, int fd); /* NULL for marks too; no reference */
void file_table_drop(unsigned member, int max_fd);

/* For domain.c: one reference for each entry of this member's table is added to files that have lost all. */
void file_table_count(void);

static inline bool file_nonblocking(const struct file *f)
{
	return atomic_load_explicit(&f->flags, memory_order_relaxed) & 04000 /* O_NONBLOCK */;
}

static inline enum file_mode file_mode(const struct file *f)
{
	return (enum file_mode)atomic_load_explicit(&f->mode, memory_order_acquire);
}

#endif
