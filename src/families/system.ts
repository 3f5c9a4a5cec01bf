/**
 * AF_SYSTEM: kernel controls and kernel events of macOS. See <sys/kern_control.h> of Apple's XNU.
 */
import { integer, text, UINT_MAX, wrongType, wrongValue } from "../args.ts";
import { AF_SYS_CONTROL, AF_SYSTEM, CTLIOCGINFO } from "../constants.ts";
import { systemError } from "../errors.ts";
import { shim } from "../native.ts";
import { beginName, type Family, outView } from "./family.ts";

/**
 * The address of a kernel control: its number, and which of its instances; unit 0 is the next free one.
 *
 * Many controls get their number when they are loaded, and are asked for by name: `"com.apple.net.utun_control"`. macOS.
 */
export type SystemAddress = readonly [id: number, unit: number];

/** A kernel control as an argument: {@link SystemAddress}, or the control's name for its next free unit. */
export type SystemAddressLike = SystemAddress | string;

const LENGTH = 32; // sizeof(struct sockaddr_ctl)
const SYSADDR = 2;
const ID = 4;
const UNIT = 8;

/** `struct ctl_info`: what CTLIOCGINFO turns a name into a number by. */
const INFO_NAME = 4; // offsetof(ctl_name)
const INFO_NAME_MAX = 95; // MAX_KCTL_NAME, less the NUL

/** The number of the control of that name. */
function find(name: string, fd: number): number {
  const bytes = Buffer.from(text(name, "address"));
  if (bytes.length > INFO_NAME_MAX) {
    throw wrongValue("address", `a control's name of at most ${INFO_NAME_MAX} bytes`, name);
  }
  const info = new DataView(new ArrayBuffer(INFO_NAME + INFO_NAME_MAX + 1));
  new Uint8Array(info.buffer).set(bytes, INFO_NAME);
  const r = shim.bs_ioctl(fd, CTLIOCGINFO, info, info.byteLength);
  if (r < 0) throw systemError("ioctl", r, name);
  return info.getUint32(0, true);
}

export const system: Family = {
  family: AF_SYSTEM,

  encode(address, _syscall, _proto, fd) {
    let id: number;
    let unit = 0;
    if (typeof address === "string") id = find(address, fd);
    else {
      if (!Array.isArray(address) || address.length !== 2) {
        throw wrongType("address", "a control's name or [id, unit]", address);
      }
      id = integer(address[0], "address[0]", 0, UINT_MAX);
      unit = integer(address[1], "address[1]", 0, UINT_MAX);
    }
    beginName(AF_SYSTEM, LENGTH);
    outView.setUint16(SYSADDR, AF_SYS_CONTROL, true);
    outView.setUint32(ID, id, true);
    outView.setUint32(UNIT, unit, true);
    return LENGTH;
  },

  decode(name, length) {
    const view = new DataView(name.buffer, name.byteOffset);
    if (length < LENGTH || view.getUint16(SYSADDR, true) !== AF_SYS_CONTROL) return undefined;
    return [view.getUint32(ID, true), view.getUint32(UNIT, true)] satisfies SystemAddress;
  },
};
