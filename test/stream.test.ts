/** Streams: TCP and Unix connections, and what send and receive flags do to them. */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_UNIX,
  BrokenPipeError,
  ConnectionResetError,
  FIONREAD,
  IPPROTO_TCP,
  MSG_DONTWAIT,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SIOCATMARK,
  SO_ERROR,
  SO_LINGER,
  SO_OOBINLINE,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../src/index.ts";
import {
  blockingNeeds,
  codeOf,
  expectTimeout,
  fill,
  needs,
  peer,
  pythonPeer,
  receiveAll,
  test,
  thrown,
} from "./faces.ts";
import {
  bounded,
  hasUnix,
  isLinux,
  isWindows,
  type Net,
  python,
  resetting,
  slowness,
  tellsResets,
  waitsForAll,
} from "./help.ts";

test("TCP carries bytes both ways, and both ends know each other's address", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  expect(await a.send("ping")).toBe(4);
  expect((await b.recv(100)).toString()).toBe("ping");
  await b.sendall(new Uint8Array([1, 2, 3]));
  expect([...(await a.recv(100))]).toEqual([1, 2, 3]);
  expect(a.getpeername()).toEqual(b.getsockname());
  expect(b.getpeername()).toEqual(a.getsockname());
  expect(a.getsockname()[0]).toBe("127.0.0.1");
});

test("what is received is a Buffer of its own, as large as what came", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  await a.sendall("first");
  const first = await b.recv(65536);
  await a.sendall("later");
  const later = await b.recv(65536);
  expect(first.toString()).toBe("first");
  expect(later.toString()).toBe("later");
  expect(first.buffer.byteLength).toBe(5);
  expect(Buffer.isBuffer(first)).toBe(true);
});

const waiting = blockingNeeds("MSG_WAITALL that waits", waitsForAll());
const resets = needs("error for a reset connection", tellsResets());

waiting.each([10, 1000, 1001, 5000, 70_000, 2_000_000])("receives of %p bytes share no memory", async (net, size) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  using sender = peer(
    (net, length) => {
      const sock = net.given[0]!;
      for (const letter of "abc") sock.sendall(letter.repeat(length));
    },
    [size],
    [b],
  );
  bounded(a).settimeout(null);
  const got: Buffer[] = [];
  for (let i = 0; i < 3; i++) got.push(await a.recv(size, MSG_WAITALL));
  for (const [i, letter] of [..."abc"].entries()) {
    expect(got[i]!.equals(Buffer.alloc(size, letter))).toBe(true);
    got[i]!.fill("-");
  }
  await sender.output();
});

test.each(["a string, in UTF-8: ü", new Uint8Array([1, 2]), new DataView(new ArrayBuffer(3)), new ArrayBuffer(4)])(
  "%p can be sent",
  async (net, data) => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    const expected = typeof data === "string" ? Buffer.from(data) : Buffer.alloc(data.byteLength);
    if (data instanceof Uint8Array) expected.set(data);
    expect(await a.send(data)).toBe(expected.length);
    expect(await b.recv(100)).toEqual(expected);
  },
);

test("shared memory and views into the middle of a buffer are sent as they are", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const shared = new SharedArrayBuffer(8);
  new Uint8Array(shared).set([1, 2, 3, 4, 5, 6, 7, 8]);
  await a.sendall(shared);
  await a.sendall(new Uint16Array(shared, 2, 2));
  expect([...(await b.recv(100))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6]);
});

test("nothing sent is nothing received", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  expect(await a.send("")).toBe(0);
  await a.sendall(new Uint8Array(0));
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
  expect((await b.recv(0)).length).toBe(0);
});

test("the end of a stream is empty, again and again", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  a.close();
  expect((await b.recv(10)).length).toBe(0);
  expect((await b.recv(10)).length).toBe(0);
  expect(await b.recvInto(new Uint8Array(4))).toBe(0);
  expect((await b.recvmsg(10))[0].length).toBe(0);
});

test("recvfrom on a stream tells no address", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  await a.sendall("data");
  const [data, address] = await b.recvfrom(10);
  expect(data.toString()).toBe("data");
  expect(address as unknown).toBeNull();
});

