/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_sock_opt.c - options with Linux's layouts, limits and errnos
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "ip_kit.h"
#include "stack/stack_priv.h"
#include "tcp_none.h"

static int set_int(struct sock *so, int level, int name, int v)
{
	return sock_setopt(so, level, name, &v, sizeof(v));
}

static int get_int(struct sock *so, int level, int name)
{
	int v = -12345, err;
	socklen_t len = sizeof(v);

	err = sock_getopt(so, level, name, &v, &len);
	if (err < 0)
		return err;
	cr_assert_eq(len, sizeof(v));
	return v;
}

static struct sock *tcp(struct ip_kit *k, int family)
{
	struct sock *so;

	cr_assert_eq(sock_new(k->st, family, SOCK_STREAM, &so), 0);
	return so;
}

Test(sock_opt, what_a_socket_is)
{
	IP_KIT(k);
	struct sock *u = ip_kit_udp(&k, "0.0.0.0", 1), *t = tcp(&k, AF_INET6);

	cr_assert_eq(get_int(u, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	cr_assert_eq(get_int(u, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	cr_assert_eq(get_int(u, SOL_SOCKET, SO_DOMAIN), AF_INET);
	cr_assert_eq(get_int(t, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	cr_assert_eq(get_int(t, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	cr_assert_eq(get_int(t, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	cr_assert_eq(get_int(t, SOL_SOCKET, SO_ACCEPTCONN), 0);
	cr_assert_eq(set_int(t, SOL_SOCKET, SO_TYPE, 1), -ENOPROTOOPT);
	cr_assert_eq(set_int(t, SOL_SOCKET, SO_ERROR, 1), -ENOPROTOOPT);
	cr_assert_eq(set_int(t, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
	cr_assert_eq(set_int(t, 9999, 1, 1), -ENOPROTOOPT);
}

Test(sock_opt, every_boolean_reads_back_as_one)
{
	static const int names[] = {SO_DEBUG,     SO_REUSEADDR,   SO_REUSEPORT, SO_DONTROUTE,
				    SO_BROADCAST, SO_KEEPALIVE,   SO_OOBINLINE, SO_NO_CHECK,
				    SO_TIMESTAMP, SO_TIMESTAMPNS, SO_RXQ_OVFL,  SO_SELECT_ERR_QUEUE};
	static const int ip_names[] = {IP_PKTINFO,
				       IP_RECVTTL,
				       IP_RECVTOS,
				       IP_RECVERR,
				       IP_FREEBIND,
				       IP_RECVORIGDSTADDR,
				       IP_BIND_ADDRESS_NO_PORT};
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);

	for (unsigned i = 0; i < RTE_DIM(names); i++) {
		cr_assert_eq(get_int(so, SOL_SOCKET, names[i]), 0, "%d", names[i]);
		cr_assert_eq(set_int(so, SOL_SOCKET, names[i], 7), 0);
		cr_assert_eq(get_int(so, SOL_SOCKET, names[i]), 1);
		cr_assert_eq(set_int(so, SOL_SOCKET, names[i], 0), 0);
		cr_assert_eq(get_int(so, SOL_SOCKET, names[i]), 0);
	}
	for (unsigned i = 0; i < RTE_DIM(ip_names); i++) {
		cr_assert_eq(get_int(so, IPPROTO_IP, ip_names[i]), 0);
		cr_assert_eq(set_int(so, IPPROTO_IP, ip_names[i], 7), 0);
		cr_assert_eq(get_int(so, IPPROTO_IP, ip_names[i]), 1);
	}
}

Test(sock_opt, values_too_short_and_answers_cut)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);
	uint8_t small[8] = {0xee, 0xee, 0xee, 0xee};
	socklen_t len;
	int v = 1;

	for (socklen_t n = 0; n < 4; n++)
		cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_REUSEADDR, &v, n), -EINVAL);
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_REUSEADDR, &v, (socklen_t)-1), -EINVAL);
	len = 2;
	cr_assert_eq(sock_getopt(so, SOL_SOCKET, SO_TYPE, small, &len), 0);
	cr_assert_eq(len, 2);
	cr_assert_eq(small[0], SOCK_DGRAM);
	cr_assert_eq(small[2], 0xee);
	len = 1;
	cr_assert_eq(sock_setopt(so, IPPROTO_IP, IP_TTL, "\x07", 1), 0, "a byte will do at this level");
	cr_assert_eq(sock_getopt(so, IPPROTO_IP, IP_TTL, small, &len), 0);
	cr_assert_eq(len, 1);
	cr_assert_eq(small[0], 7);
	len = (socklen_t)-1;
	cr_assert_eq(sock_getopt(so, SOL_SOCKET, SO_TYPE, small, &len), -EINVAL);
}

Test(sock_opt, buffer_sizes_are_doubled_and_bounded)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);

	cr_assert_eq(get_int(so, SOL_SOCKET, SO_RCVBUF), 212992);
	cr_assert_eq(set_int(so, SOL_SOCKET, SO_RCVBUF, 50000), 0);
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_RCVBUF), 100000);
	cr_assert(so->rcvbuf_locked);
	cr_assert_eq(set_int(so, SOL_SOCKET, SO_RCVBUF, 1), 0);
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_RCVBUF), 2304);
	cr_assert_eq(set_int(so, SOL_SOCKET, SO_SNDBUF, 0), 0);
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_SNDBUF), 4608);
	cr_assert_eq(set_int(so, SOL_SOCKET, SO_SNDBUF, INT32_MAX), 0);
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_SNDBUF), 2 * 212992);
	cr_assert_eq(set_int(so, SOL_SOCKET, SO_SNDBUF, -1), 0, "read as unsigned, so the maximum");
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_SNDBUF), 2 * 212992);
	cr_assert_eq(set_int(so, SOL_SOCKET, SO_RCVBUFFORCE, 10000000), 0);
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_RCVBUF), 20000000);
}

