/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * timer.h - hierarchical timer wheel: many deadlines, most of them cancelled before they are due
 *
 * Intrusive, allocation-free, no pointer to code: the owner embeds a struct timer with a small `kind` and
 * gets expired timers back one by one from timer_wheel_pop(). A timer fires at or after its exact deadline,
 * never before; deadlines keep nanoseconds, the 2^16 ns slots only sort them.
 */
#ifndef STACK_TIMER_H
#define STACK_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"

struct timer {
	struct timer *next, **pprev; /* pprev is NULL while not in a wheel */
	time_ns due;
	uint8_t kind;        /* owner's own: which struct embeds it */
	uint8_t level, slot; /* wheel's own */
};

#define TIMER_LEVELS     7
#define TIMER_SLOT_BITS  6
#define TIMER_SLOTS      (1 << TIMER_SLOT_BITS)
#define TIMER_TICK_SHIFT 16 /* 65.536 us */

struct timer_wheel {
	time_ns now;
	uint64_t occupied[TIMER_LEVELS];
	struct timer *slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *w, time_ns now);

/* (Re)sets the deadline. A deadline in the past is due at once. Zeroed struct timer is a valid idle timer. */
void timer_set(struct timer_wheel *w, struct timer *t, time_ns due);
void timer_cancel(struct timer_wheel *w, struct timer *t);

static inline bool timer_pending(const struct timer *t)
{
	return t->pprev != 0;
}

/* Earliest deadline, or an earlier instant when the nearest timers are far away; TIME_NEVER when the wheel is
 * empty. */
time_ns timer_wheel_next(const struct timer_wheel *w);

/* Moves the wheel to `now` and takes one timer with due <= now off it, NULL when there is none left. */
struct timer *timer_wheel_pop(struct timer_wheel *w, time_ns now);

#endif
