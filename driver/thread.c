/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * thread.c - what DPDK may change in the thread that calls it, saved and restored
 *
 * All signals are blocked in between: DPDK's threads inherit that, and its writes to sockets whose peer has
 * gone raise SIGPIPE, which the program never asked for. One that is pending afterwards is ours and is taken
 * away.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include "driver/driver_priv.h"

void thread_save(struct thread_state *t)
{
	sigset_t all, pending;

	t->saved_errno = errno;
	pthread_getaffinity_np(pthread_self(), sizeof(t->cpus), &t->cpus);
	prctl(PR_GET_NAME, t->name);
	sigpending(&pending);
	t->sigpipe_pending = sigismember(&pending, SIGPIPE) == 1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &t->signals);
}

void thread_restore(const struct thread_state *t)
{
	const struct timespec now = {0};
	sigset_t pipe_only;

	if (!t->sigpipe_pending) {
		sigemptyset(&pipe_only);
		sigaddset(&pipe_only, SIGPIPE);
		sigtimedwait(&pipe_only, NULL, &now);
	}
	pthread_setaffinity_np(pthread_self(), sizeof(t->cpus), &t->cpus);
	prctl(PR_SET_NAME, t->name);
	pthread_sigmask(SIG_SETMASK, &t->signals, NULL);
	errno = t->saved_errno;
}
