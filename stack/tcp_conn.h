/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_conn.h - struct tcp_conn: one TCP socket, from tcp_sock_new() or a SYN to the last ACK
 *
 *     sock_send ─► sndq ─► tcp_out ─► ip4_output          ACK ─► tcp_in ─► sndq, recover, cc, rtt
 *     sock_recv ◄─ rcvq ◄─ reasm ◄─ tcp_in ◄─ ip4_input
 *
 * For the tcp_*.c files only; everyone else sees struct sock. A connection lives in the arena of struct
 * tcp_table (tcp_table.h), plain data in shared memory: no pointer to code. A socket that listens is the same
 * struct with the listener's part of the union.
 *
 * Who may write what: state is written by tcp_state.c alone, each sub-struct by the file of its name.
 *
 * Life: `so.orphan` is true while no program owns the connection (not accepted yet, or closed). An orphan in
 * state CLOSE is freed by tcp_conn_reap(), which only the outermost functions call (input, timer, flush,
 * socket calls); everything below them may therefore use the connection after tcp_done().
 */
#ifndef STACK_TCP_CONN_H
#define STACK_TCP_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "ip4.h"
#include "pkt.h"
#include "sock.h"
#include "stack_priv.h"
#include "tcp_cc.h"
#include "tcp_opt.h"
#include "tcp_rtt.h"
#include "tcp_seq.h"
#include "timer.h"

/* Linux's numbers, because TCP_INFO shows them. */
enum tcp_state {
	TCPS_ESTABLISHED = 1,
	TCPS_SYN_SENT,
	TCPS_SYN_RECV,
	TCPS_FIN_WAIT1,
	TCPS_FIN_WAIT2,
	TCPS_TIME_WAIT, /* never a tcp_conn's: struct tcp_tw stands in for it */
	TCPS_CLOSE,
	TCPS_CLOSE_WAIT,
	TCPS_LAST_ACK,
	TCPS_LISTEN,
	TCPS_CLOSING,
};

#define TCPS_BIT(s) (1u << (s))
/* States in which the peer's data is taken, and in which ours may be sent (FIN included). */
#define TCPS_RECEIVES (TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_FIN_WAIT1) | TCPS_BIT(TCPS_FIN_WAIT2))
#define TCPS_SENDS                                                                                           \
	(TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_CLOSE_WAIT) | TCPS_BIT(TCPS_FIN_WAIT1) |                 \
	 TCPS_BIT(TCPS_CLOSING) | TCPS_BIT(TCPS_LAST_ACK))
/* States in which the program may still write. */
#define TCPS_WRITABLE (TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_CLOSE_WAIT))

enum tcp_conn_flag {
	CONN_F_TS = 1 << 0,          /* timestamps agreed */
	CONN_F_SACK = 1 << 1,        /* SACK agreed */
	CONN_F_WSCALE = 1 << 2,      /* window scaling agreed */
	CONN_F_NODELAY = 1 << 3,     /* TCP_NODELAY */
	CONN_F_CORK = 1 << 4,        /* TCP_CORK */
	CONN_F_MORE = 1 << 5,        /* the last send had MSG_MORE */
	CONN_F_ACK_NOW = 1 << 6,     /* an ACK must leave with the next flush */
	CONN_F_ACK_SCHED = 1 << 7,   /* an ACK is owed; the delayed-ACK timer runs */
	CONN_F_PINGPONG = 1 << 8,    /* request/response traffic: let ACKs ride on data */
	CONN_F_FIN_PENDING = 1 << 9, /* FIN wanted, no buffer for it yet */
	CONN_F_NOSPACE = 1 << 10,    /* the program met a full send buffer: wake it when there is room */
	CONN_F_STARVED = 1 << 11,    /* it met an empty pool instead; on the table's starved list */
	CONN_F_BOUND = 1 << 12,      /* bind(2) chose the port */
	CONN_F_PORT = 1 << 13,       /* holds a port in the port table */
	CONN_F_HASHED = 1 << 14,     /* in the connection hash */
	CONN_F_IN_ACCEPTQ = 1 << 15, /* established, waits for accept(2) */
	CONN_F_SND_URG = 1 << 17,    /* snd_up is ahead of snd_una */
	CONN_F_PUSH_ALL =
		1 << 18, /* the next flush ignores Nagle and cork (set by uncorking and by NODELAY) */
	CONN_F_CWND_LIMITED = 1 << 19, /* the window held data back since the last ACK */
	CONN_F_DSACK = 1 << 20,        /* conn->dsack is to be told with the next ACK */
	CONN_F_WIN_PROBE = 1 << 21,    /* persist timer wants a probe in the next flush */
	CONN_F_PEER_DONE = 1 << 23,    /* the peer's FIN came in order */
	CONN_F_QUICK_FORCED = 1 << 24, /* TCP_QUICKACK set by the program */
	CONN_F_NOREUSE = 1 << 25,      /* counted in its port's noreuse */
	CONN_F_ORPHANED = 1 << 26,     /* closed by the program; counted in the table's orphans */
	CONN_F_CONNECTING = 1 << 27,   /* connect(2) has not reported the outcome yet */
	CONN_F_ADDR_BOUND = 1 << 28,   /* bind(2) chose the local address */
};

