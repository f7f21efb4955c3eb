#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program behind the launcher, or with the library preloaded by hand: where settings come from, and which one wins.

The launcher is the one beside the library, or $LAUNCHER (scripts/test gives the installed one). What a setting did is
seen from the outside: at which address the program is served.
"""
import os
import re
import shutil
import subprocess
import sys

import lib
from lib import check, check_equal, links, need_programs, until

PORT = 7100
SERVER = """
import socket
s = socket.create_server(("0.0.0.0", %d))
print("listening", flush=True)
while True:
    c, a = s.accept()
    c.sendall(s.getsockname()[0].encode() + b" " + a[0].encode())
    c.close()
""" % PORT
ARGV = ["/usr/bin/python3", "-c", SERVER]


def launcher(lab):
    return os.environ.get("LAUNCHER") or os.path.join(os.path.dirname(lab.lib), "shunt")


def launcher_for_everybody(lab):
    """A copy of launcher and library: those of a checkout may be in a home that others cannot enter."""
    os.chmod(lab.dir, 0o755)
    shutil.copy(lab.lib, lab.dir)
    return shutil.copy(launcher(lab), lab.dir)


def bare_env(**words):
    """Environment words without settings of the caller's."""
    return ["env", *["-u" + k for k in os.environ if k.startswith("SHUNT_")], *["%s=%s" % w for w in words.items()]]


def serving(p, addr):
    """Waits until a kernel client is served at this address."""
    import socket

    def asked():
        check(p.poll() is None, "the server ended:", open(p.log).read())
        try:
            with socket.create_connection((addr, PORT), timeout=1) as s:
                return s.recv(100).endswith(b" " + lib.PEER_ADDR.encode())
        except OSError:
            return False
    until(asked, 20, "a server at " + addr)


def lines(p):
    return [line for line in open(p.log).read().splitlines() if line.startswith("shunt")]


@links("tap")
def test_options_of_the_launcher(lab):
    p = lab.start(bare_env() + [launcher(lab), "--link", "tap:tap0", "--addr", lib.OWN_ADDR + "/24", "--set", "mbufs=4096", "--",
                                *ARGV], under_shunt=False)
    serving(p, lib.OWN_ADDR)
    said = lines(p)
    check_equal(len(said), 1, "lines: " + "\n".join(said))
    for words in (lib.OWN_ADDR + "/24", "tap:tap0", "offload", "1 queue", "4096 buffers", "MB of sockets", "hugepages"):
        check(words in said[0], "no word of", words, "in", said[0])


@links("tap")
def test_nothing_set_is_a_tap(lab):
    """The defaults: a tap, 198.18.0.2/24 for the stack, 198.18.0.1/24 for the kernel's end, made by us."""
    for start in (bare_env() + [launcher(lab)], bare_env(LD_PRELOAD=lab.lib)):
        p = lab.start(start + ARGV, under_shunt=False)
        serving(p, "198.18.0.2")
        addrs = lab.pair.peer.run("ip", "-o", "-4", "addr", "show", "dev", "shunt0", capture_output=True, text=True).stdout
        check("198.18.0.1/24" in addrs, addrs)
        check_equal(len(lines(p)), 1, open(p.log).read())
        lab.stop(p)


@links("tap")
def test_error_level_is_silent(lab):
    p = lab.start(bare_env(SHUNT_LOG="error") + [launcher(lab), *ARGV], under_shunt=False)
    serving(p, "198.18.0.2")
    check_equal(open(p.log).read(), "listening\n")


@links("tap")
def test_command_line_before_environment_before_file(lab):
    conf = lab.write("shunt.conf", "# a comment\n\nlink = tap:tap7\naddr = 198.18.0.4/24\nlog = error\n")
    preload = {"LD_PRELOAD": lab.lib}
    for start, addr in (
            (bare_env(SHUNT_CONFIG=conf, **preload), "198.18.0.4"),
            (bare_env(SHUNT_CONFIG=conf, SHUNT_ADDR="198.18.0.5/24", **preload), "198.18.0.5"),
            (bare_env() + [launcher(lab), "--config", conf], "198.18.0.4"),
            (bare_env(SHUNT_ADDR="198.18.0.5/24") + [launcher(lab), "--config", conf], "198.18.0.5"),
            (bare_env(SHUNT_ADDR="198.18.0.5/24") + [launcher(lab), "--config", conf, "--addr", "198.18.0.6/24"], "198.18.0.6"),
            (bare_env(SHUNT_CONFIG="/nonexistent") + [launcher(lab), "--config", conf, "--set", "addr=198.18.0.7/24"],
             "198.18.0.7")):
        p = lab.start(start + ARGV, under_shunt=False)
        serving(p, addr)
        check("tap7" in lab.pair.peer.run("ip", "-o", "link", capture_output=True, text=True).stdout, "the link of the file")
        check_equal(lines(p), [], "log=error of the file")
        lab.stop(p)


@links("tap")
def test_two_addresses_are_both_served(lab):
    p = lab.start(bare_env() + [launcher(lab), "--addr", "198.18.0.2/24", "--addr", "198.18.0.9/24", *ARGV], under_shunt=False)
    serving(p, "198.18.0.2")
    serving(p, "198.18.0.9")


@links("tap")
def test_user_namespace(lab):
    """Unprivileged: root only of a user namespace of its own, with the client inside as well."""
    need_programs("setpriv", "unshare", "curl")
    if subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "unshare", "-Urn", "true"], stderr=subprocess.DEVNULL).returncode:
        raise lib.Skipped("no user namespaces")
    open_launcher = launcher_for_everybody(lab)
    script = lab.write("run.sh", """
"$1" /usr/bin/python3 -m http.server --bind 0.0.0.0 %d 2>err.log &
n=0
until curl -sf -m 2 http://198.18.0.2:%d/run.sh; do
	n=$((n + 1))
	[ $n -lt 200 ] || exit 1
	sleep 0.05
done
kill $!
""" % (PORT, PORT))
    log = lab.write("err.log", "")
    os.chmod(log, 0o666)
    r = lab.finish(bare_env() + ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Urn", "sh", script,
                                 open_launcher], 40, False, None)
    check(r.returncode == 0 and b"http.server" in r.stdout, r.stdout, r.stderr, open(log).read())
    check(re.search("^shunt: 198.18.0.2/24 on tap:shunt0", open(log).read(), re.M), open(log).read())


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
