/**
 * PacketRing: frames in memory shared with the kernel, over a wire between two networks of the test's own.
 *
 * Peers: tshark, recvfrom, ip of iproute2.
 */
import { expect } from "bun:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { deflate, inflateSync } from "node:zlib";
import {
  AF_INET,
  AF_INET6,
  AF_PACKET,
  ETH_P_ALL,
  ETH_P_IP,
  ETH_P_IPV6,
  if_nametoindex,
  PACKET_BROADCAST,
  PACKET_FANOUT,
  PACKET_FANOUT_CPU,
  PACKET_FANOUT_HASH,
  PACKET_FANOUT_LB,
  PACKET_FANOUT_QM,
  PACKET_FANOUT_RND,
  PACKET_FANOUT_ROLLOVER,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  PACKET_OUTGOING,
  PACKET_STATISTICS,
  PACKET_TIMESTAMP,
  SOCK_DGRAM,
  SOCK_RAW,
  SOF_TIMESTAMPING_RAW_HARDWARE,
  Socket,
  SOL_PACKET,
} from "../../src/index.ts";
import type { FilterInstruction } from "../../src/messages.ts";
import {
  type Block,
  type Frame,
  PacketRing,
  type PacketRingOptions,
  TransmitRing,
  XdpSocket,
} from "../../src/packets.ts";
import { codeOf, descriptors, elapsed, isLinux, leftOpen, needs, slowness, works } from "../help.ts";
import { capture, lacking, Network, tshark } from "../networks.ts";
import { ALL, copies, frame, GROUP, MAC, mappedRings, NOBODY, PATIENCE, PEER, PROTOCOL, take, Wire } from "./wire.ts";

const packet = needs(lacking, lacking === "");
const withTshark = needs(lacking || "tshark", lacking === "" && tshark !== null);

const kinds: [to: Buffer, type: number][] = [
  [PEER, PACKET_HOST],
  [ALL, PACKET_BROADCAST],
  [GROUP, PACKET_MULTICAST],
  [NOBODY, PACKET_OTHERHOST],
];

packet("frames are those that recvfrom gets: bytes, length, address, type", () => {
  using wire = new Wire();
  const ring = wire.ring();
  const sock = wire.receiver();
  const sender = wire.sender();
  const before = Date.now() / 1000;
  for (const [to] of kinds) sender.send(frame(to, MAC, "hello"));
  sender.send(frame(PEER, MAC, "x".repeat(1500)));
  // Outside of the network that they came by: the names of interfaces are those of that network all the same.
  const expected = Array.from({ length: 5 }, () => sock.recvfrom(2000));
  const seen = take(ring, 5, (one) => ({
    data: Buffer.from(one.data),
    address: one.address,
    length: one.length,
    snapLength: one.snapLength,
    type: one.packetType,
    protocol: one.protocol,
    kind: one.hardwareType,
    index: one.interfaceIndex,
    tag: [one.vlan, one.vlanProtocol],
    time: one.seconds + one.nanoseconds / 1e9,
    isHardwareTime: one.isHardwareTime,
  }));
  expect(seen.map(({ data, address }) => [data, address])).toEqual(expected as never);
  expect(seen.every(({ address }) => address[0] === "there0")).toBe(true);
  expect(seen.map(({ type }) => type)).toEqual([...kinds.map(([, type]) => type), PACKET_HOST]);
  const index = wire.there.inside(() => if_nametoindex("there0"));
  for (const [i, one] of seen.entries()) {
    const length = i === 4 ? 1514 : 60;
    expect(one).toMatchObject({ length, snapLength: length, protocol: PROTOCOL, kind: 1, index, tag: [null, null] });
    expect(one.isHardwareTime).toBe(false);
    expect(one.time).toBeGreaterThanOrEqual(before - 0.01);
    expect(one.time).toBeLessThanOrEqual(Date.now() / 1000 + 0.01);
  }
});

packet("numbers of a frame are read without a view, and not behind its end", () => {
  using wire = new Wire();
  const ring = wire.ring();
  wire.sender().send(frame(PEER, NOBODY, "\x01\x02\x03\x7f"));
  const wrong: unknown[] = [-1, 1.5, NaN, 2 ** 32, "1", null, undefined, {}];
  const [seen] = take(ring, 1, (one) => {
    for (const at of wrong) expect(() => one.uint8(at as number)).toThrow(/^at: /);
    expect(one.uint8(59)).toBe(0);
    expect(() => one.uint8(60)).toThrow(RangeError);
    expect(() => one.uint16(59)).toThrow(RangeError);
    expect(() => one.uint32(57)).toThrow(RangeError);
    const { data } = one;
    for (let at = 0; at <= 56; at++) {
      expect([one.uint8(at), one.uint16(at), one.uint32(at)]).toEqual([
        data[at]!,
        data.readUInt16BE(at),
        data.readUInt32BE(at),
      ]);
    }
    return [one.uint16(12), one.uint32(14), one.interfaceIndex > 0];
  });
  expect(seen).toEqual([PROTOCOL, 0x0102037f, true]);
});

