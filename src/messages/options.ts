/**
 * Structures that options of sockets take and give.
 */
import {
  counter,
  duration,
  i32,
  in4,
  in6,
  type Kind,
  Layout,
  type Optional,
  parts,
  storage,
  Struct,
  type Structure,
  truth,
  u16,
  u32,
  u8,
} from "./structure.ts";
import { byteLengthOf, bytes, bytesOf, type BytesLike, integer, wrongValue } from "../args.ts";

const isLinux = process.platform === "linux" || process.platform === "android";
const isDarwin = process.platform === "darwin";
const isWindows = process.platform === "win32";

/** Windows has no `struct timeval` in its options, but an int of milliseconds. */
const milliseconds: Kind<number> = {
  size: 4,
  align: 4,
  read: (view, at) => view.getUint32(at, true) / 1000,
  write: (view, at, value, name) => u32.write(view, at, parts(value, 1000, name), `${name} in milliseconds`),
};

/** A structure that is a single member. */
class Single<Value> extends Layout<Value, Value> {
  readonly size: number;
  readonly align: number;
  readonly least: number;
  readonly #kind: Kind<Value>;

  constructor(name: string, kind: Kind<Value>) {
    super(name);
    this.#kind = kind;
    this.size = kind.size;
    this.align = kind.align;
    this.least = kind.size;
  }

  read(view: DataView, at: number): Value {
    return this.#kind.read(view, at);
  }

  write(view: DataView, at: number, value: unknown, name: string): void {
    this.#kind.write(view, at, value, name);
  }
}

/**
 * `struct timeval` as a number of seconds, with microseconds behind the point: `SO_RCVTIMEO`, `SO_SNDTIMEO`. On Windows
 * these two take milliseconds, and so this is them there. See socket(7), setsockopt(2) of macOS and FreeBSD,
 * https://learn.microsoft.com/windows/win32/winsock/sol-socket-socket-options.
 *
 * @example
 * ```ts
 * import { Socket, SO_RCVTIMEO, SOL_SOCKET } from "berkeley-sockets";
 * import { timeval } from "berkeley-sockets/messages";
 * using sock = new Socket();
 * sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval.encode(2.5));
 * console.log(timeval.decode(sock.getsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval.size))); // 2.5
 * ```
 */
export const timeval: Structure<number> = new Single("timeval", isWindows ? milliseconds : duration);

/** Whether `close` waits until what was sent has arrived, and how long. */
export interface Linger {
  onoff: boolean;
  /** Seconds. (macOS counts hundredths with `SO_LINGER`, and seconds with `SO_LINGER_SEC`.) */
  linger: number;
}

/**
 * `struct linger`: `SO_LINGER`. See socket(7), https://learn.microsoft.com/windows/win32/api/winsock/ns-winsock-linger.
 *
 * @example
 * ```ts
 * import { Socket, SO_LINGER, SOL_SOCKET } from "berkeley-sockets";
 * import { linger } from "berkeley-sockets/messages";
 * using sock = new Socket();
 * sock.setsockopt(SOL_SOCKET, SO_LINGER, linger.encode({ onoff: true, linger: 5 }));
 * console.log(linger.decode(sock.getsockopt(SOL_SOCKET, SO_LINGER, linger.size)).linger); // 5
 * ```
 */
export const linger: Structure<Linger> = isWindows
  ? new Struct("linger", { onoff: truth(u16), linger: u16 })
  : new Struct("linger", { onoff: truth(i32), linger: i32 });

/** An IPv4 group, and the interface to join it on, by its address. */
export interface IpMreq {
  multiaddr: string;
  /** An address of the interface; `"0.0.0.0"`, the default, leaves the choice to the system. */
  interface: string;
}

/**
 * `struct ip_mreq`: `IP_ADD_MEMBERSHIP`, `IP_DROP_MEMBERSHIP`. See ip(7), ip(4) of the BSDs.
 *
 * @example
 * ```ts
 * import { AF_INET, IP_ADD_MEMBERSHIP, IPPROTO_IP, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { ip_mreq } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * const request = ip_mreq.encode({ multiaddr: "239.1.2.3", interface: "127.0.0.1" });
 * sock.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, request);
 * ```
 */
