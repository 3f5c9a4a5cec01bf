/** UDP segmentation and coalescing: that the datagrams are those that were meant, whoever cut them. */
import { describe, expect, test } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  CMSG_SPACE,
  hasIPv6,
  IPPROTO_ICMP,
  IPPROTO_UDP,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
  UDP_GRO,
  UDP_NO_CHECK6_RX,
  UDP_NO_CHECK6_TX,
  UDP_SEGMENT,
} from "../../src/index.ts";
import { encodeAncillary } from "../../src/messages.ts";
import { MessageBatch, sendSegments } from "../../src/packets.ts";
import * as promises from "../../src/promises.ts";
import { detach } from "../faults/values.ts";
import {
  codeOf,
  hasLinuxOptions,
  hasUnixDatagrams,
  isLinux,
  needs,
  slowness,
  Sockets,
  thrown,
  worksInEmulator,
} from "../help.ts";
import { capture, join, lacking, Network, tshark } from "../networks.ts";
import { rejection } from "../promises/help.ts";

/** Whether the kernel cuts and coalesces: an emulator of programs knows no such options. */
const hasSegmentation =
  isLinux &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
  });
const cutting = needs("UDP_SEGMENT", hasSegmentation);

/** SO_NO_CHECK: without a checksum there is no segmentation, and the library sends each datagram. */
const SO_NO_CHECK = 11;

/** Bytes of which each says where it is. */
const pattern = (length: number): Uint8Array =>
  new Uint8Array(Uint32Array.from({ length: Math.ceil(length / 4) }, (_, i) => i).buffer).subarray(0, length);

/** What should come of data that was cut. */
function cut(data: Uint8Array, size: number): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) all.push(Buffer.from(data.subarray(at, at + size)));
  return all;
}

interface Kind {
  name: string;
  family: number;
  host: string;
}
const families: Kind[] = [{ name: "IPv4", family: AF_INET, host: "127.0.0.1" }];
if (hasIPv6) families.push({ name: "IPv6", family: AF_INET6, host: "::1" });

/** A sender, and a receiver with room. */
function two(own: Sockets, { family, host }: Kind): [Socket, Socket] {
  const [a, b] = [own.add(new Socket(family, SOCK_DGRAM)), own.add(new Socket(family, SOCK_DGRAM))];
  for (const sock of [a, b]) {
    sock.bind([host, 0] as never);
    sock.settimeout(5 * slowness);
    sock.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
  }
  return [a, b];
}

/** Sends and receives by turns, so that nothing is lost: each piece is no more than the receiver has room for. */
function received(sock: Socket, bytes: number): Buffer[] {
  const all: Buffer[] = [];
  const batch = new MessageBatch(sock, { capacity: 64, size: 65535 });
  while (bytes > 0) {
    sock.recvBatch(batch);
    for (let i = 0; i < batch.length; i++) {
      all.push(Buffer.from(batch.data(i)));
      bytes -= batch.data(i).length;
    }
  }
  return all;
}

const ways: [name: string, prepare: (a: Socket, b: Socket) => void][] = [
  ["cut by the kernel", () => {}],
  [
    "where the kernel refuses to cut",
    (a, b) => {
      if (a.family === AF_INET) a.setsockopt(SOL_SOCKET, SO_NO_CHECK, 1);
      else a.setsockopt(IPPROTO_UDP, UDP_NO_CHECK6_TX, 1);
      if (b.family === AF_INET6) b.setsockopt(IPPROTO_UDP, UDP_NO_CHECK6_RX, 1);
      const segment = encodeAncillary([{ type: "segment", value: 1 }]);
      expect(codeOf(() => a.sendmsg(["xx"], segment, 0, a.getsockname()))).toMatch(/EINVAL|EIO/);
    },
  ],
];

