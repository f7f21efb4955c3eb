/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrap_stdio.c - exported: fdopen and dprintf on sockets of ours
 *
 * stdio reads, writes and closes by calls inside libc that do not pass the exported names. A stream on a
 * socket of ours is therefore made with fopencookie(3), and formatted output is put together in memory first.
 * So is one on a socket that may become ours yet.
 */
#include <stdio.h>
#include <stdlib.h>

#include "socket.h"
#include "wrap.h"
#include "wrap_file.h"

static ssize_t cookie_read(void *cookie, char *buf, size_t n)
{
	return wrap_read((int)(intptr_t)cookie, buf, n);
}

/* fopencookie(3): 0 for an error, never -1. */
static ssize_t cookie_write(void *cookie, const char *buf, size_t n)
{
	ssize_t sent = wrap_write((int)(intptr_t)cookie, buf, n);

	return sent < 0 ? 0 : sent;
}

static int cookie_close(void *cookie)
{
	return wrap_close((int)(intptr_t)cookie);
}

FILE *wrap_fdopen(int fd, const char *mode)
{
	static const cookie_io_functions_t io = {cookie_read, cookie_write, NULL, cookie_close};
	FILE *stream;

	if (!socket_concerns(fd))
		return real_fdopen(fd, mode);
	stream = fopencookie((void *)(intptr_t)fd, mode, io);
	if (stream)
		stream->_fileno = fd; /* what fileno(3) gives */
	return stream;
}

int wrap_vdprintf(int fd, const char *format, va_list ap)
{
	struct file *f = socket_get(fd);
	char *text;
	int len;

	if (!f)
		return real_vdprintf(fd, format, ap);
	file_put(f);
	len = vasprintf(&text, format, ap);
	if (len < 0)
		return -1;
	if (wrap_write(fd, text, len) < 0)
		len = -1;
	free(text);
	return len;
}

EXPORT int wrap_dprintf(int fd, const char *format, ...) __asm__("dprintf");
EXPORT int wrap___dprintf_chk(int fd, int flag, const char *format, ...) __asm__("__dprintf_chk");
EXPORT int wrap___vdprintf_chk(int fd, int flag, const char *format, va_list ap) __asm__("__vdprintf_chk");

int wrap_dprintf(int fd, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = wrap_vdprintf(fd, format, ap);
	va_end(ap);
	return n;
}

/* `flag` asks for checks of %n, which are libc's business; the format itself is the same. */
int wrap___vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
	(void)flag;
	return wrap_vdprintf(fd, format, ap);
}

int wrap___dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, format);
	n = wrap_vdprintf(fd, format, ap);
	va_end(ap);
	return n;
}
