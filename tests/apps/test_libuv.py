# SPDX-License-Identifier: BSD-3-Clause
"""libuv's own tests of TCP, UDP and polling, unmodified: each runs on the kernel and, with loopback=stack, under Shunt; what
passes there has to pass here.

The source is Debian's package libuv1, fetched by an apt configuration of this test's own, so that the machine's stays as it
is, and built with cmake. LIBUV_CACHE=DIR keeps the build for another run."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lib
import net

LIMIT_S = 900
TEST_S = 30
SKIPPED = 7  # TEST_SKIP of libuv

# Of all tests those that use sockets, streams of several processes, or descriptors in a loop
WANTED = re.compile(r"tcp|udp|^poll|connect|shutdown|getsockname|listen|accept|socket_buffer|readable|writable|callback_stack|"
                    r"close_fd|close_order|closed_fd|embed|emfile|^ipc|watcher_cross_stop|fork_socketpair|pass_always")
# What cannot be compared, and why
LEFT_OUT = {
    "udp_multicast_join": "multicast needs a network that the namespace has not",
    "udp_multicast_join6": "the same",
    "tcp_connect_timeout": "connects to 8.8.8.8: the namespace has no route",
    "tcp_local_connect_timeout": "takes the machine's first address: the namespace has several, and the order varies",
}
# What fails under Shunt: test, reason (README, Limits)
KNOWN = {
    "watcher_cross_stop": "allows itself 32 descriptors besides 2500 sockets; Shunt's own are 270",
}


def run(cmd, where, seconds, env=None):
    p = subprocess.run(cmd, cwd=where, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    if p.returncode:
        raise RuntimeError("%s: status %d\n%s" % (" ".join(cmd), p.returncode, lib.tail_text(p.stdout)))
    return p.stdout.decode(errors="replace")


def codename():
    with open("/etc/os-release") as f:
        return re.search(r"^VERSION_CODENAME=(\S+)", f.read(), re.M).group(1)


def fetch(where):
    """Debian's source of libuv1 below `where`; returns its folder, or None when there is no way to get it."""
    apt = os.path.join(where, "apt")
    for d in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(apt, d), exist_ok=True)
    with open(os.path.join(apt, "sources.list"), "w") as f:
        f.write("deb-src http://deb.debian.org/debian %s main\n" % codename())
    with open(os.path.join(apt, "apt.conf"), "w") as f:
        f.write('Dir::Etc::SourceList "%s/sources.list";\nDir::Etc::SourceParts "-";\nDir::State::Lists "%s/lists";\n'
                'Dir::Cache "%s/cache";\nAPT::Sandbox::User "root";\nAcquire::Retries "2";\n' % (apt, apt, apt))
    env = {"APT_CONFIG": os.path.join(apt, "apt.conf")}
    try:
        run(["apt-get", "-q", "update"], where, 300, env)
        run(["apt-get", "-q", "source", "libuv1"], where, 300, env)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as e:
        print(e)
        return None
    found = [d for d in os.listdir(where) if re.match(r"libuv1-[0-9.]+$", d)]
    return os.path.join(where, found[0]) if found else None


def build(where):
    """The program with all of libuv's tests and libuv_family.c; None: no source."""
    exe = os.path.join(where, "libuv_tests")
    if os.path.exists(exe):
        return exe
    source = fetch(where)
    if not source:
        return None
    here = os.path.dirname(os.path.abspath(__file__))
    made = os.path.join(where, "build")
    run(["cmake", "-S", source, "-B", made, "-DCMAKE_BUILD_TYPE=Release"], where, 300)
    run(["make", "-C", made, "-j2", "uv_run_tests_a"], where, 600)
    objects = os.path.join(made, "CMakeFiles", "uv_run_tests_a.dir", "test")
    run(["objcopy", "--redefine-sym", "main=uv_tests_main", os.path.join(objects, "run-tests.c.o")], where, 60)
    run(["cc", "-O2", "-o", exe, os.path.join(here, "libuv_family.c"),
         *sorted(os.path.join(objects, o) for o in os.listdir(objects) if o.endswith(".o")),
         os.path.join(made, "libuv_a.a"), "-lpthread", "-ldl", "-lrt"], where, 120)
    return exe


def all_tests(exe):
    """[(test, helper or None)] of those that are wanted."""
    text = subprocess.run([exe, "--list"], env={**os.environ, "UV_RUN_AS_ROOT": "1"}, check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    found = [re.match(r"(\S+)(?:\s+\(helpers: (\S+)\))?", line).groups() for line in text.splitlines()]
    return [(t, h) for t, h in found if WANTED.search(t) and t not in LEFT_OUT]


def verdict(lab, exe, test, helper, under_shunt):
    """("ok" | "skipped" | "failed …", what it printed)"""
    argv = [exe, "--family", test] + ([helper] if helper else [])
    full = lab.argv(argv, keys={"loopback": "stack", "max_udp": 4096}) if under_shunt else lab.pair.box.argv(*argv)
    p = subprocess.Popen(full, env={**os.environ, "UV_RUN_AS_ROOT": "1"}, cwd=lab.dir, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out, _ = p.communicate(timeout=TEST_S)
        status = "status %d" % p.returncode
    except subprocess.TimeoutExpired:
        net.kill_group(p)
        out, _ = p.communicate()
        status = "took more than %d s" % TEST_S
    net.kill_group(p)
    if under_shunt:
        lib.until(lambda: "tap0" not in net.interface_names(lab.pair.peer), TEST_S, test + " to let go of the link")
    result = {"status 0": "ok", "status %d" % SKIPPED: "skipped"}.get(status, "failed: " + status)
    return result, out.decode(errors="replace")


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_sockets(lab):
    """On the kernel first; only what passes there is run under Shunt, and once more if it fails."""
    counts, worse, carried = {"ok": 0, "skipped": 0, "failed on the kernel": 0}, [], 0
    for test, helper in all_tests(EXE):
        there, _ = verdict(lab, EXE, test, helper, False)
        if there != "ok":
            counts["skipped" if there == "skipped" else "failed on the kernel"] += 1
            continue
        here, out = verdict(lab, EXE, test, helper, True)
        carried += "shunt: 198.18.0.2/24 on tap" in out
        if here == "ok":
            counts["ok"] += 1
        elif test not in KNOWN:
            worse.append("%s: %s\n%s" % (test, here, lib.tail_text(out.encode(), 1500)))
            print("%-44s %s" % (test, here), flush=True)
    print("libuv: %(ok)d tests passed on both, %(skipped)d skip themselves, %(failed on the kernel)d fail on the kernel"
          % counts)
    lib.check(not worse, "passes on the kernel and not under Shunt:\n", "\n".join(worse))
    lib.check(carried > 60, "the link was started only", carried, "times")


if __name__ == "__main__":
    folder = os.environ.get("LIBUV_CACHE") or tempfile.mkdtemp(prefix="shunt-libuv-")
    os.makedirs(folder, exist_ok=True)
    try:
        for tool in ("cmake", "make", "objcopy", "apt-get", "dpkg-source"):
            if not shutil.which(tool):
                net.skip("%s is not installed" % tool)
        EXE = build(folder)
        if not EXE:
            net.skip("no source of libuv1 to be had")
        lib.main(globals())
    finally:
        if not os.environ.get("LIBUV_CACHE"):
            shutil.rmtree(folder, ignore_errors=True)
