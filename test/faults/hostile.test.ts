/**
 * Callers' objects whose code runs in the middle of a call: getters, iterators, proxies, views that lie. Whatever they
 * do, to this socket, to its buffers, with other sockets, the call's own result is right or a clear error, nothing is sent
 * to somebody else, nothing received is lost, and no descriptor stays open.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, fstatSync, openSync, writeFileSync } from "node:fs";
import * as net from "../../src/index.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  SCM_RIGHTS,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
} from "../../src/index.ts";
import {
  codeOf,
  descriptors,
  Folder,
  hasUnixDatagrams,
  isWindows,
  leftOpen,
  needs,
  passesDescriptors,
  Sockets,
} from "../help.ts";
import { detach, Hostile } from "./values.ts";

const passing = needs("SCM_RIGHTS", passesDescriptors);

let before: number[] = [];
beforeEach(() => {
  before = descriptors();
});
afterEach(() => expect(leftOpen(before)).toEqual([]));

/** An array one field of which runs code when it is read. */
function trap<T extends readonly unknown[]>(values: T, index: number, effect: () => void): T {
  const array = [...values];
  const value = array[index];
  Object.defineProperty(array, index, {
    enumerable: true,
    get() {
      effect();
      return value;
    },
  });
  return array as unknown as T;
}

/** A list that runs code after its members were given. */
function* after<T>(values: readonly T[], effect: () => void): Generator<T> {
  yield* values;
  effect();
}

function fail(): never {
  throw new Hostile("on purpose");
}

/** What was sent to a socket, until there is no more. */
function received(sock: Socket): string[] {
  sock.setblocking(false);
  const found: string[] = [];
  for (;;) {
    const code = codeOf(() => found.push(sock.recv(100).toString()));
    if (code === "EAGAIN") return found;
    if (code.startsWith("E")) throw new Error(code);
  }
}

/** Uses all that the library shares between calls: other names, messages, descriptors, both ways. */
function disturb(sockets: Sockets): () => void {
  const [a, b] = [sockets.udp(), sockets.udp()];
  const six = net.hasDualstackIPv6() ? sockets.add(new Socket(AF_INET6, SOCK_DGRAM)) : null;
  const [left, right] = sockets.pair(SOCK_DGRAM);
  return () => {
    a.sendto("other", b.getsockname());
    expect(b.recvfrom(100)).toEqual([Buffer.from("other"), a.getsockname()]);
    a.sendmsg(["ot", "her"], [], 0, b.getsockname());
    expect(b.recvmsg(100)[0].toString()).toBe("other");
    if (six !== null) expect(codeOf(() => six.connect(["::1", 9, 0, 0]))).toStartWith("nothing thrown");
    if (passesDescriptors) {
      net.sendFds(left, ["x".repeat(50)], [left.fileno(), right.fileno()]);
      const [, fds] = net.recvFds(right, 5000, 2);
      expect(fds.length).toBe(2);
      fds.forEach(net.close);
    }
    expect(left.recvInto.length).toBeNumber();
    net.getaddrinfo("127.0.0.1", 80);
    net.if_nameindex();
  };
}

