/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tapconf.c - is an interface a tap, and does a program hold it?
 *
 * By netlink: sysfs shows the interfaces of the namespace it was mounted in, which need not be ours, and
 * attaching to a tap to find out would take packets from who has it, as net_tap's have several queues.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/driver_priv.h"

#define ANSWER_MAX 8192

struct answer {
	_Alignas(NLMSG_ALIGNTO) char bytes[ANSWER_MAX];
	ssize_t len;
};

static int ask(unsigned index, struct answer *a)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} q = {.head = {.nlmsg_len = sizeof(q), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
	       .info = {.ifi_index = (int)index}};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int ret = fd < 0 ? -errno : 0;

	if (ret == 0 && send(fd, &q, sizeof(q), 0) != sizeof(q))
		ret = -errno;
	a->len = ret == 0 ? recv(fd, a->bytes, sizeof(a->bytes), 0) : 0;
	if (ret == 0 && a->len < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* The attribute of this type among `len` bytes of them, or NULL. */
static const struct rtattr *find(const struct rtattr *at, int len, unsigned short type)
{
	for (; RTA_OK(at, len); at = RTA_NEXT(at, len))
		if ((at->rta_type & NLA_TYPE_MASK) == type)
			return at;
	return NULL;
}

static const struct rtattr *find_in(const struct rtattr *nest, unsigned short type)
{
	return nest == NULL ? NULL : find(RTA_DATA(nest), RTA_PAYLOAD(nest), type);
}

static uint32_t number(const struct rtattr *at)
{
	uint32_t value = 0;
	if (at != NULL)
		memcpy(&value, RTA_DATA(at), RTE_MIN(sizeof(value), (size_t)RTA_PAYLOAD(at)));
	return value;
}

enum tap_state tapconf_state(const char *name)
{
	unsigned index = if_nametoindex(name);
	struct answer a;

	if (index == 0)
		return TAP_ABSENT;
	if (ask(index, &a) != 0)
		return TAP_UNKNOWN;
	const struct nlmsghdr *head = (const struct nlmsghdr *)a.bytes;
	if (!NLMSG_OK(head, (size_t)a.len) || head->nlmsg_type != RTM_NEWLINK)
		return head->nlmsg_type == NLMSG_ERROR ? TAP_ABSENT : TAP_UNKNOWN; /* it went meanwhile */
	const struct ifinfomsg *info = NLMSG_DATA(head);
	const struct rtattr *link = find(IFLA_RTA(info), (int)IFLA_PAYLOAD(head), IFLA_LINKINFO);
	const struct rtattr *kind = find_in(link, IFLA_INFO_KIND), *data = find_in(link, IFLA_INFO_DATA);
	const struct rtattr *type = find_in(data, IFLA_TUN_TYPE);
	if (kind == NULL || RTA_PAYLOAD(kind) < 3 || memcmp(RTA_DATA(kind), "tun", 3) != 0 ||
	    (type != NULL && number(type) != IFF_TAP))
		return TAP_NOT;
	/* Without an owner a tap only lives on when it was made persistent (ip tuntap add). */
	return number(find_in(data, IFLA_TUN_PERSIST)) == 0 || number(find_in(data, IFLA_TUN_NUM_QUEUES)) != 0
		       ? TAP_HELD
		       : TAP_FREE;
}
