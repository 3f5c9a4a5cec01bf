/** Descriptors that move into and out of handles of Bun and Node. */
import { describe, expect } from "bun:test";
import dgram from "node:dgram";
import net from "node:net";
import { adopt, adoptServer, borrow, release, type SocketHandle } from "../../src/bun.ts";
import {
  AF_INET,
  createConnection,
  createServer,
  dup,
  IPPROTO_TCP,
  setdefaulttimeout,
  SHUT_WR,
  SO_RCVBUF,
  SOCK_DGRAM,
  Socket,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../../src/index.ts";
import * as promises from "../../src/promises.ts";
import {
  bounded,
  codeOf,
  descriptors,
  Folder,
  isLinux,
  isWindows,
  leftOpen,
  needs,
  peer,
  slowness,
  socketCount,
  Sockets,
} from "../help.ts";
import { rejected } from "../promises/help.ts";
import { event, isNonBlocking, kinds, received, telling } from "./handles.ts";

const adopting = needs("Bun that adopts descriptors", !isWindows);

/** What a handle of Bun receives, as text, until so much of it is there. */
function receiver(length: number) {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  const data = (_: unknown, data: Buffer): void => {
    text += data.toString("latin1");
    if (text.length >= length) resolve(text);
  };
  return { socket: { data }, promise };
}

/** Numbers that follow on one another, as bytes: what is lost, twice or in another order shows. */
const numbers = (from: number, count: number): Buffer =>
  Buffer.from(Uint32Array.from({ length: count }, (_, i) => from + i).buffer);

describe("adopt", () => {
  adopting("a connection is Bun's: what waited comes to the handlers, both directions go on", async () => {
    using own = new Sockets();
    const [a, b] = own.tcp();
    b.sendall("sent before, ");
    const { socket, promise } = receiver("sent before, sent after".length);
    let opened = 0;
    const handle = await adopt(a, { data: { name: "mine" }, socket: { ...socket, open: () => void opened++ } });
    expect([opened, handle.data, a.fileno()]).toEqual([1, { name: "mine" }, -1]);
    expect([handle.remotePort, handle.localPort]).toEqual([b.getsockname()[1], b.getpeername()[1]]);
    b.sendall("sent after");
    expect(await promise).toBe("sent before, sent after");
    handle.write("from Bun");
    expect(b.recv(100).toString()).toBe("from Bun");
    handle.end();
    expect(b.recv(100).length).toBe(0);
  });

  adopting("a bare descriptor, one of promises, and Unix sockets", async () => {
    using own = new Sockets();
    for (const [fd, b] of [bare(own), byPromises(own)]) {
      const { socket, promise } = receiver(4);
      const handle = await adopt(fd, { socket });
      b.sendall("four");
      expect(await promise).toBe("four");
      handle.end();
      expect(b.recv(1).length).toBe(0); // there is no other descriptor of it
    }
  });

  function bare(own: Sockets): [number, Socket] {
    const [a, b] = own.pair();
    return [a.detach(), b];
  }

  function byPromises(own: Sockets): [number, Socket] {
    const [a, b] = own.tcp();
    return [new promises.Socket({ fileno: a.detach() }).detach(), b];
  }

  adopting("allowHalfOpen", async () => {
    using own = new Sockets();
    const [a, b] = own.pair();
    const ended = Promise.withResolvers<void>();
    const handle = await adopt(a, { allowHalfOpen: true, socket: { data() {}, end: () => ended.resolve() } });
    b.shutdown(SHUT_WR);
    await ended.promise;
    handle.end("still");
    expect(b.recv(100).toString()).toBe("still");
  });

  adopting("what is refused stays the caller's, and nothing is left open", async () => {
    using own = new Sockets();
    using fresh = new Socket();
    const [a, b] = own.pair();
    const server = own.server();
    const udp = own.udp();
    const socket = { data() {} };
    const before = descriptors();
    expect(await rejected(adopt(fresh, { socket }))).toBe("ENOTCONN");
    expect(await rejected(adopt(9999, { socket }))).toBe("EBADF");
    const closed = new Socket();
    closed.close();
    expect(await rejected(adopt(closed, { socket }))).toBe("EBADF");
    await expect(adopt(server, { socket })).rejects.toThrow(
      "sock: expected a connection (adoptServer takes what listens)",
    );
    await expect(adopt(server.fileno(), { socket })).rejects.toThrow("sock: expected a connection");
    await expect(adopt(udp, { socket })).rejects.toThrow("sock: expected a stream, got a Socket");
    const wrong: unknown[] = [undefined, null, {}, { socket: null }, { socket: {} }, { socket: { data: 1 } }];
    wrong.push({ socket, tls: 5 }, { socket, fd: 3 }, { socket, hostname: "localhost" });
    for (const options of wrong) {
      await expect(adopt(a, options as never)).rejects.toThrow(TypeError);
      await expect(adopt(a.fileno(), options as never)).rejects.toThrow(TypeError);
    }
    // Found when Bun has the descriptor already.
    await expect(adopt(a, { socket, tls: { ca: "no certificate" } })).rejects.toThrow("Invalid CA");
    await expect(adopt(a.fileno(), { socket, tls: { ca: "no certificate" } })).rejects.toThrow("Invalid CA");
    await Bun.sleep(1);
    expect(leftOpen(before)).toEqual([]);
    bounded(a).settimeout(null);
    b.sendall("as it was");
    expect(a.recv(100).toString()).toBe("as it was");
  });

  adopting("an open handler may close the handle", async () => {
    using own = new Sockets();
    const [a, b] = own.pair();
    const before = socketCount();
    await adopt(a, { socket: { data() {}, open: (handle) => handle.terminate() } });
    expect(socketCount()).toBe(before - 1);
    expect(b.recv(1).length).toBe(0);
  });

  const openssl = Bun.which("openssl");
  needs("openssl", openssl !== null && !isWindows)("TLS over a connection that was made by hand", async () => {
    using folder = new Folder();
    const [key, cert] = [folder.file("key"), folder.file("cert")];
    const made = `req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout ${key} -out ${cert}`;
    expect(Bun.spawnSync([openssl!, ...made.split(" ")], { stderr: "ignore" }).success).toBe(true);
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      tls: { key: Bun.file(key), cert: Bun.file(cert) },
      socket: { data: (sock, data) => void sock.write(data) },
    });
    const { socket, promise } = receiver(9);
    const handle = await adopt(createConnection(["127.0.0.1", server.port]), {
      tls: { rejectUnauthorized: false },
      socket: { ...socket, handshake: (sock) => void sock.write("encrypted") },
    });
    expect(await promise).toBe("encrypted");
    expect(() => release(handle)).toThrow("handle: expected a socket without TLS, got ");
    using sock = borrow(handle);
    expect(sock.getpeername()[1]).toBe(server.port);
    handle.end();
  });
});

