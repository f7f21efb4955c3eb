/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udp_priv.h - the UDP socket, for udp.c (packets, table) and udp_sock.c (socket calls) only
 */
#ifndef STACK_UDP_PRIV_H
#define STACK_UDP_PRIV_H

#include "ip4.h"
#include "stack_priv.h"
#include "udp.h"

/*
 * Life: free list ─new─► unbound ─bind, connect or first send─► bound (in the hash by port) ─connect─► also
 * in the hash by both endpoints. base.local.port is not 0 exactly while the socket is in the hash by port.
 */
struct udp_sock {
	struct sock base;
	struct udp_sock *port_next; /* hash by local port, newest first; free list */
	struct udp_sock *conn_next; /* hash by both endpoints, while connected */
	bool connected;
	bool addr_locked, port_locked; /* chosen by bind(2): disconnecting does not forget them */
	bool path_valid;
	bool corked; /* UDP_CORK */
	bool tx_waiting;

	/* Received datagrams, linked by pkt_meta()->next; data starts at the IP header, off says where UDP's
	 * is. */
	struct rte_mbuf *rx_head, *rx_tail;
	uint32_t rx_charge; /* bytes counted against rcvbuf_bytes, overhead included */
	uint32_t dropped;   /* datagrams that found no room */

	struct ip_path path;   /* to the peer or to the last destination */
	struct rte_mbuf *cork; /* datagram being collected by MSG_MORE or UDP_CORK; 8 bytes left in front */
	struct endpoint cork_to;
	struct udp_sock *tx_wait_next;

	/* As what the other stacks see the socket (handover.h); HANDOVER_NONE: not at all. */
	uint8_t shown_level;
	be16 shown_port;
};

struct udp_table {
	struct udp_sock *free;
	struct udp_sock *tx_wait_head; /* sockets to be told of room in the transmit queue */
	uint32_t hash_mask;
	uint32_t n_connected;
	struct udp_sock **by_port;
	struct udp_sock **by_conn;
	struct udp_sock *socks;
};

static inline struct udp_sock *udp_of(struct sock *so)
{
	return (struct udp_sock *)so;
}

/* Hash membership. bind: local.port set by the caller; connect: peer and local set by the caller. */
void udp_table_bind(struct udp_sock *us);
void udp_table_unbind(struct udp_sock *us);
void udp_table_connect(struct udp_sock *us);
void udp_table_disconnect(struct udp_sock *us);

/* After the local endpoint or the connection changed: what the other stacks see. */
void udp_table_show(struct udp_sock *us);

struct udp_sock *udp_table_new(struct stack *st);

/* Frees what the socket holds and gives it back. */
void udp_table_free(struct udp_sock *us);

/* Takes the oldest datagram off the queue, with the accounting and readiness that go with it. */
struct rte_mbuf *udp_rx_pop(struct udp_sock *us);

#endif
