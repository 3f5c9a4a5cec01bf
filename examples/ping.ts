/**
 * Asks a host whether it is there, and how long the way is, by ICMP echo, as ping(8) does: IPv4 or IPv6, whichever the host
 * has.
 *
 *   bun examples/ping.ts [-6] [-c <count>] [-i <seconds>] [-s <bytes>] [-t <ttl>] [-W <seconds>] <host>
 *
 *   -6  IPv6 alone                                        -s  bytes after the header, 56 by default
 *   -c  how many times; until Ctrl-C by default           -t  how many routers it may pass
 *   -i  seconds between them, 1 by default; with 0 the    -W  seconds that an answer may take, 1 by default
 *       next goes when the last one is answered
 *
 * The times are the kernel's, where it tells them: when the request left (SO_TIMESTAMPING, by the error queue of Linux) and
 * when the answer came (SO_TIMESTAMPNS), so that what this program does meanwhile is not counted. What ICMP reports of a
 * request is shown.
 *
 * It opens the datagram socket that systems have for just this (on Linux for the groups of net.ipv4.ping_group_range), and
 * where it may not, a raw socket (on Linux with CAP_NET_RAW). Ends with status 1 where no answer came.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import {
  AF_INET6,
  CMSG_SPACE,
  getaddrinfo,
  IP_RECVERR,
  IP_RECVTTL,
  IP_TTL,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_UNICAST_HOPS,
  MSG_ERRQUEUE,
  OSError,
  PermissionError,
  SO_ERROR,
  SO_TIMESTAMP,
  SO_TIMESTAMPING,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOF_TIMESTAMPING_SOFTWARE,
  SOF_TIMESTAMPING_TX_SOFTWARE,
  SOL_SOCKET,
} from "berkeley-sockets/promises";
import { SO_EE_ORIGIN_TIMESTAMPING } from "berkeley-sockets/constants";
import { decodeAncillary, type NumberAncillary, type Timespec } from "berkeley-sockets/messages";
import { CLOCK_REALTIME, clock_gettime } from "berkeley-sockets/packets";

/** Message types, and what those mean that report of a packet: RFC 792 for IPv4, RFC 4443 for IPv6. */
const ICMP = { request: 8, reply: 0, unreachable: 3, exceeded: 11 };
const ICMPV6 = { request: 128, reply: 129, unreachable: 1, exceeded: 3 };
const REASONS = ["network", "host", "protocol", "port"];
const REASONS_V6 = ["no route to the address", "prohibited", "beyond the scope", "address", "port"];

const isLinux = process.platform === "linux";
const isWindows = process.platform === "win32";

function fail(message: string, status = 2): never {
  console.error(message);
  process.exit(status);
}

function usage(): never {
  fail("usage: bun ping.ts [-6] [-c <count>] [-i <seconds>] [-s <bytes>] [-t <ttl>] [-W <seconds>] <host>");
}

const option = (short: string) => ({ type: "string", short }) as const;

function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        ipv6: { type: "boolean", short: "6" },
        count: option("c"),
        interval: option("i"),
        size: option("s"),
        ttl: option("t"),
        wait: option("W"),
      },
    });
    return positionals.length === 1 ? { ...values, host: positionals[0]! } : usage();
  } catch {
    return usage(); // an option that there is not
  }
}

/** A number that was given for an option, or what goes for it. */
function number(name: string, text: string | undefined, otherwise: number, min: number, max: number, whole = true) {
  if (text === undefined) return otherwise;
  const value = text.trim() === "" ? NaN : Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  return fail(`-${name} takes a ${whole ? "whole " : ""}number from ${min} to ${max}, not ${text}`);
}

const given = parse();
const { host } = given;
const count = number("c", given.count, Infinity, 1, 2 ** 31);
const interval = number("i", given.interval, 1, 0, 3600, false);
const size = number("s", given.size, 56, 0, 65507);
const ttl = number("t", given.ttl, 0, 1, 255);
const patience = number("W", given.wait, 1, 0.001, 3600, false);

