/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm_pool.h - fixed-size objects from an arena in the domain
 *
 * Objects never move and never leave the arena, so a stale pointer to one always points to some object of the
 * same type: file_get() relies on it. Memory is touched only when first handed out. The free list is linked
 * through the pointer at link_off, so that the rest of a freed object keeps its last values.
 */
#ifndef PRELOAD_SHM_POOL_H
#define PRELOAD_SHM_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "lock.h"

struct shm_pool {
	struct shm_lock lock;
	uint32_t max, fresh; /* objects in all; handed out at least once */
	uint32_t used;
	size_t size, link_off; /* bytes */
	char *base;
	void *free;
};

void shm_pool_init(struct shm_pool *p, void *base, uint32_t max, size_t size, size_t link_off);

/* An object with whatever its last user left in it (zeroes at first), or NULL when all are in use. */
void *shm_pool_get(struct shm_pool *p);
void shm_pool_put(struct shm_pool *p, void *obj);

#endif