waiting("a megabyte and more is received whole where it is there", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  using sender = peer((net) => net.given[0]!.sendall(Buffer.alloc(3_000_000, "abc")), [], [b]);
  bounded(a).settimeout(null);
  const data = await a.recv(3_000_000, MSG_WAITALL);
  expect(data.length).toBe(3_000_000);
  expect(data.equals(Buffer.alloc(3_000_000, "abc"))).toBe(true);
  expect((await a.recv(1)).length).toBe(0);
  await sender.output();
});

test("shutdown of one direction leaves the other open", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  await a.sendall("question");
  a.shutdown(SHUT_WR);
  expect((await receiveAll(b)).toString()).toBe("question");
  await b.sendall("answer");
  b.shutdown(SHUT_RDWR);
  expect((await receiveAll(a)).toString()).toBe("answer");
  expect(await thrown(() => a.send("more"))).toBeInstanceOf(BrokenPipeError);
});

test("shutdown for reading ends what is read", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  a.shutdown(SHUT_RD);
  if (isWindows) return expect(await codeOf(() => a.recv(1))).toBe("ESHUTDOWN");
  expect((await a.recv(1)).length).toBe(0);
  expect(await codeOf(() => b.send("x"))).toBe("EPIPE");
});

test("shutdown of what is not connected is ENOTCONN", async (net) => {
  using sock = new net.Socket(AF_INET, SOCK_STREAM);
  expect(await codeOf(() => sock.shutdown(SHUT_RDWR))).toBe("ENOTCONN");
});

test("writing to a connection that is gone is EPIPE, and no signal kills the process", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  b.close();
  for (const call of [() => a.send("x"), () => a.sendall("x"), () => a.sendmsg(["x", "y"])]) {
    if (isWindows) {
      // TCP learns of it when the first bytes are answered; Windows calls it a reset, or an abort.
      for (let i = 0; i < 100 && (await codeOf(call)).startsWith("nothing"); i++) Bun.sleepSync(1);
      expect(await codeOf(call)).toMatch(/^ECONN(RESET|ABORTED)$/);
      continue;
    }
    const error = await thrown(call);
    expect(error).toBeInstanceOf(BrokenPipeError);
    expect(error.code).toBe("EPIPE");
  }
});

blockingNeeds("SIGPIPE", isLinux)("even where SIGPIPE would kill the process, no call raises it", async () => {
  using fragile = peer(async (net) => {
    const { dlopen } = await import("bun:ffi");
    const musl = `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`;
    for (const name of ["libc.so.6", musl]) {
      try {
        dlopen(name, { signal: { args: ["i32", "ptr"], returns: "ptr" } }).symbols.signal(13, null); // SIG_DFL
        break;
      } catch {
        // The other one, then.
      }
    }
    const [a, b] = net.socketpair();
    b.close();
    const seen = [];
    for (const call of [() => a.send("x"), () => a.sendall("x"), () => a.sendmsg(["x"]), () => a.sendto("x", "")]) {
      try {
        call();
      } catch (error) {
        seen.push((error as import("../src/index.ts").OSError).code);
      }
    }
    console.log(seen.join(" "));
  }, []);
  expect(await fragile.output()).toBe("EPIPE EPIPE EPIPE EISCONN");
});

resets("SO_LINGER of 0 seconds makes close a reset", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  b.setsockopt(SOL_SOCKET, SO_LINGER, resetting);
  b.close();
  const error = await thrown(() => a.recv(10));
  expect(error).toBeInstanceOf(ConnectionResetError);
  expect(error).toMatchObject({ code: "ECONNRESET", syscall: "recv" });
  expect(await codeOf(() => a.send("x"))).toMatch(isWindows ? /^ECONN(RESET|ABORTED)$/ : "EPIPE");
});

resets("closing with unread data resets the connection too, and SO_ERROR tells it once", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  await a.sendall("never read");
  b.close();
  if (isWindows) return expect(await codeOf(() => a.recv(1))).toBe("ECONNRESET"); // and SO_ERROR does not tell
  expect(Bun.inspect(a.getsockopt(SOL_SOCKET, SO_ERROR))).not.toBe("0");
  expect(a.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(0);
});

