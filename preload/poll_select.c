/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll_select.c - poll(2) and select(2) over kernel descriptors and ours (poll_select.h)
 *
 * The caller's array is copied into one for the kernel, where a descriptor that only we serve is -1, and one
 * of our files. A DUAL or epoll descriptor stands in both. select is poll with the sets read and written.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "bad_pointer.h"
#include "domain.h"
#include "epoll_set.h"
#include "fd_guard.h"
#include "libc.h"
#include "poll_select.h"
#include "result.h"
#include "wait.h"

/* Larger calls take pages instead of the thread's stack; malloc is not allowed where poll is. */
#define SMALL 128

struct both {
	struct pollfd *fds;    /* the caller's */
	struct pollfd *kernel; /* the kernel's share; WAIT_SPARE_FDS longer */
	struct file **files;   /* ours; NULL: none */
	unsigned n;            /* so many are filled in */
	void *pages;           /* where kernel and files are when they are large, else NULL */
	size_t pages_bytes;
};

/* After the call, or when the thread is cancelled in it. */
static void release(struct both *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->files[i])
			file_put(b->files[i]);
	if (b->pages)
		munmap(b->pages, b->pages_bytes);
}
#define RELEASED __attribute__((cleanup(release)))

static bool is_served(const struct file *f)
{
	switch (file_mode(f)) {
	case FILE_STACK:
	case FILE_DUAL:
		return true;
	case FILE_EPOLL:
		return atomic_load(&f->set->n_active) != 0;
	default:
		return false;
	}
}

/* The file when we have a say in it, with a reference. */
static struct file *served(int fd)
{
	struct file *f = fd >= 0 ? file_get(fd) : NULL;

	if (f && !is_served(f)) {
		file_put(f);
		return NULL;
	}
	return f;
}

static short ours_now(const struct both *b, unsigned i)
{
	if (!b->files[i])
		return 0;
	return (short)(file_events(b->files[i]) &
		       ((uint32_t)(unsigned short)b->fds[i].events | POLLERR | POLLHUP));
}

static bool any_ready(void *arg)
{
	const struct both *b = arg;

	for (unsigned i = 0; i < b->n; i++)
		if (ours_now(b, i))
			return true;
	return false;
}

/* Writes revents of both sides; returns how many descriptors have some. */
static int report(const struct both *b, bool ask_kernel)
{
	int count = 0;

	if (ask_kernel && real_poll(b->kernel, b->n, 0) < 0)
		return -errno;
	for (unsigned i = 0; i < b->n; i++) {
		b->fds[i].revents =
			(short)(ours_now(b, i) | (b->kernel[i].fd >= 0 ? b->kernel[i].revents : 0));
		count += b->fds[i].revents != 0;
	}
	return count;
}

static int poll_both(struct both *b, time_ns deadline, const sigset_t *mask)
{
	struct wait_source src = {.ready = any_ready,
				  .arg = b,
				  .kernel_fds = b->kernel,
				  .n_kernel = b->n,
				  .sigmask = mask,
				  .files = b->files,
				  .n_files = b->n};
	bool kernel = false;

	for (unsigned i = 0; i < b->n; i++)
		kernel |= b->kernel[i].fd >= 0;
	for (;;) {
		int r = wait_for(&src, deadline);
		int n = r < 0 ? r : report(b, kernel);

		if (n != 0 || r <= 0) {
			wait_batch(n > 0 ? (unsigned)n : 0);
			return n;
		}
	}
}

static int kernel_poll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	return (int)result_of(real_ppoll(fds, n, timeout, mask));
}

static bool any_ours(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		struct file *f = served(fds[i].fd);

		if (f) {
			file_put(f);
			return true;
		}
	}
	return false;
}

static int poll_with(struct both *b, unsigned n, time_ns deadline, const sigset_t *mask)
{
	for (unsigned i = 0; i < n; i++) {
		b->kernel[i] = b->fds[i];
		b->kernel[i].revents = 0;
		b->files[i] = served(b->fds[i].fd);
		if (b->files[i] && file_mode(b->files[i]) == FILE_STACK)
			b->kernel[i].fd = -1;
		b->n = i + 1;
	}
	return poll_both(b, deadline, mask);
}

static int poll_small(struct pollfd *fds, nfds_t n, time_ns deadline, const sigset_t *mask)
{
	bool held SIGNALS_HELD = !mask && signals_hold();
	struct pollfd kernel[SMALL + WAIT_SPARE_FDS];
	struct file *files[SMALL];
	struct both b RELEASED = {.fds = fds, .kernel = kernel, .files = files};

	return poll_with(&b, (unsigned)n, deadline, mask);
}

