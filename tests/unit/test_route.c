/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_route.c - own, on-link, gateway, broadcast, multicast, nowhere; the path MTU cache
 */
#include <errno.h>

#include "ip_kit.h"
#include "stack/ip4.h"
#include "stack/route.h"
#include "stack/stack_priv.h"

static struct route lookup(struct ip_kit *k, const char *addr)
{
	return route_lookup(k->st, ip_kit_addr(addr));
}

static void two_networks(struct stack_config *cfg)
{
	cfg->addrs[1] = (struct stack_addr){.addr = ip_kit_addr("198.19.0.9"), .prefix_len = 31};
	cfg->addrs[2] = (struct stack_addr){.addr = ip_kit_addr("198.18.0.65"), .prefix_len = 26};
	cfg->n_addrs = 3;
}

static void with_loopback(struct stack_config *cfg)
{
	cfg->loopback = true;
}

static void no_gateway(struct stack_config *cfg)
{
	cfg->gateway = 0;
}

Test(route, kinds)
{
	IP_KIT(k);

	cr_assert_eq(lookup(&k, KIT_STACK).kind, ROUTE_LOCAL);
	cr_assert_eq(lookup(&k, "198.18.0.77").kind, ROUTE_LINK);
	cr_assert_eq(lookup(&k, "198.18.0.77").next_hop, ip_kit_addr("198.18.0.77"));
	cr_assert_eq(lookup(&k, "198.18.0.255").kind, ROUTE_BROADCAST);
	cr_assert_eq(lookup(&k, "255.255.255.255").kind, ROUTE_BROADCAST);
	cr_assert_eq(lookup(&k, "224.0.0.251").kind, ROUTE_MULTICAST);
	cr_assert_eq(lookup(&k, "192.0.2.1").kind, ROUTE_LINK);
	cr_assert_eq(lookup(&k, "192.0.2.1").next_hop, ip_kit_addr(KIT_PEER), "by the gateway");
	cr_assert_eq(lookup(&k, "0.0.0.0").kind, ROUTE_NONE);
}

Test(route, loopback_is_ours_only_if_configured_and_never_on_the_link)
{
	IP_KIT_WITH(k, .configure = with_loopback);
	be32 local = ip_kit_addr("127.0.0.1"), other = ip_kit_addr("127.1.2.3");
	struct ip_path path;

	cr_assert_eq(lookup(&k, "127.1.2.3").kind, ROUTE_LOCAL);
	cr_assert_eq(lookup(&k, "127.1.2.3").src, local, "as Linux's local table has it");
	cr_assert(route_is_own(k.st, other));
	cr_assert_not(route_is_own_on_link(k.st, other));
	cr_assert_eq(ip4_path_init(k.st, &path, other, local), 0);
	cr_assert_eq(ip4_path_init(k.st, &path, local, ip_kit_addr(KIT_PEER)), -EINVAL);
	cr_assert_eq(ip4_path_init(k.st, &path, 0, ip_kit_addr(KIT_PEER)), 0);
}

Test(route, loopback_is_nowhere_otherwise)
{
	IP_KIT(k);

	cr_assert_eq(lookup(&k, "127.0.0.1").kind, ROUTE_NONE, "not behind the gateway either");
	cr_assert_not(route_is_own(k.st, ip_kit_addr("127.0.0.1")));
}

Test(route, without_gateway_only_the_link_is_reached)
{
	IP_KIT_WITH(k, .configure = no_gateway);
	struct ip_addr far = ip_addr_v4(ip_kit_addr("192.0.2.1")), near = ip_addr_v4(ip_kit_addr(KIT_PEER)),
		       v6 = {0};

	v6.b[15] = 1;
	cr_assert_eq(lookup(&k, "192.0.2.1").kind, ROUTE_NONE);
	cr_assert_not(stack_routes_to(k.st, &far));
	cr_assert(stack_routes_to(k.st, &near));
	cr_assert_not(stack_routes_to(k.st, &v6));
}

Test(route, source_is_of_the_longest_matching_network)
{
	IP_KIT_WITH(k, .configure = two_networks);

	cr_assert_eq(lookup(&k, "198.18.0.1").src, ip_kit_addr(KIT_STACK));
	cr_assert_eq(lookup(&k, "198.18.0.70").src, ip_kit_addr("198.18.0.65"));
	cr_assert_eq(lookup(&k, "198.19.0.8").src, ip_kit_addr("198.19.0.9"));
	cr_assert_eq(lookup(&k, "198.19.0.8").kind, ROUTE_LINK, "RFC 3021: a /31 has no broadcast");
	cr_assert_eq(lookup(&k, "198.18.0.127").kind, ROUTE_BROADCAST);
	cr_assert(route_is_own(k.st, ip_kit_addr("198.18.0.65")));
}

Test(route, path_mtu_is_learned_bounded_and_forgotten)
{
	IP_KIT(k);
	be32 dst = ip_kit_addr("192.0.2.1");

	cr_assert_eq(route_mtu(k.st, dst), 1500);
	route_mtu_learn(k.st, dst, 1400);
	cr_assert_eq(route_mtu(k.st, dst), 1400);
	route_mtu_learn(k.st, dst, 1450);
	cr_assert_eq(route_mtu(k.st, dst), 1400, "only ever smaller");
	route_mtu_learn(k.st, dst, 68);
	cr_assert_eq(route_mtu(k.st, dst), ROUTE_MIN_PMTU);
	ip_kit_advance(&k, 601 * NS_PER_SEC);
	cr_assert_eq(route_mtu(k.st, dst), 1500);
}
