/**
 * Runs the tests as a Windows program, on Linux, under Wine: `bun run test:windows`, or some of them by
 * `bun run test:windows test/stream.test.ts …`.
 *
 * Bun for Windows comes from npm, in this Bun's version. It and a Windows folder (a "Wine prefix") of its own are made
 * once, in node_modules/.cache/windows; a run works in a copy of that folder, so that runs do not disturb each other.
 *
 * Each file runs in a process of its own. What was skipped is listed at the end, with the reasons that the tests' names
 * say; the last lines count the tests as `bun test` does.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** How long a file of tests may take, in seconds: a test that hangs shall fail. */
const FILE_LIMIT = 240;
/** How long anything else may take, in seconds. */
const SETUP_LIMIT = 120;

const project = join(import.meta.dir, "..", "..");
const cache = join(project, "node_modules", ".cache", "windows");
const bin = join(project, "node_modules", ".bin");

/** The program ends with a line that says why. */
class Failure extends Error {}

function fail(why: string): never {
  throw new Failure(why);
}

/** Runs a program to its end, in silence unless it fails; gives what it printed. */
function run(command: string[], options: { cwd?: string; env?: Record<string, string | undefined> } = {}): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { ...options, timeout: SETUP_LIMIT * 1000 });
  if (exitCode !== 0) fail(`${command.join(" ")}: exit ${exitCode}\n${stdout}${stderr}`);
  return stdout.toString();
}

// ---- Wine ----

interface Wine {
  program: string;
  server: string;
  version: number;
}

// Debian's package wine64 puts nothing on the PATH.
function findWine(): Wine {
  const program =
    ["/usr/lib/wine/wine64", "/usr/lib/wine/wine"].find((path) => existsSync(path)) ??
    Bun.which("wine64") ??
    Bun.which("wine") ??
    fail("no Wine here: install it, on Debian by `apt-get install --no-install-recommends wine64`");
  const beside = ["wineserver64", "wineserver"].map((name) => join(dirname(program), name));
  const server =
    beside.find((path) => existsSync(path)) ?? Bun.which("wineserver") ?? fail(`no wineserver beside ${program}`);
  return { program, server, version: Number(/wine-(\d+)/.exec(run([program, "--version"]))?.[1]) };
}

/** What a Windows program sees: no screen, nothing that asks, and none of the settings that make `bun test` terse. */
function environment(prefix: string): Record<string, string | undefined> {
  return {
    ...process.env,
    WINEPREFIX: prefix,
    WINEARCH: "win64",
    WINEDEBUG: "-all",
    WINEDLLOVERRIDES: "mscoree=;mshtml=;winemenubuilder.exe=", // no .NET, no browser, no menus
    DISPLAY: undefined,
    WAYLAND_DISPLAY: undefined,
    NO_COLOR: "1",
    FORCE_COLOR: undefined,
    AGENT: undefined,
    CLAUDECODE: undefined,
    REPL_ID: undefined,
  };
}

/** Starts Windows: its server and services, which would hold the pipes of the first program that needs them. */
function boot(prefix: string): void {
  const env = environment(prefix);
  Bun.spawnSync([wine.server, "--persistent"], { env, stdio: ["ignore", "ignore", "ignore"] });
  Bun.spawnSync([wine.program, "wineboot"], {
    env,
    stdio: ["ignore", "ignore", "ignore"],
    timeout: SETUP_LIMIT * 1000,
  });
}

/** Ends every program that runs in a Windows folder. */
function shutDown(prefix: string): void {
  const env = environment(prefix);
  Bun.spawnSync([wine.server, "-k"], { env }); // fails where none runs any more
  Bun.spawnSync([wine.server, "-w"], { env, timeout: SETUP_LIMIT * 1000 });
}

// ---- What is made once, and kept ----

/** A folder of the cache. It gets its name when it is finished, and is made where no such name is there. */
function once(name: string, make: (path: string) => void): string {
  const path = join(cache, name);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const unfinished = mkdtempSync(join(cache, "unfinished-"));
  try {
    make(unfinished);
    if (!existsSync(path)) renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return path;
}

function makeBun(path: string): void {
  const name = "@oven/bun-windows-x64";
  writeFileSync(join(path, "package.json"), JSON.stringify({ dependencies: { [name]: Bun.version } }));
  run([process.execPath, "install", "--os=win32", "--cpu=x64"], { cwd: path });
  renameSync(join(path, "node_modules", name, "bin", "bun.exe"), join(path, "bun.exe"));
  if (wine.version >= 9) return;
  const cc = [join(bin, "zig"), "cc", "-target", "x86_64-windows-gnu", "-O2"];
  const object = join(path, "bcryptprimitives.o");
  run([...cc, "-c", join(import.meta.dir, "bcryptprimitives.c"), "-o", object]);
  run([...cc, "-shared", "-s", "-nostdlib", object, "-ladvapi32", "-o", join(path, "bcryptprimitives.dll")]);
}

function makePrefix(path: string): void {
  const env = environment(path);
  run([wine.program, "wineboot", "--init"], { env });
  run([wine.program, "winecfg", "-v", "win10"], { env });
  shutDown(path);
}

/** Copies a Windows folder. The programs, 700 MB, are linked; the registry is written to, and is copied. */
function copyPrefix(from: string, to: string): void {
  run(["cp", "-a", "--link", `${from}/.`, to]);
  const registry = readdirSync(from).filter((name) => name.endsWith(".reg"));
  run(["cp", "-a", "--remove-destination", ...registry.map((name) => join(from, name)), to]);
}

// ---- The tests ----

interface Result {
  pass: number;
  skip: number;
  fail: number;
  skipped: string[];
  failed: string[];
}

/** What Bun says of each folder under Wine, and has no consequence. */
const NOISE = /^Internal error: directory mismatch for directory /;
/** What `bun test` counts at its end. */
const COUNT = /^ *(\d+) (pass|skip|todo|fail|expect\(\) calls)$/;

/** Calls back with each line of a stream, as soon as it is there. */
async function eachLine(stream: ReadableStream<Uint8Array>, line: (text: string) => void): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
    rest = lines.pop()!;
    lines.forEach(line);
  }
  if (rest !== "") line(rest);
}

