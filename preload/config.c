/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.c - the table of keys, and where values come from
 *
 * Works on text only once, at start; what goes wrong is told as one line and never ends the program here.
 */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config_value.h"
#include "log.h"
#include "stack/stack.h"

static const struct config_key_info keys[CONFIG_KEYS] = {
#define CONFIG(name, type, def, min, max, unit, text) {#name, #type, def, unit, text, min, max},
#include "config.def"
#undef CONFIG
};

static const struct {
	enum config_type type;
	size_t offset;
} fields[CONFIG_KEYS] = {
#define CONFIG(name, type, def, min, max, unit, text) {CONFIG_TYPE_##type, offsetof(struct config, name)},
#include "config.def"
#undef CONFIG
};

const struct config_key_info *config_key(enum config_key key)
{
	return &keys[key];
}

static int parse_into(struct config *cfg, enum config_key key, const char *value, char *err, size_t err_len)
{
	return config_value_parse(&keys[key], fields[key].type, (char *)cfg + fields[key].offset, value, err,
				  err_len);
}

void config_init(struct config *cfg)
{
	char err[CONFIG_TEXT_MAX];

	memset(cfg, 0, sizeof(*cfg));
	for (unsigned k = 0; k < CONFIG_KEYS; k++)
		if (parse_into(cfg, k, keys[k].def, err, sizeof(err)))
			abort(); /* config.def contradicts itself: no build of this passes its tests */
}

static unsigned key_find(const char *name)
{
	for (unsigned k = 0; k < CONFIG_KEYS; k++)
		if (!strcasecmp(keys[k].name, name))
			return k;
	return CONFIG_KEYS;
}

static const char *key_nearest(const char *name)
{
	const char *best = keys[0].name;
	unsigned best_distance = -1u;

	for (unsigned k = 0; k < CONFIG_KEYS; k++) {
		unsigned d = edit_distance(name, keys[k].name);

		if (d < best_distance) {
			best_distance = d;
			best = keys[k].name;
		}
	}
	return best;
}

static int set_key(struct config *cfg, enum config_source from, enum config_key k, const char *value,
		   char *err, size_t err_len)
{
	int ret;

	if (from < cfg->source[k])
		return 0;
	if (fields[k].type == CONFIG_TYPE_ADDRS && from != cfg->source[k])
		((struct config_addrs *)((char *)cfg + fields[k].offset))->n = 0;
	ret = parse_into(cfg, k, value, err, err_len);
	if (!ret)
		cfg->source[k] = (uint8_t)from;
	return ret;
}

int config_set(struct config *cfg, enum config_source from, const char *key, const char *value, char *err,
	       size_t err_len)
{
	unsigned k = key_find(key);

	if (k == CONFIG_KEYS) {
		snprintf(err, err_len, "%s: no such key; nearest is %s", key, key_nearest(key));
		return -ENOENT;
	}
	return set_key(cfg, from, k, value, err, err_len);
}

static char *trim(char *s)
{
	char *end = s + strlen(s);

	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s + strspn(s, " \t");
}

/* One line of the file. INI: "key = value", "# comment", "; comment", and the one section [shunt]. */
static int read_line(struct config *cfg, char *line, char *err, size_t err_len)
{
	char *equals;

	line = trim(line);
	if (!*line || *line == '#' || *line == ';' || !strcmp(line, "[shunt]"))
		return 0;
	if (*line == '[') {
		snprintf(err, err_len, "%s: no such section; nearest is [shunt]", line);
		return -EINVAL;
	}
	equals = strchr(line, '=');
	if (!equals) {
		snprintf(err, err_len, "%s: not of the form KEY = VALUE", line);
		return -EINVAL;
	}
	*equals = '\0';
	return config_set(cfg, CONFIG_FILE, trim(line), trim(equals + 1), err, err_len);
}

int config_read_file(struct config *cfg, const char *path, char *err, size_t err_len)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, why[2 * CONFIG_TEXT_MAX];
	size_t size = 0;
	int ret = 0;

	if (!f) {
		ret = -errno;
		snprintf(err, err_len, "configuration file %s: %s", path, strerror(errno));
		return ret;
	}
	for (unsigned number = 1; !ret && getline(&line, &size, f) >= 0; number++) {
		ret = read_line(cfg, line, why, sizeof(why));
		if (ret)
			snprintf(err, err_len, "%s:%u: %s", path, number, why);
	}
	if (!ret && ferror(f)) {
		ret = -EIO;
		snprintf(err, err_len, "configuration file %s: cannot be read", path);
	}
	free(line);
	fclose(f);
	return ret;
}

