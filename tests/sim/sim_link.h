/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_link.h - one direction of a bad link: loses, delays, reorders, doubles and corrupts frames, from a seed
 *
 * Frames are copied on entry (a real wire does not hold the sender's buffers) and come out at their own
 * instants. ARP is never corrupted: its only protection on a real link is the Ethernet FCS, which is not
 * played here. Nor is it lost by chance, because three losses in a row are "no route to host".
 */
#ifndef TESTS_SIM_LINK_H
#define TESTS_SIM_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/clock.h"

struct rte_mbuf;
struct rte_mempool;

/* xorshift64*: the only source of chance in a simulation. */
struct sim_rng {
	uint64_t state;
};

uint64_t sim_random(struct sim_rng *r);
uint64_t sim_random_below(struct sim_rng *r, uint64_t n); /* 0 … n-1 */
uint64_t sim_random_between(struct sim_rng *r, uint64_t lo,
			    uint64_t hi); /* any magnitude as likely as any other */

struct sim_link_config {
	time_ns delay;
	uint64_t bits_per_s;  /* 0: no limit */
	uint32_t queue_bytes; /* waiting for the wire; beyond it frames are lost */
	/* chances in 1/10000 */
	uint32_t loss, reorder, duplicate, corrupt;
	time_ns reorder_delay; /* at most so much later */
	/* From `narrow_at` on a router in the middle takes IP packets of `narrow_mtu` bytes at most (0:
	 * never) */
	time_ns narrow_at;
	uint16_t narrow_mtu;
};

struct sim_frame;

struct sim_link {
	struct sim_link_config cfg;
	struct sim_rng rng;
	time_ns wire_free; /* when the last frame so far has left the sender */
	struct sim_frame **heap;
	uint32_t n, room;
	uint64_t order; /* of frames with the same instant */
	uint64_t frames, lost, reordered, duplicated, corrupted, too_big;
};

void sim_link_init(struct sim_link *l, const struct sim_link_config *cfg, uint64_t seed);
void sim_link_fini(struct sim_link *l);

/* Takes the mbuf. `back` is the other direction, by which a router's ICMP answers. */
void sim_link_send(struct sim_link *l, struct sim_link *back, struct rte_mbuf *m, time_ns now);

/* When the next frame arrives; TIME_NEVER when none is under way. */
time_ns sim_link_next(const struct sim_link *l);

/* Up to n frames due at `now`, in buffers of `pool`; frames without a buffer are lost, as on a NIC without
 * one. */
unsigned sim_link_receive(struct sim_link *l, struct rte_mempool *pool, struct rte_mbuf **pkts, unsigned n,
			  time_ns now);

#endif
