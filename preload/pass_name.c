/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pass_name.c - a connection's names in an abstract AF_UNIX address (pass_name.h)
 *
 *     \0shunt-tcp FAMILY LOCAL PORT PEER PORT UNIQUE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "libc.h"
#include "pass_name.h"
#include "stack/sock.h"

#define MAGIC     "shunt-tcp"
#define NAME_TEXT INET6_ADDRSTRLEN

static void addr_text(const struct endpoint *ep, char *text)
{
	inet_ntop(AF_INET6, ep->addr.b, text, NAME_TEXT);
}

void pass_name_set(int fd, const struct sock *so)
{
	static _Atomic uint32_t unique;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char local[NAME_TEXT], peer[NAME_TEXT];
	int n;

	addr_text(&so->local, local);
	addr_text(&so->peer, peer);
	n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, MAGIC " %d %s %u %s %u %x.%x", so->family,
		     local, ntohs(so->local.port), peer, ntohs(so->peer.port), (unsigned)getpid(),
		     atomic_fetch_add(&unique, 1));
	if (n < (int)sizeof(un.sun_path) - 1)
		real_bind(fd, (struct sockaddr *)&un,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n));
}

/* The names of `fd`'s connection, if it is one end of a pump's pair: nameless itself, its peer named as
 * above. */
static bool names_of(int fd, int *family, struct endpoint ep[2])
{
	struct sockaddr_un un = {0};
	socklen_t len = sizeof(un) - 1;
	char text[2][NAME_TEXT];
	unsigned port[2];

	if (real_getpeername(fd, (struct sockaddr *)&un, &len) || un.sun_family != AF_UNIX ||
	    len <= offsetof(struct sockaddr_un, sun_path) || un.sun_path[0] ||
	    strncmp(un.sun_path + 1, MAGIC " ", sizeof(MAGIC)) != 0)
		return false;
	un.sun_path[sizeof(un.sun_path) - 1] = '\0';
	if (sscanf(un.sun_path + 1, MAGIC " %d %45[0-9a-f:.] %u %45[0-9a-f:.] %u", family, text[0], &port[0],
		   text[1], &port[1]) != 5 ||
	    (*family != AF_INET && *family != AF_INET6))
		return false;
	for (int i = 0; i < 2; i++) {
		if (inet_pton(AF_INET6, text[i], ep[i].addr.b) != 1)
			return false;
		ep[i].port = htons((uint16_t)port[i]);
	}
	/* A server's end of an AF_UNIX connection has the listener's name: its client must not pass for a
	 * peer. */
	len = sizeof(un);
	return !real_getsockname(fd, (struct sockaddr *)&un, &len) &&
	       len <= offsetof(struct sockaddr_un, sun_path);
}

void pass_name_replace(int fd, bool peer, struct sockaddr *addr, socklen_t *len, socklen_t room)
{
	struct endpoint ep[2];
	int family, saved = errno;

	if (names_of(fd, &family, ep)) {
		*len = room;
		endpoint_to_sockaddr(&ep[peer], family, addr, len);
	}
	errno = saved;
}

bool pass_name_has(int fd)
{
	struct endpoint ep[2];
	int family, saved = errno;
	bool has = names_of(fd, &family, ep);

	errno = saved;
	return has;
}
