#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""redis-server under Shunt: commands, load, snapshots by a forked child meanwhile, large values, clean end."""
import os
import signal
import socket
import sys

import lib
from lib import check, check_equal, limit, links, need_programs, recv_exactly, until

PORT = 6379
EVERY = ("kernel", "tap", "af_packet", "memif", "vhost")


def redis(lab, *args, **kw):
    need_programs("redis-server", "redis-cli", "redis-benchmark")
    return lab.server(["redis-server", "--bind", "0.0.0.0", "--port", str(PORT), "--protected-mode", "no", "--save", "",
                       "--daemonize", "no", "--dir", lab.dir, *args], PORT, **kw)


def cli(lab, *args, **kw):
    return lab.client(["redis-cli", "-h", lib.OWN_ADDR, "-p", str(PORT), *args], **kw).stdout.decode().strip()


def benchmark(lab, *args, **kw):
    r = lab.client(["redis-benchmark", "-h", lib.OWN_ADDR, "-p", str(PORT), "--csv", *args], **kw)
    lines = [line.split(",") for line in r.stdout.decode().splitlines() if line.startswith('"')]
    return {f[0].strip('"'): float(f[1].strip('"')) for f in lines[1:]}


@links(*EVERY)
def test_commands(lab):
    p = redis(lab)
    check_equal(cli(lab, "ping"), "PONG")
    check_equal(cli(lab, "set", "key", "value"), "OK")
    check_equal(cli(lab, "get", "key"), "value")
    check_equal(cli(lab, "debug", "set-active-expire", "1") != "", True)
    check_equal(lab.stop(p), 0)


def test_pipeline_and_large_values(lab):
    redis(lab)
    s = lab.connect(PORT)
    value = os.urandom(1 << 20)
    for i in range(8):
        s.sendall(b"*3\r\n$3\r\nSET\r\n$2\r\nk%d\r\n$%d\r\n" % (i, len(value)) + value + b"\r\n")
        check_equal(recv_exactly(s, 5), b"+OK\r\n")
    for i in range(8):
        s.sendall(b"*2\r\n$3\r\nGET\r\n$2\r\nk%d\r\n" % i)
        head = b"$%d\r\n" % len(value)
        check_equal(recv_exactly(s, len(head)), head)
        check(recv_exactly(s, len(value) + 2) == value + b"\r\n", "value", i, "came back changed")
    n = 20000
    s.sendall(b"*1\r\n$4\r\nPING\r\n" * n)
    check(recv_exactly(s, 7 * n) == b"+PONG\r\n" * n, "pipelined answers")


@links(*EVERY)
@limit(120)
def test_benchmark(lab):
    p = redis(lab)
    idle = lab.counters(p)
    rates = benchmark(lab, "-n", "20000", "-c", "50", "-t", "ping_inline,set,get,lpush,lrange_100", timeout=100)
    check(rates.get("GET", 0) > 0, rates)
    print("  " + ", ".join("%s %d/s" % (k, v) for k, v in rates.items()))
    if lab.link not in lib.PAIR_LINKS:
        check_equal(cli(lab, "get", "key:__rand_int__"), "VXK")
        until(lambda: "connected_clients:1\r" in cli(lab, "info", "clients") + "\r", 5, "clients to be gone")
        lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)


@limit(120)
def test_bgsave_under_load(lab):
    p = redis(lab)
    benchmark(lab, "-n", "20000", "-r", "5000", "-d", "1000", "-t", "set")
    load = lab.start(["redis-benchmark", "-h", lib.OWN_ADDR, "-p", str(PORT), "-n", "40000", "-c", "20", "-r", "5000", "-d",
                      "1000", "-t", "set,get", "-q"], under_shunt=False)
    for _ in range(3):
        last = cli(lab, "lastsave")
        check("started" in cli(lab, "bgsave"), "bgsave")
        until(lambda: "rdb_bgsave_in_progress:0" in cli(lab, "info", "persistence"), 30, "the snapshot")
        check("rdb_last_bgsave_status:ok" in cli(lab, "info", "persistence"), "snapshot failed after", last)
    check_equal(load.wait(60), 0, "redis-benchmark")
    check_equal(cli(lab, "save"), "OK")
    size = cli(lab, "dbsize")
    check(os.path.getsize(lab.path("dump.rdb")) > 100000, "dump.rdb")
    check_equal(lab.stop(p), 0)
    # The snapshot is what redis says it is: a fresh server loads it.
    redis(lab)
    until(lambda: "loading:0" in cli(lab, "info", "persistence"), 20, "the snapshot to be loaded")
    check_equal(cli(lab, "dbsize"), size)


