/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain.c - a process ends, its data does not: member_exit()
 *
 * On a kernel stack, what was written before exit still gets delivered. Here the stack would end with its
 * last member. So the leaving process closes everything, and while something is undelivered and no other
 * member looks after it, drives on: first for the usual round trip in this process, then in a child that has
 * let go of everything that belonged to the program, so that neither the exit status nor a reader of the
 * program's pipes has to wait.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "domain.h"
#include "drain.h"
#include "driver/driver.h"
#include "fd_guard.h"
#include "helper.h"
#include "libc.h"
#include "stack/stack.h"
#include "wait.h"

#define DRAIN_HERE_NS  (20 * NS_PER_MS)
#define DRAIN_CHILD_NS (60 * NS_PER_SEC)
#define DRAIN_STEP_NS  (1 * NS_PER_SEC)

static bool inst_delivered(struct inst *in)
{
	unsigned left;

	inst_lock(in);
	left = stack_undelivered(in->stack);
	inst_unlock(in);
	return left == 0;
}

/* Has every byte reached its peer, or does some other process see to it? */
static bool all_delivered(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < inst_count(); i++) {
		uint32_t driver = atomic_load(&inst_get(i)->driver_slot);
		int pid = driver ? atomic_load(&slot_at(driver - 1)->pid) : 0;

		if ((pid == 0 || pid == member_pid()) && !inst_delivered(inst_get(i)))
			return false;
	}
	return true;
}

static bool drain_for(time_ns ns)
{
	struct wait_source src = {.ready = all_delivered};
	time_ns end = inst_clock() + ns;

	while (!all_delivered(NULL)) {
		time_ns now = inst_clock();

		if (now >= end)
			return false;
		wait_for(&src, now + DRAIN_STEP_NS < end ? now + DRAIN_STEP_NS : end);
	}
	return true;
}

void drain_let_go(void)
{
	struct rlimit lim = {.rlim_cur = 1024};
	int devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setsid();
	if (chdir("/") < 0)
		return; /* keeps a mount busy for a minute at worst */
	getrlimit(RLIMIT_NOFILE, &lim);
	for (int fd = 0; fd < 3; fd++)
		real_dup2(devnull, fd);
	for (int fd = 3; fd < (int)(lim.rlim_cur < DOMAIN_FDS_MAX ? lim.rlim_cur : DOMAIN_FDS_MAX); fd++)
		if (!fd_guarded(fd) && !driver_owns_fd(fd))
			real_close(fd);
}

void drain_and_exit(void)
{
	drain_for(DRAIN_CHILD_NS);
	member_leave();
	real__exit(0);
	__builtin_unreachable();
}

void member_exit(void)
{
	static _Atomic bool done;

	if (!member_is_me() || atomic_exchange(&done, true))
		return;
	if (!domain_running()) {
		member_leave();
		return;
	}
	helper_stop();
	for (int fd = 0, max = file_max_fd(); fd <= max; fd++)
		file_uninstall(fd);
	member_end_threads();
	member_reap_before_exit();
	for (unsigned i = 0; i < inst_count(); i++) {
		inst_lock(inst_get(i));
		inst_flush(inst_get(i));
		inst_unlock(inst_get(i));
	}
	if (!drain_for(DRAIN_HERE_NS) && fork() == 0) {
		drain_let_go();
		drain_and_exit();
	}
	member_leave();
	slot_reap(member_pid());
}
