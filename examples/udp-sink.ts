/**
 * Counts the UDP packets of udp-flood.ts: how many come, how many are missing. Ctrl-C ends it and sums up.
 *
 *   bun examples/udp-sink.ts [port]      any free port
 *
 * Packets that belong together come as one (`UDP_GRO`), up to 16 of those by one call; they are looked at where they lie.
 */
import {
  AF_INET,
  CMSG_SPACE,
  IPPROTO_UDP,
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

using sock = new Socket(AF_INET, SOCK_DGRAM);
sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 8 << 20); // the system gives as much of it as it allows
if (UDP_GRO !== undefined) sock.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
sock.bind(["", port]);
console.log(`port ${sock.getsockname()[1]}`);

const batch = new MessageBatch(sock, { capacity: 16, size: 65535, ancbufsize: CMSG_SPACE(4) });

let packets = 0;
let bytes = 0;
/** The first number that was seen, and the one behind the last. */
let first = -1;
let end = 0;

function count(packet: Buffer): void {
  packets++;
  bytes += packet.length;
  if (packet.length < 8) return;
  const number = packet.readUInt32BE(0) * 2 ** 32 + packet.readUInt32BE(4);
  if (first < 0) first = number;
  if (number >= end) end = number + 1;
}

/** How many numbers were passed over. */
const lost = (): number => Math.max(0, end - Math.max(first, 0) - packets);

let shown = { at: performance.now(), packets, bytes };
setInterval(() => {
  const now = performance.now();
  const each = (now - shown.at) / 1000;
  const perSecond = (packets - shown.packets) / each;
  const megabits = ((bytes - shown.bytes) * 8) / each / 1e6;
  if (process.stderr.isTTY) {
    const line = `${perSecond.toFixed(0)} packets/s, ${megabits.toFixed(0)} Mbit/s, ${packets} in all, ${lost()} lost`;
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
const share = end > 0 ? ((100 * lost()) / (end - first)).toFixed(2) : "0.00";
console.log(`${packets} packets, ${bytes} bytes, ${lost()} lost (${share} %)`);
