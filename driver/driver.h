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
	bool soft_gro, soft_gso; /* in software where the port does not join or segment TCP */
	const char *eal_args;    /* more EAL arguments, space separated; NULL: none */
	int log_level;           /* RTE_LOG_*: what DPDK may print on stderr */
	/*
	 * A virtio_user server waits for its first peer, with the caller's signal mask: at most so long (0:
	 * for ever), saying so once by waiting() if it takes longer than a second. After each signal handler
	 * that ran, interrupted() says whether to give up. Both may be NULL.
	 */
	unsigned peer_wait_s;
	void (*waiting)(const char *link);
	bool (*interrupted)(void);
};

/*
 * Starts DPDK (once per family) and the link. The calling thread's affinity, signal mask, name and errno are
 * as before afterwards; DPDK's own threads block all signals. On failure returns -errno and one line in err
 * that says what and what to do: -EINVAL bad spec, -ENODEV no such interface or device, -EACCES/-EPERM not
 * allowed, -EBUSY in use, -ENOMEM memory, -EINTR or -ETIMEDOUT while waiting for a peer (can be tried again).
 */
int driver_open(const struct driver_config *cfg, struct driver_port **port, char *err, size_t err_len);

struct netdev *driver_netdev(struct driver_port *port);
struct rte_mempool *driver_pool(struct driver_port *port);
uint32_t driver_pool_mbufs(const struct driver_port *port);

/*
 * Zeroed memory for one stack, shared with processes forked later. *bytes is rounded up to what munmap(2)
 * takes; *huge: it is in hugepages, which auto and on ask for and do without when there are too few. NULL
 * with errno.
 */
void *driver_arena_map(size_t *bytes, enum driver_hugepages hugepages, bool *huge);

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

struct driver_counter {
	const char *name;
	uint64_t value;
};

/* Statistics of the port ("rx_packets", …); returns how many, at most DRIVER_COUNTERS_MAX. */
#define DRIVER_COUNTERS_MAX 16
unsigned driver_counters(struct driver_port *port, struct driver_counter *to);

/* The same as text ("rx_packets 123\n…"), into buf. */
size_t driver_stats(struct driver_port *port, char *buf, size_t len);

/* Packet buffers in all, and those not in use: neither in the stack nor with the device. */
struct driver_mbufs {
	uint32_t total, free;
};
void driver_mbufs(const struct driver_port *port, struct driver_mbufs *m);

/*
 * DPDK's telemetry: a thread that answers requests on a socket with the commands that were registered
 * (rte_telemetry.h). The socket has the name "…/dpdk_telemetry.v2" in a folder that only this user may enter:
 * in $RUNTIME_DIRECTORY/dpdk, /run/dpdk (root) or $XDG_RUNTIME_DIR/dpdk named after this process, else below
 * /tmp; DPDK's dpdk-telemetry.py finds the former.
 *
 * The listening socket is inherited by fork. When the process whose thread answers has gone, one child may
 * call driver_telemetry_start() again, and then answers on the same socket.
 */
struct driver_telemetry {
	int (*keep_fd)(int fd);  /* moves a descriptor out of the program's way and protects it; its number */
	void (*drop_fd)(int fd); /* it is about to be closed */
};

/* 0, or -errno: there is no folder to write to, no thread … */
int driver_telemetry_start(const struct driver_telemetry *t);

/* The socket's name, NULL when there is none. */
const char *driver_telemetry_path(void);

/* Removes the socket's name and folder; for the last member of the family. */
void driver_telemetry_unlink(void);

#endif
