/**
 * AF_VSOCK over its loopback, by which a machine speaks to itself: addresses, streams, SOCK_SEQPACKET, options, and the
 * machine's own number.
 *
 * Peers: CPython, socat.
 */
import { afterEach, expect, setDefaultTimeout } from "bun:test";
import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import {
  AF_VSOCK,
  ioctl,
  IOCTL_VM_SOCKETS_GET_LOCAL_CID,
  MSG_EOR,
  MSG_PEEK,
  MSG_TRUNC,
  OSError,
  SHUT_WR,
  SO_TYPE,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY,
  type VsockAddress,
} from "../../src/index.ts";
import {
  codeOf,
  expectTimeout,
  needs,
  peer,
  python,
  pythonPeer,
  receiveAll,
  slowness,
  Sockets,
  thrown,
  timeval,
  works,
  worksInEmulator,
} from "../help.ts";
import { Program } from "../program.ts";

setDefaultTimeout(30_000 * slowness);

const hasVsock = AF_VSOCK !== undefined && works(() => new Socket(AF_VSOCK, SOCK_STREAM));

/** Whether a machine can speak to itself: its loopback is a transport of its own, a module of the kernel. */
const hasLoopback =
  hasVsock &&
  works(() => {
    const sock = new Socket(AF_VSOCK, SOCK_STREAM);
    sock.bind([VMADDR_CID_LOCAL, VMADDR_PORT_ANY]);
    return sock;
  });
const vsocks = needs("AF_VSOCK", hasVsock);
const loopback = needs("AF_VSOCK with a loopback", hasLoopback);

afterEach(async () => {
  for (const program of Program.running) await program.kill();
});

function vsock(own: Sockets, type: number = SOCK_STREAM): Socket<"AF_VSOCK"> {
  const sock = own.add(new Socket(AF_VSOCK, type));
  sock.settimeout(5 * slowness);
  return sock;
}

function listener(own: Sockets, type: number = SOCK_STREAM): Socket<"AF_VSOCK"> {
  const sock = vsock(own, type);
  sock.bind([VMADDR_CID_LOCAL, VMADDR_PORT_ANY]);
  sock.listen();
  return sock;
}

/** Two ends of a connection, and the listener's address. */
function connection(own: Sockets, type: number = SOCK_STREAM): [Socket<"AF_VSOCK">, Socket<"AF_VSOCK">, VsockAddress] {
  const server = listener(own, type);
  const client = vsock(own, type);
  client.connect(server.getsockname());
  const [conn, from] = server.accept();
  own.add(conn).settimeout(5 * slowness);
  expect(from).toEqual([VMADDR_CID_LOCAL, client.getsockname()[1]]);
  return [client, conn, server.getsockname()];
}

vsocks("an unbound socket has any context and any port; a bound one has what it asked for", () => {
  using own = new Sockets();
  const sock = vsock(own);
  expect(sock.getsockname()).toEqual([VMADDR_CID_ANY, VMADDR_PORT_ANY]);
  expect(codeOf(() => sock.getpeername())).toBe("ENOTCONN");
  sock.bind([VMADDR_CID_ANY, VMADDR_PORT_ANY]);
  const [cid, port] = sock.getsockname();
  expect(cid).toBe(VMADDR_CID_ANY);
  expect(port).toBeGreaterThan(0);
  expect(port).toBeLessThan(VMADDR_PORT_ANY);
  const above = 0x8000_0000 + (process.pid % 0x1000_0000); // a port is of 32 bits, without a sign
  const high = vsock(own);
  high.bind([VMADDR_CID_ANY, above]);
  expect(high.getsockname()).toEqual([VMADDR_CID_ANY, above]);
  const taken = thrown(() => vsock(own).bind([VMADDR_CID_ANY, above]));
  expect([taken.code, taken.address]).toEqual(["EADDRINUSE", [VMADDR_CID_ANY, above]]);
  expect(codeOf(() => high.bind([VMADDR_CID_ANY, above + 1]))).toBe("EINVAL"); // it is bound
  expect(codeOf(() => vsock(own).bind([0x7654_3210, above + 1]))).toBe("EADDRNOTAVAIL"); // another machine's
});