/** The internet checksum, RFC 1071: the complement of the sum of all 16-bit words, with the carries added in. */
function checksum(message: Buffer): number {
  let sum = 0;
  for (let i = 0; i + 1 < message.length; i += 2) sum += message.readUInt16BE(i);
  if (message.length % 2 === 1) sum += message.at(-1)! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** An echo request: type, code, checksum, identifier, sequence, then what is to come back. */
function echoRequest(type: number, sequence: number): Buffer {
  const message = Buffer.concat([Buffer.alloc(8), randomBytes(size)]);
  message.writeUInt8(type, 0);
  message.writeUInt16BE(process.pid & 0xffff, 4); // on a datagram socket the system puts its own
  message.writeUInt16BE(sequence, 6);
  message.writeUInt16BE(checksum(message), 2); // for IPv6 the system does it
  return message;
}

function openSocket(family: number): Socket<"AF_INET" | "AF_INET6"> {
  const protocol = family === AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
  const open = (type: number) => new Socket(family, type, protocol) as Socket<"AF_INET" | "AF_INET6">;
  try {
    return open(SOCK_DGRAM);
  } catch (error) {
    if (!(error instanceof OSError)) throw error; // else no right to that one, or the system has none
  }
  try {
    return open(SOCK_RAW);
  } catch (error) {
    if (!(error instanceof PermissionError)) throw error;
    const rights = isLinux ? "CAP_NET_RAW, or a group of net.ipv4.ping_group_range" : "an administrator's rights";
    return fail(`${error.message} (it takes ${rights})`, 1);
  }
}

/** What this program's clock says, which is the one that the kernel takes its times from, where it can be asked. */
function now(): Timespec {
  if (CLOCK_REALTIME !== undefined) return clock_gettime(CLOCK_REALTIME);
  const time = performance.timeOrigin + performance.now();
  return { seconds: Math.floor(time / 1000), nanoseconds: (time % 1000) * 1e6 };
}

const milliseconds = (from: Timespec, to: Timespec): number =>
  (to.seconds - from.seconds) * 1e3 + (to.nanoseconds - from.nanoseconds) / 1e6;

/** A request on its way. */
interface Probe {
  readonly request: Buffer;
  began: Timespec;
  /** The kernel's time. */
  readonly left: PromiseWithResolvers<Timespec>;
  readonly finished: PromiseWithResolvers<void>;
  isFinished: boolean;
}

const stop = new AbortController();
process.on("SIGINT", () => stop.abort());
process.on("SIGTERM", () => stop.abort());

/** Those that are on their way, by their sequence numbers. */
const probes = new Map<number, Probe>();
const times: number[] = [];
let sent = 0;

/** Ends a request: by an answer, by what ICMP says of it, or because it takes too long. */
async function finish(sequence: number, describe: (probe: Probe) => string | Promise<string>): Promise<void> {
  const probe = probes.get(sequence);
  if (probe === undefined || probe.isFinished) return;
  probe.isFinished = true;
  console.log(await describe(probe));
  probes.delete(sequence);
  probe.finished.resolve();
}

async function ping(sock: Socket<"AF_INET" | "AF_INET6">, address: readonly [string, number, ...number[]]) {
  const isV6 = sock.family === AF_INET6;
  const types = isV6 ? ICMPV6 : ICMP;
  const level = isV6 ? IPPROTO_IPV6 : IPPROTO_IP;
  /** Where it begins that a message of ours is known by: on a datagram socket the system puts the identifier. */
  const ours = sock.type === SOCK_RAW ? 4 : 6;

  /** Sets an option that is not everywhere. */
  const want = (at: number, name: number | undefined, value: number): void => {
    try {
      if (name !== undefined) sock.setsockopt(at, name, value);
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
    }
  };
  if (ttl > 0) sock.setsockopt(level, isV6 ? IPV6_UNICAST_HOPS : IP_TTL, ttl);
  want(level, isV6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
  if (!isWindows) want(SOL_SOCKET, SO_TIMESTAMPNS ?? SO_TIMESTAMP, 1); // Windows has ticks of another clock
  if (isLinux) {
    want(level, isV6 ? IPV6_RECVERR : IP_RECVERR, 1);
    want(SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
  }
  sock.bind([isV6 ? "::" : "0.0.0.0", 0]); // Windows receives nothing before
  await sleep(10); // Linux takes a moment until it records times

  /** The sequence number of a message that is ours, or of its beginning. */
  function sequenceOf(message: Buffer): number {
    if (message.length < 8) return -1;
    const sequence = message.readUInt16BE(6);
    const request = probes.get(sequence)?.request;
    return request?.subarray(ours, message.length).equals(message.subarray(ours)) ? sequence : -1;
  }

  /** What ICMP says of a request, as `offender` reports it. */
  function report(message: Buffer, offender: string, type: number, code: number): Promise<void> {
    const reason = (isV6 ? REASONS_V6 : REASONS)[code];
    const what =
      type === types.exceeded && code === 0
        ? "time to live exceeded"
        : type === types.unreachable && reason !== undefined
          ? `unreachable: ${reason}`
          : `type ${type} code ${code}`;
    const sequence = sequenceOf(message);
    return finish(sequence, () => `from ${offender}: seq=${sequence} ${what}`);
  }

  async function receive(): Promise<void> {
    const [packet, ancillary, , from] = await sock.recvmsg(65535 + 60, CMSG_SPACE(64) * 2);
    const came = now();
    // A raw IPv4 socket gives the packet with its header, whose first byte is 0x4 and its length in words.
    const withoutHeader = (data: Buffer) => (data[0]! >> 4 === 4 ? data.subarray((data[0]! & 15) * 4) : data);
    const message = withoutHeader(packet);
    const [type = -1, code = -1] = message;
    if (type === types.unreachable || type === types.exceeded) {
      const about = message.subarray(8); // the packet that it is about, as much of it as there is
      const request = isV6 ? about.subarray(40) : withoutHeader(about);
      void report(request, from![0] as string, type, code);
    }
    const sequence = sequenceOf(message);
    if (type !== types.reply || sequence < 0) return; // a raw socket gets everybody's
    const items = decodeAncillary(ancillary);
    const hops = items.find((item): item is NumberAncillary => item.type === "ttl" || item.type === "hoplimit");
    const time = items.find((item) => item.type === "timestamp")?.time ?? came;
    void finish(sequence, async (probe) => {
      // When it left is told on another way, and may be read a little later.
      const left = await Promise.race([probe.left.promise, sleep(isLinux ? 20 : 0).then(() => probe.began)]);
      const took = Math.max(0, milliseconds(left, time)); // somebody may have set the clock
      times.push(took);
      const passed = hops === undefined ? "" : ` ttl=${hops.value}`;
      return `${message.length} bytes from ${from![0]}: seq=${sequence}${passed} time=${took.toFixed(3)} ms`;
    });
  }

  /** Reads the error queue: when a request left, and what became of it. */
  async function receiveError(): Promise<void> {
    const [data, ancillary] = await sock.recvmsg(65535 + 60, CMSG_SPACE(64) * 3, MSG_ERRQUEUE);
    const items = decodeAncillary(ancillary);
    const error = items.find((item) => item.type === "error");
    if (error?.origin === SO_EE_ORIGIN_TIMESTAMPING) {
      const left = items.find((item) => item.type === "timestamping")?.software;
      if (!left) return;
      const message = data.subarray(Math.max(0, data.length - size - 8)); // after the headers of the frame
      probes.get(sequenceOf(message))?.left.resolve(left);
    } else if (error?.offender) {
      void report(data, error.offender[0], error.icmpType, error.icmpCode);
    }
  }

  const isClosed = (error: unknown): boolean =>
    error instanceof OSError && (error.code === "ECANCELED" || error.code === "EBADF");
  async function forever(step: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await step();
      } catch (error) {
        if (isClosed(error)) return;
        if (!(error instanceof OSError)) throw error; // else what ICMP said, which the error queue tells better
      }
    }
  }
  void forever(receive);
  if (isLinux) void forever(receiveError);

  async function send(request: Buffer, sequence: number): Promise<void> {
    for (let tries = 3; ; tries--) {
      try {
        sock.getsockopt(SOL_SOCKET, SO_ERROR); // what ICMP said of an earlier one would fail this one: it is taken away
        probes.get(sequence)!.began = now();
        await sock.sendto(request, address as [string, number]);
        return;
      } catch (error) {
        if (!(error instanceof OSError)) throw error;
        if (tries > 1) continue; // it may have come just then
        void finish(sequence, () => `seq=${sequence} ${error.message}`);
        return;
      }
    }
  }

  const pause = (seconds: number) => sleep(seconds * 1000, undefined, { signal: stop.signal });
  const stopped = new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
  try {
    while (sent < count) {
      if (sent > 0 && interval > 0) await pause(interval);
      stop.signal.throwIfAborted();
      const sequence = ++sent & 0xffff;
      const request = echoRequest(types.request, sequence);
      const finished = Promise.withResolvers<void>();
      probes.set(sequence, { request, began: now(), left: Promise.withResolvers(), finished, isFinished: false });
      await send(request, sequence);
      const late = setTimeout(() => void finish(sequence, () => `no answer: seq=${sequence}`), patience * 1000);
      void finished.promise.then(() => clearTimeout(late));
      if (interval === 0) await Promise.race([finished.promise, stopped]);
    }
    const last = Promise.all([...probes.values()].map((probe) => probe.finished.promise));
    await Promise.race([last, stopped]);
  } catch (error) {
    if ((error as Error).name !== "AbortError") throw error;
  }
}

try {
  const family = given.ipv6 ? AF_INET6 : 0;
  const [found, , , , address] = (await getaddrinfo(host, null, { family, type: SOCK_DGRAM }))[0]!;
  using sock = openSocket(found);
  console.log(`ping ${host} (${address[0]}), ${sock.type === SOCK_RAW ? "raw socket" : "datagram socket"}`);
  await ping(sock, address as [string, number]);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  fail(error.message, 1);
}

const lost = sent === 0 ? 0 : Math.round(((sent - times.length) / sent) * 100);
console.log(`${sent} sent, ${times.length} received, ${lost}% lost`);
if (times.length > 0) {
  const mean = times.reduce((sum, time) => sum + time) / times.length;
  const deviation = Math.sqrt(times.reduce((sum, time) => sum + (time - mean) ** 2, 0) / times.length);
  const figures = [Math.min(...times), mean, Math.max(...times), deviation].map((time) => time.toFixed(3));
  console.log(`min/avg/max/mdev ${figures.join("/")} ms`);
}
process.exit(times.length > 0 ? 0 : 1);