withTshark("tshark captured the same bytes at the same times", async () => {
  using wire = new Wire();
  using captured = await capture(wire.there, "-i", "there0", "-c", "20", "-T", "json", "-x");
  const ring = wire.ring();
  const sender = wire.sender();
  for (let i = 0; i < 20; i++) sender.send(frame(kinds[i % 4]![0], MAC, "y".repeat(7 * i)));
  const seen = take(ring, 20, (one) => [
    one.data.toString("hex"),
    `${one.seconds}.${String(one.nanoseconds).padStart(9, "0")}`,
    String(one.length),
  ]);
  type Layers = { frame_raw: [string]; frame: { "frame.time_epoch": string; "frame.len": string } };
  const packets = JSON.parse(await captured.output()) as { _source: { layers: Layers } }[];
  const captures = packets.map(({ _source: { layers } }) => [
    layers.frame_raw[0],
    layers.frame["frame.time_epoch"],
    layers.frame["frame.len"],
  ]);
  expect(captures).toEqual(seen);
});

packet("IPv4 and IPv6 on a loopback: each datagram as it goes and as it comes", () => {
  using net = new Network();
  net.inside(() => {
    using ring = new PacketRing("lo");
    using four = new Socket(AF_INET, SOCK_DGRAM);
    using six = new Socket(AF_INET6, SOCK_DGRAM);
    four.sendto("over four", ["127.0.0.1", 9]);
    six.sendto("over six", ["::1", 9]);
    const seen = take(ring, 4, (one) => [one.protocol, one.packetType, one.uint8(14) >> 4, one.data.toString("latin1")])
      .filter(([protocol, , , text]) => protocol === ETH_P_IP || String(text).includes("over six"))
      .filter(([, , , text]) => String(text).includes("over "))
      .map(([protocol, type, version]) => [protocol, type, version]);
    expect(seen).toContainEqual([ETH_P_IP, PACKET_OUTGOING, 4]);
    expect(seen).toContainEqual([ETH_P_IP, PACKET_HOST, 4]);
  });
  net.inside(() => {
    using ring = new PacketRing("lo", { protocol: ETH_P_IPV6 });
    using six = new Socket(AF_INET6, SOCK_DGRAM);
    six.sendto("over six", ["::1", 9]);
    // Of one protocol, a ring hears what comes alone.
    const [seen] = take(ring, 1, (one) => [one.protocol, one.packetType, one.data.subarray(62).toString()]);
    expect(seen).toEqual([ETH_P_IPV6, PACKET_HOST, "over six"]);
  });
});

packet("a VLAN's tag is taken out, and told", () => {
  using wire = new Wire();
  const ring = wire.ring({ protocol: ETH_P_ALL });
  const sender = wire.sender();
  const inner = frame(PEER, MAC, "tagged");
  for (const [tpid, tci] of [
    [0x8100, 0x6fff], // priority 3, number 4095
    [0x88a8, 0x0005],
    [0x8100, 0x0000], // a priority alone
  ] as const) {
    const tag = Buffer.from([tpid >> 8, tpid & 255, tci >> 8, tci & 255]);
    sender.send(Buffer.concat([inner.subarray(0, 12), tag, inner.subarray(12)]));
    const seen = take(ring, 1, (one) => [one.vlan, one.vlanProtocol, one.length, one.data.toString("hex")]);
    expect(seen).toEqual([[tci, tpid, 60, inner.toString("hex")]]);
  }
});

packet("a filter is there from the first frame on, and says how much of each comes", () => {
  using wire = new Wire();
  const long: FilterInstruction[] = [
    [0x80, 0, 0, 0], // the length
    [0x25, 0, 1, 100], // more than 100?
    [0x06, 0, 0, 20], // 20 bytes of it
    [0x06, 0, 0, 0],
  ];
  const ring = wire.ring({ filter: long });
  const sender = wire.sender();
  sender.send(frame(PEER, MAC, "short"));
  sender.send(frame(PEER, MAC, "z".repeat(200)));
  const seen = take(ring, 1, (one) => [one.length, one.snapLength, one.data.toString("latin1", 14)]);
  expect(seen).toEqual([[214, 20, "zzzzzz"]]);
  expect(ring.statistics()).toEqual({ packets: 1, drops: 0, freezes: 0 });
});

packet("promiscuous for as long as the ring is open", () => {
  using wire = new Wire();
  const promiscuity = (): number => JSON.parse(wire.there.ip("-json -details link show dev there0"))[0].promiscuity;
  const before = promiscuity();
  const ring = wire.ring({ promiscuous: true });
  expect(promiscuity()).toBe(before + 1);
  ring.close();
  expect(promiscuity()).toBe(before);
});

