/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inside.h - marks a thread that runs our own or DPDK's code
 *
 * DPDK calls the symbols that we interpose, from our threads while it starts and from its own at any time.
 * While `inside` is not zero, calls that decide something (bind, connect, close of a guarded descriptor …) go
 * straight to libc. Calls on descriptors need no test: none of DPDK's is in the table. Threads created while
 * inside stay inside for life (inside.c).
 *
 * Initial-exec: the library is loaded at start, and a lazily allocated TLS block would call malloc from
 * read().
 */
#ifndef PRELOAD_INSIDE_H
#define PRELOAD_INSIDE_H

extern __thread unsigned inside __attribute__((tls_model("initial-exec")));

static inline void inside_enter(void)
{
	inside++;
}

static inline void inside_leave(void)
{
	inside--;
}

#endif
