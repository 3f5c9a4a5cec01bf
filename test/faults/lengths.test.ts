/** Lengths that are none, too many, or just beside the edge: nothing is touched outside, wasted, cut unseen or leaked. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as net from "../../src/index.ts";
import { AF_INET, AF_INET6, AF_UNIX, SCM_RIGHTS, SOCK_DGRAM, Socket, SOL_SOCKET } from "../../src/index.ts";
import {
  codeOf,
  descriptors,
  Folder,
  hasUnixDatagrams,
  isLinux,
  isWindows,
  leftOpen,
  needs,
  passesDescriptors,
  Sockets,
  tellsWhatWasCut,
} from "../help.ts";

const INT_MAX = 2 ** 31 - 1;
const passing = needs("SCM_RIGHTS", passesDescriptors);
const unixTest = needs("AF_UNIX datagram socket", hasUnixDatagrams);
/** Room for much more than there is. (Wine touches all of it, each time.) */
const HUGE = isWindows ? 2 ** 24 : INT_MAX;
/** MSG_TRUNC where a receive may be given it. */
const TRUNC = isWindows ? 0 : net.MSG_TRUNC;

let before: number[] = [];
beforeEach(() => {
  before = descriptors();
});
afterEach(() => expect(leftOpen(before)).toEqual([]));

/** How much more memory the process has after a call, in megabytes. */
function grown(call: () => void): number {
  Bun.gc(true);
  const started = process.memoryUsage.rss();
  call();
  return (process.memoryUsage.rss() - started) / 2 ** 20;
}

/** Text that tells where in it one is. */
const pattern = (length: number, seed = 0) => Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 7 + seed) % 251));

