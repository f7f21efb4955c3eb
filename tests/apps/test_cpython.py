# SPDX-License-Identifier: BSD-3-Clause
"""CPython's own tests of its network modules, unmodified, within one program: loopback=stack makes the stack carry what
they send to 127.0.0.1. Each runs on the kernel and under Shunt; what passes there has to pass here."""
import os
import time
import xml.etree.ElementTree

import lib

PYTHON = "/usr/bin/python3"
LIMIT_S = 500
# AF_VSOCK hangs on machines without a hypervisor's side of it, on the kernel too.
ARGS = ["-m", "test", "-v", "-i", "*VSOCK*"]


def verdicts(path):
    """{"class.test": "ok" | "failed" | "skipped"} of a JUnit file."""
    found = {}
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        tags = {child.tag for child in case}
        found[case.get("name")] = ("failed" if tags & {"failure", "error"} else
                                   "skipped" if "skipped" in tags else "ok")
    return found


def start(lab, module, name, under_shunt, extra):
    os.makedirs(lab.path(name), exist_ok=True)
    argv = [PYTHON, *ARGS, *extra, "--tempdir", lab.path(name), "--junit-xml", lab.path(name + ".xml"), module]
    if under_shunt:
        return lab.start(argv, keys={"loopback": "stack"}, name=name)
    return lab.start(lab.pair.box.argv(*argv), under_shunt=False, name=name)


def result(lab, p, name):
    """Its verdicts, and the connections and datagrams that the stack was last seen to carry."""
    carried = 0
    def ended():
        time.sleep(0.1)  # asking costs a process
        nonlocal carried
        try:
            c = lab.counters(p)["stack"]
            carried = max(carried, c["tcp_passive_opens"] + c["udp_rx"])
        except (lib.Failure, KeyError, TypeError):
            pass  # not begun, or just ended
        return p.poll() is not None
    lib.until(ended, LIMIT_S, name + " to end")
    if not os.path.exists(lab.path(name + ".xml")):
        raise lib.Failure("%s: status %s\n%s" % (name, p.returncode, lab.tail(p.log)))
    return verdicts(lab.path(name + ".xml")), carried


def compare(lab, module, *extra, uses_network=True):
    if not os.path.isdir("/usr/lib/python3.11/test/test_asyncio"):
        raise lib.Skipped("libpython3.11-testsuite is not installed")
    kernel = start(lab, module, "kernel", False, extra)
    shunt = start(lab, module, "shunt", True, extra)
    here, carried = result(lab, shunt, "shunt")
    there, _ = result(lab, kernel, "kernel")
    passed = {t for t, v in there.items() if v == "ok"}
    lib.check(passed, "nothing passes on the kernel:", lab.tail(kernel.log))
    worse = sorted("%s: %s" % (t, here.get(t, "not run")) for t in passed if here.get(t) != "ok")
    lib.check(not worse, "passes on the kernel and not under Shunt:", *worse)
    if uses_network:
        lib.check(carried > 0, "the stack carried nothing")
    print("%s: %d tests passed on both, %d connections and datagrams through the stack" %
          (module, len(passed), carried))


@lib.links("tap")
def test_select(lab):
    compare(lab, "test_select", uses_network=False)


@lib.links("tap")
def test_poll(lab):
    compare(lab, "test_poll", uses_network=False)


@lib.links("tap")
def test_epoll(lab):
    compare(lab, "test_epoll", uses_network=False)


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_selectors(lab):
    compare(lab, "test_selectors", uses_network=False)


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_socketserver(lab):
    compare(lab, "test_socketserver", "-u", "network", uses_network=False)


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_socket(lab):
    compare(lab, "test_socket")


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_ftplib(lab):
    compare(lab, "test_ftplib")


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_smtplib(lab):
    compare(lab, "test_smtplib")


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_httplib(lab):
    compare(lab, "test_httplib")


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_httpservers(lab):
    compare(lab, "test_httpservers")


@lib.links("tap")
@lib.limit(LIMIT_S)
def test_ssl(lab):
    compare(lab, "test_ssl")


@lib.links("tap")
@lib.limit(2 * LIMIT_S)
def test_asyncio(lab):
    compare(lab, "test_asyncio")


if __name__ == "__main__":
    lib.main(globals())