describe("adoptServer", () => {
  adopting("a listening socket is Bun's, with those that wait to be accepted", async () => {
    using own = new Sockets();
    const sock = createServer(["127.0.0.1", 0]);
    const address = sock.getsockname();
    const connect = (): Socket<"AF_INET"> => {
      const client = own.add(new Socket(AF_INET));
      client.connect(address);
      return client;
    };
    const early = connect();
    early.sendall("early");
    const server = adoptServer(sock, { data: "mine", socket: { data: (handle, data) => void handle.end(data) } });
    expect([sock.fileno(), server.data]).toEqual([-1, "mine"]);
    const late = connect();
    late.sendall("late");
    expect([await received(early), await received(late)]).toEqual(["early", "late"]);
    {
      using borrowed = borrow(server);
      expect(borrowed.getsockname()).toEqual(address);
    }
    server.stop(true);
    using refused = new Socket(AF_INET);
    expect(codeOf(() => refused.connect(address))).toBe("ECONNREFUSED");
  });

  adopting("a bare descriptor", async () => {
    using own = new Sockets();
    const sock = createServer(["127.0.0.1", 0]);
    const address = sock.getsockname();
    const server = adoptServer(sock.detach(), { socket: { open: (handle) => void handle.end("hello"), data() {} } });
    const client = own.add(new Socket(AF_INET));
    client.connect(address);
    expect(await received(client)).toBe("hello");
    server.stop(true);
  });

  adopting("what is refused stays the caller's, and nothing is left open", () => {
    using own = new Sockets();
    const server = own.server();
    const [a] = own.pair();
    const udp = own.udp();
    const socket = { data() {} };
    const before = descriptors();
    for (const sock of [a, a.fileno(), udp]) {
      expect(() => adoptServer(sock, { socket })).toThrow("sock: expected a stream that listens, got ");
    }
    expect(codeOf(() => adoptServer(9999, { socket }))).toBe("EBADF");
    for (const options of [undefined, {}, { socket: {} }, { socket, port: 1 }, { socket, tls: 5 }]) {
      expect(() => adoptServer(server, options as never)).toThrow(TypeError);
      expect(() => adoptServer(server.fileno(), options as never)).toThrow(TypeError);
    }
    const tls = { key: "no key", cert: "no certificate" };
    expect(() => adoptServer(server, { socket, tls })).toThrow();
    expect(() => adoptServer(server.fileno(), { socket, tls })).toThrow();
    expect(leftOpen(before)).toEqual([]);
    const client = own.add(createConnection(server.getsockname()));
    server.accept()[0].close();
    expect(client.recv(1).length).toBe(0);
  });
});

