/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_tcp_options.c - any bytes as TCP options; what was understood must survive being written and read
 * again
 */
#include "fuzz.h"
#include "stack/tcp_opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_options opt, again;
	uint8_t out[TCP_OPT_BYTES_MAX];
	uint32_t val, ecr;
	unsigned len = size > 60 ? 60 : (unsigned)size;
	uint8_t *copy =
		malloc(len ? len : 1); /* exactly as long, so that a sanitizer sees one byte too many */

	if (len)
		memcpy(copy, data, len);
	(void)tcp_options_parse(&opt, copy, len);
	(void)tcp_options_parse_ts_only(copy, len, &val, &ecr);
	free(copy);
	FUZZ_CHECK(opt.n_sack <= TCP_OPT_SACK_BLOCKS_MAX && opt.wscale <= 14, "impossible options");
	unsigned n = tcp_options_write(out, &opt);
	FUZZ_CHECK(n <= TCP_OPT_BYTES_MAX && n % 4 == 0, "%u bytes written", n);
	FUZZ_CHECK(tcp_options_parse(&again, out, n) == 0, "own options not understood");
	FUZZ_CHECK(again.mss == opt.mss && again.has_ts == opt.has_ts && again.ts_val == opt.ts_val &&
			   again.ts_ecr == opt.ts_ecr && again.sack_permitted == opt.sack_permitted &&
			   again.has_wscale == opt.has_wscale && again.wscale == opt.wscale &&
			   again.n_sack <= opt.n_sack,
		   "options changed by writing them");
	return 0;
}
