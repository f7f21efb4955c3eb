#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""floor.py BUILD [RATE [RUNS]] - what a request costs at least on veth: CPU of a server that only answers.

The kernel's TCP, the same program under Shunt, and a server behind AF_PACKET that plays TCP without a stack
(tests/bench/floor.c). The last is what Shunt cannot get below on this link. Interleaved, medians.
"""
import json
import os
import statistics
import sys
import tempfile

import measure
from places import SERVER_ADDR, Place

BYTES = 7


class Echo:
    port = 7000

    def __init__(self, build, packet):
        program = os.path.join(build, "tests", "bench", "floor")
        self.argv = ([program, "packet", "v1", SERVER_ADDR, str(BYTES)] if packet
                     else [program, "tcp", "0.0.0.0", str(self.port), str(BYTES)])

    def server(self, _scratch):
        return self.argv


def sample(build, side, packet, rate, scratch):
    place = Place("shunt" if packet else side, "veth", build, scratch, offloads=False)
    if packet:  # the place of Shunt's server, whose interface has no address of the kernel's, but without Shunt
        place._shunt = lambda _spec, _addr, cmd: list(cmd)
        measure.listens = lambda *_: True
    argv = ["@load", "-c", "50", "-s", "1", "-w", "0.3"] + (["-r", str(rate)] if rate else [])
    try:
        with measure.Server(place, Echo(build, packet), scratch, (0, 1)) as server:
            before = measure.cpu_seconds(server.process.pid)
            text = measure.run_client(place, argv + [SERVER_ADDR, str(Echo.port), "PING"], 1, 2)
            used = measure.cpu_seconds(server.process.pid) - before
    finally:
        place.close()
    report = json.loads(text)
    return used / (report["requests"] * 1.3) * 1e6, report["rate"], report["p50_us"]


def main():
    build, rate = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30000
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    sides = (("kernel", "kernel", False), ("Shunt", "shunt", False), ("AF_PACKET, no stack", "shunt", True))
    listens = measure.listens
    with tempfile.TemporaryDirectory(prefix="shunt-floor-") as scratch:
        for what, r in (("%d requests/s" % rate, rate), ("closed loop", 0)):
            got = {name: [] for name, *_ in sides}
            for _ in range(runs):
                for name, side, packet in sides:
                    measure.listens = listens
                    got[name].append(sample(build, side, packet, r, scratch))
            for name, values in got.items():
                cpu, reached, p50 = (statistics.median(v) for v in zip(*values))
                print("%-20s %-20s %6.2f us of the server's CPU per request, %6.0f requests/s, median %.0f us"
                      % (what, name, cpu, reached, p50), flush=True)


main()
