/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_exec.c - connections that a new program image or another process gets: exec, spawn, popen, SCM_RIGHTS
 *
 * The images are cat(1), sh(1) and this program itself with --image, which runs under the same library.
 */
#include <spawn.h>
#include <sys/stat.h>

#include "diff.h"

extern char **environ;

static void reap(pid_t pid)
{
	int status;

	NEED(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		say("child killed by signal %d", WTERMSIG(status));
	else
		say("child exit %d", WEXITSTATUS(status));
}

/* A child with the connection for its stdin and stdout, as inetd(8) makes it, runs argv. */
static pid_t inetd(int fd, const char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		if (fd > 1)
			close(fd);
		execvp(argv[0], (char *const *)argv);
		_exit(99);
	}
	return pid;
}

#define INETD(fd, ...) inetd(fd, (const char *const[]){__VA_ARGS__, NULL})

CASE(exec, cat_echoes)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = INETD(fd, "cat");

	close(fd);
	peer_send(p, "hello", 5);
	say("peer got %s", peer_recv(p, 5));
	peer_send(p, "again", 5);
	say("peer got %s", peer_recv(p, 5));
	peer_shutdown(p, SHUT_WR);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, cat_echoes_on_an_outgoing_connection)
{
	int p, fd = tcp_pair_active(&p);
	pid_t pid = INETD(fd, "cat");

	close(fd);
	peer_send(p, "hello", 5);
	say("peer got %s", peer_recv(p, 5));
	peer_close(p);
	reap(pid);
}

CASE(exec, data_that_came_before)
{
	int p, fd = tcp_pair(&p);
	pid_t pid;

	peer_send(p, "early", 5);
	until_queued(fd, 5);
	pid = INETD(fd, "cat");
	close(fd);
	say("peer got %s", peer_recv(p, 5));
	peer_shutdown(p, SHUT_WR);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, without_fork)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	/* The parent only reports; it has nothing of the connection. */
	if (pid == 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		close(fd);
		execl("/bin/sh", "sh", "-c", "read line; echo got $line; exit 3", NULL);
		_exit(99);
	}
	close(fd);
	peer_send(p, "word\n", 5);
	say("peer got %s", peer_recv(p, 8));
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, large_answer)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = INETD(fd, "head", "-c", "6000000", "/dev/zero");
	size_t got = 0;

	close(fd);
	while (got < 6000000) {
		peer_recv(p, 2000);
		got += 2000;
	}
	say("peer got %zu", got);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, large_both_ways)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = INETD(fd, "cat");

	close(fd);
	for (int i = 0; i < 40; i++) {
		peer_send_pattern(p, 50000, 5 + i);
		peer_recv_pattern(p, 50000, 5 + i);
	}
	peer_shutdown(p, SHUT_WR);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, image_ends_at_once)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = INETD(fd, "true");

	close(fd);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, image_does_not_use_the_connection)
{
	int p, fd = tcp_pair(&p);
	char buf[8] = "";

	R(system("exit 5") >> 8);
	peer_send(p, "parent", 6);
	until_queued(fd, 6);
	R(system("true"));
	R(recv(fd, buf, 8, 0));
	say("%s", buf);
	R(send(fd, "still", 5, 0));
	say("peer got %s", peer_recv(p, 5));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(exec, close_on_exec)
{
	int p, fd = tcp_pair(&p), status;
	char cmd[64];

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	snprintf(cmd, sizeof(cmd), "test -e /proc/self/fd/%d", fd);
	status = system(cmd);
	say("close-on-exec: there %d", WEXITSTATUS(status));
	fcntl(fd, F_SETFD, 0);
	status = system(cmd);
	say("without: there %d", WEXITSTATUS(status));
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
}

CASE(exec, popen_writes_to_the_connection)
{
	int p, fd = tcp_pair(&p);
	char cmd[64], line[32] = "";
	FILE *f;

	snprintf(cmd, sizeof(cmd), "echo one >&%d; echo two", fd);
	f = popen(cmd, "r");
	NEED(f);
	NEED(fgets(line, sizeof(line), f));
	say("popen said %s", strtok(line, "\n"));
	R(pclose(f));
	say("peer got %s", strtok((char *)peer_recv(p, 4), "\n"));
	R(send(fd, "three", 5, 0));
	say("peer got %s", peer_recv(p, 5));
}

CASE(exec, that_fails_costs_nothing)
{
	int p, fd = tcp_pair(&p);
	char *argv[] = {"no", NULL}, buf[8] = "";
	pid_t pid;

	R(execv("/nonexistent/program", argv));
	R(execvp("no-such-program-anywhere", argv));
	R(execv("/etc/hostname", argv));
	R(execve("/etc", argv, environ));
	R(posix_spawn(&pid, "/nonexistent/program", NULL, NULL, argv, environ));
	peer_send(p, "ping", 4);
	until_queued(fd, 4);
	R(recv(fd, buf, 8, 0));
	R(send(fd, "pong", 4, 0));
	say("peer got %s", peer_recv(p, 4));
	R(close(fd));
	peer_say_recv(p, 1);
}

/* An executable that the kernel refuses only when it loads it. */
CASE(exec, that_fails_late)
{
	char path[] = "/tmp/shunt-exec-XXXXXX", *argv[] = {"no", NULL}, buf[8] = "";
	int p, fd = tcp_pair(&p), file = mkstemp(path);

	NEED(file >= 0 && write(file, "\177ELF no", 7) == 7 && !fchmod(file, 0755));
	close(file);
	peer_send(p, "ping", 4);
	until_queued(fd, 4);
	R(execv(path, argv));
	unlink(path);
	R(recv(fd, buf, 8, 0));
	R(send(fd, "pong", 4, 0));
	say("peer got %s", peer_recv(p, 4));
	R(shutdown(fd, SHUT_WR));
	peer_say_recv(p, 1);
}

CASE(exec, spawn_with_dup2)
{
	int p, fd = tcp_pair(&p);
	char *argv[] = {"cat", NULL};
	posix_spawn_file_actions_t fa;
	pid_t pid;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd, 0);
	posix_spawn_file_actions_adddup2(&fa, fd, 1);
	R(posix_spawnp(&pid, "cat", &fa, NULL, argv, environ));
	posix_spawn_file_actions_destroy(&fa);
	close(fd);
	peer_send(p, "hello", 5);
	say("peer got %s", peer_recv(p, 5));
	peer_shutdown(p, SHUT_WR);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, vfork_and_dup2)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(fd, 0);
		dup2(0, 1);
		close(fd);
		execlp("cat", "cat", NULL);
		_exit(99);
	}
	close(fd);
	peer_send(p, "hello", 5);
	say("peer got %s", peer_recv(p, 5));
	peer_shutdown(p, SHUT_WR);
	peer_say_recv(p, 1);
	reap(pid);
}

