/** What the tests share: peers in processes of their own, clocks, and a way to ask what went wrong. */
import { expect, test } from "bun:test";
import { dlopen } from "bun:ffi";
import {
  fstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  close,
  CMSG_LEN,
  createServer,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  if_nametoindex,
  MCAST_JOIN_GROUP,
  SO_DETACH_FILTER,
  AF_PACKET,
  PACKET_ADD_MEMBERSHIP,
  PACKET_VERSION,
  SOCK_RAW,
  SOL_PACKET,
  SO_TIMESTAMPNS,
  TCP_INFO,
  TPACKET_V3,
  IPV6_FLOWINFO_SEND,
  IP_MULTICAST_IF,
  MSG_CTRUNC,
  MSG_WAITALL,
  OSError,
  SCM_RIGHTS,
  SO_LINGER,
  SO_PASSCRED,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_SNDTIMEO,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  TimeoutError,
} from "../src/index.ts";

/** The library, as a peer's function sees it, and the sockets that the peer was given; they are blocking. */
export type Net = typeof import("../src/index.ts") & { given: Socket[] };

export const isLinux = process.platform === "linux";
export const isWindows = process.platform === "win32";
/**
 * The version of musl, where it is the C library of this process, else null. A machine may have several C libraries, so
 * that what is loaded counts; musl's loader is its library, too, and run alone it tells its version.
 */
export const muslVersion: string | null = (() => {
  const loader = isLinux ? / (\/.*\/ld-musl-.*)$/m.exec(readFileSync("/proc/self/maps", "utf8"))?.[1] : undefined;
  if (loader === undefined) return null;
  return /Version (\S+)/.exec(Bun.spawnSync([loader]).stderr.toString())?.[1] ?? "unknown";
})();
export const isRoot = process.getuid?.() === 0;
/** Whether Unix sockets can be made: Wine has none. */
export const hasUnix = works(() => new Socket(AF_UNIX, SOCK_STREAM));
/** Whether Unix datagrams are to be had: Windows has Unix streams at most. */
export const hasUnixDatagrams = works(() => new Socket(AF_UNIX, SOCK_DGRAM));
const library = join(import.meta.dir, "..", "src", "index.ts");

/** Whether descriptors can be sent to another process by a message. */
export const passesDescriptors = SCM_RIGHTS !== undefined;
/**
 * The address of a server whose queue is full, so that it takes no more connections: Linux answers no more, Windows refuses
 * them.
 */
export function ignoring(own: Sockets): readonly [string, number] {
  const server = own.server(0);
  for (let i = 0; i < 3; i++) {
    const sock = own.add(new Socket(AF_INET));
    sock.setblocking(false);
    sock.connectEx(server.getsockname());
  }
  return server.getsockname();
}

/** Whether connections to such a server get no answer. */
export function ignoresConnections(): boolean {
  if (isLinux) return true;
  using own = new Sockets();
  const address = ignoring(own);
  using probe = new Socket(AF_INET);
  probe.settimeout(0.2);
  return codeOf(() => probe.connect(address)) === "ETIMEDOUT";
}

/** Whether a receive tells that the connection was reset: under Wine it looks like its end, always or at times. */
export function tellsResets(): boolean {
  if (!isWindows) return true;
  using own = new Sockets();
  return Array.from({ length: 30 }).every(() => {
    const [a, b] = own.tcp();
    b.setsockopt(SOL_SOCKET, SO_LINGER, resetting);
    b.close();
    return codeOf(() => a.recv(1)) === "ECONNRESET";
  });
}

/** Whether `bun check` works: under Wine it reads no file. */
export function hasTypeChecker(): boolean {
  return !isWindows || Bun.spawnSync([process.execPath, "check", import.meta.path]).success;
}

/** Whether MSG_WAITALL waits: under Wine 8 it does not. What does, runs out of time where half of the data is there. */
export function waitsForAll(): boolean {
  if (!isWindows) return true;
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("x");
  bounded(b, 0.1).settimeout(null);
  return elapsed(() => codeOf(() => b.recv(2, MSG_WAITALL))) > 50;
}

type Body<Args extends unknown[]> = (...args: Args) => void | Promise<unknown>;

/** `test` and `test.each`. */
interface Test {
  (name: string, body: Body<[]>, timeout?: number): void;
  each<Row>(
    rows: readonly Row[],
  ): (name: string, body: Body<Row extends readonly unknown[] ? [...Row] : [Row]>, timeout?: number) => void;
}

