/**
 * A machine with a kernel that has every address family, to run commands in: Debian's kernel in QEMU, with the host's root
 * directory under an overlay in RAM. It emulates the processor, so that it needs no rights and no /dev/kvm.
 *
 * Of the host it wants QEMU alone; the kernel and the rest are Debian's packages, unpacked in the cache.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { cached, dependencyOf, fetchDebian, Lacking } from "../foreign.ts";

const project = join(import.meta.dir, "..", "..");

/** The modules that reach the host's root directory. */
const BOOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/** The modules of the address families, their protocols and their devices. */
const FAMILY_MODULES = [
  ...["can", "can-raw", "can-bcm", "can-isotp", "can-j1939", "vcan"],
  ...["af_alg", "algif_hash", "algif_skcipher", "algif_aead", "algif_rng"],
  ...["bluetooth", "rfcomm", "hci_vhci"],
  ...["vsock", "vsock_loopback"],
  ...["tipc", "qrtr", "rds", "rds_tcp", "crc32c_generic", "sctp", "dccp_ipv4", "dccp_ipv6"],
  "dummy",
];

/** The modules that no test will load, and that take the most space. */
const UNUSED = [
  "sound",
  "drivers/gpu",
  "drivers/media",
  "drivers/scsi",
  "drivers/net/ethernet",
  "drivers/net/wireless",
];

/** What a command inside ends with when its time is over, as with timeout(1). */
export const TIMED_OUT = 124;

/** What a command inside ends with when the machine stopped before it. */
export const BROKEN = 125;

interface Machine {
  kernel: string;
  /** What is /lib/modules inside. */
  modules: string;
  version: string;
  busybox: string;
  btvirt: string;
  /** The folder of BlueZ's programs. */
  bluez: string;
  /** The folder of lksctp-tools and its library. */
  sctp: string;
}

/** Runs a function while no other process does: flock(1) has the lock until it ends, at the latest with this process. */
async function alone<T>(body: () => Promise<T>): Promise<T> {
  const command = ["flock", "--no-fork", import.meta.path, "sh", "-c", "echo locked; exec cat"];
  const holder = Bun.spawn(command, { stdin: "pipe", stdout: "pipe" });
  try {
    await holder.stdout.getReader().read();
    return await body();
  } finally {
    holder.kill();
  }
}

/** A program of a package of Debian: its path. */
async function fetchProgram(name: string, path: string): Promise<string> {
  return join(await fetchDebian(`debian-${name}`, [name], "amd64", path), path);
}

/** Fetches what the machine is made of, and prepares it, unless that was done before. */
async function prepare(): Promise<Machine> {
  const busybox = await fetchProgram("busybox-static", "bin/busybox");
  const btvirt = await fetchProgram("bluez-test-tools", "usr/bin/btvirt");
  const bluez = await fetchDebian("debian-bluez", ["bluez"], "amd64");
  const sctp = await fetchDebian("debian-lksctp-tools", ["lksctp-tools", "libsctp1"], "amd64");
  const folder = await cached("vm-kernel", async (work) => {
    const xz = await fetchProgram("xz-utils", "usr/bin/xz");
    const name = await dependencyOf("linux-image-amd64", /linux-image-\d\S*/, "amd64");
    const version = name.slice("linux-image-".length);
    const unpacked = await fetchDebian("vm-kernel-package", [name], "amd64");
    const image = readFileSync(join(unpacked, "boot", `vmlinuz-${version}`));
    writeFileSync(join(work, "vmlinux"), decompress(image, xz));
    renameSync(join(unpacked, "lib"), join(work, "lib"));
    const modules = join(work, "lib", "modules", version);
    for (const path of UNUSED) rmSync(join(modules, "kernel", path), { recursive: true });
    run([busybox, "depmod", "-b", work, version]);
    // The kernel asks modprobe often, for families that it has not: without the names of devices that is quicker.
    const aliases = readFileSync(join(modules, "modules.alias"), "utf8").split("\n");
    writeFileSync(join(modules, "modules.alias"), aliases.filter((line) => !line.includes(":")).join("\n"));
    rmSync(join(modules, "modules.symbols"));
    rmSync(unpacked, { recursive: true });
  });
  const modules = join(folder, "lib", "modules");
  const [version] = readdirSync(modules) as [string];
  return { kernel: join(folder, "vmlinux"), modules, version, busybox, btvirt, bluez, sctp };
}

function run(command: string[], input?: Buffer): Buffer {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { stdin: input ?? null });
  if (exitCode !== 0) throw new Lacking(`${basename(command[0]!)} ended with ${exitCode}: ${stderr.toString().trim()}`);
  return stdout;
}

