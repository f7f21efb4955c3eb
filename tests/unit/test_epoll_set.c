/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_epoll_set.c - epoll_set.c and fd_epoll.c: what Linux's epoll does, with files of ours in the set
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_stack.h"
#include "preload/domain.h"
#include "preload/epoll_set.h"
#include "preload/wait.h"

static const struct timespec now_ts = {0}, soon = {.tv_nsec = 2000000}, far_ts = {.tv_sec = 20};

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl_any(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int mod(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl_any(ep, EPOLL_CTL_MOD, fd, &ev);
}

static int take(int ep, struct epoll_event *ev, int max)
{
	return epoll_wait_any(ep, ev, max, &now_ts, NULL);
}

/* The events reported now for the only ready descriptor; 0: none is. */
static uint32_t events_of(int ep, int fd)
{
	struct epoll_event ev[8];
	int n = take(ep, ev, 8);

	cr_assert_leq(n, 1);
	if (n < 1)
		return 0;
	cr_assert_eq(ev[0].data.fd, fd);
	return ev[0].events;
}

Test(epoll, level_triggered_is_reported_while_ready)
{
	struct file *f;
	int ep, fd;

	fake_start(1, true);
	ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(add(ep, fd, EPOLLIN), 0);
	cr_assert_eq(events_of(ep, fd), 0);
	fake_change(f, EPOLLIN | EPOLLOUT, 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN);
	cr_assert_eq(events_of(ep, fd), EPOLLIN);
	fake_change(f, 0, EPOLLIN);
	cr_assert_eq(events_of(ep, fd), 0);
	fake_change(f, EPOLLRDHUP | EPOLLIN, 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN, "RDHUP was not asked for");
	fake_change(f, EPOLLHUP | EPOLLERR, 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN | EPOLLHUP | EPOLLERR);
}

Test(epoll, edge_triggered_is_reported_once_per_wakeup)
{
	struct file *f;
	int ep, fd;

	fake_start(1, true);
	ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	fake_change(f, EPOLLOUT, 0);
	cr_assert_eq(add(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP), 0);
	cr_assert_eq(events_of(ep, fd), EPOLLOUT, "ready when added");
	cr_assert_eq(events_of(ep, fd), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN | EPOLLOUT, "all that is so now");
	cr_assert_eq(events_of(ep, fd), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN | EPOLLOUT, "more data, though it was readable before");
	cr_assert_eq(mod(ep, fd, EPOLLIN | EPOLLET), 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN, "MOD looks again");
	cr_assert_eq(events_of(ep, fd), 0);
}

Test(epoll, oneshot_is_reported_once_until_rearmed)
{
	struct file *f;
	int ep, fd;

	fake_start(1, true);
	ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(add(ep, fd, EPOLLIN | EPOLLONESHOT), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN);
	fake_change(f, EPOLLIN | EPOLLHUP, 0);
	cr_assert_eq(events_of(ep, fd), 0, "not even a hang-up");
	cr_assert_eq(mod(ep, fd, EPOLLIN | EPOLLONESHOT), 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN | EPOLLHUP);
}

Test(epoll, errors_of_ctl)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep, fd;

	fake_start(1, true);
	ep = epoll_create_any(EPOLL_CLOEXEC);
	fd = fake_socket(0, FILE_STACK, NULL);
	cr_assert_eq(mod(ep, fd, EPOLLIN), -ENOENT);
	cr_assert_eq(epoll_ctl_any(ep, EPOLL_CTL_DEL, fd, NULL), -ENOENT);
	cr_assert_eq(add(ep, fd, EPOLLIN), 0);
	cr_assert_eq(add(ep, fd, EPOLLIN), -EEXIST);
	cr_assert_eq(epoll_ctl_any(ep, 77, fd, &ev), -EINVAL);
	cr_assert_eq(epoll_ctl_any(ep, EPOLL_CTL_MOD, fd, NULL), -EFAULT);
	cr_assert_eq(mod(ep, fd, EPOLLIN | EPOLLEXCLUSIVE), -EINVAL);
	cr_assert_eq(epoll_ctl_any(ep, EPOLL_CTL_DEL, fd, NULL), 0);
	cr_assert_eq(add(ep, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), -EINVAL);
	cr_assert_eq(add(ep, ep, EPOLLIN), -EINVAL);
	cr_assert_eq(add(ep, 9999, EPOLLIN), -EBADF);
	cr_assert_eq(add(9999, fd, EPOLLIN), -EBADF);
	cr_assert_eq(add(0, fd, EPOLLIN), -EINVAL, "not an epoll descriptor");
	cr_assert_eq(epoll_wait_any(ep, &ev, 0, &now_ts, NULL), -EINVAL);
	cr_assert_eq(epoll_wait_any(fd, &ev, 1, &now_ts, NULL), -EINVAL);
}

