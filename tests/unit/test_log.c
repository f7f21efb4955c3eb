/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_log.c - one line, at the right level, without harm to the program
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "preload/log.h"

static int ends[2];

static void stderr_to_pipe(void)
{
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	cr_assert_eq(dup2(ends[1], 2), 2);
}

static void assert_said(const char *text)
{
	char buf[4096];
	ssize_t n = read(ends[0], buf, sizeof(buf) - 1);

	buf[n < 0 ? 0 : n] = '\0';
	cr_assert_str_eq(buf, text);
}

TestSuite(log, .init = stderr_to_pipe);

Test(log, lines_have_the_prefix_and_keep_errno)
{
	errno = 42;
	log_warn("%s has %d queues", "tap", 3);
	cr_assert_eq(errno, 42);
	assert_said("shunt: tap has 3 queues\n");
}

Test(log, levels_below_are_silent)
{
	log_debug("no");
	log_set_level(LOG_LEVEL_ERROR);
	log_info("no");
	log_warn("no");
	assert_said("");
	log_error("yes");
	assert_said("shunt: yes\n");
	log_set_level(LOG_LEVEL_DEBUG);
	cr_assert(log_enabled(LOG_LEVEL_DEBUG));
	log_debug("now");
	assert_said("shunt: now\n");
}

Test(log, long_lines_are_cut_and_still_end)
{
	char text[3000], buf[4096];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
	cr_assert_eq(read(ends[0], buf, sizeof(buf)), 1023);
	cr_assert_eq(buf[1022], '\n');
}

Test(log, a_closed_pipe_raises_no_signal)
{
	signal(SIGPIPE, SIG_DFL);
	close(ends[0]);
	log_error("nobody reads this");
	cr_assert_eq(write(ends[0], "", 0), -1);
}

Test(log, a_closed_stderr_does_no_harm)
{
	close(2);
	errno = 0;
	log_error("nobody reads this");
	cr_assert_eq(errno, 0);
}
