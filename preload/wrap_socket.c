/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_socket.c - exported: socket, bind, listen, accept, connect, names and options
 */
#include "bad_pointer.h"
#include "inside.h"
#include "pass_name.h"
#include "socket.h"
#include "wrap.h"
#include "wrap_file.h"

int wrap_socket(int domain, int type, int protocol)
{
	int fd = real_socket(domain, type, protocol);

	if (fd >= 0 && !inside)
		socket_made(fd, domain, type, protocol);
	return fd;
}

int wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (inside || !socket_concerns(fd))
		return real_bind(fd, addr, len);
	return RESULT(socket_bind(fd, addr, len));
}

int wrap_listen(int fd, int backlog)
{
	if (inside || !socket_concerns(fd))
		return real_listen(fd, backlog);
	return RESULT(socket_listen(fd, backlog));
}

int wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_accept(fd, f, addr, len, flags)) : real_accept4(fd, addr, len, flags);
}

int wrap_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_accept(fd, f, addr, len, 0)) : real_accept(fd, addr, len);
}

int wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (inside || !socket_concerns(fd))
		return real_connect(fd, addr, len);
	return RESULT_RESTARTED(socket_connect(fd, addr, len));
}
WRAP_ALIAS(__connect, connect)

int wrap_shutdown(int fd, int how)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_shutdown(fd, f, how)) : real_shutdown(fd, how);
}

/* The kernel's answer, but for one end of a pump's socketpair. */
static int kernel_name(int fd, bool peer, struct sockaddr *addr, socklen_t *len)
{
	socklen_t room = bad_pointer(len) ? 0 : *len;
	int got = peer ? real_getpeername(fd, addr, len) : real_getsockname(fd, addr, len);

	if (!got && room >= sizeof(addr->sa_family) && addr->sa_family == AF_UNIX)
		pass_name_replace(fd, peer, addr, len, room);
	return got;
}

int wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_getsockname(f, addr, len)) : kernel_name(fd, false, addr, len);
}

int wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_getpeername(f, addr, len)) : kernel_name(fd, true, addr, len);
}

int wrap_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_getsockopt(fd, f, level, name, val, len))
		 : real_getsockopt(fd, level, name, val, len);
}

int wrap_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct file *f = socket_get(fd);
	int got, saved = errno;

	if (f)
		return ON_FILE(f, socket_setsockopt(fd, f, level, name, val, len));
	if (file_is_candidate(fd))
		file_mark_candidate_options(fd);
	got = real_setsockopt(fd, level, name, val, len);
	/* TCP_NODELAY and its like on a pump's socketpair: servers take it for granted that it works. */
	if (got < 0 && errno == EOPNOTSUPP && level != SOL_SOCKET && pass_name_has(fd)) {
		errno = saved;
		return 0;
	}
	return got;
}
