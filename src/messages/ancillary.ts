/**
 * Control messages (ancillary data) as objects, and objects as control messages. See cmsg(3), RFC 3542.
 */
import {
  type BytesLike,
  bytes,
  bytesOf,
  descriptor,
  INT_MAX,
  INT_MIN,
  integer,
  UINT_MAX,
  wrongType,
  wrongValue,
} from "../args.ts";
import {
  AF_INET,
  AF_INET6,
  Errno,
  IP_ORIGDSTADDR,
  IP_PKTINFO,
  IP_RECVDSTADDR,
  IP_RECVERR,
  IP_RECVFRAGSIZE,
  IP_RECVIF,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_SENDSRCADDR,
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV6_FLOWINFO,
  IPV6_HOPLIMIT,
  IPV6_ORIGDSTADDR,
  IPV6_PKTINFO,
  IPV6_RECVERR,
  IPV6_RECVFRAGSIZE,
  IPV6_TCLASS,
  NETLINK_PKTINFO,
  PACKET_AUXDATA,
  PACKET_TX_TIMESTAMP,
  SCM_BINTIME,
  SCM_CAN_RAW_ERRQUEUE,
  SCM_CREDENTIALS,
  SCM_CREDS,
  SCM_CREDS2,
  SCM_INQ,
  SCM_J1939_DEST_ADDR,
  SCM_J1939_DEST_NAME,
  SCM_J1939_ERRQUEUE,
  SCM_J1939_PRIO,
  SCM_PIDFD,
  SCM_REALTIME,
  SCM_RIGHTS,
  SCM_TIMESTAMP,
  SCM_TIMESTAMP_MONOTONIC,
  SCM_TIMESTAMPING,
  SCM_TIMESTAMPING_PKTINFO,
  SCM_TIMESTAMPNS,
  SCM_TS_OPT_ID,
  SCM_TXTIME,
  SO_MARK,
  SO_PRIORITY,
  SO_RXQ_OVFL,
  SO_TIMESTAMP,
  SO_TIMESTAMP_NEW,
  SO_TIMESTAMPING_NEW,
  SO_TIMESTAMPNS_NEW,
  SOL_CAN_J1939,
  SOL_CAN_RAW,
  SOL_NETLINK,
  SOL_PACKET,
  SOL_SOCKET,
  SOL_VSOCK,
  TCP_CM_INQ,
  UDP_COALESCED_INFO,
  UDP_GRO,
  UDP_SEGMENT,
  UDP_SEND_MSG_SIZE,
  VSOCK_RECVERR,
} from "../constants.ts";
import { nameFamily } from "../families/family.ts";
import { inet, type InetAddress } from "../families/inet.ts";
import { inet6, type Inet6Address } from "../families/inet6.ts";
import { type LinkAddress, linkAddress } from "../families/link.ts";
import { type AncillaryData, list, readControl } from "../message.ts";
import {
  be32,
  bits32,
  i32,
  in4,
  in6,
  type Kind,
  object,
  Struct,
  u16,
  u32,
  u64,
  u8,
  unused,
  viewOf,
} from "./structure.ts";

const is = (...platforms: readonly string[]): boolean => platforms.includes(process.platform);
const isWindows = is("win32");

/** A point in time since 1970, in UTC: whole seconds, and the nanoseconds of the next, so that none of them is lost. */
export interface Timespec {
  seconds: number;
  nanoseconds: number;
}