describe.each(families.map((kind) => [kind.name, kind] as const))("%s", (_name, kind) => {
  describe.each(isLinux && hasLinuxOptions ? ways : ways.slice(0, 1))("%s", (_, prepare) => {
    test.each([
      [3000, 1400],
      [2800, 1400],
      [1, 1400],
      [1400, 1400],
      [65507, 1200], // as much as a datagram may have
      [64 * 1000, 1000], // as many segments as one message may have
      [64 * 1000 + 1, 1000],
      [65 * 1000, 1000],
      [200_000, 1472],
      [100_000, 40_000], // above the MTU of most links, and only one in each message
      [65_487, 65_487],
      [500, 1],
    ])("%i bytes by %i", (length, size) => {
      using own = new Sockets();
      const [a, b] = two(own, kind);
      prepare(a, b);
      const data = pattern(length);
      expect(sendSegments(a, data, size, b.getsockname() as never)).toBe(length);
      expect(received(b, length)).toEqual(cut(data, size));
      b.setblocking(false);
      expect(codeOf(() => b.recv(10))).toBe("EAGAIN");
    });
  });

  test("on a connected socket, by promises, of any bytes", async () => {
    using own = new Sockets();
    const [, b] = two(own, kind);
    using a = new promises.Socket(kind.family, SOCK_DGRAM);
    await a.connect(b.getsockname());
    const text = "abcdefg".repeat(500);
    expect(await sendSegments(a, text, 700)).toBe(3500);
    expect(Buffer.concat(received(b, 3500)).toString()).toBe(text);
    expect(await sendSegments(a, new DataView(pattern(3000).slice().buffer), 700, null, {})).toBe(3000);
    expect(received(b, 3000)).toEqual(cut(pattern(3000), 700));
    expect(await sendSegments(a, "", 700)).toBe(0);
  });
});

cutting("what came as one is handed out one by one, in batches", () => {
  for (const kind of families) {
    using own = new Sockets();
    const [a, b] = two(own, kind);
    b.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
    const batch = new MessageBatch(b, { capacity: 8, size: 65535, ancbufsize: CMSG_SPACE(4) });
    const data = pattern(54 * 1200 + 2 * 1200 + 700);
    const all: Buffer[] = [];
    sendSegments(a, data, 1200, b.getsockname() as never);
    a.sendto("alone", b.getsockname() as never);
    let messages = 0;
    while (all.length < 58) {
      messages += b.recvBatch(batch);
      for (let i = 0; i < batch.length; i++) {
        for (let j = 0; j < batch.segments(i); j++) {
          expect(batch.segment(i, j)).toBe(batch.segment(i, j)); // a view that is used again
          all.push(Buffer.from(batch.segment(i, j)));
        }
        expect(() => batch.segment(i, batch.segments(i))).toThrow(/^j: /);
        expect(batch.truncated(i)).toBe(false);
      }
    }
    expect(messages).toBe(3);
    expect(all).toEqual([...cut(data, 1200), Buffer.from("alone")]);
  }
});

cutting("what came as one goes on as one, and is cut again", () => {
  using own = new Sockets();
  const [a, b] = two(own, families[0]!);
  const [, c] = two(own, families[0]!);
  b.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
  const batch = new MessageBatch(b, { capacity: 8, size: 65535, ancbufsize: CMSG_SPACE(4) });
  sendSegments(a, pattern(5000), 900, b.getsockname());
  b.recvBatch(batch);
  batch.setAddress(c.getsockname());
  expect(b.sendBatch(batch)).toBe(1);
  expect(received(c, 5000)).toEqual(cut(pattern(5000), 900));
  expect(batch.segments(0)).toBe(6); // it is still known how
  expect(b.sendBatch(batch)).toBe(1);
  expect(received(c, 5000)).toEqual(cut(pattern(5000), 900));
});