Test(sock_opt, error_is_taken_once)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);

	so->error = ECONNREFUSED;
	sock_events_set(so, EPOLLERR);
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	cr_assert_eq(get_int(so, SOL_SOCKET, SO_ERROR), 0);
	cr_assert_eq(sock_events(so), EPOLLOUT);
}

Test(sock_opt, linger_and_timeouts)
{
	IP_KIT(k);
	struct sock *so = tcp(&k, AF_INET);
	struct linger l = {1, 5}, got;
	struct timeval tv = {3, 250000}, back;
	socklen_t len = sizeof(got);

	cr_assert_eq(so->linger_s, -1);
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_LINGER, &l, 4), -EINVAL);
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	cr_assert_eq(so->linger_s, 5);
	cr_assert_eq(sock_getopt(so, SOL_SOCKET, SO_LINGER, &got, &len), 0);
	cr_assert(got.l_onoff == 1 && got.l_linger == 5 && len == sizeof(got));
	l.l_onoff = 0;
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	cr_assert_eq(so->linger_s, -1);

	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	cr_assert_eq(so->rcvtimeo_ns, 3250 * NS_PER_MS);
	len = sizeof(back);
	cr_assert_eq(sock_getopt(so, SOL_SOCKET, SO_RCVTIMEO, &back, &len), 0);
	cr_assert(back.tv_sec == 3 && back.tv_usec == 250000);
	tv.tv_usec = 1000000;
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), -EDOM);
	tv = (struct timeval){-1, 0};
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	cr_assert_eq(so->sndtimeo_ns, 1, "do not wait");
	tv = (struct timeval){INT64_MAX, 0};
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	cr_assert_eq(so->sndtimeo_ns, 0, "for ever");
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_SNDTIMEO, &tv, 8), -EINVAL);
}

Test(sock_opt, tos_and_ttl)
{
	IP_KIT(k);
	struct sock *t = tcp(&k, AF_INET), *u = ip_kit_udp(&k, "0.0.0.0", 1);

	cr_assert_eq(get_int(u, IPPROTO_IP, IP_TTL), 64);
	cr_assert_eq(set_int(u, IPPROTO_IP, IP_TTL, 0), -EINVAL);
	cr_assert_eq(set_int(u, IPPROTO_IP, IP_TTL, 256), -EINVAL);
	cr_assert_eq(set_int(u, IPPROTO_IP, IP_TTL, 5), 0);
	cr_assert_eq(u->ttl, 5);
	cr_assert_eq(set_int(u, IPPROTO_IP, IP_TTL, -1), 0);
	cr_assert_eq(u->ttl, 64);
	cr_assert_eq(set_int(u, IPPROTO_IP, IP_TOS, 0xff), 0);
	cr_assert_eq(get_int(u, IPPROTO_IP, IP_TOS), 0xff);
	cr_assert_eq(set_int(t, IPPROTO_IP, IP_TOS, 0xff), 0);
	cr_assert_eq(get_int(t, IPPROTO_IP, IP_TOS), 0xfc,
		     "a stream's congestion bits are not the program's");
	cr_assert_eq(tcp_none_seen.opt_level, IPPROTO_IP, "TCP heard of it");
	cr_assert_eq(tcp_none_seen.opt_name, IP_TOS);
}

