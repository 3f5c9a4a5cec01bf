/** Functions that make sockets. */
import { expect } from "bun:test";
import { networkInterfaces } from "node:os";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  ConnectionRefusedError,
  gaierror,
  hasDualstackIPv6,
  hasIPv6,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  OSError,
  setdefaulttimeout,
  SO_ACCEPTCONN,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket as BlockingSocket,
  SOL_SOCKET,
} from "../src/index.ts";
import { attempt, codeOf, elapsed, leavesNothingOpen, needs, test, thrown } from "./faces.ts";
import { ignoresConnections, ignoring, isLinux, isWindows, Sockets, slowness } from "./help.ts";

const hasLoopback6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));
const six = needs("IPv6 loopback", hasLoopback6);

/** A port of the loopback where nobody listens. */
function desertedPort(): number {
  using sock = new BlockingSocket(AF_INET);
  sock.bind(["127.0.0.1", 0]);
  return sock.getsockname()[1];
}

test("a socket is of AF_INET and SOCK_STREAM unless it is said otherwise", async (net) => {
  using sock = new net.Socket();
  expect([sock.family, sock.type, sock.proto]).toEqual([AF_INET, SOCK_STREAM, 0]);
  using udp = new net.Socket(AF_INET6, SOCK_DGRAM);
  expect([udp.family, udp.type, udp.proto]).toEqual([AF_INET6, SOCK_DGRAM, 0]);
  using tcp = new net.Socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  expect(tcp.proto).toBe(IPPROTO_TCP);
  expect(tcp).toBeInstanceOf(net.SocketType);
});

test("family, type, proto and timeout are read-only", async (net) => {
  using sock = new net.Socket(AF_INET);
  for (const name of ["family", "type", "proto", "timeout"]) {
    expect(() => Object.assign(sock, { [name]: 7 })).toThrow(TypeError);
  }
});

test("what the system does not have, it refuses", async (net) => {
  expect(await codeOf(() => new net.Socket(4711))).toBe("EAFNOSUPPORT");
  expect(await codeOf(() => new net.Socket(AF_INET, SOCK_STREAM, 17))).toBe("EPROTONOSUPPORT");
  expect(await thrown(() => new net.Socket(AF_INET, 77))).toMatchObject({ syscall: "socket" });
});

needs("AF_UNIX pairs of every type", !isWindows)(
  "socketpair: two Unix streams, unless it is said otherwise",
  async (net) => {
    for (const [pair, type] of [
      [net.socketpair(), SOCK_STREAM],
      [net.socketpair(AF_UNIX), SOCK_STREAM],
      [net.socketpair(AF_UNIX, SOCK_DGRAM), SOCK_DGRAM],
      [net.socketpair(AF_UNIX, SOCK_STREAM, 0), SOCK_STREAM],
      ...(isLinux ? [[net.socketpair(AF_UNIX, SOCK_SEQPACKET), SOCK_SEQPACKET] as const] : []),
    ] as const) {
      using own = new net.Sockets();
      const [a, b] = pair;
      for (const sock of [a, b]) {
        expect([own.add(sock).family, sock.type, sock.proto]).toEqual([AF_UNIX, type, 0]);
        expect(sock.getInheritable()).toBe(false);
        expect(sock.gettimeout()).toBeNull();
        expect(sock.getsockopt(SOL_SOCKET, SO_TYPE)).toBe(type);
        sock.settimeout(5);
      }
      await a.send("there");
      expect((await b.recv(10)).toString()).toBe("there");
      await b.send("and back");
      expect((await a.recv(10)).toString()).toBe("and back");
    }
    expect(await thrown(() => net.socketpair(AF_INET))).toMatchObject({ code: "EOPNOTSUPP", syscall: "socketpair" });
  },
);

test("createServer listens, and its port can be used again at once", async (net) => {
  using server = net.createServer(["127.0.0.1", 0]);
  expect([server.family, server.type]).toEqual([AF_INET, SOCK_STREAM]);
  expect(server.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)).not.toBe(0);
  expect(server.getsockopt(SOL_SOCKET, SO_REUSEADDR) !== 0).toBe(!isWindows); // there two servers could share the port
  if (SO_REUSEPORT !== undefined) expect(server.getsockopt(SOL_SOCKET, SO_REUSEPORT)).toBe(0);
  expect(server.gettimeout()).toBeNull();
});

