/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher.c - shunt [OPTION]… [--] PROGRAM [ARG…]; shunt stat|dump|why PID: launcher_ask.c
 *
 * Checks the settings, hands them on as environment variables and executes the program with libshunt.so
 * preloaded. Nothing of it stays: the program has the launcher's process id. The library would read the same
 * settings from file and environment; that is why a mistake can be told here, before anything runs.
 *
 * Exit status, as env(1) has it: 2 the command line or a setting is wrong, 126 the program cannot be run,
 * 127 there is no such program, else the program's own.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config.h"
#include "config_value.h"
#include "launcher_ask.h"
#include "launcher_elf.h"

enum { EXIT_USAGE = 2, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

#define OPTIONS "link|addr|gw|config|set|help|version"

__attribute__((format(printf, 2, 3), noreturn)) static void die(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("shunt: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static void print_help(void)
{
	printf("shunt [--link SPEC] [--addr CIDR]... [--gw ADDR] [--config FILE] [--set KEY=VALUE]... [--] "
	       "PROGRAM "
	       "[ARG...]\n"
	       "shunt stat|dump|why PID [--json]\n\n"
	       "Runs PROGRAM with its sockets served by a TCP/IP stack inside its own process, over DPDK; or "
	       "asks\na running one what it counted, what its sockets do, and who serves each and why.\n\n"
	       "  --link SPEC       what to drive, the key `link` below\n"
	       "  --addr CIDR       an own address, the key `addr`; may be repeated\n"
	       "  --gw ADDR         the gateway, the key `gw`\n"
	       "  --config FILE     read lines KEY = VALUE from FILE\n"
	       "  --set KEY=VALUE   any key; may be repeated\n"
	       "  --help, --version\n\n"
	       "A key is taken from the command line, else from the variable SHUNT_<KEY>, else from the "
	       "file\n"
	       "(--config or SHUNT_CONFIG), else it has the default shown.\n\n"
	       "Keys:\n");
	for (unsigned k = 0; k < CONFIG_KEYS; k++) {
		const struct config_key_info *key = config_key(k);

		printf("  %s = %s", key->name, *key->def ? key->def : "(none)");
		if (key->max)
			printf("    [%u..%u %s]", key->min, key->max, key->unit);
		else if (*key->unit)
			printf("    [%s]", key->unit);
		printf("\n        %s\n", key->text);
	}
}

static void set_variable(const char *key, size_t key_len, const char *value)
{
	char name[80] = "SHUNT_";
	size_t n = strlen(name);

	for (size_t i = 0; i < key_len && n < sizeof(name) - 1; i++)
		name[n++] = (char)(key[i] >= 'a' && key[i] <= 'z' ? key[i] - 'a' + 'A' : key[i]);
	name[n] = '\0';
	if (setenv(name, value, 1))
		die(EXIT_USAGE, "%s: %s", name, strerror(errno));
}

/* --addr replaces what the environment had, and adds to an --addr before it. */
static void add_addr(const char *value, bool first)
{
	const char *before = first ? NULL : getenv("SHUNT_ADDR");
	char *joined;

	if (asprintf(&joined, "%s%s%s", before ? before : "", before ? "," : "", value) < 0)
		die(EXIT_USAGE, "out of memory");
	set_variable("addr", strlen("addr"), joined);
	free(joined);
}

static void set_key(const char *assignment, bool *addr_given)
{
	char err[4 * CONFIG_TEXT_MAX];
	size_t len = strcspn(assignment, "=");
	struct config scratch;
	char key[64];

	if (!assignment[len])
		die(EXIT_USAGE, "--set %s: not of the form KEY=VALUE", assignment);
	snprintf(key, sizeof(key), "%.*s", (int)len, assignment);
	config_init(&scratch);
	if (config_set(&scratch, CONFIG_ARG, key, assignment + len + 1, err, sizeof(err)))
		die(EXIT_USAGE, "%s", err);
	if (!strcasecmp(key, "addr")) {
		add_addr(assignment + len + 1, !*addr_given);
		*addr_given = true;
	} else {
		set_variable(key, len, assignment + len + 1);
	}
}

/* Options into the environment; returns the index of PROGRAM in argv. */
static int read_options(int argc, char **argv)
{
	bool addr_given = false;
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *name = argv[i] + 2, *value;
		size_t len = strcspn(name, "=");
		char option[64], nearest[64];

		if (!strcmp(argv[i], "--"))
			return i + 1;
		snprintf(option, sizeof(option), "%.*s", (int)len, argv[i][1] == '-' ? name : "");
		if (!strcmp(option, "help") || !strcmp(argv[i], "-h")) {
			print_help();
			exit(0);
		}
		if (!strcmp(option, "version")) {
			printf("shunt %s (DPDK %s)\n", SHUNT_VERSION, SHUNT_DPDK_VERSION);
			exit(0);
		}
		if (strcmp(nearest_word(OPTIONS, option, nearest, sizeof(nearest)), option))
			die(EXIT_USAGE, "%s: no such option; nearest is --%s", argv[i],
			    nearest_word(OPTIONS, argv[i] + strspn(argv[i], "-"), nearest, sizeof(nearest)));
		value = name[len] ? name + len + 1 : argv[++i];
		if (!value)
			die(EXIT_USAGE, "--%s needs a value", option);
		if (!strcmp(option, "set")) {
			set_key(value, &addr_given);
		} else if (!strcmp(option, "addr")) {
			add_addr(value, !addr_given);
			addr_given = true;
		} else {
			set_variable(option, len, value);
		}
	}
	return i;
}

static void check_settings(struct config *cfg)
{
	char err[4 * CONFIG_TEXT_MAX];

	config_init(cfg);
	if (config_read_env(cfg, environ, err, sizeof(err)) || config_finish(cfg, err, sizeof(err)))
		die(EXIT_USAGE, "%s", err);
}

/* libshunt.so: beside the launcher (a build tree), else where it was installed. */
static void find_library(char *path, size_t len)
{
	static const char name[] = "libshunt.so";
	ssize_t n = readlink("/proc/self/exe", path, len - sizeof(name));
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		strcpy(slash + 1, name);
		if (!access(path, R_OK))
			return;
	}
	snprintf(path, len, "%s/%s", SHUNT_LIBDIR, name);
	if (access(path, R_OK))
		die(EXIT_USAGE, "%s is neither beside the launcher nor in %s", name, SHUNT_LIBDIR);
}

static void preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *list;