Test(sock_opt, limits_of_the_ip_level)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);
	struct ip_mreqn mreq = {0};
	socklen_t len = 4;
	uint32_t v;

	cr_assert_eq(set_int(so, IPPROTO_IP, IP_MTU_DISCOVER, 6), -EINVAL);
	cr_assert_eq(set_int(so, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), 0);
	cr_assert_eq(get_int(so, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DO);
	cr_assert_eq(get_int(so, IPPROTO_IP, IP_MTU), -ENOTCONN);
	cr_assert_eq(set_int(so, IPPROTO_IP, IP_TRANSPARENT, 1), -ENOPROTOOPT);
	cr_assert_eq(set_int(so, IPPROTO_IP, IP_MULTICAST_TTL, 256), -EINVAL);
	cr_assert_eq(set_int(so, IPPROTO_IP, IP_MULTICAST_TTL, 9), 0);
	cr_assert_eq(get_int(so, IPPROTO_IP, IP_MULTICAST_TTL), 9);
	cr_assert_eq(set_int(so, IPPROTO_IP, IP_MINTTL, 300), -EINVAL);
	cr_assert_eq(sock_setopt(so, IPPROTO_IP, IP_MULTICAST_IF, &mreq, sizeof(mreq)), 0);
	mreq.imr_address.s_addr = ip_kit_addr("192.0.2.1");
	cr_assert_eq(sock_setopt(so, IPPROTO_IP, IP_MULTICAST_IF, &mreq, sizeof(mreq)), -EADDRNOTAVAIL);
	cr_assert_eq(sock_setopt(so, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)), -ENODEV);
	cr_assert_eq(sock_getopt(so, IPPROTO_IP, IP_OPTIONS, &v, &len), 0);
	cr_assert_eq(len, 0);
}

Test(sock_opt, ipv6_level_is_for_ipv6_sockets)
{
	IP_KIT(k);
	struct sock *four = ip_kit_udp(&k, "0.0.0.0", 1), *six;
	struct endpoint any = ip_kit_endpoint("0.0.0.0", 5);

	cr_assert_eq(set_int(four, IPPROTO_IPV6, IPV6_V6ONLY, 1), -ENOPROTOOPT);
	cr_assert_eq(sock_new(k.st, AF_INET6, SOCK_DGRAM, &six), 0);
	cr_assert_eq(get_int(six, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	cr_assert_eq(set_int(six, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	cr_assert_eq(get_int(six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	cr_assert_eq(set_int(six, IPPROTO_IPV6, IPV6_V6ONLY, 0), 0);
	cr_assert_eq(get_int(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
	cr_assert_eq(set_int(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256), -EINVAL);
	cr_assert_eq(set_int(six, IPPROTO_IPV6, IPV6_TCLASS, 0x20), 0);
	cr_assert_eq(get_int(six, IPPROTO_IPV6, IPV6_TCLASS), 0x20);
	cr_assert_eq(set_int(six, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1), 0);
	cr_assert(six->opts.recv_opts & SOCK_RECV_PKTINFO);
	cr_assert_eq(sock_bind(six, &any), 0);
	cr_assert_eq(set_int(six, IPPROTO_IPV6, IPV6_V6ONLY, 1), -EINVAL, "too late");
}

Test(sock_opt, pacing_rate_in_both_widths)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);
	uint32_t rate32 = UINT32_MAX;
	uint64_t rate = 5000000000ULL;
	socklen_t len = sizeof(rate);

	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)), 0);
	rate = 0;
	cr_assert_eq(sock_getopt(so, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &len), 0);
	cr_assert_eq(rate, 5000000000ULL);
	len = sizeof(rate32);
	cr_assert_eq(sock_getopt(so, SOL_SOCKET, SO_MAX_PACING_RATE, &rate32, &len), 0);
	cr_assert_eq(rate32, UINT32_MAX);
	rate32 = 1000;
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_MAX_PACING_RATE, &rate32, sizeof(rate32)), 0);
	cr_assert_eq(so->opts.max_pacing_rate, 1000);
}

Test(sock_opt, what_cannot_be_honoured_says_so)
{
	IP_KIT(k);
	struct sock *so = ip_kit_udp(&k, "0.0.0.0", 1);

	cr_assert_eq(set_int(so, SOL_SOCKET, SO_ZEROCOPY, 1), -EOPNOTSUPP);
	cr_assert_eq(set_int(so, SOL_SOCKET, SO_TIMESTAMPING, 1), -EOPNOTSUPP);
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), -ENODEV);
	cr_assert_eq(sock_setopt(so, SOL_SOCKET, SO_BINDTODEVICE, "", 0), 0);
	cr_assert_eq(set_int(so, IPPROTO_TCP, 1, 1), -ENOPROTOOPT);
	cr_assert_eq(set_int(so, IPPROTO_UDP, 103, 1400), -ENOPROTOOPT, "UDP_SEGMENT");
}
