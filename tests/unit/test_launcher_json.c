/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "preload/launcher_json.h"

static void note(void *arg, const char *path, const char *value)
{
	char *to = arg;

	snprintf(to + strlen(to), 512 - strlen(to), "%s=%s;", path, value);
}

static bool told(const char *json, const char *want)
{
	char got[512] = "";
	bool ok = json_walk(json, note, got);

	cr_assert_str_eq(got, want);
	return ok;
}

Test(launcher_json, values_have_paths)
{
	cr_assert(told("{\"/a\":{\"b\":{\"c\":1,\"d\":\"x\"},\"e\":[5,6]},\"f\":null}",
		       "/a.b.c=1;/a.b.d=x;/a.e.0=5;/a.e.1=6;f=null;"));
	cr_assert(told(" { \"a\" : [ { \"b\" : -1 } , [ ] , { } ] } ", "a.0.b=-1;"));
	cr_assert(told("7", "=7;"));
}

Test(launcher_json, escapes)
{
	cr_assert(told("[\"a\\n\\\"b\\\\\",\"\\u0041\"]", "0=a\n\"b\\;1=A;"));
}

Test(launcher_json, what_is_no_json_is_refused)
{
	static const char *const bad[] = {"",        "{",        "[1",        "[1,]",
					  "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "[1 2]",
					  "\"abc",   "[1]x",     "{,}",       "[\"\\q\"]",
					  "[\"\\",   "{\"a:1}",  "[\"\\u12",  "[[[[[[[[[[[[[[[[[[[[1]]]]]"};
	char got[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		got[0] = '\0';
		cr_assert(!json_walk(bad[i], note, got), "%s", bad[i]);
	}
}
