/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wait.c - spinning, sleeping, and who sleeps on the device (wait.h)
 *
 * The driver's role for an instance (inst->driver_slot) is taken by the first thread that goes to sleep while
 * nobody has it, or while only a helper thread has it. It is given up when the thread goes back to its
 * program; nobody is woken for that: the program usually waits again soon and drives then, and if it does
 * not, the helper thread steps in within about a millisecond.
 */
#include <errno.h>
#include <rte_common.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "async.h"
#include "config.h"
#include "domain.h"
#include "epoll_set.h"
#include "helper.h"
#include "libc.h"
#include "spin.h"
#include "wait.h"

#define SPIN_RECENT_NS (1 * NS_PER_MS) /* spinning pays only while packets come in */
#define ABANDONED_NS   (1 * NS_PER_MS) /* not driven for this long, an instance is taken over by others */
#define NO_SLOT_NAP_NS (1 * NS_PER_MS)
/* A process that should wake us may have been stopped or killed, or have gone. */
#define RECHECK_NS        (1 * NS_PER_SEC)
#define RECHECK_FAMILY_NS (200 * NS_PER_MS)
#define MASK_CHECK_NS     (1 * NS_PER_MS)

struct waiter {
	struct wait_source *src;
	const struct inst *home; /* NULL: a helper */
	unsigned slot;
	uint32_t roles; /* instances whose driver we are, by bit */
	bool joined;    /* our bit is in the files' or the set's sleepers */
	bool slept;
};

static __thread unsigned batch;
static __thread bool met_helper; /* the last wait found a helper in the driver's role and left it there */
static __thread time_ns mask_checked_at;

void wait_batch(unsigned n)
{
	batch = n;
}

bool wait_in_batch(void)
{
	return batch > 1;
}

void wait_forget(void)
{
	batch = 0;
}

int wait_deadline(const struct timespec *timeout, time_ns *deadline)
{
	*deadline = TIME_NEVER;
	if (!timeout)
		return 0;
	if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= (long)NS_PER_SEC)
		return -EINVAL;
	if ((uint64_t)timeout->tv_sec < UINT32_MAX)
		*deadline =
			inst_clock() + (uint64_t)timeout->tv_sec * NS_PER_SEC + (uint64_t)timeout->tv_nsec;
	return 0;
}

void wait_file_woken(struct file *f, uint32_t wake_bits, unsigned home)
{
	if (__builtin_expect(f->owner_pid, 0))
		async_woken(f, wake_bits);
	slot_wake_all(&f->sleepers);
	if (f->watches)
		epoll_file_woken(f, wake_bits, home);
}

/*
 * A thread drives the instance that is its home; another one as long as no other thread does. So a connection
 * is worked on by the thread that has it, and one thread alone drives all.
 */
static bool is_ours(const struct waiter *w, const struct inst *in, time_ns now)
{
	uint32_t worker;
	time_ns idle;

	if (in == w->home || (w->roles & (1u << in->index)))
		return true;
	idle = now - atomic_load_explicit(&in->driven_at, memory_order_relaxed);
	if (idle > ABANDONED_NS || !w->home)
		return idle > ABANDONED_NS;
	worker = atomic_load_explicit(&in->worker, memory_order_relaxed);
	return worker == 0 || worker == thread_id();
}

/* May the thread be the one that sleeps on the device's queue? A helper where nobody else has taken over. */
static bool may_sleep_on(const struct waiter *w, const struct inst *in, time_ns now)
{
	return w->home ? is_ours(w, in, now) : atomic_load_explicit(&in->worker, memory_order_relaxed) == 0;
}

/* The thread is the one that drives the instance from now on; a helper stands in for whoever comes next. */
static void work_for(const struct waiter *w, struct inst *in)
{
	uint32_t worker = w->home ? thread_id() : 0;

	if (domain->n_insts > 1 && atomic_load_explicit(&in->worker, memory_order_relaxed) != worker)
		atomic_store_explicit(&in->worker, worker, memory_order_relaxed);
}

/* Polls what is ours to poll; returns the frames received. */
static unsigned drive(const struct waiter *w, time_ns now)
{
	unsigned got = 0;

	for (unsigned i = 0; i < domain->n_insts; i++) {
		struct inst *in = &domain->insts[i];

		if (!is_ours(w, in, now))
			continue;
		work_for(w, in);
		got += inst_try_poll_watching(in, w->slot, now);
	}
	return got;
}

