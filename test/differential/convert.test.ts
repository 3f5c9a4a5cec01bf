/**
 * Conversions: byte order, addresses as text and as bytes, sizes of control messages, names of files.
 */
import { AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, EAFNOSUPPORT } from "../../src/index.ts";
import { compare, type Difference, product, random, type Row } from "./compare.ts";

const next = random(1);
const pick = <T>(list: readonly T[]): T => list[next() % list.length] as T;
const randomBytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => next() & 0xff));

const wrongTypes = [undefined, null, "1", "", 1.5, NaN, Infinity, -Infinity, [], [1], Buffer.of(1), Buffer.alloc(0)];

const numbers = [
  ...[0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1234, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x10000, 0x10001],
  ...[0x1234_5678, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 0x1_0000_0000, 2 ** 53 - 1, 2 ** 63, 2 ** 64],
  ...[-1, -2, -0x8000, -0x8000_0000, -0x8000_0001, -(2 ** 53) + 1, -(2 ** 63)],
];
const swaps = ["htons", "ntohs", "htonl", "ntohl"];

const byteOrder: Row[] = [
  ...product(swaps, [...numbers, ...wrongTypes]).map(([name, x]): Row => [[name as string, x]]),
  ...product(swaps, Array.from({ length: 50 }, next)).map(([name, x]): Row => [[name as string, x]]),
  ...swaps.map((name): Difference => ({
    script: [
      [name, true],
      [name, 1n],
    ],
    ours: [{ error: "TypeError" }, { error: "TypeError" }],
    why: "a boolean and a bigint are no numbers in TypeScript; in Python both are ints",
  })),
];

// One text that is an address, spoiled in as many ways as come to mind.
const octets = ["0", "1", "9", "10", "99", "127", "255", "256", "300", "999", "1000", "00", "01", "001", "0001", "010"];
const odd = [
  "08",
  "09",
  "0x7f",
  "0X7F",
  "0xff",
  "0x100",
  "0x",
  "x",
  "",
  " ",
  "-1",
  "+1",
  "1e1",
  "1.",
  "٣",
  "０",
  "\t1",
];
const hosts4 = [
  ...["", " ", ".", "..", "...", "....", "1.", ".1", "1..2", "1.2.", "1.2.3.", "1.2.3.4.", ".1.2.3.4", "1.2.3.4.5"],
  ...["1", "1.2", "1.2.3", "1.2.3.4", "127.1", "127.0.1", "256.1", "1.256", "1.2.256", "1.2.3.256", "4294967295"],
  ...["4294967296", "99999999999999999999", "1.16777215", "1.16777216", "1.2.65535", "1.2.65536", "0", "00", "0x0"],
  ...["0x7f.1", "0x7f000001", "0x7f000001x", "017700000001", "010.1.1.1", "08.1.1.1", "0x100000000", "037777777777"],
  ...["040000000000", "0x7f.0x0.0x0.0x1", "0177.0.0.01", "127.0.0.1 x", "127.0.0.1x", "127.0.0.1 ", " 127.0.0.1"],
  ...[
    "127.0.0.1\t",
    "127.0.0.1\n",
    "\t127.0.0.1",
    "127.0.0.1\r\n",
    "127.0.0.1  garbage",
    "127.0.0.1/8",
    "127.0.0.1:80",
  ],
  ...[
    "127.0.0.1%lo",
    "127,0,0,1",
    "127.0.0.1,",
    "localhost",
    "a.b.c.d",
    "::1",
    "[127.0.0.1]",
    "0.0.0.0",
    "255.255.255.255",
  ],
  ...[
    "<broadcast>",
    "1.2.3.4\u00a0",
    "1。2。3。4",
    "１.2.3.4",
    "é",
    "1.2.3.4é",
    "\ud800",
    "1.2.3.-4",
    "-1.2.3.4",
    "+1.2.3.4",
  ],
  ...["1.2.3.+4", "1 .2.3.4", "1. 2.3.4", "1.2.3.4 5", "1.2.3.4\v", "1.2.3.4\f", "1e3.1.1.1", "0x.1.1.1", "0xg.1.1.1"],
  ...[
    "1.0x.2.3",
    "1.2.3.0x",
    "0b1.1.1.1",
    "0o17.1.1.1",
    "1_0.1.1.1",
    "9".repeat(300),
    "1.".repeat(300),
    "0".repeat(300),
  ],
  ...octets.flatMap((octet) => [
    octet,
    `${octet}.0.0.1`,
    `1.${octet}`,
    `1.2.${octet}`,
    `1.2.3.${octet}`,
    `1.${octet}.3.4`,
  ]),
  ...odd.flatMap((octet) => [octet, `${octet}.0.0.1`, `1.${octet}`, `1.2.3.${octet}`, `1.${octet}.3.4`]),
  ...Array.from({ length: 200 }, () =>
    Array.from({ length: 1 + (next() % 5) }, () => pick([...octets, ...odd])).join("."),
  ),
];

