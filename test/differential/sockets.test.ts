/**
 * The socket object: how it is made, its modes, its life, what it says of wrong arguments. Nothing here waits.
 */
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  NETLINK_GENERIC,
  SCM_RIGHTS,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
} from "../../src/index.ts";
import { UNIX_PATH_MAX } from "../../src/families/unix.ts";
import { codeOf, looksAtDescriptorFirst, worksInEmulator } from "../help.ts";
import { type Call, compare, type Difference, directory, product, ref, type Row } from "./compare.ts";

/** A row for each choice of arguments: the calls before, then `what` of them. */
const each = (before: readonly Call[], what: string, ...lists: readonly (readonly unknown[])[]): Row[] =>
  product(...lists).map((args): Row => [...before, [what, ...args]]);

const tcp: Call = ["s = Socket", AF_INET, SOCK_STREAM];
const udp: Call = ["s = Socket", AF_INET, SOCK_DGRAM];
const pair: Call = ["s, t = socketpair"];
const pairMade = [{ socket: [AF_UNIX, SOCK_STREAM, 0] }, { socket: [AF_UNIX, SOCK_STREAM, 0] }];
const nonBlocking = SOCK_NONBLOCK ?? 0;
const cloexec = SOCK_CLOEXEC ?? 0;
const wrong = [undefined, null, "1", 1.5, NaN, Infinity, [], Buffer.of(1)];
/** For arguments that may be left out, which `undefined` does: {@link leftOut} has it. */
const wrongSizes = wrong.filter((value) => value !== undefined);
const leftOut = "undefined is an argument left out; Python has no such value";
const ints = [-1, -2, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 63, 2 ** 64, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 63)];
const timeouts = [
  ...[null, 0, -0, 1, 2.5, 0.001, 1e-9, 60, 1e6, 1e9, 9223372036, 9223372037, 1e10, 1e15, 1e18, 1e19, 1e25, 1e300],
  ...[-1, -1e-9, -0.5, -1e300, NaN, Infinity, -Infinity, Number.MAX_VALUE, 2 ** 31, 2 ** 32, 2 ** 53],
];
const noTimeouts = [undefined, "1", "", [], [1], Buffer.of(1)];

// What every method says of a socket that is closed, with arguments that are right, and without a byte to wait for.
const onClosed: Call[] = [
  ["s.fileno"],
  ["s.family"],
  ["s.type"],
  ["s.proto"],
  ["s.gettimeout"],
  ["s.getblocking"],
  ["s.accept"],
  ["s.bind", ["127.0.0.1", 0]],
  ["s.connect", ["127.0.0.1", 9]],
  ["s.connectEx", ["127.0.0.1", 9]],
  ["s.getpeername"],
  ["s.getsockname"],
  ["s.getsockopt", SOL_SOCKET, SO_TYPE],
  ["s.getsockopt", SOL_SOCKET, SO_TYPE, 4],
  ["s.setsockopt", SOL_SOCKET, SO_TYPE, 1],
  ["s.setsockopt", SOL_SOCKET, SO_TYPE, Buffer.alloc(4)],
  ["s.listen"],
  ["s.listen", 1],
  ["s.recv", 1],
  ["s.recvfrom", 1],
  ["s.recvmsg", 1],
  ["s.send", Buffer.of(1)],
  ["s.send", Buffer.alloc(0)],
  ["s.sendall", Buffer.of(1)],
  ["s.sendto", Buffer.of(1), ["127.0.0.1", 9]],
  ["s.sendmsg", [Buffer.of(1)]],
  ["s.shutdown", SHUT_RDWR],
  ["s.dup"],
  ["s.getInheritable"],
  ["s.setInheritable", true],
  ["s.setblocking", false],
  ["s.setblocking", true],
  ["s.settimeout", 1],
  ["s.settimeout", null],
  ["s.detach"],
  ["s.close"],
  ["b = writable", 4],
  ["s.recvInto", ref("b")],
  ["s.recvfromInto", ref("b")],
  ["s.recvmsgInto", [ref("b")]],
];

/** Paths from the shortest in the directory to the longest that leaves room for a NUL. */
const lengths = Array.from({ length: UNIX_PATH_MAX }, (_, length) => length).filter((n) => n > directory.length + 1);
const pathOf = (length: number): string => `${directory}/`.padEnd(length, "x");

