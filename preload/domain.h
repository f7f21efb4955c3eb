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
 *             ├─ slots[]    one per thread that ever slept: an eventfd to wake it       slot.h
 *             ├─ files      open file descriptions of ours (sockets, epoll sets)        file.h
 *             ├─ groups     listeners in several instances                              listen_group.h
 *             └─ epoll sets and watches                                                 epoll_set.h
 *
 * Lock order, always from the left: bind_lock, inst->lock, file->watch_lock, epoll_set->lock, the pools'
 * locks. Two instances' locks are held together only by fork's prepare handler and while a listener's twin is
 * made, in rising order. Nested epoll goes from the inner set outwards. Nothing that may block is done under
 * any of them.
 */
#ifndef PRELOAD_DOMAIN_H
#define PRELOAD_DOMAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file.h"
#include "inst.h"
#include "member.h"
#include "pump.h"
#include "shm_pool.h"
#include "slot.h"

struct stack;
struct netdev;

#define DOMAIN_INSTS_MAX   16
#define DOMAIN_MEMBERS_MAX 1024
#define DOMAIN_FDS_MAX     1048576
#define DOMAIN_FILES_MAX   (1u << 20)
#define DOMAIN_SETS_MAX    (1u << 14)
#define DOMAIN_WATCHES_MAX (1u << 21)
#define DOMAIN_GROUPS_MAX  (1u << 16)

struct domain {
	_Atomic bool running;
	size_t bytes; /* of the mapping */
	unsigned n_insts;
	unsigned n_members_max, n_fds; /* members[] in use at most; length of each member's table */
	_Atomic uint32_t n_members;
	_Atomic uint64_t reap_at;  /* inst_clock() when dead members are next looked for */
	_Atomic int telemetry_pid; /* who answers: telemetry.h */
	struct inst_clock_base clock;
	struct inst insts[DOMAIN_INSTS_MAX];
	struct pump_counts pump;
	unsigned ifindex; /* of the link's interface in the kernel, 0: none */
	int kick_fd;      /* an eventfd that is always readable: fd_epoll.c */
	struct slot slots[SLOTS_MAX];
	struct shm_lock bind_lock; /* with several instances: bind(2) and listen(2), listen_group.c */
	struct shm_pool files, sets, watches, groups;
	struct member members[DOMAIN_MEMBERS_MAX];
	_Atomic(struct file *) *fd_tables; /* n_members_max tables of n_fds entries */
};

/* This process's view; NULL until domain_init() ran here or in an ancestor. */
extern struct domain *domain;

/*
 * Makes the mapping (no DPDK yet, microseconds). Idempotent, thread-safe. Returns 0 or -errno. Called when
 * the first object that must be shared is needed.
 */
int domain_init(void);

/* Around fork: nobody may be half-way through domain_init(). */
void domain_before_fork(void);
void domain_after_fork_parent(void);
void domain_after_fork_child(void);

/*
 * Before the stacks run, processes must not share a domain: whichever starts them first would have them
 * alone, as siblings have neither its device nor its packets. So a fork until then gives the child a copy:
 * made in the parent, put in the domain's place in the child (which must have no other thread), dropped by
 * the parent. NULL: no memory.
 */
struct domain *domain_copy(void);
void domain_copy_adopt(struct domain *copy);
void domain_copy_drop(struct domain *copy);

/*
 * DPDK and the stacks run: makes instance i of stacks[i] on queue i of dev. The stacks are in memory that
 * fork shares. Once per family. Returns 0 or -errno.
 */
int domain_publish(struct stack **stacks, struct netdev *dev, unsigned n);

/*
 * True once domain_publish() was called: instances exist and may be locked. Never goes back to false, and is
 * inherited by fork.
 */
static inline bool domain_running(void)
{
	return domain && atomic_load_explicit(&domain->running, memory_order_acquire);
}

#endif
