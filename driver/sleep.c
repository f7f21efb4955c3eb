/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sleep.c - a descriptor to sleep on until a packet arrives, for every PMD that has any
 *
 * vhost, virtio_user and PCI devices have RX interrupts: an event descriptor, armed and disarmed through
 * ethdev. af_packet, af_xdp and tap have none in DPDK, but their sockets and tun descriptors are readable
 * when there is a packet; they are found as the descriptors of the right type that appeared while the device
 * was opened. memif cannot wake anybody: the waiter naps.
 *
 * The same comparison tells which descriptors are DPDK's and must survive a program that closes everything it
 * does not know.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <rte_atomic.h>
#include <rte_vhost.h>

#include "driver/driver_priv.h"

#define FD_LIMIT 65536 /* higher ones are not watched over */

struct fd_set_snapshot {
	uint64_t bits[FD_LIMIT / 64];
};

static struct fd_set_snapshot owned;

static bool has(const struct fd_set_snapshot *s, int fd)
{
	return fd >= 0 && fd < FD_LIMIT && (s->bits[fd / 64] >> (fd % 64) & 1) != 0;
}

bool driver_owns_fd(int fd)
{
	return has(&owned, fd);
}

void sleep_own_fd(int fd, bool own)
{
	uint64_t bit = UINT64_C(1) << (fd % 64);
	if (fd < 0 || fd >= FD_LIMIT)
		return;
	if (own)
		owned.bits[fd / 64] |= bit;
	else
		owned.bits[fd / 64] &= ~bit;
}

static void list_open(struct fd_set_snapshot *s)
{
	memset(s, 0, sizeof(*s));
	DIR *d = opendir("/proc/self/fd");
	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		int fd = atoi(e->d_name);
		if (e->d_name[0] != '.' && fd != dirfd(d) && fd < FD_LIMIT)
			s->bits[fd / 64] |= UINT64_C(1) << (fd % 64);
	}
	closedir(d);
}

/*
 * The kernel gives out the lowest free number. Filling the low ones for the while leaves them to the program,
 * which may use select(), and makes DPDK's come in ascending order.
 */
void sleep_fds_fill(struct fd_fill *fill)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit lim = {.rlim_cur = 1024};

	getrlimit(RLIMIT_NOFILE, &lim);
	int upto = lim.rlim_cur < 2 * FILL_UPTO ? (int)lim.rlim_cur / 2 : FILL_UPTO;
	fill->n = 0;
	while (fd >= 0 && fd < upto) {
		fill->fds[fill->n++] = (uint16_t)fd;
		fd = fcntl(fd, F_DUPFD_CLOEXEC, fd);
	}
	if (fd >= 0)
		close(fd);
}

void sleep_fds_empty(struct fd_fill *fill)
{
	while (fill->n > 0)
		close(fill->fds[--fill->n]);
}

struct fd_set_snapshot *sleep_fds_before(void)
{
	struct fd_set_snapshot *s = malloc(sizeof(*s));
	if (s != NULL)
		list_open(s);
	return s;
}

static bool is_packet_source(enum link_kind kind, int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	char path[32], target[32];

	switch (kind) {
	case LINK_AF_PACKET:
		return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_PACKET;
	case LINK_AF_XDP:
		return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_XDP;
	case LINK_TAP:
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		return n > 0 && (target[n] = '\0', strcmp(target, "/dev/net/tun") == 0);
	default:
		return false;
	}
}

/*
 * net_tap opens one descriptor that only keeps the interface alive, then for each queue one and its duplicate
 * for sending; the other PMDs open one per queue. The descriptors were made in ascending order.
 */
static void find_sources(struct driver_port *port, const struct fd_set_snapshot *before)
{
	bool tap = port->link.kind == LINK_TAP;
	unsigned at = 0, found = 0;

	for (int fd = 0; fd < FD_LIMIT && found < port->dev.caps.queues; fd++) {
		if (!has(&owned, fd) || has(before, fd) || !is_packet_source(port->link.kind, fd) ||
		    packet_tx_owns(port, fd))
			continue;
		if (!tap || at % 2 == 1)
			port->sleep_fd[found++] = fd;
		at++;
	}
	port->dev.caps.rx_sleep = found == port->dev.caps.queues;
}

/*
 * Of a PCI device only interrupts by message with a vector for each queue are used. A single line stays
 * raised until its cause is read away, which PMDs leave to their own thread: each arming would raise it
 * again, until the kernel, seeing that nobody cares, turns it off for all devices that share it.
 */
static void find_interrupts(struct driver_port *port)
{
	bool all = port->interrupts && (port->link.kind != LINK_PCI || pci_has_vectors(port->link.target));

	for (uint16_t q = 0; all && q < port->dev.caps.queues; q++) {
		port->sleep_fd[q] = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, q);
		all = port->sleep_fd[q] >= 0 && rte_eth_dev_rx_intr_enable(port->id, q) == 0;
		if (all)
			rte_eth_dev_rx_intr_disable(port->id, q);
	}
	port->dev.caps.rx_sleep = all;
}

void sleep_fds_after(struct driver_port *port, struct fd_set_snapshot *before)
{
	for (unsigned q = 0; q < DRIVER_QUEUES_MAX; q++)
		port->sleep_fd[q] = -1;
	if (before == NULL)
		return;
	struct fd_set_snapshot *now = sleep_fds_before();
	for (unsigned i = 0; now != NULL && i < RTE_DIM(owned.bits); i++)
		owned.bits[i] |= now->bits[i] & ~before->bits[i];
	free(now);
	if (port->started) {
		if (port->link.kind <= LINK_AF_XDP)
			find_sources(port, before);
		else if (port->link.kind != LINK_MEMIF)
			find_interrupts(port);
	}
	free(before);
}

static struct driver_port *port_of(struct netdev *dev)
{
	return (struct driver_port *)dev;
}

int sleep_fd(struct netdev *dev, uint16_t q)
{
	return dev->caps.rx_sleep ? port_of(dev)->sleep_fd[q] : -1;
}

static bool has_interrupts(const struct driver_port *port)
{
	return port->link.kind > LINK_AF_XDP && port->dev.caps.rx_sleep;
}

int sleep_arm(struct netdev *dev, uint16_t q)
{
	struct driver_port *port = port_of(dev);
	if (!has_interrupts(port))
		return 0;
	int ret = rte_eth_dev_rx_intr_enable(port->id, q);
	/* Neither vhost nor virtio orders this store before the look at the ring that follows: without a
	 * fence the other end may see the flag too late, and we its frame too late. */
	rte_mb();
	return ret;
}

/* vhost's event descriptor is an epoll set around the guest's kick, which nobody reads but us. */
static void drain_vhost(struct driver_port *port, uint16_t q)
{
	struct rte_vhost_vring vring;
	uint64_t kicks;
	int vid = offload_vhost_id(port);
	if (vid >= 0 && rte_vhost_get_vhost_vring(vid, (uint16_t)(q * 2 + 1), &vring) == 0 &&
	    vring.kickfd >= 0)
		(void)!read(vring.kickfd, &kicks, sizeof(kicks));
}

void sleep_disarm(struct netdev *dev, uint16_t q)
{
	struct driver_port *port = port_of(dev);
	uint64_t count;

	if (!has_interrupts(port))
		return;
	rte_eth_dev_rx_intr_disable(port->id, q);
	if (port->link.kind == LINK_VHOST)
		drain_vhost(port, q);
	else
		(void)!read(port->sleep_fd[q], &count, sizeof(count));
}
