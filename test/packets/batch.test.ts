/** Batches of the root's sockets: what they hold, what is sent once and only once, and what is refused. */
import { describe, expect, test } from "bun:test";
import {
  AF_INET6,
  AF_PACKET,
  AF_UNIX,
  CMSG_SPACE,
  ETH_P_ALL,
  ETHERTYPE_IP,
  hasIPv6,
  IP_RECVTTL,
  IPPROTO_IP,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_PEEK,
  PACKET_AUXDATA,
  PACKET_HOST,
  PACKET_OUTGOING,
  SCM_RIGHTS,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_TIMESTAMP,
  SO_TIMESTAMPING,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  Socket,
  SOF_TIMESTAMPING_RX_SOFTWARE,
  SOF_TIMESTAMPING_SOFTWARE,
  SOL_PACKET,
  SOL_SOCKET,
} from "../../src/index.ts";
import { decodeAncillary, encodeAncillary } from "../../src/messages.ts";
import { type BatchOptions, MessageBatch } from "../../src/packets.ts";
import {
  codeOf,
  descriptors,
  elapsed,
  expectTimeout,
  hasLinuxOptions,
  hasUnixDatagrams,
  isLinux,
  isWindows,
  needs,
  passesDescriptors,
  slowness,
  socketCount,
  Sockets,
  thrown,
} from "../help.ts";
import { lacking, Network } from "../networks.ts";
import { detach, substitutes, throwing } from "../faults/values.ts";

const unix = needs("AF_UNIX datagram socket", hasUnixDatagrams);
const linux = needs("Linux's options", hasLinuxOptions);

/** What a batch holds, as text. */
function texts(batch: MessageBatch): string[] {
  return Array.from({ length: batch.length }, (_, i) => batch.data(i).toString());
}

/** A batch of messages for an address. */
function filled(sock: Socket<"AF_INET">, messages: readonly string[], to?: readonly [string, number]) {
  const batch = new MessageBatch(sock, { capacity: Math.max(messages.length, 1), size: 100 });
  for (const message of messages) batch.push(message, to);
  return batch;
}

/** Receives until as many messages have come. */
function take(sock: Socket, count: number, options?: BatchOptions): string[] {
  const batch = new MessageBatch(sock, options);
  const all: string[] = [];
  while (all.length < count) {
    sock.recvBatch(batch);
    all.push(...texts(batch));
  }
  return all;
}

