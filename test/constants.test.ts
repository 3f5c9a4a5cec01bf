import { expect, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as constants from "../src/all-constants.ts";
import * as root from "../src/index.ts";
import { needs, removeFolder } from "./help.ts";
import { hasZig, zigPackage } from "./foreign/zig.ts";

const project = join(import.meta.dir, "..");
const exported: Record<string, unknown> = { ...constants };
const read = (name: string): Promise<string> => Bun.file(join(project, "constants", name)).text();

// Rows of constants/table.tsv: a name, then its value on each platform or nothing.
const [[, ...platforms] = [], ...rows] = (await read("table.tsv"))
  .trimEnd()
  .split("\n")
  .map((line) => line.split("\t"));

function run(...command: string[]): { exitCode: number; stdout: string; stderr: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: project });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test("every name of names.txt is exported, and has a row in the table", async () => {
  const names = (await read("names.txt"))
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => line.split(" ")[0] ?? "");
  expect(names.length).toBeGreaterThan(3000);
  expect(names.filter((name) => !(name in exported))).toEqual([]);
  expect(rows.map(([name]) => name)).toEqual(names);
});

needs(zigPackage, hasZig)("the committed files are what the generator writes", () => {
  expect(run(process.execPath, "constants/generate.ts", "--check")).toEqual({ exitCode: 0, stdout: "", stderr: "" });
});

// What the module exports on a platform, by pretending to be on it while it is loaded.
async function exportsOn(platform: string): Promise<Record<string, unknown>> {
  const real = Object.getOwnPropertyDescriptor(process, "platform") ?? {};
  Object.defineProperty(process, "platform", { ...real, value: platform });
  try {
    const modules = ["constants", "more-constants"].map((name) => import(`../src/${name}.ts?platform=${platform}`));
    return Object.assign({}, ...(await Promise.all(modules)));
  } finally {
    Object.defineProperty(process, "platform", real);
  }
}

test.each(platforms)("on %s every constant has that platform's value, or is undefined", async (platform) => {
  const column = platforms.indexOf(platform) + 1;
  const found = await exportsOn(platform);
  const wrong = rows.filter(([name = "", ...values]) => String(found[name] ?? "") !== values[column - 1]);
  expect(wrong).toEqual([]);
});

test("Android has Linux's constants", async () => {
  expect((await exportsOn("android"))["AF_CAN"]).toBe(29);
});

test("the root has what the calls take, and leaves out what lies in packets", () => {
  expect(["SO_TXTIME", "TCP_INFO", "SIOCGIFADDR", "CAN_RAW_FILTER"].filter((name) => !(name in root))).toEqual([]);
  expect(["RTM_GETLINK", "ICMP_ECHO", "BPF_RET", "ARPHRD_ETHER"].filter((name) => name in root)).toEqual([]);
});

test("the root has every constant that CPython's module exports", async () => {
  const python = (await Bun.file(join(import.meta.dir, "cpython-constants.txt")).text()).split("\n").filter(Boolean);
  expect(python.length).toBeGreaterThan(500);
  expect(python.filter((name) => !(name in root))).toEqual([]);
});

test("a constant the platform lacks is exported as undefined", () => {
  const column = platforms.indexOf(process.platform) + 1;
  const lacking = rows.filter((row) => row[column] === "").map(([name = ""]) => name);
  expect(lacking).toContain("AF_AAL5");
  expect(lacking.filter((name) => !(name in exported) || exported[name] !== undefined)).toEqual([]);
});

test("address families, socket types and flags are found by name and by value", () => {
  const { AddressFamily, AddressInfo, Errno, MsgFlag, SocketKind } = constants;
  expect(AddressFamily.AF_INET).toBe(2);
  expect(AddressFamily[2]).toBe("AF_INET");
  expect(AddressFamily[constants.AF_UNIX]).toBe("AF_UNIX");
  expect(AddressFamily[65535]).toBeUndefined();
  expect(SocketKind.SOCK_STREAM).toBe(1);
  expect(SocketKind[2]).toBe("SOCK_DGRAM");
  expect(MsgFlag[constants.MSG_PEEK]).toBe("MSG_PEEK");
  expect(AddressInfo[constants.AI_PASSIVE]).toBe("AI_PASSIVE");
  expect(Errno[Errno.ECONNREFUSED]).toBe("ECONNREFUSED");
  expect("AF_AAL5" in AddressFamily).toBe(false);
  for (const map of [AddressFamily, AddressInfo, Errno, MsgFlag, SocketKind]) expect(Object.isFrozen(map)).toBe(true);
});

