# SPDX-License-Identifier: BSD-3-Clause
"""Sends what a kernel with segmentation offload sends: gso_frames.py INTERFACE COUNT

20 UDP_SEGMENT sends of 60000 bytes, then COUNT TCP frames of 65160 bytes of payload with a partial checksum, made
with a virtio header on a packet socket.
"""
import socket
import struct
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, UDP_SEGMENT = 263, 15, 103
SRC, DST = 0xC6120001, 0xC6120002


def fold(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def tcp_frame(size):
    payload = b"y" * size
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 52 + size, 1, 0, 64, 6, 0, SRC, DST)
    ip = ip[:10] + struct.pack("!H", 0xFFFF ^ fold(ip)) + ip[12:]
    pseudo = fold(struct.pack("!IIBBH", SRC, DST, 0, 6, 32 + size))
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x80, 0x10, 1000, pseudo, 0) + b"\x01\x01\x08\x0a" + bytes(8)
    virtio = struct.pack("=BBHHHH", 1, 1, 66, 1448, 34, 16)
    ethernet = bytes.fromhex("021122334455020000000001") + b"\x08\x00"
    return virtio + ethernet + ip + tcp + payload


def main():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1400)
    for _ in range(20):
        udp.sendto(b"x" * 60000, ("198.18.0.2", 9))
        time.sleep(0.001)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    raw.bind((sys.argv[1], 0))
    frame = tcp_frame(65160)
    for _ in range(int(sys.argv[2])):
        raw.send(frame)
        time.sleep(0.001)


main()
