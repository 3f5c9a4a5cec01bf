// Writes test/foreign/layouts.tsv: how each platform's compiler lays out the structures of structures.ts.
//
//   bun test/foreign/layouts.ts           writes it
//   bun test/foreign/layouts.ts --check   writes nothing; fails if it is not what it would write
//
// Nothing of a foreign platform is run: each structure lies behind a mark in an object file, and its bytes are read there.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Platform, platforms } from "../../constants/by-hand.ts";
import { cc } from "./zig.ts";
import { numbers, others, preludes, vectors } from "./structures.ts";

const table = join(import.meta.dir, "layouts.tsv");

/** What Zig calls the machines of a platform. They have to agree, so that one column serves them. */
const targets: Readonly<Record<Platform, readonly string[]>> = {
  linux: ["x86_64-linux-gnu", "aarch64-linux-gnu", "x86_64-linux-musl"],
  darwin: ["x86_64-macos", "aarch64-macos"],
  win32: ["x86_64-windows-gnu", "aarch64-windows-gnu"],
  freebsd: ["x86_64-freebsd", "aarch64-freebsd"],
  netbsd: ["x86_64-netbsd"], // arm64 aligns control messages to 16 bytes; the addresses are the same
};

/** What a platform has: a name, and its bytes in hexadecimal or its number. */
type Layouts = Map<string, string>;

const MARK = "\n-> ";
const MARK_MAX = 96;

function program(platform: Platform): string {
  const structures = [
    ...vectors.map(({ name, structures }) => [name, structures[platform]] as const),
    ...Object.entries(others).map(([name, structures]) => [name, structures[platform]] as const),
  ];
  let count = 0;
  const record = (name: string, type: string, size: string, value: string) =>
    `__attribute__((used)) const struct { char mark[${MARK_MAX}]; unsigned long long size; ${type} value; } record_${count++} =
      {${JSON.stringify(`${MARK}${name}`)}, ${size}, ${value}};`;
  return [
    preludes[platform],
    "#define BE16(n) __builtin_bswap16(n)",
    "#define BE32(n) __builtin_bswap32(n)",
    ...structures.flatMap(([name, structure]) => {
      if (structure === undefined) return [];
      const [type, fields] = structure;
      return [record(name, type, `sizeof(${type})`, `{${fields}}`)];
    }),
    ...numbers[platform].map((expression) => record(expression, "unsigned long long", "0", expression)),
    "",
  ].join("\n");
}

/** Compiles a program for a target and reads the records out of the object file. */
async function read(path: string, target: string, source: string): Promise<Layouts> {
  await Bun.write(path, source);
  const flags = `-target ${target} -c -O0 -w -fno-sanitize=all`.split(" ");
  const compiler = Bun.spawn([...cc, ...flags, "-o", `${path}.o`, path], {
    stdout: "ignore",
    stderr: "pipe",
  });
  const errors = await new Response(compiler.stderr).text();
  if ((await compiler.exited) !== 0) throw new Error(`zig cc -target ${target} failed:\n${errors}`);
  const object = Buffer.from(await Bun.file(`${path}.o`).arrayBuffer());
  const found: Layouts = new Map();
  for (let at = object.indexOf(MARK); at >= 0; at = object.indexOf(MARK, at + 1)) {
    const name = object.toString("latin1", at + MARK.length, object.indexOf(0, at));
    const size = Number(object.readBigUInt64LE(at + MARK_MAX));
    const value = object.subarray(at + MARK_MAX + 8);
    found.set(name, size > 0 ? value.toString("hex", 0, size) : String(value.readBigUInt64LE()));
  }
  return found;
}

async function readAll(): Promise<Map<Platform, Layouts>> {
  const directory = await mkdtemp(join(tmpdir(), "layouts-"));
  try {
    const all = new Map<Platform, Layouts>();
    for (const platform of platforms) {
      const source = program(platform);
      const layouts = await Promise.all(
        targets[platform].map((target) => read(join(directory, `${target}.c`), target, source)),
      );
      const first = layouts[0]!;
      for (const [i, other] of layouts.entries()) {
        for (const name of new Set([...first.keys(), ...other.keys()])) {
          if (first.get(name) === other.get(name)) continue;
          throw new Error(
            `${name} is ${first.get(name)} on ${targets[platform][0]}, ${other.get(name)} on ${targets[platform][i]}`,
          );
        }
      }
      all.set(platform, first);
    }
    return all;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The table's text, as the compilers would have it. */
export async function writeLayouts(): Promise<string> {
  const all = await readAll();
  const names = [...new Set([...all.values()].flatMap((layouts) => [...layouts.keys()]))];
  const rows = names.map((name) => [name, ...platforms.map((platform) => all.get(platform)?.get(name) ?? "")]);
  return [["name", ...platforms], ...rows].map((row) => `${row.join("\t")}\n`).join("");
}

/** The table: what a platform has, by name. */
export async function readLayouts(platform: Platform): Promise<Layouts> {
  const [head = "", ...rows] = (await Bun.file(table).text()).trimEnd().split("\n");
  const column = head.split("\t").indexOf(platform);
  const found: Layouts = new Map();
  for (const row of rows) {
    const cells = row.split("\t");
    const value = cells[column] ?? "";
    if (value !== "") found.set(cells[0]!, value);
  }
  return found;
}

/** The table as it is. */
export const writtenLayouts = (): Promise<string> => Bun.file(table).text();

if (import.meta.main) {
  const text = await writeLayouts();
  if (!process.argv.includes("--check")) await Bun.write(table, text);
  else if ((await writtenLayouts()) !== text) {
    console.error("test/foreign/layouts.tsv is stale: run bun test/foreign/layouts.ts");
    process.exitCode = 1;
  }
}
