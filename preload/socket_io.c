/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket_io.c - sending and receiving on files of ours, blocking and not
 *
 * Every variant of read and write comes here as a msghdr. Finding nothing to read, or no room, costs one look
 * at the device before the answer is EAGAIN or a sleep: the bytes may be waiting there.
 *
 * What libc writes by itself (stdio on a stream made with fdopen(3), dprintf(3)) does not pass here.
 */
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

#include "runtime.h"
#include "socket_priv.h"

#define SEND_STACK_FLAGS (MSG_MORE | MSG_OOB | MSG_DONTROUTE)
#define RECV_STACK_FLAGS (MSG_PEEK | MSG_TRUNC | MSG_OOB)
#define IOV_WINDOW       64

int socket_block(struct file *f, int fd, uint32_t mask, time_ns timeo, int flags, time_ns *deadline)
{
	int err;

	if (flags & MSG_DONTWAIT || file_nonblocking(f))
		return -EAGAIN;
	if (!*deadline)
		*deadline = timeo ? inst_clock() + timeo : TIME_NEVER;
	err = wait_file(f, fd, mask, *deadline);
	return err == -EINTR && !timeo && signal_restarts() ? -RESTART_CALL : err;
}

/* Length of a vector, or -EINVAL, -EMSGSIZE, -EFAULT as Linux checks it. `touched`: its memory will be used.
 */
static ssize_t iov_bytes(const struct iovec *iov, size_t cnt, bool touched)
{
	size_t total = 0;

	if (cnt > IOV_MAX)
		return -EMSGSIZE;
	if (cnt && bad_pointer(iov))
		return -EFAULT;
	for (size_t i = 0; i < cnt; i++) {
		if ((ssize_t)iov[i].iov_len < 0 || total + iov[i].iov_len > SSIZE_MAX)
			return -EINVAL;
		if (touched && iov[i].iov_len && bad_pointer(iov[i].iov_base))
			return -EFAULT;
		total += iov[i].iov_len;
	}
	return total;
}

/* Copies into `out` up to IOV_WINDOW pieces of what lies `skip` bytes into the vector, at most `max` bytes.
 */
