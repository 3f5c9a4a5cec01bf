/**
 * Packets by the million: the batches of `berkeley-sockets/packets` beside C's, Bun's and Node's sockets.
 *
 *     bun bench/packets.ts [--json] [--rounds N] [--only TEXT] [--heap PACKETS]
 *
 * - Receiving, sending and forwarding by batches of 8, 32 and 128, and packet by packet, beside the same loops in C: the same
 *   calls of the system, in turns. The C process has an idle thread, as each process of Bun has several.
 * - Packets there and received, cut and coalesced by the kernel (`sendSegments`, `UDP_GRO`), beside `sendMany` of
 *   `Bun.udpSocket`.
 * - A full queue that is drained, beside `Bun.udpSocket` and Node's `dgram`. Another process fills it before the time begins.
 * - Sends without a copy beside those with one, by size (Linux, as root).
 * - By how much the process grows with each packet, where nothing is collected.
 *
 * Figures are nanoseconds a packet, medians of the rounds; a ratio is the median of the ratios of the rounds. Lost packets
 * are counted, and a rate with losses says so.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    json: { type: "boolean" },
    rounds: { type: "string", default: "9" },
    only: { type: "string", default: "" },
    heap: { type: "string", default: "10000000" },
  },
});
const rounds = Number(flags.rounds);

/** A row of the report; every benchmark of the project has this shape. */
interface Row {
  workload: string;
  bytes: number;
  peer: string;
  unit: string;
  ours: number;
  theirs: number;
  ratio: number;
  /** Packets lost here and there. */
  lost: [ours: number, theirs: number];
}

const here = (...path: string[]): string => join(import.meta.dir, "peers", ...path);
const zig = join(import.meta.dir, "..", "node_modules", ".bin", "zig");
const work = mkdtempSync(join(tmpdir(), "berkeley-sockets-bench-"));
const native = join(work, "packets");
const rows: Row[] = [];

/** A process that answers each line with a number. */
class Peer {
  readonly #child;
  readonly #lines;

  constructor(command: string[]) {
    this.#child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#lines = readLines(this.#child.stdout);
  }