export const ip_mreq: Structure<IpMreq, Optional<IpMreq, "interface">> = new Struct(
  "ip_mreq",
  { multiaddr: in4, interface: in4 },
  ["interface"],
);

/** An IPv4 group or none, and an interface by its address or its number. */
export interface IpMreqn {
  /** `"0.0.0.0"` by default, for `IP_MULTICAST_IF`. */
  multiaddr: string;
  /** An address of the interface, `"0.0.0.0"` by default. */
  address: string;
  /** The interface's number, 0 by default; it goes before the address. See `if_nametoindex`. */
  ifindex: number;
}

/**
 * `struct ip_mreqn`: `IP_ADD_MEMBERSHIP`, `IP_DROP_MEMBERSHIP`, `IP_MULTICAST_IF` with an interface's number. See ip(7).
 * Linux, FreeBSD, macOS.
 *
 * @example
 * ```ts
 * import { AF_INET, if_nameindex, IP_MULTICAST_IF, IPPROTO_IP, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { ip_mreqn } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * sock.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, ip_mreqn.encode({ ifindex: if_nameindex()[0]![0] }));
 * ```
 */
export const ip_mreqn: Structure<IpMreqn, Partial<IpMreqn>> = new Struct(
  "ip_mreqn",
  { multiaddr: in4, address: in4, ifindex: i32 },
  ["multiaddr", "address", "ifindex"],
);

/** An IPv4 group, of which only what one source sends is meant. */
export interface IpMreqSource {
  multiaddr: string;
  /** An address of the interface, `"0.0.0.0"` by default. */
  interface: string;
  sourceaddr: string;
}

/**
 * `struct ip_mreq_source`: `IP_ADD_SOURCE_MEMBERSHIP`, `IP_BLOCK_SOURCE` and their opposites. The order of its members
 * differs by platform. See ip(7), RFC 3678.
 *
 * @example
 * ```ts
 * import { AF_INET, IP_ADD_SOURCE_MEMBERSHIP, IPPROTO_IP, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { ip_mreq_source } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * const request = { multiaddr: "232.1.2.3", interface: "127.0.0.1", sourceaddr: "127.0.0.1" };
 * sock.setsockopt(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, ip_mreq_source.encode(request));
 * ```
 */
export const ip_mreq_source: Structure<IpMreqSource, Optional<IpMreqSource, "interface">> = new Struct(
  "ip_mreq_source",
  isLinux ? { multiaddr: in4, interface: in4, sourceaddr: in4 } : { multiaddr: in4, sourceaddr: in4, interface: in4 },
  ["interface"],
);

/** An IPv6 group, and the interface to join it on, by its number. */
export interface Ipv6Mreq {
  multiaddr: string;
  /** 0, the default, leaves the choice to the system. See `if_nametoindex`. */
  interface: number;
}

/**
 * `struct ipv6_mreq`: `IPV6_JOIN_GROUP`, `IPV6_LEAVE_GROUP`. See ipv6(7), RFC 3493.
 *
 * @example
 * ```ts
 * import { AF_INET6, if_nametoindex, IPPROTO_IPV6, IPV6_JOIN_GROUP, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { ipv6_mreq } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET6, SOCK_DGRAM);
 * const request = ipv6_mreq.encode({ multiaddr: "ff02::1:2", interface: if_nametoindex("lo") });
 * sock.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, request);
 * ```
 */
export const ipv6_mreq: Structure<Ipv6Mreq, Optional<Ipv6Mreq, "interface">> = new Struct(
  "ipv6_mreq",
  { multiaddr: in6, interface: u32 },
  ["interface"],
);

/** A group of either family, and an interface by its number. */
export interface GroupReq {
  /** 0, the default, leaves the choice to the system. */
  interface: number;
  /** An IPv4 or IPv6 address. */
  group: string;
}

/**
 * `struct group_req`: `MCAST_JOIN_GROUP`, `MCAST_LEAVE_GROUP`, at the level of the group's family. See ip(7), RFC 3678.
 *
 * @example
 * ```ts
 * import { AF_INET, if_nametoindex, IPPROTO_IP, MCAST_JOIN_GROUP, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { group_req } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * const request = group_req.encode({ interface: if_nametoindex("lo"), group: "239.1.2.3" });
 * sock.setsockopt(IPPROTO_IP, MCAST_JOIN_GROUP, request);
 * ```
 */
