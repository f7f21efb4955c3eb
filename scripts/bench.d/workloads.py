# SPDX-License-Identifier: BSD-3-Clause
"""The workloads: which server, which client, and how the client's output becomes a number.

A workload is a class with `name`, `unit`, server(scratch) -> argv, client(seconds) -> argv and
parse(text) -> (value, requests or None, note or None). What a request is for `rate_request()` lets tests/bench/load hold a
given rate for the measurement of CPU time per request.
"""
import json
import os
import re

from places import SERVER_ADDR

WORKLOADS = {}


def workload(cls):
    instance = cls()
    WORKLOADS[instance.name] = instance
    return cls


class Workload:
    unit = "requests/s"
    port = None
    warm_up_s = 0.5

    def rate_request(self):
        """(request, prepare) for load -r, or None where CPU time per request says nothing."""
        return None


class Nginx(Workload):
    port = 8080
    path = "/"
    connections = 64
    header = ()
    sizes = {"/1k": 1 << 10, "/64k": 64 << 10, "/1m": 1 << 20}

    def server(self, scratch):
        root = os.path.join(scratch, "www")
        os.makedirs(root, exist_ok=True)
        for path, size in self.sizes.items():
            with open(root + path, "wb") as f:
                f.write(os.urandom(size))
        conf = os.path.join(scratch, "nginx.conf")
        with open(conf, "w") as f:
            f.write("daemon off; master_process on; worker_processes 1; user root; pid %s/nginx.pid;\n"
                    "error_log %s/nginx.err; worker_rlimit_nofile 8192;\n"
                    "events { worker_connections 4096; }\n"
                    "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n"
                    "  client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3;\n"
                    "  uwsgi_temp_path %s/t4; scgi_temp_path %s/t5;\n"
                    "  server { listen %d backlog=4096; root %s;\n"
                    "    location = / { return 200 'ok'; } } }\n"
                    % (scratch, scratch, scratch, scratch, scratch, scratch, scratch, self.port, root))
        return ["nginx", "-p", scratch, "-c", conf, "-e", scratch + "/nginx.err"]

    def client(self, seconds):
        argv = ["wrk", "-t1", "-c%d" % self.connections, "-d%ds" % max(1, round(seconds))]
        for h in self.header:
            argv += ["-H", h]
        return argv + ["http://%s:%d%s" % (SERVER_ADDR, self.port, self.path)]

    def parse(self, text):
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        if re.search(r"Non-2xx", text) or not requests:
            raise ValueError("wrk got wrong answers: " + text)
        note = " ".join(errors.group(0).split()[2:]) if errors else None
        return rate, requests, note

    def rate_request(self):
        if self.header:
            return None
        return "GET %s HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" % self.path, None


@workload
class NginxReturn(Nginx):
    name = "nginx-return200"


@workload
class Nginx1k(Nginx):
    name, path = "nginx-1k", "/1k"


@workload
class Nginx64k(Nginx):
    name, path = "nginx-64k", "/64k"


@workload
class Nginx1m(Nginx):
    name, path, connections = "nginx-1m", "/1m", 16


@workload
class NginxClose(Nginx):
    name, header = "nginx-close", ("Connection: close",)
    # A second client process under Shunt starts with timestamps and sequence numbers of its own, which the server's
    # TIME-WAIT entries of the first take for old duplicates: it would measure SYN timeouts.
    warm_up_s = 0


class Redis(Workload):
    port = 6379
    test, pipeline = "get", 1
    guess = 100000  # requests/s, corrected by each run: redis-benchmark counts requests, not seconds

    def server(self, scratch):
        return ["redis-server", "--port", str(self.port), "--bind", "0.0.0.0", "--protected-mode", "no",
                "--save", "", "--appendonly", "no", "--dir", scratch, "--daemonize", "no"]

    def client(self, seconds):
        self.count = max(1000, int(self.guess * seconds))
        return ["redis-benchmark", "-h", SERVER_ADDR, "-p", str(self.port), "-c", "50", "-n", str(self.count),
                "-P", str(self.pipeline), "-t", self.test, "--csv"]

    def parse(self, text):
        row = re.search(r'^"%s","([\d.]+)"' % self.test.upper(), text, re.M)
        rate = float(row.group(1))
        if rate <= 0:
            raise ValueError("redis-benchmark measured nothing: " + text)
        self.guess = rate
        return rate, self.count, None

    def rate_request(self):
        if self.pipeline > 1:
            return None
        value = "xxx"
        set_request = "*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$%d\\r\\n%s\\r\\n" % (len(value), value)
        if self.test == "set":
            return set_request, None
        return "*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\nk\\r\\n", set_request


@workload
class RedisGet(Redis):
    name = "redis-get"


@workload
class RedisSet(Redis):
    name, test = "redis-set", "set"


@workload
class RedisGetP16(Redis):
    name, pipeline, guess = "redis-get-p16", 16, 1000000


class Iperf3(Workload):
    unit, port, extra = "Gb/s", 5201, ()

    def server(self, scratch):
        return ["iperf3", "-s", "-p", str(self.port)]

    def client(self, seconds):
        return ["iperf3", "-c", SERVER_ADDR, "-p", str(self.port), "-t", str(max(1, round(seconds))), "-J", *self.extra]

    def parse(self, text):
        report = json.loads(text)
        if "error" in report:
            raise ValueError("iperf3: " + report["error"])
        received = report["end"]["sum_received"]
        return received["bits_per_second"] / 1e9, None, None


@workload
class Iperf3Forward(Iperf3):
    name = "iperf3"


@workload
class Iperf3Reverse(Iperf3):
    name, extra = "iperf3-reverse", ("-R",)


@workload
class MemcachedGet(Workload):
    name, port = "memcached-get", 11211
    request = "get k\\r\\n", "set k 0 0 100\\r\\n%s\\r\\n" % ("x" * 100)

    def server(self, scratch):
        return ["memcached", "-u", "root", "-l", "0.0.0.0", "-p", str(self.port), "-U", "0", "-t", "1"]

    def client(self, seconds):
        return ["@load", "-c", "50", "-s", str(seconds), "-w", "0", SERVER_ADDR, str(self.port), *self.request]

    def parse(self, text):
        report = json.loads(text)
        if not report["requests"]:
            raise ValueError("no request was answered")
        return report["rate"], report["requests"], None

    def rate_request(self):
        return self.request
