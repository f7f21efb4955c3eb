/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_handover.c - several stacks with one address, and a wire that does not care which of them it feeds
 *
 * A client stack talks to three joined ones. Each of its frames goes to the queue that the test says, or to
 * any: whatever a device may do, the program must not notice.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "stack/handover.h"
#include "stack/rss.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "stack/stack_priv.h"
#include "stack/tcp_table.h"
#include "tests/kit/kit_eal.h"
#include "tests/kit/seg.h"

#define MBUFS  8192
#define QUEUES 3
#define ANY    (-1)
#define CLIENT QUEUES /* index of the client's stack */

struct group {
	struct rte_mempool *pool;
	struct stack *st[QUEUES + 1];
	void *mem[QUEUES + 1];
	time_ns now;
	int queue;  /* where the client's frames arrive, or ANY */
	bool twice; /* every frame of the client arrives in two queues */
	uint32_t random;
	uint32_t woken; /* stacks that stack_handed() named */
};

static struct stack *stack_new(struct group *g, unsigned at)
{
	struct stack_config cfg;
	int err = 0;

	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){inet_addr(at == CLIENT ? "198.18.0.1" : "198.18.0.2"), 24};
	cfg.n_addrs = 1;
	cfg.max_tcp = 256;
	cfg.max_udp = 64;
	cfg.pool = g->pool;
	cfg.pool_mbufs = MBUFS / (QUEUES + 1);
	cfg.caps.mtu = 1500;
	cfg.caps.tx_multi_seg = true;
	cfg.caps.mac[0] = 2;
	cfg.caps.mac[5] = at == CLIENT;
	cfg.queue = (uint16_t)(at == CLIENT ? 0 : at);
	cfg.queues = cfg.caps.queues = at == CLIENT ? 1 : QUEUES;
	cfg.seed[0] = 42 + (at == CLIENT);
	g->mem[at] = aligned_alloc(64, stack_mem_size(&cfg));
	memset(g->mem[at], 0, stack_mem_size(&cfg));
	g->st[at] = stack_init(g->mem[at], &cfg, 0, &err);
	cr_assert(g->st[at], "stack_init: %d", err);
	return g->st[at];
}

static void group_start(struct group *g)
{
	kit_eal_start();
	memset(g, 0, sizeof(*g));
	g->pool = kit_pool_new(MBUFS);
	g->queue = ANY;
	for (unsigned i = 0; i <= QUEUES; i++)
		stack_new(g, i);
	stack_join(g->st, QUEUES);
}

static void group_stop(struct group *g)
{
	for (unsigned i = 0; i <= QUEUES; i++) {
		stack_fini(g->st[i]);
		free(g->mem[i]);
	}
	cr_assert_eq(rte_mempool_avail_count(g->pool), MBUFS, "%u buffers leaked",
		     MBUFS - rte_mempool_avail_count(g->pool));
}

static unsigned next_queue(struct group *g)
{
	g->random = g->random * 1103515245 + 12345;
	return g->queue == ANY ? (g->random >> 16) % QUEUES : (unsigned)g->queue;
}

static void arrive(struct group *g, unsigned q, struct rte_mbuf *m)
{
	stack_input(g->st[q], &m, 1, g->now);
	g->woken |= stack_handed(g->st[q]);
}

/* What the client sent goes to some queue, what a queue's stack sent goes to the client. */
static bool carry(struct group *g)
{
	bool moved = false;

	for (unsigned i = 0; i <= QUEUES; i++) {
		struct rte_mbuf *out[64], *copy;
		unsigned n = stack_output(g->st[i], out, 64);

		for (unsigned k = 0; k < n; k++) {
			copy = rte_pktmbuf_copy(out[k], g->pool, 0, UINT32_MAX);
			if (i == CLIENT && g->twice)
				arrive(g, next_queue(g), rte_pktmbuf_copy(out[k], g->pool, 0, UINT32_MAX));
			rte_pktmbuf_free(out[k]);
			if (i == CLIENT)
				arrive(g, next_queue(g), copy);
			else
				stack_input(g->st[CLIENT], &copy, 1, g->now);
			moved = true;
		}
	}
	for (unsigned i = 0; i < QUEUES; i++) {
		moved |= stack_input_handed(g->st[i], g->now) != 0;
		g->woken |= stack_handed(g->st[i]);
	}
	return moved;
}