needs(lacking || "UDP_SEGMENT", lacking === "" && hasSegmentation)(
  "what came as one goes on by a link that does not cut it, once, also where there is no room for all of it",
  async () => {
    using here = new Network();
    using there = new Network();
    join(here, "left", there, "right");
    for (const [net, name] of [[here, "left"] as const, [there, "right"] as const]) net.ip(`link set ${name} mtu 1000`);
    here.ip("addr add 10.9.0.1/24 dev left");
    there.ip("addr add 10.9.0.2/24 dev right");
    using own = new Sockets();
    const [a, b] = here.inside(() => two(own, families[0]!));
    const c = own.add(there.inside((): Socket => new Socket(AF_INET, SOCK_DGRAM)));
    c.bind(["10.9.0.2", 0]);
    c.settimeout(5 * slowness);
    b.setsockopt(IPPROTO_UDP, UDP_GRO, 1);
    const forward = own.add(here.inside((): Socket => new Socket(AF_INET, SOCK_DGRAM)));
    forward.settimeout(5 * slowness);
    const batch = new MessageBatch(b, { capacity: 8, size: 65535, ancbufsize: CMSG_SPACE(4) });
    const data = pattern(14_100);
    const come = (): void => {
      a.sendto("first", b.getsockname());
      sendSegments(a, data, 1400, b.getsockname());
      a.sendto("between", b.getsockname());
      sendSegments(a, data, 1200, b.getsockname());
      a.sendto("last", b.getsockname());
      expect(b.recvBatch(batch)).toBe(5);
      batch.setAddress(c.getsockname());
    };
    const all = ["first", ...cut(data, 1400), "between", ...cut(data, 1200), "last"].map((one) => Buffer.from(one));
    const length = all.reduce((sum, one) => sum + one.length, 0);
    come();
    expect([forward.sendBatch(batch), batch.sent]).toEqual([5, 5]);
    expect(received(c, length)).toEqual(all);
    expect(forward.sendBatch(batch)).toBe(5); // all of them again
    expect(received(c, length)).toEqual(all);

    const mac = JSON.parse(there.ip("-json link show dev right"))[0].address;
    const answer = (): string => here.ip(`neigh replace 10.9.0.2 lladdr ${mac} nud stale dev left`);
    there.ip("link set right arp off");
    forward.setsockopt(SOL_SOCKET, SO_SNDBUF, 8000);

    // Nobody answers at first: what is sent stays here.
    come();
    here.ip("neigh flush dev left");
    forward.setblocking(false);
    expect(forward.sendBatch(batch)).toBe(1);
    expect(codeOf(() => forward.sendBatch(batch))).toBe("EAGAIN");
    answer();
    forward.settimeout(5 * slowness);
    expect([forward.sendBatch(batch), batch.sent]).toEqual([4, 5]);
    expect(received(c, length)).toEqual(all);

    using later = new promises.Socket({ fileno: forward.detach() });
    come();
    here.ip("neigh flush dev left");
    const sent = later.sendBatch(batch as never);
    await Bun.sleep(5);
    expect(batch.sent).toBe(1);
    answer();
    expect([await sent, batch.sent]).toEqual([5, 5]);
    expect(received(c, length)).toEqual(all);

    // Passed over in its midst, a message is not gone on with.
    come();
    here.ip("neigh flush dev left");
    later.settimeout(0);
    expect(await later.sendBatch(batch as never)).toBe(1);
    batch.skip();
    answer();
    later.settimeout(5 * slowness);
    expect(await later.sendBatch(batch as never)).toBe(3);
    const came: Buffer[] = [];
    while (came.at(-1)?.toString() !== "last") came.push(c.recv(2000));
    const pieces = came.indexOf(came.find((one) => one.toString() === "between")!) - 1;
    expect(pieces).toBeGreaterThan(0);
    expect(pieces).toBeLessThan(10);
    expect(came).toEqual([...all.slice(0, 1 + pieces), ...all.slice(1 + 11)]);
  },
);

