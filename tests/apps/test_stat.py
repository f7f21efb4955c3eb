#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""shunt stat: a running program says what it counted, also when its first process has gone; and what cannot answer is
told in one line."""
import os
import re
import signal
import socket
import subprocess
import sys

import lib
from lib import check, check_equal, links, need_programs, recv_exactly, until
from test_redis import PORT, redis

LINKS = ("tap", "af_packet")

# Echoes on a socket that was made before the process forked; prints the ids of its processes.
FAMILY = """
import os, signal, socket, sys
how = sys.argv[1]
s = socket.create_server(("0.0.0.0", %d))
child = os.fork()
if child == 0:
    while True:
        c, a = s.accept()
        while data := c.recv(4096):
            c.sendall(data)
        c.close()
print(os.getpid(), child, flush=True)
if how == "stay":
    signal.pause()
if how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
""" % PORT


def shunt(lab, *args, ok=True):
    r = lab.finish([lib.launcher(lab.lib), *args], 20, ok, None)
    return r.stdout.decode() if ok else (r.returncode, r.stderr.decode())


def stat_line(text, name):
    """The value of a line of `shunt stat`, 0 when it is left out."""
    m = re.search(r"^  %s +(\d+)( |$)" % name, text, re.M)
    return int(m.group(1)) if m else 0


@links(*LINKS)
def test_counters(lab):
    p = redis(lab)
    before = lab.counters(p)
    conns = [lab.connect(PORT) for _ in range(7)]
    for s in conns:
        s.sendall(b"PING\r\n")
        check_equal(recv_exactly(s, 7), b"+PONG\r\n")
    now = lab.counters(p)
    check_equal(now["stack"]["tcp_established"] - before["stack"]["tcp_established"], 7)
    check_equal(now["sockets"]["tcp_listeners"], 1)
    check_equal(now["sockets"]["tcp_connections"], 7)
    check(now["port"]["rx_packets"] > before["port"]["rx_packets"], now["port"])
    check_equal(now["mbufs"]["total"], now["mbufs"]["free"] + now["mbufs"]["in_use"])
    check_equal(now["instances_busy"], 0)
    for s in conns:
        s.close()
    until(lambda: lab.counters(p)["sockets"]["tcp_connections"] == 0, 10, "the connections to be gone")
    check_equal(lab.stop(p), 0)


@links(*LINKS)
def test_text(lab):
    p = redis(lab)
    text = shunt(lab, "stat", str(p.pid))
    check(text.startswith("redis-server (%d): 198.18.0.2/24 on %s" % (p.pid, lab.link)), text)
    check_equal(stat_line(text, "tcp_listeners"), 1)
    check(stat_line(text, "tcp_rx") > 0, text)
    check_equal(stat_line(text, "tcp_rx_bad"), 0)
    check("tcp_rx_bad" not in text, "a counter of zero is shown")
    check("segments received" in text, "no explanation")


@links(*LINKS)
def test_why_and_dump(lab):
    """Every socket with who serves it: the stack, the kernel, or both."""
    p = redis(lab, "--bind", "0.0.0.0", "--unixsocket", lab.path("redis.sock"))
    s = lab.connect(PORT)
    s.sendall(b"PING\r\n")
    check_equal(recv_exactly(s, 7), b"+PONG\r\n")
    me = "198.18.0.1:%d" % s.getsockname()[1]
    rows = [line.split(None, 6) for line in shunt(lab, "why", str(p.pid)).splitlines()[1:]]
    by_state = {row[2]: row for row in rows if row[1] == "tcp"}
    check_equal(by_state["LISTEN"][3:6], ["*:%d" % PORT, "*:0", "both"])
    check_equal(by_state["ESTAB"][3:6], ["198.18.0.2:%d" % PORT, me, "stack"])
    check("is on the network of 198.18.0.2/24" in by_state["ESTAB"][6], by_state)
    check_equal(len(rows), 2, rows)
    dump = shunt(lab, "dump", str(p.pid))
    check("tcp ESTAB 198.18.0.2:%d %s rcvq 0" % (PORT, me) in dump and "tcp LISTEN *:%d" % PORT in dump, dump)
    check(" cwnd " in dump and "tcp_established" in dump, dump)


@links(*LINKS)
def test_many_sockets(lab):
    """More than fit into one answer of the telemetry."""
    p = redis(lab)
    conns = [lab.connect(PORT) for _ in range(150)]
    for s in conns:
        s.sendall(b"PING\r\n")
        check_equal(recv_exactly(s, 7), b"+PONG\r\n")
    mine = {"198.18.0.1:%d" % s.getsockname()[1] for s in conns}
    rows = [line.split() for line in shunt(lab, "why", str(p.pid)).splitlines()[1:]]
    check_equal({row[4] for row in rows if row[2] == "ESTAB"}, mine)
    dump = shunt(lab, "dump", str(p.pid))
    check_equal({line.split()[3] for line in dump.splitlines() if line.startswith("tcp ESTAB")}, mine)
    for line in shunt(lab, "why", str(p.pid), "--json").splitlines() + shunt(lab, "dump", str(p.pid), "--json").splitlines():
        lib.json.loads(line)


KERNEL_SOCKETS = """
import signal, socket
a = socket.create_server(("127.0.0.1", %d))
b = socket.create_connection(("127.0.0.1", %d))
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.sendto(b"x", ("198.18.0.1", 9))
d = socket.socket()
print("up", flush=True)
signal.pause()
""" % (PORT, PORT)


@links(*LINKS)
def test_why_of_the_kernels(lab):
    ns = lab.pair.peer if lab.link == "tap" else lab.pair.box
    p = lab.start(["/usr/bin/python3", "-c", KERNEL_SOCKETS])
    until(lambda: b"up" in open(p.log, "rb").read(), 20, "the program")
    rows = [line.split(None, 6) for line in shunt(lab, "why", str(p.pid)).splitlines()[1:]]
    owners = {(row[1], row[2]): (row[5], row[6]) for row in rows}
    check_equal(owners["tcp", "LISTEN"], ("kernel", "127.0.0.1 is loopback"), ns)
    check_equal(owners["tcp", "ESTAB"], ("kernel", "127.0.0.1 is loopback"))
    check_equal(owners["udp", "UNCONN"][0], "both", rows)
    check_equal(len(rows), 4 if ("tcp", "UNCONN") in owners else 3, rows)


@links(*LINKS)
def test_told_what_cannot_answer(lab):
    def refused(pid, words):
        status, err = shunt(lab, "stat", str(pid), ok=False)
        check_equal(status, 1)
        check(words in err and len(err.splitlines()) == 1, err)

    refused(99999999, "no such process")
    refused(os.getpid(), "does not run under Shunt")
    idle = lab.start(["/usr/bin/python3", "-c", "import signal; print('up', flush=True); signal.pause()"])
    until(lambda: b"up" in open(idle.log, "rb").read(), 10, "the program")
    refused(idle.pid, "no stack answers")
    p = redis(lab, keys={"telemetry": "off"})
    refused(p.pid, "telemetry=off")
    need_programs("setpriv")
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    r = lab.finish([*as_nobody, lab.copy_for_all(lib.launcher(lab.lib)), "stat", str(p.pid)], 10, False, None)
    check(r.returncode == 1 and b"no permission" in r.stderr, r.returncode, r.stderr)


@links("tap")
def test_programs_of_that_name(lab):
    """Only `stat NUMBER` is a question; everything else is a program to be started."""
    status, err = shunt(lab, "--", "stat", "99999999", ok=False)
    check("99999999" in err and "shunt:" not in err, status, err)
    check("File: /tmp" in shunt(lab, "stat", "/tmp"))
    status, err = shunt(lab, "stat", ok=False)
    check("missing operand" in err, status, err)


def echoed(lab):
    with lab.connect(PORT, timeout=5) as s:
        s.sendall(b"hello")
        check_equal(recv_exactly(s, 5), b"hello")


def family(lab, how):
    p = lab.start(["/usr/bin/python3", lab.write("family.py", FAMILY), how])
    until(lambda: len(open(p.log).read().split()) == 2, 20, "the family")
    parent, child = map(int, open(p.log).read().split())
    check_equal(parent, p.pid)
    echoed(lab)
    return p, parent, child


def end(pid):
    os.kill(pid, signal.SIGKILL)


@links(*LINKS)
def test_every_member_answers(lab):
    p, parent, child = family(lab, "stay")
    for pid in (parent, child):
        check_equal(lab.counters(pid)["sockets"]["tcp_listeners"], 1)
    info = lib.json.loads(shunt(lab, "stat", str(child), "--json"))
    check(info["/shunt/counters"], info)


def answers(lab, pid):
    try:
        return lab.counters(pid)["sockets"]["tcp_listeners"] == 1
    except lib.Failure:
        return False


def survivor(lab, how):
    p, parent, child = family(lab, how)
    try:
        p.wait(10)
        if how == "killed":
            # Nobody says farewell: the successor notices with the next packet after a look round, once a second.
            until(lambda: echoed(lab) or answers(lab, child), 20, "somebody to take over")
        until(lambda: answers(lab, child), 10, "the child to answer")
        check(lab.counters(child)["stack"]["tcp_established"] >= 1)
    finally:
        end(child)


@links(*LINKS)
def test_survivor_answers(lab):
    """The process that started DPDK leaves: another one answers, and counts on."""
    survivor(lab, "leave")


@links(*LINKS)
def test_survivor_of_killed(lab):
    survivor(lab, "killed")


@links("tap")
def test_unprivileged(lab):
    need_programs("setpriv", "unshare")
    launcher = lab.copy_for_all(lib.launcher(lab.lib))
    lab.lib = lab.copy_for_all(lab.lib)
    full = lab.argv(["/usr/bin/python3", "-c", """
