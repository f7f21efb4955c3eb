#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong while a service runs: the link goes and comes back, hostile frames, everything full. The service goes
on for the others, and what was refused or dropped was refused with Linux's errno or counted."""
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps"))
import lib
import net
from lib import check, check_equal, limit, links, need_programs, recv_exactly, until
from test_redis import PORT, cli, redis

ETH_P_ALL = 3
DEVICE_RINGS = 1024  # buffers that a memif or virtio ring holds until it is next used


def ping(s):
    s.sendall(b"PING\r\n")
    check_equal(recv_exactly(s, 7), b"+PONG\r\n")


def interface(lab):
    return "tap0" if lab.link == "tap" else "v0"


@links("kernel", "tap", "af_packet")
def test_link_down_and_up(lab):
    p = redis(lab)
    idle = lab.counters(p)
    s = lab.connect(PORT, timeout=30)
    ping(s)
    dev = interface(lab)
    for _ in range(2):
        lab.pair.peer.run("ip", "link", "set", dev, "down")
        lab.pair.peer.run("ip", "link", "set", dev, "up")
        ping(s)
    lab.pair.peer.run("ip", "link", "set", dev, "down")
    # Bytes sent while the link is down arrive when it is back.
    s.settimeout(1)
    try:
        s.sendall(b"PING\r\n")
    except OSError:
        pass
    lab.pair.peer.run("ip", "link", "set", dev, "up")
    s.settimeout(30)
    check_equal(recv_exactly(s, 7), b"+PONG\r\n")
    check_equal(cli(lab, "ping"), "PONG")
    s.close()
    lab.check_no_leak(p, idle)


def is_idle(pid):
    used = lib.cpu_seconds(pid)
    time.sleep(0.3)
    return lib.cpu_seconds(pid) - used < 0.1


@links("af_packet")
def test_own_interface_down_is_idle(lab):
    p = redis(lab)
    s = lab.connect(PORT, timeout=30)
    ping(s)
    lab.pair.box.run("ip", "link", "set", "v1", "down")
    until(lambda: is_idle(p.pid), 10, "a server that sleeps although its interface is down")
    lab.pair.box.run("ip", "link", "set", "v1", "up")
    ping(s)
    lab.pair.peer.run("ip", "link", "del", "v0")
    until(lambda: is_idle(p.pid), 10, "a server that sleeps although its interface is gone")


@links("memif", "vhost")
@limit(90)
def test_other_end_gone_and_back(lab):
    server = redis(lab)
    idle = lab.counters(server)
    for _ in range(3):
        # Each redis-cli is a new peer on the link: it connects, leaves, and the next one comes.
        check_equal(cli(lab, "ping", timeout=25), "PONG")
    p = lab.start(["redis-cli", "-h", lib.OWN_ADDR, "-p", str(PORT), "monitor"], far=True)
    until(lambda: b"OK" in open(p.log, "rb").read(), 10, "a client on the link")
    p.kill()
    p.wait()
    check_equal(cli(lab, "ping", timeout=25), "PONG")
    # The connection of the one that was killed: nobody is left to answer, so it is given up only after minutes.
    now = lab.counters(server)
    check(now["sockets"]["tcp_connections"] - idle["sockets"]["tcp_connections"] <= 1, now["sockets"])
    check(now["mbufs"]["in_use"] <= idle["mbufs"]["in_use"] + DEVICE_RINGS, idle["mbufs"], now["mbufs"])


# ---- frames that nobody should send ----

def checksum(data):
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(proto, payload, src=lib.PEER_ADDR, dst=lib.OWN_ADDR, ihl=None, length=None, frag=0, ttl=64, options=b"", csum=None,
       version=4):
    ihl = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH4s4s", version << 4 | ihl, 0, length & 0xffff, 77, frag, ttl, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst)) + options
    value = checksum(head) if csum is None else csum
    return head[:10] + struct.pack("!H", value) + head[12:] + payload


def tcp(flags, sport=40000, dport=PORT, seq=1, ack=0, offset=None, options=b"", data=b"", csum=None, src=lib.PEER_ADDR,
        window=65535, urgent=0):
    offset = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, offset << 4, flags, window, 0, urgent) + options + data
    pseudo = socket.inet_aton(src) + socket.inet_aton(lib.OWN_ADDR) + struct.pack("!BBH", 0, 6, len(head))
    value = checksum(pseudo + head) if csum is None else csum
    return head[:16] + struct.pack("!H", value) + head[18:]


def udp(dport, data=b"x", length=None, csum=0):
    return struct.pack("!HHHH", 40000, dport, 8 + len(data) if length is None else length, csum) + data