Test(epoll, kernel_and_stack_descriptors_in_one_set)
{
	struct file *f;
	struct epoll_event ev[4];
	uint64_t one = 1;
	int ep, fd, kernel = eventfd(0, EFD_NONBLOCK);

	fake_start(1, true);
	ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(add(ep, fd, EPOLLIN), 0);
	cr_assert_eq(add(ep, kernel, EPOLLIN), 0);
	cr_assert_eq(epoll_wait_any(ep, ev, 4, &soon, NULL), 0);
	cr_assert_eq(write(kernel, &one, sizeof(one)), 8);
	cr_assert_eq(epoll_wait_any(ep, ev, 4, &far_ts, NULL), 1);
	cr_assert_eq(ev[0].data.fd, kernel);
	fake_change(f, EPOLLIN, 0);
	/* Neither side starves the other, whatever the room. */
	for (int room = 1; room <= 4; room++) {
		bool seen_kernel = false, seen_stack = false;

		for (int i = 0; i < 20000 && !(seen_kernel && seen_stack); i++) {
			int n = epoll_wait_any(ep, ev, room, &far_ts, NULL);

			cr_assert_geq(n, 1);
			for (int k = 0; k < n; k++) {
				seen_kernel |= ev[k].data.fd == kernel;
				seen_stack |= ev[k].data.fd == fd;
			}
		}
		cr_assert(seen_kernel && seen_stack, "room %d", room);
	}
}

