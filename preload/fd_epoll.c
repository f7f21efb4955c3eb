/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd_epoll.c - the epoll calls: which side a descriptor belongs to, and waiting for both (epoll_set.h)
 *
 * The kernel's own checks are used where the kernel has the descriptor too; for a STACK file the same errors
 * are given here.
 */
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

#include "bad_pointer.h"
#include "domain.h"
#include "epoll_set.h"
#include "epoll_watch.h"
#include "libc.h"
#include "listen_group.h"
#include "result.h"
#include "wait.h"

/* With events of ours at hand the kernel is asked this often. */
#define KERNEL_POLL_NS (100 * NS_PER_US)

#define EVENTS_MAX   (INT_MAX / (int)sizeof(struct epoll_event)) /* Linux: EINVAL beyond */
#define EXCLUSIVE_OK (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

int epoll_create_any(int flags)
{
	int fd = real_epoll_create1(flags);
	struct file *f;

	if (fd < 0)
		return -errno;
	f = file_new(FILE_EPOLL);
	if (!f)
		return fd; /* then it is the kernel's alone */
	f->set = epoll_set_new(f);
	if (!f->set || file_install(fd, f) < 0)
		file_put(f);
	return fd;
}

static int kernel_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return (int)result_of(real_epoll_ctl(epfd, op, fd, ev));
}

/*
 * Something is or will be registered with the kernel: threads that sleep on our side only must watch it too.
 * The caller calls slot_kick().
 */
static void use_kernel(struct epoll_set *set)
{
	if (atomic_load_explicit(&set->kernel_used, memory_order_relaxed))
		return;
	atomic_store(&set->kernel_used, true);
	slot_wake_all(&set->sleepers);
}

/* Threads in a plain epoll_wait(2) learn that they have to watch our side too. */
static void kick_kernel_waiters(struct epoll_set *set, int epfd)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = (uintptr_t)&set->kick_mark};

	if (atomic_load(&set->n_in_kernel) == 0)
		return;
	use_kernel(set);
	if (kernel_ctl(epfd, EPOLL_CTL_ADD, domain->kick_fd, &ev) == -EEXIST)
		kernel_ctl(epfd, EPOLL_CTL_MOD, domain->kick_fd, &ev);
}

/* Linux's rules for EPOLLEXCLUSIVE, where the kernel does not see the call. */
static int check_exclusive(const struct epoll_watch *w, int op, const struct epoll_event *ev)
{
	if (op == EPOLL_CTL_DEL)
		return 0;
	if (op == EPOLL_CTL_MOD && ((ev->events & EPOLLEXCLUSIVE) || (w && (w->events & EPOLLEXCLUSIVE))))
		return -EINVAL;
	return (ev->events & EPOLLEXCLUSIVE) && (ev->events & ~EXCLUSIVE_OK) ? -EINVAL : 0;
}

static int check_stack_ctl(struct epoll_watch *w, int op, const struct epoll_event *ev)
{
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && !ev)
		return -EFAULT;
	if (op == EPOLL_CTL_ADD ? w != NULL : w == NULL)
		return op == EPOLL_CTL_ADD ? -EEXIST : -ENOENT;
	return check_exclusive(w, op, ev);
}

/* The file's watch_lock is held. */
static int ctl_locked(struct epoll_set *set, int epfd, int op, int fd, struct file *f, struct epoll_event *ev)
{
	struct epoll_watch **at = epoll_watch_find(f, set, fd);
	enum file_mode mode = file_mode(f);
	bool kernel = mode != FILE_STACK;
	int err;

	if (kernel) {
		use_kernel(set);
		err = kernel_ctl(epfd, op, fd, ev);
	} else {
		err = check_stack_ctl(*at, op, ev);
	}
	if (err)
		return err;
	if (op == EPOLL_CTL_ADD) {
		if (!epoll_watch_add(f, set, epfd, fd, ev, mode != FILE_UNDECIDED, kernel)) {
			if (kernel)
				kernel_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
			return -ENOSPC;
		}
		kick_kernel_waiters(set, epfd);
	} else if (*at && op == EPOLL_CTL_MOD) {
		epoll_watch_mod(*at, ev);
	} else if (*at) {
		epoll_watch_remove(at);
	}
	return 0;
}

