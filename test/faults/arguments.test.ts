/**
 * Every argument of every function and method, and what happens when it is something else: where it cannot be meant, a
 * TypeError or a RangeError that names it, before anything is sent, received, opened or connected.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import * as net from "../../src/index.ts";
import { AF_INET, AF_UNIX, OSError, SOCK_DGRAM, SOCK_STREAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import { codeOf, descriptors, Folder, hasUnixDatagrams, isWindows, needs, Sockets } from "../help.ts";
import { closeAll, Hostile, opened, substitutes } from "./values.ts";

/** What an argument may be. `reads` says that it is an object which is looked into, and may throw what it likes. */
interface Kind {
  may(value: unknown): boolean;
  reads?: boolean;
}

const integer = (min: number, max: number): Kind => ({
  may: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
});
const INT_MAX = 2 ** 31 - 1;
const int = integer(-(2 ** 31), INT_MAX);
const bits = integer(-(2 ** 31), 2 ** 32 - 1);
const size = integer(0, INT_MAX);
const uint = integer(0, 2 ** 32 - 1);
const short = integer(0, 65535);
const offset = integer(0, Number.MAX_SAFE_INTEGER);
const positive = integer(1, Number.MAX_SAFE_INTEGER);
const detecting = integer(-1, INT_MAX);

const isBuffer = (value: unknown) => value instanceof ArrayBuffer && !value.detached;
const isView = (value: unknown) => ArrayBuffer.isView(value) && isAlive(value as Uint8Array);
function isAlive(view: NodeJS.ArrayBufferView): boolean {
  try {
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).length > 0; // empty ones are no substitutes here
  } catch {
    return false;
  }
}

const orNull = (kind: Kind): Kind => ({ ...kind, may: (value) => value === null || kind.may(value) });
const orAbsent = (kind: Kind): Kind => ({ ...kind, may: (value) => value === undefined || kind.may(value) });
const either = (...kinds: Kind[]): Kind => ({
  may: (value) => kinds.some((kind) => kind.may(value)),
  reads: kinds.some((kind) => kind.reads),
});
const never: Kind = { may: () => false };
const boolean: Kind = { may: (value) => typeof value === "boolean" };
const text: Kind = { may: (value) => typeof value === "string" && !value.includes("\0") && value.isWellFormed() };
const view: Kind = { may: isView };
const bytes: Kind = { may: (value) => typeof value === "string" || isBuffer(value) || isView(value) };
const seconds = orNull({ may: (value) => typeof value === "number" && value >= 0 && value <= 9223372036 });
/** Lists; only the empty one is right for all. */
const list: Kind = { may: (value) => Array.isArray(value) && value.length === 0, reads: true };
/** A tuple that cannot be right by chance. */
const tuple: Kind = { may: () => false, reads: true };
const named: Kind = {
  may: (value) =>
    value === undefined ||
    (typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      !ArrayBuffer.isView(value) &&
      !Object.keys(value).length),
  reads: true,
};
const unixAddress: Kind = { may: (value) => bytes.may(value) && value !== "a\0b" && value !== "a\ud800" };
/** What would ask name servers is not tried. */
const asks = (value: unknown) => value === undefined || value === "" || value === "x";

/** A call: where it goes, and what shows that it was not made. */
interface Call {
  self?: unknown;
  args: unknown[];
  /** Throws where the call did something, though it was refused. */
  untouched?(): void;
}

interface Row {
  /** The arguments in their order: the names that a message may give it, and what it may be. */
  takes: [names: string, kind: Kind, skip?: (value: unknown) => boolean][];
  make(sockets: Sockets): Call;
  /** It returns a descriptor, which has to be closed. */
  frees?: boolean;
  /** The platform has no such call: a TypeError says so, whatever the arguments. */
  lacking?: boolean;
  /** What the row is about, and whether the machine has that. */
  needs?: [what: string, have: boolean];
}

/** Two UDP sockets that are connected to one another; the first has a datagram waiting. */
function datagrams(sockets: Sockets, args: (a: Socket<"AF_INET">, b: Socket<"AF_INET">) => unknown[]): Call {
  const [a, b] = [sockets.udp(), sockets.udp()];
  a.connect(b.getsockname());
  b.connect(a.getsockname());
  b.send("waiting");
  a.setblocking(false);
  b.setblocking(false);
  return {
    self: a,
    args: args(a, b),
    untouched() {
      expect(codeOf(() => b.recv(100))).toBe("EAGAIN");
      expect(a.recv(100).toString()).toBe("waiting");
    },
  };
}

