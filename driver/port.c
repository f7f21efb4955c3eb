/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port.c - one ethdev: configure, queues, start, MAC, MTU, and a bounded wait for the link
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <rte_errno.h>
#include <rte_ether.h>

#include "driver/driver_priv.h"

#define LINK_WAIT_MS     2000
#define PEER_WAIT_MS     400
#define CONNECT_EVERY_MS 500

static uint16_t pick_queues(const struct driver_port *port)
{
	unsigned n = port->cfg.queues == 0 ? 1 : port->cfg.queues;
	n = RTE_MIN(n, DRIVER_QUEUES_MAX);
	n = RTE_MIN(n, port->info.max_rx_queues);
	n = RTE_MIN(n, port->info.max_tx_queues);
	return n == 0 ? 1 : (uint16_t)n;
}

/* RX descriptors hold buffers of the pool: leave most of it to the stack. */
static uint16_t pick_desc(const struct driver_port *port, uint16_t wanted, uint16_t preferred,
			  uint16_t queues)
{
	uint32_t n = wanted != 0 ? wanted : preferred != 0 ? preferred : 1024;
	uint32_t most = port->cfg.mbufs / 4 / queues;

	if (port->link.kind == LINK_TAP && wanted == 0)
		n = 32; /* net_tap keeps that many buffers for one read */
	uint32_t pow2 = 1;
	while (pow2 * 2 <= most)
		pow2 *= 2;
	return (uint16_t)RTE_MIN(n, pow2);
}

static int setup_queues(struct driver_port *port, uint16_t queues)
{
	uint16_t rxd = pick_desc(port, port->cfg.rx_desc, port->info.default_rxportconf.ring_size, queues);
	uint16_t txd = pick_desc(port, port->cfg.tx_desc, port->info.default_txportconf.ring_size, queues);
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rxd, &txd);

	for (uint16_t q = 0; q < queues && ret == 0; q++) {
		ret = rte_eth_rx_queue_setup(port->id, q, rxd, SOCKET_ID_ANY, NULL,
					     port->jumbo_pool != NULL ? port->jumbo_pool : port->pool);
		if (ret == 0)
			ret = rte_eth_tx_queue_setup(port->id, q, txd, SOCKET_ID_ANY, NULL);
	}
	return ret;
}

/*
 * Not from net_e1000_em: what raised the interrupt stays set until a register is read, which the PMD does
 * not, so that each arming raises it again.
 */
static bool may_interrupt(const struct driver_port *port)
{
	switch (port->link.kind) {
	case LINK_PCI:
		return !port->link.uio && port->info.driver_name != NULL &&
		       strcmp(port->info.driver_name, "net_e1000_em") != 0;
	case LINK_VHOST:
	case LINK_VIRTIO_USER:
	case LINK_DEVARGS:
		return true;
	default:
		return false;
	}
}

static int configure(struct driver_port *port, uint16_t queues)
{
	struct rte_eth_conf conf = {.intr_conf.rxq = port->interrupts};
	uint64_t rss =
		port->info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);

	offload_choose(port, &conf);
	if (queues > 1 && rss != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = rss;
	}
	return rte_eth_dev_configure(port->id, queues, queues, &conf);
}

static bool mac_is_zero(const uint8_t mac[6])
{
	static const uint8_t zero[6];
	return memcmp(mac, zero, 6) == 0;
}

/*
 * Devices that others address by their own MAC keep it; point-to-point links may carry any. A veth interface
 * under a packet socket could do either, and gets another: what is not for its MAC the kernel drops at once,
 * instead of looking for a route, finding none and making an entry that says so, for each frame of ours.
 */
static bool keeps_mac(const struct driver_port *port)
{
	struct ifinfo info = {0};

	switch (port->link.kind) {
	case LINK_AF_PACKET:
		return ifconf_get(port->link.target, &info) != 0 || !info.veth;
	case LINK_AF_XDP:
	case LINK_PCI:
	case LINK_DEVARGS:
		return true;
	default:
		return false;
	}
}

static void choose_mac(struct driver_port *port)
{
	uint8_t *mac = port->dev.caps.mac;
	bool own = keeps_mac(port);
	struct rte_ether_addr addr;

	if (!mac_is_zero(port->cfg.mac)) {
		memcpy(mac, port->cfg.mac, 6);
		memcpy(addr.addr_bytes, mac, 6);
		if (own && rte_eth_dev_default_mac_addr_set(port->id, &addr) != 0)
			rte_eth_promiscuous_enable(port->id);
		return;
	}
	if (own && rte_eth_macaddr_get(port->id, &addr) == 0) {
		memcpy(mac, addr.addr_bytes, 6);
		return;
	}
	mac[0] = 0x02; /* locally administered, unicast */
	mac[1] = 0x53;
	memcpy(mac + 2, &port->cfg.stack_addr_be, 4);
}

