/**
 * AF_NETLINK addresses: sockets' numbers, groups, and the kernel itself; and its answers, beside those that ip(8) gets.
 *
 * Peers: ip of iproute2, CPython.
 */
import { expect } from "bun:test";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  if_indextoname,
  if_nameindex,
  inet_ntop,
  inet_pton,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_CAP_ACK,
  NETLINK_DROP_MEMBERSHIP,
  NETLINK_EXT_ACK,
  NETLINK_GENERIC,
  NETLINK_LIST_MEMBERSHIPS,
  NETLINK_PKTINFO,
  NETLINK_ROUTE,
  NETLINK_USERSOCK,
  type NetlinkAddress,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOL_NETLINK,
} from "../../src/index.ts";
import {
  IFA_LABEL,
  IFA_LOCAL,
  IFA_ADDRESS,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_MTU,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTM_DELLINK,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTMGRP_LINK,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_LINK,
} from "../../src/all-constants.ts";
import { codeOf, isLinux, needs, python, pythonPeer, Sockets, thrown, worksInEmulator } from "../help.ts";
import { lacking, Network } from "../networks.ts";

const linux = needs("netlink", isLinux);
/** Netlink whose messages are nobody's business: an emulator knows few of its protocols. */
const users = needs(
  "netlink for programs",
  isLinux && worksInEmulator(() => new Socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK).close()),
);

function netlink(own: Sockets, proto: number = NETLINK_ROUTE): Socket<"AF_NETLINK"> {
  const sock = own.add(new Socket(AF_NETLINK, SOCK_RAW, proto));
  sock.settimeout(5);
  return sock;
}

linux("a socket that binds to 0 gets a number of its own", () => {
  using own = new Sockets();
  const first = netlink(own);
  expect(first.getsockname()).toEqual([0, 0]);
  first.bind([0, 0]);
  // The first one of a process and protocol has its process's id; somebody in this process may have been first.
  expect(first.getsockname()[0]).toBeGreaterThan(0);
  const second = netlink(own);
  second.bind([0, 0]);
  const [pid] = second.getsockname();
  expect(pid).toBeGreaterThan(0);
  expect(pid).not.toBe(first.getsockname()[0]);
});

users("the number that a socket asks for is the one that it has, though it be above 2^31", () => {
  using own = new Sockets();
  const sock = netlink(own, NETLINK_USERSOCK);
  const wanted = 0xfff0_0000 + (process.pid % 0x1_0000);
  sock.bind([wanted, 0]);
  expect(sock.getsockname()).toEqual([wanted, 0]);
  expect(codeOf(() => netlink(own, NETLINK_USERSOCK).bind([wanted, 0]))).toBe("EADDRINUSE");
  const error = thrown(() => netlink(own, NETLINK_USERSOCK).bind([wanted, 0]));
  expect(error.message).toStartWith("bind EADDRINUSE ");
  expect(error.address).toEqual([wanted, 0]);
});

linux("groups are a mask, and are told", () => {
  using own = new Sockets();
  const sock = netlink(own);
  sock.bind([0, (1 << 31) | 0x41]); // RTMGRP_LINK, RTMGRP_IPV4_ROUTE, and the highest of all: a negative number
  expect(sock.getsockname()[1]).toBe(0x8000_0041);
});

users("a peer may be named, and is told", () => {
  using own = new Sockets();
  const sock = netlink(own);
  expect(sock.getpeername()).toEqual([0, 0]); // the kernel
  sock.connect([0, 0]);
  expect(sock.getpeername()).toEqual([0, 0]);
  const user = netlink(own, NETLINK_USERSOCK);
  user.connect([4242, 0]);
  expect(user.getpeername()).toEqual([4242, 0]);
});