export const group_req: Structure<GroupReq, Optional<GroupReq, "interface">> = new Struct(
  "group_req",
  { interface: u32, group: storage },
  ["interface"],
  { pack: isDarwin ? 4 : 8 }, // macOS packs both of these
);

/** {@link GroupReq}, of which only what one source sends is meant. */
export interface GroupSourceReq extends GroupReq {
  /** An address of the group's family. */
  source: string;
}

/**
 * `struct group_source_req`: `MCAST_JOIN_SOURCE_GROUP`, `MCAST_BLOCK_SOURCE` and their opposites. See ip(7), RFC 3678.
 *
 * @example
 * ```ts
 * import { AF_INET, if_nametoindex, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { group_source_req } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * const request = { interface: if_nametoindex("lo"), group: "232.1.2.3", source: "127.0.0.1" };
 * sock.setsockopt(IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, group_source_req.encode(request));
 * ```
 */
export const group_source_req: Structure<GroupSourceReq, Optional<GroupSourceReq, "interface">> = new Struct(
  "group_source_req",
  { interface: u32, group: storage, source: storage },
  ["interface"],
  { pack: isDarwin ? 4 : 8 }, // macOS packs both of these
);

/** What an interface shall receive that is not its own. */
export interface PacketMreq {
  /** The interface's number. See `if_nametoindex`. */
  ifindex: number;
  /** `PACKET_MR_MULTICAST`, `PACKET_MR_PROMISC`, `PACKET_MR_ALLMULTI`, `PACKET_MR_UNICAST`. */
  type: number;
  /** A hardware address of at most eight bytes, for the types that have one. */
  address: Buffer;
}

const HARDWARE_MAX = 8;

/** `mr_alen` and `mr_address`. */
const hardware: Kind<Buffer> = {
  size: 2 + HARDWARE_MAX,
  align: 2,
  read(view, at) {
    const length = Math.min(view.getUint16(at, true), HARDWARE_MAX);
    return Buffer.from(new Uint8Array(view.buffer, view.byteOffset + at + 2, length));
  },
  write(view, at, value, name) {
    const given = bytes(value, name);
    const length = byteLengthOf(given);
    if (length > HARDWARE_MAX) throw wrongValue(name, `at most ${HARDWARE_MAX} bytes`, `${length} bytes`);
    view.setUint16(at, length, true);
    new Uint8Array(view.buffer, view.byteOffset + at + 2, length).set(bytesOf(given));
  },
};

/**
 * `struct packet_mreq`: `PACKET_ADD_MEMBERSHIP`, `PACKET_DROP_MEMBERSHIP`. See packet(7). Linux.
 *
 * @example
 * ```ts
 * import { PACKET_MR_PROMISC } from "berkeley-sockets";
 * import { packet_mreq } from "berkeley-sockets/messages";
 * // sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request), which needs CAP_NET_RAW
 * const request = packet_mreq.encode({ ifindex: 1, type: PACKET_MR_PROMISC });
 * console.log(request.length); // 16
 * ```
 */
export const packet_mreq: Structure<
  PacketMreq,
  Optional<Omit<PacketMreq, "address"> & { address: BytesLike }, "address">
> = new Struct("packet_mreq", { ifindex: i32, type: u16, address: hardware }, ["address"]) as never;

/** Who a process is. */
export interface Ucred {
  /** 0 where the process is not visible from here. */
  pid: number;
  uid: number;
  gid: number;
}

/**
 * `struct ucred`: `SO_PEERCRED`, who made the other end of an `AF_UNIX` connection. See unix(7). Linux. For the
 * credentials that come with a message see `decodeAncillary`.
 *
 * @example
 * ```ts
 * import { SO_PEERCRED, socketpair, SOL_SOCKET } from "berkeley-sockets";
 * import { ucred } from "berkeley-sockets/messages";
 * const [a, b] = socketpair();
 * console.log(ucred.decode(a.getsockopt(SOL_SOCKET, SO_PEERCRED, ucred.size)).pid === process.pid); // true
 * a.close();
 * b.close();
 * ```
 */
