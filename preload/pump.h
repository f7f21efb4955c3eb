/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pump.h - a process of the family that carries bytes between connections and socketpairs
 *
 *     peer ◄──► stack's connection ◄──► pump ◄──► socketpair ◄──► a program image that is not of the family
 *
 * A program image that an exec(2) loads, or a process that got a descriptor by SCM_RIGHTS, cannot reach the
 * stack. It has one end of a kernel socketpair instead; the pump has the other. Made by pass.c.
 *
 * The pump takes nothing from a connection that others of the family still have open, unless the image is
 * known to read: on Linux whoever reads first gets the bytes, and a program that runs date(1) must not lose
 * its own to a socket that nobody reads. What the image writes is always carried.
 */
#ifndef PRELOAD_PUMP_H
#define PRELOAD_PUMP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct file;

struct pump_end {
	struct file *f; /* a connection; this process has it open */
	int number;     /* under this descriptor number */
	int fd;         /* the pump's end of the socketpair */
	bool reads;     /* the image reads, whoever else has the connection open */
};

/* Of all pumps of the family; in shared memory. */
struct pump_counts {
	_Atomic uint64_t passed; /* connections given to foreign images */
	_Atomic uint64_t failed; /* those for which there was no pump: their descriptors are dead */
	_Atomic uint64_t now;    /* connections in pumps */
	_Atomic uint64_t to_bytes, from_bytes; /* to and from foreign images */
};

/*
 * Starts a pump, which waits for pump_say() before it touches anything, so that an exec that fails changes
 * nothing. Takes no memory, so a vfork(2) child may call it. Returns the descriptor for pump_say(), which is
 * close-on-exec: that it is closed means "go" too; or -errno. The caller still has the ends' descriptors.
 */
int pump_start(const struct pump_end *ends, unsigned n);
void pump_say(int say_fd, bool go);

#endif
