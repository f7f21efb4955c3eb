/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netdev_peer - a program with a netdev and no stack: for the tests of the links
 *
 *     netdev_peer LINK echo N      answers ARP for 198.18.0.2, ICMP echo requests and test frames; ends after
 * N netdev_peer LINK ping N      sends N test frames, one after the other, and sleeps until each came back
 *     netdev_peer LINK ping_until FILE the same until there is such a file; the last one must come back
 *     netdev_peer LINK blast MS    sends test frames at full speed for MS milliseconds
 *     netdev_peer LINK sink MS     counts what comes for MS milliseconds
 *     netdev_peer LINK info        says what it has
 *
 * Options before LINK: -f (do it in a forked child, the parent only waits), -p (poll, do not sleep), -m
 * MBUFS, -k CIDR (kernel's end of a tap), -l SIZE (of test frames), -t SECONDS (give up, 20), -n ROUNDS of
 * the link going away and coming back to be waited for.
 *
 * Prints one line "key=value ..." and exits 0 when everything arrived. A wake-up that does not come within a
 * second although the frame is there counts as lost_wakeups.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "driver/driver.h"
#include "stack/netdev.h"
#include "stack/pkt.h"

#define BURST     32
#define TEST_TYPE 0x88b5 /* local experimental */
#define OWN_ADDR  RTE_IPV4(198, 18, 0, 2)

struct peer {
	struct driver_port *port;
	struct netdev *dev;
	struct rte_mempool *pool;
	bool poll;
	unsigned size;
	uint64_t give_up, look_at;
	uint64_t sleeps, wakeups, lost_wakeups, rx, rx_bytes, tx;
	unsigned max_len;
};

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* As the library does; it is what makes a memif client connect again. */
static void look_after_link(struct peer *p)
{
	if (now_ns() < p->look_at)
		return;
	p->dev->ops->link_up(p->dev);
	p->look_at = now_ns() + 100000000;
}

static void send_all(struct peer *p, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t done = 0;
	while (done < n && now_ns() < p->give_up) {
		uint16_t sent = p->dev->ops->tx_burst(p->dev, 0, pkts + done, n - done);
		done += sent;
		if (sent == 0)
			look_after_link(p);
	}
	p->tx += done;
	rte_pktmbuf_free_bulk(pkts + done, n - done);
}

/* Sleeps as the library does: arm, look once more, sleep, disarm. */
static uint16_t receive_or_sleep(struct peer *p, struct rte_mbuf **pkts)
{
	const struct netdev_ops *ops = p->dev->ops;
	uint16_t n = ops->rx_burst(p->dev, 0, pkts, BURST);
	int fd = p->poll ? -1 : ops->rx_sleep_fd(p->dev, 0);

	if (n > 0 || p->poll)
		return n;
	look_after_link(p);
	if (fd < 0) {
		const struct timespec nap = {.tv_nsec = 50000};
		nanosleep(&nap, NULL);
		return 0;
	}
	ops->rx_arm(p->dev, 0);
	n = ops->rx_burst(p->dev, 0, pkts, BURST);
	if (n == 0) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		const struct timespec second = {.tv_sec = 1};
		p->sleeps++;
		int woken = ppoll(&pfd, 1, &second, NULL);
		p->wakeups += woken > 0;
		n = ops->rx_burst(p->dev, 0, pkts, BURST);
		p->lost_wakeups += woken == 0 && n > 0;
	}
	ops->rx_disarm(p->dev, 0);
	return n;
}

static void swap_macs(struct peer *p, struct rte_ether_hdr *eth)
{
	eth->dst_addr = eth->src_addr;
	memcpy(eth->src_addr.addr_bytes, p->dev->caps.mac, 6);
}

/* Makes the answer in place; false when the frame deserves none. */
static bool answer(struct peer *p, struct rte_mbuf *m, bool *is_test)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	*is_test = eth->ether_type == RTE_BE16(TEST_TYPE);
	if (*is_test) {
		swap_macs(p, eth);
		return true;
	}
	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP)) {
		struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
		if (arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST) ||
		    arp->arp_data.arp_tip != htonl(OWN_ADDR))
			return false;
		swap_macs(p, eth);
		arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
		arp->arp_data.arp_tip = arp->arp_data.arp_sip;
		arp->arp_data.arp_tha = arp->arp_data.arp_sha;
		arp->arp_data.arp_sip = htonl(OWN_ADDR);
		memcpy(arp->arp_data.arp_sha.addr_bytes, p->dev->caps.mac, 6);
		return true;
	}
	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
		struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);
		if (ip->next_proto_id != IPPROTO_ICMP || icmp->icmp_type != RTE_IP_ICMP_ECHO_REQUEST)
			return false;
		swap_macs(p, eth);
		uint32_t src = ip->src_addr;
		ip->src_addr = ip->dst_addr;
		ip->dst_addr = src;
		icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
		uint32_t sum = icmp->icmp_cksum + RTE_BE16(0x0800);
		icmp->icmp_cksum = (uint16_t)(sum + (sum >> 16));
		*is_test = true;
		return true;
	}
	return false;
}

