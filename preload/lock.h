/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock.h - a small lock that lives in shared memory: one compare-and-swap when free, a futex when not
 *
 * The word holds the owner's thread id, so that a waiter can see that the owner died and take the lock over.
 */
#ifndef PRELOAD_LOCK_H
#define PRELOAD_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "signal_hold.h"

struct timespec;

struct shm_lock {
	_Atomic uint32_t word; /* 0 free; else owner's tid and LOCK_* */
};

#define LOCK_WAITERS (1u << 31) /* somebody sleeps */
#define LOCK_STOP_AGAIN                                                                                      \
	(1u << 30) /* the owner was stopped, was continued for others' sake, and is to stop again */
#define LOCK_OWNER (~(LOCK_WAITERS | LOCK_STOP_AGAIN))

void shm_lock_slow(struct shm_lock *l, uint32_t tid);
void shm_unlock_slow(struct shm_lock *l, uint32_t word);

/* Gone, or a zombie: a zombie's descriptors are closed. */
bool process_is_dead(int pid);

/* The calling thread's id, cached; correct after fork, which calls thread_id_forget() in the child. */
uint32_t thread_id(void);
void thread_id_forget(void);

/* Sleeps while *word == val; false when the timeout (relative; NULL: none) passed. errno is kept. */
bool futex_wait(_Atomic uint32_t *word, uint32_t val, const struct timespec *timeout);
void futex_wake(_Atomic uint32_t *word, int n);

static inline bool shm_trylock(struct shm_lock *l)
{
	uint32_t expected = 0;

	signals_hold();
	if (atomic_compare_exchange_strong_explicit(&l->word, &expected, thread_id(), memory_order_acquire,
						    memory_order_relaxed))
		return true;
	signals_release();
	return false;
}

/* Gives up after about `ms`, also when the owner is dead: for readers that can do without. */
bool shm_lock_within(struct shm_lock *l, unsigned ms);

/* No signal handler of the program runs on this thread until the unlock. */
static inline void shm_lock(struct shm_lock *l)
{
	uint32_t expected = 0;

	signals_hold();
	if (!atomic_compare_exchange_strong_explicit(&l->word, &expected, thread_id(), memory_order_acquire,
						     memory_order_relaxed))
		shm_lock_slow(l, thread_id());
}

static inline void shm_unlock(struct shm_lock *l)
{
	uint32_t word = atomic_exchange_explicit(&l->word, 0, memory_order_release);

	if (word & (LOCK_WAITERS | LOCK_STOP_AGAIN))
		shm_unlock_slow(l, word);
	signals_release();
}

static inline bool shm_lock_is_mine(const struct shm_lock *l)
{
	return (atomic_load_explicit(&l->word, memory_order_relaxed) & LOCK_OWNER) == thread_id();
}

#endif
