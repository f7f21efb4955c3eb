/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll_set.c - watches and ready lists (epoll_set.h): what happens in shared memory
 *
 * A watch hangs in two lists. Its file's list is changed under file->watch_lock, its set's under set->lock,
 * and both locks are taken, in this order, to link or unlink it. So whoever holds the file's watch_lock may
 * use watch->set, and whoever holds the set's lock may use watch->file.
 */
#include <sched.h>

#include "domain.h"
#include "epoll_set.h"
#include "epoll_watch.h"
#include "listen_group.h"
#include "stack/sock.h"

/* As in Linux: added to what is asked for, also when nothing is; a one-shot that has fired loses them as
 * well. */
#define ALWAYS  (EPOLLERR | EPOLLHUP)
#define PRIVATE (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

uint32_t file_events(const struct file *f)
{
	uint32_t events;

	switch (file_mode(f)) {
	case FILE_STACK:
	case FILE_DUAL:
		events = sock_events(f->so);
		if (__builtin_expect(f->group != NULL, 0))
			events |= listen_group_events(f);
		break;
	case FILE_EPOLL:
		events = epoll_set_ready(f->set) ? EPOLLIN : 0;
		break;
	default:
		return 0;
	}
	return events | (events & EPOLLIN ? EPOLLRDNORM : 0) | (events & EPOLLOUT ? EPOLLWRNORM : 0);
}

static bool disarmed(const struct epoll_watch *w)
{
	return (w->events & ~PRIVATE) == 0;
}

/* The set's lock is held for all of these. */

static void enqueue(struct epoll_set *set, struct epoll_watch *w)
{
	if (w->queued)
		return;
	w->queued = true;
	w->ready_next = NULL;
	*set->ready_tail = w;
	set->ready_tail = &w->ready_next;
	atomic_fetch_add_explicit(&set->n_ready, 1, memory_order_relaxed);
}

static struct epoll_watch *dequeue(struct epoll_set *set)
{
	struct epoll_watch *w = set->ready_head;

	if (!w)
		return NULL;
	set->ready_head = w->ready_next;
	if (!set->ready_head)
		set->ready_tail = &set->ready_head;
	w->queued = false;
	atomic_fetch_sub_explicit(&set->n_ready, 1, memory_order_relaxed);
	return w;
}

static void dequeue_this(struct epoll_set *set, struct epoll_watch *w)
{
	struct epoll_watch **at = &set->ready_head;

	if (!w->queued)
		return;
	while (*at != w)
		at = &(*at)->ready_next;
	*at = w->ready_next;
	if (!*at)
		set->ready_tail = at;
	w->queued = false;
	atomic_fetch_sub_explicit(&set->n_ready, 1, memory_order_relaxed);
}

static uint32_t events_now(const struct epoll_watch *w)
{
	if (!w->active || disarmed(w))
		return 0;
	return file_events(w->file) & w->events;
}

static void set_activate(struct epoll_watch *w)
{
	if (w->active)
		return;
	w->active = true;
	atomic_fetch_add(&w->set->n_active, 1);
}

/*
 * After dropping the set's lock: wakes one thread in epoll_wait, and all that wait for the set from outside.
 * True when there is somebody in epoll_wait, asleep or (the one who drives) about to look again.
 */
static bool set_woken(struct epoll_set *set)
{
	bool someone = !slot_set_empty(&set->sleepers);

	slot_wake_one(&set->sleepers);
	slot_wake_all(&set->file->sleepers);
	if (set->file->watches)
		epoll_file_woken(set->file, EPOLLIN, 0);
	return someone;
}

/* The file's watches of one kind: those at home where the wake-up happened, or the others. */
static void wake_watches(struct file *f, uint32_t bits, unsigned home, bool near, bool *exclusive_done)
{
	for (struct epoll_watch *w = f->watches; w; w = w->file_next) {
		struct epoll_set *set = w->set;
		bool hit, exclusive;

		if (home && (w->home == home) != near)
			continue;
		shm_lock(&set->lock);
		exclusive = w->events & EPOLLEXCLUSIVE;
		hit = w->active && !disarmed(w) && (bits & w->events) && !(exclusive && *exclusive_done);
		if (hit)
			enqueue(set, w);
		shm_unlock(&set->lock);
		/* As in Linux an exclusive watch has taken the wake-up only if somebody waits there. */
		if (hit && set_woken(set) && exclusive)
			*exclusive_done = true;
	}
}

