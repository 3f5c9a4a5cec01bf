/**
 * What the runners share that run the tests on another Bun than this machine's (test/musl/run.ts, test/arm64/run.ts).
 *
 * All they need is fetched once, into node_modules/.cache: Bun from npm, the rest from Debian by an apt with lists of its
 * own. Nothing is installed, and nothing of the machine's changes.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const project = join(import.meta.dir, "..");
const cache = join(project, "node_modules", ".cache", "berkeley-sockets");

/** What this machine cannot have: the runner says so in a line, and exits with 1. */
export class Lacking extends Error {}

/** Runs a command to its end. */
async function run(command: string[], cwd: string): Promise<string> {
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (status === 0) return stdout;
  const lines = stderr.trim().split("\n");
  const reason = lines.find((line) => /^E:|\berror\b/i.test(line)) ?? lines.at(-1);
  throw new Lacking(`${command[0]!.split("/").at(-1)} ended with ${status}: ${reason}`);
}

/**
 * A folder of the cache. It is made in another one and renamed, so that it is there only when it is whole.
 *
 * @param name - Its name, with the version of what is in it.
 * @param make - Fills the folder.
 */
export async function cached(name: string, make: (folder: string, final: string) => Promise<void>): Promise<string> {
  const final = join(cache, name);
  if (existsSync(final)) return final;
  const folder = `${final}.${process.pid}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    await make(folder, final);
    renameSync(folder, final);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return final;
}

/** Stands in the names of folders where something has its own path written into it: the project may move. */
export const here: string = Bun.hash(project).toString(36);

/** The version of Bun that the project is for. */
export const bunVersion: string = JSON.parse(readFileSync(join(project, "package.json"), "utf8")).devDependencies.bun;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * Bun for another platform, from npm: `bun install` checks it, and it must be what the project's bun.lock says.
 *
 * @returns The program's path.
 */
export async function fetchBun(name: string, cpu: string): Promise<string> {
  const folder = await cached(`${name}-${bunVersion}`, async (work) => {
    const dependencies = { [`@oven/${name}`]: bunVersion };
    writeFileSync(join(work, "package.json"), JSON.stringify({ private: true, dependencies }));
    await run([process.execPath, "install", "--ignore-scripts", "--os=linux", `--cpu=${cpu}`], work);
    const integrity = (lock: string): string | undefined =>
      new RegExp(`"@oven/${name}": \\[.*"(sha512-.*?)"\\]`).exec(readFileSync(lock, "utf8"))?.[1];
    const [expected, got] = [integrity(join(project, "bun.lock")), integrity(join(work, "bun.lock"))];
    if (expected === undefined || got !== expected) {
      throw new Lacking(`npm's @oven/${name} ${bunVersion} is ${got}, bun.lock has ${expected}`);
    }
    console.log(`fetched @oven/${name}@${bunVersion} from npm`);
  });
  return join(folder, "node_modules", "@oven", name, "bin", "bun");
}

/** For each architecture whose lists were read in this run, what apt warned of: a server that did not answer, say. */
const warnings = new Map<string, string>();

/** Options of an apt for an architecture, with lists of its own; its key rings and sources are the machine's. */
async function apt(architecture: string): Promise<string[]> {
  for (const tool of ["apt-get", "apt-cache", "dpkg-deb"]) {
    if (Bun.which(tool) === null) throw new Lacking(`no ${tool}, to fetch Debian's packages with`);
  }
  const folder = join(cache, `apt-${architecture}`);
  for (const part of ["state/lists/partial", "cache/archives/partial"])
    mkdirSync(join(folder, part), { recursive: true });
  const values = {
    "Dir::State": join(folder, "state"),
    "Dir::State::status": "/dev/null",
    "Dir::Cache": join(folder, "cache"),
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    "APT::Sandbox::User": "",
    "Acquire::Languages": "none",
  };
  const options = ["-qq", ...Object.entries(values).flatMap(([name, value]) => ["-o", `${name}=${value}`])];
  if (!warnings.has(architecture)) {
    const { exitCode, stderr } = Bun.spawnSync(["apt-get", ...options, "update"], { stdin: "ignore" });
    const [warning = ""] = stderr.toString().trim().split("\n");
    if (exitCode !== 0) throw new Lacking(`apt-get update ended with ${exitCode}: ${warning}`);
    warnings.set(architecture, warning);
  }
  return options;
}

