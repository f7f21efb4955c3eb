#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""memcached with two worker threads under Shunt: commands, large values, many connections, UDP-free defaults."""
import os
import signal
import sys

import lib
from lib import check, check_equal, limit, links, need_programs, recv_exactly, until

PORT = 11211


def memcached(lab, user="root"):
    need_programs("memcached")
    return lab.server(["memcached", "-u", user, "-t", "2", "-l", "0.0.0.0", "-p", str(PORT), "-U", "0", "-m", "256", "-I",
                       "8m", "-c", "2048"], PORT)


def ask(s, request, answer):
    s.sendall(request)
    check_equal(recv_exactly(s, len(answer)), answer)


def test_set_and_get(lab):
    p = memcached(lab)
    s = lab.connect(PORT)
    ask(s, b"set key 0 0 5\r\nvalue\r\n", b"STORED\r\n")
    ask(s, b"get key\r\n", b"VALUE key 0 5\r\nvalue\r\nEND\r\n")
    ask(s, b"get other\r\n", b"END\r\n")
    ask(s, b"delete key\r\n", b"DELETED\r\n")
    ask(s, b"bogus\r\n", b"ERROR\r\n")
    s.sendall(b"quit\r\n")
    check_equal(s.recv(10), b"")
    check_equal(lab.stop(p), 0)


def test_without_roots_privileges(lab):
    """As Debian starts it: it becomes another user before it opens its first socket."""
    p = memcached(lab, user="nobody")
    s = lab.connect(PORT)
    ask(s, b"set key 0 0 5\r\nvalue\r\n", b"STORED\r\n")
    ask(s, b"get key\r\n", b"VALUE key 0 5\r\nvalue\r\nEND\r\n")
    check_equal(lab.stop(p), 0)


def test_large_values(lab):
    memcached(lab)
    s = lab.connect(PORT)
    for size in (1, 1448, 65536, 1 << 20, 5 << 20):
        value = os.urandom(size)
        ask(s, b"set k 0 0 %d\r\n" % size + value + b"\r\n", b"STORED\r\n")
        ask(s, b"get k\r\n", b"VALUE k 0 %d\r\n" % size + value + b"\r\nEND\r\n")


def test_many_connections_on_two_threads(lab):
    memcached(lab)
    conns = [lab.connect(PORT) for _ in range(400)]
    for i, s in enumerate(conns):
        s.sendall(b"set k%d 0 0 4\r\n%04d\r\n" % (i, i))
    for s in conns:
        check_equal(recv_exactly(s, 8), b"STORED\r\n")
    for i, s in enumerate(reversed(conns)):
        s.sendall(b"get k%d\r\n" % i)
    for i, s in enumerate(reversed(conns)):
        want = b"VALUE k%d 0 4\r\n%04d\r\nEND\r\n" % (i, i)
        check_equal(recv_exactly(s, len(want)), want)
    for s in conns:
        s.close()
    s = lab.connect(PORT)

    def connections():
        s.sendall(b"stats\r\n")
        text = b""
        while not text.endswith(b"END\r\n"):
            text += s.recv(65536)
        return int(text.split(b"STAT curr_connections ")[1].split()[0])

    until(lambda: connections() < 10, 10, "connections to be gone")


def test_pipelined_multiget(lab):
    memcached(lab)
    s = lab.connect(PORT)
    want = b""
    for i in range(100):
        value = os.urandom(2000)
        ask(s, b"set m%d 0 0 2000\r\n" % i + value + b"\r\n", b"STORED\r\n")
        want += b"VALUE m%d 0 2000\r\n" % i + value + b"\r\n"
    request = b"get " + b" ".join(b"m%d" % i for i in range(100)) + b"\r\n"
    for _ in range(10):
        ask(s, request, want + b"END\r\n")
    s.sendall(request * 20)
    check(recv_exactly(s, 20 * (len(want) + 5)) == (want + b"END\r\n") * 20, "pipelined multigets")


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
