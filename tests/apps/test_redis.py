#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""redis-server under Shunt: commands, load, snapshots and rewrites by a forked child, threads, replicas, end."""
import os
import signal
import socket
import sys
import time

import lib
from lib import check, check_equal, limit, links, need_programs, recv_exactly, until

PORT = 6379
EVERY = ("kernel", "tap", "af_packet", "memif", "vhost")
LOADED = ("kernel", "tap", "af_packet") if lib.LONG else ("kernel", "tap")


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


def load(lab, *args):
    """redis-benchmark that runs until it is ended."""
    return lab.start(["redis-benchmark", "-h", lib.OWN_ADDR, "-p", str(PORT), "-c", "20", "-r", "5000", "-d", "500", "-t",
                      "set,get,incr", "-l", "-q", *args], under_shunt=False)


def commands_done(lab):
    return int([line for line in cli(lab, "info", "stats").split() if line.startswith("total_commands_processed:")][0].split(":")[1])


@links(*LOADED)
@limit(120)
def test_append_only_rewrite_under_load(lab):
    """A child rewrites the append-only file while commands come in; a fresh server then knows all that was answered."""
    p = redis(lab, "--appendonly", "yes", "--appendfsync", "everysec")
    idle = lab.counters(p)
    driven, end, rewrites = load(lab), time.monotonic() + lib.LOAD_S, 0
    while rewrites < 2 or time.monotonic() < end:
        cli(lab, "bgrewriteaof")
        idle_line = "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0"
        until(lambda: idle_line in cli(lab, "info", "persistence"), 30, "the rewrite")
        check("aof_last_bgrewrite_status:ok" in cli(lab, "info", "persistence"), "the rewrite failed")
        rewrites += 1
    check(driven.poll() is None, "the load ended:", lab.tail(driven.log))
    lib.net.end_process(driven)
    check_equal(cli(lab, "set", "last", "one"), "OK")
    digest = cli(lab, "debug", "digest")
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)
    redis(lab, "--appendonly", "yes")
    until(lambda: "loading:0" in cli(lab, "info", "persistence"), 20, "the file to be loaded")
    check_equal(cli(lab, "debug", "digest"), digest)


@limit(120)
def test_io_threads(lab):
    """Four threads read and write the clients' sockets."""
    p = redis(lab, "--io-threads", "4", "--io-threads-do-reads", "yes")
    idle = lab.counters(p)
    driven = [load(lab), load(lab, "-P", "16")]
    s, value, end = lab.connect(PORT), os.urandom(300000), time.monotonic() + lib.LOAD_S
    while time.monotonic() < end:
        s.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % len(value) + value + b"\r\n")
        s.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n")
        want = b"+OK\r\n$%d\r\n" % len(value) + value + b"\r\n"
        check(recv_exactly(s, len(want)) == want, "a value came back changed")
    s.close()
    check("io_threads_active:1" in cli(lab, "info", "server"), "the threads did nothing")
    check(all(d.poll() is None for d in driven), "the load ended")
    print("  %d commands/s" % (commands_done(lab) / lib.LOAD_S))
    for d in driven:
        lib.net.end_process(d)
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)


def test_mass_insertion(lab):
    """redis-cli --pipe: writes without reading, then counts the answers."""
    p = redis(lab)
    idle = lab.counters(p)
    n = 500000 if lib.LONG else 100000
    data = b"".join(b"*3\r\n$3\r\nSET\r\n$7\r\nk%06d\r\n$6\r\n%06d\r\n" % (i, i) for i in range(n))
    text = cli(lab, "--pipe", stdin=data)
    check("errors: 0, replies: %d" % n in text, text)
    check_equal(cli(lab, "dbsize"), str(n))
    check_equal(cli(lab, "get", "k%06d" % (n - 1)), "%06d" % (n - 1))
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)


@links(*LOADED)
@limit(120)
def test_replicas_and_subscribers_under_load(lab):
    """A replica follows while commands come in, and every message reaches every subscriber in order."""
    p = redis(lab, "--repl-diskless-sync-delay", "0")
    idle = lab.counters(p)
    driven = load(lab)
    subscribers = [lab.connect(PORT) for _ in range(20)]
    hello = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
    for s in subscribers:
        s.sendall(b"SUBSCRIBE news\r\n")
        check_equal(recv_exactly(s, len(hello)), hello)
    replica = lab.start(["redis-server", "--port", "6380", "--bind", "127.0.0.1", "--save", "", "--dir", lab.dir, "--dbfilename",
                         "replica.rdb", "--replicaof", lib.OWN_ADDR, str(PORT)], under_shunt=False, name="replica")
    at_replica = ["redis-cli", "-p", "6380"]
    until(lambda: b"master_link_status:up" in lab.client(at_replica + ["info", "replication"], under_shunt=False,
                                                         check_status=False).stdout, 30, "the replica")
    source, end, n = lab.connect(PORT), time.monotonic() + lib.LOAD_S, 0
    while time.monotonic() < end:
        source.sendall(b"PUBLISH news %08d\r\n" % n)
        check_equal(recv_exactly(source, 5), b":20\r\n")
        n += 1
    for s in subscribers:
        want = b"".join(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$8\r\n%08d\r\n" % i for i in range(n))
        check(recv_exactly(s, len(want)) == want, "messages are missing or out of order")
        s.close()
    source.close()
    check(driven.poll() is None, "the load ended:", lab.tail(driven.log))
    lib.net.end_process(driven)
    check_equal(cli(lab, "wait", "1", "10000"), "1")
    copy = lab.client(at_replica + ["debug", "digest"], under_shunt=False)
    check_equal(copy.stdout.decode().strip(), cli(lab, "debug", "digest"))
    print("  %d messages" % n)
    lib.net.end_process(replica)
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
