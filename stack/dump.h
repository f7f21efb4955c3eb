/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dump.h - helpers of the dumps: append to a buffer that may be too small, show an endpoint
 */
#ifndef STACK_DUMP_H
#define STACK_DUMP_H

#include <stddef.h>

#include "ip_addr.h"

/* Appends at offset `at`; returns the offset after it, which may be beyond `len` (then nothing more is
 * written). */
size_t dump_printf(char *buf, size_t len, size_t at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define DUMP_ENDPOINT_LEN (INET6_ADDRSTRLEN + 8)

/* "198.18.0.2:80", "*:80"; returns text. */
const char *dump_endpoint(const struct endpoint *ep, char text[DUMP_ENDPOINT_LEN]);

#endif
