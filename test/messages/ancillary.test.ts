/** Control messages that the kernel made, as objects, and objects that the kernel takes. */
import { describe, expect, test } from "bun:test";
import { closeSync, fstatSync, openSync } from "node:fs";
import {
  AF_INET,
  AF_INET6,
  AF_PACKET,
  AF_UNIX,
  ECONNREFUSED,
  EMSGSIZE,
  ENOMSG,
  ETH_P_ALL,
  htons,
  if_nametoindex,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVORIGDSTADDR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV6_HOPLIMIT,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVORIGDSTADDR,
  IPV6_RECVPKTINFO,
  IPV6_RECVTCLASS,
  MSG_ERRQUEUE,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SCM_TSTAMP_SCHED,
  SCM_TSTAMP_SND,
  SO_EE_ORIGIN_ICMP,
  SO_EE_ORIGIN_ICMP6,
  SO_EE_ORIGIN_TIMESTAMPING,
  SO_MARK,
  SO_PASSCRED,
  SO_PASSPIDFD,
  SO_PRIORITY,
  SO_RCVBUF,
  SO_RCVMARK,
  SO_RCVPRIORITY,
  SO_RXQ_OVFL,
  SO_TIMESTAMP,
  SO_TIMESTAMP_NEW,
  SO_TIMESTAMPING,
  SO_TIMESTAMPING_NEW,
  SO_TIMESTAMPNS,
  SO_TIMESTAMPNS_NEW,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOF_TIMESTAMPING_OPT_ID,
  SOF_TIMESTAMPING_OPT_TSONLY,
  SOF_TIMESTAMPING_RX_SOFTWARE,
  SOF_TIMESTAMPING_SOFTWARE,
  SOF_TIMESTAMPING_TX_SCHED,
  SOF_TIMESTAMPING_TX_SOFTWARE,
  SOL_PACKET,
  SOL_SOCKET,
  PACKET_AUXDATA,
  type ReceivedAncillaryData,
  TCP_INQ,
  TP_STATUS_USER,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
  UDP_GRO,
} from "../../src/index.ts";
import { type Ancillary, decodeAncillary, encodeAncillary } from "../../src/messages.ts";
import {
  codeOf,
  hasLinuxOptions,
  isLinux,
  isRoot,
  leavesNothingOpen,
  needs,
  passesDescriptors,
  python,
  pythonPeer,
  slowness,
  Sockets,
  works,
} from "../help.ts";
import { join, lacking, Network } from "../networks.ts";

const linux = needs("options and control messages of Linux", hasLinuxOptions);
const root = needs("root, and options and control messages of Linux", hasLinuxOptions && isRoot);

/** Whether the kernel lets a UDP socket do that. */
const lets = (attempt: (sock: Socket<"AF_INET">) => unknown): boolean => {
  using own = new Sockets();
  return hasLinuxOptions && codeOf(() => attempt(own.udp())).startsWith("nothing thrown");
};

const ETH_P_IP = 0x0800;

/** Room for everything that is asked for here. */
const ROOM = 512;

/** The one item of a type. */
function one<Type extends Ancillary["type"]>(
  items: readonly Ancillary[],
  type: Type,
): Extract<Ancillary, { type: Type }> {
  const found = items.filter((item) => item.type === type);
  expect({ type, found: found.length, items }).toMatchObject({ type, found: 1 });
  return found[0] as never;
}

/** The value of the one item of a type that is a number. */
const value = (items: readonly Ancillary[], type: Ancillary["type"]) => (one(items, type) as { value: number }).value;

/** What came with the next message. */
const received = (sock: Socket, flags = 0) => decodeAncillary(sock.recvmsg(70_000, ROOM, flags)[1]);

/** A UDP socket over IPv6, bound on the loopback. */
function udp6(own: Sockets): Socket<"AF_INET6"> {
  const sock = own.add(new Socket(AF_INET6, SOCK_DGRAM));
  sock.bind(["::1", 0]);
  sock.settimeout(5);
  return sock;
}

