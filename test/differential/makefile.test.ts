/** `makefile` against CPython's: the same bytes in the same pieces, the same calls, and the same results. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import {
  AF_UNIX,
  BlockingIOError,
  BrokenPipeError,
  type FileOptions,
  OSError,
  SHUT_WR,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  type Socket,
  socketpair,
  TimeoutError,
} from "../../src/index.ts";
import { isLinux, python } from "../help.ts";

type Bytes = { bytes: string };
type Argument = number | string | null | Bytes | Argument[];
type Call = [name: string, ...args: Argument[]];

interface Case {
  /** SOCK_SEQPACKET delivers the pieces one by one; SOCK_STREAM as much as is asked for. */
  type: "SOCK_STREAM" | "SOCK_SEQPACKET";
  chunks: string[];
  hangup: boolean;
  timeout: number | null;
  mode: string;
  buffering: number | null;
  options: FileOptions;
  calls: Call[];
}

function reading(calls: Call[], chunks: (string | Uint8Array)[], more: Partial<Case> = {}): Case {
  const hex = chunks.map((chunk) => Buffer.from(chunk as string).toString("hex"));
  const rest = { type: "SOCK_SEQPACKET", hangup: true, timeout: 2, mode: "r", buffering: null, options: {} } as const;
  return { ...rest, ...more, chunks: hex, calls };
}

function writing(calls: Call[], more: Partial<Case> = {}): Case {
  return reading([...calls, ["received"], ["close"], ["received"]], [], { type: "SOCK_STREAM", mode: "w", ...more });
}

const data = (text: string): Bytes => ({ bytes: Buffer.from(text).toString("hex") });

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(plain);
  return value ?? null;
}

const argument = (value: Argument): unknown =>
  Array.isArray(value)
    ? value.map(argument)
    : typeof value === "object" && value !== null
      ? Buffer.from(value.bytes, "hex")
      : value;

function failure(error: unknown): { error: string } {
  for (const type of [BlockingIOError, BrokenPipeError, TimeoutError, OSError, RangeError, TypeError]) {
    if (error instanceof type) return { error: type.prototype.name };
  }
  throw error;
}

function received(peer: Socket): Buffer {
  const chunks: Buffer[] = [];
  peer.settimeout(0);
  try {
    for (;;) {
      const chunk = peer.recv(1 << 20);
      if (chunk.length === 0) break;
      chunks.push(chunk);
    }
  } catch (error) {
    if (!(error instanceof BlockingIOError)) throw error;
  }
  return Buffer.concat(chunks);
}

function call(file: object, sock: Socket, peer: Socket, name: string, given: Argument[]): unknown {
  const args = given.map(argument);
  const method = (key: string): unknown => {
    const member: unknown = Reflect.get(file, key);
    if (typeof member !== "function") throw new RangeError(`no ${key}`);
    return Reflect.apply(member, file, args);
  };
  if (name === "received") return received(peer);
  if (name === "peer") return peer.send(args[0] as Buffer);
  if (name === "hangup") return peer.close();
  if (name === "closeSocket") return sock.close();
  if (name === "isOpen") return Reflect.get(file, "closed") === false;
  if (name === "iterate") return [...(file as Iterable<unknown>)];
  if (name === "get") return Reflect.get(file, args[0] as string);
  if (name === "writeSome") {
    try {
      args[0] = "x".repeat(args[0] as number);
      return method("write");
    } catch (error) {
      if (error instanceof BlockingIOError) return [error.charactersWritten];
      throw error;
    }
  }
  if (name === "readinto" || name === "readinto1") {
    const into = Buffer.alloc(args[0] as number);
    args[0] = into;
    return [method(name), into];
  }
  return method(name);
}

function run(given: Case): unknown[] {
  const [sock, peer] = socketpair(AF_UNIX, given.type === "SOCK_STREAM" ? SOCK_STREAM : SOCK_SEQPACKET);
  sock.settimeout(given.timeout);
  peer.settimeout(5);
  try {
    for (const chunk of given.chunks) peer.send(Buffer.from(chunk, "hex"));
    if (given.hangup) peer.shutdown(SHUT_WR);
    let file: Disposable;
    try {
      file = sock.makefile(given.mode, given.buffering, given.options);
    } catch (error) {
      return [failure(error)];
    }
    const results = given.calls.map(([name, ...args]) => {
      try {
        return plain(call(file, sock, peer, name, args));
      } catch (error) {
        return failure(error);
      }
    });
    try {
      file[Symbol.dispose]();
    } catch {
      // What could not be sent at the end is no matter here.
    }
    return results;
  } finally {
    sock.close();
    peer.close();
  }
}

