/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udp.h - UDP as the rest of stack/ sees it: memory, input, and the operations behind sock.h
 */
#ifndef STACK_UDP_H
#define STACK_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handover.h"
#include "sock.h"

struct ip_rx;
struct stack_config;
struct stack_sock_row;
struct stack_usage;

/* What a datagram can carry: 65535 - 20 - 8. */
#define UDP_PAYLOAD_MAX 65507

size_t udp_mem_size(const struct stack_config *cfg);
void udp_init(struct stack *st, void *mem);
void udp_fini(struct stack *st);

/* One datagram; takes the mbuf (rx describes it). */
void udp_input(struct stack *st, struct rte_mbuf *m, const struct ip_rx *rx);

/* How well the best socket for datagrams between the two fits. */
enum handover_level udp_match(const struct stack *st, const struct endpoint *local,
			      const struct endpoint *peer);

/*
 * ICMP error for a datagram of ours; `hard` ones are told to connected sockets, the others only to those with
 * IP_RECVERR (Linux's rule). mtu is nonzero for "fragmentation needed".
 */
void udp_icmp_error(struct stack *st, const struct endpoint *local, const struct endpoint *peer, int err,
		    bool hard, uint16_t mtu);

/* The transmit queue has room again: wakes the sockets that were refused for want of it. */
void udp_tx_room(struct stack *st);

size_t udp_dump(const struct stack *st, char *buf, size_t len);
/* The n-th socket: NULL when free; false beyond the last. */
bool udp_sock_at(const struct stack *st, uint32_t n, const struct sock **so);
void udp_sock_row(const struct sock *so, struct stack_sock_row *row);
size_t udp_sock_dump(const struct sock *so, char *buf, size_t len);
void udp_usage(const struct stack *st, struct stack_usage *u);

/* May `so` have this local endpoint beside those of `st` (SO_REUSEADDR, SO_REUSEPORT)? */
bool udp_table_may_bind(const struct stack *st, const struct sock *so, const struct endpoint *local);

bool udp_listens_at(const struct stack *st, const struct endpoint *to);

int udp_sock_new(struct stack *st, int family, struct sock **out);
void udp_sock_close(struct sock *so);
int udp_sock_bind(struct sock *so, const struct endpoint *local);
int udp_sock_connect(struct sock *so, const struct endpoint *peer);
int udp_sock_disconnect(struct sock *so);
ssize_t udp_sock_send(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		      const struct endpoint *to);
ssize_t udp_sock_recv(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		      struct sock_recv_info *info);
int udp_sock_shutdown(struct sock *so, int how);
int udp_sock_ioctl(struct sock *so, unsigned long request, int *value);

/* Level IPPROTO_UDP: UDP_CORK. */
int udp_sock_setopt(struct sock *so, int name, const void *val, socklen_t len);
int udp_sock_getopt(struct sock *so, int name, void *val, socklen_t *len);

/* sock_opt.c stored a new value of a common option. */
void udp_sock_opt_changed(struct sock *so, int level, int name);

#endif
