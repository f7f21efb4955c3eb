/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_kit.c - the kit's machine: clock, wire, flows, teardown; what tests say and expect is in tcp_kit_say.c
 */
#include "tcp_kit.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mbuf.h>

#include "kit_eal.h"
#include "stack/stack_priv.h"

static const uint8_t stack_mac[6] = {2, 0, 0, 0, 0, 2}, peer_mac[6] = {2, 0, 0, 0, 0, 1};
static const struct seg_link to_stack = {.src_mac = {2, 0, 0, 0, 0, 1}, .dst_mac = {2, 0, 0, 0, 0, 2}};

void tcp_kit_fail(struct tcp_kit *k, const char *file, int line, const char *format, ...)
{
	static char dump[16384], text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	dump[0] = '\0';
	if (k->st)
		stack_dump(k->st, dump, sizeof dump);
	k->keep_quiet = true;
	cr_assert(false, "%s:%d: at %lu.%06lu ms: %s\n%s", file, line, (unsigned long)(k->now / NS_PER_MS),
		  (unsigned long)(k->now % NS_PER_MS), text, dump);
	abort();
}

#define FAIL(k, ...) tcp_kit_fail(k, __FILE__, __LINE__, __VA_ARGS__)

void tcp_kit_start_with(struct tcp_kit *k, const struct tcp_kit_options *opt)
{
	struct stack_config cfg;
	int err = 0;

	memset(k, 0, sizeof *k);
	k->opt = *opt;
	k->mbufs = opt->mbufs ? opt->mbufs : 2048;
	k->pool = kit_pool_new(k->mbufs);
	memdev_init(&k->md, stack_mac);
	k->tx = calloc(KIT_TX_LEN, sizeof *k->tx);
	for (unsigned i = 0; i < KIT_FLOWS; i++)
		k->flows[i] = (struct kit_flow){.peer_port = (uint16_t)(KIT_PEER_PORT + i),
						.local_port = KIT_PORT,
						.peer_isn = 0xfffffc00U - i * 64000};

	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){.addr = inet_addr(KIT_STACK_ADDR), .prefix_len = 24};
	cfg.n_addrs = 1;
	cfg.max_tcp = 64;
	cfg.max_udp = 16;
	cfg.max_arp = 16;
	cfg.max_fragments = 16;
	cfg.pool = k->pool;
	cfg.pool_mbufs = k->mbufs;
	cfg.queues = 1;
	cfg.seed[0] = 0x5eed;
	cfg.seed[1] = 0xfeed;
	cfg.caps = k->md.dev.caps;
	if (opt->configure)
		opt->configure(&cfg);
	k->md.dev.caps = cfg.caps;
	k->mem = aligned_alloc(64, (stack_mem_size(&cfg) + 63) & ~(size_t)63);
	memset(k->mem, 0, stack_mem_size(&cfg));
	k->st = stack_init(k->mem, &cfg, k->now, &err);
	if (!k->st)
		FAIL(k, "stack_init: %s", strerror(-err));
}

/* Answers ARP requests as the peer's kernel would. True if the frame was ARP. */
static bool arp_answered(struct tcp_kit *k, struct rte_mbuf *m)
{
	uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *);
	be32 peer = inet_addr(KIT_PEER_ADDR);

	if (m->data_len < 42 || f[12] != 8 || f[13] != 6)
		return false;
	if (f[21] != 1 || memcmp(f + 38, &peer, 4) != 0 || k->arp_silent)
		return true;
	struct rte_mbuf *r = rte_pktmbuf_alloc(k->pool);
	if (!r)
		return true;
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(r, 60);
	memset(p, 0, 60);
	memcpy(p, f + 6, 6);
	memcpy(p + 6, peer_mac, 6);
	memcpy(p + 12, (uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, 10);
	memcpy(p + 22, peer_mac, 6);
	memcpy(p + 28, &peer, 4);
	memcpy(p + 32, f + 22, 10);
	memdev_inject(&k->md, r);
	return true;
}

static struct kit_flow *flow_of_tx(struct tcp_kit *k, const struct seg *s)
{
	for (unsigned i = 0; i < KIT_FLOWS; i++) {
		struct kit_flow *f = &k->flows[i];
		if (f->peer_port == s->dport && (!f->local_port || f->local_port == s->sport))
			return f;
	}
	return NULL;
}

/* Absolute to relative numbers, and what the flow learns from the segment. */
static void relate_tx(struct tcp_kit *k, struct seg_frame *f)
{
	struct seg *s = &f->seg;
	struct kit_flow *flow = s->proto == IPPROTO_TCP ? flow_of_tx(k, s) : NULL;

	if (!flow)
		return;
	flow->local_port = s->sport;
	s->flow = (unsigned)(flow - k->flows);
	if (strchr(f->flags, 'S')) {
		flow->stack_isn = s->seq;
		flow->stack_isn_known = true;
	}
	if (f->has_ts)
		flow->last_ts_val = f->ts_val;
	if (flow->stack_isn_known)
		s->seq -= flow->stack_isn + 1;
	if (strchr(f->flags, 'A'))
		s->ack -= flow->peer_isn + 1;
	seg_opts_print(f->raw_opts, f->raw_opts_len, flow->peer_isn + 1, f->opts, sizeof f->opts);
}

