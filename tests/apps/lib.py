# SPDX-License-Identifier: BSD-3-Clause
"""Runs real programs under Shunt (or, to check a test itself, on the kernel) and watches them.

    TEST.py [LIBSHUNT] [--link kernel|tap|af_packet|memif|vhost] [--set KEY=VALUE] [NAME...]

A test file defines functions test_*(lab) and ends with lib.main(globals()). Each runs in fresh namespaces of its
own (../lib/net.py), with a time limit, and its logs are kept when it fails. Facts that a test waits for are waited
for with until(); nothing sleeps for luck. Links memif and vhost join two programs under Shunt and nothing else.

    lab.server(argv, port)   the tested program, waited for until it accepts connections
    lab.client(argv)         runs a program at the other end and returns what it printed
    lab.connect(port)        a Python socket of the kernel's end
"""
import argparse
import fnmatch
import hashlib
import inspect
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import net
from net import OWN_ADDR, PEER_ADDR, skip

FAR_ADDR = "198.18.0.3"  # the client's stack, where both ends are under Shunt
DEFAULT_LIMIT_S = 60
LONG = bool(os.environ.get("TEST_LONG"))
LOAD_S = 10 if LONG else 2  # how long a load tool drives a program
PAIR_LINKS = ("memif", "vhost")


FIRST_CLIENT = """
import socket, sys, time
end = time.monotonic() + 20
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).close()
        break
    except OSError as e:
        if time.monotonic() > end:
            sys.exit(str(e))
        time.sleep(0.02)
"""


class Skipped(Exception):
    pass


class Failure(Exception):
    pass


def check(ok, *what):
    if not ok:
        raise Failure(" ".join(str(w) for w in what) or "check failed")


def check_equal(got, want, what=""):
    check(got == want, what, "got", repr(got)[:500], "instead of", repr(want)[:500])