/**
 * Packages of Debian, unpacked together in a folder.
 *
 * @param name - The folder's name in the cache.
 * @param packages - The packages' names.
 * @param architecture - As Debian calls it.
 * @param only - The one file that is wanted of them; all, where it is left out.
 */
export async function fetchDebian(
  name: string,
  packages: string[],
  architecture: string,
  only?: string,
): Promise<string> {
  return await cached(name, async (work) => {
    try {
      await run(["apt-get", ...(await apt(architecture)), "download", ...packages], work);
    } catch (error) {
      throw new Lacking(`${(error as Error).message} ${warnings.get(architecture) ?? ""}`.trim());
    }
    for (const file of readdirSync(work).filter((entry) => entry.endsWith(".deb"))) {
      const path = join(work, file);
      console.log(`fetched ${decodeURIComponent(file)} from Debian, ${megabytes(statSync(path).size)}`);
      const into = only === undefined ? work : join(work, "unpacked");
      await run(["dpkg-deb", "-x", path, into], work);
      rmSync(path);
    }
    if (only === undefined) return;
    mkdirSync(dirname(join(work, only)), { recursive: true });
    renameSync(join(work, "unpacked", only), join(work, only));
    rmSync(join(work, "unpacked"), { recursive: true });
  });
}

/** What a pattern finds in the names of the packages that a package of Debian depends on. */
export async function dependencyOf(name: string, pattern: RegExp, architecture: string): Promise<string> {
  const found = pattern.exec(await run(["apt-cache", ...(await apt(architecture)), "depends", name], cache));
  if (found === null) throw new Lacking(`Debian's ${name} depends on nothing like ${pattern.source}`);
  return found[0];
}

/** Builds the shim for a target, unless it is newer than its sources. Returns the library's path. */
export async function shimFor(target: string): Promise<string> {
  const shim = join(project, "shim");
  const library = join(shim, "lib", `${target}.so`);
  const newest = Math.max(
    ...readdirSync(shim, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(shim, entry.name)).mtimeMs),
  );
  if (!existsSync(library) || statSync(library).mtimeMs < newest) {
    console.log((await run([process.execPath, join(shim, "build.ts"), target], project)).trimEnd());
  }
  return library;
}

/**
 * A shared library for Linux from one file of C. It is linked with no C library: what it wants of one is found in the process.
 *
 * @param target - What Zig calls the target; one of musl, whose headers do not tie the library to a version.
 * @param more - What else is linked with it.
 */
export async function buildLibrary(
  target: string,
  source: string,
  library: string,
  more: string[] = [],
): Promise<void> {
  const zig = join(project, "node_modules", ".bin", "zig");
  if (!existsSync(zig)) throw new Lacking("no zig: run `bun install` first");
  const object = `${library}.o`;
  const common = [zig, "cc", "-target", target, "-O2"];
  await run([...common, "-fPIC", "-fvisibility=hidden", "-c", source, "-o", object], project);
  await run([...common, "-shared", "-s", "-nostdlib", object, ...more, "-o", library], project);
  rmSync(object);
}

/** patchelf(1), the machine's or Debian's. */
export async function patchelf(...args: string[]): Promise<void> {
  const fetched = async () =>
    join(await fetchDebian("debian-patchelf", ["patchelf"], "amd64"), "usr", "bin", "patchelf");
  await run([Bun.which("patchelf") ?? (await fetched()), ...args], project);
}

