/**
 * What packets take of the heap while they are sent and received by batches: `BUN_JSC_useGC=0 heap.ts <packets>` prints by how
 * many bytes a packet the process grew. Nothing is collected, so that what was allocated is there to be seen; with an
 * object for each packet it is 30 bytes and more.
 */
import { AF_INET, SO_RCVBUF, SO_TIMESTAMPNS, SOCK_DGRAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import { MessageBatch } from "../../src/packets.ts";

const packets = Number(process.argv[2]);
const COUNT = 128;

using a = new Socket(AF_INET, SOCK_DGRAM);
using b = new Socket(AF_INET, SOCK_DGRAM);
a.bind(["127.0.0.1", 0]);
b.bind(["127.0.0.1", 0]);
b.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
b.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1);
const to = b.getsockname();
const out = new MessageBatch(a, { capacity: COUNT, size: 64 });
const into = new MessageBatch(b, { capacity: COUNT, size: 64, ancbufsize: 64 });
const data = new Uint8Array(64);
let sum = 0;

/** Everything that a loop does: fills a batch, sends it, receives it, reads it. */
function pass(): number {
  out.clear();
  for (let i = 0; i < COUNT; i++) {
    data[0] = i;
    out.push(data, to);
  }
  a.sendBatch(out);
  let got = 0;
  while (got < COUNT) {
    const n = b.recvBatch(into);
    for (let i = 0; i < n; i++) {
      sum += into.data(i)[0]! + into.address(i)![1] + into.timestamp(i)!.nanoseconds;
      if (into.truncated(i)) throw new Error("a packet was cut");
    }
    got += n;
  }
  return got;
}

for (let i = 0; i < 2000; i++) pass(); // warm
const before = process.memoryUsage.rss();
let done = 0;
while (done < packets) done += pass();
console.log(((process.memoryUsage.rss() - before) / done).toFixed(4), sum > 0 ? done : 0);
