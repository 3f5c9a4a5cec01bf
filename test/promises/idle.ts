/** Holds 10,000 sockets that wait, and says what came of it. */
import { socketpair } from "../../src/promises.ts";

const PAIRS = 5000;

Bun.gc(true);
const memory = process.memoryUsage.rss();
const pairs = Array.from({ length: PAIRS }, () => socketpair());
const ends = pairs.flatMap(([a, b]) => [
  { here: a, there: b },
  { here: b, there: a },
]);
const received = ends.map(({ here }) => here.recv(10));
const bytes = (process.memoryUsage.rss() - memory) / ends.length;

let alone = 0;
for (const i of [0, 9_999, 5_000, 1]) {
  const { here, there } = ends[i]!;
  await there.sendall(`to ${i}`);
  if (String(await received[i]) === `to ${i}`) alone++;
  received[i] = here.recv(10);
}

// All of them ready at once.
await Promise.all(ends.map(({ there }, i) => there.sendall(`${i}`)));
const all = (await Promise.all(received)).filter((data, i) => String(data) === `${i}`).length;
for (const pair of pairs) for (const sock of pair) sock.close();
console.log(JSON.stringify({ alone, all, bytes }));