static void settle(struct group *g)
{
	while (carry(g))
		;
}

static void tick(struct group *g)
{
	time_ns next = TIME_NEVER;

	for (unsigned i = 0; i <= QUEUES; i++)
		next = RTE_MIN(next, stack_next_timer(g->st[i]));
	if (next == TIME_NEVER)
		return;
	g->now = next > g->now ? next : g->now + 1;
	for (unsigned i = 0; i <= QUEUES; i++)
		stack_run_timers(g->st[i], g->now);
	settle(g);
}

static uint64_t counter(const struct group *g, unsigned at, const char *name)
{
	const char *const *names;
	const uint64_t *values;
	unsigned n = stack_counters(g->st[at], &values, &names);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return values[i];
	cr_assert(false, "no counter %s", name);
	return 0;
}

static uint64_t counter_all(const struct group *g, const char *name)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < QUEUES; i++)
		sum += counter(g, i, name);
	return sum;
}

static struct endpoint at(const char *ip, uint16_t port)
{
	return (struct endpoint){.addr = ip ? ip_addr_v4(inet_addr(ip)) : ip_addr_any(), .port = htons(port)};
}

static ssize_t put(struct sock *so, const void *data, size_t len, const struct endpoint *to)
{
	struct iovec iov = {(void *)(uintptr_t)data, len};

	return sock_send(so, &iov, 1, 0, to);
}

static ssize_t get(struct sock *so, void *data, size_t len)
{
	struct iovec iov = {data, len};

	return sock_recv(so, &iov, 1, 0, NULL);
}

/* ---- UDP and the rest ---- */

static struct sock *udp(struct group *g, unsigned in, const char *ip, uint16_t port)
{
	struct endpoint ep = at(ip, port);
	struct sock *so;

	cr_assert_eq(sock_new(g->st[in], AF_INET, SOCK_DGRAM, &so), 0);
	cr_assert_eq(sock_bind(so, &ep), 0);
	return so;
}

static void says(struct group *g, struct sock *from, uint16_t port, const char *text)
{
	struct endpoint to = at("198.18.0.2", port);

	cr_assert_eq(put(from, text, strlen(text), &to), (ssize_t)strlen(text));
	settle(g);
}

static void hears(struct sock *so, const char *text)
{
	char buf[64] = "";
	ssize_t n = get(so, buf, sizeof(buf) - 1);

	if (text)
		cr_assert_str_eq(buf, text);
	else
		cr_assert_eq(n, -EAGAIN, "heard %s", buf);
}

Test(handover, a_neighbour_is_learned_by_all)
{
	struct group g;
	struct sock *c, *s[QUEUES];
	struct endpoint client = at("198.18.0.1", 9);

	group_start(&g);
	g.queue = 0;
	c = udp(&g, CLIENT, NULL, 9);
	for (unsigned i = 0; i < QUEUES; i++)
		s[i] = udp(&g, i, NULL, (uint16_t)(100 + i));
	/* 2 asks; the answer comes to queue 0 and serves all who asked */
	cr_assert_eq(put(s[2], "two", 3, &client), 3);
	cr_assert_eq(put(s[1], "one", 3, &client), 3);
	settle(&g);
	hears(c, "one");
	hears(c, "two");
	cr_assert_eq(counter_all(&g, "arp_requests_sent"), 2);
	cr_assert_eq(counter(&g, 0, "handover_out"), 2 * 2, "two replies, each for two others");
	cr_assert_eq(g.woken, 0x6);
	cr_assert_eq(put(s[0], "none", 4, &client), 4);
	settle(&g);
	hears(c, "none");
	cr_assert_eq(counter_all(&g, "arp_requests_sent"), 3, "what nobody here asked for is not kept");
	group_stop(&g);
}

