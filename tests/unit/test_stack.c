/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_stack.c - the instance: impossible configurations, the clock, the transmit queue, timers, counters
 */
#include <errno.h>
#include <stdlib.h>

#include "ip_kit.h"
#include "stack/stack_priv.h"

/* Does stack_init() refuse this configuration? */
static bool refused(const struct stack_config *cfg)
{
	void *mem = calloc(1, 64 << 20);
	int err = 0;
	bool no = stack_init(mem, cfg, 0, &err) == NULL;

	cr_assert_eq(no, err == -EINVAL);
	free(mem);
	return no;
}

Test(stack, impossible_configurations_are_refused)
{
	IP_KIT(k);
	struct stack_config good = k.cfg, bad;

#define REFUSES(assignment)                                                                                  \
	do {                                                                                                 \
		bad = good;                                                                                  \
		bad.assignment;                                                                              \
		cr_assert(refused(&bad), #assignment);                                                       \
	} while (0)
	REFUSES(pool = NULL);
	REFUSES(pool_mbufs = 0);
	REFUSES(n_addrs = STACK_ADDRS_MAX + 1);
	REFUSES(addrs[0].prefix_len = 33);
	REFUSES(addrs[0].addr = 0);
	REFUSES(addrs[0].addr = htonl(0xe0000001));
	REFUSES(addrs[0].addr = htonl(0x7f000001));
	REFUSES(max_tcp = 15);
	REFUSES(max_udp = 0);
	REFUSES(max_arp = 0);
	REFUSES(max_fragments = 0);
	REFUSES(queues = 0);
	REFUSES(queue = 1);
	REFUSES(caps.mtu = 500);
	REFUSES(ip_default_ttl = 0);
	REFUSES(ip_local_port_range[0] = 0);
	REFUSES(ip_local_port_range[1] = 1);
#undef REFUSES
}

Test(stack, memory_is_as_large_as_said_and_not_more)
{
	IP_KIT(k);
	size_t size = stack_mem_size(&k.cfg);
	uint8_t *mem = aligned_alloc(64, size + 4096);
	struct stack *st;
	int err;

	cr_assert_eq(size % 64, 0);
	memset(mem, 0, size);
	memset(mem + size, 0xa5, 4096);
	st = stack_init(mem, &k.cfg, 0, &err);
	cr_assert_not_null(st);
	stack_fini(st);
	for (unsigned i = 0; i < 4096; i++)
		cr_assert_eq(mem[size + i], 0xa5);
	free(mem);
}

Test(stack, time_does_not_go_back)
{
	IP_KIT(k);
	time_ns t = stack_now(k.st);

	stack_set_now(k.st, t + 5);
	stack_set_now(k.st, t);
	cr_assert_eq(stack_now(k.st), t + 5);
	stack_input(k.st, NULL, 0, t + 9);
	cr_assert_eq(stack_now(k.st), t + 9);
}

Test(stack, random_differs_by_seed_and_is_spread)
{
	IP_KIT(k);
	uint32_t ones[32] = {0};

	for (int i = 0; i < 10000; i++) {
		uint32_t v = stack_random(k.st);

		for (int b = 0; b < 32; b++)
			ones[b] += v >> b & 1;
	}
	for (int b = 0; b < 32; b++)
		cr_assert(ones[b] > 4700 && ones[b] < 5300, "bit %d: %u", b, ones[b]);
}

static struct rte_mbuf *numbered(struct ip_kit *k, uint8_t n)
{
	struct rte_mbuf *m = stack_mbuf_alloc(k->st);

	*(uint8_t *)pkt_put(m, 60) = n;
	return m;
}

Test(stack, transmit_queue_keeps_order_also_when_the_device_is_full)
{
	IP_KIT(k);
	struct rte_mbuf *out[16];
	const uint64_t *counters;
	const char *const *names;

	for (uint8_t i = 0; i < 10; i++)
		stack_tx(k.st, numbered(&k, i));
	cr_assert_eq(stack_output_pending(k.st), 10);
	cr_assert_eq(stack_output(k.st, out, 4), 4);
	stack_output_unsent(k.st, out + 1, 3);
	rte_pktmbuf_free(out[0]);
	cr_assert_eq(stack_output(k.st, out, 16), 9);
	for (uint8_t i = 0; i < 9; i++) {
		cr_assert_eq(*rte_pktmbuf_mtod(out[i], uint8_t *), i + 1);
		rte_pktmbuf_free(out[i]);
	}
	cr_assert_eq(stack_output_pending(k.st), 0);
	cr_assert_eq(stack_counters(k.st, &counters, &names), COUNTER_COUNT);
	cr_assert_eq(counters[COUNTER_tx_frames], 11, "one ARP answer at the start and ten");
	cr_assert_eq(counters[COUNTER_tx_bytes], 42 + 600);
}

Test(stack, full_transmit_queue_drops_and_counts)
{
	IP_KIT(k);
	struct rte_mbuf *m, *out[8];

	for (unsigned i = 0; i < STACK_TXQ_LEN + 5; i++)
		stack_tx(k.st, numbered(&k, 0));
	ip_kit_counter_is(&k, tx_queue_full, 5);
	cr_assert_eq(stack_tx_room(k.st), 0);
	cr_assert_eq(stack_output(k.st, out, 8), 8);
	for (int i = 0; i < 8; i++)
		stack_tx(k.st, numbered(&k, 0));
	stack_output_unsent(k.st, out, 8);
	ip_kit_counter_is(&k, tx_queue_full, 13);
	while ((m = ip_kit_take_mbuf(&k)) != NULL)
		rte_pktmbuf_free(m);
}

Test(stack, next_timer_is_never_late)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);
	struct endpoint to = ip_kit_endpoint("198.18.0.50", 7);
	time_ns start = k.now;
	unsigned requests = 0;

	cr_assert_eq(stack_next_timer(k.st), TIME_NEVER);
	ip_kit_send(so, "x", 1, &to);
	while (stack_next_timer(k.st) != TIME_NEVER) {
		time_ns next = stack_next_timer(k.st);

		cr_assert_geq(next, k.now);
		ip_kit_advance(&k, next - k.now);
		while (stack_output_pending(k.st)) {
			rte_pktmbuf_free(ip_kit_take_mbuf(&k));
			requests++;
		}
	}
	cr_assert_eq(requests, 3);
	cr_assert_eq(k.now - start, 3 * NS_PER_SEC, "gave up at the very instant");
}

