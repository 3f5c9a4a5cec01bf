/** Datagrams: UDP and Unix, their bounds and their senders' addresses. */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AF_UNSPEC,
  FIONREAD,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  SO_BROADCAST,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOL_SOCKET,
} from "../src/index.ts";
import { codeOf, needs, test, thrown } from "./faces.ts";
import { hasUnixDatagrams, isLinux, isWindows } from "./help.ts";

test("a datagram comes whole, with its sender's address", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  expect(await a.sendto("one", b.getsockname())).toBe(3);
  expect(await a.sendto("two", 0, b.getsockname())).toBe(3);
  const [data, address] = await b.recvfrom(100);
  expect(data.toString()).toBe("one");
  expect(address).toEqual(a.getsockname());
  expect((await b.recv(100)).toString()).toBe("two");
});

needs("MSG_DONTWAIT", MSG_DONTWAIT !== undefined)("flags of sendto are used", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  a.settimeout(null);
  for (let i = 0; i < 100_000; i++) {
    if ((await codeOf(() => a.send("full", MSG_DONTWAIT))) === "EAGAIN") break;
  }
  expect(await codeOf(() => a.send("x", MSG_DONTWAIT))).toBe("EAGAIN");
  await b.recv(4);
  expect(await a.send("x", MSG_DONTWAIT)).toBe(1);
});

test("an empty datagram is a message like any other", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  expect(await a.sendto("", b.getsockname())).toBe(0);
  await a.sendto("after", b.getsockname());
  const [data, address] = await b.recvfrom(100);
  expect(data.length).toBe(0);
  expect(address).toEqual(a.getsockname());
  expect((await b.recv(100)).toString()).toBe("after");
});

test("an empty datagram by send, sendall and sendmsg, too", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  await a.connect(b.getsockname());
  await a.send("");
  await a.sendall("");
  await a.sendmsg([]);
  await a.sendmsg(["", ""]);
  for (let i = 0; i < 4; i++) expect(await b.recvfrom(10)).toEqual([Buffer.alloc(0), a.getsockname()]);
  b.setblocking(false);
  expect(await codeOf(() => b.recv(10))).toBe("EAGAIN");
});

test("the largest datagram of IPv4 is 65507 bytes, one more is EMSGSIZE", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const data = Buffer.from(Array.from({ length: 65507 }, (_, i) => i % 256));
  expect(await a.sendto(data, b.getsockname())).toBe(65507);
  const [got, address] = await b.recvfrom(65536);
  expect(got.equals(data)).toBe(true);
  expect(address).toEqual(a.getsockname());
  const error = await thrown(() => a.sendto(Buffer.alloc(65508), b.getsockname()));
  expect(error).toMatchObject({ code: "EMSGSIZE", syscall: "sendto", address: b.getsockname() });
});

test("a datagram larger than what was asked for is cut, and its rest is gone", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  await a.sendto("0123456789", b.getsockname());
  await a.sendto("next", b.getsockname());
  expect((await b.recv(4)).toString()).toBe("0123");
  expect((await b.recv(100)).toString()).toBe("next");
});

test("a datagram into a view stays within nbytes", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const view = Buffer.alloc(10, "-");
  await a.sendto("0123456789", b.getsockname());
  expect(await b.recvfromInto(view.subarray(2, 8), 4)).toEqual([4, a.getsockname()]);
  expect(view.toString()).toBe("--0123----");
  await a.sendto("ab", b.getsockname());
  expect(await b.recvfromInto(view)).toEqual([2, a.getsockname()]);
  expect(view.toString()).toBe("ab0123----");
});

needs("MSG_TRUNC to receive with", isLinux)(
  "MSG_TRUNC tells how long the datagram was, and shows no more than there is",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = [own.udp(), own.udp()];
    await a.sendto("earlier, and longer", b.getsockname());
    await b.recv(100);
    for (let i = 0; i < 3; i++) await a.sendto("0123456789", b.getsockname());
    const view = new Uint8Array(4);
    expect(await b.recvInto(view, 0, MSG_TRUNC)).toBe(10);
    expect(Buffer.from(view).toString()).toBe("0123");
    expect((await b.recv(4, MSG_TRUNC)).toString()).toBe("0123");
    expect((await b.recvfrom(4, MSG_TRUNC))[0].toString()).toBe("0123");
    await a.sendto("abc", b.getsockname());
    expect((await b.recvfromInto(new Uint8Array(0), 0, MSG_TRUNC))[0]).toBe(3);
  },
);

