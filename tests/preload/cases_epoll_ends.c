/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_epoll_ends.c - epoll: RDHUP, HUP and ERR for each way a connection, listener or UDP socket can end
 */
#include "epoll_case.h"

#define ALL_EVENTS (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP)

CASE(epoll, end_peer_shuts_then_we_shut)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);

	R(add(level, fd, ALL_EVENTS, 1));
	R(add(edge, fd, ALL_EVENTS | EPOLLET, 2));
	show_wait(edge, 1000);
	peer_shutdown(p, SHUT_WR);
	until_rdhup(fd);
	show_wait(level, 1000);
	show_wait(edge, 1000);
	show_wait(edge, 0);
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(level, 0);
	show_wait(edge, 0);
	R(shutdown(fd, SHUT_WR));
	until_events(fd, POLLHUP);
	show_wait(level, 1000);
	show_wait(edge, 1000);
}

CASE(epoll, end_own_shutdown_of_reading)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);

	R(add(level, fd, ALL_EVENTS, 1));
	R(add(edge, fd, ALL_EVENTS | EPOLLET, 2));
	show_wait(edge, 1000);
	R(shutdown(fd, SHUT_RD));
	show_wait(level, 1000);
	show_wait(edge, 0);
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	show_wait(level, 1000);
	R(recv(fd, &(char){0}, 1, 0));
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(level, 0);
}

CASE(epoll, end_own_shutdown_of_writing)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);

	R(add(level, fd, ALL_EVENTS, 1));
	R(add(edge, fd, ALL_EVENTS | EPOLLET, 2));
	show_wait(edge, 1000);
	R(shutdown(fd, SHUT_WR));
	until_unsent(fd, 0);
	show_wait(level, 1000);
	peer_shutdown(p, SHUT_WR);
	until_events(fd, POLLHUP);
	show_wait(level, 1000);
	show_wait(edge, 1000);
	show_wait(edge, 0);
}

CASE(epoll, end_own_shutdown_of_both)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0);

	R(add(level, fd, ALL_EVENTS, 1));
	R(shutdown(fd, SHUT_RDWR));
	show_wait(level, 1000);
	R(mod(level, fd, EPOLLET, 2));
	show_wait(level, 1000);
	show_wait(level, 0);
	(void)p;
}

CASE(epoll, end_reset_with_unread_data)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);

	R(add(level, fd, ALL_EVENTS, 1));
	R(add(edge, fd, ALL_EVENTS | EPOLLET, 2));
	show_wait(edge, 1000);
	peer_send(p, "abc", 3);
	until_queued(fd, 3);
	show_wait(edge, 1000);
	peer_rst(p);
	until_events(fd, POLLHUP);
	show_wait(level, 1000);
	show_wait(edge, 1000);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	show_wait(level, 0);
	show_wait(edge, 0);
	R(recv(fd, &(char[8]){0}, 8, 0));
	R(recv(fd, &(char[8]){0}, 8, 0));
}

CASE(epoll, end_reset_after_fin)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0);

	R(add(level, fd, ALL_EVENTS, 1));
	peer_shutdown(p, SHUT_WR);
	until_rdhup(fd);
	show_wait(level, 1000);
	peer_rst(p);
	until_events(fd, POLLHUP);
	show_wait(level, 1000);
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	show_wait(level, 0);
}

CASE(epoll, end_peer_closes_with_unread_data)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0);

	R(add(level, fd, ALL_EVENTS, 1));
	R(send(fd, "unread", 6, 0));
	until_unsent(fd, 0);
	peer_until_events(p, POLLIN);
	peer_close(p);
	until_events(fd, POLLHUP);
	show_wait(level, 1000);
	R(recv(fd, &(char){0}, 1, 0));
	show_wait(level, 0);
}

CASE(epoll, end_answer_to_closed_peer)
{
	int p, fd = tcp_pair(&p), edge = epoll_create1(0);

	R(add(edge, fd, ALL_EVENTS | EPOLLET, 1));
	show_wait(edge, 1000);
	peer_close(p);
	until_rdhup(fd);
	show_wait(edge, 1000);
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	until_events(fd, POLLHUP);
	show_wait(edge, 1000);
	show_wait(edge, 0);
	R(send(fd, "x", 1, MSG_NOSIGNAL));
	R(send(fd, "x", 1, MSG_NOSIGNAL));
}

