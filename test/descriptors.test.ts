/** Descriptors: who owns them, who inherits them, and how they go from process to process. */
import { expect } from "bun:test";
import { dlopen } from "bun:ffi";
import { closeSync, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  close,
  CMSG_LEN,
  CMSG_SPACE,
  dup,
  IPPROTO_ICMP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  MSG_CTRUNC,
  SCM_RIGHTS,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  type Socket as BlockingSocket,
  SOL_SOCKET,
} from "../src/index.ts";
import {
  attempt,
  blockingTest,
  codeOf,
  leavesNothingOpen,
  needs,
  peer,
  pythonPeer,
  test,
  type Socket,
} from "./faces.ts";
import {
  Folder,
  hasUnix,
  hasUnixDatagrams,
  isLinux,
  isRoot,
  isWindows,
  passesDescriptors,
  python,
  tellsWhatWasCut,
} from "./help.ts";

const passing = needs("SCM_RIGHTS", passesDescriptors);

/** Whether the kernel closes a descriptor on exec, by its own account. */
function closesOnExec(fd: number): boolean {
  const flags = /flags:\s*([0-7]+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"));
  return (parseInt(flags![1]!, 8) & 0o2000000) !== 0;
}

/** system(3): runs a command of the shell in a child process that, unlike those of Bun, gets what is inheritable. */
const system = ((): ((command: string) => number) | null => {
  for (const name of ["libc.so.6", `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`]) {
    try {
      const library = dlopen(name, { system: { args: ["cstring"], returns: "i32" } });
      return (command) => library.symbols.system(Buffer.from(`${command}\0`));
    } catch {
      // Not this one.
    }
  }
  return null;
})();

test("a closed socket has no descriptor, and its calls are EBADF", async (net) => {
  const sock = new net.Socket(AF_INET);
  const fd = sock.fileno();
  expect(fd).toBeGreaterThan(2);
  sock.close();
  expect(sock.fileno()).toBe(-1);
  sock.close();
  const view = new Uint8Array(4);
  const address = ["127.0.0.1", 9] as const;
  for (const call of [
    () => sock.accept(),
    () => sock.bind(address),
    () => sock.connect(address),
    () => sock.dup(),
    () => sock.getInheritable(),
    () => sock.setInheritable(true),
    () => sock.getpeername(),
    () => sock.getsockname(),
    () => sock.getsockopt(SOL_SOCKET, 1),
    () => sock.getsockopt(SOL_SOCKET, 1, 4),
    () => sock.setsockopt(SOL_SOCKET, 1, 1),
    () => sock.setsockopt(SOL_SOCKET, 1, view),
    () => sock.ioctl(0x541b, view),
    () => sock.ioctl(0x541b, 1),
    () => sock.listen(),
    () => sock.recv(1),
    () => sock.recv(0),
    () => sock.recvfrom(1),
    () => sock.recvInto(view),
    () => sock.recvfromInto(view),
    () => sock.recvmsg(1, 10),
    () => sock.recvmsgInto([view]),
    () => sock.send("x"),
    () => sock.sendall("x"),
    () => sock.sendall(""),
    () => sock.sendto("x", address),
    () => sock.sendmsg(["x"]),
    () => sock.sendfile(import.meta.path),
    () => sock.shutdown(2),
    () => sock.settimeout(1),
  ]) {
    expect([String(call), await codeOf(call)]).toEqual([String(call), "EBADF"]);
  }
  expect(sock.family).toBe(AF_INET);
  expect(sock.gettimeout()).toBeNull();
});

test("using closes at the end of the scope, also when something is thrown", async (net) => {
  let kept: Socket | undefined;
  expect(() => {
    using sock = new net.Socket(AF_INET);
    kept = sock;
    throw new Error("out");
  }).toThrow("out");
  expect(kept!.fileno()).toBe(-1);
});

blockingTest("a file over the socket keeps the descriptor until it is closed, too", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const file = (a as unknown as BlockingSocket).makefile("rb");
  a.close();
  expect(a.fileno()).toBeGreaterThan(2);
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
  file.close();
  expect(a.fileno()).toBe(-1);
  expect((await b.recv(1)).length).toBe(0);
});

test("detach gives the descriptor up and leaves it open", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const fd = a.fileno();
  expect(a.detach()).toBe(fd);
  expect(a.fileno()).toBe(-1);
  expect(a.detach()).toBe(-1);
  a.close();
  expect(await codeOf(() => a.send("x"))).toBe("EBADF");
  using again = new net.Socket({ fileno: fd });
  again.setblocking(true);
  await again.sendall("still open");
  expect((await b.recv(100)).toString()).toBe("still open");
});