cutting("a batch has messages cut, by a control message", () => {
  using own = new Sockets();
  const [a, b] = two(own, families[0]!);
  const batch = new MessageBatch(a, { capacity: 2, size: 5000, ancbufsize: CMSG_SPACE(2) });
  batch.push(pattern(5000), b.getsockname(), encodeAncillary([{ type: "segment", value: 2000 }]));
  batch.push("plain", b.getsockname());
  expect(a.sendBatch(batch)).toBe(2);
  expect(received(b, 5005)).toEqual([...cut(pattern(5000), 2000), Buffer.from("plain")]);
});

needs(lacking || "ICMP", lacking === "")("a protocol that knows no segments gets datagrams", () => {
  using net = new Network();
  net.run("sh", "-c", "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range");
  using own = new Sockets();
  const sock = own.add(net.inside(() => new Socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)));
  sock.settimeout(5 * slowness);
  const echo = pattern(3000).slice();
  for (let at = 0; at < 3000; at += 1000) echo.set([8, 0], at); // a question; the kernel sets its number and checksum
  expect(sendSegments(sock, echo, 1000, ["127.0.0.1", 0])).toBe(3000);
  for (let at = 0; at < 3000; at += 1000) {
    const answer = sock.recv(4000);
    expect([answer.length, answer[0]]).toEqual([1000, 0]);
    expect(answer.subarray(8).equals(echo.subarray(at + 8, at + 1000))).toBe(true);
  }
});

needs("AF_UNIX datagram socket", hasUnixDatagrams)("a family that knows no segments gets datagrams", () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  expect(sendSegments(a, pattern(1000), 300)).toBe(1000);
  expect(received(b, 1000)).toEqual(cut(pattern(1000), 300));
});

needs("AF_UNIX datagram socket", hasUnixDatagrams)("a part that was sent is told, up to whole datagrams", () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_DGRAM);
  a.settimeout(0.05);
  const data = pattern(1_000_000);
  const first = sendSegments(a, data, 1000);
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThan(data.length);
  expect(first % 1000).toBe(0);
  expect(codeOf(() => sendSegments(a, data.subarray(first), 1000))).toBe("ETIMEDOUT");
  expect(received(b, first)).toEqual(cut(data.subarray(0, first), 1000));
});

cutting("another address for coalesced datagrams that were refused", () => {
  using own = new Sockets();
  const [a, b, c] = [own.udp(), own.udp(), own.udp()];
  b.setsockopt(IPPROTO_UDP, UDP_GRO!, 1);
  sendSegments(a, pattern(3000), 1000, b.getsockname());
  const batch = new MessageBatch(b, { size: 65535, ancbufsize: CMSG_SPACE(4) });
  expect([b.recvBatch(batch), batch.segments(0)]).toEqual([1, 3]);
  batch.setAddress(["127.0.0.1", 0]);
  expect(codeOf(() => b.sendBatch(batch))).toBe("EINVAL");
  batch.setAddress(c.getsockname());
  expect(b.sendBatch(batch)).toBe(1);
  expect(received(c, 3000)).toEqual(cut(pattern(3000), 1000));
});

cutting("a socket that cuts by itself sends the last datagram as it is", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.setsockopt(IPPROTO_UDP, UDP_SEGMENT!, 500);
  const data = pattern(64_700);
  b.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 20);
  expect(sendSegments(a, data, 1000, b.getsockname())).toBe(data.length);
  expect(received(b, data.length)).toEqual(cut(data, 1000));
});

test("the time is for all of the data", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.settimeout(0.01);
  const data = new Uint8Array(100_000_000);
  const began = performance.now();
  const sent = sendSegments(a, data, 1400, b.getsockname()); // what there is no room for is lost
  expect(performance.now() - began).toBeGreaterThanOrEqual(10);
  expect(sent % 1400).toBe(0);
  expect(sent).toBeLessThan(data.length);
});

