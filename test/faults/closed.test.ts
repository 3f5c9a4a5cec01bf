/** Sockets that are closed or detached: every method says EBADF, and none touches whoever has the number by then. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync } from "node:fs";
import * as net from "../../src/index.ts";
import { AF_INET, SOCK_DGRAM, SOCK_STREAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import { MessageBatch } from "../../src/packets.ts";
import {
  codeOf,
  descriptors,
  Folder,
  isLinux,
  isWindows,
  leftOpen,
  looksAtDescriptorFirst,
  needs,
  passesDescriptors,
  Sockets,
} from "../help.ts";

let folder: Folder;
beforeAll(() => {
  folder = new Folder();
  writeFileSync(folder.file("data"), "x");
});
afterAll(() => folder[Symbol.dispose]());

const to = ["127.0.0.1", 9] as const;
type Call = (sock: Socket<"AF_INET">) => unknown;

/** What the system is called for. */
const calls: Record<string, Call[]> = {
  accept: [(sock) => sock.accept()],
  bind: [(sock) => sock.bind(["127.0.0.1", 0])],
  connect: [(sock) => sock.connect(to)],
  dup: [(sock) => sock.dup()],
  getInheritable: [(sock) => sock.getInheritable()],
  getpeername: [(sock) => sock.getpeername()],
  getsockname: [(sock) => sock.getsockname()],
  getsockopt: [
    (sock) => sock.getsockopt(SOL_SOCKET, net.SO_TYPE),
    (sock) => sock.getsockopt(SOL_SOCKET, net.SO_TYPE, 4),
  ],
  ioctl: [
    (sock) => sock.ioctl(net.FIONREAD),
    (sock) => sock.ioctl(net.FIONREAD, 0),
    (sock) => sock.ioctl(net.FIONREAD, new Int32Array(1)),
  ],
  listen: [(sock) => sock.listen(), (sock) => sock.listen(1)],
  recv: [(sock) => sock.recv(10), (sock) => sock.recv(0), (sock) => sock.recv(2 ** 31 - 1)],
  recvBatch: [(sock) => sock.recvBatch(new MessageBatch(sock))],
  recvInto: [(sock) => sock.recvInto(new Uint8Array(9)), (sock) => sock.recvInto(new Uint8Array(0))],
  recvfrom: [(sock) => sock.recvfrom(10), (sock) => sock.recvfrom(0)],
  recvfromInto: [(sock) => sock.recvfromInto(new Uint8Array(9)), (sock) => sock.recvfromInto(new Uint8Array(0))],
  recvmsg: [(sock) => sock.recvmsg(10), (sock) => sock.recvmsg(0, 100), (sock) => sock.recvmsg(10, 2 ** 31 - 1)],
  recvmsgInto: [
    (sock) => sock.recvmsgInto([]),
    (sock) => sock.recvmsgInto([new Uint8Array(9)]),
    (sock) => sock.recvmsgInto([new Uint8Array(9), new Uint8Array(9)], 100),
  ],
  send: [(sock) => sock.send("x"), (sock) => sock.send("")],
  sendBatch: [
    (sock) => sock.sendBatch(new MessageBatch(sock)),
    (sock) => {
      const batch = new MessageBatch(sock);
      batch.push("x", to);
      sock.sendBatch(batch);
    },
  ],
  sendall: [(sock) => sock.sendall("x"), (sock) => sock.sendall("")],
  sendfile: [(sock) => sock.sendfile(folder.file("data")), (sock) => sock.sendfile("/dev/null")],
  sendmsg: [(sock) => sock.sendmsg(["x"]), (sock) => sock.sendmsg([]), (sock) => sock.sendmsg(["x", "y"], [], 0, to)],
  sendto: [(sock) => sock.sendto("x", to), (sock) => sock.sendto("x", 0, to)],
  setInheritable: [(sock) => sock.setInheritable(true)],
  setblocking: [(sock) => sock.setblocking(true), (sock) => sock.setblocking(false)],
  setsockopt: [
    (sock) => sock.setsockopt(SOL_SOCKET, net.SO_REUSEADDR, 1),
    (sock) => sock.setsockopt(SOL_SOCKET, net.SO_REUSEADDR, new Uint8Array(4)),
  ],
  settimeout: [(sock) => sock.settimeout(1), (sock) => sock.settimeout(null)],
  shutdown: [(sock) => sock.shutdown(net.SHUT_RDWR)],
};

