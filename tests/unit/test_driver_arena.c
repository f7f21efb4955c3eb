/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_driver_arena.c - see driver/driver.h: the stacks' memory, with and without hugepages
 */
#include <criterion/criterion.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/driver.h"

#define ASKED ((5u << 20) + 1)

/* Zeroed, writable to its end, and the same memory in a child. */
static void check(enum driver_hugepages hugepages)
{
	size_t bytes = ASKED;
	bool huge;
	volatile char *mem = driver_arena_map(&bytes, hugepages, &huge);
	pid_t child;
	int status;

	cr_assert_not_null((void *)mem);
	cr_assert_eq(bytes, 6u << 20);
	cr_assert(!huge || hugepages != DRIVER_HUGE_OFF);
	cr_assert_eq(mem[0], 0);
	cr_assert_eq(mem[bytes - 1], 0);
	child = fork();
	if (child == 0) {
		mem[bytes - 1] = 7;
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(mem[bytes - 1], 7);
	cr_assert_eq(munmap((void *)mem, bytes), 0);
}

Test(driver_arena, without_hugepages)
{
	check(DRIVER_HUGE_OFF);
}

/* Whether there are any is the machine's business. */
Test(driver_arena, with_hugepages_if_there_are_some)
{
	check(DRIVER_HUGE_AUTO);
	check(DRIVER_HUGE_ON);
}

/* More than there can be: ordinary memory, which is only reserved. */
Test(driver_arena, does_without_when_there_are_too_few)
{
	size_t bytes = (size_t)1 << 40;
	bool huge;
	void *mem = driver_arena_map(&bytes, DRIVER_HUGE_AUTO, &huge);

	cr_assert_not(huge);
	if (mem) /* the kernel's overcommit decides */
		cr_assert_eq(munmap(mem, bytes), 0);
}
