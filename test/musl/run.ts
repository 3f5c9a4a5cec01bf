/**
 * Runs the tests on a Bun for musl, on a Linux x64 machine whose C library is glibc: `bun run test:musl [files …]`.
 *
 * Bun comes from npm, musl from Debian. That Bun wants a libstdc++.so, which Debian has for glibc alone: one is linked from
 * gcc's libstdc++.a. A copy of Bun has the path of musl's loader and of that library written into it, so that it is a
 * program as any other, which finds itself by `process.execPath` and needs nothing of its environment.
 */
import { chmodSync, copyFileSync, existsSync, globSync } from "node:fs";
import { join } from "node:path";
import {
  buildLibrary,
  bunVersion,
  cached,
  dependencyOf,
  described,
  fetchBun,
  fetchDebian,
  here,
  Lacking,
  load,
  main,
  patchelf,
  runTests,
  shimFor,
} from "../foreign.ts";

const LOADER = "ld-musl-x86_64.so.1";

/** musl's loader, which is its C library, too. */
async function loader(): Promise<string> {
  const own = join("/lib", LOADER);
  if (existsSync(own)) return own;
  return join(await fetchDebian("debian-musl", ["musl"], "amd64"), "lib", "x86_64-linux-musl", "libc.so");
}

/** gcc's libraries to link with. */
async function gccLibraries(): Promise<string> {
  const find = (root: string): string | undefined =>
    globSync(join(root, "usr/lib/gcc/x86_64-linux-gnu/*/libstdc++.a")).sort().at(-1);
  let archive = find("/");
  if (archive === undefined) {
    const gcc = await dependencyOf("g++", /(?<=g\+\+-)\d+/, "amd64");
    archive = find(await fetchDebian(`debian-gcc-${gcc}`, [`libstdc++-${gcc}-dev`, `libgcc-${gcc}-dev`], "amd64"));
  }
  if (archive === undefined) throw new Lacking("no libstdc++.a");
  return join(archive, "..");
}

async function makeBun(folder: string, final: string): Promise<void> {
  const libc = await loader();
  const gcc = await gccLibraries();
  const source = join(import.meta.dir, "libstdc++.c");
  await buildLibrary("x86_64-linux-musl", source, join(folder, "libstdc++.so.6"), [
    ...["-Wl,-soname,libstdc++.so.6", "-Wl,--whole-archive", join(gcc, "libstdc++.a"), "-Wl,--no-whole-archive"],
    ...[join(gcc, "libgcc_eh.a"), join(gcc, "libgcc.a")],
  ]);

  const bun = join(folder, "bun");
  copyFileSync(await fetchBun("bun-linux-x64-musl", "x64"), bun);
  chmodSync(bun, 0o755);
  copyFileSync(libc, join(folder, LOADER));
  chmodSync(join(folder, LOADER), 0o755);
  await patchelf("--set-interpreter", join(final, LOADER), "--set-rpath", final, bun);
}

await main(async () => {
  const library = await shimFor("linux-x64");
  const folder = await cached(`musl-${bunVersion}-${here}`, makeBun);
  const bun = join(folder, "bun");
  const { version, platform, files } = await load(bun);
  const libc = files.find((file) => file.endsWith(LOADER));
  const glibc = files.find((file) => /\/libc\.so\.6$|\/ld-linux/.test(file));
  if (libc === undefined || glibc !== undefined) throw new Lacking(`a Bun on musl: ${files.join(" ")} are loaded`);
  if (!files.includes(library)) throw new Lacking(`${library}, which this Bun did not load`);
  const { stderr } = Bun.spawnSync([libc]); // it tells its version, and how to use it
  console.log(`Bun ${version} for ${platform} on musl ${/Version (\S+)/.exec(stderr.toString())?.[1]}: ${libc}`);
  console.log(`the library that glibc's Bun loads, too: ${described(library)}`);
  return await runTests(bun, 30_000);
});
