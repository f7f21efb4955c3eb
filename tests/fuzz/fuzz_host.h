/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_host.h - a stack with a listener, for the fuzz targets: checksums off, time and packets from the input
 */
#ifndef TESTS_FUZZ_HOST_H
#define TESTS_FUZZ_HOST_H

#include <rte_mbuf.h>

#include "fuzz.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define FUZZ_SOCKS 8
#define FUZZ_PORT  80

struct fuzz_host {
	struct rte_mempool *pool;
	struct stack *st;
	void *mem;
	size_t mem_size;
	time_ns now;
	struct sock *listener, *so[FUZZ_SOCKS];
	/* Learned from what the stack sent last over TCP: lets inputs hit the window. Host order. */
	uint32_t tx_seq, tx_ack;
	uint16_t tx_sport, tx_dport;
};

/* The one host of the process, freshly started at the time 0 with a listening socket on FUZZ_PORT. */
struct fuzz_host *fuzz_host_start(void);

/* Closes everything, lets two days pass and checks that nothing is left. */
void fuzz_host_stop(struct fuzz_host *h);

/* A frame arrives, from Ethernet header on. */
void fuzz_host_rx(struct fuzz_host *h, const uint8_t *frame, size_t len);

/* Takes what the stack wants to send, and all wake-ups. */
void fuzz_host_drain(struct fuzz_host *h);

void fuzz_host_advance(struct fuzz_host *h, time_ns by);

/* Accepts into free places of h->so. */
void fuzz_host_accept(struct fuzz_host *h);

/* An IPv4 frame to the stack around `l4`: addresses, ports and sequence numbers of the live connection. */
size_t fuzz_ip_header(uint8_t *frame, uint8_t proto, size_t l4_len);

#endif
