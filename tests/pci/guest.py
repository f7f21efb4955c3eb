#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs inside the virtual machine: guest.py LIB PLAN. For each device of the plan (JSON), with its peer, another device of
the machine that the kernel keeps: redis and nginx under Shunt on the one, their clients on the other."""
import hashlib
import json
import os
import random
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "apps")]
import lib
import net
from lib import check, check_equal
from test_nginx import fetch, nginx, stop_gracefully
from test_redis import PORT, benchmark, cli, redis

BIG = 4 << 20
SLOWER = 6  # how much more time things may take than on a real processor
real_until = lib.until


def until(condition, seconds, what):
    real_until(condition, SLOWER * seconds, what)


lib.until = until
LISTENER = "import socket; socket.create_server(('0.0.0.0', 7000)); print('listening', flush=True)"
SYS = "/sys/bus/pci/devices/"


def put(path, text):
    with open(path, "w") as f:
        f.write(text)


def interface_of(bdf):
    """The kernel's name for it; a virtio device has it one level down."""
    for where in (SYS + bdf + "/net", *(SYS + bdf + "/" + d + "/net" for d in os.listdir(SYS + bdf) if d.startswith("virtio"))):
        if os.path.isdir(where):
            return os.listdir(where)[0]
    raise lib.Failure("%s has no interface" % bdf)


def bind(bdf, driver):
    if os.path.exists(SYS + bdf + "/driver"):
        put(SYS + bdf + "/driver/unbind", bdf)
    put(SYS + bdf + "/driver_override", driver)
    put("/sys/bus/pci/drivers_probe", bdf)
    bound = os.path.exists(SYS + bdf + "/driver") and os.path.basename(os.readlink(SYS + bdf + "/driver"))
    check_equal(bound, driver, "driver of " + bdf)


class Ends:
    """What lib.Lab takes for the two ends: the kernel's has the interface of the peer device."""

    def __init__(self, peer):
        self.peer, self.box = net.Ns(), net.Ns()
        name = interface_of(peer)
        self.peer.run("ip", "link", "set", "lo", "up")
        lib.subprocess.run(["nsenter", "--net=/proc/1/ns/net", "ip", "link", "set", name, "netns", self.peer.path], check=True)
        self.peer.run("ip", "addr", "add", "%s/%d" % (net.PEER_ADDR, net.PREFIX_LEN), "dev", name)
        self.peer.run("ip", "link", "set", name, "up")

    def close(self):
        pass


class PciLab(lib.Lab):
    def __init__(self, library, item):
        self.lib, self.link, self.name, self.item = library, "pci", item["name"], item
        self.keys, self.kernel = dict(item.get("keys", {})), False
        self.dir = lib.tempfile.mkdtemp(prefix="pci-")
        os.chmod(self.dir, 0o755)
        self.procs, self.logs, self.n = [], [], 0

    def argv(self, argv, far=False, keys=None):
        keys = {"log": "info", **self.keys, **(keys or {})}
        env = net.shunt_env(self.lib, keys.pop("link", "pci:" + self.item["bdf"]), lib.OWN_ADDR + "/24", **keys)
        return ["env", *env, *argv]

    def refused(self, *words, **keys):
        """A listener is told so in one line, and goes on over the kernel."""
        r = self.tested(["/usr/bin/python3", "-c", LISTENER], timeout=60, keys={"log": "error", **keys})
        err = r.stderr.decode()
        print("  " + err.strip())
        check(all(w in err for w in words) and len(err.splitlines()) == 1, words, "not in:", err)
        check_equal(r.stdout, b"listening\n")


def wake_ups(pid):
    total = 0
    for t in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, t)) as f:
            total += int(next(l for l in f if l.startswith("voluntary_ctxt_switches")).split()[1])
    return total


def interrupts(bdf):
    """Of VFIO's vectors of the device, and all of UIO's lines, which carry no address."""
    with open("/proc/interrupts") as f:
        return sum(int(w) for line in f if "(%s)" % bdf in line or "uio_pci" in line for w in line.split()[1:3])


def start_line(lab, p):
    line = next((l for l in open(p.log) if l.startswith("shunt: ")), "").strip()
    print("  " + line, flush=True)
    check("pci:" + lab.item["bdf"] in line, "no start line:", lab.tail(p.log))
    want = lab.item.get("line", "")
    check(want in line, "no", want, "in it")


