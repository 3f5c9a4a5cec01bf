/**
 * XdpSocket: frames that are taken from an interface before the network stack sees them, over a wire between two networks of
 * the test's own, in the generic mode of its interfaces.
 *
 * Peers: recvfrom, tshark.
 */
import { expect } from "bun:test";
import { AF_XDP, close, OSError, SOCK_RAW, Socket } from "../../src/index.ts";
import { type XdpFrame, XdpSocket, type XdpSocketOptions } from "../../src/packets.ts";
import { codeOf, descriptors, elapsed, leftOpen, needs } from "../help.ts";
import { capture, lacking, Network, tshark } from "../networks.ts";
import { frame, MAC, mappedRings, PATIENCE, PEER, Wire } from "./wire.ts";

/** What a kernel says that has no AF_XDP, or no bpf(2). */
const missing: string =
  lacking ||
  (() => {
    using net = new Network();
    try {
      net.inside(() => new XdpSocket("lo")).close();
      return "";
    } catch (error) {
      const codes = ["EAFNOSUPPORT", "ENOSYS", "EOPNOTSUPP", "EPERM", "ENOPROTOOPT"];
      if (error instanceof OSError && codes.includes(error.code)) return `AF_XDP: ${error.message}`;
      return "";
    }
  })();
const xdp = needs(missing, missing === "");
const withTshark = needs(missing || "tshark", missing === "" && tshark !== null);

const opened = (wire: Wire, options?: XdpSocketOptions): XdpSocket =>
  wire.add(wire.there.inside(() => new XdpSocket("there0", options)));

/** The same at the end that frames are sent from. */
const openedHere = (wire: Wire, options?: XdpSocketOptions): XdpSocket =>
  wire.add(wire.here.inside(() => new XdpSocket("here0", options)));

/** What `look` makes of the next `count` frames. */
function take<T>(sock: XdpSocket, count: number, look: (one: XdpFrame) => T): T[] {
  const seen: T[] = [];
  while (seen.length < count) {
    if (!sock.wait(PATIENCE)) throw new Error(`${seen.length} frames came, not ${count}`);
    for (const one of sock.block()) seen.push(look(one));
  }
  return seen;
}

xdp("what comes by the queue comes here alone, until it is closed", () => {
  using wire = new Wire();
  const receiver = wire.receiver();
  const sender = wire.sender();
  const sock = opened(wire);
  const frames = Array.from({ length: 30 }, (_, i) => frame(PEER, MAC, "x".repeat(i * 50)));
  for (const one of frames) sender.send(one);
  const seen = take(sock, 30, (one) => [one.length, one.data, one.uint8(11), one.uint16(12), one.uint32(14)]);
  expect(seen).toEqual(
    frames.map((one) => [one.length, one, one.readUInt8(11), one.readUInt16BE(12), one.readUInt32BE(14)]),
  );
  receiver.settimeout(0.05);
  expect(codeOf(() => receiver.recv(2000))).toBe("ETIMEDOUT");
  sock.close();
  receiver.settimeout(PATIENCE);
  sender.send(frame(PEER, MAC, "as before"));
  expect(receiver.recv(2000)).toEqual(frame(PEER, MAC, "as before"));
});

xdp("chunks go round and round: every frame once, in its order", () => {
  using wire = new Wire();
  const sock = opened(wire, { frameCount: 64 });
  const peer = openedHere(wire, { frameCount: 32 });
  const seen: number[] = [];
  const one = frame(PEER, MAC, "");
  for (let n = 0; n < 5000; n++) {
    one.writeUInt32BE(n, 14);
    while (!peer.put(one)) expect(peer.waitToSend(PATIENCE)).toBe(true);
    if (n % 20 === 19) {
      expect(peer.waitToSend(PATIENCE, peer.frameCount)).toBe(true);
      seen.push(...take(sock, 20, (got) => got.uint32(14)));
    }
  }
  expect(seen).toEqual(Array.from({ length: 5000 }, (_, n) => n));
  expect(sock.statistics()).toEqual({ dropped: 0, invalid: 0, ringFull: 0, noChunk: 0 });
  expect(peer.pending).toBe(0);
});

withTshark("tshark captured what was sent, byte by byte", async () => {
  using wire = new Wire();
  using captured = await capture(wire.there, "-i", "there0", "-c", "40", "-T", "json", "-x");
  const sock = openedHere(wire, { frameCount: 32 });
  const expected: string[] = [];
  for (let i = 0; i < 40; i++) {
    const one = frame(PEER, MAC, "z".repeat(i * 35));
    expected.push(one.toString("hex"));
    while (!sock.put(one)) await sock.readyToSend();
  }
  await sock.readyToSend({ free: sock.frameCount });
  const packets = JSON.parse(await captured.output()) as { _source: { layers: { frame_raw: [string] } } }[];
  expect(packets.map(({ _source: source }) => source.layers.frame_raw[0])).toEqual(expected);
});

