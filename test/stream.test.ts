/** Streams: TCP and Unix connections, and what send and receive flags do to them. */
import { expect, test } from "bun:test";
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
  Socket,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../src/index.ts";
import {
  bounded,
  codeOf,
  expectTimeout,
  fill,
  hasUnix,
  isLinux,
  isWindows,
  needs,
  type Net,
  peer,
  python,
  pythonPeer,
  receiveAll,
  resetting,
  slowness,
  Sockets,
  tellsResets,
  thrown,
  waitsForAll,
} from "./help.ts";

test("TCP carries bytes both ways, and both ends know each other's address", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  expect(a.send("ping")).toBe(4);
  expect(b.recv(100).toString()).toBe("ping");
  b.sendall(new Uint8Array([1, 2, 3]));
  expect([...a.recv(100)]).toEqual([1, 2, 3]);
  expect(a.getpeername()).toEqual(b.getsockname());
  expect(b.getpeername()).toEqual(a.getsockname());
  expect(a.getsockname()[0]).toBe("127.0.0.1");
});

test("what is received is a Buffer of its own, as large as what came", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("first");
  const first = b.recv(65536);
  a.sendall("later");
  const later = b.recv(65536);
  expect(first.toString()).toBe("first");
  expect(later.toString()).toBe("later");
  expect(first.buffer.byteLength).toBe(5);
  expect(Buffer.isBuffer(first)).toBe(true);
});

const waiting = needs("MSG_WAITALL that waits", waitsForAll());
const resets = needs("error for a reset connection", tellsResets());

waiting.each([10, 1000, 1001, 5000, 70_000, 2_000_000])("receives of %p bytes share no memory", async (size) => {
  using own = new Sockets();
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
  const got = Array.from("abc", () => a.recv(size, MSG_WAITALL));
  for (const [i, letter] of [..."abc"].entries()) {
    expect(got[i]!.equals(Buffer.alloc(size, letter))).toBe(true);
    got[i]!.fill("-");
  }
  await sender.output();
});

test.each(["a string, in UTF-8: ü", new Uint8Array([1, 2]), new DataView(new ArrayBuffer(3)), new ArrayBuffer(4)])(
  "%p can be sent",
  (data) => {
    using own = new Sockets();
    const [a, b] = own.pair();
    const expected = typeof data === "string" ? Buffer.from(data) : Buffer.alloc(data.byteLength);
    if (data instanceof Uint8Array) expected.set(data);
    expect(a.send(data)).toBe(expected.length);
    expect(b.recv(100)).toEqual(expected);
  },
);

test("shared memory and views into the middle of a buffer are sent as they are", () => {
  using own = new Sockets();
  const [a, b] = own.pair();
  const shared = new SharedArrayBuffer(8);
  new Uint8Array(shared).set([1, 2, 3, 4, 5, 6, 7, 8]);
  a.sendall(shared);
  a.sendall(new Uint16Array(shared, 2, 2));
  expect([...b.recv(100)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6]);
});

test("nothing sent is nothing received", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  expect(a.send("")).toBe(0);
  a.sendall(new Uint8Array(0));
  b.setblocking(false);
  expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
  expect(b.recv(0).length).toBe(0);
});

test("the end of a stream is empty, again and again", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.close();
  expect(b.recv(10).length).toBe(0);
  expect(b.recv(10).length).toBe(0);
  expect(b.recvInto(new Uint8Array(4))).toBe(0);
  expect(b.recvmsg(10)[0].length).toBe(0);
});

test("recvfrom on a stream tells no address", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("data");
  const [data, address] = b.recvfrom(10);
  expect(data.toString()).toBe("data");
  expect(address as unknown).toBeNull();
});

waiting("a megabyte and more is received whole where it is there", async () => {
  using own = new Sockets();
  const [a, b] = own.pair();
  using sender = peer((net) => net.given[0]!.sendall(Buffer.alloc(3_000_000, "abc")), [], [b]);
  bounded(a).settimeout(null);
  const data = a.recv(3_000_000, MSG_WAITALL);
  expect(data.length).toBe(3_000_000);
  expect(data.equals(Buffer.alloc(3_000_000, "abc"))).toBe(true);
  expect(a.recv(1).length).toBe(0);
  await sender.output();
});

test("shutdown of one direction leaves the other open", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("question");
  a.shutdown(SHUT_WR);
  expect(receiveAll(b).toString()).toBe("question");
  b.sendall("answer");
  b.shutdown(SHUT_RDWR);
  expect(receiveAll(a).toString()).toBe("answer");
  expect(thrown(() => a.send("more"))).toBeInstanceOf(BrokenPipeError);
});

