/**
 * AF_CAN: the bus of cars and machines, with an address for each of its protocols. See
 * https://docs.kernel.org/networking/can.html and https://docs.kernel.org/networking/j1939.html. Linux.
 */
import { bits, integer, UINT_MAX, wrongType, wrongValue } from "../args.ts";
import { AF_CAN, CAN_ISOTP, CAN_J1939 } from "../constants.ts";
import { beginName, type Family, outView } from "./family.ts";
import { interfaceIndex, interfaceName } from "./interface.ts";

/** The address of `CAN_RAW` and `CAN_BCM`: an interface; `""` is every one. */
export type CanAddress = readonly [ifname: string];

/** The address of `CAN_ISOTP`: the CAN identifiers to receive and to send with, with `CAN_EFF_FLAG` for 29 bits. */
export type CanIsotpAddress = readonly [ifname: string, rxAddr: number, txAddr: number];

/**
 * The address of `CAN_J1939`: the node's 64-bit name (`J1939_NO_NAME` for none), the parameter group (`J1939_NO_PGN`), and
 * the node's address on the bus (`J1939_NO_ADDR`).
 */
export type CanJ1939Address = readonly [ifname: string, name: bigint, pgn: number, addr: number];

/** The address of a CAN socket: which of these it is depends on the socket's protocol. */
export type AnyCanAddress = CanAddress | CanIsotpAddress | CanJ1939Address;

/** An address of a CAN socket as an argument: a J1939 name may be a number, too. */
export type AnyCanAddressLike =
  AnyCanAddress | readonly [ifname: string, name: bigint | number, pgn: number, addr: number];

const LENGTH = 24; // sizeof(struct sockaddr_can)
const IFINDEX = 4;
const RX_ID = 8;
const TX_ID = 12;
const NAME = 8;
const PGN = 16;
const ADDR = 20;

const NAME_MAX = 0xffff_ffff_ffff_ffffn;

function nameOf(value: unknown): bigint {
  const isNumber = typeof value === "number" && Number.isSafeInteger(value);
  if (typeof value !== "bigint" && !isNumber) throw wrongType("address[1]", "a bigint", value);
  const name = BigInt(value);
  if (name < 0n || name > NAME_MAX) throw wrongValue("address[1]", "a bigint of 64 bits, not negative", value);
  return name;
}

function fields(address: unknown, shape: string, count: number): unknown[] {
  if (!Array.isArray(address) || address.length !== count) throw wrongType("address", shape, address);
  return [...address];
}

function begin(ifname: unknown, fd: number): void {
  const index = interfaceIndex(ifname, "address[0]", fd);
  beginName(AF_CAN, LENGTH);
  outView.setInt32(IFINDEX, index, true);
}

export const can: Family = {
  family: AF_CAN,
  isVolatile: true, // it has an interface's name

  encode(address, _syscall, proto, fd) {
    if (proto === CAN_ISOTP) {
      const [ifname, rx, tx] = fields(address, "[ifname, rxAddr, txAddr]", 3);
      // `id | CAN_EFF_FLAG` is negative in JavaScript.
      const rxAddr = bits(rx, "address[1]");
      const txAddr = bits(tx, "address[2]");
      begin(ifname, fd);
      outView.setInt32(RX_ID, rxAddr, true);
      outView.setInt32(TX_ID, txAddr, true);
    } else if (proto === CAN_J1939) {
      const [ifname, given, group, node] = fields(address, "[ifname, name, pgn, addr]", 4);
      const name = nameOf(given);
      const pgn = integer(group, "address[2]", 0, UINT_MAX);
      const addr = integer(node, "address[3]", 0, 0xff);
      begin(ifname, fd);
      outView.setBigUint64(NAME, name, true);
      outView.setUint32(PGN, pgn, true);
      outView.setUint8(ADDR, addr);
    } else {
      const [ifname] = fields(address, "[ifname]", 1);
      begin(ifname, fd);
    }
    return LENGTH;
  },

  decode(name, length, proto, fd) {
    const view = new DataView(name.buffer, name.byteOffset);
    if (length < (proto === CAN_ISOTP ? TX_ID + 4 : proto === CAN_J1939 ? ADDR + 1 : IFINDEX + 4)) return undefined;
    const ifname = interfaceName(view.getInt32(IFINDEX, true), fd);
    if (proto === CAN_ISOTP) {
      return [ifname, view.getUint32(RX_ID, true), view.getUint32(TX_ID, true)] satisfies CanIsotpAddress;
    }
    if (proto === CAN_J1939) {
      return [ifname, view.getBigUint64(NAME, true), view.getUint32(PGN, true), name[ADDR]!] satisfies CanJ1939Address;
    }
    return [ifname] satisfies CanAddress;
  },
};
