/**
 * What packets take of the heap in a loop with batches: `BUN_JSC_useGC=0 heap.ts <packets> [loop]` prints by how many bytes a
 * packet the process grew. Nothing is collected, so that what was allocated is there to be seen; with an object for each
 * packet it is 30 bytes and more.
 *
 * The loops: `batch` fills, sends, receives and reads; `forward` sends on what it received; `segments` reads what came as one
 * by `UDP_GRO`; `promises` waits for what it receives.
 */
import {
  AF_INET,
  CMSG_SPACE,
  IPPROTO_UDP,
  SO_RCVBUF,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  Socket,
  SOL_SOCKET,
  UDP_GRO,
} from "../../src/index.ts";
import { MessageBatch, sendSegments } from "../../src/packets.ts";
import * as promises from "../../src/promises.ts";

const packets = Number(process.argv[2]);
const COUNT = 128;

function open(): Socket<"AF_INET"> {
  const sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.bind(["127.0.0.1", 0]);
  sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
  return sock;
}

const [a, b] = [open(), open()];
const to = b.getsockname();
const out = new MessageBatch(a, { capacity: COUNT, size: 64 });
const data = new Uint8Array(64);
let sum = 0;

function send(): void {
  out.clear();
  for (let i = 0; i < COUNT; i++) {
    data[0] = i;
    out.push(data, to);
  }
  a.sendBatch(out);
}

/** Makes what a loop needs, and gives one round of it: how many packets that were. */
const loops: Record<string, () => () => number | Promise<number>> = {
  batch() {
    b.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1);
    const into = new MessageBatch(b, { capacity: COUNT, size: 64, ancbufsize: 64 });
    return () => {
      send();
      let got = 0;
      while (got < COUNT) {
        const n = b.recvBatch(into);
        for (let i = 0; i < n; i++) {
          sum += into.data(i)[0]! + into.address(i)![1] + into.timestamp(i)!.nanoseconds + into.uint16(i, 0);
          if (into.truncated(i)) throw new Error("a packet was cut");
        }
        got += n;
      }
      return got;
    };
  },

  forward() {
    const c = open();
    const on = c.getsockname();
    const between = new MessageBatch(b, { capacity: COUNT, size: 64 });
    const into = new MessageBatch(c, { capacity: COUNT, size: 64 });
    return () => {
      send();
      for (let got = 0; got < COUNT;) {
        got += b.recvBatch(between);
        between.setAddress(on);
        b.sendBatch(between);
      }
      let got = 0;
      while (got < COUNT) {
        const n = c.recvBatch(into);
        for (let i = 0; i < n; i++) sum += into.uint8(i, 0);
        got += n;
      }
      return got;
    };
  },

  segments() {
    b.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
    const into = new MessageBatch(b, { capacity: 8, size: 65535, ancbufsize: CMSG_SPACE(4) });
    const all = new Uint8Array(4 * 64 * 500);
    const count = all.length / 500;
    return () => {
      sendSegments(a, all, 500, to);
      let got = 0;
      while (got < count) {
        const n = b.recvBatch(into);
        for (let i = 0; i < n; i++) {
          const segments = into.segments(i);
          for (let j = 0; j < segments; j++) sum += into.segment(i, j).length;
          got += segments;
        }
      }
      return got;
    };
  },

  promises() {
    const receiver = new promises.Socket({ fileno: b.detach() }) as promises.Socket<"AF_INET">;
    const into = new MessageBatch(receiver, { capacity: COUNT, size: 64 });
    return async () => {
      send();
      let got = 0;
      while (got < COUNT) {
        const n = await receiver.recvBatch(into);
        for (let i = 0; i < n; i++) sum += into.data(i)[0]! + into.address(i)![1];
        got += n;
      }
      return got;
    };
  },
};

const pass = loops[process.argv[3] ?? "batch"]!();

/** Rounds until there were so many packets. */
async function run(count: number): Promise<number> {
  let done = 0;
  while (done < count) {
    const n = pass();
    done += typeof n === "number" ? n : await n;
  }
  return done;
}

await run(2000 * COUNT); // warm
const before = process.memoryUsage.rss();
const done = await run(packets);
console.log(((process.memoryUsage.rss() - before) / done).toFixed(4), sum > 0 ? done : 0);
process.exit();
