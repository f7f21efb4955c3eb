/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * timer.c - the timer wheel: see timer.h for the contract
 *
 * A timer's place is where its tick (deadline / 2^16 ns) differs from the wheel's: the highest 6-bit digit
 * that differs is the level, the value of that digit in the deadline is the slot. So no level ever wraps, the
 * lowest occupied level holds the earliest timers, and its lowest slot the earliest of them. When the wheel's
 * tick reaches a slot of a higher level, the slot's timers are placed anew, at lower levels.
 *
 * Invariant: for each pending timer, slot start <= max(due, wheel's tick). A timer that was put off stays
 * where it was (start too early) until its slot is looked at; that is why every look compares `due` itself.
 */
#include "timer.h"

#include <string.h>

#define SLOT_MASK (TIMER_SLOTS - 1)

/*
 * A slot of this level is 268 ms wide, of higher ones 17 s and more, and may hold a timer of every connection
 * there is (keep-alive): it is placed anew in parts.
 */
#define PARTS_LEVEL 2
#define PART        256

void timer_wheel_init(struct timer_wheel *w, time_ns now)
{
	memset(w, 0, sizeof *w);
	w->tick = now >> TIMER_TICK_SHIFT;
	w->earliest = TIME_NEVER;
}

static void push(struct timer **head, struct timer *t)
{
	t->next = *head;
	if (t->next)
		t->next->pprev = &t->next;
	t->pprev = head;
	*head = t;
}

static void locate(const struct timer_wheel *w, time_ns due, unsigned *level, unsigned *slot)
{
	uint64_t tick = due >> TIMER_TICK_SHIFT;
	if (tick < w->tick)
		tick = w->tick;
	uint64_t differs = tick ^ w->tick;
	*level = differs ? (63 - (unsigned)__builtin_clzll(differs)) / TIMER_SLOT_BITS : 0;
	*slot = (tick >> (*level * TIMER_SLOT_BITS)) & SLOT_MASK;
}

static void place(struct timer_wheel *w, struct timer *t)
{
	unsigned level, slot;

	locate(w, t->due, &level, &slot);
	t->level = (uint8_t)level;
	t->slot = (uint8_t)slot;
	push(&w->slots[level][slot], t);
	w->occupied[level] |= 1ULL << slot;
}

static void unlink_timer(struct timer_wheel *w, struct timer *t)
{
	*t->pprev = t->next;
	if (t->next)
		t->next->pprev = t->pprev;
	t->pprev = NULL;
	if (t->level < TIMER_LEVELS && !w->slots[t->level][t->slot])
		w->occupied[t->level] &= ~(1ULL << t->slot);
}

void timer_set(struct timer_wheel *w, struct timer *t, time_ns due)
{
	if (timer_pending(t)) {
		if (t->level < TIMER_LEVELS && due >= t->due) {
			t->due = due;
			return;
		}
		unlink_timer(w, t);
	} else {
		w->pending++;
	}
	t->due = due;
	place(w, t);
	if (due < w->earliest)
		w->earliest = due;
}

void timer_cancel(struct timer_wheel *w, struct timer *t)
{
	if (!timer_pending(t))
		return;
	unlink_timer(w, t);
	w->pending--;
}

time_ns timer_wheel_next(const struct timer_wheel *w)
{
	return w->pending ? w->earliest : TIME_NEVER;
}

/* Empties a slot and gives back its list, whose pprev links are not valid any more. */
static struct timer *take_slot(struct timer_wheel *w, unsigned level, unsigned slot)
{
	struct timer *list = w->slots[level][slot];
	w->slots[level][slot] = NULL;
	w->occupied[level] &= ~(1ULL << slot);
	return list;
}

static uint64_t slot_start(const struct timer_wheel *w, unsigned level, unsigned slot)
{
	unsigned shift = level * TIMER_SLOT_BITS;
	uint64_t digits = w->tick >> shift; /* two shifts: one by 64 would be undefined at the top level */
	return ((digits & ~(uint64_t)SLOT_MASK) | slot) << shift;
}

/* Places anew some of what a slot of a high level held. */
static void move_part(struct timer_wheel *w, unsigned most)
{
	for (; w->moving && most > 0; most--) {
		struct timer *t = w->moving;

		w->moving = t->next;
		if (t->next)
			t->next->pprev = &w->moving;
		place(w, t);
	}
}

static void begin_move(struct timer_wheel *w, unsigned level, unsigned slot)
{
	w->moving = take_slot(w, level, slot);
	w->moving->pprev = &w->moving;
	move_part(w, PART);
}

/* Places a slot's timers anew; the due ones, once at level 0 (for the order), on the expired list. */
static void sort_slot(struct timer_wheel *w, unsigned level, unsigned slot, time_ns now)
{
	struct timer *next;

	if (level >= PARTS_LEVEL) {
		begin_move(w, level, slot);
		return;
	}
	for (struct timer *t = take_slot(w, level, slot); t; t = next) {
		next = t->next;
		if (level > 0 || t->due > now) {
			place(w, t);
		} else {
			t->level = TIMER_LEVELS;
			push(&w->expired, t);
		}
	}
}

static time_ns slot_min_due(const struct timer_wheel *w, unsigned slot)
{
	time_ns min = TIME_NEVER;
	for (const struct timer *t = w->slots[0][slot]; t; t = t->next)
		if (t->due < min)
			min = t->due;
	return min;
}

/* Lowest occupied level, TIMER_LEVELS when there is none. */
static unsigned lowest_level(const struct timer_wheel *w)
{
	unsigned level = 0;
	while (level < TIMER_LEVELS && !w->occupied[level])
		level++;
	return level;
}

/*
 * Turns the wheel until some timers have expired or `now` is reached; in the second case w->earliest is
 * renewed: exact when the next timer is in this turn of level 0, else the start of its slot.
 */
static void turn(struct timer_wheel *w, time_ns now)
{
	uint64_t target = now >> TIMER_TICK_SHIFT;

	while (!w->expired) {
		unsigned level = lowest_level(w);
		if (level == TIMER_LEVELS) {
			w->tick = target;
			w->earliest = TIME_NEVER;
			return;
		}
		unsigned slot = (unsigned)__builtin_ctzll(w->occupied[level]);
		uint64_t start = slot_start(w, level, slot);
		if (level >= PARTS_LEVEL && w->moving)
			return; /* one such slot after the other */
		if (level > 0 && start > target) {
			w->tick = target;
			w->earliest = start << TIMER_TICK_SHIFT;
			return;
		}
		w->tick = start < target ? start : target;
		sort_slot(w, level, slot, now);
		if (level == 0 && !w->expired && (w->occupied[0] & (1ULL << slot))) {
			w->tick = target;
			w->earliest = slot_min_due(w, slot);
			return;
		}
	}
}

static void collect(struct timer_wheel *w, time_ns now)
{
	move_part(w, PART);
	turn(w, now);
	if (w->moving)
		w->earliest = 0; /* come again soon */
}

struct timer *timer_wheel_first(struct timer_wheel *w, unsigned most)
{
	struct timer *first = NULL, *next;

	if (w->expired)
		return w->expired;
	if (w->moving)
		return NULL;
	while (!first) {
		unsigned level = lowest_level(w);
		if (level == TIMER_LEVELS)
			return NULL;
		unsigned slot = (unsigned)__builtin_ctzll(w->occupied[level]), own_level, own_slot;
		for (struct timer *t = w->slots[level][slot]; t; t = next) {
			next = t->next;
			if (most-- == 0)
				return NULL;
			locate(w, t->due, &own_level, &own_slot);
			if (own_level != level || own_slot != slot) {
				unlink_timer(w, t);
				place(w, t);
			} else if (!first || t->due < first->due) {
				first = t;
			}
		}
	}
	w->earliest = first->due;
	return first;
}

struct timer *timer_wheel_pop(struct timer_wheel *w, time_ns now)
{
	if (!w->expired) {
		if (now < w->earliest)
			return NULL;
		time_ns turned = w->tick << TIMER_TICK_SHIFT;
		collect(w, now > turned ? now : turned);
		if (!w->expired)
			return NULL;
	}
	struct timer *t = w->expired;
	unlink_timer(w, t);
	w->pending--;
	return t;
}
