/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * diff.c - runs one differential case: registry, printing, small socket helpers, conditions
 *
 *     diff_cases --list | --image BASE_PORT | --peer CTL_FD | GROUP.NAME CTL_FD BASE_PORT
 *
 * Started by run.py. Output goes to stdout in one piece at exit or fork, so that lines of several processes
 * do not mix in the middle.
 */
#include <linux/sockios.h>
#include <stdarg.h>
#include <time.h>

#include "diff.h"

#define CASES_MAX   1024
#define PATIENCE_MS 10000
#define NAP_NS      1000000

static const struct diff_case *cases[CASES_MAX];
static int n_cases;
static int base_port;
int peer_ctl = -1;

void diff_add(const struct diff_case *c)
{
	if (n_cases == CASES_MAX)
		abort();
	cases[n_cases++] = c;
}

int diff_port(int k)
{
	return base_port + k;
}

/* ---- printing ---- */

void say(const char *fmt, ...)
{
	int saved = errno;
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(3);
	errno = saved;
}

const char *errno_name(int e)
{
	const char *name = strerrorname_np(e);

	return name ? name : "E?";
}

long show_result(const char *call, long ret)
{
	if (ret < 0)
		say("%s = %ld %s", call, ret, errno_name(errno));
	else
		say("%s = %ld", call, ret);
	return ret;
}

int show_fd(const char *call, int fd)
{
	if (fd < 0)
		say("%s = %d %s", call, fd, errno_name(errno));
	else
		say("%s = fd", call);
	return fd;
}

const char *events_text(uint32_t ev)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{EPOLLIN, "IN"},         {EPOLLPRI, "PRI"},       {EPOLLOUT, "OUT"},
		{EPOLLERR, "ERR"},       {EPOLLHUP, "HUP"},       {POLLNVAL, "NVAL"},
		{EPOLLRDNORM, "RDNORM"}, {EPOLLRDBAND, "RDBAND"}, {EPOLLWRNORM, "WRNORM"},
		{EPOLLWRBAND, "WRBAND"}, {EPOLLMSG, "MSG"},       {EPOLLRDHUP, "RDHUP"},
	};
	static char text[4][128];
	static int turn;
	char *out = text[turn++ & 3];

	*out = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(ev & names[i].bit))
			continue;
		if (*out)
			strcat(out, "|");
		strcat(out, names[i].name);
		ev &= ~names[i].bit;
	}
	if (ev)
		sprintf(out + strlen(out), "|0x%x", ev);
	return *out ? out : "0";
}

static const char *port_text(int port)
{
	static char text[4][32];
	static int turn;
	char *out = text[turn++ & 3];

	if (port >= base_port && port < base_port + 16)
		sprintf(out, "PORT(%d)", port - base_port);
	else if (port >= 32768 && port <= 60999)
		strcpy(out, "ephemeral");
	else
		sprintf(out, "%d", port);
	return out;
}

const char *addr_text(const struct sockaddr_storage *sa, socklen_t len)
{
	static char text[4][160];
	static int turn;
	char *out = text[turn++ & 3], ip[64];

	if (len < sizeof(sa_family_t))
		sprintf(out, "(length %u)", len);
	else if (sa->ss_family == AF_INET)
		sprintf(out, "%s:%s/%u",
			inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, ip, sizeof(ip)),
			port_text(ntohs(((const struct sockaddr_in *)sa)->sin_port)), len);
	else if (sa->ss_family == AF_INET6)
		sprintf(out, "[%s]:%s/%u",
			inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, ip, sizeof(ip)),
			port_text(ntohs(((const struct sockaddr_in6 *)sa)->sin6_port)), len);
	else
		sprintf(out, "family %d/%u", sa->ss_family, len);
	return out;
}

void show_names(const char *what, int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len))
		say("%s: getsockname %s", what, errno_name(errno));
	else
		say("%s: local %s", what, addr_text(&sa, len));
	len = sizeof(sa);
	if (getpeername(fd, (struct sockaddr *)&sa, &len))
		say("%s: getpeername %s", what, errno_name(errno));
	else
		say("%s: peer %s", what, addr_text(&sa, len));
}

void show_int_opt(int fd, int level, int name, const char *text)
{
	int value = 0x5a5a5a5a;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len))
		say("%s: %s", text, errno_name(errno));
	else if (level == SOL_SOCKET && name == SO_ERROR)
		say("%s: %s/%u", text, value ? errno_name(value) : "0", len);
	else
		say("%s: %d/%u", text, value, len);
}

void diff_need(bool ok, const char *text, const char *file, int line)
{
	if (ok)
		return;
	say("FAILED %s:%d: %s (%s)", file, line, text, errno_name(errno));
	fprintf(stderr, "%s:%d: %s failed, errno %s\n", file, line, text, errno_name(errno));
	_exit(2);
}

/* ---- sockets of the tested side ---- */

