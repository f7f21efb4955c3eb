/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "preload/fd_guard.h"

Test(fd_guard, guard_and_unguard)
{
	cr_assert(!fd_guarded(5));
	fd_guard(5);
	cr_assert(fd_guarded(5));
	cr_assert(!fd_guarded(4));
	fd_unguard(5);
	cr_assert(!fd_guarded(5));
}

Test(fd_guard, numbers_out_of_range_are_never_guarded)
{
	fd_guard(-1);
	fd_guard(1 << 20);
	cr_assert(!fd_guarded(-1));
	cr_assert(!fd_guarded(1 << 20));
}

Test(fd_guard, next_finds_them_in_order)
{
	fd_guard(3);
	fd_guard(63);
	fd_guard(64);
	fd_guard(1000);
	cr_assert_eq(fd_guard_next(0), 3);
	cr_assert_eq(fd_guard_next(3), 3);
	cr_assert_eq(fd_guard_next(4), 63);
	cr_assert_eq(fd_guard_next(64), 64);
	cr_assert_eq(fd_guard_next(65), 1000);
	cr_assert_eq(fd_guard_next(1001), -1);
}

Test(fd_guard, high_moves_the_descriptor_and_sets_cloexec)
{
	int low = open("/dev/null", O_RDONLY), high = fd_guard_high(low);

	cr_assert_gt(high, low);
	cr_assert(fd_guarded(high));
	cr_assert_eq(fcntl(high, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fcntl(low, F_GETFD), -1);
	cr_assert_eq(fd_guard_high(-1), -1);
}
