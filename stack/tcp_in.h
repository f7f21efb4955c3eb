/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_in.h - segments in (tcp_input() itself is in tcp.h)
 */
#ifndef STACK_TCP_IN_H
#define STACK_TCP_IN_H

struct tcp_conn;
struct tcp_seg;

/* The peer's SYN: initial sequence number, window, and the options both sides agree on. */
void tcp_in_take_syn(struct tcp_conn *c, const struct tcp_seg *s);

/* Decides how soon data just received is acknowledged. */
void tcp_in_schedule_ack(struct tcp_conn *c);

#endif
