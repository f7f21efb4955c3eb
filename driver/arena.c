/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.c - memory for the stacks: shared with all descendants, in hugepages where there are free ones
 *
 * A packet of one of many connections finds nothing of it in the cache, nor its page in the TLB; with
 * hugepages at least the latter is rare, and accept(2) meets no page fault for memory never used before.
 * Hugepages are filled at once, so that a limit (hugetlb cgroup) shows here and not as SIGBUS later.
 */
#include <sys/mman.h>
#include <rte_common.h>

#include "driver.h"
#include "driver_priv.h"

static void *map(size_t bytes, int flags)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | flags, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static void *map_huge(size_t bytes)
{
	void *mem = map(bytes, MAP_HUGETLB);

	if (mem && madvise(mem, bytes, MADV_POPULATE_WRITE) != 0) {
		munmap(mem, bytes);
		return NULL;
	}
	return mem;
}

void *driver_arena_map(size_t *bytes, enum driver_hugepages hugepages, bool *huge)
{
	void *mem = NULL;

	*bytes = RTE_ALIGN_CEIL(*bytes, EAL_HUGE_PAGE);
	if (hugepages != DRIVER_HUGE_OFF) {
		int lock = eal_hugepages_lock();

		mem = map_huge(*bytes);
		eal_hugepages_unlock(lock);
	}
	*huge = mem != NULL;
	if (!mem && (mem = map(*bytes, 0)) != NULL && hugepages != DRIVER_HUGE_OFF)
		madvise(mem, *bytes, MADV_HUGEPAGE); /* where shmem_enabled is "advise" */
	return mem;
}
