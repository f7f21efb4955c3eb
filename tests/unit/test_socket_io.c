/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_socket_io.c - blocking, partial transfers, SIGPIPE and limits, over a socket that takes and gives what
 * the test says
 */
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include "fake_stack.h"
#include "preload/runtime.h"
#include "preload/socket_priv.h"

#define STREAM_MAX (1 << 16)

static char stream[STREAM_MAX];        /* what went through the socket */
static size_t stream_len, stream_read; /* bytes in it, bytes given out again */
static ssize_t room;                   /* how many bytes sock_send() takes before EAGAIN, or -errno */
static unsigned sends;

ssize_t sock_send(struct sock *so, const struct iovec *iov, int cnt, int flags, const struct endpoint *to)
{
	ssize_t n = 0;

	(void)so, (void)flags, (void)to;
	sends++;
	if (room < 0)
		return room;
	for (int i = 0; i < cnt && room; i++) {
		size_t len = (ssize_t)iov[i].iov_len < room ? iov[i].iov_len : (size_t)room;

		memcpy(stream + stream_len, iov[i].iov_base, len);
		stream_len += len;
		room -= len;
		n += len;
	}
	return n ? n : -EAGAIN;
}

ssize_t sock_recv(struct sock *so, const struct iovec *iov, int cnt, int flags, struct sock_recv_info *info)
{
	ssize_t n = 0;

	(void)so, (void)flags, (void)info;
	if (stream_read == stream_len)
		return -EAGAIN;
	for (int i = 0; i < cnt && stream_read < stream_len; i++) {
		size_t left = stream_len - stream_read, len = iov[i].iov_len < left ? iov[i].iov_len : left;

		memcpy(iov[i].iov_base, stream + stream_read, len);
		stream_read += len;
		n += len;
	}
	return n;
}

int sock_inq(const struct sock *so)
{
	(void)so;
	return 0;
}

bool runtime_routes_to(const struct endpoint *dst, int type)
{
	(void)dst, (void)type;
	return true;
}

static struct file *f;
static int fd;

static void start(void)
{
	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	f->so->kind = SOCK_KIND_TCP;
	f->so->rcvlowat_bytes = 1;
	stream_len = stream_read = sends = 0;
	room = STREAM_MAX;
}

static void nonblocking(void)
{
	atomic_store(&f->flags, O_NONBLOCK);
}

static ssize_t put(const void *buf, size_t len, int flags)
{
	struct iovec iov = {(void *)buf, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return socket_sendmsg(fd, f, &msg, flags);
}

static ssize_t get(void *buf, size_t len, int flags)
{
	struct iovec iov = {buf, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return socket_recvmsg(fd, f, &msg, flags);
}

/* After a moment another thread makes the socket ready: room for `arg` bytes, or that many to read. */
static void *give_room(void *arg)
{
	fake_change(f, 0, 0);
	inst_lock(f->inst);
	room = (intptr_t)arg;
	inst_unlock(f->inst);
	fake_send(f, EPOLLOUT, 0);
	return NULL;
}

Test(socket_io, partial_send_when_nonblocking)
{
	start();
	nonblocking();
	room = 10;
	cr_assert_eq(put("0123456789abcdef", 16, 0), 10);
	cr_assert_eq(put("x", 1, 0), -EAGAIN);
	cr_assert_eq(memcmp(stream, "0123456789", 10), 0);
}

Test(socket_io, blocking_send_goes_on_until_all_is_taken)
{
	char data[5000];
	pthread_t t;

	start();
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	room = 100;
	pthread_create(&t, NULL, give_room, (void *)(intptr_t)sizeof(data));
	cr_assert_eq(put(data, sizeof(data), 0), sizeof(data));
	pthread_join(t, NULL);
	cr_assert_eq(stream_len, sizeof(data));
	cr_assert_eq(memcmp(stream, data, sizeof(data)), 0);
}

Test(socket_io, vectors_longer_than_the_window_are_byte_exact)
{
	char data[IOV_MAX * 3];
	struct iovec iov[IOV_MAX];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = IOV_MAX};

	start();
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 + 1);
	for (int i = 0; i < IOV_MAX; i++)
		iov[i] = (struct iovec){data + 3 * i, 3};
	cr_assert_eq(socket_sendmsg(fd, f, &msg, 0), sizeof(data));
	cr_assert_eq(memcmp(stream, data, sizeof(data)), 0);
	cr_assert_gt(sends, 1);
}

