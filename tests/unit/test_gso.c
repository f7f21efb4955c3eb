/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_gso.c - the frames that gso.c makes of a super segment, and what becomes of it when they do not all go
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <rte_gso.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "driver/driver_priv.h"
#include "tests/kit/kit_eal.h"
#include "tests/kit/seg.h"

#define MSS 1000

static struct driver_port port;
static struct port_shared shared;
static struct rte_mbuf *sent[256];
static unsigned n_sent, room;

static void start(void)
{
	port.pool = kit_pool_new(1023);
	port.shared = &shared;
	n_sent = 0;
	room = UINT32_MAX;
}

TestSuite(gso, .init = start);

/* A device with a ring of so much room. */
static uint16_t ring(struct driver_port *p, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t k = 0;

	(void)p, (void)q;
	for (; k < n && room > 0; k++, room--) {
		cr_assert(!(pkts[k]->ol_flags & RTE_MBUF_F_TX_TCP_SEG));
		sent[n_sent++] = pkts[k];
	}
	return k;
}

/* As the stack makes it: a first buffer with the headers, full ones, a last one. */
static struct rte_mbuf *super_of(unsigned full, unsigned last, const char *flags, uint16_t frag_off)
{
	static const struct seg_link link = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
	struct rte_mbuf *m = seg_build(port.pool, &link,
				       SEG(.src = RTE_BE32(0xc6120001), .dst = RTE_BE32(0xc6120002),
					   .sport = 80, .dport = 5000, .seq = 1000, .ack = 77, .ip_id = 9,
					   .frag_off = frag_off, .flags = flags,
					   .opts = "nop,nop,TS val 7 ecr 9", .len = MSS),
				       0),
			*tail = m;

	cr_assert_not_null(m);
	for (unsigned i = 1; i <= full; i++) {
		unsigned len = i < full ? MSS : last;
		uint8_t *p;

		if (len == 0)
			break;
		tail->next = rte_pktmbuf_alloc(port.pool);
		cr_assert_not_null(tail->next);
		tail = tail->next;
		p = (uint8_t *)rte_pktmbuf_append(tail, (uint16_t)len);
		for (unsigned k = 0; k < len; k++)
			p[k] = kit_byte(1000 + i * MSS + k);
		m->pkt_len += len;
		m->nb_segs++;
	}
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG; /* all that a port without offloads is asked for */
	m->tx_offload = rte_mbuf_tx_offload(14, 20, 32, MSS, 0, 0, 0);
	return m;
}

static void expect(unsigned i, uint32_t seq, uint32_t len, const char *flags, uint16_t ip_id)
{
	struct seg_frame f;

	cr_assert_lt(i, n_sent);
	cr_assert(seg_parse(&f, sent[i], 0));
	cr_assert(f.csum_ok, "frame %u: checksum", i);
	cr_assert_eq(f.seg.seq, seq, "frame %u: seq %u", i, f.seg.seq);
	cr_assert_eq(f.seg.len, len, "frame %u: %u bytes", i, f.seg.len);
	cr_assert_eq(f.seg.ack, 77);
	cr_assert_eq(f.seg.ip_id, ip_id, "frame %u: id %u", i, f.seg.ip_id);
	cr_assert_str_eq(f.flags, flags, "frame %u: %s", i, f.flags);
	cr_assert(f.has_ts && f.ts_val == 7 && f.ts_ecr == 9);
	for (unsigned k = 0; k < len; k++)
		cr_assert_eq(f.data[k], kit_byte(seq + k), "frame %u, byte %u", i, k);
	seg_frame_fini(&f);
}

static unsigned in_use(void)
{
	return rte_mempool_in_use_count(port.pool);
}

Test(gso, cut_into_full_segments_and_a_rest)
{
	struct rte_mbuf *m = super_of(10, 300, "PA", 0x4000);

	cr_assert_eq(gso_burst(&port, 0, &m, 1, ring), 1);
	cr_assert_eq(n_sent, 11);
	for (unsigned i = 0; i < 10; i++)
		expect(i, 1000 + i * MSS, MSS, "A", 9); /* DF: the id means nothing, and stays */
	expect(10, 1000 + 10 * MSS, 300, "PA", 9);
	cr_assert_eq(shared.q[0].tx_segments, 11);
	rte_pktmbuf_free_bulk(sent, n_sent);
	cr_assert_eq(in_use(), 0);
}

Test(gso, fin_on_the_last_and_an_id_for_each_that_may_be_fragmented)
{
	struct rte_mbuf *m = super_of(3, MSS, "FPA", 0);

	cr_assert_eq(gso_burst(&port, 0, &m, 1, ring), 1);
	cr_assert_eq(n_sent, 4);
	for (unsigned i = 0; i < 3; i++)
		expect(i, 1000 + i * MSS, MSS, "A", (uint16_t)(9 + i));
	expect(3, 1000 + 3 * MSS, MSS, "FPA", 12);
}

