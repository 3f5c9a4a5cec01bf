/** Each call: that it does at once what can be done at once, waits where it has to, and says what went wrong. */
import { beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import * as root from "../../src/index.ts";
import * as net from "../../src/promises.ts";
import {
  AF_INET,
  AF_UNIX,
  CMSG_SPACE,
  createServer,
  MSG_DONTWAIT,
  MSG_OOB,
  MSG_PEEK,
  SCM_RIGHTS,
  SHUT_WR,
  SOCK_DGRAM,
  Socket,
  socketpair,
  SOL_SOCKET,
} from "../../src/promises.ts";
import { MessageBatch } from "../../src/packets.ts";
import { Folder, hasUnixDatagrams, ignoring, isLinux, isWindows, needs, passesDescriptors, Sockets } from "../help.ts";
import { endsFor, fill, freshTurn, rejected, rejection, take, tcp, turn } from "./help.ts";

const udp = () => {
  const sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.bind(["127.0.0.1", 0]);
  return sock;
};

/** After one that waited, calls are tried at once again, whatever ran before. */
beforeEach(async () => {
  using a = udp();
  using b = udp();
  const waits = a.recv(1);
  await turn();
  await b.sendto("x", a.getsockname());
  await waits;
});

/** Whether a promise is settled when only promises had their turn. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const done = () => (settled = true);
  promise.then(done, done);
  for (let i = 0; i < 10; i++) await Promise.resolve();
  return settled;
}

describe("a descriptor's mode is that of all who have the socket", () => {
  const each = needs("MSG_DONTWAIT, with which each call says it for itself", MSG_DONTWAIT !== undefined);
  each("one who makes it blocking makes nobody wait", async () => {
    const own = new Sockets();
    await using _ = { [Symbol.asyncDispose]: async () => own[Symbol.dispose]() };
    const [a, b] = await tcp();
    const copy = a.dup();
    own.add(new root.Socket({ fileno: a.detach() })); // it blocks now
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const data = copy.recv(10);
    await Bun.sleep(50);
    expect(ticks).toBeGreaterThan(2);
    await b.sendall("came");
    expect(String(await data)).toBe("came");

    using server = createServer(["127.0.0.1", 0]);
    const other = own.add(root.fromfd(server.fileno(), AF_INET, server.type));
    other.setblocking(true);
    const accepted = server.accept();
    ticks = 0;
    await Bun.sleep(50);
    expect(ticks).toBeGreaterThan(2);
    using client = await net.createConnection(server.getsockname());
    const [conn] = await accepted;
    clearInterval(timer);
    for (const sock of [conn, copy, b, client]) sock.close();
  });
});

test("options that are left out by undefined are none", async () => {
  using a = udp();
  const to = a.getsockname();
  await a.sendto("one", to, undefined);
  await a.sendto("two", 0, to, undefined);
  expect(await a.recvInto(new Uint8Array(10), undefined)).toBe(3);
  expect(String((await a.recvmsg(10, undefined))[0])).toBe("two");
  expect(await rejection(a.sendto("x", undefined as never))).toBe("TypeError");
  expect(await rejection(a.recv(1, undefined as never))).toBe("TypeError"); // it may be a flag that this platform lacks
});

test("another call that is told why a connection failed leaves connect its end", async () => {
  using silent = new Socket(AF_INET); // bound, not listening
  silent.bind(["127.0.0.1", 0]);
  for (const other of ["recv", "getsockopt"] as const) {
    using sock = new Socket(AF_INET);
    await freshTurn();
    const connecting = sock.connect(silent.getsockname());
    const ended = rejected(connecting);
    const told = other === "recv" ? await rejected(sock.recv(10)) : sock.getsockopt(SOL_SOCKET, net.SO_ERROR);
    if (isLinux) expect(told).toBe(other === "recv" ? "ECONNREFUSED" : net.ECONNREFUSED);
    expect(await ended).toMatch(/^ECONN(ABORTED|REFUSED)$/);
    // Elsewhere such a socket may be good for nothing any more.
    if (isLinux) expect(await rejected(sock.connect(silent.getsockname()))).toBe("ECONNREFUSED");
  }
});

test("connect after one that was given up: how that ended is told, with its address", async () => {
  using silent = new Socket(AF_INET);
  silent.bind(["127.0.0.1", 0]);
  using server = net.createServer(["127.0.0.1", 0]);
  using other = net.createServer(["127.0.0.1", 0]);
  const givenUp = async (sock: Socket<"AF_INET">, to: Socket<"AF_INET", unknown>): Promise<void> => {
    await freshTurn();
    const given = new AbortController();
    const connecting = sock.connect(to.getsockname(), { signal: given.signal });
    const ended = rejection(connecting);
    given.abort();
    expect(await ended).toBe("AbortError");
    await Bun.sleep(20);
  };
  const failed = (promise: Promise<unknown>) => promise.then(() => "connected", String);
  {
    using sock = new Socket(AF_INET);
    await givenUp(sock, silent);
    if (isLinux) {
      const port = silent.getsockname()[1];
      expect(await failed(sock.connect(server.getsockname()))).toContain(`ECONNREFUSED 127.0.0.1:${port}`);
      expect(await failed(sock.connect(server.getsockname()))).toBe("connected");
    }
  }
  {
    using sock = new Socket(AF_INET);
    await givenUp(sock, server);
    expect(await failed(sock.connect(other.getsockname()))).toContain("connect EISCONN");
    expect(sock.getpeername()).toEqual(server.getsockname());
  }
  using sock = new Socket(AF_INET);
  await givenUp(sock, server);
  expect(await failed(sock.connect(server.getsockname()))).toBe("connected");
});

/** Each receive, on a socket with a datagram "hello" from `from`: what it gives. */
const receives: Record<string, (sock: Socket<"AF_INET">) => Promise<unknown>> = {
  recv: async (sock) => String(await sock.recv(100)),
  recvfrom: async (sock) => String((await sock.recvfrom(100))[0]),
  recvInto: async (sock) => {
    const into = Buffer.alloc(8);
    return into.toString("utf8", 0, await sock.recvInto(into));
  },
  recvfromInto: async (sock) => {
    const into = Buffer.alloc(8);
    return into.toString("utf8", 0, (await sock.recvfromInto(into))[0]);
  },
  recvmsg: async (sock) => String((await sock.recvmsg(100))[0]),
  recvBatch: async (sock) => {
    const batch = new MessageBatch(sock, { capacity: 1 });
    await sock.recvBatch(batch);
    return String(batch.data(0));
  },
  recvmsgInto: async (sock) => {
    const [one, two] = [Buffer.alloc(2), Buffer.alloc(6)];
    const [n] = await sock.recvmsgInto(new Set([one, two]));
    return Buffer.concat([one, two]).toString("utf8", 0, n);
  },
};

describe.each(Object.entries(receives))("%s", (name, receive) => {
  test("takes at once what is there", async () => {
    using a = udp();
    using b = udp();
    await b.sendto("hello", a.getsockname());
    await freshTurn();
    const received = receive(a);
    expect(await isSettled(received)).toBe(true);
    expect(await received).toBe("hello");
  });

  test("waits for what is not", async () => {
    using a = udp();
    using b = udp();
    const received = receive(a);
    expect(await isSettled(received)).toBe(false);
    await b.sendto("hello", a.getsockname());
    expect(await received).toBe("hello");
  });

  test("rejects what is no argument, and tells who was closed", async () => {
    const a = udp();
    const call = Reflect.get(a, name) as (...args: unknown[]) => Promise<unknown>;
    expect(await rejection(call.call(a, -1.5))).toBe("TypeError");
    const waits = receive(a);
    // Behind another it is not tried at once, but refused at once.
    expect(await rejection(call.call(a, -1.5))).toBe("TypeError");
    expect(await rejection(call.call(a, new Uint8Array(1), { signal: 1 }))).toBe("TypeError");
    a.close();
    expect(await rejected(waits)).toBe("ECANCELED");
    expect(await rejected(receive(a))).toBe("EBADF");
  });
});

/** Each send, on a stream: how much it sent. */
const sends: Record<string, (sock: Socket) => Promise<number | undefined>> = {
  send: (sock) => sock.send("hello"),
  sendall: async (sock) => (await sock.sendall("hello"), 5),
  sendmsg: (sock) => sock.sendmsg(new Set(["hel", Buffer.from("lo")])),
  sendfile: async (sock) => {
    using folder = new Folder();
    writeFileSync(folder.file("data"), "hello");
    return await sock.sendfile(folder.file("data"));
  },
};

describe.each(Object.entries(sends))("%s", (name, send) => {
  test("sends at once", async () => {
    const [a, b] = await tcp();
    expect(await send(a)).toBe(5);
    expect((await take(b, 5)).toString()).toBe("hello");
    a.close();
    b.close();
  });

  test("waits for room", async () => {
    const [a, b] = await endsFor(name);
    const before = await fill(a);
    const sent = send(a);
    expect(await isSettled(sent)).toBe(false);
    const [n, received] = await Promise.all([sent, take(b, before + 5)]);
    expect([n, received.length, received.toString("utf8", before)]).toEqual([5, before + 5, "hello"]);
    a.close();
    b.close();
  });

  test("tells of a connection that is gone, and of a timeout", async () => {
    const [a, b] = await endsFor(name);
    await fill(a);
    a.settimeout(0.02);
    expect(await rejected(send(a))).toBe("ETIMEDOUT");
    b.close();
    await Bun.sleep(10);
    a.settimeout(1);
    expect(["EPIPE", "ECONNRESET"]).toContain(await rejected(send(a)));
    a.close();
  });
});

test("sendfile: parts of files, and what is no regular file", async () => {
  using folder = new Folder();
  const data = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i));
  writeFileSync(folder.file("data"), data);
  const [a, b] = await tcp();
  const [sent, received] = await Promise.all([a.sendfile(folder.file("data"), 1000, 2_500_000), take(b, 2_500_000)]);
  expect(sent).toBe(2_500_000);
  expect(received.equals(data.subarray(1000, 2_501_000))).toBe(true);
  if (isLinux) {
    const version = Buffer.from(await Bun.file("/proc/version").arrayBuffer());
    expect(await a.sendfile("/proc/version")).toBe(version.length);
    expect((await take(b, version.length)).equals(version)).toBe(true);
  }
  expect(await rejection(a.sendfile(folder.file("missing")))).toBe("FileNotFoundError");
  using noStream = udp();
  expect(await rejection(noStream.sendfile(folder.file("data")))).toBe("RangeError");
  a.close();
  b.close();
});

