/**
 * Raw sockets of IPv4 and IPv6: filters of ICMP, headers of the program's own, checksums that the kernel makes.
 *
 * Peers: ping of iputils, tshark, CPython.
 */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  inet_pton,
  IP_HDRINCL,
  IP_RECVERR,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_RAW,
  IPPROTO_UDP,
  IPV6_CHECKSUM,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
} from "../../src/index.ts";
import {
  ICMP6_FILTER,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_FILTER,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  SOL_RAW,
} from "../../src/all-constants.ts";
import { codeOf, needs, python, slowness, Sockets } from "../help.ts";
import { capture, lacking, Network, tshark } from "../networks.ts";

const network = needs(lacking, lacking === "");
const withPing = needs(lacking || "ping", lacking === "" && Bun.which("ping") !== null);

/** A protocol that is free for experiments, RFC 3692. */
const EXPERIMENT = 253;

type Either = Socket<"AF_INET" | "AF_INET6">;

function raw(own: Sockets, net: Network, family: number, proto: number): Either {
  const sock = net.inside(() => own.add(new Socket(family, SOCK_RAW, proto) as Either));
  sock.settimeout(5 * slowness);
  return sock;
}

function udp(own: Sockets, net: Network): Socket<"AF_INET"> {
  const sock = net.inside(() => own.udp());
  sock.settimeout(5 * slowness);
  return sock;
}

/** The internet checksum, RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += i + 1 < bytes.length ? bytes.readUInt16BE(i) : bytes[i]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** An echo request: type, code, checksum, identifier, sequence, data. */
function echo(type: number, text: string): Buffer {
  const message = Buffer.concat([Buffer.from([type, 0, 0, 0, 0x12, 0x34, 0, 7]), Buffer.from(text)]);
  message.writeUInt16BE(checksum(message), 2); // for IPv6 the kernel makes it anew
  return message;
}

/** What stands behind the header of IPv4; a raw socket of IPv6 gets none. */
const payload = (family: number, packet: Buffer): Buffer =>
  family === AF_INET ? packet.subarray((packet[0]! & 15) * 4) : packet;

const protocols = [
  {
    family: AF_INET,
    host: "127.0.0.1",
    proto: IPPROTO_ICMP,
    request: ICMP_ECHO,
    reply: ICMP_ECHOREPLY,
    // struct icmp_filter: a bit for each type that is not wanted.
    filter: (wanted: number) => [SOL_RAW, ICMP_FILTER, Buffer.from(Uint32Array.of(~(1 << wanted)).buffer)] as const,
  },
  {
    family: AF_INET6,
    host: "::1",
    proto: IPPROTO_ICMPV6,
    request: ICMPV6_ECHO_REQUEST,
    reply: ICMPV6_ECHO_REPLY,
    // struct icmp6_filter: the same for 256 types.
    filter: (wanted: number) => {
      const words = new Uint32Array(8).fill(0xffff_ffff);
      words[wanted >> 5]! &= ~(1 << (wanted & 31));
      return [IPPROTO_ICMPV6, ICMP6_FILTER, Buffer.from(words.buffer)] as const;
    },
  },
];

for (const { family, host, proto, request, reply, filter } of protocols) {
  const version = family === AF_INET ? "ICMP" : "ICMPv6";

  network(`${version}: an echo request is seen, and answered; filters choose`, () => {
    using own = new Sockets();
    using net = new Network();
    const all = raw(own, net, family, proto);
    const replies = raw(own, net, family, proto);
    const requests = raw(own, net, family, proto);
    for (const [sock, type] of [
      [replies, reply],
      [requests, request],
    ] as const) {
      const [level, option, value] = filter(type);
      sock.setsockopt(level, option, value);
      expect(sock.getsockopt(level, option, value.length)).toEqual(value);
    }
    const message = echo(request, "are you there?");
    expect(all.sendto(message, [host, 0])).toBe(message.length);
    const next = (sock: Either): [type: number, text: string, host: string, port: number] => {
      const [packet, from] = sock.recvfrom(200);
      const answer = payload(family, packet);
      return [answer[0]!, answer.toString("latin1", 8), from[0], from[1]];
    };
    const port = 0; // there is none
    expect([next(all), next(all)]).toEqual([
      [request, "are you there?", host, port],
      [reply, "are you there?", host, port],
    ]);
    expect(next(replies)).toEqual([reply, "are you there?", host, port]);
    expect(next(requests)).toEqual([request, "are you there?", host, port]);
    for (const sock of [replies, requests]) {
      sock.settimeout(0);
      expect(codeOf(() => sock.recv(200))).toBe("EAGAIN");
    }
  });

  network(`${version}: a bound and connected socket's names`, () => {
    using own = new Sockets();
    using net = new Network();
    const sock = raw(own, net, family, proto);
    sock.bind([host, 0]);
    const rest = family === AF_INET6 ? [0, 0] : [];
    expect(sock.getsockname() as unknown).toEqual([host, proto, ...rest]); // the kernel puts the protocol there
    sock.connect([host, 7]); // a port that means nothing; without one the kernel tells of no peer
    expect(sock.getpeername() as unknown).toEqual([host, 7, ...rest]);
    const message = echo(request, "connected");
    sock.send(message);
    expect(payload(family, sock.recv(200)).toString("latin1", 8)).toBe("connected");
  });

  withPing(`${version}: what ping sends and gets is seen`, () => {
    using own = new Sockets();
    using net = new Network();
    const sock = raw(own, net, family, proto);
    const output = net.run("ping", "-c", "1", "-s", "24", "-p", "b5", host);
    expect(output).toContain("1 received");
    for (const type of [request, reply]) {
      const message = payload(family, sock.recv(200));
      expect([message.length, message[0]]).toEqual([32, type]);
      expect(message.subarray(24)).toEqual(Buffer.alloc(8, 0xb5)); // behind a struct timeval
      if (family === AF_INET) expect(checksum(message)).toBe(0);
    }
  });
}

