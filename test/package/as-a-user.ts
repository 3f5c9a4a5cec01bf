/**
 * The package as a user has it: `bun add` of the tarball in an empty folder, without Zig, and what a user then does.
 *
 *   bun run test:package
 *
 * Not among the tests that `bun test` finds: it builds the libraries of all platforms, and fetches compilers and linters
 * from npm.
 */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf } from "../snippets.ts";

setDefaultTimeout(300_000);

const project = join(import.meta.dir, "..", "..");
const folder = realpathSync(mkdtempSync(join(tmpdir(), "bs-package-")));
const at = (...path: string[]): string => join(folder, ...path);
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** What a command prints, once it has ended well. The folder of Bun is all that is on its PATH: no Zig, no compiler. */
async function run(command: string[], options: { cwd?: string; env?: Record<string, string> } = {}): Promise<string> {
  const env = { PATH: at("bin"), HOME: folder, TMPDIR: folder, NO_COLOR: "1", ...options.env };
  const child = Bun.spawn(command, { cwd: options.cwd ?? at("app"), env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (status !== 0) throw new Error(`${command.join(" ")}: exit ${status}\n${stdout}\n${stderr}`);
  return stdout.trimEnd();
}

/** What a command says as it fails. */
async function failure(command: string[], env: Record<string, string>): Promise<string> {
  const child = Bun.spawn(command, {
    cwd: at("app"),
    env: { PATH: at("bin"), HOME: folder, NO_COLOR: "1", ...env },
    stderr: "pipe",
  });
  const stderr = await child.stderr.text();
  expect(await child.exited).not.toBe(0);
  return stderr;
}

const bun = at("bin", "bun");
const { version } = await Bun.file(join(project, "package.json")).json();
const readme = await Bun.file(join(project, "README.md")).text();
const [program] = blocksOf(readme, "README.md");
let tarball = "";

/** A program of the app's: its path. */
async function write(name: string, source: string): Promise<string> {
  await Bun.write(at("app", name), source);
  return at("app", name);
}

const targets = [
  ["linux-x64", "linux-x64.so"],
  ["linux-arm64", "linux-arm64.so"],
  ["darwin-x64", "darwin-x64.dylib"],
  ["darwin-arm64", "darwin-arm64.dylib"],
  ["windows-x64", "win32-x64.dll"],
  ["windows-arm64", "win32-arm64.dll"],
  ["freebsd-x64", "freebsd-x64.so"],
  ["freebsd-arm64", "freebsd-arm64.so"],
] as const;

const ends = (output: string): string => output.trimEnd().split("\n").at(-1) ?? "";

beforeAll(async () => {
  mkdirSync(at("bin"));
  cpSync(realpathSync(process.execPath), bun);
  const packed = Bun.spawn([process.execPath, "run", "pack"], { cwd: project, stdout: "pipe", stderr: "inherit" });
  tarball = ends(await packed.stdout.text());
  expect(await packed.exited).toBe(0);
  mkdirSync(at("app"));
  await write("package.json", JSON.stringify({ name: "app", type: "module", private: true }));
  await run([bun, "add", tarball]);
  await run([bun, "add", "--dev", `@types/bun@${Bun.version}`]);
  await write("first.ts", program!.code);
});

test("the tarball has what it needs and nothing else, in less than a megabyte", async () => {
  expect(statSync(tarball).size).toBeLessThan(1_000_000);
  const files = [...new Bun.Glob("**").scanSync({ cwd: at("app/node_modules/berkeley-sockets") })];
  const libraries = files.filter((file) => file.startsWith("shim/lib/")).map((file) => file.slice(9));
  expect(libraries.sort()).toEqual(targets.map(([, file]) => file as string).sort());
  expect(new Set(files.map((file) => file.split("/")[0]))).toEqual(
    new Set(["CHANGELOG.md", "LICENSE", "README.md", "lib", "package.json", "shim", "src"]),
  );
  const sources = [...new Bun.Glob("**/*.ts").scanSync(join(project, "src"))];
  const lacking = sources.filter(
    (file) => !files.includes(`src/${file}`) || !files.includes(`lib/${file.slice(0, -3)}.d.ts`),
  );
  expect(lacking).toEqual([]);
});

test("it has no dependencies and no scripts", async () => {
  const manifest = await Bun.file(at("app/node_modules/berkeley-sockets/package.json")).json();
  expect(manifest.version).toBe(version);
  expect(Object.keys(manifest).filter((key) => /dependencies|scripts/i.test(key))).toEqual([]);
});

describe("types", () => {
  const strict = {
    strict: true,
    noEmit: true,
    target: "ESNext",
    lib: ["ESNext"],
    types: ["bun"],
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    isolatedDeclarations: false,
    skipLibCheck: true,
  };

  beforeAll(async () => {
    cpSync(join(import.meta.dir, "sample.ts"), at("app", "sample.ts"));
  });

  test("bun check", async () => {
    await run([bun, "check", "sample.ts"]);
  });

  test.each(["5.9.3", "6.0.3", "7.0.2"])("TypeScript %s", async (typescript) => {
    const home = at(`typescript-${typescript}`);
    mkdirSync(home);
    await Bun.write(join(home, "package.json"), "{}");
    await run([bun, "add", `typescript@${typescript}`], { cwd: home });
    for (const [module, moduleResolution] of [
      ["Preserve", "bundler"],
      ["NodeNext", "NodeNext"],
    ]) {
      const compilerOptions = { ...strict, module, moduleResolution };
      await write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["sample.ts"] }));
      await run([bun, join(home, "node_modules/typescript/bin/tsc"), "-p", at("app")]);
      // The declarations themselves, without those of others.
      const own = { ...compilerOptions, skipLibCheck: false };
      await write("tsconfig.json", JSON.stringify({ compilerOptions: own, files: ["sample.ts"] }));
      const tsc = Bun.spawn([bun, join(home, "node_modules/typescript/bin/tsc"), "-p", at("app")], { stdout: "pipe" });
      const errors = (await tsc.stdout.text()).split("\n").filter((line) => line.includes("berkeley-sockets"));
      expect(errors).toEqual([]);
    }
  });

  test("publint and attw have nothing to say", async () => {
    const home = at("linters");
    mkdirSync(home);
    await Bun.write(join(home, "package.json"), "{}");
    await run([bun, "add", "publint@0.3.25", "@arethetypeswrong/cli@0.18.5"], { cwd: home });
    expect(await run([bun, join(home, "node_modules/publint/src/cli.js"), tarball, "--strict"])).toContain("All good!");
    cpSync(join(project, ".attw.json"), join(home, ".attw.json"));
    const attw = ["node_modules/@arethetypeswrong/cli/dist/index.js", tarball];
    expect(await run([bun, ...attw], { cwd: home })).not.toContain("❌");
  });
});