/* Of this thread: tells more than wall-clock rates on a machine that does other things too. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int do_echo(struct peer *p, uint64_t want)
{
	struct rte_mbuf *pkts[BURST];
	uint64_t answered = 0;
	while (answered < want && now_ns() < p->give_up) {
		uint16_t n = receive_or_sleep(p, pkts), out = 0;
		p->rx += n;
		for (uint16_t i = 0; i < n; i++) {
			bool test;
			p->rx_bytes += pkts[i]->pkt_len;
			if (answer(p, pkts[i], &test)) {
				answered += test;
				pkts[out++] = pkts[i];
			} else {
				rte_pktmbuf_free(pkts[i]);
			}
		}
		send_all(p, pkts, out);
	}
	return answered >= want ? 0 : 1;
}

static struct rte_mbuf *test_frame(struct peer *p, uint32_t seq)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
	if (m == NULL)
		return NULL;
	m->data_len = (uint16_t)p->size;
	m->pkt_len = p->size;
	uint8_t *b = rte_pktmbuf_mtod(m, uint8_t *);
	memset(b, 0, p->size);
	memset(b, 0xff, 6);
	memcpy(b + 6, p->dev->caps.mac, 6);
	b[12] = TEST_TYPE >> 8;
	b[13] = TEST_TYPE & 0xff;
	memcpy(b + 14, &seq, sizeof(seq));
	return m;
}

static bool take_answer(struct peer *p, uint32_t seq)
{
	struct rte_mbuf *pkts[BURST];
	bool found = false;
	uint16_t n = receive_or_sleep(p, pkts);
	p->rx += n;
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *b = rte_pktmbuf_mtod(pkts[i], uint8_t *);
		uint32_t got;
		memcpy(&got, b + 14, sizeof(got));
		found |= b[12] == TEST_TYPE >> 8 && b[13] == (TEST_TYPE & 0xff) && got == seq;
		rte_pktmbuf_free(pkts[i]);
	}
	return found;
}

static int do_ping(struct peer *p, uint64_t want, const char *end_file)
{
	uint64_t best = UINT64_MAX, sum = 0;
	for (uint32_t seq = 0; seq < want && (end_file == NULL || access(end_file, F_OK) != 0); seq++) {
		bool found = false;
		for (int tries = 0; !found && now_ns() < p->give_up;
		     tries++) { /* again: the peer may still be away */
			struct rte_mbuf *m = test_frame(p, seq);
			uint64_t start = now_ns();
			if (m != NULL)
				send_all(p, &m, 1);
			while (!found && now_ns() < start + 1000000000)
				found = take_answer(p, seq);
			uint64_t took = now_ns() - start;
			best = took < best ? took : best;
			sum += took;
		}
		if (!found)
			return 1;
	}
	printf("rtt_min_ns=%" PRIu64 " rtt_avg_ns=%" PRIu64 " ", best, sum / (want ? want : 1));
	return 0;
}

static int do_blast(struct peer *p, uint64_t ms)
{
	uint64_t start = now_ns(), end = start + ms * 1000000, cpu = cpu_ns();
	while (now_ns() < end) {
		struct rte_mbuf *pkts[BURST];
		uint16_t n = 0;
		while (n < BURST && (pkts[n] = test_frame(p, n)) != NULL)
			n++;
		send_all(p, pkts, n);
		n = p->dev->ops->rx_burst(p->dev, 0, pkts, BURST);
		rte_pktmbuf_free_bulk(pkts, n);
	}
	printf("mpps=%.3f cpu_ns_per_frame=%.0f ", (double)p->tx * 1e3 / (double)(now_ns() - start),
	       (double)(cpu_ns() - cpu) / (double)(p->tx ? p->tx : 1));
	return 0;
}

