/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver_priv.h - what the files of driver/ share; nobody else includes it
 *
 *     links.c ──spec──► eal.c ──► port.c ──► pool.c        opening, in this order (driver.c)
 *                                   └──► rxtx.c sleep.c    the netdev
 *
 * A driver_port is process-local and inherited by fork as it stands; whatever changes after driver_open() and
 * must be seen by all members lies in DPDK's shared memory, not here.
 */
#ifndef DRIVER_DRIVER_PRIV_H
#define DRIVER_DRIVER_PRIV_H

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <rte_ethdev.h>

#include "driver/driver.h"
#include "stack/netdev.h"

#define DRIVER_QUEUES_MAX 16u

enum link_kind {
	LINK_TAP,
	LINK_AF_PACKET,
	LINK_AF_XDP,
	LINK_MEMIF,
	LINK_VHOST,
	LINK_VIRTIO_USER,
	LINK_PCI,
	LINK_DEVARGS,
};

/* A parsed link specification. */
struct link_spec {
	enum link_kind kind;
	char target[256];     /* interface name, socket path, PCI address or devargs */
	char more[256];       /* further devargs of the user, verbatim, without the leading comma */
	bool server;          /* memif, vhost, virtio_user: we make the socket */
	bool physical;        /* pci: the device takes physical addresses: no IOMMU */
	bool uio;             /* pci: no interrupts but a line shared with other devices */
	int held_fd;          /* pci: keeps other programs away; -1: nothing does, or nothing must */
	char vdev_name[64];   /* "net_tap0" */
	char vdev_args[1024]; /* "iface=shunt0,…" */
};

/* What the kernel says about a network interface. */
struct ifinfo {
	unsigned index;
	uint16_t mtu;
	uint8_t mac[6];
	bool up;
	bool veth; /* takes frames for any address, and so does what it is plugged into */
	uint16_t rx_queues;
};

/* In shared memory; a queue's part is written by whoever holds the queue's lock. */
struct port_shared {
	_Atomic uint32_t generation; /* of the connection to the peer: guard.c */
	struct port_queue {
		_Atomic uint32_t busy; /* a burst is under way: guard.c */
		uint64_t rx_nombuf;    /* no buffer to copy a received frame to */
		uint64_t rx_udp_gso; /* UDP datagrams that the kernel had joined: where to cut them is lost */
		uint64_t tx_prepare_bad;       /* frames the PMD refused to send */
		uint64_t rx_other_vlan;        /* tagged for a VLAN, which is not ours */
		uint64_t rx_packets, rx_bytes; /* packet_rx.c */
		uint32_t rx_at;                /* packet_rx.c: the ring's frame that comes next */
		uint64_t tx_packets, tx_bytes,
			tx_refused;   /* packet_tx.c: sent; lost on an interface that is down */
		uint64_t rx_joined;   /* gro.c: frames that became part of another */
		uint64_t tx_segments; /* gso.c: frames cut from super segments */
		uint64_t tx_nombuf;   /* gso.c: no buffer to cut into; tried again */
		uint16_t tx_cut;      /* gso.c: segments of the next frame that have left already */
	} __rte_cache_aligned q[DRIVER_QUEUES_MAX];
};

struct driver_port {
	struct netdev dev;
	uint16_t id; /* ethdev port */
	struct link_spec link;
	struct driver_config cfg;
	struct rte_eth_dev_info info;
	struct rte_mempool *pool;
	struct rte_mempool *jumbo_pool; /* af_packet: named to the PMD, which receives nothing; else NULL */
	uint16_t jumbo_frames; /* af_packet: frames of the ring when each holds 64 KB; 0: MTU-sized */
	struct port_shared *shared;
	uint16_t room; /* data room of the pool's mbufs, headroom included */
	bool hugepages;
	bool started;
	bool running; /* ethdev is started; memif clients are not until they have a server */
	bool guarded; /* bursts go through guard_enter() */
	pid_t owner;  /* the process with DPDK's threads */
	uint64_t connect_at_ms;
	bool gro, gso;                    /* gro.c, gso.c stand in for the device */
	bool interrupts;                  /* the port was configured with RX interrupts */
	bool tx_prepare;                  /* the PMD wants to look at packets before it sends them */
	int packet_fd[DRIVER_QUEUES_MAX]; /* af_packet: packet_tx.c sends through them; else -1 */
	int sleep_fd[DRIVER_QUEUES_MAX];
	int capture_fd; /* -1: no capture runs */
};

/*
 * A kernel peer on a veth sends TCP in frames of up to 64 KB (its segmentation is left to the device, which
 * veth is not), and so does GRO on a NIC. The ring's frames hold the largest: 65160 bytes of payload and the
 * headers. 65408 is the largest size whose multiple (x 32) is a whole number of pages and which fits a mbuf's
 * 16 bits.
 */
#define JUMBO_FRAME        65408u
#define JUMBO_BLOCK_FRAMES 32u
#define JUMBO_FRAMES       512u /* of the ring: what may come while nobody looks */
#define JUMBO_FRAMES_LEAST 64u

/* thread.c */
struct thread_state {
	cpu_set_t cpus;
	sigset_t signals;
	bool sigpipe_pending;
	int saved_errno;
	char name[16];
};
void thread_save(struct thread_state *t);
void thread_restore(const struct thread_state *t);

/* links.c */
int link_parse(const char *text, struct link_spec *spec, char *err, size_t err_len);
bool link_is_vdev(const struct link_spec *spec);
int link_check(const struct driver_config *cfg, struct link_spec *spec, char *err, size_t err_len);
void link_devargs(const struct driver_port *port, struct link_spec *spec, uint16_t mtu);
uint16_t link_jumbo_frames(const struct link_spec *spec);
uint16_t link_mtu(const struct driver_config *cfg, const struct link_spec *spec);

