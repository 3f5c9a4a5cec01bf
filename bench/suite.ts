/**
 * What every benchmark here is made of: contests, whose runs take turns, and the rows that come of them.
 *
 * A machine's speed drifts. So those who are compared run one after the other, round by round, and a ratio is the median of
 * the ratios of the rounds.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

/** What is measured, and of what size. */
export interface Workload {
  workload: string;
  bytes: number;
  /** How many messages a call takes, where that varies; and how many sockets or Workers there are. */
  batch?: number;
  sockets?: number;
  workers?: number;
}

/** A row of a report: the library beside one peer. */
export interface Row extends Workload {
  /** Null where the library is measured alone, and so are `theirs` and `ratio`. */
  peer: string | null;
  /** Of `ours` and `theirs`, which are medians: less is better. */
  unit: string;
  ours: number;
  theirs: number | null;
  /** Ours by theirs: the median of the rounds. */
  ratio: number | null;
  /** Between what the middle half of the ratios lies, or of `ours` where there is no peer. */
  spread: [low: number, high: number];
  /** Which share of the packets did not come, of all rounds; where packets can be lost. */
  loss?: [ours: number, theirs: number];
  /** The most that the ratio is to be, or `ours` where there is no peer; where the project has set itself one. */
  goal?: number;
}

/** Figures of one run, one for each unit, and then the share of lost packets if the contest counts them. */
export type Run = () => number[] | Promise<number[]>;

/** A workload and who takes part. */
export interface Contest extends Workload {
  units: string[];
  /** By name; the first is the library. */
  runs: Record<string, Run>;
  /** The most that the ratio of the first unit is to be, by peer; by the library's own name where it is alone. */
  goals?: Record<string, number | undefined>;
  /** Whether packets can be lost, and their share is the last number of a run. */
  counts?: boolean;
  /** How many turns each has in a round: 1 by default, and 0 is one turn in all. */
  turns?: number;
  /** How many before the first that do not count. */
  warm?: number;
  /** How long a run takes, roughly, in seconds: for the time that is left. */
  seconds: number;
}

/** Contests under one heading. */
export interface Section {
  title: string;
  /** What a reader has to know. */
  about: string;
  /** The contests that this machine can hold. */
  contests: (isQuick: boolean) => Contest[];
}

/** A heading and what came of it. */
export interface Result extends Pick<Section, "title" | "about"> {
  rows: Row[];
  /** The contests that ended with an error, and have no rows. */
  failed: string[];
}

/** The value below which a share of the others lies; between two, in proportion. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at % 1);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function round(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}

/** The rows of a contest: figures by who ran, by turn, by unit. */
export function rowsOf(contest: Contest, figures: Record<string, number[][]>): Row[] {
  const { units, runs, goals, counts, turns, warm, seconds, ...workload } = contest;
  const [us = "", ...others] = Object.keys(runs);
  const lossOf = (who: string): number => {
    const shares = figures[who]!.map((run) => run[units.length]!);
    return round(shares.reduce((sum, one) => sum + one, 0) / shares.length);
  };
  return (others.length === 0 ? [null] : others).flatMap((peer) =>
    units.map((unit, i): Row => {
      const ours = figures[us]!.map((run) => run[i]!);
      const theirs = peer === null ? null : figures[peer]!.map((run) => run[i]!);
      const ratios = theirs && ours.map((one, turn) => one / theirs[turn]!);
      const goal = i === 0 ? goals?.[peer ?? us] : undefined;
      return {
        ...workload,
        peer,
        unit,
        ours: round(median(ours)),
        theirs: theirs && round(median(theirs)),
        ratio: ratios && round(median(ratios)),
        spread: [round(quantile(ratios ?? ours, 0.25)), round(quantile(ratios ?? ours, 0.75))],
        ...(counts ? { loss: [lossOf(us), peer === null ? 0 : lossOf(peer)] } : {}),
        ...(goal === undefined ? {} : { goal }),
      };
    }),
  );
}

/** Whether a goal was not reached: it counts only if all packets came. */
export function isMissed(row: Row): boolean {
  return row.goal !== undefined && ((row.ratio ?? row.ours) > row.goal || (row.loss?.[0] ?? 0) > 0);
}

/** What a row is about, in words. */
export function nameOf({ workload, bytes, batch, sockets, workers }: Workload): string {
  const of = [
    bytes && `${bytes.toLocaleString("en")} B`,
    batch && `batch ${batch.toLocaleString("en")}`,
    sockets && `${sockets.toLocaleString("en")} sockets`,
    workers && `${workers} Workers`,
  ];
  return [workload, ...of.filter(Boolean)].join(", ").replace(/\b1 (socket|Worker)s/, "1 $1");
}

