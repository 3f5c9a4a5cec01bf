/** Iteration and Web streams. */
import { describe, expect, test } from "bun:test";
import * as root from "../../src/index.ts";
import {
  AF_INET,
  AF_UNIX,
  createConnection,
  createServer,
  MSG_ERRQUEUE,
  MSG_OOB,
  MSG_PEEK,
  recvFds,
  SHUT_WR,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  Socket,
  socketpair,
} from "../../src/promises.ts";
import { MessageBatch } from "../../src/packets.ts";
import { hasUnix, needs, passesDescriptors, works } from "../help.ts";
import { rejected, rejection, take, tcp, turn } from "./help.ts";

describe("for await", () => {
  test("what was begun and is left is not begun any more", async () => {
    const [a, b] = await tcp();
    for (const items of [b.chunks(), b.lines(), b[Symbol.asyncIterator]()]) {
      const next = items.next();
      expect(await items.return!()).toEqual({ done: true, value: undefined });
      expect(await next).toEqual({ done: true, value: undefined } as never);
    }
    await a.sendall("for others");
    expect(String(await b.recv(100))).toBe("for others");
    const line = b.lines().next();
    await a.sendall("half of ");
    await turn();
    const lines = b.lines();
    const waits = lines.next();
    await lines.return!();
    expect((await waits).done).toBe(true);
    await a.sendall("a line\n");
    expect((await line).value).toBe("half of a line");
    a.close();
    b.close();
  });

  const pairs = (type: number): boolean =>
    works(() => {
      const [a, b] = socketpair(AF_UNIX, type);
      b.close();
      return a;
    });
  needs("SOCK_SEQPACKET of AF_UNIX", hasUnix && pairs(SOCK_SEQPACKET))(
    "records end where the connection does",
    async () => {
      const [a, b] = socketpair(AF_UNIX, SOCK_SEQPACKET);
      for (const text of ["one", "two"]) await a.send(text);
      a.close();
      const got: string[] = [];
      for await (const chunk of b) got.push(String(chunk));
      expect(got).toEqual(["one", "two"]);
      expect(await new Response(b.readable).text()).toBe("");
      b.close();
    },
  );

  needs("SOCK_DGRAM of AF_UNIX", hasUnix && pairs(SOCK_DGRAM))("empty datagrams of nobody are no end", async () => {
    const [a, b] = socketpair(AF_UNIX, SOCK_DGRAM);
    for (const text of ["one", "", "two"]) await a.send(text);
    const reader = b.readable.getReader();
    const got = [await reader.read(), await reader.read()].map(({ value }) => Buffer.from(value!).toString());
    expect(got).toEqual(["one", "two"]);
    a.close();
    b.close();
  });

  needs("descriptors that are passed", passesDescriptors)(
    "what lines left comes first, by whichever call",
    async () => {
      const [a, b] = socketpair();
      await a.sendall("line\nleft");
      expect((await b.lines().next()).value).toBe("line");
      await a.sendall(", and later");
      expect(() => b.detach()).toThrow("detach: `lines` left 4 bytes");
      const batch = new MessageBatch(b, { capacity: 1 });
      await expect(b.recvBatch(batch)).rejects.toThrow("recvBatch: `lines` left 4 bytes");
      expect(String((await recvFds(b, 100, 1))[0])).toBe("left");
      expect(String((await recvFds(b, 100, 1))[0])).toBe(", and later");
      a.close();
      b.close();
    },
  );

  test("connections of a server, until it is closed", async () => {
    const server = createServer(["127.0.0.1", 0]);
    const clients = await Promise.all([1, 2, 3].map(() => createConnection(server.getsockname())));
    const peers: unknown[] = [];
    for await (const [conn, address] of server) {
      peers.push(address);
      conn.close();
      if (peers.length === 3) server.close();
    }
    expect(peers.length).toBe(3);
    for (const client of clients) client.close();
  });

  test("leaving the loop leaves the server, and who comes next", async () => {
    using server = createServer(["127.0.0.1", 0]);
    using first = await createConnection(server.getsockname());
    using second = await createConnection(server.getsockname());
    for await (const [conn] of server) {
      conn.close();
      break;
    }
    const [conn, address] = await server.accept();
    expect(address).toEqual(second.getsockname() as never);
    conn.close();
    first.close();
  });

  test("data of a stream, until it ends", async () => {
    const [a, b] = await tcp();
    const sent = (async () => {
      for (let i = 0; i < 100; i++) await a.sendall(new Uint8Array(10_000).fill(i));
      a.close();
    })();
    let received = 0;
    for await (const chunk of b) received += chunk.length;
    await sent;
    expect(received).toBe(1_000_000);
    b.close();
  });

  test("leaving the loop, by any way, leaves what comes next for others", async () => {
    const [a, b] = await tcp();
    await a.sendall("one");
    for await (const chunk of b) {
      expect(String(chunk)).toBe("one");
      break;
    }
    await a.sendall("two");
    await expect(
      (async () => {
        for await (const _ of b.chunks({ size: 2 })) throw new Error("mine");
      })(),
    ).rejects.toThrow("mine");
    expect(String(await b.recv(10))).toBe("o");
    b.settimeout(0.01);
    expect(
      await rejected(
        (async () => {
          for await (const _ of b);
        })(),
      ),
    ).toBe("ETIMEDOUT");
    b.settimeout(null);
    await a.sendall("three");
    expect(String(await b.recv(10))).toBe("three");
    a.close();
    b.close();
  });

  test("datagrams, an empty one among them", async () => {
    using a = new Socket(AF_INET, SOCK_DGRAM);
    a.bind(["127.0.0.1", 0]);
    using b = new Socket(AF_INET, SOCK_DGRAM);
    for (const data of ["x", "", "y"]) await b.sendto(data, a.getsockname());
    const got: string[] = [];
    for await (const [data, address] of a.datagrams()) {
      got.push(String(data));
      expect(address?.[0]).toBe("127.0.0.1");
      if (got.length === 3) break;
    }
    expect(got).toEqual(["x", "", "y"]);
    await b.sendto("later", a.getsockname());
    expect(String(await a.recv(10))).toBe("later");
    expect(() => a.datagrams({ size: 0 })).toThrow(RangeError);
    expect(() => a.datagrams({ bufsize: 1 } as never)).toThrow(TypeError);
  });

  test("with a signal", async () => {
    const [a, b] = await tcp();
    const given = new AbortController();
    setTimeout(() => given.abort(), 10);
    const loop = (async () => {
      for await (const _ of b.chunks({ signal: given.signal }));
    })();
    expect(await rejection(loop)).toBe("AbortError");
    a.close();
    b.close();
  });
});

