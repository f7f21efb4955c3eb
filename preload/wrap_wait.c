/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_wait.c - exported: poll, select and epoll. Their timeouts all become a timespec (NULL: for ever).
 */
#include "epoll_set.h"
#include "inside.h"
#include "poll_select.h"
#include "wrap.h"
#include "wrap_file.h"

#define MS_PER_S 1000
#define US_PER_S 1000000L

/* poll(2) and epoll_wait(2): any negative number means for ever. */
static const struct timespec *from_ms(int ms, struct timespec *ts)
{
	if (ms < 0)
		return NULL;
	*ts = (struct timespec){ms / MS_PER_S, ms % MS_PER_S * (long)NS_PER_MS};
	return ts;
}

int wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec ts;

	return RESULT(poll_any(fds, n, from_ms(timeout_ms, &ts), NULL));
}
WRAP_ALIAS(__poll, poll)

int wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	return RESULT(poll_any(fds, n, timeout, mask));
}

int wrap___poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t fdslen)
{
	return fdslen / sizeof(*fds) < n ? real___poll_chk(fds, n, timeout_ms, fdslen)
					 : wrap_poll(fds, n, timeout_ms);
}

int wrap___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		     size_t fdslen)
{
	return fdslen / sizeof(*fds) < n ? real___ppoll_chk(fds, n, timeout, mask, fdslen)
					 : wrap_ppoll(fds, n, timeout, mask);
}

/* Linux's select(2) tells how much time was left. */
int wrap_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout)
{
	struct timespec ts;
	int got;

	if (!timeout)
		return RESULT(select_any(n, rd, wr, ex, NULL, NULL));
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
		return result(-EINVAL, 0);
	ts.tv_sec = timeout->tv_sec + timeout->tv_usec / US_PER_S;
	ts.tv_nsec = timeout->tv_usec % US_PER_S * 1000;
	got = RESULT(select_any(n, rd, wr, ex, &ts, NULL));
	timeout->tv_sec = ts.tv_sec;
	timeout->tv_usec = ts.tv_nsec / 1000;
	return got;
}
WRAP_ALIAS(__select, select)

int wrap_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex, const struct timespec *timeout,
		 const sigset_t *mask)
{
	struct timespec ts = timeout ? *timeout : (struct timespec){0};

	return RESULT(select_any(n, rd, wr, ex, timeout ? &ts : NULL, mask));
}

int wrap_epoll_create1(int flags)
{
	return inside ? real_epoll_create1(flags) : (int)RESULT(epoll_create_any(flags));
}

int wrap_epoll_create(int size)
{
	return size <= 0 ? (int)result(-EINVAL, 0) : wrap_epoll_create1(0);
}

int wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	return RESULT(epoll_ctl_any(epfd, op, fd, event));
}

int wrap_epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
		      const sigset_t *mask)
{
	return RESULT(epoll_wait_any(epfd, events, max, timeout, mask));
}

int wrap_epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
	struct timespec ts;

	return wrap_epoll_pwait2(epfd, events, max, from_ms(timeout_ms, &ts), mask);
}

int wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	return wrap_epoll_pwait(epfd, events, max, timeout_ms, NULL);
}
