"""The loops of bench/packets.ts in CPython, one by one. Reads lines `what bytes 1 rounds`, answers as packets.ts does."""

import socket
import sys
from time import perf_counter_ns as now

COUNT = 128
into = bytearray(2048)


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return sock


def send(sock, data, to):
    for _ in range(COUNT):
        sock.sendto(data, to)


def receive(sock):
    for _ in range(COUNT):
        sock.recvfrom_into(into)


def forward(sock, length, to):
    view = memoryview(into)[:length]
    for _ in range(COUNT):
        sock.recvfrom_into(into)
        sock.sendto(view, to)


def run(what, length, rounds):
    with udp() as a, udp() as b:
        here, there = a.getsockname(), b.getsockname()
        data = bytes(length)
        spent = 0
        for _ in range(rounds):
            if what != "send":
                send(a, data, there)
            start = now()
            if what == "send":
                send(a, data, there)
            elif what == "forward":
                forward(b, length, here)
            else:
                receive(b)
            spent += now() - start
            if what != "recv":
                receive(b if what == "send" else a)
    return spent / (rounds * COUNT)


for line in sys.stdin:
    what, length, _, rounds = line.split()
    print(f"{run(what, int(length), int(rounds)):.2f} 0", flush=True)
