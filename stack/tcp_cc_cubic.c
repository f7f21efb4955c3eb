/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_cc_cubic.c - "cubic": RFC 9438 in integer arithmetic, with HyStart++ (RFC 9406) out of slow start
 *
 * W_cubic(t) = C * (t - K)^3 + origin, C = 0.4 segments/s^3, beta = 0.7. Time is in 1/1024 s, so a cube has
 * 30 fraction bits in 64 bits for offsets up to 17 minutes. Windows are bytes; w_est keeps 16 fraction bits.
 *
 * An epoch starts with the first congestion avoidance ACK after a loss (4.2) and is moved forward by idle
 * time (4.2: application-limited time does not count). After a timeout the curve starts flat at the window
 * where slow start ended (4.8).
 */
#include "tcp_cc.h"

#include <string.h>

#define BETA_NUM   7
#define BETA_DEN   10
#define TIME_SHIFT 10 /* curve time: 1/1024 s */
#define OFFSET_MAX (1 << 20)
#define EST_SHIFT  16

/* RFC 9406, 4.3 */
#define RTT_THRESH_MIN_US  4000
#define RTT_THRESH_MAX_US  16000
#define ROUND_SAMPLES      8
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS         5

struct cubic {
	time_ns epoch;     /* when the curve's time began, if in_epoch */
	uint64_t w_est_fp; /* what Reno would have, bytes << EST_SHIFT */
	uint32_t w_max;    /* window before the last reduction, fast convergence applied; 0: no loss yet */
	uint32_t origin;   /* where the curve is flat */
	uint32_t k;        /* 1/1024 s from epoch to origin */
	uint32_t acc;      /* growth below one byte, in units of 1/cwnd byte */
	uint32_t round_end;
	uint32_t round_min_us, last_round_min_us, css_baseline_us; /* UINT32_MAX: none */
	uint8_t round_samples, css_rounds;
	bool in_epoch, in_css, in_round;
};
_Static_assert(sizeof(struct cubic) <= sizeof(((struct tcp_cc *)0)->private), "cubic outgrew tcp_cc.private");

static struct cubic *cubic_of(struct tcp_cc *cc)
{
	return (struct cubic *)cc->private;
}

static void cubic_init(struct tcp_cc *cc)
{
	struct cubic *cb = cubic_of(cc);
	memset(cb, 0, sizeof *cb);
	cb->round_min_us = cb->last_round_min_us = cb->css_baseline_us = UINT32_MAX;
}

static uint32_t cube_root(uint64_t x)
{
	uint32_t root = 0;
	for (int bit = 20; bit >= 0; bit--) { /* (2^21)^3 = 2^63 */
		uint64_t try = root | 1U << bit;
		if (try * try * try <= x)
			root = (uint32_t)try;
	}
	return root;
}

static void start_epoch(struct tcp_cc *cc, struct cubic *cb, time_ns now)
{
	cb->in_epoch = true;
	cb->epoch = now;
	cb->acc = 0;
	cb->w_est_fp = (uint64_t)cc->cwnd << EST_SHIFT;
	cb->k = 0;
	cb->origin = cc->cwnd;
	if (cb->w_max > cc->cwnd) {
		/* K = cbrt((w_max - cwnd) / C): / mss to segments, * 5/2 for 1/C, 30 fraction bits to cube
		 * out */
		cb->origin = cb->w_max;
		cb->k = cube_root(((uint64_t)(cb->w_max - cc->cwnd) << (3 * TIME_SHIFT)) / cc->mss / 2 * 5);
	}
}

/* W_cubic at `t` after the epoch, in bytes. */
static uint32_t curve(const struct tcp_cc *cc, const struct cubic *cb, time_ns t)
{
	uint64_t ticks = t / (NS_PER_SEC >> TIME_SHIFT);
	bool below = ticks < cb->k;
	uint64_t offset = below ? cb->k - ticks : ticks - cb->k;
	if (offset > OFFSET_MAX)
		offset = OFFSET_MAX;
	uint64_t cube = (offset * offset * offset) >> (2 * TIME_SHIFT);
	uint64_t bytes = (cube * 2 / 5 * cc->mss) >> TIME_SHIFT;

	if (below)
		return bytes < cb->origin ? cb->origin - (uint32_t)bytes : 0;
	return bytes < TCP_CC_CWND_MAX ? cb->origin + (uint32_t)bytes : TCP_CC_CWND_MAX;
}

/* RFC 9438, 4.3: alpha = 3 * (1 - beta) / (1 + beta) = 9/17 until the old window is reached again, then 1. */
static uint32_t reno_estimate(struct tcp_cc *cc, struct cubic *cb, uint32_t acked_bytes)
{
	uint64_t growth = ((uint64_t)acked_bytes * cc->mss << EST_SHIFT) / cc->cwnd;
	if (cb->w_est_fp >> EST_SHIFT < cb->w_max)
		growth = growth * 9 / 17;
	cb->w_est_fp += growth;
	if (cb->w_est_fp > (uint64_t)TCP_CC_CWND_MAX << EST_SHIFT)
		cb->w_est_fp = (uint64_t)TCP_CC_CWND_MAX << EST_SHIFT;
	return (uint32_t)(cb->w_est_fp >> EST_SHIFT);
}