describe("connect", () => {
  test("to a server, and to nobody", async () => {
    using server = createServer(["127.0.0.1", 0]);
    using client = new Socket(AF_INET);
    await client.connect(server.getsockname());
    expect(client.getpeername()).toEqual(server.getsockname());
    using silent = new Socket(AF_INET);
    silent.bind(["127.0.0.1", 0]);
    using other = new Socket(AF_INET);
    const refused = await other.connect(silent.getsockname()).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(net.ConnectionRefusedError);
    expect((refused as net.OSError).message).toContain("127.0.0.1:");
    using third = new Socket(AF_INET);
    expect(await third.connectEx(silent.getsockname())).toBe(net.ECONNREFUSED);
    using fourth = new Socket(AF_INET);
    expect(await fourth.connectEx(server.getsockname())).toBe(0);
  });

  test("by a name, which is resolved without blocking", async () => {
    using server = createServer(["127.0.0.1", 0]);
    using client = new Socket(AF_INET);
    await client.connect(["localhost", server.getsockname()[1]]);
    using sender = new Socket(AF_INET, SOCK_DGRAM);
    using receiver = udp();
    expect(await sender.sendto("x", ["localhost", receiver.getsockname()[1]])).toBe(1);
    expect(await sender.sendmsg(["y"], [], 0, ["localhost", receiver.getsockname()[1]])).toBe(1);
    expect([String(await receiver.recv(9)), String(await receiver.recv(9))]).toEqual(["x", "y"]);
    expect(await rejection(sender.sendto("x", ["x".repeat(64), 1]))).toBe("RangeError");
    expect(await rejection(sender.sendto("x", ["nobody.invalid", 1]))).toBe("gaierror");
  });

  needs("a server that does not answer", isLinux)("given up, can be taken up again", async () => {
    using own = new Sockets();
    const address = ignoring(own);
    using client = new Socket(AF_INET);
    client.settimeout(0.05);
    expect(await rejected(client.connect(address))).toBe("ETIMEDOUT");
    client.settimeout(null);
    const given = new AbortController();
    const waits = client.connect(address, { signal: given.signal });
    await turn();
    given.abort();
    expect(await rejection(waits)).toBe("AbortError");
    client.settimeout(0);
    expect(await rejected(client.connect(address))).toBe("EALREADY");
  });

  needs("AF_UNIX", hasUnixDatagrams && isLinux)("waits for a Unix server whose queue is full", async () => {
    using folder = new Folder();
    const path = folder.file("server");
    using server = new Socket(AF_UNIX);
    server.bind(path);
    server.listen(0);
    using first = new Socket(AF_UNIX);
    await first.connect(path);
    using second = new Socket(AF_UNIX);
    const waits = second.connect(path);
    await Bun.sleep(10);
    expect(await isSettled(waits)).toBe(false);
    (await server.accept())[0].close();
    await waits;
    (await server.accept())[0].close();
  });
});

