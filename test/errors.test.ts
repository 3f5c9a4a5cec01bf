import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as sockets from "../src/index.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  BlockingIOError,
  BrokenPipeError,
  ConnectionAbortedError,
  ConnectionRefusedError,
  ConnectionResetError,
  FileExistsError,
  FileNotFoundError,
  gaierror,
  herror,
  InterruptedError,
  OSError,
  PermissionError,
  SO_LINGER,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  TimeoutError,
} from "../src/index.ts";
import { formatAddress, systemError } from "../src/errors.ts";
import { TIMED_OUT } from "../src/native.ts";
import { codeOf, hasUnixDatagrams, isWindows, needs, resetting, tellsResets } from "./help.ts";

function failed(call: () => unknown): OSError {
  try {
    call();
  } catch (error) {
    if (error instanceof OSError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

/** A port of 127.0.0.1 where nobody listens: a socket that is bound and does not listen keeps it so. */
function closedPort(): { port: number } & Disposable {
  const sock = new Socket(AF_INET, SOCK_STREAM);
  sock.bind(["127.0.0.1", 0]);
  return { port: sock.getsockname()[1], [Symbol.dispose]: () => sock.close() };
}

const number = (code: string): number => (sockets as unknown as Record<string, number>)[code] ?? 0;

describe("the classes", () => {
  const classes = {
    BlockingIOError,
    BrokenPipeError,
    ConnectionAbortedError,
    ConnectionRefusedError,
    ConnectionResetError,
    FileExistsError,
    FileNotFoundError,
    InterruptedError,
    PermissionError,
    TimeoutError,
    gaierror,
    herror,
  };

  test.each(Object.entries(classes))("%s is an OSError of that name", (name, Class) => {
    const error = new Class({ errno: 1, code: "EX", syscall: "call", reason: "why" });
    expect(error).toBeInstanceOf(Class);
    expect(error).toBeInstanceOf(OSError);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe(name);
    expect(String(error)).toBe(`${name}: call EX: why`);
    expect(Object.values(classes).filter((other) => error instanceof other)).toEqual([Class]);
  });

  test("the two aliases are the classes themselves", () => {
    expect(sockets.error).toBe(OSError);
    expect(sockets.timeout).toBe(TimeoutError);
  });

  test("OSError is no subclass", () => {
    const error = new OSError({ errno: 1, code: "EX", syscall: "call", reason: "why", address: ["::1", 80] });
    expect(error.name).toBe("OSError");
    expect(error.message).toBe("call EX [::1]:80: why");
    expect({ ...error }).toEqual({ errno: 1, code: "EX", syscall: "call", address: ["::1", 80] } as never);
    expect("address" in new OSError({ errno: 1, code: "EX", syscall: "call", reason: "why" })).toBe(false);
    expect(error.stack).toContain("errors.test.ts");
  });

  test.each([
    ["EAGAIN", BlockingIOError],
    ["EWOULDBLOCK", BlockingIOError],
    ["EALREADY", BlockingIOError],
    ["EINPROGRESS", BlockingIOError],
    ["EPIPE", BrokenPipeError],
    ["ESHUTDOWN", BrokenPipeError],
    ["ECONNABORTED", ConnectionAbortedError],
    ["ECONNREFUSED", ConnectionRefusedError],
    ["ECONNRESET", ConnectionResetError],
    ["EEXIST", FileExistsError],
    ["ENOENT", FileNotFoundError],
    ["EINTR", InterruptedError],
    ["EACCES", PermissionError],
    ["EPERM", PermissionError],
    ["ETIMEDOUT", TimeoutError],
    ["EBADF", OSError],
    ["EINVAL", OSError],
    ["ENOTCONN", OSError],
    ["EADDRINUSE", OSError],
    ["ENETUNREACH", OSError],
  ] as const)("%s", (code, Class) => {
    const error = systemError("call", -number(code));
    expect(error.constructor).toBe(Class);
    expect(error.errno).toBe(number(code));
    expect(number(error.code)).toBe(number(code)); // EWOULDBLOCK is EAGAIN on most systems
    expect(error.message).toMatch(new RegExp(`^call ${error.code}: [A-Z].*[a-z]$`));
  });

  test("a number that has no name", () => {
    expect(systemError("call", -9999)).toMatchObject({ errno: 9999, code: "E9999", name: "OSError" });
  });

  test("the socket's own timeout, and the system's", () => {
    const own = systemError("recv", TIMED_OUT);
    expect([own.constructor, own.code, own.errno, own.message]).toEqual([
      TimeoutError,
      "ETIMEDOUT",
      number("ETIMEDOUT"),
      "recv ETIMEDOUT: timed out",
    ]);
    const system = systemError("recv", -number("ETIMEDOUT"));
    expect([system.constructor, system.errno]).toEqual([TimeoutError, own.errno]);
    expect(system.message).not.toContain("timed out: timed out");
    expect(system.message).toMatch(/^recv ETIMEDOUT: /);
  });
});

describe("addresses in messages", () => {
  test.each([
    [["127.0.0.1", 9], "127.0.0.1:9"],
    [["::1", 9, 0, 0], "[::1]:9"],
    [["localhost", 80], "localhost:80"],
    ["/run/x.sock", "/run/x.sock"],
    ["", '""'],
    [Buffer.from("\0name"), "@name"],
    [new Uint8Array([0, 97, 0, 98]), "@a@b"],
    [80, "80"],
    [[3, 4], "3,4"],
  ])("%p", (address, text) => {
    expect(formatAddress(address)).toBe(text);
  });
});

describe("errors of calls", () => {
  test("connect: refused", () => {
    using closed = closedPort();
    using sock = new Socket();
    const address = ["127.0.0.1", closed.port] as const;
    const error = failed(() => sock.connect(address));
    expect(error).toBeInstanceOf(ConnectionRefusedError);
    expect(error.address).toEqual(address);
    expect(error).toMatchObject({ code: "ECONNREFUSED", errno: number("ECONNREFUSED"), syscall: "connect" });
    expect(error.message).toBe(`connect ECONNREFUSED 127.0.0.1:${closed.port}: Connection refused`);
  });

  test("bind: in use, not to be had, not allowed", () => {
    using first = new Socket(AF_INET, SOCK_STREAM);
    first.bind(["127.0.0.1", 0]);
    using second = new Socket(AF_INET, SOCK_STREAM);
    const used = failed(() => second.bind(first.getsockname()));
    expect([used.constructor, used.code, used.syscall]).toEqual([OSError, "EADDRINUSE", "bind"]);
    expect(used.message).toStartWith(`bind EADDRINUSE 127.0.0.1:${first.getsockname()[1]}: `);
    expect(failed(() => second.bind(["192.0.2.77", 0])).code).toBe("EADDRNOTAVAIL");
  });

  test("what carries no address", () => {
    using sock = new Socket();
    const error = failed(() => sock.getpeername());
    expect([error.constructor, error.code, error.syscall, "address" in error]).toEqual([
      OSError,
      "ENOTCONN",
      "getpeername",
      false,
    ]);
    expect(error.message).toMatch(/^getpeername ENOTCONN: \S/);
  });

  test("a socket that is closed is EBADF, whatever it is asked", () => {
    const sock = new Socket();
    sock.close();
    const calls: [syscall: string, call: () => unknown][] = [
      ["accept", () => sock.accept()],
      ["bind", () => sock.bind(["", 0])],
      ["connect", () => sock.connect(["127.0.0.1", 9])],
      ["getsockname", () => sock.getsockname()],
      ["getsockopt", () => sock.getsockopt(SOL_SOCKET, SO_LINGER)],
      ["listen", () => sock.listen()],
      ["recv", () => sock.recv(1)],
      ["recv", () => sock.recv(0)],
      ["send", () => sock.send("x")],
      ["sendto", () => sock.sendto("x", ["127.0.0.1", 9])],
      ["shutdown", () => sock.shutdown(0)],
      ["dup", () => sock.dup()],
    ];
    for (const [syscall, call] of calls) {
      const error = failed(call);
      expect([syscall, error.name, error.code]).toEqual([syscall, "OSError", "EBADF"]);
      expect(error.syscall).toBe(syscall);
    }
  });

  test("not ready, and out of time", () => {
    const [a, b] = socketpair();
    using _a = a;
    using _b = b;
    a.setblocking(false);
    expect(failed(() => a.recv(1))).toBeInstanceOf(BlockingIOError);
    a.settimeout(0.01);
    const late = failed(() => a.recv(1));
    expect([late.constructor, late.message, late.code]).toEqual([
      TimeoutError,
      "recv ETIMEDOUT: timed out",
      "ETIMEDOUT",
    ]);
  });

  test("a pipe that is broken, a connection that is reset", () => {
    const [a, b] = socketpair();
    b.close();
    // A TCP pair learns of it when the first bytes are answered.
    for (let i = 0; isWindows && i < 100 && codeOf(() => a.send("x")).startsWith("nothing"); i++) Bun.sleepSync(1);
    expect(failed(() => a.send("x"))).toBeInstanceOf(isWindows ? OSError : BrokenPipeError);
    expect(failed(() => a.sendall("x")).syscall).toBe("send");
    a.close();

    using server = sockets.createServer(["127.0.0.1", 0]);
    using client = sockets.createConnection(["127.0.0.1", server.getsockname()[1]], 5);
    const [conn] = server.accept();
    conn.setsockopt(SOL_SOCKET, SO_LINGER, resetting); // closed at once, with a reset
    conn.close();
    if (tellsResets()) expect(failed(() => client.recv(1))).toBeInstanceOf(ConnectionResetError);
  });

  needs("AF_UNIX datagram socket", hasUnixDatagrams)("paths", () => {
    const path = join(tmpdir(), `bs-errors-${process.pid}`);
    rmSync(path, { force: true });
    using sock = new Socket(AF_UNIX);
    const missing = failed(() => sock.connect(path));
    expect(missing).toBeInstanceOf(FileNotFoundError);
    expect(missing.message).toBe(`connect ENOENT ${path}: No such file or directory`);
    const long = failed(() => sock.bind("x".repeat(200)));
    expect([long.constructor, long.code, long.syscall]).toEqual([OSError, "ENAMETOOLONG", "bind"]);
    sock.bind(path);
    using other = new Socket(AF_UNIX);
    expect(failed(() => other.bind(path))).toMatchObject({ code: "EADDRINUSE", address: path });
    expect(failed(() => other.connect(path))).toBeInstanceOf(ConnectionRefusedError);
    rmSync(path);
  });

  test("no such family, type, protocol", () => {
    expect(failed(() => new Socket(250)).code).toBe("EAFNOSUPPORT");
    expect(failed(() => new Socket(AF_INET, SOCK_STREAM, 17)).syscall).toBe("socket");
    expect(failed(() => new Socket({ fileno: 1_000_000 })).code).toBe("EBADF");
  });

  test("the resolver's errors are no numbers of the system", () => {
    const error = failed(() => sockets.getaddrinfo("no number", 80, { flags: sockets.AI_NUMERICHOST }));
    expect([error.constructor, error.code, error.errno]).toEqual([gaierror, "EAI_NONAME", sockets.EAI_NONAME]);
    expect([error.syscall, error.address]).toEqual(["getaddrinfo", "no number"]);
    expect(error.message).toStartWith("getaddrinfo EAI_NONAME no number: ");
  });

  test("a wrong argument is found before the system is asked, and named", () => {
    using sock = new Socket(AF_INET6, SOCK_DGRAM);
    expect(() => sock.bind(["::1", 65536])).toThrow("address[1]: expected an integer from 0 to 65535, got 65536");
    expect(() => sock.bind(["::1", 1, 0x100000, 0])).toThrow("address[2]");
    expect(() => sock.bind("::1" as never)).toThrow('got "::1"');
    expect(() => sock.bind(["a\0b", 1])).toThrow(RangeError);
    expect(() => sock.settimeout(-1)).toThrow("timeout: expected a number of seconds from 0");
    expect(() => sock.recv("1" as never)).toThrow('bufsize: expected an integer, got "1"');
    expect(() => new Socket(undefined as never, SOCK_STREAM)).not.toThrow(OSError);
    expect(() => new Socket(undefined as never, SOCK_STREAM)).toThrow(
      "a constant that this platform lacks is undefined",
    );
  });
});