def hostile_packets(rnd):
    """IP packets, each wrong in its own way."""
    syn = tcp(2)
    for cut in range(0, 40):
        yield ip(6, syn)[:cut]
    for ihl in range(0, 16):
        yield ip(6, syn, ihl=ihl)
    for length in (0, 1, 19, 20, 21, 39, 41, 100, 1500, 65535):
        yield ip(6, syn, length=length)
    for offset in range(0, 16):
        yield ip(6, tcp(2, offset=offset))
    yield ip(6, syn, csum=0x1234)
    yield ip(6, tcp(2, csum=0x1234))
    yield ip(6, syn, version=6)
    yield ip(6, syn, ttl=0)
    for src in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", lib.OWN_ADDR, "198.18.0.255"):
        yield ip(6, tcp(2, src=src), src=src)
    for kind in (2, 3, 4, 5, 8, 34, 254):
        for length in (0, 1, 2, 3, 4, 10, 40, 255):
            yield ip(6, tcp(2, options=bytes([kind, length, 1, 1])))
    yield ip(6, tcp(2, options=b"\x08" * 4))
    yield ip(6, tcp(2, options=bytes([5, 34]) + b"\xff" * 38))
    yield ip(6, tcp(2, options=bytes([1]) * 39 + bytes([2])))
    for length in (0, 1, 2, 3, 39, 255):
        for kind in (7, 68, 131, 137, 130):
            yield ip(6, syn, options=bytes([kind, length, 4, 0]))
    for flags in range(256):
        yield ip(6, tcp(flags, sport=41000 + flags, data=b"data" if flags & 16 else b"", urgent=flags))
    # To the ports of live connections: the peer's ephemeral ports, wrong sequence numbers.
    for sport in range(32768, 61000, 97):
        yield ip(6, tcp(4, sport=sport, seq=rnd.getrandbits(32)))
        yield ip(6, tcp(24, sport=sport, seq=rnd.getrandbits(32), ack=rnd.getrandbits(32), data=b"injected"))
    for length in (0, 7, 8, 9, 500, 65535):
        yield ip(17, udp(53, length=length))
    yield ip(17, udp(53, csum=0x1111))
    for frag in (0x2000, 0x2001, 0x1fff, 0x3fff, 0x0001, 0x4001):
        yield ip(6, syn, frag=frag)
        yield ip(17, udp(PORT, b"y" * 64), frag=frag)
    for kind in range(0, 20):
        for code in (0, 4, 255):
            quoted = ip(6, tcp(16))[:rnd.randrange(0, 40)]
            body = struct.pack("!BBHI", kind, code, 0, 68) + quoted
            yield ip(1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])
    for proto in range(0, 256, 7):
        yield ip(proto, rnd.randbytes(rnd.randrange(0, 60)))
    for _ in range(1500):
        p = bytearray(ip(6, tcp(rnd.choice([2, 16, 24, 17, 4]), options=rnd.randbytes(4 * rnd.randrange(0, 10)),
                               sport=rnd.randrange(65536), data=rnd.randbytes(rnd.randrange(0, 200)))))
        for _ in range(rnd.randrange(1, 4)):
            p[rnd.randrange(len(p))] = rnd.randrange(256)
        yield bytes(p)


def arp_frames(own_mac):
    def arp(op, sha, spa, tha, tpa, hw=1, proto=0x800, hlen=6, plen=4):
        return struct.pack("!HHBBH", hw, proto, hlen, plen, op) + sha + socket.inet_aton(spa) + tha + socket.inet_aton(tpa)
    zero, many = b"\0" * 6, b"\xff" * 6
    for cut in range(0, 28, 3):
        yield arp(1, own_mac, lib.PEER_ADDR, zero, lib.OWN_ADDR)[:cut]
    yield arp(1, own_mac, lib.PEER_ADDR, zero, lib.OWN_ADDR, hw=99)
    yield arp(1, own_mac, lib.PEER_ADDR, zero, lib.OWN_ADDR, hlen=255, plen=255)
    yield arp(77, own_mac, lib.PEER_ADDR, zero, lib.OWN_ADDR)
    yield arp(2, many, "198.18.0.9", many, lib.OWN_ADDR)
    for i in range(3000):
        yield arp(1, own_mac, "198.18.%d.%d" % (i >> 8, i & 255), zero, lib.OWN_ADDR) if i & 255 not in (1, 2) else b""


# What the packets above must have been dropped for.
COUNTED = ("eth_rx_unknown_type", "arp_rx_bad", "ip_rx_bad_header", "ip_rx_bad_csum", "ip_rx_truncated",
           "ip_rx_bad_source", "ip_rx_unknown_proto", "icmp_rx_bad", "icmp_errors_rx", "udp_rx_bad",
           "udp_rx_bad_csum", "udp_rx_no_port", "tcp_rx_bad", "tcp_rx_bad_csum", "tcp_rx_bad_options", "tcp_no_socket",
           "tcp_resets_sent")


