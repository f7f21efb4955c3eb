/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_pair.c - two stacks, back to back in memory: connections that really carry data, both ways
 *
 * Frames are copied from one to the other, as a wire would. Time moves only when nothing else does.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <rte_mbuf.h>

#include "stack/dump.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "stack/stack_priv.h"
#include "tests/kit/kit_eal.h"

#define MBUFS 4096

#define RING 200

struct pair {
	struct rte_mempool *pool;
	struct stack *st[2]; /* 0: client 198.18.0.1, 1: server 198.18.0.2 */
	void *mem[2];
	time_ns now;
	unsigned drop_every; /* one frame of so many is lost, at random; 0: a perfect wire */
	uint32_t random;
	bool slow_device; /* keeps what it transmits for a while before it lets go, as a ring does */
	struct rte_mbuf *in_ring[RING];
	unsigned ring_at;
};

static struct stack *stack_new(struct pair *p, int side, void (*configure)(struct stack_config *))
{
	struct stack_config cfg;
	int err = 0;

	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){inet_addr(side ? "198.18.0.2" : "198.18.0.1"), 24};
	cfg.n_addrs = 1;
	cfg.max_tcp = 256;
	cfg.pool = p->pool;
	cfg.pool_mbufs = MBUFS;
	cfg.caps.mtu = 1500;
	cfg.caps.queues = 1;
	cfg.caps.tx_multi_seg = true;
	cfg.caps.mac[0] = 2;
	cfg.caps.mac[5] = (uint8_t)(side + 1);
	cfg.seed[0] = 42 + (uint64_t)side;
	if (configure)
		configure(&cfg);
	p->mem[side] = aligned_alloc(64, stack_mem_size(&cfg));
	memset(p->mem[side], 0, stack_mem_size(&cfg));
	p->st[side] = stack_init(p->mem[side], &cfg, 0, &err);
	cr_assert(p->st[side]);
	return p->st[side];
}

static void pair_start(struct pair *p, void (*configure)(struct stack_config *))
{
	kit_eal_start();
	memset(p, 0, sizeof(*p));
	p->pool = kit_pool_new(MBUFS);
	stack_new(p, 0, configure);
	stack_new(p, 1, configure);
}

static void pair_stop(struct pair *p)
{
	for (unsigned i = 0; i < RING; i++)
		if (p->in_ring[i])
			rte_pktmbuf_free(p->in_ring[i]);
	for (int i = 0; i < 2; i++) {
		stack_fini(p->st[i]);
		free(p->mem[i]);
	}
	cr_assert_eq(rte_mempool_avail_count(p->pool), MBUFS, "%u buffers leaked",
		     MBUFS - rte_mempool_avail_count(p->pool));
}

static void transmitted(struct pair *p, struct rte_mbuf *m)
{
	struct rte_mbuf **slot = &p->in_ring[p->ring_at++ % RING];

	if (!p->slow_device) {
		rte_pktmbuf_free(m);
		return;
	}
	if (*slot)
		rte_pktmbuf_free(*slot);
	*slot = m;
}

/* One exchange in each direction; true when something moved. */
static bool carry(struct pair *p)
{
	bool moved = false;

	for (int i = 0; i < 2; i++) {
		struct rte_mbuf *out[64];
		unsigned n = stack_output(p->st[i], out, 64);

		for (unsigned k = 0; k < n; k++) {
			struct rte_mbuf *copy = NULL;

			p->random = p->random * 1103515245 + 12345;
			if (!p->drop_every || (p->random >> 16) % p->drop_every)
				copy = rte_pktmbuf_copy(out[k], p->pool, 0, UINT32_MAX);
			transmitted(p, out[k]);
			if (copy)
				stack_input(p->st[!i], &copy, 1, p->now);
			moved = true;
		}
	}
	return moved;
}

static void settle(struct pair *p)
{
	while (carry(p))
		;
}

/* To the next timer of either stack. */
static void tick(struct pair *p)
{
	time_ns a = stack_next_timer(p->st[0]), b = stack_next_timer(p->st[1]);
	time_ns next = a < b ? a : b;

	if (next == TIME_NEVER)
		return;
	p->now = next > p->now ? next : p->now + 1;
	for (int i = 0; i < 2; i++)
		stack_run_timers(p->st[i], p->now);
	settle(p);
}