test("dup is a second descriptor of the same socket", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const copy = own.add(a.dup());
  expect(copy.fileno()).not.toBe(a.fileno());
  expect([copy.family, copy.type, copy.proto]).toEqual([a.family, a.type, a.proto]);
  expect(copy.getInheritable()).toBe(false);
  a.close();
  await copy.sendall("by the copy");
  expect((await b.recv(100)).toString()).toBe("by the copy");
  copy.close();
  expect((await b.recv(1)).length).toBe(0);
});

test("the module's dup and close take bare descriptors", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const fd = dup(a.fileno());
  if (isLinux) expect(closesOnExec(fd)).toBe(true);
  a.close();
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
  expect(close(fd)).toBeUndefined();
  expect((await b.recv(1)).length).toBe(0);
  expect(await codeOf(() => close(fd))).toBe("EBADF");
  expect(await codeOf(() => dup(fd))).toBe("EBADF");
});

test("fromfd works on a duplicate", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const copy = own.add(net.fromfd(a.fileno(), a.family, SOCK_STREAM));
  expect(copy.fileno()).not.toBe(a.fileno());
  expect([copy.family, copy.type, copy.proto]).toEqual([a.family, SOCK_STREAM, 0]);
  copy.close();
  await a.sendall("the original is open");
  expect((await b.recv(100)).toString()).toBe("the original is open");
});

test("a socket knows what its descriptor is", async (net) => {
  const kinds: [family: number, type: number, proto: number][] = [
    [AF_INET, SOCK_STREAM, IPPROTO_TCP],
    [AF_INET, SOCK_DGRAM, IPPROTO_UDP],
    [AF_INET6, SOCK_STREAM, IPPROTO_TCP],
    [AF_INET6, SOCK_DGRAM, IPPROTO_UDP],
  ];
  if (hasUnix) kinds.push([AF_UNIX, SOCK_STREAM, 0]);
  if (hasUnixDatagrams) kinds.push([AF_UNIX, SOCK_DGRAM, 0]);
  if (isLinux) kinds.push([AF_UNIX, SOCK_SEQPACKET, 0]);
  for (const [family, type, proto] of kinds) {
    const fileno = new net.Socket(family, type).detach();
    using sock = new net.Socket({ fileno });
    expect([sock.fileno(), sock.family, sock.type, sock.proto]).toEqual([fileno, family, type, proto]);
  }
});

needs("permission for raw sockets", isRoot)("a raw ICMP socket, too", async (net) => {
  const fileno = new net.Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP).detach();
  using sock = new net.Socket({ fileno });
  expect([sock.family, sock.type, sock.proto]).toEqual([AF_INET, SOCK_RAW, IPPROTO_ICMP]);
});

test("-1 for one of family, type and protocol asks for that one", async (net) => {
  const fd = (): number => new net.Socket(AF_INET6, SOCK_DGRAM).detach();
  const seen = (sock: Socket): number[] => {
    using _ = sock;
    return [sock.family, sock.type, sock.proto];
  };
  const udp = IPPROTO_UDP;
  expect(seen(new net.Socket(-1, -1, -1, { fileno: fd() }))).toEqual([AF_INET6, SOCK_DGRAM, udp]);
  expect(seen(new net.Socket(AF_INET6, -1, 0, { fileno: fd() }))).toEqual([AF_INET6, SOCK_DGRAM, 0]);
  expect(seen(new net.Socket(-1, SOCK_DGRAM, 0, { fileno: fd() }))).toEqual([AF_INET6, SOCK_DGRAM, 0]);
  expect(seen(new net.Socket(AF_INET6, SOCK_DGRAM, -1, { fileno: fd() }))).toEqual([AF_INET6, SOCK_DGRAM, udp]);
});

test("what is no socket is not taken over", async (net) => {
  const fd = openSync(import.meta.path, "r");
  const code = isWindows ? "EBADF" : "ENOTSOCK"; // a file's descriptor is no handle of Windows
  try {
    expect(await codeOf(() => new net.Socket({ fileno: fd }))).toBe(code);
    expect(await codeOf(() => new net.Socket(AF_INET, SOCK_STREAM, 0, { fileno: fd }))).toBe(code);
    expect(await codeOf(() => net.fromfd(fd, AF_INET, SOCK_STREAM))).toBe(code);
    expect(fstatSync(fd).isFile()).toBe(true);
  } finally {
    closeSync(fd);
  }
  expect(await codeOf(() => new net.Socket({ fileno: 1_000_000 }))).toBe("EBADF");
});

