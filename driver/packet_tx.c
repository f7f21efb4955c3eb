/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packet_tx.c - af_packet: sending through packet sockets of our own
 *
 * net_af_packet copies each frame into a ring whose pages the kernel then copies again, and knows no offload.
 * A packet socket with PACKET_VNET_HDR takes a virtio header in front of each frame, which leaves checksum
 * and segmentation to the device, or to the kernel where the device has none, and one sendmmsg(2) sends a
 * whole burst. So the PMD only receives (packet_ring.c).
 *
 * No PACKET_QDISC_BYPASS: what bypasses the queueing discipline is dropped if it needs segmentation in
 * software. So other packet sockets, tcpdump's for one, see what we send.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "driver/driver_priv.h"

#define BURST_MAX    64u
#define IOVECS_MAX   256u
#define IOVECS_LEAST 72u /* of one frame: a TSO chain of 64 buffers and the headers */
#define SNDBUF_BYTES (4 << 20)
#define HEADERS_MAX  (RTE_ETHER_HDR_LEN + 60 + 60)

struct head {
	struct virtio_net_hdr virtio;
	uint8_t headers[HEADERS_MAX]; /* of a frame whose own must be changed */
};

struct burst {
	struct mmsghdr msgs[BURST_MAX];
	struct head heads[BURST_MAX];
	struct iovec iovecs[IOVECS_MAX];
};

/* A queue's is used under the queue's lock; too large for a stack that the program made. */
static struct burst bursts[DRIVER_QUEUES_MAX];

static int open_one(unsigned ifindex)
{
	const int on = 1, sndbuf = SNDBUF_BYTES;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)ifindex};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: receives nothing */

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	int why = errno;
	close(fd);
	errno = why;
	return -1;
}

int packet_tx_open(struct driver_port *port, char *err, size_t err_len)
{
	struct ifinfo info = {0};
	unsigned n = RTE_MAX(port->cfg.queues, 1u);

	if (port->link.kind != LINK_AF_PACKET)
		return 0;
	int ret = ifconf_get(port->link.target, &info);
	for (unsigned q = 0; ret == 0 && q < RTE_MIN(n, DRIVER_QUEUES_MAX); q++) {
		port->packet_fd[q] = open_one(info.index);
		ret = port->packet_fd[q] < 0 ? -errno : 0;
	}
	if (ret != 0)
		driver_say(err, err_len, "link %s cannot be opened for sending: %s", port->cfg.link,
			   strerror(-ret));
	return ret;
}

void packet_tx_close(struct driver_port *port)
{
	for (unsigned q = 0; q < DRIVER_QUEUES_MAX; q++)
		if (port->packet_fd[q] >= 0)
			close(port->packet_fd[q]);
}

bool packet_tx_owns(const struct driver_port *port, int fd)
{
	for (unsigned q = 0; q < DRIVER_QUEUES_MAX; q++)
		if (port->packet_fd[q] == fd)
			return true;
	return false;
}

/*
 * DPDK wants the pseudo-header's sum without the length in a TSO frame, virtio with it. The frame may have to
 * be sent again and its buffer is shared, so the headers are changed in a copy.
 */
static unsigned tso_headers(const struct rte_mbuf *m, struct head *h)
{
	unsigned l4_off = (unsigned)(m->l2_len + m->l3_len), len = l4_off + m->l4_len;
	uint16_t *field;
	uint32_t sum;

	h->virtio.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	h->virtio.gso_size = m->tso_segsz;
	h->virtio.hdr_len = (uint16_t)len;
	memcpy(h->headers, rte_pktmbuf_mtod(m, const void *), len);
	field = (uint16_t *)(h->headers + l4_off + offsetof(struct rte_tcp_hdr, cksum));
	sum = *field + (uint32_t)htons((uint16_t)(m->pkt_len - l4_off));
	*field = (uint16_t)((sum & 0xffff) + (sum >> 16));
	return len;
}

/* Fills in the virtio header; returns how many bytes of the frame were copied behind it. */
static unsigned describe(const struct rte_mbuf *m, struct head *h)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;

	memset(&h->virtio, 0, sizeof(h->virtio));
	if (l4 == RTE_MBUF_F_TX_TCP_CKSUM || (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		h->virtio.csum_offset = offsetof(struct rte_tcp_hdr, cksum);
	else if (l4 == RTE_MBUF_F_TX_UDP_CKSUM)
		h->virtio.csum_offset = offsetof(struct rte_udp_hdr, dgram_cksum);
	else
		return 0;
	h->virtio.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->virtio.csum_start = (uint16_t)(m->l2_len + m->l3_len);
	return (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) ? tso_headers(m, h) : 0;
}

/* As many of the n frames as there is room for. */
static unsigned prepare(struct burst *b, struct rte_mbuf **pkts, unsigned n)
{
	unsigned used = 0, i;

	for (i = 0; i < n && used + IOVECS_LEAST <= IOVECS_MAX; i++) {
		struct iovec *iov = b->iovecs + used;
		unsigned skip = describe(pkts[i], &b->heads[i]), n_iov = 0;

		iov[n_iov++] = (struct iovec){&b->heads[i].virtio, sizeof(struct virtio_net_hdr) + skip};
		for (struct rte_mbuf *m = pkts[i]; m != NULL && n_iov < IOVECS_LEAST; m = m->next) {
			if (m->data_len > skip)
				iov[n_iov++] = (struct iovec){rte_pktmbuf_mtod_offset(m, void *, skip),
							      m->data_len - skip};
			skip -= RTE_MIN(skip, m->data_len);
		}
		b->msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = iov, .msg_iovlen = n_iov}};
		used += n_iov;
	}
	return i;
}

/* Frames accepted; -1: the first one cannot be sent, now or ever (errno). */
static int transmit(int fd, struct burst *b, unsigned n)
{
	int sent;

	do
		sent = sendmmsg(fd, b->msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

uint16_t packet_tx_burst(struct driver_port *port, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	struct port_queue *counts = &port->shared->q[q];
	struct burst *b = &bursts[q];
	uint16_t done = 0;

	while (done < n) {
		unsigned ready = prepare(b, pkts + done, RTE_MIN(n - done, BURST_MAX));
		int sent = transmit(port->packet_fd[q], b, ready);

		if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break; /* the socket's buffer or the device's queue is full */
		if (sent < 0) {
			counts->tx_refused++; /* the interface is down or gone: the frame is lost */
			sent = 1;
		} else {
			counts->tx_packets += (unsigned)sent;
			for (int i = 0; i < sent; i++)
				counts->tx_bytes += pkts[done + i]->pkt_len;
		}
		rte_pktmbuf_free_bulk(pkts + done, (unsigned)sent);
		done += (uint16_t)sent;
	}
	return done;
}
