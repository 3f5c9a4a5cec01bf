/** sendmsg and recvmsg: gathering, scattering, and what comes beside the data. */
import { expect } from "bun:test";
import {
  type AncillaryData,
  AF_INET,
  AF_INET6,
  AF_PACKET,
  AF_UNIX,
  CMSG_LEN,
  CMSG_SPACE,
  ECONNREFUSED,
  ETH_P_IP,
  htons,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVPKTINFO,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_PEEK,
  MSG_TRUNC,
  type ReceivedAncillaryData,
  SCM_CREDENTIALS,
  SCM_TIMESTAMP,
  SCM_TIMESTAMPNS,
  SO_PASSCRED,
  SO_TIMESTAMP,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  Socket as BlockingSocket,
  SOL_SOCKET,
  if_nametoindex,
} from "../src/index.ts";
import { codeOf, expectTimeout, needs, pythonPeer, test } from "./faces.ts";
import { isLinux, isRoot, python, slowness, tellsWhatWasCut, works, worksInEmulator } from "./help.ts";

const int = (value: number): Int32Array => new Int32Array([value]);

/** The data of the one control message that is asked for. */
function item(ancdata: readonly ReceivedAncillaryData[], level: number, type: number): Buffer {
  const found = ancdata.filter((one) => one[0] === level && one[1] === type);
  expect(found.length).toBe(1);
  return found[0]![2];
}

test("a message is gathered from pieces of every kind", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(0x73);
  const floats = new Float64Array([1.5, -2]);
  const middle = new Uint8Array([9, 1, 2, 9]).subarray(1, 3);
  const pieces = ["text ü", shared, floats, new DataView(middle.buffer, 1, 2), new ArrayBuffer(2), "", middle];
  const expected = Buffer.concat([
    Buffer.from("text ü"),
    Buffer.from("sss"),
    Buffer.from(floats.buffer),
    Buffer.from([1, 2]),
    Buffer.alloc(2),
    Buffer.from([1, 2]),
  ]);
  expect(await a.sendmsg(pieces)).toBe(expected.length);
  expect(await b.recv(1000)).toEqual(expected);
});

test("pieces may come from any iterable", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  expect(await a.sendmsg(new Set(["a", "b"]))).toBe(2);
  const letters = function* () {
    yield "c";
    yield "d";
  };
  expect(await a.sendmsg(letters())).toBe(2);
  expect(await a.sendmsg(["e"])).toBe(1);
  expect((await b.recv(100)).toString()).toBe("abcde");
});

test.each([2, 3, 100, 1023, 1024])("%p pieces are one message", async (net, count) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  const pieces = Array.from({ length: count }, (_, i) => Buffer.from([i & 0xff, i >> 8]));
  expect(await a.sendmsg(pieces)).toBe(2 * count);
  expect((await b.recv(5000)).equals(Buffer.concat(pieces))).toBe(true);
});

test.each([2, 3, 100, 1023, 1024])("a message is scattered over %p views", async (net, count) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  const data = Buffer.from(Array.from({ length: 2 * count }, (_, i) => (i * 7) & 0xff));
  const views = Array.from({ length: count }, () => new Uint8Array(2));
  await a.send(data);
  expect((await b.recvmsgInto(views))[0]).toBe(2 * count);
  expect(Buffer.concat(views).equals(data)).toBe(true);
});

test("more than 1024 pieces are EMSGSIZE, and nothing is sent or lost", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  expect(await codeOf(() => a.sendmsg(Array.from({ length: 1025 }, () => "x")))).toBe("EMSGSIZE");
  await a.send("kept");
  expect(await codeOf(() => b.recvmsgInto(Array.from({ length: 1025 }, () => new Uint8Array(1))))).toBe("EMSGSIZE");
  expect((await b.recv(10)).toString()).toBe("kept");
});

test("views of every kind are filled, one after the other, within their bounds", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const whole = Buffer.alloc(10, "-");
  const floats = new Float64Array(2);
  const shared = new Uint8Array(new SharedArrayBuffer(4));
  const view = new DataView(whole.buffer, whole.byteOffset + 2, 3);
  await a.sendall(
    Buffer.concat([Buffer.from("abc"), Buffer.from(new Float64Array([1.5, -2]).buffer), Buffer.from("wxyz12")]),
  );
  const rest = Buffer.alloc(5, "-");
  expect(await b.recvmsgInto([view, floats, new Uint8Array(0), shared, rest])).toEqual([25, [], 0, null] as never);
  expect(whole.toString()).toBe("--abc-----");
  expect([...floats]).toEqual([1.5, -2]);
  expect(Buffer.from(shared).toString()).toBe("wxyz");
  expect(rest.toString()).toBe("12---");
});

