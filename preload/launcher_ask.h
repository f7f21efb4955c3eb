/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_ask.h - shunt stat|dump|why PID: asks a running program, by its process id, over DPDK's telemetry
 */
#ifndef PRELOAD_LAUNCHER_ASK_H
#define PRELOAD_LAUNCHER_ASK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Is this command line one of "stat|dump|why PID [--json]"? Only with a number, so that a program of that
 * name can be started as ever: shunt stat FILE, shunt -- stat 1.
 */
bool launcher_is_question(int argc, char **argv);

/* Asks and prints; returns the exit status: 0, or 1 after a line on stderr. */
int launcher_ask(int argc, char **argv);

/* launcher_telemetry.c: a conversation with the family that process `pid` belongs to. */
struct telemetry {
	int pid;
	int fd;
	char name[64]; /* of the program, for messages */
	char err[256];
};

bool telemetry_connect(struct telemetry *t, int pid);

/* One question ("/shunt/info"); false and t->err when no answer comes. */
bool telemetry_ask(struct telemetry *t, const char *command, char *answer, size_t len);

/*
 * A question whose answer comes in parts, each given to `part`: as long as it names a "next" one, which is
 * asked for with that number appended.
 */
bool telemetry_ask_all(struct telemetry *t, const char *command, char *answer,
		       void (*part)(void *arg, char *answer), void *arg);

/* launcher_why.c */
bool launcher_why(struct telemetry *t, char *answer);

#define TELEMETRY_ANSWER_MAX 32768 /* DPDK's answers have 16 KB at most */

#endif
