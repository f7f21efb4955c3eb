/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udp.c - UDP sockets in their table, and datagrams and ICMP errors on their way to them
 *
 * A datagram is looked for among the connected sockets first, then among the sockets of its port: a socket
 * bound to the address it came to before one bound to all, several with SO_REUSEPORT by a hash of the sender,
 * else the newest (Linux's order). It waits in its own buffer, headers and all, so nothing about the sender
 * is stored twice. A socket holds at most its receive buffer, with Linux-like overhead for small datagrams,
 * and all sockets together leave the instance's reserve of buffers alone.
 *
 * RFC 768, 1122 (4.1). The socket calls are in udp_sock.c.
 */
#include "udp.h"

#include <errno.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <sys/epoll.h>

#include "dump.h"
#include "hash.h"
#include "icmp.h"
#include "route.h"
#include "udp_priv.h"

/* What a datagram costs beside its bytes, as Linux's truesize does: keeps a flood of tiny ones bounded. */
#define UDP_RX_OVERHEAD 512

enum { ICMP_DEST_UNREACH = 3, ICMP_CODE_PORT_UNREACH = 3 };

static uint32_t bucket_count(const struct stack_config *cfg)
{
	return rte_align32pow2(RTE_MAX(cfg->max_udp, 64u));
}

size_t udp_mem_size(const struct stack_config *cfg)
{
	return sizeof(struct udp_table) + cfg->max_udp * sizeof(struct udp_sock) +
	       2 * bucket_count(cfg) * sizeof(struct udp_sock *);
}

void udp_init(struct stack *st, void *mem)
{
	struct udp_table *t = mem;

	st->udp = t;
	t->hash_mask = bucket_count(&st->cfg) - 1;
	t->socks = (struct udp_sock *)(t + 1);
	t->by_port = (struct udp_sock **)(t->socks + st->cfg.max_udp);
	t->by_conn = t->by_port + t->hash_mask + 1;
	for (uint32_t i = st->cfg.max_udp; i-- > 0;) {
		t->socks[i].port_next = t->free;
		t->free = &t->socks[i];
	}
}

void udp_fini(struct stack *st)
{
	for (uint32_t i = 0; i < st->cfg.max_udp; i++)
		if (st->udp->socks[i].base.kind != SOCK_KIND_FREE)
			udp_table_free(&st->udp->socks[i]);
}

/* ---- the table ---- */

static struct udp_sock **port_bucket(const struct stack *st, be16 port)
{
	return &st->udp->by_port[hash_words(st->cfg.seed, port, 2) & st->udp->hash_mask];
}

static uint64_t conn_hash(const struct stack *st, const struct endpoint *local, const struct endpoint *peer)
{
	return hash_words(st->cfg.seed,
			  local->addr.d[0] ^ hash_mix(local->addr.d[1], st->cfg.seed[1] | 1) ^ local->port,
			  peer->addr.d[0] ^ hash_mix(peer->addr.d[1], st->cfg.seed[0] | 1) ^ peer->port);
}

static struct udp_sock **conn_bucket(const struct stack *st, const struct endpoint *local,
				     const struct endpoint *peer)
{
	return &st->udp->by_conn[conn_hash(st, local, peer) & st->udp->hash_mask];
}

static bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_addr_eq(&a->addr, &b->addr);
}

void udp_table_bind(struct udp_sock *us)
{
	struct udp_sock **bucket = port_bucket(us->base.stack, us->base.local.port);

	us->port_next = *bucket;
	*bucket = us;
}

void udp_table_unbind(struct udp_sock *us)
{
	struct udp_sock **p = port_bucket(us->base.stack, us->base.local.port);

	while (*p != us)
		p = &(*p)->port_next;
	*p = us->port_next;
	us->base.local.port = 0;
}

void udp_table_connect(struct udp_sock *us)
{
	struct udp_sock **bucket = conn_bucket(us->base.stack, &us->base.local, &us->base.peer);

	us->conn_next = *bucket;
	*bucket = us;
	us->connected = true;
	us->base.stack->udp->n_connected++;
}

void udp_table_disconnect(struct udp_sock *us)
{
	struct udp_sock **p = conn_bucket(us->base.stack, &us->base.local, &us->base.peer);

	while (*p != us)
		p = &(*p)->conn_next;
	*p = us->conn_next;
	us->connected = false;
	us->base.stack->udp->n_connected--;
}