/** Runs a file of tests; shows what it prints but for the counts. */
async function runFile(bun: string, prefix: string, file: string): Promise<Result> {
  const started = performance.now();
  const child = Bun.spawn([wine.program, bun, "test", "--timeout", "30000", `./${file}`], {
    cwd: project,
    env: environment(prefix),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const result: Result = { pass: 0, skip: 0, fail: 0, skipped: [], failed: [] };
  let again = false; // what was skipped and what failed is told once more at the end
  const see = (text: string): void => {
    again ||= /^\d+ tests? (skipped|failed):$/.test(text);
    const [, number, what] = COUNT.exec(text) ?? [];
    if (what === "pass" || what === "skip" || what === "fail") result[what] = Number(number);
    else if (what === undefined && !NOISE.test(text) && !again) console.log(text);
    const [, outcome, name] = /^\((skip|fail)\) (.*?)(?: \[[\d.]+m?s\])?$/.exec(text) ?? [];
    if (again) return;
    if (outcome === "skip") result.skipped.push(name!);
    if (outcome === "fail") result.failed.push(name!);
  };
  const reading = Promise.all([eachLine(child.stdout, see), eachLine(child.stderr, see)]);
  let limit = "";
  const timer = setTimeout(() => {
    limit = ` (not ended after ${FILE_LIMIT} s)`;
    child.kill("SIGKILL");
    shutDown(prefix); // its children, too
    boot(prefix);
  }, FILE_LIMIT * 1000);
  const status = await child.exited;
  await reading;
  clearTimeout(timer);
  // A file that does not load, a process that crashes or is killed: no test of a name.
  if (status !== 0 && result.fail === 0) result.fail = 1;
  const unnamed = result.fail - result.failed.length;
  if (unnamed > 0) result.failed.push(`${unnamed} outside of a test: exit ${status}${limit}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${file}: ${result.pass} passed, ${result.skip} skipped, ${result.fail} failed, ${seconds} s${limit}\n`);
  return result;
}

/** Lists names by file. */
function report(heading: string, which: "skipped" | "failed"): void {
  const some = results.filter(([, result]) => result[which].length > 0);
  if (some.length === 0) return;
  console.log(`${heading}:`);
  for (const [file, result] of some) {
    console.log(`  ${file}`);
    for (const name of result[which]) console.log(`    ${name}`);
  }
}

const sum = (what: "pass" | "skip" | "fail"): number => results.reduce((total, [, result]) => total + result[what], 0);

const results: [file: string, result: Result][] = [];
let wine: Wine;
try {
  const all = [...new Bun.Glob("test/**/*.test.ts").scanSync(project)].sort();
  const named = process.argv.slice(2).map((path) => relative(project, resolve(path)));
  const missing = named.find((path) => !all.includes(path));
  if (missing !== undefined) fail(`${missing} is no file of tests`);

  wine = findWine();
  const bun = join(once(`bun-${Bun.version}-wine-${wine.version}`, makeBun), "bun.exe");
  const base = once(`prefix-wine-${wine.version}`, makePrefix);
  run([process.execPath, join(project, "shim", "build.ts"), "win32-x64"]);

  const prefix = mkdtempSync(join(cache, "run-"));
  const end = (): void => {
    shutDown(prefix);
    rmSync(prefix, { recursive: true, force: true });
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => (end(), process.exit(1)));
  try {
    copyPrefix(base, prefix);
    boot(prefix);
    for (const file of named.length > 0 ? named : all) results.push([file, await runFile(bun, prefix, file)]);
  } finally {
    end();
  }
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  console.error(error.message);
  process.exit(1);
}

report("Skipped", "skipped");
report("Failed", "failed");
console.log(`\n${sum("pass")} pass\n${sum("skip")} skip\n${sum("fail")} fail`.replaceAll("\n", "\n "));
console.log(`Ran ${results.length} files as a Windows program under Wine ${wine.version}.`);
process.exit(sum("fail") > 0 ? 1 : 0);
