/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip_addr.c - conversions between struct endpoint and the sockaddr of the socket API
 *
 * The only place in stack/ that knows sockaddr_in and sockaddr_in6. No state.
 */
#include "ip_addr.h"

#include <errno.h>
#include <stddef.h>

/* Linux accepts a sockaddr_in6 without sin6_scope_id (RFC 2133 programs): SIN6_LEN_RFC2133. */
#define SOCKADDR_IN6_MIN_BYTES (offsetof(struct sockaddr_in6, sin6_addr) + sizeof(struct in6_addr))

int endpoint_from_sockaddr(struct endpoint *ep, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	if (len < offsetof(struct sockaddr, sa_data))
		return -EINVAL;
	switch (sa->sa_family) {
	case AF_INET:
		if (len < sizeof(in4))
			return -EINVAL;
		memcpy(&in4, sa, sizeof(in4));
		ep->addr =
			in4.sin_addr.s_addr == INADDR_ANY ? ip_addr_any() : ip_addr_v4(in4.sin_addr.s_addr);
		ep->port = in4.sin_port;
		return 0;
	case AF_INET6:
		if (len < SOCKADDR_IN6_MIN_BYTES)
			return -EINVAL;
		memcpy(&in6, sa, SOCKADDR_IN6_MIN_BYTES);
		memcpy(ep->addr.b, &in6.sin6_addr, sizeof(ep->addr.b));
		ep->port = in6.sin6_port;
		/* ::ffff:0.0.0.0 is the wildcard too: one form only, or lookups would miss */
		if (ip_addr_is_v4(&ep->addr) && ip_addr_to_v4(&ep->addr) == INADDR_ANY)
			ep->addr = ip_addr_any();
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

void endpoint_to_sockaddr(const struct endpoint *ep, int family, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	const void *from;
	socklen_t full;

	if (family == AF_INET) {
		in4.sin_port = ep->port;
		in4.sin_addr.s_addr = ip_addr_is_any(&ep->addr) ? INADDR_ANY : ip_addr_to_v4(&ep->addr);
		from = &in4;
		full = sizeof(in4);
	} else {
		in6.sin6_port = ep->port;
		memcpy(&in6.sin6_addr, ep->addr.b, sizeof(ep->addr.b));
		from = &in6;
		full = sizeof(in6);
	}
	memcpy(sa, from, *len < full ? *len : full);
	*len = full;
}
