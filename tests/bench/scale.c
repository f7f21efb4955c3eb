/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scale.c - one stack with ever more connections: what opening, a request and closing cost, and the memory
 *
 *     bench_scale [--hugetlb | --thp] [CONNECTIONS...]       default 1 1000 10000 100000 1000000
 *
 * A server on port 80 in this process, no device, no program behind it; the peers are an array of sequence
 * numbers, so that what is measured is the server alone: stack_input(), the socket calls, stack_output(),
 * with the peers' own work and the building of frames outside of the clock.
 *
 *   open      SYN, ACK, accept(2); in bursts of 32
 *   burst     a request of 100 bytes on 32 connections picked at random and their answers of 100 bytes, with
 *             the ACKs of the previous 32 answers; ns for each request
 *   single    the same, but a request comes and is answered before the next one is there: all of a cold
 *             connection's cache misses one after the other
 *   close     the peer's FIN, close(2), the last ACK; in bursts of 32
 *   memory    what the process grew by when all were open and idle, for each connection
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "stack/pkt.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "tests/kit/kit_eal.h"

#define MBUFS    16384
#define BURST    32
#define BYTES    100
#define REQUESTS 1000000u
#define SERVER   0xc6120002u /* 198.18.0.2 */
#define GATEWAY  0xc6120001u
#define PEERS    0xc6130000u /* 198.19.0.0/16, behind the gateway */
#define PORTS    50000u      /* of each peer address */

struct peer {
	uint32_t seq, ack, ts; /* next to send, next expected, the stack's last timestamp */
	bool ack_owed;
	struct sock *so;
};

static struct rte_mempool *pool;
static struct stack *st;
static struct sock *listener;
static struct peer *peers;
static uint32_t n_peers;
static time_ns now;
static uint64_t rng, spent; /* spent: TSC ticks of the server since last asked */
static int map_flags, map_advice = -1;

static uint64_t next_random(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void fail(const char *what, uint32_t i)
{
	fprintf(stderr, "bench_scale: %s (connection %u)\n", what, i);
	exit(1);
}

/* --- frames --- */

static const struct rte_ether_hdr eth_in = {
	.dst_addr = {{2, 0, 0, 0, 0, 2}}, .src_addr = {{2, 0, 0, 0, 0, 1}}, .ether_type = RTE_BE16(0x0800)};

static struct rte_mbuf *buffer(unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	if (!m)
		fail("no buffer", 0);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	return m;
}

/* SYN with the options Linux sends; everything else with a timestamp. */
static struct rte_mbuf *segment(uint32_t i, uint8_t flags, uint32_t len)
{
	static const uint8_t syn_opts[20] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
	struct peer *p = &peers[i];
	unsigned opt_len = flags & RTE_TCP_SYN_FLAG ? 20 : 12, l4 = 20 + opt_len + len;
	struct rte_mbuf *m = buffer(RTE_ETHER_HDR_LEN + 20 + l4);
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = (void *)(eth + 1);
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);
	uint8_t *opt = (uint8_t *)(tcp + 1);
	uint32_t ts[2] = {htonl((uint32_t)(now / NS_PER_MS) + 1), htonl(p->ts)};

	*eth = eth_in;
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
				    .total_length = htons((uint16_t)(20 + l4)),
				    .time_to_live = 64,
				    .next_proto_id = IPPROTO_TCP,
				    .src_addr = htonl(PEERS + 1 + i / PORTS),
				    .dst_addr = htonl(SERVER)};
	*tcp = (struct rte_tcp_hdr){.src_port = htons((uint16_t)(1024 + i % PORTS)),
				    .dst_port = htons(80),
				    .sent_seq = htonl(p->seq),
				    .recv_ack = flags & RTE_TCP_ACK_FLAG ? htonl(p->ack) : 0,
				    .data_off = (uint8_t)((20 + opt_len) / 4 << 4),
				    .tcp_flags = flags,
				    .rx_win = htons(500)};
	if (flags & RTE_TCP_SYN_FLAG) {
		memcpy(opt, syn_opts, sizeof(syn_opts));
		memcpy(opt + 8, ts, 4);
	} else {
		memcpy(opt, (const uint8_t[]){1, 1, 8, 10}, 4);
		memcpy(opt + 4, ts, 8);
	}
	memset(opt + opt_len, 'x', len);
	p->seq += len + !!(flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG));
	p->ack_owed = false;
	return m;
}

/* The gateway asks for the server's address, by which the server learns the gateway's. */
static struct rte_mbuf *arp_request(void)
{
	struct rte_mbuf *m = buffer(60);
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (void *)(eth + 1);

	memset(eth, 0, 60);
	*eth = eth_in;
	eth->ether_type = htons(RTE_ETHER_TYPE_ARP);
	*arp = (struct rte_arp_hdr){.arp_hardware = htons(1),
				    .arp_protocol = htons(RTE_ETHER_TYPE_IPV4),
				    .arp_hlen = 6,
				    .arp_plen = 4,
				    .arp_opcode = htons(RTE_ARP_OP_REQUEST)};
	arp->arp_data.arp_sha = eth_in.src_addr;
	arp->arp_data.arp_sip = htonl(GATEWAY);
	arp->arp_data.arp_tip = htonl(SERVER);
	return m;
}

