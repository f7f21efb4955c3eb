/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_io.c - exported: everything that moves bytes. Each call becomes a msghdr (socket_io.c).
 *
 * pread(2), pwrite(2), lseek(2), tee(2), vmsplice(2) and copy_file_range(2) need no wrapper: on the kernel
 * socket under the number they fail as on any socket.
 */
#include <limits.h>
#include <sys/sendfile.h>

#include "bad_pointer.h"
#include "pass.h"
#include "socket.h"
#include "wrap.h"
#include "wrap_file.h"

static ssize_t receive(int fd, struct file *f, void *buf, size_t n, int flags)
{
	struct iovec iov = {buf, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return ON_FILE(f, socket_recvmsg(fd, f, &msg, flags));
}

static ssize_t receive_from(int fd, struct file *f, void *buf, size_t n, int flags, struct sockaddr *addr,
			    socklen_t *len)
{
	struct iovec iov = {buf, n};
	struct msghdr msg = {
		.msg_name = addr, .msg_namelen = addr && len ? *len : 0, .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t got = ON_FILE(f, socket_recvmsg(fd, f, &msg, flags));

	if (got >= 0 && addr && len)
		*len = msg.msg_namelen;
	return got;
}

static ssize_t transmit(int fd, struct file *f, const void *buf, size_t n, int flags,
			const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov = {(void *)buf, n};
	struct msghdr msg = {
		.msg_name = (void *)addr, .msg_namelen = addr ? len : 0, .msg_iov = &iov, .msg_iovlen = 1};

	return ON_FILE(f, socket_sendmsg(fd, f, &msg, flags));
}

/* read(2) and readv(2) of nothing give 0 on any socket, where recv(2) waits for data. */
static bool is_empty(const struct iovec *iov, int cnt)
{
	for (int i = 0; i < cnt; i++)
		if (iov[i].iov_len)
			return false;
	return true;
}

/* readv and writev say EINVAL for too many pieces, recvmsg and sendmsg EMSGSIZE. */
static ssize_t vector(int fd, struct file *f, const struct iovec *iov, int cnt, bool out, int flags)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = cnt};

	if (cnt < 0 || cnt > IOV_MAX)
		return ON_FILE(f, -EINVAL);
	if (cnt && bad_pointer(iov))
		return ON_FILE(f, -EFAULT);
	if (!out && is_empty(iov, cnt))
		return ON_FILE(f, 0);
	return ON_FILE(f, out ? socket_sendmsg(fd, f, &msg, flags) : socket_recvmsg(fd, f, &msg, flags));
}

/* preadv2 and pwritev2 on a socket: only "at the current position" exists. */
static ssize_t vector_at(int fd, struct file *f, const struct iovec *iov, int cnt, off_t off, int rwf,
			 bool out)
{
	if (off != -1)
		return ON_FILE(f, off < 0 ? -EINVAL : -ESPIPE);
	if (rwf & ~(RWF_NOWAIT | RWF_HIPRI | RWF_SYNC | RWF_DSYNC))
		return ON_FILE(f, -EOPNOTSUPP);
	return vector(fd, f, iov, cnt, out, rwf & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

ssize_t wrap_read(int fd, void *buf, size_t n)
{
	struct file *f = socket_get(fd);

	if (!f)
		return real_read(fd, buf, n);
	return n ? receive(fd, f, buf, n, 0) : ON_FILE(f, 0);
}
WRAP_ALIAS(__read, read)

ssize_t wrap___read_chk(int fd, void *buf, size_t n, size_t buflen)
{
	return n > buflen ? real___read_chk(fd, buf, n, buflen) : wrap_read(fd, buf, n);
}

ssize_t wrap_readv(int fd, const struct iovec *iov, int cnt)
{
	struct file *f = socket_get(fd);

	return f ? vector(fd, f, iov, cnt, false, 0) : real_readv(fd, iov, cnt);
}

ssize_t wrap_preadv2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	struct file *f = socket_get(fd);

	return f ? vector_at(fd, f, iov, cnt, off, flags, false) : real_preadv2(fd, iov, cnt, off, flags);
}
WRAP_ALIAS(preadv64v2, preadv2)

ssize_t wrap_recv(int fd, void *buf, size_t n, int flags)
{
	struct file *f = socket_get(fd);

	return f ? receive(fd, f, buf, n, flags) : real_recv(fd, buf, n, flags);
}

ssize_t wrap___recv_chk(int fd, void *buf, size_t n, size_t buflen, int flags)
{
	return n > buflen ? real___recv_chk(fd, buf, n, buflen, flags) : wrap_recv(fd, buf, n, flags);
}

ssize_t wrap_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	struct file *f = socket_get(fd);

	return f ? receive_from(fd, f, buf, n, flags, addr, len)
		 : real_recvfrom(fd, buf, n, flags, addr, len);
}