import os, socket, subprocess, sys
s = socket.create_server(("0.0.0.0", %d))
sys.exit(subprocess.run([sys.argv[1], "stat", str(os.getpid())]).returncode)
""" % PORT, launcher])
    at = full.index("env")
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*as_nobody, "unshare", "-Urn", "true"], stderr=subprocess.DEVNULL).returncode:
        raise lib.Skipped("this system gives users no namespaces")
    r = lab.finish([*as_nobody, "unshare", "-Urn", *full[at:]], 30, False, None)
    check_equal((r.returncode, stat_line(r.stdout.decode(), "tcp_listeners")), (0, 1), r.stderr)
    check_equal(r.stderr, b"")


@links("tap")
def test_many_programs(lab):
    """Each has its own stack and answers for itself."""
    procs = []
    for i in range(3):
        procs.append(lab.start(["/usr/bin/python3", "-c", """
import signal, socket
socks = [socket.create_server(("0.0.0.0", %d + n)) for n in range(%d)]
print("up", flush=True)
signal.pause()
""" % (PORT + 10 * i, i + 1)], keys={"link": "tap:many%d" % i, "addr": "198.18.%d.2/24" % (i + 1)}))
    for i, p in enumerate(procs):
        until(lambda: b"up" in open(p.log, "rb").read(), 20, "program %d" % i)
        check_equal(lab.counters(p)["sockets"]["tcp_listeners"], i + 1)


def telemetry_path(pid):
    with open("/proc/%d/net/unix" % pid) as f:
        names = [line.split()[-1] for line in f if "dpdk_telemetry.v2" in line]
    return next(n for n in names if "shunt-%d/" % pid in n)


NUMBERS = """
import os, socket
s = socket.create_server(("0.0.0.0", %d))
while True:
    c, a = s.accept()
    d = os.dup(0)
    c.sendall(b"%%d %%d %%d" %% (s.fileno(), c.fileno(), d))
    os.close(d)
    c.close()
