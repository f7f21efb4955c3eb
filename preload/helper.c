/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * helper.c - the helper thread (helper.h)
 *
 *     TICKING ──every instance has somebody asleep on it──► PARKED (asleep without a time limit,
 *        ▲  │                                                  │    or 1 s at most when relying on another
 * process) │  └──nobody drives──► drive, then sleep as the driver itself └── a thread leaves its wait:
 * helper_kick() sets the alarm
 *
 * The alarm is a timer descriptor, so that an application thread can set it without waking the helper: a
 * program that soon waits again has cost a system call, and the helper one look.
 *
 * Parking and leaving cannot miss each other: a leaving thread gives up its role and then looks at
 * helper_state; the helper sets PARKED and then looks at the roles.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "domain.h"
#include "fd_guard.h"
#include "helper.h"
#include "libc.h"
#include "own_fd.h"
#include "wait.h"

#define TICK_NS      (1 * NS_PER_MS)
#define AT_ONCE_NS   1
#define STACK_BYTES  (256 * 1024)
#define STOP_WAIT_MS 100

_Atomic uint32_t helper_state = HELPER_NONE;

static _Atomic bool stopping, running;
static _Atomic uint32_t own_slot; /* 1 + slot; 0: none */
static int alarm_fd = -1;
static pthread_mutex_t create_lock = PTHREAD_MUTEX_INITIALIZER;

/* Is a thread (of ours or not, but not this one) responsible for the instance while we do nothing? */
static bool looked_after(const struct inst *in, unsigned slot)
{
	uint32_t driver = atomic_load(&in->driver_slot);

	return driver != 0 && driver != slot + 1 && driver != atomic_load(&in->silent_slot) &&
	       atomic_load(&slot_at(driver - 1)->pid) != 0;
}

static bool all_looked_after(unsigned slot)
{
	for (unsigned i = 0; i < domain->n_insts; i++)
		if (!looked_after(&domain->insts[i], slot))
			return false;
	return true;
}

/* By syscall(2): neither call is to be a cancellation point or ours. */
static void set_alarm(long ns)
{
	const struct itimerspec in = {.it_value = {ns / (long)NS_PER_SEC, ns % (long)NS_PER_SEC}};
	int saved = errno;

	real_syscall(SYS_timerfd_settime, alarm_fd, 0, (long)&in, 0, 0, 0);
	errno = saved;
}

static void wait_for_alarm(void)
{
	static const struct timespec tick = {.tv_nsec = TICK_NS};
	uint64_t times;

	/* A program that closes it behind our back makes no busy loop of this. */
	if (real_syscall(SYS_read, alarm_fd, (long)&times, sizeof(times), 0, 0, 0) < 0)
		real_ppoll(NULL, 0, &tick, NULL);
}

/* A driver in another process may be killed or stopped, and then nobody would kick. */
static bool driver_elsewhere(void)
{
	for (unsigned i = 0; i < domain->n_insts; i++) {
		uint32_t driver = atomic_load(&domain->insts[i].driver_slot);

		if (driver != 0 && atomic_load(&slot_at(driver - 1)->pid) != member_pid())
			return true;
	}
	return false;
}

/* No alarm until somebody kicks, or has died by now. */
static void park(unsigned slot)
{
	uint32_t parked = HELPER_PARKED;

	if (driver_elsewhere())
		set_alarm((long)wait_recheck_ns());
	atomic_store(&helper_state, HELPER_PARKED);
	if ((!all_looked_after(slot) || atomic_load(&stopping)) &&
	    atomic_compare_exchange_strong(&helper_state, &parked, HELPER_TICKING))
		set_alarm(TICK_NS);
}

struct stand_in {
	unsigned slot, roles;
};

/*
 * ready() of the helper's own wait: back to ticking when a role was taken from it, which an application
 * thread does as soon as it waits, or when it got none because others were quicker.
 */
static bool relieved(void *arg)
{
	struct stand_in *s = arg;
	unsigned roles = 0;

	for (unsigned i = 0; i < domain->n_insts; i++)
		roles += atomic_load(&domain->insts[i].driver_slot) == s->slot + 1;
	if (atomic_load(&stopping) || roles < s->roles || all_looked_after(s->slot))
		return true;
	s->roles = roles;
	return false;
}

