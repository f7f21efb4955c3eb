/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kit_eal.c - see kit_eal.h
 */
#include "kit_eal.h"

#include <stdio.h>
#include <stdlib.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "stack/pkt.h"

void kit_eal_start(void)
{
	static bool started;
	char *argv[] = {"kit", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m",
			"256", "-l",        "0",        "--log-level",    "4",           NULL};

	if (started)
		return;
	if (rte_eal_init(sizeof argv / sizeof *argv - 1, argv) < 0) {
		fprintf(stderr, "kit: EAL does not start: %s\n", rte_strerror(rte_errno));
		abort();
	}
	started = true;
}

struct rte_mempool *kit_pool_new(uint32_t mbufs)
{
	static unsigned count;
	char name[32];

	kit_eal_start();
	snprintf(name, sizeof name, "kit%u", count++);
	/* No per-core cache: rte_mempool_avail_count() is then exact. */
	struct rte_mempool *pool = rte_pktmbuf_pool_create(name, mbufs, 0, PKT_PRIV_SIZE,
							   RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!pool) {
		fprintf(stderr, "kit: no pool of %u buffers: %s\n", mbufs, rte_strerror(rte_errno));
		abort();
	}
	return pool;
}
