/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dump.c - what an instance is doing, as text, and its counters
 *
 * For humans and tests; never on a packet's way.
 */
#include "dump.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "arp.h"
#include "frag.h"
#include "stack_priv.h"
#include "tcp.h"
#include "udp.h"

static const char *const counter_names[COUNTER_COUNT] = {
#define COUNTER(name, text) #name,
#include "counters.def"
#undef COUNTER
};

unsigned stack_counters(const struct stack *st, const uint64_t **values, const char *const **names)
{
	*values = st->counters;
	*names = counter_names;
	return COUNTER_COUNT;
}

void stack_usage(const struct stack *st, struct stack_usage *u)
{
	tcp_usage(st, u);
	udp_usage(st, u);
	u->neighbours += arp_count(st);
	u->neighbours_max += st->cfg.max_arp;
	u->fragments += frag_count(st);
	u->fragments_max += st->cfg.max_fragments;
	u->held_mbufs += st->held_mbufs;
	u->held_mbufs_max += st->hold_max;
}

void stack_sock_row(const struct sock *so, struct stack_sock_row *row)
{
	row->so = so;
	row->local = so->local;
	row->peer = so->peer;
	if (so->kind == SOCK_KIND_UDP)
		udp_sock_row(so, row);
	else
		tcp_sock_row(so, row);
}

size_t stack_dump_sock(const struct sock *so, char *buf, size_t len)
{
	return so->kind == SOCK_KIND_UDP ? udp_sock_dump(so, buf, len) : tcp_sock_dump(so, buf, len);
}

/* Cursors: TCP's entries from 0, UDP's from UDP_ROWS. */
#define UDP_ROWS       (UINT32_MAX / 2)
#define ROWS_LOOKED_AT 4096

unsigned stack_sock_rows(const struct stack *st, uint32_t *cursor, const struct sock **socks, unsigned max)
{
	unsigned n = 0;

	for (unsigned looked = 0; looked < ROWS_LOOKED_AT && n < max; looked++) {
		bool udp = *cursor >= UDP_ROWS;
		const struct sock *so;

		if (udp ? !udp_sock_at(st, *cursor - UDP_ROWS, &so) : !tcp_sock_at(st, *cursor, &so)) {
			*cursor = udp ? STACK_ROWS_END : UDP_ROWS;
			if (udp)
				break;
			continue;
		}
		++*cursor;
		if (so)
			socks[n++] = so;
	}
	return n;
}

size_t dump_printf(char *buf, size_t len, size_t at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(at < len ? buf + at : NULL, at < len ? len - at : 0, fmt, ap);
	va_end(ap);
	return at + (n > 0 ? (size_t)n : 0);
}

const char *dump_endpoint(const struct endpoint *ep, char text[DUMP_ENDPOINT_LEN])
{
	char addr[INET6_ADDRSTRLEN] = "*";

	if (ip_addr_is_v4(&ep->addr))
		inet_ntop(AF_INET, &ep->addr.w[3], addr, sizeof(addr));
	else if (!ip_addr_is_any(&ep->addr))
		inet_ntop(AF_INET6, ep->addr.b, addr, sizeof(addr));
	snprintf(text, DUMP_ENDPOINT_LEN, "%s:%u", addr, ntohs(ep->port));
	return text;
}

/* Where the next piece of text goes: the end once the buffer is full. */
static size_t room(size_t len, size_t at)
{
	return at < len ? len - at : 0;
}

size_t stack_dump(const struct stack *st, char *buf, size_t len)
{
	size_t at = tcp_dump(st, buf, len);

	at += udp_dump(st, at < len ? buf + at : NULL, room(len, at));
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		if (st->counters[i])
			at = dump_printf(buf, len, at, "%s %" PRIu64 "\n", counter_names[i], st->counters[i]);
	return at;
}
