/** WSASendMsg and WSARecvMsg: packet information both ways, and what is cut. */
import { expect } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  CMSG_LEN,
  CMSG_SPACE,
  IP_PKTINFO,
  IP_RECVTTL,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_PKTINFO,
  MSG_CTRUNC,
  MSG_PEEK,
  MSG_TRUNC,
  type ReceivedAncillaryData,
  SOCK_DGRAM,
  Socket,
  if_indextoname,
} from "../../src/index.ts";
import { codeOf, expectTimeout, isWindows, needs, Sockets, works } from "../help.ts";

const windows = needs("Windows", isWindows);
const six = needs(
  "Windows with an IPv6 loopback",
  isWindows &&
    works(() => {
      const sock = new Socket(AF_INET6, SOCK_DGRAM);
      try {
        sock.bind(["::1", 0]);
      } catch (error) {
        sock.close();
        throw error;
      }
      return sock;
    }),
);

/** The data of the one control message that is asked for. */
function item(ancdata: readonly ReceivedAncillaryData[], level: number, type: number): Buffer {
  expect(ancdata.map((one) => [one[0], one[1]])).toEqual([[level, type]]);
  return ancdata[0]![2];
}

/** A UDP socket on every address that tells of each datagram which of them it came to. */
function informed(own: Sockets): Socket<"AF_INET"> {
  const sock = own.add(new Socket(AF_INET, SOCK_DGRAM));
  sock.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
  sock.bind(["", 0]);
  sock.settimeout(5);
  return sock;
}

windows("the header of a control message is that of WSACMSGHDR", () => {
  expect([CMSG_LEN(0), CMSG_LEN(5), CMSG_SPACE(0), CMSG_SPACE(1), CMSG_SPACE(8), CMSG_SPACE(9)]).toEqual([
    16, 21, 16, 24, 24, 32,
  ]);
});

windows("IP_PKTINFO tells which address and interface a datagram came to", () => {
  using own = new Sockets();
  const server = informed(own);
  const [, port] = server.getsockname();
  const client = own.udp();
  for (const host of ["127.0.0.1", "127.0.0.77"]) {
    client.sendto("hello", [host, port]);
    const [data, ancdata, flags, address] = server.recvmsg(100, CMSG_SPACE(8));
    expect([data.toString(), flags, address]).toEqual(["hello", 0, client.getsockname()]);
    const info = item(ancdata, IPPROTO_IP, IP_PKTINFO); // struct in_pktinfo: address, index
    expect(info.length).toBe(8);
    expect([...info.subarray(0, 4)].join(".")).toBe(host);
    expect(if_indextoname(info.readUInt32LE(4))).toMatch(/^loopback_/);
  }
  const views = [new Uint8Array(2), new Uint8Array(100)];
  client.sendto("hello", ["127.0.0.5", port]);
  const [n, ancdata] = server.recvmsgInto(views, CMSG_SPACE(8));
  expect(Buffer.concat(views).toString("latin1", 0, n)).toBe("hello");
  expect([...item(ancdata, IPPROTO_IP, IP_PKTINFO).subarray(0, 4)]).toEqual([127, 0, 0, 5]);
});

/** Whether WSASendMsg reads control messages at all (Wine's does not): if so, it refuses what is none. */
const readsControl =
  isWindows &&
  ((): boolean => {
    using own = new Sockets();
    const sock = own.udp();
    const nonsense = [[0x7777, 0x7777, new Uint8Array(1)]] as const;
    return codeOf(() => sock.sendmsg(["x"], nonsense, 0, sock.getsockname())).startsWith("E");
  })();
const sends = needs("WSASendMsg that reads control messages", readsControl);

sends("IP_PKTINFO that is sent chooses the source address", () => {
  using own = new Sockets();
  const server = own.udp();
  const client = own.add(new Socket(AF_INET, SOCK_DGRAM));
  client.bind(["", 0]);
  const info = Uint8Array.of(127, 0, 0, 42, 0, 0, 0, 0);
  expect(client.sendmsg(["fr", "om 42"], [[IPPROTO_IP, IP_PKTINFO, info]], 0, server.getsockname())).toBe(7);
  expect(server.recvfrom(100)).toEqual([Buffer.from("from 42"), ["127.0.0.42", client.getsockname()[1]]]);
});

six("IPV6_PKTINFO tells it, and chooses it", () => {
  using own = new Sockets();
  const server = own.add(new Socket(AF_INET6, SOCK_DGRAM));
  server.setsockopt(IPPROTO_IPV6, IPV6_PKTINFO, 1);
  server.bind(["::", 0]);
  server.settimeout(5);
  const [, port] = server.getsockname();
  const client = own.add(new Socket(AF_INET6, SOCK_DGRAM));
  client.bind(["::", 0]);
  const loopback = Buffer.alloc(16);
  loopback[15] = 1;
  const chosen = Buffer.concat([loopback, Buffer.alloc(4)]); // struct in6_pktinfo: address, index
  expect(client.sendmsg(["six"], [[IPPROTO_IPV6, IPV6_PKTINFO, chosen]], 0, ["::1", port])).toBe(3);
  const [data, ancdata, flags, address] = server.recvmsg(100, CMSG_SPACE(20));
  expect([data.toString(), flags]).toEqual(["six", 0]);
  expect(address).toEqual(["::1", client.getsockname()[1], 0, 0]);
  const info = item(ancdata, IPPROTO_IPV6, IPV6_PKTINFO);
  expect(info.length).toBe(20);
  expect(info.subarray(0, 16)).toEqual(loopback);
  expect(if_indextoname(info.readUInt32LE(16))).toMatch(/^loopback_/);
});

