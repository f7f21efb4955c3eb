/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.h - one line on stderr, "shunt: …", when the configured level allows it
 *
 * May be called from any thread, with locks held, in a signal handler and before the constructor ran: no
 * allocation, no stdio, none of the calls we interpose. A stderr that is gone costs the line, never a
 * SIGPIPE.
 */
#ifndef PRELOAD_LOG_H
#define PRELOAD_LOG_H

#include <stdbool.h>

/* The order of the key `log`; not LOG_INFO and so on, which are syslog(3)'s. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
