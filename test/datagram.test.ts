/** Datagrams: UDP and Unix, their bounds and their senders' addresses. */
import { expect, test } from "bun:test";
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
  Socket,
  SOL_SOCKET,
} from "../src/index.ts";
import { codeOf, hasUnixDatagrams, isLinux, isWindows, needs, Sockets, thrown } from "./help.ts";

test("a datagram comes whole, with its sender's address", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  expect(a.sendto("one", b.getsockname())).toBe(3);
  expect(a.sendto("two", 0, b.getsockname())).toBe(3);
  const [data, address] = b.recvfrom(100);
  expect(data.toString()).toBe("one");
  expect(address).toEqual(a.getsockname());
  expect(b.recv(100).toString()).toBe("two");
});

needs("MSG_DONTWAIT", MSG_DONTWAIT !== undefined)("flags of sendto are used", () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  a.settimeout(null);
  for (let i = 0; i < 100_000; i++) {
    if (codeOf(() => a.send("full", MSG_DONTWAIT)) === "EAGAIN") break;
  }
  expect(codeOf(() => a.send("x", MSG_DONTWAIT))).toBe("EAGAIN");
  b.recv(4);
  expect(a.send("x", MSG_DONTWAIT)).toBe(1);
});

test("an empty datagram is a message like any other", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  expect(a.sendto("", b.getsockname())).toBe(0);
  a.sendto("after", b.getsockname());
  const [data, address] = b.recvfrom(100);
  expect(data.length).toBe(0);
  expect(address).toEqual(a.getsockname());
  expect(b.recv(100).toString()).toBe("after");
});

test("an empty datagram by send, sendall and sendmsg, too", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.connect(b.getsockname());
  a.send("");
  a.sendall("");
  a.sendmsg([]);
  a.sendmsg(["", ""]);
  for (let i = 0; i < 4; i++) expect(b.recvfrom(10)).toEqual([Buffer.alloc(0), a.getsockname()]);
  b.setblocking(false);
  expect(codeOf(() => b.recv(10))).toBe("EAGAIN");
});

test("the largest datagram of IPv4 is 65507 bytes, one more is EMSGSIZE", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const data = Buffer.from(Array.from({ length: 65507 }, (_, i) => i % 256));
  expect(a.sendto(data, b.getsockname())).toBe(65507);
  const [got, address] = b.recvfrom(65536);
  expect(got.equals(data)).toBe(true);
  expect(address).toEqual(a.getsockname());
  const error = thrown(() => a.sendto(Buffer.alloc(65508), b.getsockname()));
  expect(error).toMatchObject({ code: "EMSGSIZE", syscall: "sendto", address: b.getsockname() });
});

test("a datagram larger than what was asked for is cut, and its rest is gone", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.sendto("0123456789", b.getsockname());
  a.sendto("next", b.getsockname());
  expect(b.recv(4).toString()).toBe("0123");
  expect(b.recv(100).toString()).toBe("next");
});

test("a datagram into a view stays within nbytes", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const view = Buffer.alloc(10, "-");
  a.sendto("0123456789", b.getsockname());
  expect(b.recvfromInto(view.subarray(2, 8), 4)).toEqual([4, a.getsockname()]);
  expect(view.toString()).toBe("--0123----");
  a.sendto("ab", b.getsockname());
  expect(b.recvfromInto(view)).toEqual([2, a.getsockname()]);
  expect(view.toString()).toBe("ab0123----");
});

needs("MSG_TRUNC to receive with", isLinux)(
  "MSG_TRUNC tells how long the datagram was, and shows no more than there is",
  () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    a.sendto("earlier, and longer", b.getsockname());
    b.recv(100);
    for (let i = 0; i < 3; i++) a.sendto("0123456789", b.getsockname());
    const view = new Uint8Array(4);
    expect(b.recvInto(view, 0, MSG_TRUNC)).toBe(10);
    expect(Buffer.from(view).toString()).toBe("0123");
    expect(b.recv(4, MSG_TRUNC).toString()).toBe("0123");
    expect(b.recvfrom(4, MSG_TRUNC)[0].toString()).toBe("0123");
    a.sendto("abc", b.getsockname());
    expect(b.recvfromInto(new Uint8Array(0), 0, MSG_TRUNC)[0]).toBe(3);
  },
);

test("recvmsg says of a datagram that was cut that it was", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.sendto("0123456789", b.getsockname());
  a.sendto("0123", b.getsockname());
  expect(b.recvmsg(4)).toEqual([Buffer.from("0123"), [], MSG_TRUNC, a.getsockname()]);
  expect(b.recvmsg(4)).toEqual([Buffer.from("0123"), [], 0, a.getsockname()]);
});

test("MSG_PEEK leaves the datagram", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.sendto("peek", b.getsockname());
  expect(b.recvfrom(2, MSG_PEEK)).toEqual([Buffer.from("pe"), a.getsockname()]);
  expect(b.recv(10).toString()).toBe("peek");
});

test("receiving no bytes takes the datagram, by recvfrom; recv makes no call", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.sendto("first", b.getsockname());
  a.sendto("second", b.getsockname());
  expect(b.recv(0).length).toBe(0);
  expect(b.recvfrom(0)).toEqual([Buffer.alloc(0), a.getsockname()]);
  expect(b.recv(10).toString()).toBe("second");
});

test("a connected UDP socket sends to one peer and hears only that", () => {
  using own = new Sockets();
  const [a, b, stranger] = [own.udp(), own.udp(), own.udp()];
  a.connect(b.getsockname());
  expect(a.getpeername()).toEqual(b.getsockname());
  a.send("to the peer");
  expect(b.recv(100).toString()).toBe("to the peer");
  stranger.sendto("not for you", a.getsockname());
  b.sendto("for you", a.getsockname());
  expect(a.recv(100).toString()).toBe("for you");
});