static void capture(struct tcp_kit *k, struct rte_mbuf *m)
{
	struct seg_frame *f = &k->tx[k->tx_tail % KIT_TX_LEN];

	if (arp_answered(k, m) || k->keep_quiet)
		return;
	if (k->tx_tail - k->tx_head == KIT_TX_LEN)
		FAIL(k, "%u segments sent that nobody expected", KIT_TX_LEN);
	if (!seg_parse(f, m, 0))
		FAIL(k, "a frame of %u bytes that is no IPv4 packet was sent", rte_pktmbuf_pkt_len(m));
	f->at = k->now;
	relate_tx(k, f);
	k->tx_tail++;
	if (!f->csum_ok) {
		char text[512];
		seg_print(&f->seg, text, sizeof text);
		FAIL(k, "sent with a bad checksum or header: %s", text);
	}
}

void tcp_kit_poll(struct tcp_kit *k)
{
	struct rte_mbuf *pkts[32], *m;
	bool moved;

	do {
		moved = false;
		uint16_t n = k->md.dev.ops->rx_burst(&k->md.dev, 0, pkts, 32);
		if (n > 0) {
			stack_input(k->st, pkts, n, k->now);
			moved = true;
		}
		unsigned out;
		while ((out = stack_output(k->st, pkts, 32)) > 0) {
			uint16_t sent = k->md.dev.ops->tx_burst(&k->md.dev, 0, pkts, (uint16_t)out);
			moved |= sent > 0;
			if (sent < out) {
				stack_output_unsent(k->st, pkts + sent, out - sent);
				break;
			}
		}
		while ((m = memdev_take(&k->md)) != NULL) {
			capture(k, m);
			rte_pktmbuf_free(m);
		}
	} while (moved);
	uint32_t wake;
	while (stack_next_woken(k->st, &wake))
		;
}

void advance_to_ns(struct tcp_kit *k, time_ns at)
{
	time_ns due;
	unsigned spins = 0;

	while ((due = stack_next_timer(k->st)) <= at) {
		if (due > k->now) {
			k->now = due;
			spins = 0;
		} else if (++spins > 1000) {
			FAIL(k, "a timer that is due does not fire");
		}
		stack_set_now(k->st, k->now);
		stack_run_timers(k->st, k->now);
		tcp_kit_poll(k);
	}
	if (at > k->now)
		k->now = at;
	stack_set_now(k->st, k->now);
}

void tcp_kit_rx_mbuf(struct tcp_kit *k, struct rte_mbuf *m)
{
	memdev_inject(&k->md, m);
	tcp_kit_poll(k);
}

struct rte_mbuf *tcp_kit_build(struct tcp_kit *k, const struct seg *s)
{
	struct seg abs = *s;
	char ts[64];
	struct kit_flow *f = &k->flows[s->flow];
	bool tcp = !s->proto || s->proto == IPPROTO_TCP;

	abs.src = s->src ? s->src : inet_addr(KIT_PEER_ADDR);
	abs.dst = s->dst ? s->dst : inet_addr(KIT_STACK_ADDR);
	if (tcp) {
		abs.sport = s->sport ? s->sport : f->peer_port;
		abs.dport = s->dport ? s->dport : f->local_port;
		if (!s->win)
			abs.win = k->opt.win ? k->opt.win : 65535;
		if (!s->opts && f->ts) {
			snprintf(ts, sizeof ts, "nop,nop,TS val %u ecr %u",
				 (unsigned)(k->now / NS_PER_MS) + 1000, f->last_ts_val);
			abs.opts = ts;
		}
	}
	/* The payload is told by relative position, so it is made here. */
	uint8_t *data = NULL;
	if (!s->data && s->len) {
		abs.data = data = malloc(s->len);
		for (uint32_t i = 0; i < s->len; i++)
			data[i] = kit_byte(s->seq + i);
	}
	if (tcp) {
		abs.seq += f->peer_isn + 1;
		if (f->stack_isn_known)
			abs.ack += f->stack_isn + 1;
	}
	struct rte_mbuf *m = seg_build(k->pool, &to_stack, &abs, f->stack_isn + 1);
	free(data);
	if (!m)
		FAIL(k, "the pool is empty, the peer cannot send");
	return m;
}

/* Brings every connection to its end; what is still there afterwards is a leak. */
static void close_all(struct tcp_kit *k)
{
	k->keep_quiet = true;
	k->md.tx_room = MEMDEV_QUEUE_LEN;
	k->arp_silent = false;
	if (k->so)
		sock_close(k->so);
	if (k->listener)
		sock_close(k->listener);
	tcp_kit_poll(k);
	advance_to_ns(k, k->now + 24 * 3600 * NS_PER_SEC);
	advance_to_ns(k, k->now + 24 * 3600 * NS_PER_SEC);
}

void tcp_kit_stop(struct tcp_kit *k)
{
	if (!k->st || k->keep_quiet) /* never started, or failed already */
		return;
	expect_silence(k);
	close_all(k);

	uint32_t free_now = rte_mempool_avail_count(k->pool);
	if (stack_undelivered(k->st) != 0)
		FAIL(k, "teardown: a connection is left");
	if (k->st->held_mbufs != 0)
		FAIL(k, "teardown: %u buffers are still counted as held", k->st->held_mbufs);
	if (free_now != k->mbufs)
		FAIL(k, "teardown: %u of %u packet buffers are missing", k->mbufs - free_now, k->mbufs);
	if (k->st->wheel.pending != 0)
		FAIL(k, "teardown: %u timers are left", k->st->wheel.pending);
	stack_fini(k->st);
	k->st = NULL;
	if (rte_mempool_avail_count(k->pool) != k->mbufs)
		FAIL(k, "teardown: stack_fini() took a buffer");
	memdev_fini(&k->md);
	while (k->tx_head != k->tx_tail)
		seg_frame_fini(&k->tx[k->tx_head++ % KIT_TX_LEN]);
	rte_mempool_free(k->pool);
	free(k->tx);
	free(k->mem);
}