Test(handover, a_datagram_finds_its_socket)
{
	struct group g;
	struct sock *c, *s[QUEUES];

	group_start(&g);
	c = udp(&g, CLIENT, NULL, 9);
	for (unsigned i = 0; i < QUEUES; i++)
		s[i] = udp(&g, i, NULL, (uint16_t)(100 + i));
	for (int i = 0; i < 20; i++) {
		for (unsigned k = 0; k < QUEUES; k++) {
			says(&g, c, (uint16_t)(100 + k), "hello");
			hears(s[k], "hello");
		}
	}
	group_stop(&g);
}

Test(handover, the_closest_socket_wins_wherever_it_is)
{
	struct group g;
	struct sock *c, *other, *any, *own, *conn;
	struct endpoint client = at("198.18.0.1", 9);

	group_start(&g);
	c = udp(&g, CLIENT, NULL, 9);
	other = udp(&g, CLIENT, NULL, 10);
	any = udp(&g, 0, NULL, 100);
	own = udp(&g, 1, "198.18.0.2", 100);
	conn = udp(&g, 2, "198.18.0.2", 100);
	for (g.queue = 0; g.queue < QUEUES; g.queue++) {
		says(&g, c, 100, "a");
		hears(g.queue == 2 ? conn : own, "a"); /* equals: where it arrived, else the first asked */
	}
	cr_assert_eq(sock_connect(conn, &client), 0);
	for (g.queue = 0; g.queue < QUEUES; g.queue++) {
		says(&g, c, 100, "b");
		hears(conn, "b");
		says(&g, other, 100, "c");
		hears(own, "c");
	}
	sock_close(own);
	for (g.queue = 0; g.queue < QUEUES; g.queue++) {
		says(&g, other, 100, "d");
		hears(any, "d");
		says(&g, c, 100, "e");
		hears(conn, "e");
	}
	hears(any, NULL);
	group_stop(&g);
}

Test(handover, nobody_answers_once)
{
	struct group g;
	struct sock *c;
	struct endpoint to = at("198.18.0.2", 100);
	char buf[4];

	group_start(&g);
	udp(&g, 1, NULL, 101);
	c = udp(&g, CLIENT, NULL, 9);
	cr_assert_eq(sock_connect(c, &to), 0);
	for (g.queue = 0; g.queue < QUEUES; g.queue++) {
		cr_assert_eq(put(c, "x", 1, NULL), 1);
		settle(&g);
		cr_assert_eq(get(c, buf, sizeof(buf)), -ECONNREFUSED);
	}
	cr_assert_eq(counter_all(&g, "icmp_errors_tx"), QUEUES);
	cr_assert_eq(counter_all(&g, "udp_rx_no_port"), QUEUES);
	group_stop(&g);
}

