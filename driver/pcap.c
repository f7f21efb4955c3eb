/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcap.c - writes every frame of the port to a pcapng file
 *
 * rxtx.c calls in with the frames of a burst when a capture runs: received ones after the PMD gave them, sent
 * ones before it gets them, so with checksums and TSO still to be done by the device. One writev() per frame
 * to a descriptor opened for appending: members of the family that were forked after the start write to the
 * same file, and blocks never mix. A file that cannot be written any more ends the capture.
 *
 * Format: draft-ietf-opsawg-pcapng; section header, one interface with nanoseconds, enhanced packet blocks.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <rte_mbuf.h>

#include "driver/driver_priv.h"

#define BLOCK_SECTION   0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET    6u
#define OPTION_TSRESOL  9
#define OPTION_FLAGS    2
#define LINKTYPE_ETHER  1
#define SEGS_MAX        64 /* of one frame; the rest of a longer chain is cut off, its length is told */

struct file_head {
	uint32_t type, len, magic;
	uint16_t major, minor;
	int64_t section_len;
	uint32_t len_again;

	uint32_t if_type, if_len;
	uint16_t link, reserved;
	uint32_t snap_len;
	uint16_t res_code, res_len;
	uint8_t res[4];
	uint32_t end_of_options, if_len_again;
} __attribute__((packed));

struct packet_head {
	uint32_t type, len, interface, ts_high, ts_low, captured, original;
};

struct packet_tail {
	uint16_t flags_code, flags_len;
	uint32_t flags, end_of_options, len;
};

static int write_file_head(int fd)
{
	const struct file_head h = {
		.type = BLOCK_SECTION,
		.len = offsetof(struct file_head, if_type),
		.magic = 0x1a2b3c4d,
		.major = 1,
		.section_len = -1,
		.len_again = offsetof(struct file_head, if_type),
		.if_type = BLOCK_INTERFACE,
		.if_len = sizeof(h) - offsetof(struct file_head, if_type),
		.link = LINKTYPE_ETHER,
		.res_code = OPTION_TSRESOL,
		.res_len = 1,
		.res = {9},
		.if_len_again = sizeof(h) - offsetof(struct file_head, if_type),
	};
	ssize_t n = write(fd, &h, sizeof(h));
	return n == (ssize_t)sizeof(h) ? 0 : n < 0 ? -errno : -ENOSPC;
}

int driver_capture_start(struct driver_port *port, const char *path)
{
	if (port->capture_fd >= 0)
		return -EALREADY;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FILL_UPTO); /* the low numbers are the program's */
	if (high >= 0) {
		close(fd);
		fd = high;
	}
	int ret = write_file_head(fd);
	if (ret != 0) {
		close(fd);
		return ret;
	}
	sleep_own_fd(fd, true);
	port->capture_fd = fd;
	return 0;
}

void driver_capture_stop(struct driver_port *port)
{
	int fd = port->capture_fd;
	if (fd < 0)
		return;
	port->capture_fd = -1;
	sleep_own_fd(fd, false);
	close(fd);
}

/* The frame's bytes as iovecs from iov[1] on; returns how many were used. */
static unsigned gather(const struct rte_mbuf *m, struct iovec *iov, uint32_t *captured)
{
	unsigned n = 0;
	*captured = 0;
	for (; m != NULL && n < SEGS_MAX; m = m->next) {
		iov[1 + n++] = (struct iovec){rte_pktmbuf_mtod(m, void *), m->data_len};
		*captured += m->data_len;
	}
	return n;
}

static bool write_frame(int fd, const struct rte_mbuf *m, bool sent, uint64_t ts)
{
	static const uint8_t zero[4];
	struct iovec iov[SEGS_MAX + 3];
	uint32_t captured;
	unsigned n = gather(m, iov, &captured);
	uint32_t pad = -captured & 3;
	uint32_t len = (uint32_t)(sizeof(struct packet_head) + captured + pad + sizeof(struct packet_tail));
	struct packet_head head = {.type = BLOCK_PACKET,
				   .len = len,
				   .ts_high = (uint32_t)(ts >> 32),
				   .ts_low = (uint32_t)ts,
				   .captured = captured,
				   .original = m->pkt_len};
	struct packet_tail tail = {
		.flags_code = OPTION_FLAGS, .flags_len = 4, .flags = sent ? 2 : 1, .len = len};

	iov[0] = (struct iovec){&head, sizeof(head)};
	iov[n + 1] = (struct iovec){(void *)(uintptr_t)zero, pad};
	iov[n + 2] = (struct iovec){&tail, sizeof(tail)};
	return writev(fd, iov, (int)n + 3) == (ssize_t)len;
}

void capture_frames(struct driver_port *port, struct rte_mbuf **pkts, uint16_t n, bool sent)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ts = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;

	for (uint16_t i = 0; i < n && port->capture_fd >= 0; i++)
		if (!write_frame(port->capture_fd, pkts[i], sent, ts))
			driver_capture_stop(port);
}