/* A socket that may become ours later: what it is registered for must be remembered. */
static struct file *remember(int fd)
{
	bool options = file_candidate_options(fd);
	struct file *f = file_new(FILE_UNDECIDED);

	if (!f)
		return NULL;
	atomic_store(&f->options_set, options);
	file_ref(f);
	if (file_install(fd, f) < 0) {
		file_put(f);
		file_put(f);
		return NULL;
	}
	return f;
}

int epoll_ctl_any(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct file *epoll = file_get(epfd), *f;
	int r;

	if (!epoll || file_mode(epoll) != FILE_EPOLL) {
		if (epoll)
			file_put(epoll);
		return kernel_ctl(epfd, op, fd, ev);
	}
	f = file_get(fd);
	if (!f && op == EPOLL_CTL_ADD && file_is_candidate(fd))
		f = remember(fd);
	if (f) {
		shm_lock(&f->watch_lock);
		r = ctl_locked(epoll->set, epfd, op, fd, f, ev);
		shm_unlock(&f->watch_lock);
		if (!r && op == EPOLL_CTL_ADD && f->group)
			listen_group_wanted(f);
		slot_kick();
		file_put(f);
	} else {
		use_kernel(epoll->set);
		slot_kick();
		r = kernel_ctl(epfd, op, fd, ev);
	}
	file_put(epoll);
	return r;
}

/* A descriptor of this process for the set: the one used at EPOLL_CTL_ADD if it still is one. */
static int epfd_of(const struct epoll_watch *w)
{
	for (int fd = w->epfd, max = file_max_fd(), i = -1; i <= max; fd = ++i) {
		struct file *f = file_get(fd);
		bool found = f && f->set == w->set;

		if (f)
			file_put(f);
		if (found)
			return fd;
	}
	return -1;
}

void epoll_file_decided(struct file *f)
{
	bool dual = file_mode(f) == FILE_DUAL;

	if (!f->watches)
		return;
	shm_lock(&f->watch_lock);
	for (struct epoll_watch *w = f->watches; w; w = w->file_next) {
		int epfd = epfd_of(w);

		if (!dual && epfd >= 0)
			kernel_ctl(epfd, EPOLL_CTL_DEL, w->fd, NULL);
		epoll_watch_activate(w, dual);
		if (epfd >= 0)
			kick_kernel_waiters(w->set, epfd);
	}
	shm_unlock(&f->watch_lock);
	slot_kick();
}

/* Takes our own event out of what the kernel gave; true when it was there. */
static bool drop_kick(const struct epoll_set *set, struct epoll_event *ev, int *n)
{
	for (int i = 0; i < *n; i++) {
		if (ev[i].data.u64 == (uintptr_t)&set->kick_mark) {
			ev[i] = ev[--*n];
			return true;
		}
	}
	return false;
}

static int kernel_wait(int epfd, struct epoll_event *ev, int max, time_ns deadline, const sigset_t *mask)
{
	time_ns now = deadline == TIME_NEVER ? 0 : inst_clock(), left = deadline > now ? deadline - now : 0;
	struct timespec ts = {.tv_sec = (time_t)(left / NS_PER_SEC), .tv_nsec = (long)(left % NS_PER_SEC)};
	int r;

	if (deadline == TIME_NEVER)
		return (int)result_of(real_epoll_pwait(epfd, ev, max, -1, mask));
	r = (int)result_of(real_epoll_pwait2(epfd, ev, max, &ts, mask));
	if (r != -ENOSYS)
		return r;
	left = (left + NS_PER_MS - 1) / NS_PER_MS; /* before Linux 5.11 */
	return (int)result_of(real_epoll_pwait(epfd, ev, max, left < INT_MAX ? (int)left : INT_MAX, mask));
}

/* Nothing of ours is in the set: the kernel alone waits. -EAGAIN: now there is something. */
static int wait_kernel_only(struct epoll_set *set, int epfd, struct epoll_event *ev, int max,
			    time_ns deadline, const sigset_t *mask)
{
	int n = -EAGAIN;
	bool kicked;

	atomic_fetch_add(&set->n_in_kernel, 1);
	if (atomic_load(&set->n_active) == 0)
		n = kernel_wait(epfd, ev, max, deadline, mask);
	atomic_fetch_sub(&set->n_in_kernel, 1);
	kicked = drop_kick(set, ev, &n);
	if (kicked)
		kick_kernel_waiters(set, epfd); /* the next of them */
	return kicked && n == 0 ? -EAGAIN : n;
}

