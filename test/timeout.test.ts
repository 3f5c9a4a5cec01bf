/** The three modes of a socket: blocking, non-blocking, and with a timeout. */
import { afterEach, expect } from "bun:test";
import {
  AF_INET,
  AF_UNIX,
  BlockingIOError,
  getdefaulttimeout,
  setdefaulttimeout,
  SO_RCVBUF,
  SO_RCVTIMEO,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  TimeoutError,
} from "../src/index.ts";
import {
  blockingTest,
  codeOf,
  elapsed,
  expectTimeout,
  type Face,
  fill,
  needs,
  peer,
  type Socket,
  test,
  thrown,
} from "./faces.ts";
import { bounded, fillReceiver, Folder, hasUnixDatagrams, isLinux, isWindows, slowness, timeval } from "./help.ts";

afterEach(() => setdefaulttimeout(null));

/** Whether the descriptor itself would wait, whatever the socket object believes. */
async function descriptorBlocks(sock: { fileno(): number }): Promise<boolean> {
  const flags = /flags:\s*([0-7]+)/.exec(await Bun.file(`/proc/self/fdinfo/${sock.fileno()}`).text());
  return (parseInt(flags![1]!, 8) & 0o4000) === 0;
}

test("a socket is blocking at first", async (net) => {
  using sock = new net.Socket();
  expect(sock.gettimeout()).toBeNull();
  expect(sock.timeout).toBeNull();
  expect(sock.getblocking()).toBe(true);
});

test("settimeout and setblocking say the same in two ways", async (net) => {
  using sock = new net.Socket();
  sock.settimeout(2.5);
  expect([sock.gettimeout(), sock.timeout, sock.getblocking()]).toEqual([2.5, 2.5, true]);
  sock.setblocking(false);
  expect([sock.gettimeout(), sock.getblocking()]).toEqual([0, false]);
  sock.setblocking(true);
  expect([sock.gettimeout(), sock.getblocking()]).toEqual([null, true]);
  sock.settimeout(0);
  expect([sock.gettimeout(), sock.getblocking()]).toEqual([0, false]);
  sock.settimeout(null);
  expect([sock.gettimeout(), sock.getblocking()]).toEqual([null, true]);
});

needs("/proc", isLinux)(
  "the descriptor is non-blocking unless a call may wait without end, and by promises always",
  async (net) => {
    using sock = new net.Socket();
    expect(await descriptorBlocks(sock)).toBe(!net.isAsync);
    sock.settimeout(1);
    expect(await descriptorBlocks(sock)).toBe(false);
    sock.settimeout(null);
    expect(await descriptorBlocks(sock)).toBe(!net.isAsync);
    sock.settimeout(0);
    expect(await descriptorBlocks(sock)).toBe(false);
  },
);

needs("SOCK_NONBLOCK", SOCK_NONBLOCK !== undefined)("SOCK_NONBLOCK makes a non-blocking socket", async (net) => {
  using sock = new net.Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
  expect(sock.type).toBe(SOCK_STREAM);
  expect(sock.gettimeout()).toBe(0);
  expect(sock.getblocking()).toBe(false);
  expect(await descriptorBlocks(sock)).toBe(false);
  setdefaulttimeout(3);
  using other = new net.Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
  expect(other.gettimeout()).toBe(0);
});

test("setdefaulttimeout is for sockets that are made afterwards, however they are made", async (net) => {
  using own = new net.Sockets();
  const before = own.add(new net.Socket());
  expect(getdefaulttimeout()).toBeNull();
  setdefaulttimeout(2.5);
  expect(getdefaulttimeout()).toBe(2.5);
  const [a, b] = net.socketpair();
  const server = own.add(net.createServer(["127.0.0.1", 0]));
  const client = own.add(await net.createConnection(server.getsockname()));
  const [conn] = await server.accept();
  const made: { gettimeout(): number | null; close(): void; [Symbol.dispose](): void }[] = [
    new net.Socket(),
    a,
    b,
    server,
    client,
    conn,
    net.fromfd(a.fileno(), a.family, SOCK_STREAM),
  ];
  made.push(new net.Socket({ fileno: a.dup().detach() }));
  for (const sock of made) expect(own.add(sock).gettimeout()).toBe(2.5);
  expect(before.gettimeout()).toBeNull();
  setdefaulttimeout(0);
  expect(own.add(new net.Socket()).getblocking()).toBe(false);
  setdefaulttimeout(null);
  expect(own.add(new net.Socket()).gettimeout()).toBeNull();
});

