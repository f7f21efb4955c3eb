/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sock.h - the endpoint that the socket API sees: TCP connection, TCP listener or UDP socket
 *
 * Every call is non-blocking and returns 0 or a positive count, or -errno as the man page of the system call
 * of the same name says; blocking, SIGPIPE and file descriptors belong to preload/. The caller holds the lock
 * of sock->stack. Nothing is transmitted by these calls themselves: see stack_output().
 *
 * `events` may be read without the lock: it is the current readiness (EPOLLIN | EPOLLOUT | EPOLLRDHUP |
 * EPOLLHUP | EPOLLERR | EPOLLPRI as Linux's tcp_poll()/udp_poll() would answer), one word, kept up to date by
 * the stack.
 */
#ifndef STACK_SOCK_H
#define STACK_SOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "clock.h"
#include "ip_addr.h"

struct rte_mbuf;
struct stack;

enum sock_kind { SOCK_KIND_FREE, SOCK_KIND_TCP, SOCK_KIND_TCP_LISTEN, SOCK_KIND_UDP };

/* What a program asked recvmsg(2) to tell it: bits of sock.recv_opts; preload/ makes the control messages. */
enum sock_recv_opt {
	SOCK_RECV_PKTINFO = 1 << 0, /* IP_PKTINFO, IPV6_RECVPKTINFO */
	SOCK_RECV_TTL = 1 << 1,     /* IP_RECVTTL, IPV6_RECVHOPLIMIT */
	SOCK_RECV_TOS = 1 << 2,     /* IP_RECVTOS, IPV6_RECVTCLASS */
	SOCK_RECV_ERR = 1 << 3,     /* IP_RECVERR, IPV6_RECVERR */
	SOCK_RECV_ORIGDST = 1 << 4, /* IP_RECVORIGDSTADDR */
	SOCK_RECV_TIMESTAMP = 1 << 5,
	SOCK_RECV_TIMESTAMPNS = 1 << 6,
	SOCK_RECV_RXQ_OVFL = 1 << 7,
	SOCK_RECV_INQ = 1 << 8, /* TCP_INQ */
};

/* Options that only getsockopt(2) and rare paths read; kept away from the fields that packets touch. */
struct sock_opts {
	uint32_t recv_opts; /* enum sock_recv_opt */
	uint32_t mark, priority;
	uint32_t timestamping; /* SO_TIMESTAMPING flags, stored */
	uint64_t max_pacing_rate;
	int32_t incoming_cpu, busy_poll_us, peek_off;
	int32_t user_ttl;     /* IP_TTL as set; -1: the default */
	int32_t tclass, hops; /* IPV6_TCLASS, IPV6_UNICAST_HOPS: stored, IPv4 packets do not carry them */
	uint8_t pmtudisc;     /* IP_PMTUDISC_* */
	uint8_t mcast_ttl, min_ttl;
	bool mcast_loop, mcast_all, dontroute, oobinline, bind_no_port, freebind;
	bool zerocopy : 1, no_check : 1, debug : 1, select_err_queue : 1, prefer_busy_poll : 1;
	/* RFC 7413: stored. The stack asks for no cookie and gives none, so a handshake is always a full one.
	 */
	bool fastopen_connect : 1, fastopen_no_cookie : 1;
	uint16_t fastopen_queue;
};

struct sock {
	/* Line 1: what a packet is told by, and what it changes first */
	struct stack *stack;
	_Atomic uint32_t events; /* current EPOLL* readiness; written under the lock, read by anybody */
	uint32_t wake;           /* wake-ups not yet fetched with stack_next_woken() */
	struct endpoint local, peer;

	/* Line 2 */
	struct sock *wake_next; /* link in the stack's list of woken sockets */
	bool wake_queued;
	uint8_t kind;   /* enum sock_kind */
	uint8_t family; /* AF_INET or AF_INET6: how addresses are shown, and whether it is dual-stack */
	bool orphan;    /* sock_close() was called: no program owns it any more */
	bool reuseaddr, reuseport, v6only, keepalive, broadcast;
	uint8_t shut;                        /* 1 = SHUT_RD done, 2 = SHUT_WR done */
	int32_t error;                       /* positive errno waiting for SO_ERROR or the next call */
	int32_t linger_s;                    /* SO_LINGER seconds, -1 when off */
	uint32_t rcvbuf_bytes, sndbuf_bytes; /* limits now in force */
	uint32_t rcvlowat_bytes;             /* at least 1 */
	bool rcvbuf_locked, sndbuf_locked;   /* set by SO_RCVBUF/SO_SNDBUF: no autotuning */
	uint8_t tos, ttl;                    /* of packets sent */
	void *user;                          /* owner's cookie, never touched by the stack */
	time_ns rcvtimeo_ns, sndtimeo_ns;    /* 0 = for ever; kept here, used by preload/ */

	struct sock_opts opts;
};

/* What a received datagram or stream read tells besides bytes. */
struct sock_recv_info {
	struct endpoint from; /* UDP: sender */
	struct ip_addr to;    /* UDP: the address it was sent to (IP_PKTINFO) */
	uint32_t msg_flags;   /* MSG_TRUNC, MSG_OOB, MSG_ERRQUEUE to be set in msghdr.msg_flags */
	uint32_t full_len;    /* UDP: length of the whole datagram, for MSG_TRUNC */
	time_ns at;           /* UDP: when it arrived, in the stack's time (SO_TIMESTAMP) */
	uint32_t dropped;     /* UDP: datagrams lost for want of room so far (SO_RXQ_OVFL) */
	uint8_t tos, ttl;
};

/* A socket of `family` AF_INET or AF_INET6 and `type` SOCK_STREAM or SOCK_DGRAM. -ENOBUFS when the table is
 * full. */
int sock_new(struct stack *st, int family, int type, struct sock **out);

/*
 * The program let go of its last descriptor. TCP: what close(2) does, including RST when unread data is
 * thrown away (RFC 2525, 2.17) or SO_LINGER is {1,0}; the connection then finishes by itself. The pointer is
 * dead afterwards.
 */
void sock_close(struct sock *so);

/* Is there a socket of `type` that takes what is sent to `to`: a TCP listener, or a UDP socket whoever sends?
 */
bool sock_listens_at(const struct stack *st, int type, const struct endpoint *to);

int sock_bind(struct sock *so, const struct endpoint *local);
int sock_listen(struct sock *so, int backlog); /* again: changes the backlog, as on Linux */

/*
 * Several stacks with one address (stack_join()), which one bind(2) or listen(2) concerns together:
 * sock_may_bind() says 0 or -EADDRINUSE for a socket of another stack that is to have `local`, under the lock
 * of `st` and whatever keeps binds from racing each other; sock_listen_twin() makes a listener like `leader`
 * in `st`, under both locks. Twins take options, shutdown and close one by one, the leader last.
 */
int sock_may_bind(const struct stack *st, const struct sock *so, const struct endpoint *local);
int sock_listen_twin(struct sock *leader, struct stack *st, struct sock **twin);

/* Of a SO_REUSEPORT group the listener gets the SYNs of this queue before others. */
void sock_listen_near(struct sock *listener, uint16_t queue);

/* Takes the oldest established connection; -EAGAIN, -EINVAL (not listening). *child inherits options as on
 * Linux. */
int sock_accept(struct sock *so, struct sock **child);

/* Since when that one has been waiting; TIME_NEVER: none does. Of a listener only. */
time_ns sock_accept_since(const struct sock *so);

/* TCP: -EINPROGRESS, -EALREADY, -EISCONN, … as connect(2) for a non-blocking socket. UDP: sets the peer. */
int sock_connect(struct sock *so, const struct endpoint *peer);
int sock_disconnect(struct sock *so); /* connect(AF_UNSPEC) */

/*
 * Bytes taken (may be fewer for TCP), -EAGAIN, -EPIPE, the pending error … `to` is for sendto(2) on UDP, else
 * NULL. flags: MSG_MORE, MSG_OOB, MSG_DONTROUTE; the others concern the caller.
 */
ssize_t sock_send(struct sock *so, const struct iovec *iov, int iovcnt, int flags, const struct endpoint *to);

/* Bytes given, 0 at end of stream, -EAGAIN … flags: MSG_PEEK, MSG_TRUNC, MSG_OOB. info may be NULL. */
ssize_t sock_recv(struct sock *so, const struct iovec *iov, int iovcnt, int flags,
		  struct sock_recv_info *info);

/*
 * For sendfile(2): room for up to `bytes` in fresh segment buffers (a list linked by pkt_meta()->next, each
 * with off and len set and filled by the caller without the lock), then sock_tx_append() queues the first
 * `bytes` of it and frees what is left over. alloc: -EAGAIN when the send buffer is full, -EPIPE …, else the
 * bytes there is room for.
 */
ssize_t sock_tx_alloc(struct sock *so, size_t bytes, struct rte_mbuf **list);
int sock_tx_append(struct sock *so, struct rte_mbuf *list, size_t bytes, int flags);

int sock_shutdown(struct sock *so, int how); /* SHUT_RD, SHUT_WR, SHUT_RDWR */

/* Linux's levels, names, layouts and errnos; SURFACE.md lists the options. -ENOPROTOOPT for what is not
 * known. */
int sock_setopt(struct sock *so, int level, int name, const void *val, socklen_t len);
int sock_getopt(struct sock *so, int level, int name, void *val, socklen_t *len);

/* SIOCINQ (FIONREAD), SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK; *value gets the answer. */
int sock_ioctl(struct sock *so, unsigned long request, int *value);

/*
 * TCP, what TCP_CM_INQ says after a read (tcp(7), TCP_INQ): bytes that wait, and one more when the stream's
 * end was received, so that 0 means that a read would find nothing.
 */
int sock_inq(const struct sock *so);

static inline uint32_t sock_events(const struct sock *so)
{
	return atomic_load_explicit(&so->events, memory_order_acquire);
}

#endif
