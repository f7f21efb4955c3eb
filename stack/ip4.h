/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip4.h - IPv4: what TCP and UDP call to send, and the shape in which they are called
 *
 * RFC 791, 1122 (3.2.1), 815 (reassembly), 6864 (the ID field).
 */
#ifndef STACK_IP4_H
#define STACK_IP4_H

#include <stdbool.h>
#include <stdint.h>

#include "ip_addr.h"
#include "pkt.h"

struct rte_mbuf;
struct stack;
struct arp_entry;

/*
 * A received packet as the transport protocols see it. m's data starts at the IP header; the IP header and
 * the first min(l4_len, IP_RX_CONTIGUOUS) bytes of the transport header lie in the first mbuf.
 */
#define IP_RX_CONTIGUOUS 60

struct ip_rx {
	struct ip_addr src, dst;
	uint16_t l4_off; /* transport header, bytes from the start of the data; at least l4_len bytes follow
			    in the chain */
	uint32_t l4_len; /* transport header and payload, the IP total length counted (padding already
			    trimmed) */
	uint8_t tos, ttl, proto;
	bool csum_ok;    /* transport checksum known good (device, link without need) or not to be verified */
	bool to_us_only; /* dst is a unicast address of ours (TCP answers to nothing else) */
	struct pkt_handover at; /* HANDOVER_FRESH unless another stack handed it to this one */
};

/*
 * Where packets to one destination go; kept by each connection, so that a packet costs no lookup. Filled in
 * by ip4_path_init(); ip4_output() renews it when routes or the neighbour changed.
 */
struct ip_path {
	be32 src, dst;
	struct arp_entry *neigh; /* NULL: local delivery, or not resolved yet */
	uint32_t neigh_gen;      /* entry reused since: look up again */
	uint16_t mtu;            /* bytes of IP packet; path MTU where it is known */
	uint8_t tos, ttl;
	bool dont_fragment;
	bool local; /* dst is our own: the packet comes back by stack_input() of this stack */
};

/* `src` 0: chosen by route. Returns 0, -ENETUNREACH (no route), -EADDRNOTAVAIL (src is not ours). */
int ip4_path_init(struct stack *st, struct ip_path *path, be32 src, be32 dst);

/* How many bytes ip4_output() needs in front of the transport header (IPv4 + Ethernet). */
#define IP4_OUTPUT_HEADROOM (20 + 14)

/*
 * Sends a packet whose data starts at the transport header of `l4_hdr_len` bytes (pkt_len, nb_segs, and for
 * TSO tso_segsz with RTE_MBUF_F_TX_TCP_SEG in ol_flags, are set by the caller). Writes IP and Ethernet
 * headers, the checksums of both layers (or the offload flags for them), fragments when it is larger than the
 * MTU and not TSO, waits for ARP with the packet queued. Always takes the mbuf.
 */
void ip4_output(struct stack *st, struct ip_path *path, struct rte_mbuf *m, uint8_t proto,
		uint8_t l4_hdr_len);

/* Verifies a transport checksum where csum_ok is false, partial ones from a local kernel included (netdev.h).
 */
bool ip4_l4_csum_ok(const struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx);

/* One Ethernet payload of type IPv4; takes the mbuf, whose data starts at the IP header. */
void ip4_input(struct stack *st, struct rte_mbuf *m, bool unicast);

#endif
