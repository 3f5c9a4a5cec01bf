/** Connecting: what it gives, refuses and says. */
import { expect, test } from "bun:test";
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
  Socket,
  SOL_SOCKET,
  TimeoutError,
} from "../src/index.ts";
import {
  codeOf,
  expectTimeout,
  Folder,
  hasUnix,
  ignoresConnections,
  ignoring,
  isLinux,
  isWindows,
  needs,
  peer,
  Sockets,
  tellsResets,
  thrown,
} from "./help.ts";

const patient = needs("server that leaves connections without an answer", ignoresConnections());

/** An address of the loopback where nobody listens. */
function deserted(): readonly [string, number] {
  using sock = new Socket(AF_INET);
  sock.bind(["127.0.0.1", 0]);
  return sock.getsockname();
}

/** Waits until a connection that is in progress has come to its end. */
async function settled(sock: Socket): Promise<void> {
  for (let i = 0; i < 1000 && codeOf(() => sock.getpeername()) === "ENOTCONN"; i++) await Bun.sleep(1);
}

test("connect to a listening socket", () => {
  using own = new Sockets();
  const server = own.server();
  const sock = own.add(new Socket(AF_INET));
  expect(sock.connect(server.getsockname())).toBeUndefined();
  expect(sock.getpeername()).toEqual(server.getsockname());
});

test("connect by a name that has to be resolved", () => {
  using own = new Sockets();
  const server = own.server();
  const sock = own.add(new Socket(AF_INET));
  sock.connect(["localhost", server.getsockname()[1]]);
  expect(sock.getpeername()).toEqual(server.getsockname());
});

test.each([null, 2])("a connection that nobody takes is refused, with timeout %p", (timeout) => {
  using sock = new Socket(AF_INET);
  sock.settimeout(timeout);
  const address = deserted();
  const error = thrown(() => sock.connect(address));
  expect(error).toBeInstanceOf(ConnectionRefusedError);
  expect(error).toMatchObject({ code: "ECONNREFUSED", errno: ECONNREFUSED, syscall: "connect", address });
  expect(error.message).toBe(`connect ECONNREFUSED 127.0.0.1:${address[1]}: Connection refused`);
});

test("connectEx returns what connect throws", () => {
  using own = new Sockets();
  const server = own.server();
  for (const timeout of [null, 2]) {
    using sock = new Socket(AF_INET);
    sock.settimeout(timeout);
    expect(sock.connectEx(deserted())).toBe(ECONNREFUSED);
    using good = new Socket(AF_INET);
    good.settimeout(timeout);
    expect(good.connectEx(server.getsockname())).toBe(0);
    expect([0, EISCONN]).toContain(good.connectEx(server.getsockname())); // Linux says it once more, non-blocking
    expect(good.connectEx(server.getsockname())).toBe(EISCONN);
    expect(codeOf(() => good.connect(server.getsockname()))).toBe("EISCONN");
  }
  const closed = new Socket(AF_INET);
  closed.close();
  expect(closed.connectEx(deserted())).toBe(EBADF);
  if (!hasUnix) return;
  using unix = new Socket(AF_UNIX, SOCK_STREAM);
  expect(unix.connectEx("/nowhere/at all")).toBe(isWindows ? ECONNREFUSED : ENOENT);
});

test("connectEx throws what is no error of connect", () => {
  using sock = new Socket(AF_INET);
  expect(() => sock.connectEx(["nothing.invalid", 1])).toThrow(gaierror);
  expect(() => sock.connectEx(["127.0.0.1", 70000])).toThrow(RangeError);
  expect(() => sock.connectEx("127.0.0.1:80" as never)).toThrow(TypeError);
});