/** Control messages that are a number, and what it is. */
export type NumberType =
  /** `IP_TTL`: how many more routers the packet might have passed. */
  | "ttl"
  /** `IPV6_HOPLIMIT`: the same of IPv6; to send, -1 is the default. */
  | "hoplimit"
  /** `IP_TOS`: the type of service, DSCP and ECN. */
  | "tos"
  /** `IPV6_TCLASS`: the same of IPv6; to send, -1 is the default. */
  | "tclass"
  /** `IPV6_FLOWINFO`: the traffic class and the flow label. Linux. */
  | "flowinfo"
  /** `IP_RECVFRAGSIZE`, `IPV6_RECVFRAGSIZE`: the size of the largest fragment. Linux. */
  | "fragsize"
  /**
   * `UDP_GRO`: the data is several datagrams, each of so many bytes, the last of what is left. Nothing else tells of it: who
   * receives without control messages has them as one. Linux, Windows.
   */
  | "gro"
  /** `UDP_SEGMENT`: send the data as datagrams of so many bytes. Linux, Windows. */
  | "segment"
  /** `SO_RXQ_OVFL`: how many packets were dropped since the socket was made. Linux. */
  | "drops"
  /** `SO_MARK`: the packet's mark. Linux. */
  | "mark"
  /** `SO_PRIORITY`: the packet's priority. Linux. */
  | "priority"
  /** `SCM_INQ`, `TCP_CM_INQ`: how many bytes wait to be received. Linux. */
  | "inq"
  /** `SO_TIMESTAMPING`, to send: which times of this message are recorded (`SOF_TIMESTAMPING_TX_*`). Linux. */
  | "timestampingFlags"
  /** `SCM_TS_OPT_ID`, to send: by what number the times of this message are known. Linux. */
  | "timestampId"
  /** `NETLINK_PKTINFO`: the group that the message was sent to. Linux, FreeBSD. */
  | "netlinkGroup"
  /** `SCM_J1939_DEST_ADDR`: the address that the message was sent to. Linux. */
  | "j1939Address"
  /** `SCM_J1939_PRIO`: the message's priority. Linux. */
  | "j1939Priority";

/** A control message that is a number. */
export interface NumberAncillary {
  type: NumberType;
  value: number;
}

/** `SCM_RIGHTS`: descriptors. Those received are the caller's to close; a number that was cut at the end is left out. */
export interface RightsAncillary {
  type: "rights";
  fds: number[];
}

/** `SCM_PIDFD`: a descriptor of the sending process, the caller's to close; negative where the process was gone. Linux. */
export interface PidfdAncillary {
  type: "pidfd";
  fd: number;
}

/** `SCM_CREDENTIALS` (Linux), `SCM_CREDS` and `SCM_CREDS2` (FreeBSD, NetBSD): who sent the message. */
export interface CredentialsAncillary {
  type: "credentials";
  /** `null` where the system does not tell: FreeBSD's `LOCAL_CREDS`. */
  pid: number | null;
  uid: number;
  gid: number;
  /** Not on Linux. */
  euid?: number;
  /** Not on Linux. */
  egid?: number;
  /** Not on Linux. */
  groups?: number[];
}

/**
 * `IP_PKTINFO`: where an IPv4 packet went. As it was received, it can be sent back with the answer, which then comes from
 * the address that was spoken to. Linux, macOS, Windows, NetBSD.
 */
export interface PktinfoAncillary {
  type: "pktinfo";
  /** The interface's number. To send, 0 leaves the choice to the system. */
  ifindex: number;
  /** The local address. To send, the source. (Where the structure has one address only, it is `addr`.) */
  specDst: string;
  /** The destination in the packet's header. To send, it is not looked at. */
  addr: string;
}

/** `IPV6_PKTINFO`: where an IPv6 packet went; to send, where it comes from. Sent back as {@link PktinfoAncillary} can be. */
export interface Pktinfo6Ancillary {
  type: "pktinfo6";
  addr: string;
  /** The interface's number. To send, 0 leaves the choice to the system. */
  ifindex: number;
}

/** `IP_RECVDSTADDR`: where an IPv4 packet went; to send, `IP_SENDSRCADDR`, where it comes from. macOS, Windows, BSD. */
export interface DstaddrAncillary {
  type: "dstaddr";
  addr: string;
}

/** `IP_RECVIF`: the interface that a packet came by. macOS, FreeBSD, NetBSD. */
export interface RecvifAncillary {
  type: "recvif";
  address: LinkAddress;
}

/** `IP_ORIGDSTADDR`, `IPV6_ORIGDSTADDR`: where a packet was sent to before it was redirected. Linux, FreeBSD. */
export interface OrigdstAncillary {
  type: "origdst";
  address: InetAddress | Inet6Address;
}

/** `SO_TIMESTAMP`, `SO_TIMESTAMPNS` and what else is a time: when the packet was received. */
export interface TimestampAncillary {
  type: "timestamp";
  time: Timespec;
}

/** `SO_TIMESTAMPING`: when the packet was received or, from the error queue, sent. Linux. */
export interface TimestampingAncillary {
  type: "timestamping";
  /** The kernel's time, `null` where it was not recorded. */
  software: Timespec | null;
  /** What older kernels made of the device's time; `null` today. */
  legacy: Timespec | null;
  /** The device's time by its own clock, `null` where it was not recorded. */
  hardware: Timespec | null;
}

