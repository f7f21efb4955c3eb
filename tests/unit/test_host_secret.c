/* SPDX-License-Identifier: BSD-3-Clause */
/* host_secret.c: one secret for all processes of a user, and none that others could know. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/host_secret.h"

static char dir[] = "/tmp/host_secret.XXXXXX", path[64];

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/secret", dir);
}

static void remove_dir(void)
{
	unlink(path);
	cr_assert_eq(rmdir(dir), 0, "something was left behind");
}

TestSuite(host_secret, .init = make_dir, .fini = remove_dir);

Test(host_secret, is_made_once_and_read_afterwards)
{
	uint64_t first[2] = {0}, again[2] = {0};
	struct stat st;

	cr_assert_eq(host_secret_at(path, first), 0);
	cr_assert_eq(host_secret_at(path, again), 0);
	cr_assert(first[0] | first[1]);
	cr_assert_eq(first[0], again[0]);
	cr_assert_eq(first[1], again[1]);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(host_secret, processes_that_start_at_once_agree)
{
	uint64_t mine[2];
	int pipes[2];

	cr_assert_eq(pipe(pipes), 0);
	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			uint64_t theirs[2];
			bool ok = host_secret_at(path, theirs) == 0 &&
				  write(pipes[1], theirs, sizeof(theirs)) == sizeof(theirs);

			_exit(!ok);
		}
	}
	cr_assert_eq(host_secret_at(path, mine), 0);
	for (int i = 0; i < 8; i++) {
		uint64_t theirs[2];
		int status;

		cr_assert_gt(wait(&status), 0);
		cr_assert_eq(status, 0);
		cr_assert_eq(read(pipes[0], theirs, sizeof(theirs)), (ssize_t)sizeof(theirs));
		cr_assert_eq(theirs[0], mine[0]);
		cr_assert_eq(theirs[1], mine[1]);
	}
}

Test(host_secret, is_refused_when_others_can_read_it)
{
	uint64_t secret[2] = {1, 1};

	cr_assert_eq(host_secret_at(path, secret), 0);
	cr_assert_eq(chmod(path, 0644), 0);
	cr_assert_eq(host_secret_at(path, secret), -EPERM);
	cr_assert_eq(secret[0] | secret[1], 0);
}

Test(host_secret, is_refused_through_a_symbolic_link)
{
	uint64_t secret[2];

	cr_assert_eq(symlink("/etc/hostname", path), 0);
	cr_assert_eq(host_secret_at(path, secret), -ELOOP);
}

Test(host_secret, a_folder_that_is_not_there_gives_zeros)
{
	uint64_t secret[2] = {1, 1};

	cr_assert_eq(host_secret_at("/nonexistent/secret", secret), -ENOENT);
	cr_assert_eq(secret[0] | secret[1], 0);
}
