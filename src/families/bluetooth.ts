/**
 * AF_BLUETOOTH: one family, an address for each of its protocols, a structure for each system. See
 * https://www.bluez.org/ for Linux, ng_btsocket(4) for FreeBSD, bluetooth(4) for NetBSD, and
 * https://learn.microsoft.com/windows/win32/bluetooth/bluetooth-and-socket for Windows.
 */
import { integer, text, UINT_MAX, wrongType, wrongValue } from "../args.ts";
import { AF_BLUETOOTH, BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO } from "../constants.ts";
import { beginName, type Family, outName, outView } from "./family.ts";
import { other, type OtherAddress } from "./other.ts";

/**
 * An L2CAP address: the device, the service's PSM, the fixed channel (0 for none), and what kind of address the device's
 * is (`BDADDR_BREDR`, `BDADDR_LE_PUBLIC`, `BDADDR_LE_RANDOM`; NetBSD has the first only). Linux, FreeBSD, NetBSD.
 */
export type L2capAddress = readonly [bdaddr: string, psm: number, cid: number, bdaddrType: number];

/** An RFCOMM address: the device, and one of its serial channels. Linux, FreeBSD, NetBSD, Windows. */
export type RfcommAddress = readonly [bdaddr: string, channel: number];

/**
 * An HCI address: on Linux a controller's number (`HCI_DEV_NONE` for none) and a `HCI_CHANNEL_*`; on FreeBSD its node's
 * name, `"ubt0hci"`; on NetBSD its device address.
 */
export type HciAddress = readonly [deviceId: number, channel: number] | string;

/** A SCO address: the device's. Linux, FreeBSD, NetBSD. */
export type ScoAddress = string;

/**
 * A Bluetooth address: which of these it is depends on the socket's protocol. `bdaddr` is written `"01:23:45:67:89:AB"`;
 * `BDADDR_ANY` is any device of this machine. Sockets of other protocols have `[family, bytes]`.
 */
export type BluetoothAddress = L2capAddress | RfcommAddress | HciAddress | ScoAddress | OtherAddress;

/** A Bluetooth address as an argument: {@link BluetoothAddress} with its last fields left out or not. */
export type BluetoothAddressLike =
  | BluetoothAddress
  | readonly [bdaddr: string, psm: number, cid: number]
  | readonly [deviceId: number]
  | readonly [family: number, data: OtherAddress[1] | NodeJS.ArrayBufferView | ArrayBufferLike | string];

const isNetBSD = process.platform === "netbsd";
const isFreeBSD = process.platform === "freebsd";
const isWindows = process.platform === "win32";

// Where the fields lie. NetBSD has one structure for all, sockaddr_bt; Windows too, SOCKADDR_BTH, which is packed.
const l2cap = isNetBSD
  ? { length: 16, bdaddr: 2, psm: 8, cid: 10 }
  : { length: 14, psm: 2, bdaddr: 4, cid: 10, bdaddrType: 12 }; // sockaddr_l2, sockaddr_l2cap
const rfcomm = isNetBSD
  ? { length: 16, bdaddr: 2, channel: 10 }
  : isWindows
    ? { length: 30, bdaddr: 2, channel: 26 }
    : { length: isFreeBSD ? 9 : 10, bdaddr: 2, channel: 8 }; // sockaddr_rfcomm, sockaddr_rc
const sco = isNetBSD ? { length: 16, bdaddr: 2 } : { length: 8, bdaddr: 2 }; // sockaddr_sco
const hci = { length: 6, device: 2, channel: 4 }; // Linux's sockaddr_hci
const node = { length: 34, name: 2, nameMax: 31 }; // FreeBSD's sockaddr_hci, with NG_NODESIZ less the NUL

/** The six bytes of a device's address, in the order of the structures: the last one written is the first. */
function bdaddrOf(value: unknown, name: string): number[] {
  if (typeof value !== "string") throw wrongType(name, "a Bluetooth address as a string", value);
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(value)) {
    throw wrongValue(name, `a Bluetooth address such as "01:23:45:67:89:AB"`, value);
  }
  return value
    .split(":")
    .map((byte) => parseInt(byte, 16))
    .reverse();
}

function bdaddrText(name: Uint8Array, at: number): string {
  return Array.from(name.subarray(at, at + 6).toReversed(), (byte) =>
    byte.toString(16).toUpperCase().padStart(2, "0"),
  ).join(":");
}

/** What a protocol has of a {@link Family}. */
type Protocol = Pick<Family, "decode"> & { encode(address: unknown): number };

