/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_file.h - the two shapes of a wrapper's answer; for wrap_*.c only
 */
#ifndef PRELOAD_WRAP_FILE_H
#define PRELOAD_WRAP_FILE_H

#include "file.h"
#include "result.h"

/* Evaluates a call that returns 0 or more, or -errno, as libc's callers expect it. */
#define RESULT(call)                                                                                         \
	({                                                                                                   \
		int saved_errno_ = errno;                                                                    \
		result((call), saved_errno_);                                                                \
	})

static inline void file_release(struct file **f)
{
	file_put(*f);
}

/* The same for a call on a file, whose reference it drops, also when the thread is cancelled in the call. */
#define ON_FILE(f, call)                                                                                     \
	({                                                                                                   \
		int saved_errno_ = errno;                                                                    \
		ssize_t value_;                                                                              \
		{                                                                                            \
			struct file *held_ __attribute__((cleanup(file_release), unused)) = (f);             \
			value_ = (call);                                                                     \
		}                                                                                            \
		result(value_, saved_errno_);                                                                \
	})

#endif
