/** Winsock's errors, and what the platform lacks. */
import { expect, test } from "bun:test";
import * as sockets from "../../src/index.ts";
import {
  AF_INET,
  BlockingIOError,
  ConnectionRefusedError,
  OSError,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  TimeoutError,
} from "../../src/index.ts";
import {
  bounded,
  codeOf,
  elapsed,
  expectTimeout,
  ignoresConnections,
  ignoring,
  isWindows,
  needs,
  peer,
  Sockets,
  thrown,
} from "../help.ts";

const windows = needs("Windows", isWindows);

/** An address of the loopback where nobody listens. */
function deserted(): readonly [string, number] {
  using sock = new Socket(AF_INET);
  sock.bind(["127.0.0.1", 0]);
  return sock.getsockname();
}

windows("errno is the WSA number, code the POSIX name", () => {
  using own = new Sockets();
  using sock = new Socket(AF_INET);
  const address = deserted();
  const refused = thrown(() => sock.connect(address));
  expect(refused).toBeInstanceOf(ConnectionRefusedError);
  expect(refused).toMatchObject({ errno: 10061, code: "ECONNREFUSED", syscall: "connect", address });
  expect(refused.message).toStartWith(`connect ECONNREFUSED 127.0.0.1:${address[1]}: `);

  const udp = own.udp();
  udp.setblocking(false);
  const empty = thrown(() => udp.recv(1));
  expect(empty).toBeInstanceOf(BlockingIOError);
  expect([empty.errno, empty.code]).toEqual([10035, "EAGAIN"]);

  const unconnected = thrown(() => udp.getpeername());
  expect([unconnected.constructor, unconnected.errno, unconnected.code]).toEqual([OSError, 10057, "ENOTCONN"]);
  expect(thrown(() => new Socket({ fileno: 0x7fff_fff0 }))).toMatchObject({ errno: 10009, code: "EBADF" });
  expect(thrown(() => new Socket(4711))).toMatchObject({ errno: 10047, code: "EAFNOSUPPORT" });
  expect(thrown(() => own.add(new Socket()).bind(["192.0.2.77", 0]))).toMatchObject({ errno: 10049 });
  udp.settimeout(0.01);
  const late = thrown(() => udp.recv(1));
  expect([late.constructor, late.errno, late.message]).toEqual([TimeoutError, 10060, "recv ETIMEDOUT: timed out"]);
  expect([sockets.ECONNREFUSED, sockets.EWOULDBLOCK, sockets.EAGAIN]).toEqual([10061, 10035, 10035]);
});

windows("the resolver's errors have Winsock's numbers, and the names of POSIX", () => {
  const error = thrown(() => sockets.getaddrinfo("no number", 80, { flags: sockets.AI_NUMERICHOST }));
  expect([error.constructor, error.code, error.errno]).toEqual([sockets.gaierror, "EAI_NONAME", 11001]);
});

windows("a connect with a timeout that is refused says so, and does not run out of time", () => {
  for (const timeout of [null, 10]) {
    using sock = new Socket(AF_INET);
    sock.settimeout(timeout);
    const address = deserted();
    // Windows itself asks three times, half a second apart.
    const ms = elapsed(() => expect(codeOf(() => sock.connect(address))).toBe("ECONNREFUSED"));
    expect(ms).toBeLessThan(5000);
    expect(codeOf(() => sock.getpeername())).toBe("ENOTCONN");
  }
});

windows("a connect that goes well before its time is over", () => {
  using own = new Sockets();
  const server = own.server();
  const sock = own.add(new Socket(AF_INET));
  sock.settimeout(5);
  expect(elapsed(() => sock.connect(server.getsockname()))).toBeLessThan(1000);
  const conn = own.add(server.accept()[0]);
  sock.sendall("x");
  conn.settimeout(5);
  expect(conn.recv(1).toString()).toBe("x");
});

needs("Windows whose servers leave connections without an answer", isWindows && ignoresConnections())(
  "a connect runs out of time when it should",
  () => {
    using own = new Sockets();
    const address = ignoring(own);
    expectTimeout(0.1, () => {
      using sock = new Socket(AF_INET);
      sock.settimeout(0.1);
      sock.connect(address);
    });
    using sock = new Socket(AF_INET);
    sock.settimeout(0.1);
    expect(thrown(() => sock.connect(address))).toMatchObject({ syscall: "connect", address });
  },
);