packet("what finds no room is dropped and counted, and the ring goes on", () => {
  using wire = new Wire();
  const ring = wire.ring({ blockSize: 4096, blockCount: 4 });
  const sender = wire.sender();
  for (let i = 0; i < 200; i++) sender.send(frame(PEER, MAC, `${i} `.padEnd(500, "."), PROTOCOL));
  expect(ring.wait(PATIENCE)).toBe(true);
  const first = ring.statistics();
  expect(first.packets).toBe(200);
  expect(first.drops).toBeGreaterThan(150);
  expect(first.freezes).toBeGreaterThan(0);
  // Those that found room are the first, in their order.
  const numbers = take(ring, 200 - first.drops, (one) => parseInt(one.data.toString("latin1", 14, 20)));
  expect(numbers).toEqual(Array.from(numbers, (_, i) => i));
  sender.send(frame(PEER, MAC, "again"));
  expect(copies(ring, 1)).toEqual([frame(PEER, MAC, "again")]);
  // Totals: the system's own counts begin anew with each question.
  expect(ring.statistics()).toEqual({ ...first, packets: 201 });
  expect(ring.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)).toEqual(Buffer.alloc(12));
});

packet("a ring goes round and round: every frame once, in its order", () => {
  using wire = new Wire();
  const ring = wire.ring({ blockSize: 8192, blockCount: 3 });
  const tx = wire.transmitRing();
  const sent: number[] = [];
  const seen: number[] = [];
  let dropped = 0;
  for (let round = 0; round < 100; round++) {
    for (let i = 0; i < 23; i++) {
      const n = round * 23 + i;
      const one = frame(PEER, MAC, "n".repeat(n % 300));
      one.writeUInt32BE(n, 14);
      tx.put(one);
      sent.push(n);
    }
    tx.flush();
    // Linux drops one now and then, where a block's time is up just when the frame comes.
    const { drops } = ring.statistics();
    seen.push(...take(ring, 23 - (drops - dropped), (one) => one.uint32(14)));
    dropped = drops;
  }
  expect(ring.statistics().packets).toBe(sent.length);
  expect(dropped).toBeLessThan(10);
  expect(new Set(seen).size).toBe(sent.length - dropped);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
});

/** Every property and method of a frame. */
const looks: Record<string, (one: Frame) => unknown> = {
  address: (one) => one.address,
  data: (one) => one.data,
  hardwareType: (one) => one.hardwareType,
  interfaceIndex: (one) => one.interfaceIndex,
  isHardwareTime: (one) => one.isHardwareTime,
  length: (one) => one.length,
  nanoseconds: (one) => one.nanoseconds,
  packetType: (one) => one.packetType,
  protocol: (one) => one.protocol,
  seconds: (one) => one.seconds,
  snapLength: (one) => one.snapLength,
  status: (one) => one.status,
  uint16: (one) => one.uint16(0),
  uint32: (one) => one.uint32(0),
  uint8: (one) => one.uint8(0),
  vlan: (one) => one.vlan,
  vlanProtocol: (one) => one.vlanProtocol,
};

/** Checks that a frame and what it gave are dead. */
function expectDead(one: Frame, data: Buffer): void {
  for (const look of Object.values(looks)) expect(() => look(one)).toThrow(/^frame: its block was released/);
  expect(data.length).toBe(0);
  expect((data.buffer as ArrayBuffer).detached).toBe(true);
  expect(data[0]).toBeUndefined();
  expect(() => Buffer.from(data)).toThrow();
  expect(() => data.subarray(0, 1)).toThrow(TypeError);
  expect(() => data.readUInt8(0)).toThrow();
}

packet("a frame that is looked at after its block was released is an error, however that was", () => {
  using wire = new Wire();
  const ring = wire.ring();
  const sender = wire.sender();
  const names: string[] = [];
  for (
    let of = Object.getPrototypeOf(firstOf(ring, sender)[0]);
    of !== Object.prototype;
    of = Object.getPrototypeOf(of)
  ) {
    names.push(...Object.getOwnPropertyNames(of).filter((name) => name !== "constructor" && name !== "find"));
  }
  expect(names.sort()).toEqual(Object.keys(looks).sort());
  const ways: Record<string, (block: Block) => void> = {
    "a loop to the end": (block) => {
      for (const one of block) one.length;
    },
    release: () => ring.release(),
    close: () => ring.close(),
  };
  for (const way of Object.values(ways)) {
    const [one, data, block] = firstOf(ring, sender);
    expect(data.toString("latin1", 14, 19)).toBe("first");
    way(block);
    expectDead(one, data);
    expect([...block]).toEqual([]);
  }
});

