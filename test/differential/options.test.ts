/**
 * Options of sockets: what each is at first, what it becomes, and what is said of one that is not there.
 */
import * as sockets from "../../src/index.ts";
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_UNIX,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SO_BINDTODEVICE,
  SO_LINGER,
  SO_RCVBUF,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_CONGESTION,
  TCP_NODELAY,
} from "../../src/index.ts";
import { codeOf, worksInEmulator } from "../help.ts";
import { type Call, compare, type Difference, type Row } from "./compare.ts";

/** Options whose values the system counts or measures, or that make a descriptor. */
const itsOwn = new Set([
  ...["SO_COOKIE", "SO_PEERPIDFD", "SO_INCOMING_CPU", "SO_INCOMING_NAPI_ID", "SO_MEMINFO", "SO_NETNS_COOKIE"],
  ...["TCP_TIMESTAMP"],
]);

/** Options that would reach beyond the socket they are set on, as no test may. */
const tables = /^IP6?T_|_(INIT|TABLE|ADD_VIF|DEL_VIF|ADD_MFC|DEL_MFC)$/;

const levels: readonly [prefix: RegExp, level: number][] = [
  [/^SO_/, SOL_SOCKET],
  [/^TCP_/, IPPROTO_TCP],
  [/^UDP_/, IPPROTO_UDP],
  [/^IP_/, IPPROTO_IP],
  [/^IPV6_/, IPPROTO_IPV6],
];

const named = Object.entries(sockets).flatMap(([name, value]) => {
  const level = levels.find(([prefix]) => prefix.test(name))?.[1];
  if (level === undefined || typeof value !== "number" || value < 0 || value > 0xffff) return [];
  return [{ name, level, option: value, key: `${level} ${value}` }];
});
const left = new Set(named.filter(({ name }) => itsOwn.has(name) || tables.test(name)).map(({ key }) => key));
/** Each number of each level once, whatever names it has. */
const options = [
  ...new Map(
    named.filter(({ key }) => !left.has(key)).map(({ key, level, option }) => [key, [level, option] as const]),
  ).values(),
];

/** Options that read what they are given to answer in, or that tell times. Python gives them memory of any content. */
const asking = new Set(
  named
    .filter(({ name }) => /^TCP_(INFO|ZEROCOPY_RECEIVE|AO_.*)$|^IPV6_FLOWLABEL_MGR$|MSFILTER$/.test(name))
    .map(({ key }) => key),
);

const kinds: readonly Call[] = [
  ["s = Socket", AF_INET, SOCK_STREAM],
  ["s = Socket", AF_INET, SOCK_DGRAM],
  ["s = Socket", AF_INET6, SOCK_STREAM],
  ["s = Socket", AF_INET6, SOCK_DGRAM],
  ["s = Socket", AF_INET, SOCK_RAW, 17],
  ["s = Socket", AF_UNIX, SOCK_STREAM],
  ["s = Socket", AF_UNIX, SOCK_DGRAM],
  ...(AF_NETLINK === undefined ? [] : [["s = Socket", AF_NETLINK, SOCK_RAW, 0] as Call]),
];
const tcp = kinds[0]!;
const wrong = [undefined, null, "1", 1.5, NaN, [], 2 ** 31, 2 ** 32, 2 ** 63, -(2 ** 31) - 1, -(2 ** 63)];

const FIRST = "what every option is at first";
const BYTES = "what every option is, as bytes";
const BECOMES = "what every option becomes";
const SET = "every option set by bytes";
const STRINGS = "options that are strings";

/** SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF: their value is a descriptor, and this process may have one of a low number. */
const takesDescriptor = new Set([50, 52]);