users("two sockets of programs talk, and each tells who it is", () => {
  using own = new Sockets();
  const [a, b] = [netlink(own, NETLINK_USERSOCK), netlink(own, NETLINK_USERSOCK)];
  a.bind([0, 0]);
  b.bind([0, 0]);
  a.sendto("hello", b.getsockname());
  const [data, from] = b.recvfrom(100);
  expect([data.toString(), from]).toEqual(["hello", a.getsockname()]);
  b.sendmsg(["and ", "back"], [], 0, from);
  const [answer, , , sender] = a.recvmsg(100);
  expect([answer.toString(), sender]).toEqual(["and back", b.getsockname()]);
  const nobody: NetlinkAddress = [0x7fff_fff1, 0];
  expect(codeOf(() => a.sendto("x", nobody))).toBe("ECONNREFUSED");
});

linux("the kernel answers a question for all links (RTM_GETLINK)", () => {
  using own = new Sockets();
  const sock = netlink(own);
  sock.bind([0, 0]);
  // struct nlmsghdr: length, type, flags, sequence, pid; then struct ifinfomsg. See rtnetlink(7).
  const [RTM_GETLINK, RTM_NEWLINK, NLMSG_DONE, NLM_F_REQUEST, NLM_F_DUMP] = [18, 16, 3, 1, 0x300];
  const request = Buffer.alloc(32);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(RTM_GETLINK, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request.writeUInt32LE(7, 8);
  expect(sock.sendto(request, [0, 0])).toBe(request.length);

  const links: [index: number, name: string][] = [];
  for (let done = false; !done;) {
    const [data, from] = sock.recvfrom(65536);
    expect(from).toEqual([0, 0]);
    for (let at = 0; at < data.length; at += (data.readUInt32LE(at) + 3) & ~3) {
      expect(data.readUInt32LE(at + 8)).toBe(7);
      expect(data.readUInt32LE(at + 12)).toBe(sock.getsockname()[0]);
      const type = data.readUInt16LE(at + 4);
      if (type === NLMSG_DONE) done = true;
      if (type !== RTM_NEWLINK) continue;
      const end = at + data.readUInt32LE(at);
      for (let attribute = at + 32; attribute < end; attribute += (data.readUInt16LE(attribute) + 3) & ~3) {
        if (data.readUInt16LE(attribute + 2) !== 3) continue; // IFLA_IFNAME
        const name = data.toString("latin1", attribute + 4, attribute + data.readUInt16LE(attribute) - 1);
        links.push([data.readInt32LE(at + 20), name]);
      }
    }
  }
  expect(links).toEqual(if_nameindex());
  expect(links.map(([, name]) => name)).toEqual(expect.arrayContaining(Object.keys(networkInterfaces())));
});

users("the kernel's refusal has the question's number in it", () => {
  using own = new Sockets();
  const sock = netlink(own, NETLINK_GENERIC);
  sock.connect([0, 0]);
  const request = Buffer.alloc(20);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(0x7fff, 4); // nobody's family
  request.writeUInt16LE(1 | 4, 6); // NLM_F_REQUEST, NLM_F_ACK
  request.writeUInt32LE(99, 8);
  sock.send(request);
  const answer = sock.recv(1024);
  expect(answer.readUInt16LE(4)).toBe(2); // NLMSG_ERROR
  expect(answer.readInt32LE(16)).toBeLessThan(0);
  expect(answer.readUInt32LE(28)).toBe(99);
});

users("what is no address is refused before anything is sent", () => {
  using own = new Sockets();
  const [a, b] = [netlink(own, NETLINK_USERSOCK), netlink(own, NETLINK_USERSOCK)];
  b.bind([0, 0]);
  b.setblocking(false);
  const [pid] = b.getsockname();
  for (const [address, error] of [
    [undefined, /^address: /],
    [pid, /^address: /],
    [[pid], /^address: /],
    [[pid, 0, 0], /^address: /],
    [["0", 0], /^address\[0\]: /],
    [[pid, null], /^address\[1\]: /],
    [[-1, 0], /^address\[0\]: /],
    [[pid, 2 ** 32], /^address\[1\]: /],
    [[pid, 0.5], /^address\[1\]: /],
  ] as const) {
    const wrong = address as unknown as NetlinkAddress;
    expect(() => a.bind(wrong)).toThrow(error);
    expect(() => a.connect(wrong)).toThrow(error);
    expect(() => a.sendto("x", wrong)).toThrow(error);
    if (address !== undefined) expect(() => a.sendmsg(["x"], [], 0, wrong)).toThrow(error);
  }
  expect(codeOf(() => b.recv(10))).toBe("EAGAIN");
  expect(a.getsockname()).toEqual([0, 0]);
});

(python === null ? needs("Python", false) : users)("CPython gives the same address", async () => {
  using own = new Sockets();
  const sock = netlink(own, NETLINK_USERSOCK);
  sock.settimeout(30); // Python starts slowly in an emulated machine
  sock.bind([0, 0]);
  const address = sock.getsockname();
  using peer = pythonPeer(
    `
s = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_USERSOCK)
s.bind((0, 0))
s.sendto(b"from python", (int(sys.argv[1]), 0))
data, address = s.recvfrom(100)
print(list(s.getsockname()), list(address), data.decode())`,
    [address[0]],
  );
  const [data, from] = sock.recvfrom(100);
  expect(data.toString()).toBe("from python");
  sock.sendto("from here", from);
  expect(await peer.output()).toBe(`[${from.join(", ")}] [${address.join(", ")}] from here`);
});

const network = needs(lacking, lacking === "");

interface Message {
  type: number;
  flags: number;
  sequence: number;
  /** What stands behind the header. */
  body: Buffer;
}

/** A message: `struct nlmsghdr`, then its body. */
function message(type: number, flags: number, body: Uint8Array, sequence = 1): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, body]);
}