/** The first of two frames, of which one came; its block is not released. */
function firstOf(ring: PacketRing, sender: Socket): [Frame, Buffer, Block] {
  ring.release();
  sender.send(frame(PEER, MAC, "first"));
  sender.send(frame(PEER, MAC, "second"));
  expect(ring.wait(PATIENCE)).toBe(true);
  const block = ring.block();
  const { value } = block.next();
  return [value!, value!.data, block];
}

packet("a block whose data an operation is using is not the kernel's before that has ended", async () => {
  using wire = new Wire();
  const ring = wire.ring({ blockSize: 4096, blockCount: 2, blockTimeout: 0.002 });
  const sender = wire.sender();
  const inUse = new TypeError("frame: its data is in use by an operation that has not ended");
  const first = frame(PEER, MAC, "first");
  sender.send(first);
  expect(ring.wait(PATIENCE)).toBe(true);
  let data!: Buffer;
  let deflated!: Promise<Buffer>;
  const use = (one: Frame): void => {
    data = one.data;
    deflated = promisify(deflate)(data) as Promise<Buffer>;
  };
  expect(() => {
    for (const one of ring.block()) use(one);
  }).toThrow(inUse);
  expect(() => ring.release()).toThrow(inUse);
  // The kernel has one block more, and no third.
  for (let i = 0; i < 4; i++) {
    Bun.sleepSync(5);
    sender.send(frame(PEER, MAC, `next ${i}`));
  }
  expect(inflateSync(await deflated).equals(first)).toBe(true);
  expect(data.equals(first)).toBe(true);
  const [seen] = take(ring, 1, (one) => one.data.toString("latin1", 14, 20));
  expect([seen, data.length, data.toString()]).toEqual(["next 0", 0, ""]);

  // A ring that is closed meanwhile keeps the memory for it.
  sender.send(first);
  expect(ring.wait(PATIENCE)).toBe(true);
  for (const one of ring.block()) {
    use(one);
    break;
  }
  const had = Buffer.from(data);
  ring.close();
  expect(inflateSync(await deflated).equals(had)).toBe(true);
});

packet("a ring that is closed while an operation uses a block's data ends its frames all the same", async () => {
  using wire = new Wire();
  const ring = wire.ring({ blockTimeout: 0.002 });
  wire.sender().send(frame(PEER, MAC, "in use"));
  wire.sender().send(frame(PEER, MAC, "the next"));
  expect(ring.wait(PATIENCE)).toBe(true);
  const block = ring.block();
  const one = block.next().value!;
  const data = one.data;
  const deflated = promisify(deflate)(data) as Promise<Buffer>;
  ring.close();
  const dead = /^frame: its block was released/;
  for (const look of [() => one.length, () => one.data, () => one.address, () => one.vlan, () => one.uint8(0)]) {
    expect(look).toThrow(dead);
  }
  expect(block.next()).toEqual({ done: true, value: undefined });
  expect(
    inflateSync(await deflated)
      .subarray(14, 20)
      .toString(),
  ).toBe("in use");
});

packet("a frame of one block is not taken for one of the next", () => {
  using wire = new Wire();
  const ring = wire.ring({ blockSize: 4096, blockCount: 2 });
  const sender = wire.sender();
  const kept: [Frame, Buffer][] = [];
  for (let i = 0; i < 6; i++) {
    sender.send(frame(PEER, MAC, `${i}`));
    take(ring, 1, (one) => kept.push([one, one.data]));
    for (const [one, data] of kept) expectDead(one, data);
  }
  // A second look at a block that is over changes nothing of the one that is there.
  sender.send(frame(PEER, MAC, "now"));
  expect(ring.wait(PATIENCE)).toBe(true);
  const now = ring.block();
  const { value } = now.next();
  expect(value!.data.toString("latin1", 14, 17)).toBe("now");
});

packet("memory that its user moves away, or writes to, is no harm to the ring", () => {
  using wire = new Wire();
  const ring = wire.ring({ blockSize: 4096, blockCount: 2 });
  const sender = wire.sender();
  for (let i = 0; i < 5; i++) {
    const [one, data] = firstOf(ring, sender);
    const moved = structuredClone(data.buffer as ArrayBuffer, { transfer: [data.buffer as ArrayBuffer] });
    expect([data.length, moved.byteLength]).toEqual([0, 4096]);
    expect(() => one.data).toThrow(TypeError);
    expect(one.uint16(12)).toBe(PROTOCOL); // the ring's own is there
    ring.release();
  }
  for (let i = 0; i < 5; i++) {
    const [, data] = firstOf(ring, sender);
    new Uint8Array(data.buffer).fill(0xff, 48); // the headers of all frames, too
    let seen = 0;
    const looking = (): void => {
      for (const one of ring.block()) seen += one.length + one.data.length;
    };
    expect(looking).toThrow(RangeError);
    ring.release();
  }
  sender.send(frame(PEER, MAC, "well"));
  expect(copies(ring, 1)).toEqual([frame(PEER, MAC, "well")]);
});

