/** When packets leave, and which socket of a group gets them. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  AF_INET,
  CMSG_SPACE,
  IPPROTO_TCP,
  SO_ATTACH_REUSEPORT_CBPF,
  SO_BUSY_POLL,
  SO_INCOMING_CPU,
  SO_MAX_PACING_RATE,
  SO_REUSEPORT,
  SO_TIMESTAMPNS,
  SO_TXTIME,
  SOCK_DGRAM,
  Socket,
  SOF_TXTIME_DEADLINE_MODE,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../../src/index.ts";
import { attachFilter, encodeAncillary } from "../../src/messages.ts";
import {
  CLOCK_MONOTONIC,
  CLOCK_REALTIME,
  CLOCK_TAI,
  clock_gettime,
  cpuFilter,
  MessageBatch,
  sock_txtime,
} from "../../src/packets.ts";
import { codeOf, elapsed, hasLinuxOptions, isLinux, needs, script, slowness, Sockets } from "../help.ts";
import { lacking, Network } from "../networks.ts";

const linux = needs("Linux's options", hasLinuxOptions);

/** A network whose loopback holds packets back until their time, where the kernel has what does that. */
function pacedNetwork(): Network | null {
  if (lacking !== "" || Bun.which("tc") === null) return null;
  const net = new Network();
  const made = net.inside(() => Bun.spawnSync(["tc", "qdisc", "add", "dev", "lo", "root", "fq"]));
  if (made.exitCode === 0) return net;
  net[Symbol.dispose]();
  return null;
}
const probe = pacedNetwork();
probe?.[Symbol.dispose]();

needs("Linux", isLinux)("clocks", () => {
  const real = clock_gettime(CLOCK_REALTIME);
  expect(Math.abs(real.seconds * 1000 + real.nanoseconds / 1e6 - Date.now())).toBeLessThan(1000 * slowness);
  const [first, second] = [clock_gettime(CLOCK_MONOTONIC), clock_gettime(CLOCK_MONOTONIC)];
  const between = (second.seconds - first.seconds) * 1e9 + second.nanoseconds - first.nanoseconds;
  expect(between).toBeGreaterThanOrEqual(0);
  expect(between).toBeLessThan(1e9 * slowness);
  const ahead = clock_gettime(CLOCK_TAI).seconds - clock_gettime(CLOCK_REALTIME).seconds;
  expect(ahead).toBeGreaterThanOrEqual(0); // leap seconds, where the machine was told of them
  expect(ahead).toBeLessThan(100);
  expect(codeOf(() => clock_gettime(9999))).toBe("EINVAL");
  for (const wrong of [undefined, null, "1", 1.5, 2 ** 31])
    expect(() => clock_gettime(wrong as never)).toThrow(/^clockid/);
});

needs("platform without these clocks", !isLinux)("clocks of Linux alone", () => {
  expect(CLOCK_TAI).toBeUndefined();
  expect(() => clock_gettime(0)).toThrow("clock_gettime: ");
});

linux("SO_TXTIME: the structure is the kernel's, and messages of a batch have times", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const batch = new MessageBatch(a, { capacity: 3, ancbufsize: CMSG_SPACE(8) });
  const { seconds, nanoseconds } = clock_gettime(CLOCK_MONOTONIC);
  const fill = () => {
    batch.clear();
    for (let i = 0; i < 3; i++) {
      const txtime = encodeAncillary([{ type: "txtime", time: { seconds, nanoseconds } }]);
      batch.push(`${i}`, b.getsockname(), txtime);
    }
  };
  fill();
  expect(codeOf(() => a.sendBatch(batch))).toBe("EINVAL"); // the socket was not told
  const value = { clockid: CLOCK_MONOTONIC, flags: SOF_TXTIME_DEADLINE_MODE };
  a.setsockopt(SOL_SOCKET, SO_TXTIME, sock_txtime.encode(value));
  expect(sock_txtime.decode(a.getsockopt(SOL_SOCKET, SO_TXTIME, sock_txtime.size))).toEqual(value);
  expect(a.sendBatch(batch)).toBe(3);
  const into = new MessageBatch(b);
  let count = 0;
  while (count < 3) count += b.recvBatch(into);
  expect(() => sock_txtime.encode({ clockid: 0.5, flags: 0 })).toThrow("clockid");
});