/** `test`, or a skipped test that names what the machine lacks. */
export function needs(what: string, have: boolean): Test {
  if (have) return test as Test;
  const skip: Test = (name, body) => test.skip(`${name} (no ${what} here)`, body);
  skip.each = (rows) => (name, body) => test.skip.each([...rows])(`${name} (no ${what} here)`, body as never);
  return skip;
}

/** Whether the system lets a socket be made. */
export function works(attempt: () => Disposable): boolean {
  try {
    attempt()[Symbol.dispose]();
    return true;
  } catch (error) {
    if (error instanceof OSError) return false;
    throw error;
  }
}

/** Whether Bun runs in an emulator, as test/arm64/run.ts has it. */
const emulated = process.env["BS_TEST_LAUNCHER"] !== undefined;

/** How many times longer than on a machine of its own everything may take here. */
export const slowness = Number(process.env["BS_TEST_SLOWNESS"] ?? 1);

/**
 * Whether something of the system works where Bun runs in an emulator, which has less than the system: it is tried there.
 * On a machine it is not tried: what does not work is a failure.
 */
export function worksInEmulator(attempt: () => unknown): boolean {
  if (!emulated) return true;
  try {
    return attempt() !== false;
  } catch {
    return false;
  }
}

export const python = Bun.which("python3");