CASE(epoll, end_refused_connect_edge)
{
	int edge = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	R(add(edge, fd, ALL_EVENTS | EPOLLET, 1));
	show_wait(edge, 0);
	R(connect_to(fd, PEER_ADDR, PORT(0)));
	until_events(fd, POLLHUP);
	show_wait(edge, 1000);
	show_wait(edge, 0);
	OPT(fd, SOL_SOCKET, SO_ERROR);
	show_wait(edge, 0);
	R(mod(edge, fd, ALL_EVENTS, 2));
	show_wait(edge, 0);
	peer_listen(PORT(1));
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	until_events(fd, POLLOUT);
	show_wait(edge, 1000);
}

CASE(epoll, end_with_nothing_asked_for)
{
	int p, fd = tcp_pair(&p), level = epoll_create1(0), edge = epoll_create1(0);

	R(add(level, fd, 0, 1));
	R(add(edge, fd, EPOLLET, 2));
	peer_send(p, "x", 1);
	peer_shutdown(p, SHUT_WR);
	until_rdhup(fd);
	show_wait(level, 0);
	show_wait(edge, 0);
	peer_rst(p);
	until_events(fd, POLLHUP);
	show_wait(level, 1000);
	show_wait(edge, 1000);
	show_wait(edge, 0);
}

CASE(epoll, end_of_listener)
{
	int l = tcp_listener(PORT(0), 8), level = epoll_create1(0);

	R(add(level, l, ALL_EVENTS, 1));
	peer_connect(PORT(0));
	until_readable(l);
	show_wait(level, 1000);
	R(shutdown(l, SHUT_RD));
	show_wait(level, 1000);
	R(accept(l, NULL, NULL));
	R(listen(l, 8));
	show_wait(level, 0);
	peer_connect(PORT(0));
	until_readable(l);
	show_wait(level, 1000);
}

CASE(epoll, end_oneshot_takes_one)
{
	int p, fd = tcp_pair(&p), ep = epoll_create1(0);

	R(add(ep, fd, EPOLLRDHUP | EPOLLONESHOT, 1));
	peer_shutdown(p, SHUT_WR);
	until_rdhup(fd);
	show_wait(ep, 1000);
	peer_rst(p);
	until_events(fd, POLLHUP);
	show_wait(ep, 0);
	R(mod(ep, fd, EPOLLRDHUP | EPOLLONESHOT | EPOLLET, 2));
	show_wait(ep, 0);
	show_wait(ep, 0);
}

CASE(epoll, end_udp_port_unreachable)
{
	int fd = udp_bound(PORT(0)), level = epoll_create1(0), edge = epoll_create1(0);

	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(add(level, fd, ALL_EVENTS, 1));
	R(add(edge, fd, ALL_EVENTS | EPOLLET, 2));
	show_wait(edge, 1000);
	R(send(fd, "x", 1, 0));
	until_events(fd, POLLERR);
	show_wait(level, 1000);
	show_wait(edge, 1000);
	show_wait(edge, 0);
	R(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
	show_wait(level, 0);
	R(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
}

CASE(epoll, end_udp_shutdown)
{
	int fd = udp_bound(PORT(0)), level = epoll_create1(0);

	R(shutdown(fd, SHUT_RD));
	R(connect_to(fd, PEER_ADDR, PORT(1)));
	R(add(level, fd, ALL_EVENTS, 1));
	show_wait(level, 0);
	R(shutdown(fd, SHUT_RD));
	show_wait(level, 0);
	R(shutdown(fd, SHUT_WR));
	show_wait(level, 0);
	R(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
	R(send(fd, "x", 1, MSG_NOSIGNAL));
}

/* Closed by the other thread or by ourselves: a set never tells of what is no more. */
CASE(epoll, end_closed_between_event_and_wait)
{
	int p, q, fd = tcp_pair(&p), ep = epoll_create1(0), l = tcp_listener(PORT(1), 4), other;

	q = peer_connect(PORT(1));
	other = accept(l, NULL, NULL);
	R(add(ep, fd, EPOLLIN, 1));
	R(add(ep, other, EPOLLIN, 2));
	peer_send(p, "x", 1);
	peer_send(q, "y", 1);
	until_readable(fd);
	until_readable(other);
	R(close(fd));
	show_wait(ep, 1000);
	R(epoll_ctl(ep, EPOLL_CTL_DEL, other, NULL));
	show_wait(ep, 0);
}
