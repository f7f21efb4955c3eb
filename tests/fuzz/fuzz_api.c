/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_api.c - any order of socket calls, the stack talking to itself: both ends are the input's
 *
 * Packets to an own address come back without a wire, so real connections arise between the sockets.
 */
#include "fuzz_host.h"

#define SOCKS 12

static struct sock *socks[SOCKS];

static struct endpoint endpoint_of(uint8_t byte)
{
	struct endpoint e = {.addr = ip_addr_v4(htonl(0xc6120002)),
			     .port = htons((uint16_t)(FUZZ_PORT + (byte & 3)))};

	if (byte & 4)
		e.addr = ip_addr_any();
	if ((byte & 24) == 24)
		e.addr = ip_addr_v4(htonl(0xc6120009)); /* nobody there */
	return e;
}

static void call(struct fuzz_host *h, struct fuzz_in *in, uint8_t op)
{
	static uint8_t buf[70000];
	unsigned i = fuzz_u8(in) % SOCKS;
	uint8_t arg = fuzz_u8(in);
	struct endpoint e = endpoint_of(arg);
	struct iovec iov = {.iov_base = buf, .iov_len = (size_t)arg * (op & 0x80 ? 256 : 1)};
	struct sock *so = socks[i];
	int v = (int8_t)arg;

	if (!so) {
		if (sock_new(h->st, AF_INET, op & 0x80 ? SOCK_DGRAM : SOCK_STREAM, &socks[i]) != 0)
			socks[i] = NULL;
		return;
	}
	switch (op % 13) {
	case 0:
		(void)sock_bind(so, &e);
		break;
	case 1:
		(void)sock_listen(so, v);
		break;
	case 2: {
		unsigned j = (unsigned)(arg >> 4) % SOCKS;
		if (!socks[j] && sock_accept(so, &socks[j]) != 0)
			socks[j] = NULL;
		break;
	}
	case 3:
		(void)sock_connect(so, &e);
		break;
	case 4:
		(void)sock_disconnect(so);
		break;
	case 5:
		(void)sock_send(so, &iov, 1, arg & 1 ? MSG_MORE : 0, arg & 2 ? &e : NULL);
		break;
	case 6:
		(void)sock_recv(so, &iov, 1, arg & 1 ? MSG_PEEK : 0, NULL);
		break;
	case 7:
		(void)sock_shutdown(so, arg & 3);
		break;
	case 8:
		sock_close(so);
		socks[i] = NULL;
		break;
	case 9:
		(void)sock_setopt(so, arg & 1 ? SOL_SOCKET : IPPROTO_TCP, arg >> 1, &v, sizeof v);
		break;
	case 10: {
		struct rte_mbuf *list = NULL;
		ssize_t room = sock_tx_alloc(so, iov.iov_len, &list);
		if (room > 0)
			(void)sock_tx_append(so, list, (size_t)room / (1 + (arg & 3)), 0);
		break;
	}
	case 11:
		(void)sock_ioctl(so, arg & 1 ? 0x541b : 0x5411, &v);
		break;
	default: {
		struct linger l = {.l_onoff = arg & 1, .l_linger = arg >> 4};
		(void)sock_setopt(so, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, data + size};
	struct fuzz_host *h = fuzz_host_start();

	memset(socks, 0, sizeof socks);
	for (unsigned steps = 0; fuzz_left(&in) && steps < 600; steps++) {
		uint8_t op = fuzz_u8(&in);
		if ((op & 15) == 15)
			fuzz_host_advance(h, (time_ns)(op >> 4) * (op >> 4) * 20 * NS_PER_MS);
		else
			call(h, &in, op);
		if (op & 0x40)
			fuzz_host_drain(h);
		fuzz_host_accept(h);
	}
	for (unsigned i = 0; i < SOCKS; i++)
		if (socks[i])
			sock_close(socks[i]);
	fuzz_host_stop(h);
	return 0;
}