/** The same with Unix sockets, where there are, which can send descriptors. */
function messages(sockets: Sockets, args: (a: Socket, b: Socket) => unknown[]): Call {
  const [a, b] = sockets.pair(SOCK_DGRAM);
  b.send("waiting");
  a.setblocking(false);
  b.setblocking(false);
  return {
    self: a,
    args: args(a, b),
    untouched() {
      expect(codeOf(() => b.recv(100))).toBe("EAGAIN");
      expect(a.recv(100).toString()).toBe("waiting");
    },
  };
}

/** A listening socket that nobody shall connect to. */
function listening(sockets: Sockets, args: (address: net.InetAddress) => unknown[], self?: Socket): Call {
  const server = sockets.server();
  server.setblocking(false);
  return {
    self,
    args: args(server.getsockname()),
    untouched: () => expect(codeOf(() => server.accept())).toBe("EAGAIN"),
  };
}

/** A TCP socket that is not connected. */
const fresh = (sockets: Sockets, type = SOCK_STREAM) => sockets.add(new Socket(AF_INET, type));

let file = "";
const nothing = (...args: unknown[]): Row["make"] => {
  return () => ({ args });
};
/** A method of a TCP socket that is not connected. */
const plain = (...args: unknown[]): Row["make"] => {
  return (sockets) => ({ self: fresh(sockets), args });
};
const none = { takes: [] };
const conversion = (kind: Kind): Row => ({ takes: [["x", kind]], make: nothing(1) });
const socket: Row = {
  takes: [
    ["family", { ...size, reads: true }],
    ["type", size],
    ["proto", int],
    ["options", named],
  ],
  make: nothing(AF_INET, SOCK_STREAM, 0, {}),
};
const into: Row["takes"] = [
  ["buffer", view],
  ["nbytes", orAbsent(size)],
  ["flags", bits],
];
const optional = (kind: Kind) => orNull(orAbsent(kind));