/** A sequence of numbers below `n`, the same each time. */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** Data in pieces, cut at random. */
function pieces(bytes: Buffer, roll: (n: number) => number): Buffer[] {
  const cut: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + roll(roll(3) === 0 ? 40 : 4);
    cut.push(bytes.subarray(at, at + size));
    at += size;
  }
  return cut;
}

const NEWLINES = [null, "", "\n", "\r", "\r\n"] as const;
const lines = "one\ntwo\r\nthree\rfour\r\r\n\n\r\nlast";
const readers: Call[][] = [
  [["readlines"], ["get", "newlines"], ["readline"]],
  [["iterate"], ["read"]],
  [["read"], ["get", "newlines"], ["read"]],
  [["readline"], ["read", 3], ["readline", 2], ["readline", 0], ["readline", 100], ["readlines", 4], ["read", -1]],
  [...Array.from({ length: 34 }, (): Call => ["read", 1]), ["get", "newlines"]],
];

const cases: Record<string, Case[]> = {
  "modes and bufferings": [
    "",
    "r",
    "w",
    "b",
    "rr",
    "rw",
    "wr",
    "rb",
    "br",
    "wb",
    "rwb",
    "bwr",
    "rwrwbb",
    "a",
    "x",
    "+",
    "t",
    "rt",
    "r+",
    "R",
    " r",
  ].flatMap((mode) =>
    [null, -1, -7, 0, 1, 2, 8192, 100000].map((buffering) =>
      reading([["readable"], ["writable"], ["seekable"], ["isatty"], ["get", "closed"]], [], { mode, buffering }),
    ),
  ),
  "bad options": [
    reading([], [], { options: { encoding: "no-such-encoding" } }),
    ...["\n\r", "\r\r", "x", "\u2028"].map((newline) => reading([], [], { options: { newline } as FileOptions })),
    reading([], [], { options: { newline: 5 } as unknown as FileOptions }),
    reading([], [], { options: { encoding: 5 } as unknown as FileOptions }),
    reading([], [], { options: { errors: 5 } as unknown as FileOptions }),
    reading([["read"]], ["x"], {
      mode: "rb",
      options: { newline: "x", encoding: "no-such" } as unknown as FileOptions,
    }),
  ],
  "newlines, split at every byte": NEWLINES.flatMap((newline) =>
    Array.from({ length: lines.length }, (_, i) => i).flatMap((i) =>
      readers.map((calls) =>
        reading(calls, [lines.slice(0, i), lines.slice(i)].filter(Boolean), { options: { newline } }),
      ),
    ),
  ),
  "newlines, byte by byte": NEWLINES.flatMap((newline) =>
    readers.map((calls) => reading(calls, [...lines], { options: { newline } })),
  ),
  "characters, byte by byte and whole": (
    [
      ["utf-8", "aé€😀\u{10ffff}\r\n\ufeffz"],
      ["utf-16le", "aé€😀\u{10ffff}\r\n\ufeffz"],
      ["latin1", "aé\xff\x80\n"],
      ["ascii", "abc\r\n"],
    ] as const
  ).flatMap(([encoding, text]) =>
    readers.flatMap((calls) => {
      const encoded = Buffer.from(text, encoding);
      const more = { options: { encoding } };
      return [
        reading(calls, [encoded], more),
        reading(
          calls,
          [...encoded].map((byte) => Buffer.of(byte)),
          more,
        ),
      ];
    }),
  ),
  "encodings that are only read": [
    reading([["read", 1], ["read"]], [Buffer.from("€😀\n", "utf16le").swap16()], { options: { encoding: "utf-16be" } }),
    reading(
      [["read", 1], ["read"]],
      [..."\xfe\xff\x20\xac\0a"].map((c) => Buffer.from(c, "latin1")),
      { options: { encoding: "utf-16" } },
    ),
    reading([["read", 1], ["read"]], [Buffer.from("\ufeff€😀\n", "utf16le")], { options: { encoding: "utf-16" } }),
    reading([["read", 1], ["read"]], [Buffer.of(0x82), Buffer.of(0xa0, 0x41, 0x0a)], {
      options: { encoding: "shift_jis" },
    }),
    reading([["readline"], ["read"]], [Buffer.of(0xcf, 0xf0), Buffer.of(0x0a, 0xe8)], {
      options: { encoding: "windows-1251" },
    }),
    reading([["read"]], [Buffer.of(0xa4, 0xa2, 0x8f)], { options: { encoding: "euc-jp" } }),
    reading([["read"]], [Buffer.of(0x1b, 0x24, 0x42), Buffer.of(0x24, 0x22, 0x1b, 0x28, 0x42)], {
      options: { encoding: "iso-2022-jp" },
    }),
  ],
  "bytes that are no text": (["strict", "ignore", "replace", "surrogateescape", "backslashreplace"] as const).flatMap(
    (errors) =>
      [
        "ff",
        "c0af",
        "c3",
        "e282",
        "e28241",
        "f09f98",
        "f09f9841",
        "f0808080",
        "f4908080",
        "eda080",
        "edbfbf41",
        "f88888",
        "80",
        "41c3e282ac",
        "e2e2e2",
        "f09ff09f9880",
        "e28280ff0a41",
        "c328",
        "a0a1",
        "fcfdfeff",
      ].flatMap((hex) => {
        const bytes = Buffer.from(hex, "hex");
        return (["utf-8", "ascii", "latin1", "utf-16le"] as const).flatMap((encoding) => [
          reading([["read"]], [bytes], { options: { encoding, errors } }),
          reading(
            [["readlines"]],
            [...bytes].map((byte) => Buffer.of(byte)),
            { options: { encoding, errors } },
          ),
        ]);
      }),
  ),
  "surrogates that are alone": (
    ["strict", "ignore", "replace", "surrogateescape", "backslashreplace"] as const
  ).flatMap((errors) =>
    ["00d8", "00d84100", "00dc4100", "410000d8", "3dd800", "3dd800de", "3dd83dd800de", "410000dc00d8", "ffdb"].map(
      (hex) => reading([["read"]], [Buffer.from(hex, "hex")], { options: { encoding: "utf-16le", errors } }),
    ),
  ),
  "binary reads": [null, 1, 2, 3, 7, 8192].flatMap((buffering) =>
    (
      [
        [["read"], ["read"], ["read", 3]],
        [
          ["read", 0],
          ["read", 1],
          ["read", 5],
          ["read", 100],
          ["read", 1],
        ],
        [["readline"], ["readline", 2], ["readline", 0], ["readline", -2], ["readline", null], ["read", null]],
        [["readlines"], ["readlines"]],
        [
          ["readlines", 5],
          ["readlines", 0],
        ],
        [
          ["readlines", 4],
          ["readlines", 1],
          ["readlines", -3],
          ["readlines", null],
        ],
        [["iterate"], ["readline"]],
        [
          ["readinto", 4],
          ["readinto", 0],
          ["readinto", 100],
          ["readinto", 3],
        ],
        [["read1", 0], ["peek"], ["read", 1], ["peek"], ["read", 100], ["peek"], ["read1"]],
        [["read", -2]],
      ] as Call[][]
    ).map((calls) => reading(calls, ["one\ntwo\r\n", "\nfour"], { type: "SOCK_STREAM", mode: "rb", buffering })),
  ),
  "binary reads, piece by piece": (
    [
      [["read1"], ["read1", 100], ["readinto1", 50], ["read1", 50], ["read1"], ["read1"]],
      [["peek"], ["peek", 1], ["readinto1", 2], ["readinto1", 50], ["peek", 100], ["read", 7]],
      [["readline"], ["peek"], ["readinto", 9], ["readlines"]],
    ] as Call[][]
  ).map((calls) => reading(calls, ["one\ntw", "o", "\r\n", "\nfo", "ur\n", "end"], { mode: "rb" })),
  "raw reads": (
    [
      [["read"], ["read"]],
      [["read", 2], ["readline"], ["readinto", 3], ["readline", 2], ["readlines"], ["read", 1], ["readall"]],
      [["iterate"]],
      [["readall"], ["get", "mode"]],
      [
        ["readlines", 4],
        ["read", 0],
        ["read", -5],
      ],
      [["write", data("x")]],
    ] as Call[][]
  ).map((calls) => reading(calls, ["one\ntwo\r\n", "\nfour"], { type: "SOCK_STREAM", mode: "rb", buffering: 0 })),
  "binary writes": [null, 1, 2, 5, 8192].flatMap((buffering) =>
    (
      [
        [["write", data("ab")], ["received"], ["write", data("cdefgh")], ["received"], ["flush"]],
        [["write", data("")], ["writelines", [data("a"), data("bc"), data("defghijk")]], ["received"]],
        [["write", data("x".repeat(9000))], ["received"], ["write", data("y")], ["received"]],
        [["write", data("x".repeat(8192))], ["received"], ["write", data("y")], ["received"]],
        [["write", 5], ["write", null], ["writelines", 5], ["read"], ["readline"], ["readlines"], ["read", 1]],
        [["write", data("ab")], ["close"], ["write", data("c")], ["flush"], ["close"], ["writelines", []]],
      ] as Call[][]
    ).map((calls) => writing(calls, { mode: "wb", buffering })),
  ),
  "raw writes": [
    writing([["write", data("ab")], ["received"], ["flush"], ["writelines", [data("c"), data("de")]]], {
      mode: "wb",
      buffering: 0,
    }),
    writing([["read"], ["read", 1], ["readline"], ["readinto", 3], ["readall"], ["readable"]], {
      mode: "wb",
      buffering: 0,
    }),
    reading([["hangup"], ["write", data("a")]], [], { type: "SOCK_STREAM", mode: "wb", buffering: 0 }),
  ],
  "text writes": NEWLINES.flatMap((newline) => [
    writing([["write", "a\nb\r\nc\r"], ["flush"], ["received"], ["writelines", ["é\n", "€", "😀\n"]]], {
      options: { newline },
    }),
    writing([["write", ""], ["write", "\n\n"], ["flush"]], { options: { newline }, mode: "rw" }),
    writing([["write", data("a")], ["write", 5], ["write", null], ["read"], ["readline"], ["iterate"]], {
      options: { newline },
    }),
    writing(
      [
        ["write", "x\n".repeat(20000)],
        ["write", "y"],
      ],
      { options: { newline } },
    ),
  ]),
  "text that has no bytes": (
    ["strict", "ignore", "replace", "surrogateescape", "backslashreplace", "xmlcharrefreplace"] as const
  ).flatMap((errors) =>
    ["utf-8", "utf-16le", "utf-16", "latin1", "ascii"].map((encoding) =>
      writing(
        ["aé€😀\n", "\ud800", "a\udcff\udc80b", "\udc7f", "\udc00\ud800", "\xff\u0100", "plain"].map((text): Call => [
          "write",
          text,
        ]),
        { options: { encoding, errors } },
      ),
    ),
  ),
  "both ways": [
    reading(
      [
        ["readline"],
        ["write", "x\n"],
        ["flush"],
        ["received"],
        ["peer", data("d\n")],
        ["readline"],
        ["get", "newlines"],
      ],
      ["a\n"],
      { mode: "rw", type: "SOCK_STREAM", hangup: false },
    ),
    reading(
      [
        ["readline"],
        ["write", data("x\n")],
        ["flush"],
        ["received"],
        ["readline"],
        ["peek"],
        ["peer", data("d")],
        ["read", 2],
      ],
      ["a\nb\nc"],
      { mode: "rwb", type: "SOCK_STREAM", hangup: false },
    ),
  ],
  timeouts: ["r", "rb"].flatMap((mode) =>
    [null, 0].map((buffering) =>
      reading(
        [["read", 1], ["read", 1], ["readline"], ["read"], ["iterate"], ["readable"], ["close"], ["read", 1]],
        [],
        { mode, buffering, hangup: false, timeout: 0.02, type: "SOCK_STREAM" },
      ),
    ),
  ),
  "what a timeout interrupts": [
    reading([["readline"], ["readline"], ["readline"]], ["one\npart"], {
      mode: "rb",
      hangup: false,
      timeout: 0.02,
      type: "SOCK_STREAM",
    }),
    reading([["readline"], ["readline"], ["readline"], ["read"]], ["one\npart"], {
      hangup: false,
      timeout: 0.02,
      type: "SOCK_STREAM",
    }),
  ],
  "non-blocking": [
    reading(
      [["read", 3], ["read"], ["readinto", 2], ["peer", data("ab\nc")], ["read", 3], ["read"], ["hangup"], ["read"]],
      [],
      { mode: "rb", buffering: 0, hangup: false, timeout: 0, type: "SOCK_STREAM" },
    ),
    reading(
      [["peer", data("ab")], ["read", 3], ["peer", data("c\nd")], ["readline"], ["peer", data("e")], ["read"]],
      [],
      { mode: "rb", hangup: false, timeout: 0, type: "SOCK_STREAM" },
    ),
    writing([["write", data("y".repeat(10000))]], { mode: "wb", timeout: 0 }),
  ],
  closing: ["r", "w", "rw", "rb", "wb", "rwb"].flatMap((mode) =>
    [null, 0].map((buffering) =>
      reading(
        [
          ["closeSocket"],
          ["isOpen"],
          ["readable"],
          ["close"],
          ["isOpen"],
          ["close"],
          ["read"],
          ["read", 1],
          ["readline"],
          ["readlines"],
          ["iterate"],
          ["write", mode.includes("b") ? data("x") : "x"],
          ["flush"],
          ["isatty"],
          ["fileno"],
        ],
        ["abc"],
        { mode, buffering, type: "SOCK_STREAM" },
      ),
    ),
  ),
  "at random, text": Array.from({ length: 400 }, (_, seed) => {
    const roll = dice(seed);
    const alphabet = ["a", "bc", "\n", "\r", "\r\n", "é", "€", "😀", " "];
    const errors = (["strict", "ignore", "replace", "surrogateescape", "backslashreplace"] as const)[roll(5)]!;
    const encoding = (["utf-8", "utf-8", "utf-16le", "latin1"] as const)[roll(4)]!;
    const parts = Array.from({ length: roll(60) }, () =>
      errors !== "strict" && roll(6) === 0 && encoding !== "utf-16le"
        ? Buffer.of(128 + roll(128))
        : Buffer.from(alphabet[roll(alphabet.length)]!, encoding),
    );
    const calls = Array.from({ length: 12 }, (): Call => {
      const name = ["read", "readline", "readline", "readlines", "get"][roll(5)]!;
      if (name === "get") return [name, "newlines"];
      return name === "readline" && roll(2) === 0 ? [name] : [name, 1 + roll(12)];
    });
    const options = { encoding, errors, newline: NEWLINES[roll(5)]! };
    return reading([...calls, ["read"], ["get", "newlines"]], pieces(Buffer.concat(parts), roll), { options });
  }),
  "at random, bytes": Array.from({ length: 300 }, (_, seed) => {
    const roll = dice(seed + 1000);
    const bytes = Buffer.from(Array.from({ length: roll(200) }, () => "ab\n"[roll(3)]!).join(""));
    const calls = Array.from({ length: 12 }, (): Call => {
      const name = ["read", "readline", "readlines", "readinto", "peek", "read1", "readinto1"][roll(7)]!;
      // A packet is cut where a piece of it is asked for: at most one receive means all of the packet.
      if (name === "read1" || name === "readinto1") return [name, 50];
      return name === "peek" || (name === "readline" && roll(2) === 0) ? [name] : [name, roll(30)];
    });
    return reading([...calls, ["read"]], pieces(bytes, roll), { mode: "rb" });
  }),
  "at random, writes": Array.from({ length: 200 }, (_, seed) => {
    const roll = dice(seed + 2000);
    const calls = Array.from({ length: 12 }, (): Call => {
      const kind = roll(5);
      if (kind === 0) return ["flush"];
      if (kind === 1) return ["received"];
      return ["write", data("x".repeat(roll(kind === 2 ? 60 : 9)))];
    });
    return writing(calls, { mode: "wb", buffering: 1 + roll(20) });
  }),
  "at random, writes that would block": Array.from({ length: 30 }, (_, seed) => {
    const roll = dice(seed + 3000);
    const calls = Array.from({ length: 12 }, (): Call => {
      const kind = roll(6);
      return kind < 2 ? ([["flush"], ["received"]][kind] as Call) : ["writeSome", roll(kind === 2 ? 300 : 300000)];
    });
    return writing(calls, { mode: "wb", buffering: [1, 100, 8192, 50000][roll(4)]!, timeout: 0 });
  }),
};

// macOS has no SOCK_SEQPACKET of AF_UNIX.
const packets = isLinux;
const groups = Object.entries(cases).map(
  ([name, group]) => [name, group.filter(({ type }) => packets || type === "SOCK_STREAM")] as const,
);
const all = groups.flatMap(([, group]) => group);
let expected: unknown[][] = [];

if (python !== null) {
  const script = join(import.meta.dir, "makefile.py");
  const { stdout, exitCode } = Bun.spawnSync([python, script], {
    stdin: Buffer.from(JSON.stringify(all)),
    stderr: "inherit",
  });
  if (exitCode !== 0) throw new Error(`makefile.py ended with ${exitCode}`);
  expected = JSON.parse(stdout.toString());
}

let from = 0;
for (const [name, group] of groups) {
  const start = from;
  from += group.length;
  test.skipIf(python === null)(`as CPython: ${name}${python === null ? " (no python3 here)" : ""}`, () => {
    for (const [i, given] of group.entries()) {
      const label = JSON.stringify({ ...given, chunks: given.chunks.join(" ") });
      expect([label, ...run(given)]).toEqual([label, ...expected[start + i]!]);
    }
  });
}
