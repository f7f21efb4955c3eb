/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * member.c - joining, fork, exec, and cleaning up after the dead (member.h)
 *
 * Leaving with data still on its way is in drain.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "domain.h"
#include "epoll_set.h"
#include "helper.h"
#include "libc.h"
#include "member.h"
#include "telemetry.h"
#include "wait.h"

#define UNBORN_MAX_NS (10 * NS_PER_SEC) /* a fork that is not over by now has failed */
#define REAP_EVERY_NS (200 * NS_PER_MS)

struct member *member_self;

static int self_pid;
/* Between the fork handlers of this process: the child's member, or its domain. */
static struct member *unborn;
static struct domain *copy;
static unsigned insts_locked;
static struct shm_lock fork_lock;
static bool forks_member; /* was this process a member when the fork began; under fork_lock */

/* What exec dropped, to be taken back when it fails. */
static struct {
	struct file **files;
	size_t bytes;
	int max_fd;
} before_exec;

static unsigned index_of(const struct member *m)
{
	return (unsigned)(m - domain->members);
}

int member_pid(void)
{
	return self_pid;
}

bool member_is_me(void)
{
	return member_self && self_pid == getpid();
}

/*
 * The last handler registered is the first to run before a fork. Ours holds all locks from then on, and the
 * program's handlers may wait for locks of the program under which other threads use sockets: so ours must be
 * the oldest, older also than runtime.c's.
 */
__attribute__((constructor(101))) static void watch_forks(void)
{
	pthread_atfork(member_before_fork, member_after_fork_parent, member_after_fork_child);
}

/* The instance that the fewest members have for their home. */
static uint32_t choose_home(const struct member *for_whom)
{
	unsigned left = atomic_load(&domain->n_members), count[DOMAIN_INSTS_MAX] = {0};
	uint32_t best = 0;

	for (unsigned i = 0; i < domain->n_members_max && left > 0; i++) {
		const struct member *m = &domain->members[i];

		if (m == for_whom || atomic_load_explicit(&m->pid, memory_order_relaxed) == MEMBER_FREE)
			continue;
		count[m->home % DOMAIN_INSTS_MAX]++;
		left--;
	}
	for (uint32_t i = 1; i < domain->n_insts; i++)
		if (count[i] < count[best])
			best = i;
	return best;
}

static struct member *member_claim(int pid)
{
	for (unsigned i = 0; i < domain->n_members_max; i++) {
		int nobody = MEMBER_FREE;
		struct member *m = &domain->members[i];

		if (atomic_load_explicit(&m->pid, memory_order_relaxed) != MEMBER_FREE)
			continue;
		/* Time first: UNBORN with a stale time would be reaped at once. */
		if (!atomic_compare_exchange_strong(&m->pid, &nobody, MEMBER_REAPED))
			continue;
		atomic_store(&m->unborn_at, inst_clock());
		m->home = choose_home(m);
		atomic_fetch_add(&domain->n_members, 1);
		atomic_store(&m->max_fd, -1);
		atomic_store(&m->pid, pid);
		return m;
	}
	return NULL;
}

static void adopt(struct member *m)
{
	self_pid = getpid();
	member_self = m;
	file_table_use(index_of(m));
}

int member_join(void)
{
	struct member *m = member_claim(getpid());

	if (!m)
		return -EAGAIN;
	adopt(m);
	return 0;
}

/* The caller made m->pid MEMBER_REAPED, so nobody else works on it. */
static void member_release(struct member *m)
{
	file_table_drop(index_of(m), atomic_load(&m->max_fd));
	atomic_fetch_sub(&domain->n_members, 1);
	atomic_store(&m->pid, MEMBER_FREE);
}

void member_before_fork(void)
{
	shm_lock(&fork_lock);
	domain_before_fork();
	forks_member = member_self;
	if (!forks_member)
		return;
	helper_before_fork();
	if (!domain_running()) {
		copy = domain_copy();
		return;
	}
	unborn = member_claim(MEMBER_UNBORN);
	if (unborn)
		atomic_store(&unborn->max_fd, file_table_copy(index_of(unborn)));
	/* Nothing of the device's process-local state may be half-written in the child's copy. */
	for (insts_locked = 0; insts_locked < inst_count(); insts_locked++)
		shm_lock(&inst_get(insts_locked)->lock);
}

void member_after_fork_parent(void)
{
	if (forks_member) {
		while (insts_locked > 0)
			shm_unlock(&inst_get(--insts_locked)->lock);
		helper_after_fork(false);
		domain_copy_drop(copy);
		copy = NULL;
		unborn = NULL;
	}
	domain_after_fork_parent();
	shm_unlock(&fork_lock);
}

/* The stacks do not run yet: the child goes on alone with what the parent had. */
static void become_founder(void)
{
	domain_copy_adopt(copy);
	copy = NULL;
	self_pid = getpid();
	for (unsigned i = 0; i < domain->n_members_max; i++)
		atomic_store(&domain->members[i].pid,
			     &domain->members[i] == member_self ? self_pid : MEMBER_FREE);
	atomic_store(&domain->n_members, 1);
}

