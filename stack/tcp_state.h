/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_state.h - life of a connection: every write to conn->state, and the readiness that follows from it
 *
 *   CLOSE ─connect─► SYN_SENT ──────────────► ESTABLISHED ─► FIN_WAIT1 ─► FIN_WAIT2 ─► (TIME-WAIT entry)
 *     │                  └─► SYN_RECV ─────────────┘   │          └─► CLOSING ─────────────┘
 *     └─listen─► LISTEN ─SYN─► SYN_RECV (a new conn)   └─► CLOSE_WAIT ─► LAST_ACK ─► CLOSE
 */
#ifndef STACK_TCP_STATE_H
#define STACK_TCP_STATE_H

#include <stdint.h>

struct sock;
struct stack;
struct tcp_conn;

/* Every wake-up that Linux gives with "anything may have changed" (sk_state_change). */
#define TCP_WAKE_ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)

/* A fresh socket in CLOSE with Linux's defaults; NULL when the table is full. */
struct tcp_conn *tcp_conn_new(struct stack *st, int family);

void tcp_state_set(struct tcp_conn *c, uint8_t state);

/* IP header fields that options of the socket choose. */
void tcp_path_options(struct tcp_conn *c);

/* Options and addresses are agreed: makes the connection ready for data. `rtt_ns` 0: no sample. */
void tcp_established(struct tcp_conn *c, uint64_t rtt_ns);

/* MSS from path MTU, options and the peer's SYN; on PMTU news too. */
void tcp_sync_mss(struct tcp_conn *c);

/* The program sends nothing more: a FIN goes behind what is queued. During the handshake that waits for its
 * end (so.shut). */
void tcp_close_write(struct tcp_conn *c);

/* The connection is over: CLOSE, nothing left to send, `err` (positive, 0: none) for the program to find. */
void tcp_done(struct tcp_conn *c, int err);

/* The same, with a RST to the peer. */
void tcp_abort(struct tcp_conn *c, int err);

/* All is said and acknowledged: leaves a TIME-WAIT entry behind and is done. */
void tcp_time_wait(struct tcp_conn *c);

/* Frees the connection if it is finished and nobody owns it. Returns true when it did. */
bool tcp_conn_reap(struct tcp_conn *c);

/* Brings so.events up to date: Linux's tcp_poll(). */
void tcp_events(struct tcp_conn *c);

/* Room in the send buffer again: wakes a writer that wanted it. */
void tcp_write_space(struct tcp_conn *c);

#endif