/** What needs no descriptor, or says in another way that there is none. */
const without: Record<string, (sock: Socket<"AF_INET">) => void> = {
  close: (sock) => expect(sock.close()).toBeUndefined(),
  connectEx: (sock) => expect(sock.connectEx(to)).toBe(net.EBADF),
  detach: (sock) => expect(sock.detach()).toBe(-1),
  fileno: (sock) => expect(sock.fileno()).toBe(-1),
  getblocking: (sock) => expect(sock.getblocking()).toBe(true),
  gettimeout: (sock) => expect(sock.gettimeout()).toBeNull(),
  // As in CPython: the file is made, and its first use says that the socket is closed.
  makefile: (sock) => {
    const file = sock.makefile("rb");
    expect(codeOf(() => file.read(1))).toBe("EBADF");
    file.close();
  },
  share: (sock) => {
    if (isWindows) expect(codeOf(() => sock.share(process.pid))).toBe("EBADF");
    else expect(() => sock.share(process.pid)).toThrow(/^share: \w+ has no such call/);
  },
  // Its own family is asked first.
  sendmsgAfalg: (sock) =>
    expect(codeOf(() => sock.sendmsgAfalg(["x"], { op: 1 }))).toMatch(isLinux ? "EOPNOTSUPP" : "has no such call"),
  "[Symbol.dispose]": (sock) => expect(sock[Symbol.dispose]()).toBeUndefined(),
  "[inspect]": (sock) => expect(Bun.inspect(sock)).toBe("Socket <closed, AF_INET, SOCK_STREAM>"),
};

function nameOf(key: string | symbol): string {
  if (typeof key === "string") return key;
  return key === Symbol.dispose ? "[Symbol.dispose]" : "[inspect]";
}

test("every method is here", () => {
  const own = Reflect.ownKeys(Socket.prototype).filter((key) => {
    const { value } = Object.getOwnPropertyDescriptor(Socket.prototype, key)!;
    return typeof value === "function" && key !== "constructor";
  });
  expect([...Object.keys(calls), ...Object.keys(without)].sort()).toEqual(own.map(nameOf).sort());
});

/** Ways in which a socket loses its descriptor; each is tried with a timeout too, in which nothing may be waited for. */
const ways: Record<string, (sock: Socket<"AF_INET">, sockets: Sockets) => void> = {
  closed: (sock) => sock.close(),
  "closed twice": (sock) => {
    sock.close();
    sock.close();
  },
  disposed: (sock) => sock[Symbol.dispose](),
  detached: (sock, sockets) => void sockets.add(new Socket({ fileno: sock.detach() })),
};

describe.each(Object.keys(ways))("%s", (way) => {
  const expectBadDescriptor = (call: Call): void => {
    for (const timeout of [null, 5]) {
      using sockets = new Sockets();
      const sock = sockets.add(new Socket(AF_INET, SOCK_STREAM));
      sock.settimeout(timeout);
      ways[way]!(sock, sockets);
      // Another socket has the number now.
      sockets.add(new Socket(AF_INET, SOCK_DGRAM));
      const before = descriptors();
      expect(codeOf(() => call(sock))).toBe("EBADF");
      expect(leftOpen(before)).toEqual([]);
    }
  };

  needs("EBADF before EFAULT", looksAtDescriptorFirst)("setsockopt of null", () => {
    expectBadDescriptor((sock) => sock.setsockopt(SOL_SOCKET, net.SO_REUSEADDR, null, 4));
  });

  for (const [name, variants] of Object.entries(calls)) {
    test(name, () => {
      for (const call of variants) expectBadDescriptor(call);
    });
  }

  for (const [name, check] of Object.entries(without)) {
    test(name, () => {
      using sockets = new Sockets();
      const sock = sockets.add(new Socket(AF_INET, SOCK_STREAM));
      ways[way]!(sock, sockets);
      const another = sockets.add(new Socket(AF_INET, SOCK_DGRAM));
      check(sock);
      expect(another.getsockopt(SOL_SOCKET, net.SO_TYPE)).toBe(SOCK_DGRAM); // it was not closed instead
    });
  }

  test("family, type, proto and timeout stay known", () => {
    using sockets = new Sockets();
    const sock = sockets.add(new Socket(AF_INET, SOCK_STREAM, net.IPPROTO_TCP));
    sock.settimeout(2.5);
    ways[way]!(sock, sockets);
    expect([sock.family, sock.type, sock.proto, sock.timeout]).toEqual([AF_INET, SOCK_STREAM, net.IPPROTO_TCP, 2.5]);
  });
});

