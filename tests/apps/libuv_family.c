/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libuv_family.c - runs one of libuv's own tests together with its helper, as one family of processes
 *
 *     libuv_tests --family TEST [HELPER]
 *
 * Linked with libuv's test objects, whose main() is renamed to uv_tests_main(). Their runner starts helpers
 * (echo servers) by exec, as programs of their own, which under Shunt would need a link of their own; here
 * the helper is forked from the process that started the link, so that both meet on loopback=stack. Any other
 * arguments go to libuv's main(), since some tests start themselves.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int uv_tests_main(int argc, char **argv);
int run_test_part(const char *test, const char *part);
void platform_init(int argc, char **argv);

/* Under Shunt this starts the link, which the helper then inherits. */
static void use_loopback(void)
{
	struct sockaddr_in any_port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any_port, sizeof(any_port)))
		perror("libuv_family: 127.0.0.1");
	close(fd);
}

/* Returns when it serves: it closes the descriptor that libuv's runner would give it (UV_TEST_RUNNER_FD). */
static pid_t start_helper(const char *test, const char *helper)
{
	char number[16], c;
	int ready[2];
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		snprintf(number, sizeof(number), "%d", ready[1]);
		setenv("UV_TEST_RUNNER_FD", number, 1);
		_exit(run_test_part(test, helper));
	}
	close(ready[1]);
	while (read(ready[0], &c, 1) > 0)
		;
	close(ready[0]);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t helper = 0;
	int status;

	if (argc < 3 || strcmp(argv[1], "--family"))
		return uv_tests_main(argc, argv);
	platform_init(1, argv);
	use_loopback();
	if (argc > 3)
		helper = start_helper(argv[2], argv[3]);
	status = helper < 0 ? 1 : run_test_part(argv[2], argv[2]);
	if (helper > 0) {
		kill(helper, SIGKILL);
		waitpid(helper, NULL, 0);
	}
	return status;
}
