#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong before anything is served: each time one clear line, and the program goes on over the kernel, or
ends where fallback=off says so."""
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps"))
import lib
import net
from lib import check, check_equal, links, need_programs, until

PORT = 7000
# A program that needs a network: listens everywhere, says so, serves one connection if asked to.
LISTENER = """
import socket, sys
s = socket.create_server(("0.0.0.0", %d))
print("listening", flush=True)
""" % PORT


def listener(lab, **keys):
    """Runs it under Shunt with these keys; returns (status, stdout, stderr)."""
    r = lab.tested(["/usr/bin/python3", "-c", LISTENER], check_status=False, timeout=20, keys=keys)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def check_fallback(lab, words, **keys):
    """The program goes on over the kernel, after one line with the words; with fallback=off it does not."""
    status, out, err = listener(lab, **keys)
    check(status == 0 and "listening" in out, "the program did not go on:", status, err)
    lines = [line for line in err.splitlines() if line.strip()]
    check(len(lines) == 1, "not one line:", err)
    for w in words:
        check(w in err, "no word of", w, "in:", err)
    status, out, err = listener(lab, fallback="off", **keys)
    check(status != 0 and "listening" not in out, "went on despite fallback=off:", status, out, err)
    check(words[0] in err, "no word of", words[0], "in:", err)


@links("af_packet")
def test_no_such_interface(lab):
    check_fallback(lab, ["nosuch0"], link="af_packet:nosuch0")
    check_fallback(lab, ["nosuch0"], link="af_xdp:nosuch0")


@links("af_packet")
def test_tap_of_another_kind(lab):
    check_fallback(lab, ["lo exists and is no tap"], link="tap:lo")


@links("af_packet")
def test_no_such_device(lab):
    check_fallback(lab, ["0000:99:00.0"], link="pci:0000:99:00.0")


# As sysfs shows it: devices with this class and these links. Only the program sees them.
FAKE_PCI = """
mount -t tmpfs none /sys/bus/pci && mkdir -p /sys/bus/pci/devices && cd /sys/bus/pci/devices || exit 9
add() { mkdir -p $1 drivers/$3 groups/7 && echo $2 >$1/class && [ -z "$3" ] || ln -s ../drivers/$3 $1/driver; }
add 0000:00:05.0 0x020000 e1000
add 0000:00:06.0 0x020000
add 0000:00:07.0 0x010802 nvme
add 0000:00:08.0 0x020000 vfio-pci
add 0000:00:09.0 0x020000 vfio-pci; ln -s ../groups/shunt-none 0000:00:09.0/iommu_group
add 0000:00:0a.0 0x020000 uio_pci_generic
cd / && exec "$@"
"""


@links("af_packet")
def test_pci_device_that_cannot_be_had(lab):
    need_programs("unshare", "mount")
    if not os.path.isdir("/sys/bus/pci"):
        raise lib.Skipped("this machine has no PCI")
    for bdf, words in (("0000:00:05.0", "PCI device 0000:00:05.0 is bound to e1000; bind it to vfio-pci: "
                                        "dpdk-devbind.py -b vfio-pci 0000:00:05.0"),
                       ("00:05.0", "PCI device 0000:00:05.0 is bound to e1000"),
                       ("00:06.0", "0000:00:06.0 has no driver: bind it to vfio-pci"),
                       ("00:07.0", "0000:00:07.0 is no network device"),
                       ("00:08.0", "0000:00:08.0 has no IOMMU group: enable the IOMMU"),
                       ("00:09.0", "/dev/vfio/shunt-none of PCI device 0000:00:09.0 cannot be opened"),
                       ("00:0a.0", "of PCI device 0000:00:0a.0 cannot be opened"),
                       ("00:0b.0", "no such PCI device: 0000:00:0b.0")):
        for link in ("pci:", "dpdk:"):
            full = lab.argv(["/usr/bin/python3", "-c", LISTENER], keys={"link": link + bdf})
            at = full.index("env")
            r = lab.finish(full[:at] + ["unshare", "-m", "--propagation", "private", "sh", "-c", FAKE_PCI, "sh", *full[at:]], 20,
                           True, None)
            err = r.stderr.decode()
            check(words in err and len(err.splitlines()) == 1, "no word of", words, "in:", err)
            check_equal(r.stdout, b"listening\n")


@links("af_packet")
def test_no_pci_address(lab):
    for bdf in ("somewhere", "0000:00:05", "00:20.0", "00:05.8", "0000:00:05.0:1", "-1:00.0", "0x0:00:05.0", " 00:05.0"):
        check_fallback(lab, ["is no PCI address: use pci:0000:03:00.0"], link="pci:" + bdf)


@links("af_packet")
def test_bad_link_words(lab):
    for link in ("", "bogus:v1", "tap:name-much-too-long-for-an-interface", "memif:"):
        status, out, err = listener(lab, link=link)
        check("shunt" in err, "nothing said about link", repr(link), status, err)


@links("af_packet")
def test_address_used_by_another(lab):
    lab.pair.peer.run("ip", "addr", "add", lib.OWN_ADDR + "/24", "dev", "v0")
    mac = lab.pair.peer.run("cat", "/sys/class/net/v0/address", capture_output=True, text=True, check=False).stdout.strip()
    status, out, err = listener(lab)
    check(lib.OWN_ADDR in err, "nobody was told that", lib.OWN_ADDR, "is taken:", status, err)
    check("listening" in out, "the program did not go on:", err)
    if mac:
        check(mac in err, "whose it is was not said:", err)


@links("af_packet")
def test_no_hugepages(lab):
    with open("/proc/sys/vm/nr_hugepages") as f:
        if int(f.read()):
            raise lib.Skipped("this machine has hugepages")
    check_fallback(lab, ["hugepages"], hugepages="on")
    status, out, err = listener(lab, hugepages="auto")
    check_equal((status, out, err), (0, "listening\n", ""), "hugepages=auto")


AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@links("af_packet")
def test_no_permission(lab):
    need_programs("setpriv")
    lab.lib = lab.copy_for_all(lab.lib)
    full = lab.argv(["/usr/bin/python3", "-c", LISTENER])
    at = full.index("env")
    as_nobody = full[:at] + AS_NOBODY + ["--inh-caps=-all"] + full[at:]
    r = lab.finish(as_nobody, 20, False, None)
    err = r.stderr.decode()
    check(r.stdout == b"listening\n", "the program did not go on:", err)
    check(re.search("permi|privilege|not allowed|CAP_NET", err, re.I), "no word of the permission:", err)
    check_equal(len(err.strip().splitlines()), 1, "lines on stderr: " + err)


@links("tap")
def test_unprivileged_in_a_user_namespace(lab):
    need_programs("setpriv", "unshare")
    if subprocess.run(AS_NOBODY + ["unshare", "-Urn", "true"], stderr=subprocess.DEVNULL).returncode:
        raise lib.Skipped("this system gives users no namespaces")
    lab.lib = lab.copy_for_all(lab.lib)
    full = lab.argv(["/usr/bin/python3", "-c", LISTENER + """
