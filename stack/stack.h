/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stack.h - one instance of the TCP/IP stack: packets in, packets out, timers
 *
 *     rx burst ──► stack_input() ──► [ sockets, timers ] ──► stack_output() ──► tx burst
 *                                       │
 *                                       └──► stack_next_woken(): sockets whose readiness changed
 *
 * The instance lives wholly in the memory it is given (shared memory in production, calloc in a test),
 * allocates nothing afterwards but mbufs from its pool, holds no pointer to code, has no thread, no lock, no
 * clock and no random source: the caller serialises all calls on an instance and on its sockets, says the
 * time and gives a seed. Everything is pulled: packets to send and readiness are fetched by the caller,
 * nothing is called back.
 *
 * Sockets are in sock.h.
 */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "ip_addr.h"
#include "netdev.h"

struct rte_mempool;
struct stack;
struct sock;

#define STACK_ADDRS_MAX  8
#define STACK_QUEUES_MAX 16

/* An IPv4 address of the stack and the network it stands in. */
struct stack_addr {
	be32 addr;
	uint8_t prefix_len; /* 0..32 */
};

struct stack_config {
	struct stack_addr addrs[STACK_ADDRS_MAX];
	unsigned n_addrs;
	be32 gateway;  /* 0: none, only the networks of addrs are reachable */
	bool loopback; /* 127.0.0.0/8 is ours too: sockets of this stack reach each other by it */

	uint32_t max_tcp;       /* TCP connections and listeners, 16..4194304 */
	uint32_t max_udp;       /* UDP sockets, 1..65536 */
	uint32_t max_arp;       /* neighbour entries */
	uint32_t max_fragments; /* IPv4 datagrams under reassembly */

	struct rte_mempool *pool; /* PKT_PRIV_SIZE private bytes; shared by RX and TX */
	uint32_t pool_mbufs;      /* its size, to keep a reserve for RX */

	struct netdev_caps caps;
	uint16_t queue;   /* which queue pair of the device this instance drives */
	uint16_t queues;  /* how many instances share the address: ephemeral ports are split among them */
	uint64_t seed[2]; /* secret; keys ports (RFC 6056) and hashes */
	/*
	 * Secret; keys ISN (RFC 6528) and timestamp offsets. The same for all stacks of a host until it
	 * reboots, as the kernel's is: a restarted program may meet its peer's TIME-WAIT, which takes a SYN
	 * only if sequence numbers and timestamps go on. Zero: the seed serves.
	 */
	uint64_t isn_secret[2];

	/* Named after Linux's sysctls in net.ipv4 and net.core, same units */
	uint32_t tcp_rmem[3]; /* bytes: min, default, max */
	uint32_t tcp_wmem[3];
	uint32_t rmem_max, wmem_max; /* ceiling of SO_RCVBUF, SO_SNDBUF */
	uint32_t somaxconn;
	uint32_t tcp_max_syn_backlog;
	uint32_t tcp_keepalive_time_s, tcp_keepalive_intvl_s, tcp_keepalive_probes;
	uint32_t tcp_syn_retries, tcp_synack_retries, tcp_retries2, tcp_orphan_retries;
	uint32_t tcp_fin_timeout_s;
	uint32_t tcp_timewait_s;         /* 60 on Linux, not a sysctl there */
	uint16_t ip_local_port_range[2]; /* 32768, 60999 */
	uint8_t ip_default_ttl;
	bool tcp_sack, tcp_timestamps, tcp_window_scaling, tcp_moderate_rcvbuf, tcp_tw_reuse;
	char tcp_congestion_control[16]; /* "cubic", "reno" */
};

/* Fills in Linux's defaults; addrs, pool, caps and seed are left to the caller. */
void stack_config_init(struct stack_config *cfg);

/* Bytes that stack_init() needs for this configuration; zeroed memory, aligned to 64. */
size_t stack_mem_size(const struct stack_config *cfg);

/*
 * Makes an instance in `mem`. Returns it, or NULL with *err one of -EINVAL (an impossible value in cfg).
 * `mem` is freed by whoever got it, after stack_fini() has given all mbufs back to the pool.
 */
struct stack *stack_init(void *mem, const struct stack_config *cfg, time_ns now, int *err);
void stack_fini(struct stack *st);

/* Tells the time. Calls on sockets use the last time told. Time never goes backwards: an earlier one is
 * ignored. */
void stack_set_now(struct stack *st, time_ns now);
time_ns stack_now(const struct stack *st);

/* Received frames, starting with the Ethernet header. Takes ownership of all of them. */
void stack_input(struct stack *st, struct rte_mbuf **pkts, unsigned n, time_ns now);

/*
 * Makes the stacks of one address know each other; stacks[i] was made with queue i of n queues and the same
 * seed. Before any of them gets a frame. From then on each hands over what concerns another (handover.h).
 */
void stack_join(struct stack **stacks, unsigned n);

