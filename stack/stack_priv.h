/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stack_priv.h - struct stack, for the files of stack/ only
 *
 * One allocation, carved once in stack_init(): this struct, then each protocol's tables. A protocol keeps its
 * state in its own struct (arp.h, tcp.h, …), made by <proto>_init() from the memory it asked for with
 * <proto>_mem_size().
 */
#ifndef STACK_PRIV_H
#define STACK_PRIV_H

#include <string.h>
#include <rte_mbuf.h>

#include "counters.h"
#include "pkt.h"
#include "sock.h"
#include "stack.h"
#include "timer.h"

struct arp_table;
struct frag_table;
struct handover_table;
struct route_table;
struct tcp_table;
struct udp_table;

#define STACK_TXQ_LEN  1024 /* frames waiting for stack_output(); a power of two */
#define STACK_LOOP_LEN 256  /* packets to ourselves waiting for delivery; a power of two */

/* What a struct timer is embedded in (timer.kind); stack_run_timers() hands it to <proto>_timer(). */
enum timer_kind { TIMER_ARP, TIMER_FRAG, TIMER_TCP, TIMER_TCP_TIMEWAIT };

struct stack {
	time_ns now;
	uint32_t txq_head, txq_tail;   /* free-running */
	uint32_t loop_head, loop_tail; /* free-running */
	uint32_t held_mbufs; /* mbufs that sit in sockets' queues (receive, out of order, send) and in
				reassembly */
	uint32_t hold_max;   /* stack_may_hold()'s limit */
	uint16_t ip_id;
	bool woken_by_txq; /* somebody waits for room in txq: udp_tx_room() is due when there is */

	struct sock *woken_head, **woken_tail;

	struct arp_table *arp;
	struct frag_table *frag;
	struct handover_table *handover; /* NULL: one queue */
	struct route_table *route;
	struct tcp_table *tcp;
	struct udp_table *udp;

	uint64_t rng[2]; /* xorshift state, seeded from cfg.seed: never used where a keyed hash is required */
	uint32_t icmp_tokens; /* ICMP errors that may be sent now */
	time_ns icmp_refilled_at;

	struct stack_config cfg;
	struct timer_wheel wheel;
	uint64_t counters[COUNTER_COUNT];
	struct rte_mbuf *txq[STACK_TXQ_LEN];
	struct rte_mbuf *loopq[STACK_LOOP_LEN]; /* data starts at the IP header */
};

#define COUNT(st, name)        ((st)->counters[COUNTER_##name]++)
#define COUNT_ADD(st, name, n) ((st)->counters[COUNTER_##name] += (n))

/* Pseudo-random 32 bits, for jitter and port choice. */
uint32_t stack_random(struct stack *st);

/* Frames that stack_tx() takes before it must drop: who has much to send asks first. */
static inline uint32_t stack_tx_room(const struct stack *st)
{
	return STACK_TXQ_LEN - (st->txq_tail - st->txq_head);
}

/* Queues a finished Ethernet frame for transmission; counts and frees it when the queue is full. */
static inline void stack_tx(struct stack *st, struct rte_mbuf *frame)
{
	if (unlikely(stack_tx_room(st) == 0)) {
		COUNT(st, tx_queue_full);
		rte_pktmbuf_free(frame);
		return;
	}
	st->txq[st->txq_tail++ & (STACK_TXQ_LEN - 1)] = frame;
}

/* A packet buffer with PKT_HEADROOM headroom and meta cleared, or NULL (counted in mbuf_alloc_failed). */
static inline struct rte_mbuf *stack_mbuf_alloc(struct stack *st)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(st->cfg.pool);

	if (unlikely(m == NULL))
		COUNT(st, mbuf_alloc_failed);
	else
		memset(pkt_meta(m), 0, sizeof(struct pkt_meta));
	return m;
}

/*
 * May a socket queue take more mbufs? False when what is left of the pool is needed to keep receiving: then
 * the caller refuses (EAGAIN, drop) and counts.
 */
static inline bool stack_may_hold(const struct stack *st, uint32_t more)
{
	return st->held_mbufs + more <= st->hold_max;
}

/*
 * The same for what programs write and for data out of order: less, so that writers whose peers read nothing,
 * and holes that nobody fills, leave room to receive.
 */
static inline bool stack_may_write(const struct stack *st, uint32_t more)
{
	return st->held_mbufs + more <= st->hold_max - st->hold_max / 4;
}

/* And for a queue that is empty: a little more, so that others' full queues do not stop those who are served.
 */
static inline bool stack_may_hold_first(const struct stack *st, uint32_t more)
{
	return st->held_mbufs + more <= st->hold_max + st->hold_max / 6;
}

/* Adds `bits` to the wake-ups that stack_next_woken() reports, for edge-triggered watchers too (see sock.h).
 */
static inline void sock_wake(struct sock *so, uint32_t bits)
{
	struct stack *st = so->stack;

	so->wake |= bits;
	if (so->wake_queued || so->orphan)
		return;
	so->wake_queued = true;
	so->wake_next = NULL;
	*st->woken_tail = so;
	st->woken_tail = &so->wake_next;
}

/* Sets and clears readiness bits; only the holder of the lock writes, so no read-modify-write is needed. */
static inline void sock_events_set(struct sock *so, uint32_t bits)
{
	uint32_t was = atomic_load_explicit(&so->events, memory_order_relaxed);

	if ((was & bits) != bits)
		atomic_store_explicit(&so->events, was | bits, memory_order_release);
}

static inline void sock_events_clear(struct sock *so, uint32_t bits)
{
	uint32_t was = atomic_load_explicit(&so->events, memory_order_relaxed);

	if (was & bits)
		atomic_store_explicit(&so->events, was & ~bits, memory_order_release);
}

/* Takes a socket off the woken list before its memory is reused. */
void sock_forget(struct sock *so);

/* Common start of a new socket's struct sock: defaults from the configuration. */
void sock_base_init(struct sock *so, struct stack *st, enum sock_kind kind, int family);

#endif
