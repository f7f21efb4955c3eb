/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_out.c - what may be sent now, and building it
 *
 * Called by tcp_flush() for each connection on the dirty list; a few control segments are sent at once by
 * tcp_in.c and tcp_timer.c. A queued buffer is transmitted in place: headers go into its headroom, the device
 * gets a reference of its own. While the device still has one (retransmission out of a slow ring), the buffer
 * must not be touched, and a copy leaves instead.
 *
 * RFC 9293 3.8 (windows, SWS avoidance), 896 (Nagle, in Minshall's form as on Linux), 7323, 2018.
 */
#include "tcp_out.h"

#include <string.h>
#include <netinet/in.h>
#include <rte_tcp.h>

#include "tcp.h"
#include "tcp_conn.h"
#include "tcp_recover.h"
#include "tcp_seg.h"
#include "tcp_sndq.h"
#include "tcp_state.h"
#include "tcp_table.h"
#include "tcp_timer.h"

#define HDR_MIN sizeof(struct rte_tcp_hdr)

/* Frames kept free in the transmit queue for what others send in the same round (ARP, ICMP, SYN-ACKs). */
#define TX_RESERVE 64

/* --- receive window --- */

uint32_t tcp_rcv_space(const struct tcp_conn *c)
{
	uint32_t full = c->so.rcvbuf_bytes / 2, used = c->rcvq.bytes + c->reasm.bytes;
	uint32_t mem = used + (c->rcvq.count + c->reasm.count) * TCP_MBUF_CHARGE;

	if (mem >= c->so.rcvbuf_bytes || used >= full)
		return 0;
	full -= used;
	if (c->window_clamp && full > c->window_clamp)
		full = c->window_clamp;
	return full;
}

uint32_t tcp_select_window(const struct tcp_conn *c)
{
	uint32_t space = tcp_rcv_space(c), now = tcp_rcv_wnd(c), full = c->so.rcvbuf_bytes / 2;
	uint32_t unit = 1u << c->rcv_wscale, wnd, most = 65535u << c->rcv_wscale;

	/* RFC 9293, 3.8.6.2.2: no dribbling; a small buffer's half counts as much as a segment */
	if (space < full / 16 || space < RTE_MIN((uint32_t)c->rcv_mss, full / 2)) {
		wnd = 0;
	} else if (c->rcv_wscale) {
		wnd = RTE_ALIGN_CEIL(space, unit);
	} else {
		wnd = now;
		if (now + c->rcv_mss <= space || now > space)
			wnd = space >= c->rcv_mss ? space - space % c->rcv_mss : space;
	}
	/*
	 * What was offered stays good, as far as the scale can tell: rounded up, segments shorter than the
	 * unit would open the window again as fast as they fill it (RFC 7323, 2.4)
	 */
	if (wnd < now)
		wnd = RTE_ALIGN_FLOOR(now, unit);
	return RTE_MIN(wnd, most);
}

uint32_t tcp_initial_window(const struct tcp_conn *c)
{
	uint32_t wnd = c->so.rcvbuf_bytes / 2;

	if (c->window_clamp)
		wnd = RTE_MIN(wnd, c->window_clamp);
	wnd = RTE_MIN(wnd, 65535u);
	if (c->advmss && wnd > c->advmss)
		wnd -= wnd % c->advmss;
	return wnd;
}

uint8_t tcp_choose_wscale(const struct tcp_conn *c)
{
	const struct stack_config *cfg = &c->so.stack->cfg;
	uint32_t space = RTE_MAX(cfg->tcp_rmem[2], cfg->rmem_max);
	uint8_t scale = 0;

	space = RTE_MAX(space, c->so.rcvbuf_bytes);
	if (c->window_clamp)
		space = RTE_MIN(space, c->window_clamp);
	for (; space > 65535 && scale < 14; space >>= 1)
		scale++;
	return scale;
}

/* --- headers --- */

static void put_header(struct rte_tcp_hdr *h, const struct endpoint *from, const struct endpoint *to,
		       uint32_t seq, uint32_t ack, unsigned hdr_len, uint8_t flags, uint16_t wnd)
{
	h->src_port = from->port;
	h->dst_port = to->port;
	h->sent_seq = htonl(seq);
	h->recv_ack = htonl(ack);
	h->data_off = (uint8_t)(hdr_len / 4 << 4);
	h->tcp_flags = flags;
	h->rx_win = htons(wnd);
	h->cksum = 0;
	h->tcp_urp = 0;
}

/* What every segment with an ACK carries from the connection: ACK number, window, urgent pointer. */
static void put_conn_header(struct tcp_conn *c, struct rte_tcp_hdr *h, uint32_t seq, unsigned hdr_len,
			    uint8_t flags)
{
	uint32_t wnd = tcp_select_window(c);

	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + wnd);
	c->rcv_wup = c->rcv_nxt;
	put_header(h, &c->so.local, &c->so.peer, seq, c->rcv_nxt, hdr_len, flags,
		   (uint16_t)(wnd >> c->rcv_wscale));
	if (unlikely(c->flags & CONN_F_SND_URG) && seq_gt(c->snd_up, seq)) {
		uint32_t ptr = c->snd_up - seq;

		h->tcp_flags |= SEG_URG;
		h->tcp_urp = htons(ptr > 0xffff ? 0xffff : (uint16_t)ptr);
	}
	/* The owed ACK rides on this */
	c->flags &= ~(CONN_F_ACK_NOW | CONN_F_ACK_SCHED);
	c->deadline[TCP_T_DELACK] = TIME_NEVER;
	if (c->quick)
		c->quick--;
	c->segs_out++;
}

