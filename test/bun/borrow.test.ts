/** Options of sockets that Bun and Node own. */
import { describe, expect } from "bun:test";
import dgram from "node:dgram";
import { open } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import { borrow, type SocketHandle } from "../../src/bun.ts";
import {
  AF_INET,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_TCP,
  SHUT_WR,
  SO_BROADCAST,
  SO_RCVBUF,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
  TCP_NODELAY,
  TimeoutError,
} from "../../src/index.ts";
import * as promises from "../../src/promises.ts";
import { codeOf, descriptors, isLinux, leftOpen, needs, peer, slowness, socketCount, Sockets } from "../help.ts";
import { echoServer, isNonBlocking, kinds, telling } from "./handles.ts";

const linux = needs("/proc", isLinux);
const no = (value: unknown): SocketHandle => value as SocketHandle;

describe.each(Object.entries(kinds))("%s", (_, open) => {
  telling("its options are set and read, and it goes on", async () => {
    const opened = await open();
    let size: number;
    {
      using sock = borrow(opened.handle);
      size = sock.getsockopt(SOL_SOCKET, SO_RCVBUF);
      expect(sock.family).toBe(AF_INET);
      expect(sock.getsockname()).toEqual(["127.0.0.1", opened.port]);
      sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 20_000);
      expect(sock.getsockopt(SOL_SOCKET, SO_RCVBUF)).not.toBe(size);
      size = sock.getsockopt(SOL_SOCKET, SO_RCVBUF);
      sock.setsockopt(IPPROTO_IP, IP_TTL, 33);
      expect(sock.getInheritable()).toBe(false);
      expect(await opened.works()).toBe("ping");
    }
    using again = borrow(opened.handle);
    expect(again.getsockopt(IPPROTO_IP, IP_TTL)).toBe(33);
    expect(again.getsockopt(SOL_SOCKET, SO_RCVBUF)).toBe(size);
    expect(await opened.works()).toBe("ping");
    await opened.close();
  });

  telling("nothing that ends the socket ends the handle", async () => {
    const opened = await open();
    borrow(opened.handle).close();
    {
      using sock = borrow(opened.handle);
      sock.close();
      sock.close();
    }
    const sock = borrow(opened.handle);
    using copy = sock.dup();
    new Socket({ fileno: sock.detach() }).close();
    expect(copy.getsockname()[1]).toBe(opened.port);
    expect(await opened.works()).toBe("ping");
    await opened.close();
  });

  telling("a handle that is closed tells no descriptor, and what was borrowed touches nobody", async () => {
    const before = socketCount();
    const opened = await open();
    const sock = borrow(opened.handle);
    await opened.close();
    await Bun.sleep(20);
    expect(codeOf(() => borrow(opened.handle))).toBe("EBADF");
    // Numbers are given again at once; the borrowed one is not among them.
    using others = new Sockets();
    const later = Array.from({ length: 20 }, () => others.udp());
    expect(later.map((other) => other.fileno())).not.toContain(sock.fileno());
    expect(sock.getsockname()).toEqual(["127.0.0.1", opened.port]);
    sock.close();
    for (const other of later) expect(other.getsockname()[0]).toBe("127.0.0.1");
    others[Symbol.dispose]();
    for (let i = 0; i < 100 && socketCount() > before + 2; i++) await Bun.sleep(5);
    expect(socketCount()).toBeLessThanOrEqual(before + 2); // those that Bun itself keeps
  });

  linux("its descriptor stays non-blocking", async () => {
    const opened = await open();
    using sock = borrow(opened.handle);
    expect(isNonBlocking(sock.fileno())).toBe(true);
    expect(sock.gettimeout()).toBe(0);
    expect(() => sock.settimeout(null)).toThrow("timeout: expected a number of seconds, because the handle's");
    expect(() => sock.setblocking(true)).toThrow("blocking: expected false, because the handle's");
    expect(() => sock.settimeout(-1)).toThrow(RangeError);
    sock.setblocking(false);
    sock.settimeout(0.5);
    using copy = sock.dup();
    expect(copy.gettimeout()).toBe(0.5);
    expect(() => copy.settimeout(null)).toThrow(RangeError);
    expect([sock, copy].map((one) => isNonBlocking(one.fileno()))).toEqual([true, true]);
    using unblocked = new promises.Socket({ fileno: borrow(opened.handle).detach() });
    expect(isNonBlocking(unblocked.fileno())).toBe(true);
    unblocked.close();
    sock.close();
    expect(await opened.works()).toBe("ping");
    expect(isNonBlocking(copy.fileno())).toBe(true);
    await opened.close();
  });
});

telling("what the handle's own methods set is read, and the other way round", async () => {
  const udp = await Bun.udpSocket({ hostname: "127.0.0.1" });
  using sock = borrow(udp);
  expect([sock.family, sock.type]).toEqual([AF_INET, SOCK_DGRAM]);
  for (const on of [true, false]) {
    udp.setBroadcast(on);
    expect(sock.getsockopt(SOL_SOCKET, SO_BROADCAST) !== 0).toBe(on);
  }
  udp.close();

  const server = echoServer();
  const tcp = await Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data() {} } });
  using conn = borrow(tcp);
  expect(conn.type).toBe(SOCK_STREAM);
  for (const on of [false, true]) {
    tcp.setNoDelay(on);
    expect(conn.getsockopt(IPPROTO_TCP, TCP_NODELAY) !== 0).toBe(on);
  }
  expect(conn.getpeername()).toEqual(["127.0.0.1", server.port]);
  tcp.end();
  server.stop(true);
});

