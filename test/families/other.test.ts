/**
 * Families without a file of their own: `[family, bytes]`, in both directions, by sockets of families that the kernel has.
 *
 * Peers: none, the kernel alone.
 */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_KEY,
  AF_NETLINK,
  AF_PHONET,
  AF_SMC,
  AF_XDP,
  if_nametoindex,
  NETLINK_ROUTE,
  type OtherAddress,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  Socket,
} from "../../src/index.ts";
import {
  IFA_LOCAL,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  RTM_NEWADDR,
} from "../../src/all-constants.ts";
import { codeOf, isLinux, isRoot, needs, slowness, Sockets, works } from "../help.ts";
import { lacking, Network } from "../networks.ts";

const has = (family: number, type: number, proto = 0): boolean =>
  isLinux && works(() => new Socket(family, type, proto));

// These change what a whole network has, so it is one of their own.
const phonet = needs("AF_PHONET and networks", lacking === "" && has(AF_PHONET, SOCK_DGRAM));
const xdp = needs("AF_XDP and root", isRoot && has(AF_XDP, SOCK_RAW));
const PF_KEY_V2 = 2;
const key = needs("AF_KEY and networks", lacking === "" && has(AF_KEY, SOCK_RAW, PF_KEY_V2));
const smc = needs("AF_SMC", has(AF_SMC, SOCK_STREAM));

/** The bytes of a `struct sockaddr_pn` behind its family: an object, a device, a resource, then nothing. */
const phonetName = (object: number, device: number, resource = 0): OtherAddress => [
  AF_PHONET,
  Buffer.concat([Buffer.from([object, device, resource]), Buffer.alloc(11)]),
];

/** Gives a network's loopback an address of Phonet, which ip(8) cannot. */
function addPhonetAddress(net: Network, address: number): void {
  using sock = net.inside(() => new Socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
  sock.settimeout(5 * slowness);
  const request = Buffer.alloc(32); // struct nlmsghdr, struct ifaddrmsg, an attribute of a byte
  request.writeUInt32LE(29, 0);
  request.writeUInt16LE(RTM_NEWADDR, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 6);
  request.set([AF_PHONET, 0], 16);
  request.writeUInt32LE(
    net.inside(() => if_nametoindex("lo")),
    20,
  );
  request.writeUInt16LE(5, 24);
  request.writeUInt16LE(IFA_LOCAL, 26);
  request[28] = address;
  sock.sendto(request, [0, 0]);
  const answer = sock.recv(1000);
  expect([answer.readUInt16LE(4), answer.readInt32LE(16)]).toEqual([NLMSG_ERROR, 0]);
}

phonet("AF_PHONET: datagrams between two objects, by their bytes", () => {
  using own = new Sockets();
  using net = new Network();
  const device = 0x10;
  addPhonetAddress(net, device);
  const open = (): Socket<"other"> => own.add(net.inside(() => new Socket<"other">(AF_PHONET as number, SOCK_DGRAM)));
  const [a, b] = [open(), open()];
  for (const sock of [a, b]) {
    sock.settimeout(5 * slowness);
    expect(sock.getsockname()).toEqual(phonetName(0, 0));
    sock.bind(phonetName(0, device)); // object 0 is one that the kernel chooses
    const [family, bytes] = sock.getsockname();
    expect([family, bytes.length, bytes[1]]).toEqual([AF_PHONET, 14, device]);
    expect(bytes[0]).toBeGreaterThan(0);
  }
  const to = b.getsockname();
  expect(a.sendto("hello", to)).toBe(5);
  expect(b.recvfrom(100)).toEqual([Buffer.from("hello"), a.getsockname()]);
  b.sendmsg(["and ", "back"], [], 0, [AF_PHONET, new Uint8Array(a.getsockname()[1]).buffer]);
  expect(a.recvmsg(100)).toEqual([Buffer.from("and back"), [], 0, to]);
  expect(codeOf(() => a.bind(phonetName(0, 0x20)))).toMatch(/^(EINVAL|EADDRNOTAVAIL)$/); // it is bound
  const other = open();
  expect(codeOf(() => other.bind(phonetName(0, 0x20)))).toBe("EADDRNOTAVAIL"); // nobody's device
  expect(codeOf(() => other.bind([AF_PHONET, Buffer.alloc(3)]))).toBe("EINVAL"); // too short
  expect(codeOf(() => other.bind([AF_INET, Buffer.alloc(14)]))).toBe("EAFNOSUPPORT");
});

xdp("AF_XDP: a descriptor tells its family, though the family has no getsockname", () => {
  const sock = new Socket<"other">(AF_XDP as number, SOCK_RAW);
  using moved = new Socket({ fileno: sock.detach() });
  expect([moved.family, moved.type, moved.proto]).toEqual([AF_XDP as number, SOCK_RAW, 0]);
});

xdp("AF_XDP: the kernel reads what is in the bytes", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_XDP, SOCK_RAW));
  // struct sockaddr_xdp behind its family: flags, an interface, a queue, another socket.
  const name = (flags: number, ifindex: number): OtherAddress => {
    const bytes = Buffer.alloc(14);
    bytes.writeUInt16LE(flags, 0);
    bytes.writeUInt32LE(ifindex, 2);
    return [AF_XDP, bytes];
  };
  expect(codeOf(() => sock.bind(name(0, 0x7fff_fff0)))).toBe("ENODEV");
  expect(codeOf(() => sock.bind(name(0, if_nametoindex("lo"))))).toBe("EINVAL"); // it has no rings
  expect(codeOf(() => sock.bind(name(0x8000, 0x7fff_fff0)))).toBe("EINVAL"); // no such flag
  expect(codeOf(() => sock.bind([AF_XDP, Buffer.alloc(13)]))).toBe("EINVAL");
  expect(codeOf(() => sock.bind([AF_INET, Buffer.alloc(14)]))).toBe("EINVAL");
});

