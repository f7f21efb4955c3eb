/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.c - the slow paths of lock.h: spin for about a hold time, then sleep in the kernel
 *
 * Futexes are the shared kind, since the waiters may be in other processes. A sleeper looks up every
 * LOCK_RECHECK_MS: that bounds the damage of a wake-up lost with a killed process. A lock whose owner was
 * killed is taken over, with a warning, since what the owner was in the middle of stays half done.
 *
 * An owner that was stopped (SIGSTOP, job control) would stop the whole family with it, and its lock cannot
 * be taken from it, since it will go on one day. So whoever waits continues it, and it stops itself again
 * when it gives the lock back, some microseconds later. Nothing of the program runs in between but a handler
 * of SIGCONT. Somebody else's SIGCONT within these microseconds is lost; what is stopped by a debugger stays
 * stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libc.h"
#include "lock.h"
#include "log.h"

#define LOCK_SPINS      200
#define LOCK_RECHECK_MS 100
#define LOCK_NAP_US     50

static __thread uint32_t cached_tid;

uint32_t thread_id(void)
{
	if (__builtin_expect(cached_tid == 0, 0))
		cached_tid = (uint32_t)real_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	return cached_tid;
}

void thread_id_forget(void)
{
	cached_tid = 0;
}

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static long futex(_Atomic uint32_t *word, int op, uint32_t val, const struct timespec *timeout)
{
	return real_syscall(SYS_futex, (long)word, op, val, (long)timeout, 0, 0);
}

bool futex_wait(_Atomic uint32_t *word, uint32_t val, const struct timespec *timeout)
{
	int saved = errno;
	bool timed_out = futex(word, FUTEX_WAIT, val, timeout) < 0 && errno == ETIMEDOUT;

	errno = saved;
	return !timed_out;
}

void futex_wake(_Atomic uint32_t *word, int n)
{
	int saved = errno;

	futex(word, FUTEX_WAKE, (uint32_t)n, NULL);
	errno = saved;
}

static bool try_take(struct shm_lock *l, uint32_t word)
{
	uint32_t expected = 0;

	return atomic_compare_exchange_strong_explicit(&l->word, &expected, word, memory_order_acquire,
						       memory_order_relaxed);
}

bool process_is_dead(int pid)
{
	int saved = errno, pidfd = (int)real_syscall(SYS_pidfd_open, pid, 0, 0, 0, 0, 0), r;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0) {
		r = errno == ESRCH;
	} else {
		r = real_poll(&p, 1, 0);
		real_close(pidfd);
	}
	errno = saved;
	return r > 0;
}

/* A main thread stays findable as long as its process is a zombie; pidfd_open(2) refuses all other threads.
 */
static bool thread_is_dead(uint32_t tid)
{
	int saved = errno;
	bool gone = real_syscall(SYS_tkill, tid, 0, 0, 0, 0, 0) < 0 && errno == ESRCH;

	errno = saved;
	return gone || process_is_dead((int)tid);
}

static bool take_over(struct shm_lock *l, uint32_t tid)
{
	uint32_t w = atomic_load_explicit(&l->word, memory_order_relaxed), owner = w & LOCK_OWNER;

	if (owner == 0 || !thread_is_dead(owner) ||
	    !atomic_compare_exchange_strong_explicit(&l->word, &w, tid | LOCK_WAITERS, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	log_warn("thread %u was killed inside Shunt; what it was doing is left as it was", owner);
	return true;
}

/* As /proc says, by system calls of our own: nothing of libc's stdio or of the exported calls here. */
static bool thread_is_stopped(uint32_t tid)
{
	char path[32], stat[256], *end;
	int saved = errno;
	long fd, n = 0;

	snprintf(path, sizeof(path), "/proc/%u/stat", tid);
	fd = real_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd >= 0) {
		n = real_syscall(SYS_read, fd, (long)stat, sizeof(stat) - 1, 0, 0, 0);
		real_close((int)fd);
	}
	errno = saved;
	if (n <= 0)
		return false;
	stat[n] = '\0';
	end = strrchr(stat, ')');
	return end && end[1] == ' ' && end[2] == 'T';
}

static void continue_thread(uint32_t tid)
{
	int saved = errno;

	real_syscall(SYS_kill, tid, SIGCONT, 0, 0, 0, 0);
	errno = saved;
}

static void continue_stopped_owner(struct shm_lock *l)
{
	uint32_t w = atomic_load_explicit(&l->word, memory_order_relaxed), marked = w | LOCK_STOP_AGAIN;
	uint32_t owner = w & LOCK_OWNER;

	if (owner == 0 || !thread_is_stopped(owner) ||
	    !atomic_compare_exchange_strong_explicit(&l->word, &w, marked, memory_order_relaxed,
						     memory_order_relaxed))
		return;
	if (thread_is_stopped(owner)) {
		continue_thread(owner);
		return;
	}
	/* Somebody else continued it: take the mark back, or its effect when it was quicker. */
	if (!atomic_compare_exchange_strong_explicit(&l->word, &marked, w, memory_order_relaxed,
						     memory_order_relaxed) &&
	    (marked & LOCK_OWNER) != owner)
		continue_thread(owner);
}

void shm_lock_slow(struct shm_lock *l, uint32_t tid)
{
	static const struct timespec recheck = {.tv_nsec = LOCK_RECHECK_MS * 1000000};

	for (int i = 0; i < LOCK_SPINS; i++) {
		if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 && try_take(l, tid))
			return;
		pause_cpu();
	}
	for (;;) {
		uint32_t w = atomic_load_explicit(&l->word, memory_order_relaxed);

		if (w == 0) {
			/* Others may sleep behind us: who has slept always leaves the mark for its unlock. */
			if (try_take(l, tid | LOCK_WAITERS))
				return;
			continue;
		}
		if (!(w & LOCK_WAITERS) &&
		    !atomic_compare_exchange_strong_explicit(&l->word, &w, w | LOCK_WAITERS,
							     memory_order_relaxed, memory_order_relaxed))
			continue;
		if (futex_wait(&l->word, w | LOCK_WAITERS, &recheck))
			continue;
		if (take_over(l, tid))
			return;
		continue_stopped_owner(l);
	}
}

bool shm_lock_within(struct shm_lock *l, unsigned ms)
{
	static const struct timespec nap = {.tv_nsec = LOCK_NAP_US * 1000};

	for (unsigned naps = 0; naps <= ms * 1000 / LOCK_NAP_US; naps++) {
		for (int i = 0; i < LOCK_SPINS; i++) {
			if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 && shm_trylock(l))
				return true;
			pause_cpu();
		}
		nanosleep(&nap, NULL);
	}
	return false;
}

void shm_unlock_slow(struct shm_lock *l, uint32_t word)
{
	int saved = errno;

	if (word & LOCK_WAITERS)
		futex_wake(&l->word, 1);
	if (word & LOCK_STOP_AGAIN)
		real_syscall(SYS_kill, real_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGSTOP, 0, 0, 0, 0);
	errno = saved;
}