describe("accept", () => {
  test("waits, and gives sockets that wait by promises", async () => {
    using server = createServer(["127.0.0.1", 0]);
    const accepted = server.accept();
    expect(await isSettled(accepted)).toBe(false);
    using client = new Socket(AF_INET);
    await client.connect(server.getsockname());
    const [conn, address] = await accepted;
    expect(address).toEqual(client.getsockname());
    expect(conn.gettimeout()).toBe(null);
    const received = conn.recv(10);
    await client.sendall("hi");
    expect(String(await received)).toBe("hi");
    conn.close();
  });

  test("says that a socket does not listen", async () => {
    using sock = new Socket(AF_INET);
    expect(await rejected(sock.accept())).toBe("EINVAL");
  });
});

describe("flags", () => {
  test("MSG_PEEK leaves what it shows; MSG_DONTWAIT does not wait", async () => {
    const [a, b] = await tcp();
    await a.sendall("hello");
    expect(String(await b.recv(5, MSG_PEEK))).toBe("hello");
    expect(String(await b.recv(5))).toBe("hello");
    if (MSG_DONTWAIT !== undefined) expect(await rejected(b.recv(5, MSG_DONTWAIT))).toBe("EAGAIN");
    expect(await rejection(b.recv(5, undefined as never))).toBe("TypeError");
    a.close();
    b.close();
  });

  test("urgent data is waited for beside the rest", async () => {
    const [a, b] = await tcp();
    const rest = b.recv(10);
    const early = b.recv(1, MSG_OOB).then(String, (error: root.OSError) => error.code);
    // The system has no urgent data yet, and says so with an error of its own. Windows waits for some.
    if (!isWindows) expect(["EINVAL", "EAGAIN"]).toContain(await early);
    await a.send("!", MSG_OOB);
    if (isWindows) expect(await early).toBe("!");
    for (let waited = 0; waited < 100 && !isWindows; waited++) {
      const urgent = await b.recv(1, MSG_OOB).then(String, () => "");
      if (urgent === "!") break;
      await Bun.sleep(2);
      expect(waited).toBeLessThan(99);
    }
    await a.send("rest"); // who reads past the mark loses what is urgent
    expect(String(await rest)).toBe("rest");
    a.close();
    b.close();
  });

  needs("MSG_ERRQUEUE", isLinux)("MSG_ERRQUEUE waits for an error", async () => {
    using sock = udp();
    sock.setsockopt(net.IPPROTO_IP, net.IP_RECVERR, 1);
    using silent = udp();
    const nobody = silent.getsockname();
    silent.close();
    const waits = sock.recvmsg(100, 512, net.MSG_ERRQUEUE);
    expect(await isSettled(waits)).toBe(false);
    await sock.sendto("x", nobody);
    const [, ancdata] = await waits;
    expect(ancdata[0]?.slice(0, 2)).toEqual([net.IPPROTO_IP, net.IP_RECVERR]);
  });
});