telling("data calls work: what is received there does not come to the handle", async () => {
  const got: string[] = [];
  const udp = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: { data: (_, data) => void got.push(data.toString()) },
  });
  using own = new Sockets();
  const client = own.udp();
  using sock = borrow(udp);
  expect(codeOf(() => sock.recv(100))).toBe("EAGAIN");
  client.sendto("for the borrower", ["127.0.0.1", udp.port]);
  expect(sock.recvfrom(100).slice(0, 2)).toEqual([Buffer.from("for the borrower"), client.getsockname()]);
  sock.settimeout(0.02);
  expect(() => sock.recv(100)).toThrow(TimeoutError);
  sock.sendto("from both", client.getsockname());
  expect(client.recvfrom(100)).toEqual([Buffer.from("from both"), ["127.0.0.1", udp.port]]);
  client.sendto("for the handle", ["127.0.0.1", udp.port]);
  for (let i = 0; i < 100 && got.length === 0; i++) await Bun.sleep(5);
  expect(got).toEqual(["for the handle"]);
  udp.close();
});

telling("a connection ends when both are closed", async () => {
  using own = new Sockets();
  const server = own.server();
  const [hostname, port] = server.getsockname();
  const handle = await Bun.connect({ hostname, port, socket: { data() {} } });
  const [conn] = server.accept();
  own.add(conn).settimeout(0);
  const sock = borrow(handle);
  handle.end();
  expect(codeOf(() => conn.recv(1))).toBe("EAGAIN");
  sock.close();
  conn.settimeout(5);
  expect(conn.recv(1).length).toBe(0);

  // Or at once, by what both mean alike.
  const second = await Bun.connect({ hostname, port, socket: { data() {} } });
  const [other] = server.accept();
  own.add(other).settimeout(5);
  using ending = borrow(second);
  ending.shutdown(SHUT_WR);
  expect(other.recv(1).length).toBe(0);
  second.end();
});

telling("a handle that was closed does not keep the event loop busy", async () => {
  using own = new Sockets();
  const client = own.udp();
  const got: unknown[] = [];
  const handle = await Bun.udpSocket({ hostname: "127.0.0.1", socket: { data: (_, data) => void got.push(data) } });
  using sock = borrow(handle);
  handle.close();
  client.sendto("late", sock.getsockname() as [string, number]);
  const ms = 100 * slowness;
  const before = process.cpuUsage();
  for (const end = performance.now() + ms; performance.now() < end;) await Bun.sleep(10);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(ms * 0.8);
  expect(got).toEqual([]);
  expect(sock.recv(100).toString()).toBe("late");
});

describe("what tells no descriptor", () => {
  const described = "handle: expected a socket or server that tells its descriptor, got ";

  telling("is a TypeError", async () => {
    await using web = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
    expect(() => borrow(no(web))).toThrow(new TypeError(`${described}a Object`));
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    expect(() => borrow(no(server))).toThrow(TypeError);
    server.close();
    using sock = new Socket();
    for (const value of [null, undefined, 5, "x", {}, [], sock, { fd: 1.5 }, { fd: "3" }, () => {}, Bun.listen]) {
      expect(() => borrow(no(value))).toThrow(TypeError);
      expect(() => borrow(no(value))).toThrow(described);
    }
  });

  telling("or EBADF, as long as there is none", async () => {
    const unbound = dgram.createSocket("udp4");
    const idle = net.createServer();
    const connecting = net.connect(echoServer().port, "127.0.0.1");
    for (const handle of [unbound, idle, connecting, new net.Socket()]) {
      expect(codeOf(() => borrow(handle))).toBe("EBADF");
    }
    connecting.destroy();
    unbound.close();
  });

  linux("or ENOTSOCK, for what is no socket", async () => {
    await using file = await open("/dev/null");
    const before = descriptors();
    expect(codeOf(() => borrow(no(file)))).toBe("ENOTSOCK");
    expect(leftOpen(before)).toEqual([]);
  });
});

telling(
  "one that is forgotten is closed with a warning, and the handle goes on; node:dgram does not warn",
  async () => {
    using forgetful = peer(
      async (_, path) => {
        const { borrow } = (await import(path)) as typeof import("../../src/bun.ts");
        const warnings: string[] = [];
        process.on("warning", ({ name, message }) => warnings.push(`${name}: ${message.replace(/\d+/, "N")}`));
        const node = process.getBuiltinModule("node:dgram").createSocket("udp4");
        await new Promise<void>((resolve) => node.bind(0, "127.0.0.1", () => resolve()));
        borrow(node).close();
        node.close();
        let got = 0;
        const udp = await Bun.udpSocket({ hostname: "127.0.0.1", socket: { data: () => void got++ } });
        const forget = (): void => {
          for (let i = 0; i < 50; i++) borrow(udp);
        };
        forget();
        for (let i = 0; i < 200 && warnings.length < 50; i++) {
          Bun.gc(true);
          await Bun.sleep(5);
        }
        udp.send("to itself", udp.port, "127.0.0.1");
        for (let i = 0; i < 200 && got === 0; i++) await Bun.sleep(5);
        console.log(JSON.stringify([warnings.length, [...new Set(warnings)], got]));
        udp.close();
      },
      [join(import.meta.dir, "..", "..", "src", "bun.ts")],
    );
    expect(JSON.parse(await forgetful.output())).toEqual([
      50,
      ["ResourceWarning: unclosed Socket <fd N, AF_INET SOCK_DGRAM>"],
      1,
    ]);
  },
);
