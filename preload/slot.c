/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot.c - wake slots: taking one, waking its owner (slot.h)
 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "domain.h"
#include "libc.h"
#include "member.h"
#include "own_fd.h"
#include "slot.h"

static __thread unsigned mine = SLOT_NONE + 1;  /* SLOT_NONE + 1: not asked for yet */
static __thread uint64_t kicks[SLOTS_MAX / 64]; /* woken, write still owed */
static __thread bool kicks_owed;
static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

int slots_open(struct slot *slots)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		slots[i].fd = own_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
		if (slots[i].fd < 0)
			return slots[i].fd;
	}
	return 0;
}

struct slot *slot_at(unsigned index)
{
	return &domain->slots[index];
}

static void release_at_thread_end(void *value)
{
	struct slot *s = slot_at((unsigned)(uintptr_t)value - 1);

	if (atomic_load(&s->pid) != member_pid())
		return;
	mine = SLOT_NONE; /* a later destructor may still wait: it naps */
	atomic_store(&s->state, SLOT_AWAKE);
	atomic_store(&s->pid, 0);
}

static void make_key(void)
{
	if (pthread_key_create(&thread_end, release_at_thread_end) != 0)
		thread_end = (pthread_key_t)-1;
}

static unsigned slot_take(void)
{
	int pid = member_pid();

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		int nobody = 0;

		if (atomic_load_explicit(&domain->slots[i].pid, memory_order_relaxed) != 0 ||
		    !atomic_compare_exchange_strong(&domain->slots[i].pid, &nobody, pid))
			continue;
		atomic_store(&domain->slots[i].state, SLOT_AWAKE);
		atomic_store(&domain->slots[i].helper, false);
		atomic_store(&domain->slots[i].home, 0);
		pthread_once(&thread_end_once, make_key);
		pthread_setspecific(thread_end, (void *)(uintptr_t)(i + 1));
		return i;
	}
	return SLOT_NONE;
}

unsigned slot_mine(void)
{
	if (__builtin_expect(mine > SLOT_NONE, 0))
		mine = slot_take();
	return mine;
}

void slot_forget(void)
{
	if (mine < SLOT_NONE)
		pthread_setspecific(thread_end, NULL);
	mine = SLOT_NONE + 1;
	kicks_owed = false;
	for (unsigned i = 0; i < SLOTS_MAX / 64; i++)
		kicks[i] = 0;
}

void slot_reap(int pid)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		int expected = pid;

		if (atomic_load(&domain->slots[i].pid) != pid)
			continue;
		atomic_store(&domain->slots[i].state, SLOT_AWAKE);
		atomic_compare_exchange_strong(&domain->slots[i].pid, &expected, 0);
	}
}

bool slot_sleep_for_ever(unsigned slot)
{
	uint32_t state = atomic_load(&domain->slots[slot].state);

	while (state == SLOT_SLEEPING || state == SLOT_WOKEN)
		if (atomic_compare_exchange_weak(&domain->slots[slot].state, &state, SLOT_TAKEN))
			return true;
	return false;
}

bool slot_wake(unsigned slot)
{
	uint32_t sleeping = SLOT_SLEEPING;

	if (atomic_load(&domain->slots[slot].state) != SLOT_SLEEPING ||
	    !atomic_compare_exchange_strong(&domain->slots[slot].state, &sleeping, SLOT_WOKEN))
		return false;
	kicks[slot / 64] |= 1ULL << (slot % 64);
	kicks_owed = true;
	return true;
}

unsigned slot_wake_all(struct slot_set *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS_MAX / 64; i++)
		for (uint64_t w = atomic_load(&s->w[i]); w; w &= w - 1)
			n += slot_wake(i * 64 + (unsigned)__builtin_ctzll(w));
	return n;
}

bool slot_wake_one(struct slot_set *s)
{
	for (unsigned i = 0; i < SLOTS_MAX / 64; i++)
		for (uint64_t w = atomic_load(&s->w[i]); w; w &= w - 1)
			if (slot_wake(i * 64 + (unsigned)__builtin_ctzll(w)))
				return true;
	return false;
}

/* Not by write(2) and read(2) of libc: those are cancellation points. */
static void kick_owed(void)
{
	int saved = errno;

	kicks_owed = false;
	for (unsigned i = 0; i < SLOTS_MAX / 64; i++) {
		while (kicks[i]) {
			unsigned bit = (unsigned)__builtin_ctzll(kicks[i]);
			uint64_t one = 1;

			kicks[i] &= kicks[i] - 1;
			real_syscall(SYS_write, domain->slots[i * 64 + bit].fd, (long)&one, sizeof(one), 0, 0,
				     0);
		}
	}
	errno = saved;
}

void slot_kick(void)
{
	if (__builtin_expect(kicks_owed, 0))
		kick_owed();
}

void slot_wake_me(void)
{
	uint32_t sleeping = SLOT_SLEEPING;
	uint64_t one = 1;

	if (mine < SLOT_NONE &&
	    atomic_compare_exchange_strong(&domain->slots[mine].state, &sleeping, SLOT_WOKEN))
		real_syscall(SYS_write, domain->slots[mine].fd, (long)&one, sizeof(one), 0, 0, 0);
}

void slot_sleep_begin(unsigned slot)
{
	/* Sequentially consistent, as slot_wake()'s load is: see slot.h. */
	atomic_store(&domain->slots[slot].state, SLOT_SLEEPING);
	atomic_thread_fence(memory_order_seq_cst);
}

void slot_sleep_end(unsigned slot, bool readable)
{
	uint32_t state = atomic_exchange(&domain->slots[slot].state, SLOT_AWAKE);

	while (state == SLOT_TAKEN)
		real_syscall(SYS_ppoll, 0, 0, 0, 0, 0, 0);
	if (state == SLOT_WOKEN || readable) {
		uint64_t count;
		int saved = errno;

		/*
		 * The waker may not have written yet: then the next sleep ends early, and it is that one
		 * that must read, although nobody woke it.
		 */
		real_syscall(SYS_read, domain->slots[slot].fd, (long)&count, sizeof(count), 0, 0, 0);
		errno = saved;
	}
}
