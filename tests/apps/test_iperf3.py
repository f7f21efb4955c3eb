#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""iperf3 server under Shunt: both directions, several streams, UDP; iperf3 as the client too."""
import json
import sys

import lib
from lib import check, limit, links, need_programs, until

PORT = 5201
EVERY = ("kernel", "tap", "af_packet", "memif", "vhost")


def server(lab):
    need_programs("iperf3")
    p = lab.start(["iperf3", "-s", "--forceflush", "-p", str(PORT)])
    if lab.link == "vhost":
        # virtio_user waits for its other end in bind(2). Elsewhere no such connection: iperf3 counts it as a test.
        lab.first_client(p, PORT)
    return listening(p)


def listening(p):
    until(lambda: b"listening" in open(p.log, "rb").read(), 20, "iperf3 to listen")
    return p


def measure(lab, *args, run=None, addr=lib.OWN_ADDR):
    r = (run or lab.client)(["iperf3", "-J", "-c", addr, "-p", str(PORT), *(args or ["-t", "2"])], timeout=40, check_status=False)
    result = json.loads(r.stdout or b"{}")
    check(r.returncode == 0 and "error" not in result, result.get("error"), r.stderr[-500:])
    end = result["end"]
    total = end.get("sum_received") or end["sum"]
    check(total["bytes"] > 0, "nothing received")
    print("  %s: %.2f Gb/s" % (" ".join(args) or "forward", total["bits_per_second"] / 1e9))
    return end


@links(*EVERY)
def test_forward(lab):
    server(lab)
    measure(lab)


@links(*EVERY)
def test_reverse(lab):
    server(lab)
    measure(lab, "-R", "-t", "2")


def test_four_streams(lab):
    server(lab)
    end = measure(lab, "-P", "4", "-t", "2")
    check(len(end["streams"]) == 4 and all(s["receiver"]["bytes"] > 0 for s in end["streams"]), "a stream starved")
    measure(lab, "-P", "4", "-R", "-t", "2")


def test_both_at_once(lab):
    server(lab)
    measure(lab, "--bidir", "-t", "2")


def test_counted_bytes(lab):
    server(lab)
    end = measure(lab, "-n", "100M")
    # The receiver stops counting when the sender says it is done, a little before all has arrived.
    check(end["sum_sent"]["bytes"] >= 100 << 20 and end["sum_received"]["bytes"] >= 50 << 20, end)


def test_udp(lab):
    server(lab)
    end = measure(lab, "-u", "-b", "50M", "-t", "2")
    check(end["sum"]["packets"] > 0, end["sum"])
    measure(lab, "-u", "-b", "50M", "-R", "-t", "2")


def test_as_client(lab):
    need_programs("iperf3")
    listening(lab.start(["iperf3", "-s", "--forceflush", "-p", str(PORT)], under_shunt=False))
    measure(lab, run=lab.tested, addr=lib.PEER_ADDR)
    measure(lab, "-R", "-t", "2", run=lab.tested, addr=lib.PEER_ADDR)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