const functions: Record<string, Row> = {
  Socket: socket,
  SocketType: socket,
  CMSG_LEN: { takes: [["length", integer(0, INT_MAX - 64)]], make: nothing(4) },
  CMSG_SPACE: { takes: [["length", integer(0, INT_MAX - 64)]], make: nothing(4) },
  fromshare: { takes: [["data", bytes]], make: nothing(new Uint8Array(628)), lacking: !isWindows },
  // Unknown descriptors are refused by the system; none of the substitutes is one that is open.
  close: {
    takes: [["fd", size]],
    make(sockets) {
      const fd = fresh(sockets).detach();
      return { args: [fd], untouched: () => net.close(fd) };
    },
  },
  ioctl: {
    takes: [
      ["fd", size],
      ["request", bits],
      ["argument", orAbsent(either(bits, view))],
    ],
    make: (sockets) => ({ args: [fresh(sockets).fileno(), net.FIONREAD, new Uint8Array(4)] }),
  },
  dup: { takes: [["fd", size]], make: (sockets) => ({ args: [fresh(sockets).fileno()] }), frees: true },
  createConnection: {
    takes: [
      ["address", tuple],
      ["timeout", orAbsent(seconds)],
      ["sourceAddress", optional(tuple)],
      ["options", named],
    ],
    make: (sockets) => listening(sockets, (address) => [address, 5, null, {}]),
  },
  createServer: {
    takes: [
      ["address", tuple],
      ["options", named],
    ],
    make: nothing(["127.0.0.1", 0], {}),
  },
  fromfd: {
    takes: [
      ["fd", size],
      ["family", detecting],
      ["type", detecting],
      ["proto", detecting],
    ],
    make: (sockets) => ({ args: [fresh(sockets).fileno(), AF_INET, SOCK_STREAM, 0] }),
  },
  getaddrinfo: {
    takes: [
      ["host", orNull(never), asks],
      ["port", orNull(either(short, text))],
      ["family", int],
      ["type", int],
      ["proto", int],
      ["flags", bits],
    ],
    make: nothing("127.0.0.1", 80, 0, 0, 0, 0),
  },
  getdefaulttimeout: { ...none, make: nothing() },
  getfqdn: { takes: [["name", never, asks]], make: nothing("127.0.0.1") },
  gethostbyaddr: { takes: [["address", never, asks]], make: nothing("127.0.0.1") },
  gethostbyname: { takes: [["host", never, asks]], make: nothing("127.0.0.1") },
  gethostbyname_ex: { takes: [["host", never, asks]], make: nothing("127.0.0.1") },
  gethostname: { ...none, make: nothing() },
  getnameinfo: {
    takes: [
      ["address", tuple],
      ["flags", bits],
    ],
    make: nothing(["127.0.0.1", 80], net.NI_NUMERICHOST | net.NI_NUMERICSERV),
  },
  getprotobyname: { takes: [["name", text]], make: nothing("tcp") },
  getservbyname: {
    takes: [
      ["service", text],
      ["protocol", orAbsent(text)],
    ],
    make: nothing("http", "tcp"),
  },
  getservbyport: {
    takes: [
      ["port", short],
      ["protocol", orAbsent(text)],
    ],
    make: nothing(80, "tcp"),
  },
  hasDualstackIPv6: { ...none, make: nothing() },
  htonl: conversion(uint),
  htons: conversion(short),
  linkAddress: { takes: [["address", tuple]], make: nothing(Buffer.from([8, 18, 1, 0, 6, 0, 0, 0])) },
  ntohl: conversion(uint),
  ntohs: conversion(short),
  if_indextoname: { takes: [["index", uint]], make: nothing(1) },
  if_nameindex: { ...none, make: nothing() },
  if_nametoindex: { takes: [["name", text]], make: nothing("lo") },
  inet_aton: { takes: [["host", text]], make: nothing("127.0.0.1") },
  inet_ntoa: { takes: [["packed", bytes]], make: nothing(Buffer.alloc(4)) },
  inet_ntop: {
    takes: [
      ["family", int],
      ["packed", { may: (value) => value === "a\ud800" }], // four bytes of UTF-8
    ],
    make: nothing(AF_INET, Buffer.alloc(4)),
  },
  inet_pton: {
    takes: [
      ["family", int],
      ["host", text],
    ],
    make: nothing(AF_INET, "127.0.0.1"),
  },
  recvFds: {
    takes: [
      ["sock", tuple],
      ["bufsize", size],
      ["maxfds", short],
      ["flags", bits],
    ],
    make: (sockets) => messages(sockets, (a) => [a, 100, 1, 0]),
    lacking: isWindows,
  },
  sendFds: {
    takes: [
      ["sock", tuple],
      ["buffers", list],
      ["fds", list],
      ["flags", bits],
      ["address", optional(unixAddress)],
    ],
    make: (sockets) => messages(sockets, (a) => [a, ["x"], [0], 0, null]),
    lacking: isWindows,
  },
  setdefaulttimeout: { takes: [["timeout", seconds]], make: nothing(null) },
  // Names of one's own are never tried: they would be taken.
  sethostname: { takes: [["name", never, unixAddress.may]], make: nothing("x".repeat(1000)), lacking: isWindows },
  socketpair: {
    takes: [
      ["family", size],
      ["type", size],
      ["proto", int],
    ],
    make: nothing(isWindows ? AF_INET : AF_UNIX, SOCK_STREAM, 0),
  },
};

