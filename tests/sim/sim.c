/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim.c - see sim.h
 */
#include "sim.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <rte_hash_crc.h>
#include <rte_mbuf.h>

#include "tests/kit/kit_eal.h"
#include "tests/kit/seg.h"

#define PORT 7
#define PERIOD                                                                                               \
	1000003U /* of the streams' content: prime, so that no misplacement by segments looks right          \
		  */

struct program {
	const struct sim_program *cfg;
	uint64_t sent, received;
	bool connected, shut, eof, closed, reset;
	int error;
	time_ns write_at, read_at; /* not before: it is busy with something else */
	uint32_t crc_sent, crc_received;
};

struct host {
	struct rte_mempool *pool;
	uint32_t mbufs;
	void *mem;
	struct stack *st;
	struct sock *so, *listener;
	struct program prog;
};

struct sim {
	const struct sim_config *cfg;
	struct sim_rng rng;
	time_ns now;
	struct host host[2];
	struct sim_link link[2];
	struct sim_result *res;
};

/* rte_hash_crc() reads whole words: of bytes that stand anywhere, so they are taken to where words may stand.
 */
static uint32_t crc32c(const uint8_t *p, uint32_t len, uint32_t crc)
{
	_Alignas(8) uint8_t block[4096];

	while (len > 0) {
		uint32_t n = RTE_MIN(len, (uint32_t)sizeof(block));

		memcpy(block, p, n);
		crc = rte_hash_crc(block, n, crc);
		p += n;
		len -= n;
	}
	return crc;
}

static const uint8_t *content(unsigned host, uint64_t at)
{
	static uint8_t bytes[2][PERIOD + 65536];
	static bool filled;

	if (!filled) {
		struct sim_rng r = {.state = 42};
		for (unsigned h = 0; h < 2; h++) {
			for (uint32_t i = 0; i < PERIOD; i++)
				bytes[h][i] = (uint8_t)(sim_random(&r) >> 33);
			memcpy(bytes[h] + PERIOD, bytes[h], 65536);
		}
		filled = true;
	}
	return bytes[host] + at % PERIOD;
}

static void fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct sim *s, const char *format, ...)
{
	va_list ap;

	if (!s->res->ok)
		return;
	s->res->ok = false;
	va_start(ap, format);
	vsnprintf(s->res->why, sizeof s->res->why, format, ap);
	va_end(ap);
}

/* Pools are kept from run to run: making one costs more than most runs. */
static struct rte_mempool *pool_of(unsigned host, uint32_t mbufs)
{
	static struct rte_mempool *pools[2];
	static uint32_t sizes[2];

	if (sizes[host] != mbufs) {
		rte_mempool_free(pools[host]);
		pools[host] = kit_pool_new(mbufs);
		sizes[host] = mbufs;
	}
	return pools[host];
}

static be32 address(unsigned host)
{
	return htonl(0xc6120001 + host);
}

static void host_init(struct sim *s, unsigned i)
{
	struct host *h = &s->host[i];
	struct stack_config cfg;
	int err = 0;

	h->prog.cfg = &s->cfg->program[i];
	stack_config_init(&cfg);
	cfg.addrs[0] = (struct stack_addr){.addr = address(i), .prefix_len = 24};
	cfg.n_addrs = 1;
	cfg.max_tcp = 32;
	cfg.max_udp = 4;
	cfg.max_arp = 8;
	cfg.max_fragments = 4;
	cfg.pool = h->pool;
	cfg.pool_mbufs = h->mbufs;
	cfg.queues = 1;
	cfg.seed[0] = s->cfg->seed;
	cfg.seed[1] = i;
	cfg.caps = (struct netdev_caps){.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
					.mtu = s->cfg->mtu,
					.queues = 1,
					.tx_multi_seg = true,
					.tx_sync = true};
	if (s->cfg->configure)
		s->cfg->configure(&cfg, s->cfg, i);
	size_t size = (stack_mem_size(&cfg) + 63) & ~(size_t)63;
	h->mem = aligned_alloc(64, size);
	memset(h->mem, 0, size);
	h->st = stack_init(h->mem, &cfg, 0, &err);
	if (!h->st) {
		fprintf(stderr, "stack_init: %s\n", strerror(-err));
		abort();
	}
}

static void set_int(struct sock *so, int level, int name, int value)
{
	(void)sock_setopt(so, level, name, &value, sizeof value);
}

/* The options a program sets on its end. An aborting side's RST may get lost: then only keep-alive ends the
 * other. */
