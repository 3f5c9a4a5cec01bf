/**
 * Random calls with random arguments on random sockets: `bun test/faults/fuzz.ts [seed] [seconds]`.
 *
 * Nothing leaves the machine, nothing changes it, and nothing waits for longer than a millisecond. Prints what it did as
 * JSON; `wrong` are errors that no caller should see.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as net from "../../src/index.ts";
import { OSError, Socket } from "../../src/index.ts";
import { MessageBatch } from "../../src/packets.ts";
import { descriptors, hasUnixDatagrams, isWindows, removeFolder } from "../help.ts";
import { closeAll, Hostile, substitutes } from "./values.ts";

/** What the program prints. */
export interface Report {
  seed: number;
  calls: number;
  succeeded: number;
  wrong: string[];
  leaked: number;
}

const seed = Number(process.argv[2] ?? 1);
const seconds = Number(process.argv[3] ?? 1);

let state = seed >>> 0;
/** A number from 0 to below 1 (mulberry32). */
function random(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (n: number) => Math.floor(random() * n);
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)]!;
const chance = (probability: number) => random() < probability;

const folder = mkdtempSync(join(tmpdir(), "bs-"));
process.chdir(folder); // where a random path may be bound
const file = join(folder, "file");
writeFileSync(file, "x".repeat(10_000));
const TIMEOUTS = [0, 0.001];

let pool: Socket[] = [];
const files: { close(): void }[] = [];
const SOCKETS = 16;

/** Takes a socket into the pool; the one that it takes the place of is closed, detached or left as it is. */
function keep(sock: Socket): Socket {
  if (sock.fileno() >= 0) sock.settimeout(oneOf(TIMEOUTS));
  if (pool.length < SOCKETS) pool.push(sock);
  else {
    const i = below(SOCKETS);
    pool[i]!.close();
    pool[i] = sock;
  }
  return sock;
}

function fresh(): void {
  const kind = below(8);
  const { AF_INET, AF_INET6, AF_UNIX, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET } = net;
  if (kind < 3 && isWindows) net.socketpair(AF_INET).forEach(keep);
  else if (kind < 3) net.socketpair(AF_UNIX, [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET][kind]!).forEach(keep);
  else if (kind === 3) keep(new Socket(AF_INET, oneOf([SOCK_STREAM, SOCK_DGRAM])));
  else if (kind === 4) keep(net.createServer(["127.0.0.1", 0]));
  else if (kind === 5) keep(new Socket(AF_INET6, SOCK_DGRAM)).bind(["::1", 0]);
  else if (kind === 6 && hasUnixDatagrams)
    keep(new Socket(AF_UNIX, SOCK_DGRAM)).bind(`\0${seed}-${process.pid}-${below(50)}`);
  else {
    const sock = new Socket(AF_INET, SOCK_DGRAM);
    keep(sock);
    sock.bind(["127.0.0.1", 0]);
  }
}

/** An address that is ours, or nobody's. */
function address(): unknown {
  const sock = oneOf(pool);
  const kind = below(6);
  if (kind === 0) return ["127.0.0.1", oneOf([0, 1, 9, 65535])];
  if (kind === 1) return ["::1", oneOf([0, 1, 9]), 0, 0];
  if (kind === 2) return `\0${seed}-${process.pid}-${below(50)}`;
  if (kind === 3) return join(folder, `s${below(20)}`);
  try {
    return sock.getsockname();
  } catch {
    return ["127.0.0.1", 1];
  }
}

const LENGTHS = [0, 1, 2, 3, 4, 7, 8, 16, 100, 999, 1000, 1001, 4096, 65536, 70_000, 2 ** 21];
const MOST = isWindows ? 2 ** 24 : 2 ** 31 - 1; // Wine touches all the memory that it is given
const length = () => (chance(0.03) ? MOST : oneOf(LENGTHS));

