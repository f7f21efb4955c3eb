/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher_why.c - shunt why PID: the sockets of a process, who serves each, and why
 *
 * Those of the stack are told by the process's family (/shunt/fds). The kernel's are found where ss(8) finds
 * them; that nobody had a reason to take them is seen from their addresses.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_value.h"
#include "launcher_ask.h"
#include "launcher_json.h"
#include "reason.h"

#define ROW_FORMAT "%5s %-5s %-11s %-22s %-22s %-6s %s\n"
#define FDS_MAX    65536

struct fields {
	char fd[16], proto[8], state[16], local[64], peer[64], owner[8], why[160];
};

static bool ours[FDS_MAX]; /* told by the family already */

static void print_row(const struct fields *f)
{
	printf(ROW_FORMAT, f->fd, f->proto, f->state, f->local, f->peer, f->owner, f->why);
}

/* "/shunt/fds.7.state": "why" is the last field of a row. */
static void row_field(void *arg, const char *path, const char *value)
{
	struct fields *f = arg;
	const char *name = strrchr(path, '.');
	static const struct {
		const char *name;
		size_t at, len;
	} places[] = {
		{".fd", offsetof(struct fields, fd), sizeof(f->fd)},
		{".proto", offsetof(struct fields, proto), sizeof(f->proto)},
		{".state", offsetof(struct fields, state), sizeof(f->state)},
		{".local", offsetof(struct fields, local), sizeof(f->local)},
		{".peer", offsetof(struct fields, peer), sizeof(f->peer)},
		{".owner", offsetof(struct fields, owner), sizeof(f->owner)},
		{".why", offsetof(struct fields, why), sizeof(f->why)},
	};

	for (size_t i = 0; name && i < sizeof(places) / sizeof(places[0]); i++)
		if (!strcmp(name, places[i].name))
			snprintf((char *)f + places[i].at, places[i].len, "%s", value);
	if (!name || strcmp(name, ".why"))
		return;
	if (atoi(f->fd) < FDS_MAX)
		ours[atoi(f->fd)] = true;
	print_row(f);
}

static void add_config(void *arg, const char *path, const char *value)
{
	struct config *cfg = arg;
	char err[4 * CONFIG_TEXT_MAX];

	if (!strncmp(path, "/shunt/info.addresses.", strlen("/shunt/info.addresses.")))
		config_set(cfg, CONFIG_ARG, "addr", value, err, sizeof(err));
	else if (!strcmp(path, "/shunt/info.gw") && *value)
		config_set(cfg, CONFIG_ARG, "gw", value, err, sizeof(err));
}

/* A socket of the kernel, as /proc/net shows it. */
struct kernel_sock {
	uint64_t inode;
	unsigned state, local_port, peer_port;
	uint32_t local_be, peer_be;
	bool v4;
};

/* "0200A8C0:1F90", or 32 digits for IPv6: words in the byte order of the machine. */
static bool read_addr(const char *text, uint32_t *addr_be, unsigned *port, bool *v4)
{
	const char *colon = strchr(text, ':');
	uint32_t w[4] = {0};
	size_t words = colon ? (size_t)(colon - text) / 8 : 0;

	if ((words != 1 && words != 4) || sscanf(colon + 1, "%x", port) != 1)
		return false;
	for (size_t i = 0; i < words; i++)
		if (sscanf(text + 8 * i, "%8" SCNx32, &w[i]) != 1)
			return false;
	*addr_be = w[words - 1];
	*v4 = words == 1 || (!w[0] && !w[1] && (!w[3] || w[2] == htonl(0xffff)));
	return true;
}

static bool read_line(const char *line, struct kernel_sock *s)
{
	char local[64], peer[64];
	bool v4;

	return sscanf(line, " %*u: %63s %63s %x %*s %*s %*s %*s %*s %" SCNu64, local, peer, &s->state,
		      &s->inode) == 4 &&
	       read_addr(local, &s->local_be, &s->local_port, &s->v4) &&
	       read_addr(peer, &s->peer_be, &s->peer_port, &v4);
}

