/** Bytes and objects that are wrong: what is received never throws, what is given is refused by its name. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import * as net from "../../src/index.ts";
import * as messages from "../../src/messages.ts";
import { decodeAncillary, encodeAncillary, type SendableAncillary, type Structure } from "../../src/messages.ts";
import { Hostile, substitutes } from "../faults/values.ts";
import { isLinux, needs } from "../help.ts";

const linux = needs("Linux", isLinux);

let state = 12_345;
/** A number from 0 to below `n` (mulberry32). */
function below(n: number): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)]!;
/** Bytes of which some are likely to mean something. */
const random = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, () => oneOf([0, 0, 0, 1, 2, 4, 10, 18, 255, below(256)])));

/** Each level and type that a control message may have here. */
const places = [net.SOL_SOCKET, net.IPPROTO_IP, net.IPPROTO_IPV6, net.IPPROTO_TCP, net.IPPROTO_UDP, net.SOL_PACKET]
  .concat(net.SOL_NETLINK, net.SOL_CAN_RAW, net.SOL_CAN_J1939)
  .filter((level) => level !== undefined)
  .flatMap((level) => Array.from({ length: 100 }, (_, type) => [level, type] as const));

test("random bytes are decoded or delivered as they are, and never throw", () => {
  const types = new Set<string>();
  const malformed = new Set<string>();
  for (let round = 0; round < 60; round++) {
    for (const [level, type] of places) {
      const data = random(oneOf([0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 20, 24, 32, 44, 48, 84, below(200)]));
      const before = Buffer.from(data);
      const [item, ...more] = decodeAncillary([[level, type, data]]);
      expect(more.length).toBe(0);
      expect(data.equals(before)).toBe(true);
      types.add(item!.type);
      if (item!.type !== "unknown") continue;
      if (item!.malformed) malformed.add(`${level} ${type}`);
      const raw = item as { level: number; cmsgType: number; data: Buffer };
      expect([raw.level, raw.cmsgType, raw.data.equals(before)]).toEqual([level, type, true]);
    }
  }
  if (isLinux) {
    expect(types.size).toBeGreaterThan(25);
    expect(malformed.size).toBeGreaterThan(25);
  }
});

test("every length of every control message is one or marked, never half of one", () => {
  for (const [level, type] of places) {
    const whole = random(128);
    const seen = new Set<string>();
    for (let length = 0; length <= whole.length; length++) {
      const [item] = decodeAncillary([[level, type, whole.subarray(0, length)]]);
      const members = Object.entries(item!).flatMap(([name, value]) => (value === undefined ? [name] : []));
      expect({ level, type, length, members }).toEqual({ level, type, length, members: [] });
      seen.add(item!.type === "unknown" ? `${item!.type} ${item!.malformed}` : item!.type);
    }
    // One that is not known is so in every length.
    if (seen.has("unknown false")) expect([...seen]).toEqual(["unknown false"]);
  }
});

