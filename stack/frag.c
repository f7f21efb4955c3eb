/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frag.c - puts IPv4 fragments together (RFC 791, 815)
 *
 * The fragments of a datagram stay in their buffers, in a list sorted by offset; when the list is whole they
 * become one chain, without a copy. pkt_meta: seq is the offset, len the payload bytes, next the list.
 *
 * What an attacker can take is bounded: FRAG_PIECES_MAX fragments of a datagram, cfg.max_fragments datagrams
 * (the oldest gives way: genuine ones complete within a round trip), an eighth of the instance's limit of
 * held buffers, FRAG_TIMEOUT. A fragment that overlaps another kills its datagram (RFC 5722 for IPv6, Linux
 * for IPv4 too); one that came before, exactly or wholly, is ignored.
 */
#include "frag.h"

#include <rte_ip.h>

#include "hash.h"
#include "icmp.h"
#include "stack_priv.h"

#define FRAG_PIECES_MAX 128
#define FRAG_TIMEOUT_NS (30 * NS_PER_SEC) /* Linux's ipfrag_time */

struct frag_key {
	be32 src, dst;
	be16 id;
	uint8_t proto;
};

struct frag_entry {
	struct frag_key key;
	bool in_use;
	uint16_t pieces;
	uint32_t received;      /* payload bytes */
	uint32_t total;         /* payload bytes of the datagram; 0 until the last fragment came */
	struct rte_mbuf *first; /* sorted by offset */
	struct frag_entry *hash_next;
	struct frag_entry *prev, *next; /* in use: by age; free: next only */
	struct timer timer;
};

struct frag_table {
	struct frag_entry *free, *oldest, *newest;
	uint32_t hash_mask;
	uint32_t held; /* mbufs in all entries */
	struct frag_entry **buckets;
	struct frag_entry *entries;
};

static uint32_t bucket_count(const struct stack_config *cfg)
{
	return rte_align32pow2(cfg->max_fragments);
}

size_t frag_mem_size(const struct stack_config *cfg)
{
	return sizeof(struct frag_table) + bucket_count(cfg) * sizeof(struct frag_entry *) +
	       cfg->max_fragments * sizeof(struct frag_entry);
}

void frag_init(struct stack *st, void *mem)
{
	struct frag_table *t = mem;

	st->frag = t;
	t->hash_mask = bucket_count(&st->cfg) - 1;
	t->entries = (struct frag_entry *)(t + 1);
	t->buckets = (struct frag_entry **)(t->entries + st->cfg.max_fragments);
	for (uint32_t i = st->cfg.max_fragments; i-- > 0;) {
		t->entries[i].timer.kind = TIMER_FRAG;
		t->entries[i].next = t->free;
		t->free = &t->entries[i];
	}
}

static struct frag_entry **bucket_of(const struct stack *st, const struct frag_key *k)
{
	uint64_t h =
		hash_words(st->cfg.seed, (uint64_t)k->src << 32 | k->dst, (uint64_t)k->id << 8 | k->proto);

	return &st->frag->buckets[h & st->frag->hash_mask];
}

static bool key_eq(const struct frag_key *a, const struct frag_key *b)
{
	return a->src == b->src && a->dst == b->dst && a->id == b->id && a->proto == b->proto;
}

/* Takes the entry out of the table; its fragments are the caller's now. */
static struct rte_mbuf *entry_free(struct stack *st, struct frag_entry *e)
{
	struct frag_table *t = st->frag;
	struct frag_entry **p = bucket_of(st, &e->key);
	struct rte_mbuf *first = e->first;

	for (struct rte_mbuf *m = first; m != NULL; m = pkt_meta(m)->next) {
		st->held_mbufs -= m->nb_segs;
		t->held -= m->nb_segs;
	}
	timer_cancel(&st->wheel, &e->timer);
	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	if (e->prev)
		e->prev->next = e->next;
	else
		t->oldest = e->next;
	if (e->next)
		e->next->prev = e->prev;
	else
		t->newest = e->prev;
	e->in_use = false;
	e->next = t->free;
	t->free = e;
	return first;
}

static void entry_drop(struct stack *st, struct frag_entry *e)
{
	struct rte_mbuf *m, *next;

	for (m = entry_free(st, e); m != NULL; m = next) {
		next = pkt_meta(m)->next;
		rte_pktmbuf_free(m);
	}
}

static struct frag_entry *entry_new(struct stack *st, const struct frag_key *key)
{
	struct frag_table *t = st->frag;
	struct frag_entry *e, **bucket = bucket_of(st, key);

	if (t->free == NULL) {
		COUNT(st, ip_frags_full);
		entry_drop(st, t->oldest);
	}
	e = t->free;
	t->free = e->next;
	e->key = *key;
	e->in_use = true;
	e->pieces = 0;
	e->received = 0;
	e->total = 0;
	e->first = NULL;
	e->hash_next = *bucket;
	*bucket = e;
	e->next = NULL;
	e->prev = t->newest;
	if (t->newest)
		t->newest->next = e;
	else
		t->oldest = e;
	t->newest = e;
	timer_set(&st->wheel, &e->timer, st->now + FRAG_TIMEOUT_NS);
	return e;
}

static struct frag_entry *entry_find(const struct stack *st, const struct frag_key *key)
{
	struct frag_entry *e = *bucket_of(st, key);

	while (e != NULL && !key_eq(&e->key, key))
		e = e->hash_next;
	return e;
}

void frag_fini(struct stack *st)
{
	while (st->frag->oldest)
		entry_drop(st, st->frag->oldest);
}

