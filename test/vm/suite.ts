/**
 * Runs the tests in the machine that has every address family, and tells which of them ran nowhere else:
 * `bun run test:vm [files …]`.
 *
 * They run here first, so that there is a report of both machines. At the end stand the tests that one of them skipped, or
 * both, and a table of the address families. A file gets a row in it by its folder,
 * test/families, or by a line `Peers: …` in its first comment, which names the programs and libraries that it compares with.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fetchDebian, main } from "../foreign.ts";
import { findQemu, runInside } from "./machine.ts";

const project = join(import.meta.dir, "..", "..");

/** How many times longer everything may take inside; with that, what is drawn at random has as many times fewer rounds. */
const SLOWNESS = 10;

/** The seconds that the tests may take inside. */
const LIMIT = 50 * 60;

interface Result {
  file: string;
  /** With the names of its groups, and without the reason for which it is skipped. */
  name: string;
  outcome: "passed" | "failed" | "skipped";
  seconds: number;
}

const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

/** What a report in JUnit's form has. */
function results(path: string): Result[] {
  const cases = readFileSync(path, "utf8").matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs);
  return Array.from(cases, ([, attributes = "", content = ""]) => {
    const value = (name: string): string =>
      (new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1] ?? "").replace(
        /&(?:#(\d+)|(\w+));/g,
        (whole, number?: string, entity?: string) =>
          number !== undefined ? String.fromCodePoint(Number(number)) : (entities[entity!] ?? whole),
      );
    const name = [value("classname"), value("name")].filter(Boolean).join(" > ");
    return {
      file: value("file"),
      name: name.replace(/ \(no .* here\)$/, ""),
      outcome: content.includes("<skipped") ? "skipped" : content.includes("<failure") ? "failed" : "passed",
      seconds: Number(value("time")),
    };
  });
}

const key = ({ file, name }: Result): string => `${file}: ${name}`;
const count = (all: Result[], outcome: Result["outcome"]): number =>
  all.filter((result) => result.outcome === outcome).length;
const summary = (all: Result[]): string =>
  (["passed", "failed", "skipped"] as const).map((outcome) => `${count(all, outcome)} ${outcome}`).join(", ");

/** What a test file says of its peers in its first comment. */
function peersOf(file: string): string | undefined {
  const [comment = ""] = /^\/\*\*.*?\*\//s.exec(readFileSync(join(project, file), "utf8")) ?? [];
  return /\bPeers: (.*?)\.?\s*(?:\*\/|$)/m.exec(comment)?.[1];
}

function table(rows: (string | number)[][]): string {
  const width = (column: number): number => Math.max(...rows.map((row) => String(row[column]).length));
  return rows
    .map((row) =>
      row
        .map((cell, column) => String(cell).padEnd(width(column)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Tells what ran where; whether each test of an address family ran in the machine, which is there for them. */
function tell(here: Result[], inside: Result[]): boolean {
  const ranHere = new Set(here.filter(({ outcome }) => outcome !== "skipped").map(key));
  const skippedHere = new Set(here.filter(({ outcome }) => outcome === "skipped").map(key));
  const there = (outcome: (outcome: Result["outcome"]) => boolean): string[] =>
    inside.filter((result) => skippedHere.has(key(result)) && outcome(result.outcome)).map(key);
  const list = (title: string, keys: string[]): void => {
    console.log(`\n${title}: ${keys.length === 0 ? "none" : keys.length}`);
    for (const line of keys) console.log(`  ${line}`);
  };
  list(
    "Ran in the machine alone",
    there((outcome) => outcome !== "skipped"),
  );
  list(
    "Skipped here and there",
    there((outcome) => outcome === "skipped"),
  );

  list(
    "Skipped in the machine alone",
    inside.filter((result) => result.outcome === "skipped" && ranHere.has(key(result))).map(key),
  );

  const files = [...new Set(inside.map(({ file }) => file))].sort();
  const rows = files.flatMap((file): (string | number)[][] => {
    const peers = peersOf(file);
    if (peers === undefined && basename(dirname(file)) !== "families") return [];
    const own = inside.filter((result) => result.file === file);
    const alone = own.filter((result) => result.outcome !== "skipped" && skippedHere.has(key(result))).length;
    const skipped = count(own, "skipped");
    return [[basename(file, ".test.ts"), own.length - skipped, alone, skipped, peers ?? "none"]];
  });
  if (rows.length > 0) console.log(`\n${table([["family", "run", "there alone", "skipped", "peers"], ...rows])}`);

  const slowest = files
    .map((file) => [file, inside.reduce((sum, one) => sum + (one.file === file ? one.seconds : 0), 0)] as const)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 5);
  console.log(
    `\nThe slowest inside: ${slowest.map(([file, seconds]) => `${file} ${seconds.toFixed(0)} s`).join(", ")}`,
  );
  console.log(`Here: ${summary(here)}. In the machine: ${summary(inside)}.`);
  const left = inside.filter(({ file, outcome }) => outcome === "skipped" && basename(dirname(file)) === "families");
  if (left.length > 0) list("Of address families, but skipped in the machine, which has them all", left.map(key));
  return left.length === 0;
}

/** The folder of the python3 that a launcher such as pyenv's would find: in the machine launchers take seconds. */
function pythonFolder(): string[] {
  if (Bun.which("python3") === null) return [];
  const { stdout } = Bun.spawnSync(["python3", "-c", "import os, sys; print(os.path.dirname(sys.executable))"]);
  return [stdout.toString().trim()];
}

/** The packages of Debian whose programs are peers of tests; a test that does not find its peer is skipped. */
const PEERS = ["can-utils"];

/** The folders of the peers' programs, which are unpacked in the cache. */
async function peerFolders(): Promise<string[]> {
  const folders: string[] = [];
  for (const name of PEERS) folders.push(join(await fetchDebian(`debian-${name}`, [name], "amd64"), "usr", "bin"));
  return folders;
}

await main(async () => {
  const files = process.argv.slice(2);
  const work = mkdtempSync(join(tmpdir(), "bs-vm-suite-"));
  const command = (folder: string, slowness: number): string[] => [
    ...["bun", "test", "--timeout", String(30_000 * slowness)],
    ...["--reporter=junit", `--reporter-outfile=${folder}/junit.xml`, ...files],
  ];
  const step = async (title: string, run: () => Promise<number>): Promise<boolean> => {
    console.log(`--- ${title}`);
    const began = performance.now();
    const status = await run();
    console.log(`--- ended with ${status} after ${((performance.now() - began) / 1000).toFixed(0)} s`);
    return status === 0;
  };
  const bun = async (args: string[]): Promise<number> =>
    await Bun.spawn([process.execPath, ...args], { cwd: project, stdio: ["ignore", "inherit", "inherit"] }).exited;
  try {
    findQemu();
    const peers = await peerFolders();
    const good = [
      files.length > 0 ||
        (await step("the machine itself", () =>
          bun(["test", "--timeout", "120000", "--max-concurrency=2", "./test/vm/machine-itself.ts"]),
        )),
      await step("the tests here", () => bun(command(work, 1).slice(1))),
      await step("the tests in the machine", () =>
        runInside(command("/run/vm/out", SLOWNESS), {
          out: join(work, "inside"),
          limit: LIMIT,
          path: [...pythonFolder(), ...peers],
          env: { BS_TEST_SLOWNESS: String(SLOWNESS) },
        }),
      ),
    ];
    const isWhole = tell(results(join(work, "junit.xml")), results(join(work, "inside", "junit.xml")));
    return isWhole && good.every(Boolean) ? 0 : 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});