test("a fileno of another socket is shared, not copied", async (net) => {
  using own = new net.Sockets();
  const [a] = own.pair();
  const same = new net.Socket({ fileno: a.fileno() });
  same.close();
  expect(await codeOf(() => a.send("x"))).toBe("EBADF");
  a.detach();
});

needs("/proc", isLinux)("sockets are not inherited, however they are made, until they are told to be", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.tcp();
  const [c, d] = own.pair();
  const others = [a.dup(), net.fromfd(c.fileno(), AF_UNIX, SOCK_STREAM)].map((sock) => own.add(sock));
  for (const sock of [new net.Socket(AF_INET), a, b, c, d, ...others]) {
    own.add(sock);
    expect(sock.getInheritable()).toBe(false);
    expect(closesOnExec(sock.fileno())).toBe(true);
    sock.setInheritable(true);
    expect(sock.getInheritable()).toBe(true);
    expect(closesOnExec(sock.fileno())).toBe(false);
    sock.setInheritable(false);
    expect(sock.getInheritable()).toBe(false);
    expect(closesOnExec(sock.fileno())).toBe(true);
  }
});

needs("Linux with a C library that is known here", isLinux && system !== null)(
  "a child process has the inheritable sockets and no others",
  async (net) => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    const kept = own.add(new net.Socket(AF_INET));
    kept.setInheritable(true);
    b.setInheritable(true);
    b.setInheritable(false);
    const isOpen = (sock: Socket): boolean => system!(`[ -e /proc/self/fd/${sock.fileno()} ]`) === 0;
    expect([kept, a, b].map(isOpen)).toEqual([true, false, false]);
    kept.setInheritable(false);
    expect(isOpen(kept)).toBe(false);
  },
);

passing("descriptors go over a Unix connection: none, one, many", async (net) => {
  using folder = new Folder();
  await leavesNothingOpen(async () => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    for (const count of [0, 1, 2, 3, 50, 253]) {
      const file = openSync(folder.file(`n${count}`), "w+");
      expect(
        await net.sendFds(
          a,
          [`${count} `, "files"],
          Array.from({ length: count }, () => file),
        ),
      ).toBe(`${count} files`.length);
      closeSync(file);
      const [data, fds, flags, address] = await net.recvFds(b, 100, count);
      expect(data.toString()).toBe(`${count} files`);
      expect(fds.length).toBe(count);
      expect(new Set(fds).size).toBe(count);
      expect(flags).toBe(0);
      expect(address as unknown).toBeNull();
      for (const fd of fds) {
        if (isLinux) expect(closesOnExec(fd)).toBe(true);
        writeSync(fd, "x");
        closeSync(fd);
      }
      expect(readFileSync(folder.file(`n${count}`), "latin1")).toBe("x".repeat(count));
    }
  });
});

needs("SCM_RIGHTS as Linux has it", isLinux)(
  "more descriptors than the system passes at once are EINVAL",
  async (net) => {
    using own = new net.Sockets();
    const [a] = own.pair();
    expect(await codeOf(() => net.sendFds(a, ["x"], new Array<number>(254).fill(0)))).toBe("EINVAL");
  },
);

passing("a descriptor that is not open cannot be sent", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  expect(await codeOf(() => net.sendFds(a, ["x"], [1_000_000]))).toBe("EBADF");
  b.setblocking(false);
  expect(await codeOf(() => b.recv(1))).toBe("EAGAIN");
});

passing("a socket that was sent is the same socket", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  const [client, conn] = own.tcp();
  await net.sendFds(a, ["a connection"], [conn.fileno()]);
  conn.close();
  const [, [fd]] = await net.recvFds(b, 100, 1);
  const received = own.add(new net.Socket({ fileno: fd! }));
  expect([received.family, received.type, received.proto]).toEqual([AF_INET, SOCK_STREAM, IPPROTO_TCP]);
  expect(received.getInheritable()).toBe(false);
  received.setblocking(true);
  await received.sendall("hello");
  expect((await client.recv(100)).toString()).toBe("hello");
});

