/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_process.c - exported: the ends and beginnings of a process, and syscall(2)
 *
 * fork(3) needs no wrapper: pthread_atfork(3) tells member.c. What exec and its kin hand to the new image is
 * pass.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bad_pointer.h"
#include "inside.h"
#include "inst.h"
#include "member.h"
#include "pass.h"
#include "runtime.h"
#include "signal_hold.h"
#include "wrap.h"
#include "wrap_file.h"

/* Arguments of one execl(3); Linux allows more, no caller passes them. */
#define EXECL_ARGS_MAX 1024

static pid_t told(pid_t pid)
{
	int saved = errno;

	if (pid)
		member_after_fork_parent();
	else
		member_after_fork_child();
	errno = saved;
	return pid;
}

pid_t wrap__Fork(void)
{
	member_before_fork();
	return told(real__Fork());
}

int wrap_pthread_cancel(pthread_t thread)
{
	inst_before_cancel();
	return real_pthread_cancel(thread);
}

void wrap__exit(int status)
{
	if (!inside)
		member_exit();
	real__exit(status);
}
WRAP_ALIAS(_Exit, _exit)

/* A new effective user: -1 is none, and root keeps what it has. */
static void before_setuid(uid_t uid)
{
	if (uid && uid != (uid_t)-1)
		runtime_before_drop();
}

int wrap_chroot(const char *path)
{
	runtime_before_drop();
	return real_chroot(path);
}

int wrap_setuid(uid_t uid)
{
	before_setuid(uid);
	return real_setuid(uid);
}

int wrap_setreuid(uid_t ruid, uid_t euid)
{
	before_setuid(euid);
	return real_setreuid(ruid, euid);
}

int wrap_setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
	before_setuid(euid);
	return real_setresuid(ruid, euid, suid);
}

/*
 * An exec that fails must not cost connections, and one that succeeds does not come back: so what can be
 * known before is looked at before.
 */
static bool may_exec(int dirfd, const char *path)
{
	int saved = errno;
	bool may = bad_pointer(path) || !*path || !faccessat(dirfd, path, X_OK, AT_EACCESS);

	errno = saved;
	return may;
}

/* The same for a name that execvp(3) looks up in PATH. */
static bool may_exec_name(const char *name)
{
	const char *dir = getenv("PATH"), *end;
	char path[PATH_MAX];

	if (bad_pointer(name) || !*name || strchr(name, '/'))
		return may_exec(AT_FDCWD, name);
	for (dir = dir ? dir : "/bin:/usr/bin"; dir; dir = *end ? end + 1 : NULL) {
		end = strchrnul(dir, ':');
		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)(end - dir), dir, end > dir ? "/" : "",
			     name) < (int)sizeof(path) &&
		    may_exec(AT_FDCWD, path))
			return true;
	}
	return false;
}

/* Calls exec, which only returns when it failed. */
#define EXEC(may, call)                                                                                      \
	({                                                                                                   \
		struct pass pass_;                                                                           \
		bool may_ = (may);                                                                           \
		int got_, saved_;                                                                            \
		if (may_) {                                                                                  \
			pass_begin(&pass_, PASS_INHERITED);                                                  \
			member_before_exec();                                                                \
		}                                                                                            \
		got_ = (call);                                                                               \
		saved_ = errno;                                                                              \
		member_exec_failed();                                                                        \
		if (may_)                                                                                    \
			pass_end(&pass_, false);                                                             \
		errno = saved_;                                                                              \
		got_;                                                                                        \
	})

int wrap_execve(const char *path, char *const argv[], char *const envp[])
{
	return EXEC(may_exec(AT_FDCWD, path), real_execve(path, argv, envp));
}

int wrap_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	return EXEC(may_exec(dirfd, path), real_execveat(dirfd, path, argv, envp, flags));
}

int wrap_fexecve(int fd, char *const argv[], char *const envp[])
{
	return EXEC(true, real_fexecve(fd, argv, envp));
}

int wrap_execv(const char *path, char *const argv[])
{
	return EXEC(may_exec(AT_FDCWD, path), real_execv(path, argv));
}

int wrap_execvp(const char *file, char *const argv[])
{
	return EXEC(may_exec_name(file), real_execvp(file, argv));
}

