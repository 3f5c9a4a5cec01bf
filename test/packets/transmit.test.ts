/**
 * TransmitRing: frames that are sent from memory shared with the kernel, over a wire between two networks of the test's own.
 *
 * Peers: recvfrom, tshark.
 */
import { expect } from "bun:test";
import { PACKET_QDISC_BYPASS, SOL_PACKET } from "../../src/index.ts";
import { TransmitRing, type TransmitRingOptions } from "../../src/packets.ts";
import { codeOf, descriptors, leftOpen, needs } from "../help.ts";
import { capture, lacking, Network, tshark } from "../networks.ts";
import { frame, MAC, mappedRings, PATIENCE, PEER, Wire } from "./wire.ts";

const packet = needs(lacking, lacking === "");
const withTshark = needs(lacking || "tshark", lacking === "" && tshark !== null);

packet("one call sends all that was filled, in its order", () => {
  using wire = new Wire();
  const ring = wire.transmitRing();
  const sock = wire.receiver();
  expect([ring.frameCount, ring.maxLength, ring.pending]).toEqual([1024, 2000, 0]);
  const frames = Array.from({ length: 50 }, (_, i) => frame(PEER, MAC, `${i} `.repeat(i)));
  for (const one of frames) expect(ring.put(one)).toBe(true);
  expect(ring.pending).toBe(50);
  sock.settimeout(0);
  expect(codeOf(() => sock.recv(2000))).toBe("EAGAIN"); // nothing goes before flush
  expect(ring.flush()).toBe(50);
  sock.settimeout(PATIENCE);
  for (const one of frames) expect(sock.recv(2000)).toEqual(one);
  expect(ring.wait(PATIENCE, ring.frameCount)).toBe(true);
  expect([ring.pending, ring.flush()]).toEqual([0, 0]);
});

packet("a frame is written in place: reserve and commit", () => {
  using wire = new Wire();
  const ring = wire.transmitRing();
  const sock = wire.receiver();
  const room = ring.reserve()!;
  expect(room.length).toBe(2000);
  expect(ring.reserve()).toBe(room); // until it is filled
  frame(PEER, MAC, "in place").copy(room);
  for (const wrong of [0, -1, 2001, 1.5, "60", undefined])
    expect(() => ring.commit(wrong as number)).toThrow(/^length: /);
  expect(ring.pending).toBe(0);
  ring.commit(60);
  expect(ring.reserve()).not.toBe(room);
  expect(ring.flush()).toBe(1);
  expect(sock.recv(2000)).toEqual(frame(PEER, MAC, "in place"));
});

packet("what takes bytes takes all kinds of them", () => {
  using wire = new Wire();
  const ring = wire.transmitRing();
  const sock = wire.receiver();
  const one = frame(PEER, MAC, "kinds");
  for (const data of [one, new Uint8Array(one), new DataView(new Uint8Array(one).buffer), new Uint8Array(one).buffer]) {
    ring.put(data);
    ring.flush();
    expect(sock.recv(2000)).toEqual(one);
  }
  const detached = new Uint8Array(60);
  detached.buffer.transfer();
  for (const wrong of [detached, Buffer.alloc(0), Buffer.alloc(2001), "", 5, null, undefined, [1]]) {
    expect(() => ring.put(wrong as string)).toThrow(/^data: /);
  }
  expect(ring.pending).toBe(0);
});

packet("a full ring takes no more, until there is room", async () => {
  using wire = new Wire();
  const ring = wire.transmitRing({ frameSize: 8192, frameCount: 16 });
  const sock = wire.receiver();
  const numbered = (n: number): Buffer => frame(PEER, MAC, `${n}`);
  for (let n = 0; n < 16; n++) expect(ring.put(numbered(n))).toBe(true);
  expect(ring.put(numbered(16))).toBe(false);
  expect(ring.reserve()).toBeNull();
  expect(() => ring.commit(60)).toThrow(new TypeError("commit: no slot is reserved"));
  expect(ring.wait(PATIENCE)).toBe(true); // which hands over what is filled
  expect(ring.put(numbered(16))).toBe(true);
  await ring.ready({ free: 16 });
  expect(ring.pending).toBe(0);
  for (let n = 17; n < 1000; n++) while (!ring.put(numbered(n))) await ring.ready();
  await ring.ready({ free: ring.frameCount });
  sock.settimeout(0);
  const seen: string[] = [];
  while (codeOf(() => seen.push(sock.recv(2000).toString("latin1", 14, 18).replaceAll("\0", ""))) !== "EAGAIN");
  // The receiver's queue may be shorter than that.
  expect(seen.length).toBeGreaterThan(100);
  expect(seen).toEqual(seen.map((_, n) => `${n}`));
});