describe("an address whose getter uses other sockets", () => {
  for (const index of [0, 1]) {
    test(`goes where it says (field ${index})`, () => {
      using sockets = new Sockets();
      const [a, b] = [sockets.udp(), sockets.udp()];
      const address = trap(b.getsockname(), index, disturb(sockets));
      a.sendto("sendto", address);
      a.sendto("flags", 0, address);
      a.sendmsg(["send", "msg"], [], 0, address);
      a.sendmsg(["sendmsg"], [], 0, address);
      a.connect(address);
      expect(a.getpeername()).toEqual(b.getsockname());
      a.send("send");
      expect(received(b)).toEqual(["sendto", "flags", "sendmsg", "sendmsg", "send"]);

      const other = sockets.add(new Socket(AF_INET, SOCK_DGRAM));
      other.bind(trap(["127.0.0.1", 0], index, disturb(sockets)));
      expect(other.getsockname()[0]).toBe("127.0.0.1");
      expect(other.connectEx(trap(a.getsockname(), index, disturb(sockets)))).toBe(0);
      expect(other.getpeername()).toEqual(a.getsockname());
    });
  }

  test("the bytes of an address without a codec", () => {
    using sockets = new Sockets();
    const b = sockets.udp();
    const plain = sockets.add(new Socket(AF_INET, SOCK_DGRAM));
    const fd = net.dup(plain.fileno());
    const a = sockets.add(new Socket(0x7777, SOCK_DGRAM, 0, { fileno: fd }));
    const port = Buffer.alloc(6);
    port.writeUInt16BE(b.getsockname()[1]);
    port.set([127, 0, 0, 1], 2);
    const bytes = Buffer.concat([port, Buffer.alloc(8)]);
    a.sendto("by bytes", trap([AF_INET, bytes] as never, 0, disturb(sockets)));
    expect(received(b)).toEqual(["by bytes"]);
    expect(() =>
      a.sendto(
        "x",
        trap([AF_INET, bytes] as never, 0, () => detach(bytes)),
      ),
    ).toThrow(/^address\[1\]: .*detached/);
  });

  test("IPv6", () => {
    if (!net.hasDualstackIPv6()) return;
    using sockets = new Sockets();
    const b = sockets.add(new Socket(AF_INET6, SOCK_DGRAM));
    b.bind(trap(["::1", 0], 1, disturb(sockets)));
    const a = sockets.add(new Socket(AF_INET6, SOCK_DGRAM));
    for (const index of [0, 1, 2, 3]) a.sendto(`field ${index}`, trap(b.getsockname(), index, disturb(sockets)));
    expect(received(b)).toEqual(["field 0", "field 1", "field 2", "field 3"]);
  });
});

describe("an address whose getter closes the socket", () => {
  const uses: Record<string, (sock: Socket<"AF_INET">, address: net.InetAddress) => unknown> = {
    bind: (sock, address) => sock.bind([address[0], address[1] * 0]),
    connect: (sock, address) => sock.connect(address),
    sendto: (sock, address) => sock.sendto("x", address),
    sendmsg: (sock, address) => sock.sendmsg(["x", "y"], [], 0, address),
    "sendmsg of one": (sock, address) => sock.sendmsg(["x"], [], 0, address),
  };
  for (const [name, use] of Object.entries(uses)) {
    test(`${name}: EBADF, and who has the number now is left alone`, () => {
      using sockets = new Sockets();
      const b = sockets.udp();
      const a = sockets.add(new Socket(AF_INET, SOCK_DGRAM));
      let other: Socket | undefined;
      const address = trap(b.getsockname(), 1, () => {
        if (other !== undefined) return;
        const fd = a.fileno();
        a.close();
        other = sockets.add(new Socket(AF_INET, SOCK_DGRAM));
        expect(other.fileno()).toBe(fd);
      });
      expect(codeOf(() => use(a, address))).toBe("EBADF");
      expect(codeOf(() => other!.getpeername())).toBe("ENOTCONN");
      // Windows has no name for what was not bound.
      if (isWindows) expect(codeOf(() => other!.getsockname())).toBe("EINVAL");
      else expect(other!.getsockname()).toEqual(["0.0.0.0", 0]);
      expect(received(b)).toEqual([]);
    });
  }

  test("connectEx returns EBADF", () => {
    using sockets = new Sockets();
    const a = sockets.add(new Socket(AF_INET, SOCK_DGRAM));
    expect(a.connectEx(trap(sockets.udp().getsockname(), 0, () => a.close()))).toBe(net.EBADF);
  });
});

