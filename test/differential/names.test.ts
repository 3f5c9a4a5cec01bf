/**
 * Names of hosts, services, protocols and interfaces, as far as this machine's own files know them; resolver.test.ts has
 * those that a server knows.
 */
import { readFileSync } from "node:fs";
import * as sockets from "../../src/index.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AF_UNSPEC,
  AI_ADDRCONFIG,
  AI_ALL,
  AI_CANONNAME,
  AI_NUMERICHOST,
  AI_NUMERICSERV,
  AI_PASSIVE,
  AI_V4MAPPED,
  NI_DGRAM,
  NI_NAMEREQD,
  NI_NOFQDN,
  NI_NUMERICHOST,
  NI_NUMERICSERV,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from "../../src/index.ts";
import { type Call, compare, type Difference, product, type Row } from "./compare.ts";

/** The words of each line of one of the system's files; none where it has no such file. */
function lines(path: string): string[][] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .map((line) => line.replace(/#.*/, "").trim().split(/\s+/))
      .filter(([first]) => first !== "");
  } catch {
    return [];
  }
}

const rows = (name: string, ...lists: readonly (readonly unknown[])[]): Row[] =>
  product(...lists).map((args): Row => [[name, ...args]]);

const services = lines("/etc/services").map(([name = "", port = "", ...aliases]) => {
  const [number = "", protocol = ""] = port.split("/");
  return { names: [name, ...aliases], port: Number(number), protocol };
});
const protocols = lines("/etc/protocols").map(([name = "", , ...aliases]) => [name, ...aliases]);
const hosts = lines("/etc/hosts");
const known = [...new Set(hosts.flat())];
const known4 = [...new Set(hosts.filter(([address = ""]) => !address.includes(":")).flat())];
const wrong = [undefined, 1, 1.5, true, []];
const leftOut = "undefined is an argument left out; Python has no such value";
const unknown = ["", " ", "nosuch", "http ", " http", "HTTP", "é", "a".repeat(300), "80", "-1", "\ud800", "a\0", "\0"];

const families = [AF_UNSPEC, AF_INET, AF_INET6];
const types = [0, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW];
const protos = [0, 6, 17, 1, 58, 132, 255];
const numericHosts = ["127.0.0.1", "::1", "0.0.0.0", "::", "1.2.3.4", "fe80::1", "::ffff:1.2.3.4", "2001:db8::1"];
const wholeList = numericHosts.flatMap((host) => product([host], [80], families, types, protos));

// Every flag that changes nothing outside of this machine, in every combination.
const flagSets = Array.from({ length: 32 }, (_, mask) =>
  [AI_PASSIVE, AI_CANONNAME, AI_NUMERICSERV, AI_V4MAPPED, AI_ALL].reduce(
    (sum, flag, i) => ((mask >> i) & 1 ? sum | flag : sum),
    AI_NUMERICHOST,
  ),
);
const loopback = lines("/proc/net/dev").some(([name]) => name === "lo:") ? "lo" : "lo0";

