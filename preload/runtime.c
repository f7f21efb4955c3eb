/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime.c - the composition root
 *
 *     constructor: libc's functions, configuration            (every program: microseconds)
 *     runtime_start(): driver ──► one stack per queue ──► is the address free? ──► domain, all go live
 *     destructor: what is still on its way is delivered
 *
 * Started by the first call that needs the stack, once per family: a child inherits what its parent started.
 * A process whose sibling already has the device cannot have it too and stays with the kernel.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "domain.h"
#include "driver/driver.h"
#include "fd_guard.h"
#include "host_secret.h"
#include "inside.h"
#include "libc.h"
#include "log.h"
#include "pass_name.h"
#include "result.h"
#include "runtime.h"
#include "socket_priv.h"
#include "stack/netdev.h"
#include "stack/pkt.h"
#include "stack/stack.h"
#include "telemetry.h"

#define TEXT_MAX       256
#define BURST          32
#define PROBE_NAP_NS   1000000L
#define PROBE_REPEATS  2
#define LOCAL_CACHE    64
#define LOCAL_KEPT_S   1
#define DRIVER_FDS_MAX 4096

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int start_error; /* -errno of the attempt that failed */
static pid_t own_pid;           /* of the process that has this memory for itself */
static bool is_passed_image;    /* a family that has the link made this process serve one connection */

/* What a start has made so far. */
struct start {
	const struct config *cfg;
	struct driver_port *port;
	struct netdev *dev;
	struct stack *stacks[DOMAIN_INSTS_MAX];
	size_t stack_bytes;
	unsigned n_stacks, n_huge; /* n_huge: stacks in hugepages */
	char err[TEXT_MAX];
};

static void say_waiting(const char *link)
{
	log_info("waiting for a peer on %s", link);
}

/* As at a connect(2) of the kernel's: a handler without SA_RESTART ends the wait. */
static bool wait_interrupted(void)
{
	return !signal_restarts();
}

static int open_driver(struct start *s)
{
	const struct config *cfg = s->cfg;
	char kernel_addr[TEXT_MAX];
	struct driver_config dc = {
		.link = cfg->link,
		.stack_addr_be = cfg->addr.at[0].addr_be,
		.mtu = cfg->mtu,
		.queues = cfg->queues,
		.mbufs = cfg->mbufs,
		.mbuf_priv_bytes = PKT_PRIV_SIZE,
		.hugepages = (enum driver_hugepages)cfg->hugepages,
		.offload_csum = cfg->checksum,
		.offload_tso = cfg->tso,
		.offload_lro = cfg->lro,
		.soft_gro = cfg->gro,
		.soft_gso = cfg->gso,
		.eal_args = cfg->eal_args[0] ? cfg->eal_args : NULL,
		.peer_wait_s = cfg->peer_wait,
		.waiting = say_waiting,
		.interrupted = wait_interrupted,
		.log_level = cfg->log == CONFIG_LOG_DEBUG
				     ? 7
				     : 3, /* RTE_LOG_INFO, RTE_LOG_CRIT: an error is told by our own line */
	};
	int err;

	config_cidr_text(&cfg->kernel_addr, kernel_addr, sizeof(kernel_addr));
	dc.kernel_addr = kernel_addr[0] ? kernel_addr : NULL;
	memcpy(dc.mac, cfg->mac, sizeof(dc.mac));
	err = driver_open(&dc, &s->port, s->err, sizeof(s->err));
	if (err)
		return err;
	s->dev = driver_netdev(s->port);
	for (int fd = 0; fd < DRIVER_FDS_MAX; fd++)
		if (driver_owns_fd(fd))
			fd_guard(fd);
	return 0;
}

