/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * telemetry.h - the program answers what it is doing: counters, sockets, who is in the family
 *
 * One process of the family answers, over DPDK's telemetry thread (driver_telemetry_start()); at first the
 * one that started DPDK. When it leaves, the next member that drives an instance takes over, so that a
 * program that daemonizes after it opened its sockets goes on answering.
 *
 * The commands: telemetry_cmd.c
 */
#ifndef PRELOAD_TELEMETRY_H
#define PRELOAD_TELEMETRY_H

#include <stdatomic.h>
#include <stdint.h>

#include "domain.h"

struct driver_port;

enum telemetry_pid { TELEMETRY_OFF = 0, TELEMETRY_VACANT = -1 }; /* domain->telemetry_pid, or a process id */

/* The stacks run: makes this process the one that answers. Without a place for the socket nobody does. */
void telemetry_start(struct driver_port *port);

/* A member has left or was found dead. */
void telemetry_left(int pid);

void telemetry_take_over_slow(void);

/* If nobody answers any more, this process does. */
static inline void telemetry_take_over(void)
{
	if (__builtin_expect(atomic_load_explicit(&domain->telemetry_pid, memory_order_relaxed) ==
				     TELEMETRY_VACANT,
			     0))
		telemetry_take_over_slow();
}

/* For telemetry.c: registers the commands, which tell about this port. */
void telemetry_commands(struct driver_port *port);
void telemetry_sock_commands(void); /* called by it */

#endif