needs("/proc", isLinux)("the default timeout reaches the descriptors too", async (net) => {
  using own = new net.Sockets();
  setdefaulttimeout(2.5);
  const server = own.add(net.createServer(["127.0.0.1", 0]));
  const client = own.add(await net.createConnection(server.getsockname()));
  const [conn] = await server.accept();
  const [a, b] = net.socketpair();
  for (const sock of [server, client, own.add(conn), own.add(a), own.add(b)]) {
    expect(await descriptorBlocks(sock)).toBe(false);
  }
});

test("an accepted socket has the default timeout, not the listener's", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  for (const [listener, byDefault, expected] of [
    [5, null, null],
    [5, 2, 2],
    [0, null, null],
    [0, 3, 3],
    [null, 0, 0],
    [5, 0, 0],
  ] as const) {
    const client = own.add(new net.Socket());
    await client.connect(server.getsockname());
    server.settimeout(listener);
    setdefaulttimeout(byDefault);
    const [conn] = await server.accept();
    setdefaulttimeout(null);
    expect(own.add(conn).gettimeout()).toBe(expected);
  }
});

needs("/proc", isLinux)(
  "an accepted socket without a timeout really is blocking, and by promises never",
  async (net) => {
    using own = new net.Sockets();
    const server = own.server();
    const client = own.add(new net.Socket());
    await client.connect(server.getsockname());
    const [conn] = await server.accept();
    expect(await descriptorBlocks(own.add(conn))).toBe(!net.isAsync);
  },
);

test("a duplicate has the timeout of its original", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair();
  a.settimeout(1.5);
  expect(own.add(a.dup()).gettimeout()).toBe(1.5);
});

test.each([-1, -0.001, NaN, Infinity, 1e10])("a timeout of %p is a RangeError", async (net, value) => {
  using sock = new net.Socket();
  sock.settimeout(1);
  expect(() => sock.settimeout(value)).toThrow(RangeError);
  expect(() => setdefaulttimeout(value)).toThrow(RangeError);
  expect(sock.gettimeout()).toBe(1);
  expect(getdefaulttimeout()).toBeNull();
});

test("settimeout of a closed socket is EBADF", async (net) => {
  const sock = new net.Socket();
  sock.close();
  expect(await codeOf(() => sock.settimeout(1))).toBe("EBADF");
  expect(await codeOf(() => sock.setblocking(true))).toBe("EBADF");
});

test("what would wait on a non-blocking socket is a BlockingIOError", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair();
  const server = own.server();
  const full = own.pair()[0];
  await fill(full);
  a.setblocking(false);
  server.setblocking(false);
  const view = new Uint8Array(8);
  for (const call of [
    () => a.recv(1),
    () => a.recvfrom(1),
    () => a.recvInto(view),
    () => a.recvfromInto(view),
    () => a.recvmsg(1, 100),
    () => a.recvmsgInto([view, view]),
    () => server.accept(),
    () => full.send("x"),
    () => full.sendall("x"),
    () => full.sendmsg(["x", "y"]),
  ]) {
    const error = await thrown(call);
    expect(error).toBeInstanceOf(BlockingIOError);
    expect(error.code).toBe("EAGAIN");
  }
});

test("a non-blocking connect is EINPROGRESS", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  using sock = new net.Socket();
  sock.setblocking(false);
  const error = await thrown(() => sock.connect(server.getsockname()));
  expect(error).toBeInstanceOf(BlockingIOError);
  expect(error).toMatchObject({ code: "EINPROGRESS", syscall: "connect", address: server.getsockname() });
});

test("non-blocking sendall sends what it can and says that it was not all", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  a.setblocking(false);
  const data = Buffer.alloc(4_000_000);
  // Windows takes a buffer whole where there is any room.
  for (let i = 0; isWindows && i < 100 && (await codeOf(() => a.sendall(data))).startsWith("nothing"); i++);
  expect(await codeOf(() => a.sendall(data))).toBe("EAGAIN");
  expect((await b.recv(1)).length).toBe(1);
});