export const ucred: Structure<Ucred> = new Struct("ucred", { pid: i32, uid: u32, gid: u32 });

/** Who a process is, on macOS and FreeBSD. */
export interface Xucred {
  version: number;
  /** The effective user. */
  uid: number;
  /** The effective group, and the others. */
  groups: number[];
  /** FreeBSD tells it; elsewhere, and where it is not known, it is 0. */
  pid: number;
}

const XU_NGROUPS = 16;

/** `cr_ngroups` and `cr_groups`. */
const groups: Kind<number[]> = {
  size: 4 + 4 * XU_NGROUPS,
  align: 4,
  read(view, at) {
    const count = Math.min(Math.max(view.getInt16(at, true), 0), XU_NGROUPS);
    return Array.from({ length: count }, (_, i) => view.getUint32(at + 4 + 4 * i, true));
  },
  write(view, at, value, name) {
    const given = Array.isArray(value) ? [...(value as unknown[])] : [];
    if (given.length === 0 || given.length > XU_NGROUPS) {
      throw wrongValue(name, `an array of 1 to ${XU_NGROUPS} groups`, value);
    }
    view.setInt16(at, given.length, true);
    given.forEach((group, i) => u32.write(view, at + 4 + 4 * i, group, `${name}[${i}]`));
  },
};

/** `cr_pid`, in the room of a pointer; macOS has none. */
const pid: Kind<number> = isDarwin
  ? { size: 0, align: 1, read: () => 0, write: (_view, _at, value, name) => void integer(value, name) }
  : { ...i32, size: 8, align: 8 };

/**
 * `struct xucred`: `LOCAL_PEERCRED` at the level 0, who made the other end of an `AF_UNIX` connection. See unix(4) of
 * FreeBSD, and of macOS <sys/ucred.h>. macOS, FreeBSD.
 *
 * @example
 * ```ts
 * import { LOCAL_PEERCRED, socketpair } from "berkeley-sockets";
 * import { xucred } from "berkeley-sockets/messages";
 * if (LOCAL_PEERCRED !== undefined) {
 *   const [a, b] = socketpair();
 *   console.log(xucred.decode(a.getsockopt(0, LOCAL_PEERCRED, xucred.size)).uid === process.getuid?.());
 *   a.close();
 *   b.close();
 * }
 * ```
 */
export const xucred: Structure<Xucred, Optional<Xucred, "pid">> = new Struct(
  "xucred",
  { version: u32, uid: u32, groups, pid },
  ["pid"],
);

/** A part of a byte; with `size` 0, of the byte before. */
function bits(size: 0 | 1, shift: number, width: number): Kind<number> {
  const mask = 2 ** width - 1;
  return {
    size,
    align: 1,
    read: (view, at) => (view.getUint8(at + size - 1) >> shift) & mask,
    write(view, at, value, name) {
      const byte = view.getUint8(at + size - 1);
      view.setUint8(at + size - 1, byte | (integer(value, name, 0, mask) << shift));
    },
  };
}

