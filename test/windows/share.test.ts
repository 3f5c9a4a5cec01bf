/** Sockets that go to another process, and those that must not. */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  createServer,
  fromshare,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SHUT_WR,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
} from "../../src/index.ts";
import { codeOf, isWindows, leavesNothingOpen, needs, peer, receiveAll, Sockets } from "../help.ts";

const windows = needs("Windows", isWindows);

/** sizeof(WSAPROTOCOL_INFOW). */
const LENGTH = 628;

/** A peer that gives its sockets back by a description of its own, on its standard output. */
const relay = (own: Sockets, sock: Socket) =>
  peer((net, pid) => console.log(net.given[0]!.share(pid).toString("base64")), [process.pid], [own.add(sock)]);

windows("a socket that is shared with this process is the same socket", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  const data = a.share(process.pid);
  expect(Buffer.isBuffer(data)).toBe(true);
  expect(data.length).toBe(LENGTH);
  const copy = own.add(fromshare(data));
  expect(copy).toBeInstanceOf(Socket);
  expect(copy.fileno()).not.toBe(a.fileno());
  expect([copy.family, copy.type, copy.proto]).toEqual([AF_INET, SOCK_STREAM, IPPROTO_TCP]);
  expect(copy.getsockname()).toEqual(a.getsockname());
  expect([copy.getInheritable(), copy.gettimeout()]).toEqual([false, null]);
  copy.sendall("by the copy");
  expect(b.recv(100).toString()).toBe("by the copy");
  a.close();
  copy.sendall("and alone");
  expect(b.recv(100).toString()).toBe("and alone");
  copy.close();
  expect(b.recv(100).length).toBe(0);
});

windows("what it is comes with it", () => {
  using own = new Sockets();
  for (const [family, type, proto] of [
    [AF_INET, SOCK_STREAM, IPPROTO_TCP],
    [AF_INET, SOCK_DGRAM, IPPROTO_UDP],
    [AF_INET6, SOCK_STREAM, IPPROTO_TCP],
    [AF_INET6, SOCK_DGRAM, IPPROTO_UDP],
  ] as const) {
    const copy = own.add(fromshare(own.add(new Socket(family, type)).share(process.pid)));
    expect([copy.family, copy.type, copy.proto]).toEqual([family, type, proto]);
  }
});

windows(
  "a connection goes to another process, with data both ways, and lives there when it is closed here",
  async () => {
    using own = new Sockets();
    const [a, b] = own.tcp();
    using other = peer(
      (net) => {
        const sock = net.given[0]!;
        const question = sock.recv(100).toString();
        sock.sendall(`${question}: answered by ${process.pid}`);
        sock.shutdown(net.SHUT_WR);
        console.log(sock.family === net.AF_INET, sock.type === net.SOCK_STREAM);
      },
      [],
      [b],
    );
    expect(b.fileno()).toBe(-1);
    a.sendall("a question");
    expect(receiveAll(a).toString()).toBe(`a question: answered by ${other.process.pid}`);
    expect(await other.output()).toBe("true true");
  },
);

windows("a megabyte goes through a shared connection whole", async () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  using other = peer(
    (net) => {
      const hash = new Bun.CryptoHasher("sha1");
      for (let part = net.given[0]!.recv(65536); part.length > 0; part = net.given[0]!.recv(65536)) hash.update(part);
      console.log(hash.digest("hex"));
    },
    [],
    [b],
  );
  const data = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7) % 251));
  a.sendall(data);
  a.shutdown(SHUT_WR);
  expect(await other.output()).toBe(new Bun.CryptoHasher("sha1").update(data).digest("hex"));
});

windows("a listening socket is accepted from there", async () => {
  using own = new Sockets();
  const server = own.server();
  const address = server.getsockname();
  using other = peer((net) => net.given[0]!.accept()[0].sendall("welcome"), [], [server]);
  const client = own.add(new Socket(AF_INET));
  client.settimeout(5);
  client.connect(address);
  expect(client.recv(100).toString()).toBe("welcome");
  await other.output();
});

