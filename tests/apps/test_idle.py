#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What an idle server costs and how fast it answers then; what starting costs. Prints figures.

Asserts only what no busy machine can spoil by a factor: CPU time is counted by the kernel for the process, so an idle
one that uses ten times its budget spins. Latencies and start-up times are printed, and asserted as medians against
generous bounds.
"""
import os
import socket
import statistics
import struct
import subprocess
import sys
import time

import lib
from lib import check, check_equal, limit, links, need_programs, recv_exactly, until
from test_redis import PORT, redis

IDLE_S = 3
# Share of a core. redis itself wakes ten times a second for its own housekeeping.
BUDGET = {"kernel": 0.01, "tap": 0.01, "af_packet": 0.01, "vhost": 0.01, "memif": 0.05}

# A client that opens connections, sleeps, and then measures single requests: run under Shunt on pair links.
CLIENT = """
import socket, statistics, sys, time
conns = []
for _ in range(50):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(b"PING\\r\\n")
    assert s.recv(7) == b"+PONG\\r\\n"
    conns.append(s)
print("open", flush=True)
sys.stdin.readline()
times = []
for i in range(200):
    s = conns[i % 50]
    time.sleep(0.003)
    t = time.perf_counter()
    s.sendall(b"PING\\r\\n")
    assert s.recv(7) == b"+PONG\\r\\n"
    times.append(time.perf_counter() - t)
print("%.1f %.1f" % (statistics.median(times) * 1e6, statistics.quantiles(times, n=100)[98] * 1e6), flush=True)
"""


@links("kernel", "tap", "af_packet", "memif", "vhost")
def test_idle_redis_with_50_connections(lab):
    p = redis(lab)
    argv = ["/usr/bin/python3", "-c", CLIENT, lib.OWN_ADDR, str(PORT)]
    full = lab.argv(argv, far=True) if lab.link in lib.PAIR_LINKS else lab.pair.peer.argv(*argv)
    with subprocess.Popen(full, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as c:
        try:
            check_equal(c.stdout.readline(), b"open\n")
            before, began = lib.cpu_seconds(p.pid), time.monotonic()
            time.sleep(IDLE_S)  # not to wait for anything: this is the measurement
            share = (lib.cpu_seconds(p.pid) - before) / (time.monotonic() - began)
            c.stdin.write(b"\n")
            c.stdin.flush()
            median, p99 = c.stdout.readline().split()
        finally:
            c.kill()
    print("  idle: %.2f %% of a core; request after a pause: median %s us, 99th percentile %s us"
          % (100 * share, median.decode(), p99.decode()))
    # The clock ticks at 100 Hz, so one tick in three seconds is 0.33 %.
    check(share <= BUDGET[lab.link] + 0.005, "an idle server uses %.1f %% of a core" % (100 * share))


def seconds(argv, n=15):
    times = []
    for _ in range(n):
        t = time.perf_counter()
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - t)
    return statistics.median(times)


@links("tap")
def test_program_without_sockets(lab):
    preloaded = ["env"] + lib.net.shunt_env(lab.lib, "tap:tap0") + ["/bin/true"]
    launcher = os.path.join(os.path.dirname(lab.lib), "shunt")
    plain, under, launched = seconds(["env", "/bin/true"]), seconds(preloaded), seconds([launcher, "--", "/bin/true"])
    print("  /bin/true: plain %.2f ms, preloaded %.2f ms, by the launcher %.2f ms"
          % (1e3 * plain, 1e3 * under, 1e3 * launched))
    check(under - plain < 0.05, "preloading costs %.1f ms" % (1e3 * (under - plain)))


FIRST_SOCKET = """
import socket, sys, time
t = time.perf_counter()
s = socket.create_server(("%s", %d))
print(time.perf_counter() - t, flush=True)
c, a = s.accept()
c.sendall(b"x")
""" % (lib.OWN_ADDR, PORT)


@links("kernel", "tap", "af_packet")
def test_first_socket_to_serving(lab):
    """A client that comes as soon as listen() has returned is served by its first frame: nothing is sent twice.

    One that comes before is not counted: on a veth whose other end nobody has opened its SYN is lost, and sent again
    after a second.
    """
    times, serving, again = [], [], []
    for i in range(5):
        began = time.perf_counter()
        p = lab.start(["/usr/bin/python3", "-c", FIRST_SOCKET])
        until(lambda: open(p.log).read().endswith("\n"), 20, "the listener")
        with lab.connect(PORT) as s:
            check_equal(recv_exactly(s, 1), b"x")
            serving.append(time.perf_counter() - began)
            info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            again.append(struct.unpack_from("I", info, 100)[0])  # tcpi_total_retrans
        check_equal(p.wait(20), 0)
        times.append(float(open(p.log).read().splitlines()[-1]))
    print("  first listen(): %.0f ms; program started to served: %.0f ms"
          % (1e3 * statistics.median(times), 1e3 * statistics.median(serving)))
    check_equal(again, [0] * 5, "segments that the client sent again:")


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