Test(handover, a_broadcast_reaches_the_sockets_of_all)
{
	struct group g;
	struct sock *c, *s[QUEUES];
	struct endpoint all = at("198.18.0.255", 100);
	int on = 1;

	group_start(&g);
	c = udp(&g, CLIENT, NULL, 9);
	cr_assert_eq(sock_setopt(c, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		s[i] = udp(&g, i, NULL, i == 1 ? 101 : 100);
	cr_assert_eq(put(c, "all", 3, &all), 3);
	settle(&g);
	hears(s[0], "all");
	hears(s[1], NULL);
	hears(s[2], "all");
	group_stop(&g);
}

Test(handover, fragments_meet)
{
	struct group g;
	struct sock *c, *s;
	struct endpoint to = at("198.18.0.2", 100);
	static char out[9000], in[9000];

	group_start(&g);
	c = udp(&g, CLIENT, NULL, 9);
	s = udp(&g, 1, NULL, 100);
	for (int i = 0; i < 20; i++) {
		memset(out, 'a' + i, sizeof(out));
		cr_assert_eq(put(c, out, sizeof(out), &to), (ssize_t)sizeof(out));
		settle(&g);
		cr_assert_eq(get(s, in, sizeof(in)), (ssize_t)sizeof(in));
		cr_assert_eq(memcmp(in, out, sizeof(in)), 0);
	}
	group_stop(&g);
}

Test(handover, an_icmp_error_finds_its_socket)
{
	struct group g;
	struct sock *s[QUEUES];
	struct endpoint to = at("198.18.0.1", 100);
	char buf[4];

	group_start(&g);
	for (unsigned i = 0; i < QUEUES; i++)
		s[i] = udp(&g, i, NULL, (uint16_t)(100 + i));
	for (int round = 0; round < 10; round++) {
		for (unsigned i = 0; i < QUEUES; i++) {
			cr_assert_eq(sock_connect(s[i], &to), 0);
			cr_assert_eq(put(s[i], "x", 1, NULL), 1);
			settle(&g);
			cr_assert_eq(get(s[i], buf, sizeof(buf)), -ECONNREFUSED);
		}
	}
	group_stop(&g);
}

Test(handover, ephemeral_ports_are_nobody_elses)
{
	struct group g;
	struct sock *so, *probe;
	struct endpoint ep = at(NULL, 0);
	uint16_t taken;

	group_start(&g);
	for (unsigned i = 0; i < QUEUES; i++)
		g.st[i]->cfg.ip_local_port_range[0] = 40000, g.st[i]->cfg.ip_local_port_range[1] = 40005;
	so = udp(&g, 0, NULL, 40001); /* of stack 1's or 2's share */
	taken = ntohs(so->local.port);
	for (unsigned i = 1; i < QUEUES; i++) {
		while (sock_new(g.st[i], AF_INET, SOCK_DGRAM, &probe) == 0 && sock_bind(probe, &ep) == 0)
			cr_assert_neq(ntohs(probe->local.port), taken);
	}
	ep.port = htons(taken);
	cr_assert_eq(sock_new(g.st[1], AF_INET, SOCK_DGRAM, &probe), 0);
	cr_assert_eq(sock_may_bind(g.st[0], probe, &ep), -EADDRINUSE);
	cr_assert_eq(sock_may_bind(g.st[2], probe, &ep), 0);
	sock_close(so);
	cr_assert_eq(sock_may_bind(g.st[0], probe, &ep), 0);
	group_stop(&g);
}

/* ---- TCP ---- */

struct listeners {
	struct sock *l[QUEUES]; /* l[0] leads */
};

static struct listeners listeners(struct group *g, uint16_t port, int backlog)
{
	struct listeners ls;
	struct endpoint ep = at(NULL, port);

	cr_assert_eq(sock_new(g->st[0], AF_INET, SOCK_STREAM, &ls.l[0]), 0);
	cr_assert_eq(sock_bind(ls.l[0], &ep), 0);
	cr_assert_eq(sock_listen(ls.l[0], backlog), 0);
	for (unsigned i = 1; i < QUEUES; i++)
		cr_assert_eq(sock_listen_twin(ls.l[0], g->st[i], &ls.l[i]), 0);
	return ls;
}

static void listeners_close(struct listeners *ls)
{
	for (unsigned i = QUEUES; i-- > 0;)
		sock_close(ls->l[i]);
}

static struct sock *accepted(struct listeners *ls)
{
	struct sock *so = NULL;

	for (unsigned i = 0; i < QUEUES && !so; i++)
		if (sock_events(ls->l[i]) & EPOLLIN)
			cr_assert_eq(sock_accept(ls->l[i], &so), 0);
	return so;
}

static void connected(struct group *g, struct listeners *ls, struct sock **client, struct sock **server)
{
	struct endpoint ep = at("198.18.0.2", ntohs(ls->l[0]->local.port));

	cr_assert_eq(sock_new(g->st[CLIENT], AF_INET, SOCK_STREAM, client), 0);
	cr_assert_eq(sock_connect(*client, &ep), -EINPROGRESS);
	settle(g);
	*server = accepted(ls);
	cr_assert_not_null(*server);
	cr_assert_null(accepted(ls), "one connection, accepted twice");
	cr_assert_eq(sock_events(*client), EPOLLOUT, "events %#x", sock_events(*client));
}

static void stream(struct group *g, struct sock *a, struct sock *b, size_t total)
{
	static uint8_t out[100000], in[65536];
	size_t sent = 0, got = 0;

	for (unsigned idle = 0; got < total; idle++) {
		size_t chunk = RTE_MIN(sizeof(out), total - sent);
		ssize_t n;

		for (size_t i = 0; i < chunk; i++)
			out[i] = kit_byte((uint32_t)(sent + i));
		n = chunk ? put(a, out, chunk, NULL) : 0;
		cr_assert(n >= 0 || n == -EAGAIN, "send: %zd", n);
		sent += n > 0 ? (size_t)n : 0;
		settle(g);
		while ((n = get(b, in, sizeof(in))) > 0) {
			for (ssize_t i = 0; i < n; i++, got++)
				cr_assert_eq(in[i], kit_byte((uint32_t)got), "byte %zu", got);
			idle = 0;
		}
		cr_assert_eq(n, -EAGAIN);
		if (idle)
			tick(g);
		cr_assert_lt(idle, 2000, "stuck at %zu of %zu", got, total);
	}
}

Test(handover, a_syn_is_answered_where_it_arrives)
{
	struct group g;
	struct listeners ls;
	struct sock *c, *s;

	group_start(&g);
	ls = listeners(&g, 80, 16);
	for (g.queue = 0; g.queue < QUEUES; g.queue++) {
		connected(&g, &ls, &c, &s);
		cr_assert_eq(s->stack, g.st[g.queue]);
	}
	cr_assert_eq(counter_all(&g, "handover_out"), 2, "only the client's ARP request: %lu",
		     counter_all(&g, "handover_out"));
	listeners_close(&ls);
	group_stop(&g);
}

Test(handover, frames_of_a_flow_come_in_on_any_queue)
{
	struct group g;
	struct listeners ls;
	struct sock *c, *s;

	group_start(&g);
	ls = listeners(&g, 80, 16);
	for (int i = 0; i < 5; i++) {
		connected(&g, &ls, &c, &s);
		stream(&g, c, s, 300000);
		stream(&g, s, c, 300000);
		sock_close(i % 2 ? c : s);
		settle(&g);
		sock_close(i % 2 ? s : c);
		settle(&g);
	}
	cr_assert_eq(counter_all(&g, "tcp_resets_sent"), 0);
	cr_assert_eq(counter(&g, CLIENT, "tcp_resets_sent"), 0);
	cr_assert_gt(counter_all(&g, "handover_in"), 100);
	listeners_close(&ls);
	group_stop(&g);
}

/* Every frame twice, in two queues: two embryos for one SYN must not spoil each other. */
Test(handover, a_syn_that_comes_twice_makes_one_connection)
{
	struct group g;
	struct listeners ls;
	struct sock *c, *s;

	group_start(&g);
	ls = listeners(&g, 80, 16);
	connected(&g, &ls, &c, &s); /* neighbours are known now */
	g.twice = true;
	for (int i = 0; i < 50; i++) {
		connected(&g, &ls, &c, &s);
		stream(&g, c, s, 3000);
		stream(&g, s, c, 3000);
	}
	listeners_close(&ls);
	group_stop(&g);
}

/* The same at the very same moment, before either stack could see what the other has. */
Test(handover, two_embryos_of_one_syn_make_one_connection)
{
	struct group g;
	struct listeners ls;
	struct sock *c, *s;
	struct endpoint ep = at("198.18.0.2", 80);
	struct rte_mbuf *syn[1], *second;
	uint32_t hash;

	group_start(&g);
	ls = listeners(&g, 80, 16);
	for (int first = 0; first < 2; first++) {
		g.queue = 0;
		connected(&g, &ls, &c, &s);
		cr_assert_eq(sock_new(g.st[CLIENT], AF_INET, SOCK_STREAM, &c), 0);
		cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
		cr_assert_eq(stack_output(g.st[CLIENT], syn, 1), 1);
		second = rte_pktmbuf_copy(syn[0], g.pool, 0, UINT32_MAX);
		hash = tcp_hash(g.st[0]->tcp, &ep, &c->local);
		arrive(&g, (unsigned)first, syn[0]);
		g.now += 1000;
		handover_show_flow(g.st[first], hash, -1); /* hidden for a moment */
		arrive(&g, (unsigned)!first, second);
		handover_show_flow(g.st[first], hash, 1);
		g.queue = ANY;
		settle(&g);
		s = accepted(&ls);
		cr_assert_not_null(s);
		stream(&g, c, s, 3000);
		cr_assert_null(accepted(&ls));
	}
	listeners_close(&ls);
	group_stop(&g);
}

Test(handover, nobodys_segment_is_reset_once)
{
	struct group g;
	struct sock *c;
	struct endpoint ep = at("198.18.0.2", 81);

	group_start(&g);
	for (g.queue = 0; g.queue < QUEUES; g.queue++) {
		cr_assert_eq(sock_new(g.st[CLIENT], AF_INET, SOCK_STREAM, &c), 0);
		cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
		settle(&g);
		cr_assert_eq(sock_connect(c, &ep), -ECONNREFUSED);
	}
	cr_assert_eq(counter_all(&g, "tcp_resets_sent"), QUEUES);
	group_stop(&g);
}

Test(handover, time_wait_is_found_from_every_queue)
{
	struct group g;
	struct listeners ls;
	struct sock *c, *s;
	struct endpoint local = at("198.18.0.1", 5000), ep = at("198.18.0.2", 80);

	group_start(&g);
	ls = listeners(&g, 80, 16);
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(sock_new(g.st[CLIENT], AF_INET, SOCK_STREAM, &c), 0);
		cr_assert_eq(sock_bind(c, &local), 0);
		cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
		settle(&g);
		s = accepted(&ls);
		cr_assert_not_null(s, "round %d", i);
		sock_close(s);
		settle(&g);
		sock_close(c);
		settle(&g);
		g.now += 2 * NS_PER_SEC;
		for (unsigned k = 0; k <= QUEUES; k++)
			stack_run_timers(g.st[k], g.now);
	}
	cr_assert_eq(counter_all(&g, "tcp_time_waits"), 10);
	listeners_close(&ls);
	group_stop(&g);
}

Test(handover, the_backlog_counts_all_queues)
{
	struct group g;
	struct listeners ls;
	struct sock *c;
	struct endpoint ep = at("198.18.0.2", 80);
	unsigned n = 0;

	group_start(&g);
	ls = listeners(&g, 80, 4);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(sock_new(g.st[CLIENT], AF_INET, SOCK_STREAM, &c), 0);
		cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
		settle(&g);
	}
	while (accepted(&ls))
		n++;
	cr_assert_eq(n, 5, "%u accepted, backlog 4", n);
	cr_assert_gt(counter_all(&g, "tcp_listen_overflows"), 0);
	listeners_close(&ls);
	group_stop(&g);
}