/**
 * The kernel that is in a file of the form that boot loaders expect. It starts in a third of the time: no BIOS runs, and
 * nothing is decompressed by an emulated processor.
 */
function decompress(image: Buffer, xz: string): Buffer {
  // The header of https://docs.kernel.org/arch/x86/boot.html: setup_sects, payload_offset, payload_length.
  const start = (image.readUInt8(0x1f1) + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4); // its length follows the stream
  if (!payload.toString("latin1").startsWith("\xfd7zXZ\0")) return image; // QEMU boots this, too
  return run([xz, "-dc"], payload);
}

/** The files of modules and of all that they depend on, in the order to load them. */
function inOrder({ modules, version }: Machine, names: string[]): string[] {
  const lines = readFileSync(join(modules, version, "modules.dep"), "utf8")
    .trim()
    .split("\n");
  const dependencies = new Map(lines.map((line) => line.split(/: */) as [string, string]));
  const byName = new Map(
    [...dependencies.keys()].map((path) => [
      basename(path)
        .replace(/\.ko.*/, "")
        .replaceAll("-", "_"),
      path,
    ]),
  );
  const found = new Set<string>();
  const visit = (path: string): void => {
    for (const dependency of dependencies.get(path)?.split(" ").filter(Boolean) ?? []) visit(dependency);
    found.add(path);
  };
  for (const name of names) {
    const path = byName.get(name.replaceAll("-", "_"));
    if (path !== undefined) visit(path); // what is built into the kernel, or not in it, has no file
  }
  return [...found].map((path) => join(modules, version, path));
}

/** An entry of an archive: a file's content, or nothing for a folder. */
type Entry = [path: string, content?: Uint8Array | string];

/** A cpio archive as the kernel unpacks it into its initial RAM disk; all files are programs. */
function archive(entries: Entry[]): Buffer {
  const parts: Uint8Array[] = [];
  const pad = (size: number): Uint8Array => new Uint8Array(-size & 3);
  const add = (path: string, mode: number, content: Uint8Array, device: [number, number]): void => {
    const name = Buffer.from(`${path}\0`);
    const fields = [parts.length + 1, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length, 0];
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
    parts.push(header, name, pad(header.length + name.length), content, pad(content.length));
  };
  for (const [path, content] of entries) {
    if (content === undefined) add(path, 0o40755, new Uint8Array(), [0, 0]);
    else add(path, 0o100755, typeof content === "string" ? Buffer.from(content) : content, [0, 0]);
  }
  add("dev/console", 0o20600, new Uint8Array(), [5, 1]);
  add("TRAILER!!!", 0, new Uint8Array(), [0, 0]);
  return Buffer.concat(parts);
}

