/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_file.h - the two shapes of a wrapper's answer; for wrap_*.c only
 */
#ifndef PRELOAD_WRAP_FILE_H
#define PRELOAD_WRAP_FILE_H

#include "result.h"
#include "signal_hold.h"
#include "socket.h"

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

/* The same for a call that may sleep, and is then made anew after a signal handler with SA_RESTART. */
#define RESULT_RESTARTED(call)                                                                               \
	({                                                                                                   \
		int saved_errno_ = errno;                                                                    \
		ssize_t value_;                                                                              \
		do {                                                                                         \
			bool held_ SIGNALS_HELD = signals_hold();                                            \
			value_ = (call);                                                                     \
		} while (value_ == -RESTART_CALL);                                                           \
		result(value_, saved_errno_);                                                                \
	})

/*
 * The same for a call on the file `f` behind `fd`, whose reference it drops, also when the thread is
 * cancelled in the call.
 */
#define ON_FILE(f, call)                                                                                     \
	({                                                                                                   \
		int saved_errno_ = errno;                                                                    \
		ssize_t value_;                                                                              \
		for (;;) {                                                                                   \
			{                                                                                    \
				bool signals_ SIGNALS_HELD = signals_hold();                                 \
				struct file *held_ __attribute__((cleanup(file_release), unused)) = (f);     \
				value_ = (call);                                                             \
			}                                                                                    \
			if (__builtin_expect(value_ != -RESTART_CALL, 1))                                    \
				break;                                                                       \
			(f) = socket_get(fd);                                                                \
			if (!(f)) { /* the handler closed it */                                              \
				value_ = -EBADF;                                                             \
				break;                                                                       \
			}                                                                                    \
		}                                                                                            \
		result(value_, saved_errno_);                                                                \
	})

#endif