  async run(line: string): Promise<number> {
    this.#child.stdin.write(`${line}\n`);
    await this.#child.stdin.flush();
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`it ended at ${line}`);
    return Number(value);
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

/** A process of its own: what it prints, as numbers. */
function once(command: string[], env: Record<string, string> = {}): number[] {
  const child = Bun.spawnSync(command, {
    stderr: "inherit",
    timeout: 600_000,
    env: { ...process.env, FILLER: native, ...env },
  });
  if (!child.success) throw new Error(`${command.join(" ")}: ended with ${child.exitCode}`);
  return child.stdout.toString().trim().split(/\s+/).map(Number);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const isWanted = (name: string): boolean => name.includes(flags.only);

function report(workload: string, bytes: number, peer: string, ours: number[][], theirs: number[][]): void {
  const lost = (runs: number[][]): number => runs.reduce((all, [, one = 0]) => all + one, 0);
  rows.push({
    workload,
    bytes,
    peer,
    unit: "ns/packet",
    ours: Math.round(median(ours.map(([ns]) => ns!))),
    theirs: Math.round(median(theirs.map(([ns]) => ns!))),
    ratio: Number(median(ours.map(([ns], round) => ns! / theirs[round]![0]!)).toFixed(3)),
    lost: [lost(ours), lost(theirs)],
  });
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

async function besideC(): Promise<void> {
  const ours = new Peer([process.execPath, here("packets.ts")]);
  const theirs = new Peer([native]);
  try {
    for (const what of ["recv", "send", "forward"]) {
      for (const batch of [1, 8, 32, 128]) {
        if (what === "forward" && batch === 1) continue;
        const name = batch === 1 ? `${what}, one by one` : `${what}, batches of ${batch}`;
        if (!isWanted(name)) continue;
        for (const bytes of [64, 1200]) {
          progress(`${name}, ${bytes} bytes`);
          const line = `${what} ${bytes} ${batch}`;
          await ours.run(`${line} 500`); // the engine compiles
          await theirs.run(`${line} 50`);
          const times: [number[][], number[][]] = [[], []];
          for (let round = 0; round < rounds * 3; round++) {
            times[0].push([await ours.run(`${line} 150`)]);
            times[1].push([await theirs.run(`${line} 150`)]);
          }
          report(name, bytes, "C", ...times);
        }
      }
    }
  } finally {
    ours.stop();
    theirs.stop();
  }
}

function besideOthers(): void {
  const bun = [process.execPath, here("streams.ts")];
  const turns = (name: string, bytes: number, all: [peer: string, command: string[]][], mine: string[]): void => {
    if (!isWanted(name)) return;
    const ours: number[][] = [];
    const theirs = all.map((): number[][] => []);
    for (let round = 0; round < rounds; round++) {
      progress(`${name}, ${bytes} bytes, round ${round + 1}`);
      ours.push(once(mine));
      for (const [p, [, command]] of all.entries()) theirs[p]!.push(once(command));
    }
    for (const [p, [peer]] of all.entries()) report(name, bytes, peer, ours, theirs[p]!);
  };

  for (const bytes of [64, 1200]) {
    const what = ["there", String(bytes), "64", "1500"];
    const theirs: [string, string[]][] = [["Bun sendMany", [...bun, "Bun", ...what]]];
    turns("segments, 64 at a time", bytes, theirs, [...bun, "root", ...what]);
  }

  const node = Bun.which("node");
  if (node === null) console.error("node is not here: no figures of dgram");
  for (const [bytes, window] of [
    [64, 200],
    [1200, 80],
  ] as const) {
    const how = [String(bytes), String(window), "150"];
    const theirs: [string, string[]][] = [["Bun.udpSocket", [...bun, "Bun", "drain", ...how]]];
    if (node !== null) theirs.push(["Node dgram", [node, here("drain.mjs"), ...how]]);
    turns("drain of a full queue", bytes, theirs, [...bun, "root", "drain", ...how]);
    turns("drain, by promises", bytes, theirs, [...bun, "promises", "drain", ...how]);
  }
}

function zeroCopy(): void {
  const name = "send without a copy";
  if (!isWanted(name)) return;
  const command = ["unshare", "-n", "ip", "link", "add", "type", "veth"];
  if (Bun.which("unshare") === null || !Bun.spawnSync(command).success) {
    console.error("no right to make a network, or no ip: no figures of sends without a copy");
    return;
  }
  progress(name);
  const tries = rounds * 5;
  const sizes = ["1000", "4000", "10000", "16384", "32000", "60000"];
  const numbers = once(["unshare", "-n", process.execPath, here("zerocopy.ts"), String(tries), ...sizes]);
  for (let at = 0; at < numbers.length; at += 1 + 2 * tries) {
    const runs = numbers.slice(at + 1, at + 1 + 2 * tries).map((ns) => [ns]);
    report(name, numbers[at]!, "with one", runs.slice(0, tries), runs.slice(tries));
  }
}

function heap(): void {
  const name = "growth of the heap";
  if (!isWanted(name) || Number(flags.heap) === 0) return;
  progress(`${name}, ${flags.heap} packets`);
  const [grown = NaN] = once([process.execPath, here("heap.ts"), flags.heap], { BUN_JSC_useGC: "0" });
  rows.push({
    workload: name,
    bytes: 64,
    peer: "none",
    unit: "bytes/packet",
    ours: grown,
    theirs: 0,
    ratio: 0,
    lost: [0, 0],
  });
}

try {
  const compiled = Bun.spawnSync([zig, "cc", "-O2", here("packets.c"), "-o", native, "-lpthread"], {
    stderr: "inherit",
  });
  if (!compiled.success) throw new Error("zig cc failed (run `bun install` first)");
  await besideC();
  besideOthers();
  zeroCopy();
  heap();
  progress("");
  if (flags.json) console.log(JSON.stringify(rows, null, 1));
  else printTable();
} finally {
  rmSync(work, { recursive: true });
}

function printTable(): void {
  console.log("workload                 bytes   peer             here     theirs   here/theirs   lost");
  for (const r of rows) {
    if (r.unit !== "ns/packet") {
      console.log(`${r.workload.padEnd(24)} ${String(r.bytes).padStart(5)}   ${r.ours} ${r.unit}`);
      continue;
    }
    const cells = [
      r.workload.padEnd(24),
      String(r.bytes).padStart(5),
      `  ${r.peer.padEnd(13)}`,
      `${r.ours} ns`.padStart(9),
      `${r.theirs} ns`.padStart(10),
      r.ratio.toFixed(2).padStart(10),
      r.lost.join(", ").padStart(10),
    ];
    console.log(cells.join(" "));
  }
}