describe("lines", () => {
  test("what they left is given in memory of its own", async () => {
    const [a, b] = await tcp();
    await a.sendall("line\nHEAD and a body");
    expect((await b.lines().next()).value).toBe("line");
    const peeked = await b.recv(4, MSG_PEEK);
    peeked.fill("#");
    const head = await b.recv(4);
    structuredClone(head.buffer, { transfer: [head.buffer as ArrayBuffer] });
    const second = await b.recv(4);
    const { value } = await b.readable.getReader().read(); // which takes the memory
    expect([String(second), Buffer.from(value!).toString()]).toEqual([" and", " a body"]);
    expect(String(second)).toBe(" and");
    a.close();
    b.close();
  });

  test("detach tells of a line that goes on", async () => {
    const [a, b] = await tcp();
    const line = b.lines().next();
    await a.sendall("begun");
    await Bun.sleep(20);
    expect(() => b.detach()).toThrow("detach: `lines` left 5 bytes");
    await a.sendall("\nrest");
    expect((await line).value).toBe("begun");
    expect(String(await b.recv(10))).toBe("rest");
    const copy = new Socket({ fileno: b.detach() });
    copy.close();
    a.close();
  });

  test("one that its time ends with leaves the rest to who waits behind it", async () => {
    const [a, b] = await tcp();
    const sender = new root.Socket({ fileno: root.dup(a.fileno()) });
    for (let tries = 0; tries < 5; tries++) {
      b.settimeout(0.02);
      const line = b.lines().next();
      b.settimeout(null);
      const rest = b.recv(100);
      await Bun.sleep(5);
      for (const end = performance.now() + 40; performance.now() < end;);
      sender.sendall("line\nrest\n"); // there when the loop, which was busy, sees that the time is up
      expect([(await line).value, String(await rest)]).toEqual(["line", "rest\n"]);
    }
    for (const sock of [sender, a, b]) sock.close();
  });

  test("the limit is for the text: an end of two bytes is none of it", async () => {
    const [a, b] = await tcp();
    for (const parts of [["abcd\r\n"], ["abcd\r", "\n"], ["abcd", "\r\n"], ["abcd", "\r", "\n"], ["abcd\n"]]) {
      const line = b.lines({ limit: 4 }).next();
      for (const part of parts) {
        await a.sendall(part);
        await Bun.sleep(5);
      }
      expect((await line).value).toBe("abcd");
    }
    for (const text of ["abcde\n", "abcde\r\n", "abcd\r\r\n", "abcd\rx"]) {
      await a.sendall(text);
      await expect(b.lines({ limit: 4 }).next()).rejects.toThrow("longer than the limit of 4 bytes");
      expect(String(await b.recv(100))).toBe(text);
    }
    a.close();
    b.close();
  });

  test("of all kinds", async () => {
    const [a, b] = await tcp();
    await a.sendall("one\ntwo\r\n\n\u00e9\u4e2d\nlast");
    a.shutdown(SHUT_WR);
    const lines: string[] = [];
    for await (const line of b.lines()) lines.push(line);
    expect(lines).toEqual(["one", "two", "", "\u00e9\u4e2d", "last"]);
    a.close();
    b.close();
  });

  test("that come in pieces, cut within a character", async () => {
    const [a, b] = await tcp();
    const text = Buffer.from("gr\u00fc\u00dfe\r\nzwei\n");
    const sending = (async () => {
      for (const byte of text) {
        await a.send(Uint8Array.of(byte));
        await turn();
      }
      a.close();
    })();
    const lines: string[] = [];
    for await (const line of b.lines()) lines.push(line);
    await sending;
    expect(lines).toEqual(["gr\u00fc\u00dfe", "zwei"]);
    b.close();
  });

  test("what stands behind the last is left for every kind of receive", async () => {
    const [a, b] = await tcp();
    await a.sendall("head\nabcdefghij\nend");
    for await (const line of b.lines()) {
      expect(line).toBe("head");
      break;
    }
    expect(String(await b.recv(2))).toBe("ab");
    const into = Buffer.alloc(2);
    expect([await b.recvInto(into), String(into)]).toEqual([2, "cd"]);
    expect(String((await b.recvfrom(1))[0])).toBe("e");
    expect([(await b.recvfromInto(into, 1))[0], into[0]]).toEqual([1, 102]);
    expect(String((await b.recvmsg(1))[0])).toBe("g");
    expect([(await b.recvmsgInto([into.subarray(0, 1), into.subarray(1)]))[0], String(into)]).toEqual([2, "hi"]);
    const { value } = await b.lines().next();
    expect(value).toBe("j");
    expect(String(await b.recv(100))).toBe("end");
    a.close();
    b.close();
  });

  test("a line that is too long, or whose end does not come, is not lost", async () => {
    const [a, b] = await tcp();
    await a.sendall("x".repeat(100));
    expect(await rejection(b.lines({ limit: 50 }).next())).toBe("RangeError");
    expect((await b.recv(200)).length).toBe(100);
    await a.sendall("half");
    b.settimeout(0.02);
    expect(await rejected(b.lines().next())).toBe("ETIMEDOUT");
    await a.sendall(" whole\n");
    expect((await b.lines().next()).value).toBe("half whole");
    a.close();
    b.close();
  });

  test("what stands behind a line comes to who waits already, and lines are whole", async () => {
    const [a, b] = await tcp();
    const lines = b.lines();
    const first = [lines.next(), lines.next(), b.recv(10), b.lines().next()];
    await turn();
    await a.sendall("hel");
    await turn();
    await a.sendall("lo\nworld\n");
    expect([await first[0], await first[1]]).toEqual([
      { done: false, value: "hello" },
      { done: false, value: "world" },
    ]);
    await a.sendall("rest\nx");
    expect(String(await first[2])).toBe("rest\nx");
    // What was received of a line that is given up goes to the next, too.
    await turn();
    await a.sendall("half");
    await turn();
    const abort = new AbortController();
    const [given, next] = [b.lines({ signal: abort.signal }).next(), b.recv(10)];
    await a.sendall("\nof");
    expect(await first[3]).toEqual({ done: false, value: "half" });
    await turn();
    abort.abort();
    expect(await rejection(given)).toBe("AbortError");
    expect(String(await next)).toBe("of");
    a.close();
    b.close();
  });

  test("what is left can be looked at, and is in no other queue", async () => {
    const [a, b] = await tcp();
    await a.sendall("head\nrest");
    await b.lines().next();
    const into = Buffer.alloc(2);
    expect(String(await b.recv(10, MSG_PEEK))).toBe("rest");
    expect([await b.recvInto(into, 0, MSG_PEEK), String(into)]).toEqual([2, "re"]);
    expect(String((await b.recvmsg(10, 0, MSG_PEEK))[0])).toBe("rest");
    b.settimeout(0);
    expect(await rejected(b.recv(10, MSG_OOB))).not.toBe("no error");
    if (MSG_ERRQUEUE !== undefined) expect(await rejected(b.recvmsg(10, 0, MSG_ERRQUEUE))).toBe("EAGAIN");
    expect(await rejection(b.recv(10, "none" as never))).toBe("TypeError");
    expect(String(await b.recv(10))).toBe("rest");
    a.close();
    b.close();
  });
});

