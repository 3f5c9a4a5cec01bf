/**
 * What may come behind a receive of TCP's that gave less than was asked for. Where the poller tells of whatever comes, the
 * next receive does not ask the system before it waits: nothing may be missed.
 */
import { describe, expect, test } from "bun:test";
import * as root from "../../src/index.ts";
import {
  IPPROTO_TCP,
  MSG_DONTWAIT,
  MSG_OOB,
  MSG_PEEK,
  SHUT_RD,
  SHUT_WR,
  SO_LINGER,
  SOL_SOCKET,
  TCP_ULP,
  Socket,
  SO_OOBINLINE,
  SO_RCVLOWAT,
} from "../../src/promises.ts";
import { isLinux, isWindows, needs, resetting, slowness, tellsResets } from "../help.ts";
import { fill, rejected, tcp, turn } from "./help.ts";

/** A receiver that a wait has armed and a short receive left empty, in the turn in which the loop asks again; and its peer. */
async function cutShort(): Promise<[peer: root.Socket<"AF_INET">, sock: Socket<"AF_INET">]> {
  const [a, sock] = await tcp();
  const peer = new root.Socket<"AF_INET">({ fileno: a.detach() });
  for (let i = 0; i < 2; i++) {
    const received = sock.recv(100);
    await turn();
    peer.send("short");
    expect(String(await received)).toBe("short");
  }
  return [peer, sock];
}

/** The keys of TLS 1.2 with AES-GCM for 128 bits, as in linux/tls.h: the same at both ends. */
const SOL_TLS = 282;
const [TLS_TX, TLS_RX] = [1, 2];
const keys = new Uint8Array(40);
new Uint16Array(keys.buffer).set([0x0303, 51]);

const hasTls = await (async (): Promise<boolean> => {
  if (TCP_ULP === undefined) return false;
  const [a, b] = await tcp();
  try {
    a.setsockopt(IPPROTO_TCP, TCP_ULP, "tls");
    a.setsockopt(SOL_TLS, TLS_TX, keys);
    return true;
  } catch {
    return false;
  } finally {
    a.close();
    b.close();
  }
})();

const told = tellsResets();
const urgent = needs("urgent data as Linux has it", isLinux);