def test_daemonized(lab):
    """--daemonize yes: the process that was started ends, its child serves and can still fork."""
    need_programs("redis-server", "redis-cli", "redis-benchmark")
    p = lab.start(["redis-server", "--bind", "0.0.0.0", "--port", str(PORT), "--protected-mode", "no", "--save", "",
                   "--daemonize", "yes", "--dir", lab.dir, "--pidfile", lab.path("pid"), "--logfile", lab.path("redis.log")])
    lab.logs.append(lab.path("redis.log"))
    check_equal(p.wait(20), 0, "the starting process")
    until(lambda: os.path.exists(lab.path("pid")), 20, "the daemon")
    pid = int(open(lab.path("pid")).read())
    try:
        until(lambda: b"PONG" in lab.client(["redis-cli", "-h", lib.OWN_ADDR, "-p", str(PORT), "ping"],
                                            check_status=False).stdout, 20, "the daemon to serve")
        check(benchmark(lab, "-n", "5000", "-t", "set,get").get("GET", 0) > 0, "load")
        check("started" in cli(lab, "bgsave"), "bgsave")
        until(lambda: "rdb_bgsave_in_progress:0" in cli(lab, "info", "persistence"), 20, "the snapshot")
        check("rdb_last_bgsave_status:ok" in cli(lab, "info", "persistence"), "the snapshot failed")
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.exists("/proc/%d" % pid), 10, "the daemon to end")


def test_many_connections(lab):
    p = redis(lab)
    idle = lab.counters(p)
    conns = [lab.connect(PORT) for _ in range(500)]
    for s in conns:
        s.sendall(b"PING\r\n")
    for s in conns:
        check_equal(recv_exactly(s, 7), b"+PONG\r\n")
    # Resets are sent once only, so no more of them at a time than the smallest receive ring holds.
    for i, s in enumerate(conns):
        if i % 10 == 0:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if i % 100 == 0:
            ping = lab.connect(PORT)
            ping.sendall(b"PING\r\n")
            check_equal(recv_exactly(ping, 7), b"+PONG\r\n")
            ping.close()
        s.close()
    until(lambda: "connected_clients:1" in cli(lab, "info", "clients"), 5, "connections to be gone")
    lab.check_no_leak(p, idle)


def test_replication_and_publish(lab):
    """A replica on the kernel follows a master under Shunt: fork, a long stream, publish to subscribers."""
    redis(lab)
    benchmark(lab, "-n", "5000", "-r", "100000", "-d", "500", "-t", "set")
    lab.start(["redis-server", "--port", "6380", "--bind", "127.0.0.1", "--save", "", "--dir", lab.dir, "--dbfilename",
               "replica.rdb", "--replicaof", lib.OWN_ADDR, str(PORT)], under_shunt=False, name="replica")

    def replica(*args):
        return lab.client(["redis-cli", "-p", "6380", *args], under_shunt=False, check_status=False).stdout.decode()

    until(lambda: "master_link_status:up" in replica("info", "replication"), 30, "the replica")
    check_equal(replica("dbsize").strip(), cli(lab, "dbsize"))
    s = lab.connect(PORT)
    s.sendall(b"SUBSCRIBE news\r\n")
    recv_exactly(s, len(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"))
    check_equal(cli(lab, "publish", "news", "hello"), "1")
    check(b"hello" in recv_exactly(s, len(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n")), "publish")


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