void member_after_fork_child(void)
{
	int expected = MEMBER_UNBORN;

	/* The instances' locks are the parent's, which gives them back. The others are copies. */
	insts_locked = 0;
	signals_forget();
	thread_id_forget();
	atomic_store(&fork_lock.word, 0);
	domain_after_fork_child();
	if (!forks_member)
		return;
	helper_after_fork(true);
	slot_forget();
	wait_forget();
	inst_forget_home();
	if (copy) {
		become_founder();
		return;
	}
	member_self = NULL;
	if (unborn && atomic_compare_exchange_strong(&unborn->pid, &expected, getpid()))
		adopt(unborn);
	else
		file_table_none();
	unborn = NULL;
}

void member_before_exec(void)
{
	int max = file_max_fd();

	if (!member_is_me() || before_exec.files)
		return;
	before_exec.bytes = ((size_t)max + 1) * sizeof(struct file *);
	before_exec.files = mmap(NULL, before_exec.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0); /* exec is allowed where malloc is not */
	if (before_exec.files == MAP_FAILED)
		before_exec.files = NULL;
	before_exec.max_fd = max;
	for (int fd = 0; fd <= max; fd++) {
		struct file *f = file_get(fd);

		if (!f)
			continue;
		if (before_exec.files)
			before_exec.files[fd] = f;
		file_put(f);
	}
	for (int fd = 0; fd <= max; fd++)
		file_uninstall(fd);
}

void member_exec_failed(void)
{
	if (!before_exec.files || !member_is_me())
		return;
	for (int fd = 0; fd <= before_exec.max_fd; fd++) {
		struct file *f = before_exec.files[fd];

		if (f && file_ref(f) && file_install(fd, f) < 0)
			file_put(f);
	}
	munmap(before_exec.files, before_exec.bytes);
	before_exec.files = NULL;
}

static bool take_bit(struct slot_set *s, unsigned slot)
{
	uint64_t bit = 1ULL << slot % 64;

	return (atomic_load_explicit(&s->w[slot / 64], memory_order_relaxed) & bit) &&
	       (atomic_fetch_and(&s->w[slot / 64], ~bit) & bit);
}

/*
 * A thread that sleeps has a reference to each file that it waits for, which shows by its bit among the
 * sleepers. One that was killed asleep, as most are, would keep the connection open for ever. (One that was
 * killed while awake in a call still does.)
 */
static void drop_sleepers_references(unsigned slot)
{
	struct file *files = (struct file *)domain->files.base;
	struct epoll_set *sets = (struct epoll_set *)domain->sets.base;

	for (uint32_t i = 0; i < domain->sets.fresh; i++)
		if (take_bit(&sets[i].sleepers, slot))
			file_put(sets[i].file);
	for (uint32_t i = 0; i < domain->files.fresh; i++)
		if (take_bit(&files[i].sleepers, slot))
			file_put(&files[i]);
}

static void reap_slots(int pid)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (atomic_load_explicit(&slot_at(i)->pid, memory_order_relaxed) == pid)
			drop_sleepers_references(i);
	slot_reap(pid);
}

void member_end_threads(void)
{
	unsigned mine = slot_mine();

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		if (i == mine || atomic_load_explicit(&slot_at(i)->pid, memory_order_relaxed) != self_pid ||
		    !slot_sleep_for_ever(i))
			continue;
		for (unsigned k = 0; k < inst_count(); k++) {
			uint32_t driver = i + 1;

			atomic_compare_exchange_strong(&inst_get(k)->driver_slot, &driver, 0);
		}
		drop_sleepers_references(i);
	}
}

/* Is there somebody else, alive as far as one can tell? */
static bool reap_one(struct member *m, time_ns now)
{
	int pid = atomic_load(&m->pid);

	if (pid == MEMBER_FREE || pid == MEMBER_REAPED || pid == self_pid)
		return false;
	if (pid == MEMBER_UNBORN ? now < atomic_load(&m->unborn_at) + UNBORN_MAX_NS : !process_is_dead(pid))
		return true;
	if (!atomic_compare_exchange_strong(&m->pid, &pid, MEMBER_REAPED))
		return false;
	if (pid > 0) {
		reap_slots(pid);
		telemetry_left(pid);
	}
	member_release(m);
	return false;
}

void member_reap_before_exit(void)
{
	int saved = errno;

	if (atomic_load_explicit(&domain->n_members, memory_order_relaxed) < 2)
		return;
	for (unsigned i = 0; i < domain->n_members_max; i++)
		if (reap_one(&domain->members[i], inst_clock()))
			break;
	errno = saved;
}

bool member_leave(void)
{
	int pid = self_pid;

	if (!atomic_compare_exchange_strong(&member_self->pid, &pid, MEMBER_REAPED))
		return false;
	telemetry_left(pid);
	member_release(member_self);
	return true;
}

void member_reap(time_ns now)
{
	uint64_t due;
	int saved = errno;

	telemetry_take_over();
	if (atomic_load_explicit(&domain->n_members, memory_order_relaxed) < 2)
		return;
	due = atomic_load_explicit(&domain->reap_at, memory_order_relaxed);
	if (now < due || !atomic_compare_exchange_strong(&domain->reap_at, &due, now + REAP_EVERY_NS))
		return;
	for (unsigned i = 0; i < domain->n_members_max; i++)
		reap_one(&domain->members[i], now);
	errno = saved;
}
