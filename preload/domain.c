/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * domain.c - the shared mapping: its layout, and the moment the stacks go live (domain.h)
 *
 * Everything is reserved at once and touched only when used: MAP_NORESERVE pages cost address space alone.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "domain.h"
#include "epoll_set.h"
#include "helper.h"
#include "libc.h"
#include "listen_group.h"
#include "own_fd.h"

struct domain *domain;

static struct shm_lock init_lock; /* this process's threads only; fork holds it, see domain_before_fork() */

/* Offsets of the arenas in the mapping, for one number of members. */
struct layout {
	size_t files, sets, watches, groups, fd_tables, size;
};

static size_t place(size_t *end, size_t bytes)
{
	size_t at = (*end + 63) & ~(size_t)63;

	*end = at + bytes;
	return at;
}

static struct layout lay_out(unsigned members, unsigned fds)
{
	struct layout l;
	size_t end = sizeof(struct domain);

	l.files = place(&end, sizeof(struct file) * (size_t)DOMAIN_FILES_MAX);
	l.sets = place(&end, sizeof(struct epoll_set) * (size_t)DOMAIN_SETS_MAX);
	l.watches = place(&end, sizeof(struct epoll_watch) * (size_t)DOMAIN_WATCHES_MAX);
	l.groups = place(&end, sizeof(struct listen_group) * (size_t)DOMAIN_GROUPS_MAX);
	l.fd_tables = place(&end, sizeof(struct file *) * (size_t)members * fds);
	l.size = end;
	return l;
}

static unsigned descriptors_max(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_max > DOMAIN_FDS_MAX)
		return DOMAIN_FDS_MAX;
	return (unsigned)lim.rlim_max;
}

/* A limit on address space (RLIMIT_AS, overcommit off) may allow only a smaller family. */
static void *map_largest(unsigned *members, unsigned fds)
{
	for (;; *members /= 4) {
		void *p = mmap(NULL, lay_out(*members, fds).size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p != MAP_FAILED || *members < 16)
			return p;
	}
}

static int domain_make(void)
{
	unsigned fds = descriptors_max(), members = DOMAIN_MEMBERS_MAX;
	char *base = map_largest(&members, fds);
	struct layout l = lay_out(members, fds);
	struct domain *d = (struct domain *)base;

	if ((void *)base == MAP_FAILED)
		return -errno;
	madvise(base + l.fd_tables, l.size - l.fd_tables, MADV_DONTDUMP);
	d->bytes = l.size;
	d->n_members_max = members;
	d->n_fds = fds;
	d->fd_tables = (void *)(base + l.fd_tables);
	shm_pool_init(&d->files, base + l.files, DOMAIN_FILES_MAX, sizeof(struct file),
		      offsetof(struct file, free_next));
	shm_pool_init(&d->sets, base + l.sets, DOMAIN_SETS_MAX, sizeof(struct epoll_set),
		      offsetof(struct epoll_set, free_next));
	shm_pool_init(&d->watches, base + l.watches, DOMAIN_WATCHES_MAX, sizeof(struct epoll_watch),
		      offsetof(struct epoll_watch, free_next));
	shm_pool_init(&d->groups, base + l.groups, DOMAIN_GROUPS_MAX, sizeof(struct listen_group),
		      offsetof(struct listen_group, free_next));
	inst_clock_start(&d->clock);
	domain = d;
	return 0;
}

int domain_init(void)
{
	int saved = errno, err = 0;

	if (member_self)
		return 0;
	shm_lock(&init_lock);
	if (!domain)
		err = domain_make();
	if (!err && !member_self)
		err = member_join();
	shm_unlock(&init_lock);
	errno = saved;
	return err;
}

void domain_before_fork(void)
{
	shm_lock(&init_lock);
}

void domain_after_fork_parent(void)
{
	shm_unlock(&init_lock);
}

void domain_after_fork_child(void)
{
	atomic_store(&init_lock.word, 0);
}

/* Copies what is in use of the bytes [from, from + bytes) of the domain. */
static void copy_part(struct domain *copy, const void *from, size_t bytes)
{
	memcpy((char *)copy + ((const char *)from - (const char *)domain), from, bytes);
}

static void copy_pool(struct domain *copy, const struct shm_pool *p)
{
	copy_part(copy, p->base, p->size * p->fresh);
}

struct domain *domain_copy(void)
{
	struct domain *copy = mmap(NULL, domain->bytes, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (copy == MAP_FAILED)
		return NULL;
	copy_part(copy, domain, sizeof(*domain));
	copy_pool(copy, &domain->files);
	copy_pool(copy, &domain->sets);
	copy_pool(copy, &domain->watches);
	copy_part(copy, (void *)file_entries, sizeof(struct file *) * (size_t)(file_max_fd() + 1));
	return copy;
}

void domain_copy_drop(struct domain *copy)
{
	if (copy)
		munmap(copy, domain->bytes);
}

/* Locks that other threads of the parent held, and references that only the parent has. */
static void forget_others(void)
{
	struct file *files = (struct file *)domain->files.base;
	struct epoll_set *sets = (struct epoll_set *)domain->sets.base;

	atomic_store(&domain->files.lock.word, 0);
	atomic_store(&domain->sets.lock.word, 0);
	atomic_store(&domain->watches.lock.word, 0);
	for (uint32_t i = 0; i < domain->sets.fresh; i++)
		atomic_store(&sets[i].lock.word, 0);
	for (uint32_t i = 0; i < domain->files.fresh; i++) {
		atomic_store(&files[i].watch_lock.word, 0);
		atomic_store(&files[i].refs, 0);
	}
	file_table_count();
}

void domain_copy_adopt(struct domain *copy)
{
	mremap(copy, domain->bytes, domain->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, domain);
	forget_others();
}

int domain_publish(struct stack **stacks, struct netdev *dev, unsigned n)
{
	int err = domain_init();

	if (err)
		return err;
	if (n == 0 || n > DOMAIN_INSTS_MAX)
		return -EINVAL;
	if (domain_running())
		return -EBUSY;
	err = slots_open(domain->slots);
	if (err)
		return err;
	domain->kick_fd = own_fd(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
	if (domain->kick_fd < 0)
		return domain->kick_fd;
	inst_clock_calibrate(&domain->clock);
	inst_use_device(dev);
	for (unsigned i = 0; i < n; i++) {
		domain->insts[i].index = (uint16_t)i;
		domain->insts[i].stack = stacks[i];
	}
	domain->n_insts = n;
	atomic_store_explicit(&domain->running, true, memory_order_release);
	helper_kick();
	return 0;
}
