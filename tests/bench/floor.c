/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * floor.c - the least that a request costs a server on a veth pair, for each way to reach it
 *
 *     floor tcp ADDR PORT BYTES           the kernel's TCP: epoll, read, write
 *     floor packet IFNAME ADDR BYTES      AF_PACKET as net_af_packet and driver/packet_tx.c use it: a ring to
 * receive, poll when it is empty, one sendmmsg for all answers
 *
 * Both answer whatever comes with BYTES bytes, for tests/bench/load as the client. The second plays TCP
 * without any state: no options, no retransmission, each segment with payload is answered from its own
 * numbers. So what it costs is what no stack behind AF_PACKET can avoid. Runs until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES     2048u
#define FRAME_SIZE 2048u
#define BATCH      64u
#define EVENTS     64
#define ISS        1000u

static size_t answer_len;
static uint8_t mac[6];
static struct in_addr own;

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void serve_tcp(const char *addr, const char *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener}, got[EVENTS];
	static char buf[65536];

	inet_pton(AF_INET, addr, &at.sin_addr);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 512) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev))
		fail("listen");
	for (;;) {
		int n = epoll_wait(ep, got, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = got[i].data.fd;
			if (fd == listener) {
				ev.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				setsockopt(ev.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
				epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
			} else if (read(fd, buf, sizeof(buf)) <= 0 || write(fd, buf, answer_len) < 0) {
				close(fd);
			}
		}
	}
}

struct answer {
	struct virtio_net_hdr virtio;
	struct ether_header eth;
	union {
		struct ether_arp arp;
		struct {
			struct iphdr ip;
			struct tcphdr tcp;
			uint8_t data[1400];
		} __attribute__((packed));
	};
} __attribute__((packed));

static uint16_t sum16(const void *p, unsigned len)
{
	uint32_t sum = 0;
	uint16_t w;
	for (unsigned i = 0; i + 1 < len; i += 2) {
		memcpy(&w, (const uint8_t *)p + i, 2);
		sum += w;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Returns the bytes of the answer, 0: none. */
static size_t answer_arp(const struct ether_header *eth, struct answer *a)
{
	const struct ether_arp *q = (const void *)(eth + 1);

	if (q->arp_op != htons(ARPOP_REQUEST) || memcmp(q->arp_tpa, &own, 4) != 0)
		return 0;
	a->arp = *q;
	a->arp.arp_op = htons(ARPOP_REPLY);
	memcpy(a->arp.arp_tha, q->arp_sha, 10);
	memcpy(a->arp.arp_sha, mac, 6);
	memcpy(a->arp.arp_spa, &own, 4);
	return offsetof(struct answer, arp) + sizeof(a->arp);
}

static size_t answer_tcp(const struct ether_header *eth, struct answer *a)
{
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct tcphdr *tcp = (const void *)((const uint8_t *)ip + ip->ihl * 4u);
	unsigned payload = ntohs(ip->tot_len) - ip->ihl * 4u - tcp->doff * 4u;
	size_t len = payload ? answer_len : 0;
	struct {
		uint32_t src, dst;
		uint8_t zero, proto;
		uint16_t len;
	} pseudo = {ip->daddr, ip->saddr, 0, IPPROTO_TCP, htons((uint16_t)(sizeof(*tcp) + len))};

	if (ip->protocol != IPPROTO_TCP || ip->daddr != own.s_addr || tcp->rst ||
	    (!payload && !tcp->syn && !tcp->fin))
		return 0;
	a->virtio.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	a->virtio.csum_start = sizeof(*eth) + sizeof(*ip);
	a->virtio.csum_offset = offsetof(struct tcphdr, check);
	a->ip = (struct iphdr){.version = 4,
			       .ihl = 5,
			       .ttl = 64,
			       .protocol = IPPROTO_TCP,
			       .saddr = ip->daddr,
			       .daddr = ip->saddr,
			       .frag_off = htons(IP_DF),
			       .tot_len = htons((uint16_t)(sizeof(*ip) + sizeof(*tcp) + len))};
	a->ip.check = (uint16_t)~sum16(&a->ip, sizeof(a->ip));
	a->tcp = (struct tcphdr){.source = tcp->dest,
				 .dest = tcp->source,
				 .doff = 5,
				 .ack = 1,
				 .syn = tcp->syn,
				 .fin = tcp->fin,
				 .psh = len != 0,
				 .window = htons(65535),
				 .seq = tcp->syn ? htonl(ISS) : tcp->ack_seq,
				 .ack_seq = htonl(ntohl(tcp->seq) + payload + tcp->syn + tcp->fin)};
	a->tcp.check = sum16(&pseudo, sizeof(pseudo));
	return offsetof(struct answer, data) + len;
}

static size_t answer_frame(const uint8_t *frame, struct answer *a)
{
	const struct ether_header *eth = (const void *)frame;

	memset(&a->virtio, 0, sizeof(a->virtio));
	memcpy(a->eth.ether_dhost, eth->ether_shost, 6);
	memcpy(a->eth.ether_shost, mac, 6);
	a->eth.ether_type = eth->ether_type;
	if (eth->ether_type == htons(ETHERTYPE_ARP))
		return answer_arp(eth, a);
	return eth->ether_type == htons(ETHERTYPE_IP) ? answer_tcp(eth, a) : 0;
}

static int packet_socket(unsigned ifindex, int protocol)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons((uint16_t)protocol),
				 .sll_ifindex = (int)ifindex};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		fail("packet socket");
	return fd;
}

