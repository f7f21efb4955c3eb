/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_sock.c - what sockets have in common: kinds, readiness, the list of woken ones
 */
#include <errno.h>
#include <sys/epoll.h>

#include "ip_kit.h"
#include "stack/stack_priv.h"

Test(sock, kinds)
{
	IP_KIT(k);
	struct sock *so;

	cr_assert_eq(sock_new(k.st, AF_UNIX, SOCK_STREAM, &so), -EAFNOSUPPORT);
	cr_assert_eq(sock_new(k.st, AF_INET, SOCK_RAW, &so), -ESOCKTNOSUPPORT);
	cr_assert_eq(sock_new(k.st, AF_INET6, SOCK_DGRAM, &so), 0);
	cr_assert_eq(so->family, AF_INET6);
	cr_assert_eq(so->rcvbuf_bytes, 212992);
	cr_assert_eq(sock_events(so), EPOLLOUT);
	cr_assert_eq(sock_new(k.st, AF_INET, SOCK_STREAM, &so), 0);
	cr_assert_eq(so->rcvbuf_bytes, 131072);
	sock_close(so);
}

Test(sock, udp_refuses_what_is_for_streams)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1000), *child;
	struct rte_mbuf *list;

	cr_assert_eq(sock_listen(so, 1), -EOPNOTSUPP);
	cr_assert_eq(sock_accept(so, &child), -EOPNOTSUPP);
	cr_assert_eq(sock_tx_alloc(so, 1, &list), -EOPNOTSUPP);
	cr_assert_eq(sock_tx_append(so, NULL, 0, 0), -EOPNOTSUPP);
}

Test(sock, woken_list_keeps_order_and_collects_bits)
{
	IP_KIT(k);
	struct sock *a = ip_kit_udp(&k, "0.0.0.0", 1), *b = ip_kit_udp(&k, "0.0.0.0", 2),
		    *c = ip_kit_udp(&k, "0.0.0.0", 3);
	uint32_t wake;

	sock_wake(b, EPOLLIN);
	sock_wake(a, EPOLLIN);
	sock_wake(c, EPOLLIN);
	sock_wake(b, EPOLLOUT);
	cr_assert_eq(stack_next_woken(k.st, &wake), b);
	cr_assert_eq(wake, EPOLLIN | EPOLLOUT);
	cr_assert_eq(stack_next_woken(k.st, &wake), a);
	sock_wake(a, EPOLLERR);
	cr_assert_eq(stack_next_woken(k.st, &wake), c);
	cr_assert_eq(stack_next_woken(k.st, &wake), a);
	cr_assert_eq(wake, EPOLLERR);
	cr_assert_null(stack_next_woken(k.st, &wake));
	sock_wake(a, EPOLLIN);
	cr_assert_eq(stack_next_woken(k.st, &wake), a, "the tail is right after the list was empty");
}

Test(sock, a_closed_socket_leaves_the_woken_list_wherever_it_stands)
{
	for (unsigned gone = 0; gone < 3; gone++) {
		IP_KIT(k);
		struct sock *so[3];
		uint32_t wake;

		for (uint16_t i = 0; i < 3; i++) {
			so[i] = ip_kit_udp(&k, "0.0.0.0", (uint16_t)(1 + i));
			sock_wake(so[i], EPOLLIN);
		}
		sock_close(so[gone]);
		for (unsigned i = 0; i < 3; i++)
			if (i != gone)
				cr_assert_eq(stack_next_woken(k.st, &wake), so[i]);
		cr_assert_null(stack_next_woken(k.st, &wake));
		sock_wake(so[gone == 0], EPOLLIN);
		cr_assert_eq(stack_next_woken(k.st, &wake), so[gone == 0]);
	}
}

Test(sock, readiness_bits)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);

	sock_events_set(so, EPOLLIN | EPOLLHUP);
	cr_assert_eq(sock_events(so), EPOLLIN | EPOLLOUT | EPOLLHUP);
	sock_events_clear(so, EPOLLOUT | EPOLLHUP | EPOLLERR);
	cr_assert_eq(sock_events(so), EPOLLIN);
}
