/**
 * The doc comments of the source: every exported name has one, and every example in them does what it says.
 */
import { describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { examplesOf, testSnippets } from "./snippets.ts";

const source = join(import.meta.dir, "..", "src");
const read = (file: string): Promise<string> => Bun.file(join(source, file)).text();

const files = [...new Bun.Glob("**/*.ts").scanSync(source)].filter((file) => file !== "constants.ts").sort();
const snippets = (await Promise.all(files.map(async (file) => examplesOf(await read(file), `src/${file}`)))).flat();

describe("examples", () => {
  test("there are some", () => expect(snippets.length).toBeGreaterThan(30));
  testSnippets(snippets);
});

/** What a module exports from others: each name, and the file it comes from. */
function reexports(code: string, file: string): [name: string, file: string][] {
  const lists = code.matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)";/gms);
  return [...lists].flatMap(([, names = "", from = ""]) =>
    names
      .split(",")
      .map((name) => name.trim().replace(/^type /, ""))
      .filter((name) => name !== "")
      .map((name): [string, string] => [name, join(dirname(file), from)]),
  );
}

/** Whether the first declaration of a name stands behind a doc comment; null where the file does not declare it. */
function isDocumented(code: string, name: string): boolean | null {
  const kinds = "(?:declare )?(?:abstract )?(?:async )?(?:function|class|const|let|interface|type)";
  const match = new RegExp(`(\\*/\\n)?export ${kinds} ${name}\\b`).exec(code);
  return match === null ? null : match[1] !== undefined;
}

test.each([
  ["shared.ts", 50],
  ["index.ts", 20],
  ["promises.ts", 20],
  ["bun.ts", 6],
  ["packets.ts", 8],
] as const)("every export of %s has a doc comment", async (module, least) => {
  const exported = reexports(await read(module), module);
  expect(exported.length).toBeGreaterThan(least);
  const undocumented: string[] = [];
  for (const [name, file] of exported) {
    // A name may pass through another file, which exports what it imported.
    const code = await read(file);
    const documented = isDocumented(code, name);
    if (documented !== true)
      undocumented.push(`${name} in ${file}${documented === null ? " (not declared there)" : ""}`);
  }
  expect(undocumented).toEqual([]);
});
