/** Every function and method with its arguments, what each may be, and how to make a call of it. */
import { expect } from "bun:test";
import * as net from "../../src/index.ts";
import { AF_INET, AF_UNIX, OSError, SOCK_DGRAM, SOCK_STREAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import { MessageBatch } from "../../src/packets.ts";
import { codeOf, hasUnixDatagrams, isWindows, slowness, type Sockets } from "../help.ts";
import { Hostile } from "./values.ts";

/** What an argument may be. `reads` says that it is an object which is looked into, and may throw what it likes. */
export interface Kind {
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
export const orAbsent = (kind: Kind): Kind => ({ ...kind, may: (value) => value === undefined || kind.may(value) });
export const either = (...kinds: Kind[]): Kind => ({
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
export const named: Kind = {
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
export interface Call {
  self?: unknown;
  args: unknown[];
  /** Throws where the call did something, though it was refused. */
  untouched?(): void;
}

export interface Row {
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
      a.settimeout(5 * slowness); // it may be on its way
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
export const fresh = (sockets: Sockets, type = SOCK_STREAM) => sockets.add(new Socket(AF_INET, type));

/** A file with a byte in it. */
let file = "";
export function useFile(path: string): void {
  file = path;
}

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

export const functions: Record<string, Row> = {
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

export const level = { level: SOL_SOCKET, option: net.SO_REUSEADDR };
export const methods: Record<string, Row> = {
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
  recvBatch: {
    takes: [
      ["batch", tuple],
      ["flags", bits],
    ],
    make: (sockets) => datagrams(sockets, (a) => [new MessageBatch(a), 0]),
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
  sendBatch: {
    takes: [
      ["batch", tuple],
      ["flags", bits],
    ],
    make: (sockets) =>
      datagrams(sockets, (a) => {
        const batch = new MessageBatch(a);
        batch.push("x");
        return [batch, 0];
      }),
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
export const more: Record<string, Row> = {
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

/** Handles that are taken out are those of the sockets, which stay open. */
const handle: Row = {
  takes: [["handle", tuple]],
  make: (sockets) => ({ args: [{ fd: sockets.udp().fileno(), close() {} }] }),
};
const adopting = (make: (sockets: Sockets) => Socket): Row => ({
  takes: [
    ["sock", size],
    ["options", tuple],
  ],
  make: (sockets) => ({ args: [make(sockets), { socket: { data() {} } }] }),
  lacking: isWindows,
});

/** The functions of `berkeley-sockets/bun`. */
export const ofBun: Record<string, Row> = {
  adopt: adopting((sockets) => sockets.pair()[0]),
  adoptServer: adopting((sockets) => sockets.server()),
  borrow: handle,
  release: handle,
  listenFds: { ...none, make: nothing(), lacking: isWindows },
};

/** The options of each function that takes some, one by one. */
export const byName: Record<string, Record<string, Row["takes"][number][1]>> = {
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

export type Callable = (...args: unknown[]) => unknown;
export const isClass = (value: unknown) => /^class\b/.test(Function.prototype.toString.call(value));

/** A function of the module or, where `of` is its prototype, a method of a socket; the row's name may say more. */
export function functionNamed(name: string): Callable {
  const found = Reflect.get(net, name) as Callable & (new (...args: unknown[]) => unknown);
  return isClass(found) ? (...args) => new found(...args) : found;
}

export function methodNamed(name: string): Callable {
  const key = Reflect.ownKeys(Socket.prototype).find((own) => keyName(own) === name)!;
  const found = Reflect.get(Socket.prototype, key) as Callable;
  return function (this: unknown, ...args: unknown[]) {
    return Reflect.apply(found, this, args);
  };
}

export function keyName(key: string | symbol): string {
  return typeof key === "string" ? key : key === Symbol.dispose ? "[Symbol.dispose]" : `[${String(key)}]`;
}

/** Whether an argument may be that; what throws when it is asked is nothing of the kind. */
export function may(kind: Kind, value: unknown): boolean {
  try {
    return kind.may(value);
  } catch {
    return false;
  }
}

/** Whether an error says that the platform has no such call. */
export function isLacking(threw: unknown): boolean {
  return threw instanceof TypeError && threw.message.includes(`: ${process.platform} has no such call; it exists on `);
}

/** What a call with a wrong argument may do; what is wrong with it otherwise. */
export function verdict(
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
