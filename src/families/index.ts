/**
 * The registry of address families. A new family is one file, one line in `families` and one in `AddressTypes`.
 */
import type { BytesLike } from "../args.ts";
import { AF_DIVERT, AF_SMC, type FamilyNumber } from "../constants.ts";
import { io, ioName, ioWords, IO_NAME_WORD } from "../native.ts";
import { alg, type AlgAddress, type AlgAddressLike } from "./alg.ts";
import { bluetooth, type BluetoothAddress, type BluetoothAddressLike } from "./bluetooth.ts";
import { type AnyCanAddress, type AnyCanAddressLike, can } from "./can.ts";
import { type Family, nameFamily } from "./family.ts";
import { hyperv, type HypervAddress } from "./hyperv.ts";
import { inet, type InetAddress } from "./inet.ts";
import { inet6, type Inet6Address, type Inet6AddressLike } from "./inet6.ts";
import { netlink, type NetlinkAddress } from "./netlink.ts";
import { other, type OtherAddress } from "./other.ts";
import { packet, type PacketAddress, type PacketAddressLike } from "./packet.ts";
import { qipcrtr, type QipcrtrAddress } from "./qipcrtr.ts";
import { rds, type RdsAddress } from "./rds.ts";
import { system, type SystemAddress, type SystemAddressLike } from "./system.ts";
import { tipc, type TipcAddress, type TipcAddressLike } from "./tipc.ts";
import { unix, type UnixAddress } from "./unix.ts";
import { vsock, type VsockAddress } from "./vsock.ts";

/** The address that each family's sockets give, by the name of the family; `other` are those without a codec here. */
export interface AddressTypes {
  AF_ALG: AlgAddress;
  AF_BLUETOOTH: BluetoothAddress;
  AF_CAN: AnyCanAddress;
  AF_DIVERT: InetAddress;
  AF_HYPERV: HypervAddress;
  AF_INET: InetAddress;
  AF_INET6: Inet6Address;
  AF_NETLINK: NetlinkAddress;
  AF_PACKET: PacketAddress;
  AF_QIPCRTR: QipcrtrAddress;
  AF_RDS: RdsAddress;
  AF_SMC: RdsAddress;
  AF_SYSTEM: SystemAddress;
  AF_TIPC: TipcAddress;
  AF_UNIX: UnixAddress;
  AF_VSOCK: VsockAddress;
  other: OtherAddress;
}

/** The sender's address that comes with what is received: that of an unnamed Unix socket is `null`. */
export interface SenderTypes extends Omit<AddressTypes, "AF_UNIX" | "other"> {
  AF_UNIX: UnixAddress | null;
  other: OtherAddress | null;
}

/** The address that each family's sockets take: what they give, and more where it is said here. */
export interface AddressArguments extends Omit<
  AddressTypes,
  | "AF_ALG"
  | "AF_BLUETOOTH"
  | "AF_CAN"
  | "AF_INET6"
  | "AF_PACKET"
  | "AF_RDS"
  | "AF_SMC"
  | "AF_SYSTEM"
  | "AF_TIPC"
  | "AF_UNIX"
  | "other"
> {
  AF_ALG: AlgAddressLike;
  AF_BLUETOOTH: BluetoothAddressLike;
  AF_CAN: AnyCanAddressLike;
  AF_INET6: Inet6AddressLike;
  AF_PACKET: PacketAddressLike;
  AF_RDS: Inet6AddressLike;
  AF_SMC: Inet6AddressLike;
  AF_SYSTEM: SystemAddressLike;
  AF_TIPC: TipcAddressLike;
  AF_UNIX: UnixAddress | NodeJS.ArrayBufferView | ArrayBufferLike;
  other: readonly [family: number, data: BytesLike];
}

/** The name of a family that has a type here: `"AF_INET"`. */
export type FamilyName = keyof AddressTypes;

/** What a socket of the family gives as an address; any address where the family is not known. */
export type AddressOf<Name extends FamilyName> = AddressTypes[Name];

