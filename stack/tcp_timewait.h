/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_timewait.h - TIME-WAIT: what is remembered of a finished connection for a minute
 */
#ifndef STACK_TCP_TIMEWAIT_H
#define STACK_TCP_TIMEWAIT_H

#include <stdbool.h>
#include <stdint.h>

struct endpoint;
struct stack;
struct tcp_conn;
struct tcp_seg;
struct tcp_tw;

/* Makes the entry for a connection about to be done. The oldest one is given up when there are too many. */
void tcp_tw_add(struct tcp_conn *c);

struct tcp_tw *tcp_tw_find(const struct stack *st, uint32_t hash, const struct endpoint *local,
			   const struct endpoint *peer);

/*
 * A segment for an entry. Returns true when it is a SYN that may open a new connection: the entry is gone,
 * and *isn is the lowest initial sequence number to use (RFC 6191, 1122 4.2.2.13).
 */
bool tcp_tw_input(struct stack *st, struct tcp_tw *tw, struct tcp_seg *seg, uint32_t *isn);

/* May connect(2) use this pair of endpoints? Frees an entry that tcp_tw_reuse lets it replace. */
bool tcp_tw_may_reuse(struct stack *st, uint32_t hash, const struct endpoint *local,
		      const struct endpoint *peer);

/* The timer of all entries. */
void tcp_tw_expire(struct stack *st);

#endif
