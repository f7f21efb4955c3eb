# SPDX-License-Identifier: BSD-3-Clause
"""loopback=stack: 127.0.0.0/8 within a program is the stack's, to and from other programs the kernel's."""
import socket
import sys

import lib

PORT, FOREIGN_PORT = 7000, 7001

# Serves PORT; a child, then a thread of its own, then (told by the first line) a client outside connect to it.
PROGRAM = r"""
import os, socket, threading
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", %d))
s.listen()

def talk():
    with socket.create_connection(("127.0.0.1", %d)) as c:
        assert c.getpeername()[0] == c.getsockname()[0] == "127.0.0.1"
        c.sendall(b"x" * 100000)
        c.shutdown(socket.SHUT_WR)
        assert c.recv(100) == b"100000", "what came back"

def serve():
    c, peer = s.accept()
    assert peer[0] == "127.0.0.1"
    n = 0
    while b := c.recv(65536):
        n += len(b)
    c.sendall(b"%%d" %% n)
    c.close()

pid = os.fork()
if not pid:
    talk()
    os._exit(0)
serve()
assert os.waitpid(pid, 0)[1] == 0
t = threading.Thread(target=talk)
t.start()
serve()
t.join()
u, v = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "uv")
u.bind(("127.0.0.1", 0))
v.sendto(b"there", u.getsockname())
data, at = u.recvfrom(100)
u.sendto(data + b" and back", at)
assert v.recv(100) == b"there and back"
print("within", flush=True)
serve()
print("outside came in", flush=True)
with socket.create_connection(("127.0.0.1", %d)) as c:
    assert c.recv(100) == b"hello"
print("and was reached", flush=True)
s.accept()
""" % (PORT, PORT, FOREIGN_PORT)

# Nothing may listen where a stack's connection already is, however the kernel would choose.
ANY_PORT = r"""
import socket
c = socket.socket()
c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
c.bind(("198.18.0.2", 40001))  # odd: bind(2) prefers those
c.connect(("198.18.0.1", %d))
for i in range(50):
    s = socket.socket()
    s.bind(("0.0.0.0", 0))
    s.listen()
    assert s.getsockname()[1] not in (0, 40001), s.getsockname()
    s.close()
u = socket.socket()
u.listen()
assert u.getsockname()[1]
print("all free")
""" % FOREIGN_PORT


def said(lab, p, text):
    lib.until(lambda: text in lab.tail(p.log) or p.poll() is not None, 20, text)
    lib.check(text in lab.tail(p.log), lab.tail(p.log))


@lib.links("tap")
def test_within_a_program_and_beside_others(lab):
    foreign = socket.create_server(("127.0.0.1", FOREIGN_PORT))
    p = lab.start([sys.executable, "-c", PROGRAM], keys={"loopback": "stack"})
    said(lab, p, "within")
    if not lab.kernel:
        lib.check_equal(lab.count(p)["tcp_passive_opens"], 2, "connections through the stack")
        lib.check("loopback: the stack carries" in str(lib.ask(lab.lib, p.pid, "why")), lib.ask(lab.lib, p.pid, "why"))
    with socket.create_connection(("127.0.0.1", PORT)) as c:
        c.sendall(b"from outside")
        c.shutdown(socket.SHUT_WR)
        lib.check_equal(c.recv(100), b"12")
    said(lab, p, "outside came in")
    c, _ = foreign.accept()
    c.sendall(b"hello")
    said(lab, p, "and was reached")
    if not lab.kernel:
        lib.check_equal(lab.count(p)["tcp_passive_opens"], 2, "connections through the stack")
    foreign.close()


@lib.links("tap")
def test_any_port_is_one_that_stack_and_kernel_have_free(lab):
    lab.pair.peer.run("sh", "-c", "echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range")
    server = socket.create_server(("0.0.0.0", FOREIGN_PORT))  # the kernel completes handshakes by itself
    r = lab.tested([sys.executable, "-c", ANY_PORT])
    lib.check_equal(r.stdout, b"all free\n")
    server.close()


if __name__ == "__main__":
    lib.main(globals())