/** Sets options on a socket, all of them to 1. */
function on(sock: Socket, level: number, ...options: number[]): void {
  for (const option of options) sock.setsockopt(level, option, 1);
}

const loopback = isLinux ? if_nametoindex("lo") : 0;

linux("an IPv4 datagram's addresses, TTL and type of service", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  on(b, IPPROTO_IP, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR);
  a.setsockopt(IPPROTO_IP, IP_TTL, 7);
  a.setsockopt(IPPROTO_IP, IP_TOS, 0x28);
  a.sendto("x", b.getsockname());
  const items = received(b);
  expect(one(items, "pktinfo")).toEqual({
    type: "pktinfo",
    ifindex: loopback,
    specDst: "127.0.0.1",
    addr: "127.0.0.1",
  });
  expect(value(items, "ttl")).toBe(7);
  expect(value(items, "tos")).toBe(0x28);
  expect(one(items, "origdst").address).toEqual(b.getsockname());
  expect(items.length).toBe(4);
});

linux("an IPv6 datagram's address, hop limit and traffic class", () => {
  using own = new Sockets();
  const [a, b] = [udp6(own), udp6(own)];
  on(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVORIGDSTADDR);
  const sent = encodeAncillary([
    { type: "hoplimit", value: 9 },
    { type: "tclass", value: 0xb8 },
    { type: "pktinfo6", addr: "::1" },
  ]);
  a.sendmsg(["x"], sent, 0, b.getsockname());
  const items = received(b);
  expect(one(items, "pktinfo6")).toEqual({ type: "pktinfo6", addr: "::1", ifindex: loopback });
  expect(value(items, "hoplimit")).toBe(9);
  expect(value(items, "tclass")).toBe(0xb8);
  expect(one(items, "origdst").address).toEqual(b.getsockname());
  expect(items.length).toBe(4);
});

linux("what is sent along reaches the packet: TTL, type of service", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  on(b, IPPROTO_IP, IP_RECVTTL, IP_RECVTOS);
  const sent = encodeAncillary([
    { type: "ttl", value: 3 },
    { type: "tos", value: 0x50 },
  ]);
  a.sendmsg(["x"], sent, 0, b.getsockname());
  const items = received(b);
  expect([value(items, "ttl"), value(items, "tos")]).toEqual([3, 0x50]);
});

linux("the packet information that came is sent back, and the answer comes from the address that was spoken to", () => {
  using own = new Sockets();
  const client = own.udp();
  const server = own.add(new Socket(AF_INET, SOCK_DGRAM));
  server.settimeout(5);
  on(server, IPPROTO_IP, IP_PKTINFO);
  server.bind(["0.0.0.0", 0]);
  const port = server.getsockname()[1];
  client.sendto("x", ["127.3.2.1", port]);
  const [, ancdata, , from] = server.recvmsg(100, ROOM);
  const info = one(decodeAncillary(ancdata), "pktinfo");
  expect(info.addr).toBe("127.3.2.1");
  server.sendmsg(["y"], encodeAncillary([info]), 0, from);
  expect(client.recvfrom(100)[1]).toEqual(["127.3.2.1", port]);
});