const l2capProtocol: Protocol = {
  encode(address) {
    if (!Array.isArray(address) || address.length < 2 || address.length > 4) {
      throw wrongType("address", "[bdaddr, psm, cid?, bdaddrType?]", address);
    }
    const given = address.length;
    const bdaddr = bdaddrOf(address[0], "address[0]");
    const psm = integer(address[1], "address[1]", 0, 0xffff);
    const cid = given > 2 ? integer(address[2], "address[2]", 0, isNetBSD ? 0xff : 0xffff) : 0;
    const bdaddrType = given > 3 ? integer(address[3], "address[3]", 0, isNetBSD ? 0 : 0xff) : 0;
    beginName(AF_BLUETOOTH, l2cap.length);
    outName.set(bdaddr, l2cap.bdaddr);
    outView.setUint16(l2cap.psm, psm, true);
    if (l2cap.bdaddrType === undefined) outName[l2cap.cid] = cid;
    else {
      outView.setUint16(l2cap.cid, cid, true);
      outName[l2cap.bdaddrType] = bdaddrType;
    }
    return l2cap.length;
  },

  decode(name, length) {
    if (length < l2cap.length) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    return [
      bdaddrText(name, l2cap.bdaddr),
      view.getUint16(l2cap.psm, true),
      l2cap.bdaddrType === undefined ? name[l2cap.cid]! : view.getUint16(l2cap.cid, true),
      l2cap.bdaddrType === undefined ? 0 : name[l2cap.bdaddrType]!,
    ] satisfies L2capAddress;
  },
};

const rfcommProtocol: Protocol = {
  encode(address) {
    if (!Array.isArray(address) || address.length !== 2) throw wrongType("address", "[bdaddr, channel]", address);
    const bdaddr = bdaddrOf(address[0], "address[0]");
    const channel = integer(address[1], "address[1]", 0, isWindows ? UINT_MAX : 0xff);
    beginName(AF_BLUETOOTH, rfcomm.length);
    outName.set(bdaddr, rfcomm.bdaddr);
    if (isWindows) outView.setUint32(rfcomm.channel, channel, true);
    else outName[rfcomm.channel] = channel;
    return rfcomm.length;
  },

  decode(name, length) {
    if (length < rfcomm.length) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    const channel = isWindows ? view.getUint32(rfcomm.channel, true) : name[rfcomm.channel]!;
    return [bdaddrText(name, rfcomm.bdaddr), channel] satisfies RfcommAddress;
  },
};

const hciProtocol: Protocol = {
  encode(address) {
    if (!Array.isArray(address) || address.length < 1 || address.length > 2) {
      throw wrongType("address", "[deviceId, channel?]", address);
    }
    const device = integer(address[0], "address[0]", 0, 0xffff);
    const channel = address.length > 1 ? integer(address[1], "address[1]", 0, 0xffff) : 0; // HCI_CHANNEL_RAW
    beginName(AF_BLUETOOTH, hci.length);
    outView.setUint16(hci.device, device, true);
    outView.setUint16(hci.channel, channel, true);
    return hci.length;
  },

  decode(name, length) {
    if (length < hci.length) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    return [view.getUint16(hci.device, true), view.getUint16(hci.channel, true)] satisfies HciAddress;
  },
};

const nodeProtocol: Protocol = {
  encode(address) {
    const name = Buffer.from(text(address, "address"));
    if (name.length > node.nameMax)
      throw wrongValue("address", `a node's name of at most ${node.nameMax} bytes`, address);
    beginName(AF_BLUETOOTH, node.length);
    outName.set(name, node.name);
    return node.length;
  },

  decode(name, length) {
    if (length < node.length) return undefined;
    const bytes = Buffer.from(name.slice(node.name, node.length));
    const end = bytes.indexOf(0);
    return bytes.toString("utf8", 0, end < 0 ? bytes.length : end) satisfies HciAddress;
  },
};

/** The device alone: SCO, and NetBSD's HCI. */
const deviceProtocol: Protocol = {
  encode(address) {
    const bdaddr = bdaddrOf(address, "address");
    beginName(AF_BLUETOOTH, sco.length);
    outName.set(bdaddr, sco.bdaddr);
    return sco.length;
  },

  decode(name, length) {
    return length < sco.length ? undefined : (bdaddrText(name, sco.bdaddr) satisfies ScoAddress);
  },
};

const protocols = new Map<number | undefined, Protocol>([
  [BTPROTO_L2CAP, l2capProtocol],
  [BTPROTO_HCI, isFreeBSD ? nodeProtocol : isNetBSD ? deviceProtocol : hciProtocol],
  [BTPROTO_SCO, deviceProtocol],
  [BTPROTO_RFCOMM, rfcommProtocol],
]);

export const bluetooth: Family = {
  family: AF_BLUETOOTH,

  encode(address, syscall, proto, fd) {
    return protocols.get(proto)?.encode(address) ?? other.encode(address, syscall, proto, fd);
  },

  decode(name, length, proto, fd) {
    return protocols.get(proto)?.decode(name, length, proto, fd);
  },
};