describe("release", () => {
  telling.each(Object.entries(kinds))("%s closes, and its socket goes on", async (kind, open) => {
    const opened = await open();
    const options = borrow(opened.handle);
    options.setsockopt(SOL_SOCKET, SO_RCVBUF, 20_000);
    const value = options.getsockopt(SOL_SOCKET, SO_RCVBUF);
    options.close();
    using sock = release(opened.handle);
    expect(codeOf(() => borrow(opened.handle))).toBe("EBADF");
    expect(codeOf(() => release(opened.handle))).toBe("EBADF");
    expect(sock.getsockname()).toEqual(["127.0.0.1", opened.port]);
    expect([sock.gettimeout(), sock.getInheritable()]).toEqual([null, false]);
    expect(sock.getsockopt(SOL_SOCKET, SO_RCVBUF)).toBe(value);
    if (isLinux) expect(isNonBlocking(sock.fileno())).toBe(false);
    bounded(sock);
    using own = new Sockets();
    if (/Server|server|listen$/.test(kind)) {
      const client = own.add(createConnection(["127.0.0.1", opened.port]));
      own.add(sock.accept()[0]).sendall("accepted");
      expect(client.recv(100).toString()).toBe("accepted");
    } else if (sock.type === SOCK_DGRAM) {
      own.udp().sendto("a datagram", ["127.0.0.1", opened.port]);
      expect(sock.recv(100).toString()).toBe("a datagram");
    } else if (kind.includes("accepted")) {
      sock.sendall("to the client");
    } else {
      sock.sendall("echo");
      expect(await received(sock)).toBe("echo");
    }
  });

  telling("the socket has the timeout that new ones begin with", async () => {
    setdefaulttimeout(0.5);
    try {
      using sock = release(await Bun.udpSocket({ hostname: "127.0.0.1" }));
      expect(sock.gettimeout()).toBe(0.5);
      expect(codeOf(() => sock.recv(1))).toBe("ETIMEDOUT");
    } finally {
      setdefaulttimeout(null);
    }
  });

  telling("what the peer sees: no end, no reset, and the bytes in their order", async () => {
    using own = new Sockets();
    const server = own.server();
    const [hostname, port] = server.getsockname();
    const log: string[] = [];
    const handle = await Bun.connect({
      hostname,
      port,
      socket: { data: (_, data) => void log.push(data.toString()), close: () => void log.push("closed") },
    });
    const [conn] = server.accept();
    own.add(bounded(conn));
    handle.write("one ");
    conn.sendall("not received yet");
    const sock = own.add(bounded(release(handle)));
    sock.sendall("two");
    expect(conn.recv(7, 0).toString()).toBe("one two");
    expect(sock.recv(100).toString()).toBe("not received yet");
    expect(log).toEqual(["closed"]);
    expect(sock.getsockopt(IPPROTO_TCP, TCP_NODELAY)).not.toBe(0); // Bun's
  });

  telling("what was written within the handler goes first", async () => {
    using own = new Sockets();
    const server = own.server();
    const [hostname, port] = server.getsockname();
    const released = Promise.withResolvers<Socket>();
    await Bun.connect({
      hostname,
      port,
      socket: {
        data(handle, data) {
          for (let i = 0; i < 10; i++) handle.write(`${data}${i} `);
          const sock = release(handle);
          sock.sendall("by hand");
          released.resolve(sock);
        },
      },
    });
    const [conn] = server.accept();
    own.add(conn).sendall("#");
    own.add(await released.promise).close();
    let text = "";
    for (let data = await received(conn); data !== ""; data = await received(conn)) text += data;
    expect(text).toBe("#0 #1 #2 #3 #4 #5 #6 #7 #8 #9 by hand");
  });

  telling("what Bun's write did not take is sent by hand", async () => {
    using own = new Sockets();
    const server = own.server();
    const [hostname, port] = server.getsockname();
    const handle = await Bun.connect({ hostname, port, socket: { data() {} } });
    const [conn] = server.accept();
    using reader = peer(
      (net) => {
        const sock = net.given[0]!;
        const hash = new Bun.CryptoHasher("sha256");
        for (let data = sock.recv(65536); data.length > 0; data = sock.recv(65536)) hash.update(data);
        console.log(hash.digest("hex"));
      },
      [],
      [conn],
    );
    const data = numbers(0, 3_000_000);
    const taken = handle.write(data);
    expect(taken).toBeLessThan(data.length);
    const sock = own.add(release(handle));
    bounded(sock, 20).sendall(data.subarray(taken));
    sock.close();
    expect(await reader.output()).toBe(new Bun.CryptoHasher("sha256").update(data).digest("hex"));
  });

  telling("a handle of Node that holds data is refused, and goes on", async () => {
    using own = new Sockets();
    const server = own.server();
    const handle = net.connect(server.getsockname()[1], "127.0.0.1");
    await event(handle, "connect");
    const [conn] = server.accept();
    own.add(bounded(conn));
    handle.pause();
    conn.sendall("unread");
    handle.once("readable", () => {});
    for (let i = 0; i < 200 && handle.readableLength === 0; i++) await Bun.sleep(5);
    expect(() => release(handle)).toThrow(
      "handle: expected a socket that holds no data (it holds 6 bytes to be read and 0 to be sent), got a Socket",
    );
    expect(String(handle.read())).toBe("unread");
    handle.write(Buffer.alloc(8_000_000));
    expect(handle.writableLength).toBeGreaterThan(0);
    expect(() => release(handle)).toThrow(/it holds 0 bytes to be read and \d+ to be sent/);
    for (let got = 0; got < 8_000_000; await Bun.sleep(0)) got += conn.recv(1_000_000).length;
    for (let i = 0; i < 200 && handle.writableLength > 0; i++) await Bun.sleep(5);
    using sock = release(handle);
    sock.sendall("by hand");
    expect(conn.recv(100).toString()).toBe("by hand");
  });

  telling("datagrams that wait are the socket's", async () => {
    const got: string[] = [];
    const handle = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_, data) => void got.push(data.toString()) },
    });
    using own = new Sockets();
    const sender = own.udp();
    const send = (from: number, to: number): void => {
      for (let i = from; i < to; i++) sender.sendto(String(i), ["127.0.0.1", handle.port]);
    };
    send(0, 10);
    while (got.length < 10) await Bun.sleep(1);
    send(10, 20);
    using sock = release(handle);
    send(20, 30);
    sock.settimeout(5);
    for (let i = 10; i < 30; i++) got.push(sock.recv(100).toString());
    expect(got).toEqual(Array.from({ length: 30 }, (_, i) => String(i)));
  });

  telling("by setImmediate from within a datagram's handler nothing is lost", async () => {
    const got: string[] = [];
    const released = Promise.withResolvers<Socket>();
    const handle = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: {
        data(_, data) {
          got.push(data.toString());
          if (got.length === 3) setImmediate(() => released.resolve(release(handle)));
        },
      },
    });
    using own = new Sockets();
    const sender = own.udp();
    for (let i = 0; i < 100; i++) sender.sendto(String(i), ["127.0.0.1", handle.port]);
    using sock = await released.promise;
    sock.settimeout(5);
    while (got.length < 100) got.push(sock.recv(100).toString());
    expect(got).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
  });

  telling("connections that wait to be accepted are the socket's, also from within open", async () => {
    using own = new Sockets();
    const released = Promise.withResolvers<Socket>();
    let accepted = 0;
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(handle) {
          handle.end();
          if (++accepted === 2) released.resolve(release(server));
        },
        data() {},
      },
    });
    for (let i = 0; i < 6; i++) own.add(createConnection(["127.0.0.1", server.port]));
    const sock = own.add(await released.promise);
    sock.settimeout(5);
    for (; accepted < 6; accepted++) sock.accept()[0].close();
    sock.settimeout(0);
    expect(codeOf(() => sock.accept())).toBe("EAGAIN");
  });

  telling("a handle whose closing throws leaves nothing open", async () => {
    using own = new Sockets();
    const sock = own.udp();
    const before = descriptors();
    const handle = {
      fd: dup(sock.fileno()),
      close() {
        throw new Error("not now");
      },
    };
    expect(() => release(handle as unknown as SocketHandle)).toThrow("not now");
    new Socket({ fileno: handle.fd }).close();
    expect(leftOpen(before)).toEqual([]);
  });
});