/** What the kernel knows of a TCP connection. Units are those of Linux; FreeBSD and NetBSD have microseconds throughout. */
export interface TcpInfo {
  /** `TCP_ESTABLISHED` is 1; the others are in <netinet/tcp.h>, and differ by platform. */
  state: number;
  /** The state of congestion control (`TCP_CA_*`). */
  caState: number;
  /** Retransmissions of the first segment that is not acknowledged. */
  retransmits: number;
  /** Window probes or keep-alive probes that are not answered. */
  probes: number;
  /** By how many doublings the timeout was prolonged. */
  backoff: number;
  /** What was agreed on (`TCPI_OPT_*`): 1 timestamps, 2 SACK, 4 window scale, 8 ECN. */
  options: number;
  sndWscale: number;
  rcvWscale: number;
  deliveryRateAppLimited: boolean;
  fastopenClientFail: number;
  /** The retransmission timeout, in microseconds. */
  rto: number;
  /** The delay of acknowledgements, in microseconds. */
  ato: number;
  /** The sizes of segments, in bytes. */
  sndMss: number;
  rcvMss: number;
  /** Segments that are sent and not acknowledged. */
  unacked: number;
  sacked: number;
  lost: number;
  /** Segments in flight that are retransmitted. */
  retrans: number;
  fackets: number;
  /** How long ago that was, in milliseconds. */
  lastDataSent: number;
  lastAckSent: number;
  lastDataRecv: number;
  lastAckRecv: number;
  pmtu: number;
  rcvSsthresh: number;
  /** The round-trip time, in microseconds. */
  rtt: number;
  /** Its variation, in microseconds. */
  rttvar: number;
  sndSsthresh: number;
  /** The congestion window, in segments; FreeBSD has bytes. */
  sndCwnd: number;
  advmss: number;
  reordering: number;
  /** The round-trip time as the receiver sees it, in microseconds. */
  rcvRtt: number;
  rcvSpace: number;
  /** Retransmissions of the whole connection. This and what follows is there where the kernel gave it. Linux. */
  totalRetrans?: number;
  /** Bytes a second; about 1.8e19 where there is no limit. */
  pacingRate?: number;
  maxPacingRate?: number;
  bytesAcked?: number;
  bytesReceived?: number;
  segsOut?: number;
  segsIn?: number;
  /** Bytes in the send queue that were not sent yet. */
  notsentBytes?: number;
  /** Microseconds. */
  minRtt?: number;
  dataSegsIn?: number;
  dataSegsOut?: number;
  /** Bytes a second. */
  deliveryRate?: number;
  /** Microseconds busy sending; and how many of these the receiver's window, or the send buffer, was in the way. */
  busyTime?: number;
  rwndLimited?: number;
  sndbufLimited?: number;
  /** Segments that arrived; and of these, how many with a mark of congestion. */
  delivered?: number;
  deliveredCe?: number;
  bytesSent?: number;
  bytesRetrans?: number;
  dsackDups?: number;
  reordSeen?: number;
  rcvOoopack?: number;
  /** The windows, in bytes. */
  sndWnd?: number;
  rcvWnd?: number;
  rehash?: number;
  totalRto?: number;
  totalRtoRecoveries?: number;
  /** Milliseconds. */
  totalRtoTime?: number;
  /** Accurate ECN. */
  receivedCe?: number;
  deliveredE1Bytes?: number;
  deliveredE0Bytes?: number;
  deliveredCeBytes?: number;
  receivedE1Bytes?: number;
  receivedE0Bytes?: number;
  receivedCeBytes?: number;
  accecnFailMode?: number;
  accecnOptSeen?: number;
}

/** Members of one kind. */
function each<Name extends string, Value>(kind: Kind<Value>, names: string): Record<Name, Kind<Value>> {
  return Object.fromEntries(names.split(" ").map((name) => [name, kind])) as Record<Name, Kind<Value>>;
}

/** What every kernel here gives. */
const oldTcpInfo = {
  ...each<"state" | "caState" | "retransmits" | "probes" | "backoff" | "options", number>(
    u8,
    "state caState retransmits probes backoff options",
  ),
  sndWscale: bits(1, 0, 4),
  rcvWscale: bits(0, 4, 4),
  deliveryRateAppLimited: truth(bits(1, 0, 1)),
  fastopenClientFail: bits(0, 1, 2),
  ...each(
    u32,
    `rto ato sndMss rcvMss unacked sacked lost retrans fackets lastDataSent lastAckSent lastDataRecv lastAckRecv pmtu
     rcvSsthresh rtt rttvar sndSsthresh sndCwnd advmss reordering rcvRtt rcvSpace`.replaceAll(/\s+/g, " "),
  ),
};

/** What Linux has behind that: the BSDs have other things there. */
const newTcpInfo = {
  totalRetrans: u32,
  ...each(counter, "pacingRate maxPacingRate bytesAcked bytesReceived"),
  ...each(u32, "segsOut segsIn notsentBytes minRtt dataSegsIn dataSegsOut"),
  ...each(counter, "deliveryRate busyTime rwndLimited sndbufLimited"),
  ...each(u32, "delivered deliveredCe"),
  ...each(counter, "bytesSent bytesRetrans"),
  ...each(u32, "dsackDups reordSeen rcvOoopack sndWnd rcvWnd rehash"),
  ...each(u16, "totalRto totalRtoRecoveries"),
  totalRtoTime: u32,
  ...each(u32, "receivedCe deliveredE1Bytes deliveredE0Bytes deliveredCeBytes"),
  ...each(u32, "receivedE1Bytes receivedE0Bytes receivedCeBytes"),
  ...each(u16, "accecnFailMode accecnOptSeen"),
};

