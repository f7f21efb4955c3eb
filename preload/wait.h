/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wait.h - waiting for kernel and stack events at once: spin up to a learned time, then sleep in one ppoll(2)
 *
 *     loop:  drive the instances ──► ready? ──► yes: return
 *            spin budget left?   ──► loop
 *            arm RX interrupt, look once more, then ppoll(kernel fds…, device fd, own wake fd) until
 *            min(caller's timeout, next stack timer) ──► loop
 *
 * Of several threads asleep on one instance, one is its driver: only that one has the device's descriptor and
 * the stack's timers in its ppoll. The others sleep on their wake fd alone, and the driver (or whoever
 * drives) writes to it when one of their sockets got ready. A driver that leaves gives the role up; the next
 * to sleep takes it, or the helper thread steps in within about a millisecond.
 */
#ifndef PRELOAD_WAIT_H
#define PRELOAD_WAIT_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/clock.h"

struct file;
struct slot_set;
struct timespec;

/* A pollfd array given to wait_for() has this many more elements than n_kernel. */
#define WAIT_SPARE_FDS (1 + 16) /* wake fd, one device per instance */

/*
 * Blocks until `f` (mode STACK or DUAL) has one of the EPOLL* bits in `mask` (EPOLLERR and EPOLLHUP always
 * count), the deadline of inst_clock() passes, or a signal handler ran. Lock not held. Returns 0, -EAGAIN
 * (deadline) or -EINTR. The caller loops: another thread may have taken the data first. For DUAL the kernel
 * socket, reached by descriptor `fd`, counts too.
 */
int wait_file(struct file *f, int fd, uint32_t mask, time_ns deadline);

struct wait_source {
	/* Has what the caller waits for happened? Called without locks after each round of driving. */
	bool (*ready)(void *arg);
	void *arg;
	struct pollfd *kernel_fds; /* n_kernel + WAIT_SPARE_FDS elements; may be NULL when n_kernel is 0 */
	unsigned n_kernel;
	const sigset_t *sigmask; /* for the sleep only; NULL: unchanged */
	struct file **files;     /* files of ours waited for (NULL elements are skipped) */
	unsigned n_files;
	struct slot_set *set; /* or another set of sleepers to join (epoll_set.c) */
	bool no_spin;         /* sleep at once when nothing is there */
};

/*
 * The general form, on which poll, select and epoll_wait stand. Drives at least once. Returns 1 when ready()
 * said so or a kernel fd fired (looked at in the sleep only, then revents are filled in), 0 at the deadline,
 * -EINTR.
 */
int wait_for(struct wait_source *src, time_ns deadline);

/* deadline of a relative timeout (NULL: TIME_NEVER); -EINVAL for a malformed one. */
int wait_deadline(const struct timespec *timeout, time_ns *deadline);

/* The last wait of this thread gave it `n` events to work on: see inst_sent(). */
void wait_batch(unsigned n);
bool wait_in_batch(void);

/*
 * How long a sleep may last at most that relies on another process, which may be stopped, killed or gone:
 * less when there are other processes at all.
 */
time_ns wait_recheck_ns(void);

/* In a fork child. */
void wait_forget(void);

/*
 * Called under inst->lock when the stack says that a file's readiness changed: tells its epoll sets and its
 * sleepers. home: as of epoll_file_woken().
 */
void wait_file_woken(struct file *f, uint32_t wake_bits, unsigned home);

#endif