test("recvmsg says of a datagram that was cut that it was", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  await a.sendto("0123456789", b.getsockname());
  await a.sendto("0123", b.getsockname());
  expect(await b.recvmsg(4)).toEqual([Buffer.from("0123"), [], MSG_TRUNC, a.getsockname()]);
  expect(await b.recvmsg(4)).toEqual([Buffer.from("0123"), [], 0, a.getsockname()]);
});

test("MSG_PEEK leaves the datagram", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  await a.sendto("peek", b.getsockname());
  expect(await b.recvfrom(2, MSG_PEEK)).toEqual([Buffer.from("pe"), a.getsockname()]);
  expect((await b.recv(10)).toString()).toBe("peek");
});

test("receiving no bytes takes the datagram, by recvfrom; recv makes no call", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  await a.sendto("first", b.getsockname());
  await a.sendto("second", b.getsockname());
  expect((await b.recv(0)).length).toBe(0);
  expect(await b.recvfrom(0)).toEqual([Buffer.alloc(0), a.getsockname()]);
  expect((await b.recv(10)).toString()).toBe("second");
});

test("a connected UDP socket sends to one peer and hears only that", async (net) => {
  using own = new net.Sockets();
  const [a, b, stranger] = [own.udp(), own.udp(), own.udp()];
  await a.connect(b.getsockname());
  expect(a.getpeername()).toEqual(b.getsockname());
  await a.send("to the peer");
  expect((await b.recv(100)).toString()).toBe("to the peer");
  await stranger.sendto("not for you", a.getsockname());
  await b.sendto("for you", a.getsockname());
  expect((await a.recv(100)).toString()).toBe("for you");
});

needs("AF_UNSPEC to connect to, as Linux has it", isLinux)(
  "a connect to AF_UNSPEC ends the connection of a datagram socket",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = [own.udp(), own.udp()];
    await a.connect(b.getsockname());
    using other = new net.Socket(AF_UNSPEC, -1, -1, { fileno: a.dup().detach() });
    await other.connect([AF_UNSPEC, new Uint8Array(14)] as never);
    expect(await codeOf(() => a.getpeername())).toBe("ENOTCONN");
  },
);

test("a datagram that nobody takes is ECONNREFUSED once; the socket lives on", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const gone = b.getsockname();
  await a.connect(gone);
  b.close();
  await a.send("into the void");
  if (isWindows) a.settimeout(0.2);
  // Windows calls it ECONNRESET; Wine does not tell.
  expect(await codeOf(() => a.recv(10))).toMatch(isWindows ? /^(ECONNRESET|ETIMEDOUT)$/ : "ECONNREFUSED");
  using again = new net.Socket(AF_INET, SOCK_DGRAM);
  again.bind(gone);
  again.settimeout(5);
  await a.send("heard");
  expect((await again.recv(10)).toString()).toBe("heard");
});

test("a UDP socket without a peer cannot send", async (net) => {
  using sock = new net.Socket(AF_INET, SOCK_DGRAM);
  const code = isWindows ? /^(ENOTCONN|EINVAL)$/ : "EDESTADDRREQ"; // EINVAL is Wine's
  expect(await codeOf(() => sock.send("x"))).toMatch(code);
  expect(await codeOf(() => sock.sendall("x"))).toMatch(code);
});

test("broadcast has to be allowed first", async (net) => {
  using sock = new net.Socket(AF_INET, SOCK_DGRAM);
  expect(await codeOf(() => sock.sendto("x", ["127.255.255.255", 9]))).toBe("EACCES");
  sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  expect(await codeOf(() => sock.sendto("x", ["127.255.255.255", 9]))).not.toBe("EACCES");
});

needs("FIONREAD of one datagram", isLinux)("FIONREAD tells the next datagram's length", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  await a.sendto("12345", b.getsockname());
  await a.sendto("678", b.getsockname());
  await b.recv(1, MSG_PEEK);
  const size = new Int32Array(1);
  b.ioctl(FIONREAD, size);
  expect(size[0]).toBe(5);
});

