/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_listen.h - listening sockets: SYNs in, established connections out
 *
 * A connection that a SYN opened is a full struct tcp_conn in SYN_RECV from the start (an "embryo"), on its
 * listener's list of embryos; the handshake's last ACK moves it to the accept queue. Embryos are bounded by
 * tcp_max_syn_backlog (one more pushes out the oldest), the accept queue by backlog + 1: a SYN or a last ACK
 * that finds it full is dropped, as on Linux, and the peer's or our retransmission tries again.
 */
#ifndef STACK_TCP_LISTEN_H
#define STACK_TCP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

struct stack;
struct tcp_conn;
struct tcp_seg;

/* listen(2) */
int tcp_listen_start(struct tcp_conn *c, int backlog);

/*
 * Makes a listener like `leader` in another stack of the same address, so that SYNs are answered where they
 * arrive. Both stacks' locks are held. -ENOBUFS. Twins are closed before their leader.
 */
int tcp_listen_twin(struct tcp_conn *leader, struct stack *st, struct tcp_conn **twin);

/* Connections that wait for accept(2), in all stacks together. */
uint32_t tcp_listen_waiting(const struct tcp_conn *l);

/* close(2) or shutdown(2) of a listener: resets what nobody accepted. */
void tcp_listen_stop(struct tcp_conn *c);

/* A SYN. `isn` nonzero: the least initial sequence number to use (TIME-WAIT reuse). */
void tcp_listen_syn(struct tcp_conn *l, const struct tcp_seg *seg, uint32_t isn);

/* An embryo's handshake is complete. False: no room in the accept queue, it stays what it is. */
bool tcp_listen_promote(struct tcp_conn *c);

/* accept(2); NULL: nobody there. */
struct tcp_conn *tcp_listen_accept(struct tcp_conn *l);

/* The connection goes away: off its listener's lists. */
void tcp_listen_forget(struct tcp_conn *c);

#endif
