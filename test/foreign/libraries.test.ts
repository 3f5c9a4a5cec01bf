/**
 * The libraries in shim/lib, whatever platform they are for: each offers what shim.h promises and needs what every machine
 * of its platform has. Those that were not built are skipped by name; `bun shim/build.ts --all` builds them.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readGlibc, readLibrary } from "./objects.ts";

const project = join(import.meta.dir, "..", "..");
const shim = join(project, "shim");
const zigLibc = join(project, "node_modules", "@zigc", "lib", "libc");

const promised = [...readFileSync(join(shim, "shim.h"), "utf8").matchAll(/^BS_EXPORT \w+ (bs_\w+)\(/gm)].map(
  ([, name]) => name!,
);
const files = [...readFileSync(join(shim, "build.ts"), "utf8").matchAll(/file: "([^"]+)"/g)].map(([, file]) => file!);

test("shim.h promises functions, and build.ts has targets", () => {
  expect(promised.length).toBeGreaterThan(50);
  expect(new Set(promised).size).toBe(promised.length);
  for (const file of ["linux-x64.so", "linux-arm64.so", "darwin-x64.dylib", "darwin-arm64.dylib", "freebsd-x64.so"]) {
    expect(files).toContain(file);
  }
});

test("native.ts declares just the promised functions", () => {
  const native = readFileSync(join(project, "src", "native.ts"), "utf8");
  const declared = [...native.matchAll(/^ {2}(bs_\w+): \{/gm)].map(([, name]) => name!);
  expect(declared.sort()).toEqual(promised.toSorted());
});

/** What the libraries of a platform may name. */
const needed: Record<string, readonly string[]> = {
  linux: [], // one library for every C library
  darwin: ["/usr/lib/libSystem.B.dylib"],
  freebsd: ["libc.so.7", "libthr.so.3"],
  win32: ["KERNEL32.dll", "WS2_32.dll", "IPHLPAPI.DLL"],
};

/** The oldest glibc that it has to work with, which is older than Bun's. */
const GLIBC = [2, 17] as const;

/** The symbols of musl, from the file that Zig makes its stub of. */
const musl = new Set(
  [...readFileSync(join(zigLibc, "musl", "libc.S"), "utf8").matchAll(/^(\w+):/gm)].map(([, name]) => name!),
);

describe.each(files)("%s", (name) => {
  const path = join(shim, "lib", name);
  const [platform = "", arch = ""] = name.replace(/\.\w+$/, "").split("-");
  const built = existsSync(path)
    ? test
    : (what: string, body: () => void) => test.skip(`${what} (not built here)`, body);

  built("offers what shim.h promises, and nothing else", () => {
    const library = readLibrary(readFileSync(path));
    expect(library.machine).toBe(arch as "x64");
    expect(library.exports.filter((symbol) => symbol.startsWith("bs_")).sort()).toEqual(promised.toSorted());
    const linkers = platform === "darwin" ? ["_mh_dylib_header", "__dso_handle"] : [];
    expect(library.exports.filter((symbol) => !symbol.startsWith("bs_")).sort()).toEqual(linkers.sort());
  });

  built("needs the system's own libraries only", () => {
    const { needs } = readLibrary(readFileSync(path));
    const same = (a: string) => (platform === "win32" ? a.toUpperCase() : a);
    const allowed = needed[platform]?.map(same);
    expect(allowed).toBeDefined();
    expect(needs.filter((library) => !allowed?.includes(same(library)))).toEqual([]);
  });

  if (platform === "linux") {
    built("wants functions that glibc and musl both have", () => {
      const { wants } = readLibrary(readFileSync(path));
      const list = readFileSync(join(zigLibc, "glibc", "abilists"));
      const glibc = readGlibc(list, `${arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`, GLIBC);
      expect(wants).toContain("socket");
      expect(wants.filter((symbol) => !glibc.has(symbol))).toEqual([]);
      expect(wants.filter((symbol) => !musl.has(symbol))).toEqual([]);
      // The lists are read right: what one of them lacks is not in it.
      expect([glibc.has("gnu_get_libc_version"), musl.has("gnu_get_libc_version")]).toEqual([true, false]);
      expect([glibc.has("strlcpy"), musl.has("strlcpy")]).toEqual([false, true]); // glibc has it since 2.38
    });
  }

  if (platform === "darwin") {
    built("can be loaded by macOS 13, which wants arm64's signed", () => {
      const { minimum, isSigned, installName } = readLibrary(readFileSync(path));
      expect(minimum).toBe("13.0");
      if (arch === "arm64") expect(isSigned).toBe(true);
      expect(installName).toBe(`@rpath/${name}`); // not the path of who built it
    });
  }
});
