/**
 * Control messages as the system lays them out in memory (`struct cmsghdr`), read and written in place. See cmsg(3).
 */
import { shim } from "../native.ts";

/** CMSG_LEN(0), and to what the next header is aligned. */
const HEAD = shim.bs_cmsg_len(0);
const ALIGNMENT = shim.bs_cmsg_space(1) - HEAD;

/** Where the level lies, behind the length: that has 64 bits on Linux and Windows, 32 on macOS and the BSDs. */
const LEVEL = ["linux", "android", "win32"].includes(process.platform) ? 8 : 4;
const TYPE = LEVEL + 4;

/** How much room a control message takes with so much data: CMSG_SPACE. */
export function spaceOf(length: number): number {
  return HEAD + Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

/**
 * How much data the control message has that begins at a place; -1 where none begins. No length is believed: what would
 * reach over the end is cut.
 */
export function lengthAt(view: DataView, at: number, end: number): number {
  if (at + HEAD > end) return -1;
  const length = view.getUint32(at, true) - HEAD;
  return length < 0 ? -1 : Math.min(length, end - at - HEAD);
}

export function levelAt(view: DataView, at: number): number {
  return view.getInt32(at + LEVEL, true);
}

export function typeAt(view: DataView, at: number): number {
  return view.getInt32(at + TYPE, true);
}

/** Where a control message's data begins. */
export function dataAt(at: number): number {
  return at + HEAD;
}

/** Writes the header of a control message whose data has so many bytes, and zeros for it: where the data begins. */
export function begin(view: DataView, at: number, level: number, type: number, length: number): number {
  const end = at + spaceOf(length);
  for (let i = at; i < end; i += 4) view.setUint32(i, 0, true);
  view.setUint32(at, HEAD + length, true);
  view.setInt32(at + LEVEL, level, true);
  view.setInt32(at + TYPE, type, true);
  return at + HEAD;
}
