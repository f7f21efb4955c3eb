/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_file.c - descriptor tables: install, get, dup, close, and the races between them; fork and exec of
 * them
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_stack.h"
#include "preload/domain.h"

static unsigned refs(const struct file *f)
{
	return atomic_load(&f->refs);
}

Test(file, get_of_a_foreign_descriptor)
{
	cr_assert_null(file_get(0));
	cr_assert_null(file_get(-1));
	cr_assert_eq(domain_init(), 0);
	cr_assert_null(file_get(0));
	cr_assert_null(file_get(-1));
	cr_assert_null(file_get(1 << 30));
	cr_assert_eq(file_max_fd(), -1);
	cr_assert_not(file_uninstall(3));
}

Test(file, install_get_uninstall)
{
	struct file *f, *g;
	int fd;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	cr_assert_eq(refs(f), 1);
	g = file_get(fd);
	cr_assert_eq(g, f);
	cr_assert_eq(refs(f), 2);
	cr_assert(file_uninstall(fd));
	cr_assert_null(file_get(fd));
	cr_assert_eq(fake_closed(), 0, "a call is still under way");
	file_put(g);
	cr_assert_eq(fake_closed(), 1);
	cr_assert_not(file_uninstall(fd));
	cr_assert_eq(domain->files.used, 0);
}

Test(file, dup_shares_and_last_close_closes)
{
	struct file *f;
	int a, b;

	fake_start(1, true);
	a = fake_socket(0, FILE_STACK, &f);
	b = dup(a);
	file_dup(a, b);
	file_dup(a, a);
	cr_assert_eq(refs(f), 2);
	cr_assert(file_uninstall(a));
	cr_assert_eq(fake_closed(), 0);
	cr_assert(file_uninstall(b));
	cr_assert_eq(fake_closed(), 1);
}

Test(file, dup_over_another_file_closes_it)
{
	struct file *f, *g;
	int a, b;

	fake_start(1, true);
	a = fake_socket(0, FILE_STACK, &f);
	b = fake_socket(0, FILE_STACK, &g);
	file_dup(a, b);
	cr_assert_eq(fake_closed(), 1);
	cr_assert_eq(refs(f), 2);
	/* A kernel descriptor over ours. */
	file_dup(0, b);
	cr_assert_eq(refs(f), 1);
	cr_assert_null(file_get(b));
}

Test(file, candidates)
{
	file_mark_candidate(5);
	cr_assert(file_is_candidate(5));
	cr_assert_null(file_get(5));
	cr_assert_not(file_candidate_options(5));
	file_mark_candidate_options(5);
	cr_assert(file_candidate_options(5));
	file_dup(5, 9);
	cr_assert(file_candidate_options(5));
	cr_assert(file_candidate_options(9));
	cr_assert_eq(file_max_fd(), 9);
	cr_assert(file_uninstall(5), "two numbers for one candidate share a file");
	cr_assert_not(file_is_candidate(5));
	cr_assert(file_candidate_options(9));
	file_mark_candidate(6);
	cr_assert_not(file_uninstall(6), "a mark is none");
	cr_assert_not(file_is_candidate(4));
	file_mark_candidate_options(4);
	cr_assert_not(file_is_candidate(4), "only what socket() made is one");
}

Test(file, beyond_the_table)
{
	struct file *f = file_new(FILE_UNDECIDED);

	cr_assert_eq(file_install((int)domain->n_fds, f), -EMFILE);
	cr_assert_eq(refs(f), 1);
	file_put(f);
}

static int contested;
static _Atomic bool done;

static void *get_and_put(void *arg)
{
	(void)arg;
	while (!done) {
		struct file *f = file_get(contested);

		if (f) {
			cr_assert_eq(file_mode(f), FILE_STACK);
			cr_assert_geq(refs(f), 1);
			file_put(f);
		}
	}
	return NULL;
}

