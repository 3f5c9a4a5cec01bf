/** Sends without a copy: what is held, and when it is let go. */
import { describe, expect, test } from "bun:test";
import {
  AF_INET,
  IPPROTO_IP,
  IPPROTO_UDP,
  IP_RECVERR,
  MSG_WAITALL,
  SOCK_DGRAM,
  SOF_TIMESTAMPING_RX_SOFTWARE,
  SOF_TIMESTAMPING_SOFTWARE,
  SOL_SOCKET,
  SO_RCVBUF,
  SO_SNDBUF,
  SO_TIMESTAMPING,
  SO_TIMESTAMPNS,
  SO_ZEROCOPY,
  Socket,
  UDP_SEGMENT,
} from "../../src/index.ts";
import { ZeroCopy } from "../../src/packets.ts";
import * as promises from "../../src/promises.ts";
import { codeOf, expectTimeout, isLinux, needs, slowness, Sockets, worksInEmulator } from "../help.ts";
import { lacking, Network } from "../networks.ts";
import { rejected, rejection } from "../promises/help.ts";

const has =
  isLinux &&
  worksInEmulator(() => {
    using sock = new Socket(AF_INET, SOCK_DGRAM);
    sock.setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1);
  });
const zerocopy = needs("SO_ZEROCOPY", has);

const data = (length: number): Uint8Array => new Uint8Array(length).map((_, i) => i % 251);

zerocopy("what the kernel has not sent yet is held, even where the object that sent it is forgotten", async () => {
  using own = new Sockets();
  const [a] = own.tcp();
  const freed = new Set<number>();
  const forgotten = new FinalizationRegistry((i: number) => freed.add(i));
  // The peer does not receive: what it has no room for remains here.
  const begin = (i: number): void => {
    const sent = new Uint8Array(500_000);
    forgotten.register(sent, i);
    if (i === 0) new ZeroCopy(a).send(sent);
  };
  for (let i = 0; i < 10; i++) begin(i);
  for (let i = 0; i < 100 && freed.size < 5; i++) {
    Bun.gc(true);
    await Bun.sleep(10);
  }
  expect(freed.size).toBeGreaterThanOrEqual(5);
  expect(freed.has(0)).toBe(false);
  expect(() => new ZeroCopy(a)).toThrow(/^sock: /);
});

zerocopy("a datagram arrives as it is, and on this machine the kernel says that it copied", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const zero = new ZeroCopy(a);
  expect([zero.isActive, zero.pending]).toEqual([true, 0]);
  const sent = data(40_000);
  expect(zero.send(sent, b.getsockname())).toBe(40_000);
  expect(zero.pending).toBe(1);
  expect(b.recv(65536).equals(sent)).toBe(true);
  zero.wait();
  expect([zero.isActive, zero.pending]).toEqual([false, 0]);
  // From here on by plain calls.
  expect(zero.send(sent, b.getsockname())).toBe(40_000);
  expect(zero.pending).toBe(0);
  expect(b.recv(65536).equals(sent)).toBe(true);
});

zerocopy("a socket that asks for times as well loses no notice", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS!, 1);
  a.setsockopt(SOL_SOCKET, SO_TIMESTAMPING!, SOF_TIMESTAMPING_SOFTWARE! | SOF_TIMESTAMPING_RX_SOFTWARE!);
  const zero = new ZeroCopy(a);
  expect(zero.send(data(40_000), b.getsockname())).toBe(40_000);
  b.recv(65536);
  zero.wait();
  expect(zero.pending).toBe(0);
});

zerocopy("little is copied at once", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  a.connect(b.getsockname());
  const zero = new ZeroCopy(a);
  for (const little of ["text", new Uint8Array(32_767), new Uint8Array(0)]) zero.send(little);
  expect([zero.pending, zero.isActive]).toEqual([0, true]);
  expect(b.recv(100).toString()).toBe("text");
});

zerocopy("TCP: all arrives, and nothing is held once it has", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.setsockopt(SOL_SOCKET, SO_SNDBUF, 1 << 20);
  b.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 20);
  const zero = new ZeroCopy(a);
  const whole = data(200_000);
  let sent = 0;
  while (sent < whole.length) sent += zero.send(whole.subarray(sent, sent + 50_000));
  expect(zero.pending).toBeGreaterThan(0);
  expect(b.recv(whole.length, MSG_WAITALL).equals(whole)).toBe(true);
  zero.wait();
  expect(zero.pending).toBe(0);
});

zerocopy("waiting ends by the socket's timeout, and tells what it waits for", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const zero = new ZeroCopy(a);
  zero.send(data(40_000), b.getsockname());
  // Nobody receives it: the kernel has the data still, unless it has copied it at once.
  if (zero.reap() === 0) return expect(zero.isActive).toBe(false);
  a.settimeout(0.05);
  expectTimeout(0.05, () => zero.wait());
  a.setblocking(false);
  expect(codeOf(() => zero.wait())).toBe("EAGAIN");
  expect(zero.pending).toBe(1);
  b.recv(65536);
  a.setblocking(true);
  zero.wait();
  expect(zero.pending).toBe(0);
});

