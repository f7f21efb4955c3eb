/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pass_name.h - the names of a connection that a foreign program image sees as one end of a socketpair
 *
 * The pump's end is bound to an abstract AF_UNIX address (unix(7)) that spells the connection's two names.
 * Whoever has the other end, by exec, fork, dup or SCM_RIGHTS, reads it with getpeername(2): so an image
 * under Shunt can answer with the true names, without any state of its own.
 */
#ifndef PRELOAD_PASS_NAME_H
#define PRELOAD_PASS_NAME_H

#include <stdbool.h>
#include <sys/socket.h>

struct sock;

/* Names the pump's end `fd` after the connection `so`. Without a name the connection works too. */
void pass_name_set(int fd, const struct sock *so);

/*
 * `fd` answered getsockname(2) or getpeername(2) with the AF_UNIX address in addr, for which the caller had
 * `room` bytes: puts the connection's own or its peer's name there if `fd` is such an end. Keeps errno.
 */
void pass_name_replace(int fd, bool peer, struct sockaddr *addr, socklen_t *len, socklen_t room);

/* Is `fd` such an end? Keeps errno. */
bool pass_name_has(int fd);

#endif
