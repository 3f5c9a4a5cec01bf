/**
 * Counts the UDP packets of udp-flood.ts: how many come, how many are missing. Ctrl-C ends it and sums up.
 *
 *   bun examples/udp-sink.ts [port]      any free port, for IPv4 and IPv6
 *
 * Packets that belong together come as one (`UDP_GRO`), up to 16 of those by one call; they are looked at where they lie.
 */
import {
  AF_INET,
  AF_INET6,
  CMSG_SPACE,
  hasIPv6,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_V6ONLY,
  OSError,
  SO_RCVBUF,
  SOL_SOCKET,
  SOCK_DGRAM,
  Socket,
  UDP_GRO,
} from "berkeley-sockets/promises";
import { MessageBatch } from "berkeley-sockets/packets";

const port = Number(process.argv[2] ?? 0);
if (!(Number.isInteger(port) && port >= 0 && port <= 65535)) {
  console.error("usage: bun udp-sink.ts [port]");
  process.exit(2);
}

using sock = new Socket(hasIPv6 ? AF_INET6 : AF_INET, SOCK_DGRAM);
if (hasIPv6) sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0);
sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 8 << 20); // the system gives as much of it as it allows
if (UDP_GRO !== undefined) sock.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
sock.bind(["", port]);
console.log(`port ${sock.getsockname()[1]}`);

const batch = new MessageBatch(sock, { capacity: 16, size: 65535, ancbufsize: CMSG_SPACE(4) });

let packets = 0;
let bytes = 0;
/** A run of a flood: the first number that was seen of it, the one behind the last, and how many came. */
interface Run {
  readonly first: number;
  end: number;
  packets: number;
}
const runs = new Map<number, Run>();

function count(packet: Buffer): void {
  packets++;
  bytes += packet.length;
  if (packet.length < 8) return;
  const id = packet.readUInt16BE(0);
  const number = packet.readUIntBE(2, 6);
  let run = runs.get(id);
  if (run === undefined) runs.set(id, (run = { first: number, end: 0, packets: 0 }));
  run.packets++;
  if (number >= run.end) run.end = number + 1;
}

/** How many numbers were passed over, and how many there were. */
function losses(): [lost: number, all: number] {
  let lost = 0;
  let all = 0;
  for (const { first, end, packets } of runs.values()) {
    lost += Math.max(0, end - first - packets);
    all += end - first;
  }
  return [lost, all];
}

let shown = { at: performance.now(), packets, bytes };
setInterval(() => {
  const now = performance.now();
  const each = (now - shown.at) / 1000;
  const perSecond = (packets - shown.packets) / each;
  const megabits = ((bytes - shown.bytes) * 8) / each / 1e6;
  if (process.stderr.isTTY) {
    const line = `${perSecond.toFixed(0)} packets/s, ${megabits.toFixed(0)} Mbit/s, ${packets} in all, ${losses()[0]} lost`;
    process.stderr.write(`\r\x1b[K${line}`);
  }
  shown = { at: now, packets, bytes };
}, 500).unref();

process.on("SIGINT", () => sock.close());
try {
  for (;;) {
    await sock.recvBatch(batch);
    for (let i = 0; i < batch.length; i++) {
      const segments = batch.segments(i);
      for (let j = 0; j < segments; j++) count(batch.segment(i, j));
    }
  }
} catch (error) {
  // Closed by Ctrl-C.
  if (!(error instanceof OSError) || (error.code !== "ECANCELED" && error.code !== "EBADF")) throw error;
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
const [lost, all] = losses();
console.log(`${packets} packets, ${bytes} bytes, ${lost} lost (${((100 * lost) / Math.max(1, all)).toFixed(2)} %)`);