needs("AF_UNSPEC to connect to, as Linux has it", isLinux)(
  "a connect to AF_UNSPEC ends the connection of a datagram socket",
  () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    a.connect(b.getsockname());
    using other = new Socket(AF_UNSPEC, -1, -1, { fileno: a.dup().detach() });
    other.connect([AF_UNSPEC, new Uint8Array(14)] as never);
    expect(codeOf(() => a.getpeername())).toBe("ENOTCONN");
  },
);

test("a datagram that nobody takes is ECONNREFUSED once; the socket lives on", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const gone = b.getsockname();
  a.connect(gone);
  b.close();
  a.send("into the void");
  if (isWindows) a.settimeout(0.2);
  // Windows calls it ECONNRESET; Wine does not tell.
  expect(codeOf(() => a.recv(10))).toMatch(isWindows ? /^(ECONNRESET|ETIMEDOUT)$/ : "ECONNREFUSED");
  using again = new Socket(AF_INET, SOCK_DGRAM);
  again.bind(gone);
  again.settimeout(5);
  a.send("heard");
  expect(again.recv(10).toString()).toBe("heard");
});

test("a UDP socket without a peer cannot send", () => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  const code = isWindows ? /^(ENOTCONN|EINVAL)$/ : "EDESTADDRREQ"; // EINVAL is Wine's
  expect(codeOf(() => sock.send("x"))).toMatch(code);
  expect(codeOf(() => sock.sendall("x"))).toMatch(code);
});

test("broadcast has to be allowed first", () => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  expect(codeOf(() => sock.sendto("x", ["127.255.255.255", 9]))).toBe("EACCES");
  sock.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
  expect(codeOf(() => sock.sendto("x", ["127.255.255.255", 9]))).not.toBe("EACCES");
});

needs("FIONREAD of one datagram", isLinux)("FIONREAD tells the next datagram's length", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.sendto("12345", b.getsockname());
  a.sendto("678", b.getsockname());
  b.recv(1, MSG_PEEK);
  const size = new Int32Array(1);
  b.ioctl(FIONREAD, size);
  expect(size[0]).toBe(5);
});

test("two thousand peers in turn are all told apart, twice", () => {
  using own = new Sockets();
  const server = own.udp();
  const ports: number[] = [];
  for (let round = 0; round < 20; round++) {
    using some = new Sockets();
    const peers = Array.from({ length: 100 }, () => some.udp());
    for (let time = 0; time < 2; time++) {
      for (const peer of peers) {
        const [, port] = peer.getsockname();
        peer.sendto(String(port), server.getsockname());
        const [data, address] = server.recvfrom(100);
        expect(address).toEqual(["127.0.0.1", Number(data.toString())]);
        expect(address[1]).toBe(port);
        ports.push(port);
      }
    }
  }
  expect(ports.length).toBe(4000);
  expect(new Set(ports).size).toBeGreaterThan(1000);
});

test("peers that share a port but no host are told apart", () => {
  using own = new Sockets();
  const server = own.add(new Socket(AF_INET, SOCK_DGRAM));
  server.bind(["", 0]);
  server.settimeout(5);
  const port = server.getsockname()[1];
  const hosts = isLinux ? ["127.0.0.1", "127.0.0.2", "127.0.1.1", "127.1.0.1"] : ["127.0.0.1"];
  let common = 0;
  for (const host of hosts) {
    const peer = own.add(new Socket(AF_INET, SOCK_DGRAM));
    peer.bind([host, common]);
    common = peer.getsockname()[1];
    peer.sendto("x", [host, port]);
    expect(server.recvfrom(1)[1]).toEqual([host, common]);
  }
});

test("no caller can change the address that another one gets", () => {
  // Addresses are known again by a hash: two that take turns in one place are not, which some other ports will not do.
  const shares = () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const seen: unknown[] = [];
    for (let i = 0; i < 6; i++) {
      a.sendto("x", b.getsockname());
      const [, address] = b.recvfrom(1);
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
  expect(shares() || shares() || shares()).toBe(true);
});

test("a name of 16 bytes is read as of its own family, whatever came before", () => {
  using own = new Sockets();
  const four = own.udp();
  using six = new Socket(AF_INET6, SOCK_DGRAM);
  six.bind(["::1", 0]);
  six.settimeout(5);
  for (let i = 0; i < 3; i++) {
    six.sendto("6", six.getsockname());
    four.sendto("4", four.getsockname());
    expect(six.recvfrom(1)[1]).toEqual(["::1", six.getsockname()[1], 0, 0]);
    expect(four.recvfrom(1)[1]).toEqual(["127.0.0.1", four.getsockname()[1]]);
  }
});

needs("AF_UNIX datagram socket", hasUnixDatagrams)("Unix datagrams and packets keep their bounds", () => {
  using own = new Sockets();
  for (const type of isLinux ? [SOCK_DGRAM, SOCK_SEQPACKET] : [SOCK_DGRAM]) {
    const [a, b] = own.pair(type);
    expect(a.family).toBe(AF_UNIX);
    a.send("one");
    a.send("three");
    expect(b.recv(100).toString()).toBe("one");
    expect(b.recv(2).toString()).toBe("th");
    b.setblocking(false);
    expect(codeOf(() => b.recv(100))).toBe("EAGAIN");
  }
});

needs("SOCK_SEQPACKET of AF_UNIX", isLinux)("a packet connection ends; a packet that was cut says so", () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_SEQPACKET);
  a.send("0123456789");
  expect(b.recvmsg(4)[2] & MSG_TRUNC).toBe(MSG_TRUNC);
  a.close();
  expect(b.recv(10).length).toBe(0);
});