describe("receiving", () => {
  test("no room, or two gigabytes of it, for a few bytes", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const megabytes = grown(() => {
      for (let i = 0; i < 5; i++) {
        for (const flags of [0, TRUNC]) {
          for (let n = 0; n < 3; n++) b.send("hello");
          expect(a.recv(HUGE, flags).toString()).toBe("hello");
          expect(a.recvfrom(HUGE, flags)[0].toString()).toBe("hello");
          expect(a.recvmsg(HUGE, HUGE, flags)[0].toString()).toBe("hello");
        }
      }
    });
    expect(megabytes).toBeLessThan(200);

    b.send("hello");
    expect(a.recv(0).length).toBe(0); // makes no call
    expect(a.recvfrom(0)[0].length).toBe(0);
    b.send("hello");
    const [data, , flags] = a.recvmsg(0);
    expect([data.length, flags & net.MSG_TRUNC]).toEqual([0, net.MSG_TRUNC]);
    b.send("hello");
    expect(a.recvmsgInto([])[2] & net.MSG_TRUNC).toBe(net.MSG_TRUNC);
    b.send("hello");
    expect(a.recv(1).toString()).toBe("h");
    a.setblocking(false);
    expect(codeOf(() => a.recv(1))).toBe("EAGAIN");
  });

  test("what was returned is never written to again", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const kept: [got: Buffer, expected: Buffer][] = [];
    const most = isWindows ? 65507 : 65536; // the largest datagram
    const sizes = [1, 999, 1000, 1001, 1001, 4096, 4096, 1000, 1001, most, most, 4096, 1];
    for (const [seed, size] of sizes.entries()) {
      for (const sent of [size, size - 1, size >> 1]) {
        for (const receive of [
          () => a.recv(size),
          () => a.recvfrom(size)[0],
          () => a.recvmsg(size)[0],
          () => a.recv(size, TRUNC),
        ]) {
          const data = pattern(sent, seed);
          b.send(data);
          kept.push([receive(), data]);
        }
      }
    }
    for (const [got, expected] of kept) expect(got.equals(expected)).toBe(true);
    const memories = new Set(kept.filter(([got]) => got.length > 0).map(([got]) => got.buffer));
    expect(memories.size).toBe(kept.filter(([got]) => got.length > 0).length);
  });

  needs("MSG_TRUNC to receive with", !isWindows)("MSG_TRUNC shows nothing of what was received before", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.tcp();
    for (const size of [1000, 5000, (1 << 20) + 1]) {
      b.sendall("secret".repeat(100));
      a.recv(size);
      b.sendall("x".repeat(600));
      // On Linux a TCP socket throws the data away, and tells how much that was.
      const data = a.recv(size, net.MSG_TRUNC);
      expect(data.toString("latin1")).not.toContain("secret");
    }
    const [c, d] = sockets.pair(SOCK_DGRAM);
    d.send("x".repeat(600));
    expect(c.recv(10, net.MSG_TRUNC).toString()).toBe("x".repeat(10)); // the length is 600: not that of the result
  });

  test("into a view: not a byte beside it", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    for (const length of [1, 2, 7, 8, 100]) {
      for (const into of [
        (view: Uint8Array) => a.recvInto(view),
        (view: Uint8Array) => a.recvInto(view, 0),
        (view: Uint8Array) => a.recvInto(view, length),
        (view: Uint8Array) => a.recvfromInto(view)[0],
        (view: Uint8Array) => a.recvmsgInto([view])[0],
        (view: Uint8Array) => a.recvmsgInto([view.subarray(0, 1), view.subarray(1)])[0],
        (view: Uint8Array) => Math.min(length, a.recvInto(view, length, TRUNC)),
      ]) {
        const memory = new Uint8Array(300).fill(1);
        b.send(new Uint8Array(200).fill(2));
        expect(into(memory.subarray(50, 50 + length))).toBe(length);
        const expected = new Uint8Array(300).fill(1).fill(2, 50, 50 + length);
        expect(Buffer.compare(memory, expected)).toBe(0);
      }
      expect(() => a.recvInto(new Uint8Array(length), length + 1)).toThrow(/^nbytes: /);
      expect(() => a.recvfromInto(new Uint8Array(length), length + 1)).toThrow(/^nbytes: /);
    }
  });

  test("an ioctl that writes an int, into less than that", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    b.send("hello");
    for (const length of [0, 1, 3, 4, 9]) {
      const memory = new Uint8Array(32).fill(0xaa);
      const expected = new Uint8Array(32).fill(0xaa);
      if (isWindows && length < 4) {
        expect(codeOf(() => a.ioctl(net.FIONREAD, memory.subarray(8, 8 + length)))).toBe("EFAULT");
      } else {
        a.ioctl(net.FIONREAD, memory.subarray(8, 8 + length));
        expected.set([5, 0, 0, 0].slice(0, length), 8);
      }
      expect(memory).toEqual(expected);
    }
  });
});

