# SPDX-License-Identifier: BSD-3-Clause
"""One sample: a fresh server, a warm-up, the client's run, and the CPU time the server took for it."""
import json
import os
import re
import subprocess
import tempfile
import time

from places import SERVER_ADDR, net

LISTEN = "0A"
START_S = 10


class SampleError(Exception):
    pass


def descendants(pid):
    """pid and all its descendants that live now."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as f:
                    ppid = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(ppid, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def cpu_seconds(pid):
    """User and system time of a process, its living descendants, and the children it has waited for."""
    ticks = 0
    for p in descendants(pid):
        try:
            with open("/proc/%d/stat" % p) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(x) for x in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def children_seconds():
    """User and system time of the children that ended and were waited for: the clients."""
    t = os.times()
    return t.children_user + t.children_system


def listens(pid, port):
    for name in ("tcp", "tcp6"):
        try:
            with open("/proc/%d/net/%s" % (pid, name)) as f:
                for line in f.readlines()[1:]:
                    words = line.split()
                    if words[3] == LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                        return True
        except OSError:
            pass
    return False


class Server:
    """A running server; ended with everything it started when the `with` block ends."""

    def __init__(self, place, workload, scratch, cores):
        self.place, self.core = place, cores[1]
        self.log = tempfile.TemporaryFile(dir=scratch)
        self.process = subprocess.Popen(place.server_argv(workload.server(scratch), cores[0]), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True)
        self.port = workload.port

    def __enter__(self):
        if self.place.client_brings_link_up():
            try:
                run_client(self.place, ["@load", "-k", SERVER_ADDR, str(self.port)], self.core, START_S)
            except SampleError as e:
                text = self.output()
                self.__exit__()
                raise SampleError("%s; server says: %s" % (e, text or "nothing"))
        deadline = time.monotonic() + START_S
        while not listens(self.process.pid, self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = self.output()
                self.__exit__()
                raise SampleError("the server did not start: " + text)
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        net.end_process(self.process)
        net.kill_group(self.process)

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-600:]

    def start_line(self):
        """What Shunt said of link, offloads and memory; None on the kernel."""
        self.log.seek(0)
        found = re.search(r"^shunt: (.* queues?, .*)$", self.log.read().decode(errors="replace"), re.M)
        return found and found.group(1)


def run_client(place, argv, core, seconds):
    if argv[0] == "@load":
        argv = [os.path.join(place.build, "tests", "bench", "load")] + argv[1:]
    try:
        done = subprocess.run(place.client_argv(argv, core), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=4 * seconds + 20)
    except subprocess.TimeoutExpired:
        raise SampleError("the client did not end within %d s" % (4 * seconds + 20))
    if done.returncode:
        raise SampleError("the client failed (%d): %s" % (done.returncode, (done.stderr + done.stdout).strip()[-400:]))
    return done.stdout


def sample(place, workload, seconds, scratch, cores):
    """Full load: {"value", "cpu_us" per request or None, "both_cpu_us" with the client's, "note", "start_line"}."""
    with Server(place, workload, scratch, cores) as server:
        try:
            if workload.warm_up_s:
                workload.parse(run_client(place, workload.client(workload.warm_up_s), cores[1], 2))
            argv = workload.client(seconds)
            before, client_before = cpu_seconds(server.process.pid), children_seconds()
            value, requests, note = workload.parse(run_client(place, argv, cores[1], seconds))
            used, client_used = cpu_seconds(server.process.pid) - before, children_seconds() - client_before
            start_line = server.start_line()
        except (SampleError, ValueError, AttributeError, KeyError) as e:
            raise SampleError("%s; server says: %s" % (e, server.output() or "nothing"))
    return {"value": value, "cpu_us": used / requests * 1e6 if requests else None,
            "both_cpu_us": (used + client_used) / requests * 1e6 if requests else None, "note": note,
            "start_line": start_line}


def sample_at_rate(place, workload, rate, seconds, scratch, cores):
    """At a given rate of requests: {"cpu_us" per request, "p50_us", "p99_us", "rate"}."""
    request, prepare = workload.rate_request()
    argv = ["@load", "-c", "50", "-r", str(int(rate)), SERVER_ADDR, str(workload.port), request]
    argv += [prepare] if prepare else []
    with Server(place, workload, scratch, cores) as server:
        # The first run learns and warms up; the second is measured.
        run_client(place, argv[:1] + ["-s", "0.5", "-w", "0.2"] + argv[1:], cores[1], 2)
        before = cpu_seconds(server.process.pid)
        text = run_client(place, argv[:1] + ["-s", str(seconds), "-w", "0"] + argv[1:], cores[1], seconds)
        used = cpu_seconds(server.process.pid) - before
        report = json.loads(text)
        if not report["requests"]:
            raise SampleError("no request was answered; server says: " + server.output())
    return {"cpu_us": used / report["requests"] * 1e6, "p50_us": report["p50_us"], "p99_us": report["p99_us"],
            "rate": report["rate"]}


def busy_share(seconds=1.0):
    """Share of this machine's CPU time that others use now."""
    def read():
        with open("/proc/stat") as f:
            v = [int(x) for x in f.readline().split()[1:]]
        return sum(v), v[3] + v[4]
    total0, idle0 = read()
    time.sleep(seconds)
    total1, idle1 = read()
    return 1 - (idle1 - idle0) / max(1, total1 - total0)