static int poll_large(struct pollfd *fds, nfds_t n, time_ns deadline, const sigset_t *mask)
{
	bool held SIGNALS_HELD = !mask && signals_hold();
	size_t kernel_bytes = (n + WAIT_SPARE_FDS) * sizeof(struct pollfd);
	size_t bytes = kernel_bytes + n * sizeof(struct file *);
	char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct both b RELEASED = {.fds = fds};

	if (mem == MAP_FAILED)
		return -ENOMEM;
	b.pages = mem;
	b.pages_bytes = bytes;
	b.kernel = (struct pollfd *)mem;
	b.files = (struct file **)(mem + ((kernel_bytes + 7) & ~(size_t)7));
	return poll_with(&b, (unsigned)n, deadline, mask);
}

int poll_any(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	time_ns deadline;
	int r;

	if (file_max_fd() < 0 || n > DOMAIN_FDS_MAX || bad_pointer(fds) || !any_ours(fds, n))
		return kernel_poll(fds, n, timeout, mask);
	r = wait_deadline(timeout, &deadline);
	if (r)
		return r;
	return n <= SMALL ? poll_small(fds, n, deadline, mask) : poll_large(fds, n, deadline, mask);
}

/* Bits of a set larger than fd_set: the caller allocated as many bytes as n needs. */
static bool bit(const fd_set *s, int fd)
{
	const unsigned long *w = (const unsigned long *)s;

	return s && (w[fd / (8 * (int)sizeof(*w))] >> (fd % (8 * (int)sizeof(*w))) & 1);
}

static void bit_set(fd_set *s, int fd)
{
	unsigned long *w = (unsigned long *)s;

	w[fd / (8 * (int)sizeof(*w))] |= 1UL << (fd % (8 * (int)sizeof(*w)));
}

static void clear_set(fd_set *s, int n)
{
	int bits = 8 * (int)sizeof(unsigned long);

	if (s)
		memset(s, 0, (size_t)((n + bits - 1) / bits) * sizeof(unsigned long));
}

/* Linux's POLLIN_SET, POLLOUT_SET, POLLEX_SET (fs/select.c) */
#define SELECT_IN  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EX  POLLPRI

static bool wanted(const fd_set *rd, const fd_set *wr, const fd_set *ex, int fd)
{
	return bit(rd, fd) || bit(wr, fd) || bit(ex, fd);
}