describe("messages", () => {
  test("come in their order, with their senders", () => {
    using own = new Sockets();
    const [a, b, c] = [own.udp(), own.udp(), own.udp()];
    expect(a.sendBatch(filled(a, ["one", "", "three"], c.getsockname()))).toBe(3);
    expect(b.sendBatch(filled(b, ["four"], c.getsockname()))).toBe(1);
    const batch = new MessageBatch(c);
    expect(c.recvBatch(batch)).toBe(4);
    expect(texts(batch)).toEqual(["one", "", "three", "four"]);
    const senders = Array.from({ length: 4 }, (_, i) => batch.address(i));
    expect(senders).toEqual([a, a, a, b].map((sock) => sock.getsockname()));
    expect(Array.from({ length: 4 }, (_, i) => [batch.truncated(i), batch.flags(i), batch.segments(i)])).toEqual(
      Array.from({ length: 4 }, () => [false, 0, 1]),
    );
  });

  needs("IPv6", hasIPv6)("of IPv6", () => {
    using own = new Sockets();
    const [a, b] = [own.add(new Socket(AF_INET6, SOCK_DGRAM)), own.add(new Socket(AF_INET6, SOCK_DGRAM))];
    for (const sock of [a, b]) sock.bind(["::1", 0]);
    const batch = new MessageBatch(a);
    batch.push("six", b.getsockname());
    expect(batch.address(0)).toEqual(b.getsockname());
    expect(a.sendBatch(batch)).toBe(1);
    b.recvBatch(batch);
    expect([batch.data(0).toString(), batch.address(0)]).toEqual(["six", a.getsockname()]);
  });

  unix("of Unix sockets; those of an unnamed one have no sender", () => {
    using own = new Sockets();
    const [a, b] = own.pair(SOCK_DGRAM);
    const batch = new MessageBatch(a, { capacity: 4 });
    batch.push(new Uint16Array([0x6161, 0x6262]));
    batch.push(new DataView(new TextEncoder().encode("view").buffer));
    batch.push(new TextEncoder().encode("buffer").buffer);
    expect(a.sendBatch(batch)).toBe(3);
    b.recvBatch(batch);
    expect(texts(batch)).toEqual(["aabb", "view", "buffer"]);
    expect(batch.address(0)).toBeNull();
  });

  test("are no more than there is room for; the others wait", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    a.sendBatch(filled(a, ["1", "2", "3", "4", "5"], b.getsockname()));
    const batch = new MessageBatch(b, { capacity: 2 });
    expect([b.recvBatch(batch), texts(batch)]).toEqual([2, ["1", "2"]]);
    expect([b.recvBatch(batch), texts(batch)]).toEqual([2, ["3", "4"]]);
    expect([b.recvBatch(batch), texts(batch)]).toEqual([1, ["5"]]);
  });

  test("that are longer than their room are cut, and say so", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    a.sendBatch(filled(a, ["just", "longer", "no"], b.getsockname()));
    const batch = new MessageBatch(b, { size: 4 });
    b.recvBatch(batch);
    expect(texts(batch)).toEqual(["just", "long", "no"]);
    expect([0, 1, 2].map((i) => batch.truncated(i))).toEqual([false, true, false]);
  });

  test("more than a call of the system takes", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const count = isLinux ? 2500 : 100;
    b.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
    if (SO_RCVBUFFORCE !== undefined) codeOf(() => b.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)); // if one may
    const room = b.getsockopt(SOL_SOCKET, SO_RCVBUF) / 1024; // a small packet takes less than that of it
    const messages = Array.from({ length: Math.min(count, Math.floor(room)) }, (_, i) => `message ${i}`);
    if (isLinux) expect(messages.length).toBeGreaterThan(100);
    expect(a.sendBatch(filled(a, messages, b.getsockname()))).toBe(messages.length);
    expect(take(b, messages.length, { capacity: 2000, size: 100 })).toEqual(messages);
  });

  test("a batch costs as much as came, not as much as it has room for", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    a.connect(b.getsockname());
    const small = new MessageBatch(b, { capacity: 1, size: 16 });
    const large = new MessageBatch(b, { capacity: 65536, size: 16 });
    const time = (batch: MessageBatch<"AF_INET">): number =>
      elapsed(() => {
        for (let i = 0; i < 200; i++) {
          a.send("x");
          b.recvBatch(batch);
        }
      });
    time(small);
    time(large);
    const best = (batch: MessageBatch<"AF_INET">) => Math.min(...[1, 2, 3, 4, 5].map(() => time(batch)));
    expect(best(large)).toBeLessThan(5 * best(small));
  });
});

