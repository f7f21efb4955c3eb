/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stack.c - what the stack alone costs: two of them in memory, no program, no device
 *
 *     bench_stack [SECONDS]
 *
 * ns (and, under callgrind, instructions) per request and response of 100 bytes, per connection opened and
 * closed, per byte of bulk; all for both ends together. A frame's way between the stacks is one copy.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_mbuf.h>

#include "stack/sock.h"
#include "stack/stack.h"
#include "tests/kit/kit_eal.h"

#define MBUFS 8192

static struct rte_mempool *pool;
static struct stack *st[2];

static time_ns clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (time_ns)ts.tv_sec * NS_PER_SEC + (time_ns)ts.tv_nsec;
}

static void stack_new(int side)
{
	struct stack_config cfg;
	void *mem;
	int err;

	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){inet_addr(side ? "198.18.0.2" : "198.18.0.1"), 24};
	cfg.n_addrs = 1;
	cfg.max_tcp = 65536;
	cfg.pool = pool;
	cfg.pool_mbufs = MBUFS;
	cfg.caps = (struct netdev_caps){.mac = {2, 0, 0, 0, 0, (uint8_t)(side + 1)},
					.mtu = 1500,
					.queues = 1,
					.tx_multi_seg = true,
					.csum_unneeded = true};
	cfg.seed[0] = (uint64_t)side;
	mem = aligned_alloc(64, stack_mem_size(&cfg));
	memset(mem, 0, stack_mem_size(&cfg));
	st[side] = stack_init(mem, &cfg, clock_ns(), &err);
}

/* What one side has to send arrives at the other. */
static unsigned carry(int from)
{
	struct rte_mbuf *out[64], *in[64];
	unsigned n = stack_output(st[from], out, 64);

	for (unsigned i = 0; i < n; i++) {
		in[i] = rte_pktmbuf_copy(out[i], pool, 0, UINT32_MAX);
		rte_pktmbuf_free(out[i]);
		if (!in[i])
			abort();
	}
	if (n)
		stack_input(st[!from], in, n, clock_ns());
	return n;
}

static void settle(void)
{
	while (carry(0) + carry(1))
		;
}

static ssize_t put(struct sock *so, const void *data, size_t len)
{
	struct iovec iov = {(void *)data, len};

	return sock_send(so, &iov, 1, 0, NULL);
}

static ssize_t get(struct sock *so, void *data, size_t len)
{
	struct iovec iov = {data, len};

	return sock_recv(so, &iov, 1, 0, NULL);
}

static struct sock *listener;
static const struct endpoint *server_at;

static void connection(struct sock **c, struct sock **s)
{
	if (sock_new(st[0], AF_INET, SOCK_STREAM, c) != 0)
		abort();
	sock_connect(*c, server_at);
	settle();
	if (sock_accept(listener, s) != 0)
		abort();
}

static void run_timers(void)
{
	time_ns now = clock_ns();
	uint32_t wake;

	for (int i = 0; i < 2; i++) {
		stack_run_timers(st[i], now);
		while (stack_next_woken(st[i], &wake))
			;
	}
}

static void ping_pong(double seconds)
{
	struct sock *c, *s;
	char buf[128] = "";
	unsigned long n = 0;
	time_ns start, end;

	connection(&c, &s);
	start = clock_ns();
	end = start + (time_ns)(seconds * 1e9);
	for (; n % 64 || clock_ns() < end; n++) {
		put(c, buf, 100);
		carry(0);
		get(s, buf, sizeof(buf));
		put(s, buf, 100);
		carry(1);
		if (get(c, buf, sizeof(buf)) != 100)
			abort();
		if (n % 64 == 0)
			run_timers();
	}
	printf("ping-pong 100 B   %8.1f ns per round trip\n", (double)(clock_ns() - start) / (double)n);
	sock_close(c);
	sock_close(s);
	settle();
}

static void open_close(double seconds)
{
	struct sock *c, *s;
	char buf[128] = "";
	unsigned long n = 0;
	time_ns start = clock_ns(), end = start + (time_ns)(seconds * 1e9);

	for (; n % 64 || clock_ns() < end; n++) {
		connection(&c, &s);
		put(c, buf, 100);
		carry(0);
		get(s, buf, sizeof(buf));
		put(s, buf, 100);
		sock_close(s);
		settle();
		get(c, buf, sizeof(buf));
		sock_close(c);
		settle();
		run_timers();
	}
	printf("open, 100 B, close %7.1f ns per connection\n", (double)(clock_ns() - start) / (double)n);
}

static void bulk(double seconds)
{
	static char buf[65536];
	struct sock *c, *s;
	unsigned long bytes = 0;
	ssize_t n;
	time_ns start, end;

	connection(&c, &s);
	start = clock_ns();
	end = start + (time_ns)(seconds * 1e9);
	while (clock_ns() < end) {
		put(c, buf, sizeof(buf));
		while (carry(0)) {
			while ((n = get(s, buf, sizeof(buf))) > 0)
				bytes += (unsigned long)n;
			carry(1);
		}
		run_timers();
	}
	printf("bulk              %8.3f ns per byte, %.1f Gb/s\n",
	       (double)(clock_ns() - start) / (double)bytes,
	       8 * (double)bytes / (double)(clock_ns() - start));
	sock_close(c);
	sock_close(s);
	settle();
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	struct endpoint ep = {.addr = ip_addr_v4(inet_addr("198.18.0.2")), .port = htons(80)};

	kit_eal_start();
	pool = kit_pool_new(MBUFS);
	stack_new(0);
	stack_new(1);
	server_at = &ep;
	if (sock_new(st[1], AF_INET, SOCK_STREAM, &listener) || sock_bind(listener, &ep) ||
	    sock_listen(listener, 64))
		abort();
	ping_pong(seconds);
	open_close(seconds);
	bulk(seconds);
	return 0;
}