static uint8_t *rx_ring(int fd)
{
	int version = TPACKET_V2, on = 1;
	struct tpacket_req req = {.tp_block_size = 32 * FRAME_SIZE,
				  .tp_block_nr = FRAMES / 32,
				  .tp_frame_size = FRAME_SIZE,
				  .tp_frame_nr = FRAMES};

	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		fail("ring");
	uint8_t *ring = mmap(NULL, (size_t)FRAMES * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		fail("mmap");
	return ring;
}

static void serve_packet(const char *name)
{
	static struct answer answers[BATCH];
	static struct mmsghdr msgs[BATCH];
	static struct iovec iov[BATCH];
	struct ifreq ifr = {0};
	int on = 1, tx = packet_socket(if_nametoindex(name), 0),
	    rx = packet_socket(if_nametoindex(name), ETH_P_ALL);
	uint8_t *ring = rx_ring(rx);
	unsigned at = 0;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(tx, SIOCGIFHWADDR, &ifr) || setsockopt(tx, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)))
		fail(name);
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	for (;;) {
		struct tpacket2_hdr *h = (void *)(ring + (size_t)at * FRAME_SIZE);
		unsigned n = 0;

		while ((__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) && n < BATCH) {
			size_t len = answer_frame((uint8_t *)h + h->tp_mac, &answers[n]);
			__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
			at = (at + 1) % FRAMES;
			h = (void *)(ring + (size_t)at * FRAME_SIZE);
			if (len == 0)
				continue;
			iov[n] = (struct iovec){&answers[n], len};
			msgs[n].msg_hdr = (struct msghdr){.msg_iov = &iov[n], .msg_iovlen = 1};
			n++;
		}
		if (n > 0)
			(void)!sendmmsg(tx, msgs, n, 0);
		else
			poll(&(struct pollfd){.fd = rx, .events = POLLIN}, 1, -1);
	}
}

int main(int argc, char **argv)
{
	if (argc != 5 || (answer_len = (size_t)atoi(argv[4])) == 0 || answer_len > 1400) {
		fprintf(stderr, "usage: floor tcp ADDR PORT BYTES | floor packet IFNAME ADDR BYTES\n");
		return 2;
	}
	if (strcmp(argv[1], "tcp") == 0)
		serve_tcp(argv[2], argv[3]);
	inet_pton(AF_INET, argv[3], &own);
	serve_packet(argv[2]);
	return 0;
}
