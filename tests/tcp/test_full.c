/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_full.c - when something runs out: connections, packet buffers, send buffer, device; the others are
 * served on
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/kit/tcp_kit.h"

static void few_connections(struct stack_config *cfg)
{
	cfg->max_tcp = 16;
}

/* One request and its answer over k->so, which is `flow` with stream positions of its own. */
static void exchange(struct tcp_kit *k, unsigned flow, uint32_t at)
{
	k->written = k->read = at;
	tcp_kit_rx(k, SEG(.flow = flow, .seq = at, .ack = at, .flags = "PA", .len = 100));
	tcp_kit_app_reads(k, 100);
	tcp_kit_app_writes(k, 100);
	const struct seg_frame *f;
	uint32_t sent = 0;
	while ((f = tcp_kit_next_tx(k)) != NULL)
		if (f->seg.flow == flow)
			sent += f->seg.len;
	cr_assert_eq(sent, 100);
	tcp_kit_rx(k, SEG(.flow = flow, .seq = at + 100, .ack = at + 100, .flags = "A"));
	tcp_kit_drop_tx(k);
}

Test(tcp_full, connection_table)
{
	KIT(k);
	struct sock *extra = NULL;
	unsigned made = 0;

	tcp_kit_established(&k, .mss = 1000, .backlog = 64, .configure = few_connections);
	for (unsigned flow = 1; flow < 40; flow++) {
		tcp_kit_rx(&k, SEG(.flow = flow, .seq = -1, .flags = "S", .opts = "mss 1000"));
		const struct seg_frame *f = tcp_kit_next_tx(&k);
		made += f && strchr(f->flags, 'S');
	}
	cr_assert_leq(made, 14, "%u connections in a table of 16 with a listener and one connection", made);
	cr_assert_geq(made, 8);
	cr_assert_gt(tcp_kit_counter(&k, tcp_table_full), 0);
	int rc = sock_new(k.st, AF_INET, SOCK_STREAM, &extra);
	cr_assert(rc == -ENOBUFS || rc == 0, "%d", rc);
	if (rc == 0)
		sock_close(extra);
	exchange(&k, 0, 0);
	for (unsigned flow = 1; flow < 40; flow++)
		tcp_kit_rx(&k, SEG(.flow = flow, .flags = "R"));
	tcp_kit_drop_tx(&k);
	tcp_kit_peer_connects(&k, 50); /* there is room again */
	exchange(&k, 0, 100);
}

Test(tcp_full, unread_data_does_not_take_the_last_packet_buffers)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .mbufs = 512, .backlog = 16);
	struct sock *first = k.so;
	struct sock *idle[10];
	for (unsigned i = 0; i < 10; i++) {
		tcp_kit_peer_connects(&k, i + 1);
		cr_assert_eq(sock_accept(k.listener, &idle[i]), 0);
	}
	/* Ten connections are flooded and read nothing. */
	for (unsigned n = 0; n < 60; n++) {
		for (unsigned i = 0; i < 10; i++)
			tcp_kit_rx(&k, SEG(.flow = i + 1, .seq = n * 1000, .flags = "PA", .len = 1000));
		tcp_kit_drop_tx(&k);
	}
	cr_assert_gt(tcp_kit_counter(&k, tcp_rx_no_memory), 0, "512 buffers were enough for 600 segments?");
	k.so = first;
	exchange(&k, 0, 0);
	for (unsigned i = 0; i < 10; i++)
		sock_close(idle[i]);
	tcp_kit_poll(&k);
	tcp_kit_drop_tx(&k);
	exchange(&k, 0, 100);
}

Test(tcp_full, writers_that_nobody_reads_do_not_take_the_last_packet_buffers)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .mbufs = 512, .backlog = 16, .win = 2000);
	struct sock *first = k.so, *writer[10];
	for (unsigned i = 0; i < 10; i++) {
		tcp_kit_peer_connects(&k, i + 1);
		cr_assert_eq(sock_accept(k.listener, &writer[i]), 0);
		k.so = writer[i];
		k.written = 0;
		ssize_t rc;
		while ((rc = tcp_kit_app_send(&k, 5000, 0)) > 0)
			tcp_kit_drop_tx(&k);
		cr_assert_eq(rc, -EAGAIN);
		cr_assert_eq(tcp_kit_events(k.so) & EPOLLOUT, 0);
		tcp_kit_drop_tx(&k);
	}
	k.so = first;
	exchange(&k, 0, 0);
	for (unsigned i = 0; i < 10; i++) {
		tcp_kit_rx(&k, SEG(.flow = i + 1, .flags = "R"));
		sock_close(writer[i]);
	}
	tcp_kit_drop_tx(&k);
	exchange(&k, 0, 100);
}

Test(tcp_full, device_that_takes_nothing_loses_no_data)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000);
	k.md.tx_room = 0;
	tcp_kit_app_writes(&k, 8000);
	expect_silence(&k);
	k.md.tx_room = 3; /* the test takes three at a time */
	uint32_t next = 0;
	for (unsigned i = 0; i < 20 && next < 8000; i++) {
		tcp_kit_poll(&k);
		for (const struct seg_frame *f; (f = tcp_kit_next_tx(&k)) != NULL; next += 1000)
			cr_assert_eq(f->seg.seq, next);
	}
	cr_assert_eq(next, 8000);
	tcp_kit_rx(&k, SEG(.ack = 8000, .flags = "A"));
}

/* Found by fuzzing: what a reset connection left unread stayed when the socket became a listener. */
Test(tcp_full, listening_again_after_a_reset_keeps_no_buffer)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .active = true);
	struct endpoint peer = k.so->peer;
	tcp_kit_rx(&k, SEG(.flags = "PA", .len = 10));
	tcp_kit_drop_tx(&k);
	tcp_kit_rx(&k, SEG(.seq = 10, .flags = "R"));
	cr_assert_eq(sock_connect(k.so, &peer), -ECONNRESET);
	(void)sock_listen(k.so, 1);
	tcp_kit_poll(&k);
	tcp_kit_drop_tx(&k);
}

/* Data ahead of a hole may never become useful: it leaves a part of the buffers to data in order. */
Test(tcp_full, out_of_order_data_leaves_buffers_to_data_in_order)
{
	KIT(k);
	struct sock *first, *other[20];

	tcp_kit_established(&k, .mss = 1000, .mbufs = 512, .backlog = 32);
	first = k.so;
	for (unsigned i = 0; i < 20; i++) {
		tcp_kit_peer_connects(&k, i + 1);
		cr_assert_eq(sock_accept(k.listener, &other[i]), 0);
	}
	for (unsigned n = 1; n < 60; n++)
		for (unsigned i = 0; i < 20; i++) {
			tcp_kit_rx(&k, SEG(.flow = i + 1, .seq = n * 600, .flags = "A", .len = 550));
			tcp_kit_drop_tx(&k);
		}
	cr_assert_gt(tcp_kit_counter(&k, tcp_ofo_dropped), 0, "512 buffers were enough for 1180 segments?");
	k.so = first;
	for (unsigned n = 0; n < 20; n++)
		tcp_kit_rx(&k, SEG(.seq = n * 1000, .flags = "PA", .len = 1000));
	tcp_kit_app_reads(&k, 20000);
	tcp_kit_drop_tx(&k);
	for (unsigned i = 0; i < 20; i++)
		sock_close(other[i]);
	tcp_kit_poll(&k);
	tcp_kit_drop_tx(&k);
}
