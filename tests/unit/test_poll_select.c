/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_poll_select.c - poll_select.c: mixed descriptors, Linux's results, time left
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake_stack.h"
#include "preload/domain.h"
#include "preload/epoll_set.h"
#include "preload/poll_select.h"

static const struct timespec now_ts = {0}, soon = {.tv_nsec = 2000000}, far_ts = {.tv_sec = 20};

Test(poll, kernel_only_goes_to_libc)
{
	struct pollfd p[2] = {{.fd = eventfd(1, 0), .events = POLLIN}, {.fd = -5, .events = POLLIN}};

	cr_assert_eq(poll_any(p, 2, NULL, NULL), 1);
	cr_assert_eq(p[0].revents, POLLIN);
	cr_assert_eq(p[1].revents, 0);
}

Test(poll, mixed)
{
	struct file *f;
	struct pollfd p[4] = {
		{.events = POLLIN | POLLOUT}, {.events = POLLIN}, {.fd = -1, .events = POLLIN}, {.fd = 9999}};

	fake_start(1, true);
	p[0].fd = fake_socket(0, FILE_STACK, &f);
	p[1].fd = eventfd(0, 0);
	cr_assert_eq(poll_any(p, 3, &now_ts, NULL), 0);
	cr_assert_eq(poll_any(p, 3, &soon, NULL), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(poll_any(p, 3, &far_ts, NULL), 1);
	cr_assert_eq(p[0].revents, POLLIN);
	cr_assert_eq(eventfd_write(p[1].fd, 1), 0);
	cr_assert_eq(poll_any(p, 4, NULL, NULL), 3);
	cr_assert_eq(p[0].revents, POLLIN);
	cr_assert_eq(p[1].revents, POLLIN);
	cr_assert_eq(p[2].revents, 0);
	cr_assert_eq(p[3].revents, POLLNVAL);
	fake_change(f, EPOLLHUP | EPOLLERR, EPOLLIN);
	p[0].events = 0;
	cr_assert_eq(poll_any(p, 1, NULL, NULL), 1);
	cr_assert_eq(p[0].revents, POLLHUP | POLLERR);
	cr_assert_eq(poll_any(p, 1, &(struct timespec){.tv_nsec = -1}, NULL), -EINVAL);
}

Test(poll, both_names_of_readable)
{
	struct file *f;
	struct pollfd p = {.events = POLLRDNORM | POLLWRNORM};

	fake_start(1, true);
	p.fd = fake_socket(0, FILE_STACK, &f);
	fake_change(f, EPOLLIN | EPOLLOUT, 0);
	cr_assert_eq(poll_any(&p, 1, NULL, NULL), 1);
	cr_assert_eq(p.revents, POLLRDNORM | POLLWRNORM);
}

Test(poll, dual_and_epoll_descriptors)
{
	struct file *f, *g;
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	struct epoll_event ev = {.events = EPOLLIN};

	fake_start(1, true);
	p[0].fd = fake_socket(0, FILE_DUAL, &f);
	p[1].fd = epoll_create_any(0);
	cr_assert_eq(epoll_ctl_any(p[1].fd, EPOLL_CTL_ADD, fake_socket(0, FILE_STACK, &g), &ev), 0);
	cr_assert_eq(poll_any(p, 2, &now_ts, NULL), 0);
	cr_assert_eq(eventfd_write(p[0].fd, 1), 0);
	cr_assert_eq(poll_any(p, 2, NULL, NULL), 1);
	cr_assert_eq(p[0].revents, POLLIN);
	fake_change(g, EPOLLIN, 0);
	cr_assert_eq(poll_any(p, 2, NULL, NULL), 2);
	cr_assert_eq(p[1].revents, POLLIN);
}

Test(poll, more_descriptors_than_fit_the_stack)
{
	enum { N = 500 };
	struct pollfd p[N];
	struct file *last;

	fake_start(1, true);
	for (int i = 0; i < N; i++)
		p[i] = (struct pollfd){.fd = fake_socket(0, FILE_STACK, &last), .events = POLLIN};
	cr_assert_eq(poll_any(p, N, &now_ts, NULL), 0);
	fake_change(last, EPOLLIN, 0);
	cr_assert_eq(poll_any(p, N, NULL, NULL), 1);
	cr_assert_eq(p[N - 1].revents, POLLIN);
}

static void *send_later(void *arg)
{
	usleep(3000);
	fake_send(arg, EPOLLIN, 0);
	return NULL;
}

Test(poll, wakes_for_a_packet)
{
	struct pollfd p[2] = {{.events = POLLIN}, {.fd = eventfd(0, 0), .events = POLLIN}};
	struct file *f;
	pthread_t t;

	fake_start(1, true);
	p[0].fd = fake_socket(0, FILE_STACK, &f);
	pthread_create(&t, NULL, send_later, f);
	cr_assert_eq(poll_any(p, 2, &far_ts, NULL), 1);
	cr_assert_eq(p[0].revents, POLLIN);
	pthread_join(t, NULL);
}

static void *write_later(void *arg)
{
	usleep(3000);
	eventfd_write((int)(intptr_t)arg, 1);
	return NULL;
}

Test(poll, wakes_for_the_kernel)
{
	struct pollfd p[2] = {{.events = POLLIN}, {.fd = eventfd(0, 0), .events = POLLIN}};
	pthread_t t;

	fake_start(1, true);
	p[0].fd = fake_socket(0, FILE_STACK, NULL);
	pthread_create(&t, NULL, write_later, (void *)(intptr_t)p[1].fd);
	cr_assert_eq(poll_any(p, 2, &far_ts, NULL), 1);
	cr_assert_eq(p[1].revents, POLLIN);
	pthread_join(t, NULL);
}

Test(select, sets_and_time_left)
{
	struct timespec left = far_ts;
	struct file *f;
	fd_set rd, wr, ex;
	int fd, kernel;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	kernel = eventfd(1, 0);
	fake_change(f, EPOLLOUT, 0);
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	FD_SET(kernel, &rd);
	wr = ex = rd;
	cr_assert_eq(select_any(kernel + 1, &rd, &wr, &ex, &left, NULL), 3);
	cr_assert(FD_ISSET(kernel, &rd) && FD_ISSET(kernel, &wr) && !FD_ISSET(kernel, &ex));
	cr_assert(!FD_ISSET(fd, &rd) && FD_ISSET(fd, &wr) && !FD_ISSET(fd, &ex));
	cr_assert_leq(left.tv_sec, 19);
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	left = soon;
	cr_assert_eq(select_any(fd + 1, &rd, NULL, NULL, &left, NULL), 0);
	cr_assert(!FD_ISSET(fd, &rd));
	cr_assert(left.tv_sec == 0 && left.tv_nsec == 0);
}

/* A hang-up makes a descriptor readable; in the write set alone it says nothing. */
Test(select, hangup)
{
	struct timespec left = soon;
	struct file *f;
	fd_set rd, wr;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	fake_change(f, EPOLLHUP, 0);
	FD_ZERO(&wr);
	FD_SET(fd, &wr);
	cr_assert_eq(select_any(fd + 1, NULL, &wr, NULL, &left, NULL), 0);
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	cr_assert_eq(select_any(fd + 1, &rd, NULL, NULL, NULL, NULL), 1);
}

Test(select, bad_descriptor)
{
	struct timespec left = far_ts;
	fd_set rd;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, NULL);
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	FD_SET(fd + 30, &rd);
	cr_assert_eq(select_any(fd + 31, &rd, NULL, NULL, &left, NULL), -EBADF);
	cr_assert(FD_ISSET(fd, &rd), "sets are left alone on error");
}

Test(select, beyond_fd_setsize)
{
	enum { HIGH = 3000 };
	unsigned long *rd = calloc(HIGH / 8 + 8, 1);
	struct file *f;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(dup2(fd, HIGH), HIGH);
	file_dup(fd, HIGH);
	fake_change(f, EPOLLIN, 0);
	rd[HIGH / 64] |= 1UL << (HIGH % 64);
	cr_assert_eq(select_any(HIGH + 1, (fd_set *)rd, NULL, NULL, NULL, NULL), 1);
	cr_assert(rd[HIGH / 64] >> (HIGH % 64) & 1);
	free(rd);
}
