/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * helper.h - the thread that keeps the stack going while the program does something else
 *
 * One per process, made at first need. While threads of the application run, it looks about every millisecond
 * whether somebody drove the instances; if nobody does, it takes the driver's part itself and sleeps on the
 * device, until an application thread waits again and takes over. While application threads are asleep in a
 * wait it is parked for good: the first to leave its wait sets an alarm for it, a millisecond ahead, which
 * costs less than waking it.
 */
#ifndef PRELOAD_HELPER_H
#define PRELOAD_HELPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum helper_state { HELPER_NONE, HELPER_PARKED, HELPER_TICKING, HELPER_STARTING, HELPER_OFF };

extern _Atomic uint32_t helper_state;

void helper_kick_slow(void);

/* The calling thread goes on to run the program: from now on the helper has to watch. */
static inline void helper_kick(void)
{
	if (__builtin_expect(atomic_load_explicit(&helper_state, memory_order_relaxed) < HELPER_TICKING, 0))
		helper_kick_slow();
}

/* Is there a helper that looks after the instances when it has to? */
static inline bool helper_works(void)
{
	uint32_t state = atomic_load_explicit(&helper_state, memory_order_relaxed);

	return state == HELPER_PARKED || state == HELPER_TICKING || state == HELPER_STARTING;
}

/* Before exit: no more driving by this process's helper once it returned. */
void helper_stop(void);

/* In a fork child: the thread is not there. Before fork: it must not be created half-way. */
void helper_before_fork(void);
void helper_after_fork(bool child);

#endif
