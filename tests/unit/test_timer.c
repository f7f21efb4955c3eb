/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_timer.c - the wheel against a list that is searched naively
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "stack/timer.h"

Test(timer, empty_wheel_has_no_deadline)
{
	struct timer_wheel w;
	timer_wheel_init(&w, 12345);
	cr_assert_eq(timer_wheel_next(&w), TIME_NEVER);
	cr_assert_null(timer_wheel_pop(&w, TIME_NEVER));
}

Test(timer, fires_at_its_exact_nanosecond_and_once)
{
	static const time_ns delays[] = {0,
					 1,
					 65535,
					 65536,
					 40 * NS_PER_MS,
					 NS_PER_SEC + 1,
					 7200 * NS_PER_SEC,
					 1ULL << 57,
					 (1ULL << 63) + 7};
	for (unsigned i = 0; i < sizeof delays / sizeof *delays; i++) {
		struct timer_wheel w;
		struct timer t = {0};
		time_ns start = 1000003, due = start + delays[i];
		timer_wheel_init(&w, start);
		timer_set(&w, &t, due);
		cr_assert(timer_pending(&t));
		cr_assert_leq(timer_wheel_next(&w), due);
		if (delays[i] > 0)
			cr_assert_null(timer_wheel_pop(&w, due - 1));
		cr_assert_leq(timer_wheel_next(&w), due);
		cr_assert_eq(timer_wheel_pop(&w, due), &t);
		cr_assert_not(timer_pending(&t));
		cr_assert_null(timer_wheel_pop(&w, due));
		cr_assert_eq(timer_wheel_next(&w), TIME_NEVER);
	}
}

Test(timer, deadline_in_the_past_is_due_at_once)
{
	struct timer_wheel w;
	struct timer t = {0}, later = {0};
	timer_wheel_init(&w, 0);
	timer_set(&w, &later, 2 * NS_PER_SEC);
	cr_assert_null(timer_wheel_pop(&w, NS_PER_SEC));
	timer_set(&w, &t, 5);
	cr_assert_leq(timer_wheel_next(&w), NS_PER_SEC);
	cr_assert_eq(timer_wheel_pop(&w, NS_PER_SEC), &t);
	cr_assert_null(timer_wheel_pop(&w, NS_PER_SEC));
	timer_cancel(&w, &later);
	cr_assert_eq(timer_wheel_next(&w), TIME_NEVER);
}

Test(timer, next_is_exact_when_the_timer_is_near)
{
	struct timer_wheel w;
	struct timer t = {0};
	timer_wheel_init(&w, 0);
	timer_set(&w, &t, NS_PER_MS + 17);
	cr_assert_eq(timer_wheel_next(&w), NS_PER_MS + 17);
	timer_set(&w, &t, 2 * NS_PER_MS + 17); /* put off: the old deadline may still be told … */
	cr_assert_null(timer_wheel_pop(&w, timer_wheel_next(&w)));
	cr_assert_eq(timer_wheel_next(&w), 2 * NS_PER_MS + 17); /* … but only once */
}

Test(timer, first_is_exact_also_far_away_and_after_putting_off)
{
	struct timer_wheel w;
	struct timer a = {0}, b = {0};
	timer_wheel_init(&w, 0);
	cr_assert_null(timer_wheel_first(&w, 8));
	timer_set(&w, &a, 5 * NS_PER_MS);
	timer_set(&w, &b, 190 * NS_PER_MS);
	timer_set(&w, &a, 200 * NS_PER_MS + 3); /* put off */
	cr_assert_null(timer_wheel_first(&w, 0), "no more looks than allowed");
	cr_assert_eq(timer_wheel_first(&w, 8), &b);
	cr_assert_eq(timer_wheel_next(&w), 190 * NS_PER_MS);
	timer_cancel(&w, &b);
	cr_assert_eq(timer_wheel_first(&w, 8), &a);
	cr_assert_eq(timer_wheel_next(&w), 200 * NS_PER_MS + 3);
	cr_assert_null(timer_wheel_pop(&w, 200 * NS_PER_MS + 2));
	cr_assert_eq(timer_wheel_pop(&w, 200 * NS_PER_MS + 3), &a);
}

Test(timer, cancelled_timer_never_fires_and_cancel_is_idempotent)
{
	struct timer_wheel w;
	struct timer a = {0}, b = {0};
	timer_wheel_init(&w, 0);
	timer_set(&w, &a, 100);
	timer_set(&w, &b, 100);
	timer_cancel(&w, &a);
	timer_cancel(&w, &a);
	cr_assert_eq(timer_wheel_pop(&w, NS_PER_SEC), &b);
	cr_assert_null(timer_wheel_pop(&w, NS_PER_SEC));
}

