/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * criterion.h - the part of Criterion that the threaded tests use, for builds with the thread sanitizer
 *
 * Criterion's own runner wants memory at an address that the sanitizer keeps for itself. Here every test runs
 * in a plain fork, and a report of the sanitizer in it (exit status 66) is a failure.
 */
#ifndef TESTS_UNIT_PLAIN_CRITERION_H
#define TESTS_UNIT_PLAIN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_test {
	const char *suite, *name;
	void (*run)(void);
	struct plain_test *next;
};

static struct plain_test *plain_tests;

#define Test(suite_, name_, ...)                                                                             \
	static void plain_##suite_##_##name_(void);                                                          \
	__attribute__((constructor)) static void suite_##_##name_##_register(void)                           \
	{                                                                                                    \
		static struct plain_test t = {#suite_, #name_, plain_##suite_##_##name_, NULL};              \
		t.next = plain_tests;                                                                        \
		plain_tests = &t;                                                                            \
	}                                                                                                    \
	static void plain_##suite_##_##name_(void)

#define cr_assert(cond, ...)                                                                                 \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                           \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)
#define cr_assert_not(cond, ...)   cr_assert(!(cond))
#define cr_assert_null(p, ...)     cr_assert((p) == NULL)
#define cr_assert_not_null(p, ...) cr_assert((p) != NULL)
#define cr_assert_eq(a, b, ...)    cr_assert((a) == (b))
#define cr_assert_neq(a, b, ...)   cr_assert((a) != (b))
#define cr_assert_lt(a, b, ...)    cr_assert((a) < (b))
#define cr_assert_geq(a, b, ...)   cr_assert((a) >= (b))
#define cr_assert_leq(a, b, ...)   cr_assert((a) <= (b))

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	for (struct plain_test *t = plain_tests; t; t = t->next) {
		int status = 0, pid;

		if (argc > 1 && strcmp(argv[1], t->name))
			continue;
		pid = fork();
		if (pid == 0) {
			t->run();
			exit(0);
		}
		waitpid(pid, &status, 0);
		if (status)
			printf("%s.%s failed, status %x\n", t->suite, t->name, status);
		*(status ? &failed : &passed) += 1;
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}

#endif
