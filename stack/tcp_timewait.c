/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_timewait.c - TIME-WAIT: what is remembered of a finished connection for a minute
 *
 * A small entry instead of the connection, so that 100 000 closes a second do not fill the arena. All entries
 * wait equally long, so one list in order of expiry and one timer serve them all. The local port stays in
 * use.
 *
 * RFC 9293 3.6.1, 6191 (reuse by timestamps). A RST in its place ends TIME-WAIT as it does on Linux (RFC 1337
 * would ignore it): it is what a peer sends that has forgotten the connection and wants to open it anew.
 */
#include "tcp_timewait.h"

#include "handover.h"
#include "tcp_conn.h"
#include "tcp_out.h"
#include "tcp_seg.h"
#include "tcp_table.h"

static void list_append(struct tcp_table *t, struct tcp_tw *tw)
{
	tw->next = NULL;
	tw->pprev = t->tw_tail;
	*t->tw_tail = tw;
	t->tw_tail = &tw->next;
}

static void list_remove(struct tcp_table *t, struct tcp_tw *tw)
{
	*tw->pprev = tw->next;
	if (tw->next)
		tw->next->pprev = tw->pprev;
	else
		t->tw_tail = tw->pprev;
}

static void tw_free(struct stack *st, struct tcp_tw *tw)
{
	struct tcp_table *t = st->tcp;
	struct tcp_port *p = &t->ports[ntohs(tw->lport)];

	list_remove(t, tw);
	*tw->hash_pprev = tw->hash_next;
	if (tw->hash_next)
		tw->hash_next->hash_pprev = tw->hash_pprev;
	p->users--;
	p->noreuse -= tw->noreuse;
	if (unlikely(st->handover))
		handover_show_flow(st, tw->hash, -1);
	tw->hash_next = t->tw_free;
	t->tw_free = tw;
	t->tw_count--;
}

static struct tcp_tw *tw_alloc(struct stack *st)
{
	struct tcp_table *t = st->tcp;
	struct tcp_tw *tw;

	if (!t->tw_free && t->tw_used < t->tw_max)
		return &t->tw_arena[t->tw_used++];
	if (!t->tw_free) {
		COUNT(st, tcp_tw_overflow);
		tw_free(st, t->tw_head);
	}
	tw = t->tw_free;
	t->tw_free = tw->hash_next;
	return tw;
}

static void start_wait(struct stack *st, struct tcp_tw *tw)
{
	struct tcp_table *t = st->tcp;

	tw->expires = st->now + st->cfg.tcp_timewait_s * NS_PER_SEC;
	list_append(t, tw);
	if (!timer_pending(&t->tw_timer))
		timer_set(&st->wheel, &t->tw_timer, t->tw_head->expires);
}

void tcp_tw_add(struct tcp_conn *c)
{
	struct stack *st = c->so.stack;
	struct tcp_table *t = st->tcp;
	struct tcp_tw *tw = tw_alloc(st), **head = &t->tw_buckets[c->hash & t->tw_mask];
	struct tcp_port *p = &t->ports[ntohs(c->so.local.port)];

	tw->laddr = c->so.local.addr;
	tw->paddr = c->so.peer.addr;
	tw->lport = c->so.local.port;
	tw->pport = c->so.peer.port;
	tw->hash = c->hash;
	tw->snd_nxt = c->snd_nxt;
	tw->rcv_nxt = c->rcv_nxt;
	tw->rcv_wnd = tcp_rcv_wnd(c);
	tw->ts_recent = c->ts_recent;
	tw->ts_recent_at = c->ts_recent_at;
	tw->ts_offset = c->ts_offset;
	tw->has_ts = c->flags & CONN_F_TS;
	tw->rcv_wscale = c->rcv_wscale;
	tw->tos = c->so.tos;
	tw->noreuse = !c->so.reuseaddr && !c->so.reuseport;
	tw->hash_next = *head;
	tw->hash_pprev = head;
	if (*head)
		(*head)->hash_pprev = &tw->hash_next;
	*head = tw;
	p->users++;
	p->noreuse += tw->noreuse;
	if (unlikely(st->handover))
		handover_show_flow(st, tw->hash, 1);
	t->tw_count++;
	COUNT(st, tcp_time_waits);
	start_wait(st, tw);
}

struct tcp_tw *tcp_tw_find(const struct stack *st, uint32_t hash, const struct endpoint *local,
			   const struct endpoint *peer)
{
	const struct tcp_table *t = st->tcp;

	if (t->tw_count == 0)
		return NULL;
	for (struct tcp_tw *tw = t->tw_buckets[hash & t->tw_mask]; tw; tw = tw->hash_next)
		if (tw->hash == hash && tw->pport == peer->port && tw->lport == local->port &&
		    ip_addr_eq(&tw->paddr, &peer->addr) && ip_addr_eq(&tw->laddr, &local->addr))
			return tw;
	return NULL;
}

/* A SYN beyond all that came before is a new connection, not an old duplicate (RFC 6191). */
static bool opens_new(const struct tcp_tw *tw, const struct tcp_seg *seg)
{
	if ((seg->flags & (SEG_SYN | SEG_RST | SEG_ACK)) != SEG_SYN)
		return false;
	if (tw->has_ts && seg->opt.has_ts)
		return seq_gt(seg->opt.ts_val, tw->ts_recent) || seq_gt(seg->seq, tw->rcv_nxt);
	return seq_gt(seg->seq, tw->rcv_nxt);
}

bool tcp_tw_input(struct stack *st, struct tcp_tw *tw, struct tcp_seg *seg, uint32_t *isn)
{
	bool old_ts = tw->has_ts && seg->opt.has_ts && seq_lt(seg->opt.ts_val, tw->ts_recent);

	if (!old_ts && opens_new(tw, seg)) {
		*isn = tw->snd_nxt + 65535 + 2;
		tw_free(st, tw);
		return true;
	}
	bool in_place = !old_ts && seg->seq == tw->rcv_nxt;
	if (seg->flags & SEG_RST) {
		if (in_place)
			tw_free(st, tw);
		return false;
	}
	/* The peer's FIN again: our ACK was lost, and the wait starts afresh */
	if ((seg->flags & SEG_FIN) && !old_ts && tcp_seg_end(seg) == tw->rcv_nxt) {
		list_remove(st->tcp, tw);
		start_wait(st, tw);
	}
	/* A bare ACK in its place needs no answer, though it prolongs the wait; anything else hears where we
	 * stand */
	if (in_place && tcp_seg_end(seg) == seg->seq) {
		list_remove(st->tcp, tw);
		start_wait(st, tw);
		return false;
	}
	tcp_out_tw_ack(st, tw, &seg->local, &seg->peer);
	return false;
}

bool tcp_tw_may_reuse(struct stack *st, uint32_t hash, const struct endpoint *local,
		      const struct endpoint *peer)
{
	struct tcp_tw *tw = tcp_tw_find(st, hash, local, peer);

	if (!tw)
		return true;
	/* Linux: timestamps must tell the two connections apart, so the clock must have moved on */
	if (!st->cfg.tcp_tw_reuse || !tw->has_ts || st->now - tw->ts_recent_at <= NS_PER_SEC)
		return false;
	tw_free(st, tw);
	return true;
}

void tcp_tw_expire(struct stack *st)
{
	struct tcp_table *t = st->tcp;

	while (t->tw_head && t->tw_head->expires <= st->now)
		tw_free(st, t->tw_head);
	if (t->tw_head)
		timer_set(&st->wheel, &t->tw_timer, t->tw_head->expires);
}