Test(timer, expired_but_unpopped_timer_can_be_cancelled_or_put_off)
{
	struct timer_wheel w;
	struct timer a = {0}, b = {0}, c = {0};
	timer_wheel_init(&w, 0);
	timer_set(&w, &a, 100);
	timer_set(&w, &b, 100);
	timer_set(&w, &c, 100);
	struct timer *first = timer_wheel_pop(&w, 200);
	struct timer *cancelled = first == &a ? &b : &a, *later = first == &c ? &b : &c;
	timer_cancel(&w, cancelled);
	timer_set(&w, later, 300);
	cr_assert_null(timer_wheel_pop(&w, 299));
	cr_assert_eq(timer_wheel_pop(&w, 300), later);
	cr_assert_eq(timer_wheel_next(&w), TIME_NEVER);
}

Test(timer, earlier_time_than_before_changes_nothing)
{
	struct timer_wheel w;
	struct timer t = {0};
	timer_wheel_init(&w, 0);
	cr_assert_null(timer_wheel_pop(&w, 10 * NS_PER_SEC));
	timer_set(&w, &t, 20 * NS_PER_SEC);
	cr_assert_null(timer_wheel_pop(&w, 5 * NS_PER_SEC));
	cr_assert_null(timer_wheel_pop(&w, 20 * NS_PER_SEC - 1));
	cr_assert_eq(timer_wheel_pop(&w, 20 * NS_PER_SEC), &t);
}

Test(timer, slots_come_back_in_order)
{
	struct timer_wheel w;
	static struct timer t[500];
	timer_wheel_init(&w, 0);
	for (unsigned i = 0; i < 500; i++)
		timer_set(&w, &t[i], (time_ns)(i * 7919 % 500) * 100 * NS_PER_MS);
	time_ns last = 0;
	for (unsigned i = 0; i < 500; i++) {
		struct timer *got = timer_wheel_pop(&w, 3600 * NS_PER_SEC);
		cr_assert_not_null(got);
		cr_assert_geq(got->due, last);
		last = got->due;
	}
	cr_assert_null(timer_wheel_pop(&w, 3600 * NS_PER_SEC));
}

/* xorshift64* */
static uint64_t rng_state;

static uint64_t rnd(void)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * 0x2545F4914F6CDD1DULL;
}

/* Any magnitude is as likely as any other. */
static time_ns random_span(unsigned max_bits)
{
	unsigned bits = (unsigned)(rnd() % (max_bits + 1));
	return bits ? rnd() >> (64 - bits) : 0;
}

#define MODEL_TIMERS 40

static struct timer timers[MODEL_TIMERS];
static time_ns model_due[MODEL_TIMERS]; /* TIME_NEVER: not set */

static time_ns model_min(void)
{
	time_ns min = TIME_NEVER;
	for (unsigned i = 0; i < MODEL_TIMERS; i++)
		if (model_due[i] < min)
			min = model_due[i];
	return min;
}

static void check_pops(struct timer_wheel *w, time_ns now, unsigned limit)
{
	struct timer *t;
	while (limit-- > 0 && (t = timer_wheel_pop(w, now)) != NULL) {
		unsigned i = (unsigned)(t - timers);
		cr_assert_eq(model_due[i], t->due);
		cr_assert_leq(t->due, now, "fired %lu ns early", (unsigned long)(t->due - now));
		model_due[i] = TIME_NEVER;
	}
}

static void check_first(struct timer_wheel *w, uint64_t seed)
{
	struct timer *first = timer_wheel_first(w, 2 * MODEL_TIMERS * TIMER_LEVELS);

	if (model_min() == TIME_NEVER) {
		cr_assert_null(first);
		return;
	}
	cr_assert_not_null(first);
	if (first->level == TIMER_LEVELS) /* due already: these come in any order */
		return;
	cr_assert_eq(first->due, model_min(), "seed %lu: not the first", (unsigned long)seed);
	cr_assert_eq(timer_wheel_next(w), model_min());
}