static int make_stack(struct start *s, unsigned queue, unsigned queues, const uint64_t *seed,
		      const uint64_t *isn_secret)
{
	struct stack_config sc;
	bool huge;
	void *mem;
	int err = 0;

	stack_config_init(&sc);
	config_to_stack(s->cfg, &sc);
	sc.pool = driver_pool(s->port);
	sc.pool_mbufs = driver_pool_mbufs(s->port) / queues;
	sc.caps = s->dev->caps;
	sc.queue = queue;
	sc.queues = queues;
	memcpy(sc.seed, seed, sizeof(sc.seed));
	memcpy(sc.isn_secret, isn_secret, sizeof(sc.isn_secret));
	s->stack_bytes = stack_mem_size(&sc);
	mem = driver_arena_map(&s->stack_bytes, (enum driver_hugepages)s->cfg->hugepages, &huge);
	if (!mem) {
		snprintf(s->err, sizeof(s->err), "no memory for %zu MB of sockets", s->stack_bytes >> 20);
		return -ENOMEM;
	}
	s->stacks[queue] = stack_init(mem, &sc, inst_clock(), &err);
	if (!s->stacks[queue]) {
		snprintf(s->err, sizeof(s->err), "the stack refuses its configuration: %s", strerror(-err));
		munmap(mem, s->stack_bytes);
		return err;
	}
	s->n_stacks = queue + 1;
	s->n_huge += huge;
	return 0;
}

static int make_stacks(struct start *s)
{
	unsigned queues = s->dev->caps.queues;
	uint64_t seed[2], isn_secret[2];

	if (queues > DOMAIN_INSTS_MAX)
		queues = DOMAIN_INSTS_MAX;
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		seed[0] = inst_clock();
	host_secret(isn_secret);
	for (unsigned q = 0; q < queues; q++) {
		int err = make_stack(s, q, queues, seed, isn_secret);

		if (err)
			return err;
	}
	stack_join(s->stacks, s->n_stacks);
	return 0;
}

/* One round on each queue before anybody else can see the stacks. */
static void drive(struct start *s)
{
	for (unsigned q = 0; q < s->n_stacks; q++) {
		struct rte_mbuf *pkts[BURST];
		struct stack *st = s->stacks[q];
		unsigned n, sent;

		driver_enter_queue((uint16_t)q);
		n = s->dev->ops->rx_burst(s->dev, (uint16_t)q, pkts, BURST);
		stack_input(st, pkts, n, inst_clock());
		stack_input_handed(st, inst_clock());
		stack_run_timers(st, inst_clock());
		n = stack_output(st, pkts, BURST);
		sent = n ? s->dev->ops->tx_burst(s->dev, (uint16_t)q, pkts, (uint16_t)n) : 0;
		if (sent < n)
			stack_output_unsent(st, pkts + sent, n - sent);
	}
}

static void probe_again(struct start *s)
{
	driver_enter_queue(0);
	for (unsigned q = 0; q < s->n_stacks; q++) {
		stack_set_now(s->stacks[q], inst_clock());
		stack_arp_probe(s->stacks[q]);
	}
}

/* The answer may come in on any queue. */
static bool conflict(const struct start *s, be32 *addr, uint8_t mac[6])
{
	for (unsigned q = 0; q < s->n_stacks; q++)
		if (stack_addr_conflict(s->stacks[q], addr, mac))
			return true;
	return false;
}

static void announce(struct start *s)
{
	driver_enter_queue(0);
	for (unsigned q = 0; q < s->n_stacks; q++)
		stack_arp_announce(s->stacks[q]);
	drive(s);
}

