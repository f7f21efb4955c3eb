/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip_kit.c - see ip_kit.h
 */
#include "ip_kit.h"

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdlib.h>

#include "tcp_none.h"
#include "tests/kit/kit_eal.h"

static const uint8_t stack_mac[6] = {0x02, 0, 0, 0, 0, 2}, peer_mac[6] = {0x02, 0, 0, 0, 0, 1};

be32 ip_kit_addr(const char *text)
{
	be32 a;

	cr_assert_eq(inet_pton(AF_INET, text, &a), 1, "%s", text);
	return a;
}

struct endpoint ip_kit_endpoint(const char *addr, uint16_t port)
{
	be32 a = ip_kit_addr(addr);

	return (struct endpoint){.addr = a ? ip_addr_v4(a) : ip_addr_any(), .port = htons(port)};
}

void ip_kit_start(struct ip_kit *k, const struct ip_kit_options *opt)
{
	int err = 0;

	k->pool = kit_pool_new(KIT_MBUFS);
	k->now = 1000 * NS_PER_SEC;
	memcpy(k->link.src_mac, peer_mac, 6);
	memcpy(k->link.dst_mac, stack_mac, 6);
	stack_config_init(&k->cfg);
	k->cfg.addrs[0] = (struct stack_addr){.addr = ip_kit_addr(KIT_STACK), .prefix_len = 24};
	k->cfg.n_addrs = 1;
	k->cfg.gateway = ip_kit_addr(KIT_PEER);
	k->cfg.max_arp = 16;
	k->cfg.max_udp = 64;
	k->cfg.max_fragments = 8;
	k->cfg.pool = k->pool;
	k->cfg.pool_mbufs = KIT_MBUFS;
	k->cfg.seed[0] = 0x1234567890abcdefULL;
	k->cfg.seed[1] = 0xfedcba0987654321ULL;
	k->cfg.caps = (struct netdev_caps){.mtu = 1500, .queues = 1, .tx_multi_seg = true};
	memcpy(k->cfg.caps.mac, stack_mac, 6);
	if (opt->configure)
		opt->configure(&k->cfg);
	k->mem = aligned_alloc(64, RTE_ALIGN_CEIL(stack_mem_size(&k->cfg), 64));
	memset(k->mem, 0, stack_mem_size(&k->cfg));
	k->st = stack_init(k->mem, &k->cfg, k->now, &err);
	cr_assert_not_null(k->st, "stack_init: %d", err);
	memset(&tcp_none_seen, 0, sizeof(tcp_none_seen));
	if (!opt->arp_unknown) {
		ip_kit_rx_arp(k, RTE_ARP_OP_REQUEST, peer_mac, KIT_PEER, KIT_STACK, true);
		ip_kit_expect_arp(k, RTE_ARP_OP_REPLY, KIT_STACK, KIT_PEER, NULL);
	}
}

void ip_kit_stop(struct ip_kit *k)
{
	if (k->st == NULL)
		return;
	stack_fini(k->st);
	free(k->mem);
	cr_assert_eq(rte_mempool_avail_count(k->pool), KIT_MBUFS, "%u packet buffers lost",
		     KIT_MBUFS - rte_mempool_avail_count(k->pool));
}

struct rte_mbuf *ip_kit_build(struct ip_kit *k, const struct seg *s)
{
	struct seg full = *s;
	struct rte_mbuf *m;

	if (full.src == 0)
		full.src = ip_kit_addr(KIT_PEER);
	if (full.dst == 0)
		full.dst = ip_kit_addr(KIT_STACK);
	m = seg_build(k->pool, &k->link, &full, 0);
	cr_assert_not_null(m);
	return m;
}

void ip_kit_rx_mbuf(struct ip_kit *k, struct rte_mbuf *m)
{
	stack_input(k->st, &m, 1, k->now);
}

void ip_kit_rx(struct ip_kit *k, const struct seg *s)
{
	ip_kit_rx_mbuf(k, ip_kit_build(k, s));
}

void ip_kit_rx_bytes(struct ip_kit *k, const void *frame, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(k->pool);
	char *to;

	cr_assert_not_null(m);
	to = rte_pktmbuf_append(m, (uint16_t)len);
	cr_assert_not_null(to);
	memcpy(to, frame, len);
	ip_kit_rx_mbuf(k, m);
}

struct arp_frame {
	struct rte_ether_hdr eth;
	struct rte_arp_hdr arp;
};
_Static_assert(sizeof(struct arp_frame) == 42, "as on the wire");

