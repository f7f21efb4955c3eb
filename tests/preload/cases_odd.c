/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_odd.c - arguments and orders of calls that few programs use and all may: what Linux answers, not a
 * crash
 */
#include <limits.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "diff.h"

CASE(odd, poll_more_than_there_can_be)
{
	static struct pollfd fds[70000];
	int p, fd = tcp_pair(&p);

	for (int i = 0; i < 70000; i++)
		fds[i] = (struct pollfd){.fd = i ? -1 : fd, .events = POLLOUT};
	R(poll(fds, 1000, 0));
	say("%s", events_text(fds[0].revents));
}

CASE(odd, wildcard_bound_in_poll_then_connect)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT};

	R(bind_to(fd, "0.0.0.0", PORT(1)));
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	peer_accept(l);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
}

CASE(odd, udp_in_epoll_then_connect)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), ep = epoll_create1(0), p = peer_udp(PORT(1)), n;
	struct epoll_event ev = {.events = EPOLLIN};

	R(bind_to(fd, "0.0.0.0", PORT(0)));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(epoll_wait(ep, &ev, 1, 20));
	peer_sendto(p, PORT(0), "x", 1);
	n = R(epoll_wait(ep, &ev, 1, 5000));
	say("%s", events_text(n > 0 ? ev.events : 0));
	R(recv(fd, &(char[4]){0}, 4, 0));
	R(epoll_wait(ep, &ev, 1, 20));
}

CASE(odd, linger_close_waits_for_the_peer)
{
	struct linger lg = {1, 5};
	int p, fd = tcp_pair(&p);

	R(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
	peer_begin_recv_pattern(p, SIZE_MAX, 5);
	send_pattern(fd, 300000, 5);
	R(close(fd));
	peer_end_recv_pattern();
}

CASE(odd, msg_flags_on_tcp)
{
	int p, fd = tcp_pair(&p);
	char b[8];

	peer_send(p, "abcdef", 6);
	until_queued(fd, 6);
	R(recv(fd, b, 3, MSG_PEEK | MSG_TRUNC));
	R(recv(fd, b, 8, MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL));
	R(recv(fd, b, 2, MSG_WAITALL | MSG_TRUNC));
	R(recv(fd, NULL, 2, MSG_TRUNC));
	R(recv(fd, b, 8, MSG_OOB));
	R(recv(fd, b, 8, MSG_ERRQUEUE));
	R(recv(fd, b, 8, MSG_ERRQUEUE | MSG_PEEK));
	R(recv(fd, b, 8, MSG_CMSG_CLOEXEC));
	R(recv(fd, b, 8, MSG_DONTWAIT | MSG_OOB));
	R(send(fd, "x", 1, MSG_CONFIRM));
	R(send(fd, "x", 1, MSG_EOR));
	R(send(fd, "x", 1, 0x1000000));
}

CASE(odd, shutdown_combinations)
{
	int p, fd = tcp_pair(&p);
	struct pollfd pf = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
	char b[8];

	R(shutdown(fd, 3));
	R(shutdown(fd, -1));
	R(shutdown(fd, SHUT_RD));
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(recv(fd, b, 8, 0));
	peer_send(p, "late", 4);
	until_queued(fd, 4);
	R(recv(fd, b, 8, 0));
	R(recv(fd, b, 8, 0));
	R(shutdown(fd, SHUT_RD));
	R(shutdown(fd, SHUT_WR));
	R(shutdown(fd, SHUT_WR));
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	peer_shutdown(p, SHUT_WR);
	until_events(fd, POLLHUP);
	R(poll(&pf, 1, 0));
	say("%s", events_text(pf.revents));
	R(shutdown(fd, SHUT_RDWR));
	R(shutdown(fd, SHUT_RD));
	show_names("after", fd);
}

CASE(odd, o_path_descriptor)
{
	int p, fd = tcp_pair(&p), path = open("/tmp", O_PATH);
	struct epoll_event ev = {.events = EPOLLIN};

	R(read(path, &(char){0}, 1));
	R(recv(path, &(char){0}, 1, 0));
	R(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, path, &ev));
	R(dup2(path, fd));
	R(recv(fd, &(char){0}, 1, 0));
	peer_say_recv(p, 1);
}

CASE(odd, errno_survives_success)
{
	int p, fd = tcp_pair(&p), copy;
	char c;

	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	errno = 77;
	send(fd, "x", 1, 0);
	recv(fd, &c, 1, 0);
	poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0);
	copy = dup(fd);
	close(copy);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	shutdown(fd, SHUT_WR);
	close(fd);
	say("errno %d", errno);
}