/* RFC 5227: asks the link whether somebody else has our address. */
static int probe_addresses(struct start *s)
{
	time_ns begin = inst_clock(), span = s->cfg->arp_probe_ms * NS_PER_MS;
	const struct timespec nap = {0, PROBE_NAP_NS};
	unsigned asked = 0;
	uint8_t mac[6];
	be32 addr;

	if (!span)
		return 0;
	while (inst_clock() - begin < span) {
		if (inst_clock() - begin >= asked * span / PROBE_REPEATS) {
			asked++;
			probe_again(s);
		}
		drive(s);
		if (conflict(s, &addr, mac)) {
			const uint8_t *a = (const uint8_t *)&addr;

			snprintf(s->err, sizeof(s->err),
				 "address %u.%u.%u.%u is used on the link by %02x:%02x:%02x:%02x:%02x:%02x",
				 a[0], a[1], a[2], a[3], mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
			return -EADDRINUSE;
		}
		nanosleep(&nap, NULL);
	}
	announce(s);
	return 0;
}

static void undo(struct start *s)
{
	for (unsigned i = 0; i < s->n_stacks; i++) {
		stack_fini(s->stacks[i]);
		munmap(s->stacks[i], s->stack_bytes);
	}
	if (s->port)
		driver_close(s->port);
}

static void say_started(const struct start *s)
{
	char link[TEXT_MAX], addrs[TEXT_MAX] = "", one[64];
	size_t at = 0;

	for (unsigned i = 0; i < s->cfg->addr.n && at < sizeof(addrs); i++)
		at += snprintf(addrs + at, sizeof(addrs) - at, "%s%s", i ? ", " : "",
			       config_cidr_text(&s->cfg->addr.at[i], one, sizeof(one)));
	driver_describe(s->port, link, sizeof(link));
	log_info("%s on %s, %zu MB of sockets%s", addrs, link, s->stack_bytes * s->n_stacks >> 20,
		 s->n_huge == s->n_stacks ? " in hugepages" : "");
}

static int start(void)
{
	struct start s = {.cfg = config_get()};
	int err = domain_init();

	if (err)
		snprintf(s.err, sizeof(s.err), "no shared memory: %s", strerror(-err));
	if (!err)
		err = open_driver(&s);
	if (!err)
		err = make_stacks(&s);
	if (!err)
		domain->ifindex = driver_ifindex(s.port);
	if (!err)
		err = probe_addresses(&s);
	if (!err) {
		err = domain_publish(s.stacks, s.dev, s.n_stacks);
		if (err)
			snprintf(s.err, sizeof(s.err), "cannot go live: %s", strerror(-err));
	}
	if (err == -EINTR) {
		undo(&s);
		log_info("%s", s.err);
		return err;
	}
	if (err) {
		undo(&s);
		log_error("%s; %s", s.err,
			  runtime_fails_closed() ? "its sockets fail (fallback=off)"
						 : "all sockets stay with the kernel");
		return err;
	}
	telemetry_start(s.port);
	say_started(&s);
	return 0;
}

int runtime_start(void)
{
	int err, saved = errno;

	if (domain_running())
		return 0;
	pthread_mutex_lock(&start_lock);
	err = domain_running() ? 0 : atomic_load(&start_error);
	if (!domain_running() && !err) {
		inside_enter();
		err = start();
		inside_leave();
		atomic_store(&start_error,
			     err == -EINTR ? 0 : err); /* interrupted: the next call tries again */
	}
	pthread_mutex_unlock(&start_lock);
	errno = saved;
	return err;
}

static void note_pid(void)
{
	own_pid = getpid();
}

/* Not in a vfork child: it has its parent's memory, but would open the device for itself. */
void runtime_before_drop(void)
{
	/*
	 * A thread that keeps its capabilities may change its groups after its user; other threads do not
	 * keep them, and glibc aborts when only some of the threads may (nptl(7)).
	 */
	if (prctl(PR_GET_KEEPCAPS))
		return;
	if (!inside && !geteuid() && own_pid == getpid() && !is_passed_image && runtime_wanted())
		runtime_start();
}

bool runtime_wanted(void)
{
	return !config_get()->bad && (!atomic_load(&start_error) || runtime_fails_closed());
}

bool runtime_fails_closed(void)
{
	return config_get()->fallback == CONFIG_FALLBACK_OFF;
}

bool runtime_owns(const struct ip_addr *addr)
{
	const struct config *cfg = config_get();

	if (!ip_addr_is_v4(addr) || !runtime_wanted())
		return false;
	for (unsigned i = 0; i < cfg->addr.n; i++)
		if (cfg->addr.at[i].addr_be == ip_addr_to_v4(addr))
			return true;
	return false;
}

/*
 * Has an interface of the kernel this address? Only then is it the source of packets to itself. (A bind would
 * not tell: it succeeds with ip_nonlocal_bind, and in a namespace that has no address at all yet.)
 */
static bool kernel_owns_now(be32 addr)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = addr, .sin_port = htons(9)}, from;
	int fd = real_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), saved = errno;
	socklen_t len = sizeof(from);
	bool owns = fd >= 0 && !real_connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
		    !real_getsockname(fd, (struct sockaddr *)&from, &len) && from.sin_addr.s_addr == addr;

	if (fd >= 0)
		real_close(fd);
	errno = saved;
	return owns;
}