test("a socket that is not connected cannot send or receive", async (net) => {
  using sock = new net.Socket(AF_INET, SOCK_STREAM);
  expect(await codeOf(() => sock.recv(1))).toBe("ENOTCONN");
  // ECONNRESET is Wine's.
  expect(await codeOf(() => sock.send("x"))).toMatch(
    isLinux ? "EPIPE" : isWindows ? /^(ENOTCONN|ECONNRESET)$/ : "ENOTCONN",
  );
  expect(await codeOf(() => sock.getpeername())).toBe("ENOTCONN");
  if (!hasUnix) return;
  using unix = new net.Socket(AF_UNIX, SOCK_STREAM);
  expect(await codeOf(() => unix.send("x"))).toBe("ENOTCONN");
});

test("MSG_PEEK leaves the data for the next call", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  await a.sendall("peeked");
  expect((await b.recv(3, MSG_PEEK)).toString()).toBe("pee");
  expect(await b.recvInto(new Uint8Array(10), 0, MSG_PEEK)).toBe(6);
  expect((await b.recv(10)).toString()).toBe("peeked");
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1, MSG_PEEK))).toBe("EAGAIN");
});

waiting("MSG_WAITALL waits for all that was asked for, or the end", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  const dribble = async (net: Net) => {
    const sock = net.given[0]!;
    for (const letter of "abcdefghij") {
      await sock.sendall(letter);
      await Bun.sleep(5);
    }
  };
  using sender = peer(dribble, [], [b]);
  bounded(a).settimeout(null);
  expect((await a.recv(4, MSG_WAITALL)).toString()).toBe("abcd");
  const view = new Uint8Array(4);
  expect(await a.recvInto(view, 0, MSG_WAITALL)).toBe(4);
  expect(Buffer.from(view).toString()).toBe("efgh");
  expect((await a.recv(4, MSG_WAITALL)).toString()).toBe("ij");
  await sender.output();
});

needs("MSG_WAITALL as Linux has it", isLinux)(
  "MSG_WAITALL takes what is there where the descriptor is non-blocking, as with a timeout and by promises",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = own.tcp();
    await a.sendall("ab");
    expect((await b.recv(4, MSG_WAITALL)).toString()).toBe("ab");
    const view = Buffer.alloc(4);
    await a.sendall("cd");
    expect([await b.recvInto(view, 0, MSG_WAITALL), view.toString("latin1", 0, 2)]).toEqual([2, "cd"]);
  },
);

needs("MSG_DONTWAIT", MSG_DONTWAIT !== undefined)("MSG_DONTWAIT does not wait, on a blocking socket", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  bounded(a).settimeout(null);
  const started = performance.now();
  expect(await codeOf(() => a.recv(1, MSG_DONTWAIT))).toBe("EAGAIN");
  await fill(b);
  b.setblocking(true);
  expect(await codeOf(() => b.send("x", MSG_DONTWAIT))).toBe("EAGAIN");
  expect(performance.now() - started).toBeLessThan(1000 * slowness);
});

needs("MSG_TRUNC to receive with", isLinux)(
  "MSG_TRUNC on TCP throws data away: it is counted, and never seen",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = own.tcp();
    await a.sendall("SECRET");
    expect((await b.recv(10)).toString()).toBe("SECRET");
    await a.sendall("discarded, and more");
    const thrownAway = await b.recv(9, MSG_TRUNC);
    expect(thrownAway).toEqual(Buffer.alloc(9));
    expect((await b.recv(100)).toString()).toBe(", and more");
    await a.sendall("0123456789");
    expect(await b.recvInto(new Uint8Array(4), 0, MSG_TRUNC)).toBe(4);
    expect((await b.recv(100)).toString()).toBe("456789");
  },
);

