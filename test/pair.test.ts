/** Pairs of sockets where the system makes none: who is at the other end is looked at, whoever else connects. */
import { afterEach, expect, spyOn, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { AF_INET, AF_INET6, OSError, setdefaulttimeout, SOCK_DGRAM, SOCK_STREAM, Socket } from "../src/index.ts";
import { emulatedPair } from "../src/pair.ts";
import { codeOf, leavesNothingOpen, needs, Sockets } from "./help.ts";

const hasLoopback6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));
const six = needs("IPv6 loopback", hasLoopback6);

afterEach(() => setdefaulttimeout(null));

/** A pair whose ends are closed at the end of the scope. */
function pair(own: Sockets, family: number, type: number): [Socket, Socket] {
  const [a, b] = emulatedPair(family, type, 0);
  for (const sock of [a, b]) own.add(sock).settimeout(5);
  return [a, b];
}

/** Calls `before` in front of every call of a method, or `after` behind it, for as long as `body` runs. */
function around(
  method: "listen" | "connect",
  { before, after }: { before?: (sock: Socket) => void; after?: (sock: Socket) => void },
  body: () => void,
): void {
  const original = Socket.prototype[method] as (this: Socket, ...args: unknown[]) => void;
  const spy = spyOn(Socket.prototype, method).mockImplementation(function (this: Socket, ...args: unknown[]) {
    before?.(this);
    original.apply(this, args);
    after?.(this);
  });
  try {
    body();
  } finally {
    spy.mockRestore();
  }
}

function talk([a, b]: [Socket, Socket], host: string): void {
  expect(a.getpeername()).toEqual(b.getsockname());
  expect(b.getpeername()).toEqual(a.getsockname());
  expect([a, b].map((sock) => (sock as Socket<"AF_INET">).getsockname()[0])).toEqual([host, host]);
  expect([a.getInheritable(), b.getInheritable()]).toEqual([false, false]);
  a.send("there");
  expect(b.recv(100).toString()).toBe("there");
  b.send("and back");
  expect(a.recv(100).toString()).toBe("and back");
}

test("streams and datagrams on the loopback", () => {
  using own = new Sockets();
  for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
    const both = pair(own, AF_INET, type);
    for (const sock of both) expect([sock.family, sock.type, sock.proto]).toEqual([AF_INET, type, 0]);
    talk(both, "127.0.0.1");
  }
});

six("of IPv6, too", () => {
  using own = new Sockets();
  for (const type of [SOCK_STREAM, SOCK_DGRAM]) talk(pair(own, AF_INET6, type), "::1");
});

test("what cannot be had is EOPNOTSUPP, and nothing stays open", () => {
  leavesNothingOpen(() => {
    expect(codeOf(() => emulatedPair(AF_INET, 5, 0))).toBe("EOPNOTSUPP");
    expect(codeOf(() => emulatedPair(4711, SOCK_STREAM, 0))).toBe("EOPNOTSUPP");
    expect(codeOf(() => emulatedPair(AF_INET, SOCK_STREAM, 99))).toStartWith("E");
  });
});

test("it has the default timeout", () => {
  using own = new Sockets();
  for (const timeout of [2.5, 0, null]) {
    setdefaulttimeout(timeout);
    for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
      for (const sock of emulatedPair(AF_INET, type, 0)) expect(own.add(sock).gettimeout()).toBe(timeout);
    }
  }
});

test("a stranger who is faster is turned away, and the pair is made all the same", () => {
  using own = new Sockets();
  const stranger = own.add(new Socket(AF_INET));
  stranger.settimeout(5);
  let listener: Socket | undefined;
  const intrude = (sock: Socket): void => {
    listener = sock;
    stranger.connect((sock as Socket<"AF_INET">).getsockname());
  };
  let both: [Socket, Socket] | undefined;
  around("listen", { after: intrude }, () => (both = pair(own, AF_INET, SOCK_STREAM)));
  expect(listener!.fileno()).toBe(-1);
  talk(both!, "127.0.0.1");
  // The stranger is connected to nobody.
  expect(codeOf(() => stranger.recv(1))).toMatch(/^(nothing thrown, <Buffer > returned|ECONNRESET)$/);
  expect(both!.map((sock) => (sock as Socket<"AF_INET">).getpeername()[1])).not.toContain(stranger.getsockname()[1]);
});

test("a stranger who came and went is turned away, too", () => {
  using own = new Sockets();
  const intrude = (sock: Socket): void => {
    using stranger = new Socket(AF_INET);
    stranger.connect((sock as Socket<"AF_INET">).getsockname());
  };
  let both: [Socket, Socket] | undefined;
  around("listen", { after: intrude }, () => (both = pair(own, AF_INET, SOCK_STREAM)));
  talk(both!, "127.0.0.1");
});

test("strangers' datagrams are thrown away", () => {
  using own = new Sockets();
  const stranger = own.udp();
  const intrude = (sock: Socket): void => {
    for (let i = 0; i < 3; i++) stranger.sendto("not for you", (sock as Socket<"AF_INET">).getsockname());
  };
  let both: [Socket, Socket] | undefined;
  around("connect", { before: intrude }, () => (both = pair(own, AF_INET, SOCK_DGRAM)));
  talk(both!, "127.0.0.1");
  for (const sock of both!) {
    stranger.sendto("nor later", (sock as Socket<"AF_INET">).getsockname());
    sock.setblocking(false);
    expect(codeOf(() => sock.recv(100))).toBe("EAGAIN");
  }
});

test("a connection that fails half-way leaves nothing open", () => {
  const refuse = (): void => {
    throw new OSError({ errno: 1, code: "EX", syscall: "connect", reason: "on purpose" });
  };
  leavesNothingOpen(() => {
    for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
      around("connect", { before: refuse }, () => expect(codeOf(() => emulatedPair(AF_INET, type, 0))).toBe("EX"));
    }
  });
});
