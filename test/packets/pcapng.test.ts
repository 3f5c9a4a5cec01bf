/**
 * PcapngWriter: files that others read.
 *
 * Peers: tshark.
 */
import { afterAll, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
  PACKET_OUTGOING,
  socketpair,
} from "../../src/index.ts";
import { type CapturedFrame, PcapngWriter } from "../../src/packets.ts";
import { codeOf, descriptors, Folder, isLinux, isWindows, leftOpen, needs } from "../help.ts";
import { lacking, tshark } from "../networks.ts";
import { frame, GROUP, MAC, PEER, take, Wire } from "./wire.ts";

const folder = new Folder();
afterAll(() => folder[Symbol.dispose]());

const withTshark = needs("tshark", tshark !== null);

/** What tshark reads in a file: the fields of each frame. */
function read(path: string, ...fields: string[]): string[][] {
  const command = [tshark!, "-n", "-r", path, "-T", "fields", ...fields.flatMap((field) => ["-e", field])];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`tshark ended with ${exitCode}: ${stderr}`);
  const lines = stdout.toString().replace(/\n$/, "").split("\n");
  return lines.map((line) => line.split("\t"));
}

/** The blocks of a file: type and content. Checks that each has its length at both ends. */
function blocksOf(file: Buffer): [type: number, content: Buffer][] {
  const blocks: [number, Buffer][] = [];
  for (let at = 0; at < file.length;) {
    const length = file.readUInt32LE(at + 4);
    expect(length % 4).toBe(0);
    expect(file.readUInt32LE(at + length - 4)).toBe(length);
    blocks.push([file.readUInt32LE(at), file.subarray(at + 8, at + length - 4)]);
    at += length;
  }
  return blocks;
}

const one: CapturedFrame = { data: frame(PEER, MAC, "x"), seconds: 1, nanoseconds: 2 };

test("each kind of block is laid out as the format says", () => {
  const path = folder.file("layout.pcapng");
  {
    using file = new PcapngWriter(path);
    expect(file.addInterface("eth0", { linkType: 1, snapLength: 96 })).toBe(0);
    expect(file.addInterface("tun0", { linkType: 101 })).toBe(1);
    file.write({ data: Buffer.from("abcde"), length: 1500, seconds: 4, nanoseconds: 294967297, packetType: 4 }, 1);
    file.statistics({ packets: 2 ** 33 + 7, drops: 3 }, 1);
  }
  const [section, eth, tun, packet, statistics, ...more] = blocksOf(readFileSync(path));
  expect(more).toEqual([]);
  const name = Buffer.from("berkeley-sockets").toString("hex");
  expect([section![0], section![1].toString("hex")]).toEqual([
    0x0a0d0d0a,
    `4d3c2b1a01000000ffffffffffffffff04001000${name}00000000`,
  ]);
  expect([eth![0], eth![1].toString("hex")]).toEqual([
    1,
    "010000006000000002000400657468300900010009000000" + "00000000",
  ]);
  expect(tun![1].toString("hex")).toStartWith("6500000000000000");
  // 4 s and 294,967,297 ns are 4,294,967,297 ns: one more than 32 bits hold.
  expect([packet![0], packet![1].toString("hex")]).toEqual([
    6,
    "01000000" +
      "01000000" +
      "01000000" +
      "05000000" +
      "dc050000" +
      "6162636465000000" +
      "02000400" +
      "0200000000000000",
  ]);
  const [type, content] = statistics!;
  expect([type, content.readUInt32LE(0)]).toEqual([5, 1]);
  expect(content.toString("hex", 12)).toBe(
    "04000800" + "0700000002000000" + "05000800" + "0300000000000000" + "00000000",
  );
  expect(content.readUInt32LE(4) * 2 ** 32 + content.readUInt32LE(8)).toBeWithin(
    (Date.now() - 60_000) * 1e6,
    (Date.now() + 1000) * 1e6,
  );
});