/** A share of lost packets. */
export const percent = (share: number): string => (share === 0 ? "0" : `${(share * 100).toPrecision(2)} %`);
const ratio = (value: number): string => (value < 0.1 ? value.toPrecision(2) : value.toFixed(2));
const figure = (value: number | null): string => (value === null ? "" : value.toLocaleString("en"));

/** Rows as text: first the headings, of those columns that say something. */
export function cells(rows: readonly Row[]): string[][] {
  const columns: Record<string, (row: Row) => string> = {
    workload: (r) => r.workload,
    bytes: (r) => (r.bytes === 0 ? "" : figure(r.bytes)),
    batch: (r) => figure(r.batch ?? null),
    sockets: (r) => figure(r.sockets ?? null),
    Workers: (r) => figure(r.workers ?? null),
    beside: (r) => r.peer ?? "",
    unit: (r) => r.unit,
    here: (r) => figure(r.ours),
    theirs: (r) => figure(r.theirs),
    "here/theirs": (r) => (r.ratio === null ? "" : ratio(r.ratio)),
    "middle half": (r) => r.spread.map((one) => (r.ratio === null ? figure(one) : ratio(one))).join(" – "),
    "lost here, there": (r) => r.loss?.map(percent).join(", ") ?? "",
    goal: (r) => (r.goal === undefined ? "" : `≤ ${Number(r.goal.toFixed(2))}${isMissed(r) ? " missed" : ""}`),
  };
  const used = Object.entries(columns).filter(([, cell]) => rows.some((row) => cell(row) !== ""));
  return [used.map(([name]) => name), ...rows.map((row) => used.map(([, cell]) => cell(row)))];
}

/** The columns of {@link cells} that hold words. The others hold numbers. */
export const WORDS: ReadonlySet<string> = new Set(["workload", "beside", "unit", "goal"]);

/** Rows for a terminal. */
export function table(rows: readonly Row[]): string {
  const lines = cells(rows);
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const pad = (cell: string, column: number): string =>
    WORDS.has(lines[0]![column]!) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return lines.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}

/** A file of `bench/peers`. */
export function peerFile(name: string): string {
  return join(import.meta.dir, "peers", name);
}

let folder: string | undefined;
const compiled = new Map<string, string>();

/** Compiles a file of `bench/peers`, once: C with the project's Zig, Rust with the machine's compiler, TypeScript for Node. */
export function compile(name: string): string {
  let program = compiled.get(name);
  if (program !== undefined) return program;
  folder ??= mkdtempSync(join(tmpdir(), "berkeley-sockets-bench-"));
  const kind = extname(name);
  program = join(folder, basename(name, kind) + (kind === ".ts" ? ".mjs" : kind.replace(".", "-")));
  const zig = join(import.meta.dir, "..", "node_modules", ".bin", "zig");
  const compilers: Record<string, string[]> = {
    ".c": [zig, "cc", "-O2", "-lpthread", peerFile(name), "-o", program],
    ".rs": ["rustc", "-O", peerFile(name), "-o", program],
    ".ts": [process.execPath, "build", "--target=node", peerFile(name), "--outfile", program],
  };
  const { success, stderr } = Bun.spawnSync(compilers[kind]!);
  if (!success) throw new Error(`${name} does not compile (is \`bun install\` done?): ${stderr.toString()}`);
  compiled.set(name, program);
  return program;
}

/** How long a peer may take for an answer, in milliseconds: one that waits for what was lost waits for ever. */
const PATIENCE = 60_000;

const started = new Set<ChildProcess>();

/** A process that answers each line with numbers. It starts when it is first asked. */
export class Peer {
  readonly #command: () => string[];
  readonly #env: Record<string, string>;
  #child: ChildProcess | undefined;
  #lines: AsyncIterator<string> | undefined;

  constructor(command: () => string[], env: Record<string, string> = {}) {
    this.#command = command;
    this.#env = env;
  }

