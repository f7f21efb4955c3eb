#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Beyond the link: a gateway with a network behind it, narrow paths, fragments, and DNS clients.

    far  198.19.0.2/24 f0 ◄─veth─► r0 198.19.0.1/24  peer (forwards)  198.18.0.1/24 ◄── link ──► the tested program, gw=198.18.0.1
"""
import socket
import struct
import sys
import threading

import lib
import net
import test_nginx
from lib import check, check_equal, limit, links, need_programs, until

FAR_HOST, FAR_ROUTER = "198.19.0.2", "198.19.0.1"
PORT = 7200


class Far:
    """A namespace behind the peer, which becomes a router."""

    def __init__(self, lab, mtu=1500):
        self.lab, self.ns = lab, net.Ns()
        peer = lab.pair.peer
        peer.run("ip", "link", "add", "r0", "mtu", str(mtu), "type", "veth", "peer", "name", "f0", "mtu", str(mtu), "netns",
                 self.ns.path)
        for ns, dev, addr in ((peer, "r0", FAR_ROUTER), (self.ns, "f0", FAR_HOST)):
            ns.run("ip", "addr", "add", addr + "/24", "dev", dev)
            ns.run("ip", "link", "set", dev, "up")
        self.ns.run("ip", "route", "add", "default", "via", FAR_ROUTER)
        peer.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter;"
                             "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")
        if lab.kernel:
            lab.pair.box.run("ip", "route", "add", "default", "via", lib.PEER_ADDR)

    def argv(self, *argv):
        return ["nsenter", "--net=" + self.ns.path, *argv]

    def start(self, *argv, **kw):
        return self.lab.start(self.argv(*argv), under_shunt=False, **kw)

    def run(self, *argv, timeout=60, **kw):
        return self.lab.finish(self.argv(*argv), timeout, kw.pop("check_status", True), None)

    def close(self):
        self.ns.close()


GW = {"gw": lib.PEER_ADDR}


@limit(120)
def test_server_behind_a_gateway(lab):
    """A far kernel client downloads and uploads."""
    far = Far(lab)
    sums = {size: lab.file_of("www/f%d" % size, size) for size in (1, 1449, 65536, 10 << 20)}
    want = lab.file_of("up", 5 << 20)
    p = test_nginx.nginx(lab, keys=GW)
    for size, digest in sums.items():
        far.run("curl", "-sS", "--fail", "--max-time", "30", "-o", lab.path("got"), test_nginx.url("f%d" % size))
        check_equal(lib.sha256_of(lab.path("got")), digest, "file of %d bytes:" % size)
    far.run("curl", "-sS", "--fail", "--max-time", "30", "-T", lab.path("up"), test_nginx.url("upload/up"))
    check_equal(lib.sha256_of(lab.path("www/upload/up")), want)
    test_nginx.stop_gracefully(lab, p)
    far.close()


@limit(120)
def test_narrow_path(lab):
    """The path behind the gateway carries 1000 bytes only: the router says so (RFC 1191), and data goes on in smaller pieces."""
    far = Far(lab, mtu=1000)
    # The far end would announce its own small segments: let it think that it may send and get large ones.
    far.ns.run("ip", "route", "replace", "default", "via", FAR_ROUTER, "advmss", "1460")
    want = lab.file_of("www/f", 3 << 20)
    p = test_nginx.nginx(lab, keys=GW)
    far.run("curl", "-sS", "--fail", "--max-time", "30", "-o", lab.path("got"), test_nginx.url("f"))
    check_equal(lib.sha256_of(lab.path("got")), want)
    test_nginx.stop_gracefully(lab, p)
    far.close()


FAR_SERVER = """
import socket, threading
s = socket.create_server(("0.0.0.0", %d))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("0.0.0.0", %d))
print("ready", flush=True)
def echo():
    while True:
        data, a = u.recvfrom(70000)
        u.sendto(data, a)
threading.Thread(target=echo, daemon=True).start()
while True:
    c, a = s.accept()
    c.sendall(a[0].encode())
    c.close()
""" % (PORT, PORT)
FAR_CLIENT = """
import os, socket, sys
s = socket.create_connection((sys.argv[1], %d), timeout=10)
print(s.recv(100).decode())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(10)
u.connect((sys.argv[1], %d))
for size in (0, 1, 1472, 1473, 4000, 20000, 65507):
    data = os.urandom(size)
    u.send(data)
    assert u.recv(70000) == data, size
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(10)
u.connect((sys.argv[1], 9))
u.send(b"x")
try:
    u.recv(1)
except ConnectionRefusedError:
    print("refused")
try:
    socket.create_connection((sys.argv[1], 9), timeout=10)
except ConnectionRefusedError:
    print("refused")
""" % (PORT, PORT)


def test_clients_of_a_far_host(lab):
    """Connections and datagrams go out through the gateway, whole and in fragments; so do the far host's refusals."""
    far = Far(lab)
    p = far.start("/usr/bin/python3", "-c", FAR_SERVER)
    until(lambda: b"ready" in open(p.log, "rb").read(), 20, "the far server")
    r = lab.tested(["/usr/bin/python3", "-c", FAR_CLIENT, FAR_HOST], keys=GW, timeout=40)
    check_equal(r.stdout.decode(), lib.OWN_ADDR + "\nrefused\nrefused\n")
    far.close()


