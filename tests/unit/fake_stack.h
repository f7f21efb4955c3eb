/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_stack.h - a stack and a device that do only what the waiting side of preload/ can see
 *
 * A "frame" is an order to change a socket's readiness. fake_send() puts one on the wire from any thread or
 * process; whoever drives the instance receives it, and the socket is woken. All state is shared across fork.
 */
#ifndef TESTS_UNIT_FAKE_STACK_H
#define TESTS_UNIT_FAKE_STACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "preload/file.h"
#include "stack/sock.h"

/* Starts a domain with n instances; sleep_fd: the device can wake us. */
void fake_start(unsigned n, bool sleep_fd);

/* A file of `mode` on instance i with a socket of its own, installed under a new descriptor. */
int fake_socket(unsigned i, enum file_mode mode, struct file **f);

/* Sets and clears readiness bits of the file's socket when the frame is received, and wakes with `set`. */
void fake_send(struct file *f, uint32_t set, uint32_t clear);

/* The same at once, as a socket call would (the instance's lock is taken inside). */
void fake_change(struct file *f, uint32_t set, uint32_t clear);

/* The same as a frame that arrived in instance `from` and is handed to the file's: makes it readable. */
void fake_hand(unsigned from, struct file *f);

/* sock_close() was called this many times; timers that fired; rx bursts. */
uint32_t fake_closed(void);
uint32_t fake_timers_fired(void);
uint64_t fake_bursts(void);

/* The only timer of instance i. */
void fake_timer(unsigned i, time_ns due);

/* What stack_undelivered() says until that many more rx bursts were made (0: delivered). */
void fake_undelivered(unsigned i, uint32_t bursts);

/* A call wrote so many bytes and made frames of them, which wait in stack_output(); how many have left. */
void fake_queue_output(struct file *f, uint32_t n, size_t bytes);
uint32_t fake_output_sent(void);

#endif
