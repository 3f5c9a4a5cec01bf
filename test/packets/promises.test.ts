/** Batches of sockets by promises: waiting, giving up, and a batch that is one call's alone. */
import { describe, expect, test } from "bun:test";
import { AF_INET, MSG_DONTWAIT, SOCK_DGRAM, Socket, socketpair } from "../../src/promises.ts";
import { MessageBatch } from "../../src/packets.ts";
import { hasLinuxOptions, hasUnixDatagrams, needs } from "../help.ts";
import { countTurns, rejected, rejection, turn } from "../promises/help.ts";
import { detach } from "../faults/values.ts";

const unix = needs("AF_UNIX datagram socket", hasUnixDatagrams);

function udp(): Socket<"AF_INET"> {
  const sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.bind(["127.0.0.1", 0]);
  return sock;
}

const unixPair = () => socketpair(1 /* AF_UNIX */, SOCK_DGRAM);

function texts(batch: MessageBatch): string[] {
  return Array.from({ length: batch.length }, (_, i) => batch.data(i).toString());
}

test("messages there and back, waited for", async () => {
  using a = udp();
  using b = udp();
  const [out, into] = [new MessageBatch(a), new MessageBatch(b)];
  const waits = b.recvBatch(into);
  await turn();
  for (const text of ["one", "two", "three"]) out.push(text, b.getsockname());
  expect(await a.sendBatch(out)).toBe(3);
  let count = await waits;
  const all = texts(into);
  while (count < 3) {
    count += await b.recvBatch(into);
    all.push(...texts(into));
  }
  expect(all).toEqual(["one", "two", "three"]);
  expect(into.address(0)).toEqual(a.getsockname());
  expect(await b.sendBatch(into)).toBe(into.length);
  expect(await a.recvBatch(out)).toBe(into.length);
});

describe("giving up", () => {
  test("by a signal, a timeout, and because the socket is closed; nothing is lost", async () => {
    using a = udp();
    const b = udp();
    const batch = new MessageBatch(b);
    const giveUp = new AbortController();
    const aborted = b.recvBatch(batch, { signal: giveUp.signal });
    giveUp.abort();
    expect(await rejection(aborted)).toBe("AbortError");
    b.settimeout(0.02);
    expect(await rejected(b.recvBatch(batch))).toBe("ETIMEDOUT");
    b.settimeout(0);
    expect(await rejected(b.recvBatch(batch))).toBe("EAGAIN");
    b.settimeout(5);
    await a.sendto("still there", b.getsockname());
    expect(await b.recvBatch(batch)).toBe(1);
    expect(texts(batch)).toEqual(["still there"]);
    const closed = b.recvBatch(batch);
    b.close();
    expect(await rejected(closed)).toBe("ECANCELED");
    expect(await rejected(b.recvBatch(batch))).toBe("EBADF");
    expect(await rejected(b.sendBatch(batch))).toBe("EBADF");
  });

  needs("Linux's options", hasLinuxOptions)("MSG_DONTWAIT does not wait", async () => {
    using a = udp();
    expect(await rejected(a.recvBatch(new MessageBatch(a), MSG_DONTWAIT))).toBe("EAGAIN");
  });
});

describe("sends", () => {
  unix("wait until all are sent, in their order, once", async () => {
    const [a, b] = unixPair();
    const batch = new MessageBatch(a, { capacity: 500, size: 32 });
    const messages = Array.from({ length: 500 }, (_, i) => `message ${i}`);
    for (const message of messages) batch.push(message);
    const sent = a.sendBatch(batch);
    const got: string[] = [];
    const into = new MessageBatch(b, { capacity: 3, size: 32 });
    while (got.length < 500) {
      await b.recvBatch(into);
      got.push(...texts(into));
    }
    expect(await sent).toBe(500);
    expect(got).toEqual(messages);
    expect(await rejected(b.recvBatch(into, MSG_DONTWAIT))).toBe("EAGAIN");
    a.close();
    b.close();
  });

  unix("that were given up tell what was sent, and go on from there", async () => {
    const [a, b] = unixPair();
    const batch = new MessageBatch(a, { capacity: 1000, size: 1000 });
    for (let i = 0; i < 1000; i++) batch.push(Buffer.alloc(1000, `${i};`));
    a.settimeout(0.02);
    expect(await rejected(a.sendBatch(batch))).toBe("ETIMEDOUT");
    const first = batch.sent;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(1000);
    a.settimeout(0);
    expect(await rejected(a.sendBatch(batch))).toBe("EAGAIN");
    const into = new MessageBatch(b, { capacity: 1000, size: 1000 });
    let count = await b.recvBatch(into);
    const begun = parseInt(into.data(0).toString(), 10);
    // One that may not wait tells how many it sent.
    count += await a.sendBatch(batch);
    expect([begun, count]).toEqual([0, batch.sent]);
    await b.recvBatch(into);
    expect(parseInt(into.data(0).toString(), 10)).toBe(first);
    a.close();
    b.close();
  });

  test("an error in the midst is told by the next call", async () => {
    using a = udp();
    using b = udp();
    const batch = new MessageBatch(a, { capacity: 3, size: 65535 });
    for (const data of ["one", new Uint8Array(65535), "three"]) batch.push(data, b.getsockname());
    expect(await a.sendBatch(batch)).toBe(1);
    expect(await rejected(a.sendBatch(batch))).toBe("EMSGSIZE");
    batch.skip();
    expect(await a.sendBatch(batch)).toBe(1);
  });
});