test("a non-blocking connectEx is EINPROGRESS at first and EISCONN in the end", async () => {
  using own = new Sockets();
  const server = own.server();
  const sock = own.add(new Socket(AF_INET));
  sock.setblocking(false);
  expect(sock.connectEx(server.getsockname())).toBe(EINPROGRESS);
  await settled(sock);
  expect([0, EISCONN]).toContain(sock.connectEx(server.getsockname()));
  expect(sock.connectEx(server.getsockname())).toBe(EISCONN);
  expect(sock.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(0);
});

patient("a second connect meanwhile is EALREADY", () => {
  using own = new Sockets();
  const address = ignoring(own);
  const sock = own.add(new Socket(AF_INET));
  sock.setblocking(false);
  expect(sock.connectEx(address)).toBe(EINPROGRESS);
  expect(sock.connectEx(address)).toBe(EALREADY);
  expect(codeOf(() => sock.connect(address))).toBe("EALREADY");
});

patient("a full backlog: connect times out, connectEx returns EAGAIN", () => {
  using own = new Sockets();
  const address = ignoring(own);
  using sock = new Socket(AF_INET);
  sock.settimeout(0.05);
  const error = thrown(() => sock.connect(address));
  expect(error).toBeInstanceOf(TimeoutError);
  expect(error).toMatchObject({ syscall: "connect", address });
  using other = new Socket(AF_INET);
  other.settimeout(0.05);
  expect(other.connectEx(address)).toBe(EAGAIN);
});

patient("a server that makes room again takes those who wait", async () => {
  using own = new Sockets();
  const server = own.server(1);
  const clients = Array.from({ length: 2 }, () => own.add(new Socket(AF_INET)));
  for (const sock of clients) sock.connect(server.getsockname());
  for (const _ of clients) own.add(server.accept()[0]);
  const another = own.add(new Socket(AF_INET));
  another.settimeout(2);
  another.connect(server.getsockname());
  expect(own.add(server.accept()[0]).getpeername()).toEqual(another.getsockname());
});

test("a refusal that came later is in SO_ERROR, once", async () => {
  using sock = new Socket(AF_INET);
  sock.setblocking(false);
  const address = deserted();
  expect([EINPROGRESS, ECONNREFUSED]).toContain(sock.connectEx(address));
  await Bun.sleep(5);
  expect([0, ECONNREFUSED]).toContain(sock.getsockopt(SOL_SOCKET, SO_ERROR));
  if (!isWindows) expect(sock.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(0); // Winsock keeps it
});

needs("ECONNABORTED as Linux has it", isLinux)(
  "a connection that failed without anybody being told why was aborted",
  async () => {
    using sock = new Socket(AF_INET);
    sock.setblocking(false);
    const address = deserted();
    expect(sock.connectEx(address)).toBe(EINPROGRESS);
    await Bun.sleep(5);
    expect(sock.getsockopt(SOL_SOCKET, SO_ERROR)).toBe(ECONNREFUSED);
    const error = thrown(() => sock.connect(address));
    expect(error).toBeInstanceOf(ConnectionAbortedError);
    expect(error.code).toBe("ECONNABORTED");
  },
);

test("a socket whose connection was refused can be used again", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_INET));
  expect(sock.connectEx(deserted())).toBe(ECONNREFUSED);
  const server = own.server();
  const again = sock.connectEx(server.getsockname());
  // Others tell at first that the last attempt failed.
  expect(isLinux || again === 0 ? again : sock.connectEx(server.getsockname())).toBe(0);
});

test("connecting a listening socket is refused", () => {
  using own = new Sockets();
  const server = own.server();
  expect(codeOf(() => server.connect(deserted()))).toBe(isLinux ? "EISCONN" : isWindows ? "EINVAL" : "EOPNOTSUPP");
});

test("connecting from an address of one's own choice", () => {
  using own = new Sockets();
  const server = own.server();
  const sock = own.add(new Socket(AF_INET));
  sock.bind(["127.0.0.1", 0]);
  const from = sock.getsockname();
  sock.connect(server.getsockname());
  const [conn, address] = server.accept();
  own.add(conn);
  expect(address).toEqual(from);
});

needs("AF_UNIX", hasUnix && !isWindows)("no path, no server: Unix connections", () => {
  using own = new Sockets();
  using folder = new Folder();
  const nowhere = thrown(() => own.add(new Socket(AF_UNIX, SOCK_STREAM)).connect(folder.file("none")));
  expect(nowhere).toBeInstanceOf(FileNotFoundError);
  expect(nowhere).toMatchObject({ code: "ENOENT", address: folder.file("none") });
  const server = own.add(new Socket(AF_UNIX, SOCK_STREAM));
  server.bind(folder.file("s"));
  server.listen();
  server.close();
  expect(codeOf(() => own.add(new Socket(AF_UNIX, SOCK_STREAM)).connect(folder.file("s")))).toBe("ECONNREFUSED");
});

needs("AF_UNIX queue as Linux has it", isLinux)(
  "a Unix server whose queue is full is EAGAIN at once, unless one blocks",
  () => {
    using own = new Sockets();
    using folder = new Folder();
    const server = own.add(new Socket(AF_UNIX, SOCK_STREAM));
    server.bind(folder.file("s"));
    server.listen(0);
    own.add(new Socket(AF_UNIX, SOCK_STREAM)).connect(folder.file("s"));
    for (const timeout of [0, 1]) {
      const sock = own.add(new Socket(AF_UNIX, SOCK_STREAM));
      sock.settimeout(timeout);
      expect(codeOf(() => sock.connect(folder.file("s")))).toBe("EAGAIN");
    }
  },
);

needs("error for a reset connection", tellsResets())("a connection that a peer takes and resets at once", async () => {
  using own = new Sockets();
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
  const sock = own.add(new Socket(AF_INET));
  sock.settimeout(5);
  sock.connect(address);
  expect(codeOf(() => sock.recv(1))).toBe("ECONNRESET");
  await accepting.output();
});

patient("a connect that timed out goes on, and another call waits for it", () => {
  using own = new Sockets();
  const address = ignoring(own);
  using sock = new Socket(AF_INET, SOCK_STREAM);
  sock.settimeout(0.05);
  expectTimeout(0.05, () => {
    using fresh = new Socket(AF_INET);
    fresh.settimeout(0.05);
    fresh.connect(address);
  });
  expect(sock.connectEx(address)).toBe(EAGAIN);
  expect(sock.connectEx(address)).toBe(EALREADY);
});
