/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stack.c - one instance: its memory, its clock, the bursts in and out, timers, woken sockets
 *
 * Called under the instance's lock by whoever drives it. Memory is one block, carved once in carve(): struct
 * stack, then each protocol's tables in the order of their init. Nothing here knows a protocol beyond its
 * init, fini, timer and flush, and that TCP wants to see a burst before it is processed.
 */
#include "stack.h"

#include <errno.h>
#include <rte_prefetch.h>

#include "arp.h"
#include "eth.h"
#include "frag.h"
#include "handover.h"
#include "icmp.h"
#include "ip4_priv.h"
#include "route.h"
#include "stack_priv.h"
#include "tcp.h"
#include "udp.h"

#define CARVE_ALIGN 64

/* Rounds of local delivery in one stack_output(): two of our sockets may talk to each other for ever. */
#define LOOP_PACKETS_MAX (2 * STACK_LOOP_LEN)

/* stack_sleep_until(): waking for nothing costs some microseconds, looking at a timer a cache miss */
#define SLEEP_FAR_NS      (20 * NS_PER_MS)
#define SLEEP_STALE_MOST  16
#define SLEEP_TIMERS_MOST 16

void stack_config_init(struct stack_config *cfg)
{
	*cfg = (struct stack_config){
		.max_tcp = 65536,
		.max_udp = 1024,
		.max_arp = 1024,
		.max_fragments = 256,
		.queues = 1,
		.tcp_rmem = {4096, 131072, 6291456},
		.tcp_wmem = {4096, 16384, 4194304},
		.rmem_max = 212992,
		.wmem_max = 212992,
		.somaxconn = 4096,
		.tcp_max_syn_backlog = 4096,
		.tcp_keepalive_time_s = 7200,
		.tcp_keepalive_intvl_s = 75,
		.tcp_keepalive_probes = 9,
		.tcp_syn_retries = 6,
		.tcp_synack_retries = 5,
		.tcp_retries2 = 15,
		.tcp_orphan_retries = 8,
		.tcp_fin_timeout_s = 60,
		.tcp_timewait_s = 60,
		.ip_local_port_range = {32768, 60999},
		.ip_default_ttl = 64,
		.tcp_sack = true,
		.tcp_timestamps = true,
		.tcp_window_scaling = true,
		.tcp_moderate_rcvbuf = true,
		.tcp_tw_reuse = true,
		.tcp_congestion_control = "cubic",
	};
}

static bool addr_possible(const struct stack_addr *a)
{
	uint32_t addr = ntohl(a->addr);

	return addr != 0 && a->prefix_len <= 32 && addr >> 24 != IN_LOOPBACKNET && addr < 0xe0000000u;
}

static bool config_possible(const struct stack_config *cfg)
{
	if (cfg->n_addrs > STACK_ADDRS_MAX || cfg->pool == NULL || cfg->pool_mbufs == 0)
		return false;
	for (unsigned i = 0; i < cfg->n_addrs; i++)
		if (!addr_possible(&cfg->addrs[i]))
			return false;
	if (rte_pktmbuf_priv_size(cfg->pool) < PKT_PRIV_SIZE)
		return false;
	if (cfg->max_tcp < 16 || cfg->max_tcp > 4194304 || cfg->max_udp < 1 || cfg->max_udp > 65536 ||
	    cfg->max_arp < 1 || cfg->max_arp > 1048576 || cfg->max_fragments < 1 ||
	    cfg->max_fragments > 65536)
		return false;
	if (cfg->queues == 0 || cfg->queues > STACK_QUEUES_MAX || cfg->queue >= cfg->queues ||
	    cfg->caps.mtu < 576 || cfg->ip_default_ttl == 0)
		return false;
	return cfg->ip_local_port_range[0] != 0 && cfg->ip_local_port_range[0] <= cfg->ip_local_port_range[1];
}

/* The next `size` bytes of the block; with mem NULL only counts. */
static void *carve(uint8_t *mem, size_t *used, size_t size)
{
	void *part = mem ? mem + *used : NULL;

	*used += RTE_ALIGN_CEIL(size, (size_t)CARVE_ALIGN);
	return part;
}