describe("what is read", () => {
  test("is a view that is used again, and an address that is decoded once", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    a.connect(b.getsockname());
    const batch = new MessageBatch(b);
    a.send("first");
    b.recvBatch(batch);
    const view = batch.data(0);
    const address = batch.address(0);
    expect(batch.data(0)).toBe(view);
    expect(batch.address(0)).toBe(address);
    a.send("again");
    b.recvBatch(batch);
    expect(batch.data(0)).toBe(view);
    expect(view.toString()).toBe("again");
    a.send("longer than that");
    b.recvBatch(batch);
    expect(batch.data(0)).not.toBe(view);
    expect(batch.data(0).toString()).toBe("longer than that");
    expect(batch.address(0)).toEqual(address);
  });

  test("an address that has changed is decoded anew", () => {
    using own = new Sockets();
    const [a, b, c] = [own.udp(), own.udp(), own.udp()];
    const batch = new MessageBatch(c);
    for (let i = 0; i < 10; i++) {
      const from = [a, b, b][i % 3]!;
      from.sendto("x", c.getsockname());
      c.recvBatch(batch);
      expect(batch.address(0)).toEqual(from.getsockname());
    }
  });

  linux("the time of receiving, of each option", () => {
    const recorded = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    const options: [number, number][] = [
      [SO_TIMESTAMPNS, 1],
      [SO_TIMESTAMP, 1],
      [SO_TIMESTAMPING, recorded],
    ];
    for (const [option, value] of options) {
      using own = new Sockets();
      const [a, b] = [own.udp(), own.udp()];
      b.setsockopt(SOL_SOCKET, option, value);
      const batch = new MessageBatch(b, { ancbufsize: 128 });
      // The kernel begins to record times a moment after it was asked to.
      for (let tries = 0; tries < 500 && batch.length === 0; tries++) {
        a.sendto("x", b.getsockname());
        b.recvBatch(batch);
        if (batch.timestamp(0) !== null) break;
        batch.clear();
        Bun.sleepSync(1);
      }
      const item = decodeAncillary(batch.ancillary(0)).find(({ type }) => type.startsWith("timestamp")) as {
        time?: unknown;
        software?: unknown;
      };
      const time = batch.timestamp(0)!;
      expect({ ...time }).toEqual((item.time ?? item.software) as never);
      expect(Math.abs(time.seconds * 1000 + time.nanoseconds / 1e6 - Date.now())).toBeLessThan(5000 * slowness);
    }
  });

  test("no time where none was asked for", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const batch = new MessageBatch(b, { ancbufsize: 128 });
    a.sendto("x", b.getsockname());
    b.recvBatch(batch);
    expect(batch.timestamp(0)).toBeNull();
  });

  linux("control messages, as recvmsg gives them, and what was cut of them", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    b.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
    b.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1);
    const batch = new MessageBatch(a, { capacity: 3, ancbufsize: CMSG_SPACE(4) + CMSG_SPACE(16) });
    for (const value of [7, 8]) batch.push("x", b.getsockname(), encodeAncillary([{ type: "ttl", value }]));
    batch.push("x", b.getsockname());
    expect(a.sendBatch(batch)).toBe(3);
    expect(b.recvmsg(10, 100, MSG_PEEK)[1].map(([level, type]) => [level, type])).toEqual(
      (b.recvBatch(batch), batch.ancillary(0)).map(([level, type]) => [level, type]),
    );
    const ttls = [0, 1, 2].map((i) => decodeAncillary(batch.ancillary(i)).find(({ type }) => type === "ttl"));
    expect(ttls).toEqual([7, 8, 64].map((value) => ({ type: "ttl", value })));

    a.sendto("x", b.getsockname());
    const little = new MessageBatch(b, { ancbufsize: CMSG_SPACE(16) });
    b.recvBatch(little);
    expect(little.flags(0) & MSG_CTRUNC).toBe(MSG_CTRUNC);
    expect(little.ancillary(0).length).toBe(1);
    expect(little.truncated(0)).toBe(false);
  });

  test("numbers in the data are read without a view, and not behind its end", () => {
    using own = new Sockets();
    const batch = filled(own.udp(), ["other", "\u{1f600}ab", ""]);
    expect([0, 1, 2].map((i) => batch.byteLength(i))).toEqual([5, 6, 0]);
    const data = batch.data(1);
    for (let at = 0; at < 6; at++) {
      expect(batch.uint8(1, at)).toBe(data[at]!);
      if (at <= 4) expect(batch.uint16(1, at)).toBe(data.readUInt16BE(at));
      if (at <= 2) expect(batch.uint32(1, at)).toBe(data.readUInt32BE(at));
    }
    for (const [call, size] of [["uint8", 1] as const, ["uint16", 2] as const, ["uint32", 4] as const]) {
      expect(() => batch[call](1, 7 - size)).toThrow(RangeError);
      for (const at of [-1, 0.5, NaN, "0", undefined]) expect(() => batch[call](1, at as number)).toThrow(/^at: /);
      expect(() => batch[call](2, 0)).toThrow(RangeError);
      expect(() => batch[call](3, 0)).toThrow(/^i: /);
    }
    detach(data);
    expect(() => batch.uint8(1, 0)).toThrow(new TypeError("batch: its ArrayBuffer is detached"));
    batch[Symbol.dispose]();
    expect(() => batch.uint16(1, 0)).toThrow(new TypeError("batch: it was disposed of"));
  });

  test("numbers of messages that are not there are refused", () => {
    using own = new Sockets();
    const batch = filled(own.udp(), ["one", "two"]);
    const methods = [
      "data",
      "byteLength",
      "address",
      "flags",
      "truncated",
      "ancillary",
      "timestamp",
      "segments",
    ] as const;
    for (const method of methods) {
      for (const i of [2, -1, 2 ** 32, -0.5, NaN, "0", null, undefined, 0n, {}]) {
        expect(() => batch[method](i as number)).toThrow(Number.isInteger(i) ? /^i: expected less than 2/ : /^i: /);
      }
    }
    expect(() => batch.segment(0, 1)).toThrow(/^j: expected less than 1/);
    expect(() => batch.segment(0, "0" as never)).toThrow(TypeError);
  });
});