static bool busy_within(time_ns ns, time_ns now)
{
	for (unsigned i = 0; i < domain->n_insts; i++)
		if (now - atomic_load_explicit(&domain->insts[i].busy_at, memory_order_relaxed) < ns)
			return true;
	return false;
}

time_ns wait_recheck_ns(void)
{
	bool alone = atomic_load_explicit(&domain->n_members, memory_order_relaxed) < 2;

	return alone ? RECHECK_NS : RECHECK_FAMILY_NS;
}

/* Whether the thread of slot `cur` - 1 keeps the role when that of `slot` wants it. */
static bool role_kept(const struct inst *in, uint32_t cur, unsigned slot)
{
	const struct slot *has, *wants = slot_at(slot);
	uint32_t home = 1u + in->index;

	if (cur == 0 || cur == atomic_load(&in->silent_slot))
		return false;
	has = slot_at(cur - 1);
	if (atomic_load(&has->pid) == 0)
		return false;
	if (atomic_load(&wants->helper) || atomic_load(&has->helper))
		return !atomic_load(&has->helper);
	return atomic_load(&wants->home) != home || atomic_load(&has->home) == home;
}

static bool role_take(struct inst *in, unsigned slot)
{
	uint32_t cur = atomic_load(&in->driver_slot), me = slot + 1;

	if (__builtin_expect(atomic_load_explicit(&in->silent_slot, memory_order_relaxed) == me, 0))
		atomic_compare_exchange_strong(&in->silent_slot, &me, 0);
	for (;;) {
		if (cur == slot + 1)
			return true;
		/* Taken from a helper, from a thread that is no more, or by the thread whose home it is. */
		if (role_kept(in, cur, slot))
			return false;
		if (atomic_compare_exchange_strong(&in->driver_slot, &cur, slot + 1)) {
			if (cur != 0)
				slot_wake(cur - 1);
			return true;
		}
	}
}

static void role_drop(struct inst *in, unsigned slot)
{
	uint32_t me = slot + 1;

	atomic_compare_exchange_strong(&in->driver_slot, &me, 0);
}

/*
 * An application thread is here and will drive: a helper that stands in need not wake for every packet. But
 * waking it costs more than a short wait, and one that sleeps takes the role over in any case: so not at the
 * first wait that meets it.
 */
static void dismiss_helper(const struct waiter *w, time_ns now)
{
	bool met = false;

	for (unsigned i = 0; i < domain->n_insts; i++) {
		struct inst *in = &domain->insts[i];
		uint32_t cur = atomic_load_explicit(&in->driver_slot, memory_order_relaxed);

		if (!is_ours(w, in, now))
			continue;
		if (__builtin_expect(cur == 0 || !atomic_load_explicit(&slot_at(cur - 1)->helper,
								       memory_order_relaxed),
				     1))
			continue;
		met = true;
		if (!met_helper || !atomic_compare_exchange_strong(&in->driver_slot, &cur, 0))
			continue;
		inst_disarm(in);
		slot_wake(cur - 1);
	}
	met_helper = met && !met_helper;
	slot_kick();
}

static void join(struct waiter *w)
{
	if (w->joined || w->slot == SLOT_NONE)
		return;
	for (unsigned i = 0; i < w->src->n_files; i++)
		if (w->src->files[i])
			slot_set_add(&w->src->files[i]->sleepers, w->slot);
	if (w->src->set)
		slot_set_add(w->src->set, w->slot);
	w->joined = true;
}

/* Back to the program. */
static void leave(struct waiter *w)
{
	if (w->joined) {
		for (unsigned i = 0; i < w->src->n_files; i++)
			if (w->src->files[i])
				slot_set_remove(&w->src->files[i]->sleepers, w->slot);
		if (w->src->set)
			slot_set_remove(w->src->set, w->slot);
	}
	for (unsigned i = 0; i < domain->n_insts; i++)
		if (w->roles & (1u << i))
			role_drop(&domain->insts[i], w->slot);
	helper_kick();
}

