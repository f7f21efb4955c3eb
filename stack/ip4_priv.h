/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip4_priv.h - what ip4.c shares with frag.c, icmp.c and stack.c, but not with TCP and UDP
 */
#ifndef STACK_IP4_PRIV_H
#define STACK_IP4_PRIV_H

#include <stdbool.h>

#include "ip4.h"

struct rte_ipv4_hdr;

/* A packet from the loop queue: one we sent to ourselves. Takes the mbuf, whose data starts at the IP header.
 */
void ip4_input_local(struct stack *st, struct rte_mbuf *m);

/* A packet whose header another stack has checked. Takes the mbuf. */
void ip4_input_handed(struct stack *st, struct rte_mbuf *m, const struct pkt_handover *at);

/* Makes the first `len` bytes of the chain lie in its first mbuf; false when that cannot be done. */
bool ip4_pullup(struct rte_mbuf *m, uint32_t len);

/* Cuts the chain to `len` bytes, which it has at least. */
void ip4_trim(struct rte_mbuf *m, uint32_t len);

#endif
