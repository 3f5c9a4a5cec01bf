/**
 * What the import of the library costs a program, beside that of `node:dgram`:
 *
 *   bun bench/import.ts [--rounds 31]
 *
 * Each round starts a process for each row, one after the other. The process tells how long it ran until its imports were
 * there, by its own clock; the program that imports nothing is taken off. The package is made first, because its modules are
 * bundled and those of the sources are not.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "31" } } });
const rounds = Number(values.rounds);
const project = join(import.meta.dir, "..");
const packed = join(project, "dist", "lib", "index.js");

if (!existsSync(packed)) {
  const pack = Bun.spawnSync([process.execPath, "run", "pack"], { cwd: project, stderr: "inherit" });
  if (pack.exitCode !== 0) process.exit(1);
}

const rows: Record<string, string> = {
  nothing: "",
  "node:dgram": `import { createSocket } from "node:dgram"; globalThis.used = [createSocket];`,
  "the package": `import { AF_INET, Socket } from ${JSON.stringify(packed)}; globalThis.used = [AF_INET, Socket];`,
  "the sources": `import { AF_INET, Socket } from ${JSON.stringify(join(project, "src", "index.ts"))}; globalThis.used = [AF_INET, Socket];`,
};

const folder = mkdtempSync(join(tmpdir(), "bs-import-"));
const times: Record<string, number[]> = {};
try {
  for (const [name, code] of Object.entries(rows)) {
    await Bun.write(join(folder, `${name.replace(/\W/g, "-")}.mjs`), `${code}\nconsole.log(performance.now());\n`);
    times[name] = [];
  }
  for (let round = 0; round < rounds; round++) {
    for (const name of Object.keys(rows)) {
      const { stdout } = Bun.spawnSync([process.execPath, join(folder, `${name.replace(/\W/g, "-")}.mjs`)]);
      times[name]!.push(Number(stdout.toString()));
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const median = (list: number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1]!;
const least = (list: number[]): number => Math.min(...list);
console.log(`Milliseconds that an import takes, of ${rounds} rounds: median (least)`);
for (const name of Object.keys(rows).slice(1)) {
  const cost = (of: (list: number[]) => number) => (of(times[name]!) - of(times["nothing"]!)).toFixed(1);
  console.log(`${name.padEnd(12)} ${cost(median).padStart(6)}  (${cost(least)})`);
}
