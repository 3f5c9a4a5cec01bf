/** Closing a socket that is waited on, from wherever: what waits is rejected, and who gets the number next is left alone. */
import { beforeAll, describe, expect, test } from "bun:test";
import * as net from "../../src/promises.ts";
import { AF_INET, createServer, OSError, SOCK_DGRAM, Socket } from "../../src/promises.ts";
import { descriptors, leftOpenLater } from "../help.ts";
import { endsFor, fill, rejected, tcp, turn } from "./help.ts";

/** What waits: on `sock`, whose other end is `other`. */
type Call = (sock: Socket<"AF_INET">) => Promise<unknown>;

const calls: Record<string, Call> = {
  recv: (sock) => sock.recv(10),
  recvfrom: (sock) => sock.recvfrom(10),
  recvInto: (sock) => sock.recvInto(new Uint8Array(10)),
  recvfromInto: (sock) => sock.recvfromInto(new Uint8Array(10)),
  recvmsg: (sock) => sock.recvmsg(10, 100),
  recvmsgInto: (sock) => sock.recvmsgInto([new Uint8Array(10)]),
  send: (sock) => sock.send("x"),
  sendall: (sock) => sock.sendall(new Uint8Array(1_000_000)),
  sendmsg: (sock) => sock.sendmsg(["x", "y"]),
  sendfile: (sock) => sock.sendfile(import.meta.path),
  "a stream's reader": (sock) => sock.readable.getReader().read(),
  "a stream's BYOB reader": (sock) => sock.readable.getReader({ mode: "byob" }).read(new Uint8Array(10)),
  "a stream's writer": (sock) => sock.writable.getWriter().write("x"),
};

/** Those of them that wait only where a connection is full. */
const waitsForRoom = new Set(["send", "sendall", "sendmsg", "sendfile", "a stream's writer"]);

/** Ends that end an iteration instead: whoever iterates sees no error where he closed the socket himself. */
const iterations: Record<string, Call> = {
  chunks: (sock) => sock.chunks().next(),
  lines: (sock) => sock.lines().next(),
  datagrams: (sock) => sock.datagrams().next(),
  "for await": async (sock) => {
    for await (const _ of sock);
    return { done: true };
  },
};

/** From where it is closed. */
const places: Record<string, (close: () => void) => unknown> = {
  "at once": (close) => close(),
  "in a microtask": (close) => queueMicrotask(close),
  "in the next turn": (close) => void setImmediate(close),
  "in a timer": (close) => void setTimeout(close, 2),
  "from what another socket received": async (close) => {
    const [a, b] = await tcp();
    const received = b.recv(1).then(close);
    await a.send("x");
    await received;
    a.close();
    b.close();
  },
  "from what was rejected by another close": async (close) => {
    const [a, b] = await tcp();
    const closed = b.recv(1).catch(close);
    b.close();
    await closed;
    a.close();
  },
  "from a listener of a signal": (close) => {
    const given = new AbortController();
    given.signal.addEventListener("abort", close);
    given.abort();
  },
};

beforeAll(async () => {
  const [a, b] = await tcp(); // the poller has descriptors of its own
  const received = b.recv(1);
  await a.send("x");
  await received;
  a.close();
  b.close();
});

/** Checks that sockets which get the same numbers are not disturbed. */
async function othersAreLeftAlone(): Promise<void> {
  const pairs = [await tcp(), await tcp()];
  const received = pairs.map(([, b]) => b.recv(10));
  await turn();
  for (const [i, [a]] of pairs.entries()) await a.sendall(`${i}`);
  expect((await Promise.all(received)).map(String)).toEqual(["0", "1"]);
  for (const sock of pairs.flat()) sock.close();
}

describe.each(Object.entries({ ...calls, ...iterations }))("%s", (name, call) => {
  test.each(Object.entries(places))("closed %s", async (_, place) => {
    const before = descriptors();
    const [sock, other] = await endsFor(name);
    if (waitsForRoom.has(name)) await fill(sock);
    const outcome = call(sock).then(
      (result) => (result as { done?: boolean }).done,
      (error: unknown) => (error as OSError).code,
    );
    await turn();
    await place(() => sock.close());
    expect(await outcome).toBe(name in iterations ? true : "ECANCELED");
    expect(sock.fileno()).toBe(-1);
    await othersAreLeftAlone();
    other.close();
    expect(await leftOpenLater(before)).toEqual([]);
  });

  test("detached: what waits is rejected, the descriptor is there", async () => {
    const [sock, other] = await endsFor(name);
    if (waitsForRoom.has(name)) await fill(sock);
    const settled = call(sock).then(
      (result) => (result as { done?: boolean }).done,
      (error: unknown) => (error as OSError).code,
    );
    await turn();
    const again = new Socket<"AF_INET">({ fileno: sock.detach() });
    expect(await settled).toBe(name in iterations ? true : "ECANCELED");
    await other.sendall("still there");
    expect(String(await again.recv(100))).toBe("still there");
    again.close();
    other.close();
  });
});