/* What the peer of a frame of the server's makes of it. */
static void peer_takes(struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const void *)(eth + 1);
	const struct rte_tcp_hdr *tcp = (const void *)(ip + 1);
	const uint8_t *opt = (const uint8_t *)(tcp + 1);
	unsigned hdr_len = tcp->data_off >> 4 << 2;
	uint32_t i, len;

	if (eth->ether_type != htons(RTE_ETHER_TYPE_IPV4)) {
		rte_pktmbuf_free(m);
		return;
	}
	len = ntohs(ip->total_length) - 20u - hdr_len;
	i = (ntohl(ip->dst_addr) - PEERS - 1) * PORTS + ntohs(tcp->dst_port) - 1024u;
	if (i >= n_peers || (tcp->tcp_flags & RTE_TCP_RST_FLAG))
		fail("reset", i);
	if (tcp->tcp_flags & RTE_TCP_SYN_FLAG)
		peers[i].ack = ntohl(tcp->sent_seq) + 1;
	else if (ntohl(tcp->sent_seq) == peers[i].ack)
		peers[i].ack += len + !!(tcp->tcp_flags & RTE_TCP_FIN_FLAG);
	if (len || (tcp->tcp_flags & (RTE_TCP_FIN_FLAG | RTE_TCP_SYN_FLAG)))
		peers[i].ack_owed = true;
	for (unsigned at = 0; at + 10 <= hdr_len - 20; at += opt[at] == 1 ? 1 : opt[at + 1])
		if (opt[at] == 8) {
			uint32_t ts;

			memcpy(&ts, &opt[at + 2], 4);
			peers[i].ts = ntohl(ts);
			break;
		}
	rte_pktmbuf_free(m);
}

/* --- the server --- */

static void serve(struct sock *so, char *buf, size_t len)
{
	struct iovec iov = {buf, len};
	ssize_t n = sock_recv(so, &iov, 1, 0, NULL);

	if (n > 0) {
		iov.iov_len = (size_t)n;
		if (sock_send(so, &iov, 1, 0, NULL) != n)
			fail("send", 0);
	} else if (n == 0) {
		sock_close(so);
	}
}

/* The server's clock runs from here ... */
static unsigned server(struct rte_mbuf **in, unsigned n, struct rte_mbuf **out, unsigned max)
{
	static char buf[4 * BYTES];
	uint64_t began = rte_rdtsc_precise();
	struct sock *so, *child;
	uint32_t wake;
	unsigned sent;

	now += 1000 * n;
	if (n)
		stack_input(st, in, n, now);
	stack_run_timers(st, now);
	while ((so = stack_next_woken(st, &wake)) != NULL) {
		if (so != listener)
			serve(so, buf, sizeof(buf));
		else
			while (sock_accept(listener, &child) == 0)
				;
	}
	sent = stack_output(st, out, max);
	spent += rte_rdtsc_precise() - began; /* ... to here */
	return sent;
}

static void exchange(struct rte_mbuf **in, unsigned n)
{
	struct rte_mbuf *out[256];
	unsigned sent = server(in, n, out, 256);

	for (unsigned i = 0; i < sent; i++)
		peer_takes(out[i]);
}

static double ns_of(uint64_t ticks, double count)
{
	return (double)ticks * 1e9 / (double)rte_get_tsc_hz() / count;
}

static size_t resident_bytes(void)
{
	unsigned long pages = 0, shared;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &shared, &pages) != 2)
		fail("/proc/self/statm", 0);
	fclose(f);
	return pages * 4096;
}

static size_t mem_bytes;

static void stack_new(uint32_t connections)
{
	struct endpoint at = {.addr = ip_addr_v4(htonl(SERVER)), .port = htons(80)};
	struct rte_mbuf *arp = arp_request();
	struct stack_config cfg;
	void *mem;
	int err;

	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){htonl(SERVER), 24};
	cfg.n_addrs = 1;
	cfg.gateway = htonl(GATEWAY);
	cfg.max_tcp = connections + 16;
	cfg.pool = pool;
	cfg.pool_mbufs = MBUFS;
	cfg.caps = (struct netdev_caps){.mac = {2, 0, 0, 0, 0, 2},
					.mtu = 1500,
					.queues = 1,
					.tx_multi_seg = true,
					.csum_unneeded = true};
	cfg.seed[0] = 7;
	mem_bytes = (stack_mem_size(&cfg) + (2u << 20) - 1) & ~(size_t)((2u << 20) - 1);
	mem = mmap(NULL, mem_bytes, PROT_READ | PROT_WRITE,
		   (map_advice < 0 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | map_flags, -1, 0);
	if (mem == MAP_FAILED) {
		perror("bench_scale: mmap");
		exit(1);
	}
	if (map_advice >= 0)
		madvise(mem, mem_bytes, map_advice);
	now = NS_PER_SEC;
	st = stack_init(mem, &cfg, now, &err);
	if (!st || sock_new(st, AF_INET, SOCK_STREAM, &listener) || sock_bind(listener, &at) ||
	    sock_listen(listener, 4096))
		fail("no stack", 0);
	exchange(&arp, 1);
}