describe("an address whose getter takes the data's memory", () => {
  const views: Record<string, () => NodeJS.ArrayBufferView> = {
    "a Uint8Array": () => new Uint8Array(2000).fill(120),
    "a small Uint8Array": () => Buffer.from(new Uint8Array([120, 121]).buffer),
    "a DataView": () => new DataView(new ArrayBuffer(8)),
  };
  for (const [what, make] of Object.entries(views)) {
    test(`${what}: a TypeError, and nothing is sent`, () => {
      using sockets = new Sockets();
      const [a, b] = [sockets.udp(), sockets.udp()];
      const gone = (view: NodeJS.ArrayBufferView) => trap(b.getsockname(), 0, () => detach(view));
      let view = make();
      expect(() => a.sendto(view, gone(view))).toThrow(/^data: .*detached/);
      view = make();
      expect(() => a.sendto(view, 0, gone(view))).toThrow(/^data: .*detached/);
      view = make();
      expect(() => a.sendmsg([view], [], 0, gone(view))).toThrow(/^buffers\[0\]: .*detached/);
      view = make();
      expect(() => a.sendmsg(["x", view], [], 0, gone(view))).toThrow(/^buffers\[1\]: .*detached/);
      expect(received(b)).toEqual([]);
    });
  }

  test("a view that shrinks with its buffer is sent as long as it is then", () => {
    using sockets = new Sockets();
    const [a, b] = [sockets.udp(), sockets.udp()];
    const memory = new ArrayBuffer(8, { maxByteLength: 8 });
    const view = new Uint8Array(memory).fill(120);
    const smaller = (size: number) => trap(b.getsockname(), 1, () => memory.resize(size));
    a.sendto(view, smaller(6));
    a.sendmsg([view], [], 0, smaller(4));
    a.sendmsg([view, view], [], 0, smaller(3));
    expect(received(b)).toEqual(["xxxxxx", "xxxx", "xxxxxx"]);
    const fixed = new Uint8Array(memory, 0, 3);
    expect(() => a.sendto(fixed, smaller(1))).toThrow(/^data: .*shrunk/);
    expect(received(b)).toEqual([]);
  });

  needs("IP_TTL as a control message", !isWindows)("control messages were read before", () => {
    using sockets = new Sockets();
    const [a, b] = [sockets.udp(), sockets.udp()];
    b.setsockopt(net.IPPROTO_IP, net.IP_RECVTTL, 1);
    const ttl = new Int32Array([7]);
    const address = trap(b.getsockname(), 0, () => detach(ttl));
    a.sendmsg(["x"], [[net.IPPROTO_IP, net.IP_TTL, ttl]], 0, address);
    const [, [control]] = b.recvmsg(1, 100);
    expect(control?.[2].readInt32LE()).toBe(7);
  });
});

describe("an address whose getter throws", () => {
  test("is the caller's own error, and nothing is sent", () => {
    using sockets = new Sockets();
    const [a, b] = [sockets.udp(), sockets.udp()];
    const ttl = new Int32Array([1]);
    const address = () => trap(b.getsockname(), 1, fail);
    expect(() => a.sendto("x", address())).toThrow(Hostile);
    expect(() => a.sendmsg(["x"], [[net.IPPROTO_IP, net.IP_TTL, ttl]], 0, address())).toThrow(Hostile);
    expect(() => a.bind(address())).toThrow(Hostile);
    expect(() => a.connect(address())).toThrow(Hostile);
    expect(() => a.connectEx(address())).toThrow(Hostile);
    expect(() => net.createServer(address())).toThrow(Hostile);
    expect(() => net.createConnection(address())).toThrow(Hostile);
    expect(() => net.createConnection(b.getsockname(), 1, address())).toThrow(Hostile);
    expect(() => net.getnameinfo(address(), 0)).toThrow(Hostile);
    expect(received(b)).toEqual([]);
  });

  test("when the error is made: the system's error is still what is thrown", () => {
    using sockets = new Sockets();
    const free = new Socket(AF_INET, SOCK_STREAM);
    free.bind(["127.0.0.1", 0]);
    const [host, port] = free.getsockname();
    free.close();
    let reads = 0;
    const address = trap([host, port] as const, 1, () => {
      if (reads++ > 0) fail();
    });
    expect(codeOf(() => sockets.add(new Socket()).connect(address))).toBe("ECONNREFUSED");
    expect(reads).toBeGreaterThan(1);
  });

  test("says another thing each time: it is believed once", () => {
    using sockets = new Sockets();
    const [a, b] = [sockets.udp(), sockets.udp()];
    let reads = 0;
    const address = new Proxy([...b.getsockname()], {
      get(target, key) {
        if (key === "length") return 2;
        return reads++ < 2 ? Reflect.get(target, key) : Symbol("x");
      },
    });
    a.sendto("once", address as never);
    expect(received(b)).toEqual(["once"]);
  });
});