void ip_kit_rx_arp(struct ip_kit *k, int op, const uint8_t sha[6], const char *sip, const char *tip,
		   bool to_all)
{
	struct arp_frame f = {
		.eth.ether_type = htons(RTE_ETHER_TYPE_ARP),
		.arp = {.arp_hardware = htons(1),
			.arp_protocol = htons(RTE_ETHER_TYPE_IPV4),
			.arp_hlen = 6,
			.arp_plen = 4,
			.arp_opcode = htons((uint16_t)op),
			.arp_data = {.arp_sip = ip_kit_addr(sip), .arp_tip = ip_kit_addr(tip)}},
	};

	memcpy(&f.eth.src_addr, sha, 6);
	memset(&f.eth.dst_addr, 0xff, 6);
	if (!to_all)
		memcpy(&f.eth.dst_addr, stack_mac, 6);
	memcpy(&f.arp.arp_data.arp_sha, sha, 6);
	ip_kit_rx_bytes(k, &f, sizeof(f));
}

struct rte_mbuf *ip_kit_take_mbuf(struct ip_kit *k)
{
	struct rte_mbuf *m;

	return stack_output(k->st, &m, 1) ? m : NULL;
}

size_t ip_kit_take(struct ip_kit *k, uint8_t *frame, size_t room)
{
	struct rte_mbuf *m = ip_kit_take_mbuf(k);
	size_t len;

	if (m == NULL)
		return 0;
	len = m->pkt_len;
	cr_assert_leq(len, room);
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		memcpy(frame, rte_pktmbuf_mtod(s, const void *), s->data_len);
		frame += s->data_len;
	}
	rte_pktmbuf_free(m);
	return len;
}

void ip_kit_expect_arp(struct ip_kit *k, int op, const char *sip, const char *tip, uint8_t eth_dst[6])
{
	uint8_t frame[2048];
	const struct arp_frame *f = (const struct arp_frame *)frame;
	size_t len = ip_kit_take(k, frame, sizeof(frame));

	cr_assert_geq(len, sizeof(*f), "expected an ARP packet, got %zu bytes", len);
	cr_assert_eq(f->eth.ether_type, htons(RTE_ETHER_TYPE_ARP));
	cr_assert_arr_eq(&f->eth.src_addr, stack_mac, 6);
	cr_assert_arr_eq(&f->arp.arp_data.arp_sha, stack_mac, 6);
	cr_assert_eq(ntohs(f->arp.arp_opcode), op);
	cr_assert_eq(f->arp.arp_data.arp_sip, ip_kit_addr(sip));
	cr_assert_eq(f->arp.arp_data.arp_tip, ip_kit_addr(tip));
	if (eth_dst)
		memcpy(eth_dst, &f->eth.dst_addr, 6);
}

void ip_kit_expect(struct ip_kit *k, const struct seg *want)
{
	struct rte_mbuf *m = ip_kit_take_mbuf(k);
	struct seg_frame got = {0};
	char why[256], text[256];

	cr_assert_not_null(m, "nothing was sent");
	cr_assert(seg_parse(&got, m, 0), "not an IPv4 packet");
	rte_pktmbuf_free(m);
	seg_print(&got.seg, text, sizeof(text));
	cr_assert(seg_matches(want, &got.seg, why, sizeof(why)), "%s: %s", text, why);
	cr_assert(got.csum_ok, "%s: bad checksum", text);
	k->last = got.seg;
	k->last.data = memcpy(k->data, got.data, got.seg.len);
	seg_frame_fini(&got);
}

void ip_kit_silence(struct ip_kit *k)
{
	uint8_t frame[65536];

	cr_assert_eq(ip_kit_take(k, frame, sizeof(frame)), 0, "something was sent");
}

void ip_kit_advance(struct ip_kit *k, time_ns by)
{
	k->now += by;
	stack_run_timers(k->st, k->now);
}

uint64_t ip_kit_counter(const struct ip_kit *k, const char *name)
{
	const char *const *names;
	const uint64_t *values;
	unsigned n = stack_counters(k->st, &values, &names);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return values[i];
	cr_assert(false, "no counter %s", name);
	return 0;
}

struct sock *ip_kit_udp(struct ip_kit *k, const char *addr, uint16_t port)
{
	struct endpoint local = ip_kit_endpoint(addr, port);
	struct sock *so = NULL;

	cr_assert_eq(sock_new(k->st, AF_INET, SOCK_DGRAM, &so), 0);
	if (port)
		cr_assert_eq(sock_bind(so, &local), 0);
	return so;
}

ssize_t ip_kit_send(struct sock *so, const void *data, size_t len, const struct endpoint *to)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};

	return sock_send(so, &iov, 1, 0, to);
}

ssize_t ip_kit_recv(struct sock *so, void *data, size_t len, int flags)
{
	struct iovec iov = {.iov_base = data, .iov_len = len};

	return sock_recv(so, &iov, 1, flags, NULL);
}
