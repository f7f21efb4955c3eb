/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard.c - keeps bursts away from memory that comes and goes with the peer (memif, vhost)
 *
 * When the peer of a memif or vhost link goes, a thread of DPDK unmaps what was shared with it; when the peer
 * comes back, it maps new memory, but only in the process that has that thread. So:
 *
 * - memif unmaps without asking whether a burst is under way. net_memif's mmap() and munmap() are linked to
 * the two functions here (meson.build renames them); the second waits for the bursts, which by then see the
 * link down and do not start anew. (net_vhost does this by itself.)
 * - Its sendmsg() and rte_memseg_get_fd() are replaced too, see below.
 * - Each connection has a number. A member forked during an earlier one lacks the memory of the present one
 * and gets no packets through it rather than a fault: it sees a link that is down.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "driver/driver_priv.h"

#define WAIT_NAP_NS 20000
#define WAIT_NAPS   10000 /* a process that was killed inside a burst never leaves it */

static struct port_shared *shared;
static uint32_t generation; /* of the connection that this process could map; inherited by fork */

void *driver_memif_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int driver_memif_munmap(void *addr, size_t len);
ssize_t driver_memif_sendmsg(int fd, const struct msghdr *msg, int flags);
int driver_memif_memseg_fd(const struct rte_memseg *ms);

static void new_generation(void)
{
	if (shared != NULL)
		generation = atomic_fetch_add(&shared->generation, 1) + 1;
}

static void wait_for_bursts(void)
{
	const struct timespec nap = {.tv_nsec = WAIT_NAP_NS};
	for (unsigned q = 0; shared != NULL && q < DRIVER_QUEUES_MAX; q++)
		for (int i = 0; i < WAIT_NAPS && atomic_load(&shared->q[q].busy) != 0; i++)
			nanosleep(&nap, NULL);
}

void *driver_memif_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	new_generation();
	return mmap(addr, len, prot, flags, fd, off);
}

int driver_memif_munmap(void *addr, size_t len)
{
	wait_for_bursts();
	return munmap(addr, len);
}

/*
 * When a peer dies between connect() and our greeting, net_memif takes the failed send for a reason to close
 * and free the channel, but leaves it registered with the interrupt thread, which then aborts the process. So
 * sending never fails; the next receive tells the end, and that path is right.
 */
ssize_t driver_memif_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t n = sendmsg(fd, msg, flags | MSG_NOSIGNAL);
	return n < 0 ? (ssize_t)msg->msg_iov[0].iov_len : n;
}

/*
 * Zero-copy: the peer gets the descriptor of our packet buffers' memory. net_memif closes it with the
 * connection although it is EAL's, so that a second connection would have none to send, and a third would
 * close whatever has that number by then. So it gets a copy of its own.
 */
int driver_memif_memseg_fd(const struct rte_memseg *ms)
{
	int fd = rte_memseg_get_fd(ms);
	return fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, fd);
}

static int link_changed(uint16_t port_id, enum rte_eth_event_type event, void *arg, void *ret)
{
	(void)port_id;
	(void)event;
	(void)arg;
	(void)ret;
	new_generation();
	return 0;
}

void guard_start(struct driver_port *port)
{
	shared = port->shared;
	port->guarded = port->link.kind == LINK_MEMIF || port->link.kind == LINK_VHOST;
	if (port->link.kind == LINK_VHOST)
		rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_LSC, link_changed, NULL);
}

void guard_stop(void)
{
	shared = NULL;
}

bool guard_reachable(const struct driver_port *port)
{
	if (!port->guarded)
		return true;
	return port->running &&
	       atomic_load_explicit(&port->shared->generation, memory_order_acquire) == generation;
}

/* The exchange is a full barrier: busy is seen before the PMD looks whether it is connected. */
bool guard_enter(struct driver_port *port, uint16_t q)
{
	atomic_exchange(&port->shared->q[q].busy, 1);
	if (guard_reachable(port))
		return true;
	guard_leave(port, q);
	return false;
}

void guard_leave(struct driver_port *port, uint16_t q)
{
	atomic_store_explicit(&port->shared->q[q].busy, 0, memory_order_release);
}
