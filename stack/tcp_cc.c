/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_cc.c - what all congestion control algorithms share: the list, slow start, the start values, undo
 */
#include "tcp_cc.h"

#include <errno.h>
#include <string.h>

const struct tcp_cc_ops *const tcp_cc_algorithms[] = {&tcp_cc_cubic, &tcp_cc_newreno};
const unsigned tcp_cc_algorithm_count = sizeof tcp_cc_algorithms / sizeof *tcp_cc_algorithms;

#define INITIAL_WINDOW_SEGMENTS 10 /* RFC 6928 */

int tcp_cc_find(const char *name, size_t len)
{
	len = strnlen(name, len); /* TCP_CONGESTION takes the name with or without its NUL */
	for (unsigned i = 0; i < tcp_cc_algorithm_count; i++) {
		const char *known = tcp_cc_algorithms[i]->name;
		if (strlen(known) == len && memcmp(known, name, len) == 0)
			return (int)i;
	}
	return -ENOENT;
}

void tcp_cc_init(struct tcp_cc *cc, unsigned algorithm, uint16_t mss)
{
	memset(cc, 0, sizeof *cc);
	cc->algorithm = (uint8_t)algorithm;
	cc->mss = mss;
	cc->cwnd = cc->prior_cwnd = INITIAL_WINDOW_SEGMENTS * (uint32_t)mss;
	cc->ssthresh = cc->prior_ssthresh = UINT32_MAX;
	tcp_cc_ops(cc)->init(cc);
}

void tcp_cc_switch(struct tcp_cc *cc, unsigned algorithm)
{
	cc->algorithm = (uint8_t)algorithm;
	memset(cc->private, 0, sizeof cc->private);
	tcp_cc_ops(cc)->init(cc);
}

void tcp_cc_reduce(struct tcp_cc *cc, uint32_t in_flight, time_ns now)
{
	cc->prior_cwnd = cc->cwnd;
	cc->prior_ssthresh = cc->ssthresh;
	cc->ssthresh = tcp_cc_ops(cc)->ssthresh(cc, in_flight, now);
}

void tcp_cc_undo(struct tcp_cc *cc)
{
	if (cc->cwnd < cc->prior_cwnd)
		cc->cwnd = cc->prior_cwnd;
	if (cc->ssthresh < cc->prior_ssthresh)
		cc->ssthresh = cc->prior_ssthresh;
	if (tcp_cc_ops(cc)->undo)
		tcp_cc_ops(cc)->undo(cc);
}

void tcp_cc_grow(struct tcp_cc *cc, uint64_t bytes)
{
	uint64_t cwnd = cc->cwnd + bytes;
	if (cwnd > TCP_CC_CWND_MAX)
		cwnd = TCP_CC_CWND_MAX;
	if (cwnd > cc->cwnd)
		cc->cwnd = (uint32_t)cwnd;
}

uint32_t tcp_cc_slow_start(struct tcp_cc *cc, uint32_t acked_bytes)
{
	if (cc->cwnd >= cc->ssthresh)
		return acked_bytes;
	uint32_t room = cc->ssthresh - cc->cwnd;
	uint32_t used = acked_bytes < room ? acked_bytes : room;
	tcp_cc_grow(cc, used);
	return acked_bytes - used;
}

void tcp_cc_avoid(struct tcp_cc *cc, uint64_t *acc, uint32_t acked_bytes)
{
	*acc += acked_bytes;
	if (*acc < cc->cwnd)
		return;
	uint64_t windows = *acc / cc->cwnd;
	*acc -= windows * cc->cwnd;
	tcp_cc_grow(cc, windows * cc->mss);
}