test("a timeout of 0 does not wait", async () => {
  using sock = udp();
  sock.setblocking(false);
  expect([sock.getblocking(), sock.timeout]).toEqual([false, 0]);
  const error = await sock.recv(1).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(net.BlockingIOError);
  const server = createServer(["127.0.0.1", 0]);
  server.settimeout(0);
  expect(await rejected(server.accept())).toBe("EAGAIN");
  server.close();
});

test("a burst that is there costs no wait: a timeout of 0 receives all of it", async () => {
  using a = udp();
  using b = udp();
  for (let i = 0; i < 150; i++) await b.sendto(`${i}`, a.getsockname());
  a.settimeout(0);
  for (let i = 0; i < 150; i++) expect(String(await a.recv(100))).toBe(`${i}`);
  expect(await rejected(a.recv(100))).toBe("EAGAIN");
});

test("the default timeout is that of new sockets, of accepted ones too", async () => {
  net.setdefaulttimeout(1.5);
  try {
    const [a, b] = await tcp();
    expect([a.gettimeout(), b.timeout]).toEqual([1.5, 1.5]);
    a.close();
    b.close();
  } finally {
    net.setdefaulttimeout(null);
  }
});

needs("SCM_RIGHTS", passesDescriptors)("descriptors and control messages", async () => {
  const [a, b] = socketpair();
  const received = net.recvFds(b, 10, 2);
  expect(await net.sendFds(a, ["fd"], [a.fileno()])).toBe(2);
  const [data, fds] = await received;
  expect([String(data), fds.length]).toEqual(["fd", 1]);
  fds.forEach(net.close);
  if (MSG_DONTWAIT !== undefined) {
    expect(await rejected(net.recvFds(b, 10, 1, MSG_DONTWAIT))).toBe("EAGAIN");
    const sent = await fill(a);
    expect(await rejected(net.sendFds(a, ["fd"], [a.fileno()], MSG_DONTWAIT))).toBe("EAGAIN");
    for (let left = sent; left > 0;) left -= (await b.recv(left)).length;
  }
  const control = Int32Array.of(b.fileno());
  const message = b.recvmsg(10, CMSG_SPACE(4));
  const generated = (function* () {
    yield [SOL_SOCKET, SCM_RIGHTS, control] as const;
  })();
  await a.sendmsg(["x"], generated);
  const [, ancdata] = await message;
  expect(ancdata.length).toBe(1);
  net.close(ancdata[0]![2].readInt32LE(0));
  const core = new root.Socket(AF_INET);
  expect(await rejection(net.sendFds(core as never, ["x"], []))).toBe("TypeError");
  core.close();
  a.close();
  b.close();
});

