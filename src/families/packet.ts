/**
 * AF_PACKET: frames as the network device has them. See packet(7). Linux.
 */
import { bytes, bytesOf, integer, wrongType, wrongValue } from "../args.ts";
import { AF_PACKET } from "../constants.ts";
import { beginName, type Family, outName, outView } from "./family.ts";
import { interfaceIndex, interfaceName } from "./interface.ts";

/**
 * The address of a frame.
 *
 * - `ifname`: the interface; `""` is every one.
 * - `proto`: the frame's protocol, `ETH_P_*`. It stands in network byte order in the structure, and is a plain number here
 *   (0x0800 for IPv4), as in CPython. The protocol of `new Socket` is the system's own argument: `htons(ETH_P_IP)`.
 * - `pkttype`: to whom the frame went, `PACKET_*`.
 * - `hatype`: the kind of device, `ARPHRD_*`.
 * - `addr`: the sender's hardware address, of up to 32 bytes on some devices; as an argument, the receiver's, of at most
 *   eight.
 */
export type PacketAddress = readonly [ifname: string, proto: number, pkttype: number, hatype: number, addr: Buffer];

/** The address of a frame as an argument: the last three fields may be left out. */
export type PacketAddressLike =
  | readonly [ifname: string, proto: number]
  | readonly [ifname: string, proto: number, pkttype: number]
  | readonly [ifname: string, proto: number, pkttype: number, hatype: number]
  | readonly [
      ifname: string,
      proto: number,
      pkttype: number,
      hatype: number,
      addr: string | NodeJS.ArrayBufferView | ArrayBufferLike,
    ];

const LENGTH = 20; // sizeof(struct sockaddr_ll)
const PROTOCOL = 2;
const IFINDEX = 4;
const HATYPE = 8;
const PKTTYPE = 10;
const HALEN = 11;
const ADDR = 12;
const ADDR_MAX = 8;

const none = new Uint8Array(0);

export const packet: Family = {
  family: AF_PACKET,
  isVolatile: true, // it has an interface's name

  encode(address, _syscall, _proto, fd) {
    if (!Array.isArray(address) || address.length < 2 || address.length > 5) {
      throw wrongType("address", "[ifname, proto, pkttype?, hatype?, addr?]", address);
    }
    const given = address.length;
    const ifname: unknown = address[0];
    const proto = integer(address[1], "address[1]", 0, 0xffff);
    const pkttype = given > 2 ? integer(address[2], "address[2]", 0, 0xff) : 0;
    const hatype = given > 3 ? integer(address[3], "address[3]", 0, 0xffff) : 0;
    const addr = given > 4 ? bytesOf(bytes(address[4], "address[4]")) : none;
    if (addr.length > ADDR_MAX) throw wrongValue("address[4]", `at most ${ADDR_MAX} bytes`, `${addr.length} bytes`);
    const index = interfaceIndex(ifname, "address[0]", fd);
    beginName(AF_PACKET, LENGTH);
    outView.setUint16(PROTOCOL, proto);
    outView.setInt32(IFINDEX, index, true);
    outView.setUint16(HATYPE, hatype, true);
    outView.setUint8(PKTTYPE, pkttype);
    outView.setUint8(HALEN, addr.length);
    outName.set(addr, ADDR);
    return LENGTH;
  },

  decode(name, length, _proto, fd) {
    if (length < ADDR) return undefined;
    const view = new DataView(name.buffer, name.byteOffset);
    // Devices with longer addresses than the structure has room for give a longer structure.
    const end = Math.min(ADDR + name[HALEN]!, length);
    return [
      interfaceName(view.getInt32(IFINDEX, true), fd),
      view.getUint16(PROTOCOL),
      name[PKTTYPE]!,
      view.getUint16(HATYPE, true),
      Buffer.from(name.slice(ADDR, end)),
    ] satisfies PacketAddress;
  },
};
