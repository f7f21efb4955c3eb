/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_wait.c - wait.c, slot.c and helper.c: nobody sleeps through what he waits for
 *
 * A lost wake-up shows as a wait that ends at its deadline; the deadlines are far beyond what a run takes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_stack.h"
#include "preload/domain.h"
#include "preload/helper.h"
#include "preload/wait.h"

#define FAR  (20 * NS_PER_SEC)
#define PING 5000

static time_ns far(void)
{
	return inst_clock() + FAR;
}

Test(wait, ready_at_once)
{
	struct file *f;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	fake_change(f, EPOLLIN, 0);
	cr_assert_eq(wait_file(f, fd, EPOLLIN, 0), 0);
	cr_assert_eq(wait_file(f, fd, EPOLLOUT, 0), -EAGAIN);
}

Test(wait, error_and_hangup_always_count)
{
	struct file *f;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	fake_change(f, EPOLLHUP, 0);
	cr_assert_eq(wait_file(f, fd, EPOLLIN, far()), 0);
}

Test(wait, deadline)
{
	struct file *f;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(wait_file(f, fd, EPOLLIN, inst_clock() + NS_PER_MS), -EAGAIN);
}

Test(wait, timer_runs_during_sleep)
{
	struct file *f;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	fake_timer(0, inst_clock() + 5 * NS_PER_MS);
	cr_assert_eq(wait_file(f, fd, EPOLLIN, inst_clock() + 50 * NS_PER_MS), -EAGAIN);
	cr_assert_eq(fake_timers_fired(), 1);
}

struct pong {
	struct file *mine, *peer;
	int fd;
	bool by_wire; /* through the device, or by a socket call of this thread */
	unsigned rounds;
	int failed;
};

static void tell(struct pong *p)
{
	if (p->by_wire)
		fake_send(p->peer, EPOLLIN, 0);
	else
		fake_change(p->peer, EPOLLIN, 0);
}

static void *play(void *arg)
{
	struct pong *p = arg;

	for (unsigned i = 0; i < p->rounds && !p->failed; i++) {
		int r;

		do
			r = wait_file(p->mine, p->fd, EPOLLIN, far());
		while (r == -EINTR);
		p->failed = r;
		fake_change(p->mine, 0, EPOLLIN);
		tell(p);
	}
	return NULL;
}

static void ping_pong_threads(unsigned insts, bool sleep_fd, bool by_wire, unsigned rounds)
{
	struct pong a = {.by_wire = by_wire, .rounds = rounds}, b = {.by_wire = by_wire, .rounds = rounds};
	pthread_t t;

	fake_start(insts, sleep_fd);
	a.fd = fake_socket(0, FILE_STACK, &a.mine);
	b.fd = fake_socket(insts - 1, FILE_STACK, &b.mine);
	a.peer = b.mine;
	b.peer = a.mine;
	pthread_create(&t, NULL, play, &b);
	tell(&b);
	play(&a);
	pthread_join(t, NULL);
	cr_assert_eq(a.failed, 0);
	cr_assert_eq(b.failed, 0);
}

Test(wait, ping_pong_threads_by_wire)
{
	ping_pong_threads(1, true, true, PING);
}

Test(wait, ping_pong_threads_by_call)
{
	ping_pong_threads(1, true, false, PING);
}

Test(wait, ping_pong_two_instances)
{
	ping_pong_threads(2, true, true, PING);
}

Test(wait, ping_pong_without_sleep_fd)
{
	ping_pong_threads(1, false, true, 300);
}

static void ping_pong_processes(bool by_wire)
{
	struct pong a = {.by_wire = by_wire, .rounds = PING}, b = {.by_wire = by_wire, .rounds = PING};
	int status = -1;

	fake_start(1, true);
	a.fd = fake_socket(0, FILE_STACK, &a.mine);
	b.fd = fake_socket(0, FILE_STACK, &b.mine);
	a.peer = b.mine;
	b.peer = a.mine;
	if (fork() == 0) {
		play(&b);
		_exit(b.failed != 0);
	}
	tell(&b);
	play(&a);
	wait(&status);
	cr_assert_eq(a.failed, 0);
	cr_assert_eq(status, 0);
}

Test(wait, ping_pong_processes_by_wire)
{
	ping_pong_processes(true);
}

