/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * diff.h - what a differential case is written with
 *
 * A case is one linear function that does socket calls and prints what they answered. run.py runs it twice,
 * on the kernel and under Shunt, with the same addresses (tested program 198.18.0.2, peer 198.18.0.1), and
 * compares the two texts byte for byte. So a case prints everything that a program could notice, and nothing
 * that may differ between two runs on the kernel (descriptor numbers, ephemeral ports, times, amounts that
 * depend on buffer sizes).
 *
 *     tested program (kernel or Shunt) ◄── network ──► peer process (always the kernel)
 *               └────────── control socket (AF_UNIX): peer_*() ─────┘
 *
 * The peer does what the case tells it, one command at a time, and each peer_*() call returns when it is
 * done; what the peer has done reaches the tested side a little later, so wait for it with the until_*()
 * calls, never with a sleep. peer_begin_*() start a command without waiting for it, peer_end() collects the
 * answer.
 *
 * Every case has ports of its own: PORT(0) … PORT(15).
 */
#ifndef TESTS_PRELOAD_DIFF_H
#define TESTS_PRELOAD_DIFF_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_ADDR  "198.18.0.2"
#define PEER_ADDR "198.18.0.1"

struct diff_case {
	const char *group, *name;
	void (*run)(void);
};

/* CASE(group, name) { … } is all that is needed to add a case to a file of the suite. */
#define CASE(group_, name_)                                                                                  \
	static void case_##group_##_##name_(void);                                                           \
	static const struct diff_case entry_##group_##_##name_ = {#group_, #name_, case_##group_##_##name_}; \
	__attribute__((constructor)) static void add_##group_##_##name_(void)                                \
	{                                                                                                    \
		diff_add(&entry_##group_##_##name_);                                                         \
	}                                                                                                    \
	static void case_##group_##_##name_(void)

void diff_add(const struct diff_case *c);
int diff_port(int k);
#define PORT(k) diff_port(k)

/* ---- printing ---- */

/* One line of the text that is compared. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints the call and its answer ("= 5", "= -1 EAGAIN") and gives the answer back; errno is kept. */
#define R(call) show_result(#call, (long)(call))
long show_result(const char *call, long ret);

/* The same for a call whose positive answer is a descriptor: prints "ok" instead of the number. */
#define RFD(call) ((int)show_fd(#call, (call)))
int show_fd(const char *call, int fd);

const char *errno_name(int e);

/* "IN|OUT|RDHUP", "0"; EPOLL* and POLL* have the same values. */
const char *events_text(uint32_t ev);

/* "198.18.0.2:PORT(1)", "198.18.0.1:ephemeral", "AF_UNSPEC"… */
const char *addr_text(const struct sockaddr_storage *sa, socklen_t len);
void show_names(const char *what, int fd); /* getsockname and getpeername */
void show_int_opt(int fd, int level, int name, const char *text);
#define OPT(fd, level, name) show_int_opt(fd, level, name, #name)

/* Ends the case as failed; for what must work before the case proper can begin. */
#define NEED(expr) diff_need((expr), #expr, __FILE__, __LINE__)
void diff_need(bool ok, const char *text, const char *file, int line);

/* ---- sockets of the tested side ---- */

struct sockaddr_in addr4(const char *ip, int port);
int bind_to(int fd, const char *ip, int port);    /* bind(2) */
int connect_to(int fd, const char *ip, int port); /* connect(2) */

int tcp_listener(int port, int backlog); /* on OWN_ADDR, SO_REUSEADDR */
int tcp_client(int port);                /* connected to the peer's listener */
int udp_bound(int port);                 /* on OWN_ADDR */
void set_nonblock(int fd);
int set_int(int fd, int level, int name, int value);

/* Listens on PORT(0), lets the peer connect and accepts: *peer gets the peer's slot. */
int tcp_pair(int *peer);
/* The same, but the tested side connects to the peer. */
int tcp_pair_active(int *peer);

/* ---- conditions (all bounded; a condition that never comes true fails the case) ---- */

void until_events(int fd, short events); /* poll(2) shows one of them (or HUP, ERR) */
void until_readable(int fd);
void until_queued(int fd, size_t bytes); /* FIONREAD shows at least so many bytes */
void until_rdhup(int fd);
void until_unsent(int fd, int bytes); /* SIOCOUTQ at most so many */
bool again(void); /* for loops on other conditions: naps 1 ms; fails the case after 10 s */

/* Bytes of the test pattern: byte i of a stream with this seed. */
void pattern(void *buf, size_t len, uint32_t seed, size_t offset);
bool pattern_ok(const void *buf, size_t len, uint32_t seed, size_t offset);
/* recv() until `len` bytes or EOF or an error; prints total, whether they are the pattern, and the end. */
void recv_pattern(int fd, size_t len, uint32_t seed);
/* send() all; prints only when it fails. */
void send_pattern(int fd, size_t len, uint32_t seed);

/* cases_exec.c: what a new program image does with the connection under its stdin. */
void exec_image(void);

/* ---- the peer: a slot is a socket of the peer process ---- */

enum peer_op {
	PEER_LISTEN,
	PEER_ACCEPT,
	PEER_CONNECT,
	PEER_UDP,
	PEER_SEND,
	PEER_SEND_PATTERN,
	PEER_RECV,
	PEER_RECV_PATTERN,
	PEER_SENDTO,
	PEER_RECVFROM,
	PEER_SHUTDOWN,
	PEER_CLOSE,
	PEER_RST,
	PEER_SETOPT,
	PEER_UNTIL_EVENTS,
	PEER_DRAIN_AND_SAY,
};

struct peer_request {
	int op, slot;
	int a, b, c;
	size_t len;
	char data[2048];
};

struct peer_reply {
	long ret;     /* >= 0 or -errno */
	bool matches; /* PEER_RECV_PATTERN: the bytes were the pattern */
	bool eof;
	int port; /* PEER_RECVFROM: sender's port */
	char data[2048];
};

int peer_listen(int port); /* slot; on any address */
int peer_listen_backlog(int port, int backlog);
int peer_accept(int listener);
int peer_connect(int port); /* to OWN_ADDR; slot, or -errno */
int peer_udp(int port);     /* bound UDP socket */
void peer_send(int slot, const void *data, size_t len);
void peer_send_oob(int slot, const void *data, size_t len);
void peer_send_pattern(int slot, size_t len, uint32_t seed);
/* Exactly len bytes (or less at EOF) are received and returned as a string; *eof may be NULL. */
const char *peer_recv(int slot, size_t len);
/* Receives `len` bytes of pattern (SIZE_MAX: until EOF) and prints "peer got N bytes, intact, EOF". */
void peer_recv_pattern(int slot, size_t len, uint32_t seed);
void peer_sendto(int slot, int port, const void *data, size_t len);
/* Receives one datagram, prints its length, text and where from; returns the sender's port. */
int peer_recvfrom(int slot);
void peer_shutdown(int slot, int how);
void peer_close(int slot);
void peer_rst(int slot); /* close with linger {1,0} */
void peer_setopt(int slot, int level, int name, int value);
/* Waits until poll on the slot shows one of the events, prints and returns what it shows. */
int peer_until_events(int slot, int events);
/* Prints what a read returns now: data, EOF or the error. */
void peer_say_recv(int slot, size_t len);
/* Last command: the peer reads to the end, also after the tested program is gone, and prints what it got. */
void peer_drain_after_exit(int slot, uint32_t seed);

void peer_begin(const struct peer_request *rq, size_t extra);
struct peer_reply peer_end(void);
void peer_begin_recv_pattern(int slot, size_t len, uint32_t seed);
void peer_end_recv_pattern(void); /* prints as peer_recv_pattern() */
void peer_begin_send_pattern(int slot, size_t len, uint32_t seed);
void peer_begin_send(int slot, const void *data, size_t len); /* async-signal-safe */
void peer_begin_connect(int port);
int peer_end_connect(void);

/* peer.c: the peer's side. */
int peer_main(int ctl);

#endif