describe("Web streams", () => {
  test("an empty datagram is not the end", async () => {
    using a = new Socket(AF_INET, SOCK_DGRAM);
    using b = new Socket(AF_INET, SOCK_DGRAM);
    b.bind(["127.0.0.1", 0]);
    const by = [() => b.readable.getReader(), () => b.readable.getReader({ mode: "byob" })] as const;
    for (const [i, reader] of by.entries()) {
      for (const text of ["", `${i}`]) await a.sendto(text, b.getsockname());
      const readable = reader();
      const { value, done } = await (readable as ReadableStreamBYOBReader).read(new Uint8Array(10));
      expect([String(Buffer.from(value!)), done]).toEqual([`${i}`, false]);
      readable.releaseLock();
    }
  });

  test("a response's body, by default and by BYOB readers", async () => {
    const [a, b] = await tcp();
    const sent = a.sendall("x".repeat(300_000)).then(() => a.close());
    expect((await new Response(b.readable).text()).length).toBe(300_000);
    await sent;
    b.close();

    const [c, d] = await tcp();
    await c.sendall("hello");
    const reader = d.readable.getReader({ mode: "byob" });
    const first = await reader.read(new Uint8Array(3));
    const second = await reader.read(new Uint8Array(10));
    expect([String(Buffer.from(first.value!)), String(Buffer.from(second.value!))]).toEqual(["hel", "lo"]);
    c.close();
    expect((await reader.read(new Uint8Array(1))).done).toBe(true);
    d.close();
  });

  test("it receives nothing that nobody reads", async () => {
    const [a, b] = await tcp();
    const stream = b.readable;
    await a.sendall("mine");
    await Bun.sleep(5);
    expect(String(await b.recv(10))).toBe("mine");
    await stream.cancel();
    await a.sendall("more");
    expect(String(await b.recv(10))).toBe("more");
    a.close();
    b.close();
  });

  test("cancelled in the middle of a wait, it leaves the socket and the data", async () => {
    const [a, b] = await tcp();
    const reader = b.readable.getReader();
    const read = reader.read();
    await turn();
    await reader.cancel();
    expect((await read).done).toBe(true);
    await a.sendall("kept");
    expect(String(await b.recv(10))).toBe("kept");
    a.close();
    b.close();
  });

  test("after one that was cancelled there is a new one", async () => {
    const [a, b] = await tcp();
    await b.readable.cancel();
    await a.sendall("again");
    a.close();
    expect(await new Response(b.readable).text()).toBe("again");
    b.close();
  });

  test("a BYOB reader that comes while another one waits sees the end", async () => {
    const [a, b] = await tcp();
    const { readable } = b;
    const first = readable.getReader();
    const read = first.read().catch((error: Error) => error.name);
    await turn();
    first.releaseLock();
    expect(await read).toBe("TypeError");
    const second = readable.getReader({ mode: "byob" }).read(new Uint8Array(10));
    await turn();
    a.close();
    expect((await second).done).toBe(true);
    b.close();
  });

  test("closed, it ends the connection behind what others send", async () => {
    const [a, b] = await tcp();
    const sent = a.sendall(new Uint8Array(10_000_000));
    const closed = a.writable.close();
    let received = 0;
    for await (const chunk of b) received += chunk.length;
    expect(received).toBe(10_000_000);
    await Promise.all([sent, closed]);
    a.close();
    b.close();
  });

  test("pipeTo and pipeThrough, in both directions", async () => {
    const [a, b] = await tcp();
    const echo = b.readable.pipeTo(b.writable);
    const text = "line\n".repeat(100_000);
    const sent = new Blob([text]).stream().pipeTo(a.writable);
    const [received] = await Promise.all([new Response(a.readable).text(), sent, echo]);
    expect(received === text).toBe(true);
    a.close();
    b.close();
  });

  test("a write waits until the system has it: memory does not grow", async () => {
    const [a, b] = await tcp();
    const writer = a.writable.getWriter();
    let written = 0;
    let isOver = false;
    const writing = (async () => {
      const chunk = new Uint8Array(1 << 20);
      while (!isOver) {
        await writer.write(chunk);
        written += chunk.length;
      }
    })();
    await Bun.sleep(100);
    const before = written;
    await Bun.sleep(100);
    expect(written).toBe(before); // held back
    expect(written).toBeLessThan(32 << 20);
    isOver = true;
    const received = take(b, before + (1 << 20));
    await writing;
    expect((await received).length).toBe(written);
    await writer.close();
    expect((await b.recv(1)).length).toBe(0);
    a.close();
    b.close();
  });

  test("an error of the socket is the stream's", async () => {
    const [a, b] = await tcp();
    const reader = b.readable.getReader();
    const read = reader.read();
    await turn();
    b.close();
    expect(await rejected(read)).toBe("ECANCELED");
    a.close();
  });
});