Test(wait, ping_pong_processes_by_call)
{
	ping_pong_processes(false);
}

static _Atomic unsigned served;

static void *serve_one(void *arg)
{
	struct pong *p = arg;

	p->failed = wait_file(p->mine, p->fd, EPOLLIN, far());
	atomic_fetch_add(&served, 1);
	return NULL;
}

/* Many sleepers, one driver among them; the wake-ups come in every order. */
Test(wait, many_threads_on_one_instance)
{
	enum { N = 24 };
	struct pong p[N] = {0};
	pthread_t t[N];

	fake_start(1, true);
	for (int i = 0; i < N; i++) {
		p[i].fd = fake_socket(0, FILE_STACK, &p[i].mine);
		pthread_create(&t[i], NULL, serve_one, &p[i]);
	}
	for (int i = 0; i < N; i++) {
		fake_send(p[i * 7 % N].mine, EPOLLIN, 0);
		if (i % 3 == 0)
			usleep(500);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], NULL);
		cr_assert_eq(p[i].failed, 0);
	}
	cr_assert_eq(served, N);
}

static void on_signal(int sig)
{
	(void)sig;
}

Test(wait, signal_ends_the_sleep)
{
	struct file *f;
	int fd, r;
	timer_t timer;
	struct itimerspec every = {.it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	signal(SIGALRM, on_signal);
	timer_create(CLOCK_MONOTONIC, &ev, &timer);
	timer_settime(timer, 0, &every, NULL);
	r = wait_file(f, fd, EPOLLIN, far());
	cr_assert_eq(r, -EINTR);
}

static void *wait_for_ever(void *arg)
{
	struct pong *p = arg;

	wait_file(p->mine, p->fd, EPOLLIN, TIME_NEVER);
	return NULL;
}

/* A cancelled thread leaves neither its role nor its place behind. */
Test(wait, cancelled_in_sleep)
{
	struct pong p = {0}, q = {0};
	pthread_t t;
	void *how;

	fake_start(1, true);
	p.fd = fake_socket(0, FILE_STACK, &p.mine);
	pthread_create(&t, NULL, wait_for_ever, &p);
	usleep(5000);
	pthread_cancel(t);
	pthread_join(t, &how);
	cr_assert_eq(how, PTHREAD_CANCELED);
	for (unsigned i = 0; i < SLOTS_MAX / 64; i++)
		cr_assert_eq(p.mine->sleepers.w[i], 0);
	q.fd = p.fd;
	q.mine = p.mine;
	pthread_create(&t, NULL, serve_one, &q);
	fake_send(p.mine, EPOLLIN, 0);
	pthread_join(t, NULL);
	cr_assert_eq(q.failed, 0);
}

/* The program neither waits nor calls: the helper receives, and fires timers. */
Test(wait, helper_drives_while_the_program_computes)
{
	struct file *f;

	fake_start(1, true);
	fake_socket(0, FILE_STACK, &f);
	fake_timer(0, inst_clock() + 3 * NS_PER_MS);
	fake_send(f, EPOLLIN, 0);
	for (int i = 0; i < 20000 && (fake_timers_fired() == 0 || !sock_events(f->so)); i++)
		usleep(1000);
	cr_assert_eq(fake_timers_fired(), 1);
	cr_assert_eq(sock_events(f->so), EPOLLIN);
	/* And again, after it went to sleep on the device. */
	usleep(20000);
	fake_send(f, EPOLLOUT, 0);
	fake_timer(0, inst_clock() + 3 * NS_PER_MS);
	for (int i = 0; i < 20000 && (fake_timers_fired() == 1 || sock_events(f->so) == EPOLLIN); i++)
		usleep(1000);
	cr_assert_eq(sock_events(f->so), EPOLLIN | EPOLLOUT);
	cr_assert_eq(fake_timers_fired(), 2);
}

/* Sending the helper away costs more than a short wait: one that meets it leaves it alone. */
Test(wait, short_wait_leaves_the_helper_standing_in)
{
	struct file *f;
	uint32_t driver;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	while ((driver = atomic_load(&inst_get(0)->driver_slot)) == 0)
		usleep(1000);
	cr_assert(slot_at(driver - 1)->helper);
	fake_change(f, EPOLLOUT, 0);
	cr_assert_eq(wait_file(f, fd, EPOLLOUT, far()), 0);
	cr_assert_eq(atomic_load(&inst_get(0)->driver_slot), driver);
	/* A program that goes on waiting gets rid of it, and later has it back. */
	while (atomic_load(&inst_get(0)->driver_slot) == driver)
		cr_assert_eq(wait_file(f, fd, EPOLLOUT, far()), 0);
	while (atomic_load(&inst_get(0)->driver_slot) == 0)
		usleep(1000);
}

Test(wait, helper_restarts_in_a_child)
{
	struct file *f;
	int status = -1;

	fake_start(1, true);
	fake_socket(0, FILE_STACK, &f);
	if (fork() == 0) {
		fake_change(f, EPOLLOUT, 0); /* the first call of the child */
		fake_send(f, EPOLLIN, 0);
		for (int i = 0; i < 20000 && sock_events(f->so) != (EPOLLIN | EPOLLOUT); i++)
			usleep(1000);
		_exit(atomic_load(&helper_state) == HELPER_NONE ||
		      sock_events(f->so) != (EPOLLIN | EPOLLOUT));
	}
	wait(&status);
	cr_assert_eq(status, 0);
}

/* The driver sleeps for ever; a timer set by another thread must still fire in time. */
Test(wait, sleeping_driver_learns_of_new_timers)
{
	struct pong p = {0};
	pthread_t t;

	fake_start(1, true);
	p.fd = fake_socket(0, FILE_STACK, &p.mine);
	pthread_create(&t, NULL, serve_one, &p);
	while (atomic_load(&inst_get(0)->driver_slot) == 0)
		usleep(100);
	usleep(10000);
	fake_timer(0, inst_clock() + 2 * NS_PER_MS);
	for (int i = 0; i < 20000 && fake_timers_fired() == 0; i++)
		usleep(1000);
	cr_assert_eq(fake_timers_fired(), 1);
	fake_send(p.mine, EPOLLIN, 0);
	pthread_join(t, NULL);
}

Test(wait, idle_driver_sleeps)
{
	struct pong p = {0};
	pthread_t t;
	uint64_t before;

	fake_start(1, true);
	p.fd = fake_socket(0, FILE_STACK, &p.mine);
	pthread_create(&t, NULL, serve_one, &p);
	while (atomic_load(&helper_state) != HELPER_PARKED)
		usleep(1000);
	before = fake_bursts();
	usleep(100000);
	cr_assert_eq(fake_bursts(), before);
	fake_send(p.mine, EPOLLIN, 0);
	pthread_join(t, NULL);
}

static unsigned looks;

static bool count_looks(void *arg)
{
	(void)arg;
	looks++;
	return false;
}

/* A waker marks the sleeper first and writes later: what it writes after the sleep must not stay readable. */
Test(wait, late_kick_ends_one_sleep_only)
{
	struct wait_source src = {.ready = count_looks, .no_spin = true};
	unsigned slot;

	fake_start(1, true);
	slot = slot_mine();
	slot_sleep_begin(slot);
	cr_assert(slot_wake(slot));
	slot_sleep_end(slot, false);
	slot_kick();
	cr_assert_eq(wait_for(&src, inst_clock() + 50 * NS_PER_MS), 0);
	cr_assert_lt(looks, 10, "woke %u times", looks);
}

/* Frames put off in a batch leave with the next wait, or by the helper when there is none. */
Test(wait, batch_defers_frames)
{
	struct file *f;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	wait_batch(1);
	fake_queue_output(f, 1, 100);
	cr_assert_eq(fake_output_sent(), 1);
	wait_file(f, fd, EPOLLIN, 0); /* sends a helper that stood in away */
	wait_batch(2);
	fake_queue_output(f, 40, 100);
	cr_assert_eq(fake_output_sent(), 41);
	fake_queue_output(f, 1, 100);
	wait_file(f, fd, EPOLLIN, 0);
	cr_assert_eq(fake_output_sent(), 42);
	wait_batch(2);
	fake_queue_output(f, 1, 1 << 20); /* a large piece is not held back: the peer can begin with it */
	cr_assert_eq(fake_output_sent(), 43);
	fake_queue_output(f, 1, 100);
	for (int i = 0; i < 20000 && fake_output_sent() < 44; i++)
		usleep(1000);
	cr_assert_eq(fake_output_sent(), 44);
}

/* ---- several instances ---- */

/* A packet that another instance hands over wakes who sleeps on its own queue. */
Test(wait, handed_over_to_a_sleeper)
{
	struct pong p = {0};
	pthread_t t;

	fake_start(2, true);
	p.fd = fake_socket(1, FILE_STACK, &p.mine);
	pthread_create(&t, NULL, serve_one, &p);
	while (atomic_load(&inst_get(1)->driver_slot) == 0)
		usleep(100);
	usleep(10000);
	fake_hand(0, p.mine);
	pthread_join(t, NULL);
	cr_assert_eq(p.failed, 0);
}

/* One thread alone looks after all queues: each can wake it. */
Test(wait, one_thread_sleeps_on_all)
{
	struct pong p[3] = {0};

	fake_start(3, true);
	for (unsigned i = 0; i < 3; i++)
		p[i].fd = fake_socket(i, FILE_STACK, &p[i].mine);
	for (unsigned i = 0; i < 3; i++) {
		pthread_t t;

		pthread_create(&t, NULL, serve_one, &p[i]);
		for (unsigned k = 0; k < 3; k++)
			while (atomic_load(&inst_get(k)->driver_slot) == 0)
				usleep(100);
		fake_send(p[i].mine, EPOLLIN, 0);
		pthread_join(t, NULL);
		cr_assert_eq(p[i].failed, 0);
	}
}

/* 1 + the slot of a sleeping thread whose home the instance is; 0: none sleeps there. */
static uint32_t home_sleeper(unsigned i)
{
	uint32_t driver = atomic_load(&inst_get(i)->driver_slot);

	return driver != 0 && atomic_load(&slot_at(driver - 1)->home) == i + 1 ? driver : 0;
}

static _Atomic bool stop_computing;
static _Atomic unsigned computed;

static void *compute(void *arg)
{
	struct pong *p = arg;

	p->failed = wait_file(p->mine, p->fd, EPOLLIN, far());
	while (!atomic_load(&stop_computing))
		usleep(100);
	fake_change(p->mine, 0, EPOLLIN);
	atomic_fetch_add(&computed, 1);
	p->failed |= wait_file(p->mine, p->fd, EPOLLIN, far());
	return NULL;
}

/*
 * Each of two threads sleeps on its own queue. While one computes the other one's instance is still driven,
 * by its helper or by whoever waits; when it comes back it has its queue again.
 */
Test(wait, each_thread_its_own_instance)
{
	struct pong p[2] = {0};
	struct file *other;
	pthread_t t[2];

	fake_start(2, true);
	for (unsigned i = 0; i < 2; i++)
		p[i].fd = fake_socket(i, FILE_STACK, &p[i].mine);
	fake_socket(0, FILE_STACK, &other);
	fake_socket(1, FILE_STACK, &other);
	for (unsigned i = 0; i < 2; i++) {
		pthread_create(&t[i], NULL, compute, &p[i]);
		while (home_sleeper(i) == 0) /* threads get their homes in the order of their first waits */
			usleep(100);
	}
	cr_assert_neq(home_sleeper(0), home_sleeper(1));
	fake_send(p[1].mine, EPOLLIN, 0);
	for (int i = 0; i < 20000 && home_sleeper(1) != 0; i++)
		usleep(1000);
	fake_send(other, EPOLLIN, 0); /* nobody waits for it, but it must be received */
	for (int i = 0; i < 20000 && !sock_events(other->so); i++)
		usleep(1000);
	cr_assert_eq(sock_events(other->so), EPOLLIN);
	atomic_store(&stop_computing, true);
	fake_send(p[0].mine, EPOLLIN, 0);
	while (atomic_load(&computed) < 2)
		usleep(100);
	for (unsigned i = 0; i < 2; i++)
		while (home_sleeper(i) == 0)
			usleep(100);
	for (unsigned i = 0; i < 2; i++) {
		fake_send(p[i].mine, EPOLLIN, 0);
		pthread_join(t[i], NULL);
		cr_assert_eq(p[i].failed, 0);
	}
}
