/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inside.c - threads that DPDK or we create are inside from their first instruction; and what DPDK must not
 * do outside
 *
 * libshunt.so is linked with --wrap=pthread_create and --wrap=iopl, so only calls from within the library
 * come here; the program's own are not touched.
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

int __wrap_iopl(int level);
extern int __real_iopl(int level);

/*
 * A driver's constructor asks for I/O ports (and again when it has a device that needs them): in every
 * program, and a seccomp filter such as systemd's @system-service may kill one that does.
 */
int __wrap_iopl(int level)
{
	return inside ? __real_iopl(level) : 0;
}
