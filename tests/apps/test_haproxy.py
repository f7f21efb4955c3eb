#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""HAProxy with threads under Shunt: HTTP and TCP mode, clients and server behind the stack, splice asked for.

The server is nginx on the kernel, at the client's end of the wire, so each byte goes through the stack twice.
"""
import os
import signal
import sys

import lib
from lib import check, check_equal, limit, need_programs, until

HTTP, TCP, BACKEND = 8080, 8081, 8088
SIZES = [1, 65536, 100001, 5 << 20]
CONF = """
global
	nbthread 4
	stats socket %(dir)s/stats level admin
	tune.maxaccept 64
defaults
	timeout connect 5s
	timeout client 20s
	timeout server 20s
	option splice-auto
	option splice-request
	option splice-response
	retries 0
frontend web
	mode http
	bind 0.0.0.0:%(http)d
	http-request set-header X-Via haproxy
	default_backend web
backend web
	mode http
	http-reuse always
	server s1 %(peer)s:%(backend)d check inter 200ms
listen raw
	mode tcp
	bind 0.0.0.0:%(tcp)d
	server s1 %(peer)s:%(backend)d
"""
NGINX = """
daemon off; user root; pid %(dir)s/nginx.pid; error_log %(dir)s/nginx.log;
events { worker_connections 1024; }
http {
	access_log off; keepalive_requests 1000000; client_max_body_size 1g; client_body_temp_path %(dir)s/t1;
	proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3; uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
	server {
		listen %(backend)d backlog=1024 reuseport;
		root %(dir)s/www;
		location = /hello { return 200 "hello\\n"; }
		location = /via { return 200 "$http_x_via\\n"; }
		location /upload/ { dav_methods PUT; create_full_put_path on; }
	}
}
"""


def url(port, path):
    return "http://%s:%d/%s" % (lib.OWN_ADDR, port, path)


def haproxy(lab):
    need_programs("haproxy", "nginx", "wrk", "curl")
    os.makedirs(lab.path("www/upload"), exist_ok=True)
    names = dict(dir=lab.dir, http=HTTP, tcp=TCP, backend=BACKEND, peer=lib.PEER_ADDR)
    conf = lab.write("nginx.conf", NGINX % names)
    lab.start(["/usr/sbin/nginx", "-p", lab.dir, "-c", conf, "-e", lab.path("nginx.log")], under_shunt=False)
    until(lambda: lab.client(["curl", "-sS", "http://127.0.0.1:%d/hello" % BACKEND], check_status=False).returncode == 0,
          10, "nginx")
    p = lab.server(["/usr/sbin/haproxy", "-db", "-f", lab.write("haproxy.conf", CONF % names)], HTTP)
    # Up after its first health check, which needs an answer from the other end.
    until(lambda: curl(lab, HTTP, "hello", check_status=False) == b"hello\n", 20, "the server behind haproxy")
    return p


def curl(lab, port, path, *args, **kw):
    return lab.client(["curl", "-sS", "--fail", "--max-time", "30", *args, url(port, path)], **kw).stdout


def check_content(lab):
    sums = {size: lab.file_of("www/f%d" % size, size) for size in SIZES}
    for port in (HTTP, TCP):
        for size, want in sums.items():
            curl(lab, port, "f%d" % size, "-o", lab.path("got"))
            check_equal(lib.sha256_of(lab.path("got")), want, "file of %d bytes over port %d:" % (size, port))
        name = "upload/%d" % port
        curl(lab, port, name, "-T", lab.path("www/f%d" % SIZES[-1]))
        check_equal(lib.sha256_of(lab.path("www", name)), sums[SIZES[-1]], "uploaded over port %d:" % port)
    check_equal(curl(lab, HTTP, "via"), b"haproxy\n")


@limit(150)
def test_threads(lab):
    p = haproxy(lab)
    idle = lab.counters(p)
    check_content(lab)
    for port in (HTTP, TCP):
        lab.wrk(url(port, "hello"), connections=32)
    lab.wrk(url(HTTP, "f100001"), connections=8)
    lab.wrk(url(TCP, "f65536"), "-H", "Connection: close", connections=8)
    check_content(lab)
    if not lab.kernel:
        check(lab.counters(p)["sockets"]["tcp_connections"] > 0 and lab.count(p)["tcp_active_opens"] > 0, "the kernel's sockets")
    lab.check_no_leak(p, idle_without_reuse(idle))
    check_equal(lab.stop(p, signal.SIGUSR1, 30), 0)


def idle_without_reuse(idle):
    """haproxy keeps connections to the server open for reuse: up to one for each client of the load."""
    if idle:
        idle["sockets"]["tcp_connections"] += 32
    return idle


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