static unsigned sets_to_fds(int n, const fd_set *rd, const fd_set *wr, const fd_set *ex, struct pollfd *fds)
{
	unsigned count = 0;

	for (int fd = 0; fd < n; fd++) {
		if (!wanted(rd, wr, ex, fd))
			continue;
		fds[count].fd = fd;
		fds[count].revents = 0;
		fds[count++].events = (short)((bit(rd, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
					      (bit(wr, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) |
					      (bit(ex, fd) ? POLLPRI : 0));
	}
	return count;
}

/*
 * Linux looks at no bit beyond its table of descriptors, which grows in powers of two from 64; our own high
 * descriptors have made it longer than it would be.
 */
static int table_end(void)
{
	int end = 64;

	while (end <= file_max_fd())
		end *= 2;
	return end;
}

/* The answer of poll as select gives it. POLLHUP and the like count only for those who asked for the set. */
static int fds_to_sets(int n, fd_set *rd, fd_set *wr, fd_set *ex, const struct pollfd *fds, unsigned count)
{
	int total = 0;

	for (unsigned i = 0; i < count; i++)
		if ((fds[i].revents & POLLNVAL) && fds[i].fd < table_end())
			return -EBADF;
	clear_set(rd, n);
	clear_set(wr, n);
	clear_set(ex, n);
	for (unsigned i = 0; i < count; i++) {
		if ((fds[i].events & POLLIN) && (fds[i].revents & SELECT_IN)) {
			bit_set(rd, fds[i].fd);
			total++;
		}
		if ((fds[i].events & POLLOUT) && (fds[i].revents & SELECT_OUT)) {
			bit_set(wr, fds[i].fd);
			total++;
		}
		if ((fds[i].events & POLLPRI) && (fds[i].revents & SELECT_EX)) {
			bit_set(ex, fds[i].fd);
			total++;
		}
	}
	return total;
}

/*
 * poll also returns for a hang-up that no set asks about; select does not. Such a descriptor is left out and
 * waited for no more, which is all one can do: a hang-up does not go away.
 */
static bool drop_unasked(struct pollfd *fds, unsigned count)
{
	bool dropped = false;

	for (unsigned i = 0; i < count; i++) {
		short asked = (short)((fds[i].events & POLLIN ? SELECT_IN : 0) |
				      (fds[i].events & POLLOUT ? SELECT_OUT : 0) |
				      (fds[i].events & POLLPRI ? SELECT_EX : 0));

		if (fds[i].fd >= 0 && fds[i].revents && !(fds[i].revents & asked)) {
			fds[i].fd = -1;
			fds[i].revents = 0;
			dropped = true;
		}
	}
	return dropped;
}

static int select_both(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct pollfd *fds,
		       struct timespec *timeout, const sigset_t *mask)
{
	unsigned count = sets_to_fds(n, rd, wr, ex, fds);
	time_ns deadline, now;
	int r = wait_deadline(timeout, &deadline);

	if (r)
		return r;
	do {
		struct timespec left, *limit = NULL;

		if (deadline != TIME_NEVER) {
			now = inst_clock();
			now = deadline > now ? deadline - now : 0;
			left = (struct timespec){(time_t)(now / NS_PER_SEC), (long)(now % NS_PER_SEC)};
			limit = &left;
		}
		r = poll_any(fds, count, limit, mask);
		if (r >= 0)
			r = fds_to_sets(n, rd, wr, ex, fds, count);
	} while (r == 0 && drop_unasked(fds, count));
	if (timeout && deadline != TIME_NEVER) {
		now = inst_clock();
		now = deadline > now ? deadline - now : 0;
		*timeout = (struct timespec){(time_t)(now / NS_PER_SEC), (long)(now % NS_PER_SEC)};
	}
	return r;
}

static int select_large(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timespec *timeout,
			const sigset_t *mask)
{
	size_t bytes = (size_t)n * sizeof(struct pollfd);
	struct pollfd *fds = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct both b RELEASED = {.pages = fds, .pages_bytes = bytes}; /* for its pages only */

	if (fds == MAP_FAILED) {
		b.pages = NULL;
		return -ENOMEM;
	}
	return select_both(n, rd, wr, ex, fds, timeout, mask);
}

static int kernel_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timespec *timeout,
			 const sigset_t *mask)
{
	time_ns deadline, now;
	int r = wait_deadline(timeout, &deadline);

	if (r)
		return r;
	r = (int)result_of(real_pselect(n, rd, wr, ex, timeout, mask));
	if (timeout && deadline != TIME_NEVER) {
		now = inst_clock();
		now = deadline > now ? deadline - now : 0;
		*timeout = (struct timespec){(time_t)(now / NS_PER_SEC), (long)(now % NS_PER_SEC)};
	}
	return r;
}

/* The highest open descriptor from `from` on that is the program's; -1: none, or /proc is not there. */
static int highest_open(int from)
{
	char buf[4096] __attribute__((aligned(8)));
	int dir = (int)real_syscall(SYS_openat, AT_FDCWD, (long)"/proc/self/fd",
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
	int top = -1;
	long len;

	if (dir < 0)
		return -1;
	real_syscall(SYS_lseek, dir, from + 2, SEEK_SET, 0, 0, 0); /* behind "." and "..": by number */
	while ((len = real_syscall(SYS_getdents64, dir, (long)buf, sizeof(buf), 0, 0, 0)) > 0)
		for (long at = 0; at < len; at += ((struct dirent64 *)(buf + at))->d_reclen) {
			int fd = atoi(((struct dirent64 *)(buf + at))->d_name);

			if (fd >= from && fd != dir && !fd_guarded(fd) && fd > top)
				top = fd;
		}
	real_syscall(SYS_close, dir, 0, 0, 0, 0, 0);
	return top;
}

/*
 * Programs say select(getdtablesize(), …) with sets of FD_SETSIZE bits. The kernel touches only as many bits
 * as the process's table is long, which ours at 1024 and above make longer: what is behind the sets must stay
 * as it is.
 */
static int clamp_sets(int n)
{
	int saved = errno, top, size = FD_SETSIZE;

	if (n <= FD_SETSIZE || file_max_fd() < 0)
		return n;
	top = highest_open(FD_SETSIZE);
	while (size <= top)
		size *= 2;
	errno = saved;
	return n < size ? n : size;
}

int select_any(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timespec *timeout, const sigset_t *mask)
{
	struct pollfd small[SMALL];
	bool ours = false;

	n = clamp_sets(n);
	for (int fd = 0, max = file_max_fd(); fd < n && fd <= max && !ours; fd++) {
		struct file *f = wanted(rd, wr, ex, fd) ? served(fd) : NULL;

		ours = f != NULL;
		if (f)
			file_put(f);
	}
	if (!ours)
		return kernel_select(n, rd, wr, ex, timeout, mask);
	return n <= SMALL ? select_both(n, rd, wr, ex, small, timeout, mask)
			  : select_large(n, rd, wr, ex, timeout, mask);
}
