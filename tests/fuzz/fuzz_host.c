/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_host.c - see fuzz_host.h
 */
#include "fuzz_host.h"

#include "stack/stack_priv.h"
#include "tests/kit/kit_eal.h"

#define MBUFS 1024

static struct fuzz_host host;

static void config(struct stack_config *cfg)
{
	stack_config_init(cfg);
	cfg->addrs[0] = (struct stack_addr){.addr = htonl(0xc6120002), .prefix_len = 24};
	cfg->n_addrs = 1;
	cfg->gateway = htonl(0xc61200fe);
	cfg->max_tcp = 32;
	cfg->max_udp = 8;
	cfg->max_arp = 8;
	cfg->max_fragments = 8;
	cfg->pool = host.pool;
	cfg->pool_mbufs = MBUFS;
	cfg->queues = 1;
	/* Random bytes would never get past a checksum. */
	cfg->caps = (struct netdev_caps){.mac = {2, 0, 0, 0, 0, 2},
					 .mtu = 1500,
					 .queues = 1,
					 .tx_multi_seg = true,
					 .csum_unneeded = true,
					 .tx_sync = true};
}

struct fuzz_host *fuzz_host_start(void)
{
	struct stack_config cfg;
	struct endpoint any = {.addr = ip_addr_any(), .port = htons(FUZZ_PORT)};
	int err = 0;

	if (!host.pool)
		host.pool = kit_pool_new(MBUFS);
	config(&cfg);
	if (!host.mem) {
		host.mem_size = (stack_mem_size(&cfg) + 63) & ~(size_t)63;
		host.mem = aligned_alloc(64, host.mem_size);
	}
	memset(host.mem, 0, host.mem_size);
	host.now = 0;
	host.tx_seq = host.tx_ack = 0;
	memset(host.so, 0, sizeof host.so);
	host.st = stack_init(host.mem, &cfg, 0, &err);
	FUZZ_CHECK(host.st, "stack_init gave %d", err);
	FUZZ_CHECK(sock_new(host.st, AF_INET, SOCK_STREAM, &host.listener) == 0, "no listener");
	FUZZ_CHECK(sock_bind(host.listener, &any) == 0 && sock_listen(host.listener, 4) == 0, "listen");
	return &host;
}

void fuzz_host_drain(struct fuzz_host *h)
{
	struct rte_mbuf *pkts[32];
	unsigned n;
	uint32_t wake;

	while ((n = stack_output(h->st, pkts, 32)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			const uint8_t *f = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
			if (pkts[i]->data_len >= 54 && f[12] == 8 && f[13] == 0 && f[23] == IPPROTO_TCP) {
				uint32_t v;
				memcpy(&v, f + 38, 4);
				h->tx_seq = ntohl(v);
				memcpy(&v, f + 42, 4);
				h->tx_ack = ntohl(v);
				h->tx_sport = (uint16_t)(f[34] << 8 | f[35]);
				h->tx_dport = (uint16_t)(f[36] << 8 | f[37]);
			}
			rte_pktmbuf_free(pkts[i]);
		}
	}
	while (stack_next_woken(h->st, &wake))
		;
}

void fuzz_host_rx(struct fuzz_host *h, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(h->pool);

	if (!m)
		return;
	if (len > rte_pktmbuf_tailroom(m))
		len = rte_pktmbuf_tailroom(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	stack_input(h->st, &m, 1, h->now);
	fuzz_host_drain(h);
}

void fuzz_host_advance(struct fuzz_host *h, time_ns by)
{
	time_ns until = h->now + by, due;

	for (unsigned steps = 0; (due = stack_next_timer(h->st)) <= until; steps++) {
		FUZZ_CHECK(steps < 1000000, "timers without end");
		if (due > h->now)
			h->now = due;
		stack_set_now(h->st, h->now);
		stack_run_timers(h->st, h->now);
		fuzz_host_drain(h);
	}
	h->now = until;
	stack_set_now(h->st, h->now);
	fuzz_host_drain(h);
}

void fuzz_host_accept(struct fuzz_host *h)
{
	for (unsigned i = 0; i < FUZZ_SOCKS; i++)
		if (!h->so[i] && h->listener && sock_accept(h->listener, &h->so[i]) != 0) {
			h->so[i] = NULL;
			return;
		}
}

size_t fuzz_ip_header(uint8_t *f, uint8_t proto, size_t l4_len)
{
	size_t total = 20 + l4_len;
	const uint8_t header[34] = {2,
				    0,
				    0,
				    0,
				    0,
				    2,
				    2,
				    0,
				    0,
				    0,
				    0,
				    1,
				    8,
				    0,
				    0x45,
				    0,
				    (uint8_t)(total >> 8),
				    (uint8_t)total,
				    0,
				    0,
				    0,
				    0,
				    64,
				    proto,
				    0,
				    0,
				    198,
				    18,
				    0,
				    1,
				    198,
				    18,
				    0,
				    2};

	memcpy(f, header, sizeof header);
	return 14 + total;
}

void fuzz_host_stop(struct fuzz_host *h)
{
	for (unsigned i = 0; i < FUZZ_SOCKS; i++)
		if (h->so[i])
			sock_close(h->so[i]);
	if (h->listener)
		sock_close(h->listener);
	fuzz_host_drain(h);
	fuzz_host_advance(h, 48 * 3600 * NS_PER_SEC);
	FUZZ_CHECK(stack_undelivered(h->st) == 0, "a connection is left");
	FUZZ_CHECK(h->st->held_mbufs == 0, "%u buffers are counted as held", h->st->held_mbufs);
	FUZZ_CHECK(rte_mempool_avail_count(h->pool) == MBUFS, "%u buffers are missing",
		   MBUFS - rte_mempool_avail_count(h->pool));
	FUZZ_CHECK(h->st->wheel.pending == 0, "%u timers are left", h->st->wheel.pending);
	stack_fini(h->st);
	FUZZ_CHECK(rte_mempool_avail_count(h->pool) == MBUFS, "stack_fini() took a buffer");
}
