/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.c - opens and closes: link specification, EAL, device, pool, port, in this order
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mempool.h>

#ifdef DRIVER_HAS_AF_XDP
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#endif

#include "driver/driver_priv.h"
#include "driver/lazy_lib.h"

/*
 * net_tap wants a signal for every packet that arrives, and takes a real-time signal with default disposition
 * for it: system calls of the program would be interrupted, and a forked child would get none. If all of them
 * are taken it reads its descriptor at every poll instead, which is what we want; so take them for the while.
 */
static void signal_taken(int signo)
{
	(void)signo;
}

static void rt_signals_take(const char *link, sigset_t *taken)
{
	struct sigaction sa, mine = {.sa_handler = signal_taken, .sa_flags = SA_RESTART};
	sigemptyset(taken);
	if (strstr(link, "tap") == NULL)
		return;
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		if (sigaction(s, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL &&
		    sigaction(s, &mine, NULL) == 0)
			sigaddset(taken, s);
}

static void rt_signals_give_back(const sigset_t *taken)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		if (sigismember(taken, s) == 1)
			sigaction(s, &dfl, NULL);
}

static int make_device(struct driver_port *port, char *err, size_t err_len)
{
	const struct link_spec *spec = &port->link;
	int ret = 0;

	if (spec->kind != LINK_PCI) /* EAL has looked for that one */
		eal_clear_error();
#ifdef DRIVER_HAS_AF_XDP
	libxdp_set_print(NULL); /* they chatter on the program's stderr */
	libbpf_set_print(NULL);
#endif
	packet_ring_begin(port);
	if (link_is_vdev(spec))
		ret = rte_vdev_init(spec->vdev_name, spec->vdev_args);
	else if (spec->kind == LINK_DEVARGS)
		ret = rte_dev_probe(spec->target);
	packet_ring_end();
	if (ret == 0)
		RTE_ETH_FOREACH_DEV(port->id)
	return 0;
	driver_say(err, err_len, "link %s cannot be opened: %s", port->cfg.link,
		   eal_last_error()[0] ? eal_last_error()
				       : "its driver is not built in (meson option drivers)");
	return ret == 0 || ret == -1 ? -ENODEV : ret;
}

/* The kernel may not have the memory for a large ring. */
static int make_device_that_fits(struct driver_port *port, uint16_t mtu, char *err, size_t err_len)
{
	for (;;) {
		link_devargs(port, &port->link, mtu);
		int ret = make_device(port, err, err_len);
		if (ret == 0 || port->jumbo_frames <= JUMBO_FRAMES_LEAST)
			return ret;
		port->jumbo_frames /= 2;
	}
}

static int load_libraries(const struct link_spec *spec, char *err, size_t err_len)
{
	char unused[256];
	int ret = 0;

	if (spec->kind == LINK_AF_XDP) {
		ret = lazy_load("libxdp", err, err_len);
		if (ret == 0)
			ret = lazy_load("libbpf", err, err_len);
	} else if (spec->kind == LINK_PCI || spec->kind == LINK_DEVARGS) {
		lazy_load("", unused, sizeof(unused)); /* which of them it takes is not known */
	}
	return ret;
}

static int open_link(struct driver_port *port, char *err, size_t err_len)
{
	const struct driver_config *cfg = &port->cfg;
	struct link_spec *spec = &port->link;

	int ret = link_parse(cfg->link, spec, err, err_len);
	if (ret == 0)
		ret = link_check(cfg, spec, err, err_len);
	if (ret == 0)
		ret = load_libraries(spec, err, err_len);
	if (ret != 0)
		return ret;
	uint16_t mtu = link_mtu(cfg, spec);
	port->room = pool_room(mtu);
	port->jumbo_frames = link_jumbo_frames(spec);
	ret = eal_start(cfg, spec, pool_bytes(cfg, port->room, port->jumbo_frames != 0), err, err_len);
	if (ret != 0)
		return ret;
	port->hugepages = eal_has_hugepages();

	ret = packet_tx_open(port, err, err_len);
	if (ret == 0)
		ret = make_device_that_fits(port, mtu, err, err_len);
	if (ret == 0)
		ret = pool_make(port, err, err_len);
	if (ret == 0) {
		guard_start(port);
		ret = port_start(port, mtu, err, err_len);
	}
	if (ret == 0)
		eal_join_maps();
	if (ret == 0 && spec->kind == LINK_TAP && cfg->kernel_addr != NULL) {
		ret = ifconf_set_addr(spec->target, cfg->kernel_addr);
		if (ret == 0)
			ret = ifconf_up(spec->target);
		if (ret != 0)
			driver_say(err, err_len, "cannot give %s the address %s: %s", spec->target,
				   cfg->kernel_addr, strerror(-ret));
	}
	return ret;
}