linux("what was cut is never a message: how long each is, as the kernel gives it", () => {
  const lengths: readonly (readonly [level: number, type: number, length: number, head?: number[]])[] = [
    [net.SOL_SOCKET, net.SCM_CREDENTIALS, 12],
    [net.SOL_SOCKET, net.SCM_PIDFD, 4],
    [net.SOL_SOCKET, net.SCM_TIMESTAMP, 16],
    [net.SOL_SOCKET, net.SCM_TIMESTAMPNS, 16],
    [net.SOL_SOCKET, net.SCM_TIMESTAMPING, 48],
    [net.SOL_SOCKET, net.SCM_TIMESTAMPING_PKTINFO, 16],
    [net.SOL_SOCKET, net.SCM_TXTIME, 8],
    [net.SOL_SOCKET, net.SO_RXQ_OVFL, 4],
    [net.SOL_SOCKET, net.SO_MARK, 4],
    [net.SOL_SOCKET, net.SO_PRIORITY, 4],
    [net.SOL_SOCKET, net.SCM_INQ, 4],
    [net.IPPROTO_IP, net.IP_PKTINFO, 12],
    [net.IPPROTO_IP, net.IP_TTL, 4],
    [net.IPPROTO_IP, net.IP_RECVFRAGSIZE, 4],
    [net.IPPROTO_IP, net.IP_ORIGDSTADDR, 16, [net.AF_INET]],
    [net.IPPROTO_IP, net.IP_RECVERR, 32],
    [net.IPPROTO_IPV6, net.IPV6_PKTINFO, 20],
    [net.IPPROTO_IPV6, net.IPV6_HOPLIMIT, 4],
    [net.IPPROTO_IPV6, net.IPV6_TCLASS, 4],
    [net.IPPROTO_IPV6, net.IPV6_FLOWINFO, 4],
    [net.IPPROTO_IPV6, net.IPV6_ORIGDSTADDR, 28, [net.AF_INET6]],
    [net.IPPROTO_IPV6, net.IPV6_RECVERR, 44],
    [net.IPPROTO_TCP, net.TCP_CM_INQ, 4],
    [net.IPPROTO_UDP, net.UDP_GRO, 4],
    [net.IPPROTO_UDP, net.UDP_SEGMENT, 2],
    [net.SOL_PACKET, net.PACKET_AUXDATA, 20],
    [net.SOL_PACKET, net.PACKET_TX_TIMESTAMP, 16],
    [net.SOL_NETLINK, net.NETLINK_PKTINFO, 4],
    [net.SOL_CAN_RAW, net.SCM_CAN_RAW_ERRQUEUE, 16],
    [net.SOL_CAN_J1939, net.SCM_J1939_DEST_NAME, 8],
    [net.SOL_VSOCK, net.VSOCK_RECVERR, 16],
  ];
  for (const [level, type, length, head = []] of lengths) {
    const whole = Buffer.concat([Buffer.from([...head, 0].slice(0, 2)), Buffer.alloc(126, 1)]);
    for (let cut = 0; cut <= length; cut++) {
      const [item] = decodeAncillary([[level, type, whole.subarray(0, cut)]]);
      const known = item!.type !== "unknown" || (item!.malformed ? "malformed" : "unknown");
      expect({ level, type, cut, known }).toEqual({ level, type, cut, known: cut === length || "malformed" });
    }
  }
});

test("bytes on every kind of memory", () => {
  const bytes = [1, 2, 3, 4];
  const kinds = [
    Buffer.from(bytes),
    new Uint8Array([9, ...bytes]).subarray(1),
    new DataView(new Uint8Array(bytes).buffer),
    new Uint8Array(bytes).buffer,
    new Uint8Array(new SharedArrayBuffer(4)),
    new Uint32Array([0x0403_0201]),
  ];
  kinds[4] = new Uint8Array(kinds[4] as Uint8Array).map((_, i) => bytes[i]!);
  for (const data of kinds) {
    expect(decodeAncillary([[0x1234, 1, data]])).toMatchObject([{ data: Buffer.from(bytes) }]);
    expect(messages.ip_mreqn.decode(Buffer.concat([Buffer.from(bytes), Buffer.alloc(8)])).multiaddr).toBe("1.2.3.4");
  }
  for (const [what, make] of substitutes) {
    const message = () => decodeAncillary(make() as never);
    if (what === "[]") expect(message()).toEqual([]);
    else if (what !== "a Proxy that throws") expect(message, what).toThrow(/^ancdata/);
  }
});

