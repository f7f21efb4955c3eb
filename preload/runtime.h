/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime.h - the composition root: configuration, driver, stacks and domain, started in this order
 *
 * Nothing starts before the first call that needs it. Which addresses are ours is known from the
 * configuration alone, so asking costs no start.
 */
#ifndef PRELOAD_RUNTIME_H
#define PRELOAD_RUNTIME_H

#include <stdbool.h>

#include "stack/ip_addr.h"

/*
 * Brings up DPDK and the stacks, once per family; any thread. Returns 0, or what every later call returns too
 * when it failed (the reason was said once on stderr): -errno. Only -EINTR, from waiting for a peer, is not
 * for ever.
 */
int runtime_start(void);

/*
 * Root is about to become somebody else, or to lose sight of /dev and /proc (chroot): a link that has not
 * been started is started now. `memcached -u USER` opens its first socket when it could not open a device any
 * more.
 */
void runtime_before_drop(void);

/* May sockets of this program be ours at all: configuration is sound and no start has failed. */
bool runtime_wanted(void);

/* After a failed start: must calls fail (fallback=off) instead of going on over the kernel? */
bool runtime_fails_closed(void);

/* Is it one of the stack's own addresses? Loopback is not, whatever loopback= says. */
bool runtime_owns(const struct ip_addr *addr);

/* 127.0.0.0/8, where the stack serves it besides the kernel (loopback=stack). */
bool runtime_shares_loopback(const struct ip_addr *addr);

/*
 * Does the stack carry what a socket of `type` sends to `dst`? Not so for the kernel's own addresses. What
 * goes to loopback it carries only if a socket of this family waits for it: other programs listen there as
 * well.
 */
bool runtime_routes_to(const struct endpoint *dst, int type);

#endif
