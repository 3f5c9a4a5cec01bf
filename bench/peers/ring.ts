/**
 * The loops of bench/ring.ts here. Reads lines `way bytes frames`, answers how long the frames took, in nanoseconds each, by
 * how many bytes the process grew meanwhile, all together, and how many frames were lost.
 */
import {
  AF_PACKET,
  BlockingIOError,
  MSG_DONTWAIT,
  SO_RCVBUFFORCE,
  SOCK_RAW,
  Socket,
  SOL_SOCKET,
} from "../../src/index.ts";
import { type Block, PacketRing, TransmitRing } from "../../src/packets.ts";

const PROTOCOL = 0x88b5;

const sender = new TransmitRing("lo");
const into = new Uint8Array(2048);

function fill(bytes: number, frames: number): void {
  const frame = new Uint8Array(bytes);
  frame.set([PROTOCOL >> 8, PROTOCOL & 255], 12);
  for (let i = 0; i < frames; i++) {
    while (!sender.put(frame)) sender.wait();
  }
  sender.wait(null, sender.frameCount);
  Bun.sleepSync(50); // the last block is handed over
}

// One loop a function: the engine compiles each for what it does, whatever ran before it.
const looks: Record<string, (block: Block) => number> = {
  headers(block) {
    let sum = 0;
    for (const frame of block) sum += frame.length + frame.nanoseconds;
    return sum;
  },
  bytes(block) {
    let sum = 0;
    for (const frame of block) sum += frame.length + frame.nanoseconds + frame.uint8(12);
    return sum;
  },
  views(block) {
    let sum = 0;
    for (const frame of block) sum += frame.length + frame.nanoseconds + frame.data[12]!;
    return sum;
  },
};

const receives: Record<string, (sock: Socket) => number> = {
  recvfrom: (sock) => sock.recvfrom(2048)[0][12]!,
  recvInto: (sock) => sock.recvInto(into, 2048, MSG_DONTWAIT) + into[12]!,
};

let ring: PacketRing | null = null;
let sock: Socket<"AF_PACKET"> | null = null;
let total = 0;

/** How many frames did not come. */
let lost = 0;

/** On a busy machine the kernel may be late; that time does not count. What does not come at all is lost. */
function waitAMoment(late: number, left: number): number {
  const start = Bun.nanoseconds();
  if (late === 300) lost = left;
  Bun.sleepSync(1);
  return Bun.nanoseconds() - start;
}

function drainRing(look: (block: Block) => number, frames: number): number {
  let start = Bun.nanoseconds();
  for (let left = frames, late = 0; left > lost;) {
    const block = ring!.block();
    left -= block.length;
    if (block.length === 0) start += waitAMoment(late++, left);
    else total += look(block);
  }
  return Bun.nanoseconds() - start;
}

function drainQueue(receive: (sock: Socket) => number, frames: number): number {
  let start = Bun.nanoseconds();
  for (let left = frames, late = 0; left > lost;) {
    try {
      for (; left > 0; left--) total += receive(sock!);
    } catch (error) {
      if (!(error instanceof BlockingIOError)) throw error;
      start += waitAMoment(late++, left);
    }
  }
  return Bun.nanoseconds() - start;
}

for await (const line of console) {
  const [way = "", bytes, frames] = line.split(" ");
  const count = Number(frames);
  if (way in looks) {
    sock?.close();
    sock = null;
    ring ??= new PacketRing("lo", { protocol: PROTOCOL });
  } else if (sock === null) {
    ring?.close();
    ring = null;
    sock = new Socket(AF_PACKET, SOCK_RAW, 0);
    sock.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, 2 ** 29);
    sock.setblocking(false);
    sock.bind(["lo", PROTOCOL]);
  }
  fill(Number(bytes), count);
  lost = 0;
  const before = process.memoryUsage.rss();
  const took = way in looks ? drainRing(looks[way]!, count) : drainQueue(receives[way]!, count);
  console.log(`${(took / (count - lost)).toFixed(3)} ${process.memoryUsage.rss() - before} ${lost} ${total % 2}`);
}
