/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spin.h - how long a thread's waits poll the device before they sleep, learned from how its waits went
 */
#ifndef PRELOAD_SPIN_H
#define PRELOAD_SPIN_H

#include <stdbool.h>

#include "stack/clock.h"

/* How the wait that ended went. */
struct spin_result {
	bool slept;
	time_ns spun;   /* in polls that brought nothing, before the first sleep */
	time_ns waited; /* in all */
};

/* For the wait that begins now: how long it may poll without receiving anything, at most spin_us. */
time_ns spin_time(void);

void spin_learn(const struct spin_result *r, time_ns now);

#endif
