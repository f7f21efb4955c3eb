#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Servers whose work is spread over processes or selectors: Node's cluster module, a prefork server in Python (what
gunicorn does), asyncio on several processes, Java NIO. Load, content, workers that are replaced, what is left."""
import os
import random
import select
import shutil
import signal
import sys
import time

import lib
from lib import check, check_equal, limit, links, need_programs, until

PORT = 8000
WORKERS = 4
BODY = b"0123456789abcdef" * 256

NODE = """
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) {
	for (let i = 0; i < %(workers)d; i++) cluster.fork();
	cluster.on('exit', () => cluster.fork());
} else {
	const body = '0123456789abcdef'.repeat(256);
	http.createServer((req, res) => {
		if (req.url === '/pid') res.end(String(process.pid)); else res.end(body);
	}).listen(%(port)d, '0.0.0.0');
}
"""

# The parent listens and forks; each child accepts from the same socket, like gunicorn's sync worker.
PREFORK = """
import os, signal, socket, sys
body = b"0123456789abcdef" * 256
listener = socket.create_server(("0.0.0.0", %(port)d), backlog=512)

def answer(c):
    data = b""
    while True:
        while b"\\r\\n\\r\\n" not in data:
            more = c.recv(65536)
            if not more:
                return
            data += more
        head, data = data.split(b"\\r\\n\\r\\n", 1)
        out = str(os.getpid()).encode() if head.startswith(b"GET /pid ") else body
        last = b"Connection: close" in head
        c.sendall(b"HTTP/1.1 200 OK\\r\\n%%sContent-Length: %%d\\r\\n\\r\\n" %% (b"Connection: close\\r\\n" * last, len(out)) + out)
        if last:
            return

def work():
    while True:
        c, _ = listener.accept()
        with c:
            try:
                answer(c)
            except OSError:
                pass

def start():
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()

def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
for _ in range(%(workers)d):
    start()
while True:
    os.wait()
    start()
"""

ASYNCIO = """
import asyncio, os, socket
body = b"0123456789abcdef" * 256
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            out = str(os.getpid()).encode() if head.startswith(b"GET /pid ") else body
            last = b"Connection: close" in head
            writer.write(b"HTTP/1.1 200 OK\\r\\n%%sContent-Length: %%d\\r\\n\\r\\n" %%
                         (b"Connection: close\\r\\n" * last, len(out)) + out)
            await writer.drain()
            if last:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()
listeners = [socket.create_server(("0.0.0.0", %(port)d), backlog=512, reuse_port=True) for _ in range(%(workers)d)]
mine = 0
for i in range(1, %(workers)d):
    if os.fork() == 0:
        mine = i
        break
for i, s in enumerate(listeners):
    if i != mine:
        s.close()
async def main():
    server = await asyncio.start_server(serve, sock=listeners[mine])
    await server.serve_forever()
asyncio.run(main())
"""

JAVA = """
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.util.Iterator;

