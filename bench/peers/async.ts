/**
 * One workload of bench/async.ts in a process of its own: `async.ts <who> <workload> <bytes> <sockets> <ms>` prints numbers.
 * Its other end is a second process with blocking sockets, the same for all who are measured.
 */
import {
  AF_INET,
  CMSG_SPACE,
  createServer,
  IPPROTO_UDP,
  MSG_WAITALL,
  SOCK_DGRAM,
  Socket,
  TimeoutError,
  UDP_GRO,
} from "../../src/index.ts";
import { dlopen } from "bun:ffi";
import { MessageBatch, sendSegments } from "../../src/packets.ts";
import * as promises from "../../src/promises.ts";
import { burst, END, IN_FLIGHT, lossOf, PATIENCE, Watch } from "./watch.ts";

const [who = "", workload = "", bytesText = "", socketsText = "", msText = ""] = process.argv.slice(2);
const bytes = Number(bytesText);
const sockets = Number(socketsText);
const ms = Number(msText);

/** How many packets are sent at once. */
const BURST = burst(bytes);

/** Nanoseconds by a clock that all processes have; Bun's own begin with the process. */
function now(): bigint {
  const time = new BigInt64Array(2);
  clock.clock_gettime(1, time);
  return time[0]! * 1_000_000_000n + time[1]!;
}
const clock = dlopen(process.platform === "darwin" ? "libSystem.dylib" : "libc.so.6", {
  clock_gettime: { args: ["i32", "buffer"], returns: "i32" },
}).symbols;

if (who === "peer") await peer(workload, (process.env["PORTS"] ?? "").split(",").map(Number));
else console.log(await measure());

function startPeer(...ports: number[]): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  return Bun.spawn([process.execPath, import.meta.path, "peer", workload, bytesText, socketsText, msText], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, PORTS: ports.join() },
  });
}

/** The other end, which blocks. */
async function peer(workload: string, ports: number[]): Promise<void> {
  const to = ["127.0.0.1", ports[0]!] as const;
  if (workload === "udp round trips") {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.bind(["127.0.0.1", 0]);
    console.log(sock.getsockname()[1]);
    for (;;) {
      const [data, from] = sock.recvfrom(65536);
      if (data.length === END.length) break;
      sock.sendto(data, from!);
    }
  } else if (workload === "udp packets") {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    let sent = 0;
    let send: () => void;
    if (ports.length === 1) {
      // The kernel cuts a burst itself, so that who receives has more to do than who sends.
      const packets = new Uint8Array(BURST * bytes);
      send = () => {
        sendSegments(sock, packets, bytes, to);
        sent += BURST;
      };
    } else {
      // To each port in its turn; as many bursts as it takes until they begin anew.
      const packet = new Uint8Array(bytes);
      const bursts = Array.from({ length: Math.ceil(ports.length / BURST) }, (_, number) => {
        const batch = new MessageBatch(sock, { capacity: BURST, size: bytes });
        for (let i = 0; i < BURST; i++) batch.push(packet, ["127.0.0.1", ports[(number * BURST + i) % ports.length]!]);
        return batch;
      });
      send = () => {
        sent += sock.sendBatch(bursts[(sent / BURST) % bursts.length]!);
        if (sent % BURST !== 0) throw new Error("a part of a burst was sent");
      };
    }
    sock.settimeout(PATIENCE / 1000);
    for (let i = 1; i < IN_FLIGHT; i++) send(); // they are on their way while another is taken
    for (let isOver = false; !isOver;) {
      send();
      try {
        isOver = sock.recv(10).length === END.length;
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error; // something was lost: the next burst makes up for it
      }
    }
    console.log(sent);
  } else if (workload === "wake") {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.connect(to);
    const end = performance.now() + 2 * ms;
    while (performance.now() < end) {
      Bun.sleepSync(1);
      sock.send(new BigInt64Array([now()]));
    }
    sock.send("");
  } else {
    const socks = Array.from({ length: sockets }, () => {
      const sock = new Socket(AF_INET);
      sock.connect(to);
      return sock;
    });
    const message = new Uint8Array(bytes);
    const into = new Uint8Array(bytes);
    const watch = new Watch(ms);
    do {
      for (const sock of socks) sock.sendall(message);
      for (const sock of socks) sock.recvInto(into, bytes, MSG_WAITALL);
    } while (watch.count());
    console.log(watch.nanoseconds / sockets);
    for (const sock of socks) sock.close();
  }
}

async function firstLine(child: Bun.Subprocess<"ignore", "pipe", "inherit">): Promise<string> {
  const { value } = await child.stdout.getReader().read();
  return Buffer.from(value!).toString();
}

async function measure(): Promise<string> {
  if (workload === "udp round trips") return String(await roundTrips());
  if (workload === "udp packets") return (await packets()).join(" ");
  if (workload === "wake") return (await wakes()).join(" ");
  if (workload === "idle") return (await idle()).join(" ");
  return await echo();
}

/** Bun's UDP socket, and what it does with a datagram. */
function bunSocket(data: Bun.udp.SocketHandler<"buffer">["data"]): Promise<Bun.udp.Socket<"buffer">> {
  return Bun.udpSocket({ hostname: "127.0.0.1", socket: { data } });
}

/** A socket of the promises, and its port. */
function udp(): [sock: promises.Socket<"AF_INET">, port: number] {
  const sock = new promises.Socket(AF_INET, SOCK_DGRAM);
  sock.bind(["127.0.0.1", 0]);
  return [sock, sock.getsockname()[1]];
}

