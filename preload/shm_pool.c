/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm_pool.c - fixed-size objects from an arena in the domain (shm_pool.h)
 */
#include "shm_pool.h"

static void **link_of(struct shm_pool *p, void *obj)
{
	return (void **)((char *)obj + p->link_off);
}

void shm_pool_init(struct shm_pool *p, void *base, uint32_t max, size_t size, size_t link_off)
{
	p->max = max;
	p->fresh = 0;
	p->used = 0;
	p->size = size;
	p->link_off = link_off;
	p->base = base;
	p->free = NULL;
}

void *shm_pool_get(struct shm_pool *p)
{
	void *obj;

	shm_lock(&p->lock);
	obj = p->free;
	if (obj) {
		p->free = *link_of(p, obj);
		*link_of(p, obj) = NULL;
	} else if (p->fresh < p->max) {
		obj = p->base + p->size * p->fresh++;
	}
	if (obj)
		p->used++;
	shm_unlock(&p->lock);
	return obj;
}

void shm_pool_put(struct shm_pool *p, void *obj)
{
	shm_lock(&p->lock);
	*link_of(p, obj) = p->free;
	p->free = obj;
	p->used--;
	shm_unlock(&p->lock);
}
