/**
 * One workload of bench/async.ts in a process of its own: `async.ts <who> <workload> <bytes> <connections> <ms>` prints a
 * number. Its other end is a second process with blocking sockets, the same for all who are measured.
 */
import { AF_INET, createServer, MSG_WAITALL, SO_RCVBUF, SOCK_DGRAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import { dlopen } from "bun:ffi";
import * as promises from "../../src/promises.ts";

const [who = "", workload = "", bytesText = "", connectionsText = "", msText = ""] = process.argv.slice(2);
const bytes = Number(bytesText);
const connections = Number(connectionsText);
const ms = Number(msText);

/** Nanoseconds by a clock that all processes have; Bun's own begin with the process. */
function now(): bigint {
  const time = new BigInt64Array(2);
  clock.clock_gettime(1, time);
  return time[0]! * 1_000_000_000n + time[1]!;
}
const clock = dlopen(process.platform === "darwin" ? "libSystem.dylib" : "libc.so.6", {
  clock_gettime: { args: ["i32", "buffer"], returns: "i32" },
}).symbols;

/** How long each runs before it is measured: Bun compiles what runs often. */
const WARM = 500;

/** How many packets are on their way at most: what the system keeps for a receiver. */
const WINDOW = 64;

if (who === "peer") await peer(workload, Number(process.env["PORT"]));
else console.log(await measure());

function startPeer(port = 0): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  return Bun.spawn([process.execPath, import.meta.path, "peer", workload, bytesText, connectionsText, msText], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, PORT: String(port) },
  });
}

/** The other end, which blocks. */
async function peer(workload: string, port: number): Promise<void> {
  const to = ["127.0.0.1", port] as const;
  if (workload === "udp round trips") {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.bind(["127.0.0.1", 0]);
    console.log(sock.getsockname()[1]);
    for (;;) {
      const [data, from] = sock.recvfrom(65536);
      if (data.length === 0) break;
      sock.sendto(data, from!);
    }
  } else if (workload === "udp packets") {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.connect(to);
    const packet = new Uint8Array(bytes);
    for (let i = 0; i < WINDOW; i++) sock.send(packet); // one window is on its way while the other is taken
    for (;;) {
      for (let i = 0; i < WINDOW; i++) sock.send(packet);
      if (sock.recv(10).length === 0) break;
    }
  } else if (workload === "wake") {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.connect(to);
    const end = performance.now() + WARM + ms;
    while (performance.now() < end) {
      Bun.sleepSync(1);
      sock.send(new BigInt64Array([now()]));
    }
    sock.send("");
  } else {
    const socks = Array.from({ length: connections }, () => {
      const sock = new Socket(AF_INET);
      sock.connect(to);
      return sock;
    });
    const message = new Uint8Array(bytes);
    const into = new Uint8Array(bytes);
    let count = 0;
    let began = performance.now() + WARM;
    for (let isWarm = false; ;) {
      const time = performance.now();
      if (!isWarm && time >= began) {
        isWarm = true;
        began = time;
        count = 0;
      }
      if (time >= began + ms) break;
      for (const sock of socks) sock.sendall(message);
      for (const sock of socks) sock.recvInto(into, bytes, MSG_WAITALL);
      count += connections;
    }
    console.log(count / ((performance.now() - began) / 1000));
    for (const sock of socks) sock.close();
  }
}

async function firstLine(child: Bun.Subprocess<"ignore", "pipe", "inherit">): Promise<string> {
  const { value } = await child.stdout.getReader().read();
  return Buffer.from(value!).toString();
}

async function measure(): Promise<string> {
  if (workload === "udp round trips") return String(await roundTrips());
  if (workload === "udp packets") return String(await packets());
  if (workload === "wake") return (await wakes()).join(" ");
  return await echo();
}

/** Counts until the time is over, from when all is warm. */
class Watch {
  #count = 0;
  #began = performance.now() + WARM;
  #isWarm = false;
  nanoseconds = 0;

