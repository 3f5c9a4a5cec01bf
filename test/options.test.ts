/** Options of sockets: numbers, bytes, structures. */
import { expect, test } from "bun:test";
import {
  SO_ATTACH_FILTER,
  AF_INET,
  AF_UNIX,
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_TCP,
  OSError,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_MAX_PACING_RATE,
  SO_PEERCRED,
  SO_PRIORITY,
  SO_RCVBUF,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
  TCP_CONGESTION,
  TCP_INFO,
  TCP_KEEPIDLE,
  TCP_MAXSEG,
  TCP_NODELAY,
} from "../src/index.ts";
import {
  codeOf,
  hasMulticastInterface,
  hasUnix,
  isLinux,
  isWindows,
  needs,
  peer,
  Sockets,
  thrown,
  timeval,
  worksInEmulator,
} from "./help.ts";
import { slicesOf } from "../src/native.ts";

test("an option is a number", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  expect(sock.getsockopt(SOL_SOCKET, SO_TYPE)).toBe(SOCK_STREAM);
  expect(sock.getsockopt(SOL_SOCKET, SO_REUSEADDR)).toBe(0);
  expect(sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)).toBeUndefined();
  expect(sock.getsockopt(SOL_SOCKET, SO_REUSEADDR)).not.toBe(0);
  sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 0);
  expect(sock.getsockopt(SOL_SOCKET, SO_REUSEADDR)).toBe(0);
});

test("an option is bytes, of as many as there are, at most those that were asked for", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  const value = sock.getsockopt(SOL_SOCKET, SO_TYPE, 100);
  expect(Buffer.isBuffer(value)).toBe(true);
  const four = Buffer.from([SOCK_STREAM, 0, 0, 0]);
  expect(isWindows ? value.subarray(0, 4) : value).toEqual(four); // Wine says that it filled all the room
  expect(sock.getsockopt(SOL_SOCKET, SO_TYPE, 4)).toEqual(four);
  if (isLinux) expect(sock.getsockopt(SOL_SOCKET, SO_TYPE, 2)).toEqual(value.subarray(0, 2));
  expect(sock.getsockopt(SOL_SOCKET, SO_TYPE, 0) as unknown).toBe(SOCK_STREAM);
});

test.each([
  ["an Int32Array", new Int32Array([1])],
  ["a Buffer", Buffer.from([1, 0, 0, 0])],
  ["a DataView", new DataView(new Int32Array([1]).buffer)],
  ["an ArrayBuffer", new Int32Array([1]).buffer],
  ["the middle of a larger array", new Int32Array([0, 1, 0]).subarray(1, 2)],
  ["a string of bytes", "\x01\0\0\0"],
])("%s sets an int", (_name, value) => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, value);
  expect(sock.getsockopt(IPPROTO_TCP, TCP_NODELAY)).not.toBe(0);
});

test("bytes that are too few are EINVAL, on Windows EFAULT", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  if (isWindows) return expect(codeOf(() => sock.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array(1)))).toBe("EFAULT");
  expect(codeOf(() => sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, new Uint8Array(1)))).toBe("EINVAL");
  expect(codeOf(() => sock.setsockopt(SOL_SOCKET, SO_LINGER, 1))).toBe("EINVAL");
});

test("negative numbers", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  // ENOPROTOOPT is Wine's.
  expect(codeOf(() => sock.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE ?? TCP_MAXSEG, -1))).toMatch(/^(EINVAL|ENOPROTOOPT)$/);
  sock.setsockopt(IPPROTO_IP, IP_TTL, 44);
  if (isLinux) sock.setsockopt(IPPROTO_IP, IP_TTL, -1); // the system's own again
  expect(sock.getsockopt(IPPROTO_IP, IP_TTL)).toBeGreaterThan(isLinux ? 44 : 0);
});

const hasPacing = worksInEmulator(() => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  sock.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 1);
});
needs("SO_MAX_PACING_RATE", isLinux && hasPacing)(
  "a number of 32 bits may be given without a sign, and comes back with one",
  () => {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    for (const value of [0x7fffffff, 0x80000000, 0xffffffff, -1, -0x80000000]) {
      sock.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, value);
      expect(sock.getsockopt(SOL_SOCKET, SO_MAX_PACING_RATE)).toBe(value | 0);
      expect(sock.getsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 4).readUInt32LE()).toBe(value >>> 0);
    }
    expect(() => sock.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 0x100000000)).toThrow(RangeError);
    expect(() => sock.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, -0x80000001)).toThrow(RangeError);
    expect(() => sock.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 1.5)).toThrow(TypeError);
  },
);

