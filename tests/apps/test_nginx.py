#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nginx (master and one worker, sendfile on) under Shunt: files of all sizes, keep-alive, load, uploads, reload."""
import os
import pwd
import signal
import sys

import lib
from lib import check, check_equal, limit, links, need_programs, until

PORT = 8080
# Not memif: it maps the other end's memory when that one connects, which a worker forked before cannot see.
EVERY = ("kernel", "tap", "af_packet", "vhost")
SIZES = [1, 100, 1000, 1447, 1448, 1449, 4096, 16384, 65535, 65536, 100001, 1 << 20, 10 << 20]
MAIN = "daemon off; user root;"
CONF = """
%(main)s worker_processes %(workers)d; pid %(dir)s/nginx.pid; error_log %(dir)s/error.log info;
events { worker_connections 1024; %(events)s }
http {
	access_log off; sendfile %(sendfile)s; tcp_nopush on; keepalive_requests 100000; client_max_body_size 1g;
	client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3;
	uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
	server {
		listen %(port)d backlog=1024 %(listen)s;
		root %(dir)s/www;
		location = /hello { return 200 "hello\\n"; }
		location /upload/ { root %(dir)s/www; dav_methods PUT; client_body_in_file_only off; }
		%(more)s
	}
}
"""


def nginx(lab, workers=1, sendfile="on", events="", listen="", more="", main=MAIN, under_shunt=True, **kw):
    need_programs("nginx", "curl")
    os.makedirs(lab.path("www/upload"), exist_ok=True)
    conf = lab.write("nginx.conf", CONF % dict(dir=lab.dir, workers=workers, sendfile=sendfile, events=events, port=PORT,
                                               listen=listen, more=more, main=main))
    argv = ["/usr/sbin/nginx", "-p", lab.dir, "-c", conf, "-e", lab.path("error.log")]
    lab.logs.append(lab.path("error.log"))
    return lab.server(argv, PORT, under_shunt=under_shunt, **kw)


def url(path, addr=lib.OWN_ADDR):
    return "http://%s:%d/%s" % (addr, PORT, path)


def fetch(lab, path, *args, timeout=60, **kw):
    out = lab.path("download")
    lab.client(["curl", "-sS", "--fail", "--max-time", str(timeout), "-o", out, *args, url(path)], timeout=timeout + 5, **kw)
    return lib.sha256_of(out)


def stop_gracefully(lab, p, expected="\0"):
    status = lab.stop(p, signal.SIGQUIT)
    check_equal(status, 0, "nginx")
    no_alerts(lab, expected)


def no_alerts(lab, expected="\0"):
    errors = [line for line in open(lab.path("error.log")) if any("[%s]" % s in line for s in ("alert", "crit", "emerg")) and expected not in line]
    check(not errors, "".join(errors[:5]))


@links(*EVERY)
def test_hello(lab):
    p = nginx(lab)
    r = lab.client(["curl", "-sS", "-i", url("hello")])
    check(b"200 OK" in r.stdout and r.stdout.endswith(b"hello\n"), r.stdout)
    stop_gracefully(lab, p)


@limit(120)
def test_files(lab):
    sums = {size: lab.file_of("www/f%d" % size, size) for size in SIZES}
    p = nginx(lab)
    idle = lab.counters(p)
    for size, want in sums.items():
        check_equal(fetch(lab, "f%d" % size), want, "file of %d bytes:" % size)
    # All on one connection, in one go.
    r = lab.client(["curl", "-sS", "--fail", *[url("f%d" % size) for size in SIZES], "-o", "/dev/null"])
    check_equal(r.stderr, b"")
    lab.check_no_leak(p, idle)
    stop_gracefully(lab, p)


@limit(120)
def test_files_without_sendfile(lab):
    sums = {size: lab.file_of("www/f%d" % size, size) for size in SIZES[::2]}
    p = nginx(lab, sendfile="off")
    for size, want in sums.items():
        check_equal(fetch(lab, "f%d" % size), want, "file of %d bytes:" % size)
    stop_gracefully(lab, p)