withTshark("tshark reads bytes, lengths, times to the nanosecond, interfaces and counts", () => {
  const path = folder.file("read.pcapng");
  const frames: [CapturedFrame, number][] = [];
  {
    using file = new PcapngWriter(path);
    file.addInterface("first");
    file.addInterface("zweite Schnittstelle ü");
    for (let i = 0; i < 2000; i++) {
      const data = frame(PEER, MAC, "p".repeat(i % 1400));
      // Times up to the last that 32 bits of seconds hold.
      const seconds = Math.floor((i * 0xffff_ffff) / 1999);
      const nanoseconds = (i * 499_999) % 1_000_000_000;
      frames.push([{ data, length: data.length + (i % 3), seconds, nanoseconds }, i % 2]);
    }
    frames[1999]![0] = { ...frames[1999]![0], nanoseconds: 999_999_999 };
    for (const [captured, index] of frames) file.write(captured, index);
  }
  const seen = read(path, "frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_name");
  const names = ["first", "zweite Schnittstelle ü"];
  expect(seen).toEqual(
    frames.map(([{ data, length, seconds, nanoseconds }, index]) => [
      `${seconds}.${String(nanoseconds).padStart(9, "0")}`,
      `${data.byteLength}`,
      `${length}`,
      names[index]!,
    ]),
  );
  const packets = blocksOf(readFileSync(path)).filter(([type]) => type === 6);
  expect(packets.map(([, content], i) => content.subarray(20, 20 + frames[i]![0].data.byteLength))).toEqual(
    frames.map(([{ data }]) => data as Buffer),
  );
});

needs("tshark and AF_PACKET", tshark !== null && isLinux)("direction, kind of reception and VLAN are told", () => {
  const path = folder.file("flags.pcapng");
  const types = [PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_OUTGOING];
  {
    using file = new PcapngWriter(path);
    file.addInterface("eth0");
    file.addInterface("raw", { linkType: 101 });
    for (const packetType of types) file.write({ ...one, packetType });
    file.write({ ...one, vlan: 0x6005, vlanProtocol: 0x88a8 });
    file.write({ ...one, vlan: 7 });
    file.write({ ...one, vlan: null, vlanProtocol: null });
    file.write({ ...one, data: Buffer.from("4500", "hex"), vlan: 7 }, 1); // no place for a tag
  }
  const seen = read(path, "frame.packet_flags_direction", "frame.packet_flags_reception_type", "frame.len");
  const number = (text: string): number => Number(text);
  expect(seen.slice(0, 5).map((fields) => fields.map(number))).toEqual([
    [1, 1, 60],
    [1, 3, 60],
    [1, 2, 60],
    [1, 4, 60],
    [2, 0, 60],
  ]);
  expect(seen.slice(5).map(([, , length]) => Number(length))).toEqual([64, 64, 60, 2]);
  const tags = read(path, "ieee8021ad.id", "vlan.id", "vlan.priority", "vlan.etype").slice(5, 8);
  expect(tags.map((tag) => tag.join())).toEqual(["5,,,", ",7,0,0x88b5", ",,,"]);
});

needs(lacking || "tshark", lacking === "" && tshark !== null)("what a ring received is what tshark reads", () => {
  using wire = new Wire();
  const ring = wire.ring({ protocol: 3 }); // ETH_P_ALL
  const sender = wire.sender();
  const path = folder.file("ring.pcapng");
  const sent = Array.from({ length: 200 }, (_, i) => frame(i % 2 ? GROUP : PEER, MAC, "r".repeat(i * 7)));
  const tagged = frame(PEER, MAC, "tag");
  sent.push(Buffer.concat([tagged.subarray(0, 12), Buffer.from("81000064", "hex"), tagged.subarray(12)]));
  let times: string[];
  {
    using file = new PcapngWriter(path);
    file.addInterface("there0");
    for (const data of sent) sender.send(data);
    times = take(ring, sent.length, (captured) => {
      file.write(captured);
      return `${captured.seconds}.${String(captured.nanoseconds).padStart(9, "0")}`;
    });
    file.statistics(ring.statistics());
  }
  expect(ring.wait(0)).toBe(false);
  expect(read(path, "frame.time_epoch", "frame.len")).toEqual(sent.map((data, i) => [times[i]!, `${data.length}`]));
  const packets = blocksOf(readFileSync(path)).filter(([type]) => type === 6);
  expect(packets.map(([, content], i) => content.subarray(20, 20 + sent[i]!.length))).toEqual(sent);
  const capinfos = Bun.which("capinfos");
  if (capinfos !== null) expect(Bun.spawnSync([capinfos, path]).stdout.toString()).toContain("Number of packets = 201");
});

