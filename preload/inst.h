/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inst.h - one stack instance of the domain: its lock, its queue, and the act of driving it
 *
 * Driving = rx burst, stack_input(), timers, stack_output(), tx burst, and handing wake-ups to whoever
 * watches. Any thread of any member may do it under the lock; normally it is the thread that waits or finds
 * nothing to read.
 */
#ifndef PRELOAD_INST_H
#define PRELOAD_INST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lock.h"
#include "stack/clock.h"

struct stack;
struct sock;
struct netdev;

struct inst {
	struct shm_lock lock;
	uint16_t index;      /* in domain->insts; also the device's queue */
	struct stack *stack; /* shared memory */
	_Atomic uint32_t
		driver_slot; /* 1 + wait slot of the thread that sleeps on the device for all; 0: nobody */
	_Atomic uint64_t driven_at; /* time_ns of the last poll */
	_Atomic uint32_t sleepers;  /* threads blocked with interest in this instance */
};

unsigned inst_count(void);
struct inst *inst_get(unsigned index);

/* The instance this process prefers for new sockets. */
struct inst *inst_home(void);

/* The instance a socket belongs to. */
struct inst *inst_of(const struct sock *so);

/* Takes the lock, selects the queue's buffers and tells the stack the time. Not recursive. */
void inst_lock(struct inst *in);

/* Hands wake-ups to their watchers, then releases. Frames stay queued: see inst_flush(). */
void inst_unlock(struct inst *in);

/* Transmits what stack_output() has. Lock held. */
void inst_flush(struct inst *in);

/*
 * After a socket call that may have queued frames, lock held: transmits at once, unless the calling thread is
 * in the middle of a batch (its last wait returned several events and it will soon wait again) and little is
 * queued. What is put off leaves with the next poll of anybody, at the latest when the helper thread looks
 * (about 1 ms).
 */
void inst_sent(struct inst *in);

/* One round of driving; takes and releases the lock. Returns the number of frames received. */
unsigned inst_poll(struct inst *in);

/* The same if the lock is free, else 0. */
unsigned inst_try_poll(struct inst *in);

/* Monotonic nanoseconds from the TSC; same origin in all members. */
time_ns inst_clock(void);

#endif
