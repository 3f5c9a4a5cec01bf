/** What `drain` of streams.ts is, with Node's own sockets: `drain.mjs <bytes> <window> <rounds>`. */
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";

const [bytes, window, rounds] = process.argv.slice(2).map(Number);
const PATIENCE = 300;
let left = 0;
let sum = 0;
let done = () => {};

const sock = createSocket("udp4", (data) => {
  sum += data[0];
  if (--left === 0) done();
});
await new Promise((resolve) => sock.bind(0, "127.0.0.1", resolve));

let spent = 0n;
let lost = 0;
for (let round = 0; round < rounds; round++) {
  spawnSync(process.env.FILLER, ["fill", String(sock.address().port), String(window), String(bytes)]);
  left = window;
  const received = new Promise((resolve) => (done = resolve));
  const start = process.hrtime.bigint();
  let late;
  const patience = new Promise((resolve) => (late = setTimeout(resolve, PATIENCE)));
  await Promise.race([received, patience]);
  clearTimeout(late);
  spent += process.hrtime.bigint() - start;
  lost += left;
}
sock.close();
console.log((Number(spent) / (rounds * window)).toFixed(2), lost, sum);
