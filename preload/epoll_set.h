/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll_set.h - epoll(7): our side of an epoll descriptor, and the calls
 *
 *     epoll_ctl ──► watch = (set, descriptor, file) ──── wake-up of the file ───► set's ready list
 *         └───────► kernel's epoll under the same number (kernel descriptors, DUAL, UNDECIDED)   │
 *     epoll_wait ◄── ready list, and the kernel's events ◄───────────────────────────────────────┘
 *
 * Every epoll descriptor has a file and a set from its creation on, so that dup and fork of it work; the set
 * costs nothing until one of our files is added.
 *
 * Readiness is kept as Linux keeps it: a wake-up puts a watch on the ready list; epoll_wait takes it off,
 * looks at the file's events of now, reports them, and puts a level-triggered watch back at the end.
 *
 * A DUAL or EPOLL file is registered with the kernel's epoll too, with the program's own data; events of both
 * sides that come in one epoll_wait are merged by that data. An UNDECIDED one is with the kernel only until
 * epoll_file_decided().
 */
#ifndef PRELOAD_EPOLL_SET_H
#define PRELOAD_EPOLL_SET_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

#include "lock.h"
#include "slot.h"
#include "stack/clock.h"

struct file;

struct epoll_watch {
	struct epoll_set *set;
	struct file *file;                         /* holds no reference: the file's end removes the watch */
	struct epoll_watch *file_next;             /* file->watches; under file->watch_lock */
	struct epoll_watch *set_next, **set_pprev; /* set->watches; under set->lock */
	struct epoll_watch *ready_next;
	uint64_t data;
	uint32_t events; /* interest and EPOLLET, EPOLLONESHOT …; under set->lock */
	int fd, epfd;    /* the numbers used at EPOLL_CTL_ADD */
	uint8_t home;    /* 1 + index of the instance that the thread which added it drives */
	bool queued;
	bool active; /* our side counts; false while the file is UNDECIDED */
	bool kernel; /* registered with the kernel's epoll too */
	struct epoll_watch *free_next;
};

struct epoll_set {
	struct shm_lock lock;
	_Atomic uint32_t n_ready;  /* length of the ready list, stale entries included */
	_Atomic uint32_t n_active; /* watches that count */
	_Atomic bool kernel_used;  /* something was ever registered with the kernel */
	_Atomic uint32_t
		n_in_kernel; /* threads in a plain epoll_wait(2), to be told when n_active leaves 0 */
	_Atomic uint64_t kernel_polled_at;
	struct epoll_watch *watches;
	struct epoll_watch *ready_head, **ready_tail;
	struct file *file;
	struct slot_set sleepers;
	char kick_mark; /* its address is the data of the kernel event that makes n_in_kernel look again */
	struct epoll_set *free_next;
};

/* All return 0 or more, or -errno, and go to libc when nothing of ours is involved. */
int epoll_create_any(int flags);
int epoll_ctl_any(int epfd, int op, int fd, struct epoll_event *ev);
int epoll_wait_any(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
		   const sigset_t *mask);

/*
 * A file that may have watches has just become STACK or DUAL (mode, so and inst are set): moves its kernel
 * registrations. No lock held.
 */
void epoll_file_decided(struct file *f);

/* For file.c: the file is on its way out. */
void epoll_file_released(struct file *f);
void epoll_set_free(struct epoll_set *set);

/*
 * For wait.c: the file had a wake-up with these EPOLL* bits. Wakes sleepers by slot_wake(), first those whose
 * home the instance is in which it happened (1 + index; 0: no matter).
 */
void epoll_file_woken(struct file *f, uint32_t bits, unsigned home);

/* For poll(2) and nested epoll on an epoll descriptor: has our side something to report? */
bool epoll_set_ready(struct epoll_set *set);

/* What epoll would report for the file now. */
uint32_t file_events(const struct file *f);

#endif
