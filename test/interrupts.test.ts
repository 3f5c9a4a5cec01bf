/**
 * Signals interrupt system calls all the time; nobody who calls a socket sees it.
 *
 * A process of its own sends this one a signal every millisecond or so. The blocking sockets have SO_RCVTIMEO and
 * SO_SNDTIMEO, with which the system never restarts a call by itself.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { AF_UNIX, EAGAIN, SO_RCVBUF, SO_SNDBUF, SOCK_DGRAM, SOCK_STREAM, Socket, SOL_SOCKET } from "../src/index.ts";
import { MessageBatch } from "../src/packets.ts";
import {
  bounded,
  elapsed,
  expectTimeout,
  fill,
  fillReceiver,
  Folder,
  isLinux,
  isWindows,
  needs,
  type Net,
  peer,
  type Peer,
  slowness,
  Sockets,
} from "./help.ts";

// Windows has none.
const inStorm = needs("signals that interrupt calls", !isWindows);

let signals = 0;
let storm: Peer;
const count = (): void => void signals++;

beforeAll(async () => {
  if (isWindows) return;
  process.on("SIGUSR2", count);
  storm = peer(
    (_net, victim) => {
      try {
        for (;;) {
          process.kill(victim, "SIGUSR2");
          Bun.sleepSync(1);
        }
      } catch {
        // The victim is gone.
      }
    },
    [process.pid],
  );
  while (signals === 0) await Bun.sleep(1);
});

afterAll(async () => {
  if (isWindows) return;
  storm[Symbol.dispose]();
  await storm.process.exited;
  await Bun.sleep(5);
  process.off("SIGUSR2", count);
});

/** Runs a call that waits, and makes sure that signals came meanwhile. */
async function inTheStorm(call: () => void): Promise<void> {
  await Bun.sleep(0);
  const before = signals;
  const ms = elapsed(call);
  expect(ms).toBeGreaterThan(40);
  await Bun.sleep(5); // now the handlers run
  expect(signals - before).toBeGreaterThan(10);
}

/** A process that sends something on descriptor 3 after a while. */
function sendsLater(sock: Socket): Peer {
  const later = async (net: Net): Promise<void> => {
    await Bun.sleep(60);
    net.given[0]!.sendall("at last");
  };
  return peer(later, [], [sock]);
}

/** A process that reads descriptor 3 to its end, but begins late. */
function readsLater(sock: Socket): Peer {
  const later = async (net: Net): Promise<void> => {
    await Bun.sleep(60);
    const reading = net.given[0]!;
    while (reading.recv(65536).length > 0);
  };
  return peer(later, [], [sock]);
}

const view = new Uint8Array(100);
const text = (length: number): string => Buffer.from(view.subarray(0, length)).toString();
const receives: [name: string, receive: (sock: Socket) => string][] = [
  ["recv", (sock) => sock.recv(100).toString()],
  ["recvfrom", (sock) => sock.recvfrom(100)[0].toString()],
  ["recvInto", (sock) => text(sock.recvInto(view))],
  ["recvfromInto", (sock) => text(sock.recvfromInto(view)[0])],
  ["recvmsg", (sock) => sock.recvmsg(100, 100)[0].toString()],
  [
    "recvBatch",
    (sock) => {
      const batch = new MessageBatch(sock, { capacity: 1 });
      sock.recvBatch(batch);
      return batch.data(0).toString();
    },
  ],
  ["recvmsgInto", (sock) => text(sock.recvmsgInto([view.subarray(0, 3), view.subarray(3)])[0])],
];

inStorm.each(receives)("%s waits on, blocking", async (_name, receive) => {
  using own = new Sockets();
  const [a, b] = own.pair();
  using sender = sendsLater(b);
  bounded(a).settimeout(null);
  await inTheStorm(() => expect(receive(a)).toBe("at last"));
  await sender.output();
});

inStorm.each(receives)("%s waits on, with a timeout", async (_name, receive) => {
  using own = new Sockets();
  const [a, b] = own.pair();
  using sender = sendsLater(b);
  await inTheStorm(() => expect(receive(a)).toBe("at last"));
  await sender.output();
});

