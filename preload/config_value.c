/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config_value.c - text to values, and what to say when that fails
 *
 * Everything is parsed into a local first, so that a failed parse leaves the field alone.
 */
#include "config_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 64

unsigned edit_distance(const char *a, const char *b)
{
	/* Rows i-2, i-1 and i of the usual table ("optimal string alignment"). */
	unsigned rows[3][WORD_MAX + 1];
	size_t la = strnlen(a, WORD_MAX), lb = strnlen(b, WORD_MAX);

	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
			unsigned best = up[j - 1] + (ca != cb);

			if (up[j] + 1 < best)
				best = up[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
			    cb == tolower((unsigned char)a[i - 2]) && up2[j - 2] + 1 < best)
				best = up2[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[la % 3][lb];
}

/* Copies the next word of a |-separated list; returns what follows it, NULL when the list was empty. */
static const char *next_word(const char *words, char *word, size_t len)
{
	size_t n = strcspn(words, "|");

	if (!n)
		return NULL;
	snprintf(word, len, "%.*s", (int)n, words);
	return words[n] ? words + n + 1 : words + n;
}

const char *nearest_word(const char *words, const char *given, char *buf, size_t len)
{
	unsigned best = -1u;
	char word[WORD_MAX];

	buf[0] = '\0';
	while ((words = next_word(words, word, sizeof(word)))) {
		unsigned d = edit_distance(given, word);

		if (d < best) {
			best = d;
			snprintf(buf, len, "%s", word);
		}
	}
	return buf;
}

const char *nth_word(const char *words, unsigned n, char *buf, size_t len)
{
	buf[0] = '\0';
	while ((words = next_word(words, buf, len)) && n--)
		;
	return buf;
}

static int word_index(const char *words, const char *given)
{
	char word[WORD_MAX];

	for (int i = 0; (words = next_word(words, word, sizeof(word))); i++)
		if (!strcasecmp(word, given))
			return i;
	return -1;
}

struct parse {
	const struct config_key_info *key;
	const char *text;
	char *err;
	size_t err_len;
};

__attribute__((format(printf, 2, 3))) static int invalid(const struct parse *p, const char *fmt, ...)
{
	char why[CONFIG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	snprintf(p->err, p->err_len, "%s=%s: %s", p->key->name, p->text, why);
	return -EINVAL;
}

static int invalid_word(const struct parse *p, const char *words)
{
	char word[WORD_MAX];

	return invalid(p, "no such value (%s); nearest is %s=%s", words, p->key->name,
		       nearest_word(words, p->text, word, sizeof(word)));
}

/* One number with an optional K, M or G; *end is what follows it. */
static int parse_number(const struct parse *p, const char *s, const char **end, uint32_t *out)
{
	static const char suffixes[] = "KMG";
	const struct config_key_info *key = p->key;
	unsigned long long v;
	const char *suffix;
	char *stop;

	while (isspace((unsigned char)*s))
		s++;
	if (!isdigit((unsigned char)*s))
		return invalid(p, "not a number; valid is %u to %u %s", key->min, key->max, key->unit);
	errno = 0;
	v = strtoull(s, &stop, 10);
	if (errno == ERANGE || v > UINT32_MAX)
		v = 1ull << 32; /* out of every range, and no overflow below */
	suffix = *stop ? strchr(suffixes, toupper((unsigned char)*stop)) : NULL;
	if (suffix) {
		v <<= 10 * (suffix - suffixes + 1);
		stop++;
	}
	if (*stop && !isspace((unsigned char)*stop) && *stop != '-')
		return invalid(p, "not a number; valid is %u to %u %s", key->min, key->max, key->unit);
	*end = stop;
	if (v == 0 && !strcmp(key->type, "AUTO32")) {
		*out = 0;
		return 0;
	}
	if (v < key->min || v > key->max)
		return invalid(p, "valid is %u to %u %s; nearest is %u", key->min, key->max, key->unit,
			       v < key->min ? key->min : key->max);
	*out = (uint32_t)v;
	return 0;
}

/* `n` numbers separated by blanks (or by one '-' as in "1000-2000"), none smaller than the one before. */
static int parse_numbers(const struct parse *p, uint32_t *out, unsigned n)
{
	const char *s = p->text;

	for (unsigned i = 0; i < n; i++) {
		int ret = parse_number(p, s, &s, &out[i]);

		if (ret)
			return ret;
		if (i && out[i] < out[i - 1])
			return invalid(p, "%u after %u: the numbers must rise", out[i], out[i - 1]);
		if (i + 1 < n && *s == '-')
			s++;
	}
	while (isspace((unsigned char)*s))
		s++;
	if (*s)
		return invalid(p, "\"%s\" after the last number", s);
	return 0;
}

static int parse_bool(const struct parse *p, bool *out)
{
	int i = word_index("off|on|0|1|no|yes|false|true", p->text);

	if (i < 0)
		return invalid_word(p, "on|off");
	*out = i & 1;
	return 0;
}

static int parse_text(const struct parse *p, char *out)
{
	if (strlen(p->text) >= CONFIG_TEXT_MAX)
		return invalid(p, "longer than %d characters", CONFIG_TEXT_MAX - 1);
	strcpy(out, p->text);
	return 0;
}

static int parse_link(const struct parse *p, char *out)
{
	static const char kinds[] = "tap|af_packet|af_xdp|memif|vhost|virtio_user|pci|dpdk";
	size_t n = strcspn(p->text, ":");
	char kind[WORD_MAX], nearest[WORD_MAX];

	snprintf(kind, sizeof(kind), "%.*s", (int)n, p->text);
	if (word_index(kinds, kind) < 0)
		return invalid(p, "no link of that kind (%s); nearest is link=%s%s", kinds,
			       nearest_word(kinds, kind, nearest, sizeof(nearest)), p->text + n);
	if (strcasecmp(kind, "tap") && (!p->text[n] || !p->text[n + 1]))
		return invalid(p, "%s needs something after it, as in link=%s:%s", kind, kind,
			       !strncmp(kind, "af_", 3) ? "eth0"
			       : !strcmp(kind, "pci")   ? "0000:01:00.0"
			       : !strcmp(kind, "dpdk")  ? "net_ring0"
							: "/run/shunt.sock");
	return parse_text(p, out);
}

static int parse_ipv4(const struct parse *p, uint32_t *out)
{
	struct in_addr in = {0};

	if (*p->text && (inet_pton(AF_INET, p->text, &in) != 1 || !in.s_addr))
		return invalid(p, "not an IPv4 address; valid is for instance 198.18.0.1");
	*out = in.s_addr;
	return 0;
}

static int parse_mac(const struct parse *p, uint8_t *out)
{
	unsigned b[6] = {0};
	int n = 0;

	if (*p->text && (sscanf(p->text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4],
				&b[5], &n) != 6 ||
			 p->text[n]))
		return invalid(p, "not a hardware address; valid is for instance 02:00:00:00:00:01");
	if (b[0] & 1)
		return invalid(p,
			       "a group address cannot be a host's; nearest is %02x:%02x:%02x:%02x:%02x:%02x",
			       b[0] & ~1u, b[1], b[2], b[3], b[4], b[5]);
	for (int i = 0; i < 6; i++)
		out[i] = (uint8_t)b[i];
	return 0;
}

/* One "a.b.c.d/len" of `len` characters at s. */
static int parse_network(const struct parse *p, const char *s, size_t len, struct config_cidr *out)
{
	static const char example[] = "198.18.0.2/24";
	char text[WORD_MAX], *slash, *end;
	struct in_addr in;
	unsigned long prefix;

	snprintf(text, sizeof(text), "%.*s", (int)len, s);
	slash = strchr(text, '/');
	if (!slash)
		return invalid(p, "\"%s\" has no prefix length; nearest is %s/24", text, text);
	*slash = '\0';
	if (inet_pton(AF_INET, text, &in) != 1)
		return invalid(p, "\"%s\" is not an IPv4 address; valid is for instance %s", text, example);
	if ((ntohl(in.s_addr) >> 28) == 14 || !(ntohl(in.s_addr) >> 24) || !~in.s_addr)
		return invalid(p, "%s cannot be a host's address; valid is for instance %s", text, example);
	prefix = strtoul(slash + 1, &end, 10);
	if (!isdigit((unsigned char)slash[1]) || *end || prefix > 32)
		return invalid(p, "prefix length \"%s\": valid is 0 to 32; nearest is %s/32", slash + 1,
			       text);
	*out = (struct config_cidr){CONFIG_CIDR_SET, in.s_addr, (uint8_t)prefix};
	return 0;
}

static int parse_cidr(const struct parse *p, struct config_cidr *out)
{
	int i = word_index("none|auto", p->text);

	if (i < 0)
		return parse_network(p, p->text, strlen(p->text), out);
	*out = (struct config_cidr){i ? CONFIG_CIDR_AUTO : CONFIG_CIDR_NONE, 0, 0};
	return 0;
}

static int parse_addrs(const struct parse *p, struct config_addrs *out)
{
	static const char separators[] = ", \t";

	for (const char *s = p->text + strspn(p->text, separators); *s; s += strspn(s, separators)) {
		size_t len = strcspn(s, separators);
		int ret;

		if (out->n == CONFIG_ADDRS_MAX)
			return invalid(p, "more than %d addresses", CONFIG_ADDRS_MAX);
		ret = parse_network(p, s, len, &out->at[out->n]);
		if (ret)
			return ret;
		out->n++;
		s += len;
	}
	if (!out->n)
		return invalid(p, "no address; valid is for instance 198.18.0.2/24");
	return 0;
}

static int parse_choice(const struct parse *p, uint32_t *out)
{
	int i = word_index(p->key->unit, p->text);

	if (i < 0)
		return invalid_word(p, p->key->unit);
	*out = (uint32_t)i;
	return 0;
}

union value {
	uint32_t u32[3];
	struct config_addrs addrs;
};

static int parse_ports(const struct parse *p, void *field)
{
	uint32_t v[2];
	int ret = parse_numbers(p, v, 2);

	if (!ret)
		memcpy(field, (uint16_t[2]){(uint16_t)v[0], (uint16_t)v[1]}, 2 * sizeof(uint16_t));
	return ret;
}

int config_value_parse(const struct config_key_info *key, enum config_type type, void *field,
		       const char *text, char *err, size_t err_len)
{
	const struct parse p = {key, text, err, err_len};
	union value v;
	size_t size;
	int ret;

	switch (type) {
	case CONFIG_TYPE_TEXT:
		return parse_text(&p, field);
	case CONFIG_TYPE_LINK:
		return parse_link(&p, field);
	case CONFIG_TYPE_CHOICE:
		return parse_choice(&p, field);
	case CONFIG_TYPE_BOOL:
		return parse_bool(&p, field);
	case CONFIG_TYPE_PORTS:
		return parse_ports(&p, field);
	case CONFIG_TYPE_CIDR:
		return parse_cidr(&p, field);
	case CONFIG_TYPE_IPV4:
		return parse_ipv4(&p, field);
	case CONFIG_TYPE_MAC:
		return parse_mac(&p, field);
	case CONFIG_TYPE_U32:
	case CONFIG_TYPE_AUTO32:
		ret = parse_numbers(&p, v.u32, 1);
		size = sizeof(uint32_t);
		break;
	case CONFIG_TYPE_U32X3:
		ret = parse_numbers(&p, v.u32, 3);
		size = 3 * sizeof(uint32_t);
		break;
	case CONFIG_TYPE_ADDRS:
		v.addrs = *(struct config_addrs *)field;
		ret = parse_addrs(&p, &v.addrs);
		size = sizeof(v.addrs);
		break;
	default:
		return -EINVAL;
	}
	if (!ret)
		memcpy(field, &v, size);
	return ret;
}
