/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_async.c - signals that tell of input (O_ASYNC, FIOASYNC), who gets them and which (F_SETOWN,
 * F_SETSIG), SIGURG
 */
#include <sys/syscall.h>

#include "diff.h"

static volatile sig_atomic_t hits, last_band, last_fd;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	last_band = (sig_atomic_t)info->si_band;
	last_fd = info->si_fd;
	hits++;
}

static void catch (int sig)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigaction(sig, &sa, NULL);
}

/* No call on any socket: whoever sends the signal is not this thread. */
static void until_hits(int n)
{
	while (hits < n)
		again();
}

static void own(int fd)
{
	R(fcntl(fd, F_SETOWN, getpid()));
	R(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

CASE(async, sigio_on_data)
{
	int p, fd = tcp_pair(&p);
	char buf[8];

	catch (SIGIO);
	own(fd);
	say("owner is me %d", fcntl(fd, F_GETOWN) == getpid());
	peer_send(p, "x", 1);
	until_hits(1);
	R(recv(fd, buf, sizeof(buf), 0));
	hits = 0;
	peer_close(p);
	until_hits(1);
	R(recv(fd, buf, sizeof(buf), 0));
}

CASE(async, setsig_tells_descriptor_and_events)
{
	int p, fd = tcp_pair(&p);

	catch (SIGRTMIN + 1);
	R(fcntl(fd, F_SETSIG, SIGRTMIN + 1));
	say("signal kept %d", fcntl(fd, F_GETSIG) == SIGRTMIN + 1);
	own(fd);
	peer_send(p, "x", 1);
	until_hits(1);
	say("events %#x descriptor %d", last_band, last_fd == fd);
}

CASE(async, listener)
{
	int l = tcp_listener(PORT(0), 4);

	catch (SIGIO);
	own(l);
	peer_connect(PORT(0));
	until_hits(1);
	RFD(accept(l, NULL, NULL));
}

CASE(async, wildcard_listener)
{
	int l = socket(AF_INET, SOCK_STREAM, 0);

	NEED(!bind_to(l, "0.0.0.0", PORT(0)) && !listen(l, 4));
	catch (SIGIO);
	own(l);
	peer_connect(PORT(0));
	until_hits(1);
	RFD(accept(l, NULL, NULL));
}

CASE(async, datagrams)
{
	int u = peer_udp(PORT(1)), fd = udp_bound(PORT(0));
	char buf[8];

	catch (SIGIO);
	own(fd);
	peer_sendto(u, PORT(0), "one", 3);
	until_hits(1);
	R(recv(fd, buf, sizeof(buf), 0));
}

/* Set on a fresh socket, which is not decided yet. */
CASE(async, set_before_connect)
{
	int l = peer_listen(PORT(0)), fd = socket(AF_INET, SOCK_STREAM, 0), p;

	catch (SIGIO);
	own(fd);
	NEED(!connect_to(fd, PEER_ADDR, PORT(0)));
	p = peer_accept(l);
	say("owner is me %d async %d", fcntl(fd, F_GETOWN) == getpid(), !!(fcntl(fd, F_GETFL) & O_ASYNC));
	hits = 0;
	peer_send(p, "x", 1);
	until_hits(1);
}

CASE(async, fioasync_and_thread_owner)
{
	struct f_owner_ex o = {F_OWNER_TID, (pid_t)syscall(SYS_gettid)}, got = {0};
	int p, fd = tcp_pair(&p), on = 1;

	catch (SIGIO);
	R(fcntl(fd, F_SETOWN_EX, &o));
	R(fcntl(fd, F_GETOWN_EX, &got));
	say("%d %d", got.type, got.pid == o.pid);
	R(ioctl(fd, FIOASYNC, &on));
	say("flag %d", !!(fcntl(fd, F_GETFL) & O_ASYNC));
	peer_send(p, "x", 1);
	until_hits(1);
}

CASE(async, process_group)
{
	int p, fd = tcp_pair(&p), pid = 0;

	catch (SIGIO);
	setpgid(0, 0);
	R(fcntl(fd, F_SETOWN, -getpgrp()));
	R(fcntl(fd, F_SETFL, O_ASYNC));
	say("group %d", fcntl(fd, F_GETOWN) == -getpgrp());
	R(ioctl(fd, FIOGETOWN, &pid));
	say("group %d", pid == -getpgrp());
	peer_send(p, "x", 1);
	until_hits(1);
}

CASE(async, off_again)
{
	int p, fd = tcp_pair(&p);

	catch (SIGIO);
	own(fd);
	R(fcntl(fd, F_SETFL, 0));
	peer_send(p, "x", 1);
	until_queued(fd, 1);
	say("hits %d", hits);
}

CASE(async, urgent_needs_an_owner_only)
{
	int p, fd = tcp_pair(&p);
	char c;

	catch (SIGURG);
	R(fcntl(fd, F_SETOWN, getpid()));
	peer_send_oob(p, "!", 1);
	until_hits(1);
	until_events(fd, POLLPRI);
	R(recv(fd, &c, 1, MSG_OOB));
}

CASE(async, refusals)
{
	struct f_owner_ex o = {77, 1};
	int p, fd = tcp_pair(&p);

	R(fcntl(fd, F_SETSIG, 1000));
	R(fcntl(fd, F_SETOWN_EX, &o));
	R(fcntl(fd, F_SETOWN, 99999999));
	R(fcntl(fd, F_GETOWN));
}
