/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_udp_sock.c - the socket calls of UDP: ports, connecting, sending, receiving, shutting down
 */
#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "ip_kit.h"
#include "stack/stack_priv.h"

static void few_ports(struct stack_config *cfg)
{
	cfg->ip_local_port_range[0] = 40000;
	cfg->ip_local_port_range[1] = 40019;
	cfg->queues = 4;
	cfg->queue = 3;
}

static void rx_bytes(struct ip_kit *k, uint16_t dport, uint32_t len)
{
	ip_kit_rx(k,
		  SEG(.proto = IPPROTO_UDP, .sport = 5, .dport = dport, .len = len, .tos = 0x48, .ttl = 9));
}

Test(udp_sock, ephemeral_ports_are_this_instances_share_and_run_out)
{
	IP_KIT_WITH(k, .configure = few_ports);
	struct endpoint any = ip_kit_endpoint("0.0.0.0", 0), peer = ip_kit_endpoint(KIT_PEER, 5);
	uint32_t seen = 0;
	struct sock *so;

	for (int i = 0; i < 5; i++) {
		so = ip_kit_udp(&k, "0.0.0.0", 0);
		cr_assert_eq(sock_bind(so, &any), 0);
		cr_assert_eq(ntohs(so->local.port) % 4, 3);
		seen |= 1u << (ntohs(so->local.port) - 40000);
	}
	cr_assert_eq(seen, 0x88888u);
	so = ip_kit_udp(&k, "0.0.0.0", 0);
	cr_assert_eq(sock_bind(so, &any), -EADDRINUSE);
	cr_assert_eq(sock_connect(so, &peer), -EAGAIN);
	cr_assert_eq(ip_kit_send(so, "x", 1, &peer), -EAGAIN);
}

Test(udp_sock, connect_and_disconnect_change_the_local_end_as_on_linux)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 0);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);

	cr_assert_eq(ip_kit_send(so, "x", 1, NULL), -EDESTADDRREQ);
	cr_assert_eq(sock_connect(so, &peer), 0);
	cr_assert_eq(ip_addr_to_v4(&so->local.addr), ip_kit_addr(KIT_STACK));
	cr_assert_neq(so->local.port, 0);
	cr_assert_eq(so->peer.port, htons(5));
	cr_assert_eq(ip_kit_send(so, "x", 1, NULL), 1);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .dport = 5, .sport = ntohs(so->local.port), .len = 1));
	cr_assert_eq(sock_disconnect(so), 0);
	cr_assert(ip_addr_is_any(&so->local.addr));
	cr_assert_eq(so->local.port, 0);
	cr_assert_eq(ip_kit_send(so, "x", 1, NULL), -EDESTADDRREQ);
	sock_close(so);
	so = ip_kit_udp(&k, KIT_STACK, 1000);
	cr_assert_eq(sock_connect(so, &peer), 0);
	cr_assert_eq(sock_disconnect(so), 0);
	cr_assert_eq(so->local.port, htons(1000), "what bind chose stays");
	cr_assert_eq(ip_addr_to_v4(&so->local.addr), ip_kit_addr(KIT_STACK));
}

Test(udp_sock, send_refusals)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000), *v6;
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5), zero = ip_kit_endpoint(KIT_PEER, 0),
			all = ip_kit_endpoint("198.18.0.255", 5);
	struct endpoint native = {.addr.b = {0x20, 1, 0xd, 0xb8}, .port = htons(5)};
	static uint8_t big[65508];
	struct iovec huge[2] = {{big, SIZE_MAX - 10}, {big, 100}};
	int on = 1;

	cr_assert_eq(ip_kit_send(so, big, 65508, &peer), -EMSGSIZE);
	cr_assert_eq(sock_send(so, huge, 2, 0, &peer), -EMSGSIZE);
	cr_assert_eq(ip_kit_send(so, "x", 1, &zero), -EINVAL);
	cr_assert_eq(ip_kit_send(so, "x", 1, &all), -EACCES);
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), 0);
	cr_assert_eq(ip_kit_send(so, "x", 1, &all), 1);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .dport = 5, .len = 1));
	cr_assert_eq(sock_new(k.st, AF_INET6, SOCK_DGRAM, &v6), 0);
	cr_assert_eq(ip_kit_send(v6, "x", 1, &native), -ENETUNREACH);
	cr_assert_eq(sock_connect(v6, &native), -ENETUNREACH);
	cr_assert_eq(sock_send(so, &(struct iovec){big, 1}, 1, MSG_OOB, &peer), -EOPNOTSUPP);
	ip_kit_silence(&k);
}

Test(udp_sock, largest_datagram_in_fragments)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);
	static uint8_t data[65507];
	uint32_t got = 0;
	struct rte_mbuf *m;

	cr_assert_eq(ip_kit_send(so, data, sizeof(data), &peer), sizeof(data));
	while ((m = ip_kit_take_mbuf(&k)) != NULL) {
		got += m->pkt_len - 34;
		rte_pktmbuf_free(m);
	}
	cr_assert_eq(got, 65515);
}