test("small and large typed arrays are filled where they are, for hundreds of calls", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  for (let i = 0; i < 500; i++) {
    const views = [new Uint8Array(3), new Uint16Array(1), new Uint8Array(2000)];
    const data = Buffer.alloc(2005, i & 0xff);
    await a.sendall(data);
    expect((await b.recvmsgInto(views))[0]).toBe(2005);
    expect(Buffer.concat(views.map((view) => new Uint8Array(view.buffer))).equals(data)).toBe(true);
  }
});

test("no views receive no bytes", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  await a.send("dropped");
  await a.send("next");
  expect((await b.recvmsgInto([]))[0]).toBe(0);
  expect((await b.recv(10)).toString()).toBe("next");
});

needs("MSG_TRUNC to receive with", isLinux)("recvmsgInto tells the whole length with MSG_TRUNC", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  await a.send("0123456789");
  const [n, , flags] = await b.recvmsgInto([new Uint8Array(2), new Uint8Array(2)], 0, MSG_TRUNC);
  expect([n, flags & MSG_TRUNC]).toEqual([10, MSG_TRUNC]);
  await a.send("0123456789");
  const [data] = await b.recvmsg(4, 0, MSG_TRUNC);
  expect(data.toString()).toBe("0123");
});

test("a message goes to an address, and comes with its sender's", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  expect(await a.sendmsg(["to ", "you"], [], 0, b.getsockname())).toBe(6);
  expect(await b.recvmsg(100)).toEqual([Buffer.from("to you"), [], 0, a.getsockname()]);
  await a.connect(b.getsockname());
  expect(await a.sendmsg(["again"], [], 0, null)).toBe(5);
  const view = Buffer.alloc(5);
  expect(await b.recvmsgInto([view])).toEqual([5, [], 0, a.getsockname()]);
  expect(view.toString()).toBe("again");
});

needs("MSG_DONTWAIT", MSG_DONTWAIT !== undefined)("flags reach the system", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  b.settimeout(null);
  expect(await codeOf(() => b.recvmsg(10, 0, MSG_DONTWAIT))).toBe("EAGAIN");
  expect(await codeOf(() => b.recvmsgInto([new Uint8Array(1)], 0, MSG_DONTWAIT))).toBe("EAGAIN");
  await a.sendmsg(["peek"], [], MSG_DONTWAIT);
  expect((await b.recvmsg(2, 0, MSG_PEEK))[0].toString()).toBe("pe");
  expect((await b.recvmsg(10))[0].toString()).toBe("peek");
});

needs("MSG_CMSG_CLOEXEC", isLinux)(
  "who asks for descriptors to be close-on-exec sees the flag again, others do not",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    await a.sendall("ab");
    expect((await b.recvmsg(1))[2]).toBe(0);
    expect((await b.recvmsg(1, 0, MSG_CMSG_CLOEXEC))[2]).toBe(MSG_CMSG_CLOEXEC);
  },
);

needs("SCM_CREDENTIALS", isLinux)("SCM_CREDENTIALS tell who sends", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  b.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
  await a.sendall("it is me");
  const [data, ancdata, flags] = await b.recvmsg(100, CMSG_SPACE(12));
  expect(data.toString()).toBe("it is me");
  expect(flags).toBe(0);
  const credentials = item(ancdata, SOL_SOCKET, SCM_CREDENTIALS);
  expect(credentials.length).toBe(12);
  expect([0, 4, 8].map((at) => credentials.readInt32LE(at))).toEqual([
    process.pid,
    process.getuid!(),
    process.getgid!(),
  ]);
});

needs("SCM_CREDENTIALS", isLinux)("credentials can be sent; those of somebody else only by root", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  b.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
  const mine = new Int32Array([process.pid, process.getuid!(), process.getgid!()]);
  await a.sendmsg(["x"], [[SOL_SOCKET, SCM_CREDENTIALS, mine]]);
  expect([
    ...new Int32Array(Uint8Array.from(item((await b.recvmsg(1, 100))[1], SOL_SOCKET, SCM_CREDENTIALS)).buffer),
  ]).toEqual([...mine]);
  const init = new Int32Array([1, process.getuid!(), process.getgid!()]);
  expect(await codeOf(() => a.sendmsg(["x"], [[SOL_SOCKET, SCM_CREDENTIALS, init]]))).toBe(
    isRoot ? "nothing thrown, 1 returned" : "EPERM",
  );
});