/* Options of a segment after the handshake; returns their length. */
static unsigned put_options(struct tcp_conn *c, uint8_t *p, bool bare)
{
	struct tcp_options opt;
	unsigned n = 0;

	if (likely(!bare || (c->reasm.n_sacks == 0 && !(c->flags & CONN_F_DSACK)))) {
		if (!(c->flags & CONN_F_TS))
			return 0;
		return tcp_options_write_ts_only(p, tcp_ts_now(c->so.stack, c->ts_offset), c->ts_recent);
	}
	memset(&opt, 0, sizeof(opt));
	opt.has_ts = c->flags & CONN_F_TS;
	opt.ts_val = tcp_ts_now(c->so.stack, c->ts_offset);
	opt.ts_ecr = c->ts_recent;
	if (c->flags & CONN_F_DSACK)
		opt.sack[n++] = c->reasm.dsack;
	for (unsigned i = 0; i < c->reasm.n_sacks && n < TCP_OPT_SACK_BLOCKS_MAX; i++)
		opt.sack[n++] = c->reasm.sacks[i];
	opt.n_sack = (uint8_t)n;
	c->flags &= ~CONN_F_DSACK;
	return tcp_options_write(p, &opt);
}

static unsigned options_len(const struct tcp_conn *c)
{
	return (c->flags & CONN_F_TS) ? 12 : 0;
}

static void transmit(struct tcp_conn *c, struct rte_mbuf *m, unsigned hdr_len)
{
	COUNT(c->so.stack, tcp_tx);
	ip4_output(c->so.stack, &c->path, m, IPPROTO_TCP, (uint8_t)hdr_len);
	if (unlikely(c->path.mtu != c->mtu_seen))
		tcp_sync_mss(c);
}

/* A segment without payload, `opts_room` bytes of options to be filled in by the caller. */
static struct rte_mbuf *bare(struct stack *st, struct rte_tcp_hdr **h)
{
	struct rte_mbuf *m = stack_mbuf_alloc(st);

	if (m)
		*h = rte_pktmbuf_mtod(m, struct rte_tcp_hdr *);
	return m;
}

static void set_len(struct rte_mbuf *m, unsigned len)
{
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
}

