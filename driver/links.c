/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * links.c - the link specification: text -> kind and target, checks with clear errors, -> DPDK devargs
 *
 *     tap[:IFNAME] | af_packet:IFNAME | af_xdp:IFNAME | memif:SOCKET[,server] | vhost:SOCKET[,server] |
 *     virtio_user:SOCKET[,client] | pci:BDF | dpdk:DEVARGS        each may go on with ",key=value" for the
 * PMD
 *
 * Parsing touches nothing; link_check() looks at the machine, so that the usual mistakes are named before
 * DPDK would fail with a message that only its authors understand.
 *
 * Who makes the socket: a memif client, a vhost backend and a virtio_user server are what can connect again
 * after the other end was restarted, so virtio_user listens and vhost connects unless the user says
 * otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "driver/driver_priv.h"

#define TAP_DEFAULT_NAME "shunt0"
#define TAP_PATIENCE_MS  500
#define TAP_NAP_MS       5
#define ALL_FORMS                                                                                            \
	"tap[:IFNAME], af_packet:IFNAME, af_xdp:IFNAME, memif:SOCKET[,server], vhost:SOCKET[,server], "      \
	"virtio_user:SOCKET[,client], pci:BDF, dpdk:DEVARGS"

static const struct {
	const char *name, *form;
	bool server_default, may_choose_role;
} kinds[] = {
	[LINK_TAP] = {"tap", "tap[:IFNAME]", false, false},
	[LINK_AF_PACKET] = {"af_packet", "af_packet:IFNAME", false, false},
	[LINK_AF_XDP] = {"af_xdp", "af_xdp:IFNAME", false, false},
	[LINK_MEMIF] = {"memif", "memif:SOCKET[,server]", false, true},
	[LINK_VHOST] = {"vhost", "vhost:SOCKET[,server]", false, true},
	[LINK_VIRTIO_USER] = {"virtio_user", "virtio_user:SOCKET[,client]", true, true},
	[LINK_PCI] = {"pci", "pci:BDF", false, false},
	[LINK_DEVARGS] = {"dpdk", "dpdk:DEVARGS", false, false},
};

