/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll_watch.h - epoll_set.c for fd_epoll.c only
 *
 * For all that take a watch or a place in a file's list, the file's watch_lock is held.
 */
#ifndef PRELOAD_EPOLL_WATCH_H
#define PRELOAD_EPOLL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct epoll_event;
struct epoll_set;
struct epoll_watch;
struct file;

struct epoll_set *epoll_set_new(struct file *f);

/* Where the watch hangs in its file's list; *result NULL: there is none. */
struct epoll_watch **epoll_watch_find(struct file *f, const struct epoll_set *set, int fd);

/* active: our side counts. kernel: the kernel's epoll has it too. False when all watches are in use. */
bool epoll_watch_add(struct file *f, struct epoll_set *set, int epfd, int fd, const struct epoll_event *ev,
		     bool active, bool kernel);
void epoll_watch_mod(struct epoll_watch *w, const struct epoll_event *ev);
void epoll_watch_activate(struct epoll_watch *w, bool kernel);
void epoll_watch_remove(struct epoll_watch **at);

/* One-shots of files that the kernel's epoll knows too: to be disarmed there. */
#define EPOLL_FIRED_MAX 16
struct epoll_fired {
	unsigned n;
	int fd[EPOLL_FIRED_MAX];
	uint64_t data[EPOLL_FIRED_MAX];
};

/*
 * Appends what is ready to ev[n_kernel…max), merging with the kernel's events ev[0…n_kernel) for the same
 * descriptor. Returns the new length.
 */
int epoll_set_collect(struct epoll_set *set, struct epoll_event *ev, int n_kernel, int max,
		      struct epoll_fired *fired);

/* The kernel reported an event with this data: if that was a one-shot of a DUAL file, our side is done too.
 */
void epoll_set_oneshot_fired(struct epoll_set *set, uint64_t data);

#endif