/** `SCM_TIMESTAMPING_PKTINFO`: what a packet with a hardware time was. Linux. */
export interface TimestampingPktinfoAncillary {
  type: "timestampingPktinfo";
  /** The device's number; 0 where it is not known. */
  ifIndex: number;
  /** The packet's length with its headers. */
  pktLength: number;
}

/**
 * `SO_TIMESTAMP` of Windows (the performance counter) and `SO_TIMESTAMP_MONOTONIC` of macOS (`mach_absolute_time`): when the
 * packet was received, in ticks since the machine started.
 */
export interface TicksAncillary {
  type: "ticks";
  ticks: bigint;
}

/** `SCM_TXTIME`, to send: when the packet shall leave, by the clock of `SO_TXTIME`. Linux. */
export interface TxtimeAncillary {
  type: "txtime";
  time: Timespec;
}

/**
 * `IP_RECVERR`, `IPV6_RECVERR` and their like, from the error queue (`MSG_ERRQUEUE`): what became of a packet that was sent.
 * See ip(7), <linux/errqueue.h>. Linux.
 */
export interface ErrorAncillary {
  type: "error";
  /** ENOMSG with a time, 0 with a notice of `MSG_ZEROCOPY`. */
  errno: number;
  /** The error's name; `null` where there is none of that number. */
  code: string | null;
  /** `SO_EE_ORIGIN_*`. */
  origin: number;
  /** The type and the code of ICMP. */
  icmpType: number;
  icmpCode: number;
  /** The next hop's MTU with EMSGSIZE; `SCM_TSTAMP_*` with a time. */
  info: number;
  /** The number of a time, or the last one of a notice. */
  data: number;
  /** Who reported it. */
  offender: InetAddress | Inet6Address | null;
}

/** `PACKET_AUXDATA`: what a packet socket cannot see in the data. See packet(7). Linux. */
export interface AuxdataAncillary {
  type: "auxdata";
  /** `TP_STATUS_*`. The VLAN's members are valid with `TP_STATUS_VLAN_VALID` and `TP_STATUS_VLAN_TPID_VALID`. */
  status: number;
  /** The packet's length, and how much of it was captured. */
  len: number;
  snaplen: number;
  /** Where the headers of the link and of the network begin. */
  mac: number;
  net: number;
  /** The VLAN's identifier in the lowest 12 bits, and the priority. */
  vlanTci: number;
  vlanTpid: number;
}

/** `SCM_J1939_DEST_NAME`: the name that the message was sent to. Linux. */
export interface J1939NameAncillary {
  type: "j1939Name";
  name: bigint;
}

/** A control message that is not known here, or not what it should be. */
export interface UnknownAncillary {
  type: "unknown";
  level: number;
  cmsgType: number;
  data: Buffer;
  /** Whether it is one of those known here, and was cut or is wrong in itself. */
  malformed: boolean;
}

/** A control message as {@link decodeAncillary} gives it. `type` says what it is. */
export type Ancillary =
  | NumberAncillary
  | RightsAncillary
  | PidfdAncillary
  | CredentialsAncillary
  | PktinfoAncillary
  | Pktinfo6Ancillary
  | DstaddrAncillary
  | RecvifAncillary
  | OrigdstAncillary
  | TimestampAncillary
  | TimestampingAncillary
  | TimestampingPktinfoAncillary
  | TicksAncillary
  | TxtimeAncillary
  | ErrorAncillary
  | AuxdataAncillary
  | J1939NameAncillary
  | UnknownAncillary;

/** Numbers that can be sent. */
type SendableNumber = Exclude<
  NumberType,
  "fragsize" | "gro" | "drops" | "inq" | "netlinkGroup" | "j1939Address" | "j1939Priority"
>;

/** A control message that can be sent, as {@link encodeAncillary} takes it. */
export type SendableAncillary =
  | { type: SendableNumber; value: number }
  | { type: "rights"; fds: Iterable<number> }
  /** What is left out is this process's own. FreeBSD's kernel fills all of it in. */
  | { type: "credentials"; pid?: number; uid?: number; gid?: number }
  /** What is left out is 0 or `"0.0.0.0"`. */
  | { type: "pktinfo"; ifindex?: number; specDst?: string; addr?: string }
  | { type: "pktinfo6"; addr?: string; ifindex?: number }
  | { type: "dstaddr"; addr: string }
  | { type: "txtime"; time: Timespec }
  | { type: "unknown"; level: number; cmsgType: number; data: BytesLike; malformed?: boolean };

