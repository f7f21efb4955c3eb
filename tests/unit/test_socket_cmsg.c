/* SPDX-License-Identifier: BSD-3-Clause */
/* test_socket_cmsg.c - ancillary data of datagrams, as Linux lays it out */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <time.h>

#include "preload/socket_priv.h"

static _Alignas(struct cmsghdr) char control[256];
static struct sock so;
static struct sock_recv_info info;
static struct msghdr msg;

static struct cmsghdr *fill(int family, uint32_t want, size_t room)
{
	so.family = family;
	so.opts.recv_opts = want;
	info.to = ip_addr_v4(inet_addr("198.18.0.2"));
	info.ttl = 63;
	info.tos = 0x10;
	info.at = inst_clock();
	msg = (struct msghdr){.msg_control = control, .msg_controllen = room};
	cmsg_fill(&msg, &so, &info);
	return CMSG_FIRSTHDR(&msg);
}

Test(cmsg, nothing_wanted_nothing_given)
{
	cr_assert_null(fill(AF_INET, 0, sizeof(control)));
	cr_assert_eq(msg.msg_controllen, 0);
	cr_assert_eq(msg.msg_flags, 0);
}

Test(cmsg, pktinfo_and_ttl)
{
	struct cmsghdr *h = fill(AF_INET, SOCK_RECV_PKTINFO | SOCK_RECV_TTL, sizeof(control));
	struct in_pktinfo *pi = (struct in_pktinfo *)CMSG_DATA(h);

	cr_assert_eq(h->cmsg_level, IPPROTO_IP);
	cr_assert_eq(h->cmsg_type, IP_PKTINFO);
	cr_assert_eq(h->cmsg_len, CMSG_LEN(sizeof(*pi)));
	cr_assert_eq(pi->ipi_addr.s_addr, inet_addr("198.18.0.2"));
	h = CMSG_NXTHDR(&msg, h);
	cr_assert_eq(h->cmsg_type, IP_TTL);
	cr_assert_eq(*(int *)CMSG_DATA(h), 63);
	cr_assert_null(CMSG_NXTHDR(&msg, h));
	cr_assert_eq(msg.msg_controllen, CMSG_SPACE(sizeof(*pi)) + CMSG_SPACE(sizeof(int)));
}

Test(cmsg, tos_is_one_byte)
{
	struct cmsghdr *h = fill(AF_INET, SOCK_RECV_TOS, sizeof(control));

	cr_assert_eq(h->cmsg_type, IP_TOS);
	cr_assert_eq(h->cmsg_len, CMSG_LEN(1));
	cr_assert_eq(*(uint8_t *)CMSG_DATA(h), 0x10);
}

Test(cmsg, mapped_address_on_ip6_socket)
{
	struct cmsghdr *h = fill(AF_INET6, SOCK_RECV_PKTINFO, sizeof(control));
	struct in6_pktinfo *pi = (struct in6_pktinfo *)CMSG_DATA(h);

	cr_assert_eq(h->cmsg_level, IPPROTO_IPV6);
	cr_assert_eq(h->cmsg_type, IPV6_PKTINFO);
	cr_assert(IN6_IS_ADDR_V4MAPPED(&pi->ipi6_addr));
}

Test(cmsg, timestamp_is_the_arrival_in_wall_clock)
{
	struct timespec before, after, *ts;
	struct cmsghdr *h;

	clock_gettime(CLOCK_REALTIME, &before);
	h = fill(AF_INET, SOCK_RECV_TIMESTAMPNS, sizeof(control));
	clock_gettime(CLOCK_REALTIME, &after);
	ts = (struct timespec *)CMSG_DATA(h);
	cr_assert_eq(h->cmsg_type, SCM_TIMESTAMPNS);
	cr_assert_geq(ts->tv_sec, before.tv_sec - 1);
	cr_assert_leq(ts->tv_sec, after.tv_sec);
}

Test(cmsg, too_little_room_is_said)
{
	fill(AF_INET, SOCK_RECV_PKTINFO | SOCK_RECV_TTL, CMSG_SPACE(sizeof(struct in_pktinfo)));
	cr_assert_eq(msg.msg_flags, MSG_CTRUNC);
	cr_assert_eq(msg.msg_controllen, CMSG_SPACE(sizeof(struct in_pktinfo)));
	fill(AF_INET, SOCK_RECV_PKTINFO, 0);
	cr_assert_eq(msg.msg_flags, MSG_CTRUNC);
}

Test(cmsg, sending_refuses_what_is_not_known)
{
	struct cmsghdr *h = (struct cmsghdr *)control;

	*h = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	msg = (struct msghdr){.msg_control = control, .msg_controllen = CMSG_SPACE(4)};
	cr_assert_eq(cmsg_check_send(&msg), -EINVAL);
	h->cmsg_level = IPPROTO_IP;
	h->cmsg_type = IP_TOS;
	cr_assert_eq(cmsg_check_send(&msg), 0);
	msg.msg_control = NULL;
	cr_assert_eq(cmsg_check_send(&msg), 0);
}
