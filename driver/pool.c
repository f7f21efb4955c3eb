/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.c - the packet buffers: one mempool for all queues and both directions, in DPDK's shared memory
 *
 * Each queue has a cache in the pool, picked by the lcore id that driver_enter_queue() sets; the queue's lock
 * makes it private to one thread of one process at a time. Behind the caches lies DPDK's lock-free stack
 * instead of the usual ring: a process that is killed in the middle of a ring operation makes all others wait
 * for it forever, with the stack it takes the handful of buffers it held with it and nothing else. The stack
 * also hands out the buffers that were used last, which are still in the CPU's cache.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "driver/driver_priv.h"

#define POOL_CACHE     256
#define PORT_MEM_BYTES (48u << 20) /* EAL, ethdev, queues, rings of all PMDs: measured 4 to 30 MB */

uint16_t pool_room(uint16_t mtu)
{
	/* VLAN tag and alignment; never less than DPDK's usual 2 KB, which several PMDs and af_xdp count on.
	 */
	uint32_t room = RTE_ALIGN_CEIL(mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 8u, 64u);
	uint32_t pow2 = 2048;
	while (pow2 < room)
		pow2 <<= 1;
	room = pow2 + RTE_PKTMBUF_HEADROOM;
	return room > UINT16_MAX ? UINT16_MAX : (uint16_t)room;
}

#define JUMBO_ROOM (JUMBO_FRAME - 32 + RTE_PKTMBUF_HEADROOM) /* 32: what the PMD subtracts for its header */

struct shape {
	const char *name;
	uint32_t n, cache;
	uint16_t room, priv;
	bool touch; /* now, rather than on first use */
};

static struct shape main_shape(const struct driver_config *cfg, uint16_t room)
{
	return (struct shape){.name = "shunt_pkts",
			      .n = cfg->mbufs,
			      .cache = POOL_CACHE,
			      .room = room,
			      .priv = (uint16_t)RTE_ALIGN_CEIL(cfg->mbuf_priv_bytes, RTE_MBUF_PRIV_ALIGN),
			      .touch = true};
}

/* net_af_packet wants a pool whose buffers hold a frame of its ring, and then takes none: packet_rx.c does.
 */
static struct shape jumbo_shape(void)
{
	return (struct shape){.name = "shunt_jumbo", .n = 1, .room = JUMBO_ROOM};
}

static uint32_t elt_bytes(const struct shape *s)
{
	return (uint32_t)sizeof(struct rte_mbuf) + s->priv + s->room;
}

static size_t shape_bytes(const struct shape *s)
{
	struct rte_mempool_objsz sz;
	/* 32: node of the lock-free stack */
	size_t per = rte_mempool_calc_obj_size(elt_bytes(s), RTE_MEMPOOL_F_NO_SPREAD, &sz) + 32;
	return per * s->n;
}

size_t pool_bytes(const struct driver_config *cfg, uint16_t room, bool jumbo)
{
	struct shape main = main_shape(cfg, room), big = jumbo_shape();
	return shape_bytes(&main) + (jumbo ? shape_bytes(&big) : 0) + PORT_MEM_BYTES;
}

static void give_back(struct rte_mempool_memhdr *hdr, void *mz)
{
	(void)hdr;
	rte_memzone_free(mz);
}

/* One piece of memory, touched in one go: a page fault per page would cost ten times as much. */
static int populate(struct rte_mempool *mp, const struct shape *s)
{
	size_t chunk, align;
	char name[RTE_MEMZONE_NAMESIZE];
	ssize_t bytes = rte_mempool_ops_calc_mem_size(mp, s->n, 0, &chunk, &align);

	if (bytes < 0)
		return (int)bytes;
	if (rte_eal_iova_mode() == RTE_IOVA_PA) { /* page by page: so many are never in one physical piece */
		int all = rte_mempool_populate_default(mp);
		return all == (int)s->n ? 0 : all < 0 ? all : -ENOMEM;
	}
	snprintf(name, sizeof(name), "%s_mem", s->name);
	const struct rte_memzone *mz =
		rte_memzone_reserve_aligned(name, (size_t)bytes, SOCKET_ID_ANY, 0, align);
	if (mz == NULL)
		return -rte_errno;
	uintptr_t from = RTE_ALIGN_FLOOR(mz->addr_64, 4096),
		  to = RTE_ALIGN_FLOOR(mz->addr_64 + mz->len, 4096);
	if (s->touch)
		madvise((void *)from, to - from, MADV_POPULATE_WRITE); /* older kernels fault them in later */
	int made =
		rte_mempool_populate_iova(mp, mz->addr, mz->iova, mz->len, give_back, (void *)(uintptr_t)mz);
	if (made <= 0)
		rte_memzone_free(mz);
	return made == (int)s->n ? 0 : -ENOMEM;
}

static struct rte_mempool *make(const struct shape *s)
{
	struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = s->room, .mbuf_priv_size = s->priv};
	/* With virtual addresses as IOVA everything is contiguous, and a buffer may lie across two 4 KB
	 * pages. */
	unsigned flags = RTE_MEMPOOL_F_NO_SPREAD |
			 (rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
	struct rte_mempool *mp = rte_mempool_create_empty(s->name, s->n, elt_bytes(s), s->cache, sizeof(priv),
							  SOCKET_ID_ANY, flags);
	if (mp == NULL)
		return NULL;
	rte_pktmbuf_pool_init(mp, &priv);
	if (rte_mempool_set_ops_byname(mp, "lf_stack", NULL) != 0 || populate(mp, s) < 0) {
		rte_mempool_free(mp);
		return NULL;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

int pool_make(struct driver_port *port, char *err, size_t err_len)
{
	struct shape main = main_shape(&port->cfg, port->room), big = jumbo_shape();

	port->shared = rte_zmalloc("shunt_port", sizeof(*port->shared), RTE_CACHE_LINE_SIZE);
	port->pool = make(&main);
	if (port->jumbo_frames != 0)
		port->jumbo_pool = make(&big);
	if (port->pool != NULL && port->shared != NULL &&
	    (port->jumbo_frames == 0 || port->jumbo_pool != NULL))
		return 0;
	driver_say(err, err_len, "no memory for %u packet buffers of %u bytes: lower mbufs (%s)",
		   port->cfg.mbufs, port->room, rte_strerror(rte_errno));
	return -ENOMEM;
}
