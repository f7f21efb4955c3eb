/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inst.c - driving a stack instance, and the clock (inst.h)
 *
 * The device is process-local (it holds pointers to code); a fork child has it at the same address.
 */
#include <pthread.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "async.h"
#include "domain.h"
#include "driver/driver.h"
#include "helper.h"
#include "inst.h"
#include "stack/netdev.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "wait.h"

#define RX_BURST      64
#define TX_BURST      64
#define DEFER_FRAMES  16                /* a batch is sent when this much is queued, */
#define DEFER_BYTES   (32 * 1024)       /* or was written */
#define TX_RETRY_NS   (100 * NS_PER_US) /* the device's ring was full */
#define NAP_MIN_NS    (20 * NS_PER_US)
#define NAP_MAX_NS    (1 * NS_PER_MS)
#define NAP_IDLE_PART 8 /* nap for this part of the time since the last frame */
#define CALIBRATE_NS  (20 * NS_PER_MS)
#define SILENT_NS     (100 * NS_PER_MS) /* a driver asleep for this long may be stopped or dead */

static struct netdev *device;

unsigned inst_count(void)
{
	return domain_running() ? domain->n_insts : 0;
}

struct inst *inst_get(unsigned index)
{
	return &domain->insts[index];
}

static __thread unsigned home; /* 1 + index; 0: not chosen yet */
static _Atomic unsigned homes; /* threads of this process that have chosen */

struct inst *inst_home(void)
{
	if (domain->n_insts == 1)
		return &domain->insts[0];
	if (__builtin_expect(home == 0, 0))
		home = 1 + ((member_self ? member_self->home : 0) + atomic_fetch_add(&homes, 1)) %
				   domain->n_insts;
	return &domain->insts[home - 1];
}

bool inst_is_mine(const struct inst *in)
{
	uint32_t worker = atomic_load_explicit(&in->worker, memory_order_relaxed);

	return in == inst_home() || worker == 0 || worker == thread_id();
}

void inst_forget_home(void)
{
	home = 0;
	atomic_store(&homes, 0);
}

struct inst *inst_of(const struct sock *so)
{
	for (unsigned i = 0; i < domain->n_insts; i++)
		if (domain->insts[i].stack == so->stack)
			return &domain->insts[i];
	return NULL;
}

void inst_use_device(struct netdev *dev)
{
	device = dev;
}

/*
 * A thread must not be cancelled while it holds a lock, and device drivers call read(2), write(2) and the
 * like. Switching cancellation off and on costs, so it is only done once somebody has called
 * pthread_cancel(3).
 */
static _Atomic bool cancel_used;
static __thread int cancel_state;
static __thread unsigned cancel_off; /* locks held with cancellation off */

static void no_cancel(void)
{
	if (__builtin_expect(atomic_load_explicit(&cancel_used, memory_order_relaxed), 0) &&
	    cancel_off++ == 0)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
}

static void cancel_again(void)
{
	if (__builtin_expect(cancel_off, 0) && --cancel_off == 0)
		pthread_setcancelstate(cancel_state, NULL);
}

void inst_before_cancel(void)
{
	if (!domain_running() || atomic_exchange(&cancel_used, true))
		return;
	for (unsigned i = 0; i < domain->n_insts; i++) {
		/* Whoever took the lock without looking at the flag has left by then. */
		shm_lock(&domain->insts[i].lock);
		shm_unlock(&domain->insts[i].lock);
	}
}

static void take(struct inst *in)
{
	no_cancel();
	shm_lock(&in->lock);
}

static void give(struct inst *in)
{
	shm_unlock(&in->lock);
	cancel_again();
}

void inst_lock(struct inst *in)
{
	take(in);
	driver_enter_queue(in->index);
	stack_set_now(in->stack, inst_clock());
}

/* Sockets whose readiness changed, to their sleepers and epoll sets. */
static void hand_out_wakeups(struct inst *in)
{
	uint32_t bits;
	struct sock *so = stack_next_woken(in->stack, &bits);

	if (!so)
		return;
	atomic_thread_fence(memory_order_seq_cst); /* what got ready is visible before we look who sleeps */
	do {
		if (so->user)
			wait_file_woken(so->user, bits, domain->n_insts > 1 ? 1u + in->index : 0);
		so = stack_next_woken(in->stack, &bits);
	} while (so);
}

