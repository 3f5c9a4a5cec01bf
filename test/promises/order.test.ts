/** Who waits is served in order, nothing is lost or taken twice, and what ends a wait leaves the socket usable. */
import { describe, expect, test } from "bun:test";
import * as root from "../../src/index.ts";
import type { FamilyName } from "../../src/families/index.ts";
import { shim, WRITABLE } from "../../src/native.ts";
import { AGAIN, moved, Waits } from "../../src/promises/waits.ts";
import { AF_INET, createServer, MSG_DONTWAIT, SOCK_DGRAM, Socket, socketpair } from "../../src/promises.ts";
import {
  descriptors,
  hasLinuxOptions,
  hasUnixDatagrams,
  isLinux,
  isWindows,
  leftOpenLater,
  needs,
  slowness,
} from "../help.ts";
import { ends, endsFor, fill, freshTurn, LATE, rejected, rejection, take, tcp, turn } from "./help.ts";

describe("several wait on one socket", () => {
  test("readers are served first come, first served", async () => {
    const [a, b] = await ends();
    const order: string[] = [];
    const reads = Array.from({ length: 5 }, (_, i) => b.recv(1).then((data) => order.push(`${i}${data}`)));
    await a.sendall("abcde");
    await Promise.all(reads);
    expect(order).toEqual(["0a", "1b", "2c", "3d", "4e"]);
    a.close();
    b.close();
  });

  test("one that comes when data has come waits behind those before it", async () => {
    const [a, b] = await ends();
    const first = b.recv(1);
    await a.sendall("ab");
    const second = b.recv(1); // the loop does not know yet
    expect([String(await first), String(await second)]).toEqual(["a", "b"]);
    a.close();
    b.close();
  });

  test("writers do not mix: each sendall is sent whole", async () => {
    const [a, b] = await ends();
    const before = await fill(a);
    const parts = [1, 2, 3].map((i) => new Uint8Array(1_000_000).fill(i));
    const sent = Promise.all(parts.map((part) => a.sendall(part)));
    const received = (await take(b, before + 3_000_000)).subarray(before);
    await sent;
    expect(received.equals(Buffer.concat(parts))).toBe(true);
    a.close();
    b.close();
  });

  test("what must not wait does not wait behind another either", async () => {
    const [a, b] = await ends();
    await freshTurn();
    // The first goes on in the next turn; it fills the buffers then.
    const all = rejected(a.sendall(new Uint8Array(64 << 20)));
    a.settimeout(0);
    const now = rejected(a.send("x"));
    if (MSG_DONTWAIT !== undefined) expect(await rejected(a.send("x", MSG_DONTWAIT))).toBe("EAGAIN");
    expect(await now).toBe("EAGAIN");
    a.close();
    b.close();
    expect(await all).toBe("ECANCELED");
  });

  test("a receive that a buffer of TCP's was seen empty for is not tried in vain", async () => {
    const [a, b] = await tcp();
    const { bs_recv: receive } = shim;
    let calls = 0;
    const counted = (...args: Parameters<typeof receive>) => (calls++, receive(...args));
    Object.assign(shim, { bs_recv: counted });
    try {
      const echo = (async () => {
        for await (const chunk of b) await b.sendall(chunk);
      })();
      for (let i = 0; i < 100; i++) {
        await a.send("x");
        await a.recv(100);
      }
      if (isLinux) expect(calls).toBeLessThan(300); // of 200 receives; each in vain first would be 400
      a.close();
      await echo;
    } finally {
      Object.assign(shim, { bs_recv: receive });
    }
    b.close();
  });

  test("one that takes whole turns does not keep others from theirs", async () => {
    const [a, b] = socketpair();
    let taken = 0;
    let had = 0;
    const run = (sock: Socket<FamilyName>, attempt: () => number | typeof AGAIN): Promise<number> =>
      new Waits(sock.fileno()).run(WRITABLE, {
        attempt,
        self: 0,
        args: [],
        syscall: "",
        timeout: null,
        signal: undefined,
      });
    const greedy = run(a, () => {
      moved(2 ** 24);
      return ++taken < 100 ? AGAIN : taken;
    });
    expect(await run(b, () => (++had < 20 ? AGAIN : taken))).toBeLessThan(60);
    expect(await greedy).toBe(100);
    a.close();
    b.close();
  });

  test("data that is detached while it waits to be sent is said to be", async () => {
    for (const make of [
      (buffer: ArrayBuffer) => new Uint8Array(buffer),
      (buffer: ArrayBuffer) => new DataView(buffer),
    ]) {
      const [a, b] = await ends();
      const filled = await fill(a);
      const buffer = new ArrayBuffer(1000);
      const sent = a.sendall(make(buffer));
      structuredClone(buffer, { transfer: [buffer] });
      const taken = take(b, filled);
      await expect(sent).rejects.toThrow(/^data: its ArrayBuffer is detached/);
      await taken;
      a.close();
      b.close();
    }
  });

  test("a reader and a writer do not wait for one another", async () => {
    const [a, b] = await ends();
    const filled = await fill(a);
    const sent = a.send("last");
    const received = a.recv(10);
    await b.sendall("to a");
    expect(String(await received)).toBe("to a");
    await take(b, filled);
    expect(await sent).toBe(4);
    a.close();
    b.close();
  });

  test("one that leaves from the midst does not disturb the others", async () => {
    const [a, b] = await ends();
    const given = new AbortController();
    const first = b.recv(1);
    const second = b.recv(1, { signal: given.signal });
    const third = b.recv(1);
    given.abort(new Error("mine"));
    await expect(second).rejects.toThrow("mine");
    await a.sendall("xy");
    expect([String(await first), String(await third)]).toEqual(["x", "y"]);
    a.close();
    b.close();
  });
});

