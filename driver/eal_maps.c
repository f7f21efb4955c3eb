/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eal_maps.c - leaves fork(2) little to copy
 *
 * What fork costs grows with the number of mappings and with the private pages that were touched. EAL maps
 * each hugepage for itself, some sixty mappings that the kernel does not join; and it clears its arrays of
 * segment descriptions for thousands of segments, of which a few dozen exist. Called once, when all is
 * allocated.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <rte_memory.h>

#include "driver/driver_priv.h"

/* Are the pages [first, first + n) the consecutive pages of one file? */
static bool one_file(const struct rte_memseg *first, const struct rte_memseg *last, size_t len, int *fd,
		     size_t *off)
{
	size_t last_off;

	*fd = rte_memseg_get_fd_thread_unsafe(first);
	return *fd >= 0 && rte_memseg_get_fd_thread_unsafe(last) == *fd &&
	       rte_memseg_get_fd_offset_thread_unsafe(first, off) == 0 &&
	       rte_memseg_get_fd_offset_thread_unsafe(last, &last_off) == 0 &&
	       last_off - *off == len - last->len;
}

/* The same pages of the same file at the same place, as one mapping instead of many. */
static int join(const struct rte_memseg_list *list, const struct rte_memseg *first, size_t len, void *unused)
{
	const struct rte_memseg *last = first + (len / first->len - 1);
	int fd, prot = PROT_READ | PROT_WRITE;
	size_t off;
	void *trial;

	(void)unused;
	if (list->external || !list->heap || last == first || !one_file(first, last, len, &fd, &off))
		return 0;
	/* What works elsewhere works in place, where a failure would leave a hole. */
	trial = mmap(NULL, len, prot, MAP_SHARED, fd, (off_t)off);
	if (trial == MAP_FAILED)
		return 0;
	munmap(trial, len);
	return mmap(first->addr, len, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, (off_t)off) ==
			       first->addr
		       ? 0
		       : -1;
}

static bool is_zero(const char *p, size_t len)
{
	return *p == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Private memory that reads as zero, touched or not. */
static int give_back_zeros(const struct rte_memseg_list *list, void *unused)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t at = RTE_ALIGN_CEIL((uintptr_t)list->memseg_arr.data, page);
	uintptr_t end =
		(uintptr_t)list->memseg_arr.data + (size_t)list->memseg_arr.len * list->memseg_arr.elt_sz;

	(void)unused;
	while (at + page <= end) {
		uintptr_t from = at;

		while (at + page <= end && is_zero((const char *)at, page))
			at += page;
		if (at > from)
			madvise((void *)from, at - from, MADV_DONTNEED);
		else
			at += page;
	}
	return 0;
}

void eal_join_maps(void)
{
	/* With --no-huge all is one mapping already. */
	if (eal_has_hugepages())
		rte_memseg_contig_walk(join, NULL);
	if (eal_has_hugepages())
		rte_memseg_list_walk(give_back_zeros, NULL);
}