describe("what is sent", () => {
  unix("goes on where the room ended, and nothing is sent twice", () => {
    using own = new Sockets();
    const [a, b] = own.pair(SOCK_DGRAM);
    a.setblocking(false);
    b.setblocking(false);
    const messages = Array.from({ length: 300 }, (_, i) => `message ${i}`);
    const batch = new MessageBatch(a, { capacity: 300, size: 64 });
    for (const message of messages) batch.push(message);
    const got: string[] = [];
    const into = new MessageBatch(b, { capacity: 7, size: 64 });
    let sent = 0;
    let blocked = 0;
    while (got.length < 300) {
      if (sent < 300) {
        const n = codeOf(() => (sent += a.sendBatch(batch)));
        expect(batch.sent).toBe(sent);
        if (n === "EAGAIN") blocked++;
      }
      if (sent < 300) expect(codeOf(() => a.sendBatch(batch))).toBe("EAGAIN");
      if (b.recvBatch(into) > 0) got.push(...texts(into));
    }
    expect(sent).toBe(300);
    expect(got).toEqual(messages);
    expect(codeOf(() => b.recvBatch(into))).toBe("EAGAIN");
    expect(blocked).toBeLessThan(300);
    // All were sent: now all of them again.
    expect(codeOf(() => a.sendBatch(batch))).toMatch(/^nothing thrown, \d+ returned/);
    b.recvBatch(into);
    expect(texts(into)[0]).toBe("message 0");
  });

  test("an error in the midst is told after what was sent, and can be passed over", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const batch = new MessageBatch(a, { capacity: 5, size: 65535 });
    const to = b.getsockname();
    for (const message of ["one", "two", new Uint8Array(65535), "four", "five"]) batch.push(message, to);
    expect(a.sendBatch(batch)).toBe(2);
    expect(batch.sent).toBe(2);
    for (let i = 0; i < 3; i++) {
      const error = thrown(() => a.sendBatch(batch));
      expect([error.code, error.syscall, error.address]).toEqual(["EMSGSIZE", "sendmmsg", to]);
    }
    batch.skip();
    expect(a.sendBatch(batch)).toBe(2);
    expect(batch.sent).toBe(5);
    expect(take(b, 4)).toEqual(["one", "two", "four", "five"]);
    b.setblocking(false);
    expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
  });

  test("an error at the first is thrown at once", () => {
    using own = new Sockets();
    const a = own.udp();
    const batch = filled(a, ["x"]); // nobody says where to
    expect(codeOf(() => a.sendBatch(batch))).toMatch(isWindows ? /^(ENOTCONN|EINVAL)$/ : /^EDESTADDRREQ$/); // EINVAL is Wine's
    expect(batch.sent).toBe(0);
  });

  test("nothing is nothing", () => {
    using own = new Sockets();
    const a = own.udp();
    expect(a.sendBatch(new MessageBatch(a))).toBe(0);
  });

  test("what was received goes back to its senders, and on to others, as it lies there", () => {
    using own = new Sockets();
    const [a, b, c, d] = [own.udp(), own.udp(), own.udp(), own.udp()];
    a.sendBatch(filled(a, ["from a", "from a too"], c.getsockname()));
    b.sendBatch(filled(b, ["from b"], c.getsockname()));
    const batch = new MessageBatch(c, { ancbufsize: 64 });
    c.recvBatch(batch);
    expect(c.sendBatch(batch)).toBe(3);
    expect(take(a, 2)).toEqual(["from a", "from a too"]);
    expect(take(b, 1)).toEqual(["from b"]);

    batch.data(0).set(Buffer.from("FROM"));
    batch.setAddress(d.getsockname());
    expect(batch.address(2)).toEqual(d.getsockname());
    batch.setAddress(b.getsockname(), 2);
    expect(c.sendBatch(batch)).toBe(3);
    expect(take(d, 2)).toEqual(["FROM a", "from a too"]);
    expect(take(b, 1)).toEqual(["from b"]);

    c.connect(d.getsockname());
    batch.setAddress(null);
    expect(batch.address(0)).toBeNull();
    expect(c.sendBatch(batch)).toBe(3);
    expect(take(d, 3)).toEqual(["FROM a", "from a too", "from b"]);
  });

  linux("control messages that were received do not go on", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    b.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1);
    b.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
    const batch = new MessageBatch(b, { ancbufsize: 128 });
    a.sendto("x", b.getsockname());
    b.recvBatch(batch);
    expect(batch.ancillary(0).length).toBe(2);
    expect(b.sendBatch(batch)).toBe(1);
    expect(batch.ancillary(0)).toEqual([]);
    expect(a.recv(10).toString()).toBe("x");
    // What is added to what was received has control messages of its own.
    a.sendto("y", b.getsockname());
    b.recvBatch(batch);
    batch.push("z", a.getsockname(), encodeAncillary([{ type: "ttl", value: 3 }]));
    expect([b.sendBatch(batch), take(a, 2)]).toEqual([2, ["y", "z"]]);
  });
});

