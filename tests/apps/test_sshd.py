#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""OpenSSH's server: it loads itself anew for each connection (exec), which it then finds as its stdin.

The client is the kernel's. The server is Debian's sshd with keys and configuration of the test's own.
"""
import os
import sys
import threading

import lib
from lib import check, check_equal, need_programs, sha256_of, until

PORT = 2222
SFTP = "/usr/lib/openssh/sftp-server"

CONFIG = """Port {port}
ListenAddress 0.0.0.0
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/authorized_keys
PidFile {dir}/sshd.pid
UsePAM no
StrictModes no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
LogLevel VERBOSE
Subsystem sftp {sftp}
"""


def sshd(lab):
    need_programs("ssh", "scp", "ssh-keygen", "/usr/sbin/sshd")
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # where sshd puts the process without privileges
    for key in ("host_key", "user_key"):
        lab.finish(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", lab.path(key)], 30, True, None)
    with open(lab.path("user_key.pub")) as f:
        lab.write("authorized_keys", f.read())
    lab.write("sshd_config", CONFIG.format(port=PORT, dir=lab.dir, sftp=SFTP))
    return lab.server(["/usr/sbin/sshd", "-D", "-e", "-f", lab.path("sshd_config")], PORT)


def options(lab):
    return ["-i", lab.path("user_key"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-F", "/dev/null"]


def ssh(lab, *command, **kw):
    return lab.client(["ssh", "-p", str(PORT), *options(lab), "root@" + lib.OWN_ADDR, *command], **kw)


def test_command(lab):
    p = sshd(lab)
    r = ssh(lab, "echo", "$SSH_CONNECTION;", "exit", "7", check_status=False)
    check_equal(r.returncode, 7)
    peer, _, own, port = r.stdout.decode().split()
    check_equal((own, int(port)), (lib.OWN_ADDR, PORT))
    check(peer == lib.PEER_ADDR, "the peer's address is", peer)
    r = ssh(lab, "cat", stdin=b"x" * 3000000)
    check_equal(len(r.stdout), 3000000)
    if not lab.kernel:
        check(lab.counters(p)["pump"]["passed"] >= 2, lab.counters(p)["pump"])
        until(lambda: lab.counters(p)["pump"]["now"] == 0, 20, "the pumps to end")
    check("all sockets stay with the kernel" not in lab.tail(p.log, 1 << 20), lab.tail(p.log))
    lab.stop(p)


def test_copy_files(lab):
    p = sshd(lab)
    digest = lab.file_of("up.bin", 8000000)
    remote = "root@%s:" % lib.OWN_ADDR
    lab.client(["scp", "-P", str(PORT), *options(lab), lab.path("up.bin"), remote + lab.path("there.bin")])
    check_equal(sha256_of(lab.path("there.bin")), digest)
    lab.client(["scp", "-P", str(PORT), *options(lab), remote + lab.path("there.bin"), lab.path("back.bin")])
    check_equal(sha256_of(lab.path("back.bin")), digest)
    lab.stop(p)


def test_sessions_at_once_and_the_listeners_end(lab):
    """Several sessions; those under way live on when the listening sshd ends."""
    p = sshd(lab)
    fifo = lab.path("go")
    os.mkfifo(fifo)
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(
        ssh(lab, "echo started > %s; cat %s; echo %d" % (lab.path("started%d" % i), fifo + str(i), i)).stdout))
        for i in range(4)]
    for i in range(4):
        os.mkfifo(fifo + str(i))
    for t in threads:
        t.start()
    until(lambda: all(os.path.exists(lab.path("started%d" % i)) for i in range(4)), 30, "the sessions to start")
    lab.stop(p)
    for i in range(4):
        with open(fifo + str(i), "w") as f:
            f.write("text\n")
    for t in threads:
        t.join()
    check_equal(sorted(results), [b"text\n%d\n" % i for i in range(4)])


if __name__ == "__main__":
    lib.main(globals())
