/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_ip.c - raw frames: Ethernet, ARP, IPv4 with options and fragments, ICMP, UDP
 *
 * The input is a list of frames: a byte that says what stands in front (nothing, an Ethernet, ARP, IP, ICMP
 * or UDP header, right or nearly so), a length, and the bytes.
 */
#include "fuzz_host.h"

static size_t arp(uint8_t *f)
{
	static const uint8_t request[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,   1,  8, 6,
					    0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,   0,  0, 1,
					    198,  18,   0,    1,    0,    0,    0, 0, 0, 0, 198, 18, 0, 2};

	memcpy(f, request, sizeof request);
	return sizeof request;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, data + size};
	struct fuzz_host *h = fuzz_host_start();
	struct endpoint any = {.addr = ip_addr_any(), .port = htons(53)};
	struct sock *udp = NULL;

	if (sock_new(h->st, AF_INET, SOCK_DGRAM, &udp) == 0)
		(void)sock_bind(udp, &any);
	for (unsigned frames = 0; fuzz_left(&in) && frames < 200; frames++) {
		uint8_t frame[2048] = {0}, buf[2048];
		uint8_t op = fuzz_u8(&in);
		size_t n = fuzz_u8(&in), at = 0;
		if (n > (size_t)(in.end - in.p))
			n = (size_t)(in.end - in.p);
		switch (op & 7) {
		case 0: /* raw */
			break;
		case 1:
			at = arp(frame);
			for (size_t i = 0; i + 1 < n; i += 2) /* change single bytes */
				frame[14 + in.p[i] % 28] = in.p[i + 1];
			fuzz_host_rx(h, frame, at);
			in.p += n;
			continue;
		case 2: /* an IP header some bytes of which are the input's */
		case 3:
			fuzz_ip_header(frame, op & 8 ? IPPROTO_ICMP : IPPROTO_UDP, n);
			frame[14 + fuzz_u8(&in) % 20] = fuzz_u8(&in);
			at = 34;
			break;
		case 4: /* a fragment */
			fuzz_ip_header(frame, IPPROTO_UDP, n);
			frame[18] = op >> 6;
			frame[20] = (uint8_t)(op >> 3 & 1) << 5;
			frame[21] = fuzz_u8(&in) & 15;
			at = 34;
			break;
		case 5: /* clock */
			fuzz_host_advance(h, (time_ns)(op >> 3) * NS_PER_SEC);
			continue;
		case 6: { /* the program */
			struct iovec iov = {.iov_base = buf, .iov_len = n * 8};
			struct endpoint to = {.addr = ip_addr_v4(htonl(0xc6120000 | op >> 4)),
					      .port = htons(9)};
			if (udp && op & 8)
				(void)sock_send(udp, &iov, 1, 0, &to);
			else if (udp)
				(void)sock_recv(udp, &iov, 1, 0, NULL);
			fuzz_host_drain(h);
			continue;
		}
		default:
			fuzz_ip_header(frame, IPPROTO_UDP, n + 8);
			frame[37] = 53;
			frame[39] = (uint8_t)(n + 8);
			at = 42;
		}
		if (n > (size_t)(in.end - in.p))
			n = (size_t)(in.end - in.p);
		memcpy(frame + at, in.p, n);
		in.p += n;
		fuzz_host_rx(h, frame, at + n);
	}
	if (udp)
		sock_close(udp);
	fuzz_host_stop(h);
	return 0;
}