/** How a type of control message lies in bytes. */
interface Codec {
  readonly type: Ancillary["type"];
  /** The members beside `type` that one to send may have. */
  readonly names?: readonly string[];
  /** The members; `undefined` where the bytes are none. */
  read?(view: DataView, data: Uint8Array): object | undefined;
  write?(item: Record<string, unknown>, name: string): Uint8Array;
}

/** A level and a type there; `undefined` where the platform lacks them. */
type Place = readonly [level: number | undefined, type: number | undefined];

/** A codec that reads, and writes too if `sent`, a structure. */
function structure<Value extends object>(
  type: Ancillary["type"],
  struct: Struct<Value, never> | Struct<Value, keyof Value>,
  sent = false,
): Codec {
  const read = (view: DataView) => (view.byteLength < struct.size ? undefined : struct.read(view, 0));
  if (!sent) return { type, read };
  return {
    type,
    names: struct.names,
    read,
    write(item, name) {
      const data = new Uint8Array(struct.size);
      struct.writeMembers(viewOf(data), 0, item, name);
      return data;
    },
  };
}

/** A codec of a number; it can be sent if it has bounds. */
function number(type: NumberType, kind: Kind<number>, min?: number, max?: number): Codec {
  const read = (view: DataView) => (view.byteLength < kind.size ? undefined : { value: kind.read(view, 0) });
  if (min === undefined) return { type, read };
  return {
    type,
    names: ["value"],
    read,
    write(item, name) {
      const data = new Uint8Array(kind.size);
      kind.write(viewOf(data), 0, integer(item["value"], `${name}.value`, min, max), `${name}.value`);
      return data;
    },
  };
}

/** A number of 8 bits, which some systems give as a byte and others as an int: of Linux's ints a byte is what was cut. */
function octet(type: NumberType, kind: Kind<number>, min: number, max: number, isByte: boolean): Codec {
  const codec = number(type, kind, min, max);
  if (!isByte) return codec;
  return {
    ...codec,
    read: (view, data) => (view.byteLength === 1 ? { value: view.getUint8(0) } : codec.read!(view, data)),
  };
}

const rights: Codec = {
  type: "rights",
  names: ["fds"],
  read: (view) => ({
    fds: Array.from({ length: Math.floor(view.byteLength / 4) }, (_, i) => view.getInt32(4 * i, true)),
  }),
  write(item, name) {
    const fds = list(item["fds"], `${name}.fds`, "descriptors");
    return bytesOf(Int32Array.from(fds, (fd, i) => descriptor(fd, `${name}.fds[${i}]`)));
  },
};

const pidfd: Codec = {
  type: "pidfd",
  read: (view) => (view.byteLength < 4 ? undefined : { fd: view.getInt32(0, true) }),
};

const ucred = new Struct("ucred", { pid: i32, uid: u32, gid: u32 });
const credentials: Codec = {
  ...structure("credentials", ucred, true),
  write(item, name) {
    // Linux takes no credentials but one's own, unless one may.
    const own = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
    const given = Object.fromEntries(ucred.names.flatMap((key) => (item[key] === undefined ? [] : [[key, item[key]]])));
    const data = new Uint8Array(ucred.size);
    ucred.writeMembers(viewOf(data), 0, { ...own, ...given }, name);
    return data;
  },
};

/** The groups behind the members of the BSDs' credentials. */
function groupsAt(view: DataView, at: number, count: number): number[] | undefined {
  if (count < 0 || at + 4 * count > view.byteLength) return undefined;
  return Array.from({ length: count }, (_, i) => view.getUint32(at + 4 * i, true));
}

type Ids = Record<string, number>;
const sockcredIds = { uid: u32, euid: u32, gid: u32, egid: u32, ngroups: i32 };
/** Structures that end with their groups, as many as `ngroups` says. */
const sockcred = new Struct<Ids>("sockcred", is("netbsd") ? { pid: i32, ...sockcredIds } : sockcredIds);
const sockcred2 = new Struct<Ids>("sockcred2", { version: i32, pid: i32, ...sockcredIds });