/* One "SHUNT_KEY=VALUE". */
static int read_variable(struct config *cfg, const char *entry, char *err, size_t err_len)
{
	const char *equals = strchr(entry, '='), *name = entry + strlen("SHUNT_");
	char key[64], nearest[64];
	unsigned k;

	snprintf(key, sizeof(key), "%.*s", (int)(equals - name), name);
	k = key_find(key);
	if (k < CONFIG_KEYS)
		return set_key(cfg, CONFIG_ENV, k, equals + 1, err, err_len);
	snprintf(nearest, sizeof(nearest), "%s", key_nearest(key));
	if (edit_distance(key, "config") < edit_distance(key, nearest))
		strcpy(nearest, "config");
	for (char *c = nearest; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	snprintf(err, err_len, "environment: SHUNT_%s: no such key; nearest is SHUNT_%s", key, nearest);
	return -ENOENT;
}

int config_read_env(struct config *cfg, char *const *env, char *err, size_t err_len)
{
	static const char prefix[] = "SHUNT_", file[] = "SHUNT_CONFIG=";
	int ret = 0;

	for (char *const *e = env; e && *e; e++)
		if (!strncmp(*e, file, sizeof(file) - 1) && (*e)[sizeof(file) - 1]) {
			ret = config_read_file(cfg, *e + sizeof(file) - 1, err, err_len);
			if (ret)
				return ret;
		}
	for (char *const *e = env; e && *e; e++)
		if (!strncmp(*e, prefix, sizeof(prefix) - 1) && strncmp(*e, file, sizeof(file) - 1) &&
		    strchr(*e, '=')) {
			ret = read_variable(cfg, *e, err, err_len);
			if (ret)
				return ret;
		}
	return 0;
}

static uint32_t netmask(uint8_t prefix_len)
{
	return prefix_len ? htonl(~0u << (32 - prefix_len)) : 0;
}

static bool own_address(const struct config *cfg, uint32_t addr_be)
{
	for (unsigned i = 0; i < cfg->addr.n; i++)
		if (cfg->addr.at[i].addr_be == addr_be)
			return true;
	return false;
}

static bool on_own_network(const struct config *cfg, uint32_t addr_be)
{
	for (unsigned i = 0; i < cfg->addr.n; i++)
		if (!((cfg->addr.at[i].addr_be ^ addr_be) & netmask(cfg->addr.at[i].prefix_len)))
			return true;
	return false;
}

/* The first host of the first network that is not our own address; none in a /32. */
static void resolve_kernel_addr(struct config *cfg)
{
	const struct config_cidr *net = &cfg->addr.at[0];
	uint32_t host = ntohl(net->addr_be & netmask(net->prefix_len));

	cfg->kernel_addr = (struct config_cidr){CONFIG_CIDR_NONE, 0, 0};
	if (net->prefix_len == 32)
		return;
	if (net->prefix_len < 31)
		host++;
	while (own_address(cfg, htonl(host)))
		host++;
	if ((htonl(host) ^ net->addr_be) & netmask(net->prefix_len))
		return;
	cfg->kernel_addr = (struct config_cidr){CONFIG_CIDR_SET, htonl(host), net->prefix_len};
}

int config_finish(struct config *cfg, char *err, size_t err_len)
{
	char text[INET_ADDRSTRLEN + 4];

	for (unsigned i = 0; i < cfg->addr.n; i++)
		for (unsigned j = 0; j < i; j++)
			if (cfg->addr.at[i].addr_be == cfg->addr.at[j].addr_be) {
				snprintf(err, err_len, "addr=%s: given twice",
					 config_cidr_text(&cfg->addr.at[i], text, sizeof(text)));
				return -EINVAL;
			}
	if (cfg->kernel_addr.kind == CONFIG_CIDR_AUTO)
		resolve_kernel_addr(cfg);
	if (cfg->kernel_addr.kind == CONFIG_CIDR_SET && own_address(cfg, cfg->kernel_addr.addr_be)) {
		snprintf(err, err_len, "kernel_addr=%s: is also in addr; the kernel and Shunt need one each",
			 config_cidr_text(&cfg->kernel_addr, text, sizeof(text)));
		return -EINVAL;
	}
	if (cfg->gw && (!on_own_network(cfg, cfg->gw) || own_address(cfg, cfg->gw))) {
		inet_ntop(AF_INET, &cfg->gw, text, sizeof(text));
		snprintf(err, err_len, "gw=%s: must be another host on one of addr's networks", text);
		return -EINVAL;
	}
	return 0;
}

const char *config_cidr_text(const struct config_cidr *c, char *buf, size_t len)
{
	char addr[INET_ADDRSTRLEN];

	buf[0] = '\0';
	if (c->kind == CONFIG_CIDR_SET)
		snprintf(buf, len, "%s/%u", inet_ntop(AF_INET, &c->addr_be, addr, sizeof(addr)),
			 c->prefix_len);
	return buf;
}

static struct config process_config;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

static void load_process_config(void)
{
	int saved_errno = errno;
	char err[4 * CONFIG_TEXT_MAX];

	config_init(&process_config);
	if (config_read_env(&process_config, environ, err, sizeof(err)) ||
	    config_finish(&process_config, err, sizeof(err))) {
		process_config.bad = true;
		log_error("%s; going on over the kernel", err);
	}
	log_set_level((enum log_level)process_config.log);
	errno = saved_errno;
}

const struct config *config_get(void)
{
	pthread_once(&process_once, load_process_config);
	return &process_config;
}

void config_to_stack(const struct config *cfg, struct stack_config *stack)
{
	stack->n_addrs = cfg->addr.n < STACK_ADDRS_MAX ? cfg->addr.n : STACK_ADDRS_MAX;
	for (unsigned i = 0; i < stack->n_addrs; i++)
		stack->addrs[i] = (struct stack_addr){cfg->addr.at[i].addr_be, cfg->addr.at[i].prefix_len};
	stack->gateway = cfg->gw;
	stack->loopback = cfg->loopback == CONFIG_LOOPBACK_STACK;
	stack->max_tcp = cfg->max_tcp;
	stack->max_udp = cfg->max_udp;
	memcpy(stack->tcp_rmem, cfg->tcp_rmem, sizeof(stack->tcp_rmem));
	memcpy(stack->tcp_wmem, cfg->tcp_wmem, sizeof(stack->tcp_wmem));
	stack->rmem_max = cfg->rmem_max;
	stack->wmem_max = cfg->wmem_max;
	stack->somaxconn = cfg->somaxconn;
	stack->tcp_max_syn_backlog = cfg->tcp_max_syn_backlog;
	stack->tcp_keepalive_time_s = cfg->tcp_keepalive_time;
	stack->tcp_keepalive_intvl_s = cfg->tcp_keepalive_intvl;
	stack->tcp_keepalive_probes = cfg->tcp_keepalive_probes;
	stack->tcp_syn_retries = cfg->tcp_syn_retries;
	stack->tcp_synack_retries = cfg->tcp_synack_retries;
	stack->tcp_retries2 = cfg->tcp_retries2;
	stack->tcp_orphan_retries = cfg->tcp_orphan_retries;
	stack->tcp_fin_timeout_s = cfg->tcp_fin_timeout;
	stack->tcp_timewait_s = cfg->tcp_timewait;
	memcpy(stack->ip_local_port_range, cfg->ip_local_port_range, sizeof(stack->ip_local_port_range));
	stack->ip_default_ttl = (uint8_t)cfg->ip_default_ttl;
	stack->tcp_sack = cfg->tcp_sack;
	stack->tcp_timestamps = cfg->tcp_timestamps;
	stack->tcp_window_scaling = cfg->tcp_window_scaling;
	stack->tcp_moderate_rcvbuf = cfg->tcp_moderate_rcvbuf;
	stack->tcp_tw_reuse = cfg->tcp_tw_reuse == 1;
	nth_word(keys[CONFIG_KEY_tcp_congestion_control].unit, cfg->tcp_congestion_control,
		 stack->tcp_congestion_control, sizeof(stack->tcp_congestion_control));
}