function messagesIn(data: Buffer): Message[] {
  const found: Message[] = [];
  for (let at = 0; at < data.length; at += (data.readUInt32LE(at) + 3) & ~3) {
    found.push({
      type: data.readUInt16LE(at + 4),
      flags: data.readUInt16LE(at + 6),
      sequence: data.readUInt32LE(at + 8),
      body: data.subarray(at + 16, at + data.readUInt32LE(at)),
    });
  }
  return found;
}

/** The attributes that stand behind a body's structure. */
function attributesIn(body: Buffer, at: number): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (; at < body.length; at += (body.readUInt16LE(at) + 3) & ~3) {
    found.set(body.readUInt16LE(at + 2), body.subarray(at + 4, at + body.readUInt16LE(at)));
  }
  return found;
}

/** All that the kernel answers to a question for everything of a kind. */
function dump(sock: Socket<"AF_NETLINK">, type: number, family: number): Message[] {
  const body = Buffer.alloc(16); // struct ifinfomsg is the longest; in each, the family is first
  body.writeUInt8(family);
  sock.sendto(message(type, NLM_F_REQUEST | NLM_F_DUMP, body), [0, 0]);
  const all: Message[] = [];
  for (;;) {
    const [data, , , from] = sock.recvmsg(65536);
    expect(from).toEqual([0, 0]);
    for (const one of messagesIn(data)) {
      if (one.type === NLMSG_DONE) return all;
      expect(one.type).not.toBe(NLMSG_ERROR);
      all.push(one);
    }
  }
}

const textOf = (bytes: Buffer | undefined): string | undefined => bytes?.toString("latin1", 0, bytes.length - 1);
const hardware = (bytes: Buffer | undefined): string | undefined => bytes?.toString("hex").match(/../g)?.join(":");

/** What `ip -json` gives. */
type Json = Record<string, unknown>;