describe("a batch is one call's", () => {
  test("until it has ended: others are refused", async () => {
    using a = udp();
    using b = udp();
    const batch = new MessageBatch(a);
    batch.push("x", b.getsockname());
    const waits = b.recvBatch(batch);
    const used = "batch: another call is using it, and has not ended yet";
    await expect(b.recvBatch(batch)).rejects.toThrow(new TypeError(used));
    await expect(a.sendBatch(batch)).rejects.toThrow(new TypeError(used));
    for (const use of [() => batch.push("x"), () => batch.clear(), () => batch.skip(), () => batch.setAddress(null)]) {
      expect(use).toThrow(new TypeError(used));
    }
    await turn(); // it may have had to wait for its first turn
    expect(texts(batch)).toEqual([]);
    await a.sendto("for the first", b.getsockname());
    expect(await waits).toBe(1);
    expect(texts(batch)).toEqual(["for the first"]);
    batch.clear();
    b.settimeout(0);
    expect(await rejected(b.recvBatch(batch))).toBe("EAGAIN");
    batch.push("free again");
  });

  test("disposed of in flight: the call is rejected at once, also behind others", async () => {
    using a = udp();
    using b = udp();
    const before = b.recv(100);
    const batches = [new MessageBatch(b), new MessageBatch(b)];
    const waits = batches.map((batch) => b.recvBatch(batch));
    await turn();
    batches[1]![Symbol.dispose]();
    await expect(waits[1]!).rejects.toThrow(new TypeError("batch: it was disposed of"));
    await a.sendto("one", b.getsockname());
    expect((await before).toString()).toBe("one");
    await turn();
    batches[0]![Symbol.dispose]();
    await expect(waits[0]!).rejects.toThrow(new TypeError("batch: it was disposed of"));
    await a.sendto("two", b.getsockname());
    expect((await b.recv(100)).toString()).toBe("two");
  });

  unix("disposed of while it is sent: the call is rejected at once", async () => {
    const [a, b] = unixPair();
    const batch = new MessageBatch(a, { capacity: 1000, size: 1000 });
    for (let i = 0; i < 1000; i++) batch.push(Buffer.alloc(1000));
    const waits = a.sendBatch(batch);
    await turn();
    batch[Symbol.dispose]();
    await expect(waits).rejects.toThrow(new TypeError("batch: it was disposed of"));
    a.close();
    b.close();
  });

  test("disposed of, or its memory taken away, in flight: the call is rejected, and what comes is there for the next", async () => {
    using a = udp();
    using b = udp();
    b.settimeout(5);
    for (const [end, message] of [
      [(batch: MessageBatch) => batch[Symbol.dispose](), "batch: it was disposed of"],
      [(batch: MessageBatch, view: Buffer) => (detach(view), batch), "batch: its ArrayBuffer is detached"],
    ] as const) {
      const batch = new MessageBatch(b);
      batch.push("x");
      const view = batch.data(0);
      const waits = b.recvBatch(batch);
      await turn();
      const ended = waits.catch(String);
      end(batch, view);
      await a.sendto("kept", b.getsockname());
      expect(await ended).toBe(`TypeError: ${message}`);
      expect((await b.recv(100)).toString()).toBe("kept");
    }
  });

  test("wrong arguments are rejections, and leave it free", async () => {
    using a = udp();
    const batch = new MessageBatch(a);
    for (const call of [
      () => a.recvBatch(batch, -0.5),
      () => a.recvBatch(batch, { signal: 1 as never }),
      () => a.recvBatch(null as never),
      () => a.recvBatch(undefined as never),
      () => a.sendBatch({} as never),
      () => a.sendBatch(new Proxy(batch, {})),
    ]) {
      expect(await rejection(call())).toBe("TypeError");
    }
    batch.push("free");
  });
});

test("batches leave the event loop its turns, as often as calls for one message do", async () => {
  using a = udp();
  using b = udp();
  const batch = new MessageBatch(a, { capacity: 512, size: 64 });
  while (batch.length < batch.capacity) batch.push("x", b.getsockname());
  const turns = countTurns();
  for (let i = 0; i < 200; i++) await a.sendBatch(batch); // what b has no room for is dropped
  // 64 batches in a turn, all of them at once, would be 4.
  expect(turns()).toBeGreaterThan(15);
});

test("a large batch is sent in pieces, each in a turn: all of it, once", async () => {
  using a = udp();
  using b = udp();
  const batch = new MessageBatch(a, { capacity: 2000, size: 8 });
  for (let i = 0; i < 2000; i++) batch.push(String(i), b.getsockname());
  const turns = countTurns();
  expect([await a.sendBatch(batch), batch.sent]).toEqual([2000, 2000]);
  expect(turns()).toBeGreaterThan(1);
  // What there was no room for is lost; nothing came twice.
  b.settimeout(0);
  let last = -1;
  for (;;) {
    const data = await b.recv(8).catch(() => null);
    if (data === null) break;
    expect(Number(data)).toBeGreaterThan(last);
    last = Number(data);
  }
  expect(last).toBeGreaterThan(0);
});
