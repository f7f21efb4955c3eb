/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * icmp.h - ICMP for IPv4: echo, errors in and out
 */
#ifndef STACK_ICMP_H
#define STACK_ICMP_H

#include <stdint.h>

struct ip_rx;
struct rte_mbuf;
struct stack;

/* Linux's icmp_msgs_per_sec and icmp_msgs_burst: how many errors we send. */
#define ICMP_PER_SEC 1000
#define ICMP_BURST   50

/* One ICMP message; takes the mbuf (rx describes it). */
void icmp_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx);

/*
 * Answers a received packet (data starts at its IP header) with an ICMP error, if one may be sent at all (RFC
 * 1122, 3.2.2; rate limit). Does not take the mbuf.
 */
void icmp_error_output(struct stack *st, struct rte_mbuf *m, uint8_t type, uint8_t code);

/* A packet of ours (IP header at `off`) cannot be delivered on the link: tells its socket. Does not take the
 * mbuf. */
void icmp_local_unreachable(struct stack *st, const struct rte_mbuf *m, unsigned off);

#endif
