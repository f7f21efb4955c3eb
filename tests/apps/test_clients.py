#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""curl, wget and socat under Shunt as clients of kernel servers, socat as a forking server, iperf3 with 8 streams."""
import json
import os
import signal
import subprocess
import sys
import time

import lib
from lib import check, check_equal, limit, need_programs, until

PORT = 8080
SIZES = [1, 1448, 65536, 1 << 20, 8 << 20]
NGINX = """
daemon off; user root; pid %(dir)s/nginx.pid; error_log %(dir)s/nginx.log;
events { worker_connections 512; }
http {
	access_log off; keepalive_requests 1000000; client_max_body_size 1g; client_body_temp_path %(dir)s/t1;
	proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3; uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
	server {
		listen %(port)d backlog=512;
		root %(dir)s/www;
		location /upload/ { dav_methods PUT; create_full_put_path on; }
		location /moved { return 302 /f65536; }
	}
}
"""


def url(path):
    return "http://%s:%d/%s" % (lib.PEER_ADDR, PORT, path)


def nginx_of_the_kernel(lab):
    need_programs("nginx", "curl")
    sums = {size: lab.file_of("www/f%d" % size, size) for size in SIZES}
    conf = lab.write("nginx.conf", NGINX % dict(dir=lab.dir, port=PORT))
    lab.start(["/usr/sbin/nginx", "-p", lab.dir, "-c", conf, "-e", lab.path("nginx.log")], under_shunt=False)
    asked = ["curl", "-sS", "http://127.0.0.1:%d/f1" % PORT]
    until(lambda: lab.client(asked, check_status=False).returncode == 0, 10, "nginx")
    return sums


def repeat(fn):
    """Calls fn for LOAD_S, at least twice."""
    end, n = time.monotonic() + lib.LOAD_S, 0
    while n < 2 or time.monotonic() < end:
        fn()
        n += 1
    print("  %d times" % n)


def test_curl(lab):
    sums = nginx_of_the_kernel(lab)

    def all_at_once():
        outs = sum((["-o", "got%d" % size] for size in SIZES), [])
        urls = [url("f%d" % size) for size in SIZES]
        lab.tested(["curl", "-sS", "--fail", "--parallel", "--max-time", "20", *outs, *urls])
        for size, want in sums.items():
            check_equal(lib.sha256_of(lab.path("got%d" % size)), want, "file of %d bytes:" % size)
        lab.tested(["curl", "-sS", "--fail", "--max-time", "20", "-T", lab.path("www/f%d" % SIZES[-1]), url("upload/u")])
        check_equal(lib.sha256_of(lab.path("www/upload/u")), sums[SIZES[-1]], "upload:")
    repeat(all_at_once)
    lab.tested(["curl", "-sS", "--fail", "-L", "--max-time", "20", "-o", "got", url("moved")])
    check_equal(lib.sha256_of(lab.path("got")), sums[65536], "redirected:")
    r = lab.tested(["curl", "-sS", "--max-time", "20", "http://%s:1/" % lib.PEER_ADDR], check_status=False)
    check_equal(r.returncode, 7, "curl to a closed port")


def test_wget(lab):
    need_programs("wget")
    sums = nginx_of_the_kernel(lab)

    def all_of_one_connection():
        for size in SIZES:
            if os.path.exists(lab.path("f%d" % size)):
                os.unlink(lab.path("f%d" % size))
        lab.tested(["wget", "-nv", "--tries=1", "--timeout=10", *[url("f%d" % size) for size in SIZES]], timeout=30)
        for size, want in sums.items():
            check_equal(lib.sha256_of(lab.path("f%d" % size)), want, "file of %d bytes:" % size)
    repeat(all_of_one_connection)
    lab.tested(["wget", "-nv", "--tries=1", "--timeout=10", "-O", "got", url("moved")])
    check_equal(lib.sha256_of(lab.path("got")), sums[65536], "redirected:")
    # An interrupted download goes on where it stopped.
    with open(lab.path("www/f%d" % SIZES[-1]), "rb") as whole:
        lab.write("part/f%d" % SIZES[-1], whole.read(1000000))
    lab.tested(["wget", "-nv", "-c", "-P", "part", "--tries=1", "--timeout=10", url("f%d" % SIZES[-1])])
    check_equal(lib.sha256_of(lab.path("part/f%d" % SIZES[-1])), sums[SIZES[-1]], "continued:")
    r = lab.tested(["wget", "-nv", "--tries=1", "http://%s:1/" % lib.PEER_ADDR], check_status=False)
    check_equal(r.returncode, 4, "wget to a closed port")


def test_socat_server(lab):
    """A process for each connection, which copies between it and a program's pipes."""
    need_programs("socat")
    p = lab.server(["socat", "TCP4-LISTEN:%d,reuseaddr,fork,backlog=100,max-children=50" % PORT, "EXEC:sha256sum"], PORT)
    idle = lab.counters(p)
    want = {size: lab.file_of("f%d" % size, size) for size in SIZES}

    def hash_all():
        running = [(size, subprocess.Popen(lab.pair.peer.argv("socat", "-t20", "-", "TCP4:%s:%d" % (lib.OWN_ADDR, PORT)),
                                           stdin=open(lab.path("f%d" % size), "rb"), stdout=subprocess.PIPE))
                   for size in SIZES]
        for size, c in running:
            out, _ = c.communicate(timeout=30)
            check_equal(out.decode().split()[:1], [want[size]], "hash of %d bytes:" % size)
    repeat(hash_all)
    lab.check_no_leak(p, idle)
    lab.stop(p, signal.SIGTERM)


def test_socat_client(lab):
    """A file to the peer and one back over one connection, which is shut down in between."""
    need_programs("socat")
    listening = lab.start(["socat", "TCP4-LISTEN:%d,reuseaddr,fork" % PORT, "EXEC:sha256sum"], under_shunt=False)
    until(lambda: lab.client(["sh", "-c", "ss -tln | grep -q :%d" % PORT], check_status=False).returncode == 0, 10, "socat")
    want = lab.file_of("f", 20 << 20)
    r = lab.tested(["socat", "-t20", "OPEN:f,rdonly!!STDOUT", "TCP4:%s:%d" % (lib.PEER_ADDR, PORT)])
    check_equal(r.stdout.decode().split()[:1], [want])
    check(listening.poll() is None, "the server ended")


@limit(90)
def test_iperf3_8_streams(lab):
    need_programs("iperf3")
    p = lab.start(["iperf3", "-s", "--forceflush", "-p", str(PORT)])
    until(lambda: b"listening" in open(p.log, "rb").read(), 20, "iperf3 to listen")
    idle = lab.counters(p)
    for args in ([], ["-R"]):
        r = lab.client(["iperf3", "-J", "-c", lib.OWN_ADDR, "-p", str(PORT), "-P", "8", "-t", str(lib.LOAD_S), *args])
        end = json.loads(r.stdout)["end"]
        check(all(s["receiver"]["bytes"] > 0 for s in end["streams"]) and len(end["streams"]) == 8, "a stream starved")
        print("  %s %.2f Gb/s" % (args, end["sum_received"]["bits_per_second"] / 1e9))
    lab.check_no_leak(p, idle)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
