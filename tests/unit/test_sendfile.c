/* SPDX-License-Identifier: BSD-3-Clause */
/* test_sendfile.c - exact semantics of sendfile(2), over a socket that has as much room as the test says */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_stack.h"
#include "preload/socket_priv.h"
#include "stack/pkt.h"

#define SEG_BYTES 1000
#define FILE_SIZE 2500

struct segment {
	struct rte_mbuf m;
	struct pkt_meta meta;
	char data[SEG_BYTES];
};

static char sent[1 << 16], content[FILE_SIZE];
static size_t sent_len, room;
static bool flushed;

ssize_t sock_tx_alloc(struct sock *so, size_t bytes, struct rte_mbuf **list)
{
	ssize_t n = bytes < room ? bytes : room;
	struct rte_mbuf **tail = list;

	(void)so;
	for (ssize_t left = n; left > 0; left -= SEG_BYTES) {
		struct segment *s = calloc(1, sizeof(*s));

		s->m.buf_addr = s->data;
		s->m.priv_size = sizeof(s->meta);
		s->meta.len = left < SEG_BYTES ? left : SEG_BYTES;
		*tail = &s->m;
		tail = &pkt_meta(&s->m)->next;
	}
	return n ? n : -EAGAIN;
}

int sock_tx_append(struct sock *so, struct rte_mbuf *list, size_t bytes, int flags)
{
	(void)so;
	flushed = !(flags & MSG_MORE);
	room -= bytes;
	while (list) {
		struct rte_mbuf *next = pkt_meta(list)->next;
		size_t len = bytes < pkt_meta(list)->len ? bytes : pkt_meta(list)->len;

		memcpy(sent + sent_len, (char *)list->buf_addr + pkt_meta(list)->off, len);
		sent_len += len;
		bytes -= len;
		free(list);
		list = next;
	}
	return 0;
}

ssize_t sock_send(struct sock *so, const struct iovec *iov, int cnt, int flags, const struct endpoint *to)
{
	(void)so, (void)iov, (void)cnt, (void)to;
	flushed = !(flags & MSG_MORE);
	return 0;
}

ssize_t sock_recv(struct sock *so, const struct iovec *iov, int cnt, int flags, struct sock_recv_info *info)
{
	(void)so, (void)iov, (void)cnt, (void)flags, (void)info;
	return -EAGAIN;
}

int sock_inq(const struct sock *so)
{
	(void)so;
	return 0;
}

bool runtime_routes_to(const struct ip_addr *dst);
bool runtime_routes_to(const struct ip_addr *dst)
{
	(void)dst;
	return true;
}

static struct file *f;
static int fd, in_fd;

static void start(size_t socket_room)
{
	char path[] = "/tmp/test_sendfile.XXXXXX";

	fake_start(1, true);
	fd = fake_socket(0, FILE_STACK, &f);
	f->so->kind = SOCK_KIND_TCP;
	atomic_store(&f->flags, O_NONBLOCK);
	room = socket_room;
	sent_len = 0;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)(i * 13 + 5);
	in_fd = mkstemp(path);
	unlink(path);
	cr_assert_eq(write(in_fd, content, sizeof(content)), sizeof(content));
	lseek(in_fd, 0, SEEK_SET);
}

Test(sendfile, with_an_offset_the_position_stays)
{
	off_t off = 100;

	start(1 << 16);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, 2000), 2000);
	cr_assert_eq(off, 2100);
	cr_assert_eq(lseek(in_fd, 0, SEEK_CUR), 0);
	cr_assert_eq(memcmp(sent, content + 100, 2000), 0);
	cr_assert(flushed);
}

Test(sendfile, without_offset_the_position_moves)
{
	start(1 << 16);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, NULL, 1500), 1500);
	cr_assert_eq(lseek(in_fd, 0, SEEK_CUR), 1500);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, NULL, 1500), 1000);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, NULL, 1500), 0);
	cr_assert_eq(memcmp(sent, content, FILE_SIZE), 0);
}

Test(sendfile, short_at_end_of_file_and_nothing_left_corked)
{
	off_t off = 0;

	start(1 << 16);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, 1 << 20), FILE_SIZE);
	cr_assert_eq(off, FILE_SIZE);
	cr_assert(flushed);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, 10), 0);
	cr_assert_eq(off, FILE_SIZE);
}

Test(sendfile, full_send_buffer_gives_what_fitted)
{
	off_t off = 0;

	start(1234);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, FILE_SIZE), 1234);
	cr_assert_eq(off, 1234);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, FILE_SIZE), -EAGAIN);
	cr_assert_eq(off, 1234);
	room = FILE_SIZE;
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, FILE_SIZE), FILE_SIZE - 1234);
	cr_assert_eq(memcmp(sent, content, FILE_SIZE), 0);
}

Test(sendfile, file_truncated_meanwhile)
{
	off_t off = 500;

	start(1 << 16);
	cr_assert_eq(ftruncate(in_fd, 600), 0);
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, 2000), 100);
	cr_assert_eq(off, 600);
}

Test(sendfile, input_that_has_no_positions)
{
	off_t off = 0;
	int p[2];

	start(1 << 16);
	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(socket_sendfile(fd, f, p[0], NULL, 10), -EINVAL);
	cr_assert_eq(socket_sendfile(fd, f, p[0], &off, 10), -ESPIPE);
	cr_assert_eq(socket_sendfile(fd, f, -1, NULL, 10), -EBADF);
	off = -1;
	cr_assert_eq(socket_sendfile(fd, f, in_fd, &off, 10), -EINVAL);
	cr_assert_eq(sent_len, 0);
}
