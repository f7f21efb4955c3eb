/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bad_pointer.h - pointers that programs pass for "nothing"
 *
 * Answers EFAULT where the kernel would, instead of a crash, for the first page, where no buffer can be.
 * Other addresses that are not mapped do crash.
 */
#ifndef PRELOAD_BAD_POINTER_H
#define PRELOAD_BAD_POINTER_H

#include <stdbool.h>
#include <stdint.h>

static inline bool bad_pointer(const void *p)
{
	return (uintptr_t)p < 4096;
}

#endif