vsocks("what is no address is refused before any call", () => {
  using own = new Sockets();
  const sock = vsock(own);
  for (const [address, error] of [
    [undefined, /^address: /],
    ["1", /^address: /],
    [[1], /^address: /],
    [[1, 2, 3], /^address: /],
    [["1", 2], /^address\[0\]: /],
    [[1n, 2], /^address\[0\]: /],
    [[-1, 2], /^address\[0\]: /],
    [[2 ** 32, 2], /^address\[0\]: /],
    [[1, 0.5], /^address\[1\]: /],
    [[1, undefined], /^address\[1\]: /],
    [[1, -1], /^address\[1\]: /],
    [[1, 2 ** 32], /^address\[1\]: /],
  ] as const) {
    const wrong = address as unknown as VsockAddress;
    for (const call of [() => sock.bind(wrong), () => sock.connect(wrong), () => sock.sendto("x", wrong)]) {
      expect(call).toThrow(error);
      expect(call).not.toThrow(OSError);
    }
  }
  expect(sock.getsockname()).toEqual([VMADDR_CID_ANY, VMADDR_PORT_ANY]);
});

/** Asks for one of the level, which an emulator does not know. */
function options(): void {
  using sock = new Socket(AF_VSOCK, SOCK_STREAM);
  sock.getsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, 8);
}

needs("options of AF_VSOCK", hasVsock && worksInEmulator(options))(
  "options of the level AF_VSOCK: buffers of 64 bits, the time to connect",
  () => {
    using own = new Sockets();
    const sock = vsock(own);
    const size = (option: number): bigint => sock.getsockopt(AF_VSOCK, option, 8).readBigUInt64LE();
    const set = (option: number, value: number) => sock.setsockopt(AF_VSOCK, option, BigUint64Array.of(BigInt(value)));
    const [least, most] = [size(SO_VM_SOCKETS_BUFFER_MIN_SIZE), size(SO_VM_SOCKETS_BUFFER_MAX_SIZE)];
    expect(least).toBeLessThanOrEqual(size(SO_VM_SOCKETS_BUFFER_SIZE));
    expect(most).toBeGreaterThanOrEqual(size(SO_VM_SOCKETS_BUFFER_SIZE));
    set(SO_VM_SOCKETS_BUFFER_MIN_SIZE, 4096);
    set(SO_VM_SOCKETS_BUFFER_MAX_SIZE, 65_536);
    set(SO_VM_SOCKETS_BUFFER_SIZE, 8192);
    expect([SO_VM_SOCKETS_BUFFER_MIN_SIZE, SO_VM_SOCKETS_BUFFER_SIZE, SO_VM_SOCKETS_BUFFER_MAX_SIZE].map(size)).toEqual(
      [...[4096n, 8192n, 65_536n]],
    );
    set(SO_VM_SOCKETS_BUFFER_SIZE, 1); // kept within the others
    expect(size(SO_VM_SOCKETS_BUFFER_SIZE)).toBe(4096n);
    set(SO_VM_SOCKETS_BUFFER_SIZE, 1_000_000);
    expect(size(SO_VM_SOCKETS_BUFFER_SIZE)).toBe(65_536n);
    // As numbers, too.
    sock.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, 2 ** 40 + 1);
    expect(sock.getsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE)).toBe(2 ** 40 + 1);
    expect(sock.getsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE)).toBe(65_536);
    for (const value of [-1, 2 ** 53]) {
      expect(() => sock.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, value)).toThrow(/^value: /);
    }
    expect(sock.getsockopt(SOL_SOCKET, SO_TYPE)).toBe(SOCK_STREAM);

    sock.setsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, timeval(3));
    const time = sock.getsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, 16);
    expect([time.readBigInt64LE(), time.readBigInt64LE(8)]).toEqual([3n, 0n]);
    expect(codeOf(() => sock.setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, Uint8Array.of(1)))).toBe("EINVAL");
    expect(codeOf(() => sock.getsockopt(AF_VSOCK, 99, 8))).toBe("ENOPROTOOPT");
  },
);

loopback("a stream: each end has the other's address, data goes both ways, and its end is told", () => {
  using own = new Sockets();
  const [client, conn, address] = connection(own);
  expect(address[0]).toBe(VMADDR_CID_LOCAL);
  expect([client.getpeername(), conn.getsockname()]).toEqual([address, address]);
  expect(conn.getpeername()).toEqual([VMADDR_CID_LOCAL, client.getsockname()[1]]);
  client.sendall("from one machine ");
  client.sendall("to itself");
  expect(Buffer.concat([conn.recv(17), conn.recv(100)]).toString()).toBe("from one machine to itself");
  conn.sendmsg(["in ", "pieces"]);
  expect(client.recv(100, MSG_PEEK).toString()).toBe("in pieces");
  const [data, ancdata, flags, from] = client.recvmsg(100);
  expect([data.toString(), ancdata, flags, from as unknown]).toEqual(["in pieces", [], 0, null]);
  expect(codeOf(() => client.connect(address))).toBe("EISCONN");
  expect(codeOf(() => conn.sendto("x", address))).toBe("EISCONN");
  client.shutdown(SHUT_WR);
  expect(conn.recv(10)).toHaveLength(0);
  expect(codeOf(() => client.send("x"))).toBe("EPIPE");
});