describe("waiting", () => {
  test("a receive waits as long as the socket does, and leaves the batch empty", () => {
    using own = new Sockets();
    const a = own.udp();
    const batch = filled(a, ["left"]);
    a.settimeout(0.05);
    expectTimeout(0.05, () => a.recvBatch(batch));
    expect([batch.length, batch.sent]).toEqual([0, 0]);
    a.setblocking(false);
    expect(codeOf(() => a.recvBatch(batch))).toBe("EAGAIN");
  });

  test("a socket that blocks takes what is there, and does not wait for more", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    b.settimeout(null);
    a.sendBatch(filled(a, ["1", "2"], b.getsockname()));
    expect(b.recvBatch(new MessageBatch(b))).toBe(2);
  });

  linux("MSG_DONTWAIT does not wait", () => {
    using own = new Sockets();
    const b = own.udp();
    b.settimeout(null);
    expect(codeOf(() => b.recvBatch(new MessageBatch(b), MSG_DONTWAIT))).toBe("EAGAIN");
  });

  unix("a send that ran out of time tells how much it sent", () => {
    using own = new Sockets();
    const [a] = own.pair(SOCK_DGRAM);
    const batch = new MessageBatch(a, { capacity: 1000, size: 1000 });
    for (let i = 0; i < 1000; i++) batch.push(new Uint8Array(1000));
    a.settimeout(0.05);
    let sent = 0;
    const ms = elapsed(() => (sent = a.sendBatch(batch)));
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(1000);
    expect(batch.sent).toBe(sent);
    expect(ms).toBeGreaterThanOrEqual(50);
    expectTimeout(0.05, () => a.sendBatch(batch));
    expect(batch.sent).toBe(sent);
  });
});

test("streams are refused: they would take a part of a message", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  const batch = new MessageBatch(a);
  batch.push("x");
  expect(() => a.sendBatch(batch)).toThrow(/^batch: expected one for a socket that keeps messages apart/);
  b.settimeout(0);
  expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
});

needs("AF_UNIX", hasUnixDatagrams)("the end of a connection of records is one empty message", () => {
  using own = new Sockets();
  const [a, b] = own.pair(SOCK_SEQPACKET);
  a.send("last");
  a.close();
  const batch = new MessageBatch(b, { capacity: 100 });
  expect(b.recvBatch(batch)).toBe(2);
  expect(texts(batch)).toEqual(["last", ""]);
  expect([b.recvBatch(batch), texts(batch)]).toEqual([1, [""]]);
});

