/** Structures of options, against what the kernel, CPython and ss make of the same. */
import { expect, test } from "bun:test";
import {
  AF_INET,
  AF_INET6,
  AF_PACKET,
  if_nametoindex,
  IP_ADD_MEMBERSHIP,
  IP_ADD_SOURCE_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  MCAST_JOIN_GROUP,
  MCAST_JOIN_SOURCE_GROUP,
  MCAST_LEAVE_GROUP,
  PACKET_ADD_MEMBERSHIP,
  PACKET_DROP_MEMBERSHIP,
  PACKET_MR_PROMISC,
  SO_LINGER,
  SO_PEERCRED,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  SOL_PACKET,
  SOL_SOCKET,
  TCP_INFO,
  TCP_MAXSEG,
} from "../../src/index.ts";
import {
  can_filter,
  group_req,
  group_source_req,
  ip_mreq,
  ip_mreq_source,
  ip_mreqn,
  ipv6_mreq,
  linger,
  packet_mreq,
  tcp_info,
  timeval,
  ucred,
} from "../../src/messages.ts";
import {
  codeOf,
  expectTimeout,
  hasLinuxOptions,
  hasTcpInfo,
  isLinux,
  isRoot,
  isWindows,
  needs,
  python,
  pythonPeer,
  Sockets,
  tellsResets,
} from "../help.ts";

const linux = needs("options and control messages of Linux", hasLinuxOptions);
const root = needs("root, and options and control messages of Linux", hasLinuxOptions && isRoot);
const lo = isLinux ? if_nametoindex("lo") : 1;

needs("timeout as a struct timeval", !isWindows)("timeval: the system waits as long as it says", () => {
  using own = new Sockets();
  const sock = own.udp();
  sock.setblocking(true);
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    for (const seconds of [0, 0.25, 2.5, 3600]) {
      sock.setsockopt(SOL_SOCKET, option, timeval.encode(seconds));
      const rounded = timeval.decode(sock.getsockopt(SOL_SOCKET, option, timeval.size)); // up to a tick of the kernel
      expect(rounded).toBeGreaterThanOrEqual(seconds);
      expect(rounded).toBeLessThan(seconds + 0.011);
    }
  }
  sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval.encode(0.06));
  const started = performance.now();
  expect(codeOf(() => sock.recv(1))).toBe("EAGAIN");
  expect(performance.now() - started).toBeGreaterThanOrEqual(55);
  sock.settimeout(0.01);
  expectTimeout(0.01, () => sock.recv(1));
});

needs("error for a reset connection", tellsResets())("linger: a connection that does not linger is reset", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  expect(linger.decode(a.getsockopt(SOL_SOCKET, SO_LINGER, linger.size))).toMatchObject({ onoff: false });
  const value = { onoff: true, linger: 0 };
  a.setsockopt(SOL_SOCKET, SO_LINGER, linger.encode(value));
  expect(linger.decode(a.getsockopt(SOL_SOCKET, SO_LINGER, linger.size))).toEqual(value);
  a.close();
  expect(codeOf(() => b.recv(1))).toBe("ECONNRESET");
});

const group = "239.77.1.2";
const group6 = "ff02::7:7";

linux("memberships of every structure are taken: what is sent to the group comes, and then no more", () => {
  const joins: [name: string, join: number, leave: number, request: Buffer][] = [
    ["ip_mreq", IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, ip_mreq.encode({ multiaddr: group, interface: "127.0.0.1" })],
    ["ip_mreqn", IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, ip_mreqn.encode({ multiaddr: group, ifindex: lo })],
    ["group_req", MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, group_req.encode({ group, interface: lo })],
  ];
  for (const [name, join, leave, request] of joins) {
    using own = new Sockets();
    const receiver = own.add(new Socket(AF_INET, SOCK_DGRAM));
    receiver.settimeout(5);
    receiver.bind([group, 0]);
    const sender = own.udp();
    sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, ip_mreqn.encode({ ifindex: lo }));
    sender.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, 1);
    receiver.setsockopt(IPPROTO_IP, join, request);
    expect(codeOf(() => receiver.setsockopt(IPPROTO_IP, join, request))).toBe("EADDRINUSE");
    sender.sendto(name, receiver.getsockname());
    expect(receiver.recv(100).toString()).toBe(name);
    receiver.setsockopt(IPPROTO_IP, leave, request);
    expect(codeOf(() => receiver.setsockopt(IPPROTO_IP, leave, request))).toBe("EADDRNOTAVAIL");
  }
});