/** Echoes; one selector and one thread for each of the given number. */
public class Echo {
	static void serve(Selector selector) throws Exception {
		while (true) {
			selector.select();
			for (Iterator<SelectionKey> it = selector.selectedKeys().iterator(); it.hasNext();) {
				SelectionKey key = it.next();
				it.remove();
				try {
					if (key.isAcceptable()) {
						SocketChannel c = ((ServerSocketChannel) key.channel()).accept();
						if (c == null) continue;
						c.configureBlocking(false);
						c.register(selector, SelectionKey.OP_READ, ByteBuffer.allocateDirect(65536));
					} else {
						echo(key);
					}
				} catch (java.io.IOException e) {
					key.channel().close();
				}
			}
		}
	}
	static void echo(SelectionKey key) throws java.io.IOException {
		SocketChannel c = (SocketChannel) key.channel();
		ByteBuffer b = (ByteBuffer) key.attachment();
		if (key.isReadable() && c.read(b) < 0) {
			c.close();
			return;
		}
		b.flip();
		c.write(b);
		boolean left = b.hasRemaining();
		b.compact();
		key.interestOps(left ? SelectionKey.OP_WRITE | (b.hasRemaining() ? SelectionKey.OP_READ : 0) : SelectionKey.OP_READ);
	}
	public static void main(String[] args) throws Exception {
		ServerSocketChannel s = ServerSocketChannel.open();
		s.bind(new InetSocketAddress("0.0.0.0", Integer.parseInt(args[0])), 512);
		s.configureBlocking(false);
		for (int i = Integer.parseInt(args[1]); i > 0; i--) {
			Selector selector = Selector.open();
			s.register(selector, SelectionKey.OP_ACCEPT);
			new Thread(() -> { try { serve(selector); } catch (Exception e) { e.printStackTrace(); System.exit(1); } }).start();
		}
	}
}
"""


def url(path):
    return "http://%s:%d%s" % (lib.OWN_ADDR, PORT, path)


def curl(lab, path):
    return lab.client(["curl", "-sS", "--fail", "--max-time", "10", url(path)]).stdout


def pid_of(s):
    """Which process answers on this connection."""
    s.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(1)
        check(more, "connection closed after", head)
        head += more
    size = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")][0]
    return int(lib.recv_exactly(s, size))


def all_workers_answer(lab):
    """Each connection is held, so that a worker that serves one at a time leaves the next one to others."""
    seen, conns = set(), []

    def another():
        conns.append(lab.connect(PORT, timeout=10))
        seen.add(pid_of(conns[-1]))
        return len(seen) == WORKERS
    try:
        until(another, 20, "answers of all workers")
    finally:
        for s in conns:
            s.close()
    return seen


def drive(lab, p):
    need_programs("wrk", "curl")
    idle = lab.counters(p)
    check(curl(lab, "/") == BODY, "body")
    all_workers_answer(lab)
    lab.wrk(url("/"), connections=WORKERS)
    lab.wrk(url("/"), "-H", "Connection: close", connections=WORKERS)
    check(curl(lab, "/") == BODY, "body after the load")
    return idle


def replaced(lab):
    """A worker that is killed is replaced, and all serve again."""
    victim = sorted(all_workers_answer(lab))[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in all_workers_answer(lab), 20, "another worker in its place")


@links("kernel")
@limit(120)
def test_node_cluster(lab):
    """The parent accepts and passes each connection to a worker that was started by exec (SCM_RIGHTS), for which a
    socket of ours is a placeholder."""
    need_programs("node")
    p = lab.server(["node", lab.write("server.js", NODE % dict(port=PORT, workers=WORKERS))], PORT)
    until(lambda: len(lib.descendants(p.pid)) >= WORKERS, 20, "workers")
    idle = drive(lab, p)
    replaced(lab)
    lab.check_no_leak(p, idle)
    lab.stop(p)


@limit(120)
def test_python_prefork(lab):
    p = lab.server(["/usr/bin/python3", lab.write("server.py", PREFORK % dict(port=PORT, workers=WORKERS))], PORT)
    idle = drive(lab, p)
    replaced(lab)
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 0)


@limit(120)
def test_python_asyncio_reuseport(lab):
    """Each process has a listening socket of its own on the same port."""
    p = lab.server(["/usr/bin/python3", lab.write("server.py", ASYNCIO % dict(port=PORT, workers=WORKERS))], PORT)
    idle = drive(lab, p)
    lab.check_no_leak(p, idle)
    lab.stop(p)


def echo_load(lab, connections_n=20):
    """Writes random pieces on many connections for LOAD_S, and checks what comes back, byte by byte."""
    rnd, pool = random.Random(1), os.urandom(1 << 20)
    socks, poller = {}, select.poll()
    for _ in range(connections_n):
        s = lab.connect(PORT)
        s.setblocking(False)
        socks[s.fileno()] = [s, b"", b""]  # what is still to be sent, and what must still come back
        poller.register(s, select.POLLIN | select.POLLOUT)
    end, total = time.monotonic() + lib.LOAD_S, 0
    while any(c[2] for c in socks.values()) or time.monotonic() < end:
        check(time.monotonic() < end + 20, "echoes missing")
        for fd, event in poller.poll(1000):
            c = socks[fd]
            if not c[2] and time.monotonic() < end:
                at = rnd.randrange(1 << 19)
                c[1] = c[2] = pool[at:at + rnd.choice((1, 100, 1448, 20000, 300000))]
            if event & select.POLLIN:
                got = c[0].recv(1 << 18)
                check(got and c[2].startswith(got), "an echo of %d bytes is wrong" % len(got))
                c[2], total = c[2][len(got):], total + len(got)
            if c[1] and event & select.POLLOUT:
                c[1] = c[1][c[0].send(c[1]):]
            poller.modify(fd, select.POLLIN | (select.POLLOUT if c[1] or not c[2] else 0))
    for c in socks.values():
        c[0].close()
    print("  %d MB/s echoed" % (total / lib.LOAD_S / 1e6))


@limit(120)
def test_java_nio(lab):
    java = [shutil.which("javac"), shutil.which("java")]
    if not all(java):
        raise lib.Skipped("no JDK")
    lab.client([java[0], "-d", lab.dir, lab.write("Echo.java", JAVA)])
    p = lab.server([java[1], "-Xmx128m", "-cp", lab.dir, "Echo", str(PORT), "2"], PORT)
    idle = lab.counters(p)
    echo_load(lab)
    lab.check_no_leak(p, idle)
    check_equal(lab.stop(p), 143)


if __name__ == "__main__":
    sys.exit(lib.main(globals()))
