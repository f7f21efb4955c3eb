/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_link.c - see sim_link.h
 */
#include "sim_link.h"

#include <stdlib.h>
#include <string.h>
#include <rte_mbuf.h>

#include "tests/kit/seg.h"

struct sim_frame {
	time_ns at;
	uint64_t order;
	uint32_t len;
	uint8_t bytes[];
};

uint64_t sim_random(struct sim_rng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545F4914F6CDD1DULL;
}

uint64_t sim_random_below(struct sim_rng *r, uint64_t n)
{
	return (sim_random(r) >> 11) % n;
}

uint64_t sim_random_between(struct sim_rng *r, uint64_t lo, uint64_t hi)
{
	unsigned lo_bits = 64 - (unsigned)__builtin_clzll(lo | 1),
		 hi_bits = 64 - (unsigned)__builtin_clzll(hi | 1);
	unsigned bits = lo_bits + (unsigned)sim_random_below(r, hi_bits - lo_bits + 1);
	uint64_t x = (1ULL << (bits - 1)) | (bits > 1 ? sim_random(r) >> (65 - bits) : 0);

	return x < lo ? lo : x > hi ? hi : x;
}

static bool chance(struct sim_link *l, uint32_t per_10000)
{
	return per_10000 && sim_random_below(&l->rng, 10000) < per_10000;
}

void sim_link_init(struct sim_link *l, const struct sim_link_config *cfg, uint64_t seed)
{
	memset(l, 0, sizeof *l);
	l->cfg = *cfg;
	l->rng.state = seed * 0x9E3779B97F4A7C15ULL + 1;
}

void sim_link_fini(struct sim_link *l)
{
	while (l->n > 0)
		free(l->heap[--l->n]);
	free(l->heap);
	l->heap = NULL;
}