test("no frame has more bytes than its interface, with a tag that is put back", () => {
  const path = folder.file("snap.pcapng");
  const data = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
  {
    using file = new PcapngWriter(path);
    for (const snapLength of [64, 66, 68, 0, 15, 16]) file.addInterface("eth0", { snapLength });
    for (let i = 0; i < 6; i++) file.write({ ...one, data, length: 1500, vlan: 5 }, i);
    file.write({ ...one, data }, 4);
  }
  const tagged = Buffer.concat([data.subarray(0, 12), Buffer.of(0x81, 0, 0, 5), data.subarray(12)]);
  const packets = blocksOf(readFileSync(path)).filter(([type]) => type === 6);
  const seen = packets.map(([, content]) => {
    const [captured, length] = [content.readUInt32LE(12), content.readUInt32LE(16)];
    return [length, content.subarray(20, 20 + captured).toString("hex")];
  });
  const expected = [64, 66, 68, 68].map((n) => [1504, tagged.subarray(0, n).toString("hex")]);
  const little = data.subarray(0, 15).toString("hex");
  const first = tagged.subarray(0, 16).toString("hex");
  expect(seen).toEqual([...expected, [1500, little], [1504, first], [64, little]]);
});

test("a frame larger than what is collected is written", () => {
  const path = folder.file("large.pcapng");
  const data = Buffer.alloc(1_000_003, "large");
  {
    using file = new PcapngWriter(path);
    file.addInterface("eth0", { linkType: 0xffff });
    file.write(one);
    file.write({ ...one, data });
    file.write(one);
  }
  const packets = blocksOf(readFileSync(path)).filter(([type]) => type === 6);
  expect(packets.map(([, content]) => content.readUInt32LE(12))).toEqual([60, data.length, 60]);
  expect(packets[1]![1].subarray(20, 20 + data.length).equals(data)).toBe(true);
});

test("a descriptor stays the caller's; nothing is written before flush or close", () => {
  const path = folder.file("given.pcapng");
  const fd = openSync(path, "w");
  const file = new PcapngWriter(fd);
  file.addInterface("eth0");
  expect(readFileSync(path).length).toBe(0);
  file.flush();
  const length = readFileSync(path).length;
  expect(length).toBeGreaterThan(0);
  file.flush();
  file.write(one);
  file.close();
  file.close();
  writeSync(fd, "still open");
  closeSync(fd);
  expect(readFileSync(path).length).toBe(length + 44 + 60 + 10);
  for (const call of [
    () => file.write(one),
    () => file.flush(),
    () => file.addInterface("x"),
    () => file.statistics({ packets: 1, drops: 0 }),
  ]) {
    expect(codeOf(call)).toBe("EBADF");
  }
});

needs("AF_UNIX", !isWindows)("where no more is taken for now, nothing is lost, and nothing written twice", () => {
  const [a, b] = socketpair();
  a.setblocking(false);
  const file = new PcapngWriter(a.fileno());
  file.addInterface("eth0");
  const data = Buffer.alloc(1400, "full");
  let written = 0;
  let code = "";
  while (code === "") {
    try {
      file.write({ ...one, data });
      written++;
    } catch (error) {
      code = (error as { code: string }).code;
    }
  }
  expect(code).toBe("EAGAIN");
  const parts: Buffer[] = [];
  b.setblocking(false);
  for (let isDone = false; !isDone;) {
    while (codeOf(() => parts.push(b.recv(65536))) !== "EAGAIN");
    isDone = codeOf(() => file.flush()) !== "EAGAIN";
  }
  while (codeOf(() => parts.push(b.recv(65536))) !== "EAGAIN");
  const packets = blocksOf(Buffer.concat(parts)).filter(([type]) => type === 6);
  expect(packets.length).toBe(written);
  for (const [, content] of packets) expect(content.subarray(20, 1420).equals(data)).toBe(true);
  a.close();
  b.close();
});

