/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ip_addr.c - sockaddr conversions: families, short lengths, wildcards in all their spellings
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "stack/ip_addr.h"

static struct sockaddr_in in4(const char *text, uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

	cr_assert_eq(inet_pton(AF_INET, text, &sa.sin_addr), 1);
	return sa;
}

static struct sockaddr_in6 in6(const char *text, uint16_t port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	cr_assert_eq(inet_pton(AF_INET6, text, &sa.sin6_addr), 1);
	return sa;
}

Test(ip_addr, from_sockaddr_in)
{
	struct sockaddr_in sa = in4("198.18.0.2", 80);
	struct endpoint ep;

	cr_assert_eq(endpoint_from_sockaddr(&ep, (struct sockaddr *)&sa, sizeof(sa)), 0);
	cr_assert(ip_addr_is_v4(&ep.addr));
	cr_assert_eq(ip_addr_to_v4(&ep.addr), sa.sin_addr.s_addr);
	cr_assert_eq(ep.port, htons(80));
}

Test(ip_addr, wildcard_has_one_form)
{
	struct sockaddr_in a = in4("0.0.0.0", 1);
	struct sockaddr_in6 b = in6("::", 1), c = in6("::ffff:0.0.0.0", 1);
	struct endpoint ep;

	cr_assert_eq(endpoint_from_sockaddr(&ep, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert(ip_addr_is_any(&ep.addr));
	cr_assert_eq(endpoint_from_sockaddr(&ep, (struct sockaddr *)&b, sizeof(b)), 0);
	cr_assert(ip_addr_is_any(&ep.addr));
	cr_assert_eq(endpoint_from_sockaddr(&ep, (struct sockaddr *)&c, sizeof(c)), 0);
	cr_assert(ip_addr_is_any(&ep.addr));
}

Test(ip_addr, mapped_address_is_the_v4_address)
{
	struct sockaddr_in a = in4("198.18.0.2", 7);
	struct sockaddr_in6 b = in6("::ffff:198.18.0.2", 7);
	struct endpoint x, y;

	cr_assert_eq(endpoint_from_sockaddr(&x, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(endpoint_from_sockaddr(&y, (struct sockaddr *)&b, sizeof(b)), 0);
	cr_assert(ip_addr_eq(&x.addr, &y.addr));
}

Test(ip_addr, every_short_length_is_refused)
{
	struct sockaddr_in a = in4("198.18.0.2", 7);
	struct sockaddr_in6 b = in6("2001:db8::1", 7);
	struct endpoint ep;

	for (socklen_t len = 0; len < sizeof(a); len++)
		cr_assert_eq(endpoint_from_sockaddr(&ep, (struct sockaddr *)&a, len), -EINVAL);
	for (socklen_t len = 0; len < 24; len++)
		cr_assert_eq(endpoint_from_sockaddr(&ep, (struct sockaddr *)&b, len), -EINVAL);
	cr_assert_eq(endpoint_from_sockaddr(&ep, (struct sockaddr *)&b, 24), 0, "RFC 2133 length");
}

Test(ip_addr, other_families_are_refused)
{
	struct sockaddr sa = {.sa_family = AF_UNIX};
	struct endpoint ep;

	cr_assert_eq(endpoint_from_sockaddr(&ep, &sa, sizeof(sa)), -EAFNOSUPPORT);
}

Test(ip_addr, to_sockaddr_in_and_truncation)
{
	struct endpoint ep = {.addr = ip_addr_v4(htonl(0xc6120002)), .port = htons(99)};
	struct sockaddr_in got;
	unsigned char raw[sizeof(got)];
	socklen_t len = sizeof(got);

	endpoint_to_sockaddr(&ep, AF_INET, (struct sockaddr *)&got, &len);
	cr_assert_eq(len, sizeof(got));
	cr_assert_eq(got.sin_family, AF_INET);
	cr_assert_eq(got.sin_addr.s_addr, htonl(0xc6120002));
	cr_assert_eq(got.sin_port, htons(99));

	memset(raw, 0xee, sizeof(raw));
	len = 4;
	endpoint_to_sockaddr(&ep, AF_INET, (struct sockaddr *)raw, &len);
	cr_assert_eq(len, sizeof(got), "full length is told");
	cr_assert_eq(raw[4], 0xee, "not a byte more than asked");
	cr_assert_eq(raw[3], 99);
}

Test(ip_addr, v6_socket_shows_mapped_address)
{
	struct endpoint ep = {.addr = ip_addr_v4(htonl(0xc6120002)), .port = htons(99)};
	struct sockaddr_in6 got, want = in6("::ffff:198.18.0.2", 99);
	socklen_t len = sizeof(got);

	endpoint_to_sockaddr(&ep, AF_INET6, (struct sockaddr *)&got, &len);
	cr_assert_eq(len, sizeof(got));
	cr_assert_arr_eq(&got, &want, sizeof(got));
}

Test(ip_addr, wildcard_shows_as_zero_in_both_families)
{
	struct endpoint ep = {.addr = ip_addr_any(), .port = htons(5)};
	struct sockaddr_in a;
	struct sockaddr_in6 b;
	socklen_t len = sizeof(a);

	endpoint_to_sockaddr(&ep, AF_INET, (struct sockaddr *)&a, &len);
	cr_assert_eq(a.sin_addr.s_addr, INADDR_ANY);
	len = sizeof(b);
	endpoint_to_sockaddr(&ep, AF_INET6, (struct sockaddr *)&b, &len);
	cr_assert(IN6_IS_ADDR_UNSPECIFIED(&b.sin6_addr));
}