const groups: Record<string, readonly Row[]> = {
  [FIRST]: kinds.flatMap((open) => options.map(([level, option]): Row => [open, ["s.getsockopt", level, option]])),
  [BYTES]: kinds.flatMap((open) =>
    options
      .filter(([level, option]) => !asking.has(`${level} ${option}`))
      .map(([level, option]): Row => [
        open,
        ["s.getsockopt", level, option, 4],
        ["s.getsockopt", level, option, 1],
        ["s.getsockopt", level, option, 100],
      ]),
  ),
  [BECOMES]: kinds
    .slice(0, 6)
    .flatMap((open) =>
      options.flatMap(([level, option]) =>
        [0, 1, takesDescriptor.has(option) ? 100_000 : 17, -1].map((value): Row => [
          open,
          ["s.setsockopt", level, option, value],
          ["s.getsockopt", level, option],
        ]),
      ),
    ),
  [SET]: kinds
    .slice(0, 4)
    .flatMap((open) =>
      options.flatMap(([level, option]) =>
        [Buffer.alloc(0), Buffer.of(1, 0, 0, 0), Buffer.alloc(16)].map((value): Row => [
          open,
          ["s.setsockopt", level, option, value],
          ["s.getsockopt", level, option],
        ]),
      ),
    ),
  "wrong arguments": [
    ...wrong.map((level): Row => [tcp, ["s.getsockopt", level, SO_TYPE]]),
    ...wrong.map((option): Row => [tcp, ["s.getsockopt", SOL_SOCKET, option]]),
    ...wrong
      .filter((buflen) => buflen !== undefined)
      .map((buflen): Row => [tcp, ["s.getsockopt?", SOL_SOCKET, SO_TYPE, buflen]]),
    {
      script: [
        tcp,
        ["s.getsockopt", SOL_SOCKET, SO_TYPE, undefined],
        ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, 1, undefined],
      ],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, SOCK_STREAM, null],
      why: "undefined is an argument left out; Python has no such value",
    },
    ...[0, 1, 2, 3, 4, 5, 8, 1023, 1024].map((buflen): Row => [tcp, ["s.getsockopt", SOL_SOCKET, SO_TYPE, buflen]]),
    ...wrong.map((level): Row => [tcp, ["s.setsockopt", level, SO_TYPE, 1]]),
    ...wrong.map((option): Row => [tcp, ["s.setsockopt", SOL_SOCKET, option, 1]]),
    ...[undefined, 1.5, NaN, []].map((value): Row => [tcp, ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, value]]),
    ...[0, 4, 100].map((length): Row => [tcp, ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, null, length]]),
    ...[undefined, null, "1", 1.5, []].map((length): Row => [
      tcp,
      ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, null, length],
    ]),
    [tcp, ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, null], ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, 1, 4]],
    [
      tcp,
      ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, Buffer.alloc(4), 4],
      ["s.setsockopt", SOL_SOCKET, 9999, 1],
      ["s.getsockopt", 9999, 1],
    ],
    [
      tcp,
      ["s.setsockopt", -1, 1, 1],
      ["s.setsockopt", SOL_SOCKET, -1, 1],
      ["s.getsockopt", -1, -1],
      ["s.getsockopt", SOL_SOCKET, SO_TYPE, 0],
    ],
    ...[2 ** 32, 2 ** 63, -(2 ** 31) - 1].map((value): Difference => ({
      script: [tcp, ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, value]],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, { error: "RangeError" }],
      why: "a number is the right type; in Python what is no int must be bytes",
    })),
    {
      script: [tcp, ["s.getsockopt", SOL_SOCKET, SO_TYPE, 1025]],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, { bytes: "01000000" }],
      why: "Python takes at most 1024 bytes",
    },
    {
      script: [tcp, ["s.getsockopt", SOL_SOCKET, SO_TYPE, -1]],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, { error: "RangeError" }],
      why: "a wrong argument; in Python it is an OSError",
    },
    {
      script: [
        tcp,
        ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, 2 ** 32 - 1],
        ["s.getsockopt", SOL_SOCKET, SO_REUSEADDR],
      ],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, null, 1],
      why: "an option may be an unsigned int; in Python it is a signed one",
    },
    {
      script: [tcp, ["s.setsockopt", SOL_SOCKET, SO_REUSEADDR, true]],
      ours: [{ socket: [AF_INET, SOCK_STREAM, 0] }, { error: "TypeError" }],
      why: "a boolean is no number",
    },
  ] satisfies (Row | Difference)[],
  "some that people use": [
    ...[0, 1, 1000, 2304, 100_000, 2 ** 30, 2 ** 31 - 1].flatMap((size): Row[] => [
      [tcp, ["s.setsockopt", SOL_SOCKET, SO_RCVBUF, size], ["s.getsockopt", SOL_SOCKET, SO_RCVBUF]],
      [tcp, ["s.setsockopt", SOL_SOCKET, SO_SNDBUF, size], ["s.getsockopt", SOL_SOCKET, SO_SNDBUF]],
    ]),
    ...["0000000000000000", "0100000005000000", "01000000ffffffff", "00"].map((hex): Row => [
      tcp,
      ["s.setsockopt", SOL_SOCKET, SO_LINGER, Buffer.from(hex, "hex")],
      ["s.getsockopt", SOL_SOCKET, SO_LINGER, 8],
    ]),
    [
      tcp,
      ["s.setsockopt", SOL_SOCKET, SO_RCVTIMEO, Buffer.from("0100000000000000a086010000000000", "hex")],
      ["s.getsockopt", SOL_SOCKET, SO_RCVTIMEO, 16],
    ],
    [
      tcp,
      ["s.setsockopt", IPPROTO_TCP, TCP_NODELAY, 1],
      ["s.getsockopt", IPPROTO_TCP, TCP_NODELAY],
      ["s.getsockopt", IPPROTO_TCP, TCP_NODELAY, 4],
    ],
  ],
  [STRINGS]: [
    ...(TCP_CONGESTION === undefined
      ? []
      : [
          [
            tcp,
            ["s.setsockopt", IPPROTO_TCP, TCP_CONGESTION, Buffer.from("reno")],
            ["s.getsockopt", IPPROTO_TCP, TCP_CONGESTION, 16],
          ] as Row,
          [tcp, ["s.setsockopt", IPPROTO_TCP, TCP_CONGESTION, Buffer.from("nosuch")]] as Row,
        ]),
    ...(SO_BINDTODEVICE === undefined
      ? []
      : [
          [
            tcp,
            ["s.setsockopt", SOL_SOCKET, SO_BINDTODEVICE, Buffer.from("lo")],
            ["s.getsockopt", SOL_SOCKET, SO_BINDTODEVICE, 16],
          ] as Row,
          [tcp, ["s.setsockopt", SOL_SOCKET, SO_BINDTODEVICE, Buffer.from("nosuch")]] as Row,
        ]),
  ],
};

// An emulator answers by itself about the options that it does not know, and adds no NUL to strings.
const knowsEvery = worksInEmulator(() => {
  using sock = new sockets.Socket(AF_INET, SOCK_STREAM);
  return codeOf(() => sock.getsockopt(IPPROTO_IPV6, 255)) !== "ENOPROTOOPT"; // as the system says it to TCP over IPv4
});
const knowsStrings = worksInEmulator(() => {
  using sock = new sockets.Socket(AF_INET, SOCK_STREAM);
  return sock.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16).length === 16;
});
const every = ["system that is asked about every option", knowsEvery] as const;
compare(groups, {
  ...{ [FIRST]: every, [BYTES]: every, [BECOMES]: every, [SET]: every },
  [STRINGS]: ["system that is asked about strings", knowsStrings],
});