describe("times of receiving", () => {
  const options = { SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW };
  for (const [name, option] of Object.entries(options)) {
    linux(name, () => {
      using own = new Sockets();
      const [a, b] = [own.udp(), own.udp()];
      b.setsockopt(SOL_SOCKET, option, 1);
      a.sendto("the first may come before the clock is asked for", b.getsockname());
      received(b);
      const before = Date.now();
      a.sendto("x", b.getsockname());
      const { time } = one(received(b), "timestamp");
      const ms = time.seconds * 1000 + time.nanoseconds / 1e6;
      expect(ms).toBeGreaterThanOrEqual(before - 1);
      expect(ms).toBeLessThanOrEqual(Date.now() + 1);
      expect(time.nanoseconds).toBeWithin(0, 1e9);
      if (name.includes("NS")) return;
      expect(time.nanoseconds % 1000).toBe(0);
    });
  }

  const timestampings = { SO_TIMESTAMPING, SO_TIMESTAMPING_NEW };
  for (const [name, option] of Object.entries(timestampings)) {
    linux(name, () => {
      using own = new Sockets();
      const [a, b] = [own.udp(), own.udp()];
      b.setsockopt(SOL_SOCKET, option, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
      let items: Ancillary[] = [];
      // The kernel begins to take times a moment after it was asked to.
      for (let tries = 0; tries < 1000 && !items.some(({ type }) => type === "timestamping"); tries++) {
        if (tries > 0) Bun.sleepSync(2);
        a.sendto("x", b.getsockname());
        items = received(b);
      }
      const { software, legacy, hardware } = one(items, "timestamping");
      expect(Math.abs(software!.seconds - Date.now() / 1000)).toBeLessThan(5);
      expect([legacy, hardware]).toEqual([null, null]);
    });
  }
});

linux("times of sending come from the error queue, with what they are and their number", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.connect(b.getsockname());
  const flags = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
  a.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, flags);
  const record = encodeAncillary([
    { type: "timestampingFlags", value: SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED },
  ]);
  a.sendmsg(["one"], record);
  a.sendmsg(["not recorded"]);
  a.sendmsg(["two"], record);
  const found = Array.from({ length: 4 }, () => {
    const items = received(a, MSG_ERRQUEUE);
    const { errno, code, origin, info, data, offender } = one(items, "error");
    expect({ errno, code, origin, offender }).toEqual({
      errno: ENOMSG,
      code: "ENOMSG",
      origin: SO_EE_ORIGIN_TIMESTAMPING,
      offender: null,
    });
    expect(Math.abs(one(items, "timestamping").software!.seconds - Date.now() / 1000)).toBeLessThan(5);
    return [data, info];
  });
  const both = (id: number) => [
    [id, SCM_TSTAMP_SCHED],
    [id, SCM_TSTAMP_SND],
  ];
  const [first, , third] = found;
  expect(found).toEqual([...both(first![0]!), ...both(third![0]!)] as never);
  expect(third![0]! > first![0]!).toBe(true);
});

const ownNumbers = needs(
  "SCM_TS_OPT_ID (Linux 6.13)",
  lets((sock) => {
    sock.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_OPT_ID);
    sock.sendmsg(["x"], encodeAncillary([{ type: "timestampId", value: 1 }]), 0, sock.getsockname());
  }),
);
ownNumbers("the number of a time can be one's own", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.connect(b.getsockname());
  a.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID);
  const sent = encodeAncillary([
    { type: "timestampingFlags", value: SOF_TIMESTAMPING_TX_SOFTWARE },
    { type: "timestampId", value: 0xdead_beef },
  ]);
  a.sendmsg(["x"], sent);
  expect(one(received(a, MSG_ERRQUEUE), "error").data).toBe(0xdead_beef);
});

linux("a refused datagram is an error with who refused it, over IPv4 and IPv6", () => {
  using own = new Sockets();
  const four = own.udp();
  const six = udp6(own);
  four.setsockopt(IPPROTO_IP, IP_RECVERR, 1);
  six.setsockopt(IPPROTO_IPV6, IPV6_RECVERR, 1);
  const gone = own.udp();
  const gone6 = udp6(own);
  const [to, to6] = [gone.getsockname(), gone6.getsockname()];
  gone.close();
  gone6.close();
  four.sendto("x", to);
  six.sendto("x", to6);
  expect(received(four, MSG_ERRQUEUE)).toEqual([
    {
      type: "error",
      errno: ECONNREFUSED,
      code: "ECONNREFUSED",
      origin: SO_EE_ORIGIN_ICMP,
      icmpType: 3,
      icmpCode: 3,
      info: 0,
      data: 0,
      offender: ["127.0.0.1", 0],
    },
  ]);
  expect(received(six, MSG_ERRQUEUE)).toEqual([
    {
      type: "error",
      errno: ECONNREFUSED,
      code: "ECONNREFUSED",
      origin: SO_EE_ORIGIN_ICMP6,
      icmpType: 1,
      icmpCode: 4,
      info: 0,
      data: 0,
      offender: ["::1", 0, 0, 0],
    },
  ]);
});

