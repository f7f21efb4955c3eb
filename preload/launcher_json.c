/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_json.c - a walk through JSON without building anything (launcher_json.h)
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "launcher_json.h"

#define PATH_LEN  512
#define VALUE_LEN 16384
#define DEPTH_MAX 16

struct reader {
	const char *at;
	json_value_fn fn;
	void *arg;
	unsigned depth;
	char path[PATH_LEN];
	char value[VALUE_LEN];
};

static bool value(struct reader *r);

static void blanks(struct reader *r)
{
	r->at += strspn(r->at, " \t\r\n");
}

static bool skip(struct reader *r, char c)
{
	blanks(r);
	if (*r->at != c)
		return false;
	r->at++;
	return true;
}

/* The character after a backslash; \u only below 256, which is all that Shunt writes. */
static int escaped(struct reader *r)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p;
	unsigned code;

	if (*r->at == 'u' && strspn(r->at + 1, "0123456789abcdefABCDEF") >= 4 &&
	    sscanf(r->at + 1, "%4x", &code) == 1) {
		r->at += 4;
		return code < 256 ? (int)code : '?';
	}
	p = *r->at ? strchr(from, *r->at) : NULL;
	return p ? to[p - from] : -1;
}

/* A string, without its quotation marks, into `to`. */
static bool string(struct reader *r, char *to, size_t len)
{
	size_t n = 0;

	if (!skip(r, '"'))
		return false;
	for (; *r->at != '"'; r->at++) {
		int c = (unsigned char)*r->at;

		if (c == '\\') {
			r->at++;
			c = escaped(r);
		}
		if (c <= 0 || n + 1 >= len)
			return false;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	r->at++;
	return true;
}

static bool word(struct reader *r)
{
	size_t n = strspn(r->at, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");

	if (!n || n >= sizeof(r->value))
		return false;
	memcpy(r->value, r->at, n);
	r->value[n] = '\0';
	r->at += n;
	return true;
}

/* Elements up to `end`; their names are read when they have some, else counted. */
static bool elements(struct reader *r, char end)
{
	size_t len = strlen(r->path);

	if (++r->depth > DEPTH_MAX || len + 32 >= sizeof(r->path))
		return false;
	for (unsigned i = 0; !skip(r, end); i++) {
		char *name = r->path + len;

		if (i > 0 && !skip(r, ','))
			return false;
		if (len > 0)
			*name++ = '.';
		if (end == '}') {
			if (!string(r, name, sizeof(r->path) - len - 1) || !skip(r, ':'))
				return false;
		} else {
			snprintf(name, sizeof(r->path) - len - 1, "%u", i);
		}
		if (!value(r))
			return false;
		r->path[len] = '\0';
	}
	r->depth--;
	return true;
}

static bool value(struct reader *r)
{
	if (skip(r, '{'))
		return elements(r, '}');
	if (skip(r, '['))
		return elements(r, ']');
	if (*r->at == '"' ? !string(r, r->value, sizeof(r->value)) : !word(r))
		return false;
	r->fn(r->arg, r->path, r->value);
	return true;
}

bool json_walk(const char *text, json_value_fn fn, void *arg)
{
	struct reader r = {.at = text, .fn = fn, .arg = arg};

	if (!value(&r))
		return false;
	blanks(&r);
	return !*r.at;
}
