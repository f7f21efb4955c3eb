/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * telemetry_cmd.c - the commands: /shunt/info, /shunt/counters[,INSTANCE]; those about sockets are in
 * telemetry_sock.c
 *
 * They run on threads of DPDK's telemetry, several at a time, inside (inside.h) and with all signals blocked.
 * An instance that cannot be locked soon is left out and told in instances_busy: an answer always comes.
 * DPDK cuts an answer off at 16 KB and a text in it at 128 bytes, hence no list without an end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#include "config.h"
#include "driver/driver.h"
#include "stack/counters.h"
#include "stack/stack.h"
#include "telemetry.h"

#define LOOK_MS     200
#define MEMBERS_MAX 256 /* in one answer */

typedef struct rte_tel_data tel;

static struct driver_port *port;
static time_ns started_at;

/* A dictionary within another, NULL when there is no memory. */
static tel *dict_in(tel *d, const char *name)
{
	tel *in = rte_tel_data_alloc();

	if (!in)
		return NULL;
	rte_tel_data_start_dict(in);
	if (rte_tel_data_add_dict_container(d, name, in, 0) == 0)
		return in;
	rte_tel_data_free(in);
	return NULL;
}

static void put(tel *d, const char *name, uint64_t value)
{
	if (d)
		rte_tel_data_add_dict_u64(d, name, value);
}

/* What is summed over instances. */
struct sums {
	uint64_t counters[COUNTER_COUNT];
	const char *const *names;
	struct stack_usage usage;
	unsigned seen, busy;
};

static void sum_one(struct inst *in, struct sums *s)
{
	const uint64_t *values;

	if (!inst_look_begin(in, LOOK_MS)) {
		s->busy++;
		return;
	}
	stack_counters(in->stack, &values, &s->names);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		s->counters[i] += values[i];
	stack_usage(in->stack, &s->usage);
	inst_look_end(in);
	s->seen++;
}

static void put_stack(tel *d, const struct sums *s)
{
	const struct stack_usage *u = &s->usage;
	tel *in = dict_in(d, "stack");

	for (unsigned i = 0; s->names && i < COUNTER_COUNT; i++)
		put(in, s->names[i], s->counters[i]);
	in = dict_in(d, "sockets");
	put(in, "tcp_listeners", u->tcp_listeners);
	put(in, "tcp_connections", u->tcp_connections);
	put(in, "tcp_orphans", u->tcp_orphans);
	put(in, "tcp_time_wait", u->tcp_time_wait);
	put(in, "udp_sockets", u->udp_sockets);
	in = dict_in(d, "tables");
	put(in, "tcp_max", u->tcp_max);
	put(in, "tcp_time_wait_max", u->tcp_time_wait_max);
	put(in, "udp_max", u->udp_max);
	put(in, "neighbours", u->neighbours);
	put(in, "neighbours_max", u->neighbours_max);
	put(in, "fragments", u->fragments);
	put(in, "fragments_max", u->fragments_max);
	put(in, "held_mbufs", u->held_mbufs);
	put(in, "held_mbufs_max", u->held_mbufs_max);
}

static void put_driver(tel *d)
{
	struct driver_counter c[DRIVER_COUNTERS_MAX];
	unsigned n = driver_counters(port, c);
	tel *in = dict_in(d, "port");
	struct driver_mbufs m;

	for (unsigned i = 0; i < n; i++)
		put(in, c[i].name, c[i].value);
	driver_mbufs(port, &m);
	in = dict_in(d, "mbufs");
	put(in, "total", m.total);
	put(in, "free", m.free);
	put(in, "in_use", m.total - m.free);
}

static void put_pump(tel *d)
{
	tel *in = dict_in(d, "pump");

	put(in, "passed", atomic_load(&domain->pump.passed));
	put(in, "failed", atomic_load(&domain->pump.failed));
	put(in, "now", atomic_load(&domain->pump.now));
	put(in, "to_bytes", atomic_load(&domain->pump.to_bytes));
	put(in, "from_bytes", atomic_load(&domain->pump.from_bytes));
}

/* The number in params, or -1 when there is none. */
static long number(const char *params)
{
	char *end;
	long n = params && *params ? strtol(params, &end, 10) : -1;

	return n >= 0 && !*end ? n : -1;
}

static int counters(const char *cmd, const char *params, tel *d)
{
	long only = number(params);
	struct sums s = {.seen = 0};

	(void)cmd;
	if (params && (only < 0 || only >= (long)inst_count()))
		return -1;
	for (unsigned i = 0; i < inst_count(); i++)
		if (only < 0 || only == (long)i)
			sum_one(inst_get(i), &s);
	rte_tel_data_start_dict(d);
	put_stack(d, &s);
	if (only < 0) {
		put_driver(d);
		put_pump(d);
	}
	put(d, "instances", s.seen);
	put(d, "instances_busy", s.busy);
	return 0;
}

static void put_members(tel *d)
{
	tel *pids = rte_tel_data_alloc();
	unsigned n = 0;

	if (!pids)
		return;
	rte_tel_data_start_array(pids, RTE_TEL_INT_VAL);
	for (unsigned i = 0; i < domain->n_members_max && n < MEMBERS_MAX; i++) {
		int pid = atomic_load(&domain->members[i].pid);

		if (pid > 0 && rte_tel_data_add_array_int(pids, pid) == 0)
			n++;
	}
	rte_tel_data_add_dict_container(d, "members", pids, 0);
}

static void put_addresses(tel *d, const struct config *cfg)
{
	tel *addrs = rte_tel_data_alloc();
	char text[64];

	if (!addrs)
		return;
	rte_tel_data_start_array(addrs, RTE_TEL_STRING_VAL);
	for (unsigned i = 0; i < cfg->addr.n; i++)
		rte_tel_data_add_array_string(addrs, config_cidr_text(&cfg->addr.at[i], text, sizeof(text)));
	rte_tel_data_add_dict_container(d, "addresses", addrs, 0);
}

static int info(const char *cmd, const char *params, tel *d)
{
	const struct config *cfg = config_get();
	const uint8_t *gw = (const uint8_t *)&cfg->gw;
	char text[RTE_TEL_MAX_STRING_LEN];

	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "version", SHUNT_VERSION);
	rte_tel_data_add_dict_string(d, "dpdk", rte_version());
	put_addresses(d, cfg);
	driver_describe(port, text, sizeof(text));
	rte_tel_data_add_dict_string(d, "link", text);
	snprintf(text, sizeof(text), "%u.%u.%u.%u", gw[0], gw[1], gw[2], gw[3]);
	rte_tel_data_add_dict_string(d, "gw", cfg->gw ? text : "");
	put(d, "queues", inst_count());
	put(d, "mbufs", driver_pool_mbufs(port));
	put(d, "uptime_s", (inst_clock() - started_at) / NS_PER_SEC);
	rte_tel_data_add_dict_int(d, "pid", getpid());
	put_members(d);
	return 0;
}

void telemetry_commands(struct driver_port *p)
{
	port = p;
	started_at = inst_clock();
	rte_telemetry_register_cmd("/shunt/info", info, "What runs: version, link, addresses, processes");
	rte_telemetry_register_cmd("/shunt/counters", counters,
				   "All counters and what is in use. Parameters: an instance, else the sum");
	telemetry_sock_commands();
}
