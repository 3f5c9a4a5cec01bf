/**
 * Builds the shim with Zig: `bun shim/build.ts` for this machine, `bun shim/build.ts linux-arm64 …` for others, `--all`
 * for every one of the table.
 *
 * A target is a row of the table: what Zig calls it, the file it makes, the source and the libraries it is linked with.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

interface Target {
  /** What Zig calls it. */
  zig: string;
  /** The library's file name in shim/lib/. */
  file: string;
  source: string;
  link: string[];
}

// One Linux library serves glibc and musl: compiled against musl's headers and linked with no C library at all, so that
// nothing is NEEDED and every symbol binds to the C library that Bun itself runs on.
const linux = { source: "posix.c", link: ["-nostdlib"] };

// A Windows library without the C runtime builds in a second, where Zig would compile mingw's for a minute, and is small.
// -Brepro: a hash of its bytes in place of the time, so that the same source gives the same library.
const windows = {
  source: "windows.c",
  link: ["-nostdlib", "-Wl,-Brepro", "-lws2_32", "-liphlpapi", "-lkernel32"],
};

const targets: Record<string, Target> = {
  "linux-x64": { zig: "x86_64-linux-musl", file: "linux-x64.so", ...linux },
  "linux-arm64": { zig: "aarch64-linux-musl", file: "linux-arm64.so", ...linux },
  "darwin-x64": {
    zig: "x86_64-macos.13.0",
    file: "darwin-x64.dylib",
    source: "posix.c",
    link: ["-install_name", "@rpath/darwin-x64.dylib"],
  },
  "darwin-arm64": {
    zig: "aarch64-macos.13.0",
    file: "darwin-arm64.dylib",
    source: "posix.c",
    link: ["-install_name", "@rpath/darwin-arm64.dylib"],
  },
  "freebsd-x64": { zig: "x86_64-freebsd", file: "freebsd-x64.so", source: "posix.c", link: [] },
  "freebsd-arm64": { zig: "aarch64-freebsd", file: "freebsd-arm64.so", source: "posix.c", link: [] },
  "win32-x64": { zig: "x86_64-windows-gnu", file: "win32-x64.dll", ...windows },
  "win32-arm64": { zig: "aarch64-windows-gnu", file: "win32-arm64.dll", ...windows },
};

const here = import.meta.dir;
const lib = join(here, "lib");
const zig = join(here, "..", "node_modules", ".bin", process.platform === "win32" ? "zig.exe" : "zig");

async function run(args: string[]): Promise<void> {
  const child = Bun.spawn([zig, "cc", ...args], { stdout: "inherit", stderr: "inherit" });
  const status = await child.exited;
  if (status !== 0) throw new Error(`zig cc ${args.join(" ")}: exit ${status}`);
}

async function build(name: string): Promise<void> {
  const target = targets[name];
  if (target === undefined) {
    throw new Error(`no target ${name} (there are ${Object.keys(targets).join(", ")})`);
  }
  // Objects and the unfinished library lie in a folder of their own: two builds at once do not disturb each other, and a
  // process that has the old library open keeps it.
  const work = mkdtempSync(join(tmpdir(), "berkeley-sockets-"));
  const object = join(work, "shim.o");
  const library = join(work, target.file);
  const started = performance.now();
  try {
    const warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    await run([
      "-target",
      target.zig,
      "-O2",
      "-fPIC",
      "-fvisibility=hidden",
      ...warnings,
      "-c",
      join(here, target.source),
      "-o",
      object,
    ]);
    await run(["-target", target.zig, "-shared", "-s", ...target.link, object, "-o", library]);
    mkdirSync(lib, { recursive: true });
    const final = join(lib, target.file);
    const next = `${final}.${process.pid}`;
    await Bun.write(next, Bun.file(library));
    renameSync(next, final);
    const ms = (performance.now() - started).toFixed(0);
    console.log(`shim/lib/${target.file}  ${statSync(final).size} bytes  ${ms} ms`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (!existsSync(zig)) {
  console.error(`${dirname(zig)} has no zig: run \`bun install\` first`);
  process.exit(1);
}
const named = process.argv.slice(2);
const host = `${process.platform}-${process.arch}`;
for (const name of named.includes("--all") ? Object.keys(targets) : named.length > 0 ? named : [host])
  await build(name);
