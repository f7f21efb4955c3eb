/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip_kit.h - a stack under test for the layers below TCP: segments in, frames out, a clock that the test
 * moves
 *
 *     IP_KIT(k);                      starts a stack at 198.18.0.2/24 with neighbour 198.18.0.1 known
 *     ip_kit_rx(&k, SEG(...));        a frame arrives from the neighbour
 *     ip_kit_expect(&k, SEG(...));    the next frame sent, which must be IPv4 with good checksums
 *     ip_kit_silence(&k);             nothing was sent
 *
 * At the end of the scope all packet buffers must be back in the pool.
 */
#ifndef TESTS_UNIT_IP_KIT_H
#define TESTS_UNIT_IP_KIT_H

#include <criterion/criterion.h>

#include "stack/sock.h"
#include "stack/stack.h"
#include "tests/kit/seg.h"

#define KIT_STACK "198.18.0.2"
#define KIT_PEER  "198.18.0.1"
#define KIT_MBUFS 2048

struct ip_kit {
	time_ns now;
	struct stack_config cfg;
	struct rte_mempool *pool;
	void *mem;
	struct stack *st;
	struct seg_link link; /* from the neighbour to the stack */
	uint8_t data[65536];  /* payload of the frame that ip_kit_expect() saw last */
	struct seg last;      /* and its header */
};

struct ip_kit_options {
	void (*configure)(struct stack_config *cfg);
	bool arp_unknown; /* the neighbour is not announced at the start */
};

#define IP_KIT_WITH(name, ...)                                                                               \
	struct ip_kit name __attribute__((cleanup(ip_kit_stop))) = {0};                                      \
	ip_kit_start(&name, &(const struct ip_kit_options){__VA_ARGS__})
#define IP_KIT(name) IP_KIT_WITH(name, .configure = NULL)

void ip_kit_start(struct ip_kit *k, const struct ip_kit_options *opt);
void ip_kit_stop(struct ip_kit *k);

be32 ip_kit_addr(const char *text);
struct endpoint ip_kit_endpoint(const char *addr, uint16_t port);

/* A frame from a segment, peer to stack unless it says otherwise; not yet received. */
struct rte_mbuf *ip_kit_build(struct ip_kit *k, const struct seg *s);
void ip_kit_rx(struct ip_kit *k, const struct seg *s);
void ip_kit_rx_mbuf(struct ip_kit *k, struct rte_mbuf *m);
void ip_kit_rx_bytes(struct ip_kit *k, const void *frame, size_t len);

/* An ARP packet arrives; op 1 request, 2 reply; `to_all`: by broadcast. */
void ip_kit_rx_arp(struct ip_kit *k, int op, const uint8_t sha[6], const char *sip, const char *tip,
		   bool to_all);

/* The next frame as bytes; 0 when there is none. */
size_t ip_kit_take(struct ip_kit *k, uint8_t *frame, size_t room);
/* The next frame itself; NULL when there is none. */
struct rte_mbuf *ip_kit_take_mbuf(struct ip_kit *k);

/* The next frame must be this ARP packet; *eth_dst gets where it went, if not NULL. */
void ip_kit_expect_arp(struct ip_kit *k, int op, const char *sip, const char *tip, uint8_t eth_dst[6]);
void ip_kit_expect(struct ip_kit *k, const struct seg *want);
void ip_kit_silence(struct ip_kit *k);

/* Moves the clock, firing timers. */
void ip_kit_advance(struct ip_kit *k, time_ns by);

uint64_t ip_kit_counter(const struct ip_kit *k, const char *name);
#define ip_kit_counter_is(k, name, want)                                                                     \
	cr_assert_eq(ip_kit_counter(k, #name), (uint64_t)(want), #name " is %lu", ip_kit_counter(k, #name))

/* A UDP socket bound to `port` (0: unbound). */
struct sock *ip_kit_udp(struct ip_kit *k, const char *addr, uint16_t port);
ssize_t ip_kit_send(struct sock *so, const void *data, size_t len, const struct endpoint *to);
ssize_t ip_kit_recv(struct sock *so, void *data, size_t len, int flags);

#endif
