/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_kit.h - the stack under test on one side, the test itself as its remote peer, packet by packet
 *
 *     test ──tcp_kit_rx()──► memdev ──► stack ──► memdev ──► list of sent segments ──expect_tx()──► test
 *
 * The clock stands still unless the test advances it; each timer then fires at its own instant, and each
 * segment sent is stamped with it. States are reached by packets, never by assignment. ARP is answered by the
 * kit.
 *
 * Sequence numbers are relative: 0 is the first data byte of that direction, so a SYN is -1. The peer's real
 * initial number lies just below 2^32, so every test also crosses the wrap. A connection is a `flow` (0
 * unless said otherwise): peer port 40000 + flow.
 *
 *     KIT(k);
 *     tcp_kit_established(&k, .mss = 1000);
 *     tcp_kit_app_writes(&k, 1000);
 *     expect_tx(&k, SEG(.len = 1000, .flags = "PA"));
 *
 * At the end of its scope the kit checks that nothing was sent that the test did not expect, then closes all,
 * and checks that no packet buffer, connection or timer is left.
 */
#ifndef TESTS_KIT_TCP_KIT_H
#define TESTS_KIT_TCP_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <netinet/tcp.h>

#include "memdev.h"
#include "seg.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define KIT_STACK_ADDR "198.18.0.2"
#define KIT_PEER_ADDR  "198.18.0.1"
#define KIT_PORT       80
#define KIT_PEER_PORT  40000
#define KIT_FLOWS      64
#define KIT_TX_LEN     2048

struct tcp_kit_options {
	/* What the peer offers in its SYN */
	uint16_t mss;   /* 0: 1000 */
	uint8_t wscale; /* 0: not offered */
	bool sack, ts;
	uint16_t win; /* window field of its segments; 0: 65535 */
	/* How the connection comes about */
	bool active;     /* the stack connects */
	unsigned rtt_ms; /* how long the peer takes to answer in the handshake */
	int backlog;     /* 0: 8 */
	/* The stack */
	uint32_t mbufs; /* 0: 2048 */
	void (*configure)(struct stack_config *cfg);
};

struct kit_flow {
	uint16_t peer_port, local_port; /* host order; local_port 0: any, until seen */
	uint32_t peer_isn;              /* the test's */
	uint32_t stack_isn;             /* learned from the stack's SYN */
	bool stack_isn_known;
	bool ts;              /* timestamps agreed: added to segments without .opts */
	uint32_t last_ts_val; /* newest from the stack */
};

struct tcp_kit {
	time_ns now;
	struct tcp_kit_options opt;
	struct rte_mempool *pool;
	uint32_t mbufs;
	struct memdev md;
	void *mem;
	struct stack *st;
	struct sock *listener, *so;
	uint32_t written, read; /* stream positions of k->so */
	struct kit_flow flows[KIT_FLOWS];
	struct seg_frame *tx; /* ring of KIT_TX_LEN */
	uint32_t tx_head, tx_tail;
	bool arp_silent; /* the peer does not answer ARP */
	bool keep_quiet; /* teardown: segments are thrown away */
};

#define KIT(name) struct tcp_kit name __attribute__((cleanup(tcp_kit_stop))) = {0}

/* A stack with nothing in it. */
#define tcp_kit_start(k, ...) tcp_kit_start_with(k, &(const struct tcp_kit_options){__VA_ARGS__})
void tcp_kit_start_with(struct tcp_kit *k, const struct tcp_kit_options *opt);
void tcp_kit_stop(struct tcp_kit *k);

/* A listener on KIT_PORT as k->listener. */
void tcp_kit_listen(struct tcp_kit *k, int backlog);

/* An established connection as k->so, flow 0, with nothing in flight and no segment unexpected. */
#define tcp_kit_established(k, ...) tcp_kit_established_with(k, &(const struct tcp_kit_options){__VA_ARGS__})
void tcp_kit_established_with(struct tcp_kit *k, const struct tcp_kit_options *opt);

/* The peer's three-way handshake on `flow`, up to its last ACK; nothing is accepted. */
void tcp_kit_peer_connects(struct tcp_kit *k, unsigned flow);

/* A new socket that starts to connect to the peer on `flow`; its SYN is left to be expected. */
struct sock *tcp_kit_connect(struct tcp_kit *k, unsigned flow);