/* Nobody else drove lately: drive, and as long as the program stays away, sleep on the device in its place.
 */
static void stand_in(unsigned slot)
{
	struct stand_in s = {.slot = slot};
	struct wait_source src = {.ready = relieved, .arg = &s, .no_spin = true};

	wait_for(&src, TIME_NEVER);
}

static bool driven_since(unsigned slot, time_ns then)
{
	for (unsigned i = 0; i < domain->n_insts; i++) {
		struct inst *in = &domain->insts[i];

		if (!looked_after(in, slot) && atomic_load(&in->driven_at) < then)
			return false;
	}
	return true;
}

/* Does whoever has the driver's role in another process still do anything? */
static void watch_drivers(unsigned slot)
{
	time_ns now = inst_clock();

	for (unsigned i = 0; driver_elsewhere() && i < domain->n_insts; i++)
		inst_try_poll_watching(&domain->insts[i], slot, now);
}

static void go_on(void)
{
	atomic_store(&helper_state, HELPER_TICKING);
	set_alarm(TICK_NS);
}

static void watch(unsigned slot)
{
	set_alarm(TICK_NS);
	for (;;) {
		wait_for_alarm();
		if (atomic_load(&stopping))
			return;
		member_reap(inst_clock());
		watch_drivers(slot);
		if (!all_looked_after(slot) && !driven_since(slot, inst_clock() - TICK_NS))
			stand_in(slot);
		if (all_looked_after(slot))
			park(slot);
		else
			go_on();
	}
}

static void *helper_main(void *arg)
{
	unsigned slot = slot_mine();

	(void)arg;
	if (slot != SLOT_NONE) {
		atomic_store(&slot_at(slot)->helper, true);
		atomic_store(&own_slot, slot + 1);
		atomic_store(&helper_state, HELPER_TICKING);
		watch(slot);
	}
	atomic_store(&helper_state, HELPER_OFF);
	atomic_store(&running, false);
	futex_wake(&helper_state, 1);
	return NULL;
}

static int create(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int err;

	alarm_fd = own_fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	if (alarm_fd < 0)
		return -alarm_fd;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, helper_main, NULL);
	if (!err)
		pthread_setname_np(thread, "shunt-helper");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

void helper_kick_slow(void)
{
	uint32_t state = HELPER_PARKED;

	if (!domain_running() || !member_is_me())
		return;
	if (atomic_compare_exchange_strong(&helper_state, &state, HELPER_TICKING)) {
		set_alarm(TICK_NS);
		return;
	}
	if (state != HELPER_NONE || pthread_mutex_trylock(&create_lock) != 0)
		return;
	if (atomic_load(&helper_state) == HELPER_NONE) {
		atomic_store(&running, true);
		atomic_store(&helper_state, HELPER_STARTING);
		if (create() != 0) {
			atomic_store(&running, false);
			atomic_store(&helper_state, HELPER_OFF);
		}
	}
	pthread_mutex_unlock(&create_lock);
}

void helper_stop(void)
{
	uint32_t none = HELPER_NONE;

	atomic_store(&stopping, true);
	if (atomic_compare_exchange_strong(&helper_state, &none, HELPER_OFF))
		return; /* and it is not made any more */
	for (unsigned ms = 0; atomic_load(&running) && ms < STOP_WAIT_MS; ms++) {
		static const struct timespec one_ms = {.tv_nsec = NS_PER_MS};
		uint32_t state, slot = atomic_load(&own_slot);

		if (slot != 0)
			set_alarm(AT_ONCE_NS);
		if (slot != 0 && slot_wake(slot - 1))
			slot_kick();
		state = atomic_load(&helper_state);
		if (state == HELPER_OFF)
			break;
		futex_wait(&helper_state, state, &one_ms);
	}
}

void helper_before_fork(void)
{
	pthread_mutex_lock(&create_lock);
}

void helper_after_fork(bool child)
{
	pthread_mutex_unlock(&create_lock);
	if (!child)
		return;
	atomic_store(&helper_state, HELPER_NONE);
	atomic_store(&running, false);
	atomic_store(&stopping, false);
	atomic_store(&own_slot, 0);
	if (alarm_fd >= 0) {
		fd_unguard(alarm_fd); /* the parent's */
		real_close(alarm_fd);
		alarm_fd = -1;
	}
}