test("another address for the message that was refused: its error is over", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const batch = filled(a, ["one", "two", "three"], b.getsockname());
  batch.setAddress(["127.0.0.1", 0], 1);
  expect(a.sendBatch(batch)).toBe(1);
  batch.setAddress(b.getsockname(), 1);
  expect(a.sendBatch(batch)).toBe(2);
  expect(take(b, 3)).toEqual(["one", "two", "three"]);
});

describe("descriptors", () => {
  const passing = needs("SCM_RIGHTS", passesDescriptors && hasUnixDatagrams);
  const ancbufsize = CMSG_SPACE(4 * 4);

  /** A batch with two messages, that came with a descriptor and with two. */
  function received(own: Sockets, count = 1): [MessageBatch<"AF_UNIX">, Socket<"AF_UNIX">, Socket<"AF_UNIX">] {
    const [a, b] = own.pair(SOCK_DGRAM);
    const batch = new MessageBatch(a, { ancbufsize, capacity: 4 });
    const fds = (n: number) => [[SOL_SOCKET, SCM_RIGHTS, new Int32Array(n).fill(a.fileno())] as const];
    for (let i = 0; i < count; i++) {
      batch.push("one", null, fds(1));
      batch.push("two", null, fds(2));
    }
    expect(a.sendBatch(batch)).toBe(2 * count);
    expect(b.recvBatch(batch)).toBe(2 * count);
    return [batch, a, b];
  }

  passing("that nobody asks for are closed when the batch is used again", () => {
    using own = new Sockets();
    const [batch, a, b] = received(own);
    const open = socketCount();
    a.send("x");
    b.recvBatch(batch);
    expect(socketCount()).toBe(open - 3);
  });

  passing("that nobody asks for are closed with the batch, by clear and by a receive that fails", () => {
    for (const end of [
      (batch: MessageBatch<"AF_UNIX">) => batch.clear(),
      (batch: MessageBatch<"AF_UNIX">) => batch[Symbol.dispose](),
      (batch: MessageBatch<"AF_UNIX">, b: Socket<"AF_UNIX">) => {
        b.setblocking(false);
        expect(codeOf(() => b.recvBatch(batch))).toBe("EAGAIN");
      },
    ]) {
      using own = new Sockets();
      const [batch, , b] = received(own);
      const open = socketCount();
      end(batch, b);
      expect(socketCount()).toBe(open - 3);
    }
  });

  passing("that nobody asks for are closed when the batch is sent on, or a message is added", () => {
    for (const use of [
      (batch: MessageBatch<"AF_UNIX">, b: Socket<"AF_UNIX">) => void b.sendBatch(batch),
      (batch: MessageBatch<"AF_UNIX">) => void batch.push("three"),
    ]) {
      using own = new Sockets();
      const [batch, , b] = received(own);
      const open = socketCount();
      use(batch, b);
      // There is nothing left to ask for.
      expect(batch.ancillary(1)).toEqual([]);
      expect(socketCount()).toBe(open - 3);
      batch.clear();
      expect(socketCount()).toBe(open - 3);
    }
  });

  passing("that somebody asked for are his, and are not inherited", () => {
    using own = new Sockets();
    const [batch, , b] = received(own);
    const [item] = decodeAncillary(batch.ancillary(1));
    const { fds } = item as { fds: number[] };
    expect(fds.length).toBe(2);
    const open = socketCount();
    batch.clear();
    expect(socketCount()).toBe(open - 1);
    for (const fd of fds) {
      const sock = own.add(new Socket({ fileno: fd }));
      expect(sock.getInheritable()).toBe(false);
    }
    b.setblocking(false);
    expect(codeOf(() => b.recvBatch(batch))).toBe("EAGAIN");
    for (const fd of fds) expect(descriptors()).toContain(fd);
  });

  passing("of a batch that was forgotten are closed", async () => {
    using own = new Sockets();
    const before = (received(own)[0], socketCount());
    for (let i = 0; i < 200 && socketCount() > before - 3; i++) {
      Bun.gc(true);
      await Bun.sleep(5);
    }
    expect(socketCount()).toBeLessThanOrEqual(before - 3);
  });
});