static enum handover_level level_of(const struct udp_sock *us)
{
	if (us->base.local.port == 0)
		return HANDOVER_NONE;
	if (us->connected)
		return HANDOVER_CONNECTED;
	return ip_addr_is_any(&us->base.local.addr) ? HANDOVER_WILDCARD : HANDOVER_SPECIFIC;
}

void udp_table_show(struct udp_sock *us)
{
	struct stack *st = us->base.stack;
	enum handover_level level = level_of(us), was = us->shown_level;
	be16 port = us->base.local.port, was_port = us->shown_port;

	if (likely(!st->handover) || (level == was && port == was_port))
		return;
	if (level != HANDOVER_NONE)
		handover_show_port(st, HANDOVER_UDP, port, level, 1);
	if (was != HANDOVER_NONE)
		handover_show_port(st, HANDOVER_UDP, was_port, was, -1);
	us->shown_level = (uint8_t)level;
	us->shown_port = port;
}

bool udp_table_may_bind(const struct stack *st, const struct sock *a, const struct endpoint *local)
{
	for (const struct udp_sock *o = *port_bucket(st, local->port); o != NULL; o = o->port_next) {
		const struct sock *b = &o->base;
		bool overlap = ip_addr_is_any(&b->local.addr) || ip_addr_is_any(&local->addr) ||
			       ip_addr_eq(&b->local.addr, &local->addr);

		if (b == a || b->local.port != local->port || !overlap)
			continue;
		/* An IPv6-only wildcard and an IPv4 address never meet. */
		if ((a->v6only && ip_addr_is_v4(&b->local.addr)) ||
		    (b->v6only && ip_addr_is_v4(&local->addr)) || (a->v6only && b->family == AF_INET) ||
		    (b->v6only && a->family == AF_INET))
			continue;
		if ((a->reuseaddr && b->reuseaddr) || (a->reuseport && b->reuseport))
			continue;
		return false;
	}
	return true;
}

struct udp_sock *udp_table_new(struct stack *st)
{
	struct udp_sock *us = st->udp->free;

	if (us == NULL) {
		COUNT(st, udp_table_full);
		return NULL;
	}
	st->udp->free = us->port_next;
	memset(us, 0, sizeof(*us));
	return us;
}

static void tx_wait_remove(struct udp_sock *us)
{
	struct udp_sock **p = &us->base.stack->udp->tx_wait_head;

	if (!us->tx_waiting)
		return;
	while (*p != us)
		p = &(*p)->tx_wait_next;
	*p = us->tx_wait_next;
	us->tx_waiting = false;
}

void udp_table_free(struct udp_sock *us)
{
	struct udp_table *t = us->base.stack->udp;
	struct rte_mbuf *m;

	while ((m = udp_rx_pop(us)) != NULL)
		rte_pktmbuf_free(m);
	rte_pktmbuf_free(us->cork);
	us->cork = NULL;
	tx_wait_remove(us);
	if (us->connected)
		udp_table_disconnect(us);
	if (us->base.local.port != 0)
		udp_table_unbind(us);
	udp_table_show(us);
	sock_forget(&us->base);
	us->base.kind = SOCK_KIND_FREE;
	us->port_next = t->free;
	t->free = us;
}

/* ---- lookup ---- */

static struct udp_sock *find_connected(const struct stack *st, const struct endpoint *local,
				       const struct endpoint *peer)
{
	struct udp_sock *us;

	if (st->udp->n_connected == 0)
		return NULL;
	us = *conn_bucket(st, local, peer);
	while (us != NULL && !(endpoint_eq(&us->base.local, local) && endpoint_eq(&us->base.peer, peer)))
		us = us->conn_next;
	return us;
}

/* How well an unconnected socket fits: 0 not at all, more for its own address, more for IPv4 only (Linux). */
static int score(const struct udp_sock *us, const struct endpoint *local)
{
	const struct sock *so = &us->base;

	if (us->connected || so->local.port != local->port || so->v6only)
		return 0;
	if (ip_addr_is_any(&so->local.addr))
		return so->family == AF_INET ? 2 : 1;
	if (!ip_addr_eq(&so->local.addr, &local->addr))
		return 0;
	return so->family == AF_INET ? 4 : 3;
}

static struct udp_sock *find_bound(const struct stack *st, const struct endpoint *local,
				   const struct endpoint *peer)
{
	struct udp_sock *first = *port_bucket(st, local->port), *best = NULL;
	uint32_t n = 0, pick;
	int best_score = 0;

	for (struct udp_sock *us = first; us != NULL; us = us->port_next) {
		int s = score(us, local);

		if (s > best_score) {
			best = us;
			best_score = s;
			n = us->base.reuseport;
		} else if (s && s == best_score) {
			n += us->base.reuseport;
		}
	}
	if (n <= 1)
		return best;
	pick = (uint32_t)((conn_hash(st, local, peer) >> 32) * n >> 32);
	for (struct udp_sock *us = first; us != NULL; us = us->port_next)
		if (score(us, local) == best_score && us->base.reuseport && pick-- == 0)
			return us;
	return best;
}

