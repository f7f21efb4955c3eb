/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_stack.c - the functions of stack/ and driver/ that preload's waiting side calls (fake_stack.h)
 */
#undef NDEBUG /* a release build is tested too, and these calls must be made there */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/driver.h"
#include "fake_stack.h"
#include "preload/domain.h"
#include "preload/libc.h"
#include "preload/telemetry.h"
#include "stack/netdev.h"
#include "stack/stack.h"

#define SOCKS 4096
#define RING  65536

struct order {
	_Atomic uint32_t full;
	uint32_t sock, set, clear;
};

struct stack {
	time_ns now;
	_Atomic uint64_t timer;
	struct sock *woken_head, **woken_tail;
	_Atomic uint32_t pending;
	_Atomic uint32_t undelivered;
	uint32_t handed;              /* stacks with something in their inbox, by bit */
	_Atomic(struct sock *) inbox; /* a socket to be made readable */
	_Atomic uint32_t head, tail;
	struct order ring[RING];
	int sleep_fd;
};

struct shared {
	struct stack stacks[DOMAIN_INSTS_MAX];
	struct sock socks[SOCKS];
	_Atomic uint32_t n_socks, closed, timers_fired, sent;
	_Atomic uint64_t bursts;
};

static struct shared *sh;

void stack_set_now(struct stack *st, time_ns now)
{
	if (now > st->now)
		st->now = now;
}

time_ns stack_now(const struct stack *st)
{
	return st->now;
}

static void change(struct stack *st, struct sock *so, uint32_t set, uint32_t clear)
{
	atomic_store(&so->events, (atomic_load(&so->events) & ~clear) | set);
	if (!set)
		return;
	so->wake |= set;
	if (so->wake_queued)
		return;
	so->wake_queued = true;
	so->wake_next = NULL;
	*st->woken_tail = so;
	st->woken_tail = &so->wake_next;
}

void stack_input(struct stack *st, struct rte_mbuf **pkts, unsigned n, time_ns now)
{
	stack_set_now(st, now);
	for (unsigned i = 0; i < n; i++) {
		struct order *o = (struct order *)pkts[i];

		change(st, &sh->socks[o->sock], o->set, o->clear);
		atomic_store(&o->full, 0);
	}
}

uint32_t stack_handed(struct stack *st)
{
	uint32_t handed = st->handed;

	st->handed = 0;
	return handed;
}

unsigned stack_input_handed(struct stack *st, time_ns now)
{
	struct sock *so = atomic_exchange(&st->inbox, NULL);

	stack_set_now(st, now);
	if (so)
		change(st, so, EPOLLIN, 0);
	return so != NULL;
}

struct sock *stack_next_woken(struct stack *st, uint32_t *wake)
{
	struct sock *so = st->woken_head;

	if (!so)
		return NULL;
	st->woken_head = so->wake_next;
	if (!st->woken_head)
		st->woken_tail = &st->woken_head;
	so->wake_queued = false;
	*wake = so->wake;
	so->wake = 0;
	return so;
}

unsigned stack_output(struct stack *st, struct rte_mbuf **pkts, unsigned max)
{
	unsigned n = atomic_load(&st->pending) < max ? atomic_load(&st->pending) : max;

	for (unsigned i = 0; i < n; i++)
		pkts[i] = NULL;
	atomic_fetch_sub(&st->pending, n);
	return n;
}

unsigned stack_output_pending(const struct stack *st)
{
	return atomic_load(&st->pending);
}

void stack_output_unsent(struct stack *st, struct rte_mbuf **pkts, unsigned n)
{
	(void)pkts;
	atomic_fetch_add(&st->pending, n);
}

time_ns stack_sleep_until(struct stack *st)
{
	return stack_next_timer(st);
}

time_ns stack_next_timer(const struct stack *st)
{
	return atomic_load(&st->timer);
}

void stack_run_timers(struct stack *st, time_ns now)
{
	if (atomic_load(&st->timer) > now)
		return;
	atomic_store(&st->timer, TIME_NEVER);
	atomic_fetch_add(&sh->timers_fired, 1);
}

unsigned stack_undelivered(const struct stack *st)
{
	return atomic_load(&st->undelivered);
}

void sock_close(struct sock *so)
{
	if (so->wake_queued) {
		struct sock **at = &so->stack->woken_head;

		while (*at != so)
			at = &(*at)->wake_next;
		*at = so->wake_next;
		if (!*at)
			so->stack->woken_tail = at;
		so->wake_queued = false;
	}
	atomic_fetch_add(&sh->closed, 1);
}

/* Of a listener, which these sockets never are. */

int sock_bind(struct sock *so, const struct endpoint *local)
{
	(void)so, (void)local;
	return -EOPNOTSUPP;
}

int sock_listen(struct sock *so, int backlog)
{
	(void)so, (void)backlog;
	return -EOPNOTSUPP;
}

int sock_disconnect(struct sock *so)
{
	(void)so;
	return -EOPNOTSUPP;
}

void sock_listen_near(struct sock *listener, uint16_t queue)
{
	(void)listener, (void)queue;
}

int sock_may_bind(const struct stack *st, const struct sock *so, const struct endpoint *local)
{
	(void)st, (void)so, (void)local;
	return 0;
}

int sock_listen_twin(struct sock *leader, struct stack *st, struct sock **twin)
{
	(void)leader, (void)st, (void)twin;
	return -EOPNOTSUPP;
}

void driver_enter_queue(uint16_t q)
{
	assert(shm_lock_is_mine(&domain->insts[q].lock));
}

