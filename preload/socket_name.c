/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_name.c - bind, listen, connect, getsockname, getpeername: where a socket becomes ours, or does not
 *
 * The rule is in socket.h. A wildcard bind asks the kernel first: it knows who else has the port, and picks
 * one for port 0; the stack then takes the same. When the stack cannot (DPDK does not start), the socket
 * stays with the kernel, or the call fails with ENETDOWN if configured so (fallback=off).
 */
#include <netinet/tcp.h>

#include "epoll_set.h"
#include "listen_group.h"
#include "runtime.h"
#include "socket_priv.h"

#define BIND_TRIES 32 /* ports, until one is found that stack and kernel have free */

/* What bind() and connect() must know of a candidate. */
struct candidate {
	int fd, family, type;
};

static int kernel_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return real_getsockopt(fd, level, name, &value, &len) ? -1 : value;
}

static struct candidate candidate(int fd)
{
	return (struct candidate){fd, kernel_option(fd, SOL_SOCKET, SO_DOMAIN),
				  kernel_option(fd, SOL_SOCKET, SO_TYPE)};
}

/* The kernel serves this descriptor from now on, whatever happens to it. */
static void leave_to_kernel(int fd)
{
	file_uninstall(fd);
}

/* Starts the stack for a candidate. 0: go on; 1: the kernel's; -ENETDOWN; -EINTR while waiting for a peer. */
static int start_for(int fd)
{
	int err = runtime_start();

	if (!err || err == -EINTR)
		return err;
	leave_to_kernel(fd);
	return runtime_fails_closed() ? -ENETDOWN : 1;
}

/* IPv6 that the stack does not speak: such a socket would hear nothing of it. */
static bool kernel_only(const struct candidate *c)
{
	return c->family == AF_INET6 && kernel_option(c->fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
}

static be16 kernel_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint ep;

	if (real_getsockname(fd, (struct sockaddr *)&ss, &len) ||
	    endpoint_from_sockaddr(&ep, (struct sockaddr *)&ss, len))
		return 0;
	return ep.port;
}

/* Gives the candidate a socket of the stack, bound to `local`. */
static int adopt_bound(const struct candidate *c, const struct endpoint *local, enum file_mode mode)
{
	struct adoption a;
	int err = adopt_begin(&a, c->fd, c->family, c->type);

	if (err)
		return err;
	err = listen_group_bind(a.in, a.so, local);
	if (err) {
		adopt_abort(&a);
		return err;
	}
	return adopt_commit(&a, mode);
}

/* The kernel's socket is bound to `addr`, which both serve: binds the stack to the same port. */
static int adopt_dual(const struct candidate *c, const struct ip_addr *addr)
{
	struct endpoint local = {.addr = *addr, .port = kernel_port(c->fd)};
	int err = start_for(c->fd);

	if (err)
		return err < 0 ? err : 0;
	return adopt_bound(c, &local, FILE_DUAL);
}

/* One port that both have free. -EADDRINUSE: the kernel's neighbours have the one that the stack took. */
static int bind_both_once(const struct candidate *c, const struct endpoint *local)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct adoption a;
	int err = adopt_begin(&a, c->fd, c->family, c->type);

	if (err)
		return err;
	err = listen_group_bind(a.in, a.so, local);
	if (!err) {
		endpoint_to_sockaddr(&a.so->local, c->family, (struct sockaddr *)&ss, &len);
		err = result_of(real_bind(c->fd, (struct sockaddr *)&ss, len));
	}
	if (err) {
		adopt_abort(&a);
		return err;
	}
	return adopt_commit(&a, FILE_DUAL);
}

/*
 * bind(2) to an address that both serve. Any port: the stack chooses, since the kernel does not know the
 * ports of its connections, while of a single port the kernel can be asked.
 */
