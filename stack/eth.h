/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eth.h - Ethernet II: frames in, sorted by type; headers put in front of what goes out
 */
#ifndef STACK_ETH_H
#define STACK_ETH_H

#include <stdint.h>

struct rte_mbuf;
struct stack;

/* One received frame; takes the mbuf. */
void eth_input(struct stack *st, struct rte_mbuf *frame);

/* Puts an Ethernet header in front and queues the frame. Takes the mbuf. */
void eth_output(struct stack *st, struct rte_mbuf *m, const uint8_t dst[6], uint16_t type);

#endif