needs("buffers that bound what is sent", !isWindows)(
  "a sender with small buffers is told how much was taken",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    a.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096);
    b.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096);
    a.setblocking(false);
    const data = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
    const taken = await a.send(data);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(data.length);
    expect(await codeOf(() => a.send("x".repeat(4096)))).toBe("EAGAIN");
    let got = Buffer.alloc(0);
    while (got.length < taken) got = Buffer.concat([got, await b.recv(1000)]);
    expect(got.equals(data.subarray(0, taken))).toBe(true);
  },
);

test("what does not fit a receive comes with the next one", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  await a.sendall("0123456789");
  expect((await b.recv(4)).toString()).toBe("0123");
  const view = new Uint8Array(8).fill(0xff);
  expect(await b.recvInto(view, 3)).toBe(3);
  expect([...view]).toEqual([...Buffer.from("456"), 0xff, 0xff, 0xff, 0xff, 0xff]);
  expect((await b.recv(100)).toString()).toBe("789");
});

test("sendall sends all through small buffers, to a reader in another process", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  a.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096);
  using reader = peer(
    (net) => {
      const sock = net.given[0]!;
      const hash = new Bun.CryptoHasher("sha1");
      for (let part = sock.recv(700); part.length > 0; part = sock.recv(700)) hash.update(part);
      console.log(hash.digest("hex"));
    },
    [],
    [b],
  );
  const data = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 7) % 253));
  await a.sendall(data);
  a.shutdown(SHUT_WR);
  expect(await reader.output()).toBe(new Bun.CryptoHasher("sha1").update(data).digest("hex"));
});

test("urgent data comes out of band, by MSG_OOB", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  b.settimeout(0.1);
  expect(await codeOf(() => b.recv(1, MSG_OOB))).toBe(isWindows ? "ETIMEDOUT" : "EINVAL"); // Windows waits for some
  b.settimeout(5);
  await a.sendall("before");
  await a.send("!", MSG_OOB);
  await a.sendall("after");
  expect((await b.recv(1, MSG_OOB)).toString()).toBe("!");
  expect((await b.recv(100)).toString()).toBe("before"); // a receive ends at the mark
  expect((await b.recv(100)).toString()).toBe("after");
});

test("SO_OOBINLINE leaves urgent data in the stream, SIOCATMARK tells where", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  b.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1);
  const atMark = (): number => {
    const answer = new Int32Array(1);
    b.ioctl(SIOCATMARK, answer);
    return answer[0]!;
  };
  const expectMark = (expected: number): void => {
    if (isWindows)
      expect([0, 1]).toContain(atMark()); // Wine says 1 wherever one is
    else expect(atMark()).toBe(expected);
  };
  await a.sendall("ab");
  await a.send("!", MSG_OOB);
  expect((await b.recv(1)).toString()).toBe("a");
  expectMark(0);
  expect((await b.recv(100)).toString()).toBe("b");
  expectMark(1);
  expect((await b.recv(100)).toString()).toBe("!");
  expectMark(0);
});

needs("python3", python !== null)("urgent data of another program", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  using sender = pythonPeer(`s = socket.socket(fileno=3); s.sendall(b"ab"); s.send(b"c", socket.MSG_OOB)`, [], [b]);
  await sender.output();
  expect((await a.recv(1, MSG_OOB)).toString()).toBe("c");
  expect((await a.recv(100)).toString()).toBe("ab");
});

test("FIONREAD tells how much can be read", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  await a.sendall("12345");
  await b.recv(1, MSG_PEEK);
  const size = new Int32Array(1);
  expect(b.ioctl(FIONREAD, size)).toBe(isWindows ? 4 : 0); // there it is how much was written
  expect(size[0]).toBe(5);
});

test("options of a connection", async (net) => {
  using own = new net.Sockets();
  const [a] = own.tcp();
  a.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
  expect(a.getsockopt(IPPROTO_TCP, TCP_NODELAY)).not.toBe(0);
});

test("a receive of nothing waits for nothing", async (net) => {
  using own = new net.Sockets();
  const [a] = own.tcp();
  expect(await a.recv(0)).toEqual(Buffer.alloc(0));
  expect(await a.recvInto(new Uint8Array(0))).toBe(0);
  a.settimeout(0.05);
  await expectTimeout(0.05, () => a.recv(1));
});
