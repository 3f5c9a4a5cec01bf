/**
 * AF_PACKET: frames, over a pair of interfaces between two networks of the test's own.
 *
 * Peers: tshark, CPython, ip of iproute2.
 */
import { expect } from "bun:test";
import {
  AF_PACKET,
  ETH_P_ALL,
  ETH_P_IP,
  htons,
  if_nametoindex,
  MSG_TRUNC,
  PACKET_ADD_MEMBERSHIP,
  PACKET_AUXDATA,
  PACKET_BROADCAST,
  PACKET_DROP_MEMBERSHIP,
  PACKET_HOST,
  PACKET_IGNORE_OUTGOING,
  PACKET_MR_ALLMULTI,
  PACKET_MR_MULTICAST,
  PACKET_MR_PROMISC,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  PACKET_OUTGOING,
  type PacketAddress,
  type PacketAddressLike,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOL_PACKET,
} from "../../src/index.ts";
import { ARPHRD_ETHER, ARPHRD_LOOPBACK } from "../../src/all-constants.ts";
import { packet_mreq } from "../../src/messages.ts";
import { MessageBatch } from "../../src/packets.ts";
import { codeOf, hasMemberships, needs, python, slowness, Sockets } from "../help.ts";
import { capture, join, lacking, Network, tshark } from "../networks.ts";

const packet = needs(lacking, lacking === "");

/** ETH_P_802_EX1: a number that is free for experiments. No program on the way knows it. */
const PROTOCOL = 0x88b5;

const MAC = Buffer.from("0200000000a0", "hex");
const PEER = Buffer.from("0200000000b0", "hex");
const ALL = Buffer.from("ffffffffffff", "hex");
const GROUP = Buffer.from("01005e010203", "hex");
const NOBODY = Buffer.from("0200000000c0", "hex");

const colons = (mac: Buffer): string => mac.toString("hex").match(/../g)!.join(":");

/** Two networks, with `here0` in the one and `there0` in the other. */
class Wire implements Disposable {
  readonly here = new Network();
  readonly there = new Network();

  constructor() {
    join(this.here, "here0", this.there, "there0");
    this.here.ip(`link set here0 address ${colons(MAC)}`);
    this.there.ip(`link set there0 address ${colons(PEER)}`);
  }

  [Symbol.dispose](): void {
    this.here[Symbol.dispose]();
    this.there[Symbol.dispose]();
  }
}

/** A socket of a network, bound to an interface; the name of an interface is its network's, too. */
function open(own: Sockets, net: Network, type: number, ifname: string, proto = PROTOCOL): Socket<"AF_PACKET"> {
  return net.inside(() => {
    const sock = own.add(new Socket(AF_PACKET, type, 0));
    sock.settimeout(5 * slowness);
    sock.bind([ifname, proto]);
    return sock;
  });
}

/** An Ethernet frame, as long as the shortest. */
function frame(to: Buffer, from: Buffer, text: string): Buffer {
  return Buffer.concat([to, from, Buffer.from([PROTOCOL >> 8, PROTOCOL & 255]), payload(text)]);
}

const payload = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(46)], 46);

const kinds: [to: Buffer, pkttype: number][] = [
  [PEER, PACKET_HOST],
  [ALL, PACKET_BROADCAST],
  [GROUP, PACKET_MULTICAST],
  [NOBODY, PACKET_OTHERHOST],
];

packet("a bound socket's name has its interface, protocol, kind of device and hardware address", () => {
  using own = new Sockets();
  using wire = new Wire();
  const sock = open(own, wire.here, SOCK_RAW, "here0");
  wire.here.inside(() => {
    expect(sock.getsockname()).toEqual(["here0", PROTOCOL, 0, ARPHRD_ETHER, MAC]);
    sock.bind(["lo", ETH_P_ALL]);
    expect(sock.getsockname()).toEqual(["lo", ETH_P_ALL, 0, ARPHRD_LOOPBACK, Buffer.alloc(6)]);
    sock.bind(["", ETH_P_IP]);
    expect(sock.getsockname()).toEqual(["", ETH_P_IP, 0, 0, Buffer.alloc(0)]);
    sock.bind(["here0", PROTOCOL, PACKET_OUTGOING, ARPHRD_LOOPBACK, NOBODY]); // of which the first two count
    expect(sock.getsockname()).toEqual(["here0", PROTOCOL, 0, ARPHRD_ETHER, MAC]);
    expect(codeOf(() => sock.bind(["nothere0", PROTOCOL]))).toBe("ENODEV");
    expect(codeOf(() => sock.getpeername())).toBe("EOPNOTSUPP");
    // The socket's protocol is the system's own argument: in network byte order.
    const bySocket = own.add(new Socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)));
    expect(bySocket.getsockname()).toEqual(["", ETH_P_IP, 0, 0, Buffer.alloc(0)]);
  });
});