static const char *state_name(const char *proto, unsigned state)
{
	static const char *const names[] = {"?",          "ESTAB",      "SYN-SENT",  "SYN-RECV",
					    "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN",
					    "CLOSE-WAIT", "LAST-ACK",   "LISTEN",    "CLOSING"};

	(void)proto;
	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static void endpoint_text(const struct kernel_sock *s, uint32_t addr_be, unsigned port, char *buf, size_t len)
{
	char addr[INET_ADDRSTRLEN] = "*";

	if (!s->v4)
		snprintf(addr, sizeof(addr), "[IPv6]");
	else if (addr_be)
		inet_ntop(AF_INET, &addr_be, addr, sizeof(addr));
	snprintf(buf, len, "%s:%u", addr, port);
}

static void kernel_why(const struct config *cfg, const struct kernel_sock *s, char *buf, size_t len)
{
	uint32_t addr_be = s->peer_be ? s->peer_be : s->local_be;

	if (!s->v4)
		snprintf(buf, len, "IPv6 is the kernel's");
	else if (!addr_be)
		snprintf(buf, len, "%s",
			 s->local_port ? "bound before the stack ran, or the stack refused"
				       : "neither bound nor connected yet");
	else
		reason_of_addr(cfg, addr_be, buf, len);
}

static void print_kernel(const struct config *cfg, const char *proto, const char *fd,
			 const struct kernel_sock *s)
{
	struct fields f = {.owner = "kernel"};

	snprintf(f.fd, sizeof(f.fd), "%.15s", fd);
	snprintf(f.proto, sizeof(f.proto), "%s", proto);
	snprintf(f.state, sizeof(f.state), "%s", state_name(proto, s->state));
	endpoint_text(s, s->local_be, s->local_port, f.local, sizeof(f.local));
	endpoint_text(s, s->peer_be, s->peer_port, f.peer, sizeof(f.peer));
	kernel_why(cfg, s, f.why, sizeof(f.why));
	print_row(&f);
}

/* The line of one of /proc/PID/net's tables that has this inode. */
static bool find_kernel(int pid, const char *table, uint64_t inode, struct kernel_sock *s)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, table);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = read_line(line, s) && s->inode == inode;
	if (f)
		fclose(f);
	return found;
}

static void kernel_socket(const struct config *cfg, int pid, const char *fd, uint64_t inode)
{
	static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6"};
	struct kernel_sock s;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (find_kernel(pid, tables[i], inode, &s)) {
			char proto[4];

			snprintf(proto, sizeof(proto), "%.3s", tables[i]);
			print_kernel(cfg, proto, fd, &s);
			return;
		}
}

static void kernel_sockets(const struct config *cfg, int pid)
{
	char path[64], link[64];
	struct dirent *e;
	uint64_t inode;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	fds = opendir(path);
	while (fds && (e = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), e->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		if (sscanf(link, "socket:[%" SCNu64, &inode) == 1 &&
		    (atoi(e->d_name) >= FDS_MAX || !ours[atoi(e->d_name)]))
			kernel_socket(cfg, pid, e->d_name, inode);
	}
	if (fds)
		closedir(fds);
}

static void print_fds(void *arg, char *answer)
{
	json_walk(answer, row_field, arg);
}

bool launcher_why(struct telemetry *t, char *answer)
{
	struct fields f = {.fd = ""};
	struct config cfg;
	char command[64];

	config_init(&cfg);
	if (!telemetry_ask(t, "/shunt/info", answer, TELEMETRY_ANSWER_MAX))
		return false;
	json_walk(answer, add_config, &cfg);
	printf(ROW_FORMAT, "FD", "PROTO", "STATE", "LOCAL", "PEER", "OWNER", "WHY");
	snprintf(command, sizeof(command), "/shunt/fds,%d", t->pid);
	if (!telemetry_ask_all(t, command, answer, print_fds, &f))
		return false;
	kernel_sockets(&cfg, t->pid);
	return true;
}
