/**
 * The loops of bench/packets.ts here. Reads lines `what bytes batch rounds`, answers nanoseconds a packet and the share that
 * was lost: none, or it would wait for ever.
 */
import { AF_INET, type InetAddress, SO_RCVBUF, SOCK_DGRAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import { MessageBatch } from "../../src/packets.ts";

/** How many packets there are in a round, if a batch does not take more. */
const COUNT = 128;
const SIZE = 2048;
const now = Bun.nanoseconds;
const into = new Uint8Array(SIZE);

/** What is received counts by its first byte, so that the data is looked at. */
export let sum = 0;

function udp(): Socket<"AF_INET"> {
  const sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.bind(["127.0.0.1", 0]);
  sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
  return sock;
}

function drain(sock: Socket, count: number): void {
  for (let i = 0; i < count; i++) sock.recvInto(into);
}

function receiveOneByOne(sock: Socket): void {
  for (let i = 0; i < COUNT; i++) {
    sock.recvfromInto(into);
    sum += into[0]!;
  }
}

function receiveBatches(sock: Socket<"AF_INET">, batch: MessageBatch<"AF_INET">, count: number): void {
  for (let got = 0; got < count;) {
    const n = sock.recvBatch(batch);
    for (let i = 0; i < n; i++) sum += batch.data(i)[0]!;
    got += n;
  }
}

function sendOneByOne(sock: Socket<"AF_INET">, data: Uint8Array, to: InetAddress): void {
  for (let i = 0; i < COUNT; i++) sock.sendto(data, to);
}

function sendBatches(sock: Socket<"AF_INET">, batch: MessageBatch<"AF_INET">, count: number): void {
  for (let sent = 0; sent < count; sent += batch.length) sock.sendBatch(batch);
}

function forwardOneByOne(sock: Socket<"AF_INET">, bytes: number, to: InetAddress): void {
  const data = into.subarray(0, bytes);
  for (let i = 0; i < COUNT; i++) {
    sock.recvfromInto(into);
    sum += into[0]!;
    sock.sendto(data, to);
  }
}

function forwardBatches(sock: Socket<"AF_INET">, batch: MessageBatch<"AF_INET">, to: InetAddress): void {
  for (let got = 0; got < COUNT; got += batch.length) {
    sock.recvBatch(batch);
    batch.setAddress(to);
    sock.sendBatch(batch);
  }
}

function run(what: string, bytes: number, capacity: number, rounds: number): number {
  using a = udp();
  using b = udp();
  const to = b.getsockname();
  const back = a.getsockname();
  const data = new Uint8Array(bytes);
  const count = Math.max(COUNT, capacity);
  const all = new MessageBatch(a, { capacity: count, size: SIZE });
  for (let i = 0; i < count; i++) all.push(data, to);
  const some = new MessageBatch(a, { capacity, size: SIZE });
  if (what === "send") for (let i = 0; i < capacity; i++) some.push(data, to);
  let spent = 0;
  for (let round = 0; round < rounds; round++) {
    if (what !== "send") a.sendBatch(all);
    const start = now();
    if (what === "send") {
      if (capacity === 1) sendOneByOne(a, data, to);
      else sendBatches(a, some, count);
    } else if (what === "forward") {
      if (capacity === 1) forwardOneByOne(b, bytes, back);
      else forwardBatches(b, some, back);
    } else {
      if (capacity === 1) receiveOneByOne(b);
      else receiveBatches(b, some, count);
    }
    spent += now() - start;
    if (what === "send") drain(b, count);
    if (what === "forward") drain(a, count);
  }
  return spent / (rounds * count);
}

for await (const line of console) {
  if (line === "") continue;
  const [what = "", ...rest] = line.split(" ");
  const [bytes = 0, batch = 0, rounds = 0] = rest.map(Number);
  console.log(run(what, bytes, batch, rounds).toFixed(2), 0);
}
