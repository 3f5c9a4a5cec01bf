/** WSAIoctl: the requests that Python names, and some more. */
import { expect } from "bun:test";
import {
  AF_INET,
  FIONBIO,
  FIONREAD,
  IPPROTO_ICMP,
  IPPROTO_IP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  RCVALL_OFF,
  RCVALL_ON,
  SIO_KEEPALIVE_VALS,
  SIO_LOOPBACK_FAST_PATH,
  SIO_RCVALL,
  SIO_TCP_INFO,
  SO_KEEPALIVE,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  SOCK_RAW,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
} from "../../src/index.ts";
import { codeOf, isWindows, needs, Sockets, thrown, works } from "../help.ts";

const windows = needs("Windows", isWindows);

/** Whether a request is refused as one that the system does not know. */
function knows(request: number, argument: number | Uint8Array, make: () => Socket): boolean {
  if (!isWindows || !works(make)) return false;
  using sock = make();
  return codeOf(() => sock.ioctl(request, argument)) !== "EOPNOTSUPP";
}

const tcp = (): Socket<"AF_INET"> => new Socket(AF_INET, SOCK_STREAM);
const raw = (): Socket<"AF_INET"> => {
  const sock = new Socket(AF_INET, SOCK_RAW, IPPROTO_IP);
  try {
    sock.bind(["127.0.0.1", 0]);
  } catch (error) {
    sock.close();
    throw error;
  }
  return sock;
};

/** An option, or null where the system (Wine) has none of that number. */
function option(sock: Socket, level: number, number: number): number | null {
  const code = codeOf(() => sock.getsockopt(level, number));
  return code === "ENOPROTOOPT" || code === "EOPNOTSUPP" ? null : sock.getsockopt(level, number);
}

windows("SIO_KEEPALIVE_VALS takes [onoff, time, interval], in milliseconds", () => {
  using own = new Sockets();
  const [a] = own.tcp();
  expect(a.getsockopt(SOL_SOCKET, SO_KEEPALIVE)).toBe(0);
  a.ioctl(SIO_KEEPALIVE_VALS, [1, 10_000, 3000]);
  expect(a.getsockopt(SOL_SOCKET, SO_KEEPALIVE)).not.toBe(0);
  expect([10, null]).toContain(option(a, IPPROTO_TCP, TCP_KEEPIDLE));
  expect([3, null]).toContain(option(a, IPPROTO_TCP, TCP_KEEPINTVL));
  a.ioctl(SIO_KEEPALIVE_VALS, [0, 10_000, 3000]);
  expect(a.getsockopt(SOL_SOCKET, SO_KEEPALIVE)).toBe(0);
  a.ioctl(SIO_KEEPALIVE_VALS, Uint32Array.of(1, 20_000, 1000)); // struct tcp_keepalive itself
  expect(a.getsockopt(SOL_SOCKET, SO_KEEPALIVE)).not.toBe(0);
});

windows("SIO_KEEPALIVE_VALS refuses what is no such list", () => {
  using own = new Sockets();
  const [a] = own.tcp();
  const use = (values: unknown) => () => a.ioctl(SIO_KEEPALIVE_VALS, values as never);
  for (const values of [[], [1], [1, 2], [1, 2, 3, 4], [1, 2, "3"], [1, 2, 1.5], ["x", 2, 3]]) {
    expect(use(values)).toThrow(/^argument/);
  }
  for (const values of [
    [1, -1, 3],
    [1, 2, 2 ** 32],
  ]) {
    expect(use(values)).toThrow(RangeError);
  }
  expect(() => a.ioctl(FIONREAD, [1, 2, 3])).toThrow(/^argument/);
  expect(a.getsockopt(SOL_SOCKET, SO_KEEPALIVE)).toBe(0);
});

windows("SO_RCVTIMEO and SO_SNDTIMEO are milliseconds", () => {
  using sock = tcp();
  for (const name of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    sock.setsockopt(SOL_SOCKET, name, 2500);
    expect(sock.getsockopt(SOL_SOCKET, name)).toBe(2500);
  }
});