void driver_say(char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;
	if (err_len == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
}

/* Letters to change, add or drop to get from a to b; both are short. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[32], la = strlen(a), lb = strlen(b);
	if (la >= RTE_DIM(row) || lb >= RTE_DIM(row))
		return UINT32_MAX;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			unsigned shift = RTE_MIN(row[j], row[j - 1]) + 1;
			row[j] = RTE_MIN(change, shift);
		}
	}
	return row[lb];
}

static int kind_find(const char *name)
{
	for (unsigned k = 0; k < RTE_DIM(kinds); k++)
		if (strcmp(kinds[k].name, name) == 0)
			return (int)k;
	return -1;
}

static int unknown_kind(const char *name, char *err, size_t err_len)
{
	unsigned best = UINT32_MAX, at = 0;
	for (unsigned k = 0; k < RTE_DIM(kinds); k++) {
		unsigned d = edit_distance(name, kinds[k].name);
		if (d < best) {
			best = d;
			at = k;
		}
	}
	if (best <= 3)
		driver_say(err, err_len, "no such kind of link: '%s'; did you mean %s?", name,
			   kinds[at].form);
	else
		driver_say(err, err_len, "no such kind of link: '%s'; use one of %s", name, ALL_FORMS);
	return -EINVAL;
}

/* Everything behind the first comma: "server"/"client" are ours, the rest goes to the PMD. */
static int parse_options(char *options, struct link_spec *spec, char *err, size_t err_len)
{
	char *save = NULL;
	for (char *w = strtok_r(options, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save)) {
		bool role = strcmp(w, "server") == 0 || strcmp(w, "client") == 0;
		if (role && kinds[spec->kind].may_choose_role) {
			spec->server = w[0] == 's';
		} else if (!role && strchr(w, '=') != NULL) {
			size_t used = strlen(spec->more);
			snprintf(spec->more + used, sizeof(spec->more) - used, "%s%s", used ? "," : "", w);
		} else {
			driver_say(err, err_len, "link option '%s' is not understood: use %s[,key=value...]",
				   w, kinds[spec->kind].form);
			return -EINVAL;
		}
	}
	return 0;
}

static int parse_target(struct link_spec *spec, char *err, size_t err_len)
{
	if (spec->kind == LINK_TAP && spec->target[0] == '\0')
		strcpy(spec->target, TAP_DEFAULT_NAME);
	if (spec->target[0] == '\0') {
		driver_say(err, err_len, "link '%s' lacks its target: use %s", kinds[spec->kind].name,
			   kinds[spec->kind].form);
		return -EINVAL;
	}
	bool interface = spec->kind <= LINK_AF_XDP;
	if (interface && (strlen(spec->target) >= IFNAMSIZ || strpbrk(spec->target, "/ ") != NULL)) {
		driver_say(err, err_len, "'%s' cannot be an interface name (at most %d characters, no slash)",
			   spec->target, IFNAMSIZ - 1);
		return -EINVAL;
	}
	if (kinds[spec->kind].may_choose_role &&
	    strlen(spec->target) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		driver_say(err, err_len,
			   "socket path '%s' is longer than the %zu bytes that the kernel allows",
			   spec->target, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return -EINVAL;
	}
	char bdf[16];
	if (spec->kind == LINK_PCI && !pci_parse(spec->target, bdf, sizeof(bdf))) {
		driver_say(err, err_len, "'%s' is no PCI address: use pci:0000:03:00.0 (see lspci -D)",
			   spec->target);
		return -EINVAL;
	}
	if (spec->kind == LINK_PCI)
		strcpy(spec->target, bdf);
	return 0;
}

/* "dpdk:0000:03:00.0,key=value": as pci:, so that the same is looked at. */
static bool names_pci(const char *devargs)
{
	char first[32], bdf[16];
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(devargs, ","), devargs);
	return pci_parse(first, bdf, sizeof(bdf));
}

int link_parse(const char *text, struct link_spec *spec, char *err, size_t err_len)
{
	char copy[sizeof(spec->target) + sizeof(spec->more) + 32];

	memset(spec, 0, sizeof(*spec));
	spec->held_fd = -1;
	if (text == NULL || text[0] == '\0' || strlen(text) >= sizeof(copy)) {
		driver_say(err, err_len, "no usable link: use one of %s", ALL_FORMS);
		return -EINVAL;
	}
	strcpy(copy, text);
	char *target = strchr(copy, ':');
	char *comma = strchr(target != NULL ? target : copy, ',');
	if (target != NULL)
		*target++ = '\0';

	int kind = kind_find(copy);
	if (kind == LINK_DEVARGS && target != NULL && names_pci(target))
		kind = LINK_PCI;
	if (kind == LINK_DEVARGS || comma == NULL)
		comma = NULL;
	else
		*comma++ = '\0';
	if (kind < 0)
		kind = kind_find(copy);
	if (kind < 0)
		return unknown_kind(copy, err, err_len);
	spec->kind = (enum link_kind)kind;
	spec->server = kinds[kind].server_default;
	if (target != NULL && strlen(target) >= sizeof(spec->target)) {
		driver_say(err, err_len, "link target is too long: use %s", kinds[kind].form);
		return -EINVAL;
	}
	strcpy(spec->target, target != NULL ? target : "");
	int ret = parse_target(spec, err, err_len);
	if (ret == 0 && comma != NULL)
		ret = parse_options(comma, spec, err, err_len);
	return ret;
}

bool link_is_vdev(const struct link_spec *spec)
{
	return spec->kind != LINK_PCI && spec->kind != LINK_DEVARGS;
}

static int check_interface(const struct link_spec *spec, char *err, size_t err_len)
{
	struct ifinfo info;
	int ret = ifconf_get(spec->target, &info);

	if (ret == -ENODEV) {
		driver_say(err, err_len, "no such interface: %s (see ip link)", spec->target);
		return ret;
	}
	if (ret == -EPROTONOSUPPORT) {
		driver_say(err, err_len, "interface %s is not an Ethernet interface", spec->target);
		return -EINVAL;
	}
	if (ret == 0 && !info.up) {
		ret = ifconf_up(spec->target);
		if (ret != 0)
			driver_say(err, err_len,
				   "interface %s is down and may not be brought up (%s): run "
				   "'ip link set %s up' as root",
				   spec->target, strerror(-ret), spec->target);
	}
	return ret;
}

static int check_packet_socket(const struct link_spec *spec, char *err, size_t err_len)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		int why = errno == EPERM ? EPERM : errno;
		driver_say(err, err_len,
			   "link %s:%s needs CAP_NET_RAW: run as root or in 'unshare -Urn' (%s)",
			   kinds[spec->kind].name, spec->target, strerror(why));
		return -why;
	}
	close(fd);
	return check_interface(spec, err, err_len);
}