static int bind_both(const struct candidate *c, const struct endpoint *local, const struct sockaddr *addr,
		     socklen_t len)
{
	int err;

	if (local->port || kernel_option(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == 1) {
		err = result_of(real_bind(c->fd, addr, len));
		return err ? err : adopt_dual(c, &local->addr);
	}
	err = start_for(c->fd);
	if (err)
		return err < 0 ? err : result_of(real_bind(c->fd, addr, len));
	for (unsigned tries = 0; tries < BIND_TRIES; tries++) {
		err = bind_both_once(c, local);
		if (err != -EADDRINUSE)
			break;
	}
	return err;
}

/* What the kernel does for an unbound socket: the wildcard and any port. */
static int bind_any(const struct candidate *c)
{
	const struct endpoint any = {.addr = ip_addr_any()};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	endpoint_to_sockaddr(&any, c->family, (struct sockaddr *)&ss, &len);
	return bind_both(c, &any, (struct sockaddr *)&ss, len);
}

int socket_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct file *f = socket_get(fd);
	struct endpoint ep;
	struct candidate c;
	int err;

	err = bad_pointer(addr) ? -EFAULT : endpoint_from_sockaddr(&ep, addr, len);
	if (f) {
		if (!err)
			err = listen_group_bind(f->inst, f->so, &ep);
		file_put(f);
		return err;
	}
	c = candidate(fd);
	if (err || addr->sa_family != c.family || kernel_only(&c))
		return result_of(real_bind(fd, addr, len));
	if (ip_addr_is_any(&ep.addr) || runtime_shares_loopback(&ep.addr))
		return bind_both(&c, &ep, addr, len);
	if (runtime_owns(&ep.addr)) {
		err = start_for(fd);
		if (!err)
			return adopt_bound(&c, &ep, FILE_STACK);
		if (err < 0)
			return err;
	}
	err = result_of(real_bind(fd, addr, len));
	if (!err)
		leave_to_kernel(fd);
	return err;
}