test("by promises others have their turns, and a signal ends it", async () => {
  const [a, b] = [new promises.Socket(AF_INET, SOCK_DGRAM), new promises.Socket(AF_INET, SOCK_DGRAM)];
  b.bind(["127.0.0.1", 0]);
  const data = new Uint8Array(100_000_000);
  const given = new AbortController();
  let turns = 0;
  setImmediate(function next() {
    if (++turns === 5) given.abort();
    else setImmediate(next);
  });
  const sent = await sendSegments(a, data, 1400, b.getsockname(), { signal: given.signal });
  expect([sent % 1400, turns]).toEqual([0, 5]);
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThan(data.length);
  a.close();
  b.close();
});

needs("AF_UNIX datagram socket", hasUnixDatagrams)("by promises all is sent in the end, once", async () => {
  const [a, b] = promises.socketpair(1 /* AF_UNIX */, SOCK_DGRAM);
  const data = pattern(500_000);
  const sent = sendSegments(a, data, 1000);
  const all: Buffer[] = [];
  while (all.length < 500) all.push(await b.recv(2000));
  expect(await sent).toBe(data.length);
  expect(all).toEqual(cut(data, 1000));
  a.close();
  b.close();
});

needs("AF_UNIX datagram socket", hasUnixDatagrams)(
  "a part that was sent is told by promises, however it ended",
  async () => {
    const data = pattern(1_000_000);
    for (const end of ["timeout", "signal", "close"]) {
      const [a, b] = promises.socketpair(1 /* AF_UNIX */, SOCK_DGRAM);
      if (end === "timeout") a.settimeout(0.02);
      const giveUp = new AbortController();
      const sending = sendSegments(a, data, 1000, null, { signal: giveUp.signal });
      await Bun.sleep(1);
      if (end === "signal") giveUp.abort();
      if (end === "close") a.close();
      const first = await sending;
      expect(first).toBeGreaterThan(0);
      expect(first).toBeLessThan(data.length);
      // Who goes on is told what is wrong, where nothing more was sent.
      const again = sendSegments(a, data.subarray(first), 1000, null, { signal: giveUp.signal });
      expect(await rejection(again)).toBe(
        end === "timeout" ? "TimeoutError" : end === "signal" ? "AbortError" : "OSError",
      );
      const all: Buffer[] = [];
      while (all.length < first / 1000) all.push(await b.recv(2000));
      expect(all).toEqual(cut(data.subarray(0, first), 1000));
      a.close();
      b.close();
    }
  },
);

/** A network with an interface that cuts nothing itself: what is sent leaves in datagrams, for tshark to see. */
needs(lacking || "tshark", lacking === "" && tshark !== null)(
  "on a link the datagrams have the right sizes",
  async () => {
    using here = new Network();
    using there = new Network();
    join(here, "left", there, "right");
    here.ip("addr add 10.9.0.1/24 dev left");
    there.ip("addr add 10.9.0.2/24 dev right");
    here.ip("link set dev left gso_max_segs 1");
    const fields = ["-T", "fields", "-e", "udp.length", "-e", "ip.flags.mf", "-e", "udp.checksum.status"];
    using watcher = await capture(
      there,
      "-i",
      "right",
      "-c",
      "58",
      "-o",
      "udp.check_checksum:TRUE",
      ...fields,
      "-f",
      "udp",
    );
    using own = new Sockets();
    const a = own.add(here.inside(() => new Socket(AF_INET, SOCK_DGRAM)));
    const b = own.add(there.inside(() => new Socket(AF_INET, SOCK_DGRAM)));
    b.bind(["10.9.0.2", 0]);
    b.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
    b.settimeout(5 * slowness);
    const data = pattern(57 * 1472 + 100);
    expect(sendSegments(a, data, 1472, b.getsockname())).toBe(data.length);
    expect(received(b, data.length)).toEqual(cut(data, 1472));
    const lines = (await watcher.output()).split("\n").map((line) => line.split("\t"));
    expect(lines.map(([length]) => Number(length) - 8)).toEqual([...Array<number>(57).fill(1472), 100]);
    expect(new Set(lines.map(([, fragments]) => fragments))).toEqual(new Set([lines[0]![1]!]));
    expect(lines[0]![1]).toMatch(/^(0|False)$/);

    // Datagrams that do not fit the link: the kernel does not cut into those, and each goes in fragments.
    expect(sendSegments(a, data.subarray(0, 9000), 3000, b.getsockname())).toBe(9000);
    expect(received(b, 9000)).toEqual(cut(data.subarray(0, 9000), 3000));
  },
);