needs("/dev/full", isLinux)("a full disk is an error, and the file is closed all the same", () => {
  const before = descriptors();
  const file = new PcapngWriter("/dev/full");
  file.addInterface("eth0");
  expect(codeOf(() => file.flush())).toBe("ENOSPC");
  expect(codeOf(() => file.close())).toBe("ENOSPC");
  expect(codeOf(() => file.flush())).toBe("EBADF");
  // The error of a write is the one that is told; what could not be written is not tried again.
  expect(
    codeOf(() => {
      using file = new PcapngWriter("/dev/full");
      file.addInterface("eth0");
      file.flush();
    }),
  ).toBe("ENOSPC");
  expect(
    codeOf(() => {
      using file = new PcapngWriter("/dev/full");
      file.addInterface("eth0");
    }),
  ).toBe("ENOSPC");
  expect(leftOpen(before)).toEqual([]);
});

test("what is wrong is told by name, and not written", () => {
  for (const [path, error] of [
    [join(folder.path, "none", "x"), "ENOENT"],
    [folder.path, isWindows ? /^E/ : "EISDIR"],
  ] as const) {
    expect(codeOf(() => new PcapngWriter(path))).toMatch(error);
  }
  for (const wrong of [undefined, null, -1, 1.5, {}, "a\0b"]) {
    expect(() => new PcapngWriter(wrong as string)).toThrow(/^file: /);
  }
  const path = folder.file("wrong.pcapng");
  using file = new PcapngWriter(path);
  expect(() => file.write(one)).toThrow("index: expected an interface that was added, got 0");
  for (const name of [1, undefined, "a\0", "n".repeat(70000)]) {
    expect(() => file.addInterface(name as string)).toThrow(/^name: /);
  }
  for (const options of [
    null,
    1,
    { linkType: -1 },
    { linkType: 65536 },
    { snapLength: -1 },
    { snapLength: "1" },
    { name: 1 },
  ]) {
    expect(() => file.addInterface("eth0", options as never)).toThrow(/^options/);
  }
  file.addInterface("eth0");
  file.flush();
  const length = readFileSync(path).length;
  const wrong: [object | null, RegExp][] = [
    [null, /^frame: /],
    [{}, /^frame\.data: /],
    [{ data: "text" }, /^frame\.data: /],
    [{ data: [1] }, /^frame\.data: /],
    [{ seconds: -1 }, /^frame\.seconds: /],
    [{ seconds: 2 ** 32 }, /^frame\.seconds: /],
    [{ seconds: 1.5 }, /^frame\.seconds: /],
    [{ nanoseconds: 1_000_000_000 }, /^frame\.nanoseconds: /],
    [{ nanoseconds: 1n }, /^frame\.nanoseconds: /],
    [{ length: -1 }, /^frame\.length: /],
    [{ length: 59 }, /^frame\.length: /],
    [{ length: 2 ** 32 }, /^frame\.length: /],
    [{ vlan: 65536 }, /^frame\.vlan: /],
    [{ vlan: 1, vlanProtocol: -1 }, /^frame\.vlanProtocol: /],
  ];
  for (const [fields, error] of wrong) {
    const captured = fields === null || Object.keys(fields).length === 0 ? fields : { ...one, ...fields };
    expect(() => file.write(captured as CapturedFrame)).toThrow(error);
  }
  for (const index of [1, -1, 0.5, "0", null]) {
    expect(() => file.write(one, index as number)).toThrow(/^index: /);
    expect(() => file.statistics({ packets: 0, drops: 0 }, index as number)).toThrow(/^index: /);
  }
  for (const counts of [
    null,
    1,
    {},
    { packets: -1, drops: 0 },
    { packets: 0, drops: 0.5 },
    { packets: 2 ** 53, drops: 0 },
  ]) {
    expect(() => file.statistics(counts as never)).toThrow(/^counts/);
  }
  file.flush();
  expect(readFileSync(path).length).toBe(length);
});
