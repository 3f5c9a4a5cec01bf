/**
 * Asks a host whether it is there, and how long the way is, by ICMP echo: IPv4 or IPv6, whichever the host has.
 *
 *   bun examples/ping.ts [--unprivileged] <host> [count [interval]]      4 times, a second apart
 *
 * It opens a raw socket where it may (on Linux CAP_NET_RAW), and otherwise, or with --unprivileged, the datagram socket
 * that systems have for just this (on Linux for the groups of net.ipv4.ping_group_range). Ends with status 1 where no
 * answer came.
 */
import { randomBytes } from "node:crypto";
import {
  AF_INET6,
  getaddrinfo,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  OSError,
  PermissionError,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  TimeoutError,
} from "berkeley-sockets";

/** Message types: RFC 792 for IPv4, RFC 4443 for IPv6. */
const ICMP = { request: 8, reply: 0 };
const ICMPV6 = { request: 128, reply: 129 };

/** How long an answer may take, in seconds. */
const PATIENCE = 1;

/** The internet checksum, RFC 1071: the complement of the sum of all 16-bit words, with the carries added in. */
function checksum(message: Buffer): number {
  let sum = 0;
  for (let i = 0; i < message.length; i += 2) sum += message.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** An echo request: type, code, checksum, identifier, sequence, then what is to come back. */
function echoRequest(type: number, sequence: number): Buffer {
  const message = Buffer.concat([Buffer.alloc(8), randomBytes(48)]);
  message.writeUInt8(type, 0);
  message.writeUInt16BE(process.pid & 0xffff, 4); // on a datagram socket the system puts its own
  message.writeUInt16BE(sequence & 0xffff, 6);
  message.writeUInt16BE(checksum(message), 2); // for IPv6 the system does it
  return message;
}

function openSocket(family: number, unprivileged: boolean): Socket<"AF_INET" | "AF_INET6"> {
  const protocol = family === AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
  const open = (type: number) => new Socket(family, type, protocol) as Socket<"AF_INET" | "AF_INET6">;
  if (unprivileged) return open(SOCK_DGRAM);
  try {
    return open(SOCK_RAW);
  } catch (error) {
    if (error instanceof PermissionError) return open(SOCK_DGRAM);
    throw error;
  }
}

/** The answer to a request, null where none comes in time. A raw socket gets everybody's: the random bytes tell ours. */
function awaitReply(sock: Socket, request: Buffer, replyType: number): Buffer | null {
  const deadline = performance.now() + PATIENCE * 1000;
  for (;;) {
    const left = deadline - performance.now();
    if (left <= 0) return null;
    sock.settimeout(left / 1000);
    try {
      const packet = sock.recv(2048);
      // A raw IPv4 socket gives the packet with its header, whose first byte is 0x4 and its length in words.
      const reply = packet[0]! >> 4 === 4 ? packet.subarray((packet[0]! & 15) * 4) : packet;
      if (reply[0] === replyType && reply.subarray(6).equals(request.subarray(6))) return reply;
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
  }
}

function usage(): never {
  console.error("usage: bun ping.ts [--unprivileged] <host> [count [interval]]");
  process.exit(2);
}

const args = process.argv.slice(2);
const unprivileged = args[0] === "--unprivileged";
if (unprivileged) args.shift();
const [host, count = "4", interval = "1"] = args;
if (host === undefined || host.startsWith("-") || args.length > 3 || !(Number(count) > 0) || !(Number(interval) >= 0)) {
  usage();
}

const times: number[] = [];
let sent = 0;
try {
  const [family, , , , address] = getaddrinfo(host, null, { type: SOCK_DGRAM })[0]!;
  using sock = openSocket(family, unprivileged);
  const types = family === AF_INET6 ? ICMPV6 : ICMP;
  const kind = sock.type === SOCK_RAW ? "raw socket" : "datagram socket";
  console.log(`ping ${host} (${address[0]}), ${kind}`);

  while (sent < Number(count)) {
    if (sent > 0) Bun.sleepSync(Number(interval) * 1000);
    const sequence = ++sent;
    const request = echoRequest(types.request, sequence);
    const began = performance.now();
    sock.settimeout(PATIENCE);
    sock.sendto(request, address);
    const reply = awaitReply(sock, request, types.reply);
    if (reply === null) {
      console.log(`no answer: seq=${sequence}`);
      continue;
    }
    const took = performance.now() - began;
    times.push(took);
    console.log(`${reply.length} bytes from ${address[0]}: seq=${sequence} time=${took.toFixed(3)} ms`);
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.error(error.message);
  process.exit(1);
}

const lost = Math.round(((sent - times.length) / sent) * 100);
console.log(`${sent} sent, ${times.length} received, ${lost}% lost`);
if (times.length > 0) {
  const average = times.reduce((sum, time) => sum + time) / times.length;
  const figures = [Math.min(...times), average, Math.max(...times)].map((time) => time.toFixed(3));
  console.log(`min/avg/max ${figures.join("/")} ms`);
}
process.exit(times.length > 0 ? 0 : 1);
