#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the stack goes on doing while the program does not call it, has ended, or was killed."""
import fcntl
import socket
import struct
import sys
import time

import lib
from lib import check, check_equal, links, recv_exactly, until

PORT = 8095
AWAY_S = 5
SIOCOUTQ = 0x5411

# Accepts, fills the send queue, says how much went in, then stays away without a call, and at last reads.
AWAY = """
import socket, sys, time
s = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
c, a = s.accept()
c.setblocking(False)
n, data = 0, b"".join(bytes([i % 251]) * 1000 for i in range(8000))
try:
    while True:
        n += c.send(data[n:n + 1000])
except BlockingIOError:
    pass
print("away", n, flush=True)
end = time.monotonic() + float(sys.argv[4])
if sys.argv[3] == "sleep":
    time.sleep(float(sys.argv[4]))
while time.monotonic() < end:
    pass
print("back", flush=True)
c.setblocking(True)
got = 0
while True:
    data = c.recv(65536)
    if not data:
        break
    got += len(data)
print("got", got, flush=True)
"""


def said(p, word):
    """The number behind a word that the program printed; waits for it."""
    def line():
        return [text.split() for text in open(p.log).read().split("\n")[:-1] if text.split()[:1] == [word]]
    until(line, 30, "the program to say " + word)
    return int((line()[0] + ["0"])[1])


def away(lab, how):
    addr = "0.0.0.0" if lab.kernel else lib.OWN_ADDR
    p = lab.start(["/usr/bin/python3", "-c", AWAY, addr, str(PORT), how, str(AWAY_S)])
    said(p, "up")
    s = lab.connect(PORT)
    n = said(p, "away")
    # What was taken by send(2) arrives although the program is away.
    data = recv_exactly(s, n)
    check_equal(len(data), n)
    check(all(data[i] == i // 1000 % 251 for i in range(0, n, 1000)), "wrong data")
    # What the peer sends is acknowledged.
    times = []
    for _ in range(30):
        began = time.monotonic()
        s.sendall(b"x")
        while struct.unpack("i", fcntl.ioctl(s, SIOCOUTQ, b"1234"))[0]:
            time.sleep(0.0005)
        times.append(1e3 * (time.monotonic() - began))
        time.sleep(0.005)  # so that they meet the helper in different moments
    check("back" not in open(p.log).read(), "the program was back before all this had happened")
    times.sort()
    print("  away by %s: %d bytes delivered; ACK after %.1f ms (median), %.1f ms (longest of 30)"
          % (how, n, times[15], times[-1]))
    # Linux delays an ACK by 40 ms. The rest is said by those that met a moment when the machine had time for them.
    check(times[7] <= 50, "ACKs took", times)
    s.shutdown(socket.SHUT_WR)
    check_equal(said(p, "got"), 30)
    check_equal(p.wait(10), 0)


@links("kernel", "tap", "af_packet")
def test_program_that_sleeps(lab):
    away(lab, "sleep")


@links("kernel", "tap", "af_packet")
def test_program_that_computes(lab):
    away(lab, "compute")


# A worker accepts, fills the send queue, says how much went in, and ends without closing; its parent goes on.
ENDS = """
import os, signal, socket, sys, time
s = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
if sys.argv[3] == "alone" or os.fork() == 0:
    c, a = s.accept()
    c.setblocking(False)
    n, data = 0, b"".join(bytes([i % 251]) * 1000 for i in range(8000))
    try:
        while True:
            n += c.send(data[n:n + 1000])
    except BlockingIOError:
        pass
    print("away", n, flush=True)
    if sys.argv[3] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)
os.wait()
print("ended", flush=True)
time.sleep(60)
"""


def ends(lab, how):
    """Everything that send(2) took arrives, and then the end of the stream."""
    addr = "0.0.0.0" if lab.kernel else lib.OWN_ADDR
    p = lab.start(["/usr/bin/python3", "-c", ENDS, addr, str(PORT), how])
    said(p, "up")
    idle = lab.counters(p)
    s = lab.connect(PORT)
    n = said(p, "away")
    if how != "alone":
        said(p, "ended")
    data = recv_exactly(s, n + 1)
    check_equal(len(data), n, "until the end of the stream")
    check(all(data[i] == i // 1000 % 251 for i in range(0, n, 1000)), "wrong data")
    if lab.kernel or how == "alone":
        return
    # Its end came first, so it is the one that goes to TIME-WAIT, in a family whose worker is gone.
    s.close()
    lab.check_rose(p, idle["stack"], "tcp_time_waits")
    check(lab.counters(p)["sockets"]["tcp_time_wait"] > 0, "TIME-WAIT was not kept:", lab.counters(p)["sockets"])
    until(lambda: lab.counters(p)["tables"]["held_mbufs"] <= idle["tables"]["held_mbufs"], 10, "the buffers to be free")


@links("kernel", "tap", "af_packet")
def test_data_of_an_ended_worker(lab):
    ends(lab, "exit")


@links("kernel", "tap", "af_packet")
def test_data_of_a_killed_worker(lab):
    ends(lab, "kill")


@links("kernel", "tap", "af_packet")
def test_data_of_an_ended_program(lab):
    ends(lab, "alone")


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
