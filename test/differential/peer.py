"""The other side of the comparison: runs the scripts that compare.ts writes to stdin with Python's socket module, and
prints what each call gave. The form of scripts, values and results is told in compare.ts."""

import json
import re
import socket
import sys


class Missing:
    """What a call gets where ours gets undefined: a thing of no type that it knows."""


class Opaque:
    """A variable whose call failed: whatever is done with it fails."""


OURS = {
    name
    for name in """
    BlockingIOError BrokenPipeError ConnectionAbortedError ConnectionRefusedError ConnectionResetError FileExistsError
    FileNotFoundError InterruptedError PermissionError TimeoutError gaierror herror
    """.split()
}


def snake(name):
    if name == "Socket":
        return "socket"
    if hasattr(socket, name):
        return name
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def decode(value, variables):
    if isinstance(value, list):
        return tuple(decode(item, variables) for item in value)
    if not isinstance(value, dict):
        return value
    if "bytes" in value:
        return bytes.fromhex(value["bytes"])
    if "int" in value:
        return int(value["int"])
    if "float" in value:
        return float(value["float"])
    if "missing" in value:
        return Missing()
    if "ref" in value:
        variable = variables[value["ref"]]
        return getattr(variable, value["call"])() if "call" in value else variable
    raise KeyError(value)


def encode(value):
    if isinstance(value, socket.socket):
        return {"socket": [int(value.family), int(value.type), int(value.proto)]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return int(value)
    raise TypeError(type(value))


def kind(value):
    if isinstance(value, (list, tuple)):
        return [kind(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return "negative" if value < 0 else "a number"
    if isinstance(value, str):
        return "a string"
    return encode(value)


def failure(error):
    if isinstance(error, OSError):
        name = type(error).__name__
        if isinstance(error, socket.timeout):
            name = "TimeoutError"
        found = {"error": name if name in OURS else "OSError"}
        if error.errno is not None:
            found["errno"] = error.errno
            found["reason"] = error.strerror
        return found
    if isinstance(error, (ValueError, OverflowError)):
        return {"error": "RangeError"}
    if isinstance(error, (TypeError, AttributeError)):
        return {"error": "TypeError"}
    return {"error": type(error).__name__}


def surrogates(given):
    return given.decode("utf-8", "surrogateescape")


BUILTINS = {
    "writable": bytearray,
    "same": lambda value: value,
    "fileNameToText": surrogates,
    "fileNameToBytes": lambda text: text.encode("utf-8", "surrogateescape"),
}

CALL = re.compile(r"(?:([\w, ]+) = )?(?:(\w+)\.)?(\w+)(\?)?$")


def run(script):
    variables = {}
    results = []
    for what, args, named in script:
        targets, owner, name, only_kind = CALL.match(what).groups()
        try:
            if owner:
                called = getattr(variables[owner], snake(name))
            else:
                called = BUILTINS.get(name) or getattr(socket, snake(name))
            if callable(called):
                given = [decode(arg, variables) for arg in args]
                value = called(*given, **{snake(k): decode(v, variables) for k, v in named.items()})
            else:
                value = called
            results.append(kind(value) if only_kind else encode(value))
        except Exception as error:
            value = Opaque()
            results.append(failure(error))
        if targets:
            names = targets.split(", ")
            values = [value] if len(names) == 1 else value if isinstance(value, tuple) else [Opaque()] * len(names)
            variables.update(zip(names, values))
    for variable in variables.values():
        if isinstance(variable, socket.socket):
            try:
                variable.close()
            except OSError:
                pass  # its descriptor was closed behind its back: a part of the script
    socket.setdefaulttimeout(None)
    return results


if __name__ == "__main__":
    if sys.version_info < (3, 10):
        sys.exit("python3 is older than 3.10")
    json.dump([run(script) for script in json.load(sys.stdin)], sys.stdout)
