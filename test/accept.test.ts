/** Listening and accepting. */
import { expect, test } from "bun:test";
import {
  AF_INET,
  AF_UNIX,
  SHUT_RDWR,
  SO_ACCEPTCONN,
  SO_LINGER,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
} from "../src/index.ts";
import { bounded, codeOf, Folder, hasUnix, isLinux, isWindows, needs, peer, resetting, Sockets } from "./help.ts";

test("accept gives a socket of the same kind, and the peer's address", () => {
  using own = new Sockets();
  const server = own.server();
  const client = own.add(new Socket(AF_INET));
  client.connect(server.getsockname());
  const [conn, address] = server.accept();
  own.add(conn);
  expect(conn).toBeInstanceOf(Socket);
  expect([conn.family, conn.type, conn.proto]).toEqual([AF_INET, SOCK_STREAM, 0]);
  expect(address).toEqual(client.getsockname());
  expect(conn.getpeername()).toEqual(address);
  expect(conn.getsockname()).toEqual(server.getsockname());
  expect(conn.getInheritable()).toBe(false);
});

test("connections are accepted in the order in which they came", () => {
  using own = new Sockets();
  const server = own.server(16);
  const clients = Array.from({ length: 10 }, () => own.add(new Socket(AF_INET)));
  for (const client of clients) client.connect(server.getsockname());
  for (const client of clients) {
    const [conn, address] = server.accept();
    own.add(conn);
    expect(address).toEqual(client.getsockname());
  }
});

test("a connection that was closed before it was accepted is accepted still", () => {
  using own = new Sockets();
  const server = own.server();
  const client = own.add(new Socket(AF_INET));
  client.connect(server.getsockname());
  client.sendall("farewell");
  client.close();
  const [conn] = server.accept();
  expect(own.add(conn).recv(100).toString()).toBe("farewell");
  expect(conn.recv(100).length).toBe(0);
});

needs("Linux that accepts what was reset", isLinux)(
  "a connection that was reset before it was accepted shows it when it is read",
  () => {
    using own = new Sockets();
    const server = own.server();
    const client = own.add(new Socket(AF_INET));
    client.connect(server.getsockname());
    client.setsockopt(SOL_SOCKET, SO_LINGER, resetting);
    client.close();
    const [conn] = server.accept();
    expect(codeOf(() => own.add(conn).recv(1))).toBe("ECONNRESET");
  },
);

test("what does not listen cannot accept", () => {
  using tcp = new Socket(AF_INET);
  expect(codeOf(() => tcp.accept())).toBe("EINVAL");
  using udp = new Socket(AF_INET, SOCK_DGRAM);
  expect(codeOf(() => udp.accept())).toBe("EOPNOTSUPP");
  udp.bind(["127.0.0.1", 0]);
  expect(codeOf(() => udp.listen())).toBe("EOPNOTSUPP");
  using own = new Sockets();
  expect(codeOf(() => own.tcp()[0].accept())).toBe("EINVAL");
});

test("listen takes a backlog, none, and what is below 0 as 0", () => {
  for (const backlog of [undefined, 0, 1, 128, -1, -2_147_483_648, 2_147_483_647]) {
    using sock = new Socket(AF_INET);
    sock.bind(["127.0.0.1", 0]);
    if (backlog === undefined) sock.listen();
    else sock.listen(backlog);
    expect(sock.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)).not.toBe(0);
    using client = new Socket(AF_INET);
    client.settimeout(2);
    client.connect(sock.getsockname());
  }
});

test("listening without an address gets one, but on Windows", () => {
  using sock = new Socket(AF_INET);
  if (isWindows) return expect(codeOf(() => sock.listen())).toBe("EINVAL");
  sock.listen();
  expect(sock.getsockname()[1]).toBeGreaterThan(0);
});