/* pkt_meta()->flags of a buffer in the send or out-of-order queue */
enum tcp_mbuf_flag {
	TCP_M_FIN = 1 << 0, /* a FIN follows the last byte */
	TCP_M_PSH = 1 << 1, /* ends a write */
	TCP_M_SACKED = 1 << 2,
	TCP_M_LOST = 1 << 3,
	TCP_M_RETRANS = 1 << 4, /* sent again since it was marked lost, and that copy is in flight */
	TCP_M_EVER_RETRANS = 1 << 5,
};

/*
 * Received or written buffers, linked by pkt_meta()->next. For a send queue: in sequence order without gaps
 * from snd_una to write_seq; `unsent` is the first one never transmitted.
 */
struct tcp_sndq {
	struct rte_mbuf *head, *tail, *unsent;
	uint32_t bytes; /* payload */
	uint32_t count; /* buffers */
};

struct tcp_rcvq {
	struct rte_mbuf *head, *tail;
	uint32_t bytes, count;
};

/* Out of order data: sorted by seq, not overlapping. */
struct tcp_reasm {
	struct rte_mbuf *head, *tail, *hint; /* hint: where the last one went in */
	uint32_t bytes, count;
	struct tcp_sack_block sacks[TCP_OPT_SACK_BLOCKS_MAX]; /* newest first */
	struct tcp_sack_block dsack;
	uint8_t n_sacks;
};

enum tcp_recovery { TCP_RECOVERY_OPEN, TCP_RECOVERY_FAST, TCP_RECOVERY_LOSS };

#define TCP_SACK_KNOWN 3 /* beside timestamps an ACK has no more blocks */

struct tcp_recover {
	uint32_t sacked, lost,
		retrans;   /* payload bytes (FIN counts one) with TCP_M_SACKED, _LOST, _RETRANS */
	uint32_t high_seq; /* snd_nxt when the episode began: it ends when that is acked; then, when it ended
			    */
	uint32_t prr_delivered, prr_out; /* RFC 9937, bytes since the episode began */
	uint32_t dup_acks;               /* without SACK: duplicate ACKs since the last new one */
	uint32_t rack_end;               /* RFC 8985: end of the most recently sent segment known delivered */
	time_ns rack_sent_at, rack_rtt_ns;
	uint32_t tlp_high;   /* snd_nxt when the tail loss probe left */
	uint32_t undo_una;   /* while undo_open: where the episode began whose reduction may be taken back */
	uint32_t undo_bytes; /* sent again since and not reported as duplicates */
	uint32_t undo_ts;    /* our timestamp clock when the first of them left */
	/* Where walks may start, so that all ACKs of a window together take one walk over it; NULL: queue
	 * head */
	struct rte_mbuf *hint; /* first buffer that may have to be sent again */
	struct rte_mbuf
		*rack_next; /* before it nothing sent once is undecided: all SACKED, LOST or RETRANS */
	struct rte_mbuf *sack_high; /* highest buffer marked SACKED */
	struct rte_mbuf *resent;    /* first one with TCP_M_RETRANS, in the order sent */
	union {
		struct tcp_sack_block known[TCP_SACK_KNOWN]; /* of the last ACK with SACK blocks */
		/* Without SACK: duplicate ACKs of this are answers to what a timeout sent again */
		uint32_t rto_end;
	};
	bool tlp_out, reordering_seen;
	bool undo_open, undo_resent; /* undo_resent: something was sent again */
	uint8_t timer;               /* enum tcp_rexmit_timer */
	uint8_t probes;              /* window or keep-alive probes unanswered */
	uint8_t retries;             /* consecutive RTOs (or SYNs) */
	uint8_t n_known;
};