const CMSGCRED_SIZE = 84; // sizeof(struct cmsgcred): groups are at most 16
const cmsgcred = new Struct<Ids>("cmsgcred", { pid: i32, uid: u32, euid: u32, gid: u32, ngroups: u16, _: unused(2) });

function sockcredOf(struct: Struct<Ids>): Codec {
  return {
    type: "credentials",
    read(view) {
      if (view.byteLength < struct.size) return undefined;
      const { version: _, ngroups, ...ids } = struct.read(view, 0);
      const groups = groupsAt(view, struct.size, ngroups!);
      return groups && { pid: null, ...ids, groups };
    },
  };
}

/**
 * FreeBSD's `SCM_CREDS`: a `cmsgcred` where the sender attached it, a `sockcred` where the receiver asked for it, which has
 * that length with 16 groups only. NetBSD's is a `sockcred` always.
 */
const creds: Codec = {
  type: "credentials",
  names: ["pid", "uid", "gid"],
  read(view, data) {
    if (view.byteLength !== CMSGCRED_SIZE || !is("freebsd")) return sockcredOf(sockcred).read!(view, data);
    const { ngroups, ...ids } = cmsgcred.read(view, 0);
    const groups = groupsAt(view, cmsgcred.size, ngroups!);
    return groups && { ...ids, groups };
  },
};
if (is("freebsd")) creds.write = () => new Uint8Array(CMSGCRED_SIZE);

/** Windows and NetBSD have one address in it, and before the interface. */
const pktinfo4 = new Struct<Omit<PktinfoAncillary, "type">, "ifindex" | "specDst" | "addr">(
  "in_pktinfo",
  { ifindex: i32, specDst: in4, addr: in4 },
  ["ifindex", "specDst", "addr"],
);
const shortPktinfo = new Struct("in_pktinfo", { specDst: in4, ifindex: i32 }, ["specDst", "ifindex"]);
const pktinfo: Codec = is("win32", "netbsd")
  ? {
      ...structure("pktinfo", shortPktinfo, true),
      names: pktinfo4.names,
      read(view) {
        if (view.byteLength < shortPktinfo.size) return undefined;
        const { specDst, ifindex } = shortPktinfo.read(view, 0);
        return { ifindex, specDst, addr: specDst };
      },
    }
  : structure("pktinfo", pktinfo4, true);

const pktinfo6 = structure(
  "pktinfo6",
  new Struct<Omit<Pktinfo6Ancillary, "type">, "addr" | "ifindex">("in6_pktinfo", { addr: in6, ifindex: i32 }, [
    "addr",
    "ifindex",
  ]),
  true,
);

const dstaddr = structure("dstaddr", new Struct("in_addr", { addr: in4 }), true);

const recvif: Codec = {
  type: "recvif",
  read(_view, data) {
    try {
      return { address: linkAddress(data) };
    } catch {
      return undefined;
    }
  },
};

/** `sizeof(struct sockaddr_in)`, `sizeof(struct sockaddr_in6)`. */
const INET_SIZE = 16;
const INET6_SIZE = 28;

/** An Internet address; `undefined` where there is none, or a part of one. */
function internetAddress(name: Uint8Array): InetAddress | Inet6Address | undefined {
  if (name.length < INET_SIZE) return undefined;
  const family = nameFamily(name);
  const codec = family === AF_INET ? inet : family === AF_INET6 && name.length >= INET6_SIZE ? inet6 : undefined;
  return codec?.decode(name, name.length, 0, -1) as InetAddress | Inet6Address | undefined;
}

const origdst: Codec = {
  type: "origdst",
  read(_view, data) {
    const address = internetAddress(data);
    return address && { address };
  },
};

/** A number of seconds in 64 bits, and a part of a second, of 32 bits or of 64 of which the upper half is 0. */
function timeAt(view: DataView, at: number, unit: number): Timespec {
  return { seconds: Number(view.getBigInt64(at, true)), nanoseconds: view.getInt32(at + 8, true) * unit };
}

