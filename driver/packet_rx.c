/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packet_rx.c - af_packet: receiving straight out of the ring that net_af_packet has set up
 *
 * The PMD copies each frame into one buffer, which must hold the 64 KB that a kernel peer may send, and from
 * there it would have to be copied once more, into buffers of the stack's. So frames are copied from the ring
 * into those at once (packet_ring.c keeps the addresses); the PMD's own rx_burst is never called.
 *
 * Called by rxtx.c under the queue's lock. Where the next frame is lies in shared memory and is moved frame
 * by frame: a process that is killed in a burst leaves the ring to the others in order.
 */
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>
#include <rte_udp.h>

#include "driver/driver_priv.h"

#define BURST_BYTES (256u * 1024) /* what the stack takes at a time, so that it stays in the CPU's cache */

/*
 * A frame above the MTU is TCP that the kernel left whole, or a fragmented datagram that AF_PACKET's fanout
 * put together (PACKET_FANOUT_FLAG_DEFRAG): the stack takes both. Or it is UDP that the kernel joined
 * (UDP_SEGMENT, GRO): there the borders between the datagrams are lost. Only the last kind leaves its
 * checksum to a device that will never see it, so that the field holds the pseudo-header's sum alone; a
 * datagram that was fragmented has a whole one.
 */
static bool is_udp_gso(const uint8_t *frame, uint32_t len, uint16_t mtu)
{
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)frame;
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	const struct rte_udp_hdr *udp;

	if (likely(len <= mtu + sizeof(*eth)) || len < sizeof(*eth) + 60 + sizeof(*udp))
		return false;
	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) || ip->next_proto_id != IPPROTO_UDP)
		return false;
	udp = (const struct rte_udp_hdr *)((const uint8_t *)ip + rte_ipv4_hdr_len(ip));
	return udp->dgram_cksum == rte_ipv4_phdr_cksum(ip, 0);
}

/* Into as many buffers as it takes; NULL when the pool is empty. */
static struct rte_mbuf *copy_frame(const struct driver_port *port, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *head = NULL, **link = &head, *m;
	uint16_t room = port->room - RTE_PKTMBUF_HEADROOM;

	for (uint32_t off = 0; off < len || head == NULL; off += m->data_len) {
		m = rte_pktmbuf_alloc(port->pool);
		if (unlikely(m == NULL)) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		m->data_len = (uint16_t)RTE_MIN(len - off, room);
		rte_memcpy(rte_pktmbuf_mtod(m, void *), frame + off, m->data_len);
		*link = m;
		link = &m->next;
		if (head != m)
			head->nb_segs++;
	}
	head->pkt_len = len;
	head->port = port->id;
	return head;
}

/* The frame as a packet, or NULL, counted. */
static struct rte_mbuf *take(const struct driver_port *port, struct port_queue *counts,
			     const struct tpacket2_hdr *h, uint32_t slot_bytes)
{
	const uint8_t *frame = (const uint8_t *)h + h->tp_mac;
	uint32_t len = RTE_MIN(h->tp_snaplen, slot_bytes - RTE_MIN(slot_bytes, (uint32_t)h->tp_mac));
	struct rte_mbuf *m;

	/* The kernel has taken the tag off: without it the frame would pass for one of our own network. */
	if (unlikely((h->tp_status & TP_STATUS_VLAN_VALID) && (h->tp_vlan_tci & 0xfff) != 0)) {
		counts->rx_other_vlan++;
		return NULL;
	}
	if (unlikely(is_udp_gso(frame, len, port->dev.caps.mtu))) {
		counts->rx_udp_gso++;
		return NULL;
	}
	m = copy_frame(port, frame, len);
	if (unlikely(m == NULL))
		counts->rx_nombuf++;
	return m;
}

uint16_t packet_rx_burst(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	const struct packet_ring *ring = packet_ring(q);
	struct port_queue *counts = &port->shared->q[q];
	uint32_t bytes = 0, looked = 0;
	uint16_t out = 0;

	for (; looked < n && bytes < BURST_BYTES; looked++) {
		uint32_t at = counts->rx_at, next = at + 1 < ring->frames ? at + 1 : 0;
		struct tpacket2_hdr *h = (void *)(ring->map + (size_t)at * ring->frame_bytes);

		if ((__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
			break;
		rte_prefetch0(ring->map + (size_t)next * ring->frame_bytes);
		rte_prefetch0(ring->map + (size_t)next * ring->frame_bytes + h->tp_mac);
		bytes += h->tp_snaplen;
		pkts[out] = take(port, counts, h, ring->frame_bytes);
		out += pkts[out] != NULL;
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		counts->rx_at = next;
	}
	counts->rx_packets += looked;
	counts->rx_bytes += bytes;
	return out;
}