Test(gso, checksums_are_left_to_a_device_that_computes_them)
{
	struct rte_mbuf *m = super_of(3, 10, "A", 0x4000);

	port.dev.caps.tx_tcp_csum = port.dev.caps.tx_ip_csum = true;
	cr_assert_eq(gso_burst(&port, 0, &m, 1, ring), 1);
	for (unsigned i = 0; i < n_sent; i++) {
		cr_assert_eq(sent[i]->ol_flags,
			     RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM);
		cr_assert_eq(sent[i]->l2_len, 14);
		cr_assert_eq(sent[i]->l3_len, 20);
		cr_assert_eq(sent[i]->l4_len, 32);
		const struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(sent[i], const struct rte_ipv4_hdr *, 14);
		const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
		cr_assert_eq(tcp->cksum, rte_ipv4_phdr_cksum(ip, 0),
			     "the pseudo-header's sum, length included");
	}
}

Test(gso, none_where_none_is_needed)
{
	struct rte_mbuf *m = super_of(3, 10, "A", 0x4000);

	port.dev.caps.csum_unneeded = true;
	cr_assert_eq(gso_burst(&port, 0, &m, 1, ring), 1);
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(sent[2], const struct rte_ipv4_hdr *, 14);
	cr_assert_eq(ip->hdr_checksum, 0);
	cr_assert_eq(((const struct rte_tcp_hdr *)(ip + 1))->cksum, 0);
}

/* What does not go stays in the super segment, and goes later, once. */
Test(gso, a_full_ring_in_the_middle)
{
	struct rte_mbuf *pkts[3];

	pkts[0] = rte_pktmbuf_alloc(port.pool);
	rte_pktmbuf_append(pkts[0], 60);
	pkts[1] = super_of(10, 500, "PA", 0);
	pkts[2] = rte_pktmbuf_alloc(port.pool);
	rte_pktmbuf_append(pkts[2], 60);
	room = 4;
	cr_assert_eq(gso_burst(&port, 0, pkts, 3, ring), 1, "the first only");
	cr_assert_eq(n_sent, 4);
	room = 0;
	cr_assert_eq(gso_burst(&port, 0, pkts + 1, 2, ring), 0);
	room = 5;
	cr_assert_eq(gso_burst(&port, 0, pkts + 1, 2, ring), 0);
	room = 100;
	cr_assert_eq(gso_burst(&port, 0, pkts + 1, 2, ring), 2);
	cr_assert_eq(n_sent, 1 + 11 + 1);
	for (unsigned i = 0; i < 10; i++)
		expect(1 + i, 1000 + i * MSS, MSS, "A", (uint16_t)(9 + i));
	expect(11, 1000 + 10 * MSS, 500, "PA", 19);
	cr_assert_eq(sent[12], pkts[2]);
	cr_assert_eq(shared.q[0].tx_segments, 11);
	rte_pktmbuf_free_bulk(sent, n_sent);
	cr_assert_eq(in_use(), 0);
}

Test(gso, an_empty_pool_is_waited_for)
{
	struct rte_mbuf *m = super_of(10, 500, "A", 0x4000), *hog[1023];
	unsigned n = 0;

	while (n < 1023 && (hog[n] = rte_pktmbuf_alloc(port.pool)) != NULL)
		n++;
	rte_pktmbuf_free_bulk(hog + n - 5, 5);
	cr_assert_eq(gso_burst(&port, 0, &m, 1, ring), 0);
	cr_assert_eq(n_sent, 0);
	cr_assert_eq(shared.q[0].tx_nombuf, 1);
	cr_assert_eq(rte_mempool_avail_count(port.pool), 5, "nothing is left behind");
	rte_pktmbuf_free_bulk(hog, n - 5);
	cr_assert_eq(gso_burst(&port, 0, &m, 1, ring), 1);
	cr_assert_eq(n_sent, 11);
}

/* The send queue has a reference of its own on each buffer, and finds them as they were. */
Test(gso, shared_buffers)
{
	struct rte_mbuf *m = super_of(4, 100, "A", 0x4000);

	for (struct rte_mbuf *s = m; s != NULL; s = s->next)
		rte_mbuf_refcnt_update(s, 1);
	cr_assert_eq(gso_burst(&port, 0, &m, 1, ring), 1);
	rte_pktmbuf_free_bulk(sent, n_sent);
	cr_assert_eq(in_use(), 5);
	cr_assert_eq(rte_mbuf_refcnt_read(m), 1);
}
