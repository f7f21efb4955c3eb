/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp.h - TCP as the rest of stack/ sees it: memory, input, timers, and the operations behind sock.h
 *
 * The connection itself is in tcp_conn.h, which only the tcp_*.c files include.
 */
#ifndef STACK_TCP_H
#define STACK_TCP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "clock.h"
#include "ip4.h"
#include "ip_addr.h"
#include "sock.h"

struct stack;
struct stack_config;
struct stack_sock_row;
struct stack_usage;
struct timer;
struct rte_mbuf;

size_t tcp_mem_size(const struct stack_config *cfg);
void tcp_init(struct stack *st, void *mem);
void tcp_fini(struct stack *st); /* frees every mbuf held */

/*
 * A look at a burst of Ethernet frames before they are processed: brings what their connections will need
 * into the cache, when there are so many connections that it is not there. Reads only.
 */
void tcp_look_ahead(const struct stack *st, struct rte_mbuf *const *frames, unsigned n);

/* One segment; takes the mbuf (rx->l4_off etc. describe it). */
void tcp_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx);

/* Is there a connection between the two? *hash: their flow's, the same in all stacks of one address. */
bool tcp_knows(const struct stack *st, const struct endpoint *local, const struct endpoint *peer,
	       uint32_t *hash);

/*
 * ICMP error for a segment of ours: the quoted addresses (src is our side), ports and sequence number (RFC
 * 5927 checks it). `err` is the errno Linux maps the code to; mtu is nonzero for "fragmentation needed" (RFC
 * 1191).
 */
void tcp_icmp_error(struct stack *st, const struct endpoint *local, const struct endpoint *peer, uint32_t seq,
		    int err, uint16_t mtu);

void tcp_timer(struct stack *st, struct timer *t);

/* When an entry of kind TIMER_TCP really has something to do, TIME_NEVER when it has not (tcp_timer.h). */
time_ns tcp_timer_due(const struct timer *t);

/* Runs what was put off to the end of a burst: pending ACKs and sends of the connections on the dirty list.
 */
void tcp_flush(struct stack *st);

/* True while tcp_flush() has something to do. */
bool tcp_flush_needed(const struct stack *st);

unsigned tcp_undelivered(const struct stack *st);
size_t tcp_dump(const struct stack *st, char *buf, size_t len);
/* The n-th entry of the arena: NULL when free; false beyond the last one ever used. */
bool tcp_sock_at(const struct stack *st, uint32_t n, const struct sock **so);
void tcp_sock_row(const struct sock *so, struct stack_sock_row *row);
size_t tcp_sock_dump(const struct sock *so, char *buf, size_t len);
void tcp_usage(const struct stack *st, struct stack_usage *u);

/* The sock.h operations for SOCK_KIND_TCP and SOCK_KIND_TCP_LISTEN. */
int tcp_sock_new(struct stack *st, int family, struct sock **out);
void tcp_sock_close(struct sock *so);
int tcp_sock_bind(struct sock *so, const struct endpoint *local);
int tcp_sock_listen(struct sock *so, int backlog);
bool tcp_listens_at(const struct stack *st, const struct endpoint *to);
bool tcp_may_bind(const struct stack *st, const struct sock *so, const struct endpoint *local);
int tcp_sock_listen_twin(struct sock *leader, struct stack *st, struct sock **twin);
int tcp_sock_accept(struct sock *so, struct sock **child);
void tcp_sock_listen_near(struct sock *listener, uint16_t queue);
time_ns tcp_sock_accept_since(const struct sock *so);
int tcp_sock_connect(struct sock *so, const struct endpoint *peer);
int tcp_sock_disconnect(struct sock *so);
ssize_t tcp_sock_send(struct sock *so, const struct iovec *iov, int iovcnt, int flags);
ssize_t tcp_sock_recv(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		      struct sock_recv_info *info);
ssize_t tcp_sock_tx_alloc(struct sock *so, size_t bytes, struct rte_mbuf **list);
int tcp_sock_tx_append(struct sock *so, struct rte_mbuf *list, size_t bytes, int flags);
int tcp_sock_shutdown(struct sock *so, int how);
/* Level IPPROTO_TCP, and the SOL_SOCKET names sock.c does not know itself. */
int tcp_sock_setopt(struct sock *so, int level, int name, const void *val, socklen_t len);
int tcp_sock_getopt(struct sock *so, int level, int name, void *val, socklen_t *len);
/*
 * sock.c has stored a new value of an option of level SOL_SOCKET, IPPROTO_IP or IPPROTO_IPV6 in struct sock;
 * called so that TCP acts on those it must: SO_KEEPALIVE, SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT, IP_TOS, IP_TTL …
 */
void tcp_sock_opt_changed(struct sock *so, int level, int name);
int tcp_sock_ioctl(struct sock *so, unsigned long request, int *value);
int tcp_sock_inq(const struct sock *so);

#endif
