/** Who waits, where: Workers that end in the middle of a wait, processes that end when nothing waits, other ways to run. */
import { describe, expect, test } from "bun:test";
import { realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { descriptors, errorsOf, Folder, hasTypeChecker, isLinux, needs, slowness, worksInEmulator } from "../help.ts";
import { AF_INET, SOCK_DGRAM, Socket, socketpair } from "../../src/promises.ts";

const library = join(import.meta.dir, "..", "..", "src", "promises.ts");

/** Runs a program in a process of its own: what it printed, and how long it took. */
async function run(code: string, ...args: string[]): Promise<{ stdout: string; stderr: string; status: number }> {
  const source = `import * as net from ${JSON.stringify(library)};\n${code}`;
  const child = Bun.spawn([process.execPath, ...args, "-e", source], { stderr: "pipe", timeout: 20_000 });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr: errorsOf(stderr), status };
}

const fine = (stdout: string) => ({ stdout, stderr: "", status: 0 });

describe("a process", () => {
  test("stays alive while a call waits, and ends with it", async () => {
    const outcome = await run(`
      const [a, b] = net.socketpair();
      setTimeout(() => a.send("late"), 100).unref();
      b.recv(100).then((data) => console.log(String(data)));
    `);
    // The timer is not what keeps it alive.
    expect(outcome).toEqual(fine("late\n"));
  });

  test("ends while a socket is open that nobody waits on", async () => {
    const code = `const [a, b] = net.socketpair(); globalThis.kept = [a, b]; await b.sendall("x"); await a.recv(1);`;
    expect(await run(code)).toEqual(fine(""));
  });

  test("ends while a call waits on a socket that is not to keep it", async () => {
    const code = `const [a, b] = net.socketpair(); globalThis.kept = a; b.unref().recv(1); b.ref().unref();
      process.on("exit", () => console.log("end"));`;
    expect(await run(code)).toEqual(fine("end\n"));
  });

  test("is kept again by a call that waits already", async () => {
    const outcome = await run(`
      const [a, b] = net.socketpair();
      b.unref().recv(1).then((data) => console.log(String(data)));
      setTimeout(() => a.send("x"), 50).unref();
      b.ref();
    `);
    expect(outcome).toEqual(fine("x\n"));
  });

  test("ends when the call that it waited for was given up", async () => {
    const outcome = await run(`
      const [a, b] = net.socketpair();
      globalThis.kept = [a, b];
      const done = new AbortController();
      b.recv(1, { signal: done.signal }).catch((error) => console.log(error.name));
      b.settimeout(0.01);
      b.recv(1).catch((error) => console.log(error.name));
      setTimeout(() => done.abort(), 30);
    `);
    expect(outcome).toEqual(fine("TimeoutError\nAbortError\n"));
  });

  // Under Wine neither of them reads files. In an emulator the kernel does not run what was compiled, as it does not run Bun.
  const isRunByKernel = worksInEmulator(() => Bun.spawnSync([realpathSync("/proc/self/exe"), "--version"]).success);
  needs("bun build --compile", hasTypeChecker() && isRunByKernel)(
    "that is compiled waits as well",
    async () => {
      using folder = new Folder();
      const source = folder.file("main.ts");
      writeFileSync(
        source,
        `import { AF_INET, createConnection, createServer, getaddrinfo, SOCK_DGRAM, Socket } from ${JSON.stringify(library)};
       const server = createServer(["127.0.0.1", 0]);
       const echo = (async () => {
         for await (const [conn] of server) {
           await conn.readable.pipeTo(conn.writable);
           conn.close();
         }
       })();
       const conn = await createConnection(["localhost", server.getsockname()[1]], { timeout: 10 });
       await conn.sendall("by a stream\\nthe rest");
       for await (const line of conn.lines()) { console.log(line); break; }
       console.log(String(await conn.recv(100)));
       conn.close();
       server.close();
       await echo;
       const a = new Socket(AF_INET, SOCK_DGRAM);
       a.bind(["127.0.0.1", 0]);
       setTimeout(() => a.sendto("by a datagram", a.getsockname()), 20);
       console.log(String(await a.recv(100)));
       a.settimeout(0.01);
       console.log((await a.recv(1).catch((error) => error)).name);
       console.log((await a.recv(1, { signal: AbortSignal.timeout(5) }).catch((error) => error)).name);
       console.log((await getaddrinfo("127.0.0.1", 80)).length > 0);`,
      );
      const made = Bun.spawnSync([process.execPath, "build", "--compile", source, "--outfile", folder.file("main")]);
      expect(made.exitCode).toBe(0);
      const child = Bun.spawnSync([folder.file("main")]);
      expect([child.stdout.toString(), child.exitCode]).toEqual([
        "by a stream\nthe rest\nby a datagram\nTimeoutError\nTimeoutError\ntrue\n",
        0,
      ]);
    },
    60_000 * slowness,
  );
});