describe("lists", () => {
  const closingByDescriptors = [
    (a: Socket) =>
      net.sendFds(
        a,
        after(["x"], () => a.close()),
        [0],
      ),
    (a: Socket) =>
      net.sendFds(
        a,
        ["x"],
        after([0], () => a.close()),
      ),
  ];

  test("buffers whose iterator uses other sockets", () => {
    using sockets = new Sockets();
    const [a, b] = [sockets.udp(), sockets.udp()];
    a.connect(b.getsockname());
    a.sendmsg(after(["on", "e"], disturb(sockets)));
    a.sendmsg(after(["two"], disturb(sockets)), [], 0, b.getsockname());
    expect(received(b)).toEqual(["one", "two"]);
  });

  test("buffers whose iterator closes the socket", () => {
    using sockets = new Sockets();
    for (const use of [
      (a: Socket) => a.sendmsg(after(["x"], () => a.close())),
      (a: Socket) => a.recvmsgInto(after([new Uint8Array(8)], () => a.close())),
      ...(passesDescriptors ? closingByDescriptors : []),
    ]) {
      const [a, b] = sockets.pair(SOCK_DGRAM);
      b.send("waiting");
      expect(codeOf(() => use(a))).toBe("EBADF");
      expect(received(b)).toEqual([]);
    }
  });

  test("buffers whose iterator takes the memory of those before", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    let view = new Uint8Array(8);
    expect(() => a.sendmsg(after([view, "x"], () => detach(view)))).toThrow(/^buffers\[0\]: .*detached/);
    view = new Uint8Array(8);
    expect(() => a.recvmsgInto(after([view, new Uint8Array(1)], () => detach(view)))).toThrow(
      /^buffers\[0\]: .*detached/,
    );
    view = new Uint8Array(8);
    const taking = after<net.AncillaryData>([], () => detach(view));
    expect(() => a.sendmsg([view], taking)).toThrow(/^buffers\[0\]: .*detached/);
    expect(received(b)).toEqual([]);
  });

  passing("buffers whose iterator throws: what waits is still there", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    net.sendFds(b, ["waiting"], [0]);
    expect(() => a.recvmsgInto(after([new Uint8Array(8)], fail), 100)).toThrow(Hostile);
    expect(() => a.sendmsg(after(["x"], fail))).toThrow(Hostile);
    expect(() => a.sendmsg(["x"], after([], fail))).toThrow(Hostile);
    expect(() => net.sendFds(a, ["x"], after([0], fail))).toThrow(Hostile);
    expect(received(b)).toEqual([]);
    const [data, fds] = net.recvFds(a, 100, 1);
    expect([data.toString(), fds.length]).toEqual(["waiting", 1]);
    fds.forEach(net.close);
  });

  passing("buffers whose iterator receives from the same socket", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    b.send("first");
    net.sendFds(b, ["second"], [0]);
    const [one, two] = [new Uint8Array(3), new Uint8Array(8)];
    const inner: string[] = [];
    const [n, ancdata, flags] = a.recvmsgInto(
      after([one, two], () => inner.push(a.recvmsg(100)[0].toString())),
      net.CMSG_SPACE(4),
    );
    expect(inner).toEqual(["first"]);
    expect([n, flags & ~net.MSG_CMSG_CLOEXEC, Buffer.concat([one, two]).toString("latin1", 0, n)]).toEqual([
      6,
      0,
      "second",
    ]);
    expect(ancdata.length).toBe(1);
    net.close(ancdata[0]![2].readInt32LE());
  });

  passing("control messages whose fields run code", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const fds = new Int32Array([a.fileno(), b.fileno()]);
    for (const index of [0, 1, 2]) {
      const item = trap([SOL_SOCKET, SCM_RIGHTS, fds] as const, index, disturb(sockets));
      expect(a.sendmsg(["with", " two"], [item])).toBe(8);
      const [data, got] = net.recvFds(b, 100, 2);
      expect([data.toString(), got.length]).toEqual(["with two", 2]);
      got.forEach(net.close);

      expect(() => a.sendmsg(["x"], [trap(item, index, fail)])).toThrow(Hostile);
      const gone = new Int32Array([0]);
      const taking = trap([SOL_SOCKET, SCM_RIGHTS, gone] as const, index, () => detach(gone));
      expect(() => a.sendmsg(["x"], [taking])).toThrow(/^ancdata\[0\]\[2\]: .*detached/);
    }
    const closing = trap([SOL_SOCKET, SCM_RIGHTS, fds] as const, 1, () => a.close());
    expect(codeOf(() => a.sendmsg(["x"], [closing]))).toBe("EBADF");
    expect(received(b)).toEqual([]);
  });
});

