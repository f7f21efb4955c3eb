#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What goes away for good, belongs to another, or never was: the interface under a running service, a tap that somebody
has or has just left, and hugepages of the kernel."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps"))
import lib
from lib import check, check_equal, limit, links, need_programs, until

PORT = 7300
# Serves both sides: the link, and loopback, which is the kernel's. Connections it has lost end by their user timeout.
SERVER = """
import select, socket, sys
s = socket.create_server(("0.0.0.0", %d))
ep = select.epoll()
ep.register(s.fileno(), select.EPOLLIN)
conns = {}
print("listening", flush=True)
while True:
    for fd, ev in ep.poll():
        if fd == s.fileno():
            c, a = s.accept()
            c.setsockopt(socket.IPPROTO_TCP, 18, 1000)  # TCP_USER_TIMEOUT
            conns[c.fileno()] = c
            ep.register(c.fileno(), select.EPOLLIN)
            continue
        try:
            data = conns[fd].recv(4096)
            if data:
                conns[fd].sendall(data)
        except OSError as e:
            print("lost:", e.strerror, flush=True)
            data = b""
        if not data:
            ep.unregister(fd)
            conns.pop(fd).close()
""" % PORT


def echoed(s, data):
    s.sendall(data)
    return lib.recv_exactly(s, len(data)) == data


@links("tap", "af_packet")
@limit(90)
def test_interface_deleted(lab):
    """Nothing more comes or goes there, the kernel's side is served on, no core is burnt, and the end is clean."""
    import socket
    p = lab.server(["/usr/bin/python3", "-c", SERVER], PORT)
    s = lab.connect(PORT)
    check(echoed(s, b"before"), "echo")
    # The same program also sends by itself: what it owes when the link goes must time out, not hang.
    ns = lab.pair.peer if lab.link == "tap" else lab.pair.box
    ns.run("ip", "link", "del", "tap0" if lab.link == "tap" else "v1")
    loopback = ["/usr/bin/python3", "-c", "import socket; s = socket.create_connection(('127.0.0.1', %d), 5); "
                "s.sendall(b'after'); print(s.recv(9).decode())" % PORT]
    for _ in range(3):
        r = lab.finish(ns.argv(*loopback), 10, False, None)
        check_equal(r.stdout, b"after\n", r.stderr[-300:])
    before = lib.cpu_seconds(p.pid)
    time.sleep(2)  # not to wait for anything: this is the measurement
    used = lib.cpu_seconds(p.pid) - before
    check(used < 0.5, "%.0f %% of a core without a link" % (50 * used))
    check(p.poll() is None, "the server died")
    s.close()
    lab.stop(p)
    check_equal(open(p.log).read().replace("lost: Connection timed out\n", ""), "listening\n")


@links("af_packet")
def test_kernel_without_hugepages(lab):
    """As on a kernel that has none: hugepages=on says how many are wanted, auto goes on without a word."""
    need_programs("unshare", "mount")
    program = "import socket; s = socket.create_server(('198.18.0.2', %d)); print('listening')" % PORT
    for mode, words in (("on", "hugepages=on needs"), ("auto", "")):
        full = lab.argv(["/usr/bin/python3", "-c", program], keys={"hugepages": mode})
        at = full.index("env")
        # Only this process sees the empty folder.
        masked = ["unshare", "-m", "--propagation", "private", "sh", "-c",
                  'mount -t tmpfs none /sys/kernel/mm/hugepages && exec "$@"', "sh", *full[at:]]
        r = lab.finish(full[:at] + masked, 20, False, None)
        err = r.stderr.decode()
        check(words in err and bool(err) == bool(words), mode, "said:", err)
        if mode == "auto":
            check_equal((r.returncode, r.stdout), (0, b"listening\n"))


LISTENER = """
import socket
s = socket.create_server(("0.0.0.0", %d))
print("listening", flush=True)
""" % (PORT + 1)


@links("tap")
def test_tap_of_another_program(lab):
    """It is not shared: the first goes on undisturbed, the second is told so and goes on over the kernel."""
    p = lab.server(["/usr/bin/python3", "-c", SERVER], PORT)
    s = lab.connect(PORT)
    r = lab.tested(["/usr/bin/python3", "-c", LISTENER], timeout=20)
    err = r.stderr.decode()
    check(r.stdout == b"listening\n" and "tap0 belongs to another program" in err and len(err.splitlines()) == 1, r.stdout, err)
    for _ in range(20):
        check(echoed(s, b"still"), "the first program's connection")
        with lab.connect(PORT, timeout=2) as other:
            check(echoed(other, b"new"), "a new connection")
    s.close()
    lab.stop(p)


@links("tap")
def test_restart_at_once(lab):
    """The next program may find the tap of its predecessor in the act of going."""
    for _ in range(8):
        p = lab.server(["/usr/bin/python3", "-c", SERVER], PORT)
        s = lab.connect(PORT)
        check(echoed(s, b"x" * 100000), "echo")
        p.kill()
        p.wait()
        r = lab.tested(["/usr/bin/python3", "-c", LISTENER], timeout=20)
        check_equal((r.stdout, r.stderr), (b"listening\n", b""))
        s.close()


@links("tap")
def test_interfaces_made_in_advance(lab):
    """A persistent tap is used and stays; what is no tap is refused by name."""
    peer = lab.pair.peer
    peer.run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap", "multi_queue")
    p = lab.server(["/usr/bin/python3", "-c", SERVER], PORT)
    check(echoed(lab.connect(PORT), b"x"), "echo")
    r = lab.tested(["/usr/bin/python3", "-c", LISTENER], timeout=20)
    check(b"tap0 belongs to another program" in r.stderr, r.stderr)
    lab.stop(p)
    check("tap0" in peer.run("ip", "-o", "link", capture_output=True, text=True).stdout, "the persistent tap is gone")
    peer.run("ip", "link", "del", "tap0")
    peer.run("ip", "link", "add", "tap0", "type", "veth", "peer", "name", "tap0other")
    r = lab.tested(["/usr/bin/python3", "-c", LISTENER], timeout=20)
    check(b"tap0 exists and is no tap" in r.stderr and r.stdout == b"listening\n", r.stdout, r.stderr)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