static int choose_mtu(struct driver_port *port, uint16_t mtu, char *err, size_t err_len)
{
	uint16_t now = 0;
	port->dev.caps.mtu = mtu;
	if (rte_eth_dev_get_mtu(port->id, &now) != 0 || now == mtu || port->cfg.mtu == 0)
		return 0;
	int ret = rte_eth_dev_set_mtu(port->id, mtu);
	/* Memory-to-memory PMDs have no MTU of their own and carry what fits a buffer. */
	if (ret == 0 || ret == -ENOTSUP || mtu < now)
		return 0;
	driver_say(err, err_len, "mtu=%u is not possible on link %s (%s): use at most %u", mtu,
		   port->cfg.link, strerror(-ret), now);
	return -EINVAL;
}

/*
 * A memif client connects when it is started and never again. Only the process that made the port has the
 * thread that would complete the handshake.
 */
void port_connect_again(struct driver_port *port)
{
	struct thread_state thread;
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	uint64_t now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;

	if (getpid() != port->owner || access(port->link.target, F_OK) != 0)
		return;
	if (port->connect_at_ms == 0 && port->running) /* the handshake of the first start is under way */
		port->connect_at_ms = now_ms + CONNECT_EVERY_MS;
	if (now_ms < port->connect_at_ms)
		return;
	port->connect_at_ms = now_ms + CONNECT_EVERY_MS;
	thread_save(&thread);
	rte_eth_dev_stop(port->id);
	port->running = rte_eth_dev_start(port->id) == 0;
	thread_restore(&thread);
}

/* What the stack needs to choose ports by; nothing where the device keeps it to itself. */
static void learn_rss(struct driver_port *port)
{
	struct netdev_rss *rss = &port->dev.caps.rss;
	struct rte_eth_rss_reta_entry64 reta[NETDEV_RSS_TABLE / RTE_ETH_RETA_GROUP_SIZE];
	uint8_t key[NETDEV_RSS_KEY] = {0};
	struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = port->info.hash_key_size};
	uint16_t n = port->info.reta_size;

	rss->table_len = 0;
	if (port->dev.caps.queues < 2 || n == 0 || n > NETDEV_RSS_TABLE || port->info.hash_key_size == 0 ||
	    port->info.hash_key_size > sizeof(key) || rte_eth_dev_rss_hash_conf_get(port->id, &conf) != 0 ||
	    !(conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP))
		return;
	for (unsigned i = 0; i < RTE_DIM(reta); i++)
		reta[i].mask = UINT64_MAX;
	if (rte_eth_dev_rss_reta_query(port->id, reta, n) != 0)
		return;
	memcpy(rss->key, key, sizeof(key));
	for (unsigned i = 0; i < n; i++)
		rss->table[i] = (uint8_t)reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	rss->table_len = n;
}

/* The peer may well come later: the stack copes with a link that is down. */
static void wait_for_link(struct driver_port *port)
{
	const struct timespec nap = {.tv_nsec = 5 * 1000 * 1000};
	int left_ms = LINK_WAIT_MS;

	while (left_ms > 0 && !driver_netdev_ops.link_up(&port->dev)) {
		nanosleep(&nap, NULL);
		left_ms -= 5;
	}
	left_ms = RTE_MIN(left_ms, PEER_WAIT_MS);
	while (!offload_peer_known(port) && left_ms > 0) {
		nanosleep(&nap, NULL);
		left_ms -= 5;
	}
}

static int try_start(struct driver_port *port, uint16_t queues, uint16_t mtu, char *err, size_t err_len)
{
	int ret = configure(port, queues);
	if (ret == 0)
		ret = choose_mtu(port, mtu, err, err_len);
	if (ret == 0)
		ret = setup_queues(port, queues);
	if (ret == 0)
		ret = rte_eth_dev_start(port->id);
	return ret;
}

int port_start(struct driver_port *port, uint16_t mtu, char *err, size_t err_len)
{
	int ret = rte_eth_dev_info_get(port->id, &port->info);
	uint16_t queues = ret == 0 ? pick_queues(port) : 0;

	port->interrupts = ret == 0 && may_interrupt(port);
	if (ret == 0)
		ret = try_start(port, queues, mtu, err, err_len);
	/* Whether the PMD has RX interrupts on this device and bus shows at the latest when it starts. */
	if (ret != 0 && err[0] == '\0' && port->interrupts) {
		port->interrupts = false;
		ret = try_start(port, queues, mtu, err, err_len);
	}
	if (ret == -EINVAL && err[0] != '\0')
		return ret;
	port->running = ret == 0;
	if (ret != 0 && port->link.kind == LINK_MEMIF && !port->link.server)
		ret = 0; /* the server is not there yet */
	if (ret != 0) {
		driver_say(err, err_len, "link %s does not start: %s (%s)", port->cfg.link, strerror(-ret),
			   eal_last_error());
		return ret;
	}
	port->started = true;
	port->dev.caps.queues = queues;
	choose_mac(port);
	learn_rss(port);
	wait_for_link(port);
	return 0;
}
