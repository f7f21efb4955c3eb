/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll_case.h - what the cases about epoll share
 */
#ifndef TESTS_PRELOAD_EPOLL_CASE_H
#define TESTS_PRELOAD_EPOLL_CASE_H

#include "diff.h"

static inline int add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static inline int mod(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

static inline int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

/* Waits and prints what came, sorted by data. */
static inline int show_wait(int ep, int timeout_ms)
{
	struct epoll_event ev[64];
	int n = epoll_wait(ep, ev, 64, timeout_ms);

	if (n < 0) {
		say("epoll_wait %s", errno_name(errno));
		return n;
	}
	qsort(ev, n, sizeof(ev[0]), by_data);
	say("epoll_wait: %d", n);
	for (int i = 0; i < n; i++)
		say("  %llu %s", (unsigned long long)ev[i].data.u64, events_text(ev[i].events));
	return n;
}

#endif
