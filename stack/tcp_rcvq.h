/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_rcvq.h - bytes received in order that the program has not read
 *
 * The received buffers themselves, cut to their payload (pkt_meta off/len), linked by pkt_meta()->next; small
 * payloads are copied into the last buffer instead, so that a peer that sends single bytes cannot make each
 * of them hold a buffer of 2 KB.
 *
 * Invariant: bytes == sum of len == rcv_nxt - copied_seq (less one for a FIN received, and less what SHUT_RD
 * threw away).
 */
#ifndef STACK_TCP_RCVQ_H
#define STACK_TCP_RCVQ_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct rte_mbuf;
struct tcp_conn;

/*
 * `m`'s payload from byte `off` of its data on, `len` bytes (of a chain): makes single buffers with meta off,
 * len and seq of it, linked by meta->next. Takes m; NULL when it has to copy a buffer that a sender still
 * holds and there is none.
 */
struct rte_mbuf *tcp_rx_flatten(struct tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t len,
				uint32_t seq, struct rte_mbuf **last);

/* Appends flattened buffers; takes them. rcv_nxt is the caller's business. */
void tcp_rcvq_append(struct tcp_conn *c, struct rte_mbuf *list);

/* Appends buffers that are counted in held_mbufs already (out of the out-of-order queue). */
void tcp_rcvq_append_held(struct tcp_conn *c, struct rte_mbuf *m);

/* Copies out from `skip` bytes after the head on, at most `max` bytes, without consuming. */
size_t tcp_rcvq_peek(const struct tcp_conn *c, size_t skip, const struct iovec *iov, int iovcnt,
		     size_t iov_off, size_t max);

/* Copies out and frees; iov NULL: only frees (MSG_TRUNC). */
size_t tcp_rcvq_read(struct tcp_conn *c, const struct iovec *iov, int iovcnt, size_t iov_off, size_t max);

void tcp_rcvq_clear(struct tcp_conn *c);

#endif
