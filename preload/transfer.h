/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer.h - what sendfile.c and splice.c share: bytes of a descriptor read straight into segment buffers
 */
#ifndef PRELOAD_TRANSFER_H
#define PRELOAD_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct file;

struct transfer {
	int fd, in_fd;
	struct file *f; /* the TCP socket behind fd */
	off_t offset;   /* -1: in_fd's own position, or a pipe */
	bool more;      /* the caller has more behind the bytes of this piece: MSG_MORE */
	bool corked;    /* the last piece was queued with MSG_MORE */
};

/*
 * Sends at most `count` bytes, as many as there is room for now; no lock held. Returns the count, 0 at the
 * end of in_fd, -EAGAIN when there is no room, or another -errno.
 */
ssize_t transfer_piece(struct transfer *t, size_t count);

/* What a last piece with MSG_MORE left waiting leaves. */
void transfer_uncork(struct transfer *t);

#endif