/**
 * Has Bun receive for some time.
 *
 * @param within - Whether it ends within the handler.
 * @returns The socket, or null where Bun saw the end of the stream.
 */
async function throughBun(sock: Socket, take: (data: Buffer) => void, within: boolean): Promise<Socket | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket | null>();
  let calls = 0;
  let state: "Bun's" | "taken out" | "ended" = "Bun's";
  const takeOut = (handle: Bun.Socket): void => {
    if (state === "ended") return;
    state = "taken out";
    resolve(release(handle));
  };
  await adopt(sock, {
    socket: {
      data(handle, data) {
        take(Buffer.from(data));
        if (++calls !== 4) return;
        if (within) takeOut(handle);
        else setTimeout(() => takeOut(handle), 1);
      },
      close() {
        if (state === "taken out") return;
        state = "ended";
        resolve(null);
      },
      error: (_, error) => reject(error),
    },
  });
  return promise;
}

/** The same through Node. */
function throughNode(sock: Socket, take: (data: Buffer) => void, within: boolean): Promise<Socket | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket | null>();
  const handle = net.connect({ fd: sock.detach() } as unknown as net.NetConnectOpts);
  let calls = 0;
  const takeOut = (): void => {
    handle.off("close", onClose);
    resolve(release(handle));
  };
  const onClose = (): void => resolve(null);
  handle.on("data", (data: Buffer) => {
    take(Buffer.from(data));
    if (++calls !== 4) return;
    if (within) return takeOut();
    handle.pause();
    setTimeout(() => {
      while (handle.read() !== null); // what it has received comes by the event once more
      if (!handle.destroyed) takeOut();
    }, 1);
  });
  handle.on("close", onClose);
  handle.on("error", reject);
  return promise;
}

