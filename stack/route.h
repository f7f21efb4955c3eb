/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * route.h - where an IPv4 destination is: ourselves, the link, behind the gateway, or nowhere
 *
 * Fixed at stack_init(): the networks of the own addresses and one gateway. Also keeps what path MTU
 * discovery learned (RFC 1191), in a small cache that forgets after ten minutes as Linux's does
 * (mtu_expires).
 */
#ifndef STACK_ROUTE_H
#define STACK_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "ip_addr.h"

struct stack;
struct stack_config;

enum route_kind { ROUTE_NONE, ROUTE_LOCAL, ROUTE_LINK, ROUTE_BROADCAST, ROUTE_MULTICAST };

struct route {
	enum route_kind kind;
	be32 next_hop; /* ROUTE_LINK: whose MAC address is needed */
	be32 src;      /* own address to use as source */
};

/* Linux's net.ipv4.route.min_pmtu: smaller claims are taken as this. */
#define ROUTE_MIN_PMTU 552

size_t route_mem_size(const struct stack_config *cfg);
void route_init(struct stack *st, void *mem);

struct route route_lookup(const struct stack *st, be32 dst);

/* One of our addresses, 127.0.0.0/8 among them where the configuration says loopback. */
bool route_is_own(const struct stack *st, be32 addr);

/* The same of what has to do with the link: packets from it never carry 127.0.0.0/8 (RFC 1122, 3.2.1.3). */
bool route_is_own_on_link(const struct stack *st, be32 addr);

/* 255.255.255.255 or the broadcast address of one of our networks. */
bool route_is_broadcast(const struct stack *st, be32 addr);

/* Whether a neighbour with this address may exist: in one of our networks, not its broadcast or network
 * address. */
bool route_is_on_link(const struct stack *st, be32 addr);

/* Path MTU to `dst`: the device's when nothing smaller was learned. */
uint16_t route_mtu(const struct stack *st, be32 dst);

/* An ICMP "fragmentation needed" that the transport found genuine (RFC 5927). */
void route_mtu_learn(struct stack *st, be32 dst, uint16_t mtu);

#endif