void tcp_out_ack(struct tcp_conn *c)
{
	struct rte_tcp_hdr *h;
	struct rte_mbuf *m = bare(c->so.stack, &h);
	unsigned hdr_len;

	if (!m) {
		/* Still owed: the timer tries again */
		c->flags = (c->flags & ~CONN_F_ACK_NOW) | CONN_F_ACK_SCHED;
		tcp_timer_at(c, TCP_T_DELACK, c->so.stack->now + TCP_DELACK_NS);
		return;
	}
	hdr_len = HDR_MIN + put_options(c, (uint8_t *)(h + 1), true);
	put_conn_header(c, h, c->snd_nxt, hdr_len, SEG_ACK);
	set_len(m, hdr_len);
	transmit(c, m, hdr_len);
}

void tcp_out_probe(struct tcp_conn *c)
{
	struct rte_tcp_hdr *h;
	struct rte_mbuf *m = bare(c->so.stack, &h);
	unsigned hdr_len;

	if (!m)
		return;
	hdr_len = HDR_MIN + put_options(c, (uint8_t *)(h + 1), true);
	put_conn_header(c, h, c->snd_una - 1, hdr_len, SEG_ACK);
	set_len(m, hdr_len);
	transmit(c, m, hdr_len);
}

void tcp_out_syn(struct tcp_conn *c)
{
	const struct stack_config *cfg = &c->so.stack->cfg;
	bool passive = c->state == TCPS_SYN_RECV;
	struct tcp_options opt = {.mss = c->advmss};
	struct rte_tcp_hdr *h;
	struct rte_mbuf *m = bare(c->so.stack, &h);
	uint32_t wnd = tcp_initial_window(c);
	unsigned hdr_len;

	if (!m)
		return;
	opt.has_ts = passive ? c->flags & CONN_F_TS : cfg->tcp_timestamps;
	opt.sack_permitted = passive ? c->flags & CONN_F_SACK : cfg->tcp_sack;
	opt.has_wscale = passive ? c->flags & CONN_F_WSCALE : cfg->tcp_window_scaling;
	opt.wscale = c->rcv_wscale;
	opt.ts_val = tcp_ts_now(c->so.stack, c->ts_offset);
	opt.ts_ecr = passive ? c->ts_recent : 0;
	hdr_len = HDR_MIN + tcp_options_write((uint8_t *)(h + 1), &opt);
	put_header(h, &c->so.local, &c->so.peer, c->iss, passive ? c->rcv_nxt : 0, hdr_len,
		   passive ? SEG_SYN | SEG_ACK : SEG_SYN, (uint16_t)wnd); /* never scaled (RFC 7323, 2.2) */
	c->rcv_wup = c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + wnd;
	if (c->syn_sent_count < UINT8_MAX)
		c->syn_sent_count++;
	c->segs_out++;
	set_len(m, hdr_len);
	transmit(c, m, hdr_len);
}

void tcp_out_reset(struct tcp_conn *c)
{
	struct rte_tcp_hdr *h;
	struct rte_mbuf *m = bare(c->so.stack, &h);
	unsigned hdr_len;

	if (!m)
		return;
	COUNT(c->so.stack, tcp_resets_sent);
	hdr_len = HDR_MIN + put_options(c, (uint8_t *)(h + 1), false);
	put_conn_header(c, h, c->snd_nxt, hdr_len, SEG_RST | SEG_ACK);
	set_len(m, hdr_len);
	transmit(c, m, hdr_len);
}

/* A segment for which there is no connection. */
static void send_stray(struct stack *st, const struct endpoint *from, const struct endpoint *to,
		       struct rte_mbuf *m, unsigned hdr_len, uint8_t tos)
{
	struct ip_path path;

	if (ip4_path_init(st, &path, ip_addr_to_v4(&from->addr), ip_addr_to_v4(&to->addr)) != 0) {
		rte_pktmbuf_free(m);
		return;
	}
	path.tos = tos;
	path.dont_fragment = true;
	set_len(m, hdr_len);
	COUNT(st, tcp_tx);
	ip4_output(st, &path, m, IPPROTO_TCP, (uint8_t)hdr_len);
}