size_t stack_mem_size(const struct stack_config *cfg)
{
	size_t used = 0;

	carve(NULL, &used, sizeof(struct stack));
	carve(NULL, &used, route_mem_size(cfg));
	carve(NULL, &used, arp_mem_size(cfg));
	carve(NULL, &used, frag_mem_size(cfg));
	carve(NULL, &used, udp_mem_size(cfg));
	carve(NULL, &used, tcp_mem_size(cfg));
	carve(NULL, &used, handover_mem_size(cfg));
	return used;
}

struct stack *stack_init(void *mem, const struct stack_config *cfg, time_ns now, int *err)
{
	size_t used = 0;
	struct stack *st;

	if (!config_possible(cfg)) {
		*err = -EINVAL;
		return NULL;
	}
	st = carve(mem, &used, sizeof(*st));
	st->now = now;
	st->cfg = *cfg;
	st->hold_max = cfg->pool_mbufs - cfg->pool_mbufs / 4;
	st->woken_tail = &st->woken_head;
	st->rng[0] = cfg->seed[0] ^ 0x6a09e667f3bcc908ULL;
	st->rng[1] = cfg->seed[1] | 1; /* xorshift must not start at zero */
	st->ip_id = (uint16_t)stack_random(st);
	st->icmp_refilled_at = now;
	st->icmp_tokens = ICMP_BURST;
	timer_wheel_init(&st->wheel, now);
	route_init(st, carve(mem, &used, route_mem_size(cfg)));
	arp_init(st, carve(mem, &used, arp_mem_size(cfg)));
	frag_init(st, carve(mem, &used, frag_mem_size(cfg)));
	udp_init(st, carve(mem, &used, udp_mem_size(cfg)));
	tcp_init(st, carve(mem, &used, tcp_mem_size(cfg)));
	handover_init(st, carve(mem, &used, handover_mem_size(cfg)));
	return st;
}

void stack_fini(struct stack *st)
{
	handover_fini(st);
	tcp_fini(st);
	udp_fini(st);
	frag_fini(st);
	arp_fini(st);
	while (st->loop_head != st->loop_tail)
		rte_pktmbuf_free(st->loopq[st->loop_head++ & (STACK_LOOP_LEN - 1)]);
	while (st->txq_head != st->txq_tail)
		rte_pktmbuf_free(st->txq[st->txq_head++ & (STACK_TXQ_LEN - 1)]);
}

void stack_set_now(struct stack *st, time_ns now)
{
	if (now > st->now)
		st->now = now;
}

time_ns stack_now(const struct stack *st)
{
	return st->now;
}

/* xorshift128+ */
uint32_t stack_random(struct stack *st)
{
	uint64_t a = st->rng[0], b = st->rng[1], sum = a + b;

	st->rng[0] = b;
	a ^= a << 23;
	st->rng[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
	return (uint32_t)(sum >> 32);
}

void stack_input(struct stack *st, struct rte_mbuf **pkts, unsigned n, time_ns now)
{
	enum { AHEAD = 3 }; /* packets whose first bytes are on their way into the cache */

	stack_set_now(st, now);
	tcp_look_ahead(st, pkts, n);
	for (unsigned i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (unsigned i = 0; i < n; i++) {
		if (i + AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + AHEAD], void *));
		eth_input(st, pkts[i]);
	}
}

/* Hands packets that we sent to ourselves to their sockets; what those answer may be more of the kind. */
static void deliver_local(struct stack *st)
{
	for (unsigned done = 0; done < LOOP_PACKETS_MAX; done++) {
		if (st->loop_head == st->loop_tail) {
			if (tcp_flush_needed(st))
				tcp_flush(st);
			if (st->loop_head == st->loop_tail)
				return;
		}
		ip4_input_local(st, st->loopq[st->loop_head++ & (STACK_LOOP_LEN - 1)]);
	}
}

