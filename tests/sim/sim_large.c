/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_large.c - one large transfer through 3 % loss, 2 % reordering and 2 % duplication, equal at both ends
 *
 *     sim_large [MEGABYTES]
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

int main(int argc, char **argv)
{
	uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 0) : 200) * 1000000ULL;
	struct sim_link_config bad = {.delay = 100 * NS_PER_US,
				      .bits_per_s = 10000000000ULL,
				      .queue_bytes = 1000000,
				      .loss = 300,
				      .reorder = 200,
				      .reorder_delay = 200 * NS_PER_US,
				      .duplicate = 200};
	struct sim_config c = {
		.seed = 20260101,
		.link = {bad, bad},
		.program =
			{{.tx_bytes = bytes, .write_max = 65536, .read_max = 65536, .end = SIM_END_SHUTDOWN},
			 {.tx_bytes = 1000, .write_max = 100, .read_max = 65536, .end = SIM_END_SHUTDOWN}},
		.mtu = 1500,
		.mbufs = 16384,
		.time_limit = 24 * 3600 * NS_PER_SEC,
	};
	struct sim_result r = sim_run(&c);

	printf("%lu bytes in %.1f virtual s (%.0f Mb/s): %lu frames, %lu lost, %lu reordered, %lu doubled; "
	       "CRC-32C %08x sent, "
	       "%08x received\n",
	       (unsigned long)r.bytes, (double)r.took / NS_PER_SEC,
	       (double)r.bytes * 8e3 / (double)(r.took + 1), (unsigned long)r.frames, (unsigned long)r.lost,
	       (unsigned long)r.reordered, (unsigned long)r.duplicated, r.crc_sent[0], r.crc_received[0]);
	if (!r.ok)
		printf("%s\n", r.why);
	printf("%u passed, %u failed\n", r.ok, !r.ok);
	return !r.ok;
}