passing("SCM_RIGHTS by recvmsg and recvmsgInto", async (net) => {
  await leavesNothingOpen(async () => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    for (const receive of [
      () => b.recvmsg(10, CMSG_SPACE(8)),
      () => b.recvmsgInto([new Uint8Array(1), new Uint8Array(3)], CMSG_SPACE(8)),
    ]) {
      await a.sendmsg(["data"], [[SOL_SOCKET, SCM_RIGHTS, new Int32Array([a.fileno(), b.fileno()])]]);
      const [, ancdata, flags] = await receive();
      expect(flags).toBe(0);
      expect(ancdata.map(([level, type, data]) => [level, type, data.length])).toEqual([[SOL_SOCKET, SCM_RIGHTS, 8]]);
      for (const at of [0, 4]) closeSync(ancdata[0]![2].readInt32LE(at));
    }
  });
});

needs("MSG_CTRUNC", isLinux && tellsWhatWasCut)(
  "where there is no room, what fits is delivered, the rest is closed, and MSG_CTRUNC says so",
  async (net) => {
    await leavesNothingOpen(async () => {
      using own = new net.Sockets();
      const [a, b] = own.pair();
      const received = async (room: number): Promise<[count: number, cut: boolean]> => {
        await net.sendFds(a, ["x"], [0, 1, 2]);
        const [, ancdata, flags] = await b.recvmsg(1, room);
        let count = 0;
        for (const [, , data] of ancdata) {
          for (let at = 0; at + 4 <= data.length; at += 4, count++) closeSync(data.readInt32LE(at));
        }
        return [count, (flags & MSG_CTRUNC) !== 0];
      };
      expect(await received(CMSG_SPACE(12))).toEqual([3, false]);
      expect(await received(CMSG_LEN(12))).toEqual([3, false]);
      expect(await received(CMSG_LEN(11))).toEqual([2, true]);
      expect(await received(CMSG_LEN(8))).toEqual([2, true]);
      expect(await received(CMSG_LEN(4))).toEqual([1, true]);
      expect(await received(CMSG_LEN(3))).toEqual([0, true]);
      expect(await received(CMSG_LEN(0))).toEqual([0, true]);
      expect(await received(5)).toEqual([0, true]);
      expect(await received(0)).toEqual([0, true]);
    });
  },
);

needs("SCM_RIGHTS as Linux has it", isLinux)(
  "descriptors that come with data received by recv are closed",
  async (net) => {
    await leavesNothingOpen(async () => {
      using own = new net.Sockets();
      const [a, b] = own.pair();
      for (const receive of [() => b.recv(10), () => b.recvfrom(10), () => b.recvInto(new Uint8Array(10))]) {
        await net.sendFds(a, ["x"], [0, 1, 2]);
        await receive();
      }
    });
  },
);

passing("descriptors that came with what could not be returned are closed", async (net) => {
  const { allocUnsafeSlow } = Buffer;
  await leavesNothingOpen(async () => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    for (const receive of [
      () => b.recvmsg(10, CMSG_SPACE(8)),
      () => b.recvmsgInto([new Uint8Array(1), new Uint8Array(1)], CMSG_SPACE(8)),
      () => net.recvFds(b, 10, 2),
    ]) {
      await net.sendFds(a, ["x"], [0, 1]);
      // The memory for the result is not to be had.
      Buffer.allocUnsafeSlow = () => {
        throw new Error("out of memory");
      };
      try {
        await expect(attempt(receive)).rejects.toThrow("out of memory");
      } finally {
        Buffer.allocUnsafeSlow = allocUnsafeSlow;
      }
    }
  });
});

passing("descriptors that nobody received are closed with the connection", async (net) => {
  await leavesNothingOpen(async () => {
    using own = new net.Sockets();
    const [a, b] = own.pair();
    await net.sendFds(a, ["x"], [b.fileno(), a.fileno()]);
  });
});

needs("SCM_RIGHTS and MSG_CTRUNC", passesDescriptors && tellsWhatWasCut)(
  "recvFds cuts, and leaves other control messages alone",
  async (net) => {
    await leavesNothingOpen(async () => {
      using own = new net.Sockets();
      const [a, b] = own.pair();
      await a.sendall("no descriptors");
      expect((await net.recvFds(b, 100, 4)).slice(0, 3)).toEqual([Buffer.from("no descriptors"), [], 0]);
      await net.sendFds(a, ["two"], [0, 1]);
      const [data, fds, flags] = await net.recvFds(b, 100, 1);
      for (const fd of fds) close(fd);
      expect(data.toString()).toBe("two");
      expect([1, 2]).toContain(fds.length);
      if (fds.length === 1) expect(flags & MSG_CTRUNC).toBe(MSG_CTRUNC);
    });
  },
);