enum handover_level udp_match(const struct stack *st, const struct endpoint *local,
			      const struct endpoint *peer)
{
	struct udp_sock *us = find_connected(st, local, peer);

	if (us == NULL)
		us = find_bound(st, local, peer);
	return us ? level_of(us) : HANDOVER_NONE;
}

bool udp_listens_at(const struct stack *st, const struct endpoint *to)
{
	const struct udp_sock *us = *port_bucket(st, to->port);

	while (us != NULL &&
	       (us->base.local.port != to->port || us->base.v6only ||
		(!ip_addr_is_any(&us->base.local.addr) && !ip_addr_eq(&us->base.local.addr, &to->addr))))
		us = us->port_next;
	return us != NULL;
}

/* ---- input ---- */

static uint32_t charge_of(const struct rte_mbuf *m)
{
	return m->pkt_len + UDP_RX_OVERHEAD * m->nb_segs;
}

struct rte_mbuf *udp_rx_pop(struct udp_sock *us)
{
	struct rte_mbuf *m = us->rx_head;

	if (m == NULL)
		return NULL;
	us->rx_head = pkt_meta(m)->next;
	us->rx_charge -= charge_of(m);
	us->base.stack->held_mbufs -= m->nb_segs;
	if (us->rx_head == NULL && !(us->base.shut & 1))
		sock_events_clear(&us->base, EPOLLIN);
	return m;
}

static void enqueue(struct udp_sock *us, struct rte_mbuf *m, const struct ip_rx *rx)
{
	struct stack *st = us->base.stack;
	uint32_t charge = charge_of(m);

	if (unlikely(us->rx_charge + charge > us->base.rcvbuf_bytes || !stack_may_hold(st, m->nb_segs) ||
		     rx->ttl < us->base.opts.min_ttl)) {
		COUNT(st, udp_rx_buffer_full);
		us->dropped++;
		rte_pktmbuf_free(m);
		return;
	}
	COUNT(st, udp_rx);
	pkt_meta(m)->next = NULL;
	pkt_meta(m)->off = rx->l4_off;
	pkt_meta(m)->sent_at = st->now;
	if (us->rx_head == NULL)
		us->rx_head = m;
	else
		pkt_meta(us->rx_tail)->next = m;
	us->rx_tail = m;
	us->rx_charge += charge;
	st->held_mbufs += m->nb_segs;
	sock_events_set(&us->base, EPOLLIN);
	sock_wake(&us->base, EPOLLIN);
}

/* A broadcast goes to every socket of its port. Takes the mbuf. */
static void deliver_broadcast(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx,
			      const struct endpoint *local, const struct endpoint *peer)
{
	struct udp_sock *last = NULL;

	for (struct udp_sock *us = *port_bucket(st, local->port); us != NULL; us = us->port_next) {
		struct rte_mbuf *copy;

		if (us->connected ? !(us->base.local.port == local->port && endpoint_eq(&us->base.peer, peer))
				  : score(us, local) == 0)
			continue;
		if (last != NULL) {
			copy = rte_pktmbuf_copy(m, st->cfg.pool, 0, UINT32_MAX);
			if (copy != NULL)
				enqueue(last, copy, rx);
			else
				COUNT(st, mbuf_alloc_failed);
		}
		last = us;
	}
	if (last != NULL) {
		enqueue(last, m, rx);
	} else {
		COUNT(st, udp_rx_no_port);
		rte_pktmbuf_free(m);
	}
}

/* The length field must lie within the packet; what follows the datagram is not part of it. */
static bool length_ok(struct rte_mbuf *m, struct ip_rx *rx)
{
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, rx->l4_off);
	uint32_t len;

	if (rx->l4_len < sizeof(*udp))
		return false;
	len = ntohs(udp->dgram_len);
	if (len < sizeof(*udp) || len > rx->l4_len)
		return false;
	rx->l4_len = len;
	return true;
}