packet("each frame tells to whom it went, and from whom it came: raw and cooked", () => {
  using own = new Sockets();
  using wire = new Wire();
  const sender = open(own, wire.here, SOCK_RAW, "here0");
  const cookedSender = open(own, wire.here, SOCK_DGRAM, "here0");
  const raw = open(own, wire.there, SOCK_RAW, "there0");
  const cooked = open(own, wire.there, SOCK_DGRAM, "there0");
  const everywhere = open(own, wire.there, SOCK_DGRAM, "");
  for (const [to, pkttype] of kinds) {
    const expected: PacketAddress = ["there0", PROTOCOL, pkttype, ARPHRD_ETHER, MAC];
    const check = (text: string): void =>
      wire.there.inside(() => {
        expect(raw.recvfrom(2000)).toEqual([frame(to, MAC, text), expected]);
        expect(cooked.recvmsg(2000)).toEqual([payload(text), [], 0, expected]);
        expect(everywhere.recvfrom(2000)).toEqual([payload(text), expected]);
      });
    // A raw frame has its addresses in it; only the interface counts, and a bound socket needs no address at all.
    expect(sender.send(frame(to, MAC, "send"))).toBe(60);
    check("send");
    wire.here.inside(() => sender.sendto(frame(to, MAC, "sendto"), ["here0", 0]));
    check("sendto");
    // A cooked one is told its receiver, and the kernel makes the header.
    const address: PacketAddressLike = ["here0", PROTOCOL, 0, 0, to];
    wire.here.inside(() => expect(cookedSender.sendto(payload("cooked"), address)).toBe(46));
    check("cooked");
    wire.here.inside(() => cookedSender.sendmsg([payload("parts")], [], 0, ["here0", PROTOCOL, PACKET_HOST, 1, to]));
    check("parts");
  }
  // Who the sender says that it is.
  sender.send(frame(PEER, NOBODY, "forged"));
  wire.there.inside(() => {
    expect(raw.recvfrom(2000)[1]).toEqual(["there0", PROTOCOL, PACKET_HOST, ARPHRD_ETHER, NOBODY]);
  });
});

packet("what a machine sends comes to those that listen to everything: PACKET_OUTGOING", () => {
  using own = new Sockets();
  using wire = new Wire();
  const sender = open(own, wire.here, SOCK_RAW, "here0");
  const all = open(own, wire.here, SOCK_RAW, "here0", ETH_P_ALL);
  const incoming = open(own, wire.here, SOCK_RAW, "here0", ETH_P_ALL);
  incoming.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  sender.send(frame(ALL, MAC, "out"));
  wire.here.inside(() => {
    const expected: PacketAddress = ["here0", PROTOCOL, PACKET_OUTGOING, ARPHRD_ETHER, MAC];
    expect(all.recvfrom(2000)).toEqual([frame(ALL, MAC, "out"), expected]);
    incoming.settimeout(0);
    sender.settimeout(0);
    for (const sock of [incoming, sender]) expect(codeOf(() => sock.recv(2000))).toBe("EAGAIN");
  });
});

packet("a loopback has its own kind of device, and hears each frame twice", () => {
  using own = new Sockets();
  using net = new Network();
  const sender = open(own, net, SOCK_DGRAM, "lo");
  const sock = open(own, net, SOCK_DGRAM, "lo", ETH_P_ALL); // what it sends itself does not come back to it as outgoing
  net.inside(() => {
    sender.sendto("around", ["lo", PROTOCOL, 0, 0, Buffer.alloc(6)]);
    for (const pkttype of [PACKET_OUTGOING, PACKET_HOST]) {
      const expected: PacketAddress = ["lo", PROTOCOL, pkttype, ARPHRD_LOOPBACK, Buffer.alloc(6)];
      expect(sock.recvfrom(100)).toEqual([Buffer.from("around"), expected]);
    }
  });
});