const groups6 = [
  "0",
  "1",
  "00",
  "000",
  "0000",
  "00000",
  "f",
  "ffff",
  "FFFF",
  "fffff",
  "abcd",
  "g",
  "",
  "-1",
  "0x1",
  " 1",
];
const compressions = Array.from({ length: 10 }, (_, before) =>
  Array.from({ length: 10 - before }, (_, after) => {
    const part = (n: number): string => Array.from({ length: n }, (_, i) => (i + 1).toString(16)).join(":");
    return [`${part(before)}::${part(after)}`, [part(before), part(after)].filter(Boolean).join(":")];
  }),
).flat(2);
const tails4 = [
  "1.2.3.4",
  "1.2.3",
  "1.2.3.4.5",
  "256.1.1.1",
  "01.2.3.4",
  "1.2.3.4 ",
  "0x1.2.3.4",
  "1.2.3.",
  "255.255.255.255",
];
const hosts6 = [
  ...[
    "",
    ":",
    "::",
    ":::",
    "::::",
    "1",
    "1:",
    ":1",
    "1::",
    "::1",
    "1::1",
    "1:::1",
    "::1::",
    "1::2::3",
    "1:2:3:4:5:6:7:8",
  ],
  ...["1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7:8:9", "::2:3:4:5:6:7:8"],
  ...["1::3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::", "fe80::1%lo", "fe80::1%1", "::1%", "[::1]", "::1/128"],
  ...[
    " ::1",
    "::1 ",
    "::1\n",
    "::G",
    "::12345",
    "::fFfF",
    "0:0:0:0:0:0:0:0",
    "ffff:".repeat(8),
    "::-1",
    "::+1",
    "::0x1",
  ],
  ...[
    "1.2.3.4",
    "::ffff:1.2.3.4",
    "::ffff:0:1.2.3.4",
    "64:ff9b::1.2.3.4",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:1.2.3.4",
  ],
  ...[
    "1:2:3:4:5:6:7:1.2.3.4",
    "1:2:3:4:5:1.2.3.4",
    "1::5:1.2.3.4",
    "1:2:3:4:5::1.2.3.4",
    "1:2:3:4:5:6::1.2.3.4",
    "é",
    "\ud800",
  ],
  ...compressions,
  ...groups6.flatMap((group) => [group, `::${group}`, `${group}::`, `1:${group}::2`, `1:2:3:${group}:5:6:7:8`]),
  ...tails4.flatMap((tail) => [`::${tail}`, `::ffff:${tail}`, `1::2:${tail}`, `1:2:3:4:5:6:${tail}`, `${tail}::`]),
  ...Array.from({ length: 200 }, () =>
    Array.from({ length: 1 + (next() % 9) }, () => pick([...groups6, ...tails4])).join(":"),
  ),
];