function view(): NodeJS.ArrayBufferView {
  const size = oneOf(LENGTHS);
  const kind = below(7);
  if (kind === 0) return new DataView(new ArrayBuffer(size));
  if (kind === 1) return new Uint16Array(size >> 1);
  if (kind === 2) return Buffer.alloc(size);
  if (kind === 3) return new Uint8Array(new SharedArrayBuffer(size));
  if (kind === 4) {
    const memory = new ArrayBuffer(size, { maxByteLength: size * 2 + 8 });
    const tracking = new Uint8Array(memory);
    memory.resize(below(size * 2 + 8));
    return tracking;
  }
  if (kind === 5) return new Uint8Array(size + 3).subarray(1, 1 + size);
  return new Uint8Array(size);
}
const data = (): unknown => (chance(0.3) ? "é".repeat(oneOf(LENGTHS) >> 4) : chance(0.1) ? new ArrayBuffer(5) : view());
const flags = () =>
  oneOf([
    0,
    0,
    0,
    net.MSG_PEEK,
    net.MSG_TRUNC,
    net.MSG_DONTWAIT,
    net.MSG_OOB,
    net.MSG_WAITALL,
    net.MSG_ERRQUEUE,
    below(2 ** 31),
  ]);
const several = <T>(make: () => T): T[] => Array.from({ length: oneOf([0, 1, 1, 2, 3, 20, 1030]) }, make);
const number = () => oneOf([0, 1, -1, 2, 41, 255, 65535, 2 ** 31 - 1, -(2 ** 31), below(100)]);

function ancdata(): unknown {
  return Array.from({ length: below(4) }, () =>
    chance(0.5)
      ? [net.SOL_SOCKET, net.SCM_RIGHTS, Int32Array.from({ length: below(5) }, () => oneOf(pool).fileno())]
      : [oneOf([net.SOL_SOCKET, net.IPPROTO_IP, net.IPPROTO_IPV6, 0x1234]), below(60), view()],
  );
}

/** Options that make `close` wait, and that give a descriptor of their own. */
const untried = [net.SO_LINGER, net.SO_PEERPIDFD];

/** A level and an option that reach no further than the socket. */
function option(): [number, number] {
  const kind = below(4);
  const own = below(90);
  if (kind === 0) return [net.SOL_SOCKET, untried.includes(own) ? net.SO_TYPE : own];
  if (kind === 1) return [net.IPPROTO_TCP, oneOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])];
  if (kind === 2) return [net.IPPROTO_IP, oneOf([1, 2, 6, 8, 10, 11, 12, 13, 15, 20])];
  return [0x4321, number()];
}

/** A duplicate of a socket's descriptor, for calls that close it. */
const spare = () => net.dup(oneOf(pool).fileno());

/** Batches for sockets of several families, which calls use by turns. */
let batches: MessageBatch[] = [];

function batch(): MessageBatch {
  if (batches.length === 0 || chance(0.1)) {
    const options = { capacity: 1 + below(20), size: 1 + below(2000), ancbufsize: oneOf([0, 24, 200]) };
    batches = [...batches.slice(-5), new MessageBatch(oneOf(pool), options)];
  }
  const one = oneOf(batches);
  for (let i = below(3); i > 0; i--)
    attempt("push", () => void one.push(data() as never, oneOf([null, address()]) as never, ancdata() as never));
  attempt("read", () => {
    const i = below(one.length + 1);
    for (const read of ["data", "address", "timestamp", "segments", "flags"] as const) one[read](i);
  });
  attempt("change", () => oneOf([() => one.clear(), () => one.skip(), () => one.setAddress(address() as never)])());
  return one;
}

