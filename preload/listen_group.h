/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen_group.h - a listener in every instance: the file's own socket and its twins in the others
 *
 * A SYN is answered by the instance of the queue on which it came in, so each instance needs a listener of
 * its own. The file's socket leads; options, shutdown and close reach all of them. With one queue there is no
 * group.
 *
 * A twin is made and closed under its instance's lock, and found there again under the same:
 * listen_group_at().
 */
#ifndef PRELOAD_LISTEN_GROUP_H
#define PRELOAD_LISTEN_GROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "domain.h"

struct endpoint;

struct listen_group {
	_Atomic(struct sock *) twin[DOMAIN_INSTS_MAX]; /* NULL: none, or the leader is there */
	_Atomic uint32_t near; /* 1 + home of the thread that last waited for it; SO_REUSEPORT only */
	struct listen_group *free_next;
};

/* bind(2) and listen(2) of one socket, with what other instances have bound. Lock not held. 0 or -errno. */
int listen_group_bind(struct inst *in, struct sock *so, const struct endpoint *local);
int listen_group_listen(struct file *f, int backlog);

/* The listener stops: the twins go, before the leader does. Lock not held. */
void listen_group_stop(struct file *f);

/* The same, and the file ends. */
void listen_group_free(struct file *f);

/* The file's socket in instance i; NULL when it has none there. */
static inline struct sock *listen_group_at(const struct file *f, unsigned i)
{
	if (f->inst->index == i)
		return f->so;
	return f->group ? atomic_load_explicit(&f->group->twin[i], memory_order_acquire) : NULL;
}

/*
 * This thread waits for the listener's connections: of a SO_REUSEPORT group it gets those of the thread's own
 * queue. Lock not held.
 */
void listen_group_wanted(struct file *f);

/* What the twins have ready. */
uint32_t listen_group_events(const struct file *f);

#endif