ssize_t wrap___recvfrom_chk(int fd, void *buf, size_t n, size_t buflen, int flags, struct sockaddr *addr,
			    socklen_t *len)
{
	return n > buflen ? real___recvfrom_chk(fd, buf, n, buflen, flags, addr, len)
			  : wrap_recvfrom(fd, buf, n, flags, addr, len);
}

ssize_t wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_recvmsg(fd, f, msg, flags)) : real_recvmsg(fd, msg, flags);
}

int wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
	struct file *f = socket_get(fd);

	return f ? ON_FILE(f, socket_recvmmsg(fd, f, msgs, n, flags, timeout))
		 : real_recvmmsg(fd, msgs, n, flags, timeout);
}

ssize_t wrap_write(int fd, const void *buf, size_t n)
{
	struct file *f = socket_get(fd);

	return f ? transmit(fd, f, buf, n, 0, NULL, 0) : real_write(fd, buf, n);
}
WRAP_ALIAS(__write, write)

ssize_t wrap_writev(int fd, const struct iovec *iov, int cnt)
{
	struct file *f = socket_get(fd);

	return f ? vector(fd, f, iov, cnt, true, 0) : real_writev(fd, iov, cnt);
}

ssize_t wrap_pwritev2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	struct file *f = socket_get(fd);

	return f ? vector_at(fd, f, iov, cnt, off, flags, true) : real_pwritev2(fd, iov, cnt, off, flags);
}
WRAP_ALIAS(pwritev64v2, pwritev2)

ssize_t wrap_send(int fd, const void *buf, size_t n, int flags)
{
	struct file *f = socket_get(fd);

	return f ? transmit(fd, f, buf, n, flags, NULL, 0) : real_send(fd, buf, n, flags);
}
WRAP_ALIAS(__send, send)

/* The file that sends to `addr`: an unbound UDP socket may become ours here. */
static struct file *sender(int fd, const struct sockaddr *addr, socklen_t len, int *err)
{
	struct file *f = socket_get(fd);

	*err = 0;
	if (f || !addr || !file_is_candidate(fd))
		return f;
	return socket_decide_send(fd, addr, len, err);
}

/*
 * MSG_FASTOPEN: connects. 0: `rest` is what is to be sent now, to nobody by name; 1: the call is as any
 * other, or the kernel's; -1 and errno.
 */
static int fastopen(int fd, const struct msghdr *msg, int flags, struct msghdr *rest)
{
	*rest = *msg;
	rest->msg_name = NULL;
	return RESULT_RESTARTED(socket_fastopen(fd, msg, flags));
}

ssize_t wrap_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
	int err, saved = errno;
	struct file *f;

	if (__builtin_expect(flags & MSG_FASTOPEN, 0)) {
		struct iovec iov = {(void *)buf, n};

		return wrap_sendmsg(fd,
				    &(struct msghdr){.msg_name = (void *)addr,
						     .msg_namelen = len,
						     .msg_iov = &iov,
						     .msg_iovlen = 1},
				    flags);
	}
	f = sender(fd, addr, len, &err);
	if (err)
		return result(err, saved);
	return f ? transmit(fd, f, buf, n, flags, addr, len) : real_sendto(fd, buf, n, flags, addr, len);
}

