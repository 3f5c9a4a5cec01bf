/**
 * Packets from a socket to another, and a queue that is drained: `streams.ts <who> <what> <bytes> <window> <rounds>` prints
 * nanoseconds a packet and the share that was lost. Who: `root`, `promises`, `send` and `sendMany` of Bun.udpSocket.
 *
 * `there`: a window of packets is sent, and all of it received. `drain`: another process fills the queue (FILLER is its
 * program) while this one waits for it; then the queue is drained.
 */
import { AF_INET, IPPROTO_UDP, SO_RCVBUF, SOCK_DGRAM, Socket, SOL_SOCKET, UDP_GRO } from "../../src/index.ts";
import { MessageBatch, sendSegments } from "../../src/packets.ts";
import * as promises from "../../src/promises.ts";
import { Expected, PATIENCE } from "./watch.ts";

const [who = "", what = "", ...rest] = process.argv.slice(2);
const [bytes = 0, window = 0, rounds = 0] = rest.map(Number);

/** Rounds that do not count: engines compile what runs often. */
const WARM = rounds >> 1;

let spent = 0;
let lost = 0;
let sum = 0;

function fill(port: number): void {
  Bun.spawnSync([process.env["FILLER"]!, "fill", String(port), String(window), String(bytes)]);
}

/** With the root: segmentation there, coalescing here. */
function segmented(): void {
  using a = new Socket(AF_INET, SOCK_DGRAM);
  using b = new Socket(AF_INET, SOCK_DGRAM);
  b.bind(["127.0.0.1", 0]);
  b.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
  b.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
  b.settimeout(PATIENCE / 1000);
  a.connect(b.getsockname());
  const data = new Uint8Array(bytes * window);
  const batch = new MessageBatch(b, { capacity: 16, size: 65535, ancbufsize: 64 });
  for (let round = -WARM; round < rounds; round++) {
    if (round === 0) spent = lost = 0;
    const start = Bun.nanoseconds();
    sendSegments(a, data, bytes);
    let left = window;
    while (left > 0) left -= receiveSegments(b, batch);
    spent += Bun.nanoseconds() - start;
  }
}

function receiveSegments(sock: Socket<"AF_INET">, batch: MessageBatch<"AF_INET">): number {
  let count = 0;
  sock.recvBatch(batch);
  for (let i = 0; i < batch.length; i++) {
    const segments = batch.segments(i);
    for (let j = 0; j < segments; j++) {
      const segment = batch.segment(i, j);
      if (segment.length !== bytes) throw new Error(`a segment of ${segment.length} bytes`);
      sum += segment[0]!;
    }
    count += segments;
  }
  return count;
}

/** With batches, of the root or of the promises. */
async function drained(): Promise<void> {
  const { Socket: Kind } = who === "promises" ? promises : { Socket };
  using sock = new (Kind as typeof promises.Socket)(AF_INET, SOCK_DGRAM);
  sock.bind(["127.0.0.1", 0]);
  sock.settimeout(PATIENCE / 1000);
  const [, port] = sock.getsockname();
  const batch = new MessageBatch(sock, { capacity: 64, size: 2048 });
  for (let round = -WARM; round < rounds; round++) {
    if (round === 0) spent = lost = 0;
    fill(port);
    const start = Bun.nanoseconds();
    let left = window;
    try {
      while (left > 0) {
        left -= who === "promises" ? await sock.recvBatch(batch) : (sock.recvBatch(batch) as unknown as number);
        for (let i = 0; i < batch.length; i++) sum += batch.data(i)[0]!;
      }
    } catch {
      lost += left;
    }
    spent += Bun.nanoseconds() - start;
  }
}

/** With Bun's own sockets. */
async function byBun(): Promise<void> {
  const expected = new Expected();
  const b = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      data(_sock, data) {
        sum += data[0]!;
        expected.count();
      },
    },
  });
  const a = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port: b.port } });
  const packet = new Uint8Array(bytes);
  const packets = Array.from({ length: window }, () => packet);
  const send = (): void => {
    for (let sent = 0; sent < window;) {
      if (who === "send") sent += Number(a.send(packet));
      else sent += a.sendMany(sent === 0 ? packets : packets.slice(sent));
    }
  };
  for (let round = -WARM; round < rounds; round++) {
    if (round === 0) spent = lost = 0;
    if (what === "drain") fill(b.port);
    const start = Bun.nanoseconds();
    lost += await expected.all(window, what === "there" ? send : undefined);
    spent += Bun.nanoseconds() - start;
  }
  a.close();
  b.close();
}

if (who.startsWith("send")) await byBun();
else if (what === "drain") await drained();
else segmented();
console.log((spent / (rounds * window)).toFixed(2), lost / (rounds * window), sum);
