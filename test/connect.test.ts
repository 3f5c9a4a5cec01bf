/** Connecting: what it gives, refuses and says. */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_UNIX,
  ConnectionAbortedError,
  ConnectionRefusedError,
  EAGAIN,
  EALREADY,
  EBADF,
  ECONNREFUSED,
  EINPROGRESS,
  EISCONN,
  ENOENT,
  FileNotFoundError,
  gaierror,
  SO_ERROR,
  SOCK_STREAM,
  Socket as BlockingSocket,
  SOL_SOCKET,
  TimeoutError,
} from "../src/index.ts";
import { attempt, codeOf, expectTimeout, needs, peer, test, thrown, type Socket } from "./faces.ts";
import { Folder, hasUnix, ignoresConnections, ignoring, isLinux, isWindows, Sockets, tellsResets } from "./help.ts";

const patient = needs("server that leaves connections without an answer", ignoresConnections());

/** An address of the loopback where nobody listens. */
function deserted(): readonly [string, number] {
  using sock = new BlockingSocket(AF_INET);
  sock.bind(["127.0.0.1", 0]);
  return sock.getsockname();
}

/** Waits until a connection that is in progress has come to its end. */
async function settled(sock: Socket): Promise<void> {
  for (let i = 0; i < 1000 && (await codeOf(() => sock.getpeername())) === "ENOTCONN"; i++) await Bun.sleep(1);
}

test("connect to a listening socket", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const sock = own.add(new net.Socket(AF_INET));
  expect(await sock.connect(server.getsockname())).toBeUndefined();
  expect(sock.getpeername()).toEqual(server.getsockname());
});

test("connect by a name that has to be resolved", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const sock = own.add(new net.Socket(AF_INET));
  await sock.connect(["localhost", server.getsockname()[1]]);
  expect(sock.getpeername()).toEqual(server.getsockname());
});

test.each([null, 2])("a connection that nobody takes is refused, with timeout %p", async (net, timeout) => {
  using sock = new net.Socket(AF_INET);
  sock.settimeout(timeout);
  const address = deserted();
  const error = await thrown(() => sock.connect(address));
  expect(error).toBeInstanceOf(ConnectionRefusedError);
  expect(error).toMatchObject({ code: "ECONNREFUSED", errno: ECONNREFUSED, syscall: "connect", address });
  expect(error.message).toBe(`connect ECONNREFUSED 127.0.0.1:${address[1]}: Connection refused`);
});

test("connectEx returns what connect throws", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  for (const timeout of [null, 2]) {
    using sock = new net.Socket(AF_INET);
    sock.settimeout(timeout);
    expect(await sock.connectEx(deserted())).toBe(ECONNREFUSED);
    using good = new net.Socket(AF_INET);
    good.settimeout(timeout);
    expect(await good.connectEx(server.getsockname())).toBe(0);
    expect([0, EISCONN]).toContain(await good.connectEx(server.getsockname())); // Linux says it once more, non-blocking
    expect(await good.connectEx(server.getsockname())).toBe(EISCONN);
    expect(await codeOf(() => good.connect(server.getsockname()))).toBe("EISCONN");
  }
  const closed = new net.Socket(AF_INET);
  closed.close();
  expect(await closed.connectEx(deserted())).toBe(EBADF);
  if (!hasUnix) return;
  using unix = new net.Socket(AF_UNIX, SOCK_STREAM);
  expect(await unix.connectEx("/nowhere/at all")).toBe(isWindows ? ECONNREFUSED : ENOENT);
});

test("connectEx throws what is no error of connect", async (net) => {
  using sock = new net.Socket(AF_INET);
  await expect(attempt(() => sock.connectEx(["nothing.invalid", 1]))).rejects.toThrow(gaierror);
  await expect(attempt(() => sock.connectEx(["127.0.0.1", 70000]))).rejects.toThrow(RangeError);
  await expect(attempt(() => sock.connectEx("127.0.0.1:80" as never))).rejects.toThrow(TypeError);
});

test("a non-blocking connectEx is EINPROGRESS at first and EISCONN in the end", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const sock = own.add(new net.Socket(AF_INET));
  sock.setblocking(false);
  expect(await sock.connectEx(server.getsockname())).toBe(EINPROGRESS);
  await settled(sock);
  expect([0, EISCONN]).toContain(await sock.connectEx(server.getsockname()));
  expect(await sock.connectEx(server.getsockname())).toBe(EISCONN);
  expect(sock.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(0);
});

patient("a second connect meanwhile is EALREADY", async (net) => {
  using others = new Sockets();
  const address = ignoring(others);
  using sock = new net.Socket(AF_INET);
  sock.setblocking(false);
  expect(await sock.connectEx(address)).toBe(EINPROGRESS);
  expect(await sock.connectEx(address)).toBe(EALREADY);
  expect(await codeOf(() => sock.connect(address))).toBe("EALREADY");
});

patient("a full backlog: connect times out, connectEx returns EAGAIN", async (net) => {
  using others = new Sockets();
  const address = ignoring(others);
  using sock = new net.Socket(AF_INET);
  sock.settimeout(0.05);
  const error = await thrown(() => sock.connect(address));
  expect(error).toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ syscall: "connect", address });
  using other = new net.Socket(AF_INET);
  other.settimeout(0.05);
  expect(await other.connectEx(address)).toBe(EAGAIN);
});

patient("a server that makes room again takes those who wait", async (net) => {
  using own = new net.Sockets();
  const server = own.server(1);
  const clients = Array.from({ length: 2 }, () => own.add(new net.Socket(AF_INET)));
  for (const sock of clients) await sock.connect(server.getsockname());
  for (const _ of clients) own.add((await server.accept())[0]);
  const another = own.add(new net.Socket(AF_INET));
  another.settimeout(2);
  await another.connect(server.getsockname());
  expect(own.add((await server.accept())[0]).getpeername()).toEqual(another.getsockname());
});