describe("behind a receive that was cut short", () => {
  test("data, by each kind of receive", async () => {
    const [peer, sock] = await cutShort();
    const into = new Uint8Array(100);
    const receives: (() => Promise<number>)[] = [
      async () => (await sock.recv(100)).length,
      () => sock.recvInto(into),
      () => sock.recvInto(into, 50),
      async () => (await sock.recvfrom(100))[0].length,
      async () => (await sock.recvfromInto(into))[0],
      async () => (await sock.recvmsg(100))[0].length,
      async () => (await sock.recvmsgInto([into]))[0],
      async () => (await sock.recv(100, 0)).length,
    ];
    for (const receive of receives) {
      for (const other of receives) {
        for (const isThere of [true, false]) {
          // The one is cut short, and for the other the data is there before, or comes later.
          peer.send("abc");
          expect(await receive()).toBe(3);
          if (isThere) peer.send("defg");
          const second = other();
          if (!isThere) peer.send("defg");
          expect(await second).toBe(4);
        }
      }
    }
    peer.close();
    sock.close();
  });

  for (const when of ["with the data", "before the next receive", "while it waits"]) {
    test(`the end, ${when}`, async () => {
      const [peer, sock] = await cutShort();
      const first = sock.recv(100);
      peer.send("last");
      if (when === "with the data") peer.shutdown(SHUT_WR);
      expect(String(await first)).toBe("last");
      if (when === "before the next receive") peer.shutdown(SHUT_WR);
      const second = sock.recv(100);
      if (when === "while it waits") peer.shutdown(SHUT_WR);
      expect(await second).toBeEmpty();
      expect(await sock.recv(100)).toBeEmpty();
      peer.close();
      sock.close();
    });

    needs("reset that is told", told)(`a reset, ${when}`, async () => {
      const [peer, sock] = await cutShort();
      peer.setsockopt(SOL_SOCKET, SO_LINGER, resetting);
      const first = sock.recv(100);
      peer.send("last");
      if (when === "with the data") peer.close();
      const got = await first.then(String, (error: unknown) => (error as root.OSError).code);
      if (when === "before the next receive") peer.close();
      const second = rejected(sock.recv(100));
      if (when === "while it waits") peer.close();
      // Windows forgets the data.
      expect(isWindows && when === "with the data" ? ["last", "ECONNRESET"] : ["last"]).toContain(got);
      expect(await second).toBe("ECONNRESET");
      sock.close();
    });

    // Windows wakes nobody then.
    const wakes = !isWindows || when !== "while it waits";
    needs("wake by a shutdown of this side's", wakes)(`this side's own end, ${when}`, async () => {
      const [peer, sock] = await cutShort();
      if (when === "with the data") sock.shutdown(SHUT_RD);
      else if (when === "before the next receive") {
        await turn();
        sock.shutdown(SHUT_RD);
      }
      const received = sock.recv(100).catch((error: unknown) => (error as root.OSError).code);
      if (when === "while it waits") sock.shutdown(SHUT_RD);
      expect(isWindows ? ["ESHUTDOWN", ""] : [""]).toContain(String(await received));
      peer.close();
      sock.close();
    });

    urgent(`urgent data, ${when}`, async () => {
      const [peer, sock] = await cutShort();
      const first = sock.recv(100);
      peer.send("before");
      if (when === "with the data") peer.send("!", MSG_OOB);
      expect(String(await first)).toBe("before");
      if (when === "before the next receive") peer.send("!", MSG_OOB);
      // It has to be taken before what is behind it.
      if (when !== "while it waits") expect(String(await sock.recv(100, MSG_OOB))).toBe("!");
      const second = sock.recv(100);
      if (when === "while it waits") peer.send("!", MSG_OOB);
      peer.send("behind");
      expect(String(await second)).toBe("behind");
      peer.send("more");
      expect(String(await sock.recv(100))).toBe("more");
      peer.close();
      sock.close();
    });
  }

  urgent("urgent data among the other: the mark cuts a receive short, and the rest comes", async () => {
    const [peer, sock] = await cutShort();
    sock.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1);
    for (let i = 0; i < 3; i++) {
      const first = sock.recv(100);
      peer.send("ab");
      peer.send("!", MSG_OOB);
      peer.send("cd");
      let got = String(await first);
      while (got.length < 5) got += String(await sock.recv(100));
      expect(got).toBe("ab!cd");
    }
    peer.close();
    sock.close();
  });

  urgent("the mark of urgent data that was taken before it was told", async () => {
    const [peer, sock] = await cutShort();
    for (let i = 0; i < 3; i++) {
      peer.send("ab");
      peer.send("!", MSG_OOB);
      peer.send("cd");
      expect(String(await sock.recv(1, MSG_OOB))).toBe("!");
      expect(String(await sock.recv(100))).toBe("ab"); // cut short by the mark
      expect(String(await sock.recv(100))).toBe("cd");
    }
    peer.close();
    sock.close();
  });

  urgent("urgent data alone, that becomes data like any other", async () => {
    const [peer, sock] = await cutShort();
    peer.send("!", MSG_OOB);
    await Bun.sleep(20 * slowness); // told while nobody waits
    sock.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1);
    await turn();
    expect(String(await sock.recv(100))).toBe("!");
    peer.close();
    sock.close();
  });

  urgent("urgent data that nobody takes costs no time, while others receive and send", async () => {
    const [peer, sock] = await cutShort();
    const received = sock.recv(100);
    await fill(sock);
    const sent = rejected(sock.sendall("more"));
    peer.send("!", MSG_OOB);
    await Bun.sleep(100 * slowness);
    const before = process.cpuUsage();
    await Bun.sleep(500);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(Math.min(100 * slowness, 400)); // of 500 ms
    peer.send("data");
    expect(String(await received)).toBe("data");
    sock.close();
    expect(await sent).toBe("ECANCELED");
    peer.close();
  });

  test("calls that need no data, and those that are wrong", async () => {
    const [peer, sock] = await cutShort();
    const begin = async (): Promise<void> => {
      const received = sock.recv(100);
      peer.send("short");
      expect(String(await received)).toBe("short");
    };
    await begin();
    expect(await sock.recv(0)).toBeEmpty();
    await begin();
    expect(await sock.recvInto(new Uint8Array(0))).toBe(0);
    for (const wrong of [-1, 0.5, NaN, 2 ** 40, "1", null, new Uint8Array(1)]) {
      await begin();
      await expect(sock.recv(wrong as number)).rejects.toThrow(/^bufsize/);
      if (wrong === -1) continue; // all bits
      await begin();
      await expect(sock.recv(1, wrong as number)).rejects.toThrow(/^flags/);
    }
    for (const wrong of [1, "1", null, new ArrayBuffer(1), structuredClone]) {
      await begin();
      await expect(sock.recvInto(wrong as never)).rejects.toThrow(/^buffer/);
    }
    const detached = new Uint8Array(8);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    await begin();
    await expect(sock.recvInto(detached)).rejects.toThrow(/^buffer/);
    await begin();
    expect(await rejected(sock.accept())).toBe("EINVAL");
    await begin();
    sock.close();
    expect(await rejected(sock.recv(100))).toBe("EBADF");
    await expect(sock.recv(-1)).rejects.toThrow(/^bufsize/);
    peer.close();
  });

  needs("SO_RCVLOWAT as Linux has it", isLinux)(
    "less than SO_RCVLOWAT, which is not told, is received at once",
    async () => {
      const [peer, sock] = await cutShort();
      sock.setsockopt(SOL_SOCKET, SO_RCVLOWAT, 10);
      for (let i = 0; i < 3; i++) {
        const first = sock.recv(100);
        peer.send("ten bytes!");
        expect(String(await first)).toBe("ten bytes!");
        peer.send("few");
        expect(String(await sock.recv(100))).toBe("few");
      }
      peer.close();
      sock.close();
    },
  );

  test("a call that must not wait sees what has come since", async () => {
    const [peer, sock] = await cutShort();
    const until = performance.now() + 5000 * slowness;
    const soon = async (receive: () => Promise<Buffer>): Promise<string> => {
      for (;;) {
        try {
          return String(await receive());
        } catch (error) {
          // The loop does not go round in between: only the system itself can tell.
          if (performance.now() > until || (error as root.OSError).code !== "EAGAIN") throw error;
        }
      }
    };
    if (MSG_DONTWAIT !== undefined) {
      expect(await rejected(sock.recv(100, MSG_DONTWAIT))).toBe("EAGAIN");
      peer.send("at once");
      expect(await soon(() => sock.recv(100, MSG_DONTWAIT))).toBe("at once");
    }
    const received = sock.recv(100);
    peer.send("short");
    expect(String(await received)).toBe("short");
    sock.settimeout(0);
    expect(await rejected(sock.recv(100))).toBe("EAGAIN");
    peer.send("now");
    expect(await soon(() => sock.recv(100))).toBe("now");
    peer.close();
    sock.close();
  });

  test("a look at the data, which leaves it", async () => {
    const [peer, sock] = await cutShort();
    const looked = sock.recv(100, MSG_PEEK);
    peer.send("seen");
    expect(String(await looked)).toBe("seen");
    expect(String(await sock.recv(100, MSG_PEEK))).toBe("seen");
    expect(String(await sock.recv(100))).toBe("seen");
    peer.close();
    sock.close();
  });

  test("what a line left, and what a line that was given up left", async () => {
    const [peer, sock] = await cutShort();
    const lines = sock.lines();
    const first = lines.next();
    peer.send("one\ntwo\nth");
    expect((await first).value).toBe("one");
    expect((await lines.next()).value).toBe("two");
    expect(String(await sock.recv(100))).toBe("th");

    const given = new AbortController();
    const line = sock.lines({ signal: given.signal }).next();
    peer.send("half");
    await Bun.sleep(20 * slowness);
    const later = sock.recv(100);
    given.abort(new Error("mine"));
    await expect(line).rejects.toThrow("mine");
    expect(String(await later)).toBe("half");
    peer.send("whole\n");
    expect((await sock.lines().next()).value).toBe("whole");
    const last = sock.recv(100);
    peer.send("end");
    expect(String(await last)).toBe("end");
    peer.close();
    sock.close();
  });

  test("a timeout, and then the data", async () => {
    const [peer, sock] = await cutShort();
    sock.settimeout(0.02);
    expect(await rejected(sock.recv(100))).toBe("ETIMEDOUT");
    peer.send("late");
    sock.settimeout(null);
    expect(String(await sock.recv(100))).toBe("late");
    peer.close();
    sock.close();
  });

  test("a receive that nobody waits for is told once, and the data is there for the next", async () => {
    const [peer, sock] = await cutShort();
    for (let i = 0; i < 6; i++) {
      peer.send("x");
      await turn();
      await Bun.sleep(1); // told while nobody waits: the poller may be told to forget the socket
    }
    let got = "";
    while (got.length < 6) got += String(await sock.recv(100));
    expect(got).toBe("xxxxxx");
    const next = sock.recv(100);
    peer.send("y");
    expect(String(await next)).toBe("y");
    peer.close();
    sock.close();
  });

  test("random sizes in both directions: every byte comes, in its order, and so does the end", async () => {
    for (let round = 0; round < 20; round++) {
      const [a, b] = await tcp();
      const total = 300_000;
      const data = Buffer.from(Array.from({ length: total }, (_, i) => (i * 7 + (i >> 8)) & 255));
      const sending = (async () => {
        for (let at = 0; at < total;) {
          const n = 1 + Math.floor(Math.random() ** 4 * 20_000);
          await a.sendall(data.subarray(at, at + n));
          at += n;
          if (Math.random() < 0.2) await turn();
        }
        a.shutdown(SHUT_WR);
      })();
      const parts: Buffer[] = [];
      const into = Buffer.alloc(30_000);
      for (;;) {
        const size = 1 + Math.floor(Math.random() ** 2 * 30_000);
        let part: Buffer;
        if (Math.random() < 0.5) part = await b.recv(size);
        else part = Buffer.from(into.subarray(0, await b.recvInto(into, Math.random() < 0.5 ? undefined : size)));
        if (part.length === 0) break;
        parts.push(part);
      }
      await sending;
      expect(Buffer.concat(parts).equals(data)).toBe(true);
      a.close();
      b.close();
    }
  });

  needs("TLS of the kernel's", hasTls)("records of the kernel's TLS, which end each receive", async () => {
    const [peer, sock] = await cutShort();
    for (const end of [peer, sock]) end.setsockopt(IPPROTO_TCP, TCP_ULP, "tls");
    peer.setsockopt(SOL_TLS, TLS_TX, keys);
    sock.setsockopt(SOL_TLS, TLS_RX, keys);
    for (let i = 0; i < 20; i++) {
      const first = sock.recv(100);
      for (const text of ["one", "two", "three"]) peer.send(text);
      let got = String(await first);
      while (got.length < 11) got += String(await sock.recv(100));
      expect(got).toBe("onetwothree");
    }
    peer.close();
    sock.close();
  });
});
