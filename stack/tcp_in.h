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

/* The next flush sends an ACK if nothing else carries it. */
void tcp_in_ack_now(struct tcp_conn *c);

/* Decides how soon data just received is acknowledged. */
void tcp_in_schedule_ack(struct tcp_conn *c);

/* Payload and FIN of a segment that touches the window. */
void tcp_in_data(struct tcp_conn *c, struct tcp_seg *s);

/* The same for one that is next in order and fits, without FIN. */
void tcp_in_predicted_data(struct tcp_conn *c, struct tcp_seg *s);

/* The URG flag; before the data is taken. */
void tcp_in_urgent(struct tcp_conn *c, const struct tcp_seg *s);

#endif
