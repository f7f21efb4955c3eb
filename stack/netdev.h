/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netdev.h - what the stack and its host need from a network device; driver/ implements it, tests fake it
 *
 * A netdev is process-local (it holds pointers to code). The capabilities are plain data and are copied into
 * the stack's shared memory when it is made. One indirect call per burst is the whole price of the interface.
 *
 * A queue is used by one thread at a time: the holder of the lock of the stack instance that owns the queue.
 */
#ifndef STACK_NETDEV_H
#define STACK_NETDEV_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct netdev;

#define NETDEV_RSS_KEY   52
#define NETDEV_RSS_TABLE 512

/* How the device spreads received TCP over its queues; table_len 0: not known. */
struct netdev_rss {
	_Alignas(uint32_t)                   /* rte_softrss() reads the key in words */
		uint8_t key[NETDEV_RSS_KEY]; /* Toeplitz, 40 or 52 bytes */
	uint16_t table_len;
	uint8_t table[NETDEV_RSS_TABLE]; /* queue by hash % table_len */
};

struct netdev_caps {
	uint8_t mac[6];
	uint16_t mtu;      /* bytes of IP packet, e.g. 1500 */
	uint16_t queues;   /* RX/TX queue pairs */
	bool tx_ip_csum;   /* RTE_MBUF_F_TX_IP_CKSUM is honoured */
	bool tx_tcp_csum;  /* RTE_MBUF_F_TX_TCP_CKSUM (with the pseudo-header sum in the field) */
	bool tx_udp_csum;  /* RTE_MBUF_F_TX_UDP_CKSUM */
	bool tx_multi_seg; /* chains may be transmitted */
	bool tso; /* RTE_MBUF_F_TX_TCP_SEG with tso_segsz, its checksums included; implies tx_multi_seg */
	uint32_t tso_max_bytes; /* largest TCP payload of one TSO packet; 0 without TSO */
	uint16_t tso_max_segs;  /* longest chain one TSO packet may have; 0 without TSO */
	bool rx_csum; /* RX ol_flags say GOOD or BAD, or NONE (both bits: not computed because it never
			 left memory; fine too); UNKNOWN and without rx_csum the stack verifies */
	bool rx_csum_partial; /* frames from a local kernel may carry only the pseudo-header sum (veth):
				 accept it */
	bool csum_unneeded;   /* memory-to-memory link: nothing is computed and nothing is verified */
	bool lro;             /* received TCP packets may exceed the MTU (64 KB), as chains */
	bool rx_sleep;        /* rx_sleep_fd() gives a descriptor */
	bool peer_is_kernel;  /* frames come and go through the kernel, which wakes a sleeper as it would
				 for a socket */
	bool tx_sync;         /* tx_burst has let go of the mbufs when it returns */
	struct netdev_rss rss;
};

struct netdev_ops {
	/* Up to n packets from queue q. Ownership of the mbufs passes to the caller. */
	uint16_t (*rx_burst)(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n);

	/* Takes the first k of n packets (k is returned) and their references; the rest stays with the
	 * caller. */
	uint16_t (*tx_burst)(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n);

	/*
	 * A descriptor that becomes readable when queue q, once armed, has packets; -1 where the device has
	 * none (the waiter naps instead). The same number in every process of the family.
	 */
	int (*rx_sleep_fd)(struct netdev *dev, uint16_t q);

	/*
	 * Before sleeping: from now on an arriving packet makes rx_sleep_fd() readable. A packet that came
	 * before may not: poll once more after arming. Returns 0 or -errno.
	 */
	int (*rx_arm)(struct netdev *dev, uint16_t q);

	/* After sleeping: clears the descriptor. Polling works in either state. */
	void (*rx_disarm)(struct netdev *dev, uint16_t q);

	/* False while the peer or carrier is away. Cheap; may be called once a second. */
	bool (*link_up)(struct netdev *dev);
};

struct netdev {
	const struct netdev_ops *ops;
	struct netdev_caps caps;
};

#endif