test(
  "files of tests that run each in a world of its own, one left in the middle of a wait",
  async () => {
    using folder = new Folder();
    for (const name of ["a", "b", "c"]) {
      writeFileSync(
        folder.file(`${name}.test.ts`),
        `import { expect, test } from "bun:test";
       import { createConnection, createServer, getaddrinfo, socketpair } from ${JSON.stringify(library)};
       const world = () => {
         const server = createServer(["127.0.0.1", 0]);
         return {
           address: server.getsockname(),
           later: (sock) => [sock.recv(10), sock.lines().next(), server.accept(), getaddrinfo("localhost", 80)],
         };
       };
       test("${name}", async () => {
         const [x, y] = socketpair();
         setTimeout(() => x.send("${name}"), 5);
         expect(String(await y.recv(10))).toBe("${name}");
         // Nobody will see what becomes of these.
         const { address, later } = world();
         for (let i = 0; i < 10; i++) for (const wait of later(y)) wait.catch(() => {});
         createConnection(address).catch(() => {});
         setTimeout(() => x.send("late").catch(() => {}), 1);
       });`,
      );
    }
    const child = Bun.spawn([process.execPath, "test", "--isolate"], { cwd: folder.path, stderr: "pipe" });
    const stderr = await child.stderr.text();
    expect(stderr).toContain(" 3 pass");
    expect(await child.exited).toBe(0);
  },
  60_000 * slowness,
);

/** When Workers have ended. */
const closed = new WeakMap<Worker, Promise<unknown>>();