static void cancelled(void *arg)
{
	struct waiter *w = arg;

	if (w->slot != SLOT_NONE)
		slot_sleep_end(w->slot, false);
	leave(w);
}

/* The device's interface was deleted: its descriptor shows an error for ever, and nothing else any more. */
static _Atomic bool device_gone;

/*
 * An interface that goes down or away leaves an error in a packet socket, which would end every sleep from
 * now on unless it is taken out. What is no socket is a tap, which only says so when it has lost its
 * interface.
 */
static void look_for_gone(const struct pollfd *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int err;
		socklen_t len = sizeof(err);

		if ((fds[i].revents & POLLERR) &&
		    real_getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			atomic_store(&device_gone, true);
	}
}

static int sleep_in_kernel(struct waiter *w, struct pollfd *fds, unsigned n, time_ns until)
{
	struct timespec ts, *timeout = NULL;
	int r;

	if (until != TIME_NEVER) {
		time_ns now = inst_clock();
		time_ns left = until > now ? until - now : 0;

		ts.tv_sec = (time_t)(left / NS_PER_SEC);
		ts.tv_nsec = (long)(left % NS_PER_SEC);
		timeout = &ts;
	}
	pthread_cleanup_push(cancelled, w);
	r = real_ppoll(fds, n, timeout, w->src->sigmask);
	pthread_cleanup_pop(0);
	if (r > 0)
		look_for_gone(fds + w->src->n_kernel, n - w->src->n_kernel);
	return r < 0 ? -errno : r;
}