needs("backlog as Linux has it", isLinux)(
  "a backlog of 0 holds one connection; when it is accepted there is room for another",
  () => {
    using own = new Sockets();
    const server = own.server(0);
    const connectEx = (): number => {
      const sock = own.add(new Socket(AF_INET));
      sock.settimeout(0.05);
      return sock.connectEx(server.getsockname());
    };
    expect(connectEx()).toBe(0);
    expect(connectEx()).not.toBe(0);
    own.add(server.accept()[0]);
    expect(connectEx()).toBe(0);
  },
);

test("an address that is taken is EADDRINUSE", () => {
  using own = new Sockets();
  const server = own.server();
  using sock = new Socket(AF_INET);
  expect(codeOf(() => sock.bind(server.getsockname()))).toBe("EADDRINUSE");
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  expect(codeOf(() => sock.bind(server.getsockname()))).toBe(isWindows ? "EACCES" : "EADDRINUSE");
});

test("a socket is bound once", () => {
  using sock = new Socket(AF_INET);
  sock.bind(["127.0.0.1", 0]);
  expect(codeOf(() => sock.bind(["127.0.0.1", 0]))).toBe("EINVAL");
});

test("an address that this machine does not have is EADDRNOTAVAIL", () => {
  using sock = new Socket(AF_INET);
  expect(codeOf(() => sock.bind(["192.0.2.77", 0]))).toBe("EADDRNOTAVAIL");
});

test("with SO_REUSEADDR a port can be bound again while connections of an earlier server live on, or die", () => {
  using own = new Sockets();
  const server = own.server();
  const address = server.getsockname();
  const client = own.add(new Socket(AF_INET));
  client.connect(address);
  const [conn] = server.accept();
  own.add(conn);
  server.close();
  const bindAgain = (reuse: number): string => {
    using again = new Socket(AF_INET);
    again.setsockopt(SOL_SOCKET, SO_REUSEADDR, reuse);
    return codeOf(() => (again.bind(address), again.listen(), again.getsockname()[1] === address[1]));
  };
  if (isLinux) expect(bindAgain(0)).toBe("EADDRINUSE");
  expect(bindAgain(1)).toEndWith("true returned");
  conn.close(); // who closes first has the TIME_WAIT
  client.recv(1);
  client.close();
  expect(bindAgain(1)).toEndWith("true returned");
});

needs("Linux that ends an accept by shutdown", isLinux)(
  "shutting a listening socket down ends a wait for connections",
  async () => {
    using own = new Sockets();
    const server = bounded(own.server());
    const copy = server.dup();
    using other = peer(
      async (net) => {
        await Bun.sleep(50);
        net.given[0]!.shutdown(net.SHUT_RDWR);
      },
      [],
      [copy],
    );
    server.settimeout(null);
    expect(codeOf(() => server.accept())).toBe("EINVAL");
    expect(codeOf(() => server.shutdown(SHUT_RDWR))).toBe("ENOTCONN");
    await other.output();
  },
);

needs("AF_UNIX", hasUnix)("Unix streams and packets are accepted too; a client without a name has none", () => {
  using folder = new Folder();
  for (const type of isLinux ? [SOCK_STREAM, SOCK_SEQPACKET] : [SOCK_STREAM]) {
    using own = new Sockets();
    const path = folder.file(`s${type}`);
    const server = own.add(new Socket(AF_UNIX, type));
    server.bind(path);
    server.listen();
    server.settimeout(5);
    const client = own.add(new Socket(AF_UNIX, type));
    client.connect(path);
    const [conn, address] = server.accept();
    own.add(conn);
    expect(address).toBe("");
    expect(conn.type).toBe(type);
    expect(conn.getsockname()).toBe(path);
    expect(client.getpeername()).toBe(path);
    const named = own.add(new Socket(AF_UNIX, type));
    named.bind(`${path}.client`);
    named.connect(path);
    const [second, from] = server.accept();
    own.add(second);
    expect(from).toBe(`${path}.client`);
  }
});