  async ask(...words: (string | number)[]): Promise<number[]> {
    if (this.#child === undefined) {
      const [program = "", ...args] = this.#command();
      const env = { ...process.env, ...this.#env };
      this.#child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
      this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
      started.add(this.#child);
    }
    this.#child.stdin!.write(`${words.join(" ")}\n`);
    const late = setTimeout(() => this.#child!.kill(), PATIENCE);
    const { value, done } = await this.#lines!.next();
    clearTimeout(late);
    if (done) {
      this.#child = undefined; // the next contest has another
      throw new Error(`${this.#command().join(" ")} ended at: ${words.join(" ")}`);
    }
    return value.split(" ").map(Number);
  }
}

/** A process of its own for one run: the numbers that it prints. */
export async function once(
  command: (string | number)[],
  env: Record<string, string> = {},
  patience = PATIENCE,
): Promise<number[]> {
  const child = Bun.spawn(command.map(String), {
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "inherit",
    timeout: patience,
  });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0)
    throw new Error(`${command.join(" ")} ended with ${child.exitCode ?? child.signalCode}`);
  return text.trim().split(/\s+/).map(Number);
}

/** Ends the peers and deletes what was compiled. */
function tidy(): void {
  for (const child of started) child.kill();
  started.clear();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
  compiled.clear();
}

/** Says on stderr how far it is: in one line of a terminal, or else in a line every now and then. */
class Progress {
  readonly #contests: number;
  readonly #seconds: number;
  readonly #began = performance.now();
  #number = 0;
  #name = "";
  #done = 0;
  #last = 0;

  /** @param seconds - How long all of it will take, roughly. */
  constructor(contests: number, seconds: number) {
    this.#contests = contests;
    this.#seconds = seconds;
  }

  begin(name: string): void {
    this.#number++;
    this.#name = name;
  }

  say(text: string): void {
    const now = performance.now();
    if (!process.stderr.isTTY && now - this.#last < 10_000) return;
    this.#last = now;
    const speed = this.#done === 0 ? 1 : (now - this.#began) / 1000 / this.#done;
    const left = (this.#seconds - this.#done) * speed;
    const time = left > 90 ? `${Math.round(left / 60)} min` : `${Math.round(left)} s`;
    const line = `${this.#number} of ${this.#contests}: ${this.#name}: ${text}, about ${time} left`;
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  }

  add(seconds: number): void {
    this.#done += seconds;
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }
}

/** Has all who take part run in turns; the rows that come of it. */
async function hold(contest: Contest, turns: number, progress: Progress): Promise<Row[]> {
  const figures: Record<string, number[][]> = {};
  for (let turn = -(contest.warm ?? 0); turn < turns; turn++) {
    for (const [who, run] of Object.entries(contest.runs)) {
      progress.say(`${turn < 0 ? "warming up" : `turn ${turn + 1} of ${turns}`}, ${who}`);
      const numbers = await run();
      const isWhole = numbers.length >= contest.units.length + (contest.counts ? 1 : 0);
      if (!isWhole || numbers.some(Number.isNaN)) throw new Error(`${who} gave no figures: ${numbers.join(" ")}`);
      if (turn >= 0) (figures[who] ??= []).push(numbers);
      progress.add(contest.seconds);
    }
  }
  return rowsOf(contest, figures);
}

/** Holds the contests of all sections. One that fails does not keep the others from being held. */
async function holdAll(sections: Section[], rounds: number, only: string, isQuick: boolean): Promise<Result[]> {
  const all = sections.map((section) => ({
    ...section,
    contests: section
      .contests(isQuick)
      .filter((contest) => `${section.title} ${nameOf(contest)}`.toLowerCase().includes(only.toLowerCase())),
  }));
  if (only !== "" && all.every((section) => section.contests.length === 0))
    throw new RangeError(`--only: nothing has ${only}`);
  const turnsOf = ({ turns = 1 }: Contest): number => Math.max(1, (isQuick ? Math.min(turns, 1) : turns) * rounds);
  const contests = all.flatMap((section) => section.contests);
  const seconds = contests.map((one) => one.seconds * Object.keys(one.runs).length * ((one.warm ?? 0) + turnsOf(one)));
  const progress = new Progress(
    contests.length,
    seconds.reduce((sum, one) => sum + one, 0),
  );
  const results: Result[] = [];
  for (const { title, about, contests } of all) {
    const rows: Row[] = [];
    const failed: string[] = [];
    for (const contest of contests) {
      progress.begin(nameOf(contest));
      try {
        rows.push(...(await hold(contest, turnsOf(contest), progress)));
      } catch (error) {
        process.exitCode = 1;
        failed.push(nameOf(contest));
        console.error(`\n${nameOf(contest)} failed:`, error);
      }
    }
    if (contests.length > 0) results.push({ title, about, rows, failed });
  }
  progress.end();
  return results;
}

/** Runs what the command line asks for, and prints it. */
export async function main(...sections: Section[]): Promise<{ results: Result[]; rounds: string }> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean" },
      only: { type: "string", default: "" },
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      svg: { type: "string" },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 7));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds is not a number above 0: ${values.rounds}`);
  const onInterrupt = (): void => {
    tidy();
    process.exit(130);
  };
  process.once("SIGINT", onInterrupt);
  try {
    const results = await holdAll(sections, rounds, values.only, values.quick);
    const rows = results.flatMap((result) => result.rows);
    if (values.json) console.log(JSON.stringify(rows, null, 1));
    else for (const result of results) console.log(`\n${result.title}\n\n${table(result.rows)}`);
    if (values.svg !== undefined) {
      const { dots } = await import("./report.ts");
      await Bun.write(values.svg, dots(rows));
    }
    return { results, rounds: `${rounds}${values.quick ? " (quick: the figures mean little)" : ""}` };
  } finally {
    tidy();
    process.off("SIGINT", onInterrupt);
  }
}
