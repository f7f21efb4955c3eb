/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libc.h - real_<name>: libc's own function behind each symbol that we interpose
 *
 * Whatever in preload/ must reach the kernel calls these, never the plain names, which lead back to us. They
 * may be called at any time, also before any constructor ran: a pointer starts at a stub that resolves the
 * whole table on first use, so no call site tests anything.
 */
#ifndef PRELOAD_LIBC_H
#define PRELOAD_LIBC_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#define CALL(ret, name, params, args) extern ret(*real_##name) params;
#define ALIAS(name, of)
#define OURS(name)
#include "calls.def"
#undef CALL
#undef ALIAS
#undef OURS

/* Resolves all of them. Idempotent; any thread, any time. */
void libc_resolve(void);

#endif
