/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * telemetry.c - starts DPDK's telemetry thread, and makes it a good guest in somebody else's program
 *
 * EAL would start it in a folder that is not always writable, and give up when it is not; so EAL is told to
 * leave it (--no-telemetry) and we call what it would have called. Some of what librte_telemetry calls in
 * libc is linked to functions here instead (the renaming is in /meson.build):
 *
 * - strtok(3) has one state for the whole process: the program may be in the middle of using it.
 * - Its descriptors get no CLOEXEC and the program's next free numbers.
 * - Writing to a client that has gone raises SIGPIPE, says so on the program's stderr, and loses one of ten
 *   places for clients for good.
 * - accept(2) that fails ends the thread.
 * - atexit(3) would remove the socket in every fork child that exits.
 *
 * A fork child has the listening socket, but not the thread. When it starts the thread for itself, making
 * and binding the socket is already done.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_version.h>

#include "driver/driver_priv.h"

#define BACKLOG       16
#define ACCEPT_NAP_NS 100000000L

/* DPDK has no public header for it. Later versions take the first three arguments only. */
int rte_telemetry_init(const char *runtime_dir, const char *version, cpu_set_t *cpus,
		       int (*log)(uint32_t level, uint32_t type, const char *format, ...), uint32_t log_type);

int driver_telemetry_socket(int domain, int type, int protocol);
int driver_telemetry_bind(int fd, const struct sockaddr *addr, socklen_t len);
int driver_telemetry_listen(int fd, int backlog);
int driver_telemetry_accept(int fd, struct sockaddr *addr, socklen_t *len);
int driver_telemetry_close(int fd);
ssize_t driver_telemetry_write(int fd, const void *buf, size_t len);
char *driver_telemetry_strtok(char *s, const char *delim);
void driver_telemetry_perror(const char *s);
int driver_telemetry_atexit(void (*fn)(void));

static struct {
	struct driver_telemetry how;
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int listen_fd;
	bool inherited; /* listen_fd is bound */
	cpu_set_t cpus;
} telemetry = {.listen_fd = -1};

int driver_telemetry_socket(int domain, int type, int protocol)
{
	if (telemetry.listen_fd >= 0)
		return telemetry.listen_fd;
	int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	telemetry.listen_fd = fd < 0 ? -1 : telemetry.how.keep_fd(fd);
	return telemetry.listen_fd;
}

int driver_telemetry_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (telemetry.inherited)
		return 0;
	int ret = bind(fd, addr, len);
	if (ret == 0)
		memcpy(telemetry.path, ((const struct sockaddr_un *)addr)->sun_path, sizeof(telemetry.path));
	return ret;
}

int driver_telemetry_listen(int fd, int backlog)
{
	(void)backlog; /* 1: the second of two who ask at once would be refused */
	return listen(fd, BACKLOG);
}

/*
 * Asks only when somebody is there: an accept(2) that waits holds the lowest free descriptor number all the
 * time, which the program's next socket should get.
 */
int driver_telemetry_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	static const struct timespec nap = {.tv_nsec = ACCEPT_NAP_NS};

	for (;;) {
		struct pollfd here = {.fd = fd, .events = POLLIN};
		if (poll(&here, 1, -1) > 0 && (here.revents & POLLNVAL))
			return -1;
		int client = accept4(fd, addr, len, SOCK_CLOEXEC);
		if (client >= 0)
			return telemetry.how.keep_fd(client);
		if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)
			return -1;
		if (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
			nanosleep(&nap, NULL); /* no descriptor, no memory: that may change */
	}
}

int driver_telemetry_close(int fd)
{
	telemetry.how.drop_fd(fd);
	if (fd == telemetry.listen_fd)
		telemetry.listen_fd = -1;
	return close(fd);
}

/* When it fails, the next read tells the end, and that path is right. */
ssize_t driver_telemetry_write(int fd, const void *buf, size_t len)
{
	ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);
	return n < 0 ? (ssize_t)len : n;
}

char *driver_telemetry_strtok(char *s, const char *delim)
{
	static __thread char *save;
	return strtok_r(s, delim, &save);
}

void driver_telemetry_perror(const char *s)
{
	(void)s;
}

int driver_telemetry_atexit(void (*fn)(void))
{
	(void)fn;
	return 0;
}

int driver_telemetry_start(const struct driver_telemetry *t)
{
	struct thread_state thread;

	telemetry.how = *t;
	telemetry.inherited = telemetry.listen_fd >= 0;
	if (!telemetry.inherited) {
		int ret = telemetry_dir_make(telemetry.dir, sizeof(telemetry.dir));
		if (ret != 0)
			return ret;
	}
	thread_save(&thread); /* its threads block all signals, as this one does now */
	telemetry.cpus = thread.cpus;
	int ret = rte_telemetry_init(telemetry.dir, rte_version(), &telemetry.cpus, rte_log, RTE_LOGTYPE_EAL);
	thread_restore(&thread);
	if (ret == 0)
		return 0;
	if (!telemetry.inherited)
		driver_telemetry_unlink();
	return -EIO;
}

const char *driver_telemetry_path(void)
{
	return telemetry.path[0] != '\0' ? telemetry.path : NULL;
}

void driver_telemetry_unlink(void)
{
	if (telemetry.path[0] != '\0')
		unlink(telemetry.path);
	if (telemetry.dir[0] != '\0')
		rmdir(telemetry.dir);
	telemetry.path[0] = telemetry.dir[0] = '\0';
}
