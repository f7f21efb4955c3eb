/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_telemetry.c - from a process id to the answers of its family
 *
 * All members of a family have inherited the listening socket of its telemetry. So no register of programs is
 * needed: the kernel tells which sockets a process has, and what their names are.
 *
 *     /proc/PID/fd ──inode──► /proc/PID/net/unix ──name──► /proc/PID/root/run/dpdk/shunt-…/dpdk_telemetry.v2
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "launcher_ask.h"

#define SOCKET_NAME "/dpdk_telemetry.v2"
#define LISTENS     0x10000 /* flag in /proc/net/unix */
#define ANSWER_S    5

__attribute__((format(printf, 2, 3))) static bool fail(struct telemetry *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->err, sizeof(t->err), fmt, ap);
	va_end(ap);
	return false;
}

static void read_name(struct telemetry *t)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", t->pid);
	f = fopen(path, "re");
	if (!f || !fgets(t->name, sizeof(t->name), f))
		strcpy(t->name, "?");
	t->name[strcspn(t->name, "\n")] = '\0';
	if (f)
		fclose(f);
}

static bool has_library(int pid)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "/libshunt.so");
	if (f)
		fclose(f);
	return found;
}

/* Does one of the process's descriptors have this inode? */
static bool has_socket(DIR *fds, uint64_t inode)
{
	char want[64], link[64];
	struct dirent *e;

	snprintf(want, sizeof(want), "socket:[%" PRIu64 "]", inode);
	rewinddir(fds);
	while ((e = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (!strcmp(link, want))
			return true;
	}
	return false;
}

/* The name under which a telemetry socket of this process listens. */
static bool find_name(int pid, DIR *fds, char *name, size_t len)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/unix", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned flags;
		uint64_t inode;
		int at = 0;

		if (sscanf(line, "%*s %*s %*s %x %*s %*s %" SCNu64 " %n", &flags, &inode, &at) < 2 || !at)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if ((flags & LISTENS) && strstr(line + at, SOCKET_NAME) && has_socket(fds, inode)) {
			snprintf(name, len, "%s", line + at);
			found = true;
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* A socket's name may be longer than an address has room for when it is seen from another root: by its
 * folder. */
static bool connect_below(int fd, const char *root, const char *name)
{
	const char *slash = strrchr(name, '/');
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char dir[512];
	int dirfd, err;

	snprintf(dir, sizeof(dir), "%s%.*s", root, (int)(slash - name), name);
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return false;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d%.64s", dirfd, slash);
	err = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) ? errno : 0;
	close(dirfd);
	errno = err;
	return !err;
}

static bool open_socket(struct telemetry *t, const char *name)
{
	const struct timeval limit = {.tv_sec = ANSWER_S};
	char root[64], greeting[1024];

	t->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return fail(t, "socket: %s", strerror(errno));
	setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	snprintf(root, sizeof(root), "/proc/%d/root", t->pid);
	/* A program that changed its root has its socket in the root it had before: most likely ours. */
	if (!connect_below(t->fd, root, name) && (errno != ENOENT || !connect_below(t->fd, "", name)))
		return fail(t,
			    errno == EACCES ? "no permission for %s: be root or the program's user"
					    : "cannot reach %s: %m",
			    name);
	if (recv(t->fd, greeting, sizeof(greeting), 0) <= 0)
		return fail(t,
			    "the process that answers for it has gone or hangs, and no other has taken over");
	return true;
}

bool telemetry_connect(struct telemetry *t, int pid)
{
	char path[64], name[256];
	bool found;
	DIR *fds;

	*t = (struct telemetry){.pid = pid, .fd = -1};
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	read_name(t);
	fds = opendir(path);
	if (!fds)
		return fail(t, "%s",
			    errno == EACCES || errno == EPERM ? "no permission: be root or the program's user"
			    : errno == ENOENT                 ? "no such process"
							      : strerror(errno));
	found = find_name(pid, fds, name, sizeof(name));
	closedir(fds);
	if (found)
		return open_socket(t, name);
	if (!has_library(pid))
		return fail(t, "does not run under Shunt");
	return fail(t, "runs under Shunt, but no stack answers in it: it used no network so far, has "
		       "telemetry=off, or found no folder to make the socket in");
}

bool telemetry_ask(struct telemetry *t, const char *command, char *answer, size_t len)
{
	ssize_t n;

	if (send(t->fd, command, strlen(command), MSG_NOSIGNAL) < 0)
		return fail(t, "%s: %s", command, strerror(errno));
	n = recv(t->fd, answer, len - 1, 0);
	if (n <= 0)
		return fail(t,
			    n < 0 && errno == EAGAIN ? "no answer to %s in %d s"
						     : "the connection ended at %s",
			    command, ANSWER_S);
	answer[n] = '\0';
	return true;
}

/* "next":17 of a table, "next 17\\n of a text; 0: that was all. */
static uint64_t next_part(const char *answer)
{
	const char *next = strstr(answer, "\"next\":"), *text = strstr(answer, ":\"next ");

	return next ? strtoull(next + 7, NULL, 10) : text ? strtoull(text + 7, NULL, 10) : 0;
}

bool telemetry_ask_all(struct telemetry *t, const char *command, char *answer,
		       void (*part)(void *arg, char *answer), void *arg)
{
	char whole[128];
	uint64_t next = 0;

	do {
		snprintf(whole, sizeof(whole), "%s,%" PRIu64, command, next);
		if (!telemetry_ask(t, whole, answer, TELEMETRY_ANSWER_MAX))
			return false;
		if (strstr(answer, "\":null}"))
			return fail(t, "%s is not answered", command);
		next = next_part(answer);
		part(arg, answer);
	} while (next);
	return true;
}
