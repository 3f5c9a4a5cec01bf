/** Who waits, where: Workers that end in the middle of a wait, processes that end when nothing waits, other ways to run. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { descriptors, errorsOf, Folder, hasTypeChecker, isLinux, needs } from "../help.ts";
import { AF_INET, SOCK_DGRAM, Socket } from "../../src/promises.ts";

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

  // Under Wine neither of them reads files.
  needs("bun build --compile", hasTypeChecker())(
    "that is compiled waits as well",
    async () => {
      using folder = new Folder();
      const source = folder.file("main.ts");
      writeFileSync(
        source,
        `import { socketpair } from ${JSON.stringify(library)};
       const [a, b] = socketpair();
       setTimeout(() => a.send("compiled"), 20);
       console.log(String(await b.recv(100)));`,
      );
      const made = Bun.spawnSync([process.execPath, "build", "--compile", source, "--outfile", folder.file("main")]);
      expect(made.exitCode).toBe(0);
      const child = Bun.spawnSync([folder.file("main")]);
      expect([child.stdout.toString(), child.exitCode]).toEqual(["compiled\n", 0]);
    },
    60_000,
  );
});

test("files of tests that run each in a world of its own, one left in the middle of a wait", async () => {
  using folder = new Folder();
  for (const name of ["a", "b", "c"]) {
    writeFileSync(
      folder.file(`${name}.test.ts`),
      `import { expect, test } from "bun:test";
       import { socketpair } from ${JSON.stringify(library)};
       test("${name}", async () => {
         const [x, y] = socketpair();
         setTimeout(() => x.send("${name}"), 5);
         expect(String(await y.recv(10))).toBe("${name}");
         for (let i = 0; i < 10; i++) y.recv(10).catch(() => {}); // nobody will see what becomes of it
         setTimeout(() => x.send("late"), 1);
       });`,
    );
  }
  const child = Bun.spawn([process.execPath, "test", "--isolate"], { cwd: folder.path, stderr: "pipe" });
  const stderr = await child.stderr.text();
  expect(stderr).toContain(" 3 pass");
  expect(await child.exited).toBe(0);
}, 60_000);

/** Starts a Worker that says when it is ready. */
async function begin(code: string): Promise<Worker> {
  const source = `import * as net from ${JSON.stringify(library)};\n${code}\npostMessage("ready");`;
  const url = URL.createObjectURL(new Blob([source], { type: "application/typescript" }));
  const worker = new Worker(url);
  await new Promise((resolve, reject) => {
    worker.onmessage = resolve;
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  return worker;
}

async function ended(worker: Worker): Promise<void> {
  const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
  worker.terminate();
  await closed;
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

  test("that are terminated in the middle of a wait leave the process healthy", async () => {
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
  }, 60_000);

  test("that are terminated while they are woken all the time do so too", async () => {
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
  }, 60_000);

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
    60_000,
  );
});
