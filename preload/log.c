/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.c - formats into a buffer on the stack and writes it with one raw system call
 */
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int current_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* write(2) and syscall(2) by name would be our own wrappers in libshunt.so. */
static long raw_write(const char *buf, size_t len)
{
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"((long)SYS_write), "D"(2L), "S"(buf), "d"(len)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_write;
	register long x0 __asm__("x0") = 2;
	register const char *x1 __asm__("x1") = buf;
	register size_t x2 __asm__("x2") = len;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#else
#error "one system call without libc is needed here"
#endif
}

/* stderr may be a pipe whose reader left: the SIGPIPE would hit a program that wrote nothing itself. */
static void write_without_sigpipe(const char *buf, size_t len)
{
	const struct timespec at_once = {0, 0};
	sigset_t pipe_set, before, pending;
	bool was_pending;

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE);
	if (raw_write(buf, len) == -EPIPE && !was_pending)
		sigtimedwait(&pipe_set, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char prefix[] = "shunt: ";
	const size_t start = sizeof(prefix) - 1;
	int saved_errno = errno;
	char line[1024];
	va_list ap;
	size_t len;
	int n;

	if (!log_enabled(level))
		return;
	__builtin_memcpy(line, prefix, start);
	va_start(ap, fmt);
	n = vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
	va_end(ap);
	len = start + (n < 0 ? 0 : (size_t)n);
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	write_without_sigpipe(line, len);
	errno = saved_errno;
}
