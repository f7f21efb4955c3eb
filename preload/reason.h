/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reason.h - why an address is the stack's or the kernel's, in words; for `shunt why`, in the library and in
 * the launcher
 *
 * The decision itself is runtime_owns() and runtime_routes_to(). Needs neither DPDK nor the stack.
 */
#ifndef PRELOAD_REASON_H
#define PRELOAD_REASON_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* `addr_be`, an IPv4 address in network order, as this configuration sees it. Returns buf. */
const char *reason_of_addr(const struct config *cfg, uint32_t addr_be, char *buf, size_t len);

#endif
