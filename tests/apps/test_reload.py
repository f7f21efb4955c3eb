#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nginx with four workers is reloaded and ended under load: no request fails, nothing leaks.

A request counts as failed when it cannot be made on a connection of its own, or its answer is wrong or cut off. On a
connection kept alive, one that a worker on its way out closes before the answer begins is made again, as every client
has to (RFC 9112, 9.3.1).
"""
import hashlib
import os
import re
import signal
import socket
import sys
import threading

import lib
from lib import check, check_equal, limit, links, until
from test_nginx import PORT, nginx, no_alerts

RELOADS = 20 if os.environ.get("TEST_LONG") else 5
FILES = {"f1000": 1000, "f300000": 300000}


class Cut(Exception):
    """The connection ended before the answer began."""


class Client(threading.Thread):
    """Makes requests one after another until told to stop."""

    def __init__(self, path, digest, keep_alive):
        super().__init__(daemon=True)
        self.path, self.digest, self.keep_alive = path, digest, keep_alive
        self.done = self.again = 0
        self.failed, self.stop = [], False
        self.ending = False  # the server is: new connections may be refused
        self.sock = None

    def run(self):
        while not self.stop:
            reused = self.sock is not None
            try:
                if not self.connect():
                    return
                self.request()
                self.done += 1
            except (Cut, ConnectionResetError, BrokenPipeError) as e:
                self.drop()
                if self.ending:
                    return
                if reused and isinstance(e, (Cut, BrokenPipeError, ConnectionResetError)):
                    self.again += 1
                else:
                    self.failed.append(repr(e))
            except Exception as e:  # any: it is a failure to be told of
                self.drop()
                self.failed.append(repr(e))
                if self.ending:
                    return
        self.drop()

    def drop(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def connect(self):
        """False when the server is on its way out: then its address may be gone as well, or its interface."""
        try:
            self.sock = self.sock or socket.create_connection((lib.OWN_ADDR, PORT), timeout=2 if self.ending else 10)
        except OSError:
            if not self.ending:
                raise
        return self.sock is not None

    def request(self):
        kind = "keep-alive" if self.keep_alive else "close"
        self.sock.sendall(b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n" % (self.path.encode(), kind.encode()))
        data = self.sock.recv(65536)
        if not data:
            raise Cut("no answer")
        try:
            self.answer(data)
        except ConnectionResetError:
            raise RuntimeError("reset in the middle of an answer")

    def answer(self, data):
        while b"\r\n\r\n" not in data:
            data += self.more(data)
        head, body = data.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
        while len(body) < length:
            body += self.more(body)
        check(head.startswith(b"HTTP/1.1 200 ") and hashlib.sha256(body).hexdigest() == self.digest, "wrong answer", head)
        if not self.keep_alive or b"Connection: close" in head:
            self.drop()

    def more(self, have):
        data = self.sock.recv(262144)
        check(data, "cut off after %d bytes" % len(have))
        return data


def load(lab):
    """nginx with four workers, and clients at work."""
    digests = {name: lab.file_of("www/" + name, size) for name, size in FILES.items()}
    p = nginx(lab, workers=4)
    idle = lab.counters(p)
    clients = [Client(name, digests[name], keep) for name in FILES for keep in (True, True, False, False)]
    for c in clients:
        c.start()
    answered(clients)
    return p, idle, clients


def answered(clients, times=3):
    """Each client has got some more answers."""
    want = [c.done + times for c in clients]
    until(lambda: all(c.done >= n or not c.is_alive() for c, n in zip(clients, want)), 30, "answers")
    no_failures(clients)


def no_failures(clients):
    for c in clients:
        check(not c.failed, "%s, keep-alive %s: %s after %d answers" % (c.path, c.keep_alive, c.failed[:3], c.done))


def finish(lab, p, idle, clients, expected="\0"):
    for c in clients:
        c.stop = True
    for c in clients:
        c.join(20)
    no_failures(clients)
    print("  %d requests, %d made again after a connection kept alive had ended"
          % (sum(c.done for c in clients), sum(c.again for c in clients)))
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p, signal.SIGQUIT), 0, "nginx")
    no_alerts(lab, expected)


@links("kernel", "tap", "af_packet")
@limit(300)
def test_reloads_under_load(lab):
    p, idle, clients = load(lab)
    for _ in range(RELOADS):
        old = set(lib.descendants(p.pid))
        p.send_signal(signal.SIGHUP)
        until(lambda: len(set(lib.descendants(p.pid)) - old) == 4, 20, "new workers")
        answered(clients)
        until(lambda: not old & set(lib.descendants(p.pid)), 20, "the old workers to end")
    finish(lab, p, idle, clients)


@links("kernel", "tap", "af_packet")
@limit(120)
def test_graceful_quit_under_load(lab):
    """Answers that have begun are finished; the listener is gone at once."""
    p, _, clients = load(lab)
    for c in clients:
        c.ending = True
    p.send_signal(signal.SIGQUIT)
    check_equal(p.wait(20), 0, "nginx")
    for c in clients:
        c.join(20)
        check(not c.is_alive(), "a client still waits")
    no_failures(clients)
    no_alerts(lab)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