int wrap_execvpe(const char *file, char *const argv[], char *const envp[])
{
	return EXEC(may_exec_name(file), real_execvpe(file, argv, envp));
}

EXPORT int wrap_execl(const char *path, const char *arg, ...) __asm__("execl");
EXPORT int wrap_execlp(const char *file, const char *arg, ...) __asm__("execlp");
EXPORT int wrap_execle(const char *path, const char *arg, ...) __asm__("execle");

/* Collects a NULL-terminated argument list into argv. False when it is too long. */
static bool collect(const char **argv, const char *arg, va_list *ap)
{
	int n = 0;

	for (; arg && n < EXECL_ARGS_MAX; arg = va_arg(*ap, const char *))
		argv[n++] = arg;
	argv[n] = NULL;
	return !arg;
}

int wrap_execl(const char *path, const char *arg, ...)
{
	const char *argv[EXECL_ARGS_MAX + 1];
	va_list ap;
	bool fits;

	va_start(ap, arg);
	fits = collect(argv, arg, &ap);
	va_end(ap);
	return fits ? wrap_execv(path, (char *const *)argv) : (int)result(-E2BIG, 0);
}

int wrap_execlp(const char *file, const char *arg, ...)
{
	const char *argv[EXECL_ARGS_MAX + 1];
	va_list ap;
	bool fits;

	va_start(ap, arg);
	fits = collect(argv, arg, &ap);
	va_end(ap);
	return fits ? wrap_execvp(file, (char *const *)argv) : (int)result(-E2BIG, 0);
}

int wrap_execle(const char *path, const char *arg, ...)
{
	const char *argv[EXECL_ARGS_MAX + 1];
	char *const *envp;
	va_list ap;
	bool fits;

	va_start(ap, arg);
	fits = collect(argv, arg, &ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return fits ? wrap_execve(path, (char *const *)argv, envp) : (int)result(-E2BIG, 0);
}

/*
 * These clone with shared memory and exec inside libc. posix_spawn returns when the image runs, system when
 * it has ended.
 */
int wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct pass p;
	int err;

	pass_begin(&p, actions ? PASS_ALL : PASS_INHERITED);
	err = real_posix_spawn(pid, path, actions, attr, argv, envp);
	pass_end(&p, !err);
	return err;
}

int wrap_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct pass p;
	int err;

	pass_begin(&p, actions ? PASS_ALL : PASS_INHERITED);
	err = real_posix_spawnp(pid, file, actions, attr, argv, envp);
	pass_end(&p, !err);
	return err;
}

int wrap_system(const char *command)
{
	struct pass p;
	int status;

	if (!command)
		return real_system(command);
	pass_begin(&p, PASS_INHERITED);
	pass_go(&p);
	status = real_system(command);
	pass_end(&p, true);
	return status;
}

FILE *wrap_popen(const char *command, const char *type)
{
	struct pass p;
	FILE *stream;

	pass_begin(&p, PASS_INHERITED);
	stream = real_popen(command, type);
	pass_end(&p, stream);
	return stream;
}

/* A raw clone that copies memory is a fork behind libc's back. */
static long raw_fork(long number, long a, long b, long c, long d, long e, long f)
{
	member_before_fork();
	return told(real_syscall(number, a, b, c, d, e, f));
}

static bool copies_memory(long number, long a)
{
	if (number == SYS_clone3)
		return a && !(((struct clone_args *)a)->flags & CLONE_VM);
	return number != SYS_clone || !(a & CLONE_VM);
}

/* preadv2's and pwritev2's offset comes in two halves, of which a 64-bit kernel takes the first. */
static off_t position(long low, long high)
{
	return sizeof(long) == sizeof(off_t) ? low : (off_t)((uint64_t)high << 32 | (uint32_t)low);
}

/*
 * libuv closes with syscall(SYS_close), nginx and others wait or accept with it: these numbers lead to the
 * functions above. All others go straight down, but for io_uring, whose requests would reach the placeholders
 * of our sockets: a program that is told ENOSYS does without, as on an older kernel.
 */