describe("room for control messages", () => {
  /** What is told of credentials: `struct ucred`. */
  const CREDENTIALS = 12;
  const { SCM_CREDENTIALS, SO_PASSCRED, MSG_CTRUNC, CMSG_LEN, CMSG_SPACE } = net;

  /** Receives with that much room, closes what came, and tells it: credentials, descriptors, whether some are missing. */
  function receive(a: Socket, room: number, into: boolean): [credentials: number, fds: number, cut: boolean] {
    const target = new Uint8Array(10);
    const [data, ancdata, flags] = into ? a.recvmsgInto([target], room) : a.recvmsg(10, room);
    const text = typeof data === "number" ? Buffer.from(target).toString("latin1", 0, data) : data.toString();
    expect(text).toBe("data");
    let credentials = 0;
    let fds = 0;
    for (const [level, type, bytes] of ancdata) {
      expect(level).toBe(SOL_SOCKET);
      if (type === SCM_CREDENTIALS) credentials = bytes.length;
      else {
        expect(type).toBe(SCM_RIGHTS);
        for (; fds * 4 + 4 <= bytes.length; fds++) net.close(bytes.readInt32LE(fds * 4));
      }
    }
    return [credentials, fds, (flags & MSG_CTRUNC) !== 0];
  }

  /** Every size from none to more than enough: what comes is whole or told to be cut, and nothing stays open. */
  function tryRooms(credentials: boolean, count: number): void {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    if (credentials) a.setsockopt(SOL_SOCKET, SO_PASSCRED, 1);
    const fds = Array.from({ length: count }, () => a.fileno());
    const enough = (credentials ? CMSG_SPACE(CREDENTIALS) : 0) + (count > 0 ? CMSG_LEN(4 * count) : 0);
    const open = descriptors();
    let most = 0;
    for (let room = 0; room <= enough + 16; room++) {
      for (const into of [false, true]) {
        if (count > 0) net.sendFds(b, ["data"], fds);
        else b.send("data");
        const [came, descriptorsCame, cut] = receive(a, room, into);
        expect(leftOpen(open)).toEqual([]);
        const whole = came === (credentials ? CREDENTIALS : 0) && descriptorsCame === count;
        expect([room, cut]).toEqual([room, !whole]);
        if (room >= enough) expect(whole).toBe(true);
        most = Math.max(most, descriptorsCame);
      }
    }
    expect(most).toBe(count);
  }

  const cutting = needs("SCM_RIGHTS and MSG_CTRUNC", passesDescriptors && tellsWhatWasCut);
  const withCredentials = needs("SCM_CREDENTIALS and MSG_CTRUNC", SO_PASSCRED !== undefined && tellsWhatWasCut);
  cutting("with descriptors coming", () => {
    for (const count of [1, 2, 3, 5]) tryRooms(false, count);
  });
  withCredentials("with credentials coming", () => tryRooms(true, 0));
  withCredentials("with both coming", () => tryRooms(true, 2));

  passing("two gigabytes", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const megabytes = grown(() => {
      for (let i = 0; i < 10; i++) {
        net.sendFds(b, ["data"], [0, 0, 0]);
        expect(receive(a, INT_MAX, i % 2 === 0)).toEqual([0, 3, false]);
      }
    });
    expect(megabytes).toBeLessThan(100);
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(INT_MAX); // nothing of that size is kept
  });

  cutting("as many descriptors as the system sends at once", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const many = (count: number) => Array.from({ length: count }, () => a.fileno());
    const most = isLinux ? 253 : 50; // SCM_MAX_FD
    for (const room of [most, 65535]) {
      net.sendFds(b, ["data"], many(most));
      const [, fds, flags] = net.recvFds(a, 10, room);
      fds.forEach(net.close);
      expect([fds.length, flags & MSG_CTRUNC]).toEqual([most, 0]);
    }
    net.sendFds(b, ["data"], many(most));
    const [, fds, flags] = net.recvFds(a, 10, most - 3);
    fds.forEach(net.close);
    expect(fds.length).toBeGreaterThanOrEqual(most - 3);
    expect(flags & MSG_CTRUNC).toBe(MSG_CTRUNC);
    if (isLinux) {
      expect(codeOf(() => net.sendFds(b, ["data"], many(most + 1)))).toBe("EINVAL");
      expect(codeOf(() => net.sendFds(b, ["data"], many(100_000)))).toMatch(/^(ENOBUFS|EINVAL)$/); // optmem_max
    }
    expect(() => net.recvFds(a, 10, 65536)).toThrow(/^maxfds: /);
    expect(codeOf(() => net.sendFds(b, ["data"], [...many(2), 0x7fff_fff0]))).toBe("EBADF");
  });

  const pidfd = isLinux && passesPidfd();
  needs("SO_PASSPIDFD", pidfd)("recvFds closes a descriptor that it does not return", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    a.setsockopt(SOL_SOCKET, net.SO_PASSPIDFD, 1);
    net.sendFds(b, ["data"], [0]);
    const [, ancdata] = a.recvmsg(10, 200);
    for (const [, , bytes] of ancdata) net.close(bytes.readInt32LE());
    expect(ancdata.map(([, type]) => type).sort()).toEqual([SCM_RIGHTS, net.SCM_PIDFD].sort()); // it does come
    net.sendFds(b, ["data"], [0]);
    const [, fds] = net.recvFds(a, 10, 20);
    expect(fds.length).toBe(1);
    fds.forEach(net.close);
  });

  function passesPidfd(): boolean {
    using sockets = new Sockets();
    const [a] = sockets.pair(SOCK_DGRAM);
    return codeOf(() => a.setsockopt(SOL_SOCKET, net.SO_PASSPIDFD, 1)).startsWith("nothing thrown");
  }
});