Test(stack, late_timers_fire_at_their_own_instant)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);
	struct endpoint to = ip_kit_endpoint("198.18.0.50", 7);
	unsigned requests = 0;

	ip_kit_send(so, "x", 1, &to);
	ip_kit_advance(&k, 3600 * NS_PER_SEC); /* nobody called for an hour */
	while (stack_output_pending(k.st)) {
		rte_pktmbuf_free(ip_kit_take_mbuf(&k));
		requests++;
	}
	cr_assert_eq(requests, 3);
	ip_kit_counter_is(&k, arp_unresolved, 1);
	cr_assert_eq(stack_next_timer(k.st), TIME_NEVER);
}

Test(stack, addresses)
{
	IP_KIT(k);
	struct ip_addr own = ip_addr_v4(ip_kit_addr(KIT_STACK)), peer = ip_addr_v4(ip_kit_addr(KIT_PEER)),
		       any = ip_addr_any();

	cr_assert(stack_owns_addr(k.st, &own));
	cr_assert_not(stack_owns_addr(k.st, &peer));
	cr_assert_not(stack_owns_addr(k.st, &any));
	cr_assert(stack_routes_to(k.st, &own));
}

/* Random bytes behind a good Ethernet header, and good packets with random bytes changed: nothing may break.
 */
Test(stack, random_frames)
{
	static uint8_t frame[2048];
	IP_KIT(k);
	unsigned seed = 7;

	ip_kit_udp(&k, "0.0.0.0", 1000);
	for (int i = 0; i < 30000; i++) {
		size_t len = 14 + (unsigned)rand_r(&seed) % 200;
		struct rte_mbuf *m;

		if (i & 1) {
			for (size_t j = 0; j < len; j++)
				frame[j] = (uint8_t)rand_r(&seed);
			memcpy(frame, k.link.dst_mac, 6);
			frame[12] = 8;
			frame[13] = i & 2 ? 0 : 6;
			frame[14] = i & 4 ? 0x45 : frame[14];
			ip_kit_rx_bytes(&k, frame, len);
		} else {
			m = ip_kit_build(&k, SEG(.proto = i & 2 ? IPPROTO_UDP : IPPROTO_ICMP, .dport = 1000,
						 .icmp_type = (uint8_t)(rand_r(&seed) % 14), .len = 60,
						 .frag_off = (uint16_t)(i & 8 ? rand_r(&seed) & 0x3fff : 0)));
			rte_pktmbuf_mtod(m, uint8_t *)[14 + (unsigned)rand_r(&seed) % (m->data_len - 14)] ^=
				(uint8_t)(1 << rand_r(&seed) % 8);
			m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
			ip_kit_rx_mbuf(&k, m);
		}
		while ((m = ip_kit_take_mbuf(&k)) != NULL)
			rte_pktmbuf_free(m);
		if (i % 100 == 0)
			ip_kit_advance(&k, NS_PER_MS);
	}
	ip_kit_advance(&k, 60 * NS_PER_SEC);
}