needs("queueing discipline fq", probe !== null)("packets leave at their times", () => {
  using net = pacedNetwork()!;
  using own = new Sockets();
  const [a, b] = net.inside(() => [own.udp(), own.udp()] as const);
  b.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1);
  a.setsockopt(SOL_SOCKET, SO_TXTIME, sock_txtime.encode({ clockid: CLOCK_MONOTONIC, flags: 0 }));
  const batch = new MessageBatch(a, { capacity: 5, ancbufsize: CMSG_SPACE(8) });
  const into = new MessageBatch(b, { ancbufsize: CMSG_SPACE(16) });
  const started = performance.now();
  const now = clock_gettime(CLOCK_MONOTONIC);
  for (let i = 0; i < 5; i++) {
    const all = now.nanoseconds + (i + 1) * 50_000_000;
    const time = { seconds: now.seconds + Math.floor(all / 1e9), nanoseconds: all % 1e9 };
    batch.push(`${i}`, b.getsockname(), encodeAncillary([{ type: "txtime", time }]));
  }
  expect(a.sendBatch(batch)).toBe(5);
  const came: number[] = [];
  while (came.length < 5) {
    b.recvBatch(into);
    for (let i = 0; i < into.length; i++) came.push(performance.now() - started);
  }
  for (const [i, ms] of came.entries()) expect(ms).toBeGreaterThanOrEqual((i + 1) * 50 - 5);
});

linux("SO_MAX_PACING_RATE holds TCP back", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
  a.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 1_000_000); // bytes a second
  expect(a.getsockopt(SOL_SOCKET, SO_MAX_PACING_RATE)).toBe(1_000_000);
  const ms = elapsed(() => {
    for (let i = 0; i < 20; i++) {
      a.sendall(new Uint8Array(20_000));
      for (let left = 20_000; left > 0;) left -= b.recv(left).length;
    }
  });
  expect(ms).toBeGreaterThan(150); // 400 kB; the first go unhindered
});

linux("SO_INCOMING_CPU and SO_BUSY_POLL are options like others", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  b.connect(a.getsockname()); // of others the kernel does not keep it
  a.sendto("x", b.getsockname());
  b.recv(1);
  expect(b.getsockopt(SOL_SOCKET, SO_INCOMING_CPU)).toBeGreaterThanOrEqual(0);
  b.setsockopt(SOL_SOCKET, SO_INCOMING_CPU, 1);
  expect(b.getsockopt(SOL_SOCKET, SO_INCOMING_CPU)).toBe(1);
  const outcome = codeOf(() => b.setsockopt(SOL_SOCKET, SO_BUSY_POLL, 50));
  if (outcome === "nothing thrown, undefined returned") expect(b.getsockopt(SOL_SOCKET, SO_BUSY_POLL)).toBe(50);
  else expect(outcome).toMatch(/EPERM|ENOPROTOOPT/); // a right of root, and a kernel may lack it
});

/** A Worker that answers with what its socket received. */
const worker = (index: number) =>
  new Worker(
    URL.createObjectURL(
      new Blob(
        [
          `import { AF_INET, SO_REUSEPORT, SOCK_DGRAM, Socket, SOL_SOCKET } from ${JSON.stringify(require.resolve("../../src/index.ts"))};
           import { MessageBatch } from ${JSON.stringify(require.resolve("../../src/packets.ts"))};
           let sock;
           onmessage = ({ data }) => {
             if (data.port !== undefined) {
               sock = new Socket(AF_INET, SOCK_DGRAM);
               sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
               sock.bind(["127.0.0.1", data.port]);
               postMessage({ bound: sock.getsockname()[1] });
               return;
             }
             sock.settimeout(0.2 * ${slowness});
             const batch = new MessageBatch(sock, { capacity: 64 });
             const got = [];
             try {
               for (;;) {
                 sock.recvBatch(batch);
                 for (let i = 0; i < batch.length; i++) got.push(batch.data(i).toString());
               }
             } catch {}
             sock.close();
             postMessage({ index: ${index}, got });
           };`,
        ],
        { type: "text/javascript" },
      ),
    ),
  );

