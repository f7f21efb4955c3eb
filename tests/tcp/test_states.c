/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_states.c - every state of RFC 9293 x {SYN, ACK, FIN, RST}, and RFC 5961's challenges
 *
 * Each case reaches its state by packets, sends one segment and says what must come back and where the
 * connection is then. "gone" is seen by an ACK that is answered with RST.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/kit/tcp_kit.h"

enum state {
	CLOSED,
	LISTEN,
	SYN_SENT,
	SYN_RECV,
	ESTAB,
	FIN_WAIT1,
	FIN_WAIT2,
	CLOSE_WAIT,
	CLOSING,
	LAST_ACK,
	TIME_WAIT
};

#define GONE 99 /* no connection any more */
#define KEEP 0  /* do not ask */

/* Next sequence numbers of both sides in the state, relative. */
struct place {
	uint32_t seq, ack;
};

static struct place reach(struct tcp_kit *k, enum state s)
{
	switch (s) {
	case CLOSED:
		tcp_kit_start(k, .mss = 1000);
		return (struct place){0, 0};
	case LISTEN:
		tcp_kit_start(k, .mss = 1000);
		tcp_kit_listen(k, 8);
		return (struct place){0, 0};
	case SYN_SENT:
		tcp_kit_start(k, .mss = 1000);
		k->so = tcp_kit_connect(k, 0);
		expect_tx(k, SEG(.seq = -1, .flags = "S"));
		return (struct place){0, 0};
	case SYN_RECV:
		tcp_kit_start(k, .mss = 1000);
		tcp_kit_listen(k, 8);
		tcp_kit_rx(k, SEG(.seq = -1, .flags = "S", .opts = "mss 1000"));
		expect_tx(k, SEG(.seq = -1, .flags = "SA"));
		return (struct place){0, 0};
	default:
		break;
	}
	tcp_kit_established(k, .mss = 1000);
	if (s == CLOSE_WAIT || s == LAST_ACK) {
		tcp_kit_rx(k, SEG(.flags = "FA"));
		expect_tx_at_ms(k, 40, SEG(.ack = 1, .flags = "A"));
	}
	if (s == CLOSE_WAIT)
		return (struct place){1, 0};
	if (s == LAST_ACK) {
		tcp_kit_shutdown(k, SHUT_WR);
		expect_tx(k, SEG(.ack = 1, .flags = "FA"));
		return (struct place){1, 1};
	}
	if (s == ESTAB)
		return (struct place){0, 0};
	tcp_kit_shutdown(k, SHUT_WR);
	expect_tx(k, SEG(.flags = "FA"));
	if (s == FIN_WAIT2)
		tcp_kit_rx(k, SEG(.ack = 1, .flags = "A"));
	if (s == CLOSING) {
		tcp_kit_rx(k, SEG(.ack = 0, .flags = "FA"));
		expect_tx(k, SEG(.seq = 1, .ack = 1, .flags = "A"));
		return (struct place){1, 1};
	}
	if (s == TIME_WAIT) {
		tcp_kit_rx(k, SEG(.ack = 1, .flags = "FA"));
		expect_tx(k, SEG(.seq = 1, .ack = 1, .flags = "A"));
		return (struct place){1, 1};
	}
	return (struct place){0, 1};
}

struct state_case {
	const char *name;
	enum state state;
	const char *flags; /* sent at the next expected sequence number, acknowledging all */
	int seq_add, ack_add;
	const char *reply; /* flags; NULL: silence */
	int then;          /* TCP_*, GONE or KEEP */
};