static int check_tap(const struct link_spec *spec, char *err, size_t err_len)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		int why = errno;
		driver_say(err, err_len,
			   "link tap needs /dev/net/tun: %s (load the tun module, or run as root)",
			   strerror(why));
		return why == ENOENT || why == ENXIO ? -ENODEV : -why;
	}
	close(fd);
	/* A program that ended a moment ago may still be delivering its last bytes. */
	enum tap_state state = tapconf_state(spec->target);
	for (unsigned waited_ms = 0; state == TAP_HELD && waited_ms < TAP_PATIENCE_MS;
	     waited_ms += TAP_NAP_MS) {
		usleep(TAP_NAP_MS * 1000);
		state = tapconf_state(spec->target);
	}
	if (state != TAP_NOT && state != TAP_HELD)
		return 0;
	driver_say(err, err_len, "interface %s %s: choose another name (tap:NAME)%s", spec->target,
		   state == TAP_NOT ? "exists and is no tap" : "belongs to another program",
		   state == TAP_NOT ? "" : " and address");
	return -EBUSY;
}

/* Is somebody listening on the socket? */
static bool socket_alive(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	memcpy(un.sun_path, path, strlen(path)); /* parse_target() has checked the length */
	/* EAGAIN: its backlog is full. EPROTOTYPE: it listens with another type of socket (memif's). */
	bool alive = connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0 || errno == EAGAIN ||
		     errno == EPROTOTYPE;
	close(fd);
	return alive;
}

static int check_directory(const char *path, bool write, char *err, size_t err_len)
{
	char copy[256];
	snprintf(copy, sizeof(copy), "%s", path);
	const char *dir = dirname(copy);
	if (access(dir, write ? W_OK : X_OK) == 0)
		return 0;
	int why = errno;
	if (why == ENOENT)
		driver_say(err, err_len, "the directory of socket %s does not exist: mkdir -p %s", path, dir);
	else
		driver_say(err, err_len, "no permission for the directory of socket %s: %s", path,
			   strerror(why));
	return why == ENOENT ? -ENOENT : -EACCES;
}

static int check_socket(const struct link_spec *spec, char *err, size_t err_len)
{
	struct stat st;
	int ret = check_directory(spec->target, spec->server, err, err_len);
	if (ret != 0)
		return ret;
	if (stat(spec->target, &st) != 0) {
		if (spec->server || spec->kind != LINK_VIRTIO_USER)
			return 0; /* memif and vhost clients wait for it */
		driver_say(err, err_len, "socket %s does not exist: start the vhost end first", spec->target);
		return -ENOENT;
	}
	if (!S_ISSOCK(st.st_mode)) {
		driver_say(err, err_len, "%s exists and is no socket: choose another path", spec->target);
		return -EINVAL;
	}
	if (!spec->server) {
		if (access(spec->target, W_OK) == 0)
			return 0;
		driver_say(err, err_len, "no permission for socket %s", spec->target);
		return -EACCES;
	}
	/* A predecessor that is being killed holds its socket for a moment longer. */
	const struct timespec nap = {.tv_nsec = 100 * 1000 * 1000};
	for (int tries = 0; tries < 10 && socket_alive(spec->target); tries++)
		nanosleep(&nap, NULL);
	if (socket_alive(spec->target)) {
		driver_say(err, err_len,
			   "socket %s is in use by another program: choose another path, or be its "
			   "client (%s:%s,client)",
			   spec->target, kinds[spec->kind].name, spec->target);
		return -EBUSY;
	}
	if (unlink(spec->target) != 0) { /* left over by a program that died */
		driver_say(err, err_len, "cannot remove the stale socket %s: %s", spec->target,
			   strerror(errno));
		return -EACCES;
	}
	return 0;
}