windows("a non-blocking connect is EINPROGRESS, and comes to its end", async () => {
  using own = new Sockets();
  const server = own.server();
  const sock = own.add(new Socket(AF_INET));
  sock.setblocking(false);
  expect(thrown(() => sock.connect(server.getsockname()))).toMatchObject({ errno: 10036, code: "EINPROGRESS" });
  for (let i = 0; i < 1000 && codeOf(() => sock.getpeername()) === "ENOTCONN"; i++) await Bun.sleep(1);
  expect(sock.getpeername()).toEqual(server.getsockname());
});

windows("an accepted socket is blocking, whatever the listener is", async () => {
  using own = new Sockets();
  const server = own.server();
  const client = own.add(new Socket(AF_INET));
  client.connect(server.getsockname());
  server.setblocking(false);
  const conn = bounded(own.add(server.accept()[0]));
  expect(conn.gettimeout()).toBeNull();
  using late = peer(
    async (net) => {
      await Bun.sleep(50);
      net.given[0]!.sendall("late");
    },
    [],
    [client],
  );
  expect(conn.recv(10).toString()).toBe("late");
  await late.output();
});

windows("what Windows lacks is one clear TypeError that names win32", () => {
  using own = new Sockets();
  const [a] = own.tcp();
  for (const [name, call] of [
    ["sendFds", () => sockets.sendFds(a, ["x"], [0])],
    ["recvFds", () => sockets.recvFds(a, 1, 1)],
    ["sethostname", () => sockets.sethostname("x")],
    ["sendmsgAfalg", () => a.sendmsgAfalg(["x"], { op: 1 })],
  ] as const) {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(new RegExp(`^${name}: win32 has no such call; it exists on `));
  }
});

windows("constants that Windows lacks are undefined, and no family is taken for another", () => {
  const lacking = ["AF_PACKET", "AF_CAN", "AF_NETLINK", "AF_VSOCK", "AF_TIPC", "AF_ALG"] as const;
  for (const name of lacking) {
    expect([name, sockets[name] as unknown]).toEqual([name, undefined]);
    const call = (): Socket => new Socket(sockets[name], SOCK_RAW);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(/^family: .*a constant that this platform lacks is undefined; this is win32/);
  }
  const names = ["SO_REUSEPORT", "MSG_DONTWAIT", "MSG_NOSIGNAL", "SCM_RIGHTS", "SOCK_NONBLOCK", "SO_PEERCRED"] as const;
  for (const name of names) expect([name, sockets[name] as unknown]).toEqual([name, undefined]);
  using sock = new Socket(AF_INET, SOCK_DGRAM);
  expect(() => sock.recv(1, sockets.MSG_DONTWAIT)).toThrow(/^flags: .*win32/);
  expect(() => sockets.createServer(["127.0.0.1", 0], { reusePort: true })).toThrow(/^options\.reusePort: /);
});

/** What the module exports on Windows of some build, by pretending to be on it while it is loaded. */
async function exportsOfBuild(build: number): Promise<Record<string, unknown>> {
  const os = process.getBuiltinModule("node:os");
  const platform = Object.getOwnPropertyDescriptor(process, "platform")!;
  const { release } = os;
  Object.defineProperty(process, "platform", { ...platform, value: "win32" });
  os.release = () => `10.0.${build}`;
  try {
    return await import(`../../src/constants.ts?build=${build}`);
  } finally {
    os.release = release;
    Object.defineProperty(process, "platform", platform);
  }
}

test("options that came to Windows later are undefined before", async () => {
  for (const [name, since] of [
    ["TCP_FASTOPEN", 14393],
    ["TCP_KEEPCNT", 15063],
    ["TCP_KEEPIDLE", 16299],
    ["TCP_KEEPINTVL", 16299],
  ] as const) {
    expect([name, typeof (await exportsOfBuild(since - 1))[name]]).toEqual([name, "undefined"]);
    expect([name, typeof (await exportsOfBuild(since))[name]]).toEqual([name, "number"]);
  }
  expect((await exportsOfBuild(14392))["TCP_NODELAY"]).toBe(1);
});