static struct endpoint at(const char *ip, uint16_t port)
{
	return (struct endpoint){.addr = ip ? ip_addr_v4(inet_addr(ip)) : ip_addr_any(), .port = htons(port)};
}

static struct sock *listener(struct pair *p, uint16_t port)
{
	struct endpoint ep = at(NULL, port);
	struct sock *l;

	cr_assert_eq(sock_new(p->st[1], AF_INET, SOCK_STREAM, &l), 0);
	cr_assert_eq(sock_bind(l, &ep), 0);
	cr_assert_eq(sock_listen(l, 16), 0);
	return l;
}

static void connected(struct pair *p, struct sock *l, struct sock **client, struct sock **server)
{
	struct endpoint ep = at("198.18.0.2", ntohs(l->local.port));

	cr_assert_eq(sock_new(p->st[0], AF_INET, SOCK_STREAM, client), 0);
	cr_assert_eq(sock_connect(*client, &ep), -EINPROGRESS);
	for (int i = 0; i < 20 && sock_accept(l, server) != 0; i++) {
		settle(p);
		if (!(sock_events(l) & EPOLLIN))
			tick(p);
	}
	settle(p);
	cr_assert_eq(sock_events(*client), EPOLLOUT, "events %#x", sock_events(*client));
	cr_assert_eq(sock_connect(*client, &ep), 0);
	cr_assert_eq(sock_connect(*client, &ep), -EISCONN);
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

/* Sends `total` patterned bytes from a to b, reading as they come, and checks each of them. */
static void stream(struct pair *p, struct sock *a, struct sock *b, size_t total)
{
	size_t sent = 0, got = 0;
	static uint8_t out[100000], in[65536];

	for (unsigned idle = 0; got < total; idle++) {
		size_t chunk = sizeof(out) < total - sent ? sizeof(out) : total - sent;
		ssize_t n;

		for (size_t i = 0; i < chunk; i++)
			out[i] = (uint8_t)((sent + i) * 31 + ((sent + i) >> 8));
		n = chunk ? put(a, out, chunk) : 0;
		cr_assert(n >= 0 || n == -EAGAIN, "send: %zd", n);
		sent += n > 0 ? (size_t)n : 0;
		settle(p);
		while ((n = get(b, in, sizeof(in))) > 0) {
			for (ssize_t i = 0; i < n; i++, got++)
				cr_assert_eq(in[i], (uint8_t)(got * 31 + (got >> 8)), "byte %zu", got);
			idle = 0;
		}
		cr_assert_eq(n, -EAGAIN);
		if (idle)
			tick(p);
		if (idle >= 2000) {
			static char dump[16384];

			stack_dump(a->stack, dump, sizeof(dump));
			stack_dump(b->stack, dump + strlen(dump), sizeof(dump) - strlen(dump));
			cr_assert(false, "stuck at %zu of %zu\n%s", got, total, dump);
		}
	}
}

Test(tcp_pair, connects_exchanges_and_closes)
{
	struct pair p;
	struct sock *l, *c, *s;
	char buf[16];

	pair_start(&p, NULL);
	l = listener(&p, 80);
	connected(&p, l, &c, &s);
	cr_assert_eq(put(c, "ping", 4), 4);
	settle(&p);
	cr_assert(sock_events(s) & EPOLLIN);
	cr_assert_eq(get(s, buf, sizeof(buf)), 4);
	cr_assert_eq(memcmp(buf, "ping", 4), 0);
	cr_assert_eq(get(s, buf, sizeof(buf)), -EAGAIN);
	cr_assert_eq(put(s, "pong!", 5), 5);
	settle(&p);
	cr_assert_eq(get(c, buf, sizeof(buf)), 5);

	sock_close(c);
	settle(&p);
	cr_assert_eq(sock_events(s), EPOLLIN | EPOLLRDHUP | EPOLLOUT);
	cr_assert_eq(get(s, buf, sizeof(buf)), 0);
	sock_close(s);
	settle(&p);
	sock_close(l);
	cr_assert_eq(stack_undelivered(p.st[0]) + stack_undelivered(p.st[1]), 0);
	pair_stop(&p);
}

/* All sockets of a stack, asked for one by one, are these; `local` port of the client for the %u in it. */
static void rows_are(const struct stack *st, const char *want, unsigned port)
{
	char got[512], expected[512], local[DUMP_ENDPOINT_LEN], peer[DUMP_ENDPOINT_LEN];
	struct stack_sock_row r;
	const struct sock *so;
	size_t at = 0;

	for (uint32_t cursor = 0; cursor != STACK_ROWS_END;) {
		if (stack_sock_rows(st, &cursor, &so, 1) == 0)
			continue;
		stack_sock_row(so, &r);
		at = dump_printf(got, sizeof(got), at, "%s %s %s %s %u %u; ", r.proto, r.state,
				 dump_endpoint(&r.local, local), dump_endpoint(&r.peer, peer), r.recv_q,
				 r.send_q);
	}
	snprintf(expected, sizeof(expected), want, port);
	cr_assert_str_eq(got, expected);
}

Test(tcp_pair, usage_counts_what_is_open)
{
	struct stack_usage u = {.tcp_max = 0}, none;
	struct sock *l, *c, *s, *udp;
	struct pair p;

	pair_start(&p, NULL);
	stack_usage(p.st[1], &u);
	cr_assert_eq(u.tcp_listeners + u.tcp_connections + u.tcp_time_wait + u.udp_sockets, 0);
	cr_assert(u.tcp_max > 0 && u.udp_max > 0 && u.tcp_time_wait_max > 0 && u.neighbours_max > 0);
	none = u;
	l = listener(&p, 80);
	connected(&p, l, &c, &s);
	cr_assert_eq(sock_new(l->stack, AF_INET, SOCK_DGRAM, &udp), 0);
	memset(&u, 0, sizeof(u));
	stack_usage(p.st[1], &u);
	cr_assert_eq(u.tcp_listeners, 1);
	cr_assert_eq(u.tcp_connections, 1);
	cr_assert_eq(u.udp_sockets, 1);
	cr_assert_eq(u.held_mbufs, 0);
	cr_assert_eq(put(c, "ping", 4), 4);
	settle(&p);
	memset(&u, 0, sizeof(u));
	stack_usage(p.st[1], &u);
	cr_assert_eq(u.held_mbufs, 1, "received and not read");
	rows_are(p.st[1],
		 "tcp LISTEN *:80 *:0 0 16; tcp ESTAB 198.18.0.2:80 198.18.0.1:%u 4 0; "
		 "udp UNCONN *:0 *:0 0 0; ",
		 ntohs(c->local.port));
	sock_close(udp);
	sock_close(l);
	sock_close(s);
	settle(&p);
	memset(&u, 0, sizeof(u));
	stack_usage(p.st[1], &u);
	cr_assert_eq(u.tcp_listeners + u.tcp_connections + u.udp_sockets + u.held_mbufs, 0);
	cr_assert_eq(u.tcp_max, none.tcp_max);
	sock_close(c);
	pair_stop(&p);
}

Test(tcp_pair, carries_megabytes_both_ways)
{
	struct pair p;
	struct sock *l, *c, *s;

	pair_start(&p, NULL);
	l = listener(&p, 80);
	connected(&p, l, &c, &s);
	stream(&p, c, s, 3000000);
	stream(&p, s, c, 3000000);
	sock_close(s);
	sock_close(c);
	sock_close(l);
	for (int i = 0; i < 200; i++)
		tick(&p);
	pair_stop(&p);
}

Test(tcp_pair, survives_loss)
{
	struct pair p;
	struct sock *l, *c, *s;

	for (unsigned every = 5; every < 40; every += 4) {
		pair_start(&p, NULL);
		l = listener(&p, 80);
		connected(&p, l, &c, &s);
		p.drop_every = every;
		stream(&p, c, s, 500000);
		stream(&p, s, c, 500000);
		p.drop_every = 0;
		sock_close(c);
		sock_close(s);
		sock_close(l);
		for (int i = 0; i < 200; i++)
			tick(&p);
		pair_stop(&p);
	}
}

static void no_options(struct stack_config *cfg)
{
	cfg->tcp_sack = cfg->tcp_timestamps = cfg->tcp_window_scaling = false;
}

Test(tcp_pair, survives_loss_without_options)
{
	struct pair p;
	struct sock *l, *c, *s;

	for (unsigned every = 5; every < 40; every += 4) {
		pair_start(&p, no_options);
		l = listener(&p, 80);
		connected(&p, l, &c, &s);
		p.drop_every = every;
		stream(&p, c, s, 300000);
		p.drop_every = 0;
		sock_close(c);
		sock_close(s);
		sock_close(l);
		for (int i = 0; i < 200; i++)
			tick(&p);
		pair_stop(&p);
	}
}

Test(tcp_pair, refused_port_says_so)
{
	struct pair p;
	struct sock *c;
	struct endpoint ep = at("198.18.0.2", 81);

	pair_start(&p, NULL);
	cr_assert_eq(sock_new(p.st[0], AF_INET, SOCK_STREAM, &c), 0);
	cr_assert_eq(sock_events(c), EPOLLOUT | EPOLLHUP);
	cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
	cr_assert_eq(sock_connect(c, &ep), -EALREADY);
	settle(&p);
	cr_assert(sock_events(c) & EPOLLERR);
	cr_assert(sock_events(c) & EPOLLHUP);
	cr_assert_eq(sock_connect(c, &ep), -ECONNREFUSED);
	cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
	sock_close(c);
	settle(&p);
	pair_stop(&p);
}

Test(tcp_pair, both_ends_in_one_stack)
{
	struct pair p;
	struct sock *l, *c, *s;
	struct endpoint ep = at("198.18.0.2", 80);

	pair_start(&p, NULL);
	l = listener(&p, 80);
	cr_assert_eq(sock_new(p.st[1], AF_INET, SOCK_STREAM, &c), 0);
	cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
	settle(&p);
	cr_assert_eq(sock_accept(l, &s), 0);
	stream(&p, c, s, 1000000);
	stream(&p, s, c, 1000000);
	sock_close(c);
	settle(&p);
	sock_close(s);
	settle(&p);
	sock_close(l);
	pair_stop(&p);
}

Test(tcp_pair, close_with_unread_data_resets)
{
	struct pair p;
	struct sock *l, *c, *s;
	char buf[4];

	pair_start(&p, NULL);
	l = listener(&p, 80);
	connected(&p, l, &c, &s);
	cr_assert_eq(put(c, "unread", 6), 6);
	settle(&p);
	sock_close(s);
	settle(&p);
	cr_assert_eq(sock_events(c), EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLRDHUP | EPOLLOUT);
	cr_assert_eq(get(c, buf, 4), -ECONNRESET);
	cr_assert_eq(get(c, buf, 4), 0);
	cr_assert_eq(put(c, "x", 1), -EPIPE);
	sock_close(c);
	sock_close(l);
	settle(&p);
	pair_stop(&p);
}

Test(tcp_pair, full_send_buffer_is_eagain_then_writable_again)
{
	struct pair p;
	struct sock *l, *c, *s;
	static char big[1 << 20];
	ssize_t n, total = 0;
	uint32_t wake;
	bool woken = false;

	pair_start(&p, NULL);
	l = listener(&p, 80);
	connected(&p, l, &c, &s);
	do {
		n = put(c, big, sizeof(big));
		total += n > 0 ? n : 0;
		settle(&p);
	} while (n > 0);
	cr_assert_eq(n, -EAGAIN);
	cr_assert(!(sock_events(c) & EPOLLOUT));
	while (stack_next_woken(p.st[0], &wake))
		;
	for (int i = 0; i < 1000 && total > 0; i++) {
		while ((n = get(s, big, sizeof(big))) > 0)
			total -= n;
		settle(&p);
		if (i)
			tick(&p);
	}
	cr_assert_eq(total, 0);
	for (struct sock *so; (so = stack_next_woken(p.st[0], &wake)) != NULL;)
		woken |= so == c && (wake & EPOLLOUT);
	cr_assert(woken);
	cr_assert(sock_events(c) & EPOLLOUT);
	sock_close(c);
	sock_close(s);
	sock_close(l);
	for (int i = 0; i < 50; i++)
		tick(&p);
	pair_stop(&p);
}

/* Request, response, close by the server: no step may wait for a timer. */
Test(tcp_pair, a_thousand_short_connections_need_no_timer)
{
	struct pair p;
	struct sock *l, *c, *s;
	struct endpoint ep = at("198.18.0.2", 80);
	char buf[64];

	pair_start(&p, NULL);
	l = listener(&p, 80);
	connected(&p, l, &c, &s); /* ARP is done now */
	sock_close(c);
	sock_close(s);
	for (int i = 0; i < 1000; i++) {
		p.now += 10 * NS_PER_US;
		cr_assert_eq(sock_new(p.st[0], AF_INET, SOCK_STREAM, &c), 0);
		cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
		settle(&p);
		cr_assert_eq(sock_accept(l, &s), 0, "connection %d", i);
		cr_assert_eq(put(c, "request", 7), 7);
		settle(&p);
		cr_assert_eq(get(s, buf, sizeof(buf)), 7);
		cr_assert_eq(put(s, "response", 8), 8);
		sock_close(s);
		settle(&p);
		cr_assert_eq(get(c, buf, sizeof(buf)), 8);
		cr_assert_eq(get(c, buf, sizeof(buf)), 0);
		sock_close(c);
		settle(&p);
	}
	sock_close(l);
	cr_assert_eq(stack_undelivered(p.st[0]) + stack_undelivered(p.st[1]), 0);
	pair_stop(&p);
}

static void with_tso(struct stack_config *cfg)
{
	cfg->caps.tso = cfg->caps.tx_tcp_csum = cfg->caps.lro = true;
	cfg->caps.csum_unneeded = true;
	cfg->caps.tso_max_bytes = 64000;
	cfg->caps.tso_max_segs = 40;
}

/* Super segments out, the same as large receives in; the device holds references while losses are repaired.
 */
Test(tcp_pair, super_segments_over_a_slow_device)
{
	struct pair p;
	struct sock *l, *c, *s;

	for (unsigned every = 0; every < 40; every += 9) {
		pair_start(&p, with_tso);
		p.slow_device = true;
		l = listener(&p, 80);
		connected(&p, l, &c, &s);
		p.drop_every = every;
		stream(&p, c, s, 2000000);
		stream(&p, s, c, 200000);
		p.drop_every = 0;
		if (every == 0)
			cr_assert_lt(p.st[0]->counters[COUNTER_tcp_tx], 700, "%lu packets",
				     p.st[0]->counters[COUNTER_tcp_tx]);
		sock_close(c);
		sock_close(s);
		sock_close(l);
		for (int i = 0; i < 200; i++)
			tick(&p);
		pair_stop(&p);
	}
}

static void small_syn_queue(struct stack_config *cfg)
{
	cfg->tcp_max_syn_backlog = 8;
}

/* Half-open connections that nobody finishes do not keep others out, and are all gone in the end. */
Test(tcp_pair, flood_of_syns_does_not_keep_a_client_out)
{
	struct pair p;
	struct sock *l, *c, *s, *flood[100];
	struct endpoint ep = at("198.18.0.2", 80);
	struct rte_mbuf *out[64];

	pair_start(&p, small_syn_queue);
	l = listener(&p, 80);
	connected(&p, l, &c, &s);
	for (unsigned i = 0; i < 100; i++) {
		cr_assert_eq(sock_new(p.st[0], AF_INET, SOCK_STREAM, &flood[i]), 0);
		cr_assert_eq(sock_connect(flood[i], &ep), -EINPROGRESS);
		for (unsigned n = stack_output(p.st[0], out, 64), k = 0; k < n; k++) {
			struct rte_mbuf *copy = rte_pktmbuf_copy(out[k], p.pool, 0, UINT32_MAX);

			rte_pktmbuf_free(out[k]);
			stack_input(p.st[1], &copy, 1, p.now);
		}
		/* What the server answers is lost */
		for (unsigned n = stack_output(p.st[1], out, 64), k = 0; k < n; k++)
			rte_pktmbuf_free(out[k]);
	}
	cr_assert_eq(p.st[1]->counters[COUNTER_tcp_syn_queue_full], 92);
	sock_close(c);
	sock_close(s);
	connected(&p, l, &c, &s);
	stream(&p, c, s, 10000);
	for (unsigned i = 0; i < 100; i++)
		sock_close(flood[i]);
	sock_close(c);
	sock_close(s);
	sock_close(l);
	settle(&p);
	pair_stop(&p);
}