test("every entry point imports, with all that its source exports", async () => {
  const { exports } = await Bun.file(at("app/node_modules/berkeley-sockets/package.json")).json();
  const { exports: sources } = await Bun.file(join(project, "package.json")).json();
  const paths = Object.keys(exports).filter((path) => path !== "./package.json");
  expect(paths).toContain(".");
  expect(paths.sort()).toEqual(Object.keys(sources).sort());
  for (const path of paths) {
    const name = path.replace(".", "berkeley-sockets");
    const expected = Object.keys(await import(join(project, sources[path]))).sort();
    expect(expected.length).toBeGreaterThan(0);
    for (const load of [`await import("${name}")`, `require("${name}")`]) {
      const names = await run([bun, "-e", `console.log(JSON.stringify(Object.keys(${load}).sort()))`]);
      expect([load, JSON.parse(names)]).toEqual([load, expected]);
    }
  }
});

test("the first program of the README runs", async () => {
  expect(await run([bun, "first.ts"])).toStartWith("hello\n");
});

test("the sample runs", async () => {
  expect(await run([bun, "sample.ts"])).toBe("true true true true true");
});

/** A program with every entry of the package: it waits on the event loop, for a name too. */
const everything = `
import { AF_INET, createConnection, createServer, SOCK_DGRAM, Socket } from "berkeley-sockets/promises";
import { borrow } from "berkeley-sockets/bun";
import { timeval } from "berkeley-sockets/messages";
import { MessageBatch } from "berkeley-sockets/packets";
const server = createServer(["127.0.0.1", 0]);
setTimeout(async () => {
  using client = await createConnection(["localhost", server.getsockname()[1]]);
  await client.sendall("waited for");
}, 50);
const [conn] = await server.accept();
console.log(String(await conn.recv(100)));
conn.close();
server.close();
const receiver = new Socket(AF_INET, SOCK_DGRAM);
receiver.bind(["127.0.0.1", 0]);
const batch = new MessageBatch(receiver, { capacity: 4 });
const received = receiver.recvBatch(batch);
const handle = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port: receiver.getsockname()[1] } });
handle.send("by Bun");
console.log(await received, String(batch.data(0)), borrow(handle).type === SOCK_DGRAM, timeval.size);
handle.close();
`;

