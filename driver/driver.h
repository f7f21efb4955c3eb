/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.h - DPDK behind a netdev: EAL start, one port, its queues, buffers and offloads
 *
 * Called by preload/runtime.c (and by tests). Everything DPDK allocates is shared across fork; nothing is
 * allocated after driver_open(), because memory that EAL adds after a fork is not seen by the other members
 * of the family.
 */
#ifndef DRIVER_DRIVER_H
#define DRIVER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netdev;
struct rte_mempool;
struct driver_port;

enum driver_hugepages { DRIVER_HUGE_AUTO, DRIVER_HUGE_ON, DRIVER_HUGE_OFF };

struct driver_config {
	/*
	 * tap[:IFNAME] | af_packet:IFNAME | af_xdp:IFNAME | memif:SOCKET[,server] | vhost:SOCKET |
	 * virtio_user:SOCKET | pci:BDF | dpdk:DEVARGS
	 */
	const char *link;
	const char *kernel_addr; /* tap: "198.18.0.1/24" for the kernel's end; NULL: none */
	uint8_t mac[6]; /* all zero: the link's own, or a stable one derived from the stack's address */
	uint32_t stack_addr_be;    /* first own address, network order: seeds the derived MAC */
	uint16_t mtu;              /* 0: the link's own */
	uint16_t queues;           /* wanted queue pairs, 1..16; fewer where the device has fewer */
	uint32_t mbufs;            /* packet buffers in all, 1024..16777216 */
	uint16_t rx_desc, tx_desc; /* 0: the driver's choice */
	uint16_t mbuf_priv_bytes;  /* private area of each buffer (stack/pkt.h) */
	enum driver_hugepages hugepages;
	bool offload_csum, offload_tso, offload_lro; /* false: not used although the port has it */
	const char *eal_args;                        /* more EAL arguments, space separated; NULL: none */
	int log_level;                               /* RTE_LOG_*: what DPDK may print on stderr */
};

/*
 * Starts DPDK (once per family) and the link. The calling thread's affinity, signal mask, name and errno are
 * as before afterwards; DPDK's own threads block all signals. On failure returns -errno and one line in err
 * that says what and what to do: -EINVAL bad spec, -ENODEV no such interface or device, -EACCES/-EPERM not
 * allowed, -EBUSY in use, -ENOMEM memory.
 */
int driver_open(const struct driver_config *cfg, struct driver_port **port, char *err, size_t err_len);

struct netdev *driver_netdev(struct driver_port *port);
struct rte_mempool *driver_pool(struct driver_port *port);
uint32_t driver_pool_mbufs(const struct driver_port *port);

/* The index that the link's interface has in the kernel, 0 when it has none there. */
unsigned driver_ifindex(const struct driver_port *port);

/* "tap:shunt0, checksum+tso, 1 queue, 32768 buffers of 2 KB without hugepages": for the start line. */
size_t driver_describe(const struct driver_port *port, char *buf, size_t len);

/*
 * The calling thread will use queue `q` until it says another: selects the mempool cache that belongs to the
 * queue. Cheap (one thread-local store); to be called after the queue's lock is taken.
 */
void driver_enter_queue(uint16_t q);

/* Frees the device; only for the last member of the family (tap interfaces and sockets vanish). */
void driver_close(struct driver_port *port);

/* Descriptors of this process that belong to DPDK and must survive close()/closefrom() by the program. */
bool driver_owns_fd(int fd);

/* Capture: every frame of the port goes to a pcapng file until stopped. Returns 0 or -errno. */
int driver_capture_start(struct driver_port *port, const char *path);
void driver_capture_stop(struct driver_port *port);

/* Port statistics as text ("rx_packets 123\n…"), into buf. */
size_t driver_stats(struct driver_port *port, char *buf, size_t len);

#endif