unsigned stack_output(struct stack *st, struct rte_mbuf **pkts, unsigned max)
{
	unsigned n;
	uint64_t bytes = 0;

	if (tcp_flush_needed(st))
		tcp_flush(st);
	if (unlikely(st->loop_head != st->loop_tail))
		deliver_local(st);
	n = RTE_MIN(st->txq_tail - st->txq_head, max);
	for (unsigned i = 0; i < n; i++) {
		pkts[i] = st->txq[st->txq_head++ & (STACK_TXQ_LEN - 1)];
		bytes += pkts[i]->pkt_len;
	}
	COUNT_ADD(st, tx_frames, n);
	COUNT_ADD(st, tx_bytes, bytes);
	if (unlikely(st->woken_by_txq) && stack_tx_room(st) >= STACK_TXQ_LEN / 2) {
		st->woken_by_txq = false;
		udp_tx_room(st);
	}
	return n;
}

unsigned stack_output_pending(const struct stack *st)
{
	return st->txq_tail - st->txq_head + (st->loop_tail - st->loop_head) + tcp_flush_needed(st);
}

void stack_output_unsent(struct stack *st, struct rte_mbuf **pkts, unsigned n)
{
	while (n-- > 0) {
		COUNT_ADD(st, tx_frames, -1ULL);
		COUNT_ADD(st, tx_bytes, -(uint64_t)pkts[n]->pkt_len);
		if (stack_tx_room(st) == 0) {
			COUNT(st, tx_queue_full);
			rte_pktmbuf_free(pkts[n]);
		} else {
			st->txq[--st->txq_head & (STACK_TXQ_LEN - 1)] = pkts[n];
		}
	}
}

time_ns stack_next_timer(const struct stack *st)
{
	return timer_wheel_next(&st->wheel);
}

time_ns stack_sleep_until(struct stack *st)
{
	for (unsigned stale = 0; stale < SLEEP_STALE_MOST; stale++) {
		struct timer *t;
		time_ns due;

		if (timer_wheel_next(&st->wheel) >= st->now + SLEEP_FAR_NS)
			break;
		t = timer_wheel_first(&st->wheel, SLEEP_TIMERS_MOST);
		if (t == NULL || t->kind != TIMER_TCP)
			break;
		due = tcp_timer_due(t);
		if (due <= t->due)
			break;
		if (due == TIME_NEVER)
			timer_cancel(&st->wheel, t);
		else
			timer_set(&st->wheel, t, due);
	}
	return timer_wheel_next(&st->wheel);
}

void stack_run_timers(struct stack *st, time_ns now)
{
	struct timer *t;

	while ((t = timer_wheel_pop(&st->wheel, now)) != NULL) {
		stack_set_now(st, t->due); /* each at its own instant, however late we are asked */
		switch ((enum timer_kind)t->kind) {
		case TIMER_ARP:
			arp_timer(st, t);
			break;
		case TIMER_FRAG:
			frag_timer(st, t);
			break;
		case TIMER_TCP:
		case TIMER_TCP_TIMEWAIT:
			tcp_timer(st, t);
			break;
		}
	}
	stack_set_now(st, now);
}

struct sock *stack_next_woken(struct stack *st, uint32_t *wake)
{
	struct sock *so = st->woken_head;

	if (so == NULL)
		return NULL;
	st->woken_head = so->wake_next;
	if (st->woken_head == NULL)
		st->woken_tail = &st->woken_head;
	*wake = so->wake;
	so->wake = 0;
	so->wake_queued = false;
	return so;
}

bool stack_owns_addr(const struct stack *st, const struct ip_addr *dst)
{
	return ip_addr_is_v4(dst) && route_is_own(st, ip_addr_to_v4(dst));
}

bool stack_routes_to(const struct stack *st, const struct ip_addr *dst)
{
	return ip_addr_is_v4(dst) && route_lookup(st, ip_addr_to_v4(dst)).kind != ROUTE_NONE;
}

unsigned stack_undelivered(const struct stack *st)
{
	return tcp_undelivered(st);
}
