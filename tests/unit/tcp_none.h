/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_none.h - what the layers below told the TCP that is not there
 *
 * The unit tests of the network layers link this instead of tcp_*.c: they see what TCP is handed, and a
 * change in TCP cannot break them.
 */
#ifndef TESTS_UNIT_TCP_NONE_H
#define TESTS_UNIT_TCP_NONE_H

#include "stack/ip4.h"

struct tcp_none_seen {
	unsigned segments, errors;
	struct ip_rx rx;
	bool csum_ok;
	struct endpoint local, peer;
	uint32_t seq;
	int err;
	uint16_t mtu;
	int opt_level, opt_name;
};

extern struct tcp_none_seen tcp_none_seen;

#endif
