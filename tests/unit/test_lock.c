/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_lock.c - lock.c between threads and between processes
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/libc.h"
#include "preload/lock.h"

#define ROUNDS  20000
#define WORKERS 4

struct shared {
	struct shm_lock lock;
	unsigned long count; /* not atomic: only the lock protects it */
};

static void *count_up(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < ROUNDS; i++) {
		shm_lock(&s->lock);
		s->count++;
		cr_assert(shm_lock_is_mine(&s->lock));
		shm_unlock(&s->lock);
	}
	return NULL;
}

Test(lock, excludes_threads)
{
	static struct shared s;
	pthread_t t[WORKERS];

	libc_resolve();
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&t[i], NULL, count_up, &s);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(s.count, (unsigned long)ROUNDS * WORKERS);
	cr_assert_eq(s.lock.word, 0);
}

static void *hold(void *arg)
{
	struct shared *s = arg;

	shm_lock(&s->lock);
	s->count = 1;
	return NULL; /* and never gives it back */
}

Test(lock, within_gives_up)
{
	static struct shared s;
	pthread_t t;

	libc_resolve();
	cr_assert(shm_lock_within(&s.lock, 0));
	cr_assert(shm_lock_is_mine(&s.lock));
	shm_unlock(&s.lock);
	pthread_create(&t, NULL, hold, &s);
	pthread_join(t, NULL);
	cr_assert(!shm_lock_within(&s.lock, 5));
	cr_assert_eq(s.count, 1);
	cr_assert(!shm_lock_is_mine(&s.lock));
}

Test(lock, excludes_processes)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < WORKERS; i++) {
		if (fork() == 0) {
			thread_id_forget();
			count_up(s);
			_exit(0);
		}
	}
	for (int i = 0; i < WORKERS; i++) {
		int status = 1;

		wait(&status);
		cr_assert_eq(status, 0);
	}
	cr_assert_eq(s->count, (unsigned long)ROUNDS * WORKERS);
}

Test(lock, trylock_fails_while_held)
{
	struct shm_lock l = {0};

	cr_assert(shm_trylock(&l));
	cr_assert_not(shm_trylock(&l));
	shm_unlock(&l);
	cr_assert(shm_trylock(&l));
}

static void *take_and_give_back(void *arg)
{
	struct shm_lock *l = arg;

	shm_lock(l);
	shm_unlock(l);
	return NULL;
}

/* The holder keeps it for longer than anybody spins: the waiters sleep in the kernel and are woken. */
Test(lock, wakes_all_sleepers_one_after_another)
{
	static struct shm_lock l;
	pthread_t t[WORKERS];

	shm_lock(&l);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&t[i], NULL, take_and_give_back, &l);
	while (!(atomic_load(&l.word) >> 31))
		usleep(100);
	shm_unlock(&l);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(l.word, 0);
}

/* Whoever waits for a lock of a killed process gets it, whether that is a zombie still or reaped already. */
static void killed_owner(bool reaped)
{
	struct shm_lock *l =
		mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0) {
		thread_id_forget();
		shm_lock(l);
		raise(SIGKILL);
	}
	waitid(P_PID, (id_t)pid, &info, WEXITED | (reaped ? 0 : WNOWAIT));
	cr_assert_eq(l->word, (uint32_t)pid);
	shm_lock(l);
	cr_assert_eq(l->word & ~(1u << 31), thread_id());
	shm_unlock(l);
	cr_assert_eq(l->word, 0);
}

Test(lock, of_a_killed_process_is_taken_over)
{
	killed_owner(true);
	killed_owner(false);
}

/* Whoever waits for a lock of a stopped process gets it, and the process stops again. */
Test(lock, stopped_owner_gives_it_back_and_stops_again)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0) {
		thread_id_forget();
		shm_lock(&s->lock);
		raise(SIGSTOP);
		s->count = 1;
		shm_unlock(&s->lock);
		s->count = 2;
		_exit(0);
	}
	waitid(P_PID, (id_t)pid, &info, WSTOPPED);
	shm_lock(&s->lock);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
	cr_assert_eq(info.si_status, SIGSTOP);
	cr_assert_eq(s->count, 1);
	shm_unlock(&s->lock);
	kill(pid, SIGCONT);
	waitid(P_PID, (id_t)pid, &info, WEXITED);
	cr_assert_eq(info.si_code, CLD_EXITED);
	cr_assert_eq(s->count, 2);
}