needs("Linux with python3", isLinux && python !== null)("another program's credentials", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  a.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
  using sender = pythonPeer(
    `s = socket.socket(fileno=3)
s.sendmsg([b"py"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", os.getpid(), os.getuid(), os.getgid()))])`,
    [],
    [b],
  );
  const [data, ancdata] = await a.recvmsg(100, 100);
  expect(data.toString()).toBe("py");
  expect(item(ancdata, SOL_SOCKET, SCM_CREDENTIALS).readInt32LE(0)).toBe(sender.process.pid);
  await sender.output();
});

needs("IP_PKTINFO as Linux has it", isLinux)("IP_PKTINFO tells which address a datagram was sent to", async (net) => {
  using own = new net.Sockets();
  const server = own.add(new net.Socket(AF_INET, SOCK_DGRAM));
  server.bind(["", 0]);
  server.settimeout(5);
  server.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
  const port = server.getsockname()[1];
  const client = own.udp();
  for (const host of ["127.0.0.1", "127.0.0.77"]) {
    await client.sendto("x", [host, port]);
    const [, ancdata, , address] = await server.recvmsg(1, CMSG_SPACE(12));
    const info = item(ancdata, IPPROTO_IP, IP_PKTINFO); // struct in_pktinfo: index, spec_dst, addr
    expect(info.readInt32LE(0)).toBe(if_nametoindex("lo"));
    expect([...info.subarray(8, 12)].join(".")).toBe(host);
    expect(address).toEqual(client.getsockname());
  }
});

needs("IP_PKTINFO as Linux has it", isLinux)("IP_PKTINFO that is sent chooses the source address", async (net) => {
  using own = new net.Sockets();
  const server = own.udp();
  using client = new net.Socket(AF_INET, SOCK_DGRAM);
  client.bind(["", 0]);
  const info = Buffer.alloc(12);
  info.set([127, 0, 0, 42], 4);
  await client.sendmsg(["x"], [[IPPROTO_IP, IP_PKTINFO, info]], 0, server.getsockname());
  expect((await server.recvfrom(1))[1]).toEqual(["127.0.0.42", client.getsockname()[1]]);
});

needs("IP_TTL and IP_TOS as Linux has them", isLinux)(
  "IP_TTL and IP_TOS, sent and received: items of four bytes and of one",
  async (net) => {
    using own = new net.Sockets();
    const [client, server] = [own.udp(), own.udp()];
    server.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
    server.setsockopt(IPPROTO_IP, IP_RECVTOS, 1);
    const orders: AncillaryData[][] = [
      [
        [IPPROTO_IP, IP_TOS, new Uint8Array([0x10])],
        [IPPROTO_IP, IP_TTL, int(7)],
      ],
      [
        [IPPROTO_IP, IP_TTL, int(7)],
        [IPPROTO_IP, IP_TOS, int(0x10)],
      ],
    ];
    for (const ancdata of orders) {
      await client.sendmsg(["x"], ancdata, 0, server.getsockname());
      const [, received, flags] = await server.recvmsg(1, 200);
      expect(flags).toBe(0);
      expect(received.length).toBe(2);
      expect(item(received, IPPROTO_IP, IP_TTL)).toEqual(Buffer.from([7, 0, 0, 0]));
      expect(item(received, IPPROTO_IP, IP_TOS)).toEqual(Buffer.from([0x10]));
    }
  },
);