void tcp_out_reset_for(struct stack *st, const struct tcp_seg *seg)
{
	struct rte_tcp_hdr *h;
	struct rte_mbuf *m;

	if (seg->flags & SEG_RST)
		return;
	m = bare(st, &h);
	if (!m)
		return;
	COUNT(st, tcp_resets_sent);
	if (seg->flags & SEG_ACK)
		put_header(h, &seg->local, &seg->peer, seg->ack, 0, HDR_MIN, SEG_RST, 0);
	else
		put_header(h, &seg->local, &seg->peer, 0, tcp_seg_end(seg), HDR_MIN, SEG_RST | SEG_ACK, 0);
	send_stray(st, &seg->local, &seg->peer, m, HDR_MIN, 0);
}

void tcp_out_tw_ack(struct stack *st, const struct tcp_tw *tw, const struct endpoint *local,
		    const struct endpoint *peer)
{
	struct rte_tcp_hdr *h;
	struct rte_mbuf *m = bare(st, &h);
	unsigned hdr_len = HDR_MIN;

	if (!m)
		return;
	if (tw->has_ts)
		hdr_len += tcp_options_write_ts_only((uint8_t *)(h + 1), tcp_ts_now(st, tw->ts_offset),
						     tw->ts_recent);
	put_header(h, local, peer, tw->snd_nxt, tw->rcv_nxt, hdr_len, SEG_ACK,
		   (uint16_t)(tw->rcv_wnd >> tw->rcv_wscale));
	send_stray(st, local, peer, m, hdr_len, tw->tos);
}

/* --- data --- */

/* A packet that carries a queued buffer: the buffer itself, or a copy when somebody else still reads it. */
static struct rte_mbuf *packet_of(struct tcp_conn *c, struct rte_mbuf *m, unsigned hdr_len)
{
	struct pkt_meta *meta = pkt_meta(m);
	struct rte_mbuf *copy;

	if (likely(rte_mbuf_refcnt_read(m) == 1)) {
		rte_mbuf_refcnt_set(m, 2);
		m->data_off = (uint16_t)(meta->off - hdr_len);
		m->next = NULL;
		m->nb_segs = 1;
		m->ol_flags = 0;
		set_len(m, hdr_len + meta->len);
		return m;
	}
	copy = stack_mbuf_alloc(c->so.stack);
	if (!copy)
		return NULL;
	copy->data_off = (uint16_t)(PKT_HEADROOM - hdr_len);
	memcpy((uint8_t *)copy->buf_addr + PKT_HEADROOM, tcp_mbuf_payload(m), meta->len);
	set_len(copy, hdr_len + meta->len);
	return copy;
}

static void note_sent(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct pkt_meta *meta = pkt_meta(m);

	meta->sent_at = c->so.stack->now;
	if (meta->tx_count < UINT8_MAX)
		meta->tx_count++;
}

static uint8_t data_flags(const struct pkt_meta *meta)
{
	return (uint8_t)(SEG_ACK | ((meta->flags & TCP_M_PSH) ? SEG_PSH : 0) |
			 ((meta->flags & TCP_M_FIN) ? SEG_FIN : 0));
}

static void put_data_header(struct tcp_conn *c, struct rte_mbuf *pkt, uint32_t seq, uint8_t flags,
			    unsigned hdr_len)
{
	struct rte_tcp_hdr *h = rte_pktmbuf_mtod(pkt, struct rte_tcp_hdr *);

	put_options(c, (uint8_t *)(h + 1), false);
	put_conn_header(c, h, seq, hdr_len, flags);
	c->data_segs_out++;
}