needs(lacking || "PACKET_ADD_MEMBERSHIP", lacking === "" && hasMemberships)(
  "memberships: an interface is promiscuous, or in a group, for as long as a socket wants it",
  () => {
    using own = new Sockets();
    using wire = new Wire();
    const { there } = wire;
    const state = (): number[] => {
      const [link] = JSON.parse(there.ip("-json -details link show dev there0"));
      const [{ maddr: groups }] = JSON.parse(there.ip("-json maddress show dev there0"));
      const inGroup = groups.filter(({ link }: { link?: string }) => link === colons(GROUP)).length;
      return [link.promiscuity, link.allmulti ?? 0, inGroup];
    };
    const before = state();
    expect(before[2]).toBe(0);
    const sock = open(own, there, SOCK_RAW, "there0");
    const ifindex = there.inside(() => if_nametoindex("there0"));
    const members = [
      packet_mreq.encode({ ifindex, type: PACKET_MR_PROMISC }),
      packet_mreq.encode({ ifindex, type: PACKET_MR_ALLMULTI }),
      packet_mreq.encode({ ifindex, type: PACKET_MR_MULTICAST, address: GROUP }),
    ];
    for (const one of members) sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, one);
    const [promiscuity, , inGroup] = state();
    expect([promiscuity, inGroup]).toEqual([before[0]! + 1, 1]);
    const sender = open(own, wire.here, SOCK_RAW, "here0");
    sender.send(frame(NOBODY, MAC, "for another"));
    there.inside(() => {
      const [data, from] = sock.recvfrom(2000);
      expect([data, from[2]]).toEqual([frame(NOBODY, MAC, "for another"), PACKET_OTHERHOST]);
    });
    for (const one of members) sock.setsockopt(SOL_PACKET, PACKET_DROP_MEMBERSHIP, one);
    expect(state()).toEqual(before);
  },
);

packet("a frame that is cut is told of, with its whole length where that is asked for", () => {
  using own = new Sockets();
  using wire = new Wire();
  const sender = open(own, wire.here, SOCK_RAW, "here0");
  const sock = open(own, wire.there, SOCK_RAW, "there0");
  sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1);
  for (let i = 0; i < 2; i++) sender.send(frame(PEER, MAC, "long"));
  wire.there.inside(() => {
    const [data, [[level, type, auxdata] = []], flags, [ifname]] = sock.recvmsg(14, 200);
    expect([data, flags, ifname]).toEqual([frame(PEER, MAC, "long").subarray(0, 14), MSG_TRUNC, "there0"]);
    expect([level, type]).toEqual([SOL_PACKET, PACKET_AUXDATA]);
    // struct tpacket_auxdata: a status, the length, how much of it there is, where its parts begin …
    expect([auxdata!.readUInt32LE(4), auxdata!.readUInt32LE(8), auxdata!.readUInt16LE(14)]).toEqual([60, 60, 14]);
    const room = Buffer.alloc(14);
    expect(sock.recvfromInto(room, 14, MSG_TRUNC)[0]).toBe(60);
  });
});

packet("the name is that of the socket's own network, wherever it is asked for, and as it is now", () => {
  using own = new Sockets();
  using wire = new Wire();
  const here = open(own, wire.here, SOCK_RAW, "here0");
  const there = open(own, wire.there, SOCK_RAW, "there0");
  const batch = new MessageBatch(there);
  const send = () => here.sendmsg([frame(PEER, MAC, "x")]);
  send();
  // This thread's network has other interfaces by those numbers, or none.
  expect([here.getsockname()[0], there.getsockname()[0]]).toEqual(["here0", "there0"]);
  expect(there.recvfrom(2000)[1]![0]).toBe("there0");
  there.bind(there.getsockname());
  expect(there.getsockname()[0]).toBe("there0");
  expect(here.sendto(frame(PEER, MAC, "by name"), ["here0", 0])).toBeGreaterThan(0);
  expect(there.recv(2000).toString()).toContain("by name");
  expect(codeOf(() => here.bind(["there0", 0]))).toBe("ENODEV");
  for (const command of ["down", "name again0", "up"])
    wire.there.ip(`link set dev ${command === "up" ? "again0" : "there0"} ${command}`);
  expect(there.getsockname()[0]).toBe("again0");
  expect(codeOf(() => there.recv(1))).toBe("ENETDOWN"); // it was down
  send();
  expect(there.recvBatch(batch)).toBe(1);
  expect(batch.address(0)![0]).toBe("again0");
});

packet("an interface that goes away: an error once, and a name without it", () => {
  using own = new Sockets();
  using wire = new Wire();
  const sock = open(own, wire.here, SOCK_RAW, "here0");
  wire.there.ip("link del there0"); // and its other end with it
  wire.here.inside(() => {
    expect(codeOf(() => sock.recv(100))).toBe("ENETDOWN");
    expect(sock.getsockname()).toEqual(["", PROTOCOL, 0, 0, Buffer.alloc(0)]);
    expect(codeOf(() => sock.send(frame(PEER, MAC, "x")))).toBe("ENXIO");
  });
});