adopting(
  "a stream in full flow moves to and fro, from within data and outside, and no byte is lost or comes twice",
  async () => {
    const TOTAL = 4_000_000;
    using own = new Sockets();
    const [a, b] = own.tcp();
    using sender = peer(
      (net, total) => {
        const sock = net.given[0]!;
        let next = 0;
        for (let size = 1; next < total; size = (size * 7 + 13) % 20_000) {
          const count = Math.min(size, total - next);
          sock.sendall(Uint32Array.from({ length: count }, (_, i) => next + i));
          next += count;
          if (size % 5 === 0) Bun.sleepSync(1);
        }
        sock.close();
        console.log("sent");
      },
      [TOTAL],
      [b],
    );
    const chunks: Buffer[] = [];
    let moves = 0;
    for (let sock: Socket | null = a; sock !== null; moves++) {
      for (let i = 0; i < 3; i++) chunks.push(bounded(sock).recv(50_000));
      const through = moves % 3 === 2 ? throughNode : throughBun;
      sock = await through(sock, (data) => chunks.push(data), moves % 2 === 0);
    }
    const data = Buffer.concat(chunks);
    expect(data.length).toBe(TOTAL * 4);
    expect(data.equals(numbers(0, TOTAL))).toBe(true);
    expect(moves).toBeGreaterThan(10);
    expect(await sender.output()).toBe("sent");
  },
  60_000 * slowness,
);

describe("without adopt, by Node's own", () => {
  adopting("net.connect({ fd })", async () => {
    using own = new Sockets();
    const [a, b] = own.tcp();
    b.sendall("before");
    const handle = net.connect({ fd: a.detach() } as unknown as net.NetConnectOpts);
    expect(String((await event(handle, "data"))[0])).toBe("before");
    handle.write("from Node");
    expect(b.recv(100).toString()).toBe("from Node");
    using sock = release(handle);
    b.sendall("out again");
    expect(bounded(sock).recv(100).toString()).toBe("out again");
  });

  adopting("net.Server.listen({ fd })", async () => {
    const sock = createServer(["127.0.0.1", 0]);
    const [host, port] = sock.getsockname();
    const server = net.createServer((conn) => conn.end("from Node"));
    server.listen({ fd: sock.detach() });
    await event(server, "listening");
    const client = net.connect(port, host);
    expect(String((await event(client, "data"))[0])).toBe("from Node");
    server.close();
  });

  adopting("dgram.Socket.bind({ fd }) and Bun.udpSocket({ fd })", async () => {
    using own = new Sockets();
    const sock = own.udp();
    const address = sock.getsockname();
    const handle = dgram.createSocket("udp4");
    handle.bind({ fd: sock.detach() });
    await event(handle, "listening");
    own.udp().sendto("to Node", address);
    expect(String((await event(handle, "message"))[0])).toBe("to Node");
    const { socket, promise } = receiver(6);
    const options = { fd: release(handle).detach(), socket };
    const udp = await Bun.udpSocket(options);
    own.udp().sendto("to Bun", address);
    expect(await promise).toBe("to Bun");
    udp.close();
  });
});
