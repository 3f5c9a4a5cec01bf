/**
 * Differential tests: the same calls here and in CPython, whose answers must be the same.
 *
 * A row is a script, a few calls one after the other. A call is `[what, ...arguments]`; `what` is our name of it:
 *
 * - `"htons"`: a function of the module (in Python the name in snake_case),
 * - `"s = Socket"`, `"a, b = socketpair"`: its result is kept as a variable,
 * - `"s.bind"`, `"s.family"`: a method or an attribute of a variable,
 * - `"s.fileno?"`: of the result only its kind counts.
 *
 * `ref("s")` is a variable as an argument, `ref("s", "fileno")` what its method gives. A plain object at the end holds what is
 * given by name. Bytes here are `bytes` there, arrays are tuples, `null` is `None`, `undefined` is an object of no type that
 * Python knows.
 *
 * Errors are compared by class, number and text. Where Python gives an OSError without a number, only the class counts.
 * Where ours differs on purpose, the row says what it does and why, and that Python does something else is checked too.
 *
 * On musl ours are compared with what musl.ts makes of Python's answers: Python runs on glibc.
 */
import { expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeFileName, encodeFileName } from "../../src/filenames.ts";
import * as sockets from "../../src/index.ts";
import { muslVersion, slowness } from "../help.ts";
import { onMusl } from "./musl.ts";

/** A variable of the script as an argument, or the result of one of its methods. */
class Ref {
  constructor(
    readonly name: string,
    readonly call?: string,
  ) {}
}

export function ref(name: string, call?: string): Ref {
  return new Ref(name, call);
}

/** One call: what is called, and its arguments. */
export type Call = readonly [what: string, ...args: unknown[]];

/** One script. */
export type Script = readonly Call[];

/** A script whose answers differ on purpose. */
export interface Difference {
  script: Script;
  /** What ours gives, for each call. */
  ours: readonly unknown[];
  /** Why. */
  why: string;
}

export type Row = Script | Difference;

/** What a failed call gave. */
export interface Failure {
  error: string;
  errno?: number;
  reason?: string;
}

/** A directory for AF_UNIX paths, of a short name, empty for each side. */
export const directory = join(tmpdir(), `bs-${process.pid}`);

const script = (row: Row): Script => ("script" in row ? row.script : row);

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** An argument, as peer.py reads it. */
function wire(value: unknown): unknown {
  if (value === undefined) return { missing: true };
  if (value instanceof Ref)
    return value.call === undefined ? { ref: value.name } : { ref: value.name, call: value.call };
  if (ArrayBuffer.isView(value)) {
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  }
  if (typeof value === "bigint") return { int: String(value) };
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    return Number.isInteger(value) && Math.abs(value) < 1e21
      ? { int: BigInt(value).toString() }
      : { float: String(value) };
  }
  if (Array.isArray(value)) return value.map(wire);
  return value;
}

function wireCall([what, ...args]: Call): unknown {
  const last = args.at(-1);
  const named = isPlain(last) ? last : {};
  const rest = isPlain(last) ? args.slice(0, -1) : args;
  return [what, rest.map(wire), Object.fromEntries(Object.entries(named).map(([name, value]) => [name, wire(value)]))];
}

/** A result, as peer.py writes it. */
function told(value: unknown): unknown {
  if (value === undefined) return null;
  if (value instanceof sockets.Socket) return { socket: [value.family, value.type, value.proto] };
  if (ArrayBuffer.isView(value)) {
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  }
  if (Array.isArray(value)) return value.map(told);
  return value;
}

function kind(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(kind);
  if (typeof value === "number") return value < 0 ? "negative" : "a number";
  return typeof value === "string" ? "a string" : told(value);
}

/** What an error tells: of an OSError its class, its number and its text. */
export function failure(error: unknown): Failure {
  if (error instanceof sockets.OSError) {
    return { error: error.name, errno: error.errno, reason: error.message.replace(/^.*?: /s, "") };
  }
  return { error: error instanceof Error ? error.name : String(error) };
}

type Callable = (...args: unknown[]) => unknown;

const builtins: Record<string, Callable> = {
  writable: (size) => Buffer.alloc(size as number),
  same: (value) => value,
  fileNameToText: (name) => decodeFileName(name as Uint8Array),
  fileNameToBytes: (text) => encodeFileName(text as string, "text"),
};
const functions = sockets as unknown as Record<string, unknown>;

function runOne(calls: Script): unknown[] {
  const variables: Record<string, unknown> = {};
  const opened: sockets.Socket[] = [];
  const given = (value: unknown): unknown => {
    if (value instanceof Ref) {
      const variable = variables[value.name];
      return value.call === undefined ? variable : (variable as Record<string, Callable>)[value.call]!();
    }
    if (Array.isArray(value)) return value.map(given);
    return isPlain(value) ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, given(v)])) : value;
  };
  const results = calls.map(([what, ...args]) => {
    const [, targets, owner, name = "", onlyKind] = /^(?:([\w, ]+) = )?(?:(\w+)\.)?(\w+)(\?)?$/.exec(what) ?? [];
    let value: unknown;
    let result: unknown;
    try {
      const self = owner === undefined ? undefined : variables[owner];
      const called =
        owner === undefined ? (builtins[name] ?? functions[name]) : (self as Record<string, unknown>)[name];
      const list = args.map(given);
      if (called === undefined) throw new TypeError(`there is no ${name}`); // its variable is no socket
      if (name === "Socket") value = Reflect.construct(called as typeof sockets.Socket, list);
      else if (typeof called === "function") value = Reflect.apply(called as Callable, self, list);
      else value = called;
      result = onlyKind ? kind(value) : told(value);
    } catch (error) {
      value = {};
      result = failure(error);
    }
    const names = targets?.split(", ") ?? [];
    const values = names.length > 1 && Array.isArray(value) ? value : [value];
    for (const [i, variable] of names.entries()) variables[variable] = values[i];
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value])
      if (one instanceof sockets.Socket) opened.push(one);
    return result;
  });
  for (const sock of opened) {
    try {
      sock.close();
    } catch {
      // Its descriptor was closed behind its back: a part of the script.
    }
  }
  sockets.setdefaulttimeout(null);
  return results;
}

