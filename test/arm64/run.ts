/**
 * Runs the tests on a Bun for Linux arm64, in the emulator of QEMU that runs single programs (qemu-user), on a Linux x64
 * machine: `bun run test:arm64 [files …]`.
 *
 * Bun comes from npm; the emulator and the C library for arm64 come from Debian. The machine's kernel stays as it is, and so
 * runs no program for arm64 by itself: Bun is started by a shell script, and launch.ts makes `process.execPath` name it.
 */
import { chmodSync, copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import {
  buildLibrary,
  bunVersion,
  cached,
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

// How many times longer a test may take.
const SLOWNESS = 10;

async function emulator(): Promise<string> {
  const name = "qemu-aarch64-static";
  return (
    Bun.which(name) ??
    join(
      await fetchDebian("debian-qemu-user-static", ["qemu-user-static"], "amd64", `usr/bin/${name}`),
      "usr/bin",
      name,
    )
  );
}

/** A Bun that loads the library of mprotect.c before the C library. */
async function makeBun(folder: string, final: string): Promise<void> {
  const library = "mprotect.so";
  await buildLibrary("aarch64-linux-musl", join(import.meta.dir, "mprotect.c"), join(folder, library));
  const bun = join(folder, "bun");
  copyFileSync(await fetchBun("bun-linux-aarch64", "arm64"), bun);
  chmodSync(bun, 0o755);
  // With the pages of 64 KiB that patchelf takes by itself, the emulator cannot run the outcome.
  await patchelf("--page-size", "4096", "--add-needed", join(final, library), bun);
}

/** How long a process may take from its making to the program that it is for, in seconds. */
const FORK_LIMIT = 30;

/**
 * Ends the children of the emulator that never become another program. It forks where the program asks for a process that
 * shares its memory, and a lock that another thread held in that moment is never given back in the child. How many.
 */
function endStuckForks(qemu: string): () => number {
  let seen = new Map<number, number>();
  let ended = 0;
  const commandOf = (pid: number | string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "latin1");
    } catch {
      return ""; // it has ended
    }
  };
  const look = (): void => {
    const before = seen;
    seen = new Map();
    for (const name of readdirSync("/proc")) {
      const pid = Number(name);
      if (!Number.isInteger(pid)) continue;
      const command = commandOf(pid);
      if (!command.startsWith(`${qemu}\0`)) continue;
      let parent = "0";
      try {
        parent = /\) . (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))![1]!;
      } catch {
        continue;
      }
      if (commandOf(parent) !== command) continue;
      const since = before.get(pid) ?? performance.now();
      if (performance.now() - since < FORK_LIMIT * 1000) {
        seen.set(pid, since);
        continue;
      }
      console.log(`the emulator has not got process ${pid} beyond its fork in ${FORK_LIMIT} s: it is ended`);
      process.kill(pid, "SIGKILL");
      ended++;
    }
  };
  setInterval(look, 5000).unref();
  return () => ended;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

await main(async () => {
  const library = await shimFor("linux-arm64");
  const qemu = await emulator();
  const root = await fetchDebian("debian-libc6-arm64", ["libc6"], "arm64");
  const folder = await cached(`arm64-${bunVersion}-${here}`, makeBun);
  const launcher = join(folder, "bun.sh");
  const preload = `"--preload=${join(import.meta.dir, "launch.ts")}"`;
  // The emulator copies control messages onto its stack, whatever their length, and ends where they do not fit.
  writeFileSync(
    launcher,
    `#!/bin/sh
BS_TEST_LAUNCHER=${quoted(launcher)}
BUN_OPTIONS=${quoted(preload)}
export BS_TEST_LAUNCHER BUN_OPTIONS
ulimit -s 524288 2>/dev/null || :
exec ${[qemu, "-L", root, join(folder, "bun")].map(quoted).join(" ")} "$@"
`,
  );
  chmodSync(launcher, 0o755);

  const { version, platform, files } = await load(launcher);
  if (!files.includes(library)) throw new Lacking(`${library}, which this Bun did not load`);
  const [about] = Bun.spawnSync([qemu, "--version"]).stdout.toString().split("\n");
  console.log(`Bun ${version} for ${platform} in ${about}`);
  console.log(`the library: ${described(library)}`);
  console.log(`the C library: ${files.find((file) => file.includes("/libc.so"))}`);
  console.log(`everything may take ${SLOWNESS} times as long (BS_TEST_SLOWNESS)`);
  const shards = process.argv.length > 2 ? 1 : Math.min(2, availableParallelism());
  const stuckForks = endStuckForks(qemu);
  const env = { BS_TEST_SLOWNESS: String(SLOWNESS) };
  return await runTests(launcher, 30_000 * SLOWNESS, env, shards, () => stuckForks() > 0);
});
