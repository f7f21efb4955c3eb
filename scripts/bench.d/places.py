# SPDX-License-Identifier: BSD-3-Clause
"""Where server and client stand for one measurement, and how a command is started there.

    client namespace  198.18.0.1           server namespace  198.18.0.2
        v0 ◄────────────── veth ───────────────► v1
    Shunt, --link pair    virtio_user:SOCKET ◄──► vhost:SOCKET, no kernel in between. The server has the end
                          whose memory is all its own, since servers fork before a client comes and a child
                          would not see memory that a vhost end maps later.
    Shunt, --link veth    the server has af_packet:v1, the client stays on the kernel
"""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import net  # noqa: E402

SERVER_ADDR, CLIENT_ADDR = net.OWN_ADDR, net.PEER_ADDR

# link: the server's specification, the client's (None: it stays on the kernel)
LINKS = {
    "pair": ("virtio_user:{sock}", "vhost:{sock}"),
    "memif": ("memif:{sock},server", "memif:{sock}"),
    "veth": ("af_packet:v1", None),
    "af_xdp": ("af_xdp:v1", None),
    "tap": ("tap:bench0", None),
}

OFFLOADS = ["rx", "tx", "sg", "tso", "gso", "gro"]


class Place:
    """`side` is "kernel" or "shunt"; `offloads` says whether the kernel's ends of the veth pair keep theirs."""

    def __init__(self, side, link, build, scratch, offloads=True, keys=()):
        self.side, self.link, self.build, self.keys = side, link, build, list(keys)
        self.sock = os.path.join(scratch, "link.sock")
        shunt = side == "shunt"
        self.pair = net.Pair(box_addr=not shunt)
        self.server_ns, self.client_ns = self.pair.box, self.pair.peer
        if shunt and link == "tap":
            self.pair.peer.run("ip", "link", "del", "v0")
            self.server_ns = self.pair.peer
        else:
            if not offloads:
                for ns, dev in ((self.pair.peer, "v0"), (self.pair.box, "v1")):
                    words = [w for o in OFFLOADS for w in (o, "off")]
                    ns.run("ethtool", "-K", dev, *words, capture_output=True, check=False)
            if shunt and not LINKS[link][1] is None:
                self.pair.peer.run("ip", "link", "del", "v0")
        for ns in (self.pair.peer, self.pair.box):
            for name, value in (("tcp_max_tw_buckets", "4096"), ("ip_local_port_range", "1024 65535")):
                ns.run("sh", "-c", "echo %s > /proc/sys/net/ipv4/%s" % (value, name), check=False)

    def close(self):
        self.pair.close()
        if os.path.exists(self.sock):
            os.unlink(self.sock)

    def client_brings_link_up(self):
        """A virtio_user end that listens holds its program in bind(2) until the other end is there once."""
        return self.side == "shunt" and LINKS[self.link][0].startswith("virtio_user")

    def congestion_control(self):
        out = self.pair.peer.run("cat", "/proc/sys/net/ipv4/tcp_congestion_control", capture_output=True, text=True)
        return out.stdout.strip()

    def _shunt(self, spec, addr, cmd):
        argv = [os.path.join(self.build, "preload", "shunt"), "--link", spec.format(sock=self.sock),
                "--addr", addr + "/24", "--set", "log=info", "--set", "fallback=off",
                "--set", "ip_local_port_range=1024 65535", "--set", "tcp_tw_reuse=1"]
        for key in self.keys:
            argv += ["--set", key]
        return argv + ["--"] + list(cmd)

    def server_argv(self, cmd, core):
        if self.side == "shunt":
            cmd = self._shunt(LINKS[self.link][0], SERVER_ADDR, cmd)
        return self.server_ns.argv("taskset", "-c", str(core), *cmd)

    def client_argv(self, cmd, core):
        if self.side == "shunt" and LINKS[self.link][1]:
            cmd = self._shunt(LINKS[self.link][1], CLIENT_ADDR, cmd)
        return self.client_ns.argv("taskset", "-c", str(core), *cmd)