static int iov_window(struct iovec *out, const struct iovec *iov, size_t cnt, size_t skip, size_t max)
{
	int n = 0;

	for (size_t i = 0; i < cnt && n < IOV_WINDOW && max; i++) {
		size_t len = iov[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		len = len - skip < max ? len - skip : max;
		out[n++] = (struct iovec){(char *)iov[i].iov_base + skip, len};
		max -= len;
		skip = 0;
	}
	return n;
}

/* Polls the device; is the socket ready now? */
static bool look_again(struct file *f, uint32_t mask)
{
	inst_poll(f->inst);
	return sock_events(f->so) & (mask | EPOLLERR | EPOLLHUP);
}

static ssize_t stack_send(struct file *f, const struct iovec *iov, int cnt, int flags,
			  const struct endpoint *to)
{
	ssize_t n;

	inst_lock(f->inst);
	n = sock_send(f->so, iov, cnt, flags & SEND_STACK_FLAGS, to);
	if (n >= 0)
		inst_sent(f->inst, (size_t)n);
	inst_unlock(f->inst);
	return n;
}

/* One attempt, and another one after a look at the device when there was no room. */
static ssize_t try_send(struct file *f, const struct iovec *iov, int cnt, int flags,
			const struct endpoint *to)
{
	ssize_t n = stack_send(f, iov, cnt, flags, to);

	if (n == -EAGAIN && look_again(f, EPOLLOUT))
		n = stack_send(f, iov, cnt, flags, to);
	return n;
}

static ssize_t send_datagram(int fd, struct file *f, const struct msghdr *msg, int flags,
			     const struct endpoint *to)
{
	time_ns deadline = 0;

	for (;;) {
		ssize_t n = try_send(f, msg->msg_iov, msg->msg_iovlen, flags, to);
		int err;

		if (n != -EAGAIN)
			return n;
		err = socket_block(f, fd, EPOLLOUT, f->so->sndtimeo_ns, flags, &deadline);
		if (err)
			return err;
	}
}

static ssize_t send_stream(int fd, struct file *f, const struct msghdr *msg, int flags, size_t total)
{
	struct iovec window[IOV_WINDOW];
	const struct iovec *iov = msg->msg_iov;
	int err, cnt = msg->msg_iovlen;
	time_ns deadline = 0;
	size_t sent = 0;

	if (total > MAX_RW_BYTES)
		total = MAX_RW_BYTES;
	if (total == MAX_RW_BYTES || cnt > IOV_WINDOW) {
		cnt = iov_window(window, msg->msg_iov, msg->msg_iovlen, 0, total);
		iov = window;
	}
	for (;;) {
		ssize_t n = try_send(f, iov, cnt, flags, NULL);

		if (n < 0 && n != -EAGAIN)
			return sent ? (ssize_t)sent : n;
		if (n > 0)
			sent += n;
		if (sent == total)
			return sent;
		if (n < 0) {
			err = socket_block(f, fd, EPOLLOUT, f->so->sndtimeo_ns, flags, &deadline);
			if (err)
				return sent ? (ssize_t)sent : err;
		}
		cnt = iov_window(window, msg->msg_iov, msg->msg_iovlen, sent, total - sent);
		iov = window;
	}
}

/* The destination of a datagram: *kernel when the kernel's half of a DUAL socket must send it. */
static int destination(struct file *f, const struct msghdr *msg, struct endpoint *to, bool *kernel)
{
	const struct sockaddr *addr = msg->msg_name;
	int err;

	if (bad_pointer(addr))
		return -EFAULT;
	err = endpoint_from_sockaddr(to, addr, msg->msg_namelen);
	if (err)
		return err;
	if (addr->sa_family == AF_INET6 && f->so->family == AF_INET)
		return -EAFNOSUPPORT;
	*kernel = file_mode(f) == FILE_DUAL && !runtime_routes_to(to, SOCK_DGRAM);
	return 0;
}

ssize_t socket_sendmsg(int fd, struct file *f, const struct msghdr *msg, int flags)
{
	ssize_t n, total;
	struct endpoint to;
	bool kernel = false;

	if (bad_pointer(msg))
		return -EFAULT;
	total = iov_bytes(msg->msg_iov, msg->msg_iovlen, true);
	if (total < 0)
		return total;
	n = cmsg_check_send(msg);
	if (n)
		return n;
	if (f->so->kind == SOCK_KIND_UDP) {
		if (!msg->msg_name || !msg->msg_namelen)
			return send_datagram(fd, f, msg, flags, NULL);
		n = destination(f, msg, &to, &kernel);
		if (n)
			return n;
		if (kernel)
			return result_of(real_sendmsg(fd, msg, flags));
		return send_datagram(fd, f, msg, flags, &to);
	}
	n = send_stream(fd, f, msg, flags, total);
	if (n == -EPIPE && !(flags & MSG_NOSIGNAL))
		pthread_kill(pthread_self(), SIGPIPE);
	return n;
}

static ssize_t stack_recv(struct file *f, const struct iovec *iov, int cnt, int flags,
			  struct sock_recv_info *info)
{
	ssize_t n;

	inst_lock(f->inst);
	n = sock_recv(f->so, iov, cnt, flags & RECV_STACK_FLAGS, info);
	if (n > 0 && stack_output_pending(f->inst->stack))
		inst_sent(f->inst, 0); /* a window that opened */
	inst_unlock(f->inst);
	return n;
}

static ssize_t try_recv(struct file *f, const struct iovec *iov, int cnt, int flags,
			struct sock_recv_info *info)
{
	ssize_t n = stack_recv(f, iov, cnt, flags, info);

	if (n == -EAGAIN && look_again(f, EPOLLIN | EPOLLRDHUP))
		n = stack_recv(f, iov, cnt, flags, info);
	return n;
}

/* recv(2) of nothing: 0 when there is something to read, or it waits for that. */
static ssize_t recv_nothing(int fd, struct file *f, int flags)
{
	time_ns deadline = 0;
	int err = 0;

	while (!err && !look_again(f, EPOLLIN | EPOLLRDHUP))
		err = socket_block(f, fd, EPOLLIN | EPOLLRDHUP, f->so->rcvtimeo_ns, flags, &deadline);
	return err;
}

/* How many bytes a call that may block waits for (SO_RCVLOWAT, MSG_WAITALL). */
static size_t recv_target(const struct file *f, int flags, size_t total)
{
	if (flags & (MSG_PEEK | MSG_OOB))
		return 1;
	if (flags & MSG_WAITALL || f->so->rcvlowat_bytes > total)
		return total;
	return f->so->rcvlowat_bytes;
}

static ssize_t recv_stream(int fd, struct file *f, const struct msghdr *msg, int flags, size_t total,
			   struct sock_recv_info *info)
{
	struct iovec window[IOV_WINDOW];
	const struct iovec *iov = msg->msg_iov;
	int err, cnt = msg->msg_iovlen;
	time_ns deadline = 0;
	size_t got = 0, target;

	if (!total && f->so->kind == SOCK_KIND_TCP)
		return recv_nothing(fd, f, flags);
	if (total > MAX_RW_BYTES)
		total = MAX_RW_BYTES;
	if (total == MAX_RW_BYTES || cnt > IOV_WINDOW) {
		cnt = iov_window(window, msg->msg_iov, msg->msg_iovlen, 0, total);
		iov = window;
	}
	target = recv_target(f, flags, total);
	for (;;) {
		ssize_t n = try_recv(f, iov, cnt, flags, info);

		if (n > 0)
			got += n;
		if (n != -EAGAIN && (n <= 0 || got >= target))
			return got ? (ssize_t)got : n;
		if (n == -EAGAIN) {
			err = flags & MSG_OOB ? -EAGAIN
					      : socket_block(f, fd, EPOLLIN | EPOLLRDHUP, f->so->rcvtimeo_ns,
							     flags, &deadline);
			if (err)
				return got ? (ssize_t)got : err;
		}
		if (got) {
			cnt = iov_window(window, msg->msg_iov, msg->msg_iovlen, got, total - got);
			iov = window;
		}
	}
}

/* Gives name, ancillary data and flags of a datagram as recvmsg(2) does. */
static void give_datagram(struct file *f, struct msghdr *msg, const struct sock_recv_info *info)
{
	if (msg->msg_name)
		endpoint_to_sockaddr(&info->from, f->so->family, msg->msg_name, &msg->msg_namelen);
	msg->msg_flags = info->msg_flags;
	cmsg_fill(msg, f->so, info);
}

static ssize_t recv_datagram(int fd, struct file *f, struct msghdr *msg, int flags)
{
	struct sock_recv_info info = {0};
	time_ns deadline = 0;

	for (;;) {
		ssize_t n = try_recv(f, msg->msg_iov, msg->msg_iovlen, flags, &info);
		int err;

		if (n >= 0) {
			give_datagram(f, msg, &info);
			return flags & MSG_TRUNC ? info.full_len : n;
		}
		if (n == -EAGAIN && file_mode(f) == FILE_DUAL)
			n = result_of(real_recvmsg(fd, msg, flags | MSG_DONTWAIT));
		if (n != -EAGAIN)
			return n;
		if (f->so->shut & 1 && !(flags & MSG_DONTWAIT) && !file_nonblocking(f)) {
			/* shutdown(2) ends waits; who does not wait is not told. */
			msg->msg_namelen = 0;
			msg->msg_controllen = 0;
			return 0;
		}
		err = socket_block(f, fd, EPOLLIN | EPOLLRDHUP, f->so->rcvtimeo_ns, flags, &deadline);
		if (err)
			return err;
	}
}

/* Only when the program wants to know: it takes the lock once more. */
static int inq_of(struct file *f)
{
	int inq = 0;

	if (__builtin_expect(f->so->opts.recv_opts & SOCK_RECV_INQ, 0)) {
		inst_lock(f->inst);
		inq = sock_inq(f->so);
		inst_unlock(f->inst);
	}
	return inq;
}

ssize_t socket_recvmsg(int fd, struct file *f, struct msghdr *msg, int flags)
{
	bool discards = flags & MSG_TRUNC && f->so->kind == SOCK_KIND_TCP;
	struct sock_recv_info info = {0};
	ssize_t n, total;

	if (bad_pointer(msg))
		return -EFAULT;
	total = iov_bytes(msg->msg_iov, msg->msg_iovlen, !discards);
	if (total < 0)
		return total;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN; /* there is no error queue */
	if (f->so->kind == SOCK_KIND_UDP)
		return recv_datagram(fd, f, msg, flags);
	n = recv_stream(fd, f, msg, flags, total, &info);
	if (n >= 0) {
		msg->msg_namelen = 0;
		msg->msg_flags = info.msg_flags;
		cmsg_fill_stream(msg, f->so, inq_of(f));
	}
	return n;
}

int socket_sendmmsg(int fd, struct file *f, struct mmsghdr *msgs, unsigned n, int flags)
{
	unsigned done;

	if (n > IOV_MAX)
		n = IOV_MAX;
	for (done = 0; done < n; done++) {
		ssize_t sent = socket_sendmsg(fd, f, &msgs[done].msg_hdr, flags);

		if (sent < 0)
			return done ? (int)done : (int)sent;
		msgs[done].msg_len = sent;
	}
	return done;
}

/* As recvmmsg(2) does, the timeout is looked at after each datagram only, and told what is left of it. */
static bool time_left(time_ns end, struct timespec *timeout)
{
	time_ns now = end == TIME_NEVER ? 0 : inst_clock(), left = end > now ? end - now : 0;

	if (end != TIME_NEVER)
		*timeout = (struct timespec){(time_t)(left / NS_PER_SEC), (long)(left % NS_PER_SEC)};
	return left;
}

int socket_recvmmsg(int fd, struct file *f, struct mmsghdr *msgs, unsigned n, int flags,
		    struct timespec *timeout)
{
	time_ns end;
	unsigned done;
	int err = wait_deadline(timeout, &end);

	if (err)
		return err;
	for (done = 0; done < n; done++) {
		ssize_t got;

		if (done && timeout && !time_left(end, timeout))
			break;
		got = socket_recvmsg(fd, f, &msgs[done].msg_hdr, flags & ~MSG_WAITFORONE);
		if (got < 0)
			return done ? (int)done : (int)got;
		msgs[done].msg_len = got;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
	}
	if (done && timeout)
		time_left(end, timeout);
	return done;
}