/* What the kernel has, without waiting. */
static int take_kernel(struct epoll_set *set, int epfd, struct epoll_event *ev, int max)
{
	int n = real_epoll_wait(epfd, ev, max, 0);

	if (n <= 0)
		return 0;
	drop_kick(set, ev, &n);
	for (int i = 0; i < n; i++)
		epoll_set_oneshot_fired(set, ev[i].data.u64);
	return n;
}

/* Events of both sides. The kernel's come first, in at most half of the room when we have some too. */
static int take(struct epoll_set *set, int epfd, struct epoll_event *ev, int max)
{
	bool ours = atomic_load_explicit(&set->n_ready, memory_order_relaxed) != 0;
	time_ns now = inst_clock();
	struct epoll_fired fired;
	int n = 0;

	if (atomic_load_explicit(&set->kernel_used, memory_order_relaxed) &&
	    (!ours ||
	     now - atomic_load_explicit(&set->kernel_polled_at, memory_order_relaxed) > KERNEL_POLL_NS)) {
		n = take_kernel(set, epfd, ev, ours && max > 1 ? max / 2 : max);
		atomic_store_explicit(&set->kernel_polled_at, now, memory_order_relaxed);
	}
	if (!ours)
		return n;
	n = epoll_set_collect(set, ev, n, max, &fired);
	for (unsigned i = 0; i < fired.n; i++) {
		struct epoll_event off = {.events = EPOLLONESHOT, .data.u64 = fired.data[i]};

		kernel_ctl(epfd, EPOLL_CTL_MOD, fired.fd[i], &off);
	}
	slot_kick();
	return n;
}

struct both_wait {
	struct epoll_set *set;
	bool kernel; /* the kernel's side is in the sleep */
};

static bool has_events(void *arg)
{
	struct both_wait *w = arg;

	return atomic_load(&w->set->n_ready) != 0 || atomic_load(&w->set->kernel_used) != w->kernel;
}

static int wait_both(struct epoll_set *set, int epfd, struct epoll_event *ev, int max, time_ns deadline,
		     const sigset_t *mask)
{
	bool held SIGNALS_HELD = !mask && signals_hold();
	struct pollfd kernel[1 + WAIT_SPARE_FDS];
	struct both_wait w = {.set = set};
	struct wait_source src = {
		.ready = has_events, .arg = &w, .kernel_fds = kernel, .sigmask = mask, .set = &set->sleepers};

	for (;;) {
		int r, n;

		w.kernel = atomic_load(&set->kernel_used);
		src.n_kernel = w.kernel;
		kernel[0] = (struct pollfd){.fd = epfd, .events = POLLIN};
		r = wait_for(&src, deadline);
		n = take(set, epfd, ev, max);

		if (n > 0 || r <= 0) {
			wait_batch(n > 0 ? (unsigned)n : 0);
			return n > 0 ? n : r;
		}
	}
}

static void release(struct file **f)
{
	if (*f)
		file_put(*f);
}

int epoll_wait_any(int epfd, struct epoll_event *ev, int max, const struct timespec *timeout,
		   const sigset_t *mask)
{
	struct file *f __attribute__((cleanup(release))) = file_get(epfd); /* also when cancelled */
	struct epoll_event none;
	time_ns deadline;
	int r = wait_deadline(timeout, &deadline);

	if (!r && (!f || file_mode(f) != FILE_EPOLL || max <= 0 || max > EVENTS_MAX)) {
		r = kernel_wait(epfd, ev, max, deadline, mask);
	} else if (!r) {
		do {
			r = -EAGAIN;
			if (bad_pointer(ev)) /* which shows only when there is an event */
				r = wait_both(f->set, epfd, &none, 1, deadline, mask) > 0 ? -EFAULT : 0;
			else if (atomic_load(&f->set->n_active) == 0)
				r = wait_kernel_only(f->set, epfd, ev, max, deadline, mask);
			else
				r = wait_both(f->set, epfd, ev, max, deadline, mask);
		} while (r == -EAGAIN);
	}
	return r;
}
