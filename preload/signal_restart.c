/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signal_restart.c - would Linux restart the interrupted call?
 *
 * Our sleep is a ppoll(2), which every handler interrupts; a recv(2) of the kernel's goes on if the handler
 * was set with SA_RESTART. Where no handler was put off (signal_hold.h) it is not known which one ran, so all
 * are asked: only when every handler of the program has the flag is the call restarted. A program that mixes
 * both kinds then sees EINTR, which it expects from its other handlers anyway.
 */
#include <signal.h>
#include <stdbool.h>

#include "socket_priv.h"

bool signal_restarts(void)
{
	bool any = false;

	if (signal_hold.put_off)
		return !signal_hold.hard;

	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction sa;

		if (sigaction(sig, NULL, &sa) || sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN)
			continue;
		if (!(sa.sa_flags & SA_RESTART))
			return false;
		any = true;
	}
	return any;
}
