/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_kit_say.c - what a packet-level test says: the peer's segments, the program's calls, and what is
 * expected
 */
#include "tcp_kit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAIL(k, ...) tcp_kit_fail(k, __FILE__, __LINE__, __VA_ARGS__)

/* --- time -------------------------------------------------------------------------------------------------
 */

void advance_to_ms(struct tcp_kit *k, uint64_t ms)
{
	advance_to_ns(k, ms * NS_PER_MS);
}

void advance_ms(struct tcp_kit *k, uint64_t ms)
{
	advance_to_ns(k, k->now + ms * NS_PER_MS);
}

/* --- the peer ---------------------------------------------------------------------------------------------
 */

void tcp_kit_rx(struct tcp_kit *k, const struct seg *s)
{
	tcp_kit_rx_burst(k, &s, 1);
}

void tcp_kit_rx_burst(struct tcp_kit *k, const struct seg *const *segs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		memdev_inject(&k->md, tcp_kit_build(k, segs[i]));
	tcp_kit_poll(k);
}

const char *tcp_kit_syn_opts(struct tcp_kit *k)
{
	static char text[128];
	int n = snprintf(text, sizeof text, "mss %u", k->opt.mss ? k->opt.mss : 1000);

	if (k->opt.sack)
		n += snprintf(text + n, sizeof text - (size_t)n, ",sackOK");
	else if (k->opt.ts)
		n += snprintf(text + n, sizeof text - (size_t)n, ",nop,nop");
	if (k->opt.ts)
		n += snprintf(text + n, sizeof text - (size_t)n, ",TS val %u ecr %u",
			      (unsigned)(k->now / NS_PER_MS) + 1000, k->flows[0].last_ts_val);
	else if (k->opt.sack)
		n += snprintf(text + n, sizeof text - (size_t)n, ",nop,nop");
	if (k->opt.wscale)
		snprintf(text + n, sizeof text - (size_t)n, ",nop,wscale %u", k->opt.wscale);
	return text;
}

void tcp_kit_peer_connects(struct tcp_kit *k, unsigned flow)
{
	tcp_kit_rx(k, SEG(.flow = flow, .seq = -1, .flags = "S", .opts = tcp_kit_syn_opts(k)));
	expect_tx(k, SEG(.flow = flow, .seq = -1, .ack = 0, .flags = "SA"));
	if (k->opt.rtt_ms)
		advance_ms(k, k->opt.rtt_ms);
	k->flows[flow].ts = k->opt.ts;
	tcp_kit_rx(k, SEG(.flow = flow, .flags = "A"));
	expect_silence(k);
}

struct sock *tcp_kit_connect(struct tcp_kit *k, unsigned flow)
{
	struct sock *so = NULL;
	struct endpoint peer = {.addr = ip_addr_v4(inet_addr(KIT_PEER_ADDR)),
				.port = htons(k->flows[flow].peer_port)};

	k->flows[flow].local_port = 0;
	int rc = sock_new(k->st, AF_INET, SOCK_STREAM, &so);
	if (rc == 0)
		rc = sock_connect(so, &peer);
	if (rc != -EINPROGRESS)
		FAIL(k, "connect: %s", strerror(-rc));
	tcp_kit_poll(k);
	return so;
}

void tcp_kit_flow_again(struct tcp_kit *k, unsigned flow)
{
	struct kit_flow *f = &k->flows[flow];

	f->peer_isn += 1000000;
	f->stack_isn_known = false;
	f->ts = false;
	f->last_ts_val = 0;
}

void tcp_kit_established_with(struct tcp_kit *k, const struct tcp_kit_options *opt)
{
	if (!k->st)
		tcp_kit_start_with(k, opt);
	k->opt = *opt;
	if (!opt->active) {
		tcp_kit_listen(k, opt->backlog ? opt->backlog : 8);
		tcp_kit_peer_connects(k, 0);
		tcp_kit_accept(k);
		return;
	}
	k->so = tcp_kit_connect(k, 0);
	expect_tx(k, SEG(.seq = -1, .flags = "S"));
	if (opt->rtt_ms)
		advance_ms(k, opt->rtt_ms);
	tcp_kit_rx(k, SEG(.seq = -1, .ack = 0, .flags = "SA", .opts = tcp_kit_syn_opts(k)));
	k->flows[0].ts = opt->ts;
	expect_tx(k, SEG(.flags = "A"));
	expect_silence(k);
}

