/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * file.c - descriptor tables and the life of a file (file.h)
 *
 * file_get() runs on every call of the program, so it takes no lock. It may read a table entry, be
 * overtaken by close(2), and find the file freed or even in use again for another descriptor: therefore a
 * reference is only added where there is one already, and the table entry is read again afterwards.
 * Files never leave their arena, so the memory it touches is a file at any time.
 */
#include <errno.h>

#include "domain.h"
#include "epoll_set.h"
#include "file.h"
#include "listen_group.h"
#include "stack/sock.h"

#define CANDIDATE         ((struct file *)1)
#define CANDIDATE_OPTIONS ((struct file *)2)

_Atomic(struct file *) *file_entries;
unsigned file_entries_count;

static inline bool is_file(const struct file *f)
{
	return f > CANDIDATE_OPTIONS;
}

static _Atomic(struct file *) *entry_of(int fd)
{
	return (unsigned)fd < file_entries_count ? &file_entries[fd] : NULL;
}

bool file_ref(struct file *f)
{
	uint32_t refs = atomic_load_explicit(&f->refs, memory_order_relaxed);

	while (refs != 0)
		if (atomic_compare_exchange_weak_explicit(&f->refs, &refs, refs + 1, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

struct file *file_get_entry(int fd)
{
	_Atomic(struct file *) *entry = entry_of(fd);
	struct file *f;

	if (!entry)
		return NULL;
	for (;;) {
		f = atomic_load_explicit(entry, memory_order_acquire);
		if (!is_file(f))
			return NULL;
		if (!file_ref(f))
			continue; /* closed meanwhile: the entry has changed, or is about to */
		if (__builtin_expect(atomic_load_explicit(entry, memory_order_acquire) == f, 1))
			return f;
		file_put(f);
	}
}

static void file_end(struct file *f)
{
	epoll_file_released(f);
	if (f->group)
		listen_group_free(f);
	if (f->so) {
		inst_lock(f->inst);
		f->so->user = NULL;
		sock_close(f->so);
		inst_sent(f->inst, 0);
		inst_unlock(f->inst);
	}
	if (f->set)
		epoll_set_free(f->set);
	atomic_store_explicit(&f->mode, FILE_FREE, memory_order_relaxed);
	f->so = NULL;
	f->inst = NULL;
	f->set = NULL;
	shm_pool_put(&domain->files, f);
}

/* Perhaps only pumps have it now: they read from now on. */
static void wake_pumps(struct file *f)
{
	slot_wake_all(&f->sleepers);
	slot_kick();
}

void file_put(struct file *f)
{
	uint32_t left = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) - 1;

	if (left == 0)
		file_end(f);
	else if (__builtin_expect(atomic_load_explicit(&f->pumps, memory_order_relaxed) >= left, 0))
		wake_pumps(f);
}

struct file *file_new(enum file_mode mode)
{
	struct file *f;

	if (domain_init() < 0)
		return NULL;
	f = shm_pool_get(&domain->files);
	if (!f)
		return NULL;
	f->so = NULL;
	f->inst = NULL;
	f->group = NULL;
	f->set = NULL;
	f->watches = NULL;
	f->owner_type = f->owner_pid = f->owner_sig = f->async_fd = 0;
	atomic_store_explicit(&f->flags, 0, memory_order_relaxed);
	atomic_store_explicit(&f->cmsgs, 0, memory_order_relaxed);
	atomic_store_explicit(&f->pumps, 0, memory_order_relaxed);
	atomic_store_explicit(&f->options_set, false, memory_order_relaxed);
	for (unsigned i = 0; i < SLOTS_MAX / 64; i++)
		atomic_store_explicit(&f->sleepers.w[i], 0, memory_order_relaxed);
	atomic_store_explicit(&f->mode, mode, memory_order_relaxed);
	atomic_store_explicit(&f->refs, 1, memory_order_release);
	return f;
}

/* Puts `f` (or a mark, or NULL) where the table has fd, and returns what stood there. */
static struct file *entry_swap(int fd, struct file *f)
{
	int max = atomic_load_explicit(&member_self->max_fd, memory_order_relaxed);

	while (f && fd > max &&
	       !atomic_compare_exchange_weak_explicit(&member_self->max_fd, &max, fd, memory_order_relaxed,
						      memory_order_relaxed))
		;
	return atomic_exchange_explicit(&file_entries[fd], f, memory_order_acq_rel);
}

int file_install(int fd, struct file *f)
{
	struct file *old;

	if (!entry_of(fd))
		return -EMFILE;
	old = entry_swap(fd, f);
	if (is_file(old))
		file_put(old);
	return 0;
}

bool file_uninstall(int fd)
{
	_Atomic(struct file *) *entry = entry_of(fd);
	struct file *old;

	if (!entry || !atomic_load_explicit(entry, memory_order_relaxed))
		return false;
	old = entry_swap(fd, NULL);
	if (!is_file(old))
		return false;
	file_put(old);
	return true;
}

/* The candidate mark that stands there, or NULL. */
static struct file *mark_of(int fd)
{
	_Atomic(struct file *) *entry = entry_of(fd);
	struct file *f = entry ? atomic_load_explicit(entry, memory_order_relaxed) : NULL;

	return is_file(f) ? NULL : f;
}

/* Two numbers for one candidate: what one of them becomes the other must become, so they need a file. */
static struct file *file_of_candidate(int fd)
{
	struct file *mark = mark_of(fd), *f;

	if (!mark)
		return NULL;
	f = file_new(FILE_UNDECIDED);
	if (!f)
		return mark;
	atomic_store(&f->options_set, mark == CANDIDATE_OPTIONS);
	file_ref(f);
	if (atomic_compare_exchange_strong(&file_entries[fd], &mark, f))
		return f;
	file_put(f);
	file_put(f);
	return file_get(fd);
}

void file_dup(int oldfd, int newfd)
{
	struct file *f, *old;

	if (oldfd == newfd || !entry_of(oldfd) || !entry_of(newfd))
		return;
	f = file_get(oldfd);
	if (!f)
		f = file_of_candidate(oldfd);
	if (!f && !atomic_load_explicit(&file_entries[newfd], memory_order_relaxed))
		return;
	old = entry_swap(newfd, f);
	if (is_file(old))
		file_put(old);
}

void file_mark_candidate(int fd)
{
	struct file *old;

	if (domain_init() < 0 || !entry_of(fd))
		return;
	old = entry_swap(fd, CANDIDATE);
	if (is_file(old))
		file_put(old);
}

/* An UNDECIDED file, with a reference; NULL for everything else. */
static struct file *undecided(int fd)
{
	struct file *f = file_get(fd);

	if (f && file_mode(f) != FILE_UNDECIDED) {
		file_put(f);
		return NULL;
	}
	return f;
}

void file_mark_candidate_options(int fd)
{
	struct file *expected = CANDIDATE, *f = undecided(fd);

	if (f) {
		atomic_store_explicit(&f->options_set, true, memory_order_relaxed);
		file_put(f);
	} else if (entry_of(fd)) {
		atomic_compare_exchange_strong(&file_entries[fd], &expected, CANDIDATE_OPTIONS);
	}
}

bool file_is_candidate(int fd)
{
	struct file *f = undecided(fd);

	if (f)
		file_put(f);
	return f || mark_of(fd);
}

bool file_candidate_options(int fd)
{
	struct file *f = undecided(fd);
	bool set = f ? atomic_load_explicit(&f->options_set, memory_order_relaxed)
		     : mark_of(fd) == CANDIDATE_OPTIONS;

	if (f)
		file_put(f);
	return set;
}

int file_max_fd(void)
{
	return member_self ? atomic_load_explicit(&member_self->max_fd, memory_order_relaxed) : -1;
}

static _Atomic(struct file *) *table_of(unsigned member)
{
	return &domain->fd_tables[(size_t)member * domain->n_fds];
}

void file_table_use(unsigned member)
{
	file_entries = table_of(member);
	file_entries_count = domain->n_fds;
}

void file_table_none(void)
{
	file_entries_count = 0;
}

int file_table_copy(unsigned to)
{
	int max = file_max_fd(), copied = -1;

	for (int fd = 0; fd <= max; fd++) {
		struct file *f = file_get(fd);

		if (!f)
			f = mark_of(fd);
		if (!f)
			continue;
		atomic_store_explicit(&table_of(to)[fd], f, memory_order_relaxed);
		copied = fd;
	}
	return copied;
}

void file_table_count(void)
{
	for (int fd = 0, max = file_max_fd(); fd <= max; fd++) {
		struct file *f = atomic_load_explicit(&file_entries[fd], memory_order_relaxed);

		if (is_file(f))
			atomic_fetch_add(&f->refs, 1);
	}
}

struct file *file_table_peek(unsigned member, int fd)
{
	struct file *f = (unsigned)fd < domain->n_fds ? atomic_load(&table_of(member)[fd]) : NULL;

	return is_file(f) ? f : NULL;
}

void file_table_drop(unsigned member, int max_fd)
{
	for (int fd = 0; fd <= max_fd; fd++) {
		struct file *f;

		if (!atomic_load_explicit(&table_of(member)[fd], memory_order_relaxed))
			continue;
		f = atomic_exchange(&table_of(member)[fd], NULL);
		if (is_file(f))
			file_put(f);
	}
}