/* One thread closes and opens under the same number, others use it. */
Test(file, close_races_with_use)
{
	enum { ROUNDS = 3000, USERS = 3 };
	pthread_t t[USERS];

	fake_start(1, true);
	contested = fake_socket(0, FILE_STACK, NULL);
	for (int i = 0; i < USERS; i++)
		pthread_create(&t[i], NULL, get_and_put, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		cr_assert(file_uninstall(contested));
		close(contested);
		cr_assert_eq(fake_socket(0, FILE_STACK, NULL), contested);
	}
	done = true;
	for (int i = 0; i < USERS; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(fake_closed(), ROUNDS);
	cr_assert_eq(domain->files.used, 1);
}

/* fork: the parent closes at once, the child still has it; the last of both closes. */
Test(file, connection_handed_to_a_child)
{
	enum { ROUNDS = 50 };

	fake_start(1, true);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct file *f;
		int fd = fake_socket(0, FILE_STACK, &f), status = -1, go[2];

		cr_assert_eq(pipe(go), 0);
		if (fork() == 0) {
			char c;
			bool ok = read(go[0], &c, 1) == 1 && refs(f) == 1 && file_get(fd) == f;

			if (ok)
				file_put(f);
			member_exit();
			_exit(!ok);
		}
		file_uninstall(fd);
		close(fd);
		cr_assert_eq(fake_closed(), i);
		cr_assert_eq(write(go[1], "x", 1), 1);
		wait(&status);
		cr_assert_eq(status, 0);
		cr_assert_eq(fake_closed(), i + 1);
		close(go[0]);
		close(go[1]);
	}
	cr_assert_eq(domain->n_members, 1);
}

Test(file, child_that_dies_is_cleaned_up_after)
{
	struct file *f;
	int fd, pid;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	cr_assert_eq(refs(f), 2);
	while (domain->members[1].pid != pid)
		usleep(100);
	file_uninstall(fd);
	kill(pid, SIGKILL);
	/* Still a zombie: its descriptors are closed all the same. */
	for (int i = 0; i < 20000 && fake_closed() == 0; i++) {
		member_reap(inst_clock());
		usleep(1000);
	}
	cr_assert_eq(fake_closed(), 1);
	cr_assert_eq(domain->n_members, 1);
	waitpid(pid, NULL, 0);
}

Test(file, failed_exec_takes_everything_back)
{
	struct file *f;
	int fd, status = -1;

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	if (fork() == 0) {
		bool ok;

		member_before_exec();
		ok = refs(f) == 1 && !file_get(fd);
		member_exec_failed();
		ok = ok && refs(f) == 2 && file_get(fd) == f;
		_exit(!ok);
	}
	wait(&status);
	cr_assert_eq(status, 0);
}

#ifndef __SANITIZE_THREAD__ /* which makes a fork of it */
Test(file, vfork_child_is_not_a_member)
{
	int status = -1;

	fake_start(1, true);
	cr_assert(member_is_me());
	if (vfork() == 0)
		_exit(member_is_me());
	wait(&status);
	cr_assert_eq(status, 0);
}
#endif

/* A process that leaves while data is on its way: a child goes on, the exit does not wait for it. */
Test(file, exit_drains)
{
	int status = -1;

	fake_start(1, true);
	if (fork() == 0) {
		fake_undelivered(0, 8);
		member_exit();
		_exit(0);
	}
	wait(&status);
	cr_assert_eq(status, 0);
	for (int i = 0; i < 20000 && domain->n_members > 1; i++)
		usleep(1000);
	cr_assert_eq(domain->n_members, 1);
}

/* Until the stacks run, each fork child has a domain of its own: whoever starts them starts them for itself.
 */
Test(file, forks_before_the_stacks_run_do_not_share)
{
	struct file *f = file_new(FILE_UNDECIDED);
	int fd = dup(0), status = -1;

	cr_assert_eq(file_install(fd, f), 0);
	file_mark_candidate(fd + 1);
	if (fork() == 0) {
		bool ok = file_get(fd) == f && refs(f) == 2 && file_is_candidate(fd + 1) && member_is_me();

		file_put(f);
		file_uninstall(fd);
		ok = ok && domain->files.used == 0 && domain->n_members == 1;
		fake_start(1, true);
		fake_socket(0, FILE_STACK, NULL);
		ok = ok && domain_running() && domain->files.used == 1;
		_exit(!ok);
	}
	wait(&status);
	cr_assert_eq(status, 0);
	cr_assert_not(domain_running());
	cr_assert_eq(refs(f), 1);
	cr_assert_eq(domain->files.used, 1);
	fake_start(1, true);
	cr_assert(domain_running());
}