passing("descriptors go by datagram, to an address", async (net) => {
  using folder = new Folder();
  await leavesNothingOpen(async () => {
    using own = new net.Sockets();
    const receiver = own.add(new net.Socket(AF_UNIX, SOCK_DGRAM));
    receiver.bind(folder.file("r"));
    receiver.settimeout(5);
    const sender = own.add(new net.Socket(AF_UNIX, SOCK_DGRAM));
    await net.sendFds(sender, ["here"], [receiver.fileno()], 0, folder.file("r"));
    const [data, fds] = await net.recvFds(receiver, 10, 1);
    expect(data.toString()).toBe("here");
    expect(fds.length).toBe(1);
    close(fds[0]!);
  });
});

passing("descriptors go to another process, and come back", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const [a, b] = own.pair();
  using other = peer(
    (net, path) => {
      const sock = net.given[0]!;
      const [data, fds] = net.recvFds(sock, 100, 2);
      const fs = process.getBuiltinModule("node:fs");
      fs.writeSync(fds[0]!, `got ${data} and ${fds.length}`);
      net.sendFds(sock, ["mine"], [fs.openSync(path, "r")]);
    },
    [folder.file("theirs")],
    [b],
  );
  await Bun.write(folder.file("theirs"), "their file");
  const mine = openSync(folder.file("mine"), "w+");
  await net.sendFds(a, ["it"], [mine, mine]);
  const [data, [fd]] = await net.recvFds(a, 100, 1);
  expect(data.toString()).toBe("mine");
  expect(readFileSync(fd!, "latin1")).toBe("their file");
  const text = Buffer.alloc(50);
  expect(text.toString("latin1", 0, readSync(mine, text, 0, 50, 0))).toBe("got it and 2");
  closeSync(fd!);
  closeSync(mine);
  await other.output();
});

needs("python3", python !== null)("descriptors go to python3, and come back", async (net) => {
  using own = new net.Sockets();
  const [a, b] = own.pair();
  using other = pythonPeer(
    `s = socket.socket(fileno=3)
data, fds, flags, addr = socket.recv_fds(s, 100, 10)
os.write(fds[0], b"from python: " + data)
r, w = os.pipe()
os.write(w, b"piped")
os.close(w)
socket.send_fds(s, [b"a", b"b"], [r, fds[1]])`,
    [],
    [b],
  );
  const [near, far] = net.socketpair();
  own.add(near).settimeout(5);
  await net.sendFds(a, ["hello"], [own.add(far).fileno(), 1]);
  expect((await near.recv(100)).toString()).toBe("from python: hello");
  const [data, fds] = await net.recvFds(a, 100, 10);
  expect(data.toString()).toBe("ab");
  expect(fds.length).toBe(2);
  const text = Buffer.alloc(10);
  expect(text.toString("latin1", 0, readSync(fds[0]!, text))).toBe("piped");
  for (const fd of fds) close(fd);
  await other.output();
});

needs("SOCK_NONBLOCK", isLinux)("SOCK_NONBLOCK is no part of a type that is asked for or given", async (net) => {
  using sock = new net.Socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
  expect(sock.type).toBe(SOCK_DGRAM);
  using same = new net.Socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, { fileno: dup(sock.fileno()) });
  expect(same.type).toBe(SOCK_DGRAM);
  const [a, b] = net.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  expect([a.type, b.type]).toEqual([SOCK_STREAM, SOCK_STREAM]);
  expect([a.gettimeout(), b.gettimeout()]).toEqual([0, 0]);
  a.close();
  b.close();
});

test("an open, a connected and a closed socket show what they are", async (net) => {
  using own = new net.Sockets();
  const open = new net.Socket(AF_INET6, SOCK_DGRAM);
  if (isWindows) open.bind(["::", 0]); // there what is not bound has no name
  expect(Bun.inspect(open)).toMatch(/^Socket <fd \d+, AF_INET6, SOCK_DGRAM, local \[ "::", \d+, 0, 0 \]>$/);
  open.close();
  expect(Bun.inspect(open)).toBe("Socket <closed, AF_INET6, SOCK_DGRAM>");
  const [a, b] = own.tcp();
  const [host, port] = a.getsockname();
  expect(Bun.inspect(a)).toContain(`AF_INET, SOCK_STREAM, local [ "${host}", ${port} ]`);
  expect(Bun.inspect(a)).toEndWith(`peer [ "127.0.0.1", ${b.getsockname()[1]} ]>`);
  using proto = new net.Socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  expect(Bun.inspect(proto)).toContain("proto 6");
});
