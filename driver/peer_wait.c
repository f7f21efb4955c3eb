/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer_wait.c - a virtio_user server waits for its peer, and can be stopped
 *
 * While it is made, net_virtio accepts its first peer with a blocking accept(2), and driver_open() has
 * blocked all signals: such a program could only be killed with SIGKILL. So net_virtio's accept() is linked
 * to the function here (meson.build renames it). The wait lets signals in as the program's own mask has them:
 * a default action ends the process, a handler runs, and then the program's side says whether that ends the
 * wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "driver/driver_priv.h"

#define SAY_AFTER_MS 1000 /* most peers are there sooner */

int driver_virtio_accept(int fd, struct sockaddr *addr, socklen_t *len);

static struct {
	const struct driver_config *cfg; /* NULL: no device is being made */
	const struct thread_state *thread;
	int error;
} waiting;

void peer_wait_begin(const struct driver_config *cfg, const struct thread_state *thread)
{
	waiting.cfg = cfg;
	waiting.thread = thread;
	waiting.error = 0;
}

int peer_wait_end(const struct link_spec *spec, int result, char *err, size_t err_len)
{
	int error = waiting.error;

	waiting.error = 0;
	if (error == -ETIMEDOUT)
		driver_say(err, err_len, "no peer came to socket %s within peer_wait=%u s", spec->target,
			   waiting.cfg->peer_wait_s);
	else if (error == -EINTR)
		driver_say(err, err_len, "interrupted while waiting for a peer on socket %s", spec->target);
	waiting.cfg = NULL;
	if (error == 0)
		return result;
	unlink(spec->target);
	return error;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until a peer is there: 0; else -EINTR or -ETIMEDOUT. */
static int wait_for_peer(int fd)
{
	const struct driver_config *cfg = waiting.cfg;
	int64_t begin = now_ms(), end = cfg->peer_wait_s ? begin + cfg->peer_wait_s * 1000LL : INT64_MAX;
	bool said = false;

	for (;;) {
		int64_t now = now_ms(),
			until = said || end < begin + SAY_AFTER_MS ? end : begin + SAY_AFTER_MS;
		int64_t left = until > now ? until - now : 0;
		struct timespec ts = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int n = ppoll(&p, 1, until == INT64_MAX ? NULL : &ts, &waiting.thread->signals);

		if (n > 0)
			return 0;
		if (n < 0 && errno == EINTR && cfg->interrupted != NULL && cfg->interrupted())
			return -EINTR;
		if (now_ms() >= end)
			return -ETIMEDOUT;
		if (n == 0 && !said && cfg->waiting != NULL)
			cfg->waiting(cfg->link);
		said = said || n == 0;
	}
}

/* Later peers, after a restart, are accepted by DPDK's thread: that socket does not block. */
int driver_virtio_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	if (waiting.cfg != NULL && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0) {
		waiting.error = wait_for_peer(fd);
		if (waiting.error != 0) {
			errno = -waiting.error;
			return -1;
		}
	}
	return accept(fd, addr, len);
}
