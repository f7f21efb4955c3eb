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

static void trampoline(int sig, siginfo_t *info, void *context)
{
	signal_hold.seen++;
	if (signal_hold.held)
		put_off(sig, info, context);
	else
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
	       !(act->sa_flags & (int)SA_RESETHAND) && act->sa_sigaction != trampoline;
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
			set.sa_flags |= SA_SIGINFO;
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
		got.sa_flags = (got.sa_flags & ~SA_SIGINFO) | (flags & SA_SIGINFO);
	}
	if (old)
		*old = got;
	return r;
}
WRAP_ALIAS(__sigaction, sigaction)

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
