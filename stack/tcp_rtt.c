/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_rtt.c - RFC 6298 in nanoseconds: see tcp_rtt.h
 */
#include "tcp_rtt.h"

#define MIN_RTT_WINDOW_NS (300 * NS_PER_SEC)

void tcp_rtt_init(struct tcp_rtt *r)
{
	*r = (struct tcp_rtt){.rto_ns = TCP_RTO_INITIAL_NS};
}

static time_ns bound(time_ns rto_ns)
{
	return rto_ns < TCP_RTO_MAX_NS ? rto_ns : TCP_RTO_MAX_NS;
}

void tcp_rtt_sample(struct tcp_rtt *r, time_ns rtt_ns, time_ns now)
{
	if (rtt_ns == 0) /* two events of one burst; 0 would read as "no sample yet" */
		rtt_ns = 1;
	if (rtt_ns > TCP_RTO_MAX_NS) /* a forged timestamp echo must not poison the average for long */
		rtt_ns = TCP_RTO_MAX_NS;

	if (r->srtt_ns == 0) {
		r->srtt_ns = rtt_ns;
		r->rttvar_ns = rtt_ns / 2;
		r->min_ns = rtt_ns;
		r->min_at = now;
	} else {
		time_ns diff = r->srtt_ns > rtt_ns ? r->srtt_ns - rtt_ns : rtt_ns - r->srtt_ns;
		r->rttvar_ns = (3 * r->rttvar_ns + diff) / 4;
		r->srtt_ns = (7 * r->srtt_ns + rtt_ns + 7) / 8; /* rounded up: never back to 0 */
		if (rtt_ns <= r->min_ns || now - r->min_at > MIN_RTT_WINDOW_NS) {
			r->min_ns = rtt_ns;
			r->min_at = now;
		}
	}

	time_ns var4 = 4 * r->rttvar_ns;
	time_ns rto_ns = r->srtt_ns + (var4 > TCP_RTO_MIN_NS ? var4 : TCP_RTO_MIN_NS);
	r->rto_ns = bound(rto_ns - rto_ns % NS_PER_US);
	r->backoff = 0;
}

time_ns tcp_rtt_timeout(const struct tcp_rtt *r)
{
	return bound(r->rto_ns << r->backoff);
}

void tcp_rtt_backoff(struct tcp_rtt *r)
{
	if (tcp_rtt_timeout(r) < TCP_RTO_MAX_NS) /* so that the shift stays small */
		r->backoff++;
}