needs("IPV6_PKTINFO as Linux has it", isLinux)("IPV6_PKTINFO and IPV6_HOPLIMIT", async (net) => {
  using server = new net.Socket(AF_INET6, SOCK_DGRAM);
  server.bind(["::", 0]);
  server.settimeout(5);
  server.setsockopt(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  server.setsockopt(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  using client = new net.Socket(AF_INET6, SOCK_DGRAM);
  const to = ["::1", server.getsockname()[1]] as const;
  await client.sendmsg(["x"], [[IPPROTO_IPV6, IPV6_HOPLIMIT, int(9)]], 0, to);
  const [data, ancdata, flags, address] = await server.recvmsg(10, CMSG_SPACE(20) + CMSG_SPACE(4));
  expect(data.toString()).toBe("x");
  expect(flags).toBe(0);
  expect(address).toEqual(["::1", client.getsockname()[1], 0, 0]);
  const info = item(ancdata, IPPROTO_IPV6, IPV6_PKTINFO); // struct in6_pktinfo: address, index
  expect(info.toString("hex", 0, 16)).toBe("00000000000000000000000000000001");
  expect(info.readInt32LE(16)).toBe(if_nametoindex("lo"));
  expect(item(ancdata, IPPROTO_IPV6, IPV6_HOPLIMIT).readInt32LE()).toBe(9);
});

const timestamps = worksInEmulator(() => {
  using sock = new BlockingSocket(AF_INET, SOCK_DGRAM);
  for (const option of [SO_TIMESTAMP, SO_TIMESTAMPNS]) sock.setsockopt(SOL_SOCKET, option, 1);
});
needs("SO_TIMESTAMP and SO_TIMESTAMPNS", isLinux && timestamps)(
  "SO_TIMESTAMP and SO_TIMESTAMPNS tell when a datagram came",
  async (net) => {
    for (const [option, type, perSecond] of [
      [SO_TIMESTAMP, SCM_TIMESTAMP, 1e6],
      [SO_TIMESTAMPNS, SCM_TIMESTAMPNS, 1e9],
    ] as const) {
      using own = new net.Sockets();
      const [a, b] = [own.udp(), own.udp()];
      b.setsockopt(SOL_SOCKET, option, 1);
      const before = Date.now();
      await a.sendto("x", b.getsockname());
      const stamp = item((await b.recvmsg(1, 100))[1], SOL_SOCKET, type);
      const ms = Number(stamp.readBigInt64LE(0)) * 1000 + (Number(stamp.readBigInt64LE(8)) * 1000) / perSecond;
      expect(ms).toBeGreaterThanOrEqual(before - 5);
      expect(ms).toBeLessThanOrEqual(Date.now() + 5);
    }
  },
);

needs("MSG_CTRUNC", isLinux && tellsWhatWasCut)(
  "an item that does not fit is cut, and MSG_CTRUNC says so",
  async (net) => {
    using own = new net.Sockets();
    const [client, server] = [own.udp(), own.udp()];
    server.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
    const received = async (room: number): Promise<[lengths: number[], cut: boolean]> => {
      await client.sendto("data", server.getsockname());
      const [data, ancdata, flags] = await server.recvmsg(10, room);
      expect(data.toString()).toBe("data");
      return [ancdata.map(([, , bytes]) => bytes.length), (flags & MSG_CTRUNC) !== 0];
    };
    expect(await received(CMSG_SPACE(12))).toEqual([[12], false]);
    expect(await received(CMSG_LEN(12))).toEqual([[12], false]);
    expect(await received(CMSG_LEN(12) - 1)).toEqual([[11], true]);
    expect(await received(CMSG_LEN(5))).toEqual([[5], true]);
    expect(await received(CMSG_LEN(0))).toEqual([[0], true]);
    expect(await received(CMSG_LEN(0) - 1)).toEqual([[], true]);
    expect(await received(1)).toEqual([[], true]);
    expect(await received(0)).toEqual([[], true]);
    expect(await received(100_000)).toEqual([[12], false]);
  },
);

needs("MSG_CTRUNC", isLinux && tellsWhatWasCut)(
  "of two items the first is whole where the second is cut",
  async (net) => {
    using own = new net.Sockets();
    const [client, server] = [own.udp(), own.udp()];
    server.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
    server.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
    await client.sendto("x", server.getsockname());
    const [, ancdata, flags] = await server.recvmsg(1, CMSG_SPACE(12) + CMSG_LEN(2));
    expect(ancdata.map(([, , data]) => data.length)).toEqual([12, 2]);
    expect(flags & MSG_CTRUNC).toBe(MSG_CTRUNC);
  },
);

needs("IP_PKTINFO as Linux has it", isLinux)(
  "control messages stay as they were received, and do not show in another call",
  async (net) => {
    using own = new net.Sockets();
    const client = own.udp();
    const server = own.add(new net.Socket(AF_INET, SOCK_DGRAM));
    server.bind(["", 0]);
    server.settimeout(5);
    server.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
    const received: ReceivedAncillaryData[][] = [];
    for (const host of ["127.0.0.5", "127.0.0.6", "127.0.0.7"]) {
      await client.sendto("x", [host, server.getsockname()[1]]);
      received.push((await server.recvmsg(1, 100))[1]);
    }
    expect(received.map((ancdata) => item(ancdata, IPPROTO_IP, IP_PKTINFO)[11])).toEqual([5, 6, 7]);
    const [a, b] = own.pair();
    await a.sendall("y");
    expect((await b.recvmsg(1, 100))[1]).toEqual([]);
  },
);

needs("Linux that knows its control messages", isLinux)(
  "a control message that the system does not know is EINVAL, and nothing is sent",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = [own.udp(), own.udp()];
    for (const data of [new Uint8Array(0), new Uint8Array(1), new Uint8Array(7), new Uint8Array(4001)]) {
      expect(await codeOf(() => a.sendmsg(["x"], [[IPPROTO_IP, 0x7777, data]], 0, b.getsockname()))).toBe("EINVAL");
    }
    b.setblocking(false);
    expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
  },
);

needs("MSG_ERRQUEUE as Linux has it", isLinux)("the error queue tells what became of a datagram", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const gone = b.getsockname();
  b.close();
  a.setsockopt(IPPROTO_IP, IP_RECVERR, 1);
  await a.sendto("undeliverable", gone);
  const [data, ancdata, flags, address] = await a.recvmsg(100, 512, MSG_ERRQUEUE);
  expect(data.toString()).toBe("undeliverable");
  expect(flags & MSG_ERRQUEUE).toBe(MSG_ERRQUEUE);
  expect(address).toEqual(gone);
  const failure = item(ancdata, IPPROTO_IP, IP_RECVERR); // struct sock_extended_err, then the offender's address
  expect(failure.readUInt32LE(0)).toBe(ECONNREFUSED);
  expect([...failure.subarray(4, 7)]).toEqual([2, 3, 3]); // SO_EE_ORIGIN_ICMP, destination unreachable, port
  expect([...failure.subarray(20, 24)]).toEqual([127, 0, 0, 1]);
});

