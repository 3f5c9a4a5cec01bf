/** No more descriptors: what would wait is rejected, nothing is lost, and all works again afterwards. */
import { expect } from "bun:test";
import { join } from "node:path";
import { isWindows, needs } from "../help.ts";

const limited = needs("limit on a process's descriptors", !isWindows);

const library = JSON.stringify(join(import.meta.dir, "..", "..", "src", "promises.ts"));

/** Runs a program that may have 64 descriptors, and takes all of them by `fill()` until `empty()`. */
async function poor(code: string): Promise<unknown> {
  const source = `
    import * as net from ${library};
    const taken = [];
    const fill = () => { try { for (;;) taken.push(new net.Socket(net.AF_INET)); } catch {} };
    const empty = () => { for (const sock of taken.splice(0)) sock.close(); };
    const code = (promise) => promise.then((result) => String(result), (error) => error.syscall + " " + error.code);
    ${code}`;
  const command = `ulimit -n 64 && exec "$0" -e "$1"`;
  const child = Bun.spawn(["sh", "-c", command, process.execPath, source], { stderr: "inherit", timeout: 20_000 });
  const [said, status] = await Promise.all([child.stdout.text(), child.exited]);
  expect([said.endsWith("\n"), status]).toEqual([true, 0]);
  return JSON.parse(said);
}

limited("not even one for the poller", async () => {
  const outcome = await poor(`
    const [a, b] = net.socketpair();
    fill();
    const seen = [await code(b.recv(10)), await code(b.lines().next()), await code(net.getaddrinfo("127.0.0.1", 80))];
    await a.send("there");
    seen.push(await code(b.recv(10))); // what need not wait is done
    empty();
    const waits = b.recv(10);
    await a.send("late");
    seen.push(await code(waits), String((await net.getaddrinfo("127.0.0.1", 80)).length > 0));
    console.log(JSON.stringify(seen));`);
  expect(outcome).toEqual([
    expect.stringMatching(/^\w+ EMFILE$/),
    expect.stringMatching(/^\w+ EMFILE$/),
    // The number of a host needs no thread, or one that is told by the poller.
    expect.stringMatching(/^(\w+ EMFILE|.*127\.0\.0\.1.*)$/),
    "there",
    "late",
    "true",
  ]);
});

limited("not even one for the poller, when the turn is over", async () => {
  const outcome = await poor(`
    const [a, b] = net.socketpair();
    fill();
    let received = 0;
    for (let i = 0; i < 200; i++) {
      await a.send("there");
      received += (await b.recv(10)).length; // what need not wait is done, if in the next turn
    }
    const seen = [received];
    // One of each 64 waits for its turn, to learn then that it waits for data.
    for (let i = 0; i < 100; i++) seen.push(await code(b.recv(10)));
    empty();
    const waits = b.recv(10);
    await a.send("late");
    seen.push(await code(waits));
    console.log(JSON.stringify(seen));`);
  expect(outcome).toEqual([1000, ...Array.from({ length: 100 }, () => "poll EMFILE"), "late"]);
});

limited("not even one for the poller, with many calls at once, and for a name", async () => {
  const outcome = await poor(`
    const [a, b] = net.socketpair();
    const named = new net.Socket(net.AF_INET);
    named.settimeout(0.1);
    fill();
    const all = await Promise.all(Array.from({ length: 200 }, () => code(a.send("x"))));
    const seen = [all.join(""), await code(named.connect(["localhost", 9]))];
    for (let i = 0; i < 100; i++) await b.recv(1);
    await Bun.sleep(200); // nothing is left that would run out of time, or keep the process
    empty();
    console.log(JSON.stringify(seen));`);
  expect(outcome).toEqual(["1".repeat(200), "poll EMFILE"]);
});

limited("a connection that could not be accepted is accepted later", async () => {
  const outcome = await poor(`
    const server = net.createServer(["127.0.0.1", 0]);
    const accepted = server.accept();
    const client = await net.createConnection(server.getsockname());
    (await accepted)[0].close();
    const second = new net.Socket(net.AF_INET);
    const waits = code(server.accept());
    await 0;
    fill();
    await second.connect(server.getsockname());
    await second.sendall("patient");
    const seen = [await waits];
    const loop = async () => { for await (const [conn] of server) return String(await conn.recv(10)); };
    seen.push(await code(loop()));
    empty();
    seen.push(await loop());
    console.log(JSON.stringify(seen));`);
  expect(outcome).toEqual(["accept EMFILE", "accept EMFILE", "patient"]);
});

limited("a connection that cannot be made leaves nothing", async () => {
  const outcome = await poor(`
    const server = net.createServer(["127.0.0.1", 0]);
    (await net.createConnection(server.getsockname())).close();
    await net.getaddrinfo("localhost", 80);
    fill();
    const seen = [await code(net.createConnection(server.getsockname()))];
    taken.pop().close();
    const conn = await net.createConnection(server.getsockname());
    seen.push(conn.getpeername()[1] === server.getsockname()[1]);
    empty();
    console.log(JSON.stringify(seen));`);
  expect(outcome).toEqual(["socket EMFILE", true]);
});
