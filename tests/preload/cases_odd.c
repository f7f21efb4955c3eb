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
	RFD(dup2(path, fd));
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

CASE(odd, null_pointers)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLOUT};

	R(poll(NULL, 1, 0));
	R(poll(NULL, 0, 0));
	R(ppoll((struct pollfd *)8, 2, NULL, NULL));
	R(recvmsg(fd, NULL, 0));
	R(sendmsg(fd, NULL, 0));
	R(recvmmsg(fd, NULL, 1, MSG_DONTWAIT, NULL));
	R(sendmmsg(fd, NULL, 1, 0));
	R(recvmmsg(fd, NULL, 0, MSG_DONTWAIT, NULL));
	R(sendmmsg(fd, NULL, 0, 0));
	R(readv(fd, NULL, 1));
	R(writev(fd, NULL, 1));
	R(writev(fd, NULL, 0));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, NULL));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	R(epoll_wait(ep, NULL, 4, 0));
	R(epoll_wait(ep, &ev, 0, 0));
	R(epoll_wait(ep, &ev, -1, 0));
	R(epoll_wait(ep, &ev, INT_MAX, 0));
	R(epoll_wait(fd, &ev, 1, 0));
	R(epoll_wait(-1, &ev, 1, 0));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	R(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &ev));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, -1, &ev));
	R(epoll_ctl(ep, 77, fd, &ev));
	R(getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, NULL));
	R(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
	R(getsockname(fd, NULL, NULL));
	R(getpeername(fd, NULL, NULL));
	R(connect(fd, NULL, 16));
	R(bind(fd, NULL, 16));
	R(ioctl(fd, FIONREAD, NULL));
	R(ioctl(fd, FIONBIO, NULL));
	(void)p;
}

CASE(odd, malformed_timeouts)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	struct epoll_event ev = {.events = EPOLLIN};
	struct timespec bad = {0, 1000000000}, negative = {-1, 0};
	struct timeval tv = {0, -1};
	struct mmsghdr mm = {0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	R(ppoll(&pf, 1, &bad, NULL));
	R(ppoll(&pf, 1, &negative, NULL));
	R(pselect(fd + 1, &in, NULL, NULL, &bad, NULL));
	R(select(fd + 1, &in, NULL, NULL, &tv));
	R(select(-1, &in, NULL, NULL, NULL));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	R(recvmmsg(fd, &mm, 1, 0, &bad));
	R(recvmmsg(fd, &mm, 1, 0, &negative));
	(void)p;
}

CASE(odd, option_lengths)
{
	int p, fd = tcp_pair(&p), v = 1;
	unsigned char buf[64] = {0};
	socklen_t len;

	for (int l = -1; l < 6; l++) {
		len = (socklen_t)l;
		memset(buf, 0xee, sizeof(buf));
		R(getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, &len));
		say("len %d: %d, %02x %02x %02x %02x %02x", l, (int)len, buf[0], buf[1], buf[2], buf[3],
		    buf[4]);
		len = (socklen_t)l;
		memset(buf, 0xee, sizeof(buf));
		R(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, buf, &len));
		say("len %d: %d, %02x %02x %02x %02x %02x", l, (int)len, buf[0], buf[1], buf[2], buf[3],
		    buf[4]);
		R(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, (socklen_t)l));
		R(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, (socklen_t)l));
	}
	len = 4;
	R(getsockopt(fd, SOL_SOCKET, 9999, buf, &len));
	R(getsockopt(fd, 9999, 1, buf, &len));
	R(setsockopt(fd, SOL_SOCKET, 9999, &v, 4));
	R(setsockopt(fd, 9999, 1, &v, 4));
	R(getsockopt(fd, IPPROTO_UDP, 1, buf, &len));
	(void)p;
}

CASE(odd, dup_before_connect)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0), copy = dup(fd), p;

	R(connect_to(fd, PEER_ADDR, PORT(0)));
	p = peer_accept(l);
	R(send(copy, "copy", 4, 0));
	say("peer got %s", peer_recv(p, 4));
	show_names("copy", copy);
	R(close(fd));
	peer_send(p, "back", 4);
	R(recv(copy, &(char[4]){0}, 4, MSG_WAITALL));
	R(close(copy));
	peer_say_recv(p, 1);
}

CASE(odd, dup2_before_bind)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), copy = dup2(fd, 150), p;

	R(set_int(copy, SOL_SOCKET, SO_REUSEADDR, 1));
	R(bind_to(fd, OWN_ADDR, PORT(0)));
	R(listen(copy, 4));
	R(close(fd));
	p = peer_connect(PORT(0));
	fd = RFD(accept(copy, NULL, NULL));
	R(send(fd, "x", 1, 0));
	say("peer got %s", peer_recv(p, 1));
}

CASE(odd, wildcard_bound_in_epoll_then_connect)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0), n, p;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT};

	set_nonblock(fd);
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	R(bind_to(fd, "0.0.0.0", PORT(1)));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	connect_to(fd, PEER_ADDR, PORT(0));
	p = peer_accept(l);
	until_events(fd, POLLOUT);
	n = R(epoll_wait(ep, &ev, 1, 0));
	say("%s", events_text(n > 0 ? ev.events : 0));
	ev.events = EPOLLIN;
	R(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
	R(epoll_wait(ep, &ev, 1, 20));
	peer_send(p, "x", 1);
	n = R(epoll_wait(ep, &ev, 1, 5000));
	say("%s", events_text(n > 0 ? ev.events : 0));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
}

CASE(odd, fclose_of_early_stream)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0), p, again;
	FILE *f = fdopen(fd, "r+");

	R(connect_to(fd, PEER_ADDR, PORT(0)));
	p = peer_accept(l);
	R(send(fd, "x", 1, 0));
	say("peer got %s", peer_recv(p, 1));
	R(fclose(f));
	peer_say_recv(p, 1);
	again = open("/dev/null", O_RDWR);
	say("number reused %d", again == fd);
	R(write(again, "x", 1));
}
