/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * domain.h - everything a family shares: stack instances, members, open files, epoll sets, wake slots
 *
 * A family is the process that made the domain and all its fork descendants. The domain is one MAP_SHARED
 * mapping made before the first fork that matters and inherited at the same address by all, so plain data
 * pointers may be kept in it; pointers to code may not. It holds fixed arrays: full means refused, never a
 * crash.
 *
 *     domain ─┬─ insts[]    one per queue pair: lock, stack, who drives it             inst.h
 *             ├─ members[]  one per process: its pid and its descriptor table           member.h
 *             ├─ files      open file descriptions of ours (sockets, epoll sets)        file.h
 *             ├─ epoll sets and watches                                                 epoll_set.h
 *             └─ slots[]    one per thread that ever slept: an eventfd to wake it       wait.h
 *
 * Lock order, always from the left: inst->lock, epoll_set->lock, the allocators' locks. Two instances' locks
 * are never held together. Nothing that may block is done under any of them.
 */
#ifndef PRELOAD_DOMAIN_H
#define PRELOAD_DOMAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct inst;
struct member;

#define DOMAIN_INSTS_MAX   16
#define DOMAIN_MEMBERS_MAX 256
#define DOMAIN_SLOTS_MAX   256

struct domain;

/* This process's view; NULL until domain_init() ran here or in an ancestor. */
extern struct domain *domain;

/*
 * Makes the mapping (no DPDK yet, microseconds). Idempotent, thread-safe. Returns 0 or -errno. Called when
 * the first object that must be shared is needed.
 */
int domain_init(void);

/*
 * True once DPDK and the stacks run (runtime.c did that): instances exist and may be locked. Never goes back
 * to false, and is inherited by fork.
 */
bool domain_running(void);

#endif
