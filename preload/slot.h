/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slot.h - how one thread wakes another, in whatever process of the family it sleeps
 *
 * A thread that sleeps has a slot: a state word and an eventfd that all members inherited. Slots are made
 * before the domain runs, so every process forked later can write to every one of them.
 *
 *     sleeper:  state = SLEEPING; look once more for what it waits for; ppoll(…, fd)
 *     waker:    make it ready; fence; if state == SLEEPING: state = WOKEN, write(fd)
 *
 * Either the sleeper sees what was made ready or the waker sees SLEEPING: no wake-up is lost, and none costs
 * a system call while the sleeper is awake.
 *
 * Whoever may have to be woken is named by bits in a slot_set. A stale bit costs a spurious wake-up, nothing
 * more; but as long as it stands the sleeper has a reference to the file, which member.c drops for the dead.
 */
#ifndef PRELOAD_SLOT_H
#define PRELOAD_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SLOTS_MAX 256
#define SLOT_NONE SLOTS_MAX

/* TAKEN: its process ends, and the sleeper, whose references were dropped, does not come back. */
enum slot_state { SLOT_AWAKE, SLOT_SLEEPING, SLOT_WOKEN, SLOT_TAKEN };

struct slot {
	_Atomic uint32_t state; /* enum slot_state */
	_Atomic int pid;        /* owner's process, 0: free */
	int fd;                 /* eventfd, non-blocking, the same number in all members */
	_Atomic bool helper;    /* the owner is a helper thread */
	_Atomic uint8_t home;   /* 1 + index of the instance that the owner drives; 0: none */
};

struct slot_set {
	_Atomic uint64_t w[SLOTS_MAX / 64];
};

/* Makes the eventfds; before the domain runs. */
int slots_open(struct slot *slots);

/* This thread's slot, taken at first use and given back when the thread ends; SLOT_NONE when all are taken.
 */
unsigned slot_mine(void);
struct slot *slot_at(unsigned index);

/* In a fork child: the slot was the parent's. */
void slot_forget(void);

/* A killed process's slots are free again. */
void slot_reap(int pid);

/* For the end of this process: makes a sleeping thread of it stay asleep. False when it is awake. */
bool slot_sleep_for_ever(unsigned slot);

static inline void slot_set_add(struct slot_set *s, unsigned slot)
{
	atomic_fetch_or(&s->w[slot / 64], 1ULL << (slot % 64));
}

static inline void slot_set_remove(struct slot_set *s, unsigned slot)
{
	atomic_fetch_and(&s->w[slot / 64], ~(1ULL << (slot % 64)));
}

static inline bool slot_set_empty(const struct slot_set *s)
{
	for (unsigned i = 0; i < SLOTS_MAX / 64; i++)
		if (atomic_load_explicit(&s->w[i], memory_order_relaxed))
			return false;
	return true;
}

/*
 * Marks a sleeping thread woken; the write itself happens in slot_kick(), which the caller calls once it
 * holds no lock. True when the thread was asleep.
 */
bool slot_wake(unsigned slot);

/* slot_wake() for all of the set, or for the first that sleeps. Returns how many were asleep. */
unsigned slot_wake_all(struct slot_set *s);
bool slot_wake_one(struct slot_set *s);

void slot_kick(void);

/* Ends the calling thread's own sleep, about to begin; for a signal handler. */
void slot_wake_me(void);

/* The sleeper's side. readable: the sleep found the slot's eventfd readable. */
void slot_sleep_begin(unsigned slot);
void slot_sleep_end(unsigned slot, bool readable);

#endif