	if (strpbrk(library, " :"))
		die(EXIT_USAGE, "%s: ld.so cannot preload from a path with a blank or a colon", library);
	if (asprintf(&list, "%s%s%s", library, before && *before ? ":" : "", before ? before : "") < 0 ||
	    setenv("LD_PRELOAD", list, 1))
		die(EXIT_USAGE, "out of memory");
	free(list);
}

/* As execvp(3) searches; false when there is nothing of that name. */
static bool find_program(const char *name, char *path, size_t len)
{
	const char *dirs = getenv("PATH");
	bool found = false;

	if (strchr(name, '/')) {
		snprintf(path, len, "%s", name);
		return !access(path, F_OK);
	}
	for (dirs = dirs ? dirs : "/usr/local/bin:/usr/bin:/bin"; *name; dirs++) {
		size_t n = strcspn(dirs, ":");
		char candidate[4096];

		snprintf(candidate, sizeof(candidate), "%.*s%s%s", (int)n, dirs, n ? "/" : "./", name);
		if (!access(candidate, F_OK) && (!found || !access(candidate, X_OK))) {
			snprintf(path, len, "%s", candidate);
			found = true;
			if (!access(candidate, X_OK))
				return true;
		}
		dirs += n;
		if (!*dirs)
			break;
	}
	return found;
}

int main(int argc, char **argv)
{
	char program[4096], library[4096];
	struct config cfg;
	const char *why;
	int first;

	if (launcher_is_question(argc, argv))
		return launcher_ask(argc, argv);
	first = read_options(argc, argv);
	check_settings(&cfg);
	if (first >= argc)
		die(EXIT_USAGE, "no program given; see shunt --help");
	find_library(library, sizeof(library));
	if (!find_program(argv[first], program, sizeof(program)))
		die(EXIT_NOT_FOUND, "%s: no such program", argv[first]);
	why = launcher_not_preloadable(program);
	if (why && cfg.fallback == CONFIG_FALLBACK_OFF)
		die(EXIT_CANNOT_RUN, "%s %s", program, why);
	if (why)
		fprintf(stderr, "shunt: %s %s; running it over the kernel\n", program, why);
	else
		preload(library);
	execv(program, argv + first);
	die(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN, "%s: %s", program, strerror(errno));
}