test("createServer on every address", async (net) => {
  using server = net.createServer(["", 0]);
  expect(server.getsockname()[0]).toBe("0.0.0.0");
  using conn = await net.createConnection(["127.0.0.1", server.getsockname()[1]], 5);
  expect(conn.getpeername()[0]).toBe("127.0.0.1");
});

test("createServer with a backlog", async (net) => {
  using own = new net.Sockets();
  const server = own.add(net.createServer(["127.0.0.1", 0], { backlog: 1 }));
  const connects = async (): Promise<number> => {
    const sock = own.add(new net.Socket(AF_INET));
    sock.settimeout(0.03);
    return sock.connectEx(server.getsockname());
  };
  expect([await connects(), await connects()]).toEqual([0, 0]);
  if (isLinux) expect(await connects()).not.toBe(0);
  own.add(net.createServer(["127.0.0.1", 0], { backlog: null }));
  own.add(net.createServer(["127.0.0.1", 0], { backlog: 0 }));
});

needs("SO_REUSEPORT", SO_REUSEPORT !== undefined)(
  "two servers share a port by reusePort, not otherwise",
  async (net) => {
    using own = new net.Sockets();
    const first = own.add(net.createServer(["127.0.0.1", 0], { reusePort: true }));
    const address = first.getsockname();
    expect(await codeOf(() => own.add(net.createServer(address)))).toBe("EADDRINUSE");
    const second = own.add(net.createServer(address, { reusePort: true }));
    expect(second.getsockname()).toEqual(address);
    const clients: Disposable[] = [];
    for (let i = 0; i < 30; i++) clients.push(own.add(await net.createConnection(address, 5)));
    let accepted = 0;
    for (const server of [first, second]) {
      server.setblocking(false);
      while (!(await codeOf(async () => own.add((await server.accept())[0]))).startsWith("E")) accepted++;
    }
    expect(accepted).toBe(clients.length);
  },
);

test("createServer closes what it opened when it fails", async (net) => {
  using server = net.createServer(["127.0.0.1", 0]);
  await leavesNothingOpen(async () => {
    const error = await thrown(() => net.createServer(server.getsockname()));
    expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "bind", address: server.getsockname() });
    expect(() => net.createServer(["nothing.invalid", 0])).toThrow(gaierror);
    expect(() => net.createServer(["127.0.0.1", 70000])).toThrow(RangeError);
  });
});

six("createServer of AF_INET6 is for IPv6 alone", async (net) => {
  using own = new net.Sockets();
  const server = own.add(net.createServer(["::1", 0], { family: AF_INET6 }));
  expect(server.getsockname()).toEqual(["::1", server.getsockname()[1], 0, 0]);
  expect(server.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY)).not.toBe(0);
  const any = own.add(net.createServer(["", 0], { family: AF_INET6 }));
  expect(await codeOf(() => net.createConnection(["127.0.0.1", any.getsockname()[1]], 5))).toBe("ECONNREFUSED");
});

six("a dual-stack server takes both", async (net) => {
  expect(hasIPv6).toBe(true);
  expect(hasDualstackIPv6()).toBe(true);
  using own = new net.Sockets();
  const server = own.add(net.createServer(["", 0], { family: AF_INET6, dualstackIPv6: true }));
  server.settimeout(5);
  const port = server.getsockname()[1];
  own.add(await net.createConnection(["127.0.0.1", port], 5));
  const [four, from] = await server.accept();
  own.add(four);
  expect(from[0]).toBe("::ffff:127.0.0.1");
  own.add(await net.createConnection(["::1", port], 5));
  expect(own.add((await server.accept())[0]).getpeername()[0]).toBe("::1");
});

test("dual stack is for AF_INET6", async (net) => {
  expect(() => net.createServer(["", 0], { dualstackIPv6: true })).toThrow(RangeError);
});

test("createConnection connects, by number or by name", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const port = server.getsockname()[1];
  for (const host of ["127.0.0.1", "localhost"]) {
    const sock = own.add(await net.createConnection([host, port]));
    expect(sock.getpeername()).toEqual(["127.0.0.1", port]);
    expect(sock.type).toBe(SOCK_STREAM);
    expect(sock.gettimeout()).toBeNull();
  }
  expect(own.add(await net.createConnection(["127.0.0.1", String(port)])).getpeername()[1]).toBe(port);
});