static int do_sink(struct peer *p, uint64_t ms)
{
	uint64_t first = 0, last = 0, cpu = 0, before, end = now_ns() + ms * 1000000;
	while (now_ns() < end) {
		struct rte_mbuf *pkts[BURST];
		before = cpu_ns();
		uint16_t n = receive_or_sleep(p, pkts);
		if (n == 0)
			continue;
		cpu += cpu_ns() - before; /* of the bursts that brought something */
		last = now_ns();
		first = first ? first : last;
		p->rx += n;
		for (uint16_t i = 0; i < n; i++) {
			p->rx_bytes += pkts[i]->pkt_len;
			p->max_len = pkts[i]->pkt_len > p->max_len ? pkts[i]->pkt_len : p->max_len;
		}
		rte_pktmbuf_free_bulk(pkts, n);
	}
	if (last > first)
		printf("mpps=%.3f cpu_ns_per_frame=%.0f gbps=%.3f ",
		       (double)p->rx * 1e3 / (double)(last - first), (double)cpu / (double)p->rx,
		       (double)p->rx_bytes * 8 / (double)(last - first));
	return 0;
}

static int run(struct peer *p, const char *mode, const char *word)
{
	uint64_t count = strtoull(word, NULL, 10);
	int ret = 2;
	driver_enter_queue(0);
	if (strcmp(mode, "echo") == 0)
		ret = do_echo(p, count);
	else if (strcmp(mode, "ping") == 0)
		ret = do_ping(p, count, NULL);
	else if (strcmp(mode, "ping_until") == 0)
		ret = do_ping(p, UINT32_MAX, word);
	else if (strcmp(mode, "blast") == 0)
		ret = do_blast(p, count);
	else if (strcmp(mode, "sink") == 0)
		ret = do_sink(p, count);
	else if (strcmp(mode, "info") == 0)
		ret = 0;
	const struct netdev_caps *c = &p->dev->caps;
	printf("rx=%" PRIu64 " rx_bytes=%" PRIu64 " max_len=%u tx=%" PRIu64 " sleeps=%" PRIu64
	       " wakeups=%" PRIu64 " lost_wakeups=%" PRIu64
	       " sleep=%d link=%d mtu=%u tso=%d lro=%d csum=%d/%d avail=%u\n",
	       p->rx, p->rx_bytes, p->max_len, p->tx, p->sleeps, p->wakeups, p->lost_wakeups, c->rx_sleep,
	       p->dev->ops->link_up(p->dev), c->mtu, c->tso, c->lro, c->tx_tcp_csum, c->rx_csum,
	       rte_mempool_avail_count(p->pool));
	fflush(stdout);
	return ret;
}

static int run_in_child(struct peer *p, const char *mode, const char *word)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(run(p, mode, word));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

int main(int argc, char **argv)
{
	struct driver_config cfg = {
		.queues = 1,
		.mbufs = 16384,
		.mbuf_priv_bytes = PKT_PRIV_SIZE,
		.offload_csum = true,
		.offload_tso = true,
		.offload_lro = true,
		.stack_addr_be = htonl(OWN_ADDR),
		.log_level = RTE_LOG_CRIT,
	};
	struct peer p = {.size = 64};
	bool in_child = false, stats = false;
	const char *capture = NULL;
	unsigned seconds = 20;
	char err[512];
	int opt;

	while ((opt = getopt(argc, argv, "fpsvm:k:l:t:w:")) != -1) {
		switch (opt) {
		case 'f':
			in_child = true;
			break;
		case 'p':
			p.poll = true;
			break;
		case 's':
			stats = true;
			break;
		case 'v':
			cfg.log_level = RTE_LOG_DEBUG;
			break;
		case 'm':
			cfg.mbufs = (uint32_t)atoi(optarg);
			break;
		case 'k':
			cfg.kernel_addr = optarg;
			break;
		case 'w':
			capture = optarg;
			break;
		case 'l':
			p.size = (unsigned)atoi(optarg);
			break;
		case 't':
			seconds = (unsigned)atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind < 2)
		return 2;
	cfg.link = argv[optind];
	uint64_t start = now_ns();
	int ret = driver_open(&cfg, &p.port, err, sizeof(err));
	if (ret != 0) {
		printf("error=%d %s\n", -ret, err);
		return 4;
	}
	if (capture != NULL && (ret = driver_capture_start(p.port, capture)) != 0)
		printf("capture=%d ", ret);
	p.dev = driver_netdev(p.port);
	p.pool = driver_pool(p.port);
	p.give_up = now_ns() + seconds * UINT64_C(1000000000);
	driver_describe(p.port, err, sizeof(err));
	printf("%s\nopen_ms=%.1f ", err, (double)(now_ns() - start) / 1e6);
	fflush(stdout);
	const char *word = argc - optind > 2 ? argv[optind + 2] : "0";
	ret = in_child ? run_in_child(&p, argv[optind + 1], word) : run(&p, argv[optind + 1], word);
	if (stats) {
		char text[512] = "";
		driver_stats(p.port, text, sizeof(text));
		fputs(text, stdout);
	}
	driver_close(p.port);
	return ret;
}
