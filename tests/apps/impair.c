/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * impair.c - a bad cable: forwards frames between two interfaces, losing, delaying and duplicating some
 *
 *     impair IF-A IF-B LOSS% REORDER% DUPLICATE% SEED
 *
 * For tests where the kernel has no netem. A frame chosen for reordering is held until a few others have
 * passed it, or some milliseconds have. The interfaces must have segmentation and checksum offload off at
 * their other ends, so that what arrives is whole frames. Prints what it did to how many when it gets
 * SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX    65600
#define HELD_MAX     8
#define OVERTAKEN_BY 4
#define HOLD_MS      3

struct held {
	size_t len;
	int passed; /* frames that have overtaken it */
	uint8_t data[FRAME_MAX];
};

struct direction {
	int from, to;
	unsigned n_held;
	struct held held[HELD_MAX];
};

static uint64_t rng;
static unsigned long forwarded, lost, reordered, duplicated;
static volatile sig_atomic_t stop;

static bool chance(double percent)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (double)(rng >> 11) / (double)(1ull << 53) * 100 < percent;
}

static int open_interface(const char *name)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), on = 1, size = 32 << 20;
	struct packet_mreq promisc = {.mr_type = PACKET_MR_PROMISC};

	a.sll_ifindex = promisc.mr_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !a.sll_ifindex || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc))) {
		fprintf(stderr, "impair: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

static void forward(struct direction *d, const uint8_t *data, size_t len)
{
	if (send(d->to, data, len, 0) == (ssize_t)len)
		forwarded++;
	else if (errno != ENOBUFS && errno != ENETDOWN)
		fprintf(stderr, "impair: frame of %zu bytes: %s\n", len, strerror(errno));
}

static void release(struct direction *d, bool all)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < d->n_held; i++) {
		struct held *h = &d->held[i];

		if (all || h->passed >= OVERTAKEN_BY)
			forward(d, h->data, h->len);
		else if (kept++ != i)
			memcpy(&d->held[kept - 1], h, sizeof(*h));
	}
	d->n_held = kept;
}

static void hold(struct direction *d, const uint8_t *data, size_t len)
{
	struct held *h = &d->held[d->n_held++];

	memcpy(h->data, data, len);
	h->len = len;
	h->passed = 0;
	reordered++;
}

static void carry(struct direction *d, double loss, double reorder, double duplicate)
{
	static uint8_t frame[FRAME_MAX];
	ssize_t len;

	for (int burst = 0; burst < 64 && (len = recv(d->from, frame, sizeof(frame), MSG_DONTWAIT)) > 0;
	     burst++) {
		if (chance(loss)) {
			lost++;
			continue;
		}
		if (d->n_held < HELD_MAX && chance(reorder)) {
			hold(d, frame, len);
			continue;
		}
		forward(d, frame, len);
		if (chance(duplicate)) {
			duplicated++;
			forward(d, frame, len);
		}
		for (unsigned i = 0; i < d->n_held; i++)
			d->held[i].passed++;
		release(d, false);
	}
}

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

int main(int argc, char **argv)
{
	static struct direction d[2];
	struct sigaction sa = {.sa_handler = on_term};
	struct pollfd p[2];

	if (argc != 7) {
		fprintf(stderr, "usage: impair IF-A IF-B LOSS%% REORDER%% DUPLICATE%% SEED\n");
		return 2;
	}
	sigaction(SIGTERM, &sa, NULL);
	d[0].from = d[1].to = open_interface(argv[1]);
	d[1].from = d[0].to = open_interface(argv[2]);
	rng = strtoull(argv[6], NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
	for (int i = 0; i < 2; i++)
		p[i] = (struct pollfd){.fd = d[i].from, .events = POLLIN};
	puts("ready");
	fflush(stdout);
	while (!stop) {
		int n = poll(p, 2, d[0].n_held || d[1].n_held ? HOLD_MS : 1000);

		for (int i = 0; i < 2; i++) {
			if (n == 0)
				release(&d[i], true);
			else if (n > 0 && p[i].revents)
				carry(&d[i], atof(argv[3]), atof(argv[4]), atof(argv[5]));
		}
	}
	printf("forwarded %lu lost %lu reordered %lu duplicated %lu\n", forwarded, lost, reordered,
	       duplicated);
	return 0;
}