packet("a frame that the interface refuses is given up and told once; those around it are sent once", () => {
  using wire = new Wire();
  const ring = wire.transmitRing();
  const sock = wire.receiver();
  const put = (...texts: string[]): void => {
    for (const text of texts) {
      const isWrong = text === "long" || text === "short";
      ring.put(isWrong ? Buffer.alloc(text === "long" ? 1600 : 10) : frame(PEER, MAC, text));
    }
  };
  const sent = (...texts: string[]): void => {
    for (const text of texts) expect(sock.recv(2000)).toEqual(frame(PEER, MAC, text));
    sock.settimeout(0);
    expect(codeOf(() => sock.recv(2000))).toBe("EAGAIN");
    sock.settimeout(PATIENCE);
  };
  put("a", "b", "long", "c", "d");
  expect(ring.flush()).toBe(2);
  sent("a", "b");
  expect(() => ring.flush()).toThrow("send EMSGSIZE: ");
  expect(ring.flush()).toBe(2);
  sent("c", "d");
  // The first, the last, several, alone; through wait as well.
  put("short", "e");
  expect(codeOf(() => ring.flush())).toBe("EINVAL");
  expect(ring.flush()).toBe(1);
  sent("e");
  put("f", "long", "short", "g");
  expect(ring.flush()).toBe(1);
  expect([codeOf(() => ring.flush()), codeOf(() => ring.flush())]).toEqual(["EMSGSIZE", "EINVAL"]);
  expect(ring.flush()).toBe(1);
  sent("f", "g");
  put("long");
  expect(codeOf(() => ring.wait(PATIENCE))).toBe("EMSGSIZE");
  expect([ring.flush(), ring.pending]).toEqual([0, 0]);
  put("h");
  expect(ring.wait(PATIENCE, 1024)).toBe(true);
  sent("h");
  // Behind one that leaves by the same call: who waits until all have left is told of it.
  put("q", "short");
  expect(codeOf(() => ring.wait(PATIENCE, 1024))).toBe("EINVAL");
  expect([ring.wait(PATIENCE, 1024), ring.pending]).toEqual([true, 0]);
  sent("q");
  // Over the ring's end.
  for (let i = 0; i < 1020; i++) put("x");
  expect(ring.wait(PATIENCE, 1024)).toBe(true);
  while (codeOf(() => sock.recv(2000)) !== "ETIMEDOUT") sock.settimeout(0.1);
  sock.settimeout(PATIENCE);
  put("i", "j", "k", "long", "l", "m", "n", "o", "p");
  expect(ring.flush()).toBe(3);
  expect(codeOf(() => ring.flush())).toBe("EMSGSIZE");
  expect(ring.flush()).toBe(5);
  expect(ring.wait(PATIENCE, 1024)).toBe(true);
  for (const text of ["i", "j", "k", "l", "m", "n", "o", "p"]) expect(sock.recv(2000)).toEqual(frame(PEER, MAC, text));
});

packet("what is reserved stays so while frames before it are given up", () => {
  using wire = new Wire();
  const ring = wire.transmitRing();
  const sock = wire.receiver();
  for (let round = 0; round < 3; round++) {
    ring.put(Buffer.alloc(5));
    ring.put(frame(PEER, MAC, "first"));
    ring.put(Buffer.alloc(1600));
    const room = ring.reserve()!;
    frame(PEER, MAC, "filled before").copy(room);
    expect([codeOf(() => ring.flush()), ring.flush(), codeOf(() => ring.flush())]).toEqual(["EINVAL", 1, "EMSGSIZE"]);
    expect(ring.reserve()).toBe(room);
    room.write(" and behind", 14 + 13);
    ring.commit(60);
    expect(ring.flush()).toBe(1);
    for (const text of ["first", "filled before and behind"]) expect(sock.recv(2000)).toEqual(frame(PEER, MAC, text));
  }
  // Another that takes the slot takes it from who has reserved it.
  frame(PEER, MAC, "over").copy(ring.reserve()!);
  ring.put(frame(PEER, MAC, "put"));
  expect(() => ring.commit(60)).toThrow(new TypeError("commit: no slot is reserved"));
  expect(ring.flush()).toBe(1);
  expect(sock.recv(2000)).toEqual(frame(PEER, MAC, "put"));
});

packet("an interface that is down keeps what is filled; one that is gone is an error each time", () => {
  using wire = new Wire();
  const ring = wire.transmitRing();
  wire.here.ip("link set here0 down");
  ring.put(frame(PEER, MAC, "later"));
  expect(codeOf(() => ring.flush())).toBe("ENETDOWN");
  expect(codeOf(() => ring.wait(PATIENCE))).toBe("ENETDOWN");
  expect(ring.pending).toBe(1);
  wire.here.ip("link set here0 up");
  const sock = wire.receiver();
  sock.settimeout(0.05);
  let received = codeOf(() => expect(sock.recv(2000)).toEqual(frame(PEER, MAC, "later")));
  for (let tries = 0; tries < 100 && received === "ETIMEDOUT"; tries++) {
    if (ring.pending === 0) ring.put(frame(PEER, MAC, "later")); // a link that just came up loses some
    ring.flush();
    received = codeOf(() => expect(sock.recv(2000)).toEqual(frame(PEER, MAC, "later")));
  }
  expect(received).toStartWith("nothing thrown");
  wire.here.ip("link del here0");
  ring.put(frame(PEER, MAC, "never"));
  for (let i = 0; i < 3; i++) expect(codeOf(() => ring.flush())).toMatch(/^(ENXIO|ENETDOWN)$/);
  expect(codeOf(() => ring.wait(PATIENCE, 1024))).toMatch(/^(ENXIO|ENETDOWN)$/);
});