/* pci.c: a PCI address in full ("0000:03:00.0", 13 bytes); can the device be had (fills spec) */
bool pci_parse(const char *text, char *bdf, size_t len);
int pci_check(struct link_spec *spec, char *err, size_t err_len);
/* Does VFIO deliver the running device's interrupts as MSI-X? */
bool pci_has_vectors(const char *bdf);

/* ifconf.c: the kernel's side of interfaces; 0 or -errno */
int ifconf_get(const char *name, struct ifinfo *info);
int ifconf_up(const char *name);
int ifconf_set_addr(const char *name, const char *cidr);

/* tapconf.c */
enum tap_state {
	TAP_UNKNOWN, /* could not be asked */
	TAP_ABSENT,  /* no interface of that name */
	TAP_NOT,     /* another kind of interface */
	TAP_FREE,    /* made in advance, and nobody has it open */
	TAP_HELD,    /* a program has it */
};
enum tap_state tapconf_state(const char *name);

/* eal.c */
int eal_start(const struct driver_config *cfg, const struct link_spec *spec, size_t mem_bytes, char *err,
	      size_t err_len);
bool eal_has_hugepages(void);
#define EAL_HUGE_PAGE (2u << 20) /* the usual size; larger ones are multiples of it */
int eal_hugepages_lock(void);    /* taking hugepages while another program is about to would end its start */
void eal_hugepages_unlock(int lock);
const char *eal_last_error(void);
void eal_clear_error(void);

/* eal_maps.c: when all memory is there, before the first fork */
void eal_join_maps(void);

/* telemetry_dir.c: a folder for the telemetry socket; 0 or -errno */
int telemetry_dir_make(char *dir, size_t len);

/* pool.c */
uint16_t pool_room(uint16_t mtu);
size_t pool_bytes(const struct driver_config *cfg, uint16_t room, bool jumbo);
int pool_make(struct driver_port *port, char *err, size_t err_len);

/* port.c */
int port_start(struct driver_port *port, uint16_t mtu, char *err, size_t err_len);

void port_connect_again(struct driver_port *port);

/* offload.c */
void offload_choose(struct driver_port *port, struct rte_eth_conf *conf);
/* The connection of a vhost link; -1: there is none now. */
int offload_vhost_id(const struct driver_port *port);
bool offload_peer_known(struct driver_port *port);

/* guard.c */
void guard_start(struct driver_port *port);
void guard_stop(void);
bool guard_reachable(const struct driver_port *port);
bool guard_enter(struct driver_port *port, uint16_t q);
void guard_leave(struct driver_port *port, uint16_t q);

/* packet_ring.c: around the opening of the PMD's device */
void packet_ring_begin(const struct driver_port *port);
void packet_ring_end(void);
struct packet_ring {
	uint8_t *map; /* at the same address in all processes of the family */
	uint32_t frames, frame_bytes;
};
const struct packet_ring *packet_ring(uint16_t q);

/* packet_rx.c */
uint16_t packet_rx_burst(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n);

/* packet_tx.c */
int packet_tx_open(struct driver_port *port, char *err, size_t err_len);
void packet_tx_close(struct driver_port *port);
bool packet_tx_owns(const struct driver_port *port, int fd);
uint16_t packet_tx_burst(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n);

/* gro.c: joins what it can of a burst of at most 64 frames, in place; returns how many there are now */
uint16_t gro_join(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n);

/*
 * gso.c. A super segment of the stack has at most 64 buffers of at most a segment each, so it
 * makes no more segments than that, and one. gso_cut() returns how many, or -ENOMEM (nothing is left behind),
 * -EINVAL: never. The burst has the contract of netdev_ops.tx_burst, and so has `send`, which gets no
 * super segments.
 */
#define GSO_SEGS_MAX 80u
typedef uint16_t gso_sender(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n);
int gso_cut(struct driver_port *port, struct rte_mbuf *super, struct rte_mbuf **segs, uint16_t max);
uint16_t gso_burst(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n,
		   gso_sender *send);

/* peer_wait.c: around the opening of the link; the end turns its result into -EINTR or -ETIMEDOUT, with a
 * line in err, where waiting was the cause */
void peer_wait_begin(const struct driver_config *cfg, const struct thread_state *thread);
int peer_wait_end(const struct link_spec *spec, int result, char *err, size_t err_len);

/* rxtx.c */
extern const struct netdev_ops driver_netdev_ops;

/* sleep.c */
#define FILL_UPTO 512
struct fd_fill {
	unsigned n;
	uint16_t fds[FILL_UPTO];
};
void sleep_fds_fill(struct fd_fill *fill);
void sleep_fds_empty(struct fd_fill *fill);

struct fd_set_snapshot;
struct fd_set_snapshot *sleep_fds_before(void);
void sleep_fds_after(struct driver_port *port, struct fd_set_snapshot *before);
int sleep_fd(struct netdev *dev, uint16_t q);
int sleep_arm(struct netdev *dev, uint16_t q);
void sleep_disarm(struct netdev *dev, uint16_t q);

void sleep_own_fd(int fd, bool own);

/* pcap.c */
void capture_frames(struct driver_port *port, struct rte_mbuf **pkts, uint16_t n, bool sent);

__attribute__((format(printf, 3, 4))) void driver_say(char *err, size_t err_len, const char *fmt, ...);

#endif