import subprocess
c = subprocess.Popen(["/usr/bin/python3", "-c",
                      "import socket; s = socket.create_connection(('%s', %d), 10); print(s.recv(5).decode())"],
                     env={"PATH": "/usr/bin"})
a, peer = s.accept()
a.sendall(b"hello")
c.wait()
print(peer[0])
""" % (lib.OWN_ADDR, PORT)])
    at = full.index("env")
    as_nobody = AS_NOBODY + ["unshare", "-Urn"] + full[at:]
    r = lab.finish(as_nobody, 30, False, None)
    check(b"hello" in r.stdout and lib.PEER_ADDR.encode() in r.stdout, r.stdout, r.stderr)


@links("tap", "af_packet")
def test_port_taken_by_a_kernel_program(lab):
    ns = lab.pair.peer if lab.link == "tap" else lab.pair.box
    holder = lab.finish(ns.argv("true"), 5, True, None)
    del holder
    p = subprocess.Popen(ns.argv("/usr/bin/python3", "-c", LISTENER + "\nsys.stdin.read()"), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    try:
        check_equal(p.stdout.readline(), b"listening\n")
        status, out, err = listener(lab)
        check("Address already in use" in err and status == 1, status, out, err)
    finally:
        p.stdin.close()
        p.wait(5)
        p.stdout.close()
    status, out, err = listener(lab)
    check_equal((status, out, err), (0, "listening\n", ""), "after it was freed:")


@links("tap")
def test_unknown_keys(lab):
    for key, word in (("lnk", "link"), ("mbuf", "mbufs"), ("tcp_sak", "tcp_sack")):
        r = lab.tested(["/usr/bin/python3", "-c", LISTENER], check_status=False, keys={key: "1"})
        err = r.stderr.decode()
        check(word in err.lower(), "the nearest key to", key, "is not named:", err)
        check(b"listening" in r.stdout, "the program did not run")
    for key, value in (("mbufs", "many"), ("mbufs", "1"), ("log", "loud"), ("addr", "1.2.3"), ("spin_us", "-1")):
        r = lab.tested(["/usr/bin/python3", "-c", LISTENER], check_status=False, keys={key: value})
        err = r.stderr.decode()
        check(key in err.lower(), "nothing said about", key, "=", value, ":", err)


@links("tap")
def test_launcher_refuses(lab):
    launcher = os.path.join(os.path.dirname(lab.lib), "shunt")
    for args in (["--set", "bogus=1"], ["--link", "bogus:x"], ["--addr", "nonsense"], ["--set", "mbufs=none"], ["--what"],
                 ["--config", "/nonexistent/file"], []):
        r = lab.finish([launcher, *args, *(["/bin/true"] if args else [])], 10, False, None)
        check_equal(r.returncode, 2, "status of shunt " + " ".join(args))
        check(r.stderr, "nothing said about", args)
    r = lab.finish([launcher, "--", "/nonexistent/program"], 10, False, None)
    check(r.returncode in (126, 127) and b"/nonexistent/program" in r.stderr, r.returncode, r.stderr)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