test("a server, and what connects to it", async () => {
  const server = createServer(["127.0.0.1", 0]);
  const accepts = [rejected(server.accept()), rejected(server.accept())];
  const next = server.connections().next();
  await turn();
  server.close();
  expect(await Promise.all(accepts)).toEqual(["ECANCELED", "ECANCELED"]);
  expect((await next).done).toBe(true);
  const sock = new Socket(AF_INET);
  const connecting = sock.connectEx(["localhost", 9]); // the name is asked for first
  sock.close();
  expect([net.EBADF, net.ECANCELED]).toContain(await connecting);
});

test("a descriptor that another socket waits on now: what waited before is rejected", async () => {
  const [a, b] = await tcp();
  const before = rejected(b.recv(10));
  await turn();
  const other = new Socket({ fileno: b.fileno() });
  const received = other.recv(10);
  expect(await before).toBe("ECANCELED");
  expect(await rejected(b.recv(10))).toBe("EBADF");
  await a.send("for it");
  expect(String(await received)).toBe("for it");
  b.detach();
  other.close();
  a.close();
});

test("a hundred that are ready in one wake, where the first that is told closes all", async () => {
  const pairs = await Promise.all(Array.from({ length: 100 }, () => tcp()));
  let told = 0;
  const settled = pairs.map(([, b]) =>
    b.recv(1).then(
      () => {
        told++;
        for (const [, other] of pairs) other.close();
        return "data";
      },
      (error: OSError) => error.code,
    ),
  );
  await turn();
  for (const [a] of pairs) void a.send("x");
  const outcomes = await Promise.all(settled);
  expect(told).toBeGreaterThan(0);
  // What was received in the same wake was received.
  for (const outcome of outcomes) expect(["data", "ECANCELED"]).toContain(outcome);
  await othersAreLeftAlone();
  for (const [a] of pairs) a.close();
});

test("a number that goes round: closed and given again within the callbacks of one wake", async () => {
  for (let round = 0; round < 30; round++) {
    const pairs = await Promise.all(Array.from({ length: 10 }, () => tcp()));
    const fresh: [Socket<"AF_INET">, Socket<"AF_INET">, Promise<string>][] = [];
    const settled = pairs.map(async ([a, b], i) => {
      await b.recv(1).catch(() => {});
      if (i % 2 === 1) return;
      // The sockets of the next pair are ready, and may not have been told.
      for (const sock of [a, b, ...pairs[i + 1]!]) sock.close();
      const [c, d] = await tcp();
      fresh.push([c, d, d.recv(10).then(String)]);
    });
    for (const [a] of pairs) void a.send("old").catch(() => {});
    await Promise.all(settled);
    for (const [c] of fresh) await c.sendall("new");
    for (const [c, d, received] of fresh) {
      expect(await received).toBe("new");
      c.close();
      d.close();
    }
  }
});

describe("an argument whose code closes the socket", () => {
  const hostile: Record<string, (sock: Socket<"AF_INET">, other: Socket<"AF_INET">) => Promise<unknown>> = {
    "the buffers of sendmsg": (sock) =>
      sock.sendmsg(
        (function* () {
          yield "x";
          sock.close();
          yield "y";
        })(),
      ),
    "the control messages of sendmsg": (sock) =>
      sock.sendmsg(
        ["x"],
        (function* () {
          sock.close();
          yield* [];
        })(),
      ),
    "the views of recvmsgInto": (sock) =>
      sock.recvmsgInto(
        (function* () {
          sock.close();
          yield new Uint8Array(1);
        })(),
      ),
    "the options": (sock) =>
      sock.recv(1, {
        get signal(): AbortSignal {
          sock.close();
          return new AbortController().signal;
        },
      }),
    "the address of sendto": (sock, other) => {
      const address = [...other.getsockname()] as [string, number];
      Object.defineProperty(address, 1, {
        get() {
          sock.close();
          return other.getsockname()[1];
        },
      });
      return sock.sendto("x", address);
    },
    "the address of connect": (sock, other) => {
      const address = [...other.getsockname()] as [string, number];
      Object.defineProperty(address, 1, {
        get() {
          sock.close();
          return other.getsockname()[1];
        },
      });
      return sock.connect(address);
    },
  };
  test.each(Object.entries(hostile))("%s", async (_, call) => {
    const [sock, other] = [new Socket(AF_INET, SOCK_DGRAM), new Socket(AF_INET, SOCK_DGRAM)];
    for (const one of [sock, other]) one.bind(["127.0.0.1", 0]);
    expect(await rejected(call(sock, other))).toBe("EBADF");
    await othersAreLeftAlone();
    other.close();
  });
});