/* The thread asleep on the device reckons with the timers there were when it went to sleep. */
static void tell_driver(struct inst *in)
{
	uint32_t driver = atomic_load_explicit(&in->driver_slot, memory_order_relaxed);

	if (driver != 0 &&
	    stack_next_timer(in->stack) < atomic_load_explicit(&in->driver_until, memory_order_relaxed))
		slot_wake(driver - 1);
}

/* What went into another instance's inbox waits there like a received frame. */
static void tell_others(struct inst *in)
{
	uint32_t handed = stack_handed(in->stack);

	if (!handed)
		return;
	atomic_thread_fence(memory_order_seq_cst); /* it is visible before we look who sleeps */
	for (; handed; handed &= handed - 1) {
		uint32_t driver = atomic_load(&domain->insts[__builtin_ctz(handed)].driver_slot);

		if (driver != 0)
			slot_wake(driver - 1);
	}
}

static void unlock(struct inst *in)
{
	hand_out_wakeups(in);
	if (domain->n_insts > 1)
		tell_others(in);
	give(in);
	slot_kick();
	if (__builtin_expect(async_noted, 0))
		async_send();
}

void inst_unlock(struct inst *in)
{
	tell_driver(in);
	unlock(in);
	if (__builtin_expect(atomic_load_explicit(&helper_state, memory_order_relaxed) == HELPER_NONE, 0))
		helper_kick_slow();
}

bool inst_look_begin(struct inst *in, unsigned ms)
{
	return shm_lock_within(&in->lock, ms);
}

void inst_look_end(struct inst *in)
{
	shm_unlock(&in->lock);
}

void inst_flush(struct inst *in)
{
	struct rte_mbuf *pkts[TX_BURST];
	unsigned n, sent;

	in->held_bytes = 0;
	do {
		n = stack_output(in->stack, pkts, TX_BURST);
		sent = n ? device->ops->tx_burst(device, in->index, pkts, (uint16_t)n) : 0;
		if (sent < n) {
			stack_output_unsent(in->stack, pkts + sent, n - sent);
			break;
		}
	} while (n == TX_BURST);
}

void inst_sent(struct inst *in, size_t bytes)
{
	in->held_bytes += (uint32_t)bytes; /* less than 2^31: a send buffer */
	/* Somebody else asleep on the device would not know that frames are left lying. */
	if (wait_in_batch() && stack_output_pending(in->stack) < DEFER_FRAMES &&
	    in->held_bytes < DEFER_BYTES && atomic_load_explicit(&in->driver_slot, memory_order_relaxed) == 0)
		return;
	inst_flush(in);
}

/* One round of driving; the lock is held. */
static unsigned drive(struct inst *in, time_ns now)
{
	struct rte_mbuf *pkts[RX_BURST];
	unsigned n = device->ops->rx_burst(device, in->index, pkts, RX_BURST);

	if (n) {
		stack_input(in->stack, pkts, n, now);
		atomic_store_explicit(&in->busy_at, now, memory_order_relaxed);
	}
	if (domain->n_insts > 1)
		n += stack_input_handed(in->stack, now);
	if (stack_next_timer(in->stack) <= now)
		stack_run_timers(in->stack, now);
	inst_flush(in);
	atomic_store_explicit(&in->driven_at, now, memory_order_relaxed);
	return n;
}

static unsigned poll_locked(struct inst *in)
{
	time_ns now = inst_clock();
	unsigned n;

	driver_enter_queue(in->index);
	stack_set_now(in->stack, now);
	n = drive(in, now);
	unlock(in);
	return n;
}

unsigned inst_poll(struct inst *in)
{
	take(in);
	return poll_locked(in);
}

unsigned inst_try_poll(struct inst *in)
{
	/* Not worth an atomic operation on a line that its holder needs. */
	if (atomic_load_explicit(&in->lock.word, memory_order_relaxed) != 0)
		return 0;
	no_cancel();
	if (shm_trylock(&in->lock))
		return poll_locked(in);
	cancel_again();
	return 0;
}