int link_check(const struct driver_config *cfg, struct link_spec *spec, char *err, size_t err_len)
{
	(void)cfg;
	switch (spec->kind) {
	case LINK_TAP:
		return check_tap(spec, err, err_len);
	case LINK_AF_PACKET:
	case LINK_AF_XDP:
		return check_packet_socket(spec, err, err_len);
	case LINK_MEMIF:
	case LINK_VHOST:
	case LINK_VIRTIO_USER:
		return check_socket(spec, err, err_len);
	case LINK_PCI:
		return pci_check(spec, err, err_len);
	case LINK_DEVARGS:
		return 0;
	}
	return -EINVAL;
}

uint16_t link_mtu(const struct driver_config *cfg, const struct link_spec *spec)
{
	struct ifinfo info;
	if (cfg->mtu != 0)
		return cfg->mtu;
	if ((spec->kind == LINK_AF_PACKET || spec->kind == LINK_AF_XDP) &&
	    ifconf_get(spec->target, &info) == 0 && info.mtu >= 68)
		return info.mtu;
	return 1500;
}

static uint32_t pow2_at_least(uint32_t v)
{
	uint32_t p = 1;
	while (p < v)
		p <<= 1;
	return p;
}

/* Frames of net_af_packet's ring if they are to hold 64 KB each; 0: they hold the MTU. */
uint16_t link_jumbo_frames(const struct link_spec *spec)
{
	if (spec->kind != LINK_AF_PACKET || strstr(spec->more, "framesz") != NULL)
		return 0;
	return JUMBO_FRAMES;
}

static void af_packet_args(const struct driver_port *port, struct link_spec *spec, uint32_t frame,
			   unsigned queues)
{
	unsigned frames = 4096, per_block = 16;

	frame = frame < 2048 ? 2048 : frame;
	if (port->jumbo_frames != 0) {
		frame = JUMBO_FRAME;
		frames = port->jumbo_frames;
		per_block = JUMBO_BLOCK_FRAMES;
	}
	snprintf(spec->vdev_args, sizeof(spec->vdev_args),
		 "iface=%s,qpairs=%u,framesz=%u,blocksz=%u,framecnt=%u", spec->target, queues, frame,
		 frame * per_block, frames);
}

void link_devargs(const struct driver_port *port, struct link_spec *spec, uint16_t mtu)
{
	const struct driver_config *cfg = &port->cfg;
	char *a = spec->vdev_args;
	size_t n = sizeof(spec->vdev_args);
	uint32_t frame = pow2_at_least(mtu + 128u);
	unsigned queues = cfg->queues == 0 ? 1 : cfg->queues;

	switch (spec->kind) {
	case LINK_TAP:
		strcpy(spec->vdev_name, "net_tap0");
		snprintf(a, n, "iface=%s", spec->target);
		break;
	case LINK_AF_PACKET:
		strcpy(spec->vdev_name, "net_af_packet0");
		af_packet_args(port, spec, frame, queues);
		break;
	case LINK_AF_XDP:
		strcpy(spec->vdev_name, "net_af_xdp0");
		snprintf(a, n, "iface=%s,queue_count=%u,busy_budget=0", spec->target, queues);
		break;
	case LINK_MEMIF:
		strcpy(spec->vdev_name, "net_memif0");
		snprintf(a, n, "role=%s,id=0,socket=%s,socket-abstract=no,bsize=%u,rsize=11%s",
			 spec->server ? "server" : "client", spec->target, frame < 2048 ? 2048 : frame,
			 port->hugepages && !spec->server ? ",zero-copy=yes" : "");
		break;
	case LINK_VHOST:
		strcpy(spec->vdev_name, "net_vhost0");
		snprintf(a, n, "iface=%s,queues=%u,client=%d,tso=1", spec->target, queues, !spec->server);
		break;
	case LINK_VIRTIO_USER:
		strcpy(spec->vdev_name, "net_virtio_user0");
		snprintf(a, n, "path=%s,queues=%u,queue_size=1024,server=%d,mrg_rxbuf=1", spec->target,
			 queues, spec->server);
		break;
	case LINK_PCI:
	case LINK_DEVARGS:
		return;
	}
	if (spec->more[0] != '\0') {
		size_t used = strlen(a);
		snprintf(a + used, n - used, ",%s", spec->more);
	}
}