int driver_open(const struct driver_config *cfg, struct driver_port **out, char *err, size_t err_len)
{
	struct driver_port *port = calloc(1, sizeof(*port));
	struct thread_state thread;
	sigset_t rt_signals;
	struct fd_fill fill;

	*out = NULL;
	if (err_len > 0)
		err[0] = '\0';
	if (port == NULL)
		return -ENOMEM;
	port->cfg = *cfg;
	port->dev.ops = &driver_netdev_ops;
	port->id = RTE_MAX_ETHPORTS;
	port->owner = getpid();
	port->capture_fd = port->link.held_fd = -1;
	for (unsigned q = 0; q < DRIVER_QUEUES_MAX; q++)
		port->packet_fd[q] = -1;
	thread_save(&thread);
	rt_signals_take(port->cfg.link, &rt_signals);
	struct fd_set_snapshot *before = sleep_fds_before();
	sleep_fds_fill(&fill);
	peer_wait_begin(&port->cfg, &thread);
	int ret = open_link(port, err, err_len);
	ret = peer_wait_end(&port->link, ret, err, err_len);
	sleep_fds_empty(&fill);
	sleep_fds_after(port, before);
	rt_signals_give_back(&rt_signals);
	thread_restore(&thread);
	if (ret != 0)
		driver_close(port);
	else
		*out = port;
	return ret;
}

struct netdev *driver_netdev(struct driver_port *port)
{
	return &port->dev;
}

struct rte_mempool *driver_pool(struct driver_port *port)
{
	return port->pool;
}

uint32_t driver_pool_mbufs(const struct driver_port *port)
{
	return port->cfg.mbufs;
}

unsigned driver_ifindex(const struct driver_port *port)
{
	struct ifinfo info;
	bool in_kernel = port->link.kind == LINK_TAP || port->link.kind == LINK_AF_PACKET ||
			 port->link.kind == LINK_AF_XDP;

	return in_kernel && !ifconf_get(port->link.target, &info) ? info.index : 0;
}

size_t driver_describe(const struct driver_port *port, char *buf, size_t len)
{
	const struct netdev_caps *c = &port->dev.caps;
	const char *offloads = c->csum_unneeded ? "no checksums needed"
			       : c->tx_tcp_csum ? "checksum"
			       : c->lro         ? "large receive"
						: "no offloads";
	bool default_name = strchr(port->cfg.link, ':') == NULL; /* "tap" */
	char queues[32];

	if (c->queues < port->cfg.queues)
		snprintf(queues, sizeof(queues), "%u of %u queues", c->queues, port->cfg.queues);
	else
		snprintf(queues, sizeof(queues), "%u queue%s", c->queues, c->queues == 1 ? "" : "s");
	int n = snprintf(buf, len, "%s%s%s, %s%s%s, %s, %u buffers of %u KB %s hugepages", port->cfg.link,
			 default_name ? ":" : "", default_name ? port->link.target : "", offloads,
			 c->tso ? "+tso" : "", c->lro && c->tx_tcp_csum ? "+lro" : "", queues,
			 port->cfg.mbufs, (port->room - RTE_PKTMBUF_HEADROOM) / 1024u,
			 port->hugepages ? "in" : "without");
	if (n > 0 && (size_t)n < len && port->jumbo_frames != 0 && port->jumbo_frames < JUMBO_FRAMES)
		n += snprintf(buf + n, len - (size_t)n, ", for lack of memory a ring of only %u frames",
			      port->jumbo_frames);
	return n < 0 ? 0 : (size_t)n;
}

