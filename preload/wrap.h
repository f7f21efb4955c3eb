/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap.h - the exported functions, and what their bodies share; for wrap_*.c only
 *
 * Each interposed symbol is defined in C as wrap_<name> and gets its real name as an assembler label. So the
 * table alone gives the prototypes, and libc's headers, with their transparent unions and inline variants,
 * have no say.
 */
#ifndef PRELOAD_WRAP_H
#define PRELOAD_WRAP_H

#include "libc.h"
#include "result.h"

#define EXPORT __attribute__((visibility("default")))

#define CALL(ret, name, params, args) EXPORT ret wrap_##name params __asm__(#name);
#define ALIAS(name, of)
#define OURS(name)
#include "calls.def"
#undef CALL
#undef ALIAS
#undef OURS

/* Defines the symbol `name` as another name of the function that this file exports as `of`. */
#define WRAP_ALIAS(name, of)                                                                                 \
	extern __typeof__(wrap_##of) alias_##name __asm__(#name) __attribute__((alias(#of))) EXPORT;

#endif
