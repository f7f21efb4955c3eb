/* SPDX-License-Identifier: BSD-3-Clause */
/* test_spin.c - spin.c: spinning is given up where it does not pay, and tried again */
#include <criterion/criterion.h>

#include "preload/config.h"
#include "preload/inst.h"
#include "preload/spin.h"

static struct config config = {.spin_us = 100};
static bool kernel;
static time_ns now = 1000 * NS_PER_SEC;

const struct config *config_get(void)
{
	return &config;
}

bool inst_peer_is_kernel(void)
{
	return kernel;
}

/* Requests come `gap_ns` after the answer to the one before, which takes 10 us, for `ms`. */
static time_ns run(unsigned ms, time_ns gap_ns)
{
	time_ns end = now + ms * NS_PER_MS, spun = 0;

	while (now < end) {
		struct spin_result r = {.slept = gap_ns > spin_time(), .waited = gap_ns};

		r.spun = r.slept ? spin_time() : gap_ns;
		spun += r.spun;
		now += gap_ns;
		spin_learn(&r, now);
		now += 10 * NS_PER_US;
	}
	return spun;
}

Test(spin, at_first_about_what_a_sleep_costs)
{
	cr_assert_eq(spin_time(), 20 * NS_PER_US);
	config.spin_us = 5;
	cr_assert_eq(spin_time(), 5 * NS_PER_US);
	config.spin_us = 0;
	cr_assert_eq(spin_time(), 0);
}

Test(spin, kernel_gaps_too_long_to_pay)
{
	kernel = true;
	run(30, 25 * NS_PER_US);
	cr_assert_eq(spin_time(), 0);
	cr_assert_lt(run(1000, 25 * NS_PER_US), 30 * NS_PER_MS, "it tries again too often");
}

Test(spin, kernel_gaps_found_but_dear)
{
	kernel = true;
	run(30, 15 * NS_PER_US);
	cr_assert_eq(spin_time(), 0);
}

Test(spin, kernel_short_gaps_pay)
{
	kernel = true;
	run(200, 2 * NS_PER_US);
	cr_assert_eq(spin_time(), 20 * NS_PER_US);
	run(30, 25 * NS_PER_US);
	cr_assert_eq(spin_time(), 0);
	run(200, 2 * NS_PER_US);
	cr_assert_eq(spin_time(), 20 * NS_PER_US, "a busy time after a quiet one is not noticed");
}

Test(spin, kernel_rare_requests_tell_nothing)
{
	kernel = true;
	run(1000, 5 * NS_PER_MS);
	cr_assert_eq(spin_time(), 20 * NS_PER_US);
}

Test(spin, shunt_sleeps_often_and_tries_the_whole_budget)
{
	run(30, 25 * NS_PER_US);
	cr_assert_eq(spin_time(), 100 * NS_PER_US);
	run(100, 25 * NS_PER_US);
	cr_assert_eq(spin_time(), 100 * NS_PER_US);
	run(20, 90 * NS_PER_US);
	cr_assert_eq(spin_time(), 20 * NS_PER_US, "a tenth of work does not deserve a core");
}