/** Two interfaces with addresses and routes. */
function furnished(): Network {
  const net = new Network();
  net.ip("link add d0 mtu 1400 address 02:00:00:00:00:d0 type veth peer name a-name-of-15-ch mtu 9000");
  net.ip("address add 10.1.0.1/24 dev d0");
  net.ip("address add 10.1.0.2/24 dev d0 label d0:second");
  net.ip("address add 10.2.0.1 peer 10.2.0.9/32 dev a-name-of-15-ch");
  net.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/d0/disable_ipv6");
  net.ip("address add fd00:1::1/64 dev d0 nodad");
  net.ip("link set a-name-of-15-ch up");
  net.ip("link set d0 up");
  net.ip("route add default via 10.1.0.254 metric 100");
  net.ip("route add 10.3.0.0/16 via 10.1.0.253 src 10.1.0.2 proto static");
  net.ip("route add blackhole 10.4.0.0/14");
  net.ip("route add unreachable 10.8.8.8");
  net.ip("route add 10.9.0.0/24 nexthop via 10.1.0.3 weight 2 nexthop dev a-name-of-15-ch weight 7");
  net.ip("route add 10.10.0.0/24 dev d0 table 1000");
  net.ip("route add 10.11.0.1 via 192.0.2.1 dev d0 onlink");
  net.ip("route add 10.12.0.0/16 via inet6 fd00:1::9 dev d0");
  net.ip("route add 10.13.0.0/16 tos 0x10 dev d0");
  net.ip("-6 route add fd00:2::/48 via fd00:1::9 metric 7");
  net.ip("-6 route add default via fd00:1::fe proto ra pref high");
  return net;
}

network("links, addresses and routes are those that ip has", () => {
  using own = new Sockets();
  using net = furnished();
  const sock = net.inside(() => netlink(own));
  const json = (command: string): Json[] => JSON.parse(net.ip(`-json ${command}`));

  const links = dump(sock, RTM_GETLINK, 0).map(({ type, body }) => {
    const attributes = attributesIn(body, 16);
    return {
      type,
      ifindex: body.readInt32LE(4),
      ifname: textOf(attributes.get(IFLA_IFNAME)),
      mtu: attributes.get(IFLA_MTU)?.readUInt32LE(),
      address: hardware(attributes.get(IFLA_ADDRESS)),
    };
  });
  const pick = (from: Json, ...names: string[]): Json => Object.fromEntries(names.map((name) => [name, from[name]]));
  expect(links as Json[]).toEqual(
    json("link").map((link) => ({ type: RTM_NEWLINK, ...pick(link, "ifindex", "ifname", "mtu", "address") })),
  );
  expect(links.map(({ ifname }) => ifname)).toEqual(["lo", "a-name-of-15-ch", "d0"]);

  const addresses = dump(sock, RTM_GETADDR, 0).map(({ type, body }) => {
    const attributes = attributesIn(body, 8);
    const family = body.readUInt8(0);
    const local = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)!;
    return {
      type,
      family: family === AF_INET6 ? "inet6" : "inet",
      ifindex: body.readUInt32LE(4),
      local: inet_ntop(family, local),
      prefixlen: body.readUInt8(1),
      label: textOf(attributes.get(IFA_LABEL)),
    };
  });
  const listed = json("address").flatMap(({ ifindex, addr_info: all }) =>
    (all as Json[]).map((one) => ({
      type: RTM_NEWADDR,
      ifindex,
      ...pick(one, "family", "local", "prefixlen", "label"),
    })),
  );
  const sorted = (all: Json[]): string[] =>
    all.map((one) => `${one["ifindex"]} ${one["local"]}/${one["prefixlen"]}`).sort();
  expect(sorted(addresses)).toEqual(sorted(listed));
  expect(addresses as Json[]).toEqual(expect.arrayContaining(listed));
  expect(addresses.length).toBeGreaterThan(5);

  for (const [family, option] of [
    [AF_INET, "-4"],
    [AF_INET6, "-6"],
  ] as const) {
    const routes = dump(sock, RTM_GETROUTE, family)
      .filter(({ body }) => body.readUInt8(4) === RT_TABLE_MAIN)
      .map(({ type, body }) => {
        expect([type, body.readUInt8(0)]).toEqual([RTM_NEWROUTE, family]);
        const attributes = attributesIn(body, 12);
        const address = (name: number): string | undefined => {
          const value = attributes.get(name);
          return value === undefined ? undefined : inet_ntop(family, value);
        };
        const [to, bits] = [address(RTA_DST), body.readUInt8(1)];
        const device = attributes.get(RTA_OIF)?.readInt32LE();
        return {
          dst: to === undefined ? "default" : bits === (family === AF_INET ? 32 : 128) ? to : `${to}/${bits}`,
          gateway: address(RTA_GATEWAY),
          dev: device === undefined ? undefined : net.inside(() => if_indextoname(device)),
          prefsrc: address(RTA_PREFSRC),
          metric: attributes.get(RTA_PRIORITY)?.readUInt32LE(),
        };
      });
    const expected = json(`${option} route`).map((one) => pick(one, "dst", "gateway", "dev", "prefsrc", "metric"));
    expect(routes as Json[]).toEqual(expected);
    expect(routes.length).toBeGreaterThan(2);
  }
});