Test(epoll, dual_file_gives_one_event)
{
	struct file *f;
	struct epoll_event ev[4];
	uint64_t one = 1;
	int ep, fd;

	fake_start(1, true);
	ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_DUAL, &f); /* its kernel side is an eventfd: always writable */
	cr_assert_eq(add(ep, fd, EPOLLIN), 0);
	cr_assert_eq(take(ep, ev, 4), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(take(ep, ev, 4), 1);
	cr_assert_eq(write(fd, &one, sizeof(one)), 8);
	usleep(1000);
	cr_assert_eq(take(ep, ev, 4), 1, "both sides are ready: one event");
	cr_assert_eq(ev[0].events, EPOLLIN);
	fake_change(f, 0, EPOLLIN);
	usleep(1000);
	cr_assert_eq(take(ep, ev, 4), 1, "the kernel's side alone");
	cr_assert_eq(add(ep, fd, EPOLLIN), -EEXIST);
	cr_assert_eq(mod(ep, fd, EPOLLIN | EPOLLONESHOT), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(take(ep, ev, 4), 1);
	usleep(1000);
	cr_assert_eq(take(ep, ev, 4), 0, "one shot for both sides");
	cr_assert_eq(epoll_ctl_any(ep, EPOLL_CTL_DEL, fd, NULL), 0);
	cr_assert_eq(epoll_ctl_any(ep, EPOLL_CTL_DEL, fd, NULL), -ENOENT);
}

Test(epoll, registered_before_it_becomes_ours)
{
	struct file *f, *other;
	int ep, fd, sock_fd;

	fake_start(1, true);
	ep = epoll_create_any(0);
	fd = eventfd(1, 0); /* an event that must no longer be reported once the stack serves the number */
	file_mark_candidate(fd);
	file_mark_candidate_options(fd);
	cr_assert_eq(add(ep, fd, EPOLLIN), 0);
	cr_assert(file_candidate_options(fd), "the mark is kept in the file");
	f = file_get(fd);
	cr_assert_not_null(f);
	cr_assert_eq(file_mode(f), FILE_UNDECIDED);
	cr_assert_eq(events_of(ep, fd), EPOLLIN, "still the kernel's");

	sock_fd = fake_socket(0, FILE_STACK, &other);
	f->so = other->so;
	f->inst = other->inst;
	f->so->user = f;
	atomic_store(&f->mode, FILE_STACK);
	epoll_file_decided(f);
	cr_assert_eq(events_of(ep, fd), 0);
	fake_change(f, EPOLLOUT | EPOLLIN, 0);
	cr_assert_eq(events_of(ep, fd), EPOLLIN);
	cr_assert_eq(mod(ep, fd, EPOLLOUT), 0);
	cr_assert_eq(events_of(ep, fd), EPOLLOUT);
	close(sock_fd);
}

Test(epoll, last_close_removes_the_watch)
{
	struct file *f;
	int ep, fd, copy;

	fake_start(1, true);
	ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(add(ep, fd, EPOLLIN), 0);
	copy = dup(fd);
	file_dup(fd, copy);
	file_uninstall(fd);
	cr_assert_eq(events_of(ep, fd), EPOLLIN, "the copy keeps the description open");
	file_uninstall(copy);
	cr_assert_eq(events_of(ep, fd), 0);
	cr_assert_eq(domain->watches.used, 0);
}

Test(epoll, closing_the_set_forgets_all_watches)
{
	int ep, fd[20];

	fake_start(1, true);
	ep = epoll_create_any(0);
	for (int i = 0; i < 20; i++) {
		fd[i] = fake_socket(0, FILE_STACK, NULL);
		cr_assert_eq(add(ep, fd[i], EPOLLIN), 0);
	}
	cr_assert_eq(domain->watches.used, 20);
	file_uninstall(ep);
	close(ep);
	cr_assert_eq(domain->watches.used, 0);
	cr_assert_eq(domain->sets.used, 0);
	file_uninstall(fd[0]);
}

Test(epoll, same_file_in_two_sets_and_twice_in_one)
{
	struct epoll_event ev[4];
	struct file *f;
	int a, b, fd, copy;

	fake_start(1, true);
	a = epoll_create_any(0);
	b = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	copy = dup(fd);
	file_dup(fd, copy);
	cr_assert_eq(add(a, fd, EPOLLIN), 0);
	cr_assert_eq(add(b, fd, EPOLLIN | EPOLLET), 0);
	cr_assert_eq(add(a, copy, EPOLLIN), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(take(a, ev, 4), 2);
	cr_assert_eq(take(b, ev, 4), 1);
	cr_assert_eq(take(b, ev, 4), 0);
}

Test(epoll, nested)
{
	struct epoll_event ev[4];
	struct file *f;
	int inner, outer, fd;

	fake_start(1, true);
	inner = epoll_create_any(0);
	outer = epoll_create_any(0);
	cr_assert_eq(add(outer, inner, EPOLLIN), 0);
	cr_assert_eq(add(inner, outer, EPOLLIN), -ELOOP);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(add(inner, fd, EPOLLIN), 0);
	cr_assert_eq(take(outer, ev, 4), 0);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(take(outer, ev, 4), 1);
	cr_assert_eq(ev[0].data.fd, inner);
	cr_assert_eq(ev[0].events, EPOLLIN);
	cr_assert_eq(take(inner, ev, 4), 1);
	fake_change(f, 0, EPOLLIN);
	cr_assert_eq(take(outer, ev, 4), 0);
}

struct waiting {
	int ep, got, fd;
	struct epoll_event ev;
};

static void *wait_in_epoll(void *arg)
{
	struct waiting *w = arg;

	do
		w->got = epoll_wait_any(w->ep, &w->ev, 1, &far_ts, NULL);
	while (w->got == -EINTR);
	return NULL;
}

Test(epoll, waiter_of_an_outer_set_is_woken)
{
	struct waiting w = {0};
	struct file *f;
	pthread_t t;
	int inner, fd;

	fake_start(1, true);
	inner = epoll_create_any(0);
	w.ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(add(w.ep, inner, EPOLLIN), 0);
	cr_assert_eq(add(inner, fd, EPOLLIN), 0);
	pthread_create(&t, NULL, wait_in_epoll, &w);
	usleep(5000);
	fake_send(f, EPOLLIN, 0);
	pthread_join(t, NULL);
	cr_assert_eq(w.got, 1);
	cr_assert_eq(w.ev.data.fd, inner);
}

/* A thread in the kernel's epoll_wait, because nothing of ours was there yet, must learn of it. */
Test(epoll, first_socket_added_while_waiting)
{
	enum { ROUNDS = 200 };
	struct waiting w = {0};
	struct file *f;

	fake_start(1, true);
	w.ep = epoll_create_any(0);
	for (int i = 0; i < ROUNDS; i++) {
		pthread_t t;
		int fd = fake_socket(0, FILE_STACK, &f);

		pthread_create(&t, NULL, wait_in_epoll, &w);
		if (i % 2)
			usleep(200);
		cr_assert_eq(add(w.ep, fd, EPOLLIN | EPOLLET), 0);
		if (i % 3)
			usleep(100);
		fake_send(f, EPOLLIN, 0);
		pthread_join(t, NULL);
		cr_assert_eq(w.got, 1, "round %d", i);
		cr_assert_eq(w.ev.data.fd, fd);
		file_uninstall(fd);
		close(fd);
	}
}

static _Atomic unsigned taken;
static _Atomic bool all_taken;
static int shared_ep;

static void *worker(void *arg)
{
	struct epoll_event ev;

	(void)arg;
	while (!all_taken) {
		int n = epoll_wait_any(shared_ep, &ev, 1, &far_ts, NULL);

		if (n == 1 && ev.data.u64 == UINT64_MAX)
			break;
		if (n == 1) {
			struct file *f = file_get(ev.data.fd);

			fake_change(f, 0, EPOLLIN);
			mod(shared_ep, ev.data.fd, EPOLLIN | EPOLLONESHOT);
			atomic_fetch_add(&taken, 1);
			file_put(f);
		}
	}
	return NULL;
}

/* Several threads on one set, one-shot sockets: every event is handled, by one thread each. */
Test(epoll, many_threads_one_set)
{
	enum { THREADS = 4, SOCKS = 16, ROUNDS = 200 };
	struct epoll_event stop_ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
	struct file *f[SOCKS];
	pthread_t t[THREADS];
	int stop = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	fake_start(1, true);
	shared_ep = epoll_create_any(0);
	cr_assert_eq(epoll_ctl_any(shared_ep, EPOLL_CTL_ADD, stop, &stop_ev), 0);
	for (int i = 0; i < SOCKS; i++)
		cr_assert_eq(add(shared_ep, fake_socket(0, FILE_STACK, &f[i]), EPOLLIN | EPOLLONESHOT), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, worker, NULL);
	for (int r = 0; r < ROUNDS; r++) {
		for (int i = 0; i < SOCKS; i++)
			fake_send(f[i], EPOLLIN, 0);
		for (int i = 0; i < 200000 && taken < (unsigned)(r + 1) * SOCKS; i++)
			usleep(50);
		cr_assert_eq(taken, (unsigned)(r + 1) * SOCKS);
	}
	all_taken = true;
	cr_assert_eq(write(stop, &one, sizeof(one)), 8);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

/* An epoll descriptor made before fork and used by the child; sockets added by the child are seen by both. */
Test(epoll, set_shared_with_a_child)
{
	struct waiting w = {0};
	struct file *f;
	pthread_t t;
	int status = -1, fd;

	fake_start(1, true);
	w.ep = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	if (fork() == 0) {
		bool ok = add(w.ep, fd, EPOLLIN) == 0;

		wait_in_epoll(&w);
		_exit(!ok || w.got != 1 || w.ev.data.fd != fd);
	}
	while (domain->watches.used == 0)
		usleep(100);
	pthread_create(&t, NULL, wait_in_epoll, &w);
	usleep(2000);
	fake_send(f, EPOLLIN, 0);
	pthread_join(t, NULL);
	cr_assert_eq(w.got, 1);
	wait(&status);
	cr_assert_eq(status, 0);
}

/* Prefork servers: of the exclusive watches one is woken, not all. */
Test(epoll, exclusive_wakes_one)
{
	struct epoll_event ev;
	struct waiting w = {0};
	struct file *f;
	pthread_t t;
	int a, b, fd;

	fake_start(1, true);
	a = epoll_create_any(0);
	b = epoll_create_any(0);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(add(a, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET), 0);
	cr_assert_eq(add(b, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET), 0);
	w.ep = b; /* b is first in the file's list */
	pthread_create(&t, NULL, wait_in_epoll, &w);
	while (atomic_load(&inst_get(0)->driver_slot) == 0 || slot_at(inst_get(0)->driver_slot - 1)->helper)
		usleep(100);
	usleep(5000);
	fake_send(f, EPOLLIN, 0);
	pthread_join(t, NULL);
	cr_assert_eq(w.got, 1);
	cr_assert_eq(take(a, &ev, 1), 0);
}

struct add_close {
	int ep;
	_Atomic bool stop;
};

static void *add_and_close(void *arg)
{
	struct add_close *ac = arg;

	for (int i = 0; i < 2000; i++) {
		struct file *f;
		int fd = fake_socket(0, FILE_STACK, &f);

		if (fd < 0)
			break;
		add(ac->ep, fd, EPOLLIN);
		fake_change(f, EPOLLIN, 0);
		file_uninstall(fd);
		close(fd);
	}
	return NULL;
}

/* Sockets come and go in a set that another thread waits on; the set itself is closed at the end. */
Test(epoll, churn)
{
	struct add_close ac = {0};
	struct epoll_event ev[8];
	pthread_t t;

	fake_start(1, true);
	ac.ep = epoll_create_any(0);
	pthread_create(&t, NULL, add_and_close, &ac);
	for (int i = 0; i < 2000; i++)
		epoll_wait_any(ac.ep, ev, 8, &now_ts, NULL);
	file_uninstall(ac.ep);
	pthread_join(t, NULL);
	cr_assert_eq(domain->watches.used, 0);
}
