/** Listening and accepting. */
import { expect } from "bun:test";
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
  SOL_SOCKET,
} from "../src/index.ts";
import { codeOf, needs, peer, test } from "./faces.ts";
import { bounded, Folder, hasUnix, isLinux, isWindows, resetting } from "./help.ts";

test("accept gives a socket of the same kind, and the peer's address", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const client = own.add(new net.Socket(AF_INET));
  await client.connect(server.getsockname());
  const [conn, address] = await server.accept();
  own.add(conn);
  expect(conn).toBeInstanceOf(net.Socket);
  expect([conn.family, conn.type, conn.proto]).toEqual([AF_INET, SOCK_STREAM, 0]);
  expect(address).toEqual(client.getsockname());
  expect(conn.getpeername()).toEqual(address);
  expect(conn.getsockname()).toEqual(server.getsockname());
  expect(conn.getInheritable()).toBe(false);
});

test("connections are accepted in the order in which they came", async (net) => {
  using own = new net.Sockets();
  const server = own.server(16);
  const clients = Array.from({ length: 10 }, () => own.add(new net.Socket(AF_INET)));
  for (const client of clients) await client.connect(server.getsockname());
  for (const client of clients) {
    const [conn, address] = await server.accept();
    own.add(conn);
    expect(address).toEqual(client.getsockname());
  }
});

test("a connection that was closed before it was accepted is accepted still", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const client = own.add(new net.Socket(AF_INET));
  await client.connect(server.getsockname());
  await client.sendall("farewell");
  client.close();
  const [conn] = await server.accept();
  expect((await own.add(conn).recv(100)).toString()).toBe("farewell");
  expect((await conn.recv(100)).length).toBe(0);
});

needs("Linux that accepts what was reset", isLinux)(
  "a connection that was reset before it was accepted shows it when it is read",
  async (net) => {
    using own = new net.Sockets();
    const server = own.server();
    const client = own.add(new net.Socket(AF_INET));
    await client.connect(server.getsockname());
    client.setsockopt(SOL_SOCKET, SO_LINGER, resetting);
    client.close();
    const [conn] = await server.accept();
    expect(await codeOf(() => own.add(conn).recv(1))).toBe("ECONNRESET");
  },
);

test("what does not listen cannot accept", async (net) => {
  using tcp = new net.Socket(AF_INET);
  expect(await codeOf(() => tcp.accept())).toBe("EINVAL");
  using udp = new net.Socket(AF_INET, SOCK_DGRAM);
  expect(await codeOf(() => udp.accept())).toBe("EOPNOTSUPP");
  udp.bind(["127.0.0.1", 0]);
  expect(await codeOf(() => udp.listen())).toBe("EOPNOTSUPP");
  using own = new net.Sockets();
  expect(await codeOf(() => own.tcp()[0].accept())).toBe("EINVAL");
});

test("listen takes a backlog, none, and what is below 0 as 0", async (net) => {
  for (const backlog of [undefined, 0, 1, 128, -1, -2_147_483_648, 2_147_483_647]) {
    using sock = new net.Socket(AF_INET);
    sock.bind(["127.0.0.1", 0]);
    if (backlog === undefined) sock.listen();
    else sock.listen(backlog);
    expect(sock.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)).not.toBe(0);
    using client = new net.Socket(AF_INET);
    client.settimeout(2);
    await client.connect(sock.getsockname());
  }
});

test("listening without an address gets one, but on Windows", async (net) => {
  using sock = new net.Socket(AF_INET);
  if (isWindows) return expect(await codeOf(() => sock.listen())).toBe("EINVAL");
  sock.listen();
  expect(sock.getsockname()[1]).toBeGreaterThan(0);
});

needs("backlog as Linux has it", isLinux)(
  "a backlog of 0 holds one connection; when it is accepted there is room for another",
  async (net) => {
    using own = new net.Sockets();
    const server = own.server(0);
    const connectEx = async (): Promise<number> => {
      const sock = own.add(new net.Socket(AF_INET));
      sock.settimeout(0.05);
      return sock.connectEx(server.getsockname());
    };
    expect(await connectEx()).toBe(0);
    expect(await connectEx()).not.toBe(0);
    own.add((await server.accept())[0]);
    expect(await connectEx()).toBe(0);
  },
);

test("an address that is taken is EADDRINUSE", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  using sock = new net.Socket(AF_INET);
  expect(await codeOf(() => sock.bind(server.getsockname()))).toBe("EADDRINUSE");
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  expect(await codeOf(() => sock.bind(server.getsockname()))).toBe(isWindows ? "EACCES" : "EADDRINUSE");
});

test("a socket is bound once", async (net) => {
  using sock = new net.Socket(AF_INET);
  sock.bind(["127.0.0.1", 0]);
  expect(await codeOf(() => sock.bind(["127.0.0.1", 0]))).toBe("EINVAL");
});

test("an address that this machine does not have is EADDRNOTAVAIL", async (net) => {
  using sock = new net.Socket(AF_INET);
  expect(await codeOf(() => sock.bind(["192.0.2.77", 0]))).toBe("EADDRNOTAVAIL");
});

test("with SO_REUSEADDR a port can be bound again while connections of an earlier server live on, or die", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const address = server.getsockname();
  const client = own.add(new net.Socket(AF_INET));
  await client.connect(address);
  const [conn] = await server.accept();
  own.add(conn);
  server.close();
  const bindAgain = async (reuse: number): Promise<string> => {
    using again = new net.Socket(AF_INET);
    again.setsockopt(SOL_SOCKET, SO_REUSEADDR, reuse);
    return await codeOf(() => (again.bind(address), again.listen(), again.getsockname()[1] === address[1]));
  };
  if (isLinux) expect(await bindAgain(0)).toBe("EADDRINUSE");
  expect(await bindAgain(1)).toEndWith("true returned");
  conn.close(); // who closes first has the TIME_WAIT
  await client.recv(1);
  client.close();
  expect(await bindAgain(1)).toEndWith("true returned");
});

needs("Linux that ends an accept by shutdown", isLinux)(
  "shutting a listening socket down ends a wait for connections",
  async (net) => {
    using own = new net.Sockets();
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
    expect(await codeOf(() => server.accept())).toBe("EINVAL");
    expect(await codeOf(() => server.shutdown(SHUT_RDWR))).toBe("ENOTCONN");
    await other.output();
  },
);

needs("AF_UNIX", hasUnix)(
  "Unix streams and packets are accepted too; a client without a name has none",
  async (net) => {
    using folder = new Folder();
    for (const type of isLinux ? [SOCK_STREAM, SOCK_SEQPACKET] : [SOCK_STREAM]) {
      using own = new net.Sockets();
      const path = folder.file(`s${type}`);
      const server = own.add(new net.Socket(AF_UNIX, type));
      server.bind(path);
      server.listen();
      server.settimeout(5);
      const client = own.add(new net.Socket(AF_UNIX, type));
      await client.connect(path);
      const [conn, address] = await server.accept();
      own.add(conn);
      expect(address).toBe("");
      expect(conn.type).toBe(type);
      expect(conn.getsockname()).toBe(path);
      expect(client.getpeername()).toBe(path);
      const named = own.add(new net.Socket(AF_UNIX, type));
      named.bind(`${path}.client`);
      await named.connect(path);
      const [second, from] = await server.accept();
      own.add(second);
      expect(from).toBe(`${path}.client`);
    }
  },
);
