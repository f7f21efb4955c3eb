/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_many.c - what is done differently from TCP_MANY connections on: bursts are looked at beforehand
 * (tcp_ahead.c), and timers with nothing to do are taken off at once (tcp_timer_settle())
 */
#include "tcp_unit.h"

#include "stack/counters.h"
#include "stack/tcp_timer.h"
#include "tests/kit/seg.h"

static void many(struct unit *u)
{
	for (unsigned i = 0; i < TCP_MANY; i++) {
		struct tcp_conn *c = unit_conn(u);

		c->so.local = unit_at("198.18.0.2", 80);
		c->so.peer = unit_at("198.18.0.1", (uint16_t)(1000 + i));
		tcp_table_add(c, tcp_hash(u->st->tcp, &c->so.local, &c->so.peer));
	}
}

/* Frames of every length, whole ones for each of the connections and for nobody: as if nobody had looked. */
Test(tcp_many, looking_ahead_changes_nothing)
{
	struct unit u;
	struct seg_link link = {.src_mac = {2, 0, 0, 0, 0, 1}};
	struct rte_mbuf *pkts[200];

	unit_start(&u, TCP_MANY + 16);
	many(&u);
	for (unsigned i = 0; i < 200; i++) {
		pkts[i] = seg_build(u.pool, &link,
				    SEG(.src = inet_addr("198.18.0.1"), .dst = inet_addr("198.18.0.2"),
					.sport = (uint16_t)(i < 190 ? 1000 + i : 7 + i), .dport = 80,
					.seq = 0xffffff01, .ack = 0xffffff01, .flags = "A", .opts = "",
					.cut_bytes = i < 54 ? 54 - i : 0),
				    0);
	}
	stack_input(u.st, pkts, 200, NS_PER_MS);
	cr_assert_eq(u.st->counters[COUNTER_rx_frames], 200);
	cr_assert_eq(u.st->counters[COUNTER_eth_rx_short], 14);
	cr_assert_eq(u.st->counters[COUNTER_ip_rx_truncated], 40);
	cr_assert_eq(u.st->counters[COUNTER_tcp_rx], 146);
	cr_assert_eq(u.st->counters[COUNTER_tcp_no_socket], 10);
	unit_stop(&u);
}

Test(tcp_many, idle_connections_leave_the_timer_wheel)
{
	struct unit u;
	struct tcp_conn *c;

	unit_start(&u, TCP_MANY + 16);
	c = unit_conn(&u);
	tcp_timer_at(c, TCP_T_REXMIT, NS_PER_SEC);
	tcp_timer_off(c, TCP_T_REXMIT);
	tcp_timer_settle(c);
	cr_assert(timer_pending(&c->timer), "among few connections it is left for the next request");

	many(&u);
	tcp_timer_settle(c);
	cr_assert_not(timer_pending(&c->timer));
	cr_assert_eq(stack_next_timer(u.st), TIME_NEVER);

	/* What else it waits for stays */
	tcp_timer_at(c, TCP_T_KEEP, 9 * NS_PER_SEC);
	tcp_timer_at(c, TCP_T_REXMIT, NS_PER_SEC);
	tcp_timer_off(c, TCP_T_REXMIT);
	tcp_timer_settle(c);
	cr_assert(timer_pending(&c->timer));
	cr_assert_eq(c->timer.due, 9 * NS_PER_SEC);
	unit_stop(&u);
}