packet("closing while it waits, and after that", async () => {
  using wire = new Wire();
  const ring = wire.transmitRing();
  Bun.gc(true); // mappings of earlier tests go now, not in between
  const before = mappedRings();
  const room = ring.reserve()!;
  ring.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1);
  expect(ring.getsockopt(SOL_PACKET, PACKET_QDISC_BYPASS)).toBe(1);
  expect(await ring.ready({ signal: AbortSignal.abort("no") }).catch((reason) => reason)).toBe("no");
  for (const wrong of [{ free: 0 }, { free: 1025 }, { free: "1" }, { signal: 1 }, { timeout: 1 }, null]) {
    const said = await ring.ready(wrong as never).then(String, String);
    expect(said).toMatch(/^(TypeError|RangeError): options/);
  }
  expect(() => ring.wait(1, 0)).toThrow(/^free: /);
  expect(() => ring.wait(-1)).toThrow(/^timeout: /);
  ring.close();
  expect(room.length).toBe(0);
  expect(mappedRings()).toBeLessThan(before);
  const calls = {
    pending: () => ring.pending,
    reserve: () => ring.reserve(),
    commit: () => ring.commit(60),
    put: () => ring.put(frame(PEER, MAC, "x")),
    flush: () => ring.flush(),
    wait: () => ring.wait(1),
  };
  for (const call of Object.values(calls)) expect(codeOf(call)).toBe("EBADF");
  expect(await ring.ready().catch(({ code }) => code)).toBe("EBADF");
  ring.close();
  expect(ring.fileno()).toBe(-1);
});

withTshark("tshark captured what was sent, byte by byte", async () => {
  using wire = new Wire();
  using captured = await capture(wire.there, "-i", "there0", "-c", "40", "-T", "json", "-x");
  const ring = wire.transmitRing({ frameSize: 2048, frameCount: 32 });
  const expected: string[] = [];
  for (let i = 0; i < 40; i++) {
    const one = frame(PEER, MAC, "z".repeat(i * 35));
    expected.push(one.toString("hex"));
    while (!ring.put(one)) ring.wait(PATIENCE);
  }
  ring.wait(PATIENCE, 32);
  const packets = JSON.parse(await captured.output()) as { _source: { layers: { frame_raw: [string] } } }[];
  expect(packets.map(({ _source: source }) => source.layers.frame_raw[0])).toEqual(expected);
});

packet("what is wrong is told by name before anything is opened, and nothing stays open", () => {
  using net = new Network();
  net.inside(() => {
    const before = descriptors();
    const wrong: [ifname: unknown, options: unknown, error: RegExp | string][] = [
      [1, {}, /^TypeError: ifname: /],
      ["", {}, /^RangeError: ifname: /],
      ["nothere0", {}, "ENODEV"],
      ["lo", 5, /^TypeError: options: /],
      ["lo", { blockSize: 4096 }, /^TypeError: options: /],
      ["lo", { frameSize: 128 }, /^RangeError: options\.frameSize: /],
      ["lo", { frameSize: 131072 }, /^RangeError: options\.frameSize: /],
      ["lo", { frameSize: 3000 }, /^RangeError: options\.frameSize: /],
      ["lo", { frameSize: null }, /^TypeError: options\.frameSize: /],
      ["lo", { frameCount: 0 }, /^RangeError: options\.frameCount: /],
      ["lo", { frameCount: 100 }, /^RangeError: options\.frameCount: /],
      ["lo", { frameCount: 2 ** 31 - 32 }, /^RangeError: options\.frameCount: /],
      ["lo", { frameCount: "32" }, /^TypeError: options\.frameCount: /],
    ];
    for (const [ifname, options, error] of wrong) {
      const said = codeOf(() => new TransmitRing(ifname as string, options as TransmitRingOptions));
      expect(said).toMatch(typeof error === "string" ? new RegExp(`^${error}$`) : error);
    }
    for (const frameSize of [256, 65536]) {
      using ring = new TransmitRing("lo", { frameSize, frameCount: 65536 / frameSize });
      expect(ring.maxLength).toBe(frameSize - 48);
    }
    expect(leftOpen(before)).toEqual([]);
  });
});