/* To AF_UNIX sockets and all others that are not ours; connections of ours may be among what it passes. */
static ssize_t kernel_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	_Alignas(struct cmsghdr) char control[PASS_CONTROL_MAX];
	struct msghdr copy;
	struct pass p;
	ssize_t n;

	if (!msg->msg_controllen || bad_pointer(msg->msg_control) || !pass_rights(&p, msg, &copy, control))
		return real_sendmsg(fd, msg, flags);
	n = real_sendmsg(fd, &copy, flags);
	pass_rights_end(&p, n >= 0);
	return n;
}

ssize_t wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	int err, saved = errno;
	struct msghdr rest;
	struct file *f;

	if (bad_pointer(msg)) /* EFAULT, or EBADF */
		return real_sendmsg(fd, msg, flags);
	if (__builtin_expect(flags & MSG_FASTOPEN, 0)) {
		int how = fastopen(fd, msg, flags, &rest);

		if (how < 0)
			return -1;
		msg = how ? msg : &rest;
	}
	f = sender(fd, msg->msg_name, msg->msg_namelen, &err);
	if (err)
		return result(err, saved);
	return f ? ON_FILE(f, socket_sendmsg(fd, f, msg, flags)) : kernel_sendmsg(fd, msg, flags);
}

/* Each message for itself, as the first one connects. */
static int sendmmsg_fastopen(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	unsigned done;

	for (done = 0; done < n && done < IOV_MAX; done++) {
		ssize_t sent = wrap_sendmsg(fd, &msgs[done].msg_hdr, flags);

		if (sent < 0)
			return done ? (int)done : -1;
		msgs[done].msg_len = (unsigned)sent;
	}
	return (int)done;
}

int wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	int err = 0, saved = errno;
	struct file *f;

	if (flags & MSG_FASTOPEN && n && !bad_pointer(msgs))
		return sendmmsg_fastopen(fd, msgs, n, flags);
	f = n && !bad_pointer(msgs) ? sender(fd, msgs->msg_hdr.msg_name, msgs->msg_hdr.msg_namelen, &err)
				    : socket_get(fd);
	if (err)
		return result(err, saved);
	return f ? ON_FILE(f, socket_sendmmsg(fd, f, msgs, n, flags)) : real_sendmmsg(fd, msgs, n, flags);
}

ssize_t wrap_sendfile(int out_fd, int in_fd, off_t *offset, size_t count)
{
	int fd = out_fd;
	struct file *f = socket_get(fd);

	if (f)
		return ON_FILE(f, socket_sendfile(out_fd, f, in_fd, offset, count));
	f = socket_get(in_fd);
	if (f) /* the placeholder has nothing to send */
		return ON_FILE(f, -EINVAL);
	return real_sendfile(out_fd, in_fd, offset, count);
}
WRAP_ALIAS(sendfile64, sendfile)

ssize_t wrap_splice(int in_fd, off64_t *in_off, int out_fd, off64_t *out_off, size_t n, unsigned flags)
{
	struct file *in = socket_get(in_fd), *out = socket_get(out_fd), *f = in ? in : out;
	int fd = in ? in_fd : out_fd;

	if (!f)
		return real_splice(in_fd, in_off, out_fd, out_off, n, flags);
	if (in && out)
		file_put(out); /* two sockets: neither is a pipe, which is what the first one is told */
	return ON_FILE(f, fd == in_fd ? socket_splice_out(fd, f, in_off, out_fd, out_off, n, flags)
				      : socket_splice_in(in_fd, in_off, fd, f, out_off, n, flags));
}