/* The shell keeps the connection and hands it to one command after the other. */
CASE(exec, shell_hands_it_on)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = INETD(fd, "sh", "-c", "head -c 3; echo; head -c 3 /dev/zero | tr '\\0' x; cat");

	close(fd);
	peer_send(p, "abc", 3);
	say("peer got %s", strtok((char *)peer_recv(p, 7), "\n"));
	peer_send(p, "rest", 4);
	say("peer got %s", peer_recv(p, 4));
	peer_shutdown(p, SHUT_WR);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(exec, names_in_the_image)
{
	int p, fd = tcp_pair(&p);
	char port[16];
	pid_t pid = fork();

	snprintf(port, sizeof(port), "%d", PORT(0));
	if (pid == 0) {
		dup2(fd, 0);
		close(fd);
		execl("/proc/self/exe", "diff_cases", "--image", port, NULL);
		_exit(99);
	}
	close(fd);
	reap(pid);
	peer_say_recv(p, 1);
}

CASE(exec, wait_sees_only_own_children)
{
	int p, fd = tcp_pair(&p), status;
	pid_t pid = INETD(fd, "cat");

	close(fd);
	peer_close(p);
	NEED(wait(&status) == pid);
	say("child exit %d", WEXITSTATUS(status));
	R(wait(&status));
}

static void send_fd(int via, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {0};
	struct iovec iov = {"x", 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	R(sendmsg(via, &m, 0));
}

static int recv_fd(int via)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char x;
	struct iovec iov = {&x, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u.buf)};
	int fd = -1;

	NEED(recvmsg(via, &m, 0) == 1 && CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

CASE(rights, to_a_child)
{
	int p, via[2], fd;
	pid_t pid;

	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, via));
	pid = fork();
	if (pid == 0) {
		char buf[8];
		int got = recv_fd(via[1]);

		NEED(recv(got, buf, 4, MSG_WAITALL) == 4);
		NEED(send(got, buf, 4, 0) == 4);
		NEED(recv(got, buf, 4, 0) == 0);
		_exit(0);
	}
	fd = tcp_pair(&p);
	send_fd(via[0], fd);
	close(fd);
	peer_send(p, "ping", 4);
	say("peer got %s", peer_recv(p, 4));
	peer_shutdown(p, SHUT_WR);
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(rights, from_a_child)
{
	int p, via[2], fd, l;
	char buf[8] = "";
	pid_t pid;

	NEED(!socketpair(AF_UNIX, SOCK_DGRAM, 0, via));
	l = tcp_listener(PORT(0), 1);
	p = peer_connect(PORT(0));
	pid = fork();
	if (pid == 0) {
		int c = accept(l, NULL, NULL);

		send_fd(via[1], c);
		exit(0);
	}
	fd = recv_fd(via[0]);
	reap(pid);
	show_names("received", fd);
	R(set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	peer_send(p, "ping", 4);
	R(recv(fd, buf, 4, MSG_WAITALL));
	R(send(fd, buf, 4, 0));
	say("peer got %s", peer_recv(p, 4));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(rights, refused_message_keeps_the_connection)
{
	int p, fd = tcp_pair(&p), via[2];
	char buf[8] = "";

	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, via));
	close(via[1]);
	signal(SIGPIPE, SIG_IGN);
	send_fd(via[0], fd);
	peer_send(p, "ping", 4);
	until_queued(fd, 4);
	R(recv(fd, buf, 8, 0));
	R(send(fd, "pong", 4, 0));
	say("peer got %s", peer_recv(p, 4));
}

CASE(rights, lost_in_the_queue)
{
	int p, fd = tcp_pair(&p), via[2];

	NEED(!socketpair(AF_UNIX, SOCK_STREAM, 0, via));
	send_fd(via[0], fd);
	close(fd);
	close(via[0]);
	close(via[1]);
	peer_say_recv(p, 1);
}

/* diff_cases --image BASE_PORT: what an image sees of the connection under its stdin. */
void exec_image(void)
{
	show_names("image", 0);
	R(set_int(0, IPPROTO_TCP, TCP_NODELAY, 1));
	R(shutdown(0, SHUT_WR));
}
