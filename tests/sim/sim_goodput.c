/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_goodput.c - what one connection makes of a link, beside what theory gives it
 *
 *     sim_goodput [--seeds N] [--mb N] [--trace CASE]
 *
 * Random loss: Mathis' formula for AIMD without delayed ACKs, mss / rtt * sqrt(1.5 / p), which is what CUBIC
 * is held to on short paths (RFC 9438, 4.3). Without random loss: the link's rate less headers. Prints a
 * table; fails only when a run does, or is far below: half of the formula, three quarters of the rate.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define MSS 1448.0

struct link_case {
	const char *name;
	uint64_t bits_per_s;
	uint32_t delay_ms, loss, ack_loss, reorder, queue_bytes; /* chances in 1/10000 */
	bool plain;                                              /* neither SACK nor timestamps */
	bool both;                                               /* data both ways */
	double least;                                            /* share of what theory gives */
};

static const struct link_case cases[] = {
	{"1 % loss, 2 x 20 ms", 1000000000, 20, 100, 0, 0, 4000000, .least = 0.5},
	{"the same without SACK", 1000000000, 20, 100, 0, 0, 4000000, .plain = true, .least = 0.3},
	{"the same, both ways", 1000000000, 20, 100, 0, 0, 4000000, .both = true, .least = 0.4},
	{"0.1 % loss, 2 x 20 ms", 1000000000, 20, 10, 0, 0, 4000000, .least = 0.5},
	{"3 % loss, 2 x 1 ms", 1000000000, 1, 300, 0, 0, 4000000, .least = 0.4},
	{"1 % loss, 2 x 100 ms", 1000000000, 100, 100, 0, 0, 4000000, .least = 0.5},
	{"no loss, 100 Mb/s, 1 BDP", 100000000, 20, 0, 0, 0, 500000, .least = 0.6},
	{"no loss, 100 Mb/s, 1/10 BDP", 100000000, 20, 0, 0, 0, 50000, .least = 0.2},
	{"no loss, 1 Gb/s, 1/3 BDP", 1000000000, 10, 0, 0, 0, 800000, .least = 0.15},
	{"bufferbloat, 10 Mb/s, 1 s", 10000000, 10, 0, 0, 0, 1250000, .least = 0.75},
	{"10 % of the ACKs lost", 100000000, 20, 0, 1000, 0, 500000, .least = 0.5},
	{"a third of the ACKs lost", 100000000, 20, 0, 3333, 0, 500000, .least = 0.25},
	{"3 % loss, 2 x 150 ms", 1000000000, 150, 300, 0, 0, 4000000, .least = 0.5},
	{"5 % loss both ways, 2 x 150 ms", 1000000000, 150, 500, 500, 0, 4000000, .least = 0.5},
	{"1 % reordered", 100000000, 20, 0, 0, 100, 500000, .least = 0.1},
};

static bool plain;

static void configure(struct stack_config *cfg, const struct sim_config *sim, unsigned host)
{
	(void)sim, (void)host;
	cfg->tcp_sack = cfg->tcp_timestamps = !plain;
	strcpy(cfg->tcp_congestion_control, getenv("SIM_CC") ? getenv("SIM_CC") : "cubic");
}

static double theory(const struct link_case *l)
{
	double rate = (double)l->bits_per_s * MSS / 1514, rtt = 2e-3 * l->delay_ms;
	double aimd = l->loss ? MSS * 8 / rtt * sqrt(1.5 / (l->loss / 1e4)) : rate;

	return aimd < rate ? aimd : rate;
}

static struct sim_result run(const struct link_case *l, uint64_t bytes, uint64_t seed, bool trace)
{
	struct sim_link_config there = {.delay = l->delay_ms * NS_PER_MS,
					.bits_per_s = l->bits_per_s,
					.queue_bytes = l->queue_bytes,
					.loss = l->loss,
					.reorder = l->reorder,
					.reorder_delay = l->delay_ms * NS_PER_MS / 4};
	struct sim_link_config back = there;
	struct sim_config c = {
		.seed = seed,
		.program =
			{{.tx_bytes = bytes, .write_max = 65536, .read_max = 65536, .end = SIM_END_SHUTDOWN},
			 {.tx_bytes = l->both ? bytes : 1,
			  .write_max = 65536,
			  .read_max = 65536,
			  .end = SIM_END_SHUTDOWN}},
		.mtu = 1500,
		.mbufs = 16384,
		.configure = configure,
		.time_limit = 24 * 3600 * NS_PER_SEC,
		.trace = trace,
	};

	if (!l->both) {
		back.loss = l->ack_loss;
		back.reorder = 0;
	}
	c.link[0] = there;
	c.link[1] = back;
	plain = l->plain;
	return sim_run(&c);
}

int main(int argc, char **argv)
{
	uint64_t seeds = 5, mb = 10;
	unsigned failed = 0, from = 0, to = sizeof(cases) / sizeof(*cases);
	bool trace = false;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seeds") == 0) {
			seeds = strtoull(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--mb") == 0) {
			mb = strtoull(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--trace") == 0) {
			from = (unsigned)atoi(argv[i + 1]);
			to = from + 1;
			trace = true;
		} else {
			return fprintf(stderr, "usage: %s [--seeds N] [--mb N] [--trace CASE]\n", argv[0]), 2;
		}
	}
	if (!trace)
		printf("%-28s %10s %10s %6s %9s %6s\n", "link", "Mb/s", "theory", "share", "rexmit %",
		       "RTOs");
	for (unsigned i = from; i < to; i++) {
		const struct link_case *l = &cases[i];
		double sum = 0, again = 0, rto = 0, share;
		for (uint64_t seed = 1; seed <= seeds; seed++) {
			struct sim_result r = run(l, mb * 1000000, seed, trace);
			if (!r.ok) {
				printf("%s, seed %lu: %s\n", l->name, (unsigned long)seed, r.why);
				failed++;
			}
			sum += (double)mb * 8 / ((double)r.took / NS_PER_SEC) / (double)seeds;
			rto += (double)r.timeouts / (double)seeds;
			again += (double)r.retransmitted / ((double)mb * 1e6 * (l->both ? 2 : 1) / MSS) *
				 100 / (double)seeds;
		}
		share = sum * 1e6 / theory(l);
		if (!trace)
			printf("%-28s %10.2f %10.2f %6.2f %9.2f %6.1f%s\n", l->name, sum, theory(l) / 1e6,
			       share, again, rto, share < l->least ? "  TOO SLOW" : "");
		failed += share < l->least;
	}
	printf("%u failed\n", failed);
	return failed != 0;
}
