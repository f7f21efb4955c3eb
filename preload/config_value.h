/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config_value.h - one value of one key, from text; only config.c and its tests include this
 */
#ifndef PRELOAD_CONFIG_VALUE_H
#define PRELOAD_CONFIG_VALUE_H

#include "config.h"

enum config_type {
	CONFIG_TYPE_TEXT,
	CONFIG_TYPE_LINK,
	CONFIG_TYPE_CHOICE,
	CONFIG_TYPE_BOOL,
	CONFIG_TYPE_U32,
	CONFIG_TYPE_AUTO32,
	CONFIG_TYPE_U32X3,
	CONFIG_TYPE_PORTS,
	CONFIG_TYPE_ADDRS,
	CONFIG_TYPE_CIDR,
	CONFIG_TYPE_IPV4,
	CONFIG_TYPE_MAC,
};

/*
 * Parses `text` into *field, whose C type belongs to `type` (config.h). On -EINVAL *field is as before and
 * err says what is wrong and what would be valid. ADDRS are added to those already there.
 */
int config_value_parse(const struct config_key_info *key, enum config_type type, void *field,
		       const char *text, char *err, size_t err_len);

/* Number of insertions, deletions, replacements and swaps of neighbours that make b of a, case ignored. */
unsigned edit_distance(const char *a, const char *b);

/* The word of a |-separated list nearest to `given`; copied to buf, which is returned. */
const char *nearest_word(const char *words, const char *given, char *buf, size_t len);

/* Word number n (from 0) of such a list, copied to buf. */
const char *nth_word(const char *words, unsigned n, char *buf, size_t len);

#endif
