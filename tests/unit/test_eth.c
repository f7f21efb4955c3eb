/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_eth.c - frames sorted by destination and type; too short ones dropped
 */
#include "ip_kit.h"

Test(eth, every_length_below_a_header_is_dropped)
{
	IP_KIT(k);
	uint8_t frame[14] = {0x02, 0, 0, 0, 0, 2};

	for (size_t len = 0; len < sizeof(frame); len++)
		ip_kit_rx_bytes(&k, frame, len);
	ip_kit_counter_is(&k, eth_rx_short, 14);
}

Test(eth, foreign_unicast_is_dropped_and_multicast_bit_is_not_unicast)
{
	IP_KIT(k);

	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .eth_dst = {0x02, 0, 0, 0, 0, 3}));
	ip_kit_counter_is(&k, eth_rx_not_for_us, 1);
	/* To our IP address by a link-level broadcast: no error may be sent (RFC 1122, 3.2.2). */
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 9, .eth_dst = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
	ip_kit_counter_is(&k, udp_rx_no_port, 1);
	ip_kit_silence(&k);
}

Test(eth, unknown_types_are_counted)
{
	IP_KIT(k);
	uint8_t frame[60] = {0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1};

	for (unsigned type = 0; type < 0x10000; type += 251) {
		frame[12] = (uint8_t)(type >> 8);
		frame[13] = (uint8_t)type;
		ip_kit_rx_bytes(&k, frame, sizeof(frame));
	}
	cr_assert_eq(ip_kit_counter(&k, "eth_rx_unknown_type") + ip_kit_counter(&k, "ip_rx_bad_header") +
			     ip_kit_counter(&k, "arp_rx_bad"),
		     (0x10000 + 250) / 251);
}