Test(handover, connections_out_get_their_answers)
{
	struct group g;
	struct sock *l, *c[QUEUES], *s;
	struct endpoint any = at(NULL, 80), ep = at("198.18.0.1", 80);

	group_start(&g);
	cr_assert_eq(sock_new(g.st[CLIENT], AF_INET, SOCK_STREAM, &l), 0);
	cr_assert_eq(sock_bind(l, &any), 0);
	cr_assert_eq(sock_listen(l, 16), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		cr_assert_eq(sock_new(g.st[i], AF_INET, SOCK_STREAM, &c[i]), 0);
		cr_assert_eq(sock_connect(c[i], &ep), -EINPROGRESS);
		settle(&g);
		cr_assert_eq(sock_accept(l, &s), 0);
		cr_assert_eq(sock_connect(c[i], &ep), 0);
		cr_assert_eq(ntohs(c[i]->local.port) % QUEUES, i);
		stream(&g, c[i], s, 100000);
		stream(&g, s, c[i], 100000);
	}
	group_stop(&g);
}

/* The verification suite of Microsoft's RSS specification, and its default key. */
static const struct netdev_rss rss_default = {
	.table_len = 128,
	.key = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa},
};

Test(handover, the_hash_is_that_of_the_device)
{
	struct endpoint local = at("161.142.100.80", 1766), peer = at("66.9.149.187", 2794);

	cr_assert_eq(rss_hash(&rss_default, &local, &peer), 0x51ccc178);
	local = at("65.69.140.83", 4739);
	peer = at("199.92.111.2", 14230);
	cr_assert_eq(rss_hash(&rss_default, &local, &peer), 0xc626b0ea);
}