packet("a loop that is left goes on behind the frame that it saw; what is released is not seen", () => {
  using wire = new Wire();
  const ring = wire.ring({ blockTimeout: 0.05 });
  const sender = wire.sender();
  for (let i = 0; i < 6; i++) sender.send(frame(PEER, MAC, `${i}`));
  expect(ring.wait(PATIENCE)).toBe(true);
  const seen: string[] = [];
  const text = (one: Frame): string => one.data.toString("latin1", 14, 15);
  for (const one of ring.block()) {
    seen.push(text(one));
    if (seen.length === 2) break;
  }
  expect(ring.block().length).toBe(6);
  for (const one of ring.block()) {
    seen.push(text(one));
    if (seen.length === 4) break;
  }
  expect(seen).toEqual(["0", "1", "2", "3"]);
  ring.release();
  expect(ring.block().length).toBe(0);
  expect([...ring.block()]).toEqual([]);
  ring.release(); // nothing
  sender.send(frame(PEER, MAC, "next"));
  expect(copies(ring, 1)).toEqual([frame(PEER, MAC, "next")]);
});

packet("waiting blocks until a block comes, or the time is up", () => {
  using wire = new Wire();
  const ring = wire.ring();
  expect(ring.wait(0)).toBe(false);
  const ms = elapsed(() => expect(ring.wait(0.05)).toBe(false));
  expect(ms).toBeGreaterThanOrEqual(50);
  expect(ms).toBeLessThan(1000 * slowness);
  wire.sender().send(frame(PEER, MAC, "x"));
  expect(ring.wait()).toBe(true);
  expect(ring.wait(0)).toBe(true); // it is still there
  for (const wrong of [-1, NaN, "1", 1e30]) expect(() => ring.wait(wrong as number)).toThrow(/^timeout: /);
});

packet("for await gives frames as they come, with the event loop's turns between, and ends with the ring", async () => {
  using wire = new Wire();
  const ring = wire.ring({ blockSize: 4096, blockCount: 64, blockTimeout: 0.001 });
  const sender = wire.sender();
  let sent = 0;
  const timer = setInterval(() => {
    if (sent === 50) return ring.close();
    sender.send(frame(PEER, MAC, `${sent++}`));
  }, 1);
  const seen: number[] = [];
  for await (const one of ring) {
    seen.push(parseInt(one.data.toString("latin1", 14, 17)));
    expect(one.length).toBe(60);
  }
  clearInterval(timer);
  expect(seen.length).toBeGreaterThan(20); // the last may be in a block that was not handed over
  expect(seen).toEqual(Array.from(seen, (_, i) => i));
  for await (const one of ring) throw new Error(`a frame of a closed ring: ${one.length}`);
});

packet("a burst does not keep the event loop from its turns; a loop that is left loses nothing", async () => {
  using wire = new Wire();
  const ring = wire.ring({ blockSize: 4096, blockCount: 100 });
  const sender = wire.sender();
  for (let i = 0; i < 300; i++) sender.send(frame(PEER, MAC, "b".repeat(1000)));
  const left = 290 - ring.statistics().drops; // of the last ten, some may be dropped
  let turns = 0;
  let seen = 0;
  let stop = false;
  void (async () => {
    while (!stop) {
      await nextTurn();
      turns++;
    }
  })();
  for await (const one of ring.frames()) if (++seen === 10 && one.length === 1014) break;
  for await (const one of ring.frames()) if (++seen === left && one.length === 1014) break;
  stop = true;
  expect(turns).toBeGreaterThan(80); // three frames a block
  expect(copies(ring, 10).length).toBe(10);
});