/*
 * The same, asked at most once a second per address. An entry is one word, so threads need no lock: address,
 * second of the answer, answer.
 */
static bool kernel_owns(be32 addr)
{
	static _Atomic uint64_t cache[LOCAL_CACHE];
	_Atomic uint64_t *slot = &cache[(ntohl(addr) * 2654435761u >> 16) % LOCAL_CACHE];
	uint64_t entry = atomic_load_explicit(slot, memory_order_relaxed);
	struct timespec now;
	uint32_t second;
	bool owns;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	second = ((uint32_t)now.tv_sec & 0x3fffffff) + 1; /* 0: an empty slot */
	if (entry >> 32 == addr && second - ((uint32_t)entry >> 1) <= LOCAL_KEPT_S && (uint32_t)entry >> 1)
		return entry & 1;
	owns = kernel_owns_now(addr);
	atomic_store_explicit(slot, (uint64_t)addr << 32 | second << 1 | owns, memory_order_relaxed);
	return owns;
}

/* The kernel's own end of our tap is reached over the tap, although it is an address of the kernel. */
static bool is_tap_peer(const struct config *cfg, be32 addr)
{
	return !strncmp(cfg->link, "tap", 3) && (cfg->link[3] == ':' || !cfg->link[3]) &&
	       cfg->kernel_addr.kind == CONFIG_CIDR_SET && cfg->kernel_addr.addr_be == addr;
}

static bool on_link(const struct config *cfg, be32 addr)
{
	for (unsigned i = 0; i < cfg->addr.n; i++) {
		const struct config_cidr *net = &cfg->addr.at[i];
		be32 mask = net->prefix_len ? htonl(~0u << (32 - net->prefix_len)) : 0;

		if (!((net->addr_be ^ addr) & mask))
			return true;
	}
	return false;
}

bool runtime_shares_loopback(const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) && ntohl(ip_addr_to_v4(addr)) >> 24 == IN_LOOPBACKNET &&
	       config_get()->loopback == CONFIG_LOOPBACK_STACK && runtime_wanted();
}

static bool family_listens_at(const struct endpoint *to, int type)
{
	bool found = false;

	for (unsigned i = 0; domain_running() && i < domain->n_insts && !found; i++) {
		struct inst *in = inst_get(i);

		inst_lock(in);
		found = sock_listens_at(in->stack, type, to);
		inst_unlock(in);
	}
	return found;
}

bool runtime_routes_to(const struct endpoint *dst, int type)
{
	const struct config *cfg = config_get();
	uint32_t host;
	be32 addr;

	if (!ip_addr_is_v4(&dst->addr) || !runtime_wanted())
		return false;
	addr = ip_addr_to_v4(&dst->addr);
	host = ntohl(addr);
	if (!host || host >> 28 >= 0xe) /* this host, multicast, broadcast */
		return false;
	if (host >> 24 == IN_LOOPBACKNET)
		return runtime_shares_loopback(&dst->addr) && family_listens_at(dst, type);
	if (runtime_owns(&dst->addr) || is_tap_peer(cfg, addr))
		return true;
	return (on_link(cfg, addr) || cfg->gw) && !kernel_owns(addr);
}

/* A child must not inherit a start that another thread is in the middle of. DPDK may fork while it starts. */
static void start_before_fork(void)
{
	if (!inside)
		pthread_mutex_lock(&start_lock);
}

static void start_after_fork(void)
{
	if (!inside)
		pthread_mutex_unlock(&start_lock);
}

__attribute__((constructor)) static void runtime_load(void)
{
	libc_resolve();
	pthread_atfork(start_before_fork, start_after_fork, start_after_fork);
	note_pid();
	pthread_atfork(NULL, NULL, note_pid);
	log_set_level((enum log_level)config_get()->log);
	for (int fd = 0; fd <= 2; fd++)
		is_passed_image |= pass_name_has(fd);
}

__attribute__((destructor)) static void runtime_unload(void)
{
	member_exit();
}
