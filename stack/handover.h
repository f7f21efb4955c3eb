/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handover.h - several stacks with one address: what arrives at one and concerns another is handed over
 *
 *     device queue 0 ──► stack 0 ──┐ inbox of 1 ┌──► stack 1 ◄── device queue 1
 *                          ▲       └────────────┘       │
 *                          └───────── inbox of 0 ───────┘
 *
 * Which queue a frame comes in on is the device's choice, and no two devices choose alike: correctness never
 * depends on it. A stack that does not have the socket of a packet asks those that may have it, one after the
 * other, and when none of them has, the packet comes home to where it arrived and is answered there. What all
 * need (neighbours, broadcasts) is copied to all.
 *
 * Who may have it is read without a lock: each stack shows how many flows it has for each value of a hash,
 * and how many sockets on each port. Only the stack itself, under its own lock, writes what it shows, so a
 * process that is killed leaves nothing half-done; a wrong guess costs a hop, nothing else.
 *
 * An inbox is pushed to by anybody and emptied as a whole by whoever drives its stack.
 */
#ifndef STACK_HANDOVER_H
#define STACK_HANDOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkt.h"
#include "stack.h"

struct ip_rx;
struct rte_mbuf;

/* How well a socket fits a packet: the higher goes first. FRESH and ALL are no socket's. */
enum handover_level {
	HANDOVER_NONE,
	HANDOVER_WILDCARD,  /* bound to all addresses */
	HANDOVER_SPECIFIC,  /* bound to the packet's address */
	HANDOVER_CONNECTED, /* both endpoints are its own; TCP connections and TIME-WAIT */
	HANDOVER_FRESH,     /* of a packet: nobody was asked yet */
	HANDOVER_ALL,       /* of a packet: a copy for whoever wants it, never sent on */
};

enum handover_proto { HANDOVER_TCP, HANDOVER_UDP };

struct handover_table;

size_t handover_mem_size(const struct stack_config *cfg);
void handover_init(struct stack *st, void *mem);
void handover_fini(struct stack *st);

/*
 * This stack has a socket for the packet at level `have` at best. True: another one may have a better, and
 * the packet was sent there (the mbuf is taken). `key`: of TCP the flow's hash, of UDP the local port. Only
 * when stacks are joined, st->handover is set.
 */
bool handover_elsewhere(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx,
			enum handover_proto proto, uint32_t key, enum handover_level have);

/* Fragments of one datagram meet in one stack. True: in another one (the mbuf is taken). */
bool handover_fragment(struct stack *st, struct rte_mbuf *m, bool to_us_only);

/* Copies for the others: of an ARP packet for all, of a broadcast for those with sockets on the port. */
void handover_arp(struct stack *st, const struct rte_mbuf *frame);
void handover_broadcast(struct stack *st, const struct rte_mbuf *m, const struct ip_rx *rx, be16 port);

/* What this stack shows the others. */
void handover_show_flow(struct stack *st, uint32_t hash, int change);
void handover_show_port(struct stack *st, enum handover_proto proto, be16 port, enum handover_level level,
			int change);

/* Has another stack a flow for this hash; a socket bound to the port? Never a wrong no. */
bool handover_flow_elsewhere(const struct stack *st, uint32_t hash);
bool handover_port_elsewhere(const struct stack *st, enum handover_proto proto, be16 port);

#endif