/**
 * `struct tcp_info`: `TCP_INFO`. Kernels differ in how much of it they have: members that one does not give are not there.
 * See tcp(7), <linux/tcp.h>. Linux; FreeBSD and NetBSD up to `rcvSpace`.
 *
 * @example
 * ```ts
 * import { createConnection, createServer, IPPROTO_TCP, TCP_INFO } from "berkeley-sockets";
 * import { tcp_info } from "berkeley-sockets/messages";
 * using server = createServer(["127.0.0.1", 0]);
 * using client = createConnection(server.getsockname());
 * const { state, rtt } = tcp_info.decode(client.getsockopt(IPPROTO_TCP, TCP_INFO, tcp_info.size));
 * console.log(state, rtt < 1e6); // 1 true
 * ```
 */
export const tcp_info: Structure<TcpInfo> = new Struct<TcpInfo>(
  "tcp_info",
  { ...oldTcpInfo, ...(isLinux ? newTcpInfo : {}) } as never,
  Object.keys(newTcpInfo) as never[],
  { least: 100 },
);

/** What macOS knows of a TCP connection. */
export interface TcpConnectionInfo {
  /** `TCPS_*`: 4 is an established connection. */
  state: number;
  sndWscale: number;
  rcvWscale: number;
  /** What was agreed on (`TCPCI_OPT_*`): 1 timestamps, 2 SACK, 4 window scale, 8 ECN. */
  options: number;
  /** `TCPCI_FLAG_*`: 1 it recovers from a loss, 2 it saw segments out of order. */
  flags: number;
  /** The retransmission timeout, in milliseconds. */
  rto: number;
  maxseg: number;
  sndSsthresh: number;
  /** The windows, in bytes. */
  sndCwnd: number;
  sndWnd: number;
  /** Bytes in the send buffer, with those in flight. */
  sndSbbytes: number;
  rcvWnd: number;
  /** The round-trip time, in milliseconds: the last, the average, and its variation. */
  rttcur: number;
  srtt: number;
  rttvar: number;
  /** What became of TCP Fast Open: the bits of `tcpi_tfo_*`, `tcpi_tfo_cookie_req` the lowest. */
  tfo: number;
  txpackets: number;
  txbytes: number;
  txretransmitbytes: number;
  rxpackets: number;
  rxbytes: number;
  rxoutoforderbytes: number;
  txretransmitpackets: number;
}

/**
 * `struct tcp_connection_info`: `TCP_CONNECTION_INFO`. See <netinet/tcp.h> of macOS. macOS.
 *
 * @example
 * ```ts
 * import { createConnection, createServer, IPPROTO_TCP, TCP_CONNECTION_INFO } from "berkeley-sockets";
 * import { tcp_connection_info } from "berkeley-sockets/messages";
 * using server = createServer(["127.0.0.1", 0]);
 * using client = createConnection(server.getsockname());
 * if (TCP_CONNECTION_INFO !== undefined) {
 *   const bytes = client.getsockopt(IPPROTO_TCP, TCP_CONNECTION_INFO, tcp_connection_info.size);
 *   console.log(tcp_connection_info.decode(bytes).srtt);
 * }
 * ```
 */
export const tcp_connection_info: Structure<TcpConnectionInfo> = new Struct<TcpConnectionInfo>("tcp_connection_info", {
  ...each<"state" | "sndWscale" | "rcvWscale", number>(u8, "state sndWscale rcvWscale"),
  ...each(u32, `options flags rto maxseg sndSsthresh sndCwnd sndWnd sndSbbytes rcvWnd rttcur srtt rttvar tfo`),
  ...each(counter, "txpackets txbytes txretransmitbytes rxpackets rxbytes rxoutoforderbytes txretransmitpackets"),
} as never);
