/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * telemetry_sock.c - the commands about sockets
 *
 *     /shunt/sockets[,CURSOR]   one entry per socket: state, addresses, queues, who serves it and why
 *     /shunt/fds,PID[,FROM]     the same for the descriptors of one process of the family
 *     /shunt/dump[,CURSOR]      everything about the sockets, as text
 *
 * An answer holds a part; "next" in it is the CURSOR (or FROM) of the following part, 0 at the end. The lock
 * is given up between them, so what comes and goes meanwhile may be missing or be there twice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_telemetry.h>

#include "config.h"
#include "reason.h"
#include "stack/dump.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "telemetry.h"

#define LOOK_MS       200
#define ROWS_MAX      40
#define FDS_LOOKED_AT 65536
#define DUMP_LINE     1024
#define DUMP_BYTES    (RTE_TEL_MAX_SINGLE_STRING_LEN - 2 * DUMP_LINE)

typedef struct rte_tel_data tel;

/* What is copied under the lock. */
struct row {
	struct stack_sock_row s;
	int mode; /* enum file_mode; FILE_FREE: no program owns it */
	int fd;
	bool orphan;
};

static void fill(struct row *r, const struct sock *so, int fd)
{
	stack_sock_row(so, &r->s);
	r->mode = so->user ? (int)file_mode(so->user) : FILE_FREE;
	r->orphan = so->orphan;
	r->fd = fd;
}

static const char *why(const struct row *r, char *buf, size_t len)
{
	const struct config *cfg = config_get();

	if (r->mode == FILE_FREE)
		return r->orphan ? "closed by the program, or not accepted yet" : "not in a descriptor yet";
	if (r->mode == FILE_DUAL && ip_addr_is_v4(&r->s.local.addr))
		return "loopback: the stack carries what this program sends itself, the kernel the rest";
	if (r->mode == FILE_DUAL)
		return "bound to every address: the kernel serves its own interfaces, the stack its link";
	if (ip_addr_is_v4(&r->s.peer.addr))
		return reason_of_addr(cfg, ip_addr_to_v4(&r->s.peer.addr), buf, len);
	if (ip_addr_is_v4(&r->s.local.addr))
		return reason_of_addr(cfg, ip_addr_to_v4(&r->s.local.addr), buf, len);
	return "a socket of the stack";
}

static void put_row(tel *d, const char *name, const struct row *r)
{
	char text[DUMP_ENDPOINT_LEN], reason[RTE_TEL_MAX_STRING_LEN];
	tel *in = rte_tel_data_alloc();

	if (!in)
		return;
	rte_tel_data_start_dict(in);
	if (r->fd >= 0)
		rte_tel_data_add_dict_int(in, "fd", r->fd);
	rte_tel_data_add_dict_string(in, "proto", r->s.proto);
	rte_tel_data_add_dict_string(in, "state", r->s.state);
	rte_tel_data_add_dict_string(in, "local", dump_endpoint(&r->s.local, text));
	rte_tel_data_add_dict_string(in, "peer", dump_endpoint(&r->s.peer, text));
	rte_tel_data_add_dict_u64(in, "recv_q", r->s.recv_q);
	rte_tel_data_add_dict_u64(in, "send_q", r->s.send_q);
	rte_tel_data_add_dict_string(in, "owner", r->mode == FILE_DUAL ? "both" : "stack");
	rte_tel_data_add_dict_string(in, "why", why(r, reason, sizeof(reason)));
	if (rte_tel_data_add_dict_container(d, name, in, 0) != 0)
		rte_tel_data_free(in);
}

static uint64_t first_number(const char *params)
{
	return params ? strtoull(params, NULL, 10) : 0;
}

/* A cursor over all instances: the instance's number above its stack's cursor. */
static struct inst *instance_at(uint64_t cursor)
{
	return cursor >> 32 < inst_count() ? inst_get((unsigned)(cursor >> 32)) : NULL;
}

static uint64_t advance(uint64_t cursor, uint32_t in_stack)
{
	if (in_stack != STACK_ROWS_END)
		return (cursor >> 32) << 32 | in_stack;
	return (cursor >> 32) + 1 < inst_count() ? ((cursor >> 32) + 1) << 32 : 0;
}

