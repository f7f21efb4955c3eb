/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sendfile.c - sendfile(2) to a socket of ours: the page cache is read straight into segment buffers
 *
 *     room in the send buffer ──► fresh mbufs ──► one preadv2(2), no lock held ──► queued for transmission
 *
 * One copy, one system call for many segments. What read() says is the truth at every step, so a file that
 * shrinks meanwhile ends the transfer, and nothing can raise SIGBUS.
 *
 * man sendfile: with an offset, it is updated and the file position stays; without, the position moves by
 * what was sent. A short count means end of file, a full send buffer (non-blocking), or an error that the
 * next call reports.
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "socket_priv.h"
#include "stack/pkt.h"
#include "transfer.h"

#define CHUNK_BYTES (256 * 1024)
#define CHUNK_SEGS  512

/* Reads up to `bytes` into the list's buffers. Returns the count, 0 at end of file, or -errno. */
static ssize_t fill(struct transfer *t, struct rte_mbuf *list, size_t bytes)
{
	struct iovec iov[CHUNK_SEGS];
	int n = 0;
	ssize_t got;

	for (struct rte_mbuf *m = list; m && n < CHUNK_SEGS && bytes; m = pkt_meta(m)->next) {
		size_t len = pkt_meta(m)->len < bytes ? pkt_meta(m)->len : bytes;

		iov[n++] = (struct iovec){(char *)m->buf_addr + pkt_meta(m)->off, len};
		bytes -= len;
	}
	/* not by libc's preadv2(), which is a cancellation point: the list would be lost */
	got = result_of(real_syscall(SYS_preadv2, t->in_fd, (long)iov, n, t->offset, 0, 0));
	if (got > 0 && t->offset >= 0)
		t->offset += got;
	return got;
}

/* sendfile's errno for an input that cannot be read at a position. */
static int input_error(int err)
{
	return err == -ESPIPE || err == -EISDIR ? -EINVAL : err;
}

static ssize_t tx_alloc(struct transfer *t, size_t bytes, struct rte_mbuf **list)
{
	ssize_t n;

	inst_lock(t->f->inst);
	n = sock_tx_alloc(t->f->so, bytes, list);
	inst_unlock(t->f->inst);
	return n;
}

static int tx_append(struct transfer *t, struct rte_mbuf *list, size_t bytes, bool more)
{
	int err;

	inst_lock(t->f->inst);
	err = sock_tx_append(t->f->so, list, bytes, more ? MSG_MORE : 0);
	inst_sent(t->f->inst, bytes);
	inst_unlock(t->f->inst);
	t->corked = more;
	return err;
}

ssize_t transfer_piece(struct transfer *t, size_t count)
{
	struct rte_mbuf *list;
	ssize_t room, got;
	int err;

	room = tx_alloc(t, count < CHUNK_BYTES ? count : CHUNK_BYTES, &list);
	if (room == -EAGAIN) {
		inst_poll(t->f->inst);
		room = tx_alloc(t, count < CHUNK_BYTES ? count : CHUNK_BYTES, &list);
	}
	if (room < 0)
		return room;
	got = fill(t, list, room);
	err = tx_append(t, list, got > 0 ? got : 0, t->more || (got == room && (size_t)got < count));
	if (got < 0)
		return input_error(got);
	return err ? err : got;
}

/* End of file came after a piece that promised more: what waits for it must leave. */
void transfer_uncork(struct transfer *t)
{
	struct iovec none = {NULL, 0};

	if (!t->corked)
		return;
	inst_lock(t->f->inst);
	sock_send(t->f->so, &none, 1, 0, NULL);
	inst_sent(t->f->inst, 0);
	inst_unlock(t->f->inst);
}

static ssize_t run(struct transfer *t, size_t count)
{
	time_ns deadline = 0;
	size_t sent = 0;
	int err;

	while (sent < count) {
		ssize_t n = transfer_piece(t, count - sent);

		if (n > 0) {
			sent += n;
			continue;
		}
		if (n == 0) {
			transfer_uncork(t);
			break;
		}
		err = n == -EAGAIN ? socket_block(t->f, t->fd, EPOLLOUT, t->f->so->sndtimeo_ns, 0, &deadline)
				   : (int)n;
		if (err)
			return sent ? (ssize_t)sent : err;
	}
	return sent;
}

/* The input must be a file with positions, open for reading. */
static int check_input(int in_fd, bool at_offset)
{
	int flags;

	if (lseek(in_fd, 0, SEEK_CUR) < 0)
		return at_offset ? -errno : input_error(-errno);
	flags = real_fcntl(in_fd, F_GETFL, 0);
	return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY ? 0 : -EBADF;
}

ssize_t socket_sendfile(int fd, struct file *f, int in_fd, off_t *offset, size_t count)
{
	struct transfer t = {.fd = fd, .in_fd = in_fd, .f = f, .offset = -1};
	ssize_t n;
	int err;

	if (offset && bad_pointer(offset))
		return -EFAULT;
	err = check_input(in_fd, offset);
	if (err)
		return err;
	if (offset && *offset < 0)
		return -EINVAL;
	if (f->so->kind != SOCK_KIND_TCP)
		return f->so->kind == SOCK_KIND_UDP ? -EINVAL : -EPIPE;
	if (offset)
		t.offset = *offset;
	n = run(&t, count < MAX_RW_BYTES ? count : MAX_RW_BYTES);
	if (offset && t.offset > *offset && n > 0)
		*offset = t.offset;
	if (n == -EPIPE)
		pthread_kill(pthread_self(), SIGPIPE);
	return n;
}