windows("FIONREAD and FIONBIO", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("12345");
  b.recv(1, 2);
  const size = new Uint32Array(1);
  expect(b.ioctl(FIONREAD, size)).toBe(4);
  expect(size[0]).toBe(5);
  expect(b.recv(100).length).toBe(5);
  b.settimeout(null);
  b.ioctl(FIONBIO, 1);
  expect(codeOf(() => b.recv(1))).toBe("EAGAIN"); // the descriptor does not wait, though the socket would
});

windows("a request that there is not, and one of a closed socket", () => {
  using sock = tcp();
  expect(thrown(() => sock.ioctl(0x9800_7777, 1)).syscall).toBe("ioctl");
  const closed = tcp();
  closed.close();
  expect(codeOf(() => closed.ioctl(SIO_KEEPALIVE_VALS, [1, 1000, 1000]))).toBe("EBADF");
});

const rcvall = needs("SIO_RCVALL", knows(SIO_RCVALL, RCVALL_OFF, raw));

rcvall("SIO_RCVALL receives every packet of an interface", () => {
  using own = new Sockets();
  const sniffer = own.add(raw());
  sniffer.ioctl(SIO_RCVALL, RCVALL_ON);
  sniffer.settimeout(5);
  const [a, b] = [own.udp(), own.udp()];
  a.sendto("seen by a third", b.getsockname());
  for (;;) {
    const packet = sniffer.recv(65536);
    if (packet[9] === IPPROTO_UDP && packet.includes("seen by a third")) break;
  }
  sniffer.ioctl(SIO_RCVALL, RCVALL_OFF);
});

needs("SIO_LOOPBACK_FAST_PATH", knows(SIO_LOOPBACK_FAST_PATH, 1, tcp))("SIO_LOOPBACK_FAST_PATH is taken", () => {
  using sock = tcp();
  sock.ioctl(SIO_LOOPBACK_FAST_PATH, 1);
  sock.ioctl(SIO_LOOPBACK_FAST_PATH, 0);
});

needs("SIO_TCP_INFO", knows(SIO_TCP_INFO, new Uint8Array(136), tcp))("SIO_TCP_INFO tells of a connection", () => {
  using own = new Sockets();
  const [a] = own.tcp();
  const info = new Uint8Array(136); // in: the version, 0; out: TCP_INFO_v0
  expect(a.ioctl(SIO_TCP_INFO, info)).toBeGreaterThan(80);
  expect(info[0]).toBe(4); // TCPSTATE_ESTABLISHED
});

/** The internet checksum of RFC 1071. */
function checksum(message: Buffer): number {
  let sum = 0;
  for (let i = 0; i < message.length; i += 2) sum += message.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

const icmp = (): Socket<"AF_INET"> => new Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

needs("permission for raw sockets on Windows", isWindows && works(icmp))("a raw socket pings the loopback", () => {
  using sock = icmp();
  expect([sock.family, sock.type, sock.proto]).toEqual([AF_INET, SOCK_RAW, IPPROTO_ICMP]);
  sock.settimeout(5);
  const request = Buffer.concat([Buffer.of(8, 0, 0, 0, 0, 0, 0, 1), crypto.getRandomValues(new Uint8Array(48))]);
  request.writeUInt16BE(process.pid & 0xffff, 4);
  request.writeUInt16BE(checksum(request), 2);
  expect(sock.sendto(request, ["127.0.0.1", 0])).toBe(request.length);
  for (;;) {
    const [packet, from] = sock.recvfrom(2048);
    const message = packet.subarray((packet[0]! & 15) * 4); // behind the IPv4 header
    if (message[0] !== 0 || !message.subarray(4).equals(request.subarray(4))) continue; // the request itself, others
    expect(from[0]).toBe("127.0.0.1");
    break;
  }
});