type Args = () => unknown[];
/** The methods, and what to call them with. Those that would wait, or change the descriptor behind its back, are tame. */
const methods: Record<string, Args> = {
  accept: () => [],
  bind: () => [address()],
  close: () => [],
  connect: () => [address()],
  connectEx: () => [address()],
  detach: () => [],
  dup: () => [],
  fileno: () => [],
  getInheritable: () => [],
  getblocking: () => [],
  getpeername: () => [],
  getsockname: () => [],
  getsockopt: () => (chance(0.5) ? option() : [...option(), length()]),
  gettimeout: () => [],
  ioctl: () => (chance(0.5) ? [net.FIONREAD, view()] : [oneOf([net.SIOCATMARK, 0xdead_0001]), view()]),
  listen: () => (chance(0.5) ? [] : [number()]),
  makefile: () => [oneOf(["r", "w", "rw", "rb", "wb", "rwb"]), oneOf([-1, 0, 1, 100, 8192])],
  recv: () => [length(), flags()],
  recvBatch: () => [batch(), flags()],
  recvInto: () => [view(), oneOf([0, 0, 1, 5, 100]), flags()],
  recvfrom: () => [length(), flags()],
  recvfromInto: () => [view(), oneOf([0, 0, 1, 5, 100]), flags()],
  recvmsg: () => [length(), oneOf([0, below(80), length()]), flags()],
  recvmsgInto: () => [several(view), oneOf([0, below(80), length()]), flags()],
  send: () => [data(), flags()],
  sendBatch: () => [batch(), flags()],
  sendall: () => [data(), flags()],
  sendfile: () => [oneOf([file, Bun.file(file), folder, "/dev/null"]), length(), oneOf([null, 1, 100, 2 ** 31])],
  sendmsg: () => [several(data), ancdata(), flags(), oneOf([null, address()])],
  sendmsgAfalg: () => [several(data), { op: below(4), iv: data(), assoclen: number() }],
  sendto: () => (chance(0.5) ? [data(), address()] : [data(), flags(), address()]),
  setInheritable: () => [chance(0.1)],
  setblocking: () => [false],
  setsockopt: () => [...option(), oneOf<unknown>([number(), view(), "x"])],
  settimeout: () => [oneOf(TIMEOUTS)],
  shutdown: () => [below(4)],
  "[Symbol.dispose]": () => [],
  "[inspect]": () => [],
};

const functions: Record<string, Args> = {
  CMSG_LEN: () => [number()],
  CMSG_SPACE: () => [number()],
  close: () => [spare()],
  createConnection: () => [address(), oneOf(TIMEOUTS)],
  createServer: () => [["127.0.0.1", 0], { backlog: number() }],
  dup: () => [oneOf(pool).fileno()],
  fromfd: () => [oneOf(pool).fileno(), oneOf([-1, net.AF_INET, net.AF_UNIX, 99]), oneOf([-1, 1, 2]), -1],
  getaddrinfo: () => [
    "127.0.0.1",
    oneOf([null, 80, "http", number()]),
    number(),
    number(),
    number(),
    number() | net.AI_NUMERICHOST,
  ],
  getnameinfo: () => [
    oneOf([
      ["127.0.0.1", 80],
      ["::1", 80, number(), number()],
    ]),
    net.NI_NUMERICHOST,
  ],
  htonl: () => [number()],
  htons: () => [number()],
  if_indextoname: () => [number()],
  if_nameindex: () => [],
  if_nametoindex: () => [oneOf(["lo", "x".repeat(length() % 100)])],
  inet_aton: () => [oneOf(["127.1", "1.2.3.4.5", "x"])],
  inet_ntoa: () => [data()],
  inet_ntop: () => [oneOf([net.AF_INET, net.AF_INET6, number()]), data()],
  inet_pton: () => [oneOf([net.AF_INET, net.AF_INET6, number()]), oneOf(["::1", "127.0.0.1", "x"])],
  ntohl: () => [number()],
  ntohs: () => [number()],
  recvFds: () => [oneOf(pool), length(), oneOf([0, 1, 2, 3, 300]), flags()],
  sendFds: () => [oneOf(pool), several(data), Array.from({ length: below(6) }, () => oneOf(pool).fileno()), flags()],
  socketpair: () => [oneOf([net.AF_UNIX, net.AF_INET]), oneOf([1, 2, 5, 99]), 0],
};

/** Runs code in the middle of a call: in a getter, a Proxy or an iterator. */
function booby(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || depth > 1) return value;
  const effect = () => {
    if (chance(0.3)) throw new Hostile("on purpose");
    step(depth + 1);
  };
  if (Array.isArray(value) && chance(0.5)) {
    return (function* () {
      for (const member of value) yield member;
      effect();
    })();
  }
  return new Proxy(value, {
    get(target, key) {
      if (chance(0.2)) effect();
      return Reflect.get(target, key, target) as unknown;
    },
  });
}

const report: Report = { seed, calls: 0, succeeded: 0, wrong: [], leaked: 0 };

/** What the engine says of a mistake of the library's own. */
const INTERNAL = /undefined is not|null is not|is not a function|evaluating|not iterable|Out of bounds|private field/;

function judge(name: string, error: unknown): void {
  if (error instanceof OSError || error instanceof Hostile) return;
  if (error instanceof TypeError || error instanceof RangeError) {
    if (!INTERNAL.test(error.message)) return;
  }
  if (report.wrong.length < 20) report.wrong.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
}