/* The options of the peer's SYN as text, from k->opt. */
const char *tcp_kit_syn_opts(struct tcp_kit *k);

/* Another incarnation of a flow: next peer ISN, nothing known of the stack's. */
void tcp_kit_flow_again(struct tcp_kit *k, unsigned flow);

/* The peer sends a segment, and the stack runs. Default of .opts: timestamps if agreed. */
void tcp_kit_rx(struct tcp_kit *k, const struct seg *s);
/* Several segments that arrive in one burst. */
void tcp_kit_rx_burst(struct tcp_kit *k, const struct seg *const *segs, unsigned n);
/* A frame of any kind. */
void tcp_kit_rx_mbuf(struct tcp_kit *k, struct rte_mbuf *m);
/* Absolute frame from a relative segment, not yet received. */
struct rte_mbuf *tcp_kit_build(struct tcp_kit *k, const struct seg *s);

/* Runs the stack until nothing moves any more at this instant. */
void tcp_kit_poll(struct tcp_kit *k);

void advance_to_ns(struct tcp_kit *k, time_ns at);
void advance_to_ms(struct tcp_kit *k, uint64_t ms);
void advance_ms(struct tcp_kit *k, uint64_t ms);

/* The oldest segment sent and not yet expected must be this one. */
#define expect_tx(k, s) expect_tx_from(k, s, __FILE__, __LINE__)
void expect_tx_from(struct tcp_kit *k, const struct seg *s, const char *file, int line);

/* Nothing before, and this one exactly at that time. */
#define expect_tx_at_ms(k, ms, s) expect_tx_at_from(k, (time_ns)(ms)*NS_PER_MS, s, __FILE__, __LINE__)
#define expect_tx_at_ns(k, ns, s) expect_tx_at_from(k, ns, s, __FILE__, __LINE__)
void expect_tx_at_from(struct tcp_kit *k, time_ns at, const struct seg *s, const char *file, int line);

/* No segment was sent that is not yet expected; with time: nor will be until then, that instant included. */
#define expect_silence(k)              expect_silence_from(k, (k)->now, __FILE__, __LINE__)
#define expect_silence_until_ms(k, ms) expect_silence_from(k, (time_ns)(ms)*NS_PER_MS, __FILE__, __LINE__)
void expect_silence_from(struct tcp_kit *k, time_ns until, const char *file, int line);

/* Oldest sent segment, whatever it is; NULL when there is none. Valid until the next call of the kit. */
const struct seg_frame *tcp_kit_next_tx(struct tcp_kit *k);
unsigned tcp_kit_tx_count(const struct tcp_kit *k);
void tcp_kit_drop_tx(struct tcp_kit *k); /* forgets all sent segments */

/* The program's side, on k->so. Bytes are checked and made with kit_byte(). */
void tcp_kit_app_writes(struct tcp_kit *k, uint32_t bytes);
ssize_t tcp_kit_app_send(struct tcp_kit *k, uint32_t bytes, int flags);
void tcp_kit_app_reads(struct tcp_kit *k, uint32_t bytes); /* exactly so many are there */
ssize_t tcp_kit_app_recv(struct tcp_kit *k, void *buf, size_t len, int flags);
void tcp_kit_app_reads_eof(struct tcp_kit *k);
void tcp_kit_accept(struct tcp_kit *k); /* into k->so */
void tcp_kit_close(struct tcp_kit *k);  /* k->so */
void tcp_kit_shutdown(struct tcp_kit *k, int how);
void tcp_kit_set(struct tcp_kit *k, int level, int name, int value);
int tcp_kit_get(struct tcp_kit *k, int level, int name);

/* Readiness without the *NORM and *BAND twins of each bit. */
static inline uint32_t tcp_kit_events(const struct sock *so)
{
	return sock_events(so) & (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
}

struct tcp_info tcp_kit_info(struct tcp_kit *k);
#define tcp_kit_state(k) (tcp_kit_info(k).tcpi_state) /* TCP_ESTABLISHED … of <netinet/tcp.h> */

uint64_t tcp_kit_counter_by_name(struct tcp_kit *k, const char *name);
#define tcp_kit_counter(k, name) tcp_kit_counter_by_name(k, #name)

/* Ends the test with a message, the clock and the stack's dump. */
__attribute__((noreturn, format(printf, 4, 5))) void tcp_kit_fail(struct tcp_kit *k, const char *file,
								  int line, const char *format, ...);

#endif