/* --- phases --- */

static double open_all(void)
{
	struct rte_mbuf *in[BURST];

	spent = 0;
	for (uint32_t i = 0; i < n_peers;) {
		uint32_t first = i;
		unsigned n = 0;

		for (; n < BURST && i < n_peers; i++) {
			peers[i].seq = (uint32_t)next_random();
			in[n++] = segment(i, RTE_TCP_SYN_FLAG, 0);
		}
		exchange(in, n);
		for (n = 0; first + n < i; n++)
			in[n] = segment(first + n, RTE_TCP_ACK_FLAG, 0);
		exchange(in, n);
	}
	return ns_of(spent, n_peers);
}

static double requests(unsigned burst)
{
	uint32_t asked[BURST], n_asked = 0, total = 0;
	struct rte_mbuf *in[2 * BURST];

	burst = RTE_MIN(burst, n_peers);
	spent = 0;
	while (total < REQUESTS) {
		unsigned n = 0, n_now = 0;
		uint32_t now_asked[BURST];

		for (unsigned k = 0; k < n_asked; k++)
			if (peers[asked[k]].ack_owed)
				in[n++] = segment(asked[k], RTE_TCP_ACK_FLAG, 0);
		while (n_now < burst) {
			uint32_t i = n_peers > BURST ? (uint32_t)(next_random() % n_peers) : n_now;

			in[n++] = segment(i, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, BYTES);
			now_asked[n_now++] = i;
		}
		exchange(in, n);
		memcpy(asked, now_asked, sizeof(asked));
		n_asked = n_now;
		total += n_now;
	}
	for (unsigned k = 0; k < n_asked; k++) {
		in[0] = segment(asked[k], RTE_TCP_ACK_FLAG, 0);
		exchange(in, 1);
	}
	return ns_of(spent, total);
}

static double close_all(void)
{
	struct rte_mbuf *in[BURST];

	spent = 0;
	for (uint32_t i = 0; i < n_peers;) {
		uint32_t first = i;
		unsigned n = 0;

		for (; n < BURST && i < n_peers; i++)
			in[n++] = segment(i, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, 0);
		exchange(in, n);
		for (n = 0; first + n < i; n++)
			in[n] = segment(first + n, RTE_TCP_ACK_FLAG, 0);
		exchange(in, n);
	}
	return ns_of(spent, n_peers);
}

static void measure(uint32_t connections)
{
	struct stack_usage u = {0};
	size_t before;
	double open_ns, burst_ns, single_ns, close_ns, bytes;

	n_peers = connections;
	peers = calloc(n_peers, sizeof(*peers));
	rng = 88172645463325252ull;
	for (uint32_t i = 0; i < n_peers; i++)
		peers[i].seq = 1; /* the array's pages are there */
	stack_new(connections);
	before = resident_bytes();
	open_ns = open_all();
	bytes = (double)(resident_bytes() - before) / n_peers;
	stack_usage(st, &u);
	if (u.tcp_connections != n_peers)
		fail("not all connections opened", u.tcp_connections);
	burst_ns = requests(BURST);
	single_ns = requests(1);
	close_ns = close_all();
	u = (struct stack_usage){0};
	stack_usage(st, &u);
	if (u.tcp_connections)
		fail("not all connections closed", u.tcp_connections);
	printf("%8u %8.0f %8.0f %8.0f %8.0f", connections, open_ns, burst_ns, single_ns, close_ns);
	if (connections >= 10000 && !map_flags)
		printf(" %8.0f", bytes);
	printf("\n");
	fflush(stdout);
	stack_fini(st);
	munmap(st, mem_bytes);
	free(peers);
}

int main(int argc, char **argv)
{
	static const uint32_t curve[] = {1, 1000, 10000, 100000, 1000000};
	int arg = 1;

	if (arg < argc && strcmp(argv[arg], "--hugetlb") == 0)
		map_flags = MAP_HUGETLB, arg++;
	else if (arg < argc && strcmp(argv[arg], "--thp") == 0)
		map_advice = MADV_HUGEPAGE, arg++;
	kit_eal_start();
	pool = rte_pktmbuf_pool_create("scale", MBUFS, 256, PKT_PRIV_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (!pool)
		fail("no pool", 0);
	printf("connections  open    burst   single    close   bytes\n");
	if (arg == argc)
		for (size_t k = 0; k < sizeof(curve) / sizeof(curve[0]); k++)
			measure(curve[k]);
	for (; arg < argc; arg++)
		measure((uint32_t)strtoul(argv[arg], NULL, 0));
	return 0;
}