test("createConnection with a timeout: in its place, by name, none, the default", async (net) => {
  using own = new net.Sockets();
  const address = own.server().getsockname();
  expect(own.add(await net.createConnection(address, 2.5)).gettimeout()).toBe(2.5);
  expect(own.add(await net.createConnection(address, { timeout: 1.5 })).gettimeout()).toBe(1.5);
  setdefaulttimeout(7);
  try {
    expect(own.add(await net.createConnection(address)).gettimeout()).toBe(7);
    expect(own.add(await net.createConnection(address, {})).gettimeout()).toBe(7);
    expect(own.add(await net.createConnection(address, null)).gettimeout()).toBeNull();
    expect(own.add(await net.createConnection(address, { timeout: null })).gettimeout()).toBeNull();
  } finally {
    setdefaulttimeout(null);
  }
});

test("createConnection from a source address", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const port = desertedPort();
  own.add(await net.createConnection(server.getsockname(), 5, ["127.0.0.1", port]));
  const [conn, address] = await server.accept();
  own.add(conn);
  expect(address).toEqual(["127.0.0.1", port]);
  const host = isLinux ? "127.0.0.9" : "127.0.0.1";
  const named = own.add(await net.createConnection(server.getsockname(), { sourceAddress: [host, 0] }));
  expect(named.getsockname()[0]).toBe(host);
  expect(await codeOf(() => net.createConnection(server.getsockname(), { sourceAddress: ["192.0.2.77", 0] }))).toBe(
    "EADDRNOTAVAIL",
  );
  own.add(await net.createConnection(server.getsockname(), { sourceAddress: null }));
});

test("createConnection that nobody takes throws the last error, or all of them", async (net) => {
  const port = desertedPort();
  const error = await thrown(() => net.createConnection(["127.0.0.1", port], 5));
  expect(error).toBeInstanceOf(ConnectionRefusedError);
  expect(error.address).toEqual(["127.0.0.1", port]);
  try {
    await net.createConnection(["127.0.0.1", port], { allErrors: true, timeout: 5 });
    expect.unreachable();
  } catch (all) {
    expect(all).toBeInstanceOf(AggregateError);
    const { errors } = all as AggregateError;
    expect(errors.length).toBe(1);
    expect(errors[0]).toBeInstanceOf(OSError);
    expect(errors[0]).toBeInstanceOf(ConnectionRefusedError);
  }
  await expect(attempt(() => net.createConnection(["127.0.0.1", port], 5, null, { allErrors: true }))).rejects.toThrow(
    AggregateError,
  );
});

// The null host is the loopback of every family: ::1 and 127.0.0.1.
six("createConnection tries the next address when one does not answer", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const port = server.getsockname()[1];
  expect(own.add(await net.createConnection([null, port], 5)).getpeername()).toEqual(["127.0.0.1", port]);
  const deserted = desertedPort();
  try {
    await net.createConnection([null, deserted], 5, { allErrors: true });
    expect.unreachable();
  } catch (all) {
    const { errors } = all as { errors: OSError[] };
    expect(errors.map(({ code }) => code)).toEqual(["ECONNREFUSED", "ECONNREFUSED"]);
    expect(errors.map(({ address }) => (address as string[])[0]!).sort()).toEqual(["127.0.0.1", "::1"]);
  }
});

test("createConnection closes what it opened when it fails", async (net) => {
  const port = desertedPort();
  await leavesNothingOpen(async () => {
    expect(await codeOf(() => net.createConnection(["127.0.0.1", port], 5))).toBe("ECONNREFUSED");
    expect(await codeOf(() => net.createConnection(["127.0.0.1", port], 5, ["192.0.2.77", 0]))).toBe("EADDRNOTAVAIL");
    await expect(attempt(() => net.createConnection(["127.0.0.1", port], 5, ["127.0.0.1", -1]))).rejects.toThrow(
      RangeError,
    );
  });
});

test("createConnection does not hide what is no system error", async (net) => {
  await expect(attempt(() => net.createConnection(["nothing.invalid", 1]))).rejects.toThrow(gaierror);
  await expect(attempt(() => net.createConnection(["127.0.0.1", 1], -1))).rejects.toThrow(RangeError);
});

needs("server that leaves connections without an answer", ignoresConnections())(
  "createConnection runs out of time",
  async (net) => {
    using others = new Sockets();
    const address = ignoring(others);
    const ms = await elapsed(async () =>
      expect(await codeOf(() => net.createConnection(address, 0.05))).toBe("ETIMEDOUT"),
    );
    expect(ms).toBeGreaterThanOrEqual(50);
    expect(ms).toBeLessThan(1000 * slowness);
  },
);
