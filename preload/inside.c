/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inside.c - threads that DPDK or we create are inside from their first instruction
 *
 * libshunt.so is linked with --wrap=pthread_create, so only calls from within the library come here; the
 * program's own are not touched.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "inside.h"

__thread unsigned inside __attribute__((tls_model("initial-exec")));

struct start {
	void *(*fn)(void *);
	void *arg;
};

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);

static void *run_inside(void *p)
{
	struct start start = *(struct start *)p;

	free(p);
	inside_enter();
	return start.fn(start.arg);
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct start *start = malloc(sizeof(*start));
	int err;

	if (!start)
		return EAGAIN;
	*start = (struct start){fn, arg};
	err = __real_pthread_create(t, attr, run_inside, start);
	if (err)
		free(start);
	return err;
}
