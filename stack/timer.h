/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * timer.h - hierarchical timer wheel: many deadlines, most of them cancelled before they are due
 *
 * Intrusive, allocation-free, no pointer to code: the owner embeds a struct timer with a small `kind` and
 * gets expired timers back one by one from timer_wheel_pop(). A timer fires at or after its exact deadline,
 * never before; deadlines keep nanoseconds, the 2^16 ns slots only sort them. Timers of different slots come
 * back in order; those of one slot (65 us) in any order.
 */
#ifndef STACK_TIMER_H
#define STACK_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

struct timer {
	struct timer *next, **pprev; /* pprev is NULL while not in a wheel */
	time_ns due;
	uint8_t kind;        /* owner's own: which struct embeds it */
	uint8_t level, slot; /* wheel's own; level TIMER_LEVELS: on the expired list */
};

#define TIMER_LEVELS     8 /* 8 * 6 + 16 = 64: every time_ns has its place */
#define TIMER_SLOT_BITS  6
#define TIMER_SLOTS      (1 << TIMER_SLOT_BITS)
#define TIMER_TICK_SHIFT 16 /* 65.536 us */

struct timer_wheel {
	uint64_t tick;         /* how far the wheel has turned; never beyond a timer that is not expired */
	time_ns earliest;      /* no timer is due before */
	uint32_t pending;      /* timers in the wheel */
	struct timer *expired; /* found due, not popped yet */
	struct timer *moving;  /* of a slot of a high level, not placed anew yet */
	uint64_t occupied[TIMER_LEVELS];
	struct timer *slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *w, time_ns now);

/*
 * (Re)sets the deadline. A deadline in the past is due at once. Zeroed struct timer is a valid idle timer.
 * Putting off a pending timer is one store: it is found and moved when its old slot comes up.
 */
void timer_set(struct timer_wheel *w, struct timer *t, time_ns due);
void timer_cancel(struct timer_wheel *w, struct timer *t);

static inline bool timer_pending(const struct timer *t)
{
	return t->pprev != NULL;
}

/* Earliest deadline, or an earlier instant when the nearest timers are far away; TIME_NEVER when the wheel is
 * empty. */
time_ns timer_wheel_next(const struct timer_wheel *w);

/*
 * The timer that is due first, after which timer_wheel_next() is exact; NULL when there is none, or when
 * finding it takes looking at more than `most`. Timers that were put off are moved to where they belong. For
 * a caller who has the time, because he is about to sleep.
 */
struct timer *timer_wheel_first(struct timer_wheel *w, unsigned most);

/*
 * Moves the wheel to `now` and takes one timer with due <= now off it, NULL when there is none left. When
 * very many timers that were set long ago come near at once, it looks at a part of them and gives NULL before
 * all are looked at; timer_wheel_next() is in the past until then.
 */
struct timer *timer_wheel_pop(struct timer_wheel *w, time_ns now);

#endif