describe("options", () => {
  test("whose getters throw open nothing", () => {
    using sockets = new Sockets();
    const server = sockets.server();
    for (const [name, call] of [
      ["timeout", (options: object) => net.createConnection(server.getsockname(), options)],
      ["allErrors", (options: object) => net.createConnection(server.getsockname(), options)],
      ["backlog", (options: object) => net.createServer(["127.0.0.1", 0], options)],
      ["reusePort", (options: object) => net.createServer(["127.0.0.1", 0], options)],
      ["flags", (options: object) => net.getaddrinfo("127.0.0.1", 80, options)],
      ["fileno", (options: object) => new Socket(options as { fileno: number })],
      ["fileno", (options: object) => new Socket(AF_INET, SOCK_STREAM, 0, options)],
      ["encoding", (options: object) => sockets.pair()[0].makefile("r", -1, options)],
    ] as const) {
      expect(() => call(Object.defineProperty({}, name, { enumerable: true, get: fail }))).toThrow(Hostile);
    }
    server.setblocking(false);
    expect(codeOf(() => server.accept())).toBe("EAGAIN");
  });

  test("a descriptor is asked for once", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair();
    let reads = 0;
    const options = {
      get fileno() {
        return reads++ === 0 ? a.detach() : b.fileno();
      },
    };
    const { family } = a;
    const again = sockets.add(new Socket(options));
    expect([reads, again.family]).toEqual([1, family]);
    again.send("x");
    expect(b.recv(1).toString()).toBe("x");
  });

  test("of a file that close the socket: the file is over a closed one", () => {
    using sockets = new Sockets();
    const [a] = sockets.pair();
    const file = a.makefile("rb", {
      get buffering() {
        a.close();
        return 10;
      },
    });
    expect(codeOf(() => file.read(1))).toBe("EBADF");
    file.close();
  });
});

/** A view that lies about itself, and runs code when it is asked. */
class Liar extends Uint8Array {
  static effect: () => void = () => {};
  override get byteLength(): number {
    Liar.effect();
    return 1 << 20;
  }
  override get byteOffset(): number {
    Liar.effect();
    return 5;
  }
  override get buffer(): ArrayBuffer {
    Liar.effect();
    return new ArrayBuffer(1 << 20);
  }
  override get length(): number {
    Liar.effect();
    return 1 << 20;
  }
}
const liar = (text: string) => new Liar([...Buffer.from(text)]);

