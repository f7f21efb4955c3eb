/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * telemetry_dir.c - a folder for the telemetry socket, one for each program that starts DPDK
 *
 * Where DPDK's own tools look, as far as we may write there; else below /tmp under a name that nobody can
 * guess and take before us. The folder is for this user alone, and its socket with it. A program that was
 * killed leaves its folder; the next program of the same user takes it away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "driver/driver_priv.h"

#define STALE_AFTER_S 60 /* younger ones may be between mkdir(2) and bind(2) */
#define SWEEP_MAX     64 /* folders looked at in one start */

/* A folder of our own that nobody else may write to. */
static bool is_ours(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool make(const char *dir)
{
	return (mkdir(dir, 0700) == 0 || errno == EEXIST) && is_ours(dir) && access(dir, W_OK | X_OK) == 0;
}

/* Does anybody listen on the socket of this name? */
static bool answers(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	bool yes = fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ||
		   (errno != ECONNREFUSED && errno != ENOENT);
	if (fd >= 0)
		close(fd);
	return yes;
}

static void remove_stale(const char *dir, time_t now)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;

	if (lstat(dir, &st) != 0 || now - st.st_mtime < STALE_AFTER_S ||
	    snprintf(path, sizeof(path), "%s/dpdk_telemetry.v2", dir) >= (int)sizeof(path) || answers(path))
		return;
	unlink(path);
	rmdir(dir); /* fails when anything else is in it, as it should */
}

static void sweep(const char *base)
{
	DIR *d = opendir(base);
	struct dirent *e;
	char dir[512];
	int seen = 0;

	if (d == NULL)
		return;
	while (seen < SWEEP_MAX && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "shunt-", 6) != 0 ||
		    snprintf(dir, sizeof(dir), "%s/%s", base, e->d_name) >= (int)sizeof(dir))
			continue;
		seen++;
		remove_stale(dir, time(NULL));
	}
	closedir(d);
}

/* BASE/dpdk/shunt-PID; `base_len`: RUNTIME_DIRECTORY may name several, separated by colons. */
static bool make_below(const char *base, size_t base_len, char *dir, size_t len)
{
	char dpdk[256];

	if (base == NULL || base[0] != '/' ||
	    snprintf(dpdk, sizeof(dpdk), "%.*s/dpdk", (int)base_len, base) >= (int)sizeof(dpdk) ||
	    !make(dpdk))
		return false;
	sweep(dpdk);
	return snprintf(dir, len, "%s/shunt-%d", dpdk, (int)getpid()) < (int)len && make(dir);
}

int telemetry_dir_make(char *dir, size_t len)
{
	const char *runtime = getenv("RUNTIME_DIRECTORY"), *xdg = getenv("XDG_RUNTIME_DIR");

	if (make_below(runtime, runtime != NULL ? strcspn(runtime, ":") : 0, dir, len) ||
	    (geteuid() == 0 && make_below("/run", 4, dir, len)) ||
	    make_below(xdg, xdg != NULL ? strlen(xdg) : 0, dir, len))
		return 0;
	if (snprintf(dir, len, "/tmp/shunt-XXXXXX") < (int)len && mkdtemp(dir) != NULL)
		return 0;
	return -errno;
}
