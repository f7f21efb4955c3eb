/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_secret.c - a secret that outlives the process (host_secret.h)
 *
 * A file appears under its name only when it is whole: it is written under a name of its own and linked, so
 * that of two processes that start at once both end up with the same one.
 */
#include "host_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libc.h"

#define SECRET_BYTES (2 * sizeof(uint64_t))

static int read_secret(const char *path, uint64_t secret[2])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	/* Somebody else's file, or one that others can read, is no secret */
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		err = -EPERM;
	else if (real_read(fd, secret, SECRET_BYTES) != SECRET_BYTES)
		err = -EIO;
	real_close(fd);
	return err;
}

static int make_secret(const char *path)
{
	char temporary[PATH_MAX];
	uint64_t secret[2];
	int fd, err = 0;

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return -EAGAIN;
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (real_write(fd, secret, SECRET_BYTES) != SECRET_BYTES)
		err = -EIO;
	else if (link(temporary, path) != 0 && errno != EEXIST)
		err = -errno;
	real_close(fd);
	unlink(temporary);
	return err;
}

int host_secret_at(const char *path, uint64_t secret[2])
{
	int err = read_secret(path, secret);

	if (err == -ENOENT) {
		err = make_secret(path);
		if (err == 0)
			err = read_secret(path, secret);
	}
	if (err)
		memset(secret, 0, SECRET_BYTES);
	return err;
}

void host_secret(uint64_t secret[2])
{
	const char *dir = geteuid() == 0 ? "/run" : secure_getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];

	memset(secret, 0, SECRET_BYTES);
	if (dir && (size_t)snprintf(path, sizeof(path), "%s/shunt.secret", dir) < sizeof(path))
		host_secret_at(path, secret);
}