@links(*EVERY)
@limit(120)
def test_200_mb(lab):
    want = lab.file_of("www/big", 200 << 20)
    p = nginx(lab)
    check_equal(fetch(lab, "big", timeout=100), want)
    stop_gracefully(lab, p)


@limit(120)
def test_slow_readers(lab):
    want = lab.file_of("www/f", 3 << 20)
    p = nginx(lab)
    check_equal(fetch(lab, "f", "--limit-rate", "2M"), want)
    # A reader that goes away in the middle disturbs nobody.
    s = lab.connect(PORT)
    s.sendall(b"GET /f HTTP/1.0\r\n\r\n")
    check(lib.recv_exactly(s, 1000), "answer")
    s.close()
    check_equal(fetch(lab, "f"), want)
    stop_gracefully(lab, p)


def test_ranges_and_head(lab):
    lab.file_of("www/f", 100000)
    nginx(lab)
    data = open(lab.path("www/f"), "rb").read()
    r = lab.client(["curl", "-sS", "-r", "99990-", url("f")])
    check(r.stdout == data[99990:], "range")
    r = lab.client(["curl", "-sS", "-I", url("f")])
    check(b"Content-Length: 100000" in r.stdout, r.stdout)
    r = lab.client(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url("missing")])
    check_equal(r.stdout, b"404")


@limit(120)
def test_upload(lab):
    want = lab.file_of("up", 20 << 20)
    nginx(lab)
    lab.client(["curl", "-sS", "--fail", "-T", lab.path("up"), url("upload/up")])
    check_equal(lib.sha256_of(lab.path("www/upload/up")), want)


@links("af_packet")
def test_upload_without_large_receive(lab):
    """lro=off is about what we ask of a device: the peer's kernel hands 64 KB over all the same."""
    want = lab.file_of("up", 5 << 20)
    nginx(lab, keys={"lro": "off"})
    lab.client(["curl", "-sS", "--fail", "--max-time", "20", "-T", lab.path("up"), url("upload/up")])
    check_equal(lib.sha256_of(lab.path("www/upload/up")), want)


@links(*EVERY)
@limit(120)
def test_load(lab):
    need_programs("wrk")
    lab.file_of("www/f1000", 1000)
    p = nginx(lab)
    idle = lab.counters(p)
    for path in ("hello", "f1000"):
        r = lab.client(["wrk", "-t", "1", "-c", "32", "-d", "3", "--timeout", "5", url(path)]).stdout.decode()
        check("Socket errors" not in r and "Non-2xx" not in r, r)
        print("  " + path + ": " + [line.strip() for line in r.splitlines() if "Requests/sec" in line][0])
    if lab.link not in lib.PAIR_LINKS:  # there the client's end goes with the client, and its connections stay
        lab.check_no_leak(p, idle)
    stop_gracefully(lab, p)


@links(*EVERY)
@limit(120)
def test_two_workers(lab):
    """Both take connections, and with several queues each its own queue's."""
    need_programs("wrk")
    digest = lab.file_of("www/f100000", 100000)
    p = nginx(lab, workers=2)
    r = lab.client(["wrk", "-t", "1", "-c", "64", "-d", "3", "--timeout", "5", url("f100000")]).stdout.decode()
    check("Socket errors" not in r and "Non-2xx" not in r, r)
    print("  " + [line.strip() for line in r.splitlines() if "Requests/sec" in line][0])
    for _ in range(10):
        check_equal(fetch(lab, "f100000"), digest)
    stop_gracefully(lab, p)


@limit(120)
def test_connection_per_request(lab):
    need_programs("wrk")
    p = nginx(lab)
    r = lab.client(["wrk", "-t", "1", "-c", "16", "-d", "3", "-H", "Connection: close", url("hello")]).stdout.decode()
    check("Non-2xx" not in r and "read 0" in r or "Socket errors" not in r, r)
    print("  " + [line.strip() for line in r.splitlines() if "Requests/sec" in line][0])
    check_equal(lab.client(["curl", "-sS", url("hello")]).stdout, b"hello\n")
    stop_gracefully(lab, p)


