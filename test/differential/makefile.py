"""Runs the cases on its standard input through socket.makefile, and tells what each call did, as JSON."""

import json
import socket
import sys


def plain(value):
    """A result as JSON has it; bytes by their hexadecimal digits."""
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def argument(value):
    if isinstance(value, list):
        return [argument(item) for item in value]
    return bytes.fromhex(value["bytes"]) if isinstance(value, dict) else value


def failure(error):
    """The name of the error's class on the other side."""
    # In this order: UnsupportedOperation is an OSError and a ValueError.
    if isinstance(error, (ValueError, LookupError)):
        return {"error": "RangeError"}
    for name in ("BlockingIOError", "BrokenPipeError", "TimeoutError", "TypeError", "OSError"):
        if isinstance(error, getattr(__builtins__, name)):
            return {"error": name}
    return {"error": type(error).__name__}


def received(peer):
    """What has arrived at the other end."""
    chunks = []
    peer.settimeout(0)
    try:
        while chunk := peer.recv(1 << 20):
            chunks.append(chunk)
    except BlockingIOError:
        pass
    return b"".join(chunks)


def call(file, sock, peer, name, args):
    args = [argument(arg) for arg in args]
    if name == "received":
        return received(peer)
    if name == "peer":
        return peer.send(args[0])
    if name == "hangup":
        return peer.close()
    if name == "closeSocket":
        return sock.close()
    if name == "isOpen":
        return getattr(file, "closed") is False
    if name == "iterate":
        return list(file)
    if name == "get":
        return getattr(file, args[0])
    if name == "writeSome":
        try:
            return file.write(b"x" * args[0])
        except BlockingIOError as error:
            return [error.characters_written]
    if name in ("readinto", "readinto1"):
        into = bytearray(args[0])
        n = getattr(file, name)(into)
        return [n, into]
    return getattr(file, name)(*args)


def run(case):
    sock, peer = socket.socketpair(socket.AF_UNIX, getattr(socket, case["type"]))
    sock.settimeout(case["timeout"])
    peer.settimeout(5)
    results = []
    file = None
    try:
        for chunk in case["chunks"]:
            peer.send(bytes.fromhex(chunk))
        if case["hangup"]:
            peer.shutdown(socket.SHUT_WR)
        try:
            file = sock.makefile(case["mode"], case["buffering"], **case["options"])
        except Exception as error:
            return [failure(error)]
        for name, *args in case["calls"]:
            try:
                results.append(plain(call(file, sock, peer, name, args)))
            except Exception as error:
                results.append(failure(error))
        return results
    finally:
        if file is not None:
            try:
                file.close()
            except Exception:
                pass
        sock.close()
        peer.close()


print(json.dumps([run(case) for case in json.load(sys.stdin)]))