/* One buffer as one segment. False: no packet buffer. */
static bool send_one(struct tcp_conn *c, struct rte_mbuf *m)
{
	unsigned hdr_len = HDR_MIN + options_len(c);
	struct pkt_meta *meta = pkt_meta(m);
	struct rte_mbuf *pkt;

	if (unlikely(meta->len > c->mss) && !tcp_sndq_split(c, m, c->mss))
		return false;
	pkt = packet_of(c, m, hdr_len);
	if (!pkt)
		return false;
	put_data_header(c, pkt, meta->seq, data_flags(meta), hdr_len);
	note_sent(c, m);
	c->bytes_sent += meta->len;
	transmit(c, pkt, hdr_len);
	return true;
}

static bool resend(struct tcp_conn *c, struct rte_mbuf *m)
{
	if (!send_one(c, m))
		return false;
	tcp_recover_on_resent(c, m);
	c->total_retrans++;
	c->bytes_retrans += pkt_meta(m)->len;
	COUNT(c->so.stack, tcp_retrans);
	return true;
}

/* Bookkeeping for unsent buffers [first, end) that have just left. */
static void advance_unsent(struct tcp_conn *c, struct rte_mbuf *first, struct rte_mbuf *end)
{
	uint32_t before = c->snd_nxt;

	for (struct rte_mbuf *m = first; m != end; m = pkt_meta(m)->next) {
		c->snd_nxt = tcp_mbuf_end(m);
		if (pkt_meta(m)->len < c->mss)
			c->snd_sml = c->snd_nxt;
	}
	c->sndq.unsent = end;
	tcp_recover_on_sent(c, c->snd_nxt - before);
}

/* How many unsent buffers from m on go as one super segment: full ones, the last may be short. */
static unsigned tso_count(const struct tcp_conn *c, struct rte_mbuf *m, uint32_t budget)
{
	const struct netdev_caps *caps = &c->so.stack->cfg.caps;
	uint32_t bytes = 0;
	unsigned n = 0;

	budget = RTE_MIN(budget, caps->tso_max_bytes);
	for (; m && n < caps->tso_max_segs; m = pkt_meta(m)->next) {
		const struct pkt_meta *meta = pkt_meta(m);

		if (bytes + tcp_mbuf_seqlen(m) > budget || rte_mbuf_refcnt_read(m) != 1 || meta->len > c->mss)
			break;
		bytes += meta->len;
		if (meta->len < c->mss) {
			/* A short one may end it, if Nagle lets it go at all: the caller asks that for
			 * singles only */
			if (meta->next || (meta->flags & (TCP_M_FIN | TCP_M_PSH)) ||
			    (c->flags & CONN_F_NODELAY))
				n++;
			break;
		}
		n++;
		if (meta->flags & TCP_M_FIN)
			break;
	}
	return n;
}

static void send_tso(struct tcp_conn *c, struct rte_mbuf *first, unsigned n)
{
	unsigned hdr_len = HDR_MIN + options_len(c);
	struct rte_mbuf *pkt = packet_of(c, first, hdr_len), *last = pkt, *m = first;
	uint32_t payload = pkt_meta(first)->len;

	note_sent(c, first);
	for (unsigned i = 1; i < n; i++) {
		m = pkt_meta(m)->next;
		packet_of(c, m, 0);
		note_sent(c, m);
		payload += m->data_len;
		last->next = m;
		last = m;
	}
	pkt->nb_segs = (uint16_t)n;
	pkt->pkt_len = hdr_len + payload;
	put_data_header(c, pkt, pkt_meta(first)->seq, data_flags(pkt_meta(m)), hdr_len);
	pkt->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	pkt->tso_segsz = c->mss;
	pkt->l4_len = (uint8_t)hdr_len;
	c->bytes_sent += payload;
	advance_unsent(c, first, pkt_meta(m)->next);
	transmit(c, pkt, hdr_len);
}

/* Nagle as Linux (Minshall): a short segment waits only while another short one is unacknowledged. */
static bool nagle_holds(const struct tcp_conn *c, struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta(m);

	if (meta->len >= c->mss || meta->next || (meta->flags & TCP_M_FIN))
		return false;
	if (c->flags & (CONN_F_PUSH_ALL | CONN_F_SND_URG))
		return false;
	if (c->flags & (CONN_F_CORK | CONN_F_MORE))
		return true;
	if (c->flags & CONN_F_NODELAY)
		return false;
	return c->snd_una != c->snd_nxt && seq_gt(c->snd_sml, c->snd_una) && seq_leq(c->snd_sml, c->snd_nxt);
}

