/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pump.c - the pump's process (pump.h)
 *
 * It is forked twice and without SIGCHLD, so that the program neither waits for it nor hears of it, and has
 * let go of everything of the program's, like drain.c's child. It ends with its last connection, once what
 * was sent is delivered.
 *
 * Each direction has one buffer and is taken up again when that is empty: a reader that stops reading fills
 * the socketpair, then the buffer, then the connection's window, which closes.
 *
 * Not carried over: urgent data and the kind of an error. An image whose peer resets sees the end of the
 * stream and EPIPE.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain.h"
#include "drain.h"
#include "epoll_set.h"
#include "fd_guard.h"
#include "helper.h"
#include "libc.h"
#include "pump.h"
#include "signal_hold.h"
#include "socket.h"
#include "wait.h"

#define BUFFER_BYTES 65536

/* What was taken from one side and not given to the other yet. */
struct buffer {
	size_t at, len;
	uint8_t bytes[BUFFER_BYTES];
};

struct conn {
	struct pump_end end;
	bool closed;              /* the image's last descriptor is */
	bool in_ended, out_ended; /* the streams to the image and from it */
	bool ended;
	struct buffer in, out;
};

struct pump {
	unsigned n;
	struct conn **conns;
	struct pollfd *fds;
	struct file **files;
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* May bytes be taken from the connection? */
static bool may_read(const struct conn *c)
{
	return c->end.reads || atomic_load(&c->end.f->refs) <= atomic_load(&c->end.f->pumps);
}

static ssize_t stack_recv(struct conn *c, struct buffer *b)
{
	struct iovec iov = {b->bytes, sizeof(b->bytes)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return socket_recvmsg(c->end.number, c->end.f, &msg, MSG_DONTWAIT);
}

static ssize_t stack_send(struct conn *c, const struct buffer *b)
{
	struct iovec iov = {(void *)(b->bytes + b->at), b->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	return socket_sendmsg(c->end.number, c->end.f, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void taken(struct buffer *b, size_t n)
{
	b->at += n;
	b->len -= n;
}

/* The image ended its stream: by shutdown(2), or by closing its last descriptor. */
static void image_ended(struct conn *c, bool unread)
{
	static const struct linger reset = {.l_onoff = 1};
	struct pollfd p = {.fd = c->end.fd};

	c->out_ended = true;
	if (!c->closed && real_poll(&p, 1, 0) > 0 && p.revents & POLLHUP)
		c->closed = true;
	if (!c->closed) {
		socket_shutdown(c->end.number, c->end.f, SHUT_WR);
		return;
	}
	/* RFC 2525, 2.17: closed with unread data; it was the socketpair's, so the stack does not know */
	if ((unread || c->in.len) && atomic_load(&c->end.f->refs) == 1)
		socket_setsockopt(c->end.number, c->end.f, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	c->ended = true;
}

/* The peer is gone: nothing can be sent any more. */
static void peer_gone(struct conn *c)
{
	real_shutdown(c->end.fd, SHUT_RDWR);
	c->ended = true;
}

/* From the image to the peer. True: something moved. */
static bool step_out(struct conn *c)
{
	struct buffer *b = &c->out;
	ssize_t n;

	if (c->out_ended)
		return false;
	if (!b->len) {
		n = real_recv(c->end.fd, b->bytes, sizeof(b->bytes), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n <= 0) {
			image_ended(c, n < 0);
			return true;
		}
		b->at = 0;
		b->len = (size_t)n;
		count(&domain->pump.from_bytes, (uint64_t)n);
	}
	n = stack_send(c, b);
	if (n >= 0)
		taken(b, (size_t)n);
	else if (n != -EAGAIN)
		peer_gone(c);
	return n != -EAGAIN;
}

/* From the peer to the image. */
static bool step_in(struct conn *c)
{
	struct buffer *b = &c->in;
	ssize_t n;

	if (c->in_ended || c->closed || c->ended)
		return false;
	if (!b->len) {
		if (!may_read(c))
			return false;
		n = stack_recv(c, b);
		if (n == -EAGAIN)
			return false;
		if (n < 0) {
			peer_gone(c);
			return true;
		}
		if (n == 0) {
			c->in_ended = true;
			real_shutdown(c->end.fd, SHUT_WR);
			return true;
		}
		b->at = 0;
		b->len = (size_t)n;
		count(&domain->pump.to_bytes, (uint64_t)n);
	}
	n = real_send(c->end.fd, b->bytes + b->at, b->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	taken(b, n < 0 ? b->len : (size_t)n); /* EPIPE: it does not read any more, and Linux throws it away */
	return true;
}

/* What the connection must show for the pump to go on. */
static uint32_t awaited(const struct conn *c)
{
	uint32_t mask = 0;

	if (!c->in_ended && !c->closed && !c->in.len && may_read(c))
		mask |= EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	if (c->out.len)
		mask |= EPOLLOUT | EPOLLHUP | EPOLLERR;
	return mask;
}

static bool ready(void *arg)
{
	const struct pump *p = arg;

	for (unsigned i = 0; i < p->n; i++)
		if (file_events(p->conns[i]->end.f) & awaited(p->conns[i]))
			return true;
	return false;
}

static struct pollfd image_fd(const struct conn *c)
{
	short events = 0;

	if (!c->out.len && !c->out_ended)
		events |= POLLIN;
	if (c->in.len && !c->closed)
		events |= POLLOUT;
	return (struct pollfd){.fd = c->closed ? -1 : c->end.fd, .events = events};
}

static void sleep_until_ready(struct pump *p)
{
	struct wait_source src = {.ready = ready,
				  .arg = p,
				  .kernel_fds = p->fds,
				  .n_kernel = p->n,
				  .files = p->files,
				  .n_files = p->n};

	for (unsigned i = 0; i < p->n; i++) {
		p->fds[i] = image_fd(p->conns[i]);
		p->files[i] = p->conns[i]->end.f;
	}
	wait_for(&src, TIME_NEVER);
	/* What it wrote before is still to be read. */
	for (unsigned i = 0; i < p->n; i++)
		if (p->fds[i].revents & POLLHUP)
			p->conns[i]->closed = true;
}

static void drop(struct pump *p, unsigned i)
{
	struct pump_end *end = &p->conns[i]->end;

	fd_unguard(end->fd);
	real_close(end->fd);
	atomic_fetch_sub(&end->f->pumps, 1);
	file_uninstall(end->number);
	atomic_fetch_sub(&domain->pump.now, 1);
	p->conns[i] = p->conns[--p->n];
}

static void run(struct pump *p)
{
	while (p->n > 0) {
		bool moved = false;

		for (unsigned i = 0; i < p->n; i++) {
			moved |= step_out(p->conns[i]);
			moved |= step_in(p->conns[i]);
		}
		for (unsigned i = p->n; i-- > 0;) {
			struct conn *c = p->conns[i];

			if (c->ended || (c->out_ended && (c->closed || (c->in_ended && !c->in.len))))
				drop(p, i);
		}
		if (!moved && p->n > 0)
			sleep_until_ready(p);
	}
}

static void *take_memory(size_t bytes)
{
	void *m =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

static bool prepare(struct pump *p, const struct pump_end *ends, unsigned n)
{
	struct conn *conns = take_memory(n * sizeof(*conns));

	p->conns = take_memory(n * sizeof(*p->conns));
	p->fds = take_memory((n + WAIT_SPARE_FDS) * sizeof(*p->fds));
	p->files = take_memory(n * sizeof(*p->files));
	if (!conns || !p->conns || !p->fds || !p->files)
		return false;
	for (p->n = 0; p->n < n; p->n++) {
		conns[p->n].end = ends[p->n];
		p->conns[p->n] = &conns[p->n];
	}
	return true;
}

/* Of all that the fork brought along, keeps the ends and their connections. */
static void keep_only(const struct pump_end *ends, unsigned n, int start_fd)
{
	fd_guard(start_fd);
	for (unsigned i = 0; i < n; i++)
		fd_guard(ends[i].fd);
	for (int fd = 0, max = file_max_fd(); fd <= max; fd++) {
		bool keep = false;

		for (unsigned i = 0; i < n; i++)
			keep |= ends[i].number == fd;
		if (!keep)
			file_uninstall(fd);
	}
	drain_let_go();
}

static bool told_to_go(int start_fd)
{
	char word = 'y';
	ssize_t n;

	do
		n = real_read(start_fd, &word, 1);
	while (n < 0 && errno == EINTR);
	return word == 'y';
}

static _Noreturn void pump_main(const struct pump_end *ends, unsigned n, int start_fd)
{
	struct pump p;

	helper_stop(); /* it drives by itself */
	prctl(PR_SET_NAME, "shunt-pump");
	keep_only(ends, n, start_fd);
	if (told_to_go(start_fd) && prepare(&p, ends, n)) {
		count(&domain->pump.passed, n);
		count(&domain->pump.now, n);
		for (unsigned i = 0; i < n; i++)
			atomic_fetch_add(&ends[i].f->pumps, 1);
		run(&p);
	}
	for (unsigned i = 0; i < n; i++)
		file_uninstall(ends[i].number);
	drain_and_exit();
}

/* A fork without handlers of the program's, without SIGCHLD, and unseen by its wait(2). */
static int fork_unseen(void)
{
	int pid;

	member_before_fork();
	pid = (int)real_syscall(SYS_clone, 0, 0, 0, 0, 0, 0);
	if (pid)
		member_after_fork_parent();
	else
		member_after_fork_child();
	return pid;
}

int pump_start(const struct pump_end *ends, unsigned n)
{
	bool held SIGNALS_HELD = signals_hold();
	int pipe_fds[2], pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	for (int i = 0; i < 2; i++) {
		pipe_fds[i] = fd_guard_high(pipe_fds[i]);
		fd_unguard(pipe_fds[i]); /* a vfork child shares the guard's table, not the descriptors */
	}
	pid = fork_unseen();
	if (pid == 0) {
		real_close(pipe_fds[1]);
		if (fork_unseen() == 0)
			pump_main(ends, n, pipe_fds[0]);
		member_leave();
		real__exit(0);
	}
	real_close(pipe_fds[0]);
	if (pid < 0) {
		real_close(pipe_fds[1]);
		return -EAGAIN;
	}
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return pipe_fds[1];
}

void pump_say(int say_fd, bool go)
{
	if (real_write(say_fd, go ? "y" : "n", 1) < 0) {
		/* it is gone: then there is nobody to be told */
	}
	real_close(say_fd);
}