def test_fragments_over_a_narrow_path(lab):
    """Datagrams that the router has to cut arrive whole, in both directions: once the path is known we cut ourselves."""
    far = Far(lab, mtu=1000)
    p = far.start("/usr/bin/python3", "-c", FAR_SERVER)
    until(lambda: b"ready" in open(p.log, "rb").read(), 20, "the far server")
    r = lab.tested(["/usr/bin/python3", "-c", """
import os, socket, sys, time
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.connect((sys.argv[1], %d))
u.settimeout(0.3)
for size in (900, 1200, 1472, 4000, 65507):
    data = os.urandom(size)
    for attempt in range(20):
        try:
            u.send(data)
            if u.recv(70000) == data:
                print(size, "came back")
                break
        except OSError as e:
            if attempt == 19: print(size, e)
""" % PORT, FAR_HOST], keys=GW, timeout=40)
    check_equal(r.stdout.decode(), "".join("%d came back\n" % n for n in (900, 1200, 1472, 4000, 65507)))
    far.close()


def test_no_route(lab):
    """What neither the gateway nor the router can reach is refused as on Linux: by the ICMP error, or at once."""
    far = Far(lab)
    program = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], 80), timeout=20)
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
"""
    # The router has no route there and says so.
    r = lab.tested(["/usr/bin/python3", "-c", program, "198.19.77.1"], keys=GW, timeout=40)
    check_equal(r.stdout, b"ENETUNREACH\n")
    # Nobody answers the router's ARP: host unreachable after three tries.
    r = lab.tested(["/usr/bin/python3", "-c", program, "198.19.0.77"], keys=GW, timeout=40)
    check_equal(r.stdout, b"EHOSTUNREACH\n")
    # Nobody answers our own.
    r = lab.tested(["/usr/bin/python3", "-c", program, "198.18.0.77"], keys=GW, timeout=40)
    check_equal(r.stdout, b"EHOSTUNREACH\n")
    far.close()


def test_ping_with_fragments(lab):
    """ICMP echo, also of packets in many fragments, and the answer from a far host."""
    need_programs("ping")
    far = Far(lab)
    p = test_nginx.nginx(lab, keys=GW)
    for size in (56, 1472, 1473, 8000, 30000):
        for run in (lab.client, lambda argv: far.run(*argv)):
            r = run(["ping", "-q", "-n", "-c", "3", "-i", "0.01", "-W", "2", "-s", str(size), lib.OWN_ADDR])
            check(b" 0% packet loss" in r.stdout, size, r.stdout)
    test_nginx.stop_gracefully(lab, p)
    far.close()


# ---- DNS ----

class Dns:
    """A name server at the peer: big.test has more addresses than fit into 512 bytes, so it is asked again over TCP."""

    def __init__(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("0.0.0.0", 53))
        self.tcp = socket.create_server(("0.0.0.0", 53))
        self.asked = []
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def answer(self, q, room, proto):
        name, at = [], 12
        while q[at]:
            name.append(q[at + 1:at + 1 + q[at]].decode())
            at += 1 + q[at]
        question, kind = q[12:at + 5], struct.unpack("!H", q[at + 1:at + 3])[0]
        name = ".".join(name).lower()
        self.asked.append((name, proto))
        n = {"one.test": 1, "big.test": 100}.get(name, 0) if kind == 1 else 0
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH4B", 1, 1, 60, 4, 198, 18, 7, i) for i in range(n))
        code = 0 if name in ("one.test", "big.test") else 3
        if len(body) + 12 + len(question) > room:
            n, body, code = 0, b"", code | 0x200
        return q[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, n, 0, 0) + question + body

    def serve_udp(self):
        while True:
            q, a = self.udp.recvfrom(1500)
            self.udp.sendto(self.answer(q, 512, "udp"), a)

    def serve_tcp(self):
        while True:
            c, _ = self.tcp.accept()
            with c:
                while len(head := lib.recv_exactly(c, 2)) == 2:
                    a = self.answer(lib.recv_exactly(c, struct.unpack("!H", head)[0]), 65535, "tcp")
                    c.sendall(struct.pack("!H", len(a)) + a)

    def close(self):
        self.udp.close()
        self.tcp.close()


def test_dns_client(lab):
    """c-ares in Node: non-blocking connected UDP sockets under epoll, and TCP for what is truncated."""
    need_programs("node")
    dns = Dns()
    program = lab.write("dns.js", """
const { Resolver } = require('dns').promises;
const r = new Resolver({ timeout: 3000, tries: 3 });
r.setServers(['%s']);
(async () => {
	console.log((await r.resolve4('one.test')).join());
	console.log((await r.resolve4('big.test')).length);
	console.log(await r.resolve4('none.test').catch(e => e.code));
	const many = await Promise.all(Array.from({ length: 50 }, () => r.resolve4('one.test')));
	console.log(many.every(a => a[0] === '198.18.7.0'));
})();
""" % lib.PEER_ADDR)
    r = lab.tested(["node", program], timeout=40)
    check_equal(r.stdout, b"198.18.7.0\n100\nENOTFOUND\ntrue\n", r.stderr)
    check(("big.test", "tcp") in dns.asked and ("one.test", "udp") in dns.asked, dns.asked[:5])
    dns.close()


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