/* Bytes the peer's window still takes. */
static uint32_t window_room(const struct tcp_conn *c)
{
	uint32_t edge = c->snd_una + c->snd_wnd;

	return seq_gt(edge, c->snd_nxt) ? edge - c->snd_nxt : 0;
}

/* Sends one segment, or one super segment, of what was never sent. False: stop. */
static bool send_new(struct tcp_conn *c)
{
	struct rte_mbuf *m = c->sndq.unsent;
	struct pkt_meta *meta = pkt_meta(m);
	uint32_t flight = tcp_in_flight(c), room = window_room(c);
	unsigned n;

	if (flight >= c->cc.cwnd) {
		c->flags |= CONN_F_CWND_LIMITED;
		return false;
	}
	if (unlikely(meta->len > c->mss) && !tcp_sndq_split(c, m, c->mss))
		return false;
	/* RFC 9293, 3.8.6.2.1 (3): a peer whose window is never a segment gets half of it at once */
	if (unlikely(tcp_mbuf_seqlen(m) > room) &&
	    (room == 0 || room < c->max_wnd / 2 || meta->len <= room || !tcp_sndq_split(c, m, room)))
		return false;
	if (nagle_holds(c, m))
		return false;
	if (c->so.stack->cfg.caps.tso && meta->next) {
		/* A window that is not a whole number of segments is rounded up, as for single ones */
		n = tso_count(c, m, RTE_MIN(c->cc.cwnd - flight + c->mss - 1, room));
		if (n > 1) {
			send_tso(c, m, n);
			return true;
		}
	}
	if (!send_one(c, m))
		return false;
	advance_unsent(c, m, meta->next);
	return true;
}

/* RFC 5681, 4.1, as Linux: every RTO of silence halves the window, down to the initial one. */
static void restart_after_idle(struct tcp_conn *c)
{
	time_ns idle = c->so.stack->now - c->data_tx_at, rto = tcp_rtt_timeout(&c->rtt);
	uint32_t cwnd = c->cc.cwnd, least = RTE_MIN(cwnd, 10u * c->mss);

	if (idle <= rto || c->data_segs_out == 0)
		return;
	if (tcp_cc_ops(&c->cc)->on_idle)
		tcp_cc_ops(&c->cc)->on_idle(&c->cc, idle, c->so.stack->now);
	if (c->cc.ssthresh < cwnd / 4 * 3)
		c->cc.ssthresh = cwnd / 4 * 3;
	for (; idle > rto && cwnd > least; idle -= rto)
		cwnd /= 2;
	c->cc.cwnd = RTE_MAX(cwnd, least);
}