network("the example route-list.ts prints what `ip route` prints", () => {
  using net = furnished();
  const program = join(import.meta.dir, "..", "..", "examples", "route-list.ts");
  const lines = (text: string): string[] => text.split("\n").map((line) => line.trim().replaceAll(/ +/g, " "));
  for (const option of [[], ["-6"]]) {
    const expected = lines(net.run("ip", ...option, "route"));
    expect(lines(net.run(process.execPath, program, ...option))).toEqual(expected);
    expect(expected.length).toBeGreaterThan(3);
  }
});

for (const how of ["the groups of its address", "NETLINK_ADD_MEMBERSHIP"]) {
  network(`a socket that joined by ${how} sees a link come and go`, () => {
    using own = new Sockets();
    using net = new Network();
    const sock = net.inside(() => netlink(own));
    if (how === "NETLINK_ADD_MEMBERSHIP") {
      sock.bind([0, 0]);
      sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK);
      sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_IPV4_IFADDR);
      sock.setsockopt(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, RTNLGRP_IPV4_IFADDR);
    } else sock.bind([0, RTMGRP_LINK]);
    expect(sock.getsockname()[1]).toBe(RTMGRP_LINK);
    const memberships = sock.getsockopt(SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, 8);
    expect(memberships.readUInt32LE()).toBe(1 << (RTNLGRP_LINK - 1));
    const names = (type: number): string | undefined => {
      for (;;) {
        const [data, from] = sock.recvfrom(65536);
        expect(from).toEqual([0, RTMGRP_LINK]); // the kernel, to that group
        for (const one of messagesIn(data)) {
          expect([RTM_NEWLINK, RTM_DELLINK]).toContain(one.type);
          const name = textOf(attributesIn(one.body, 16).get(IFLA_IFNAME));
          if (one.type === type && name !== "other") return name;
        }
      }
    };
    net.ip("link add come type veth peer name other");
    expect(names(RTM_NEWLINK)).toBe("come");
    net.ip("address add 10.0.0.1/32 dev come"); // of which this group says nothing
    net.ip("link del come");
    expect(names(RTM_DELLINK)).toBe("come");
  });
}

network("the group that a message came to is told by NETLINK_PKTINFO", () => {
  using own = new Sockets();
  using net = new Network();
  const sock = net.inside(() => netlink(own));
  sock.bind([0, RTMGRP_LINK]);
  sock.setsockopt(SOL_NETLINK, NETLINK_PKTINFO, 1);
  net.ip("link add come type veth peer name other");
  const [, ancillary, , from] = sock.recvmsg(65536, 100);
  expect(from).toEqual([0, RTMGRP_LINK]);
  expect(ancillary).toEqual([[SOL_NETLINK, NETLINK_PKTINFO, Buffer.from(Uint32Array.of(RTNLGRP_LINK).buffer)]]);
});

