/** Sockets of every family that can be had without more: they wait, and tell the addresses that the root tells. */
import { describe, expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  AF_VSOCK,
  ETH_P_IP,
  htons,
  IPPROTO_ICMP,
  IPPROTO_MPTCP,
  IPPROTO_UDPLITE,
  NETLINK_USERSOCK,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY,
} from "../../src/promises.ts";
import * as root from "../../src/index.ts";
import { hasUnixDatagrams, isLinux, needs, works } from "../help.ts";
import { rejection, turn } from "./help.ts";

/** Whether the system has such sockets, and lets them have that address. */
const has = (family: number | undefined, type: number, proto: number | undefined, address?: unknown): boolean =>
  family !== undefined &&
  proto !== undefined &&
  works(() => {
    const sock = new root.Socket(family, type, proto);
    try {
      if (address !== undefined) sock.bind(address as never);
    } catch (error) {
      sock.close();
      throw error;
    }
    return sock;
  });

type Kind = readonly [name: string, family: number, type: number, proto: number, address: unknown];

/** Connections: the address that a server may have. */
const streams: Kind[] = [
  ["TCP over IPv6", AF_INET6, SOCK_STREAM, 0, ["::1", 0]],
  ["MPTCP", AF_INET, SOCK_STREAM, IPPROTO_MPTCP, ["127.0.0.1", 0]],
  ["AF_UNIX, packets", AF_UNIX, SOCK_SEQPACKET, 0, ""],
  ["AF_VSOCK", AF_VSOCK, SOCK_STREAM, 0, [VMADDR_CID_LOCAL, VMADDR_PORT_ANY]],
];

describe.each(streams)("%s", (name, family, type, proto, address) => {
  const here = (family !== AF_UNIX || isLinux) && has(family, type, proto, address);
  needs(name, here)("a server, a client, data both ways, an end", async () => {
    const server = new Socket(family, type, proto);
    server.bind(address as never);
    server.listen();
    const accepted = server.accept();
    const client = new Socket(family, type, proto);
    await client.connect(server.getsockname() as never);
    const [conn, from] = await accepted;
    expect(from).toEqual(conn.getpeername());
    expect(conn.getsockname()).toEqual(client.getpeername());

    const received = conn.recv(100);
    await turn();
    await client.sendall("there");
    expect(String(await received)).toBe("there");
    const given = new AbortController();
    const wait = rejection(client.recvmsg(100, 0, { signal: given.signal }));
    await turn();
    given.abort();
    expect(await wait).toBe("AbortError");
    await conn.sendmsg(["and ", "back"]);
    expect(String((await client.recvmsg(100))[0])).toBe("and back");

    client.settimeout(0.02);
    expect(await rejection(client.recv(1))).toBe("TimeoutError");
    const end = conn.recv(1);
    client.close();
    expect((await end).length).toBe(0);
    conn.close();
    server.close();
  });
});

/** Messages: the address that a receiver may have. */
const datagrams: Kind[] = [
  ["UDP over IPv6", AF_INET6, SOCK_DGRAM, 0, ["::1", 0]],
  ["UDP-Lite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, ["127.0.0.1", 0]],
  ["AF_UNIX, datagrams", AF_UNIX, SOCK_DGRAM, 0, ""],
  ["AF_NETLINK, between processes", AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK, [0, 0]],
];

describe.each(datagrams)("%s", (name, family, type, proto, address) => {
  const here = (family !== AF_UNIX || (isLinux && hasUnixDatagrams)) && has(family, type, proto, address);
  needs(name, here)("a message waited for, its sender told as the root tells it, an answer", async () => {
    const open = () => {
      const sock = new Socket(family, type, proto);
      sock.bind(address as never);
      return sock;
    };
    const [a, b] = [open(), open()];
    const received = b.recvfrom(100);
    await turn();
    await a.sendto("by promises", b.getsockname() as never);
    const [data, from] = await received;
    expect([String(data), from]).toEqual(["by promises", a.getsockname()]);

    // The same message, received by the root.
    await a.sendmsg(["by the ", "root"], [], 0, b.getsockname() as never);
    const blocking = new root.Socket(family, type, proto, { fileno: root.dup(b.fileno()) });
    blocking.settimeout(5);
    expect(blocking.recvfrom(100)).toEqual([Buffer.from("by the root"), from] as never);
    blocking.close();

    const iteration = a.datagrams().next();
    await b.sendto("answer", from as never);
    expect(String((await iteration).value![0])).toBe("answer");
    const wait = rejection(a.recvmsg(10));
    b.close();
    a.close();
    expect(await wait).toBe("OSError"); // ECANCELED
  });
});

needs("permission for raw sockets", has(AF_INET, SOCK_RAW, IPPROTO_ICMP))("raw ICMP: an echo, waited for", async () => {
  using sock = new Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  sock.settimeout(5);
  const echo = Buffer.alloc(16);
  echo[0] = 8;
  echo.writeUInt16BE(process.pid & 0xffff, 4);
  let sum = 0;
  for (let at = 0; at < 16; at += 2) sum += echo.readUInt16BE(at);
  echo.writeUInt16BE(~(sum + (sum >> 16)) & 0xffff, 2);
  const reply = (async () => {
    for await (const [data, from] of sock.datagrams()) {
      const message = data.subarray((data[0]! & 15) * 4);
      if (message[0] === 0 && message.readUInt16BE(4) === (process.pid & 0xffff)) return from;
    }
    return undefined;
  })();
  await sock.sendto(echo, ["127.0.0.1", 0]);
  expect(await reply).toEqual(["127.0.0.1", 0]);
});

needs("permission for packet sockets", has(AF_PACKET, SOCK_DGRAM, 0) && isLinux)(
  "packets of the loopback, waited for among those of others",
  async () => {
    using packets = new Socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
    packets.bind(["lo", ETH_P_IP]);
    packets.settimeout(5);
    const text = `a datagram of ${process.pid} at ${performance.now()}`;
    const seen = (async () => {
      for await (const [data, from] of packets.datagrams()) if (data.includes(text)) return from;
      return undefined;
    })();
    let isOver = false;
    seen.finally(() => (isOver = true)).catch(() => {});
    await turn();
    using udp = new Socket(AF_INET, SOCK_DGRAM);
    udp.bind(["127.0.0.1", 0]);
    // Where others send much, some of it is lost.
    for (; !isOver; await Bun.sleep(20)) await udp.sendto(text, udp.getsockname());
    const from = await seen;
    expect(from![0]).toBe("lo");
  },
);