def test_reload_keeps_serving(lab):
    """SIGHUP: new workers serve, the old ones finish what they have begun."""
    lab.file_of("www/f", 8 << 20)
    p = nginx(lab)
    slow = lab.connect(PORT)
    slow.sendall(b"GET /f HTTP/1.0\r\n\r\n")
    answer = lib.recv_exactly(slow, 100000)
    before = lib.descendants(p.pid)
    p.send_signal(signal.SIGHUP)
    until(lambda: set(lib.descendants(p.pid)) - set(before), 10, "a new worker")
    for _ in range(5):
        check_equal(lab.client(["curl", "-sS", "--max-time", "10", url("hello")]).stdout, b"hello\n")
    answer += lib.recv_exactly(slow, 1 << 30)
    check(answer.endswith(b"\r\n\r\n" + open(lab.path("www/f"), "rb").read()), "the slow download")
    until(lambda: not set(before) & set(lib.descendants(p.pid)), 10, "the old worker to end")
    stop_gracefully(lab, p)


def test_daemon_with_workers_of_another_user(lab):
    """As Debian runs it: in the background, the master root, the workers not."""
    os.chmod(lab.dir, 0o777)
    want = lab.file_of("www/f", 3 << 20)
    p = nginx(lab, main="daemon on; user nobody nogroup;")
    check_equal(p.wait(10), 0, "the starting process")
    pid = int(open(lab.path("nginx.pid")).read())
    try:
        worker = lib.descendants(pid)[0]
        check(os.stat("/proc/%d" % worker).st_uid == pwd.getpwnam("nobody").pw_uid, "the worker is root")
        for _ in range(5):
            check_equal(fetch(lab, "f", timeout=20), want)
        os.kill(pid, signal.SIGHUP)
        until(lambda: lib.descendants(pid) and worker not in lib.descendants(pid), 10, "a new worker")
        check_equal(fetch(lab, "f", timeout=20), want)
    finally:
        os.kill(pid, signal.SIGQUIT)
    until(lambda: not os.path.exists("/proc/%d" % pid), 10, "nginx to end")
    no_alerts(lab)


def test_killed_worker_is_replaced(lab):
    p = nginx(lab)
    worker = lib.descendants(p.pid)[0]
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in lib.descendants(p.pid) and lib.descendants(p.pid), 10, "a new worker")
    check_equal(lab.client(["curl", "-sS", "--max-time", "10", url("hello")]).stdout, b"hello\n")
    stop_gracefully(lab, p, expected="exited on signal 9")


@links("kernel", "tap", "af_packet")
@limit(120)
def test_curl_and_wrk_as_clients(lab):
    """The clients are under Shunt, nginx is on the kernel at the other end."""
    need_programs("wrk")
    sums = {size: lab.file_of("www/f%d" % size, size) for size in (1, 65536, 10 << 20)}
    if lab.link == "tap":
        # Nobody has the peer's address yet: the tap comes with the first client.
        nginx_at_peer(lab)
    else:
        nginx_at_peer(lab)
    for size, want in sums.items():
        out = lab.path("download")
        lab.tested(["curl", "-sS", "--fail", "--max-time", "20", "-o", out, url("f%d" % size, lib.PEER_ADDR)])
        check_equal(lib.sha256_of(out), want, "file of %d bytes:" % size)
    r = lab.tested(["wrk", "-t", "2", "-c", "20", "-d", "3", url("hello", lib.PEER_ADDR)]).stdout.decode()
    check("Socket errors" not in r and "Non-2xx" not in r, r)
    print("  wrk: " + [line.strip() for line in r.splitlines() if "Requests/sec" in line][0])


def nginx_at_peer(lab):
    os.makedirs(lab.path("www/upload"), exist_ok=True)
    conf = lab.write("nginx.conf", CONF % dict(dir=lab.dir, workers=1, sendfile="on", events="", port=PORT, listen="",
                                               more="", main=MAIN))
    p = lab.start(["/usr/sbin/nginx", "-p", lab.dir, "-c", conf, "-e", lab.path("error.log")], under_shunt=False)
    until(lambda: lab.client(["curl", "-sS", url("hello", "127.0.0.1")], check_status=False).returncode == 0, 10, "nginx")
    return p


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