struct tcp_listener {
	struct tcp_conn *accept_head, *accept_tail; /* linked by qnext */
	struct tcp_conn *embryos, **embryo_tail;    /* in SYN_RECV, oldest first, by qnext/qpprev */
	struct tcp_conn *next, **pprev;             /* of the table's listeners of this port */
	uint32_t accept_count, embryo_count, backlog;
	uint8_t cc_algorithm; /* of its children: TCP_CONGESTION set before accept(2) */
	/*
	 * With several stacks the socket of listen(2) leads one twin in each other stack; all count what
	 * waits for accept(2) in the leader, which is closed last. NULL: it is alone.
	 */
	uint8_t near; /* 1 + queue whose SYNs it gets before others of its SO_REUSEPORT group; 0: none */
	struct tcp_conn *leader;
	_Atomic uint32_t waiting;
};

enum tcp_timer_slot { TCP_T_REXMIT, TCP_T_DELACK, TCP_T_KEEP, TCP_T_COUNT };

/* What TCP_T_REXMIT means when it fires */
enum tcp_rexmit_timer { TCP_REXMIT_NONE, TCP_REXMIT_RTO, TCP_REXMIT_TLP, TCP_REXMIT_REO, TCP_REXMIT_PERSIST };

struct tcp_conn {
	struct sock so;

	/* What options set: fills the room up to the next cache line */
	uint32_t window_clamp, notsent_lowat, user_timeout_ms;
	int32_t linger2_s;
	uint16_t keepidle_s, keepintvl_s;
	uint16_t user_mss; /* TCP_MAXSEG, 0 unset */
	uint8_t keepcnt, syncnt;
	uint8_t defer_accept;  /* TCP_DEFER_ACCEPT as a number of SYN-ACK retransmissions */
	uint8_t last_err_soft; /* ICMP error that only matters if we give up */

	/* Rare, too */
	uint16_t peer_mss; /* from its SYN */
	uint32_t iss, irs;
	uint32_t max_wnd; /* largest window the peer offered */
	uint32_t snd_sml; /* end of the last short segment sent (Minshall's Nagle) */
	uint32_t snd_up;  /* urgent: one past the byte */
	uint32_t urg_seq;
	uint32_t dsack_dups;

	/* Line 1: found by, and what header prediction reads */
	_Alignas(64) uint32_t hash;
	uint32_t flags; /* enum tcp_conn_flag */
	uint8_t state;  /* enum tcp_state */
	uint8_t recovery;
	uint8_t snd_wscale, rcv_wscale;
	uint32_t rcv_nxt;
	uint32_t rcv_wup; /* rcv_nxt as of the last ACK sent */
	uint32_t rcv_adv; /* right edge of the window advertised */
	uint32_t snd_una, snd_nxt;
	uint32_t snd_wnd, snd_wl1; /* snd_wnd in bytes */
	uint32_t ts_recent;
	uint32_t ts_offset;
	time_ns ts_recent_at;
	time_ns rx_at; /* last acceptable ACK, as Linux's rcv_tstamp */

	/* Line 2: queues */
	struct tcp_sndq sndq;
	struct tcp_rcvq rcvq;
	uint32_t write_seq;  /* after the last byte (or FIN) the program wrote */
	uint32_t copied_seq; /* first byte the program has not read */

	/* Line 3: sending and timers */
	struct tcp_conn *dirty_next, **dirty_pprev; /* pprev NULL: not on the list */
	time_ns deadline[TCP_T_COUNT];
	uint16_t mss;     /* payload of a full segment, options deducted */
	uint16_t rcv_mss; /* estimate of what the peer sends as a full segment */
	uint8_t quick;    /* ACKs still to be sent without delay */
	uint8_t syn_sent_count;
	uint16_t advmss;                /* what our SYN said */
	time_ns data_rx_at, data_tx_at; /* last data segment received, sent */

	struct ip_path path;
	struct timer timer;
	union {
		struct {
			struct tcp_rtt rtt;
			struct tcp_cc cc;
			struct tcp_recover recover;
		};
		struct tcp_listener listen;
	};
	struct tcp_reasm reasm;

	/* Rare */
	struct tcp_conn *qnext, **qpprev;         /* embryo and accept queues of the parent, starved list */
	struct tcp_conn *port_next, **port_pprev; /* sockets bound to the same port */
	struct tcp_conn *parent;                  /* listener, until accepted; NULL once that is gone */
	time_ns oow_ack_at;                       /* last rate-limited ACK */
	time_ns drs_at;                           /* receive autotuning: start of the measured round trip */
	time_ns probe_since; /* first transmission of what is sent again; or begin of the wait for a window */
	uint32_t drs_seq, drs_copied; /* copied_seq then, and the most copied in a round trip */
	uint32_t rcv_rtt_seq;         /* rcv_nxt that ends a round trip as the receiver sees it */
	uint16_t urg_data;            /* TCP_URG_* and the byte */
	uint16_t mtu_seen;            /* path.mtu the MSS was computed with */
	time_ns rcv_rtt_at, rcv_rtt_ns;
	uint32_t total_retrans, segs_in, segs_out, data_segs_in, data_segs_out, reord_seen;
	uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans;
};

