/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tcp_opt.c - options read and written, and every lie a length byte can tell
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "stack/tcp_opt.h"

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

Test(tcp_opt, linux_syn_is_written_byte_for_byte)
{
	uint8_t p[40];
	struct tcp_options o = {.mss = 1460,
				.sack_permitted = true,
				.has_ts = true,
				.ts_val = 0x01020304,
				.has_wscale = true,
				.wscale = 7};
	const uint8_t want[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
	cr_assert_eq(tcp_options_write(p, &o), sizeof want);
	cr_assert_arr_eq(p, want, sizeof want);

	struct tcp_options back;
	cr_assert_eq(tcp_options_parse(&back, want, sizeof want), 0);
	cr_assert_eq(back.mss, 1460);
	cr_assert(back.sack_permitted && back.has_ts && back.has_wscale);
	cr_assert_eq(back.wscale, 7);
	cr_assert_eq(back.ts_val, 0x01020304);
	cr_assert_eq(back.ts_ecr, 0);
}

Test(tcp_opt, every_combination_is_aligned_and_reads_back)
{
	for (unsigned mask = 0; mask < 16; mask++) {
		for (uint8_t n = 0; n <= 4; n++) {
			struct tcp_options in = {0}, out;
			uint8_t p[40];
			in.mss = mask & 1 ? 536 : 0;
			in.has_wscale = mask & 2;
			in.wscale = mask & 2 ? 14 : 0;
			in.sack_permitted = mask & 4;
			in.has_ts = mask & 8;
			in.ts_val = mask & 8 ? 0xfffffffe : 0;
			in.ts_ecr = mask & 8 ? 5 : 0;
			in.n_sack = n;
			for (unsigned i = 0; i < n; i++)
				in.sack[i] = (struct tcp_sack_block){0xfffffff0 + i * 100,
								     0xfffffff0 + i * 100 + 50};
			unsigned len = tcp_options_write(p, &in);
			cr_assert_leq(len, 40);
			cr_assert_eq(len % 4, 0);
			cr_assert_eq(tcp_options_parse(&out, p, len), 0);
			cr_assert_leq(out.n_sack, n);
			if (mask == 0 || mask == 8)
				cr_assert_eq(out.n_sack,
					     mask == 8 && n == 4 ? 3 : n); /* RFC 2018: 3 beside TS */
			cr_assert_arr_eq(out.sack, in.sack, out.n_sack * sizeof *in.sack);
			out.n_sack = in.n_sack;
			cr_assert(out.mss == in.mss && out.wscale == in.wscale &&
				  out.has_wscale == in.has_wscale &&
				  out.sack_permitted == in.sack_permitted && out.has_ts == in.has_ts &&
				  out.ts_val == in.ts_val && out.ts_ecr == in.ts_ecr);
		}
	}
}

Test(tcp_opt, ts_only_is_what_the_general_functions_do)
{
	uint8_t fast[12], slow[40];
	uint32_t val, ecr;
	struct tcp_options o = {.has_ts = true, .ts_val = 0xdeadbeef, .ts_ecr = 0x12345678};
	cr_assert_eq(tcp_options_write_ts_only(fast, 0xdeadbeef, 0x12345678), 12);
	cr_assert_eq(tcp_options_write(slow, &o), 12);
	cr_assert_arr_eq(fast, slow, 12);
	cr_assert(tcp_options_parse_ts_only(fast, 12, &val, &ecr));
	cr_assert_eq(val, 0xdeadbeef);
	cr_assert_eq(ecr, 0x12345678);
	cr_assert_not(tcp_options_parse_ts_only(fast, 8, &val, &ecr));
	fast[3] = 9;
	cr_assert_not(tcp_options_parse_ts_only(fast, 12, &val, &ecr));
}

Test(tcp_opt, what_came_before_a_lie_stays_valid)
{
	struct tcp_options o;
	cr_assert_eq(tcp_options_parse(&o, BYTES(2, 4, 1, 0, 3, 0)), -EINVAL);
	cr_assert_eq(o.mss, 256);
	cr_assert_not(o.has_wscale);
}

Test(tcp_opt, end_stops_and_unknown_kinds_are_skipped)
{
	struct tcp_options o;
	cr_assert_eq(tcp_options_parse(&o, BYTES(254, 4, 9, 9, 2, 4, 2, 0, 0, 3, 3, 9)), 0);
	cr_assert_eq(o.mss, 512);
	cr_assert_not(o.has_wscale);
	cr_assert_eq(tcp_options_parse(&o, NULL, 0), 0);
}

Test(tcp_opt, large_wscale_is_14)
{
	struct tcp_options o;
	cr_assert_eq(tcp_options_parse(&o, BYTES(3, 3, 255, 0)), 0);
	cr_assert_eq(o.wscale, 14);
}

Test(tcp_opt, every_kind_with_every_length)
{
	static const struct {
		uint8_t kind, len;
	} known[] = {{2, 4}, {3, 3}, {4, 2}, {8, 10}};
	for (unsigned kind = 2; kind < 256; kind++) {
		for (unsigned len = 0; len < 256; len++) {
			for (unsigned room = 2; room <= 40; room++) {
				uint8_t *p = malloc(room); /* so that a sanitizer sees one byte too many */
				memset(p, 1, room);
				p[0] = (uint8_t)kind;
				p[1] = (uint8_t)len;
				bool good = len >= 2 && len <= room;
				for (unsigned i = 0; i < 4; i++)
					if (kind == known[i].kind)
						good = good && len == known[i].len;
				if (kind == 5)
					good = good && len >= 10 && (len - 2) % 8 == 0;
				struct tcp_options o;
				int rc = tcp_options_parse(&o, p, room);
				cr_assert_eq(rc, good ? 0 : -EINVAL, "kind %u len %u room %u: %d", kind, len,
					     room, rc);
				cr_assert_leq(o.n_sack, TCP_OPT_SACK_BLOCKS_MAX);
				free(p);
			}
		}
	}
}

Test(tcp_opt, longer_than_a_header_can_be)
{
	uint8_t p[64] = {5, 42};
	struct tcp_options o;
	cr_assert_eq(tcp_options_parse(&o, p, 41), -EINVAL);
	cr_assert_eq(tcp_options_parse(&o, p, 64), -EINVAL);
	cr_assert_eq(o.n_sack, 0);
}

Test(tcp_opt, kind_as_last_byte_has_no_length)
{
	struct tcp_options o;
	cr_assert_eq(tcp_options_parse(&o, BYTES(1, 1, 1, 8)), -EINVAL);
	cr_assert_eq(tcp_options_parse(&o, BYTES(1, 1, 1, 1)), 0);
}