linux("memberships of one source take what it sends, and nothing of others", () => {
  const group = "232.77.1.2";
  const joins: [join: number, request: (source: string) => Buffer][] = [
    [
      IP_ADD_SOURCE_MEMBERSHIP,
      (sourceaddr) => ip_mreq_source.encode({ multiaddr: group, interface: "127.0.0.1", sourceaddr }),
    ],
    [MCAST_JOIN_SOURCE_GROUP, (source) => group_source_req.encode({ interface: lo, group, source })],
  ];
  for (const [join, request] of joins) {
    using own = new Sockets();
    const receiver = own.add(new Socket(AF_INET, SOCK_DGRAM));
    receiver.settimeout(5);
    receiver.bind([group, 0]);
    receiver.setsockopt(IPPROTO_IP, join, request("127.0.0.2"));
    for (const source of ["127.0.0.1", "127.0.0.2"]) {
      const sender = own.add(new Socket(AF_INET, SOCK_DGRAM));
      sender.bind([source, 0]);
      sender.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, ip_mreqn.encode({ ifindex: lo }));
      sender.sendto(source, receiver.getsockname());
    }
    expect(receiver.recv(100).toString()).toBe("127.0.0.2");
    receiver.settimeout(0);
    expect(codeOf(() => receiver.recv(100))).toBe("EAGAIN");
  }
});

linux("memberships of IPv6 groups", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_INET6, SOCK_DGRAM));
  sock.bind(["::1", 0]);
  const old = ipv6_mreq.encode({ multiaddr: group6, interface: lo });
  sock.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, old);
  const other = group_req.encode({ interface: lo, group: group6 });
  expect(codeOf(() => sock.setsockopt(IPPROTO_IPV6, MCAST_JOIN_GROUP, other))).toBe("EADDRINUSE");
  sock.setsockopt(IPPROTO_IPV6, MCAST_LEAVE_GROUP, other);
  expect(codeOf(() => sock.setsockopt(IPPROTO_IPV6, IPV6_LEAVE_GROUP, old))).toBe("EADDRNOTAVAIL");
  expect(ipv6_mreq.decode(old)).toEqual({ multiaddr: group6, interface: lo });
  expect(group_req.decode(other)).toEqual({ interface: lo, group: group6 });
});

root("an interface is made promiscuous, once for each request", () => {
  using own = new Sockets();
  const sock = own.add(new Socket(AF_PACKET, SOCK_RAW, 0));
  const request = packet_mreq.encode({ ifindex: lo, type: PACKET_MR_PROMISC });
  sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request);
  sock.setsockopt(SOL_PACKET, PACKET_DROP_MEMBERSHIP, request);
  // Leaving what was not joined is no error for this option.
  const wrong = packet_mreq.encode({ ifindex: 0x7fff_ffff, type: PACKET_MR_PROMISC });
  expect(codeOf(() => sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, wrong))).toBe("ENODEV");
});

linux("ucred: who made the other end", () => {
  using own = new Sockets();
  const [a] = own.pair();
  const bytes = a.getsockopt(SOL_SOCKET, SO_PEERCRED, ucred.size);
  const value = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };
  expect(ucred.decode(bytes)).toEqual(value);
  expect(ucred.encode(value)).toEqual(bytes);
});

linux("tcp_info: all that the kernel gives, and the numbers of what was sent", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall(Buffer.alloc(12_345));
  for (let left = 12_345; left > 0;) left -= b.recv(left).length;
  const bytes = a.getsockopt(IPPROTO_TCP, TCP_INFO, 1024);
  const info = tcp_info.decode(bytes);
  expect(info).toMatchObject({ state: 1, caState: 0, bytesSent: 12_345, bytesRetrans: 0, totalRetrans: 0 });
  expect(info.sndMss).toBe(a.getsockopt(IPPROTO_TCP, TCP_MAXSEG));
  expect(info.rtt).toBeGreaterThan(0);
  expect(info.rtt).toBeLessThan(1e6);
  expect(tcp_info.decode(b.getsockopt(IPPROTO_TCP, TCP_INFO, tcp_info.size)).bytesReceived).toBe(12_345);
  // Unlimited is the highest number of 64 bits, which a double rounds: everything else is the same bytes again.
  expect(info.maxPacingRate).toBe(2 ** 64);
  const again = tcp_info.encode({ ...info, maxPacingRate: 0 });
  const known = Math.min(bytes.length, tcp_info.size);
  bytes.fill(0, 112, 120);
  expect(again.subarray(0, known)).toEqual(bytes.subarray(0, known));

  const { totalRetrans: _, ...old } = tcp_info.decode(bytes.subarray(0, 104));
  expect(Object.keys(tcp_info.decode(bytes.subarray(0, 100)))).toEqual(Object.keys(old));
  expect(() => tcp_info.decode(bytes.subarray(0, 99))).toThrow(/^data: expected at least 100 bytes, got "99 bytes"/);
});

