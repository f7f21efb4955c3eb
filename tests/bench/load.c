/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c - request-response load on any TCP server whose replies all have one length
 *
 *     load [-c CONNS] [-s SECONDS] [-w WARMUP-SECONDS] [-r REQUESTS/S] ADDR PORT REQUEST [PREPARE]
 *     load -k ADDR PORT      only waits until the server accepts a connection
 *
 * REQUEST may hold \r, \n and \\. The length of its reply is learned from a first exchange. PREPARE is sent
 * once before that (to store what REQUEST fetches). Without -r each connection sends its next request when
 * the reply is complete (closed loop). With -r requests are due at even intervals, whoever is late, and
 * latency counts from when a request was due. One thread, one core; it spins while it paces.
 *
 * Prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX     4096
#define BUCKET_BITS   5 /* 32 buckets for each power of two: within 3 % */
#define BUCKETS       (64 << BUCKET_BITS)
#define QUIET_MS      200
#define START_TRY_MAX 100

struct conn {
	int fd;
	size_t unread;   /* bytes of the reply still to come; 0: idle */
	uint64_t due_ns; /* of the request under way */
};

static struct conn conns[CONNS_MAX];
static struct conn *idle[CONNS_MAX];
static unsigned n_conns = 50, n_idle;
static char request[4096], prepare[4096];
static size_t request_len, reply_len;
static struct sockaddr_in server;
static uint64_t histogram[BUCKETS], requests;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t unescape(const char *in, char *out, size_t len)
{
	size_t n = 0;

	for (; *in && n < len; in++) {
		if (*in == '\\' && in[1]) {
			in++;
			out[n++] = *in == 'r' ? '\r' : *in == 'n' ? '\n' : *in;
		} else {
			out[n++] = *in;
		}
	}
	return n;
}

static unsigned bucket_of(uint64_t v)
{
	unsigned shift;

	if (v < (1u << BUCKET_BITS))
		return (unsigned)v;
	shift = 63 - (unsigned)__builtin_clzll(v) - BUCKET_BITS;
	return ((shift + 1) << BUCKET_BITS) + (unsigned)((v >> shift) & ((1u << BUCKET_BITS) - 1));
}

static uint64_t bucket_value(unsigned b)
{
	unsigned shift = b >> BUCKET_BITS;

	if (!shift)
		return b;
	return (uint64_t)((1u << BUCKET_BITS) + (b & ((1u << BUCKET_BITS) - 1))) << (shift - 1);
}

static double percentile_us(double share)
{
	uint64_t seen = 0, wanted = (uint64_t)((double)requests * share);

	for (unsigned b = 0; b < BUCKETS; b++) {
		seen += histogram[b];
		if (seen > wanted)
			return (double)bucket_value(b) / 1000;
	}
	return 0;
}