static void push_data(struct tcp_conn *c)
{
	uint32_t before = c->snd_nxt;
	uint64_t bytes_before = c->bytes_sent;
	struct rte_mbuf *m;

	if (unlikely(c->flags & CONN_F_FIN_PENDING) && tcp_sndq_append_fin(c))
		c->flags &= ~CONN_F_FIN_PENDING;
	while (unlikely(c->recover.lost != 0) && (m = tcp_recover_next(c)) != NULL) {
		if (stack_tx_room(c->so.stack) <= TX_RESERVE) {
			tcp_mark_dirty(c);
			return;
		}
		if (tcp_in_flight(c) >= c->cc.cwnd || !resend(c, m))
			break;
		/* It left a round trip or more after what it repeats: so does its timeout */
		if (m == c->sndq.head && c->recover.timer != TCP_REXMIT_REO)
			tcp_timer_rto(c);
	}
	if (c->snd_una == c->snd_nxt && c->sndq.unsent)
		restart_after_idle(c);
	while (c->sndq.unsent) {
		if (stack_tx_room(c->so.stack) <= TX_RESERVE) {
			tcp_mark_dirty(c);
			break;
		}
		if (!send_new(c))
			break;
	}
	c->flags &= ~CONN_F_PUSH_ALL;
	if (c->snd_nxt != before) {
		/* An answer to what came in just now makes it a dialogue: ACKs can wait for data (Linux:
		 * pingpong) */
		if (c->data_segs_in && c->bytes_sent != bytes_before &&
		    c->so.stack->now - c->data_rx_at < TCP_DELACK_NS)
			c->flags |= CONN_F_PINGPONG;
		c->data_tx_at = c->so.stack->now;
		if (before == c->snd_una || c->deadline[TCP_T_REXMIT] == TIME_NEVER ||
		    c->recover.timer == TCP_REXMIT_TLP || c->recover.timer == TCP_REXMIT_PERSIST)
			tcp_timer_rexmit(c);
	} else if (c->sndq.unsent && c->snd_una == c->snd_nxt && c->deadline[TCP_T_REXMIT] == TIME_NEVER) {
		tcp_timer_persist(c);
	}
	if (unlikely(c->flags & CONN_F_FIN_PENDING) && c->deadline[TCP_T_REXMIT] == TIME_NEVER)
		tcp_timer_rto(c);
}

void tcp_out_push(struct tcp_conn *c)
{
	/* Data would carry the ACK without its SACK blocks, and the peer would hear of no hole */
	if ((c->flags & CONN_F_ACK_NOW) && (c->reasm.n_sacks || (c->flags & CONN_F_DSACK)))
		tcp_out_ack(c);
	if (tcp_in_states(c, TCPS_SENDS))
		push_data(c);
	if (c->flags & CONN_F_ACK_NOW)
		tcp_out_ack(c);
}

bool tcp_out_window_probe(struct tcp_conn *c)
{
	struct rte_mbuf *m = c->sndq.unsent;
	uint32_t room = window_room(c);

	if (room == 0) {
		COUNT(c->so.stack, tcp_window_probes);
		tcp_out_probe(c);
		return false;
	}
	if (pkt_meta(m)->len > room && !tcp_sndq_split(c, m, room))
		return false;
	pkt_meta(m)->flags |= TCP_M_PSH;
	if (!send_one(c, m))
		return false;
	advance_unsent(c, m, pkt_meta(m)->next);
	return true;
}

void tcp_out_loss_probe(struct tcp_conn *c)
{
	struct rte_mbuf *m = c->sndq.unsent, *last = NULL;

	if (m && tcp_mbuf_seqlen(m) <= window_room(c) && pkt_meta(m)->len <= c->mss) {
		if (send_one(c, m))
			advance_unsent(c, m, pkt_meta(m)->next);
		return;
	}
	/* The probe was due before SACKs came in that do not move snd_una: what they cover is not sent again
	 */
	for (m = c->sndq.head; m != c->sndq.unsent; m = pkt_meta(m)->next)
		if (!(pkt_meta(m)->flags & TCP_M_SACKED))
			last = m;
	if (last)
		resend(c, last);
}

/* --- the dirty list --- */

void tcp_flush(struct stack *st)
{
	struct tcp_table *t = st->tcp;
	struct tcp_conn *c, *end = NULL;

	if (unlikely(t->starved || t->starved_idle))
		tcp_sndq_feed_starved(st);
	while ((c = t->dirty_head) != NULL && c != end) {
		tcp_unmark_dirty(c);
		tcp_out_push(c);
		/* Marked again: the transmit queue is full, the rest waits for its turn */
		if (c->dirty_pprev && !end)
			end = c;
	}
}

bool tcp_flush_needed(const struct stack *st)
{
	const struct tcp_table *t = st->tcp;

	return t->dirty_head != NULL || unlikely((t->starved || t->starved_idle) && tcp_sndq_may_feed(st));
}

unsigned tcp_undelivered(const struct stack *st)
{
	return st->tcp->undelivered;
}