const ss = Bun.which("ss");
needs("ss, and TCP_INFO", ss !== null && hasTcpInfo)("tcp_info: what ss says of the same connection", () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("x".repeat(5000));
  for (let left = 5000; left > 0;) left -= b.recv(left).length;
  const info = tcp_info.decode(a.getsockopt(IPPROTO_TCP, TCP_INFO, tcp_info.size));
  const filter = ["src", `127.0.0.1:${a.getsockname()[1]}`, "dst", `127.0.0.1:${a.getpeername()[1]}`];
  const text = Bun.spawnSync([ss!, "-Htin", ...filter]).stdout.toString();
  const said = Object.fromEntries(
    [...text.matchAll(/\b([a-z_]+):([\d.]+)(?:\/([\d.]+))?/g)].map(([, name, first, second]) => [
      name!,
      second === undefined ? Number(first) : [Number(first), Number(second)],
    ]),
  );
  expect(said).toMatchObject({
    cwnd: info.sndCwnd,
    mss: info.sndMss,
    pmtu: info.pmtu,
    rcvmss: info.rcvMss,
    advmss: info.advmss,
    bytes_sent: info.bytesSent!,
    bytes_acked: info.bytesAcked!,
    segs_out: info.segsOut!,
    segs_in: info.segsIn!,
    data_segs_out: info.dataSegsOut!,
    rto: info.rto / 1000,
    rtt: [info.rtt / 1000, info.rttvar / 1000],
    minrtt: info.minRtt! / 1000,
    rcv_space: info.rcvSpace,
    rcv_ssthresh: info.rcvSsthresh,
    snd_wnd: info.sndWnd!,
  });
  expect(text).toContain(`wscale:${info.sndWscale},${info.rcvWscale}`);
});

needs("Python, and TCP_INFO", python !== null && hasTcpInfo)("tcp_info: what CPython unpacks", async () => {
  using own = new Sockets();
  const [a, b] = own.tcp();
  a.sendall("x");
  b.recv(1);
  const info = tcp_info.decode(a.getsockopt(IPPROTO_TCP, TCP_INFO, tcp_info.size));
  const copy = a.dup();
  using peer = pythonPeer(
    `raw = socket.socket(fileno=3).getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
print(*struct.unpack("8B24I", raw))`,
    [],
    [copy],
  );
  const all = (await peer.output()).split(" ").map(Number);
  const { state, options, sndWscale, rcvWscale, rto, sndMss, rcvMss, pmtu, advmss, sndCwnd, rcvSpace, totalRetrans } =
    info;
  expect([all[0], all[5], all[6], all[8], all[10], all[11], all[21], all[26], all[27], all[30], all[31]]).toEqual([
    state,
    options,
    sndWscale | (rcvWscale << 4),
    rto,
    sndMss,
    rcvMss,
    pmtu,
    sndCwnd,
    advmss,
    rcvSpace,
    totalRetrans,
  ]);
});

test("arrays of structures, and pieces of them", () => {
  const filters = [
    { id: 1, mask: 0x7ff },
    { id: 2, mask: 3 },
  ];
  const bytes = can_filter.encodeAll(new Set(filters));
  expect(bytes.length).toBe(16);
  expect(can_filter.decodeAll(bytes)).toEqual(filters);
  expect(can_filter.decodeAll(Buffer.alloc(0))).toEqual([]);
  expect(() => can_filter.decodeAll(bytes.subarray(1))).toThrow(
    /^data: expected a multiple of 8 bytes, got "15 bytes"/,
  );
  expect(() => can_filter.encodeAll([filters[0]!, { id: 1, mask: "x" as never }])).toThrow(/^values\[1\]\.mask: /);
  expect(() => can_filter.decode(bytes.subarray(0, 7))).toThrow(/^data: expected at least 8 bytes, got "7 bytes"/);
});