const packed6 = [
  ...Array.from({ length: 17 }, (_, i) => Buffer.alloc(16).fill(0xff, 0, i)),
  ...Array.from({ length: 17 }, (_, i) => Buffer.alloc(16, 0x11).fill(0, 0, i)),
  // Every choice of groups that are zero: which run is shortened, and where the first of two equal ones is.
  ...Array.from({ length: 256 }, (_, mask) =>
    Buffer.concat(Array.from({ length: 8 }, (_, i) => Buffer.of(0, (mask >> i) & 1 ? 0 : i + 1))),
  ),
  ...["00000000000000000000ffff01020304", "00000000000000000000000001020304", "0000000000000000ffff000001020304"].map(
    (hex) => Buffer.from(hex, "hex"),
  ),
  ...["00000000000000000000000000000001", "000000000000000000000000000000ff", "00000000000000000000000000010000"].map(
    (hex) => Buffer.from(hex, "hex"),
  ),
  ...Array.from({ length: 300 }, () => randomBytes(16)),
  ...Array.from({ length: 100 }, () => randomBytes(16).map((byte) => (next() & 1 ? 0 : byte))),
];
const packed4 = [
  ...[0, 1, 127, 128, 255].flatMap((a) => [0, 9, 10, 99, 100, 255].map((b) => Buffer.of(a, b, b, a))),
  ...Array.from({ length: 100 }, () => randomBytes(4)),
];
const wrongLengths = [0, 1, 2, 3, 5, 8, 15, 17, 32].map((length) => Buffer.alloc(length));
const families = [-1, AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, 3, 99, 2 ** 31 - 1, 2 ** 31, -(2 ** 31) - 1];

// NUL ends a C string, and an argument that holds one is refused everywhere.
const withNul = ["\0", "1\0", "127.0.0.1\0", "127.0.0.1\0x", "\x00127.0.0.1", "::1\0", "::\0"];

const lengths = [
  ...Array.from({ length: 100 }, (_, i) => i),
  ...[255, 256, 1000, 4095, 65535, 65536, 2 ** 20 + 1, 2 ** 30 + 3, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 63, 2 ** 64],
  ...[2 ** 31 - 1024, 2 ** 31 - 257, -1, -2, -16, -(2 ** 31), -(2 ** 63)],
];

