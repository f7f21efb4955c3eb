/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.c - the slow paths of lock.h: spin for about a hold time, then sleep in the kernel
 *
 * Futexes are the shared kind, since the waiters may be in other processes. A sleeper looks up every
 * LOCK_RECHECK_MS: that bounds the damage of a wake-up lost with a killed process.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libc.h"
#include "lock.h"

#define LOCK_SPINS      200
#define LOCK_RECHECK_MS 100
#define LOCK_WAITERS    (1u << 31)

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
		futex_wait(&l->word, w | LOCK_WAITERS, &recheck);
	}
}

void shm_unlock_slow(struct shm_lock *l)
{
	futex_wake(&l->word, 1);
}