  count(): boolean {
    this.#count++;
    const time = performance.now();
    if (time < this.#began) return true;
    if (!this.#isWarm) {
      this.#isWarm = true;
      this.#count = 0;
      this.#began = time;
    }
    if (time < this.#began + ms) return true;
    this.nanoseconds = ((time - this.#began) * 1e6) / this.#count;
    return false;
  }
}

/** Nanoseconds a round trip. */
async function roundTrips(): Promise<number> {
  const port = Number(await firstLine(startPeer()));
  const message = new Uint8Array(bytes);
  const watch = new Watch();
  if (who === "Bun.udpSocket") {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sock = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: {
        data(sock) {
          if (watch.count()) sock.send(message, port, "127.0.0.1");
          else resolve();
        },
      },
    });
    sock.send(message, port, "127.0.0.1");
    await promise;
    sock.send("", port, "127.0.0.1");
    sock.close();
    return watch.nanoseconds;
  }
  const to = ["127.0.0.1", port] as const;
  using sock = new promises.Socket(AF_INET, SOCK_DGRAM);
  do {
    await sock.sendto(message, to);
    await sock.recvfrom(2048);
  } while (watch.count());
  await sock.sendto("", to);
  return watch.nanoseconds;
}

/** Nanoseconds a packet; all of them come. */
async function packets(): Promise<number> {
  const watch = new Watch(); // of windows
  let count = 0;
  if (who === "Bun.udpSocket") {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sock = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: {
        data(sock, _data, port, address) {
          if (++count % WINDOW) return;
          const isOver = !watch.count();
          sock.send(isOver ? "" : "go", port, address);
          if (isOver) resolve();
        },
      },
    });
    startPeer(sock.port);
    await promise;
    sock.close();
  } else {
    using sock = new promises.Socket(AF_INET, SOCK_DGRAM);
    sock.bind(["127.0.0.1", 0]);
    sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 20);
    startPeer(sock.getsockname()[1]);
    for await (const [, from] of sock.datagrams({ size: 2048 })) {
      if (++count % WINDOW) continue;
      const isOver = !watch.count();
      await sock.sendto(isOver ? "" : "go", from!);
      if (isOver) break;
    }
  }
  return watch.nanoseconds / WINDOW;
}

/** Nanoseconds from a send in the other process until the data is here: half of them, and 99 of 100, take no longer. */
async function wakes(): Promise<[p50: number, p99: number]> {
  const times: number[] = [];
  const take = (data: Buffer): boolean => {
    if (data.length === 0) return false;
    times.push(Number(now() - data.readBigInt64LE(0)));
    return true;
  };
  if (who === "Bun.udpSocket") {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sock = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_sock, data) => void (take(data) || resolve()) },
    });
    startPeer(sock.port);
    await promise;
    sock.close();
  } else {
    using sock = new promises.Socket(AF_INET, SOCK_DGRAM);
    sock.bind(["127.0.0.1", 0]);
    startPeer(sock.getsockname()[1]);
    while (take(await sock.recv(100)));
  }
  times.splice(0, WARM / 2);
  times.sort((a, b) => a - b);
  return [times[times.length >> 1]!, times[Math.floor(times.length * 0.99)]!];
}

/** Messages a second that a server echoes. */
async function echo(): Promise<string> {
  if (who === "Bun.listen") {
    const rest = new Map<unknown, Buffer>();
    const flush = (sock: Bun.Socket): void => {
      const data = rest.get(sock);
      if (data === undefined) return;
      const n = sock.write(data);
      if (n === data.length) rest.delete(sock);
      else rest.set(sock, data.subarray(n));
    };
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(sock, data) {
          const before = rest.get(sock);
          if (before !== undefined) {
            rest.set(sock, Buffer.concat([before, data]));
            return;
          }
          const n = sock.write(data);
          if (n < data.length) rest.set(sock, Buffer.from(data.subarray(n)));
        },
        drain: flush,
        close: (sock) => void rest.delete(sock),
      },
    });
    const child = startPeer(server.port);
    const result = await child.stdout.text();
    server.stop(true);
    return result.trim();
  }
  const listening = createServer(["127.0.0.1", 0], { backlog: 1024 });
  const server = new promises.Socket<"AF_INET">({ fileno: listening.detach() });
  const serving = (async () => {
    for await (const [conn] of server.connections()) {
      void (async () => {
        const into = new Uint8Array(65536);
        for (;;) {
          const n = await conn.recvInto(into);
          if (n === 0) break;
          await conn.sendall(into.subarray(0, n));
        }
        conn.close();
      })().catch(() => conn.close());
    }
  })();
  const child = startPeer(server.getsockname()[1]);
  const result = await child.stdout.text();
  server.close();
  await serving;
  return result.trim();
}