const level = { level: SOL_SOCKET, option: net.SO_REUSEADDR };
const methods: Record<string, Row> = {
  accept: { ...none, make: (sockets) => ({ self: fresh(sockets), args: [] }) },
  bind: { takes: [["address", tuple]], make: plain(["127.0.0.1", 0]) },
  close: { ...none, make: plain() },
  connect: {
    takes: [["address", tuple]],
    make: (sockets) => listening(sockets, (address) => [address], fresh(sockets)),
  },
  connectEx: {
    takes: [["address", tuple]],
    make: (sockets) => listening(sockets, (address) => [address], fresh(sockets)),
  },
  detach: { ...none, make: plain(), frees: true },
  dup: { ...none, make: plain() },
  fileno: { ...none, make: plain() },
  getInheritable: { ...none, make: plain() },
  getblocking: { ...none, make: plain() },
  getpeername: { ...none, make: plain() },
  getsockname: { ...none, make: plain() },
  getsockopt: {
    takes: [
      ["level", int],
      ["option", int],
      ["buflen", orAbsent(size)],
    ],
    make: plain(level.level, level.option, 4),
  },
  gettimeout: { ...none, make: plain() },
  ioctl: {
    takes: [
      ["request", bits],
      ["argument", orAbsent(either(bits, view))],
    ],
    make: plain(net.FIONREAD, new Uint8Array(4)),
  },
  listen: { takes: [["backlog", orAbsent(int)]], make: plain(1) },
  makefile: {
    takes: [
      ["mode", orAbsent({ may: (value) => value === "" })],
      ["buffering|options", either(orNull(orAbsent(int)), named)],
      ["options|buffering", named],
    ],
    make: (sockets) => ({ self: sockets.pair()[0], args: ["rb", 10, {}] }),
  },
  recv: {
    takes: [
      ["bufsize", size],
      ["flags", bits],
    ],
    make: (sockets) => datagrams(sockets, () => [100, 0]),
  },
  recvInto: { takes: into, make: (sockets) => datagrams(sockets, () => [new Uint8Array(8), 8, 0]) },
  recvfrom: {
    takes: [
      ["bufsize", size],
      ["flags", bits],
    ],
    make: (sockets) => datagrams(sockets, () => [100, 0]),
  },
  recvfromInto: { takes: into, make: (sockets) => datagrams(sockets, () => [new DataView(new ArrayBuffer(8)), 8, 0]) },
  recvmsg: {
    takes: [
      ["bufsize", size],
      ["ancbufsize", orAbsent(size)],
      ["flags", bits],
    ],
    make: (sockets) => messages(sockets, () => [100, 100, 0]),
  },
  recvmsgInto: {
    takes: [
      ["buffers", list],
      ["ancbufsize", orAbsent(size)],
      ["flags", bits],
    ],
    make: (sockets) => messages(sockets, () => [[new Uint8Array(8)], 100, 0]),
  },
  send: {
    takes: [
      ["data", bytes],
      ["flags", bits],
    ],
    make: (sockets) => datagrams(sockets, () => ["x", 0]),
  },
  sendall: {
    takes: [
      ["data", bytes],
      ["flags", bits],
    ],
    make: (sockets) => datagrams(sockets, () => ["x", 0]),
  },
  sendfile: {
    takes: [
      ["file", { ...text, reads: true }],
      ["offset", orAbsent(offset)],
      ["count", optional(positive)],
    ],
    make(sockets) {
      const [a, b] = sockets.pair();
      b.setblocking(false);
      return { self: a, args: [file, 0, null], untouched: () => expect(codeOf(() => b.recv(100))).toBe("EAGAIN") };
    },
  },
  sendmsg: {
    takes: [
      ["buffers", list],
      ["ancdata", orAbsent(list)],
      ["flags", bits],
      ["address", optional(tuple)],
    ],
    make: (sockets) => datagrams(sockets, (_, b) => [["x", "y"], [], 0, b.getsockname()]),
  },
  sendmsgAfalg: {
    takes: [
      ["buffers", list],
      ["options", { ...named, may: () => false }],
    ],
    // Called such a socket, whatever it is: what is wrong is found before the system is asked.
    needs: ["AF_ALG", net.AF_ALG !== undefined],
    make: (sockets) => ({
      self: sockets.add(new Socket(net.AF_ALG, SOCK_DGRAM, 0, { fileno: fresh(sockets, SOCK_DGRAM).detach() })),
      args: [["x"], { op: net.ALG_OP_ENCRYPT }],
    }),
  },
  sendto: {
    takes: [
      ["data", bytes],
      ["flags", bits],
      ["address", tuple],
    ],
    make: (sockets) => datagrams(sockets, (_, b) => ["x", 0, b.getsockname()]),
  },
  setInheritable: { takes: [["inheritable", boolean]], make: plain(false) },
  setblocking: { takes: [["blocking", boolean]], make: plain(false) },
  setsockopt: {
    takes: [
      ["level", int],
      ["option", int],
      ["value|optlen", either(bits, bytes)],
    ],
    make: plain(level.level, level.option, 1),
  },
  settimeout: { takes: [["timeout", seconds]], make: plain(1) },
  share: { takes: [["processId", uint]], make: plain(process.pid), lacking: !isWindows },
  shutdown: { takes: [["how", int]], make: plain(net.SHUT_RDWR) },
  "[Symbol.dispose]": { ...none, make: plain() },
  "[Symbol(nodejs.util.inspect.custom)]": { ...none, make: plain() },
};