/* Own descriptors behind the caller's: the wake fd, and the devices that are ours to watch. */
static unsigned add_own_fds(struct waiter *w, struct pollfd *fds, unsigned n, time_ns now, time_ns *until,
			    bool *quiet)
{
	bool others_drive = false;

	if (w->slot == SLOT_NONE) {
		*until = *until > now + NO_SLOT_NAP_NS ? now + NO_SLOT_NAP_NS : *until;
		return n;
	}
	fds[n++] = (struct pollfd){.fd = slot_at(w->slot)->fd, .events = POLLIN};
	for (unsigned i = 0; i < domain->n_insts; i++) {
		struct inst *in = &domain->insts[i];
		time_ns inst_until;
		int fd;

		if (!may_sleep_on(w, in, now) || !role_take(in, w->slot)) {
			others_drive = true;
			w->roles &= ~(1u << i);
			/* Its worker is awake, or gone: our helper sees to that, if we have one */
			if (atomic_load(&in->driver_slot) == 0 && !helper_works() &&
			    *until > now + ABANDONED_NS)
				*until = now + ABANDONED_NS;
			continue;
		}
		w->roles |= 1u << i;
		work_for(w, in);
		*quiet &= inst_sleep_begin(in, &inst_until);
		*until = inst_until < *until ? inst_until : *until;
		fd = inst_sleep_fd(in);
		if (fd >= 0 && !atomic_load_explicit(&device_gone, memory_order_relaxed))
			fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	if ((others_drive || atomic_load_explicit(&domain->n_members, memory_order_relaxed) > 1) &&
	    *until > now + wait_recheck_ns())
		*until = now + wait_recheck_ns();
	return n;
}

/* One sleep. Returns 1 when a kernel fd fired, 0 to look again, -EINTR and the like. */
static int sleep_once(struct waiter *w, time_ns now, time_ns deadline)
{
	struct wait_source *src = w->src;
	struct pollfd own[WAIT_SPARE_FDS];
	struct pollfd *fds = src->kernel_fds ? src->kernel_fds : own;
	time_ns until = deadline;
	bool quiet = true;
	unsigned n;
	int r = 0;

	if (w->slot != SLOT_NONE)
		slot_sleep_begin(w->slot);
	join(w);
	n = add_own_fds(w, fds, src->n_kernel, now, &until, &quiet);
	slot_kick();
	/* A signal that comes later ends the sleep by the wake fd: slot_wake_me(). */
	if (quiet && !src->ready(src->arg) && !signal_hold.put_off)
		r = sleep_in_kernel(w, fds, n, until);
	for (unsigned i = 0; i < domain->n_insts; i++)
		if (w->roles & (1u << i))
			inst_sleep_end(&domain->insts[i], w->slot);
	if (w->slot != SLOT_NONE)
		slot_sleep_end(w->slot, r > 0 && fds[src->n_kernel].revents != 0);
	if (r <= 0)
		return r;
	for (unsigned i = 0; i < src->n_kernel; i++)
		if (fds[i].revents)
			return 1;
	return 0;
}

/*
 * Signals that only the wait's own mask lets in must get in now and then, also when every wait finds events
 * without sleeping.
 */
static int let_signals_in(const struct wait_source *src, int r)
{
	static const struct timespec zero;
	time_ns now;

	if (!src->sigmask || r < 0)
		return r;
	now = inst_clock();
	if (now - mask_checked_at < MASK_CHECK_NS)
		return r;
	mask_checked_at = now;
	if (real_ppoll(NULL, 0, &zero, src->sigmask) < 0 && errno == EINTR && r == 0)
		return -EINTR;
	return r;
}

/*
 * What the wait's own mask blocks stays out from its beginning to its end, not only while it sleeps. What the
 * mask lets in gets in in the sleep and in let_signals_in().
 */
struct mask_hold {
	bool held;
	sigset_t before;
};

static void mask_release(const struct mask_hold *m)
{
	if (m->held)
		pthread_sigmask(SIG_SETMASK, &m->before, NULL);
}

int wait_for(struct wait_source *src, time_ns deadline)
{
	bool spins = !src->no_spin && domain_running(); /* sets in sets are waited for without a link too */
	struct mask_hold masked __attribute__((cleanup(mask_release))) = {.held = src->sigmask};
	struct waiter w = {
		.src = src,
		.slot = SLOT_NONE,
		.home = spins ? inst_home() : NULL,
	};
	time_ns now = inst_clock(), started = now, spin_ns = spins ? spin_time() : 0;
	time_ns spin_until = now + spin_ns, spun = 0, before;
	unsigned seen = signal_hold.seen;
	int saved = errno, r;

	batch = 0;
	if (masked.held)
		pthread_sigmask(SIG_BLOCK, src->sigmask, &masked.before);
	if (spins)
		dismiss_helper(&w, now);
	for (;;) {
		unsigned got = drive(&w, now);

		r = 1;
		if (src->ready(src->arg))
			break;
		before = now;
		now = inst_clock();
		r = signals_interrupt(seen) ? -EINTR : 0;
		if (r < 0 || now >= deadline)
			break;
		if (!got && !w.slept)
			spun += now - before;
		if (got) {
			spin_until = now + spin_ns;
			continue;
		}
		if (now < spin_until && busy_within(SPIN_RECENT_NS, now))
			continue;
		if (!w.slept) {
			w.slot = slot_mine();
			if (w.slot != SLOT_NONE && w.home)
				atomic_store_explicit(&slot_at(w.slot)->home, 1u + w.home->index,
						      memory_order_relaxed);
			w.slept = true;
		}
		r = sleep_once(&w, now, deadline);
		if (r < 0 && src->ready(src->arg))
			r = 1;
		if (r != 0)
			break;
		now = inst_clock();
		member_reap(now);
	}
	if (spins)
		spin_learn(&(struct spin_result){w.slept, spun, now - started}, now);
	if (w.slept)
		leave(&w);
	else
		r = let_signals_in(src, r);
	errno = saved;
	return r;
}

struct file_wait {
	struct file *f;
	uint32_t mask;
};

static bool file_ready(void *arg)
{
	struct file_wait *fw = arg;

	return file_events(fw->f) & fw->mask;
}

int wait_file(struct file *f, int fd, uint32_t mask, time_ns deadline)
{
	struct file_wait fw = {.f = f, .mask = mask | EPOLLERR | EPOLLHUP};
	struct pollfd kernel[1 + WAIT_SPARE_FDS] = {{.fd = fd, .events = (short)mask}};
	struct wait_source src = {
		.ready = file_ready,
		.arg = &fw,
		.kernel_fds = kernel,
		.n_kernel = file_mode(f) == FILE_DUAL ? 1 : 0,
		.files = &f,
		.n_files = 1,
	};
	int r = wait_for(&src, deadline);

	return r > 0 ? 0 : r == 0 ? -EAGAIN : r;
}