network("a message goes to a group, and to one socket besides", () => {
  using own = new Sockets();
  using net = new Network();
  const [a, b, other] = net.inside(() => [1, 2, 3].map(() => netlink(own, NETLINK_USERSOCK)) as never) as [
    Socket<"AF_NETLINK">,
    Socket<"AF_NETLINK">,
    Socket<"AF_NETLINK">,
  ];
  a.bind([0, 0]);
  b.bind([0, 0b1000]);
  other.bind([0, 0b0100]);
  const address = [other.getsockname()[0], 0b1000] as const;
  expect(a.sendto("to the group", address)).toBe(12);
  const from = [a.getsockname()[0], 0b1000] as const;
  expect(b.recvfrom(100)).toEqual([Buffer.from("to the group"), from]);
  expect(other.recvfrom(100)).toEqual([Buffer.from("to the group"), from]);
  expect(codeOf(() => a.sendto("to the group alone", [0, 0b1000]))).toBe("ECONNREFUSED"); // 0, too: the kernel hears none
  expect(b.recv(100).toString()).toBe("to the group alone");
  other.setblocking(false);
  expect(codeOf(() => other.recv(100))).toBe("EAGAIN");
});

network("NETLINK_EXT_ACK: the kernel says in words what it refuses", () => {
  using own = new Sockets();
  using net = new Network();
  const sock = net.inside(() => netlink(own));
  sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1);
  sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1);
  const ask = (type: number, body: Uint8Array): Message => {
    sock.sendto(message(type, NLM_F_REQUEST | NLM_F_ACK, body, 77), [0, 0]);
    const [answer] = messagesIn(sock.recv(65536)) as [Message];
    expect([answer.type, answer.sequence]).toEqual([NLMSG_ERROR, 77]);
    expect(answer.body.readUInt16LE(8)).toBe(type); // struct nlmsgerr: the error, then the question's header
    return answer;
  };
  // A route by a gateway that no interface reaches: struct rtmsg, RTA_DST, RTA_GATEWAY.
  const attribute = (type: number, value: Uint8Array): Buffer => {
    const header = Buffer.alloc(4);
    header.writeUInt16LE(4 + value.length, 0);
    header.writeUInt16LE(type, 2);
    return Buffer.concat([header, value]);
  };
  const route = Buffer.concat([
    Buffer.from([AF_INET, 24, 0, 0, RT_TABLE_MAIN, 4, 0, 1, 0, 0, 0, 0]),
    attribute(RTA_DST, inet_pton(AF_INET, "192.0.2.0")),
    attribute(RTA_GATEWAY, inet_pton(AF_INET, "198.51.100.1")),
  ]);
  const refused = ask(RTM_NEWROUTE, route);
  expect(refused.body.readInt32LE()).toBe(-101); // ENETUNREACH
  expect(refused.flags & (NLM_F_ACK_TLVS | NLM_F_CAPPED)).toBe(NLM_F_ACK_TLVS | NLM_F_CAPPED);
  expect(textOf(attributesIn(refused.body, 20).get(NLMSGERR_ATTR_MSG))).toBe("Nexthop has invalid gateway");
  // And an answer that is no error: lo is set to what it is.
  const link = Buffer.alloc(16);
  link.writeInt32LE(1, 4);
  const agreed = ask(RTM_NEWLINK, link);
  expect(agreed.body.readInt32LE()).toBe(0);
  expect(agreed.flags & NLM_F_ACK_TLVS).toBe(0);
});

(python === null ? needs("Python", false) : users)("CPython refuses the same addresses", async () => {
  const addresses = ["(0,)", "(0, 0, 0)", "('0', 0)", "(0, None)", "0", "(0.5, 0)"];
  using peer = pythonPeer(
    `
s = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_USERSOCK)
for address in sys.argv[1:]:
    try: s.bind(eval(address)); print("taken")
    except Exception as e: print(type(e).__name__)`,
    addresses,
  );
  using sock = new Socket(AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK);
  const here = [[0], [0, 0, 0], ["0", 0], [0, null], 0, [0.5, 0]].map((address) => {
    try {
      sock.bind(address as unknown as NetlinkAddress);
      return "taken";
    } catch (error) {
      return (error as Error).name;
    }
  });
  expect((await peer.output()).split("\n")).toEqual(here);
});
