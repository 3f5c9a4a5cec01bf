/**
 * AF_LINK: the link layer's names and addresses on macOS and the BSDs, `struct sockaddr_dl`. No socket has one for its own;
 * they come in control messages (`IP_RECVIF`) and in the messages of routing sockets. See link_addr(3) of FreeBSD and
 * <net/if_dl.h>.
 */
import { type BytesLike, bytes, bytesOf, integer, wrongType, wrongValue } from "../args.ts";
import { decodeFileName } from "../filenames.ts";
import type { OtherAddress } from "./other.ts";

/**
 * What a `sockaddr_dl` says of an interface: its name (`""` where there is none), its index (0 for none), its type (an
 * `IFT_*` of <net/if_types.h>: 6 is Ethernet, 24 the loopback), and its hardware address.
 */
export type LinkAddress = readonly [ifname: string, index: number, type: number, addr: Buffer];

/** AF_LINK wherever there is a sockaddr_dl. (Windows has another number of that name, and no such structure.) */
const FAMILY = 18;

// The fields lie in the same places on macOS, FreeBSD and NetBSD; only the room behind them differs.
const INDEX = 2;
const TYPE = 4;
const NAME_LENGTH = 5;
const ADDRESS_LENGTH = 6;
const DATA = 8;

/**
 * Reads a link-layer address.
 *
 * @param address - The bytes of a `struct sockaddr_dl`, such as the data of an `IP_RECVIF` control message; or
 *   `[AF_LINK, bytes]`, as addresses of this family are given where a call returns one.
 * @returns The interface's name, index and type, and its hardware address.
 * @throws RangeError where the bytes are none, or end before what they speak of.
 *
 * @example
 * ```ts
 * import { linkAddress } from "berkeley-sockets";
 * // Length, family, index 1, Ethernet, three bytes of name, six of address, no selector; then these.
 * const sockaddr = [17, 18, 1, 0, 6, 3, 6, 0, ...Buffer.from("en0"), 2, 0, 0, 0, 0, 1];
 * const [ifname, index, , addr] = linkAddress(new Uint8Array(sockaddr));
 * console.log(ifname, index, addr.toString("hex")); // en0 1 020000000001
 * ```
 */
export function linkAddress(address: BytesLike | OtherAddress): LinkAddress {
  let name: Uint8Array;
  if (Array.isArray(address)) {
    if (address.length !== 2) throw wrongType("address", "the bytes of a sockaddr_dl, or [AF_LINK, bytes]", address);
    const family = integer(address[0], "address[0]", 0, 0xff);
    // The header's two bytes, which are not among those of an address, are put back.
    const data = bytesOf(bytes(address[1], "address[1]"));
    name = new Uint8Array(2 + data.length);
    name.set([2 + data.length, family]);
    name.set(data, 2);
  } else {
    name = bytesOf(bytes(address, "address"));
  }
  if (name.length < DATA || name[1] !== FAMILY) throw wrongValue("address", "a sockaddr_dl", address);
  const end = Math.min(name[0]!, name.length);
  const addressAt = DATA + name[NAME_LENGTH]!;
  const addressEnd = addressAt + name[ADDRESS_LENGTH]!;
  if (addressEnd > Math.max(end, DATA)) {
    throw wrongValue("address", `a sockaddr_dl of at least ${addressEnd} bytes`, `one of ${end}`);
  }
  return [
    decodeFileName(name.slice(DATA, addressAt)),
    name[INDEX]! | (name[INDEX + 1]! << 8),
    name[TYPE]!,
    Buffer.from(name.slice(addressAt, addressEnd)),
  ];
}
