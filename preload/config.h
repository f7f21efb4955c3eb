/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.h - the settings of one process: keys of config.def from defaults, file, environment, command line
 *
 *     default < file named by SHUNT_CONFIG < SHUNT_LINK, SHUNT_ADDR, SHUNT_<KEY> < shunt --set KEY=VALUE
 *
 * The launcher turns its options into environment variables after checking them, so the library reads file
 * and environment only. Used by the launcher too: nothing here may need DPDK, the stack or interposed calls.
 */
#ifndef PRELOAD_CONFIG_H
#define PRELOAD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stack_config;

#define CONFIG_TEXT_MAX  256
#define CONFIG_ADDRS_MAX 8

enum config_log { CONFIG_LOG_ERROR, CONFIG_LOG_WARN, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };
enum config_fallback { CONFIG_FALLBACK_KERNEL, CONFIG_FALLBACK_OFF };
enum config_loopback { CONFIG_LOOPBACK_KERNEL, CONFIG_LOOPBACK_STACK };
enum config_hugepages { CONFIG_HUGEPAGES_AUTO, CONFIG_HUGEPAGES_ON, CONFIG_HUGEPAGES_OFF };

/* Later ones win; values of the same source add up for ADDRS. */
enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENV, CONFIG_ARG };

struct config_cidr {
	enum { CONFIG_CIDR_NONE, CONFIG_CIDR_AUTO, CONFIG_CIDR_SET } kind;
	uint32_t addr_be;
	uint8_t prefix_len;
};

struct config_addrs {
	struct config_cidr at[CONFIG_ADDRS_MAX];
	unsigned n;
};

#define CONFIG_FIELD_TEXT(name)   char name[CONFIG_TEXT_MAX];
#define CONFIG_FIELD_LINK(name)   char name[CONFIG_TEXT_MAX];
#define CONFIG_FIELD_CHOICE(name) uint32_t name; /* index of the word in config.def */
#define CONFIG_FIELD_BOOL(name)   bool name;
#define CONFIG_FIELD_U32(name)    uint32_t name;
#define CONFIG_FIELD_AUTO32(name) uint32_t name;
#define CONFIG_FIELD_U32X3(name)  uint32_t name[3];
#define CONFIG_FIELD_PORTS(name)  uint16_t name[2];
#define CONFIG_FIELD_ADDRS(name)  struct config_addrs name;
#define CONFIG_FIELD_CIDR(name)   struct config_cidr name;
#define CONFIG_FIELD_IPV4(name)   uint32_t name;   /* network order, 0: none */
#define CONFIG_FIELD_MAC(name)    uint8_t name[6]; /* all zero: none */

enum config_key {
#define CONFIG(name, type, def, min, max, unit, text) CONFIG_KEY_##name,
#include "config.def"
#undef CONFIG
	CONFIG_KEYS
};

struct config {
#define CONFIG(name, type, def, min, max, unit, text) CONFIG_FIELD_##type(name)
#include "config.def"
#undef CONFIG
	uint8_t source[CONFIG_KEYS]; /* enum config_source of each key */
	bool bad; /* something given was wrong (and was said on stderr): accelerate nothing */
};

/*
 * The process's settings: file and environment, read at the first call (the library's constructor makes it)
 * and fixed from then on. Never NULL. Something wrong in them is one line on stderr, and ->bad.
 */
const struct config *config_get(void);

/* Copies what config_get() has into a stack's configuration, after stack_config_init(). */
void config_to_stack(const struct config *cfg, struct stack_config *stack);

/* The pieces, for the launcher and tests. Those that return int: 0, or -errno and one line in err. */

void config_init(struct config *cfg); /* the defaults */

/* -ENOENT: no such key, -EINVAL: no such value. err names the nearest valid one. */
int config_set(struct config *cfg, enum config_source from, const char *key, const char *value, char *err,
	       size_t err_len);

int config_read_file(struct config *cfg, const char *path, char *err, size_t err_len);

/* Variables SHUNT_<KEY> of an environment (a NULL-terminated array), after the file that SHUNT_CONFIG names.
 */
int config_read_env(struct config *cfg, char *const *env, char *err, size_t err_len);

/*
 * What only shows when all values are there: kernel_addr=auto becomes an address, the gateway is on a network
 * of ours, buffer sizes fit each other. To be called last.
 */
int config_finish(struct config *cfg, char *err, size_t err_len);

/* "198.18.0.1/24"; "" unless kind is CONFIG_CIDR_SET. Returns buf. */
const char *config_cidr_text(const struct config_cidr *c, char *buf, size_t len);

/* For --help, tests and documentation. */
struct config_key_info {
	const char *name, *type, *def, *unit, *text;
	uint32_t min, max;
};
const struct config_key_info *config_key(enum config_key key);

#endif