const seconds = 0.08;

test("receives run out of time when they should", async (net) => {
  using own = new net.Sockets();
  const [a] = own.tcp();
  const view = new Uint8Array(8);
  a.settimeout(seconds);
  await expectTimeout(seconds, () => a.recv(1));
  await expectTimeout(seconds, () => a.recvfrom(1));
  await expectTimeout(seconds, () => a.recvInto(view));
  await expectTimeout(seconds, () => a.recvfromInto(view));
  await expectTimeout(seconds, () => a.recvmsg(1, 100));
  await expectTimeout(seconds, () => a.recvmsgInto([view, view]));
});

test("a timeout of less than a millisecond is one, and waits no longer than it must", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair();
  a.settimeout(0.0003);
  await expectTimeout(0.0003, () => a.recv(1));
  a.settimeout(1e-9);
  await expectTimeout(1e-9, () => a.recv(1));
});

test("accept runs out of time when it should", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  server.settimeout(seconds);
  await expectTimeout(seconds, () => server.accept());
});

test("connect runs out of time when it should", async (net) => {
  using own = new net.Sockets();
  const server = own.server(0);
  // The queue of a backlog of 0 holds one connection on Linux; what comes when it is full is not answered.
  const waiting = Array.from({ length: 4 }, () => own.add(new net.Socket()));
  for (const sock of waiting) {
    sock.setblocking(false);
    await sock.connectEx(server.getsockname());
  }
  await expectTimeout(seconds, async () => {
    using sock = new net.Socket();
    sock.settimeout(seconds);
    await sock.connect(server.getsockname());
  });
});

test("a send on a full connection runs out of time when it should", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair();
  await fill(a);
  a.settimeout(seconds);
  await expectTimeout(seconds, () => a.send("x"));
  await expectTimeout(seconds, () => a.sendmsg(["x", "y"]));
  await expectTimeout(seconds, () => a.sendall("x"));
});

test("sendall's time is for the whole call: a reader that takes bits does not extend it", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  a.setsockopt(SOL_SOCKET, SO_SNDBUF, 8192);
  b.setsockopt(SOL_SOCKET, SO_RCVBUF, 8192);
  using _ = peer(
    async (net) => {
      const sock = net.given[0]!;
      while (sock.recv(3000).length > 0) await Bun.sleep(10);
    },
    [],
    [b],
  );
  a.settimeout(5);
  await a.sendall(Buffer.alloc(100_000)); // by now the reader reads
  a.settimeout(0.3);
  await expectTimeout(0.3, () => a.sendall(Buffer.alloc(20_000_000)));
});

/** A socket of datagrams, and one that is bound to a path and has no room for more. */
function toFullReceiver(
  net: Face,
  own: InstanceType<Face["Sockets"]>,
  path: string,
): [sender: Socket<"AF_UNIX">, receiver: Socket<"AF_UNIX">] {
  const receiver = own.add(new net.Socket(AF_UNIX, SOCK_DGRAM));
  receiver.bind(path);
  fillReceiver(path);
  return [own.add(new net.Socket(AF_UNIX, SOCK_DGRAM)), receiver];
}

needs("AF_UNIX datagram socket", hasUnixDatagrams)(
  "sendto a full Unix receiver waits without taking the processor",
  async (net) => {
    using own = new net.Sockets();
    using folder = new Folder();
    const [sender, receiver] = toFullReceiver(net, own, folder.file("full"));
    sender.settimeout(0.3);
    const before = process.cpuUsage();
    const began = performance.now();
    await expectTimeout(0.3, () => sender.sendto("x", folder.file("full")));
    const { user, system } = process.cpuUsage(before);
    // It is tried each millisecond, which is work in an emulator; without a pause all of the time would be taken.
    expect((user + system) / 1000 / (performance.now() - began)).toBeLessThan(Math.min(0.5 * slowness, 0.93));
    await receiver.recv(1);
    expect(await sender.sendto("y", folder.file("full"))).toBe(1);
  },
);

