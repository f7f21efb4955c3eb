/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip_addr.h - one address type for IPv4 and IPv6, and the endpoint (address, port) of a socket
 *
 * An IPv4 address is kept as the IPv4-mapped IPv6 address ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so lookups
 * compare two words whatever the family, and an AF_INET6 socket that accepts IPv4 (ipv6(7)) needs no second
 * table. Everything is in network byte order, as on the wire.
 */
#ifndef STACK_IP_ADDR_H
#define STACK_IP_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

typedef uint16_t be16;
typedef uint32_t be32;

struct ip_addr {
	union {
		uint8_t b[16];
		be32 w[4];
		uint64_t d[2];
	};
};

struct endpoint {
	struct ip_addr addr;
	be16 port;
};

static inline struct ip_addr ip_addr_v4(be32 v4)
{
	struct ip_addr a = {.w = {0, 0, htonl(0xffff), v4}};
	return a;
}

/* The wildcard: :: (also what 0.0.0.0 becomes, see endpoint_from_sockaddr()). */
static inline struct ip_addr ip_addr_any(void)
{
	struct ip_addr a = {.d = {0, 0}};
	return a;
}

static inline bool ip_addr_is_v4(const struct ip_addr *a)
{
	return a->d[0] == 0 && a->w[2] == htonl(0xffff);
}

static inline be32 ip_addr_to_v4(const struct ip_addr *a)
{
	return a->w[3];
}

static inline bool ip_addr_is_any(const struct ip_addr *a)
{
	return a->d[0] == 0 && a->d[1] == 0;
}

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

/*
 * Reads a sockaddr as bind(2) and connect(2) get it. 0.0.0.0 becomes the wildcard ::. Returns 0, -EINVAL for
 * a length too short, -EAFNOSUPPORT for a family that is neither AF_INET nor AF_INET6.
 */
int endpoint_from_sockaddr(struct endpoint *ep, const struct sockaddr *sa, socklen_t len);

/*
 * Writes the endpoint as a socket of `family` (AF_INET or AF_INET6) shows it, truncated to *len as accept(2)
 * says; *len becomes the full length.
 */
void endpoint_to_sockaddr(const struct endpoint *ep, int family, struct sockaddr *sa, socklen_t *len);

#endif