def test_bound_to_the_kernel(lab):
    driver = os.path.basename(os.readlink(SYS + lab.item["bdf"] + "/driver"))
    lab.refused("is bound to %s; bind it to vfio-pci: dpdk-devbind.py -b vfio-pci %s" % (driver, lab.item["bdf"]))
    put(SYS + lab.item["bdf"] + "/driver/unbind", lab.item["bdf"])
    lab.refused("has no driver", "dpdk-devbind.py -b vfio-pci")


def test_needs_hugepages(lab):
    lab.refused("without an IOMMU", "hugepages=off", hugepages="off")


def test_redis(lab):
    began = time.monotonic()
    p = redis(lab)
    print("  serves after %.1f s" % (time.monotonic() - began))
    start_line(lab, p)
    check_equal(cli(lab, "ping"), "PONG")
    data = random.Random(BIG).randbytes(BIG)
    with lab.connect(PORT, timeout=60) as s:
        s.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % BIG + data + b"\r\n")
        check_equal(lib.recv_exactly(s, 5), b"+OK\r\n")
        s.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n")
        head = b"$%d\r\n" % BIG
        check_equal(lib.recv_exactly(s, len(head)), head)
        check_equal(hashlib.sha256(lib.recv_exactly(s, BIG + 2)[:BIG]).digest(), hashlib.sha256(data).digest())
    rate = benchmark(lab, "-n", "2000", "-c", "10", "-t", "get")
    print("  GET from 10 connections: %.0f/s" % rate["GET"])
    # A background save is a fork: parent and child go on.
    check("saving" in cli(lab, "bgsave").lower())
    until(lambda: "rdb_bgsave_in_progress:0" in cli(lab, "info", "persistence"), 60, "the snapshot")
    counters = lab.counters(p)
    port = counters["port"]
    print("  port: " + " ".join("%s=%d" % kv for kv in port.items() if kv[1]))
    check(port["rx_packets"] > 1000 and port["tx_packets"] > 1000, port)
    check(counters["stack"]["tcp_passive_opens"] > 10, counters["stack"])
    check(port["tx_errors"] <= lab.item.get("tx_errors", 0), port)
    lab.refused("PCI device %s is in use by another program" % lab.item["bdf"])
    # On emulated processors seconds of CPU say little. How often it wakes says more: redis by itself ten times a second, a
    # nap of a millisecond makes it up to a thousand, a line that stays raised as many as the machine can.
    before, irqs, at = wake_ups(p.pid), interrupts(lab.item["bdf"]), time.monotonic()
    time.sleep(3)
    seconds = time.monotonic() - at
    rate, irqs = (wake_ups(p.pid) - before) / seconds, (interrupts(lab.item["bdf"]) - irqs) / seconds
    print("  idle: %.0f wake-ups and %.0f interrupts a second" % (rate, irqs))
    check(rate < (100 if lab.item.get("sleeps") else 1500), "too many wake-ups")
    check(irqs < 100, "too many interrupts")
    # Not a clean end: the next program must find the device usable whatever the last one did.
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()


def test_nginx(lab):
    want = lab.file_of("www/big", BIG)
    p = nginx(lab)
    start_line(lab, p)
    check(lib.descendants(p.pid), "no worker")
    for _ in range(2):
        check_equal(fetch(lab, "big", timeout=60 * SLOWER // 2), want)
    lab.client(["curl", "-sS", "--fail", "-T", lab.path("www/big"), "http://%s:8080/upload/big" % lib.OWN_ADDR])
    check_equal(lib.sha256_of(lab.path("www/upload/big")), want)
    stop_gracefully(lab, p)


def main():
    library, plan = sys.argv[1], json.loads(sys.argv[2])
    passed = failed = 0
    for item in plan:
        tests = [test_redis, test_nginx]
        if item.get("errors"):
            tests.insert(0, test_bound_to_the_kernel)
        for test in tests + ([test_needs_hugepages] if item.get("physical") else []):
            began, lab, ok = time.monotonic(), None, False
            try:
                if test is tests[0]:
                    ends = Ends(item["peer"])
                    ends.peer.enter()
                if test is test_redis:
                    bind(item["bdf"], item["driver"])
                lab = PciLab(library, item)
                lab.pair = ends
                test(lab)
                ok = True
            except lib.Failure as e:
                print(e)
            except Exception:
                traceback.print_exc(file=sys.stdout)
            finally:
                if lab:
                    lab.close(not ok)
            passed, failed = passed + ok, failed + (not ok)
            print("%-16s %-24s %6.2f s  %s" % (test.__name__[5:], item["name"], time.monotonic() - began,
                                              "ok" if ok else "FAILED"), flush=True)
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