needs("AF_UNIX datagram socket", hasUnixDatagrams)(
  "an empty datagram waits for room as others do, by send and by sendall",
  async (net) => {
    using own = new net.Sockets();
    using folder = new Folder();
    const [sender, receiver] = toFullReceiver(net, own, folder.file("full"));
    await sender.connect(folder.file("full"));
    sender.settimeout(0.1);
    expect(await codeOf(() => sender.send(""))).toBe("ETIMEDOUT");
    expect(await codeOf(() => sender.sendall(""))).toBe("ETIMEDOUT");
    await receiver.recv(1);
    await sender.sendall("");
    receiver.settimeout(0.1);
    let last: Buffer | undefined;
    while ((await codeOf(async () => (last = await receiver.recv(10)))) !== "ETIMEDOUT");
    expect(last).toHaveLength(0);
  },
);

needs("AF_UNIX datagram socket", hasUnixDatagrams)(
  "a receiver that gets room lets a waiting sendto go on",
  async (net) => {
    using own = new net.Sockets();
    using folder = new Folder();
    const [sender, receiver] = toFullReceiver(net, own, folder.file("slow"));
    using _ = peer(
      async (net) => {
        await Bun.sleep(400);
        net.given[0]!.recv(10);
        await Bun.sleep(5000);
      },
      [],
      [receiver],
    );
    sender.settimeout(5);
    const ms = await elapsed(async () => expect(await sender.sendto("z", folder.file("slow"))).toBe(1));
    expect(ms).toBeGreaterThan(50);
    expect(ms).toBeLessThan(4000 * slowness);
  },
);

test("data that comes in time is received, and the timeout stays", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  using _ = peer(
    async (net) => {
      await Bun.sleep(60);
      net.given[0]!.sendall("in time");
    },
    [],
    [b],
  );
  a.settimeout(4);
  expect(await elapsed(async () => expect((await a.recv(100)).toString()).toBe("in time"))).toBeGreaterThan(50);
  expect(a.gettimeout()).toBe(4);
});

test("the longest timeouts wait", async (net) => {
  for (const [i, longest] of [9223372036, 9e9, 4_294_968, 2_147_484].entries()) {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    using sender = peer(
      async (net, text) => {
        const sock = net.given[0]!;
        for (let left = 1_000_000; left > 0; left -= sock.recv(left).length);
        await Bun.sleep(20);
        sock.sendall(text);
      },
      [String(i)],
      [b],
    );
    a.settimeout(longest);
    await a.sendall(Buffer.alloc(1_000_000));
    expect((await a.recv(1)).toString()).toBe(String(i));
    await sender.output();
  }
});

test("a timeout says what timed out", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair();
  a.settimeout(0.001);
  const error = await thrown(() => a.recv(1));
  expect(error).toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ name: "TimeoutError", code: "ETIMEDOUT", syscall: "recv" });
  expect(error.message).toBe("recv ETIMEDOUT: timed out");
});

test("what is ready is taken without waiting, even when no time is left for that", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  await b.sendall("ready");
  a.settimeout(1e-9);
  expect((await a.recv(10)).toString()).toBe("ready");
});

test("a blocking socket waits for as long as it takes", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  using _ = peer(
    async (net) => {
      await Bun.sleep(150);
      net.given[0]!.sendall("at last");
    },
    [],
    [b],
  );
  bounded(a).settimeout(null);
  expect(await elapsed(async () => expect((await a.recv(100)).toString()).toBe("at last"))).toBeGreaterThan(140);
});

blockingTest(
  "a blocking socket on which the system's own timeout runs out says EAGAIN, as recv(2) does; on Windows ETIMEDOUT",
  async (net) => {
    using own = new net.Sockets();
    const [a] = own.pair();
    a.settimeout(null);
    a.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval(0.05));
    const ms = await elapsed(async () =>
      expect(await codeOf(() => a.recv(1))).toBe(isWindows ? "ETIMEDOUT" : "EAGAIN"),
    );
    expect(ms).toBeGreaterThan(45);
    expect(ms).toBeLessThan(1000 * slowness);
  },
);

blockingTest("the mode of the descriptor is shared with its duplicates, the timeout is not", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const copy = own.add(a.dup());
  a.settimeout(null);
  copy.settimeout(0.05);
  expect(a.gettimeout()).toBeNull();
  // `a` believes that it blocks; its descriptor does not.
  expect(await codeOf(() => a.recv(1))).toBe("EAGAIN");
  await b.sendall("x");
  expect((await copy.recv(1)).toString()).toBe("x");
});