static void set_options(const struct sim *s, unsigned i)
{
	struct sock *so = s->host[i].so;

	if (s->cfg->program[i].nodelay)
		set_int(so, IPPROTO_TCP, TCP_NODELAY, 1);
	if (s->cfg->program[!i].end == SIM_END_ABORT) {
		set_int(so, IPPROTO_TCP, TCP_KEEPIDLE, 60);
		set_int(so, IPPROTO_TCP, TCP_KEEPINTVL, 10);
		set_int(so, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
}

static void connect_hosts(struct sim *s)
{
	struct endpoint any = {.addr = ip_addr_any(), .port = htons(PORT)};
	struct endpoint peer = {.addr = ip_addr_v4(address(1)), .port = htons(PORT)};
	struct host *a = &s->host[0], *b = &s->host[1];

	if (sock_new(b->st, AF_INET, SOCK_STREAM, &b->listener) || sock_bind(b->listener, &any) ||
	    sock_listen(b->listener, 4) || sock_new(a->st, AF_INET, SOCK_STREAM, &a->so) ||
	    sock_connect(a->so, &peer) != -EINPROGRESS)
		fail(s, "the sockets could not be set up");
	set_options(s, 0);
}

/* --- the programs ------------------------------------------------------------------------------------------
 */

static void maybe_pause(struct sim *s, const struct sim_program *cfg, time_ns *until)
{
	if (cfg->pause_chance && sim_random_below(&s->rng, 10000) < cfg->pause_chance)
		*until = s->now + sim_random_between(&s->rng, 1000, cfg->pause_max);
}

static void ended_with(struct sim *s, struct host *h, int error)
{
	bool may = s->cfg->program[h == s->host].end == SIM_END_ABORT || h->prog.cfg->end == SIM_END_ABORT;

	h->prog.error = error;
	h->prog.eof = h->prog.reset = true;
	if (!may || (error != ECONNRESET && error != EPIPE && error != ETIMEDOUT))
		fail(s, "host %d: %s after %lu bytes sent, %lu received", (int)(h - s->host), strerror(error),
		     (unsigned long)h->prog.sent, (unsigned long)h->prog.received);
}

static void program_writes(struct sim *s, struct host *h)
{
	struct program *p = &h->prog;
	unsigned me = (unsigned)(h - s->host);

	while (p->sent < p->cfg->tx_bytes && s->now >= p->write_at && (sock_events(h->so) & EPOLLOUT) &&
	       !p->reset) {
		uint64_t left = p->cfg->tx_bytes - p->sent;
		uint32_t n = (uint32_t)sim_random_between(&s->rng, 1, p->cfg->write_max);
		if (n > left)
			n = (uint32_t)left;
		uint32_t first = n / 3; /* a gathered write */
		struct iovec iov[2] = {
			{.iov_base = (void *)(uintptr_t)content(me, p->sent), .iov_len = first},
			{.iov_base = (void *)(uintptr_t)content(me, p->sent + first), .iov_len = n - first}};
		int more = sim_random_below(&s->rng, 16) == 0 && n < left ? MSG_MORE : 0;
		ssize_t rc = sock_send(h->so, iov, 2, more, NULL);
		if (rc == -EAGAIN)
			break;
		if (rc < 0) {
			ended_with(s, h, (int)-rc);
			break;
		}
		p->crc_sent = crc32c(content(me, p->sent), (uint32_t)rc, p->crc_sent);
		p->sent += (uint64_t)rc;
		maybe_pause(s, p->cfg, &p->write_at);
	}
	if (p->sent == p->cfg->tx_bytes && !p->shut && !p->reset && p->cfg->end == SIM_END_SHUTDOWN) {
		int rc = sock_shutdown(h->so, SHUT_WR);
		p->shut = true;
		if (rc != 0 && rc != -ENOTCONN)
			fail(s, "host %u: shutdown: %s", me, strerror(-rc));
	}
}

static void program_reads(struct sim *s, struct host *h)
{
	static uint8_t buf[65536];
	struct program *p = &h->prog;
	unsigned me = (unsigned)(h - s->host);

	while (!p->eof && s->now >= p->read_at && (sock_events(h->so) & EPOLLIN)) {
		uint32_t n = (uint32_t)sim_random_between(&s->rng, 1, p->cfg->read_max);
		struct iovec iov = {.iov_base = buf, .iov_len = n};
		ssize_t rc = sock_recv(h->so, &iov, 1, 0, NULL);
		if (rc == -EAGAIN) {
			fail(s, "host %u: EPOLLIN but EAGAIN", me);
			return;
		}
		if (rc < 0) {
			ended_with(s, h, (int)-rc);
			return;
		}
		if (rc == 0) {
			p->eof = true;
			return;
		}
		if (memcmp(buf, content(!me, p->received), (size_t)rc) != 0) {
			uint32_t i = 0;
			while (buf[i] == content(!me, p->received)[i])
				i++;
			fail(s, "host %u: byte %lu of the stream is wrong", me,
			     (unsigned long)(p->received + i));
			return;
		}
		p->crc_received = crc32c(buf, (uint32_t)rc, p->crc_received);
		p->received += (uint64_t)rc;
		maybe_pause(s, p->cfg, &p->read_at);
		if (p->cfg->end == SIM_END_ABORT && p->received >= p->cfg->abort_at)
			return;
	}
}

static void program_runs(struct sim *s, struct host *h)
{
	struct program *p = &h->prog;

	if (!h->so && h->listener && (sock_events(h->listener) & EPOLLIN) && !p->closed) {
		if (sock_accept(h->listener, &h->so) != 0) {
			h->so = NULL;
			return fail(s, "EPOLLIN on the listener but nothing to accept");
		}
		set_options(s, (unsigned)(h - s->host));
	}
	if (!h->so)
		return;
	if (!p->connected && !(sock_events(h->so) & (EPOLLOUT | EPOLLERR)))
		return; /* shutdown() of a socket that still connects would disconnect it */
	p->connected = true;
	if ((sock_events(h->so) & EPOLLERR) && !p->eof) {
		int err = 0;
		socklen_t len = sizeof err;
		/* What was received before the error can still be read. */
		program_reads(s, h);
		(void)sock_getopt(h->so, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err)
			ended_with(s, h, err);
	}
	program_reads(s, h);
	program_writes(s, h);
	bool done = p->eof && (p->sent == p->cfg->tx_bytes || p->reset);
	if (p->cfg->end == SIM_END_ABORT && p->received >= p->cfg->abort_at)
		done = true;
	/* The last one to speak has nobody to wait for. */
	if (p->cfg->end == SIM_END_CLOSE && p->sent == p->cfg->tx_bytes &&
	    p->received == s->cfg->program[h == s->host].tx_bytes)
		done = true;
	if (done) {
		sock_close(h->so);
		h->so = NULL;
		p->closed = true;
	}
}

/* --- the loop
 * ----------------------------------------------------------------------------------------------- */

static void host_receives(struct sim *s, unsigned i)
{
	struct rte_mbuf *pkts[32];
	unsigned n;

	stack_set_now(s->host[i].st, s->now);
	while ((n = sim_link_receive(&s->link[!i], s->host[i].pool, pkts, 32, s->now)) > 0)
		stack_input(s->host[i].st, pkts, n, s->now);
	stack_run_timers(s->host[i].st, s->now);
}

static void trace_frame(const struct sim *s, unsigned i, struct rte_mbuf *m)
{
	struct seg_frame f;
	char text[512];

	if (!seg_parse(&f, m, 0))
		return;
	seg_print(&f.seg, text, sizeof text);
	printf("%14.6f ms host %u %s\n", (double)s->now / NS_PER_MS, i, text);
	seg_frame_fini(&f);
}

static void host_sends(struct sim *s, unsigned i)
{
	struct rte_mbuf *pkts[32];
	unsigned n;
	uint32_t wake;

	while ((n = stack_output(s->host[i].st, pkts, 32)) > 0)
		for (unsigned k = 0; k < n; k++) {
			if (s->cfg->trace)
				trace_frame(s, i, pkts[k]);
			sim_link_send(&s->link[i], &s->link[!i], pkts[k], s->now);
		}
	while (stack_next_woken(s->host[i].st, &wake))
		;
}

static time_ns program_next(const struct sim *s, const struct host *h)
{
	const struct program *p = &h->prog;
	time_ns next = TIME_NEVER;

	if (!h->so)
		return next;
	if (p->read_at > s->now && !p->eof && (sock_events(h->so) & EPOLLIN))
		next = p->read_at;
	if (p->write_at > s->now && p->sent < p->cfg->tx_bytes && (sock_events(h->so) & EPOLLOUT) &&
	    p->write_at < next)
		next = p->write_at;
	return next;
}

static time_ns next_event(const struct sim *s)
{
	time_ns next = TIME_NEVER;

	for (unsigned i = 0; i < 2; i++) {
		time_ns t[3] = {sim_link_next(&s->link[i]), stack_next_timer(s->host[i].st),
				program_next(s, &s->host[i])};
		for (unsigned k = 0; k < 3; k++)
			if (t[k] < next)
				next = t[k];
	}
	return next > s->now ? next : s->now;
}

static bool finished(const struct sim *s)
{
	return s->host[0].prog.closed && s->host[1].prog.closed && stack_undelivered(s->host[0].st) == 0 &&
	       stack_undelivered(s->host[1].st) == 0;
}

static void run_until(struct sim *s, time_ns limit, bool (*done)(const struct sim *))
{
	unsigned still = 0;

	while (s->res->ok && !(done && done(s))) {
		for (unsigned i = 0; i < 2; i++)
			host_receives(s, i);
		for (unsigned i = 0; i < 2; i++)
			program_runs(s, &s->host[i]);
		for (unsigned i = 0; i < 2; i++)
			host_sends(s, i);
		time_ns next = next_event(s);
		if (next == TIME_NEVER || next > limit)
			return;
		still = next == s->now ? still + 1 : 0;
		if (still > 10000)
			return fail(s, "time stands still at %lu ns", (unsigned long)s->now);
		s->now = next;
	}
}

static void explain_hang(struct sim *s)
{
	static char dump[8192];

	fail(s, "hangs: %lu of %lu and %lu of %lu bytes arrived", (unsigned long)s->host[1].prog.received,
	     (unsigned long)s->cfg->program[0].tx_bytes, (unsigned long)s->host[0].prog.received,
	     (unsigned long)s->cfg->program[1].tx_bytes);
	for (unsigned i = 0; i < 2; i++) {
		dump[0] = '\0';
		stack_dump(s->host[i].st, dump, sizeof dump);
		fprintf(stderr, "--- host %u\n%s", i, dump);
	}
}

static void check_streams(struct sim *s)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct program *from = &s->host[i].prog, *to = &s->host[!i].prog;
		bool aborted = from->cfg->end == SIM_END_ABORT || to->cfg->end == SIM_END_ABORT;
		if (!aborted && (to->received != from->cfg->tx_bytes || to->crc_received != from->crc_sent))
			fail(s, "host %u sent %lu bytes (crc %08x), %lu arrived (crc %08x)", i,
			     (unsigned long)from->sent, from->crc_sent, (unsigned long)to->received,
			     to->crc_received);
		s->res->crc_sent[i] = from->crc_sent;
		s->res->crc_received[i] = to->crc_received;
		s->res->received[i] = s->host[i].prog.received;
		s->res->bytes += s->host[i].prog.received;
	}
}

