# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces for tests: everything a test sends stays inside namespaces that it made itself.

    peer namespace (the kernel's end)          box namespace (the tested program's end)
        v0  198.18.0.1/24  ◄────── veth ──────►  v1  198.18.0.2/24  on the kernel run
                                                 v1  no address     under Shunt over af_packet
        tap 198.18.0.1/24, made by Shunt itself: the tested program then runs in the peer namespace

No namespace has a name: they live as long as somebody holds their descriptor, so a killed test leaves nothing.
"""
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading

OWN_ADDR, PEER_ADDR, PREFIX_LEN = "198.18.0.2", "198.18.0.1", 24
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_lock = threading.Lock()

SKIP = 77


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(SKIP)


def require_root():
    """Namespaces need root, or a user namespace in which we are root: run this script again inside one."""
    if os.geteuid() == 0:
        return
    probe = subprocess.run(["unshare", "-Urn", "true"], stderr=subprocess.DEVNULL)
    if probe.returncode:
        skip("neither root nor allowed to make user namespaces")
    os.execvp("unshare", ["unshare", "-Urn", sys.executable] + sys.argv)


class Ns:
    """An unnamed network namespace."""

    def __init__(self):
        here = "/proc/thread-self/ns/net"
        with _lock:
            old = os.open(here, os.O_RDONLY)
            if _libc.unshare(CLONE_NEWNET):
                skip("cannot make a network namespace: " + os.strerror(ctypes.get_errno()))
            self.fd = os.open(here, os.O_RDONLY)
            _libc.setns(old, CLONE_NEWNET)
            os.close(old)
        self.path = "/proc/%d/fd/%d" % (os.getpid(), self.fd)
        self.run("ip", "link", "set", "lo", "up")
        # Neighbour discovery and router solicitations would only add noise to captures and wake-up counts.
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; "
                             "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; true")

    def argv(self, *cmd):
        """The command line that runs cmd in this namespace, as the same process (nsenter only execs)."""
        return ["nsenter", "--net=" + self.path] + list(cmd)

    def run(self, *cmd, check=True, timeout=30, **kw):
        return subprocess.run(self.argv(*cmd), check=check, timeout=timeout, **kw)

    def enter(self):
        """Moves the calling thread (and what it starts) into this namespace."""
        if _libc.setns(self.fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def close(self):
        os.close(self.fd)


class Pair:
    """Peer and box, joined by a veth pair. `box_addr`: whether the kernel gets an address in the box."""

    def __init__(self, box_addr=True, mtu=1500):
        self.peer, self.box = Ns(), Ns()
        self.peer.run("ip", "link", "add", "v0", "mtu", str(mtu), "type", "veth",
                      "peer", "name", "v1", "mtu", str(mtu), "netns", self.box.path)
        self.peer.run("ip", "addr", "add", "%s/%d" % (PEER_ADDR, PREFIX_LEN), "dev", "v0")
        self.peer.run("ip", "link", "set", "v0", "up")
        if box_addr:
            self.box.run("ip", "addr", "add", "%s/%d" % (OWN_ADDR, PREFIX_LEN), "dev", "v1")
        self.box.run("ip", "link", "set", "v1", "up")
        _tune(self.peer)
        _tune(self.box)

    def close(self):
        self.peer.close()
        self.box.close()


def _tune(ns):
    """Cubic, as the stack's default is (namespaces inherit the machine's); ports of TIME-WAIT are used again."""
    ns.run("sh", "-c", "cd /proc/sys/net/ipv4; for s in tcp_congestion_control=cubic tcp_tw_reuse=1 "
                       "ip_local_port_range='32768 60999'; do echo ${s#*=} > ${s%%=*}; done 2>/dev/null; true")


def shunt_env(lib, link, addr="%s/%d" % (OWN_ADDR, PREFIX_LEN), **keys):
    """Environment words for env(1) that put a program under Shunt; keys are SHUNT_<KEY> values."""
    first = os.environ.get("PRELOAD_FIRST")  # a sanitizer's runtime has to stand before a library built with it
    words = ["LD_PRELOAD=" + (first + ":" if first else "") + lib, "SHUNT_LINK=" + link, "SHUNT_ADDR=" + addr]
    keys.setdefault("log", "error")
    return words + ["SHUNT_%s=%s" % (k.upper(), v) for k, v in keys.items()]


def end_process(p, grace_s=5):
    """Ends a process that we started: TERM, then KILL."""
    if p.poll() is not None:
        return
    p.terminate()
    try:
        p.wait(grace_s)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()


def kill_group(p):
    """Kills a process that was started as the leader of its own session, with all its descendants."""
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    p.wait()


def interface_names(ns):
    out = ns.run("ip", "-o", "link", capture_output=True, text=True).stdout
    return re.findall(r"^\d+: ([^:@]+)", out, re.M)
