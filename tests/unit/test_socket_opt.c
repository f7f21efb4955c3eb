/* SPDX-License-Identifier: BSD-3-Clause */
/* test_socket_opt.c - fcntl and ioctl of a file of ours; socket_inherit.c: what is copied from the kernel's
 * socket */
#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fake_stack.h"
#include "preload/socket_priv.h"

static struct set_option {
	int level, name, value;
} set[16];
static unsigned n_set;

int sock_setopt(struct sock *so, int level, int name, const void *val, socklen_t len)
{
	(void)so;
	if (n_set < 16)
		set[n_set++] = (struct set_option){level, name, len >= sizeof(int) ? *(const int *)val : 0};
	return 0;
}

int sock_getopt(struct sock *so, int level, int name, void *val, socklen_t *len)
{
	(void)so, (void)level, (void)name, (void)val, (void)len;
	return -ENOPROTOOPT;
}

int sock_shutdown(struct sock *so, int how)
{
	(void)so;
	return how > SHUT_RDWR ? -EINVAL : 0;
}

int sock_ioctl(struct sock *so, unsigned long request, int *value)
{
	(void)so;
	*value = request == FIONREAD ? 42 : 0;
	return 0;
}

static struct file *f;
static int fd;

static void start(void)
{
	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	f->so->family = AF_INET;
	n_set = 0;
}

Test(socket_opt, getfl_and_setfl)
{
	start();
	cr_assert_eq(socket_fcntl(fd, f, F_GETFL, 0), O_RDWR);
	cr_assert_eq(socket_fcntl(fd, f, F_SETFL, O_NONBLOCK | O_RDONLY | O_CREAT), 0);
	cr_assert_eq(socket_fcntl(fd, f, F_GETFL, 0), O_RDWR | O_NONBLOCK);
	cr_assert(file_nonblocking(f));
	cr_assert_eq(socket_fcntl(fd, f, F_SETFL, 0), 0);
	cr_assert(!file_nonblocking(f));
}

Test(socket_opt, cloexec_is_the_descriptors)
{
	start();
	cr_assert_eq(socket_fcntl(fd, f, F_SETFD, FD_CLOEXEC), 0);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(socket_fcntl(fd, f, F_GETFD, 0), FD_CLOEXEC);
}

Test(socket_opt, fionbio_takes_effect)
{
	int on = 1;

	start();
	cr_assert_eq(socket_ioctl(fd, f, FIONBIO, (unsigned long)&on), 0);
	cr_assert(file_nonblocking(f));
	on = 0;
	cr_assert_eq(socket_ioctl(fd, f, FIONBIO, (unsigned long)&on), 0);
	cr_assert(!file_nonblocking(f));
	cr_assert_eq(socket_ioctl(fd, f, FIONBIO, 0), -EFAULT);
}

Test(socket_opt, fionread_writes_its_argument)
{
	int n = -1;

	start();
	cr_assert_eq(socket_ioctl(fd, f, FIONREAD, (unsigned long)&n), 0);
	cr_assert_eq(n, 42);
}

Test(socket_opt, owner_and_signal)
{
	start();
	cr_assert_eq(socket_fcntl(fd, f, F_SETOWN, getpid()), 0);
	cr_assert_eq(socket_fcntl(fd, f, F_GETOWN, 0), getpid());
	cr_assert_eq(socket_fcntl(fd, f, F_SETSIG, 1000), -EINVAL);
	cr_assert_eq(socket_fcntl(fd, f, F_SETSIG, 10), 0);
	cr_assert_eq(socket_fcntl(fd, f, F_GETSIG, 0), 10);
}

static bool was_set(int level, int name, int value)
{
	for (unsigned i = 0; i < n_set; i++)
		if (set[i].level == level && set[i].name == name && set[i].value == value)
			return true;
	return false;
}

Test(socket_inherit, untouched_socket_copies_nothing)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);

	start();
	socket_inherit(s, f->inst, f->so, SOCK_STREAM);
	cr_assert_eq(n_set, 0);
}

Test(socket_inherit, what_was_set_is_copied)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, idle = 33, buf = 20000, tos = 0x10;

	start();
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &buf, sizeof(buf));
	setsockopt(s, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	socket_inherit(s, f->inst, f->so, SOCK_STREAM);
	cr_assert(was_set(SOL_SOCKET, SO_REUSEADDR, 1));
	cr_assert(was_set(IPPROTO_TCP, TCP_NODELAY, 1));
	cr_assert(was_set(IPPROTO_TCP, TCP_KEEPIDLE, 33));
	cr_assert(was_set(SOL_SOCKET, SO_RCVBUF, 20000));
	cr_assert(was_set(IPPROTO_IP, IP_TOS, 0x10));
	cr_assert(was_set(SOL_SOCKET, SO_PRIORITY, 6)); /* follows from the TOS, as in Linux */
	cr_assert_eq(n_set, 6);
	close(s);
}

Test(socket_inherit, datagram_options)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

	start();
	setsockopt(s, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	setsockopt(s, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	socket_inherit(s, f->inst, f->so, SOCK_DGRAM);
	cr_assert(was_set(SOL_SOCKET, SO_BROADCAST, 1));
	cr_assert(was_set(IPPROTO_IP, IP_PKTINFO, 1));
	cr_assert_eq(n_set, 2);
	close(s);
}
