/** A call that blocks stops its own thread, and no other. */
import { expect, test } from "bun:test";
import { setdefaulttimeout, Socket, getdefaulttimeout } from "../src/index.ts";
import { type Net, script, slowness, Sockets } from "./help.ts";

/** Runs a function in a Worker; what it returns comes as a message. */
function work<Args extends unknown[], Result>(body: (net: Net, ...args: Args) => Result, args: Args): Promise<Result> {
  const url = URL.createObjectURL(new Blob([`postMessage(${script(body, args)})`], { type: "application/typescript" }));
  const worker = new Worker(url);
  return new Promise<Result>((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data as Result);
    worker.onerror = ({ message }) => reject(new Error(message));
  }).finally(() => {
    worker.terminate();
    URL.revokeObjectURL(url);
  });
}

test("several Workers wait, each on its own socket, while this thread goes on", async () => {
  using own = new Sockets();
  const pairs = Array.from({ length: 4 }, () => own.pair());
  let ticks = 0;
  const timer = setInterval(() => ticks++, 2);
  const results = pairs.map(([, b]) =>
    work(
      (net, fileno) => {
        const sock = new net.Socket({ fileno });
        sock.settimeout(5);
        const got = sock.recv(100).toString();
        sock.sendall(`back: ${got}`);
        sock.detach();
        return got;
      },
      [b.fileno()],
    ),
  );
  // The Workers wait for as long as this thread goes on; on a busy machine it goes on slowly.
  await Bun.sleep(150 * slowness);
  for (let waited = 0; ticks <= 10 && waited < 20; waited++) await Bun.sleep(100 * slowness);
  expect(ticks).toBeGreaterThan(10);
  for (const [i, [a]] of pairs.entries()) a.sendall(`to ${i}`);
  expect(await Promise.all(results)).toEqual(["to 0", "to 1", "to 2", "to 3"]);
  for (const [i, [a]] of pairs.entries()) expect(a.recv(100).toString()).toBe(`back: to ${i}`);
  clearInterval(timer);
});

test("two threads talk over TCP, both blocking", async () => {
  using own = new Sockets();
  const server = own.server();
  const client = work(
    (net, address) => {
      using sock = net.createConnection(address, 5);
      let total = 0;
      for (let i = 0; i < 500; i++) {
        sock.sendall(new Uint8Array(100).fill(i));
        total += sock.recv(100, net.MSG_WAITALL)[0]!;
      }
      return total;
    },
    [server.getsockname()],
  );
  const [conn] = server.accept();
  own.add(conn).settimeout(5);
  let expected = 0;
  for (let i = 0; i < 500; i++) {
    let got = Buffer.alloc(0);
    while (got.length < 100) got = Buffer.concat([got, conn.recv(100 - got.length)]);
    expect(got.every((byte) => byte === (i & 0xff))).toBe(true);
    conn.sendall(got);
    expected += i & 0xff;
  }
  expect(await client).toBe(expected);
});

test("threads do not mix up each other's results: errors, addresses, data", async () => {
  const busy = (net: Net, host: string): string[] => {
    const wrong: string[] = [];
    using sock = new net.Socket(net.AF_INET, net.SOCK_DGRAM);
    sock.bind([host, 0]);
    sock.settimeout(5);
    using stream = new net.Socket(net.AF_INET);
    for (let i = 0; i < 2000; i++) {
      sock.sendto(`${host} ${i}`, sock.getsockname());
      const [data, from] = sock.recvfrom(100);
      if (data.toString() !== `${host} ${i}` || from[0] !== host) wrong.push(`${data} from ${from}`);
      try {
        stream.getpeername();
      } catch (error) {
        const { code } = error as import("../src/index.ts").OSError;
        if (code !== "ENOTCONN") wrong.push(code);
      }
    }
    return wrong;
  };
  const hosts = process.platform === "linux" ? ["127.0.0.2", "127.0.0.3", "127.0.0.4"] : ["127.0.0.1", "127.0.0.1"];
  const results = hosts.map((host) => work(busy, [host]));
  const net = await import("../src/index.ts");
  expect(busy({ ...net, given: [] }, "127.0.0.1")).toEqual([]);
  for (const wrong of await Promise.all(results)) expect(wrong).toEqual([]);
});

test("each thread has its own default timeout", async () => {
  setdefaulttimeout(7);
  try {
    const theirs = await work((net) => {
      const before = net.getdefaulttimeout();
      net.setdefaulttimeout(3);
      using sock = new net.Socket();
      return [before, sock.gettimeout()];
    }, []);
    expect(theirs).toEqual([null, 3]);
    expect(getdefaulttimeout()).toBe(7);
    using sock = new Socket();
    expect(sock.gettimeout()).toBe(7);
  } finally {
    setdefaulttimeout(null);
  }
});
