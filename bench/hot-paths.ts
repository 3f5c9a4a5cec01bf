/**
 * Nanoseconds an operation of the hot paths: the same loop here, in C and in CPython.
 *
 *     bun bench/hot-paths.ts [--json] [--rounds N] [--only TEXT]
 *
 * Each peer is a process of its own; C is there twice, alone and with a second, idle thread, because Linux does more at
 * every call of a process that has several threads, as those of Bun have. They take turns, one workload after the other,
 * round by round, so that a machine whose speed drifts drifts for all of them; a ratio is the median of the ratios of the
 * rounds. Data calls run in batches that fit the socket's buffer: only the named call is timed, its counterpart empties or
 * fills the buffer untimed.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

interface Workload {
  kind: "unix" | "tcp" | "udp";
  call: string;
  /** What is sent at once; 0 where nothing is. */
  bytes: number;
  /** What a receive asks for. */
  size: number;
  batch: number;
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

/** How long one peer spends on one workload in one round, in nanoseconds. */
const SLICE = 20_000_000;

function workloads(): Workload[] {
  const all: Workload[] = [];
  for (const kind of ["unix", "tcp", "udp"] as const) {
    const calls =
      kind === "udp"
        ? ["send", "sendto", "sendmsg", "recv", "recvInto", "recvfrom", "recvmsg"]
        : ["send", "sendmsg", "recv", "recvInto", "recvmsg"];
    for (const call of calls) {
      for (const wanted of [64, 1400, 65536]) {
        // The largest UDP datagram is a little less than 64 KiB.
        const bytes = kind === "udp" ? Math.min(wanted, 65507) : wanted;
        all.push({ kind, call, bytes, size: bytes, batch: bytes > 1400 ? 1 : 32 });
      }
    }
    if (kind !== "udp") all.push({ kind, call: "accept+close", bytes: 0, size: 0, batch: 32 });
    all.push({ kind, call: "getsockopt", bytes: 0, size: 0, batch: 32 });
  }
  // What is returned is what is allocated: 64 bytes cost the same whatever was asked for.
  for (const size of [2048, 65536]) all.push({ kind: "udp", call: "recv", bytes: 64, size, batch: 32 });
  return all.filter((w) => flags.only === undefined || nameOf(w).includes(flags.only));
}

function nameOf(w: Workload): string {
  const asked = w.size === w.bytes ? "" : ` of ${w.size}`;
  return `${w.kind} ${w.call}${asked}`;
}

/** A peer: a process that answers each line with a number. */
class Peer {
  readonly #child;
  readonly #lines;

  constructor(
    readonly name: string,
    command: string[],
  ) {
    this.#child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#lines = readLines(this.#child.stdout);
  }

  async run(w: Workload, batches: number): Promise<number> {
    this.#child.stdin.write(`${w.kind} ${w.call} ${w.bytes} ${w.size} ${batches} ${w.batch}\n`);
    await this.#child.stdin.flush();
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.name} ended in ${nameOf(w)}, ${w.bytes} bytes`);
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
  const native = join(work, "hot-paths");
  const build = Bun.spawnSync([zig, "cc", "-O2", join(here, "peers", "hot-paths.c"), "-o", native, "-lpthread"], {
    stderr: "inherit",
  });
  if (!build.success) throw new Error("zig cc failed (run `bun install` first)");
  const ours = new Peer("here", [process.execPath, join(here, "peers", "hot-paths.ts")]);
  peers.push(ours, new Peer("C", [native]), new Peer("C, threads", [native, "threads"]));
  const python = Bun.which("python3");
  if (python === null) console.error("python3 is not here: no figures of CPython");
  else peers.push(new Peer("CPython", [python, join(here, "peers", "hot-paths.py")]));

  const rows: Row[] = [];
  const todo = workloads();
  for (const [i, w] of todo.entries()) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${i + 1}/${todo.length} ${nameOf(w)} ${w.bytes}`);
    // A first run warms the peer up and tells how many batches fill a slice.
    const batches = Math.round(20_000 / w.batch);
    const warm: number[] = [];
    for (const peer of peers) warm.push(await peer.run(w, batches));
    const counts = warm.map((ns) => Math.max(1, Math.round(SLICE / (ns * w.batch))));
    const times = peers.map((): number[] => []);
    for (let round = 0; round < rounds; round++) {
      for (const [p, peer] of peers.entries()) times[p]!.push(await peer.run(w, counts[p]!));
    }
    const mine = times[0]!;
    for (const [p, peer] of peers.entries()) {
      if (p === 0) continue;
      rows.push({
        workload: nameOf(w),
        bytes: w.bytes,
        peer: peer.name,
        unit: "ns/op",
        ours: Math.round(median(mine)),
        theirs: Math.round(median(times[p]!)),
        ratio: Number(median(mine.map((ns, round) => ns / times[p]![round]!)).toFixed(3)),
      });
    }
  }
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  if (flags.json) console.log(JSON.stringify(rows, null, 1));
  else printTable(rows);
} finally {
  for (const peer of peers) peer.stop();
  if (existsSync(work)) rmSync(work, { recursive: true });
}

function printTable(rows: Row[]): void {
  console.log("workload              bytes   peer          here     theirs   here/theirs");
  for (const r of rows) {
    const cells = [
      r.workload.padEnd(21),
      String(r.bytes).padStart(5),
      `  ${r.peer.padEnd(10)}`,
      `${r.ours} ns`.padStart(10),
      `${r.theirs} ns`.padStart(10),
      r.ratio.toFixed(2).padStart(10),
    ];
    console.log(cells.join(" "));
  }
}