/** A control message that can be sent: a descriptor, on Windows the address to send from. */
const control = isWindows
  ? [net.IPPROTO_IP, net.IP_PKTINFO, Uint8Array.of(127, 0, 0, 1, 0, 0, 0, 0)]
  : [SOL_SOCKET, net.SCM_RIGHTS, new Int32Array([0])];

/** Calls beside the plain ones: other shapes of the arguments, other families. */
const more: Record<string, Row> = {
  "Socket of one argument": {
    takes: [["family|options", { ...size, reads: true }]],
    make: nothing(AF_INET),
  },
  "getaddrinfo by name": {
    takes: [
      ["host", orNull(never), asks],
      ["port", orNull(either(short, text))],
      ["family|options", either(int, named)],
    ],
    make: nothing("127.0.0.1", 80, {}),
  },
  "createConnection by name": {
    takes: [
      ["address", tuple],
      ["timeout|options", either(orAbsent(seconds), named)],
    ],
    make: (sockets) => listening(sockets, (address) => [address, { timeout: 5 }]),
  },
  "setsockopt with optlen": {
    takes: [
      ["level", int],
      ["option", int],
      ["value", never, (value) => value === null],
      ["optlen", size],
    ],
    make: plain(level.level, level.option, null, 4),
  },
  "setsockopt of a number, with optlen": {
    takes: [
      ["level", int],
      ["option", int],
      ["value|optlen", either(bits, bytes)],
      ["value|optlen", orAbsent(never)],
    ],
    make: plain(level.level, level.option, 1, undefined),
  },
  "getsockopt of an int": {
    takes: [
      ["level", int],
      ["option", int],
    ],
    make: plain(level.level, level.option),
  },
  "sendto without flags": {
    takes: [
      ["data", bytes],
      ["address", tuple],
    ],
    make: (sockets) => datagrams(sockets, (_, b) => ["x", b.getsockname()]),
  },
  "sendmsg with control messages": {
    takes: [
      ["buffers", list],
      ["ancdata", orAbsent(list)],
      ["flags", bits],
      ["address", optional(isWindows ? tuple : unixAddress)],
    ],
    make: (sockets) => messages(sockets, () => [["x"], [control], 0, null]),
  },
  "connect of an IPv6 socket": {
    takes: [["address", tuple]],
    make: (sockets) => ({ self: sockets.add(new Socket(net.AF_INET6, SOCK_DGRAM)), args: [["::1", 9]] }),
  },
  "connect of a Unix socket": {
    takes: [["address", unixAddress]],
    make: (sockets) => ({ self: sockets.add(new Socket(AF_UNIX, SOCK_DGRAM)), args: ["/nonexistent/socket"] }),
    needs: ["AF_UNIX datagram socket", hasUnixDatagrams],
  },
  "bind of a Unix socket": {
    takes: [["address", never, unixAddress.may]],
    make: (sockets) => ({ self: sockets.add(new Socket(AF_UNIX, SOCK_DGRAM)), args: ["/nonexistent/socket"] }),
    needs: ["AF_UNIX datagram socket", hasUnixDatagrams],
  },
  "connect of a family without a codec": {
    takes: [["address", tuple]],
    make: (sockets) => ({
      // prettier-ignore
      self: sockets.add(new Socket(0x7777, SOCK_DGRAM, 0, { fileno: fresh(sockets, SOCK_DGRAM).detach() })),
      args: [[AF_INET, "xx"]],
    }),
  },
};

/** The options of each function that takes some, one by one. */
const byName: Record<string, Record<string, Row["takes"][number][1]>> = {
  createConnection: { timeout: orAbsent(seconds), sourceAddress: optional(tuple), allErrors: orAbsent(boolean) },
  createServer: {
    family: size,
    backlog: optional(int),
    reusePort: { may: (value) => value === undefined || value === false || (value === true && !isWindows) },
    dualstackIPv6: { may: (value) => value === undefined }, // an AF_INET server has none
  },
  getaddrinfo: { family: int, type: int, proto: int, flags: bits },
  Socket: { fileno: size },
};

/** Arguments for which a constant is meant that the platform may lack: `undefined` is told as that. */
const constants = ["family", "type", "proto", "level", "option", "flags"];

