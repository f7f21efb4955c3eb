/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_fork.c - connections and listeners across fork and exec
 */
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "diff.h"

static void reap(pid_t pid)
{
	int status;

	NEED(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		say("child killed by signal %d", WTERMSIG(status));
	else
		say("child exit %d", WEXITSTATUS(status));
}

/* The library must do nothing while it is loaded that a service's seccomp filter (systemd's @raw-io) kills
 * for. */
CASE(fork, exec_where_port_access_kills)
{
	struct sock_filter ops[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_iopl, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioperm, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(ops) / sizeof(ops[0]), ops};
	pid_t pid = fork();

	if (pid == 0) {
		NEED(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		NEED(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	reap(pid);
}

CASE(fork, child_closes_its_copy)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	reap(pid);
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
	peer_send(p, "too", 3);
	until_queued(fd, 3);
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(close(fd));
	peer_say_recv(p, 1);
}

CASE(fork, child_exits_without_closing)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	if (pid == 0)
		exit(0);
	reap(pid);
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
}

CASE(fork, child_serves_parent_closes)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	if (pid == 0) {
		char buf[8];

		NEED(recv(fd, buf, 4, MSG_WAITALL) == 4);
		NEED(send(fd, "pong", 4, 0) == 4);
		_exit(0);
	}
	close(fd);
	peer_send(p, "ping", 4);
	say("peer got %s", peer_recv(p, 4));
	peer_say_recv(p, 1);
	reap(pid);
}

CASE(fork, child_serves_large_answer)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	if (pid == 0) {
		send_pattern(fd, 4 << 20, 31);
		_exit(0);
	}
	close(fd);
	peer_recv_pattern(p, SIZE_MAX, 31);
	reap(pid);
}

CASE(fork, server_per_connection)
{
	int l = tcp_listener(PORT(0), 16), slots[8];
	pid_t pids[8];

	for (int i = 0; i < 8; i++) {
		int c;

		slots[i] = peer_connect(PORT(0));
		c = accept(l, NULL, NULL);
		pids[i] = fork();
		if (pids[i] == 0) {
			char buf[4];

			close(l);
			recv(c, buf, 4, MSG_WAITALL);
			send(c, buf, 4, 0);
			_exit(i);
		}
		close(c);
	}
	for (int i = 0; i < 8; i++) {
		char text[16];

		snprintf(text, sizeof(text), "q%03d", i);
		peer_send(slots[i], text, 4);
		say("peer got %s", peer_recv(slots[i], 4));
		reap(pids[i]);
		peer_say_recv(slots[i], 1);
	}
}

CASE(fork, prefork_accept)
{
	int l = tcp_listener(PORT(0), 16), answered = 0;
	pid_t pids[3];

	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			for (;;) {
				int c = accept(l, NULL, NULL);
				char x;

				if (c < 0)
					_exit(1);
				if (recv(c, &x, 1, 0) != 1 || x == 'q')
					_exit(0);
				send(c, &x, 1, 0);
				close(c);
			}
	}
	for (int i = 0; i < 12; i++) {
		int p = peer_connect(PORT(0));

		peer_send(p, "x", 1);
		answered += !strcmp(peer_recv(p, 1), "x");
		peer_close(p);
	}
	say("answered %d", answered);
	for (int i = 0; i < 3; i++)
		peer_send(peer_connect(PORT(0)), "q", 1);
	for (int i = 0; i < 3; i++)
		reap(pids[i]);
}

CASE(fork, before_first_socket)
{
	pid_t pid = fork();

	if (pid == 0) {
		int p, fd = tcp_pair(&p);

		R(send(fd, "from child", 10, 0));
		say("peer got %s", peer_recv(p, 10));
		_exit(0);
	}
	reap(pid);
}