/** A network of its own, whose loopback carries nothing but what the test sends. */
needs(lacking || "AF_PACKET", lacking === "")("frames of a packet socket, with their ancillary data", () => {
  using net = new Network();
  using own = new Sockets();
  const [a, b] = net.inside(() => [own.udp(), own.udp()] as const);
  const sniffer = own.add(net.inside(() => new Socket(AF_PACKET, SOCK_RAW, 0)));
  sniffer.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1);
  net.inside(() => sniffer.bind(["lo", ETH_P_ALL]));
  sniffer.settimeout(5 * slowness);
  const batch = new MessageBatch(sniffer, { ancbufsize: CMSG_SPACE(20) });
  a.sendBatch(filled(a, ["one", "two"], b.getsockname()));
  // Each frame leaves, and comes.
  const frames: string[] = [];
  while (frames.length < 4) {
    sniffer.recvBatch(batch);
    for (let i = 0; i < batch.length; i++) {
      const [item] = decodeAncillary(batch.ancillary(i));
      expect(item).toMatchObject({ type: "auxdata", len: batch.data(i).length });
      const [, proto, pkttype] = batch.address(i)!;
      expect(proto).toBe(ETHERTYPE_IP);
      frames.push(`${pkttype} ${batch.data(i).subarray(14 + 20 + 8)}`);
    }
  }
  expect(frames.sort()).toEqual([
    `${PACKET_HOST} one`,
    `${PACKET_HOST} two`,
    `${PACKET_OUTGOING} one`,
    `${PACKET_OUTGOING} two`,
  ]);
});

