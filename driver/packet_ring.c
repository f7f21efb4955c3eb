/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packet_ring.c - af_packet: what net_af_packet's sockets and rings become, since packet_tx.c sends
 *
 * The PMD's setsockopt() and mmap() are linked to the functions here (meson.build renames them):
 *
 * - No TX ring: it would take as much memory as the RX ring, for nothing.
 * - No MAP_LOCKED: a ring's pages cannot be swapped anyhow, and RLIMIT_MEMLOCK of an ordinary user is 8 MB.
 * - No fanout of a single socket, whose frames the kernel would hash for nothing.
 * - Where the RX rings are is kept for packet_rx.c, which receives in the PMD's place.
 * - Frames that leave the interface are ignored: they are our own, sent by another socket.
 *
 * A PMD opened as dpdk:net_af_packet... is left alone.
 */
#include <errno.h>
#include <string.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "driver/driver_priv.h"

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

int driver_packet_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
void *driver_packet_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

static unsigned queues; /* of the link that is being opened; 0: not ours */
static struct tpacket_req asked;
static struct packet_ring rings[DRIVER_QUEUES_MAX];
static unsigned n_rings;

void packet_ring_begin(const struct driver_port *port)
{
	queues = port->link.kind == LINK_AF_PACKET ? RTE_MAX(port->cfg.queues, 1u) : 0;
	n_rings = 0;
}

const struct packet_ring *packet_ring(uint16_t q)
{
	return &rings[q];
}

void packet_ring_end(void)
{
	queues = 0;
}

static int ignore_outgoing(int fd)
{
	const int on = 1;
	return setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
}

static int join_fanout(int fd, const void *value, socklen_t len)
{
	int arg;

	if (queues == 1 || len != sizeof(arg))
		return queues == 1 ? 0 : setsockopt(fd, SOL_PACKET, PACKET_FANOUT, value, len);
	memcpy(&arg, value, sizeof(arg));
	arg |= PACKET_FANOUT_FLAG_IGNORE_OUTGOING << 16; /* Linux 5.19 */
	if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, sizeof(arg)) == 0)
		return 0;
	return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, value, len);
}

int driver_packet_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (queues == 0 || level != SOL_PACKET)
		return setsockopt(fd, level, name, value, len);
	switch (name) {
	case PACKET_TX_RING:
		return 0;
	case PACKET_FANOUT:
		return join_fanout(fd, value, len);
	case PACKET_RX_RING:
		(void)ignore_outgoing(fd); /* Linux 4.20; what comes in spite of it has another's address */
		memcpy(&asked, value, RTE_MIN((size_t)len, sizeof(asked)));
		break;
	}
	return setsockopt(fd, level, name, value, len);
}

/* The PMD asks for both rings in one piece: the first half is the RX ring. */
void *driver_packet_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	uint8_t *p;

	if (queues == 0)
		return mmap(addr, len, prot, flags, fd, off);
	p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return MAP_FAILED;
	if (mmap(p, len / 2, prot, (flags & ~MAP_LOCKED) | MAP_FIXED, fd, off) == MAP_FAILED) {
		int why = errno;
		munmap(p, len);
		errno = why;
		return MAP_FAILED;
	}
	if (n_rings < DRIVER_QUEUES_MAX)
		rings[n_rings++] = (struct packet_ring){p, asked.tp_frame_nr, asked.tp_frame_size};
	return p;
}