describe("sending", () => {
  test("nothing, and more than a datagram holds", () => {
    using sockets = new Sockets();
    const [a, b] = [sockets.udp(), sockets.udp()];
    const to = b.getsockname();
    expect(a.sendto("", to)).toBe(0);
    expect(a.sendto(new Uint8Array(0), 0, to)).toBe(0);
    expect(a.sendmsg([], [], 0, to)).toBe(0);
    expect(a.sendmsg(["", new Uint8Array(0), ""], [], 0, to)).toBe(0);
    a.sendto("end", to);
    for (let i = 0; i < 4; i++) expect(b.recvfrom(10)).toEqual([Buffer.alloc(0), a.getsockname()]);
    expect(b.recv(10).toString()).toBe("end");
    const large = new Uint8Array(70_000);
    expect(codeOf(() => a.sendto(large, to))).toBe("EMSGSIZE");
    expect(codeOf(() => a.sendmsg([large], [], 0, to))).toBe("EMSGSIZE");
    expect(codeOf(() => a.sendmsg([large.subarray(0, 40_000), large.subarray(40_000)], [], 0, to))).toBe("EMSGSIZE");
    expect(a.sendto(large.subarray(0, 65507), to)).toBe(65507);
    expect(b.recv(65536).length).toBe(65507);
  });

  test("more pieces than the system takes", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const views = Array.from({ length: 1025 }, (_, i) => Uint8Array.of(i));
    expect(a.sendmsg(views.slice(0, 1024))).toBe(1024);
    expect(codeOf(() => a.sendmsg(views))).toBe("EMSGSIZE");
    expect(codeOf(() => a.sendmsg(Array(100_000).fill("x")))).toBe("EMSGSIZE");
    const into = views.map(() => new Uint8Array(1));
    expect(codeOf(() => b.recvmsgInto(into))).toBe("EMSGSIZE");
    expect(b.recvmsgInto(into.slice(0, 1024))[0]).toBe(1024); // it was not lost
    expect(into.slice(0, 1024)).toEqual(views.slice(0, 1024));
    a.setblocking(false);
    b.setblocking(false);
    expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
  });

  needs("an AF_UNIX that ignores the control messages of others", isLinux)("control messages of every length", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const fds = new Int32Array([a.fileno()]);
    for (let length = 0; length <= 100; length++) {
      const filler = pattern(length);
      // What lies behind them is only understood where they are as long as they say.
      const ancdata: net.AncillaryData[] = [
        [0x1234, 1, filler],
        [SOL_SOCKET, SCM_RIGHTS, fds],
        [0x1234, 2, filler],
      ];
      expect(a.sendmsg(["data"], ancdata)).toBe(4);
      const [, got] = net.recvFds(b, 10, 1);
      expect([length, got.length]).toEqual([length, 1]);
      got.forEach(net.close);
      expect(codeOf(() => a.sendmsg(["data"], [[SOL_SOCKET, 0x1234, filler]]))).toBe("EINVAL");
    }
    b.setblocking(false);
    expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
  });

  test("giant control messages", () => {
    using sockets = new Sockets();
    const [a, b] = sockets.pair(SOCK_DGRAM);
    const kind = isWindows ? ([net.IPPROTO_IP, net.IP_PKTINFO] as const) : ([SOL_SOCKET, SCM_RIGHTS] as const);
    for (const length of isWindows ? [] : [1 << 20, 64 << 20]) {
      const code = codeOf(() => a.sendmsg(["data"], [[...kind, new Uint8Array(length)]]));
      expect(["ENOBUFS", "EINVAL", "EMSGSIZE"]).toContain(code);
    }
    // Not touched, and so no memory: three times this is more than an int can say.
    const gigabyte = new Uint8Array(2 ** 30);
    const item: net.AncillaryData = [...kind, gigabyte];
    const megabytes = grown(() => expect(() => a.sendmsg(["data"], [item, item, item])).toThrow(/^ancdata: .*at most/));
    expect(megabytes).toBeLessThan(100);
    b.setblocking(false);
    expect(codeOf(() => b.recv(1))).toBe("EAGAIN");
  });

  test("CMSG_LEN and CMSG_SPACE at the end of an int", () => {
    for (const size of [net.CMSG_LEN, net.CMSG_SPACE]) {
      const padding = net.CMSG_SPACE(1) - net.CMSG_SPACE(0);
      const most = INT_MAX - size(0) - (size === net.CMSG_SPACE ? (INT_MAX - size(0)) % padding : 0);
      expect(size(most)).toBeGreaterThan(most);
      expect(size(most)).toBeLessThanOrEqual(INT_MAX);
      expect(() => size(most + 1)).toThrow(RangeError);
      for (let length = 0; length < 100; length++)
        expect(net.CMSG_SPACE(length)).toBeGreaterThanOrEqual(net.CMSG_LEN(length));
    }
  });
});

