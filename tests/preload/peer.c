/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer.c - the kernel's end of a differential case: a process that does what the case tells it
 *
 * The upper half runs in the tested program and sends commands over the control socket; the lower half is the
 * peer process, which carries them out in order on its slots. The control socket is AF_UNIX SOCK_SEQPACKET,
 * so that Shunt never touches it, and one message is one command. The peer lives until the last process of
 * the case has closed its end and every command is done.
 */
#include <stddef.h>

#include "diff.h"

#define SLOTS_MAX   4096
#define PATIENCE_MS 10000

extern int peer_ctl;

static struct peer_reply last;

/* ---- in the tested program ---- */

void peer_begin(const struct peer_request *rq, size_t extra)
{
	size_t len = offsetof(struct peer_request, data) + extra;

	if (send(peer_ctl, rq, len, MSG_NOSIGNAL) != (ssize_t)len)
		_exit(4);
}

struct peer_reply peer_end(void)
{
	struct peer_reply r;
	ssize_t n;

	do
		n = recv(peer_ctl, &r, sizeof(r), 0);
	while (n < 0 && errno == EINTR);
	NEED(n == sizeof(r));
	return r;
}

static long command(struct peer_request rq, const void *data, size_t len)
{
	NEED(len <= sizeof(rq.data));
	rq.len = rq.len ? rq.len : len;
	if (len)
		memcpy(rq.data, data, len);
	peer_begin(&rq, len);
	last = peer_end();
	return last.ret;
}

static void expect_ok(const char *what, long ret)
{
	if (ret < 0)
		say("peer: %s failed: %s", what, errno_name(-ret));
}

int peer_listen_backlog(int port, int backlog)
{
	long slot = command((struct peer_request){.op = PEER_LISTEN, .a = port, .b = backlog}, NULL, 0);

	NEED(slot >= 0);
	return slot;
}

int peer_listen(int port)
{
	return peer_listen_backlog(port, 64);
}

int peer_accept(int listener)
{
	long slot = command((struct peer_request){.op = PEER_ACCEPT, .slot = listener}, NULL, 0);

	NEED(slot >= 0);
	return slot;
}

int peer_connect(int port)
{
	return command((struct peer_request){.op = PEER_CONNECT, .a = port}, NULL, 0);
}

void peer_begin_connect(int port)
{
	peer_begin(&(struct peer_request){.op = PEER_CONNECT, .a = port}, 0);
}

int peer_end_connect(void)
{
	return peer_end().ret;
}

int peer_udp(int port)
{
	long slot = command((struct peer_request){.op = PEER_UDP, .a = port}, NULL, 0);

	NEED(slot >= 0);
	return slot;
}

void peer_send(int slot, const void *data, size_t len)
{
	expect_ok("send", command((struct peer_request){.op = PEER_SEND, .slot = slot}, data, len));
}

void peer_send_oob(int slot, const void *data, size_t len)
{
	expect_ok("send",
		  command((struct peer_request){.op = PEER_SEND, .slot = slot, .a = MSG_OOB}, data, len));
}

void peer_begin_send(int slot, const void *data, size_t len)
{
	struct peer_request rq = {.op = PEER_SEND, .slot = slot, .len = len};

	memcpy(rq.data, data, len);
	peer_begin(&rq, len);
}

void peer_send_pattern(int slot, size_t len, uint32_t seed)
{
	expect_ok("send",
		  command((struct peer_request){.op = PEER_SEND_PATTERN, .slot = slot, .a = seed, .len = len},
			  NULL, 0));
}

void peer_begin_send_pattern(int slot, size_t len, uint32_t seed)
{
	peer_begin(&(struct peer_request){.op = PEER_SEND_PATTERN, .slot = slot, .a = seed, .len = len}, 0);
}

static void show_peer_recv(const struct peer_reply *r)
{
	if (r->ret < 0)
		say("peer: %s", errno_name(-r->ret));
	else
		say("peer got %ld bytes, %s%s", r->ret, r->matches ? "intact" : "CORRUPT",
		    r->eof ? ", EOF" : "");
}

void peer_recv_pattern(int slot, size_t len, uint32_t seed)
{
	command((struct peer_request){.op = PEER_RECV_PATTERN, .slot = slot, .a = seed, .len = len}, NULL, 0);
	show_peer_recv(&last);
}

