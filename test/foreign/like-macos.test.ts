/**
 * What the shim does on macOS and FreeBSD only, built and run on Linux: descriptors that are made not inheritable after
 * they are made, under a lock against forks, the option against SIGPIPE, and the other shapes of sendfile.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { Folder, isLinux, needs, type Net } from "../help.ts";
import { cc, hasZig, zigPackage } from "./zig.ts";

setDefaultTimeout(60_000); // it compiles, and runs other tests

const project = join(import.meta.dir, "..", "..");

/** Whether this process runs on glibc, as the headers say that it is built with here. */
function hasGlibc(): boolean {
  const head = Buffer.alloc(4096); // the loader's name is near the beginning
  const fd = openSync(process.execPath, "r");
  readSync(fd, head);
  closeSync(fd);
  return head.includes("/ld-linux");
}
const withZig = needs(zigPackage, hasZig);
const linux = isLinux && hasGlibc() ? withZig : needs("Linux with glibc", false);

let folder: Folder;
beforeAll(() => {
  folder = new Folder();
});
afterAll(() => folder[Symbol.dispose]());

/** Compiles a file, and links it with nothing: its functions are those of the process. */
function build(source: string, name: string, flags: readonly string[]): string {
  const target = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const object = folder.file(`${name}.o`);
  const library = folder.file(`${name}.so`);
  const common = ["-target", target, "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"];
  for (const args of [
    [...common, "-std=gnu11", ...flags, "-c", join(project, source), "-o", object],
    ["-target", target, "-shared", "-s", "-nostdlib", object, "-o", library],
  ]) {
    const { exitCode, stderr } = Bun.spawnSync([...cc, ...args]);
    if (exitCode !== 0) throw new Error(stderr.toString());
  }
  return library;
}

const header = join(import.meta.dir, "like-macos.h");
const like = { macOS: ["-include", header, "-DBS_SENDFILE=2"], FreeBSD: ["-include", header, "-DBS_SENDFILE=3"] };

/** Runs a function in a process that has loaded another library; what it returns, as JSON. */
function run<Args extends unknown[]>(library: string, body: (net: Net, ...args: Args) => unknown, args: Args): unknown {
  const code = `console.log(JSON.stringify(await (${body})(await import(${JSON.stringify(join(project, "src/index.ts"))}), ...${JSON.stringify(args)})))`;
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "-e", code], {
    env: { ...process.env, BERKELEY_SOCKETS_LIBRARY: library },
  });
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
  return JSON.parse(stdout.toString());
}

linux("every descriptor is made not inheritable and deaf to SIGPIPE, and blocks as it was asked to", () => {
  const library = build("shim/posix.c", "macos", like.macOS);
  const found = run(
    library,
    async (net) => {
      const { readFileSync } = await import("node:fs");
      /** O_NONBLOCK, as the kernel has it. */
      const blocks = (fd: number) =>
        (parseInt(/^flags:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!, 8) & 0o4000) === 0;
      const noSigpipe = 11; // SO_NO_CHECK, which stands for SO_NOSIGPIPE here
      const state = (sock: InstanceType<Net["Socket"]>) => [
        sock.getInheritable(),
        sock.getsockopt(net.SOL_SOCKET, noSigpipe),
        blocks(sock.fileno()),
      ];
      const made = new net.Socket(net.AF_INET, net.SOCK_STREAM);
      const [a, b] = net.socketpair();
      const server = net.createServer(["127.0.0.1", 0]);
      const connections = [null, 0, 5].flatMap((timeout) => {
        server.settimeout(timeout);
        const client = net.createConnection(server.getsockname());
        // A listener that does not wait may be a moment ahead of the client.
        for (;;) {
          try {
            return [client, server.accept()[0]];
          } catch (error) {
            if (!(error instanceof net.BlockingIOError)) throw error;
          }
        }
      });
      net.sendFds(a, ["x"], [made.fileno(), server.fileno()]);
      const [, received] = net.recvFds(b, 10, 2);
      a.send("y");
      a.sendmsg(["z"], [[net.SOL_SOCKET, net.SCM_RIGHTS, new Int32Array([made.fileno()])]]);
      b.settimeout(5);
      b.recv(1);
      const [, again] = net.recvFds(b, 10, 1);
      const inheritable = [...received, ...again].map((fd) => {
        const sock = new net.Socket({ fileno: fd });
        const is = [sock.getInheritable(), sock.getsockopt(net.SOL_SOCKET, noSigpipe)];
        sock.close();
        return is;
      });
      // A descriptor of somebody else's becomes a socket of the library.
      const foreign = new net.Socket(net.AF_UNIX, net.SOCK_DGRAM);
      foreign.setsockopt(net.SOL_SOCKET, noSigpipe, 0);
      const taken = new net.Socket({ fileno: foreign.detach() });
      return { sockets: [made, a, b, server, ...connections, taken, made.dup()].map(state), inheritable };
    },
    [],
  ) as { sockets: [boolean, number, boolean][]; inheritable: [boolean, number][] };
  expect(found.sockets.length).toBe(12);
  expect(found.sockets.map(([inheritable]) => inheritable)).toEqual(Array(12).fill(false));
  expect(found.sockets.map(([, noSigpipe]) => noSigpipe)).toEqual(Array(12).fill(1));
  // The listener and one end of the pair were given a timeout; nobody has it from them.
  const blocking = found.sockets.map(([, , blocks]) => blocks);
  expect(blocking).toEqual([true, true, false, false, ...Array<boolean>(8).fill(true)]);
  expect(found.inheritable).toEqual(Array(3).fill([false, 1]));
});

