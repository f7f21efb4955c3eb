#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Files through a bad link: 3 % loss, 2 % reordering, 1 % duplication in both directions, made by impair.c.

    peer v0 ◄─veth─► c0 [impair] c1 ◄─veth─► v1 box

TEST_LONG=1: 200 MB instead of 20 MB.
"""
import os
import sys

import lib
import net
from lib import check, check_equal, limit, links, need_programs, until

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_nginx

SIZE = (200 if os.environ.get("TEST_LONG") else 20) << 20
IMPAIR = os.environ.get("IMPAIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/tests/apps/impair"))


def bad_cable(lab, loss=3, reorder=2, duplicate=1, seed=1):
    """Takes the direct cable away and puts the bad one in."""
    need_programs("ethtool")
    middle, pair = net.Ns(), lab.pair
    pair.peer.run("ip", "link", "del", "v0")
    for ns, end, mine in ((pair.peer, "v0", "c0"), (pair.box, "v1", "c1")):
        middle.run("ip", "link", "add", mine, "type", "veth", "peer", "name", end, "netns", ns.path)
        middle.run("ip", "link", "set", mine, "up")
        if end == "v0":
            ns.run("ip", "addr", "add", lib.PEER_ADDR + "/24", "dev", end)
        elif lab.kernel:
            ns.run("ip", "addr", "add", lib.OWN_ADDR + "/24", "dev", end)
        ns.run("ip", "link", "set", end, "up")
        # Whole frames with whole checksums, on all four ends.
        for n, i in ((ns, end), (middle, mine)):
            n.run("ethtool", "-K", i, "tx", "off", "tso", "off", "gso", "off", "gro", "off", stdout=-3, stderr=-3)
    log = lab.path("impair.log")
    p = lab.start(["nsenter", "--net=" + middle.path, IMPAIR, "c0", "c1", str(loss), str(reorder), str(duplicate), str(seed)],
                  under_shunt=False, name="impair")
    until(lambda: b"ready" in open(p.log, "rb").read(), 10, "impair")
    p.middle = middle
    return p


def finish(lab, cable):
    lab.stop(cable)
    cable.middle.close()
    report = lab.tail(cable.log).split("\n")[1]
    print("  " + report)
    words = report.split()
    check(int(words[3]) > 0 and int(words[5]) > 0 and int(words[7]) > 0, "the cable was not bad:", report)


@links("kernel", "af_packet")
@limit(300)
def test_download(lab):
    cable = bad_cable(lab)
    want = lab.file_of("www/big", SIZE)
    p = test_nginx.nginx(lab)
    check_equal(test_nginx.fetch(lab, "big", timeout=280), want)
    test_nginx.stop_gracefully(lab, p)
    finish(lab, cable)


@links("kernel", "af_packet")
@limit(300)
def test_upload(lab):
    cable = bad_cable(lab, seed=2)
    want = lab.file_of("up", SIZE)
    p = test_nginx.nginx(lab)
    lab.client(["curl", "-sS", "--fail", "--max-time", "280", "-T", lab.path("up"), test_nginx.url("upload/up")], timeout=285)
    check_equal(lib.sha256_of(lab.path("www/upload/up")), want)
    test_nginx.stop_gracefully(lab, p)
    finish(lab, cable)


@links("kernel", "af_packet")
@limit(180)
def test_sizes_each_on_its_connection(lab):
    cable = bad_cable(lab, seed=3)
    sums = {size: lab.file_of("www/f%d" % size, size)
            for size in (1, 2, 1447, 1448, 1449, 10000, 65535, 65536, 65537, 100000, 1 << 20, 5 << 20)}
    test_nginx.nginx(lab)
    for _ in range(3):
        for size, want in sums.items():
            check_equal(test_nginx.fetch(lab, "f%d" % size, timeout=30), want, "file of %d bytes:" % size)
    finish(lab, cable)


@links("kernel", "af_packet")
@limit(300)
def test_client(lab):
    """curl under Shunt, nginx on the kernel at the other end."""
    cable = bad_cable(lab, seed=4)
    test_nginx.nginx_at_peer(lab)
    for size in (1, 65536, SIZE):
        want = lab.file_of("www/f%d" % size, size)
        lab.tested(["curl", "-sS", "--fail", "--max-time", "130", "-o", lab.path("down"),
                    test_nginx.url("f%d" % size, lib.PEER_ADDR)], timeout=140)
        check_equal(lib.sha256_of(lab.path("down")), want, "file of %d bytes:" % size)
        lab.tested(["curl", "-sS", "--fail", "--max-time", "130", "-T", lab.path("www/f%d" % size),
                    test_nginx.url("upload/f%d" % size, lib.PEER_ADDR)], timeout=140)
        check_equal(lib.sha256_of(lab.path("www/upload/f%d" % size)), want, "file of %d bytes uploaded:" % size)
    finish(lab, cable)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
