/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_udp.c - which socket a datagram belongs to, what it may hold, hostile datagrams, errors, full tables
 */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "ip_kit.h"
#include "stack/stack_priv.h"

static const char *const second_addr = "198.18.0.5";

static void two_addresses(struct stack_config *cfg)
{
	cfg->addrs[1] = (struct stack_addr){.addr = ip_kit_addr(second_addr), .prefix_len = 24};
	cfg->n_addrs = 2;
}

static void rx(struct ip_kit *k, const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	ip_kit_rx(k, SEG(.proto = IPPROTO_UDP, .src = ip_kit_addr(src), .dst = ip_kit_addr(dst),
			 .sport = sport, .dport = dport, .len = 4));
}

/* Did exactly this socket of the n get one datagram? */
static bool only(struct sock *const *socks, unsigned n, const struct sock *want)
{
	char buf[64];
	bool ok = true;

	for (unsigned i = 0; i < n; i++)
		ok &= (ip_kit_recv(socks[i], buf, sizeof(buf), 0) == 4) == (socks[i] == want);
	return ok;
}

static void set(struct sock *so, int name)
{
	int on = 1;

	cr_assert_eq(sock_setopt(so, SOL_SOCKET, name, &on, sizeof(on)), 0);
}

Test(udp, connected_before_specific_before_wildcard)
{
	IP_KIT_WITH(k, .configure = two_addresses);
	struct sock *s[3];
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5), at = ip_kit_endpoint(KIT_STACK, 1000),
			any = ip_kit_endpoint("0.0.0.0", 1000);

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(sock_new(k.st, AF_INET, SOCK_DGRAM, &s[i]), 0);
		set(s[i], SO_REUSEADDR);
		cr_assert_eq(sock_bind(s[i], i == 0 ? &any : &at), 0);
	}
	cr_assert_eq(sock_connect(s[2], &peer), 0);
	rx(&k, KIT_PEER, 5, KIT_STACK, 1000);
	cr_assert(only(s, 3, s[2]));
	rx(&k, KIT_PEER, 6, KIT_STACK, 1000);
	cr_assert(only(s, 3, s[1]));
	rx(&k, KIT_PEER, 5, second_addr, 1000);
	cr_assert(only(s, 3, s[0]));
}

Test(udp, reuseport_spreads_by_sender_and_stays)
{
	IP_KIT(k);
	struct sock *s[4];
	struct endpoint any = ip_kit_endpoint("0.0.0.0", 1000);
	unsigned got[4] = {0};
	char buf[64];

	for (int i = 0; i < 4; i++) {
		cr_assert_eq(sock_new(k.st, AF_INET, SOCK_DGRAM, &s[i]), 0);
		set(s[i], SO_REUSEPORT);
		cr_assert_eq(sock_bind(s[i], &any), 0);
	}
	for (uint16_t port = 1; port <= 400; port++) {
		int chosen = -1;

		for (int twice = 0; twice < 2; twice++) {
			rx(&k, KIT_PEER, port, KIT_STACK, 1000);
			for (int i = 0; i < 4; i++) {
				if (ip_kit_recv(s[i], buf, sizeof(buf), 0) != 4)
					continue;
				cr_assert(chosen < 0 || chosen == i);
				chosen = i;
			}
		}
		got[chosen]++;
	}
	for (int i = 0; i < 4; i++)
		cr_assert(got[i] > 60 && got[i] < 140, "socket %d got %u of 400", i, got[i]);
}

Test(udp, bind_conflicts)
{
	IP_KIT_WITH(k, .configure = two_addresses);
	struct endpoint any = ip_kit_endpoint("0.0.0.0", 1000), one = ip_kit_endpoint(KIT_STACK, 1000),
			two = ip_kit_endpoint(second_addr, 1000), far = ip_kit_endpoint("192.0.2.1", 1000);
	struct sock *a = ip_kit_udp(&k, KIT_STACK, 1000), *b = ip_kit_udp(&k, "0.0.0.0", 0);

	cr_assert_eq(sock_bind(b, &one), -EADDRINUSE);
	cr_assert_eq(sock_bind(b, &any), -EADDRINUSE);
	cr_assert_eq(sock_bind(b, &far), -EADDRNOTAVAIL);
	set(b, SO_REUSEADDR);
	cr_assert_eq(sock_bind(b, &one), -EADDRINUSE, "both must agree");
	set(a, SO_REUSEADDR);
	cr_assert_eq(sock_bind(b, &any), 0);
	cr_assert_eq(sock_bind(b, &two), -EINVAL, "bound already");
	sock_close(b);
	b = ip_kit_udp(&k, second_addr, 1000);
	sock_close(a);
	a = ip_kit_udp(&k, KIT_STACK, 1000);
	cr_assert_not_null(a);
}