linux("an error of this machine has no offender", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.setsockopt(IPPROTO_IP, IP_RECVERR, 1);
  a.setsockopt(IPPROTO_IP, 10, 2); // IP_MTU_DISCOVER, IP_PMTUDISC_DO
  a.connect(b.getsockname());
  expect(codeOf(() => a.send(Buffer.alloc(65_536)))).toBe("EMSGSIZE");
  // 65508 bytes and more fit no packet and leave no report; the loopback's MTU is 65536.
  if (codeOf(() => a.send(Buffer.alloc(65_507))) !== "EMSGSIZE") return;
  const { errno, offender, info } = one(received(a, MSG_ERRQUEUE), "error");
  expect({ errno, offender }).toEqual({ errno: EMSGSIZE, offender: null });
  expect(info).toBeGreaterThan(1000);
});

linux("data is sent as segments, and received as segments again", () => {
  using own = new Sockets();
  const [a, b, plain] = [own.udp(), own.udp(), own.udp()];
  b.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
  const data = Buffer.from(Array.from({ length: 250 }, (_, i) => i));
  const segments = encodeAncillary([{ type: "segment", value: 100 }]);
  a.sendmsg([data], segments, 0, b.getsockname());
  const [together, ancdata] = b.recvmsg(1000, ROOM);
  expect(together).toEqual(data);
  expect(value(decodeAncillary(ancdata), "gro")).toBe(100);
  a.sendmsg([data], segments, 0, plain.getsockname());
  expect([plain.recv(1000).length, plain.recv(1000).length, plain.recv(1000).length]).toEqual([100, 100, 50]);
});

linux("how many datagrams were dropped", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  b.setsockopt(SOL_SOCKET, SO_RXQ_OVFL, 1);
  b.setsockopt(SOL_SOCKET, SO_RCVBUF, 2048);
  a.connect(b.getsockname());
  const sent = 100;
  for (let i = 0; i < sent; i++) a.send(Buffer.alloc(1000));
  b.settimeout(0);
  let came = 0;
  while (codeOf(() => b.recv(2000)) !== "EAGAIN") came++;
  b.settimeout(5);
  a.send("x");
  expect(came).toBeGreaterThan(0);
  expect(value(received(b), "drops")).toBe(sent - came);
});

root("marks go with a datagram", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  on(b, SOL_SOCKET, SO_RCVMARK);
  a.sendmsg(["x"], encodeAncillary([{ type: "mark", value: 0xf000_0001 | 0 }]), 0, b.getsockname());
  expect(value(received(b), "mark")).toBe(0xf000_0001);
  expect(a.getsockopt(SOL_SOCKET, SO_MARK)).toBe(0);
});

const priorities = needs(
  "SO_RCVPRIORITY (Linux 6.14)",
  lets((sock) => sock.setsockopt(SOL_SOCKET, SO_RCVPRIORITY, 1)),
);
priorities("priorities go with a datagram", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  on(b, SOL_SOCKET, SO_RCVPRIORITY);
  a.sendmsg(["x"], encodeAncillary([{ type: "priority", value: 5 }]), 0, b.getsockname());
  expect(value(received(b), "priority")).toBe(5);
  expect(a.getsockopt(SOL_SOCKET, SO_PRIORITY)).toBe(0);
});

linux("how many bytes wait in a TCP connection", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  b.setsockopt(IPPROTO_TCP, TCP_INQ, 1);
  a.sendall("0123456789");
  const items = decodeAncillary(b.recvmsg(4, ROOM)[1]);
  expect(items).toEqual([{ type: "inq", value: 6 }]);
});

