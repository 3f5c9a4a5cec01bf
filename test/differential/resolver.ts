/** What resolver.test.ts runs in its namespace: the rows, and both sides of them. */
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  AI_ADDRCONFIG,
  AI_ALL,
  AI_CANONNAME,
  AI_V4MAPPED,
  EAI_NONAME,
  NI_DGRAM,
  NI_NAMEREQD,
  NI_NOFQDN,
  NI_NUMERICHOST,
  NI_NUMERICSERV,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../../src/index.ts";
import { muslVersion } from "../help.ts";
import { type Call, mismatches, product, type Row, runOurs, runPython } from "./compare.ts";

// What glibc's answers tell nothing of musl's about. It asks again where a server fails or refuses, until its time is over,
// a second for each call; takes 512 bytes of an answer before 1.2.4, and the last of several names of an address.
const onGlibcAlone = [
  ...["refused.test", "servfail.test", "formerr.test", "notimp.test", "many.test"],
  ...["10.0.0.2", "10.0.0.4", "10.0.0.6", "fd00:0:1::1"],
];
const onMusl = muslVersion !== null;
const asked = (name: string): boolean => !onMusl || !onGlibcAlone.includes(name);

const hosts = [
  ...["one.test", "four.test", "six.test", "many.test", "alias.test", "nodata.test", "missing.test", "refused.test"],
  ...["servfail.test", "formerr.test", "notimp.test", "bücher.test", "BÜCHER.test", "xn--bcher-kva.test", "ONE.TEST"],
  ...["one.test.", "under_score.test", "hosted.test", "hosted", "other", "six-hosted.test", "six-hosted", "nodots"],
  ...[
    "plain",
    "nick.test",
    "localhost",
    "x y.test",
    "*.test",
    "-a.test",
    "a-.test",
    "one.test ",
    " one.test",
    "127.0.0.1.",
    "::1 ",
  ],
].filter(asked);
const addresses = [
  "10.0.0.1",
  "10.0.0.2",
  "10.0.0.3",
  "10.0.0.4",
  "10.0.0.5",
  "10.0.0.6",
  "fd00::1",
  "fd00::2",
  "fd00:0:1::1",
].filter(asked);
const local = ["127.0.0.1", "::1", "10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4", "fd00::5", "127.0.0.2"];
// What an address's name is that has none, glibc leaves to the caller.
const named = onMusl ? ["hosted.test", "hosted", "localhost", "missing.test"] : hosts;
const rows = (name: string, ...lists: readonly (readonly unknown[])[]): Row[] =>
  product(...lists).map((args): Row => [[name, ...args]]);
// musl leaves NI_NOFQDN out of account.
const nameFlags = Array.from({ length: 32 }, (_, mask) =>
  [NI_DGRAM, NI_NAMEREQD, onMusl ? 0 : NI_NOFQDN, NI_NUMERICHOST, NI_NUMERICSERV].reduce(
    (sum, flag, i) => ((mask >> i) & 1 ? sum | flag : sum),
    0,
  ),
);
const sockets: Call[] = [AF_INET, AF_INET6].flatMap((family) =>
  [SOCK_STREAM, SOCK_DGRAM].map((type): Call => ["s = Socket", family, type]),
);

const groups: Record<string, readonly Row[]> = {
  getaddrinfo: rows(
    "getaddrinfo",
    hosts,
    [80],
    [AF_UNSPEC, AF_INET, AF_INET6],
    [SOCK_STREAM],
    [0],
    // To musl the loopback is an address as any other.
    [0, AI_CANONNAME, AI_V4MAPPED, AI_V4MAPPED | AI_ALL, ...(onMusl ? [] : [AI_ADDRCONFIG])],
  ),
  "getaddrinfo of an address, with its name": rows(
    "getaddrinfo",
    [...addresses, ...local],
    [80],
    [0],
    [1],
    [0],
    [AI_CANONNAME],
  ),
  getnameinfo: [
    ...rows(
      "getnameinfo",
      [...addresses, ...local].map((host) => [host, 80]),
      nameFlags,
    ),
    ...rows(
      "getnameinfo",
      hosts.map((host) => [host, 80]),
      [0],
    ),
  ],
  gethostbyname: [...rows("gethostbyname", hosts), ...rows("gethostbyname_ex", [...hosts, ""])],
  gethostbyaddr: rows("gethostbyaddr", [...named, ...addresses, ...local, "", "<broadcast>", "1.2.3", "0x7f.1"]),
  getfqdn: [
    [["getfqdn"], ["gethostname"]],
    ...rows("getfqdn", [...named, ...addresses, ...local.filter((host) => !onMusl || host !== "10.1.1.4")]),
    ...rows("getfqdn", ["", " ", "0.0.0.0", " hosted "]),
  ],
  "names in addresses": [
    ...product(sockets, ["s.bind", "s.connect", "s.connectEx"], hosts).map(([open, what, host]): Row => [
      open as Call,
      ["s.setblocking", false],
      [what as string, [host, 9]],
    ]),
    ...product(sockets, hosts).map(([open, host]): Row => [
      open as Call,
      ["s.setblocking", false],
      ["s.sendto", Buffer.of(1), [host, 9]],
      ["s.sendmsg", [Buffer.of(1)], [], 0, [host, 9]],
    ]),
    ...rows(
      "s = createConnection",
      ["missing.test", "servfail.test", "nodata.test", "one.test", "localhost"].filter(asked).map((host) => [host, 1]),
      [1],
    ),
    ...rows(
      "s = createServer",
      ["one.test", "localhost"].map((host) => [host, 0]),
    ),
  ],
  differences: [
    {
      script: [["gethostbyname", "bücher/x.test"]],
      ours: [{ error: "RangeError" }],
      why: "no name of a host; Python asks for it",
    },
    {
      script: [["createServer", ["missing.test", 0]]],
      ours: [
        {
          error: "gaierror",
          errno: EAI_NONAME,
          reason: onMusl ? "Name does not resolve" : "Name or service not known",
        },
      ],
      why: "the resolver's error stays one; Python makes an OSError of it",
    },
  ],
};

/** For each group how many calls it has, and the lines of what is not as it should be. */
export default function run(): Record<string, { calls: number; wrong: string[] }> {
  const all = Object.values(groups).flat();
  const theirs = runPython(all);
  const ours = runOurs(all);
  let at = 0;
  return Object.fromEntries(
    Object.entries(groups).map(([name, list]) => {
      const [from, to] = [at, (at += list.length)];
      const wrong = mismatches(list, ours.slice(from, to), theirs.slice(from, to));
      return [name, { calls: list.reduce((sum, row) => sum + ("script" in row ? row.script : row).length, 0), wrong }];
    }),
  );
}