test("every entry in one program: as it is, bundled and minified, and compiled", async () => {
  const file = await write("everything.ts", everything);
  const said = "waited for\n1 by Bun true 16";
  expect(await run([bun, file])).toStartWith(said);
  await run([bun, "build", file, "--target=bun", "--minify", "--outdir", at("everything")]);
  expect(await run([bun, at("everything/everything.js")], { cwd: "/" })).toStartWith(said);
  await run([bun, "build", "--compile", file, "--outfile", at("compiled-everything")]);
  expect(await run([at("compiled-everything")], { cwd: "/", env: { PATH: "" } })).toStartWith(said);
  rmSync(at("compiled-everything"));
});

test("in a Worker", async () => {
  const code = `const worker = new Worker("./first.ts"); worker.onerror = ({ message }) => { console.log(message); process.exit(1); };`;
  expect(await run([bun, await write("worker.ts", code)])).toStartWith("hello\n");
});

test("under bun test", async () => {
  const code = `import { expect, test } from "bun:test"; import { socketpair } from "berkeley-sockets";
    test("it works", () => { const [a, b] = socketpair(); a.send("x"); expect(b.recv(1).toString()).toBe("x"); a.close(); b.close(); });`;
  await write("own.test.ts", code);
  await write("second.test.ts", code);
  await run([bun, "test", "--isolate"]);
});