/** Starts a Worker that says when it is ready. */
async function begin(code: string): Promise<Worker> {
  const source = `import * as net from ${JSON.stringify(library)};\n${code}\nglobalThis.onmessage ??= () => process.exit();\npostMessage("ready");`;
  const url = URL.createObjectURL(new Blob([source], { type: "application/typescript" }));
  const worker = new Worker(url);
  closed.set(worker, new Promise((resolve) => worker.addEventListener("close", resolve)));
  await new Promise((resolve, reject) => {
    worker.onmessage = resolve;
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  return worker;
}

async function ended(worker: Worker): Promise<void> {
  worker.terminate();
  await closed.get(worker);
}

describe("Workers", () => {
  test("each has its own waits", async () => {
    const workers = await Promise.all(
      Array.from({ length: 4 }, (_, i) =>
        begin(`
          const [a, b] = net.socketpair();
          (async () => { for await (const chunk of b) postMessage(String(chunk) + ${i}); })();
          globalThis.onmessage = () => a.send("from ");
        `),
      ),
    );
    const said = await Promise.all(
      workers.map((worker) => {
        const said = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
        worker.postMessage("go");
        return said;
      }),
    );
    expect(said).toEqual(["from 0", "from 1", "from 2", "from 3"]);
    for (const worker of workers) await ended(worker);
  });

  test(
    "that are terminated in the middle of a wait leave the process healthy",
    async () => {
      for (let i = 0; i < 20; i++) {
        const worker = await begin(`
        const [a, b] = net.socketpair();
        for (let i = 0; i < 100; i++) b.recv(1);
        globalThis.kept = [a, b];
      `);
        await ended(worker);
      }
      const [a, b] = [new Socket(AF_INET, SOCK_DGRAM), new Socket(AF_INET, SOCK_DGRAM)];
      a.bind(["127.0.0.1", 0]);
      setTimeout(() => b.sendto("still here", a.getsockname()), 5);
      expect((await a.recv(100)).toString()).toBe("still here");
      a.close();
      b.close();
    },
    60_000 * slowness,
  );

  const waits: Record<string, string> = {
    "the resolver": `for (let i = 0; i < 50; i++) for (const host of ["localhost", "nobody.invalid"]) net.getaddrinfo(host, i).catch(() => {});`,
    "connections that are being made": `
      for (let i = 0; i < 20; i++) net.createConnection(["localhost", 9]).catch(() => {});
      const full = net.createServer(["127.0.0.1", 0], { backlog: 0 });
      for (let i = 0; i < 10; i++) net.createConnection(full.getsockname(), { timeout: 10 }).catch(() => {});`,
    "a server": `
      const server = net.createServer(["127.0.0.1", 0]);
      (async () => { for await (const [conn] of server) conn.recv(1); })();
      for (let i = 0; i < 10; i++) await net.createConnection(server.getsockname());`,
    iterations: `
      const [a, b] = net.socketpair();
      for (const items of [b.lines(), b.chunks(), b.datagrams()]) items.next();`,
    streams: `
      const [a, b] = net.socketpair();
      const [c, d] = net.socketpair();
      a.readable.pipeTo(c.writable);
      d.readable.getReader({ mode: "byob" }).read(new Uint8Array(10));
      b.writable.getWriter().write(new Uint8Array(10_000_000));`,
    senders: `
      const [a, b] = net.socketpair();
      globalThis.kept = b;
      const waits = [a.sendall(new Uint8Array(50_000_000)), a.sendfile(process.execPath), a.sendmsg(["x"])];
      for (const wait of waits) wait.catch(() => {});`,
    "timeouts and signals": `
      const [a, b] = net.socketpair();
      b.settimeout(0.02);
      const given = new AbortController();
      for (let i = 0; i < 100; i++) b.recv(1, { signal: given.signal }).catch(() => {});
      setTimeout(() => given.abort(), 10);`,
  };
  test.each(Object.entries(waits))(
    "that wait for %s, and are terminated or end by themselves, leave the process healthy",
    async (_, code) => {
      // Meanwhile this thread waits, too.
      const [a, b] = socketpair();
      const received = b.recv(100);
      for (let i = 0; i < 6; i++) {
        const worker = await begin(code);
        await Bun.sleep(i * 4);
        if (i % 3 === 2) {
          worker.postMessage("end");
          await closed.get(worker);
        } else {
          await ended(worker);
        }
      }
      await a.send("still here");
      expect(String(await received)).toBe("still here");
      a.close();
      b.close();
    },
    60_000 * slowness,
  );

  test(
    "that are terminated while they are woken all the time do so too",
    async () => {
      // This thread sends to a socket that the Worker waits on, and goes on with it while the Worker ends.
      const target = new Socket(AF_INET, SOCK_DGRAM);
      target.bind(["127.0.0.1", 0]);
      const address = target.getsockname();
      const sender = new Socket(AF_INET, SOCK_DGRAM);
      let goesOn = true;
      const sending = (async () => {
        while (goesOn) {
          for (let i = 0; i < 50; i++) await sender.sendto("x", address);
          await new Promise(setImmediate);
        }
      })();
      for (let i = 0; i < 30; i++) {
        const worker = await begin(`
        const sock = new net.Socket({ fileno: net.dup(${target.fileno()}) });
        (async () => { for (;;) await sock.recv(10); })();
      `);
        await Bun.sleep(i % 5);
        await ended(worker);
      }
      goesOn = false;
      await sending;
      target.close();
      sender.close();
    },
    60_000 * slowness,
  );

  needs("/proc", isLinux)(
    "that have ended leave no thread and no descriptor of their poller",
    async () => {
      const threads = () => [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/task", onlyFiles: false })].length;
      const once = async () => ended(await begin(`net.socketpair().map((sock) => { sock.recv(1); sock.detach; });`));
      await once();
      const before = [threads(), descriptors().length] as const;
      for (let i = 0; i < 20; i++) await once();
      // Their sockets were not closed, but collected with them or not; a poller has two descriptors more.
      for (let waited = 0; waited < 100 && threads() > before[0] + 5; waited++) await Bun.sleep(20);
      expect(threads()).toBeLessThanOrEqual(before[0] + 5);
      expect(descriptors().length - before[1]).toBeLessThanOrEqual(20 * 2 + 10);
    },
    60_000 * slowness,
  );
});