/* Takes what other stacks have handed over. Returns the number of packets; 0 for a stack that is alone. */
unsigned stack_input_handed(struct stack *st, time_ns now);

/* The stacks, by bit, that this one has handed something since the last call: they must be driven soon. */
uint32_t stack_handed(struct stack *st);

/*
 * Frames to transmit, in order, at most `max`; ownership passes to the caller. Delayed decisions (one ACK for
 * a whole burst, Nagle) are taken here, so call it after every stack_input(), stack_run_timers() and batch of
 * socket calls.
 */
unsigned stack_output(struct stack *st, struct rte_mbuf **pkts, unsigned max);

/* 0 when stack_output() has nothing to do; else about how many frames it would give, which may be none in the
 * end. */
unsigned stack_output_pending(const struct stack *st);

/* Frames that the device did not take go back to the head of the queue (or are counted and dropped when it is
 * full). */
void stack_output_unsent(struct stack *st, struct rte_mbuf **pkts, unsigned n);

/* When the next timer may be due, TIME_NEVER when none is set. May be early (then nothing happens), never
 * late. */
time_ns stack_next_timer(const struct stack *st);

/*
 * The same, for a caller who is about to sleep that long: takes the time to put off timers that would find
 * nothing to do, so that he is not woken for them. May still be early, at most by as much as is worth a look.
 */
time_ns stack_sleep_until(struct stack *st);

/* Fires every timer due at or before `now`. */
void stack_run_timers(struct stack *st, time_ns now);

/*
 * Takes one socket off the list of those whose readiness changed since the last call; NULL when the list is
 * empty. *wake gets the EPOLL* bits of the wake-ups that happened, as Linux's wait queues would see them:
 * also for a socket that was ready already, which is what an edge-triggered watcher needs.
 */
struct sock *stack_next_woken(struct stack *st, uint32_t *wake);

/* Is `dst` one of the stack's own addresses? */
bool stack_owns_addr(const struct stack *st, const struct ip_addr *dst);

/* Would a packet to `dst` leave through this stack: own address, on-link, or by the gateway? */
bool stack_routes_to(const struct stack *st, const struct ip_addr *dst);

/*
 * RFC 5227: sends an ARP probe for each own address; *_conflict() is true once somebody else answered or
 * announced one of them, with the MAC address in mac[6]. Of several queues' stacks only that of queue 0 asks
 * and announces; the others must be told too, because the answer may come to any of them.
 */
void stack_arp_probe(struct stack *st);
bool stack_addr_conflict(const struct stack *st, be32 *addr, uint8_t mac[6]);
void stack_arp_announce(struct stack *st);

/* Sockets that still have something to do for a peer: unsent or unacknowledged data or a FIN on the way. */
unsigned stack_undelivered(const struct stack *st);

/* Counters by index; names in counters.def. */
unsigned stack_counters(const struct stack *st, const uint64_t **values, const char *const **names);

/* What is in use and how much there may be of it. Entries and buffers, not bytes. */
struct stack_usage {
	uint32_t tcp_listeners, tcp_connections; /* connections: half-open ones and orphans included */
	uint32_t tcp_orphans;   /* of the connections: closed by the program and not finished */
	uint32_t tcp_time_wait; /* not among the connections */
	uint32_t udp_sockets;
	uint32_t neighbours, fragments; /* fragments: IPv4 datagrams under reassembly */
	uint32_t held_mbufs;            /* in sockets' queues and in reassembly */
	uint32_t tcp_max, tcp_time_wait_max, udp_max, neighbours_max, fragments_max, held_mbufs_max;
};

/* Adds an instance's usage to *u; walks some of the tables. */
void stack_usage(const struct stack *st, struct stack_usage *u);

/* One socket as it is at this moment, in ss(8)'s words. */
struct stack_sock_row {
	const struct sock *so;
	const char *proto, *state; /* "tcp", "LISTEN" */
	struct endpoint local, peer;
	uint32_t recv_q, send_q; /* bytes; a listener: connections not accepted yet, backlog */
};
void stack_sock_row(const struct sock *so, struct stack_sock_row *row);

/*
 * A walk over all sockets with the lock given up in between: the next ones from *cursor, which is 0 at first
 * and STACK_ROWS_END after the last. Returns how many; may be 0 before the end, since it looks at a bounded
 * number of table entries. Those in TIME-WAIT are only counted.
 */
#define STACK_ROWS_END UINT32_MAX
unsigned stack_sock_rows(const struct stack *st, uint32_t *cursor, const struct sock **socks, unsigned max);

/* A socket's line of stack_dump(). Returns the bytes it wanted to write. */
size_t stack_dump_sock(const struct sock *so, char *buf, size_t len);

/* One line per socket, then the non-zero counters, as text into buf. Returns the bytes it wanted to write. */
size_t stack_dump(const struct stack *st, char *buf, size_t len);

#endif