compare({
  "getaddrinfo of numeric hosts": [
    ...wholeList.map((args): Row => [["getaddrinfo", ...args]]),
    ...rows(
      "getaddrinfo",
      ["127.0.0.1", "::1", "localhost"],
      [80, "80", "http", null],
      families,
      [0, 1],
      [0],
      flagSets,
    ),
  ],
  "getaddrinfo of no host": [
    ...rows("getaddrinfo", [null], [80, "80", 0, null], families, types, [0, 6], [0, AI_PASSIVE, AI_NUMERICSERV]),
    ...rows("getaddrinfo", [null], [80, null], families, [1], [0], [AI_CANONNAME, AI_CANONNAME | AI_PASSIVE]),
    [["getaddrinfo", null, null]],
    [["getaddrinfo", "", null]],
    [["getaddrinfo", "", 80, 0, 0, 0, AI_NUMERICHOST]],
  ],
  "getaddrinfo of hosts that are no numbers": rows(
    "getaddrinfo",
    [
      ...[
        "localhost",
        "a.b",
        "1.2.3",
        "1",
        "0x7f.1",
        "256.1.1.1",
        "1.2.3.4.5",
        "127.0.0.1 ",
        " 127.0.0.1",
        "127.0.0.1 x",
      ],
      ...[
        ":",
        ":::",
        "1::2::3",
        "[::1]",
        "::1%",
        `::1%${loopback}`,
        `fe80::1%${loopback}`,
        "fe80::1%1",
        "fe80::1%99999",
      ],
      ...[
        "fe80::1%nosuch",
        "fe80::1%",
        "fe80::1%%1",
        "ff02::1%1",
        "1.2.3.4%1",
        "<broadcast>",
        "*",
        "x y",
        "a".repeat(63),
      ],
      ...[
        "a.",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "a".repeat(64),
        `${"a".repeat(63)}.b`,
        `${"a".repeat(64)}.b`,
        "1.2.3.4.",
      ],
      ...["é", "bücher.example", "１２７.0.0.1", "a\ud800", "ß", "☃.example", "-a", "a_b", "A", "xn--a", "xn--é"],
    ],
    [80],
    families,
    [1],
    [0],
    [AI_NUMERICHOST, AI_NUMERICHOST | AI_CANONNAME],
  ),
  "hosts that are refused here": [
    ...["é/x", "é:80", "é?x", "é@host", "é%41", "é\tx", " é", "é ", "é#x", "é\\x", "é<", "é%lo", "[é]"].map(
      (host): Difference => ({
        script: [["getaddrinfo", host, 80, 0, 0, 0, AI_NUMERICHOST]],
        ours: [{ error: "RangeError" }],
        why: "letters, digits, `-`, `_` and `.` are all that a host's name has; Python asks the system",
      }),
    ),
    ...["١٢٧.0.0.1", "é.1", "\u200dé", "a\u200cb"].map((host): Difference => ({
      script: [["getaddrinfo", host, 80, 0, 0, 0, AI_NUMERICHOST]],
      ours: [{ error: "RangeError" }],
      why: "no name by the IDNA of RFC 5891; Python has that of RFC 3490",
    })),
  ],
  // Only the family that the file has: for the other one the system would ask a server.
  "getaddrinfo of what /etc/hosts says": hosts.flatMap(([address = "", ...names]) =>
    rows(
      "getaddrinfo",
      [address, ...names],
      [0, 80, "http"],
      [AF_UNSPEC, address.includes(":") ? AF_INET6 : AF_INET],
      [0, 1],
      [0],
      [0, AI_CANONNAME, AI_ADDRCONFIG],
    ),
  ),
  "getaddrinfo of services": [
    ...rows("getaddrinfo", ["127.0.0.1"], services.flatMap(({ names }) => names).slice(0, 200), [0], [0, 1, 2]),
    ...rows(
      "getaddrinfo",
      ["127.0.0.1"],
      [0, 1, 65535, "0", "65535", "-1", "+1", " 80", "80 "],
      [0],
      types,
      [0],
      [0, AI_NUMERICSERV],
    ),
    ...rows(
      "getaddrinfo",
      ["127.0.0.1"],
      ["", "nosuch", "http ", "HTTP", "0x50", "080", "8_0", "８０", "é"],
      [0],
      types,
    ),
    ...[65536, 65616, 99999, -1, -65456, 2 ** 31 - 1, -(2 ** 31), "65536", "65616", "99999999999"].map(
      (port): Difference => ({
        script: [["getaddrinfo", "127.0.0.1", port, 0, SOCK_STREAM]],
        ours: [{ error: "RangeError" }],
        why: "no port; the system takes its last 16 bits, and answers with another service's",
      }),
    ),
    ...rows("getaddrinfo", ["127.0.0.1"], ["http", "domain", "tftp", "nosuch"], families, types, protos, [
      0,
      AI_NUMERICSERV,
    ]),
  ],
  "getaddrinfo of wrong arguments": [
    ...rows(
      "getaddrinfo",
      ["127.0.0.1", null],
      [80],
      [-1, 1, 3, 99, AF_UNIX, 2 ** 31 - 1, 2 ** 31, -(2 ** 31) - 1],
      [0, 1],
    ),
    ...rows(
      "getaddrinfo",
      ["127.0.0.1"],
      [80, "http"],
      [0],
      [-1, 4, SOCK_SEQPACKET, 6, 10, 99, 2 ** 31 - 1, 2 ** 31],
      [0, 6],
    ),
    ...rows("getaddrinfo", ["127.0.0.1"], [80], [0], [0, 1], [-1, 3, 256, 262, 2 ** 31 - 1, 2 ** 31]),
    ...rows(
      "getaddrinfo",
      ["127.0.0.1"],
      [80],
      [0],
      [0],
      [0],
      [-1, 0x800, 0x8000, 0x1_0000, 0x4000_0000, 2 ** 31 - 1, 2 ** 32],
    ),
    ...rows("getaddrinfo", [undefined, 1, 1.5, true, []], [80]),
    ...[undefined, 1.5, NaN, [], ["http"]].map((port): Difference => ({
      script: [["getaddrinfo", "127.0.0.1", port]],
      ours: [{ error: "TypeError" }],
      why: "a wrong type is a TypeError; in Python it is an OSError here",
    })),
    ...rows("getaddrinfo", ["127.0.0.1"], [80], ["2", null, 1.5, []]),
    ...rows("getaddrinfo", ["127.0.0.1"], [80], [0], ["1", null, 1.5, []]),
    ...rows("getaddrinfo", ["127.0.0.1"], [80], [0], [0], ["6", null, 1.5, []]),
    ...rows("getaddrinfo", ["127.0.0.1"], [80], [0], [0], [0], ["0", null, 1.5, []]),
    [["getaddrinfo", "127.0.0.1", "\ud800"]],
    ...[
      ["127.0.0.1", "80\0"],
      ["127.0.0.1\0x", "80"],
      ["127.0.0.1\0", 80],
    ].map(([host, port]): Difference => ({
      script: [["getaddrinfo", host, port]],
      ours: [{ error: "RangeError" }],
      why: "Python passes what is before the NUL",
    })),
    [
      ["getaddrinfo", "127.0.0.1", 80, { family: AF_INET, type: SOCK_STREAM }],
      ["getaddrinfo", "127.0.0.1", 80, { proto: 17 }],
      ["getaddrinfo", "127.0.0.1", 80, { flags: AI_NUMERICHOST | AI_CANONNAME }],
      ["getaddrinfo", "127.0.0.1", 80, { nosuch: 1 }],
    ],
  ],
  getnameinfo: [
    ...rows(
      "getnameinfo",
      [
        ["127.0.0.1", 80],
        ["127.0.0.1", 0],
        ["127.0.0.1", 65535],
        ["127.0.0.1", 53],
      ],
      Array.from({ length: 32 }, (_, flags) => flags),
    ),
    ...rows(
      "getnameinfo",
      [
        ...[
          ["::1", 80],
          ["::1", 80, 0],
          ["::1", 80, 5, 0],
          ["::1", 80, 0, 1],
          ["fe80::1", 80, 0, 1],
          ["fe80::1", 80],
        ],
        ...[
          ["ff02::1", 80, 0, 1],
          ["ff02::1", 80, 0, 99999],
          ["fe80::1", 80, 0, 2 ** 32 - 1],
          ["0.0.0.0", 514],
          ["::", 1],
        ],
        ...[
          ["::ffff:1.2.3.4", 80],
          ["1.2.3.4", 65535],
          ["1.2", 7],
          ["1", 7],
        ],
      ],
      [0, NI_NUMERICSERV, NI_DGRAM, NI_NOFQDN, NI_NUMERICSERV | NI_DGRAM].map((flags) => flags | NI_NUMERICHOST),
    ),
    {
      script: [
        ["getnameinfo", [`fe80::1%${loopback}`, 80], NI_NUMERICHOST],
        ["getnameinfo", ["fe80::1%1", 80], NI_NUMERICHOST],
      ],
      ours: [
        [`fe80::1%${loopback}`, "http"],
        [`fe80::1%${loopback}`, "http"],
      ],
      why: "a scope in the host counts where no other is given; Python drops it",
    },
    ...rows("getnameinfo", [["127.0.0.1", 80]], [-1, 64, 0x8000, 2 ** 31 - 1, 2 ** 32, 1.5, "1", null, undefined]),
    ...rows(
      "getnameinfo",
      [
        ...[
          ["127.0.0.1", 80, 0],
          ["127.0.0.1", 80, 0, 0],
          ["::1", 80, -1],
          ["::1", 80, 0xfffff],
          ["::1", 80, 0x100000],
        ],
        ...[
          ["::1", 80, 0, 0, 0],
          [],
          ["::1"],
          ["localhost", 80],
          ["nosuch host", 80],
          ["", 80],
          ["256.1.1.1", 80],
          [1, 80],
        ],
        ...[
          [null, 80],
          ["127.0.0.1", "80"],
          ["127.0.0.1", null],
          ["127.0.0.1", 1.5],
          ["::1", 80, "0"],
          ["::1", 80, 0, "0"],
        ],
        ...[
          ["::1", 80, 1.5],
          ["::1", 80, 0, 1.5],
          ["é", 80],
          ["a\0b", 80],
          ["::1", 2 ** 31],
          ["::1", -(2 ** 31) - 1],
        ],
      ],
      [NI_NUMERICHOST, NI_NUMERICHOST | NI_NUMERICSERV],
    ),
    ...rows("getnameinfo", [undefined, null, "127.0.0.1", 1, Buffer.alloc(4)], [NI_NUMERICHOST]),
    ...rows(
      "getnameinfo",
      hosts.filter(([ip = ""]) => ip.includes(".")).map(([ip]) => [ip, 80]),
      [0, NI_NAMEREQD, NI_NOFQDN],
    ),
  ],
  "gethostbyname and its kin": [
    ...rows("gethostbyname", [...known4, "", "<broadcast>", "1.2.3.4", "0.0.0.0", "255.255.255.255"]),
    ...rows("gethostbyname", [
      "1.2",
      "0x7f.1",
      "1",
      "010.1.1.1",
      ...wrong,
      null,
      "a".repeat(64),
      "a..b",
      ".a",
      "\ud800",
    ]),
    ...rows("gethostbyname_ex", [...known4, "1.2.3.4", "127.0.0.1", "0x7f.1", "1.2"]),
    ...rows("gethostbyname_ex", [...wrong, null, "a".repeat(64), "a..b", ".a", "\ud800"]),
    ...rows("gethostbyaddr", [...known, ...wrong, null, "a".repeat(64), "a..b", ".a", "\ud800"]),
    ...rows("getfqdn", [...known, ` ${known[0]} `, "a".repeat(64), "a..b"]),
    ...(known.includes(sockets.gethostname()) ? rows("getfqdn", ["", " ", "0.0.0.0"]) : []),
    ...rows("getfqdn", [1]),
    [["gethostname"]],
  ],
  "services and protocols": [
    ...services.flatMap(({ names, port, protocol }): Row[] => [
      ...names.flatMap((name): Row[] => [
        [
          ["getservbyname", name],
          ["getservbyname", name, protocol],
        ],
      ]),
      [
        ["getservbyport", port],
        ["getservbyport", port, protocol],
        ["getservbyport", port, "nosuch"],
      ],
    ]),
    ...protocols.flat().map((name): Row => [["getprotobyname", name]]),
    ...rows("getservbyname", unknown),
    ...rows(
      "getservbyname",
      ["http", "domain", "nosuch"],
      ["tcp", "udp", "sctp", "TCP", "", " tcp", "é", "\ud800", "tcp\0"],
    ),
    ...rows("getservbyname", wrong),
    ...rows("getservbyname", ["http"], [1, null, []]),
    ...rows("getservbyport", [0, 1, 4, 65534, 65535, 65536, -1, 2 ** 31, 2 ** 32, -(2 ** 31)]),
    ...rows("getservbyport", ["80", null, undefined, 1.5, [], "http", NaN]),
    ...rows("getservbyport", [80, 53, 69], ["tcp", "udp", "nosuch", "", "é"]),
    ...rows("getservbyport", [80], [1, null, [], "tcp\0"]),
    {
      script: [
        ["getservbyname", "http", undefined],
        ["getservbyport", 80, undefined],
      ],
      ours: [80, "http"],
      why: leftOut,
    },
    ...rows("getprotobyname", [...unknown, ...wrong, null, "TCP", "Icmp", "6"]),
  ],
  interfaces: [
    [["if_nameindex"]],
    ...sockets
      .if_nameindex()
      .flatMap(([index, name]): Row[] => [[["if_nametoindex", name] as Call, ["if_indextoname", index] as Call]]),
    ...rows("if_nametoindex", [
      "",
      " ",
      "nosuch",
      "lo ",
      "LO",
      "a".repeat(15),
      "a".repeat(16),
      "a".repeat(300),
      "é",
      "\udcff",
    ]),
    ...rows("if_nametoindex", ["lo\0", "\0", "\ud800", "\udc00", 1, null, undefined, 1.5, []]),
    ...rows("if_indextoname", [0, 999999, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, -1]),
    ...rows("if_indextoname", ["1", null, undefined, 1.5, NaN, []]),
  ],
});
