/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_signal.c - exported: sigaction(3) and signal(3) with a trampoline in between (signal_hold.h)
 *
 * What the program set is kept in `handlers`; the kernel has the trampoline, with the program's mask and
 * flags. A query gives back what the program knows. SIG_DFL and SIG_IGN are the kernel's alone, so a vfork(2)
 * child that resets its signals changes nothing of its parent's.
 *
 * Several signals may be delivered at once, each handler's frame on top of another: all are put back, and the
 * outermost frame, which returns last, knows the true mask.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "bad_pointer.h"
#include "libc.h"
#include "signal_hold.h"
#include "slot.h"
#include "wrap.h"

typedef void handler_fn(int sig, siginfo_t *info, void *context);

static struct {
	_Atomic(handler_fn *) fn;
	_Atomic int flags; /* as the program gave them */
} handlers[NSIG];

/* Everything but what a fault of our own code would raise. */
static void block_all(uint64_t *mask)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	sigset_t all;

	sigfillset(&all);
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	sigprocmask(SIG_SETMASK, &all, NULL);
	memcpy(mask, &all, sizeof(*mask));
}

static void put_off(int sig, siginfo_t *info, ucontext_t *context)
{
	int saved = errno;
	long pid = real_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0),
	     tid = real_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
	uint64_t blocked;

	block_all(&blocked);
	if (real_syscall(SYS_rt_tgsigqueueinfo, pid, tid, sig, (long)info, 0, 0) < 0)
		real_syscall(SYS_tgkill, pid, tid, sig, 0, 0, 0); /* no memory for the details */
	/* The kernel's frame has one word here, whatever libc's type says. */
	memcpy(&signal_hold.mask, &context->uc_sigmask, sizeof(signal_hold.mask));
	memcpy(&context->uc_sigmask, &blocked, sizeof(blocked));
	if (!(atomic_load(&handlers[sig].flags) & SA_RESTART))
		signal_hold.hard = true;
	signal_hold.put_off = true;
	slot_wake_me();
	errno = saved;
}

/* SA_RESETHAND: its one time is when it runs, not when it is put off. */
static void reset_hand(int sig)
{
	static const struct sigaction dfl = {.sa_handler = SIG_DFL};

	if (atomic_load(&handlers[sig].flags) & (int)SA_RESETHAND)
		real_sigaction(sig, &dfl, NULL);
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
	signal_hold.seen++;
	if (signal_hold.held) {
		put_off(sig, info, context);
		return;
	}
	reset_hand(sig);
	atomic_load (&handlers[sig].fn)(sig, info, context);
}

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP ||
	       sig == SIGSYS;
}

static bool needs_trampoline(int sig, const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN && !is_fault(sig) &&
	       act->sa_sigaction != trampoline;
}

int wrap_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction set, got;
	handler_fn *fn;
	int flags, r;

	if (sig < 1 || sig >= NSIG || (act && bad_pointer(act)) || (old && bad_pointer(old)))
		return real_sigaction(sig, act, old);
	fn = atomic_load(&handlers[sig].fn);
	flags = atomic_load(&handlers[sig].flags);
	if (act) {
		set = *act;
		if (needs_trampoline(sig, act)) {
			atomic_store(&handlers[sig].flags, act->sa_flags);
			atomic_store(&handlers[sig].fn, act->sa_sigaction);
			set.sa_sigaction = trampoline;
			set.sa_flags = (set.sa_flags & ~(int)SA_RESETHAND) | SA_SIGINFO;
		}
	}
	r = real_sigaction(sig, act ? &set : NULL, &got);
	if (r < 0) {
		atomic_store(&handlers[sig].flags, flags);
		atomic_store(&handlers[sig].fn, fn);
		return r;
	}
	if (got.sa_sigaction == trampoline) {
		got.sa_sigaction = fn;
		got.sa_flags = (got.sa_flags & ~SA_SIGINFO) | (flags & (SA_SIGINFO | (int)SA_RESETHAND));
	}
	if (old)
		*old = got;
	return r;
}
WRAP_ALIAS(__sigaction, sigaction)

/* What rt_sigaction(2) takes; libc's type has a larger mask and hides the restorer. */
struct kernel_sigaction {
	__sighandler_t handler;
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct sigaction from_kernel(const struct kernel_sigaction *k)
{
	struct sigaction sa = {.sa_handler = k->handler, .sa_flags = (int)k->flags};

	memcpy(&sa.sa_mask, &k->mask, sizeof(k->mask));
	return sa;
}

static struct kernel_sigaction to_kernel(const struct sigaction *sa)
{
	struct kernel_sigaction k = {.handler = sa->sa_handler, .flags = (unsigned)sa->sa_flags};

	memcpy(&k.mask, &sa->sa_mask, sizeof(k.mask));
	return k;
}

/* By syscall(2). libc's own two signals, and those it does not know, it would refuse. */
int signal_raw_sigaction(int sig, const void *act, void *old, size_t mask_bytes)
{
	struct sigaction set, got;

	if (mask_bytes != sizeof(uint64_t) || sig < 1 || sig >= NSIG || (sig > SIGSYS && sig < SIGRTMIN) ||
	    (act && bad_pointer(act)) || (old && bad_pointer(old)))
		return (int)real_syscall(SYS_rt_sigaction, sig, (long)act, (long)old, (long)mask_bytes, 0, 0);
	if (act)
		set = from_kernel(act);
	if (wrap_sigaction(sig, act ? &set : NULL, &got) < 0)
		return -1;
	if (old)
		*(struct kernel_sigaction *)old = to_kernel(&got);
	return 0;
}

/* What libc makes of it, with regard to siginterrupt(3), is then put behind the trampoline. */
__sighandler_t wrap_signal(int sig, __sighandler_t handler)
{
	struct sigaction now, before;
	__sighandler_t old;

	if (sig < 1 || sig >= NSIG || wrap_sigaction(sig, NULL, &before) < 0)
		return real_signal(sig, handler);
	old = real_signal(sig, handler);
	if (old != SIG_ERR && !real_sigaction(sig, NULL, &now))
		wrap_sigaction(sig, &now, NULL);
	return old == SIG_ERR ? SIG_ERR : before.sa_handler;
}