void epoll_file_woken(struct file *f, uint32_t bits, unsigned home)
{
	bool exclusive_done = false;

	bits |= (bits & EPOLLIN ? EPOLLRDNORM : 0) | (bits & EPOLLOUT ? EPOLLWRNORM : 0);
	shm_lock(&f->watch_lock);
	if (home)
		wake_watches(f, bits, home, true, &exclusive_done);
	wake_watches(f, bits, home, false, &exclusive_done);
	shm_unlock(&f->watch_lock);
}

bool epoll_set_ready(struct epoll_set *set)
{
	bool ready = false;

	if (atomic_load(&set->n_ready) == 0)
		return false;
	shm_lock(&set->lock);
	for (unsigned i = atomic_load(&set->n_ready); i > 0 && !ready; i--) {
		struct epoll_watch *w = set->ready_head;

		if (events_now(w))
			ready = true;
		else
			dequeue(set);
	}
	shm_unlock(&set->lock);
	return ready;
}

static bool merge_dual(const struct epoll_watch *w, struct epoll_event *ev, int n_kernel, uint32_t events)
{
	for (int i = 0; w->kernel && i < n_kernel; i++) {
		if (ev[i].data.u64 == w->data) {
			ev[i].events |= events;
			return true;
		}
	}
	return false;
}

static void fire_oneshot(struct epoll_watch *w, struct epoll_fired *fired)
{
	w->events &= PRIVATE;
	if (w->kernel) {
		fired->fd[fired->n] = w->fd;
		fired->data[fired->n++] = w->data;
	}
}

int epoll_set_collect(struct epoll_set *set, struct epoll_event *ev, int n_kernel, int max,
		      struct epoll_fired *fired)
{
	unsigned queued;
	int n = n_kernel;

	fired->n = 0;

	shm_lock(&set->lock);
	queued = atomic_load_explicit(&set->n_ready, memory_order_relaxed);
	while (queued-- > 0 && n < max && fired->n < EPOLL_FIRED_MAX) {
		struct epoll_watch *w = dequeue(set);
		uint32_t events = events_now(w);

		if (!events)
			continue;
		if (!merge_dual(w, ev, n_kernel, events))
			ev[n++] = (struct epoll_event){.events = events, .data.u64 = w->data};
		if (w->events & EPOLLONESHOT)
			fire_oneshot(w, fired);
		else if (!(w->events & EPOLLET))
			enqueue(set, w);
	}
	/* More than this thread took, or level-triggered ones that are still ready: as Linux, wake one more.
	 */
	if (set->ready_head && n > n_kernel)
		slot_wake_one(&set->sleepers);
	shm_unlock(&set->lock);
	return n;
}

void epoll_set_oneshot_fired(struct epoll_set *set, uint64_t data)
{
	shm_lock(&set->lock);
	for (struct epoll_watch *w = set->watches; w; w = w->set_next)
		if (w->kernel && w->data == data && (w->events & EPOLLONESHOT))
			w->events &= PRIVATE;
	shm_unlock(&set->lock);
}

struct epoll_set *epoll_set_new(struct file *f)
{
	struct epoll_set *set = shm_pool_get(&domain->sets);

	if (!set)
		return NULL;
	atomic_store(&set->n_ready, 0);
	atomic_store(&set->n_active, 0);
	atomic_store(&set->kernel_used, false);
	atomic_store(&set->n_in_kernel, 0);
	atomic_store(&set->kernel_polled_at, 0);
	set->watches = NULL;
	set->ready_head = NULL;
	set->ready_tail = &set->ready_head;
	set->file = f;
	for (unsigned i = 0; i < SLOTS_MAX / 64; i++)
		atomic_store_explicit(&set->sleepers.w[i], 0, memory_order_relaxed);
	return set;
}

