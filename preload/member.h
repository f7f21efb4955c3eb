/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * member.h - one process of the family: its descriptor table, and what happens to it at fork, exec and exit
 *
 * The table (descriptor number -> struct file) is in shared memory, so that a survivor can drop the
 * references of a process that was killed. fork(2) copies it in the parent, before the child exists: between
 * fork and the child's first instruction the parent may close its own copy of a connection that it hands
 * over.
 */
#ifndef PRELOAD_MEMBER_H
#define PRELOAD_MEMBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/clock.h"

enum member_pid { MEMBER_FREE = 0, MEMBER_UNBORN = -1, MEMBER_REAPED = -2 };

struct member {
	_Atomic int pid; /* or enum member_pid */
	_Atomic int max_fd;
	uint32_t home;              /* index of the instance that its first thread drives */
	_Atomic uint64_t unborn_at; /* when fork(2) was about to make it */
};

/* This process's member, NULL before it has one. */
extern struct member *member_self;

/* The process id under which this process is a member; getpid() differs in a vfork child. 0: not a member. */
int member_pid(void);

/* False in a vfork child, which must leave the descriptor table alone, and in processes that have no member.
 */
bool member_is_me(void);

/* Makes this process a member if it is none. Returns 0 or -errno. */
int member_join(void);

/* pthread_atfork calls these; wrappers of calls that fork behind libc's back call them themselves. */
void member_before_fork(void);
void member_after_fork_parent(void);
void member_after_fork_child(void);

/*
 * exec drops all references of this process; when it fails, what still lives is taken back.
 */
void member_before_exec(void);
void member_exec_failed(void);

/*
 * The process ends: closes everything, and sees to it that data and FINs on the way still reach their peers,
 * by another member or by a detached child. Idempotent; does nothing in a vfork child.
 */
void member_exit(void);

/*
 * For member_exit(), after helper_stop(): what other threads sleep for is let go of, and they do not wake up
 * any more. A connection must not stay open because somebody was in a recv(2) of it.
 */
void member_end_threads(void);

/* For member_exit(): gives up this process's membership and all references it still has. */
bool member_leave(void);

/* Looks for killed members at most five times a second and cleans up after them. */
void member_reap(time_ns now);

/*
 * For member_exit(): cleans up after killed members, unless somebody is alive who will do it. Their
 * references would keep connections open, and the device's driver among them would look as if it still drove.
 */
void member_reap_before_exit(void);

#endif
