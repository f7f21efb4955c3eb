/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memdev.h - a netdev in memory: the test puts frames in and takes frames out
 *
 * One queue pair. What the stack transmits is kept until the test takes it; `tx_room` limits it, so that a
 * full device can be played.
 */
#ifndef TESTS_KIT_MEMDEV_H
#define TESTS_KIT_MEMDEV_H

#include <stdint.h>

#include "stack/netdev.h"

#define MEMDEV_QUEUE_LEN 4096 /* a power of two */

struct memdev_queue {
	struct rte_mbuf *pkts[MEMDEV_QUEUE_LEN];
	uint32_t head, tail; /* free-running */
};

struct memdev {
	struct netdev dev;
	struct memdev_queue rx, tx;
	uint32_t tx_room; /* most frames that may wait to be taken; MEMDEV_QUEUE_LEN at the start */
};

/* A plain 1500-byte Ethernet device without any offload but chains. */
void memdev_init(struct memdev *md, const uint8_t mac[6]);

/* Frees what is in both queues. */
void memdev_fini(struct memdev *md);

/* The frame arrives; takes the mbuf. */
void memdev_inject(struct memdev *md, struct rte_mbuf *m);

/* Oldest transmitted frame, NULL when there is none. */
struct rte_mbuf *memdev_take(struct memdev *md);

#endif