/* --- what is expected
 * --------------------------------------------------------------------------------------- */

unsigned tcp_kit_tx_count(const struct tcp_kit *k)
{
	return k->tx_tail - k->tx_head;
}

const struct seg_frame *tcp_kit_next_tx(struct tcp_kit *k)
{
	static struct seg_frame last;

	if (k->tx_head == k->tx_tail)
		return NULL;
	seg_frame_fini(&last);
	last = k->tx[k->tx_head++ % KIT_TX_LEN];
	last.seg.flags = last.flags;
	if (last.seg.opts)
		last.seg.opts = last.opts;
	return &last;
}

void tcp_kit_drop_tx(struct tcp_kit *k)
{
	while (tcp_kit_next_tx(k))
		;
}

/* Numbers of the expectation are relative, ports and addresses those of its flow. */
static void must_match(struct tcp_kit *k, const struct seg *want, const struct seg_frame *got,
		       const char *file, int line)
{
	struct seg w = *want;
	const struct kit_flow *f = &k->flows[want->flow];
	char why[64], want_text[512], got_text[512];

	if (!w.src)
		w.src = inet_addr(KIT_STACK_ADDR);
	if (!w.dst)
		w.dst = inet_addr(KIT_PEER_ADDR);
	if (!w.proto || w.proto == IPPROTO_TCP) {
		if (!w.sport)
			w.sport = f->local_port;
		if (!w.dport)
			w.dport = f->peer_port;
	}
	seg_print(&w, want_text, sizeof want_text);
	if (!got)
		tcp_kit_fail(k, file, line, "nothing was sent, expected\n  %s", want_text);
	if (seg_matches(&w, &got->seg, why, sizeof why))
		return;
	seg_print(&got->seg, got_text, sizeof got_text);
	tcp_kit_fail(k, file, line, "wrong %s: expected\n  %s\nsent at %lu.%06lu ms was\n  %s", why,
		     want_text, (unsigned long)(got->at / NS_PER_MS), (unsigned long)(got->at % NS_PER_MS),
		     got_text);
}

void expect_tx_from(struct tcp_kit *k, const struct seg *s, const char *file, int line)
{
	must_match(k, s, tcp_kit_next_tx(k), file, line);
}

void expect_silence_from(struct tcp_kit *k, time_ns until, const char *file, int line)
{
	if (until > k->now && tcp_kit_tx_count(k) == 0)
		advance_to_ns(k, until);
	const struct seg_frame *f = tcp_kit_next_tx(k);
	if (!f)
		return;
	char text[512];
	seg_print(&f->seg, text, sizeof text);
	tcp_kit_fail(k, file, line, "expected silence, but at %lu.%06lu ms was sent\n  %s",
		     (unsigned long)(f->at / NS_PER_MS), (unsigned long)(f->at % NS_PER_MS), text);
}

void expect_tx_at_from(struct tcp_kit *k, time_ns at, const struct seg *s, const char *file, int line)
{
	expect_silence_from(k, at - 1, file, line);
	advance_to_ns(k, at);
	expect_tx_from(k, s, file, line);
}

/* --- the program
 * -------------------------------------------------------------------------------------------- */

static struct iovec iov_of(const void *buf, size_t len)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
}

void tcp_kit_listen(struct tcp_kit *k, int backlog)
{
	struct endpoint any = {.addr = ip_addr_any(), .port = htons(KIT_PORT)};
	int rc = sock_new(k->st, AF_INET, SOCK_STREAM, &k->listener);

	if (rc == 0)
		rc = sock_bind(k->listener, &any);
	if (rc == 0)
		rc = sock_listen(k->listener, backlog);
	if (rc != 0)
		FAIL(k, "listen: %s", strerror(-rc));
}