packet("what is no address is refused before anything is sent", () => {
  using own = new Sockets();
  using wire = new Wire();
  const sock = open(own, wire.here, SOCK_DGRAM, "here0");
  const listener = open(own, wire.there, SOCK_RAW, "there0", ETH_P_ALL);
  wire.here.inside(() => {
    for (const [address, error] of [
      [undefined, /^address: /],
      ["here0", /^address: /],
      [["here0"], /^address: /],
      [["here0", PROTOCOL, 0, 1, PEER, 0], /^address: /],
      [[1, PROTOCOL], /^address\[0\]: /],
      [["a-name-of-16-chr", PROTOCOL], /^address\[0\]: /],
      [["here0\0", PROTOCOL], /^address\[0\]: /],
      [["here0", "0x88b5"], /^address\[1\]: /],
      [["here0", 0x10000], /^address\[1\]: /],
      [["here0", -1], /^address\[1\]: /],
      [["here0", PROTOCOL, 256], /^address\[2\]: /],
      [["here0", PROTOCOL, null], /^address\[2\]: /],
      [["here0", PROTOCOL, 0, 0x10000], /^address\[3\]: /],
      [["here0", PROTOCOL, 0, 1.5], /^address\[3\]: /],
      [["here0", PROTOCOL, 0, 1, 5], /^address\[4\]: /],
      [["here0", PROTOCOL, 0, 1, Buffer.alloc(9)], /^address\[4\]: /],
    ] as const) {
      const wrong = address as unknown as PacketAddressLike;
      expect(() => sock.bind(wrong)).toThrow(error);
      expect(() => sock.sendto("x", wrong)).toThrow(error);
    }
    expect(codeOf(() => sock.sendto("x", ["nothere0", PROTOCOL, 0, 0, PEER]))).toBe("ENODEV");
    expect(codeOf(() => sock.connect(["here0", PROTOCOL]))).toBe("EOPNOTSUPP");
  });
  listener.settimeout(0);
  expect(codeOf(() => listener.recv(2000))).toBe("EAGAIN");
});

needs(lacking || "tshark", lacking === "" && tshark !== null)(
  "tshark captured what was sent, byte by byte",
  async () => {
    using own = new Sockets();
    using wire = new Wire();
    using captured = await capture(wire.there, "-i", "there0", "-c", "8", "-T", "json", "-x");
    const raw = open(own, wire.here, SOCK_RAW, "here0");
    const cooked = open(own, wire.here, SOCK_DGRAM, "here0");
    const expected: string[] = [];
    for (const [to] of kinds) {
      raw.send(frame(to, NOBODY, "raw"));
      wire.here.inside(() => cooked.sendto(payload("cooked"), ["here0", PROTOCOL, 0, 0, to]));
      expected.push(...[frame(to, NOBODY, "raw"), frame(to, MAC, "cooked")].map((bytes) => bytes.toString("hex")));
    }
    const packets = JSON.parse(await captured.output()) as { _source: { layers: { frame_raw: [string] } } }[];
    expect(packets.map(({ _source: source }) => source.layers.frame_raw[0])).toEqual(expected);
  },
);

needs(lacking || "python3", lacking === "" && python !== null)(
  "CPython gives and takes the same addresses",
  async () => {
    using own = new Sockets();
    using wire = new Wire();
    const before = wire.there.packetSockets();
    using peer = wire.there.start(
      python!,
      "-c",
      `
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
s.settimeout(${20 * slowness})
s.bind(("there0", ${PROTOCOL}))
def show(address): print(*address[:4], address[4].hex())
show(s.getsockname())
for i in range(4): show(s.recvfrom(100)[1])
s.sendto(b"from python", ("there0", ${PROTOCOL}, 0, 0, bytes.fromhex("${MAC.toString("hex")}")))`,
    );
    const deadline = performance.now() + 20_000 * slowness;
    while (wire.there.packetSockets() === before && performance.now() < deadline) Bun.sleepSync(20);
    const sock = open(own, wire.here, SOCK_DGRAM, "here0");
    const mine = open(own, wire.there, SOCK_DGRAM, "there0");
    const seen: PacketAddress[] = [wire.there.inside(() => mine.getsockname())];
    for (const [to] of kinds) {
      wire.here.inside(() => sock.sendto(payload("x"), ["here0", PROTOCOL, 0, 0, to]));
      seen.push(wire.there.inside(() => mine.recvfrom(100)[1]));
    }
    const [data, from] = wire.here.inside(() => sock.recvfrom(100));
    expect([data, from]).toEqual([Buffer.from("from python"), ["here0", PROTOCOL, PACKET_HOST, ARPHRD_ETHER, PEER]]);
    const lines = seen.map(([ifname, ...rest]) =>
      [ifname, ...rest.slice(0, 3), (rest[3] as Buffer).toString("hex")].join(" "),
    );
    expect((await peer.output()).split("\n")).toEqual(lines);
  },
);
