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
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "stack/clock.h"

struct stack;
struct sock;
struct netdev;

struct inst {
	_Alignas(64) struct shm_lock lock;
	uint16_t index;      /* in domain->insts; also the device's queue */
	struct stack *stack; /* shared memory */
	_Atomic uint32_t
		driver_slot; /* 1 + slot of the thread that sleeps on the device for all; 0: nobody */
	_Atomic uint32_t
		silent_slot;        /* 1 + slot of a driver that slept on when it should not have; 0: none */
	_Atomic uint64_t driven_at; /* last poll */
	_Atomic uint32_t worker;    /* with several instances: thread that drives this one; 0: none does */
	_Atomic uint64_t busy_at;   /* last poll that received something */
	_Atomic uint64_t driver_until; /* when the sleeping driver wakes by itself */
	uint32_t held_bytes;           /* written by the program since the last flush; under the lock */
};

/* TSC to nanoseconds: ns0 + ((tsc - tsc0) * mult >> 32); mult 0: no usable TSC, read CLOCK_MONOTONIC. */
struct inst_clock_base {
	uint64_t tsc0, ns0;
	_Atomic uint64_t mult;
};

unsigned inst_count(void);
struct inst *inst_get(unsigned index);

/*
 * The instance this thread drives and prefers for new sockets. Processes and their threads are spread over
 * the instances.
 */
struct inst *inst_home(void);
void inst_forget_home(void); /* in a fork child */

/* Does this thread drive it, and no other? */
bool inst_is_mine(const struct inst *in);

/* The instance a socket belongs to. */
struct inst *inst_of(const struct sock *so);

/* Takes the lock, selects the queue's buffers and tells the stack the time. Not recursive. */
void inst_lock(struct inst *in);

/* Hands wake-ups to their watchers, then releases. Frames stay queued: see inst_flush(). */
void inst_unlock(struct inst *in);

/*
 * For looking on: takes the lock without telling the stack anything; false when it is not to be had in about
 * `ms`. The end hands out no wake-ups.
 */
bool inst_look_begin(struct inst *in, unsigned ms);
void inst_look_end(struct inst *in);

/* Before pthread_cancel(3): from now on no thread of this process can be cancelled while it holds a lock. */
void inst_before_cancel(void);

/* Transmits what stack_output() has. Lock held. */
void inst_flush(struct inst *in);

/*
 * After a socket call that may have queued frames, lock held: transmits at once, unless the calling thread is
 * in the middle of a batch (its last wait returned several events and it will soon wait again) and little is
 * queued. What is put off leaves with the next poll of anybody, at the latest when the helper thread looks
 * (about 1 ms). `bytes`: how many the call wrote.
 */
void inst_sent(struct inst *in, size_t bytes);

/*
 * A driver's process may be stopped or killed, and then its role helps nobody. Polls like inst_try_poll();
 * when the driver is another thread than that of `slot` and let frames lie, slept past its time, or nobody
 * comes to the lock, it is marked as silent: looked over and replaced until it comes back. Being wrong costs
 * one wake-up.
 */
unsigned inst_try_poll_watching(struct inst *in, unsigned slot, time_ns now);

/* One round of driving; takes and releases the lock. Returns the number of frames received. */
unsigned inst_poll(struct inst *in);

/* The same if the lock is free, else 0. */
unsigned inst_try_poll(struct inst *in);

/*
 * Puts the device to sleep under the lock: arms the queue, polls once more. Returns true when the thread may
 * sleep on inst_sleep_fd() until *until; false when packets came meanwhile. The end disarms the queue, unless
 * the driver's role was taken from the slot meanwhile: that is then the duty of whoever took it, who either
 * sleeps on the device himself or, when nobody has the role now, calls inst_disarm().
 */
bool inst_sleep_begin(struct inst *in, time_ns *until);
void inst_sleep_end(struct inst *in, unsigned slot);
void inst_disarm(struct inst *in);

/* -1: the device has none, nap instead. */
int inst_sleep_fd(const struct inst *in);

/* The other end of the link is the kernel, as opposed to another program under Shunt or a wire. */
bool inst_peer_is_kernel(void);

/* For domain.c: this process's (and its children's) device. */
void inst_use_device(struct netdev *dev);

/* CLOCK_MONOTONIC nanoseconds, read from the TSC; the same in all members. */
time_ns inst_clock(void);

/* Starts and ends the calibration of the TSC, best some 100 ms apart. */
void inst_clock_start(struct inst_clock_base *base);
void inst_clock_calibrate(struct inst_clock_base *base);

#endif
