/**
 * UDP-Lite, by IPPROTO_UDPLITE: datagrams of which only the beginning is checked. See udplite(7), RFC 3828.
 *
 * Peers: CPython; a raw socket, which sees the header.
 */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  inet_pton,
  IPPROTO_UDPLITE,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  UDPLITE_RECV_CSCOV,
  UDPLITE_SEND_CSCOV,
} from "../../src/index.ts";
import { codeOf, isLinux, needs, python, pythonPeer, slowness, Sockets, works, worksInEmulator } from "../help.ts";
import { lacking, Network } from "../networks.ts";
import { Program } from "../program.ts";
import { command } from "../tools/help.ts";

const hasUdplite =
  isLinux &&
  works(() => new Socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)) &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    sock.getsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV);
  });
const hasUdplite6 = hasUdplite && works(() => new Socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE));
const udplite = needs("UDP-Lite over IPv4 and IPv6", hasUdplite && hasUdplite6);
const network = needs(lacking || "UDP-Lite", hasUdplite && hasUdplite6 && lacking === "");
const families = [
  [AF_INET, "127.0.0.1"],
  [AF_INET6, "::1"],
] as const;

type Either = Socket<"AF_INET" | "AF_INET6">;

function open(own: Sockets, family: number, host: string): Either {
  const sock = own.add(new Socket(family, SOCK_DGRAM, IPPROTO_UDPLITE) as Either);
  sock.bind([host, 0]);
  sock.settimeout(5 * slowness);
  return sock;
}

udplite.each(families)("the two coverages are options of a socket: family %d", (family, host) => {
  using own = new Sockets();
  const sock = open(own, family, host);
  expect(sock.proto).toBe(IPPROTO_UDPLITE);
  for (const option of [UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV]) {
    expect(sock.getsockopt(IPPROTO_UDPLITE, option)).toBe(0); // everything
    sock.setsockopt(IPPROTO_UDPLITE, option, 20);
    expect(sock.getsockopt(IPPROTO_UDPLITE, option)).toBe(20);
    sock.setsockopt(IPPROTO_UDPLITE, option, 3);
    expect(sock.getsockopt(IPPROTO_UDPLITE, option)).toBe(8); // the header at least
  }
  const plain = own.add(new Socket(family, SOCK_DGRAM));
  expect(codeOf(() => plain.setsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 8))).toBe("ENOPROTOOPT");
});

udplite.each(families)("datagrams that cover too little are not received: family %d", (family, host) => {
  using own = new Sockets();
  const [a, b] = [open(own, family, host), open(own, family, host)];
  b.setsockopt(IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, 16);
  for (const coverage of [8, 15, 16, 20, 0]) {
    a.setsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, coverage);
    expect(a.sendto(`covers ${coverage}, and more`, b.getsockname())).toBe(`covers ${coverage}, and more`.length);
  }
  for (const coverage of [16, 20, 0]) {
    expect(b.recvfrom(100)).toEqual([Buffer.from(`covers ${coverage}, and more`), a.getsockname()]);
  }
  b.settimeout(0);
  expect(codeOf(() => b.recv(100))).toBe("EAGAIN");
});

/** The internet checksum of some bytes, RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  if (bytes.length % 2 === 1) sum += bytes.at(-1)! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** A datagram with its header: ports, coverage, and a checksum of the pseudo-header and as much as is covered. */
function datagram(family: number, host: string, ports: [number, number], coverage: number, data: string): Buffer {
  const packet = Buffer.concat([Buffer.alloc(8), Buffer.from(data)]);
  packet.writeUInt16BE(ports[0], 0);
  packet.writeUInt16BE(ports[1], 2);
  packet.writeUInt16BE(coverage, 4);
  const address = inet_pton(family, host);
  const rest = Buffer.alloc(4);
  rest.writeUInt16BE(packet.length, 0);
  rest.writeUInt16BE(IPPROTO_UDPLITE, 2);
  const covered = packet.subarray(0, coverage === 0 ? packet.length : coverage);
  packet.writeUInt16BE(checksum(Buffer.concat([address, address, rest, covered])) || 0xffff, 6);
  return packet;
}

