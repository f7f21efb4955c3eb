/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_random.c - many random transfers over random bad links; prints a table and the seeds that failed
 *
 *     sim_random [--seeds N] [--from SEED] [--verbose] [--trace]
 *
 * A failing seed is repeated with `sim_random --seeds 1 --from SEED --trace`, which prints every frame.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum profile {
	CLEAN,
	LOSSY,
	REORDERING,
	CORRUPTING,
	SLOW_AND_LONG,
	EVERYTHING,
	ABORTING,
	ASYMMETRIC, /* one way fast, the other, with many losses, slow */
	BLOATED,    /* a queue of seconds */
	STARVED,   /* hardly any packet buffers: data is refused, thrown away after it was SACKed, not sent */
	NARROWING, /* the path MTU falls on the way */
	PROFILES
};

static const char *const profile_names[PROFILES] = {"clean",         "lossy",      "reordering", "corrupting",
						    "slow and long", "everything", "aborting",   "asymmetric",
						    "bloated",       "starved",    "narrowing"};

struct row {
	unsigned runs, failed;
	uint64_t bytes, frames, lost, reordered, duplicated, corrupted;
	time_ns took;
};

static void configure(struct stack_config *cfg, const struct sim_config *sim, unsigned host)
{
	uint32_t bits = sim->features >> (8 * host);

	cfg->tcp_sack = !(bits & 1) || !(bits & 2);
	cfg->tcp_timestamps = !(bits & 4) || !(bits & 8);
	cfg->tcp_window_scaling = !(bits & 16) || !(bits & 32);
	strcpy(cfg->tcp_congestion_control, bits & 64 ? "reno" : "cubic");
	if (bits & 128) { /* small buffers: zero windows all the time */
		cfg->tcp_rmem[0] = cfg->tcp_rmem[1] = cfg->tcp_rmem[2] = 8192;
		cfg->tcp_wmem[0] = cfg->tcp_wmem[1] = cfg->tcp_wmem[2] = 8192;
	}
}

static struct sim_link_config random_link(struct sim_rng *r, enum profile p)
{
	struct sim_link_config l = {.delay = sim_random_between(r, 5 * NS_PER_US, 20 * NS_PER_MS),
				    .bits_per_s = sim_random_between(r, 10000000, 10000000000),
				    .queue_bytes = (uint32_t)sim_random_between(r, 30000, 1000000)};

	l.reorder_delay = sim_random_between(r, 1000, 4 * l.delay + 1000);
	if (p == LOSSY || p == EVERYTHING || p == ABORTING)
		l.loss = (uint32_t)sim_random_between(r, 50, 1000);
	if (p == REORDERING || p == EVERYTHING) {
		l.reorder = (uint32_t)sim_random_between(r, 50, 3000);
		l.duplicate = (uint32_t)sim_random_between(r, 50, 1000);
	}
	if (p == CORRUPTING || p == EVERYTHING)
		l.corrupt = (uint32_t)sim_random_between(r, 50, 500);
	if (p == SLOW_AND_LONG) {
		l.delay = sim_random_between(r, 20 * NS_PER_MS, 300 * NS_PER_MS);
		l.bits_per_s = sim_random_between(r, 1000000, 50000000);
		l.loss = (uint32_t)sim_random_between(r, 1, 200);
	}
	if (p == BLOATED) {
		l.bits_per_s = sim_random_between(r, 500000, 20000000);
		l.queue_bytes = (uint32_t)(l.bits_per_s / 8 * sim_random_between(r, 1, 4));
		l.loss = (uint32_t)sim_random_between(r, 1, 50);
	}
	if (p == STARVED)
		l.loss = (uint32_t)sim_random_between(r, 50, 500);
	if (p == NARROWING) {
		l.narrow_at = sim_random_between(r, 1000, NS_PER_SEC);
		l.narrow_mtu = (uint16_t)sim_random_between(r, 552, 1400);
		l.loss = (uint32_t)sim_random_between(r, 1, 200);
	}
	return l;
}

static void make_asymmetric(struct sim_rng *r, struct sim_link_config l[2])
{
	unsigned slow = (unsigned)sim_random_below(r, 2);

	l[slow].bits_per_s = sim_random_between(r, 100000, 2000000);
	l[slow].queue_bytes = (uint32_t)sim_random_between(r, 3000, 100000);
	l[slow].loss = (uint32_t)sim_random_between(r, 100, 1000);
	l[slow].delay = sim_random_between(r, NS_PER_MS, 200 * NS_PER_MS);
}

static struct sim_program random_program(struct sim_rng *r)
{
	struct sim_program p = {.tx_bytes = sim_random_below(r, 8) ? sim_random_between(r, 1, 300000) : 0,
				.write_max = (uint32_t)sim_random_between(r, 100, 60000),
				.read_max = (uint32_t)sim_random_between(r, 100, 60000),
				.pause_max = sim_random_between(r, 10000, NS_PER_SEC),
				.end = SIM_END_SHUTDOWN,
				.nodelay = sim_random_below(r, 2)};

