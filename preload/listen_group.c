/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen_group.c - a listener in every instance (listen_group.h)
 *
 * Binds of all instances exclude each other by domain->bind_lock, taken before any instance's lock: between
 * asking the others and taking the port nobody else may take it.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "listen_group.h"
#include "stack/sock.h"

static bool alone(void)
{
	return domain->n_insts < 2;
}

/* Would a socket of another instance object? */
static int ask_others(const struct inst *in, const struct sock *so, const struct endpoint *local)
{
	int err = 0;

	for (unsigned i = 0; i < domain->n_insts && !err; i++) {
		struct inst *other = inst_get(i);

		if (other == in)
			continue;
		inst_lock(other);
		err = sock_may_bind(other->stack, so, local);
		inst_unlock(other);
	}
	return err;
}

static int bind_one(struct inst *in, struct sock *so, const struct endpoint *local)
{
	int err;

	inst_lock(in);
	err = sock_bind(so, local);
	inst_unlock(in);
	return err;
}

int listen_group_bind(struct inst *in, struct sock *so, const struct endpoint *local)
{
	int err = 0;

	if (alone())
		return bind_one(in, so, local);
	shm_lock(&domain->bind_lock);
	if (local->port && !so->local.port)
		err = ask_others(in, so, local);
	if (!err)
		err = bind_one(in, so, local);
	shm_unlock(&domain->bind_lock);
	return err;
}

static int listen_one(struct inst *in, struct sock *so, int backlog)
{
	int err;

	inst_lock(in);
	err = sock_listen(so, backlog);
	inst_unlock(in);
	return err;
}

static int make_twin(struct file *f, struct inst *in)
{
	struct inst *low = in < f->inst ? in : f->inst, *high = low == in ? f->inst : in;
	struct sock *twin;
	int err;

	inst_lock(low); /* in rising order, as always */
	inst_lock(high);
	err = sock_listen_twin(f->so, in->stack, &twin);
	if (!err)
		atomic_store_explicit(&f->group->twin[in->index], twin, memory_order_release);
	inst_unlock(high);
	inst_unlock(low);
	return err;
}

static int make_twins(struct file *f)
{
	int err = 0;

	if (!f->group) {
		struct listen_group *g = shm_pool_get(&domain->groups);

		if (!g)
			return -ENOBUFS;
		for (unsigned i = 0; i < DOMAIN_INSTS_MAX; i++)
			atomic_store(&g->twin[i], NULL);
		atomic_store(&g->near, 0);
		f->group = g;
	}
	for (unsigned i = 0; i < domain->n_insts && !err; i++)
		if (!listen_group_at(f, i))
			err = make_twin(f, inst_get(i));
	return err;
}

static int set_backlog(struct file *f, int backlog)
{
	int err = 0;

	for (unsigned i = 0; i < domain->n_insts && !err; i++) {
		struct sock *so = listen_group_at(f, i);

		if (so)
			err = listen_one(inst_get(i), so, backlog);
	}
	return err;
}

static int listen_first(struct file *f, int backlog)
{
	int err = f->so->local.port ? ask_others(f->inst, f->so, &f->so->local) : 0;

	if (!err)
		err = listen_one(f->inst, f->so, backlog);
	if (err || f->so->kind != SOCK_KIND_TCP_LISTEN)
		return err;
	err = make_twins(f);
	if (err) {
		listen_group_stop(f);
		inst_lock(f->inst);
		sock_disconnect(f->so);
		inst_unlock(f->inst);
	}
	return err;
}

int listen_group_listen(struct file *f, int backlog)
{
	int err;

	if (alone())
		return listen_one(f->inst, f->so, backlog);
	shm_lock(&domain->bind_lock);
	err = f->so->kind == SOCK_KIND_TCP ? listen_first(f, backlog) : set_backlog(f, backlog);
	shm_unlock(&domain->bind_lock);
	return err;
}

void listen_group_stop(struct file *f)
{
	for (unsigned i = 0; f->group && i < domain->n_insts; i++) {
		struct inst *in = inst_get(i);
		struct sock *twin;

		inst_lock(in);
		twin = atomic_exchange(&f->group->twin[i], NULL);
		if (twin) {
			twin->user = NULL;
			sock_close(twin);
			inst_sent(in, 0);
		}
		inst_unlock(in);
	}
}

void listen_group_free(struct file *f)
{
	if (!f->group)
		return;
	listen_group_stop(f);
	shm_pool_put(&domain->groups, f->group);
	f->group = NULL;
}

void listen_group_wanted(struct file *f)
{
	uint32_t near = 1u + inst_home()->index;

	if (!f->so->reuseport || atomic_load_explicit(&f->group->near, memory_order_relaxed) == near)
		return;
	atomic_store_explicit(&f->group->near, near, memory_order_relaxed);
	for (unsigned i = 0; i < domain->n_insts; i++) {
		struct sock *so;

		inst_lock(inst_get(i));
		so = listen_group_at(f, i);
		if (so)
			sock_listen_near(so, inst_home()->index);
		inst_unlock(inst_get(i));
	}
}

uint32_t listen_group_events(const struct file *f)
{
	uint32_t events = 0;

	for (unsigned i = 0; i < domain->n_insts; i++) {
		struct sock *twin = atomic_load_explicit(&f->group->twin[i], memory_order_acquire);

		if (twin)
			events |= sock_events(twin) & EPOLLIN;
	}
	return events;
}