function timestampOf(read: (view: DataView) => Timespec): Codec {
  return { type: "timestamp", read: (view) => (view.byteLength < 16 ? undefined : { time: read(view) }) };
}
/** `struct timeval`. */
const microseconds = timestampOf((view) => timeAt(view, 0, 1000));
/** `struct timespec`. */
const nanoseconds = timestampOf((view) => timeAt(view, 0, 1));
/** `struct bintime`: the part of a second is a fraction of 64 bits. */
const bintime = timestampOf((view) => ({
  seconds: Number(view.getBigInt64(0, true)),
  nanoseconds: Number((view.getBigUint64(8, true) * 1_000_000_000n) >> 64n),
}));

const ticks: Codec = {
  type: "ticks",
  read: (view) => (view.byteLength < 8 ? undefined : { ticks: view.getBigUint64(0, true) }),
};

const TIMESPEC = 16;
const timestamping: Codec = {
  type: "timestamping",
  read(view) {
    if (view.byteLength < 3 * TIMESPEC) return undefined;
    const [software, legacy, hardware] = [0, 1, 2].map((i) => {
      const time = timeAt(view, i * TIMESPEC, 1);
      return time.seconds === 0 && time.nanoseconds === 0 ? null : time;
    });
    return { software, legacy, hardware };
  },
};

const timestampingPktinfo = structure(
  "timestampingPktinfo",
  new Struct("scm_ts_pktinfo", { ifIndex: u32, pktLength: u32, _reserved: unused(8) }),
);

const BILLION = 1_000_000_000n;
/** The most seconds whose nanoseconds fit 64 bits. */
const TXTIME_MAX = 18_446_744_072;
const txtime: Codec = {
  type: "txtime",
  names: ["time"],
  read(view) {
    if (view.byteLength < 8) return undefined;
    const all = view.getBigUint64(0, true);
    return { time: { seconds: Number(all / BILLION), nanoseconds: Number(all % BILLION) } };
  },
  write(item, name) {
    const time = object(item["time"], `${name}.time`, ["seconds", "nanoseconds"]);
    const seconds = integer(time["seconds"], `${name}.time.seconds`, 0, TXTIME_MAX);
    const nanoseconds = integer(time["nanoseconds"], `${name}.time.nanoseconds`, 0, 999_999_999);
    return bytesOf(BigUint64Array.of(BigInt(seconds) * BILLION + BigInt(nanoseconds)));
  },
};

const extendedErr = new Struct("sock_extended_err", {
  errno: u32,
  origin: u8,
  icmpType: u8,
  icmpCode: u8,
  _pad: unused(1),
  info: u32,
  data: u32,
});
/** A codec of an error that has so many bytes of an address behind it: of whom it comes from, if it comes from somebody. */
function errorWith(address: number): Codec {
  return {
    type: "error",
    read(view, data) {
      if (view.byteLength < extendedErr.size + address) return undefined;
      const { errno, ...rest } = extendedErr.read(view, 0);
      const offender = internetAddress(data.subarray(extendedErr.size)) ?? null;
      return { errno, code: Errno[errno as number] ?? null, ...rest, offender };
    },
  };
}

const auxdata = structure(
  "auxdata",
  new Struct("tpacket_auxdata", {
    status: u32,
    len: u32,
    snaplen: u32,
    mac: u16,
    net: u16,
    vlanTci: u16,
    vlanTpid: u16,
  }),
);

const j1939Name = structure("j1939Name", new Struct("j1939_name", { name: u64 }));

/** Linux and Windows take an int of the type of service, the others a byte. */
const tosKind = is("linux", "android", "win32") ? i32 : u8;