void tcp_kit_accept(struct tcp_kit *k)
{
	int rc = sock_accept(k->listener, &k->so);

	if (rc != 0)
		FAIL(k, "accept: %s", strerror(-rc));
	k->written = k->read = 0;
	tcp_kit_poll(k);
}

ssize_t tcp_kit_app_send(struct tcp_kit *k, uint32_t bytes, int flags)
{
	uint8_t *data = malloc(bytes + 1);

	for (uint32_t i = 0; i < bytes; i++)
		data[i] = kit_byte(k->written + i);
	struct iovec iov = iov_of(data, bytes);
	ssize_t rc = sock_send(k->so, &iov, 1, flags, NULL);
	free(data);
	if (rc > 0)
		k->written += (uint32_t)rc;
	tcp_kit_poll(k);
	return rc;
}

void tcp_kit_app_writes(struct tcp_kit *k, uint32_t bytes)
{
	ssize_t rc = tcp_kit_app_send(k, bytes, 0);

	if (rc != (ssize_t)bytes)
		FAIL(k, "write of %u bytes gave %zd", bytes, rc);
}

ssize_t tcp_kit_app_recv(struct tcp_kit *k, void *buf, size_t len, int flags)
{
	struct iovec iov = iov_of(buf, len);
	ssize_t rc = sock_recv(k->so, &iov, 1, flags, NULL);

	tcp_kit_poll(k);
	return rc;
}

void tcp_kit_app_reads(struct tcp_kit *k, uint32_t bytes)
{
	uint8_t *buf = malloc(bytes + 1);
	uint32_t got = 0;

	while (got < bytes) {
		ssize_t rc = tcp_kit_app_recv(k, buf + got, bytes - got, 0);
		if (rc <= 0)
			FAIL(k, "read of %u bytes: %zd after %u", bytes, rc, got);
		got += (uint32_t)rc;
	}
	for (uint32_t i = 0; i < bytes; i++)
		if (buf[i] != kit_byte(k->read + i))
			FAIL(k, "byte %u of the stream is %02x, not %02x", k->read + i, buf[i],
			     kit_byte(k->read + i));
	free(buf);
	k->read += bytes;
}

void tcp_kit_app_reads_eof(struct tcp_kit *k)
{
	uint8_t byte;
	ssize_t rc = tcp_kit_app_recv(k, &byte, 1, 0);

	if (rc != 0)
		FAIL(k, "read at the end of the stream gave %zd", rc);
}

void tcp_kit_close(struct tcp_kit *k)
{
	sock_close(k->so);
	k->so = NULL;
	tcp_kit_poll(k);
}

void tcp_kit_shutdown(struct tcp_kit *k, int how)
{
	int rc = sock_shutdown(k->so, how);

	if (rc != 0)
		FAIL(k, "shutdown: %s", strerror(-rc));
	tcp_kit_poll(k);
}

void tcp_kit_set(struct tcp_kit *k, int level, int name, int value)
{
	int rc = sock_setopt(k->so, level, name, &value, sizeof value);

	if (rc != 0)
		FAIL(k, "setsockopt(%d, %d, %d): %s", level, name, value, strerror(-rc));
	tcp_kit_poll(k);
}

int tcp_kit_get(struct tcp_kit *k, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof value;
	int rc = sock_getopt(k->so, level, name, &value, &len);

	if (rc != 0)
		FAIL(k, "getsockopt(%d, %d): %s", level, name, strerror(-rc));
	return value;
}

struct tcp_info tcp_kit_info(struct tcp_kit *k)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;
	int rc = sock_getopt(k->so, IPPROTO_TCP, TCP_INFO, &info, &len);

	if (rc != 0)
		FAIL(k, "TCP_INFO: %s", strerror(-rc));
	return info;
}

uint64_t tcp_kit_counter_by_name(struct tcp_kit *k, const char *name)
{
	const uint64_t *values;
	const char *const *names;
	unsigned n = stack_counters(k->st, &values, &names);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return values[i];
	FAIL(k, "no counter is called %s", name);
}