test("functions that take a socket say that it is closed", () => {
  using sockets = new Sockets();
  const [a] = sockets.pair();
  a.close();
  if (passesDescriptors) {
    expect(codeOf(() => net.sendFds(a, ["x"], [0]))).toBe("EBADF");
    expect(codeOf(() => net.recvFds(a, 1, 1))).toBe("EBADF");
  }
  expect(codeOf(() => net.dup(0x7fff_fff0))).toBe("EBADF");
  expect(codeOf(() => net.close(0x7fff_fff0))).toBe("EBADF");
  expect(codeOf(() => net.fromfd(0x7fff_fff0, AF_INET, SOCK_STREAM))).toBe("EBADF");
  expect(codeOf(() => new Socket({ fileno: 0x7fff_fff0 }))).toBe("EBADF");
});

test("a descriptor that was closed behind a socket's back is an error of its close, and of no later one", () => {
  const sock = new Socket(AF_INET, SOCK_DGRAM);
  const fd = sock.fileno();
  net.close(fd);
  expect(codeOf(() => sock.recv(1))).toBe("EBADF");
  expect(codeOf(() => sock.close())).toBe("EBADF");
  using other = new Socket(AF_INET, SOCK_DGRAM); // has the number again
  expect(other.fileno()).toBe(fd);
  sock.close();
  expect(other.getsockopt(SOL_SOCKET, net.SO_TYPE)).toBe(SOCK_DGRAM);
});

test("a socket that was closed and forgotten closes nothing any more", async () => {
  let fds: number[] = [];
  (function forget(): void {
    const socks = Array.from({ length: 50 }, () => new Socket(AF_INET, SOCK_DGRAM));
    fds = socks.map((sock) => sock.fileno());
    for (const [i, sock] of socks.entries()) {
      if (i % 2) sock.close();
      else net.close(sock.detach());
    }
  })();
  const others = fds.map(() => new Socket(AF_INET, SOCK_DGRAM));
  expect(others.map((sock) => sock.fileno()).sort()).toEqual(fds.sort()); // they have the numbers again
  for (let i = 0; i < 5; i++) {
    Bun.gc(true);
    await Bun.sleep(1);
  }
  for (const sock of others) {
    expect(sock.getsockopt(SOL_SOCKET, net.SO_TYPE)).toBe(SOCK_DGRAM);
    sock.close();
  }
});

test("what fails half-way leaves nothing open", () => {
  using folder = new Folder();
  const file = openSync(folder.file("data"), "w");
  const refused = ([call]: [call: () => unknown, why: string]) => codeOf(call);
  const tries: [call: () => unknown, why: string][] = [
    [() => new Socket(AF_INET, 15), isWindows ? "ESOCKTNOSUPPORT" : "EINVAL"],
    [() => new Socket(12345, SOCK_STREAM), "EAFNOSUPPORT"],
    [() => new Socket({ fileno: file }), "ENOTSOCK"],
    [() => net.fromfd(file, AF_INET, SOCK_STREAM), "ENOTSOCK"],
    [() => net.socketpair(isWindows ? 12345 : AF_INET, SOCK_STREAM), "EOPNOTSUPP"],
    [() => net.createServer(["192.0.2.1", 0]), "EADDRNOTAVAIL"], // RFC 5737: nobody's
    [() => net.createConnection(["127.0.0.1", 1], 1), "ECONNREFUSED"],
    [() => net.createConnection(["127.0.0.1", 1], 1, ["192.0.2.1", 0]), "EADDRNOTAVAIL"],
  ];
  const before = descriptors();
  const codes = tries.map(refused);
  const left = leftOpen(before);
  closeSync(file);
  // A file's descriptor is no handle of Windows.
  expect(codes).toEqual(tries.map(([, why]) => (isWindows && why === "ENOTSOCK" ? "EBADF" : why)));
  expect(left).toEqual([]);
});