const all = messages as unknown as Record<string, Structure<never, never>>;
/** Values that are right. */
const samples: readonly (readonly [name: string, value: Record<string, unknown>])[] = [
  ["linger", { onoff: true, linger: 1 }],
  ["ip_mreq", { multiaddr: "224.0.0.1", interface: "0.0.0.0" }],
  ["ip_mreqn", { multiaddr: "224.0.0.1", address: "0.0.0.0", ifindex: 1 }],
  ["ip_mreq_source", { multiaddr: "224.0.0.1", interface: "0.0.0.0", sourceaddr: "10.0.0.1" }],
  ["ipv6_mreq", { multiaddr: "ff02::1", interface: 1 }],
  ["group_req", { interface: 1, group: "ff02::1" }],
  ["group_source_req", { interface: 1, group: "ff02::1", source: "::1" }],
  ["packet_mreq", { ifindex: 1, type: 1, address: Buffer.alloc(6) }],
  ["ucred", { pid: 1, uid: 1, gid: 1 }],
  ["xucred", { version: 0, uid: 1, groups: [1, 2], pid: 1 }],
  ["tcp_info", messages.tcp_info.decode(Buffer.alloc(400)) as never],
  ["tcp_connection_info", messages.tcp_connection_info.decode(Buffer.alloc(400)) as never],
  ["can_frame", { id: 1, data: Buffer.alloc(8), len8Dlc: 0 }],
  ["canfd_frame", { id: 1, data: Buffer.alloc(64), flags: 0 }],
  ["can_filter", { id: 1, mask: 1 }],
  ["bcm_msg_head", { opcode: 1, flags: 0, count: 1, ival1: 1, ival2: 0.5, id: 1, frames: [{ id: 1, data: "x" }] }],
  ["can_isotp_options", { flags: 1, frameTxtime: 1, extAddress: 1, txpadContent: 1, rxpadContent: 1, rxExtAddress: 1 }],
  ["can_isotp_fc_options", { bs: 1, stmin: 1, wftmax: 1 }],
  ["can_isotp_ll_options", { mtu: 16, txDl: 8, txFlags: 0 }],
  ["j1939_filter", { name: 1n, nameMask: 1n, pgn: 1, pgnMask: 1, addr: 1, addrMask: 1 }],
];

/** What became of a call with a wrong value in the place of a member; "" where that is right. */
function outcome(call: () => unknown, name: string): string {
  try {
    call();
    return "";
  } catch (error) {
    if (error instanceof Hostile) return "";
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) return `threw ${String(error)}`;
    return error.message.includes(name) ? "" : `does not name ${name}: ${error.message}`;
  }
}

/** Whether a value may stand for one of the same kind: then it is taken, and comes back. */
const similar = (value: unknown, good: unknown): boolean =>
  typeof value === typeof good ||
  (ArrayBuffer.isView(good) &&
    (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || typeof value === "string"));

