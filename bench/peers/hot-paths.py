"""The loops of hot-paths.ts in CPython. Reads lines `kind call bytes size rounds batch`, answers nanoseconds an operation."""

import socket
import sys
from time import perf_counter_ns as now

buffer = bytearray(65536)


def connect_pair(kind):
    if kind == "unix":
        return (*socket.socketpair(), None)
    if kind == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as server:
            a = socket.create_connection(server.getsockname())
            b, _ = server.accept()
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return a, b, None
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.bind(("127.0.0.1", 0))
    b.bind(("127.0.0.1", 0))
    return a, b, b.getsockname()


def drain(sock, left):
    while left > 0:
        left -= sock.recv_into(buffer, min(left, len(buffer)))


def data(kind, op, length, size, rounds, batch):
    a, b, to = connect_pair(kind)
    addressed = op in ("sendto", "recvfrom")
    if kind == "udp" and not addressed:
        a.connect(to)
    out = bytes(length)
    into = bytearray(size)
    spent = 0
    for _ in range(rounds):
        start = now()
        if op == "sendto" or (kind == "udp" and addressed):
            for _ in range(batch):
                a.sendto(out, to)
        elif op == "sendmsg":
            for _ in range(batch):
                a.sendmsg([out])
        else:
            for _ in range(batch):
                a.send(out)
        if op.startswith("send"):
            spent += now() - start
            if kind == "udp":
                for _ in range(batch):
                    b.recv_into(buffer)
            else:
                drain(b, length * batch)
            continue
        start = now()
        if op == "recv":
            for _ in range(batch):
                b.recv(size)
        elif op == "recvInto":
            for _ in range(batch):
                b.recv_into(into)
        elif op == "recvfrom":
            for _ in range(batch):
                b.recvfrom(size)
        else:
            for _ in range(batch):
                b.recvmsg(size)
        spent += now() - start
    a.close()
    b.close()
    return spent / (rounds * batch)


def accept_close(kind, rounds, batch):
    server = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
    server.bind(("127.0.0.1", 0) if kind == "tcp" else "")
    server.listen(batch)
    spent = 0
    for _ in range(rounds):
        clients = []
        for _ in range(batch):
            client = socket.socket(server.family)
            client.connect(server.getsockname())
            clients.append(client)
        start = now()
        for _ in range(batch):
            conn, _ = server.accept()
            conn.close()
        spent += now() - start
        for client in clients:
            client.close()
    server.close()
    return spent / (rounds * batch)


def option(kind, rounds, batch):
    a, b, _ = connect_pair(kind)
    start = now()
    for _ in range(rounds * batch):
        a.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    spent = now() - start
    a.close()
    b.close()
    return spent / (rounds * batch)


for line in sys.stdin:
    kind, op, *numbers = line.split()
    length, size, rounds, batch = map(int, numbers)
    if op == "accept+close":
        ns = accept_close(kind, rounds, batch)
    elif op == "getsockopt":
        ns = option(kind, rounds, batch)
    else:
        ns = data(kind, op, length, size, rounds, batch)
    print(f"{ns:.2f}", flush=True)
