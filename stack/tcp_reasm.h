/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_reasm.h - data received ahead of rcv_nxt, and the SACK blocks that tell the sender of it
 *
 * Invariant: buffers sorted by seq, not overlapping, all after rcv_nxt; at most TCP_REASM_MAX of them. What
 * does not fit is dropped: the sender has it still. RFC 2018 (newest block first), 2883 (DSACK).
 */
#ifndef STACK_TCP_REASM_H
#define STACK_TCP_REASM_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct tcp_conn;

#define TCP_REASM_MAX 4096

/* Takes flattened buffers (tcp_rx_flatten) that start after rcv_nxt; `fin`: one follows the last byte. */
void tcp_reasm_insert(struct tcp_conn *c, struct rte_mbuf *list, bool fin);

/* rcv_nxt moved: hands what became in order to the receive queue and moves rcv_nxt. True: the FIN came too.
 */
bool tcp_reasm_deliver(struct tcp_conn *c);

/* A segment without new data arrived: the next ACK says so. */
void tcp_reasm_duplicate(struct tcp_conn *c, uint32_t start, uint32_t end);

/* Memory is short: gives everything back. */
void tcp_reasm_drop(struct tcp_conn *c);
void tcp_reasm_clear(struct tcp_conn *c);

#endif
