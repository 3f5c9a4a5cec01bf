/**
 * Addresses of IPv4 and IPv6 as arguments, right and wrong, and as answers.
 */
import {
  AF_INET,
  AF_INET6,
  EDESTADDRREQ,
  IPPROTO_IPV6,
  IPV6_FLOWINFO_SEND,
  IPV6_FLOWLABEL_MGR,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../../src/index.ts";
import { hasFlowLabels } from "../help.ts";
import { type Call, compare, type Difference, product, ref, type Row } from "./compare.ts";

const udp4: Call = ["s = Socket", AF_INET, SOCK_DGRAM];
const udp6: Call = ["s = Socket", AF_INET6, SOCK_DGRAM];
const tcp4: Call = ["s = Socket", AF_INET, SOCK_STREAM];
const tcp6: Call = ["s = Socket", AF_INET6, SOCK_STREAM];

const wrongHosts = [undefined, null, 1, 1.5, [], ["127.0.0.1"]];
const wrongPorts = [
  undefined,
  null,
  "80",
  "",
  1.5,
  NaN,
  Infinity,
  [],
  -1,
  65536,
  2 ** 31,
  2 ** 32,
  2 ** 63,
  2 ** 64,
  -(2 ** 63),
];
const noAddresses = [undefined, null, "127.0.0.1", "", 1, 1.5, [], ["127.0.0.1"], Buffer.of(1)];
const shapes4 = [
  ...noAddresses,
  ...[
    ["127.0.0.1", 0, 0],
    ["127.0.0.1", 0, 0, 0],
    ["127.0.0.1", 0, "x"],
  ],
  ...wrongHosts.map((host) => [host, 0]),
  ...wrongPorts.map((port) => ["127.0.0.1", port]),
  // Wrong in two places: which is told first is our own affair, but it is no system call.
  ...wrongPorts.map((port) => ["", port]),
];
const shapes6 = [
  ...noAddresses,
  ...[["::1", 0, 0, 0, 0], ["::1"], ["::1", 0, "x"], ["::1", 0, 0, "x"], ["::1", 0, 1.5], ["::1", 0, 0, 1.5]],
  ...[
    ["::1", 0, -1],
    ["::1", 0, 0x100000],
  ],
  ...[
    ["::1", 0, null],
    ["::1", 0, 0, null],
    ["::1", 0, undefined],
    ["::1", 0, 0, undefined],
    ["::1", 0, 0xfffff],
    ["::1", 0, 1, 0],
  ],
  ...wrongHosts.map((host) => [host, 0]),
  ...wrongPorts.map((port) => ["::1", port]),
];

const hosts4 = [
  ...[
    "127.0.0.1",
    "127.1.2.3",
    "",
    "0.0.0.0",
    "<broadcast>",
    "255.255.255.255",
    "1.2.3.4",
    "224.0.0.1",
    "240.0.0.1",
    "localhost",
  ],
  ...["127.1", "1", "0x7f.1", "010.1.1.1", "0177.0.0.1", "::1", "１２７.0.0.1"],
];
const hosts6 = [
  ...["::1", "", "::", "::ffff:127.0.0.1", "::ffff:1.2.3.4", "1::2", "ff02::1", "ff01::1", "fe80::1", "::127.0.0.1"],
  ...["::1%1", "0:0:0:0:0:0:0:1"],
];
const methods = ["s.bind", "s.connect", "s.connectEx"];

/** A message to nobody: what the system says of it is the same, whether the address is `null` or left out. */
const withoutAddress = (open: Call): Difference => ({
  script: [open, ["s.sendmsg", [Buffer.of(1)], [], 0, undefined], ["s.sendmsg", [Buffer.of(1)], [], 0, null]],
  ours: [
    { socket: open.slice(1).concat(0) },
    { error: "OSError", errno: EDESTADDRREQ, reason: "Destination address required" },
    { error: "OSError", errno: EDESTADDRREQ, reason: "Destination address required" },
  ],
  why: "undefined is an argument left out; Python has no such value",
});

// A flow label is not told unless it is asked for, and not taken unless it was leased (struct in6_flowlabel_req).
const lease = Buffer.concat([Buffer.from("00000000000000000000000000000001", "hex"), Buffer.alloc(16)]);
lease.writeUInt32BE(0x12345, 16); // the label
lease[21] = 255; // shared with anybody
lease.writeUInt16LE(1, 22); // made where it is not there
const flow: Row = [
  udp6,
  ["s.setsockopt", IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, lease],
  ["s.setsockopt", IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1],
  ["s.connect", ["::1", 9, 0x12345, 0]],
  ["s.getpeername"],
  ["s.getsockname?"],
  ["s.connect", ["::1", 9, 0x54321]],
];

const FLOW = "a flow label";
const groups: Record<string, readonly Row[]> = {
  "shapes of IPv4 addresses": [
    ...product([udp4, tcp4], methods, shapes4).map(([open, what, address]): Row => [
      open as Call,
      [what as string, address],
    ]),
    ...shapes4.map((address): Row => [udp4, ["s.sendto", Buffer.of(1), address]]),
    ...shapes4.map((address): Row => [udp4, ["s.sendto", Buffer.of(1), 0, address]]),
    ...shapes4
      .filter((address) => address !== null && address !== undefined)
      .map((address): Row => [udp4, ["s.sendmsg", [Buffer.of(1)], [], 0, address]]),
    withoutAddress(udp4),
  ],
  "shapes of IPv6 addresses": [
    ...product([udp6, tcp6], methods, shapes6).map(([open, what, address]): Row => [
      open as Call,
      [what as string, address],
    ]),
    ...shapes6.map((address): Row => [udp6, ["s.sendto", Buffer.of(1), address]]),
    ...shapes6
      .filter((address) => address !== null && address !== undefined)
      .map((address): Row => [udp6, ["s.sendmsg", [Buffer.of(1)], [], 0, address]]),
    withoutAddress(udp6),
  ],
  "hosts to bind to": [
    ...product([udp4, tcp4], hosts4).map(([open, host]): Row => [
      open as Call,
      ["s.bind", [host, 0]],
      ["s.bind", [host, 0]],
    ]),
    ...product([udp6, tcp6], hosts6).map(([open, host]): Row => [
      open as Call,
      ["s.bind", [host, 0]],
      ["s.bind", [host, 0]],
    ]),
    ...product([udp6], ["::1", "fe80::1", "ff02::1"], [0, 5], [0, 1, 99999, 2 ** 32 - 1]).map(
      ([open, host, flow, scope]): Row => [open as Call, ["s.bind", [host, 0, flow, scope]]],
    ),
    ...product([udp4, tcp6], ["a".repeat(64), "a..b", ".a", "é/x", "é:80"]).map(([open, host]): Difference => ({
      script: [open as Call, ["s.bind", [host, 0]]],
      ours: [{ socket: (open as Call).slice(1).concat(0) }, { error: "RangeError" }],
      why: "no host's name, for getaddrinfo of both either; here Python asks the system",
    })),
    ...product([udp4, tcp6], ["\ud800", "a\0b"]).map(([open, host]): Difference => ({
      script: [open as Call, ["s.bind", [host, 0]]],
      ours: [{ socket: (open as Call).slice(1).concat(0) }, { error: "RangeError" }],
      why: "a string is the right type, and these are wrong values",
    })),
    ...[
      ["::1", 0, 2 ** 32],
      ["::1", 0, 0, 2 ** 32],
    ].map((address): Difference => ({
      script: [udp6, ["s.bind", address]],
      ours: [{ socket: [AF_INET6, SOCK_DGRAM, 0] }, { error: "RangeError" }],
      why: "Python takes the last 32 bits",
    })),
  ],
  "hosts to send to and connect to": [
    ...["127.0.0.1", "", "0.0.0.0", "<broadcast>", "255.255.255.255", "127.255.255.255", "localhost"].map(
      (host): Row => [
        udp4,
        ["s.sendto", Buffer.of(1), [host, 9]],
        ["s.sendto", Buffer.of(1), [host, 0]],
        ["s.connect", [host, 9]],
        ["s.getpeername"],
        ["s.sendto", Buffer.of(1), [host, 9]],
      ],
    ),
    ...["::1", "", "::", "::ffff:127.0.0.1"].map((host): Row => [
      udp6,
      ["s.sendto", Buffer.of(1), [host, 0]],
      ["s.connect", [host, 9]],
      ["s.getpeername"],
      ["s.connect", [host, 9, 0x12345, 0]],
      ["s.getpeername"],
    ]),
    ...["127.0.0.1", "localhost", "", "255.255.255.255"].map((host): Row => [
      tcp4,
      ["s.connect", [host, 1]],
      ["s.connectEx", [host, 1]],
      ["s.getpeername"],
      ["s.connect", [host, 0]],
    ]),
    ...["::1", "", "::ffff:127.0.0.1", "ff02::1"].map((host): Row => [
      tcp6,
      ["s.connect", [host, 1]],
      ["s.connectEx", [host, 1]],
    ]),
    [tcp4, ["s.settimeout", 5], ["s.connect", ["127.0.0.1", 1]], ["s.connectEx", ["127.0.0.1", 1]]],
    [tcp4, ["s.sendto", Buffer.of(1), ["127.0.0.1", 1]], ["s.getpeername"], ["s.recv", 1], ["s.send", Buffer.of(1)]],
  ],
  [FLOW]: [flow],
  "a connection, a datagram": [
    [
      ["l = createServer", ["127.0.0.1", 0]],
      ["c = Socket"],
      ["c.connect", ref("l", "getsockname")],
      ["c.connect", ref("l", "getsockname")],
      ["c.connectEx", ref("l", "getsockname")],
      ["a, from = l.accept?"],
      ["a.getpeername?"],
      ["a.gettimeout"],
      ["a.getInheritable"],
      ["c.send", Buffer.from("hello")],
      ["a.recvfrom", 10],
      ["c.close"],
      ["a.recvmsg", 10],
    ],
    [
      udp4,
      ["s.bind", ["127.0.0.1", 0]],
      ["t = Socket", AF_INET, SOCK_DGRAM],
      ["t.connect", ref("s", "getsockname")],
      ["t.send", Buffer.from("one")],
      ["t.send", Buffer.alloc(0)],
      ["s.recv", 2],
      ["s.recv", 2],
      ["s.getpeername"],
      ["t.bind", ["127.0.0.1", 0]],
    ],
  ],
};

compare(groups, { [FLOW]: ["IPV6_FLOWLABEL_MGR", hasFlowLabels] });