/* clang-format off */
long wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	switch (number) {
	case SYS_socket:      return wrap_socket(a, b, c);
	case SYS_bind:        return wrap_bind(a, (void *)b, c);
	case SYS_listen:      return wrap_listen(a, b);
	case SYS_accept:      return wrap_accept(a, (void *)b, (void *)c);
	case SYS_accept4:     return wrap_accept4(a, (void *)b, (void *)c, d);
	case SYS_connect:     return wrap_connect(a, (void *)b, c);
	case SYS_shutdown:    return wrap_shutdown(a, b);
	case SYS_getsockname: return wrap_getsockname(a, (void *)b, (void *)c);
	case SYS_getpeername: return wrap_getpeername(a, (void *)b, (void *)c);
	case SYS_getsockopt:  return wrap_getsockopt(a, b, c, (void *)d, (void *)e);
	case SYS_setsockopt:  return wrap_setsockopt(a, b, c, (void *)d, e);
	case SYS_read:        return wrap_read(a, (void *)b, c);
	case SYS_readv:       return wrap_readv(a, (void *)b, c);
	case SYS_recvfrom:    return wrap_recvfrom(a, (void *)b, c, d, (void *)e, (void *)f);
	case SYS_recvmsg:     return wrap_recvmsg(a, (void *)b, c);
	case SYS_preadv2:     return wrap_preadv2(a, (void *)b, c, position(d, e), f);
	case SYS_recvmmsg:    return wrap_recvmmsg(a, (void *)b, c, d, (void *)e);
	case SYS_write:       return wrap_write(a, (void *)b, c);
	case SYS_writev:      return wrap_writev(a, (void *)b, c);
	case SYS_pwritev2:    return wrap_pwritev2(a, (void *)b, c, position(d, e), f);
	case SYS_sendto:      return wrap_sendto(a, (void *)b, c, d, (void *)e, f);
	case SYS_sendmsg:     return wrap_sendmsg(a, (void *)b, c);
	case SYS_sendmmsg:    return wrap_sendmmsg(a, (void *)b, c, d);
	case SYS_sendfile:    return wrap_sendfile(a, b, (void *)c, d);
	case SYS_splice:      return wrap_splice(a, (void *)b, c, (void *)d, e, f);
	case SYS_epoll_create1: return wrap_epoll_create1(a);
	case SYS_epoll_ctl:   return wrap_epoll_ctl(a, b, c, (void *)d);
	case SYS_epoll_pwait: return wrap_epoll_pwait(a, (void *)b, c, d, (void *)e);
	case SYS_epoll_pwait2: return wrap_epoll_pwait2(a, (void *)b, c, (void *)d, (void *)e);
	case SYS_ppoll:       return wrap_ppoll((void *)a, b, (void *)c, (void *)d);
	case SYS_pselect6:
		return wrap_pselect(a, (void *)b, (void *)c, (void *)d, (void *)e, f ? *(const sigset_t **)f : NULL);
#ifdef SYS_poll
	case SYS_poll:        return wrap_poll((void *)a, b, c);
	case SYS_select:      return wrap_select(a, (void *)b, (void *)c, (void *)d, (void *)e);
	case SYS_epoll_create: return wrap_epoll_create(a);
	case SYS_epoll_wait:  return wrap_epoll_wait(a, (void *)b, c, d);
	case SYS_dup2:        return wrap_dup2(a, b);
	case SYS_fork:
#endif
	case SYS_clone:
	case SYS_clone3:
		if (!copies_memory(number, a))
			break;
		return raw_fork(number, a, b, c, d, e, f);
	case SYS_close:       return wrap_close(a);
	case SYS_close_range: return wrap_close_range(a, b, c);
	case SYS_dup:         return wrap_dup(a);
	case SYS_dup3:        return wrap_dup3(a, b, c);
	case SYS_fcntl:       return wrap_fcntl(a, b, c);
	case SYS_ioctl:       return wrap_ioctl(a, b, c);
	case SYS_rt_sigaction: return signal_raw_sigaction(a, (void *)b, (void *)c, d);
	case SYS_io_uring_setup: return result(-ENOSYS, 0);
	case SYS_execve:      return wrap_execve((void *)a, (void *)b, (void *)c);
	case SYS_execveat:    return wrap_execveat(a, (void *)b, (void *)c, (void *)d, e);
	case SYS_exit_group:
		wrap__exit(a);
		break;
	default:
		break;
	}
	return real_syscall(number, a, b, c, d, e, f);
}
/* clang-format on */
