/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_tcp.c - segments into listening and established connections, with steps of the clock and socket calls
 *
 * The input is a list of steps: an opcode byte and its arguments. Sequence numbers are relative to what the
 * stack sent last, so that most segments fall near the window.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "fuzz_host.h"

static void put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

/* Small distances are more interesting than large ones. */
static uint32_t distance(struct fuzz_in *in)
{
	uint8_t kind = fuzz_u8(in);

	switch (kind >> 6) {
	case 0:
		return kind & 63 ? (uint32_t)(kind & 63) - 32 : 0;
	case 1:
		return 0;
	case 2:
		return fuzz_u16(in);
	default:
		return fuzz_u32(in);
	}
}

static void segment(struct fuzz_host *h, struct fuzz_in *in, uint8_t flags, uint16_t sport)
{
	uint8_t frame[2048];
	uint8_t *t = frame + 34;
	uint8_t shape = fuzz_u8(in);
	unsigned opts = shape & 0x0f ? (shape & 0x0f) % 11 * 4U : 0, len = shape >> 4;

	len = len == 15 ? 1400 : len * 10;
	memset(frame, 0, sizeof frame);
	t[0] = (uint8_t)(sport >> 8), t[1] = (uint8_t)sport;
	t[3] = FUZZ_PORT;
	put32(t + 4, h->tx_ack + distance(in));
	put32(t + 8, h->tx_seq + distance(in));
	t[12] = (uint8_t)((5 + opts / 4) << 4);
	t[13] = flags;
	t[14] = fuzz_u8(in);
	t[15] = fuzz_u8(in);
	if (flags & 0x20)
		t[19] = fuzz_u8(in);
	for (unsigned i = 0; i < opts; i++)
		t[20 + i] = fuzz_u8(in);
	fuzz_host_rx(h, frame, fuzz_ip_header(frame, IPPROTO_TCP, 20 + opts + len));
}

/* A well-formed handshake, up to the accepted socket. */
static void handshake(struct fuzz_host *h, uint16_t sport, uint8_t options)
{
	static const uint8_t syn_opts[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
	uint8_t frame[128] = {0}, *t = frame + 34;
	unsigned opts = options & 1 ? sizeof syn_opts : 4;

	t[0] = (uint8_t)(sport >> 8), t[1] = (uint8_t)sport;
	t[3] = FUZZ_PORT;
	put32(t + 4, 0xffffff00);
	t[12] = (uint8_t)((5 + opts / 4) << 4);
	t[13] = 0x02;
	t[14] = 0xff;
	memcpy(t + 20, syn_opts, opts);
	fuzz_host_rx(h, frame, fuzz_ip_header(frame, IPPROTO_TCP, 20 + opts));
	put32(t + 4, 0xffffff01);
	put32(t + 8, h->tx_seq + 1);
	t[12] = 5 << 4;
	t[13] = 0x10;
	fuzz_host_rx(h, frame, fuzz_ip_header(frame, IPPROTO_TCP, 20));
	fuzz_host_accept(h);
}

static void socket_call(struct fuzz_host *h, struct fuzz_in *in, struct sock **so)
{
	static uint8_t buf[70000];
	uint8_t what = fuzz_u8(in);
	struct iovec iov = {.iov_base = buf, .iov_len = fuzz_u16(in)};
	int v = (int8_t)fuzz_u8(in);
	ssize_t rc;

	switch (what % 8) {
	case 0:
		rc = sock_send(*so, &iov, 1, v & 1 ? MSG_MORE : v & 2 ? MSG_OOB : 0, NULL);
		FUZZ_CHECK(rc <= (ssize_t)iov.iov_len, "more sent than asked");
		break;
	case 1:
		rc = sock_recv(*so, &iov, 1,
			       v & 1   ? MSG_PEEK
			       : v & 2 ? MSG_OOB
			       : v & 4 ? MSG_TRUNC
				       : 0,
			       NULL);
		FUZZ_CHECK(rc <= (ssize_t)iov.iov_len, "more received than asked");
		break;
	case 2:
		(void)sock_shutdown(*so, v & 3);
		break;
	case 3:
		sock_close(*so);
		*so = NULL;
		break;
	case 4:
		(void)sock_setopt(*so, IPPROTO_TCP, iov.iov_len & 63, &v, sizeof v);
		break;
	case 5:
		(void)sock_setopt(*so, SOL_SOCKET, iov.iov_len & 63, &v, sizeof v);
		break;
	case 6: {
		socklen_t len = iov.iov_len & 255;
		(void)sock_getopt(*so, v & 1 ? IPPROTO_TCP : SOL_SOCKET, v & 63, buf, &len);
		break;
	}
	default:
		(void)sock_disconnect(*so);
	}
	fuzz_host_drain(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, data + size};
	struct fuzz_host *h = fuzz_host_start();
	uint16_t sport = 40000;

	for (unsigned steps = 0; fuzz_left(&in) && steps < 400; steps++) {
		uint8_t op = fuzz_u8(&in);
		switch (op & 7) {
		case 0:
			handshake(h, sport = (uint16_t)(40000 + (op >> 3)), fuzz_u8(&in));
			break;
		case 1:
		case 2:
		case 3:
			segment(h, &in, fuzz_u8(&in), h->tx_dport && op & 64 ? h->tx_dport : sport);
			break;
		case 4:
			segment(h, &in, 0x10, sport);
			break;
		case 5:
			fuzz_host_advance(h, (time_ns)(op >> 3) * (op >> 3) * NS_PER_MS * 10);
			break;
		default:
			if (h->so[(op >> 3) % FUZZ_SOCKS])
				socket_call(h, &in, &h->so[(op >> 3) % FUZZ_SOCKS]);
			fuzz_host_accept(h);
		}
	}
	fuzz_host_stop(h);
	return 0;
}