static int sockets(const char *cmd, const char *params, tel *d)
{
	uint64_t cursor = first_number(params);
	struct inst *in = instance_at(cursor);
	const struct sock *socks[ROWS_MAX];
	uint32_t at = (uint32_t)cursor;
	struct row rows[ROWS_MAX];
	unsigned n = 0;
	char name[32];

	(void)cmd;
	if (!in)
		return -1;
	rte_tel_data_start_dict(d);
	if (inst_look_begin(in, LOOK_MS)) {
		n = stack_sock_rows(in->stack, &at, socks, ROWS_MAX);
		for (unsigned i = 0; i < n; i++)
			fill(&rows[i], socks[i], -1);
		inst_look_end(in);
	} else {
		at = STACK_ROWS_END;
		rte_tel_data_add_dict_int(d, "busy", in->index);
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%" PRIu64 "/%u", cursor, i);
		put_row(d, name, &rows[i]);
	}
	rte_tel_data_add_dict_u64(d, "next", advance(cursor, at));
	return 0;
}

/*
 * A file of another process may be closed at any moment. Under the instance's lock, a socket that still names
 * it is the one it has: file_end() takes the name away under the same lock, before the socket is freed.
 */
static bool row_of_file(struct file *f, struct inst *in, int fd, struct row *r)
{
	const struct sock *so = f->so;

	if (f->inst != in || !so || so->stack != in->stack || so->user != f)
		return false;
	fill(r, so, fd);
	return true;
}

/* Rows of the descriptors from *fd on that belong to one instance's sockets. */
static unsigned rows_of_table(unsigned member, int *fd, int max_fd, struct row *rows)
{
	unsigned n = 0;
	int end = max_fd - *fd > FDS_LOOKED_AT ? *fd + FDS_LOOKED_AT : max_fd;

	for (; *fd <= end && n < ROWS_MAX; ++*fd) {
		struct file *f = file_table_peek(member, *fd);
		struct inst *in = f ? f->inst : NULL;

		if (!in || !inst_look_begin(in, LOOK_MS))
			continue;
		n += row_of_file(f, in, *fd, &rows[n]);
		inst_look_end(in);
	}
	return n;
}

static int member_of(int pid)
{
	for (unsigned i = 0; i < domain->n_members_max; i++)
		if (atomic_load(&domain->members[i].pid) == pid)
			return (int)i;
	return -1;
}

static int fds(const char *cmd, const char *params, tel *d)
{
	const char *comma = params ? strchr(params, ',') : NULL;
	int pid = (int)first_number(params), fd = comma ? (int)first_number(comma + 1) : 0;
	int member = pid > 0 ? member_of(pid) : -1, max_fd;
	struct row rows[ROWS_MAX];
	unsigned n;
	char name[32];

	(void)cmd;
	if (member < 0 || fd < 0)
		return -1;
	max_fd = atomic_load(&domain->members[member].max_fd);
	n = rows_of_table((unsigned)member, &fd, max_fd, rows);
	rte_tel_data_start_dict(d);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d", rows[i].fd);
		put_row(d, name, &rows[i]);
	}
	rte_tel_data_add_dict_u64(d, "next", fd <= max_fd ? (uint64_t)fd : 0);
	return 0;
}

static int dump(const char *cmd, const char *params, tel *d)
{
	uint64_t cursor = first_number(params);
	struct inst *in = instance_at(cursor);
	char text[RTE_TEL_MAX_SINGLE_STRING_LEN], whole[RTE_TEL_MAX_SINGLE_STRING_LEN];
	uint32_t at_row = (uint32_t)cursor;
	const struct sock *so;
	size_t at = 0;

	(void)cmd;
	if (!in)
		return -1;
	if (!inst_look_begin(in, LOOK_MS)) {
		at_row = STACK_ROWS_END;
		at = dump_printf(text, sizeof(text), 0, "an instance is busy and left out\n");
	} else {
		while (at_row != STACK_ROWS_END && at < DUMP_BYTES)
			if (stack_sock_rows(in->stack, &at_row, &so, 1) == 1) {
				at += stack_dump_sock(so, text + at, DUMP_LINE);
			} else {
				break;
			}
		inst_look_end(in);
	}
	text[at] = '\0';
	snprintf(whole, sizeof(whole), "next %" PRIu64 "\n%.*s", advance(cursor, at_row),
		 DUMP_BYTES + DUMP_LINE, text);
	rte_tel_data_string(d, whole);
	return 0;
}

void telemetry_sock_commands(void)
{
	rte_telemetry_register_cmd("/shunt/sockets", sockets,
				   "Sockets of the stack. Parameters: \"next\" of the answer before");
	rte_telemetry_register_cmd(
		"/shunt/fds", fds,
		"Descriptors of a process. Parameters: PID, \"next\" of the answer before");
	rte_telemetry_register_cmd("/shunt/dump", dump,
				   "Sockets in full, as text. Parameters: next of the answer before");
}
