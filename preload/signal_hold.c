/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signal_hold.c - lets the handlers run that wrap_signal.c put off (signal_hold.h)
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "signal_hold.h"

__thread struct signal_hold signal_hold __attribute__((tls_model("initial-exec")));

void signals_run(void)
{
	sigset_t mask;
	int saved = errno;

	sigemptyset(&mask);
	memcpy(&mask, &signal_hold.mask, sizeof(signal_hold.mask));
	signal_hold.put_off = false;
	signal_hold.hard = false;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	errno = saved;
}

void signals_forget(void)
{
	signal_hold.held = 0;
	if (signal_hold.put_off)
		signals_run();
}