def mac_of(text):
    return bytes.fromhex(text.replace(":", ""))


@links("kernel", "tap", "af_packet")
@limit(120)
def test_hostile_frames(lab):
    p = redis(lab)
    idle = lab.counters(p)
    conns = [lab.connect(PORT) for _ in range(20)]
    for s in conns:
        ping(s)
    dev = interface(lab)
    show = lab.pair.peer.run("ip", "-o", "link", "show", dev, stdout=-1, text=True).stdout
    own_mac = mac_of(show.split("link/ether ")[1].split()[0])
    neigh = lab.pair.peer.run("ip", "neigh", "show", lib.OWN_ADDR, stdout=-1, text=True).stdout
    mac = mac_of(neigh.split("lladdr ")[1].split()[0])
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((dev, 0))
    rnd, sent = random.Random(2), 0

    def send(frame):
        nonlocal sent
        if len(frame) < 14:
            return  # the kernel itself does not let those out
        for _ in range(1000):
            try:
                raw.send(frame)
                sent += 1
                return
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return  # longer than the MTU

    ethernet = mac + own_mac + b"\x08\0"
    for i, packet in enumerate(hostile_packets(rnd)):
        send(ethernet + packet)
        if i % 200 == 0:
            ping(conns[i // 200 % len(conns)])
    for frame in arp_frames(own_mac):
        if frame:
            send(mac + own_mac + b"\x08\x06" + frame)
    for kind in (0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x0000, 0xffff):
        for size in (0, 1, 46, 1500):
            send(mac + own_mac + struct.pack("!H", kind) + rnd.randbytes(size))
            send(b"\xff" * 6 + own_mac + struct.pack("!H", kind) + rnd.randbytes(size))
    check(sent > 3000, "only", sent, "frames went out")
    for s in conns:
        ping(s)
    check_equal(cli(lab, "ping"), "PONG")
    check(p.poll() is None, "the server died")
    print("  %d hostile frames" % sent)
    if not lab.kernel:
        # AF_PACKET's fanout puts fragments together before we see them, or drops them.
        lab.check_rose(p, idle["stack"], *COUNTED, *(["ip_frags_rx"] if lab.link == "tap" else []))
    for s in conns:
        s.close()
    lab.check_no_leak(p, idle, seconds=60)
    check_equal(lab.stop(p), 0)


@links("tap")
def test_oversized_frames(lab):
    """Longer than the MTU, as from a peer with another one: taken when they fit a buffer, else dropped and counted."""
    p = redis(lab)
    idle = lab.counters(p)
    s = lab.connect(PORT)
    ping(s)
    lab.pair.peer.run("ip", "link", "set", "tap0", "mtu", "9000")
    show = lab.pair.peer.run("ip", "-o", "link", "show", "tap0", stdout=-1, text=True).stdout
    neigh = lab.pair.peer.run("ip", "neigh", "show", lib.OWN_ADDR, stdout=-1, text=True).stdout
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind(("tap0", 0))
    ethernet = mac_of(neigh.split("lladdr ")[1].split()[0]) + mac_of(show.split("link/ether ")[1].split()[0]) + b"\x08\0"
    fit, too_long = (1501, 1600, 2000), (2100, 4000, 8999, 9000)
    for size in fit + too_long:
        for _ in range(10):
            raw.send(ethernet + ip(17, udp(53, b"z" * (size - 28))))
        ping(s)
    until(lambda: lab.counters(p)["port"]["rx_errors"] - idle["port"]["rx_errors"] == 10 * len(too_long), 10, "rx_errors to count them")
    until(lambda: lab.count(p, idle["stack"])["udp_rx_no_port"] == 10 * len(fit), 10, "the others to be taken")
    check_equal(cli(lab, "ping"), "PONG")
    s.close()
    lab.check_no_leak(p, idle)


# ---- everything full ----

SLEEPY = """
import socket, sys, os
# Listens with a backlog of two and accepts only when the file "go" appears.
import select, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", %d))
s.listen(2)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
while True:
    c, a = s.accept()
    c.recv(1)
    c.sendall(b"welcome")
    c.close()
"""


@links("kernel", "tap", "af_packet")
@limit(90)
def test_full_backlog(lab):
    """More SYNs than the backlog holds: nobody is lied to, and all get in once the program accepts."""
    go = lab.path("go")
    p = lab.start(["/usr/bin/python3", lab.write("sleepy.py", SLEEPY % PORT), go])
    until(lambda: b"ready" in open(p.log, "rb").read(), 20, "the listener")
    idle = lab.counters(p)
    conns = []
    for i in range(8):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((lib.OWN_ADDR, PORT))
        conns.append(s)
        # A backlog of two means three. SYNs that came together would all be answered before the queue is full.
        if i < 3:
            until(lambda: len(established(conns)) == i + 1, 10, "the first connections")
    # The others have heard nothing yet, so they try again.
    check_equal(len(established(conns)), 3)
    if not lab.kernel:
        lab.check_rose(p, idle["stack"], "tcp_listen_overflows")
    lab.write("go", "")
    for s in conns:
        s.settimeout(40)
        s.sendall(b"x")
    for s in conns:
        check_equal(recv_exactly(s, 8), b"welcome")
        s.close()
    lab.check_no_leak(p, idle)


def established(conns):
    return [s for s in conns if s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1]


@links("tap", "af_packet")
@limit(120)
def test_connection_table_full(lab):
    p = redis(lab, keys={"max_tcp": "64"})
    idle = lab.counters(p)
    conns, refused = [], 0
    for _ in range(120):
        s = socket.socket()
        s.settimeout(0.3)
        try:
            s.connect((lib.OWN_ADDR, PORT))
            s.settimeout(5)
            ping(s)
            conns.append(s)
        except (OSError, lib.Failure):
            refused += 1
            s.close()
        if refused > 5:
            break
    check(refused > 0, "the table was never full")
    check(len(conns) >= 32, "only", len(conns), "connections fit into a table of 64")
    lab.check_rose(p, idle["stack"], "tcp_table_full")
    for s in conns:
        ping(s)
    for s in conns[:20]:
        s.close()
    # With 20 gone there is room again; RSTs and FINs need no entry for long because the peer closed first.

    def room():
        try:
            with lab.connect(PORT, timeout=1) as s:
                s.settimeout(1)
                ping(s)
                return True
        except (OSError, lib.Failure):
            return False

    until(room, 20, "room in the table")
    for s in conns[20:]:
        ping(s)
        s.close()
    check(p.poll() is None, "the server died")
    lab.check_no_leak(p, idle)


@links("tap", "af_packet")
@limit(120)
def test_buffer_pool_exhausted(lab):
    """Little memory and many connections that do not read: they starve, the others do not."""
    p = redis(lab, keys={"mbufs": "2048"})
    idle = lab.counters(p)
    control = lab.connect(PORT, timeout=30)
    value = b"v" * 100000
    control.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % len(value) + value + b"\r\n")
    check_equal(recv_exactly(control, 5), b"+OK\r\n")
    greedy = []
    for _ in range(60):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(10)
        s.connect((lib.OWN_ADDR, PORT))
        s.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" * 3)
        greedy.append(s)
        control.sendall(b"PING\r\n")
        check_equal(recv_exactly(control, 7), b"+PONG\r\n")
    lab.check_rose(p, idle["stack"], "mbuf_reserve_refused")
    for s in greedy[::2]:
        s.close()
    for s in greedy[1::2]:
        s.settimeout(30)
        for _ in range(3):
            head = b"$%d\r\n" % len(value)
            check_equal(recv_exactly(s, len(head)), head)
            check(recv_exactly(s, len(value) + 2) == value + b"\r\n", "value came back changed")
        s.close()
    ping(control)
    check(p.poll() is None, "the server died")
    control.close()
    lab.check_no_leak(p, idle)


FULL_BUFFER = """
import socket, sys
s = socket.create_server(("0.0.0.0", %d))
while True:
    c, a = s.accept()
    if not c.recv(1):
        continue  # until_serving() only looks
    c.setblocking(False)
    sent, errno = 0, None
    try:
        while True:
            sent += c.send(b"x" * 65536)
    except BlockingIOError as e:
        errno = e.errno
    print(sent, errno, flush=True)
    c.setblocking(True)
    while sent < 16 << 20:
        sent += c.send(b"x" * min(65536, (16 << 20) - sent))
    c.close()
"""


@links("tap", "af_packet")
def test_send_buffer_full(lab):
    """A writer whose peer does not read gets EAGAIN, then room when it does; another connection is not disturbed."""
    p = lab.server(["/usr/bin/python3", lab.write("full.py", FULL_BUFFER % PORT)], PORT)
    idle = lab.counters(p)
    s = lab.connect(PORT, timeout=30)
    s.sendall(b"?")
    until(lambda: len(open(p.log).read().split()) == 2, 20, "the buffer to be full")
    sent, errno = map(int, open(p.log).read().split())
    check_equal(errno, 11, "EAGAIN:")
    check(sent < 16 << 20, "everything went into the buffer")
    lab.check_rose(p, idle["stack"], "tcp_sndbuf_full")
    check(lab.counters(p)["tables"]["held_mbufs"] > 0)
    check_equal(len(recv_exactly(s, 16 << 20)), 16 << 20)
    check_equal(s.recv(1), b"")
    s.close()
    lab.check_no_leak(p, idle)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
