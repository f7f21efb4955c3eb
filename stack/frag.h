/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frag.h - IPv4 reassembly, bounded in datagrams, fragments, buffers and time
 */
#ifndef STACK_FRAG_H
#define STACK_FRAG_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct stack;
struct stack_config;
struct timer;

size_t frag_mem_size(const struct stack_config *cfg);
void frag_init(struct stack *st, void *mem);
void frag_fini(struct stack *st);

/*
 * One fragment: a valid IP header of `hdr_len` bytes at the start of the data, the chain trimmed to the total
 * length. Takes the mbuf; returns the whole datagram (header of the first fragment, lengths set) when this
 * one completed it, else NULL.
 */
struct rte_mbuf *frag_input(struct stack *st, struct rte_mbuf *m, unsigned hdr_len);

/* Datagrams under reassembly. */
uint32_t frag_count(const struct stack *st);

void frag_timer(struct stack *st, struct timer *t);

#endif
