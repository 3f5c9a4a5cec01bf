/**
 * What async.ts and streams.ts do, with node:dgram: for Bun, and bundled for Node. `dgram.ts <workload> <bytes> <sockets> <ms>`,
 * or `dgram.ts drain|there <bytes> <window> <rounds>`; the output is the same. BUN and PEER run async.ts.
 */
import { spawn, spawnSync } from "node:child_process";
import dgram from "node:dgram";
import { burst, END, Expected, lossOf, Watch } from "./watch.ts";

const [workload = "", bytesText = "", ...rest] = process.argv.slice(2);
const bytes = Number(bytesText);
const [count = 0, last = 0] = rest.map(Number);

function bound(): Promise<dgram.Socket> {
  const sock = dgram.createSocket("udp4");
  return new Promise((resolve) => sock.bind(0, "127.0.0.1", () => resolve(sock)));
}

function startPeer(...ports: number[]) {
  const env = { ...process.env, PORTS: ports.join() };
  const args = [process.env["PEER"]!, "peer", ...process.argv.slice(2)];
  return spawn(process.env["BUN"]!, args, { env, stdio: ["ignore", "pipe", "inherit"] });
}

async function roundTrips(ms: number): Promise<number> {
  const watch = new Watch(ms);
  const sock = await bound();
  const { stdout } = startPeer(0);
  const port = await new Promise<number>((resolve) => stdout.once("data", (line) => resolve(Number(line))));
  const message = new Uint8Array(bytes);
  await new Promise<void>((resolve) => {
    sock.on("message", () => {
      if (watch.count()) sock.send(message, port, "127.0.0.1");
      else sock.send(END, port, "127.0.0.1", () => resolve());
    });
    sock.send(message, port, "127.0.0.1");
  });
  sock.close();
  return watch.nanoseconds;
}

async function packets(sockets: number, ms: number): Promise<string> {
  const watch = new Watch(ms);
  const size = burst(bytes);
  const all = await Promise.all(Array.from({ length: sockets }, bound));
  let received = 0;
  let sent = "";
  await new Promise<void>((resolve) => {
    let isOver = false;
    for (const sock of all) {
      sock.on("message", (_data, { port, address }) => {
        if (++received % size || isOver) return;
        isOver = !watch.count();
        sock.send(isOver ? END : "go", port, address);
      });
    }
    const { stdout } = startPeer(...all.map((sock) => sock.address().port));
    stdout.on("data", (text) => (sent += text)).on("end", resolve);
  });
  const loss = await lossOf(Number(sent), () => received);
  for (const sock of all) sock.close();
  return `${watch.nanoseconds / size} ${loss}`;
}

/** A window of packets is sent, or another process fills the queue; then all of it is received. */
async function windows(window: number, rounds: number): Promise<string> {
  const expected = new Expected();
  let sum = 0;
  const [a, b] = await Promise.all([bound(), bound()]);
  b.on("message", (data) => {
    sum += data[0]!;
    expected.count();
  });
  const { port } = b.address();
  const packet = new Uint8Array(bytes);
  const send = (): void => {
    for (let i = 0; i < window; i++) a.send(packet, port, "127.0.0.1");
  };
  let spent = 0;
  let lost = 0;
  for (let round = -(rounds >> 1); round < rounds; round++) {
    if (round === 0) spent = lost = 0; // what was before is to warm up
    if (workload === "drain") spawnSync(process.env["FILLER"]!, ["fill", String(port), String(window), bytesText]);
    const start = performance.now();
    lost += await expected.all(window, workload === "there" ? send : undefined);
    spent += performance.now() - start;
  }
  a.close();
  b.close();
  return `${(spent * 1e6) / (rounds * window)} ${lost / (rounds * window)} ${sum}`;
}

if (workload === "udp round trips") console.log(await roundTrips(last));
else if (workload === "udp packets") console.log(await packets(count, last));
else console.log(await windows(count, last));
