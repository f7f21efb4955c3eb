/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udp_echo.c - what a datagram costs the stack itself: bursts through stack_input(), a socket that echoes,
 * stack_output()
 *
 * No device, no lock, no system call. Prints nanoseconds for one datagram in and out, the fastest of several
 * rounds, because the machine may be shared. Making and freeing the frames is measured apart and taken off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <rte_mbuf.h>

#include "stack/pkt.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "tests/kit/kit_eal.h"
#include "tests/kit/seg.h"

enum { BURST = 32, BURSTS = 3000, ROUNDS = 15, POOL = 8192 };

static struct rte_mempool *pool;
static uint8_t frame[2048];
static uint32_t frame_len;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* the machine may be shared */
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void frames_make(struct rte_mbuf **pkts)
{
	if (rte_pktmbuf_alloc_bulk(pool, pkts, BURST) != 0)
		abort();
	for (unsigned i = 0; i < BURST; i++)
		memcpy(rte_pktmbuf_append(pkts[i], (uint16_t)frame_len), frame, frame_len);
}

static unsigned echo(struct sock *so)
{
	static uint8_t buf[2048];
	struct sock_recv_info info;
	struct iovec iov = {buf, sizeof(buf)};
	unsigned done = 0;
	ssize_t n;

	while ((n = sock_recv(so, &iov, 1, 0, &info)) >= 0) {
		struct iovec out = {buf, (size_t)n};

		done += sock_send(so, &out, 1, 0, &info.from) == n;
	}
	return done;
}

/* Nanoseconds for one datagram; `st` NULL: only the frames made and freed. */
static double round_ns(struct stack *st, struct sock *so)
{
	struct rte_mbuf *pkts[BURST];
	uint64_t start = now_ns();
	uint32_t wake;

	for (unsigned i = 0; i < BURSTS; i++) {
		unsigned n = BURST;

		frames_make(pkts);
		if (st != NULL) {
			stack_input(st, pkts, BURST, stack_now(st) + 10000);
			while (stack_next_woken(st, &wake) != NULL)
				;
			if (echo(so) != BURST)
				abort();
			n = stack_output(st, pkts, BURST);
		}
		rte_pktmbuf_free_bulk(pkts, n);
	}
	return (double)(now_ns() - start) / BURSTS / BURST;
}

static double fastest_ns(struct stack *st, struct sock *so)
{
	double best = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		double ns = round_ns(st, so);

		if (ns < best)
			best = ns;
	}
	return best;
}

static struct stack *stack_new(struct stack_config *cfg)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};
	void *mem;
	int err;

	cfg->addrs[0] = (struct stack_addr){.addr = inet_addr("198.18.0.2"), .prefix_len = 24};
	cfg->n_addrs = 1;
	cfg->pool = pool;
	cfg->pool_mbufs = POOL;
	cfg->max_tcp = 16;
	memcpy(cfg->caps.mac, mac, 6);
	cfg->caps.mtu = 1500;
	cfg->caps.tx_multi_seg = true;
	mem = aligned_alloc(64, RTE_ALIGN_CEIL(stack_mem_size(cfg), 64));
	memset(mem, 0, stack_mem_size(cfg));
	return stack_init(mem, cfg, 1, &err);
}

static void measure(const char *what, uint32_t len, bool csum_unneeded)
{
	static const uint8_t arp[42] = {0x02, 0,  0,    0, 0, 2, 0x02, 0, 0, 0, 0,   1,  0x08, 0x06,
					0,    1,  0x08, 0, 6, 4, 0,    1, 2, 0, 0,   0,  0,    1,
					198,  18, 0,    1, 0, 0, 0,    0, 0, 0, 198, 18, 0,    2};
	const struct seg_link link = {.src_mac = {2, 0, 0, 0, 0, 1}, .dst_mac = {2, 0, 0, 0, 0, 2}};
	struct endpoint local = {.addr = ip_addr_any(), .port = htons(7)};
	struct stack_config cfg;
	struct rte_mbuf *m;
	struct stack *st;
	struct sock *so;
	double bare, full;

	stack_config_init(&cfg);
	cfg.caps.csum_unneeded = csum_unneeded;
	st = stack_new(&cfg);
	if (st == NULL || sock_new(st, AF_INET, SOCK_DGRAM, &so) != 0 || sock_bind(so, &local) != 0)
		abort();
	m = rte_pktmbuf_alloc(pool);
	memcpy(rte_pktmbuf_append(m, sizeof(arp)), arp, sizeof(arp));
	stack_input(st, &m, 1, 2);
	stack_output(st, &m, 1);
	rte_pktmbuf_free(m);
	m = seg_build(pool, &link,
		      SEG(.proto = IPPROTO_UDP, .src = inet_addr("198.18.0.1"),
			  .dst = inet_addr("198.18.0.2"), .sport = 9, .dport = 7, .len = len),
		      0);
	frame_len = m->pkt_len;
	memcpy(frame, rte_pktmbuf_mtod(m, void *), frame_len);
	rte_pktmbuf_free(m);
	bare = fastest_ns(NULL, NULL);
	full = fastest_ns(st, so);
	printf("udp echo %4u bytes, %-22s %6.1f ns (frames made and freed: %.1f ns more)\n", len, what,
	       full - bare, bare);
	sock_close(so);
	stack_fini(st);
}

int main(void)
{
	kit_eal_start();
	pool = rte_pktmbuf_pool_create("bench", POOL, 256, PKT_PRIV_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		return 1;
	for (uint32_t len = 32; len <= 1472; len += 720) {
		measure("no checksums needed", len, true);
		measure("checksums in software", len, false);
	}
	return 0;
}