test("where names share a value, the value finds the usual one", async () => {
  type Maps = Pick<typeof constants, "AddressFamily" | "Errno" | "MsgFlag" | "SocketKind">;
  const linux = (await exportsOn("linux")) as Maps;
  expect(linux.AddressFamily[1]).toBe("AF_UNIX");
  expect(linux.AddressFamily[16]).toBe("AF_NETLINK");
  expect(linux.AddressFamily.AF_ROUTE).toBe(16);
  expect(linux.Errno[11]).toBe("EAGAIN");
  expect(linux.Errno[95]).toBe("EOPNOTSUPP");
  expect(linux.MsgFlag[0x8000]).toBe("MSG_MORE");
  expect(linux.SocketKind[0x80000]).toBe("SOCK_CLOEXEC");
  const win32 = (await exportsOn("win32")) as Maps;
  expect(win32.Errno[10061]).toBe("ECONNREFUSED");
  expect(win32.Errno.ECONNREFUSED).toBe(10061);
  expect(win32.AddressFamily[32]).toBe("AF_BLUETOOTH");
});

test("families, and values of maps, have types of their own", () => {
  // Checked by `bun check`: without the types these lines would not compile.
  const six: constants.FamilyNumber<"AF_INET6"> = constants.AF_INET6;
  const local: constants.FamilyNumber<"AF_UNIX"> = constants.AF_LOCAL ?? constants.AF_UNIX;
  const name: keyof typeof constants.AddressFamily | undefined = constants.AddressFamily[six];
  const value: number = constants.MsgFlag.MSG_PEEK;
  // @ts-expect-error IPv4's number is not IPv6's.
  const wrong: constants.FamilyNumber<"AF_INET6"> = constants.AF_INET;
  // @ts-expect-error There is no such family.
  const missing: unknown = constants.AddressFamily.AF_NOWHERE;
  expect([name, local, wrong, missing, value]).toEqual(["AF_INET6", constants.AF_UNIX, 2, undefined, 2]);
});

test("a bundle carries the constants it uses and no others", async () => {
  const directory = await mkdtemp(join(tmpdir(), "bundle-"));
  try {
    const entry = join(directory, "program.ts");
    const source = JSON.stringify(join(project, "src/constants.ts"));
    await Bun.write(entry, `import { AF_INET6 } from ${source};\nconsole.log(AF_INET6);\n`);
    const { outputs } = await Bun.build({ entrypoints: [entry], target: "bun" });
    const text = (await outputs[0]?.text()) ?? "";
    expect(text).toContain("AF_INET6");
    const words = new Set(text.match(/\w+/g));
    expect(Object.keys(exported).filter((name) => words.has(name))).toEqual(["AF_INET6"]);
    expect(text.length).toBeLessThan(1000);
  } finally {
    removeFolder(directory);
  }
});

// Where CPython may differ, and why. Anything else that differs is an error here.
const differs: Record<string, string> = {
  SOMAXCONN: "of the C library CPython was built with: 128 up to glibc 2.30, 4096 since",
};

const python = process.platform === "linux" ? Bun.which("python3") : null;
const differential = python ? test : test.skip;

function pythonConstants(module: string): [name: string, value: number | string][] {
  const program = `
import json, ${module}
print(json.dumps([(name, value) for name, value in vars(${module}).items()
                  if not name.startswith("_") and isinstance(value, (int, str)) and not isinstance(value, bool)]))`;
  const { exitCode, stdout, stderr } = run(python ?? "", "-c", program);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

differential("CPython's socket module has the same values (needs python3 on Linux)", () => {
  const theirs = pythonConstants("socket");
  expect(theirs.length).toBeGreaterThan(250);
  const wrong = theirs.filter(([name, value]) => exported[name] !== value && !(name in differs));
  expect(wrong.map(([name, value]) => ({ name, theirs: value, ours: exported[name] }))).toEqual([]);
});

differential("CPython's errno module has the same values (needs python3 on Linux)", () => {
  const theirs = pythonConstants("errno");
  const byName: Record<string, unknown> = { ...constants.Errno };
  expect(theirs.filter(([name, value]) => byName[name] !== value)).toEqual([]);
  expect(theirs.filter(([, value]) => constants.Errno[Number(value)] === undefined)).toEqual([]);
});