/** Each codec, and where it is found; the first place is the one that is sent to. */
const table: readonly (readonly [Codec, ...Place[]])[] = [
  [rights, [SOL_SOCKET, SCM_RIGHTS]],
  [pidfd, [SOL_SOCKET, SCM_PIDFD]],
  [SCM_CREDENTIALS === undefined ? creds : credentials, [SOL_SOCKET, SCM_CREDENTIALS ?? SCM_CREDS]],
  [sockcredOf(sockcred2), [SOL_SOCKET, SCM_CREDS2]],
  [pktinfo, [IPPROTO_IP, IP_PKTINFO]],
  [pktinfo6, [IPPROTO_IPV6, IPV6_PKTINFO]],
  [dstaddr, [IPPROTO_IP, IP_SENDSRCADDR], [IPPROTO_IP, IP_RECVDSTADDR]],
  [recvif, [IPPROTO_IP, isWindows ? undefined : IP_RECVIF]],
  [origdst, [IPPROTO_IP, IP_ORIGDSTADDR], [IPPROTO_IPV6, IPV6_ORIGDSTADDR]],
  [
    octet("ttl", i32, 1, 255, !["linux", "android"].includes(process.platform)),
    [IPPROTO_IP, IP_TTL],
    [IPPROTO_IP, IP_RECVTTL],
  ],
  [number("hoplimit", i32, -1, 255), [IPPROTO_IPV6, IPV6_HOPLIMIT]],
  [octet("tos", tosKind, 0, 255, true), [IPPROTO_IP, IP_TOS], [IPPROTO_IP, IP_RECVTOS]],
  [number("tclass", i32, -1, 255), [IPPROTO_IPV6, IPV6_TCLASS]],
  [number("flowinfo", be32, 0, 0x0fff_ffff), [IPPROTO_IPV6, IPV6_FLOWINFO]],
  [number("fragsize", i32), [IPPROTO_IP, IP_RECVFRAGSIZE], [IPPROTO_IPV6, IPV6_RECVFRAGSIZE]],
  [number("gro", i32), [IPPROTO_UDP, UDP_GRO ?? UDP_COALESCED_INFO]],
  [number("segment", isWindows ? u32 : u16, 0, 0xffff), [IPPROTO_UDP, UDP_SEGMENT ?? UDP_SEND_MSG_SIZE]],
  [number("drops", u32), [SOL_SOCKET, SO_RXQ_OVFL]],
  [number("mark", bits32, INT_MIN, UINT_MAX), [SOL_SOCKET, SO_MARK]],
  [number("priority", u32, 0, INT_MAX), [SOL_SOCKET, SO_PRIORITY]],
  [number("inq", i32), [SOL_SOCKET, SCM_INQ], [IPPROTO_TCP, TCP_CM_INQ]],
  [number("timestampId", u32, 0, UINT_MAX), [SOL_SOCKET, SCM_TS_OPT_ID]],
  [number("netlinkGroup", u32), [SOL_NETLINK, NETLINK_PKTINFO]],
  [number("j1939Address", u8), [SOL_CAN_J1939, SCM_J1939_DEST_ADDR]],
  [number("j1939Priority", u8), [SOL_CAN_J1939, SCM_J1939_PRIO]],
  [j1939Name, [SOL_CAN_J1939, SCM_J1939_DEST_NAME]],
  // On Linux, names that end in _NEW are for 32-bit systems; here they differ in nothing but their number.
  [microseconds, [SOL_SOCKET, SCM_TIMESTAMP], [SOL_SOCKET, SO_TIMESTAMP_NEW]],
  [nanoseconds, [SOL_SOCKET, SCM_TIMESTAMPNS], [SOL_SOCKET, SO_TIMESTAMPNS_NEW], [SOL_SOCKET, SCM_REALTIME]],
  [bintime, [SOL_SOCKET, SCM_BINTIME]],
  [ticks, [SOL_SOCKET, isWindows ? SO_TIMESTAMP : SCM_TIMESTAMP_MONOTONIC]],
  [timestamping, [SOL_SOCKET, SCM_TIMESTAMPING], [SOL_SOCKET, SO_TIMESTAMPING_NEW]],
  [number("timestampingFlags", bits32, INT_MIN, UINT_MAX), [SOL_SOCKET, SCM_TIMESTAMPING]],
  [timestampingPktinfo, [SOL_SOCKET, SCM_TIMESTAMPING_PKTINFO]],
  [txtime, [SOL_SOCKET, SCM_TXTIME]],
  [errorWith(INET_SIZE), [IPPROTO_IP, isWindows ? undefined : IP_RECVERR]],
  [errorWith(INET6_SIZE), [IPPROTO_IPV6, isWindows ? undefined : IPV6_RECVERR]],
  [
    errorWith(0),
    [SOL_PACKET, PACKET_TX_TIMESTAMP],
    [SOL_CAN_RAW, SCM_CAN_RAW_ERRQUEUE],
    [SOL_CAN_J1939, SCM_J1939_ERRQUEUE],
    [SOL_VSOCK, VSOCK_RECVERR],
  ],
  [auxdata, [SOL_PACKET, PACKET_AUXDATA]],
];