type Callable = (...args: unknown[]) => unknown;
const isClass = (value: unknown) => /^class\b/.test(Function.prototype.toString.call(value));

/** A function of the module or, where `of` is its prototype, a method of a socket; the row's name may say more. */
function functionNamed(name: string): Callable {
  const found = Reflect.get(net, name) as Callable & (new (...args: unknown[]) => unknown);
  return isClass(found) ? (...args) => new found(...args) : found;
}

function methodNamed(name: string): Callable {
  const key = Reflect.ownKeys(Socket.prototype).find((own) => keyName(own) === name)!;
  const found = Reflect.get(Socket.prototype, key) as Callable;
  return function (this: unknown, ...args: unknown[]) {
    return Reflect.apply(found, this, args);
  };
}

function keyName(key: string | symbol): string {
  return typeof key === "string" ? key : key === Symbol.dispose ? "[Symbol.dispose]" : `[${String(key)}]`;
}

/** Whether an argument may be that; what throws when it is asked is nothing of the kind. */
function may(kind: Kind, value: unknown): boolean {
  try {
    return kind.may(value);
  } catch {
    return false;
  }
}

/** Whether an error says that the platform has no such call. */
function isLacking(threw: unknown): boolean {
  return threw instanceof TypeError && threw.message.includes(`: ${process.platform} has no such call; it exists on `);
}

/** What a call with a wrong argument may do; what is wrong with it otherwise. */
function verdict(
  names: string,
  kind: Kind,
  value: unknown,
  outcome: { returned?: unknown; threw?: unknown },
  lacking = false,
): string {
  if (lacking && isLacking(outcome.threw)) return "";
  const right = may(kind, value);
  if (!("threw" in outcome)) return right ? "" : `accepted, ${Bun.inspect(outcome.returned).slice(0, 80)} returned`;
  const { threw } = outcome;
  if (threw instanceof OSError) return right ? "" : `only the system refused it: ${threw.message}`;
  if (threw instanceof Hostile) return kind.reads ? "" : "the caller's own object was asked";
  if (!(threw instanceof TypeError) && !(threw instanceof RangeError)) return `threw ${String(threw)}`;
  if (right && !kind.reads) return `refused: ${threw.message}`;
  const all = names.split("|");
  if (!all.some((name) => threw.message.includes(name))) return `the message does not name it: ${threw.message}`;
  if (value === undefined && all.some((name) => constants.includes(name)) && !threw.message.includes("platform lacks"))
    return `the message does not say that the platform may lack the constant: ${threw.message}`;
  if (value === undefined && !(threw instanceof TypeError)) return `no TypeError: ${threw.message}`;
  return "";
}

/** Calls with every substitute in every place; gives what went wrong. */
function tryAll(call: Callable, row: Row, closed = false): string[] {
  const wrong: string[] = [];
  for (const [i, [names, kind, skip]] of row.takes.entries()) {
    for (const [what, make] of substitutes) {
      const value = make();
      if ((skip && may({ may: skip }, value)) || (closed && may(kind, value))) continue;
      const before = descriptors();
      {
        using sockets = new Sockets();
        const { self, args, untouched } = row.make(sockets);
        if (closed) (self as Socket).close();
        const outcome: { returned?: unknown; threw?: unknown } = {};
        try {
          outcome.returned = Reflect.apply(call, self, args.with(i, value));
        } catch (threw) {
          outcome.threw = threw;
        }
        const problem = verdict(names, kind, value, outcome, row.lacking);
        if (problem) wrong.push(`${names}: ${what}: ${problem}`);
        const refused = outcome.threw instanceof TypeError || outcome.threw instanceof RangeError;
        if (refused && !closed) untouched?.();
        closeAll(outcome.returned);
        if (row.frees && !("threw" in outcome)) net.close(outcome.returned as number);
      }
      net.setdefaulttimeout(null);
      const left = opened(before);
      if (left.length > 0) wrong.push(`${names}: ${what}: left ${left.length} descriptors open`);
    }
  }
  return wrong;
}

/** The exports that are called; errors are made by the library, and constants are no functions. */
const exported = Object.keys(net).filter((name) => {
  const value: unknown = Reflect.get(net, name);
  return typeof value === "function" && !(value.prototype instanceof Error);
});
const own = Reflect.ownKeys(Socket.prototype)
  .filter((key) => typeof Object.getOwnPropertyDescriptor(Socket.prototype, key)!.value === "function")
  .map(keyName)
  .filter((name) => name !== "constructor");

