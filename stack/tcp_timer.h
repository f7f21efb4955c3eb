/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_timer.h - what each of a connection's timers means
 *
 * Three deadlines (TCP_T_REXMIT, _DELACK, _KEEP) share one entry of the timer wheel. The entry is set to the
 * earliest and moved only when a deadline gets earlier; when it fires too early it is set again. Most
 * deadlines are cancelled or pushed back before they are due, so this costs one store instead of two list
 * operations.
 */
#ifndef STACK_TCP_TIMER_H
#define STACK_TCP_TIMER_H

#include "tcp_conn.h"

static inline void tcp_timer_at(struct tcp_conn *c, enum tcp_timer_slot slot, time_ns when)
{
	c->deadline[slot] = when;
	if (!timer_pending(&c->timer) || when < c->timer.due)
		timer_set(&c->so.stack->wheel, &c->timer, when);
}

static inline void tcp_timer_off(struct tcp_conn *c, enum tcp_timer_slot slot)
{
	c->deadline[slot] = TIME_NEVER;
}

/*
 * Nothing is in flight any more. Among few connections the entry stays where it is, for the next request to
 * put off with one store. Among many it would be found untouched, and out of the cache, when it comes up: it
 * is moved now.
 */
void tcp_timer_settle(struct tcp_conn *c);

/* Data is in flight: RTO from now, or a tail loss probe before it. */
void tcp_timer_rexmit(struct tcp_conn *c);

/* Plain RTO from now (handshake, after a probe). */
void tcp_timer_rto(struct tcp_conn *c);

/* The peer gave up data it had SACKed: a timeout soon, unless an ACK still on its way says otherwise. */
void tcp_timer_reneged(struct tcp_conn *c);

/* Nothing in flight, but the window or Nagle holds data back. */
void tcp_timer_persist(struct tcp_conn *c);

/* RACK wants to look again at `when`. */
void tcp_timer_reo(struct tcp_conn *c, time_ns when);

#endif