xdp("sending: nothing goes before flush, one flush sends all, a full one takes no more", () => {
  using wire = new Wire();
  const sock = openedHere(wire, { frameCount: 256 });
  const receiver = wire.receiver();
  expect([sock.frameCount, sock.maxLength, sock.pending]).toEqual([128, 2048, 0]);
  for (let i = 0; i < 128; i++) expect(sock.put(frame(PEER, MAC, `${i}`))).toBe(true);
  expect(sock.put(frame(PEER, MAC, "full"))).toBe(false);
  expect(sock.pending).toBe(128);
  receiver.settimeout(0.05);
  expect(codeOf(() => receiver.recv(2000))).toBe("ETIMEDOUT");
  receiver.settimeout(PATIENCE);
  expect(sock.flush()).toBe(128); // the kernel takes 32 at a call
  for (let i = 0; i < 128; i++) expect(receiver.recv(2000)).toEqual(frame(PEER, MAC, `${i}`));
  expect(sock.waitToSend(PATIENCE, 128)).toBe(true);
  expect([sock.pending, sock.flush()]).toEqual([0, 0]);
  for (const wrong of [Buffer.alloc(0), Buffer.alloc(2049), "", 5, null, undefined, [1]]) {
    expect(() => sock.put(wrong as string)).toThrow(/^data: /);
  }
  for (const free of [0, 129, 1.5, "1"]) expect(() => sock.waitToSend(1, free as number)).toThrow(/^free: /);
});

xdp("a frame that is looked at after its block was released is an error; a loop that is left goes on", () => {
  using wire = new Wire();
  const sock = opened(wire);
  const sender = wire.sender();
  for (let i = 0; i < 4; i++) sender.send(frame(PEER, MAC, `${i}`));
  expect(sock.wait(PATIENCE)).toBe(true);
  const seen: string[] = [];
  let kept: XdpFrame | undefined;
  let data: Buffer | undefined;
  for (const one of sock.block()) {
    kept = one;
    data = one.data;
    seen.push(data.toString("latin1", 14, 15));
    if (seen.length === 2) break;
  }
  expect(kept!.length).toBe(60);
  for (const wrong of [-1, 60, 1.5, NaN, "1"]) expect(() => kept!.uint8(wrong as number)).toThrow(/^at: /);
  expect(() => kept!.uint16(59)).toThrow(RangeError);
  for (const one of sock.block()) seen.push(one.data.toString("latin1", 14, 15));
  expect(seen).toEqual(["0", "1", "2", "3"]);
  const looks = [
    (one: XdpFrame) => one.length,
    (one: XdpFrame) => one.data,
    (one: XdpFrame) => one.uint8(0),
    (one: XdpFrame) => one.uint16(0),
    (one: XdpFrame) => one.uint32(0),
  ];
  for (const look of looks) expect(() => look(kept!)).toThrow(/^frame: its block was released/);
  expect(data).toEqual(frame(PEER, MAC, "1")); // a copy
  sender.send(frame(PEER, MAC, "lost"));
  expect(sock.wait(PATIENCE)).toBe(true);
  const block = sock.block();
  kept = block.next().value!;
  sock.release();
  for (const look of looks) expect(() => look(kept!)).toThrow(/^frame: its block was released/);
  expect([[...block], [...sock.block()], sock.block().length]).toEqual([[], [], 0]);
  sock.release();
  sender.send(frame(PEER, MAC, "next"));
  expect(take(sock, 1, (one) => one.data)).toEqual([frame(PEER, MAC, "next")]);
});

xdp("what finds no chunk is dropped and counted", () => {
  using wire = new Wire();
  const sock = opened(wire, { frameCount: 32 });
  const sender = wire.sender();
  for (let i = 0; i < 50; i++) sender.send(frame(PEER, MAC, `${i} `));
  const seen = take(sock, 16, (one) => parseInt(one.data.toString("latin1", 14, 17)));
  expect(seen).toEqual(Array.from({ length: 16 }, (_, i) => i));
  const { dropped, noChunk, ...others } = sock.statistics();
  expect([dropped, others]).toEqual([34, { ringFull: 0, invalid: 0 }]);
  expect(noChunk).toBeGreaterThanOrEqual(34);
  sender.send(frame(PEER, MAC, "again"));
  expect(take(sock, 1, (one) => one.data)).toEqual([frame(PEER, MAC, "again")]);
});