/** Closes what a call gave, or uses it. */
function settle(name: string, returned: unknown): void {
  if (returned instanceof Socket) keep(returned);
  else if (name === "dup" || name === "detach") {
    if ((returned as number) >= 0) net.close(returned as number);
  } else if (name === "makefile") {
    files.push(returned as { close(): void });
    if (files.length > 5) files.splice(below(files.length), 1)[0]!.close();
  } else if (name === "recvFds") {
    (returned as [Buffer, number[]])[1].forEach(net.close);
  } else if (name === "recvmsg" || name === "recvmsgInto") {
    for (const [level, type, bytes] of (returned as [unknown, net.ReceivedAncillaryData[]])[1]) {
      if (level !== net.SOL_SOCKET || (type !== net.SCM_RIGHTS && type !== net.SCM_PIDFD)) continue;
      for (let at = 0; at + 4 <= bytes.length; at += 4) net.close(bytes.readInt32LE(at));
    }
  } else if (Array.isArray(returned)) {
    for (const item of returned as unknown[]) if (item instanceof Socket) keep(item);
  }
}

/** One call of a file that `makefile` made. */
function useFile(): void {
  const chosen = oneOf(files) as unknown as Record<string, (...args: unknown[]) => unknown>;
  const name = oneOf(["read", "readline", "readInto", "write", "flush", "close", "readlines"]);
  try {
    chosen[name]?.(...(name === "write" ? [data()] : name === "flush" ? [] : [oneOf<unknown>([1, 10, view()])]));
  } catch (error) {
    judge(`file.${name}`, error);
  }
}

const dispose = (sock: Socket) => sock[Symbol.dispose]();
const names = [...Object.keys(methods).map((name) => `.${name}`), ...Object.keys(functions)];

/** One random call. */
function step(depth: number): void {
  report.calls++;
  if (pool.length < 4 || chance(0.05)) return attempt("fresh", () => fresh());
  if (files.length > 0 && chance(0.05)) return useFile();
  const full = oneOf(names);
  const name = full.replace(".", "");
  attempt(name, () => {
    let args = (full === name ? functions : methods)[name]!();
    // What would wait or act on a descriptor of somebody else is never called with surprises that it may take.
    const spoil = name !== "close" && chance(0.25);
    if (spoil && args.length > 0) {
      const i = below(args.length);
      if (chance(0.5)) args = args.map((arg, j) => (i === j && mayTrap(name, j) ? booby(arg, depth) : arg));
      else args[i] = substitute(name, i);
    }
    const sock = oneOf(pool);
    if (name === "[inspect]") return void Bun.inspect(sock);
    if (name === "[Symbol.dispose]") return dispose(sock);
    const target = full === name ? net : sock;
    settle(name, Reflect.apply(Reflect.get(target, name) as () => unknown, target, args));
    report.succeeded++;
  });
}

/** A substitute that neither makes a call wait nor asks a name server. */
function substitute(name: string, index: number): unknown {
  for (;;) {
    const value = oneOf(substitutes)[1]();
    if (/^(settimeout|setblocking)$/.test(name) && (value === null || value === true || typeof value === "number"))
      continue;
    if (/^(createConnection)$/.test(name) && index === 1 && (value === null || (value as number) > 0)) continue;
    if (/^get(addr|name)info$/.test(name) && index === 0 && typeof value === "string") continue;
    return value;
  }
}

/** A trap in an address would give other values each time; its hosts are all loopback, so that is fine. */
function mayTrap(name: string, index: number): boolean {
  return !(name === "sendfile" && index === 0) && !(name === "getaddrinfo");
}

function attempt(name: string, call: () => void): void {
  try {
    call();
  } catch (error) {
    judge(name, error);
  }
}

net.setdefaulttimeout(0.001);
const before = descriptors().length;
fresh();

for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
  for (let i = 0; i < 50; i++) step(0);
  if (chance(0.01)) await Bun.sleep(0); // finalisers run, of sockets that were closed: there shall be no others
}

batches = [];
for (const made of files) attempt("file.close", () => made.close());
closeAll(pool);
pool = [];
for (let i = 0; i < 20; i++) {
  Bun.gc(true);
  await Bun.sleep(1);
}
report.leaked = descriptors().length - before;
process.chdir(tmpdir()); // Windows removes no folder that somebody is in
removeFolder(folder);
console.log(JSON.stringify(report));