_Static_assert(sizeof(struct tcp_conn) <= 1024, "an idle connection costs at most 1 KB");

#define TCP_URG_VALID  0x0100
#define TCP_URG_NOTYET 0x0200
#define TCP_URG_READ   0x0400

#define TCP_DELACK_NS      (40 * NS_PER_MS)
#define TCP_OOW_ACK_GAP_NS (500 * NS_PER_MS) /* Linux's tcp_invalid_ratelimit */
#define TCP_QUICKACKS      16
#define TCP_MSS_DEFAULT    536
#define TCP_MSS_MIN        48
/* Bookkeeping bytes charged per queued buffer, so that tiny segments cannot pin the pool. */
#define TCP_MBUF_CHARGE 128
/* At least this is charged for a buffer in the send queue, half of what it takes: about Linux's truesize of a
 * tiny segment. */
#define TCP_MBUF_LEAST 1152

static inline struct tcp_conn *tcp_conn_of(struct sock *so)
{
	return (struct tcp_conn *)so;
}

static inline bool tcp_in_states(const struct tcp_conn *c, uint32_t mask)
{
	return TCPS_BIT(c->state) & mask;
}

/* Sequence space a queued buffer takes. */
static inline uint32_t tcp_mbuf_seqlen(struct rte_mbuf *m)
{
	const struct pkt_meta *meta = pkt_meta(m);

	return meta->len + (meta->flags & TCP_M_FIN);
}

static inline uint32_t tcp_mbuf_end(struct rte_mbuf *m)
{
	return pkt_meta(m)->seq + tcp_mbuf_seqlen(m);
}

static inline uint8_t *tcp_mbuf_payload(struct rte_mbuf *m)
{
	return (uint8_t *)m->buf_addr + pkt_meta(m)->off;
}

/* Sent and not known to have left the network (RFC 6675's pipe). */
static inline uint32_t tcp_in_flight(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una - c->recover.sacked - c->recover.lost + c->recover.retrans;
}

/* What the peer may still send: the advertised window not used yet. */
static inline uint32_t tcp_rcv_wnd(const struct tcp_conn *c)
{
	return seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
}

/* Enough to read beside `kept` bytes: SO_RCVLOWAT, or all there is when the window has no room for more (as
 * Linux). */
static inline bool tcp_readable(const struct tcp_conn *c, uint32_t kept)
{
	uint32_t have = c->rcvq.bytes > kept ? c->rcvq.bytes - kept : 0;

	return have >= c->so.rcvlowat_bytes || (have && tcp_rcv_wnd(c) <= c->rcv_mss);
}

/* When something acceptable came last: a forged or stray segment is no sign of life. */
static inline time_ns tcp_heard_at(const struct tcp_conn *c)
{
	return RTE_MAX(c->rx_at, c->data_rx_at);
}

static inline uint32_t tcp_sndq_mem(const struct tcp_conn *c)
{
	return RTE_MAX(c->sndq.bytes + c->sndq.count * TCP_MBUF_CHARGE, c->sndq.count * TCP_MBUF_LEAST);
}

/* What one more buffer with up to `len` bytes may add to that. */
static inline uint32_t tcp_mbuf_charge(uint32_t len)
{
	return RTE_MAX(len + TCP_MBUF_CHARGE, (uint32_t)TCP_MBUF_LEAST);
}

/* TCP_NOTSENT_LOWAT: enough waits in the queue already. */
static inline bool tcp_notsent_full(const struct tcp_conn *c)
{
	return c->notsent_lowat && c->write_seq - c->snd_nxt >= c->notsent_lowat;
}

static inline bool tcp_snd_has_room(const struct tcp_conn *c)
{
	return tcp_sndq_mem(c) < c->so.sndbuf_bytes && !tcp_notsent_full(c);
}

/* Linux's sk_stream_is_writeable(): a third of the buffer must be free. */
static inline bool tcp_snd_writeable(const struct tcp_conn *c)
{
	uint32_t used = tcp_sndq_mem(c);

	return used < c->so.sndbuf_bytes && c->so.sndbuf_bytes - used >= used / 2 && !tcp_notsent_full(c);
}

/* Our clock in timestamp options: milliseconds, offset per connection (RFC 7323, 5.4 and 7.1). */
static inline uint32_t tcp_ts_now(const struct stack *st, uint32_t offset)
{
	return (uint32_t)(st->now / NS_PER_MS) + offset;
}

#endif
