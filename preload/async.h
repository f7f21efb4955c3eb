/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * async.h - SIGIO and SIGURG for sockets of ours (O_ASYNC, F_SETOWN, F_SETSIG in fcntl(2); socket(7),
 * "Signals")
 *
 * The kernel's socket under the number keeps the owner and checks who may set it; what a signal needs is
 * mirrored in the file, so that whichever process drives, a helper thread too, can send it.
 */
#ifndef PRELOAD_ASYNC_H
#define PRELOAD_ASYNC_H

#include <stdint.h>

struct file;

/* Owner, signal and O_ASYNC were set through `fd` (or before it became ours): copies them. */
void async_mirror(struct file *f, int fd);

/*
 * The stack woke `f` for these EPOLL* bits. Takes note of the signals that follow from it; async_send() sends
 * them, when no lock is held any more. Only for files with an owner.
 */
void async_woken(const struct file *f, uint32_t bits);
void async_send(void);

extern __thread unsigned async_noted __attribute__((tls_model("initial-exec")));

#endif