void peer_begin_recv_pattern(int slot, size_t len, uint32_t seed)
{
	peer_begin(&(struct peer_request){.op = PEER_RECV_PATTERN, .slot = slot, .a = seed, .len = len}, 0);
}

void peer_end_recv_pattern(void)
{
	last = peer_end();
	show_peer_recv(&last);
}

const char *peer_recv(int slot, size_t len)
{
	long n = command((struct peer_request){.op = PEER_RECV, .slot = slot, .len = len}, NULL, 0);

	expect_ok("recv", n);
	last.data[n > 0 ? n : 0] = '\0';
	return last.data;
}

void peer_say_recv(int slot, size_t len)
{
	long n = command((struct peer_request){.op = PEER_RECV, .slot = slot, .len = len}, NULL, 0);

	if (n < 0)
		say("peer recv: %s", errno_name(-n));
	else
		say("peer recv: %ld bytes \"%.*s\"%s", n, (int)n, last.data, last.eof ? ", EOF" : "");
}

void peer_sendto(int slot, int port, const void *data, size_t len)
{
	expect_ok("sendto",
		  command((struct peer_request){.op = PEER_SENDTO, .slot = slot, .a = port}, data, len));
}

int peer_recvfrom(int slot)
{
	long n = command((struct peer_request){.op = PEER_RECVFROM, .slot = slot}, NULL, 0);

	if (n < 0)
		say("peer recvfrom: %s", errno_name(-n));
	else
		say("peer recvfrom: %ld bytes \"%.*s\"", n, (int)(n > 60 ? 60 : n), last.data);
	return last.port;
}

void peer_shutdown(int slot, int how)
{
	expect_ok("shutdown",
		  command((struct peer_request){.op = PEER_SHUTDOWN, .slot = slot, .a = how}, NULL, 0));
}

void peer_close(int slot)
{
	expect_ok("close", command((struct peer_request){.op = PEER_CLOSE, .slot = slot}, NULL, 0));
}

void peer_rst(int slot)
{
	expect_ok("reset", command((struct peer_request){.op = PEER_RST, .slot = slot}, NULL, 0));
}

void peer_setopt(int slot, int level, int name, int value)
{
	expect_ok("setsockopt",
		  command(
			  (struct peer_request){
				  .op = PEER_SETOPT, .slot = slot, .a = level, .b = name, .c = value},
			  NULL, 0));
}

int peer_until_events(int slot, int events)
{
	long ev = command((struct peer_request){.op = PEER_UNTIL_EVENTS, .slot = slot, .a = events}, NULL, 0);

	if (ev < 0)
		say("peer poll: %s", errno_name(-ev));
	else
		say("peer poll: %s", events_text(ev));
	return ev;
}

void peer_drain_after_exit(int slot, uint32_t seed)
{
	peer_begin(&(struct peer_request){.op = PEER_DRAIN_AND_SAY, .slot = slot, .a = seed}, 0);
}

/* ---- the peer process ---- */

static int slots[SLOTS_MAX];
static int n_slots;

static long new_slot(int fd)
{
	if (fd < 0)
		return -errno;
	if (n_slots == SLOTS_MAX)
		abort();
	slots[n_slots] = fd;
	return n_slots++;
}

static long do_listen(int port, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind_to(fd, "0.0.0.0", port) || listen(fd, backlog)) {
		long e = -errno;

		close(fd);
		return e;
	}
	return new_slot(fd);
}

static long do_connect(int port)
{
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect_to(fd, OWN_ADDR, port)) {
		long e = -errno;

		close(fd);
		return e;
	}
	return new_slot(fd);
}

static long do_udp(int port)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (bind_to(fd, "0.0.0.0", port)) {
		long e = -errno;

		close(fd);
		return e;
	}
	return new_slot(fd);
}