def need_programs(*names):
    for name in names:
        if not (shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")):
            raise Skipped("%s is not installed" % name)


def links(*names):
    """Decorator: the test makes sense on these links only."""
    def mark(fn):
        fn.links = names
        return fn
    return mark


def limit(seconds):
    """Decorator: time limit of the test."""
    def mark(fn):
        fn.limit_s = seconds
        return fn
    return mark


class Lab:
    """The world of one test: namespaces, a folder, the processes in it."""

    def __init__(self, opts, name):
        self.lib, self.link, self.name = opts.lib, opts.link, name
        self.keys = dict(k.split("=", 1) for k in opts.set)
        self.dir = tempfile.mkdtemp(prefix="shunt-%s-" % name)
        os.chmod(self.dir, 0o755)
        self.kernel = self.link == "kernel"
        self.pair = net.Pair(box_addr=self.kernel)
        if self.link == "tap":
            self.pair.peer.run("ip", "link", "del", "v0")
        self.pair.peer.enter()
        self.procs, self.logs, self.n = [], [], 0

    # -- programs --

    def argv(self, argv, far=False, keys=None, by=()):
        """The whole command line for argv under Shunt; far: at the client's end of a memif or vhost link; by: a
        program that is not under Shunt itself, and starts it, like setpriv."""
        keys = {**self.keys, **(keys or {})}
        if self.kernel:
            return self.pair.peer.argv(*by, *argv) if far else self.pair.box.argv(*by, *argv)
        addr = FAR_ADDR if far else OWN_ADDR
        ns = self.pair.peer if far or self.link == "tap" else self.pair.box
        sock = os.path.join(self.dir, "link.sock")
        link = {
            "tap": "tap:tap0",
            "af_packet": "af_packet:v1",
            "memif": "memif:" + sock + ("" if far else ",server"),
            # The server has the virtio_user end: its rings are in its own memory, which its children share.
            "vhost": ("vhost:" if far else "virtio_user:") + sock,
        }[self.link]
        if "queues" in keys:
            keys.setdefault("log", "info")  # until_serving() looks for them in the start line
        env = net.shunt_env(self.lib, keys.pop("link", link), keys.pop("addr", addr + "/24"), **keys)
        return ns.argv(*by, "env", *env, *argv)

    def start(self, argv, far=False, keys=None, under_shunt=True, env=None, name=None, pass_fds=(), by=()):
        """Starts a program that stays; its output goes to a log in the test's folder."""
        self.n += 1
        log = os.path.join(self.dir, "%d-%s.log" % (self.n, name or os.path.basename(argv[0])))
        self.logs.append(log)
        full = self.argv(argv, far, keys, by) if under_shunt else self.pair.peer.argv(*by, *argv)
        with open(log, "wb") as out:
            p = subprocess.Popen(full, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self.dir,
                                 start_new_session=True, env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        p.log, p.argv0 = log, os.path.basename(argv[0])
        self.procs.append(p)
        return p

    def server(self, argv, port, **kw):
        """Starts a server and waits until a connection to it succeeds."""
        p = self.start(argv, **kw)
        self.until_serving(p, port)
        return p

    def until_serving(self, p, port):
        self.until_connected(p, port)
        if "queues" in self.keys and not self.kernel:
            check(", %s queues, " % self.keys["queues"] in self.tail(p.log, 1 << 20), "fewer queues:", self.tail(p.log))

    def until_connected(self, p, port):
        if self.link in PAIR_LINKS:
            self.first_client(p, port)
            return

        def serving():
            if p.poll():  # 0: it may have put itself into the background
                raise Failure("%s ended with status %s:\n%s" % (p.argv0, p.returncode, self.tail(p.log)))
            try:
                self.connect(port, timeout=1).close()
                return True
            except OSError:
                return False
        until(serving, 20, "%s to serve port %d" % (p.argv0, port))

    def first_client(self, p, port):
        """Connects under Shunt until it succeeds: the other end that a virtio_user end waits for in its first bind(2)."""
        r = self.client(["/usr/bin/python3", "-c", FIRST_CLIENT, OWN_ADDR, str(port)], timeout=30, check_status=False)
        if p.poll() is not None:
            raise Failure("%s ended with status %s:\n%s" % (p.argv0, p.returncode, self.tail(p.log)))
        check(r.returncode == 0, "no connection to", p.argv0, tail_text(r.stderr), self.tail(p.log))

    def client(self, argv, timeout=60, check_status=True, stdin=None, keys=None, under_shunt=None):
        """Runs a program at the peer's end to its end: on the kernel, on memif and vhost under Shunt."""
        if under_shunt is None:
            under_shunt = self.link in PAIR_LINKS
        full = self.argv(argv, far=True, keys=keys) if under_shunt else self.pair.peer.argv(*argv)
        return self.finish(full, timeout, check_status, stdin)

    def tested(self, argv, timeout=60, check_status=True, stdin=None, keys=None):
        """Runs a program under Shunt (at the tested end) to its end."""
        return self.finish(self.argv(argv, keys=keys), timeout, check_status, stdin)

    def finish(self, full, timeout, check_status, stdin):
        p = subprocess.Popen(full, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.dir, start_new_session=True)
        try:
            out, err = p.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            net.kill_group(p)
            out, err = p.communicate()
            raise Failure("took more than %d s: %s\n%s\n%s" % (timeout, " ".join(full), tail_text(out), tail_text(err)))
        r = subprocess.CompletedProcess(full, p.returncode, out, err)
        if check_status:
            check(r.returncode == 0, "status", r.returncode, "of", " ".join(full), "\n" + tail_text(out),
                  "\n" + tail_text(err))
        return r

    def wrk(self, url, *args, connections=16, run=None, allowed_errors=0):
        """Drives a web server for LOAD_S; every answer must be a good one. Returns how many there were."""
        need_programs("wrk")
        text = (run or self.client)(["wrk", "-t", "1", "-c", str(connections), "-d", str(LOAD_S), "--timeout", "5", *args,
                                     url], timeout=LOAD_S + 30).stdout.decode()
        errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
        done = int(re.search(r"(\d+) requests in", text).group(1))
        check(errors <= allowed_errors and "Non-2xx" not in text and done > 0, text)
        print("  wrk %s: %d/s" % (" ".join(args) or "keep-alive", done // LOAD_S))
        return done

    def connect(self, port, timeout=10):
        s = socket.create_connection((OWN_ADDR, port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def stop(self, p, sig=signal.SIGTERM, grace_s=10):
        """Ends a server as an administrator would and checks that it went by itself."""
        p.send_signal(sig)
        try:
            return p.wait(grace_s)
        except subprocess.TimeoutExpired:
            raise Failure("%s did not end %d s after signal %d\n%s" % (p.argv0, grace_s, sig, self.tail(p.log)))

    # -- what the stack says --

    def counters(self, p):
        """Its counters, or None on the kernel."""
        return None if self.kernel else counters(self.lib, getattr(p, "pid", p))

    def count(self, p, before=None):
        """The stack's counters, or how far they rose since `before`."""
        now = self.counters(p)["stack"]
        return {name: value - before[name] for name, value in now.items()} if before else now

    def check_rose(self, p, before, *names):
        """Each of these counters rose since `before` (a count()); soon, for what is dropped when it is next polled."""
        for name in names:
            until(lambda: self.kernel or self.count(p, before)[name] > 0, 10, "the counter %s to rise" % name)

    def check_no_leak(self, p, before, spare_mbufs=64, seconds=20):
        """Once the clients have gone: no connection is left, and no more packet buffers are in use than `before` (a
        counters() of the idle program). spare_mbufs: what a ring or a cache may keep until it is next used."""
        if self.kernel:
            return
        def left():
            now = self.counters(p)
            used = now["mbufs"]["in_use"] - before["mbufs"]["in_use"]
            return {k: v for k, v in {
                "connections": now["sockets"]["tcp_connections"] - before["sockets"]["tcp_connections"],
                "orphans": now["sockets"]["tcp_orphans"],
                "UDP sockets": now["sockets"]["udp_sockets"] - before["sockets"]["udp_sockets"],
                "buffers held": now["tables"]["held_mbufs"] - before["tables"]["held_mbufs"],
                "buffers": max(used - spare_mbufs, 0)}.items() if v > 0}
        try:
            until(lambda: not left(), seconds, "everything to be given back")
        except Failure as e:
            raise Failure("%s: %s" % (e, left()))

    # -- files --

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, data):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb" if isinstance(data, bytes) else "w") as f:
            f.write(data)
        return path

    def copy_for_all(self, path):
        """A copy that any user can reach: the checkout may be in a home that others cannot enter."""
        os.chmod(self.dir, 0o755)
        copy = shutil.copy(path, self.dir)
        os.chmod(copy, 0o755)
        return copy

    def file_of(self, name, size):
        """A file of pseudo-random bytes; returns its SHA-256. Different sizes have different contents."""
        import random
        rnd, digest, left = random.Random(size), hashlib.sha256(), size
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            block = rnd.randbytes(1 << 20)
            while left:
                # A counter in each megabyte, so that megabytes swapped would be noticed.
                piece = (b"%16d" % left + block[16:])[:left]
                f.write(piece)
                digest.update(piece)
                left -= len(piece)
        return digest.hexdigest()

    def tail(self, path, size=3000):
        try:
            with open(path, "rb") as f:
                return tail_text(f.read(), size)
        except OSError as e:
            return str(e)

    # -- end --

    def close(self, failed):
        for p in reversed(self.procs):
            if p.poll() is None:
                p.terminate()
        for p in reversed(self.procs):
            net.end_process(p)
            net.kill_group(p)
        if failed:
            for log in self.logs:
                print("--- %s\n%s" % (log, self.tail(log)))
            print("logs kept in " + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        self.pair.close()


def tail_text(data, size=2000):
    return data[-size:].decode(errors="replace") if isinstance(data, bytes) else str(data)[-size:]


def until(condition, seconds, what):
    """Waits for a fact; raises when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure("waited %d s in vain for %s" % (seconds, what))
        time.sleep(0.01)


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def recv_exactly(s, n):
    parts = []
    while n:
        b = s.recv(min(n, 1 << 20))
        if not b:
            break
        parts.append(b)
        n -= len(b)
    return b"".join(parts)


def recv_until(s, end):
    data = b""
    while not data.endswith(end):
        more = s.recv(65536)
        if not more:
            break
        data += more
    return data


def cpu_seconds(pid):
    """CPU time of a process and all its threads so far."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def launcher(lib):
    return os.path.join(os.path.dirname(os.path.abspath(lib)), "shunt")


def ask(lib, pid, what="stat"):
    """What a program under Shunt answers to `shunt stat PID --json` (or dump, why); Failure when it does not."""
    r = subprocess.run([launcher(lib), what, str(pid), "--json"], capture_output=True, text=True, timeout=30)
    if r.returncode:
        raise Failure("shunt %s %d: %s" % (what, pid, r.stderr.strip()))
    return json.loads(r.stdout)


def counters(lib, pid):
    """All counters of a program under Shunt: {"stack": {...}, "sockets": {...}, "mbufs": {...}, "port": {...}}."""
    return ask(lib, pid)["/shunt/counters"]


def descendants(pid):
    out = subprocess.run(["ps", "-eo", "pid,ppid"], stdout=subprocess.PIPE, text=True).stdout
    children = {}
    for line in out.splitlines()[1:]:
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, todo = [], [pid]
    while todo:
        for c in children.get(todo.pop(), []):
            found.append(c)
            todo.append(c)
    return found


def _alarm(signum, frame):
    raise Failure("test took too long")


def main(names):
    ap = argparse.ArgumentParser()
    ap.add_argument("lib", nargs="?")
    ap.add_argument("patterns", nargs="*")
    ap.add_argument("--link", default="kernel", choices=["kernel", "tap", "af_packet", *PAIR_LINKS])
    ap.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    opts = ap.parse_intermixed_args()
    if opts.lib and not opts.lib.endswith(".so"):
        opts.patterns.insert(0, opts.lib)
        opts.lib = None
    if opts.link != "kernel":
        if not opts.lib or not os.path.exists(opts.lib):
            skip("no library %s" % opts.lib)
        opts.lib = os.path.abspath(opts.lib)
    net.require_root()
    signal.signal(signal.SIGALRM, _alarm)
    # Under a TERM of the test runner everything started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    tests = [(n[5:], f) for n, f in names.items() if n.startswith("test_") and inspect.isfunction(f)]
    passed = failed = skipped = 0
    for name, fn in tests:
        if opts.patterns and not any(fnmatch.fnmatch(name, p) for p in opts.patterns):
            continue
        if opts.link not in getattr(fn, "links", ("kernel", "tap", "af_packet")):
            continue
        began, lab, verdict = time.monotonic(), None, "failed"
        signal.alarm(getattr(fn, "limit_s", DEFAULT_LIMIT_S))
        try:
            lab = Lab(opts, name)
            fn(lab)
            passed, verdict = passed + 1, "ok"
        except Skipped as e:
            skipped, verdict = skipped + 1, "skipped: %s" % e
        except Exception as e:
            failed += 1
            if isinstance(e, Failure):
                where = traceback.extract_tb(e.__traceback__)
                lines = [str(f.lineno) for f in where if "lib.py" not in f.filename]
                print("%s (line %s)" % (e, " ".join(lines)))
            else:
                traceback.print_exc(file=sys.stdout)
        finally:
            signal.alarm(0)
            if lab:
                lab.close(verdict == "failed")
        print("%-32s %-10s %6.2f s  %s" % (name, opts.link, time.monotonic() - began, verdict), flush=True)
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else net.SKIP if skipped and not passed else 0)