/** A UDP datagram of IPv4 in a header of our own: RFC 791, RFC 768. */
function datagram(source: string, destination: string, ports: [number, number], text: string): Buffer {
  const packet = Buffer.alloc(28 + text.length);
  packet.set([0x45, 0x10], 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(0xbeef, 4);
  packet.set([33, IPPROTO_UDP], 8);
  packet.set(inet_pton(AF_INET, source), 12);
  packet.set(inet_pton(AF_INET, destination), 16);
  packet.writeUInt16BE(ports[0], 20);
  packet.writeUInt16BE(ports[1], 22);
  packet.writeUInt16BE(8 + text.length, 24);
  packet.write(text, 28); // and no checksum, which is allowed
  return packet;
}

network("IP_HDRINCL: the program writes the header, with any sender", () => {
  using own = new Sockets();
  using net = new Network();
  const receiver = udp(own, net);
  const [, port] = receiver.getsockname();
  const sock = raw(own, net, AF_INET, IPPROTO_UDP);
  expect(sock.getsockopt(IPPROTO_IP, IP_HDRINCL)).toBe(0);
  sock.setsockopt(IPPROTO_IP, IP_HDRINCL, 1);
  sock.sendto(datagram("127.9.8.7", "127.0.0.1", [4242, port], "by option"), ["127.0.0.1", 0]);
  expect(receiver.recvfrom(100)).toEqual([Buffer.from("by option"), ["127.9.8.7", 4242]]);
  const always = raw(own, net, AF_INET, IPPROTO_RAW); // which has it on from the beginning, and receives nothing
  expect(always.getsockopt(IPPROTO_IP, IP_HDRINCL)).toBe(1);
  always.sendto(datagram("127.9.8.6", "127.0.0.1", [4243, port], "by protocol"), ["127.0.0.1", 0]);
  expect(receiver.recvfrom(100)).toEqual([Buffer.from("by protocol"), ["127.9.8.6", 4243]]);
  expect(codeOf(() => always.sendto(Buffer.alloc(19), ["127.0.0.1", 0]))).toBe("EINVAL"); // less than a header
  // The other raw socket saw both, headers and all; the kernel filled in the sum alone.
  const first = sock.recv(200);
  const expected = datagram("127.9.8.7", "127.0.0.1", [4242, port], "by option");
  expected.writeUInt16BE(checksum(expected.subarray(0, 20)), 10);
  expect(first).toEqual(expected);
});

needs(lacking || "tshark", lacking === "" && tshark !== null)(
  "IP_HDRINCL: tshark sees the header as it was written",
  async () => {
    using own = new Sockets();
    using net = new Network();
    const fields = ["ip.src", "ip.dst", "ip.ttl", "ip.id", "ip.dsfield", "udp.srcport", "udp.dstport", "udp.payload"];
    using captured = await capture(
      net,
      "-i",
      "lo",
      "-c",
      "1",
      "-T",
      "fields",
      ...fields.flatMap((name) => ["-e", name]),
    );
    const sock = raw(own, net, AF_INET, IPPROTO_RAW);
    sock.sendto(datagram("127.9.8.7", "127.0.0.1", [4242, 9], "hello"), ["127.0.0.1", 0]);
    const expected = [
      "127.9.8.7",
      "127.0.0.1",
      "33",
      "0xbeef",
      "0x10",
      "4242",
      "9",
      Buffer.from("hello").toString("hex"),
    ];
    expect((await captured.output()).split("\t")).toEqual(expected);
  },
);

network("IPV6_CHECKSUM: the kernel makes the sum at that place, and drops what has a wrong one", () => {
  using own = new Sockets();
  using net = new Network();
  const sender = raw(own, net, AF_INET6, EXPERIMENT);
  const receiver = raw(own, net, AF_INET6, EXPERIMENT);
  const checked = raw(own, net, AF_INET6, EXPERIMENT);
  expect(sender.getsockopt(IPPROTO_IPV6, IPV6_CHECKSUM)).toBe(-1); // none
  for (const sock of [sender, checked]) {
    sock.setsockopt(IPPROTO_IPV6, IPV6_CHECKSUM, 2);
    expect(sock.getsockopt(IPPROTO_IPV6, IPV6_CHECKSUM)).toBe(2);
  }
  expect(codeOf(() => sender.setsockopt(IPPROTO_IPV6, IPV6_CHECKSUM, 3))).toBe("EINVAL"); // it is even
  sender.sendto(Buffer.from("ab\0\0cdef"), ["::1", 0]);
  const packet = receiver.recv(100);
  const pseudo = Buffer.alloc(40); // RFC 8200: both addresses, the length, the protocol
  pseudo[15] = pseudo[31] = 1;
  pseudo.writeUInt32BE(packet.length, 32);
  pseudo[39] = EXPERIMENT;
  expect(checksum(Buffer.concat([pseudo, packet]))).toBe(0);
  expect(packet.readUInt16BE(2)).not.toBe(0);
  expect(checked.recvfrom(100)).toEqual([packet, ["::1", 0, 0, 0]]);

  sender.setsockopt(IPPROTO_IPV6, IPV6_CHECKSUM, -1);
  sender.sendto(Buffer.from("ab\0\0cdef"), ["::1", 0]);
  expect(receiver.recv(100).toString("latin1")).toBe("ab\0\0cdef");
  checked.settimeout(0);
  expect(codeOf(() => checked.recv(100))).toBe("EAGAIN");
});

network("what a kernel refuses of raw sockets", () => {
  using own = new Sockets();
  using net = new Network();
  const six = raw(own, net, AF_INET6, EXPERIMENT);
  expect(codeOf(() => six.sendto("x", ["::1", 9]))).toBe("EINVAL"); // a port is no protocol of this socket
  const other = raw(own, net, AF_INET, EXPERIMENT);
  expect(codeOf(() => other.setsockopt(SOL_RAW, ICMP_FILTER, Buffer.alloc(4)))).toBe("EOPNOTSUPP");
  expect(codeOf(() => net.inside(() => own.add(new Socket(AF_INET, SOCK_DGRAM, EXPERIMENT))))).toBe("EPROTONOSUPPORT");
});

needs(lacking || "python3", lacking === "" && python !== null)(
  "CPython gets the same addresses and packets",
  async () => {
    using own = new Sockets();
    using net = new Network();
    const [four, six] = [raw(own, net, AF_INET, EXPERIMENT), raw(own, net, AF_INET6, EXPERIMENT)];
    using peer = net.start(
      python!,
      "-u",
      "-c",
      `
import socket
four = socket.socket(socket.AF_INET, socket.SOCK_RAW, ${EXPERIMENT})
six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, ${EXPERIMENT})
four.sendto(b"ready", ("127.0.0.1", 0))
six.sendto(b"ready", ("::1", 0))
for s in (four, six):
  s.settimeout(60)
  while True:
    data, address = s.recvfrom(100)
    if data.endswith(b"ready"): continue
    print(data.hex(), list(address), list(s.getsockname()))
    break`,
    );
    for (const sock of [four, six]) {
      sock.settimeout(20 * slowness);
      expect(sock.recv(100).toString("latin1")).toEndWith("ready");
    }
    four.sendto("for four", ["127.0.0.1", 0]);
    six.sendto("for six", ["::1", 0]);
    const list = (one: readonly unknown[]): string => JSON.stringify(one).replaceAll('"', "'").replaceAll(",", ", ");
    const expected = [four, six].map((sock) => {
      const [data, from] = sock.recvfrom(100);
      return `${data.toString("hex")} ${list(from)} ${list(sock.getsockname())}`;
    });
    expect((await peer.output()).split("\n")).toEqual(expected);
  },
);

network("an error of the network that is EOPNOTSUPP is told, by every call that receives", async () => {
  using own = new Sockets();
  using net = new Network();
  const sink = udp(own, net);
  const icmp = raw(own, net, AF_INET, IPPROTO_ICMP);
  for (const call of ["recv", "recvfrom", "recvmsg"] as const) {
    const sock = udp(own, net);
    sock.setsockopt(IPPROTO_IP, IP_RECVERR, 1);
    sock.connect(sink.getsockname());
    // ICMP: the destination is unreachable, the route failed; and the header of what it speaks of.
    const [from, to] = [sock.getsockname()[1], sink.getsockname()[1]];
    const report = Buffer.alloc(36);
    report.set([3, 5], 0);
    report.set([0x45, 0, 0, 28, 0, 0, 0, 0, 64, IPPROTO_UDP], 8);
    report.set([127, 0, 0, 1, 127, 0, 0, 1], 20);
    report.writeUInt16BE(from, 28);
    report.writeUInt16BE(to, 30);
    report.writeUInt16BE(8, 32);
    report.writeUInt16BE(checksum(report.subarray(8, 28)), 18);
    report.writeUInt16BE(checksum(report), 2);
    icmp.sendto(report, ["127.0.0.1", 0] as never);
    expect([call, codeOf(() => sock[call](100))]).toEqual([call, "EOPNOTSUPP"]);
  }
});