""" % PORT


@links("tap")
def test_takes_no_number(lab):
    """Descriptors of the program are the lowest free ones, as ever."""
    p = lab.server(["/usr/bin/python3", "-c", NUMBERS], PORT)
    for _ in range(10):
        lab.counters(p)
        with lab.connect(PORT) as s:
            listener, conn, dup = map(int, s.recv(100).split())
        check_equal((conn, dup), (listener + 1, listener + 2))


@links("tap")
def test_rude_clients(lab):
    """Who asks and goes does not take a place for good, and nothing of it reaches the program."""
    p = redis(lab)
    path = telemetry_path(p.pid)
    for i in range(40):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(path)
            if i % 2:
                s.send(b"/shunt/counters," * (i % 3) + bytes([i, 255, 0]))

    def served():
        return answers(lab, p.pid)

    until(served, 10, "a place")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(path)
        s.recv(65536)
        for question in (b"/shunt/counters,9", b"/shunt/counters,x", b"/shunt/nothing", b",", b"/shunt/counters,,,"):
            s.send(question)
            check(b"null" in s.recv(65536), question)
    check(b"socket" not in open(p.log, "rb").read(), "the program's output has something")
    check_equal(lab.stop(p), 0)
    check(not os.path.exists(os.path.dirname(path)), "the socket's folder is left")


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