describe("bad input", () => {
  const wrong = (value: unknown) => value as never;

  test("sizes of nothing, and sizes that are absurd", () => {
    using own = new Sockets();
    const a = own.udp();
    for (const options of [
      { capacity: 0 },
      { capacity: -1 },
      { capacity: 65537 },
      { capacity: 1.5 },
      { capacity: "9" },
      { capacity: null },
      { size: 0 },
      { size: 2 ** 31 },
      { size: NaN },
      { ancbufsize: -1 },
      { ancbufsize: 2 ** 40 },
      { capacity: 65536, size: 65536 },
      { capacity: 65536, ancbufsize: 65536 },
      { capcity: 1 },
      null,
      64,
      [],
    ]) {
      const [name] = Object.keys(options ?? {});
      expect(() => new MessageBatch(a, wrong(options))).toThrow(/^options/);
      if (name !== undefined && name !== "capcity") expect(() => new MessageBatch(a, wrong(options))).toThrow(name);
    }
  });

  test("sockets that are none", () => {
    for (const [what, make] of substitutes) {
      const outcome = (() => {
        try {
          return new MessageBatch(wrong(make()));
        } catch (error) {
          return error;
        }
      })();
      expect([what, String(outcome)]).toEqual([what, expect.stringMatching(/^TypeError: sock: expected a Socket/)]);
    }
    using own = new Sockets();
    expect(() => new MessageBatch(new Proxy(own.udp(), {}))).toThrow("sock: expected a Socket");
  });

  test("batches that are none, or of another family", () => {
    using own = new Sockets();
    const a = own.udp();
    const batch = new MessageBatch(a);
    for (const forged of [new Proxy(batch, {}), Object.create(batch), Object.create(MessageBatch.prototype)]) {
      expect(() => a.recvBatch(forged)).toThrow(/^batch: expected a MessageBatch/);
      expect(() => a.sendBatch(forged)).toThrow(/^batch: expected a MessageBatch/);
    }
    expect(() => a.recvBatch(wrong(throwing()))).toThrow();
    if (hasUnixDatagrams) {
      const other = own.add(new Socket(AF_UNIX, SOCK_DGRAM));
      const message = 'batch: expected one for sockets of AF_UNIX, got "one for AF_INET"';
      expect(() => other.recvBatch(wrong(batch))).toThrow(message);
    }
    a.setblocking(false);
    expect(codeOf(() => a.recvBatch(batch))).toBe("EAGAIN");
  });

  test("messages that do not fit are refused, and leave the batch as it was", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const batch = new MessageBatch(a, { capacity: 2, size: 4, ancbufsize: CMSG_SPACE(4) });
    const to = b.getsockname();
    batch.push("1234", to);
    expect(() => batch.push("12345", to)).toThrow('data: expected at most the batch\'s 4 bytes, got "5 bytes"');
    expect(() => batch.push("äöü", to)).toThrow(RangeError); // six bytes
    expect(() => batch.push("x", to, [[0, 0, new Uint8Array(100)]])).toThrow(/^ancdata: /);
    expect(() => batch.push("x", to, wrong("x"))).toThrow(/^ancdata: /);
    expect(() => batch.push("x", wrong(["127.0.0.1"]))).toThrow(/^address: /);
    expect(() => batch.push("x", ["127.0.0.1", 65536])).toThrow(/^address\[1\]: /);
    expect(() => batch.push(wrong(1))).toThrow(/^data: /);
    expect(() => batch.setAddress(wrong("x"))).toThrow(/^address: /);
    expect(() => batch.setAddress(to, 1)).toThrow(/^i: /);
    expect(batch.length).toBe(1);
    batch.push("2", to);
    expect(() => batch.push("3", to)).toThrow(new RangeError("batch: it is full, with 2 messages"));
    expect([a.sendBatch(batch), take(b, 2)]).toEqual([2, ["1234", "2"]]);
  });

  test("what runs while a message is read from the caller's objects does no harm", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const batch = new MessageBatch(a, { capacity: 3, size: 8 });
    const to = b.getsockname();
    const whenRead = (act: () => void) => {
      const address = [...to];
      Object.defineProperty(address, 0, { get: () => (act(), to[0]) });
      return wrong(address) as [string, number];
    };
    batch.push(
      "outer",
      whenRead(() => batch.push("inner", to)),
    );
    expect(texts(batch)).toEqual(["inner", "outer"]);
    batch.push(
      "last",
      whenRead(() => batch.clear()),
    );
    expect(texts(batch)).toEqual(["last"]);
    const data = new Uint8Array(8);
    expect(() =>
      batch.push(
        data,
        whenRead(() => detach(data)),
      ),
    ).toThrow("data: its ArrayBuffer is detached");
    expect(() =>
      batch.push(
        "x",
        whenRead(() => batch[Symbol.dispose]()),
      ),
    ).toThrow("batch: it was disposed of");
  });

  test("a batch that was disposed of, or whose memory was taken away", () => {
    using own = new Sockets();
    const [a, b] = [own.udp(), own.udp()];
    const batch = filled(a, ["x"], b.getsockname());
    batch[Symbol.dispose]();
    batch[Symbol.dispose]();
    for (const use of [
      () => a.recvBatch(batch),
      () => a.sendBatch(batch),
      () => batch.push("x"),
      () => batch.data(0),
      () => batch.clear(),
      () => batch.skip(),
      () => batch.setAddress(null),
    ]) {
      expect(use).toThrow(new TypeError("batch: it was disposed of"));
    }
    const robbed = new MessageBatch(a);
    robbed.push("x", b.getsockname());
    detach(robbed.data(0));
    expect(() => a.recvBatch(robbed)).toThrow(new TypeError("batch: its ArrayBuffer is detached"));
    for (const use of [() => robbed.push("x"), () => robbed.data(0), () => a.sendBatch(robbed)]) {
      expect(use).toThrow(new TypeError("batch: its ArrayBuffer is detached"));
    }
    b.setblocking(false);
    expect(codeOf(() => b.recv(10))).toBe("EAGAIN");
  });

  test("a closed socket is EBADF, and leaves the batch as it was", () => {
    using own = new Sockets();
    const a = own.udp();
    const batch = filled(a, ["x"], a.getsockname());
    a.close();
    expect([codeOf(() => a.recvBatch(batch)), codeOf(() => a.sendBatch(batch))]).toEqual(["EBADF", "EBADF"]);
    expect(texts(batch)).toEqual(["x"]);
  });
});