static uint64_t counter(const struct stack *st, const char *name)
{
	const uint64_t *values;
	const char *const *names;
	unsigned n = stack_counters(st, &values, &names);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return values[i];
	return 0;
}

static void host_fini(struct sim *s, unsigned i)
{
	struct host *h = &s->host[i];

	s->res->retransmitted += counter(h->st, "tcp_retrans");
	s->res->timeouts += counter(h->st, "tcp_rto");
	if (s->res->ok && stack_undelivered(h->st))
		fail(s, "host %u: something is left undelivered", i);
	stack_fini(h->st);
	uint32_t there = rte_mempool_avail_count(h->pool);
	if (there != h->mbufs)
		fail(s, "host %u: %d packet buffers are missing", i, (int)h->mbufs - (int)there);
	free(h->mem);
}

struct sim_result sim_run(const struct sim_config *cfg)
{
	struct sim_result res = {.ok = true};
	struct sim s = {.cfg = cfg, .rng = {.state = cfg->seed * 0xD1342543DE82EF95ULL + 1}, .res = &res};

	for (unsigned i = 0; i < 2; i++) {
		s.host[i].mbufs = cfg->mbufs;
		s.host[i].pool = pool_of(i, cfg->mbufs);
		host_init(&s, i);
		sim_link_init(&s.link[i], &cfg->link[i], cfg->seed * 2 + i);
	}
	connect_hosts(&s);
	run_until(&s, cfg->time_limit, finished);
	res.took = s.now;
	if (res.ok && !finished(&s))
		explain_hang(&s);
	if (res.ok)
		check_streams(&s);
	for (unsigned i = 0; i < 2; i++) {
		res.frames += s.link[i].frames;
		res.lost += s.link[i].lost;
		res.reordered += s.link[i].reordered;
		res.duplicated += s.link[i].duplicated;
		res.corrupted += s.link[i].corrupted;
		sim_link_fini(&s.link[i]);
		host_fini(&s, i);
	}
	return res;
}