test("shutdown for reading ends what is read", () => {
  using own = new Sockets();
  const [a, b] = own.pair();
  a.shutdown(SHUT_RD);
  if (isWindows) return expect(codeOf(() => a.recv(1))).toBe("ESHUTDOWN");
  expect(a.recv(1).length).toBe(0);
  expect(codeOf(() => b.send("x"))).toBe("EPIPE");
});

test("shutdown of what is not connected is ENOTCONN", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  expect(codeOf(() => sock.shutdown(SHUT_RDWR))).toBe("ENOTCONN");
});

test("writing to a connection that is gone is EPIPE, and no signal kills the process", () => {
  using own = new Sockets();
  const [a, b] = own.pair();
  b.close();
  for (const call of [() => a.send("x"), () => a.sendall("x"), () => a.sendmsg(["x", "y"])]) {
    if (isWindows) {
      // TCP learns of it when the first bytes are answered; Windows calls it a reset, or an abort.
      for (let i = 0; i < 100 && codeOf(call).startsWith("nothing"); i++) Bun.sleepSync(1);
      expect(codeOf(call)).toMatch(/^ECONN(RESET|ABORTED)$/);
      continue;
    }
    const error = thrown(call);
    expect(error).toBeInstanceOf(BrokenPipeError);
    expect(error.code).toBe("EPIPE");
  }
});

needs("SIGPIPE", isLinux)("even where SIGPIPE would kill the process, no call raises it", async () => {
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

resets("SO_LINGER of 0 seconds makes close a reset", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  b.setsockopt(SOL_SOCKET, SO_LINGER, resetting);
  b.close();
  const error = thrown(() => a.recv(10));
  expect(error).toBeInstanceOf(ConnectionResetError);
  expect(error).toMatchObject({ code: "ECONNRESET", syscall: "recv" });
  expect(codeOf(() => a.send("x"))).toMatch(isWindows ? /^ECONN(RESET|ABORTED)$/ : "EPIPE");
});

resets("closing with unread data resets the connection too, and SO_ERROR tells it once", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("never read");
  b.close();
  if (isWindows) return expect(codeOf(() => a.recv(1))).toBe("ECONNRESET"); // and SO_ERROR does not tell
  expect(Bun.inspect(a.getsockopt(SOL_SOCKET, SO_ERROR))).not.toBe("0");
  expect(a.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(0);
});

test("a socket that is not connected cannot send or receive", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  expect(codeOf(() => sock.recv(1))).toBe("ENOTCONN");
  // ECONNRESET is Wine's.
  expect(codeOf(() => sock.send("x"))).toMatch(isLinux ? "EPIPE" : isWindows ? /^(ENOTCONN|ECONNRESET)$/ : "ENOTCONN");
  expect(codeOf(() => sock.getpeername())).toBe("ENOTCONN");
  if (!hasUnix) return;
  using unix = new Socket(AF_UNIX, SOCK_STREAM);
  expect(codeOf(() => unix.send("x"))).toBe("ENOTCONN");
});

test("MSG_PEEK leaves the data for the next call", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("peeked");
  expect(b.recv(3, MSG_PEEK).toString()).toBe("pee");
  expect(b.recvInto(new Uint8Array(10), 0, MSG_PEEK)).toBe(6);
  expect(b.recv(10).toString()).toBe("peeked");
  b.setblocking(false);
  expect(codeOf(() => b.recv(1, MSG_PEEK))).toBe("EAGAIN");
});

waiting("MSG_WAITALL waits for all that was asked for, or the end", async () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  const dribble = async (net: Net) => {
    const sock = net.given[0]!;
    for (const letter of "abcdefghij") {
      sock.sendall(letter);
      await Bun.sleep(5);
    }
  };
  using sender = peer(dribble, [], [b]);
  bounded(a).settimeout(null);
  expect(a.recv(4, MSG_WAITALL).toString()).toBe("abcd");
  const view = new Uint8Array(4);
  expect(a.recvInto(view, 0, MSG_WAITALL)).toBe(4);
  expect(Buffer.from(view).toString()).toBe("efgh");
  expect(a.recv(4, MSG_WAITALL).toString()).toBe("ij");
  await sender.output();
});

