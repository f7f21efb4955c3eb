/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.h - the one time base of stack/: nanoseconds in a time_ns
 *
 * The stack has no clock of its own. Whoever drives it says what time it is (stack_set_now(), stack_input(),
 * stack_run_timers()); a test says "200 ms later", libshunt.so reads the TSC. Zero is "at the beginning",
 * never "unset".
 */
#ifndef STACK_CLOCK_H
#define STACK_CLOCK_H

#include <stdint.h>

typedef uint64_t time_ns;

#define NS_PER_US  1000ULL
#define NS_PER_MS  1000000ULL
#define NS_PER_SEC 1000000000ULL /* rte_cycles.h has an NS_PER_S of type int */

/* Later than any instant: "no timer". */
#define TIME_NEVER UINT64_MAX

#endif
