/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memdev.c - see memdev.h
 */
#include "memdev.h"

#undef NDEBUG /* a release build is tested too, and these calls must be made there */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mbuf.h>

static struct memdev *memdev_of(struct netdev *dev)
{
	return (struct memdev *)dev; /* dev is the first member */
}

static struct rte_mbuf *queue_pop(struct memdev_queue *q)
{
	return q->head == q->tail ? NULL : q->pkts[q->head++ & (MEMDEV_QUEUE_LEN - 1)];
}

static uint16_t rx_burst(struct netdev *dev, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct memdev *md = memdev_of(dev);
	uint16_t got = 0;

	assert(queue == 0);
	(void)queue;
	while (got < n && (pkts[got] = queue_pop(&md->rx)) != NULL)
		got++;
	return got;
}

static uint16_t tx_burst(struct netdev *dev, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct memdev *md = memdev_of(dev);
	uint16_t sent = 0;

	assert(queue == 0);
	(void)queue;
	while (sent < n && md->tx.tail - md->tx.head < md->tx_room)
		md->tx.pkts[md->tx.tail++ & (MEMDEV_QUEUE_LEN - 1)] = pkts[sent++];
	return sent;
}

static int rx_sleep_fd(struct netdev *dev, uint16_t queue)
{
	(void)dev, (void)queue;
	return -1;
}

static int rx_arm(struct netdev *dev, uint16_t queue)
{
	(void)dev, (void)queue;
	return -ENOTSUP;
}

static void rx_disarm(struct netdev *dev, uint16_t queue)
{
	(void)dev, (void)queue;
}

static bool link_up(struct netdev *dev)
{
	(void)dev;
	return true;
}

static const struct netdev_ops memdev_ops = {
	.rx_burst = rx_burst,
	.tx_burst = tx_burst,
	.rx_sleep_fd = rx_sleep_fd,
	.rx_arm = rx_arm,
	.rx_disarm = rx_disarm,
	.link_up = link_up,
};

void memdev_init(struct memdev *md, const uint8_t mac[6])
{
	memset(md, 0, sizeof *md);
	md->dev.ops = &memdev_ops;
	md->dev.caps = (struct netdev_caps){.mtu = 1500, .queues = 1, .tx_multi_seg = true};
	memcpy(md->dev.caps.mac, mac, sizeof md->dev.caps.mac);
	md->tx_room = MEMDEV_QUEUE_LEN;
}

void memdev_fini(struct memdev *md)
{
	struct rte_mbuf *m;

	while ((m = queue_pop(&md->rx)) != NULL)
		rte_pktmbuf_free(m);
	while ((m = queue_pop(&md->tx)) != NULL)
		rte_pktmbuf_free(m);
}

void memdev_inject(struct memdev *md, struct rte_mbuf *m)
{
	if (md->rx.tail - md->rx.head == MEMDEV_QUEUE_LEN)
		abort(); /* a test that never lets the stack run */
	md->rx.pkts[md->rx.tail++ & (MEMDEV_QUEUE_LEN - 1)] = m;
}

struct rte_mbuf *memdev_take(struct memdev *md)
{
	return queue_pop(&md->tx);
}