CASE(fork, child_connects)
{
	int l = tcp_listener(PORT(0), 4), pl = peer_listen(PORT(1));
	pid_t pid = fork();

	if (pid == 0) {
		int fd = tcp_client(PORT(1));

		_exit(send(fd, "child", 5, 0) != 5);
	}
	reap(pid);
	peer_say_recv(peer_accept(pl), 10);
	peer_begin_connect(PORT(0));
	RFD(accept(l, NULL, NULL));
	peer_end_connect();
}

CASE(fork, grandchild_after_parent_died)
{
	int p, fd = tcp_pair(&p), ready = eventfd(0, 0);
	uint64_t one = 1;
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0) {
			char buf[8];

			/* Waits until its parent is gone, as a daemon does. */
			while (getppid() == pid && again())
				;
			NEED(read(ready, &one, 8) == 8);
			NEED(recv(fd, buf, 4, MSG_WAITALL) == 4);
			NEED(send(fd, "pong", 4, 0) == 4);
			_exit(0);
		}
		_exit(0);
	}
	reap(pid);
	close(fd);
	R(write(ready, &one, 8));
	peer_send(p, "ping", 4);
	say("peer got %s", peer_recv(p, 4));
	peer_say_recv(p, 1);
}

CASE(fork, starter_exits_child_goes_on)
{
	int p, fd = tcp_pair(&p);
	pid_t starter = getpid();

	/* As daemon(3): the process in which the stack was started leaves at once. */
	if (fork() > 0)
		_exit(0);
	while (getppid() == starter && again())
		;
	peer_send(p, "ping", 4);
	R(recv(fd, &(char[8]){0}, 4, MSG_WAITALL));
	R(send(fd, "pong", 4, 0));
	say("peer got %s", peer_recv(p, 4));
}

CASE(fork, both_read_one_stream)
{
	int p, fd = tcp_pair(&p);
	pid_t pid;
	char c;

	peer_send(p, "ab", 2);
	until_queued(fd, 2);
	pid = fork();
	if (pid == 0) {
		R(recv(fd, &c, 1, 0));
		say("%c", c);
		_exit(0);
	}
	reap(pid);
	R(recv(fd, &c, 1, 0));
	say("%c", c);
}

CASE(fork, flags_and_options_are_shared)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	if (pid == 0) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		_exit(0);
	}
	reap(pid);
	say("%#x", fcntl(fd, F_GETFL));
	OPT(fd, IPPROTO_TCP, TCP_NODELAY);
}

CASE(fork, three_hundred_in_a_row)
{
	int p, fd = tcp_pair(&p), bad = 0;

	for (int i = 0; i < 300; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(i & 127);
		waitpid(pid, &status, 0);
		bad += !WIFEXITED(status) || WEXITSTATUS(status) != (i & 127);
	}
	say("bad %d", bad);
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
}

CASE(fork, sixteen_at_once_each_sends)
{
	int p, fd = tcp_pair(&p), sum = 0;
	pid_t pids[16];
	const char *got;

	for (int i = 0; i < 16; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			send(fd, &(char){'a' + i}, 1, 0);
			_exit(0);
		}
	}
	for (int i = 0; i < 16; i++)
		waitpid(pids[i], NULL, 0);
	got = peer_recv(p, 16);
	for (int i = 0; i < 16; i++)
		sum += got[i];
	say("all letters: %d", sum == 16 * 'a' + 120);
}

CASE(fork, killed_child_leaves_connection_to_parent)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	if (pid == 0) {
		recv(fd, &(char){0}, 1, 0);
		pause();
		_exit(0);
	}
	kill(pid, SIGKILL);
	reap(pid);
	peer_send(p, "x", 1);
	R(recv(fd, &(char){0}, 1, 0));
	R(send(fd, "y", 1, 0));
	say("peer got %s", peer_recv(p, 1));
}

CASE(fork, killed_child_connection_is_closed)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	close(fd);
	kill(pid, SIGKILL);
	reap(pid);
	peer_say_recv(p, 1);
}

