/** What goes wrong is told in the same words by both faces: class, code, number, call, address, message. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  OSError,
  SHUT_WR,
  SO_LINGER,
  SOCK_DGRAM,
  Socket as BlockingSocket,
  SOL_SOCKET,
} from "../../src/index.ts";
import { type Face, faces, fill, type OwnSockets, type Socket } from "../faces.ts";
import {
  fillReceiver,
  Folder,
  hasUnixDatagrams,
  ignoresConnections,
  ignoring,
  isLinux,
  resetting,
  Sockets,
  tellsResets,
} from "../help.ts";

const others = new Sockets();
const folder = new Folder();
afterAll(() => {
  others[Symbol.dispose]();
  folder[Symbol.dispose]();
});

/** Addresses of nobody: both faces are told the same. */
const deserted = others.udp().getsockname();
const nowhere = folder.file("nowhere");
const view = new Uint8Array(4);

/** An address where connections get no answer. */
const silent = once(() => ignoring(others));

/** The path of a Unix receiver that takes no more. */
const full = once(() => {
  const path = folder.file("full");
  others.add(new BlockingSocket(AF_UNIX, SOCK_DGRAM)).bind(path);
  fillReceiver(path);
  return path;
});

/** Makes something when it is asked for, and no second time. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** What an error says. */
async function told(call: () => unknown): Promise<unknown> {
  try {
    return { returned: await call() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { name, message } = error;
    if (!(error instanceof OSError)) return { name, message };
    return { name, message, code: error.code, errno: error.errno, syscall: error.syscall, address: error.address };
  }
}

type Calls = Record<string, (sock: Socket<"AF_INET">) => unknown>;

const receives: Calls = {
  recv: (sock) => sock.recv(1),
  recvfrom: (sock) => sock.recvfrom(1),
  recvInto: (sock) => sock.recvInto(view),
  recvfromInto: (sock) => sock.recvfromInto(view),
  recvmsg: (sock) => sock.recvmsg(1, 100),
  recvmsgInto: (sock) => sock.recvmsgInto([view, view]),
};
const sends: Calls = {
  send: (sock) => sock.send("x"),
  sendall: (sock) => sock.sendall("x"),
  sendmsg: (sock) => sock.sendmsg(["x", "y"]),
  sendfile: (sock) => sock.sendfile(import.meta.path),
};
const all: Calls = {
  ...receives,
  ...sends,
  accept: (sock) => sock.accept(),
  connect: (sock) => sock.connect(deserted),
  connectEx: (sock) => sock.connectEx(deserted),
  sendto: (sock) => sock.sendto("x", deserted),
};

/** Brings a socket, of any face, where its calls fail. */
type Situation = readonly [
  name: string,
  calls: Calls,
  open: (net: Face, own: OwnSockets) => Socket<"AF_INET"> | Promise<Socket<"AF_INET">>,
];

const situations: Situation[] = [
  ["closed", all, (net) => closed(new net.Socket(AF_INET))],
  ["not connected", all, (net, own) => own.add(new net.Socket(AF_INET))],
  ["a datagram socket without a peer", { ...sends, accept: all["accept"]! }, (_net, own) => own.udp()],
  ["nothing there, timeout 0", receives, (_net, own) => withTimeout(own.tcp()[0], 0)],
  ["nothing there, some timeout", receives, (_net, own) => withTimeout(own.tcp()[0], 0.01)],
  ["no datagram, timeout 0", receives, (_net, own) => withTimeout(own.udp(), 0)],
  ["no connection, timeout 0", { accept: all["accept"]! }, (_net, own) => withTimeout(own.server(), 0)],
  ["no connection, some timeout", { accept: all["accept"]! }, (_net, own) => withTimeout(own.server(), 0.01)],
  [
    "no room, timeout 0",
    sends,
    async (_net, own) => {
      const [a] = own.tcp();
      await fill(a);
      return withTimeout(a, 0);
    },
  ],
  [
    "no room, some timeout",
    sends,
    async (_net, own) => {
      const [a] = own.tcp();
      await fill(a);
      return withTimeout(a, 0.01);
    },
  ],
  [
    "shut down for writing",
    sends,
    (_net, own) => {
      const [a] = own.tcp();
      a.shutdown(SHUT_WR);
      return a;
    },
  ],
];

if (tellsResets()) {
  situations.push([
    "reset",
    { ...receives, ...sends },
    (_net, own) => {
      const [a, b] = own.tcp();
      b.setsockopt(SOL_SOCKET, SO_LINGER, resetting);
      b.close();
      return a;
    },
  ]);
}
if (isLinux) {
  situations.push([
    "a datagram was not delivered",
    receives,
    async (_net, own) => {
      const sock = own.udp();
      const gone = own.udp();
      const address = gone.getsockname();
      gone.close();
      await sock.connect(address);
      await sock.send("x");
      return sock;
    },
  ]);
}

function closed<S extends Disposable>(sock: S): S {
  sock[Symbol.dispose]();
  return sock;
}

function withTimeout<S extends Socket>(sock: S, timeout: number): S {
  sock.settimeout(timeout);
  return sock;
}

/** What each face tells. */
async function byEach(body: (net: Face, own: OwnSockets) => unknown): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const [, net] of faces) {
    using own = new net.Sockets();
    results.push(await told(() => body(net, own)));
  }
  return results;
}

describe.each(situations)("%s", (_situation, calls, open) => {
  test.each(Object.entries(calls))("%s", async (_call, call) => {
    const [blocking, byPromises] = await byEach(async (net, own) => call(await open(net, own)));
    expect(byPromises).toEqual(blocking);
  });
});