describe("bad input", () => {
  const wrong = (value: unknown) => value as never;

  test("sizes that no datagram has", () => {
    using own = new Sockets();
    const a = own.udp();
    for (const size of [0, -1, 65528, 65536, 2 ** 32, 1.5, NaN, "1", null, undefined, 1n]) {
      expect(() => sendSegments(a, "xxx", wrong(size), a.getsockname())).toThrow(/^segmentSize: /);
    }
    a.setblocking(false);
    expect(codeOf(() => a.recv(10))).toBe("EAGAIN");
  });

  test("what is no socket, no socket of datagrams, no data, no address", async () => {
    using own = new Sockets();
    const a = own.udp();
    const to = a.getsockname();
    expect(() => sendSegments(wrong({}), "x", 1)).toThrow(/^sock: expected a Socket/);
    expect(() => sendSegments(wrong(new Proxy(a, {})), "x", 1)).toThrow(/^sock: expected a Socket/);
    expect(() => sendSegments(own.add(new Socket(AF_INET, SOCK_STREAM)), "x", 1)).toThrow(/^sock: .*SOCK_STREAM/);
    expect(() => sendSegments(a, wrong(1), 1, to)).toThrow(/^data: /);
    expect(() => sendSegments(a, "x", 1, wrong(["127.0.0.1"]))).toThrow(/^address: /);
    using p = new promises.Socket(AF_INET, SOCK_DGRAM);
    await expect(sendSegments(p, "x", 0)).rejects.toThrow(/^segmentSize: /);
    await expect(sendSegments(p, "x", 1, to, wrong({ sginal: 1 }))).rejects.toThrow("sginal");
    await expect(sendSegments(p, "x", 1, to, wrong({ signal: 1 }))).rejects.toThrow("signal");
    const data = new Uint8Array(10);
    const address = [...to];
    Object.defineProperty(address, 0, { get: () => (detach(data), to[0]) });
    expect(() => sendSegments(a, data, 5, wrong(address))).toThrow(/^data: its ArrayBuffer is detached/);
  });

  test("what the system refuses is its error, with the address", () => {
    using own = new Sockets();
    const a = own.udp();
    const error = thrown(() => sendSegments(a, pattern(3000), 1000, ["255.255.255.255", 9]));
    expect([error.code, error.syscall, error.address]).toEqual([
      expect.stringMatching(/EACCES|ENETUNREACH/),
      "sendmmsg",
      ["255.255.255.255", 9],
    ]);
    a.close();
    expect(codeOf(() => sendSegments(a, "x", 1, ["127.0.0.1", 9]))).toBe("EBADF");
  });

  needs("AF_UNIX datagram socket", hasUnixDatagrams)("data that is taken away in flight", async () => {
    const [a, b] = promises.socketpair(1 /* AF_UNIX */, SOCK_DGRAM);
    const data = pattern(500_000).slice();
    const sent = sendSegments(a, data, 1000);
    detach(data);
    const into = new MessageBatch(b, { capacity: 100 });
    // It may be that nothing was sent yet: then closing ends this.
    const received = b.recvBatch(into).catch((error: { code: string }) => error.code);
    await expect(sent).rejects.toThrow(/^data: its ArrayBuffer is detached/);
    a.close();
    b.close();
    expect(String(await received)).toMatch(/^(ECANCELED|[1-9]\d*)$/);
  });
});
