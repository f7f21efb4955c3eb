# SPDX-License-Identifier: BSD-3-Clause
"""A service's seccomp filter: programs start their stack and serve where every call but systemd's @system-service kills."""
import ctypes
import os
import re
import shutil
import struct
import subprocess
import sys

import lib

PORT = 6379
NUMBERS = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW = 0x80000000, 0x7fff0000
LD_NR, JEQ, RET = 0x20, 0x15, 0x06  # BPF: load the call's number, compare, return


def calls_of(group):
    """The names of the calls of a group such as @system-service, as this machine's systemd defines it."""
    out = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True).stdout
    found = set()
    for word in (line.strip() for line in out.splitlines()[1:]):
        if word.startswith("@"):
            found |= calls_of(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def filtered(argv):
    """Becomes argv, with a filter that kills for every call that a service has no use for."""
    numbers = {m[1]: int(m[2]) for m in re.finditer(r"#define __NR_(\w+) (\d+)", open(NUMBERS).read())}
    ops = [struct.pack("HBBI", LD_NR, 0, 0, 0)]
    for name in calls_of("@system-service") | calls_of("@default"):
        if name in numbers:
            ops += [struct.pack("HBBI", JEQ, 0, 1, numbers[name]), struct.pack("HBBI", RET, 0, 0, SECCOMP_RET_ALLOW)]
    ops.append(struct.pack("HBBI", RET, 0, 0, SECCOMP_RET_KILL_PROCESS))
    code = ctypes.create_string_buffer(b"".join(ops), 8 * len(ops))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(ops), ctypes.addressof(code)), 16)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program):
        sys.exit("no seccomp filter: " + os.strerror(ctypes.get_errno()))
    os.execvp(argv[0], argv)


@lib.links("kernel", "tap", "af_packet")
def test_redis_as_a_service(lab):
    lib.need_programs("redis-server")
    if not shutil.which("systemd-analyze") or not os.path.exists(NUMBERS):
        raise lib.Skipped("needs systemd-analyze and %s" % NUMBERS)
    p = lab.server(["/usr/bin/python3", os.path.abspath(__file__), "--filtered", "redis-server", "--bind", "0.0.0.0",
                    "--protected-mode", "no", "--save", "", "--dir", lab.dir], PORT)
    s = lab.connect(PORT)
    s.sendall(b"SET a 1\r\nGET a\r\n")
    lib.check_equal(lib.recv_exactly(s, 12), b"+OK\r\n$1\r\n1\r\n")
    if not lab.kernel:
        lib.check(lab.count(p)["tcp_passive_opens"] > 0, "the stack did not serve")
    lib.check_equal(lab.stop(p), 0, "status")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--filtered"]:
        filtered(sys.argv[2:])
    lib.main(globals())
