#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench - A/B measurements of Shunt against the kernel; called by scripts/bench, which builds and installs.

Runs are interleaved (kernel, Shunt, kernel, Shunt ...), each with a fresh server, in network namespaces made for
it. Server and client have a core each.
"""
import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile

import measure
import report
from places import LINKS, OFFLOADS, TOP, Place
from workloads import WORKLOADS


def arguments():
    p = argparse.ArgumentParser(prog="bench", description="A/B measurements of Shunt against the kernel.")
    p.add_argument("--quick", action="store_true", help="3 runs of 1 s instead of 5 of 4 s")
    p.add_argument("--link", choices=sorted(LINKS), default="pair",
                   help="pair: client and server on Shunt over vhost/virtio_user; veth: only the server; default pair")
    p.add_argument("--json", metavar="FILE", help="where the rows go; the plot goes beside it (default bench-results/LINK)")
    p.add_argument("--runs", type=int, help="runs of each side")
    p.add_argument("--seconds", type=float, help="length of a run")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key for Shunt, both ends")
    p.add_argument("--side", choices=["kernel", "shunt"], help="measure only one side")
    p.add_argument("--build", default=os.path.join(TOP, "build-bench"), help=argparse.SUPPRESS)
    p.add_argument("workload", nargs="*", metavar="WORKLOAD", help="default all: " + " ".join(WORKLOADS))
    args = p.parse_args()
    for name in args.workload:
        if name not in WORKLOADS:
            p.error("no such workload: %s (there are %s)" % (name, " ".join(WORKLOADS)))
    args.workload = args.workload or list(WORKLOADS)
    args.runs = args.runs or (3 if args.quick else 5)
    args.seconds = args.seconds or (1 if args.quick else 4)
    args.json = args.json or os.path.join(TOP, "bench-results", args.link + ".json")
    return args


# What a figure is called while it is measured.
SAID = {"cpu_us": "us of the server's CPU each", "p50_us": "us median", "p99_us": "us 99th percentile"}


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        both_on_shunt = LINKS[args.link][1] is not None
        # (name, side, offloads of the veth pair). With one end on the kernel both sides use the same pair, and each is
        # compared with the other at equal offloads, without and with them.
        self.sides = [("kernel", "kernel", True), ("shunt", "shunt", True)]
        if not both_on_shunt:
            self.sides = [("kernel", "kernel", False), ("shunt", "shunt", False),
                          ("kernel-on", "kernel", True), ("shunt-on", "shunt", True)]
        if args.side:
            self.sides = [s for s in self.sides if s[1] == args.side]
        self.baseline = "offloads on" if both_on_shunt else "offloads off"
        cores = sorted(os.sched_getaffinity(0))
        self.cores = (cores[0], cores[1 % len(cores)])
        self.done, self.todo = 0, len(args.workload) * args.runs * len(self.sides)
        self.rows, self.failed, self.start_line, self.unit = [], False, None, ""

    def place(self, side, offloads):
        return Place(side, self.args.link, self.args.build, self.scratch, offloads, self.args.set)

    def one(self, what, run, name, side, offloads, take):
        """Takes one sample and says so; None when it failed."""
        place = self.place(side, offloads)
        try:
            result = take(place)
        except measure.SampleError as e:
            result, text = None, "FAILED: %s" % e
            self.failed = True
        else:
            text = "  ".join("%s %s" % (report.number(v), self.unit if k == "value" else SAID.get(k, k))
                             for k, v in result.items() if isinstance(v, (int, float)))
            text += "  " + result["note"] if result.get("note") else ""
            self.start_line = self.start_line or result.get("start_line")
        finally:
            place.close()
        print("  %-16s run %d/%d  %-10s %s" % (what, run + 1, self.args.runs, name, text), flush=True)
        return result

    def samples(self, what, take):
        """{side name: [result, ...]}, runs interleaved. A side that failed twice is not tried again."""
        got = {name: [] for name, _, _ in self.sides}
        failures = {name: 0 for name, _, _ in self.sides}
        for run in range(self.args.runs):
            for name, side, offloads in self.sides:
                if failures[name] >= 2:
                    continue
                result = self.one(what, run, name, side, offloads, take)
                if result is None:
                    failures[name] += 1
                else:
                    got[name].append(result)
        errors = ["%s failed %d times" % (n, c) for n, c in failures.items() if c]
        return got, "; ".join(errors)

    def add_rows(self, workload, metric, key, got, error):
        def values(name):
            return [r[key] for r in got.get(name, []) if r[key] is not None]
        for suffix, baseline in (("", self.baseline), ("-on", "offloads on")):
            kernel, shunt = values("kernel" + suffix), values("shunt" + suffix)
            if kernel or shunt or (error and not suffix):
                self.rows.append(report.make_row(workload.name, self.args.link, baseline, metric, kernel, shunt, error))

    def measure(self, workload):
        args, self.unit = self.args, workload.unit
        got, error = self.samples(workload.name, lambda place: measure.sample(place, workload, args.seconds,
                                                                              self.scratch, self.cores))
        self.add_rows(workload, workload.unit, "value", got, error)
        all_values = [r["value"] for results in got.values() for r in results]
        if LINKS[args.link][1] is not None or not all_values:
            return
        # Each end's kernel does work of the other's in its own time: what both took together is the fairer figure.
        self.add_rows(workload, "both_ends_cpu_us_per_request", "both_cpu_us", got, error)
        if not workload.rate_request():
            return
        # Half of what the slowest run of either side carried: a load that both carry easily.
        rate = min(all_values) / 2
        got, error = self.samples(workload.name + " @%d" % rate, lambda place: measure.sample_at_rate(
            place, workload, rate, args.seconds, self.scratch, self.cores))
        for metric, key in (("server_cpu_us_per_request", "cpu_us"), ("p50_us", "p50_us"), ("p99_us", "p99_us")):
            self.add_rows(workload, metric, key, got, error)


def congestion_control(bench):
    place = bench.place("kernel", True)
    try:
        return place.congestion_control()
    finally:
        place.close()


def describe(bench):
    args, busy = bench.args, measure.busy_share()
    lines = ["%s, Linux %s, %d cores; server on core %d, client on core %d"
             % (platform.machine(), platform.release(), len(os.sched_getaffinity(0)), *bench.cores)]
    if LINKS[args.link][1]:
        lines.append("Shunt: both ends, %s; kernel: both ends over veth with its offloads (%s)"
                     % (LINKS[args.link][0].split(":")[0], " ".join(OFFLOADS)))
    else:
        lines.append("Shunt: the server's end, %s; client on the kernel; both over the same veth pair, without and with "
                     "its offloads" % LINKS[args.link][0])
    lines.append("kernel's congestion control: %s; Shunt's: %s; %d runs of %g s, interleaved"
                 % (congestion_control(bench), next((k.split("=")[1] for k in args.set
                                                     if k.startswith("tcp_congestion_control=")), "cubic"),
                    args.runs, args.seconds))
    if busy > 0.1:
        lines.append("WARNING: the machine is not idle (%d %% busy before the start): trust ratios only, and them little"
                     % (100 * busy))
    return lines


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scratch = tempfile.mkdtemp(prefix="shunt-bench-")
    os.chmod(scratch, 0o755)
    try:
        bench = Bench(args, scratch)
        notes = describe(bench)
        print("\n".join(notes), flush=True)
        for i, name in enumerate(args.workload):
            print("[%d/%d] %s" % (i + 1, len(args.workload), name), flush=True)
            bench.measure(WORKLOADS[name])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if bench.start_line:
        notes.append("Shunt's server said: " + bench.start_line)
        print(notes[-1])
    print("\n" + report.table(bench.rows) + "\n")
    os.makedirs(os.path.dirname(os.path.abspath(args.json)), exist_ok=True)
    report.write_json(bench.rows, args.json)
    plot = os.path.splitext(args.json)[0] + ".svg"
    report.write_svg(bench.rows, plot, "Shunt against the kernel, link " + args.link, notes)
    print("rows: %s\nplot: %s" % (args.json, plot))
    sys.exit(1 if bench.failed else 0)


main()