test("with the package in a folder that cannot be written to", async () => {
  const home = at("read-only");
  cpSync(at("app"), home, { recursive: true });
  const all = [...new Bun.Glob("**").scanSync({ cwd: home, onlyFiles: false, absolute: true }), home];
  for (const path of all) chmodSync(path, statSync(path).mode & 0o555);
  chmodSync(folder, 0o755);
  // Who is root may write everywhere.
  const user =
    process.getuid?.() === 0 ? [Bun.which("setpriv")!, "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
  try {
    expect(await run([...user, bun, "first.ts"], { cwd: home })).toStartWith("hello\n");
  } finally {
    for (const path of all) chmodSync(path, statSync(path).mode | 0o700);
  }
});

describe("bundles", () => {
  /** The libraries that a file has, by their names. */
  async function librariesIn(path: string): Promise<string[]> {
    const text = Buffer.from(await Bun.file(path).arrayBuffer()).toString("latin1");
    const names = text.matchAll(/((?:linux|darwin|win32|freebsd)-(?:x64|arm64))-[a-z0-9]{8}\.(so|dylib|dll)/g);
    return [...new Set([...names].map(([, name, suffix]) => `${name}.${suffix}`))].sort();
  }

  test("bun build: it runs from another folder, with its library beside it", async () => {
    await run([bun, "build", "first.ts", "--target=bun", "--outdir", at("bundle")]);
    expect(await run([bun, at("bundle/first.js")], { cwd: "/" })).toStartWith("hello\n");
  });

  test("bun build --compile: it runs from another folder on a machine without Bun", async () => {
    await run([bun, "build", "--compile", "first.ts", "--outfile", at("compiled")]);
    expect(await librariesIn(at("compiled"))).toEqual([`${process.platform}-${process.arch}.so`]);
    mkdirSync(at("elsewhere"));
    expect(await run([at("compiled")], { cwd: at("elsewhere"), env: { PATH: "" } })).toStartWith("hello\n");
    expect(readdirSync(at("elsewhere"))).toEqual([]);
  });

  test.each(targets)("bun build --compile --target=bun-%s embeds %s alone", async (target, library) => {
    const out = at("cross", target);
    await run([bun, "build", "--compile", `--target=bun-${target}`, "first.ts", "--outfile", out]);
    const path = target.startsWith("windows") ? `${out}.exe` : out;
    expect(await librariesIn(path)).toEqual([library]);
    rmSync(path);
  });

  test("what a program does not use is not in its bundle", async () => {
    const code = `import { SO_REUSEADDR, Socket } from "berkeley-sockets"; console.log(SO_REUSEADDR, Socket.name);`;
    await run([bun, "build", await write("one.ts", code), "--target=bun", "--outdir", at("one")]);
    const text = await Bun.file(at("one/one.js")).text();
    const all = Object.keys(await import("../../src/all-constants.ts"));
    const there = all.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
    console.log(
      `a bundle with Socket and one constant: ${text.length} bytes, ${there.length} of ${all.length} constants`,
    );
    expect(there.length).toBeLessThan(400);
    expect(text.length).toBeLessThan(130_000);

    // With the platform known, the values of the others are not in it either.
    const define = [`--define=process.platform="linux"`, `--minify-syntax`];
    await run([bun, "build", "one.ts", "--target=bun", "--outdir", at("one"), ...define]);
    const linux = await Bun.file(at("one/one.js")).text();
    console.log(`for Linux alone: ${linux.length} bytes`);
    expect(linux).not.toMatch(/\b(darwin|win32|freebsd|netbsd) \?/);
    expect(linux.length).toBeLessThan(text.length);
  });
});

describe("the libraries of all platforms", () => {
  /** Builds them; the milliseconds that it took, and the sum of each. */
  async function build(env: Record<string, string>): Promise<{ ms: number; sums: string[] }> {
    const started = performance.now();
    const child = Bun.spawn([process.execPath, "shim/build.ts", "--all"], {
      cwd: project,
      env: { ...process.env, ...env },
      stdout: "pipe",
      stderr: "inherit",
    });
    const output = await child.stdout.text();
    expect(await child.exited).toBe(0);
    const ms = performance.now() - started;
    const sums: string[] = [];
    for (const [, library] of targets) {
      expect(output).toMatch(new RegExp(`shim/lib/${library}  \\d+ bytes`));
      const bytes = await Bun.file(join(project, "shim/lib", library)).bytes();
      sums.push(`${library} ${Bun.SHA256.hash(bytes, "hex")}`);
    }
    return { ms, sums };
  }

  test("are the same bytes when they are built again, from an empty cache and from a warm one", async () => {
    const cache = at("zig");
    const cold = await build({ ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: join(cache, "local") });
    const warm = await build({ ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: join(cache, "local") });
    console.log(
      `built in ${(cold.ms / 1000).toFixed(1)} s from an empty cache, then in ${(warm.ms / 1000).toFixed(1)} s`,
    );
    expect(warm.sums).toEqual(cold.sums);
    expect(cold.ms).toBeLessThan(130_000);
    expect(warm.ms).toBeLessThan(cold.ms);
  });
});

describe("the library", () => {
  const variable = "BERKELEY_SOCKETS_LIBRARY";

  test("the variable names another one", async () => {
    const library = at("app/node_modules/berkeley-sockets/shim/lib", `${process.platform}-${process.arch}.so`);
    cpSync(library, at("mine.so"));
    const maps = `await import("berkeley-sockets"); console.log((await Bun.file("/proc/self/maps").text()).includes("${at("mine.so")}"))`;
    expect(await run([bun, "-e", maps], { env: { [variable]: at("mine.so") } })).toBe("true");
  });

  test("one that is not there, and one of another platform, are one clear error", async () => {
    const missing = await failure([bun, "first.ts"], { [variable]: at("nowhere.so") });
    expect(missing).toContain(`berkeley-sockets: the library at ${at("nowhere.so")} cannot be loaded`);
    const foreign = at("app/node_modules/berkeley-sockets/shim/lib/darwin-arm64.dylib");
    expect(await failure([bun, "first.ts"], { [variable]: foreign })).toContain(
      `the library at ${foreign} cannot be loaded`,
    );
    for (const text of [missing]) expect(text).toContain(`set ${variable} to the path of a library that you built`);
  });

  test("a package without its library says so", async () => {
    const home = at("without");
    cpSync(at("app"), home, { recursive: true });
    rmSync(join(home, "node_modules/berkeley-sockets/shim/lib"), { recursive: true });
    const child = Bun.spawn([bun, "first.ts"], { cwd: home, env: { PATH: "" }, stderr: "pipe" });
    expect(await child.stderr.text()).toContain(
      `berkeley-sockets: there is no library for ${process.platform}-${process.arch} at `,
    );
  });
});