loopback("a megabyte passes whole, by blocking sockets of two processes", async () => {
  using own = new Sockets();
  const server = listener(own);
  using sender = peer(
    (net, address, size) => {
      using sock = new net.Socket(net.AF_VSOCK, net.SOCK_STREAM);
      sock.connect(address as [number, number]);
      sock.sendall(Buffer.from(Array.from({ length: size }, (_, i) => i % 251)));
      console.log(sock.recv(100).toString());
    },
    [server.getsockname(), 1_000_000] as [readonly number[], number],
  );
  server.settimeout(30 * slowness);
  const [conn] = server.accept();
  own.add(conn).settimeout(30 * slowness);
  let length = 0;
  while (length < 1_000_000) {
    const part = conn.recv(65_536);
    expect(part.every((byte, i) => byte === (length + i) % 251)).toBe(true);
    length += part.length;
    expect(part.length).toBeGreaterThan(0);
  }
  conn.sendall("all of it");
  expect(await sender.output()).toBe("all of it");
});

loopback("SOCK_SEQPACKET keeps messages apart, says what was cut, and tells MSG_EOR", () => {
  using own = new Sockets();
  const [client, conn] = connection(own, SOCK_SEQPACKET);
  expect(conn.getsockopt(SOL_SOCKET, SO_TYPE)).toBe(SOCK_SEQPACKET);
  const long = Buffer.alloc(100_000, "long");
  client.send("first");
  client.send("second", MSG_EOR);
  client.send(long);
  const [first, , flags] = conn.recvmsg(1000);
  expect([first.toString(), flags & (MSG_EOR | MSG_TRUNC)]).toEqual(["first", 0]);
  const [second, , eor] = conn.recvmsg(1000);
  expect([second.toString(), eor & MSG_EOR]).toEqual(["second", MSG_EOR]);
  expect(conn.recv(200_000).equals(long)).toBe(true);
  client.send("cut here");
  client.send("next");
  const [cut, , told] = conn.recvmsg(3);
  expect([cut.toString(), told & MSG_TRUNC]).toEqual(["cut", MSG_TRUNC]);
  expect(conn.recv(100).toString()).toBe("next");
});

loopback("nobody there, no way there, and nobody who comes", () => {
  using own = new Sockets();
  const [cid, port] = listener(own).getsockname();
  const refused = thrown(() => vsock(own).connect([cid, port + 1]));
  expect(refused.code).toMatch(/^(ECONNRESET|EPROTO)$/); // by the kernel's version
  expect(refused.message).toStartWith(`connect ${refused.code} ${cid},${port + 1}: `);
  expect(refused.address).toEqual([cid, port + 1]);
  expect(codeOf(() => vsock(own).connect([VMADDR_CID_ANY, 1]))).toMatch(/^(EINVAL|ENODEV|ENETUNREACH)$/);
  expect(codeOf(() => vsock(own).send("x"))).toBe("ENOTCONN");
  expect(codeOf(() => vsock(own).listen())).toBe("EINVAL"); // where?
  const server = listener(own);
  server.settimeout(0.1);
  expectTimeout(0.1, () => server.accept());
  const [client] = connection(own);
  client.settimeout(0.1);
  expectTimeout(0.1, () => client.recv(10));
  client.setblocking(false);
  expect(codeOf(() => client.recv(10))).toBe("EAGAIN");
});

