/**
 * The quick tour: every step opens real sockets, talks to a real peer, and says what it does.
 *
 *   bun examples/quickstart.ts
 *
 * The peers are processes of their own (quickstart-peer.ts), because a call that waits stops the thread that makes it.
 * Ends with status 1 where something is not as it should be.
 */
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  CMSG_SPACE,
  createConnection,
  createServer,
  hasDualstackIPv6,
  if_indextoname,
  inet_ntoa,
  IP_PKTINFO,
  IPPROTO_IP,
  OSError,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  sendFds,
  setdefaulttimeout,
  SO_PASSCRED,
  SOCK_DGRAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  TimeoutError,
} from "berkeley-sockets";

// What the tour prints, and how it knows that all is well.

const colour = process.stdout.isTTY && !process.env["NO_COLOR"];
const paint = (code: number, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
const bold = (text: string) => paint(1, text);
const green = (text: string) => paint(32, text);
const red = (text: string) => paint(31, text);
const yellow = (text: string) => paint(33, text);

const say = (what: string, value: unknown) => console.log(`  ${what.padEnd(12)} ${value}`);

function check(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(otherwise);
}

/** Thrown by a step that this machine cannot show. */
class Lacking extends Error {}

const at = (address: readonly [host: string, port: number, ...rest: unknown[]]) =>
  address[0].includes(":") ? `[${address[0]}]:${address[1]}` : `${address[0]}:${address[1]}`;

// The other ends.

function startPeer(role: string, options: { argument?: string; fd?: number } = {}) {
  const { argument = "", fd } = options;
  const command = [process.execPath, join(import.meta.dir, "quickstart-peer.ts"), role, argument];
  // A descriptor that is given here is the child's descriptor 3.
  const stdio = ["ignore", "pipe", "inherit", fd ?? "ignore"] as const;
  return Bun.spawn(command, { stdio: [...stdio] });
}

/** Waits for the first line of a peer: a server says where it can be reached. */
async function firstLine(peer: ReturnType<typeof startPeer>): Promise<string> {
  const { value } = await peer.stdout.getReader().read();
  if (value === undefined) throw new Error("the peer did not start");
  return Buffer.from(value).toString().trim();
}

async function finished(peer: ReturnType<typeof startPeer>): Promise<void> {
  const status = await peer.exited;
  check(status === 0, `the peer ended with status ${status}`);
}

// The steps.

async function tcp(): Promise<void> {
  const peer = startPeer("tcp");
  const port = Number(await firstLine(peer));

  using sock = createConnection(["127.0.0.1", port]);
  say("server", `${at(sock.getpeername())}, process ${peer.pid}`);
  say("this end", at(sock.getsockname()));
  sock.sendall("hello over TCP");
  say("sent", "hello over TCP");
  const echo = sock.recv(1024).toString();
  say("came back", echo);
  check(echo === "hello over TCP", "the echo is not what was sent");
  sock.close();
  await finished(peer);
}

async function udp(): Promise<void> {
  const peer = startPeer("udp");
  const port = Number(await firstLine(peer));

  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.sendto("hello over UDP", ["127.0.0.1", port]);
  say("sent", `hello over UDP, to 127.0.0.1:${port}`);
  const [echo, from] = sock.recvfrom(2048);
  say("came back", `${echo}, from ${at(from)}`);
  check(echo.toString() === "hello over UDP" && from[1] === port, "the echo is not what was sent");
  await finished(peer);
}

async function unix(): Promise<void> {
  try {
    new Socket(AF_UNIX).close();
  } catch (error) {
    throw error instanceof OSError ? new Lacking(`no Unix sockets here (${error.code})`) : error;
  }

  const folder = mkdtempSync(join(tmpdir(), "quickstart-"));
  try {
    const path = join(folder, "echo.sock");
    const peer = startPeer("unix", { argument: path });
    await firstLine(peer);

    using sock = new Socket(AF_UNIX);
    sock.connect(path);
    say("server", sock.getpeername());
    sock.sendall("hello by way of the file system");
    const echo = sock.recv(1024).toString();
    say("came back", echo);
    check(echo === "hello by way of the file system", "the echo is not what was sent");
    sock.close();
    await finished(peer);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function dualStack(): void {
  if (!hasDualstackIPv6()) throw new Lacking("this machine has no IPv6");

  using server = createServer(["", 0], { family: AF_INET6, dualstackIPv6: true });
  say("server", at(server.getsockname()));
  for (const host of ["127.0.0.1", "::1"]) {
    try {
      using client = createConnection([host, server.getsockname()[1]]);
      const [conn, address] = server.accept();
      conn.close();
      say("a client", `connects to ${client.getpeername()[0]}, is seen as ${address[0]}`);
      check(address[0] === (host === "::1" ? "::1" : "::ffff:127.0.0.1"), `not the address of ${host}`);
    } catch (error) {
      if (!(error instanceof OSError) || host !== "::1") throw error;
      say("no ::1 here", error.message);
    }
  }
}

async function descriptor(): Promise<void> {
  if (SCM_RIGHTS === undefined) throw new Lacking("no message carries descriptors on this platform");

  const folder = mkdtempSync(join(tmpdir(), "quickstart-"));
  const path = join(folder, "letter.txt");
  writeFileSync(path, "Only an open descriptor leads to this text.");
  const file = openSync(path, "r");
  unlinkSync(path);
  rmSync(folder, { recursive: true });
  say("file", `open as descriptor ${file}, and its name removed`);

  const [ours, theirs] = socketpair();
  using _ = ours;
  const peer = startPeer("read-file", { fd: theirs.fileno() });
  theirs.close();

  sendFds(ours, ["read this"], [file]);
  closeSync(file);
  say("sent", `to process ${peer.pid}, and closed here`);
  const text = ours.recv(1024).toString();
  say("it read", text);
  check(text === "Only an open descriptor leads to this text.", "the peer read something else");
  await finished(peer);
}

function packetInfo(): void {
  if (IP_PKTINFO === undefined) throw new Lacking("IP_PKTINFO is not for this platform");

  using receiver = new Socket(AF_INET, SOCK_DGRAM);
  receiver.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
  receiver.bind(["", 0]);
  say("bound to", at(receiver.getsockname()));

  using sender = new Socket(AF_INET, SOCK_DGRAM);
  sender.sendto("where did this come in?", ["127.0.0.1", receiver.getsockname()[1]]);
  const [data, ancillary] = receiver.recvmsg(2048, CMSG_SPACE(12));
  say("datagram", data);
  // struct in_pktinfo { int ipi_ifindex; struct in_addr ipi_spec_dst; struct in_addr ipi_addr; }
  // On Windows: struct in_pktinfo { struct in_addr ipi_addr; unsigned long ipi_ifindex; }
  const info = ancillary.find(([level, type]) => level === IPPROTO_IP && type === IP_PKTINFO)?.[2];
  if (info === undefined) throw new Error("no IP_PKTINFO came with it");
  const [addressAt, indexAt] = process.platform === "win32" ? [0, 4] : [8, 0];
  const address = inet_ntoa(info.subarray(addressAt, addressAt + 4));
  say("came to", `${address}, by interface ${if_indextoname(info.readUInt32LE(indexAt))}`);
  check(address === "127.0.0.1", "that is not where it was sent");
}

async function credentials(): Promise<void> {
  if (SCM_CREDENTIALS === undefined) throw new Lacking("SCM_CREDENTIALS is not for this platform");

  const [ours, theirs] = socketpair();
  using _ = ours;
  ours.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
  const peer = startPeer("greet", { fd: theirs.fileno() });
  theirs.close();

  const [data, ancillary] = ours.recvmsg(1024, CMSG_SPACE(12));
  say("message", data);
  // struct ucred { pid_t pid; uid_t uid; gid_t gid; }
  const sender = ancillary.find(([level, type]) => level === SOL_SOCKET && type === SCM_CREDENTIALS)?.[2];
  if (sender === undefined) throw new Error("no SCM_CREDENTIALS came with it");
  const pid = sender.readInt32LE(0);
  say("written by", `pid ${pid}, uid ${sender.readUInt32LE(4)}, gid ${sender.readUInt32LE(8)}: the system's word`);
  check(pid === peer.pid, `the peer is process ${peer.pid}`);
  await finished(peer);
}

function timeout(): void {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.bind(["127.0.0.1", 0]);
  sock.settimeout(0.25);
  const began = performance.now();
  try {
    sock.recv(1024);
    throw new Error("something came from nowhere");
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    const took = performance.now() - began;
    say("asked for", "250 ms");
    say("waited", `${took.toFixed(1)} ms`);
    say("then", `${error.name}: ${error.message}`);
    check(took > 249, "that was too early");
  }
}

function errors(): void {
  using free = new Socket(AF_INET);
  free.bind(["127.0.0.1", 0]); // bound, but nobody listens
  const port = free.getsockname()[1];

  const attempts: [what: string, expected: string, attempt: (sock: Socket<"AF_INET">) => void][] = [
    ["refused", "ConnectionRefusedError", (sock) => sock.connect(["127.0.0.1", port])],
    ["no such port", "RangeError", (sock) => sock.connect(["127.0.0.1", 65536])],
    ["after close", "OSError", (sock) => (sock.close(), sock.send("too late"))],
  ];
  for (const [what, expected, attempt] of attempts) {
    using sock = new Socket(AF_INET);
    try {
      attempt(sock);
      throw new Error("no error");
    } catch (error) {
      const { name, message } = error as Error;
      check(name === expected, `${what}: expected ${expected}, got ${name}: ${message}`);
      say(what, name);
      say("", message);
    }
  }
}

const steps: [title: string, step: () => void | Promise<void>][] = [
  ["TCP", tcp],
  ["UDP", udp],
  ["Unix", unix],
  ["IPv6 and IPv4 on one server", dualStack],
  ["A file's descriptor, handed to another process", descriptor],
  ["Ancillary data: where a datagram came in", packetInfo],
  ["Ancillary data: who is at the other end", credentials],
  ["A timeout", timeout],
  ["Errors, as a person sees them", errors],
];

// Nothing here waits for longer: whatever hangs is an error, not a silence.
setdefaulttimeout(10);

console.log(`${bold("berkeley-sockets")} on ${process.platform} ${process.arch}, Bun ${Bun.version}`);
let [done, lacking, failed] = [0, 0, 0];
for (const [title, step] of steps) {
  console.log(`\n${bold(title)}`);
  try {
    await step();
    done++;
  } catch (error) {
    if (error instanceof Lacking) {
      lacking++;
      say(yellow("left out".padEnd(12)), error.message);
    } else {
      failed++;
      say(red("failed".padEnd(12)), error);
    }
  }
}

const summary = [`${done} of ${steps.length} as they should be`];
if (lacking > 0) summary.push(`${lacking} left out on this machine`);
if (failed > 0) summary.push(`${failed} failed`);
console.log(`\n${failed > 0 ? red(summary.join(", ")) : green(summary.join(", "))}`);
process.exit(failed > 0 ? 1 : 0);