inStorm("a timeout is neither longer nor shorter for the signals", async () => {
  using own = new Sockets();
  const [a] = own.pair();
  const server = own.server();
  const full = own.pair()[0];
  fill(full);
  for (const sock of [a, server, full]) sock.settimeout(0.1);
  await inTheStorm(() => {
    expectTimeout(0.1, () => a.recv(1));
    expectTimeout(0.1, () => a.recvmsg(1));
    expectTimeout(0.1, () => server.accept());
    expectTimeout(0.1, () => full.send("x"));
    expectTimeout(0.1, () => full.sendall("x"));
  });
});

inStorm.each([null, 5])("accept waits on, with timeout %p", async (timeout) => {
  using own = new Sockets();
  const server = bounded(own.server());
  server.settimeout(timeout);
  using client = peer(
    async (net, address) => {
      await Bun.sleep(60);
      const sock = new net.Socket();
      sock.connect(address);
      console.log(sock.recv(10).toString());
    },
    [server.getsockname()],
  );
  await inTheStorm(() => {
    const [conn] = server.accept();
    own.add(conn).sendall("welcome");
  });
  expect(await client.output()).toBe("welcome");
});

/** A server whose queue is full, and that begins to accept a while later. */
function busyServer(own: Sockets): [address: readonly [string, number], server: Peer] {
  const server = own.server(0);
  const address = server.getsockname();
  const waiting = Array.from({ length: 3 }, () => own.add(new Socket()));
  for (const sock of waiting) {
    sock.setblocking(false);
    sock.connectEx(address);
  }
  const accepting = peer(
    async (net, seconds) => {
      const listener = net.given[0]!;
      await Bun.sleep(60);
      listener.settimeout(seconds);
      const all = [];
      for (let i = 0; i < 4; i++) all.push(listener.accept());
    },
    [4 * slowness],
    [server],
  );
  return [address, accepting];
}

// The peer tries again after a second: that is TCP's own time.
needs("signals and a backlog as Linux has them", isLinux)(
  "connect waits on until it is connected, blocking",
  async () => {
    using own = new Sockets();
    const [address, server] = busyServer(own);
    using _ = server;
    using blocking = bounded(new Socket());
    await inTheStorm(() => blocking.connect(address));
    expect(blocking.getpeername()).toEqual(address);
  },
);

needs("signals and a backlog as Linux has them", isLinux)(
  "connect waits on until it is connected, with a timeout",
  async () => {
    using own = new Sockets();
    const [address, server] = busyServer(own);
    using _ = server;
    using sock = new Socket();
    sock.settimeout(4 * slowness);
    await inTheStorm(() => expect(sock.connectEx(address)).toBe(0));
    expect(sock.getpeername()).toEqual(address);
  },
);

needs("signals and a backlog as Linux has them", isLinux)("connect runs out of time when it should", async () => {
  using own = new Sockets();
  const server = own.server(0);
  for (let i = 0; i < 3; i++) {
    const sock = own.add(new Socket());
    sock.setblocking(false);
    sock.connectEx(server.getsockname());
  }
  await inTheStorm(() => {
    expectTimeout(0.1, () => {
      using sock = new Socket();
      sock.settimeout(0.1);
      sock.connect(server.getsockname());
    });
    using sock = new Socket();
    sock.settimeout(0.05);
    expect(sock.connectEx(server.getsockname())).toBe(EAGAIN);
  });
});

needs("signals and a backlog as Linux has them", isLinux)(
  "connect to a busy Unix server waits on until it is connected",
  async () => {
    using own = new Sockets();
    using folder = new Folder();
    const server = own.add(new Socket(AF_UNIX, SOCK_STREAM));
    server.bind(folder.file("busy"));
    server.listen(0);
    const first = own.add(new Socket(AF_UNIX, SOCK_STREAM));
    first.connect(folder.file("busy"));
    using accepting = peer(
      async (net) => {
        const listener = net.given[0]!;
        await Bun.sleep(60);
        listener.settimeout(4);
        listener.accept();
        const [conn] = listener.accept();
        conn.sendall("connected");
      },
      [],
      [server],
    );
    using sock = bounded(new Socket(AF_UNIX, SOCK_STREAM));
    await inTheStorm(() => sock.connect(folder.file("busy")));
    expect(sock.getpeername()).toBe(folder.file("busy"));
    expect(sock.recv(100).toString()).toBe("connected");
    await accepting.output();
  },
);