key("AF_KEY: messages without addresses", () => {
  using own = new Sockets();
  using net = new Network();
  const sock = own.add(net.inside(() => new Socket(AF_KEY, SOCK_RAW, PF_KEY_V2)));
  sock.settimeout(5 * slowness);
  // struct sadb_msg, RFC 2367: version 2, SADB_FLUSH of every kind of association; sixteen bytes are two words.
  const flush = Buffer.from([2, 9, 0, 0, 2, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]);
  flush.writeUInt32LE(process.pid, 12);
  expect(sock.send(flush)).toBe(16);
  const [answer, from] = sock.recvfrom(1000);
  expect([answer[0], answer[1], answer.readUInt32LE(8), answer.readUInt32LE(12)]).toEqual([2, 9, 77, process.pid]);
  expect(from).toBeNull();
});

smc("AF_SMC: addresses of AF_INET", () => {
  using own = new Sockets();
  const server = own.add(new Socket(AF_SMC, SOCK_STREAM));
  server.settimeout(5 * slowness);
  server.bind(["127.0.0.1", 0]);
  const to = server.getsockname();
  expect(to).toEqual(["127.0.0.1", expect.any(Number) as never]);
  server.listen();
  const client = own.add(new Socket(AF_SMC, SOCK_STREAM));
  client.settimeout(5 * slowness);
  client.connect(to);
  const [conn, address] = server.accept();
  own.add(conn).settimeout(5 * slowness);
  expect(address).toEqual(client.getsockname());
  client.send("by TCP, where there is no shared memory");
  expect(conn.recv(100).toString()).toBe("by TCP, where there is no shared memory");
});

needs("family without a codec", has(AF_PHONET, SOCK_DGRAM) || has(AF_XDP, SOCK_RAW))(
  "what is no address is refused before any call",
  () => {
    using sock = has(AF_PHONET, SOCK_DGRAM) ? new Socket(AF_PHONET, SOCK_DGRAM) : new Socket(AF_XDP, SOCK_RAW);
    for (const [address, error] of [
      [undefined, /^address: /],
      ["x", /^address: /],
      [[AF_PHONET], /^address: /],
      [[AF_PHONET, Buffer.alloc(1), 0], /^address: /],
      [["35", Buffer.alloc(1)], /^address\[0\]: /],
      [[-1, Buffer.alloc(1)], /^address\[0\]: /],
      [[0x10000, Buffer.alloc(1)], /^address\[0\]: /],
      [[AF_PHONET, 5], /^address\[1\]: /],
      [[AF_PHONET, Buffer.alloc(127)], /^address\[1\]: /],
    ] as const) {
      const wrong = address as unknown as OtherAddress;
      expect(() => sock.bind(wrong)).toThrow(error);
      expect(() => sock.sendto("x", wrong)).toThrow(error);
    }
  },
);