/** What the other Bun is, and which libraries it has loaded when the package is. */
interface Loaded {
  version: string;
  platform: string;
  /** The files that are mapped into the process, of which something is code. */
  files: string[];
}

const report = `
  const { readFileSync } = await import("node:fs");
  await import(${JSON.stringify(join(project, "src", "index.ts"))});
  const maps = readFileSync("/proc/self/maps", "utf8").split("\\n");
  const files = maps.flatMap((line) => / [-r][-w]xp .*?(\\/.*)$/.exec(line)?.[1] ?? []);
  console.log(JSON.stringify({
    version: Bun.version,
    platform: process.platform + " " + process.arch,
    files: [...new Set(files)],
  }));`;

/** Loads the package in the other Bun, and tells what that shows. */
export async function load(program: string): Promise<Loaded> {
  return JSON.parse(await run([program, "-e", report], project));
}

/** A line about a library: where it is, and the sum of what is in it. */
export function described(path: string): string {
  const bytes = readFileSync(path);
  const sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  return `${path.replace(`${project}/`, "")} (${bytes.length} bytes, sha256 ${sum.slice(0, 16)}…)`;
}

/**
 * Runs `bun test` in the project's folder; the arguments of this program select files. Gives its exit status.
 *
 * @param shards - In how many processes at once. What several say is shown when they have ended.
 * @param mayRepeat - Whether what failed by then is to be run once more, because it was not the tests' fault.
 */
export async function runTests(
  program: string,
  timeout: number,
  env: Record<string, string> = {},
  shards = 1,
  mayRepeat: () => boolean = () => false,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "bs-shards-"));
  const run = (files: readonly string[], output: number | "inherit"): Promise<number> =>
    Bun.spawn([program, "test", "--timeout", String(timeout), ...files], {
      cwd: project,
      env: { ...process.env, ...env },
      stdio: ["inherit", output, output],
    }).exited;
  const selected = process.argv.slice(2);
  if (shards === 1) return await run(selected, "inherit");
  const path = (shard: number): string => join(folder, String(shard));
  const all = Array.from({ length: shards }, (_, i) => {
    return run([`--shard=${i + 1}/${shards}`, ...selected], openSync(path(i + 1), "w"));
  });
  let status = 0;
  for (const [i, running] of all.entries()) {
    const ended = await running;
    const said = readFileSync(path(i + 1), "utf8");
    const failed = ended !== 0 && mayRepeat() ? filesThatFailed(said) : [];
    if (failed.length === 0) {
      await Bun.write(Bun.stdout, said);
      if (ended !== 0) console.log(`the process ${i + 1} of ${shards} ended with ${ended}`);
      status ||= ended;
      continue;
    }
    // Failures are counted by these lines.
    await Bun.write(Bun.stdout, said.replace(/^\(fail\)/gm, "(failed)").replace(/^( *\d+) fail$/gm, "$1 failed"));
    console.log(`once more: ${failed.join(" ")}`);
    status ||= await run(failed, "inherit");
  }
  rmSync(folder, { recursive: true });
  return status;
}

/** The files of which `bun test` says that a test failed. */
function filesThatFailed(said: string): string[] {
  const files = new Set<string>();
  let file = "";
  for (const line of said.split("\n")) {
    if (/^\d+ tests? failed:$/.test(line)) break; // the same once more
    file = /^(test\/\S+\.ts):$/.exec(line)?.[1] ?? file;
    if (line.startsWith("(fail)") && file !== "") files.add(file);
  }
  return [...files];
}

/** Runs a runner: its exit status is this process's, and what is lacking is said in a line. */
export async function main(runner: () => Promise<number>): Promise<never> {
  try {
    if (process.platform !== "linux" || process.arch !== "x64") throw new Lacking("this runs on Linux x64 alone");
    process.exit(await runner());
  } catch (error) {
    if (!(error instanceof Lacking)) throw error;
    console.error(`cannot run: ${error.message}`);
    process.exit(1);
  }
}
