#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Apache (threads, and a process for each connection) and lighttpd under Shunt: files, keep-alive, load, reload, end."""
import os
import re
import signal
import sys

import lib
from lib import check, check_equal, limit, need_programs, until

PORT = 8080
SIZES = [1, 1448, 65536, 100001, 5 << 20]
APACHE = """
ServerRoot %(dir)s
ServerName localhost
PidFile %(dir)s/pid
ErrorLog %(dir)s/error.log
Listen 0.0.0.0:%(port)d
DocumentRoot %(dir)s/www
User nobody
Group nogroup
LoadModule mpm_%(mpm)s_module /usr/lib/apache2/modules/mod_mpm_%(mpm)s.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so
ScriptSock %(dir)s/cgi
KeepAlive On
MaxKeepAliveRequests 0
EnableSendfile %(sendfile)s
EnableMMAP %(sendfile)s
%(more)s
<Directory %(dir)s/www>
	Require all granted
	Options ExecCGI
	<FilesMatch "\\.cgi$">
		SetHandler cgi-script
	</FilesMatch>
</Directory>
"""
EVENT = "StartServers 2\nMinSpareThreads 16\nThreadsPerChild 16\nMaxRequestWorkers 64\nServerLimit 4"
PREFORK = "StartServers 4\nMinSpareServers 4\nMaxSpareServers 8\nMaxRequestWorkers 24\nServerLimit 24"
LIGHTTPD = """
server.document-root = "%(dir)s/www"
server.port = %(port)d
server.bind = "0.0.0.0"
server.max-keep-alive-requests = 1000000
server.max-worker = %(workers)d
server.network-backend = "%(backend)s"
server.errorlog = "%(dir)s/error.log"
"""


def url(path):
    return "http://%s:%d/%s" % (lib.OWN_ADDR, PORT, path)


def files(lab):
    lab.write("www/hello", "hello\n")
    lab.write("www/echo.cgi", "#!/bin/sh\nprintf 'Content-type: text/plain\\n\\n'\ncat | sha256sum\n")
    os.chmod(lab.path("www/echo.cgi"), 0o755)
    return {size: lab.file_of("www/f%d" % size, size) for size in SIZES}


def check_files(lab, sums):
    """Each on a connection of its own, then all on one."""
    for size, want in sums.items():
        lab.client(["curl", "-sS", "--fail", "--max-time", "20", "-o", lab.path("got"), url("f%d" % size)])
        check_equal(lib.sha256_of(lab.path("got")), want, "file of %d bytes:" % size)
    lab.client(["curl", "-sS", "--fail", "--max-time", "20", *[url("f%d" % size) for size in sums],
                *["--output-dir", lab.dir, *sum((["-o", "got%d" % size] for size in sums), [])]])
    for size, want in sums.items():
        check_equal(lib.sha256_of(lab.path("got%d" % size)), want, "file of %d bytes on one connection:" % size)


def check_log(lab):
    bad = [line for line in open(lab.path("error.log")) if re.search(r":(emerg|alert|crit|error)\\]|exit signal|\\(E\\)", line)]
    check(not bad, "".join(bad[:5]))


def drive(lab, p):
    sums = files(lab)
    check_files(lab, sums)
    idle = lab.counters(p)
    lab.wrk(url("hello"))
    lab.wrk(url("f100001"), connections=8)
    lab.wrk(url("hello"), "-H", "Connection: close", connections=8)
    check_files(lab, sums)
    return idle


def apache(lab, mpm, more, sendfile="On"):
    need_programs("apache2", "curl", "wrk")
    if not os.path.exists("/usr/lib/apache2/modules/mod_mpm_%s.so" % mpm):
        raise lib.Skipped("apache2 has no mpm_" + mpm)
    os.makedirs(lab.path("www"))
    conf = lab.write("apache.conf", APACHE % dict(dir=lab.dir, port=PORT, mpm=mpm, more=more, sendfile=sendfile))
    lab.logs.append(lab.path("error.log"))
    return lab.server(["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", conf], PORT)


def apache_test(lab, mpm, more):
    p = apache(lab, mpm, more)
    idle = drive(lab, p)
    body = lab.file_of("body", 300000)
    got = lab.client(["curl", "-sS", "--fail", "--max-time", "20", "--data-binary", "@" + lab.path("body"), url("echo.cgi")])
    check_equal(got.stdout.decode().split()[0], body, "what a CGI script read")
    workers = lib.descendants(p.pid)
    p.send_signal(signal.SIGUSR1)  # graceful restart
    until(lambda: not set(workers) & set(lib.descendants(p.pid)), 30, "new workers")
    check_equal(lab.client(["curl", "-sS", "--max-time", "10", url("hello")]).stdout, b"hello\n")
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)
    check_log(lab)


@limit(120)
def test_apache_event(lab):
    apache_test(lab, "event", EVENT)


@limit(120)
def test_apache_prefork(lab):
    apache_test(lab, "prefork", PREFORK)


def lighttpd(lab, backend, workers):
    need_programs("lighttpd", "curl", "wrk")
    os.makedirs(lab.path("www"))
    conf = lab.write("lighttpd.conf", LIGHTTPD % dict(dir=lab.dir, port=PORT, backend=backend, workers=workers))
    lab.logs.append(lab.path("error.log"))
    return lab.server(["/usr/sbin/lighttpd", "-D", "-f", conf], PORT)


@limit(120)
def test_lighttpd(lab):
    p = lighttpd(lab, "sendfile", 0)
    idle = drive(lab, p)
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p, signal.SIGINT), 0)
    check_log(lab)


@limit(120)
def test_lighttpd_writev_and_workers(lab):
    p = lighttpd(lab, "writev", 2)
    sums = files(lab)
    idle = lab.counters(p)
    lab.wrk(url("hello"))
    check_files(lab, sums)
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)
    check_log(lab)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