describe("abort", () => {
  test("before the call: nothing is done", async () => {
    const [a, b] = await ends();
    await a.sendall("kept");
    const signal = AbortSignal.abort();
    expect(await rejection(b.recv(10, { signal }))).toBe("AbortError");
    expect(await rejection(b.send("no", { signal }))).toBe("AbortError");
    expect(await rejection(b.recv(10, 0, { signal }))).toBe("AbortError");
    expect(String(await b.recv(10))).toBe("kept");
    a.settimeout(0);
    expect(await rejected(a.recv(1))).toBe("EAGAIN");
    a.close();
    b.close();
  });

  test("at the same moment as the data: it is given, or it is left", async () => {
    const [a, b] = await ends();
    for (let i = 0; i < 500; i++) {
      const given = new AbortController();
      const received = b.recv(10, { signal: given.signal }).then(String, () => null);
      const steps = [() => a.send("x"), () => given.abort()];
      for (const step of i % 2 ? steps : steps.reverse()) {
        step();
        if (i % 3 === 0) await turn();
      }
      if ((await received) === null) expect(String(await b.recv(10))).toBe("x");
    }
    b.settimeout(0);
    expect(await rejected(b.recv(1))).toBe("EAGAIN");
    a.close();
    b.close();
  });

  test("of every call, while it waits", async () => {
    const [a, b] = await ends();
    await fill(a);
    const [c, d] = await endsFor("sendfile");
    await fill(c);
    using server = createServer(["127.0.0.1", 0]);
    const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => server.accept({ signal }),
      (signal) => a.recv(1, { signal }),
      (signal) => a.recvfrom(1, { signal }),
      (signal) => a.recvInto(new Uint8Array(1), { signal }),
      (signal) => a.recvfromInto(new Uint8Array(1), 1, { signal }),
      (signal) => a.recvmsg(1, 0, { signal }),
      (signal) => a.recvmsgInto([new Uint8Array(1)], 0, 0, { signal }),
      (signal) => a.send("x", { signal }),
      (signal) => a.sendall("x", 0, { signal }),
      (signal) => a.sendmsg(["x"], [], 0, null, { signal }),
      (signal) => c.sendfile(import.meta.path, 0, null, { signal }),
      (signal) => a.chunks({ signal }).next(),
      (signal) => server.connections({ signal }).next(),
      (signal) => a.lines({ signal }).next(),
    ];
    const open = descriptors();
    for (const call of calls) {
      const given = new AbortController();
      const waits = call(given.signal);
      await turn();
      given.abort();
      expect(await rejection(waits)).toBe("AbortError");
    }
    expect(await leftOpenLater(open)).toEqual([]); // sendfile's is closed
    for (const sock of [a, b, c, d]) sock.close();
  });

  test("leaves no listener on the signal", async () => {
    const given = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = given.signal;
    given.signal.addEventListener = function (...args: unknown[]) {
      listeners++;
      return Reflect.apply(addEventListener, this, args);
    };
    given.signal.removeEventListener = function (...args: unknown[]) {
      listeners--;
      return Reflect.apply(removeEventListener, this, args);
    };
    const [a, b] = await ends();
    const received = b.recv(1, { signal: given.signal });
    expect(listeners).toBe(1);
    await a.send("x");
    await received;
    expect(listeners).toBe(0);
    a.close();
    b.close();
  });
});