needs("AF_VSOCK with a loopback and python3", hasLoopback && python !== null)(
  "CPython: a connection each way, the same addresses and errors",
  async () => {
    using own = new Sockets();
    const server = listener(own);
    using child = pythonPeer(
      `
s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
print(s.getsockname())
s.bind((1, socket.VMADDR_PORT_ANY))
s.listen()
c = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
c.connect((1, int(sys.argv[1])))
c.sendall(struct.pack("=I", s.getsockname()[1]))
conn, address = s.accept()
print(address, conn.recv(100).decode(), c.getsockname()[0], c.getpeername())
for call in [lambda: s.bind((9999, 1)), lambda: c.connect((1, 1)), lambda: socket.socket(socket.AF_VSOCK).listen(),
             lambda: socket.socket(socket.AF_VSOCK).connect((1, 1)), socket.socket(socket.AF_VSOCK).getpeername,
             lambda: socket.socket(socket.AF_VSOCK).connect((socket.VMADDR_CID_ANY, 5))]:
    try: print(call())
    except OSError as e: print(e.errno)`,
      [server.getsockname()[1]],
    );
    server.settimeout(30 * slowness);
    const [conn, from] = server.accept();
    own.add(conn).settimeout(5 * slowness);
    expect(from[0]).toBe(VMADDR_CID_LOCAL);
    const port = conn.recv(4).readUInt32LE();
    const client = vsock(own);
    client.connect([VMADDR_CID_LOCAL, port]);
    client.send("hello python");
    const tuple = ([cid, number]: VsockAddress) => `(${cid}, ${number})`;
    const errors = [
      () => server.bind([9999, 1]),
      () => client.connect([1, 1]),
      () => vsock(own).listen(),
      () => vsock(own).connect([1, 1]),
      () => vsock(own).getpeername(),
      () => vsock(own).connect([VMADDR_CID_ANY, 5]),
    ].map((call) => String(thrown(call).errno));
    expect((await child.output()).split("\n")).toEqual([
      tuple([VMADDR_CID_ANY, VMADDR_PORT_ANY]),
      `${tuple([VMADDR_CID_LOCAL, client.getsockname()[1]])} hello python ${client.getsockname()[0]} ${tuple(server.getsockname())}`,
      ...errors,
    ]);
  },
);

const hasSocat = Bun.which("socat") !== null && Bun.spawnSync(["socat", "-V"]).stdout.includes("VSOCK 1");
needs("AF_VSOCK with a loopback and socat", hasLoopback && hasSocat)(
  "socat connects, and is connected to",
  async () => {
    using own = new Sockets();
    const server = listener(own);
    const to = `VSOCK-CONNECT:${VMADDR_CID_LOCAL}:${server.getsockname()[1]}`;
    const client = new Program(["socat", "-", to], {}, "from socat");
    const [conn] = server.accept();
    own.add(conn).settimeout(5 * slowness);
    expect(receiveAll(conn).toString()).toBe("from socat");
    conn.sendall("to socat");
    conn.close();
    expect(await client.end()).toEqual({ status: 0, stdout: "to socat", stderr: "" });
  },
);

/** Asks /dev/vsock for the machine's own number. */
function localCid(): number {
  const device = openSync("/dev/vsock", "r");
  const cid = new Uint32Array(1);
  try {
    expect(ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, cid)).toBe(0);
  } finally {
    closeSync(device);
  }
  return cid[0]!;
}

const hasDevice = hasVsock && existsSync("/dev/vsock") && process.getuid?.() === 0 && worksInEmulator(localCid);
needs("/dev/vsock", hasDevice)("IOCTL_VM_SOCKETS_GET_LOCAL_CID asks /dev/vsock for the machine's own number", () => {
  const cid = localCid();
  expect(cid).not.toBe(VMADDR_CID_HOST);
  expect(cid).toBeGreaterThan(0);
  // Who has a number of his own may bind to it; VMADDR_CID_ANY is nobody's.
  using own = new Sockets();
  vsock(own).bind([cid, VMADDR_PORT_ANY]);
});

loopback("examples/vsock-echo.ts: server and client", async () => {
  const example = join(import.meta.dir, "..", "..", "examples", "vsock-echo.ts");
  const server = new Program([process.execPath, example, "serve", String(VMADDR_PORT_ANY)]);
  const [port = ""] = await server.line(/^listening on port (\d+)$/);
  const client = new Program([process.execPath, example, "send", String(VMADDR_CID_LOCAL), port, "hello, machine"]);
  expect(await client.end()).toEqual({ status: 0, stdout: "hello, machine", stderr: "" });
  await server.line(/^served 14 bytes to machine 1, port \d+$/);
  const nobody = new Program([process.execPath, example, "send", "1", "1", "x"]);
  expect(await nobody.end()).toEqual({
    status: 1,
    stdout: "",
    stderr: expect.stringMatching(/^connect E\w+ 1,1: /),
  });
});