unsigned inst_try_poll_watching(struct inst *in, unsigned slot, time_ns now)
{
	uint32_t driver = atomic_load_explicit(&in->driver_slot, memory_order_relaxed);
	time_ns driven = atomic_load_explicit(&in->driven_at, memory_order_relaxed), until;
	unsigned n;

	if (__builtin_expect(driver == 0 || driver == slot + 1 || now < driven + SILENT_NS, 1))
		return inst_try_poll(in);
	until = atomic_load_explicit(&in->driver_until, memory_order_relaxed);
	n = inst_try_poll(in);
	if (n > 0 || (until < now && now - until > SILENT_NS) ||
	    atomic_load_explicit(&in->lock.word, memory_order_relaxed) != 0)
		atomic_store(&in->silent_slot, driver);
	return n;
}

int inst_sleep_fd(const struct inst *in)
{
	return device->caps.rx_sleep ? device->ops->rx_sleep_fd(device, in->index) : -1;
}

bool inst_peer_is_kernel(void)
{
	return device->caps.peer_is_kernel;
}

/* How long to sleep when nothing can wake us: the longer the quiet, the longer the nap. */
static time_ns nap_until(const struct inst *in, time_ns now)
{
	time_ns nap = (now - atomic_load_explicit(&in->busy_at, memory_order_relaxed)) / NAP_IDLE_PART;

	return now + (nap < NAP_MIN_NS ? NAP_MIN_NS : nap > NAP_MAX_NS ? NAP_MAX_NS : nap);
}

bool inst_sleep_begin(struct inst *in, time_ns *until)
{
	unsigned n;
	time_ns now;

	inst_lock(in);
	if (device->caps.rx_sleep)
		device->ops->rx_arm(device, in->index);
	now = stack_now(in->stack);
	n = drive(in, now);
	*until = stack_sleep_until(in->stack);
	if (stack_output_pending(in->stack) && *until > now + TX_RETRY_NS)
		*until = now + TX_RETRY_NS;
	if (inst_sleep_fd(in) < 0 && *until > nap_until(in, now))
		*until = nap_until(in, now);
	atomic_store_explicit(&in->driver_until, *until, memory_order_relaxed);
	unlock(in);
	return n == 0;
}

static void disarm_unless_taken(struct inst *in, uint32_t mine)
{
	uint32_t driver;

	take(in);
	driver = atomic_load(&in->driver_slot);
	if (driver == 0 || driver == mine)
		device->ops->rx_disarm(device, in->index);
	give(in);
}

void inst_sleep_end(struct inst *in, unsigned slot)
{
	/* Whoever took the role away sees to the device: no need to compete with him for the lock. */
	if (device->caps.rx_sleep && atomic_load(&in->driver_slot) == slot + 1)
		disarm_unless_taken(in, slot + 1);
}

void inst_disarm(struct inst *in)
{
	if (device->caps.rx_sleep)
		disarm_unless_taken(in, 0);
}

static time_ns monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (time_ns)ts.tv_sec * NS_PER_SEC + (time_ns)ts.tv_nsec;
}

#if defined(__x86_64__)
static uint64_t ticks(void)
{
	return __rdtsc();
}

/* Runs at one rate, also in sleep states, on all cores? */
static bool ticks_usable(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}
#else
static uint64_t ticks(void)
{
	return 0;
}

static bool ticks_usable(void)
{
	return false;
}
#endif

void inst_clock_start(struct inst_clock_base *base)
{
	base->ns0 = monotonic();
	base->tsc0 = ticks();
}

void inst_clock_calibrate(struct inst_clock_base *base)
{
	time_ns now = monotonic();
	uint64_t t = ticks();
	uint64_t mult;

	if (!ticks_usable() || now - base->ns0 < CALIBRATE_NS || t <= base->tsc0)
		return;
	mult = (uint64_t)(((unsigned __int128)(now - base->ns0) << 32) / (t - base->tsc0));
	base->ns0 = now;
	base->tsc0 = t;
	atomic_store_explicit(&base->mult, mult, memory_order_release);
}

time_ns inst_clock(void)
{
	struct inst_clock_base *base;
	uint64_t mult, t;

	if (__builtin_expect(!domain, 0))
		return monotonic();
	base = &domain->clock;
	mult = atomic_load_explicit(&base->mult, memory_order_acquire);
	if (mult == 0)
		return monotonic();
	t = ticks();
	/* Cores may differ by some ticks. */
	return t <= base->tsc0 ? base->ns0
			       : base->ns0 + (uint64_t)(((unsigned __int128)(t - base->tsc0) * mult) >> 32);
}