let folder: Folder;
beforeAll(() => {
  folder = new Folder();
  file = folder.file("data");
  writeFileSync(file, "x");
});
afterAll(() => folder[Symbol.dispose]());

test("every exported function is in the table", () => {
  expect(Object.keys(functions).sort()).toEqual(exported.sort());
});

test("every method is in the table", () => {
  expect(Object.keys(methods).sort()).toEqual(own.sort());
});

/** Every row, with the function that it is for. */
const rows: [name: string, call: Callable, row: Row][] = [
  ...Object.entries(functions).map(([name, row]) => [name, functionNamed(name), row] as [string, Callable, Row]),
  ...Object.entries(methods).map(
    ([name, row]) => [`Socket.${name}`, methodNamed(name), row] as [string, Callable, Row],
  ),
  ...Object.entries(more).map(([what, row]) => {
    const name = what.split(" ")[0]!;
    const call = own.includes(name) ? methodNamed(name) : functionNamed(name);
    return [what, call, row] as [string, Callable, Row];
  }),
];

test("the rows' own arguments are right", () => {
  for (const [name, call, row] of rows) {
    if (row.needs?.[1] === false) continue;
    using sockets = new Sockets();
    const { self, args } = row.make(sockets);
    let threw: unknown;
    try {
      const returned = Reflect.apply(call, self, args);
      closeAll(returned);
      if (row.frees) net.close(returned as number);
    } catch (error) {
      threw = error;
    }
    const right = row.lacking ? isLacking(threw) : threw === undefined || threw instanceof OSError;
    if (!right) throw new Error(name, { cause: threw });
  }
});

describe("wrong arguments", () => {
  for (const [name, call, row] of rows) {
    const run = needs(...(row.needs ?? ["", true]));
    if (row.takes.length > 0) run(name, () => expect(tryAll(call, row)).toEqual([]));
  }
});

describe("wrong arguments on a closed socket are told before that it is closed", () => {
  for (const [name, call, row] of rows) {
    if (row.takes.length === 0 || !/^Socket\.| /.test(name)) continue;
    if (name.includes(" ") && !own.includes(name.split(" ")[0]!)) continue;
    const run = needs(...(row.needs ?? ["", true]));
    run(name, () => expect(tryAll(call, row, true)).toEqual([]));
  }
});

describe("wrong options", () => {
  const first: Record<string, (sockets: Sockets) => unknown[]> = {
    createConnection: (sockets) => [sockets.server().getsockname()],
    createServer: () => [["127.0.0.1", 0]],
    getaddrinfo: () => ["127.0.0.1", 80],
    Socket: () => [],
  };
  for (const [name, kinds] of Object.entries(byName)) {
    const call = functionNamed(name);
    for (const [option, kind] of Object.entries(kinds)) {
      // The place that the values are put in is that of the option.
      const row: Row = {
        takes: [[option, kind]],
        make: (sockets) => ({ self: first[name]!(sockets), args: [undefined] }),
      };
      const withOption = function (this: unknown[], value: unknown) {
        return call(...this, { [option]: value });
      };
      test(`${name}: ${option}`, () => expect(tryAll(withOption as Callable, row)).toEqual([]));
    }

    test(`${name}: an option that there is not`, () => {
      using sockets = new Sockets();
      expect(() => call(...first[name]!(sockets), { tiemout: 1 })).toThrow(/^options: there is no option "tiemout"/);
    });
  }
});