windows("a UDP socket, and several sockets at once", async () => {
  using own = new Sockets();
  const [near, far, here, there] = [own.udp(), own.udp(), ...own.tcp()];
  const address = far.getsockname();
  using other = peer(
    (net) => {
      const [udp, tcp] = net.given as [import("../../src/index.ts").Socket<"AF_INET">, (typeof net.given)[0]];
      const [data, from] = udp.recvfrom(100);
      udp.sendto(data, from);
      tcp.sendall(data);
    },
    [],
    [far, there],
  );
  near.sendto("twice", address);
  expect(near.recv(100).toString()).toBe("twice");
  expect(here.recv(100).toString()).toBe("twice");
  await other.output();
});

windows("another process shares a socket with this one", async () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  using other = relay(own, b);
  const back = own.add(fromshare(Buffer.from(await other.output(), "base64")));
  back.sendall("from there to here");
  expect(a.recv(100).toString()).toBe("from there to here");
});

windows("what is no description is refused, and opens nothing", () => {
  leavesNothingOpen(() => {
    for (const data of ["", "x", Buffer.alloc(LENGTH - 1), Buffer.alloc(LENGTH + 1), Buffer.alloc(LENGTH)]) {
      expect(codeOf(() => fromshare(data))).toMatch(/^E[A-Z]+$/);
    }
    expect(codeOf(() => fromshare(Buffer.alloc(10)))).toBe("EINVAL");
    for (const data of [undefined, null, 1, {}]) expect(() => fromshare(data as never)).toThrow(/^data: /);
  });
});

windows("a process that is not there cannot be shared with", () => {
  using own = new Sockets();
  const [a] = own.tcp();
  expect(codeOf(() => a.share(0x7fff_fff0))).toMatch(/^E(INVAL|ACCES)$/);
  for (const pid of [undefined, null, "1", 1.5]) expect(() => a.share(pid as never)).toThrow(/^processId: /);
  for (const pid of [-1, 2 ** 32]) expect(() => a.share(pid)).toThrow(RangeError);
  a.close();
  expect(codeOf(() => a.share(process.pid))).toBe("EBADF");
});

windows("sockets are not inherited until they are told to be", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  for (const sock of [a, b, a.dup(), own.udp(), createServer(["127.0.0.1", 0]), fromshare(a.share(process.pid))]) {
    expect(own.add(sock).getInheritable()).toBe(false);
    sock.setInheritable(true);
    expect(sock.getInheritable()).toBe(true);
    sock.setInheritable(false);
    expect(sock.getInheritable()).toBe(false);
  }
});

windows("a child process does not keep a port: it is free as soon as the listener is closed", async () => {
  using own = new Sockets();
  const server = own.server();
  const address = server.getsockname();
  using child = peer(async () => {
    console.log("up");
    await Bun.sleep(20_000);
  }, []);
  // It lives by now, and has what it inherited.
  const reader = child.process.stdout.getReader();
  expect(
    Buffer.from((await reader.read()).value!)
      .toString()
      .trim(),
  ).toBe("up");
  server.close();
  const client = own.add(new Socket(AF_INET));
  client.settimeout(10);
  expect(codeOf(() => client.connect(address))).toBe("ECONNREFUSED");
  const again = own.add(new Socket(AF_INET));
  expect(again.getsockopt(SOL_SOCKET, SO_REUSEADDR)).toBe(0);
  again.bind(address);
  again.listen();
  expect(again.getsockname()).toEqual(address);
  expect(child.process.exitCode).toBeNull();
  reader.releaseLock();
});

windows("two servers do not share a port, whatever options the second one sets", () => {
  using own = new Sockets();
  const server = own.add(createServer(["127.0.0.1", 0]));
  expect(codeOf(() => own.add(createServer(server.getsockname())))).toMatch(/^E(ADDRINUSE|ACCES)$/);
  const thief = own.add(new Socket(AF_INET));
  thief.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
  expect(codeOf(() => thief.bind(server.getsockname()))).toMatch(/^E(ADDRINUSE|ACCES)$/);
});