needs("SCM_RIGHTS", passesDescriptors)("descriptors go over an AF_UNIX socket", () => {
  leavesNothingOpen(() => {
    using own = new Sockets();
    const [a, b] = own.pair();
    const file = openSync(import.meta.path, "r");
    a.sendmsg(["x"], encodeAncillary([{ type: "rights", fds: [file, file] }]));
    const { fds } = one(received(b), "rights");
    expect(fds.map((fd) => fstatSync(fd).ino)).toEqual([fstatSync(file).ino, fstatSync(file).ino]);
    for (const fd of [...fds, file]) closeSync(fd);
  });
});

linux("credentials of the sender come with a message", () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  on(b, SOL_SOCKET, SO_PASSCRED);
  a.send("x");
  const mine = { type: "credentials", pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };
  expect(one(received(b), "credentials")).toEqual(mine as never);
});

const hasPidfds =
  hasLinuxOptions &&
  works(() => {
    const sock = new Socket(AF_UNIX, SOCK_DGRAM);
    sock.setsockopt(SOL_SOCKET, SO_PASSPIDFD, 1);
    return sock;
  });
needs("SO_PASSPIDFD (Linux 6.5)", hasPidfds)("a pidfd of the sender comes with a message", () => {
  leavesNothingOpen(() => {
    using own = new Sockets();
    const [a, b] = own.pair(SOCK_DGRAM);
    on(b, SOL_SOCKET, SO_PASSPIDFD);
    a.send("x");
    const { fd } = one(received(b), "pidfd");
    expect(fd).toBeGreaterThan(2);
    closeSync(fd);
  });
});

linux("credentials are sent: one's own, and only those", () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  on(b, SOL_SOCKET, SO_PASSCRED);
  a.sendmsg(["x"], encodeAncillary([{ type: "credentials" }]));
  expect(one(received(b), "credentials").pid).toBe(process.pid);
  const foreign = encodeAncillary([{ type: "credentials", pid: 1, uid: 12_345 }]);
  if (isRoot) {
    a.sendmsg(["x"], foreign);
    expect(one(received(b), "credentials")).toEqual({
      type: "credentials",
      pid: 1,
      uid: 12_345,
      gid: process.getgid!(),
    });
  } else {
    expect(codeOf(() => a.sendmsg(["x"], foreign))).toBe("EPERM");
  }
});

needs("Python on Linux", python !== null && isLinux)("CPython packs and unpacks the same", async () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  on(b, SOL_SOCKET, SO_PASSCRED);
  using peer = pythonPeer(
    `sock = socket.socket(fileno=3)
ids = struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
sock.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, ids), (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))])
print(*struct.unpack("3i", ids))`,
    [],
    [a],
  );
  const items = received(b);
  const { pid, uid, gid } = one(items, "credentials");
  expect(await peer.output()).toBe(`${pid} ${uid} ${gid}`);
  one(items, "rights").fds.forEach(closeSync);
});

root("a packet socket tells of a packet what is not in its data", () => {
  using own = new Sockets();
  const packets = own.add(new Socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)));
  packets.settimeout(5);
  packets.bind(["lo", ETH_P_IP]);
  on(packets, SOL_PACKET, PACKET_AUXDATA);
  const [a, b] = [own.udp(), own.udp()];
  const text = "which packet is ours";
  a.sendto(text, b.getsockname());
  let data: Buffer, ancdata: ReceivedAncillaryData[];
  do [data, ancdata] = packets.recvmsg(2000, ROOM);
  while (!data.includes(text));
  const auxdata = one(decodeAncillary(ancdata), "auxdata");
  expect(auxdata).toMatchObject({ len: data.length, snaplen: data.length, mac: 0, net: 14, vlanTci: 0, vlanTpid: 0 });
  expect(auxdata.status & TP_STATUS_USER).toBe(TP_STATUS_USER);
});