/** A child process, killed at the end of its scope at the latest. */
export class Peer {
  constructor(readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">) {}

  /** What it wrote, once it has ended well. */
  async output(): Promise<string> {
    const text = await this.process.stdout.text();
    expect(await this.process.exited).toBe(0);
    return text.trimEnd();
  }

  [Symbol.dispose](): void {
    this.process.kill("SIGKILL");
  }
}

let peers = 0;

/** Starts a process that gets sockets as the descriptors 3, 4 …; on Windows, as descriptions in a file of that name. */
function start(command: string[], given: Socket[], handover: string): Peer {
  for (const sock of given) sock.setblocking(true);
  const fds = isWindows ? [] : given.map((sock) => sock.fileno());
  const stdio = ["ignore", "pipe", "inherit", ...fds] as unknown as ["ignore", "pipe", "inherit"];
  const env = { ...process.env, NODE_NO_WARNINGS: "1" }; // the event is emitted all the same
  const started = new Peer(Bun.spawn(command, { stdio, env }));
  if (isWindows && given.length > 0) {
    // A file, not the standard input: that would be written by the event loop, which most tests block.
    const shared = given.map((sock) => sock.share(started.process.pid).toString("base64"));
    writeFileSync(`${handover}.new`, JSON.stringify(shared));
    renameSync(`${handover}.new`, handover);
  }
  for (const sock of given) sock.close();
  return started;
}

/** What a {@link peer} runs first: where the sockets are that it was given. */
const receiving = {
  posix: (net: Net, count: number) => Array.from({ length: count }, (_, i) => new net.Socket({ fileno: 3 + i })),
  windows: (net: Net, path: string) => {
    const fs = process.getBuiltinModule("node:fs");
    while (!fs.existsSync(path)) Bun.sleepSync(1);
    const shared = JSON.parse(fs.readFileSync(path, "latin1")) as string[];
    fs.rmSync(path);
    return shared.map((info) => net.fromshare(Buffer.from(info, "base64")));
  },
};

/** An expression of a script that runs `body`, and gives what it returns. */
export function script<Args extends unknown[]>(
  body: (net: Net, ...args: Args) => unknown,
  args: Args,
  count = 0,
  handover = "",
): string {
  const [receive, from] = isWindows && count > 0 ? [receiving.windows, handover] : [receiving.posix, count];
  const given = `(${receive})(net, ${JSON.stringify(from)})`;
  const call = `(${body})({ ...net, given: ${given} }, ...${JSON.stringify(args)})`;
  return `await (async (net) => ${call})(await import(${JSON.stringify(library)}))`;
}

/**
 * Runs a function in a process of its own: a blocking call stops this one, so who shall act meanwhile is elsewhere.
 *
 * @param body - The function. It goes as text: it sees the library and its arguments, nothing around it.
 * @param args - Its arguments, as JSON.
 * @param given - Sockets that it gets, as `net.given`; they are blocking there, and closed here.
 */
export function peer<Args extends unknown[]>(
  body: (net: Net, ...args: Args) => unknown,
  args: Args,
  given: Socket[] = [],
): Peer {
  const handover = join(tmpdir(), `bs-given-${process.pid}-${peers++}`);
  return start([process.execPath, "-e", script(body, args, given.length, handover)], given, handover);
}

/** Runs a function in a process with a limit on its open descriptors. */
export function limitedPeer<Args extends unknown[]>(
  descriptorLimit: number,
  body: (net: Net, ...args: Args) => unknown,
  args: Args,
): Peer {
  const command = `ulimit -n ${descriptorLimit} && exec "$0" -e "$1"`;
  return start(["sh", "-c", command, process.execPath, script(body, args)], [], "");
}

/** Runs a script of Python, with `import socket` done, and sockets as the descriptors 3, 4 …. */
export function pythonPeer(code: string, args: (string | number)[] = [], given: Socket[] = []): Peer {
  return start([python!, "-c", `import socket, sys, os, struct\n${code}`, ...args.map(String)], given, "");
}

/** The error's name of the system, or what was thrown or returned instead. */
export function codeOf(call: () => unknown): string {
  try {
    return `nothing thrown, ${Bun.inspect(call())} returned`;
  } catch (error) {
    return error instanceof OSError ? error.code : String(error);
  }
}

/** What a call throws. */
export function thrown(call: () => unknown): OSError {
  try {
    call();
  } catch (error) {
    if (error instanceof OSError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** How long a call takes, in milliseconds. */
export function elapsed(call: () => void): number {
  const started = performance.now();
  call();
  return performance.now() - started;
}

/**
 * Checks that a call runs out of time when it should: never early, and less than 20 ms late (an emulator has more). A
 * loaded machine may schedule late, so that it has some tries to be punctual.
 */
export function expectTimeout(seconds: number, call: () => unknown): void {
  let late = Infinity;
  const grace = 20 * slowness;
  for (let tries = 0; tries < 5 && late >= grace; tries++) {
    const ms = elapsed(() => {
      const error = thrown(call);
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error.message).toEndWith("timed out");
    });
    expect(ms).toBeGreaterThanOrEqual(seconds * 1000);
    late = Math.min(late, ms - seconds * 1000);
  }
  expect(late).toBeLessThan(grace);
}

/** What SO_RCVTIMEO takes for some seconds: a `struct timeval`, on Windows milliseconds. */
export function timeval(seconds: number): BigInt64Array | Int32Array {
  if (isWindows) return new Int32Array([seconds * 1000]);
  return new BigInt64Array([BigInt(Math.floor(seconds)), BigInt(Math.round((seconds % 1) * 1e6))]);
}

/** SO_LINGER's value with which a connection that is closed is reset: `struct linger`, whose fields Windows has shorter. */
export const resetting = isWindows ? Uint16Array.of(1, 0) : Int32Array.of(1, 0);

/** For how many seconds a test waits for another process. */
const PATIENCE = 5 * slowness;

/**
 * Bounds the waiting of a blocking socket, by the system's own means, so that a test that fails does not hang. (It also
 * keeps the system from restarting interrupted calls by itself, see signal(7).)
 */
export function bounded<S extends Pick<Socket, "setsockopt">>(sock: S, seconds = PATIENCE): S {
  sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval(seconds));
  sock.setsockopt(SOL_SOCKET, SO_SNDTIMEO, timeval(seconds));
  return sock;
}

/** Sockets that are closed together at the end of their scope. */
export class Sockets implements Disposable {
  readonly #all: Socket[] = [];

  add<S extends Socket>(sock: S): S {
    this.#all.push(sock);
    return sock;
  }

  /** A TCP server on the loopback. */
  server(backlog?: number): Socket<"AF_INET"> {
    const sock = this.add(createServer(["127.0.0.1", 0], { backlog: backlog ?? null }));
    sock.settimeout(PATIENCE);
    return sock;
  }

  /** Two ends of a TCP connection on the loopback, which wait for some seconds. */
  tcp(): [Socket<"AF_INET">, Socket<"AF_INET">] {
    const server = createServer(["127.0.0.1", 0]);
    const client = this.add(new Socket(AF_INET, SOCK_STREAM));
    client.settimeout(PATIENCE);
    client.connect(server.getsockname());
    const [conn] = server.accept();
    server.close();
    conn.settimeout(PATIENCE);
    return [client, this.add(conn)];
  }

  /**
   * Two ends of a Unix connection, which wait for some seconds. Windows has no such pairs: there they are of
   * AF_INET, for tests that want any two ends.
   */
  pair(type: number = SOCK_STREAM): [Socket<"AF_UNIX">, Socket<"AF_UNIX">] {
    const [a, b] = !isWindows ? socketpair(AF_UNIX, type) : type === SOCK_DGRAM ? this.#udpPair() : this.tcp();
    a.settimeout(PATIENCE);
    b.settimeout(PATIENCE);
    return [this.add(a), this.add(b)] as never;
  }

  #udpPair(): [Socket<"AF_INET">, Socket<"AF_INET">] {
    const [a, b] = [this.udp(), this.udp()];
    a.connect(b.getsockname());
    b.connect(a.getsockname());
    return [a, b];
  }

  /** A UDP socket that is bound on the loopback, and waits for some seconds. */
  udp(): Socket<"AF_INET"> {
    const sock = this.add(new Socket(AF_INET, SOCK_DGRAM));
    sock.bind(["127.0.0.1", 0]);
    sock.settimeout(PATIENCE);
    return sock;
  }

  [Symbol.dispose](): void {
    for (const sock of this.#all) sock.close();
  }
}

/** Removes a folder and what is in it. */
export function removeFolder(path: string): void {
  if (!isWindows) return rmSync(path, { recursive: true });
  // One by one: under Wine `rmSync` fails with EFAULT.
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeFolder(join(path, entry.name));
    else unlinkSync(join(path, entry.name));
  }
  rmdirSync(path);
}

/** What a program wrote to its standard error, but for what Bun says there under Wine, of each folder. */
export function errorsOf(stderr: string): string {
  return stderr.replaceAll(/^Internal error: directory mismatch for directory .*\r?\n/gm, "");
}

/** Whether `MSG_CTRUNC` tells what was cut: an emulator has room of its own, and closes no descriptors that it cuts. */
export const tellsWhatWasCut: boolean = worksInEmulator(() => {
  using own = new Sockets();
  const [a, b] = own.pair();
  b.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
  a.send("x");
  return (b.recvmsg(1, CMSG_LEN(11))[2] & MSG_CTRUNC) !== 0; // a byte less than credentials have
});

/** Whether `IP_MULTICAST_IF` takes an address. */
export const hasMulticastInterface: boolean = worksInEmulator(() => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, Buffer.from([127, 0, 0, 1]));
});