describe("wrong members", () => {
  for (const [name, value] of samples) {
    test(name, () => {
      const structure = all[name]!;
      const right = structure.encode(value as never);
      // The structure and what it is are the same; what it takes beside that may come back as another kind.
      expect(structure.encode(structure.decode(right)).equals(right)).toBe(true);
      const wrong: string[] = [];
      for (const member of Object.keys(value)) {
        for (const [what, make] of substitutes) {
          const bad = make();
          const given = { ...value, [member]: bad };
          const problem = outcome(() => structure.encode(given as never), `${name}.${member}`);
          if (problem) wrong.push(`${member}: ${what}: ${problem}`);
          if (bad === undefined || similar(bad, value[member])) continue;
          if (member === "frames" && what === "[]") continue;
          if (outcome(() => structure.encode(given as never), "\0") === "") {
            wrong.push(`${member}: ${what}: accepted`);
          }
        }
      }
      for (const [what, make] of substitutes) {
        if (what === "a Proxy that throws") continue;
        const bad = make();
        const problem = outcome(() => structure.encode(bad as never), name);
        if (problem) wrong.push(`${what}: ${problem}`);
        const short = outcome(() => structure.decode(bad as never), "data");
        if (short) wrong.push(`decode: ${what}: ${short}`);
      }
      expect(wrong).toEqual([]);
      expect(() => structure.encode({ ...value, colour: 1 } as never)).toThrow(
        new RegExp(`^${name}: there is no member "colour" \\(there are ${Object.keys(value)[0]}, `),
      );
    });
  }

  test("every structure but timeval, which is a number, is among them", () => {
    const exported = Object.entries(messages).flatMap(([name, value]) => (typeof value === "object" ? [name] : []));
    expect(exported.filter((name) => !samples.some(([sample]) => sample === name))).toEqual(["timeval"]);
    for (const bad of [-1, NaN, Infinity, 2 ** 32])
      expect(() => messages.timeval.encode(bad)).toThrow(/^timeval: .*seconds/);
    expect(() => messages.timeval.encode("1" as never)).toThrow(TypeError);
    // 0 would be no timeout at all.
    expect(messages.timeval.encode(1e-9).equals(messages.timeval.encode(0))).toBe(false);
    expect(messages.timeval.decode(messages.timeval.encode(0.1 + 0.2))).toBe(0.3);
  });

  test("values at their bounds", () => {
    const refused: [() => unknown, RegExp][] = [
      [() => messages.ip_mreq.encode({ multiaddr: "224.0.0.256" }), /^ip_mreq\.multiaddr: expected an IPv4 address/],
      [() => messages.ip_mreq.encode({ multiaddr: "::1" }), /^ip_mreq\.multiaddr: /],
      [() => messages.ipv6_mreq.encode({ multiaddr: "fe80::1%lo" }), /^ipv6_mreq\.multiaddr: expected an IPv6 address/],
      [() => messages.group_req.encode({ group: "localhost" }), /^group_req\.group: /],
      [() => messages.packet_mreq.encode({ ifindex: 1, type: 0x1_0000 }), /^packet_mreq\.type: /],
      [
        () => messages.packet_mreq.encode({ ifindex: 1, type: 1, address: Buffer.alloc(9) }),
        /^packet_mreq\.address: expected at most 8 bytes/,
      ],
      [() => messages.can_frame.encode({ id: 1, data: Buffer.alloc(9) }), /^can_frame\.data: expected at most 8 bytes/],
      [() => messages.canfd_frame.encode({ id: 1, data: Buffer.alloc(65) }), /^canfd_frame\.data: /],
      [() => messages.can_frame.encode({ id: 2 ** 32, data: "" }), /^can_frame\.id: /],
      [() => messages.j1939_filter.encode({ name: 2n ** 64n }), /^j1939_filter\.name: expected a bigint of 64 bits/],
      [() => messages.j1939_filter.encode({ name: -1n }), /^j1939_filter\.name: /],
      [
        () =>
          messages.bcm_msg_head.encode({
            opcode: 1,
            id: 1,
            frames: [
              { id: 1, data: "x" },
              { id: "x", data: "" },
            ] as never,
          }),
        /^bcm_msg_head\.frames\[1\]\.id: /,
      ],
      [() => messages.bcm_msg_head.decode(Buffer.alloc(55)), /^data: expected at least 56 bytes/],
      [() => messages.bcm_msg_head.decode(Buffer.alloc(56, 255)), /^data: expected at least \d+ bytes/],
    ];
    for (const [call, message] of refused) {
      expect(call).toThrow(message);
    }
    expect(messages.can_frame.decode(Buffer.alloc(16, 255)).data.length).toBe(8); // a length of 255
    expect(messages.packet_mreq.decode(Buffer.alloc(16, 255)).address.length).toBe(8);
    expect(messages.xucred.decode(Buffer.alloc(88, 255)).groups).toEqual([]);
    expect(messages.group_req.decode(Buffer.alloc(136)).group).toBe("");
  });
});

