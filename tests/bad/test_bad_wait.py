#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The peer of a virtio_user link does not come: the wait for it can be ended, by signals and by a limit."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps"))
import lib
from lib import check, check_equal, links, until

PORT = 7000
# Binds with a handler for SIGTERM that does not restart calls, and says each answer.
BIND_AND_SAY = """
import ctypes, errno, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: None)
if "restart" in sys.argv:
    signal.siginterrupt(signal.SIGTERM, False)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
s = socket.socket()
while True:
    try:
        s.bind(("%s", %d))
        break
    except OSError as e:
        print(errno.errorcode[e.errno], flush=True)
print("bound", flush=True)
s.listen()
s.accept()
""" % (lib.OWN_ADDR, PORT)


def waits_for_peer(lab, p):
    until(lambda: "waiting for a peer on virtio_user:" in open(p.log).read(), 20, "the line about the peer")


def be_the_peer(lab):
    lab.client(["/usr/bin/python3", "-c", lib.FIRST_CLIENT, lib.OWN_ADDR, str(PORT)], timeout=30)


@links("vhost")
def test_wait_for_peer_ends_with_a_signal(lab):
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN + 3):
        p = lab.start(["/usr/bin/python3", "-c", "import signal, socket\n"
                       "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
                       "socket.create_server(('%s', %d))" % (lib.OWN_ADDR, PORT)], keys={"log": "info"})
        waits_for_peer(lab, p)
        check_equal(lab.stop(p, sig), -sig)


@links("vhost")
def test_wait_for_peer_interrupted_by_a_handler(lab):
    p = lab.start(["/usr/bin/python3", "-c", BIND_AND_SAY], keys={"log": "info"})
    waits_for_peer(lab, p)
    p.send_signal(signal.SIGTERM)
    until(lambda: "\nEINTR\n" in open(p.log).read(), 20, "bind to say EINTR")
    until(lambda: os.path.exists(lab.path("link.sock")), 20, "the second bind")
    be_the_peer(lab)
    check_equal(p.wait(20), 0)
    check_equal(open(p.log).read().count("EINTR"), 1)


@links("vhost")
def test_wait_for_peer_goes_on_after_a_restarting_handler(lab):
    p = lab.start(["/usr/bin/python3", "-c", BIND_AND_SAY, "restart"], keys={"log": "info"})
    waits_for_peer(lab, p)
    p.send_signal(signal.SIGTERM)
    be_the_peer(lab)
    check_equal(p.wait(20), 0)
    check("EINTR" not in open(p.log).read(), lab.tail(p.log))
    check_equal(open(p.log).read().count("waiting for a peer"), 1)


@links("vhost")
def test_wait_for_peer_has_a_limit(lab):
    r = lab.tested(["/usr/bin/python3", "-c", "import socket; socket.create_server(('127.0.0.1', %d)); "
                    "s = socket.socket(); s.bind(('0.0.0.0', 0)); print('bound')" % PORT],
                   keys={"log": "info", "peer_wait": 1})
    check_equal(r.stdout, b"bound\n")
    check(b"no peer came to socket" in r.stderr and b"peer_wait=1" in r.stderr, r.stderr)
    check(b"all sockets stay with the kernel" in r.stderr, r.stderr)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