/*
 * memif, vhost and virtio_user also close when their peer does, on a thread of DPDK that does not expect us
 * to do the same at this moment. The end of the process closes what is theirs, but for the name of the
 * socket.
 */
static bool closes_itself(const struct driver_port *port)
{
	enum link_kind kind = port->link.kind;
	return port->started && (kind == LINK_MEMIF || kind == LINK_VHOST || kind == LINK_VIRTIO_USER);
}

void driver_close(struct driver_port *port)
{
	struct thread_state thread;

	if (port == NULL)
		return;
	driver_capture_stop(port);
	if (closes_itself(port)) {
		if (port->link.server)
			unlink(port->link.target);
		return;
	}
	thread_save(&thread);
	if (port->id != RTE_MAX_ETHPORTS) {
		if (port->started)
			rte_eth_dev_stop(port->id);
		rte_eth_dev_close(port->id);
		if (link_is_vdev(&port->link))
			rte_vdev_uninit(port->link.vdev_name);
	}
	packet_tx_close(port);
	if (port->link.held_fd >= 0)
		close(port->link.held_fd);
	thread_restore(&thread);
	guard_stop();
	rte_mempool_free(port->pool);
	rte_mempool_free(port->jumbo_pool);
	rte_free(port->shared);
	free(port);
}

unsigned driver_counters(struct driver_port *port, struct driver_counter *to)
{
	struct rte_eth_stats s;
	struct port_queue c = {0};
	unsigned n = 0;

	if (rte_eth_stats_get(port->id, &s) != 0)
		return 0;
	for (unsigned q = 0; q < port->dev.caps.queues; q++) {
		c.rx_nombuf += port->shared->q[q].rx_nombuf;
		c.rx_udp_gso += port->shared->q[q].rx_udp_gso;
		c.rx_other_vlan += port->shared->q[q].rx_other_vlan;
		c.rx_packets += port->shared->q[q].rx_packets;
		c.rx_bytes += port->shared->q[q].rx_bytes;
		c.tx_prepare_bad += port->shared->q[q].tx_prepare_bad;
		c.tx_packets += port->shared->q[q].tx_packets;
		c.tx_bytes += port->shared->q[q].tx_bytes;
		c.tx_refused += port->shared->q[q].tx_refused;
		c.rx_joined += port->shared->q[q].rx_joined;
		c.tx_segments += port->shared->q[q].tx_segments;
		c.tx_nombuf += port->shared->q[q].tx_nombuf;
	}
	to[n++] = (struct driver_counter){"rx_packets", s.ipackets + c.rx_packets};
	to[n++] = (struct driver_counter){"rx_bytes", s.ibytes + c.rx_bytes};
	to[n++] = (struct driver_counter){"rx_missed", s.imissed};
	to[n++] = (struct driver_counter){"rx_errors", s.ierrors + c.rx_other_vlan};
	to[n++] = (struct driver_counter){"rx_nombuf", s.rx_nombuf + c.rx_nombuf};
	to[n++] = (struct driver_counter){"rx_udp_gso_dropped", c.rx_udp_gso};
	to[n++] = (struct driver_counter){"rx_gro_joined", c.rx_joined};
	to[n++] = (struct driver_counter){"tx_packets", s.opackets + c.tx_packets};
	to[n++] = (struct driver_counter){"tx_bytes", s.obytes + c.tx_bytes};
	to[n++] = (struct driver_counter){"tx_errors", s.oerrors + c.tx_prepare_bad + c.tx_refused};
	to[n++] = (struct driver_counter){"tx_gso_segments", c.tx_segments};
	to[n++] = (struct driver_counter){"tx_gso_nombuf", c.tx_nombuf};
	return n;
}

size_t driver_stats(struct driver_port *port, char *buf, size_t len)
{
	struct driver_counter c[DRIVER_COUNTERS_MAX];
	unsigned n = driver_counters(port, c);
	size_t at = 0;

	for (unsigned i = 0; i < n && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s %" PRIu64 "\n", c[i].name, c[i].value);
	return at;
}

void driver_mbufs(const struct driver_port *port, struct driver_mbufs *m)
{
	*m = (struct driver_mbufs){.total = port->pool->size, .free = rte_mempool_avail_count(port->pool)};
}