const rare: [name: string, have: boolean, body: (net: Face, own: OwnSockets) => unknown, code: string][] = [
  ["connect, refused", true, (net, own) => own.add(new net.Socket(AF_INET)).connect(deserted), "ECONNREFUSED"],
  [
    "connect, refused within a timeout",
    true,
    (net, own) => withTimeout(own.add(new net.Socket(AF_INET)), 2).connect(deserted),
    "ECONNREFUSED",
  ],
  [
    "connect, again",
    isLinux,
    async (_net, own) => {
      const [a] = own.tcp();
      await a.connectEx(deserted); // Linux says of the first connection once more that it is there
      return a.connect(deserted);
    },
    "EISCONN",
  ],
  [
    "connect, a host that there is not",
    true,
    (net, own) => own.add(new net.Socket(AF_INET)).connect(["nobody.invalid", 1]),
    "gaierror",
  ],
  ["sendto, a host that there is not", true, (_net, own) => own.udp().sendto("x", ["nobody.invalid", 1]), "gaierror"],
  [
    "sendmsg, a host that there is not",
    true,
    (_net, own) => own.udp().sendmsg(["x"], [], 0, ["nobody.invalid", 1]),
    "gaierror",
  ],
  ["sendto, too long", true, (_net, own) => own.udp().sendto(Buffer.alloc(65508), deserted), "EMSGSIZE"],
  ["sendmsg, too long", true, (_net, own) => own.udp().sendmsg([Buffer.alloc(65508)], [], 0, deserted), "EMSGSIZE"],
  ["sendto, broadcast", isLinux, (_net, own) => own.udp().sendto("x", ["127.255.255.255", 9]), "EACCES"],
  ["sendfile, no such file", true, (_net, own) => own.tcp()[0].sendfile(nowhere), "ENOENT"],
  ["sendfile, no stream", true, (_net, own) => own.udp().sendfile(import.meta.path), "RangeError"],
  ["sendFds, no descriptor", isLinux, (net, own) => net.sendFds(own.pair()[0], ["x"], [1_000_000]), "EBADF"],
  ["recvFds, nothing there", isLinux, (net, own) => net.recvFds(withTimeout(own.pair()[0], 0.01), 1, 1), "ETIMEDOUT"],
  [
    "a Unix path of nobody",
    hasUnixDatagrams,
    (net, own) => own.add(new net.Socket(AF_UNIX)).connect(nowhere),
    "ENOENT",
  ],
  [
    "a Unix path that is too long",
    hasUnixDatagrams,
    (net, own) => own.add(new net.Socket(AF_UNIX)).connect("x".repeat(200)),
    "ENAMETOOLONG",
  ],
  [
    "a Unix datagram for nobody",
    hasUnixDatagrams,
    (net, own) => own.add(new net.Socket(AF_UNIX, SOCK_DGRAM)).sendto("x", nowhere),
    "ENOENT",
  ],
  [
    "a Unix receiver that is full",
    hasUnixDatagrams && isLinux,
    (net, own) => withTimeout(own.add(new net.Socket(AF_UNIX, SOCK_DGRAM)), 0.01).sendto("x", full()),
    "ETIMEDOUT",
  ],
  [
    "connect, no answer",
    ignoresConnections(),
    (net, own) => withTimeout(own.add(new net.Socket(AF_INET)), 0.02).connect(silent()),
    "ETIMEDOUT",
  ],
  [
    "connect, no answer, timeout 0",
    ignoresConnections(),
    (net, own) => withTimeout(own.add(new net.Socket(AF_INET)), 0).connect(silent()),
    "EINPROGRESS",
  ],
  ["createConnection, refused", true, (net) => net.createConnection(deserted), "ECONNREFUSED"],
  [
    "createConnection, all errors",
    true,
    (net) => net.createConnection(deserted, { allErrors: true }),
    "AggregateError",
  ],
  ["createConnection, no such host", true, (net) => net.createConnection(["nobody.invalid", 1]), "gaierror"],
  ["getaddrinfo, no such host", true, (net) => net.getaddrinfo("nobody.invalid", 1), "gaierror"],
  ["getaddrinfo, no such service", true, (net) => net.getaddrinfo(null, "no such service"), "gaierror"],
  ["getaddrinfo, a number of another family", true, (net) => net.getaddrinfo("::1", 1, AF_INET), "gaierror"],
  ["getaddrinfo, another one", true, (net) => net.getaddrinfo("127.0.0.1", 1, AF_INET6), "gaierror"],
  ["getnameinfo, a name", true, (net) => net.getnameinfo(["nobody.invalid", 1], 0), "gaierror"],
  ["gethostbyname, no such host", true, (net) => net.gethostbyname("nobody.invalid"), "gaierror"],
  ["gethostbyname_ex, no such host", isLinux, (net) => net.gethostbyname_ex("nobody.invalid"), "herror|gaierror"],
  ["gethostbyaddr, no such host", isLinux, (net) => net.gethostbyaddr("nobody.invalid"), "herror|gaierror"],
];

test.each(rare.filter(([, have]) => have))("%s", async (_name, _have, body, expected) => {
  const [blocking, byPromises] = await byEach(body);
  expect(byPromises).toEqual(blocking);
  const { name, code } = blocking as { name: string; code?: string };
  expect(expected.split("|").some((one) => one === code || one === name)).toBe(true);
});

test("shutdown, bind, listen and what else does not wait throw at once", () => {
  for (const [, net] of faces) {
    using sock = new net.Socket(AF_INET);
    expect(() => sock.shutdown(SHUT_WR)).toThrow("shutdown ENOTCONN");
    expect(() => sock.bind(["192.0.2.77", 0])).toThrow("bind EADDRNOTAVAIL");
    expect(() => sock.getpeername()).toThrow("getpeername ENOTCONN");
    expect(() => new net.Socket(250)).toThrow("EAFNOSUPPORT");
  }
});