static int open_conn(void)
{
	int one = 1, fd = -1;

	/* The server may not listen yet. */
	for (unsigned try = 0; try < START_TRY_MAX; try++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			fail("socket");
		if (!connect(fd, (struct sockaddr *)&server, sizeof(server)))
			break;
		if ((errno != ECONNREFUSED && errno != EHOSTUNREACH) || try == START_TRY_MAX - 1)
			fail("connect");
		close(fd);
		poll(NULL, 0, 50);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static size_t exchange(int fd, const char *text, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[65536];
	size_t total = 0;
	ssize_t n;

	if (write(fd, text, len) != (ssize_t)len)
		fail("write");
	/* Wait long for the first byte, then until nothing more comes. */
	while (poll(&p, 1, total ? QUIET_MS : 5000) > 0) {
		n = read(fd, buf, sizeof(buf));
		if (n <= 0)
			fail("the server closed the connection");
		total += (size_t)n;
	}
	if (!total) {
		errno = ETIMEDOUT;
		fail("no reply");
	}
	return total;
}

static void send_request(struct conn *c, uint64_t due_ns)
{
	if (write(c->fd, request, request_len) != (ssize_t)request_len)
		fail("write");
	c->due_ns = due_ns;
	c->unread = reply_len;
}

/* Reads what is there; true when the reply is complete. */
static bool read_reply(struct conn *c)
{
	static char buf[1 << 20];

	while (c->unread) {
		ssize_t n = read(c->fd, buf, c->unread < sizeof(buf) ? c->unread : sizeof(buf));

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0)
			fail("read");
		c->unread -= (size_t)n;
	}
	return true;
}

static void reset_counts(void)
{
	memset(histogram, 0, sizeof(histogram));
	requests = 0;
}

/* Runs until `end`; with an interval, requests are due at `next_due`, next_due + interval, … */
static void run(int ep, uint64_t end, double interval_ns, double *next_due)
{
	struct epoll_event events[256];
	uint64_t now = now_ns();

	while (now < end) {
		int n = epoll_wait(ep, events, 256, interval_ns > 0 ? 0 : 100);

		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		now = now_ns();
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (!c->unread || !read_reply(c))
				continue;
			requests++;
			histogram[bucket_of(now - c->due_ns)]++;
			if (interval_ns > 0)
				idle[n_idle++] = c;
			else
				send_request(c, now);
		}
		while (interval_ns > 0 && n_idle && *next_due <= (double)now) {
			send_request(idle[--n_idle], (uint64_t)*next_due);
			*next_due += interval_ns;
		}
	}
}

int main(int argc, char **argv)
{
	double seconds = 2, warmup = 0.5, rate = 0, next_due;
	bool knock = false;
	uint64_t start;
	int opt, ep;

	while ((opt = getopt(argc, argv, "c:s:w:r:k")) != -1) {
		switch (opt) {
		case 'c':
			n_conns = (unsigned)atoi(optarg);
			break;
		case 's':
			seconds = atof(optarg);
			break;
		case 'w':
			warmup = atof(optarg);
			break;
		case 'r':
			rate = atof(optarg);
			break;
		case 'k':
			knock = true;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind < (knock ? 2 : 3) || n_conns < 1 || n_conns > CONNS_MAX) {
		fprintf(stderr,
			"load [-c CONNS] [-s SECONDS] [-w WARMUP] [-r RATE] ADDR PORT REQUEST [PREPARE]\n");
		return 2;
	}
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
	if (inet_pton(AF_INET, argv[optind], &server.sin_addr) != 1) {
		errno = EINVAL;
		fail(argv[optind]);
	}
	if (knock) {
		close(open_conn());
		return 0;
	}
	request_len = unescape(argv[optind + 2], request, sizeof(request));
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < n_conns; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &conns[i]};

		conns[i].fd = open_conn();
		if (i == 0) {
			if (argc - optind > 3)
				exchange(conns[0].fd, prepare,
					 unescape(argv[optind + 3], prepare, sizeof(prepare)));
			reply_len = exchange(conns[0].fd, request, request_len);
		}
		fcntl(conns[i].fd, F_SETFL, O_NONBLOCK);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &ev))
			fail("epoll_ctl");
	}
	start = now_ns();
	next_due = (double)start;
	for (unsigned i = 0; i < n_conns; i++) {
		if (rate > 0)
			idle[n_idle++] = &conns[i];
		else
			send_request(&conns[i], start);
	}
	run(ep, start + (uint64_t)(warmup * 1e9), rate > 0 ? 1e9 / rate : 0, &next_due);
	reset_counts();
	start = now_ns();
	run(ep, start + (uint64_t)(seconds * 1e9), rate > 0 ? 1e9 / rate : 0, &next_due);
	seconds = (double)(now_ns() - start) / 1e9;
	printf("{\"requests\": %lu, \"seconds\": %.3f, \"rate\": %.1f, \"reply_bytes\": %zu, \"p50_us\": "
	       "%.1f, "
	       "\"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
	       requests, seconds, (double)requests / seconds, reply_len, percentile_us(0.5),
	       percentile_us(0.9), percentile_us(0.99), percentile_us(0.999));
	return 0;
}