static bool sooner(const struct sim_frame *a, const struct sim_frame *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void heap_push(struct sim_link *l, struct sim_frame *f)
{
	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->heap = realloc(l->heap, l->room * sizeof *l->heap);
	}
	uint32_t i = l->n++;
	for (; i > 0 && sooner(f, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		l->heap[i] = l->heap[(i - 1) / 2];
	l->heap[i] = f;
}

static struct sim_frame *heap_pop(struct sim_link *l)
{
	struct sim_frame *top = l->heap[0], *last = l->heap[--l->n];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < l->n) {
		if (child + 1 < l->n && sooner(l->heap[child + 1], l->heap[child]))
			child++;
		if (!sooner(l->heap[child], last))
			break;
		l->heap[i] = l->heap[child];
		i = child;
	}
	l->heap[i] = last;
	return top;
}

/*
 * Flips bits of one byte behind the Ethernet header: such an error the checksums always see. A frame that is
 * all damaged could slip through 16 bits of checksum once in a while, and that would be nobody's fault.
 */
static void corrupt(struct sim_link *l, struct sim_frame *f)
{
	if (f->len <= 14 || (f->bytes[12] == 8 && f->bytes[13] == 6))
		return;
	f->bytes[14 + sim_random_below(&l->rng, f->len - 14)] ^=
		(uint8_t)(1 + sim_random_below(&l->rng, 255));
	l->corrupted++;
}

static void enqueue(struct sim_link *l, const struct rte_mbuf *m, time_ns at)
{
	struct sim_frame *f = malloc(sizeof *f + m->pkt_len);

	f->len = 0;
	for (; m; m = m->next) {
		memcpy(f->bytes + f->len, rte_pktmbuf_mtod(m, const void *), m->data_len);
		f->len += m->data_len;
	}
	if (chance(l, l->cfg.reorder)) {
		at += 1 + sim_random_below(&l->rng, l->cfg.reorder_delay + 1);
		l->reordered++;
	}
	f->at = at;
	f->order = l->order++;
	if (chance(l, l->cfg.corrupt))
		corrupt(l, f);
	heap_push(l, f);
}

static bool is_arp(const struct rte_mbuf *m)
{
	const uint8_t *type = rte_pktmbuf_mtod_offset(m, const uint8_t *, 12);

	return type[0] == 8 && type[1] == 6;
}

/* "Fragmentation needed" (RFC 1191) from the router to the sender of `m`, which has DF set as all TCP here.
 */
static void too_big(struct sim_link *l, struct sim_link *back, const struct rte_mbuf *m, time_ns now)
{
	enum { QUOTE = 28, LEN = 14 + 20 + 8 + QUOTE };
	const uint8_t *in = rte_pktmbuf_mtod(m, const uint8_t *);
	struct sim_frame *f = malloc(sizeof *f + LEN);
	uint8_t *ip = f->bytes + 14, *icmp = ip + 20;
	uint16_t sum;

	memset(f->bytes, 0, LEN);
	memcpy(f->bytes, in + 6, 6);
	memcpy(f->bytes + 6, in, 6);
	f->bytes[12] = 8;
	ip[0] = 0x45, ip[3] = LEN - 14, ip[8] = 64, ip[9] = 1;
	memcpy(ip + 12, in + 14 + 16, 4); /* as if from the peer: the network has no other host */
	memcpy(ip + 16, in + 14 + 12, 4);
	sum = kit_checksum(ip, 20, 0);
	ip[10] = (uint8_t)(sum >> 8), ip[11] = (uint8_t)sum;
	icmp[0] = 3, icmp[1] = 4;
	icmp[6] = (uint8_t)(l->cfg.narrow_mtu >> 8), icmp[7] = (uint8_t)l->cfg.narrow_mtu;
	memcpy(icmp + 8, in + 14, QUOTE);
	sum = kit_checksum(icmp, 8 + QUOTE, 0);
	icmp[2] = (uint8_t)(sum >> 8), icmp[3] = (uint8_t)sum;
	f->len = LEN;
	f->at = now + l->cfg.delay;
	f->order = back->order++;
	heap_push(back, f);
	l->too_big++;
}

void sim_link_send(struct sim_link *l, struct sim_link *back, struct rte_mbuf *m, time_ns now)
{
	time_ns start = l->wire_free > now ? l->wire_free : now;
	uint64_t bps = l->cfg.bits_per_s;

	l->frames++;
	if (l->cfg.narrow_mtu && now >= l->cfg.narrow_at && m->pkt_len > 14u + l->cfg.narrow_mtu) {
		too_big(l, back, m, now);
		rte_pktmbuf_free(m);
		return;
	}
	if (bps && (start - now) * (bps / 1000) / (8 * NS_PER_SEC / 1000) > l->cfg.queue_bytes) {
		l->lost++;
		rte_pktmbuf_free(m);
		return;
	}
	l->wire_free = start + (bps ? m->pkt_len * 8ULL * NS_PER_SEC / bps : 0);
	if (chance(l, l->cfg.loss) && !is_arp(m)) {
		l->lost++;
	} else {
		enqueue(l, m, l->wire_free + l->cfg.delay);
		if (chance(l, l->cfg.duplicate)) {
			l->duplicated++;
			enqueue(l, m, l->wire_free + l->cfg.delay);
		}
	}
	rte_pktmbuf_free(m);
}

time_ns sim_link_next(const struct sim_link *l)
{
	return l->n ? l->heap[0]->at : TIME_NEVER;
}

unsigned sim_link_receive(struct sim_link *l, struct rte_mempool *pool, struct rte_mbuf **pkts, unsigned n,
			  time_ns now)
{
	unsigned got = 0;

	while (got < n && sim_link_next(l) <= now) {
		struct sim_frame *f = heap_pop(l);
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		if (m && f->len <= rte_pktmbuf_tailroom(m)) {
			memcpy(rte_pktmbuf_append(m, (uint16_t)f->len), f->bytes, f->len);
			pkts[got++] = m;
		} else {
			rte_pktmbuf_free(m);
			l->lost++;
		}
		free(f);
	}
	return got;
}
