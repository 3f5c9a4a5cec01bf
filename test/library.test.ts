/** Which library is loaded, and what is said of one that does not fit. */
import { expect } from "bun:test";
import { join } from "node:path";
import { errorsOf, Folder, isLinux, needs } from "./help.ts";
import { cc, hasZig } from "./foreign/zig.ts";

const project = join(import.meta.dir, "..");

/** What a process prints that imports the package with the variable set. */
function importWith(library: string): { status: number; output: string } {
  const code = `await import(${JSON.stringify(join(project, "src", "index.ts"))}); console.log("imported");`;
  const env = { ...process.env, BERKELEY_SOCKETS_LIBRARY: library };
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "-e", code], { env });
  return { status: exitCode, output: `${stdout}${errorsOf(stderr.toString())}` };
}

const whatToDo = "or set BERKELEY_SOCKETS_LIBRARY to the path of a library that you built";

const everywhere = needs("Bun", true);
everywhere("an empty variable names no library", () => {
  expect(importWith("")).toEqual({ status: 0, output: "imported\n" });
});

everywhere("a library that is not there, or is none", () => {
  using folder = new Folder();
  for (const path of [folder.file("missing"), import.meta.path]) {
    const { status, output } = importWith(path);
    expect(output).toContain(`berkeley-sockets: the library at ${path} cannot be loaded (`);
    expect(output).toContain(whatToDo);
    expect(status).toBe(1);
  }
});

const compiler = needs("Zig for Linux x64", isLinux && process.arch === "x64" && hasZig);

/** Compiles a library of some C, as shim/build.ts does: an object first, then the link without a C library. */
async function compile(folder: Folder, source: string): Promise<string> {
  await Bun.write(folder.file("other.c"), source);
  const library = folder.file("other.so");
  const zigCc = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync([...cc, "-target", "x86_64-linux-musl", "-O2", ...args]);
    if (exitCode !== 0) throw new Error(stderr.toString());
  };
  zigCc("-fPIC", "-I", join(project, "shim"), "-c", folder.file("other.c"), "-o", folder.file("other.o"));
  zigCc("-shared", "-nostdlib", folder.file("other.o"), "-o", library);
  return library;
}

compiler("a library that lacks functions", async () => {
  using folder = new Folder();
  const library = await compile(folder, "int bs_start(void) { return 1; }");
  const { status, output } = importWith(library);
  expect(output).toMatch(/berkeley-sockets: the library at .*other\.so cannot be loaded \(.*bs_/);
  expect(output).toContain(whatToDo);
  expect(status).toBe(1);
});

compiler("a library of another version", async () => {
  using folder = new Folder();
  const source = `#include "shim.h"\n#undef BS_VERSION\n#define BS_VERSION 77\n#include "posix.c"\n`;
  const { status, output } = importWith(await compile(folder, source));
  expect(output).toMatch(/the library at .*other\.so is of version 77, this package wants \d+\./);
  expect(output).toContain(whatToDo);
  expect(status).toBe(1);
});