/** The codec of a received message, by its level and its type there. The first in the table goes before the others. */
const byPlace = new Map<number, Map<number, Codec>>();
/** The codec of a message to send, by its type, and where it goes. */
const byType = new Map<unknown, readonly [Codec, Place]>();

for (const [codec, ...places] of table) {
  if (codec.write !== undefined) byType.set(codec.type, [codec, places[0]!]);
  for (const [level, type] of places) {
    if (level === undefined || type === undefined) continue;
    const types = byPlace.get(level) ?? new Map<number, Codec>();
    byPlace.set(level, types);
    if (!types.has(type)) types.set(type, codec);
  }
}

/**
 * Reads control messages.
 *
 * What is not known comes as it is, of the type `"unknown"`; so does what is shorter than it should be or wrong in itself,
 * with `malformed` set. Nothing that was received makes this throw.
 *
 * @param ancdata - Control messages, as `recvmsg` gives them.
 * @returns As many objects, in the same order.
 *
 * @example
 * ```ts
 * import { AF_INET, IP_PKTINFO, IP_RECVTTL, IPPROTO_IP, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { decodeAncillary } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * sock.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
 * if (IP_PKTINFO !== undefined) sock.setsockopt(IPPROTO_IP, IP_PKTINFO, 1);
 * sock.bind(["127.0.0.1", 0]);
 * sock.sendto("hello", sock.getsockname());
 * const [, ancdata] = sock.recvmsg(2048, 512);
 * for (const item of decodeAncillary(ancdata)) {
 *   if (item.type === "ttl") console.log(item.value); // 64
 *   if (item.type === "pktinfo") console.log(item.addr); // 127.0.0.1
 * }
 * ```
 */
export function decodeAncillary(ancdata: Iterable<AncillaryData>): Ancillary[] {
  return readControl(ancdata).map(([level, cmsgType, given], i): Ancillary => {
    const data = bytesOf(bytes(given, `ancdata[${i}][2]`));
    const codec = byPlace.get(level)?.get(cmsgType);
    const members = codec?.read?.(viewOf(data), data);
    if (codec !== undefined && members !== undefined) return { type: codec.type, ...members } as Ancillary;
    const raw = Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.length);
    return { type: "unknown", level, cmsgType, data: raw, malformed: codec !== undefined };
  });
}

/**
 * Writes control messages, for `sendmsg`. What {@link decodeAncillary} gave can be among them: `"pktinfo"` to answer from
 * the address that was spoken to, `"unknown"` as it was.
 *
 * @param items - What to send.
 * @returns As many control messages, in the same order.
 * @throws TypeError, RangeError for a member that is not what it should be, a type that is only received, and one that the
 *   platform lacks.
 *
 * @example
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "berkeley-sockets";
 * import { encodeAncillary } from "berkeley-sockets/messages";
 * using sock = new Socket(AF_INET, SOCK_DGRAM);
 * sock.bind(["127.0.0.1", 0]);
 * if (process.platform === "linux") {
 *   sock.sendmsg(["hello"], encodeAncillary([{ type: "ttl", value: 5 }]), 0, sock.getsockname());
 * }
 * ```
 */
export function encodeAncillary(items: Iterable<SendableAncillary>): AncillaryData[] {
  return list(items, "items", "objects").map((item, i) => encodeOne(item, `items[${i}]`));
}

function encodeOne(item: unknown, name: string): AncillaryData {
  if (typeof item !== "object" || item === null) throw wrongType(name, "an object with a type", item);
  const given = (item as { type?: unknown }).type;
  if (given === "unknown") {
    const raw = object(item, name, ["type", "level", "cmsgType", "data", "malformed"]);
    const level = integer(raw["level"], `${name}.level`);
    const cmsgType = integer(raw["cmsgType"], `${name}.cmsgType`);
    return [level, cmsgType, bytes(raw["data"], `${name}.data`)];
  }
  const found = byType.get(given);
  if (found === undefined) {
    const types = [...byType.keys(), "unknown"].join(", ");
    throw (typeof given === "string" ? wrongValue : wrongType)(`${name}.type`, `one of ${types}`, given);
  }
  const [codec, [level, type]] = found;
  if (level === undefined || type === undefined) {
    throw wrongValue(`${name}.type`, "a type that this platform has", given);
  }
  const members = object(item, name, ["type", ...codec.names!]);
  return [level, type, codec.write!(members, name)];
}
