/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <stdio.h>

#include "reason.h"

static const struct config_cidr *network_of(const struct config *cfg, uint32_t addr_be)
{
	for (unsigned i = 0; i < cfg->addr.n; i++) {
		const struct config_cidr *net = &cfg->addr.at[i];
		uint32_t mask = net->prefix_len ? htonl(~0u << (32 - net->prefix_len)) : 0;

		if (!((net->addr_be ^ addr_be) & mask))
			return net;
	}
	return NULL;
}

static bool is_own(const struct config *cfg, uint32_t addr_be)
{
	for (unsigned i = 0; i < cfg->addr.n; i++)
		if (cfg->addr.at[i].addr_be == addr_be)
			return true;
	return false;
}

const char *reason_of_addr(const struct config *cfg, uint32_t addr_be, char *buf, size_t len)
{
	const struct config_cidr *net = network_of(cfg, addr_be);
	char addr[INET_ADDRSTRLEN], by[64];

	inet_ntop(AF_INET, &addr_be, addr, sizeof(addr));
	if (ntohl(addr_be) >> 24 == 127)
		snprintf(buf, len,
			 cfg->loopback == CONFIG_LOOPBACK_STACK
				 ? "%s is loopback, which the stack carries within the program"
				 : "%s is loopback",
			 addr);
	else if (ntohl(addr_be) >> 28 >= 0xe)
		snprintf(buf, len, "%s is multicast or broadcast", addr);
	else if (is_own(cfg, addr_be))
		snprintf(buf, len, "%s is an address of the stack", addr);
	else if (net)
		snprintf(buf, len, "%s is on the network of %s", addr, config_cidr_text(net, by, sizeof(by)));
	else if (cfg->gw)
		snprintf(buf, len, "%s is behind the gateway %s", addr,
			 inet_ntop(AF_INET, &cfg->gw, by, sizeof(by)));
	else
		snprintf(buf, len, "%s is on no network of the stack, and it has no gateway", addr);
	return buf;
}