needs("SO_PRIORITY", isLinux)("small numbers are kept as they are", () => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  for (const value of [0, 1, 6]) {
    sock.setsockopt(SOL_SOCKET, SO_PRIORITY, value);
    expect(sock.getsockopt(SOL_SOCKET, SO_PRIORITY)).toBe(value);
  }
});

test("null with a length is the system's NULL", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  expect(codeOf(() => sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, null, 4))).toBe("EFAULT");
  if (isLinux) expect(codeOf(() => sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, null, 0))).toBe("EINVAL");
  const untyped = (...args: unknown[]): unknown => Reflect.apply(sock.setsockopt, sock, args);
  expect(() => untyped(SOL_SOCKET, SO_REUSEADDR, 1, 4)).toThrow(TypeError);
  expect(() => untyped(SOL_SOCKET, SO_REUSEADDR, null)).toThrow(TypeError);
});

test("struct linger", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  if (isWindows) {
    sock.setsockopt(SOL_SOCKET, SO_LINGER, Uint16Array.of(1, 30));
    return expect(sock.getsockopt(SOL_SOCKET, SO_LINGER, 4)).toEqual(Buffer.of(1, 0, 30, 0));
  }
  expect([...new Int32Array(Uint8Array.from(sock.getsockopt(SOL_SOCKET, SO_LINGER, 8)).buffer)][0]).toBe(0);
  sock.setsockopt(SOL_SOCKET, SO_LINGER, new Int32Array([1, 30]));
  const linger = sock.getsockopt(SOL_SOCKET, SO_LINGER, 8);
  expect([linger.readInt32LE(0) !== 0, linger.readInt32LE(4)]).toEqual([true, 30]);
});

needs("struct timeval", isLinux)("struct timeval", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval(2.5));
  const value = sock.getsockopt(SOL_SOCKET, SO_RCVTIMEO, 16);
  expect([value.readBigInt64LE(0), value.readBigInt64LE(8)]).toEqual([2n, 500_000n]);
});

needs("SO_PEERCRED", isLinux)("struct ucred: who is at the other end", () => {
  using own = new Sockets();
  const [a] = own.pair();
  const value = a.getsockopt(SOL_SOCKET, SO_PEERCRED, 12);
  expect([0, 4, 8].map((at) => value.readInt32LE(at))).toEqual([process.pid, process.getuid!(), process.getgid!()]);
});

needs("struct timeval", isLinux)("of a structure there can be a part, and nothing behind it is written", async () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval(9));
  sock.setsockopt(SOL_SOCKET, SO_LINGER, new Int32Array([1, 30]));
  expect(sock.getsockopt(SOL_SOCKET, SO_RCVTIMEO)).toBe(9);
  expect(sock.getsockopt(SOL_SOCKET, SO_RCVTIMEO, 2)).toEqual(Buffer.of(9, 0));
  expect(sock.getsockopt(SOL_SOCKET, SO_LINGER)).toBe(1);
  expect(sock.getsockopt(SOL_SOCKET, SO_LINGER, 5)).toEqual(Buffer.of(1, 0, 0, 0, 30));
  // Where more is written than there is room for, the caller's registers suffer: a program ends by that.
  using child = peer((net) => {
    using other = new net.Socket();
    for (let i = 0; i < 2000; i++) other.getsockopt(net.SOL_SOCKET, net.SO_RCVTIMEO!);
  }, []);
  expect(await child.output()).toBe("");
});

const hasInfo = worksInEmulator(() => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  return sock.getsockopt(IPPROTO_TCP, TCP_INFO, 4096).length > 4;
});
needs("TCP_INFO", isLinux && hasInfo)("struct tcp_info, as long as this system has it", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  const info = a.getsockopt(IPPROTO_TCP, TCP_INFO, 4096);
  expect(info.length).toBeGreaterThan(100);
  expect(info.length).toBeLessThan(4096);
  expect(info[0]).toBe(1); // TCP_ESTABLISHED
  b.close();
  a.recv(1);
  expect(a.getsockopt(IPPROTO_TCP, TCP_INFO, 1)).toEqual(Buffer.from([8])); // TCP_CLOSE_WAIT
});