describe("wrong items", () => {
  const items: SendableAncillary[] = [
    { type: "rights", fds: [0] },
    { type: "credentials", pid: 1, uid: 1, gid: 1 },
    { type: "pktinfo", ifindex: 1, specDst: "127.0.0.1", addr: "127.0.0.1" },
    { type: "pktinfo6", addr: "::1", ifindex: 1 },
    { type: "txtime", time: { seconds: 1, nanoseconds: 1 } },
    { type: "unknown", level: 0x1234, cmsgType: 1, data: Buffer.from("x") },
    ...(["ttl", "hoplimit", "tos", "tclass", "flowinfo", "segment", "mark"] as const).map((type) => ({
      type,
      value: 1,
    })),
    ...(["priority", "timestampingFlags", "timestampId"] as const).map((type) => ({ type, value: 1 })),
  ];
  for (const item of items) {
    linux(item.type, () => {
      const again = decodeAncillary(encodeAncillary([item]))[0]!;
      // By the number of these flags it is times that come.
      if (item.type !== "timestampingFlags") expect(again).toMatchObject(item as never);
      else expect(again).toMatchObject({ type: "unknown", malformed: true, data: Buffer.from([1, 0, 0, 0]) });
      const wrong: string[] = [];
      for (const [member, good] of Object.entries(item)) {
        for (const [what, make] of substitutes) {
          const bad = make();
          const encode = () => encodeAncillary([item, { ...item, [member]: bad } as never]);
          const problem = outcome(encode, `items[1].${member}`);
          if (problem) wrong.push(`${member}: ${what}: ${problem}`);
          if (bad === undefined || similar(bad, good) || (member === "fds" && what === "[]")) continue;
          if (outcome(encode, "\0") === "" && what !== "a Proxy that throws")
            wrong.push(`${member}: ${what}: accepted`);
        }
      }
      expect(wrong).toEqual([]);
      expect(() => encodeAncillary([{ ...item, colour: 1 } as never])).toThrow(
        /^items\[0\]: there is no member "colour"/,
      );
    });
  }

  linux("a type that is not to be sent, that is none, or that the platform lacks", () => {
    const gro = { type: "gro", value: 1 };
    expect(() => encodeAncillary([gro as never])).toThrow(
      /^items\[0\]\.type: expected one of rights, .*unknown, got "gro"/,
    );
    expect(() => encodeAncillary([{ type: "dstaddr", addr: "::" }])).toThrow(
      /^items\[0\]\.type: expected a type that this platform has, got "dstaddr"/,
    );
    for (const [what, make] of substitutes) {
      if (what === "a Proxy that throws") continue;
      if (what !== "[]") expect(() => encodeAncillary(make() as never), what).toThrow(/^items/);
      expect(() => encodeAncillary([make() as never]), what).toThrow(/^items\[0\]/);
    }
    const bounds = [
      { type: "ttl", value: 0 },
      { type: "ttl", value: 256 },
      { type: "hoplimit", value: -2 },
      { type: "segment", value: 65_536 },
      { type: "mark", value: 2 ** 32 },
      { type: "rights", fds: [-1] },
      { type: "txtime", time: { seconds: 1, nanoseconds: 1_000_000_000 } },
    ] as const;
    for (const item of bounds) expect(() => encodeAncillary([item])).toThrow(RangeError);
  });
});

test("every export has a doc comment, and every function and structure an example", async () => {
  const source = join(import.meta.dir, "..", "..", "src");
  const index = await Bun.file(join(source, "messages.ts")).text();
  const missing: string[] = [];
  let count = 0;
  for (const [, names, from] of index.matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)";/gms)) {
    const code = await Bun.file(join(source, from!)).text();
    for (const name of names!.split(",").map((name) => name.trim())) {
      if (name === "") continue;
      count++;
      const bare = name.replace(/^type /, "");
      const found = new RegExp(
        `/\\*\\*((?:(?!\\*/).)*)\\*/\\nexport (?:function|const|interface|type) ${bare}\\b`,
        "s",
      ).exec(code);
      const isType = name !== bare || index.includes(`export type { ${bare}`) || /^[A-Z]/.test(bare);
      if (found === null) missing.push(bare);
      else if (!isType && !found[1]!.includes("@example")) missing.push(`${bare}: an example`);
    }
  }
  expect(missing).toEqual([]);
  expect(count).toBeGreaterThan(50);
});