void udp_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx_in)
{
	struct ip_rx rx = *rx_in;
	const struct rte_udp_hdr *udp;
	struct endpoint local, peer;
	struct udp_sock *us;

	if (unlikely(!length_ok(m, &rx))) {
		COUNT(st, udp_rx_bad);
		rte_pktmbuf_free(m);
		return;
	}
	udp = rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, rx.l4_off);
	if (unlikely(udp->dgram_cksum != 0 && !ip4_l4_csum_ok(st, m, &rx))) {
		COUNT(st, udp_rx_bad_csum);
		rte_pktmbuf_free(m);
		return;
	}
	local = (struct endpoint){.addr = rx.dst, .port = udp->dst_port};
	peer = (struct endpoint){.addr = rx.src, .port = udp->src_port};
	if (unlikely(!rx.to_us_only && !stack_owns_addr(st, &rx.dst))) {
		if (st->handover)
			handover_broadcast(st, m, &rx, local.port);
		deliver_broadcast(st, m, &rx, &local, &peer);
		return;
	}
	us = find_connected(st, &local, &peer);
	if (us == NULL)
		us = find_bound(st, &local, &peer);
	if (unlikely(st->handover) &&
	    handover_elsewhere(st, m, &rx, HANDOVER_UDP, local.port, us ? level_of(us) : HANDOVER_NONE))
		return;
	if (us != NULL) {
		enqueue(us, m, &rx);
		return;
	}
	COUNT(st, udp_rx_no_port);
	if (rx.to_us_only)
		icmp_error_output(st, m, ICMP_DEST_UNREACH, ICMP_CODE_PORT_UNREACH);
	rte_pktmbuf_free(m);
}

void udp_icmp_error(struct stack *st, const struct endpoint *local, const struct endpoint *peer, int err,
		    bool hard, uint16_t mtu)
{
	struct udp_sock *us = find_connected(st, local, peer);
	bool wants_all;

	if (us == NULL)
		us = find_bound(st, local, peer);
	if (us == NULL)
		return;
	wants_all = us->base.opts.recv_opts & SOCK_RECV_ERR;
	if (mtu) {
		if (us->base.opts.pmtudisc == IP_PMTUDISC_DONT)
			return;
		route_mtu_learn(st, ip_addr_to_v4(&peer->addr), mtu);
		us->path_valid = false;
		hard = true;
	}
	if (!wants_all && !(hard && us->connected))
		return;
	us->base.error = err;
	sock_events_set(&us->base, EPOLLERR);
	sock_wake(&us->base, EPOLLERR);
}

void udp_tx_room(struct stack *st)
{
	struct udp_sock *us;

	while ((us = st->udp->tx_wait_head) != NULL) {
		st->udp->tx_wait_head = us->tx_wait_next;
		us->tx_waiting = false;
		sock_events_set(&us->base, EPOLLOUT);
		sock_wake(&us->base, EPOLLOUT);
	}
}

bool udp_sock_at(const struct stack *st, uint32_t n, const struct sock **so)
{
	if (n >= st->cfg.max_udp)
		return false;
	*so = st->udp->socks[n].base.kind != SOCK_KIND_FREE ? &st->udp->socks[n].base : NULL;
	return true;
}

void udp_sock_row(const struct sock *so, struct stack_sock_row *row)
{
	const struct udp_sock *us = (const struct udp_sock *)so;

	row->proto = "udp";
	row->state = us->connected ? "ESTAB" : "UNCONN";
	row->recv_q = us->rx_charge;
	row->send_q = 0;
}

size_t udp_sock_dump(const struct sock *so, char *buf, size_t len)
{
	const struct udp_sock *us = (const struct udp_sock *)so;
	char local[DUMP_ENDPOINT_LEN], peer[DUMP_ENDPOINT_LEN];

	return dump_printf(buf, len, 0, "udp %s %s rx %u/%u dropped %u%s\n", dump_endpoint(&so->local, local),
			   dump_endpoint(&so->peer, peer), us->rx_charge, so->rcvbuf_bytes, us->dropped,
			   us->tx_waiting ? " tx-wait" : "");
}

size_t udp_dump(const struct stack *st, char *buf, size_t len)
{
	const struct sock *so;
	size_t at = 0;

	for (uint32_t i = 0; udp_sock_at(st, i, &so); i++)
		if (so)
			at += udp_sock_dump(so, at < len ? buf + at : NULL, at < len ? len - at : 0);
	return at;
}

void udp_usage(const struct stack *st, struct stack_usage *u)
{
	for (uint32_t i = 0; i < st->cfg.max_udp; i++)
		u->udp_sockets += st->udp->socks[i].base.kind != SOCK_KIND_FREE;
	u->udp_max += st->cfg.max_udp;
}