zerocopy("by promises, with several who wait", async () => {
  using own = new Sockets();
  const b = own.udp();
  using a = new promises.Socket(AF_INET, SOCK_DGRAM);
  await a.connect(b.getsockname());
  const zero = new ZeroCopy(a);
  const sends = [zero.send(data(35_000)), zero.send(data(40_000)), zero.send("little")];
  expect(await Promise.all(sends)).toEqual([35_000, 40_000, 6]);
  const waits = [zero.wait(), zero.wait(), zero.wait({ signal: AbortSignal.abort() })];
  void waits[2]!.catch(() => {});
  for (const length of [35_000, 40_000]) expect(b.recv(65536).equals(data(length))).toBe(true);
  await Promise.all(waits.slice(0, 2));
  expect(zero.pending).toBe(0);
  await zero.wait();
});

/** A link behind which nobody receives: the kernel has no reason to copy. It keeps what is sent as long as nobody answers. */
function link(isAnswered: boolean): Network {
  const net = new Network();
  net.ip("link add near type veth peer name far");
  net.ip("link add nowhere type bridge");
  net.ip("link set far master nowhere");
  for (const name of ["near", "far"]) net.ip(`link set ${name} mtu 65000`); // what is sent in fragments is copied
  for (const name of ["near", "far", "nowhere"]) net.ip(`link set ${name} up`);
  net.ip("addr add 10.9.0.1/24 dev near");
  if (isAnswered) answer(net);
  return net;
}

/** Somebody answers, and what the kernel has kept is sent. */
function answer(net: Network): void {
  net.ip("neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev near");
}

const onLink = needs(lacking || "SO_ZEROCOPY", lacking === "" && has);

onLink("on a link the kernel does not copy", async () => {
  using net = link(true);
  using own = new Sockets();
  const a = own.add(net.inside(() => new Socket(AF_INET, SOCK_DGRAM)));
  a.settimeout(5 * slowness);
  a.connect(["10.9.0.2", 9]);
  const zero = new ZeroCopy(a);
  for (let i = 0; i < 500; i++) {
    expect(zero.send(data(33_000))).toBe(33_000);
    expect(zero.pending).toBeLessThanOrEqual(64);
  }
  zero.wait();
  expect([zero.pending, zero.isActive]).toEqual([0, true]);

  using p = net.inside(() => new promises.Socket(AF_INET, SOCK_DGRAM));
  await p.connect(["10.9.0.2", 9]);
  const later = new ZeroCopy(p);
  for (let i = 0; i < 100; i++) expect(await later.send(data(33_000))).toBe(33_000);
  await later.wait();
  expect([later.pending, later.isActive]).toEqual([0, true]);
});

/** The kernel makes a packet of a send, and refuses it then. */
function refuse(sock: { setsockopt: Socket["setsockopt"] }, send: () => unknown): string | undefined {
  sock.setsockopt(IPPROTO_UDP, UDP_SEGMENT, 100); // of more than 64 pieces
  try {
    return codeOf(send);
  } finally {
    sock.setsockopt(IPPROTO_UDP, UDP_SEGMENT, 0);
  }
}

onLink("what is sent after a send that failed is held until the kernel has sent it", () => {
  using net = link(false);
  using own = new Sockets();
  const a = own.add(net.inside(() => new Socket(AF_INET, SOCK_DGRAM)));
  a.settimeout(5 * slowness);
  a.connect(["10.9.0.2", 9]);
  const zero = new ZeroCopy(a);
  zero.send(data(33_000));
  for (let i = 0; i < 3; i++) expect(refuse(a, () => zero.send(data(33_000)))).toBe("EINVAL");
  expect(zero.reap()).toBe(1);
  zero.send(data(33_000));
  expect([zero.pending, zero.reap()]).toEqual([2, 2]);
  answer(net);
  zero.wait();
  zero.send(data(33_000));
  zero.wait();
  expect([zero.pending, zero.isActive]).toEqual([0, true]);
});

onLink("and while somebody waits, by promises", async () => {
  using net = link(false);
  using a = net.inside(() => new promises.Socket(AF_INET, SOCK_DGRAM));
  await a.connect(["10.9.0.2", 9]);
  const zero = new ZeroCopy(a);
  await zero.send(data(33_000));
  const waits = zero.wait();
  await Bun.sleep(1);
  a.setsockopt(IPPROTO_UDP, UDP_SEGMENT, 100);
  expect(await rejected(zero.send(data(33_000)))).toBe("EINVAL");
  a.setsockopt(IPPROTO_UDP, UDP_SEGMENT, 0);
  expect(await zero.send(data(33_000))).toBe(33_000);
  await Bun.sleep(1);
  expect(zero.pending).toBe(2);
  answer(net);
  await waits;
  expect([zero.pending, zero.isActive]).toEqual([0, true]);
});