test("a refusal that came later is in SO_ERROR, once", async (net) => {
  using sock = new net.Socket(AF_INET);
  sock.setblocking(false);
  const address = deserted();
  expect([EINPROGRESS, ECONNREFUSED]).toContain(await sock.connectEx(address));
  await Bun.sleep(5);
  expect([0, ECONNREFUSED]).toContain(sock.getsockopt(SOL_SOCKET, SO_ERROR));
  if (!isWindows) expect(sock.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(0); // Winsock keeps it
});

needs("ECONNABORTED as Linux has it", isLinux)(
  "a connection that failed without anybody being told why was aborted",
  async (net) => {
    using sock = new net.Socket(AF_INET);
    sock.setblocking(false);
    const address = deserted();
    expect(await sock.connectEx(address)).toBe(EINPROGRESS);
    await Bun.sleep(5);
    expect(sock.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(ECONNREFUSED);
    const error = await thrown(() => sock.connect(address));
    expect(error).toBeInstanceOf(ConnectionAbortedError);
    expect(error.code).toBe("ECONNABORTED");
  },
);

test("a socket whose connection was refused can be used again", async (net) => {
  using own = new net.Sockets();
  const sock = own.add(new net.Socket(AF_INET));
  expect(await sock.connectEx(deserted())).toBe(ECONNREFUSED);
  const server = own.server();
  const again = await sock.connectEx(server.getsockname());
  // Who did not wait within the call is told at first that the last attempt failed; so is everybody elsewhere.
  expect((isLinux && !net.isAsync) || again === 0 ? again : await sock.connectEx(server.getsockname())).toBe(0);
});

test("connecting a listening socket is refused", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  expect(await codeOf(() => server.connect(deserted()))).toBe(
    isLinux ? "EISCONN" : isWindows ? "EINVAL" : "EOPNOTSUPP",
  );
});

test("connecting from an address of one's own choice", async (net) => {
  using own = new net.Sockets();
  const server = own.server();
  const sock = own.add(new net.Socket(AF_INET));
  sock.bind(["127.0.0.1", 0]);
  const from = sock.getsockname();
  await sock.connect(server.getsockname());
  const [conn, address] = await server.accept();
  own.add(conn);
  expect(address).toEqual(from);
});

needs("AF_UNIX", hasUnix && !isWindows)("no path, no server: Unix connections", async (net) => {
  using own = new net.Sockets();
  using folder = new Folder();
  const nowhere = await thrown(() => own.add(new net.Socket(AF_UNIX, SOCK_STREAM)).connect(folder.file("none")));
  expect(nowhere).toBeInstanceOf(FileNotFoundError);
  expect(nowhere).toMatchObject({ code: "ENOENT", address: folder.file("none") });
  const server = own.add(new net.Socket(AF_UNIX, SOCK_STREAM));
  server.bind(folder.file("s"));
  server.listen();
  server.close();
  expect(await codeOf(() => own.add(new net.Socket(AF_UNIX, SOCK_STREAM)).connect(folder.file("s")))).toBe(
    "ECONNREFUSED",
  );
});

needs("AF_UNIX queue as Linux has it", isLinux)(
  "a Unix server whose queue is full is EAGAIN at once, unless one blocks",
  async (net) => {
    using own = new net.Sockets();
    using folder = new Folder();
    const server = own.add(new net.Socket(AF_UNIX, SOCK_STREAM));
    server.bind(folder.file("s"));
    server.listen(0);
    await own.add(new net.Socket(AF_UNIX, SOCK_STREAM)).connect(folder.file("s"));
    for (const timeout of [0, 0.2]) {
      const sock = own.add(new net.Socket(AF_UNIX, SOCK_STREAM));
      sock.settimeout(timeout);
      // By promises it is waited for.
      const expected = net.isAsync && timeout > 0 ? "ETIMEDOUT" : "EAGAIN";
      expect(await codeOf(() => sock.connect(folder.file("s")))).toBe(expected);
    }
  },
);

needs("error for a reset connection", tellsResets())(
  "a connection that a peer takes and resets at once",
  async (net) => {
    using own = new net.Sockets();
    const server = own.server();
    const address = server.getsockname();
    using accepting = peer(
      (net, now) => {
        const listener = net.given[0]!;
        const [conn] = listener.accept();
        const linger = process.platform === "win32" ? new Uint16Array(now) : new Int32Array(now);
        conn.setsockopt(net.SOL_SOCKET, net.SO_LINGER, linger);
        conn.close();
      },
      [[1, 0]],
      [server],
    );
    const sock = own.add(new net.Socket(AF_INET));
    sock.settimeout(5);
    await sock.connect(address);
    expect(await codeOf(() => sock.recv(1))).toBe("ECONNRESET");
    await accepting.output();
  },
);

patient("a connect that timed out goes on, and another call waits for it", async (net) => {
  using others = new Sockets();
  const address = ignoring(others);
  using sock = new net.Socket(AF_INET, SOCK_STREAM);
  sock.settimeout(0.05);
  await expectTimeout(0.05, async () => {
    using fresh = new net.Socket(AF_INET);
    fresh.settimeout(0.05);
    await fresh.connect(address);
  });
  expect(await sock.connectEx(address)).toBe(EAGAIN);
  // By promises it is waited for again.
  expect(await sock.connectEx(address)).toBe(net.isAsync ? EAGAIN : EALREADY);
});
