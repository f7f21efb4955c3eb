#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Small HTTP servers under Shunt: Python's http.server (blocking, a thread per request) and Node (libuv)."""
import json
import sys

import lib
from lib import check, check_equal, limit, links, need_programs, recv_exactly

PORT = 8000
NODE = """
const http = require('http');
const body = Buffer.alloc(5 << 20, 'node');
http.createServer((req, res) => {
	if (req.method === 'POST') {
		let n = 0;
		req.on('data', d => n += d.length);
		req.on('end', () => res.end(String(n)));
	} else if (req.url === '/big') {
		res.end(body);
	} else if (req.url === '/chunks') {
		let i = 0;
		const more = () => i < 20 ? res.write('chunk' + i++ + '\\n', more) : res.end();
		more();
	} else {
		setTimeout(() => res.end('hello\\n'), 5);
	}
}).listen(%d, '0.0.0.0');
"""


def curl(lab, path, *args):
    return lab.client(["curl", "-sS", "--fail", "--max-time", "20", *args, "http://%s:%d%s" % (lib.OWN_ADDR, PORT, path)]).stdout


def test_python_http_server(lab):
    sums = {size: lab.file_of("www/f%d" % size, size) for size in (1, 5000, 1 << 20, 10 << 20)}
    p = lab.server(["/usr/bin/python3", "-m", "http.server", "--bind", "0.0.0.0", "--directory", lab.path("www"), str(PORT)],
                   PORT)
    for size, want in sums.items():
        out = lab.path("download")
        curl(lab, "/f%d" % size, "-o", out)
        check_equal(lib.sha256_of(out), want, "file of %d bytes:" % size)
    check(b"f5000" in curl(lab, "/"), "listing")
    running = [lab.start(["curl", "-sS", "--fail", "-o", "/dev/null", "http://%s:%d/f%d" % (lib.OWN_ADDR, PORT, 1 << 20)],
                         under_shunt=False) for _ in range(8)]
    for c in running:
        check_equal(c.wait(30), 0, "parallel download")
    lab.stop(p)


@links("af_packet")
def test_offloads_of_the_interface(lab):
    """Checksum and segmentation are left to the interface while it has them, and are the kernel's once it has not."""
    size = 8 << 20
    want = lab.file_of("www/f", size)
    lab.server(["/usr/bin/python3", "-m", "http.server", "--bind", "0.0.0.0", "--directory", lab.path("www"), str(PORT)],
               PORT)
    for state in ("on", "off", "on"):
        for ns, dev in ((lab.pair.peer, "v0"), (lab.pair.box, "v1")):
            ns.run("ethtool", "-K", dev, *[w for o in ("rx", "tx", "sg", "tso", "gso", "gro") for w in (o, state)],
                   capture_output=True, check=False)
        before, out = received(lab), lab.path("download-" + state)
        curl(lab, "/f", "-o", out)
        check_equal(lib.sha256_of(out), want, "file with offloads %s:" % state)
        frames = received(lab) - before
        check(frames < size // 5000 if state == "on" else frames > size // 1500,
              "%d frames of segmentation %s" % (frames, state))


def received(lab):
    out = lab.pair.peer.run("ip", "-j", "-s", "link", "show", "v0", capture_output=True, text=True).stdout
    return json.loads(out)[0]["stats64"]["rx"]["packets"]


def test_node_server(lab):
    need_programs("node")
    p = lab.server(["node", lab.write("server.js", NODE % PORT)], PORT)
    check_equal(curl(lab, "/"), b"hello\n")
    check(curl(lab, "/big") == b"node" * ((5 << 20) // 4), "large answer")
    check_equal(curl(lab, "/chunks"), b"".join(b"chunk%d\n" % i for i in range(20)))
    lab.file_of("up", 3 << 20)
    check_equal(curl(lab, "/", "--data-binary", "@" + lab.path("up")), b"%d" % (3 << 20))
    conns = [lab.connect(PORT) for _ in range(50)]
    for s in conns:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in conns:
        check(recv_exactly(s, 15) == b"HTTP/1.1 200 OK", "answer")
    lab.stop(p)


def test_python_echo_asyncio(lab):
    """asyncio: epoll through CPython, many connections, half-closed streams."""
    program = lab.write("echo.py", """
import asyncio
async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, '0.0.0.0', %d)
    await server.serve_forever()
asyncio.run(main())
""" % PORT)
    lab.server(["/usr/bin/python3", program], PORT)
    import os
    import socket
    import threading
    data = os.urandom(2 << 20)
    conns = [lab.connect(PORT) for _ in range(10)]

    def send(s):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)

    threads = [threading.Thread(target=send, args=(s,)) for s in conns]
    for t in threads:
        t.start()
    for s in conns:
        check(recv_exactly(s, len(data) + 1) == data, "echo")
    for t in threads:
        t.join()


def test_python_clients_of_the_resolver_kind(lab):
    """A program under Shunt whose names are resolved from /etc/hosts, and which talks to the peer."""
    import socket
    import threading
    listener = socket.create_server(("0.0.0.0", PORT))

    def serve():
        c, _ = listener.accept()
        c.sendall(b"HTTP/1.0 200 OK\r\n\r\nfrom the peer")
        c.shutdown(socket.SHUT_WR)
        c.recv(10000)
        c.close()

    t = threading.Thread(target=serve)
    t.start()
    r = lab.tested(["/usr/bin/python3", "-c", "import urllib.request as u; print(u.urlopen('http://%s:%d/').read().decode())"
                    % (lib.PEER_ADDR, PORT)])
    check_equal(r.stdout, b"from the peer\n")
    t.join()


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