Test(socket_io, limits_and_bad_pointers)
{
	struct iovec iov = {NULL, 5};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = IOV_MAX + 1};

	start();
	cr_assert_eq(socket_sendmsg(fd, f, &msg, 0), -EMSGSIZE);
	msg.msg_iovlen = 1;
	cr_assert_eq(socket_sendmsg(fd, f, &msg, 0), -EFAULT);
	cr_assert_eq(socket_recvmsg(fd, f, &msg, 0), -EFAULT);
	iov.iov_len = (size_t)SSIZE_MAX + 1;
	cr_assert_eq(socket_sendmsg(fd, f, &msg, 0), -EINVAL);
	cr_assert_eq(sends, 0);
}

static volatile sig_atomic_t pipes;

static void on_sigpipe(int sig)
{
	(void)sig;
	pipes++;
}

Test(socket_io, broken_pipe_raises_sigpipe_unless_told_not_to)
{
	start();
	signal(SIGPIPE, on_sigpipe);
	room = -EPIPE;
	cr_assert_eq(put("x", 1, MSG_NOSIGNAL), -EPIPE);
	cr_assert_eq(pipes, 0);
	cr_assert_eq(put("x", 1, 0), -EPIPE);
	cr_assert_eq(pipes, 1);
}

Test(socket_io, send_timeout)
{
	start();
	room = 3;
	f->so->sndtimeo_ns = NS_PER_MS;
	cr_assert_eq(put("abcdef", 6, 0), 3);
	cr_assert_eq(put("def", 3, 0), -EAGAIN);
}

Test(socket_io, receive_what_there_is)
{
	char buf[16];

	start();
	put("hello", 5, 0);
	cr_assert_eq(get(buf, sizeof(buf), 0), 5);
	cr_assert_eq(memcmp(buf, "hello", 5), 0);
	cr_assert_eq(get(buf, sizeof(buf), MSG_DONTWAIT), -EAGAIN);
	f->so->rcvtimeo_ns = NS_PER_MS;
	cr_assert_eq(get(buf, sizeof(buf), 0), -EAGAIN);
}

static void *more_bytes(void *arg)
{
	(void)arg;
	inst_lock(f->inst);
	memcpy(stream + stream_len, "world", 5);
	stream_len += 5;
	inst_unlock(f->inst);
	fake_send(f, EPOLLIN, 0);
	return NULL;
}

Test(socket_io, waitall_waits_for_all)
{
	char buf[16];
	pthread_t t;

	start();
	put("hello", 5, 0);
	pthread_create(&t, NULL, more_bytes, NULL);
	cr_assert_eq(get(buf, 10, MSG_WAITALL), 10);
	pthread_join(t, NULL);
	cr_assert_eq(memcmp(buf, "helloworld", 10), 0);
}

Test(socket_io, low_water_mark)
{
	char buf[16];
	pthread_t t;

	start();
	f->so->rcvlowat_bytes = 8;
	put("hello", 5, 0);
	pthread_create(&t, NULL, more_bytes, NULL);
	cr_assert_eq(get(buf, sizeof(buf), 0), 10);
	pthread_join(t, NULL);
	put("x", 1, 0);
	cr_assert_eq(get(buf, sizeof(buf), MSG_DONTWAIT), 1);
}

Test(socket_io, receiving_nothing_waits_for_something)
{
	char c;

	start();
	nonblocking();
	cr_assert_eq(get(&c, 0, 0), -EAGAIN);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(get(&c, 0, 0), 0);
}

Test(socket_io, no_error_queue)
{
	char c;

	start();
	cr_assert_eq(get(&c, 1, MSG_ERRQUEUE), -EAGAIN);
}

Test(socket_io, mmsg_counts_messages)
{
	struct iovec iov[3] = {{"a", 1}, {"bc", 2}, {"def", 3}};
	struct mmsghdr msgs[3] = {{.msg_hdr = {.msg_iov = &iov[0], .msg_iovlen = 1}},
				  {.msg_hdr = {.msg_iov = &iov[1], .msg_iovlen = 1}},
				  {.msg_hdr = {.msg_iov = &iov[2], .msg_iovlen = 1}}};

	start();
	nonblocking();
	room = 3;
	cr_assert_eq(socket_sendmmsg(fd, f, msgs, 3, 0), 2);
	cr_assert_eq(msgs[1].msg_len, 2);
	cr_assert_eq(socket_sendmmsg(fd, f, msgs, 3, 0), -EAGAIN);
}
