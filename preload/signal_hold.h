/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signal_hold.h - a signal handler never runs while its thread is in the middle of something of ours
 *
 *     signals_hold() … lock, references, roles … signals_release()
 *            └── a signal comes: our trampoline puts it back, blocks all others, and the call ends early
 *                                                        └── the mask is put back: the handler runs now
 *
 * So a handler may call anything, and may leave by siglongjmp(3): nothing of ours is held when it runs. While
 * no signal comes this costs two additions in thread-local memory per call.
 *
 * Every shm_lock holds signals. A call that may sleep holds them from before it takes a reference until it
 * has dropped it: an interrupted sleep ends with -EINTR or -RESTART_CALL, the handler runs, and the wrapper
 * begins the call anew, as Linux does (signal(7)). Not so a wait with a signal mask of its own: what that
 * mask lets in must run within the call.
 *
 * Handlers of faults (SIGSEGV and its like), and those that reach the kernel without libc, run at once.
 */
#ifndef PRELOAD_SIGNAL_HOLD_H
#define PRELOAD_SIGNAL_HOLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Answer of a call that is to be made anew after the handlers ran; Linux's ERESTARTSYS. */
#define RESTART_CALL 512

struct signal_hold {
	unsigned held;
	unsigned seen; /* signals that came, whether their handler ran or was put off */
	bool put_off;  /* some wait for signals_release() */
	bool hard;     /* one of them without SA_RESTART */
	uint64_t mask; /* the thread's signal mask as it was, when put_off */
};

/* Volatile members would cost; the handler runs on the same thread, so compiler barriers are enough. */
extern __thread struct signal_hold signal_hold __attribute__((tls_model("initial-exec")));

void signals_run(void);

static inline bool signals_hold(void)
{
	signal_hold.held++;
	atomic_signal_fence(memory_order_seq_cst);
	return true;
}

static inline void signals_release(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	signal_hold.held--;
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(signal_hold.put_off, 0) && signal_hold.held == 0)
		signals_run();
}

/* For a variable with SIGNALS_HELD: held until the end of its block, also when the thread is cancelled. */
static inline void signals_release_if(const bool *held)
{
	if (*held)
		signals_release();
}
#define SIGNALS_HELD __attribute__((cleanup(signals_release_if), unused))

/* Must a wait that began when signal_hold.seen was `seen` end with EINTR? */
static inline bool signals_interrupt(unsigned seen)
{
	atomic_signal_fence(memory_order_seq_cst);
	return signal_hold.put_off || signal_hold.seen != seen;
}

/* In a fork child, where locks taken before the fork are nobody's. */
void signals_forget(void);

/* After a handler ran or was put off: would Linux restart the call (SA_RESTART)? */
bool signal_restarts(void);

/* rt_sigaction(2) by syscall(2), in the kernel's layout; answers as libc does. */
int signal_raw_sigaction(int sig, const void *act, void *old, size_t mask_bytes);

#endif
