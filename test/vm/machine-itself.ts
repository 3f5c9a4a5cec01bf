/** test/vm/run.ts: what it promises of a machine. Run by suite.ts, since each machine takes seconds to start. */
import { beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../help.ts";

const project = join(import.meta.dir, "..", "..");

/** Starts the runner, with a folder of its own for temporary files. */
function start(temporary: string, ...args: string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  return Bun.spawn([process.execPath, join(import.meta.dir, "run.ts"), ...args], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function ended(runner: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<[string, string, number]> {
  return await Promise.all([runner.stdout.text(), runner.stderr.text(), runner.exited]);
}

/** The emulators that have a path in their arguments. */
function emulatorsOf(path: string): string[] {
  const all = Array.from(new Bun.Glob("[0-9]*/cmdline").scanSync({ cwd: "/proc" }), (file) => {
    try {
      return readFileSync(join("/proc", file), "utf8");
    } catch {
      return ""; // it has ended
    }
  });
  return all.filter((line) => line.startsWith("/") && line.includes("qemu-system") && line.includes(path));
}

function expectNothingLeft(temporary: string): void {
  expect(readdirSync(temporary)).toEqual([]);
  expect(emulatorsOf(temporary)).toEqual([]);
}

beforeAll(async () => {
  using folder = new Folder();
  await ended(start(folder.path, "--", "true")); // the first one tells what it fetches
}, 600_000);

test.concurrent("the command's status, output and results are those of the runner; nothing is left", async () => {
  using folder = new Folder();
  const [out, temporary] = [folder.file("results/of this"), folder.file("temporary")];
  mkdirSync(temporary);
  const body = `pwd; id -u; echo "to stderr" >&2; mkdir $OUT/deep; echo kept > $OUT/deep/file; echo gone > ${folder.path}/gone; exit 7`;
  const runner = start(temporary, "--out", out, "--", "sh", "-c", body);
  expect(await ended(runner)).toEqual([`${project}\n0\n`, "to stderr\n", 7]);
  expect(await Bun.file(join(out, "deep/file")).text()).toBe("kept\n");
  expect(existsSync(folder.file("gone"))).toBe(false);
  expectNothingLeft(temporary);
});

test.concurrent("the machine's kernel has the address families, and the interfaces, and Bun runs on it", async () => {
  using folder = new Folder();
  const probe = `
    const { AF_ALG, AF_BLUETOOTH, AF_CAN, AF_QIPCRTR, AF_RDS, AF_TIPC, AF_VSOCK, CAN_RAW, if_nameindex, IPPROTO_SCTP,
      SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM, Socket } = await import("./src/index.ts");
    const families = { AF_ALG: [AF_ALG, SOCK_SEQPACKET], AF_BLUETOOTH: [AF_BLUETOOTH, SOCK_RAW, 1],
      AF_CAN: [AF_CAN, SOCK_RAW, CAN_RAW], AF_QIPCRTR: [AF_QIPCRTR, SOCK_DGRAM], AF_RDS: [AF_RDS, SOCK_SEQPACKET],
      AF_TIPC: [AF_TIPC, SOCK_STREAM], AF_VSOCK: [AF_VSOCK, SOCK_STREAM], SCTP: [2, SOCK_STREAM, IPPROTO_SCTP] };
    for (const args of Object.values(families)) new Socket(...args).close();
    console.log(Object.keys(families).join(" "), if_nameindex().map(([, name]) => name).join(" "));
    console.log(await Bun.file("/sys/class/net/vcan1/mtu").text(), await Bun.file("/proc/sys/net/ipv4/ping_group_range").text());`;
  const [stdout, stderr, status] = await ended(start(folder.path, "--", "bun", "-e", probe));
  expect([stderr, status]).toEqual(["", 0]);
  expect(stdout.trim().split(/\s+/)).toEqual([
    ...["AF_ALG", "AF_BLUETOOTH", "AF_CAN", "AF_QIPCRTR", "AF_RDS", "AF_TIPC", "AF_VSOCK", "SCTP"],
    ...["lo", "dummy0", "vcan0", "vcan1", "72", "0", "2147483647"],
  ]);
});

test.concurrent("output comes while the command runs, and a signal ends the machine", async () => {
  using folder = new Folder();
  const runner = start(folder.path, "--", "sh", "-c", "echo started; sleep 1000; echo not this");
  const reader = runner.stdout.getReader();
  const { value } = await reader.read();
  expect(Buffer.from(value!).toString()).toBe("started\n");
  expect(emulatorsOf(folder.path)).toHaveLength(1);
  runner.kill("SIGINT");
  expect(await runner.exited).toBe(130);
  expect((await reader.read()).done).toBe(true);
  expectNothingLeft(folder.path);
});

test.concurrent("a runner that is killed takes the emulator with it", async () => {
  using folder = new Folder();
  const runner = start(folder.path, "--", "sh", "-c", "echo started; sleep 1000");
  await runner.stdout.getReader().read();
  runner.kill("SIGKILL");
  await runner.exited;
  for (let tries = 0; tries < 50 && emulatorsOf(folder.path).length > 0; tries++) await Bun.sleep(100);
  expect(emulatorsOf(folder.path)).toEqual([]);
});

test.concurrent("much output comes whole, and in order", async () => {
  using folder = new Folder();
  const [stdout, stderr, status] = await ended(start(folder.path, "--", "sh", "-c", "seq 300000; seq 300000 >&2"));
  const expected = Array.from({ length: 300_000 }, (_, i) => `${i + 1}\n`).join("");
  expect([stdout === expected, stderr === expected, status]).toEqual([true, true, 0]);
});

test.concurrent("the time limit ends the machine, and what was written until then is there", async () => {
  using folder = new Folder();
  const [out, temporary] = [folder.file("out"), folder.file("temporary")];
  mkdirSync(temporary);
  const body = "echo early | tee $OUT/early; sleep 1000";
  const runner = start(temporary, "--limit", "40", "--out", out, "--", "sh", "-c", body);
  expect(await ended(runner)).toEqual(["early\n", "the machine was stopped after 40 seconds\n", 124]);
  expect(await Bun.file(join(out, "early")).text()).toBe("early\n");
  expectNothingLeft(temporary);
});

test.concurrent("a machine that stops early is told apart, with its console", async () => {
  using folder = new Folder();
  const [stdout, stderr, status] = await ended(start(folder.path, "--", "sh", "-c", "echo b > /proc/sysrq-trigger"));
  expect([stdout, status]).toEqual(["", 125]);
  expect(stderr).toContain("init: the command starts");
  expectNothingLeft(folder.path);
});

test.concurrent("what a command leaves running does not keep the machine", async () => {
  using folder = new Folder();
  const began = performance.now();
  const body = "(sleep 1000; echo not this) & echo done > /dev/stderr";
  expect(await ended(start(folder.path, "--", "sh", "-c", body))).toEqual(["", "done\n", 0]);
  expect(performance.now() - began).toBeLessThan(50_000);
  expectNothingLeft(folder.path);
});

test.concurrent("without QEMU a line says what to install", async () => {
  using folder = new Folder();
  const runner = Bun.spawn([process.execPath, join(import.meta.dir, "run.ts"), "--", "true"], {
    env: { ...process.env, PATH: folder.path },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, status] = await ended(runner);
  expect([stdout, status]).toEqual(["", 1]);
  expect(stderr).toMatch(/^cannot run: .* apt-get install .*qemu-system-x86\n$/);
});