const hasCongestion = worksInEmulator(() => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  return sock.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16).length === 16; // not the four bytes of a number
});
needs("TCP_CONGESTION", isLinux && hasCongestion)("names as values", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  const name = sock.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16).toString("latin1").replace(/\0.*$/, "");
  expect(name).toMatch(/^[a-z0-9_]+$/);
  sock.setsockopt(IPPROTO_TCP, TCP_CONGESTION, name);
  expect(codeOf(() => sock.setsockopt(IPPROTO_TCP, TCP_CONGESTION, "no such thing"))).toBe("ENOENT");
});

test("buffers are at least as large as was asked for", () => {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  for (const option of [SO_SNDBUF, SO_RCVBUF]) {
    sock.setsockopt(SOL_SOCKET, option, 20_000);
    expect(sock.getsockopt(SOL_SOCKET, option)).toBeGreaterThanOrEqual(20_000);
    expect(sock.getsockopt(SOL_SOCKET, option)).toBeLessThan(100_000);
  }
});

test("an option that does not exist is ENOPROTOOPT", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  for (const call of [
    () => sock.getsockopt(SOL_SOCKET, 0x7777),
    () => sock.getsockopt(SOL_SOCKET, 0x7777, 4),
    () => sock.setsockopt(SOL_SOCKET, 0x7777, 1),
    () => sock.setsockopt(SOL_SOCKET, 0x7777, new Int32Array(1)),
  ]) {
    const error = thrown(call);
    expect(error).toBeInstanceOf(OSError);
    expect(error.code).toBe("ENOPROTOOPT");
  }
  if (!hasUnix) return;
  using unix = new Socket(AF_UNIX, SOCK_STREAM);
  expect(codeOf(() => unix.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1))).toMatch(/^(EOPNOTSUPP|EINVAL)$/);
});

test("what was received is never more than what the system wrote", () => {
  using sock = new Socket(AF_INET, SOCK_STREAM);
  const value = sock.getsockopt(SOL_SOCKET, SO_ERROR, 1_000_000);
  expect(value).toEqual(Buffer.alloc(4));
  expect(value.buffer.byteLength).toBeLessThan(100_000);
});

needs("IP_MULTICAST_IF", hasMulticastInterface)("multicast on the loopback: join, hear, leave", () => {
  using own = new Sockets();
  const group = Buffer.from([239, 11, 22, 33]);
  const loopback = Buffer.from([127, 0, 0, 1]);
  const receiver = own.add(new Socket(AF_INET, SOCK_DGRAM));
  receiver.bind(["", 0]);
  receiver.settimeout(5);
  receiver.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, Buffer.concat([group, loopback])); // struct ip_mreq
  const sender = own.add(new Socket(AF_INET, SOCK_DGRAM));
  sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, loopback);
  sender.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, 1);
  sender.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, 0);
  sender.sendto("to all", ["239.11.22.33", receiver.getsockname()[1]]);
  expect(receiver.recv(100).toString()).toBe("to all");
  receiver.setsockopt(IPPROTO_IP, IP_DROP_MEMBERSHIP, Buffer.concat([group, loopback]));
  sender.sendto("to nobody", ["239.11.22.33", receiver.getsockname()[1]]);
  receiver.settimeout(0.05);
  expect(codeOf(() => receiver.recv(100))).toBe("ETIMEDOUT");
});

/** Whether a filter can be read back, which an emulator does not know. */
function filters(): boolean {
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  const program = Buffer.from("06000000ffffffff", "hex");
  const [low, high] = slicesOf([program]);
  sock.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, Uint32Array.of(1, 0, low!, high!));
  return sock.getsockopt(SOL_SOCKET, SO_ATTACH_FILTER, 8).equals(program);
}

needs("SO_ATTACH_FILTER", isLinux && worksInEmulator(filters))(
  "a filter is read by its bytes, though the system counts its instructions",
  () => {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    const program = Buffer.from("06000000ffffffff".repeat(3), "hex"); // three times: take it all
    const [low, high] = slicesOf([program]);
    sock.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, Uint32Array.of(3, 0, low!, high!)); // struct sock_fprog
    for (const room of [24, 25, 100]) expect(sock.getsockopt(SOL_SOCKET, SO_ATTACH_FILTER, room)).toEqual(program);
    for (const room of [0, 1, 7, 8, 23]) {
      expect(codeOf(() => sock.getsockopt(SOL_SOCKET, SO_ATTACH_FILTER, room))).toBe("EINVAL");
    }
  },
);