Test(udp_sock, empty_datagrams_are_datagrams)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);
	char c;

	cr_assert_eq(ip_kit_send(so, NULL, 0, &peer), 0);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 0));
	rx_bytes(&k, 1000, 0);
	cr_assert(sock_events(so) & EPOLLIN);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), 0);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), -EAGAIN);
}

Test(udp_sock, receive_tells_everything)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct sock_recv_info info;
	uint8_t a[3], b[4];
	struct iovec iov[3] = {{a, 3}, {NULL, 0}, {b, 4}};
	int n;

	rx_bytes(&k, 1000, 10);
	cr_assert_eq(sock_ioctl(so, SIOCINQ, &n), 0);
	cr_assert_eq(n, 10);
	cr_assert_eq(sock_recv(so, iov, 3, MSG_PEEK, &info), 7);
	cr_assert_eq(info.msg_flags, MSG_TRUNC);
	cr_assert_eq(info.full_len, 10);
	cr_assert_eq(info.from.port, htons(5));
	cr_assert_eq(ip_addr_to_v4(&info.from.addr), ip_kit_addr(KIT_PEER));
	cr_assert_eq(ip_addr_to_v4(&info.to), ip_kit_addr(KIT_STACK));
	cr_assert_eq(info.tos, 0x48);
	cr_assert_eq(info.ttl, 9);
	cr_assert_eq(info.at, k.now);
	for (uint32_t i = 0; i < 7; i++)
		cr_assert_eq(i < 3 ? a[i] : b[i - 3], kit_byte(i));
	cr_assert_eq(sock_recv(so, iov, 3, MSG_TRUNC, &info), 10, "MSG_TRUNC: the real length");
	cr_assert_eq(sock_ioctl(so, SIOCINQ, &n), 0);
	cr_assert_eq(n, 0);
	cr_assert_eq(sock_ioctl(so, SIOCATMARK, &n), -ENOTTY);
	cr_assert_eq(sock_events(so), EPOLLOUT);
}

/* Every split of a datagram over two pieces of memory, from a chain of small buffers. */
Test(udp_sock, receive_from_chains_into_pieces)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	uint8_t out[64];

	for (uint32_t cut = 0; cut <= 40; cut++) {
		struct rte_mbuf *m = ip_kit_build(&k, SEG(.proto = IPPROTO_UDP, .dport = 1000, .len = 40)),
				*tail;
		struct iovec iov[2] = {{out, cut}, {out + cut, 40 - cut}};

		tail = rte_pktmbuf_alloc(k.pool);
		memcpy(rte_pktmbuf_append(tail, 13), rte_pktmbuf_mtod_offset(m, char *, m->data_len - 13),
		       13);
		rte_pktmbuf_trim(m, 13);
		cr_assert_eq(rte_pktmbuf_chain(m, tail), 0);
		ip_kit_rx_mbuf(&k, m);
		memset(out, 0, sizeof(out));
		cr_assert_eq(sock_recv(so, iov, 2, 0, NULL), 40);
		for (uint32_t i = 0; i < 40; i++)
			cr_assert_eq(out[i], kit_byte(i));
	}
}

Test(udp_sock, cork_collects_one_datagram)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);
	struct iovec a = {"ab", 2}, b = {"cde", 3};
	int on = 1, off = 0;

	cr_assert_eq(sock_connect(so, &peer), 0);
	cr_assert_eq(sock_send(so, &a, 1, MSG_MORE, NULL), 2);
	ip_kit_silence(&k);
	cr_assert_eq(sock_send(so, &b, 1, 0, NULL), 3);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 5));
	cr_assert_arr_eq(k.data, "abcde", 5);
	cr_assert_eq(sock_setopt(so, IPPROTO_UDP, 1, &on, sizeof(on)), 0);
	cr_assert_eq(sock_send(so, &b, 1, 0, NULL), 3);
	cr_assert_eq(sock_send(so, &a, 1, 0, NULL), 2);
	ip_kit_silence(&k);
	cr_assert_eq(sock_setopt(so, IPPROTO_UDP, 1, &off, sizeof(off)), 0);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 5));
	cr_assert_arr_eq(k.data, "cdeab", 5);
	cr_assert_eq(sock_send(so, &a, 1, MSG_MORE, NULL), 2); /* freed with the socket */
}

Test(udp_sock, full_transmit_queue_refuses_and_wakes_later)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);
	struct rte_mbuf *m;
	uint32_t wake;
	int sent = 0;

	while (ip_kit_send(so, "x", 1, &peer) == 1)
		sent++;
	cr_assert_eq(ip_kit_send(so, "x", 1, &peer), -EAGAIN);
	cr_assert(sent > STACK_TXQ_LEN / 2 && sent < STACK_TXQ_LEN);
	cr_assert_not(sock_events(so) & EPOLLOUT);
	cr_assert_null(stack_next_woken(k.st, &wake));
	while ((m = ip_kit_take_mbuf(&k)) != NULL) {
		sent--;
		rte_pktmbuf_free(m);
	}
	cr_assert_eq(sent, 0, "none was lost");
	cr_assert_eq(stack_next_woken(k.st, &wake), so);
	cr_assert_eq(wake, EPOLLOUT);
	cr_assert(sock_events(so) & EPOLLOUT);
}

