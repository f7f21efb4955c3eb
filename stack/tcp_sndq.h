/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_sndq.h - what the program wrote and the peer has not acknowledged: also the retransmission queue
 *
 * Buffers of at most one segment's payload each, in sequence order without gaps; `unsent` is the first one
 * that was never transmitted. The payload lies at pkt_meta()->off behind enough headroom for all headers. A
 * transmitted buffer is shared with the device by reference count: its bytes are only appended to while it is
 * unsent, and headers are written only while the count is one (tcp_out.c).
 *
 * Invariant: head's seq == snd_una; unsent's seq == snd_nxt, or unsent is NULL and snd_nxt == write_seq.
 * A FIN is the flag TCP_M_FIN on the last buffer, which may be empty otherwise.
 */
#ifndef STACK_TCP_SNDQ_H
#define STACK_TCP_SNDQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct rte_mbuf;
struct tcp_conn;

/* Where a program's iovec has been read up to. */
struct tcp_iov_cursor {
	const struct iovec *iov;
	int left; /* iovecs, the current one included */
	size_t off;
};

/*
 * Copies up to `bytes` from the cursor to the end of the queue, as the send buffer and the pool allow.
 * Returns the bytes taken; fewer than asked means full (CONN_F_NOSPACE or CONN_F_STARVED is set).
 */
size_t tcp_sndq_write(struct tcp_conn *c, struct tcp_iov_cursor *cur, size_t bytes);

/* Payload that fits in one buffer of this connection. */
uint32_t tcp_sndq_room(const struct tcp_conn *c);

/* Appends a buffer whose meta off, len and flags are set; takes it, sets its seq and moves write_seq. */
void tcp_sndq_append(struct tcp_conn *c, struct rte_mbuf *m);

/* The same, but a small buffer is copied into the room of an unsent one before it. */
void tcp_sndq_append_or_merge(struct tcp_conn *c, struct rte_mbuf *m);

/* May this connection queue n more buffers? One with nothing queued may go a little further than the others.
 */
bool tcp_sndq_may_take(const struct tcp_conn *c, uint32_t n);

/* Off the list of the starved, without a wake-up. */
void tcp_sndq_starved_unlink(struct tcp_conn *c);

/* The pool is empty: tcp_sndq_feed_starved() will wake the writer. */
void tcp_sndq_starve(struct tcp_conn *c);

/* Queues a FIN, on the last unsent buffer or on an empty one. False: no buffer; try again later. */
bool tcp_sndq_append_fin(struct tcp_conn *c);

/* Cuts a buffer after `keep` payload bytes; the rest becomes the next buffer. False: no buffer for it. */
bool tcp_sndq_split(struct tcp_conn *c, struct rte_mbuf *m, uint32_t keep);

/* Frees what lies before `ack` (snd_una moved there). */
struct tcp_acked;
void tcp_sndq_ack(struct tcp_conn *c, uint32_t ack, struct tcp_acked *acked);

void tcp_sndq_clear(struct tcp_conn *c);

/* Wakes writers that found the pool empty, if it no longer is. */
struct stack;
bool tcp_sndq_may_feed(const struct stack *st);
void tcp_sndq_feed_starved(struct stack *st);

#endif
