/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spin.c - learning how long to spin (spin.h), in windows of 10 ms, for each thread
 *
 * With the kernel at the other end of the link, spinning saves us a sleep and costs what it costs: a thread
 * spins for about what a sleep costs as long as the sleeps it saves pay for the time, else it sleeps at once
 * and tries again for a millisecond after a pause.
 *
 * Two ends under Shunt that answer each other and both sleep in between wait for each other's waking up, and
 * stay slow together; two that spin long enough need never sleep. So there a thread that sleeps often tries
 * the whole budget for a window, and keeps to it as long as a quarter of its time is work.
 */
#include "spin.h"

#include <rte_common.h>

#include "config.h"
#include "inst.h"

#define SHORT_NS  (20 * NS_PER_US) /* what going to sleep and waking up costs, both ends together */
#define SLEEP_NS  (5 * NS_PER_US)  /* the same for the CPU time of the one who sleeps */
#define WINDOW_NS (10 * NS_PER_MS)
#define PROBE_NS  (1 * NS_PER_MS)
#define RETRY_NS  (100 * NS_PER_MS)
#define SLEEPS    20 /* in a window: often enough for sleeping to be what slows us */
#define WAITS     4  /* in a window: too few to tell anything */

enum budget { SPIN_SHORT, SPIN_NONE, SPIN_WHOLE };

static __thread struct {
	enum budget budget;
	bool probe; /* the window is a short one */
	time_ns began, retry_after;
	unsigned sleeps, hits; /* in this window: waits that slept; that spun and need not have slept */
	time_ns spun, waited;
} state;

time_ns spin_time(void)
{
	time_ns most = config_get()->spin_us * NS_PER_US;

	switch (state.budget) {
	case SPIN_NONE:
		return 0;
	case SPIN_WHOLE:
		return most;
	default:
		return RTE_MIN(most, SHORT_NS);
	}
}

static void learn_with_kernel(time_ns now)
{
	if (state.budget == SPIN_NONE) {
		if (now >= state.retry_after) {
			state.budget = SPIN_SHORT;
			state.probe = true;
		}
		return;
	}
	state.probe = false;
	if (state.sleeps + state.hits >= WAITS && state.spun > state.hits * SLEEP_NS) {
		state.budget = SPIN_NONE;
		state.retry_after = now + RETRY_NS;
	}
}

static void learn_with_shunt(time_ns now)
{
	if (state.budget == SPIN_WHOLE && state.waited > (now - state.began) / 4 * 3) {
		state.budget = SPIN_SHORT;
		state.retry_after = now + RETRY_NS;
	} else if (state.budget == SPIN_SHORT && state.sleeps >= SLEEPS && now >= state.retry_after) {
		state.budget = SPIN_WHOLE;
	}
}

void spin_learn(const struct spin_result *r, time_ns now)
{
	state.sleeps += r->slept;
	state.hits += !r->slept && r->spun != 0;
	state.spun += r->spun;
	state.waited += r->waited;
	if (now - state.began < (state.probe ? PROBE_NS : WINDOW_NS))
		return;
	if (inst_peer_is_kernel())
		learn_with_kernel(now);
	else
		learn_with_shunt(now);
	state.began = now;
	state.sleeps = state.hits = 0;
	state.spun = state.waited = 0;
}
