/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_out.h - what may be sent now, and building it
 */
#ifndef STACK_TCP_OUT_H
#define STACK_TCP_OUT_H

#include <stdbool.h>
#include <stdint.h>

struct endpoint;
struct stack;
struct tcp_conn;
struct tcp_seg;
struct tcp_tw;

/* Sends all that windows, Nagle and recovery allow, and the ACK that is owed if nothing carried it. */
void tcp_out_push(struct tcp_conn *c);

/* A bare ACK now, with SACK and DSACK blocks. */
void tcp_out_ack(struct tcp_conn *c);

/* SYN, or SYN and ACK in SYN_RECV. */
void tcp_out_syn(struct tcp_conn *c);

/* RST of a synchronized connection. */
void tcp_out_reset(struct tcp_conn *c);

/* RST for a segment that nobody wants (RFC 9293, 3.10.7.1). */
void tcp_out_reset_for(struct stack *st, const struct tcp_seg *seg);

/* ACK of a TIME-WAIT entry. */
void tcp_out_tw_ack(struct stack *st, const struct tcp_tw *tw, const struct endpoint *local,
		    const struct endpoint *peer);

/* An ACK the peer must answer: sequence number just below the window (keep-alive, zero window). */
void tcp_out_probe(struct tcp_conn *c);

/* Persist timer: sends what fits in the window, else probes. True: data left. */
bool tcp_out_window_probe(struct tcp_conn *c);

/* Tail loss probe: a new segment, else the last one again. */
void tcp_out_loss_probe(struct tcp_conn *c);

/* Payload the receive buffer can still take. */
uint32_t tcp_rcv_space(const struct tcp_conn *c);

/* The window that the next ACK would offer, by the receiver's silly window rules. */
uint32_t tcp_select_window(const struct tcp_conn *c);

/* First window of a connection, and the scale that can express the largest one. */
uint32_t tcp_initial_window(const struct tcp_conn *c);
uint8_t tcp_choose_wscale(const struct tcp_conn *c);

#endif