compare({
  "byte order": byteOrder,
  inet_aton: [
    ...hosts4.map((host): Row => [["inet_aton", host]]),
    ...wrongTypes.filter((x) => typeof x !== "string").map((host): Row => [["inet_aton", host]]),
    ...withNul.map((host): Row => [["inet_aton", host]]),
  ],
  inet_ntoa: [
    ...packed4.map((packed): Row => [["inet_ntoa", packed]]),
    ...wrongLengths.map((packed): Row => [["inet_ntoa", packed]]),
    ...[undefined, null, 1, 1.5, []].map((packed): Row => [["inet_ntoa", packed]]),
    {
      script: [
        ["inet_ntoa", "abcd"],
        ["inet_ntop", AF_INET, "abcd"],
        ["inet_ntoa", "abc"],
      ],
      ours: ["97.98.99.100", "97.98.99.100", { error: "OSError", errno: 22, reason: "packed IP wrong length" }],
      why: "where bytes are taken, a string is taken as UTF-8; in Python it is a TypeError",
    },
  ],
  "inet_pton of AF_INET": [
    ...hosts4.map((host): Row => [["inet_pton", AF_INET, host]]),
    ...withNul.map((host): Row => [["inet_pton", AF_INET, host]]),
  ],
  "inet_pton of AF_INET6": [
    ...hosts6.map((host): Row => [["inet_pton", AF_INET6, host]]),
    ...withNul.map((host): Row => [["inet_pton", AF_INET6, host]]),
  ],
  inet_ntop: [
    ...packed6.map((packed): Row => [["inet_ntop", AF_INET6, packed]]),
    ...packed4.map((packed): Row => [["inet_ntop", AF_INET, packed]]),
    ...wrongLengths.flatMap((packed): Row[] => [[["inet_ntop", AF_INET, packed]], [["inet_ntop", AF_INET6, packed]]]),
    [
      ["inet_ntop", AF_INET, Buffer.alloc(16)],
      ["inet_ntop", AF_INET6, Buffer.alloc(4)],
    ],
  ],
  "inet_pton and inet_ntop of other families and types": [
    ...product(families, ["127.0.0.1", "::1", "x", ""]).map((args): Row => [["inet_pton", ...args]]),
    ...product([AF_INET, AF_INET6, 2 ** 31, -(2 ** 31) - 1], [Buffer.alloc(4), Buffer.alloc(16)]).map((args): Row => [
      ["inet_ntop", ...args],
    ]),
    ...[-1, AF_UNSPEC, AF_UNIX, 3, 99, 2 ** 31 - 1].map((family): Difference => ({
      script: [["inet_ntop", family, Buffer.alloc(4)]],
      ours: [{ error: "OSError", errno: EAFNOSUPPORT, reason: "Address family not supported by protocol" }],
      why: "as inet_ntop(3) says, and as inet_pton has it; in Python it is a ValueError",
    })),
    ...wrongTypes.filter((x) => x !== undefined).map((family): Row => [["inet_pton", family, "::1"]]),
    ...wrongTypes.map((family): Row => [["inet_ntop", family, Buffer.alloc(4)]]),
    ...[undefined, null, 1, 1.5, [], Buffer.of(1)].map((host): Row => [["inet_pton", AF_INET, host]]),
    ...[undefined, null, 1, 1.5, []].map((packed): Row => [["inet_ntop", AF_INET, packed]]),
  ],
  "CMSG_LEN and CMSG_SPACE": [
    ...product(["CMSG_LEN", "CMSG_SPACE"], [...lengths, ...wrongTypes]).map(([name, x]): Row => [[name as string, x]]),
  ],
  "names of files": [
    ...Array.from({ length: 256 }, (_, byte): Row => [["fileNameToText", Buffer.of(byte)]]),
    ...product(
      [0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5],
      [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0],
      [0x41, 0x80],
    ).map((list): Row => [["fileNameToText", Buffer.from(list as number[])]]),
    // Overlong forms, halves of surrogates, beyond U+10FFFF, cut sequences.
    ...["c080", "c1bf", "e08080", "e09fbf", "f0808080", "f08fbfbf", "eda080", "edbfbf", "f4908080", "f7bfbfbf"].map(
      (hex): Row => [["fileNameToText", Buffer.from(hex, "hex")]],
    ),
    ...[
      "f8888080",
      "fe",
      "ff",
      "e282",
      "e282ac",
      "e28241",
      "f09f98",
      "f09f9880",
      "f09f9880e2",
      "efbbbf41",
      "41efbbbf",
    ].map((hex): Row => [["fileNameToText", Buffer.from(hex, "hex")]]),
    ...Array.from({ length: 3000 }, (_, i): Row => [["fileNameToText", randomBytes(1 + (i % 24))]]),
    ...Array.from({ length: 1000 }, (): Row => {
      const lead = [0x41, 0xc2, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0x80, 0x9f, 0xa0, 0xbf];
      return [["fileNameToText", Buffer.from(Array.from({ length: 1 + (next() % 9) }, () => pick(lead)))]];
    }),
    ...[
      "",
      "a",
      "é",
      "€",
      "😀",
      "\udc80",
      "\udcff",
      "a\udcc3\udca9",
      "\udc7f",
      "\udc00",
      "\udd00",
      "\ud800",
      "\udbff\udc80",
    ].map((text): Row => [["fileNameToBytes", text]]),
    ...["\ud83d\udcc0", "\udc80\ud83d", "\udc80😀\udcff", "\udfff", "x\udc9fy", "\ud7ff\ue000"].map((text): Row => [
      ["fileNameToBytes", text],
    ]),
  ],
});