xdp("waiting: by time, by signal, until it is closed", async () => {
  using wire = new Wire();
  const sock = opened(wire);
  expect(sock.wait(0)).toBe(false);
  expect(elapsed(() => expect(sock.wait(0.05)).toBe(false))).toBeGreaterThanOrEqual(50);
  expect(await sock.ready({ signal: AbortSignal.timeout(20) }).catch((error) => error.name)).toBe("TimeoutError");
  const sender = wire.sender();
  let sent = 0;
  const seen: number[] = [];
  const timer = setInterval(() => {
    if (sent < 20) sender.send(frame(PEER, MAC, `${sent++}`));
    else if (seen.length === 20) sock.close();
  }, 1);
  for await (const one of sock) seen.push(parseInt(one.data.toString("latin1", 14, 17)));
  clearInterval(timer);
  expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i));

  const other = opened(wire);
  const waits = [other.ready(), other.ready()].map((one) => one.then(String, ({ code }) => code));
  setTimeout(() => other.close(), 20);
  expect(await Promise.all(waits)).toEqual(["ECANCELED", "ECANCELED"]);
  const calls = {
    block: () => other.block(),
    wait: () => other.wait(0),
    pending: () => other.pending,
    put: () => other.put("x"),
    flush: () => other.flush(),
    waitToSend: () => other.waitToSend(1),
    statistics: () => other.statistics(),
  };
  for (const call of Object.values(calls)) expect(codeOf(call)).toBe("EBADF");
  for (const call of [other.ready(), other.readyToSend()]) expect(await call.catch(({ code }) => code)).toBe("EBADF");
  other.release();
  other.close();
  expect(other.fileno()).toBe(-1);
});

xdp("an interface that is down, or gone: ENETDOWN", async () => {
  using wire = new Wire();
  const sock = opened(wire);
  wire.there.ip("link set there0 down");
  sock.put(frame(MAC, PEER, "x"));
  expect(codeOf(() => sock.flush())).toBe("ENETDOWN");
  wire.there.ip("link set there0 up");
  const waits = sock.ready().then(String, (error: Error) => error.message);
  await Bun.sleep(10);
  wire.here.ip("link del here0"); // and its other end with it
  const down = "recv ENETDOWN there0: Network is down";
  expect(await waits).toBe(down);
  for (let i = 0; i < 2; i++) expect(() => sock.wait()).toThrow(down);
  sock.put(frame(MAC, PEER, "x"));
  expect(codeOf(() => sock.flush())).toMatch(/^E(NXIO|NETDOWN)$/);
});

xdp("what is wrong is told by name before anything is opened, and nothing stays open", () => {
  using wire = new Wire();
  Bun.gc(true); // mappings of earlier tests go now, not in between
  const [before, mapped] = [descriptors(), mappedRings()];
  const wrong: [ifname: unknown, options: unknown, error: RegExp | string][] = [
    [1, {}, /^TypeError: ifname: /],
    ["", {}, /^RangeError: ifname: /],
    ["nothere0", {}, "ENODEV"],
    ["there0", null, /^TypeError: options: /],
    ["there0", { mode: 1 }, /^TypeError: options: /],
    ["there0", { queue: -1 }, /^RangeError: options\.queue: /],
    ["there0", { queue: 1024 }, /^RangeError: options\.queue: /],
    ["there0", { queue: 1023 }, "EINVAL"],
    ["there0", { frameSize: 1024 }, /^RangeError: options\.frameSize: /],
    ["there0", { frameSize: 3000 }, /^RangeError: options\.frameSize: /],
    ["there0", { frameSize: 8192 }, /^RangeError: options\.frameSize: /],
    ["there0", { frameCount: 0 }, /^RangeError: options\.frameCount: /],
    ["there0", { frameCount: 100 }, /^RangeError: options\.frameCount: /],
    ["there0", { frameCount: 2 ** 18 }, /^RangeError: options\.frameCount: /],
    ["there0", { frameCount: "64" }, /^TypeError: options\.frameCount: /],
  ];
  wire.there.inside(() => {
    for (const [ifname, options, error] of wrong) {
      const said = codeOf(() => new XdpSocket(ifname as string, options as XdpSocketOptions));
      expect(said).toMatch(typeof error === "string" ? new RegExp(`^${error}$`) : error);
    }
    {
      using _ = new XdpSocket("there0", { frameSize: 4096 });
      expect(codeOf(() => new XdpSocket("there0"))).toBe("EBUSY"); // it has a program, and its queue a socket
    }
    using again = new XdpSocket("there0", { frameCount: 2 });
    expect(again.frameCount).toBe(1);
    const bind = { message: expect.stringMatching(/^bind EINVAL there0: /) as string };
    expect(() => new XdpSocket("there0", { queue: 1023 })).toThrow(expect.objectContaining(bind));
  });
  expect(leftOpen(before)).toEqual([]);
  expect(mappedRings()).toBeLessThanOrEqual(mapped);
  using probe = new Socket(AF_XDP as number, SOCK_RAW, 0);
  close(probe.detach());
});
