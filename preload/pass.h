/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pass.h - hands connections to program images outside the family: at exec, by spawning, by SCM_RIGHTS
 *
 * The kernel's descriptor under a number of ours is a placeholder, which is what such an image would get. So
 * it is replaced, for the time of the call, by one end of a socketpair whose other end a pump has (pump.h).
 */
#ifndef PRELOAD_PASS_H
#define PRELOAD_PASS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "pump.h"

#define PASS_MAX 256 /* connections and numbers of one call; more stay dead */

struct pass {
	unsigned n, n_ends;
	int say_fd; /* for pump_say(); -1: nothing is passed */
	struct pass_number {
		int number, old; /* old: the placeholder, close-on-exec, to be put back */
		unsigned end;
		bool cloexec;
	} at[PASS_MAX];
	struct pump_end ends[PASS_MAX];
	int image_fds[PASS_MAX]; /* the images' ends, one for each of ends */
};

enum pass_which {
	PASS_INHERITED, /* descriptors without close-on-exec */
	PASS_ALL,       /* all: the callee may dup2(2) them */
};

/*
 * Puts socketpairs under the numbers of this process's connections, or, in a vfork(2) child, of its own. The
 * calling thread is about to exec or spawn. Never fails: what cannot be passed keeps its placeholder.
 */
void pass_begin(struct pass *p, enum pass_which which);

/*
 * The call is over in this process: puts the placeholders back. went: there is an image that has the
 * socketpairs. (After an exec that succeeds nobody is there to call it.)
 */
void pass_end(struct pass *p, bool went);

/* The image runs already. */
void pass_go(struct pass *p);

/*
 * sendmsg(2) on an AF_UNIX socket: copies msg's control data into `control` with socketpairs in the place of
 * our connections, and makes *copy, a message with that. False: nothing of ours in it, send msg itself.
 */
#define PASS_CONTROL_MAX 2048
bool pass_rights(struct pass *p, const struct msghdr *msg, struct msghdr *copy, void *control);

/* The message was sent, or it was not. */
void pass_rights_end(struct pass *p, bool sent);

/* A vfork child's dup2(2) and close(2), which the table does not follow: newfd is what fd is; -1: closed. */
void pass_vfork_dup(int fd, int newfd);

#endif