/** Whether the system looks at the descriptor before it looks at what goes with it. */
export const looksAtDescriptorFirst: boolean = worksInEmulator(() => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  close(sock.fileno());
  return codeOf(() => sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, null, 4)) !== "EFAULT";
});

/** Whether flow labels can be leased, and sent. */
export const hasFlowLabels: boolean =
  isLinux &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET6, SOCK_DGRAM);
    sock.setsockopt(IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1);
  });

/** A folder for as long as its scope. */
export class Folder implements Disposable {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), "bs-")));

  file(name: string): string {
    return `${this.path}/${name}`;
  }

  [Symbol.dispose](): void {
    removeFolder(this.path);
  }
}

/** getsockopt of Winsock, which tells whether a handle is a socket's. */
const winsock = isWindows
  ? dlopen("ws2_32.dll", {
      getsockopt: { args: ["u64", "i32", "i32", "buffer", "buffer"], returns: "i32" },
    }).symbols
  : null;

/** The open descriptors of this process; on Windows, its sockets. */
export function descriptors(): number[] {
  if (winsock !== null) {
    const handles = Array.from({ length: 2048 }, (_, i) => 4 * (i + 1));
    const [value, length] = [new Int32Array(1), Int32Array.of(4)];
    return handles.filter((handle) => winsock.getsockopt(handle, SOL_SOCKET, SO_TYPE, value, length) === 0);
  }
  const own = readdirSync(isLinux ? "/proc/self/fd" : "/dev/fd").map(Number);
  return own.sort((a, b) => a - b);
}

/** The descriptors that are open and were not before, each with what it is of. */
function openSince(before: readonly number[]): string[] {
  return descriptors().flatMap((fd) => {
    if (before.includes(fd)) return [];
    if (!isLinux) return `${fd}`;
    try {
      return `${fd}: ${readlinkSync(`/proc/self/fd/${fd}`)}`;
    } catch {
      return []; // it was what the descriptors were read from
    }
  });
}

/**
 * The descriptors that are left open, once those had time to go that threads of the runtime have for a moment: the collector
 * reads how much memory there is, a resolver asks a name server. (Fewer than before is nothing: the runtime closes its own
 * when it likes.)
 */
export function leftOpen(before: readonly number[]): string[] {
  for (let tries = 0; ; tries++) {
    const left = openSince(before);
    if (left.length === 0 || tries === 500) return left;
    Bun.sleepSync(10);
  }
}

/** As {@link leftOpen}, but the event loop goes on meanwhile. */
export async function leftOpenLater(before: readonly number[]): Promise<string[]> {
  for (let tries = 0; ; tries++) {
    const left = openSince(before);
    if (left.length === 0 || tries === 1500) return left;
    await Bun.sleep(10);
  }
}