static long do_send_pattern(int fd, size_t len, uint32_t seed)
{
	static char buf[65536];
	size_t sent = 0;

	while (sent < len) {
		size_t want = len - sent < sizeof(buf) ? len - sent : sizeof(buf);
		ssize_t n;

		pattern(buf, want, seed, sent);
		n = send(fd, buf, want, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
		sent += n;
	}
	return sent;
}

static void do_recv_pattern(int fd, size_t len, uint32_t seed, struct peer_reply *r)
{
	static char buf[65536];
	size_t got = 0;

	r->matches = true;
	while (got < len) {
		size_t want = len - got < sizeof(buf) ? len - got : sizeof(buf);
		ssize_t n = recv(fd, buf, want, 0);

		if (n < 0) {
			r->ret = -errno;
			return;
		}
		if (n == 0) {
			r->eof = true;
			break;
		}
		r->matches &= pattern_ok(buf, n, seed, got);
		got += n;
	}
	r->ret = got;
}

static long do_recv(int fd, size_t len, struct peer_reply *r)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = recv(fd, r->data + got, len - got, 0);

		if (n < 0)
			return got ? (long)got : -errno;
		if (n == 0) {
			r->eof = true;
			break;
		}
		got += n;
	}
	return got;
}

static long do_recvfrom(int fd, struct peer_reply *r)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) == 0)
		return -ETIMEDOUT;
	n = recvfrom(fd, r->data, sizeof(r->data), MSG_TRUNC, (struct sockaddr *)&from, &len);
	if (n < 0)
		return -errno;
	r->port = ntohs(from.sin_port);
	return n;
}

static long do_until_events(int fd, int events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n = poll(&p, 1, PATIENCE_MS);

	return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : p.revents;
}

static void drain_and_say(int fd, uint32_t seed)
{
	struct peer_reply r = {0};

	do_recv_pattern(fd, SIZE_MAX, seed, &r);
	if (r.ret < 0)
		say("peer after exit: %s", errno_name(-r.ret));
	else
		say("peer after exit: %ld bytes, %s, EOF", r.ret, r.matches ? "intact" : "CORRUPT");
}

static long do_close(int slot, bool reset)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	int fd = slots[slot];

	if (reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	slots[slot] = -1;
	return close(fd) ? -errno : 0;
}

static void run_command(const struct peer_request *rq, struct peer_reply *r)
{
	int fd = slots[rq->slot];
	struct sockaddr_in to = addr4(OWN_ADDR, rq->a);

	switch ((enum peer_op)rq->op) {
	case PEER_LISTEN:
		r->ret = do_listen(rq->a, rq->b);
		break;
	case PEER_ACCEPT:
		r->ret = new_slot(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
		break;
	case PEER_CONNECT:
		r->ret = do_connect(rq->a);
		break;
	case PEER_UDP:
		r->ret = do_udp(rq->a);
		break;
	case PEER_SEND:
		r->ret = send(fd, rq->data, rq->len, MSG_NOSIGNAL | rq->a);
		break;
	case PEER_SEND_PATTERN:
		r->ret = do_send_pattern(fd, rq->len, rq->a);
		break;
	case PEER_RECV:
		r->ret = do_recv(fd, rq->len, r);
		break;
	case PEER_RECV_PATTERN:
		do_recv_pattern(fd, rq->len, rq->a, r);
		break;
	case PEER_SENDTO:
		r->ret = sendto(fd, rq->data, rq->len, 0, (struct sockaddr *)&to, sizeof(to));
		break;
	case PEER_RECVFROM:
		r->ret = do_recvfrom(fd, r);
		break;
	case PEER_SHUTDOWN:
		r->ret = shutdown(fd, rq->a);
		break;
	case PEER_CLOSE:
		r->ret = do_close(rq->slot, false);
		break;
	case PEER_RST:
		r->ret = do_close(rq->slot, true);
		break;
	case PEER_SETOPT:
		r->ret = set_int(fd, rq->a, rq->b, rq->c);
		break;
	case PEER_UNTIL_EVENTS:
		r->ret = do_until_events(fd, rq->a);
		break;
	case PEER_DRAIN_AND_SAY:
		drain_and_say(fd, rq->a);
		break;
	}
	if (r->ret == -1)
		r->ret = -errno;
}

int peer_main(int ctl)
{
	struct peer_request rq;
	struct peer_reply r;

	signal(SIGPIPE, SIG_IGN);
	while (recv(ctl, &rq, sizeof(rq), 0) > 0) {
		memset(&r, 0, sizeof(r));
		run_command(&rq, &r);
		if (rq.op != PEER_DRAIN_AND_SAY && send(ctl, &r, sizeof(r), MSG_NOSIGNAL) < 0)
			break;
	}
	return 0;
}