const answer = <T>(of: Worker): Promise<T> =>
  new Promise((resolve) => (of.onmessage = ({ data }) => resolve(data as T)));

linux("a group of sockets in Workers: a program says who gets a packet", async () => {
  const workers = [worker(0), worker(1), worker(2)];
  let port = 0;
  for (const one of workers) {
    const bound = answer<{ bound: number }>(one);
    one.postMessage({ port });
    port = (await bound).bound;
  }
  {
    // It joins the group to give it its program, and leaves. The data begins behind the header of UDP.
    using member = new Socket(AF_INET, SOCK_DGRAM);
    member.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
    member.bind(["127.0.0.1", port]);
    const byFirstByte = [
      [0x30, 0, 0, 0], // ldb [0]
      [0x14, 0, 0, 48], // sub #48
      [0x16, 0, 0, 0], // ret a
    ] as const;
    attachFilter(member, byFirstByte, SO_ATTACH_REUSEPORT_CBPF);
  }
  using sender = new Socket(AF_INET, SOCK_DGRAM);
  const batch = new MessageBatch(sender);
  const messages = Array.from({ length: 30 }, (_, i) => `${i % 3} message ${i}`);
  for (const message of messages) batch.push(message, ["127.0.0.1", port]);
  expect(sender.sendBatch(batch)).toBe(30);
  const got = await Promise.all(
    workers.map((one) => {
      const all = answer<{ index: number; got: string[] }>(one);
      one.postMessage({});
      return all;
    }),
  );
  for (const one of workers) one.terminate();
  for (const { index, got: some } of got) {
    expect(some).toEqual(messages.filter((message) => message.startsWith(String(index))));
  }
});

/** The processors that this process may run on. */
function processors(): number[] {
  const list = /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync("/proc/self/status", "latin1"))![1]!;
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

const pinned = needs("taskset", hasLinuxOptions && Bun.which("taskset") !== null);
pinned("cpuFilter gives packets to the socket of the processor that received them", () => {
  using own = new Sockets();
  const group: Socket<"AF_INET">[] = [];
  for (let i = 0; i < 2; i++) {
    const sock = own.add(new Socket(AF_INET, SOCK_DGRAM));
    sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
    sock.bind(["127.0.0.1", i === 0 ? 0 : group[0]!.getsockname()[1]]);
    sock.setblocking(false);
    group.push(sock);
  }
  attachFilter(group[0]!, cpuFilter(2), SO_ATTACH_REUSEPORT_CBPF);
  for (const cpu of processors().slice(0, 4)) {
    // On the loopback the receiving processor is the sending one. Each from another port: a hash would spread them.
    const send = script(
      (net, port) => {
        for (let i = 0; i < 50; i++) new net.Socket(net.AF_INET, net.SOCK_DGRAM).sendto("x", ["127.0.0.1", port]);
      },
      [group[0]!.getsockname()[1]],
    );
    const child = Bun.spawnSync(["taskset", "-c", String(cpu), process.execPath, "-e", `${send}; process.exit(0)`]);
    expect(child.exitCode).toBe(0);
    const counts = group.map((sock) => {
      const batch = new MessageBatch(sock, { capacity: 256, size: 16 });
      return codeOf(() => sock.recvBatch(batch)) === "EAGAIN" ? 0 : batch.length;
    });
    expect(counts).toEqual(cpu % 2 === 0 ? [50, 0] : [0, 50]);
  }
});

test("cpuFilter wants a number of sockets", () => {
  for (const wrong of [0, -1, 65536, 1.5, "2", undefined])
    expect(() => cpuFilter(wrong as never)).toThrow(/^sockets: /);
});