/** How many sockets this process has open: what the runtime has open for a moment are mostly files. */
export function socketCount(): number {
  if (isWindows) return descriptors().length;
  return descriptors().filter((fd) => {
    try {
      return fstatSync(fd).isSocket();
    } catch {
      return false; // it was what the descriptors were read from
    }
  }).length;
}

/** Checks that a piece of a test leaves no descriptor open. */
export function leavesNothingOpen(body: () => void): void {
  const before = descriptors();
  body();
  expect(leftOpen(before)).toEqual([]);
}

/** Receives until the other end is shut down. */
export function receiveAll(sock: Socket): Buffer {
  const parts: Buffer[] = [];
  for (;;) {
    const part = sock.recv(65536);
    if (part.length === 0) return Buffer.concat(parts);
    parts.push(part);
  }
}

/** Fills the buffers of a connection: until not a byte more is taken. Leaves the socket non-blocking. */
export function fill(sock: Socket): number {
  sock.setblocking(false);
  let total = fillOnce(sock);
  // TCP moves bytes on by itself, and has room again: when they are acknowledged, and when it asks a window of 0.
  for (let quiet = 0; sock.family === AF_INET && quiet < 0.3; quiet += 0.05) {
    Bun.sleepSync(50);
    const more = fillOnce(sock);
    if (more > 0) quiet = 0;
    total += more;
  }
  return total;
}

function fillOnce(sock: Socket): number {
  let total = 0;
  for (const size of [65536, 1]) {
    const chunk = Buffer.alloc(size);
    for (;;) {
      const code = codeOf(() => (total += sock.send(chunk)));
      if (code === "EAGAIN") break;
      if (code.startsWith("E")) throw new Error(code);
    }
  }
  return total;
}

/** Fills the queue of a Unix receiver, by so many senders that none of them is full itself. */
export function fillReceiver(path: string): void {
  for (;;) {
    using sender = new Socket(AF_UNIX, SOCK_DGRAM);
    sender.setblocking(false);
    for (let sent = 0; sent < 20; sent++) {
      const code = codeOf(() => sender.sendto("x", path));
      if (code === "EAGAIN" && sent === 0) return;
      if (code === "EAGAIN") break;
      if (code.startsWith("E")) throw new Error(code);
    }
  }
}

/** Whether programs can be attached to sockets, and taken away again. */
export const hasFilters: boolean =
  SO_DETACH_FILTER !== undefined &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    // There is none to take away; an emulator does not know how to.
    return codeOf(() => sock.setsockopt(SOL_SOCKET, SO_DETACH_FILTER, 0)) === "ENOENT";
  });

/** Whether a group can be joined on the loopback's interface (RFC 3678). */
export const hasSourceMulticast: boolean =
  isLinux &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    const group = Buffer.alloc(136); // struct group_req
    group.set([if_nametoindex("lo"), 0, 0, 0, 0, 0, 0, 0, AF_INET, 0, 0, 0, 239, 1, 2, 3]);
    sock.setsockopt(IPPROTO_IP, MCAST_JOIN_GROUP, group);
  });

/** Whether the system tells of a TCP connection what it knows. */
export const hasTcpInfo: boolean =
  isLinux &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_STREAM);
    return sock.getsockopt(IPPROTO_TCP, TCP_INFO, 4096).length > 4;
  });

/** Whether the loopback has Linux's name and number. */
export const hasLo: boolean = isLinux && codeOf(() => if_nametoindex("lo")) === "nothing thrown, 1 returned";

/** Whether options and control messages are those of Linux, and not the few that an emulator knows. */
export const hasLinuxOptions: boolean =
  isLinux &&
  hasTcpInfo &&
  hasSourceMulticast &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1);
  });

/** Whether an interface can be asked for more than what is its own (packet(7)). */
export const hasMemberships: boolean =
  isLinux &&
  worksInEmulator(() => {
    using sock = new Socket(AF_PACKET, SOCK_RAW);
    return codeOf(() => sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, Buffer.alloc(16))) !== "ENOPROTOOPT";
  });

/** Whether packet sockets can be made, and have rings. */
export const hasPacketRings: boolean =
  hasLo &&
  works(() => new Socket(AF_PACKET, SOCK_RAW)) &&
  worksInEmulator(() => {
    using sock = new Socket(AF_PACKET, SOCK_RAW);
    return codeOf(() => sock.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)).startsWith("nothing thrown");
  });