struct sockaddr_in addr4(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

int bind_to(int fd, const char *ip, int port)
{
	struct sockaddr_in a = addr4(ip, port);

	return bind(fd, (struct sockaddr *)&a, sizeof(a));
}

int connect_to(int fd, const char *ip, int port)
{
	struct sockaddr_in a = addr4(ip, port);

	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

void set_nonblock(int fd)
{
	NEED(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

int tcp_listener(int port, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(fd >= 0);
	NEED(set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	NEED(bind_to(fd, OWN_ADDR, port) == 0);
	NEED(listen(fd, backlog) == 0);
	return fd;
}

int tcp_client(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(fd >= 0);
	NEED(connect_to(fd, PEER_ADDR, port) == 0);
	return fd;
}

int udp_bound(int port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	NEED(fd >= 0);
	NEED(bind_to(fd, OWN_ADDR, port) == 0);
	return fd;
}

int tcp_pair(int *peer)
{
	int listener = tcp_listener(PORT(0), 16);
	int fd;

	peer_begin_connect(PORT(0));
	fd = accept(listener, NULL, NULL);
	NEED(fd >= 0);
	*peer = peer_end_connect();
	NEED(*peer >= 0);
	NEED(close(listener) == 0);
	return fd;
}

int tcp_pair_active(int *peer)
{
	int listener = peer_listen(PORT(0));
	int fd = tcp_client(PORT(0));

	*peer = peer_accept(listener);
	peer_close(listener);
	return fd;
}

/* ---- conditions ---- */

bool again(void)
{
	static struct timespec began;
	struct timespec now, nap = {0, NAP_NS};

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!began.tv_sec)
		began = now;
	NEED(now.tv_sec - began.tv_sec < PATIENCE_MS / 1000);
	nanosleep(&nap, NULL);
	return true;
}

void until_events(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n = poll(&p, 1, PATIENCE_MS);

	NEED(n == 1);
}

void until_readable(int fd)
{
	until_events(fd, POLLIN);
}

void until_rdhup(int fd)
{
	until_events(fd, POLLRDHUP);
}

void until_queued(int fd, size_t bytes)
{
	int queued = 0;

	do
		NEED(ioctl(fd, FIONREAD, &queued) == 0);
	while ((size_t)queued < bytes && again());
}

void until_unsent(int fd, int bytes)
{
	int queued = 0;

	do
		NEED(ioctl(fd, SIOCOUTQ, &queued) == 0);
	while (queued > bytes && again());
}

/* ---- patterns ---- */

static uint8_t pattern_byte(uint32_t seed, size_t i)
{
	uint64_t x = (i >> 3) * 0x9e3779b97f4a7c15ull + seed;

	x ^= x >> 29;
	return (x * 0xbf58476d1ce4e5b9ull) >> (8 * (i & 7));
}

void pattern(void *buf, size_t len, uint32_t seed, size_t offset)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = pattern_byte(seed, offset + i);
}

bool pattern_ok(const void *buf, size_t len, uint32_t seed, size_t offset)
{
	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)buf)[i] != pattern_byte(seed, offset + i))
			return false;
	return true;
}

void recv_pattern(int fd, size_t len, uint32_t seed)
{
	static char buf[65536];
	bool intact = true;
	size_t got = 0;
	ssize_t n = 1;

	while (got < len) {
		size_t want = len - got < sizeof(buf) ? len - got : sizeof(buf);

		n = recv(fd, buf, want, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			until_readable(fd);
			continue;
		}
		if (n <= 0)
			break;
		intact &= pattern_ok(buf, n, seed, got);
		got += n;
	}
	say("received %zu bytes, %s%s%s", got, intact ? "intact" : "CORRUPT", n == 0 ? ", EOF" : "",
	    n < 0 ? errno_name(errno) : "");
}

void send_pattern(int fd, size_t len, uint32_t seed)
{
	static char buf[65536];
	size_t sent = 0;

	while (sent < len) {
		size_t want = len - sent < sizeof(buf) ? len - sent : sizeof(buf);
		ssize_t n;

		pattern(buf, want, seed, sent);
		n = send(fd, buf, want, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			until_events(fd, POLLOUT);
			continue;
		}
		if (n < 0) {
			say("send failed after %zu bytes: %s", sent, errno_name(errno));
			return;
		}
		sent += n;
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (int i = 0; i < n_cases; i++)
			printf("%s.%s\n", cases[i]->group, cases[i]->name);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "--peer")) {
		base_port = atoi(argv[3]);
		return peer_main(atoi(argv[2]));
	}
	if (argc == 3 && !strcmp(argv[1], "--image")) {
		base_port = atoi(argv[2]);
		exec_image();
		return 0;
	}
	if (argc != 4) {
		fprintf(stderr,
			"usage: diff_cases --list | --peer CTL_FD BASE_PORT | GROUP.NAME CTL_FD BASE_PORT\n");
		return 2;
	}
	peer_ctl = atoi(argv[2]);
	base_port = atoi(argv[3]);
	for (int i = 0; i < n_cases; i++) {
		char name[256];

		snprintf(name, sizeof(name), "%s.%s", cases[i]->group, cases[i]->name);
		if (strcmp(name, argv[1]))
			continue;
		cases[i]->run();
		say("end");
		return 0;
	}
	fprintf(stderr, "no such case: %s\n", argv[1]);
	return 2;
}
