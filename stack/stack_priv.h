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

#include <rte_mbuf.h>

#include "counters.h"
#include "pkt.h"
#include "sock.h"
#include "stack.h"
#include "timer.h"

struct arp_table;
struct frag_table;
struct tcp_table;
struct udp_table;

#define STACK_TXQ_LEN 1024 /* frames waiting for stack_output(); a power of two */

/* What a struct timer is embedded in (timer.kind); stack_run_timers() hands it to <proto>_timer(). */
enum timer_kind { TIMER_ARP, TIMER_FRAG, TIMER_TCP, TIMER_TCP_TIMEWAIT, TIMER_STACK };

struct stack {
	time_ns now;
	struct stack_config cfg;
	struct timer_wheel wheel;

	struct rte_mbuf *txq[STACK_TXQ_LEN];
	uint32_t txq_head, txq_tail; /* free-running */

	struct sock *woken_head, **woken_tail;

	struct arp_table *arp;
	struct frag_table *frag;
	struct tcp_table *tcp;
	struct udp_table *udp;

	uint64_t rng[2]; /* xorshift state, seeded from cfg.seed: never used where a keyed hash is required */
	uint32_t held_mbufs; /* mbufs that sit in sockets' queues (receive, out of order, send) */
	uint16_t ip_id;
	uint64_t counters[COUNTER_COUNT];
};

#define COUNT(st, name)        ((st)->counters[COUNTER_##name]++)
#define COUNT_ADD(st, name, n) ((st)->counters[COUNTER_##name] += (n))

/* Pseudo-random 32 bits, for jitter and port choice. */
uint32_t stack_random(struct stack *st);

/* Queues a finished Ethernet frame for transmission; counts and frees it when the queue is full. */
void stack_tx(struct stack *st, struct rte_mbuf *frame);

/* A packet buffer with PKT_HEADROOM headroom and meta cleared, or NULL (counted in mbuf_alloc_failed). */
struct rte_mbuf *stack_mbuf_alloc(struct stack *st);

/*
 * May a socket queue take more mbufs? False when what is left of the pool is needed to keep receiving: then
 * the caller refuses (EAGAIN, drop) and counts.
 */
static inline bool stack_may_hold(const struct stack *st, uint32_t more)
{
	return st->held_mbufs + more <= st->cfg.pool_mbufs - st->cfg.pool_mbufs / 4;
}

/* Sets and clears readiness bits; sock_wake() also records a wake-up for edge-triggered watchers (see
 * sock.h). */
void sock_events_set(struct sock *so, uint32_t bits);
void sock_events_clear(struct sock *so, uint32_t bits);
void sock_wake(struct sock *so, uint32_t bits);

/* Takes a socket off the woken list before its memory is reused. */
void sock_forget(struct sock *so);

/* Common start of a new socket's struct sock: defaults from the configuration. */
void sock_base_init(struct sock *so, struct stack *st, enum sock_kind kind, int family);

#endif