static const struct state_case cases[] = {
	{"closed SYN", CLOSED, "S", -1, 0, "RA", KEEP},
	{"closed ACK", CLOSED, "A", 0, 0, "R", KEEP},
	{"closed FIN", CLOSED, "FA", 0, 0, "R", KEEP},
	{"closed RST", CLOSED, "R", 0, 0, NULL, KEEP},

	{"listen SYN", LISTEN, "S", -1, 0, "SA", KEEP},
	{"listen ACK", LISTEN, "A", 0, 0, "R", KEEP},
	{"listen FIN", LISTEN, "FA", 0, 0, "R", KEEP},
	{"listen bare FIN", LISTEN, "F", 0, 0, NULL, KEEP},
	{"listen RST", LISTEN, "R", 0, 0, NULL, KEEP},

	{"syn-sent SYN", SYN_SENT, "S", -1, 0, "SA", TCP_SYN_RECV},
	{"syn-sent ACK", SYN_SENT, "A", 0, 0, NULL, TCP_SYN_SENT},
	{"syn-sent wrong ACK", SYN_SENT, "A", 0, 5, "R", TCP_SYN_SENT},
	{"syn-sent FIN", SYN_SENT, "FA", 0, 0, NULL, TCP_SYN_SENT},
	{"syn-sent RST", SYN_SENT, "RA", -1, 0, NULL, TCP_CLOSE},
	{"syn-sent RST without ACK", SYN_SENT, "R", -1, 0, NULL, TCP_SYN_SENT},
	{"syn-sent SYN+ACK", SYN_SENT, "SA", -1, 0, "A", TCP_ESTABLISHED},

	{"syn-received SYN again", SYN_RECV, "S", -1, 0, "SA", KEEP},
	{"syn-received ACK", SYN_RECV, "A", 0, 0, NULL, KEEP},
	{"syn-received FIN", SYN_RECV, "FA", 0, 0, "A", KEEP},
	{"syn-received RST", SYN_RECV, "R", 0, 0, NULL, GONE},
	{"syn-received RST out of window", SYN_RECV, "R", 100000, 0, NULL, KEEP},

	{"established SYN", ESTAB, "S", 0, 0, "A", TCP_ESTABLISHED},
	{"established old SYN", ESTAB, "S", -1, 0, "A", TCP_ESTABLISHED},
	{"established SYN+ACK", ESTAB, "SA", -1, 0, "A", TCP_ESTABLISHED},
	{"established ACK", ESTAB, "A", 0, 0, NULL, TCP_ESTABLISHED},
	{"established ACK of the future", ESTAB, "A", 0, 1000, NULL, TCP_ESTABLISHED},
	{"established ACK of long ago", ESTAB, "A", 0, -1000000, "A", TCP_ESTABLISHED},
	{"established FIN", ESTAB, "FA", 0, 0, "A", TCP_CLOSE_WAIT},
	{"established FIN without ACK", ESTAB, "F", 0, 0, NULL, TCP_ESTABLISHED},
	{"established FIN out of window", ESTAB, "FA", 1000000, 0, "A", TCP_ESTABLISHED},
	{"established RST", ESTAB, "R", 0, 0, NULL, TCP_CLOSE},
	{"established RST in window", ESTAB, "R", 100, 0, "A", TCP_ESTABLISHED},
	{"established RST before window", ESTAB, "R", -1, 0, NULL, TCP_ESTABLISHED},
	{"established RST beyond window", ESTAB, "R", 1000000, 0, NULL, TCP_ESTABLISHED},
	{"established no flags", ESTAB, "N", 0, 0, NULL, TCP_ESTABLISHED},

	{"fin-wait-1 SYN", FIN_WAIT1, "S", 0, 0, "A", TCP_FIN_WAIT1},
	{"fin-wait-1 ACK", FIN_WAIT1, "A", 0, 0, NULL, TCP_FIN_WAIT2},
	{"fin-wait-1 old ACK", FIN_WAIT1, "A", 0, -1, NULL, TCP_FIN_WAIT1},
	{"fin-wait-1 FIN", FIN_WAIT1, "FA", 0, -1, "A", TCP_CLOSING},
	{"fin-wait-1 FIN+ACK", FIN_WAIT1, "FA", 0, 0, "A", KEEP},
	{"fin-wait-1 RST", FIN_WAIT1, "R", 0, 0, NULL, GONE},

	{"fin-wait-2 SYN", FIN_WAIT2, "S", 0, 0, "A", TCP_FIN_WAIT2},
	{"fin-wait-2 ACK", FIN_WAIT2, "A", 0, 0, NULL, TCP_FIN_WAIT2},
	{"fin-wait-2 FIN", FIN_WAIT2, "FA", 0, 0, "A", KEEP},
	{"fin-wait-2 RST", FIN_WAIT2, "R", 0, 0, NULL, GONE},

	{"close-wait SYN", CLOSE_WAIT, "S", 0, 0, "A", TCP_CLOSE_WAIT},
	{"close-wait ACK", CLOSE_WAIT, "A", 0, 0, NULL, TCP_CLOSE_WAIT},
	{"close-wait FIN again", CLOSE_WAIT, "FA", -1, 0, "A", TCP_CLOSE_WAIT},
	{"close-wait RST", CLOSE_WAIT, "R", 0, 0, NULL, TCP_CLOSE},

	{"closing SYN", CLOSING, "S", 0, 0, "A", TCP_CLOSING},
	{"closing ACK", CLOSING, "A", 0, 0, NULL, KEEP},
	{"closing FIN again", CLOSING, "FA", -1, -1, "A", TCP_CLOSING},
	{"closing RST", CLOSING, "R", 0, 0, NULL, GONE},

	{"last-ack SYN", LAST_ACK, "S", 0, 0, "A", TCP_LAST_ACK},
	{"last-ack ACK", LAST_ACK, "A", 0, 0, NULL, GONE},
	{"last-ack FIN again", LAST_ACK, "FA", -1, -1, "A", TCP_LAST_ACK},
	{"last-ack RST", LAST_ACK, "R", 0, 0, NULL, GONE},

	{"time-wait old SYN", TIME_WAIT, "S", -1, 0, "A", KEEP},
	{"time-wait new SYN", TIME_WAIT, "S", 100000, 0, "SA", KEEP},
	{"time-wait ACK", TIME_WAIT, "A", 0, 0, NULL, KEEP},
	{"time-wait FIN again", TIME_WAIT, "FA", -1, 0, "A", KEEP},
	{"time-wait RST", TIME_WAIT, "R", 0, 0, NULL, GONE},
};