/** Whether IP_TTL comes with a datagram: Windows has it since 10, Wine too. */
const receivesTtl =
  isWindows &&
  ((): boolean => {
    using own = new Sockets();
    return codeOf(() => own.udp().setsockopt(IPPROTO_IP, IP_RECVTTL, 1)).startsWith("nothing");
  })();

needs("IP_RECVTTL on Windows", receivesTtl)("IP_TTL comes with a datagram", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  b.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
  a.setsockopt(IPPROTO_IP, IP_TTL, 33);
  a.sendto("x", b.getsockname());
  const [, ancdata] = b.recvmsg(1, 100);
  expect(item(ancdata, IPPROTO_IP, IP_TTL).readInt32LE()).toBe(33);
});

windows(
  "MSG_TRUNC says that data was cut, MSG_CTRUNC that a control message was; the rest of the datagram is gone",
  () => {
    using own = new Sockets();
    const server = informed(own);
    const [, port] = server.getsockname();
    const client = own.udp();
    const receive = (size: number, room: number): [data: string, items: number, flags: number] => {
      client.sendto("0123456789", ["127.0.0.1", port]);
      const [data, ancdata, flags, address] = server.recvmsg(size, room);
      expect(address).toEqual(client.getsockname());
      return [data.toString(), ancdata.length, flags];
    };
    expect(receive(10, CMSG_SPACE(8))).toEqual(["0123456789", 1, 0]);
    expect(receive(4, CMSG_SPACE(8))).toEqual(["0123", 1, MSG_TRUNC]);
    expect(receive(10, 0)).toEqual(["0123456789", 0, MSG_CTRUNC]);
    expect(receive(10, 5)).toEqual(["0123456789", 0, MSG_CTRUNC]);
    expect(receive(4, 0)).toEqual(["0123", 0, MSG_TRUNC | MSG_CTRUNC]);
    expect(receive(0, CMSG_SPACE(8))[2] & MSG_TRUNC).toBe(MSG_TRUNC);
    const views = [new Uint8Array(1), new Uint8Array(2)];
    client.sendto("0123456789", ["127.0.0.1", port]);
    expect(server.recvmsgInto(views, CMSG_SPACE(8)).toSpliced(1, 1)).toEqual([3, MSG_TRUNC, client.getsockname()]);
    expect(Buffer.concat(views).toString()).toBe("012");
    expect(receive(100, 1000)).toEqual(["0123456789", 1, 0]);
  },
);

windows("a datagram that is cut is no error, by any receive", () => {
  using own = new Sockets();
  const [a, b] = [own.udp(), own.udp()];
  const view = new Uint8Array(4);
  for (const receive of [
    () => b.recv(4).toString(),
    () => b.recvfrom(4)[0].toString(),
    () => Buffer.from(view.subarray(0, b.recvInto(view))).toString(),
    () => Buffer.from(view.subarray(0, b.recvfromInto(view)[0])).toString(),
    () => b.recvmsg(4)[0].toString(),
  ]) {
    a.sendto("0123456789", b.getsockname());
    expect(receive()).toBe("0123");
  }
  a.sendto("whole", b.getsockname());
  expect(b.recv(3, MSG_PEEK).toString()).toBe("who");
  expect(b.recv(100).toString()).toBe("whole");
});

windows("recvmsg on a stream has no control messages and no address", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendmsg(["on", "e ", "piece"]);
  expect(b.recvmsg(100, 100)).toEqual([Buffer.from("one piece"), [], 0, null] as never);
  b.setblocking(false);
  expect(codeOf(() => b.recvmsg(1, 100))).toBe("EAGAIN");
  b.settimeout(0.05);
  expectTimeout(0.05, () => b.recvmsg(1, 100));
  a.close();
  b.settimeout(5);
  expect(b.recvmsg(10, 100)[0].length).toBe(0);
});

windows("a receive with packet information runs out of time when it should", () => {
  using own = new Sockets();
  const server = informed(own);
  server.settimeout(0.05);
  expectTimeout(0.05, () => server.recvmsg(10, CMSG_SPACE(8)));
  server.setblocking(false);
  expect(codeOf(() => server.recvmsg(10, CMSG_SPACE(8)))).toBe("EAGAIN");
});

windows("control messages stay as they were received, and do not show in another call", () => {
  using own = new Sockets();
  const server = informed(own);
  const [, port] = server.getsockname();
  const client = own.udp();
  client.sendto("1", ["127.0.0.11", port]);
  const [, first] = server.recvmsg(1, 100);
  client.sendto("2", ["127.0.0.22", port]);
  const [, second] = server.recvmsg(1, 100);
  expect([...first[0]![2].subarray(0, 4)]).toEqual([127, 0, 0, 11]);
  expect([...second[0]![2].subarray(0, 4)]).toEqual([127, 0, 0, 22]);
  const plain = own.udp();
  client.sendto("3", plain.getsockname());
  expect(plain.recvmsg(1, 100)).toEqual([Buffer.from("3"), [], 0, client.getsockname()]);
});