function initialRamDisk(machine: Machine): Buffer {
  const modules = inOrder(machine, [...BOOT_MODULES, ...FAMILY_MODULES]);
  return archive([
    ...["bin", "dev", "host", "modules", "proc", "ram", "root"].map((path): Entry => [path]),
    ["bin/busybox", readFileSync(machine.busybox)],
    ["init", readFileSync(join(import.meta.dir, "init"))],
    ["modules/order", modules.map((path) => basename(path)).join("\n")],
    ...modules.map((path): Entry => [`modules/${basename(path)}`, readFileSync(path)]),
  ]);
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export interface Options {
  /** A folder of the host that is `$OUT` inside; it is made where it is not. Without one, what is written there is lost. */
  out?: string | undefined;
  /** The seconds that all may take, the start of the machine included. */
  limit?: number | undefined;
  /** The machine's memory in MiB, which holds the files that are written, too. */
  memory?: number | undefined;
  /** Folders to look for programs in first. */
  path?: string[];
  /** Variables for the command, beside PATH, HOME, LANG, TERM, OUT, and BTVIRT, the path of BlueZ's emulator. */
  env?: Record<string, string>;
  /** Whether to show the machine's console. */
  verbose?: boolean | undefined;
}

/** A script of the shell that runs the command as it would run here. */
function script(command: string[], { btvirt, bluez, sctp }: Machine, { path = [], env = {} }: Options): string {
  const { PATH = "", HOME = "/", LANG = "C.UTF-8", TERM = "dumb" } = process.env;
  const programs = [join(project, "node_modules", ".bin"), ...path, PATH].join(":");
  const all = {
    PATH: programs,
    HOME,
    LANG,
    TERM,
    OUT: "/run/vm/out",
    BTVIRT: btvirt,
    BLUEZ: bluez,
    LKSCTP: sctp,
    ...env,
  };
  const lines = Object.entries(all).map(([name, value]) => `export ${name}=${quoted(value)}`);
  return [...lines, `cd ${quoted(project)} && exec ${command.map(quoted).join(" ")}`, ""].join("\n");
}

/** Writes what a file gets to one of our descriptors, until the machine is off. */
async function follow(path: string, to: Bun.BunFile, isOff: () => boolean): Promise<void> {
  for (let at = 0; ;) {
    const last = isOff(); // asked first: what comes before the end is read after it
    const part = await Bun.file(path).slice(at).bytes();
    at += part.length;
    if (part.length > 0) await Bun.write(to, part);
    else if (last) return;
    else await Bun.sleep(30);
  }
}

/**
 * The emulator.
 *
 * @throws Lacking where there is none.
 */
export function findQemu(): string {
  const qemu = Bun.which("qemu-system-x86_64");
  if (qemu === null) throw new Lacking("no QEMU: apt-get install --no-install-recommends qemu-system-x86");
  return qemu;
}

/**
 * Runs a command as root in a machine of its own, in the project's folder, with its output to this process's.
 *
 * What it writes outside of `$OUT` is gone with the machine. SIGINT, SIGTERM and SIGHUP turn the machine off.
 *
 * @returns The command's exit status; {@link TIMED_OUT}; {@link BROKEN}; or 128 and the number of the signal.
 * @throws Lacking - Where there is no QEMU, or a package cannot be fetched.
 */
export async function runInside(command: string[], options: Options = {}): Promise<number> {
  const { limit = 600, memory = 3072, verbose = false } = options;
  const qemu = findQemu();
  const machine = await alone(prepare);

  const job = mkdtempSync(join(tmpdir(), "bs-vm-"));
  const at = (name: string): string => join(job, name);
  const out = options.out ?? at("out");
  mkdirSync(out, { recursive: true });
  writeFileSync(at("initramfs"), initialRamDisk(machine));
  writeFileSync(at("command"), script(command, machine, options));
  writeFileSync(at("machine"), `HOSTNAME=${quoted(hostname())}\nMODULES=${quoted(machine.modules)}\n`);
  for (const name of ["stdout", "stderr", "console"]) writeFileSync(at(name), "");

  const share = (tag: string, path: string, more = ""): string[] => [
    "-virtfs",
    `local,path=${path.replaceAll(",", ",,")},mount_tag=${tag},security_model=none,multidevs=remap${more}`,
  ];
  const child = Bun.spawn(
    [
      ...["nice", "setpriv", "--pdeathsig", "KILL", qemu], // it ends with this process, whatever ends that
      ...["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off", "-smp", "2", "-m", String(memory)],
      ...["-M", "pc,usb=off,vmport=off,hpet=off", "-nodefaults", "-no-user-config", "-no-reboot", "-rtc", "base=utc"],
      ...["-display", "none", "-serial", "file:console"],
      ...["-kernel", machine.kernel, "-initrd", "initramfs"],
      ...["-append", "console=ttyS0 panic=-1 quiet mitigations=off cryptomgr.notests=1 random.trust_cpu=on"],
      ...share("host", "/", ",readonly=on"),
      ...share("job", job),
      ...share("out", out),
    ],
    { cwd: job, detached: true, stdio: ["ignore", "ignore", Bun.file(at("errors"))] }, // a terminal's ^C is for us
  );

  let stopped: number | undefined;
  const stop = (status: number) => (): void => {
    stopped ??= status;
    child.kill("SIGKILL");
  };
  const signals = { SIGHUP: stop(129), SIGINT: stop(130), SIGTERM: stop(143) };
  for (const [name, handler] of Object.entries(signals)) process.on(name, handler);
  const timer = setTimeout(stop(TIMED_OUT), limit * 1000);
  try {
    const isOff = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await Promise.all([follow(at("stdout"), Bun.stdout, isOff), follow(at("stderr"), Bun.stderr, isOff), child.exited]);
    const status = await Bun.file(at("status"))
      .text()
      .catch(() => "");
    if (verbose || (status === "" && stopped === undefined)) {
      console.error(`${await Bun.file(at("console")).text()}${await Bun.file(at("errors")).text()}`.trimEnd());
    }
    if (stopped === TIMED_OUT) console.error(`the machine was stopped after ${limit} seconds`);
    return stopped ?? (status === "" ? BROKEN : Number(status));
  } finally {
    clearTimeout(timer);
    for (const [name, handler] of Object.entries(signals)) process.off(name, handler);
    child.kill("SIGKILL");
    await child.exited;
    rmSync(job, { recursive: true, force: true });
  }
}