network.each(families)(
  "on the wire: the header has the coverage, and damage behind it is let pass: family %d",
  (family, host) => {
    using own = new Sockets();
    using net = new Network();
    const { a, b, raw } = net.inside(() => ({
      a: open(own, family, host),
      b: open(own, family, host),
      raw: own.add(new Socket(family, SOCK_RAW, IPPROTO_UDPLITE) as Either),
    }));
    raw.settimeout(5 * slowness);
    const ports: [number, number] = [a.getsockname()[1], b.getsockname()[1]];
    const header = family === AF_INET ? 20 : 0; // a raw socket of IPv4 gets its header, too
    for (const coverage of [0, 8, 12]) {
      a.setsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, coverage);
      a.sendto("0123456789", b.getsockname());
      const [packet, from] = raw.recvfrom(200);
      expect(from[0]).toBe(host);
      expect(packet.subarray(header)).toEqual(datagram(family, host, ports, coverage, "0123456789"));
      expect(b.recv(100).toString()).toBe("0123456789");
    }
    const damaged = (coverage: number, at: number): Buffer => {
      const packet = datagram(family, host, ports, coverage, "0123456789");
      packet[8 + at] = 0x2a;
      return packet;
    };
    raw.sendto(damaged(12, 3), [host, 0]); // within what is covered
    raw.sendto(damaged(0, 9), [host, 0]);
    raw.sendto(damaged(12, 4), [host, 0]);
    expect(b.recvfrom(100)).toEqual([Buffer.from("0123*56789"), a.getsockname()]);
    b.settimeout(0);
    expect(codeOf(() => b.recv(100))).toBe("EAGAIN");
  },
);

needs("UDP-Lite with python3", hasUdplite && hasUdplite6 && python !== null).each(families)(
  "CPython gives the same addresses and coverages: family %d",
  async (family, host) => {
    using own = new Sockets();
    const sock = open(own, family, host);
    sock.settimeout(20 * slowness);
    using peer = pythonPeer(
      `
s = socket.socket(int(sys.argv[1]), socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE)
s.settimeout(60)
s.bind((sys.argv[2], 0))
s.setsockopt(socket.IPPROTO_UDPLITE, socket.UDPLITE_SEND_CSCOV, 12)
s.setsockopt(socket.IPPROTO_UDPLITE, socket.UDPLITE_RECV_CSCOV, 20)
s.sendto(b"from python", (sys.argv[2], int(sys.argv[3])))
data, address = s.recvfrom(100)
print(list(s.getsockname()), list(address), data.decode())`,
      [family, host, sock.getsockname()[1]],
    );
    const [data, from] = sock.recvfrom(100);
    expect(data.toString()).toBe("from python");
    for (const coverage of [19, 20]) {
      sock.setsockopt(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, coverage);
      sock.sendto(`covers ${coverage}, and more`, from);
    }
    const list = (one: readonly unknown[]): string => JSON.stringify(one).replaceAll('"', "'").replaceAll(",", ", ");
    expect(await peer.output()).toBe(`${list(from)} ${list(sock.getsockname())} covers 20, and more`);
  },
);

const exampleTimeout = 30_000 * slowness;
const example = (...args: (string | number)[]) => new Program(command("udplite.ts", ...args.map(String)));

udplite.each(families)(
  "examples/udplite.ts: what covers enough comes: family %d",
  async (family, host) => {
    using receiver = example("receive", host, 0, 16);
    const [port = ""] = await receiver.line(/^port (\d+), least coverage 16$/);
    for (const [coverage, checked] of [
      [8, 8],
      [16, 16],
      [3, 8],
      [0, 24],
    ] as const) {
      const { stdout } = await example("send", host, port, coverage, `covers ${coverage}, and more`.slice(0, 16)).end();
      expect(stdout).toBe(`sent 24 bytes, ${checked} of them checked`);
    }
    // Those that cover less would have come in between.
    await receiver.line(/: covers 16, and m$/);
    await receiver.line(/: covers 0, and mo$/);
    expect(receiver.output.length).toBe(3);
    using own = new Sockets();
    const sock = open(own, family, host);
    sock.sendto("from here", [host, Number(port)]);
    const [, ourPort] = sock.getsockname();
    await receiver.line(new RegExp(`^${host} port ${ourPort}: from here$`));
  },
  exampleTimeout,
);

needs("UDP-Lite with python3", hasUdplite && python !== null)(
  "examples/udplite.ts: CPython sends to it, and receives from it",
  async () => {
    using receiver = example("receive", "127.0.0.1", 0);
    const [port = ""] = await receiver.line(/^port (\d+), least coverage any$/);
    using peer = new Program([
      python!,
      "-u",
      "-c",
      `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE)
s.bind(("127.0.0.1", 0))
s.setsockopt(socket.IPPROTO_UDPLITE, socket.UDPLITE_SEND_CSCOV, 12)
s.setsockopt(socket.IPPROTO_UDPLITE, socket.UDPLITE_RECV_CSCOV, 20)
s.sendto(b"from python", ("127.0.0.1", int(sys.argv[1])))
print(s.getsockname()[1])
print(s.recv(100).decode())`,
      port,
    ]);
    const [theirs = ""] = await peer.line(/^(\d+)$/);
    await receiver.line(new RegExp(`^127\\.0\\.0\\.1 port ${theirs}: from python$`));
    for (const coverage of [19, 20])
      await example("send", "127.0.0.1", theirs, coverage, `covers ${coverage}, not less`).end();
    await peer.line(/^covers 20, not less$/);
  },
  exampleTimeout,
);