test("a descriptor moves between the root and here, and has one owner", async () => {
  const [a, b] = root.socketpair();
  const moved = new Socket<"AF_UNIX">({ fileno: b.detach() });
  a.send("one");
  expect(String(await moved.recv(10))).toBe("one");
  const waits = moved.recv(10);
  using back = new root.Socket({ fileno: moved.detach() });
  expect(await rejected(waits)).toBe("ECANCELED");
  expect(moved.fileno()).toBe(-1);
  a.send("two");
  expect(String(back.recv(10))).toBe("two");
  // It is blocking again: a call with a timeout waits.
  back.settimeout(0.02);
  expect(() => back.recv(1)).toThrow(root.TimeoutError);
  a.close();
});

test("what does not wait is the root's", async () => {
  const [a, b] = await tcp();
  a.setsockopt(net.IPPROTO_TCP, net.TCP_NODELAY, 1);
  expect(a.getsockopt(net.IPPROTO_TCP, net.TCP_NODELAY)).not.toBe(0);
  // It is what the resolver says: on Windows the type's default.
  expect([a.family, a.type, a.proto]).toEqual([AF_INET, net.SOCK_STREAM, isWindows ? 0 : net.IPPROTO_TCP]);
  expect(a.getInheritable()).toBe(false);
  expect(Bun.inspect(a)).toMatch(/^Socket <fd \d+, AF_INET, SOCK_STREAM/);
  a.shutdown(SHUT_WR);
  expect((await b.recv(1)).length).toBe(0);
  using copy = b.dup();
  expect(copy.getsockname()).toEqual(b.getsockname());
  await using closing = a;
  expect(closing.fileno()).toBeGreaterThanOrEqual(0);
  b.close();
});

test("every name of the root is here, but for files over sockets", () => {
  const missing = Object.keys(root).filter((name) => !(name in net));
  expect(missing).toEqual([]);
  const methods = Object.getOwnPropertyNames(root.Socket.prototype).filter((name) => !(name in Socket.prototype));
  expect(methods).toEqual(["makefile"]);
});