describe("options", () => {
  test("room of every size", () => {
    using sockets = new Sockets();
    const [a] = sockets.tcp();
    const whole = a.getsockopt(net.IPPROTO_TCP, net.TCP_INFO ?? net.TCP_NODELAY, 1 << 20).length;
    // Windows wants room for all of an int; Wine says that it filled all the room that there was.
    const typeOf = (length: number) => a.getsockopt(SOL_SOCKET, net.SO_TYPE, length);
    for (let length = 1; length <= 300; length++) {
      if (!isWindows) expect(typeOf(length).length).toBe(Math.min(length, 4));
      else if (length < 4) expect(codeOf(() => typeOf(length))).toBe("EFAULT");
      else expect(typeOf(length).readInt32LE()).toBe(net.SOCK_STREAM);
      const info = codeOf(() => a.getsockopt(net.IPPROTO_TCP, net.TCP_INFO ?? net.TCP_NODELAY, length).length);
      if (isLinux) expect(info).toBe(`nothing thrown, ${Math.min(length, whole)} returned`);
    }
    const megabytes = grown(() => {
      for (const length of [65536, 1 << 20, HUGE]) {
        const value = typeOf(length);
        if (isWindows) expect(value.length).toBeLessThanOrEqual(length);
        else expect(value.length).toBe(4);
      }
    });
    expect(megabytes).toBeLessThan(100);
  });

  test("values of no bytes, and of a million", () => {
    using sockets = new Sockets();
    const a = sockets.udp();
    for (const value of [new Uint8Array(0), ""]) {
      const code = codeOf(() => a.setsockopt(SOL_SOCKET, net.SO_BROADCAST, value));
      if (!isWindows) expect(code).toBe("EINVAL"); // Windows says EFAULT, Wine nothing
    }
    for (const length of [1, 2, 3, 4, 5, 1 << 20]) {
      codeOf(() => a.setsockopt(SOL_SOCKET, net.SO_BROADCAST, new Uint8Array(length).fill(1)));
      const on = a.getsockopt(SOL_SOCKET, net.SO_BROADCAST);
      if (isLinux) expect([length, on]).toEqual([length, length < 4 ? 0 : 1]);
      a.setsockopt(SOL_SOCKET, net.SO_BROADCAST, 0);
    }
    expect(codeOf(() => a.setsockopt(SOL_SOCKET, net.SO_BROADCAST, null, INT_MAX))).toStartWith("E");
    expect(codeOf(() => a.setsockopt(SOL_SOCKET, net.SO_BROADCAST, null, 0))).toStartWith("E");
  });

  test("backlogs at both ends", () => {
    using sockets = new Sockets();
    for (const backlog of [INT_MAX, 0, -1, -(2 ** 31)]) {
      const sock = sockets.add(new Socket());
      sock.bind(["127.0.0.1", 0]);
      sock.listen(backlog);
      expect(sock.getsockopt(SOL_SOCKET, net.SO_ACCEPTCONN)).not.toBe(0);
    }
  });
});

