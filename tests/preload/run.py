#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the differential cases on the kernel and under Shunt and compares what they print, byte for byte.

    run.py DIFF_CASES [LIBSHUNT] [--link tap|af_packet] [--jobs N] [-v] [CASE-PATTERN...]

Without LIBSHUNT (or when it does not exist) each case runs twice on the kernel: that shows that the cases
themselves are deterministic. Exit status 0: no difference but those listed in deviations.txt beside this file.
"""
import argparse
import difflib
import fnmatch
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import net

CASE_TIMEOUT_S = 20


def deviations():
    """{case: reason} of what may differ: the published table of deviations."""
    table = {}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "deviations.txt")
    with open(path) as f:
        for line in f:
            line = line.strip()
            if line and not line.startswith("#"):
                case, reason = line.split(None, 1)
                table[case] = reason
    return table


class Place:
    """Where cases run: a pair of namespaces, on the kernel or under Shunt."""

    def __init__(self, exe, lib, link, keys):
        self.exe, self.lib, self.link, self.keys = exe, lib, link, keys
        self.pair = net.Pair(box_addr=lib is None)
        if lib and link == "tap":
            self.pair.peer.run("ip", "link", "del", "v0")

    def tested_argv(self, case, fd, port):
        cmd = [self.exe, case, str(fd), str(port)]
        if not self.lib:
            return self.pair.box.argv(*cmd)
        if self.link == "tap":
            ns, link = self.pair.peer, "tap:dtap0"
        else:
            ns, link = self.pair.box, "af_packet:v1"
        return ns.argv("env", *net.shunt_env(self.lib, link, **self.keys), *cmd)

    def wait_for_room(self):
        """A process that ended with data on its way has left a child behind (drain.c), which keeps the tap a little."""
        end = time.monotonic() + CASE_TIMEOUT_S
        while "dtap0" in net.interface_names(self.pair.peer) and time.monotonic() < end:
            time.sleep(0.02)

    def run(self, case, port):
        """Returns (text, stderr, seconds)."""
        if self.lib and self.link == "tap":
            self.wait_for_room()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        began = time.monotonic()
        with ours, theirs:
            peer = subprocess.Popen(self.pair.peer.argv(self.exe, "--peer", str(theirs.fileno()), str(port)),
                                    pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
            tested = subprocess.Popen(self.tested_argv(case, ours.fileno(), port),
                                      pass_fds=[ours.fileno()], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        end = ""
        try:
            out, err = tested.communicate(timeout=CASE_TIMEOUT_S)
            if tested.returncode < 0:
                end = "KILLED by signal %d\n" % -tested.returncode
            elif tested.returncode:
                end = "EXIT %d\n" % tested.returncode
        except subprocess.TimeoutExpired:
            net.kill_group(tested)
            out, err = tested.communicate()
            end = "TIMEOUT\n"
        try:
            peer_out, _ = peer.communicate(timeout=CASE_TIMEOUT_S if not end else 1)
        except subprocess.TimeoutExpired:
            net.kill_group(peer)
            peer_out = peer.communicate()[0] + b"PEER TIMEOUT\n"
        if self.lib and self.link == "tap":
            self.until_tap_is_gone()
        text = out.decode(errors="replace") + end + peer_out.decode(errors="replace")
        return text, err.decode(errors="replace"), time.monotonic() - began

    def until_tap_is_gone(self):
        """What a case left undelivered is delivered by a process that outlives it and holds the interface."""
        deadline = time.monotonic() + CASE_TIMEOUT_S
        while "dtap0" in net.interface_names(self.pair.peer) and time.monotonic() < deadline:
            time.sleep(0.01)


def worker(opts, todo, results):
    keys = dict(k.split("=", 1) for k in opts.set)
    kernel = Place(opts.exe, None, None, {})
    other = Place(opts.exe, opts.lib, opts.link, keys)
    while True:
        try:
            index, case = todo.get_nowait()
        except queue.Empty:
            return
        port = 10000 + 16 * (index % 1000)
        want = kernel.run(case, port)
        got = other.run(case, port)
        results.put((case, want, got))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("exe")
    ap.add_argument("lib", nargs="?")
    ap.add_argument("patterns", nargs="*")
    ap.add_argument("--link", default="tap", choices=["tap", "af_packet"])
    ap.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("-v", action="store_true", help="print the text of every case")
    opts = ap.parse_intermixed_args()
    if opts.lib and not opts.lib.endswith(".so"):
        opts.patterns.insert(0, opts.lib)
        opts.lib = None
    if opts.lib:
        opts.lib = os.path.abspath(opts.lib)
        if not os.path.exists(opts.lib):
            net.skip("no %s" % opts.lib)
    opts.exe = os.path.abspath(opts.exe)
    net.require_root()

    cases = subprocess.run([opts.exe, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    todo, results = queue.Queue(), queue.Queue()
    for i, c in enumerate(cases):
        if not opts.patterns or any(fnmatch.fnmatch(c, p) for p in opts.patterns):
            todo.put((i, c))
    n = todo.qsize()
    if not n:
        sys.exit("no case matches")
    threads = [threading.Thread(target=worker, args=(opts, todo, results), daemon=True)
               for _ in range(min(opts.jobs, n))]
    for t in threads:
        t.start()

    known, passed, failed, deviating, stale = deviations(), 0, [], 0, []
    for _ in range(n):
        case, (want, _, _), (got, err, seconds) = results.get(timeout=4 * CASE_TIMEOUT_S)
        broken = not re.search(r"^end$", want, re.M) or re.search(r"^(FAILED|(PEER )?TIMEOUT|KILLED)", want, re.M)
        if want == got and not broken:
            passed += 1
            if case in known and opts.lib:
                stale.append(case)
            verdict = "ok"
        elif case in known and opts.lib and not broken:
            deviating += 1
            verdict = "deviates: " + known[case]
        else:
            failed.append(case)
            verdict = "FAILS ON THE KERNEL" if broken else "DIFFERS"
        print("%-44s %5.2f s  %s" % (case, seconds, verdict), flush=True)
        if opts.v:
            print(got)
        if verdict == "DIFFERS" or broken:
            print("".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True), "kernel",
                                               "shunt" if opts.lib else "kernel again", n=30)))
            if err:
                print("stderr:\n" + err[-3000:])
    for t in threads:
        t.join()
    if stale:
        print("no longer deviating, take them off deviations.txt: " + " ".join(stale))
    if failed:
        print("differing: " + " ".join(sorted(failed)))
    print("%d cases agree, %d deviate as listed, %d differ" % (passed, deviating, len(failed)))
    print("%d passed, %d failed" % (passed + deviating, len(failed)))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
