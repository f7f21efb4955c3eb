/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_packet_tx.c - packet_tx.c over a pair of local datagram sockets: what the kernel is told of each
 * frame, and what becomes of frames that do not go
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/driver_priv.h"
#include "tests/kit/kit_eal.h"

#define ETH_IP  (RTE_ETHER_HDR_LEN + 20)
#define TCP_LEN 32 /* with timestamps */
#define MSS     1448

static struct driver_port port;
static struct port_shared shared;
static struct rte_mempool *pool;
static int far;
static uint8_t got[70000];

static void start(void)
{
	int sv[2], size = 1 << 20;

	kit_eal_start();
	pool = rte_pktmbuf_pool_create("p", 255, 0, 0, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
	cr_assert_not_null(pool);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sv), 0);
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	port.link.kind = LINK_AF_PACKET;
	port.shared = &shared;
	port.packet_fd[0] = sv[0];
	far = sv[1];
}

TestSuite(packet_tx, .init = start);

static struct rte_mbuf *buffer(unsigned len, uint8_t fill)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	memset(rte_pktmbuf_append(m, (uint16_t)len), fill, len);
	return m;
}

static struct virtio_net_hdr receive(size_t frame_len)
{
	struct virtio_net_hdr h;

	cr_assert_eq(recv(far, got, sizeof(got), 0), (ssize_t)(sizeof(h) + frame_len));
	memcpy(&h, got, sizeof(h));
	return h;
}

static unsigned in_use(void)
{
	return rte_mempool_in_use_count(pool);
}

static const uint8_t *frame(void)
{
	return got + sizeof(struct virtio_net_hdr);
}

Test(packet_tx, finished_frames_go_as_they_are)
{
	struct rte_mbuf *pkts[3] = {buffer(60, 1), buffer(1514, 2), buffer(60, 3)};

	cr_assert_eq(packet_tx_burst(&port, 0, pkts, 3), 3);
	cr_assert_eq(receive(60).flags, 0);
	struct virtio_net_hdr h = receive(1514);
	cr_assert_eq(h.flags | h.gso_type | h.gso_size, 0);
	cr_assert_eq(frame()[1513], 2);
	receive(60);
	cr_assert_eq(shared.q[0].tx_packets, 3);
	cr_assert_eq(shared.q[0].tx_bytes, 60 + 1514 + 60);
	cr_assert_eq(in_use(), 0, "sent buffers are given back");
}

Test(packet_tx, checksums_are_left_to_the_kernel)
{
	struct rte_mbuf *pkts[2] = {buffer(100, 1), buffer(100, 2)};

	for (int i = 0; i < 2; i++) {
		pkts[i]->l2_len = RTE_ETHER_HDR_LEN;
		pkts[i]->l3_len = 20;
	}
	pkts[0]->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	pkts[1]->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
	cr_assert_eq(packet_tx_burst(&port, 0, pkts, 2), 2);
	struct virtio_net_hdr tcp = receive(100), udp = receive(100);
	cr_assert_eq(tcp.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	cr_assert_eq(tcp.csum_start, ETH_IP);
	cr_assert_eq(tcp.csum_offset, offsetof(struct rte_tcp_hdr, cksum));
	cr_assert_eq(udp.csum_start, ETH_IP);
	cr_assert_eq(udp.csum_offset, offsetof(struct rte_udp_hdr, dgram_cksum));
}

/* DPDK's pseudo-header sum of a TSO frame lacks the length, virtio's has it. The buffer itself stays as it
 * was. */
Test(packet_tx, super_segment)
{
	struct rte_mbuf *m = buffer(ETH_IP + TCP_LEN + MSS, 1), *last = m;
	uint16_t sum = 0xfff0, want, sent, *field;
	const unsigned more = 10;

	for (unsigned i = 0; i < more; i++) {
		last->next = buffer(MSS, (uint8_t)(2 + i));
		last = last->next;
		m->pkt_len += MSS;
		m->nb_segs++;
	}
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG;
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = 20;
	m->l4_len = TCP_LEN;
	m->tso_segsz = MSS;
	field = rte_pktmbuf_mtod_offset(m, uint16_t *, ETH_IP + offsetof(struct rte_tcp_hdr, cksum));
	*field = htons(sum);
	rte_mbuf_refcnt_update(m, 1); /* as the send queue has it */

	uint32_t len = m->pkt_len;
	cr_assert_eq(packet_tx_burst(&port, 0, &m, 1), 1);
	struct virtio_net_hdr h = receive(len);
	cr_assert_eq(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	cr_assert_eq(h.gso_size, MSS);
	cr_assert_eq(h.hdr_len, ETH_IP + TCP_LEN);
	cr_assert_eq(h.csum_start, ETH_IP);
	memcpy(&sent, frame() + ETH_IP + offsetof(struct rte_tcp_hdr, cksum), 2);
	uint32_t whole = sum + (len - ETH_IP);
	want = (uint16_t)((whole & 0xffff) + (whole >> 16));
	cr_assert_eq(ntohs(sent), want);
	cr_assert_eq(ntohs(*field), sum, "the buffer was changed, and would be again when it is sent again");
	cr_assert_eq(frame()[ETH_IP + TCP_LEN - 1], 1);
	for (unsigned i = 0; i <= more; i++)
		cr_assert_eq(frame()[ETH_IP + TCP_LEN + i * MSS], 1 + i, "buffer %u", i);
	cr_assert_eq(rte_mbuf_refcnt_read(m), 1);
}

Test(packet_tx, more_than_one_system_call_takes)
{
	struct rte_mbuf *pkts[100];

	for (unsigned i = 0; i < 100; i++)
		pkts[i] = buffer(60, (uint8_t)i);
	for (unsigned i = 0, n; i < 100; i += n) {
		n = packet_tx_burst(&port, 0, pkts + i, (uint16_t)(100 - i));
		for (unsigned k = 0; k < n; k++) {
			receive(60);
			cr_assert_eq(frame()[0], i + k, "order");
		}
		cr_assert_gt(n, 0);
	}
	cr_assert_eq(in_use(), 0);
}

Test(packet_tx, what_finds_no_room_stays_with_the_caller)
{
	struct rte_mbuf *pkts[64];
	unsigned sent, n = 0;

	do {
		pkts[0] = buffer(60, 0);
		sent = packet_tx_burst(&port, 0, pkts, 1);
		n += sent;
	} while (sent == 1);
	cr_assert_eq(shared.q[0].tx_packets, n);
	cr_assert_eq(in_use(), 1, "the frame that was not sent");
	receive(60);
	cr_assert_eq(packet_tx_burst(&port, 0, pkts, 1), 1);
}

Test(packet_tx, what_can_never_go_is_dropped_and_counted)
{
	struct rte_mbuf *pkts[2] = {buffer(60, 0), buffer(60, 1)};

	close(far);
	cr_assert_eq(packet_tx_burst(&port, 0, pkts, 2), 2);
	cr_assert_eq(shared.q[0].tx_refused, 2);
	cr_assert_eq(shared.q[0].tx_packets, 0);
	cr_assert_eq(in_use(), 0);
}