/** Runs a side with the directory empty. */
function inDirectory<T>(run: () => T): T {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  try {
    return run();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Our answers. */
export function runOurs(rows: readonly Row[]): unknown[][] {
  return inDirectory(() => rows.map((row) => runOne(script(row))));
}

/** Python's answers. */
export function runPython(rows: readonly Row[]): unknown[][] {
  const stdin = Buffer.from(JSON.stringify(rows.map((row) => script(row).map(wireCall))));
  const { exitCode, stdout, stderr } = inDirectory(() =>
    Bun.spawnSync([python ?? "python3", "-X", "utf8", join(import.meta.dir, "peer.py")], {
      stdin,
      timeout: TIME - 5000,
    }),
  );
  if (exitCode !== 0) throw new Error(`python3 ended with ${exitCode}: ${stderr.toString()}`);
  return JSON.parse(stdout.toString());
}

const found = Bun.which("python3");
const usable =
  found !== null &&
  Bun.spawnSync([found, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"], { timeout: 10_000 }).exitCode === 0;

/** The interpreter, where there is one. */
export const python: string | null = usable ? found : null;

/** Whether an answer is what the other side's is. */
function agree(ours: unknown, theirs: unknown): boolean {
  if (!isPlain(ours) || !isPlain(theirs) || !("error" in ours)) return Bun.deepEquals(ours, theirs);
  if (ours["error"] !== theirs["error"]) return false;
  if (theirs["errno"] === undefined) return true;
  // Python's create_server adds to the system's text what it tried.
  return ours["errno"] === theirs["errno"] && String(theirs["reason"]).split(" (while ")[0] === ours["reason"];
}

/** Whether the answer to a call is what it should be. */
function right(call: Call, ours: unknown, theirs: unknown): boolean {
  return agree(ours, muslVersion === null ? theirs : onMusl(call, theirs));
}

/** The rows whose answers are not as they should be, a line each. */
export function mismatches(rows: readonly Row[], ours: unknown[][], theirs: unknown[][]): string[] {
  const line = (row: Row, mine: unknown[], other: unknown[], rest = ""): string => {
    const at = script(row).findIndex((call, i) => !right(call, mine[i], other[i]));
    const calls = script(row).map((call) => JSON.stringify(wireCall(call)));
    const [a, b] = at < 0 ? [mine, other] : [mine[at], other[at]];
    return `${calls.join(" ")} [${at}]: ours ${JSON.stringify(a)}, CPython's ${JSON.stringify(b)}${rest}`;
  };
  return rows.flatMap((row, i): string[] => {
    const [mine, other] = [ours[i] ?? [], theirs[i] ?? []];
    const same = script(row).every((call, at) => right(call, mine[at], other[at]));
    if ("script" in row) {
      const asToldHere = row.ours.every((told, at) => agree(mine[at], told));
      if (asToldHere && !same) return [];
      return [line(row, mine, other, same ? ", no difference" : `, expected here ${JSON.stringify(row.ours)}`)];
    }
    return same ? [] : [line(row, mine, other)];
  });
}

/** How long a test may take: many times what it does, for machines that are busy. */
export const TIME = 30_000 * slowness;

/**
 * Makes a test of each group of rows; Python runs once for all of them.
 *
 * @param all - The groups.
 * @param wanted - What some groups need, and whether it is here.
 */
export function compare(
  all: Record<string, readonly Row[]>,
  wanted: Record<string, readonly [what: string, have: boolean]> = {},
): void {
  const groups: Record<string, readonly Row[]> = {};
  for (const [name, rows] of Object.entries(all)) {
    const [what, have] = wanted[name] ?? ["", true];
    if (have) groups[name] = rows;
    else test.skip(`${name} (no ${what} here)`, () => {});
  }
  const names = Object.keys(groups);
  if (python === null) {
    test.skip.each(names)("%s (python3 3.10 or later is not here)", () => {});
    return;
  }
  let answers: unknown[][] | undefined;
  let before = 0;
  for (const name of names) {
    const rows = groups[name] ?? [];
    const at = before;
    before += rows.length;
    const calls = rows.reduce((sum, row) => sum + script(row).length, 0);
    const run = (): void => {
      answers ??= runPython(Object.values(groups).flat());
      expect(rows.length).toBeGreaterThan(0);
      const wrong = mismatches(rows, runOurs(rows), answers.slice(at, at + rows.length));
      expect(wrong.slice(0, 20)).toEqual([]); // enough to see what they have in common
    };
    test(`${name}: ${calls} calls as in CPython`, run, TIME);
  }
}

/** Every choice of one value from each list. */
export function product(...lists: readonly (readonly unknown[])[]): unknown[][] {
  return lists.reduce<unknown[][]>((all, list) => all.flatMap((one) => list.map((value) => [...one, value])), [[]]);
}

/** A repeatable source of random numbers from 0 up to 2^32. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}