static void avoid(struct tcp_cc *cc, struct cubic *cb, const struct tcp_cc_ack *ack, uint32_t acked_bytes)
{
	if (!cb->in_epoch)
		start_epoch(cc, cb, ack->now);

	time_ns t = ack->now - cb->epoch;
	uint32_t est = reno_estimate(cc, cb, acked_bytes);
	if (curve(cc, cb, t) < est) {
		if (est > cc->cwnd)
			tcp_cc_grow(cc, est - cc->cwnd);
		return;
	}
	uint32_t target = curve(cc, cb, t + ack->srtt_ns);
	uint32_t ceiling = cc->cwnd + cc->cwnd / 2;
	if (target > ceiling)
		target = ceiling;
	if (target <= cc->cwnd)
		return;
	uint64_t grown = (uint64_t)acked_bytes * (target - cc->cwnd) + cb->acc;
	cb->acc = (uint32_t)(grown % cc->cwnd);
	tcp_cc_grow(cc, grown / cc->cwnd);
}

static void round_start(struct cubic *cb, uint32_t snd_nxt)
{
	cb->in_round = true;
	cb->round_end = snd_nxt;
	cb->last_round_min_us = cb->round_min_us;
	cb->round_min_us = UINT32_MAX;
	cb->round_samples = 0;
}

/* RFC 9406: a round's RTT clearly above the last round's means that a queue builds up. */
static bool rtt_rose(const struct cubic *cb)
{
	if (cb->round_samples < ROUND_SAMPLES || cb->last_round_min_us == UINT32_MAX)
		return false;
	uint32_t thresh = cb->last_round_min_us / 8;
	if (thresh < RTT_THRESH_MIN_US)
		thresh = RTT_THRESH_MIN_US;
	if (thresh > RTT_THRESH_MAX_US)
		thresh = RTT_THRESH_MAX_US;
	return cb->round_min_us >= cb->last_round_min_us + thresh;
}

static void hystart_sample(struct cubic *cb, time_ns rtt_ns)
{
	uint64_t us = rtt_ns / NS_PER_US;
	if (us < cb->round_min_us)
		cb->round_min_us = (uint32_t)us;
	if (cb->round_samples < ROUND_SAMPLES)
		cb->round_samples++;
}

/* Initial slow start under HyStart++; sets ssthresh when it is over. */
static void hystart(struct tcp_cc *cc, struct cubic *cb, const struct tcp_cc_ack *ack)
{
	if (!cb->in_round)
		round_start(cb, ack->snd_nxt);
	if (ack->rtt_ns)
		hystart_sample(cb, ack->rtt_ns);

	if (!cb->in_css) {
		if (rtt_rose(cb)) {
			cb->in_css = true;
			cb->css_rounds = 0;
			cb->css_baseline_us = cb->round_min_us;
		}
	} else if (cb->round_samples >= ROUND_SAMPLES && cb->round_min_us < cb->css_baseline_us) {
		cb->in_css = false;
		cb->css_baseline_us = UINT32_MAX;
	}
	tcp_cc_slow_start(cc, cb->in_css ? ack->acked_bytes / CSS_GROWTH_DIVISOR : ack->acked_bytes);

	if ((int32_t)(ack->snd_una - cb->round_end) >= 0) {
		if (cb->in_css && ++cb->css_rounds >= CSS_ROUNDS)
			cc->ssthresh = cc->cwnd;
		round_start(cb, ack->snd_nxt);
	}
}

static void cubic_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	struct cubic *cb = cubic_of(cc);

	if (!ack->cwnd_limited)
		return;
	if (cc->ssthresh == UINT32_MAX) {
		hystart(cc, cb, ack);
		return;
	}
	uint32_t left = tcp_cc_slow_start(cc, ack->acked_bytes);
	if (left > 0)
		avoid(cc, cb, ack, left);
}

static uint32_t cubic_ssthresh(struct tcp_cc *cc, uint32_t in_flight, time_ns now)
{
	(void)in_flight, (void)now;
	struct cubic *cb = cubic_of(cc);

	cb->in_epoch = false;
	/* Fast convergence (4.7): a flow whose windows shrink leaves room for the newcomer. */
	if (cc->cwnd < cb->w_max)
		cb->w_max = (uint32_t)((uint64_t)cc->cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN));
	else
		cb->w_max = cc->cwnd;

	uint32_t reduced = (uint32_t)((uint64_t)cc->cwnd * BETA_NUM / BETA_DEN), floor = 2U * cc->mss;
	return reduced > floor ? reduced : floor;
}

static void cubic_on_rto(struct tcp_cc *cc, time_ns now)
{
	(void)now;
	struct cubic *cb = cubic_of(cc);
	cb->in_epoch = false;
	cb->w_max = 0;
}

static void cubic_on_idle(struct tcp_cc *cc, time_ns idle_ns, time_ns now)
{
	struct cubic *cb = cubic_of(cc);
	if (!cb->in_epoch)
		return;
	cb->epoch += idle_ns;
	if (cb->epoch > now)
		cb->epoch = now;
}

static void cubic_undo(struct tcp_cc *cc)
{
	struct cubic *cb = cubic_of(cc);
	cb->in_epoch = false;
	cb->w_max = cc->cwnd;
}

const struct tcp_cc_ops tcp_cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.on_ack = cubic_on_ack,
	.ssthresh = cubic_ssthresh,
	.on_rto = cubic_on_rto,
	.on_idle = cubic_on_idle,
	.undo = cubic_undo,
};
