/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arp.h - neighbours: IPv4 address to MAC address (RFC 826), and defence of our own addresses (RFC 5227)
 *
 *     INCOMPLETE ──reply──► REACHABLE ──30 s, unused──► STALE ──used──► DELAY ──5 s──► PROBE ──reply──►
 * REACHABLE asked up to 3 times,     └──────30 s, used───────────────────────────────────►  asked up to 3
 * times by 1 s apart; packets wait                                                         unicast; packets
 * still go
 *
 * States and times are Linux's. An entry that fails is freed; what waited for it is reported as host
 * unreachable.
 *
 * Only what we asked for, or who speaks to our address, makes an entry; anybody's announcement only updates
 * one. When the table is full the entry longest STALE gives way; when none is, the new neighbour is refused
 * and counted.
 */
#ifndef STACK_ARP_H
#define STACK_ARP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ip_addr.h"
#include "timer.h"

struct rte_mbuf;
struct stack;
struct stack_config;
struct arp_wait;

/* From ARP_REACHABLE on a packet may be sent without further thought. */
enum arp_state { ARP_FREE, ARP_INCOMPLETE, ARP_STALE, ARP_REACHABLE, ARP_DELAY, ARP_PROBE };

struct arp_entry {
	uint8_t mac[6];
	uint8_t state; /* enum arp_state */
	bool used;     /* a packet went out since the last confirmation */
	uint32_t gen;  /* changes when the entry is freed: paths that point here must look again */
	be32 addr;
	uint8_t tries;
	uint16_t n_wait;
	struct arp_wait *wait_head, *wait_tail; /* packets waiting for the MAC address */
	struct arp_entry *hash_next;
	struct arp_entry *prev,
		*next; /* the list of STALE or INCOMPLETE entries, or of free ones (next only) */
	struct timer timer;
};

/* May a packet go to this neighbour at once? The whole per-packet check. */
static inline bool arp_usable(const struct arp_entry *e, uint32_t gen)
{
	return e != NULL && e->gen == gen && e->state >= ARP_REACHABLE;
}

size_t arp_mem_size(const struct stack_config *cfg);
void arp_init(struct stack *st, void *mem);
void arp_fini(struct stack *st);

/* One Ethernet payload of type ARP; takes the mbuf, whose data starts at the Ethernet header. */
void arp_input(struct stack *st, struct rte_mbuf *frame);

/* A copy of an ARP packet that another stack received, and answers: only what it tells is taken. */
void arp_learn(struct stack *st, struct rte_mbuf *frame);

/* The entry of a neighbour, made (and asked for) when there is none; NULL when the table is full. */
struct arp_entry *arp_lookup(struct stack *st, be32 addr);

/* Notes that a packet goes to a neighbour that is not arp_usable(); true when its MAC address is known. */
bool arp_use(struct stack *st, struct arp_entry *e);

/* Keeps a finished frame (destination MAC address missing) until the neighbour answers. Takes the mbuf. */
void arp_queue(struct stack *st, struct arp_entry *e, struct rte_mbuf *frame);

/* Neighbours in the table. */
uint32_t arp_count(const struct stack *st);

void arp_timer(struct stack *st, struct timer *t);

#endif