const big = Buffer.alloc(3_000_000, "x");
const folder = new Folder();
// Linux before 6.5 takes some pages of a file into a full connection: a small file would not wait.
const bigFile = folder.file("big");
beforeAll(async () => void (await Bun.write(bigFile, big)));
afterAll(() => folder[Symbol.dispose]());
const sends: [name: string, send: (sock: Socket) => number][] = [
  ["send", (sock) => sock.send("more")],
  ["sendmsg", (sock) => sock.sendmsg(["mo", "re"])],
  ["sendall", (sock) => (sock.sendall(big), 4)],
  ["sendfile", (sock) => (expect(sock.sendfile(bigFile)).toBe(big.length), 4)],
];

inStorm.each(sends)("%s waits on, blocking", async (_name, send) => {
  using own = new Sockets();
  const [a, b] = own.pair();
  fill(a);
  using reader = readsLater(b);
  bounded(a).settimeout(null);
  await inTheStorm(() => expect(send(a)).toBe(4));
  a.close();
  await reader.output();
});

inStorm.each(sends)("%s waits on, with a timeout", async (_name, send) => {
  using own = new Sockets();
  const [a, b] = own.pair();
  fill(a);
  using reader = readsLater(b);
  a.settimeout(5);
  await inTheStorm(() => expect(send(a)).toBe(4));
  a.close();
  await reader.output();
});

const datagrams: [name: string, send: (sock: Socket, path: string) => number][] = [
  ["sendto", (sock, path) => sock.sendto("late", path)],
  [
    "sendBatch",
    (sock, path) => {
      const batch = new MessageBatch(sock, { capacity: 1 });
      batch.push("late", path);
      return 4 * sock.sendBatch(batch);
    },
  ],
];
const timeouts = datagrams.flatMap(([name, send]) => [null, 5].map((timeout) => [name, timeout, send] as const));
inStorm.each(timeouts)("%s waits on for a full Unix receiver, with timeout %p", async (_name, timeout, send) => {
  using own = new Sockets();
  using folder = new Folder();
  const receiver = own.add(new Socket(AF_UNIX, SOCK_DGRAM));
  receiver.bind(folder.file("full"));
  const sender = own.add(new Socket(AF_UNIX, SOCK_DGRAM));
  fillReceiver(folder.file("full"));
  using _ = peer(
    async (net) => {
      await Bun.sleep(60);
      net.given[0]!.recv(10);
      await Bun.sleep(5000);
    },
    [],
    [receiver],
  );
  bounded(sender).settimeout(timeout);
  await inTheStorm(() => expect(send(sender, folder.file("full"))).toBe(4));
});

inStorm("everything arrives, in order, whatever was interrupted", async () => {
  using own = new Sockets();
  const [a, b] = own.pair();
  a.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096);
  b.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096);
  using reader = peer(
    (net) => {
      const sock = net.given[0]!;
      const hash = new Bun.CryptoHasher("sha1");
      for (let part = sock.recv(1000); part.length > 0; part = sock.recv(1000)) hash.update(part);
      console.log(hash.digest("hex"));
    },
    [],
    [b],
  );
  const data = Buffer.from(Array.from({ length: 2_000_000 }, (_, i) => (i * 31) % 255));
  bounded(a).settimeout(null);
  a.sendall(data.subarray(0, 1_000_000));
  a.settimeout(5);
  a.sendall(data.subarray(1_000_000));
  a.close();
  expect(await reader.output()).toBe(new Bun.CryptoHasher("sha1").update(data).digest("hex"));
});