test("two thousand peers in turn are all told apart, twice", async (net) => {
  using own = new net.Sockets();
  const server = own.udp();
  const ports: number[] = [];
  for (let round = 0; round < 20; round++) {
    using some = new net.Sockets();
    const peers = Array.from({ length: 100 }, () => some.udp());
    for (let time = 0; time < 2; time++) {
      for (const peer of peers) {
        const [, port] = peer.getsockname();
        await peer.sendto(String(port), server.getsockname());
        const [data, address] = await server.recvfrom(100);
        expect(address).toEqual(["127.0.0.1", Number(data.toString())]);
        expect(address[1]).toBe(port);
        ports.push(port);
      }
    }
  }
  expect(ports.length).toBe(4000);
  expect(new Set(ports).size).toBeGreaterThan(1000);
});

test("peers that share a port but no host are told apart", async (net) => {
  using own = new net.Sockets();
  const server = own.add(new net.Socket(AF_INET, SOCK_DGRAM));
  server.bind(["", 0]);
  server.settimeout(5);
  const port = server.getsockname()[1];
  const hosts = isLinux ? ["127.0.0.1", "127.0.0.2", "127.0.1.1", "127.1.0.1"] : ["127.0.0.1"];
  let common = 0;
  for (const host of hosts) {
    const peer = own.add(new net.Socket(AF_INET, SOCK_DGRAM));
    peer.bind([host, common]);
    common = peer.getsockname()[1];
    await peer.sendto("x", [host, port]);
    expect((await server.recvfrom(1))[1]).toEqual([host, common]);
  }
});

test("no caller can change the address that another one gets", async (net) => {
  // Addresses are known again by a hash: two that take turns in one place are not, which some other ports will not do.
  const shares = async () => {
    using own = new net.Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const seen: unknown[] = [];
    for (let i = 0; i < 6; i++) {
      await a.sendto("x", b.getsockname());
      const [, address] = await b.recvfrom(1);
      expect(address).toEqual(a.getsockname());
      expect(address[0]).toBe("127.0.0.1");
      // Who gets an address of his own may change it; one that is shared is frozen.
      Reflect.set(address, 0, "6.6.6.6");
      Reflect.set(address, "length", 1);
      if (seen.includes(address)) expect(Object.isFrozen(address)).toBe(true);
      seen.push(address);
    }
    return new Set(seen).size < 6;
  };
  expect((await shares()) || (await shares()) || (await shares())).toBe(true);
});

test("a name of 16 bytes is read as of its own family, whatever came before", async (net) => {
  using own = new net.Sockets();
  const four = own.udp();
  using six = new net.Socket(AF_INET6, SOCK_DGRAM);
  six.bind(["::1", 0]);
  six.settimeout(5);
  for (let i = 0; i < 3; i++) {
    await six.sendto("6", six.getsockname());
    await four.sendto("4", four.getsockname());
    expect((await six.recvfrom(1))[1]).toEqual(["::1", six.getsockname()[1], 0, 0]);
    expect((await four.recvfrom(1))[1]).toEqual(["127.0.0.1", four.getsockname()[1]]);
  }
});

needs("AF_UNIX datagram socket", hasUnixDatagrams)("Unix datagrams and packets keep their bounds", async (net) => {
  using own = new net.Sockets();
  for (const type of isLinux ? [SOCK_DGRAM, SOCK_SEQPACKET] : [SOCK_DGRAM]) {
    const [a, b] = own.pair(type);
    expect(a.family).toBe(AF_UNIX);
    await a.send("one");
    await a.send("three");
    expect((await b.recv(100)).toString()).toBe("one");
    expect((await b.recv(2)).toString()).toBe("th");
    b.setblocking(false);
    expect(await codeOf(() => b.recv(100))).toBe("EAGAIN");
  }
});

needs("SOCK_SEQPACKET of AF_UNIX", isLinux)("a packet connection ends; a packet that was cut says so", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_SEQPACKET);
  await a.send("0123456789");
  expect((await b.recvmsg(4))[2] & MSG_TRUNC).toBe(MSG_TRUNC);
  a.close();
  expect((await b.recv(10)).length).toBe(0);
});