/* Killed in the middle of calls, which hold the connection while they last. */
CASE(fork, killed_in_calls_connection_is_closed)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	pid_t pid[3];

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			if (i == 0)
				recv(fd, &(char){0}, 1, 0);
			else if (i == 1)
				poll(&pf, 1, -1);
			else
				epoll_wait(ep, &ev, 1, -1);
			_exit(0);
		}
	}
	usleep(100000);
	for (int i = 0; i < 3; i++) {
		kill(pid[i], SIGKILL);
		reap(pid[i]);
	}
	close(ep);
	close(fd);
	peer_say_recv(p, 1);
}

CASE(fork, vfork_and_exec)
{
	int p, fd = tcp_pair(&p);
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(9);
	}
	reap(pid);
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
}

CASE(fork, posix_spawn_popen_system)
{
	extern char **environ;
	char *argv[] = {(char *)"true", NULL};
	int p, fd = tcp_pair(&p);
	char line[16] = "";
	pid_t pid;
	FILE *f;

	R(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ));
	reap(pid);
	R(system("exit 3") >> 8);
	f = popen("echo hello", "r");
	say("%s", fgets(line, sizeof(line), f) ? "read" : "nothing");
	R(pclose(f));
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
}

CASE(fork, exec_closes_cloexec_connection)
{
	int p, fd = tcp_pair(&p);
	pid_t pid;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(9);
	}
	close(fd);
	reap(pid);
	peer_say_recv(p, 1);
}

CASE(fork, failed_exec_keeps_connection)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5};

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	R(execl("/nonexistent/program", "program", NULL));
	R(execl("/dev/null", "null", NULL));
	R(send(fd, "alive", 5, 0));
	say("peer got %s", peer_recv(p, 5));
	peer_send(p, "x", 1);
	R(epoll_wait(ep, &ev, 1, 5000));
	R(recv(fd, &(char){0}, 1, 0));
}

/* The one process that looks after the device is killed while all others do something else. */
CASE(fork, sleeping_driver_killed)
{
	int l = tcp_listener(PORT(0), 8), p, fd;
	pid_t pid;

	peer_connect(PORT(0));
	fd = accept(l, NULL, NULL);
	pid = fork();
	if (pid == 0) {
		recv(fd, &(char){0}, 1, 0);
		_exit(0);
	}
	/* The parent calls nothing that drives from here on, long enough for its helper to rely on the child.
	 */
	usleep(200000);
	kill(pid, SIGKILL);
	reap(pid);
	p = peer_connect(PORT(0));
	say("connected %d", p >= 0);
}

/* ---- privileges given up before the first socket: the link must have been opened by then ---- */

static void exchange(void)
{
	int p, fd = tcp_pair(&p);

	R(send(fd, "x", 1, 0));
	say("peer got %s", peer_recv(p, 1));
}

CASE(privileges, setuid_before_first_socket)
{
	R(setgid(65534));
	R(setuid(65534));
	say("%d %d", getuid(), geteuid());
	exchange();
	R(setuid(0));
}

CASE(privileges, setresuid_in_a_daemon)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		R(setresuid(65534, 65534, 65534));
		exchange();
		exit(0);
	}
	waitpid(pid, &status, 0);
	say("status %d", status);
}

/* What setpriv(1) does. */
CASE(privileges, groups_after_the_user_with_kept_capabilities)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	R(prctl(PR_SET_KEEPCAPS, 1));
	R(setresuid(65534, 65534, 65534));
	NEED(syscall(SYS_capget, &head, data) == 0);
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	R(syscall(SYS_capset, &head, data));
	R(setresgid(65534, 65534, 65534));
	say("%d %d", getuid(), getgid());
}

CASE(privileges, effective_user_comes_back)
{
	R(setreuid(-1, 65534));
	exchange();
	R(setreuid(-1, 0));
	say("%d", geteuid());
}

CASE(privileges, chroot_before_first_socket)
{
	char dir[] = "/tmp/diff-root-XXXXXX";

	NEED(mkdtemp(dir));
	R(chroot(dir) || chdir("/"));
	exchange();
	R(access("/proc", F_OK));
}