describe("timeouts", () => {
  test("are the socket's, in seconds, for each call", async () => {
    const [a, b] = await ends();
    b.settimeout(0.05);
    const started = performance.now();
    const all = await Promise.all([rejected(b.recv(1)), rejected(b.recv(1))]);
    const took = performance.now() - started;
    expect(all).toEqual(["ETIMEDOUT", "ETIMEDOUT"]);
    expect(took).toBeGreaterThanOrEqual(49);
    expect(took).toBeLessThan(1000);
    await a.sendall("x");
    expect(String(await b.recv(1))).toBe("x");
    a.close();
    b.close();
  });

  test("what is there when a busy loop comes back is given, late as it is", async () => {
    const [a, b] = await ends();
    b.settimeout(0.02);
    const received = b.recv(10);
    await a.sendall("there");
    Bun.sleepSync(60);
    expect(String(await received)).toBe("there");
    a.close();
    b.close();
  });

  test("sendall's is for the whole", async () => {
    const [a, b] = await ends();
    a.settimeout(0.1);
    const sent = rejected(a.sendall(new Uint8Array(50_000_000)));
    const reader = (async () => {
      for (let i = 0; i < 20; i++) {
        await b.recv(1000);
        await Bun.sleep(10);
      }
    })();
    expect(await sent).toBe("ETIMEDOUT");
    await reader;
    a.close();
    b.close();
  });
});

describe("close", () => {
  test("rejects all that waits", async () => {
    const [a, b] = await ends();
    await fill(b);
    const waits = [b.recv(1), b.recv(1), b.send("x"), b.sendall("y")].map(rejected);
    b.close();
    expect(await Promise.all(waits)).toEqual(["ECANCELED", "ECANCELED", "ECANCELED", "ECANCELED"]);
    b.close();
    a.close();
  });

  test("from within what another wait calls", async () => {
    const [a, b] = await ends();
    const [c, d] = await ends();
    const other = rejected(d.recv(1));
    const closing = b.recv(1).then(() => d.close());
    const behind = b.recv(1).then(() => "served", rejected as never);
    await c.sendall("x"); // d is ready too, in the same wake
    await a.sendall("xy");
    await closing;
    expect(["ECANCELED", "no error"]).toContain(await other);
    expect(await behind).toBe("served" as never);
    for (const sock of [a, b, c]) sock.close();
  });

  test("from within a reader of the same socket", async () => {
    const [a, b] = await ends();
    const first = b.recv(1).then(() => b.close());
    const rest = [b.recv(1), b.recv(1)].map((promise) => promise.then(String, (error: root.OSError) => error.code));
    await a.sendall("x");
    await first;
    expect(await Promise.all(rest)).toEqual(["ECANCELED", "ECANCELED"]);
    a.close();
  });

  test("a number that the system gives again is not touched by an old wait", async () => {
    for (let i = 0; i < 200; i++) {
      const [a, b] = await ends();
      const old = rejected(b.recv(10));
      const number = b.fileno();
      const copy = b.dup(); // keeps the old one alive in the system
      b.close();
      const [c, d] = await ends();
      const again = [c, d].find((sock) => sock.fileno() === number);
      const waits = again?.recv(10);
      await a.sendall("old");
      await turn();
      expect(await old).toBe("ECANCELED");
      if (again !== undefined) {
        await (again === c ? d : c).sendall("new");
        expect(String(await waits)).toBe("new");
      }
      expect(String(await copy.recv(10))).toBe("old");
      for (const sock of [a, copy, c, d]) sock.close();
    }
  });

  test("a descriptor that was closed behind its socket's back does no harm", async () => {
    const [a, b] = await ends();
    await freshTurn();
    const waits = rejected(b.recv(1));
    root.close(b.fileno());
    a.close();
    await turn();
    expect(() => b.close()).toThrow();
    // Windows tells that it is none any more, the others forget it.
    expect(isWindows ? ["EBADF", "ECANCELED"] : ["ECANCELED"]).toContain(await waits);
  });
});