static void check(const struct state_case *c)
{
	KIT(k);
	struct place p = reach(&k, c->state);
	uint32_t seq = p.seq + (uint32_t)c->seq_add, ack = p.ack + (uint32_t)c->ack_add;

	tcp_kit_rx(&k, SEG(.seq = seq, .ack = ack, .flags = c->flags,
			   .opts = strchr(c->flags, 'S') ? "mss 1000" : NULL));
	if (c->reply && strchr(c->flags, 'F')) /* the ACK of a FIN may be delayed */
		advance_ms(&k, 40);
	const struct seg_frame *f = tcp_kit_next_tx(&k);
	if (!c->reply) {
		if (f)
			tcp_kit_fail(&k, __FILE__, __LINE__, "%s: silence expected, sent was [%s]", c->name,
				     f->flags);
	} else {
		char flags[12] = "";
		if (f)
			snprintf(flags, sizeof flags, "%s", f->flags);
		bool same = strlen(flags) == strlen(c->reply);
		for (const char *l = c->reply; *l; l++)
			same = same && strchr(flags, *l);
		if (!same)
			tcp_kit_fail(&k, __FILE__, __LINE__, "%s: [%s] expected, sent was [%s]", c->name,
				     c->reply, flags);
		expect_silence(&k);
	}
	if (c->then == GONE) {
		tcp_kit_rx(&k, SEG(.seq = seq, .ack = ack, .flags = "A"));
		expect_tx(&k, SEG(.seq = ack, .flags = "R"));
	} else if (c->then != KEEP && tcp_kit_state(&k) != c->then) {
		tcp_kit_fail(&k, __FILE__, __LINE__, "%s: state %d expected, is %d", c->name, c->then,
			     tcp_kit_state(&k));
	}
	if (c->state == LISTEN ||
	    c->state == SYN_RECV) /* the peer gives up, so that teardown finds nothing */
		tcp_kit_rx(&k, SEG(.seq = strchr(c->flags, 'F') ? 1 : 0, .flags = "R"));
	if (c->state == TIME_WAIT && c->seq_add > 1)
		tcp_kit_rx(&k, SEG(.seq = seq + 1, .flags = "R"));
	tcp_kit_drop_tx(&k);
}

#define GROUP(group, first_state, last_state)                                                                \
	Test(tcp_states, group)                                                                              \
	{                                                                                                    \
		for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)                                  \
			if (cases[i].state >= first_state && cases[i].state <= last_state)                   \
				check(&cases[i]);                                                            \
	}

GROUP(closed_and_listen, CLOSED, LISTEN)
GROUP(syn_sent, SYN_SENT, SYN_SENT)
GROUP(syn_received, SYN_RECV, SYN_RECV)
GROUP(established, ESTAB, ESTAB)
GROUP(fin_wait_1, FIN_WAIT1, FIN_WAIT1)
GROUP(fin_wait_2, FIN_WAIT2, FIN_WAIT2)
GROUP(close_wait, CLOSE_WAIT, CLOSE_WAIT)
GROUP(closing, CLOSING, CLOSING)
GROUP(last_ack, LAST_ACK, LAST_ACK)
GROUP(time_wait, TIME_WAIT, TIME_WAIT)

Test(tcp_states, challenge_acks_are_limited_to_one_per_half_second)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	for (unsigned i = 0; i < 50; i++)
		tcp_kit_rx(&k, SEG(.seq = 100 + i, .flags = "R"));
	expect_tx(&k, SEG(.flags = "A"));
	expect_silence(&k);
	advance_ms(&k, 500);
	for (unsigned i = 0; i < 50; i++)
		tcp_kit_rx(&k, SEG(.seq = i, .flags = "S", .opts = "mss 1000"));
	expect_tx(&k, SEG(.flags = "A"));
	expect_silence(&k);
	cr_assert_eq(tcp_kit_state(&k), TCP_ESTABLISHED);
}

Test(tcp_states, blind_data_with_a_wild_ack_is_not_taken)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	tcp_kit_rx(&k, SEG(.ack = 123456, .flags = "PA", .len = 10));
	tcp_kit_rx(&k, SEG(.ack = -3000000, .flags = "PA", .len = 10));
	tcp_kit_drop_tx(&k);
	cr_assert_eq(tcp_kit_events(k.so) & EPOLLIN, 0);
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10));
	tcp_kit_drop_tx(&k);
	tcp_kit_app_reads(&k, 10);
}