/** What a socket of the family gives as the sender of a datagram. A stream has none: there it is `null` always. */
export type SenderOf<Name extends FamilyName> = SenderTypes[Name];

/** What a socket of the family takes as an address. */
export type AddressArgument<Name extends FamilyName> = AddressArguments[Name];

/** Any address. */
export type Address = AddressTypes[FamilyName];

/** A family's constant: what `new Socket(AF_INET6)` infers its address type from. */
export type FamilyConstant<Name extends string> = FamilyNumber<Name>;

const families: readonly Family[] = [
  alg,
  bluetooth,
  can,
  hyperv,
  inet,
  inet6,
  netlink,
  packet,
  qipcrtr,
  rds,
  system,
  tipc,
  unix,
  vsock,
  // FreeBSD's divert(4) has names of AF_INET; the port is the divert socket's number.
  { ...inet, family: AF_DIVERT },
  // Linux's shared memory communications: TCP, by addresses of AF_INET or AF_INET6.
  { ...rds, family: AF_SMC },
];

const registry = new Map<number | undefined, Family>(families.map((family) => [family.family, family]));

/** The codec of a family; that of unknown ones where it has no file. */
export function familyOf(family: number): Family {
  return registry.get(family) ?? other;
}

/**
 * Addresses that came again, by a hash of their bytes: a peer that repeats costs a comparison of words and no string. These
 * are frozen, because every caller gets the same one. An address that is seen for the first time is not kept: to freeze it
 * costs ten times as much as to decode it.
 */
interface Known {
  words: Int32Array;
  length: number;
  proto: number;
  address: unknown;
}
const KNOWN = 1024; // a power of two
const known: (Known | undefined)[] = new Array<Known | undefined>(KNOWN).fill(undefined);
/** The hash that each place of {@link known} was asked for last. */
const seen = new Int32Array(KNOWN);

/**
 * The address that the last call left in the block of results; null where it left none.
 *
 * A name that is too short for its family comes as bytes: data that was received with it is not lost for that.
 *
 * @param fd - The socket's descriptor; -1 where it has none any more.
 */
export function decodeName(proto: number, fd: number): unknown {
  const length = ioWords[0]!;
  if (length <= 0) return null;
  const end = IO_NAME_WORD + ((length + 3) >> 2);
  let hash = length ^ proto;
  for (let i = IO_NAME_WORD; i < end; i++) hash = Math.imul(hash ^ ioWords[i]!, 0x9e3779b1);
  const slot = (hash ^ (hash >>> 15)) & (KNOWN - 1);
  const entry = known[slot];
  if (entry !== undefined && entry.length === length && entry.proto === proto) {
    const words = entry.words;
    let i = 0;
    while (i < words.length && words[i] === ioWords[IO_NAME_WORD + i]) i++;
    if (i === words.length) return entry.address;
  }
  const family = familyOf(nameFamily(ioName));
  const address = family.decode(ioName, length, proto, fd) ?? other.decode(ioName, length, proto, fd) ?? null;
  if (family.isVolatile) return address;
  if (seen[slot] !== hash) {
    seen[slot] = hash;
  } else if (isShareable(address)) {
    known[slot] = { words: ioWords.slice(IO_NAME_WORD, end), length, proto, address: Object.freeze(address) };
  }
  return address;
}

/** Bytes cannot be frozen: an address that holds some is made anew for each caller. */
function isShareable(address: unknown): boolean {
  return typeof address === "string" || (Array.isArray(address) && !address.some((field) => typeof field === "object"));
}

/** The address in a packed name that did not come by the block of results. */
export function decodePacked(name: Uint8Array, proto: number): unknown {
  io.fill(0, IO_NAME_WORD * 4);
  ioName.set(name.subarray(0, ioName.length));
  ioWords[0] = Math.min(name.length, ioName.length);
  return decodeName(proto, -1);
}