test("undefined is an argument left out, unless a constant is meant that the platform may lack", () => {
  using sockets = new Sockets();
  const lacking = undefined as never;
  const tcp = fresh(sockets);
  const untyped = tcp as unknown as Record<"getsockopt" | "setsockopt", (...args: unknown[]) => unknown>;
  expect(untyped.getsockopt(level.level, level.option, undefined)).toBe(0);
  expect(() => untyped.getsockopt(undefined, level.option, undefined)).toThrow(/^level: .*platform lacks/);
  expect(() => untyped.getsockopt(level.level, undefined, undefined)).toThrow(/^option: .*platform lacks/);
  untyped.setsockopt(level.level, level.option, 1, undefined);
  expect(tcp.getsockopt(level.level, level.option)).not.toBe(0);
  expect(() => tcp.setsockopt(level.level, level.option, lacking)).toThrow(/^value: /);
  tcp.setsockopt(level.level, level.option, 0);
  expect(codeOf(() => tcp.ioctl(net.FIONREAD, undefined))).toBe(codeOf(() => tcp.ioctl(net.FIONREAD)));
  expect(() => tcp.ioctl(lacking, undefined)).toThrow(/^request: /);
  tcp.bind(["127.0.0.1", 0]);
  tcp.listen(undefined);
  const client = fresh(sockets);
  client.connect(tcp.getsockname());

  const [a, b] = sockets.pair(SOCK_DGRAM);
  const into = new Uint8Array(8);
  /** Sends a datagram, and gives what became of it. */
  const received = <T>(use: () => T): T => {
    b.send("hello");
    return use();
  };
  expect(received(() => a.recvInto(into, undefined))).toBe(5);
  expect(received(() => a.recvInto(into, undefined, net.MSG_DONTWAIT ?? 0))).toBe(5);
  expect(received(() => a.recvfromInto(into, undefined))[0]).toBe(5);
  expect(received(() => a.recvmsg(100, undefined))[0].toString()).toBe("hello");
  expect(received(() => a.recvmsgInto([into], undefined))[0]).toBe(5);
  for (const call of [
    () => a.recvInto(into, undefined, lacking),
    () => a.recvfromInto(into, undefined, lacking),
    () => a.recvmsg(100, undefined, lacking),
    () => a.recvmsgInto([into], undefined, lacking),
    () => a.sendmsg(["x"], undefined, lacking),
    () => a.sendmsg(["x"], undefined, lacking, undefined),
    ...(isWindows ? [] : [() => net.sendFds(a, ["x"], [], lacking, undefined)]),
  ]) {
    expect(call).toThrow(/^flags: .*platform lacks/);
  }
  a.setblocking(false);
  expect(codeOf(() => a.recv(1))).toBe("EAGAIN");

  expect(a.sendmsg(["o", "ne"], undefined)).toBe(3);
  expect(a.sendmsg(["two"], undefined, 0, undefined)).toBe(3);
  expect([b.recv(100).toString(), b.recv(100).toString()]).toEqual(["one", "two"]);
  if (!isWindows) {
    expect(net.sendFds(a, ["three"], [0], 0, undefined)).toBe(5);
    const [data, fds] = net.recvFds(b, 100, 1);
    expect([data.toString(), fds.length]).toEqual(["three", 1]);
    fds.forEach(net.close);
  }

  const [c, d] = sockets.pair();
  expect(c.sendfile(file, undefined)).toBe(1);
  expect(c.sendfile(file, undefined, 1)).toBe(1);
  expect(c.sendfile(file, 0, undefined)).toBe(1);
  expect(c.sendfile(file, undefined, undefined)).toBe(1);
  expect(d.recv(100).toString()).toBe("xxxx");

  expect(net.getservbyname("http", undefined)).toBe(net.getservbyname("http"));
  expect(net.getservbyport(80, undefined)).toBe(net.getservbyport(80));
});

test("a wrong argument is found before those beside it go to the system", () => {
  using sockets = new Sockets();
  const udp = sockets.udp();
  const unknown = ["x".repeat(64), 9] as const; // would be refused by itself, but later
  const wrong = 5 as never;
  expect(() => udp.sendto(wrong, unknown)).toThrow(/^data: /);
  expect(() => udp.sendto("x", wrong + 0.5, unknown)).toThrow(/^flags: /);
  expect(() => udp.sendmsg([wrong], [], 0, unknown)).toThrow(/^buffers\[0\]: /);
  expect(() => udp.sendmsg(["x"], [[1, 1, wrong]], 0, unknown)).toThrow(/^ancdata\[0\]\[2\]: /);
  expect(() => net.createConnection(unknown, 1, wrong)).toThrow(/^sourceAddress: /);
  expect(() => net.createConnection(unknown, -1)).toThrow(/^timeout: /);
  expect(() => net.createServer(wrong, { family: 0x7fff })).toThrow(/^address: /);
  expect(() => net.createServer(wrong, { backlog: 1.5 })).toThrow(/^options\.backlog: /);
  expect(() => net.fromfd(0x7fff_fff0, AF_INET, SOCK_STREAM, 1.5)).toThrow(/^proto: /);
});
