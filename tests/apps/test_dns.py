#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Name servers under Shunt: unbound (threads) and dnsmasq, over UDP and TCP, with a client that checks every answer."""
import select
import socket
import struct
import sys
import time

import lib
from lib import check, check_equal, limit, need_programs, until

PORT = 53
HOSTS = 200
UNBOUND = """
server:
	interface: 0.0.0.0
	port: %(port)d
	num-threads: 2
	do-daemonize: no
	do-not-query-localhost: no
	username: ""
	chroot: ""
	directory: "%(dir)s"
	pidfile: ""
	use-syslog: no
	access-control: 0.0.0.0/0 allow
	module-config: "iterator"
	so-reuseport: yes
	tcp-idle-timeout: 5000
	incoming-num-tcp: 50
	local-zone: "test." static
%(data)s
"""


def address(i):
    return "198.51.100.%d" % i


def query(i, number, qtype=1):
    name = b"".join(bytes([len(part)]) + part for part in (b"h%d" % i, b"test")) + b"\0"
    return struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + name + struct.pack(">HH", qtype, 1)


def check_answer(data, i, number):
    head = struct.unpack(">HHHHHH", data[:12])
    check(head[0] == number and head[1] & 0x800F == 0x8000 and head[3] == 1, "answer", head, "for", number)
    check_equal(socket.inet_ntoa(data[-4:]), address(i), "address of h%d" % i)


def drive_udp(sockets_n=16):
    """Asks over several sockets, one question on each at a time, for LOAD_S. Returns answers and repeated questions."""
    poller, asked, answers, again = select.poll(), {}, 0, 0
    socks = {}
    for _ in range(sockets_n):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect((lib.OWN_ADDR, PORT))
        socks[s.fileno()] = s
        poller.register(s, select.POLLIN)
    number, end = 0, time.monotonic() + lib.LOAD_S

    def ask(fd):
        nonlocal number
        number = (number + 1) & 0xFFFF
        asked[fd] = (number % HOSTS, number, time.monotonic())
        socks[fd].send(query(*asked[fd][:2]))

    for fd in socks:
        ask(fd)
    while time.monotonic() < end:
        for fd, event in poller.poll(100):
            data = socks[fd].recv(2048)
            if struct.unpack(">H", data[:2])[0] == asked[fd][1]:  # else late: asked again meanwhile
                check_answer(data, *asked[fd][:2])
                answers += 1
                ask(fd)
        for fd, (i, n, since) in asked.items():
            if time.monotonic() - since > 1:
                again += 1
                ask(fd)
    for s in socks.values():
        s.close()
    return answers, again


def ask_tcp(count):
    """Some questions in a row over one connection."""
    with socket.create_connection((lib.OWN_ADDR, PORT), timeout=10) as s:
        for n in range(count):
            q = query(n % HOSTS, n)
            s.sendall(struct.pack(">H", len(q)) + q)
            size = struct.unpack(">H", lib.recv_exactly(s, 2))[0]
            check_answer(lib.recv_exactly(s, size), n % HOSTS, n)


def answers_now():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        try:
            s.connect((lib.OWN_ADDR, PORT))
            s.send(query(1, 1))
            return len(s.recv(2048)) > 12
        except OSError:
            return False


def drive(lab, p, tcp=True):
    until(answers_now, 20, "an answer over UDP")
    idle = lab.counters(p)
    answers, again = drive_udp()
    print("  UDP: %d/s, %d asked again" % (answers // lib.LOAD_S, again))
    # Load of 16 at a time never fills a receive buffer: what is lost would be the stack's fault.
    check(answers > 100 and again == 0, answers, "answers,", again, "questions asked again")
    if tcp:
        drive_tcp()
    need_programs("dig")
    for args in ([], ["+tcp"])[:1 + tcp]:
        out = lab.client(["dig", "+short", "+tries=1", *args, "@" + lib.OWN_ADDR, "h7.test"]).stdout
        check_equal(out.decode().strip(), address(7), "dig %s:" % args)
    lab.check_no_leak(p, idle)


def drive_tcp():
    for _ in range(10):
        ask_tcp(10)
    end, rounds = time.monotonic() + lib.LOAD_S / 2, 0
    while time.monotonic() < end:
        ask_tcp(1)
        rounds += 1
    print("  TCP: %d connections/s" % (rounds / (lib.LOAD_S / 2)))


@limit(90)
def test_unbound(lab):
    need_programs("unbound")
    data = "\n".join('\tlocal-data: "h%d.test. A %s"' % (i, address(i)) for i in range(HOSTS))
    conf = lab.write("unbound.conf", UNBOUND % dict(dir=lab.dir, port=PORT, data=data))
    p = lab.start(["/usr/sbin/unbound", "-d", "-p", "-c", conf])
    drive(lab, p)
    check_equal(lab.stop(p), 0)


def dnsmasq(lab, *args):
    need_programs("dnsmasq")
    hosts = lab.write("hosts", "".join("%s h%d.test\n" % (address(i), i) for i in range(HOSTS)))
    return lab.start(["/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                      "--addn-hosts=" + hosts, "--user=root", "--group=root", "--pid-file", "--log-facility=-", *args])


@limit(90)
def test_dnsmasq(lab):
    """With wildcard sockets. Over TCP it refuses a client whose local address is on no interface of the kernel."""
    p = dnsmasq(lab)
    drive(lab, p, tcp=lab.kernel)
    check_equal(lab.stop(p), 0)


@limit(90)
def test_dnsmasq_bound(lab):
    """Over TCP it forks for each connection."""
    p = dnsmasq(lab, "--bind-interfaces", "--listen-address=" + lib.OWN_ADDR)
    drive(lab, p)
    check_equal(lab.stop(p), 0)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
