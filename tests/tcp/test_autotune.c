/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_autotune.c - the receive buffer grows with what the program reads in a round trip (Linux's dynamic
 * right-sizing, tcp_moderate_rcvbuf), and with nothing else
 */
#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/kit/tcp_kit.h"

#define RMEM_DEFAULT 16384
#define RMEM_MAX     262144
#define RTT_MS       20

static void small_default(struct stack_config *cfg)
{
	cfg->tcp_rmem[0] = 4096;
	cfg->tcp_rmem[1] = RMEM_DEFAULT;
	cfg->tcp_rmem[2] = RMEM_MAX;
}

static void small_default_fixed(struct stack_config *cfg)
{
	small_default(cfg);
	cfg->tcp_moderate_rcvbuf = false;
}

/* Bytes from `sent` on that the newest of the segments sent since allows; the others are forgotten. */
static uint32_t room(struct tcp_kit *k, uint32_t sent, uint32_t *edge)
{
	unsigned scale = tcp_kit_info(k).tcpi_rcv_wscale;

	for (const struct seg_frame *f; (f = tcp_kit_next_tx(k)) != NULL;) {
		uint32_t win = f->seg.win == SEG_WIN_ZERO ? 0 : (uint32_t)f->seg.win << scale;

		*edge = f->seg.ack + win;
	}
	return *edge - sent;
}

/*
 * For some round trips the peer sends all that the window lets it, at most `most_sent` bytes in each, and the
 * program reads at most `most_read`. Returns the largest window seen.
 */
static uint32_t run(struct tcp_kit *k, unsigned rounds, uint32_t most_sent, uint32_t most_read)
{
	uint32_t sent = 0, read = 0, edge = 8000, largest = 0;

	for (unsigned i = 0; i < rounds; i++) {
		uint32_t window = room(k, sent, &edge), bytes = window < most_sent ? window : most_sent;

		largest = window > largest ? window : largest;
		for (; bytes >= 1000; bytes -= 1000, sent += 1000)
			tcp_kit_rx(k, SEG(.seq = sent, .flags = bytes >= 2000 ? "A" : "PA", .len = 1000));
		bytes = sent - read < most_read ? sent - read : most_read;
		if (bytes)
			tcp_kit_app_reads(k, bytes);
		read += bytes;
		advance_ms(k, RTT_MS);
	}
	tcp_kit_app_reads(k, sent - read);
	advance_ms(k, 100);
	tcp_kit_drop_tx(k);
	return largest;
}

Test(tcp_autotune, window_of_a_fast_reader_grows_up_to_the_limit)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .wscale = 7, .ts = true, .configure = small_default,
			    .rtt_ms = RTT_MS);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_RCVBUF), RMEM_DEFAULT);
	uint32_t largest = run(&k, 20, UINT32_MAX, UINT32_MAX);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_RCVBUF), RMEM_MAX);
	cr_assert_geq(largest, RMEM_MAX / 4, "the window only reached %u", largest);
	cr_assert_leq(largest, RMEM_MAX);
}

Test(tcp_autotune, also_without_timestamps)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .wscale = 7, .configure = small_default, .rtt_ms = RTT_MS);
	run(&k, 40, UINT32_MAX, UINT32_MAX);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_RCVBUF), RMEM_MAX);
}

Test(tcp_autotune, a_slow_sender_does_not_need_it)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .wscale = 7, .ts = true, .configure = small_default,
			    .rtt_ms = RTT_MS);
	run(&k, 40, 2000, UINT32_MAX);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_RCVBUF), RMEM_DEFAULT);
}

Test(tcp_autotune, a_slow_reader_does_not_get_it)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .wscale = 7, .ts = true, .configure = small_default,
			    .rtt_ms = RTT_MS);
	run(&k, 40, UINT32_MAX, 300);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_RCVBUF), RMEM_DEFAULT);
}

Test(tcp_autotune, so_rcvbuf_and_the_key_turn_it_off)
{
	KIT(k);
	tcp_kit_established(&k, .mss = 1000, .wscale = 7, .ts = true, .configure = small_default,
			    .rtt_ms = RTT_MS);
	tcp_kit_set(&k, SOL_SOCKET, SO_RCVBUF, 10000);
	run(&k, 20, UINT32_MAX, UINT32_MAX);
	cr_assert_eq(tcp_kit_get(&k, SOL_SOCKET, SO_RCVBUF), 20000);

	KIT(fixed);
	tcp_kit_established(&fixed, .mss = 1000, .wscale = 7, .ts = true, .configure = small_default_fixed,
			    .rtt_ms = RTT_MS);
	run(&fixed, 20, UINT32_MAX, UINT32_MAX);
	cr_assert_eq(tcp_kit_get(&fixed, SOL_SOCKET, SO_RCVBUF), RMEM_DEFAULT);
}
