/**
 * Sends UDP packets as fast as the machine can, or at a rate, for udp-sink.ts to count: the first two bytes of each say which
 * run it is of, the next six which packet of the run.
 *
 *   bun examples/udp-flood.ts <host> <port> [bytes [seconds [packets a second]]]      1200 bytes, 5 seconds
 *
 * The packets go in pieces of 64, which Linux cuts from one message: only that many numbers are written for each call.
 */
import { AF_INET, AF_INET6, OSError, SO_SNDBUF, SOCK_DGRAM, Socket, SOL_SOCKET } from "berkeley-sockets";
import { sendSegments } from "berkeley-sockets/packets";

const [host, port, bytesText = "1200", secondsText = "5", rateText = "Infinity"] = process.argv.slice(2);
const [bytes, seconds, rate] = [bytesText, secondsText, rateText].map(Number) as [number, number, number];
const isWhole = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max;
if (host === undefined || !isWhole(Number(port), 1, 65535) || !isWhole(bytes, 8, 65507) || !(seconds > 0 && rate > 0)) {
  console.error("usage: bun udp-flood.ts <host> <port> [bytes, from 8 to 65507 [seconds [packets a second]]]");
  process.exit(2);
}

// At a low rate they go in smaller ones, so that it is kept from the first second on.
const PIECE = Math.max(1, Math.min(64, Math.floor(65000 / bytes), Math.floor(rate / 10)));
const data = new Uint8Array(PIECE * bytes);
const view = new DataView(data.buffer);

const run = Math.floor(Math.random() * 65536);

using sock = new Socket(host.includes(":") ? AF_INET6 : AF_INET, SOCK_DGRAM);
sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 4 << 20);
sock.connect([host, Number(port)]);

let sent = 0;
let refused = 0;
const began = performance.now();
let shown = { at: began, sent };
const clock = (): number => (performance.now() - began) / 1000;

function show(): void {
  const now = performance.now();
  const perSecond = (sent - shown.sent) / ((now - shown.at) / 1000);
  const megabits = (perSecond * bytes * 8) / 1e6;
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\x1b[K${perSecond.toFixed(0)} packets/s, ${megabits.toFixed(0)} Mbit/s`);
  }
  shown = { at: now, sent };
}

while (clock() < seconds) {
  for (let i = 0; i < PIECE; i++) {
    view.setUint16(i * bytes, run);
    view.setUint16(i * bytes + 2, (sent + i) / 2 ** 32);
    view.setUint32(i * bytes + 4, sent + i);
  }
  try {
    sent += sendSegments(sock, data, bytes) / bytes;
  } catch (error) {
    // Nobody listens there (ICMP said so of an earlier packet), or the interface's queue is full.
    if (!(error instanceof OSError) || !["ECONNREFUSED", "ENOBUFS"].includes(error.code)) throw error;
    refused++;
  }
  if (performance.now() - shown.at > 500) show();
  const ahead = sent / rate - clock();
  if (ahead > 0.001) Bun.sleepSync(Math.max(0, Math.ceil(Math.min(ahead, seconds - clock()) * 1000)));
}

const took = clock();
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
console.log(`${sent} packets of ${bytes} bytes in ${took.toFixed(2)} s, ${(sent / took).toFixed(0)} packets/s`);
if (refused > 0) console.log(`${refused} calls were refused: nobody listens there, or the queue was full`);