	if (sim_random_below(r, 3) == 0)
		p.pause_chance = (uint32_t)sim_random_between(r, 1, 300);
	return p;
}

static struct sim_config random_config(uint64_t seed)
{
	static const uint16_t mtus[] = {1500, 1500, 1500, 576, 1006, 1400};
	struct sim_rng r = {.state = seed * 0x9E3779B97F4A7C15ULL + 1};
	struct sim_config c = {
		.seed = seed, .mbufs = 4096, .configure = configure, .time_limit = 4 * 3600 * NS_PER_SEC};

	for (unsigned i = 0; i < 4; i++)
		sim_random(&r); /* small seeds need a few turns to differ */
	enum profile p = (enum profile)(seed % PROFILES);
	c.mtu = mtus[sim_random_below(&r, 6)];
	c.features = (uint32_t)(sim_random(&r) >> 20);
	for (unsigned i = 0; i < 2; i++) {
		c.link[i] = random_link(&r, p);
		c.program[i] = random_program(&r);
	}
	if (p == ASYMMETRIC)
		make_asymmetric(&r, c.link);
	if (p == STARVED) {
		c.mbufs = (uint32_t)sim_random_between(&r, 48, 255);
		c.features &= ~(128U | 128U << 8); /* buffers larger than the pool */
		c.program[sim_random_below(&r, 2)].tx_bytes = sim_random_between(&r, 100000, 1000000);
	}
	if (p == STARVED || sim_random_below(&r, 8) == 0) { /* one who reads slowly, little at a time */
		struct sim_program *slow = &c.program[sim_random_below(&r, 2)];

		slow->read_max = (uint32_t)sim_random_between(&r, 10, 3000);
		slow->pause_chance = 3000;
		slow->pause_max = sim_random_between(&r, NS_PER_MS, NS_PER_SEC);
	}
	unsigned who = (unsigned)sim_random_below(&r, 4);
	if (who < 2) /* at most one side waits for the other's end before it closes */
		c.program[who].end = SIM_END_CLOSE;
	if (p == ABORTING) {
		who &= 1;
		c.program[who].end = SIM_END_ABORT;
		c.program[who].abort_at = sim_random_below(&r, c.program[!who].tx_bytes + 1);
	}
	return c;
}

static void print_table(const struct row *rows)
{
	printf("%-14s %5s %6s %8s %8s %7s %7s %7s %7s %9s\n", "link", "runs", "failed", "MB", "frames",
	       "lost", "reord", "dup", "corrupt", "virtual s");
	for (unsigned p = 0; p < PROFILES; p++) {
		const struct row *r = &rows[p];
		printf("%-14s %5u %6u %8.1f %8lu %7lu %7lu %7lu %7lu %9.0f\n", profile_names[p], r->runs,
		       r->failed, (double)r->bytes / 1e6, (unsigned long)r->frames, (unsigned long)r->lost,
		       (unsigned long)r->reordered, (unsigned long)r->duplicated, (unsigned long)r->corrupted,
		       (double)r->took / NS_PER_SEC);
	}
}

int main(int argc, char **argv)
{
	uint64_t from = 1, seeds = 1000;
	bool verbose = false, trace = false;
	struct row rows[PROFILES] = {0};
	unsigned failed = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--trace") == 0)
			trace = true;
		else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
			seeds = strtoull(argv[++i], NULL, 0);
		else if (i + 1 < argc && strcmp(argv[i], "--from") == 0)
			from = strtoull(argv[++i], NULL, 0);
		else
			return fprintf(stderr, "usage: %s [--seeds N] [--from SEED] [--verbose] [--trace]\n",
				       argv[0]),
			       2;
	}
	for (uint64_t seed = from; seed < from + seeds && failed < 10; seed++) {
		struct sim_config c = random_config(seed);
		c.trace = trace;
		struct sim_result res = sim_run(&c);
		struct row *r = &rows[seed % PROFILES];
		r->runs++;
		r->bytes += res.bytes;
		r->frames += res.frames;
		r->lost += res.lost;
		r->reordered += res.reordered;
		r->duplicated += res.duplicated;
		r->corrupted += res.corrupted;
		r->took += res.took;
		if (verbose || !res.ok)
			printf("seed %lu (%s): %s, %lu bytes, %lu frames, %.3f s\n", (unsigned long)seed,
			       profile_names[seed % PROFILES], res.ok ? "ok" : res.why,
			       (unsigned long)res.bytes, (unsigned long)res.frames,
			       (double)res.took / NS_PER_SEC);
		if (!res.ok) {
			r->failed++;
			failed++;
		}
	}
	print_table(rows);
	unsigned runs = 0;
	for (unsigned p = 0; p < PROFILES; p++)
		runs += rows[p].runs;
	printf("%u passed, %u failed\n", runs - failed, failed);
	return failed != 0;
}
