/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ifconf.c - the kernel's view of network interfaces: look at one, bring it up, give it an address
 *
 * Called while a link is opened. Only the classical ioctls, which need no library and work in user
 * namespaces.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "driver/driver_priv.h"

static int ctl_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static void ifreq_name(struct ifreq *ifr, const char *name)
{
	memset(ifr, 0, sizeof(*ifr));
	strncpy(ifr->ifr_name, name, IFNAMSIZ - 1);
}

static uint16_t channels(int fd, struct ifreq *ifr)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	ifr->ifr_data = (char *)&ch;
	if (ioctl(fd, SIOCETHTOOL, ifr) != 0)
		return 1;
	uint32_t n = ch.combined_count + ch.rx_count;
	return n == 0 ? 1 : n > DRIVER_QUEUES_MAX ? DRIVER_QUEUES_MAX : (uint16_t)n;
}

static bool is_veth(int fd, struct ifreq *ifr)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	ifr->ifr_data = (char *)&info;
	return ioctl(fd, SIOCETHTOOL, ifr) == 0 && strcmp(info.driver, "veth") == 0;
}

int ifconf_get(const char *name, struct ifinfo *info)
{
	struct ifreq ifr;
	int ret = 0, fd = ctl_socket();

	if (fd < 0)
		return fd;
	memset(info, 0, sizeof(*info));
	ifreq_name(&ifr, name);
	if (strlen(name) >= IFNAMSIZ || ioctl(fd, SIOCGIFINDEX, &ifr) != 0) {
		ret = -ENODEV;
		goto out;
	}
	info->index = (unsigned)ifr.ifr_ifindex;
	if (ioctl(fd, SIOCGIFMTU, &ifr) == 0)
		info->mtu = ifr.ifr_mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)ifr.ifr_mtu;
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) == 0)
		info->up = (ifr.ifr_flags & IFF_UP) != 0;
	if (ioctl(fd, SIOCGIFHWADDR, &ifr) == 0) {
		memcpy(info->mac, ifr.ifr_hwaddr.sa_data, 6);
		if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
			ret = -EPROTONOSUPPORT;
	}
	info->rx_queues = channels(fd, &ifr);
	info->veth = is_veth(fd, &ifr);
	if (ioctl(fd, SIOCGIFINDEX, &ifr) != 0) /* it went meanwhile */
		ret = -ENODEV;
out:
	close(fd);
	return ret;
}

int ifconf_up(const char *name)
{
	struct ifreq ifr;
	int ret = 0, fd = ctl_socket();

	if (fd < 0)
		return fd;
	ifreq_name(&ifr, name);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) != 0) {
		ret = -errno;
	} else if ((ifr.ifr_flags & IFF_UP) == 0) {
		ifr.ifr_flags |= IFF_UP;
		ret = ioctl(fd, SIOCSIFFLAGS, &ifr) != 0 ? -errno : 0;
	}
	close(fd);
	return ret;
}

static int set_inet(int fd, unsigned long request, const char *name, in_addr_t addr_be)
{
	struct ifreq ifr;
	ifreq_name(&ifr, name);
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = addr_be};
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	return ioctl(fd, request, &ifr) != 0 ? -errno : 0;
}

int ifconf_set_addr(const char *name, const char *cidr)
{
	char addr[INET_ADDRSTRLEN + 4];
	struct in_addr in;
	unsigned long prefix = 32;

	snprintf(addr, sizeof(addr), "%s", cidr);
	char *slash = strchr(addr, '/');
	if (slash != NULL) {
		char *end;
		*slash = '\0';
		prefix = strtoul(slash + 1, &end, 10);
		if (*end != '\0' || end == slash + 1)
			return -EINVAL;
	}
	if (inet_pton(AF_INET, addr, &in) != 1 || prefix > 32)
		return -EINVAL;

	int fd = ctl_socket();
	if (fd < 0)
		return fd;
	int ret = set_inet(fd, SIOCSIFADDR, name, in.s_addr);
	if (ret == 0)
		ret = set_inet(fd, SIOCSIFNETMASK, name,
			       prefix == 0 ? 0 : htonl(UINT32_MAX << (32 - prefix)));
	close(fd);
	return ret;
}