linux("a fork in another thread inherits no descriptor that is being made", () => {
  const library = build("shim/posix.c", "locked", like.macOS);
  const forks = build("test/foreign/forks.c", "forks", []);
  const inherited = run(
    library,
    async (_net, forks, index) => {
      const { dlopen } = await import("bun:ffi");
      const { symbols } = dlopen(forks, { forks: { args: ["i32"], returns: "i32" } });
      // Workers that make sockets in each way, without end.
      const code = `
        const net = await import(${JSON.stringify(index)});
        const server = net.createServer(["127.0.0.1", 0]);
        server.setblocking(false);
        const [a, b] = net.socketpair();
        b.setblocking(false);
        postMessage("ready");
        for (;;) {
          new net.Socket().close();
          for (const end of net.socketpair()) end.close();
          const client = new net.Socket();
          client.connect(server.getsockname());
          for (let conn; conn === undefined;) {
            try { [conn] = server.accept(); conn.close(); } catch {}
          }
          client.close();
          net.sendFds(a, ["x"], [a.fileno()]);
          for (const fd of net.recvFds(b, 1, 1)[1]) net.close(fd);
        }`;
      const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
      const workers = [new Worker(url), new Worker(url)];
      await Promise.all(workers.map((worker) => new Promise((resolve) => (worker.onmessage = resolve))));
      const count = symbols.forks(300);
      process.stdout.write(`${count}\n`);
      process.exit(0); // the workers do not end
    },
    [forks, join(project, "src/index.ts")],
  );
  expect(inherited).toBe(0);
});

for (const [system, flags] of Object.entries(like)) {
  linux(`${system}'s sendfile sends all, in parts where the buffer is full`, () => {
    const library = build("shim/posix.c", `sendfile-${system}`, flags);
    const found = run(
      library,
      async (net, path) => {
        const size = 3_000_001;
        const data = Buffer.from(Uint32Array.from({ length: Math.ceil(size / 4) }, (_, i) => i).buffer).subarray(
          0,
          size,
        );
        await Bun.write(path, data);
        await Bun.write(`${path}.empty`, "");
        const [a, b] = net.socketpair();
        a.settimeout(0.2);
        // It runs out of time with a part sent, which is not lost.
        const { openSync, readSync, closeSync } = await import("node:fs");
        const fd = openSync(path, "r");
        let failed = "";
        try {
          a.sendfile(fd);
        } catch (error) {
          failed = (error as InstanceType<Net["OSError"]>).code;
        }
        const parts: Buffer[] = [];
        const drain = () => {
          b.setblocking(false);
          try {
            for (;;) parts.push(b.recv(1 << 20));
          } catch {}
        };
        drain();
        const first = parts.reduce((n, part) => n + part.length, 0);
        // The file's position is behind what was sent.
        const next = Buffer.alloc(16);
        readSync(fd, next);
        const position = data.indexOf(next);
        closeSync(fd);
        let sent = first;
        while (sent < size) {
          sent += a.sendfile(path, sent, Math.min(50_000, size - sent));
          drain();
        }
        const same = Buffer.concat(parts).equals(data);
        const empty = a.sendfile(`${path}.empty`);
        const behind = a.sendfile(path, size + 5);
        const some = a.sendfile(path, size - 7);
        drain();
        b.close();
        let broken = "";
        try {
          a.sendfile(path);
        } catch (error) {
          broken = (error as InstanceType<Net["OSError"]>).code;
        }
        return {
          failed,
          partly: first > 0 && first < size,
          position: position - first,
          same,
          empty,
          behind,
          some,
          broken,
        };
      },
      [folder.file("file")],
    );
    expect(found).toEqual({
      failed: "ETIMEDOUT",
      partly: true,
      position: 0,
      same: true,
      empty: 0,
      behind: 0,
      some: 7,
      broken: "EPIPE",
    });
  });
}

linux(
  "the tests of descriptors, connections, messages and files hold there too",
  () => {
    const library = build("shim/posix.c", "suite", like.macOS);
    const files = ["accept", "descriptors", "message", "packets/batch", "sendfile", "stream", "workers"];
    const { exitCode, stderr } = Bun.spawnSync(
      [process.execPath, "test", "--timeout", "30000", ...files.map((file) => join(project, `test/${file}.test.ts`))],
      { cwd: project, env: { ...process.env, BERKELEY_SOCKETS_LIBRARY: library } },
    );
    const failed = stderr
      .toString()
      .split("\n")
      .filter((line) => line.startsWith("(fail)"));
    expect(failed).toEqual([]);
    expect(exitCode).toBe(0);
  },
  300_000,
); // seven files of tests, and some machines are emulated

for (const target of [
  "x86_64-macos.13.0",
  "aarch64-macos.13.0",
  "x86_64-freebsd",
  "aarch64-freebsd",
  "x86_64-netbsd",
]) {
  withZig(`posix.c compiles for ${target} without a warning`, () => {
    const flags = ["-target", target, "-std=gnu11", "-Wall", "-Wextra", "-Werror"];
    const out = folder.file(`${target}.o`);
    const { exitCode, stderr } = Bun.spawnSync([...cc, ...flags, "-c", join(project, "shim/posix.c"), "-o", out]);
    expect(stderr.toString()).toBe("");
    expect(exitCode).toBe(0);
  });
}
