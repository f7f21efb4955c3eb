/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/driver_priv.h"

static char base[64];

static void make_base(void)
{
	strcpy(base, "/tmp/test-telemetry-XXXXXX");
	cr_assert_not_null(mkdtemp(base));
	cr_assert_eq(setenv("RUNTIME_DIRECTORY", base, 1), 0);
}

static void remove_base(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(telemetry_dir, .init = make_base, .fini = remove_base);

static const char *path(const char *name)
{
	static char p[200];

	snprintf(p, sizeof(p), "%s/%s", base, name);
	return p;
}

/* A program's folder with a socket, last touched long ago. Returns the socket. */
static int program(const char *name, bool alive)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	mkdir(path("dpdk"), 0700);
	cr_assert_eq(mkdir(path(name), 0700), 0);
	cr_assert_lt(snprintf(sun.sun_path, sizeof(sun.sun_path), "%.80s/dpdk_telemetry.v2", path(name)),
		     108);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	if (alive)
		cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(utimensat(AT_FDCWD, path(name), long_ago, 0), 0);
	return fd;
}

static bool exists(const char *name)
{
	return access(path(name), F_OK) == 0;
}

Test(telemetry_dir, is_for_this_user_alone)
{
	char dir[108], want[200];
	struct stat st;

	snprintf(want, sizeof(want), "%s/dpdk/shunt-%d", base, (int)getpid());
	cr_assert_eq(telemetry_dir_make(dir, sizeof(dir)), 0);
	cr_assert_str_eq(dir, want);
	cr_assert_eq(stat(dir, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	cr_assert_eq(telemetry_dir_make(dir, sizeof(dir)), 0, "a process id may come again");
}

Test(telemetry_dir, never_one_that_others_write_to)
{
	char dir[108];

	cr_assert_eq(mkdir(path("dpdk"), 0777), 0);
	cr_assert_eq(chmod(path("dpdk"), 0777), 0);
	cr_assert_eq(telemetry_dir_make(dir, sizeof(dir)), 0);
	cr_assert_neq(strncmp(dir, base, strlen(base)), 0, "%s", dir);
	cr_assert_eq(rmdir(dir), 0);
}

Test(telemetry_dir, first_of_several_and_a_useless_one)
{
	char dir[108], two[256];

	snprintf(two, sizeof(two), "%s:/nonexistent", base);
	setenv("RUNTIME_DIRECTORY", two, 1);
	cr_assert_eq(telemetry_dir_make(dir, sizeof(dir)), 0);
	cr_assert_eq(strncmp(dir, base, strlen(base)), 0, "%s", dir);
	setenv("RUNTIME_DIRECTORY", "/proc/nonexistent", 1);
	cr_assert_eq(telemetry_dir_make(dir, sizeof(dir)), 0);
	cr_assert_eq(rmdir(dir), 0);
}

Test(telemetry_dir, folders_of_the_dead_are_removed)
{
	char dir[108];
	int dead = program("dpdk/shunt-1", false), alive = program("dpdk/shunt-2", true), old;

	close(dead);
	mkdir(path("dpdk/other"), 0700);
	mkdir(path("dpdk/shunt-3"), 0700); /* this moment: about to be used */
	old = program("dpdk/shunt-4", false);
	close(old);
	cr_assert_eq(telemetry_dir_make(dir, sizeof(dir)), 0);
	cr_assert(!exists("dpdk/shunt-1") && !exists("dpdk/shunt-4"));
	cr_assert(exists("dpdk/shunt-2") && exists("dpdk/other") && exists("dpdk/shunt-3"));
	close(alive);
}