packet("closing rejects what waits, aborting too, and the ring goes on after that", async () => {
  using wire = new Wire();
  const ring = wire.ring();
  const controller = new AbortController();
  const waits = ring.ready({ signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  expect(await waits.catch((error) => error.name)).toBe("AbortError");
  expect(await ring.ready({ signal: AbortSignal.abort("early") }).catch((reason) => reason)).toBe("early");
  const frames = ring.frames({ signal: AbortSignal.timeout(20) });
  expect(await frames.next().catch((error) => error.name)).toBe("TimeoutError");

  wire.sender().send(frame(PEER, MAC, "after that"));
  await ring.ready();
  await ring.ready(); // it is still there
  expect(copies(ring, 1)).toEqual([frame(PEER, MAC, "after that")]);

  const several = [ring.ready(), ring.ready(), ring.ready({ signal: new AbortController().signal })];
  setTimeout(() => ring.close(), 20);
  const codes = await Promise.all(
    several.map((one) =>
      one.then(
        () => "ready",
        ({ code }) => code,
      ),
    ),
  );
  expect(codes).toEqual(["ECANCELED", "ECANCELED", "ECANCELED"]);
  expect(await ring.ready().catch(({ code }) => code)).toBe("EBADF");
});

packet("a loop ends where the ring is closed between a frame's coming and its turn", async () => {
  using wire = new Wire();
  const ring = wire.ring();
  wire.sender().send(frame(PEER, MAC, "there"));
  expect(ring.wait(PATIENCE)).toBe(true);
  const next = ring.frames().next();
  ring.close();
  expect(await next).toEqual({ done: true, value: undefined });
});

packet("a closed ring: every call says EBADF, closing again nothing", () => {
  using wire = new Wire();
  const before = descriptors();
  const ring = wire.ring();
  Bun.gc(true); // mappings of earlier tests go when the engine finds that nobody looks at them
  const mapped = mappedRings();
  expect(mapped).toBeGreaterThan(0);
  const { fileno, ...others } = {
    fileno: () => ring.fileno(),
    block: () => ring.block(),
    wait: () => ring.wait(0),
    statistics: () => ring.statistics(),
    getsockopt: () => ring.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12),
    setsockopt: () => ring.setsockopt(SOL_PACKET, PACKET_STATISTICS, 1),
  };
  expect(fileno()).toBeGreaterThan(2);
  ring.close();
  expect(fileno()).toBe(-1);
  for (const call of Object.values(others)) expect(codeOf(call)).toBe("EBADF");
  ring.release();
  ring.close();
  ring[Symbol.dispose]();
  expect(mappedRings()).toBeLessThan(mapped);
  expect(leftOpen(before)).toEqual([]);
});

packet("a ring that is forgotten stays for as long as a view of it, and no longer", async () => {
  using wire = new Wire();
  const sender = wire.sender();
  // Of several, because the engine finds what looks like a pointer on the stack, and keeps what it points to.
  const views = Array.from({ length: 6 }, () => {
    const ring = wire.there.inside(() => new PacketRing("there0", { protocol: PROTOCOL }));
    return firstOf(ring, sender)[1];
  });
  const warnings: string[] = [];
  const note = (warning: Error): void => void warnings.push(warning.message);
  process.on("warning", note);
  const collect = async (isDone: () => boolean): Promise<void> => {
    for (let i = 0; i < 50 && !isDone(); i++) {
      Bun.gc(true);
      await Bun.sleep(20);
    }
  };
  await collect(() => warnings.length > 3);
  process.off("warning", note);
  expect(warnings.length).toBeGreaterThan(3);
  for (const warning of warnings) expect(warning).toContain("unclosed Socket");
  for (const data of views) expect(data.toString("latin1", 14, 19)).toBe("first");
  expect(mappedRings()).toBeGreaterThanOrEqual(6);
  views.length = 0;
  await collect(() => mappedRings() < 3);
  expect(mappedRings()).toBeLessThan(3);
});

packet("an interface that is shut down, or goes away: ENETDOWN", async () => {
  using wire = new Wire();
  const ring = wire.ring();
  const sender = wire.sender();
  sender.send(frame(PEER, MAC, "before"));
  expect(ring.wait(PATIENCE)).toBe(true);
  wire.there.ip("link set there0 down");
  expect(copies(ring, 1)).toEqual([frame(PEER, MAC, "before")]); // what is there comes first
  const down = "recv ENETDOWN there0: Network is down";
  expect(() => ring.wait(PATIENCE)).toThrow(down);
  expect(ring.wait(0)).toBe(false); // once: it may come up again
  wire.there.ip("link set there0 up");
  for (let tries = 0; tries < 100 && !ring.wait(0.05); tries++) sender.send(frame(PEER, MAC, "up again"));
  expect(take(ring, 1, (one) => one.data.toString("latin1", 14, 22))[0]).toBe("up again");

  const waits = [ring.ready(), ring.frames().next()].map((one) => one.then(String, (error: Error) => error.message));
  await Bun.sleep(10);
  wire.here.ip("link del here0"); // and its other end with it
  expect(await Promise.all(waits)).toEqual([down, down]);
  // It does not come back: nothing would ever end a wait.
  expect(() => ring.wait()).toThrow(down);
  expect(await ring.ready().catch((error: Error) => error.message)).toBe(down);
  expect(ring.statistics().packets).toBeGreaterThan(1);
});

packet("a group of rings shares flows among Workers, each frame to one", async () => {
  using wire = new Wire();
  wire.there.ip("addr add 10.9.0.2/24 dev there0");
  wire.here.ip("addr add 10.9.0.1/24 dev here0");
  wire.here.ip(`neigh add 10.9.0.2 lladdr ${PEER.toString("hex").match(/../g)!.join(":")} dev here0`);
  using group = wire.there.start(process.execPath, `${import.meta.dir}/fanout.ts`, "there0", "3", "hash");
  const lines = group.process.stdout.getReader();
  const line = async (): Promise<string> => Buffer.from((await lines.read()).value!).toString();
  expect(await line()).toBe("ready\n");
  wire.here.inside(() => {
    for (let flow = 0; flow < 60; flow++) {
      using sock = wire.add(new Socket(AF_INET, SOCK_DGRAM));
      sock.bind(["10.9.0.1", 20000 + flow]);
      for (let i = 0; i < 5; i++) sock.sendto(`${flow}`, ["10.9.0.2", 9]);
    }
    using last = new Socket(AF_INET, SOCK_DGRAM);
    last.sendto("end", ["10.9.0.2", 10]);
  });
  const shares = JSON.parse(await line()) as Record<string, number>[];
  expect(shares.length).toBe(3);
  const total: Record<string, number> = {};
  for (const share of shares) {
    for (const [port, count] of Object.entries(share)) {
      expect([port, port in total, count]).toEqual([port, false, 5]); // a whole flow, and nobody else's
      total[port] = count;
    }
  }
  expect(Object.keys(total).length).toBe(60);
  expect(shares.filter((share) => Object.keys(share).length > 5).length).toBe(3);
});

const fanouts: [name: string, type: number][] = [
  ["hash", PACKET_FANOUT_HASH],
  ["load balance", PACKET_FANOUT_LB],
  ["cpu", PACKET_FANOUT_CPU],
  ["rollover", PACKET_FANOUT_ROLLOVER],
  ["random", PACKET_FANOUT_RND],
  ["queue", PACKET_FANOUT_QM],
];

packet.each(fanouts)("a group of every type gives each frame to one ring: %s", (_, type) => {
  using wire = new Wire();
  const fanout = { group: 9, type };
  const rings = [wire.ring({ fanout }), wire.ring({ fanout })];
  for (const ring of rings) expect(ring.getsockopt(SOL_PACKET, PACKET_FANOUT)).toBe(9 | (type << 16));
  const sender = wire.sender();
  for (let i = 0; i < 100; i++) sender.send(frame(PEER, MAC, String(i)));
  const shares = rings.map((ring) => {
    const { packets, drops } = ring.statistics();
    return take(ring, packets - drops, (one) => parseInt(one.data.toString("latin1", 14, 17)));
  });
  expect(shares.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  if (type === PACKET_FANOUT_LB) expect(shares.map((share) => share.length)).toEqual([50, 50]);
});

packet("a group that rolls over: what the first has no room for, the second gets", () => {
  using wire = new Wire();
  const fanout = { group: 10, type: PACKET_FANOUT_ROLLOVER };
  const small = wire.ring({ fanout, blockSize: 4096, blockCount: 2 });
  const large = wire.ring({ fanout });
  const sender = wire.sender();
  for (let i = 0; i < 100; i++) sender.send(frame(PEER, MAC, "x".repeat(500)));
  const came = [small, large].map((ring) => ring.statistics());
  // The frame that finds the ring full is dropped; those behind it go on to the next.
  expect(came[0]!.drops).toBeLessThanOrEqual(1);
  expect(came[1]!.drops).toBe(0);
  expect(came[0]!.packets + came[1]!.packets).toBe(100);
  expect(Math.min(...came.map(({ packets }) => packets))).toBeGreaterThan(0);
});

packet("times that the device took are told from others", () => {
  using wire = new Wire();
  const ring = wire.ring();
  ring.setsockopt(SOL_PACKET, PACKET_TIMESTAMP, SOF_TIMESTAMPING_RAW_HARDWARE);
  const [one, data] = firstOf(ring, wire.sender());
  expect(one.isHardwareTime).toBe(false); // these devices have no clock
  // As the kernel marks it: in the status, the sixth word of the frame's header, which the block's fifth word leads to.
  const words = new Uint32Array(data.buffer);
  const status = words[4]! / 4 + 5;
  expect(words[status]).toBe(one.status);
  words[status]! |= 0x80000000;
  expect(one.isHardwareTime).toBe(true);
  expect(one.vlan).toBeNull();
});

packet("a group is of one type", () => {
  using wire = new Wire();
  wire.ring({ fanout: { group: 7, type: PACKET_FANOUT_HASH } });
  Bun.gc(true); // mappings of earlier tests go now, not in between
  const [before, mapped] = [descriptors(), mappedRings()];
  expect(codeOf(() => wire.ring({ fanout: { group: 7, type: PACKET_FANOUT_HASH + 1 } }))).toBe("EINVAL");
  expect(leftOpen(before)).toEqual([]);
  expect(mappedRings()).toBeLessThanOrEqual(mapped);
});

packet("what is wrong is told by name before anything is opened, and nothing stays open", () => {
  using net = new Network();
  net.inside(() => {
    const before = descriptors();
    const wrong: [ifname: unknown, options: unknown, error: RegExp | string][] = [
      [1, {}, /^TypeError: ifname: /],
      [undefined, {}, /^TypeError: ifname: /],
      ["lo\0", {}, /^RangeError: ifname: /],
      ["a-name-of-16-chr", {}, /^RangeError: ifname: /],
      ["nothere0", {}, "ENODEV"],
      ["lo", null, /^TypeError: options: /],
      ["lo", { blocksize: 1 }, /^TypeError: options: there is no option "blocksize"/],
      ["lo", { protocol: -1 }, /^RangeError: options\.protocol: /],
      ["lo", { protocol: 0 }, /^RangeError: options\.protocol: /],
      ["lo", { protocol: 0x10000 }, /^RangeError: options\.protocol: /],
      ["lo", { blockSize: 0 }, /^RangeError: options\.blockSize: /],
      ["lo", { blockSize: -4096 }, /^RangeError: options\.blockSize: /],
      ["lo", { blockSize: 4097 }, /^RangeError: options\.blockSize: /],
      ["lo", { blockSize: 2048 }, /^RangeError: options\.blockSize: /],
      ["lo", { blockSize: 2 ** 31 }, /^RangeError: options\.blockSize: /],
      ["lo", { blockSize: "4096" }, /^TypeError: options\.blockSize: /],
      ["lo", { blockCount: 0 }, /^RangeError: options\.blockCount: /],
      ["lo", { blockCount: 1.5 }, /^TypeError: options\.blockCount: /],
      ["lo", { blockCount: 2 ** 31 - 1 }, /^RangeError: options\.blockCount: /],
      ["lo", { blockSize: 2 ** 30, blockCount: 4 }, /^RangeError: options\.blockCount: /],
      ["lo", { blockTimeout: 0 }, /^RangeError: options\.blockTimeout: /],
      ["lo", { blockTimeout: null }, /^RangeError: options\.blockTimeout: /],
      ["lo", { blockTimeout: 65.536 }, /^RangeError: options\.blockTimeout: /],
      ["lo", { blockTimeout: NaN }, /^RangeError: options\.blockTimeout: /],
      ["lo", { blockTimeout: "1" }, /^TypeError: options\.blockTimeout: /],
      ["lo", { filter: "text" }, /^TypeError: options\.filter/],
      ["lo", { filter: [] }, /^RangeError: options\.filter/],
      ["lo", { filter: [[6, 0, 0, -1]] }, /^RangeError: options\.filter\[0\]\[3\]/],
      ["lo", { filter: [[1, 2, 3]] }, /^TypeError: options\.filter\[0\]/],
      ["lo", { filter: [[0xffff, 0, 0, 0]] }, "EINVAL"],
      ["lo", { promiscuous: 1 }, /^TypeError: options\.promiscuous: /],
      ["", { promiscuous: true }, /^RangeError: ifname: /],
      ["lo", { fanout: 1 }, /^TypeError: options\.fanout: /],
      ["lo", { fanout: {} }, /^TypeError: options\.fanout\.group: /],
      ["lo", { fanout: { group: 65536, type: 0 } }, /^RangeError: options\.fanout\.group: /],
      ["lo", { fanout: { group: 1 } }, /^TypeError: options\.fanout\.type: /],
      ["lo", { fanout: { group: 1, type: 256 } }, /^RangeError: options\.fanout\.type: /],
      ["lo", { fanout: { group: 1, type: 0, flags: -1 } }, /^RangeError: options\.fanout\.flags: /],
      ["lo", { fanout: { group: 1, type: 200 } }, "EINVAL"],
    ];
    for (const [ifname, options, error] of wrong) {
      const said = codeOf(() => new PacketRing(ifname as string, options as PacketRingOptions));
      expect(said).toMatch(typeof error === "string" ? new RegExp(`^${error}$`) : error);
    }
    expect(leftOpen(before)).toEqual([]);
  });
});

packet("a wait with a wrong signal is rejected", async () => {
  using wire = new Wire();
  const ring = wire.ring();
  for (const options of [{ signal: 1 }, { signal: null }, 5, { timeout: 1 }]) {
    const messages = await Promise.all(
      [ring.ready(options as never), ring.frames(options as never).next()].map((one) => one.then(String, String)),
    );
    for (const message of messages) expect(message).toMatch(/^TypeError: options/);
  }
});

needs("Linux without CAP_NET_RAW", isLinux && !works(() => new Socket(AF_PACKET, SOCK_RAW)))(
  "who may not is told so",
  () => {
    for (const open of [() => new PacketRing("lo"), () => new TransmitRing("lo"), () => new XdpSocket("lo")]) {
      expect(codeOf(open)).toBe("EPERM");
    }
  },
);

needs("other platform than Linux", !isLinux)("elsewhere it says where they are", () => {
  for (const open of [() => new PacketRing("lo"), () => new TransmitRing("lo"), () => new XdpSocket("lo")]) {
    expect(open).toThrow(/: \w+ has no such call; it exists on Linux only$/);
  }
});