const tc = Bun.which("tc");
needs(lacking || "SO_ZEROCOPY, tc", lacking === "" && has && tc !== null)(
  "a full queue is told, as of a plain send",
  () => {
    using net = link(true);
    // A queue that has no room for any of it.
    net.run(tc!, ..."qdisc add dev near root tbf rate 1mbit burst 10kb latency 1ms".split(" "));
    using own = new Sockets();
    const a = own.add(net.inside(() => new Socket(AF_INET, SOCK_DGRAM)));
    a.settimeout(5 * slowness);
    a.connect(["10.9.0.2", 9]);
    a.setsockopt(IPPROTO_IP, IP_RECVERR, 1); // otherwise no send tells of it
    const zero = new ZeroCopy(a);
    const dropped = (): number => JSON.parse(net.run(tc!, "-s", "-j", "qdisc", "show", "dev", "near"))[0].drops;
    expect(codeOf(() => a.send(data(33_000)))).toBe("ENOBUFS");
    expect(dropped()).toBe(1);
    expect(codeOf(() => zero.send(data(33_000)))).toBe("ENOBUFS");
    expect(dropped()).toBe(2);
    net.run(tc!, ..."qdisc del dev near root".split(" "));
    net.ip("neigh del 10.9.0.2 dev near");
    zero.send(data(33_000));
    expect(zero.reap()).toBe(1);
    answer(net);
    zero.wait();
  },
);

onLink("a wait that was given up keeps no process alive", async () => {
  using net = new Network();
  net.ip("link add near type veth peer name far");
  for (const name of ["near", "far"]) net.ip(`link set ${name} mtu 65000 up`);
  net.ip("addr add 10.9.0.1/24 dev near");
  // Nobody has the address: the kernel keeps what is sent until it stops asking for it, for seconds.
  const code = `
    import { AF_INET, SOCK_DGRAM, Socket } from "${import.meta.dir}/../../src/promises.ts";
    import { ZeroCopy } from "${import.meta.dir}/../../src/packets.ts";
    const sock = new Socket(AF_INET, SOCK_DGRAM);
    await sock.connect(["10.9.0.2", 9]);
    const zero = new ZeroCopy(sock);
    await zero.send(new Uint8Array(33_000));
    const name = (error) => error.name;
    const both = [zero.wait({ signal: AbortSignal.timeout(20) }), zero.wait({ signal: AbortSignal.timeout(40) })];
    console.log(...(await Promise.all(both.map((wait) => wait.catch(name)))));
    // Who waits anew is not ended with those before.
    const first = new AbortController();
    const gone = zero.wait({ signal: first.signal }).catch(name);
    await 0;
    first.abort();
    const again = zero.wait({ signal: AbortSignal.timeout(50) }).catch(name);
    console.log(await gone, await again);
    process.on("exit", () => console.log(zero.pending));`;
  const child = net.inside(() => Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", timeout: 20_000 }));
  expect(await child.stdout.text()).toBe("TimeoutError TimeoutError\nAbortError TimeoutError\n1\n");
});

describe("bad input", () => {
  zerocopy("sockets that are none, or cannot; data that is none; closed sockets", async () => {
    using own = new Sockets();
    expect(() => new ZeroCopy({} as never)).toThrow(/^sock: /);
    expect(codeOf(() => new ZeroCopy(own.pair()[0]))).toBe("EOPNOTSUPP");
    const a = own.udp();
    const zero = new ZeroCopy(a);
    expect(() => zero.send(1 as never)).toThrow(/^data: /);
    expect(() => zero.send(data(33_000), ["127.0.0.1"] as never)).toThrow(/^address: /);
    expect(zero.pending).toBe(0);
    using p = new promises.Socket(AF_INET, SOCK_DGRAM);
    const later = new ZeroCopy(p);
    expect(await rejection(later.send(1 as never))).toBe("TypeError");
    expect(await rejection(later.send("x", null, { signal: 1 as never }))).toBe("TypeError");
    expect(await rejection(later.wait({ signal: 1 as never }))).toBe("TypeError");
    expect(await rejection(later.wait({ sginal: 1 } as never))).toBe("TypeError");
    a.close();
    p.close();
    expect(codeOf(() => zero.send("x"))).toBe("EBADF");
    expect(() => zero.send(data(33_000), ["127.0.0.1", 9])).toThrow("sendto EBADF");
    expect(await rejected(later.send(data(33_000)))).toBe("EBADF");
  });

  needs("platform without SO_ZEROCOPY", SO_ZEROCOPY === undefined)("is refused where there is no such option", () => {
    using own = new Sockets();
    expect(() => new ZeroCopy(own.udp())).toThrow("ZeroCopy: ");
  });
});

test("a class for both kinds of sockets, by its types", () => {
  const types = (root: ZeroCopy<Socket<"AF_INET">>, later: ZeroCopy<promises.Socket<"AF_INET">>) => {
    root.send("x", ["127.0.0.1", 1]) satisfies number;
    later.send("x", ["127.0.0.1", 1]) satisfies Promise<number>;
    // @ts-expect-error an address of another family
    root.send("x", "/path");
  };
  expect(types).toBeFunction();
});