needs("MSG_ERRQUEUE as Linux has it", isLinux)(
  "an empty error queue is waited for as long as the timeout says, even when there is data",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = [own.udp(), own.udp()];
    a.setsockopt(IPPROTO_IP, IP_RECVERR, 1);
    await b.sendto("ordinary", a.getsockname());
    const timeout = 0.05 * slowness;
    a.settimeout(timeout);
    const before = process.cpuUsage();
    const began = performance.now();
    await expectTimeout(timeout, () => a.recvmsg(100, 100, MSG_ERRQUEUE));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(0.9 * (performance.now() - began));
    a.setblocking(false);
    expect(await codeOf(() => a.recvmsg(100, 100, MSG_ERRQUEUE))).toBe("EAGAIN");
    expect((await a.recv(100)).toString()).toBe("ordinary");
  },
);

needs("SCM_CREDENTIALS", isLinux)("packets of a packet socketpair carry credentials, too", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair(SOCK_SEQPACKET);
  expect(a.family).toBe(AF_UNIX);
  b.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
  await a.sendmsg(["one ", "packet"]);
  const [data, ancdata] = await b.recvmsg(100, 100);
  expect(data.toString()).toBe("one packet");
  expect(item(ancdata, SOL_SOCKET, SCM_CREDENTIALS).readInt32LE(0)).toBe(process.pid);
});

test("getters and iterators of the caller's that use other sockets do no harm", async (net) => {
  using own = new net.Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const [c, d] = own.pair();
  const pieces = function* () {
    yield "to ";
    void c.sendmsg(["inner"], []);
    void a.sendto("elsewhere", a.getsockname());
    yield "b";
  };
  expect(await a.sendmsg(pieces(), [], 0, b.getsockname())).toBe(4);
  expect((await b.recv(100)).toString()).toBe("to b");
  expect((await d.recv(100)).toString()).toBe("inner");
  expect((await a.recv(100)).toString()).toBe("elsewhere");
});

const mayCapture = AF_PACKET !== undefined && works(() => new BlockingSocket(AF_PACKET, SOCK_RAW));
needs("permission for packet sockets", mayCapture)(
  "families that have no descriptors to receive have messages",
  async (net) => {
    using own = new net.Sockets();
    const packets = own.add(new net.Socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)));
    packets.settimeout(5);
    const udp = own.udp();
    const text = `a datagram of ${process.pid} at ${performance.now()}`;
    await udp.sendto(text, udp.getsockname());
    for (;;) {
      const [data, ancdata, flags] = await packets.recvmsg(2048, 100);
      if (!data.includes(text)) continue; // of other programs
      expect({ ancdata, flags }).toEqual({ ancdata: [], flags: 0 });
      return;
    }
  },
);