needs("MSG_DONTWAIT", MSG_DONTWAIT !== undefined)("MSG_DONTWAIT does not wait, on a blocking socket", () => {
  using own = new Sockets();
  const [a, b] = own.pair();
  bounded(a).settimeout(null);
  const started = performance.now();
  expect(codeOf(() => a.recv(1, MSG_DONTWAIT))).toBe("EAGAIN");
  fill(b);
  b.setblocking(true);
  expect(codeOf(() => b.send("x", MSG_DONTWAIT))).toBe("EAGAIN");
  expect(performance.now() - started).toBeLessThan(1000 * slowness);
});

needs("MSG_TRUNC to receive with", isLinux)("MSG_TRUNC on TCP throws data away: it is counted, and never seen", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("SECRET");
  expect(b.recv(10).toString()).toBe("SECRET");
  a.sendall("discarded, and more");
  const thrownAway = b.recv(9, MSG_TRUNC);
  expect(thrownAway).toEqual(Buffer.alloc(9));
  expect(b.recv(100).toString()).toBe(", and more");
  a.sendall("0123456789");
  expect(b.recvInto(new Uint8Array(4), 0, MSG_TRUNC)).toBe(4);
  expect(b.recv(100).toString()).toBe("456789");
});

needs("buffers that bound what is sent", !isWindows)("a sender with small buffers is told how much was taken", () => {
  using own = new Sockets();
  const [a, b] = own.pair();
  a.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096);
  b.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096);
  a.setblocking(false);
  const data = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
  const taken = a.send(data);
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(data.length);
  expect(codeOf(() => a.send("x".repeat(4096)))).toBe("EAGAIN");
  let got = Buffer.alloc(0);
  while (got.length < taken) got = Buffer.concat([got, b.recv(1000)]);
  expect(got.equals(data.subarray(0, taken))).toBe(true);
});

test("what does not fit a receive comes with the next one", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("0123456789");
  expect(b.recv(4).toString()).toBe("0123");
  const view = new Uint8Array(8).fill(0xff);
  expect(b.recvInto(view, 3)).toBe(3);
  expect([...view]).toEqual([...Buffer.from("456"), 0xff, 0xff, 0xff, 0xff, 0xff]);
  expect(b.recv(100).toString()).toBe("789");
});

test("sendall sends all through small buffers, to a reader in another process", async () => {
  using own = new Sockets();
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
  a.sendall(data);
  a.shutdown(SHUT_WR);
  expect(await reader.output()).toBe(new Bun.CryptoHasher("sha1").update(data).digest("hex"));
});

test("urgent data comes out of band, by MSG_OOB", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  b.settimeout(0.1);
  expect(codeOf(() => b.recv(1, MSG_OOB))).toBe(isWindows ? "ETIMEDOUT" : "EINVAL"); // Windows waits for some
  b.settimeout(5);
  a.sendall("before");
  a.send("!", MSG_OOB);
  a.sendall("after");
  expect(b.recv(1, MSG_OOB).toString()).toBe("!");
  expect(b.recv(100).toString()).toBe("before"); // a receive ends at the mark
  expect(b.recv(100).toString()).toBe("after");
});

test("SO_OOBINLINE leaves urgent data in the stream, SIOCATMARK tells where", () => {
  using own = new Sockets();
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
  a.sendall("ab");
  a.send("!", MSG_OOB);
  expect(b.recv(1).toString()).toBe("a");
  expectMark(0);
  expect(b.recv(100).toString()).toBe("b");
  expectMark(1);
  expect(b.recv(100).toString()).toBe("!");
  expectMark(0);
});

needs("python3", python !== null)("urgent data of another program", async () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  using sender = pythonPeer(`s = socket.socket(fileno=3); s.sendall(b"ab"); s.send(b"c", socket.MSG_OOB)`, [], [b]);
  await sender.output();
  expect(a.recv(1, MSG_OOB).toString()).toBe("c");
  expect(a.recv(100).toString()).toBe("ab");
});

test("FIONREAD tells how much can be read", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("12345");
  b.recv(1, MSG_PEEK);
  const size = new Int32Array(1);
  expect(b.ioctl(FIONREAD, size)).toBe(isWindows ? 4 : 0); // there it is how much was written
  expect(size[0]).toBe(5);
});

test("options of a connection", () => {
  using own = new Sockets();
  const [a] = own.tcp();
  a.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
  expect(a.getsockopt(IPPROTO_TCP, TCP_NODELAY)).not.toBe(0);
});

test("a receive of nothing waits for nothing", () => {
  using own = new Sockets();
  const [a] = own.tcp();
  expect(a.recv(0)).toEqual(Buffer.alloc(0));
  expect(a.recvInto(new Uint8Array(0))).toBe(0);
  a.settimeout(0.05);
  expectTimeout(0.05, () => a.recv(1));
});