Test(udp_sock, no_buffers_is_enobufs_and_passes)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);
	struct rte_mbuf *all[KIT_MBUFS + 1];
	static uint8_t data[30000];
	unsigned n = 0;

	while ((all[n] = rte_pktmbuf_alloc(k.pool)) != NULL)
		n++;
	cr_assert_eq(ip_kit_send(so, "x", 1, &peer), -ENOBUFS);
	rte_pktmbuf_free(all[--n]);
	cr_assert_eq(ip_kit_send(so, data, sizeof(data), &peer), -ENOBUFS, "some, but not enough");
	cr_assert_eq(ip_kit_send(so, "x", 1, &peer), 1);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_UDP, .len = 1));
	while (n)
		rte_pktmbuf_free(all[--n]);
}

Test(udp_sock, to_ourselves)
{
	IP_KIT(k);
	struct sock *a = ip_kit_udp(&k, "0.0.0.0", 1000), *b = ip_kit_udp(&k, "0.0.0.0", 1001);
	struct endpoint to = ip_kit_endpoint(KIT_STACK, 1000), zero = ip_kit_endpoint("0.0.0.0", 1000);
	char buf[8];

	cr_assert_eq(ip_kit_send(b, "hello", 5, &to), 5);
	cr_assert_eq(ip_kit_send(b, "again", 5, &zero), 5);
	cr_assert_eq(ip_kit_recv(a, buf, sizeof(buf), 0), -EAGAIN, "not before the next stack_output()");
	ip_kit_silence(&k);
	cr_assert_eq(ip_kit_recv(a, buf, sizeof(buf), 0), 5);
	cr_assert_arr_eq(buf, "hello", 5);
	cr_assert_eq(ip_kit_recv(a, buf, sizeof(buf), 0), 5);
}

Test(udp_sock, to_a_port_of_ours_that_nobody_has)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint to = ip_kit_endpoint(KIT_STACK, 9);
	char c;

	cr_assert_eq(sock_connect(so, &to), 0);
	cr_assert_eq(ip_kit_send(so, "x", 1, NULL), 1);
	ip_kit_silence(&k);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), -ECONNREFUSED);
}

Test(udp_sock, shutdown)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000);
	struct endpoint peer = ip_kit_endpoint(KIT_PEER, 5);
	char c;

	cr_assert_eq(sock_shutdown(so, 3), -EINVAL);
	cr_assert_eq(sock_connect(so, &peer), 0);
	cr_assert_eq(sock_shutdown(so, SHUT_RD), 0);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), -EAGAIN, "as Linux; what waits is told in preload/");
	cr_assert_eq(sock_events(so), EPOLLOUT | EPOLLIN | EPOLLRDHUP);
	rx_bytes(&k, 1000, 3);
	cr_assert_eq(ip_kit_recv(so, &c, 1, 0), 1);
	cr_assert(sock_events(so) & EPOLLIN, "end of file stays readable");
	cr_assert_eq(sock_shutdown(so, SHUT_WR), 0);
	cr_assert_eq(ip_kit_send(so, "x", 1, NULL), -EPIPE);
	cr_assert(sock_events(so) & EPOLLHUP);
	so = ip_kit_udp(&k, "0.0.0.0", 1002);
	cr_assert_eq(sock_shutdown(so, SHUT_RDWR), -ENOTCONN);
	cr_assert_eq(so->shut, 3, "marked all the same");
}

Test(udp_sock, dual_stack_socket_receives_mapped)
{
	IP_KIT(k);
	struct sock *so, *only6;
	struct endpoint any = ip_kit_endpoint("0.0.0.0", 1000);
	struct sock_recv_info info;
	uint8_t buf[8];
	int on = 1;

	cr_assert_eq(sock_new(k.st, AF_INET6, SOCK_DGRAM, &so), 0);
	cr_assert_eq(sock_bind(so, &any), 0);
	rx_bytes(&k, 1000, 4);
	cr_assert_eq(sock_recv(so, &(struct iovec){buf, 8}, 1, 0, &info), 4);
	cr_assert(ip_addr_is_v4(&info.from.addr));
	cr_assert_eq(sock_new(k.st, AF_INET6, SOCK_DGRAM, &only6), 0);
	cr_assert_eq(sock_setopt(only6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
	any.port = htons(1001);
	cr_assert_eq(sock_bind(only6, &any), 0);
	rx_bytes(&k, 1001, 4);
	cr_assert_eq(ip_kit_recv(only6, buf, 8, 0), -EAGAIN);
	ip_kit_expect(&k, SEG(.proto = IPPROTO_ICMP, .icmp_type = 3, .icmp_code = 3, .len = 32));
}
