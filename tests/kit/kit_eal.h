/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kit_eal.h - DPDK's memory for tests: no hugepages, no devices, no root
 */
#ifndef TESTS_KIT_EAL_H
#define TESTS_KIT_EAL_H

#include <stdint.h>

struct rte_mempool;

/* Starts EAL once per process (Criterion runs each test in its own); ends the process with a message if it
 * cannot. */
void kit_eal_start(void);

/* A pool of `mbufs` packet buffers as the stack wants them. */
struct rte_mempool *kit_pool_new(uint32_t mbufs);

#endif