describe("names", () => {
  const million = "x".repeat(1_000_000);
  const labels = "xy.".repeat(333_333);

  test("of a million characters", () => {
    using sockets = new Sockets();
    const udp = sockets.udp();
    const codes: [call: () => unknown, code: string | RegExp][] = [
      [() => net.getservbyname(million), "ENOENT"],
      [() => net.getservbyname("http", million), "ENOENT"],
      [() => net.getservbyport(80, million), "ENOENT"],
      [() => net.getprotobyname(million), "ENOENT"],
      [() => net.if_nametoindex(million), "ENODEV"],
      [() => net.inet_aton(million), "EINVAL"],
      [() => net.inet_pton(AF_INET, million), "EINVAL"],
      [() => net.inet_pton(AF_INET6, million), "EINVAL"],
      [() => net.getaddrinfo("127.0.0.1", million), /^EAI_/],
      [() => net.gethostbyname(million), /host: /],
      [() => net.getaddrinfo(labels + "x", 80), /^EAI_/],
      [() => net.gethostbyname("1.".repeat(500_000) + "1"), /^EAI_/],
      [() => net.gethostbyname("é".repeat(500_000)), /host: /],
      [() => net.getnameinfo([million, 80], 0), /address\[0\]: /],
      [() => udp.connect([million, 80]), /address\[0\]: /],
      [() => net.sethostname(million), isWindows ? /no such call/ : /^E(INVAL|PERM|NAMETOOLONG)$/],
    ];
    for (const [call, code] of codes) {
      if (typeof code === "string") expect(codeOf(call)).toBe(code);
      else expect(codeOf(call)).toMatch(code);
    }
    // Messages show what they got, not all of it.
    expect(codeOf(() => net.gethostbyname(million)).length).toBeLessThan(200);
  });

  unixTest("paths of a million characters", () => {
    using unix = new Socket(AF_UNIX, SOCK_DGRAM);
    expect(codeOf(() => unix.bind(million))).toBe("ENAMETOOLONG");
    expect(codeOf(() => unix.connect(Buffer.from(million)))).toBe("ENAMETOOLONG");
    expect(codeOf(() => unix.sendto("x", "\0" + million))).toMatch(isLinux ? "ENAMETOOLONG" : /address: /);
    expect(codeOf(() => unix.bind(million)).length).toBeLessThan(100);
  });

  unixTest("paths around the size of sun_path", () => {
    using sockets = new Sockets();
    using folder = new Folder();
    const most = isLinux ? 108 : 104;
    const path = (length: number) => folder.file("").padEnd(length, "x");
    for (const length of [most - 1, most]) {
      const sock = sockets.add(new Socket(AF_UNIX, SOCK_DGRAM));
      sock.bind(path(length));
      expect(sock.getsockname()).toBe(path(length));
    }
    const sock = sockets.add(new Socket(AF_UNIX, SOCK_DGRAM));
    expect(codeOf(() => sock.bind(path(most + 1)))).toBe("ENAMETOOLONG");
    expect(codeOf(() => sock.bind(path(most - 1).slice(0, -1) + "é"))).toStartWith("nothing"); // most bytes
    const other = sockets.add(new Socket(AF_UNIX, SOCK_DGRAM));
    expect(codeOf(() => other.bind(path(most).slice(0, -1) + "é"))).toBe("ENAMETOOLONG");
  });

  test("bytes of a family without a codec", () => {
    using sockets = new Sockets();
    const sock = sockets.add(new Socket(0x7777, SOCK_DGRAM, 0, { fileno: sockets.udp().detach() }));
    for (const length of [0, 1, 13, 14, 126]) {
      const code = codeOf(() => sock.connect([AF_UNIX, new Uint8Array(length)]));
      if (isWindows) expect(code).toMatch(/^E(INVAL|FAULT|AFNOSUPPORT|ADDRNOTAVAIL)$/);
      else expect(code).toBe(length < 14 ? "EINVAL" : "EAFNOSUPPORT");
    }
    expect(() => sock.connect([AF_UNIX, new Uint8Array(127)])).toThrow(/^address\[1\]: .*126 bytes/);
    expect(() => sock.connect([65536, ""])).toThrow(/^address\[0\]: /);
  });

  test("addresses with too few and too many fields, or with wrong ones", () => {
    using sockets = new Sockets();
    const four = sockets.udp();
    const hosts = ["127.0.0.1", 80, 0, 0, 0, 0];
    const uses = (sock: Socket, address: unknown): (() => unknown)[] => [
      () => sock.bind(address as never),
      () => sock.connect(address as never),
      () => sock.connectEx(address as never),
      () => sock.sendto("x", address as never),
      () => sock.sendmsg(["x"], [], 0, address as never),
    ];
    for (const length of [0, 1, 3, 4, 5, 6]) {
      for (const use of uses(four, hosts.slice(0, length))) expect(use).toThrow(/^address: expected \[host, port\]/);
      if (length > 2 && length < 5) continue;
      expect(() => net.getnameinfo(hosts.slice(0, length) as never, 0)).toThrow(/^address: expected \[host, port/);
    }
    for (const [address, field] of [
      [[1, 80], 0],
      [[Buffer.from("127.0.0.1"), 80], 0],
      [["127.0.0.1\0", 80], 0],
      [["127.0.0.1", "80"], 1],
      [["127.0.0.1", 65536], 1],
      [["127.0.0.1", -1], 1],
      [["127.0.0.1", 1.5], 1],
      [["127.0.0.1", undefined], 1],
    ] as const) {
      for (const use of uses(four, address)) expect(use).toThrow(`address[${field}]: expected`);
      expect(() => net.getnameinfo(address as never, 0)).toThrow(`address[${field}]: expected`);
    }
    expect(four.getsockname()[0]).toBe("127.0.0.1");
    expect(codeOf(() => four.getpeername())).toBe("ENOTCONN");
  });

  needs("IPv6", net.hasDualstackIPv6())("IPv6 addresses likewise", () => {
    using sockets = new Sockets();
    const sock = sockets.add(new Socket(AF_INET6, SOCK_DGRAM));
    for (const length of [0, 1, 5, 6]) {
      const address = ["::1", 9, 0, 0, 0, 0].slice(0, length) as never;
      expect(() => sock.connect(address)).toThrow(/^address: expected \[host, port, flowinfo\?, scopeId\?\]/);
    }
    for (const [address, field] of [
      [["::1", 9, 2 ** 20, 0], 2],
      [["::1", 9, -1, 0], 2],
      [["::1", 9, 0, 2 ** 32], 3],
      [["::1", 9, 0, -1], 3],
      [["::1", 9, undefined, 0], 2],
    ] as const) {
      expect(() => sock.connect(address as never)).toThrow(`address[${field}]: expected`);
    }
    // The system may want labels to be leased first.
    expect(codeOf(() => sock.connect(["::1", 9, 0xfffff, 0]))).toMatch(/^(nothing thrown|EINVAL)/);
  });

  test("ports that the resolver would cut to 16 bits", () => {
    for (const port of [65536, 65537, -1, 2 ** 31 - 1]) {
      expect(() => net.getaddrinfo("127.0.0.1", port)).toThrow(/^port: expected an integer from 0 to 65535/);
      expect(() => net.createConnection(["127.0.0.1", port])).toThrow(/^port: /);
    }
    expect(() => net.getaddrinfo("127.0.0.1", "65617")).toThrow(/^port: /);
    expect(net.getaddrinfo("127.0.0.1", "65535")[0]?.[4]).toEqual(["127.0.0.1", 65535]);
  });
});
