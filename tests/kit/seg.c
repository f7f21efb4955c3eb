/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seg.c - see seg.h; shares no code with stack/, so that a mistake there is not made here too
 */
#include "seg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mbuf.h>

#define ETH_LEN 14

static const struct {
	char letter;
	uint8_t bit;
} flag_letters[] = {{'S', 0x02}, {'F', 0x01}, {'R', 0x04}, {'P', 0x08},
		    {'A', 0x10}, {'U', 0x20}, {'E', 0x40}, {'W', 0x80}};
#define N_FLAGS (sizeof flag_letters / sizeof *flag_letters)

static uint8_t flag_bits(const char *letters)
{
	uint8_t bits = 0;

	for (const char *c = letters ? letters : "A"; *c; c++)
		for (size_t i = 0; i < N_FLAGS; i++)
			if (flag_letters[i].letter == *c)
				bits |= flag_letters[i].bit;
	return bits; /* "N" (none) sets nothing */
}

static void flag_print(uint8_t bits, char *out)
{
	for (size_t i = 0; i < N_FLAGS; i++)
		if (bits & flag_letters[i].bit)
			*out++ = flag_letters[i].letter;
	*out = '\0';
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

uint16_t kit_checksum(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;

	for (; len > 1; len -= 2, p += 2) {
		sum += get16(p);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	if (len)
		sum += (uint32_t)p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Sum over the pseudo-header; `ip` is an IPv4 header. */
static uint32_t pseudo_sum(const uint8_t *ip, uint32_t l4_len)
{
	uint32_t sum = ip[9] + (l4_len & 0xffff) + (l4_len >> 16);

	for (unsigned i = 12; i < 20; i += 2)
		sum += get16(ip + i);
	return sum;
}

/* One word of the option text; returns the bytes written. */
static unsigned opt_word(const char *word, uint8_t *p, uint32_t sack_base)
{
	unsigned a, b, n = 0;

	if (sscanf(word, "mss %u", &a) == 1) {
		memcpy(p, (uint8_t[]){2, 4, (uint8_t)(a >> 8), (uint8_t)a}, 4);
		return 4;
	}
	if (sscanf(word, "wscale %u", &a) == 1) {
		memcpy(p, (uint8_t[]){3, 3, (uint8_t)a}, 3);
		return 3;
	}
	if (sscanf(word, "TS val %u ecr %u", &a, &b) == 2) {
		p[0] = 8, p[1] = 10;
		put32(p + 2, a);
		put32(p + 6, b);
		return 10;
	}
	if (strcmp(word, "sackOK") == 0) {
		p[0] = 4, p[1] = 2;
		return 2;
	}
	if (strncmp(word, "sack ", 5) == 0) {
		int used;
		p[0] = 5;
		for (word += 4; sscanf(word, " %u:%u%n", &a, &b, &used) == 2; word += used, n++) {
			put32(p + 2 + 8 * n, a + sack_base);
			put32(p + 6 + 8 * n, b + sack_base);
		}
		p[1] = (uint8_t)(2 + 8 * n);
		return p[1];
	}
	if (strncmp(word, "hex ", 4) == 0) {
		int used;
		for (word += 3; sscanf(word, " %2x%n", &a, &used) == 1; word += used)
			p[n++] = (uint8_t)a;
		return n;
	}
	if (strcmp(word, "nop") != 0 && strcmp(word, "eol") != 0) {
		fprintf(stderr, "kit: option \"%s\" is not known\n", word);
		abort();
	}
	p[0] = *word == 'n';
	return 1;
}

unsigned seg_opts_build(const char *text, uint8_t out[64], uint32_t sack_base, bool exact)
{
	unsigned n = 0;
	char copy[256], *save, *word;

	memset(out, 0, 64);
	snprintf(copy, sizeof copy, "%s", text);
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save))
		n += opt_word(word, out + n, sack_base);
	return exact ? n : (n + 3) & ~3U;
}

static size_t opt_print(const uint8_t *p, unsigned len, uint32_t sack_base, char *buf, size_t room)
{
	size_t at = 0;

	switch (p[0]) {
	case 2:
		return (size_t)snprintf(buf, room, len == 4 ? "mss %u" : "bad mss", get16(p + 2));
	case 3:
		return (size_t)snprintf(buf, room, len == 3 ? "wscale %u" : "bad wscale", p[2]);
	case 4:
		return (size_t)snprintf(buf, room, "sackOK");
	case 5:
		at = (size_t)snprintf(buf, room, "sack");
		for (unsigned i = 2; i + 8 <= len; i += 8)
			at += (size_t)snprintf(buf + at, room - at, " %u:%u", get32(p + i) - sack_base,
					       get32(p + i + 4) - sack_base);
		return at;
	case 8:
		if (len == 10)
			return (size_t)snprintf(buf, room, "TS val %u ecr %u", get32(p + 2), get32(p + 6));
		/* fall through */
	default:
		return (size_t)snprintf(buf, room, "kind %u len %u", p[0], len);
	}
}

void seg_opts_print(const uint8_t *p, unsigned len, uint32_t sack_base, char *buf, size_t buf_len)
{
	size_t at = 0;

	buf[0] = '\0';
	while (len > 0 && at + 48 < buf_len) {
		unsigned n = p[0] <= 1 ? 1 : len >= 2 ? p[1] : 0;
		if (at)
			buf[at++] = ',';
		if (n == 0 || n > len) {
			snprintf(buf + at, buf_len - at, "malformed");
			return;
		}
		if (p[0] <= 1)
			at += (size_t)snprintf(buf + at, buf_len - at, p[0] ? "nop" : "eol");
		else
			at += opt_print(p, n, sack_base, buf + at, buf_len - at);
		if (p[0] == 0)
			return;
		p += n;
		len -= n;
	}
}

static void fill_payload(uint8_t *p, const struct seg *s)
{
	for (uint32_t i = 0; i < s->len; i++)
		p[i] = s->data ? ((const uint8_t *)s->data)[i] : kit_byte(s->seq + i);
}

/* Writes the transport header and payload at `p`; returns their length. The checksum is put in later. */
static unsigned build_l4(uint8_t *p, const struct seg *s, uint32_t sack_base, unsigned *csum_off)
{
	unsigned hdr;

	switch (s->proto) {
	case IPPROTO_UDP:
		hdr = 8;
		put16(p, s->sport);
		put16(p + 2, s->dport);
		put16(p + 4, 8 + s->len);
		*csum_off = 6;
		break;
	case IPPROTO_ICMP:
		hdr = 8;
		p[0] = s->icmp_type;
		p[1] = s->icmp_code;
		put32(p + 4, s->icmp_arg);
		*csum_off = 2;
		break;
	default: {
		uint8_t opts[64];
		unsigned opts_len = seg_opts_build(s->opts ? s->opts : "", opts, sack_base, false);
		hdr = 20 + opts_len;
		put16(p, s->sport);
		put16(p + 2, s->dport);
		put32(p + 4, s->seq);
		put32(p + 8, s->ack);
		p[12] = (uint8_t)((s->doff ? s->doff : hdr / 4) << 4);
		p[13] = flag_bits(s->flags);
		put16(p + 14, s->win == SEG_WIN_ZERO ? 0 : s->win ? (unsigned)s->win : 65535);
		put16(p + 18, s->urg);
		memcpy(p + 20, opts, opts_len);
		*csum_off = 16;
	}
	}
	fill_payload(p + hdr, s);
	return hdr + s->len;
}

static struct rte_mbuf *frame_to_mbuf(struct rte_mempool *pool, const uint8_t *frame, unsigned len)
{
	struct rte_mbuf *head = NULL;

	do {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		if (!m) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		unsigned n = RTE_MIN(len, (unsigned)rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
		frame += n;
		len -= n;
		if (!head)
			head = m;
		else
			rte_pktmbuf_chain(head, m);
	} while (len > 0);
	return head;
}

struct rte_mbuf *seg_build(struct rte_mempool *pool, const struct seg_link *link, const struct seg *in,
			   uint32_t sack_base)
{
	static uint8_t frame[ETH_LEN + 66000 + 2048];
	static const uint8_t no_mac[6];
	struct seg s = *in;
	uint8_t *ip = frame + ETH_LEN;
	unsigned ip_hdr = 20U + s.ip_opts_len, csum_off, l4_len;

	if (!s.proto)
		s.proto = IPPROTO_TCP;
	memset(frame, 0, ETH_LEN + 120);
	memcpy(frame, memcmp(s.eth_dst, no_mac, 6) ? s.eth_dst : link->dst_mac, 6);
	memcpy(frame + 6, link->src_mac, 6);
	put16(frame + 12, 0x0800);

	l4_len = build_l4(ip + ip_hdr, &s, sack_base, &csum_off);
	ip[0] = (uint8_t)((s.ip_version ? s.ip_version : 4) << 4 | (s.ihl ? s.ihl : ip_hdr / 4));
	ip[1] = s.tos;
	put16(ip + 2, ip_hdr + l4_len + (unsigned)s.ip_len_add);
	put16(ip + 4, s.ip_id);
	put16(ip + 6, s.frag_off);
	ip[8] = s.ttl ? s.ttl : 64;
	ip[9] = s.proto;
	memcpy(ip + 12, &s.src, 4);
	memcpy(ip + 16, &s.dst, 4);
	memcpy(ip + 20, s.ip_opts, s.ip_opts_len);
	put16(ip + 10, kit_checksum(ip, ip_hdr, 0) ^ s.ip_csum_xor);

	unsigned csum =
		kit_checksum(ip + ip_hdr, l4_len, s.proto == IPPROTO_ICMP ? 0 : pseudo_sum(ip, l4_len));
	if (s.proto == IPPROTO_UDP && csum == 0)
		csum = 0xffff;
	put16(ip + ip_hdr + csum_off, csum ^ s.l4_csum_xor);

	unsigned len = ETH_LEN + ip_hdr + l4_len;
	memset(frame + len, 0, s.pad_bytes);
	len += s.pad_bytes;
	return frame_to_mbuf(pool, frame, len > s.cut_bytes ? len - s.cut_bytes : 1);
}

static void parse_tcp(struct seg_frame *f, const uint8_t *p, unsigned len, uint32_t sack_base)
{
	struct seg *s = &f->seg;
	unsigned hdr = (unsigned)(p[12] >> 4) * 4;

	s->sport = (uint16_t)get16(p);
	s->dport = (uint16_t)get16(p + 2);
	s->seq = get32(p + 4);
	s->ack = get32(p + 8);
	flag_print(p[13], f->flags);
	s->flags = f->flags;
	s->win = (int)get16(p + 14);
	if (s->win == 0)
		s->win = SEG_WIN_ZERO;
	s->urg = (uint16_t)get16(p + 18);
	if (hdr < 20 || hdr > len) {
		f->csum_ok = false;
		return;
	}
	f->raw_opts_len = (uint8_t)(hdr - 20);
	memcpy(f->raw_opts, p + 20, f->raw_opts_len);
	seg_opts_print(p + 20, hdr - 20, sack_base, f->opts, sizeof f->opts);
	s->opts = f->opts;
	const char *ts = strstr(f->opts, "TS val ");
	f->has_ts = ts && sscanf(ts, "TS val %u ecr %u", &f->ts_val, &f->ts_ecr) == 2;
	s->len = len - hdr;
	memcpy(f->data, p + hdr, s->len);
}

static void parse_l4(struct seg_frame *f, const uint8_t *p, unsigned len, uint32_t sack_base)
{
	struct seg *s = &f->seg;

	if (s->proto == IPPROTO_TCP && len >= 20) {
		parse_tcp(f, p, len, sack_base);
	} else if (s->proto == IPPROTO_UDP && len >= 8) {
		s->sport = (uint16_t)get16(p);
		s->dport = (uint16_t)get16(p + 2);
		s->len = len - 8;
		memcpy(f->data, p + 8, s->len);
	} else if (s->proto == IPPROTO_ICMP && len >= 8) {
		s->icmp_type = p[0];
		s->icmp_code = p[1];
		s->icmp_arg = get32(p + 4);
		s->len = len - 8;
		memcpy(f->data, p + 8, s->len);
	} else {
		s->len = len;
		memcpy(f->data, p, len);
	}
}

static bool l4_csum_ok(const uint8_t *ip, const uint8_t *l4, unsigned l4_len, uint64_t ol_flags)
{
	if (ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG))
		return true; /* left to the device */
	if (ip[9] == IPPROTO_UDP && l4_len >= 8 && get16(l4 + 6) == 0)
		return true;
	return kit_checksum(l4, l4_len, ip[9] == IPPROTO_ICMP ? 0 : pseudo_sum(ip, l4_len)) == 0;
}

bool seg_parse(struct seg_frame *f, struct rte_mbuf *m, uint32_t sack_base)
{
	static uint8_t copy[1 << 17];
	unsigned len = rte_pktmbuf_pkt_len(m);
	uint64_t ol_flags = m->ol_flags;
	const uint8_t *ip = copy + ETH_LEN;

	memset(f, 0, sizeof *f);
	if (len < ETH_LEN + 20 || len > sizeof copy)
		return false;
	for (unsigned at = 0; m; at += m->data_len, m = m->next)
		memcpy(copy + at, rte_pktmbuf_mtod(m, void *), m->data_len);
	if (get16(copy + 12) != 0x0800 || ip[0] >> 4 != 4)
		return false;

	unsigned ip_hdr = (unsigned)(ip[0] & 15) * 4, total = get16(ip + 2);
	if (total == 0) /* TSO of 64 KB and more */
		total = len - ETH_LEN;
	if (ip_hdr < 20 || total < ip_hdr || total > len - ETH_LEN)
		return false;
	f->bytes = len;
	f->seg = (struct seg){.tos = ip[1],
			      .ttl = ip[8],
			      .proto = ip[9],
			      .ip_id = (uint16_t)get16(ip + 4),
			      .frag_off = (uint16_t)get16(ip + 6)};
	memcpy(&f->seg.src, ip + 12, 4);
	memcpy(&f->seg.dst, ip + 16, 4);
	f->csum_ok = kit_checksum(ip, ip_hdr, 0) == 0 || ol_flags & RTE_MBUF_F_TX_IP_CKSUM;
	f->data = malloc(total);
	f->seg.data = f->data;
	unsigned l4_len = total - ip_hdr;
	if (f->seg.frag_off & 0x3fff) { /* a fragment: just bytes */
		f->seg.len = l4_len;
		memcpy(f->data, ip + ip_hdr, l4_len);
	} else {
		parse_l4(f, ip + ip_hdr, l4_len, sack_base);
		f->csum_ok = f->csum_ok && l4_csum_ok(ip, ip + ip_hdr, l4_len, ol_flags);
	}
	return true;
}

void seg_frame_fini(struct seg_frame *f)
{
	free(f->data);
	f->data = NULL;
}

/* Same words, "TS" in `want` standing for any timestamps. */
static bool opts_match(const char *want, const char *got)
{
	char a[256], b[256], *sa, *sb;

	snprintf(a, sizeof a, "%s", want);
	snprintf(b, sizeof b, "%s", got);
	char *wa = strtok_r(a, ",", &sa), *wb = strtok_r(b, ",", &sb);
	for (; wa && wb; wa = strtok_r(NULL, ",", &sa), wb = strtok_r(NULL, ",", &sb))
		if (strcmp(wa, wb) != 0 && !(strcmp(wa, "TS") == 0 && strncmp(wb, "TS val", 6) == 0))
			return false;
	return !wa && !wb;
}

#define DIFFERS(...)                                                                                         \
	do {                                                                                                 \
		snprintf(why, why_len, __VA_ARGS__);                                                         \
		return false;                                                                                \
	} while (0)

static bool tcp_matches(const struct seg *want, const struct seg *got, char *why, size_t why_len)
{
	if (flag_bits(want->flags) != flag_bits(got->flags))
		DIFFERS("flags");
	if (want->seq != got->seq)
		DIFFERS("seq");
	if ((flag_bits(want->flags) & 0x10) && want->ack != got->ack)
		DIFFERS("ack");
	if (want->win && want->win != got->win)
		DIFFERS("win");
	if (want->urg != got->urg)
		DIFFERS("urg");
	if (want->opts && !opts_match(want->opts, got->opts ? got->opts : ""))
		DIFFERS("opts");
	return true;
}

bool seg_matches(const struct seg *want, const struct seg *got, char *why, size_t why_len)
{
	uint8_t proto = want->proto ? want->proto : IPPROTO_TCP;

	if (proto != got->proto)
		DIFFERS("protocol");
	if ((want->src && want->src != got->src) || (want->dst && want->dst != got->dst))
		DIFFERS("addresses");
	if ((want->sport && want->sport != got->sport) || (want->dport && want->dport != got->dport))
		DIFFERS("ports");
	if ((want->tos && want->tos != got->tos) || (want->ttl && want->ttl != got->ttl))
		DIFFERS("tos or ttl");
	if (want->frag_off && want->frag_off != got->frag_off)
		DIFFERS("fragment offset");
	if (want->len != got->len)
		DIFFERS("len");
	if (proto == IPPROTO_TCP && !tcp_matches(want, got, why, why_len))
		return false;
	if (proto == IPPROTO_ICMP &&
	    (want->icmp_type != got->icmp_type || want->icmp_code != got->icmp_code ||
	     (want->icmp_arg && want->icmp_arg != got->icmp_arg)))
		DIFFERS("icmp");
	const uint8_t *data = got->data;
	for (uint32_t i = 0; data && proto == IPPROTO_TCP && i < got->len; i++) {
		uint8_t byte = want->data ? ((const uint8_t *)want->data)[i] : kit_byte(got->seq + i);
		if (data[i] != byte)
			DIFFERS("payload byte %u: %02x, not %02x", i, data[i], byte);
	}
	return true;
}

void seg_print(const struct seg *s, char *buf, size_t len)
{
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN], flags[12];

	inet_ntop(AF_INET, &s->src, src, sizeof src);
	inet_ntop(AF_INET, &s->dst, dst, sizeof dst);
	flag_print(flag_bits(s->flags), flags);
	if (s->proto == IPPROTO_ICMP)
		snprintf(buf, len, "%s > %s icmp type %u code %u arg %08x len %u", src, dst, s->icmp_type,
			 s->icmp_code, s->icmp_arg, s->len);
	else if (s->proto == IPPROTO_UDP)
		snprintf(buf, len, "%s:%u > %s:%u udp len %u", src, s->sport, dst, s->dport, s->len);
	else
		snprintf(buf, len, "%s:%u > %s:%u [%s] seq %d ack %d win %d urg %u len %u <%s>", src,
			 s->sport, dst, s->dport, flags, (int32_t)s->seq, (int32_t)s->ack,
			 s->win == SEG_WIN_ZERO ? 0 : s->win, s->urg, s->len, s->opts ? s->opts : "");
}
