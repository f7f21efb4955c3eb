/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim.h - two stacks, a bad link each way, two programs, one virtual clock
 *
 *     program ─ sock ─ stack ──link──► stack ─ sock ─ program      and the same back
 *
 * Each program writes a stream known to the other, in random pieces, reads in random pieces and checks every
 * byte. It does only what the readiness events allow, so a missing event shows as a run that hangs. At the
 * end both sides must have seen exactly the other's bytes and then the end of the stream, and no packet
 * buffer may be missing.
 *
 * Everything follows from the seed: a failing run is repeated with it.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_link.h"
#include "stack/sock.h"
#include "stack/stack.h"

/* How a program ends its side. */
enum sim_end {
	SIM_END_SHUTDOWN, /* shutdown(SHUT_WR) after the last byte, close at the end of the other's stream */
	SIM_END_CLOSE,    /* the other's whole stream first, then close */
	SIM_END_ABORT,    /* close in the middle: the other side sees a prefix, and an end or ECONNRESET */
};

struct sim_program {
	uint64_t tx_bytes;            /* length of the stream it sends */
	uint32_t write_max, read_max; /* bytes per call, at random from 1 */
	uint32_t pause_chance;        /* in 1/10000 per call */
	time_ns pause_max;
	enum sim_end end;
	uint64_t abort_at; /* SIM_END_ABORT: bytes received before it gives up */
	bool nodelay;
};

struct sim_config {
	uint64_t seed;
	struct sim_link_config link[2]; /* from host i to the other */
	struct sim_program program[2];  /* host 0 connects */
	uint16_t mtu;
	uint32_t mbufs;
	void (*configure)(struct stack_config *cfg, const struct sim_config *sim, unsigned host);
	uint32_t features; /* random bits for configure() */
	time_ns time_limit;
	bool trace; /* print every frame sent */
};

struct sim_result {
	bool ok;
	char why[256];
	time_ns took;
	uint64_t bytes, frames, lost, reordered, duplicated, corrupted;
	uint64_t retransmitted, timeouts;      /* segments, RTOs of both ends */
	uint32_t crc_sent[2], crc_received[2]; /* of host i's stream, at both ends */
	uint64_t received[2];                  /* bytes by host i */
};

struct sim_result sim_run(const struct sim_config *cfg);

#endif
