/**
 * Nanoseconds a frame: a full ring drained here, beside C over a ring of the same shape, and beside `recvfrom` of a packet
 * socket whose queue is full.
 *
 *     bun bench/ring.ts [--json] [--rounds N] [--only TEXT]
 *
 * For Linux, as root. Each peer is a process with a network of its own, whose loopback carries the frames; it sends them to
 * itself, and only the draining is timed. (Linux drops a frame now and then where a block is just handed over; what is lost
 * is told.) Peers take turns, round by round; figures are medians, a ratio is the median of the
 * ratios of the rounds.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

interface Workload {
  /** What our loop looks at, and what theirs does: see bench/peers/ring.ts and ring.c. */
  ours: string;
  peer: "C" | "here";
  theirs: string;
  bytes: number;
  /** As many as the smaller of ring and queue takes. */
  frames: number;
}

/** A row of the report; every benchmark of the project has this shape. */
interface Row {
  workload: string;
  bytes: number;
  peer: string;
  unit: string;
  ours: number;
  theirs: number;
  ratio: number;
}

const { values: flags } = parseArgs({
  options: { json: { type: "boolean" }, rounds: { type: "string", default: "15" }, only: { type: "string" } },
});
const rounds = Number(flags.rounds);

if (process.platform !== "linux" || process.getuid?.() !== 0) {
  console.error("left out: packet rings are for root on Linux");
  process.exit(0);
}

const all: Workload[] = [
  { ours: "headers", peer: "C", theirs: "headers", bytes: 64, frames: 80_000 },
  { ours: "bytes", peer: "C", theirs: "bytes", bytes: 64, frames: 80_000 },
  { ours: "bytes", peer: "C", theirs: "bytes", bytes: 1200, frames: 10_000 },
  { ours: "views", peer: "C", theirs: "bytes", bytes: 64, frames: 80_000 },
  { ours: "bytes", peer: "here", theirs: "recvfrom", bytes: 64, frames: 80_000 },
  { ours: "bytes", peer: "here", theirs: "recvInto", bytes: 64, frames: 80_000 },
  { ours: "views", peer: "here", theirs: "recvfrom", bytes: 1200, frames: 10_000 },
  { ours: "bytes", peer: "C", theirs: "recvfrom", bytes: 64, frames: 80_000 },
];

const nameOf = (w: Workload): string => `ring ${w.ours}`;
const peerOf = (w: Workload): string => `${w.peer} ${w.theirs === "recvfrom" || w.peer === "here" ? w.theirs : "ring"}`;

/** A peer: a process that answers each line with numbers. */
class Peer {
  readonly #child;
  readonly #lines;

  constructor(
    readonly name: string,
    command: string[],
    env: Record<string, string> = {},
  ) {
    const inNetwork = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...command];
    this.#child = Bun.spawn(inNetwork, {
      env: { ...process.env, ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = readLines(this.#child.stdout);
  }

  async run(way: string, w: Workload): Promise<[ns: number, heap: number, lost: number]> {
    this.#child.stdin.write(`${way} ${w.bytes} ${w.frames}\n`);
    await this.#child.stdin.flush();
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.name} ended in ${way}, ${w.bytes} bytes`);
    return value.split(" ").map(Number) as [number, number, number];
  }

  stop(): void {
    this.#child.kill();
  }
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      yield rest.slice(0, end);
      rest = rest.slice(end + 1);
    }
  }
  return undefined;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const here = import.meta.dir;
const zig = join(here, "..", "node_modules", ".bin", "zig");
const work = mkdtempSync(join(tmpdir(), "berkeley-sockets-bench-"));
const peers: Peer[] = [];
try {
  const native = join(work, "ring");
  const build = Bun.spawnSync([zig, "cc", "-O2", join(here, "peers", "ring.c"), "-o", native], { stderr: "inherit" });
  if (!build.success) throw new Error("zig cc failed (run `bun install` first)");
  const ours = new Peer("here", [process.execPath, join(here, "peers", "ring.ts")]);
  // Each way has a process of its own: the engine compiles each loop for what it does. Without its garbage collector, a
  // process grows by all that it allocates.
  const loops = [process.execPath, join(here, "peers", "ring.ts")];
  const others = { here: new Peer("here", loops), C: new Peer("C", [native]) };
  const growing = new Peer("here", loops, { BUN_JSC_useGC: "0" });
  peers.push(ours, growing, others.here, others.C);

  const rows: Row[] = [];
  for (const w of all.filter((w) => flags.only === undefined || `${nameOf(w)} ${peerOf(w)}`.includes(flags.only))) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${nameOf(w)} ${peerOf(w)} ${w.bytes}`);
    const mine: number[] = [];
    const theirs: number[] = [];
    let lost = 0;
    for (let round = -5; round < rounds; round++) {
      const [ns, , lostHere] = await ours.run(w.ours, w);
      const [other, , lostThere] = await others[w.peer].run(w.theirs, w);
      if (round < 0) continue; // they warm up
      mine.push(ns);
      theirs.push(other);
      lost += lostHere + lostThere;
    }
    const row = { workload: nameOf(w), bytes: w.bytes };
    rows.push({
      ...row,
      peer: peerOf(w),
      unit: "ns/frame",
      ours: Number(median(mine).toFixed(1)),
      theirs: Number(median(theirs).toFixed(1)),
      ratio: Number(median(mine.map((ns, round) => ns / theirs[round]!)).toFixed(3)),
    });
    if (lost > 0) console.error(`${nameOf(w)} ${peerOf(w)}: ${lost} of ${2 * rounds * w.frames} frames were lost`);
    if (w.peer === "C" && w.theirs !== "recvfrom") {
      let grown = 0;
      for (let round = -5; round < rounds; round++) {
        const [, more] = await growing.run(w.ours, w);
        if (round >= 0) grown += more;
      }
      const perFrame = Number((grown / (rounds * w.frames)).toFixed(3));
      rows.push({ ...row, peer: "none", unit: "allocated bytes/frame", ours: perFrame, theirs: 0, ratio: 0 });
    }
  }
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  if (flags.json) console.log(JSON.stringify(rows, null, 1));
  else printTable(rows);
} finally {
  for (const peer of peers) peer.stop();
  rmSync(work, { recursive: true });
}

function printTable(rows: Row[]): void {
  console.log("workload       bytes   peer           unit                        here     theirs   here/theirs");
  for (const r of rows) {
    const cells = [
      r.workload.padEnd(14),
      String(r.bytes).padStart(5),
      `  ${r.peer.padEnd(13)}`,
      r.unit.padEnd(21),
      String(r.ours).padStart(11),
      (r.peer === "none" ? "" : String(r.theirs)).padStart(10),
      (r.peer === "none" ? "" : r.ratio.toFixed(3)).padStart(12),
    ];
    console.log(cells.join(" ").trimEnd());
  }
}