Test(udp, broadcast_reaches_every_socket_of_the_port)
{
	IP_KIT(k);
	struct sock *s[3];
	struct endpoint any = ip_kit_endpoint("0.0.0.0", 1000);
	char buf[64];

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(sock_new(k.st, AF_INET, SOCK_DGRAM, &s[i]), 0);
		set(s[i], SO_REUSEADDR);
		cr_assert_eq(sock_bind(s[i], &any), 0);
	}
	rx(&k, KIT_PEER, 5, "198.18.0.255", 1000);
	rx(&k, KIT_PEER, 5, "255.255.255.255", 1000);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(ip_kit_recv(s[i], buf, sizeof(buf), 0), 4);
		cr_assert_eq(ip_kit_recv(s[i], buf, sizeof(buf), 0), 4);
		cr_assert_eq(ip_kit_recv(s[i], buf, sizeof(buf), 0), -EAGAIN);
	}
}

Test(udp, malformed_lengths_and_checksums)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct rte_mbuf *m;
	char buf[64];

	for (unsigned len = 0; len < 65536; len += len < 32 ? 1 : 1777) {
		m = ip_kit_build(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 12));
		*rte_pktmbuf_mtod_offset(m, be16 *, 34 + 4) = htons((uint16_t)len);
		*rte_pktmbuf_mtod_offset(m, be16 *, 34 + 6) = 0; /* no checksum: only the length is wrong */
		ip_kit_rx_mbuf(&k, m);
		cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0),
			     len >= 8 && len <= 20 ? (ssize_t)len - 8 : -EAGAIN, "%u", len);
	}
	for (int less = 13; less <= 20; less++)
		ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 12, .ip_len_add = -less));
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), -EAGAIN);
	ip_kit_rx(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 12, .l4_csum_xor = 0x8000));
	ip_kit_counter_is(&k, udp_rx_bad_csum, 1);
	cr_assert_eq(ip_kit_recv(so, buf, sizeof(buf), 0), -EAGAIN);
}

Test(udp, receive_buffer_bounds_bytes)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct sock_recv_info info;
	struct iovec none = {0};
	int small = 4096;
	unsigned n = 0;
	char c;

	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (int i = 0; i < 100; i++)
		rx(&k, KIT_PEER, 5, KIT_STACK, 1000);
	cr_assert_eq(sock_recv(so, &none, 1, MSG_PEEK, &info), 0);
	while (ip_kit_recv(so, &c, 1, 0) == 1)
		n++;
	cr_assert(n > 5 && n < 20, "%u", n);
	ip_kit_counter_is(&k, udp_rx_buffer_full, 100 - n);
	cr_assert_eq(info.dropped, 100 - n);
	cr_assert_eq(k.st->held_mbufs, 0);
	rx(&k, KIT_PEER, 5, KIT_STACK, 1000);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), 1, "goes on");
}

Test(udp, held_buffers_leave_a_reserve_for_receiving)
{
	IP_KIT(k);
	struct sock *s[16];
	char c;

	for (uint16_t i = 0; i < 16; i++)
		s[i] = ip_kit_udp(&k, "0.0.0.0", (uint16_t)(1000 + i));
	for (int i = 0; i < 5000; i++)
		rx(&k, KIT_PEER, 5, KIT_STACK, (uint16_t)(1000 + i % 16));
	cr_assert_leq(k.st->held_mbufs, KIT_MBUFS - KIT_MBUFS / 4);
	cr_assert_geq(rte_mempool_avail_count(k.pool), KIT_MBUFS / 4);
	for (int i = 0; i < 16; i++)
		while (ip_kit_recv(s[i], &c, 1, 0) == 1)
			;
	cr_assert_eq(k.st->held_mbufs, 0);
}