const NETLINK = "netlink sockets";
const TYPES = "Socket: unknown bits of the type";
const NULL = "setsockopt of null without a descriptor";

const groups: Record<string, readonly Row[]> = {
  "Socket: families, types, protocols": [
    ...each(
      [],
      "s = Socket",
      Array.from({ length: 46 }, (_, i) => i).filter((family) => family !== AF_NETLINK),
      [1, 2, 3, 4, 5],
      [0, 1, 6, 17, 255],
    ),
    ...each([], "s = Socket", [AF_INET, AF_INET6, AF_UNIX], [0, 6, 10, 11, 2 ** 31 - 1], [0, 6]),
    ...each(
      [],
      "s = Socket",
      [AF_INET, AF_INET6],
      [1, 2, 3, 5],
      [1, 2, 6, 17, 33, 41, 58, 132, 136, 256, 262, 263, -2],
    ),
    ...each([], "s = Socket", [46, 99, 255, 256, 65535, 65536, 2 ** 31 - 1], [1, 2], [0]),
    [["s = Socket"], ["s.fileno?"], ["s.gettimeout"], ["s.getblocking"], ["s.getInheritable"]],
    ...[[-1], [-2], [AF_INET, -1], [AF_INET, -2]].map((args): Difference => ({
      script: [["s = Socket", ...args]],
      ours: [{ error: "RangeError" }],
      why: "-1 stands for what a descriptor tells, and here is none: it is refused, as -2 is",
    })),
  ],
  [NETLINK]: each([], "s = Socket", [AF_NETLINK ?? 16], [1, 2, 3, 4, 5], [0, 1, 6, 17, 255]),
  [TYPES]: each([], "s = Socket", [AF_INET, AF_INET6, AF_UNIX], [16, 32, 0x100, 0x1001], [0, 6]),
  "Socket: wrong arguments": [
    ...each([], "s = Socket", [...wrong, 2 ** 31, 2 ** 32, 2 ** 64, -(2 ** 31) - 1]),
    ...each([], "s = Socket", [AF_INET], [...wrong, 2 ** 31, 2 ** 32, 2 ** 64]),
    ...each([], "s = Socket", [AF_INET], [SOCK_STREAM], [...wrong, 2 ** 31, 2 ** 32, 2 ** 64]),
    ...[undefined, "1", 1.5, [], -1, 2 ** 31, 2 ** 31 - 1, 999].map((fileno): Row => [["s = Socket", { fileno }]]),
    ...each([], "x = Socket", [AF_INET], [1], [0], [{ fileno: 999 }, { nosuch: 1 }]),
  ],
  "Socket: bits of the type": product(
    [AF_INET, AF_UNIX, AF_INET6],
    [SOCK_STREAM, SOCK_DGRAM].flatMap((type) =>
      [0, nonBlocking, cloexec, nonBlocking | cloexec].map((bits) => type | bits),
    ),
  ).map(([family, type]): Row => [
    ["s = Socket", family, type],
    ["s.type"],
    ["s.gettimeout"],
    ["s.getblocking"],
    ["s.getInheritable"],
    ["d = s.dup"],
    ["d.gettimeout"],
    ["d.type"],
  ]),
  "Socket: a descriptor that is there": [
    ...product([AF_INET, AF_INET6, AF_UNIX], [SOCK_STREAM, SOCK_DGRAM]).flatMap(([family, type]): Row[] => [
      [["a = Socket", family, type], ["s = Socket", { fileno: ref("a", "fileno") }], ["s.fileno?"], ["a.detach?"]],
      [["a = Socket", family, type], ["s = Socket", -1, -1, -1, { fileno: ref("a", "fileno") }], ["a.detach?"]],
      [["a = Socket", family, type], ["s = Socket", 7, 3, 5, { fileno: ref("a", "fileno") }], ["a.detach?"]],
      [["a = Socket", family, type], ["s = Socket", -1, 3, -1, { fileno: ref("a", "fileno") }], ["a.detach?"]],
      [
        ["a = Socket", family, type],
        ["s = fromfd", ref("a", "fileno"), family, type],
        ["s.fileno?"],
        ["a.close"],
        ["s.type"],
      ],
      [["a = Socket", family, type], ["s = fromfd", ref("a", "fileno"), family, type, 17], ["s.getInheritable"]],
    ]),
    [["fromfd", 999, AF_INET, SOCK_STREAM]],
    ...each([], "fromfd", [undefined, null, "1", 1.5, []], [AF_INET], [SOCK_STREAM]),
    ...each([], "dup", [999, ...wrong, 2 ** 63]),
    ...each([], "close", [999, ...wrong, 2 ** 63]),
  ],
  socketpair: [
    ...each(
      [],
      "s, t = socketpair",
      [AF_UNIX, AF_INET, AF_INET6, 0, 3, 16, 99],
      [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, 3, 9],
      [0, 1, 6],
    ),
    ...each([], "s, t = socketpair", [AF_UNIX], [SOCK_STREAM | nonBlocking, SOCK_DGRAM | cloexec]),
    [pair, ["s.getsockname"], ["s.getpeername"], ["s.getInheritable"], ["t.getInheritable"], ["s.gettimeout"]],
    ...each([], "s, t = socketpair", ["1", 1.5, [], 2 ** 31]),
    ...each([], "s, t = socketpair", [AF_UNIX], ["1", 1.5, [], 2 ** 31]),
    ...each([], "s, t = socketpair", [AF_UNIX], [SOCK_STREAM], ["1", 1.5, [], 2 ** 31]),
  ],
  timeouts: [
    ...timeouts.map((t): Row => [tcp, ["s.settimeout", t], ["s.gettimeout"], ["s.getblocking"], ["s.timeout"]]),
    ...noTimeouts.map((t): Row => [tcp, ["s.settimeout", t], ["s.gettimeout"]]),
    ...[true, false].map((t): Row => [tcp, ["s.setblocking", t], ["s.gettimeout"], ["s.getblocking"]]),
    ...timeouts.map((t): Row => [
      ["getdefaulttimeout"],
      ["setdefaulttimeout", t],
      ["getdefaulttimeout"],
      tcp,
      ["s.gettimeout"],
      ["s.getblocking"],
    ]),
    ...noTimeouts.map((t): Row => [["setdefaulttimeout", t], ["getdefaulttimeout"]]),
    ...[1e-12, Number.MIN_VALUE].map((t): Difference => ({
      script: [tcp, ["s.settimeout", t], ["s.gettimeout"], ["setdefaulttimeout", t], ["getdefaulttimeout"]],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, null, t, null, t],
      why: "a timeout is what was set; Python counts nanoseconds",
    })),
    {
      script: [tcp, ["s.settimeout", true], ["s.settimeout", 1n], ["s.setblocking", 1], ["s.setblocking", 0]],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, ...Array.from({ length: 4 }, () => ({ error: "TypeError" }))],
      why: "a boolean and a bigint are no numbers, a number is no boolean",
    },
    [
      ["setdefaulttimeout", 2.5],
      ["s, t = socketpair"],
      ["s.gettimeout"],
      ["t.gettimeout"],
      ["d = s.dup"],
      ["d.gettimeout"],
      ["f = fromfd", ref("s", "fileno"), AF_UNIX, SOCK_STREAM],
      ["f.gettimeout"],
      ["n = Socket", AF_INET, SOCK_STREAM | nonBlocking],
      ["n.gettimeout"],
      ["setdefaulttimeout", 0],
      tcp,
      ["s.gettimeout"],
      ["setdefaulttimeout", null],
      tcp,
      ["s.gettimeout"],
    ],
    [
      pair,
      ["s.settimeout", 0.01],
      ["s.recv", 1],
      ["s.recvfrom", 1],
      ["s.recvmsg", 1],
      ["s.settimeout", 0],
      ["s.recv", 1],
    ],
    [
      pair,
      ["s.setblocking", false],
      ["s.recv", 1],
      ["s.recvfrom", 1],
      ["s.recvmsg", 1],
      ["s.accept"],
      ["s.send", Buffer.of(1)],
    ],
    [udp, ["s.bind", ["127.0.0.1", 0]], ["s.settimeout", 0.01], ["s.recv", 1], ["s.recvfrom", 1], ["s.recvmsg", 1]],
    [
      tcp,
      ["s.bind", ["127.0.0.1", 0]],
      ["s.listen"],
      ["s.settimeout", 0.01],
      ["s.accept"],
      ["s.setblocking", false],
      ["s.accept"],
    ],
  ],
  listen: [
    ...each([tcp, ["s.bind", ["127.0.0.1", 0]]], "s.listen", [0, 1, 128, 4096, 65536, ...ints, ...wrongSizes]),
    {
      script: [tcp, ["s.bind", ["127.0.0.1", 0]], ["s.listen", undefined]],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, null, null],
      why: leftOut,
    },
    [udp, ["s.listen", 0], ["s.bind", ["127.0.0.1", 0]], ["s.listen"]],
    [tcp, ["s.listen"]],
    [["s = Socket", AF_UNIX], ["s.listen"]],
    [["s = Socket", AF_UNIX], ["s.bind", `${directory}/l`], ["s.listen"], ["s.listen", 5], ["s.getsockname"]],
    [pair, ["s.listen"], ["s.bind", `${directory}/m`]],
    [tcp, ["s.setblocking", false], ["s.accept"], ["s.shutdown", SHUT_RDWR], ["s.getpeername"], ["s.getsockname"]],
    [udp, ["s.accept"]],
    [["s = Socket", AF_UNIX, SOCK_DGRAM], ["s.accept"]],
  ],
  shutdown: [
    ...each([tcp], "s.shutdown", [0, 1, 2, 3, -1, ...ints, ...wrong]),
    ...each([udp], "s.shutdown", [0, 1, 2, 3, -1]),
    ...each([pair], "s.shutdown", [3, -1, 99]),
    [pair, ["s.shutdown", SHUT_WR], ["t.recv", 1], ["s.send", Buffer.of(1)], ["t.send", Buffer.of(2)], ["s.recv", 9]],
    [
      pair,
      ["s.shutdown", SHUT_RD],
      ["s.recv", 1],
      ["t.send", Buffer.of(2)],
      ["t.sendall", Buffer.of(2)],
      ["s.shutdown", SHUT_RD],
    ],
    [pair, ["s.shutdown", SHUT_RDWR], ["s.recv", 1], ["s.send", Buffer.of(1)], ["t.recv", 1], ["t.send", Buffer.of(1)]],
    [
      pair,
      ["s.close"],
      ["t.recv", 1],
      ["t.send", Buffer.of(1)],
      ["t.sendall", Buffer.of(1)],
      ["t.sendmsg", [Buffer.of(1)]],
    ],
  ],
  "receiving: sizes and flags": [
    ...["recv", "recvfrom", "recvmsg"].flatMap((name) =>
      [0, 1, 3, 5, 6, 100, 65536, ...ints.filter((n) => n < 0 || n >= 2 ** 63), ...wrong].map((size): Row => [
        pair,
        ["s.setblocking", false],
        ["t.sendall", Buffer.from("hello")],
        [`s.${name}`, size],
        [`s.${name}`, 2],
      ]),
    ),
    ...["recv", "recvfrom"].flatMap((name) =>
      [MSG_PEEK, MSG_DONTWAIT, MSG_OOB, MSG_TRUNC, 0, -1, ...wrong, 2 ** 63].map((flags): Row => [
        pair,
        ["s.setblocking", false],
        ["t.sendall", Buffer.from("hello")],
        [`s.${name}`, 3, flags],
      ]),
    ),
    [
      udp,
      ["s.setblocking", false],
      ["s.recv", 0],
      ["s.recvfrom", 0],
      ["s.recvmsg", 0],
      ["b = writable", 0],
      ["s.recvInto", ref("b")],
    ],
    [
      ["s, t = socketpair", AF_UNIX, SOCK_DGRAM],
      ["t.send", Buffer.from("hello")],
      ["t.send", Buffer.from("world")],
      ["t.send", Buffer.alloc(0)],
      ["t.send", Buffer.from("!")],
      ["s.recv", 3],
      ["s.recvmsg", 2],
      ["s.recvfrom", 10],
      ["s.recvfrom", 0],
      ["s.setblocking", false],
      ["s.recv", 10],
    ],
    [
      pair,
      ["t.close"],
      ["s.recv", 10],
      ["s.recvfrom", 10],
      ["s.recvmsg", 10],
      ["b = writable", 4],
      ["s.recvInto", ref("b")],
    ],
    [pair, ["t.send", Buffer.of(1)], ["s.recvmsg", 0], ["s.recv", 9]],
  ],
  "receiving into views": [
    ...["recvInto", "recvfromInto"].flatMap((name): Row[] => [
      ...[[], [0], [1], [4], [5], [8]].map((rest): Row => [
        pair,
        ["b = writable", 8],
        ["t.sendall", Buffer.from("hello")],
        [`s.${name}`, ref("b"), ...rest],
        ["same", ref("b")],
      ]),
      ...[9, 10, -1, 2 ** 31, 2 ** 63, -(2 ** 63), ...wrongSizes].map((nbytes): Row => [
        pair,
        ["b = writable", 8],
        ["t.sendall", Buffer.from("hello")],
        [`s.${name}`, ref("b"), nbytes],
        ["same", ref("b")],
      ]),
      {
        script: [
          pair,
          ["b = writable", 8],
          ["t.sendall", Buffer.from("hello")],
          [`s.${name}`, ref("b"), undefined],
          ["same", ref("b")],
        ],
        ours: [
          pairMade,
          { bytes: "0000000000000000" },
          null,
          name === "recvInto" ? 5 : [5, null],
          { bytes: "68656c6c6f000000" },
        ],
        why: leftOut,
      },
      ...[...wrong, -1, 2 ** 63].map((flags): Row => [
        pair,
        ["s.setblocking", false],
        ["b = writable", 8],
        ["t.sendall", Buffer.from("hello")],
        [`s.${name}`, ref("b"), 8, flags],
      ]),
      ...[undefined, null, "x", 1, []].map((view): Row => [pair, ["t.sendall", Buffer.of(1)], [`s.${name}`, view]]),
      [pair, ["s.setblocking", false], ["b = writable", 0], ["s.recvInto", ref("b")], ["s.recvfromInto", ref("b")]],
    ]),
    [pair, ["t.send", Buffer.of(1)], ["b = writable", 0], ["s.recvInto", ref("b")], ["s.recvInto", ref("b"), 1]],
    ...[[], [0], [100], [0, 0], [0, MSG_PEEK]].map((rest): Row => [
      pair,
      ["a = writable", 2],
      ["b = writable", 0],
      ["c = writable", 8],
      ["t.sendall", Buffer.from("hello")],
      ["s.recvmsgInto", [ref("a"), ref("b"), ref("c")], ...rest],
      ["same", ref("a")],
      ["same", ref("c")],
    ]),
    ...[undefined, null, 1, [1], [null], ["x"]].map((views): Row => [
      pair,
      ["t.sendall", Buffer.of(1)],
      ["s.recvmsgInto", views],
    ]),
    [pair, ["t.sendall", Buffer.of(1)], ["s.recvmsgInto", []], ["s.recv", 1]],
    [
      pair,
      ["b = writable", 1],
      ["t.sendall", Buffer.of(1)],
      ["s.recvmsgInto", Array.from({ length: 1025 }, () => ref("b"))],
    ],
    [
      pair,
      ["b = writable", 1],
      ["t.sendall", Buffer.of(1)],
      ["s.recvmsgInto", Array.from({ length: 1024 }, () => ref("b"))],
    ],
  ],
  recvmsg: [
    ...[...wrongSizes, -1, 2 ** 31, 2 ** 63].map((room): Row => [
      pair,
      ["t.sendall", Buffer.of(1)],
      ["s.recvmsg", 1, room],
    ]),
    {
      script: [pair, ["t.sendall", Buffer.of(1)], ["s.recvmsg", 1, undefined]],
      ours: [pairMade, null, [{ bytes: "01" }, [], 0, null]],
      why: leftOut,
    },
    {
      script: [pair, ["b = writable", 1], ["t.sendall", Buffer.of(1)], ["s.recvmsgInto", [ref("b")], undefined]],
      ours: [pairMade, { bytes: "00" }, null, [1, [], 0, null]],
      why: leftOut,
    },
    ...[...wrong, -1, 2 ** 63].map((flags): Row => [
      pair,
      ["s.setblocking", false],
      ["t.sendall", Buffer.of(1)],
      ["s.recvmsg", 1, 0, flags],
    ]),
    ...[1, 12, 16, 20, 24, 100].map((room): Row => [pair, ["t.sendall", Buffer.of(1)], ["s.recvmsg", 1, room]]),
  ],
  "sending: data and flags": [
    ...["send", "sendall"].flatMap((name): Row[] => [
      ...[Buffer.alloc(0), Buffer.of(1), Buffer.alloc(1000, 7)].map((data): Row => [
        pair,
        [`s.${name}`, data],
        ["t.setblocking", false],
        ["t.recv", 2000],
      ]),
      ...[undefined, null, 1, 1.5, [], [1]].map((data): Row => [pair, [`s.${name}`, data]]),
      ...[0, MSG_OOB, MSG_DONTWAIT, ...wrong, 2 ** 63].map((flags): Row => [pair, [`s.${name}`, Buffer.of(1), flags]]),
      [tcp, [`s.${name}`, Buffer.of(1)], [`s.${name}`, Buffer.alloc(0)]],
      [udp, [`s.${name}`, Buffer.of(1)], [`s.${name}`, Buffer.alloc(0)]],
    ]),
    [udp, ["s.sendto", Buffer.alloc(65508), ["127.0.0.1", 9]], ["s.sendto", Buffer.alloc(70000), ["127.0.0.1", 9]]],
    ...[undefined, null, 1, []].map((data): Row => [udp, ["s.sendto", data, ["127.0.0.1", 9]]]),
    ...[...wrong, 2 ** 63].map((flags): Row => [udp, ["s.sendto", Buffer.of(1), flags, ["127.0.0.1", 9]]]),
    [pair, ["s.sendto", Buffer.of(1), `${directory}/none`], ["t.setblocking", false], ["t.recv", 9]],
    [tcp, ["s.sendto", Buffer.of(1), ["127.0.0.1", 9]]],
  ],
  sendmsg: [
    ...[undefined, null, 1, Buffer.of(1), [1], [null], [], [[]]].map((data): Row => [
      pair,
      ["s.sendmsg", data],
      ["s.fileno?"],
    ]),
    [
      pair,
      ["s.sendmsg", []],
      ["s.sendmsg", [Buffer.alloc(0)]],
      ["s.sendmsg", [Buffer.of(1), Buffer.alloc(0), Buffer.of(2)]],
      ["t.recv", 9],
    ],
    ...[null, 1, [1], [[]], [[1, 2]], [[1, 2, 3]], [["1", 2, Buffer.of(1)]], [[1, 2, Buffer.of(1), 4]], [null]].map(
      (ancdata): Row => [pair, ["s.sendmsg", [Buffer.of(1)], ancdata]],
    ),
    ...[
      [1.5, 2, Buffer.of(1)],
      [1, 1.5, Buffer.of(1)],
      [2 ** 31, 1, Buffer.of(1)],
      [1, 2 ** 31, Buffer.of(1)],
    ].map((item): Row => [pair, ["s.sendmsg", [Buffer.of(1)], [item]]]),
    ...[
      [SOL_SOCKET, SCM_RIGHTS, Buffer.alloc(0)],
      [SOL_SOCKET, SCM_RIGHTS, Buffer.of(255, 255, 255, 255)],
      [SOL_SOCKET, SCM_RIGHTS, Buffer.alloc(3)],
      [SOL_SOCKET, SCM_RIGHTS, Buffer.alloc(5)],
      [SOL_SOCKET, SCM_RIGHTS, Buffer.alloc(4 * 254)],
      [SOL_SOCKET, 99, Buffer.alloc(4)],
      [99, 99, Buffer.alloc(4)],
      [-1, -1, Buffer.alloc(4)],
    ].map((item): Row => [pair, ["s.sendmsg", [Buffer.of(1)], [item]]]),
    ...[...wrong, 2 ** 63].map((flags): Row => [pair, ["s.sendmsg", [Buffer.of(1)], [], flags]]),
    ...[1, [], ["127.0.0.1"], "x"].map((address): Row => [udp, ["s.sendmsg", [Buffer.of(1)], [], 0, address]]),
    {
      script: [
        pair,
        ["s.sendmsg", [Buffer.of(1)], undefined],
        ["s.sendmsg", [Buffer.of(2)], undefined, 0, undefined],
        ["t.setblocking", false],
        ["t.recv", 9],
      ],
      ours: [pairMade, 1, 1, null, { bytes: "0102" }],
      why: leftOut,
    },
    [udp, ["s.sendmsg", [Buffer.of(1)], [], 0, null], ["s.sendmsg", [Buffer.of(1)], [], 0, ["127.0.0.1", 9]]],
    [pair, ["s.sendmsg", Array.from({ length: 1024 }, () => Buffer.of(1))], ["t.recv", 2000]],
    [pair, ["s.sendmsg", Array.from({ length: 1025 }, () => Buffer.of(1))]],
  ],
  "descriptors: sent and received": [
    [
      pair,
      ["sendFds", ref("s"), [Buffer.of(1)], [0, 1, 2]],
      ["t.recvmsg?", 1],
      ["sendFds", ref("s"), [Buffer.of(1)], []],
      ["recvFds", ref("t"), 9, 0],
    ],
    [
      pair,
      ["sendFds", ref("s"), [Buffer.of(1)], [999]],
      ["sendFds", ref("s"), [Buffer.of(1)], ["x"]],
      ["sendFds", ref("s"), [1], [0]],
    ],
    [pair, ["t.sendall", Buffer.from("hello")], ["recvFds", ref("s"), 3, 1], ["recvFds", ref("s"), 3, 0]],
    [pair, ["recvFds", ref("s"), -1, 1], ["recvFds", ref("s"), "1", 1]],
  ],
  [NULL]: ["s.close", "s.detach?"].map((end): Row => [tcp, [end], ["s.setsockopt", SOL_SOCKET, SO_TYPE, null, 4]]),
  "the life of a descriptor": [
    ...["s.close", "s.detach?"].map((end): Row => [tcp, [end], ...onClosed]),
    [
      tcp,
      ["s.fileno?"],
      ["d = s.dup"],
      ["s.close"],
      ["s.close"],
      ["d.fileno?"],
      ["d.getsockname"],
      ["d.close"],
      ["d.fileno"],
    ],
    [tcp, ["n = dup?", ref("s", "fileno")], ["close", ref("n")], ["close", ref("n")]],
    [tcp, ["d = s.detach?"], ["s.detach"], ["s.fileno"], ["s.close"]],
    [
      tcp,
      ["s.setInheritable", true],
      ["s.getInheritable"],
      ["d = s.dup"],
      ["d.getInheritable"],
      ["s.setInheritable", false],
      ["s.getInheritable"],
    ],
    [tcp, ["close", ref("s", "fileno")], ["s.getsockname"], ["s.detach?"]],
    [
      ["s = Socket", AF_INET, SOCK_DGRAM],
      ["s.settimeout", 3],
      ["d = s.dup"],
      ["d.gettimeout"],
      ["d.family"],
      ["d.type"],
      ["d.proto"],
    ],
  ],
  "servers and connections": [
    [
      ["s = createServer", ["127.0.0.1", 0]],
      ["s.gettimeout"],
      ["s.getInheritable"],
      ["s.getsockopt?", SOL_SOCKET, SO_TYPE],
    ],
    [
      ["s = createServer", ["", 0]],
      ["s = createServer", ["::1", 0], { family: AF_INET6 }],
      ["s = createServer", ["", 0], { backlog: 3 }],
    ],
    [
      ["s = createServer", ["::", 0], { family: AF_INET6, dualstackIPv6: true }],
      ["s = createServer", ["", 0], { reusePort: true }],
    ],
    ...[{ dualstackIPv6: true }, { family: AF_UNIX }, { backlog: "1" }, { family: "2" }, { nosuch: 1 }].map(
      (named): Row => [["s = createServer", ["", 0], named]],
    ),
    ...each([], "s = createServer", [
      ["127.0.0.1"],
      [],
      ["127.0.0.1", 65536],
      ["127.0.0.1", -1],
      ["127.0.0.1", "0"],
      ["1.2.3.4", 0],
      "x",
      1,
    ]),
    [["hasDualstackIPv6"], ["hasIPv6"]],
    ...each([], "s = createConnection", [
      ["127.0.0.1", 1],
      ["localhost", 1],
      ["127.0.0.1", "nosuch"],
      ["::1", 1],
      ["", 1],
    ]),
    ...each([], "s = createConnection", [1, null], [1]),
    ...[[], ["127.0.0.1"], ["127.0.0.1", 1, 2]].map((address): Difference => ({
      script: [["s = createConnection", address, 1]],
      ours: [{ error: "TypeError" }],
      why: "an address of a wrong shape is a TypeError everywhere; Python unpacks it, with a ValueError",
    })),
    ...each([], "s = createConnection", [["127.0.0.1", 1]], [-1, "1", NaN, 0, 1]),
    ...each(
      [],
      "s = createConnection",
      [["127.0.0.1", 1]],
      [1],
      [["127.0.0.1", 0], ["1.2.3.4", 0], ["127.0.0.1", -1], ["::1", 0], ["x"]],
    ),
  ],
  "paths of every length": [
    ...lengths.flatMap((length): Row[] => [
      [["s = Socket", AF_UNIX], ["s.bind", pathOf(length)], ["s.getsockname"]],
      [
        ["s = Socket", AF_UNIX],
        ["s.connect", `${pathOf(length - 1)}n`],
      ],
      [
        ["s = Socket", AF_UNIX, SOCK_DGRAM],
        ["s.sendto", Buffer.of(1), `${pathOf(length - 1)}n`],
      ],
    ]),
    // Abstract names: no file, and every byte counts.
    ...[0, 1, 2, 50, 105, 106, 107].map((length): Row => {
      const name = Buffer.concat([
        Buffer.of(0),
        Buffer.from(`${process.pid}-`.padEnd(length, "y")).subarray(0, length),
      ]);
      return [
        ["s = Socket", AF_UNIX],
        ["s.bind", length === 0 ? Buffer.from(`\0${process.pid}`) : name],
        ["s.getsockname"],
      ];
    }),
    [["s = Socket", AF_UNIX], ["s.bind", `\0${process.pid}é\0\0`], ["s.getsockname"], ["s.getpeername"]],
    [["s = Socket", AF_UNIX], ["s.bind", Buffer.from(`${directory}/bytes\xff`, "latin1")], ["s.getsockname"]],
    [["s = Socket", AF_UNIX], ["s.bind", `${directory}/\udcff\udc80é`], ["s.getsockname"]],
    [
      ["s = Socket", AF_UNIX],
      ["s.bind", `${directory}/twice`],
      ["t = Socket", AF_UNIX],
      ["t.bind", `${directory}/twice`],
    ],
    [
      ["s = Socket", AF_UNIX],
      ["s.bind", `${directory}/again`],
      ["s.bind", `${directory}/again2`],
    ],
    [
      ["s = Socket", AF_UNIX],
      ["s.bind", `${directory}/no/such`],
      ["s.bind", directory],
      ["s.connect", directory],
      ["s.connect", `${directory}/none`],
    ],
    [
      ["s = Socket", AF_UNIX, SOCK_DGRAM],
      ["s.connect", `${directory}/none`],
      ["s.connect", ""],
      ["s.sendto", Buffer.of(1), ""],
    ],
    ...each([["s = Socket", AF_UNIX]], "s.bind", [undefined, null, 1, 1.5, [], ["x"], [1, 2]]),
    ...each([["s = Socket", AF_UNIX]], "s.connect", [
      undefined,
      null,
      1,
      "x".repeat(200),
      "\ud800",
      Buffer.alloc(200, 120),
    ]),
    [
      ["s = Socket", AF_UNIX],
      ["s.connectEx", `${directory}/none`],
      ["s.connectEx", "x".repeat(200)],
      ["s.connectEx", 1],
    ],
    {
      script: [["s = Socket", AF_UNIX], ["s.bind", `${directory}/`.padEnd(UNIX_PATH_MAX, "x")], ["s.getsockname"]],
      ours: [{ socket: [AF_UNIX, SOCK_STREAM, 0] }, null, `${directory}/`.padEnd(UNIX_PATH_MAX, "x")],
      why: "a path may fill the address, and has no NUL then; Python keeps room for one",
    },
    [
      ["s = Socket", AF_UNIX],
      ["s.bind", `${directory}/${"x".repeat(UNIX_PATH_MAX)}`],
    ],
    // An autobound name: what it is the system chooses.
    [
      ["s = Socket", AF_UNIX],
      ["s.bind", ""],
      ["s.bind", ""],
    ],
  ],
};

// An emulator lets through what it knows.
const hasNetlink = worksInEmulator(() => new Socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC).close());
const refusesBits = worksInEmulator(() => codeOf(() => new Socket(AF_INET, 16)) === "EINVAL");
compare(groups, {
  [NETLINK]: ["netlink but for routes", hasNetlink],
  [TYPES]: ["refusal of such bits", refusesBits],
  [NULL]: ["EBADF before EFAULT", looksAtDescriptorFirst],
});