describe("views that lie about their memory", () => {
  beforeEach(() => {
    Liar.effect = () => {};
  });

  test("are sent as they are", () => {
    using sockets = new Sockets();
    const [a, b] = [sockets.udp(), sockets.udp()];
    a.connect(b.getsockname());
    Liar.effect = disturb(sockets);
    a.send(liar("send"));
    a.sendall(liar("sendall"));
    a.sendto(liar("sendto"), b.getsockname());
    a.sendmsg([liar("send"), liar("msg")]);
    a.sendmsg([liar("sendmsg")], [], 0, b.getsockname());
    Liar.effect = () => {};
    expect(received(b)).toEqual(["send", "sendall", "sendto", "sendmsg", "sendmsg"]);
  });

  test("are written to no further than they reach", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    for (const into of [
      (view: Liar) => a.recvInto(view),
      (view: Liar) => a.recvInto(view, 4),
      (view: Liar) => a.recvfromInto(view)[0],
      (view: Liar) => a.recvmsgInto([view])[0],
      (view: Liar) => a.recvmsgInto([view, new Uint8Array(0)])[0],
    ]) {
      const memory = new ArrayBuffer(100);
      const view = Reflect.construct(Uint8Array, [memory, 10, 4], Liar) as Liar;
      b.send("x".repeat(90));
      expect(into(view)).toBe(4);
      expect(Buffer.from(memory, 0, 20).toString("latin1")).toBe("\0".repeat(10) + "xxxx" + "\0".repeat(6));
    }
    expect(() => a.recvInto(liar("1234"), 5)).toThrow(/^nbytes: .*at most the buffer's 4 bytes/);
  });

  test("everywhere else where bytes are taken", () => {
    using sockets = new Sockets();
    Liar.effect = fail;
    const [a, b] = sockets.pair(SOCK_DGRAM);
    if (passesDescriptors) {
      const fds = Reflect.construct(Uint8Array, [new Int32Array([0]).buffer], Liar) as Liar;
      a.sendmsg(["x"], [[SOL_SOCKET, SCM_RIGHTS, fds]]);
      const [, got] = net.recvFds(b, 10, 1);
      expect(got.length).toBe(1);
      got.forEach(net.close);
    }

    expect(net.inet_ntoa(liar("1234"))).toBe("49.50.51.52");
    expect(net.inet_ntop(AF_INET, liar("1234"))).toBe("49.50.51.52");
    expect(() => net.inet_ntop(AF_INET6, liar("1234"))).toThrow(/^packed: expected 16 bytes, got "4 bytes"/);
    a.setsockopt(SOL_SOCKET, net.SO_SNDBUF, Reflect.construct(Uint8Array, [new Int32Array([65536]).buffer], Liar));
    expect(a.ioctl(net.FIONREAD, liar("1234"))).toBe(isWindows ? 4 : 0); // there it is what was written
  });

  needs("AF_UNIX datagram socket", hasUnixDatagrams)("paths, too", () => {
    using sockets = new Sockets();
    Liar.effect = fail;
    const unix = sockets.add(new Socket(AF_UNIX, SOCK_DGRAM));
    expect(codeOf(() => unix.connect(liar("/nonexistent/path")))).toBe("ENOENT");
    const other = sockets.add(new Socket(0x7777, SOCK_DGRAM, 0, { fileno: net.dup(unix.fileno()) }));
    expect(codeOf(() => other.connect([AF_UNIX, liar("/nonexistent/path")]))).toBe("ENOENT");
  });

  test("bytes of other realms and of every kind", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const memory = new SharedArrayBuffer(8, { maxByteLength: 64 });
    const growing = new Uint8Array(memory);
    memory.grow(16);
    for (const [data, length] of [
      [memory, 16],
      [growing, 16],
      [new DataView(memory, 4), 12],
      [new Float64Array(2), 16],
      [new BigInt64Array(3).subarray(1), 16],
      [new Uint8Array(0), 0],
      [new DataView(new ArrayBuffer(0)), 0],
      [new ArrayBuffer(0), 0],
      [new Uint8ClampedArray(5), 5],
    ] as const) {
      expect(a.send(data)).toBe(length);
      expect(a.sendmsg([data])).toBe(length);
      expect(a.sendmsg([data, data])).toBe(2 * length);
      expect([b.recv(100).length, b.recv(100).length, b.recv(100).length]).toEqual([length, length, 2 * length]);
      if (!ArrayBuffer.isView(data) || length === 0) continue;
      b.send("y".repeat(50));
      b.send("z".repeat(50));
      expect(a.recvInto(data)).toBe(length);
      expect(a.recvmsgInto([data, new Uint8Array(1)])[0]).toBe(length + 1);
      expect(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()).toBe("z".repeat(length));
    }
  });

  test("what only says that it is an ArrayBuffer is none", () => {
    using sockets = new Sockets();
    const [a] = sockets.pair();
    const fake = new Proxy({ length: 3, byteLength: 3, 0: 1 }, { getPrototypeOf: () => ArrayBuffer.prototype });
    expect(() => a.send(fake as never)).toThrow(/^data: expected a string/);
    expect(() => a.recvInto(Object.create(Uint8Array.prototype))).toThrow(/^buffer: expected an ArrayBufferView/);
  });
});