Test(udp, port_unreachable_is_told_to_the_connected_socket_once)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000), *woken;
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);
	uint8_t quote[28] = {0x45, 0, 0, 29, 0, 0, 0, 0, 64, IPPROTO_UDP};
	uint32_t wake;
	char c;

	cr_assert_eq(sock_connect(so, &peer), 0);
	memcpy(quote + 12, &(be32){ip_kit_addr(KIT_STACK)}, 4);
	memcpy(quote + 16, &(be32){ip_kit_addr(KIT_PEER)}, 4);
	quote[20] = 1000 >> 8, quote[21] = 1000 & 0xff, quote[23] = 6;
	ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3, .len = 28, .data = quote));
	cr_assert_eq(sock_events(so), EPOLLOUT, "another peer's port");
	quote[23] = 5;
	ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 1, .len = 28, .data = quote));
	cr_assert_eq(sock_events(so), EPOLLOUT, "host unreachable is soft");
	ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3, .len = 28, .data = quote));
	cr_assert_eq(sock_events(so), EPOLLOUT | EPOLLERR);
	woken = stack_next_woken(k.st, &wake);
	cr_assert_eq(woken, so);
	cr_assert_eq(wake, EPOLLERR);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), -ECONNREFUSED);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), -EAGAIN);
	cr_assert_eq(sock_events(so), EPOLLOUT);
}

Test(udp, path_mtu_discovery)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint("192.0.2.9", 5);
	uint8_t quote[28] = {0x45, 0, 0x05, 0xdc, 0, 0, 0, 0, 64, IPPROTO_UDP};
	static uint8_t data[1472];
	int disc = IP_PMTUDISC_DO, mtu;
	socklen_t len = sizeof(mtu);

	cr_assert_eq(sock_connect(so, &peer), 0);
	cr_assert_eq(ip_kit_send(so, data, 1472, NULL), 1472);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .frag_off = 0x4000, .len = 1472));
	memcpy(quote + 12, &(be32){ip_kit_addr(KIT_STACK)}, 4);
	memcpy(quote + 16, &(be32){ip_kit_addr("192.0.2.9")}, 4);
	quote[20] = 1000 >> 8, quote[21] = 1000 & 0xff, quote[23] = 5;
	ip_kit_rx(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 4, .icmp_arg = 1000, .len = 28,
			  .data = quote));
	cr_assert_eq(ip_kit_send(so, data, 1472, NULL), -EMSGSIZE, "told once");
	cr_assert_eq(ip_kit_send(so, data, 1472, NULL), 1472);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .frag_off = 0x2000, .len = 976));
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .frag_off = 122, .len = 504));
	cr_assert_eq(sock_getopt(so, IPPROTO_IP, IP_MTU, &mtu, &len), 0);
	cr_assert_eq(mtu, 1000);
	cr_assert_eq(sock_setopt(so, IPPROTO_IP, IP_MTU_DISCOVER, &disc, sizeof(disc)), 0);
	cr_assert_eq(ip_kit_send(so, data, 973, NULL), -EMSGSIZE);
	cr_assert_eq(ip_kit_send(so, data, 972, NULL), 972);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .frag_off = 0x4000, .len = 972));
	ip_kit_advance(&k, 601 * NS_PER_SEC);
	cr_assert_eq(ip_kit_send(so, data, 1472, NULL), 1472, "forgotten after ten minutes");
	while (stack_output_pending(k.st))
		rte_pktmbuf_free(ip_kit_take_mbuf(&k));
}

Test(udp, table_full)
{
	IP_KIT(k);
	struct sock *so[65];

	for (int i = 0; i < 64; i++)
		cr_assert_eq(sock_new(k.st, AF_INET, SOCK_DGRAM, &so[i]), 0);
	cr_assert_eq(sock_new(k.st, AF_INET, SOCK_DGRAM, &so[64]), -ENOBUFS);
	ip_kit_counter_is(&k, udp_table_full, 1);
	sock_close(so[10]);
	cr_assert_eq(sock_new(k.st, AF_INET, SOCK_DGRAM, &so[64]), 0);
}

Test(udp, dump_shows_sockets)
{
	IP_KIT(k);
	char text[4096];

	ip_kit_udp(&k, "0.0.0.0", 1000);
	cr_assert_lt(stack_dump(k.st, text, sizeof(text)), sizeof(text));
	cr_assert_not_null(strstr(text, "udp *:1000 *:0"));
	cr_assert_not_null(strstr(text, "rx_frames 1\n"));
	for (size_t room = 0; room < 60; room++) {
		char small[64];

		memset(small, 'x', sizeof(small));
		cr_assert_geq(stack_dump(k.st, small, room), 60);
		cr_assert_eq(small[room], 'x', "nothing beyond the buffer");
	}
}
