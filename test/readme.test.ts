/**
 * README.md tells the truth: its programs run and print what it says, its links lead somewhere, the names in its tables
 * are there, and those that are said to come are not.
 */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { familyOf } from "../src/families/index.ts";
import { other } from "../src/families/other.ts";
import * as sockets from "../src/index.ts";
import { blocksOf, testSnippets } from "./snippets.ts";

const project = join(import.meta.dir, "..");
const readme = await Bun.file(join(project, "README.md")).text();

describe("programs", () => {
  const snippets = blocksOf(readme, "README.md");
  test("there are some", () => expect(snippets.length).toBeGreaterThan(8));
  testSnippets(snippets);
});

test("every link within the project leads to a file", () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path]) => path!);
  expect(links.length).toBeGreaterThan(5);
  expect(links.filter((path) => !existsSync(join(project, path)))).toEqual([]);
});

test("every example is linked or is part of the quickstart", () => {
  const examples = [...new Bun.Glob("examples/*.ts").scanSync(project)].map((path) => path.replaceAll("\\", "/"));
  const relatives = /examples\/(quickstart|echo-)/; // echo-server.ts names its relatives
  expect(examples.filter((path) => !relatives.test(path) && !readme.includes(`](${path})`))).toEqual([]);
});

test("every script that it names is in package.json", async () => {
  const { scripts } = await Bun.file(join(project, "package.json")).json();
  const named = [...readme.matchAll(/\bbun(?:@[\d.]+)? run ([\w:]+)/g)].map(([, name]) => name!);
  expect(named).toContain("quickstart");
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

describe("coming from Python", () => {
  const exported = new Set([...Object.keys(sockets), ...Object.getOwnPropertyNames(sockets.Socket.prototype)]);

  /** A name is there; `SO_*` is where any name begins like that. */
  function exists(name: string): boolean {
    if (!name.endsWith("*")) return exported.has(name);
    return [...exported].some((known) => known.startsWith(name.slice(0, -1)) && known.length > name.length - 1);
  }

  /** The rows of the tables below a heading: what Python has, what is here. */
  function rows(heading: string): [python: string, here: string][] {
    const section = readme.split(`\n### ${heading}\n`)[1]?.split(/\n##/)[0] ?? "";
    const lines = section.split("\n").filter((line) => line.startsWith("| "));
    return lines.slice(2).map((line) => {
      const [, python = "", here = ""] = line.split("|").map((cell) => cell.trim());
      return [python, here];
    });
  }

  /** The names that a cell begins its code with: `` `new Socket(family)` `` is Socket. */
  function names(cell: string): string[] {
    return [...cell.matchAll(/`(?:new )?([A-Za-z_]\w*\*?)[^`]*`/g)].map(([, name]) => name!);
  }

  const headings = ["Creating sockets", "Functions", "Methods and attributes of a socket", "Exceptions", "Constants"];
  test.each(headings)("%s: each name is there", (heading) => {
    const missing: string[] = [];
    let checked = 0;
    for (const [python, here] of rows(heading)) {
      if (here.includes("/promises")) continue; // no name of this module
      const [first = "", ...more] = names(here.startsWith("the same") ? python : here);
      const expected = here.startsWith("the same") || /^(`\w+`(, )?)+$/.test(here) ? [first, ...more] : [first];
      checked += expected.length;
      missing.push(...expected.filter((name) => !exists(name)).map((name) => `${name}: ${here}`));
    }
    expect(checked).toBeGreaterThan(5);
    expect(missing).toEqual([]);
  });

  test("each family has addresses of its own", () => {
    const exports: Record<string, unknown> = sockets;
    const wrong: string[] = [];
    for (const [families] of rows("Families and addresses")) {
      for (const name of names(families).filter((name) => name.startsWith("AF_"))) {
        const family = exports[name];
        if (typeof family !== "number") continue; // this platform lacks it
        if (familyOf(family) === other) wrong.push(name);
      }
    }
    expect(wrong).toEqual([]);
  });
});
