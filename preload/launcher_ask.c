/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_ask.c - shunt stat|dump|why PID: what a running program says of itself, for humans
 * (launcher_ask.h)
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher_ask.h"
#include "launcher_json.h"

enum { EXIT_NO_ANSWER = 1 };

/* Explanations of the stack's counters. */
static const struct {
	const char *name, *text;
} counters[] = {
#define COUNTER(name, text) {#name, text},
#include "stack/counters.def"
#undef COUNTER
};

static const char *explain(const char *name)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if (!strcmp(counters[i].name, name))
			return counters[i].text;
	return "";
}

struct printer {
	char section[64];
};

/* "/shunt/counters.stack.rx_frames": a line when it is not zero, a heading where a section begins. */
static void print_counter(void *arg, const char *path, const char *value)
{
	struct printer *p = arg;
	const char *name = strrchr(path, '.'), *section = strchr(path, '.');

	if (!name || name == section || !strcmp(value, "0") || !strcmp(name + strlen(name) - 4, "_max"))
		return;
	section++;
	if (strncmp(p->section, section, (size_t)(name - section)) || p->section[name - section]) {
		snprintf(p->section, sizeof(p->section), "%.*s", (int)(name - section), section);
		printf("%s\n", p->section);
	}
	section = explain(name + 1);
	printf("  %-22s %12s%s%s\n", name + 1, value, *section ? "  " : "", section);
}

static void print_title(void *arg, const char *path, const char *value)
{
	(void)arg;
	if (!strcmp(path, "/shunt/info.addresses.0"))
		printf("%s", value);
	else if (!strncmp(path, "/shunt/info.addresses.", strlen("/shunt/info.addresses.")))
		printf(", %s", value);
	else if (!strcmp(path, "/shunt/info.uptime_s"))
		printf(", up %s s\n", value);
	else if (!strcmp(path, "/shunt/info.link"))
		printf(" on %s", value);
}

static void print_busy(void *arg, const char *path, const char *value)
{
	(void)arg;
	if (!strcmp(path, "/shunt/counters.instances_busy") && strcmp(value, "0"))
		printf("%s of the stack's instances did not answer in time and are left out\n", value);
}

static bool stat_of(struct telemetry *t, char *answer)
{
	struct printer p = {""};

	if (!telemetry_ask(t, "/shunt/info", answer, TELEMETRY_ANSWER_MAX))
		return false;
	printf("%s (%d): ", t->name, t->pid);
	json_walk(answer, print_title, NULL);
	if (!telemetry_ask(t, "/shunt/counters", answer, TELEMETRY_ANSWER_MAX))
		return false;
	json_walk(answer, print_counter, &p);
	json_walk(answer, print_busy, NULL);
	return true;
}

static void print_text(void *arg, const char *path, const char *value)
{
	const char *text = strchr(value, '\n'); /* the first line is "next …" */

	(void)arg;
	(void)path;
	fputs(text ? text + 1 : value, stdout);
}

static void print_dump(void *arg, char *answer)
{
	json_walk(answer, print_text, arg);
}

static bool dump_of(struct telemetry *t, char *answer)
{
	return telemetry_ask_all(t, "/shunt/dump", answer, print_dump, NULL) && stat_of(t, answer);
}

static void print_raw(void *arg, char *answer)
{
	(void)arg;
	printf("%s\n", answer);
}

static const struct question {
	const char *name, *command;
	bool in_parts, of_process; /* of_process: the question names the process */
	bool (*print)(struct telemetry *t, char *answer);
} questions[] = {
	{"stat", "/shunt/counters", false, false, stat_of},
	{"dump", "/shunt/dump", true, false, dump_of},
	{"why", "/shunt/fds", true, true, launcher_why},
};

static bool raw(struct telemetry *t, const struct question *q, char *answer)
{
	char command[64];

	snprintf(command, sizeof(command), q->of_process ? "%s,%d" : "%s", q->command, t->pid);
	if (q->in_parts)
		return telemetry_ask_all(t, command, answer, print_raw, NULL);
	if (!telemetry_ask(t, command, answer, TELEMETRY_ANSWER_MAX))
		return false;
	print_raw(NULL, answer);
	return true;
}

static const struct question *question(const char *name)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		if (!strcmp(questions[i].name, name))
			return &questions[i];
	return NULL;
}

static bool is_number(const char *s)
{
	return *s && !s[strspn(s, "0123456789")] && strlen(s) < 10;
}

/* The process id among the arguments, 0 when they are not those of a question. */
static int read_arguments(int argc, char **argv, bool *json)
{
	int pid = 0;

	*json = false;
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--json") && !*json)
			*json = true;
		else if (is_number(argv[i]) && !pid)
			pid = atoi(argv[i]);
		else
			return 0;
	}
	return pid;
}

bool launcher_is_question(int argc, char **argv)
{
	bool json;

	return argc >= 3 && question(argv[1]) && read_arguments(argc, argv, &json) > 0;
}

int launcher_ask(int argc, char **argv)
{
	static char answer[TELEMETRY_ANSWER_MAX];
	const struct question *q = question(argv[1]);
	struct telemetry t;
	bool json;
	int pid = read_arguments(argc, argv, &json);

	if (telemetry_connect(&t, pid) && (json ? raw(&t, q, answer) : q->print(&t, answer)))
		return 0;
	fflush(stdout);
	fprintf(stderr, "shunt: %d%s%s%s: %s\n", pid, strcmp(t.name, "?") ? " (" : "",
		strcmp(t.name, "?") ? t.name : "", strcmp(t.name, "?") ? ")" : "", t.err);
	return EXIT_NO_ANSWER;
}