describe("sendfile", () => {
  test("a handle that closes the socket when it is asked", () => {
    using sockets = new Sockets();
    using folder = new Folder();
    const path = folder.file("data");
    writeFileSync(path, "contents");
    const fd = openSync(path, "r");
    const [a, b] = sockets.pair(SOCK_STREAM);
    const handle = {
      get fd() {
        a.close();
        return fd;
      },
    };
    expect(codeOf(() => a.sendfile(handle))).toBe("EBADF");
    expect(fstatSync(fd).size).toBe(8); // it is still open
    expect(b.recv(10).length).toBe(0);
    closeSync(fd);
  });

  test("a File in memory is no file of this machine, whatever its name", () => {
    using sockets = new Sockets();
    using folder = new Folder();
    const path = folder.file("data");
    writeFileSync(path, "contents");
    const [a, b] = sockets.pair(SOCK_STREAM);
    for (const file of [
      new File(["contents"], path), // as large as what is there
      new File(["other"], path),
      new File([], path),
      new File([], "/proc/self/cmdline"), // a file of 0 bytes, as stat(2) has it
      new File(["x"], folder.file("none")),
      new File([Bun.file(path)], path),
    ]) {
      expect(() => a.sendfile(file)).toThrow(TypeError);
      expect(() => a.sendfile(file, 0, 1)).toThrow(/^file: .*not a File in memory/);
    }
    expect(received(b)).toEqual([]);
    expect(a.sendfile(Bun.file(path))).toBe(8);
    expect(received(b)).toEqual(["contents"]);
  });

  test("handles, files and descriptors that are none", () => {
    using sockets = new Sockets();
    using folder = new Folder();
    const [a, b] = sockets.pair(SOCK_STREAM);
    expect(() => a.sendfile({ fd: 2 ** 32 } as never)).toThrow(RangeError);
    expect(() => a.sendfile({ fd: -1 })).toThrow(/^file\.fd: /);
    expect(() => a.sendfile({ fd: 1.5 })).toThrow(/^file\.fd: /);
    expect(() => a.sendfile(2 ** 32)).toThrow(RangeError);
    expect(() => a.sendfile(new Blob(["x"]))).toThrow(/^file: /);
    expect(codeOf(() => a.sendfile(0x7fff_fff0))).toBe("EBADF");
    expect(codeOf(() => a.sendfile(folder.file("none")))).toBe("ENOENT");
    expect(codeOf(() => a.sendfile(Bun.file(folder.file("none"))))).toBe("ENOENT");
    expect(codeOf(() => a.sendfile(folder.path))).toBe("EISDIR");
    expect(codeOf(() => a.sendfile(`${folder.path}/${"x".repeat(5000)}`))).toBe(isWindows ? "ENOENT" : "ENAMETOOLONG");
    expect(received(b)).toEqual([]);
  });
});
