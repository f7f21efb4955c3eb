/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counters.h - every drop and event has one name, in counters.def
 */
#ifndef STACK_COUNTERS_H
#define STACK_COUNTERS_H

enum counter {
#define COUNTER(name, text) COUNTER_##name,
#include "counters.def"
#undef COUNTER
	COUNTER_COUNT
};

#endif