needs("Unix datagrams", hasUnixDatagrams && isLinux)(
  "a receiver that is full is asked again, but not all the time",
  async () => {
    const [a, b] = socketpair(root.AF_UNIX, SOCK_DGRAM);
    a.settimeout(0);
    let sent = 0;
    while ((await rejected(a.send(new Uint8Array(100)))) === "no error") sent++;
    a.settimeout(null);
    const waits = a.send("last");
    const before = process.cpuUsage();
    await Bun.sleep(300);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(Math.min(200 * slowness, 280)); // of 300 ms
    for (let i = 0; i < sent; i++) await b.recv(100);
    expect(await waits).toBe(4);
    expect(String(await b.recv(100))).toBe("last");
    a.close();
    b.close();
  },
);

/**
 * What the poller tells of each time, and the call does not confirm; whether the system has it, how to have it, and what
 * waits then.
 */
const vain: [name: string, have: boolean, begin: () => Promise<[waits: Promise<unknown>, ...socks: Socket[]]>][] = [
  [
    "a receiver that is full, by its address",
    isLinux,
    async () => {
      const a = new Socket(root.AF_UNIX, SOCK_DGRAM);
      const b = new Socket(root.AF_UNIX, SOCK_DGRAM);
      const name = Buffer.from(`\0full-${process.pid}`);
      b.bind(name);
      a.settimeout(0);
      while ((await rejected(a.sendto("x", name))) === "no error");
      a.settimeout(null);
      return [a.sendto("x", name), a, b];
    },
  ],
  [
    "a connection that has ended, whose error queue is waited for",
    isLinux,
    async () => {
      const [a, b] = await tcp();
      const waits = a.recvmsg(1, 0, root.MSG_ERRQUEUE);
      a.shutdown(root.SHUT_WR);
      b.close();
      return [waits, a];
    },
  ],
  [
    "an error queue that nobody reads, while a send waits",
    hasLinuxOptions,
    async () => {
      const [a, b] = await tcp();
      const { SOF_TIMESTAMPING_TX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE } = root;
      a.setsockopt(root.SOL_SOCKET, root.SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
      while ((await fill(a)) > 0) await Bun.sleep(20); // the receiver makes more room meanwhile
      return [a.send("x"), a, b];
    },
  ],
];
for (const [name, have, begin] of vain) {
  needs("Linux's error queue, its times and abstract addresses", have)(`takes no processor: ${name}`, async () => {
    const [waits, ...socks] = await begin();
    let isOver = false;
    const ended = rejected(waits).finally(() => (isOver = true));
    await Bun.sleep(100);
    const before = process.cpuUsage();
    await Bun.sleep(500);
    const { user, system } = process.cpuUsage(before);
    expect(isOver).toBe(false);
    expect((user + system) / 1000).toBeLessThan(Math.min(100 * slowness, 400)); // of 500 ms; each try is work in an emulator
    for (const sock of socks) sock.close();
    expect(await ended).toBe("ECANCELED");
  });
}

test("a burst leaves the event loop its turns", async () => {
  /** How late timers are, in milliseconds: half of them are later. */
  const lag = async (): Promise<number> => {
    const lags: number[] = [];
    for (let i = 0; i < 100; i++) {
      const due = performance.now() + 2;
      await Bun.sleep(2);
      lags.push(performance.now() - due);
    }
    return lags.sort((x, y) => x - y)[50]!;
  };
  const idle = await lag(); // other processes have their share of the machine
  using a = new Socket(AF_INET, SOCK_DGRAM);
  a.bind(["127.0.0.1", 0]);
  const { signal, abort } = (() => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: () => controller.abort() };
  })();
  // It sends to itself as fast as it receives: nothing is ever to be waited for.
  const busy = (async () => {
    let count = 0;
    for (; !signal.aborted; count++) {
      await a.sendto("x", a.getsockname());
      await a.recv(10);
    }
    return count;
  })();
  const busyLag = await lag();
  abort();
  expect(await busy).toBeGreaterThan(1000);
  expect(busyLag).toBeLessThan(LATE + 3 * Math.max(idle, 0) * slowness);
});
