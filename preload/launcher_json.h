/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_json.h - reads the answers of a program's telemetry: JSON (RFC 8259) without floating point
 */
#ifndef PRELOAD_LAUNCHER_JSON_H
#define PRELOAD_LAUNCHER_JSON_H

#include <stdbool.h>

/*
 * Called for each string, number and word, in order. `path` has the names and array indices on the way to it,
 * joined by '.': "/shunt/counters.stack.rx_frames".
 */
typedef void (*json_value_fn)(void *arg, const char *path, const char *value);

/* False when the text is not JSON, or too deep or long for this reader; what came before was told. */
bool json_walk(const char *text, json_value_fn fn, void *arg);

#endif