bool driver_owns_fd(int fd)
{
	for (unsigned i = 0; i < DOMAIN_INSTS_MAX; i++)
		if (sh->stacks[i].sleep_fd == fd)
			return true;
	return false;
}

static uint16_t rx_burst(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	struct stack *st = &sh->stacks[q];
	uint16_t got = 0;

	(void)dev;
	assert(shm_lock_is_mine(&domain->insts[q].lock));
	atomic_fetch_add_explicit(&sh->bursts, 1, memory_order_relaxed);
	if (atomic_load(&st->undelivered))
		atomic_fetch_sub(&st->undelivered, 1);
	while (got < n) {
		struct order *o = &st->ring[atomic_load(&st->head) % RING];

		if (atomic_load(&o->full) != 2)
			break;
		atomic_store(&o->full, 3); /* received, not yet applied */
		pkts[got++] = (struct rte_mbuf *)o;
		atomic_fetch_add(&st->head, 1);
	}
	return got;
}

static uint16_t tx_burst(struct netdev *dev, uint16_t q, struct rte_mbuf **pkts, uint16_t n)
{
	(void)dev;
	(void)q;
	(void)pkts;
	atomic_fetch_add(&sh->sent, n);
	return n;
}

static int rx_sleep_fd(struct netdev *dev, uint16_t q)
{
	(void)dev;
	return sh->stacks[q].sleep_fd;
}

static int rx_arm(struct netdev *dev, uint16_t q)
{
	(void)dev;
	(void)q;
	return 0;
}

static void rx_disarm(struct netdev *dev, uint16_t q)
{
	uint64_t v;

	(void)dev;
	if (read(sh->stacks[q].sleep_fd, &v, sizeof(v)) < 0)
		return; /* nothing came */
}

static const struct netdev_ops ops = {.rx_burst = rx_burst,
				      .tx_burst = tx_burst,
				      .rx_sleep_fd = rx_sleep_fd,
				      .rx_arm = rx_arm,
				      .rx_disarm = rx_disarm};

static struct netdev dev = {.ops = &ops};

void fake_start(unsigned n, bool sleep_fd)
{
	struct stack *stacks[DOMAIN_INSTS_MAX];

	libc_resolve();
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		  0);
	assert(sh != MAP_FAILED);
	for (unsigned i = 0; i < DOMAIN_INSTS_MAX; i++) {
		sh->stacks[i].timer = TIME_NEVER;
		sh->stacks[i].woken_tail = &sh->stacks[i].woken_head;
		sh->stacks[i].sleep_fd = -1;
		stacks[i] = &sh->stacks[i];
	}
	for (unsigned i = 0; i < n && sleep_fd; i++)
		sh->stacks[i].sleep_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	dev.caps.rx_sleep = sleep_fd;
	assert(domain_publish(stacks, &dev, n) == 0);
}

int fake_socket(unsigned i, enum file_mode mode, struct file **out)
{
	struct file *f = file_new(mode);
	struct sock *so = &sh->socks[atomic_fetch_add(&sh->n_socks, 1)];
	int fd = eventfd(0, EFD_CLOEXEC); /* stands for the placeholder, or the kernel's side of a DUAL one */

	so->stack = &sh->stacks[i];
	so->user = f;
	f->so = so;
	f->inst = &domain->insts[i];
	assert(file_install(fd, f) == 0);
	if (out)
		*out = f;
	return fd;
}

void fake_send(struct file *f, uint32_t set, uint32_t clear)
{
	struct stack *st = f->so->stack;
	struct order *o = &st->ring[atomic_fetch_add(&st->tail, 1) % RING];
	uint64_t one = 1;
	uint32_t empty = 0;

	while (!atomic_compare_exchange_weak(&o->full, &empty, 1))
		empty = 0;
	o->sock = (uint32_t)(f->so - sh->socks);
	o->set = set;
	o->clear = clear;
	atomic_store(&o->full, 2);
	if (st->sleep_fd >= 0 && write(st->sleep_fd, &one, sizeof(one)) < 0)
		abort();
}

void fake_change(struct file *f, uint32_t set, uint32_t clear)
{
	inst_lock(f->inst);
	change(f->so->stack, f->so, set, clear);
	inst_unlock(f->inst);
}

void fake_hand(unsigned from, struct file *f)
{
	inst_lock(inst_get(from));
	atomic_store(&f->so->stack->inbox, f->so);
	sh->stacks[from].handed |= 1u << f->inst->index;
	inst_unlock(inst_get(from));
}

uint32_t fake_closed(void)
{
	return atomic_load(&sh->closed);
}

uint32_t fake_timers_fired(void)
{
	return atomic_load(&sh->timers_fired);
}

uint64_t fake_bursts(void)
{
	return atomic_load(&sh->bursts);
}

void fake_timer(unsigned i, time_ns due)
{
	inst_lock(inst_get(i));
	atomic_store(&sh->stacks[i].timer, due);
	inst_unlock(inst_get(i));
}

void fake_undelivered(unsigned i, uint32_t bursts)
{
	atomic_store(&sh->stacks[i].undelivered, bursts);
}

void fake_queue_output(struct file *f, uint32_t n, size_t bytes)
{
	inst_lock(f->inst);
	atomic_fetch_add(&f->so->stack->pending, n);
	inst_sent(f->inst, bytes);
	inst_unlock(f->inst);
}

uint32_t fake_output_sent(void)
{
	return atomic_load(&sh->sent);
}

/* Nobody asks. */
void telemetry_left(int pid)
{
	(void)pid;
}

void telemetry_take_over_slow(void)
{
}