Test(handover, ports_are_chosen_for_the_answers_to_come_home)
{
	struct group g;
	struct sock *c;
	struct endpoint ep = at("198.18.0.1", 80);
	struct netdev_rss rss = rss_default;

	group_start(&g);
	for (unsigned i = 0; i < rss.table_len; i++)
		rss.table[i] = (uint8_t)(i % QUEUES);
	for (unsigned i = 0; i < QUEUES; i++) {
		g.st[i]->cfg.caps.rss = rss;
		for (int n = 0; n < 50; n++) {
			cr_assert_eq(sock_new(g.st[i], AF_INET, SOCK_STREAM, &c), 0);
			cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
			cr_assert_eq(rss_queue(&rss, &c->local, &c->peer), i);
		}
	}
	/* None of them would do: any is better than none */
	for (unsigned i = 0; i < rss.table_len; i++)
		g.st[0]->cfg.caps.rss.table[i] = 1;
	cr_assert_eq(sock_new(g.st[0], AF_INET, SOCK_STREAM, &c), 0);
	cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
	group_stop(&g);
}

/* Each worker has a listener of its own, and gets what comes in on the queue that it drives. */
Test(handover, a_reuseport_group_keeps_to_its_queues)
{
	struct group g;
	struct listeners ls[QUEUES];
	struct sock *c;
	struct endpoint any = at(NULL, 80), ep = at("198.18.0.2", 80);
	int on = 1;

	group_start(&g);
	for (unsigned w = 0; w < QUEUES; w++) {
		cr_assert_eq(sock_new(g.st[0], AF_INET, SOCK_STREAM, &ls[w].l[0]), 0);
		cr_assert_eq(sock_setopt(ls[w].l[0], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
		cr_assert_eq(sock_bind(ls[w].l[0], &any), 0);
		cr_assert_eq(sock_listen(ls[w].l[0], 16), 0);
		for (unsigned i = 1; i < QUEUES; i++)
			cr_assert_eq(sock_listen_twin(ls[w].l[0], g.st[i], &ls[w].l[i]), 0);
		for (unsigned i = 0; i < QUEUES; i++)
			sock_listen_near(ls[w].l[i], (uint16_t)w);
	}
	for (g.queue = 0; g.queue < QUEUES; g.queue++) {
		for (int n = 0; n < 10; n++) {
			cr_assert_eq(sock_new(g.st[CLIENT], AF_INET, SOCK_STREAM, &c), 0);
			cr_assert_eq(sock_connect(c, &ep), -EINPROGRESS);
			settle(&g);
			cr_assert_not_null(accepted(&ls[g.queue]), "queue %d", g.queue);
		}
	}
	for (unsigned w = 0; w < QUEUES; w++)
		listeners_close(&ls[w]);
	group_stop(&g);
}

Test(handover, a_full_inbox_drops_and_counts)
{
	struct group g;
	struct sock *c;
	struct endpoint to = at("198.18.0.2", 101);
	unsigned heard = 0;
	struct sock *s;
	char buf[8];

	group_start(&g);
	g.queue = 0;
	c = udp(&g, CLIENT, NULL, 9);
	s = udp(&g, 1, NULL, 101);
	says(&g, c, 101, "first");
	hears(s, "first");
	for (int i = 0; i < 400; i++) {
		struct rte_mbuf *m;

		cr_assert_eq(put(c, "x", 1, &to), 1);
		cr_assert_eq(stack_output(g.st[CLIENT], &m, 1), 1);
		arrive(&g, 0, m);
	}
	cr_assert_gt(counter(&g, 0, "handover_full"), 0);
	settle(&g);
	while (get(s, buf, sizeof(buf)) == 1)
		heard++;
	cr_assert_gt(heard, 100);
	cr_assert_eq(heard + counter(&g, 0, "handover_full") + counter(&g, 1, "udp_rx_buffer_full"), 400);
	says(&g, c, 101, "again");
	hears(s, "again");
	group_stop(&g);
}