struct epoll_watch **epoll_watch_find(struct file *f, const struct epoll_set *set, int fd)
{
	struct epoll_watch **at = &f->watches;

	while (*at && ((*at)->set != set || (*at)->fd != fd))
		at = &(*at)->file_next;
	return at;
}

bool epoll_watch_add(struct file *f, struct epoll_set *set, int epfd, int fd, const struct epoll_event *ev,
		     bool active, bool kernel)
{
	struct epoll_watch *w = shm_pool_get(&domain->watches);
	bool ready;

	if (!w)
		return false;
	w->set = set;
	w->file = f;
	w->fd = fd;
	w->epfd = epfd;
	w->data = ev->data.u64;
	w->events = ev->events | ALWAYS;
	w->queued = false;
	w->active = false;
	w->kernel = kernel;
	w->home = domain_running() && domain->n_insts > 1 ? (uint8_t)(1 + inst_home()->index) : 0;
	w->file_next = f->watches;
	f->watches = w;
	shm_lock(&set->lock);
	w->set_next = set->watches;
	if (w->set_next)
		w->set_next->set_pprev = &w->set_next;
	w->set_pprev = &set->watches;
	set->watches = w;
	if (active)
		set_activate(w);
	ready = events_now(w);
	if (ready)
		enqueue(set, w);
	shm_unlock(&set->lock);
	if (ready)
		set_woken(set);
	return true;
}

void epoll_watch_mod(struct epoll_watch *w, const struct epoll_event *ev)
{
	struct epoll_set *set = w->set;
	bool ready;

	shm_lock(&set->lock);
	w->data = ev->data.u64;
	w->events = ev->events | ALWAYS;
	ready = events_now(w);
	if (ready)
		enqueue(set, w);
	shm_unlock(&set->lock);
	if (ready)
		set_woken(set);
}

void epoll_watch_activate(struct epoll_watch *w, bool kernel)
{
	struct epoll_set *set = w->set;
	bool ready;

	shm_lock(&set->lock);
	w->kernel = kernel;
	set_activate(w);
	ready = events_now(w);
	if (ready)
		enqueue(set, w);
	shm_unlock(&set->lock);
	if (ready)
		set_woken(set);
}

void epoll_watch_remove(struct epoll_watch **at)
{
	struct epoll_watch *w = *at;
	struct epoll_set *set = w->set;

	*at = w->file_next;
	shm_lock(&set->lock);
	dequeue_this(set, w);
	*w->set_pprev = w->set_next;
	if (w->set_next)
		w->set_next->set_pprev = w->set_pprev;
	if (w->active)
		atomic_fetch_sub(&set->n_active, 1);
	w->active = false;
	shm_unlock(&set->lock);
	shm_pool_put(&domain->watches, w);
}

void epoll_file_released(struct file *f)
{
	if (!f->watches)
		return;
	shm_lock(&f->watch_lock);
	while (f->watches)
		epoll_watch_remove(&f->watches);
	shm_unlock(&f->watch_lock);
}

/* Takes one watch off a set whose descriptor is closed; false when there is none left. */
static bool remove_any(struct epoll_set *set)
{
	struct epoll_watch **at, *w;
	struct file *f = NULL;
	bool held;

	shm_lock(&set->lock);
	w = set->watches;
	if (w)
		f = w->file;
	held = f && file_ref(f);
	shm_unlock(&set->lock);
	if (!f)
		return false;
	if (!held) {
		/* The file is on its way out in another thread, which removes the watch. */
		sched_yield();
		return true;
	}
	shm_lock(&f->watch_lock);
	for (at = &f->watches; *at && (*at)->set != set; at = &(*at)->file_next)
		;
	if (*at)
		epoll_watch_remove(at);
	shm_unlock(&f->watch_lock);
	file_put(f);
	return true;
}

void epoll_set_free(struct epoll_set *set)
{
	while (remove_any(set))
		;
	shm_pool_put(&domain->sets, set);
}