needs(lacking, lacking === "")("a packet socket tells of a VLAN whose tag the kernel took out", () => {
  using own = new Sockets();
  using here = new Network();
  using there = new Network();
  join(here, "here0", there, "there0");
  const open = (net: Network, ifname: string, proto: number): Socket<"AF_PACKET"> =>
    net.inside(() => {
      const sock = own.add(new Socket(AF_PACKET, SOCK_RAW, 0));
      sock.settimeout(5 * slowness);
      sock.bind([ifname, proto]);
      return sock;
    });
  const receiver = open(there, "there0", ETH_P_ALL);
  on(receiver, SOL_PACKET, PACKET_AUXDATA);
  // To everybody, from a made-up address: 802.1Q with priority 3 and VLAN 5, then a protocol for experiments.
  const frame = Buffer.concat([Buffer.from("ffffffffffff0200000000a08100600588b5", "hex"), Buffer.alloc(46, "!")]);
  open(here, "here0", 0).sendto(frame, ["here0", 0]);
  let data: Buffer, ancdata: ReceivedAncillaryData[];
  do [data, ancdata] = receiver.recvmsg(2000, ROOM);
  while (!data.includes("!!!"));
  expect(data.readUInt16BE(12)).toBe(0x88b5); // the tag is not in it
  const { status, vlanTci, vlanTpid } = one(decodeAncillary(ancdata), "auxdata");
  expect([vlanTci, vlanTpid]).toEqual([0x6005, 0x8100]);
  expect(status & (TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID)).toBe(
    TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID,
  );
});

test("what is not known comes as it is, and so does what is malformed, marked as that", () => {
  const data = Buffer.from([1, 2, 3]);
  expect(decodeAncillary([[0x1234, 5, data]])).toEqual([
    { type: "unknown", level: 0x1234, cmsgType: 5, data, malformed: false },
  ]);
  if (!isLinux) return;
  expect(
    decodeAncillary([
      [IPPROTO_IP, IP_PKTINFO, data],
      [SOL_SOCKET, SCM_CREDENTIALS, data],
    ]),
  ).toEqual([
    { type: "unknown", level: IPPROTO_IP, cmsgType: IP_PKTINFO, data, malformed: true },
    { type: "unknown", level: SOL_SOCKET, cmsgType: SCM_CREDENTIALS, data, malformed: true },
  ]);
});

linux("messages that were cut by too little room are marked, and descriptors that came are delivered", () => {
  leavesNothingOpen(() => {
    using own = new Sockets();
    const [a, b] = own.pair(SOCK_DGRAM);
    a.sendmsg(["x"], encodeAncillary([{ type: "rights", fds: [0, 0, 0] }]));
    const { fds } = one(decodeAncillary(b.recvmsg(10, 16 + 8)[1]), "rights");
    expect(fds.length).toBe(2);
    fds.forEach(closeSync);
    const udp = own.udp();
    on(udp, IPPROTO_IP, IP_PKTINFO);
    udp.sendto("x", udp.getsockname());
    expect(decodeAncillary(udp.recvmsg(10, 16 + 8)[1])).toMatchObject([{ type: "unknown", malformed: true }]);
  });
  const cut = decodeAncillary([[SOL_SOCKET, SCM_RIGHTS, Buffer.from([1, 0, 0, 0, 2, 0])]]);
  expect(cut).toEqual([{ type: "rights", fds: [1] }]);
});

linux("what was decoded and can be sent is the same bytes again", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const [c, d] = [udp6(own), udp6(own)];
  on(b, IPPROTO_IP, IP_PKTINFO, IP_RECVTTL);
  on(d, IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS);
  a.sendto("x", b.getsockname());
  c.sendto("x", d.getsockname());
  for (const sock of [b, d]) {
    const [, ancdata] = sock.recvmsg(100, ROOM);
    const again = encodeAncillary(decodeAncillary(ancdata) as never);
    expect(again.map(([level, type, data]) => [level, type, Buffer.from(data as Uint8Array)])).toEqual(
      ancdata as never,
    );
    expect(ancdata.length).toBeGreaterThan(1);
  }
  const raw = [IPPROTO_IPV6, IPV6_HOPLIMIT + 1000, Buffer.from("x")] as const;
  expect(encodeAncillary(decodeAncillary([raw]) as never)).toEqual([[...raw]]);
});
