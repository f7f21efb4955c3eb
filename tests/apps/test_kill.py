#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Workers of one server are killed and stopped at random under load: what other workers serve goes on.

TEST_LONG=1: 200 times. KILL_SEED=N repeats the order of a run, KILL_ROUNDS=N sets how often. Prints the longest silence
of a connection whose worker was left alone. The kernel's run says what the machine itself does.
"""
import os
import random
import selectors
import signal
import socket
import sys
import time

import lib
from lib import Failure, check, check_equal, limit, links, until

PORT, WORKERS, CONNS = 8090, 4, 16
ROUNDS = int(os.environ.get("KILL_ROUNDS") or (200 if os.environ.get("TEST_LONG") else 20))
SILENCE_MAX_S = 1.0
PERIOD = 65521  # of the pattern; a prime, so that no buffer size hides a shift
PATTERN = random.Random(1).randbytes(PERIOD) * 3


class Conn:
    """A stream that some worker echoes, and when it last moved."""

    def __init__(self, rnd):
        self.rnd, self.sock = rnd, None
        self.open()

    def open(self):
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex((lib.OWN_ADDR, PORT))
        self.pid, self.greeting = None, b""
        self.sent = self.got = self.want = self.rnd.randrange(PERIOD)
        self.moved = time.monotonic()
        self.moves = 0

    def on_event(self, events):
        """Returns False when the connection ended."""
        try:
            if events & selectors.EVENT_READ and not self.read():
                return False
            if events & selectors.EVENT_WRITE:
                self.write()
        except BlockingIOError:
            pass
        except (ConnectionError, TimeoutError):
            return False
        return True

    def read(self):
        data = self.sock.recv(PERIOD)
        if not data:
            return False
        if self.pid is None:
            need = 8 - len(self.greeting)
            self.greeting, data = self.greeting + data[:need], data[need:]
            if len(self.greeting) < 8:
                return True
            self.pid = int(self.greeting)
        at = self.got % PERIOD
        check(data == PATTERN[at:at + len(data)], "corrupted at", self.got)
        self.got += len(data)
        check(self.got <= self.sent, "more came back than was sent")
        self.moved = time.monotonic()
        self.moves += 1
        return True

    def write(self):
        """Asks for the next piece once all of the last one is back."""
        if self.pid is None or self.sent < self.want:
            pass
        elif self.got == self.sent:
            self.want = self.sent + self.rnd.choice((1, 100, 1448, 4000, 20000, 60000))
        if self.sent < self.want:
            at = self.sent % PERIOD
            self.sent += self.sock.send(PATTERN[at:at + self.want - self.sent])

    def events(self):
        if self.pid is None or (self.got < self.sent and self.sent == self.want):
            return selectors.EVENT_READ
        return selectors.EVENT_READ | selectors.EVENT_WRITE


class Clients:
    def __init__(self, rnd):
        self.sel, self.conns = selectors.DefaultSelector(), [Conn(rnd) for _ in range(CONNS)]
        self.victim, self.ended = None, set()
        self.longest, self.answers, self.turn_at = 0.0, 0, time.monotonic()
        for c in self.conns:
            self.sel.register(c.sock, c.events(), c)

    def turn(self):
        """One look at all connections."""
        for key, events in self.sel.select(0.005):
            c = key.data
            self.answers += bool(events & selectors.EVENT_READ)
            if not c.on_event(events):
                check(c.pid is None or c.pid == self.victim or c.pid in self.ended,
                      "connection of worker %s ended; killed: %s" % (c.pid, self.victim))
                self.sel.unregister(c.sock)
                c.sock.close()
                c.open()
                self.sel.register(c.sock, c.events(), c)
            elif key.events != c.events():
                self.sel.modify(c.sock, c.events(), c)
        now = time.monotonic()
        # What this very process missed is nobody's silence.
        late, self.turn_at = now - self.turn_at, now
        for c in self.conns:
            if late > 0.05:
                c.moved += late
            if c.pid is not None and c.pid != self.victim:
                self.longest = max(self.longest, now - c.moved)

    def until(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Failure("waited %d s in vain for %s; connections: %s"
                              % (seconds, what, [(c.pid, c.sent - c.got) for c in self.conns]))
            self.turn()

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, 60, "time to pass")

    def all_move(self):
        """Every connection is open and gets answers."""
        before = [(c, c.sock, c.moves) for c in self.conns]
        self.until(lambda: all(c.pid and (c.sock is not s or c.moves > n) for c, s, n in before), 20, "all to be answered")


def serve(lab, workers=WORKERS):
    exe = os.environ.get("PREFORK")
    if not exe:
        raise lib.Skipped("PREFORK does not name the server's program")
    addr = "0.0.0.0" if lab.kernel else lib.OWN_ADDR
    return lab.server([exe, addr, str(PORT), str(workers)], PORT)


def kill_one(clients, pid):
    clients.victim = pid
    served = [c for c in clients.conns if c.pid == pid]
    os.kill(pid, signal.SIGKILL)
    clients.until(lambda: not any(c.pid == pid for c in served), 10, "connections of the killed worker to end")
    clients.ended.add(pid)


def stop_one(clients, pid, seconds):
    clients.victim = pid
    os.kill(pid, signal.SIGSTOP)
    clients.run_for(seconds)
    os.kill(pid, signal.SIGCONT)
    now = time.monotonic()
    for c in clients.conns:
        if c.pid == pid:
            c.moved = now


def rounds(clients, rnd, pids_of, stop_only=False):
    """Kills and stops; returns how often each."""
    did = {"killed": 0, "stopped": 0}
    for i in range(ROUNDS):
        pids = pids_of()
        if len(pids) < WORKERS:
            clients.until(lambda: len(pids_of()) == WORKERS, 10, "a new worker")
            pids = pids_of()
        # One that serves somebody, as a rule
        busy = [c.pid for c in clients.conns if c.pid in pids]
        pid = rnd.choice(busy or pids)
        longest, clients.longest = clients.longest, 0.0
        if rnd.random() < 0.5:
            did["killed"] += 1
            what = "kill"
            kill_one(clients, pid)
        else:
            did["stopped"] += 1
            what = "stop"
            stop_one(clients, pid, rnd.choice((0.02, 0.2, 1.6)))
        clients.all_move()
        clients.victim = None
        clients.run_for(rnd.random() * 0.05)
        if clients.longest > 0.3:
            print("  round %d: %s of %d, silence of %.2f s" % (i, what, pid, clients.longest), flush=True)
        clients.longest = max(longest, clients.longest)
    return did


@links("kernel", "tap", "af_packet")
@limit(1200)
def test_random_kill_and_stop(lab):
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1 << 30))
    print("  KILL_SEED=%d" % seed, flush=True)
    rnd = random.Random(seed)
    p = serve(lab)
    idle = lab.counters(p)
    clients = Clients(rnd)
    clients.all_move()
    did = rounds(clients, rnd, lambda: lib.descendants(p.pid))
    print("  %(killed)d killed, %(stopped)d stopped" % did + "; longest silence of another worker's connection %.2f s; "
          "%d answers" % (clients.longest, clients.answers))
    check(clients.longest <= SILENCE_MAX_S, "silent for %.2f s" % clients.longest)
    for c in clients.conns:
        c.sock.close()
    lab.check_no_leak(p, idle, spare_mbufs=64 + 4 * did["killed"])
    check_equal(lab.stop(p), 0)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