/* Like Linux's ipfrag_high_thresh: an eighth of what sockets may hold. The oldest datagram gives way. */
static void make_room(struct stack *st, unsigned mbufs)
{
	struct frag_table *t = st->frag;

	while (t->oldest && t->held + mbufs > RTE_MAX(st->hold_max / 8, (uint32_t)FRAG_PIECES_MAX)) {
		COUNT(st, ip_frags_full);
		entry_drop(st, t->oldest);
	}
}

enum verdict { PIECE_TAKEN, PIECE_DUPLICATE, PIECE_BAD };

/* Puts [off, off+len) in its place if it fits between its neighbours. */
static enum verdict insert(struct frag_entry *e, struct rte_mbuf *m, uint32_t off, uint16_t len, bool last)
{
	struct rte_mbuf *before = NULL, *after = e->first;

	if (e->total && (off + len > e->total || (last && off + len != e->total)))
		return PIECE_BAD;
	while (after != NULL && pkt_meta(after)->seq < off) {
		before = after;
		after = pkt_meta(after)->next;
	}
	if (after != NULL && pkt_meta(after)->seq == off && pkt_meta(after)->len >= len)
		return PIECE_DUPLICATE;
	if (before != NULL && pkt_meta(before)->seq + pkt_meta(before)->len > off)
		return pkt_meta(before)->seq + pkt_meta(before)->len >= off + len ? PIECE_DUPLICATE
										  : PIECE_BAD;
	if (after != NULL && (off + len > pkt_meta(after)->seq || last))
		return PIECE_BAD;
	pkt_meta(m)->seq = off;
	pkt_meta(m)->len = len;
	pkt_meta(m)->next = after;
	if (before)
		pkt_meta(before)->next = m;
	else
		e->first = m;
	if (last)
		e->total = off + len;
	e->received += len;
	e->pieces++;
	return PIECE_TAKEN;
}

/*
 * All fragments are there and touch each other: one chain, with the first one's header saying the whole
 * length. NULL when that header, with its options, makes it longer than a datagram can be.
 */
static struct rte_mbuf *join(struct stack *st, struct rte_mbuf *first)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(first, struct rte_ipv4_hdr *);
	struct rte_mbuf *tail = rte_pktmbuf_lastseg(first), *m, *next;

	for (m = pkt_meta(first)->next; m != NULL; m = next) {
		const struct rte_ipv4_hdr *piece = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

		next = pkt_meta(m)->next;
		rte_pktmbuf_adj(m, (piece->version_ihl & 0xf) * 4);
		first->pkt_len += m->pkt_len;
		first->nb_segs += m->nb_segs;
		tail->next = m;
		tail = rte_pktmbuf_lastseg(m);
	}
	pkt_meta(first)->next = NULL;
	if (first->pkt_len > UINT16_MAX) {
		COUNT(st, ip_frags_bad);
		rte_pktmbuf_free(first);
		return NULL;
	}
	COUNT(st, ip_reassembled);
	ip->total_length = htons((uint16_t)first->pkt_len);
	ip->fragment_offset = 0;
	/* The device could not check the transport checksum of a piece. */
	first->ol_flags &= ~(uint64_t)RTE_MBUF_F_RX_L4_CKSUM_MASK;
	return first;
}

struct rte_mbuf *frag_input(struct stack *st, struct rte_mbuf *m, unsigned hdr_len)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct frag_key key = {ip->src_addr, ip->dst_addr, ip->packet_id, ip->next_proto_id};
	uint16_t field = ntohs(ip->fragment_offset);
	uint32_t off = (field & RTE_IPV4_HDR_OFFSET_MASK) * 8u;
	uint32_t len = m->pkt_len - hdr_len;
	bool last = !(field & RTE_IPV4_HDR_MF_FLAG);
	struct frag_entry *e;
	enum verdict verdict = PIECE_BAD;

	COUNT(st, ip_frags_rx);
	make_room(st, m->nb_segs);
	e = entry_find(st, &key);
	if (!stack_may_hold(st, m->nb_segs) || (e != NULL && e->pieces == FRAG_PIECES_MAX)) {
		COUNT(st, ip_frags_full);
		rte_pktmbuf_free(m);
		return NULL;
	}
	/* The datagram with its header must not exceed 65535 bytes (the "ping of death"). */
	if (len > 0 && (last || len % 8 == 0) && hdr_len + off + len <= UINT16_MAX) {
		if (e == NULL)
			e = entry_new(st, &key);
		verdict = insert(e, m, off, (uint16_t)len, last);
	}
	if (verdict != PIECE_TAKEN) {
		rte_pktmbuf_free(m);
		if (verdict == PIECE_BAD) {
			COUNT(st, ip_frags_bad);
			if (e != NULL)
				entry_drop(st, e);
		}
		return NULL;
	}
	st->held_mbufs += m->nb_segs;
	st->frag->held += m->nb_segs;
	if (e->total == 0 || e->received != e->total)
		return NULL;
	return join(st, entry_free(st, e));
}

void frag_timer(struct stack *st, struct timer *t)
{
	struct frag_entry *e = RTE_PTR_SUB(t, offsetof(struct frag_entry, timer));

	COUNT(st, ip_frags_timeout);
	if (e->first != NULL && pkt_meta(e->first)->seq == 0)
		icmp_error_output(st, e->first, 11,
				  1); /* RFC 1122, 3.3.2: only when the first piece is here */
	entry_drop(st, e);
}

uint32_t frag_count(const struct stack *st)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < st->cfg.max_fragments; i++)
		n += st->frag->entries[i].in_use;
	return n;
}