/** Nanoseconds a round trip. */
async function roundTrips(): Promise<number> {
  const port = Number(await firstLine(startPeer()));
  const message = new Uint8Array(bytes);
  const watch = new Watch(ms);
  if (who === "Bun") {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sock = await bunSocket((sock) => {
      if (watch.count()) sock.send(message, port, "127.0.0.1");
      else resolve();
    });
    sock.send(message, port, "127.0.0.1");
    await promise;
    sock.send(END, port, "127.0.0.1");
    sock.close();
    return watch.nanoseconds;
  }
  const to = ["127.0.0.1", port] as const;
  using sock = new promises.Socket(AF_INET, SOCK_DGRAM);
  do {
    await sock.sendto(message, to);
    await sock.recvfrom(2048);
  } while (watch.count());
  await sock.sendto(END, to);
  return watch.nanoseconds;
}

/** Nanoseconds a packet, and the share that was lost. */
async function packets(): Promise<[nanoseconds: number, loss: number]> {
  const watch = new Watch(ms); // of bursts
  const { promise: end, resolve } = Promise.withResolvers<void>();
  let count = 0;
  let isOver = false;
  /** Counts what came. After each burst there is something to answer, until it is over. */
  const answer = (n: number): string | undefined => {
    const bursts = Math.floor(count / BURST);
    count += n;
    if (isOver || Math.floor(count / BURST) === bursts) return undefined;
    isOver = !watch.count();
    if (isOver) resolve();
    return isOver ? END : "go";
  };
  /** When it is over, with the number of those that were sent. */
  const finish = async (...ports: number[]): Promise<[number, number]> => {
    const peer = startPeer(...ports);
    await end;
    return [watch.nanoseconds / BURST, await lossOf(Number(await peer.stdout.text()), () => count)];
  };
  if (who === "Bun") {
    const all: Bun.udp.Socket<"buffer">[] = [];
    for (let i = 0; i < sockets; i++) {
      const sock = await bunSocket((sock, _data, port, address) => {
        const text = answer(1);
        if (text !== undefined) sock.send(text, port, address);
      });
      all.push(sock);
    }
    const figures = await finish(...all.map((sock) => sock.port));
    for (const sock of all) sock.close();
    return figures;
  }

  const receive = async (sock: promises.Socket<"AF_INET">): Promise<void> => {
    for await (const [, from] of sock.datagrams({ size: 2048 })) {
      const text = answer(1);
      if (text !== undefined) await sock.sendto(text, from!);
    }
  };
  const receiveBatches = async (sock: promises.Socket<"AF_INET">): Promise<void> => {
    const batch = new MessageBatch(sock, { capacity: BURST, size: 2048 });
    for (;;) {
      const text = answer(await sock.recvBatch(batch));
      if (text !== undefined) await sock.sendto(text, batch.address(0)!);
    }
  };
  /** The kernel leaves packets of one sender together. */
  const receiveSegments = async (sock: promises.Socket<"AF_INET">): Promise<void> => {
    sock.setsockopt(IPPROTO_UDP, UDP_GRO!, 1);
    const batch = new MessageBatch(sock, { capacity: IN_FLIGHT, size: 65535, ancbufsize: CMSG_SPACE(4) });
    for (;;) {
      await sock.recvBatch(batch);
      for (let i = 0; i < batch.length; i++) {
        for (let j = 0; j < batch.segments(i); j++) {
          const text = answer(batch.segment(i, j).length > 0 ? 1 : 0);
          if (text !== undefined) await sock.sendto(text, batch.address(i)!);
        }
      }
    }
  };
  const receivers: Record<string, typeof receive> = { recvBatch: receiveBatches, UDP_GRO: receiveSegments };
  const all = Array.from({ length: sockets }, udp);
  const receiving = all.map(([sock]) => (receivers[who] ?? receive)(sock).catch(() => {}));
  const figures = await finish(...all.map(([, port]) => port));
  for (const [sock] of all) sock.close();
  await Promise.all(receiving);
  return figures;
}

/** Nanoseconds from a send in the other process until the data is here: half of them, and 99 of 100, take no longer. */
async function wakes(): Promise<[p50: number, p99: number]> {
  const times: number[] = [];
  const take = (data: Buffer): boolean => {
    if (data.length === 0) return false;
    times.push(Number(now() - data.readBigInt64LE(0)));
    return true;
  };
  if (who === "Bun") {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sock = await bunSocket((_sock, data) => void (take(data) || resolve()));
    startPeer(sock.port);
    await promise;
    sock.close();
  } else {
    const [sock, port] = udp();
    startPeer(port);
    while (take(await sock.recv(100)));
    sock.close();
  }
  times.splice(0, times.length >> 1); // it was not warm yet
  times.sort((a, b) => a - b);
  return [times[times.length >> 1]!, times[Math.floor(times.length * 0.99)]!];
}

/** Sockets that wait, all of them: nanoseconds and bytes for each. */
async function idle(): Promise<[nanoseconds: number, bytes: number]> {
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  const began = performance.now();
  const all: { close: () => void }[] = [];
  const receiving: Promise<unknown>[] = [];
  for (let i = 0; i < sockets; i++) {
    if (who === "Bun") {
      all.push(await bunSocket(() => {}));
    } else {
      const [sock] = udp();
      receiving.push(sock.recv(2048).catch(() => {}));
      all.push(sock);
    }
  }
  const took = performance.now() - began;
  Bun.gc(true);
  const room = process.memoryUsage.rss() - before;
  for (const sock of all) sock.close();
  await Promise.all(receiving);
  return [(took * 1e6) / sockets, room / sockets];
}

/** Nanoseconds a message that a server echoes; the other end has the clock. */
async function echo(): Promise<string> {
  if (who === "Bun") {
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
