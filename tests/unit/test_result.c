/* SPDX-License-Identifier: BSD-3-Clause */
/* test_result.c - result.h and libc.c: errno's way in and out, and libc's own functions before any start */
#include <criterion/criterion.h>
#include <fcntl.h>

#include "preload/libc.h"
#include "preload/result.h"

Test(result, error_becomes_errno)
{
	errno = 0;
	cr_assert_eq(result(-EAGAIN, 0), -1);
	cr_assert_eq(errno, EAGAIN);
}

Test(result, success_restores_errno)
{
	errno = EINTR; /* what happened inside */
	cr_assert_eq(result(7, ENOENT), 7);
	cr_assert_eq(errno, ENOENT);
}

Test(result, of_a_libc_call)
{
	errno = EPIPE;
	cr_assert_eq(result_of(-1), -EPIPE);
	cr_assert_eq(result_of(3), 3);
}

Test(libc, first_call_resolves_and_keeps_errno)
{
	errno = EXDEV;
	cr_assert_geq(real_fcntl(0, F_GETFD, 0), 0);
	cr_assert_eq(errno, EXDEV);
}

Test(libc, every_symbol_of_the_table_is_found)
{
	libc_resolve();
#define CALL(ret, name, params, args) cr_assert(real_##name, "%s", #name);
#define ALIAS(name, of)
#define OURS(name)
#include "preload/calls.def"
	cr_assert_eq(real_close(-1), -1);
	cr_assert_eq(errno, EBADF);
}