static void run_model(uint64_t seed)
{
	static struct timer_wheel w;
	rng_state = seed * 0x9E3779B97F4A7C15ULL + 1;
	time_ns now = random_span(60);
	memset(timers, 0, sizeof timers);
	timer_wheel_init(&w, now);
	for (unsigned i = 0; i < MODEL_TIMERS; i++)
		model_due[i] = TIME_NEVER;

	for (unsigned step = 0; step < 600; step++) {
		unsigned i = (unsigned)(rnd() % MODEL_TIMERS);
		switch (rnd() % 8) {
		case 0 ... 2: {
			time_ns due = now + random_span(rnd() % 16 ? 38 : 58);
			if (rnd() % 32 == 0)
				due = now / 2;
			timer_set(&w, &timers[i], due);
			model_due[i] = due;
			break;
		}
		case 3:
			timer_cancel(&w, &timers[i]);
			model_due[i] = TIME_NEVER;
			break;
		case 4: /* a partly drained wheel */
			check_pops(&w, now, 1 + rnd() % 3);
			break;
		case 5: /* exactly to the next deadline, or just before it */
			if (model_min() != TIME_NEVER && model_min() > now) {
				now = model_min() - rnd() % 2;
				check_pops(&w, now, UINT32_MAX);
			}
			break;
		default:
			now += random_span(rnd() % 64 ? 36 : 57);
			check_pops(&w, now, UINT32_MAX);
			cr_assert_gt(model_min(), now, "seed %lu: a timer that is due did not fire",
				     (unsigned long)seed);
		}
		cr_assert_leq(timer_wheel_next(&w), model_min(), "seed %lu: next is late",
			      (unsigned long)seed);
		cr_assert_eq(timer_wheel_next(&w) == TIME_NEVER, model_min() == TIME_NEVER);
		if (rnd() % 4 == 0)
			check_first(&w, seed);
		for (unsigned k = 0; k < MODEL_TIMERS; k++)
			cr_assert_eq(timer_pending(&timers[k]), model_due[k] != TIME_NEVER);
	}
}

Test(timer, behaves_like_a_sorted_list_for_random_use)
{
	for (uint64_t seed = 1; seed <= 2000; seed++)
		run_model(seed);
}

/* A sleeper that always sleeps until timer_wheel_next() must get there in few wakes. */
Test(timer, following_next_reaches_any_deadline_in_few_steps)
{
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct timer_wheel w;
		struct timer t = {0};
		rng_state = seed * 0x9E3779B97F4A7C15ULL + 1;
		time_ns now = random_span(50), due = now + random_span(58);
		timer_wheel_init(&w, now);
		timer_set(&w, &t, due);
		unsigned wakes = 1;
		while (timer_wheel_next(&w) < due) {
			now = timer_wheel_next(&w);
			cr_assert_null(timer_wheel_pop(&w, now));
			wakes++;
		}
		cr_assert_leq(wakes, TIMER_LEVELS);
		cr_assert_eq(timer_wheel_pop(&w, due), &t);
	}
}

/* A timer of each of many connections, set long ago for about the same time: no call looks at all of them. */
Test(timer, many_far_timers_come_near_in_parts)
{
	enum { N = 20000 };
	static struct timer t[N];
	static bool fired[N];
	struct timer_wheel w;
	time_ns start = 7200 * NS_PER_SEC, now = start;
	unsigned n_fired = 0, calls = 0;

	timer_wheel_init(&w, 0);
	srand(1);
	for (unsigned i = 0; i < N; i++)
		timer_set(&w, &t[i], start + (time_ns)rand() % NS_PER_SEC);
	now = timer_wheel_next(&w);
	while (!w.moving) {
		cr_assert_null(timer_wheel_pop(&w, now));
		if (!w.moving)
			now = timer_wheel_next(&w);
	}
	cr_assert_leq(timer_wheel_next(&w), now, "nobody may sleep now");
	cr_assert_null(timer_wheel_first(&w, 16));
	/* What happens to a timer meanwhile */
	timer_cancel(&w, &t[0]);
	timer_cancel(&w, &t[N - 1]);
	timer_set(&w, &t[1], now + 1);
	timer_set(&w, &t[2], start + 2 * NS_PER_SEC);
	for (; w.moving; calls++)
		for (struct timer *e; (e = timer_wheel_pop(&w, now)) != NULL; n_fired++) {
			cr_assert_leq(e->due, now);
			fired[e - t] = true;
		}
	cr_assert_geq(calls, N / 256 - 2);
	while (timer_wheel_next(&w) != TIME_NEVER) {
		struct timer *e;

		now = timer_wheel_next(&w) > now ? timer_wheel_next(&w) : now;
		while ((e = timer_wheel_pop(&w, now)) != NULL) {
			cr_assert_not(fired[e - t]);
			cr_assert_leq(e->due, now);
			cr_assert_lt(now - e->due, 65536);
			fired[e - t] = true;
			n_fired++;
		}
	}
	cr_assert_eq(n_fired, N - 2);
	cr_assert_not(fired[0]);
	cr_assert_not(fired[N - 1]);
}