/* A DUAL listener's kernel side must never block: accept() looks at both. */
static void kernel_nonblocking(int fd)
{
	real_fcntl(fd, F_SETFL, real_fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
}

int socket_listen(int fd, int backlog)
{
	const struct ip_addr any = ip_addr_any();
	struct file *f = socket_get(fd);
	struct candidate c;
	int err;

	if (!f) {
		c = candidate(fd);
		if (c.type == SOCK_STREAM && !kernel_only(&c) && !kernel_port(fd)) {
			err = bind_any(&c);
			if (err)
				return err;
			f = socket_get(fd);
		}
	}
	if (!f) {
		err = result_of(real_listen(fd, backlog));
		if (err || kernel_only(&c))
			return err;
		err = adopt_dual(&c, &any);
		f = err ? NULL : socket_get(fd);
		if (!f)
			return err;
	} else if (file_mode(f) == FILE_DUAL) {
		err = result_of(real_listen(fd, backlog));
		if (err)
			goto out;
	}
	err = listen_group_listen(f, backlog);
	if (!err)
		accept_prepare(f->so->family);
	if (!err && file_mode(f) == FILE_DUAL)
		kernel_nonblocking(fd);
out:
	file_put(f);
	return err;
}

/*
 * A connection attempt is under way: waits for its end, as connect(2) on a blocking socket. The answer is
 * what a second connect says, which also ends the attempt for the stack.
 */
static int connect_wait(int fd, struct file *f, const struct endpoint *peer)
{
	time_ns deadline = 0;
	int err;

	while (!(sock_events(f->so) & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		err = socket_block(f, fd, EPOLLOUT, f->so->sndtimeo_ns, 0, &deadline);
		if (err)
			return err == -EAGAIN ? -EINPROGRESS : err;
	}
	inst_lock(f->inst);
	err = sock_connect(f->so, peer);
	inst_unlock(f->inst);
	return err;
}

/* The kernel's half of a DUAL socket has no part in the connection: nobody asks it any more. */
static void leave_kernel(struct file *f)
{
	if (file_mode(f) != FILE_DUAL)
		return;
	atomic_store(&f->mode, FILE_STACK);
	epoll_file_decided(f);
}

/* `flags`: MSG_DONTWAIT does not wait for the connection, as O_NONBLOCK. */
static int connect_file(int fd, struct file *f, const struct endpoint *peer, int flags)
{
	int err;

	inst_lock(f->inst);
	err = sock_connect(f->so, peer);
	if (err == -EINPROGRESS || !err)
		inst_sent(f->inst, 0);
	inst_unlock(f->inst);
	if (err == -EINPROGRESS || !err)
		leave_kernel(f);
	if ((err == -EINPROGRESS || err == -EALREADY) && !file_nonblocking(f) && !(flags & MSG_DONTWAIT))
		err = connect_wait(fd, f, peer);
	return err;
}

/* The first bytes of a connection attempt of a candidate: becomes ours unless it fails at once. */
static int connect_candidate(const struct candidate *c, const struct endpoint *peer, int flags)
{
	struct adoption a;
	struct file *f;
	int err = adopt_begin(&a, c->fd, c->family, c->type);

	if (err)
		return err;
	inst_lock(a.in);
	err = sock_connect(a.so, peer);
	if (err == -EINPROGRESS || !err)
		inst_sent(a.in, 0);
	inst_unlock(a.in);
	if (err && err != -EINPROGRESS) {
		adopt_abort(&a);
		return err;
	}
	if (adopt_commit(&a, FILE_STACK))
		return -ENOBUFS;
	f = socket_get(c->fd);
	if (!f)
		return -EBADF;
	if (err && !file_nonblocking(f) && !(flags & MSG_DONTWAIT))
		err = connect_wait(c->fd, f, peer);
	file_put(f);
	return err;
}

/* connect() on a file of ours. *kernel: it must be the kernel's from now on. */
static int connect_ours(int fd, struct file *f, const struct endpoint *peer, int flags, bool *kernel)
{
	bool udp = f->so->kind == SOCK_KIND_UDP;

	if (f->so->kind == SOCK_KIND_TCP_LISTEN)
		return -EISCONN;
	if (runtime_routes_to(peer, udp ? SOCK_DGRAM : SOCK_STREAM) || (file_mode(f) == FILE_STACK && !udp))
		return connect_file(fd, f, peer, flags);
	*kernel = true;
	leave_to_kernel(fd);
	if (udp)
		file_mark_candidate(fd);
	return 0;
}

static int disconnect(struct file *f)
{
	int err;

	if (f->group)
		listen_group_stop(f);
	inst_lock(f->inst);
	err = sock_disconnect(f->so);
	inst_sent(f->inst, 0);
	inst_unlock(f->inst);
	return err;
}

int socket_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct file *f = socket_get(fd);
	bool kernel = !f;
	struct endpoint ep;
	struct candidate c;
	int err;

	if (bad_pointer(addr) || len < sizeof(addr->sa_family))
		err = bad_pointer(addr) ? -EFAULT : -EINVAL;
	else if (f && addr->sa_family == AF_UNSPEC)
		err = disconnect(f);
	else
		err = endpoint_from_sockaddr(&ep, addr, len);
	if (f) {
		if (!err && addr->sa_family != AF_UNSPEC)
			err = connect_ours(fd, f, &ep, 0, &kernel);
		file_put(f);
		return kernel ? result_of(real_connect(fd, addr, len)) : err;
	}
	c = candidate(fd);
	if (!err && addr->sa_family == c.family && runtime_routes_to(&ep, c.type) && !kernel_only(&c)) {
		err = start_for(fd);
		if (!err)
			return connect_candidate(&c, &ep, 0);
		if (err < 0)
			return err;
	}
	if (!err && c.type == SOCK_STREAM)
		leave_to_kernel(fd);
	return result_of(real_connect(fd, addr, len));
}

/*
 * What MSG_FASTOPEN does on Linux when there is no cookie of the server: connect(2), and then the data is
 * sent as ever. A server's cookie would spare a round trip; the stack asks for none.
 */
static int fastopen_ours(int fd, struct file *f, const struct msghdr *msg, int flags)
{
	struct endpoint ep;
	bool kernel = false;
	int err;

	if (msg->msg_name && bad_pointer(msg->msg_name))
		return -EFAULT;
	if (f->so->kind == SOCK_KIND_TCP_LISTEN)
		return -EISCONN;
	if (!msg->msg_name) /* an attempt under way is waited for, and a fresh socket has no destination */
		ep = f->so->peer;
	else if (((const struct sockaddr *)msg->msg_name)->sa_family == AF_UNSPEC)
		return -EOPNOTSUPP;
	else if ((err = endpoint_from_sockaddr(&ep, msg->msg_name, msg->msg_namelen)))
		return err;
	if (!ep.port)
		return -EINVAL;
	err = connect_ours(fd, f, &ep, flags, &kernel);
	return kernel ? 1 : err;
}

int socket_fastopen(int fd, const struct msghdr *msg, int flags)
{
	struct file *f = socket_get(fd);
	const struct sockaddr *addr = msg->msg_name;
	struct endpoint ep;
	struct candidate c;
	int err;

	if (f) {
		err = f->so->kind == SOCK_KIND_UDP ? 1 : fastopen_ours(fd, f, msg, flags);
		file_put(f);
		return err;
	}
	if (!file_is_candidate(fd))
		return 1;
	c = candidate(fd);
	if (c.type != SOCK_STREAM || !addr || bad_pointer(addr) ||
	    endpoint_from_sockaddr(&ep, addr, msg->msg_namelen) || addr->sa_family != c.family)
		return 1;
	if (runtime_routes_to(&ep, c.type) && !kernel_only(&c)) {
		err = start_for(fd);
		if (err <= 0)
			return err ? err : connect_candidate(&c, &ep, flags);
	}
	leave_to_kernel(fd);
	return 1;
}

struct file *socket_decide_send(int fd, const struct sockaddr *addr, socklen_t len, int *err)
{
	const struct endpoint any = {.addr = ip_addr_any()};
	struct candidate c = candidate(fd);
	struct endpoint ep;

	*err = 0;
	if (c.type != SOCK_DGRAM || bad_pointer(addr) || endpoint_from_sockaddr(&ep, addr, len) ||
	    addr->sa_family != c.family || !runtime_routes_to(&ep, SOCK_DGRAM) || kernel_only(&c))
		return NULL;
	*err = kernel_port(fd) ? adopt_dual(&c, &any.addr) : bind_any(&c);
	return *err ? NULL : socket_get(fd);
}

static int give_name(const struct endpoint *ep, int family, struct sockaddr *addr, socklen_t *len)
{
	if (bad_pointer(len) || (*len && bad_pointer(addr)))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	endpoint_to_sockaddr(ep, family, addr, len);
	return 0;
}

int socket_getsockname(struct file *f, struct sockaddr *addr, socklen_t *len)
{
	struct endpoint local;

	inst_lock(f->inst);
	local = f->so->local;
	inst_unlock(f->inst);
	return give_name(&local, f->so->family, addr, len);
}

/* Linux shows a peer from ESTABLISHED on until the connection is gone (TCP_CLOSE). */
static bool has_peer(struct sock *so)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (!so->peer.port || so->kind != SOCK_KIND_TCP)
		return so->peer.port && so->kind == SOCK_KIND_UDP;
	if (sock_getopt(so, IPPROTO_TCP, TCP_INFO, &info, &len))
		return true;
	return info.tcpi_state != TCP_CLOSE && info.tcpi_state != TCP_SYN_SENT;
}

int socket_getpeername(struct file *f, struct sockaddr *addr, socklen_t *len)
{
	struct endpoint peer;
	bool connected;

	inst_lock(f->inst);
	connected = has_peer(f->so);
	peer = f->so->peer;
	inst_unlock(f->inst);
	return connected ? give_name(&peer, f->so->family, addr, len) : -ENOTCONN;
}
